"""What of a KIT line may be written down: traces, logs and errors get their lines from here.

Values of `SENSITIVE_FIELDS` become stars of the same length; of a pairing channel the first eight characters stay (it
is a bearer secret), of a signature only its length (it is biometric). After that every card number and track is masked
wherever it stands (`zahlwerk.carddata`). Malformed lines are masked the same way: never raises, never skips.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from zahlwerk.carddata import redact, redact_bytes
from zahlwerk.interfaces.kit.fields import SENSITIVE_FIELDS

__all__ = ["decoded_for_trace", "mask_line", "mask_value", "masked"]

CHANNEL_CHARACTERS_SHOWN: Final = 8
"""How much of a pairing channel may be logged, to tell channels apart."""

_NESTING_MAX: Final = 64

_NAMES: Final = "|".join(sorted(SENSITIVE_FIELDS)).encode()
# A key, then a string (perhaps unfinished), a list or object up to its end or that of the line, or anything else.
_VALUE: Final = re.compile(
    rb'(?i:(["\']?)\b(' + _NAMES + rb')\b\1\s*[:=]\s*)("(?:[^"\\]|\\.)*+(?:"|\\?$)|[\[{][^\]}]*+[\]}]?|[^,}\]\r\n]*)',
    re.DOTALL,
)
# The pattern above is slow and seldom needed; this one only asks whether it is.
_MENTIONED: Final = re.compile(rb"(?<![a-z0-9_])(?:" + _NAMES.lower() + rb")(?![a-z0-9_])")
_ESCAPED: Final = re.compile(rb"\\u00([2-7][0-9a-fA-F])")
_OF_NAME: Final = {name.lower(): name for name in SENSITIVE_FIELDS}


def mask_line(line: bytes) -> bytes:
    """The line as it may be written down. Total: any bytes give bytes, of the same length where possible."""
    if b"\\u00" in line:
        # A peer may write letters and digits as escapes, in names too; nobody's eye reads those better.
        line = _ESCAPED.sub(_unescaped, line)
    if _MENTIONED.search(line.lower()):
        line = _VALUE.sub(_starred, line)
    return redact_bytes(line)


def masked(value: object) -> object:
    """A decoded JSON value as it may be written down, sensitive fields starred at every depth."""
    return _masked(value, "", 0)


def decoded_for_trace(line: bytes) -> object:
    """The line's JSON value, masked; its masked text where it is no JSON. Never raises."""
    try:
        return masked(msgspec.json.decode(line[max(0, line.find(b"{")) :].strip()))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return mask_line(line).decode("utf-8", "replace")


def _masked(value: object, name: str, depth: int) -> object:
    if depth > _NESTING_MAX:
        return "..."
    if name in SENSITIVE_FIELDS and value is not None:
        return mask_value(name, str(value))
    match value:
        case str():
            return redact(value)
        case Mapping():
            return {redact(str(key)): _masked(item, str(key), depth + 1) for key, item in value.items()}
        case list() | tuple():
            return [_masked(item, name, depth + 1) for item in value]
        case int() if not isinstance(value, bool):
            text = str(value)
            return value if redact(text) == text else redact(text)
    return value


def mask_value(name: str, text: str) -> str:
    """The value of a sensitive field as it may be shown."""
    if name == "ESignature":
        return f"<{len(text)} characters>"
    shown = text[:CHANNEL_CHARACTERS_SHOWN] if name == "Channel" and len(text) > 2 * CHANNEL_CHARACTERS_SHOWN else ""
    return shown + "*" * (len(text) - len(shown))


def _starred(match: re.Match[bytes]) -> bytes:
    value = match[3]
    before = match[0][: len(match[0]) - len(value)]
    if value.strip() == b"null":
        return match[0]
    name = _OF_NAME[match[2].decode().lower()]
    open_, close = (b'"', b'"' if value.endswith(b'"') and len(value) > 1 else b"") if value[:1] == b'"' else (b"", b"")
    inner = value[len(open_) : len(value) - len(close)].decode("latin-1")
    return before + open_ + mask_value(name, inner).encode("latin-1") + close


def _unescaped(match: re.Match[bytes]) -> bytes:
    character = bytes([int(match[1], 16)])
    return character if character.isalnum() else match[0]
