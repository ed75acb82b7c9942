"""`Terminal`: the one port in the middle. Drivers implement it, endpoints and journal use it.

Payments have two phases. The terminal authorises; then the caller's `Witness` is shown the approval and decides:
confirm (money moves) or roll back. That is where a journal makes the approval durable, and where an endpoint asks its
register. Only after the witness has answered does the terminal hear the decision.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, unique
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from zahlwerk.errors import InvalidRequest, NotSupported
from zahlwerk.events import EventHub, EventListener, EventStream, Printer, TerminalStatus
from zahlwerk.hold import Hold, HoldId, HoldOpening
from zahlwerk.money import Money
from zahlwerk.payment import (
    Original,
    Payment,
    PaymentKind,
    PaymentRequest,
    Receipt,
    ReceiptKind,
    new_reference,
)

if TYPE_CHECKING:
    from zahlwerk.faults import LinkFaults

__all__ = [
    "CONFIRM",
    "ROLL_BACK",
    "Answer",
    "Capabilities",
    "Decision",
    "Dialog",
    "DialogEnd",
    "DialogInput",
    "Evidence",
    "Feature",
    "Hold",
    "HoldId",
    "HoldOpening",
    "Maintenance",
    "OpenEntry",
    "Period",
    "ShiftInfo",
    "Terminal",
    "TerminalInfo",
    "Total",
    "TotalKind",
    "Totals",
    "Witness",
    "approve_with",
]


@unique
class Feature(Enum):
    """What a terminal or interface can do beyond taking a payment. Each value is a phrase for people."""

    TWO_PHASE = "wait for a confirmation after the approval"
    PARTIAL_CAPTURE = "confirm less than was authorised"
    HOLD = "hold an amount and settle it later"
    ABORT = "abort a running payment"
    LOOKUP = "tell what became of a payment"
    PARTIAL_APPROVAL = "approve a part of the amount"
    TIP_AT_TERMINAL = "ask for a tip"
    SHIFT = "open and close a shift"
    END_OF_DAY = "close the booking period"
    TOTALS = "report its totals"
    RECEIPTS = "hand over its receipts"
    RECEIPT_COPY = "repeat a receipt"
    UNSOLICITED_RECEIPTS = "send every receipt unasked"
    PRINT = "print for the register"
    PRINT_IMAGE = "print an image"
    DISPLAY = "tell what its display shows"
    ASK = "ask the card holder something"
    E_SIGNATURE = "take a signature on its screen"
    SCAN = "scan a code"
    LOCK = "be locked"
    KEYPAD_LOCK = "have its keypad locked, so that no amount is typed in there"
    LANGUAGE = "change its language"
    MAINTENANCE = "be maintained from the register"
    STANDALONE = "report payments typed in at the terminal"
    TOKEN = "recognise a returning card"  # noqa: S105 - a phrase, not a secret
    DCC = "offer the card's own currency"
    DATA_CHANGE = "have its amount changed once the card is known"
    OPEN_ENTRIES = "list its open authorisations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What can be asked of a terminal, told beforehand."""

    kinds: frozenset[PaymentKind] = frozenset()
    features: frozenset[Feature] = frozenset()
    currencies: tuple[str, ...] = ()
    """ISO 4217 letters; empty means: not told."""
    brands: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()

    def __contains__(self, wanted: PaymentKind | Feature) -> bool:
        return wanted in self.kinds or wanted in self.features


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalInfo:
    """Who the terminal is."""

    terminal_id: str = ""
    serial_number: str = ""
    model: str = ""
    software: str = ""
    """As people write it: 25.01.00."""
    interface: str = ""
    """What it is spoken to with, such as `KIT JSON`."""
    language: str = ""
    merchant_id: str = ""
    merchant_name: str = ""
    country_number: int | None = None
    """ISO 3166."""
    terminal_type: int | None = None
    """EMV Book 4, annex A1."""
    sequence: int | None = None
    """Counter of the latest transaction."""
    shift_counter: int | None = None
    period_counter: int | None = None
    is_test: bool = False
    """A simulator: no real money."""


@dataclass(frozen=True, slots=True)
class ShiftInfo:
    """A shift as the terminal counts it."""

    is_open: bool
    shift_counter: int | None = None
    period_counter: int | None = None


@unique
class Period(Enum):
    """Over what totals are asked."""

    SHIFT = "shift"
    ACCOUNTING_PERIOD = "accounting period"


