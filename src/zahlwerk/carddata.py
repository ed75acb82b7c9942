"""Card numbers never reach a log, a trace, a database or an error: the one place that finds and masks them.

What may be written down: the masked number (at most the first six and last four digits) and tokens.
Source: PCI DSS 4.0, requirements 3.3 (no track, check code or PIN after authorisation) and 3.4 (masking).

Detection leans to the safe side: a run of 12 to 19 digits, also with blanks or hyphens between them, whose first digit
is that of a card scheme and whose check digit (ISO/IEC 7812-1, annex B) is right, counts as a card number. About one in
twenty other long numbers looks the same and is masked too.
"""

from __future__ import annotations

import re
from typing import Final

from zahlwerk.errors import CardDataRefused

__all__ = ["contains_card_data", "is_masked", "mask_pan", "redact", "redact_bytes", "refuse_card_data"]

DIGITS_MIN: Final = 12
DIGITS_MAX: Final = 19

# A separator may stand between any two digits; LIMIT: one each, so that the pattern stays linear.
_NUMBER: Final = re.compile(r"(?<![0-9])[2-69](?:[ \-\u00a0]?[0-9]){11,18}(?![0-9])")
_TRACK1: Final = re.compile(r"%?B[0-9 ]{8,19}\^[^^\r\n]{0,40}\^[0-9]{4,40}\??")
_TRACK2: Final = re.compile(r";?[0-9]{8,19}[=D][0-9]{4,30}F?\??")
_MASK_CHARACTERS: Final = "*X\u2022x#"


def mask_pan(digits: str) -> str:
    """A card number as it may be shown: first six and last four digits, the rest starred."""
    plain = re.sub(r"[^0-9]", "", digits)
    if len(plain) < DIGITS_MIN:
        return "*" * max(0, len(plain) - 4) + plain[-4:] if len(plain) > 4 else "*" * len(plain)
    return plain[:6] + "*" * (len(plain) - 10) + plain[-4:]


def is_masked(text: str) -> bool:
    """True if the text is a masked card number: mask characters, and no more than ten digits."""
    digits = sum(character.isdigit() for character in text)
    return any(character in _MASK_CHARACTERS for character in text) and digits <= 10


def contains_card_data(text: str) -> bool:
    """True if the text holds something that looks like a whole card number or a magnetic track."""
    return redact(text) != text


def redact(text: str) -> str:
    """The text with every card number and track starred out, at the same length."""
    text = _TRACK1.sub(_starred, text)
    text = _TRACK2.sub(_starred_track2, text)
    return _NUMBER.sub(_starred_number, text)


def redact_bytes(data: bytes) -> bytes:
    """The same for bytes of any encoding: each byte is taken as one character."""
    return redact(data.decode("latin-1")).encode("latin-1")


def refuse_card_data(text: str, *, where: str) -> str:
    """The text itself, if it is free of card data.

    Raises:
        CardDataRefused: naming `where`, never the data.
    """
    if contains_card_data(text):
        raise CardDataRefused(f"{where} holds what looks like a card number or track")
    return text


def _starred(match: re.Match[str]) -> str:
    return "*" * len(match[0])


def _starred_track2(match: re.Match[str]) -> str:
    number = re.match(r";?([0-9]+)", match[0])
    assert number is not None
    return _starred(match) if len(number[1]) >= DIGITS_MIN and _check_digit_right(number[1]) else match[0]


def _starred_number(match: re.Match[str]) -> str:
    text = match[0]
    digits = re.sub(r"[^0-9]", "", text)
    if not DIGITS_MIN <= len(digits) <= DIGITS_MAX or not _check_digit_right(digits):
        return text
    seen = 0
    out = []
    for character in text:
        seen += character.isdigit()
        keep = not character.isdigit() or seen <= 6 or seen > len(digits) - 4
        out.append(character if keep else "*")
    return "".join(out)


def _check_digit_right(digits: str) -> bool:
    """Luhn. Source: ISO/IEC 7812-1, annex B."""
    total = 0
    for index, character in enumerate(reversed(digits)):
        value = int(character)
        if index % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0
