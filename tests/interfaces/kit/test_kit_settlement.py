"""`Settlement`: one payment to a certain end. Every phase meets every input; the money rules hold for any sequence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zahlwerk.interfaces.kit.facts import Action, AskWitness, End, Ending, Facts, Phase, Send
from zahlwerk.interfaces.kit.messages import (
    AbortTransactionRequest,
    ActivationRequest,
    ActivationResponse,
    ConfirmationTimeExtensionRequest,
    Message,
    ReceiptRequest,
    ReportRequest,
    ReportResponse,
    StatusRequest,
    TransactionConfirmationRequest,
    TransactionConfirmationResponse,
    TransactionRequest,
    TransactionResponse,
)
from zahlwerk.interfaces.kit.objects import TrxListReportEntry
from zahlwerk.interfaces.kit.settlement import CONFIRM_TRIES, RECONNECTS_MAX, Settlement

IDLE, BUSY, ONLINE, CLOSED = 0x001, 0x027, 0x127, 0x000
AMOUNT = 1250
BEFORE = 4710
OURS = 4711
DONE = TransactionConfirmationResponse()
DONE_BACK = TransactionConfirmationResponse(attendant_text="Storniert")
PROOF = "Buchung\nTotal CHF 12.50\nAut.-Nr. ABC123\n"


def answer(result: int = 0, *, sequence: int | None = OURS, amount: int | None = AMOUNT) -> TransactionResponse:
    return TransactionResponse(trx_result=result, trx_seq_cnt=sequence, amt_auth=amount, auth_c="ABC123")


def listed(*counters: int, more: bool = False) -> ReportResponse:
    entries = tuple(TrxListReportEntry(trx_seq_cnt=c, trx_date="261123", trx_time="101500") for c in counters)
    return ReportResponse(report_type=1001, report_flags=int(more), trx_list_report=entries)


def counter(value: int | None) -> ActivationResponse:
    return ActivationResponse(trx_seq_cnt=value)


@dataclass
class Bench:
    """A settlement, with a clock in hand and everything it ever wanted."""

    facts: Facts = field(default_factory=lambda: Facts(counter_before=BEFORE))
    open_holds: frozenset[int] = frozenset()
    now_s: float = 100.0
    actions: list[Action] = field(default_factory=list)

    def __post_init__(self) -> None:
        request = TransactionRequest(trx_function=128 if self.facts.is_hold else 32768, trx_curr_c=756, amt_auth=AMOUNT)
        self.it = Settlement(request, self.facts, open_holds=self.open_holds)

    # what happens

    def begin(self) -> Bench:
        self.it.begin(now_s=self.now_s)
        return self.drain()

    def resume(self, status: int | None = IDLE, response: TransactionResponse | None = None) -> Bench:
        self.it.resume(status, response=response, now_s=self.now_s)
        return self.drain()

    def get(self, message: Message) -> Bench:
        self.it.received(message, now_s=self.now_s)
        return self.drain()

    def decide(self, confirm: bool = True, amount: int | None = None) -> Bench:
        self.it.decided(confirm=confirm, amount_minor=amount, now_s=self.now_s)
        return self.drain()

    def down(self) -> Bench:
        self.it.link_down(now_s=self.now_s)
        return self.drain()

    def up(self, status: int | None = IDLE) -> Bench:
        self.it.session_up(status, now_s=self.now_s)
        return self.drain()

    def status(self, status: int) -> Bench:
        self.it.status(status, now_s=self.now_s)
        return self.drain()

    def error(self, *, refused: bool = False) -> Bench:
        self.it.error(refused=refused, now_s=self.now_s)
        return self.drain()

    def receipt(self, text: str | None) -> Bench:
        self.it.receipt(text, now_s=self.now_s)
        return self.drain()

    def late(self) -> Bench:
        deadline_s = self.it.deadline_s()
        assert deadline_s is not None, f"nobody would ever wake it up in {self.it.phase}"
        self.now_s = max(self.now_s, deadline_s)
        self.it.handle_deadline(now_s=self.now_s)
        return self.drain()

    def abort(self) -> Bench:
        self.it.abort(silent=False, now_s=self.now_s)
        return self.drain()

    def drain(self) -> Bench:
        self.actions += self.it.actions()
        return self

    # what came of it

    @property
    def sent(self) -> list[Message]:
        return [action.message for action in self.actions if isinstance(action, Send)]

    @property
    def last(self) -> Message:
        return self.sent[-1]

    @property
    def confirms(self) -> list[tuple[int, int | None]]:
        return [(m.confirm, m.trx_seq_cnt) for m in self.sent if isinstance(m, TransactionConfirmationRequest)]

    @property
    def ends(self) -> list[End]:
        return [action for action in self.actions if isinstance(action, End)]

    @property
    def ending(self) -> Ending | None:
        return self.ends[0].ending if self.ends else None

    @property
    def asked(self) -> int:
        return sum(isinstance(action, AskWitness) for action in self.actions)


def approved() -> Bench:
    return Bench().begin().get(answer())


def confirming() -> Bench:
    return approved().decide()


class TestTheOrdinaryWay:
    """4.6."""

    def test_an_approval_is_shown_to_the_witness_and_nothing_is_confirmed_before(self) -> None:
        bench = approved()
        assert (bench.asked, bench.confirms, bench.ending) == (1, [], None)

    def test_a_confirmed_payment_ends_with_the_answer(self) -> None:
        bench = confirming().get(DONE)
        assert (bench.confirms, bench.ending) == ([(1, OURS)], Ending.CONFIRMED)

    def test_a_lower_amount_goes_into_the_confirmation(self) -> None:
        bench = approved().decide(amount=900)
        assert isinstance(bench.last, TransactionConfirmationRequest)
        assert bench.last.trx_amt == 900

    def test_a_rollback_is_sent_and_ends_with_the_answer(self) -> None:
        bench = approved().decide(False).get(DONE_BACK)
        assert (bench.confirms, bench.ending) == ([(0, OURS)], Ending.ROLLED_BACK)

    def test_a_witness_that_fails_rolls_back(self) -> None:
        bench = approved()
        bench.it.witness_failed(now_s=bench.now_s)
        assert bench.drain().confirms == [(0, OURS)]

    @pytest.mark.parametrize("result", [1, 2, 3, 77])
    def test_what_is_not_approved_ends_at_once(self, result: int) -> None:
        bench = Bench().begin().get(answer(result))
        assert (bench.ending, bench.confirms) == (Ending.NOT_APPROVED, [])

    def test_while_the_witness_thinks_the_terminal_is_asked_for_more_time(self) -> None:
        bench = approved().late().late()
        assert [type(m) for m in bench.sent[1:]] == [ConfirmationTimeExtensionRequest] * 2

    def test_the_same_answer_again_changes_nothing(self) -> None:
        bench = approved().get(answer())
        assert bench.asked == 1

    def test_an_answer_to_an_earlier_request_is_not_ours(self) -> None:
        bench = Bench().begin().get(answer(sequence=BEFORE)).get(answer(1, sequence=BEFORE - 3))
        assert (bench.asked, bench.ending) == (0, None)

    def test_an_answer_without_a_counter_is_confirmed_without_one(self) -> None:
        bench = Bench().begin().get(answer(sequence=None)).decide().get(DONE)
        assert (bench.confirms, bench.ending) == ([(1, None)], Ending.CONFIRMED)

    def test_a_decision_that_nobody_waits_for_is_dropped(self) -> None:
        bench = Bench().begin().decide().decide(False)
        assert bench.confirms == []


class TestAbort:
    """4.6, "Abort": a late approval is answered with Confirm 0."""

    def test_an_abort_is_sent_and_the_answer_awaited(self) -> None:
        bench = Bench().begin().abort()
        assert isinstance(bench.last, AbortTransactionRequest)
        assert bench.get(answer(3)).ending is Ending.NOT_APPROVED

    def test_an_approval_after_an_abort_is_rolled_back_and_the_witness_not_asked(self) -> None:
        bench = Bench().begin().abort().get(answer()).get(DONE_BACK)
        assert (bench.asked, bench.confirms, bench.ending) == (0, [(0, OURS)], Ending.ROLLED_BACK)

    def test_an_abort_after_the_confirmation_changes_nothing(self) -> None:
        bench = confirming().abort().get(DONE)
        assert (bench.confirms, bench.ending) == ([(1, OURS)], Ending.CONFIRMED)

    def test_an_answer_that_does_not_come_is_aborted_then_asked_after(self) -> None:
        bench = Bench().begin().late()
        assert isinstance(bench.last, AbortTransactionRequest)
        assert isinstance(bench.late().last, StatusRequest)


class TestLostBeforeTheAnswer:
    """4.9, rule 2."""

    def test_the_counter_that_has_not_moved_proves_that_nothing_happened(self) -> None:
        bench = Bench().begin().down().up(IDLE)
        assert isinstance(bench.last, ActivationRequest)
        assert bench.get(counter(BEFORE)).ending is Ending.FAILED

    def test_an_answer_told_again_is_handled_as_usual(self) -> None:
        bench = Bench().begin().down().get(answer()).up(BUSY).decide().get(DONE)
        assert (bench.asked, bench.confirms, bench.ending) == (1, [(1, OURS)], Ending.CONFIRMED)

    def test_while_the_terminal_is_online_its_answer_is_waited_for(self) -> None:
        bench = Bench().begin().down().up(ONLINE)
        assert bench.it.phase is Phase.ONLINE
        assert bench.get(answer()).asked == 1

    def test_online_for_too_long_is_unknown(self) -> None:
        assert Bench().begin().down().up(ONLINE).late().ending is Ending.UNKNOWN

    def test_busy_alone_is_rolled_back(self) -> None:
        bench = Bench().begin().down().up(BUSY)
        assert bench.confirms == [(0, None)]
        assert bench.get(DONE_BACK).ending is Ending.FAILED

    def test_nothing_open_and_no_receipt_is_failed(self) -> None:
        bench = Bench().begin().down().up(BUSY).error().status(IDLE).get(counter(OURS))
        assert isinstance(bench.last, ReceiptRequest)
        assert (bench.last.receipt_type, bench.last.receipt_id_numeric) == (1, OURS)
        assert bench.error().ending is Ending.FAILED

    def test_a_receipt_that_speaks_of_an_approval_is_unknown(self) -> None:
        bench = Bench().begin().down().up(IDLE).get(counter(OURS)).receipt(PROOF)
        assert bench.ending is Ending.UNKNOWN

    def test_every_receipt_since_then_is_read(self) -> None:
        bench = Bench().begin().down().up(IDLE).get(counter(BEFORE + 2)).receipt("ABGELEHNT").receipt("Storniert")
        asked = [m.receipt_id_numeric for m in bench.sent if isinstance(m, ReceiptRequest)]
        assert (asked, bench.ending) == ([BEFORE + 1, BEFORE + 2], Ending.FAILED)

    @pytest.mark.parametrize("value", [None, BEFORE - 1, BEFORE + 6])
    def test_a_counter_that_tells_nothing_is_unknown(self, value: int | None) -> None:
        assert Bench().begin().down().up(IDLE).get(counter(value)).ending is Ending.UNKNOWN

    def test_a_closed_shift_tells_nothing(self) -> None:
        assert Bench().begin().down().up(CLOSED).ending is Ending.UNKNOWN

    def test_no_counter_from_before_means_that_nothing_is_proved(self) -> None:
        assert Bench(Facts()).begin().down().up(IDLE).get(counter(OURS)).ending is Ending.UNKNOWN

    def test_a_link_that_stays_away_is_unknown(self) -> None:
        assert Bench().begin().down().late().ending is Ending.UNKNOWN

    def test_an_approval_after_our_confirm_0_is_rolled_back_never_confirmed(self) -> None:
        """Confirm 0 may meet the approval at any moment, so its answer could be taken for that to Confirm 1."""
        bench = Bench().begin().down().up(BUSY).error().status(BUSY).get(answer())
        assert (bench.asked, bench.confirms) == (0, [(0, None), (0, OURS)])

    def test_the_approval_that_crosses_our_confirm_0_is_not_asked_about(self) -> None:
        bench = Bench().begin().down().up(BUSY).get(answer()).get(DONE_BACK)
        assert (bench.asked, bench.confirms, bench.ending) == (0, [(0, None)], Ending.ROLLED_BACK)

    def test_the_end_of_busy_is_noticed_at_once(self) -> None:
        bench = Bench().begin().down().up(BUSY).error().status(BUSY)
        assert bench.it.phase is Phase.RUNNING
        assert isinstance(bench.status(IDLE).last, ActivationRequest)


class TestLostAfterTheConfirmation:
    """4.9, rule 4."""

    def test_confirm_1_is_repeated_after_the_link_came_back_and_never_confirm_0(self) -> None:
        bench = confirming().down().up(BUSY).get(DONE)
        assert (bench.confirms, bench.ending) == ([(1, OURS), (1, OURS)], Ending.CONFIRMED)

    def test_no_answer_is_repeated_once_then_the_receipt_is_asked(self) -> None:
        bench = confirming().late().late()
        assert bench.confirms == [(1, OURS)] * CONFIRM_TRIES
        assert isinstance(bench.last, ReceiptRequest)

    def test_a_receipt_with_code_and_amount_proves_it(self) -> None:
        assert confirming().error().error().receipt(PROOF).ending is Ending.CONFIRMED

    @pytest.mark.parametrize("text", [None, "", "Kopie", "Total CHF 12.50", "ABC123", PROOF + "Storniert"])
    def test_anything_less_is_unknown(self, text: str | None) -> None:
        assert confirming().error().error().receipt(text).ending is Ending.UNKNOWN

    def test_a_footer_about_refunds_is_no_refusal(self) -> None:
        bench = confirming().error().error().receipt("Total CHF 12.50\nNo refund or cancellation without receipt")
        assert bench.ending is Ending.UNKNOWN

    def test_an_answer_that_comes_while_the_receipt_is_awaited_counts(self) -> None:
        assert confirming().late().late().get(DONE).ending is Ending.CONFIRMED

    def test_an_answer_that_says_declined_after_confirm_1_proves_nothing(self) -> None:
        bench = Bench(Facts(counter_before=BEFORE, sequence=OURS, confirm=True)).resume(BUSY).get(answer(1))
        assert bench.ending is None

    def test_a_link_that_comes_and_goes_for_ever_ends(self) -> None:
        bench = confirming()
        for _ in range(RECONNECTS_MAX + 1):
            bench.down().up(BUSY)
        assert bench.ending is Ending.UNKNOWN


class TestRollingBack:
    """The decision was no: money has certainly not moved, but the end is told only when it is known."""

    def test_lost_rollbacks_are_repeated(self) -> None:
        bench = approved().decide(False).down().up(BUSY).get(DONE_BACK)
        assert (bench.confirms, bench.ending) == ([(0, OURS)] * 2, Ending.ROLLED_BACK)

    def test_refused_twice_the_status_is_asked_and_the_receipt_read(self) -> None:
        bench = approved().decide(False).error().error()
        assert isinstance(bench.last, StatusRequest)
        assert isinstance(bench.status(IDLE).last, ReceiptRequest)
        assert bench.error().ending is Ending.FAILED

    def test_refused_by_a_busy_terminal_it_waits(self) -> None:
        """An earlier decision may be under way; its receipt is not made yet."""
        bench = approved().decide(False).error().error().status(BUSY)
        assert bench.ending is None
        assert isinstance(bench.status(IDLE).last, ReceiptRequest)

    def test_a_receipt_of_an_approval_that_was_never_confirmed_is_unknown(self) -> None:
        assert approved().decide(False).error().error().status(IDLE).receipt(PROOF).ending is Ending.UNKNOWN


class TestErrors:
    """P-24, P-25: an error has no address."""

    def test_a_plain_refusal_of_the_request_ends_it(self) -> None:
        assert Bench().begin().error(refused=True).ending is Ending.REFUSED

    def test_another_error_asks_the_status_and_goes_on_waiting_while_busy(self) -> None:
        bench = Bench().begin().error()
        assert isinstance(bench.last, StatusRequest)
        assert bench.status(BUSY).confirms == []
        assert bench.get(answer()).asked == 1

    def test_another_error_on_an_idle_terminal_asks_the_counter(self) -> None:
        assert Bench().begin().error().status(IDLE).get(counter(BEFORE)).ending is Ending.FAILED

    def test_an_error_to_the_confirmation_never_rolls_back(self) -> None:
        bench = confirming().error()
        assert bench.confirms == [(1, OURS)] * 2

    def test_an_error_while_the_witness_decides_changes_nothing(self) -> None:
        bench = approved().error(refused=True).decide().get(DONE)
        assert bench.ending is Ending.CONFIRMED

    def test_errors_for_ever_end(self) -> None:
        bench = Bench().begin()
        for _ in range(50):
            bench.error().status(BUSY)
            bench.now_s += 30.0
            if bench.ends:
                break
        assert bench.ending is Ending.UNKNOWN


class TestTheLinkWhileTheWitnessDecides:
    def test_the_decision_waits_for_the_link(self) -> None:
        bench = approved().down().decide()
        assert bench.confirms == []
        assert bench.up(BUSY).confirms == [(1, OURS)]

    def test_the_link_may_be_back_before_the_decision(self) -> None:
        assert approved().down().up(BUSY).decide().confirms == [(1, OURS)]

    def test_without_a_link_no_time_is_asked_for(self) -> None:
        assert approved().down().it.deadline_s() is None


class TestHolds:
    """4.6 (AUTHORIZATION_PURCHASE), 4.9 rule 5."""

    def hold(self, **facts: int) -> Bench:
        return Bench(Facts(counter_before=BEFORE, is_hold=True, **facts))  # type: ignore[arg-type]  # counters only

    def test_an_approved_hold_ends_held_and_nothing_is_sent(self) -> None:
        bench = self.hold().begin().get(answer()).decide()
        assert (bench.confirms, bench.ending) == ([], Ending.HELD)

    def test_a_hold_that_the_witness_does_not_want_is_released(self) -> None:
        bench = self.hold().begin().get(answer()).decide(False).get(DONE_BACK)
        assert (bench.confirms, bench.ending) == ([(0, OURS)], Ending.RELEASED)

    def test_a_lost_hold_is_found_in_the_list_and_released_by_its_counter(self) -> None:
        bench = self.hold().begin().down().up(IDLE)
        assert isinstance(bench.last, ReportRequest)
        assert bench.get(listed(OURS)).confirms == [(0, OURS)]

    def test_the_list_is_read_to_its_last_page(self) -> None:
        bench = self.hold().begin().down().up(IDLE).get(listed(17, more=True))
        assert isinstance(bench.last, ReportRequest)
        assert bench.get(listed(OURS)).confirms == [(0, OURS)]

    def test_holds_of_others_are_left_alone(self) -> None:
        bench = Bench(Facts(counter_before=BEFORE, is_hold=True), frozenset({OURS})).begin().down().up(IDLE)
        bench.get(listed(OURS, 12))
        assert (bench.confirms, type(bench.last)) == ([], ActivationRequest)

    def test_several_that_may_be_ours_are_for_a_person(self) -> None:
        assert self.hold().begin().down().up(IDLE).get(listed(OURS, OURS + 1)).ending is Ending.UNKNOWN

    def test_no_confirm_without_a_counter_while_holds_are_open(self) -> None:
        bench = Bench(open_holds=frozenset({17})).begin().down().up(BUSY)
        assert bench.confirms == []

    def test_an_approval_without_a_counter_is_not_confirmed_while_holds_are_open(self) -> None:
        bench = Bench(open_holds=frozenset({17})).begin().get(answer(sequence=None)).decide()
        assert (bench.confirms, bench.ending) == ([], Ending.UNKNOWN)

    def test_a_lost_hold_of_a_busy_terminal_is_not_rolled_back_blindly(self) -> None:
        assert self.hold().begin().down().up(BUSY).confirms == []


class TestSettlingAHold:
    def settling(self, confirm: bool, amount: int | None = 840) -> Bench:
        bench = Bench(Facts(is_hold=True, sequence=OURS, confirm=confirm, amount_minor=amount))
        bench.it.settle_hold(now_s=bench.now_s)
        return bench.drain()

    def test_a_capture_names_amount_and_counter(self) -> None:
        bench = self.settling(True)
        assert bench.last == TransactionConfirmationRequest(confirm=1, trx_amt=840, trx_seq_cnt=OURS)
        assert bench.get(DONE).ending is Ending.CONFIRMED

    def test_a_release_names_the_counter(self) -> None:
        bench = self.settling(False, None)
        assert bench.last == TransactionConfirmationRequest(confirm=0, trx_seq_cnt=OURS)
        assert bench.get(DONE).ending is Ending.RELEASED

    def test_a_plain_refusal_of_the_first_try_is_a_refusal(self) -> None:
        assert self.settling(True).error(refused=True).ending is Ending.REFUSED

    def test_a_refusal_after_a_lost_link_is_none(self) -> None:
        bench = self.settling(True).down().up(IDLE).error(refused=True)
        assert bench.ending is not Ending.REFUSED

    @pytest.mark.parametrize("text", [None, "", "Buchung 8.40\nNo refunds"])
    def test_a_release_that_is_refused_without_proof_is_unknown(self, text: str | None) -> None:
        """Another process may have captured it."""
        assert self.settling(False, None).error().error().receipt(text).ending is Ending.UNKNOWN

    def released_by_the_process_before_us(self) -> Bench:
        """Nothing answers to Confirm 0, and there is no receipt: an authorisation has none. Found by the simulation."""
        facts = Facts(counter_before=BEFORE, is_hold=True, sequence=OURS, confirm=False, is_decision_known=True)
        return Bench(facts).resume().error().error().status(IDLE).receipt(None)

    def test_a_release_without_an_answer_is_over_only_once_the_list_says_so(self) -> None:
        bench = self.released_by_the_process_before_us()
        assert (bench.ending, type(bench.last)) == (None, ReportRequest)
        assert bench.get(listed(17)).ending is Ending.FAILED

    def test_one_that_nobody_had_decided_about_is_released_if_it_is_listed(self) -> None:
        """The process before us was killed between the approval and its decision. Found by killing it."""
        facts = Facts(counter_before=BEFORE, is_hold=True, sequence=OURS, confirm=None, is_decision_known=True)
        bench = Bench(facts).resume().get(listed(OURS))

        assert isinstance(bench.last, TransactionConfirmationRequest)
        assert (bench.last.confirm, bench.last.trx_seq_cnt) == (0, OURS)

    def test_an_authorisation_that_is_still_listed_was_not_released(self) -> None:
        assert self.released_by_the_process_before_us().get(listed(OURS)).ending is Ending.UNKNOWN

    def test_without_a_list_nobody_knows_whether_it_was_released(self) -> None:
        assert self.released_by_the_process_before_us().error().ending is Ending.UNKNOWN

    def test_without_a_list_no_receipt_proves_that_nothing_is_held(self) -> None:
        bench = Bench(Facts(counter_before=BEFORE, is_hold=True)).begin().down().up(IDLE).error().get(counter(OURS))
        assert bench.receipt(None).ending is Ending.UNKNOWN

    def test_settling_never_aborts_what_runs_beside_it(self) -> None:
        bench = self.settling(False, None).error().error()
        while not bench.ends:
            bench.late()
        assert not any(isinstance(m, AbortTransactionRequest) for m in bench.sent)


class TestAPaymentOfTheProcessBeforeUs:
    def test_a_refusal_is_not_the_answer_to_a_request_that_we_never_sent(self) -> None:
        """An error that was meant for somebody else ended it as refused. Found by the simulation."""
        it = Settlement(None, Facts(counter_before=BEFORE, is_hold=True))
        it.resume(BUSY, now_s=100.0)
        it.actions()
        it.error(refused=True, now_s=101.0)

        assert it.actions() == [Send(StatusRequest())]


class TestAHoldThatIsKept:
    """The witness said yes to keeping it: after a restart that must never become a capture of all of it."""

    FACTS = Facts(counter_before=BEFORE, is_hold=True, sequence=OURS, confirm=True)

    def test_it_is_held_if_the_terminal_lists_it(self) -> None:
        bench = Bench(self.FACTS).resume(IDLE).get(listed(3, more=True)).get(listed(OURS))
        assert (bench.confirms, bench.ending) == ([], Ending.HELD)

    def test_it_is_unknown_if_it_is_not_open_any_more(self) -> None:
        bench = Bench(self.FACTS).resume(IDLE).get(listed(3))
        assert (bench.confirms, bench.ending) == ([], Ending.UNKNOWN)

    def test_it_is_unknown_if_the_terminal_has_no_list(self) -> None:
        assert Bench(self.FACTS).resume(IDLE).error().ending is Ending.UNKNOWN

    def test_the_answer_told_again_confirms_nothing(self) -> None:
        bench = Bench(self.FACTS).resume(IDLE).get(answer())
        assert (bench.confirms, bench.ending) == ([], Ending.HELD)

    def test_a_capture_that_was_decided_names_its_amount_and_is_repeated(self) -> None:
        bench = Bench(self.FACTS.but(amount_minor=840)).resume(IDLE)
        assert bench.last == TransactionConfirmationRequest(confirm=1, trx_amt=840, trx_seq_cnt=OURS)


class TestAfterARestart:
    """Only the facts are left; what was not decided is rolled back."""

    def test_what_was_decided_is_carried_out(self) -> None:
        yes = Bench(Facts(counter_before=BEFORE, sequence=OURS, confirm=True, amount_minor=900)).resume()
        no = Bench(Facts(counter_before=BEFORE, sequence=OURS, confirm=False)).resume()
        assert (yes.last, no.confirms) == (
            TransactionConfirmationRequest(confirm=1, trx_amt=900, trx_seq_cnt=OURS),
            [(0, OURS)],
        )

    def test_an_approval_told_again_is_rolled_back_not_asked_about(self) -> None:
        bench = Bench().resume(BUSY, answer()).get(DONE_BACK)
        assert (bench.asked, bench.confirms, bench.ending) == (0, [(0, OURS)], Ending.ROLLED_BACK)

    def test_a_decline_told_again_is_the_end(self) -> None:
        assert Bench().resume(IDLE, answer(1)).ending is Ending.NOT_APPROVED

    def test_an_answer_to_something_older_is_not_taken(self) -> None:
        bench = Bench().resume(IDLE, answer(1, sequence=BEFORE))
        assert isinstance(bench.last, ActivationRequest)

    def test_an_unknown_status_is_asked(self) -> None:
        assert isinstance(Bench().resume(None).last, StatusRequest)


class TestADecisionThatWasNotWrittenDown:
    """The process before may have sent Confirm 1; its answer may still come, and nothing here is proof without care."""

    FACTS = Facts(counter_before=BEFORE, is_decision_known=False)

    def test_the_answer_to_the_others_confirm_1_is_not_taken_for_that_to_our_confirm_0(self) -> None:
        bench = Bench(self.FACTS).resume(BUSY).get(DONE)
        assert bench.ending is None

    def test_an_answer_that_speaks_of_the_rollback_is_proof(self) -> None:
        assert Bench(self.FACTS).resume(BUSY).get(DONE_BACK).ending is Ending.FAILED

    def test_a_missing_receipt_is_no_proof(self) -> None:
        assert Bench(self.FACTS).resume(IDLE).get(counter(OURS)).receipt(None).ending is Ending.UNKNOWN

    def test_a_counter_that_did_not_move_is_proof(self) -> None:
        assert Bench(self.FACTS).resume(IDLE).get(counter(BEFORE)).ending is Ending.FAILED

    def test_an_answer_after_the_refusal_of_ours_belongs_to_the_other(self) -> None:
        bench = Bench(self.FACTS).resume(BUSY, answer()).error().error().get(DONE)
        assert bench.ending is None


class TestFacts:
    @given(
        st.builds(
            Facts,
            counter_before=st.none() | st.integers(0, 99_999_999),
            is_hold=st.booleans(),
            undoes=st.booleans(),
            sequence=st.none() | st.integers(0, 99_999_999),
            amount_minor=st.none() | st.integers(0, 10**12),
            approved_minor=st.none() | st.integers(0, 10**12),
            confirm=st.booleans(),
        )
    )
    def test_facts_survive_as_evidence(self, facts: Facts) -> None:
        assert Facts.from_evidence(facts.to_evidence()) == facts

    @given(st.dictionaries(st.sampled_from([*Facts.__dataclass_fields__, "x"]), st.text(max_size=30)))
    def test_any_evidence_can_be_read(self, evidence: dict[str, str]) -> None:
        facts = Facts.from_evidence(evidence)
        assert facts.counter_before is None or facts.counter_before >= 0

    def test_evidence_says_whether_the_decision_is_known(self) -> None:
        known = [
            Facts.from_evidence(e).is_decision_known
            for e in ({"confirm": "1"}, {"confirm": "none"}, {}, {"confirm": "?"})
        ]
        assert known == [True, True, False, False]


# -- every phase meets every input

_PHASES: dict[Phase, Callable[[], Bench]] = {
    Phase.RUNNING: lambda: Bench().begin(),
    Phase.DECIDING: approved,
    Phase.CONFIRMING: confirming,
    Phase.ROLLING_BACK: lambda: approved().decide(False),
    Phase.LINK: lambda: Bench().begin().down(),
    Phase.STATUS: lambda: Bench().begin().error(),
    Phase.ONLINE: lambda: Bench().begin().down().up(ONLINE),
    Phase.TAKING_BACK: lambda: Bench().begin().down().up(BUSY),
    Phase.HOLDS: lambda: Bench(Facts(counter_before=BEFORE, is_hold=True)).begin().down().up(IDLE),
    Phase.COUNTER: lambda: Bench().begin().down().up(IDLE),
    Phase.RECEIPT: lambda: Bench().begin().down().up(IDLE).get(counter(OURS)),
    Phase.OVER: lambda: confirming().get(DONE),
}

INPUTS: dict[str, Callable[[Bench], object]] = {
    "approval": lambda b: b.get(answer()),
    "approval-again": lambda b: b.get(answer()).get(answer()),
    "approval-next": lambda b: b.get(answer(sequence=OURS + 1)),
    "approval-bare": lambda b: b.get(answer(sequence=None, amount=None)),
    "decline": lambda b: b.get(answer(1)),
    "aborted": lambda b: b.get(answer(3)),
    "foreign": lambda b: b.get(answer(sequence=BEFORE)),
    "done": lambda b: b.get(DONE),
    "done-back": lambda b: b.get(DONE_BACK),
    "counter-same": lambda b: b.get(counter(BEFORE)),
    "counter-next": lambda b: b.get(counter(OURS)),
    "counter-none": lambda b: b.get(counter(None)),
    "list-ours": lambda b: b.get(listed(OURS)),
    "list-empty": lambda b: b.get(listed()),
    "list-more": lambda b: b.get(listed(3, more=True)),
    "idle": lambda b: b.status(IDLE),
    "busy": lambda b: b.status(BUSY),
    "online": lambda b: b.status(ONLINE),
    "closed": lambda b: b.status(CLOSED),
    "error": lambda b: b.error(),
    "refusal": lambda b: b.error(refused=True),
    "receipt": lambda b: b.receipt(PROOF),
    "receipt-void": lambda b: b.receipt("STORNIERT"),
    "no-receipt": lambda b: b.receipt(None),
    "down": lambda b: b.down(),
    "up-idle": lambda b: b.up(IDLE),
    "up-busy": lambda b: b.up(BUSY),
    "up-online": lambda b: b.up(ONLINE),
    "yes": lambda b: b.decide(),
    "no": lambda b: b.decide(False),
    "abort": lambda b: b.abort(),
    "late": lambda b: b.late() if b.it.deadline_s() is not None else b,
}


@pytest.mark.parametrize("phase", _PHASES, ids=lambda phase: phase.name)
def test_each_phase_can_be_reached(phase: Phase) -> None:
    assert _PHASES[phase]().it.phase is phase


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("phase", _PHASES, ids=lambda phase: phase.name)
def test_each_input_in_each_phase_keeps_the_rules_and_comes_to_an_end(phase: Phase, name: str) -> None:
    bench = _PHASES[phase]()
    INPUTS[name](bench)
    finish(bench)
    assert_rules(bench, [name, *(["done"] if phase is Phase.OVER else [])])


def finish(bench: Bench) -> None:
    """Only time passes; the witness answers in the end, and a lost link stays away."""
    for _ in range(60):
        if bench.ends:
            return
        if bench.it.phase is Phase.DECIDING:
            bench.decide(False)
        else:
            bench.late()
    raise AssertionError(f"no end: {bench.it.phase}")


def assert_rules(bench: Bench, inputs: list[str]) -> None:
    confirms = [confirm for confirm, _ in bench.confirms]
    first_yes = confirms.index(1) if 1 in confirms else len(confirms)
    assert 0 not in confirms[first_yes:], "Confirm 0 after Confirm 1"
    assert 1 not in confirms or bench.asked or bench.facts.confirm, "Confirm 1 without a decision"
    assert not (0 in confirms and 1 in confirms), "both decisions for one payment"
    assert 1 not in confirms or not bench.facts.is_hold or bench.facts.amount_minor is not None, "a hold captured whole"
    assert len(bench.ends) <= 1
    assert bench.asked <= 1
    if bench.ending is Ending.CONFIRMED:
        assert {"done", "done-back", "receipt"} & set(inputs), "confirmed without a proof"
        assert 1 in confirms
    if 1 in confirms:
        assert bench.ending in {Ending.CONFIRMED, Ending.UNKNOWN, Ending.FAILED, Ending.REFUSED, None}
        if bench.ending is Ending.FAILED:
            assert "receipt-void" in inputs
    if bench.ending is Ending.HELD:
        assert bench.facts.is_hold


@settings(max_examples=200, deadline=None)
@given(
    facts=st.sampled_from(
        [
            Facts(counter_before=BEFORE),
            Facts(counter_before=BEFORE, is_hold=True),
            Facts(counter_before=0),
            Facts(),
        ]
    ),
    holds=st.sampled_from([frozenset[int](), frozenset({17}), frozenset({OURS + 1})]),
    names=st.lists(st.sampled_from(sorted(INPUTS)), max_size=25),
)
def test_any_sequence_of_inputs_keeps_the_rules_and_comes_to_an_end(
    facts: Facts, holds: frozenset[int], names: list[str]
) -> None:
    bench = Bench(facts, holds).begin()
    for name in names:
        INPUTS[name](bench)
    finish(bench)
    assert_rules(bench, names)
    after = len(bench.actions)
    for happen in INPUTS.values():
        happen(bench)
    assert len(bench.actions) == after, "it is over, and says something more"


@settings(max_examples=100, deadline=None)
@given(
    facts=st.builds(
        Facts,
        counter_before=st.sampled_from([None, 0, BEFORE]),
        is_hold=st.booleans(),
        sequence=st.sampled_from([None, OURS]),
        confirm=st.sampled_from([None, True, False]),
        is_decision_known=st.booleans(),
    ),
    status=st.sampled_from([None, IDLE, BUSY, ONLINE, CLOSED]),
    names=st.lists(st.sampled_from(sorted(INPUTS)), max_size=20),
)
def test_a_resumed_payment_keeps_the_rules_too(facts: Facts, status: int | None, names: list[str]) -> None:
    bench = Bench(facts).resume(status)
    for name in names:
        INPUTS[name](bench)
    finish(bench)
    assert_rules(bench, names)
    assert bench.asked == 0
