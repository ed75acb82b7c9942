"""PayTec's JavaScript library (`ecritf.js`), unchanged, over a direct WebSocket at our endpoint."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.peers.conversation import Conversation
from tests.peers.cut_line import CutLine
from tests.peers.node_peer import NodePeer

from zahlwerk.timeouts import Waits
from zahlwerk.urls import Context, connect, listen

pytestmark = pytest.mark.peer

PURCHASE = 0x8000
AUTHORIZATION_PURCHASE = 0x80
REVERSAL = 0x20
SHIFT_OPEN = 0x001
# Loopback with nothing behind it: the library always dials the cloud too, and this is where it finds nobody.
NOWHERE = "127.0.0.1:9"


class Library:
    """A register program that uses PayTec's library."""

    def __init__(self, peer: NodePeer, conversation: Conversation, line: CutLine) -> None:
        self.peer = peer
        self.conversation = conversation
        self.line = line
        self._mark = 0

    def call(self, function: str, *arguments: object) -> None:
        """Call the library; what is waited for from now on comes after it."""
        self._mark = len(self.peer.events)
        self.peer.tell(call=function, **{"with": arguments})

    async def event(self, name: str) -> Any:
        """What the library handed to this listener since the last call; None where that is nothing."""
        found = await self.peer.event(lambda e: e.get("event") == name, after=self._mark)
        return next(iter(found["with"]), None)

    async def ask(self, function: str, *arguments: object) -> Any:
        """What a query of the library answers now."""
        mark = len(self.peer.events)
        self.peer.tell(ask=function, **{"with": arguments})
        return (await self.peer.event(lambda e: e.get("to") == function, after=mark))["answer"]

    async def ready(self) -> None:
        """Wait until the terminal can take the next payment."""
        await self.peer.until(lambda: self._last_status() == SHIFT_OPEN)

    def _last_status(self) -> int | None:
        told = [
            event["with"][0]["StatusResponse"]["TrmStatus"]
            for event in self.peer.events
            if event.get("event") == "MessageReceived" and "StatusResponse" in event["with"][0]
        ]
        return told[-1] if told else None

    async def activate(self) -> None:
        """Open the shift."""
        self.call("activate")
        await self.event("ActivationSucceeded")
        await self.ready()

    async def pay(self, amount_minor: int, outcome: str, *, function: int = PURCHASE) -> dict[str, Any]:
        """Start a transaction; what the library hands to the listener of this outcome."""
        self.call("startTransaction", {"TrxFunction": function, "TrxCurrC": 756, "AmtAuth": amount_minor})
        response: dict[str, Any] = await self.event(f"Transaction{outcome}")
        return response

    def count(self, name: str) -> int:
        """How often the library has called this listener."""
        return sum(event.get("event") == name for event in self.peer.events)

    async def receipts(self, *types: int) -> None:
        """Wait until it has handed out receipts of these types, in this order, and no others."""
        await self.peer.until(lambda: self._receipts() == list(types))

    def _receipts(self) -> list[int]:
        return [event["with"][0] for event in self.peer.events if event.get("event") == "Receipt"]


Start = Callable[..., AbstractAsyncContextManager[Library]]


@pytest.fixture
def start(ecritf: Path, node: str, node_modules: Path, tmp_path: Path) -> Start:
    """Starts the library and a virtual terminal behind an endpoint, connected and activated."""
    # Node looks for fast-text-encoding beside the file, and takes it for a module by its ending: hence the copy.
    library = tmp_path / "ecritf.mjs"
    shutil.copyfile(ecritf / "ecritf.js", library)
    (tmp_path / "node_modules").symlink_to(node_modules)

    @asynccontextmanager
    async def started(
        *,
        virtual: str = "virtual:?speed=0&seed=1",
        waits: Waits | None = None,
        activate: bool = True,
        **options: object,
    ) -> AsyncIterator[Library]:
        conversation = Conversation()
        terminal = connect(virtual)
        context = Context(trace=conversation, waits=waits or Waits(), seed=1)
        endpoint = listen("kit+ws://127.0.0.1:0", terminal, context)
        async with terminal:
            url = await endpoint.start()
            assert url.port is not None
            try:
                async with CutLine(url.port) as line:
                    address = {"PeerURL": f"ws://127.0.0.1:{line.port}", "HostName": NOWHERE}
                    settings = json.dumps({**address, **options})
                    async with NodePeer(node, "ecritf_library.mjs", library, settings, modules=node_modules) as peer:
                        await peer.event(lambda e: e.get("event") == "Connected")
                        till = Library(peer, conversation, line)
                        if activate:
                            await till.activate()
                        yield till
            finally:
                await endpoint.close()
        assert conversation.against_schema(ecritf / "ecritf-schema.json", sent=True) == []

    return started


