"""The tables of KIT: messages, fields, functions, coded values, models; each row with its source.

Enumerations live in `codes`, fields in `fields`, models in `models`; all are to be had from here.

Source: PayTecAG/ecritf: ecritf-schema.json (v1.1.0), ecritf.js (1.2.1), web_api/doc, examples/c++ (message numbers).
Where they differ, code counts before schema before document (P-42); values known to any of them are listed.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from zahlwerk.codec.source import Source
from zahlwerk.interfaces.kit._functions import FUNCTION_ROWS, FUNCTIONS
from zahlwerk.interfaces.kit._rows import CodeRow, Direction, FunctionRow, MessageRow, Need, Phrase
from zahlwerk.interfaces.kit._sources import CPP_EXAMPLE, LIBRARY, inferred, schema
from zahlwerk.interfaces.kit._values import (
    CODE_ROWS,
    CODES_OF_FIELD,
    DIALOG_RESULT_ROWS,
    OUR_ERROR_ROWS,
    OUR_RESULT_ROWS,
    PRINTER_STATUS_BITS,
    RECEIPT_TYPE_ROWS,
    RESULT_RANGES,
    TRM_STATUS_BITS,
    TRX_RESULT_ROWS,
    describe_flags,
    phrase_of,
)
from zahlwerk.interfaces.kit.codes import (
    BatchCaptureFlags,
    DeviceCommandCode,
    DialogFlags,
    DialogIcon,
    DialogResource,
    DialogResult,
    FinancialCounterType,
    InputType,
    OurErrorCode,
    OurResult,
    PosEntryMode,
    PrinterStatus,
    ReceiptFlags,
    ReceiptType,
    ReportFlags,
    ReportType,
    RfidStatus,
    TaskName,
    TrmStatus,
    TrxAbortFlags,
    TrxFunction,
    TrxReqFlags,
    TrxResult,
    UIButtons,
)
from zahlwerk.interfaces.kit.fields import AMOUNT_FIELDS, FIELD_ROWS, FIELDS, SENSITIVE_FIELDS, FieldKind, FieldRow
from zahlwerk.interfaces.kit.models import MODEL_PREFIXES, ModelRow, model_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AMOUNT_FIELDS",
    "CODES_OF_FIELD",
    "CODE_ROWS",
    "DIALOG_RESULT_ROWS",
    "FIELDS",
    "FIELD_ROWS",
    "FUNCTIONS",
    "FUNCTION_ROWS",
    "MESSAGE_BY_NAME",
    "MESSAGE_ROWS",
    "MODEL_PREFIXES",
    "OUR_ERROR_ROWS",
    "OUR_RESULT_ROWS",
    "PRINTER_STATUS_BITS",
    "RECEIPT_TYPE_ROWS",
    "RESULT_RANGES",
    "SENSITIVE_FIELDS",
    "TRM_STATUS_BITS",
    "TRX_RESULT_ROWS",
    "BatchCaptureFlags",
    "CodeRow",
    "DeviceCommandCode",
    "DialogFlags",
    "DialogIcon",
    "DialogResource",
    "DialogResult",
    "Direction",
    "FieldKind",
    "FieldRow",
    "FinancialCounterType",
    "FunctionRow",
    "InputType",
    "MessageRow",
    "ModelRow",
    "Need",
    "OurErrorCode",
    "OurResult",
    "Phrase",
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
    "describe_flags",
    "model_of",
    "phrase_of",
]


def _message(
    name: str,
    number: int | None,
    direction: Direction,
    *,
    response: str | None = None,
    required: tuple[str, ...] = (),
    in_schema: bool = True,
    source: Source | None = None,
) -> MessageRow:
    return MessageRow(name, number, direction, response, required, in_schema, source or schema(name))


MESSAGE_ROWS: Final[tuple[MessageRow, ...]] = (
    _message("ConnectRequest", 0x01, Direction.R_TO_T, response="ConnectResponse"),
    _message(
        "ConnectResponse",
        0x02,
        Direction.T_TO_R,
        required=(
            "TrmLng",
            "IFDSerialNum",
            "SoftwareVersion",
            "PeSeqCnt",
            "ActSeqCnt",
        ),
    ),
    _message("StatusRequest", 0x03, Direction.R_TO_T, response="StatusResponse"),
    _message(
        "StatusResponse",
        0x04,
        Direction.T_TO_R,
        required=(
            "TrmStatus",
            "TrmLng",
            "ESigInd",
        ),
    ),
    _message("ActivationRequest", 0x05, Direction.R_TO_T, response="ActivationResponse"),
    _message(
        "ActivationResponse",
        0x06,
        Direction.T_TO_R,
        required=(
            "TrmID",
            "TrmType",
            "TrmLng",
            "PeSeqCnt",
            "ActSeqCnt",
            "TrxSeqCnt",
            "TrxFunctions",
            "Currencies",
            "Brands",
        ),
    ),
    _message("DeactivationRequest", 0x07, Direction.R_TO_T, response="DeactivationResponse"),
    _message("DeactivationResponse", 0x08, Direction.T_TO_R),
    _message("TransactionRequest", 0x09, Direction.R_TO_T, response="TransactionResponse", required=("TrxFunction",)),
    _message(
        "TransactionResponse",
        0x10,
        Direction.T_TO_R,
        required=(
            "TrxResult",
            "TrmID",
            "TrxResultExtended",
        ),
    ),
    _message(
        "TransactionConfirmationRequest",
        0x11,
        Direction.R_TO_T,
        response="TransactionConfirmationResponse",
        required=("Confirm",),
    ),
    _message("TransactionConfirmationResponse", 0x12, Direction.T_TO_R),
    _message("AbortTransactionRequest", 0x13, Direction.R_TO_T, response="AbortTransactionResponse"),
    _message("AbortTransactionResponse", 0x14, Direction.T_TO_R),
    _message("BatchCaptureRequest", 0x15, Direction.R_TO_T, response="BatchCaptureResponse"),
    _message("BatchCaptureResponse", 0x16, Direction.T_TO_R),
    _message("BalanceRequest", 0x17, Direction.R_TO_T, response="BalanceResponse"),
    _message("BalanceResponse", 0x18, Direction.T_TO_R),
    _message("ConfigurationRequest", 0x19, Direction.R_TO_T, response="ConfigurationResponse"),
    _message("ConfigurationResponse", 0x20, Direction.T_TO_R),
    _message("InitializationRequest", 0x21, Direction.R_TO_T, response="InitializationResponse"),
    _message("InitializationResponse", 0x22, Direction.T_TO_R),
    _message("ReceiptRequest", 0x23, Direction.R_TO_T, response="ReceiptResponse", required=("ReceiptType",)),
    _message(
        "ReceiptResponse",
        0x24,
        Direction.T_TO_R,
        required=(
            "ReceiptType",
            "ReceiptFlags",
            "ReceiptText",
        ),
    ),
    _message("ReportRequest", 0x25, Direction.R_TO_T, response="ReportResponse"),
    _message(
        "ReportResponse",
        0x26,
        Direction.T_TO_R,
        required=(
            "ReportType",
            "ReportFlags",
        ),
    ),
    _message(
        "TransactionDataChangeRequest",
        0x27,
        Direction.T_TO_R,
        response="TransactionDataChangeResponse",
        source=inferred("direction of data change and time extension (P-17)"),
    ),
    _message(
        "TransactionDataChangeResponse",
        0x28,
        Direction.R_TO_T,
        source=inferred("direction of data change and time extension (P-17)"),
    ),
    _message(
        "ConfirmationTimeExtensionRequest",
        0x29,
        Direction.R_TO_T,
        response="ConfirmationTimeExtensionResponse",
        required=("Seconds",),
        source=inferred("direction of data change and time extension (P-17)"),
    ),
    _message(
        "ConfirmationTimeExtensionResponse",
        0x30,
        Direction.T_TO_R,
        source=inferred("direction of data change and time extension (P-17)"),
    ),
    _message("LockEFTOperationsRequest", 0x31, Direction.R_TO_T, response="LockEFTOperationsResponse"),
    _message("LockEFTOperationsResponse", 0x32, Direction.T_TO_R),
    _message("UnlockEFTOperationsRequest", 0x33, Direction.R_TO_T, response="UnlockEFTOperationsResponse"),
    _message("UnlockEFTOperationsResponse", 0x34, Direction.T_TO_R),
    _message(
        "SetTerminalLanguageRequest",
        0x35,
        Direction.R_TO_T,
        response="SetTerminalLanguageResponse",
        required=("TrmLng",),
    ),
    _message("SetTerminalLanguageResponse", 0x36, Direction.T_TO_R),
    _message("DialogRequest", 0x41, Direction.R_TO_T, response="DialogResponse", required=("DialogResource",)),
    _message("DialogResponse", 0x42, Direction.T_TO_R, required=("DialogResult",)),
    _message("CancelUIRequest", 0x43, Direction.R_TO_T),
    _message("DisplayNotification", 0x51, Direction.T_TO_R),
    _message("RFIDStatusNotification", 0x53, Direction.T_TO_R),
    _message("LoyaltyPromotionNotification", 0x61, Direction.BOTH, in_schema=False, source=CPP_EXAMPLE),
    _message("LoyaltyAdviceNotification", 0x63, Direction.BOTH, in_schema=False, source=CPP_EXAMPLE),
    _message(
        "ClearBasketRequest",
        0x71,
        Direction.R_TO_T,
        response="ClearBasketResponse",
        in_schema=False,
        source=CPP_EXAMPLE,
    ),
    _message("ClearBasketResponse", 0x72, Direction.T_TO_R, in_schema=False, source=CPP_EXAMPLE),
    _message(
        "AddToBasketRequest",
        0x73,
        Direction.R_TO_T,
        response="AddToBasketResponse",
        in_schema=False,
        source=CPP_EXAMPLE,
    ),
    _message("AddToBasketResponse", 0x74, Direction.T_TO_R, in_schema=False, source=CPP_EXAMPLE),
    _message("PrintReceiptRequest", 0x81, Direction.R_TO_T, response="PrintReceiptResponse", required=("ReceiptText",)),
    _message("PrintReceiptResponse", 0x82, Direction.T_TO_R, required=("PrinterStatus",)),
    _message(
        "DeviceCommandRequest",
        0x95,
        Direction.R_TO_T,
        response="DeviceCommandResponse",
        required=("DeviceCommandCode",),
    ),
    _message("DeviceCommandResponse", 0x96, Direction.T_TO_R, required=("DeviceCommandCode",)),
    _message("HeartbeatRequest", 0x97, Direction.BOTH, response="HeartbeatResponse"),
    _message("HeartbeatResponse", 0x98, Direction.BOTH),
    _message("ErrorNotification", 0x99, Direction.T_TO_R),
    _message(
        "Pairing",
        None,
        Direction.R_TO_T,
        required=(
            "Code",
            "Channel",
            "PeerName",
        ),
        in_schema=False,
        source=LIBRARY,
    ),
    _message("EFTHello", None, Direction.T_TO_R, in_schema=False, source=LIBRARY),
)
"""All messages by number, then those without one. Directions are nowhere stated in the schema (P-17)."""

MESSAGE_BY_NAME: Final[Mapping[str, MessageRow]] = MappingProxyType({row.name: row for row in MESSAGE_ROWS})
"""The same by name."""
