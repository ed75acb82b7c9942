"""Frames of the KIT serial line as bytes: escape marks, stuffing, check sum, and the receiver's state table.

::

    10 00 | SEQ | TYPE | PAYLOAD ... | CRC high | CRC low | 10 FF        ACK: 10 11        NAK: 10 12

Every 0x10 among SEQ, PAYLOAD and CRC is sent twice. CRC-16/XMODEM over SEQ, TYPE and PAYLOAD before stuffing.

Source: PayTecAG/ecritf, examples/c++/ecr_example.cpp; verified by running it (observed).
DEVIATION: the example ignores an unknown escape inside a frame. No sender writes one, so here the frame is damaged. Two
copies of a frame whose marks between them were hit would else read as one frame, because this check sum of a message
that ends in its own check sum starts over at zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, unique
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from zahlwerk.codec.crc import crc16_xmodem

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ACK",
    "FRAME_BYTES_MAX",
    "NAK",
    "TYPE_FROM_REGISTER",
    "TYPE_FROM_TERMINAL",
    "Broken",
    "Control",
    "Frame",
    "FrameDecoder",
    "encode_frame",
    "split_payload",
    "wire_seconds",
]

ESCAPE: Final = 0x10
START: Final = b"\x10\x00"
END: Final = b"\x10\xff"
ACK: Final = b"\x10\x11"
NAK: Final = b"\x10\x12"
TYPE_FROM_REGISTER: Final = 0x11
TYPE_FROM_TERMINAL: Final = 0x91

# LIMIT: the buffer of PayTec's C++ example.
FRAME_BYTES_MAX: Final = 20480
"""The largest frame on the wire, marks and stuffing included; received content is held to the same size."""

BYTES_PER_SECOND: Final = 115200 / 10
"""115200 baud, ten bits a byte. Source: fact sheet of PayTec's RS232 line: 8 data bits, no parity, one stop bit."""

