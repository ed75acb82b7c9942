"""The behavioural pitfalls of the KIT fact sheet, section 7, that the codec's own tests do not cover: one class each."""

from __future__ import annotations

import asyncio
import importlib.util
import json

import pytest
from tests.interop.kit_world import Journal, Rule, World, name_of_line

from zahlwerk.errors import InvalidRequest
from zahlwerk.interfaces.kit.codes import BatchCaptureFlags, DeviceCommandCode
from zahlwerk.interfaces.kit.conversion import request_from_wire, request_to_wire
from zahlwerk.interfaces.kit.device_conversion import status_from_wire, status_to_wire
from zahlwerk.interfaces.kit.facts import AskWitness, End, Ending, Facts, Phase
from zahlwerk.interfaces.kit.framing import LineDecoder
from zahlwerk.interfaces.kit.interface import WEBSOCKET
from zahlwerk.interfaces.kit.messages import (
    AcqInfo,
    ConfirmationTimeExtensionRequest,
    ErrorNotification,
    StatusResponse,
    TransactionDataChangeRequest,
    TransactionRequest,
    TransactionResponse,
)
from zahlwerk.interfaces.kit.register import RegisterSide
from zahlwerk.interfaces.kit.settlement import Settlement
from zahlwerk.interfaces.kit.side import PeerGone
from zahlwerk.interfaces.kit.terminal import TerminalSide
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentKind, PaymentRequest
from zahlwerk.terminal import CONFIRM, Decision, Maintenance
from zahlwerk.timeouts import DEFAULT_WAITS, Operation
from zahlwerk.transport.websocket import connect_websocket
from zahlwerk.virtual.settings import Settings


def purchase(minor: int = 1250, **more: object) -> PaymentRequest:
    return PaymentRequest(amount=Money.of(minor, "CHF"), **more)  # type: ignore[arg-type]  # the caller knows the fields


async def world(**settings: object) -> World:
    found = World(settings=Settings(seed=1, **settings))  # type: ignore[arg-type]  # as above
    await found.open()
    return found


class TestP17:
    """Directions of 27/28 and 29/30 are only inferred: either side takes either."""

    def test_the_register_grants_an_extension_and_the_terminal_answers_a_data_change(self) -> None:
        register, terminal = RegisterSide(), TerminalSide()
        for side, line in (
            (register, b'{"ConfirmationTimeExtensionRequest":{"Seconds":5}}\n'),
            (
                terminal,
                b'{"ConnectRequest":{}}\n{"TransactionDataChangeRequest":{}}\n{"ConfirmationTimeExtensionResponse":{}}\n',
            ),
        ):
            side.link_up(now_s=0.0)
            side.data_to_send()
            side.receive_data(line, now_s=0.0)
        assert [name_of_line(line) for line in register.data_to_send()] == ["ConfirmationTimeExtensionResponse"]
        assert [name_of_line(line) for line in terminal.data_to_send()] == [
            "ConnectResponse",
            "TransactionDataChangeResponse",
        ]
        assert {ConfirmationTimeExtensionRequest, TransactionDataChangeRequest}


class TestP20:
    """AmtAuth contains AmtOther."""

    def test_cashback_is_added_and_taken_out_again(self) -> None:
        request = PaymentRequest(
            kind=PaymentKind.PURCHASE_WITH_CASHBACK, amount=Money.of(1000, "CHF"), cashback=Money.of(500, "CHF")
        )
        wire = request_to_wire(request)
        assert (wire.amt_auth, wire.amt_other) == (1500, 500)
        back = request_from_wire(wire, reference="r")
        assert (back.amount, back.cashback) == (request.amount, request.cashback)

    def test_more_cashback_than_amount_is_refused(self) -> None:
        with pytest.raises(InvalidRequest):
            request_from_wire(
                TransactionRequest(trx_function=1, trx_curr_c=756, amt_auth=5, amt_other=6), reference="r"
            )


@pytest.mark.skipif(
    importlib.util.find_spec("zahlwerk.interfaces.kit.cloud") is None,
    reason="KIT via Cloud is not built yet: no pairing",
)
class TestP21:
    """Disconnecting keeps the pairing."""

    def test_only_unpairing_forgets(self) -> None:
        pytest.fail("KIT via Cloud has come: test that a pairing survives disconnect()")


