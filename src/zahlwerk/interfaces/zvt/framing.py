"""APDUs as bytes, and how they travel: the seam shared by TCP and the serial line.

::

    CLASS INSTR | LEN | DATA           LEN: one byte 00..FE, or FF and two bytes, the low one first

On TCP the bare APDUs follow each other (`PlainLink`); RS-232 puts each into a frame (`serial_link.SerialLink`). A
stream of bare APDUs has no marks: after one wrong length nothing in it can be trusted, so nothing here searches for a
new start.

Source: fact sheet 1.1 (APDU), 1.2 (TCP).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

from zahlwerk.errors import InvalidRequest, RemoteProtocolError
from zahlwerk.interfaces.zvt.timers import TIMERS

__all__ = [
    "APDU_BYTES_MAX",
    "DATA_BYTES_MAX",
    "ApduDecoder",
    "Link",
    "LinkFailure",
    "PlainLink",
    "apdu_header",
    "make_apdu",
    "split_apdu",
]

# LIMIT: what the two bytes of the long form can say.
DATA_BYTES_MAX: Final = 0xFFFF
"""The longest data block."""
APDU_BYTES_MAX: Final = DATA_BYTES_MAX + 5
"""The longest APDU, with control field and long length."""

_SHORT_MAX: Final = 0xFE
_LONG_FORM: Final = 0xFF
_SHORT_HEADER_BYTES: Final = 3
_LONG_HEADER_BYTES: Final = 5


def apdu_header(code: int, size: int) -> bytes:
    """Control field and length of an APDU, in the shortest form.

    Args:
        code: CLASS and INSTR (or CCRC and APRC) as one number: 0x0601.
        size: bytes of data that follow, 0 to 65535.

    Raises:
        InvalidRequest: no such control field, or a data block that is too long.
    """
    if not 0 <= code <= 0xFFFF:
        raise InvalidRequest(f"{code} is no control field: expected two bytes")
    if not 0 <= size <= DATA_BYTES_MAX:
        raise InvalidRequest(f"a data block of {size} bytes; an APDU holds {DATA_BYTES_MAX} at most")
    if size <= _SHORT_MAX:
        return code.to_bytes(2, "big") + bytes((size,))
    return code.to_bytes(2, "big") + bytes((_LONG_FORM,)) + size.to_bytes(2, "little")


def make_apdu(code: int, data: bytes) -> bytes:
    """A whole APDU.

    Raises:
        InvalidRequest: as `apdu_header`.
    """
    return apdu_header(code, len(data)) + data


def split_apdu(apdu: bytes) -> tuple[int, bytes]:
    """Control field (as one number) and data block. The long form is accepted for a short block, too.

    Raises:
        RemoteProtocolError: the bytes are not exactly one APDU; the position is where they should go on or end.
    """
    size = _size(apdu)
    if size is None or len(apdu) < size:
        raise RemoteProtocolError("the APDU ends too early", position=len(apdu))
    if len(apdu) > size:
        raise RemoteProtocolError("bytes after the end of the APDU", position=size)
    header = _LONG_HEADER_BYTES if apdu[2] == _LONG_FORM else _SHORT_HEADER_BYTES
    return int.from_bytes(apdu[:2], "big"), apdu[header:]


def _size(start: bytes | bytearray, position: int = 0) -> int | None:
    """Bytes of the APDU that begins here, header included; None while the header is not whole."""
    known = len(start) - position
    if known < _SHORT_HEADER_BYTES:
        return None
    if (length := start[position + 2]) != _LONG_FORM:
        return _SHORT_HEADER_BYTES + length
    if known < _LONG_HEADER_BYTES:
        return None
    return _LONG_HEADER_BYTES + int.from_bytes(start[position + 3 : position + 5], "little")


class ApduDecoder:
    """Cuts a stream into whole APDUs. Any chunking gives the same; every byte is touched a fixed number of times."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def pending_bytes(self) -> int:
        """How much of an unfinished APDU is held: less than `APDU_BYTES_MAX`."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Feed bytes in any chunking; returns the APDUs they complete, in order."""
        apdus: list[bytes] = []
        buffer = self._buffer
        buffer += data
        start = 0
        while (size := _size(buffer, start)) is not None and start + size <= len(buffer):
            apdus.append(bytes(buffer[start : start + size]))
            start += size
        if start:
            del buffer[:start]
        return apdus

    def reset(self) -> None:
        """Forget the unfinished APDU: the connection is another one."""
        self._buffer.clear()


