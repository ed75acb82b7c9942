"""What an outsider looked for in the journal's core: each test was a way to lose, double or guess a payment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from tests.journal.scripted import FaultyStore, ScriptedTerminal, kinds_of, memory_journal, purchase

from zahlwerk.clock import VirtualClock
from zahlwerk.errors import (
    InvalidRequest,
    JournalUnavailable,
    MoneyMoved,
    ReferenceReused,
    TerminalBusy,
    TerminalError,
    TerminalRefused,
)
from zahlwerk.hold import HoldId
from zahlwerk.journal import Journal, JournaledTerminal
from zahlwerk.journal.entries import EntryKind
from zahlwerk.journal.sqlite import SqliteStore
from zahlwerk.journal.store import Change
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Original, Outcome, Payment, PaymentKind, PaymentRequest
from zahlwerk.terminal import ROLL_BACK, Decision, Evidence, Witness, approve_with

CHF_10 = Money.of(1000, "CHF")
FULL = JournalUnavailable("no room")


@dataclass
class Till:
    store: FaultyStore
    journal: Journal
    terminal: JournaledTerminal
    inner: ScriptedTerminal

    @property
    def clock(self) -> VirtualClock:
        assert isinstance(self.journal.clock, VirtualClock)
        return self.journal.clock


@pytest_asyncio.fixture
async def here() -> AsyncIterator[Till]:
    store = FaultyStore(SqliteStore(None, threaded=False))
    journal = await memory_journal(store.store)
    inner = ScriptedTerminal()
    terminal = journal.wrap(inner, name="till-1")
    await terminal.open()
    yield Till(store, journal, terminal, inner)
    await journal.close()


async def give_way() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def is_sound(journal: Journal) -> bool:
    """Every payment's rows can be read from the store, in their order."""
    references = {row.reference async for page in journal.all_rows() for row in page if row.reference}
    journal._settled.clear()  # what only memory knows does not count
    for reference in references:
        await journal.find(reference)
    return (await journal.verify()).is_intact


def raising(error: BaseException) -> object:
    def raise_it() -> None:
        raise error

    return raise_it


class TestTwoCallersOfOneReference:
    async def test_other_content_is_refused_also_while_the_first_waits_for_its_turn(self, here: Till) -> None:
        async with here.terminal.turn:
            first = asyncio.ensure_future(here.terminal.transact(purchase(1250)))
            await give_way()
            second = asyncio.ensure_future(here.terminal.transact(purchase(9900)))
            await give_way()

        assert (await first).approved == Money.of(1250, "CHF")
        with pytest.raises(ReferenceReused):
            await second

    async def test_who_takes_over_from_one_that_went_away_decides_about_the_approval(self, here: Till) -> None:
        async def no(payment: Payment) -> Decision:
            return ROLL_BACK

        async with here.terminal.turn:
            first = asyncio.ensure_future(here.terminal.transact(purchase()))
            await give_way()
            second = asyncio.ensure_future(here.terminal.transact(purchase(), witness=approve_with(no)))
            await give_way()
            first.cancel()
            await give_way()

        assert (await second).state is PaymentState.ROLLED_BACK
        assert here.inner.charged_minor == 0

    async def test_who_is_sent_away_together_with_the_first_pays_nothing(self, here: Till) -> None:
        async with here.terminal.turn:
            both = [asyncio.ensure_future(here.terminal.transact(purchase())) for _ in range(2)]
            await give_way()
            for one in both:
                one.cancel()
            await give_way()
        results = await asyncio.gather(*both, return_exceptions=True)

        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        assert here.inner.calls == ["open"]


class TestACallerThatGoesAway:
    async def test_while_its_outcome_is_being_written_leaves_a_sound_journal(self, here: Till) -> None:
        """The rows are on their way; whoever asks meanwhile must not be told what is older than they are."""
        here.inner.script.outcome = Outcome.DECLINED
        gate = asyncio.Event()
        commit = here.store.store.commit

        async def slow(change, *, before):  # type: ignore[no-untyped-def]  # as the store's own
            if any(row.kind == "declined" for row in change.rows):
                await gate.wait()
            await commit(change, before=before)

        here.store.store.commit = slow  # type: ignore[method-assign]  # of this one object
        first = asyncio.ensure_future(here.terminal.transact(purchase()))
        await give_way()
        second = asyncio.ensure_future(here.terminal.transact(purchase()))
        await give_way()
        first.cancel()
        await give_way()
        gate.set()
        await asyncio.gather(first, return_exceptions=True)

        assert (await second).outcome is Outcome.DECLINED
        assert await kinds_of(here.journal, "sale-1") == ["requested", "sent", "declined"]
        assert await is_sound(here.journal)

    async def test_during_a_capture_has_it_found_out_without_waiting_for_the_next_payment(self, here: Till) -> None:
        hold = await here.terminal.hold("50.00 CHF", reference="tab-1")
        here.inner.script.after_settling = raising(asyncio.CancelledError())  # type: ignore[assignment]  # a hook
        with pytest.raises(asyncio.CancelledError):
            await here.terminal.settle(hold.id, CHF_10)
        here.inner.script.after_settling = lambda: None
        await here.clock.advance(1.0)

        assert (await here.journal.record("tab-1")).state is PaymentState.CAPTURED