class TestP22:
    """The transaction timer stops at the response; deciding has its own."""

    async def test_a_witness_may_take_longer_than_the_whole_transaction(self) -> None:
        it = await world()

        class Slow(Journal):
            async def approved(self, payment: Payment) -> Decision:
                clock = it.clock
                await clock.sleep_until(clock.now_s() + 2 * DEFAULT_WAITS.register_s(Operation.PAYMENT))
                return await super().approved(payment)

        payment = await it.until(it.register.transact(purchase(), witness=Slow()))
        assert payment.outcome is Outcome.APPROVED
        assert "AbortTransactionRequest" not in it.wire.messages(">")
        assert it.wire.messages(">").count("ConfirmationTimeExtensionRequest") >= 4
        assert it.charged() == 1250
        await it.close()


class TestP23:
    """Persist, then confirm."""

    async def test_the_witness_has_answered_before_the_confirmation_leaves(self) -> None:
        it = await world()
        left_before: list[bool] = []

        class Watching(Journal):
            async def approved(self, payment: Payment) -> Decision:
                await asyncio.sleep(0)
                left_before.append("TransactionConfirmationRequest" in it.wire.messages(">"))
                return CONFIRM

            async def sending(self, evidence: object) -> None:
                left_before.append("TransactionRequest" in it.wire.messages(">"))

        await it.until(it.register.transact(purchase(), witness=Watching()))
        assert left_before == [False, False]
        await it.close()


def settlement() -> Settlement:
    it = Settlement(TransactionRequest(trx_function=32768, trx_curr_c=756, amt_auth=1250), Facts(counter_before=4))
    it.begin(now_s=0.0)
    it.actions()
    return it


class TestP24:
    """An error to a confirmation never rolls it back."""

    def test_after_an_error_confirm_1_is_repeated_and_then_the_receipt_asked(self) -> None:
        it = settlement()
        it.received(TransactionResponse(trx_result=0, trx_seq_cnt=5), now_s=1.0)
        assert any(isinstance(action, AskWitness) for action in it.actions())
        it.decided(confirm=True, amount_minor=None, now_s=2.0)
        it.error(refused=True, now_s=3.0)
        it.error(refused=True, now_s=4.0)
        assert it.phase is Phase.RECEIPT
        assert "confirm=0" not in str(it.actions())


class TestP25:
    """An error that belongs to nothing does not end a payment."""

    def test_a_busy_terminal_goes_on(self) -> None:
        it = settlement()
        it.error(refused=False, now_s=1.0)
        it.status(0x027, now_s=2.0)
        assert (it.phase, it.is_over) == (Phase.RUNNING, False)

    def test_an_idle_terminal_is_asked_for_its_counter(self) -> None:
        it = settlement()
        it.error(refused=False, now_s=1.0)
        it.status(0x001, now_s=2.0)
        assert it.phase is Phase.COUNTER
        assert not any(isinstance(action, End) and action.ending is not Ending.FAILED for action in it.actions())

    async def test_a_notice_of_the_terminal_in_the_middle_changes_nothing(self) -> None:
        it = await world(card="none")
        task = asyncio.ensure_future(it.register.transact(purchase()))
        await it.pass_time(1.0)
        it.endpoint._side.tell(ErrorNotification(error_code=-13, error_source="PRINTER", error_description="Paper low"))
        it.endpoint._turn()
        await it.pass_time(5.0)
        it.virtual.present("visa")
        await it.pass_time(10.0, task)
        assert task.result().outcome is Outcome.APPROVED
        await it.close()


class TestP27:
    """Binary frames are sent, both kinds are taken: `tests/transport` shows it, KIT uses that stream."""

    def test_the_websocket_interface_uses_the_stream_that_does(self) -> None:
        assert WEBSOCKET.scheme == "kit+ws"
        assert "inary" in (connect_websocket.__doc__ or "") + (
            importlib.import_module(connect_websocket.__module__).__doc__ or ""
        )


class TestP29:
    """A line and half of the next: the first is handled at once, the half waits for its rest only."""

    def test_the_whole_line_does_not_wait_for_the_half(self) -> None:
        lines = LineDecoder()
        assert lines.feed(b'{"HeartbeatRequest":{}}\n{"Stat') == [b'{"HeartbeatRequest":{}}']
        assert lines.feed(b'usRequest":{}}\n') == [b'{"StatusRequest":{}}']


