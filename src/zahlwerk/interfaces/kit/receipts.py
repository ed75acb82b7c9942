"""What a KIT receipt text proves, and receipts cut into parts and put together again. Pure.

The text is free (KIT fact sheet 4.9: "text must be read; formats vary"), so the judgement is strict on both sides.
APPROVED needs the authorisation code and the amount of the very payment, and not one word of refusal anywhere.
NOT_APPROVED needs a line of its own that says so: a footer ("No refund without this receipt") is no refusal. Anything
less is no proof.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, unique
from typing import Final

from zahlwerk.interfaces.kit.codes import ReceiptFlags
from zahlwerk.interfaces.kit.messages import ReceiptResponse, TransactionResponse

__all__ = ["PART_CHARACTERS", "ReceiptCollector", "ReceiptPart", "ReceiptVerdict", "judge_receipt", "split_receipt"]

# LIMIT: well under the 20480 bytes of a serial frame (1.4), even if every character takes four bytes.
PART_CHARACTERS: Final = 4_000

_REFUSED: Final = re.compile(
    r"abgelehnt|ablehnung|abgebrochen|abbruch|nicht\s+genehmigt|ung.ltig"
    r"|refus|interromp|rifiutat|non\s+autorizz"
    r"|declin|denied|abort|not\s+approved",
    re.IGNORECASE,
)
"""Words of refusal in the four languages of the terminals."""
_UNDONE: Final = re.compile(r"storn|annul|revoca|cancel|revers|\bvoid|rolled?\s+back", re.IGNORECASE)
"""Words of undoing. On the receipt of a reversal they say that it worked."""


@unique
class ReceiptVerdict(Enum):
    """What a receipt proves about a payment."""

    APPROVED = "approved"
    NOT_APPROVED = "not approved"
    SILENT = "nothing"


def judge_receipt(
    text: str, response: TransactionResponse | None, *, amount_minor: int | None, undoes: bool = False
) -> ReceiptVerdict:
    """What a receipt says about the payment with this answer and amount.

    Args:
        undoes: it is itself a reversal or cancellation, so that words of undoing are no sign against it.
    """
    if not text.strip():
        return ReceiptVerdict.SILENT
    code = response.auth_c if response is not None else None
    proves = bool(code) and re.search(rf"(?<![A-Za-z0-9]){re.escape(code or '')}(?![A-Za-z0-9])", text) is not None
    if _speaks_against(text, undoes=undoes):
        headline = any(_is_headline(line) and _speaks_against(line, undoes=undoes) for line in text.splitlines())
        return ReceiptVerdict.NOT_APPROVED if headline and not proves else ReceiptVerdict.SILENT
    if proves and amount_minor is not None and amount_minor in _numbers(text):
        return ReceiptVerdict.APPROVED
    return ReceiptVerdict.SILENT


_NUMBER: Final = re.compile(
    r"(?<![0-9.,:/-])(?:[0-9]{1,3}(?:[.,'\u2019\u00a0\u202f ][0-9]{3})+|[0-9]+)(?:[.,][0-9]{1,3})?"
    r"(?![0-9]|[.,:/-][0-9])"
)
"""An amount as people write it; not a part of a date, a time or a longer number."""
_DENIAL: Final = re.compile(r"\b(?:kein\w*|ohne|no|without|not|pas|sans|aucun\w*|non|nessun\w*|senza)\b", re.IGNORECASE)
# A headline is a word or two, such as TRANSAKTION ABGELEHNT; a sentence of a footer has more.
_HEADLINE_WORDS_MAX: Final = 3


def _speaks_against(text: str, *, undoes: bool) -> bool:
    return _REFUSED.search(text) is not None or (not undoes and _UNDONE.search(text) is not None)


def _is_headline(line: str) -> bool:
    words = re.findall(r"\w+", line)
    plain = re.sub(r"(?i)nicht\s+genehmigt|not\s+approved|non\s+autorizz", "", line)
    return 0 < len(words) <= _HEADLINE_WORDS_MAX and _DENIAL.search(plain) is None


def _numbers(text: str) -> frozenset[int]:
    """Every amount in the text, in minor units: its digits without separators."""
    return frozenset(int(re.sub(r"[^0-9]", "", found[0])[:18]) for found in _NUMBER.finditer(text))


def split_receipt(
    text: str, kind: int, *, flags: int = 0, part_characters: int = PART_CHARACTERS
) -> list[ReceiptResponse]:
    """A receipt as the messages that carry it, cut at line ends where possible. Source: 2.9, 4.7."""
    parts: list[str] = []
    rest = text
    while len(rest) > part_characters:
        cut = rest.rfind("\n", 0, part_characters) + 1 or part_characters
        parts.append(rest[:cut])
        rest = rest[cut:]
    parts.append(rest)
    return [
        ReceiptResponse(
            receipt_type=kind,
            receipt_flags=flags
            | (ReceiptFlags.FIRST_PART if index == 0 else 0)
            | (ReceiptFlags.MORE_DATA if index < len(parts) - 1 else 0),
            receipt_text=part,
        )
        for index, part in enumerate(parts)
    ]


@dataclass(frozen=True, slots=True)
class ReceiptPart:
    """A complete receipt: its type, text, and flags of the last part."""

    kind: int
    text: str
    flags: int


# LIMIT: a receipt is some kilobytes; a terminal that never ends one is stopped here.
RECEIPT_CHARACTERS_MAX: Final = 1_000_000
# LIMIT: fourteen types are known; a terminal that begins receipts of ever new types loses the oldest.
RECEIPT_TYPES_MAX: Final = 32


@dataclass(slots=True)
class ReceiptCollector:
    """Puts parts together, one buffer for each type. Source: 4.7, P-04."""

    _buffers: dict[int, list[str]] = field(default_factory=dict)

    def add(self, message: ReceiptResponse) -> ReceiptPart | None:
        """The receipt, once its last part is here."""
        buffer = self._buffers.setdefault(message.receipt_type, [])
        if len(self._buffers) > RECEIPT_TYPES_MAX:
            del self._buffers[next(iter(self._buffers))]
        flags = message.receipt_flags or 0
        if flags & ReceiptFlags.FIRST_PART:
            buffer.clear()
        if message.receipt_text and sum(map(len, buffer)) + len(message.receipt_text) <= RECEIPT_CHARACTERS_MAX:
            buffer.append(message.receipt_text)
        if flags & ReceiptFlags.MORE_DATA:
            return None
        del self._buffers[message.receipt_type]
        return ReceiptPart(message.receipt_type, "".join(buffer), flags)

    def clear(self) -> None:
        """Forget what was begun: the link was lost."""
        self._buffers.clear()