# Marks, SEQ and CRC stuffed, TYPE, and one byte for a separator in front.
_OVERHEAD_BYTES_MAX: Final = 12
_CONTENT_BYTES_MIN: Final = 4


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole frame with the right check sum."""

    seq: int
    type: int
    payload: bytes


@unique
class Control(Enum):
    """What stands between frames, or by exception inside one."""

    ACK = "acknowledged"
    NAK = "not understood"


@dataclass(frozen=True, slots=True)
class Broken:
    """Something that began as a frame and was none."""

    reason: str


def encode_frame(seq: int, type_: int, payload: bytes) -> bytes:
    """The bytes of one frame, marks and stuffing included."""
    content = bytes((seq, type_)) + payload
    content += crc16_xmodem(content).to_bytes(2, "big")
    return START + content.replace(b"\x10", b"\x10\x10") + END


def wire_seconds(size_bytes: int) -> float:
    """How long so many bytes are on the wire."""
    return size_bytes / BYTES_PER_SECOND


def split_payload(payload: bytes) -> list[bytes]:
    """The payload in parts that fit a frame each, cut at line feeds where there is one, never inside a UTF-8 letter.

    PayTec's library decodes frame by frame: a letter cut in two is lost there (P-28).
    """
    parts = []
    while len(payload) + payload.count(ESCAPE) > (room := FRAME_BYTES_MAX - _OVERHEAD_BYTES_MAX):
        size = min(len(payload), room)
        while size + payload.count(ESCAPE, 0, size) > room:
            size -= (size + payload.count(ESCAPE, 0, size) - room + 1) // 2
        cut = payload.rfind(b"\n", 0, size) + 1 or _letter_border(payload, size)
        parts.append(payload[:cut])
        payload = payload[cut:]
    return [*parts, payload] if payload else parts


def _letter_border(payload: bytes, size: int) -> int:
    for border in range(size, size - 4, -1):
        if payload[border] & 0xC0 != 0x80:
            return border
    return size


@unique
class _State(Enum):
    OUTSIDE = "between frames"
    OUTSIDE_ESCAPE = "between frames, after an escape"
    INSIDE = "in a frame"
    INSIDE_ESCAPE = "in a frame, after an escape"


@unique
class _Action(Enum):
    SKIP = "count a stray byte"
    BEGIN = "start a frame; an unfinished one is dropped"
    KEEP = "a byte of the frame"
    FINISH = "judge the frame"
    ACK = "an acknowledgement"
    NAK = "a refusal"
    SPOIL = "an unknown escape: the frame is damaged"


_Step = tuple[_State, _Action]

# After an escape every byte has its own meaning; the default is an unknown escape.
_AFTER_ESCAPE: Final[Mapping[tuple[_State, int], _Step]] = MappingProxyType({
    (_State.OUTSIDE_ESCAPE, 0x00): (_State.INSIDE, _Action.BEGIN),
    (_State.OUTSIDE_ESCAPE, 0x11): (_State.OUTSIDE, _Action.ACK),
    (_State.OUTSIDE_ESCAPE, 0x12): (_State.OUTSIDE, _Action.NAK),
    # A stuffed byte of a frame whose start was lost: both bytes are used up, else `10 10 11` would read as an ACK.
    (_State.OUTSIDE_ESCAPE, 0x10): (_State.OUTSIDE, _Action.SKIP),
    (_State.INSIDE_ESCAPE, 0x00): (_State.INSIDE, _Action.BEGIN),
    (_State.INSIDE_ESCAPE, 0x10): (_State.INSIDE, _Action.KEEP),
    (_State.INSIDE_ESCAPE, 0x11): (_State.INSIDE, _Action.ACK),
    (_State.INSIDE_ESCAPE, 0x12): (_State.INSIDE, _Action.NAK),
    (_State.INSIDE_ESCAPE, 0xFF): (_State.OUTSIDE, _Action.FINISH),
})  # fmt: skip
_DEFAULT: Final[Mapping[_State, _Step]] = MappingProxyType({
    _State.OUTSIDE_ESCAPE: (_State.OUTSIDE, _Action.SKIP),
    _State.INSIDE_ESCAPE: (_State.INSIDE, _Action.SPOIL),
})  # fmt: skip


class FrameDecoder:
    """Cuts the byte stream of one direction into frames and controls, in bounded memory; any chunking is the same."""

    def __init__(self) -> None:
        self._state = _State.OUTSIDE
        self._content = bytearray()
        self._controls: list[Control] = []
        self._spoilt = False
        self.stray_bytes = 0
        """Bytes that belonged to no frame and no control."""

    @property
    def in_frame(self) -> bool:
        """Whether a frame has begun and not ended: its sender cannot answer before it has."""
        return self._state in {_State.INSIDE, _State.INSIDE_ESCAPE}

    def feed(self, data: bytes) -> Iterator[Frame | Control | Broken]:
        """What the bytes complete, in order.

        A control inside a frame counts only when that frame turns out whole: in a damaged frame two bytes may read as
        an ACK by accident, and a believed false ACK loses a message, while a missed true one costs a repetition.
        """
        position = 0
        while position < len(data):
            if self._state in {_State.OUTSIDE, _State.INSIDE}:
                end = data.find(ESCAPE, position)
                plain = data[position : len(data) if end < 0 else end]
                position += len(plain)
                yield from self._take(plain)
                if end >= 0:
                    position += 1
                    self._state = _State.INSIDE_ESCAPE if self._state is _State.INSIDE else _State.OUTSIDE_ESCAPE
                continue
            byte = data[position]
            position += 1
            self._state, action = _AFTER_ESCAPE.get((self._state, byte), _DEFAULT[self._state])
            yield from self._act(action)

    def _take(self, plain: bytes) -> Iterator[Broken]:
        if self._state is _State.OUTSIDE:
            self.stray_bytes += len(plain)
        elif len(self._content) + len(plain) <= FRAME_BYTES_MAX:
            self._content += plain
        else:
            self._state = _State.OUTSIDE
            yield self._broken(f"longer than {FRAME_BYTES_MAX} bytes")

    def _act(self, action: _Action) -> Iterator[Frame | Control | Broken]:
        match action:
            case _Action.BEGIN:
                self.stray_bytes += len(self._content)
                self._clear()
            case _Action.KEEP:
                yield from self._take(b"\x10")
            case _Action.FINISH:
                yield from self._finish()
            case _Action.ACK | _Action.NAK:
                control = Control[action.name]
                if self._state is _State.INSIDE:
                    if len(self._controls) < _CONTROLS_MAX:
                        self._controls.append(control)
                else:
                    yield control
            case _Action.SKIP:
                self.stray_bytes += 2
            case _Action.SPOIL:
                self._spoilt = True

    def _finish(self) -> Iterator[Frame | Control | Broken]:
        content = bytes(self._content)
        if self._spoilt:
            yield self._broken("an unknown escape in it")
        elif len(content) < _CONTENT_BYTES_MIN:
            yield self._broken(f"{len(content)} bytes, at least {_CONTENT_BYTES_MIN} expected")
        elif crc16_xmodem(content[:-2]) != int.from_bytes(content[-2:], "big"):
            yield self._broken("wrong check sum")
        else:
            controls = self._controls[:]
            self._clear()
            yield from controls
            yield Frame(content[0], content[1], content[2:-2])

    def _broken(self, reason: str) -> Broken:
        self._clear()
        return Broken(reason)

    def _clear(self) -> None:
        self._content.clear()
        self._controls.clear()
        self._spoilt = False


# LIMIT: one frame is outstanding and sent three times at most, so no more answers than that can stand in one frame.
_CONTROLS_MAX: Final = 3
