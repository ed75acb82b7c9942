"""PayTec's Electron tester (`examples/node/kit-json-electron`), unchanged, at our TCP and WebSocket endpoints.

Its main.js checks every message, both ways, against PayTec's schema; each test ends with all of them valid.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.peers.conversation import Conversation
from tests.peers.node_peer import Event, NodePeer

from zahlwerk.timeouts import Waits
from zahlwerk.urls import Context, connect, listen

pytestmark = pytest.mark.peer


class PayTecTester:
    """The person in front of PayTec's tester."""

    def __init__(self, peer: NodePeer, conversation: Conversation) -> None:
        self.peer = peer
        self.conversation = conversation
        self._mark = 0

    def set(self, **values: str) -> None:
        """Type into fields, choose from lists."""
        self.peer.tell(set=values)

    def click(self, button: str) -> None:
        """Press a button; what is waited for from now on comes after it."""
        self._mark = len(self.peer.events)
        self.peer.tell(click=button)

    async def message(self, name: str, *, sent: bool = False) -> dict[str, Any]:
        """What the tester shows as received (or sent) under this name since the last click."""
        kind = "sent" if sent else "received"
        event = await self.peer.event(lambda e: e["event"] == kind and name in e["message"], after=self._mark)
        body: dict[str, Any] = event["message"][name]
        return body

    async def shown(self, kind: str) -> str:
        """The text of the result, receipt, error or note shown since the last click."""
        event = await self.peer.event(lambda e: e["event"] == kind, after=self._mark)
        return str(event["text"])

    async def lights(self, *wanted: str) -> None:
        """Wait until exactly these lights of the terminal's status are on."""
        await self.peer.until(lambda: self._last_lights() == list(wanted))

    def _last_lights(self) -> list[str]:
        states = [event["bits"] for event in self.peer.events if event["event"] == "ui"]
        return states[-1] if states else []

    async def connect(self) -> None:
        """Press Connect and wait until the terminal has told its status."""
        self.click("connectBtn")
        await self.message("StatusResponse")

    async def activate(self) -> None:
        """Open the shift."""
        self.click("activateBtn")
        await self.message("ActivationResponse")
        await self.lights("Shift")

    async def pay(self, amount: str, *, function: int = 32768) -> str:
        """Start a transaction and wait for the result card."""
        self.set(trxFunctionSelect=str(function))
        if function != 32:
            self.set(amountInput=amount)
        self.click("trxBtn")
        result = await self.shown("result")
        await self.lights("Shift")
        return " ".join(result.split())

    def count(self, kind: str, name: str) -> int:
        """How many messages of this name were sent or received."""
        return sum(event["event"] == kind and name in event["message"] for event in self.peer.events)

    def receipts(self) -> list[int]:
        """The types of the receipts that came."""
        received = [event["message"] for event in self.peer.events if event["event"] == "received"]
        return [message["ReceiptResponse"]["ReceiptType"] for message in received if "ReceiptResponse" in message]

    def receipts_shown(self) -> list[str]:
        """The texts in its receipt panel, oldest first."""
        return [event["text"] for event in self.peer.events if event["event"] == "receipt"]


Start = Callable[..., AbstractAsyncContextManager[PayTecTester]]


@pytest.fixture
def start(ecritf: Path, node: str, node_modules: Path, tmp_path: Path) -> Start:
    """Starts the tester and a virtual terminal behind an endpoint, connected and activated."""

    @asynccontextmanager
    async def started(
        address: str = "kit+tcp://127.0.0.1:0",
        *,
        folder: Path = ecritf / "examples" / "node" / "kit-json-electron",
        virtual: str = "virtual:?speed=0&seed=1",
        context: Context | None = None,
        protocol: str = "tcp",
        session: bool = True,
        activate: bool = True,
    ) -> AsyncIterator[PayTecTester]:
        conversation = Conversation()
        waits = Waits() if context is None else context.waits
        terminal = connect(virtual)
        endpoint = listen(address, terminal, Context(trace=conversation, waits=waits, seed=1))
        data = tmp_path / "data"
        data.mkdir()
        async with terminal:
            url = await endpoint.start()
            try:
                async with NodePeer(node, "electron_tester.cjs", folder, data, modules=node_modules) as peer:
                    await peer.event(lambda e: e["event"] == "started")
                    tester = PayTecTester(peer, conversation)
                    tester.set(protocolSelect=protocol, hostInput="127.0.0.1", portInput=str(url.port))
                    if session:
                        await tester.connect()
                    if session and activate:
                        await tester.activate()
                    yield tester
                    _all_valid(peer.events)
            finally:
                await endpoint.close()

    return started


def _all_valid(events: list[Event]) -> None:
    checked = [event for event in events if event["event"] in {"sent", "received"}]
    assert [event for event in checked if not event["valid"]] == []
    assert [event for event in events if event["event"] in {"refused", "parseError", "binary"}] == []


