"""Results as ZVT tells them: a payment, a refusal, totals as status information (04 0F). Pure.

Source: fact sheet 3.3 (which fields, in which order), 3.4 (totals), 4.2 and 4.3 (tags), 5.1 (result codes).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from string import hexdigits
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from zahlwerk.carddata import redact
from zahlwerk.interfaces.zvt.charsets import Charset
from zahlwerk.interfaces.zvt.dictionary import CARDS
from zahlwerk.interfaces.zvt.messages import Message, Tlv, Value
from zahlwerk.interfaces.zvt.terminal import Registered
from zahlwerk.interfaces.zvt.values import mask_digits
from zahlwerk.payment import EntryMode, Outcome, Payment
from zahlwerk.terminal import TotalKind, Totals

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Asked", "receipt_number", "result_code", "status_information", "totals_information"]

CANCELLED: Final = 0x6C
OTHER: Final = 0xFF
CALL: Final = 0x02
HOST_FAULT: Final = 0x9B
RECEIPT_MAX: Final = 9_999
TRACE_MAX: Final = 999_999
TOKEN: Final = 0x80
"""Bit of tag 1F15: send the token."""
LABEL_MAX: Final = 98
"""Bytes of BMP 8B without its closing 00."""
TEXT_MAX: Final = 200
"""Bytes of a text for the receipt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What of the register's request shapes the result."""

    has_currency: bool = False
    """It sent BMP 49, so the result repeats it."""
    wants_token: bool = False
    original_trace: int | None = None
    """Of a reversal: the trace number of what it undoes (BMP 37)."""


_ENTRY: Final[Mapping[EntryMode, int]] = MappingProxyType({
    EntryMode.MAGSTRIPE: 0x00, EntryMode.FALLBACK: 0x00, EntryMode.CHIP: 0x01, EntryMode.CONTACTLESS: 0x02,
    EntryMode.CONTACTLESS_MAGSTRIPE: 0x02,
})  # fmt: skip
"""Tag 1F12."""
_TYPE_OF: Final[Mapping[str, int]] = MappingProxyType(
    {row.brand.casefold(): row.number for row in sorted(CARDS.values(), key=lambda row: -row.number)}
    | {"visa": 10, "mastercard": 6, "diners": 12, "amex": 8, "alipay": 97, "vpay": 13, "airplus": 127}
)
"""ZVT card type id by brand, in small letters."""
_SLOT_OF: Final[Mapping[str, int]] = MappingProxyType({
    "girocard": 0, "jcb": 1, "mastercard": 2, "maestro": 2, "american express": 3, "amex": 3, "visa": 4, "v pay": 4,
    "visa electron": 4, "diners": 5, "diners club": 5,
})  # fmt: skip
OTHERS: Final = 6


def receipt_number(sequence: int) -> int:
    """The receipt number of a transaction counter: four digits, never 0."""
    return (sequence - 1) % RECEIPT_MAX + 1


def result_code(payment: Payment) -> int:
    """BMP 27 for what became of a payment. Source: fact sheet 5.1; of the host's own code where it is known."""
    match payment.outcome:
        case Outcome.APPROVED:
            return 0
        case Outcome.REFERRED:
            return 0x01 if payment.response_code == "01" else CALL
        case Outcome.ABORTED:
            return CANCELLED
        case Outcome.DECLINED:
            code = payment.response_code
            return int(code) if code.isascii() and code.isdecimal() and 0 < int(code) < 100 else 0x05
        case Outcome.FAILED:
            return HOST_FAULT if payment.message else OTHER
        case _:
            return HOST_FAULT


def status_information(
    payment: Payment, registered: Registered, asked: Asked, *, code: int | None, now: datetime, terminal_id: str
) -> Message:
    """A payment as 04 0F.

    Args:
        code: BMP 27; None for what the payment's outcome says.
        now: local time, where the payment has none.
    """
    result = result_code(payment) if code is None else code
    fields: dict[int, Value] = {0x27: result}
    amount = payment.requested if payment.approved is None else payment.approved
    if amount is not None:
        fields[0x04] = amount.amount
    _numbers(payment, fields)
    if asked.original_trace is not None and result == 0:
        fields[0x37] = asked.original_trace if asked.original_trace <= TRACE_MAX else 0
    moment = payment.terminal_time or now
    fields[0x0C] = f"{moment:%H%M%S}"
    fields[0x0D] = f"{moment:%m%d}"
    pan = payment.masked_pan
    masked = "".join("E" if character in "*Xx•#" else character for character in pan if character not in " -")
    if masked and all(character in "0123456789E" for character in masked):
        # A result is never lost over a number that another terminal has masked too little.
        fields[0x22] = mask_digits(masked)
    fields[0x29] = (terminal_id if terminal_id.isdecimal() and len(terminal_id) <= 8 else "0").rjust(8, "0")
    if payment.authorisation_code and result == 0:
        fields[0x3B] = payment.authorisation_code[:8]
    if asked.has_currency and amount is not None:
        fields[0x49] = amount.currency.number
    if payment.sequence is not None:
        fields[0x87] = receipt_number(payment.sequence)
    card_type = _TYPE_OF.get(payment.brand.casefold())
    if card_type is not None:
        fields[0x8A] = card_type if card_type < 0xFF else 0xFF
    text = payment.attendant_text or payment.message
    if text and result != 0:
        fields[0x3C] = _shortened(redact(text), TEXT_MAX, registered.charset)
    if payment.brand:
        fields[0x8B] = _shortened(payment.brand, LABEL_MAX, registered.charset)
    return Message(
        code=0x040F, fields=_in_order(fields), tlv=_tags(payment, asked, card_type, result) if registered.tlv else None
    )


