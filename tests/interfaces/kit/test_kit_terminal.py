"""`TerminalSide`, sans I/O: what a register may ask when, and what it is told. By KIT fact sheet, chapter 4."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.interfaces.kit.kit_strategies import cuts, messages

from zahlwerk.interfaces.kit.codec import decode_line, encode_line
from zahlwerk.interfaces.kit.codes import OurErrorCode
from zahlwerk.interfaces.kit.messages import (
    AbortTransactionRequest,
    AbortTransactionResponse,
    BalanceRequest,
    ConfirmationTimeExtensionRequest,
    ConfirmationTimeExtensionResponse,
    ConnectRequest,
    ConnectResponse,
    ErrorNotification,
    HeartbeatRequest,
    HeartbeatResponse,
    Message,
    PrintReceiptRequest,
    ReceiptResponse,
    SetTerminalLanguageRequest,
    StatusRequest,
    StatusResponse,
    TransactionConfirmationRequest,
    TransactionConfirmationResponse,
    TransactionRequest,
    TransactionResponse,
    name_of,
)
from zahlwerk.interfaces.kit.side import MALFORMED_MAX, PeerGone
from zahlwerk.interfaces.kit.states import Session, Trx
from zahlwerk.interfaces.kit.terminal import (
    EXTENSION_SECONDS_MAX,
    INTRODUCTION_S,
    SETTLED_MAX,
    AbortWanted,
    Decided,
    ExtensionWanted,
    HoldDecided,
    RegisterCame,
    TerminalSide,
    TerminalSideEvent,
    Wanted,
)

PURCHASE = TransactionRequest(trx_function=32768, trx_curr_c=756, amt_auth=1250)
HOLD = TransactionRequest(trx_function=128, trx_curr_c=756, amt_auth=5000)
STATUS = StatusResponse(trm_status=1, trm_lng="de", e_sig_ind=0, set_acq_info=())
DONE = TransactionConfirmationResponse()
DONE_BACK = TransactionConfirmationResponse(attendant_text="Storniert")


def approval(sequence: int = 5, amount: int | None = 1250) -> TransactionResponse:
    return TransactionResponse(
        trx_result=0, trx_result_extended=0, trm_id="12345678", trx_seq_cnt=sequence, amt_auth=amount
    )


def decline(sequence: int = 5) -> TransactionResponse:
    return TransactionResponse(trx_result=1, trx_result_extended=1051, trm_id="12345678", trx_seq_cnt=sequence)


class Bench:
    """A terminal side with a link and a session."""

    def __init__(self, *, connected: bool = True) -> None:
        self.side = TerminalSide()
        self.side.identity = ConnectResponse(trm_id="12345678", trm_lng="de", ifd_serial_num="N6P00017",
                                             software_version=250100, pe_seq_cnt=1, act_seq_cnt=1)  # fmt: skip
        self.side.status_is(STATUS)
        self.now_s = 0.0
        self.side.link_up(now_s=0.0)
        if connected:
            self.say(ConnectRequest())
            self.heard()
            self.events()

    def say(self, *said: Message) -> Bench:
        for message in said:
            self.side.receive_data(encode_line(message), now_s=self.now_s)
        return self

    def raw(self, data: bytes) -> Bench:
        self.side.receive_data(data, now_s=self.now_s)
        return self

    def heard(self) -> list[Message]:
        lines = [decode_line(line).message for line in self.side.data_to_send()]
        return [message for message in lines if message is not None]

    def error(self) -> int | None:
        [message] = self.heard()
        assert isinstance(message, ErrorNotification)
        assert message.error_source == "ECR"
        return message.error_code

    def events(self) -> list[TerminalSideEvent]:
        return self.side.events_received()

    def event(self) -> TerminalSideEvent:
        [event] = self.events()
        return event

    def running(self, request: TransactionRequest = PURCHASE) -> Bench:
        self.say(request)
        self.events()
        return self

    def approved(self, response: TransactionResponse | None = None, request: TransactionRequest = PURCHASE) -> Bench:
        self.running(request)
        self.side.result(response or approval())
        self.heard()
        return self

    def confirmed(self, response: TransactionResponse | None = None) -> Bench:
        self.approved(response).say(TransactionConfirmationRequest(confirm=1))
        self.events()
        self.side.confirmed(DONE)
        self.heard()
        return self

    def held(self, sequence: int = 5) -> Bench:
        return self.approved(approval(sequence, 5000), HOLD)

    def reconnect(self) -> list[Message]:
        self.side.link_down()
        self.side.link_up(now_s=self.now_s)
        return self.say(ConnectRequest()).heard()


class TestSession:
    """4.3, 4.10 (NO_SESSION)."""

    def test_a_register_is_answered_who_the_terminal_is(self) -> None:
        bench = Bench(connected=False).say(ConnectRequest(printer_width=40))
        [answer] = bench.heard()
        assert isinstance(answer, ConnectResponse)
        assert answer.trm_id == "12345678"
        assert bench.event() == RegisterCame(ConnectRequest(printer_width=40))
        assert bench.side.options.printer_width == 40

    def test_the_status_is_told_before_a_session(self) -> None:
        assert Bench(connected=False).say(StatusRequest()).heard() == [STATUS]

    def test_heartbeats_are_answered_before_a_session(self) -> None:
        assert Bench(connected=False).say(HeartbeatRequest()).heard() == [HeartbeatResponse()]

    @pytest.mark.parametrize(
        "message", [PURCHASE, BalanceRequest(), TransactionConfirmationRequest(confirm=1)], ids=name_of
    )
    def test_all_else_is_refused_before_a_session(self, message: Message) -> None:
        bench = Bench(connected=False).say(message)
        assert bench.error() == OurErrorCode.NOT_CONNECTED
        assert bench.events() == []

    def test_a_peer_that_never_introduces_itself_is_hung_up_on(self) -> None:
        bench = Bench(connected=False)
        assert bench.side.deadline_s() == INTRODUCTION_S
        bench.side.handle_deadline(now_s=INTRODUCTION_S)
        assert isinstance(bench.event(), PeerGone)

    def test_a_language_the_display_does_not_speak_is_not_promised(self) -> None:
        [answer] = Bench(connected=False).say(ConnectRequest(trm_lng="xx")).heard()
        assert isinstance(answer, ConnectResponse)
        assert answer.trm_lng == "de"

    def test_bytes_without_a_link_are_dropped(self) -> None:
        bench = Bench()
        bench.side.link_down()
        bench.say(StatusRequest())
        assert bench.heard() == []


class TestStatus:
    """4.10: "unasked on every change, never two equal ones in a row. Answer each StatusRequest"."""

    def test_a_change_is_told_once(self) -> None:
        bench = Bench()
        bench.side.status_is(STATUS)
        bench.heard()
        busy = StatusResponse(trm_status=5, trm_lng="de", e_sig_ind=0)
        bench.side.status_is(busy)
        bench.side.status_is(busy)
        assert bench.heard() == [busy]

    def test_each_request_is_answered(self) -> None:
        assert Bench().say(StatusRequest(), StatusRequest()).heard() == [STATUS, STATUS]

    def test_a_new_session_is_told_what_changed_meanwhile(self) -> None:
        bench = Bench()
        bench.side.link_down()
        bench.side.status_is(StatusResponse(trm_status=0, trm_lng="de", e_sig_ind=0))
        assert bench.heard() == []


class TestHeartbeats:
    """4.4."""

    def test_the_register_is_asked_after_ten_seconds_of_silence(self) -> None:
        bench = Bench()
        assert bench.side.deadline_s() == 10.0
        bench.side.handle_deadline(now_s=10.0)
        assert bench.heard() == [HeartbeatRequest()]

    def test_twenty_seconds_of_silence_are_the_end(self) -> None:
        bench = Bench()
        bench.side.handle_deadline(now_s=10.0)
        bench.side.handle_deadline(now_s=20.0)
        assert isinstance(bench.event(), PeerGone)
        assert bench.side.deadline_s() is None

    def test_any_message_is_a_sign_of_life(self) -> None:
        bench = Bench()
        bench.side.handle_deadline(now_s=10.0)
        bench.now_s = 15.0
        bench.say(StatusRequest())
        assert bench.side.deadline_s() == 25.0

    def test_a_deadline_that_has_not_come_changes_nothing(self) -> None:
        bench = Bench()
        bench.side.handle_deadline(now_s=9.9)
        assert bench.heard() == []


class TestPayment:
    """4.6, 4.10."""

    def test_a_request_is_handed_on(self) -> None:
        assert Bench().say(PURCHASE).event() == Wanted(PURCHASE)

    def test_a_second_transaction_is_refused_while_one_runs(self) -> None:
        bench = Bench().running().say(PURCHASE)
        assert bench.error() == OurErrorCode.BUSY
        assert bench.events() == []

    def test_a_second_transaction_is_refused_while_an_approval_waits(self) -> None:
        assert Bench().approved().say(PURCHASE).error() == OurErrorCode.BUSY

    def test_a_decline_frees_the_terminal(self) -> None:
        bench = Bench().running()
        bench.side.result(decline())
        assert bench.side.trx is Trx.IDLE

    def test_a_transaction_that_does_not_start_is_refused_and_the_next_may_come(self) -> None:
        bench = Bench().running()
        bench.side.transaction_refused(OurErrorCode.SHIFT_CLOSED)
        assert bench.error() == OurErrorCode.SHIFT_CLOSED
        assert bench.say(PURCHASE).event() == Wanted(PURCHASE)


class TestConfirmation:
    """4.6, 4.10: "wrong TrxSeqCnt, TrxAmt > AmtAuth: ErrorNotification, nothing changes"."""

    @pytest.mark.parametrize("sequence", [None, 5])
    @pytest.mark.parametrize("confirm", [0, 1])
    def test_a_decision_is_handed_on_and_answered(self, confirm: int, sequence: int | None) -> None:
        bench = Bench().approved().say(TransactionConfirmationRequest(confirm=confirm, trx_seq_cnt=sequence))
        assert bench.event() == Decided(bool(confirm), None)
        bench.side.confirmed(DONE)
        assert (bench.heard(), bench.side.trx) == ([DONE], Trx.IDLE)

    @pytest.mark.parametrize("amount", [1, 1249, 1250])
    def test_an_amount_up_to_the_approved_one_is_taken(self, amount: int) -> None:
        bench = Bench().approved().say(TransactionConfirmationRequest(confirm=1, trx_amt=amount))
        assert bench.event() == Decided(True, amount)

    @pytest.mark.parametrize("amount", [0, 1251])
    def test_any_other_amount_is_refused_and_the_approval_waits_on(self, amount: int) -> None:
        bench = Bench().approved().say(TransactionConfirmationRequest(confirm=1, trx_amt=amount))
        assert bench.error() == OurErrorCode.AMOUNT
        assert (bench.events(), bench.side.trx) == ([], Trx.APPROVED)

    def test_a_repeated_decision_is_carried_out_once(self) -> None:
        yes = TransactionConfirmationRequest(confirm=1, trx_seq_cnt=5)
        bench = Bench().approved().say(yes, yes)
        assert bench.event() == Decided(True, None)
        assert bench.heard() == []

    @pytest.mark.parametrize("sequence", [None, 5])
    def test_a_decision_repeated_after_its_answer_is_answered_again(self, sequence: int | None) -> None:
        bench = Bench().confirmed().say(TransactionConfirmationRequest(confirm=1, trx_seq_cnt=sequence))
        assert (bench.heard(), bench.events()) == ([DONE], [])

    def test_a_rollback_of_what_was_confirmed_is_refused(self) -> None:
        bench = Bench().confirmed().say(TransactionConfirmationRequest(confirm=0, trx_seq_cnt=5))
        assert (bench.error(), bench.events()) == (OurErrorCode.NOTHING_TO_CONFIRM, [])

    def test_another_amount_for_what_was_confirmed_is_refused(self) -> None:
        bench = Bench().confirmed().say(TransactionConfirmationRequest(confirm=1, trx_amt=3, trx_seq_cnt=5))
        assert (bench.error(), bench.events()) == (OurErrorCode.NOTHING_TO_CONFIRM, [])

    def test_the_other_decision_while_one_is_carried_out_is_refused(self) -> None:
        bench = Bench().approved().say(TransactionConfirmationRequest(confirm=1))
        bench.events()
        assert bench.say(TransactionConfirmationRequest(confirm=0)).error() == OurErrorCode.BUSY

    @pytest.mark.parametrize("confirm", [0, 1])
    def test_with_nothing_approved_there_is_nothing_to_confirm(self, confirm: int) -> None:
        bench = Bench().say(TransactionConfirmationRequest(confirm=confirm))
        assert (bench.error(), bench.events()) == (OurErrorCode.NOTHING_TO_CONFIRM, [])

    @pytest.mark.parametrize("confirm", [0, 1])
    def test_while_it_runs_there_is_nothing_to_confirm(self, confirm: int) -> None:
        """Not even with an older transaction that was confirmed: its answer would be taken for this one."""
        bench = Bench().confirmed().running().say(TransactionConfirmationRequest(confirm=confirm))
        assert (bench.error(), bench.events()) == (OurErrorCode.NOTHING_TO_CONFIRM, [])

    def test_an_approval_that_was_taken_back_is_not_confirmed_by_the_answer_of_an_older_one(self) -> None:
        """A register that confirms without TrxSeqCnt would hand out goods that nobody pays."""
        bench = Bench().confirmed(approval(5)).approved(approval(6))
        bench.side.expired()
        bench.say(TransactionConfirmationRequest(confirm=1))
        assert bench.event() == HoldDecided(6, True, None)  # which the endpoint refuses: there is no such hold
        assert bench.heard() == []

    def test_an_approval_that_was_taken_back_does_not_capture_somebodys_hold(self) -> None:
        bench = Bench().held(4).approved(approval(6))
        bench.side.expired()
        bench.say(TransactionConfirmationRequest(confirm=1))
        assert bench.event() == HoldDecided(6, True, None)

    def test_a_wrong_counter_is_no_decision_about_the_approval(self) -> None:
        bench = Bench().approved().say(TransactionConfirmationRequest(confirm=1, trx_seq_cnt=99))
        assert bench.event() == HoldDecided(99, True, None)
        assert bench.side.trx is Trx.APPROVED

    def test_a_decision_that_came_too_late_is_refused(self) -> None:
        bench = Bench().approved().say(TransactionConfirmationRequest(confirm=1))
        bench.side.decision_failed(OurErrorCode.NOTHING_TO_CONFIRM)
        assert (bench.error(), bench.side.trx) == (OurErrorCode.NOTHING_TO_CONFIRM, Trx.IDLE)


class TestExtension:
    """4.6, no. 4."""

    def test_more_time_is_granted_while_an_approval_waits(self) -> None:
        bench = Bench().approved().say(ConfirmationTimeExtensionRequest(seconds=30, cardholder_text="Ware kommt"))
        assert bench.heard() == [ConfirmationTimeExtensionResponse()]
        assert bench.event() == ExtensionWanted(30, "Ware kommt")

    def test_not_more_than_ten_minutes_at_once(self) -> None:
        bench = Bench().approved().say(ConfirmationTimeExtensionRequest(seconds=10**9))
        assert bench.event() == ExtensionWanted(EXTENSION_SECONDS_MAX, "")

    @pytest.mark.parametrize("seconds", [0, -5])
    def test_no_time_is_malformed(self, seconds: int) -> None:
        assert (
            Bench().approved().say(ConfirmationTimeExtensionRequest(seconds=seconds)).error() == OurErrorCode.MALFORMED
        )

    def test_without_an_approval_there_is_nothing_to_wait_for(self) -> None:
        bench = Bench().running().say(ConfirmationTimeExtensionRequest(seconds=30))
        assert bench.error() == OurErrorCode.NOTHING_TO_CONFIRM


class TestAbort:
    """4.6: the answer means "seen"."""

    @pytest.mark.parametrize(("flags", "silent"), [(None, False), (0, False), (1, True)])
    def test_an_abort_is_seen_and_handed_on(self, flags: int | None, silent: bool) -> None:
        bench = Bench().running().say(AbortTransactionRequest(trx_abort_flags=flags))
        assert (bench.heard(), bench.event()) == ([AbortTransactionResponse()], AbortWanted(silent))

    def test_an_abort_with_nothing_running_is_seen_only(self) -> None:
        bench = Bench().say(AbortTransactionRequest())
        assert (bench.heard(), bench.events()) == ([AbortTransactionResponse()], [])

    def test_an_abort_after_the_decision_is_seen_only(self) -> None:
        bench = Bench().approved().say(TransactionConfirmationRequest(confirm=1))
        bench.events()
        assert bench.say(AbortTransactionRequest()).events() == []


class TestHolds:
    """4.6, 4.10 (AUTHORIZATION_PURCHASE)."""

    def test_the_terminal_is_free_at_once(self) -> None:
        bench = Bench().held()
        assert bench.side.trx is Trx.IDLE
        assert bench.say(HOLD).event() == Wanted(HOLD)

    def test_a_hold_is_settled_by_its_counter_beside_a_running_transaction(self) -> None:
        bench = Bench().held(5).running().say(TransactionConfirmationRequest(confirm=1, trx_amt=840, trx_seq_cnt=5))
        event = bench.event()
        assert event == HoldDecided(5, True, 840)
        assert isinstance(event, HoldDecided)
        bench.side.hold_settled(event, DONE)
        assert (bench.heard(), bench.side.trx) == ([DONE], Trx.RUNNING)

    def test_without_a_counter_the_newest_hold_is_meant(self) -> None:
        bench = Bench().held(5).held(6).say(TransactionConfirmationRequest(confirm=0))
        assert bench.event() == HoldDecided(6, False, None)

    @pytest.mark.parametrize("amount", [0, 5001])
    def test_more_than_was_held_is_refused(self, amount: int) -> None:
        bench = Bench().held().say(TransactionConfirmationRequest(confirm=1, trx_amt=amount, trx_seq_cnt=5))
        assert (bench.error(), bench.events()) == (OurErrorCode.AMOUNT, [])

    def test_a_settlement_repeated_is_answered_again_and_another_one_refused(self) -> None:
        capture = TransactionConfirmationRequest(confirm=1, trx_amt=840, trx_seq_cnt=5)
        bench = Bench().held()
        event = bench.say(capture).event()
        assert isinstance(event, HoldDecided)
        bench.side.hold_settled(event, DONE)
        bench.heard()
        assert bench.say(capture).heard() == [DONE]
        release = TransactionConfirmationRequest(confirm=0, trx_seq_cnt=5)
        assert bench.say(release).error() == OurErrorCode.NOTHING_TO_CONFIRM

    def test_of_old_decisions_the_latest_are_remembered(self) -> None:
        bench = Bench()
        for sequence in range(1, SETTLED_MAX + 3):
            bench.confirmed(approval(sequence))
        bench.say(TransactionConfirmationRequest(confirm=1, trx_seq_cnt=3))
        assert (bench.heard(), bench.events()) == ([DONE], [])
        assert len(bench.side._settled) == SETTLED_MAX


class TestLostRegister:
    """4.10, last row: "keep the answer; if the register comes back and connects, send TransactionResponse again"."""

    def test_an_undecided_approval_is_told_again(self) -> None:
        bench = Bench().approved()
        assert bench.reconnect()[1:] == [approval()]
        bench.say(TransactionConfirmationRequest(confirm=1))
        assert Decided(True, None) in bench.events()

    def test_an_answer_that_found_nobody_is_told_later(self) -> None:
        bench = Bench().running()
        bench.side.link_down()
        bench.side.result(decline())
        bench.side.link_up(now_s=0.0)
        assert bench.say(ConnectRequest()).heard()[1:] == [decline()]

    def test_an_answer_that_was_read_is_not_told_again(self) -> None:
        bench = Bench().confirmed()
        assert len(bench.reconnect()) == 1

    def test_an_approval_that_was_taken_back_is_not_told_again(self) -> None:
        bench = Bench().approved()
        bench.side.expired()
        assert approval() not in bench.reconnect()

    def test_a_new_introduction_in_the_middle_is_told_the_answer_again(self) -> None:
        assert Bench().approved().say(ConnectRequest()).heard()[1:] == [approval()]

    def test_a_transaction_that_runs_goes_on_without_a_link(self) -> None:
        bench = Bench().running()
        bench.side.link_down()
        assert (bench.side.trx, bench.side.session) == (Trx.RUNNING, Session.DOWN)

    def test_half_a_line_does_not_survive_the_connection(self) -> None:
        bench = Bench().raw(b'{"StatusReq')
        bench.reconnect()
        assert bench.say(StatusRequest()).heard() == [STATUS]


class TestWrongMessages:
    """2.1, 4.10: answered, and the link lives."""

    def test_an_unknown_message_is_answered(self) -> None:
        assert Bench().raw(b'{"NewRequest":{}}\n').error() == OurErrorCode.UNKNOWN_MESSAGE

    @pytest.mark.parametrize(
        "line", [b"hello\n", b'{"TransactionRequest":\n', b"\xff\xfe\n", b'{"TransactionRequest":{}}\n']
    )
    def test_a_malformed_line_is_answered_and_the_next_one_served(self, line: bytes) -> None:
        bench = Bench().raw(line)
        assert bench.error() == OurErrorCode.MALFORMED
        assert bench.say(StatusRequest()).heard() == [STATUS]

    def test_a_line_that_is_too_long_is_answered_once(self) -> None:
        bench = Bench()
        for _ in range(40):
            bench.raw(b"x" * 65536)
        bench.raw(b"\n")
        assert bench.error() == OurErrorCode.MALFORMED

    def test_rubbish_for_ever_is_hung_up_on(self) -> None:
        bench = Bench().raw(b"x\n" * MALFORMED_MAX)
        assert [type(event) for event in bench.events()] == [PeerGone]

    @pytest.mark.parametrize("message", [ReceiptResponse(receipt_type=1, receipt_text=""), STATUS, DONE], ids=name_of)
    def test_what_only_terminals_say_is_answered(self, message: Message) -> None:
        assert Bench().say(message).error() == OurErrorCode.UNKNOWN_MESSAGE

    def test_a_complaint_of_a_register_is_not_answered(self) -> None:
        assert Bench().say(ErrorNotification(error_code=1)).heard() == []

    @pytest.mark.parametrize(
        "message", [PrintReceiptRequest(receipt_text="x"), SetTerminalLanguageRequest(trm_lng="de")], ids=name_of
    )
    def test_complete_requests_are_handed_on(self, message: Message) -> None:
        assert Bench().say(message).event() == Wanted(message)

    def test_errors_never_hold_a_card_number(self) -> None:
        bench = Bench().raw(b'{"4111111111111111":{"a":1}}\n{"X":"4111111111111111"\n')
        assert b"4111111111111111" not in b"".join(bench.side.data_to_send())


streams = st.lists(messages.map(encode_line) | st.binary(max_size=40).map(lambda data: data + b"\n"), max_size=12)


@settings(max_examples=150, deadline=None)
@given(lines=streams, positions=st.lists(st.integers(0, 10_000), max_size=8))
def test_any_bytes_in_any_chunking_are_survived_and_answered_alike(lines: list[bytes], positions: list[int]) -> None:
    whole, pieces = Bench(), Bench()
    data = b"".join(lines)
    whole.raw(data)
    for piece in cuts(data, positions):
        pieces.raw(piece)
    assert whole.side.data_to_send() == pieces.side.data_to_send()
    assert str(whole.events()) == str(pieces.events())


@settings(max_examples=100, deadline=None)
@given(lines=streams, steps=st.lists(st.floats(0.1, 30.0), max_size=12))
def test_the_deadline_moves_on_or_the_peer_is_gone(lines: list[bytes], steps: list[float]) -> None:
    bench = Bench()
    for line, seconds in zip(lines, steps, strict=False):
        bench.now_s += seconds
        bench.raw(line)
        deadline_s = bench.side.deadline_s()
        if deadline_s is None:
            assert any(isinstance(event, PeerGone) for event in bench.events())
            return
        if deadline_s <= bench.now_s:
            bench.side.handle_deadline(now_s=bench.now_s)
            after_s = bench.side.deadline_s()
            assert after_s is None or after_s > bench.now_s


@settings(max_examples=60, deadline=None)
@given(lines=streams)
def test_every_error_told_is_one_of_ours_and_json(lines: list[bytes]) -> None:
    bench = Bench().raw(b"".join(lines))
    for line in bench.side.data_to_send():
        error = json.loads(line).get("ErrorNotification")
        assert error is None or error["ErrorCode"] in set(OurErrorCode)
