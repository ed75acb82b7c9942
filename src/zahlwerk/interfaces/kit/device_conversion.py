"""Where KIT's words and the domain's words meet, for status, identity, receipts, totals and dialogs. Pure."""

from __future__ import annotations

import base64
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from zahlwerk.currency import CURRENCIES
from zahlwerk.errors import InvalidRequest
from zahlwerk.events import Acquirer, CardFacts, Printer, ReaderState, ScheduledTask, TerminalStatus
from zahlwerk.interfaces.kit.codes import (
    DeviceCommandCode,
    DialogResource,
    DialogResult,
    InputType,
    PrinterStatus,
    ReceiptFlags,
    ReceiptType,
    RfidStatus,
    TaskName,
    TrmStatus,
)
from zahlwerk.interfaces.kit.conversion import base64_of, functions_of, hex_of, wire_id
from zahlwerk.interfaces.kit.messages import (
    AcqInfo,
    ActivationResponse,
    ConnectResponse,
    DialogRequest,
    DialogResponse,
    NextScheduledTask,
    PrintReceiptRequest,
    StatusResponse,
)
from zahlwerk.interfaces.kit.models import model_of
from zahlwerk.interfaces.kit.receipts import ReceiptPart
from zahlwerk.payment import Receipt, ReceiptKind
from zahlwerk.terminal import (
    Answer,
    Capabilities,
    Dialog,
    DialogEnd,
    DialogInput,
    Feature,
    Maintenance,
    TerminalInfo,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "COMMAND_OF_WORK",
    "RECEIPT_KINDS",
    "WORK_OF_COMMAND",
    "activation_from_terminal",
    "answer_from_wire",
    "answer_to_wire",
    "connect_response",
    "dialog_from_wire",
    "dialog_to_wire",
    "info_from_wire",
    "print_requests",
    "printer_from_wire",
    "printer_to_wire",
    "reader_from_wire",
    "reader_to_wire",
    "receipt_from_part",
    "receipt_type",
    "software_text",
    "status_from_wire",
    "status_to_wire",
]

# -- status

_FLAGS: Final[Mapping[str, TrmStatus]] = MappingProxyType({
    "shift_open": TrmStatus.SHIFT_OPEN,
    "card_read": TrmStatus.CARD_DATA_AVAILABLE,
    "busy": TrmStatus.BUSY,
    "card_in_slot": TrmStatus.READER_SLOT_OCCUPIED,
    "locked": TrmStatus.LOCKED,
    "application_selected": TrmStatus.APPLICATION_SELECTED,
    "wants_request": TrmStatus.WAITING_FOR_TRANSACTION_REQUEST,
    "choosing_application": TrmStatus.WAITING_FOR_APPLICATION_SELECTION,
    "online": TrmStatus.ONLINE_PROCESSING,
})  # fmt: skip
"""Source: KIT fact sheet 2.5."""
_PRINTER_FLAGS: Final = {
    Printer.UNAVAILABLE: TrmStatus.PRINTER_UNAVAILABLE,
    Printer.OUT_OF_PAPER: TrmStatus.OUT_OF_PAPER,
}
# The same as plain numbers: a status comes six times in a payment, and an enum's own `&` takes four times as long.
_FLAG_NUMBERS: Final = tuple((name, int(flag)) for name, flag in _FLAGS.items())
_PRINTER_NUMBERS: Final = tuple((fault, int(flag)) for fault, flag in _PRINTER_FLAGS.items())
_TASKS: Final = frozenset(task.value for task in TaskName)
_NO_CARD: Final = CardFacts()


def status_to_wire(status: TerminalStatus, *, default_language: str = "en") -> StatusResponse:
    """A status as the terminal sends it; always with TrmLng, ESigInd and SetAcqInfo (4.10, P-32)."""
    flags = sum(number for name, number in _FLAG_NUMBERS if getattr(status, name))
    if status.printer is not Printer.FINE:
        flags += sum(number for fault, number in _PRINTER_NUMBERS if status.printer & fault)
    card = status.card or _NO_CARD
    task = status.next_task
    return StatusResponse(
        trm_status=flags,
        trm_lng=_language(status.language) or default_language,
        e_sig_ind=int(status.e_signature),
        iin=int(card.iin) if card.iin.isascii() and card.iin.isdigit() else None,
        atr=base64_of(card.atr),
        aid=base64_of(card.aid),
        aidicc=base64_of(card.aid_icc),
        app_curr_c=card.currency_number,
        uid=base64_of(card.uid),
        cardholder_lng=_language(card.language) or None,
        last_reader_cleaning_date=status.reader_cleaned or None,
        set_acq_info=tuple(
            AcqInfo(acq_id=acquirer.number, last_acq_init_date=acquirer.initialised or None)
            for acquirer in status.acquirers
        ),
        next_scheduled_task=NextScheduledTask(
            task_name=task.name,
            next_run=task.next_run,
            last_run=task.last_run or None,
            acq_id=task.acquirer,
        )
        if task is not None and task.name in _TASKS
        else None,
    )


