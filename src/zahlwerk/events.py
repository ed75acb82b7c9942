"""What a terminal tells while nobody asks: progress, status, texts, receipts, standalone payments.

`EventHub` hands each event first to listeners (called at once, in order: endpoints need the exact order) and then to
streams (`async for`, each with its own bounded backlog).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import Enum, Flag, auto, unique
from typing import Final, Self, TypeAlias

from zahlwerk.payment import Payment, Receipt

__all__ = [
    "Acquirer",
    "CardFacts",
    "DisplayShown",
    "EventHub",
    "EventListener",
    "EventStream",
    "EventsLost",
    "LinkChanged",
    "Notice",
    "Printer",
    "Progress",
    "ProgressChanged",
    "ReaderChanged",
    "ReaderState",
    "ReceiptPrinted",
    "ScheduledTask",
    "ShiftChanged",
    "StandalonePayment",
    "StatusChanged",
    "TerminalEvent",
    "TerminalStatus",
]


class Printer(Flag):
    """What is wrong with the terminal's printer; nothing set means fine."""

    FINE = 0
    UNAVAILABLE = auto()
    """There is none."""
    OUT_OF_PAPER = auto()
    JAMMED = auto()
    TOO_HOT = auto()
    BUFFER_FULL = auto()
    TIMED_OUT = auto()
    POWER_FAILED = auto()
    OTHER_ERROR = auto()


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What the terminal tells about the card before a payment. Never the number itself."""

    iin: str = ""
    """Issuer identification, the first six digits."""
    aid: str = ""
    """The application chosen, hexadecimal."""
    aid_icc: str = ""
    """The application as the card names it, hexadecimal."""
    atr: str = ""
    """Answer to reset, hexadecimal."""
    currency_number: int | None = None
    uid: str = ""
    """UID of an NFC tag that is no payment card, hexadecimal."""
    language: str = ""


@dataclass(frozen=True, slots=True)
class Acquirer:
    """One acquirer that the terminal is set up for."""

    number: int
    initialised: str = ""
    """Local time `yyyy-MM-dd HH:mm:ss` of the last initialisation; empty for never."""


@dataclass(frozen=True, slots=True)
class ScheduledTask:
    """What the terminal will do by itself next. Source: KIT fact sheet 2.7 (TaskName)."""

    name: str
    next_run: str
    """Local time `yyyy-MM-dd HH:mm:ss`."""
    last_run: str = ""
    acquirer: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalStatus:
    """What the terminal is doing now."""

    shift_open: bool = False
    card_read: bool = False
    """A readable card was shown."""
    busy: bool = False
    """A use case runs; a new one may be refused."""
    card_in_slot: bool = False
    locked: bool = False
    """No payments: a dialog of the register, a lock, a software update."""
    application_selected: bool = False
    wants_request: bool = False
    """The card came first; the terminal waits for the amount."""
    choosing_application: bool = False
    online: bool = False
    """Talking to the acquirer or the management system."""
    printer: Printer = Printer.FINE
    language: str = "en"
    e_signature: bool = False
    """Can take a signature on its screen."""
    card: CardFacts | None = None
    acquirers: tuple[Acquirer, ...] = ()
    next_task: ScheduledTask | None = None
    reader_cleaned: str = ""
    """Local time of the last cleaning of the reader."""

    @property
    def is_ready(self) -> bool:
        """A payment can start now. Source: KIT fact sheet 2.5."""
        return self.shift_open and not self.busy and not self.locked


@unique
class Progress(Enum):
    """The steps of a payment that staff want to see."""

    SENT = "sent to the terminal"
    WAITING_FOR_CARD = "waiting for the card"
    CARD_READ = "card read"
    CHOOSING = "choosing the application"
    PIN = "entering the PIN"
    TIP = "entering a tip"
    CURRENCY = "choosing the currency"
    SIGNATURE = "signing"
    ONLINE = "asking the bank"
    APPROVED = "approved, not yet confirmed"
    CONFIRMING = "confirming"
    REMOVE_CARD = "card can be taken"
    DONE = "done"
    RECOVERING = "finding out what became of it"


@unique
class ReaderState(Enum):
    """The contactless reader. Source: KIT fact sheet 2.7 (RFIDStatus)."""

    NOT_WORKING = "not working"
    IDLE = "idle"
    READY = "ready"
    PROCESSING = "processing"
    COMPLETE = "complete"
    READY_DARK = "ready, lights off"
    ERROR = "error"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """The status as it is now, given whole."""

    status: TerminalStatus


@dataclass(frozen=True, slots=True)
class ProgressChanged:
    """A payment has got to its next step."""

    reference: str
    progress: Progress


@dataclass(frozen=True, slots=True)
class DisplayShown:
    """A text now on the terminal's display for the card holder."""

    text: str
    resource: int | None = None
    """The terminal's own number of the text."""


