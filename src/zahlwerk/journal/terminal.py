"""`JournaledTerminal`: any terminal, each step durable before it is taken, each reference paid at most once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from zahlwerk.errors import (
    InvalidRequest,
    JournalError,
    MoneyMoved,
    PaymentNotFound,
    TerminalBusy,
    TerminalError,
    TerminalRefused,
)
from zahlwerk.events import (
    EventListener,
    EventStream,
    LinkChanged,
    Notice,
    ShiftChanged,
    StandalonePayment,
    TerminalEvent,
)
from zahlwerk.hold import HoldId
from zahlwerk.journal.encoding import clean_text, refuse_card_data_of
from zahlwerk.journal.entries import EntryKind
from zahlwerk.journal.journal import Running
from zahlwerk.journal.records import Record, must_be_same, must_be_same_as, unknown_payment
from zahlwerk.journal.recovery import Recovery
from zahlwerk.journal.steps import Steps
from zahlwerk.journal.totals import mark_of
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentKind, PaymentRequest
from zahlwerk.terminal import (
    CONFIRM_ALL,
    Evidence,
    Feature,
    Period,
    ShiftInfo,
    Terminal,
    Totals,
    Witness,
)
from zahlwerk.wrapped import WrappedTerminal

if TYPE_CHECKING:
    from zahlwerk.journal.journal import Journal

__all__ = ["JournaledTerminal"]

_SETTLED: Final = frozenset({
    PaymentState.CAPTURED, PaymentState.RELEASED, PaymentState.REVERSED, PaymentState.REFUNDED,
})  # fmt: skip


class JournaledTerminal(WrappedTerminal):
    """A terminal with a journal around it. Made by `Journal.wrap`; what need not be written goes straight through."""

    def __init__(
        self, journal: Journal, inner: Terminal, *, name: str, actor: str = "", exclusive: bool = False
    ) -> None:
        super().__init__(inner)
        self.name = name
        self.actor = actor or f"register at {name}"
        self.exclusive = exclusive
        """It takes no payment that this journal does not know."""
        self.journal = journal
        self._mark = ""
        self.recovery = Recovery(self)
        self._turn = asyncio.Lock()
        self._paying = False
        self._opened = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop_listening = inner.listen(self._heard)

    # -- the connection

    async def open(self) -> None:
        await self.inner.open()
        if not self._opened:
            self._opened = True
            self.recovery.start()

    async def close(self) -> None:
        await self.recovery.stop()
        await self.inner.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._stop_listening()
        self.journal.terminals.pop(self.name, None)
        self._hub.close()

    def kill(self) -> None:
        """Stop as a crash would. For simulations."""
        self.recovery.kill()
        self._stop_listening()
        for task in self._tasks:
            task.cancel()

    # -- payments

    async def transact(self, request: PaymentRequest, *, witness: Witness = CONFIRM_ALL) -> Payment:
        """As the port says, and exactly once: the same request again gives the same payment.

        Raises:
            ReferenceReused: another request under this reference.
            CardDataRefused: the request holds card data.
            JournalUnavailable: nothing can be written now, so nothing was sent.
        """
        refuse_card_data_of(request)
        running = self.journal.running.get(request.reference)
        if running is not None:
            return await self._join(running, request, witness)
        done: asyncio.Future[Payment] = asyncio.get_running_loop().create_future()
        done.add_done_callback(lambda future: future.cancelled() or future.exception())
        self.journal.running[request.reference] = Running(request, self.name, done)
        try:
            payment = await self._once(request, witness)
        except Exception as exc:
            done.set_exception(exc)
            raise
        except BaseException:
            done.cancel()
            raise
        else:
            done.set_result(payment)
            return payment
        finally:
            del self.journal.running[request.reference]
            self.recovery.nudge()

    async def _join(self, running: Running, request: PaymentRequest, witness: Witness) -> Payment:
        must_be_same_as(running.request, request)
        record = await self.journal.find(request.reference)
        if record is not None:
            must_be_same(record, request)
        try:
            return await asyncio.shield(running.done)
        except asyncio.CancelledError:
            me = asyncio.current_task()
            if not running.done.cancelled() or (me is not None and me.cancelling()):
                raise
            # Whoever started it went away; what became of it is found out.
            return await self.transact(request, witness=witness)

    async def _once(self, request: PaymentRequest, witness: Witness) -> Payment:
        await self.journal.ensure_writable()
        known = await self.journal.find(request.reference)
        if known is not None:
            must_be_same(known, request)
            if not known.may_be_tried_again:
                return await self._known(known)
        if self._paying:
            raise TerminalBusy(f"the terminal {self.name} is taking another payment")
        self._paying = True
        try:
            async with self._turn:
                await self.recovery.settle_past()
                return await self._carry_out(request, witness)
        finally:
            self._paying = False

    async def _known(self, record: Record) -> Payment:
        """The payment that was made before; an open one is asked about at the terminal that it runs at."""
        if not record.is_unsettled:
            return payment_of(record)
        if record.doubt:
            # It was asked about often enough; what the terminal says later may be about something that came later.
            return unknown_payment(record, f"{record.doubt}; a person must decide")
        owner = self.journal.terminals.get(record.terminal)
        if owner is None:
            return unknown_payment(record, f"the terminal {record.terminal!r} is not connected")
        return await owner.resolve(record)

    async def resolve(self, record: Record) -> Payment:
        """Ask the terminal now what became of an open payment."""
        async with self._turn:
            fresh = await self.journal.find(record.reference)
            if fresh is None or not fresh.is_unsettled:
                return payment_of(fresh) if fresh is not None else unknown_payment(record, "nothing is written of it")
            try:
                return await self.recovery.ask(fresh)
            except JournalError:
                raise
            except TerminalError as exc:
                return unknown_payment(fresh, str(exc))

    async def _carry_out(self, request: PaymentRequest, witness: Witness) -> Payment:
        steps = Steps(self.journal, self.name, request, witness, actor=self._actor_of(request), mark=self._mark)
        try:
            payment = await self.inner.transact(request, witness=steps)
        except TerminalError as exc:
            await steps.raised(exc)
            raise
        except BaseException:
            steps.abandoned()
            raise
        return await steps.ended(payment)

    async def settle(self, hold: HoldId, amount: Money | None) -> Payment:
        """Capture or release a hold, once: the same again gives the same payment, another settlement is refused."""
        await self.journal.ensure_writable()
        async with self._turn:
            record = await self._record_of(hold)
            if record.state in _SETTLED:
                return _settled_before(record, amount)
            try:
                if record.state is not PaymentState.HELD:
                    _must_settle_the_same(record, amount)
                    record = await self._surely_held(record)
                return await self.recovery.settle_hold(record, hold, amount)
            finally:
                self.recovery.nudge()

    async def _surely_held(self, record: Record) -> Record:
        """An authorisation whose end is not known is asked about before it is settled."""
        if not record.settles:
            await self.recovery.ask(record)
            record = await self.journal.record(record.reference)
            if record.state is not PaymentState.HELD:
                raise TerminalRefused(
                    f"this amount is not held: it is {record.state.value}",
                    money_moved=MoneyMoved.MAYBE,
                    remedy="look the payment up",
                )
        return record

    async def _record_of(self, hold: HoldId) -> Record:
        """The payment behind a hold; one that this journal has never seen is taken in."""
        if not (hold.isascii() and hold.isdecimal() and len(hold) <= 18):
            raise InvalidRequest(
                f"not a hold of this terminal: {clean_text(hold)[:32]!r}", remedy="pass the id that hold() gave"
            )
        sequence = int(hold)
        for record in reversed(self.journal.open_records(self.name)):
            if record.sequence == sequence and record.is_hold:
                return record
        for record in await self.journal.by_sequence(self.name, sequence):
            if record.state in _SETTLED and record.is_hold:
                return record
        reference = f"hold-{hold}-{self.journal.head.number}-{self.name}"[:48]
        payment = Payment(
            reference=reference, kind=PaymentKind.AUTHORISATION, outcome=Outcome.APPROVED, state=PaymentState.HELD,
            sequence=sequence, message="opened elsewhere",
        )  # fmt: skip
        await self.journal.write(reference, self.name, [(EntryKind.HELD, {"payment": payment})], sequence=sequence)
        return await self.journal.record(reference)

    async def lookup(
        self, reference: str = "", *, sequence: int | None = None, evidence: Evidence | None = None
    ) -> Payment:
        """What became of a payment: from the journal if it is settled there, else asked at the terminal now."""
        if reference in self.journal.running:
            raise TerminalBusy("this payment is still running")
        record = await self.journal.find(reference) if reference else None
        if record is None and sequence is not None:
            record = next(iter(await self.journal.by_sequence(self.name, sequence)), None)
        if record is None:
            if evidence is None and reference and sequence is None:
                raise PaymentNotFound(f"the journal knows no payment {clean_text(reference)!r}")
            return await self.inner.lookup(reference, sequence=sequence, evidence=evidence)
        if record.reference in self.journal.running:
            raise TerminalBusy("this payment is still running")
        return await self._known(record)

    # -- what comes by itself: told on from here, for the journal has things to tell as well

    def events(self) -> EventStream:
        return self._hub.stream()

    def listen(self, listener: EventListener) -> Callable[[], None]:
        return self._hub.listen(listener)

    def _heard(self, event: TerminalEvent) -> None:
        match event:
            case StandalonePayment(payment):
                self._spawn(self.recovery.take_in(payment))
            case LinkChanged(connected):
                self.recovery.is_linked = connected
                if connected:
                    self.recovery.link_is_back()
            case ShiftChanged():
                self._mark = ""
        self._hub.emit(event)

    def emit(self, event: TerminalEvent) -> None:
        """Tell whoever listens to this terminal."""
        self._hub.emit(event)

    def journal_failed(self, trouble: JournalError) -> None:
        """Nothing can be written: whoever watches the terminal is told."""
        self._hub.emit(Notice(f"payments are refused: {trouble}", source="journal"))
        self.recovery.nudge()

    def _spawn(self, work: object) -> None:
        assert asyncio.iscoroutine(work)
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _actor_of(self, request: PaymentRequest) -> str:
        # A column of its own: NUL would divide it in two in the hash, and no server takes it.
        told = "".join(letter for letter in request.metadata.get("actor", "") if letter.isprintable())
        return told[:64] or self.actor

    @property
    def turn(self) -> asyncio.Lock:
        """Held by whoever asks the terminal about money: a payment, a settlement, recovery."""
        return self._turn

    # -- figures

    async def open_shift(self, *, attendant: str = "", attendant_number: int | None = None) -> ShiftInfo:
        shift = await self.inner.open_shift(attendant=attendant, attendant_number=attendant_number)
        self._mark = mark_of(shift)
        return shift

    async def totals(self, period: Period = Period.SHIFT) -> Totals:
        """The terminal's figures; what they prove about open payments is taken in."""

        async def ask() -> Totals:
            return await self.inner.totals(period)

        return await self._witnessed(ask, closes=False)

    async def end_of_day(self) -> Totals:
        """Close the booking period. Open payments are asked about first: afterwards the terminal may not know them."""
        return await self._witnessed(self.inner.end_of_day, closes=True)

    async def _witnessed(self, ask: Callable[[], Awaitable[Totals]], *, closes: bool) -> Totals:
        """Nothing else is asked of the terminal meanwhile, or its figures could not be compared with the journal's."""
        async with self._turn:
            await self.recovery.settle_past()
            mark, idle, asked = "", False, self.journal.head.number
            if self.journal.open_records(self.name):
                mark, idle = await self._counters()
            if closes or self.journal.open_records(self.name):
                with contextlib.suppress(JournalError):
                    told = await self.journal.note(
                        EntryKind.TOTALS, {"asked": True, "closes": closes}, terminal=self.name
                    )
                    asked = told[-1].number
            totals = await ask()
        # Payments typed in are taken in with the turn, so not while it is held here.
        await asyncio.gather(*self._tasks, return_exceptions=True)
        async with self._turn:
            await self.recovery.took_totals(totals, closed=closes, asked=asked, mark=mark, idle=idle)
        return totals

    async def _counters(self) -> tuple[str, bool]:
        """The counters of shift and period now, and whether nothing runs at the terminal.

        Only the answer to opening a shift tells the counters as they are: of an open one it changes nothing.
        """
        with contextlib.suppress(TerminalError):
            status = await self.inner.status()
            idle = not status.busy
            if idle and status.shift_open and Feature.SHIFT in self.inner.capabilities:
                return mark_of(await self.inner.open_shift()), idle
            return "", idle
        return "", False


def payment_of(record: Record) -> Payment:
    """The payment of a record that is settled or held."""
    if record.payment is None:
        return unknown_payment(record, "the journal does not say")
    return record.payment.but(state=record.state, reference=record.reference)


def _settled_before(record: Record, amount: Money | None) -> Payment:
    payment = payment_of(record)
    same = amount is None if record.state is PaymentState.RELEASED else payment.approved == amount
    if not same:
        raise TerminalRefused(
            f"this hold was {record.state.value} before",
            money_moved=payment.money_moved,
            remedy="refund the difference",
        )
    return payment


def _must_settle_the_same(record: Record, amount: Money | None) -> None:
    wanted = amount.amount if amount is not None else None
    if not record.settles:
        return
    if record.confirms is not (amount is not None) or (record.confirms and record.decided_minor != wanted):
        raise TerminalRefused(
            "nobody knows yet what became of the former settlement of this hold",
            money_moved=MoneyMoved.MAYBE,
            remedy="look it up first",
        )
