"""Streams inside the process, for tests, the simulation and the virtual terminal. No real time, nothing random.

What one end sends, the other receives piece by piece as it was sent, so that a test decides the chunking. Either end
can be given a hook that drops, doubles or garbles what it sends, and the line can be cut.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from zahlwerk.errors import LinkUnavailable, LocalProtocolError
from zahlwerk.transport._inbox import Inbox
from zahlwerk.transport.stream import (
    BUFFER_BYTES_MAX,
    CHUNK_BYTES_MAX,
    CONNECTIONS_MAX,
    ByteStream,
    Handler,
    Listener,
    StreamEnded,
)

__all__ = ["MemoryListener", "MemoryNetwork", "MemoryStream", "SendHook", "memory_pair"]

SendHook = Callable[[bytes], list[bytes] | None]
"""What becomes of one `send`: the pieces to deliver instead ([] drops it), or None to deliver it as it is."""

_CLOSED_HERE: Final = "the connection was closed on this side"
_CLOSED_THERE: Final = "the peer closed the connection"


class MemoryStream(ByteStream):
    """One end of a connection inside the process. Made by `memory_pair` and `MemoryNetwork`."""

    other: MemoryStream

    def __init__(self, local: str, peer: str, *, buffer_bytes_max: int = BUFFER_BYTES_MAX) -> None:
        self.local = local
        self.peer = peer
        self.on_send: SendHook | None = None
        """Asked about everything that this end sends."""
        self._inbox = Inbox(
            chunk_bytes_max=CHUNK_BYTES_MAX, full_bytes=buffer_bytes_max, merge=False, on_room=self._wake_writers
        )
        self._room: list[asyncio.Future[None]] = []
        self._sending = asyncio.Lock()
        self._sent = False

    @property
    def ended(self) -> bool:
        """True once nothing more can be sent."""
        return self._inbox.ended is not None

    async def receive(self) -> bytes:
        data = await self._inbox.take()
        if data is None:
            raise self._over()
        return data

    async def send(self, data: bytes) -> None:
        async with self._sending:
            if self.ended:
                raise self._over()
            self._sent = self._sent or bool(data)
            pieces = self.on_send(data) if self.on_send is not None and data else None
            for piece in [data] if pieces is None else pieces:
                await self._deliver(bytes(piece))

    async def close(self) -> None:
        self._inbox.end(_CLOSED_HERE, drop=True)
        self.other._inbox.end(_CLOSED_THERE)
        self._wake_writers()
        self.other._wake_writers()

    def cut(self, why: str = "the line was cut", *, lose: bool = False) -> None:
        """Sever the connection: both ends meet `StreamEnded`; with `lose`, what is under way never arrives."""
        for end in (self, self.other):
            end._inbox.end(why, drop=lose)
            end._wake_writers()

    async def _deliver(self, data: bytes) -> None:
        for start in range(0, len(data), CHUNK_BYTES_MAX):
            while self.other._inbox.full and not self.ended:
                room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self.other._room.append(room)
                await room
            if self.ended:
                raise self._over()
            self.other._inbox.put(data[start : start + CHUNK_BYTES_MAX])

    def _over(self) -> StreamEnded:
        return StreamEnded(self._inbox.ended or _CLOSED_HERE, request_sent=self._sent)

    def _wake_writers(self) -> None:
        waiting, self._room = self._room, []
        for room in waiting:
            if not room.done():
                room.set_result(None)


def memory_pair(
    name_a: str = "register", name_b: str = "terminal", *, buffer_bytes_max: int = BUFFER_BYTES_MAX
) -> tuple[MemoryStream, MemoryStream]:
    """The two ends of one connection: what `a` sends, `b` receives, and the other way round."""
    a = MemoryStream(name_a, name_b, buffer_bytes_max=buffer_bytes_max)
    b = MemoryStream(name_b, name_a, buffer_bytes_max=buffer_bytes_max)
    a.other, b.other = b, a
    return a, b


class MemoryNetwork:
    """Listeners by name, and connections to them: reconnecting can be played through without a socket."""

    def __init__(self) -> None:
        self._listeners: dict[str, MemoryListener] = {}
        self.on_connect: Callable[[MemoryStream, MemoryStream], None] | None = None
        """Called with both ends (caller's, listener's) of each new connection: the place to set `on_send`."""
        self._open: list[tuple[str, MemoryStream]] = []
        self._count = 0

    def listen(self, name: str, handler: Handler, *, connections_max: int = CONNECTIONS_MAX) -> MemoryListener:
        """A listener under a name, not yet started."""
        return MemoryListener(self, name, handler, connections_max=connections_max)

    async def connect(self, name: str) -> MemoryStream:
        """A connection to a listener.

        Raises:
            LinkUnavailable: nobody listens under that name.
        """
        await asyncio.sleep(0)
        listener = self._listeners.get(name)
        if listener is None:
            raise LinkUnavailable(f"{name}: nobody listens there")
        self._count += 1
        caller, called = memory_pair(f"caller-{self._count}", name)
        if self.on_connect is not None:
            self.on_connect(caller, called)
        self._open = [(known, stream) for known, stream in self._open if not stream.ended]
        self._open.append((name, caller))
        await listener.accept(called)
        return caller

    def cut(self, name: str | None = None, why: str = "the line was cut", *, lose: bool = False) -> int:
        """Sever the connections to a listener, or all; how many there were."""
        cut = [stream for known, stream in self._open if name in {None, known} and not stream.ended]
        for stream in cut:
            stream.cut(why, lose=lose)
        return len(cut)


class MemoryListener(Listener):
    """Listens under a name of a `MemoryNetwork`. Made by `MemoryNetwork.listen`."""

    def __init__(
        self, network: MemoryNetwork, name: str, handler: Handler, *, connections_max: int = CONNECTIONS_MAX
    ) -> None:
        super().__init__(handler, connections_max=connections_max)
        self._network = network
        self._name = name
        self._started = False

    async def start(self) -> tuple[str, int]:
        """Begin to accept; the name, and 0 for the port."""
        if self._started:
            raise LocalProtocolError("a listener is started once")
        if self._name in self._network._listeners:
            raise LinkUnavailable(f"cannot listen on {self._name}: the name is already in use")
        self._started = True
        self._network._listeners[self._name] = self
        return self._name, 0

    async def close(self) -> None:
        if self._network._listeners.get(self._name) is self:
            del self._network._listeners[self._name]
        await self._end_all()

    async def accept(self, stream: MemoryStream) -> None:
        """Take over the listener's end of a new connection."""
        if not self._admits(stream.peer):
            await stream.close()
            return

        async def ready() -> ByteStream | None:
            return stream

        self._spawn(ready)
