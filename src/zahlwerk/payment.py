"""Payments: what is asked for, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum, unique
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from zahlwerk.carddata import contains_card_data, is_masked, refuse_card_data
from zahlwerk.errors import InvalidRequest, MoneyMoved
from zahlwerk.lifecycle import MONEY, PaymentState
from zahlwerk.money import Money

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AMOUNT_KINDS",
    "REFERENCE_KINDS",
    "REFERENCE_MAX",
    "Dcc",
    "EntryMode",
    "Original",
    "Outcome",
    "Payment",
    "PaymentKind",
    "PaymentRequest",
    "Receipt",
    "ReceiptKind",
    "TipPolicy",
    "UnknownTag",
    "new_reference",
]

# LIMIT: ep2 8.x carries a merchant order reference of at most 48 characters (KIT fact sheet 3.5, OrderID).
REFERENCE_MAX: Final = 48


@unique
class PaymentKind(Enum):
    """The functions of a terminal that may move money or ask about it. Source: KIT fact sheet 2.3 (ep2 functions)."""

    PURCHASE = "purchase"
    PURCHASE_WITH_CASHBACK = "purchase with cashback"
    CASH_ADVANCE = "cash advance"
    REFUND = "refund"
    REVERSAL = "reversal"
    AUTHORISATION = "authorisation"
    """Authorise up to a limit now, settle the true amount later (vending, fuel): what `hold` uses."""
    RESERVATION = "reservation"
    RESERVATION_ADJUSTMENT = "reservation adjustment"
    RESERVATION_CAPTURE = "reservation capture"
    RESERVATION_CANCEL = "reservation cancel"
    RESERVATION_PHONE_CONFIRM = "reservation phone confirm"
    MAIL_ORDER = "mail order"
    PHONE_ORDER = "phone order"
    FORCED_ACCEPTANCE = "forced acceptance"
    """The merchant takes the risk without an authorisation."""
    PHONE_AUTHORISED = "phone authorised"
    """After a referral, with the code got by telephone."""
    BALANCE_INQUIRY = "balance inquiry"
    CARD_ACTIVATION = "card activation"
    LOAD = "load"
    ACCOUNT_VERIFICATION = "account verification"


_K = PaymentKind
AMOUNT_KINDS: Final[frozenset[PaymentKind]] = frozenset(_K) - {
    _K.REVERSAL, _K.RESERVATION_CANCEL, _K.BALANCE_INQUIRY, _K.CARD_ACTIVATION, _K.ACCOUNT_VERIFICATION,
}  # fmt: skip
"""Kinds that need an amount. Source: KIT fact sheet 2.3, column "needs"."""
REFERENCE_KINDS: Final[frozenset[PaymentKind]] = frozenset({
    _K.RESERVATION_ADJUSTMENT, _K.RESERVATION_CAPTURE, _K.RESERVATION_CANCEL, _K.RESERVATION_PHONE_CONFIRM,
})  # fmt: skip
"""Kinds that need the transaction reference and acquirer of an earlier payment. Source: as above, mark "Ref"."""


@unique
class Outcome(Enum):
    """What became of a payment; exactly one holds."""

    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
    REFERRED = "REFERRED"
    """The acquirer wants a telephone call; no money moved."""
    ABORTED = "ABORTED"
    """Stopped by cardholder, register or terminal, or rolled back on purpose; no money moved."""
    FAILED = "FAILED"
    """Certainly no money moved."""
    UNKNOWN = "UNKNOWN"
    """Not known yet: do not charge again, look it up."""


@unique
class EntryMode(Enum):
    """How the card got into the terminal."""

    UNKNOWN = "unknown"
    MANUAL = "manual"
    CHIP = "chip"
    MAGSTRIPE = "magstripe"
    FALLBACK = "magstripe fallback"
    CONTACTLESS = "contactless"
    CONTACTLESS_MAGSTRIPE = "contactless magstripe"
    QR = "qr"
    BARCODE = "barcode"
    BLUETOOTH = "bluetooth"
    REFERENCE = "reference"


@unique
class ReceiptKind(Enum):
    """What a receipt is about. Source: KIT fact sheet 2.8."""

    MERCHANT = "merchant"
    CUSTOMER = "customer"
    SHIFT_OPENED = "shift opened"
    SHIFT_CLOSED = "shift closed"
    END_OF_DAY = "end of day"
    SUBMISSION = "submission"
    TRANSMISSION = "transmission"
    CONFIGURATION = "configuration"
    INITIALISATION = "initialisation"
    DCC_OFFER = "dcc offer"
    DCC_RATES = "dcc rates"
    OTHER = "other"


@unique
class TipPolicy(Enum):
    """Who asks for a tip."""

    TERMINAL_DECIDES = "terminal decides"
    ASK = "ask"
    NEVER = "never"


@unique
class UnknownTag(Enum):
    """What to do with an NFC tag that is no payment card."""

    ABORT = "abort"
    ABORT_SILENTLY = "abort silently"
    REPORT = "report"


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt as the terminal made it."""

    kind: ReceiptKind
    text: str = ""
    """Lines separated by `\\n`; empty for an image."""
    image_png: bytes = b""
    sequence: int | None = None
    """The terminal's transaction counter the receipt belongs to, where known."""


