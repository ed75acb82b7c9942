"""A serial line between two pseudo terminals, with or without noise."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import tty
from dataclasses import dataclass, field
from types import TracebackType


@dataclass
class Noise:
    """Bursts that hit one byte in so many on the average, as a bad line does."""

    seed: int
    share: float
    burst_bytes: int = 6
    spared_bytes: int = 0
    """So many bytes come through clean at first."""
    bytes_seen: int = 0
    bytes_hit: int = 0
    _random: random.Random = field(init=False)
    _left: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def spoil(self, data: bytes) -> bytes:
        """The bytes as they come out at the other end."""
        out = bytearray(data)
        for index in range(len(out)):
            self.bytes_seen += 1
            if not self._left and self._random.random() < self.share / self.burst_bytes:
                self._left = self.burst_bytes
            if self._left:
                self._left -= 1
                self.bytes_hit += 1
                out[index] ^= self._random.randint(1, 255)
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
        self._loop.add_reader(one, self._carry, one, two)
        self._loop.add_reader(two, self._carry, two, one)
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        for master, slave in self._ends:
            self._loop.remove_reader(master)
            os.close(master)
            os.close(slave)

    def _carry(self, source: int, target: int) -> None:
        with contextlib.suppress(BlockingIOError):
            data = os.read(source, 4096)
            os.write(target, data if self.noise is None else self.noise.spoil(data))