def status_from_wire(message: StatusResponse, before: TerminalStatus | None = None) -> TerminalStatus:
    """A status as the register keeps it; an absent acquirer list keeps the former one (P-32)."""
    flags = message.trm_status
    printer = Printer.FINE
    for fault, number in _PRINTER_NUMBERS:
        if flags & number:
            printer |= fault
    acquirers = before.acquirers if before is not None else ()
    if message.set_acq_info is not None:
        acquirers = tuple(
            Acquirer(info.acq_id, info.last_acq_init_date or "")
            for info in message.set_acq_info
            if info.acq_id is not None
        )
    task = message.next_scheduled_task
    return TerminalStatus(
        **{name: bool(flags & number) for name, number in _FLAG_NUMBERS},
        printer=printer,
        language=message.trm_lng or (before.language if before is not None else "en"),
        e_signature=bool(message.e_sig_ind),
        card=_card(message),
        acquirers=acquirers,
        next_task=ScheduledTask(task.task_name or "", task.next_run or "", task.last_run or "", task.acq_id)
        if task is not None
        else None,
        reader_cleaned=message.last_reader_cleaning_date or "",
    )


def _card(message: StatusResponse) -> CardFacts | None:
    card = CardFacts(
        iin="" if message.iin is None or message.iin < 0 else f"{message.iin:06d}"[:6],  # P-35
        aid=hex_of(message.aid),
        aid_icc=hex_of(message.aidicc),
        atr=hex_of(message.atr),
        currency_number=message.app_curr_c,
        uid=hex_of(message.uid),
        language=message.cardholder_lng or "",
    )
    return card if card != _NO_CARD else None


# -- identity


def software_number(text: str) -> int:
    """`25.01.00` as 250100; anything else as the version our terminal side implements. Source: 0.2."""
    parts = text.split(".")
    if len(parts) == 3 and all(part.isascii() and part.isdigit() for part in parts):
        major, minor, patch = map(int, parts)
        return major * 10000 + minor * 100 + patch
    return OUR_SOFTWARE


OUR_SOFTWARE: Final = 250100
"""Every feature of the fact sheet's table 0.2 is older than that."""


def software_text(number: int | None) -> str:
    """170005 as `17.00.05`."""
    return "" if number is None else f"{number // 10000:02d}.{number // 100 % 100:02d}.{number % 100:02d}"


def connect_response(info: TerminalInfo, *, language: str) -> ConnectResponse:
    """Who the terminal is."""
    return ConnectResponse(
        trm_id=wire_id(info.terminal_id, 8),
        trm_lng=_language(language) or "en",
        ifd_serial_num=wire_id(info.serial_number, 8),
        software_version=software_number(info.software),
        pe_seq_cnt=info.period_counter or 0,
        act_seq_cnt=info.shift_counter or 0,
    )


def activation_from_terminal(info: TerminalInfo, capabilities: Capabilities, *, language: str) -> ActivationResponse:
    """The configuration of the terminal; the only source of functions, currencies and brands (4.5)."""
    return ActivationResponse(
        trm_id=wire_id(info.terminal_id, 8),
        trm_type=info.terminal_type if info.terminal_type in _TERMINAL_TYPES else 22,
        trm_lng=_language(language) or "en",
        pe_seq_cnt=info.period_counter or 0,
        act_seq_cnt=info.shift_counter or 0,
        trx_seq_cnt=info.sequence or 0,
        trm_cntry_c=info.country_number,
        mct_id=wire_id(info.merchant_id, 15),
        mct_name_loc=(info.merchant_name or "Zahlwerk")[:75],
        trx_functions=functions_of(capabilities.kinds, tip=Feature.TIP_AT_TERMINAL in capabilities.features),
        currencies=tuple(CURRENCIES[code].number for code in capabilities.currencies if code in CURRENCIES),
        brands=capabilities.brands,
    )


