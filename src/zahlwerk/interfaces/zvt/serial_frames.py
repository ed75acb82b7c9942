"""Frames of the ZVT serial line as bytes: marks, doubling, check sum, and the receiver that finds them. Pure.

::

    10 02 | APDU, every 10 doubled | 10 03 | CRC low | CRC high        ACK: 06        NAK: 15

CRC-16/KERMIT over the APDU before doubling and the byte 03. The two CRC bytes are never doubled.

An ACK is one bare byte, and 06 is also how most commands begin. So a 06 or 15 counts only where one can stand: between
frames. After bytes that belong nowhere it counts again once the line was quiet or a frame has begun: they may be the
rest of a frame whose start was lost. A believed false ACK loses a message, a missed true one costs a repetition.

Source: fact sheet 1.3; frames 7.14.
DEVIATION: a frame with an unknown escape in it is reported at its end, or when the line falls quiet, and not in its
middle: its sender listens only then, and one damaged frame shall bring one NAK.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from zahlwerk.codec.crc import crc16_kermit
from zahlwerk.errors import RemoteProtocolError
from zahlwerk.interfaces.zvt.framing import APDU_BYTES_MAX, split_apdu

__all__ = ["ACK", "BAUD", "NAK", "BadFrame", "Control", "Frame", "FrameDecoder", "Item", "encode_frame", "wire_seconds"]

DLE: Final = 0x10
STX: Final = 0x02
ETX: Final = 0x03
START: Final = b"\x10\x02"
END: Final = b"\x10\x03"
ACK: Final = b"\x06"
NAK: Final = b"\x15"

BAUD: Final = 9600
"""Bits per second unless 08 40 or the set-up of the terminal says otherwise. Source: fact sheet 1.3."""
_BITS_PER_BYTE: Final = 11
"""Start bit, eight data bits, two stop bits."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole frame with the right check sum, and one whole APDU in it."""

    apdu: bytes

    def __repr__(self) -> str:
        return f"Frame({len(self.apdu)} bytes)"  # it may hold card data


@dataclass(frozen=True, slots=True)
class BadFrame:
    """Something that began as a frame and was none."""

    reason: str
    position: int
    """Where in the APDU, doubled bytes counted once."""


@unique
class Control(Enum):
    """What stands between frames."""

    ACK = "good"
    NAK = "bad"


Item = Frame | BadFrame | Control

_CONTROLS: Final = {ACK[0]: Control.ACK, NAK[0]: Control.NAK}


def encode_frame(apdu: bytes) -> bytes:
    """The bytes of one frame, marks and doubling included."""
    return START + apdu.replace(b"\x10", b"\x10\x10") + END + crc16_kermit(apdu + END[1:]).to_bytes(2, "little")


def wire_seconds(size_bytes: int, baud: int = BAUD) -> float:
    """How long so many bytes are on the wire."""
    return size_bytes * _BITS_PER_BYTE / baud


@unique
class _State(Enum):
    OUTSIDE = "between frames"
    OUTSIDE_ESCAPE = "between frames, after a 10"
    RUBBLE = "among bytes that belong nowhere"
    RUBBLE_ESCAPE = "among bytes that belong nowhere, after a 10"
    INSIDE = "in a frame"
    INSIDE_ESCAPE = "in a frame, after a 10"
    CHECK_LOW = "before the first byte of the check sum"
    CHECK_HIGH = "before the second byte of the check sum"


_IN_FRAME: Final = frozenset({_State.INSIDE, _State.INSIDE_ESCAPE, _State.CHECK_LOW, _State.CHECK_HIGH})