class TestSession:
    async def test_it_connects_and_knows_the_terminal(self, start: Start) -> None:
        async with start() as till:
            assert await till.ask("getTerminalID") == "ZW000001"
            assert await till.ask("getDeviceModelName") == "PayTec Nexgo N6"
            assert await till.ask("supportsUnsolicitedReceipts") is True
            assert await till.ask("canPerformTransactions") is True
            assert await till.ask("getCurrencies") == [756, 978]
            assert PURCHASE in await till.ask("getTransactionFunctions")
            assert len(await till.ask("getAcquirers")) > 1
            await till.receipts(11)

    async def test_an_open_shift_is_activated_by_itself(self, start: Start) -> None:
        async with start(virtual="virtual:?speed=0&shift=open", activate=False) as till:
            await till.event("ActivationSucceeded")

            assert till.count("Error") == 0

    async def test_the_shift_is_closed(self, start: Start) -> None:
        async with start() as till:
            till.call("deactivate")
            await till.event("DeactivationSucceeded")
            await till.peer.until(lambda: till._last_status() == 0)

            await till.receipts(11, 13)

    async def test_its_heartbeats_are_answered(self, start: Start) -> None:
        async with start(activate=False, HeartbeatInterval=150, HeartbeatTimeout=2000) as till:
            await till.conversation.until(lambda seen: seen.count(sent=True)["HeartbeatResponse"] > 2)

            assert till.count("Disconnected") == 0

    async def test_it_answers_our_heartbeats(self, start: Start) -> None:
        async with start(activate=False, waits=Waits(heartbeat_interval_s=0.15)) as till:
            await till.conversation.until(lambda seen: seen.count(sent=False)["HeartbeatResponse"] > 2)

            assert till.conversation.links_closed == []


class TestPayments:
    async def test_an_approval_is_confirmed_by_itself(self, start: Start) -> None:
        async with start() as till:
            approved = await till.pay(1250, "Approved")
            await till.event("TransactionConfirmationSucceeded")
            await till.ready()

            assert approved["AmtAuth"] == 1250
            assert approved["Brand"] == "VISA"
            await till.receipts(11, 1, 2)
            assert till.count("Error") == 0

    async def test_the_confirmation_waits_for_both_receipts_if_wanted(self, start: Start) -> None:
        async with start(AddTrxReceiptsToConfirmation=True) as till:
            await till.pay(1250, "Approved")
            confirmed = await till.event("TransactionConfirmationSucceeded")

            assert [receipt["ReceiptType"] for receipt in confirmed["Receipts"]] == [1, 2]

    @pytest.mark.parametrize(
        ("amount_minor", "outcome", "result"),
        [(90005, "Declined", 1), (90051, "Declined", 1), (90001, "Referred", 2), (90202, "Aborted", 3)],
    )
    async def test_a_result_that_is_no_approval_reaches_its_listener(
        self, start: Start, amount_minor: int, outcome: str, result: int
    ) -> None:
        async with start() as till:
            assert (await till.pay(amount_minor, outcome))["TrxResult"] == result
            await till.ready()

            assert till.count("TransactionApproved") == 0
            assert till.conversation.count(sent=False)["TransactionConfirmationRequest"] == 0

    async def test_it_aborts_a_payment_that_waits_for_a_card(self, start: Start) -> None:
        async with start(virtual="virtual:?speed=0&card=never") as till:
            till.call("startTransaction", {"TrxFunction": PURCHASE, "TrxCurrC": 756, "AmtAuth": 500})
            await till.peer.until(lambda: till._last_status() == 0x005)
            till.call("abortTransaction")

            assert (await till.event("TransactionAborted"))["TrxResult"] == 3
            await till.ready()

    async def test_by_hand_it_confirms_less_than_was_approved(self, start: Start) -> None:
        async with start(AutoConfirm=False) as till:
            await till.pay(2000, "Approved")
            till.call("confirmTransaction", {"TrxAmt": 1500})
            await till.event("TransactionConfirmationSucceeded")
            await till.ready()
            till.call("sendMessage", {"ReportRequest": {"ReportType": 1}})
            report = await till.peer.event(
                lambda e: e.get("event") == "MessageReceived" and "ReportResponse" in e["with"][0]
            )

            entries = report["with"][0]["ReportResponse"]["FinancialReport"]
            assert [entry["TotalAmount"] for entry in entries] == [1500]

    async def test_by_hand_it_rolls_back_and_pays_again(self, start: Start) -> None:
        async with start(AutoConfirm=False) as till:
            await till.pay(2000, "Approved")
            till.call("rollbackTransaction")
            await till.peer.event(
                lambda e: e.get("event") == "MessageReceived" and "TransactionConfirmationResponse" in e["with"][0]
            )
            await till.ready()
            await till.pay(2100, "Approved")
            till.call("confirmTransaction")
            await till.event("TransactionConfirmationSucceeded")

            assert till.count("Error") == 0

    async def test_a_reversal_is_confirmed_like_a_payment(self, start: Start) -> None:
        async with start() as till:
            await till.pay(1250, "Approved")
            await till.event("TransactionConfirmationSucceeded")
            await till.ready()
            till.call("startTransaction", {"TrxFunction": REVERSAL})
            await till.event("TransactionApproved")
            await till.event("TransactionConfirmationSucceeded")

    async def test_two_vending_authorisations_are_settled_one_by_one(self, start: Start) -> None:
        async with start() as till:
            first = await till.pay(5000, "Approved", function=AUTHORIZATION_PURCHASE)
            await till.ready()
            second = await till.pay(3000, "Approved", function=AUTHORIZATION_PURCHASE)
            await till.ready()
            till.call("confirmTransaction", {"TrxSeqCnt": first["TrxSeqCnt"], "TrxAmt": 840})
            await till.event("TransactionConfirmationSucceeded")
            till.call("rollbackTransaction", {"TrxSeqCnt": second["TrxSeqCnt"]})
            await till.conversation.until(lambda seen: seen.count(sent=True)["TransactionConfirmationResponse"] == 2)

            assert till.count("Error") == 0

    async def test_a_payment_on_a_closed_shift_is_an_error_and_ends_there(self, start: Start) -> None:
        async with start(activate=False) as till:
            till.call("startTransaction", {"TrxFunction": PURCHASE, "TrxCurrC": 756, "AmtAuth": 500})
            assert await till.event("Error")
            await till.activate()

            assert (await till.pay(500, "Approved"))["TrxResult"] == 0


