"""Time and randomness as things that are handed in, so that tests and simulations own them.

`Clock` is what I/O shells use: monotonic seconds for deadlines, wall time for receipts, and a sleep.
Protocol objects never see a clock; they take `now_s` as an argument.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import random

__all__ = ["Clock", "SystemClock", "VirtualClock", "random_source"]


class Clock(Protocol):
    """Monotonic seconds, wall time and waiting."""

    def now_s(self) -> float:
        """Monotonic seconds since some fixed moment."""
        ...

    def wall(self) -> datetime:
        """The present moment, with its time zone."""
        ...

    async def sleep_until(self, deadline_s: float) -> None:
        """Return once `now_s()` has reached `deadline_s`."""
        ...

    def call_at(self, deadline_s: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` once `now_s()` has reached `deadline_s`; returns the function that calls it off."""
        ...


class SystemClock:
    """The machine's own time."""

    def now_s(self) -> float:
        return time.monotonic()

    def wall(self) -> datetime:
        return datetime.now(tz=UTC).astimezone()

    async def sleep_until(self, deadline_s: float) -> None:
        await asyncio.sleep(max(0.0, deadline_s - time.monotonic()))

    def call_at(self, deadline_s: float, callback: Callable[[], None]) -> Callable[[], None]:
        return asyncio.get_running_loop().call_later(max(0.0, deadline_s - time.monotonic()), callback).cancel


class VirtualClock:
    """Time that moves only when told to, for tests and simulations.

    `advance` wakes every sleeper whose time has come, in order, and lets the event loop run in between, so that
    what a sleeper does at its moment is seen by those that sleep longer.
    """

    def __init__(self, *, start_s: float = 0.0, wall: datetime | None = None) -> None:
        self._now_s = start_s
        self._start_s = start_s
        self._wall = wall or datetime(2026, 11, 23, 9, 0, 0, tzinfo=UTC)
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def now_s(self) -> float:
        return self._now_s

    def wall(self) -> datetime:
        return self._wall + timedelta(seconds=self._now_s - self._start_s)

    async def sleep_until(self, deadline_s: float) -> None:
        if deadline_s <= self._now_s:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (deadline_s, self._count, future))
        await future

    def call_at(self, deadline_s: float, callback: Callable[[], None]) -> Callable[[], None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def due(done: asyncio.Future[None]) -> None:
            if not done.cancelled():
                callback()

        future.add_done_callback(due)
        self._count += 1
        heapq.heappush(self._sleepers, (deadline_s, self._count, future))
        if deadline_s <= self._now_s:
            future.set_result(None)

        def call_off() -> None:
            future.cancel()

        return call_off

    def next_deadline_s(self) -> float | None:
        """When the next sleeper wakes; None while nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    async def advance(self, seconds: float, *, settle_turns: int = 50) -> None:
        """Move time forward by `seconds`, waking sleepers in order."""
        target_s = self._now_s + seconds
        await self.settle(settle_turns)
        while (deadline_s := self.next_deadline_s()) is not None and deadline_s <= target_s:
            self._now_s = max(self._now_s, deadline_s)
            heapq.heappop(self._sleepers)[2].set_result(None)
            await self.settle(settle_turns)
        self._now_s = target_s
        await self.settle(settle_turns)

    async def settle(self, turns: int = 50) -> None:
        """Let everything that can run now run, without moving time."""
        for _ in range(turns):
            await asyncio.sleep(0)


def random_source(seed: int | None = None) -> random.Random:
    """A random source: repeatable with a seed, the system's own without."""
    import random

    return random.Random(seed) if seed is not None else random.SystemRandom()  # noqa: S311 - not a secret: simulations
