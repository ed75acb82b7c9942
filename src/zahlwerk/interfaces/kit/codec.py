"""KIT lines to messages and back.

A line is one JSON object with one known message name as key and an object as value; other keys beside it are companions
(P-01). `decode_line` is total: any bytes give a `Line` or one `RemoteProtocolError`. What is tolerated from a peer:

- text before the first `{` (cut off, kept in `Line.cut`), blanks and carriage returns around the object;
- unknown messages, unknown fields, companions of any kind: kept;
- two known messages in one object: the one that stands first counts, the other is a companion;
- null for an absent field (P-11), `true`/`false` for 1/0, digit strings for integers that are no amounts (P-08).

What is refused: bytes that are no UTF-8 or no JSON, no object, no message, a known field of a wrong type, an amount
that is negative, longer than twelve digits or no plain integer, known integers beyond 64 bits, more than `NESTING_MAX`
levels, and a key that comes twice in one object (which of two amounts is meant is not ours to guess).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from operator import attrgetter
from types import MappingProxyType
from typing import Final, NamedTuple, NoReturn

import msgspec

from zahlwerk.errors import InvalidRequest, LocalProtocolError, RemoteProtocolError
from zahlwerk.interfaces.kit.dictionary import MESSAGE_ROWS
from zahlwerk.interfaces.kit.fields import AMOUNT_FIELDS, FIELDS, SENSITIVE_FIELDS, FieldKind
from zahlwerk.interfaces.kit.masking import decoded_for_trace, mask_line, masked
from zahlwerk.interfaces.kit.messages import (
    MESSAGES,
    ConnectRequest,
    DialogResponse,
    Message,
    StatusResponse,
    TransactionConfirmationRequest,
    TransactionRequest,
    name_of,
)
from zahlwerk.interfaces.kit.objects import KitStruct
from zahlwerk.money import AMOUNT_MINOR_MAX

__all__ = [
    "COMPANIONS",
    "NESTING_MAX",
    "Line",
    "decode_line",
    "decoded_for_trace",
    "dump",
    "encode_line",
    "mask_line",
    "missing_fields",
    "unknown_fields",
]

COMPANIONS: Final = frozenset({"POSInterface", "POSInterfaceTransport", "msg_id"})
"""Top-level keys that PayTec's library sends beside the message."""

# LIMIT: known messages nest four levels deep; the rest is room for fields of newer terminals.
NESTING_MAX: Final = 32
"""The most levels of objects and lists in a line."""

_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


class Line(NamedTuple):
    """One decoded line."""

    name: str
    """The message's name on the wire, known or not."""
    message: Message | None
    """None: a message that only newer peers know."""
    body: bytes
    """The message's JSON object as it came, with the fields that only newer peers know. May hold card data."""
    companions: Mapping[str, object]
    """Whatever stood beside the message: POSInterface, POSInterfaceTransport, msg_id and others."""
    cut: bytes = b""
    """What stood before the first brace and was cut off; log it through `mask_line`."""

    def __repr__(self) -> str:
        """Name and message; the raw parts may hold card data and a repr may end up in a log."""
        return f"Line({self.name}, {self.message!r}, {len(self.body)} bytes)"


_ENCODER: Final = msgspec.json.Encoder()
_DECODERS: Final = {name: msgspec.json.Decoder(cls) for name, cls in MESSAGES.items()}
_BY_HEAD: Final = {b'{"' + name.encode() + b'":': (name, decoder.decode) for name, decoder in _DECODERS.items()}
_NEW_TUPLE: Final = tuple.__new__  # a NamedTuple's own __new__ takes twice as long
_BRACE: Final = ord("}")
_ENVELOPE: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ANYTHING: Final = msgspec.json.Decoder()
_REQUIRED: Final = {row.name: row.required for row in MESSAGE_ROWS}
_AMOUNT_ATTRIBUTES: Final = {
    cls: tuple(
        (attribute, wire)
        for attribute, wire in zip(cls.__struct_fields__, cls.__struct_encode_fields__, strict=True)
        if wire in AMOUNT_FIELDS
    )
    for cls in MESSAGES.values()
}
# A constant second name makes attrgetter give a tuple for one amount too.
_AMOUNTS_OF: Final = {
    cls: attrgetter(*(attribute for attribute, _ in found), found[0][0])
    for cls, found in _AMOUNT_ATTRIBUTES.items()
    if found
}
# Messages with 0/1 fields, where a careless caller may have put a bool.
_WITH_SWITCHES: Final = {
    ConnectRequest, DialogResponse, StatusResponse, TransactionConfirmationRequest, TransactionRequest,
}  # fmt: skip
# How each class is written: its head, what gets its amounts, and whether it has switches.
_WRITING: Final = {
    cls: (b'{"' + name.encode() + b'":', _AMOUNTS_OF.get(cls), cls in _WITH_SWITCHES) for name, cls in MESSAGES.items()
}
_DIGITS_ACCEPTED: Final = frozenset(
    row.name for row in FIELDS.values()
    if row.kind in {FieldKind.INTEGER, FieldKind.ENUM, FieldKind.FLAGS, FieldKind.CURRENCY}
)  # fmt: skip
_DIGITS: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_TOKENS: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_AT_BYTE: Final = re.compile(r" \(byte ([0-9]+)\)$")
_AT_PATH: Final = re.compile(r" - at `\$\.?([^`]*)`$")
_WORD: Final = re.compile(r"[A-Za-z0-9]+")


