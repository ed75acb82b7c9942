"""The terminal's side of ZVT: whose turn it is, what the register owes, and for how long to wait. Pure.

APDUs and the time go in; events, APDUs and the next deadline come out. What commands mean is the endpoint's to know.
What a register said of itself (`Registered`) survives its connection, as on most devices.

Source: fact sheet 6.1, 6.2 (registration), 6.4 (issue of goods), 6.7 (abort), 6.11 (sequence ids), 6.12 (this side).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final, TypeAlias

import msgspec

from zahlwerk.errors import RemoteProtocolError
from zahlwerk.interfaces.zvt.charsets import BY_NUMBER, CP437, Charset
from zahlwerk.interfaces.zvt.codec import decode, encode
from zahlwerk.interfaces.zvt.dictionary import COMMANDS, Direction, Ending
from zahlwerk.interfaces.zvt.messages import Message, Tlv, Value, answer, find, find_all
from zahlwerk.interfaces.zvt.registration import Config
from zahlwerk.interfaces.zvt.timers import TIMERS, Timers

__all__ = [
    "AbortWanted",
    "Answered",
    "Registered",
    "Silent",
    "TerminalEvent",
    "TerminalSide",
    "Turn",
    "Unreadable",
    "Wanted",
]

ABORT: Final = 0x06B0
BUSY: Final = 0x849C
UNKNOWN: Final = 0x8483
INTERMEDIATE: Final = 0x04FF
STATUS_INFORMATION: Final = 0x040F
ENDS: Final = frozenset({0x060F, 0x061E})
SEQUENCE_TAG: Final = 0x1F73
SEQUENCE_MAX: Final = 999_999
WORKING: Final = 0x0E
"""The sign of life: being processed, please wait."""
AFTER_LOG_OFF: Final = 0x86
"""The config byte where nobody registered. Source: fact sheet 2.7."""
# LIMIT: messages that wait for the register's answers; a day's longest receipt has some hundred lines.
QUEUE_MAX: Final = 2_000
# LIMIT: intermediate states among them: what is not told in time is of no use later.
STATES_MAX: Final = 20
_SPARED: Final = (0x3C, 0x8B)
"""Texts of a result that can be left out, the least needed first."""


@dataclass(slots=True)
class Registered:
    """What the register said of itself. Source: fact sheet 6.2, 6.12."""

    config: int = AFTER_LOG_OFF
    currency_number: int | None = None
    tlv: bool = False
    """It has sent a TLV container, so it may be sent one."""
    commands: frozenset[int] | None = None
    """What it can process (tag 26); None if it did not say."""
    charset: Charset = CP437
    columns: int | None = None
    apdu_max: int | None = None
    receipt_parameters: int = 0
    emv_configuration: int = 0
    numbered: bool = False
    language: str = ""

    def wants(self, bit: Config) -> bool:
        """A bit of the config byte."""
        return bool(self.config & bit)

    def takes(self, command: int) -> bool:
        """Whether a command of the terminal may be sent to it (rules of tag 26)."""
        if command in {STATUS_INFORMATION, *ENDS}:
            return True
        if command == INTERMEDIATE:
            return self.wants(Config.INTERMEDIATE)
        return self.commands is not None and command in self.commands

    def read(self, message: Message) -> None:
        """Take over what a registration says."""
        tlvs = message.tlv or ()
        self.config = message.head_number("config") or 0
        self.currency_number = message.head_number("currency")
        self.tlv = message.tlv is not None
        listed = find(tlvs, 0x26)
        self.commands = None if listed is None else frozenset(
            int.from_bytes(tlv.value, "big") for tlv in find_all(listed.children, 0x0A) if isinstance(tlv.value, bytes)
        )  # fmt: skip
        self.columns = message.tag_number(0x12)
        self.apdu_max = message.tag_number(0x1A)
        self.receipt_parameters = message.tag_number(0x1F04) or 0
        self.emv_configuration = message.tag_number(0x40) or 0
        self.numbered = find(tlvs, SEQUENCE_TAG) is not None
        wanted = find(tlvs, 0x27)
        sets = [tlv.value for tlv in find_all((wanted,), 0x14)] if wanted is not None else []
        agreed = BY_NUMBER.get(sets[0]) if len(sets) == 1 and isinstance(sets[0], int) else None
        self.charset = agreed or CP437


@unique
class Turn(Enum):
    """Whose turn it is."""

    DOWN = "no connection"
    REST = "the register may speak"
    ANSWERING = "the register waits for our answer"
    MASTER = "we are master"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A command that waits for `accept`, `refuse` or `reply`."""

    message: Message


