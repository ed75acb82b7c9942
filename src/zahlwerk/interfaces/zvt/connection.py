"""The register's connection to a ZVT terminal: dials when there is something to say, registers, runs commands. I/O.

A terminal may hang up while nothing runs: many do, after a second or two (fact sheet 1.2). So a connection is made when
a command needs one. What runs when a connection breaks is never repeated here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from zahlwerk.errors import LinkError, LinkLost, LinkUnavailable, MoneyMoved, PeerSilent, TerminalError, TerminalRefused
from zahlwerk.interfaces.zvt.charsets import BY_NAME
from zahlwerk.interfaces.zvt.dictionary import COMMANDS, result_row
from zahlwerk.interfaces.zvt.framing import Link, LinkFailure
from zahlwerk.interfaces.zvt.messages import Message
from zahlwerk.interfaces.zvt.profiles import Profile
from zahlwerk.interfaces.zvt.register import (
    Expired,
    Finished,
    Phase,
    Refused,
    RegisterEvent,
    RegisterSide,
    Unreadable,
    Unsolicited,
)
from zahlwerk.interfaces.zvt.registration import registration_for
from zahlwerk.interfaces.zvt.tap import Tap
from zahlwerk.transport.pump import Pump
from zahlwerk.transport.stream import ByteStream
from zahlwerk.urls import Context

__all__ = ["Connection", "refused_error"]

Dial = Callable[[], Awaitable[ByteStream]]
Listener = Callable[[RegisterEvent], None]

BUSY: Final = frozenset({0x9C, 0xA0})
STATUS_ENQUIRY: Final = 0x0501


WRONG_PASSWORD: Final = 0x37


def refused_error(what: str, code: int) -> TerminalRefused:
    """A result code as one of our errors."""
    row = result_row(code)
    staff, remedy = row.staff.en.rstrip("."), row.next_step.en or "see what the terminal shows, then try again"
    if code == WRONG_PASSWORD:
        # Of a result 37 is a wrong PIN; a command is refused so for its password. Source: fact sheet 2.4.
        staff, remedy = "the password is wrong", "give the terminal's merchant password: ?password=SIX-DIGITS"
    return TerminalRefused(
        f"the terminal refused {what}: {staff} (ZVT {code:02X})",
        code=code,
        source="ZVT",
        money_moved=MoneyMoved.NO,
        remedy=remedy,
    )


class Connection:
    """One terminal: at most one connection, at most one command at a time."""

    def __init__(
        self,
        dial: Dial,
        make_link: Callable[[], Link],
        context: Context,
        profile: Profile,
        *,
        name: str,
        currency_number: int = 978,
        handled: frozenset[int] = frozenset(),
    ) -> None:
        self.side = RegisterSide(timers=profile.timers, charset=BY_NAME[profile.charset])
        self.profile = profile
        self.handled = handled
        """Commands of the terminal that somebody here answers; announced at the next registration."""
        self.currency_number = currency_number
        self.config = profile.config
        """Config byte of the registration."""
        self.service: int | None = None
        """Service byte of the registration, BMP 03."""
        self.receipt_parameters: int | None = None
        """Tag 1F04 of the registration."""
        self.on_unsolicited: Callable[[Message], None] = lambda _: None
        self.on_event: Listener = lambda _: None
        """Told of what happens on the way of a command that nobody listens to, such as a status enquiry while idle."""
        self.on_up: Callable[[], Awaitable[None]] | None = None
        """Called once a new connection is registered, before anything else may be sent on it."""
        self.on_down: Callable[[str], None] = lambda _: None
        self.on_registered: Callable[[int], None] = lambda _: None
        """Called with the status bits of a registration."""
        self.generation = 0
        """Counts connections: what was learnt on another one may be out of date."""
        self.broke = False
        """The latest connection was not ended by us while at rest."""
        self._dial = dial
        self._make_link = make_link
        self._context = context
        self._name = name
        self._pump: Pump[LinkFailure] | None = None
        self._link: Link | None = None
        self._task: asyncio.Task[None] | None = None
        self._ended: asyncio.Future[str] | None = None
        self._lock = asyncio.Lock()
        self._current: asyncio.Future[Finished | Refused] | None = None
        self._listener: Listener | None = None
        self._closing = False
        self._poll: asyncio.Task[None] | None = None

    @property
    def is_up(self) -> bool:
        """A connection stands."""
        return self._pump is not None

    @property
    def is_closed(self) -> bool:
        """Closed by us: nothing is dialled any more."""
        return self._closing

    async def open(self) -> None:
        """Connect and register.

        Raises:
            LinkUnavailable: nobody answers there.
            PeerSilent: somebody does, but not as a ZVT terminal.
            TerminalRefused: it does not take the registration.
        """
        self._closing = False
        async with self._lock:
            await self._ready()
        if self.profile.poll_s > 0 and self._poll is None and self.profile.connection == "keep":
            self._poll = asyncio.create_task(self._poll_for_ever())

    async def register_with(self, config: int) -> None:
        """Register anew, and from now on, with another config byte. Raises what `open` raises."""
        async with self._lock:
            before, self.config = self.config, config
            was_up = self._pump is not None
            try:
                await self._ready()
                if was_up or self.profile.registers != "always":
                    await self._register()
            except BaseException:
                self.config = before
                raise

    async def close(self) -> None:
        """Hang up. Raises nothing."""
        self._closing = True
        poll, self._poll = self._poll, None
        if poll is not None:
            poll.cancel()
            await asyncio.gather(poll, return_exceptions=True)
        await self._hang_up("closed")

    async def run(
        self,
        message: Message,
        *,
        listener: Listener | None = None,
        on_sent: Callable[[], None] | None = None,
        wait_s: float | None = None,
        master_s: float | None = None,
        holds_results: bool = False,
    ) -> Finished | Refused:
        """Run one command to its end.

        Args:
            listener: told of everything on the way.
            on_sent: called just before the command may leave this machine.
            wait_s, master_s, holds_results: as in `RegisterSide.start`.

        Raises:
            LinkUnavailable, TerminalRefused: no connection could be made ready; the command was not sent.
            LinkLost, PeerSilent: it was sent, and its end is not known.
        """
        async with self._lock:
            await self._ready()
            try:
                return await self._run(
                    message, listener=listener, on_sent=on_sent, wait_s=wait_s, master_s=master_s,
                    holds_results=holds_results,
                )  # fmt: skip
            finally:
                if self.profile.connection == "each":
                    await self._hang_up("one command, one connection")

    async def run_here(self, message: Message, *, listener: Listener | None = None) -> Finished | Refused:
        """The same from within `on_up`, where the connection is held already."""
        return await self._run(message, listener=listener)

    def reply(self, message: Message) -> bool:
        """Answer what the terminal asked; False if it no longer waits."""
        sent = self.side.reply(message, now_s=self._now_s())
        self.turn()
        return sent

    def abort(self) -> None:
        """Ask the terminal to stop what runs."""
        self.side.abort(now_s=self._now_s())
        self.turn()

    def turn(self) -> None:
        """Let what was queued go out."""
        if self._pump is not None:
            self._pump.turn()

    # -- inside

    async def _run(
        self,
        message: Message,
        *,
        listener: Listener | None = None,
        on_sent: Callable[[], None] | None = None,
        wait_s: float | None = None,
        master_s: float | None = None,
        holds_results: bool = False,
    ) -> Finished | Refused:
        await self._until_free()
        if self._pump is None:
            raise LinkUnavailable(f"the connection to {self._name} went away")
        self.side.start(message, now_s=self._now_s(), wait_s=wait_s, master_s=master_s, holds_results=holds_results)
        current: asyncio.Future[Finished | Refused] = asyncio.get_running_loop().create_future()
        self._current = current
        self._listener = listener
        try:
            if on_sent is not None:
                on_sent()
            self.turn()
            return await current
        finally:
            self._current = None
            self._listener = None
            if not current.done() or current.cancelled():
                # Nobody would answer for us: a result that nobody has seen must not be accepted.
                await self._hang_up("the caller went away")

    async def _until_free(self) -> None:
        """Something that staff started at the terminal runs to its end first, and an abort gets its answer.

        Else the late answer to the abort would be taken for the answer to the next command.
        """
        while self._pump is not None and self.side.abort_unanswered(now_s=self._now_s()):
            await self._pause(ABORT_ANSWER_S)
        deadline_s = self._now_s() + self.profile.timers.t4_s
        while self._pump is not None and self.side.phase is Phase.LOCAL and self._now_s() < deadline_s:
            await self._pause(self.profile.timers.poll_s)

    async def _ready(self) -> None:
        """A connection that stands and is registered."""
        if self._pump is not None:
            return
        if self._closing:
            raise LinkUnavailable(f"{self._name} was closed", remedy="open the terminal first")
        stream = await self._dial()
        self._start(stream)
        self.generation += 1
        try:
            if self.profile.registers == "always" or not self.side.registration.done:
                await self._register()
            if self.on_up is not None:
                await self.on_up()
        except LinkLost as exc:
            await self._hang_up("it could not be made ready")
            raise LinkUnavailable(str(exc)) from exc
        except BaseException:
            await self._hang_up("it could not be made ready")
            raise
        self.broke = False

    def registration(self) -> Message:
        """How we introduce ourselves."""
        return registration_for(
            self.profile.but(config=self.config), currency_number=self.currency_number, handled=self.handled,
            service=self.service, receipt_parameters=self.receipt_parameters,
        )  # fmt: skip

    async def _register(self) -> None:
        try:
            end = await self._run(self.registration())
        except LinkLost as exc:
            raise PeerSilent(
                f"{self._name} does not answer as a ZVT terminal: {exc}",
                money_moved=MoneyMoved.NO,
                remedy="check the address and port, and that ZVT is switched on at the terminal",
            ) from exc
        if isinstance(end, Refused):
            code = end.answer.head_number("result") or end.answer.code & 0xFF
            if code == 0x83 and self.profile.tlv:
                raise refused_error("the registration (it may not know TLV: try ?tlv=no)", code)
            raise refused_error("the registration", code)
        if not end.is_success:
            raise refused_error("the registration", end.message.head_number("result") or 0xFF)
        self.on_registered(self.side.registration.status_bits)

    def _start(self, stream: ByteStream) -> None:
        link = self._link = self._make_link()
        trace = self._context.trace
        number = 0
        pumped: Link | Tap = link
        if trace is not None:
            number = trace.new_link()
            trace.opened(number, protocol="zvt", local=stream.local, peer=stream.peer)
            pumped = Tap(link, trace, number, lambda: self.side.command)
        self.side.link_up()
        pump: Pump[LinkFailure] = Pump(
            stream, pumped, self.side, clock=self._context.clock, on_events=self._drain, on_failure=self._gave_up
        )
        self._pump = pump
        self._task = asyncio.create_task(self._serve(pump, number))

    async def _serve(self, pump: Pump[LinkFailure], number: int) -> None:
        why = "cancelled"
        try:
            why = await pump.run()
        finally:
            if self._pump is pump:
                self._down(why)
            if self._context.trace is not None:
                self._context.trace.closed(number, why=why)

    def _down(self, why: str) -> None:
        self._pump = None
        self.broke = self.broke or not self.side.is_free
        self.side.link_down()
        current = self._current
        if current is not None and not current.done():
            current.set_exception(LinkLost(f"the connection to {self._name} ended: {why}", request_sent=True))
        self.on_down(why)

    async def _hang_up(self, why: str) -> None:
        pump, task = self._pump, self._task
        if pump is None or task is None:
            return
        pump.hang_up(why)
        self._down(why)
        self._task = None
        _, late = await asyncio.wait({task}, timeout=CLOSE_S)
        for running in late:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def _gave_up(self, failure: LinkFailure) -> None:
        self._drop(f"the line carries nothing any more: {failure.reason}")

    def _drop(self, why: str) -> None:
        """This connection is of no use any more; whatever comes next needs another one."""
        pump = self._pump
        if pump is not None:
            pump.hang_up(why)
            self._down(why)

    def _drain(self) -> None:
        if self._link is not None and (problem := self._link.problem()) is not None and self._pump is not None:
            self._drop(f"what came is no ZVT: {problem}")
            return
        for event in self.side.events_received():
            self._heard(event)

    def _heard(self, event: RegisterEvent) -> None:
        match event:
            case Finished() | Refused():
                if self._listener is not None:
                    self._listener(event)
                if self._current is not None and not self._current.done():
                    self._current.set_result(event)
            case Expired(command, _, waited_s):
                name = COMMANDS[command].title if command in COMMANDS else "nothing"
                error = PeerSilent(f"{self._name} said nothing for {waited_s:g} s during {name}")
                if self._current is not None and not self._current.done():
                    self._current.set_exception(error)
                self._drop("the terminal is silent")
            case Unreadable(problem):
                self._drop(f"what came is no ZVT: {problem}")
            case Unsolicited(message):
                self.on_unsolicited(message)
            case _:
                (self._listener or self.on_event)(event)

    async def _poll_for_ever(self) -> None:
        """Notices a terminal that vanished, and gives it leave to run its timed jobs. Source: fact sheet 6.8."""
        while True:
            await self._pause(self.profile.poll_s)
            if self._lock.locked() or self._closing:
                continue
            with suppress(TerminalError, LinkError):
                await self.run(Message(code=STATUS_ENQUIRY))

    async def _pause(self, seconds: float) -> None:
        await self._context.clock.sleep_until(self._now_s() + seconds)

    def _now_s(self) -> float:
        return self._context.clock.now_s()


# A hang-up waits so long for what is queued to go out.
CLOSE_S: Final = 3.0
# How often to look whether an abort was answered.
ABORT_ANSWER_S: Final = 0.1
