"""Card numbers never reach a log, a trace, a database or an error: the one place that finds and masks them.

What may be written down: the masked number (at most the first six and last four digits) and tokens.
Source: PCI DSS 4.0, requirements 3.3 (no track, check code or PIN after authorisation) and 3.4 (masking).

A run of digits counts as a card number if its first digits and its length are those of a card scheme (`SCHEMES`) and
its check digit is right (ISO/IEC 7812-1, annex B). The digits may stand in groups, with blanks, hyphens, dots,
underscores or line ends between the groups, one kind throughout (so that a column of amounts or a list of dates is
none), and may be of any script. About one in ten other numbers of such a beginning and length looks the same and is
masked too: that is the safe side.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Final

from zahlwerk.errors import CardDataRefused

__all__ = [
    "contains_card_data",
    "hides_card_number",
    "is_masked",
    "mask_pan",
    "redact",
    "redact_bytes",
    "redact_labelled",
    "refuse_card_data",
    "refuse_split_card_data",
]

DIGITS_MIN: Final = 12
DIGITS_MAX: Final = 19
SHOWN_FIRST: Final = 6
SHOWN_LAST: Final = 4

SCHEMES: Final[tuple[tuple[str, int, int], ...]] = (
    ("1", 15, 15),  # UATP, old JCB (1800)
    ("2131", 15, 15),  # old JCB
    *((f"2{second}", 16, 19) for second in "234567"),  # Mir 2200-2204, Mastercard 2221-2720
    ("3", 14, 19),  # Diners, American Express, JCB
    ("4", 13, 19),  # Visa
    ("5", 12, 19),  # Mastercard, Maestro
    ("6", 12, 19),  # Maestro, Discover, UnionPay, RuPay, gift cards
    ("70", 16, 19),  # fuel cards
    ("81", 16, 16),  # RuPay
    ("82", 16, 16),
    ("9", 16, 19),  # national schemes: 9 and the country's number
)
"""First digits, least and greatest length. Source: ISO/IEC 7812-1 (first digit: industry) and the ranges that the
schemes publish. Left out on purpose: the beginnings of dates (20261123...), of time stamps (17...) and of telephone
numbers (0...)."""

_FIRST_DIGITS: Final = frozenset(prefix[0] for prefix, _, _ in SCHEMES)
PREFIX_MAX: Final = max(len(prefix) for prefix, _, _ in SCHEMES)

# Between two groups of digits. LIMIT: two characters, which is also what keeps the patterns linear.
# NUL is what UTF-16 puts between ASCII digits; \udca0 is a Latin-1 no-break space in bytes that are not UTF-8.
_BLANK: Final = "[ \t\\0\u00a0\u1680\u2000-\u200d\u202f\u205f\u2060\u3000\ufeff\udca0]"
_HYPHEN: Final = "[-\u00ad\u2010-\u2015\u2212\ufe58\ufe63\uff0d]"
_SEPARATORS: Final = (
    (f"{_BLANK}{{1,2}}", " \t\0"),
    (f"{_BLANK}?{_HYPHEN}{{1,2}}{_BLANK}?", "-"),
    ("\\.", "."),
    ("_", "_"),
    ("\r?\n|\r", "\r\n"),
)
"""Patterns, and the ASCII characters one of which each of them needs."""
_RUN: Final = re.compile(rf"\d{{{DIGITS_MIN},}}")
_CHAINS: Final = tuple(
    (re.compile(rf"(?<!\d)\d++(?:(?:{separator})\d++)++"), needed) for separator, needed in _SEPARATORS
)

_TRACK1: Final = re.compile(r"%?B[\d ]{8,19}\^[^^\r\n]{0,40}\^\d{4,40}\??")
_TRACK2_SENTINELS: Final = re.compile(r";\d{8,19}[=D]\d{4,30}\?")
_TRACK2_MIDDLE: Final = re.compile(r"(?<=\d{12})[=D](?=\d{4})")
_TRACK2_REST: Final = re.compile(r"[=D]\d{4,30}F?\??")
_DIGITS: Final = b"0123456789"
_MASK_CHARACTERS: Final = "*X\u2022x#"


# Check codes and PINs are three to twelve digits like any others: only the word before them tells.
_LABELLED: Final = re.compile(
    r"(?i)(?<![a-z])("
    r"(?:cvc|cvv|cav|csc|cid|cvn)[ _-]?2?(?:[ _-]?code)?"
    r"|pin(?:[ _-]?(?:block|code))?"
    r"|card[ _-]?(?:security|verification)[ _-]?(?:code|value|number)|security[ _-]?code"
    r"|(?:karten)?pr(?:ü|ue)f(?:nummer|ziffer|code)|geheimzahl"
    r"|cryptogramme?|code[ _-]?secret|codice[ _-]?(?:di[ _-]sicurezza|segreto)"
    r")([\"' ]{0,3}[:=#]?[\"' ]{0,3})(\d(?:[ .-]?\d){2,11}|[0-9a-f]{16})(?![\da-z])"
)

_LABEL_WORDS: Final = (
    "cvc", "cvv", "cav", "csc", "cid", "cvn", "pin", "security", "verification", "pruef", "prüf", "geheimzahl",
    "cryptogram", "secret", "sicurezza",
)  # fmt: skip
"""One of these stands in every label, so that most texts are done at a glance."""

_FRAGMENT: Final = re.compile(r"[\d \t._\-/]*\d[\d \t._\-/]*")


def mask_pan(digits: str) -> str:
    """A card number as it may be shown: first six and last four digits, the rest starred."""
    plain = "".join(str(int(character)) for character in digits if character.isdecimal())
    if len(plain) < DIGITS_MIN:
        return "*" * max(0, len(plain) - SHOWN_LAST) + plain[-SHOWN_LAST:] if len(plain) > 4 else "*" * len(plain)
    return plain[:SHOWN_FIRST] + "*" * (len(plain) - SHOWN_FIRST - SHOWN_LAST) + plain[-SHOWN_LAST:]


def is_masked(text: str) -> bool:
    """True if the text is a masked card number: mask characters, and no more than ten digits."""
    if not any(mark in text for mark in _MASK_CHARACTERS):
        return False
    return sum(character.isdigit() for character in text) <= SHOWN_FIRST + SHOWN_LAST


def contains_card_data(text: str) -> bool:
    """True if the text holds something that looks like a whole card number or a magnetic track."""
    return redact(text) != text


def hides_card_number(digits: str) -> bool:
    """True if any stretch of these digits is a card number, whatever stands before and after it without a gap.

    For packed digits in data of unknown make, where tags, lengths and padding touch the number. Linear. Many a long row
    of other digits seems to hide one, too, which is the safe side.

    Args:
        digits: 0 to 9 only.
    """
    even, odd = _luhn_sums(digits)
    for start in range(len(digits) - DIGITS_MIN + 1):
        if digits[start] not in _FIRST_DIGITS:
            continue
        low, high = _lengths(digits[start : start + PREFIX_MAX])
        for end in range(start + low, min(start + high, len(digits)) + 1):
            running = odd if end % 2 == 0 else even
            if (running[end] - running[start]) % 10 == 0:
                return True
    return False


def redact(text: str) -> str:
    """The text with every card number and track starred out, at the same length; doing it twice changes nothing."""
    if len(text) < DIGITS_MIN:
        return text
    # Neither a card number nor track 2 has fewer digits, and most texts are done here. Track 1 may be cut or padded
    # with blanks, and then still names the card holder.
    if "^" not in text and text.isascii() and len(text) - len(text.encode().translate(None, _DIGITS)) < DIGITS_MIN:
        return text
    once = _redacted(text, keep_ends=True)
    if once == text or _redacted(once, keep_ends=True) == once:
        return once
    # The digits left of one number make another one with what stands beside them: then nothing of them stays.
    return _redacted(text, keep_ends=False)


def redact_bytes(data: bytes) -> bytes:
    """The same for bytes, be they ASCII, UTF-8, Latin-1, UTF-16 or no text at all; the length stays."""
    text = data.decode("utf-8", "surrogateescape")
    clean = redact(text)
    if clean == text:
        return data
    return b"".join(
        _encoded(before) if before == after else b"*" * len(_encoded(before))
        for before, after in zip(text, clean, strict=True)
    )


def refuse_card_data(text: str, *, where: str) -> str:
    """The text itself, if it is free of card data.

    Raises:
        CardDataRefused: naming `where`, never the data.
    """
    if contains_card_data(text):
        raise CardDataRefused(f"{where} holds what looks like a card number or track")
    return text


def redact_labelled(text: str) -> str:
    """The text with check codes and PINs starred out where a word says that they are some: `CVC: 123`."""
    lower = text.lower()
    for word in _LABEL_WORDS:
        if word in lower:
            break
    else:
        return text
    return _LABELLED.sub(lambda match: match[1] + match[2] + "*" * len(match[3]), text)


def refuse_split_card_data(parts: tuple[str, ...], *, where: str) -> None:
    """Card data that was cut into pieces, in neighbouring texts that hold little but digits; or a labelled code.

    Raises:
        CardDataRefused: naming `where`, never the data.
    """
    pieces: list[str] = []
    for part in (*parts, ""):
        if part and _FRAGMENT.fullmatch(part):
            pieces.append(part)
            continue
        if len(pieces) > 1:
            refuse_card_data("".join("".join(filter(str.isdecimal, piece)) for piece in pieces), where=where)
        pieces = []
    told = ": ".join(parts)
    if redact_labelled(told) != told:
        raise CardDataRefused(f"{where} holds what looks like a check code or PIN")


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _redacted(text: str, *, keep_ends: bool) -> str:
    # Receipts come through here for every payment: a pattern is only tried where what it needs is there.
    if "^" in text:
        text = _TRACK1.sub(_starred, text)
    if ";" in text:
        text = _TRACK2_SENTINELS.sub(_starred, text)
    if "=" in text or "D" in text:
        text = _without_track2(text)

    def starred(chain: re.Match[str]) -> str:
        return _without_numbers(chain[0], keep_ends=keep_ends)

    text = _RUN.sub(starred, text)
    is_ascii = text.isascii()
    for chain, needed in _CHAINS:
        if not is_ascii or any(character in text for character in needed):
            text = chain.sub(starred, text)
    return text


def _starred(match: re.Match[str]) -> str:
    return "*" * len(match[0])


def _without_track2(text: str) -> str:
    """Star out number, separator and what follows it, wherever the digits before the separator end a card number.

    Any of the last 12 to 19 digits may begin the number: in a dump, tag and length stand before it without a gap.
    """
    spans = []
    for middle in _TRACK2_MIDDLE.finditer(text):
        before = re.search(r"\d{12,19}\Z", text[max(0, middle.start() - DIGITS_MAX) : middle.start()])
        rest = _TRACK2_REST.match(text, middle.start())
        assert before is not None
        assert rest is not None
        length = _longest_number_at_end(before[0])
        if length:
            spans.append((middle.start() - length, rest.end()))
    if not spans:
        return text
    out, at = [], 0
    for start, end in spans:
        begin = max(at, start)
        out += [text[at:begin], "*" * (end - begin)]
        at = max(at, end)
    return "".join(out) + text[at:]


def _longest_number_at_end(digits: str) -> int:
    for length in range(len(digits), DIGITS_MIN - 1, -1):
        number = digits[-length:]
        low, high = _lengths(number)
        if low <= length <= high and _check_digit_right(number):
            return length
    return 0


def _without_numbers(chain: str, *, keep_ends: bool) -> str:
    """Star out each card number in groups of digits that stand together."""
    if len(chain) < DIGITS_MIN:
        return chain
    places = [place for place, character in enumerate(chain) if character.isdecimal()]
    count = len(places)
    if count < DIGITS_MIN:
        return chain
    digits = "".join([str(int(chain[place])) for place in places])
    begins = [0, *(k for k in range(1, count) if places[k] != places[k - 1] + 1)]
    stars: list[int] = []
    ends = {*begins, count}
    free_from = 0
    sums: list[list[int]] = []
    for begin, group_end in zip(begins, [*begins[1:], count], strict=True):
        start = begin + _leading_zeros(digits, begin, group_end)
        if begin < free_from or group_end - start > DIGITS_MAX:
            continue
        end = _number_end(digits, start, ends, sums)
        if end:
            free_from = end
            stars += range(start + SHOWN_FIRST, end - SHOWN_LAST) if keep_ends else range(begin, end)
    if not stars:
        return chain
    out = list(chain)
    for k in stars:
        out[places[k]] = "*"
    return "".join(out)


def _number_end(digits: str, start: int, ends: set[int], sums: list[list[int]]) -> int:
    """Where the longest card number from `start` ends, at the end of a group; 0 for none.

    `sums` is filled once it is needed: most chains of digits begin or end like no card number.
    """
    low, high = _lengths(digits[start : start + PREFIX_MAX])
    for end in range(min(start + high, len(digits)), start + low - 1, -1):
        if end not in ends:
            continue
        if not sums:
            sums += _luhn_sums(digits)
        running = sums[(end - 1) % 2]
        if (running[end] - running[start]) % 10 == 0:
            return end
    return 0


def _leading_zeros(digits: str, begin: int, end: int) -> int:
    """Numbers are also written with zeros in front, to a fixed width."""
    at = begin
    while at < end and digits[at] == "0":
        at += 1
    return at - begin if at < end else 0


def _lengths(first_digits: str) -> tuple[int, int]:
    """Least and greatest length of a card number that begins so; no length at all where no scheme does."""
    for prefix, low, high in SCHEMES:
        if first_digits.startswith(prefix):
            return low, high
    return DIGITS_MAX + 1, DIGITS_MAX


_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def _luhn_sums(digits: str) -> tuple[list[int], list[int]]:
    """Running sums of the check, for numbers that end at an even and at an odd index: a window costs a subtraction."""
    values = [int(digit) for digit in digits]
    at_even = accumulate((_DOUBLED[v] if k % 2 else v for k, v in enumerate(values)), initial=0)
    at_odd = accumulate((v if k % 2 else _DOUBLED[v] for k, v in enumerate(values)), initial=0)
    return list(at_even), list(at_odd)


def _check_digit_right(digits: str) -> bool:
    """Luhn. Source: ISO/IEC 7812-1, annex B."""
    even, odd = _luhn_sums(digits)
    return (odd if (len(digits) - 1) % 2 else even)[-1] % 10 == 0
