"""A register as a process of its own, which kills itself with SIGKILL at the point that it is told.

Run as `python -m tests.journal.killed_register '{"journal": ..., "url": ..., "round": ..., "point": ...}'`. One life:
open the journal, let recovery run, do the last round once more under the same references, tell what the journal says
of every payment, wait for a line on standard input, begin the next round; somewhere in it, it dies.

The points lie in this program alone: in a store, a witness and a trace that count.

* `commit:before:3` and `commit:after:3`: the third group of rows of the round, just before the store is told, and just
  after it has answered (durable, and nobody knows yet);
* `message:12`: the twelfth message of the round, sent or received, whatever its direction;
* `witness:before:1`, `witness:after:1`: the approval, before the register is told of it, and after it has decided;
* `at:0.0123`: so many seconds after the round began, between any two instructions;
* `none`: never; the process ends by itself after its round.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from zahlwerk import connect
from zahlwerk.errors import JournalError, LinkError, TerminalBusy, TerminalError
from zahlwerk.hold import HoldId
from zahlwerk.journal import Journal, JournaledTerminal
from zahlwerk.journal.entries import Head
from zahlwerk.journal.sqlite import SqliteStore
from zahlwerk.journal.store import Change
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Original, Outcome, Payment, PaymentKind, PaymentRequest
from zahlwerk.terminal import CONFIRM, CONFIRM_ALL, Decision, Witness
from zahlwerk.urls import Context, TraceSink

# How much faster than the world the pauses run: 2 s and more between two questions of recovery, 20 s until a ZVT
# terminal that shows an older transaction is believed.
FASTER = 40.0
PATIENCE_S = 20.0
STEPS = 6


@dataclass(frozen=True)
class Step:
    """What the register wants once in a round; each amount stands for one payment only, all rounds over."""

    kind: PaymentKind
    reference: str
    minor: int = 0
    captures_minor: int | None = None
    reverses: str = ""


def steps_of(number: int, currency: str) -> tuple[Step, ...]:
    """The payments of a round. Amounts tell them apart at the host, whatever the interface passes on."""
    base = 1_000 + number * 100
    name = f"r{number}-{currency.lower()}"
    return (
        Step(PaymentKind.PURCHASE, f"{name}-sale", base + 1),
        Step(PaymentKind.REFUND, f"{name}-refund", base + 2),
        Step(PaymentKind.AUTHORISATION, f"{name}-tab", base + 30, captures_minor=base + 3),
        Step(PaymentKind.AUTHORISATION, f"{name}-let-go", base + 40),
        Step(PaymentKind.PURCHASE, f"{name}-mistake", base + 5),
        Step(PaymentKind.REVERSAL, f"{name}-reversal", reverses=f"{name}-mistake"),
    )


class Killer:
    """Counts, and dies."""

    def __init__(self, point: str) -> None:
        self._point = point
        self._counts: dict[str, int] = {}
        self.armed = False

    def arm(self) -> None:
        self.armed = True
        if self._point.startswith("at:"):
            timer = threading.Timer(float(self._point[3:]), die)
            timer.daemon = True
            timer.start()

    def passes(self, place: str) -> None:
        if not self.armed:
            return
        count = self._counts[place] = self._counts.get(place, 0) + 1
        if f"{place}:{count}" == self._point:
            die()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class KillingStore(SqliteStore):
    """The journal's own store, with a point before and after each commit."""

    def __init__(self, path: str, killer: Killer) -> None:
        super().__init__(path)
        self._killer = killer

    async def commit(self, change: Change, *, before: Head) -> None:
        self._killer.passes("commit:before")
        await super().commit(change, before=before)
        self._killer.passes("commit:after")


class KillingWitness(Witness):
    """A register that is told of each approval."""

    def __init__(self, killer: Killer) -> None:
        self._killer = killer

    async def approved(self, payment: Payment) -> Decision:
        self._killer.passes("witness:before")
        await asyncio.sleep(0)
        self._killer.passes("witness:after")
        return CONFIRM


class KillingTrace(TraceSink):
    """A point at each message."""

    def __init__(self, killer: Killer) -> None:
        self._killer = killer
        self._links = 0

    def opened(self, link: int, *, protocol: str, local: str, peer: str) -> None:
        pass

    def message(self, link: int, *, sent: bool, raw: bytes, decoded: object, note: str = "") -> None:
        self._killer.passes("message")

    def closed(self, link: int, *, why: str) -> None:
        pass

    def new_link(self) -> int:
        self._links += 1
        return self._links