@unique
class TotalKind(Enum):
    """What a total counts. Source: KIT fact sheet 2.10 (FinancialCounterType)."""

    DEBIT = "debit"
    CREDIT = "credit"
    DEBIT_REVERSAL = "debit reversal"
    CREDIT_REVERSAL = "credit reversal"
    RESERVATION = "reservation"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """One line of a terminal's totals."""

    brand: str
    kind: TotalKind
    count: int
    amount: Money
    tip: Money | None = None
    aid: str = ""
    """Hexadecimal."""


@dataclass(frozen=True, slots=True)
class Totals:
    """The terminal's own figures: the last witness of what was paid."""

    period: Period
    totals: tuple[Total, ...] = ()
    receipt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenEntry:
    """An authorisation that the terminal still holds open."""

    hold: HoldId
    amount: Money | None = None
    masked_pan: str = ""
    terminal_date: str = ""
    """YYMMDD, the terminal's."""
    terminal_time: str = ""
    """HHMMSS, the terminal's."""


@unique
class DialogInput(Enum):
    """What a dialog on the terminal asks for."""

    NOTHING = "nothing"
    NUMBER = "number"
    DIGITS = "digits"
    TEXT = "text"
    PASSWORD = "password"  # noqa: S105 - the kind of input, not a secret
    SIGNATURE = "signature"


@unique
class DialogEnd(Enum):
    """How a dialog ended. Source: KIT fact sheet 2.12 (DialogResult)."""

    OK = "ok"
    STOPPED = "stopped"
    TIMED_OUT = "timed out"
    CANCELLED = "cancelled"
    BACK = "back"
    LEFT = "left"
    RIGHT = "right"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialog:
    """A text on the terminal, with or without an input."""

    text: str = ""
    input: DialogInput = DialogInput.NOTHING
    timeout_s: float = 60.0
    default: str = ""
    length_min: int = 0
    length_max: int = 64
    password: str = field(default="", repr=False)
    """What an entered password is compared with."""
    fields: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    """The interface's own further fields, passed on as they are where the terminal knows them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a dialog."""

    end: DialogEnd
    text: str = ""
    matches: bool | None = None
    """Whether the password was right."""


@unique
class Maintenance(Enum):
    """Work on the terminal that a register can start."""

    CONFIGURE = "configure"
    INITIALISE = "initialise"
    SUBMIT = "submit"
    TRANSMIT = "transmit"
    REBOOT = "reboot"
    UPDATE = "update"
    REMOTE_MAINTENANCE = "remote maintenance"
    SEND_LOGS = "send logs"
    EJECT_CARD = "eject card"
    EJECT_CARD_FORCED = "eject card forced"
    LANGUAGE_DIALOG_ON = "language dialog on"
    LANGUAGE_DIALOG_OFF = "language dialog off"
    SHOW_IDLE = "show idle"
    SHOW_PRESENT_CARD = "show present card"
    DISCONNECTED_TEXT = "disconnected text"
    ABORT_SCAN = "abort scan"


@dataclass(frozen=True, slots=True)
class Decision:
    """What the witness of an approval wants: confirm it (perhaps for less), or roll it back."""

    confirm: bool
    amount: Money | None = None
    """The final amount, at most the approved one; None means all of it."""


CONFIRM: Final = Decision(confirm=True)
ROLL_BACK: Final = Decision(confirm=False)

Evidence: TypeAlias = Mapping[str, str]
"""What a driver knows just before it sends, and will need to find out what became of it: counters and the like."""


class Witness:
    """Who is told, in time to write it down. This one confirms everything and writes nothing."""

    async def sending(self, evidence: Evidence) -> None:
        """Called before the request leaves this machine; when it returns, `evidence` is durable."""

    async def approved(self, payment: Payment) -> Decision:
        """Called with an approval before it is confirmed; when it returns, approval and decision are durable.

        May take as long as it must: the driver keeps the terminal waiting where the interface can. If it raises, the
        payment is rolled back and the error goes to the caller.
        """
        return CONFIRM

    async def amount_for(self, amount: Money, reasons: tuple[Mapping[str, int], ...]) -> Money:
        """The card turned out to give a discount or bonus: the new amount, or the old one."""
        return amount


class _HookWitness(Witness):
    def __init__(self, hook: Callable[[Payment], Awaitable[Decision]]) -> None:
        self._hook = hook

    async def approved(self, payment: Payment) -> Decision:
        return await self._hook(payment)


