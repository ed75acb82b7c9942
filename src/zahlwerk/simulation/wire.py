"""The wire between register and terminal: whole messages with a little latency, and whatever faults do to them."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from zahlwerk.errors import LinkUnavailable
from zahlwerk.simulation.faults import Fault, Faults, place_of
from zahlwerk.simulation.loop import Process, VirtualLoop
from zahlwerk.simulation.story import Story
from zahlwerk.transport.stream import ByteStream, StreamEnded

__all__ = ["Splitter", "Wire"]

LATENCY_S: Final = 0.002
REORDER_S: Final = 1.0
# The process dies so long after a message has come in: it has begun to work on it.
WORKING_S: Final = 0.003
_FOREVER: Final = float("inf")


class Splitter(Protocol):
    """Cuts a byte stream into messages."""

    def feed(self, data: bytes) -> list[bytes]: ...


Serve = Callable[[ByteStream], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class Wire:
    """Everything between the register's dial and the terminal's handler."""

    loop: VirtualLoop
    faults: Faults
    story: Story
    splitter: Callable[[], Splitter]
    name_of: Callable[[bytes], str]
    asks: frozenset[str]
    """Messages that ask for money."""
    asking: Callable[[], str]
    """The reference that the register is asking for now."""
    crash: Callable[[float, bool], None]
    """The register's process dies: for so many seconds, and whether the terminal is told that the line is closed."""
    power: Callable[[float], None]
    """The terminal is without power for so many seconds."""
    serve: Serve | None = None
    terminal: Process | None = None
    down_until_s: float = 0.0
    asked: str = ""
    """The reference whose request has arrived at the terminal last."""
    messages: int = 0
    connections: list[_Connection] = field(default_factory=list)

    async def dial(self, process: Process) -> ByteStream:
        """A new connection, for a process of the register.

        Raises:
            LinkUnavailable: the line is down, or nobody listens.
        """
        await asyncio.sleep(LATENCY_S)
        if (
            not process.is_running
            or self.serve is None
            or self.terminal is None
            or self.loop.moment_s < self.down_until_s
        ):
            raise LinkUnavailable("the wire is cut")
        connection = _Connection(self)
        self.connections = [known for known in self.connections if not known.is_over]
        self.connections.append(connection)
        process.at_end(connection.register_gone)
        self.terminal.run(self.serve(connection.right))
        self.story.note("wire", "connected")
        return connection.left

    def repair(self) -> None:
        """Connections can be made."""
        self.down_until_s = 0.0

    def hang_up(self, *, seen_by: str) -> None:
        """Every connection breaks."""
        for connection in self.connections:
            connection.sever(seen_by)


