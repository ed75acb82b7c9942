"""The database is lost in the middle of a day: nothing is paid that cannot be written down, and nothing is forgotten.

Whatever breaks, and wherever, the journal and the host's ledger agree in the end, and no register was told a lie.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import pytest
from tests.journal.postgres_server import Line, Server
from tests.journal.stores import FilePlace, Flaky, Place, ServerPlace

from zahlwerk import connect
from zahlwerk.errors import JournalHeld, JournalUnavailable, MoneyMoved, TerminalError
from zahlwerk.hold import Hold
from zahlwerk.journal.journal import Journal
from zahlwerk.journal.postgres import PostgresStore
from zahlwerk.journal.store import Store
from zahlwerk.journal.terminal import JournaledTerminal
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentKind, PaymentRequest
from zahlwerk.terminal import Decision, Witness
from zahlwerk.virtual.host import Host
from zahlwerk.virtual.terminal import VirtualTerminal

TRIES_MAX: Final = 40


@dataclass
class Day:
    """A register that insists, at a terminal whose host keeps the only truth about money."""

    journal: Journal
    terminal: JournaledTerminal
    host: Host
    refused: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    async def insist(self, reference: str, call: Callable[[], Awaitable[Payment]]) -> Payment:
        """Until it is settled; each refusal is held against what the host has booked."""
        for _ in range(TRIES_MAX):
            error, payment = await attempted(call)
            if payment is not None and payment.outcome is not Outcome.UNKNOWN:
                return payment
            if error is not None and error.money_moved is MoneyMoved.NO:
                # Of this attempt; an earlier one may have been left open, and was said to be.
                assert reference in self.unknown or self.host.charged(reference).amount == 0, str(error)
                self.refused.append(reference)
            else:
                self.unknown.append(reference)
        pytest.fail(f"{reference} was never settled: {error}")

    async def pay(self, reference: str) -> Payment:
        return await self.insist(reference, lambda: self.terminal.pay("12.50 CHF", reference=reference))

    async def hold_and_capture(self, reference: str) -> Payment:
        held = await self.insist(reference, lambda: self._held(reference))
        if held.state is not PaymentState.HELD:
            return held
        hold = Hold(self.terminal, held)
        return await self.insist(reference, lambda: hold.capture("8.40 CHF"))

    async def _held(self, reference: str) -> Payment:
        return (await self.terminal.hold("50.00 CHF", reference=reference)).payment

    async def spend(self) -> None:
        """Two payments, a hold that is captured, and a payment again."""
        await self.pay("sale-1")
        await self.hold_and_capture("tab-1")
        await self.pay("sale-2")

    async def must_agree(self) -> None:
        """Journal and ledger, entry by entry; the chain; nothing open."""
        assert await self.journal.heal()
        async with self.terminal.turn:
            await self.terminal.recovery.settle_past()
        for reference, amount in (("sale-1", 1250), ("sale-2", 1250), ("tab-1", 840)):
            record = await self.journal.record(reference)
            charged = self.host.charged(reference).amount
            approved = record.payment.approved.amount if record.payment and record.payment.approved else 0
            taken = approved if record.state in {PaymentState.CONFIRMED, PaymentState.CAPTURED} else 0
            assert (reference, taken) == (reference, charged)
            assert charged in {0, amount}
        verdict = await self.journal.verify()
        assert verdict.fault is None
        assert self.journal.open_records() == ()


async def attempted(call: Callable[[], Awaitable[Payment]]) -> tuple[TerminalError | None, Payment | None]:
    """What the register is told."""
    try:
        return None, await call()
    except TerminalError as exc:
        return exc, None


@asynccontextmanager
async def a_day(store: Store) -> AsyncIterator[Day]:
    """Begin one; it ends however it went."""
    inner = connect("virtual:?card=visa&speed=0")
    assert isinstance(inner, VirtualTerminal)
    journal = await Journal.open(store)
    try:
        terminal = journal.wrap(inner, name="till")
        await terminal.open()
        await terminal.open_shift()
        yield Day(journal, terminal, inner.host)
    finally:
        await journal.close()


COMMITS: Final = 12
"""More than such a day has without a fault, the first one apart: `test_a_day_without_a_fault` counts."""


class TestEachCommit:
    """At each commit of the day, on both databases."""

    async def test_a_day_without_a_fault(self, place: Place) -> None:
        store = Flaky(place.store())
        async with a_day(store) as day:
            await day.spend()
            await day.must_agree()

            assert (day.refused, day.unknown) == ([], [])
            assert store.commits <= COMMITS

    async def test_no_name_that_a_register_gives_keeps_others_from_paying(self, place: Place) -> None:
        async with a_day(place.store()) as day:
            request = PaymentRequest(
                kind=PaymentKind.PURCHASE, amount=Money.parse("12.50 CHF"), reference="sale-1",
                metadata={"actor": "Zoë\0\n" + "x" * 100},
            )  # fmt: skip
            payment = await day.terminal.transact(request)
            rows = await day.journal.rows_of("sale-1")

        assert payment.outcome is Outcome.APPROVED
        assert rows[0].actor == ("Zoë" + "x" * 100)[:64]

    @pytest.mark.parametrize("commit", range(2, COMMITS + 1))
    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize("outage", [0, 1, 4])
    async def test_journal_and_host_agree(self, place: Place, commit: int, when: str, outage: int) -> None:
        store = Flaky(place.store(), {commit: when}, outage=outage)
        async with a_day(store) as day:
            await day.spend()
            await day.must_agree()

            assert outage or (day.refused, day.unknown) == ([], [])

    @pytest.mark.parametrize("when", ["before", "after"])
    async def test_journal_and_host_agree_when_every_fifth_commit_breaks(self, place: Place, when: str) -> None:
        store = Flaky(place.store(), dict.fromkeys(range(2, 200, 5), when), outage=2)
        async with a_day(store) as day:
            await day.spend()
            store.repair()
            await day.must_agree()


class TestEachMessage:
    """At each message to a real server."""

    async def _run(self, line: Line, place: ServerPlace, at: int) -> Day:
        store = PostgresStore(place.server.address(schema=place.schema, folder=line.folder))
        async with a_day(store) as day:
            line.cut_at = line.sent + at
            await day.spend()
            line.repair()
            await day.must_agree()
            return day

    @pytest.mark.parametrize("how", ["request", "answer", "orphan"])
    @pytest.mark.parametrize("outage", [0, 2])
    async def test_journal_and_host_agree(self, postgres: Server, how: str, outage: int) -> None:
        cuts = 0
        for at in range(1, 60, 2 if outage else 1):
            async with Line(postgres) as line:
                line.cut_how, line.outage = how, outage
                await self._run(line, ServerPlace(postgres, postgres.new_schema()), at)
                cuts += line.cuts
            if not line.cuts:
                break

        assert cuts > 5


class TestServerDown:
    async def test_payments_are_refused_before_money_moves_and_go_on_by_themselves(
        self, postgres: Server, server_place: ServerPlace
    ) -> None:
        async with a_day(server_place.store()) as day:
            await day.pay("sale-1")
            before = day.host.ledger()
            postgres.stop()
            try:
                for _ in range(3):
                    with pytest.raises(JournalUnavailable) as caught:
                        await day.terminal.pay("12.50 CHF", reference="sale-2")
                    assert caught.value.money_moved is MoneyMoved.NO
            finally:
                postgres.start()
            untouched = day.host.ledger() == before
            await day.hold_and_capture("tab-1")
            await day.pay("sale-2")
            await day.must_agree()

            assert untouched
            assert day.journal.commits > 0

    async def test_outcomes_that_could_not_be_written_are_written_once_the_server_is_back(
        self, postgres: Server, server_place: ServerPlace
    ) -> None:
        """The server goes down between an approval, which is durable, and the decision about it, which is not."""
        async with a_day(server_place.store()) as day:
            await day.pay("sale-1")
            await day.hold_and_capture("tab-1")
            request = PaymentRequest(kind=PaymentKind.PURCHASE, amount=Money.parse("12.50 CHF"), reference="sale-2")
            try:
                with pytest.raises(TerminalError) as caught:
                    await day.terminal.transact(request, witness=StopsTheServer(postgres))
                charged = day.host.charged("sale-2").amount
            finally:
                postgres.start()
            settled = await day.pay("sale-2")
            await day.must_agree()

        assert caught.value.money_moved is not MoneyMoved.NO or charged == 0
        assert settled.state in {PaymentState.ROLLED_BACK, PaymentState.FAILED}


class TestPenTaken:
    async def test_a_journal_whose_pen_was_taken_refuses_every_payment(self, place: Place) -> None:
        async with a_day(place.store()) as day:
            await day.pay("sale-1")
            before = day.host.ledger()
            other = await taken_over(place)
            with pytest.raises(JournalHeld, match="second till"):
                await day.terminal.pay("12.50 CHF", reference="sale-2")
            with pytest.raises(JournalHeld, match="second till"):
                await day.terminal.pay("12.50 CHF", reference="sale-2")
            verdict = await other.verify()
            found = await other.record("sale-1")
            missing = await other.find("sale-2")
            await other.close()

            assert day.host.ledger() == before
            assert verdict.is_intact
            assert found.state in {PaymentState.CONFIRMING, PaymentState.CONFIRMED}
            assert missing is None


async def taken_over(place: Place) -> Journal:
    """Another process opens the journal after the first one lost its lock unnoticed."""
    if isinstance(place, ServerPlace):
        await place.end_sessions()
        return await Journal.open(place.store(), name="second till")
    assert isinstance(place, FilePlace)
    place.lose_lock()
    return await Journal.open(place.store(), name="second till")


class StopsTheServer(Witness):
    """The server goes down while the register thinks about an approval."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def approved(self, payment: Payment) -> Decision:
        self._server.stop()
        return Decision(confirm=True)
