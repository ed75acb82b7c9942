"""A terminal with a journal around it: written before it happens, and each reference paid at most once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio
from tests.journal.scripted import FaultyStore, ScriptedTerminal, kinds_of, memory_journal, purchase

from zahlwerk.clock import VirtualClock
from zahlwerk.errors import (
    CardDataRefused,
    InvalidRequest,
    JournalUnavailable,
    LinkLost,
    LinkUnavailable,
    MoneyMoved,
    PaymentNotFound,
    ReferenceReused,
    TerminalBusy,
    TerminalRefused,
)
from zahlwerk.events import LinkChanged, Notice, StandalonePayment, TerminalEvent
from zahlwerk.hold import HoldId
from zahlwerk.journal import Journal, JournaledTerminal
from zahlwerk.journal.sqlite import SqliteStore
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentKind, PaymentRequest
from zahlwerk.terminal import ROLL_BACK, Decision, Evidence, Period, Totals, Witness, approve_with

CHF_10 = Money.of(1000, "CHF")


@dataclass
class Till:
    """A journal, its terminal, and the scripted one behind."""

    journal: Journal
    terminal: JournaledTerminal
    inner: ScriptedTerminal
    store: FaultyStore

    async def settle_down(self) -> None:
        for _ in range(50):
            await asyncio.sleep(0)


async def till() -> Till:
    store = FaultyStore(SqliteStore(None, threaded=False))
    journal = await memory_journal(store.store)
    inner = ScriptedTerminal()
    terminal = journal.wrap(inner, name="till-1")
    await terminal.open()
    store.committed.clear()
    return Till(journal, terminal, inner, store)


@pytest_asyncio.fixture
async def here() -> AsyncIterator[Till]:
    made = await till()
    yield made
    await made.journal.close()


def raising(error: BaseException) -> object:
    def script() -> None:
        raise error

    return script


class TestWhatIsWrittenWhen:
    """Design 6: the intent is durable before anything is sent, the approval before it is confirmed."""

    async def test_a_payment_is_requested_sent_approved_confirming_and_confirmed(self, here: Till) -> None:
        payment = await here.terminal.transact(purchase())
        await here.settle_down()

        assert payment.outcome is Outcome.APPROVED
        assert await kinds_of(here.journal, "sale-1") == ["requested", "sent", "approved", "confirming", "confirmed"]

    async def test_the_intent_is_durable_before_the_request_leaves(self, here: Till) -> None:
        durable: list[list[str]] = []
        here.inner.script.after_sending = lambda: durable.extend(here.store.committed)

        await here.terminal.transact(purchase())

        assert durable == [["requested", "sent"]]

    async def test_approval_and_decision_are_durable_before_the_confirmation_leaves(self, here: Till) -> None:
        durable: list[list[str]] = []
        here.inner.script.after_confirmation = lambda: durable.extend(here.store.committed)

        await here.terminal.transact(purchase())

        assert durable == [["requested", "sent"], ["approved", "confirming"]]

    async def test_a_payment_waits_for_two_commits_and_no_more(self, here: Till) -> None:
        await here.terminal.transact(purchase())

        assert len(here.store.committed) == 2

    async def test_a_caller_who_decides_is_shown_an_approval_that_is_durable(self, here: Till) -> None:
        durable: list[list[str]] = []

        async def decide(payment: Payment) -> Decision:
            durable.extend(here.store.committed)
            return Decision(confirm=True, amount=CHF_10)

        payment = await here.terminal.transact(purchase(), witness=approve_with(decide))

        assert durable == [["requested", "sent"], ["approved"]]
        assert payment.approved == CHF_10
        record = await here.journal.record("sale-1")
        assert record.decided_minor == 1000

    async def test_a_rollback_is_written_before_it_is_said(self, here: Till) -> None:
        async def decide(payment: Payment) -> Decision:
            return ROLL_BACK

        payment = await here.terminal.transact(purchase(), witness=approve_with(decide))

        assert payment.state is PaymentState.ROLLED_BACK
        assert await kinds_of(here.journal, "sale-1") == [
            "requested",
            "sent",
            "approved",
            "rolling back",
            "rolled back",
        ]
        assert here.inner.charged_minor == 0

    @pytest.mark.parametrize("outcome", [Outcome.DECLINED, Outcome.REFERRED, Outcome.ABORTED, Outcome.FAILED])
    async def test_what_is_not_approved_is_durable_when_it_is_told(self, here: Till, outcome: Outcome) -> None:
        here.inner.script.outcome = outcome

        await here.terminal.transact(purchase())

        assert [kind for commit in here.store.committed for kind in commit] == [
            "requested", "sent", outcome.value.lower(),
        ]  # fmt: skip

    async def test_a_terminal_of_one_phase_is_written_as_confirmed(self, here: Till) -> None:
        here.inner.script.two_phase = False

        await here.terminal.transact(purchase())

        assert await kinds_of(here.journal, "sale-1") == ["requested", "sent", "confirmed"]

    async def test_the_evidence_of_the_driver_and_the_callers_witness_both_get_it(self, here: Till) -> None:
        told: list[Evidence] = []

        class Listening(Witness):
            async def sending(self, evidence: Evidence) -> None:
                told.append(evidence)

        await here.terminal.transact(purchase(), witness=Listening())

        assert told == [{"counter_before": "0"}]
        assert (await here.journal.record("sale-1")).evidence == {"counter_before": "0"}

    async def test_who_paid_stands_in_every_row(self, here: Till) -> None:
        request = replace(purchase(), metadata={"actor": "Anna"})

        await here.terminal.transact(request)
        await here.settle_down()

        assert {row.actor for row in await here.journal.rows_of("sale-1")} == {"Anna"}


class TestOneReferenceOnePayment:
    """Design 6: `reference` is the idempotency key."""

    async def test_the_same_request_again_gives_the_same_payment(self, here: Till) -> None:
        first = await here.terminal.transact(purchase())

        assert await here.terminal.transact(purchase()) == first
        assert here.inner.charged_minor == 1250
        assert here.inner.calls.count("transact sale-1") == 1

    async def test_a_declined_one_stays_declined(self, here: Till) -> None:
        here.inner.script.outcome = Outcome.DECLINED
        await here.terminal.transact(purchase())
        here.inner.script.outcome = Outcome.APPROVED

        assert (await here.terminal.transact(purchase())).outcome is Outcome.DECLINED
        assert here.inner.charged_minor == 0

    async def test_other_content_under_the_reference_is_refused_and_both_are_shown(self, here: Till) -> None:
        await here.terminal.transact(purchase(1250))

        with pytest.raises(ReferenceReused, match=r"CHF 12\.50.*CHF 13\.50"):
            await here.terminal.transact(purchase(1350))
        assert here.inner.charged_minor == 1250

    async def test_what_does_not_change_what_is_paid_may_differ(self, here: Till) -> None:
        first = await here.terminal.transact(purchase())

        again = await here.terminal.transact(replace(purchase(), language="fr", metadata={"till": "2"}))

        assert again == first

    async def test_two_at_once_are_one_payment(self, here: Till) -> None:
        here.inner.script.waits = asyncio.Event()
        both = [asyncio.ensure_future(here.terminal.transact(purchase())) for _ in range(2)]
        await here.settle_down()
        here.inner.script.waits.set()

        first, second = await asyncio.gather(*both)

        assert first == second
        assert here.inner.calls.count("transact sale-1") == 1

    async def test_two_at_once_with_other_content_are_not_joined(self, here: Till) -> None:
        here.inner.script.waits = asyncio.Event()
        first = asyncio.ensure_future(here.terminal.transact(purchase(1250)))
        await here.settle_down()

        with pytest.raises(ReferenceReused):
            await here.terminal.transact(purchase(1350))
        here.inner.script.waits.set()
        assert (await first).outcome is Outcome.APPROVED

    async def test_two_terminals_never_charge_the_same_reference(self, here: Till) -> None:
        other = ScriptedTerminal()
        second = here.journal.wrap(other, name="till-2")
        await second.open()

        first = await here.terminal.transact(purchase())

        assert await second.transact(purchase()) == first
        assert other.charged_minor == 0

    async def test_another_payment_meanwhile_is_told_that_the_terminal_is_busy(self, here: Till) -> None:
        here.inner.script.waits = asyncio.Event()
        first = asyncio.ensure_future(here.terminal.transact(purchase()))
        await here.settle_down()

        with pytest.raises(TerminalBusy, match="till-1"):
            await here.terminal.transact(purchase(reference="sale-2"))
        here.inner.script.waits.set()
        await first
        assert await kinds_of(here.journal, "sale-2") == []

    async def test_an_attempt_that_never_started_leaves_the_reference_free(self, here: Till) -> None:
        here.inner.script.before_sending = raising(LinkUnavailable("nobody answers"))  # type: ignore[assignment]  # raises
        with pytest.raises(LinkUnavailable):
            await here.terminal.transact(purchase())
        here.inner.script.before_sending = lambda: None

        payment = await here.terminal.transact(purchase())

        assert payment.outcome is Outcome.APPROVED
        record = await here.journal.record("sale-1")
        assert (record.attempt, here.inner.charged_minor) == (2, 1250)

    async def test_one_that_the_terminal_refused_to_start_as_well(self, here: Till) -> None:
        here.inner.script.after_sending = raising(TerminalBusy("a customer is there"))  # type: ignore[assignment]  # raises
        with pytest.raises(TerminalBusy):
            await here.terminal.transact(purchase())
        here.inner.script.after_sending = lambda: None

        assert (await here.terminal.transact(purchase())).outcome is Outcome.APPROVED
        kinds = await kinds_of(here.journal, "sale-1")
        assert kinds[:4] == ["requested", "sent", "failed", "requested"]

    async def test_but_not_for_another_amount(self, here: Till) -> None:
        here.inner.script.before_sending = raising(LinkUnavailable("nobody answers"))  # type: ignore[assignment]  # raises
        with pytest.raises(LinkUnavailable):
            await here.terminal.transact(purchase(1250))

        with pytest.raises(ReferenceReused):
            await here.terminal.transact(purchase(1350))

    async def test_card_data_is_refused_before_anything_is_written_or_sent(self, here: Till) -> None:
        with pytest.raises(CardDataRefused):
            await here.terminal.transact(replace(purchase(), metadata={"note": "4111 1111 1111 1111"}))

        assert here.inner.calls == ["open"]
        assert here.store.committed == []


class TestWhenTheCallerGoesAway:
    async def test_the_payment_is_unknown_and_then_found_out(self, here: Till) -> None:
        here.inner.script.waits = asyncio.Event()
        task = asyncio.ensure_future(here.terminal.transact(purchase()))
        await here.settle_down()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await here.settle_down()

        assert (await here.journal.record("sale-1")).state is PaymentState.UNKNOWN

    async def test_who_joined_it_is_told_what_became_of_it(self, here: Till) -> None:
        here.inner.script.waits = asyncio.Event()
        first = asyncio.ensure_future(here.terminal.transact(purchase()))
        await here.settle_down()
        second = asyncio.ensure_future(here.terminal.transact(purchase()))
        await here.settle_down()
        first.cancel()

        assert (await second).outcome is Outcome.UNKNOWN
        assert here.inner.charged_minor == 0

    async def test_two_that_ask_for_the_same_and_both_go_away_are_gone(self, here: Till) -> None:
        """The second one took its own cancellation for that of the first, and began to pay. Found by the simulation."""
        here.inner.script.waits = asyncio.Event()
        both = [asyncio.ensure_future(here.terminal.transact(purchase())) for _ in range(2)]
        await here.settle_down()

        for one in both:
            one.cancel()
        await asyncio.gather(*both, return_exceptions=True)

        assert [one.cancelled() for one in both] == [True, True]


class TestALostLink:
    async def test_an_unknown_payment_is_asked_about_when_it_is_wanted_again(self, here: Till) -> None:
        here.inner.script.outcome = Outcome.UNKNOWN
        first = await here.terminal.transact(purchase())
        here.inner.script.outcome = Outcome.APPROVED
        here.inner.script.lookup = lambda reference: Payment(
            reference=reference, kind=PaymentKind.PURCHASE, outcome=Outcome.APPROVED, state=PaymentState.CONFIRMED,
            approved=Money.of(1250, "CHF"), sequence=7,
        )  # fmt: skip

        again = await here.terminal.transact(purchase())

        assert (first.outcome, again.outcome) == (Outcome.UNKNOWN, Outcome.APPROVED)
        assert here.inner.calls.count("transact sale-1") == 1

    async def test_not_found_is_not_not_paid(self, here: Till) -> None:
        here.inner.script.outcome = Outcome.UNKNOWN
        await here.terminal.transact(purchase())

        again = await here.terminal.transact(purchase())

        assert again.outcome is Outcome.UNKNOWN
        assert here.inner.calls.count("transact sale-1") == 1

    async def test_what_came_back_unknown_is_asked_about_by_itself(self, here: Till) -> None:
        here.inner.script.outcome = Outcome.UNKNOWN
        await here.terminal.transact(purchase())
        await here.settle_down()

        assert "lookup sale-1" in here.inner.calls

    async def test_what_is_open_is_asked_about_before_the_next_payment(self, here: Till) -> None:
        here.inner.script.outcome = Outcome.UNKNOWN
        await here.terminal.transact(purchase())
        here.inner.script.outcome = Outcome.APPROVED

        await here.terminal.transact(purchase(reference="sale-2"))

        asked = here.inner.calls.index("lookup sale-1")
        assert asked < here.inner.calls.index("transact sale-2")

    async def test_while_it_cannot_be_asked_nobody_pays(self, here: Till) -> None:
        here.inner.script.outcome = Outcome.UNKNOWN
        await here.terminal.transact(purchase())

        def gone(reference: str) -> Payment | None:
            raise LinkUnavailable("nobody answers")

        here.inner.script.lookup = gone
        with pytest.raises(LinkUnavailable):
            await here.terminal.transact(purchase(reference="sale-2"))
        assert "transact sale-2" not in here.inner.calls

    async def test_after_some_answers_that_tell_nothing_a_person_must_decide(self, here: Till) -> None:
        told: list[TerminalEvent] = []
        here.terminal.listen(told.append)
        here.inner.script.outcome = Outcome.UNKNOWN
        await here.terminal.transact(purchase())
        for _ in range(3):
            await here.terminal.transact(purchase())

        assert [record.reference for record in here.journal.doubts()] == ["sale-1"]
        assert any(isinstance(event, Notice) and "sale-1" in event.text for event in told)

    async def test_the_decision_is_in_the_evidence(self, here: Till) -> None:
        here.inner.script.after_approval = raising(LinkLost("gone", request_sent=True))  # type: ignore[assignment]  # raises
        with pytest.raises(LinkLost):
            await here.terminal.transact(purchase())
        await here.terminal.lookup("sale-1")
        assert here.inner.evidence is not None
        undecided = dict(here.inner.evidence)
        here.inner.script.after_approval = lambda: None
        here.inner.script.after_confirmation = raising(LinkLost("gone", request_sent=True))  # type: ignore[assignment]  # raises
        with pytest.raises(LinkLost):
            await here.terminal.transact(purchase(reference="sale-2"))
        await here.terminal.lookup("sale-2")

        assert undecided["confirm"] == "none"
        assert here.inner.evidence is not None
        assert here.inner.evidence["confirm"] == "1"
        assert (here.inner.evidence["sequence"], here.inner.evidence["approved_minor"]) == ("2", "1250")
        assert here.inner.charged_minor == 1250


class TestHolds:
    async def test_a_hold_is_held_captured_and_the_capture_is_durable_before_it_is_said(self, here: Till) -> None:
        durable: list[str] = []
        here.inner.script.before_settling = lambda: durable.extend(here.store.committed[-1])

        async with here.terminal.hold("50.00 CHF", reference="tab-1") as hold:
            await hold.capture("8.40 CHF")

        assert durable == ["capturing"]
        assert await kinds_of(here.journal, "tab-1") == [
            "requested", "sent", "approved", "confirming", "held", "capturing", "captured",
        ]  # fmt: skip
        assert here.inner.charged_minor == 840

    async def test_a_block_that_is_left_releases(self, here: Till) -> None:
        async with here.terminal.hold("50.00 CHF", reference="tab-1"):
            pass

        assert (await here.journal.record("tab-1")).state is PaymentState.RELEASED

    async def test_the_same_capture_again_changes_nothing(self, here: Till) -> None:
        hold = await here.terminal.hold("50.00 CHF", reference="tab-1")
        first = await here.terminal.settle(hold.id, CHF_10)

        assert await here.terminal.settle(hold.id, CHF_10) == first
        assert here.inner.calls.count("settle 1 CHF 10.00") == 1

    async def test_another_capture_is_refused(self, here: Till) -> None:
        hold = await here.terminal.hold("50.00 CHF", reference="tab-1")
        await here.terminal.settle(hold.id, CHF_10)

        with pytest.raises(TerminalRefused, match="captured before"):
            await here.terminal.settle(hold.id, Money.of(1100, "CHF"))
        with pytest.raises(TerminalRefused, match="captured before"):
            await here.terminal.settle(hold.id, None)

    async def test_a_capture_that_was_lost_is_finished_by_recovery(self, here: Till) -> None:
        hold = await here.terminal.hold("50.00 CHF", reference="tab-1")
        here.inner.script.before_settling = raising(LinkLost("gone", request_sent=True))  # type: ignore[assignment]  # raises
        with pytest.raises(LinkLost):
            await here.terminal.settle(hold.id, CHF_10)
        here.inner.script.before_settling = lambda: None

        with pytest.raises(TerminalRefused, match="nobody knows"):
            await here.terminal.settle(hold.id, None)
        payment = await here.terminal.transact(PaymentRequest(
            kind=PaymentKind.AUTHORISATION, amount=Money.of(5000, "CHF"), reference="tab-1",
        ))  # fmt: skip

        assert (payment.state, payment.approved) == (PaymentState.CAPTURED, CHF_10)
        assert here.inner.charged_minor == 1000

    async def test_a_capture_that_came_back_unknown_is_finished_by_itself(self, here: Till) -> None:
        hold = await here.terminal.hold("50.00 CHF", reference="tab-1")
        here.inner.script.before_settling = raising(LinkLost("gone", request_sent=True))  # type: ignore[assignment]  # raises
        with pytest.raises(LinkLost):
            await hold.capture("8.40 CHF")
        here.inner.script.before_settling = lambda: None
        await here.settle_down()

        assert (await here.journal.record("tab-1")).state is PaymentState.CAPTURED
        assert here.inner.charged_minor == 840

    async def test_a_capture_that_could_not_be_written_is_not_sent_once_there_is_room_again(self, here: Till) -> None:
        """Found by the simulation: recovery had picked it up before the journal was read again."""
        hold = await here.terminal.hold("50.00 CHF", reference="tab-1")
        here.store.refuse = lambda change: JournalUnavailable("disk full")
        here.store.reopen = lambda: JournalUnavailable("disk full")
        with pytest.raises(JournalUnavailable):
            await here.terminal.settle(hold.id, CHF_10)
        here.store.refuse = lambda change: None
        here.store.reopen = lambda: None
        await here.journal.clock.advance(600.0)  # type: ignore[attr-defined]  # a virtual one

        assert not any(call.startswith("settle") for call in here.inner.calls)
        assert (await here.journal.record("tab-1")).state is PaymentState.HELD

    async def test_the_refusal_of_a_repeated_capture_says_nothing_about_the_first(self, here: Till) -> None:
        hold = await here.terminal.hold("50.00 CHF", reference="tab-1")
        here.inner.script.after_settling = raising(LinkLost("gone", request_sent=True))  # type: ignore[assignment]  # raises
        with pytest.raises(LinkLost):
            await here.terminal.settle(hold.id, CHF_10)
        here.inner.script.after_settling = lambda: None
        refusal = TerminalRefused("captured already", money_moved=MoneyMoved.NO)
        here.inner.script.before_settling = raising(refusal)  # type: ignore[assignment]  # raises

        with pytest.raises(TerminalRefused):
            await here.terminal.settle(hold.id, CHF_10)

        assert here.inner.charged_minor == 1000
        assert (await here.journal.record("tab-1")).state is PaymentState.UNKNOWN

    async def test_a_capture_of_which_the_terminal_cannot_tell_is_for_a_person_in_the_end(
        self, here: Till, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hold = await here.terminal.hold("50.00 CHF", reference="tab-1")

        async def lost(name: HoldId, amount: Money | None) -> Payment:
            return hold.payment.but(outcome=Outcome.UNKNOWN, state=PaymentState.UNKNOWN, message="who knows")

        monkeypatch.setattr(here.inner, "settle", lost)
        here.inner.script.lookup = lambda reference: hold.payment.but(
            outcome=Outcome.UNKNOWN, state=PaymentState.UNKNOWN, message="who knows"
        )
        await here.terminal.settle(hold.id, CHF_10)
        await here.journal.clock.advance(3_600.0)  # type: ignore[attr-defined]  # a virtual one

        assert [record.reference for record in here.journal.doubts()] == ["tab-1"]

    async def test_a_capture_that_never_left_leaves_it_held(self, here: Till) -> None:
        hold = await here.terminal.hold("50.00 CHF", reference="tab-1")
        here.inner.script.before_settling = raising(LinkUnavailable("nobody answers"))  # type: ignore[assignment]  # raises
        with pytest.raises(LinkUnavailable):
            await here.terminal.settle(hold.id, CHF_10)
        here.inner.script.before_settling = lambda: None

        assert (await here.journal.record("tab-1")).state is PaymentState.HELD
        assert (await here.terminal.settle(hold.id, None)).state is PaymentState.RELEASED

    async def test_a_hold_of_another_book_is_taken_in(self, here: Till) -> None:
        hold = await here.inner.transact(PaymentRequest(
            kind=PaymentKind.AUTHORISATION, amount=Money.of(5000, "CHF"), reference="elsewhere",
        ))  # fmt: skip
        assert hold.sequence is not None

        payment = await here.terminal.settle(HoldId(str(hold.sequence)), CHF_10)

        assert payment.state is PaymentState.CAPTURED
        assert [row.kind for row in await here.journal.rows_of(payment.reference)] == ["held", "capturing", "captured"]

    async def test_what_is_no_hold_is_refused(self, here: Till) -> None:
        with pytest.raises(InvalidRequest):
            await here.terminal.settle(HoldId("x'; DROP TABLE"), None)


class TestAJournalThatCannotBeWritten:
    """Refused before money moves rather than after; what has happened is not forgotten."""

    async def test_nothing_is_sent_if_the_intent_cannot_be_written(self, here: Till) -> None:
        here.store.refuse = lambda change: JournalUnavailable("disk full")
        here.store.reopen = lambda: JournalUnavailable("disk full")

        with pytest.raises(JournalUnavailable, match="disk full"):
            await here.terminal.transact(purchase())

        assert "sent sale-1" not in here.inner.calls
        assert here.journal.trouble == "disk full"

    async def test_the_next_one_is_refused_before_the_terminal_is_asked(self, here: Till) -> None:
        here.store.refuse = lambda change: JournalUnavailable("disk full")
        here.store.reopen = lambda: JournalUnavailable("disk full")
        with pytest.raises(JournalUnavailable):
            await here.terminal.transact(purchase())
        calls = list(here.inner.calls)

        with pytest.raises(JournalUnavailable):
            await here.terminal.transact(purchase(reference="sale-2"))
        assert here.inner.calls == calls

    async def test_once_there_is_room_again_the_same_reference_can_be_paid(self, here: Till) -> None:
        here.store.refuse = lambda change: JournalUnavailable("disk full")
        here.store.reopen = lambda: JournalUnavailable("disk full")
        with pytest.raises(JournalUnavailable):
            await here.terminal.transact(purchase())
        here.store.refuse = lambda change: None
        here.store.reopen = lambda: None

        assert (await here.terminal.transact(purchase())).outcome is Outcome.APPROVED
        assert here.inner.charged_minor == 1250

    async def test_an_approval_that_cannot_be_written_is_taken_back(self, here: Till) -> None:
        def no_room() -> None:
            here.store.refuse = lambda change: JournalUnavailable("disk full")
            here.store.reopen = lambda: JournalUnavailable("disk full")

        here.inner.script.after_approval = no_room
        with pytest.raises(JournalUnavailable):
            await here.terminal.transact(purchase())
        here.store.refuse = lambda change: None
        here.store.reopen = lambda: None
        here.inner.script.after_approval = lambda: None

        assert here.inner.charged_minor == 0
        again = await here.terminal.transact(purchase())
        assert (again.outcome, here.inner.charged_minor) == (Outcome.ABORTED, 0)

    async def test_an_outcome_that_cannot_be_written_is_told_and_written_later(self, here: Till) -> None:
        def no_room() -> None:
            here.store.refuse = lambda change: JournalUnavailable("disk full")
            here.store.reopen = lambda: JournalUnavailable("disk full")

        here.inner.script.two_phase = False
        here.inner.script.after_approval = no_room
        payment = await here.terminal.transact(purchase())
        assert payment.outcome is Outcome.APPROVED
        with pytest.raises(JournalUnavailable):
            await here.terminal.transact(purchase(reference="sale-2"))
        here.store.refuse = lambda change: None
        here.store.reopen = lambda: None
        here.inner.script.after_approval = lambda: None

        await here.terminal.transact(purchase(reference="sale-2"))
        assert (await kinds_of(here.journal, "sale-1"))[-1] == "confirmed"

    async def test_a_commit_that_was_durable_after_all_counts(self, here: Till) -> None:
        broken = iter([JournalUnavailable("connection lost")])
        here.store.break_off = lambda change: next(broken, None)

        payment = await here.terminal.transact(purchase())
        await here.settle_down()

        assert payment.outcome is Outcome.APPROVED
        assert await kinds_of(here.journal, "sale-1") == ["requested", "sent", "approved", "confirming", "confirmed"]
        assert (await here.journal.verify()).is_intact

    async def test_an_intent_that_was_durable_after_all_but_never_left_is_failed(self, here: Till) -> None:
        here.store.break_off = lambda change: JournalUnavailable("connection lost")
        here.store.reopen = lambda: JournalUnavailable("connection lost")
        with pytest.raises(JournalUnavailable):
            await here.terminal.transact(purchase())
        here.store.break_off = lambda change: None
        here.store.reopen = lambda: None

        assert await here.journal.heal()
        assert await kinds_of(here.journal, "sale-1") == ["requested", "sent", "failed"]
        assert (await here.terminal.transact(purchase())).outcome is Outcome.APPROVED

    async def test_whoever_watches_the_terminal_is_told(self, here: Till) -> None:
        told: list[TerminalEvent] = []
        here.terminal.listen(told.append)
        here.store.refuse = lambda change: JournalUnavailable("disk full")
        here.store.reopen = lambda: JournalUnavailable("disk full")

        with pytest.raises(JournalUnavailable):
            await here.terminal.transact(purchase())

        assert any(isinstance(event, Notice) and "disk full" in event.text for event in told)

    async def test_it_is_tried_again_although_nobody_pays_and_nothing_is_open(self, here: Till) -> None:
        broken = [JournalUnavailable("no room")]
        here.store.refuse = lambda change: broken[0] if broken else None
        with pytest.raises(JournalUnavailable):
            await here.terminal.transact(purchase())
        broken.clear()
        clock = here.journal.clock
        assert isinstance(clock, VirtualClock)

        await clock.advance(30.0)

        assert here.journal.trouble == ""


class TestPaymentsTypedInMeanwhile:
    async def test_one_that_is_told_while_totals_are_asked_for_holds_nothing_up(
        self, here: Till, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        typed_in = Payment(
            reference="", kind=PaymentKind.PURCHASE, outcome=Outcome.APPROVED, state=PaymentState.STANDALONE,
            approved=CHF_10, sequence=9, standalone=True,
        )  # fmt: skip

        async def totals(period: Period = Period.SHIFT) -> Totals:
            here.inner._hub.emit(StandalonePayment(typed_in))
            await asyncio.sleep(0)
            return Totals(period)

        monkeypatch.setattr(here.inner, "totals", totals)
        async with asyncio.timeout(5.0):
            await here.terminal.totals()

        assert [found.state for found in await here.journal.by_sequence("till-1", 9)] == [PaymentState.STANDALONE]


class TestLookup:
    async def test_a_settled_payment_is_told_without_asking(self, here: Till) -> None:
        paid = await here.terminal.transact(purchase())

        assert await here.terminal.lookup("sale-1") == paid
        assert not any(call.startswith("lookup") for call in here.inner.calls)

    async def test_by_the_terminals_counter_as_well(self, here: Till) -> None:
        paid = await here.terminal.transact(purchase())
        await here.settle_down()

        assert await here.terminal.lookup(sequence=paid.sequence) == paid

    async def test_what_nobody_asked_for_is_not_found(self, here: Till) -> None:
        with pytest.raises(PaymentNotFound):
            await here.terminal.lookup("never")

    async def test_one_that_runs_is_said_to_run(self, here: Till) -> None:
        here.inner.script.waits = asyncio.Event()
        task = asyncio.ensure_future(here.terminal.transact(purchase()))
        await here.settle_down()

        with pytest.raises(TerminalBusy):
            await here.terminal.lookup("sale-1")
        here.inner.script.waits.set()
        await task


class TestUndoing:
    async def test_a_reversal_is_noted_at_what_it_undoes(self, here: Till) -> None:
        await here.terminal.transact(purchase())
        await here.settle_down()

        await here.terminal.reverse(sequence=1, reference="undo-1")
        await here.settle_down()

        record = await here.journal.record("sale-1")
        assert (record.state, record.undone_by) == (PaymentState.REVERSED, ("undo-1",))

    async def test_a_refund_that_names_its_original_too(self, here: Till) -> None:
        from zahlwerk.payment import Original

        await here.terminal.transact(purchase())
        await here.settle_down()

        await here.terminal.refund("5.00 CHF", reference="back-1", original=Original(sequence=1))
        await here.settle_down()

        record = await here.journal.record("sale-1")
        assert (record.state, record.undone_by) == (PaymentState.REFUNDED, ("back-1",))


class TestWhatAnAnswerProves:
    """A terminal that is asked for its latest payment tells of the latest one, whoever's it is. Found by the simulation."""

    async def lost_then_another(self, here: Till) -> Payment:
        """The second one."""
        here.inner.script.lookup = unknown
        here.inner.script.after_sending = raising(LinkLost("gone", request_sent=True))  # type: ignore[assignment]  # raises
        with pytest.raises(LinkLost):
            await here.terminal.transact(purchase())
        here.inner.script.after_sending = lambda: None
        return await here.terminal.transact(purchase(reference="sale-2"))

    async def test_a_payment_that_another_one_was_sent_after_is_not_asked_about_any_more(self, here: Till) -> None:
        second = await self.lost_then_another(here)
        asked = here.inner.calls.count("lookup sale-1")
        here.inner.script.lookup = lambda reference: replace(second, reference=reference)

        found = await here.terminal.lookup("sale-1")

        assert found.outcome is Outcome.UNKNOWN
        assert (await here.journal.record("sale-1")).doubt
        assert here.inner.calls.count("lookup sale-1") == asked

    async def test_the_counter_of_a_later_payment_is_never_taken_for_an_earlier_one(self, here: Till) -> None:
        here.inner.script.outcome = Outcome.UNKNOWN
        here.inner.script.lookup = unknown
        await here.terminal.transact(purchase())
        here.inner.script.outcome = Outcome.APPROVED
        await here.terminal.transact(purchase(reference="filler"))
        second = await here.terminal.transact(purchase(reference="sale-2"))
        here.inner.script.lookup = lambda reference: replace(second, reference=reference)

        found = await here.terminal.lookup("sale-1")

        assert found.outcome is Outcome.UNKNOWN


