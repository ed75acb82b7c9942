"""A register's commands as requests to a `Terminal`. Pure. Source: fact sheet 2.2, 2.8, 6.4, 6.5."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from zahlwerk.currency import CURRENCIES
from zahlwerk.errors import InvalidRequest
from zahlwerk.interfaces.zvt.answers import TOKEN, Asked, receipt_number
from zahlwerk.interfaces.zvt.conversion import Stay
from zahlwerk.interfaces.zvt.messages import Message
from zahlwerk.money import Currency, Money
from zahlwerk.payment import Original, Payment, PaymentKind, PaymentRequest
from zahlwerk.terminal import HoldId

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MONEY_COMMANDS", "Known", "Order", "currency_of", "order_of"]

_K = PaymentKind
_BY_NUMBER: Final[Mapping[int, str]] = MappingProxyType({item.number: item.code for item in CURRENCIES.values()})
MONEY_COMMANDS: Final = frozenset(
    {0x0601, 0x0603, 0x0604, 0x0621, 0x0622, 0x0623, 0x0624, 0x0625, 0x0626, 0x0630, 0x0631}
)
"""Commands that become a payment or a step of one."""
ALL_RECEIPTS: Final = b"\xff\xff"
# LIMIT: payments whose receipt numbers can still be named: a busy week.
KNOWN_MAX: Final = 2_000
# LIMIT: of them, holds and reservations that are remembered over restarts.
STAYS_MAX: Final = 50
_STAYS: Final = frozenset({
    _K.AUTHORISATION, _K.RESERVATION, _K.RESERVATION_ADJUSTMENT, _K.RESERVATION_PHONE_CONFIRM,
})  # fmt: skip


@dataclass(slots=True)
class Known:
    """Payments by their receipt numbers, for the later steps that name them."""

    payments: OrderedDict[int, Payment] = field(default_factory=OrderedDict)
    first_receipt: int | None = None
    """The first one since the last end of day."""

    def add(self, payment: Payment) -> None:
        """An approved payment of today."""
        if payment.sequence is not None and self.first_receipt is None:
            self.first_receipt = receipt_number(payment.sequence)
        self.remember(payment)

    @property
    def last_receipt(self) -> int | None:
        """The newest one, if there was one since the last end of day."""
        return next(reversed(self.payments), None) if self.first_receipt is not None else None

    def stays(self) -> tuple[Payment, ...]:
        """Holds and reservations, the newest of them: what they were for is needed to settle them."""
        found = [payment for payment in self.payments.values() if payment.kind in _STAYS]
        return tuple(found[-STAYS_MAX:])

    def remember(self, payment: Payment) -> None:
        """An approved payment, of whatever day."""
        if payment.sequence is None:
            return
        receipt = receipt_number(payment.sequence)
        self.payments[receipt] = payment
        self.payments.move_to_end(receipt)
        while len(self.payments) > KNOWN_MAX:
            self.payments.popitem(last=False)

    def sequence(self, receipt: int) -> int:
        """The transaction counter behind a receipt number; of one that is not known, the number itself."""
        payment = self.payments.get(receipt)
        return payment.sequence if payment is not None and payment.sequence is not None else receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a command asks of the terminal: a request, or the settlement of a hold."""

    asked: Asked
    request: PaymentRequest | None = None
    hold: HoldId | None = None
    captured: Money | None = None
    """With `hold`: what to take; None releases it."""
    goods_s: float | None = None
    """BMP 01."""
    repeats_max: int | None = None
    """BMP 02."""


def currency_of(message: Message, registered_number: int | None, default: Currency | None) -> Currency | None:
    """The currency of a command: its own, the registration's, or the default; None for a number that is no currency."""
    number = message.number(0x49)
    if number is None:
        number = registered_number
    if number is None:
        return default
    code = _BY_NUMBER.get(number)
    return None if code is None else Currency.of(code)


def order_of(message: Message, known: Known, currency: Currency, *, can_hold: bool, language: str) -> Order:
    """What a command of `MONEY_COMMANDS` asks.

    Args:
        can_hold: the terminal can authorise now and settle later; else a pre-authorisation becomes a reservation.

    Raises:
        InvalidRequest: it asks for nothing that could be done.
    """
    asked = Asked(has_currency=0x49 in message.fields, wants_token=bool((message.tag_number(0x1F15) or 0) & TOKEN))
    goods = message.number(0x01)
    told = message.tag_text(0x15)[:2].lower() or language
    minor = message.number(0x04)
    amount = Money(minor, currency) if minor is not None else None
    order = Order(asked=asked, goods_s=None if goods is None else float(goods), repeats_max=message.number(0x02))
    match message.code:
        case 0x0601:
            request = _purchase(message, amount, currency, told)
        case 0x0603:
            request = PaymentRequest(kind=_K.BALANCE_INQUIRY, language=told)
        case 0x0604:
            kind = _K.CARD_ACTIVATION if amount is None else _K.LOAD
            request = PaymentRequest(kind=kind, amount=amount, language=told)
        case 0x0621:
            request = PaymentRequest(
                kind=_K.PHONE_AUTHORISED, amount=amount, authorisation_code=message.text(0x3B), language=told
            )
        case 0x0622:
            request = _reservation(message, amount, known, can_hold=can_hold, language=told)
        case 0x0630:
            request = _reversal(message, amount, known)
        case 0x0631:
            request = PaymentRequest(kind=_K.REFUND, amount=amount, language=told)
        case _:
            return _settlement(message, amount, known, order)
    if request.kind is _K.REVERSAL and request.original is not None:
        asked = replace(asked, original_trace=request.original.sequence)
    return Order(asked=asked, request=request, goods_s=order.goods_s, repeats_max=order.repeats_max)


