"""`KitTerminal`: the `Terminal` port over KIT. Moves words and time; what to do next is the settlement's. I/O."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import replace
from typing import Final

from zahlwerk.currency import CURRENCIES
from zahlwerk.errors import (
    InvalidRequest,
    LocalProtocolError,
    MoneyMoved,
    NotSupported,
    TerminalBusy,
    TerminalError,
    TerminalRefused,
)
from zahlwerk.events import (
    DisplayShown,
    LinkChanged,
    Notice,
    Printer,
    Progress,
    ProgressChanged,
    ReaderChanged,
    ReceiptPrinted,
    ShiftChanged,
    StatusChanged,
    TerminalStatus,
)
from zahlwerk.interfaces.kit import device_conversion as device
from zahlwerk.interfaces.kit import report_conversion
from zahlwerk.interfaces.kit.attempts import (
    Attempt,
)
from zahlwerk.interfaces.kit.codes import (
    BatchCaptureFlags,
    DeviceCommandCode,
    ReceiptFlags,
    ReceiptType,
    ReportFlags,
    ReportType,
    TrmStatus,
)
from zahlwerk.interfaces.kit.connection import Connection
from zahlwerk.interfaces.kit.conversion import kinds_of
from zahlwerk.interfaces.kit.messages import (
    ActivationRequest,
    ActivationResponse,
    BalanceRequest,
    BalanceResponse,
    BatchCaptureRequest,
    BatchCaptureResponse,
    CancelUIRequest,
    ConfigurationRequest,
    ConfigurationResponse,
    ConfirmationTimeExtensionRequest,
    ConfirmationTimeExtensionResponse,
    DeactivationRequest,
    DeactivationResponse,
    DeviceCommandRequest,
    DeviceCommandResponse,
    DialogResponse,
    DisplayNotification,
    ErrorNotification,
    InitializationRequest,
    InitializationResponse,
    LockEFTOperationsRequest,
    LockEFTOperationsResponse,
    Message,
    PrintReceiptResponse,
    ReceiptRequest,
    ReceiptResponse,
    ReportRequest,
    ReportResponse,
    RFIDStatusNotification,
    SetTerminalLanguageRequest,
    SetTerminalLanguageResponse,
    StatusRequest,
    StatusResponse,
    TransactionDataChangeRequest,
    TransactionDataChangeResponse,
    TransactionResponse,
    UnlockEFTOperationsRequest,
    UnlockEFTOperationsResponse,
)
from zahlwerk.interfaces.kit.payments import Payments
from zahlwerk.interfaces.kit.receipt_desk import ReceiptDesk
from zahlwerk.interfaces.kit.receipts import ReceiptPart
from zahlwerk.interfaces.kit.settlement import (
    Phase,
)
from zahlwerk.money import Money
from zahlwerk.payment import Payment, PaymentKind, PaymentRequest, Receipt, ReceiptKind
from zahlwerk.terminal import (
    CONFIRM_ALL,
    Answer,
    Capabilities,
    Dialog,
    Evidence,
    Feature,
    HoldId,
    Maintenance,
    OpenEntry,
    Period,
    ShiftInfo,
    Terminal,
    TerminalInfo,
    Totals,
    Witness,
)
from zahlwerk.urls import Context

__all__ = ["KitTerminal"]

# LIMIT: payments whose outcome `lookup` can still tell without evidence; a day of a busy till.
ATTEMPTS_MAX: Final = 1_000
# P-40: before the next request wait for a status without BUSY, at most 2 s.
BUSY_S: Final = 2.0
# LIMIT: pages of one report.
REPORT_PAGES_MAX: Final = 100

_FEATURES: Final = frozenset({
    Feature.TWO_PHASE, Feature.PARTIAL_CAPTURE, Feature.ABORT, Feature.LOOKUP, Feature.PARTIAL_APPROVAL, Feature.SHIFT,
    Feature.END_OF_DAY, Feature.TOTALS, Feature.RECEIPTS, Feature.RECEIPT_COPY, Feature.PRINT, Feature.PRINT_IMAGE,
    Feature.DISPLAY, Feature.ASK, Feature.SCAN, Feature.LOCK, Feature.LANGUAGE, Feature.MAINTENANCE, Feature.TOKEN,
    Feature.DCC, Feature.DATA_CHANGE,
})  # fmt: skip
_PROGRESS: Final = (
    (int(TrmStatus.ONLINE_PROCESSING), Progress.ONLINE),
    (int(TrmStatus.WAITING_FOR_APPLICATION_SELECTION), Progress.CHOOSING),
    (int(TrmStatus.CARD_DATA_AVAILABLE), Progress.CARD_READ),
    (int(TrmStatus.BUSY), Progress.WAITING_FOR_CARD),
)
_CODES: Final = {currency.number: currency.code for currency in CURRENCIES.values()}


class KitTerminal(Terminal):
    """A terminal that speaks KIT, over any link."""

    def __init__(self, connection: Connection, context: Context, *, interface: str, is_test: bool = False) -> None:
        super().__init__()
        self._connection = connection
        self._context = context
        self._interface = interface
        self._is_test = is_test
        self._side = connection.side
        self._status = TerminalStatus()
        self._desk = ReceiptDesk(connection, context, self._on_receipt)
        self._payments = Payments(connection, self._desk, context, on_progress=self._on_progress)
        self._carrier = self._payments.carrier
        self._use_case = ""
        self._opening = False
        self._told_progress: ProgressChanged | None = None
        self._free = asyncio.Event()
        self._orphan: TransactionResponse | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        connection.on_message = self._on_message
        connection.on_error = self._on_error
        connection.on_up = self._on_up
        connection.on_down = self._on_down

    # -- the connection

    async def open(self) -> None:
        self._opening = True
        try:
            await self._connection.open()
        finally:
            self._opening = False
        if self._side.status is not None and self._may_fetch(self._side.status.trm_status):
            await self._fetch_configuration()

    async def close(self) -> None:
        await self._connection.close()
        for task in tuple(self._tasks):
            task.cancel()
        self._carrier.give_up("the driver was closed")
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._hub.close()

    # -- what it is and does

    @property
    def capabilities(self) -> Capabilities:
        activated = self._side.activated
        features = set(_FEATURES)
        functions = (activated.trx_functions if activated is not None else None) or 0
        kinds = kinds_of(functions)
        if PaymentKind.AUTHORISATION in kinds:
            features |= {Feature.HOLD, Feature.OPEN_ENTRIES}
        if functions & 0x2000:
            features.add(Feature.TIP_AT_TERMINAL)
        if self._desk.sends_unasked:
            features.add(Feature.UNSOLICITED_RECEIPTS)
        if self._status.e_signature:
            features.add(Feature.E_SIGNATURE)
        numbers = (activated.currencies if activated is not None else None) or ()
        return Capabilities(
            kinds=kinds,
            features=frozenset(features),
            currencies=tuple(code for number in numbers if (code := _CODES.get(number))),
            brands=(activated.brands if activated is not None else None) or (),
            languages=("de", "en", "fr", "it"),
        )

    async def info(self) -> TerminalInfo:
        await self._connection.wait_up()
        info = device.info_from_wire(
            self._side.connected, self._side.activated, interface=self._interface, sequence=self._side.trx_seq_cnt
        )
        return replace(info, is_test=self._is_test)

    async def status(self) -> TerminalStatus:
        return await self._ask_status()

    # -- payments

    async def transact(self, request: PaymentRequest, *, witness: Witness = CONFIRM_ALL) -> Payment:
        async def get_ready() -> None:
            await self._get_ready(request)

        with self._exclusive(f"a {request.kind.value}"):
            return await self._payments.transact(request, witness, get_ready=get_ready)

    async def settle(self, hold: HoldId, amount: Money | None) -> Payment:
        return await self._payments.settle(hold, amount)

    async def extend(self, seconds: int, text: str = "") -> None:
        await self._connection.call(
            ConfirmationTimeExtensionRequest(seconds=seconds, cardholder_text=text or None),
            ConfirmationTimeExtensionResponse,
        )

    async def abort(self, *, silent: bool = False) -> None:
        self._payments.abort(silent=silent)

    async def lookup(
        self, reference: str = "", *, sequence: int | None = None, evidence: Evidence | None = None
    ) -> Payment:
        attempt = self._payments.find(reference, sequence, evidence)
        if attempt.payment is not None and not attempt.is_open:
            return attempt.payment
        with self._exclusive("a lookup"):
            await self._connection.wait_up()
            return await self._payments.resume(attempt)

    async def open_entries(self) -> tuple[OpenEntry, ...]:
        reports = await self._report(ReportType.OPEN_PETROL_AUTHORIZATIONS)
        return tuple(entry for report in reports for entry in report_conversion.entries_from_report(report))

    # -- shift and figures

    async def open_shift(self, *, attendant: str = "", attendant_number: int | None = None) -> ShiftInfo:
        with self._exclusive("opening the shift"):
            await self._wait_free()
            answer = await self._connection.call(
                ActivationRequest(attendant_name=attendant or None, attendant_number=attendant_number),
                ActivationResponse,
            )
            await self._ask_status()  # it may follow the answer (P-40)
            return ShiftInfo(True, answer.act_seq_cnt, answer.pe_seq_cnt)

    async def close_shift(self) -> ShiftInfo:
        with self._exclusive("closing the shift"):
            await self._wait_free()
            await self._connection.call(DeactivationRequest(), DeactivationResponse)
            await self._ask_status()
            activated = self._side.activated
            await self._desk.fetch_if_not_sent(ReceiptType.DEACTIVATION)
            return ShiftInfo(
                False,
                activated.act_seq_cnt if activated is not None else None,
                activated.pe_seq_cnt if activated is not None else None,
            )

    async def totals(self, period: Period = Period.SHIFT) -> Totals:
        number = ReportType.SHIFT_SUM if period is Period.SHIFT else ReportType.ACCOUNTING_PERIOD_SUM
        return report_conversion.totals_from_reports(await self._report(number), period)

    async def end_of_day(self) -> Totals:
        with self._exclusive("the end of day"):
            await self._wait_free()
            printed = asyncio.Event()
            totals = Totals(Period.ACCOUNTING_PERIOD)
            with contextlib.suppress(TerminalRefused):  # before the balance, or never (4.8)
                totals = await self.totals(Period.ACCOUNTING_PERIOD)
            receipts: list[str] = []

            def keep(event: object) -> None:
                if isinstance(event, ReceiptPrinted) and event.receipt.kind is ReceiptKind.END_OF_DAY:
                    receipts.append(event.receipt.text)
                    printed.set()

            stop = self.listen(keep)
            try:
                await self._connection.call(BalanceRequest(), BalanceResponse)
                await self._desk.fetch_if_not_sent(ReceiptType.FINAL_BALANCE)
                await self._ask_status()
                await self._desk.wait_for(printed)
            finally:
                stop()
            return Totals(totals.period, totals.totals, receipts[0] if receipts else "")

    async def receipt(self, kind: ReceiptKind = ReceiptKind.MERCHANT, *, number: int | None = None) -> Receipt:
        wanted = device.receipt_type(kind)
        if wanted is None:
            raise NotSupported(f"repeat a receipt of kind {kind.value}", self._interface)
        part = await self._desk.fetch(ReceiptRequest(receipt_type=wanted, receipt_id_numeric=number))
        return device.receipt_from_part(part, sequence=number)

    # -- the device

    async def print(self, text: str = "", *, image_png: bytes = b"", double_height: bool = False,
                    double_width: bool = False, inverse: bool = False, more: bool = False) -> Printer:  # fmt: skip
        flags = (
            (ReceiptFlags.DOUBLE_HEIGHT if double_height else 0)
            | (ReceiptFlags.DOUBLE_WIDTH if double_width else 0)
            | (ReceiptFlags.INVERSE if inverse else 0)
        )
        printer = Printer.FINE
        for message in device.print_requests(text, image_png, int(flags), more=more):
            answer = await self._connection.call(message, PrintReceiptResponse)
            printer = device.printer_from_wire(answer.printer_status)
            if printer:
                break
        return printer

    async def ask(self, dialog: Dialog) -> Answer:
        with self._exclusive("a dialog"):
            answer = await self._connection.call(
                device.dialog_to_wire(dialog), DialogResponse, wait_s=dialog.timeout_s + self._context.waits.margin_s
            )
            return device.answer_from_wire(answer)

    async def cancel_ask(self) -> None:
        await self._connection.wait_up()
        self._connection.send(CancelUIRequest())

    async def scan(self, *, title: str = "", text: str = "", timeout_s: float = 60.0) -> str:
        request = DeviceCommandRequest(
            device_command_code=int(DeviceCommandCode.SCAN_BARCODE),
            timeout=round(timeout_s * 1000),
            title=title or None,
            text=text or None,
        )
        with self._exclusive("a scan"):
            # The library's 30 s are shorter than the scan's own time (4.8).
            answer = await self._connection.call(request, DeviceCommandResponse, wait_s=timeout_s + 5)
            return answer.scanned_data or ""

    async def maintain(self, work: Maintenance, *, acquirer_id: int | None = None, text: str = "") -> None:
        if work is Maintenance.ABORT_SCAN:
            await self._connection.wait_up()
            code = int(DeviceCommandCode.ABORT_BARCODE_SCANNING)
            self._connection.send(DeviceCommandRequest(device_command_code=code))
            return
        with self._exclusive(work.value):
            await self._wait_free()
            await self._maintain(work, acquirer_id, text)

    async def _maintain(self, work: Maintenance, acquirer_id: int | None, text: str) -> None:
        call = self._connection.call
        match work:
            case Maintenance.CONFIGURE:
                await call(ConfigurationRequest(), ConfigurationResponse)
                await self._desk.fetch_if_not_sent(ReceiptType.CONFIGURATION)
                await self._reconfigure()
            case Maintenance.INITIALISE:
                await call(InitializationRequest(acq_id=acquirer_id), InitializationResponse)
                await self._desk.fetch_if_not_sent(ReceiptType.INITIALIZATION, acquirer_id)
                await self._reconfigure()
            case Maintenance.SUBMIT:  # P-34: bit 0x01 always
                flags = BatchCaptureFlags.MANUAL | BatchCaptureFlags.NO_TRANSMISSION
                await call(BatchCaptureRequest(batch_capture_flags=int(flags)), BatchCaptureResponse)
            case Maintenance.TRANSMIT:
                flags = BatchCaptureFlags.MANUAL | BatchCaptureFlags.NO_SUBMISSION
                await call(BatchCaptureRequest(batch_capture_flags=int(flags)), BatchCaptureResponse)
            case _:
                code = int(device.COMMAND_OF_WORK[work])
                extra = text if work is Maintenance.DISCONNECTED_TEXT else None
                await call(DeviceCommandRequest(device_command_code=code, cardholder_text=extra), DeviceCommandResponse)

    async def lock(self) -> None:
        await self._connection.call(LockEFTOperationsRequest(), LockEFTOperationsResponse)

    async def unlock(self) -> None:
        await self._connection.call(UnlockEFTOperationsRequest(), UnlockEFTOperationsResponse)

    async def set_language(self, language: str) -> None:
        await self._connection.call(SetTerminalLanguageRequest(trm_lng=language), SetTerminalLanguageResponse)

    async def _ask_status(self) -> TerminalStatus:
        await self._connection.call(StatusRequest(), StatusResponse)
        return self._status

    # -- one use case at a time

    @contextlib.contextmanager
    def _exclusive(self, what: str) -> Iterator[None]:
        if self._use_case:
            raise TerminalBusy(f"the terminal is busy with {self._use_case}")
        self._use_case = what
        try:
            yield
        finally:
            self._use_case = ""

    async def _get_ready(self, request: PaymentRequest) -> None:
        """Everything that must hold before a payment may start; nothing is sent that moves money."""
        await self._connection.wait_up()
        status = await self._wait_free(card_first=True)
        if not status.shift_open:
            status = await self._ask_status()
        if not status.shift_open:
            raise TerminalRefused(
                "the shift is closed", money_moved=MoneyMoved.NO, remedy="open the shift, then try again"
            )
        if self._side.activated is None:
            await self._fetch_configuration()
        capabilities = self.capabilities
        if capabilities.kinds and request.kind not in capabilities.kinds:
            raise NotSupported(f"do a {request.kind.value}", self._interface, why="the terminal's contract lacks it")
        total = request.total
        if total is not None and capabilities.currencies and total.currency.code not in capabilities.currencies:
            raise InvalidRequest(f"the terminal takes {', '.join(capabilities.currencies)}, not {total.currency.code}")

    async def _wait_free(self, *, card_first: bool = False) -> TerminalStatus:
        """The status, once the terminal is free (P-40).

        Raises:
            TerminalBusy: it is not.
        """
        await self._connection.wait_up()
        if self._is_free(self._status, card_first=card_first):
            return self._status
        self._free.clear()
        stop = self._context.clock.call_at(self._now_s() + BUSY_S, self._free.set)
        try:
            await self._free.wait()
        finally:
            stop()
        if not self._is_free(self._status, card_first=card_first):
            await self._connection.call(StatusRequest(), StatusResponse)
        if not self._is_free(self._status, card_first=card_first):
            why = "locked" if self._status.locked else "busy"
            raise TerminalBusy(f"the terminal is {why}", remedy="see what its display shows; abort it there or wait")
        return self._status

    @staticmethod
    def _is_free(status: TerminalStatus, *, card_first: bool) -> bool:
        if status.locked:
            return False
        return not status.busy or (card_first and status.card_read and status.wants_request)

    async def _report(self, number: ReportType) -> list[ReportResponse]:
        reports = []
        for _ in range(REPORT_PAGES_MAX):
            answer = await self._connection.call(ReportRequest(report_type=int(number)), ReportResponse)
            reports.append(answer)
            if not (answer.report_flags or 0) & ReportFlags.MORE_ENTRIES:
                break
        return reports

    # -- what arrives

    def _on_message(self, message: Message) -> None:
        match message:
            case StatusResponse():
                self._status_came(message)
                return
            case ReceiptResponse():
                self._desk.came(message)
            case DisplayNotification():
                self._hub.emit(DisplayShown(message.cardholder_text or "", message.cardholder_resource))
            case RFIDStatusNotification() if message.rfid_status is not None:
                self._hub.emit(ReaderChanged(device.reader_from_wire(message.rfid_status)))
            case TransactionDataChangeRequest():
                self._spawn(self._change_amount(message))
            case TransactionResponse() if self._carrier.payment is None:
                self._payments.answered_late(message)
            case _:
                pass
        self._carrier.received(message)

    def _status_came(self, message: StatusResponse) -> None:
        before = self._status
        self._status = device.status_from_wire(message, before)
        if not self._status.busy:
            self._free.set()
        if before != self._status:
            self._hub.emit(StatusChanged(self._status))
        if before.shift_open != self._status.shift_open:
            self._hub.emit(ShiftChanged(self._status.shift_open))
        self._tell_progress(message.trm_status)
        self._carrier.status(message.trm_status)

    def _tell_progress(self, status: int) -> None:
        running = self._carrier.payment
        if running is None or running.settlement.phase is not Phase.RUNNING:
            return
        for flag, progress in _PROGRESS:
            if status & flag:
                self._on_progress(running.attempt, progress)
                return

    def _on_receipt(self, part: ReceiptPart, receipt: Receipt) -> None:
        self._hub.emit(ReceiptPrinted(receipt))
        if part.kind in {ReceiptType.CONFIGURATION, ReceiptType.INITIALIZATION} and not self._use_case:
            self._spawn(self._reconfigure())  # 4.5: a scheduled task has changed the lists

    def _on_progress(self, attempt: Attempt, progress: Progress) -> None:
        told = ProgressChanged(attempt.request.reference, progress)
        if told != self._told_progress:
            self._told_progress = told
            self._hub.emit(told)

    def _on_error(self, request: str, error: ErrorNotification) -> None:
        if not self._desk.refused(request, error) and not self._carrier.error(request, error):
            self._hub.emit(Notice(error.error_description or "", error.error_code, error.error_source or ""))

    def _on_up(self, status: StatusResponse) -> None:
        self._hub.emit(LinkChanged(connected=True))
        self._carrier.link_up(status.trm_status)
        if self._may_fetch(status.trm_status) and not self._use_case and not self._opening:
            self._spawn(self._reconfigure())

    def _on_down(self, why: str) -> None:
        self._free.set()
        self._desk.lost(why)
        self._carrier.link_down()
        self._hub.emit(LinkChanged(connected=False, why=why))

    async def _change_amount(self, message: TransactionDataChangeRequest) -> None:
        """The card gives a discount: the witness names the new amount; without one it stays (4.6)."""
        running = self._carrier.payment
        amount = running.attempt.request.total if running is not None else None
        reasons: tuple[Mapping[str, int], ...] = tuple(
            {name: value for name, value in reason.wire_items() if isinstance(value, int)}
            for reason in message.set_trx_data_change_reason or ()
        )
        if running is not None and amount is not None:
            amount = await running.witness.amount_for(amount, reasons)
        with contextlib.suppress(LocalProtocolError):
            self._connection.send(TransactionDataChangeResponse(amt_auth=amount.amount if amount is not None else None))

    # -- the configuration

    @staticmethod
    def _may_fetch(status: int) -> bool:
        return bool(status & TrmStatus.SHIFT_OPEN) and not status & (TrmStatus.BUSY | TrmStatus.LOCKED)

    async def _fetch_configuration(self) -> None:
        """Functions, currencies, brands and the counter; on an open shift this opens nothing (4.5, P-31)."""
        await self._connection.call(ActivationRequest(), ActivationResponse)

    async def _reconfigure(self) -> None:
        """Functions, currencies and brands change with a configuration (4.5)."""
        if self._status.shift_open:
            with contextlib.suppress(TerminalError):
                await self._fetch_configuration()

    # -- small things

    def _now_s(self) -> float:
        return self._context.clock.now_s()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