class FrameDecoder:
    """Cuts the bytes of one direction into frames and controls, in bounded memory; any chunking gives the same."""

    def __init__(self) -> None:
        self._state = _State.OUTSIDE
        self._apdu = bytearray()
        self._check = 0
        self._damage: BadFrame | None = None
        self.stray_bytes = 0
        """Bytes that belonged to no frame and were no control."""

    @property
    def in_frame(self) -> bool:
        """A frame has begun and not ended."""
        return self._state in _IN_FRAME

    @property
    def pending_bytes(self) -> int:
        """How much of an unfinished APDU is held: `APDU_BYTES_MAX` at most."""
        return len(self._apdu)

    def feed(self, data: bytes) -> list[Item]:
        """Feed bytes in any chunking; what they complete, in order."""
        items: list[Item] = []
        position = 0
        while position < len(data):
            if self._state is _State.INSIDE or self._state is _State.RUBBLE:
                end = data.find(DLE, position)
                plain = data[position : len(data) if end < 0 else end]
                position += len(plain)
                self._take(plain, items)
                if end < 0:
                    break
            self._step(data[position], items)
            position += 1
        return items

    def quiet(self) -> BadFrame | None:
        """Nothing came for T1: an unfinished frame is none any more, and what comes next begins anew."""
        began = self.in_frame
        damage = self._damage or BadFrame("it stopped in its middle", len(self._apdu))
        self._clear(_State.OUTSIDE)
        return damage if began else None

    def _step(self, byte: int, items: list[Item]) -> None:
        match self._state:
            case _State.OUTSIDE:
                self._between(byte, items)
            case _State.OUTSIDE_ESCAPE:
                if byte == STX:
                    self._clear(_State.INSIDE)
                else:
                    self.stray_bytes += 1
                    # A stray 10 before the mark of a frame, or anything else.
                    self._state = _State.OUTSIDE_ESCAPE if byte == DLE else _State.RUBBLE
            case _State.RUBBLE:
                self._state = _State.RUBBLE_ESCAPE  # `feed` has taken all that is not 10
            case _State.RUBBLE_ESCAPE:
                if byte == STX:
                    self._clear(_State.INSIDE)
                else:
                    # In the rest of a frame a doubled 10 is used up whole: `10 10 02` is data there, no start.
                    self.stray_bytes += 2
                    self._state = _State.RUBBLE
            case _State.INSIDE:
                self._state = _State.INSIDE_ESCAPE
            case _State.INSIDE_ESCAPE:
                self._escaped(byte, items)
            case _State.CHECK_LOW:
                self._check = byte
                self._state = _State.CHECK_HIGH
            case _State.CHECK_HIGH:
                items.append(self._judge(self._check | byte << 8))

    def _between(self, byte: int, items: list[Item]) -> None:
        if byte == DLE:
            self._state = _State.OUTSIDE_ESCAPE
        elif (control := _CONTROLS.get(byte)) is not None:
            items.append(control)
        else:
            self.stray_bytes += 1
            self._state = _State.RUBBLE

    def _escaped(self, byte: int, items: list[Item]) -> None:
        if byte == ETX:
            self._state = _State.CHECK_LOW
        elif byte == STX:
            self.stray_bytes += len(self._apdu)
            self._clear(_State.INSIDE)
        else:
            if byte != DLE and self._damage is None:
                self._damage = BadFrame("10 before something that is neither data nor a mark", len(self._apdu))
            self._state = _State.INSIDE
            self._take(bytes((byte,)), items)

    def _take(self, plain: bytes, items: list[Item]) -> None:
        if self._state is _State.RUBBLE:
            self.stray_bytes += len(plain)
        elif len(self._apdu) + len(plain) <= APDU_BYTES_MAX:
            self._apdu += plain
        else:
            self._clear(_State.RUBBLE)
            items.append(BadFrame("longer than any APDU", APDU_BYTES_MAX))

    def _judge(self, check: int) -> Frame | BadFrame:
        apdu, damage = bytes(self._apdu), self._damage
        self._clear(_State.RUBBLE)
        if damage is not None:
            return damage
        if crc16_kermit(apdu + END[1:]) != check:
            return BadFrame("wrong check sum", len(apdu))
        try:
            split_apdu(apdu)
        except RemoteProtocolError as exc:
            return BadFrame(exc.reason, exc.position or 0)
        self._state = _State.OUTSIDE
        return Frame(apdu)

    def _clear(self, state: _State) -> None:
        self._state = state
        self._apdu.clear()
        self._damage = None
