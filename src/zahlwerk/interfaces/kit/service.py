"""Everything a KIT register asks a terminal besides payments, carried out on the `Terminal` port. I/O."""

from __future__ import annotations

import base64
from typing import Final

from zahlwerk.errors import InvalidRequest, NotSupported, PaymentNotFound, TerminalRefused
from zahlwerk.interfaces.kit import device_conversion as device
from zahlwerk.interfaces.kit import report_conversion as reports
from zahlwerk.interfaces.kit.codes import (
    BatchCaptureFlags,
    DeviceCommandCode,
    OurErrorCode,
    PrinterStatus,
    ReceiptFlags,
    ReportType,
)
from zahlwerk.interfaces.kit.messages import (
    ActivationRequest,
    BalanceRequest,
    BalanceResponse,
    BatchCaptureRequest,
    BatchCaptureResponse,
    ConfigurationRequest,
    ConfigurationResponse,
    ConnectRequest,
    DeactivationRequest,
    DeactivationResponse,
    DeviceCommandRequest,
    DeviceCommandResponse,
    DialogRequest,
    InitializationRequest,
    InitializationResponse,
    LockEFTOperationsRequest,
    LockEFTOperationsResponse,
    Message,
    PrintReceiptRequest,
    PrintReceiptResponse,
    ReceiptRequest,
    ReceiptResponse,
    ReportRequest,
    SetTerminalLanguageRequest,
    SetTerminalLanguageResponse,
    UnlockEFTOperationsRequest,
    UnlockEFTOperationsResponse,
    name_of,
)
from zahlwerk.interfaces.kit.receipts import split_receipt
from zahlwerk.interfaces.kit.terminal import LANGUAGES, TerminalSide
from zahlwerk.payment import Receipt
from zahlwerk.terminal import Feature, Maintenance, Period, Terminal

__all__ = ["USE_CASES", "Service", "is_use_case"]

USE_CASES: Final = frozenset({
    "ActivationRequest", "DeactivationRequest", "BatchCaptureRequest", "BalanceRequest", "ConfigurationRequest",
    "InitializationRequest", "DialogRequest", "DeviceCommandRequest",
})  # fmt: skip
"""Requests that keep the terminal busy: one at a time, and none beside a payment. Source: 4.2, 4.8."""

_AT_ONCE: Final = frozenset({
    DeviceCommandCode.EJECT_CARD, DeviceCommandCode.FORCE_EJECT_CARD, DeviceCommandCode.LANGUAGE_DIALOG_ON,
    DeviceCommandCode.LANGUAGE_DIALOG_OFF, DeviceCommandCode.SHOW_IDLE, DeviceCommandCode.SHOW_PRESENT_CARD,
    DeviceCommandCode.SET_DISCONNECTED_TEXT, DeviceCommandCode.ABORT_BARCODE_SCANNING,
})  # fmt: skip


def is_use_case(message: Message) -> bool:
    """Whether a request keeps the terminal busy; the end of a scan must get through while one runs (2.11)."""
    if isinstance(message, DeviceCommandRequest):
        return message.device_command_code not in _AT_ONCE
    return name_of(message) in USE_CASES


