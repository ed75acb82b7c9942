"""KIT messages, one frozen struct each; the class name is the message name, the wire name of a field stands beside it.

Only what makes a message meaningless when it is missing is required here: terminals differ, and a message that lacks
something of the schema is still worth reading (`codec.missing_fields` names what the schema asks for). `None` is an
absent field; a JSON null counts as absent (P-11). What is set is always written, 0 and empty lists too. Codes and
flags are plain integers: a code that `dictionary` does not list is data, never an error. Amounts are minor units of
the currency, 0 to twelve digits. Names of fields and messages are PayTec's; attributes are their snake case.

Source: PayTecAG/ecritf, ecritf-schema.json (v1.1.0), ecritf.js (1.2.1), web_api/doc, examples/c++.
Fields that only the library or a recording knows are named on their class.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import msgspec

from zahlwerk.interfaces.kit.objects import (
    AcqInfo,
    Amount,
    FinancialReportEntry,
    Integer,
    KitMessage,
    NextScheduledTask,
    RecOrderRef,
    TrxDataChangeReason,
    TrxListReportEntry,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "MESSAGES",
    "AbortTransactionRequest",
    "AbortTransactionResponse",
    "AcqInfo",
    "ActivationRequest",
    "ActivationResponse",
    "AddToBasketRequest",
    "AddToBasketResponse",
    "BalanceRequest",
    "BalanceResponse",
    "BatchCaptureRequest",
    "BatchCaptureResponse",
    "CancelUIRequest",
    "ClearBasketRequest",
    "ClearBasketResponse",
    "ConfigurationRequest",
    "ConfigurationResponse",
    "ConfirmationTimeExtensionRequest",
    "ConfirmationTimeExtensionResponse",
    "ConnectRequest",
    "ConnectResponse",
    "DeactivationRequest",
    "DeactivationResponse",
    "DeviceCommandRequest",
    "DeviceCommandResponse",
    "DialogRequest",
    "DialogResponse",
    "DisplayNotification",
    "EFTHello",
    "ErrorNotification",
    "FinancialReportEntry",
    "HeartbeatRequest",
    "HeartbeatResponse",
    "InitializationRequest",
    "InitializationResponse",
    "LockEFTOperationsRequest",
    "LockEFTOperationsResponse",
    "LoyaltyAdviceNotification",
    "LoyaltyPromotionNotification",
    "Message",
    "NextScheduledTask",
    "Pairing",
    "PrintReceiptRequest",
    "PrintReceiptResponse",
    "RFIDStatusNotification",
    "RecOrderRef",
    "ReceiptRequest",
    "ReceiptResponse",
    "ReportRequest",
    "ReportResponse",
    "SetTerminalLanguageRequest",
    "SetTerminalLanguageResponse",
    "StatusRequest",
    "StatusResponse",
    "TransactionConfirmationRequest",
    "TransactionConfirmationResponse",
    "TransactionDataChangeRequest",
    "TransactionDataChangeResponse",
    "TransactionRequest",
    "TransactionResponse",
    "TrxDataChangeReason",
    "TrxListReportEntry",
    "UnlockEFTOperationsRequest",
    "UnlockEFTOperationsResponse",
    "name_of",
]


class ConnectRequest(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Open the session and set its options. Source: KIT schema 1.1.0, ConnectRequest."""

    trm_lng: str | None = msgspec.field(name="TrmLng", default=None)
    printer_width: Integer | None = msgspec.field(name="PrinterWidth", default=None)
    set_trx_data_change_reason: tuple[TrxDataChangeReason, ...] | None = msgspec.field(
        name="SetTrxDataChangeReason", default=None
    )
    unsolicited_receipts: Integer | None = msgspec.field(name="UnsolicitedReceipts", default=None)
    suppress_scheduled_tasks: Integer | None = msgspec.field(name="SuppressScheduledTasks", default=None)
    use_external_display: Integer | None = msgspec.field(name="UseExternalDisplay", default=None)
    posid: str | None = msgspec.field(name="POSID", default=None)