@dataclass(frozen=True, slots=True)
class ReaderChanged:
    """The contactless reader has another state."""

    state: ReaderState


@dataclass(frozen=True, slots=True)
class ReceiptPrinted:
    """The terminal made a receipt (whether on paper or not)."""

    receipt: Receipt


@dataclass(frozen=True, slots=True)
class StandalonePayment:
    """A payment typed in at the terminal, without the register."""

    payment: Payment


@dataclass(frozen=True, slots=True)
class ShiftChanged:
    """The shift was opened or closed, by us or at the terminal."""

    is_open: bool
    shift_counter: int | None = None


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """The connection to the terminal came or went."""

    connected: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something for people that belongs to no request: an error text of the terminal, for instance."""

    text: str
    code: int | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class EventsLost:
    """This stream was read too slowly; so many events were dropped. Ask for the status again."""

    count: int


TerminalEvent: TypeAlias = (
    StatusChanged
    | ProgressChanged
    | DisplayShown
    | ReaderChanged
    | ReceiptPrinted
    | StandalonePayment
    | ShiftChanged
    | LinkChanged
    | Notice
    | EventsLost
)
EventListener: TypeAlias = Callable[[TerminalEvent], None]

# LIMIT: a busy evening makes some ten events a payment; a reader that is 1,000 behind has stopped reading.
BACKLOG_MAX: Final = 1_000


class EventStream(AsyncIterator[TerminalEvent]):
    """One reader's events, from the moment of subscription on."""

    def __init__(self, hub: EventHub, *, backlog_max: int = BACKLOG_MAX) -> None:
        self._hub = hub
        self._backlog: deque[TerminalEvent] = deque()
        self._backlog_max = backlog_max
        self._lost = 0
        self._wake = asyncio.Event()
        self._closed = False

    def _put(self, event: TerminalEvent) -> None:
        if len(self._backlog) >= self._backlog_max:
            self._backlog.popleft()
            self._lost += 1
        self._backlog.append(event)
        self._wake.set()

    def close(self) -> None:
        """Stop; what has come so far can still be read."""
        self._closed = True
        self._hub._forget(self)
        self._wake.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TerminalEvent:
        while True:
            if self._lost:
                lost, self._lost = self._lost, 0
                return EventsLost(lost)
            if self._backlog:
                return self._backlog.popleft()
            if self._closed:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


@dataclass(slots=True)
class EventHub:
    """Where a terminal puts its events."""

    _listeners: list[EventListener] = field(default_factory=list)
    _streams: list[EventStream] = field(default_factory=list)

    def emit(self, event: TerminalEvent) -> None:
        """Hand an event to all listeners, then to all streams. A listener must not raise."""
        for listener in tuple(self._listeners):
            listener(event)
        for stream in tuple(self._streams):
            stream._put(event)

    def listen(self, listener: EventListener) -> Callable[[], None]:
        """Call `listener` for each event at once; returns the function that ends it."""
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop

    def stream(self) -> EventStream:
        """A stream of what happens from now on."""
        stream = EventStream(self)
        self._streams.append(stream)
        return stream

    def close(self) -> None:
        """End every stream."""
        for stream in tuple(self._streams):
            stream.close()

    def _forget(self, stream: EventStream) -> None:
        if stream in self._streams:
            self._streams.remove(stream)