class FastClock:
    """The machine's time, run faster: pauses are shorter, their order stays.

    Args:
        with_wall: the wall clock too; the terminal's is the machine's own, and its stamps are compared with it.
    """

    def __init__(self, *, with_wall: bool) -> None:
        self._start = time.monotonic()
        self._wall = datetime.now(tz=UTC)
        self._with_wall = with_wall

    def now_s(self) -> float:
        return (time.monotonic() - self._start) * FASTER

    def wall(self) -> datetime:
        return self._wall + timedelta(seconds=self.now_s()) if self._with_wall else datetime.now(tz=UTC).astimezone()

    async def sleep_until(self, deadline_s: float) -> None:
        await asyncio.sleep(max(0.0, deadline_s - self.now_s()) / FASTER)

    def call_at(self, deadline_s: float, callback: Callable[[], None]) -> Callable[[], None]:
        wait_s = max(0.0, deadline_s - self.now_s()) / FASTER
        return asyncio.get_running_loop().call_later(wait_s, callback).cancel


class Register:
    """One life."""

    def __init__(self, journal: Journal, terminal: JournaledTerminal, witness: Witness, currency: str) -> None:
        self._journal = journal
        self._terminal = terminal
        self._witness = witness
        self._currency = currency

    async def recovered(self) -> None:
        """Until nothing is open any more but what a person must decide about."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                if not any(record.is_unsettled and not record.doubt for record in self._journal.open_records()):
                    return
                await asyncio.sleep(0.005)

    async def round(self, number: int) -> None:
        for step in steps_of(number, self._currency):
            payment = await self._patiently(step)
            if payment is not None and payment.state is PaymentState.HELD:
                await self._settle(step, payment)

    async def _patiently(self, step: Step) -> Payment | None:
        """A line that is just coming back is tried again; what is refused is refused."""
        request = await self._request(step)
        if request is None:
            return None
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    payment = await self._terminal.transact(request, witness=self._witness)
                except (LinkError, TerminalBusy):
                    await asyncio.sleep(0.01)
                    continue
                if payment.outcome is not Outcome.UNKNOWN:
                    return payment
                record = await self._journal.record(step.reference)
                if record.doubt:
                    return None
                await asyncio.sleep(0.01)

    async def _request(self, step: Step) -> PaymentRequest | None:
        amount = Money.of(step.minor, self._currency) if step.minor else None
        original = None
        if step.reverses:
            known = await self._journal.find(step.reference)
            if known is not None and known.request is not None:
                return known.request
            record = await self._journal.find(step.reverses)
            if record is None or record.state is not PaymentState.CONFIRMED:
                return None
            original = Original(sequence=record.sequence)
        return PaymentRequest(kind=step.kind, amount=amount, reference=step.reference, original=original)

    async def _settle(self, step: Step, payment: Payment) -> None:
        amount = Money.of(step.captures_minor, self._currency) if step.captures_minor is not None else None
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    settled = await self._terminal.settle(HoldId(str(payment.sequence)), amount)
                except (LinkError, TerminalBusy):
                    await asyncio.sleep(0.01)
                    continue
                except TerminalError as exc:
                    tell({"event": "refused", "reference": step.reference, "why": str(exc)})
                    return
                if settled.outcome is not Outcome.UNKNOWN:
                    return
                await asyncio.sleep(0.01)

    async def told(self, rounds: int) -> dict[str, object]:
        """What the journal says of every payment."""
        found: dict[str, object] = {}
        for number in range(rounds):
            for step in steps_of(number, self._currency):
                record = await self._journal.find(step.reference)
                if record is not None:
                    approved = record.payment.approved if record.payment is not None else None
                    found[step.reference] = {
                        "state": record.state.value, "doubt": record.doubt, "attempt": record.attempt,
                        "approved": approved.amount if approved is not None else 0, "undone_by": record.undone_by,
                    }  # fmt: skip
        verdict = await self._journal.verify()
        return {"payments": found, "intact": verdict.is_intact, "rows": verdict.rows}


def tell(what: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def live(journal: str, url: str, number: int, point: str, currency: str) -> None:
    killer = Killer(point)
    try:
        book = await Journal.open(
            KillingStore(journal, killer), clock=FastClock(with_wall=True), name="killed register"
        )
    except JournalError as exc:
        tell({"event": "no journal", "error": type(exc).__name__, "why": str(exc)})
        return
    witness = KillingWitness(killer) if point.startswith("witness") or number % 2 else CONFIRM_ALL
    context = Context(trace=KillingTrace(killer), clock=FastClock(with_wall=False))
    async with book, book.wrap(connect(url, context), name="till-1") as terminal:
        register = Register(book, terminal, witness, currency)
        await register.recovered()
        tell({"event": "recovered", **await register.told(number)})
        if number == 0 and not (await terminal.status()).shift_open:
            await terminal.open_shift()
        if number:
            await register.round(number - 1)
            await register.recovered()
        tell({"event": "repeated", **await register.told(number)})
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        killer.arm()
        await register.round(number)
        await register.recovered()
        tell({"event": "survived", **await register.told(number + 1)})


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    asyncio.run(live(asked["journal"], asked["url"], asked["round"], asked["point"], asked["currency"]))
