"""The register's side of ZVT: whose turn it is, what is owed, and for how long to wait. Pure.

APDUs and the time go in; events, APDUs and the next deadline come out. What an approval is worth, and what to ask after
a break, is decided elsewhere (`settlement`).

Source: fact sheet 6.1 (states), 6.7 (abort), 6.8 (unasked messages), 6.10 (lost answers), 6.11 (sequence ids).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, unique
from typing import Final, TypeAlias

from zahlwerk.errors import InvalidRequest, LocalProtocolError, RemoteProtocolError
from zahlwerk.interfaces.zvt.charsets import BY_NUMBER, CP437, Charset
from zahlwerk.interfaces.zvt.codec import decode, encode
from zahlwerk.interfaces.zvt.dictionary import COMMANDS, Ending
from zahlwerk.interfaces.zvt.messages import POSITIVE, Message, Tlv, find, find_all
from zahlwerk.interfaces.zvt.timers import TIMERS, Timers

__all__ = [
    "AbortAnswered",
    "Accepted",
    "Asked",
    "Expired",
    "Finished",
    "Phase",
    "Printed",
    "Refused",
    "RegisterEvent",
    "RegisterSide",
    "Registration",
    "Told",
    "Unreadable",
    "Unsolicited",
]

STATUS_INFORMATION: Final = 0x040F
INTERMEDIATE: Final = 0x04FF
COMPLETION: Final = 0x060F
ABORT_NOTICE: Final = 0x061E
PRINTS: Final = frozenset({0x06D1, 0x06D3})
SET_CLOCK: Final = 0x0401
ASKED: Final = frozenset({0x040C, 0x040D, 0x040E, 0x06D0, 0x06E4})
ABORT: Final = 0x06B0
SEQUENCE_TAG: Final = 0x1F73
SEQUENCE_MAX: Final = 999_999
PIN_AGAIN: Final = 0x37
DISPLAYS: Final = frozenset({0x06E1, 0x06E2, 0x06E3, 0x06E7})
"""Commands that wait for a person, and may be cut short meanwhile. Source: fact sheet 2.9, 6.7."""


@unique
class Phase(Enum):
    """Whose turn it is. Source: fact sheet 6.1."""

    DOWN = "no connection"
    IDLE = "the register may speak"
    WAIT_ACK = "waiting for the terminal's answer"
    MASTER = "the terminal is master"
    LOCAL = "the terminal does something of its own"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The terminal has taken a command and is master now."""

    command: int
    answer: Message | None
    """None: the answer got lost, the terminal went on at once."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The terminal did not take a command: nothing was started."""

    command: int
    answer: Message


@dataclass(frozen=True, slots=True)
class Finished:
    """A command has ended, and we may speak again."""

    command: int
    message: Message
    """06 0F or 06 1E of a procedure, the answer of a direct command, 04 0F of a read."""

    @property
    def is_success(self) -> bool:
        """False for 06 1E."""
        return self.message.code != ABORT_NOTICE


@dataclass(frozen=True, slots=True)
class Told:
    """An intermediate status, or the clock to set; answered already."""

    message: Message


@dataclass(frozen=True, slots=True)
class Asked:
    """The terminal wants an answer: give it with `reply`."""

    message: Message
    apdu: bytes = field(repr=False)
    """As it came: a repetition is recognised by it. Not shown: it may hold card data."""


@dataclass(frozen=True, slots=True)
class Printed:
    """Something for the register's printer; answered already, print it when there is time."""

    message: Message


@dataclass(frozen=True, slots=True)
class Unsolicited:
    """A message without a command of ours: something was started at the terminal. Answered already."""

    message: Message


@dataclass(frozen=True, slots=True)
class AbortAnswered:
    """What the terminal said to an abort. It is not the end: the payment's own result still comes."""

    answer: Message


