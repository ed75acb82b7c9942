"""The ZVT serial framing over real pseudo terminals: the same law as on the simulated line (fact sheet 1.3)."""

from __future__ import annotations

import os
import select
import termios
import tty
from collections.abc import Iterator

import pytest
from tests.interfaces.zvt.zvt_serial_world import NAMES, Stress, number_of

from zahlwerk.transport.serial import open_serial


class Cable:
    """Two pseudo terminals, one for each side; what a side writes into its device comes out of the other's."""

    def __init__(self) -> None:
        self.pairs = {name: os.openpty() for name in NAMES}
        for master, slave in self.pairs.values():
            tty.setraw(slave)
            os.set_blocking(master, False)
            os.set_blocking(slave, False)
        self.carried_bytes = 0

    def carry(self, name: str, data: bytes) -> bytes:
        """From the sender's device to the relay, and from the relay into the receiver's device and out of it."""
        peer = NAMES[1 - NAMES.index(name)]
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


def test_a_thousand_frames_over_a_pty_pair_arrive_once_and_in_order_or_the_sender_is_told(cable: Cable) -> None:
    """5 % of the writes damaged or lost, both directions at once."""
    count = 500
    line = Stress(seed=26, faults=0.05, carry=cable.carry)

    line.run(count)

    for name, peer in (NAMES, NAMES[::-1]):
        got = line.got[peer]
        assert got == sorted(set(got))
        assert set(range(count)) - set(got) <= {number_of(apdu) for apdu in line.told[name]}
        assert len(got) > count * 0.99
        assert line.damaged[name] > 10
    assert cable.carried_bytes > 2 * count * 12


@pytest.mark.parametrize(("stop_bits", "flag"), [(2, termios.CSTOPB), (1, 0)])
async def test_the_number_of_stop_bits_reaches_the_device(stop_bits: int, flag: int) -> None:
    """Fact sheet 1.3 wants two; some terminals take one."""
    master, slave = os.openpty()
    line = await open_serial(os.ttyname(slave), baud=9600, stopbits=stop_bits)
    settings = termios.tcgetattr(slave)
    await line.close()
    os.close(master)
    os.close(slave)

    assert settings[2] & termios.CSTOPB == flag
    assert settings[2] & (termios.CSIZE | termios.PARENB) == termios.CS8
    assert settings[4] == termios.B9600
