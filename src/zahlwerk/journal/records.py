"""What the rows about one payment come to: its record. Pure: rows in, state out, nothing forgotten.

The states are those of `lifecycle`; a row that the table forbids is damage, not a state.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec
from msgspec.structs import replace

from zahlwerk.errors import JournalDamaged, LocalProtocolError, ReferenceReused
from zahlwerk.journal.encoding import decode_body, identity_of, money_from, payment_from, request_from
from zahlwerk.journal.entries import Body, EntryKind, Row, state_of
from zahlwerk.lifecycle import FINAL, TRANSITIONS, PaymentState, Step, advance
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentKind, PaymentRequest
from zahlwerk.terminal import Evidence

__all__ = [
    "ENDINGS",
    "FIRST",
    "RETRYABLE",
    "STATE_OF",
    "Record",
    "advanced",
    "amount_of",
    "applied",
    "described",
    "fold",
    "must_be_same",
    "must_be_same_as",
    "path",
    "unknown_payment",
]

_S, _T = PaymentState, Step

_STEP_INTO: Final[Mapping[PaymentState, Step]] = MappingProxyType({
    _S.SENT: _T.SEND, _S.APPROVED: _T.APPROVE, _S.CONFIRMING: _T.CONFIRM, _S.ROLLING_BACK: _T.ROLL_BACK,
    _S.CONFIRMED: _T.CONFIRMED, _S.ROLLED_BACK: _T.ROLLED_BACK, _S.DECLINED: _T.DECLINE, _S.REFERRED: _T.REFER,
    _S.ABORTED: _T.ABORT, _S.FAILED: _T.FAIL, _S.UNKNOWN: _T.LOSE, _S.HELD: _T.HOLD, _S.CAPTURING: _T.CAPTURE,
    _S.RELEASING: _T.RELEASE, _S.CAPTURED: _T.CAPTURED, _S.RELEASED: _T.RELEASED, _S.REVERSED: _T.REVERSE,
    _S.REFUNDED: _T.REFUND,
})  # fmt: skip

ENDINGS: Final[Mapping[PaymentState, EntryKind]] = MappingProxyType({
    state: EntryKind(state.value) for state in (*FINAL, _S.HELD, _S.UNKNOWN)
})  # fmt: skip
"""The states that a payment may be left in, and the entry that says so."""

STATE_OF: Final[Mapping[Outcome, PaymentState]] = MappingProxyType(
    {
        Outcome.APPROVED: _S.CONFIRMED,
        Outcome.DECLINED: _S.DECLINED,
        Outcome.REFERRED: _S.REFERRED,
        Outcome.ABORTED: _S.ABORTED,
        Outcome.FAILED: _S.FAILED,
        Outcome.UNKNOWN: _S.UNKNOWN,
    }
)
"""The state of an outcome, where a terminal names one that no payment may be left in."""

FIRST: Final = frozenset({_S.REQUESTED, _S.STANDALONE, _S.HELD})
"""What a record may begin with: a request; a payment typed in at the terminal; a hold of another book."""

_NONE: Final[Evidence] = MappingProxyType({})
RETRYABLE: Final = frozenset({_S.FAILED})
"""After an attempt that never started the same reference may be used again."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One payment, as far as the journal knows it."""

    reference: str
    terminal: str
    state: PaymentState
    first: int
    """Number of its first row."""
    last: int
    """Number of its latest row."""
    since: str
    """Moment of its first row."""
    moment: str
    """Moment of its latest row."""
    request: PaymentRequest | None = None
    """None for those that nobody asked for here: standalone payments, holds of another book."""
    evidence: Evidence = _NONE
    payment: Payment | None = None
    """What is known of its outcome; for an open one, what was known last."""
    shown: Payment | None = None
    """The approval as it was shown before anything was decided about it."""
    sequence: int | None = None
    confirms: bool | None = None
    """The decision that may have left: confirm or capture (True), roll back or release (False); None for none."""
    settles: bool = False
    """That decision is the capture or release of a hold that was held; not whether to keep it."""
    decided_minor: int | None = None
    """The amount of that decision; None for all of it."""
    attempt: int = 1
    started: bool = True
    """False if the latest attempt certainly never began at the terminal."""
    doubt: str = ""
    """Why a person must decide; empty if nobody must."""
    matched: str = ""
    """Of a standalone payment: what it pays for."""
    undone_by: tuple[str, ...] = ()
    """References of reversals and refunds."""

    @property
    def is_open(self) -> bool:
        """True while the journal must not forget it."""
        return self.state not in FINAL

    @property
    def is_unsettled(self) -> bool:
        """True while nobody knows whether money moved. A hold that is held is not meant."""
        return self.is_open and self.state is not _S.HELD

    @property
    def is_hold(self) -> bool:
        """An amount that is held until it is captured or released."""
        kinds = {one.kind for one in (self.request, self.payment) if one is not None}
        return PaymentKind.AUTHORISATION in kinds

    @property
    def may_be_tried_again(self) -> bool:
        """True if the reference is free for another attempt: the last one never began."""
        return self.state in RETRYABLE and not self.started

    def evidence_for_lookup(self) -> Evidence:
        """What `Terminal.lookup` needs: the driver's own evidence, and what was decided since."""
        told = dict(self.evidence)
        told["confirm"] = {True: "1", False: "0", None: "none"}[self.confirms]
        if self.sequence is not None:
            told["sequence"] = str(self.sequence)
        if self.shown is not None and self.shown.approved is not None:
            told["approved_minor"] = str(self.shown.approved.amount)
        if self.decided_minor is not None:
            told["amount_minor"] = str(self.decided_minor)
        return told


