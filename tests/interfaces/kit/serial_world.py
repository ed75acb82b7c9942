"""Two serial links on a noisy line, on virtual time: shared by the tests of the link and of real pseudo terminals."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable

from zahlwerk.interfaces.kit.framing import LineDecoder
from zahlwerk.interfaces.kit.serial_frames import ACK, NAK, wire_seconds
from zahlwerk.interfaces.kit.serial_link import SerialLink


class World:
    """Two links on a noisy line, on virtual time."""

    def __init__(self, seed: int, noise: float, carry: Callable[[str, bytes], bytes] = lambda _, data: data) -> None:
        """Args:
        carry: takes the bytes that a side sends and gives what comes out at the other end of its cable.
        """
        self.carry = carry
        self.random = random.Random(seed)  # repeatable, not secret
        self.noise = noise
        self.now_s = 0.0
        self.links = {"register": SerialLink("register"), "terminal": SerialLink("terminal")}
        self.lines = {name: LineDecoder() for name in self.links}
        self.got: dict[str, list[int]] = {name: [] for name in self.links}
        self.told: dict[str, set[int]] = {name: set() for name in self.links}
        self.garbled: dict[str, int] = dict.fromkeys(self.links, 0)
        self.free_at_s = dict.fromkeys(self.links, 0.0)
        self.events: list[tuple[float, int, str, bytes]] = []
        self.counter = itertools.count()

    def run(self, frames: int) -> None:
        left = {name: iter(range(frames)) for name in self.links}
        open_ = set(self.links)
        while open_ or self.events or any(link.deadline_s() is not None for link in self.links.values()):
            for name, link in self.links.items():
                while name in open_ and link.queued_frames < 2:
                    number = next(left[name], None)
                    if number is None:
                        open_.discard(name)
                    else:
                        link.send(
                            b'{"n":%d,"text":"%b"}\n' % (number, b"abcdefgh" * self.random.randrange(4)),
                            now_s=self.now_s,
                        )
                self.flush(name)
            self.step()

    def step(self) -> None:
        deadlines = [(d, name) for name, link in self.links.items() if (d := link.deadline_s()) is not None]
        if self.events and (not deadlines or self.events[0][0] <= min(deadlines)[0]):
            self.now_s, _, name, data = heapq.heappop(self.events)
            for payload in self.links[name].receive_data(data, now_s=self.now_s):
                for line in self.lines[name].feed(payload):
                    assert isinstance(line, bytes)
                    self.got[name].append(int(line[5 : line.index(b",")]))
        elif deadlines:
            self.now_s = max(self.now_s, min(deadlines)[0])
            for _, name in deadlines:
                self.links[name].handle_deadline(now_s=self.now_s)
        for name, link in self.links.items():
            self.told[name] |= {int(f.payload[5 : f.payload.index(b",")]) for f in link.failures()}

    def flush(self, name: str) -> None:
        peer = "terminal" if name == "register" else "register"
        for data in self.links[name].data_to_send():
            start_s = max(self.now_s, self.free_at_s[name])
            self.free_at_s[name] = start_s + wire_seconds(len(data))
            damaged = self.damage(name, self.carry(name, data))
            cut = self.random.randrange(len(damaged) + 1)
            for part, at_s in ((damaged[:cut], start_s + wire_seconds(cut)), (damaged[cut:], self.free_at_s[name])):
                if part:
                    heapq.heappush(self.events, (at_s + 0.002, next(self.counter), peer, part))

    def damage(self, name: str, data: bytes) -> bytes:
        if data in {ACK, NAK} and self.random.random() < 0.01:
            return b""
        out = bytes(self.random.randrange(256) if self.random.random() < self.noise else byte for byte in data)
        # Noise that writes an ACK is the limit of the protocol (see above); here it would only make the law a matter of luck.
        out = out if out.count(ACK) <= data.count(ACK) else data
        self.garbled[name] += out != data
        return out
