"""Finds out what became of open payments: at start, after a lost link, before the next payment, with growing pauses.

The terminal is asked; what it cannot tell goes to the list of payments in doubt, with the evidence, for a person to
decide. Nothing is charged here, and "not found" is never read as "not paid".
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from zahlwerk.errors import JournalError, MoneyMoved, NotSupported, PaymentNotFound, TerminalError, TerminalRefused
from zahlwerk.events import Notice
from zahlwerk.hold import HoldId
from zahlwerk.journal.entries import EntryKind
from zahlwerk.journal.exclusion import belongs_to, overtaken_by
from zahlwerk.journal.records import ENDINGS, STATE_OF, Record, amount_of, path, unknown_payment
from zahlwerk.journal.standalone import standalone_reference
from zahlwerk.journal.totals import take_in_totals
from zahlwerk.journal.undoing import find_undone, note_undoing
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentKind
from zahlwerk.terminal import Totals

if TYPE_CHECKING:
    from zahlwerk.journal.terminal import JournaledTerminal

__all__ = ["Recovery"]

PAUSE_FIRST_S: Final = 2.0
PAUSE_MAX_S: Final = 300.0
# LIMIT: how often a terminal may answer that it cannot tell before a person is asked.
ANSWERS_MAX: Final = 3
# A terminal's counter begins again some day: after so many hours the same number is another payment.
COUNTER_AGAIN_H: Final = 48


class Recovery:
    """Settles what is open at one terminal."""

    def __init__(self, owner: JournaledTerminal) -> None:
        self._owner = owner
        self._journal = owner.journal
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._pause_s = PAUSE_FIRST_S
        self._answers: Counter[str] = Counter()
        self.is_linked = True
        """False while the terminal has told that the link is down: then it has not answered."""

    # -- in the background

    def start(self) -> None:
        """Begin; the first round follows at once."""
        self._wake.set()
        self._task = asyncio.create_task(self._run(), name=f"recovery of {self._owner.name}")

    async def stop(self) -> None:
        """End; idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def kill(self) -> None:
        """End without waiting."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def nudge(self) -> None:
        """Something may be open now, or cannot be written."""
        if self.unsettled() or self._journal.trouble:
            self._wake.set()

    def link_is_back(self) -> None:
        """The terminal can be asked again."""
        self._pause_s = PAUSE_FIRST_S
        self._wake.set()

    def unsettled(self) -> tuple[Record, ...]:
        """Open payments of this terminal that nobody works on and no person must decide about; the latest first.

        A terminal that tells only its latest transaction (ZVT) can prove something about the latest payment alone.
        """
        found = (
            record
            for record in self._journal.open_records(self._owner.name)
            if record.is_unsettled and not record.doubt and record.reference not in self._journal.running
        )
        return tuple(found)[::-1]

    async def _run(self) -> None:
        clock = self._journal.clock
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self.unsettled() or self._journal.trouble:
                try:
                    await self._round()
                except TerminalError:
                    pass
                except Exception as exc:
                    self._owner.emit(Notice(f"recovery failed: {type(exc).__name__}", source="journal"))
                if not self.unsettled() and not self._journal.trouble:
                    break
                over = asyncio.Event()
                stop = clock.call_at(clock.now_s() + self._pause_s, over.set)
                self._pause_s = min(2 * self._pause_s, PAUSE_MAX_S)
                waits = [asyncio.ensure_future(over.wait()), asyncio.ensure_future(self._wake.wait())]
                try:
                    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    stop()
                    for wait in waits:
                        wait.cancel()
                self._wake.clear()
            self._pause_s = PAUSE_FIRST_S

    async def _round(self) -> None:
        await self._journal.heal_if_due()
        async with self._owner.turn:
            await self.settle_past()

    # -- asking; the caller has the turn

    async def settle_past(self) -> None:
        """Ask about everything that is open, the latest first.

        Raises:
            TerminalError: the terminal cannot be asked now; so it cannot be paid at either.
        """
        for record in self.unsettled():
            fresh = await self._journal.find(record.reference)
            if fresh is not None and fresh.is_unsettled and not fresh.doubt:
                await self.ask(fresh)

    async def ask(self, record: Record) -> Payment:
        """Ask the terminal what became of one open payment, and write down what it says.

        Raises:
            TerminalError: it cannot be asked now.
            JournalError: it cannot be written now.
        """
        await self._journal.ensure_writable()
        # What was decided must be durable before it is said, also if whoever decided it went away meanwhile.
        await self._journal.durable(record.reference)
        # After trouble, what is durable may be less than what was remembered when this was asked for.
        fresh = await self._journal.find(record.reference)
        if fresh is None:
            return _never_left(record)
        if not fresh.is_unsettled:
            return fresh.payment or unknown_payment(fresh, "the journal does not say")
        record = fresh
        if record.state is PaymentState.REQUESTED:
            return await self._end(record, _never_left(record), started=False)
        if record.is_hold and (record.settles or record.confirms is False):
            return await self._ask_settlement(record)
        return await self._ask(record)

    async def _ask(self, record: Record) -> Payment:
        payment = await self._looked_up(record)
        if payment.outcome is not Outcome.UNKNOWN:
            return await self._end(record, payment)
        return await self._not_told(record, payment.message)

    async def _looked_up(self, record: Record) -> Payment:
        other = "" if record.sequence is not None else await overtaken_by(self._journal, record)
        if other:
            self._answers[record.reference] = ANSWERS_MAX
            return unknown_payment(record, f"{other!r} was sent since, so the terminal's answer would prove nothing")
        try:
            found = await self._owner.inner.lookup(
                record.reference, sequence=record.sequence, evidence=record.evidence_for_lookup()
            )
        except PaymentNotFound as exc:
            return unknown_payment(record, f"{exc}; that does not prove that it was not paid")
        except NotSupported as exc:
            self._answers[record.reference] = ANSWERS_MAX
            return unknown_payment(record, str(exc))
        other = await belongs_to(self._journal, record, found)
        if other:
            return unknown_payment(
                record, f"the terminal tells the counter {found.sequence}, which is that of {other!r}"
            )
        kind = record.request.kind if record.request is not None else found.kind
        requested = record.request.total if record.request is not None else found.requested
        return found.but(reference=record.reference, kind=kind, requested=requested)

    async def _ask_settlement(self, record: Record) -> Payment:
        """A capture or release that was decided and may have left: done, or done now."""
        assert record.confirms is not None
        found = await self._looked_up(record)
        if found.state in {PaymentState.CAPTURED, PaymentState.RELEASED, PaymentState.ROLLED_BACK}:
            return await self._end(record, found)
        if record.sequence is None:
            return await self._not_told(record, found.message)
        amount = None
        is_held = found.state is PaymentState.HELD
        if record.confirms:
            approved = record.shown.approved if record.shown is not None else None
            limit = approved or (record.request.total if record.request is not None else None)
            if limit is None:
                return await self._not_told(record, "the journal does not say what was to be captured")
            amount = limit if record.decided_minor is None else Money(record.decided_minor, limit.currency)
        try:
            payment = await self.settle_hold(record, HoldId(str(record.sequence)), amount, is_held=is_held)
        except TerminalRefused as exc:
            fresh = await self._journal.record(record.reference)
            if fresh.state is PaymentState.HELD:
                return await self._not_told(fresh, str(exc)) if fresh.doubt else (fresh.payment or found)
            return await self._not_told(fresh, str(exc))
        if payment.outcome is Outcome.UNKNOWN:
            return await self._not_told(await self._journal.record(record.reference), payment.message)
        return payment

    async def settle_hold(
        self, record: Record, hold: HoldId, amount: Money | None, *, is_held: bool = False
    ) -> Payment:
        """Capture or release: decided durably, then said to the terminal.

        Args:
            is_held: the terminal has just said so.
        """
        # A refusal proves nothing if an earlier try may have gone through: the terminal refuses a second one too.
        is_held = is_held or record.state is PaymentState.HELD
        if record.state is PaymentState.HELD:
            body = {} if amount is None else {"amount": f"{amount.amount} {amount.currency.code}"}
            kind = EntryKind.RELEASING if amount is None else EntryKind.CAPTURING
            await self._journal.write(record.reference, record.terminal, [(kind, body)], sequence=record.sequence)
            record = await self._journal.record(record.reference)
        held = record.shown
        try:
            payment = await self._owner.inner.settle(hold, amount)
        except TerminalError as exc:
            back = exc.money_moved is MoneyMoved.NO and held is not None and is_held
            after = (
                held.but(state=PaymentState.HELD) if back and held is not None else unknown_payment(record, str(exc))
            )
            await self._written_or_kept(record, after, why=str(exc))
            raise
        except BaseException:
            after = unknown_payment(record, "the caller went away")
            self._journal.end(record, after, why="the caller went away")
            raise
        requested = record.request.total if record.request is not None else payment.requested
        payment = payment.but(reference=record.reference, requested=requested)
        await self._written_or_kept(record, payment)
        return payment

    # -- what was found

    async def _end(self, record: Record, payment: Payment, *, started: bool = True) -> Payment:
        target = payment.state if payment.state in ENDINGS else STATE_OF[payment.outcome]
        if record.state is not target and not path(record.state, target):
            return await self._not_told(record, f"the terminal calls it {target.value}, which it cannot be")
        del self._answers[record.reference]
        why = "found out by asking the terminal" if started else "it never left"
        undone = None
        if record.request is not None:
            undone = await find_undone(self._journal, record.terminal, record.request, payment)
        written = self._journal.end(record, payment, why=why, started=started, actor="recovery")
        if record.request is not None:
            note_undoing(self._journal, undone, record.request, payment)
        await written
        return payment

    async def _not_told(self, record: Record, why: str) -> Payment:
        """The terminal was asked and cannot tell; after some such answers a person must decide."""
        payment = unknown_payment(record, why)
        if record.state is not PaymentState.UNKNOWN:
            await self._journal.end(record, payment, why=why, actor="recovery")
        if self.is_linked:
            self._answers[record.reference] += 1
        if self._answers[record.reference] >= ANSWERS_MAX and not record.doubt:
            del self._answers[record.reference]
            await self._journal.write(
                record.reference, record.terminal, [(EntryKind.DOUBT, {"why": why})], actor="recovery"
            )
            text = f"nobody knows what became of {record.reference}: decide with `zahlwerk journal decide`"
            self._owner.emit(Notice(text, source="journal"))
        return payment

    async def _written_or_kept(self, record: Record, payment: Payment, *, why: str = "") -> None:
        try:
            await self._journal.end(record, payment, why=why)
        except JournalError:
            self._journal.keep(record.reference, record.terminal, payment)

    # -- what comes by itself

    async def take_in(self, payment: Payment) -> None:
        """A payment that was typed in at the terminal."""
        reference = standalone_reference(self._owner.name, payment)
        payment = payment.but(reference=reference, standalone=True, state=PaymentState.STANDALONE)
        try:
            if await self._journal.find(reference) is not None or await self._is_ours(payment):
                return
            body = {"payment": payment}
            await self._journal.write(
                reference, self._owner.name, [(EntryKind.STANDALONE, body)], sequence=payment.sequence, actor="terminal"
            )
        except JournalError:
            self._journal.keep(reference, self._owner.name, payment)
            return
        with contextlib.suppress(JournalError):  # unmatched, it is offered
            await self._journal.standalones.took_in(reference)

    async def _is_ours(self, payment: Payment) -> bool:
        """Whether a sale of ours is told once more, to a process that does not know it: never twice in the books."""
        if payment.sequence is None:
            return False
        async with self._owner.turn:
            with contextlib.suppress(TerminalError):
                await self.settle_past()
            found = await self._journal.by_sequence(self._owner.name, payment.sequence)
        since = self._journal.clock.wall() - timedelta(hours=COUNTER_AGAIN_H)
        return any(
            record.request is not None
            and amount_of(record) == payment.approved
            and (not record.moment or datetime.fromisoformat(record.moment) > since)
            for record in found
        )

    async def took_totals(self, totals: Totals, *, closed: bool, asked: int, mark: str, idle: bool) -> None:
        """The terminal told its figures; a journal that cannot be written loses what they prove, never a payment.

        Args: as for `take_in_totals`.
        """
        with contextlib.suppress(JournalError):
            await self._journal.ensure_writable()
            await take_in_totals(self._owner, totals, closed=closed, asked=asked, mark=mark, idle=idle)


def _never_left(record: Record) -> Payment:
    request = record.request
    return Payment(
        reference=record.reference,
        kind=request.kind if request is not None else PaymentKind.PURCHASE,
        outcome=Outcome.FAILED,
        state=PaymentState.FAILED,
        requested=request.total if request is not None else None,
        message="it never left for the terminal: nothing was charged",
    )
