"""Bytes as people read and type them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from zahlwerk.errors import RemoteProtocolError

__all__ = ["LINE_BYTES", "hexdump", "parse_hex"]

LINE_BYTES: Final = 16
_HALF: Final = LINE_BYTES // 2

# What may stand between bytes. A backslash-x or 0x may stand before one.
_GAP: Final = re.compile(r"[\s:,;\-\u00a0]+")
_PREFIX: Final = re.compile(r"0[xX](?=[0-9A-Fa-f])|\\x(?=[0-9A-Fa-f])")
_DIGITS: Final = re.compile(r"[0-9A-Fa-f]+")


def hexdump(data: bytes) -> str:
    """Lines of 16 bytes: offset, hexadecimal, ASCII with a dot for what cannot be printed. Empty for no bytes.

    Nothing is masked here: whoever shows payment messages passes them through `carddata.redact_bytes` first.
    """
    return "\n".join(_lines(data))


def parse_hex(text: str) -> bytes:
    """The bytes that a text in hexadecimal means.

    Blanks, line breaks, colons, commas, semicolons, hyphens, `0x` and `\\x` may stand between and before bytes. One
    digit on its own is a byte (`0x2, 0x3`); a longer run of digits has an even length, and no byte is cut by a blank.

    Raises:
        RemoteProtocolError: not hexadecimal, or half a byte; `position` is the offset of the character within the text.
    """
    out = bytearray()
    index = 0
    while index < len(text):
        if gap := _GAP.match(text, index):
            index = gap.end()
            continue
        if prefix := _PREFIX.match(text, index):
            index = prefix.end()
        run = _DIGITS.match(text, index)
        if run is None:
            raise RemoteProtocolError(f"not hexadecimal: {text[index]!r}", position=index)
        digits = run[0]
        # `0x02` that follows digits without a gap reads as a run ending in 0, then an x.
        if text[run.end() : run.end() + 1] in {"x", "X"} and digits.endswith("0") and len(digits) > 1:
            digits = digits[:-1]
        if len(digits) % 2 and len(digits) > 1:
            raise RemoteProtocolError("half a byte: an odd number of digits", position=index + len(digits) - 1)
        out += bytes.fromhex(digits.zfill(2))
        index += len(digits)
    return bytes(out)


def _lines(data: bytes) -> Iterator[str]:
    width = LINE_BYTES * 3
    for offset in range(0, len(data), LINE_BYTES):
        line = data[offset : offset + LINE_BYTES]
        digits = "  ".join(filter(None, (line[:_HALF].hex(" "), line[_HALF:].hex(" "))))
        shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in line)
        yield f"{offset:08x}  {digits:<{width}}  {shown}"