def must_be_same(record: Record, request: PaymentRequest) -> None:
    """The same request again is the same payment; another one under its reference is refused.

    Raises:
        ReferenceReused: showing both.
    """
    known = record.request
    if known is not None and identity_of(known) == identity_of(request):
        return
    was = described(known) if known is not None else f"a {record.state.value} payment of the terminal {record.terminal}"
    raise ReferenceReused(f"{record.reference!r} is {was}; it was asked for as {described(request)}")


def must_be_same_as(running: PaymentRequest, request: PaymentRequest) -> None:
    """The same, while the first one runs.

    Raises:
        ReferenceReused: showing both.
    """
    if identity_of(running) != identity_of(request):
        raise ReferenceReused(
            f"{running.reference!r} runs now as {described(running)}; it was asked for as {described(request)}"
        )


def described(request: PaymentRequest) -> str:
    """A request in a few words: what makes it the one it is."""
    parts = []
    for name, plain in identity_of(request).items():
        value = getattr(request, name)
        # An amount as people write it: 1250 minor units are not 1250 francs.
        parts.append(f"{name} {value if isinstance(value, Money) else plain}")
    parts = [part for part in parts if part.partition(" ")[0] not in {"kind", "reference"}]
    return f"a {request.kind.value}" + (f" ({', '.join(parts)})" if parts else "")


def path(before: PaymentState, after: PaymentState) -> tuple[PaymentState, ...]:
    """The states to write, one row each, to get from one state to another; empty if there is no way.

    A way that the table lacks leads over `UNKNOWN`: what was decided did not come to pass, and the terminal said so.
    """
    if before is after:
        return ()
    step = _STEP_INTO.get(after)
    if step is not None and TRANSITIONS.get((before, step)) is after:
        return (after,)
    queue: deque[tuple[PaymentState, ...]] = deque([(_S.UNKNOWN, after)])
    for way in queue:
        at = before
        for state in way:
            step = _STEP_INTO.get(state)
            if step is None or TRANSITIONS.get((at, step)) is not state:
                break
            at = state
        else:
            return way
    return ()


def fold(rows: Iterable[Row]) -> Record | None:
    """The record that rows about one payment make; None for no rows.

    Raises:
        JournalDamaged: rows that cannot follow each other.
    """
    record: Record | None = None
    for row in rows:
        record = applied(record, row)
    return record


def applied(record: Record | None, row: Row) -> Record:
    """The record after one more row.

    Raises:
        JournalDamaged: the row cannot follow what was before.
    """
    try:
        kind = EntryKind(row.kind)
    except ValueError:
        raise JournalDamaged(f"entry {row.number} is of an unknown kind: {row.kind[:32]!r}") from None
    return advanced(record, row, kind, decode_body(row.body))


