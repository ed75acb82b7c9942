"""The till of a run: goes through its program as careful till software does, and asks again where it was not told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from zahlwerk.clock import Clock
from zahlwerk.errors import MoneyMoved, ReferenceReused, TerminalBusy, TerminalError
from zahlwerk.hold import Hold, HoldId
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Currency, Money
from zahlwerk.payment import Outcome, Payment, PaymentKind, PaymentRequest
from zahlwerk.simulation.program import Action
from zahlwerk.simulation.setups import CURRENCY
from zahlwerk.simulation.story import Story
from zahlwerk.terminal import CONFIRM, CONFIRM_ALL, Decision, Evidence, Terminal, Witness, approve_with
from zahlwerk.wrapped import WrappedTerminal

if TYPE_CHECKING:
    from zahlwerk.journal.journal import Journal

__all__ = ["CARD_NUMBER", "Register", "Told", "Watched"]

CARD_NUMBER: Final = "4111111111111111"
"""Planted by some runs: it must be nowhere afterwards."""
TRIES: Final = 3
PAUSE_S: Final = 5.0
_CHF: Final = Currency.of(CURRENCY)


@dataclass(frozen=True, slots=True)
class Told:
    """What a register was told about a reference."""

    reference: str
    moment_s: float
    payment: Payment | None = None
    error: TerminalError | None = None
    settled: bool = False
    """It is about the capture or release of a hold."""


@dataclass(slots=True)
class Notes:
    """What is known about all calls of the run, whatever processes died meanwhile."""

    told: list[Told] = field(default_factory=list)
    calls: list[tuple[str, float]] = field(default_factory=list)
    """Reference and moment of every request for money."""
    asked: dict[str, PaymentRequest] = field(default_factory=dict)
    """The first request under each reference."""
    unexpected: list[str] = field(default_factory=list)
    """Errors that the port does not allow."""


class Watched(WrappedTerminal):
    """The journaled terminal as the register sees it; everything that it says is noted."""

    def __init__(self, terminal: Terminal, notes: Notes, clock: Clock, story: Story) -> None:
        super().__init__(terminal)
        self._notes = notes
        self._clock = clock
        self._story = story

    async def transact(self, request: PaymentRequest, *, witness: Witness = CONFIRM_ALL) -> Payment:
        self._notes.asked.setdefault(request.reference, request)
        self._notes.calls.append((request.reference, self._clock.now_s()))
        what = f"{request.kind.value} {request.total or ''}".strip()
        self._story.note("till", f"asks for {request.reference}: {what}")
        return await self._noted(request.reference, lambda: self.inner.transact(request, witness=witness))

    async def lookup(
        self, reference: str = "", *, sequence: int | None = None, evidence: Evidence | None = None
    ) -> Payment:
        self._story.note("till", f"looks up {reference or sequence}")
        return await self._noted(reference, lambda: self.inner.lookup(reference, sequence=sequence, evidence=evidence))

    async def settle(self, hold: HoldId, amount: Money | None) -> Payment:
        self._story.note("till", f"settles hold {hold}: {amount or 'release'}")
        return await self._noted("", lambda: self.inner.settle(hold, amount), settled=True)

    async def _noted(self, reference: str, work: Callable[[], Awaitable[Payment]], *, settled: bool = False) -> Payment:
        try:
            payment = await work()
        except TerminalError as exc:
            self._story.note("till", f"{reference or 'hold'}: {type(exc).__name__}: {exc}")
            self._notes.told.append(Told(reference, self._clock.now_s(), error=exc, settled=settled))
            raise
        except Exception as exc:
            self._notes.unexpected.append(f"{reference}: {type(exc).__name__}: {exc}")
            raise
        told = f"{payment.outcome.value} ({payment.state.value}) {payment.approved or ''} {payment.message}"
        self._story.note("till", f"{payment.reference}: {told}")
        self._notes.told.append(Told(payment.reference or reference, self._clock.now_s(), payment, settled=settled))
        return payment


class Register:
    """The application of one process."""

    def __init__(
        self, terminal: Watched, journal: Journal, clock: Clock, typed: Callable[[Money], Awaitable[None]]
    ) -> None:
        self._terminal = terminal
        self._journal = journal
        self._clock = clock
        self._typed = typed

    async def pause(self, seconds: float) -> None:
        """Wait so long."""
        await self._clock.sleep_until(self._clock.now_s() + seconds)

    async def do(self, action: Action) -> None:
        """Carry out one action; errors of the terminal end it."""
        with contextlib.suppress(TerminalError):
            await self._do(action)

    async def _do(self, action: Action) -> None:
        terminal = self._terminal
        amount = Money(action.amount, _CHF)
        match action.kind:
            case "pay" | "again":
                await self._insist(self._purchase(action))
            case "other":
                try:
                    await terminal.transact(self._purchase(action))
                except ReferenceReused:
                    return
            case "both":
                request = self._purchase(action)
                await asyncio.gather(self._insist(request), self._insist(request))
            case "two":
                second = self._purchase(action, suffix="b")
                await asyncio.gather(self._insist(self._purchase(action)), self._insist(second))
            case "refund":
                await self._insist(PaymentRequest(kind=PaymentKind.REFUND, amount=amount, reference=action.reference))
            case "reverse":
                await self._insist(PaymentRequest(kind=PaymentKind.REVERSAL, reference=action.reference))
            case "capture" | "release" | "leave":
                await self._hold(action)
            case "abort":
                await asyncio.gather(self._insist(self._purchase(action), tries=1), self._abort(action.seconds))
            case "roll-back":
                await self._insist(self._purchase(action), witness=approve_with(_refuse))
            case "less":
                await self._insist(self._purchase(action), witness=approve_with(_three_quarters))
            case "lookup":
                await terminal.lookup(action.reference)
            case "totals":
                await terminal.totals()
            case "end-of-day":
                await terminal.end_of_day()
                await self._open_shift()
            case "typed":
                await self._typed(amount)
            case "planted":
                metadata = MappingProxyType({"note": CARD_NUMBER[:8], "more": CARD_NUMBER[8:]})
                await terminal.transact(PaymentRequest(amount=amount, reference=action.reference, metadata=metadata))
            case _:
                await self.pause(60.0)

    def _purchase(self, action: Action, *, suffix: str = "") -> PaymentRequest:
        return PaymentRequest(
            amount=Money(action.amount, _CHF), reference=action.reference + suffix, partial_approval=action.partial
        )

    async def _insist(
        self, request: PaymentRequest, *, witness: Witness = CONFIRM_ALL, tries: int = TRIES
    ) -> Payment | None:
        """Ask again where nothing is known, and where nothing happened because the terminal could not be reached."""
        payment = None
        for attempt in range(tries):
            if attempt:
                await self.pause(PAUSE_S * attempt)
            try:
                payment = await self._terminal.transact(request, witness=witness)
            except TerminalError as exc:
                if exc.money_moved is not MoneyMoved.NO or isinstance(exc, ReferenceReused):
                    raise
                if attempt == tries - 1:
                    raise
                continue
            if payment.outcome is not Outcome.UNKNOWN:
                return payment
        return payment

    async def _hold(self, action: Action) -> None:
        request = PaymentRequest(
            kind=PaymentKind.AUTHORISATION, amount=Money(action.amount, _CHF), reference=action.reference
        )
        payment = await self._insist(request)
        if payment is None or payment.state is not PaymentState.HELD or action.kind == "leave":
            return
        hold = Hold(self._terminal, payment)
        limit = hold.limit
        if action.kind == "release" or limit is None:
            await hold.release()
        else:
            await hold.capture(Money(max(1, limit.amount * 2 // 3), limit.currency))

    async def _abort(self, seconds: float) -> None:
        await self.pause(seconds)
        await self._terminal.abort()

    async def _open_shift(self) -> None:
        for attempt in range(TRIES):
            try:
                await self._terminal.open_shift()
            except TerminalBusy:
                await self.pause(PAUSE_S * (attempt + 1))
            else:
                return

    async def finish(self, references: Sequence[str]) -> None:
        """The end of the day: settle what is held, ask about what is not known."""
        for attempt in range(TRIES):
            await self.pause(PAUSE_S * attempt)
            for record in self._journal.open_records():
                if record.state is PaymentState.HELD and record.sequence is not None:
                    with contextlib.suppress(TerminalError):
                        await self._terminal.settle(HoldId(str(record.sequence)), None)
        for reference in references:
            try:
                await self._terminal.lookup(reference)
            except TerminalError:
                continue


async def _refuse(_: Payment) -> Decision:
    return Decision(confirm=False)


async def _three_quarters(payment: Payment) -> Decision:
    if payment.approved is None or payment.approved.amount < 4:
        return CONFIRM
    return Decision(confirm=True, amount=Money(payment.approved.amount * 3 // 4, payment.approved.currency))
