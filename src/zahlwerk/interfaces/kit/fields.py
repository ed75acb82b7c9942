"""Every field of KIT JSON: what it means, its unit and JSON kind, and whether it may be written down.

Source: PayTecAG/ecritf, ecritf-schema.json (v1.1.0); fields of library or document only are marked.
Names are PayTec's. The objects inside messages (AcqInfo and so on) have rows too: other encodings of KIT name them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from zahlwerk.codec.source import Source
from zahlwerk.interfaces.kit._sources import DOCUMENT, LIBRARY, schema

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["AMOUNT_FIELDS", "FIELDS", "FIELD_ROWS", "SENSITIVE_FIELDS", "FieldKind", "FieldRow"]


@unique
class FieldKind(StrEnum):
    """What a field holds in JSON."""

    INTEGER = "int"
    """A number, a counter or a 0/1 switch."""
    ENUM = "enum"
    """An integer with listed values."""
    FLAGS = "flags"
    """An integer whose bits have meanings."""
    AMOUNT = "amount"
    """Minor units, never negative, at most twelve digits."""
    CURRENCY = "currency"
    """ISO 4217 number."""
    STRING = "string"
    BASE64 = "base64"
    """Bytes as base64 text."""
    ARRAY = "array"
    OBJECT = "object"


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One field of KIT JSON."""

    name: str
    """As on the wire."""
    meaning: str
    """In a few words, for people."""
    unit: str
    """`minor units`, `ms`, `ISO 4217`, a date format; empty where there is none."""
    kind: FieldKind
    sensitive: bool
    """Never written down: starred in traces, logs and errors."""
    in_schema: bool
    """False: known from the library or the document only."""
    source: Source


def _row(
    name: str, meaning: str, kind: str, source: Source | None = None, *, unit: str = "", sensitive: bool = False
) -> FieldRow:
    return FieldRow(name, meaning, unit, FieldKind(kind), sensitive, source is None, source or schema(name))


