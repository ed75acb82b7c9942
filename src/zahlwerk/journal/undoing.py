"""Reversals and refunds noted at what they undo, so that a payment's record says that it was given back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from zahlwerk.journal.entries import EntryKind
from zahlwerk.journal.records import Record, amount_of
from zahlwerk.lifecycle import PaymentState
from zahlwerk.payment import Payment, PaymentKind, PaymentRequest

if TYPE_CHECKING:
    from zahlwerk.journal.journal import Journal

__all__ = ["note_undoing"]

# LIMIT: how far back the latest payment of a terminal is looked for.
LOOK_BACK_ROWS: Final = 200
_UNDOABLE: Final = frozenset({
    PaymentState.CONFIRMED, PaymentState.CAPTURED, PaymentState.STANDALONE, PaymentState.REFUNDED,
})  # fmt: skip
_UNDOING: Final = frozenset({PaymentKind.REVERSAL, PaymentKind.RESERVATION_CANCEL, PaymentKind.REFUND})


async def note_undoing(journal: Journal, terminal: str, request: PaymentRequest, payment: Payment) -> None:
    """Note an approved reversal or refund at the payment it undoes, if the journal knows that one."""
    target = await _target(journal, terminal, request)
    if target is None or request.reference in target.undone_by:
        return
    is_reversal = request.kind is PaymentKind.REVERSAL
    if is_reversal and target.state is PaymentState.REFUNDED:
        return  # the table lets a refunded payment be refunded further, not reversed; the reversal stands for itself
    body: dict[str, object] = {"by": request.reference}
    if payment.approved is not None:
        body["amount"] = f"{payment.approved.amount} {payment.approved.currency.code}"
    kind = EntryKind.REVERSED if is_reversal else EntryKind.REFUNDED
    journal.write(target.reference, target.terminal, [(kind, body)], sequence=target.sequence)


async def _target(journal: Journal, terminal: str, request: PaymentRequest) -> Record | None:
    sequence = request.original.sequence if request.original is not None else None
    if sequence is not None:
        found = await journal.by_sequence(terminal, sequence)
        return next((record for record in found if _can_be_undone(record, request)), None)
    if request.kind is not PaymentKind.REVERSAL:
        return None  # a refund that names nothing undoes nothing in particular
    seen: set[str] = set()
    for row in reversed(await journal.latest(limit=LOOK_BACK_ROWS, terminal=terminal)):
        if not row.reference or row.reference in seen:
            continue
        seen.add(row.reference)
        record = await journal.find(row.reference)
        if record is not None and _can_be_undone(record, request) and amount_of(record) is not None:
            return record
    return None


def _can_be_undone(record: Record, request: PaymentRequest) -> bool:
    kind = record.request.kind if record.request is not None else PaymentKind.PURCHASE
    return record.state in _UNDOABLE and kind not in _UNDOING and record.reference != request.reference
