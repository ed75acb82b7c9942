"""`ZvtEndpoint`: serves one terminal to ZVT registers, one at a time, whatever the link below. I/O."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum, unique
from typing import Final

from zahlwerk.carddata import redact
from zahlwerk.errors import LinkError, RemoteProtocolError, TerminalError
from zahlwerk.events import DisplayShown, Progress, ProgressChanged, StandalonePayment, StatusChanged
from zahlwerk.events import TerminalEvent as Event
from zahlwerk.interfaces.zvt.faulty import FaultyStream
from zahlwerk.interfaces.zvt.framing import ApduDecoder, Link, LinkFailure, make_apdu
from zahlwerk.interfaces.zvt.memory import Memory
from zahlwerk.interfaces.zvt.messages import Message, Tlv, Value, answer
from zahlwerk.interfaces.zvt.orders import ALL_RECEIPTS, MONEY_COMMANDS
from zahlwerk.interfaces.zvt.registration import Config
from zahlwerk.interfaces.zvt.service import DIRECT, Service
from zahlwerk.interfaces.zvt.tap import Tap
from zahlwerk.interfaces.zvt.terminal import (
    AbortWanted,
    Answered,
    Registered,
    Silent,
    TerminalSide,
    Turn,
    Unreadable,
    Wanted,
)
from zahlwerk.interfaces.zvt.timers import TIMERS
from zahlwerk.interfaces.zvt.transactions import Transactions, failure_code
from zahlwerk.money import Currency
from zahlwerk.terminal import Feature, Terminal
from zahlwerk.transport.pump import Pump
from zahlwerk.transport.stream import ByteStream
from zahlwerk.urls import Context, Endpoint, Url

__all__ = ["EndpointOptions", "Serve", "Stop", "Takeover", "ZvtEndpoint"]

_log: Final = logging.getLogger("zahlwerk.zvt.endpoint")

Serve = Callable[[ByteStream], Coroutine[None, None, None]]
Stop = Callable[[], Coroutine[None, None, None]]
StartListening = Callable[[Serve], Coroutine[None, None, tuple[Url, Stop]]]
"""Begins to listen with a handler for connections; gives the actual address and the function that stops it."""

FIRST_WORD_S: Final = 10.0
"""A second register has so long to say what it wants."""
WAITING_MAX: Final = 128
REST_S: Final = 5.0
"""A register that has said nothing for so long gives way to another one."""
NOT_READY: Final = 0x84A0

_STATES: Final = {
    Progress.WAITING_FOR_CARD: 0x0A, Progress.CARD_READ: 0x0E, Progress.CHOOSING: 0xE0, Progress.PIN: 0x01,
    Progress.TIP: 0x0E, Progress.CURRENCY: 0x69, Progress.SIGNATURE: 0x0E, Progress.ONLINE: 0x04,
    Progress.REMOVE_CARD: 0x0B, Progress.RECOVERING: 0x17,
}  # fmt: skip
"""What the terminal is doing, as 04 FF. Source: fact sheet 5.3."""
_ALWAYS: Final = frozenset({0x0501, 0x0600, 0x0602})
"""Commands that are taken while the terminal is busy with something else."""


@unique
class Takeover(Enum):
    """When a second register takes the place of the first. Our choice: ZVT knows one register (fact sheet 1.2)."""

    WHEN_SILENT = "silent"
    """Once the first has rested for some seconds; never while something runs."""
    ALWAYS = "yes"
    """Whenever nothing runs."""
    NEVER = "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointOptions:
    """How the terminal behaves towards registers."""

    password: str = "000000"  # noqa: S105 - the field's default, known to everybody
    check_password: bool = False
    """Refuse other passwords; in the field they differ, and say little (fact sheet 6.12)."""
    takeover: Takeover = Takeover.WHEN_SILENT
    language: str = "de"
    """Of texts, where the register asks for none."""
    currency: str = ""
    """ISO 4217 letters, of registers that name none; EUR if empty."""
    prints: bool = False
    """Print on the terminal the receipts that a register leaves to it: for terminals that only hand them over."""
    t3_s: float | None = None
    """How long the register has to answer a command; the standard's 5 s if None."""


