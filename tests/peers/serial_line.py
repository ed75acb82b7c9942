"""A serial line between two pseudo terminals, with or without noise."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import tty
from types import TracebackType


class Noise:
    """Bursts that hit one byte in so many on the average, as on a bad line. Each direction has noise of its own."""

    def __init__(self, seed: int, *, share: float, burst_bytes: int = 6) -> None:
        self.bytes_seen = self.bytes_hit = 0
        self._begins = share / burst_bytes
        self._burst_bytes = burst_bytes
        self._random = [random.Random(2 * seed), random.Random(2 * seed + 1)]
        self._left = [0, 0]

    def spoil(self, data: bytes, direction: int) -> bytes:
        """The bytes as they come out at the other end."""
        chance, out = self._random[direction], bytearray(data)
        for index in range(len(out)):
            if not self._left[direction] and chance.random() < self._begins:
                self._left[direction] = self._burst_bytes
            if self._left[direction]:
                self._left[direction] -= 1
                self.bytes_hit += 1
                out[index] ^= chance.randint(1, 255)
        self.bytes_seen += len(data)
        return bytes(out)


class SerialLine:
    """Two devices and the cable between them, inside the running event loop."""

    def __init__(self, noise: Noise | None = None) -> None:
        self.noise = noise
        self._loop = asyncio.get_running_loop()
        self._ends = (os.openpty(), os.openpty())
        for master, slave in self._ends:
            tty.setraw(slave)
            os.set_blocking(master, False)
        # Both ends stay open here: a pseudo terminal that nobody holds open fails instead of waiting.
        self.here, self.there = (os.ttyname(slave) for _, slave in self._ends)

    def __enter__(self) -> SerialLine:
        (one, _), (two, _) = self._ends
        self._loop.add_reader(one, self._carry, one, two, 0)
        self._loop.add_reader(two, self._carry, two, one, 1)
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        for master, slave in self._ends:
            self._loop.remove_reader(master)
            os.close(master)
            os.close(slave)

    def _carry(self, source: int, target: int, direction: int) -> None:
        with contextlib.suppress(BlockingIOError):
            data = os.read(source, 4096)
            os.write(target, data if self.noise is None else self.noise.spoil(data, direction))
