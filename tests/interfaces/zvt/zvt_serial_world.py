"""Two ZVT serial links on a faulty line, on virtual time: shared by the tests of the link and of real pseudo terminals."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterator

from zahlwerk.interfaces.zvt.framing import make_apdu, split_apdu
from zahlwerk.interfaces.zvt.serial_frames import ACK, wire_seconds
from zahlwerk.interfaces.zvt.serial_link import SerialLink

__all__ = ["NAMES", "Line", "Stress", "cuts"]

NAMES = ("register", "terminal")
LATENCY_S = 0.002


def cuts(data: bytes, positions: list[int]) -> list[bytes]:
    """The data cut at these positions (taken modulo its length)."""
    places = sorted({position % (len(data) + 1) for position in positions})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


class Line:
    """Two links, a cable that takes its time, and faults."""

    def __init__(self, seed: int, faults: float, carry: Callable[[str, bytes], bytes] = lambda _, data: data) -> None:
        """Args:
        faults: the share of writes that are damaged or lost.
        carry: takes the bytes that a side sends and gives what comes out at the other end of its cable.
        """
        self.carry = carry
        self.random = random.Random(seed)  # repeatable, not secret
        self.faults = faults
        self.now_s = 0.0
        self.links = {name: SerialLink() for name in NAMES}
        self.told: dict[str, list[bytes]] = {name: [] for name in NAMES}
        self.damaged = dict.fromkeys(NAMES, 0)
        self.dropped = dict.fromkeys(NAMES, 0)
        self.free_at_s = dict.fromkeys(NAMES, 0.0)
        self.events: list[tuple[float, int, str, bytes]] = []
        self.counter = itertools.count()

    def received(self, name: str, apdu: bytes) -> None:
        """A side was given an APDU."""
        raise NotImplementedError

    def deadlines(self) -> Iterator[tuple[float, str]]:
        for name, link in self.links.items():
            if (deadline_s := link.deadline_s()) is not None:
                yield deadline_s, name

    def step(self) -> bool:
        """What comes next: bytes or a deadline; False if nothing does."""
        for name in NAMES:
            self.flush(name)
        deadlines = list(self.deadlines())
        if self.events and (not deadlines or self.events[0][0] <= min(deadlines)[0]):
            self.now_s, _, name, data = heapq.heappop(self.events)
            for apdu in self.links[name].receive_data(data, now_s=self.now_s):
                self.received(name, apdu)
        elif deadlines:
            self.now_s = max(self.now_s, min(deadlines)[0])
            for _, name in deadlines:
                self.links[name].handle_deadline(now_s=self.now_s)
        else:
            return False
        for name, link in self.links.items():
            self.told[name] += [failure.apdu for failure in link.failures()]
        return True

    def flush(self, name: str) -> None:
        peer = NAMES[1 - NAMES.index(name)]
        for data in self.links[name].data_to_send():
            start_s = max(self.now_s, self.free_at_s[name])
            self.free_at_s[name] = start_s + wire_seconds(len(data))
            arrived = self.fault(name, self.carry(name, data))
            cut = self.random.randrange(len(arrived) + 1)
            for part, at_s in ((arrived[:cut], start_s + wire_seconds(cut)), (arrived[cut:], self.free_at_s[name])):
                if part:
                    heapq.heappush(self.events, (at_s + LATENCY_S, next(self.counter), peer, part))

    def fault(self, name: str, data: bytes) -> bytes:
        if self.random.random() >= self.faults:
            return data
        place = self.random.randrange(len(data))
        kind = self.random.randrange(5)
        if kind == 0:
            self.dropped[name] += 1
            return b""
        noise = bytes((self.random.randrange(256),))
        out = {
            1: data[:place] + noise + data[place + 1 :],
            2: data[:place] + data[place + 1 :],
            3: data[: place + 1],
            4: data[:place] + noise + data[place:],
        }[kind]
        # Noise that writes an ACK is the limit of the protocol (see `serial_link`): here it would make laws a matter of luck.
        if (out.startswith(ACK) and data != ACK) or out == ACK + ACK:
            return data
        self.damaged[name] += out != data
        return out


class Stress(Line):
    """Both sides send numbered commands as fast as they may, answering nothing."""

    def __init__(self, seed: int, faults: float, carry: Callable[[str, bytes], bytes] = lambda _, data: data) -> None:
        super().__init__(seed, faults, carry)
        self.got: dict[str, list[int]] = {name: [] for name in NAMES}

    def received(self, name: str, apdu: bytes) -> None:
        self.got[name].append(number_of(apdu))

    def run(self, count: int) -> None:
        left = {name: iter(range(count)) for name in NAMES}
        busy = True
        while busy:
            sent = False
            for name, link in self.links.items():
                while link.queued_frames < 2 and (number := next(left[name], None)) is not None:
                    filling = bytes(self.random.choices(b"\x10\x02\x03\x06\x15a", k=self.random.randrange(30)))
                    link.send(make_apdu(0x04FF, number.to_bytes(4, "big") + filling), now_s=self.now_s)
                    sent = True
            busy = self.step() or sent


def number_of(apdu: bytes) -> int:
    return int.from_bytes(split_apdu(apdu)[1][:4], "big")
