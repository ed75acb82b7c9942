"""The driver's receipts: those that come unasked, and those that are asked for, in parts. I/O."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from zahlwerk.errors import LinkLost, LocalProtocolError, PeerSilent, TerminalBusy, TerminalError
from zahlwerk.interfaces.kit.codes import ReceiptType
from zahlwerk.interfaces.kit.connection import Connection, error_of
from zahlwerk.interfaces.kit.device_conversion import receipt_from_part
from zahlwerk.interfaces.kit.messages import ErrorNotification, ReceiptRequest, ReceiptResponse
from zahlwerk.interfaces.kit.receipts import ReceiptCollector, ReceiptPart
from zahlwerk.payment import Receipt, ReceiptKind
from zahlwerk.timeouts import Operation
from zahlwerk.urls import Context

__all__ = ["ReceiptDesk"]

# 17.00.05 sends receipts unasked (0.2).
UNSOLICITED_SOFTWARE: Final = 170005
# How long receipts may come after the confirmation before the payment is reported without them.
RECEIPTS_S: Final = 3.0


class ReceiptDesk:
    """Collects parts, hands complete receipts to whoever waits for them, and to `on_receipt` if they came unasked."""

    def __init__(
        self, connection: Connection, context: Context, on_receipt: Callable[[ReceiptPart, Receipt], None]
    ) -> None:
        self._connection = connection
        self._context = context
        self._on_receipt = on_receipt
        self._collector = ReceiptCollector()
        self._wanted: tuple[int, asyncio.Future[ReceiptPart]] | None = None
        self._asked: ReceiptRequest | None = None
        self._reader: Callable[[str], None] | None = None
        self._gathered: list[Receipt] = []
        self._complete = asyncio.Event()

    @property
    def software(self) -> int | None:
        """SoftwareVersion of the terminal, where known."""
        connected = self._connection.side.connected
        return connected.software_version if connected is not None else None

    @property
    def sends_unasked(self) -> bool:
        """True if the terminal sends every receipt by itself."""
        return self.software is None or self.software >= UNSOLICITED_SOFTWARE

    # -- what arrives

    def came(self, message: ReceiptResponse) -> None:
        """A part; while more follow, an asked receipt is asked for again, unchanged (4.7)."""
        asked = self._asked if self._asked is not None and self._asked.receipt_type == message.receipt_type else None
        part = self._collector.add(message)
        if part is None:
            if asked is not None:
                with contextlib.suppress(LocalProtocolError):
                    self._connection.send(asked)
            return
        if asked is not None and self._reader is not None:
            reader, self._reader, self._asked = self._reader, None, None
            reader(part.text)
            return
        receipt = receipt_from_part(part)
        self._gather(receipt)
        if self._wanted is not None and self._wanted[0] == part.kind and not self._wanted[1].done():
            self._wanted[1].set_result(part)
            if self.sends_unasked:
                return
        self._on_receipt(part, receipt)

    def refused(self, request: str, error: ErrorNotification) -> bool:
        """An error may be the answer to a receipt that was asked for; True if it was."""
        if request != "ReceiptRequest" or self._wanted is None:
            return False
        if not self._wanted[1].done():
            self._wanted[1].set_exception(error_of(error, request))
        return True

    def lost(self, why: str) -> None:
        """The connection ended: nothing that was begun will be finished."""
        self._collector.clear()
        self._asked = None
        self._reader = None
        self._complete.set()
        if self._wanted is not None and not self._wanted[1].done():
            self._wanted[1].set_exception(LinkLost(f"the connection ended: {why}", request_sent=True))

    # -- for the settlement

    def read_for(self, request: ReceiptRequest, reader: Callable[[str], None]) -> None:
        """The next whole receipt of that type is the answer to `request`, and is read by `reader` alone."""
        self._asked = request
        self._reader = reader

    # -- asking

    async def fetch(self, request: ReceiptRequest) -> ReceiptPart:
        """One whole receipt.

        Raises:
            TerminalBusy: another one is being fetched.
            TerminalRefused, LinkLost, PeerSilent: it did not come.
        """
        if self._wanted is not None or self._reader is not None:
            raise TerminalBusy("another receipt is being fetched")
        await self._connection.wait_up()
        clock = self._context.clock
        future: asyncio.Future[ReceiptPart] = asyncio.get_running_loop().create_future()

        def late() -> None:
            if not future.done():
                future.set_exception(PeerSilent("the terminal did not send the receipt in time"))

        stop = clock.call_at(clock.now_s() + self._context.waits.register_s(Operation.SHORT), late)
        self._wanted = (request.receipt_type, future)
        self._asked = request
        try:
            self._connection.send(request)
            return await future
        finally:
            stop()
            self._wanted = None
            self._asked = None

    async def fetch_if_not_sent(self, number: ReceiptType, of: int | None = None) -> None:
        """Old terminals hand out the receipt of a service only on request. Source: 4.7."""
        if not self.sends_unasked:
            with contextlib.suppress(TerminalError):
                await self.fetch(ReceiptRequest(receipt_type=int(number), receipt_id_numeric=of))

    async def wait_for(self, came: asyncio.Event) -> None:
        """Wait until a receipt came that the terminal sends by itself, for a while."""
        if self.sends_unasked:
            clock = self._context.clock
            stop = clock.call_at(clock.now_s() + RECEIPTS_S, came.set)
            try:
                await came.wait()
            finally:
                stop()

    # -- the receipts of a payment

    def begin_payment(self) -> None:
        """From now on, merchant and customer receipts belong to the payment that runs: collected from here (P-33)."""
        self._gathered = []
        self._complete = asyncio.Event()

    async def finish_payment(self, sequence: int | None) -> tuple[Receipt, ...]:
        """The receipts of the confirmed payment, as far as they come. Money no longer depends on it."""
        if self.sends_unasked:
            await self.wait_for(self._complete)
        else:
            await self.fetch_if_not_sent(ReceiptType.TRANSACTION, sequence)
            await self.fetch_if_not_sent(ReceiptType.TRANSACTION_COPY, sequence)
        return tuple(self._gathered)

    def _gather(self, receipt: Receipt) -> None:
        if receipt.kind in {ReceiptKind.MERCHANT, ReceiptKind.CUSTOMER}:
            self._gathered.append(receipt)
            if receipt.kind is ReceiptKind.CUSTOMER:
                self._complete.set()
