"""The inside of the virtual terminal: its state, status, display, waits and memory. Knows nothing of payments.

All time comes from the injected clock. One wait is open at a time: whatever happens (a card, a key, an answer, time) is
a `Signal` that ends it. A crash ends it with `Crashed`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from enum import Enum, unique
from typing import Final

from zahlwerk.carddata import redact
from zahlwerk.clock import Clock, random_source
from zahlwerk.errors import LinkUnavailable, LocalProtocolError
from zahlwerk.events import (
    Acquirer,
    CardFacts,
    DisplayShown,
    LinkChanged,
    Printer,
    ReaderChanged,
    ReaderState,
    ReceiptPrinted,
    StatusChanged,
    TerminalEvent,
    TerminalStatus,
)
from zahlwerk.faults import FaultPlan
from zahlwerk.payment import Payment, Receipt, ReceiptKind
from zahlwerk.timeouts import Waits
from zahlwerk.virtual.counters import Counters, Tally
from zahlwerk.virtual.deck import Card, deck
from zahlwerk.virtual.host import Host
from zahlwerk.virtual.receipts import Head
from zahlwerk.virtual.settings import Settings
from zahlwerk.virtual.states import FLAGS, Input, State, advance
from zahlwerk.virtual.texts import display_number, display_text

__all__ = ["Crashed", "Device", "Record", "Signal", "SignalKind"]

# LIMIT: a busy day has some hundred payments; open holds are never forgotten.
RECORDS_MAX: Final = 1_000
PAPER_MAX: Final = 100
QUEUE_MAX: Final = 100
# A restart takes so long at life's speed.
REBOOT_S: Final = 5.0


@unique
class SignalKind(Enum):
    """What can end a wait."""

    CARD = "card"
    TAG = "tag"
    REMOVED = "card removed"
    STOP = "stop key"
    ABORT = "aborted by the register"
    APPLICATION = "application chosen"
    PIN = "PIN"
    TIP = "tip"
    CURRENCY = "currency"
    SIGNATURE = "signature"
    ANSWER = "answer to a dialog"
    CODE = "code scanned"
    CANCEL = "dialog cancelled"
    DECIDED = "decided"
    TIME = "time is up"


# What a script may say before the terminal asks for it.
QUEUED: Final = frozenset({
    SignalKind.APPLICATION, SignalKind.PIN, SignalKind.TIP, SignalKind.CURRENCY, SignalKind.SIGNATURE,
    SignalKind.ANSWER, SignalKind.CODE,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Signal:
    """Something happened."""

    kind: SignalKind
    value: object = None


class Crashed(Exception):
    """The terminal went down under a use case; internal to this package."""


@dataclass(slots=True)
class Record:
    """What the terminal keeps of a payment, also over a restart."""

    payment: Payment
    order: str = ""
    booking: int | None = None

    @property
    def is_open(self) -> bool:
        """True while nobody can say what became of it."""
        return self.payment.outcome.value == "UNKNOWN" or self.payment.state.value == "approved"


class Device:
    """A terminal without its payments."""

    def __init__(
        self, settings: Settings, *, clock: Clock, waits: Waits, emit: Callable[[TerminalEvent], None]
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.waits = waits
        self.emit = emit
        self.host = Host(random_source(settings.seed))
        self.plan = FaultPlan.parse(settings.faults)
        self.counters = Counters()
        self.tally = Tally()
        self.records: dict[int, Record] = {}
        self.receipts: dict[ReceiptKind, Receipt] = {}
        self.paper: deque[str] = deque(maxlen=PAPER_MAX)
        self.latest: int | None = None
        """Counter of the latest payment that moved money."""
        self.state = State.OFF
        self.boot = 0
        """Counts restarts: who waited over one must not go on."""
        self.crashed = False
        self.shift_open = False
        self.locked = False
        self.keypad_locked = False
        """A register has taken over: nobody types in amounts here. Outlives restarts."""
        self.online = False
        self.language = settings.language
        self.printer = {"yes": Printer.FINE, "no": Printer.UNAVAILABLE, "out": Printer.OUT_OF_PAPER}[settings.printer]
        self.card: Card | None = None
        self.in_slot = False
        self.selected = False
        self.choosing = False
        self.tag = ""
        self.reader = ReaderState.IDLE
        self.display = ""
        self.claimed = False
        self.initialised = f"{clock.wall():%Y-%m-%d %H:%M:%S}"
        self._acquirers = tuple(sorted({card.acquirer for card in deck().values()}))
        self._last: TerminalStatus | None = None
        self._wait: tuple[frozenset[SignalKind], asyncio.Future[Signal]] | None = None
        self._queue: deque[Signal] = deque(maxlen=QUEUE_MAX)
        self._timers: set[asyncio.Task[None]] = set()

    # -- state and status

    def step(self, happened: Input) -> None:
        """Go to the next state and tell the status.

        Raises:
            LocalProtocolError: impossible now; nothing has changed.
        """
        self.state = advance(self.state, happened)
        self.refresh()

    def step_back(self, *, done: Input, done_closed: Input) -> None:
        """End a service or dialog, to where the shift says."""
        self.online = False
        self.step(done if self.shift_open else done_closed)

    def status(self) -> TerminalStatus:
        """The status as it is now."""
        flags = FLAGS[self.state]
        return TerminalStatus(
            shift_open=self.shift_open,
            card_read=self.card is not None,
            busy="busy" in flags,
            card_in_slot=self.in_slot,
            locked=self.locked or "locked" in flags,
            application_selected=self.selected,
            wants_request="wants_request" in flags,
            choosing_application=self.choosing,
            online=self.online or "online" in flags,
            printer=self.printer,
            language=self.language,
            e_signature=True,
            card=self._card_facts(),
            acquirers=tuple(Acquirer(number, self.initialised) for number in self._acquirers),
        )

    def refresh(self) -> None:
        """Tell the status if it is another one than last time."""
        status = self.status()
        if status != self._last and self.state is not State.OFF:
            self._last = status
            self.emit(StatusChanged(status))

    def _card_facts(self) -> CardFacts | None:
        if self.card is not None:
            facts = self.card.facts
            return facts if self.selected else replace(facts, aid="")
        return CardFacts(uid=self.tag) if self.tag else None

    @property
    def is_idle(self) -> bool:
        """Nothing runs, and nobody has the terminal."""
        return self.state in {State.OPEN, State.CLOSED} and not self.claimed

    def require_on(self) -> None:
        """Raises LinkUnavailable while the terminal is off."""
        if self.state is State.OFF:
            what = "is restarting" if self.crashed else "is not open"
            raise LinkUnavailable(f"the virtual terminal {what}", remedy="open it, or wait until it is back")

    # -- display, reader, paper

    def show(self, name: str, language: str = "", **values: str) -> str:
        """Show one of the terminal's texts."""
        text = display_text(name, language or self.language, **values)
        self.show_text(text, display_number(name))
        return text

    def show_text(self, text: str, resource: int | None = None) -> None:
        """Show any text; the same twice in a row is told once."""
        if text != self.display:
            self.display = text
            self.emit(DisplayShown(text, resource))

    def set_reader(self, state: ReaderState) -> None:
        """Another state of the contactless reader."""
        if state is not self.reader:
            self.reader = state
            self.emit(ReaderChanged(state))

    def head(self) -> Head:
        """What a receipt made now has in common with all others."""
        return Head(
            language=self.language,
            width=self.settings.width,
            merchant=self.settings.merchant_name,
            terminal_id=self.settings.terminal_id,
            at=self.clock.wall().replace(tzinfo=None),
            shift=self.counters.shift,
            period=self.counters.period,
        )

    def issue(self, receipt: Receipt) -> Receipt:
        """Make a receipt known, and print it where there is a printer with paper."""
        self.receipts[receipt.kind] = receipt
        self.emit(ReceiptPrinted(receipt))
        self.put_on_paper(receipt.text)
        return receipt

    def put_on_paper(self, text: str) -> Printer:
        """Print, if the printer can; its state."""
        if self.printer is Printer.FINE:
            self.paper.append(redact(text))
        return self.printer

    # -- memory

    def remember(self, sequence: int, record: Record) -> None:
        """Keep a payment; the oldest that is over and done with makes room."""
        self.records[sequence] = record
        if len(self.records) > RECORDS_MAX:
            old = next((n for n, r in self.records.items() if r.payment.state.value != "held" and not r.is_open), None)
            if old is not None and old != sequence:
                del self.records[old]

    # -- waiting

    def scaled(self, seconds: float) -> float:
        """So long at the terminal's speed."""
        return seconds / self.settings.speed if self.settings.speed else 0.0

    async def wait(
        self,
        accepts: Collection[SignalKind] = (),
        *,
        deadline_s: float | None = None,
        auto: tuple[float, Signal] | None = None,
    ) -> Signal:
        """The first of what is accepted, of what happens by itself (at a time), and of the end of time.

        Raises:
            Crashed: the terminal went down.
        """
        queued = next((signal for signal in self._queue if signal.kind in accepts), None)
        if queued is not None:
            self._queue.remove(queued)
            auto = (self.clock.now_s(), queued)
        future: asyncio.Future[Signal] = asyncio.get_running_loop().create_future()
        self._wait = opened = (frozenset(accepts), future)
        timers: list[asyncio.Task[None]] = []
        try:
            if auto is not None:
                timers += self._ring(future, *auto)
            if deadline_s is not None:
                timers += self._ring(future, deadline_s, Signal(SignalKind.TIME))
            return await future
        finally:
            for timer in timers:
                timer.cancel()
            if self._wait is opened:
                self._wait = None

    async def pause(self, seconds: float, accepts: Collection[SignalKind] = ()) -> Signal:
        """Wait so long at the terminal's speed."""
        at_s = self.clock.now_s() + self.scaled(seconds)
        return await self.wait(accepts, auto=(at_s, Signal(SignalKind.TIME)))

    def signal(self, signal: Signal, *, queue: bool = True) -> bool:
        """Something happened: True if somebody waited for it, or will find it when asking."""
        if self._wait is not None and signal.kind in self._wait[0] and not self._wait[1].done():
            self._wait[1].set_result(signal)
            return True
        if queue and signal.kind in QUEUED:
            self._queue.append(signal)
            return True
        return False

    def accepts(self, kind: SignalKind) -> bool:
        """True if the open wait would end with this."""
        return self._wait is not None and kind in self._wait[0] and not self._wait[1].done()

    def later(self, seconds: float, do: Callable[[], None]) -> asyncio.Task[None]:
        """Do something after so many seconds; forgotten when the terminal goes down."""
        task = asyncio.get_running_loop().create_task(self._later(self.clock.now_s() + seconds, do))
        self._timers.add(task)
        task.add_done_callback(self._timers.discard)
        return task

    async def _later(self, at_s: float, do: Callable[[], None]) -> None:
        await self.clock.sleep_until(at_s)
        do()

    def _ring(self, future: asyncio.Future[Signal], at_s: float, signal: Signal) -> Iterable[asyncio.Task[None]]:
        def ring() -> None:
            if not future.done():
                future.set_result(signal)

        if at_s <= self.clock.now_s():
            # Not at once: whoever else is about to act in this turn of the loop comes first.
            asyncio.get_running_loop().call_soon(ring)
            return ()
        return (asyncio.get_running_loop().create_task(self._later(at_s, ring)),)

    # -- power

    def start(self) -> None:
        """Switch on: where it was, with nothing running."""
        if self.state is not State.OFF:
            raise LocalProtocolError("the virtual terminal is on")
        self.crashed = False
        self._last = None
        self.display = ""
        self.emit(LinkChanged(True))
        self.step(Input.START_OPEN if self.shift_open else Input.START_CLOSED)
        self.show_idle()

    def stop(self, why: str) -> None:
        """Switch off or crash: all that runs is gone, what is in the records stays."""
        for timer in tuple(self._timers):
            timer.cancel()
        if self.state is State.OFF:
            return
        self.boot += 1
        self.state = advance(self.state, Input.CRASH)
        self.forget_card()
        self.locked = self.online = self.claimed = False
        self.reader = ReaderState.IDLE
        self._queue.clear()
        if self._wait is not None and not self._wait[1].done():
            self._wait[1].set_exception(Crashed())
        self.emit(LinkChanged(False, why))

    def forget_card(self) -> None:
        """No card is there any more."""
        self.card = None
        self.in_slot = self.selected = self.choosing = False
        self.tag = ""

    def show_idle(self) -> None:
        """Back to the welcome text."""
        self.set_reader(ReaderState.IDLE)
        self.show("IDLE" if self.shift_open else "SHIFT_CLOSED")