_ORDER: Final = (
    0x27, 0x04, 0x0B, 0x37, 0x0C, 0x0D, 0x0E, 0x17, 0x19, 0x22, 0x29, 0x3B, 0x49, 0x4C, 0x87, 0x8A, 0x8C, 0x9A, 0xBA,
    0x2A, 0x3C, 0xA0, 0x88, 0x8B,
)  # fmt: skip
"""The customary order, on which some registers depend. Source: fact sheet 3.3."""


def _in_order(fields: dict[int, Value]) -> dict[int, Value]:
    return {number: fields[number] for number in _ORDER if number in fields}


def _shortened(text: str, size: int, charset: Charset) -> str:
    """So much of a text as fits, in bytes: a letter may take several of them."""
    text = text[:size]
    while len(charset.encode(text)) > size:
        text = text[:-1]
    return text


def _numbers(payment: Payment, fields: dict[int, Value]) -> None:
    if payment.sequence is not None:
        fields[0x0B] = payment.sequence if payment.sequence <= TRACE_MAX else 0


def _tags(payment: Payment, asked: Asked, card_type: int | None, result: int) -> tuple[Tlv, ...]:
    tags: list[Tlv] = []
    if payment.sequence is not None and payment.sequence > TRACE_MAX:
        tags.append(Tlv(0x1F2B, payment.sequence))
    way = [Tlv(0x1F11, 0x01)]
    if payment.entry_mode in _ENTRY:
        way.append(Tlv(0x1F12, _ENTRY[payment.entry_mode]))
        tags.append(Tlv(0x2F, tuple(way)))
    if payment.aid and len(payment.aid) % 2 == 0 and all(character in hexdigits for character in payment.aid):
        application = [Tlv(0x43, bytes.fromhex(payment.aid))]
        if payment.brand.isascii():
            application.append(Tlv(0x42, payment.brand))
        tags.append(Tlv(0x60, tuple(application)))
    if card_type is not None and card_type >= 0xFF:
        tags.append(Tlv(0x41, card_type))
    if payment.tip is not None and payment.tip.amount and result == 0:
        tags.append(Tlv(0x1F36, payment.tip.amount))
    if payment.cashback is not None and payment.cashback.amount and result == 0:
        tags.append(Tlv(0x1F25, payment.cashback.amount))
    if asked.wants_token and payment.token:
        tags.append(Tlv(0x1F14, _token(payment.token)))
    if payment.dcc is not None:
        foreign = payment.dcc.amount
        amounts = (
            Tlv(0x1F1D, 0x03), Tlv(0x1F20, foreign.amount), Tlv(0x1F21, foreign.currency.number),
            Tlv(0x1F1E, foreign.currency.exponent),
        )  # fmt: skip
        tags.append(Tlv(0xE2, (Tlv(0x31, amounts),)))
    if payment.available is not None and payment.available.amount >= 0:
        digits = str(payment.available.amount)
        tags.append(Tlv(0x1F6A, bytes.fromhex(digits.rjust(len(digits) + len(digits) % 2, "0"))))
    if result not in {0, CANCELLED} and payment.message:
        tags.append(Tlv(0x1F17, redact(payment.message)[:200]))
    return tuple(tags)


def _token(text: str) -> bytes:
    """The domain's tokens are base64; whatever else comes is passed on as it is."""
    import base64
    import binascii

    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return text.encode("utf-8")


def totals_information(
    totals: Totals, registered: Registered, *, now: datetime, currency_number: int | None, receipts: tuple[int, int]
) -> Message:
    """The terminal's figures as 04 0F with BMP 60.

    Args:
        currency_number: ISO 4217; lines in other currencies are left out.
        receipts: first and last receipt number; 0 where there was none.
    """
    counts = [0] * 7
    sums = [0] * 7
    for line in totals.totals:
        if line.kind is TotalKind.RESERVATION or line.amount.currency.number != currency_number:
            continue  # nothing was turned over yet; or it cannot be added
        slot = _SLOT_OF.get(line.brand.casefold(), OTHERS)
        sign = -1 if line.kind in {TotalKind.CREDIT, TotalKind.DEBIT_REVERSAL} else 1
        counts[slot] += line.count
        sums[slot] += sign * line.amount.amount
    block = b"".join(bytes.fromhex(f"{number:04d}") for number in receipts)
    for count, amount in zip(counts, sums, strict=True):
        block += bytes([count % 256]) + bytes.fromhex(f"{abs(amount) % 10**12:012d}")
    fields: dict[int, Value] = {0x27: 0, 0x04: abs(sum(sums)) % 10**12, 0x0C: f"{now:%H%M%S}", 0x0D: f"{now:%m%d}"}
    if registered.currency_number is not None and currency_number is not None:
        fields[0x49] = currency_number
    fields[0x60] = block
    return Message(code=0x040F, fields=fields)