class TestP30:
    """Bugs of the library that are not ours: no stale timer ends a new connection."""

    def test_no_deadline_survives_the_connection(self) -> None:
        for side in (RegisterSide(), TerminalSide()):
            side.link_up(now_s=0.0)
            side.handle_deadline(now_s=15.0)
            side.link_down()
            assert side.deadline_s() is None
            side.link_up(now_s=19.0)
            side.handle_deadline(now_s=20.5)
            assert not any(isinstance(event, PeerGone) for event in side.events_received())


class TestP31:
    """After a reconnect the configuration is fetched again."""

    async def test_an_open_shift_is_activated_again_after_each_session_start(self) -> None:
        it = await world()
        before = it.wire.messages(">").count("ActivationRequest")
        it.wire.rules.append(Rule("HeartbeatRequest", ">", 1))
        await it.pass_time(60.0)
        assert it.wire.cuts == 1
        assert it.wire.messages(">").count("ActivationRequest") == before + 1
        await it.close()


class TestP32:
    """A status without acquirers keeps the old list; our terminal always sends them."""

    def test_an_absent_list_keeps_the_former(self) -> None:
        known = status_from_wire(
            StatusResponse(trm_status=1, trm_lng="de", e_sig_ind=0, set_acq_info=(AcqInfo(acq_id=2),))
        )
        after = status_from_wire(StatusResponse(trm_status=5, trm_lng="de", e_sig_ind=0), known)
        assert after.acquirers == known.acquirers != ()

    async def test_every_status_of_our_terminal_has_the_list(self) -> None:
        it = await world()
        await it.until(it.register.transact(purchase()))
        told = [json.loads(line) for way, line in it.wire.log if way == "<" and b'"StatusResponse"' in line]
        assert all("SetAcqInfo" in message["StatusResponse"] for message in told)
        assert status_to_wire(it.virtual._device.status()).set_acq_info
        await it.close()


class TestP34:
    """Batch capture: bit 0x01 always."""

    async def test_submission_and_transmission_are_5_and_3(self) -> None:
        it = await world()
        for work in (Maintenance.SUBMIT, Maintenance.TRANSMIT):
            await it.until(it.register.maintain(work))
        flags = [
            json.loads(line)["BatchCaptureRequest"]["BatchCaptureFlags"]
            for _, line in it.wire.log
            if b"BatchCaptureRequest" in line
        ]
        assert flags == [5, 3]
        assert all(flag & BatchCaptureFlags.MANUAL for flag in flags)
        await it.close()


@pytest.mark.skipif(
    importlib.util.find_spec("zahlwerk.interfaces.kit.cloud") is None,
    reason="KIT via Cloud is not built yet: no SMQ client",
)
class TestP39:
    """Our own SMQ client."""

    def test_restoring_trips_over_nothing(self) -> None:
        pytest.fail("KIT via Cloud has come: test that subscriptions are restored after a reconnect")


class TestP40:
    """BUSY is set for a moment after the answer: the next request waits for it to go."""

    async def test_the_next_payment_may_be_asked_for_at_once(self) -> None:
        it = await world()
        for _ in range(3):
            payment = await it.until(it.register.transact(purchase()))
            assert payment.outcome is Outcome.APPROVED
        errors = [line for _, line in it.wire.log if b"ErrorNotification" in line]
        assert (errors, it.charged()) == ([], 3750)
        await it.close()

    async def test_the_answer_leaves_before_busy_goes(self) -> None:
        it = await world()
        await it.until(it.register.transact(purchase()))
        told = it.wire.messages("<")
        answer = told.index("TransactionResponse")
        before = [json.loads(line)["StatusResponse"]["TrmStatus"] for way, line in it.wire.log[: answer + 20]
                  if way == "<" and b'"StatusResponse"' in line]  # fmt: skip
        assert before[-1] & 4 or before[-1] == 1
        assert told[answer + 1] == "StatusResponse"
        await it.close()


class TestP41:
    """Terminal times are kept as told and never compared with our clock."""

    async def test_the_terminals_time_has_no_zone(self) -> None:
        it = await world()
        payment = await it.until(it.register.transact(purchase()))
        assert payment.terminal_time is not None
        assert payment.terminal_time.tzinfo is None
        await it.close()


class TestP42:
    """In doubt the library counts, then the schema, then the document: what only one of them knows is kept."""

    def test_commands_of_every_source_are_known(self) -> None:
        assert {521, 2501, 2602} <= {int(code) for code in DeviceCommandCode}
