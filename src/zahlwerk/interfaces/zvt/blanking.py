"""Bytes of which nobody knows what they are: what of them may be seen. Pure.

Source: fact sheet 8, pitfall 28. What is not understood is treated as if it could be card data.
"""

from __future__ import annotations

import re
from typing import Final

from zahlwerk.carddata import DIGITS_MIN, contains_card_data, hides_card_number, redact, redact_bytes

__all__ = ["BLANK", "DIGIT_BYTES_MIN", "blank", "careful", "is_card_number", "shown"]

BLANK: Final = b"\xee"
"""Two masked digits (fact sheet 3.1)."""
DIGIT_BYTES_MIN: Final = DIGITS_MIN // 2 + 1
"""Fewer bytes of packed digits are an amount at most: shorter than any card number but those of twelve digits."""
# LIMIT: longer ones are files, pictures or firmware; nobody reads those in a trace, and to search them takes long.
_SEARCHED_BYTES_MAX: Final = 1_024
_PACKED: Final = re.compile(r"0*([0-9]{12,19})(?:d[0-9]*)?f*")
_DIGITS: Final = re.compile(rf"[0-9]{{{DIGITS_MIN},}}")


def blank(raw: bytes) -> bytes:
    """As many bytes that say nothing."""
    return BLANK * len(raw)


def careful(raw: bytes) -> bytes:
    """The bytes, or as many that say nothing if a card number may be in them, as text or as packed digits."""
    if len(raw) < DIGIT_BYTES_MIN:
        return raw
    if len(raw) > _SEARCHED_BYTES_MAX or redact_bytes(raw) != raw:
        return blank(raw)
    if any(hides_card_number(run[0]) for run in _DIGITS.finditer(raw.hex())):
        return blank(raw)
    return raw


def is_card_number(raw: bytes) -> bool:
    """True if the bytes as a whole are a card number or track 2, as text or as packed digits.

    For ids that something depends on: those are not thrown away for some digits in their middle.
    """
    if len(raw) < DIGIT_BYTES_MIN:
        return False
    packed = _PACKED.fullmatch(raw.hex())
    if packed is not None:
        return contains_card_data(packed[1])
    # As text it takes a byte for each digit; application ids, which every payment has, are shorter.
    return len(raw) >= DIGITS_MIN and redact_bytes(raw) != raw


def shown(value: int | str | bytes) -> str:
    """A value as it may stand in a `repr`, and so in an error or a log."""
    if isinstance(value, bytes):
        return careful(value).hex(" ").upper() or "empty"
    if isinstance(value, int):
        # Read as a number, packed digits look like others.
        digits, raw = str(abs(int(value))), abs(value).to_bytes((value.bit_length() + 7) // 8, "big")
        return "*" * len(digits) if hides_card_number(digits) or careful(raw) != raw else str(value)
    return repr(
        "*" * len(value) if any(hides_card_number(run[0]) for run in _DIGITS.finditer(value)) else redact(value)
    )
