"""What every byte stream and every listener promises, whatever wire is below.

A stream has one owner: one task receives. Sending from several tasks is allowed; each `send` goes out whole.
Every buffer has a limit, `close` always ends, and a line that dies says so once, with a reason.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final

from zahlwerk.carddata import redact
from zahlwerk.errors import InvalidRequest, LinkLost

__all__ = [
    "BUFFER_BYTES_MAX",
    "CHUNK_BYTES_MAX",
    "CLOSE_S",
    "CONNECTIONS_MAX",
    "ByteStream",
    "Handler",
    "Listener",
    "StreamEnded",
]

CHUNK_BYTES_MAX: Final = 65536
"""`receive` returns at most this many bytes."""
BUFFER_BYTES_MAX: Final = 65536
"""From this fill on, a direction's buffer makes its writer wait. LIMIT: three of the longest KIT messages."""
CONNECTIONS_MAX: Final = 64
"""How many connections a listener serves at once, unless told otherwise."""
CLOSE_S: Final = 2.0
"""`close` waits this long for the peer before it cuts the line."""
HANDLERS_S: Final = 5.0
"""A closing listener waits this long for its handlers before it cancels them."""

_log: Final = logging.getLogger("zahlwerk.transport")


class StreamEnded(LinkLost):
    """The stream is over: the peer hung up, the line died, or it was closed on this side.

    `reason` says which. `money_moved` is `NO` if nothing was ever sent on this stream, otherwise `MAYBE`: only the
    owner knows whether a request was open.
    """

    def __init__(self, reason: str, *, request_sent: bool = True) -> None:
        super().__init__(reason, request_sent=request_sent)
        self.reason = reason


class ByteStream(ABC):
    """A connection that carries bytes both ways."""

    local: str
    """This end: `host:port`, a device path or a name."""
    peer: str
    """The other end, in the same form."""

    @abstractmethod
    async def receive(self) -> bytes:
        """The next 1 to `CHUNK_BYTES_MAX` bytes; waits for them. Cancelling it loses nothing.

        Raises:
            StreamEnded: the stream is over, and everything that arrived before has been returned.
            LocalProtocolError: another task is receiving already.
        """

    @abstractmethod
    async def send(self, data: bytes) -> None:
        """Send all bytes; waits while the buffer is full. Returning does not mean that the peer has them.

        If it is cancelled, a part may have gone out: the owner can only close the stream.

        Raises:
            StreamEnded: the stream is over; the peer may have got a part.
        """

    @abstractmethod
    async def close(self) -> None:
        """Send what is buffered, as far as the peer takes it within `CLOSE_S`, then hang up. Idempotent, never raises.

        A task that is receiving or sending meets `StreamEnded`.
        """

    async def __aenter__(self) -> ByteStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()


Handler = Callable[[ByteStream], Awaitable[None]]
"""Serves one connection. The stream is closed when it returns or raises."""


class Listener(ABC):
    """Accepts connections and runs a handler for each.

    A handler that fails costs its own connection only; what happened is logged without any payload. Connections
    beyond `connections_max` are closed at once.
    """

    def __init__(self, handler: Handler, *, connections_max: int = CONNECTIONS_MAX) -> None:
        if connections_max < 1:
            raise InvalidRequest(f"connections_max is at least 1, got {connections_max}")
        self._handler = handler
        self._connections_max = connections_max
        self._tasks: dict[asyncio.Task[None], ByteStream | None] = {}
        self._refusing = False
        self._closing = False

    @property
    def connections(self) -> int:
        """How many connections are being served now."""
        return len(self._tasks)

    @abstractmethod
    async def start(self) -> tuple[str, int]:
        """Begin to accept; the actual host and port. A listener is started once.

        Raises:
            LinkUnavailable: the port is in use or not ours to open, or the host is unknown.
        """

    @abstractmethod
    async def close(self) -> None:
        """Stop accepting, close every stream, wait for the handlers; cancel those that do not end. Idempotent."""

    async def __aenter__(self) -> Listener:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    def _admits(self, peer: str) -> bool:
        """False when the listener is full; logged once each time it becomes so, for a flood must not fill the log."""
        if self._closing:
            return False
        if len(self._tasks) < self._connections_max:
            self._refusing = False
            return True
        if not self._refusing:
            self._refusing = True
            _log.warning("listener.full peer=%s connections_max=%d", peer, self._connections_max)
        return False

    def _spawn(self, prepare: Callable[[], Awaitable[ByteStream | None]]) -> None:
        """Run `prepare` and then the handler in a task of their own; `prepare` gives None for a failed handshake."""
        task = asyncio.get_running_loop().create_task(self._serve(prepare))
        self._tasks[task] = None
        task.add_done_callback(self._forget)

    async def _serve(self, prepare: Callable[[], Awaitable[ByteStream | None]]) -> None:
        stream = await prepare()
        if stream is None:
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = stream
        await self._handle(stream)

    async def _handle(self, stream: ByteStream) -> None:
        try:
            await self._handler(stream)
        except StreamEnded as ended:
            _log.debug("listener.ended peer=%s reason=%s", stream.peer, redact(ended.reason))
        except Exception as exc:
            # Not the traceback: its texts may quote payload.
            _log.error("listener.handler_failed peer=%s %s", stream.peer, _brief(exc))
        finally:
            await stream.close()

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (exc := task.exception()) is not None:
            _log.error("listener.connection_failed %s", _brief(exc))

    async def _end_all(self) -> None:
        """Close the streams, wait for the handlers, cancel what is left."""
        # A connection that the system accepted just before may still be on its way here.
        self._closing = True
        here = asyncio.current_task()
        others = {task: stream for task, stream in self._tasks.items() if task is not here}
        if not others:
            return
        for task, stream in others.items():
            if stream is None:
                task.cancel()
        closing = [asyncio.ensure_future(stream.close()) for stream in others.values() if stream is not None]
        try:
            if closing:
                await asyncio.wait(closing, timeout=HANDLERS_S)
            _, late = await asyncio.wait(others, timeout=HANDLERS_S)
        finally:
            for task in [*closing, *others]:
                task.cancel()
        if late:
            _log.warning("listener.handlers_cancelled count=%d", len(late))
            await asyncio.wait(late, timeout=HANDLERS_S)


def _brief(exc: BaseException) -> str:
    """Kind, place and text of a failure in one line, free of card data."""
    frames = traceback.extract_tb(exc.__traceback__)
    place = f"{frames[-1].name}:{frames[-1].lineno}" if frames else "?"
    text = " ".join(redact(str(exc)).split())[:200]
    return f"error={type(exc).__name__} at={place} text={text!r}"