@dataclass(frozen=True, slots=True)
class Answered:
    """The register's answer to a result (04 0F): the decision about it."""

    answer: Message | None
    """None: it gave none in time, or the connection ended."""


@dataclass(frozen=True, slots=True)
class AbortWanted:
    """06 B0, answered already."""


@dataclass(frozen=True, slots=True)
class Silent:
    """The register does not answer any more: the connection is of no use."""

    waited_s: float


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Bytes that are no APDU."""

    error: RemoteProtocolError


TerminalEvent: TypeAlias = Wanted | Answered | AbortWanted | Silent | Unreadable


@dataclass(slots=True)
class _Own:
    """A command of ours."""

    message: Message
    wait_s: float
    is_result: bool = False
    repeats_max: int | None = None
    repeats: int = 0
    number: int | None = None
    """Its sequence id, once sent; a repetition keeps it (6.11)."""


class TerminalSide:
    """One terminal's conversation with its register, over one connection after the other."""

    def __init__(self, *, timers: Timers = TIMERS) -> None:
        self.turn = Turn.DOWN
        self.command = 0
        """The register's command that runs, or ran last."""
        self.registered = Registered()
        self.can_abort = True
        """Whether 06 B0 is taken now; not once the host has been asked."""
        self.procedure = 0
        """Counts the commands that were accepted: what belongs to an earlier one is told to nobody."""
        self._timers = timers
        self._events: list[TerminalEvent] = []
        self._out: list[bytes] = []
        self._queue: deque[_Own] = deque()
        self._open: _Own | None = None
        self._again_at_s: float | None = None
        self._deadline_s: float | None = None
        self._sign_at_s: float | None = None
        self._numbers: dict[str, int] = {"highest": 0, "heard": -1}
        self._last_answer = b""
        self._to: Message | None = None

    # -- the connection

    def link_up(self) -> None:
        """A connection stands."""
        self._reset(Turn.REST)

    def link_down(self) -> None:
        """The connection ended: whatever the register still owed will not come."""
        was_open = self._open is not None and self._open.is_result
        waiting = self._result_waits
        self._reset(Turn.DOWN)
        if was_open or waiting:
            self._events.append(Answered(None))

    @property
    def _result_waits(self) -> bool:
        """A result is queued that nobody has seen."""
        return any(own.is_result for own in self._queue)

    def _reset(self, turn: Turn) -> None:
        self.turn = turn
        self._out.clear()
        self._queue.clear()
        self._open = None
        self._again_at_s = self._deadline_s = self._sign_at_s = None
        self._to = None

    # -- answers to the register

    def accept(self, *, now_s: float) -> None:
        """80 00: we carry the command out as the next `procedure`, and are master until its end."""
        self._answer(answer(), now_s)
        self.turn = Turn.MASTER
        self.procedure += 1
        self._sign_at_s = now_s + self._timers.working_sign_s

    def refuse(self, code: int, *, now_s: float, head: dict[str, Value] | None = None) -> None:
        """84 xx: nothing was started."""
        self.reply(Message(code=0x8400 | code, head=head or {}), now_s=now_s)

    def reply(self, message: Message, *, now_s: float) -> None:
        """The answer that is also the end of the command; for nobody, where its register has gone meanwhile."""
        if self.turn is Turn.ANSWERING:
            self._answer(message, now_s)
            self.turn = Turn.REST

    # -- our own commands

    @property
    def is_connected(self) -> bool:
        """Somebody would hear us."""
        return self.turn is not Turn.DOWN

    def send(self, message: Message, *, now_s: float, procedure: int | None = None) -> None:
        """Queue a command of ours; dropped where nobody would hear it, or the register cannot process it.

        Args:
            procedure: the one it belongs to; the one that runs if None. What is left of a register that has gone must
                not end the question of the next one.
        """
        if self.turn is not Turn.MASTER or len(self._queue) >= QUEUE_MAX:
            return
        if procedure is not None and procedure != self.procedure:
            return
        if message.code == INTERMEDIATE and (
            not self.registered.takes(INTERMEDIATE)
            or sum(own.message.code == INTERMEDIATE for own in self._queue) >= STATES_MAX
        ):
            return
        self._queue.append(_Own(message, self._timers.t3_s))
        self._next(now_s)

    def show_result(
        self,
        message: Message,
        *,
        now_s: float,
        procedure: int | None = None,
        wait_s: float | None = None,
        repeats_max: int | None = None,
    ) -> None:
        """Queue a result whose answer decides: it comes back as `Answered`.

        Args:
            procedure: the one it belongs to, as with `send`: another register's yes is none.
            wait_s: how long the register has (BMP 01); T3 if None.
            repeats_max: how often it may say "ask again" (BMP 02); as often as it likes if None.
        """
        if self.turn is not Turn.MASTER or procedure not in {None, self.procedure}:
            self._events.append(Answered(None))
            return
        wait_s = self._timers.t3_s if wait_s is None else wait_s
        self._queue.append(_Own(message, wait_s, is_result=True, repeats_max=repeats_max))
        self._next(now_s)

    def withdraw_result(self, *, now_s: float, procedure: int) -> None:
        """What was shown does not hold any more: it is not sent again, however often the register asks for time."""
        own = self._open
        if procedure != self.procedure or own is None or not own.is_result:
            return
        own.repeats_max = own.repeats
        if self._again_at_s is not None:
            self._again_at_s = self._open = None
            self._next(now_s)

    @property
    def is_idle(self) -> bool:
        """Nothing of ours is open or waits."""
        return self._open is None and not self._queue

    # -- the seam

    def events_received(self) -> list[TerminalEvent]:
        """What happened; returns and empties."""
        events, self._events = self._events, []
        return events

    def data_to_send(self) -> list[bytes]:
        """APDUs to send now, in order; emptied by the call."""
        out, self._out = self._out, []
        return out

    def deadline_s(self) -> float | None:
        """When `handle_deadline` must run; None while nothing is awaited."""
        times = (self._deadline_s, self._again_at_s, self._sign_at_s)
        return min((at_s for at_s in times if at_s is not None), default=None)

    def handle_deadline(self, *, now_s: float) -> None:
        """Time has passed. Harmless before the deadline."""
        if self._again_at_s is not None and now_s >= self._again_at_s:
            self._again_at_s = None
            if self._open is not None:
                self._transmit(self._open, now_s)
        if self._sign_at_s is not None and now_s >= self._sign_at_s:
            self._sign_at_s = now_s + self._timers.working_sign_s
            if self.is_idle:
                self.send(Message(code=INTERMEDIATE, head={"status": WORKING, "minutes": 3}), now_s=now_s)
        if self._deadline_s is not None and now_s >= self._deadline_s and self._open is not None:
            own = self._open
            self._open = None
            self._deadline_s = None
            if own.is_result:
                # It is taken back, and the register told so while the line works (6.12); whoever stays silent to that
                # as well has gone.
                self._events.append(Answered(None))
                self._sign_at_s = now_s + self._timers.working_sign_s
                self._next(now_s)
            else:
                self._events.append(Silent(own.wait_s))

    def receive_data(self, data: bytes, *, now_s: float) -> None:
        """One whole APDU from the register."""
        opened = self._open.message.code if self._open is not None else 0
        try:
            message = decode(data, charset=self.registered.charset, answers=opened)
        except RemoteProtocolError as exc:
            self._events.append(Unreadable(exc))
            return
        if message.is_answer:
            self._on_answer(message, now_s)
        elif self._is_repeated(message):
            self._out.append(self._last_answer)
        else:
            self._on_command(message)

    # -- inside

    def _on_command(self, message: Message) -> None:
        self._to = message
        row = COMMANDS.get(message.code)
        is_ours = row is not None and row.direction is Direction.TO_REGISTER
        if message.code == ABORT:
            self._on_abort()
        elif self.turn in {Turn.MASTER, Turn.ANSWERING}:
            self._write_answer(Message(code=BUSY))
        elif row is None or is_ours or message.problem.startswith("unknown BMP"):
            self._write_answer(Message(code=UNKNOWN))
        elif message.problem:
            self._write_answer(Message(code=0x849A))
        else:
            self.turn = Turn.ANSWERING
            self.command = message.code
            self._events.append(Wanted(message))

    def _on_abort(self) -> None:
        """Answered at once, even if an own command is open; that one is waited for further (6.7)."""
        if not self.can_abort:
            self._write_answer(Message(code=UNKNOWN))
            return
        self._write_answer(answer())
        if self.turn in {Turn.MASTER, Turn.ANSWERING}:
            self._events.append(AbortWanted())

    def _on_answer(self, message: Message, now_s: float) -> None:
        own = self._open
        if own is None or self._again_at_s is not None:
            return  # late or doubled
        if own.is_result and message.code == BUSY and (own.repeats_max is None or own.repeats < own.repeats_max):
            own.repeats += 1
            self._again_at_s = now_s + self._timers.again_s
            self._deadline_s = None
            return
        self._open = None
        self._deadline_s = None
        if own.is_result:
            self._events.append(Answered(message))
        if own.message.code in ENDS or (own.message.code == STATUS_INFORMATION and self._is_reading()):
            self.turn = Turn.REST
            self._sign_at_s = None
            if self._result_waits:
                self._events.append(Answered(None))
            self._queue.clear()
        self._next(now_s)

    def _is_reading(self) -> bool:
        """06 C0 ends with 04 0F; nothing follows (2.1, class C)."""
        row = COMMANDS.get(self.command)
        return row is not None and row.ending is Ending.READ

    def _next(self, now_s: float) -> None:
        if self._open is not None or not self._queue or self.turn is not Turn.MASTER:
            return
        self._open = self._queue.popleft()
        self._transmit(self._open, now_s)

    def _transmit(self, own: _Own, now_s: float) -> None:
        if self.registered.numbered and own.number is None:
            self._numbers["highest"] = own.number = self._numbers["highest"] % SEQUENCE_MAX + 1
        self._out.append(self._encoded(own.message, own.number))
        self._deadline_s = now_s + own.wait_s
        self._sign_at_s = now_s + self._timers.working_sign_s

    def _answer(self, message: Message, now_s: float) -> None:  # noqa: ARG002 - the time, as all verbs
        if self.turn is Turn.ANSWERING:
            self._write_answer(message)

    def _write_answer(self, message: Message) -> None:
        number = self._number_of(self._to) if self._to is not None else None
        apdu = self._encoded(message, number)
        if number is not None:
            self._last_answer = apdu
        self._out.append(apdu)

    def _is_repeated(self, message: Message) -> bool:
        """A command that keeps its number: our answer got lost. Source: fact sheet 6.11."""
        number = self._number_of(message)
        if number is None:
            return False
        if number == self._numbers["heard"] and self._last_answer:
            return True
        self._numbers["heard"] = number
        self._numbers["highest"] = max(number, self._numbers["highest"]) if number else 0
        self._last_answer = b""
        return False

    def _number_of(self, message: Message) -> int | None:
        number = message.tag_number(SEQUENCE_TAG) if self.registered.numbered else None
        # One that has no room in its three bytes is none: it could not be repeated in the answer.
        return number if number is not None and number <= SEQUENCE_MAX else None

    def _encoded(self, message: Message, number: int | None) -> bytes:
        """As bytes, and no more of them than the register can receive (tag 1A)."""
        if message.tlv is not None and not self.registered.tlv and not message.is_answer:
            # Only to whoever has sent some (4.1).
            message = msgspec.structs.replace(message, tlv=None)
        limit = self.registered.apdu_max
        apdu = b""
        for candidate in (message,) if not limit else _ever_shorter(message):
            numbered = candidate
            if number is not None and message.code != 0x06D1:
                numbered = msgspec.structs.replace(candidate, tlv=(*(candidate.tlv or ()), Tlv(SEQUENCE_TAG, number)))
            apdu = encode(numbered, charset=self.registered.charset)
            if not limit or len(apdu) <= limit:
                break
        return apdu

    def start_numbering(self) -> None:
        """A registration with sequence ids has been answered: count from here."""
        self._numbers = {"highest": 0, "heard": -1}
        self._last_answer = b""


def _ever_shorter(message: Message) -> Iterator[Message]:
    """The message, then with less and less of what a register can do without: tags, and then texts."""
    yield message
    if message.is_answer or message.code == 0x06D3:
        return
    tlv = message.tlv
    while tlv:
        tlv = tlv[:-1]
        yield msgspec.structs.replace(message, tlv=tlv or None)
    fields = dict(message.fields)
    for number in _SPARED:
        if fields.pop(number, None) is not None:
            yield msgspec.structs.replace(message, tlv=None, fields=fields.copy())
