"""A process that dies between any two lines, and the next one over the same file: settled, true, nothing twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import pairwise
from pathlib import Path

import pytest
from tests.journal.scripted import FaultyStore, ScriptedTerminal, kinds_of, purchase

from zahlwerk.clock import VirtualClock
from zahlwerk.errors import JournalHeld, LinkUnavailable
from zahlwerk.journal import Journal, JournaledTerminal
from zahlwerk.journal.sqlite import SqliteStore
from zahlwerk.journal.store import Change
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentKind, PaymentRequest

CHF_10 = Money.of(1000, "CHF")


class Died(BaseException):
    """The plug was pulled."""


class Shop:
    """One file and one terminal that outlive every process."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.db"
        self.inner = ScriptedTerminal()
        self.clock = VirtualClock()
        self.store = FaultyStore(SqliteStore(self.path, threaded=False))
        self.journal: Journal | None = None

    async def start(self) -> JournaledTerminal:
        """A new process."""
        self.store = FaultyStore(SqliteStore(self.path, threaded=False))
        self.journal = await Journal.open(self.store.store, clock=self.clock)
        terminal = self.journal.wrap(self.inner, name="till-1")
        await terminal.open()
        return terminal

    def die(self) -> None:
        """The plug is pulled here and now: whatever runs in the process gets no further."""
        assert self.journal is not None
        self.journal.kill()
        raise Died

    async def crash(self) -> None:
        """The process is gone: what is not durable is lost, the kernel lets go of the lock."""
        assert self.journal is not None
        self.journal.kill()
        await self.store.store.close()
        self.inner.script = type(self.inner.script)()

    async def die_in(self, work: asyncio.Future[Payment]) -> None:
        result = (await asyncio.gather(work, return_exceptions=True))[0]
        assert isinstance(result, Died)
        await self.crash()

    async def settled(self, seconds: float = 1_000.0) -> Journal:
        """A new process, and time for it to find everything out."""
        await self.start()
        await self.clock.advance(seconds)
        assert self.journal is not None
        return self.journal

    async def close(self) -> None:
        assert self.journal is not None
        await self.journal.close()


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


class TestAPaymentThatIsCutOff:
    @pytest.mark.parametrize(
        ("hook", "state", "charged"),
        [
            ("before_sending", None, 0),
            ("after_sending", PaymentState.UNKNOWN, 0),
            ("after_approval", PaymentState.ROLLED_BACK, 0),
            ("after_confirmation", PaymentState.CONFIRMED, 1250),
        ],
    )
    async def test_at_each_step_of_the_terminal(
        self, shop: Shop, hook: str, state: PaymentState | None, charged: int
    ) -> None:
        terminal = await shop.start()
        setattr(shop.inner.script, hook, shop.die)
        await shop.die_in(asyncio.ensure_future(terminal.transact(purchase())))

        journal = await shop.settled()

        record = await journal.find("sale-1")
        assert (record.state if record is not None else None) is state
        assert shop.inner.charged_minor == charged
        assert shop.inner.calls.count("transact sale-1") == 1
        assert (await journal.verify()).is_intact
        await shop.close()

    async def test_the_same_request_after_the_restart_gives_the_payment_that_was_made(self, shop: Shop) -> None:
        terminal = await shop.start()
        shop.inner.script.after_confirmation = shop.die
        await shop.die_in(asyncio.ensure_future(terminal.transact(purchase())))
        terminal = await shop.start()

        payment = await terminal.transact(purchase())

        assert (payment.outcome, payment.approved) == (Outcome.APPROVED, Money.of(1250, "CHF"))
        assert shop.inner.charged_minor == 1250
        await shop.close()

    async def test_one_that_nobody_knows_is_never_sent_again(self, shop: Shop) -> None:
        terminal = await shop.start()
        shop.inner.script.after_sending = shop.die
        await shop.die_in(asyncio.ensure_future(terminal.transact(purchase())))
        terminal = await shop.start()

        for _ in range(5):
            assert (await terminal.transact(purchase())).outcome is Outcome.UNKNOWN

        assert shop.inner.calls.count("transact sale-1") == 1
        assert shop.journal is not None
        assert [record.reference for record in shop.journal.doubts()] == ["sale-1"]
        await shop.close()

    async def test_what_was_requested_but_never_sent_is_failed_and_may_be_tried_again(self, shop: Shop) -> None:
        await shop.start()
        assert shop.journal is not None
        from zahlwerk.journal.entries import EntryKind

        await shop.journal.write("sale-1", "till-1", [(EntryKind.REQUESTED, {"request": purchase()})])
        await shop.crash()

        journal = await shop.settled()
        assert (await journal.record("sale-1")).state is PaymentState.FAILED
        await shop.crash()
        terminal = await shop.start()
        assert (await terminal.transact(purchase())).outcome is Outcome.APPROVED
        await shop.close()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