class TestWhatTheTerminalTellsByItself:
    async def told(self, here: Till, payment: Payment) -> list[str]:
        """What the journal calls standalone afterwards."""
        again = replace(payment, reference="as the driver calls it", standalone=True)
        here.inner._hub.emit(StandalonePayment(again))
        await here.settle_down()
        return [row.reference for row in await here.journal.latest() if row.kind == "standalone"]

    async def test_a_sale_of_ours_that_is_told_once_more_is_not_taken_in_as_another_one(self, here: Till) -> None:
        """After a crash of ours the terminal repeats its last result. Found by the simulation."""
        payment = await here.terminal.transact(purchase())

        assert await self.told(here, payment) == []

    async def test_one_that_is_not_settled_yet_is_asked_about_first(self, here: Till) -> None:
        here.inner.script.after_confirmation = raising(LinkLost("gone", request_sent=True))  # type: ignore[assignment]  # raises
        with pytest.raises(LinkLost):
            await here.terminal.transact(purchase())
        here.inner.script.after_confirmation = lambda: None
        told = await here.inner.lookup("sale-1")

        assert await self.told(here, told) == []
        assert (await here.journal.record("sale-1")).state is PaymentState.CONFIRMED

    async def test_one_that_was_typed_in_is_taken_in(self, here: Till) -> None:
        payment = await here.terminal.transact(purchase())

        assert len(await self.told(here, replace(payment, sequence=77))) == 1


