"""What the register side and the terminal side have in common: lines in, lines out, and signs of life. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from zahlwerk.errors import RemoteProtocolError
from zahlwerk.interfaces.kit.codec import Line, decode_line, encode_line
from zahlwerk.interfaces.kit.framing import LineDecoder
from zahlwerk.interfaces.kit.messages import HeartbeatRequest, HeartbeatResponse, Message
from zahlwerk.timeouts import DEFAULT_WAITS, Waits

__all__ = ["Malformed", "PeerGone", "Received", "Side", "Tap"]

Tap = Callable[[bool, bytes], None]
"""Sees every line: True for one that is sent, and its bytes. They may hold card data: mask before writing."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message of the peer."""

    message: Message
    companions: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Malformed:
    """A line that is no message. The link lives on."""

    error: RemoteProtocolError


@dataclass(frozen=True, slots=True)
class PeerGone:
    """The peer gave no sign of life for too long: hang up."""

    why: str


# LIMIT: a peer that sends nothing but rubbish is hung up on; a garbled line now and then is not.
MALFORMED_MAX: Final = 100


class Side(ABC):
    """One side of one KIT link. Feed bytes and time, then drain what is to be sent."""

    def __init__(self, waits: Waits = DEFAULT_WAITS) -> None:
        self.tap: Tap | None = None
        self._waits = waits
        self._lines = LineDecoder()
        self._writes: list[bytes] = []
        self._up = False
        self.lines_received = 0
        """Every line of the peer is a sign of life."""
        self._malformed = 0
        self._alive_until_s: float | None = None
        self._asked_alive = False

    # -- the verbs

    def receive_data(self, data: bytes, *, now_s: float) -> None:
        """Feed bytes in any portions. Whatever they are, nothing is raised."""
        if not self._up:
            return
        for item in self._lines.feed(data):
            if isinstance(item, bytes):
                self._receive_line(item, now_s)
            else:
                self._reject(RemoteProtocolError(f"a line of more than {item.size_bytes} bytes"))

    def data_to_send(self) -> list[bytes]:
        """Lines to send, in order; returns and empties."""
        writes, self._writes = self._writes, []
        return writes

    def deadline_s(self) -> float | None:
        """When `handle_deadline` must run; None while time does not matter."""
        return self._alive_until_s

    def handle_deadline(self, *, now_s: float) -> None:
        """The deadline has passed: ask whether the peer lives, or give it up. Source: 4.4."""
        if self._alive_until_s is None or now_s < self._alive_until_s:
            return
        if self._asked_alive:
            self._alive_until_s = None
            silent_s = self._waits.heartbeat_interval_s + self._waits.heartbeat_timeout_s
            self._gone(f"no sign of life for {silent_s:g} s")
        else:
            self._asked_alive = True
            self._alive_until_s = now_s + self._waits.heartbeat_timeout_s
            self._write(HeartbeatRequest())

    def ask_alive(self) -> None:
        """Ask for a sign of life now, out of turn."""
        if self._up:
            self._write(HeartbeatRequest())

    # -- for the sides

    @abstractmethod
    def _handle(self, line: Line, message: Message) -> None:
        """A known message other than a heartbeat."""

    @abstractmethod
    def _unknown(self, line: Line) -> None:
        """A message that only newer peers know."""

    @abstractmethod
    def _reject(self, error: RemoteProtocolError) -> None:
        """A line that is no message."""

    @abstractmethod
    def _gone(self, why: str) -> None:
        """The peer must be given up."""

    def _write(self, message: Message, companions: Mapping[str, object] | None = None) -> None:
        self._write_line(encode_line(message, companions=companions))

    def _write_line(self, line: bytes) -> None:
        if self.tap is not None:
            self.tap(True, line)
        self._writes.append(line)

    def _link_up(self, now_s: float) -> None:
        self._up = True
        self._malformed = 0
        self._lines.reset()
        self._writes.clear()
        self._alive(now_s)

    def _link_down(self) -> None:
        self._up = False
        self._alive_until_s = None
        self._writes.clear()

    def _alive(self, now_s: float) -> None:
        self._asked_alive = False
        self._alive_until_s = now_s + self._waits.heartbeat_interval_s

    def _count_malformed(self) -> None:
        self._malformed += 1
        if self._malformed == MALFORMED_MAX:
            self._gone(f"{MALFORMED_MAX} lines that are no KIT messages: is this a KIT peer?")

    def _receive_line(self, raw: bytes, now_s: float) -> None:
        if self.tap is not None:
            self.tap(False, raw)
        try:
            line = decode_line(raw)
        except RemoteProtocolError as exc:
            self._reject(exc)
            return
        self.lines_received += 1
        self._alive(now_s)
        if line.message is None:
            self._unknown(line)
        elif isinstance(line.message, HeartbeatRequest):
            self._write(HeartbeatResponse())
        elif not isinstance(line.message, HeartbeatResponse):
            self._handle(line, line.message)