def decode_line(line: bytes) -> Line:
    """One line, with or without its line feed.

    Raises:
        RemoteProtocolError: with reason and position; its data is masked. See the module for what is refused.
    """
    stripped = line.strip()
    end = stripped.find(b":", 2) + 1
    if (known := _BY_HEAD.get(stripped[:end])) is not None:
        name, decode = known
        body = stripped[end:-1]
        try:
            message = decode(body)
            # Our own encoding is the shortest of all: at the same length nothing was dropped, so the body holds no key
            # twice, no unknown field and no null. All else goes the careful way. Bad UTF-8 fails to decode within a
            # known field, and there are no others.
            if len(_ENCODER.encode(message)) == len(body) and stripped[-1] == _BRACE:
                return _NEW_TUPLE(Line, (name, message, body, _NOTHING, b""))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            pass  # the careful way finds the reason and the position
    return _decode_carefully(line)


def encode_line(
    message: Message,
    *,
    companions: Mapping[str, object] | None = None,
    extras: Mapping[str, object] | None = None,
    allow_card_data: bool = False,
) -> bytes:
    """The message as compact JSON with a line feed.

    Args:
        message: what to send.
        companions: top-level keys beside the message, such as `msg_id` (cloud and local WebSocket only, P-01).
        extras: further fields of the message that the struct does not know.
        allow_card_data: send extras such as AppPAN and CVC2 (P-13); refused otherwise.

    Raises:
        InvalidRequest: an amount out of range, or text that is no Unicode.
        LocalProtocolError: companions or extras that clash with the message, or card data that was not allowed.
    """
    head, amounts_of, has_switches = _WRITING[type(message)]
    try:
        if amounts_of is not None:
            for amount in filter(None, amounts_of(message)):
                if not 0 < amount <= AMOUNT_MINOR_MAX:
                    _refuse_amount(message)
        body = _ENCODER.encode(message)
        # `find`, because `in` asks first whether it was given a number, and takes four times as long.
        if has_switches and (body.find(b":true") >= 0 or body.find(b":false") >= 0):
            body = _ENCODER.encode(_without_booleans(msgspec.to_builtins(message)))
        if extras:
            body = _joined(body, _checked_extras(message, extras, allow_card_data=allow_card_data))
        if not companions:
            return head + body + b"}\n"
        if clash := MESSAGES.keys() & companions.keys():
            raise LocalProtocolError(f"{min(clash)} is a message and cannot stand beside {name_of(message)}")
        return _joined(head + body + b"}", companions) + b"\n"
    except (UnicodeEncodeError, OverflowError, msgspec.MsgspecError, TypeError, RecursionError) as exc:
        raise InvalidRequest(f"{name_of(message)} cannot be written as JSON: {type(exc).__name__}") from exc


def missing_fields(message: Message) -> tuple[str, ...]:
    """What PayTec's schema requires and this message lacks, in wire names; empty when it is complete."""
    present = {name for name, _ in message.wire_items()}
    return tuple(name for name in _REQUIRED[name_of(message)] if name not in present)


def unknown_fields(line: Line) -> dict[str, object]:
    """Fields of the body that our struct does not know; of an unknown message: all. May hold card data."""
    if line.message is not None and line.body == b"{}":
        return {}
    body = _ANYTHING.decode(line.body)
    known = () if line.message is None else type(line.message).__struct_encode_fields__
    return {name: value for name, value in body.items() if name not in known}


def dump(message: KitStruct) -> dict[str, object]:
    """The message or object as plain values under wire names, masked: for JSON output and logs."""
    value = masked(msgspec.to_builtins(message))
    assert isinstance(value, dict)
    return value


def _decode_carefully(line: bytes) -> Line:
    start = line.find(b"{")
    if start < 0:
        _refuse("no JSON object in the line", line, 0)
    rest = line[start:].rstrip(b" \t\r\n")
    try:
        text = rest.decode("utf-8")
    except UnicodeDecodeError as exc:
        _refuse("not UTF-8", line, start + exc.start)
    _check_nesting(rest, line, start)
    whole, raws = _values(rest, line, start)
    _check_duplicates(text, line, start)
    name = _message_name(whole)
    if name is None:
        _refuse("no message: expected one KIT message name with an object", line, start)
    body = bytes(raws[name])
    message = _message(name, whole[name], line, start) if name in MESSAGES else None
    return Line(name, message, body, {key: value for key, value in whole.items() if key != name}, line[:start].strip())