_TERMINAL_TYPES: Final = frozenset({11, 12, 13, 14, 15, 16, 21, 22, 23, 24, 25, 26, 34, 35, 36})


def info_from_wire(
    connected: ConnectResponse | None, activated: ActivationResponse | None, *, interface: str, sequence: int | None
) -> TerminalInfo:
    """Who the terminal is, out of what it told so far."""
    one, two = connected or ConnectResponse(), activated or ActivationResponse()
    serial = one.ifd_serial_num or ""
    return TerminalInfo(
        terminal_id=two.trm_id or one.trm_id or "",
        serial_number=serial,
        model=model_of(serial),
        software=software_text(one.software_version),
        interface=interface,
        language=two.trm_lng or one.trm_lng or "",
        merchant_id=two.mct_id or "",
        merchant_name=two.mct_name_loc or "",
        country_number=two.trm_cntry_c,
        terminal_type=two.trm_type,
        sequence=sequence,
        shift_counter=two.act_seq_cnt if two.act_seq_cnt is not None else one.act_seq_cnt,
        period_counter=two.pe_seq_cnt if two.pe_seq_cnt is not None else one.pe_seq_cnt,
    )


# -- receipts

RECEIPT_KINDS: Final[Mapping[int, ReceiptKind]] = MappingProxyType({
    ReceiptType.TRANSACTION: ReceiptKind.MERCHANT,
    ReceiptType.TRANSACTION_COPY: ReceiptKind.CUSTOMER,
    ReceiptType.ACTIVATION: ReceiptKind.SHIFT_OPENED,
    ReceiptType.DEACTIVATION: ReceiptKind.SHIFT_CLOSED,
    ReceiptType.FINAL_BALANCE: ReceiptKind.END_OF_DAY,
    ReceiptType.SUBMISSION: ReceiptKind.SUBMISSION,
    ReceiptType.TRANSMISSION: ReceiptKind.TRANSMISSION,
    ReceiptType.CONFIGURATION: ReceiptKind.CONFIGURATION,
    ReceiptType.INITIALIZATION: ReceiptKind.INITIALISATION,
    ReceiptType.DCC_OFFER: ReceiptKind.DCC_OFFER,
    ReceiptType.DCC_RATES: ReceiptKind.DCC_RATES,
})  # fmt: skip
"""Source: 2.8. Types 12, 14 and 22 (failures, P-03) are read as OTHER and never sent: the schema does not list them."""
_TYPE_OF_KIND: Final = {kind: kind_type for kind_type, kind in RECEIPT_KINDS.items()}


def receipt_type(kind: ReceiptKind) -> int | None:
    """The ReceiptType of a kind; None for a kind that KIT does not know."""
    found = _TYPE_OF_KIND.get(kind)
    return None if found is None else int(found)


def receipt_from_part(part: ReceiptPart, *, sequence: int | None = None) -> Receipt:
    """A collected receipt; an image when the flag says so (2.9)."""
    kind = RECEIPT_KINDS.get(part.kind, ReceiptKind.OTHER)
    if part.flags & ReceiptFlags.PNG:
        try:
            return Receipt(kind, image_png=base64.b64decode(part.text, validate=True), sequence=sequence)
        except ValueError:
            return Receipt(kind, sequence=sequence)
    # Section 8, no. 9: the placeholder of a signature is never shown as text.
    return Receipt(kind, part.text.replace("<ESignature />", ""), sequence=sequence)


# -- dialogs, printer, reader, work

_INPUTS: Final[Mapping[int, DialogInput]] = MappingProxyType({
    InputType.NONE: DialogInput.NOTHING,
    InputType.UNSIGNED_NUMERIC: DialogInput.NUMBER,
    InputType.NUMERIC_STRING: DialogInput.DIGITS,
    InputType.ALPHANUMERIC_SPECIAL: DialogInput.TEXT,
    InputType.PASSWORD: DialogInput.PASSWORD,
    InputType.E_SIGNATURE: DialogInput.SIGNATURE,
})  # fmt: skip
_TYPE_OF_INPUT: Final = {wanted: number for number, wanted in _INPUTS.items()}
_ENDS: Final[Mapping[int, DialogEnd]] = MappingProxyType({
    DialogResult.OK: DialogEnd.OK,
    DialogResult.STOP: DialogEnd.STOPPED,
    DialogResult.TIMEOUT: DialogEnd.TIMED_OUT,
    DialogResult.CANCELLED: DialogEnd.CANCELLED,
    DialogResult.BACK: DialogEnd.BACK,
    DialogResult.LEFT: DialogEnd.LEFT,
    DialogResult.RIGHT: DialogEnd.RIGHT,
})  # fmt: skip
_RESULT_OF_END: Final = {end: result for result, end in _ENDS.items()}


