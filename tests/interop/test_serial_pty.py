"""The serial framing over real pseudo terminals: 10,000 frames on a noisy line (KIT fact sheet 1.4)."""

from __future__ import annotations

import os
import select
import tty
from collections.abc import Iterator

import pytest
from tests.interfaces.kit.serial_world import World


class Cable:
    """Two pseudo terminals, one for each side; what a side writes into its device comes out of the other's."""

    def __init__(self) -> None:
        self.pairs = {"register": os.openpty(), "terminal": os.openpty()}
        for master, slave in self.pairs.values():
            tty.setraw(slave)
            os.set_blocking(master, False)
            os.set_blocking(slave, False)
        self.carried_bytes = 0

    def carry(self, name: str, data: bytes) -> bytes:
        """From the sender's device to the relay, and from the relay into the receiver's device and out of it."""
        peer = "terminal" if name == "register" else "register"
        from_sender = self._through(self.pairs[name][1], self.pairs[name][0], data)
        self.carried_bytes += len(data)
        return self._through(self.pairs[peer][0], self.pairs[peer][1], from_sender)

    @staticmethod
    def _through(into: int, out_of: int, data: bytes) -> bytes:
        sent, got = 0, b""
        while len(got) < len(data):
            if sent < len(data):
                sent += os.write(into, data[sent : sent + 1024])
            ready, _, _ = select.select([out_of], [], [], 10)
            assert ready, "a pseudo terminal swallowed bytes"
            got += os.read(out_of, 65536)
        return got

    def close(self) -> None:
        for pair in self.pairs.values():
            for descriptor in pair:
                os.close(descriptor)


@pytest.fixture
def cable() -> Iterator[Cable]:
    cable = Cable()
    yield cable
    cable.close()


def test_ten_thousand_frames_over_a_pty_pair_arrive_once_and_in_order_or_the_sender_is_told(cable: Cable) -> None:
    """1 % of the bytes garbled, answers lost, repetitions: both directions at once."""
    frames = 5_000
    world = World(seed=26, noise=0.01, carry=cable.carry)

    world.run(frames)

    for name, peer in (("register", "terminal"), ("terminal", "register")):
        got = world.got[peer]
        assert got == sorted(set(got))
        assert set(range(frames)) - set(got) <= world.told[name]
        assert world.links[peer].counters.repeats_received > 0
        assert world.garbled[name] > frames * 0.01
    assert cable.carried_bytes > 2 * frames * 20
