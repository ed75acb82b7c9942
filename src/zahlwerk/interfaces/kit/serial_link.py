"""The KIT serial line: one frame outstanding, acknowledged, repeated, given up; sans-I/O.

`SerialLink` is a `framing.Link`: payloads in, payloads out. Both sides of the line use it; only the TYPE byte differs.

ACK and NAK carry no number, so an ACK is never proof that a message was handled: only the answering message is. What
can be done about that is done here (P-26): an ACK counts only while a frame is outstanding; after a frame that had to
be sent more than once the next one waits until the surplus ACKs came, or 350 ms passed; a restarted peer is recognised.
What remains: a NAK that noise turns into an ACK is believed.

Source: PayTecAG/ecritf, examples/c++/ecr_example.cpp (observed); where it is silent or wrong, our choice:
DEVIATION: a NAK repeats at once (the example waits for the timer); the timer waits while a frame is coming in, because
its sender answers only between its own frames.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Literal

from zahlwerk.interfaces.kit.framing import LinkFailure
from zahlwerk.interfaces.kit.serial_frames import (
    ACK,
    FRAME_BYTES_MAX,
    NAK,
    TYPE_FROM_REGISTER,
    TYPE_FROM_TERMINAL,
    Broken,
    Control,
    Frame,
    FrameDecoder,
    encode_frame,
    split_payload,
    wire_seconds,
)

__all__ = ["ACK_TIMEOUT_S", "QUEUE_FRAMES_MAX", "RESTART_SILENCE_S", "SENDS_MAX", "LinkCounters", "SerialLink"]

ACK_TIMEOUT_S: Final = 0.350
"""How long an answer may take after the frame has left. Source: ecr_example.cpp."""
SENDS_MAX: Final = 3
"""How often a frame goes out at most. Source: ecr_example.cpp."""
RESTART_SILENCE_S: Final = 10.0
"""After so much silence a known number with other bytes is a new frame of a restarted peer (P-26; our choice)."""
# LIMIT: three seconds of a dead line fill far less; a queue this long means that nobody listens.
QUEUE_FRAMES_MAX: Final = 256
"""How many frames may wait; a payload beyond that is given up at once."""

_CONNECT_REQUESTS: Final = (b'{"ConnectRequest"', b"\x01")


@dataclass(slots=True)
class LinkCounters:
    """What happened on the line, for diagnostics."""

    frames_sent: int = 0
    """New frames, each counted once."""
    repeats_sent: int = 0
    frames_given_up: int = 0
    acks_received: int = 0
    acks_ignored: int = 0
    """ACKs with no frame outstanding: surplus ones."""
    naks_received: int = 0
    naks_ignored: int = 0
    frames_received: int = 0
    """Accepted frames."""
    repeats_received: int = 0
    frames_refused: int = 0
    """Frames answered with NAK: damaged, of a wrong type, or with a used number."""
    restarts_seen: int = 0
    """Times that the peer was taken for a restarted one."""


@dataclass(slots=True)
class _Outgoing:
    part: bytes
    payload: bytes = field(repr=False)
    group: int
    """Parts of one payload have one number; they are given up together."""
    wire: bytes = b""
    sends: int = 0
    left: bool = False
    """It was handed out for writing: before that no answer can be meant for it."""
    naks: int = 0
    renumbered: bool = False
    separated: bool = False
    """The separator was put in front of the part."""


class SerialLink:
    """One end of a KIT serial line.

    Args:
        role: which end this is.
        separator: what ends a message in the payload stream; sent before the next message when a payload was given up
            half-way, so that its rest cannot spoil the next. Empty for KIT TLV.
    """

    def __init__(self, role: Literal["register", "terminal"], *, separator: bytes = b"\n") -> None:
        register = role == "register"
        self._type_sent = TYPE_FROM_REGISTER if register else TYPE_FROM_TERMINAL
        self._type_expected = TYPE_FROM_TERMINAL if register else TYPE_FROM_REGISTER
        self._separator = separator
        self.counters = LinkCounters()
        self._decoder = FrameDecoder()
        self._stray_bytes_before = 0
        self.reset()

    def reset(self) -> None:
        """Forget everything but the counters: the port was closed. What was queued is not reported."""
        self._stray_bytes_before += self._decoder.stray_bytes
        self._decoder = FrameDecoder()
        self._queue: deque[_Outgoing] = deque()
        self._outstanding: _Outgoing | None = None
        self._groups = 0
        self._seq = 0
        self._acknowledged = False
        self._dangling = False
        self._ack_deadline_s = 0.0
        self._answered_by_s = 0.0
        self._ack_deadline_s_max = 0.0
        self._held_until_s: float | None = None
        self._surplus_acks = 0
        self._accepted: Frame | None = None
        self._accepted_at_s = 0.0
        self._controls: list[bytes] = []
        self._frames: list[bytes] = []
        self._failures: list[LinkFailure] = []

    @property
    def stray_bytes(self) -> int:
        """Received bytes that belonged to no frame and no answer."""
        return self._stray_bytes_before + self._decoder.stray_bytes

    @property
    def queued_frames(self) -> int:
        """Frames that wait or are outstanding."""
        return len(self._queue) + (self._outstanding is not None)

    def send(self, payload: bytes, *, now_s: float) -> None:
        """Queue a payload, split into frames if it must be; drain `data_to_send` afterwards.

        A full queue gives the payload up at once: see `failures`.
        """
        parts = split_payload(payload)
        if self.queued_frames + len(parts) > QUEUE_FRAMES_MAX:
            self._failures.append(LinkFailure(payload, 0, "the queue is full: the other side does not answer"))
            return
        self._groups += 1
        self._queue.extend(_Outgoing(part, payload, self._groups) for part in parts)
        self._advance(now_s)

    def receive_data(self, data: bytes, *, now_s: float) -> list[bytes]:
        """Feed what came, in any chunking; returns the payloads of new frames in order. Answers are queued."""
        payloads: list[bytes] = []
        for found in self._decoder.feed(data):
            match found:
                case Frame():
                    self._received(found, payloads, now_s)
                case Broken():
                    self._refuse()
                case Control.ACK:
                    self._acknowledge(now_s)
                case Control.NAK:
                    self._repeat_after_nak(now_s)
        if self._outstanding is not None and self._decoder.in_frame:
            self._ack_deadline_s = max(self._ack_deadline_s, min(now_s + ACK_TIMEOUT_S, self._ack_deadline_s_max))
        return payloads

    def data_to_send(self) -> list[bytes]:
        """What is to be written now: answers first, then at most one frame; emptied by the call."""
        writes = self._controls + self._frames
        if self._frames and self._outstanding is not None:
            self._outstanding.left = True
        self._controls, self._frames = [], []
        return writes

    def deadline_s(self) -> float | None:
        """Time by which `handle_deadline` must run; None while nothing is awaited."""
        if self._outstanding is not None:
            return self._ack_deadline_s
        return self._held_until_s if self._queue else None

    def handle_deadline(self, *, now_s: float) -> None:
        """No answer came: repeat the frame, or give it up after three sends. Harmless before the deadline."""
        deadline_s = self.deadline_s()
        if deadline_s is None or now_s < deadline_s:
            return
        if self._outstanding is None:
            self._advance(now_s)
        elif self._outstanding.sends < self._sends_max(self._outstanding):
            self._transmit(self._outstanding, now_s)
        else:
            self._give_up(self._outstanding, "no answer", now_s)

    def failures(self) -> list[LinkFailure]:
        """Payloads given up since the last call; emptied by the call."""
        failures, self._failures = self._failures, []
        return failures

    # --- sending ---

    def _advance(self, now_s: float) -> None:
        """Send the next frame, if none is outstanding and no surplus ACK can be on its way any more."""
        if self._outstanding is not None or not self._queue:
            return
        if self._held_until_s is not None and now_s < self._held_until_s:
            return
        self._held_until_s = None
        frame = self._queue.popleft()
        if self._dangling:
            self._dangling = False
            frame.separated = True
        self._outstanding = frame
        self._number(frame)
        self.counters.frames_sent += 1
        self._transmit(frame, now_s)

    def _number(self, frame: _Outgoing) -> None:
        self._seq = (self._seq + 1) & 0xFF
        payload = self._separator + frame.part if frame.separated else frame.part
        frame.wire = encode_frame(self._seq, self._type_sent, payload)

    def _transmit(self, frame: _Outgoing, now_s: float) -> None:
        self.counters.repeats_sent += frame.sends > 0
        frame.sends += 1
        self._frames = [frame.wire]
        self._ack_deadline_s = self._answered_by_s = now_s + wire_seconds(len(frame.wire)) + ACK_TIMEOUT_S
        # LIMIT: nothing that comes in can delay the repetition by more than the longest frame takes.
        self._ack_deadline_s_max = self._ack_deadline_s + wire_seconds(FRAME_BYTES_MAX)

    def _sends_max(self, frame: _Outgoing) -> int:
        return SENDS_MAX + frame.renumbered

    def _acknowledge(self, now_s: float) -> None:
        frame = self._outstanding
        if frame is None or not frame.left:
            self.counters.acks_ignored += 1
            self._surplus_acks = max(0, self._surplus_acks - 1)
            if self._surplus_acks == 0:
                self._held_until_s = None
                self._advance(now_s)
            return
        self.counters.acks_received += 1
        self._acknowledged = True
        self._outstanding = None
        if self._frames:
            # A repetition that has not left needs no answer any more.
            self._frames.clear()
            frame.sends -= 1
        self._hold(frame.sends - 1)
        self._advance(now_s)

    def _repeat_after_nak(self, now_s: float) -> None:
        frame = self._outstanding
        if frame is None or not frame.left:
            self.counters.naks_ignored += 1
            return
        self.counters.naks_received += 1
        frame.naks += 1
        if frame.sends < self._sends_max(frame):
            self._transmit(frame, now_s)
        elif not self._acknowledged and frame.naks >= SENDS_MAX and not frame.renumbered:
            # The peer remembers this number from before our restart (P-26): once more under the next one.
            frame.renumbered = True
            self._number(frame)
            self._transmit(frame, now_s)
        else:
            self._give_up(frame, "not understood", now_s)

    def _give_up(self, frame: _Outgoing, reason: str, now_s: float) -> None:
        self.counters.frames_given_up += 1
        self._outstanding = None
        self._frames.clear()
        while self._queue and self._queue[0].group == frame.group:
            self._queue.popleft()
        self._dangling = bool(self._separator) and (frame.separated or frame.part != frame.payload)
        self._failures.append(LinkFailure(frame.payload, frame.sends, reason))
        self._hold(frame.sends)
        self._advance(now_s)

    def _hold(self, surplus_acks: int) -> None:
        """Keep the next frame back until late answers to this one came, or cannot come any more.

        NAKs are not counted off: one damaged frame can bring two of them, and each makes us send once more.
        """
        self._surplus_acks = surplus_acks
        self._held_until_s = self._answered_by_s if surplus_acks > 0 else None

    # --- receiving ---

    def _received(self, frame: Frame, payloads: list[bytes], now_s: float) -> None:
        last = self._accepted
        if frame.type != self._type_expected:
            self._refuse()
            return
        # No peer repeats a frame after so long: then the same bytes are the first words of a restarted one.
        if last is not None and frame == last and now_s - self._accepted_at_s < RESTART_SILENCE_S:
            self.counters.repeats_received += 1
            self._accepted_at_s = now_s
            self._controls.append(ACK)
            return
        if last is not None and frame.seq == last.seq:
            if not self._restarted(frame, now_s):
                self._refuse()
                return
            self.counters.restarts_seen += 1
            if not last.payload.endswith(self._separator or last.payload):
                payloads.append(self._separator)
        self.counters.frames_received += 1
        self._accepted, self._accepted_at_s = frame, now_s
        self._controls.append(ACK)
        if frame.payload:
            payloads.append(frame.payload)

    def _restarted(self, frame: Frame, now_s: float) -> bool:
        return frame.payload.startswith(_CONNECT_REQUESTS) or now_s - self._accepted_at_s >= RESTART_SILENCE_S

    def _refuse(self) -> None:
        self.counters.frames_refused += 1
        self._controls.append(NAK)