def approve_with(hook: Callable[[Payment], Awaitable[Decision]]) -> Witness:
    """A witness out of one function that decides about approvals."""
    return _HookWitness(hook)


CONFIRM_ALL: Final = Witness()


class Terminal(ABC):
    """A payment terminal, whatever is behind it.

    Every method may raise `LinkUnavailable`, `LinkLost`, `PeerSilent`, `TerminalBusy`, `TerminalRefused` and
    `NotSupported`; what an implementation lacks is absent from `capabilities`. One operation that moves money runs at a
    time; a second one raises `TerminalBusy`.
    """

    def __init__(self) -> None:
        self._hub = EventHub()
        self.link_faults: LinkFaults | None = None
        """What an endpoint does to its link on purpose; only test terminals set it."""

    # -- the connection

    @abstractmethod
    async def open(self) -> None:
        """Connect and find out who the terminal is. Idempotent.

        Raises:
            LinkUnavailable: nobody answers there.
        """

    @abstractmethod
    async def close(self) -> None:
        """Disconnect; a running payment is left to the terminal and becomes `UNKNOWN`. Idempotent; raises nothing."""

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # -- what it is and does

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What can be asked of it; complete once a shift has been open."""

    @abstractmethod
    async def info(self) -> TerminalInfo:
        """Who it is."""

    @abstractmethod
    async def status(self) -> TerminalStatus:
        """What it is doing, asked now."""

    def events(self) -> EventStream:
        """A stream of what happens from now on."""
        return self._hub.stream()

    def listen(self, listener: EventListener) -> Callable[[], None]:
        """Call `listener` for each event, at once and in order; returns the function that ends it."""
        return self._hub.listen(listener)

    # -- payments

    @abstractmethod
    async def transact(self, request: PaymentRequest, *, witness: Witness = CONFIRM_ALL) -> Payment:
        """Carry out one function of the terminal, whatever its kind; the door through which all money goes.

        Returns once nothing more will happen by itself: confirmed, held, rolled back, not approved, or `UNKNOWN`.
        An approved `AUTHORISATION` stays held; the witness sees it, and may only confirm (keep) or roll back (release).

        Raises:
            InvalidRequest: cannot be expressed on this interface. Nothing was sent.
            TerminalBusy, TerminalRefused: did not start (`money_moved` is NO).
            LinkUnavailable: no connection; nothing was sent.
        A link that breaks once the request has left does not raise: the payment comes back as `UNKNOWN` (or settled).
        """

    async def pay(
        self,
        what: PaymentRequest | Money | str,
        *,
        reference: str = "",
        tip: Money | None = None,
        witness: Witness = CONFIRM_ALL,
    ) -> Payment:
        """Take a payment: `await terminal.pay("12.50 CHF")`. The same as `transact` for a purchase."""
        if not isinstance(what, PaymentRequest):
            amount = Money.parse(what) if isinstance(what, str) else what
            what = PaymentRequest(amount=amount, tip=tip, reference=reference or new_reference())
        elif reference or tip is not None:
            raise InvalidRequest("give reference and tip inside the PaymentRequest")
        return await self.transact(what, witness=witness)

    async def refund(
        self,
        amount: Money | str,
        *,
        reference: str = "",
        original: Original | None = None,
        witness: Witness = CONFIRM_ALL,
    ) -> Payment:
        """Give money back to a card."""
        request = PaymentRequest(
            kind=PaymentKind.REFUND,
            amount=Money.parse(amount) if isinstance(amount, str) else amount,
            reference=reference or new_reference(),
            original=original,
        )
        return await self.transact(request, witness=witness)

    async def reverse(
        self, *, sequence: int | None = None, reference: str = "", witness: Witness = CONFIRM_ALL
    ) -> Payment:
        """Undo the latest payment of the terminal; with `sequence`, only if it is that one."""
        request = PaymentRequest(
            kind=PaymentKind.REVERSAL,
            reference=reference or new_reference(),
            original=None if sequence is None else Original(sequence=sequence),
        )
        return await self.transact(request, witness=witness)

    def hold(
        self,
        limit: Money | str,
        *,
        reference: str = "",
        witness: Witness = CONFIRM_ALL,
        active_tokens: tuple[str, ...] = (),
    ) -> HoldOpening:
        """Authorise up to a limit now, capture or release later.

        ::

            async with terminal.hold("50.00 CHF") as hold:
                if hold.is_approved:
                    await hold.capture("8.40 CHF")

        Leaving the block without a capture releases the hold. `await terminal.hold(...)` gives it without a block.
        """
        request = PaymentRequest(
            kind=PaymentKind.AUTHORISATION,
            amount=Money.parse(limit) if isinstance(limit, str) else limit,
            reference=reference or new_reference(),
            active_tokens=active_tokens,
        )
        return HoldOpening(self, request, witness)

    async def settle(self, hold: HoldId, amount: Money | None) -> Payment:
        """Capture a hold for `amount`, or release it (None). Repeating the same call changes nothing.

        Raises:
            TerminalRefused: no such hold is open, or the amount is more than was held.
        """
        raise NotSupported("settle a hold", type(self).__name__)

    async def extend(self, seconds: int, text: str = "") -> None:
        """Ask the terminal to wait longer for the confirmation of an approval."""
        raise NotSupported("extend the time for a confirmation", type(self).__name__)

    async def abort(self, *, silent: bool = False) -> None:
        """Ask to stop the running payment. Its outcome still comes from `transact`; it may be an approval."""
        raise NotSupported("abort a payment", type(self).__name__)

    async def lookup(
        self, reference: str = "", *, sequence: int | None = None, evidence: Evidence | None = None
    ) -> Payment:
        """What became of a payment, asked now; its outcome is true, or `UNKNOWN`.

        Args:
            reference: the register's own.
            sequence: the terminal's transaction counter, where known.
            evidence: what `Witness.sending` was given, after a restart of ours.

        Raises:
            PaymentNotFound: the terminal has no record. That is not proof that it was not paid.
        """
        raise NotSupported("look up a payment", type(self).__name__)

    async def open_entries(self) -> tuple[OpenEntry, ...]:
        """Authorisations that the terminal holds open."""
        raise NotSupported("list open authorisations", type(self).__name__)

    # -- shift and figures

    async def open_shift(self, *, attendant: str = "", attendant_number: int | None = None) -> ShiftInfo:
        """Open the shift, or, if it is open, read the terminal's configuration again."""
        raise NotSupported("open a shift", type(self).__name__)

    async def close_shift(self) -> ShiftInfo:
        """Close the shift."""
        raise NotSupported("close a shift", type(self).__name__)

    async def totals(self, period: Period = Period.SHIFT) -> Totals:
        """The terminal's figures."""
        raise NotSupported("report totals", type(self).__name__)

    async def end_of_day(self) -> Totals:
        """Close the booking period; the totals as they stood just before."""
        raise NotSupported("close the day", type(self).__name__)

    async def receipt(self, kind: ReceiptKind = ReceiptKind.MERCHANT, *, number: int | None = None) -> Receipt:
        """A receipt again: the latest of its kind, or the one of a transaction counter (or acquirer)."""
        raise NotSupported("repeat a receipt", type(self).__name__)

    # -- the device

    async def print(self, text: str = "", *, image_png: bytes = b"", double_height: bool = False,
                    double_width: bool = False, inverse: bool = False, more: bool = False) -> Printer:  # fmt: skip
        """Print on the terminal's printer; the state of the printer afterwards."""
        raise NotSupported("print", type(self).__name__)

    async def ask(self, dialog: Dialog) -> Answer:
        """Show a dialog and wait for its end."""
        raise NotSupported("ask the card holder", type(self).__name__)

    async def cancel_ask(self) -> None:
        """End the dialog that is shown."""
        raise NotSupported("cancel a dialog", type(self).__name__)

    async def scan(self, *, title: str = "", text: str = "", timeout_s: float = 60.0) -> str:
        """Scan a barcode or QR code; empty if nothing was scanned."""
        raise NotSupported("scan a code", type(self).__name__)

    async def maintain(self, work: Maintenance, *, acquirer_id: int | None = None, text: str = "") -> None:
        """Start work on the terminal and wait until it says it is done."""
        raise NotSupported(work.value, type(self).__name__)

    async def lock(self) -> None:
        """No payments for now."""
        raise NotSupported("be locked", type(self).__name__)

    async def unlock(self) -> None:
        """Payments again."""
        raise NotSupported("be unlocked", type(self).__name__)

    async def lock_keypad(self, locked: bool) -> None:
        """Whether amounts can be typed in at the terminal itself; requests of a register are taken all the same."""
        raise NotSupported("have its keypad locked", type(self).__name__)

    async def set_language(self, language: str) -> None:
        """The language of the terminal's display, ISO 639-1."""
        raise NotSupported("change its language", type(self).__name__)