class TestSession:
    async def test_it_connects_and_shows_who_the_terminal_is(self, start: Start) -> None:
        async with start(activate=False) as tester:
            assert (await tester.message("ConnectResponse"))["TrmID"] == "ZW000001"
            assert (await tester.message("StatusResponse"))["TrmStatus"] == 0
            assert tester.count("sent", "StatusRequest") == 1, "it asks by itself"

    async def test_it_opens_and_closes_the_shift(self, start: Start) -> None:
        async with start() as tester:
            assert await tester.shown("receipt")
            tester.click("activateBtn")
            await tester.message("DeactivationResponse")
            await tester.lights()

            assert tester.count("received", "ErrorNotification") == 0

    async def test_it_activates_by_itself_where_the_shift_is_open(self, start: Start) -> None:
        async with start(virtual="virtual:?speed=0&shift=open", activate=False) as tester:
            assert (await tester.message("ActivationResponse"))["Currencies"] == [756, 978]

    async def test_it_answers_our_heartbeats(self, start: Start) -> None:
        waits = Waits(heartbeat_interval_s=0.1)
        async with start(context=Context(waits=waits), activate=False) as tester:
            await tester.peer.event(lambda e: e["event"] == "heartbeat")
            await tester.conversation.until(lambda seen: seen.count(sent=False)["HeartbeatResponse"] > 2)

            assert tester.conversation.links_closed == []


class TestPayments:
    async def test_an_approval_is_confirmed_and_brings_both_receipts(self, start: Start) -> None:
        async with start() as tester:
            result = await tester.pay("12.50")

            assert "Approved" in result
            assert "Amount, authorized CHF 12.50" in result
            assert "VISA" in result
            assert (await tester.message("TransactionConfirmationRequest", sent=True))["Confirm"] == 1
            await tester.peer.until(lambda: tester.receipts() == [11, 1, 2])

    @pytest.mark.parametrize(
        ("amount", "shown"),
        [("900.05", "Declined"), ("900.51", "Declined"), ("900.01", "Referred"), ("902.02", "Aborted")],
    )
    async def test_a_result_that_is_no_approval_is_shown_as_such(self, start: Start, amount: str, shown: str) -> None:
        async with start() as tester:
            assert shown in await tester.pay(amount)
            assert tester.count("sent", "TransactionConfirmationRequest") == 0

    async def test_a_payment_without_a_card_is_aborted(self, start: Start) -> None:
        async with start(virtual="virtual:?speed=0&card=never") as tester:
            tester.set(amountInput="5.00")
            tester.click("trxBtn")
            await tester.lights("Shift", "Busy")
            tester.click("trxBtn")

            assert "Aborted" in await tester.shown("result")
            await tester.message("AbortTransactionResponse")
            await tester.lights("Shift")
            assert tester.count("received", "TransactionResponse") == 1

    async def test_by_hand_a_lower_final_amount_is_confirmed(self, start: Start) -> None:
        async with start() as tester:
            tester.peer.tell(check={"autoConfirmCheck": False})
            tester.set(amountInput="20.00")
            tester.click("trxBtn")
            await tester.message("TransactionResponse")
            tester.set(confirmAmountInput="15.00")
            tester.click("confirmBtn")

            assert "Approved" in await tester.shown("result")
            assert (await tester.message("TransactionConfirmationRequest", sent=True))["TrxAmt"] == 1500
            await tester.lights("Shift")

    async def test_by_hand_an_approval_is_rolled_back(self, start: Start) -> None:
        async with start() as tester:
            tester.peer.tell(check={"autoConfirmCheck": False})
            tester.set(amountInput="20.00")
            tester.click("trxBtn")
            await tester.message("TransactionResponse")
            tester.click("rollbackBtn")

            assert "Aborted" in await tester.shown("result")
            await tester.lights("Shift")
            tester.click("reportBtn")
            assert (await tester.message("ReportResponse")).get("FinancialReport", []) == []

    async def test_the_latest_payment_is_reversed(self, start: Start) -> None:
        async with start() as tester:
            await tester.pay("12.50")
            paid = (await tester.message("TransactionResponse"))["TrxSeqCnt"]
            result = await tester.pay("", function=32)

            assert "Approved" in result
            assert (await tester.message("TransactionRequest", sent=True))["TrxSeqCntOri"] == paid

    @pytest.mark.parametrize("function", [2048, 16, 64, 256, 512, 1])
    async def test_the_other_functions_that_take_an_amount_are_approved(self, start: Start, function: int) -> None:
        async with start() as tester:
            assert "Approved" in await tester.pay("7.00", function=function)

    async def test_a_vending_authorisation_waits_for_its_confirmation_by_hand(self, start: Start) -> None:
        async with start() as tester:
            tester.peer.tell(check={"autoConfirmCheck": False})
            tester.set(trxFunctionSelect="128", amountInput="50.00")
            tester.click("trxBtn")
            await tester.message("TransactionResponse")
            await tester.lights("Shift")
            tester.set(reportTypeSelect="1001")
            tester.click("reportBtn")
            assert (await tester.message("ReportResponse"))["TrxListReport"][0]["AmtAuth"] == 5000
            tester.set(confirmAmountInput="8.40")
            tester.click("confirmBtn")

            assert "Approved" in await tester.shown("result")
            tester.click("reportBtn")
            assert (await tester.message("ReportResponse")).get("TrxListReport", []) == []


