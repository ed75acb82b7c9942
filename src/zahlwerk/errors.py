"""What can go wrong, whether money may have moved, and what to do next.

::

    TerminalError                  base; pessimistic: money MAYBE moved
    ├── LocalError                 our side is at fault; nothing left this machine
    │   ├── LocalProtocolError     we were about to break the protocol
    │   ├── NotSupported           this terminal or interface lacks the operation
    │   ├── InvalidRequest         an amount, currency or field that cannot be sent
    │   ├── ConfigurationError     a URL, file or option is wrong or missing
    │   ├── CardDataRefused        a card number was about to be written down
    │   ├── ReferenceReused        another request under a reference that is taken
    │   └── JournalError           the journal cannot be written or read
    │       ├── JournalUnavailable disk full, read-only, database out of reach
    │       ├── JournalDamaged     what stands there is not what was written
    │       └── JournalHeld        another process writes it
    ├── RemoteError                the peer is at fault
    │   ├── RemoteProtocolError    bytes that break the protocol, with their position
    │   └── TerminalRefused        the terminal answered with an error of its own
    ├── LinkError                  the wire between us
    │   ├── LinkUnavailable        no connection could be made; nothing was sent
    │   ├── LinkLost               the connection ended while something was open
    │   └── PeerSilent             connected, but no answer in time
    ├── TerminalBusy               somebody else holds the terminal
    └── PaymentNotFound            the terminal has no record; that is not "not paid"

A decline is an outcome of a payment (`zahlwerk.payment.Outcome`), never an error.
"""

from __future__ import annotations

from enum import Enum, unique

__all__ = [
    "CardDataRefused",
    "ConfigurationError",
    "InvalidRequest",
    "JournalDamaged",
    "JournalError",
    "JournalHeld",
    "JournalUnavailable",
    "LinkError",
    "LinkLost",
    "LinkUnavailable",
    "LocalError",
    "LocalProtocolError",
    "MoneyMoved",
    "NotSupported",
    "PaymentNotFound",
    "PeerSilent",
    "ReferenceReused",
    "RemoteError",
    "RemoteProtocolError",
    "TerminalBusy",
    "TerminalError",
    "TerminalRefused",
]


@unique
class MoneyMoved(Enum):
    """What a register may assume about the cardholder's money after a failure."""

    NO = "no"
    """Never took effect: retrying is safe."""
    MAYBE = "maybe"
    """Look it up; never retry blindly."""
    YES = "yes"
    """Settle it, or reverse it with a new operation."""


class TerminalError(Exception):
    """Base of everything this package raises. Pessimistic until a subclass knows better.

    `money_moved` says what to assume about the money, `remedy` what to do next.
    """

    money_moved: MoneyMoved = MoneyMoved.MAYBE
    remedy: str = "look the payment up by its reference before charging again"

    def __init__(self, message: str, *, remedy: str | None = None, money_moved: MoneyMoved | None = None) -> None:
        super().__init__(message)
        if remedy is not None:
            self.remedy = remedy
        if money_moved is not None:
            self.money_moved = money_moved


class LocalError(TerminalError):
    """Our side, or our caller, is at fault; nothing left this machine."""

    money_moved = MoneyMoved.NO
    remedy = "correct the call and try again"


class LocalProtocolError(LocalError):
    """We were about to break the protocol; nothing left this machine."""

    remedy = "fix the caller: see the transition table of this interface"


class NotSupported(LocalError):
    """This terminal or interface lacks the operation; `capabilities` tells it beforehand."""

    remedy = "look at the terminal's capabilities and choose another way"

    def __init__(self, operation: str, interface: str, *, why: str = "") -> None:
        super().__init__(f"{interface} cannot {operation}" + (f": {why}" if why else ""))
        self.operation = operation
        self.interface = interface


class InvalidRequest(LocalError):
    """An amount, currency or field that cannot be sent."""


class ConfigurationError(LocalError):
    """A URL, file, option or optional library is wrong or missing."""

    remedy = "correct the address or option, or install what is missing"


class RemoteError(TerminalError):
    """The peer is at fault."""


class RemoteProtocolError(RemoteError):
    """Bytes from the peer that break the protocol.

    `position` is the offset of the first bad byte within the message (None where there is none to point at).
    `data` holds the offending bytes, cut to `DATA_BYTES_MAX` and already free of card numbers.
    """

    DATA_BYTES_MAX = 256

    def __init__(self, message: str, *, position: int | None = None, data: bytes = b"") -> None:
        super().__init__(message if position is None else f"{message} (at byte {position})")
        self.reason = message
        self.position = position
        self.data = data[: self.DATA_BYTES_MAX]


class TerminalRefused(RemoteError):
    """The terminal answered a request with an error of its own.

    `code` and `source` are the terminal's words, whatever the interface.
    """

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        source: str = "",
        money_moved: MoneyMoved = MoneyMoved.MAYBE,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message, money_moved=money_moved, remedy=remedy)
        self.code = code
        self.source = source


class LinkError(TerminalError):
    """The wire between us and the peer."""


class LinkUnavailable(LinkError):
    """No connection could be made; nothing was sent."""

    money_moved = MoneyMoved.NO
    remedy = "check address, port and cable; is the terminal switched on?"


class LinkLost(LinkError):
    """The connection to the peer ended while something was open."""

    def __init__(self, message: str, *, request_sent: bool) -> None:
        super().__init__(message, money_moved=MoneyMoved.MAYBE if request_sent else MoneyMoved.NO)
        if not request_sent:
            self.remedy = "nothing was sent: try again when the connection is back"


class PeerSilent(LinkError):
    """The connection stands, but the answer did not come in time."""


class TerminalBusy(TerminalError):
    """Somebody or something else holds the terminal; our request did not start."""

    money_moved = MoneyMoved.NO
    remedy = "wait until the terminal is free, then try again"


class PaymentNotFound(TerminalError):
    """The terminal has no record of this payment. That is not proof that it was not paid."""

    remedy = "compare with the terminal's receipts or totals before charging again"


class CardDataRefused(LocalError):
    """A card number, track, PIN or check code was about to be written down; it was not."""

    remedy = "pass the masked number or the token instead"


class JournalError(LocalError):
    """The journal cannot be written or read; nothing was sent for lack of it."""

    remedy = "see to the journal's disk or database; payments start again by themselves once it can be written"


class JournalUnavailable(JournalError):
    """Nothing can be written: disk full or read-only, database out of reach. Refused before money moves."""


class JournalDamaged(JournalError):
    """What stands in the journal is not what was written there."""

    remedy = "keep a copy of the file, run `zahlwerk journal verify`, and begin a new journal or restore a copy"


class JournalHeld(JournalError):
    """Another process writes this journal; the message says who."""

    remedy = "use the process that holds it, or end it first"


class ReferenceReused(LocalError):
    """Another request under a reference that is taken; the message shows both."""

    remedy = "a new payment needs a new reference; the old one gives the old payment"