@dataclass(frozen=True, slots=True)
class Dcc:
    """The card holder chose to pay in the card's own currency."""

    amount: Money
    rate: str = ""
    """The rate as the terminal gave it."""
    markup: str = ""
    commission: Money | None = None


@dataclass(frozen=True, slots=True)
class Original:
    """The earlier payment that a reversal, refund or reservation step refers to."""

    transaction_reference: str = ""
    acquirer_id: int | None = None
    sequence: int | None = None
    dcc_date: str = ""
    """YYYYMMDD of the original DCC rate, for the refund of a DCC payment."""


def new_reference() -> str:
    """A fresh reference, for callers that have no number of their own."""
    import secrets  # here, because it costs a tenth of the import of this package

    while contains_card_data(reference := f"zw-{secrets.token_hex(8)}"):
        pass  # one in some 10,000 looks like a card number and would be refused
    return reference


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRequest:
    """What a register asks for. `reference` is its own id and the idempotency key.

    Raises:
        InvalidRequest: a field is missing for the kind, an amount is negative, zero where money must move, or in
            another currency; a reference is empty or too long.
        CardDataRefused: a text holds a card number.
    """

    kind: PaymentKind = PaymentKind.PURCHASE
    amount: Money | None = None
    """For the goods; `tip` and `cashback` come on top (see `total`)."""
    tip: Money | None = None
    """A tip that is known before the card is shown."""
    cashback: Money | None = None
    reference: str = field(default_factory=new_reference)
    order_reference: str = ""
    """The merchant's order number, printed and submitted by the terminal; the reference is used when empty."""
    language: str = ""
    """ISO 639-1, of the texts that come back."""
    tip_policy: TipPolicy = TipPolicy.TERMINAL_DECIDES
    partial_approval: bool = False
    """The register can collect the rest by another tender."""
    original: Original | None = None
    authorisation_code: str = ""
    reason_code: str = ""
    unknown_tag: UnknownTag = UnknownTag.ABORT
    unknown_tag_text: str = ""
    silent: bool = False
    """Start without "insert card" on the terminal."""
    active_tokens: tuple[str, ...] = ()
    """Tokens (base64) of cards that are fuelling now: showing one again stops the payment."""
    metadata: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if not self.reference.strip() or len(self.reference) > REFERENCE_MAX:
            raise InvalidRequest(f"a reference has 1 to {REFERENCE_MAX} characters, got {len(self.reference)}")
        if not self.reference.isprintable():
            raise InvalidRequest("a reference has printable characters only")
        for name in ("reference", "order_reference", "unknown_tag_text", "reason_code"):
            refuse_card_data(getattr(self, name), where=name)
        self._check_amounts()
        if self.kind in REFERENCE_KINDS and not (self.original and self.original.transaction_reference):
            raise InvalidRequest(
                f"a {self.kind.value} needs the transaction reference of the reservation",
                remedy="pass original=Original(transaction_reference=..., acquirer_id=...) from the first payment",
            )
        if self.kind is PaymentKind.PHONE_AUTHORISED and not self.authorisation_code:
            raise InvalidRequest("a phone authorised payment needs the code got by telephone")

    def _check_amounts(self) -> None:
        if self.kind in AMOUNT_KINDS:
            if self.amount is None:
                raise InvalidRequest(f"a {self.kind.value} needs an amount")
            if self.amount.amount <= 0:
                raise InvalidRequest(f"the amount must be more than zero, got {self.amount}")
        elif self.amount is not None:
            raise InvalidRequest(f"a {self.kind.value} has no amount")
        for name in ("tip", "cashback"):
            extra: Money | None = getattr(self, name)
            if extra is None:
                continue
            if self.amount is None or extra.currency != self.amount.currency:
                raise InvalidRequest(f"the {name} must be in the currency of the amount")
            if extra.amount < 0:
                raise InvalidRequest(f"the {name} must not be negative, got {extra}")
        if self.kind is PaymentKind.PURCHASE_WITH_CASHBACK and not self.cashback:
            raise InvalidRequest("a purchase with cashback needs the cashback amount")
        if self.cashback and self.kind is not PaymentKind.PURCHASE_WITH_CASHBACK:
            raise InvalidRequest("cashback goes with a purchase with cashback only")

    @property
    def total(self) -> Money | None:
        """What the card is asked for: amount, tip and cashback. Source: KIT fact sheet P-20 (EMV 9F02 holds 9F03)."""
        total = self.amount
        for extra in (self.tip, self.cashback):
            if total is not None and extra is not None:
                total = total + extra
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """What became of a payment. Every field but the first four may be missing: terminals differ.

    `approved` decides what was paid, never the requested amount: approvals can be partial, and tips are added at the
    terminal. It includes `tip` and `cashback`.
    """

    reference: str
    kind: PaymentKind
    outcome: Outcome
    state: PaymentState
    requested: Money | None = None
    approved: Money | None = None
    tip: Money | None = None
    cashback: Money | None = None
    remaining: Money | None = None
    """Still to collect after a partial approval."""
    available: Money | None = None
    """The balance of a prepaid card."""
    dcc: Dcc | None = None
    brand: str = ""
    masked_pan: str = ""
    aid: str = ""
    """Application identifier, hexadecimal."""
    entry_mode: EntryMode = EntryMode.UNKNOWN
    token: str = ""
    """The surrogate of the card number (base64); the same card gives the same token."""
    authorisation_code: str = ""
    response_code: str = ""
    """The issuer's answer, ISO 8583 field 39: 00, 51 ..."""
    result_code: int | None = None
    """The interface's own extended result, for support."""
    terminal_id: str = ""
    acquirer_id: int | None = None
    sequence: int | None = None
    """The terminal's transaction counter."""
    transaction_reference: str = ""
    """The acquirer's reference, needed for later steps of a reservation."""
    terminal_time: datetime | None = None
    """The terminal's local time without zone: store it, never compare it with our clock."""
    expires: str = ""
    """YYMMDD, end of a reservation."""
    voice_phone: str = ""
    """The number to call after a referral."""
    customer_text: str = ""
    attendant_text: str = ""
    e_signature_png: bytes = b""
    receipts: tuple[Receipt, ...] = ()
    standalone: bool = False
    """Taken at the terminal, without the register."""
    message: str = ""
    """Our own sentence about it, where the terminal gives none."""

    def __post_init__(self) -> None:
        if self.masked_pan and not is_masked(self.masked_pan):
            refuse_card_data(self.masked_pan, where="masked_pan")

    @property
    def money_moved(self) -> MoneyMoved:
        """What to assume about the cardholder's money."""
        return MONEY[self.state]

    @property
    def is_approved(self) -> bool:
        """True if the payment was approved, wholly or in part."""
        return self.outcome is Outcome.APPROVED

    def receipt(self, kind: ReceiptKind) -> str:
        """The text of one receipt, or an empty text."""
        return next((receipt.text for receipt in self.receipts if receipt.kind is kind), "")

    def but(self, **changes: object) -> Payment:
        """A copy with some fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type]  # replace() checks the names itself