def dialog_to_wire(dialog: Dialog) -> DialogRequest:
    """A dialog as the register asks for it: free text (1010) unless its fields name another resource."""
    extra = {name: value for name, value in dialog.fields.items() if value is not None}
    return DialogRequest(
        dialog_resource=_number(extra.get("DialogResource"), DialogResource.FREE_TEXT),
        dialog_resource_args=(dialog.text,) if dialog.text else None,
        timeout=round(dialog.timeout_s * 1000),
        input_type=int(_TYPE_OF_INPUT[dialog.input]),
        default_input_value=dialog.default or None,
        min_length=dialog.length_min or None,
        max_length=dialog.length_max,
        reference_password=dialog.password or None,
        dialog_icon=_optional(extra.get("DialogIcon")),
        dialog_flags=_optional(extra.get("DialogFlags")),
        default_icon=_optional(extra.get("DefaultIcon")),
        default_resource=_optional(extra.get("DefaultResource")),
        ui_buttons=_optional(extra.get("UIButtons")),
    )


def dialog_from_wire(message: DialogRequest) -> Dialog:
    """A dialog as the terminal shows it."""
    own = {"DialogResourceArgs", "Timeout", "InputType", "DefaultInputValue", "MinLength", "MaxLength"}
    own |= {"ReferencePassword"}
    return Dialog(
        text="\n".join(str(argument) for argument in message.dialog_resource_args or ()),
        input=_INPUTS.get(message.input_type or 0, DialogInput.NOTHING),
        timeout_s=(message.timeout if message.timeout is not None and message.timeout > 0 else 60_000) / 1000,
        default=message.default_input_value or "",
        length_min=max(0, message.min_length or 0),
        length_max=message.max_length if message.max_length is not None and message.max_length > 0 else 64,
        password=message.reference_password or "",
        fields=MappingProxyType({name: value for name, value in message.wire_items() if name not in own}),
    )


def answer_to_wire(answer: Answer) -> DialogResponse:
    """What came of a dialog."""
    return DialogResponse(
        dialog_result=int(_RESULT_OF_END[answer.end]),
        utf8_string=answer.text or None,
        boolean=None if answer.matches is None else int(answer.matches),
    )


def answer_from_wire(message: DialogResponse) -> Answer:
    """What came of a dialog; an end that we do not know counts as cancelled."""
    return Answer(
        _ENDS.get(message.dialog_result, DialogEnd.CANCELLED),
        message.utf8_string or "",
        None if message.boolean is None else bool(message.boolean),
    )


_PRINTER: Final = {
    Printer.OUT_OF_PAPER: PrinterStatus.NO_PAPER,
    Printer.JAMMED: PrinterStatus.JAMMED,
    Printer.TOO_HOT: PrinterStatus.OVERHEAT,
    Printer.OTHER_ERROR: PrinterStatus.OTHER_ERROR,
    Printer.BUFFER_FULL: PrinterStatus.BUFFER_FULL,
    Printer.TIMED_OUT: PrinterStatus.TIMEOUT,
    Printer.POWER_FAILED: PrinterStatus.POWER_FAILURE,
    Printer.UNAVAILABLE: PrinterStatus.OTHER_ERROR,
}


def print_requests(text: str, image_png: bytes, flags: int, *, more: bool) -> list[PrintReceiptRequest]:
    """What to print, in portions of at most 1 KB; an image in one. Source: 2.9.

    Raises:
        InvalidRequest: an image of more than 14 KB, or nothing to print.
    """
    if image_png:
        if len(image_png) > IMAGE_BYTES_MAX:
            raise InvalidRequest(f"an image for the terminal has at most {IMAGE_BYTES_MAX} bytes, got {len(image_png)}")
        flag = flags | ReceiptFlags.PNG | (ReceiptFlags.MORE_DATA if more else 0)
        return [PrintReceiptRequest(receipt_text=base64.b64encode(image_png).decode(), receipt_flags=int(flag))]
    if not text:
        raise InvalidRequest("there is nothing to print")
    portions = _portions(text)
    return [
        PrintReceiptRequest(
            receipt_text=portion,
            receipt_flags=flags | (int(ReceiptFlags.MORE_DATA) if more or index < len(portions) - 1 else 0),
        )
        for index, portion in enumerate(portions)
    ]