def _values(rest: bytes, line: bytes, start: int) -> tuple[dict[str, object], dict[str, msgspec.Raw]]:
    try:
        whole = _ANYTHING.decode(rest)
        return whole, _ENVELOPE.decode(rest)
    except msgspec.MsgspecError as exc:
        reason, position = str(exc), None
        if found := _AT_BYTE.search(reason):
            reason, position = reason[: found.start()], start + int(found[1])
        _refuse(reason, line, start if position is None else min(position, len(line)), cause=exc)
    except (ValueError, RecursionError) as exc:
        _refuse(f"malformed JSON ({type(exc).__name__})", line, start, cause=exc)


def _message_name(whole: Mapping[str, object]) -> str | None:
    """The first known name; else the first that could be a message of a newer peer."""
    for name in whole:
        if name in MESSAGES:
            return name
    return next((name for name, value in whole.items() if isinstance(value, dict) and name not in COMPANIONS), None)


def _message(name: str, value: object, line: bytes, start: int) -> Message:
    try:
        return msgspec.convert(_tolerated(value), MESSAGES[name])
    except msgspec.MsgspecError as exc:
        reason = str(exc)
        path = ""
        if found := _AT_PATH.search(reason):
            reason, path = reason[: found.start()], found[1]
        words = _WORD.findall(path)
        position = line.find(f'"{words[-1]}"'.encode(), start) if words else line.find(f'"{name}"'.encode(), start)
        where = f"{name}.{path}" if path else name
        _refuse(f"{where}: {reason.replace('`', '')}", line, position if position >= 0 else start, cause=exc)


def _tolerated(value: object, name: str = "") -> object:
    """The value with 0/1 for booleans, and integers for digit strings where an integer is meant."""
    match value:
        case bool():
            return int(value)
        case str() if name in _DIGITS_ACCEPTED and _DIGITS.fullmatch(value):
            return int(value)
        case dict():
            return {key: _tolerated(item, key) for key, item in value.items()}
        case list():
            return [_tolerated(item) for item in value]
    return value


def _check_nesting(rest: bytes, line: bytes, start: int) -> None:
    if rest.count(b"[") + rest.count(b"{") <= NESTING_MAX:
        return
    depth = 0
    for token in _TOKENS.finditer(rest):
        if token[0] in b"[{":
            depth += 1
        elif token[0] in b"]}":
            depth -= 1
        if depth > NESTING_MAX:
            _refuse(f"nested deeper than {NESTING_MAX} levels", line, start + token.start())


def _check_duplicates(text: str, line: bytes, start: int) -> None:
    def unique(pairs: Iterable[tuple[str, object]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                at = line.rfind(f'"{key}"'.encode("utf-8", "replace"))
                _refuse(f"{key if key in FIELDS or key in MESSAGES else 'a key'} comes twice", line, max(at, start))
            seen.add(key)

    try:
        json.loads(text, object_pairs_hook=unique, parse_int=str, parse_float=str)
    except (ValueError, RecursionError) as exc:
        _refuse(f"malformed JSON ({type(exc).__name__})", line, start, cause=exc)


def _refuse(reason: str, line: bytes, position: int, *, cause: Exception | None = None) -> NoReturn:
    window = line[max(0, position - RemoteProtocolError.DATA_BYTES_MAX // 2) :] if b'"' not in line[:position] else line
    raise RemoteProtocolError(reason, position=position, data=mask_line(window[:4096])) from cause


def _refuse_amount(message: Message) -> NoReturn:
    values = ((wire, getattr(message, attribute)) for attribute, wire in _AMOUNT_ATTRIBUTES[type(message)])
    wrong = next(wire for wire, value in values if value and not 0 < value <= AMOUNT_MINOR_MAX)
    raise InvalidRequest(f"{wrong} must be 0 to {AMOUNT_MINOR_MAX} minor units")


def _checked_extras(message: Message, extras: Mapping[str, object], *, allow_card_data: bool) -> Mapping[str, object]:
    if clash := set(type(message).__struct_encode_fields__) & extras.keys():
        raise LocalProtocolError(f"{min(clash)} is a field of {name_of(message)}: set it there")
    if not allow_card_data and (found := SENSITIVE_FIELDS & extras.keys()):
        raise LocalProtocolError(
            f"{min(found)} is card data and is not sent unless that was allowed",
            remedy="let the terminal read the card; allow card data only where the contract with the acquirer does",
        )
    return extras


def _joined(object_: bytes, more: Mapping[str, object]) -> bytes:
    added = _ENCODER.encode(more)
    if added == b"{}":
        return object_
    return object_[:-1] + (b"" if object_ == b"{}" else b",") + added[1:]


def _without_booleans(value: object) -> object:
    match value:
        case bool():
            return int(value)
        case dict():
            return {key: _without_booleans(item) for key, item in value.items()}
        case list() | tuple():
            return [_without_booleans(item) for item in value]
    return value
