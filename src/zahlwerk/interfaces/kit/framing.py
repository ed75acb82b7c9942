"""How KIT payloads travel: the seam shared by plain streams and the serial line, and the cutter of lines.

A link carries one byte stream in each direction. TCP and WebSocket carry it as it is (`PlainLink`), RS232 in escaped
frames (`serial_link.SerialLink`). Messages are cut from the stream at line feeds by `LineDecoder`; bytes are buffered,
never characters, so a letter cut in two by a border is whole again (P-28).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

__all__ = ["LINE_BYTES_MAX", "LineDecoder", "Link", "LinkFailure", "OversizeLine", "PlainLink"]

# LIMIT: no source states one. PayTec's serial example has 20480 bytes, a PNG receipt about 19 KB; this is 50 times
# that.
LINE_BYTES_MAX: Final = 1 << 20
"""The longest line accepted, without its line feed."""


@dataclass(frozen=True, slots=True)
class LinkFailure:
    """A payload that the link gave up: the peer has not acknowledged it, and may or may not have it."""

    payload: bytes
    """What was to be sent: a whole payload, or the part of it that one frame carried."""
    sends: int
    """How often it went out."""
    reason: str
    """For people: what was missing."""


class Link(Protocol):
    """One byte stream each way over some framing: no I/O, no clock."""

    def send(self, payload: bytes, *, now_s: float) -> None:
        """Queue a payload; drain `data_to_send` afterwards."""

    def receive_data(self, data: bytes, *, now_s: float) -> list[bytes]:
        """Feed what came, in any chunking; returns payload chunks in order."""

    def data_to_send(self) -> list[bytes]:
        """What is to be written now, in order; emptied by the call."""

    def deadline_s(self) -> float | None:
        """Time by which `handle_deadline` must run; None while nothing is awaited."""

    def handle_deadline(self, *, now_s: float) -> None:
        """Time has passed: repeat or give up. Harmless before the deadline."""

    def failures(self) -> list[LinkFailure]:
        """Payloads given up since the last call; emptied by the call."""

    def reset(self) -> None:
        """Forget everything: the port was closed, or another peer is connected."""


class PlainLink:
    """TCP and WebSocket: bytes pass as they are, and the transport repeats what gets lost."""

    def __init__(self) -> None:
        self._writes: list[bytes] = []

    def send(self, payload: bytes, *, now_s: float) -> None:  # noqa: ARG002  # the seam gives the time
        """Queue a payload; drain `data_to_send` afterwards."""
        if payload:
            self._writes.append(payload)

    def receive_data(self, data: bytes, *, now_s: float) -> list[bytes]:  # noqa: ARG002  # the seam gives the time
        """The data itself."""
        return [data] if data else []

    def data_to_send(self) -> list[bytes]:
        """What is to be written now, in order; emptied by the call."""
        writes, self._writes = self._writes, []
        return writes

    def deadline_s(self) -> float | None:
        """Never any."""
        return None

    def handle_deadline(self, *, now_s: float) -> None:
        """Nothing is ever awaited."""

    def failures(self) -> list[LinkFailure]:
        """Never any: a broken stream is noticed by the transport."""
        return []

    def reset(self) -> None:
        """Forget what was not drained."""
        self._writes.clear()


@dataclass(frozen=True, slots=True)
class OversizeLine:
    """A line longer than the limit was dropped, up to its line feed."""

    size_bytes: int
    """How much of it had come when it was given up; the rest was not counted."""


class LineDecoder:
    """Cuts a byte stream into lines at 0x0A, in bounded memory.

    The result is the same for every chunking. A line comes without its line feed, carriage return and surrounding
    blanks; empty lines are skipped. A line longer than `limit_bytes` is reported once, as soon as it is too long.
    """

    def __init__(self, *, limit_bytes: int = LINE_BYTES_MAX) -> None:
        self.limit_bytes = limit_bytes
        self._buffer = bytearray()
        self._discarding = False

    @property
    def pending_bytes(self) -> int:
        """How much of an unfinished line is held."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes | OversizeLine]:
        """Feed bytes in any chunking; returns the lines they complete."""
        out: list[bytes | OversizeLine] = []
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            if self._buffer or self._discarding or end - start > self.limit_bytes:
                self._add(data, start, end, out)
                if not self._discarding and (line := bytes(self._buffer).strip(b" \t\r")):
                    out.append(line)
                self._buffer.clear()
                self._discarding = False
            elif line := data[start:end].strip(b" \t\r"):
                out.append(line)  # the usual case: the whole line at once
            start = end + 1
        if start < len(data):
            self._add(data, start, len(data), out)
        return out

    def reset(self) -> None:
        """Forget the unfinished line: the connection is another one."""
        self._buffer.clear()
        self._discarding = False

    def _add(self, data: bytes, start: int, end: int, out: list[bytes | OversizeLine]) -> None:
        if self._discarding:
            return
        if len(self._buffer) + end - start <= self.limit_bytes:
            self._buffer += data[start:end]
            return
        self._discarding = True
        self._buffer.clear()
        # Not what really came so far: that would depend on the chunking.
        out.append(OversizeLine(self.limit_bytes + 1))