class TestAPaymentInDoubt:
    async def test_is_not_asked_about_any_more(self, here: Till) -> None:
        """What the terminal tells later may be about a payment that was typed in there since. Found by the simulation."""
        here.inner.script.outcome = Outcome.UNKNOWN
        here.inner.script.lookup = unknown
        await here.terminal.transact(purchase())
        for _ in range(5):
            await here.terminal.lookup("sale-1")
        asked = here.inner.calls.count("lookup sale-1")

        found = await here.terminal.lookup("sale-1")

        assert (found.outcome, here.inner.calls.count("lookup sale-1")) == (Outcome.UNKNOWN, asked)
        assert "a person must decide" in found.message

    async def test_answers_of_a_driver_whose_link_is_down_bring_nobody_into_doubt(self, here: Till) -> None:
        here.inner.script.outcome = Outcome.UNKNOWN
        here.inner.script.lookup = unknown
        here.inner._hub.emit(LinkChanged(False, "unplugged"))
        await here.terminal.transact(purchase())
        for _ in range(5):
            await here.terminal.lookup("sale-1")

        assert not (await here.journal.record("sale-1")).doubt


def unknown(reference: str) -> Payment:
    return Payment(
        reference=reference, kind=PaymentKind.PURCHASE, outcome=Outcome.UNKNOWN, state=PaymentState.UNKNOWN,
        message="cannot tell",
    )  # fmt: skip
