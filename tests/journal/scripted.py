"""A terminal whose every word is scripted, with books of its own: what it charged is what counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from zahlwerk.clock import VirtualClock
from zahlwerk.errors import NotSupported, PaymentNotFound
from zahlwerk.events import TerminalStatus
from zahlwerk.hold import HoldId
from zahlwerk.journal import Journal
from zahlwerk.journal.entries import Head
from zahlwerk.journal.sqlite import SqliteStore
from zahlwerk.journal.store import Change, Store
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentKind, PaymentRequest
from zahlwerk.terminal import CONFIRM_ALL, Capabilities, Evidence, Terminal, TerminalInfo, Witness

__all__ = ["FaultyStore", "ScriptedTerminal", "kinds_of", "memory_journal", "purchase"]


@dataclass
class Booked:
    """One approval in the terminal's books."""

    request: PaymentRequest
    sequence: int
    state: PaymentState = PaymentState.APPROVED
    captured_minor: int = 0


@dataclass
class Script:
    """What goes how; tests change it."""

    outcome: Outcome = Outcome.APPROVED
    before_sending: Callable[[], None] = lambda: None
    after_sending: Callable[[], None] = lambda: None
    after_approval: Callable[[], None] = lambda: None
    after_confirmation: Callable[[], None] = lambda: None
    lookup: Callable[[str], Payment | None] = lambda reference: None
    """None: told truly, from the books."""
    before_settling: Callable[[], None] = lambda: None
    after_settling: Callable[[], None] = lambda: None
    waits: asyncio.Event | None = None
    """What a payment waits for once it was sent."""
    two_phase: bool = True


class ScriptedTerminal(Terminal):
    """Does as scripted."""

    def __init__(self) -> None:
        super().__init__()
        self.script = Script()
        self.books: dict[str, Booked] = {}
        self.calls: list[str] = []
        self.evidence: Evidence | None = None

    @property
    def charged_minor(self) -> int:
        """What the card holders have paid in all."""
        return sum(booked.captured_minor for booked in self.books.values())

    async def open(self) -> None:
        self.calls.append("open")

    async def close(self) -> None:
        self.calls.append("close")

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(kinds=frozenset(PaymentKind))

    async def info(self) -> TerminalInfo:
        return TerminalInfo(terminal_id="12345678")

    async def status(self) -> TerminalStatus:
        return TerminalStatus(shift_open=True)

    async def transact(self, request: PaymentRequest, *, witness: Witness = CONFIRM_ALL) -> Payment:
        self.calls.append(f"transact {request.reference}")
        script = self.script
        script.before_sending()
        sequence = len(self.books) + 1
        await witness.sending({"counter_before": str(sequence - 1)})
        self.calls.append(f"sent {request.reference}")
        if script.waits is not None:
            await script.waits.wait()
        script.after_sending()
        if script.outcome is not Outcome.APPROVED:
            state = PaymentState(script.outcome.value.lower())
            return self._payment(request, script.outcome, state, sequence)
        booked = self.books[request.reference] = Booked(request, sequence)
        script.after_approval()
        if not script.two_phase:
            return self._confirm(booked)
        is_hold = request.kind is PaymentKind.AUTHORISATION
        shown = self._payment(request, Outcome.APPROVED, PaymentState.APPROVED, sequence)
        try:
            decision = await witness.approved(shown)
        except BaseException:
            booked.state = PaymentState.ROLLED_BACK
            raise
        if not decision.confirm:
            booked.state = PaymentState.RELEASED if is_hold else PaymentState.ROLLED_BACK
            return self._payment(request, Outcome.ABORTED, booked.state, sequence)
        if is_hold:
            booked.state = PaymentState.HELD
            return self._payment(request, Outcome.APPROVED, PaymentState.HELD, sequence)
        payment = self._confirm(booked, decision.amount)
        script.after_confirmation()
        return payment

    async def settle(self, hold: HoldId, amount: Money | None) -> Payment:
        self.calls.append(f"settle {hold} {amount}")
        self.script.before_settling()
        booked = next(each for each in self.books.values() if each.sequence == int(hold))
        if booked.state is PaymentState.HELD:
            booked.state = PaymentState.RELEASED if amount is None else PaymentState.CAPTURED
            booked.captured_minor = 0 if amount is None else amount.amount
        self.script.after_settling()
        outcome = Outcome.APPROVED if booked.state is PaymentState.CAPTURED else Outcome.ABORTED
        return self._payment(booked.request, outcome, booked.state, booked.sequence, amount)

    async def lookup(
        self, reference: str = "", *, sequence: int | None = None, evidence: Evidence | None = None
    ) -> Payment:
        self.calls.append(f"lookup {reference}")
        self.evidence = evidence
        told = self.script.lookup(reference)
        if told is not None:
            return told
        booked = self.books.get(reference)
        if booked is None:
            raise PaymentNotFound(f"no record of {reference}")
        decided = (evidence or {}).get("confirm")
        if booked.state is PaymentState.APPROVED and booked.request.kind is not PaymentKind.AUTHORISATION:
            if decided == "1":
                return self._confirm(booked)
            booked.state = PaymentState.ROLLED_BACK
        if booked.state is PaymentState.APPROVED:
            booked.state = PaymentState.HELD
        approved = booked.state in {PaymentState.CONFIRMED, PaymentState.HELD, PaymentState.CAPTURED}
        outcome = Outcome.APPROVED if approved else Outcome.ABORTED
        return self._payment(booked.request, outcome, booked.state, booked.sequence)

    async def abort(self, *, silent: bool = False) -> None:
        raise NotSupported("abort a payment", "script")

    def _confirm(self, booked: Booked, amount: Money | None = None) -> Payment:
        total = amount or booked.request.total or Money.of(0, "CHF")
        booked.state = PaymentState.CONFIRMED
        booked.captured_minor = total.amount
        return self._payment(booked.request, Outcome.APPROVED, PaymentState.CONFIRMED, booked.sequence, total)

    def _payment(
        self, request: PaymentRequest, outcome: Outcome, state: PaymentState, sequence: int, amount: Money | None = None
    ) -> Payment:
        approved = (amount or request.total) if outcome is Outcome.APPROVED else None
        return Payment(
            reference=request.reference, kind=request.kind, outcome=outcome, state=state, requested=request.total,
            approved=approved, sequence=sequence, brand="VISA", masked_pan="411111XXXXXX1111",
        )  # fmt: skip


