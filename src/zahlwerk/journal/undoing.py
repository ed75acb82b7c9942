"""Reversals and refunds noted at what they undo, so that a payment's record says that it was given back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from zahlwerk.errors import JournalError
from zahlwerk.journal.entries import EntryKind
from zahlwerk.journal.records import Record, amount_of
from zahlwerk.lifecycle import PaymentState
from zahlwerk.payment import Outcome, Payment, PaymentKind, PaymentRequest

if TYPE_CHECKING:
    from zahlwerk.journal.journal import Journal

__all__ = ["find_undone", "note_undoing"]

# LIMIT: how many counters of the terminal back its latest payment is looked for.
LOOK_BACK: Final = 50
_UNDOABLE: Final = frozenset({
    PaymentState.CONFIRMED, PaymentState.CAPTURED, PaymentState.STANDALONE, PaymentState.REFUNDED,
})  # fmt: skip
_UNDOING: Final = frozenset({PaymentKind.REVERSAL, PaymentKind.RESERVATION_CANCEL})


async def find_undone(journal: Journal, terminal: str, request: PaymentRequest, payment: Payment) -> Record | None:
    """The payment that an approved reversal or refund undoes; None for other payments, and where it is not certain.

    Raises nothing: what was given back was given back, whether or not it can be noted.
    """
    if payment.outcome is not Outcome.APPROVED or request.kind not in {PaymentKind.REVERSAL, PaymentKind.REFUND}:
        return None
    try:
        target = await _target(journal, terminal, request, payment)
    except JournalError:
        return None
    if target is None or request.reference in target.undone_by:
        return None
    # The table lets a refunded payment be refunded further, not reversed; then the reversal stands for itself.
    is_impossible = request.kind is PaymentKind.REVERSAL and target.state is PaymentState.REFUNDED
    return None if is_impossible else target


def note_undoing(journal: Journal, target: Record | None, request: PaymentRequest, payment: Payment) -> None:
    """Note it at what it undoes, in the batch of what was written just before: one is not durable without the other."""
    if target is None:
        return
    body: dict[str, object] = {"by": request.reference}
    if payment.approved is not None:
        body["amount"] = f"{payment.approved.amount} {payment.approved.currency.code}"
    kind = EntryKind.REVERSED if request.kind is PaymentKind.REVERSAL else EntryKind.REFUNDED
    journal.write(target.reference, target.terminal, [(kind, body)], sequence=target.sequence)


async def _target(journal: Journal, terminal: str, request: PaymentRequest, payment: Payment) -> Record | None:
    sequence = request.original.sequence if request.original is not None else None
    if sequence is not None:
        found = await journal.by_sequence(terminal, sequence)
        return next((record for record in found if _can_be_undone(record, request)), None)
    if request.kind is not PaymentKind.REVERSAL:
        return None  # a refund that names nothing undoes nothing in particular
    return await _latest(journal, terminal, request, payment)


async def _latest(journal: Journal, terminal: str, request: PaymentRequest, payment: Payment) -> Record | None:
    """What a reversal that names nothing has undone; None unless the terminal's counters leave no other.

    A counter that the journal does not know may be a payment that was typed in at the terminal.
    """
    if payment.sequence is None:
        return None
    for sequence in range(payment.sequence - 1, max(0, payment.sequence - LOOK_BACK), -1):
        found = await journal.by_sequence(terminal, sequence)
        if not found or (found[0].is_open and found[0].state is not PaymentState.HELD):
            return None
        if _can_be_undone(found[0], request):
            known = amount_of(found[0])
            agrees = payment.approved is None or known is None or known == payment.approved
            return found[0] if agrees else None
        if found[0].state in _UNDOABLE | {PaymentState.REVERSED}:
            return None  # the latest payment was a reversal, or is reversed already: what is left is a guess
    return None


def _can_be_undone(record: Record, request: PaymentRequest) -> bool:
    kind = record.request.kind if record.request is not None else PaymentKind.PURCHASE
    if record.state not in _UNDOABLE or kind in _UNDOING or record.reference == request.reference:
        return False
    return kind is not PaymentKind.REFUND or request.kind is PaymentKind.REVERSAL
