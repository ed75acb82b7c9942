"""`RegisterSide`, sans I/O: introduction, signs of life, awaited answers, and what it refuses to send."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.interfaces.kit.kit_strategies import cuts, messages

from zahlwerk.errors import InvalidRequest, LocalProtocolError
from zahlwerk.interfaces.kit.codec import decode_line, encode_line
from zahlwerk.interfaces.kit.messages import (
    AbortTransactionRequest,
    ActivationResponse,
    BalanceRequest,
    BalanceResponse,
    CancelUIRequest,
    ConfirmationTimeExtensionRequest,
    ConfirmationTimeExtensionResponse,
    ConnectRequest,
    ConnectResponse,
    ErrorNotification,
    HeartbeatRequest,
    HeartbeatResponse,
    Message,
    ReceiptRequest,
    ReceiptResponse,
    StatusRequest,
    StatusResponse,
    TransactionConfirmationRequest,
    TransactionConfirmationResponse,
    TransactionRequest,
    TransactionResponse,
)
from zahlwerk.interfaces.kit.register import (
    ANSWERS,
    Options,
    RegisterEvent,
    RegisterSide,
    RequestExpired,
    RequestFailed,
)
from zahlwerk.interfaces.kit.side import Malformed, PeerGone, Received
from zahlwerk.interfaces.kit.states import Session, Trx
from zahlwerk.timeouts import DEFAULT_WAITS

PURCHASE = TransactionRequest(trx_function=32768, trx_curr_c=756, amt_auth=1250)
HOLD = TransactionRequest(trx_function=128, trx_curr_c=756, amt_auth=5000)
STATUS = StatusResponse(trm_status=1, trm_lng="de", e_sig_ind=0)
YES = TransactionConfirmationRequest(confirm=1, trx_seq_cnt=5)
NO = TransactionConfirmationRequest(confirm=0, trx_seq_cnt=5)


def answer(result: int = 0, sequence: int | None = 5) -> TransactionResponse:
    return TransactionResponse(trx_result=result, trx_seq_cnt=sequence)


class Bench:
    """A register side with a session."""

    def __init__(self, options: Options | None = None, *, connected: bool = True) -> None:
        self.side = RegisterSide(options)
        self.now_s = 0.0
        if connected:
            self.side.link_up(now_s=0.0)
            self.hear(ConnectResponse(trm_id="12345678"), STATUS)
            self.sent()
            self.events()

    def hear(self, *messages: Message) -> Bench:
        for message in messages:
            self.side.receive_data(encode_line(message), now_s=self.now_s)
        return self

    def send(self, *messages: Message) -> Bench:
        for message in messages:
            self.side.send(message, now_s=self.now_s)
        return self

    def sent(self) -> list[Message]:
        found = [decode_line(line).message for line in self.side.data_to_send()]
        return [message for message in found if message is not None]

    def events(self) -> list[RegisterEvent]:
        return self.side.events_received()


class TestSession:
    """4.3."""

    def test_it_introduces_itself_and_asks_the_status_without_waiting(self) -> None:
        bench = Bench(connected=False)
        bench.side.link_up(now_s=0.0)
        first, second = bench.sent()
        assert isinstance(first, ConnectRequest)
        assert second == StatusRequest()
        assert bench.side.session is Session.CONNECTING

    def test_options_are_told(self) -> None:
        wire = Options(language="fr", printer_width=40, suppress_scheduled_tasks=True, use_external_display=False,
                       pos_id="Kasse 1", data_change_reasons=({"TrxDataChangeReasonCode": 3},)).to_wire()  # fmt: skip
        assert (wire.trm_lng, wire.printer_width, wire.suppress_scheduled_tasks, wire.posid) == ("fr", 40, 1, "Kasse 1")
        assert (wire.unsolicited_receipts, wire.use_external_display) == (1, None)
        assert wire.set_trx_data_change_reason is not None
        assert wire.set_trx_data_change_reason[0].trx_data_change_reason_code == 3

    def test_nothing_is_sent_before_the_session_stands(self) -> None:
        with pytest.raises(LocalProtocolError):
            Bench(connected=False).send(BalanceRequest())

    def test_the_transaction_survives_the_link(self) -> None:
        bench = Bench().send(PURCHASE)
        bench.side.link_down()
        assert (bench.side.session, bench.side.trx, bench.side.deadline_s()) == (Session.DOWN, Trx.RUNNING, None)

    def test_what_the_terminal_tells_is_kept(self) -> None:
        bench = Bench().hear(ActivationResponse(trx_seq_cnt=7))
        assert (bench.side.trx_seq_cnt, bench.side.status) == (7, STATUS)
        assert bench.side.connected == ConnectResponse(trm_id="12345678")


class TestHeartbeats:
    """4.4: armed on connect, answered in any state."""

    def test_a_heartbeat_is_answered_at_once(self) -> None:
        assert Bench().hear(HeartbeatRequest()).sent() == [HeartbeatResponse()]

    def test_a_silent_terminal_is_asked_and_then_given_up(self) -> None:
        bench = Bench()
        bench.side.handle_deadline(now_s=10.0)
        assert bench.sent() == [HeartbeatRequest()]
        bench.side.handle_deadline(now_s=20.0)
        assert [type(event) for event in bench.events()] == [PeerGone]

    def test_heartbeats_do_not_restart_the_wait_for_an_answer(self) -> None:
        bench = Bench().send(BalanceRequest())
        limit_s = DEFAULT_WAITS.register_s(ANSWERS["BalanceRequest"][1])
        while bench.now_s < limit_s - 5:
            bench.now_s += 5.0
            bench.hear(HeartbeatResponse())
        bench.side.handle_deadline(now_s=limit_s)
        assert RequestExpired("BalanceRequest") in bench.events()


class TestAnswers:
    def test_an_answer_is_handed_on_and_no_longer_awaited(self) -> None:
        bench = Bench().send(BalanceRequest()).hear(BalanceResponse())
        assert bench.events() == [Received(BalanceResponse(), {})]
        bench.side.handle_deadline(now_s=1000.0)
        assert RequestExpired("BalanceRequest") not in bench.events()

    def test_an_own_wait_replaces_the_tables(self) -> None:
        bench = Bench()
        bench.side.send(BalanceRequest(), now_s=0.0, wait_s=3.0)
        bench.side.handle_deadline(now_s=3.0)
        assert bench.events() == [RequestExpired("BalanceRequest")]

    def test_an_error_blames_the_oldest_request_that_can_fail(self) -> None:
        error = ErrorNotification(error_code=1)
        bench = (
            Bench().send(StatusRequest(), ReceiptRequest(receipt_type=1), BalanceRequest()).hear(error, error, error)
        )
        assert bench.events() == [
            RequestFailed("ReceiptRequest", error), RequestFailed("BalanceRequest", error), RequestFailed("", error),
        ]  # fmt: skip

    def test_a_receipt_that_comes_unasked_is_no_answer_to_the_one_asked_for(self) -> None:
        error = ErrorNotification(error_code=7)
        bench = Bench().send(ReceiptRequest(receipt_type=1)).hear(ReceiptResponse(receipt_type=11, receipt_text="x"))
        bench.events()
        assert bench.hear(error).events() == [RequestFailed("ReceiptRequest", error)]

    def test_an_abort_that_nobody_answers_does_not_take_the_blame(self) -> None:
        error = ErrorNotification(error_code=1)
        bench = Bench().send(PURCHASE, AbortTransactionRequest()).hear(error)
        assert bench.events() == [RequestFailed("", error)]

    def test_a_dialog_that_is_cancelled_has_no_answer_of_its_own(self) -> None:
        assert "CancelUIRequest" not in ANSWERS
        Bench().send(CancelUIRequest())

    def test_an_extension_asked_by_the_terminal_is_granted(self) -> None:
        assert Bench().hear(ConfirmationTimeExtensionRequest(seconds=5)).sent() == [ConfirmationTimeExtensionResponse()]


class TestTransactions:
    """The table of `states`, as the register walks it."""

    def test_approval_and_confirmation(self) -> None:
        bench = Bench()
        seen = [bench.side.trx]
        for say, hear in ((PURCHASE, answer()), (YES, TransactionConfirmationResponse())):
            seen.append(bench.send(say).side.trx)
            seen.append(bench.hear(hear).side.trx)
        assert seen == [Trx.IDLE, Trx.RUNNING, Trx.APPROVED, Trx.CONFIRMING, Trx.IDLE]

    def test_a_second_transaction_is_not_sent(self) -> None:
        bench = Bench().send(PURCHASE)
        bench.sent()
        with pytest.raises(LocalProtocolError):
            bench.send(PURCHASE)
        assert bench.sent() == []

    @pytest.mark.parametrize(("first", "second"), [(YES, NO), (NO, YES)])
    def test_a_decision_is_never_followed_by_the_other(self, first: Message, second: Message) -> None:
        bench = Bench().send(PURCHASE).hear(answer()).send(first)
        with pytest.raises(LocalProtocolError):
            bench.send(second)

    def test_a_confirmation_before_the_approval_is_not_sent(self) -> None:
        with pytest.raises(LocalProtocolError):
            Bench().send(PURCHASE, YES)

    def test_a_hold_is_settled_beside_a_running_transaction(self) -> None:
        bench = Bench().send(HOLD).hear(answer())
        bench.side.holds.add(5)
        bench.send(PURCHASE, YES)
        assert bench.side.trx is Trx.RUNNING

    def test_what_cannot_be_written_changes_nothing(self) -> None:
        bench = Bench()
        with pytest.raises(InvalidRequest):
            bench.send(TransactionRequest(trx_function=32768, trx_curr_c=756, amt_auth=-1))
        assert (bench.side.trx, bench.sent()) == (Trx.IDLE, [])
        bench.send(PURCHASE)

    def test_settled_by_other_means_the_next_may_start(self) -> None:
        bench = Bench().send(PURCHASE)
        bench.side.settled()
        bench.send(PURCHASE)


class TestWrongMessages:
    @pytest.mark.parametrize("line", [b"hello\n", b"{}\n", b'{"StatusResponse":{}}\n', b"\xff\n"])
    def test_a_malformed_line_is_reported_and_the_link_lives(self, line: bytes) -> None:
        bench = Bench()
        bench.side.receive_data(line, now_s=0.0)
        assert [type(event) for event in bench.events()] == [Malformed]
        assert bench.hear(HeartbeatRequest()).sent() == [HeartbeatResponse()]

    def test_an_unknown_message_is_tolerated(self) -> None:
        bench = Bench()
        bench.side.receive_data(b'{"NewNotification":{"a":1}}\n', now_s=0.0)
        assert (bench.events(), bench.sent()) == ([], [])


@settings(max_examples=150, deadline=None)
@given(
    lines=st.lists(messages.map(encode_line) | st.binary(max_size=40).map(lambda d: d + b"\n"), max_size=12),
    positions=st.lists(st.integers(0, 10_000), max_size=8),
)
def test_any_bytes_in_any_chunking_are_survived_and_read_alike(lines: list[bytes], positions: list[int]) -> None:
    whole, pieces = Bench(), Bench()
    data = b"".join(lines)
    whole.side.receive_data(data, now_s=1.0)
    for piece in cuts(data, positions):
        pieces.side.receive_data(piece, now_s=1.0)
    assert str(whole.events()) == str(pieces.events())
    assert whole.side.data_to_send() == pieces.side.data_to_send()
    assert whole.side.trx is pieces.side.trx


@settings(max_examples=100, deadline=None)
@given(said=st.lists(messages, max_size=15), heard=st.lists(messages, max_size=15))
def test_any_messages_in_any_order_raise_only_local_errors_and_grow_nothing(
    said: list[Message], heard: list[Message]
) -> None:
    bench = Bench()
    for index in range(max(len(said), len(heard))):
        for message in said[index : index + 1]:
            with contextlib.suppress(LocalProtocolError, InvalidRequest):
                bench.send(message)
        for message in heard[index : index + 1]:
            bench.hear(message)
    assert len(bench.side._awaited) <= len(ANSWERS)
    bench.side.handle_deadline(now_s=100_000.0)
    deadline_s = bench.side.deadline_s()
    assert deadline_s is None or deadline_s > 100_000.0
