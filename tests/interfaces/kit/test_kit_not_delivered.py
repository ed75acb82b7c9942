"""`TerminalSide.not_delivered`: what a serial line has lost for good is told again, as long as it is true."""

from __future__ import annotations

import pytest

from zahlwerk.interfaces.kit.codec import decode_line, encode_line
from zahlwerk.interfaces.kit.messages import (
    ConnectRequest,
    ErrorNotification,
    HeartbeatRequest,
    HeartbeatResponse,
    Message,
    StatusRequest,
    StatusResponse,
    TransactionRequest,
    TransactionResponse,
)
from zahlwerk.interfaces.kit.terminal import TerminalSide

STATUS = StatusResponse(trm_status=1, trm_lng="de", e_sig_ind=0, set_acq_info=())
PURCHASE = TransactionRequest(trx_function=32768, trx_curr_c=756, amt_auth=1250)
HOLD = TransactionRequest(trx_function=128, trx_curr_c=756, amt_auth=5000)


def outcome(result: int, sequence: int = 5) -> TransactionResponse:
    return TransactionResponse(trx_result=result, trx_result_extended=0, trm_id="12345678", trx_seq_cnt=sequence)


@pytest.fixture
def side() -> TerminalSide:
    side = TerminalSide()
    side.status_is(STATUS)
    side.link_up(now_s=0.0)
    say(side, ConnectRequest())
    return side


def say(side: TerminalSide, *messages: Message) -> list[Message | None]:
    """What the terminal answers."""
    side.data_to_send()
    for message in messages:
        side.receive_data(encode_line(message), now_s=1.0)
    return [decode_line(line).message for line in side.data_to_send()]


def lose(side: TerminalSide, message: Message) -> None:
    side.data_to_send()
    side.not_delivered(encode_line(message))


def ended(side: TerminalSide, request: TransactionRequest, response: TransactionResponse) -> None:
    say(side, request)
    side.result(response)
    lose(side, response)


@pytest.mark.parametrize("sign", [HeartbeatRequest(), HeartbeatResponse()])
def test_a_lost_status_is_told_again_once(side: TerminalSide, sign: Message) -> None:
    lose(side, STATUS)

    assert say(side, sign)[-1] == STATUS
    assert STATUS not in say(side, sign)


def test_a_status_that_was_asked_for_meanwhile_is_not_told_twice(side: TerminalSide) -> None:
    lose(side, STATUS)

    assert say(side, StatusRequest(), HeartbeatResponse()) == [STATUS]


@pytest.mark.parametrize("result", [0, 1, 2, 3])
def test_a_lost_outcome_is_told_again_once(side: TerminalSide, result: int) -> None:
    ended(side, PURCHASE, outcome(result))

    assert say(side, HeartbeatResponse()) == [outcome(result)]
    assert say(side, HeartbeatResponse()) == []


def test_a_lost_approval_of_a_hold_is_told_again(side: TerminalSide) -> None:
    ended(side, HOLD, outcome(0))

    assert say(side, HeartbeatResponse()) == [outcome(0)]


def test_an_approval_that_was_taken_back_is_not_told_again(side: TerminalSide) -> None:
    ended(side, PURCHASE, outcome(0))
    side.expired()

    assert say(side, HeartbeatResponse()) == []


def test_an_old_outcome_is_never_told_after_a_new_request(side: TerminalSide) -> None:
    ended(side, PURCHASE, outcome(1))

    assert say(side, PURCHASE, HeartbeatResponse()) == []


def test_nor_after_a_request_that_was_refused(side: TerminalSide) -> None:
    ended(side, PURCHASE, outcome(0))
    [refusal] = say(side, PURCHASE)

    assert isinstance(refusal, ErrorNotification)
    assert say(side, HeartbeatResponse()) == []


def test_what_else_is_lost_stays_lost(side: TerminalSide) -> None:
    lose(side, HeartbeatRequest())

    assert say(side, HeartbeatResponse()) == []