@dataclass
class FaultyStore:
    """Makes a store refuse, or break off, at chosen commits."""

    store: Store
    refuse: Callable[[Change], BaseException | None] = lambda change: None
    """Asked before a commit: what to raise instead of it."""
    break_off: Callable[[Change], BaseException | None] = lambda change: None
    """Asked after a commit: what to raise although it is durable."""
    reopen: Callable[[], BaseException | None] = lambda: None
    committed: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        commit, reopen = self.store.commit, self.store.reopen

        async def faulty_commit(change: Change, *, before: Head) -> None:
            error = self.refuse(change)
            if error is not None:
                raise error
            await commit(change, before=before)
            self.committed.append([row.kind for row in change.rows])
            error = self.break_off(change)
            if error is not None:
                raise error

        async def faulty_reopen() -> Head:
            error = self.reopen()
            if error is not None:
                raise error
            return await reopen()

        self.store.commit = faulty_commit  # type: ignore[method-assign]  # the faults of this one object
        self.store.reopen = faulty_reopen  # type: ignore[method-assign]  # likewise


async def memory_journal(store: Store | None = None) -> Journal:
    """A journal in memory, on virtual time, without threads."""
    return await Journal.open(store or SqliteStore(None, threaded=False), clock=VirtualClock())


async def kinds_of(journal: Journal, reference: str) -> list[str]:
    """What was written about a payment, in order."""
    return [row.kind for row in await journal.rows_of(reference)]


def purchase(minor: int = 1250, reference: str = "sale-1") -> PaymentRequest:
    return PaymentRequest(amount=Money.of(minor, "CHF"), reference=reference)