IMAGE_BYTES_MAX: Final = 14 * 1024
PRINT_BYTES_MAX: Final = 1000
"""LIMIT: 1000 characters, 1 KB of UTF-8 in one request (2.9)."""


def _portions(text: str) -> list[str]:
    portions, portion, size = [], "", 0
    for character in text:
        width = len(character.encode("utf-8", "replace"))
        if size + width > PRINT_BYTES_MAX:
            cut = portion.rfind("\n") + 1 or len(portion)
            portions.append(portion[:cut])
            portion = portion[cut:]
            size = len(portion.encode("utf-8", "replace"))
        portion += character
        size += width
    return [*portions, portion]


def printer_to_wire(printer: Printer) -> int:
    """The state of the printer as PrinterStatus bits (2.9); a missing printer is "other error"."""
    bits = PrinterStatus(0)
    for fault in printer:
        bits |= _PRINTER[fault]
    return int(bits)


def printer_from_wire(bits: int) -> Printer:
    """PrinterStatus bits as the state of the printer; unknown bits are "other error"."""
    printer = Printer.FINE
    known = 0
    for fault, bit in _PRINTER.items():
        known |= int(bit)
        if bits & bit and fault is not Printer.UNAVAILABLE:
            printer |= fault
    return printer | (Printer.OTHER_ERROR if bits & ~known else Printer.FINE)


_READER: Final[Mapping[int, ReaderState]] = MappingProxyType({
    RfidStatus.NOT_WORKING: ReaderState.NOT_WORKING,
    RfidStatus.IDLE: ReaderState.IDLE,
    RfidStatus.READY: ReaderState.READY,
    RfidStatus.PROCESSING: ReaderState.PROCESSING,
    RfidStatus.COMPLETE: ReaderState.COMPLETE,
    RfidStatus.READY_LEDS_OFF: ReaderState.READY_DARK,
    RfidStatus.ERROR: ReaderState.ERROR,
    RfidStatus.NOT_APPLICABLE: ReaderState.NONE,
})  # fmt: skip


def reader_from_wire(number: int) -> ReaderState:
    """RFIDStatus; an unknown number is an error of the reader."""
    return _READER.get(number, ReaderState.ERROR)


def reader_to_wire(state: ReaderState) -> int:
    """The RFIDStatus of a state."""
    return int(next(number for number, known in _READER.items() if known is state))


_C, _M = DeviceCommandCode, Maintenance
COMMAND_OF_WORK: Final[Mapping[Maintenance, DeviceCommandCode]] = MappingProxyType({
    _M.EJECT_CARD: _C.EJECT_CARD,
    _M.EJECT_CARD_FORCED: _C.FORCE_EJECT_CARD,
    _M.REBOOT: _C.REBOOT,
    _M.UPDATE: _C.SOFTWARE_UPDATE,
    _M.REMOTE_MAINTENANCE: _C.REMOTE_MAINTENANCE,
    _M.SEND_LOGS: _C.SHIP_LOGS,
    _M.LANGUAGE_DIALOG_ON: _C.LANGUAGE_DIALOG_ON,
    _M.LANGUAGE_DIALOG_OFF: _C.LANGUAGE_DIALOG_OFF,
    _M.SHOW_IDLE: _C.SHOW_IDLE,
    _M.SHOW_PRESENT_CARD: _C.SHOW_PRESENT_CARD,
    _M.DISCONNECTED_TEXT: _C.SET_DISCONNECTED_TEXT,
    _M.ABORT_SCAN: _C.ABORT_BARCODE_SCANNING,
})  # fmt: skip
"""Source: 2.11. Submission, transmission, configuration and initialisation have messages of their own."""
WORK_OF_COMMAND: Final[Mapping[int, Maintenance]] = MappingProxyType(
    {int(command): work for work, command in COMMAND_OF_WORK.items()}
)


def _language(text: str) -> str:
    """ISO 639-1 as the schema wants it, or nothing."""
    code = text[:2].lower()
    return code if len(code) == 2 and code.isascii() and code.isalpha() else ""


def _number(value: object, default: int) -> int:
    return value if isinstance(value, int) else int(default)


def _optional(value: object) -> int | None:
    return value if isinstance(value, int) else None