def _purchase(message: Message, total: Money | None, currency: Currency, language: str) -> PaymentRequest:
    """BMP 04 includes tip and cashback (4.2): no more than it is ever charged."""
    tip = Money(message.tag_number(0x1F36) or 0, currency)
    cashback = Money(message.tag_number(0x1F25) or 0, currency)
    if total is not None and tip.amount + cashback.amount > total.amount:
        raise InvalidRequest("tip and cash-back are more than the amount, which includes them")
    amount = None if total is None else Money(total.amount - tip.amount - cashback.amount, currency)
    return PaymentRequest(
        kind=_K.PURCHASE_WITH_CASHBACK if cashback.amount else _K.PURCHASE,
        amount=amount,
        tip=tip if tip.amount else None,
        cashback=cashback if cashback.amount else None,
        partial_approval=bool(message.tag_number(0x1F70)),
        language=language,
    )


def _reservation(
    message: Message, amount: Money | None, known: Known, *, can_hold: bool, language: str
) -> PaymentRequest:
    kind = {0x02: _K.RESERVATION, 0x03: _K.RESERVATION_ADJUSTMENT, 0x07: _K.RESERVATION_PHONE_CONFIRM}.get(
        message.tag_number(0x1F06) or 0
    )
    trace = message.tag_number(0x1F2B) or message.number(0x0B)
    if kind is None:
        first = _K.AUTHORISATION if can_hold else _K.RESERVATION
        kind = _K.RESERVATION_ADJUSTMENT if trace else first
    original = None
    if kind in {_K.RESERVATION_ADJUSTMENT, _K.RESERVATION_PHONE_CONFIRM}:
        original = _original(known, trace=trace, attribute=message.text(0x3B))
    return PaymentRequest(kind=kind, amount=amount, original=original, language=language)


def _original(known: Known, *, receipt: int | None = None, trace: int | None = None, attribute: str = "") -> Original:
    """The earlier payment, by what the register kept of it."""
    for number, payment in reversed(known.payments.items()):
        if number == receipt or (receipt is None and trace is not None and payment.sequence == trace):
            return Original(
                transaction_reference=payment.transaction_reference or str(Stay(number, trace, attribute)),
                acquirer_id=payment.acquirer_id,
                sequence=payment.sequence,
            )
    if receipt is None and trace is None:
        raise InvalidRequest("the command names no earlier transaction")
    number = receipt if receipt is not None else receipt_number(trace or 1)
    return Original(transaction_reference=str(Stay(number, trace, attribute[:8])), sequence=known.sequence(number))


def _reversal(message: Message, amount: Money | None, known: Known) -> PaymentRequest:
    receipt = message.number(0x87)
    if not receipt:
        raise InvalidRequest("a reversal names the receipt of what it undoes")
    payment = known.payments.get(receipt)
    if payment is not None and amount is not None and payment.approved is not None and payment.approved != amount:
        raise InvalidRequest("the amount is not that of the payment")
    return PaymentRequest(kind=_K.REVERSAL, original=Original(sequence=known.sequence(receipt)))


def _settlement(message: Message, amount: Money | None, known: Known, order: Order) -> Order:
    """06 23 gives the unused part, 06 24 the used one, 06 25 nothing is taken; 06 26 is of another terminal."""
    receipt = message.number(0x87)
    if message.code == 0x0626 or not receipt:
        raise InvalidRequest("only reservations of this terminal can be settled here")
    payment = known.payments.get(receipt)
    held = payment.approved if payment is not None else None
    if payment is not None and payment.kind not in {_K.AUTHORISATION}:
        return _stay_step(message, amount, known, receipt, payment, order)
    if held is not None and amount is not None and amount.currency != held.currency:
        raise InvalidRequest("the reservation is in another currency")
    captured = amount
    if message.code == 0x0625:
        captured = None
    elif message.code == 0x0623:
        if held is None:
            raise InvalidRequest("how much was reserved is not known here any more: book the total instead")
        captured = held if amount is None else Money(held.amount - amount.amount, held.currency)
        if captured.amount < 0:
            raise InvalidRequest("more is given back than was reserved")
        captured = captured if captured.amount else None
    elif captured is None:
        captured = held
        if captured is None:
            raise InvalidRequest("the command names no amount")
    return Order(asked=order.asked, hold=HoldId(str(known.sequence(receipt))), captured=captured)


def _stay_step(
    message: Message, amount: Money | None, known: Known, receipt: int, payment: Payment, order: Order
) -> Order:
    """A step of a reservation (hotel): another request of its own."""
    original = _original(known, receipt=receipt)
    if message.code == 0x0625:
        request = PaymentRequest(kind=_K.RESERVATION_CANCEL, original=original)
    else:
        used = amount
        if message.code == 0x0623 and payment.approved is not None:
            used = Money(payment.approved.amount - (amount.amount if amount else 0), payment.approved.currency)
        request = PaymentRequest(kind=_K.RESERVATION_CAPTURE, amount=used or payment.approved, original=original)
    return Order(asked=order.asked, request=request)
