"""Where books, records and totals change together: capture, receipts, settling after a restart.

No function here awaits: none of these can be interrupted half way.
"""

from __future__ import annotations

from typing import Final

from zahlwerk.lifecycle import PaymentState, Step, advance
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentKind, PaymentRequest, Receipt, ReceiptKind
from zahlwerk.terminal import TotalKind
from zahlwerk.virtual.device import Device, Record
from zahlwerk.virtual.host import Booking, BookingState
from zahlwerk.virtual.kinds import RULES
from zahlwerk.virtual.receipts import payment_receipt

__all__ = ["capture", "capture_hold", "issue_receipts", "recover", "release_hold", "taken_back"]

_UNDONE: Final = {PaymentKind.REVERSAL: Step.REVERSE, PaymentKind.REFUND: Step.REFUND}


def capture(
    device: Device, record: Record, request: PaymentRequest, amount: Money | None, *, standalone: bool = False
) -> PaymentState:
    """Confirm an approval at the host, count it, and note it; the state it has then."""
    assert record.booking is not None
    booking = device.host.capture(record.booking, amount.amount if amount else None)
    _count(device, booking)
    _mark_target(device, booking)
    state = advance(advance(PaymentState.APPROVED, Step.CONFIRM), Step.CONFIRMED)
    payment = _with_amount(record.payment, booking)
    record.payment = payment.but(state=PaymentState.STANDALONE if standalone else state, outcome=Outcome.APPROVED)
    if RULES[request.kind].effect or request.kind is PaymentKind.REVERSAL:
        device.latest = payment.sequence
    return record.payment.state


def capture_hold(device: Device, record: Record, amount: Money) -> None:
    """Take the final amount of a hold."""
    assert record.booking is not None
    booking = device.host.capture(record.booking, amount.amount)
    _count(device, booking)
    state = advance(advance(record.payment.state, Step.CAPTURE), Step.CAPTURED)
    record.payment = _with_amount(record.payment, booking).but(state=state)
    device.latest = record.payment.sequence


def release_hold(device: Device, record: Record) -> None:
    """Let go of a hold."""
    assert record.booking is not None
    device.host.void(record.booking)
    state = advance(advance(record.payment.state, Step.RELEASE), Step.RELEASED)
    record.payment = taken_back(record.payment, state, Outcome.ABORTED, "released on request")


def recover(device: Device) -> tuple[Payment, ...]:
    """After a restart: every payment that was cut off gets the end that the host's books say.

    Returns:
        Those that were approved and are taken back now.
    """
    reverted = []
    for record in device.records.values():
        if not record.is_open:
            continue
        booking = None if record.booking is None else device.host.booking(record.booking)
        if booking is not None and booking.state is BookingState.AUTHORISED:
            device.host.void(booking.number)
            record.payment = taken_back(
                record.payment,
                PaymentState.ROLLED_BACK,
                Outcome.FAILED,
                "the terminal restarted before the confirmation and took the approval back",
            )
            reverted.append(record.payment)
        elif booking is not None and booking.state is BookingState.REFERRED:
            record.payment = record.payment.but(outcome=Outcome.REFERRED, state=PaymentState.REFERRED)
        else:
            record.payment = record.payment.but(
                outcome=Outcome.FAILED,
                state=PaymentState.FAILED,
                message="the terminal restarted before anything was approved",
            )
    return tuple(reverted)


def issue_receipts(device: Device, record: Record, *, without: str = "") -> None:
    """Make the merchant's and the customer's receipt, in this order.

    Args:
        device: the terminal.
        record: the payment; the receipts are added to it.
        without: `none` for no receipt at all, `no-customer` for the merchant's only.
    """
    kinds = {"none": (), "no-customer": (ReceiptKind.MERCHANT,)}.get(
        without, (ReceiptKind.MERCHANT, ReceiptKind.CUSTOMER)
    )
    payment, head = record.payment, device.head()
    made = tuple(
        Receipt(kind, payment_receipt(payment, kind, head, order=record.order), sequence=payment.sequence)
        for kind in kinds
    )
    record.payment = payment.but(receipts=(*payment.receipts, *made))
    for receipt in made:
        device.issue(receipt)


def taken_back(payment: Payment, state: PaymentState, outcome: Outcome, message: str) -> Payment:
    """An approval that is none any more: no amount, no texts of success."""
    return payment.but(
        outcome=outcome, state=state, message=message, approved=None, tip=None, cashback=None, remaining=None,
        available=None, dcc=None, e_signature_png=b"", customer_text="", attendant_text="", result_code=None,
    )  # fmt: skip


def _with_amount(payment: Payment, booking: Booking) -> Payment:
    """The payment for what was captured in the end."""
    if payment.approved is None:
        return payment
    tip = Money(min(payment.tip.amount, booking.amount_minor), payment.tip.currency) if payment.tip else None
    lower = booking.amount != payment.approved
    return payment.but(approved=booking.amount, tip=tip, dcc=None if lower else payment.dcc)


def _count(device: Device, booking: Booking) -> None:
    """Add a confirmed booking to the totals."""
    kind = RULES[booking.kind].total
    if booking.kind is PaymentKind.REVERSAL and booking.target is not None:
        target = device.host.booking(booking.target)
        kind = TotalKind.CREDIT_REVERSAL if RULES[target.kind].effect < 0 else TotalKind.DEBIT_REVERSAL
    device.tally.add(
        brand=booking.brand,
        aid=booking.card.aid if booking.card else "",
        kind=kind,
        amount=booking.amount,
        tip_minor=booking.tip_minor,
    )


def _mark_target(device: Device, booking: Booking) -> None:
    """A reversal or refund is noted at what it undoes."""
    step = _UNDONE.get(booking.kind)
    if step is None or booking.target is None:
        return
    for record in device.records.values():
        if record.booking == booking.target and record.payment.state is not PaymentState.HELD:
            record.payment = record.payment.but(state=advance(record.payment.state, step))
