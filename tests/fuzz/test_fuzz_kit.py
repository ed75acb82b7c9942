"""Both sides and the settlement under garbage grown from golden lines: nothing is raised, nothing grows, nothing hangs.

Some seconds by default; `ZAHLWERK_FUZZ_SECONDS` for longer, `ZAHLWERK_FUZZ_SEED` to repeat a run.
"""

from __future__ import annotations

import contextlib
import os
import random
import time

import pytest

from zahlwerk.errors import InvalidRequest, LocalProtocolError
from zahlwerk.interfaces.kit.codec import decode_line
from zahlwerk.interfaces.kit.facts import AskWitness, Facts, Send
from zahlwerk.interfaces.kit.framing import LINE_BYTES_MAX
from zahlwerk.interfaces.kit.messages import TransactionConfirmationRequest, TransactionRequest
from zahlwerk.interfaces.kit.receipts import RECEIPT_TYPES_MAX, ReceiptCollector
from zahlwerk.interfaces.kit.register import ANSWERS, RegisterSide, RequestFailed
from zahlwerk.interfaces.kit.settlement import Settlement
from zahlwerk.interfaces.kit.side import Received, Side
from zahlwerk.interfaces.kit.terminal import SETTLED_MAX, TerminalSide

SECONDS = float(os.environ.get("ZAHLWERK_FUZZ_SECONDS", "1.5"))
SEED = int(os.environ.get("ZAHLWERK_FUZZ_SEED", "20261123"))

# Worked examples of the fact sheet, chapter 6.
GOLDEN = [
    b'{"ConnectRequest":{"TrmLng":"de","PrinterWidth":40,"UnsolicitedReceipts":1,"POSID":"Kasse 1"}}',
    b'{"ConnectResponse":{"TrmID":"12345678","TrmLng":"de","IFDSerialNum":"N6P00017","SoftwareVersion":250100,"PeSeqCnt":3,"ActSeqCnt":11}}',
    b'{"StatusRequest":{}}',
    b'{"StatusResponse":{"TrmStatus":512,"TrmLng":"de","ESigInd":0,"SetAcqInfo":[{"AcqID":2}]}}',
    b'{"StatusResponse":{"TrmStatus":1,"TrmLng":"de","ESigInd":0}}',
    b'{"StatusResponse":{"TrmStatus":295,"TrmLng":"de","ESigInd":0}}',
    b'{"ActivationRequest":{}}',
    b'{"ActivationResponse":{"TrmID":"12345678","TrmType":22,"TrmLng":"de","PeSeqCnt":3,"ActSeqCnt":12,"TrxSeqCnt":4710,"TrxFunctions":182433,"Currencies":[756,978],"Brands":["VISA"]}}',
    b'{"TransactionRequest":{"TrxFunction":32768,"TrxCurrC":756,"AmtAuth":1750,"RecOrderRef":{"OrderID":"2026-000123"}}}',
    b'{"TransactionRequest":{"TrxFunction":128,"TrxCurrC":756,"AmtAuth":15000}}',
    b'{"TransactionResponse":{"TrxResult":0,"TrxResultExtended":0,"TrmID":"12345678","TrxSeqCnt":4711,"AmtAuth":1750,"TrxCurrC":756,"AuthC":"ABC123"}}',
    b'{"TransactionResponse":{"TrxResult":1,"TrxResultExtended":"1002200","TrmID":"T1","TrxSeqCnt":4714,"AuthReslt":"100"}}',
    b'{"TransactionConfirmationRequest":{"Confirm":1,"TrxAmt":1500}}',
    b'{"TransactionConfirmationRequest":{"Confirm":0,"TrxSeqCnt":4711}}',
    b'{"TransactionConfirmationResponse":{}}',
    b'{"TransactionConfirmationResponse":{"AttendantText":"Storniert"}}',
    b'{"ConfirmationTimeExtensionRequest":{"Seconds":30,"CardholderText":"Ware kommt"}}',
    b'{"AbortTransactionRequest":{"TrxAbortFlags":1}}',
    b'{"ReceiptRequest":{"ReceiptType":1,"ReceiptIDNumeric":null}}',
    b'{"ReceiptResponse":{"ReceiptType":1,"ReceiptFlags":3,"ReceiptText":"Teil 1\\n"}}',
    b'{"ReportResponse":{"ReportType":1001,"ReportFlags":0,"TrxListReport":[{"TrxSeqCnt":4711,"TrxDate":"261123","TrxTime":"101530"}]}}',
    b'{"DialogRequest":{"DialogResource":1010,"DialogResourceArgs":["Kilometerstand?"],"InputType":51}}',
    b'{"HeartbeatRequest":{}}',
    b'{"HeartbeatResponse":{}}',
    b'{"ErrorNotification":{"ErrorCode":1,"ErrorSource":"ECR","ErrorDescription":"Terminal is busy"}}',
    b'{"ErrorNotification":{"ErrorCode":-5,"ErrorSource":"OS","ErrorDescription":"?"}}',
    b'{"CancelUIRequest":{}}',
]


