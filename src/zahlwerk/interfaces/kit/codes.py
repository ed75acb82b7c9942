"""The coded values of KIT fields: enumerations and flags, one per field. Rows with texts are in `dictionary`.

A value that is not listed is data: messages carry plain integers, flags keep unknown bits (P-03, P-04, P-07).

Source: PayTecAG/ecritf, ecritf-schema.json (v1.1.0), ecritf.js (1.2.1), web_api/doc; names follow ecritf.js.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag, StrEnum, unique

__all__ = [
    "BatchCaptureFlags",
    "DeviceCommandCode",
    "DialogFlags",
    "DialogIcon",
    "DialogResource",
    "DialogResult",
    "FinancialCounterType",
    "InputType",
    "OurErrorCode",
    "OurResult",
    "PosEntryMode",
    "PrinterStatus",
    "ReceiptFlags",
    "ReceiptType",
    "ReportFlags",
    "ReportType",
    "RfidStatus",
    "TaskName",
    "TrmStatus",
    "TrxAbortFlags",
    "TrxFunction",
    "TrxReqFlags",
    "TrxResult",
    "UIButtons",
]


@unique
class TrxFunction(IntFlag):
    """One function in TransactionRequest.TrxFunction, a sum of them in ActivationResponse.TrxFunctions."""

    PURCHASE_WITH_CASHBACK = 0x00000001
    CONFIRM_PHONE_AUTH_RESERVATION = 0x00000004
    RESERVATION_ADJUSTMENT = 0x00000008
    RESERVATION = 0x00000010
    REVERSAL = 0x00000020
    PURCHASE_MAIL_ORDERED = 0x00000040
    AUTHORIZATION_PURCHASE = 0x00000080
    PURCHASE_PHONE_ORDERED = 0x00000100
    PURCHASE_FORCED_ACCEPTANCE = 0x00000200
    PURCHASE_PHONE_AUTH = 0x00000400
    CREDIT = 0x00000800
    CASH_ADVANCE = 0x00001000
    TIP = 0x00002000
    """A capability only: the terminal may ask for a tip. Never requested (P-05)."""
    PURCHASE_RESERVATION = 0x00004000
    PURCHASE = 0x00008000
    CLIENT_ID_REQUEST = 0x00010000
    BALANCE_INQUIRY = 0x00020000
    DEPOSIT = 0x00040000
    COMBINED = 0x00080000
    GIRO = 0x00100000
    AUTHORIZATION_DEPOSIT = 0x00200000
    AUTHORIZATION_CREDIT = 0x00400000
    ACTIVATE_CARD = 0x00800000
    LOAD = 0x01000000
    CANCEL_RESERVATION = 0x02000000
    ACCOUNT_VERIFICATION = 0x04000000


@unique
class TrxResult(IntEnum):
    """TransactionResponse.TrxResult; anything else counts as aborted."""

    APPROVED = 0
    DECLINED = 1
    REFERRED = 2
    ABORTED = 3


@unique
class TrmStatus(IntFlag):
    """StatusResponse.TrmStatus."""

    SHIFT_OPEN = 0x00000001
    CARD_DATA_AVAILABLE = 0x00000002
    BUSY = 0x00000004
    READER_SLOT_OCCUPIED = 0x00000008
    LOCKED = 0x00000010
    APPLICATION_SELECTED = 0x00000020
    WAITING_FOR_TRANSACTION_REQUEST = 0x00000040
    WAITING_FOR_APPLICATION_SELECTION = 0x00000080
    ONLINE_PROCESSING = 0x00000100
    PRINTER_UNAVAILABLE = 0x00000200
    OUT_OF_PAPER = 0x00000400
    MODEM_IN_USE = 0x40000000
    """Model C4 only (P-07)."""


@unique
class TrxReqFlags(IntFlag):
    """TransactionRequest.TrxReqFlags."""

    START_SILENTLY = 0x01
    REPORT_UNKNOWN_NFC = 0x04
    ABORT_SILENTLY_ON_UNKNOWN_NFC = 0x08


@unique
class TrxAbortFlags(IntFlag):
    """AbortTransactionRequest.TrxAbortFlags."""

    ABORT_SILENTLY = 0x01


@unique
class ReceiptFlags(IntFlag):
    """ReceiptFlags of ReceiptResponse and PrintReceiptRequest."""

    MORE_DATA = 0x01
    FIRST_PART = 0x02
    DOUBLE_HEIGHT = 0x04
    DOUBLE_WIDTH = 0x08
    INVERSE = 0x10
    PNG = 0x20


@unique
class BatchCaptureFlags(IntFlag):
    """BatchCaptureRequest.BatchCaptureFlags; MANUAL is always set (P-34)."""

    MANUAL = 0x01
    NO_SUBMISSION = 0x02
    NO_TRANSMISSION = 0x04


@unique
class ReportFlags(IntFlag):
    """ReportResponse.ReportFlags."""

    MORE_ENTRIES = 0x01


@unique
class DialogFlags(IntFlag):
    """DialogRequest.DialogFlags."""

    LEAVE_ON_SCREEN = 0x01
    DISPLAY_INPUT_RESOURCE = 0x02
    HIDE_INPUT = 0x04
    USE_ATTENDANT_LANGUAGE = 0x08
    HIDE_OK_ON_EMPTY_SIGNATURE = 0x10
    ALLOW_SHOW_INPUT = 0x20
    REPLACES_WELCOME = 0x40


@unique
class UIButtons(IntFlag):
    """DialogRequest.UIButtons."""

    OK = 0x01
    CANCEL = 0x02
    CLEAR = 0x04
    BACK = 0x08
    LEFT = 0x10
    RIGHT = 0x20


@unique
class PrinterStatus(IntFlag):
    """PrintReceiptResponse.PrinterStatus; 0 is fine."""

    NO_PAPER = 0x01
    JAMMED = 0x02
    OVERHEAT = 0x04
    OTHER_ERROR = 0x08
    BUFFER_FULL = 0x10
    TIMEOUT = 0x20
    POWER_FAILURE = 0x40


@unique
class PosEntryMode(IntEnum):
    """TransactionResponse.POSEntryMode: how the card was read."""

    UNKNOWN = 0
    MANUAL = 1
    BARCODE = 3
    OCR = 4
    ICC = 5
    ICC_PAN_RETRIEVAL = 6
    REFERENCE = 20
    BLE = 21
    MAGSTRIPE = 90
    MAGSTRIPE_FALLBACK_1 = 91
    MAGSTRIPE_FALLBACK_2 = 92
    MAGSTRIPE_FALLBACK_3 = 93
    CONTACTLESS_EMV = 97
    CONTACTLESS_MAGSTRIPE = 98
    CONTACTLESS_PAN_RETRIEVAL = 99
    MERCHANT_PRESENTED_QR_CODE = 1001


@unique
class RfidStatus(IntEnum):
    """RFIDStatusNotification.RFIDStatus."""

    NOT_WORKING = 0
    IDLE = 1
    READY = 2
    PROCESSING = 3
    COMPLETE = 4
    READY_LEDS_OFF = 5
    ERROR = 99
    NOT_APPLICABLE = 255


@unique
class ReceiptType(IntEnum):
    """ReceiptType of ReceiptRequest and ReceiptResponse; the union of schema, library and document (P-03)."""

    TRANSACTION = 1
    TRANSACTION_COPY = 2
    ACTIVATION = 11
    ACTIVATION_FAILED = 12
    DEACTIVATION = 13
    DEACTIVATION_FAILED = 14
    FINAL_BALANCE = 21
    FINAL_BALANCE_FAILED = 22
    SUBMISSION = 23
    TRANSMISSION = 25
    CONFIGURATION = 41
    INITIALIZATION = 43
    DCC_OFFER = 111
    DCC_RATES = 112


@unique
class ReportType(IntEnum):
    """ReportType of ReportRequest and ReportResponse."""

    SHIFT_SUM = 1
    ACCOUNTING_PERIOD_SUM = 2
    OPEN_PETROL_AUTHORIZATIONS = 1001


@unique
class FinancialCounterType(IntEnum):
    """What a total or an entry of a report counts."""

    DEBIT = 0
    CREDIT = 1
    DEBIT_REVERSAL = 2
    CREDIT_REVERSAL = 3
    RESERVATION = 4
    OTHER_NON_FINANCIAL = 5


@unique
class DeviceCommandCode(IntEnum):
    """DeviceCommandRequest.DeviceCommandCode; the union of schema, library and document (P-06)."""

    EJECT_CARD = 1
    FORCE_EJECT_CARD = 2
    REBOOT = 501
    SOFTWARE_UPDATE = 502
    REMOTE_MAINTENANCE = 511
    SHIP_LOGS = 521
    LANGUAGE_DIALOG_ON = 1001
    LANGUAGE_DIALOG_OFF = 1002
    SHOW_IDLE = 2001
    SHOW_PRESENT_CARD = 2002
    SET_DISCONNECTED_TEXT = 2501
    SCAN_BARCODE = 2601
    ABORT_BARCODE_SCANNING = 2602


@unique
class DialogResource(IntEnum):
    """The text of a dialog."""

    FREE_TEXT = 1010
    FREE_TEXT_WITH_BRANDS = 1060
    PLEASE_WAIT = 10001
    SIGNATURE_PLEASE = 10005
    SELECT_PUMP = 10008
    ENTER_MILEAGE = 10009
    ENTER_FURTHER_INFO = 10010
    FREE_TEXT_WITH_CUSTOM_BUTTONS = 15013


@unique
class InputType(IntEnum):
    """What may be entered in a dialog."""

    NONE = 0
    UNSIGNED_NUMERIC = 2
    NUMERIC_STRING = 51
    ALPHANUMERIC_SPECIAL = 52
    PASSWORD = 101
    E_SIGNATURE = 151


@unique
class DialogIcon(IntEnum):
    """The picture of a dialog."""

    PLEASE_WAIT = 1
    INSERT_CARD = 2
    REMOVE_CARD = 3
    APPROVED = 4
    DECLINED = 5
    QUESTION = 6
    MOBILE = 7


@unique
class DialogResult(IntEnum):
    """How a dialog ended."""

    OK = 1
    STOP = 2
    TIMEOUT = 3
    CANCELLED = 4
    BACK = 5
    LEFT = 6
    RIGHT = 7


@unique
class TaskName(StrEnum):
    """NextScheduledTask.TaskName."""

    CONFIG = "CONFIG"
    CONFIG_FORCED = "CONFIG_FORCED"
    INIT = "INIT"
    INIT_FORCED = "INIT_FORCED"
    SUBMISSION = "SUBMISSION"
    TRANSMISSION = "TRANSMISSION"
    FINAL_BALANCE = "FINAL_BALANCE"
    SW_UPDATE = "SW_UPDATE"
    REBOOT = "REBOOT"
    AUTO_REVERSAL = "AUTO_REVERSAL"
    DECOMMISSIONING = "DECOMMISSIONING"


@unique
class OurErrorCode(IntEnum):
    """ErrorNotification.ErrorCode of our own terminal side, with ErrorSource `ECR`. PayTec's list is not public."""

    BUSY = 1
    SHIFT_CLOSED = 2
    UNKNOWN_MESSAGE = 3
    MALFORMED = 4
    MISSING_FIELD = 5
    NOT_SUPPORTED = 6
    NOTHING_TO_CONFIRM = 7
    LOCKED = 8
    AMOUNT = 9
    NOT_CONNECTED = 10
    UNCERTAIN = 11
    """Something broke while money may have moved: the only one of our codes that is no refusal."""


@unique
class OurResult(IntEnum):
    """TransactionResponse.TrxResultExtended of our own terminal side; 10014 and 10017 are PayTec's."""

    APPROVED = 0
    REFERRED = 900
    DECLINED = 1000
    """Plus the two digits of the ARC, where it is a number."""
    ABORTED_BY_REGISTER = 10001
    ABORTED_BY_CARDHOLDER = 10002
    NO_CARD_IN_TIME = 10003
    HOST_UNREACHABLE = 10004
    MATCHED_SURROGATE_PAN = 10014
    """A card of SetActiveSurrogatePAN was shown: print the fuelling receipt."""
    SCHEDULED_TASK_PENDING = 10017
    """Wait at least 20 s and for BUSY to clear, then start again."""
