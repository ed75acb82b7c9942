"""A register, a terminal and a wire between them that can be cut at any message: all in one process, on virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from zahlwerk.clock import VirtualClock
from zahlwerk.errors import LinkError, LinkUnavailable
from zahlwerk.interfaces.kit.connection import Connection
from zahlwerk.interfaces.kit.driver import KitTerminal
from zahlwerk.interfaces.kit.endpoint import KitEndpoint, Serve, Stop
from zahlwerk.interfaces.kit.framing import LineDecoder, PlainLink
from zahlwerk.interfaces.kit.register import Options, RegisterSide
from zahlwerk.interfaces.kit.serial_link import SerialLink
from zahlwerk.money import Money
from zahlwerk.payment import Payment
from zahlwerk.terminal import CONFIRM, Decision, Evidence, Terminal, Witness
from zahlwerk.timeouts import DEFAULT_WAITS, Waits
from zahlwerk.transport.memory import MemoryStream, memory_pair
from zahlwerk.transport.stream import ByteStream
from zahlwerk.urls import Context, Url
from zahlwerk.virtual.settings import Settings
from zahlwerk.virtual.terminal import VirtualTerminal

__all__ = ["Journal", "Rule", "Splitter", "Wire", "World", "name_of_line", "run"]

T = TypeVar("T")
_NAME = re.compile(rb'"(\w+)"')


def name_of_line(line: bytes) -> str:
    """The message name of a line."""
    found = _NAME.search(line)
    return "" if found is None else found[1].decode()


@dataclass(frozen=True, slots=True)
class Rule:
    """Cut the wire at the how-manieth message of a name and direction (`>` to the terminal, `<` from it)."""

    name: str
    way: str
    count: int = 1
    before: bool = True
    """The message is lost; else it still arrives."""
    seen_by: str = "both"
    """Who notices at once: `register`, `terminal` or `both`; the other one is left with silence."""
    back_after_s: float | None = 0.0
    """When a new connection can be made; None: not before `Wire.repair`."""


class Splitter(Protocol):
    """Cuts a byte stream into messages."""

    def feed(self, data: bytes) -> list[bytes]: ...


class Lines:
    """KIT JSON: one message a line."""

    def __init__(self) -> None:
        self._decoder = LineDecoder()

    def feed(self, data: bytes) -> list[bytes]:
        return [line + b"\n" for line in self._decoder.feed(data) if isinstance(line, bytes)]


LineHook = Callable[[str, bytes], list[tuple[float, bytes]]]
"""What becomes of a line in a direction: what to deliver, each after so many seconds."""


@dataclass(slots=True)
class Wire:
    """Carries lines between a register's dial and a terminal's handler."""

    clock: VirtualClock
    rules: list[Rule] = field(default_factory=list)
    hook: LineHook | None = None
    log: list[tuple[str, bytes]] = field(default_factory=list)
    serve: Serve | None = None
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    cuts: int = 0
    down_until_s: float = 0.0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    splitter: Callable[[], Splitter] = Lines
    name_of: Callable[[bytes], str] = name_of_line

    async def dial(self) -> ByteStream:
        await asyncio.sleep(0)
        if self.serve is None or self.clock.now_s() < self.down_until_s:
            raise LinkUnavailable("the wire is cut")
        register, left = memory_pair("register", "wire")
        right, terminal = memory_pair("wire", "terminal")
        self.spawn(self._serve(terminal))
        connection = _Connection(self, left, right)
        self.spawn(connection.carry(">"))
        self.spawn(connection.carry("<"))
        return register

    async def _serve(self, terminal: MemoryStream) -> None:
        assert self.serve is not None
        await self.serve(terminal)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def repair(self) -> None:
        """From now on connections can be made, and nothing is cut any more."""
        self.down_until_s = 0.0
        self.rules.clear()
        self.hook = None

    def messages(self, way: str) -> list[str]:
        return [self.name_of(line) for known, line in self.log if known == way]

    async def close(self) -> None:
        for task in tuple(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@dataclass(slots=True)
class _Connection:
    wire: Wire
    left: MemoryStream
    right: MemoryStream
    dead: bool = False

    async def carry(self, way: str) -> None:
        source, target = (self.left, self.right) if way == ">" else (self.right, self.left)
        messages = self.wire.splitter()
        try:
            while True:
                for message in messages.feed(await source.receive()):
                    await self._line(way, message, target)
        except LinkError:
            if not self.dead:
                await target.close()

    async def _line(self, way: str, line: bytes, target: MemoryStream) -> None:
        wire = self.wire
        if self.dead:
            return
        name = wire.name_of(line)
        wire.seen[way, name] += 1
        rule = next((r for r in wire.rules if (r.way, r.name, r.count) == (way, name, wire.seen[way, name])), None)
        if rule is None or not rule.before:
            await self._deliver(way, line, target)
        if rule is not None:
            await self._cut(rule)

    async def _deliver(self, way: str, line: bytes, target: MemoryStream) -> None:
        wire = self.wire
        for delay_s, piece in wire.hook(way, line) if wire.hook is not None else [(0.0, line)]:
            if delay_s:
                wire.spawn(self._later(delay_s, way, piece, target))
            else:
                wire.log.append((way, piece))
                await target.send(piece)

    async def _later(self, delay_s: float, way: str, piece: bytes, target: MemoryStream) -> None:
        await self.wire.clock.sleep_until(self.wire.clock.now_s() + delay_s)
        if not self.dead:
            self.wire.log.append((way, piece))
            with contextlib.suppress(LinkError):
                await target.send(piece)

    async def _cut(self, rule: Rule) -> None:
        wire = self.wire
        self.dead = True
        wire.cuts += 1
        after_s = float("inf") if rule.back_after_s is None else rule.back_after_s
        wire.down_until_s = wire.clock.now_s() + after_s
        if rule.seen_by in {"register", "both"}:
            await self.left.close()
        if rule.seen_by in {"terminal", "both"}:
            await self.right.close()


class Journal(Witness):
    """Writes down what a real journal would: the evidence before the request, the decision before the confirmation."""

    def __init__(self, decision: Decision = CONFIRM) -> None:
        self.decision = decision
        self.evidence: dict[str, str] | None = None
        self.shown: list[Payment] = []

    async def sending(self, evidence: Evidence) -> None:
        self.evidence = dict(evidence)

    async def approved(self, payment: Payment) -> Decision:
        assert self.evidence is not None
        self.shown.append(payment)
        self.evidence["confirm"] = "1" if self.decision.confirm else "0"
        if payment.sequence is not None:
            self.evidence["sequence"] = str(payment.sequence)
        if self.decision.amount is not None:
            self.evidence["amount_minor"] = str(self.decision.amount.amount)
        return self.decision


class World:
    """All of it."""

    def __init__(
        self,
        *,
        rules: list[Rule] | None = None,
        settings: Settings | None = None,
        waits: Waits = DEFAULT_WAITS,
        serial: bool = False,
        terminal: Terminal | None = None,
    ) -> None:
        self.clock = VirtualClock()
        self.waits = waits
        self.context = Context(clock=self.clock, waits=waits, seed=1)
        settings = settings or Settings(seed=1)
        self.virtual = VirtualTerminal(replace(settings, shift_open=True), clock=self.clock, waits=waits)
        self._serial = serial
        self.wire = self.new_wire(list(rules or ()))
        self.endpoint = self.new_endpoint(terminal or self.virtual)
        self.register: Any = self.new_register()

    def new_wire(self, rules: list[Rule]) -> Wire:
        return Wire(self.clock, rules)

    def new_endpoint(self, terminal: Terminal) -> Any:
        return KitEndpoint(terminal, self._listen, lambda: self.link("terminal"), self.context)

    def link(self, role: Any) -> Any:
        return SerialLink(role) if self._serial else PlainLink()

    async def _listen(self, serve: Serve) -> tuple[Url, Stop]:
        self.wire.serve = serve

        async def stop() -> None:
            self.wire.serve = None

        return Url("memory"), stop

    def new_register(self, options: Any = None) -> Any:
        side = RegisterSide(options or Options(), waits=self.waits)
        connection = Connection(self.wire.dial, self.link("register"), side, self.context, name="memory:")
        return KitTerminal(connection, self.context, interface="KIT JSON")

    async def open(self) -> None:
        await self.virtual.open()
        await self.endpoint.start()
        await self.until(self.register.open())

    async def restart_register(self) -> None:
        """Another process: nothing of the old one's memory is left."""
        await self.until(self.register.close())
        self.register = self.new_register()

    async def close(self) -> None:
        await self.until(self.register.close())
        await self.until(self.endpoint.close())
        await self.virtual.close()
        await self.wire.close()

    # -- time

    async def quiet(self) -> None:
        """Everything that can run now has run."""
        ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]  # nothing public tells that all is quiet
        for _ in range(5_000):
            await asyncio.sleep(0)
            if not ready:
                return
        raise AssertionError("something runs in circles")

    async def until(self, work: Coroutine[Any, Any, T], *, limit_s: float = 3_000.0) -> T:
        """Let time pass until `work` is done."""
        task = asyncio.ensure_future(work)
        try:
            await self.pass_time(limit_s, task)
        except BaseException:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise
        assert task.done(), f"still not done after {limit_s:g} s of virtual time"
        return task.result()

    async def pass_time(self, seconds: float, task: asyncio.Future[Any] | None = None) -> None:
        """Let time pass, or less if the task is done before."""
        end_s = self.clock.now_s() + seconds
        await self.quiet()
        while task is None or not task.done():
            deadline_s = self.clock.next_deadline_s()
            if deadline_s is None or deadline_s > end_s:
                if task is None:
                    await self.clock.advance(end_s - self.clock.now_s(), settle_turns=1)
                return
            await self.clock.advance(max(0.0, deadline_s - self.clock.now_s()), settle_turns=1)
            await self.quiet()

    # -- money

    def charged(self) -> int:
        """What the host has taken, in minor units."""
        return sum(entry.effect_minor for entry in self.virtual.host.ledger())

    def captures(self) -> int:
        return sum(entry.action.value == "captured" for entry in self.virtual.host.ledger())

    def open_bookings(self) -> int:
        """Approvals that are neither captured nor voided."""
        numbers = {entry.booking for entry in self.virtual.host.ledger() if entry.booking}
        return sum(self.virtual.host.booking(number).state.value == "authorised" for number in numbers)


def run(work: Coroutine[Any, Any, T]) -> T:
    """A whole story in a loop of its own, for tests that are not coroutines."""
    return asyncio.run(work)


def chf(minor: int) -> Money:
    return Money.of(minor, "CHF")
