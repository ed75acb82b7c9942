"""What must hold after every run, once everything is healed and recovery is over: the host's books are the truth.

Payments that ended in doubt are left out where nobody can know; they are counted, and what the books say of them too.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from zahlwerk.carddata import contains_card_data
from zahlwerk.errors import JournalError, MoneyMoved
from zahlwerk.journal.journal import Journal
from zahlwerk.journal.records import Record, fold
from zahlwerk.lifecycle import FINAL, MONEY, PaymentState
from zahlwerk.payment import Outcome, PaymentKind
from zahlwerk.simulation.disk import SimulatedStore
from zahlwerk.simulation.till import CARD_NUMBER, Told
from zahlwerk.terminal import Period, TotalKind, Totals
from zahlwerk.virtual.host import Booking, BookingState

if TYPE_CHECKING:
    from zahlwerk.journal.entries import Row
    from zahlwerk.simulation.world import World

__all__ = ["Figures", "judge"]

_TAKEN: Final = frozenset({BookingState.CAPTURED, BookingState.REVERSED})
_APPROVED: Final = frozenset({
    PaymentState.CONFIRMED, PaymentState.CAPTURED, PaymentState.REVERSED, PaymentState.REFUNDED,
})  # fmt: skip
_SIGN: Final = {TotalKind.DEBIT: 1, TotalKind.CREDIT: -1, TotalKind.DEBIT_REVERSAL: -1, TotalKind.CREDIT_REVERSAL: 1}


@dataclass(slots=True)
class Figures:
    """What a run came to, in numbers."""

    payments: int = 0
    """References that money was asked for under."""
    approved: int = 0
    in_doubt: int = 0
    in_doubt_taken: int = 0
    """Of those: what was taken, as the host knows."""
    told_unknown: int = 0
    typed: int = 0
    typed_known: int = 0
    """Payments typed in at the terminal that the journal has taken in."""
    holds_left: int = 0
    """Holds that nobody can find; see `Setup.lists_holds`."""
    undone_unnoted: int = 0
    """Payments that were reversed, where the journal has the reversal and could not tell of what."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Why payments are in doubt."""

    def add(self, other: Figures) -> None:
        """Count another run in."""
        for name in (
            "payments",
            "approved",
            "in_doubt",
            "in_doubt_taken",
            "told_unknown",
            "typed",
            "typed_known",
            "undone_unnoted",
            "holds_left",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.reasons.update(other.reasons)


@dataclass(slots=True)
class _Books:
    """The truth: whose bookings there are."""

    bookings: dict[str, list[tuple[int, Booking]]]
    """By reference: counter of the terminal, and booking. Those typed in at the terminal are under ""."""
    begun: dict[int, float]

    def taken(self, reference: str) -> list[tuple[int, Booking]]:
        """Money moved, whether or not it was given back later."""
        return [(number, booking) for number, booking in self.bookings.get(reference, ()) if booking.state in _TAKEN]


async def judge(world: World) -> tuple[list[str], Figures]:
    """Everything that does not hold, and the run in figures."""
    problems = [
        *world.problems,
        *world.notes.unexpected,
        *(f"nobody looked at: {text}" for text in world.loop.failures),
    ]
    figures = Figures()
    books = _books_of(world)
    try:
        journal = await Journal.open_to_read(SimulatedStore(world.disk, None))
        verdict = await journal.verify()
        rows = [row async for page in journal.all_rows() for row in page]
        records = _records(rows)
        await journal.close()
    except JournalError as exc:
        return [*problems, f"the journal cannot be read: {exc}"], figures
    if verdict.fault is not None:
        problems.append(f"the chain does not hold: {verdict.fault.what}")
    problems += _card_data(world, rows)
    problems += await _memory(world, records)
    for reference in sorted({*world.notes.asked, *records, *books.bookings} - {""}):
        problems += _payment(reference, records.get(reference), books, figures, lists_holds=world.setup.lists_holds)
    problems += _typed(world, records, books, figures)
    problems += _told(world, books, figures)
    problems += _sums(world, records, books)
    return problems, figures


def _books_of(world: World) -> _Books:
    host, virtual = world.virtual.host, world.virtual
    found: dict[str, list[tuple[int, Booking]]] = {}
    for number, (_, booking) in virtual.records().items():
        if booking is not None:
            found.setdefault(virtual.owners.get(number, ""), []).append((number, host.booking(booking)))
    return _Books(found, virtual.begun)


def _records(rows: list[Row]) -> dict[str, Record]:
    by_reference: dict[str, list[Row]] = {}
    for row in rows:
        if row.reference:
            by_reference.setdefault(row.reference, []).append(row)
    return {reference: record for reference, own in by_reference.items() if (record := fold(own)) is not None}


def _card_data(world: World, rows: list[Row]) -> list[str]:
    problems = []
    if CARD_NUMBER[:8].encode() in world.disk.content() or CARD_NUMBER in world.story.text():
        problems.append("a card number was written down")
    problems += [
        f"entry {row.number} looks as if it held card data"
        for row in rows
        if contains_card_data(row.body.decode()) or contains_card_data(row.reference)
    ]
    return problems


async def _memory(world: World, records: dict[str, Record]) -> list[str]:
    """What the running process remembers is what is durable."""
    if world.journal is None:
        return []
    problems = []
    for reference, record in records.items():
        try:
            known = await world.journal.find(reference)
        except JournalError as exc:
            return [f"the journal cannot be asked: {exc}"]
        if known is None or (known.state, known.doubt) != (record.state, record.doubt):
            has = "nothing" if known is None else known.state.value
            problems.append(f"{reference} is {record.state.value} on the disk, but remembered as {has}")
    return problems


def _payment(reference: str, record: Record | None, books: _Books, figures: Figures, *, lists_holds: bool) -> list[str]:
    """One reference: charged at most once, and the journal says what the host says."""
    taken = books.taken(reference)
    problems = []
    figures.payments += 1
    if len(taken) > 1:
        problems.append(f"{reference} was charged {len(taken)} times: counters {[number for number, _ in taken]}")
    for number, booking in books.bookings.get(reference, ()):
        if booking.state is not BookingState.AUTHORISED or (record is not None and record.doubt):
            continue
        is_over = record is not None and record.state is not PaymentState.HELD
        if booking.kind is PaymentKind.AUTHORISATION and is_over and not lists_holds:
            figures.holds_left += 1
        else:
            problems.append(f"{reference}: the approval {number} was neither taken nor given back")
    if record is None:
        return [*problems, f"{reference} was charged, and the journal does not know it"] if taken else problems
    if record.state in FINAL:
        return [*problems, *_final(reference, record, taken, figures)]
    if record.doubt:
        figures.in_doubt += 1
        figures.in_doubt_taken += bool(taken)
        figures.reasons[record.doubt[:160]] += 1
        return problems
    return [*problems, f"{reference} is left {record.state.value}, and nobody is asked about it"]


def _final(reference: str, record: Record, taken: list[tuple[int, Booking]], figures: Figures) -> list[str]:
    state = record.state
    if state not in _APPROVED:
        return (
            [f"{reference} is {state.value} in the journal, and was charged"]
            if taken and MONEY[state] is MoneyMoved.NO
            else []
        )
    figures.approved += 1
    if not taken:
        return [f"{reference} is {state.value} in the journal, and was not charged"]
    number, booking = taken[0]
    problems = []
    approved = record.payment.approved if record.payment is not None else None
    if approved is not None and approved != booking.amount:
        problems.append(f"{reference}: the journal says {approved}, the host {booking.amount}")
    elif approved is None and booking.kind is not PaymentKind.REVERSAL:
        problems.append(f"{reference}: the journal does not say how much")
    if record.sequence is not None and record.sequence != number:
        problems.append(f"{reference}: the journal says counter {record.sequence}, the terminal {number}")
    if state is PaymentState.REVERSED and booking.state is not BookingState.REVERSED:
        problems.append(f"{reference}: {booking.state.value} at the host, {state.value} in the journal")
    if booking.state is BookingState.REVERSED and state is not PaymentState.REVERSED:
        # A reversal that names nothing: it is in the journal for itself, and what it undid was not certain.
        figures.undone_unnoted += 1
    return problems


def _typed(world: World, records: dict[str, Record], books: _Books, figures: Figures) -> list[str]:
    """Payments typed in: each at most once in the journal, and no other payment taken for one."""
    typed = {number for number, _ in books.taken("")}
    known = [record for record in records.values() if record.request is None and record.state not in _APPROVED
             and record.payment is not None and record.payment.standalone]  # fmt: skip
    figures.typed += len(typed)
    figures.typed_known += len(known)
    problems = []
    for sequence, count in Counter(record.sequence for record in known).items():
        if count > 1:
            problems.append(f"the payment {sequence} typed in at the terminal is {count} times in the journal")
        if sequence not in typed:
            owner = world.virtual.owners.get(sequence or 0, "nobody")
            problems.append(f"the payment {sequence} of {owner} is in the journal as typed in at the terminal")
    return problems


def _told(world: World, books: _Books, figures: Figures) -> list[str]:
    """Nothing that a register was told was false, then or later."""
    problems = []
    for told in world.notes.told:
        figures.told_unknown += told.payment is not None and told.payment.outcome is Outcome.UNKNOWN
        if told.reference:
            problem = _lie(told, books, [at for reference, at in world.notes.calls if reference == told.reference])
            if problem:
                problems.append(problem)
    return problems


def _lie(told: Told, books: _Books, calls: list[float]) -> str:
    taken = books.taken(told.reference)
    payment, at = told.payment, f"at {told.moment_s:.3f}"
    if payment is None:
        assert told.error is not None
        if told.error.money_moved is not MoneyMoved.NO or told.settled or not taken:
            return ""
        begun_s = books.begun.get(taken[0][0], 0.0)
        if begun_s > told.moment_s and not any(call_s >= told.moment_s for call_s in calls):
            return f"{told.reference} was refused {at} ({told.error}), and charged later"
        return ""
    if payment.outcome is Outcome.UNKNOWN or payment.state is PaymentState.HELD:
        return ""
    if payment.outcome is Outcome.APPROVED:
        if not taken:
            return f"{told.reference} was told approved {at}, and was not charged"
        if payment.approved is not None and payment.approved != taken[0][1].amount:
            return f"{told.reference} was told {payment.approved} {at}, the host says {taken[0][1].amount}"
        return ""
    if not taken:
        return ""
    begun_s = books.begun.get(taken[0][0], 0.0)
    if begun_s > told.moment_s and any(call_s >= told.moment_s for call_s in calls):
        return ""  # it was asked for again
    return f"{told.reference} was told {payment.outcome.value} {at}, and was charged"


def _sums(world: World, records: dict[str, Record], books: _Books) -> list[str]:
    """The journal's approved, the host's ledger and the terminal's totals come to the same."""
    ledger = sum(entry.effect_minor for entry in world.virtual.host.ledger())
    counted = sum(map(_sum_of, [*world.virtual.days, world.virtual.period()]))
    problems = []
    if counted != ledger:
        problems.append(f"the terminal counts {counted}, the host {ledger} minor units")
    journal = 0
    for reference, record in records.items():
        if record.state in _APPROVED or record.state is PaymentState.STANDALONE:
            journal += _effect(record, books)
        elif record.doubt:
            journal += sum(_effect_of(booking) for _, booking in books.taken(reference))
    known = {record.sequence for record in records.values() if record.state is PaymentState.STANDALONE}
    journal += sum(_effect_of(booking) for number, booking in books.taken("") if number not in known)
    if journal != ledger:
        problems.append(f"the journal comes to {journal}, the host's ledger to {ledger} minor units")
    return problems


def _effect(record: Record, books: _Books) -> int:
    """On the merchant's account. A payment that was reversed comes to nothing, whoever noted what undid it."""
    payment = record.payment
    amount = payment.approved.amount if payment is not None and payment.approved is not None else 0
    kind = record.request.kind if record.request is not None else PaymentKind.PURCHASE
    reversed_ = any(booking.state is BookingState.REVERSED for _, booking in books.taken(record.reference))
    if kind is PaymentKind.REVERSAL or record.state is PaymentState.REVERSED or reversed_:
        return 0
    return -amount if kind is PaymentKind.REFUND else amount


def _effect_of(booking: Booking) -> int:
    if booking.kind is PaymentKind.REVERSAL or booking.state is BookingState.REVERSED:
        return 0
    return -booking.amount_minor if booking.kind is PaymentKind.REFUND else booking.amount_minor


def _sum_of(totals: Totals) -> int:
    assert totals.period is Period.ACCOUNTING_PERIOD
    return sum(_SIGN.get(line.kind, 0) * line.amount.amount for line in totals.totals)