@dataclass(frozen=True, slots=True)
class Expired:
    """The terminal was silent for too long. The connection tells nothing any more: close it."""

    command: int
    phase: Phase
    waited_s: float


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Bytes that are no APDU. The connection cannot be trusted any more: close it."""

    error: RemoteProtocolError


RegisterEvent: TypeAlias = (
    Accepted | Refused | Finished | Told | Asked | Printed | Unsolicited | AbortAnswered | Expired | Unreadable
)


@dataclass(slots=True)
class Registration:
    """What register and terminal agreed on; survives the connection as long as the terminal remembers it."""

    charset: Charset = CP437
    columns: int | None = None
    """Characters in a printed line that the terminal will use."""
    apdu_max: int | None = None
    """The longest data block that the terminal takes."""
    commands: frozenset[int] = frozenset()
    """What the terminal says it can (tag 26)."""
    terminal_id: str = ""
    status_bits: int = 0
    """BMP 19 of the answer: 01 initialise, 02 diagnose, 04 OPT needed."""
    currency_number: int | None = None
    numbered: bool = False
    """Both sides number their messages (tag 1F73)."""
    done: bool = False

    def read(self, message: Message, *, default: Charset) -> None:
        """Take over what the 06 0F of a registration says. Source: fact sheet 2.7, 4.5, 6.11."""
        tlvs = message.tlv or ()
        self.done = True
        self.terminal_id = message.text(0x29) or self.terminal_id
        self.status_bits = message.number(0x19) or 0
        self.currency_number = message.number(0x49)
        self.columns = message.tag_number(0x12)
        self.apdu_max = message.tag_number(0x1A)
        self.numbered = find(tlvs, SEQUENCE_TAG) is not None
        listed = find(tlvs, 0x26)
        self.commands = frozenset(
            int.from_bytes(tlv.value, "big") if isinstance(tlv.value, bytes) else int(str(tlv.value), 16)
            if isinstance(tlv.value, str) else tlv.value
            for tlv in find_all(listed.children if listed else (), 0x0A) if not isinstance(tlv.value, tuple)
        )  # fmt: skip
        sets = [tlv.value for tlv in find_all((found,), 0x14)] if (found := find(tlvs, 0x27)) else []
        agreed = BY_NUMBER.get(sets[0]) if len(sets) == 1 and isinstance(sets[0], int) else None
        self.charset = agreed or default


@dataclass(slots=True)
class _Numbers:
    """Message sequence ids. Source: fact sheet 6.11."""

    highest: int = 0
    last_heard: int | None = None
    last_answer: bytes = b""

    def following(self) -> int:
        self.highest = self.highest % SEQUENCE_MAX + 1
        return self.highest


class RegisterSide:
    """One register's conversation with one terminal, over one connection after the other."""

    def __init__(self, *, timers: Timers = TIMERS, charset: Charset = CP437) -> None:
        """Args:
        charset: of texts until another one is agreed on.
        """
        self.phase = Phase.DOWN
        self.registration = Registration(charset=charset)
        self.command = 0
        """The command that runs, or ran last."""
        self._timers = timers
        self._default_charset = charset
        self._events: list[RegisterEvent] = []
        self._out: list[bytes] = []
        self._deadline_s: float | None = None
        self._wait_s = 0.0
        self._master_s = timers.t4_s
        self._owed: Message | None = None
        self._holds_results = False
        self._failed_result = False
        self._abort_wanted = False
        self._abort_until_s: float | None = None
        self._numbers = _Numbers()

    # -- the verbs

    def link_up(self) -> None:
        """A connection stands."""
        self._reset(Phase.IDLE)

    def link_down(self) -> None:
        """The connection ended; what ran is for the caller to find out."""
        self._reset(Phase.DOWN)

    def _reset(self, phase: Phase) -> None:
        self.phase = phase
        self._out.clear()
        self._deadline_s = None
        self._owed = None
        self._abort_wanted = False
        self._abort_until_s = None

    @property
    def is_free(self) -> bool:
        """A command may be sent."""
        return self.phase is Phase.IDLE

    def start(
        self,
        message: Message,
        *,
        now_s: float,
        wait_s: float | None = None,
        master_s: float | None = None,
        holds_results: bool = False,
    ) -> None:
        """Send a command.

        Args:
            wait_s: how long to wait for its answer, instead of T3.
            master_s: how long the terminal may be silent while it is master, instead of T4.
            holds_results: 04 0F is handed over as `Asked` and waits for `reply`; otherwise it is accepted at once.

        Raises:
            LocalProtocolError: it is not our turn. Nothing was sent.
            InvalidRequest: it cannot be written, or is longer than the terminal takes. Nothing was sent.
        """
        if self.phase is not Phase.IDLE:
            raise LocalProtocolError(f"no command may be sent: {self.phase.value}")
        if message.code not in COMMANDS:
            raise InvalidRequest(f"{message.code:04X} is no command of ZVT")
        self._write(message, number=self._numbers.following() if self.registration.numbered else None)
        self.command = message.code
        self.phase = Phase.WAIT_ACK
        self._holds_results = holds_results
        self._failed_result = False
        self._abort_until_s = None
        self._master_s = self._timers.t4_s if master_s is None else master_s
        self._expire_in(self._timers.t3_s if wait_s is None else wait_s, now_s)

    def reply(self, message: Message, *, now_s: float) -> bool:
        """Answer what was `Asked`; False if the terminal no longer waits for it (then nothing was sent)."""
        if self._owed is None or self.phase is not Phase.MASTER:
            return False
        self._answer(self._owed, message)
        self._owed = None
        self._listen_on(now_s)
        self._abort_now(now_s)
        return True

    def abort(self, *, now_s: float) -> None:
        """Ask the terminal to stop (06 B0), as soon as that may be said. Source: fact sheet 6.7."""
        if self.phase in {Phase.WAIT_ACK, Phase.MASTER}:
            self._abort_wanted = True
            self._abort_now(now_s)

    def abort_unanswered(self, *, now_s: float) -> bool:
        """The answer to an abort may still come, even after the end of what it should have stopped (6.7)."""
        return self._abort_until_s is not None and now_s < self._abort_until_s

    def abandon(self) -> None:
        """The command that ran is over as far as we care; only when the terminal is known to be at rest."""
        if self.phase is not Phase.DOWN:
            self._reset(Phase.IDLE)

    def events_received(self) -> list[RegisterEvent]:
        """What happened; returns and empties."""
        events, self._events = self._events, []
        return events

    def data_to_send(self) -> list[bytes]:
        """APDUs to send now, in order; emptied by the call."""
        out, self._out = self._out, []
        return out

    def deadline_s(self) -> float | None:
        """When `handle_deadline` must run; None while nothing is awaited."""
        return self._deadline_s

    def handle_deadline(self, *, now_s: float) -> None:
        """Time has passed. Harmless before the deadline."""
        if self._abort_until_s is not None and now_s >= self._abort_until_s:
            self._abort_until_s = None
        if self._deadline_s is None or now_s < self._deadline_s:
            return
        self._deadline_s = None
        if self.phase is Phase.LOCAL:
            self.phase = Phase.IDLE
            return
        self._events.append(Expired(self.command, self.phase, self._wait_s))

    # -- what comes

    def receive_data(self, data: bytes, *, now_s: float) -> None:
        """One whole APDU from the terminal."""
        try:
            message = decode(data, charset=self.registration.charset, answers=self.command)
        except RemoteProtocolError as exc:
            self._events.append(Unreadable(exc))
            return
        if message.is_answer:
            self._on_answer(message, now_s)
            return
        number = self._number_of(message)
        if number is not None and number == self._numbers.last_heard and self._numbers.last_answer:
            self._out.append(self._numbers.last_answer)  # it keeps its number: our answer got lost
            return
        if number is not None:
            self._numbers.last_heard, self._numbers.last_answer = number, b""
            self._numbers.highest = number
        if self.phase is Phase.WAIT_ACK and _ending(self.command) not in {Ending.DIRECT, None}:
            # Some are that fast, or their answer got lost (6.1).
            self._accept(None, now_s)
        if self.phase is Phase.MASTER:
            self._on_command(message, data, now_s)
        else:
            self._on_unsolicited(message, now_s)

    def _on_answer(self, message: Message, now_s: float) -> None:
        if self.phase is Phase.WAIT_ACK:
            if self._abort_until_s is not None and message.is_positive and not message.head:
                self._abort_until_s = None
                self._events.append(AbortAnswered(message))
            elif not message.is_positive:
                self._end(Refused(self.command, message))
            elif _ending(self.command) is Ending.DIRECT:
                if self.command == 0x0602:
                    self.registration = Registration(charset=self._default_charset)
                self._end(Finished(self.command, message))
            else:
                self._accept(message, now_s)
        elif self.phase is not Phase.DOWN and self._abort_until_s is not None:
            self._abort_until_s = None
            self._events.append(AbortAnswered(message))
        # Anything else is a late or doubled answer (6.1): no news in it.

    def _accept(self, answer: Message | None, now_s: float) -> None:
        self.phase = Phase.MASTER
        self._listen_on(now_s)
        self._events.append(Accepted(self.command, answer))
        self._abort_now(now_s)

    def _on_command(self, message: Message, apdu: bytes, now_s: float) -> None:
        code = message.code
        self._owed = None
        if code == INTERMEDIATE:
            if (minutes := message.head_number("minutes")) is not None and minutes > 0:
                self._master_s = max(self._timers.t4_s, minutes * 60.0)
            self._answer(message, _POSITIVE)
            self._events.append(Told(message))
        elif code == STATUS_INFORMATION:
            self._on_result(message, apdu, now_s)
            return
        elif code in PRINTS:
            self._answer(message, _POSITIVE)
            self._events.append(Printed(message))
        elif code == SET_CLOCK:
            self._answer(message, _POSITIVE)
            self._events.append(Told(message))
        elif code in ASKED:
            self._ask(message, apdu)
        elif code in {COMPLETION, ABORT_NOTICE}:
            self._answer(message, _POSITIVE)
            if self.command == 0x0600 and code == COMPLETION:
                self.registration.read(message, default=self._default_charset)
                self._numbers = _Numbers()
            self._end(Finished(self.command, message))
            return
        else:
            self._answer(message, Message(code=0x8483))
        self._listen_on(now_s)
        self._abort_now(now_s)

    def _on_result(self, message: Message, apdu: bytes, now_s: float) -> None:
        result = message.number(0x27)
        # A wrong PIN may be followed by another try: that one is waited for (6.3).
        self._failed_result = result not in {None, 0, PIN_AGAIN}
        if _ending(self.command) is Ending.READ:
            self._answer(message, _POSITIVE)
            self._end(Finished(self.command, message))
            return
        if self._holds_results:
            self._ask(message, apdu)
        else:
            self._answer(message, _POSITIVE)
            self._events.append(Told(message))
        self._listen_on(now_s)
        self._abort_now(now_s)

    def _on_unsolicited(self, message: Message, now_s: float) -> None:
        """Devices tell of what staff start at the terminal although nobody asked. Source: fact sheet 6.8."""
        if self.phase is Phase.DOWN:
            return
        known = message.code in PRINTS | {STATUS_INFORMATION, INTERMEDIATE, COMPLETION, ABORT_NOTICE, SET_CLOCK}
        self._answer(message, _POSITIVE if known else Message(code=0x8483))
        if not known:
            return
        self._events.append(Unsolicited(message))
        if self.phase in {Phase.IDLE, Phase.LOCAL}:
            over = message.code in {COMPLETION, ABORT_NOTICE}
            self.phase = Phase.IDLE if over else Phase.LOCAL
            self._deadline_s = None
            if not over:
                self._expire_in(self._timers.t4_s, now_s)

    # -- inside

    def _ask(self, message: Message, apdu: bytes) -> None:
        self._owed = message
        self._events.append(Asked(message, apdu))

    def _end(self, event: Refused | Finished) -> None:
        self.phase = Phase.IDLE
        self._deadline_s = None
        self._owed = None
        self._abort_wanted = False
        self._events.append(event)

    def _listen_on(self, now_s: float) -> None:
        # After a failed result some terminals say nothing more (6.3): no reason to wait three minutes.
        silent = self._failed_result and self._owed is None
        self._expire_in(self._timers.silent_failure_s if silent else self._master_s, now_s)

    def _expire_in(self, wait_s: float, now_s: float) -> None:
        self._wait_s = wait_s
        self._deadline_s = now_s + wait_s

    def _abort_now(self, now_s: float) -> None:
        """Only between an answer of ours and the terminal's next command: else both would wait (6.7)."""
        shows = self.phase is Phase.WAIT_ACK and self.command in DISPLAYS
        if not self._abort_wanted or self._owed is not None or not (shows or self.phase is Phase.MASTER):
            return
        self._abort_wanted = False
        self._abort_until_s = now_s + self._timers.t3_s
        self._write(Message(code=ABORT), number=self._numbers.following() if self.registration.numbered else None)

    def _answer(self, to: Message, message: Message) -> None:
        number = self._number_of(to)
        apdu = self._write(message, number=number)
        if number is not None and message.code != 0x849C:
            self._numbers.last_answer = apdu

    def _number_of(self, message: Message) -> int | None:
        number = message.tag_number(SEQUENCE_TAG) if self.registration.numbered else None
        # One that has no room in its three bytes is none: it could not be repeated in the answer.
        return number if number is not None and number <= SEQUENCE_MAX else None

    def _write(self, message: Message, *, number: int | None) -> bytes:
        if number is not None:
            tlv = (*(message.tlv or ()), Tlv(SEQUENCE_TAG, number))
            message = Message(code=message.code, head=message.head, fields=message.fields, more=message.more, tlv=tlv)
        apdu = encode(message, charset=self.registration.charset)
        apdu_max = self.registration.apdu_max
        # An answer is owed whatever the terminal said of its size.
        if apdu_max and len(apdu) - 3 > apdu_max and not message.is_answer:
            raise InvalidRequest(f"the terminal takes at most {apdu_max} bytes, this message has {len(apdu)}")
        self._out.append(apdu)
        return apdu


_POSITIVE: Final = Message(code=POSITIVE)


def _ending(command: int) -> Ending | None:
    row = COMMANDS.get(command)
    if row is None:
        return None
    # Print commands go both ways; sent by us they end with their answer (2.2, 06 D1 / D3).
    return Ending.DIRECT if row.ending is Ending.STEP else row.ending