class ConnectResponse(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Who the terminal is. Source: KIT schema 1.1.0, ConnectResponse."""

    trm_id: str | None = msgspec.field(name="TrmID", default=None)
    trm_lng: str | None = msgspec.field(name="TrmLng", default=None)
    ifd_serial_num: str | None = msgspec.field(name="IFDSerialNum", default=None)
    software_version: Integer | None = msgspec.field(name="SoftwareVersion", default=None)
    pe_seq_cnt: Integer | None = msgspec.field(name="PeSeqCnt", default=None)
    act_seq_cnt: Integer | None = msgspec.field(name="ActSeqCnt", default=None)


class StatusRequest(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Ask for the status. Source: KIT schema 1.1.0, StatusRequest."""


class StatusResponse(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """The status: as an answer, and unasked at every change. Source: KIT schema 1.1.0, StatusResponse."""

    trm_status: Integer = msgspec.field(name="TrmStatus")
    trm_lng: str | None = msgspec.field(name="TrmLng", default=None)
    e_sig_ind: Integer | None = msgspec.field(name="ESigInd", default=None)
    iin: Integer | None = msgspec.field(name="IIN", default=None)
    atr: str | None = msgspec.field(name="ATR", default=None)
    aid: str | None = msgspec.field(name="AID", default=None)
    aidicc: str | None = msgspec.field(name="AIDICC", default=None)
    app_curr_c: Integer | None = msgspec.field(name="AppCurrC", default=None)
    app_curr_exp: Integer | None = msgspec.field(name="AppCurrExp", default=None)
    track2_data: str | None = msgspec.field(name="Track2Data", default=None)
    track3_data: str | None = msgspec.field(name="Track3Data", default=None)
    uid: str | None = msgspec.field(name="UID", default=None)
    last_reader_cleaning_date: str | None = msgspec.field(name="LastReaderCleaningDate", default=None)
    set_acq_info: tuple[AcqInfo, ...] | None = msgspec.field(name="SetAcqInfo", default=None)
    cardholder_lng: str | None = msgspec.field(name="CardholderLng", default=None)
    next_scheduled_task: NextScheduledTask | None = msgspec.field(name="NextScheduledTask", default=None)


class ActivationRequest(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Open the shift; on an open shift: fetch the configuration. Source: KIT schema 1.1.0, ActivationRequest."""

    attendant_name: str | None = msgspec.field(name="AttendantName", default=None)
    attendant_number: Integer | None = msgspec.field(name="AttendantNumber", default=None)


class ActivationResponse(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """The configuration: functions, currencies, brands. Source: KIT schema 1.1.0, ActivationResponse."""

    trm_id: str | None = msgspec.field(name="TrmID", default=None)
    trm_type: Integer | None = msgspec.field(name="TrmType", default=None)
    trm_lng: str | None = msgspec.field(name="TrmLng", default=None)
    pe_seq_cnt: Integer | None = msgspec.field(name="PeSeqCnt", default=None)
    act_seq_cnt: Integer | None = msgspec.field(name="ActSeqCnt", default=None)
    trx_seq_cnt: Integer | None = msgspec.field(name="TrxSeqCnt", default=None)
    trm_cntry_c: Integer | None = msgspec.field(name="TrmCntryC", default=None)
    mct_id: str | None = msgspec.field(name="MctID", default=None)
    mct_name_loc: str | None = msgspec.field(name="MctNameLoc", default=None)
    trx_functions: Integer | None = msgspec.field(name="TrxFunctions", default=None)
    currencies: tuple[Integer, ...] | None = msgspec.field(name="Currencies", default=None)
    brands: tuple[str, ...] | None = msgspec.field(name="Brands", default=None)


class DeactivationRequest(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Close the shift. Source: KIT schema 1.1.0, DeactivationRequest."""


class DeactivationResponse(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """The shift is closed. Source: KIT schema 1.1.0, DeactivationResponse."""


class TransactionRequest(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Start a transaction. Source: KIT schema 1.1.0, TransactionRequest."""

    trx_function: Integer = msgspec.field(name="TrxFunction")
    trx_curr_c: Integer | None = msgspec.field(name="TrxCurrC", default=None)
    amt_auth: Amount | None = msgspec.field(name="AmtAuth", default=None)
    amt_other: Amount | None = msgspec.field(name="AmtOther", default=None)
    auth_c: str | None = msgspec.field(name="AuthC", default=None)
    acq_id: Integer | None = msgspec.field(name="AcqID", default=None)
    trx_ref_num: str | None = msgspec.field(name="TrxRefNum", default=None)
    trx_seq_cnt_ori: Integer | None = msgspec.field(name="TrxSeqCntOri", default=None)
    trx_reason_c: str | None = msgspec.field(name="TrxReasonC", default=None)
    partial_approval_cap: Integer | None = msgspec.field(name="PartialApprovalCap", default=None)
    rec_order_ref: RecOrderRef | None = msgspec.field(name="RecOrderRef", default=None)
    dcc_orig_date: str | None = msgspec.field(name="DCCOrigDate", default=None)
    text_on_unknown_nfc: str | None = msgspec.field(name="TextOnUnknownNFC", default=None)
    set_active_surrogate_pan: tuple[str, ...] | None = msgspec.field(name="SetActiveSurrogatePAN", default=None)
    trx_req_flags: Integer | None = msgspec.field(name="TrxReqFlags", default=None)


class TransactionResponse(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """The outcome of a transaction. Source: KIT schema 1.1.0, TransactionResponse. TrxFunction: observed (P-10)."""

    trx_result: Integer = msgspec.field(name="TrxResult")
    trx_result_extended: Integer | None = msgspec.field(name="TrxResultExtended", default=None)
    trm_id: str | None = msgspec.field(name="TrmID", default=None)
    trx_function: Integer | None = msgspec.field(name="TrxFunction", default=None)
    trx_seq_cnt: Integer | None = msgspec.field(name="TrxSeqCnt", default=None)
    trx_seq_cnt_ori: Integer | None = msgspec.field(name="TrxSeqCntOri", default=None)
    trx_ref_num: str | None = msgspec.field(name="TrxRefNum", default=None)
    trx_type: Integer | None = msgspec.field(name="TrxType", default=None)
    trx_date: str | None = msgspec.field(name="TrxDate", default=None)
    trx_time: str | None = msgspec.field(name="TrxTime", default=None)
    amt_auth: Amount | None = msgspec.field(name="AmtAuth", default=None)
    amt_other: Amount | None = msgspec.field(name="AmtOther", default=None)
    trx_amt: Amount | None = msgspec.field(name="TrxAmt", default=None)
    tip_amt: Amount | None = msgspec.field(name="TipAmt", default=None)
    trx_curr_c: Integer | None = msgspec.field(name="TrxCurrC", default=None)
    brand: str | None = msgspec.field(name="Brand", default=None)
    display_name: str | None = msgspec.field(name="DisplayName", default=None)
    account_type: Integer | None = msgspec.field(name="AccountType", default=None)
    acq_id: Integer | None = msgspec.field(name="AcqID", default=None)
    aid: str | None = msgspec.field(name="AID", default=None)
    aidicc: str | None = msgspec.field(name="AIDICC", default=None)
    iin: Integer | None = msgspec.field(name="IIN", default=None)
    app_exp_date: str | None = msgspec.field(name="AppExpDate", default=None)
    app_pan: str | None = msgspec.field(name="AppPAN", default=None)
    app_pan_prt_cardholder: str | None = msgspec.field(name="AppPANPrtCardholder", default=None)
    app_pan_prt_attendant: str | None = msgspec.field(name="AppPANPrtAttendant", default=None)
    app_pan_enc: str | None = msgspec.field(name="AppPANEnc", default=None)
    stat_key_pan_rct_ind: str | None = msgspec.field(name="StatKeyPANRctInd", default=None)
    key_pan_rct_dol_ind: str | None = msgspec.field(name="KeyPANRctDOLInd", default=None)
    surrogate_pan: str | None = msgspec.field(name="SurrogatePAN", default=None)
    pos_entry_mode: Integer | None = msgspec.field(name="POSEntryMode", default=None)
    auth_c: str | None = msgspec.field(name="AuthC", default=None)
    arc: str | None = msgspec.field(name="ARC", default=None)
    auth_reslt: Integer | None = msgspec.field(name="AuthReslt", default=None)
    voice_phone: str | None = msgspec.field(name="VoicePhone", default=None)
    cardholder_text: str | None = msgspec.field(name="CardholderText", default=None)
    attendant_text: str | None = msgspec.field(name="AttendantText", default=None)
    iss_cntry_c: Integer | None = msgspec.field(name="IssCntryC", default=None)
    amt_avail: Amount | None = msgspec.field(name="AmtAvail", default=None)
    amt_avail_curr_c: Integer | None = msgspec.field(name="AmtAvailCurrC", default=None)
    amt_remaining: Amount | None = msgspec.field(name="AmtRemaining", default=None)
    e_signature: str | None = msgspec.field(name="ESignature", default=None)
    cvm_results: str | None = msgspec.field(name="CVMResults", default=None)
    pre_auth_exp_date: str | None = msgspec.field(name="PreAuthExpDate", default=None)
    atr: str | None = msgspec.field(name="ATR", default=None)
    bonus_card_brand_number: Integer | None = msgspec.field(name="BonusCardBrandNumber", default=None)
    dcc_commission_amt: Amount | None = msgspec.field(name="DCCCommissionAmt", default=None)
    dcc_commission_curr_c: Integer | None = msgspec.field(name="DCCCommissionCurrC", default=None)
    dcc_foreign_amount: Amount | None = msgspec.field(name="DCCForeignAmount", default=None)
    dcc_foreign_curr_c: Integer | None = msgspec.field(name="DCCForeignCurrC", default=None)
    dcc_markup_percentage: str | None = msgspec.field(name="DCCMarkupPercentage", default=None)
    dcc_rate: Integer | None = msgspec.field(name="DCCRate", default=None)
    dcc_rate_exp: Integer | None = msgspec.field(name="DCCRateExp", default=None)
    aosa: Amount | None = msgspec.field(name="AOSA", default=None)
    form_factor_ind: str | None = msgspec.field(name="FormFactorInd", default=None)


class TransactionConfirmationRequest(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """1: confirm, and the money moves; 0: roll back. Source: KIT schema 1.1.0, TransactionConfirmationRequest."""

    confirm: Integer = msgspec.field(name="Confirm")
    trx_amt: Amount | None = msgspec.field(name="TrxAmt", default=None)
    trx_seq_cnt: Integer | None = msgspec.field(name="TrxSeqCnt", default=None)


class TransactionConfirmationResponse(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Done; texts only after a rollback. Source: KIT schema 1.1.0, TransactionConfirmationResponse."""

    msg_type: Integer | None = msgspec.field(name="MsgType", default=None)
    auth_reslt: Integer | None = msgspec.field(name="AuthReslt", default=None)
    cardholder_text: str | None = msgspec.field(name="CardholderText", default=None)
    attendant_text: str | None = msgspec.field(name="AttendantText", default=None)


class AbortTransactionRequest(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Stop the running transaction. Source: KIT schema 1.1.0, AbortTransactionRequest."""

    trx_abort_flags: Integer | None = msgspec.field(name="TrxAbortFlags", default=None)


class AbortTransactionResponse(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """The request was seen; TransactionResponse still comes. Source: KIT schema 1.1.0, AbortTransactionResponse."""


class BatchCaptureRequest(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Submit to the acquirers, transmit, or both. Source: KIT schema 1.1.0, BatchCaptureRequest."""

    batch_capture_flags: Integer | None = msgspec.field(name="BatchCaptureFlags", default=None)


class BatchCaptureResponse(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Done. Source: KIT schema 1.1.0, BatchCaptureResponse."""


class BalanceRequest(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Final balance (end of day). Source: KIT schema 1.1.0, BalanceRequest."""


class BalanceResponse(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Done. Source: KIT schema 1.1.0, BalanceResponse."""


class ConfigurationRequest(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Load the configuration from the TMS. Source: KIT schema 1.1.0, ConfigurationRequest."""


class ConfigurationResponse(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Done. Source: KIT schema 1.1.0, ConfigurationResponse."""


class InitializationRequest(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Fetch initialisation data; without AcqID for all acquirers. Source: KIT schema 1.1.0, InitializationRequest."""

    acq_id: Integer | None = msgspec.field(name="AcqID", default=None)


class InitializationResponse(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Done. Source: KIT schema 1.1.0, InitializationResponse."""


class ReceiptRequest(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Fetch a receipt. Source: KIT schema 1.1.0, ReceiptRequest."""

    receipt_type: Integer = msgspec.field(name="ReceiptType")
    receipt_id_numeric: Integer | None = msgspec.field(name="ReceiptIDNumeric", default=None)


class ReceiptResponse(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """A receipt or a part of one; also unasked. Source: KIT schema 1.1.0, ReceiptResponse."""

    receipt_type: Integer = msgspec.field(name="ReceiptType")
    receipt_flags: Integer | None = msgspec.field(name="ReceiptFlags", default=None)
    receipt_text: str = msgspec.field(name="ReceiptText")


class ReportRequest(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Fetch figures. Source: KIT schema 1.1.0, ReportRequest."""

    report_type: Integer | None = msgspec.field(name="ReportType", default=None)


class ReportResponse(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Figures. Source: KIT schema 1.1.0, ReportResponse."""

    report_type: Integer | None = msgspec.field(name="ReportType", default=None)
    report_flags: Integer | None = msgspec.field(name="ReportFlags", default=None)
    financial_report: tuple[FinancialReportEntry, ...] | None = msgspec.field(name="FinancialReport", default=None)
    trx_list_report: tuple[TrxListReportEntry, ...] | None = msgspec.field(name="TrxListReport", default=None)


class TransactionDataChangeRequest(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """The card gives a discount or bonus: which amount now? Source: KIT schema 1.1.0, TransactionDataChangeRequest."""

    set_trx_data_change_reason: tuple[TrxDataChangeReason, ...] | None = msgspec.field(
        name="SetTrxDataChangeReason", default=None
    )


class TransactionDataChangeResponse(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """The new amount. Source: KIT schema 1.1.0, TransactionDataChangeResponse."""

    amt_auth: Amount | None = msgspec.field(name="AmtAuth", default=None)


class ConfirmationTimeExtensionRequest(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Wait longer for the confirmation. Source: KIT schema 1.1.0, ConfirmationTimeExtensionRequest."""

    seconds: Integer = msgspec.field(name="Seconds")
    cardholder_text: str | None = msgspec.field(name="CardholderText", default=None)


class ConfirmationTimeExtensionResponse(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Granted. Source: KIT schema 1.1.0, ConfirmationTimeExtensionResponse."""


class LockEFTOperationsRequest(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """No payments for now. Source: KIT schema 1.1.0, LockEFTOperationsRequest."""


class LockEFTOperationsResponse(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Locked. Source: KIT schema 1.1.0, LockEFTOperationsResponse."""


class UnlockEFTOperationsRequest(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Payments again. Source: KIT schema 1.1.0, UnlockEFTOperationsRequest."""


class UnlockEFTOperationsResponse(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Unlocked. Source: KIT schema 1.1.0, UnlockEFTOperationsResponse."""


class SetTerminalLanguageRequest(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Set the language of the display. Source: KIT schema 1.1.0, SetTerminalLanguageRequest."""

    trm_lng: str = msgspec.field(name="TrmLng")


class SetTerminalLanguageResponse(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Done. Source: KIT schema 1.1.0, SetTerminalLanguageResponse."""


class DialogRequest(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Show a text, ask for input. Source: KIT schema 1.1.0, DialogRequest."""

    dialog_resource: Integer = msgspec.field(name="DialogResource")
    dialog_resource_args: tuple[str | Integer, ...] | None = msgspec.field(name="DialogResourceArgs", default=None)
    timeout: Integer | None = msgspec.field(name="Timeout", default=None)
    input_type: Integer | None = msgspec.field(name="InputType", default=None)
    dialog_icon: Integer | None = msgspec.field(name="DialogIcon", default=None)
    dialog_flags: Integer | None = msgspec.field(name="DialogFlags", default=None)
    default_input_value: str | None = msgspec.field(name="DefaultInputValue", default=None)
    min_length: Integer | None = msgspec.field(name="MinLength", default=None)
    max_length: Integer | None = msgspec.field(name="MaxLength", default=None)
    reference_password: str | None = msgspec.field(name="ReferencePassword", default=None)
    default_icon: Integer | None = msgspec.field(name="DefaultIcon", default=None)
    default_resource: Integer | None = msgspec.field(name="DefaultResource", default=None)
    default_resource_args: tuple[str | Integer, ...] | None = msgspec.field(name="DefaultResourceArgs", default=None)
    ui_buttons: Integer | None = msgspec.field(name="UIButtons", default=None)


class DialogResponse(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """How the dialog ended, and what was entered. Source: KIT schema 1.1.0, DialogResponse."""

    dialog_result: Integer = msgspec.field(name="DialogResult")
    utf8_string: str | None = msgspec.field(name="UTF8String", default=None)
    boolean: Integer | None = msgspec.field(name="Boolean", default=None)


class CancelUIRequest(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """End the dialog; there is no response message. Source: KIT schema 1.1.0, CancelUIRequest."""


class DisplayNotification(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """The text that is now on the display. Source: KIT schema 1.1.0, DisplayNotification."""

    cardholder_text: str | None = msgspec.field(name="CardholderText", default=None)
    cardholder_resource: Integer | None = msgspec.field(name="CardholderResource", default=None)


class RFIDStatusNotification(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """The state of the contactless reader. Source: KIT schema 1.1.0, RFIDStatusNotification."""

    rfid_status: Integer | None = msgspec.field(name="RFIDStatus", default=None)


class LoyaltyPromotionNotification(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Fields are not public. Source: PayTecAG/ecritf, C++ example, LoyaltyPromotionNotification."""


class LoyaltyAdviceNotification(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Fields are not public. Source: PayTecAG/ecritf, C++ example, LoyaltyAdviceNotification."""


class ClearBasketRequest(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Empty the basket; its fields are not public. Source: PayTecAG/ecritf, C++ example, ClearBasketRequest."""


class ClearBasketResponse(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Basket emptied; its fields are not public. Source: PayTecAG/ecritf, C++ example, ClearBasketResponse."""


class AddToBasketRequest(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Add to the basket; its fields are not public. Source: PayTecAG/ecritf, C++ example, AddToBasketRequest."""


class AddToBasketResponse(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Added to the basket; its fields are not public. Source: PayTecAG/ecritf, C++ example, AddToBasketResponse."""


class PrintReceiptRequest(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Print on the terminal's printer. Source: KIT schema 1.1.0, PrintReceiptRequest."""

    receipt_text: str = msgspec.field(name="ReceiptText")
    receipt_flags: Integer | None = msgspec.field(name="ReceiptFlags", default=None)


class PrintReceiptResponse(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """The printer's result. Source: KIT schema 1.1.0, PrintReceiptResponse."""

    printer_status: Integer = msgspec.field(name="PrinterStatus")


class DeviceCommandRequest(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Eject, reboot, scan and so on. Source: KIT schema 1.1.0, this name. CardholderText: library (P-06)."""

    device_command_code: Integer = msgspec.field(name="DeviceCommandCode")
    timeout: Integer | None = msgspec.field(name="Timeout", default=None)
    title: str | None = msgspec.field(name="Title", default=None)
    text: str | None = msgspec.field(name="Text", default=None)
    cardholder_text: str | None = msgspec.field(name="CardholderText", default=None)


class DeviceCommandResponse(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Done. Source: KIT schema 1.1.0, DeviceCommandResponse."""

    device_command_code: Integer = msgspec.field(name="DeviceCommandCode")
    scanned_data: str | None = msgspec.field(name="ScannedData", default=None)


class HeartbeatRequest(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Are you there? Source: KIT schema 1.1.0, HeartbeatRequest."""


class HeartbeatResponse(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """Yes. Source: KIT schema 1.1.0, HeartbeatResponse."""


class ErrorNotification(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """A request failed, or something is wrong. Source: KIT schema 1.1.0, ErrorNotification."""

    error_code: Integer | None = msgspec.field(name="ErrorCode", default=None)
    error_source: str | None = msgspec.field(name="ErrorSource", default=None)
    error_description: str | None = msgspec.field(name="ErrorDescription", default=None)


class Pairing(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """A register introduces itself to a terminal in the cloud. Source: PayTecAG/ecritf, ecritf.js, Pairing."""

    code: str = msgspec.field(name="Code")
    channel: str = msgspec.field(name="Channel")
    peer_name: str | None = msgspec.field(name="PeerName", default=None)


class EFTHello(KitMessage, frozen=True, kw_only=True, omit_defaults=True):
    """A terminal announces itself on its channel. Source: PayTecAG/ecritf, ecritf.js, EFTHello."""

    ifd_serial_num: str | None = msgspec.field(name="IFDSerialNum", default=None)
    trm_id: str | None = msgspec.field(name="TrmID", default=None)
    peer_url_backup: str | None = msgspec.field(name="PeerURLBackup", default=None)


Message = (
    ConnectRequest
    | ConnectResponse
    | StatusRequest
    | StatusResponse
    | ActivationRequest
    | ActivationResponse
    | DeactivationRequest
    | DeactivationResponse
    | TransactionRequest
    | TransactionResponse
    | TransactionConfirmationRequest
    | TransactionConfirmationResponse
    | AbortTransactionRequest
    | AbortTransactionResponse
    | BatchCaptureRequest
    | BatchCaptureResponse
    | BalanceRequest
    | BalanceResponse
    | ConfigurationRequest
    | ConfigurationResponse
    | InitializationRequest
    | InitializationResponse
    | ReceiptRequest
    | ReceiptResponse
    | ReportRequest
    | ReportResponse
    | TransactionDataChangeRequest
    | TransactionDataChangeResponse
    | ConfirmationTimeExtensionRequest
    | ConfirmationTimeExtensionResponse
    | LockEFTOperationsRequest
    | LockEFTOperationsResponse
    | UnlockEFTOperationsRequest
    | UnlockEFTOperationsResponse
    | SetTerminalLanguageRequest
    | SetTerminalLanguageResponse
    | DialogRequest
    | DialogResponse
    | CancelUIRequest
    | DisplayNotification
    | RFIDStatusNotification
    | LoyaltyPromotionNotification
    | LoyaltyAdviceNotification
    | ClearBasketRequest
    | ClearBasketResponse
    | AddToBasketRequest
    | AddToBasketResponse
    | PrintReceiptRequest
    | PrintReceiptResponse
    | DeviceCommandRequest
    | DeviceCommandResponse
    | HeartbeatRequest
    | HeartbeatResponse
    | ErrorNotification
    | Pairing
    | EFTHello
)
"""Any KIT message."""

_CLASSES: Final[tuple[type[Message], ...]] = (
    ConnectRequest,
    ConnectResponse,
    StatusRequest,
    StatusResponse,
    ActivationRequest,
    ActivationResponse,
    DeactivationRequest,
    DeactivationResponse,
    TransactionRequest,
    TransactionResponse,
    TransactionConfirmationRequest,
    TransactionConfirmationResponse,
    AbortTransactionRequest,
    AbortTransactionResponse,
    BatchCaptureRequest,
    BatchCaptureResponse,
    BalanceRequest,
    BalanceResponse,
    ConfigurationRequest,
    ConfigurationResponse,
    InitializationRequest,
    InitializationResponse,
    ReceiptRequest,
    ReceiptResponse,
    ReportRequest,
    ReportResponse,
    TransactionDataChangeRequest,
    TransactionDataChangeResponse,
    ConfirmationTimeExtensionRequest,
    ConfirmationTimeExtensionResponse,
    LockEFTOperationsRequest,
    LockEFTOperationsResponse,
    UnlockEFTOperationsRequest,
    UnlockEFTOperationsResponse,
    SetTerminalLanguageRequest,
    SetTerminalLanguageResponse,
    DialogRequest,
    DialogResponse,
    CancelUIRequest,
    DisplayNotification,
    RFIDStatusNotification,
    LoyaltyPromotionNotification,
    LoyaltyAdviceNotification,
    ClearBasketRequest,
    ClearBasketResponse,
    AddToBasketRequest,
    AddToBasketResponse,
    PrintReceiptRequest,
    PrintReceiptResponse,
    DeviceCommandRequest,
    DeviceCommandResponse,
    HeartbeatRequest,
    HeartbeatResponse,
    ErrorNotification,
    Pairing,
    EFTHello,
)

MESSAGES: Final[Mapping[str, type[Message]]] = MappingProxyType({cls.__name__: cls for cls in _CLASSES})
"""Every message class by its wire name."""


def name_of(message: Message) -> str:
    """The message's name on the wire."""
    return type(message).__name__