class ZvtEndpoint(Endpoint):
    """Serves one terminal to ZVT registers."""

    def __init__(
        self,
        terminal: Terminal,
        start_listening: StartListening,
        make_link: Callable[[], Link],
        context: Context,
        options: EndpointOptions | None = None,
        *,
        memory: Memory | None = None,
    ) -> None:
        self._terminal = terminal
        self._start_listening = start_listening
        self._make_link = make_link
        self._context = context
        self._options = options or EndpointOptions()
        t3_s = self._options.t3_s
        self._side = TerminalSide(timers=TIMERS if t3_s is None else replace(TIMERS, t3_s=t3_s))
        self._transactions = Transactions(
            terminal,
            self._side,
            context,
            turn=self._turn,
            language=self._options.language,
            prints=self._options.prints,
            memory=memory,
        )
        self._service = Service(terminal, self._side, self._transactions, context, turn=self._turn)
        self._pump: Pump[LinkFailure] | None = None
        self._link: Link | None = None
        self._ended: asyncio.Event | None = None
        self._stop_listening: Stop | None = None
        self._unlisten: Callable[[], None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._work: asyncio.Task[None] | None = None
        self._pays = False
        self._paying = 0
        """The procedure of the payment that runs."""
        self._text = ""
        self._told: tuple[int, str] | None = None
        self._keypad_wanted = False
        self._keypad_locked = False
        self._keypad: asyncio.Task[None] | None = None
        self._waiting = 0
        self._heard_at_s = 0.0
        self._closing = False

    # -- the endpoint

    async def start(self) -> Url:
        self._closing = False
        await self._transactions.recall()
        await self._terminal.open()
        await self._refresh()
        self._unlisten = self._terminal.listen(self._on_terminal_event)
        try:
            url, self._stop_listening = await self._start_listening(self._serve)
        except BaseException:
            self._unlisten()
            raise
        if self._transactions.unresolved:
            self._work = self._spawn(self._transactions.settle_what_was_left())
        return url

    async def close(self) -> None:
        self._closing = True
        if self._pump is not None:
            self._pump.hang_up("the endpoint was closed")
        if self._stop_listening is not None:
            await self._stop_listening()
            self._stop_listening = None
        if self._unlisten is not None:
            self._unlisten()
            self._unlisten = None
        self._side.link_down()
        self._drain()
        work = self._work
        if work is not None and not work.done():
            if self._pays:
                await self._transactions.abort()
            elif self._transactions.unresolved:
                work.cancel()  # the next process goes on looking
            await asyncio.wait({work}, timeout=self._context.waits.margin_s)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._keypad_wanted = False
        await self._apply_keypad()
        await self._service.close()

    # -- connections

    async def _serve(self, stream: ByteStream) -> None:
        first = b""
        if self._pump is not None:
            if self._waiting >= WAITING_MAX:
                return
            self._waiting += 1
            try:
                first = await self._first_word(stream)
            finally:
                self._waiting -= 1
            if not first or not await self._made_room():
                if first:
                    with suppress(LinkError):
                        await stream.send(make_apdu(NOT_READY, b""))
                return
        if self._closing:
            return
        faults = self._terminal.link_faults
        if faults is not None:
            stream = FaultyStream(stream, faults, self._context.clock)
        await self._converse(stream, first)

    async def _first_word(self, stream: ByteStream) -> bytes:
        """What a second register wants; a port scan that says nothing disturbs nobody."""
        apdus = ApduDecoder()
        heard = b""
        clock = self._context.clock
        expired = asyncio.Event()
        stop = clock.call_at(clock.now_s() + FIRST_WORD_S, expired.set)
        late = asyncio.create_task(expired.wait())
        try:
            while True:
                reading = asyncio.create_task(stream.receive())
                await asyncio.wait({reading, late}, return_when=asyncio.FIRST_COMPLETED)
                if not reading.done():
                    reading.cancel()
                    await asyncio.gather(reading, return_exceptions=True)
                    return b""
                data = reading.result()
                heard += data
                if apdus.feed(data):
                    return heard
        except (LinkError, RemoteProtocolError):
            return b""
        finally:
            stop()
            late.cancel()

    async def _made_room(self) -> bool:
        """Whether the first register has given way."""
        pump, ended = self._pump, self._ended
        if pump is None or ended is None:
            return True
        rested_s = self._now_s() - self._heard_at_s
        takeover = self._options.takeover
        if takeover is Takeover.NEVER or self._is_busy or self._side.turn is not Turn.REST:
            return False
        if takeover is Takeover.WHEN_SILENT and rested_s < REST_S:
            return False
        pump.hang_up("another register took over")
        await ended.wait()
        return self._pump is None

    async def _converse(self, stream: ByteStream, first: bytes) -> None:
        link = self._link = self._make_link()
        trace = self._context.trace
        number = 0
        pumped: Link | Tap = link
        if trace is not None:
            number = trace.new_link()
            trace.opened(number, protocol="zvt", local=stream.local, peer=stream.peer)
            pumped = Tap(link, trace, number, lambda: self._side.command)
        pump: Pump[LinkFailure] = Pump(
            stream, pumped, self._side, clock=self._context.clock, on_events=self._drain, on_failure=self._gave_up
        )
        self._pump = pump
        ended = self._ended = asyncio.Event()
        self._side.link_up()
        self._heard_at_s = self._now_s()
        why = "cancelled"
        try:
            for apdu in pumped.receive_data(first, now_s=self._now_s()) if first else ():
                self._side.receive_data(apdu, now_s=self._now_s())
            why = await pump.run()
        finally:
            if self._pump is pump:
                self._gone()
            ended.set()
            if trace is not None:
                trace.closed(number, why=why)

    def _gone(self) -> None:
        """The register's connection has ended; what runs is brought to its end without it."""
        self._pump = None
        self._side.link_down()
        self._drain()
        if self._is_busy and (self._pays or self._side.command in DIRECT):
            self._spawn(self._abort())

    def _gave_up(self, failure: LinkFailure) -> None:
        self._hang_up(f"the line carries nothing any more: {failure.reason}")

    def _hang_up(self, why: str) -> None:
        pump = self._pump
        if pump is not None:
            pump.hang_up(why)
            self._gone()

    def _turn(self) -> None:
        if self._pump is not None:
            self._pump.turn()
        else:
            self._drain()

    # -- what the register wants

    def _drain(self) -> None:
        if self._link is not None and self._pump is not None and (problem := self._link.problem()) is not None:
            self._hang_up(f"what came is no ZVT: {problem}")
            return
        for event in self._side.events_received():
            self._heard_at_s = self._now_s()
            match event:
                case Wanted(message):
                    self._wanted(message)
                case Answered(said):
                    self._transactions.answered(said)
                case AbortWanted():
                    self._spawn(self._abort())
                case Silent(waited_s):
                    self._hang_up(f"the register did not answer for {waited_s:g} s")
                case Unreadable(error):
                    self._hang_up(f"what came is no ZVT: {error}")

    @property
    def _is_busy(self) -> bool:
        return self._work is not None and not self._work.done()

    def _wanted(self, message: Message) -> None:
        side, now_s = self._side, self._now_s()
        if (
            self._options.check_password
            and message.head.get("password", self._options.password) != self._options.password
        ):
            side.refuse(0x37, now_s=now_s)
        elif message.code == 0x0600:
            self._register(message)
        elif message.code == 0x0602:
            side.reply(answer(), now_s=now_s)
            side.registered = Registered()
            self._lock_keypad(False)
        elif message.code == 0x0501:
            if message.tlv is not None:
                side.registered.tlv = True
            side.accept(now_s=now_s)
            self._spawn(self._service.status(message, side.procedure, busy=self._is_busy))
        elif self._is_busy:
            side.refuse(0x9C, now_s=now_s)
        else:
            self._start_work(message)

    def _start_work(self, message: Message) -> None:
        side, now_s = self._side, self._now_s()
        if message.tlv is not None:
            side.registered.tlv = True
        is_enquiry = message.code == 0x0623 and message.fields.get(0x87) == ALL_RECEIPTS
        self._pays = message.code in MONEY_COMMANDS and not is_enquiry
        self._told = None
        if not self._pays and not self._service.can(message):
            side.refuse(0x83, now_s=now_s)
            return
        # Other work goes to its end; what cannot be stopped is not promised to be (6.7).
        side.can_abort = message.code in DIRECT or (self._pays and Feature.ABORT in self._terminal.capabilities)
        if self._pays:
            side.accept(now_s=now_s)
            self._paying = side.procedure
            self._work = self._spawn(self._pay(message, side.procedure))
        elif message.code in DIRECT:
            self._work = self._spawn(self._reply(message))
        else:
            side.accept(now_s=now_s)
            self._work = self._spawn(self._do(message, side.procedure))

    def _register(self, message: Message) -> None:
        side, now_s = self._side, self._now_s()
        number = message.head_number("currency")
        taken = self._terminal.capabilities.currencies
        if number is not None and taken and number not in {Currency.of(code).number for code in taken}:
            head: dict[str, Value] = {"result": 0x6F, "currency": number}
            side.refuse(0x1E, now_s=now_s, head=head)
            return
        side.accept(now_s=now_s)
        side.registered.read(message)
        fields: dict[int, Value] = {0x19: 0x00, 0x29: self._service.terminal_id}
        if number is not None:
            fields[0x49] = number
        side.send(Message(code=0x060F, fields=fields, tlv=self._agreed(side.registered)), now_s=now_s)
        side.start_numbering()
        self._lock_keypad(side.registered.wants(Config.LOCK_PAYMENT))

    def _lock_keypad(self, wanted: bool) -> None:
        """What the register wants of the terminal's keypad (config bit 10); only our own lock is ever undone."""
        self._keypad_wanted = wanted and Feature.KEYPAD_LOCK in self._terminal.capabilities
        if self._keypad is None or self._keypad.done():
            self._keypad = self._spawn(self._apply_keypad())

    async def _keypad_done(self) -> None:
        """Some terminals do one thing at a time: what the registration began comes first."""
        if self._keypad is not None and not self._keypad.done():
            await asyncio.wait({self._keypad})

    async def _apply_keypad(self) -> None:
        while (wanted := self._keypad_wanted) is not self._keypad_locked:
            try:
                await self._terminal.lock_keypad(wanted)
            except TerminalError as exc:
                _log.warning("zvt.keypad_not_locked wanted=%s error=%s", wanted, exc)
                return
            self._keypad_locked = wanted

    def _agreed(self, registered: Registered) -> tuple[Tlv, ...] | None:
        if not registered.tlv:
            return None
        tags = [Tlv(0x1A, 0xFFFF), Tlv(0x26, (Tlv(0x0A, b"\x06\xd3"),))]
        if registered.columns is not None:
            tags.insert(0, Tlv(0x12, registered.columns))
        if registered.charset.number != 0xFF and registered.charset.number is not None:
            tags.append(Tlv(0x27, (Tlv(0x14, registered.charset.number),)))
        if registered.numbered:
            tags.append(Tlv(0x1F73, 0))
        return tuple(tags)

    async def _pay(self, message: Message, procedure: int) -> None:
        try:
            await self._keypad_done()
            await self._transactions.carry_out(message, self._default_currency(), procedure)
        finally:
            self._pays = False
            self._side.can_abort = True
            await self._refresh()

    async def _do(self, message: Message, procedure: int) -> None:
        try:
            await self._keypad_done()
            default = self._default_currency()
            self._service.currency_number = None if default is None else default.number
            await self._service.serve(message, procedure)
        except TerminalError as exc:
            tlv = (Tlv(0x1F17, str(exc)[:200]),) if self._side.registered.tlv else None
            code = failure_code(exc)
            end = Message(code=0x061E, head={"result": code}, tlv=tlv)
            self._side.send(end, now_s=self._now_s(), procedure=procedure)
            self._turn()
        finally:
            self._side.can_abort = True

    async def _reply(self, message: Message) -> None:
        try:
            said = await self._service.answer_to(message)
        except TerminalError as exc:
            said = answer(0x8400 | failure_code(exc))
        self._side.reply(said, now_s=self._now_s())
        self._turn()

    async def _abort(self) -> None:
        if self._pays:
            await self._transactions.abort()
        else:
            with suppress(TerminalError):
                await self._terminal.cancel_ask()

    def _default_currency(self) -> Currency | None:
        """Of a register that names none: EUR (fact sheet 6.2), unless somebody said otherwise.

        What the terminal happens to take would be a guess.
        """
        taken = self._terminal.capabilities.currencies
        code = self._options.currency or "EUR"
        return Currency.of(code) if not taken or code in taken else None

    # -- what the terminal tells

    def _on_terminal_event(self, event: Event) -> None:
        match event:
            case DisplayShown(text):
                self._text = text
            case ProgressChanged(_, progress) if self._pays:
                if progress in {Progress.ONLINE, Progress.APPROVED, Progress.CONFIRMING}:
                    self._side.can_abort = False
                self._tell(_STATES.get(progress))
            case StandalonePayment(payment):
                self._spawn(self._transactions.standalone(payment))
            case StatusChanged():
                pass
            case _:
                pass

    def _tell(self, code: int | None) -> None:
        if code is None or self._told == (code, self._text):
            return
        self._told = (code, self._text)
        lines = tuple(Tlv(0x07, line[:60]) for line in redact(self._text).split("\n")[:8] if line)
        tlv = (Tlv(0x24, lines),) if self._side.registered.tlv and lines else None
        message = Message(code=0x04FF, head={"status": code, "minutes": 3}, tlv=tlv)
        self._side.send(message, now_s=self._now_s(), procedure=self._paying)
        self._turn()

    async def _refresh(self) -> None:
        """Who the terminal is, as it is now."""
        with suppress(TerminalError):
            self._service.info = await self._terminal.info()
            self._transactions.terminal_id = self._service.terminal_id

    # -- small things

    def _now_s(self) -> float:
        return self._context.clock.now_s()

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)
        return task

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            _log.error("zvt.endpoint_failed error=%s", type(exc).__name__, exc_info=exc)
            self._hang_up("the terminal failed")