class TestServices:
    async def test_receipts_are_handed_out_again(self, start: Start) -> None:
        async with start() as tester:
            await tester.pay("12.50")
            number = (await tester.message("TransactionResponse"))["TrxSeqCnt"]
            await tester.peer.until(lambda: tester.receipts() == [11, 1, 2])
            tester.set(receiptTypeSelect="2", receiptIdInput=str(number))
            tester.click("receiptBtn")

            assert (await tester.message("ReceiptRequest", sent=True))["ReceiptIDNumeric"] == number
            await tester.peer.until(lambda: tester.receipts() == [11, 1, 2, 2])
            await tester.peer.until(lambda: sum("12.50" in text for text in tester.receipts_shown()) == 3)

    async def test_balance_report_configuration_initialisation_and_batch_capture_work(self, start: Start) -> None:
        async with start() as tester:
            await tester.pay("12.50")
            tester.click("reportBtn")
            report = (await tester.message("ReportResponse"))["FinancialReport"]
            assert [(entry["TrxCount"], entry["TotalAmount"]) for entry in report] == [(1, 1250)]
            for button, answer in (
                ("batchCaptureBtn", "BatchCaptureResponse"),
                ("configBtn", "ConfigurationResponse"),
                ("initBtn", "InitializationResponse"),
                ("balanceBtn", "BalanceResponse"),
            ):
                tester.click(button)
                await tester.message(answer)
                await tester.peer.until(lambda: "Busy" not in tester._last_lights())

            await tester.peer.until(lambda: tester.receipts() == [11, 1, 2, 23, 25, 41, 43, 21])
            assert tester.count("received", "ErrorNotification") == 0

    async def test_nonsense_typed_by_hand_is_refused_and_nothing_breaks(self, start: Start) -> None:
        async with start() as tester:
            tester.set(sendJsonTextarea='{"HeartbeatRequest":{}}')
            tester.click("sendJsonSubmitBtn")
            await tester.message("HeartbeatResponse")
            tester.set(sendJsonTextarea='{"TransactionConfirmationRequest":{"Confirm":1}}')
            tester.click("sendJsonSubmitBtn")

            assert "ECR" in await tester.shown("error")
            assert "Approved" in await tester.pay("3.00")


@pytest.fixture
def tester_that_trusts_us(ecritf: Path, tmp_path: Path) -> tuple[Path, str]:
    """A copy of the tester's folder with our authority in place of PayTec's, and the address to listen on.

    The programs are byte for byte the same; ca-certificates.pem beside main.js is the one file that differs.
    """
    original = ecritf / "examples" / "node" / "kit-json-electron"
    folder = tmp_path / "tester"
    folder.mkdir()
    for name in ("main.js", "preload.js", "renderer.js", "index.html", "package.json"):
        shutil.copy(original / name, folder)
    shutil.copy(ecritf / "ecritf-schema.json", folder)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca-certificates.pem"))
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    return folder, f"kit+wss://127.0.0.1:0?certfile={tmp_path / 'cert.pem'}&keyfile={tmp_path / 'key.pem'}"


class TestWebSocket:
    async def test_it_pays_over_wss_with_an_authority_that_it_trusts(
        self, start: Start, tester_that_trusts_us: tuple[Path, str]
    ) -> None:
        folder, address = tester_that_trusts_us
        async with start(address, folder=folder, protocol="wss") as tester:
            assert "Approved" in await tester.pay("12.50")
            assert "Declined" in await tester.pay("900.51")

    async def test_with_paytecs_own_authorities_it_refuses_our_certificate(
        self, ecritf: Path, start: Start, tester_that_trusts_us: tuple[Path, str]
    ) -> None:
        folder, address = tester_that_trusts_us
        shutil.copy(ecritf / "examples" / "node" / "kit-json-electron" / "ca-certificates.pem", folder)
        async with start(address, folder=folder, protocol="wss", session=False) as tester:
            tester.click("connectBtn")

            assert "certificate" in await tester.shown("error")
            assert tester.conversation.messages == []
