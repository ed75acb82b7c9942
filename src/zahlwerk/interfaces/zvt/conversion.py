"""The domain's words in ZVT's, and back: requests to commands, results to payments. Pure.

Source: fact sheet 2.2 (commands), 2.8 (payment type), 5.1 (result codes), 6.3 to 6.5 (payment, reversal, reservation).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from zahlwerk.carddata import is_masked
from zahlwerk.currency import CURRENCIES
from zahlwerk.errors import InvalidRequest, NotSupported
from zahlwerk.interfaces.zvt.dictionary import brand_of, result_row
from zahlwerk.interfaces.zvt.information import StatusInformation, batch_totals
from zahlwerk.interfaces.zvt.messages import Message, Tlv, Value
from zahlwerk.interfaces.zvt.recovery import terminal_moment
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Currency, Money
from zahlwerk.payment import Dcc, EntryMode, Outcome, Payment, PaymentKind, PaymentRequest
from zahlwerk.terminal import Period, Total, TotalKind, Totals

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "COMMAND_OF",
    "SETTLED",
    "Stay",
    "approved_payment",
    "command_for",
    "not_paid",
    "stay_of",
    "totals_from",
]

INTERFACE: Final = "ZVT"
_K = PaymentKind

COMMAND_OF: Final[Mapping[PaymentKind, int]] = MappingProxyType(
    {
        _K.PURCHASE: 0x0601,
        _K.PURCHASE_WITH_CASHBACK: 0x0601,
        _K.REFUND: 0x0631,
        _K.REVERSAL: 0x0630,
        _K.AUTHORISATION: 0x0622,
        _K.RESERVATION: 0x0622,
        _K.RESERVATION_ADJUSTMENT: 0x0622,
        _K.RESERVATION_CAPTURE: 0x0624,
        _K.RESERVATION_CANCEL: 0x0625,
        _K.RESERVATION_PHONE_CONFIRM: 0x0622,
        _K.PHONE_AUTHORISED: 0x0621,
        _K.BALANCE_INQUIRY: 0x0603,
        _K.CARD_ACTIVATION: 0x0604,
        _K.LOAD: 0x0604,
    }
)
"""Which command carries out a kind; a missing kind cannot be expressed. Source: fact sheet 2.2."""

_RESERVATION_TYPE: Final[Mapping[PaymentKind, int]] = MappingProxyType(
    {
        _K.RESERVATION: 0x02,
        _K.RESERVATION_ADJUSTMENT: 0x03,
        _K.RESERVATION_PHONE_CONFIRM: 0x07,
    }
)
"""Tag 1F06. Source: fact sheet 4.2."""

SETTLED: Final[Mapping[PaymentKind, PaymentState]] = MappingProxyType({_K.AUTHORISATION: PaymentState.HELD})
"""The state of an approval, where it is not CONFIRMED."""

_BY_NUMBER: Final[Mapping[int, str]] = MappingProxyType({item.number: item.code for item in CURRENCIES.values()})
# LIMIT: BMP 04 has twelve digits, BMP 87 four.
AMOUNT_MAX: Final = 10**12 - 1
RECEIPT_MAX: Final = 9999


@dataclass(frozen=True, slots=True)
class Stay:
    """What names a reservation for its later steps: receipt, trace and approval code. Source: fact sheet 6.5."""

    receipt: int
    trace: int | None = None
    attribute: str = ""

    def __str__(self) -> str:
        """The `Payment.transaction_reference` of a reservation."""
        return f"{self.receipt:04d}-{'' if self.trace is None else self.trace}-{self.attribute}"


_STAY: Final = re.compile(r"(?P<receipt>\d{1,4})(?:-(?P<trace>\d{0,12})-(?P<attribute>[\x21-\x7e]{0,8}))?", re.ASCII)


def stay_of(text: str) -> Stay:
    """A reservation out of its transaction reference.

    Raises:
        InvalidRequest: the text is none.
    """
    found = _STAY.fullmatch(text)
    if found is None:
        raise InvalidRequest(
            f"not a reservation of a ZVT terminal: {text[:32]!r}",
            remedy="pass the transaction_reference of the reservation's Payment, such as 0154-276-058812",
        )
    return Stay(int(found["receipt"]), int(found["trace"]) if found["trace"] else None, found["attribute"] or "")


def command_for(
    request: PaymentRequest,
    *,
    password: str,
    receipt: int | None = None,
    payment_type: int | None = None,
    goods_s: int | None = None,
    tlv: bool = True,
) -> Message:
    """The command that asks for a payment.

    Args:
        password: six digits.
        receipt: of a reversal, the receipt number of what it undoes.
        payment_type: BMP 19; None leaves the choice to the terminal.
        goods_s: BMP 01, how long the terminal shall wait for our decision; None leaves it at its own time.
        tlv: the terminal understands TLV.

    Raises:
        NotSupported: ZVT has no command for the kind.
        InvalidRequest: an amount or text is more than the command can carry.
    """
    code = COMMAND_OF.get(request.kind)
    if code is None:
        raise NotSupported(f"do a payment of kind {request.kind.value}", INTERFACE)
    head: dict[str, Value] = {}
    fields: dict[int, Value] = {}
    tags: list[Tlv] = []
    if code in {0x0630, 0x0631, 0x0621}:
        head["password"] = password
    _original(request, code, receipt, fields, tags)
    total = request.total
    if total is not None:
        if total.amount > AMOUNT_MAX:
            raise InvalidRequest(f"ZVT carries at most twelve digits, got {total}")
        fields[0x04] = total.amount
        fields[0x49] = total.currency.number
    if code in {0x0601, 0x0621, 0x0622} and payment_type is not None:
        fields[0x19] = payment_type
    if code in {0x0601, 0x0621, 0x0622} and goods_s is not None:
        fields[0x01] = goods_s
    if request.kind is _K.PHONE_AUTHORISED:
        fields[0x3B] = _attribute(request.authorisation_code)
    if request.tip:
        tags.append(Tlv(0x1F36, request.tip.amount))
    if request.cashback:
        tags.append(Tlv(0x1F25, request.cashback.amount))
    if request.kind in _RESERVATION_TYPE:
        tags.append(Tlv(0x1F06, _RESERVATION_TYPE[request.kind]))
    if request.partial_approval and code == 0x0601:
        tags.append(Tlv(0x1F70, 1))
    if request.language and code in {0x0601, 0x0604, 0x0622, 0x0624, 0x0631}:
        tags.append(Tlv(0x15, request.language[:2].upper()))
    needed = [tag for tag in tags if tag.tag in {0x1F36, 0x1F25}]
    if needed and not tlv:
        raise NotSupported("send a tip or cashback that is known beforehand", f"{INTERFACE} without TLV")
    return Message(code=code, head=head, fields=fields, tlv=tuple(tags) if tlv else None)


def _attribute(text: str) -> str:
    if not (text.isascii() and text.isprintable() and len(text) <= 8):
        raise InvalidRequest("an authorisation code has at most eight plain characters")
    return text


def _original(
    request: PaymentRequest, code: int, receipt: int | None, fields: dict[int, Value], tags: list[Tlv]
) -> None:
    """What the command says about an earlier transaction."""
    if code == 0x0630:
        if receipt is None:
            raise InvalidRequest(
                "a reversal over ZVT names the receipt of what it undoes",
                remedy="pass sequence=, the receipt number of the payment",
            )
        fields[0x87] = _receipt(receipt)
        return
    if request.original is None or not request.original.transaction_reference or code not in {0x0622, 0x0624, 0x0625}:
        return
    stay = stay_of(request.original.transaction_reference)
    if code in {0x0624, 0x0625}:
        fields[0x87] = _receipt(stay.receipt)
    if code == 0x0625:
        return
    if stay.trace is not None:
        fields[0x0B] = stay.trace if stay.trace <= 999_999 else 0
        if stay.trace > 999_999:
            tags.append(Tlv(0x1F2B, stay.trace))
    if stay.attribute:
        fields[0x3B] = stay.attribute


def _receipt(number: int) -> int:
    if not 0 < number <= RECEIPT_MAX:
        raise InvalidRequest(f"a receipt number has one to four digits, got {number}")
    return number


# -- results


_ENTRY: Final[Mapping[int, EntryMode]] = MappingProxyType({
    0x00: EntryMode.MAGSTRIPE, 0x01: EntryMode.CHIP, 0x02: EntryMode.CONTACTLESS,
})  # fmt: skip
"""Tag 1F12. Source: fact sheet 4.2."""


def approved_payment(
    request: PaymentRequest,
    information: StatusInformation,
    *,
    state: PaymentState,
    now: datetime,
    amount_minor: int | None = None,
) -> Payment:
    """What an approval says.

    Args:
        state: where it stands now: APPROVED while undecided, CONFIRMED, HELD ...
        amount_minor: what was approved, if that is not BMP 04 (a part of the goods).
        now: local time, for the year of the terminal's date.
    """
    currency = _currency(request, information)
    minor = information.amount_minor if amount_minor is None else amount_minor
    approved = Money(minor, currency) if minor is not None and currency is not None else request.total
    payment = _facts(request, information, currency, now)
    remaining = None
    if request.total is not None and approved is not None and approved.currency == request.total.currency:
        short = request.total.amount - approved.amount
        remaining = Money(short, approved.currency) if short > 0 and request.partial_approval else None
    return payment.but(
        outcome=Outcome.APPROVED,
        state=state,
        approved=approved,
        remaining=remaining,
        result_code=0,
        response_code=f"{information.host_result:02X}" if information.host_result is not None else "00",
        attendant_text=information.additional_text.strip(),
    )


_STATES: Final[Mapping[Outcome, PaymentState]] = MappingProxyType(
    {
        Outcome.DECLINED: PaymentState.DECLINED,
        Outcome.REFERRED: PaymentState.REFERRED,
        Outcome.ABORTED: PaymentState.ABORTED,
        Outcome.FAILED: PaymentState.FAILED,
    }
)


def not_paid(
    request: PaymentRequest,
    code: int | None,
    information: StatusInformation | None,
    *,
    now: datetime,
    language: str = "en",
    state: PaymentState | None = None,
) -> Payment:
    """What a failure says: the code's class, and words for staff.

    Args:
        state: instead of the class's own: ROLLED_BACK for what was approved and taken back.
    """
    row = result_row(0xFF if code is None else code)
    outcome = row.outcome if row.outcome in _STATES else Outcome.FAILED
    if state is PaymentState.ROLLED_BACK:
        outcome = Outcome.ABORTED
    assert outcome is not None
    known = information if information is not None else StatusInformation()
    payment = _facts(request, known, _currency(request, known), now)
    text = " ".join(part for part in (row.staff.of(language), row.next_step.of(language)) if part)
    said = known.error_text or known.additional_text
    return payment.but(
        outcome=outcome,
        state=state or _STATES[outcome],
        approved=None,
        tip=None,
        cashback=None,
        result_code=code,
        response_code=f"{code:02d}" if code is not None and 1 <= code <= 99 else "",
        attendant_text=said.strip(),
        message=text,
    )


def _facts(
    request: PaymentRequest, information: StatusInformation, currency: Currency | None, now: datetime
) -> Payment:
    def money(minor: int | None) -> Money | None:
        return Money(minor, currency) if minor is not None and currency is not None else None

    pan = information.masked_pan.replace("E", "X")
    receipt = information.receipt_number
    stay = (
        str(Stay(receipt, information.trace, information.authorisation_attribute[:8]))
        if receipt is not None and request.kind in _STAYS
        else ""
    )
    return Payment(
        reference=request.reference,
        kind=request.kind,
        outcome=Outcome.UNKNOWN,
        state=PaymentState.UNKNOWN,
        requested=request.total,
        tip=money(information.tip_minor) if information.tip_minor else request.tip,
        cashback=money(information.cashback_minor) if information.cashback_minor else request.cashback,
        available=money(information.remaining_minor)
        if information.remaining_minor is not None
        else money(information.amount_minor)
        if request.kind is PaymentKind.BALANCE_INQUIRY
        else None,
        dcc=_dcc(information),
        brand=brand_of(information.card_type, information.aid, information.card_name),
        masked_pan=pan if is_masked(pan) else "",
        aid=information.aid,
        entry_mode=_ENTRY.get(information.technology, EntryMode.UNKNOWN)
        if information.technology is not None
        else EntryMode.UNKNOWN,
        token=information.token,
        authorisation_code=information.authorisation_attribute,
        terminal_id=information.terminal_id,
        sequence=receipt,
        transaction_reference=stay,
        terminal_time=terminal_moment(information.date, information.time, near=now),
    )


def _dcc(information: StatusInformation) -> Dcc | None:
    if information.dcc is None:
        return None
    minor, number = information.dcc
    code = _BY_NUMBER.get(number)
    return None if code is None else Dcc(Money(minor, Currency.of(code)))


_STAYS: Final = frozenset({
    _K.AUTHORISATION, _K.RESERVATION, _K.RESERVATION_ADJUSTMENT, _K.RESERVATION_PHONE_CONFIRM, _K.RESERVATION_CAPTURE,
})  # fmt: skip


def _currency(request: PaymentRequest, information: StatusInformation) -> Currency | None:
    """The result's own, or what was asked for: the terminal repeats only what it was told. Source: 3.3."""
    number = information.currency_number
    if number is not None and (code := _BY_NUMBER.get(number)) is not None:
        return Currency.of(code)
    return request.total.currency if request.total is not None else None


def totals_from(information: StatusInformation, period: Period, currency: Currency, receipt: str = "") -> Totals:
    """The terminal's figures. Without a readable BMP 60, the total alone. Source: fact sheet 3.4."""
    number = information.currency_number
    if number is not None and (code := _BY_NUMBER.get(number)) is not None:
        currency = Currency.of(code)
    counted = batch_totals(information.totals)
    lines = tuple(
        Total(
            brand=slot.brand or "other",
            kind=TotalKind.DEBIT,
            count=slot.count,
            amount=Money(slot.amount_minor, currency),
        )
        for slot in (counted.schemes if counted is not None else ())
        if slot.count or slot.amount_minor
    )
    total = information.amount_minor
    if not lines and total:
        lines = (Total(brand="all", kind=TotalKind.OTHER, count=0, amount=Money(total, currency)),)
    return Totals(period, lines, receipt)