class TestServices:
    @pytest.mark.parametrize(
        ("function", "outcome"),
        [("balance", "Balance"), ("configure", "Configuration"), ("initialize", "Initialization")],
    )
    async def test_a_long_use_case_succeeds(self, start: Start, function: str, outcome: str) -> None:
        async with start() as till:
            await till.pay(1250, "Approved")
            await till.event("TransactionConfirmationSucceeded")
            await till.ready()
            await till.receipts(11, 1, 2)
            till.call(function, *([-1] if function == "initialize" else []))
            await till.event(f"{outcome}Succeeded")

            await till.receipts(11, 1, 2, {"balance": 21, "configure": 41, "initialize": 43}[function])

    async def test_a_barcode_is_scanned(self, start: Start) -> None:
        async with start() as till:
            till.call("deviceCommand", {"DeviceCommandCode": 2601, "Timeout": 5000})

            assert (await till.event("DeviceCommandSucceeded"))["ScannedData"]

    async def test_a_receipt_is_handed_out_again(self, start: Start) -> None:
        async with start() as till:
            approved = await till.pay(1250, "Approved")
            await till.event("TransactionConfirmationSucceeded")
            await till.receipts(11, 1, 2)
            till.call("requestReceipt", {"ReceiptType": 2, "ReceiptID": str(approved["TrxSeqCnt"])})

            await till.receipts(11, 1, 2, 2)

    async def test_a_receipt_without_a_number_is_the_latest(self, start: Start) -> None:
        async with start() as till:
            await till.pay(1250, "Approved")
            await till.event("TransactionConfirmationSucceeded")
            await till.receipts(11, 1, 2)
            # Becomes "ReceiptIDNumeric":null on the line, as from registers of old terminals (P-11).
            till.call("requestReceipt", {"ReceiptType": 1, "ReceiptID": ""})

            await till.receipts(11, 1, 2, 1)


class TestLostConnections:
    async def test_it_comes_back_by_itself_and_goes_on_paying(self, start: Start) -> None:
        async with start() as till:
            await till.pay(1250, "Approved")
            await till.event("TransactionConfirmationSucceeded")
            await till.ready()
            till.call("getStatus")
            till.line.cut()
            await till.event("Disconnected")
            # Its own three seconds.
            await till.event("Connected")
            await till.pay(700, "Approved")
            await till.event("TransactionConfirmationSucceeded")

            assert till.conversation.links == 2

    async def test_an_approval_that_nobody_decided_about_is_told_again(self, start: Start) -> None:
        async with start(AutoConfirm=False) as till:
            await till.pay(2000, "Approved")
            till.call("getStatus")
            till.line.cut()
            await till.event("Connected")
            again = await till.peer.event(
                lambda e: e.get("event") == "MessageReceived" and "TransactionResponse" in e["with"][0],
                after=till._mark,
            )
            till.call("confirmTransaction", {"TrxSeqCnt": again["with"][0]["TransactionResponse"]["TrxSeqCnt"]})

            await till.event("TransactionConfirmationSucceeded")

    async def test_it_says_goodbye_and_connects_again(self, start: Start) -> None:
        async with start(AutoReconnect=False) as till:
            till.call("disconnect")
            await till.event("Disconnected")
            # The late end of the old socket would end a new one: the library does not tell them apart.
            await till.peer.until_said("WebSocket close event")
            till.call("connect")
            await till.event("Connected")

            assert (await till.pay(500, "Approved"))["TrxResult"] == 0
