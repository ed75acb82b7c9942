"""Single values: bytes to integers, digits and texts, and back. Card data is masked here, on the way in. Pure.

Source: fact sheet 3.1 (packing of digits, E as a masked digit, F as padding).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from zahlwerk.carddata import DIGITS_MIN, SHOWN_FIRST, SHOWN_LAST, redact
from zahlwerk.errors import CardDataRefused, InvalidRequest
from zahlwerk.interfaces.zvt._rows import Format, Secrecy
from zahlwerk.interfaces.zvt.charsets import Charset
from zahlwerk.interfaces.zvt.messages import Value

__all__ = ["Read", "mask_digits", "reader", "write"]

Read = Callable[[bytes, Charset], Value]


def _number(raw: bytes, _charset: Charset) -> Value:
    try:
        return int(raw.hex())
    except ValueError:
        return raw  # no digits, or none at all: kept as it came


def _digits(raw: bytes, _charset: Charset) -> Value:
    return raw.hex().upper()


def _binary(raw: bytes, _charset: Charset) -> Value:
    return int.from_bytes(raw, "big") if raw else raw


def _bits(raw: bytes, _charset: Charset) -> Value:
    return int.from_bytes(raw, "little") if raw else raw


def _text(raw: bytes, charset: Charset) -> Value:
    # Nothing shorter than the shortest card number can hold one.
    if len(raw) < DIGITS_MIN:
        return raw.decode("ascii") if raw.isascii() else charset.decode(raw)
    return redact(charset.decode(raw))


def _closed_text(raw: bytes, charset: Charset) -> Value:
    return _text(raw.rstrip(b"\0"), charset)


def _ascii(raw: bytes, _charset: Charset) -> Value:
    text = raw.decode("latin-1")
    return text if len(raw) < DIGITS_MIN else redact(text)


def _padded_ascii(raw: bytes, _charset: Charset) -> Value:
    text = raw.decode("latin-1").rstrip("\0 ")
    return text if len(text) < DIGITS_MIN else redact(text)


def _bytes(raw: bytes, _charset: Charset) -> Value:
    return raw


def _pan(raw: bytes, _charset: Charset) -> Value:
    digits = raw.hex().upper().rstrip("F")
    return digits if _MASKED(digits) else mask_digits(digits)


def _secret(raw: bytes, _charset: Charset) -> Value:
    return "*" * len(raw)


# The usual mask, which is worth no counting: all but the last four.
_MASKED: Final = re.compile(f"E+.{{0,{SHOWN_LAST}}}", re.DOTALL).fullmatch


def mask_digits(digits: str) -> str:
    """A card number with E for every digit that must not be seen. One that is masked well enough stays as it is."""
    if _MASKED(digits):
        return digits
    shown = sum(map(digits.count, "0123456789"))
    if shown <= SHOWN_FIRST + SHOWN_LAST and (shown < len(digits) or shown <= SHOWN_LAST):
        return digits
    if len(digits) <= SHOWN_FIRST + SHOWN_LAST:
        return "E" * max(0, len(digits) - SHOWN_LAST) + digits[-SHOWN_LAST:]
    return digits[:SHOWN_FIRST] + "E" * (len(digits) - SHOWN_FIRST - SHOWN_LAST) + digits[-SHOWN_LAST:]


_READERS: Final[dict[Format, Read]] = {
    Format.NUMBER: _number,
    Format.DIGITS: _digits,
    Format.BINARY: _binary,
    Format.BITS: _bits,
    Format.TEXT: _text,
    Format.ASCII: _ascii,
    Format.BYTES: _bytes,
    Format.CONTAINER: _bytes,
}


def reader(form: Format, secrecy: Secrecy = Secrecy.OPEN, pad: str = "") -> Read:
    """The function that reads values of a format. It never fails, and nothing secret gets past it."""
    if secrecy is Secrecy.SECRET:
        return _secret
    if secrecy is Secrecy.PAN:
        return _pan
    if pad == "00":
        return _padded_ascii if form is Format.ASCII else _closed_text
    return _READERS[form]


def write(
    value: Value, form: Format, charset: Charset, *, size: int | None, where: str,
    secrecy: Secrecy = Secrecy.OPEN, pad: str = "",
) -> bytes:  # fmt: skip
    """A value as bytes.

    Args:
        size: the exact number of bytes; None for as many as it takes.
        where: the field's name, for errors.

    Raises:
        InvalidRequest: it does not fit.
        CardDataRefused: a card number that is not masked. In texts it is starred out.
    """
    if isinstance(value, bytes):
        return _sized(value, size, where)
    match form:
        case Format.NUMBER:
            return _packed_number(value, size, where)
        case Format.DIGITS:
            return _packed_digits(value, size, where, secrecy)
        case Format.BINARY | Format.BITS:
            if not isinstance(value, int) or value < 0:
                raise InvalidRequest(f"{where}: expected a number from 0 on")
            wanted = size if size is not None else max(1, (value.bit_length() + 7) // 8)
            if value >> (8 * wanted):
                raise InvalidRequest(f"{where}: a number of {value.bit_length()} bits does not fit into {wanted} bytes")
            return value.to_bytes(wanted, "big" if form is Format.BINARY else "little")
        case Format.TEXT | Format.ASCII:
            if not isinstance(value, str):
                raise InvalidRequest(f"{where}: expected a text")
            clean = redact(value)
            raw = charset.encode(clean) if form is Format.TEXT else clean.encode("latin-1", "replace")
            if pad == "00" and size is None:
                return raw + b"\0"
            return raw if size is None else _sized(raw.ljust(size, b"\0" if pad == "00" else b" "), size, where)
        case _:
            raise InvalidRequest(f"{where}: expected bytes")


def _sized(raw: bytes, size: int | None, where: str) -> bytes:
    if size is not None and len(raw) != size:
        raise InvalidRequest(f"{where}: {len(raw)} bytes, expected {size}")
    return raw


def _packed_number(value: Value, size: int | None, where: str) -> bytes:
    if not isinstance(value, int) or value < 0:
        raise InvalidRequest(f"{where}: expected a number from 0 on")
    digits = str(value)
    width = 2 * size if size is not None else len(digits) + len(digits) % 2
    if len(digits) > width:
        raise InvalidRequest(f"{where}: a number of {len(digits)} digits, at most {width}")
    return bytes.fromhex(digits.rjust(width, "0"))


def _packed_digits(value: Value, size: int | None, where: str, secrecy: Secrecy) -> bytes:
    if not isinstance(value, str) or any(character not in "0123456789ABCDEF" for character in value):
        raise InvalidRequest(f"{where}: expected digits")
    if secrecy is Secrecy.PAN and mask_digits(value) != value:
        raise CardDataRefused(f"{where} holds a card number that is not masked")
    if secrecy is Secrecy.PAN:
        return bytes.fromhex(value + "F" * (len(value) % 2))
    if size is None:
        return bytes.fromhex(value.rjust(len(value) + len(value) % 2, "0"))
    if len(value) > 2 * size:
        raise InvalidRequest(f"{where}: {len(value)} digits, at most {2 * size}")
    return bytes.fromhex(value.rjust(2 * size, "0"))