class Fuzzer:
    """Lines like the golden ones, and unlike them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def piece(self) -> bytes:
        source = self.random
        line = bytearray(source.choice(GOLDEN))
        for _ in range(source.choice([0, 0, 0, 1, 1, 3])):
            self._spoil(line)
        return bytes(line) + source.choice([b"\n", b"\n", b"\n", b"\r\n", b"", b"\n\n"])

    def _spoil(self, line: bytearray) -> None:
        source = self.random
        at = source.randrange(len(line) + 1)
        match source.randrange(6):
            case 0:
                line[at : at + 1] = bytes([source.randrange(256)])
            case 1:
                del line[at : at + source.randint(1, 8)]
            case 2:
                line[at:at] = source.choice(
                    [b"{", b"}", b"[", b'"', b"\\", b"\x00", b"1e999", b"-1", b"null", b"\xff", b"[" * 60]
                )
            case 3:
                line[at:at] = str(source.choice([0, -1, 2**31, 2**63, 2**64, 10**30])).encode()
            case 4:
                line[at:at] = source.choice(GOLDEN)
            case _:
                line[:] = bytes(source.randrange(256) for _ in range(source.randrange(40)))
        if not line:
            line += b" "

    def chunks(self) -> list[bytes]:
        data = b"".join(self.piece() for _ in range(self.random.randint(1, 6)))
        size = self.random.choice([1, 7, 100, len(data)])
        return [data[at : at + size] for at in range(0, len(data), size)]


def time_is_left(until_s: float, count: int) -> bool:
    return count < 50 or time.monotonic() < until_s


def check_bounds(side: Side, now_s: float) -> None:
    assert side._lines.pending_bytes <= LINE_BYTES_MAX
    deadline_s = side.deadline_s()
    if deadline_s is not None and deadline_s <= now_s:
        side.handle_deadline(now_s=now_s)
        after_s = side.deadline_s()
        assert after_s is None or after_s > now_s


@pytest.mark.timeout(SECONDS * 10 + 60)
def test_the_terminal_side_survives() -> None:
    fuzzer, until_s, count, now_s = Fuzzer(SEED), time.monotonic() + SECONDS, 0, 0.0
    side = TerminalSide()
    while time_is_left(until_s, count):
        count += 1
        now_s += fuzzer.random.choice([0.0, 0.1, 6.0])
        if count % 20 == 1:
            side.link_down()
            side.link_up(now_s=now_s)
            side.receive_data(b'{"ConnectRequest":{}}\n', now_s=now_s)
        for chunk in fuzzer.chunks():
            side.receive_data(chunk, now_s=now_s)
        check_bounds(side, now_s)
        for line in side.data_to_send():
            decode_line(line)
        assert len(side.events_received()) < 5_000
        act(side, fuzzer.random)
        assert len(side._settled) <= SETTLED_MAX


def act(side: TerminalSide, source: random.Random) -> None:
    """An endpoint that does anything at any time."""
    response = decode_line(source.choice(GOLDEN[10:12])).message
    match source.randrange(6):
        case 0:
            side.result(response)  # type: ignore[arg-type]  # both are answers
        case 1:
            side.confirmed(decode_line(GOLDEN[14]).message)  # type: ignore[arg-type]  # an answer to a confirmation
        case 2:
            side.expired()
        case _:
            pass
    if len(side._holds) > 100:
        side._holds.clear()  # real ones cost real approvals


@pytest.mark.timeout(SECONDS * 10 + 60)
def test_the_register_side_survives() -> None:
    fuzzer, until_s, count, now_s = Fuzzer(SEED + 1), time.monotonic() + SECONDS, 0, 0.0
    side, collector = RegisterSide(), ReceiptCollector()
    while time_is_left(until_s, count):
        count += 1
        now_s += fuzzer.random.choice([0.0, 0.1, 6.0])
        if count % 20 == 1:
            side.link_down()
            side.link_up(now_s=now_s)
            side.receive_data(GOLDEN[1] + b"\n", now_s=now_s)
        for chunk in fuzzer.chunks():
            side.receive_data(chunk, now_s=now_s)
        wanted = decode_line(fuzzer.random.choice(GOLDEN)).message
        assert wanted is not None
        with contextlib.suppress(LocalProtocolError, InvalidRequest):
            side.send(wanted, now_s=now_s)
        for event in side.events_received():
            if isinstance(event, Received) and type(event.message).__name__ == "ReceiptResponse":
                collector.add(event.message)  # type: ignore[arg-type]  # its name says so
        check_bounds(side, now_s)
        side.data_to_send()
        assert len(side._awaited) <= len(ANSWERS)
        assert len(collector._buffers) <= RECEIPT_TYPES_MAX


@pytest.mark.timeout(SECONDS * 10 + 60)
def test_the_settlement_keeps_its_rules_behind_a_fuzzed_link() -> None:
    fuzzer, until_s, count = Fuzzer(SEED + 2), time.monotonic() + SECONDS, 0
    while time_is_left(until_s, count):
        count += 1
        confirms = one_payment(fuzzer)
        first_yes = confirms.index(1) if 1 in confirms else len(confirms)
        assert 0 not in confirms[first_yes:]


def one_payment(fuzzer: Fuzzer) -> list[int]:
    """A payment whose link says anything, to its end; the confirmations that it sent."""
    source, now_s, confirms = fuzzer.random, 0.0, list[int]()
    side = RegisterSide()
    side.link_up(now_s=now_s)
    side.receive_data(GOLDEN[1] + b"\n", now_s=now_s)
    it = Settlement(
        TransactionRequest(trx_function=32768, trx_curr_c=756, amt_auth=1750),
        Facts(counter_before=source.choice([None, 0, 4710])),
    )
    it.begin(now_s=now_s)
    for step in range(2_000):
        asked = False
        for action in it.actions():
            if isinstance(action, Send) and isinstance(action.message, TransactionConfirmationRequest):
                confirms.append(action.message.confirm)
            asked = asked or isinstance(action, AskWitness)
        if it.is_over:
            return confirms
        if asked:
            it.decided(confirm=source.random() < 0.6, amount_minor=None, now_s=now_s)
            continue
        for chunk in fuzzer.chunks() if step < 40 else ():
            side.receive_data(chunk, now_s=now_s)
        for event in side.events_received():
            if isinstance(event, Received):
                it.received(event.message, now_s=now_s)
                status = getattr(event.message, "trm_status", None)
                if status is not None:
                    it.status(status, now_s=now_s)
            elif isinstance(event, RequestFailed):
                it.error(refused=source.random() < 0.3, now_s=now_s)
        if source.random() < 0.1 and step < 40:
            it.link_down(now_s=now_s)
            it.session_up(source.choice([None, 1, 0x27, 0x127]), now_s=now_s)
        deadline_s = it.deadline_s()
        if deadline_s is not None and source.random() < 0.3:
            now_s = max(now_s, deadline_s)
            it.handle_deadline(now_s=now_s)
    raise AssertionError("a payment without an end")
