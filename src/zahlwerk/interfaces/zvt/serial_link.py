"""The ZVT serial line: one frame outstanding, acknowledged, repeated, given up. Pure.

`SerialLink` is a `framing.Link`. Both sides use the same one.

ACK and NAK are bare bytes without a number; what they belong to has to be worked out.

- **Late ACKs.** Every copy that was sent brings one answer at most, and answers come in the order of the copies. When a
  frame is done although some of its copies are unanswered, that many ACKs are passed over before one counts for a later
  frame, until T2 after the last copy. The next frame need not wait for that. If such an ACK was really lost, the next
  frame's own ACK is passed over in its place; its answer then implies the ACK, or it is sent once more.
- **Implied ACKs.** An answer (80 xx, 84 xx) implies the ACK of our command, unless an earlier command of ours is
  unanswered (an abort beside another command): then it may be for that one. A new command implies the ACK of our
  answer: the peer goes on only when it has it, and to repeat an old `80 00 00` now would be to answer the new
  command. Not so 06 B0, which may cross an answer.
- **Repeated commands.** One is delivered once, and acknowledged each time. A command that comes again although the peer
  has acknowledged our answer is a new one: two blank print lines. When it comes again and our answer went out without
  an ACK, the answer is sent again, also after it had been given up; the application need not do anything.
- **Repeated answers.** `80 00 00` twice is the rule, so the bytes do not tell. An answer equal to the last frame is a
  repetition unless a command of ours was acknowledged since, or is outstanding and left early enough for this to be its
  answer. If in that last case it comes just when a repetition would, neither ACK nor NAK is given: our command is then
  repeated after T2, and what is said to that is clear. To take an old 80 00 for the answer to 04 0F would be a guess.

What remains: noise that writes an ACK is believed. Who needs proof looks at the application's answer.

Source: fact sheet 1.3, 6.1, 6.7, 6.10.
DEVIATION: a repeated command is recognised for twice (T2 + 1 s), not once, because two copies can get lost in a row;
the ACK of our answer tells new from repeated, which the fact sheet's rule leaves to time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from zahlwerk.errors import RemoteProtocolError
from zahlwerk.interfaces.zvt.framing import LinkFailure
from zahlwerk.interfaces.zvt.serial_frames import (
    ACK,
    BAUD,
    NAK,
    BadFrame,
    Control,
    Frame,
    FrameDecoder,
    encode_frame,
    wire_seconds,
)

__all__ = ["QUEUE_FRAMES_MAX", "SENDS_MAX", "T1_S", "T2_S", "LinkCounters", "SerialLink"]

T1_S: Final = 0.2
"""Between two bytes of a frame at most. Source: fact sheet 1.3."""
T2_S: Final = 5.0
"""From the end of a frame to its ACK or NAK at most. Source: fact sheet 1.3."""
SENDS_MAX: Final = 3
"""How often a frame goes out: once and two repetitions. Source: fact sheet 1.3."""
# LIMIT: either side has one command outstanding; a queue this long means that nobody listens.
QUEUE_FRAMES_MAX: Final = 64
"""How many frames may wait; an APDU beyond that is given up at once."""

_REPEAT_MARGIN_S: Final = 1.0
_REPEAT_BYTES_MIN: Final = len(NAK) + len(encode_frame(b"\x80\x00\x00"))
"""A NAK and the shortest frame."""
_ANSWERS: Final = frozenset({0x80, 0x84})
_ABORT: Final = b"\x06\xb0"
_ASK_AGAIN: Final = b"\x84\x9c"


@dataclass(slots=True)
class LinkCounters:
    """What happened on the line, for diagnostics."""

    frames_sent: int = 0
    """New frames, each counted once."""
    repeats_sent: int = 0
    frames_given_up: int = 0
    acks_received: int = 0
    acks_implied: int = 0
    acks_passed_over: int = 0
    """ACKs of earlier copies, and stray ones."""
    naks_received: int = 0
    frames_received: int = 0
    """Delivered frames."""
    repeats_received: int = 0
    doubtful_received: int = 0
    """Answers left without an ACK, because they may be old ones."""
    frames_refused: int = 0
    """Damaged ones, answered with NAK."""


@dataclass(slots=True)
class _Outgoing:
    apdu: bytes = field(repr=False)
    wire: bytes = field(repr=False)
    sends: int = 0
    answers: int = 0
    """ACKs and NAKs that belong to its copies."""
    passed_over: int = 0
    """Answers taken for those of earlier frames while it was outstanding."""
    left: bool = False
    """A copy was handed out for writing: before that no answer can be meant for it."""
    first_gone_s: float = 0.0
    """When its first copy has left the line."""
    gone_s: float = 0.0
    """When its last copy has left the line."""
    acknowledged: bool = False
    given_up: bool = False

    @property
    def is_answer(self) -> bool:
        return self.apdu[0] in _ANSWERS


class SerialLink:
    """One end of a ZVT serial line."""

    def __init__(self, *, baud: int = BAUD, t1_s: float = T1_S, t2_s: float = T2_S) -> None:
        """Args:
        baud: bits per second: frames take time, and T2 begins at their end.
        t1_s: longest pause inside a frame. Some USB adapters need more than the standard's.
        t2_s: longest wait for ACK or NAK.
        """
        self._baud = baud
        self._t1_s = t1_s
        self._t2_s = t2_s
        self.counters = LinkCounters()
        self._stray_bytes_before = 0
        self._decoder = FrameDecoder()
        self.reset()

    def reset(self) -> None:
        """Forget everything but the counters: the port was closed. What was queued is not reported."""
        self._stray_bytes_before += self._decoder.stray_bytes
        self._decoder = FrameDecoder()
        self._heard_s = 0.0
        self._queue: deque[_Outgoing] = deque()
        self._outstanding: _Outgoing | None = None
        self._overdue = 0
        self._overdue_until_s = 0.0
        self._accepted = b""
        self._accepted_s = 0.0
        self._reply: _Outgoing | None = None
        self._answer_due = False
        self._refused_s = -1.0
        self._refused_in_a_row = 0
        self._problem: RemoteProtocolError | None = None
        self._controls: list[bytes] = []
        self._frames: list[bytes] = []
        self._failures: list[LinkFailure] = []

    @property
    def stray_bytes(self) -> int:
        """Received bytes that belonged to no frame and were no ACK or NAK."""
        return self._stray_bytes_before + self._decoder.stray_bytes

    @property
    def queued_frames(self) -> int:
        """Frames that wait or are outstanding."""
        return len(self._queue) + (self._outstanding is not None)

    def send(self, apdu: bytes, *, now_s: float) -> None:
        """Queue a whole APDU; drain `data_to_send` afterwards. A full queue gives it up at once: see `failures`."""
        if self.queued_frames >= QUEUE_FRAMES_MAX:
            self._failures.append(LinkFailure(apdu, 0, "the queue is full: the other side does not answer"))
            return
        frame = _Outgoing(apdu, encode_frame(apdu))
        if frame.is_answer and self._reply is None and self._accepted and self._accepted[0] not in _ANSWERS:
            self._reply = frame
        self._queue.append(frame)
        self._advance(now_s)

    def receive_data(self, data: bytes, *, now_s: float) -> list[bytes]:
        """Feed what came, in any chunking; returns the APDUs of new frames in order. ACKs and NAKs are queued."""
        # A late rest of a frame is welcome all the same: its check sum tells whether it is whole.
        if not self._decoder.in_frame and now_s - self._heard_s >= self._t1_s:
            self._decoder.quiet()
        if now_s - self._heard_s > self._t2_s + _REPEAT_MARGIN_S:
            self._refused_in_a_row = 0
        self._heard_s = now_s
        apdus: list[bytes] = []
        for item in self._decoder.feed(data):
            match item:
                case Frame(apdu):
                    self._received(apdu, apdus, now_s)
                case BadFrame():
                    self._refuse(item, now_s)
                case Control.ACK:
                    self._acknowledge(now_s)
                case Control.NAK:
                    self._repeat_after_nak(now_s)
        return apdus

    def data_to_send(self) -> list[bytes]:
        """What is to be written now: ACKs and NAKs first, then at most one frame; emptied by the call."""
        writes = self._controls + self._frames
        if self._frames and self._outstanding is not None:
            self._outstanding.left = True
        self._controls, self._frames = [], []
        return writes

    def deadline_s(self) -> float | None:
        """Time by which `handle_deadline` must run; None while nothing is awaited."""
        t1_s = self._heard_s + self._t1_s if self._decoder.in_frame else None
        t2_s = self._outstanding.gone_s + self._t2_s if self._outstanding is not None else None
        if t1_s is None or t2_s is None:
            return t2_s if t1_s is None else t1_s
        return min(t1_s, t2_s)

    def handle_deadline(self, *, now_s: float) -> None:
        """T1: refuse the frame that stopped. T2: repeat ours, or give it up. Harmless before the deadline."""
        # As a sum in both places: a difference can round to just below T1 at the deadline, again and again.
        if self._decoder.in_frame and now_s >= self._heard_s + self._t1_s and (bad := self._decoder.quiet()):
            self._refuse(bad, now_s)
        frame = self._outstanding
        if frame is None or now_s < frame.gone_s + self._t2_s:
            return
        # By now the answers of earlier frames are overdue: what was taken for one was this frame's own.
        frame.answers += frame.passed_over
        frame.passed_over = 0
        if frame.sends < SENDS_MAX:
            self._transmit(frame, now_s)
        else:
            self._give_up(frame, "not acknowledged", now_s)

    def failures(self) -> list[LinkFailure]:
        """APDUs given up since the last call; emptied by the call."""
        failures, self._failures = self._failures, []
        return failures

    def problem(self) -> RemoteProtocolError | None:
        """Three damaged frames in a row, no further apart than repetitions are: the peer has given up (fact sheet 1.3).

        A good frame clears it.
        """
        return self._problem

    # --- sending ---

    def _advance(self, now_s: float) -> None:
        if self._outstanding is None and self._queue:
            self._outstanding = self._queue.popleft()
            self.counters.frames_sent += 1
            self._transmit(self._outstanding, now_s)

    def _transmit(self, frame: _Outgoing, now_s: float) -> None:
        self.counters.repeats_sent += frame.sends > 0
        frame.sends += 1
        frame.gone_s = now_s + wire_seconds(len(frame.wire), self._baud)
        if frame.sends == 1:
            frame.first_gone_s = frame.gone_s
        self._frames = [frame.wire]

    def _acknowledge(self, now_s: float) -> None:
        frame = self._outstanding
        if self._is_overdue(frame, now_s) or frame is None or not frame.left:
            self.counters.acks_passed_over += 1
            return
        self.counters.acks_received += 1
        frame.answers += 1
        self._answer_due = self._answer_due or not frame.is_answer
        unanswered = frame.sends - frame.answers
        if frame.sends > 1 and now_s < frame.gone_s:
            # It cannot be said to a copy that is still on the line: noise had made us repeat.
            unanswered = max(unanswered, 1)
        self._done(frame, now_s, unanswered=unanswered)

    def _is_overdue(self, frame: _Outgoing | None, now_s: float) -> bool:
        """Whether an ACK or NAK is the one of an earlier frame's copy; it is counted off."""
        if self._overdue <= 0 or now_s >= self._overdue_until_s:
            self._overdue = 0
            return False
        self._overdue -= 1
        if frame is not None and frame.left:
            frame.passed_over += 1
        return True

    def _repeat_after_nak(self, now_s: float) -> None:
        frame = self._outstanding
        self.counters.naks_received += 1
        overdue = self._is_overdue(frame, now_s)
        if frame is None or not frame.left:
            return
        frame.answers += not overdue
        if self._frames:
            return  # the repetition is about to leave
        # An overdue NAK may be meant for this frame: to repeat it once too often does no harm, to give it up would.
        if frame.sends < SENDS_MAX:
            self._transmit(frame, now_s)
        elif not overdue:
            self._give_up(frame, "not understood", now_s)

    def _done(self, frame: _Outgoing, now_s: float, *, unanswered: int) -> None:
        frame.acknowledged = True
        if self._frames:
            # A repetition that has not left needs no answer any more.
            self._frames.clear()
            frame.sends -= 1
            unanswered -= 1
        self._leave_behind(frame, now_s, unanswered)

    def _give_up(self, frame: _Outgoing, reason: str, now_s: float) -> None:
        self.counters.frames_given_up += 1
        frame.given_up = True
        self._frames.clear()
        self._failures.append(LinkFailure(frame.apdu, frame.sends, reason))
        self._leave_behind(frame, now_s, frame.sends - frame.answers)

    def _leave_behind(self, frame: _Outgoing, now_s: float, unanswered: int) -> None:
        if now_s >= self._overdue_until_s:
            self._overdue = 0
        if unanswered > 0:
            self._overdue += unanswered
            self._overdue_until_s = frame.gone_s + self._t2_s
        self._outstanding = None
        self._advance(now_s)

    # --- receiving ---

    def _received(self, apdu: bytes, apdus: list[bytes], now_s: float) -> None:
        self._refused_in_a_row = 0
        self._problem = None
        if apdu == self._accepted and self._is_doubtful(apdu, now_s):
            self.counters.doubtful_received += 1
            return
        self._controls.append(ACK)
        if apdu == self._accepted and self._is_repetition(apdu, now_s):
            self.counters.repeats_received += 1
            self._accepted_s = now_s
            self._reply_again(now_s)
            return
        self.counters.frames_received += 1
        self._imply_ack(apdu, now_s)
        self._accepted, self._accepted_s, self._reply = apdu, now_s, None
        apdus.append(apdu)

    def _is_doubtful(self, apdu: bytes, now_s: float) -> bool:
        """Whether an answer comes just when its last copy would be repeated, and may as well be the next answer."""
        command = self._outstanding
        if apdu[0] not in _ANSWERS or self._answer_due or command is None or command.is_answer or not command.left:
            return False
        since_s = now_s - self._accepted_s - wire_seconds(len(encode_frame(apdu)), self._baud)
        return any(
            copies * self._t2_s - self._t1_s <= since_s <= copies * (self._t2_s + _REPEAT_MARGIN_S)
            for copies in range(1, SENDS_MAX)
        )

    def _is_repetition(self, apdu: bytes, now_s: float) -> bool:
        own_s = wire_seconds(len(encode_frame(apdu)), self._baud)
        if apdu[0] in _ANSWERS:
            command = self._outstanding
            if self._answer_due:
                return False
            if command is None or command.is_answer or not command.left:
                return True
            return now_s < command.first_gone_s + own_s
        if now_s - self._accepted_s > (SENDS_MAX - 1) * (self._t2_s + _REPEAT_MARGIN_S + own_s):
            return False
        reply = self._reply
        return reply is None or not (reply.acknowledged or reply.apdu.startswith(_ASK_AGAIN))

    def _reply_again(self, now_s: float) -> None:
        """The peer asks again: our answer did not get through, or only our ACK."""
        reply = self._reply
        if reply is None:
            return
        if reply.given_up:
            self._reply = _Outgoing(reply.apdu, reply.wire)
            self._queue.appendleft(self._reply)
            self._advance(now_s)
        elif reply is self._outstanding and reply.left and reply.sends < SENDS_MAX:
            crossed = now_s < reply.gone_s + self._t1_s
            if not crossed:
                self._transmit(reply, now_s)

    def _imply_ack(self, apdu: bytes, now_s: float) -> None:
        frame = self._outstanding
        is_answer = apdu[0] in _ANSWERS
        for_earlier = is_answer and self._answer_due
        if is_answer:
            self._answer_due = False
        if frame is None or not frame.left or frame.is_answer is is_answer:
            return
        if for_earlier or apdu.startswith(_ABORT):
            return
        self.counters.acks_implied += 1
        # Sent once, its ACK is lost rather than late; sent again, each further copy can still bring one.
        self._done(frame, now_s, unanswered=frame.sends - frame.answers if frame.sends > 1 else 0)

    def _refuse(self, bad: BadFrame, now_s: float) -> None:
        if now_s < self._refused_s + wire_seconds(_REPEAT_BYTES_MIN, self._baud):
            return  # no repetition can be here already: this is the rest of the same frame
        self._refused_s = now_s
        self.counters.frames_refused += 1
        self._controls.append(NAK)
        self._refused_in_a_row += 1
        if self._refused_in_a_row >= SENDS_MAX:
            self._problem = RemoteProtocolError(
                f"{self._refused_in_a_row} damaged frames in a row, the last one: {bad.reason}", position=bad.position
            )