class TestAReadThatIsOvertaken:
    async def test_what_was_written_meanwhile_stays_known(self, here: Till) -> None:
        """A record is read from the store while a row about it is written: the older one must not win."""
        await here.terminal.transact(purchase())
        here.journal._settled.clear()
        gate, read = asyncio.Event(), here.store.store.of_reference

        async def slow(reference: str):  # type: ignore[no-untyped-def]  # as the store's own
            rows = await read(reference)
            await gate.wait()
            return rows

        here.store.store.of_reference = slow  # type: ignore[method-assign]  # of this one object
        late = asyncio.ensure_future(here.journal.find("sale-1"))
        await give_way()
        here.store.store.of_reference = read  # type: ignore[method-assign]  # as before
        await here.journal.find("sale-1")
        await here.journal.write("sale-1", "till-1", [(EntryKind.REVERSED, {"by": "r-1"})])
        gate.set()

        record = await late
        assert record is not None
        assert record.state is PaymentState.REVERSED
        assert (await here.journal.record("sale-1")).state is PaymentState.REVERSED


class TestWhileTheJournalHeals:
    async def test_what_others_write_meanwhile_is_not_forgotten(self, here: Till) -> None:
        """Healing reads what is open; until it has, nothing may be written behind its back."""
        other = ScriptedTerminal()
        other.script.waits = asyncio.Event()
        second = here.journal.wrap(other, name="till-2")
        await second.open()
        hold = asyncio.ensure_future(second.hold("50.00 CHF", reference="tab-2")._open())
        await give_way()
        here.store.refuse = lambda change: FULL
        with pytest.raises(JournalUnavailable):
            await here.terminal.transact(purchase())
        here.store.refuse = lambda change: None
        gate, read = asyncio.Event(), here.store.store.of_reference

        async def slow(reference: str):  # type: ignore[no-untyped-def]  # as the store's own
            rows = await read(reference)
            await gate.wait()
            return rows

        here.store.store.of_reference = slow  # type: ignore[method-assign]  # of this one object
        healing = asyncio.ensure_future(here.journal.heal())
        await give_way()
        other.script.waits.set()
        await give_way()
        here.store.store.of_reference = read  # type: ignore[method-assign]  # as before
        gate.set()
        await healing
        await asyncio.gather(hold, return_exceptions=True)
        await here.clock.advance(60.0)

        record = await here.journal.record("tab-2")
        assert record.state is other.books["tab-2"].state
        assert await is_sound(here.journal)


class SilentTerminal(ScriptedTerminal):
    """One that asks its witness nothing: it pays, and tells."""

    async def transact(self, request: PaymentRequest, *, witness: Witness = Witness()) -> Payment:  # noqa: B008
        self.script.before_sending()
        return await super().transact(request)


class TestAnOutcomeThatIsKept:
    async def test_of_a_terminal_that_told_nothing_before_is_written_with_its_request(self, here: Till) -> None:
        silent = SilentTerminal()
        terminal = here.journal.wrap(silent, name="till-2")
        silent.script.after_confirmation = lambda: setattr(here.store, "refuse", lambda change: FULL)
        assert (await terminal.transact(purchase())).outcome is Outcome.APPROVED
        here.store.refuse = lambda change: None

        assert await here.journal.heal()

        record = await here.journal.record("sale-1")
        assert (record.state, record.request) == (PaymentState.CONFIRMED, purchase())

    async def test_is_not_hidden_by_a_fault_while_it_is_undone(self, here: Till) -> None:
        """An approved refund is an approved refund, whether or not it can be noted at what it gives back."""
        sale = await here.terminal.transact(purchase())
        here.journal._settled.clear()

        async def broken(terminal: str, sequence: int) -> list[str]:
            raise FULL

        here.store.store.references_of = broken  # type: ignore[method-assign]  # of this one object
        refund = PaymentRequest(kind=PaymentKind.REFUND, amount=CHF_10, reference="r-1",
                                original=Original(sequence=sale.sequence))  # fmt: skip

        assert (await here.terminal.transact(refund)).outcome is Outcome.APPROVED