class TestAPlugPulledAtACommit:
    """Just before a batch of rows is durable, and just after."""

    async def cut(
        self,
        shop: Shop,
        kind: str,
        after: bool,
        work: Callable[[JournaledTerminal], Coroutine[object, object, Payment]],
    ) -> Journal:
        terminal = await shop.start()
        pulled = asyncio.Event()

        def due(change: Change) -> BaseException | None:
            if pulled.is_set() or not any(row.kind == kind for row in change.rows):
                return None
            pulled.set()
            assert shop.journal is not None
            shop.journal.kill()
            return Died()

        if after:
            shop.store.break_off = due
        else:
            shop.store.refuse = due
        task = asyncio.ensure_future(work(terminal))
        await pulled.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await shop.crash()
        return await shop.settled()

    @pytest.mark.parametrize("kind", ["sent", "approved", "confirmed"])
    async def test_the_books_agree_afterwards(self, shop: Shop, kind: str, after: bool) -> None:
        journal = await self.cut(shop, kind, after, lambda terminal: terminal.transact(purchase()))

        record = await journal.find("sale-1")
        paid = record is not None and record.state is PaymentState.CONFIRMED
        assert paid is (shop.inner.charged_minor == 1250)
        assert paid is (kind == "confirmed")
        assert shop.inner.calls.count("transact sale-1") == 1
        assert (await journal.verify()).is_intact
        await shop.close()

    @pytest.mark.parametrize("kind", ["capturing", "captured"])
    async def test_a_capture_is_done_once_or_not_at_all(self, shop: Shop, kind: str, after: bool) -> None:
        async def work(terminal: JournaledTerminal) -> Payment:
            hold = await terminal.hold("50.00 CHF", reference="tab-1")
            return await terminal.settle(hold.id, CHF_10)

        journal = await self.cut(shop, kind, after, work)

        record = await journal.record("tab-1")
        captured = record.state is PaymentState.CAPTURED
        assert captured or record.state is PaymentState.HELD
        assert shop.inner.charged_minor == (1000 if captured else 0)
        assert captured is not (kind == "capturing" and not after)
        await shop.close()


class TestAHoldThatIsCutOff:
    @pytest.mark.parametrize("hook", ["before_settling", "after_settling"])
    @pytest.mark.parametrize("amount", [CHF_10, None], ids=["captured", "released"])
    async def test_its_settlement_is_finished_as_it_was_decided(
        self, shop: Shop, hook: str, amount: Money | None
    ) -> None:
        terminal = await shop.start()
        hold = await terminal.hold("50.00 CHF", reference="tab-1")
        setattr(shop.inner.script, hook, shop.die)
        await shop.die_in(asyncio.ensure_future(terminal.settle(hold.id, amount)))

        journal = await shop.settled()

        record = await journal.record("tab-1")
        assert record.state is (PaymentState.RELEASED if amount is None else PaymentState.CAPTURED)
        assert shop.inner.charged_minor == (0 if amount is None else 1000)
        await shop.close()

    async def test_one_that_is_held_stays_held_until_somebody_settles_it(self, shop: Shop) -> None:
        terminal = await shop.start()
        hold = await terminal.hold("50.00 CHF", reference="tab-1")
        await shop.crash()

        journal = await shop.settled()
        assert [record.reference for record in journal.open_records()] == ["tab-1"]
        await shop.crash()
        terminal = await shop.start()
        assert (await terminal.settle(hold.id, CHF_10)).state is PaymentState.CAPTURED
        await shop.close()

    async def test_one_whose_opening_was_cut_off_is_found_held(self, shop: Shop) -> None:
        terminal = await shop.start()
        shop.inner.script.after_approval = shop.die
        opening = terminal.transact(
            PaymentRequest(kind=PaymentKind.AUTHORISATION, amount=Money.of(5000, "CHF"), reference="tab-1")
        )
        await shop.die_in(asyncio.ensure_future(opening))

        journal = await shop.settled()

        assert (await journal.record("tab-1")).state is PaymentState.HELD
        await shop.close()


class TestAskingInTheBackground:
    async def test_it_goes_on_with_growing_pauses_while_nobody_answers(self, shop: Shop) -> None:
        terminal = await shop.start()
        asked: list[float] = []

        def gone(reference: str) -> Payment | None:
            asked.append(shop.clock.now_s())
            raise LinkUnavailable("nobody answers")

        shop.inner.script.after_confirmation = shop.die
        shop.inner.script.lookup = gone
        await shop.die_in(asyncio.ensure_future(terminal.transact(purchase())))
        asked.clear()
        shop.inner.script.lookup = gone
        journal = await shop.settled(3_600.0)
        pauses = [after - before for before, after in pairwise(asked)]
        assert pauses[:6] == [2.0, 4.0, 8.0, 16.0, 32.0, 64.0]
        assert set(pauses[8:]) == {300.0}
        assert not journal.doubts()

        shop.inner.script.lookup = lambda reference: None
        await shop.clock.advance(301.0)
        assert (await journal.record("sale-1")).state is PaymentState.CONFIRMED
        await shop.close()

    async def test_it_is_done_before_the_first_sale_of_the_new_process(self, shop: Shop) -> None:
        terminal = await shop.start()
        shop.inner.script.after_confirmation = shop.die
        await shop.die_in(asyncio.ensure_future(terminal.transact(purchase())))
        terminal = await shop.start()

        await terminal.transact(purchase(reference="sale-2"))

        assert shop.inner.calls.index("lookup sale-1") < shop.inner.calls.index("transact sale-2")
        await shop.close()


class TestOneWriter:
    async def test_a_second_one_is_refused_and_told_who_holds_it(self, shop: Shop) -> None:
        await shop.start()

        with pytest.raises(JournalHeld, match=r"zahlwerk \(process \d+ on "):
            await Journal.open(SqliteStore(shop.path, threaded=False))
        await shop.close()

    async def test_readers_are_always_let_in(self, shop: Shop) -> None:
        terminal = await shop.start()
        await terminal.transact(purchase())

        reader = await Journal.open_to_read(SqliteStore(shop.path, threaded=False))

        assert (await kinds_of(reader, "sale-1"))[:4] == ["requested", "sent", "approved", "confirming"]
        await reader.close()
        await shop.close()

    async def test_after_a_crash_the_next_one_takes_over(self, shop: Shop) -> None:
        await shop.start()
        await shop.crash()

        await shop.start()
        await shop.close()