# Track data, check code and password must never be stored (PCI DSS 4.0, 3.3); number and expiry are masked with them.
# UTF8String is what was entered in a dialog: the response does not say whether it was a password, so it is always
# masked. Code and Channel are bearer secrets: whoever knows the channel can act as register or terminal.
FIELD_ROWS: Final[tuple[FieldRow, ...]] = (
    _row("AcqID", "acquirer identifier", "int"),
    _row("AmtAuth", "amount to authorise, or authorised; contains the cashback", "amount", unit="minor units"),
    _row("AmtOther", "cashback amount", "amount", unit="minor units"),
    _row("AID", "application identifier", "base64"),
    _row("AIDICC", "application identifier as the card gave it", "base64"),
    _row("IIN", "first six digits of the card number", "int"),
    _row("Track2Data", "magstripe track 2", "base64", sensitive=True),
    _row("Track3Data", "magstripe track 3 (ISO 7816-6 tag)", "base64", sensitive=True),
    _row("AppPAN", "card number", "base64", sensitive=True),
    _row("AuthC", "authorisation code", "string"),
    _row("ARC", "authorisation response code", "string"),
    _row("TrxDate", "local transaction date", "string", unit="YYMMDD"),
    _row("TrxType", "ISO 8583 transaction type (90 seen for account verification)", "int"),
    _row("AppExpDate", "card expiry", "string", unit="YYMMDD", sensitive=True),
    _row("IssCntryC", "issuer country", "int", unit="ISO 3166"),
    _row("TrxCurrC", "transaction currency", "currency", unit="ISO 4217"),
    _row("CardholderLng", "language of the card holder", "string", unit="ISO 639-1"),
    _row("ATR", "answer to reset of the chip", "base64"),
    _row("AccountType", "account type", "int"),
    _row("MctID", "merchant identifier", "string"),
    _row("TrmCntryC", "terminal country", "int", unit="ISO 3166"),
    _row("TrmID", "terminal identification", "string"),
    _row("IFDSerialNum", "serial number of the device", "string"),
    _row("TrxTime", "local time when the card was presented", "string", unit="HHMMSS"),
    _row("CVMResults", "EMV CVM results", "base64"),
    _row("TrmType", "terminal type (EMV Book 4, annex A1)", "int"),
    _row("TrxSeqCnt", "transaction counter", "int"),
    _row("AppCurrC", "application currency of the card", "currency", unit="ISO 4217"),
    _row("AppCurrExp", "application currency exponent", "int"),
    _row("MctNameLoc", "merchant name and place", "string"),
    _row("AOSA", "available offline spending amount", "amount", unit="minor units"),
    _row("FormFactorInd", "form factor indicator (Visa tag)", "base64"),
    _row("PrinterWidth", "characters per receipt line", "int", unit="characters"),
    _row("UnsolicitedReceipts", "send every receipt unasked", "int"),
    _row("SuppressScheduledTasks", "no scheduled tasks, no standby", "int"),
    _row("UseExternalDisplay", "send display texts and reader states", "int"),
    _row("POSID", "name or number of the register", "string"),
    _row("TrmLng", "terminal language", "string", unit="ISO 639-1"),
    _row("SoftwareVersion", "software version (major*10000 + minor*100 + patch)", "int"),
    _row("PeSeqCnt", "booking-period counter", "int"),
    _row("ActSeqCnt", "activation (shift) counter", "int"),
    _row("TrmStatus", "state of the terminal", "flags"),
    _row("AttendantName", "name of the attendant", "string"),
    _row("AttendantNumber", "attendant number", "int"),
    _row("POSInterface", "interface of the register (beside the message)", "string", LIBRARY),
    _row("POSInterfaceTransport", "transport of the register (beside the message)", "string", LIBRARY),
    _row("msg_id", "duplicate key with a backup broker", "string", LIBRARY),
    _row("ESigInd", "terminal can take an electronic signature", "int"),
    _row("UID", "UID of an NFC tag", "base64"),
    _row(
        "LastReaderCleaningDate", "local time of the last cleaning of the reader", "string", unit="yyyy-MM-dd HH:mm:ss"
    ),
    _row("LastAcqInitDate", "last successful initialisation", "string", unit="yyyy-MM-dd HH:mm:ss"),
    _row("TaskName", "scheduled task", "string"),
    _row("LastRun", "local time of the last run", "string", unit="yyyy-MM-dd HH:mm:ss"),
    _row("NextRun", "local time of the next run", "string", unit="yyyy-MM-dd HH:mm:ss"),
    _row("TrxFunctions", "functions the terminal supports", "flags"),
    _row("Brand", "card brand; also the element of Brands", "string"),
    _row("RFIDStatus", "state of the contactless reader", "enum"),
    _row("CardholderResource", "number of the text on the display", "int"),
    _row("TrxFunction", "transaction function", "enum"),
    _row("TrxReqFlags", "options of the request", "flags"),
    _row("TrxAbortFlags", "options of the abort", "flags"),
    _row("TrxResult", "result", "enum"),
    _row("TrxResultExtended", "result in detail", "int"),
    _row("TrxAmt", "final amount", "amount", unit="minor units"),
    _row("TipAmt", "tip contained in the amount", "amount", unit="minor units"),
    _row("AmtAvail", "available balance", "amount", unit="minor units"),
    _row("AmtAvailCurrC", "currency of AmtAvail", "currency", unit="ISO 4217"),
    _row("AmtRemaining", "still to pay after a partial approval", "amount", unit="minor units"),
    _row("TrxRefNum", "reference number of the transaction / of the original", "string"),
    _row("TrxSeqCntOri", "counter of the original transaction", "int"),
    _row("TrxReasonC", "reason code (account verification)", "string"),
    _row("PartialApprovalCap", "register accepts partial approval", "int"),
    _row("OrderID", "merchant's order number", "string"),
    _row("DCCOrigDate", "date of the original DCC rate, for refunds", "string", unit="YYYYMMDD"),
    _row("TextOnUnknownNFC", "text to show for an unknown NFC tag", "string"),
    _row("SurrogatePAN", "token that stands for the card number", "base64"),
    _row("AppPANPrtCardholder", "masked PAN for the card holder", "string"),
    _row("AppPANPrtAttendant", "masked PAN for the attendant", "string"),
    _row("AppPANEnc", "encrypted card number", "string", sensitive=True),
    _row("StatKeyPANRctInd", "ep2 receipt key index", "base64"),
    _row("KeyPANRctDOLInd", "ep2 receipt key DOL index", "base64"),
    _row("CardholderText", "text for the card holder", "string"),
    _row("AttendantText", "text for the attendant; may be absent", "string"),
    _row("POSEntryMode", "how the card was read", "enum"),
    _row("AuthReslt", "ep2 authorisation result", "int"),
    _row("VoicePhone", "number to call on referral", "string"),
    _row("DisplayName", "brand name shown to the card holder", "string"),
    _row("ESignature", "electronic signature", "base64", sensitive=True),
    _row("PreAuthExpDate", "end of a reservation", "string", unit="YYMMDD"),
    _row("BonusCardBrandNumber", "bonus card", "int"),
    _row("DCCCommissionAmt", "DCC commission", "amount", unit="minor units"),
    _row("DCCCommissionCurrC", "currency of the DCC commission", "currency", unit="ISO 4217"),
    _row("DCCForeignAmount", "amount in card currency", "amount", unit="minor units"),
    _row("DCCForeignCurrC", "card currency", "currency", unit="ISO 4217"),
    _row("DCCMarkupPercentage", "DCC markup", "string"),
    _row("DCCRate", "DCC rate, scaled", "int"),
    _row("DCCRateExp", "scale of the DCC rate, most likely", "int"),
    _row("Confirm", "1 confirm, 0 roll back", "int"),
    _row("MsgType", "message type of a rollback", "int"),
    _row("Seconds", "extra time wanted", "int", unit="s"),
    _row("TrxDataChangeReasonCode", "reason of a data change", "int"),
    _row("MyOneDiscountCode", "MyOne discount", "int"),
    _row("CVC2", "card verification code", "string", DOCUMENT, sensitive=True),
    _row("ReceiptType", "kind of receipt", "enum"),
    _row("ReceiptIDNumeric", "transaction counter (types 1, 2) or acquirer (type 43)", "int"),
    _row("ReceiptFlags", "how to read the receipt text", "flags"),
    _row("ReceiptText", "receipt text, or a base64 PNG", "string"),
    _row("PrinterStatus", "state of the printer", "flags"),
    _row("ReportType", "kind of report", "enum"),
    _row("ReportFlags", "is the report complete", "flags"),
    _row("FinancialCounterType", "what is counted", "enum"),
    _row("TrxCount", "number of transactions", "int"),
    _row("TotalAmount", "sum, tip included or not: not stated", "amount", unit="minor units"),
    _row("TipAmount", "sum of tips (report entry; the response field is TipAmt)", "amount", unit="minor units"),
    _row("BatchCaptureFlags", "what to submit and transmit", "flags"),
    _row("DialogResource", "text shown", "enum"),
    _row("Timeout", "time-out of the dialog or scan", "int", unit="ms"),
    _row("InputType", "what may be entered", "enum"),
    _row("DialogIcon", "picture shown", "enum"),
    _row("DialogFlags", "options of the dialog", "flags"),
    _row("DefaultInputValue", "preset input", "string"),
    _row("MinLength", "least input length", "int"),
    _row("MaxLength", "greatest input length", "int"),
    _row("ReferencePassword", "password to compare with", "string", sensitive=True),
    _row("DefaultIcon", "picture after the dialog", "enum"),
    _row("DefaultResource", "text after the dialog", "enum"),
    _row("UIButtons", "buttons shown", "flags"),
    _row("DialogResult", "how the dialog ended", "enum"),
    _row("UTF8String", "what was entered", "string", sensitive=True),
    _row("Boolean", "password matched", "int"),
    _row("DeviceCommandCode", "device command", "enum"),
    _row("Title", "title of the scan screen", "string"),
    _row("Text", "hint on the scan screen", "string"),
    _row("ScannedData", "scanned code", "string"),
    _row("ErrorCode", "error number", "int"),
    _row("ErrorSource", "part of the terminal that reports", "string"),
    _row("ErrorDescription", "text for people", "string"),
    _row("SetAcqInfo", "configured acquirers", "array"),
    _row("AcqInfo", "one acquirer", "object"),
    _row("NextScheduledTask", "what the terminal will do by itself next", "object"),
    _row("Currencies", "currencies in use", "array"),
    _row("Brands", "brands in use", "array"),
    _row("RecOrderRef", "order reference", "object"),
    _row("SetActiveSurrogatePAN", "cards now fuelling", "array"),
    _row("SetTrxDataChangeReason", "data-change reasons", "array"),
    _row("TrxDataChangeReason", "one reason", "object"),
    _row("FinancialReport", "totals", "array"),
    _row("FinancialReportEntry", "one total", "object"),
    _row("TrxListReport", "transactions", "array"),
    _row("TrxListReportEntry", "one transaction", "object"),
    _row("DialogResourceArgs", "arguments of the text", "array"),
    _row("DefaultResourceArgs", "arguments of the default text", "array"),
    _row("Code", "last three digits of the pairing code", "string", LIBRARY, sensitive=True),
    _row(
        "Channel",
        "pairing channel; whoever knows it can act as register or terminal",
        "string",
        LIBRARY,
        sensitive=True,
    ),
    _row("PeerName", "name of the register", "string", LIBRARY),
    _row("PeerURLBackup", "address of a second broker", "string", LIBRARY),
)
"""All fields, grouped as EMV fields, fields of the session, lists and objects, cloud."""

FIELDS: Final[Mapping[str, FieldRow]] = MappingProxyType({row.name: row for row in FIELD_ROWS})
"""The same by wire name."""

SENSITIVE_FIELDS: Final[frozenset[str]] = frozenset(row.name for row in FIELD_ROWS if row.sensitive)
"""Wire names of fields that are starred wherever they could be written down.

`Channel` keeps its first eight characters, `ESignature` tells its length; the others become stars.
"""

AMOUNT_FIELDS: Final[frozenset[str]] = frozenset(row.name for row in FIELD_ROWS if row.kind is FieldKind.AMOUNT)
"""Wire names of amounts: the only integers that are never read from a string."""