class TestHolds:
    async def test_one_that_the_terminal_took_back_before_it_was_held_is_not_called_held(self, here: Till) -> None:
        """The register died between the approval and the terminal's last word: nobody confirmed, it is let go."""
        here.inner.script.lookup = lambda reference: Payment(
            reference=reference, kind=PaymentKind.AUTHORISATION, outcome=Outcome.ABORTED,
            state=PaymentState.ROLLED_BACK,
        )  # fmt: skip
        request = PaymentRequest(kind=PaymentKind.AUTHORISATION, amount=CHF_10, reference="tab-1")
        shown = Payment(reference="tab-1", kind=PaymentKind.AUTHORISATION, outcome=Outcome.APPROVED,
                        state=PaymentState.APPROVED, approved=CHF_10, sequence=1)  # fmt: skip
        from zahlwerk.journal.steps import Steps

        steps = Steps(here.journal, "till-1", request, Witness(), actor="test")
        await steps.sending({})
        await steps.approved(shown)
        here.terminal.recovery.nudge()
        await here.clock.advance(1.0)

        assert (await here.journal.record("tab-1")).state is PaymentState.ROLLED_BACK

    async def test_one_whose_last_word_was_lost_is_unknown(self, here: Till) -> None:
        unknown = Payment(reference="tab-1", kind=PaymentKind.AUTHORISATION, outcome=Outcome.UNKNOWN,
                          state=PaymentState.UNKNOWN)  # fmt: skip
        here.inner.script.lookup = lambda reference: unknown
        confirm = here.inner._payment
        here.inner._payment = lambda *args, **kw: (  # type: ignore[method-assign]  # the last word of this one object
            unknown if args[2] is PaymentState.HELD else confirm(*args, **kw)
        )

        await here.terminal.hold("50.00 CHF", reference="tab-1")

        assert (await here.journal.record("tab-1")).state is PaymentState.UNKNOWN

    async def test_a_second_capture_that_is_refused_does_not_prove_that_the_first_was(self, here: Till) -> None:
        """The answer was lost, the terminal has forgotten it: it must not be called held again."""
        hold = await here.terminal.hold("50.00 CHF", reference="tab-1")
        lost = TerminalError("no answer")
        here.inner.script.after_settling = raising(lost)  # type: ignore[assignment]  # a hook that raises
        with pytest.raises(TerminalError):
            await here.terminal.settle(hold.id, CHF_10)
        here.inner.script.after_settling = lambda: None
        unknown = Payment(reference="tab-1", kind=PaymentKind.AUTHORISATION, outcome=Outcome.UNKNOWN,
                          state=PaymentState.UNKNOWN)  # fmt: skip
        here.inner.script.lookup = lambda reference: unknown

        refused = TerminalRefused("no such hold", money_moved=MoneyMoved.NO)
        here.inner.script.before_settling = raising(refused)  # type: ignore[assignment]  # a hook that raises
        with pytest.raises(TerminalRefused):
            await here.terminal.settle(hold.id, CHF_10)
        await here.clock.advance(600.0)

        record = await here.journal.record("tab-1")
        assert (record.state, bool(record.doubt)) == (PaymentState.UNKNOWN, True)

    async def test_one_that_was_captured_and_refunded_is_not_captured_again(self, here: Till) -> None:
        hold = await here.terminal.hold("50.00 CHF", reference="tab-1")
        captured = await hold.capture("10.00 CHF")
        refund = PaymentRequest(kind=PaymentKind.REFUND, amount=CHF_10, reference="r-1",
                                original=Original(sequence=captured.sequence))  # fmt: skip
        await here.terminal.transact(refund)
        asked = len(here.inner.calls)

        await here.terminal.settle(HoldId("1"), CHF_10)

        assert here.inner.calls[asked:] == []

    async def test_two_of_another_book_are_two_payments_whatever_the_terminal_is_called(self, here: Till) -> None:
        inner = ScriptedTerminal()
        terminal = here.journal.wrap(inner, name="the terminal at the second counter of the shop in Bern")
        for name in ("one", "two"):
            request = PaymentRequest(kind=PaymentKind.AUTHORISATION, amount=CHF_10, reference=name)
            await inner.transact(request)
            inner.books[name].state = PaymentState.HELD

        for sequence in ("1", "2"):
            assert (await terminal.settle(HoldId(sequence), CHF_10)).state is PaymentState.CAPTURED