def advanced(record: Record | None, row: Row, kind: EntryKind, body: Body) -> Record:
    """The same, for a row whose body is at hand: what its bytes say, nothing else."""
    state = state_of(kind)
    if record is None or (state is _S.REQUESTED and record.may_be_tried_again):
        return _begun(record, row, state, body)
    changed = replace(record, last=row.number, moment=row.moment)
    if state is None:
        return _noted(changed, kind, body)
    try:
        step = _STEP_INTO[state]
        if advance(record.state, step) is not state:
            raise KeyError
    except (KeyError, LocalProtocolError):
        raise JournalDamaged(
            f"entry {row.number} says {state.value} of {record.reference!r}, which is {record.state.value}"
        ) from None
    changed = replace(changed, state=state, sequence=row.sequence if row.sequence is not None else record.sequence)
    return _told(changed, kind, body)


def _begun(record: Record | None, row: Row, state: PaymentState | None, body: Body) -> Record:
    if state not in FIRST:
        raise JournalDamaged(f"entry {row.number} says {row.kind} of {row.reference!r}, which nobody asked for")
    request = request_from(body["request"]) if "request" in body else None
    payment = payment_from(body["payment"]) if "payment" in body else None
    return Record(
        reference=row.reference,
        terminal=row.terminal,
        state=state,
        first=record.first if record is not None else row.number,
        last=row.number,
        since=record.since if record is not None else row.moment,
        moment=row.moment,
        request=request,
        payment=payment,
        shown=payment if state is _S.HELD else None,
        sequence=row.sequence,
        attempt=record.attempt + 1 if record is not None else 1,
    )


def _told(record: Record, kind: EntryKind, body: Body) -> Record:
    payment = payment_from(body["payment"]) if "payment" in body else record.payment
    match kind:
        case EntryKind.SENT:
            evidence = body.get("evidence")
            told = {str(k): str(v) for k, v in evidence.items()} if isinstance(evidence, Mapping) else {}
            return replace(record, evidence=MappingProxyType(told), confirms=None, settles=False, decided_minor=None)
        case EntryKind.CONFIRMING | EntryKind.CAPTURING:
            minor = money_from(body["amount"]).amount if "amount" in body else None
            settles = kind is EntryKind.CAPTURING
            return replace(record, payment=payment, confirms=True, settles=settles, decided_minor=minor)
        case EntryKind.ROLLING_BACK | EntryKind.RELEASING:
            settles = kind is EntryKind.RELEASING
            return replace(record, payment=payment, confirms=False, settles=settles, decided_minor=None)
        case EntryKind.HELD:
            return replace(
                record, payment=payment, shown=payment, confirms=None, settles=False, decided_minor=None, doubt=""
            )
        case EntryKind.APPROVED:
            return replace(record, payment=payment, shown=payment)
        case EntryKind.REVERSED | EntryKind.REFUNDED:
            undone = (*record.undone_by, str(body.get("by", "")))
            return replace(record, undone_by=undone, payment=_in_state(record.payment, record.state))
        case EntryKind.FAILED:
            return replace(record, payment=payment, started=body.get("started") is not False, doubt="")
        case _:
            doubt = "" if record.state in FINAL else record.doubt
            confirms = False if body.get("confirm") is False else record.confirms
            return replace(record, payment=payment, doubt=doubt, confirms=confirms)


def _noted(record: Record, kind: EntryKind, body: Body) -> Record:
    match kind:
        case EntryKind.DOUBT:
            return replace(record, doubt=str(body.get("why") or "nobody knows"))
        case EntryKind.MATCHED:
            return replace(record, matched=str(body.get("with", "")))
        case _:
            return record


def _in_state(payment: Payment | None, state: PaymentState) -> Payment | None:
    return payment.but(state=state) if payment is not None else None


def unknown_payment(record: Record, why: str) -> Payment:
    """What a register is told while nobody knows."""
    request = record.request
    known = record.payment
    # A driver's own words for the same are not said twice.
    why = why.removeprefix("not known yet: ").removesuffix(". Do not charge again; look it up")
    return Payment(
        reference=record.reference,
        kind=request.kind if request is not None else known.kind if known is not None else PaymentKind.PURCHASE,
        outcome=Outcome.UNKNOWN,
        state=_S.UNKNOWN,
        requested=request.total if request is not None else None,
        sequence=record.sequence,
        message=f"not known yet: {why}. Do not charge again; look it up",
    )


def amount_of(record: Record) -> Money | None:
    """What it is about, for lists: approved if approved, else asked for."""
    if record.payment is not None and record.payment.approved is not None:
        return record.payment.approved
    return record.request.total if record.request is not None else None
