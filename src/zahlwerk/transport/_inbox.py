"""What has arrived on a stream and was not fetched yet: bounded, one reader, then the reason why it ended."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from zahlwerk.errors import LocalProtocolError

__all__ = ["Inbox"]


class Inbox:
    """Bytes between whoever delivers them and the one task that takes them.

    Args:
        chunk_bytes_max: `take` never returns more than this.
        full_bytes: from here on `full` is true, and the deliverer is to stop until `on_room` is called.
        merge: small pieces are joined; otherwise each piece is taken as it was put.
        on_room: called when the inbox was full and has room again.
    """

    def __init__(
        self, *, chunk_bytes_max: int, full_bytes: int, merge: bool, on_room: Callable[[], None] | None = None
    ) -> None:
        self._chunk_bytes_max = chunk_bytes_max
        self._full_bytes = full_bytes
        self._merge = merge
        self._on_room = on_room
        self._chunks: deque[bytearray] = deque()
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._ended: str | None = None

    @property
    def full(self) -> bool:
        """True while nothing more should be delivered."""
        return self._size >= self._full_bytes

    @property
    def ended(self) -> str | None:
        """Why nothing more will come; None while more may."""
        return self._ended

    def put(self, data: bytes) -> None:
        """Deliver bytes. After the end they are dropped."""
        if self._ended is not None or not data:
            return
        if self._merge and self._chunks and len(self._chunks[-1]) < self._chunk_bytes_max:
            self._chunks[-1] += data
        else:
            self._chunks.append(bytearray(data))
        self._size += len(data)
        self._wake()

    def end(self, reason: str, *, drop: bool = False) -> None:
        """Nothing more will come. What was delivered can still be taken, unless `drop`. The first reason stays."""
        if self._ended is None:
            self._ended = reason
        if drop:
            self._chunks.clear()
            self._size = 0
        self._wake()

    async def take(self) -> bytes | None:
        """The next bytes, or None when nothing more will come.

        Raises:
            LocalProtocolError: another task is taking already: a stream has one owner.
        """
        # A task that was cancelled counts as gone, even if it had no chance yet to notice.
        if self._waiter is not None and not self._waiter.cancelled():
            raise LocalProtocolError("two tasks receive from one stream; it has one owner")
        while not self._chunks:
            if self._ended is not None:
                return None
            waiter = self._waiter = asyncio.get_running_loop().create_future()
            try:
                await waiter
            finally:
                if self._waiter is waiter:
                    self._waiter = None
        was_full = self.full
        chunk = self._chunks.popleft()
        if len(chunk) > self._chunk_bytes_max:
            self._chunks.appendleft(chunk[self._chunk_bytes_max :])
            chunk = chunk[: self._chunk_bytes_max]
        self._size -= len(chunk)
        if was_full and not self.full and self._on_room is not None:
            self._on_room()
        return bytes(chunk)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