class Service:
    """Serves one register's requests; raises what the port raises."""

    def __init__(self, terminal: Terminal, side: TerminalSide) -> None:
        self._terminal = terminal
        self._side = side
        self._cursors: dict[int, tuple[int | None, list[ReceiptResponse]]] = {}
        """By type: the number asked for, and the parts still to come."""

    def connected(self, _request: ConnectRequest) -> None:
        """A register has introduced itself: what was half told to another is forgotten."""
        self._cursors.clear()

    def parts_of(self, receipt: Receipt) -> list[ReceiptResponse]:
        """A receipt as messages; none for a kind that KIT does not know."""
        kind = device.receipt_type(receipt.kind)
        if kind is None:
            return []
        if receipt.image_png:
            image = base64.b64encode(receipt.image_png).decode()
            flags = int(ReceiptFlags.FIRST_PART | ReceiptFlags.PNG)
            return [ReceiptResponse(receipt_type=kind, receipt_flags=flags, receipt_text=image)]
        return split_receipt(receipt.text, kind)

    async def serve(self, message: Message) -> None:
        """Carry a request out and answer it.

        Raises:
            TerminalError: as the terminal said; the endpoint answers with an ErrorNotification.
        """
        answer: Message | None
        match message:
            case ActivationRequest():
                answer = await self._activate(message)
            case DeactivationRequest():
                if self._has_shifts:
                    await self._terminal.close_shift()
                answer = DeactivationResponse()
            case BatchCaptureRequest():
                answer = await self._capture_batch(message.batch_capture_flags or 0)
            case BalanceRequest():
                await self._terminal.end_of_day()
                answer = BalanceResponse()
            case ConfigurationRequest():
                await self._terminal.maintain(Maintenance.CONFIGURE)
                answer = ConfigurationResponse()
            case InitializationRequest():
                # P-16: -1 means all acquirers, like absent.
                acquirer = message.acq_id if message.acq_id is not None and message.acq_id >= 0 else None
                await self._terminal.maintain(Maintenance.INITIALISE, acquirer_id=acquirer)
                answer = InitializationResponse()
            case ReceiptRequest():
                answer = await self._receipt(message)
            case ReportRequest():
                answer = await self._report(message)
            case _:
                answer = await self._serve_device(message)
        self._side.answer(answer)

    async def _serve_device(self, message: Message) -> Message:
        match message:
            case LockEFTOperationsRequest():
                await self._terminal.lock()
                return LockEFTOperationsResponse()
            case UnlockEFTOperationsRequest():
                await self._terminal.unlock()
                return UnlockEFTOperationsResponse()
            case SetTerminalLanguageRequest():
                if message.trm_lng not in LANGUAGES:
                    raise InvalidRequest(f"TrmLng is one of {', '.join(sorted(LANGUAGES))}")
                await self._terminal.set_language(message.trm_lng)
                return SetTerminalLanguageResponse()
            case DialogRequest():
                return device.answer_to_wire(await self._terminal.ask(device.dialog_from_wire(message)))
            case PrintReceiptRequest():
                return await self._print(message)
            case DeviceCommandRequest():
                return await self._command(message)
            case _:
                raise NotSupported(f"serve {name_of(message)}", "this terminal")

    @property
    def _has_shifts(self) -> bool:
        """A terminal that knows no shifts is always open: registers of KIT ask for one all the same."""
        return Feature.SHIFT in self._terminal.capabilities

    async def _activate(self, message: ActivationRequest) -> Message:
        if self._has_shifts:
            await self._terminal.open_shift(
                attendant=message.attendant_name or "", attendant_number=message.attendant_number
            )
        status = await self._terminal.status()
        return device.activation_from_terminal(
            await self._terminal.info(), self._terminal.capabilities, language=status.language
        )

    async def _capture_batch(self, flags: int) -> Message:
        if not flags & BatchCaptureFlags.NO_SUBMISSION:
            await self._terminal.maintain(Maintenance.SUBMIT)
        if not flags & BatchCaptureFlags.NO_TRANSMISSION:
            await self._terminal.maintain(Maintenance.TRANSMIT)
        return BatchCaptureResponse()

    async def _receipt(self, message: ReceiptRequest) -> Message:
        """One part for each request, the next one when asked again. Source: 4.7."""
        number, waiting = self._cursors.pop(message.receipt_type, (None, []))
        wanted = message.receipt_id_numeric
        # The library repeats the request without its number, the tester unchanged; another number is another receipt.
        if not waiting or wanted not in {None, number}:
            number = wanted
            kind = device.RECEIPT_KINDS.get(message.receipt_type)
            if kind is None:
                raise NotSupported(f"hand out receipts of type {message.receipt_type}", "this terminal")
            try:
                receipt = await self._terminal.receipt(kind, number=wanted)
            except PaymentNotFound as exc:
                raise TerminalRefused(str(exc), code=int(OurErrorCode.NOTHING_TO_CONFIRM)) from exc
            waiting = self.parts_of(receipt)
        if len(waiting) > 1:
            self._cursors[message.receipt_type] = (number, waiting[1:])
        return waiting[0]

    async def _report(self, message: ReportRequest) -> Message:
        number = message.report_type or int(ReportType.SHIFT_SUM)
        if number == ReportType.OPEN_PETROL_AUTHORIZATIONS:
            return reports.report_from_entries(await self._terminal.open_entries())
        periods = {
            int(ReportType.SHIFT_SUM): Period.SHIFT,
            int(ReportType.ACCOUNTING_PERIOD_SUM): Period.ACCOUNTING_PERIOD,
        }
        if number not in periods:
            raise NotSupported(f"make a report of type {number}", "this terminal")
        return reports.report_from_totals(await self._terminal.totals(periods[number]), report_type=number)

    async def _print(self, message: PrintReceiptRequest) -> Message:
        flags = message.receipt_flags or 0
        image, text = b"", message.receipt_text
        if flags & ReceiptFlags.PNG:
            try:
                image, text = base64.b64decode(text, validate=True), ""
            except ValueError:
                return PrintReceiptResponse(printer_status=int(PrinterStatus.OTHER_ERROR))
        printer = await self._terminal.print(
            text,
            image_png=image,
            double_height=bool(flags & ReceiptFlags.DOUBLE_HEIGHT),
            double_width=bool(flags & ReceiptFlags.DOUBLE_WIDTH),
            inverse=bool(flags & ReceiptFlags.INVERSE),
            more=bool(flags & ReceiptFlags.MORE_DATA),
        )
        return PrintReceiptResponse(printer_status=device.printer_to_wire(printer))

    async def _command(self, message: DeviceCommandRequest) -> Message:
        code = message.device_command_code
        if code == DeviceCommandCode.SCAN_BARCODE:
            timeout_s = (message.timeout or 60_000) / 1000
            scanned = await self._terminal.scan(
                title=message.title or "", text=message.text or "", timeout_s=max(timeout_s, 0.001)
            )
            return DeviceCommandResponse(device_command_code=code, scanned_data=scanned or None)
        work = device.WORK_OF_COMMAND.get(code)
        if work is None:
            raise NotSupported(f"carry out device command {code}", "this terminal")
        await self._terminal.maintain(work, text=message.cardholder_text or "")
        return DeviceCommandResponse(device_command_code=code)