class TestAReversalThatNamesNothing:
    async def test_is_noted_at_the_payment_that_was_made_last_not_at_the_one_found_out_last(self, here: Till) -> None:
        lost = Payment(reference="sale-1", kind=PaymentKind.PURCHASE, outcome=Outcome.UNKNOWN,
                       state=PaymentState.UNKNOWN)  # fmt: skip
        here.inner.script.lookup = lambda reference: lost
        here.inner.script.after_confirmation = raising(asyncio.CancelledError())  # type: ignore[assignment]  # a hook
        with pytest.raises(asyncio.CancelledError):
            await here.terminal.transact(purchase(1000, "sale-1"))
        here.inner.script.after_confirmation = lambda: None
        await here.terminal.transact(purchase(1000, "sale-2"))
        here.inner.books["sale-1"].state = PaymentState.CONFIRMED
        here.inner.script.lookup = lambda reference: None
        await here.terminal.lookup("sale-1")

        await here.terminal.reverse(reference="r-1")

        assert (await here.journal.record("sale-2")).state is PaymentState.REVERSED
        assert (await here.journal.record("sale-1")).state is PaymentState.CONFIRMED


class TestWhatCannotBeWrittenAsItIs:
    @pytest.mark.parametrize("actor", ["ann\ud800", "ann\0bob"])
    async def test_a_name_that_no_row_can_hold_does_not_stop_the_writer(self, here: Till, actor: str) -> None:
        request = PaymentRequest(amount=CHF_10, reference="sale-1", metadata={"actor": actor})
        async with asyncio.timeout(5.0):
            await asyncio.gather(here.terminal.transact(request), return_exceptions=True)
            assert (await here.terminal.transact(purchase(1250, "sale-2"))).outcome is Outcome.APPROVED
        assert await is_sound(here.journal)

    async def test_a_counter_that_no_database_can_hold_does_not_either(self, here: Till) -> None:
        here.store.refuse = lambda change: OverflowError("too large")
        async with asyncio.timeout(5.0):
            with pytest.raises(JournalUnavailable):
                await here.terminal.transact(purchase())
            here.store.refuse = lambda change: None
            assert (await here.terminal.transact(purchase(1250, "sale-2"))).outcome is Outcome.APPROVED

    async def test_a_text_of_the_terminal_that_is_no_text_is_written_all_the_same(self, here: Till) -> None:
        confirm = here.inner._payment
        here.inner._payment = lambda *args, **kw: confirm(*args, **kw).but(message="a\ud800b")  # type: ignore[method-assign]  # this object's words

        assert (await here.terminal.transact(purchase())).outcome is Outcome.APPROVED
        assert (await here.journal.record("sale-1")).state is PaymentState.CONFIRMED
        assert await is_sound(here.journal)


class TestRecovery:
    async def test_a_fault_of_the_driver_does_not_end_it(self, here: Till) -> None:
        here.inner.script.after_confirmation = raising(asyncio.CancelledError())  # type: ignore[assignment]  # a hook
        here.inner.script.lookup = raising(KeyError("a fault"))  # type: ignore[assignment]  # a hook that raises
        lookup, faults = here.inner.lookup, [KeyError("a fault"), ValueError("another")]

        async def faulty(
            reference: str = "", *, sequence: int | None = None, evidence: Evidence | None = None
        ) -> Payment:
            if faults:
                raise faults.pop()
            return await lookup(reference, sequence=sequence, evidence=evidence)

        here.inner.lookup = faulty  # type: ignore[method-assign]  # of this one object
        here.inner.script.lookup = lambda reference: None
        with pytest.raises(asyncio.CancelledError):
            await here.terminal.transact(purchase())
        await here.clock.advance(60.0)

        assert (await here.journal.record("sale-1")).state is PaymentState.CONFIRMED

    async def test_an_answer_that_no_table_foresees_blocks_nobody(self, here: Till) -> None:
        """The terminal says of a payment that nobody knew of that it was reversed already."""
        here.inner.script.after_confirmation = raising(asyncio.CancelledError())  # type: ignore[assignment]  # a hook
        with pytest.raises(asyncio.CancelledError):
            await here.terminal.transact(purchase())
        here.inner.script.after_confirmation = lambda: None
        here.inner.script.lookup = lambda reference: Payment(
            reference=reference, kind=PaymentKind.PURCHASE, outcome=Outcome.APPROVED, state=PaymentState.REVERSED,
        )  # fmt: skip

        assert (await here.terminal.transact(purchase(500, "sale-2"))).outcome is Outcome.APPROVED

    async def test_what_was_decided_is_durable_before_recovery_says_it(self, here: Till) -> None:
        """Whoever captured went away while the disk was slow: the terminal must not hear of it before the journal."""
        hold = await here.terminal.hold("50.00 CHF", reference="tab-1")
        gate, commit = asyncio.Event(), here.store.store.commit

        async def slow(change, *, before):  # type: ignore[no-untyped-def]  # as the store's own
            await gate.wait()
            await commit(change, before=before)

        here.store.store.commit = slow  # type: ignore[method-assign]  # of this one object
        capture = asyncio.ensure_future(here.terminal.settle(hold.id, CHF_10))
        await give_way()
        capture.cancel()
        await here.clock.advance(30.0)
        assert here.inner.charged_minor == 0

        gate.set()
        await here.clock.advance(600.0)
        assert here.inner.charged_minor == 1000


