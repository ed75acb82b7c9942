"""Payments that a person must decide about: what is known of them, what to look for, and the decision."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from zahlwerk.carddata import refuse_card_data
from zahlwerk.errors import InvalidRequest, TerminalBusy
from zahlwerk.journal.encoding import decode_body
from zahlwerk.journal.entries import EntryKind, Row
from zahlwerk.journal.records import Record, amount_of
from zahlwerk.journal.undoing import find_undone, note_undoing
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentKind
from zahlwerk.terminal import Evidence

if TYPE_CHECKING:
    from zahlwerk.journal.journal import Journal

__all__ = ["Answer", "Decided", "Doubt", "Proposal", "decide", "decided_of", "doubt_from"]

# LIMIT: characters of who decided, and of why they know.
BY_MAX: Final = 64
WHY_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class Answer:
    """What was learnt about the payment at one moment."""

    moment: str
    """By our clock, UTC."""
    state: str
    text: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the terminal's totals suggest, without proving it."""

    paid: bool
    why: str


@dataclass(frozen=True, slots=True)
class Decided:
    """What a person has decided."""

    paid: bool
    by: str
    why: str
    moment: str

    def __str__(self) -> str:
        return f"decided as {'paid' if self.paid else 'not paid'} by {self.by} ({self.moment}): {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A payment in doubt with all evidence there is."""

    record: Record
    rows: Sequence[Row]
    """Everything that was written about it."""
    evidence: Evidence
    """What the driver knew before it sent."""
    amount: Money | None
    sent: str
    """When it left, by our clock, UTC; empty if that is not written."""
    answers: tuple[Answer, ...]
    """What the terminal said, each time."""
    proposal: Proposal | None = None
    decided: Decided | None = None
    look_for: tuple[str, ...] = ()
    """What to find on the terminal's journal, its receipts or in the acquirer's list; sentences for people."""


def doubt_from(record: Record, rows: Sequence[Row]) -> Doubt:
    """The evidence out of the rows about a payment. Pure."""
    sent, proposal = "", None
    answers: list[Answer] = []
    for row in rows:
        body = decode_body(row.body)
        if row.kind == EntryKind.SENT.value:
            sent, proposal = row.moment, None
            answers.clear()
        elif row.kind == EntryKind.DOUBT.value:
            told = body.get("proposal")
            if isinstance(told, Mapping):
                proposal = Proposal(told.get("paid") is True, str(told.get("why", "")))
        text = _text_of(body)
        if sent and row.kind != EntryKind.SENT.value and text:
            answers.append(Answer(row.moment, row.kind, text))
    amount = amount_of(record)
    return Doubt(
        record=record, rows=tuple(rows), evidence=record.evidence, amount=amount, sent=sent, answers=tuple(answers),
        proposal=proposal, decided=decided_of(rows), look_for=_look_for(record, amount, sent),
    )  # fmt: skip


def _text_of(body: Mapping[str, object]) -> str:
    payment = body.get("payment")
    message = payment.get("message", "") if isinstance(payment, Mapping) else ""
    return str(body.get("why") or message or "")


def _look_for(record: Record, amount: Money | None, sent: str) -> tuple[str, ...]:
    found = [f"a payment of {amount}" if amount is not None else "a reversal of the payment before it"]
    if sent:
        found.append(f"at the terminal {record.terminal}, from {sent} (UTC) on: the terminal's clock may differ")
    else:
        found.append(f"at the terminal {record.terminal}")
    if record.sequence is not None:
        found.append(f"with the transaction or receipt number {record.sequence}")
    else:
        found += [
            f"{name.replace('_', ' ')} was {text} before it: its number is a later one"
            for name, text in record.evidence.items()
            if "sequence" in name or "receipt" in name
        ]
    found.append("on the terminal's journal or merchant receipts; else in the acquirer's list of that day")
    return tuple(found)


def decided_of(rows: Sequence[Row]) -> Decided | None:
    """The decision that stands in the rows of a payment."""
    for row in rows:
        if row.kind == EntryKind.DECIDED.value:
            body = decode_body(row.body)
            return Decided(body.get("paid") is True, str(body.get("by", "")), str(body.get("why", "")), row.moment)
    return None


async def decide(journal: Journal, reference: str, *, paid: bool, by: str, why: str) -> Payment:
    """See `Journal.decide`."""
    for name, text, limit in (("by", by, BY_MAX), ("why", why, WHY_MAX)):
        if not text.strip() or len(text) > limit:
            raise InvalidRequest(f"a decision needs {name!r}: 1 to {limit} characters")
        refuse_card_data(text, where=name)
    await journal.ensure_writable()
    record = await journal.record(reference)
    owner = journal.terminals.get(record.terminal)
    # Recovery may be asking about it at this moment: what the terminal says goes first.
    async with owner.turn if owner is not None else contextlib.nullcontext():
        return await _decide(journal, reference, paid=paid, by=by, why=why)


async def _decide(journal: Journal, reference: str, *, paid: bool, by: str, why: str) -> Payment:
    record = await journal.record(reference)
    before = decided_of(await journal.rows_of(reference))
    if before is not None:
        if before.paid is not paid:
            raise InvalidRequest(
                f"{reference!r} was {before}", remedy="book a correction, such as a refund; what is decided stays"
            )
        return record.payment if record.payment is not None else _outcome(record, paid=paid, why=before.why)
    if reference in journal.running:
        raise TerminalBusy(f"{reference!r} is still running")
    if not record.is_unsettled or record.state is PaymentState.REQUESTED:
        raise InvalidRequest(
            f"{reference!r} is {record.state.value}: there is nothing to decide", remedy="look at the payment first"
        )
    payment = _outcome(record, paid=paid, why=f"decided by {by}: {why}")
    step = (EntryKind.DECIDED, {"paid": paid, "by": by, "why": why})
    request = record.request
    undone = await find_undone(journal, record.terminal, request, payment) if request is not None else None
    written = journal.end(record, payment, why="decided", before=(step,), actor=by)
    if request is not None:
        note_undoing(journal, undone, request, payment)
    await written
    return payment


def _outcome(record: Record, *, paid: bool, why: str) -> Payment:
    kind = record.request.kind if record.request is not None else PaymentKind.PURCHASE
    requested = record.request.total if record.request is not None else None
    known = amount_of(record)
    amount = known
    if known is not None and record.decided_minor is not None:
        amount = Money(record.decided_minor, known.currency)
    state = PaymentState.CONFIRMED if paid else PaymentState.FAILED
    if record.is_hold and record.settles:
        state = PaymentState.CAPTURED if paid else PaymentState.RELEASED
    elif record.is_hold and paid:
        state = PaymentState.HELD
    return Payment(
        reference=record.reference, kind=kind, outcome=Outcome.APPROVED if paid else Outcome.FAILED, state=state,
        requested=requested, approved=amount if paid else None, sequence=record.sequence, message=why,
        brand=record.payment.brand if record.payment is not None else "",
    )  # fmt: skip