class _Connection:
    """One connection: two ends, each with what it has sent and what is on its way."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.left = _End("register", "terminal", self, ">")
        self.right = _End("terminal", "register", self, "<")
        self._splitters = {">": wire.splitter(), "<": wire.splitter()}
        self._last_s = {">": 0.0, "<": 0.0}
        self._held: dict[str, tuple[str, bytes]] = {}
        self._cut = False
        self.silent_end = False
        """The register's machine went dark: nobody hangs up for it."""

    @property
    def is_over(self) -> bool:
        return self.left.why != "" and self.right.why != ""

    def register_gone(self) -> None:
        """The register's process has died."""
        if not self.left.why:
            self.sever("register" if self.silent_end else "both")

    def sever(self, seen_by: str) -> None:
        self._cut = True
        if seen_by != "terminal":
            self.left.end("the line was cut")
        if seen_by != "register":
            self.right.end("the line was cut")

    def closed(self, end: _End) -> None:
        """One end hung up; what it has sent arrives first."""
        end.end("the connection was closed on this side", drop=True)
        other = self.right if end is self.left else self.left
        way = ">" if end is self.left else "<"
        at_s = max(self.wire.loop.moment_s + LATENCY_S, self._last_s[way])
        if not self._cut:
            self.wire.loop.call_at(at_s, other.end, "the peer closed the connection")

    def sent(self, way: str, data: bytes) -> None:
        """One end has sent some bytes."""
        for message in self._splitters[way].feed(data):
            if self._cut:
                return
            self._pass(way, message)

    def _pass(self, way: str, message: bytes) -> None:
        wire = self.wire
        name = wire.name_of(message)
        wire.messages += 1
        fault = wire.faults.at(place_of(way, name))
        asking = wire.asking() if way == ">" and name in wire.asks else ""
        if fault is None:
            wire.story.note("wire", f"{way} {name}")
            self._deliver(way, message, asking)
        else:
            wire.story.note("wire", f"{way} {name}: {fault.kind}" + (f" {fault.seconds:g} s" if fault.seconds else ""))
            self._spoil(fault, way, message, asking)
        held = self._held.pop(way, None) if fault is None or fault.kind != "reorder" else None
        if held is not None:
            self._deliver(way, held[1], held[0])

    def _deliver(self, way: str, message: bytes, asking: str, *, later_s: float = 0.0, queue: bool = True) -> None:
        at_s = self.wire.loop.moment_s + LATENCY_S + later_s
        if queue:
            at_s = self._last_s[way] = max(at_s, self._last_s[way])
        self.wire.loop.call_at(at_s, self._arrive, way, message, asking)

    def _arrive(self, way: str, message: bytes, asking: str) -> None:
        if self._cut:
            return
        if asking:
            self.wire.asked = asking
        (self.right if way == ">" else self.left).put(message)

    def _spoil(self, fault: Fault, way: str, message: bytes, asking: str) -> None:
        wire = self.wire
        match fault.kind:
            case "drop":
                pass
            case "delay":
                self._deliver(way, message, asking, later_s=fault.seconds)
            case "duplicate":
                self._deliver(way, message, asking)
                self._deliver(way, message, asking, later_s=fault.seconds, queue=not fault.seconds)
            case "reorder":
                self._held[way] = (asking, message)
                wire.loop.call_at(wire.loop.moment_s + REORDER_S, self._release, way)
            case "garble":
                self._deliver(way, garbled(message, f"{fault.place} {fault.count}"), asking)
            case "cut-before" | "cut-after":
                if fault.kind == "cut-after":
                    self._arrive(way, message, asking)
                wire.down_until_s = wire.loop.moment_s + fault.seconds
                self.sever(fault.how)
            case "crash-before" | "crash-after":
                self._crash(fault, way, message, asking)
            case "power":
                wire.power(fault.seconds)
            case _:
                raise AssertionError(fault.kind)

    def _crash(self, fault: Fault, way: str, message: bytes, asking: str) -> None:
        told = fault.how != "register"
        if fault.kind == "crash-before":
            self.wire.crash(fault.seconds, told)
        elif way == ">":
            self._arrive(way, message, asking)
            self.wire.crash(fault.seconds, told)
        else:
            self._deliver(way, message, asking)
            self.wire.loop.call_at(self._last_s[way] + WORKING_S, self.wire.crash, fault.seconds, told)

    def _release(self, way: str) -> None:
        held = self._held.pop(way, None)
        if held is not None:
            self._deliver(way, held[1], held[0])


class _End(ByteStream):
    """One end of a connection."""

    def __init__(self, local: str, peer: str, connection: _Connection, way: str) -> None:
        self.local = local
        self.peer = peer
        self.why = ""
        self._connection = connection
        self._way = way
        self._pieces: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._sent = False

    async def receive(self) -> bytes:
        while not self._pieces:
            if self.why:
                raise StreamEnded(self.why, request_sent=self._sent)
            waiter = self._waiter = self._connection.wire.loop.create_future()
            await waiter
        return self._pieces.popleft()

    async def send(self, data: bytes) -> None:
        if self.why:
            raise StreamEnded(self.why, request_sent=self._sent)
        self._sent = True
        self._connection.sent(self._way, data)

    async def close(self) -> None:
        if not self.why:
            self._connection.closed(self)

    def put(self, data: bytes) -> None:
        if not self.why:
            self._pieces.append(data)
            self._wake()

    def end(self, why: str, *, drop: bool = False) -> None:
        if drop:
            self._pieces.clear()
        self.why = self.why or why
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def garbled(message: bytes, seed: str) -> bytes:
    """One to three bytes changed; what ends the message stays, so that it stays one."""
    rng = random.Random(seed)  # noqa: S311 - not a secret: a simulation
    end = message[-1:] if message.endswith(b"\n") else b""
    changed = bytearray(message[: len(message) - len(end)])
    for _ in range(rng.randint(1, 3) if changed else 0):
        changed[rng.randrange(len(changed))] ^= rng.randint(1, 255)
    return bytes(changed).replace(b"\n", b"?") + end if end else bytes(changed)