class TestAnApprovalOverWhichTheJournalFails:
    async def test_is_never_confirmed_later_even_if_the_decision_was_durable_after_all(self, here: Till) -> None:
        """The terminal was told to roll back, and whoever wanted to be paid was told that nothing was."""

        def breaks(change: Change) -> JournalUnavailable | None:
            return FULL if any(row.kind == "confirming" for row in change.rows) else None

        here.store.break_off = breaks
        here.store.reopen = lambda: FULL
        with pytest.raises(JournalUnavailable) as caught:
            await here.terminal.transact(purchase())
        here.store.break_off, here.store.reopen = (lambda change: None), (lambda: None)
        # The rollback was lost on its way: the terminal would still take a confirmation.
        here.inner.books["sale-1"].state = PaymentState.APPROVED
        await here.clock.advance(60.0)

        assert caught.value.money_moved is MoneyMoved.MAYBE
        assert here.inner.evidence is not None
        assert here.inner.evidence["confirm"] == "0"
        assert here.inner.charged_minor == 0
        assert (await here.journal.record("sale-1")).state is PaymentState.ROLLED_BACK


class TestAReversalAndWhatItUndoes:
    async def test_are_written_together(self, here: Till) -> None:
        """The plug pulled in between would leave a payment that was reversed, and does not say so."""
        sale = await here.terminal.transact(purchase())
        await here.terminal.reverse(sequence=sale.sequence, reference="r-1")
        await here.journal.note(EntryKind.OPENED, {})

        together = next(kinds for kinds in here.store.committed if "reversed" in kinds)
        assert together[:2] == ["confirmed", "reversed"]


class TestLookingUp:
    async def test_one_that_has_just_begun_runs_and_is_not_unknown_to_the_journal(self, here: Till) -> None:
        """Nothing is written of it yet: whoever reads "no such payment" charges again."""
        async with here.terminal.turn:
            first = asyncio.ensure_future(here.terminal.transact(purchase()))
            await give_way()
            with pytest.raises(TerminalBusy):
                await here.terminal.lookup("sale-1")
        await first

    async def test_of_two_holds_under_one_counter_the_later_one_is_meant(self, here: Till) -> None:
        """Counters begin again; the terminal knows its latest."""
        for name in ("older", "later"):
            payment = Payment(reference=name, kind=PaymentKind.AUTHORISATION, outcome=Outcome.APPROVED,
                              state=PaymentState.HELD, approved=CHF_10, sequence=1)  # fmt: skip
            await here.journal.write(name, "till-1", [(EntryKind.HELD, {"payment": payment})], sequence=1)
        request = PaymentRequest(kind=PaymentKind.AUTHORISATION, amount=CHF_10, reference="later")
        await here.inner.transact(request)
        here.inner.books["later"].state = PaymentState.HELD

        captured = await here.terminal.settle(HoldId("1"), CHF_10)

        assert captured.reference == "later"
        assert (await here.journal.record("older")).state is PaymentState.HELD


class TestADecisionThatCannotBe:
    @pytest.mark.parametrize("amount", ["99.00 CHF", "0.00 CHF", "5.00 EUR"])
    async def test_is_written_as_the_rollback_that_it_comes_to(self, here: Till, amount: str) -> None:
        """No terminal takes more than it approved: it rolls back, and a restart must not find a confirmation."""

        async def decide(payment: Payment) -> Decision:
            return Decision(confirm=True, amount=Money.parse(amount))

        with pytest.raises(InvalidRequest):
            await here.terminal.transact(purchase(), witness=approve_with(decide))
        await here.clock.advance(60.0)

        kinds = await kinds_of(here.journal, "sale-1")
        assert "confirming" not in kinds
        assert "rolling back" in kinds
        assert here.inner.charged_minor == 0
        assert (await here.journal.record("sale-1")).state is PaymentState.ROLLED_BACK