@dataclass(frozen=True, slots=True)
class LinkFailure:
    """An APDU that the link gave up: the peer has not acknowledged it, and may or may not have it."""

    apdu: bytes = field(repr=False)
    """What was to be sent. Not shown: it may hold card data."""
    sends: int
    """How often it went out; 0 means that the peer cannot have it."""
    reason: str
    """For people: what was missing."""


class Link(Protocol):
    """APDUs both ways over some framing: no I/O, no clock."""

    def send(self, apdu: bytes, *, now_s: float) -> None:
        """Queue a whole APDU; drain `data_to_send` afterwards."""

    def receive_data(self, data: bytes, *, now_s: float) -> list[bytes]:
        """Feed what came, in any chunking; returns whole APDUs in order."""

    def data_to_send(self) -> list[bytes]:
        """What is to be written now, in order; emptied by the call."""

    def deadline_s(self) -> float | None:
        """Time by which `handle_deadline` must run; None while nothing is awaited."""

    def handle_deadline(self, *, now_s: float) -> None:
        """Time has passed: refuse, repeat or give up. Harmless before the deadline."""

    def failures(self) -> list[LinkFailure]:
        """APDUs given up since the last call; emptied by the call."""

    def problem(self) -> RemoteProtocolError | None:
        """Why what comes in cannot be trusted any more: close, and begin anew. None while all is well."""

    def reset(self) -> None:
        """Forget everything: the line was closed, or another peer is connected."""


class PlainLink:
    """TCP, TLS and whatever else carries bare APDUs: the transport repeats what gets lost.

    An APDU whose pieces take T3 or longer in total ends the connection (fact sheet 1.2). It is then not handed over
    even if its last piece is there: its sender has counted the procedure as broken off, and to act on it would be to
    guess.
    """

    def __init__(self, t3_s: float = TIMERS.t3_s) -> None:
        """Args:
        t3_s: how long the pieces of one APDU may take, from the first to the last.
        """
        self._t3_s = t3_s
        self._decoder = ApduDecoder()
        self._writes: list[bytes] = []
        self._complete_by_s: float | None = None
        self._problem: RemoteProtocolError | None = None

    def send(self, apdu: bytes, *, now_s: float) -> None:  # noqa: ARG002  # the seam gives the time
        """Queue a whole APDU; drain `data_to_send` afterwards."""
        self._writes.append(apdu)

    def receive_data(self, data: bytes, *, now_s: float) -> list[bytes]:
        """Feed what came, in any chunking; returns whole APDUs in order. Nothing any more after a `problem`."""
        self.handle_deadline(now_s=now_s)
        if self._problem is not None:
            return []
        apdus = self._decoder.feed(data)
        if not self._decoder.pending_bytes:
            self._complete_by_s = None
        elif apdus or self._complete_by_s is None:
            self._complete_by_s = now_s + self._t3_s
        return apdus

    def data_to_send(self) -> list[bytes]:
        """What is to be written now, in order; emptied by the call."""
        writes, self._writes = self._writes, []
        return writes

    def deadline_s(self) -> float | None:
        """By when the rest of a begun APDU must have come; None between APDUs."""
        return self._complete_by_s

    def handle_deadline(self, *, now_s: float) -> None:
        """The rest of a begun APDU did not come: see `problem`. Harmless before the deadline."""
        if self._complete_by_s is None or now_s < self._complete_by_s:
            return
        self._complete_by_s = None
        self._problem = RemoteProtocolError(
            f"an APDU began, and its rest did not come within {self._t3_s:g} s", position=self._decoder.pending_bytes
        )
        self._decoder.reset()

    def failures(self) -> list[LinkFailure]:
        """Never any: a broken stream is noticed by the transport."""
        return []

    def problem(self) -> RemoteProtocolError | None:
        """An APDU that did not become whole in time. The only cure is to close the connection."""
        return self._problem

    def reset(self) -> None:
        """Forget everything: another connection."""
        self._decoder.reset()
        self._writes.clear()
        self._complete_by_s = None
        self._problem = None
