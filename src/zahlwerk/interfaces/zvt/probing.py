"""Is there a ZVT terminal at the other end of a connection, which one, and how does it like to be spoken to? I/O.

One status enquiry (05 01), if asked for one registration (06 00), and a look whether the terminal hangs up afterwards.
No money moves, and nothing is set except by the registration. A status enquiry gives the terminal leave to run what is
due (fact sheet 6.8): that is waited for, and what it prints is kept.

Source: fact sheet 1.2 (connections), 2.5, 5.2 (status), 2.7 (registration), 4.2 (1F40 to 1F44, 1F55), 8 (devices).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, unique
from typing import TYPE_CHECKING, Final

from zahlwerk.carddata import redact
from zahlwerk.clock import Clock
from zahlwerk.interfaces.zvt.charsets import BY_NAME
from zahlwerk.interfaces.zvt.dictionary import COMMANDS, Direction, result_row, status_row
from zahlwerk.interfaces.zvt.framing import Link, PlainLink
from zahlwerk.interfaces.zvt.messages import Message, find
from zahlwerk.interfaces.zvt.profiles import STANDARD, Profile, profiles
from zahlwerk.interfaces.zvt.receipts import ReceiptCollector
from zahlwerk.interfaces.zvt.register import (
    Expired,
    Finished,
    Phase,
    Printed,
    Refused,
    RegisterSide,
    Told,
    Unreadable,
    Unsolicited,
)
from zahlwerk.interfaces.zvt.registration import registration_for
from zahlwerk.payment import Receipt
from zahlwerk.transport.stream import ByteStream, StreamEnded
from zahlwerk.urls import TraceSink

if TYPE_CHECKING:
    from zahlwerk.interfaces.zvt.serial_link import SerialLink
    from zahlwerk.interfaces.zvt.tap import Tap

__all__ = ["Speaks", "ZvtFindings", "ZvtRegistration", "foreign_language", "probe_zvt", "propose_profile"]

STATUS_ENQUIRY: Final = 0x0501
STATUS_INFORMATION: Final = 0x040F
TELL_ALL: Final = 0x04
"""Service byte of 05 01: with the version, and with more in TLV. Source: fact sheet 2.6."""
NOT_UNDERSTOOD: Final = frozenset({0x83, 0x9A, 0x37})
"""Unknown command or field, parse error, wrong password: asked again in the shortest form. Source: 2.4, 5.1."""

MASTER_S: Final = 15.0
"""After its 80 00 a terminal that answers a status enquiry needs no time; one that runs a job says so."""
JOB_S: Final = 180.0
"""LIMIT: what a terminal does of its own is waited for so long in all."""
LINGER_S: Final = 2.5
"""Terminals that hang up do so after 1 to 2 s. Source: fact sheet 1.2."""


@unique
class Speaks(Enum):
    """What came back."""

    ZVT = "ZVT"
    OTHER = "something else"
    """It answers, but in another language: see `ZvtFindings.sentence`."""
    SILENT = "nothing"
    HANGS_UP = "nothing, it hangs up"


@dataclass(frozen=True, slots=True, kw_only=True)
class ZvtRegistration:
    """What came of the registration."""

    refused: int | None = None
    """The code of 84 xx or 06 1E; None if it was taken."""
    status_bits: int = 0
    """01 initialisation needed, 02 diagnosis needed, 04 OPT needed. Source: fact sheet 2.7."""
    currency_number: int | None = None
    width: int | None = None
    apdu_max: int | None = None
    commands: tuple[int, ...] = ()
    """What the terminal says it can (tag 26)."""
    charset: str = ""
    numbered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ZvtFindings:
    """What a probe found. Everything may be missing: terminals differ."""

    speaks: Speaks
    sentence: str = ""
    """For people: what was found, in one sentence."""
    software: str = ""
    status: int | None = None
    """Table 5.2; 00 is ready."""
    refused: int | None = None
    """The code of the 84 xx or 06 1E to the status enquiry, if there was no other answer."""
    terminal_id: str = ""
    device: str = ""
    device_software: str = ""
    serial_number: str = ""
    device_state: int | None = None
    """00 ready, 01 initialisation needed, 02 no keys, 03 tampered with."""
    locks: bytes = b""
    """Tag 1F55: what locks the terminal."""
    rebooted: bool = False
    card_in_field: bool | None = None
    next_reboot: str = ""
    """YYYYMMDD and HHMMSS, the terminal's time."""
    answer_s: float | None = None
    """Until the first byte came."""
    done_s: float | None = None
    """Until the enquiry was over."""
    closes_after_s: float | None = None
    """It hung up so long after the last message; None: it did not while we waited."""
    results: int = 0
    """Results (04 0F) of something else that came meanwhile: somebody is paying, or a job of its own ran."""
    receipts: tuple[Receipt, ...] = ()
    """What came meanwhile for the printer: nobody else will get it."""
    registration: ZvtRegistration | None = None
    profile: str = STANDARD.name
    """The profile that suits best."""
    advice: tuple[str, ...] = ()

    @property
    def can_pay(self) -> bool:
        """It speaks ZVT, and its status forbids no payment."""
        if self.speaks is not Speaks.ZVT or self.done_s is None or self.refused is not None:
            return False
        return self.status is None or status_row(self.status).can_pay

    @property
    def params(self) -> dict[str, str]:
        """What its address should say besides host and port."""
        found = {} if self.profile == STANDARD.name else {"profile": self.profile}
        if self.closes_after_s is not None and profiles()[self.profile].connection == "keep":
            found["connection"] = "each"
        return found


# -- what is no ZVT

_FOREIGN: Final[tuple[tuple[re.Pattern[bytes], str], ...]] = (
    (re.compile(rb"\x15\x03[\x00-\x04]|\x16\x03[\x00-\x04]"),
     "it wants an encrypted connection (TLS): add ?tls=yes, or use the port without TLS"),
    (re.compile(rb"\x06?\x10\x02"),
     "it puts ZVT into serial frames: a serial line behind a network adapter, which zvt+tcp does not speak"),
    (re.compile(rb"\x15"),
     "it answers 15 (not understood): this port speaks another protocol, such as O.P.I. or a serial one"),
    (re.compile(rb"\x00\x00[\x00-\xff]{2}"),
     "it sends messages with a length in four bytes: this port speaks another protocol, such as O.P.I."),
    (re.compile(rb"\s*[{\[]"), "it speaks JSON: try it as a KIT terminal, kit+tcp://HOST:PORT"),
    (re.compile(rb"HTTP|\s*<"), "it is a web server, or speaks XML"),
    (re.compile(rb"SSH-"), "it is a computer that offers SSH"),
    (re.compile(rb"[\x20-\x7e\r\n]{4}"), "it greets with text: no payment terminal does"),
)  # fmt: skip
"""How other protocols begin, and what to say. Source: fact sheet 8, row Ingenico (`15`, leading 00 00 00 nn); 1.2, 1.3;
RFC 8446 5.1 (TLS records), RFC 9112 4 (HTTP), RFC 4253 4.2 (SSH)."""

_HEAD_BYTES: Final = 4
_ANSWERS: Final = frozenset({0x80, 0x84})
_FROM_TERMINALS: Final = frozenset(code for code, row in COMMANDS.items() if row.direction is not Direction.TO_TERMINAL)
_TOO_SHORT_TO_TELL: Final = frozenset((0x00, 0x04, 0x06, 0x0A, 0x0D, 0x10, 0x16, *range(0x20, 0x7F), *_ANSWERS))


def foreign_language(head: bytes) -> str:
    """Why the first bytes of an answer are no ZVT; empty while they may be some."""
    if len(head) >= 2 and (head[0] in _ANSWERS or int.from_bytes(head[:2], "big") in _FROM_TERMINALS):
        return ""
    for pattern, sentence in _FOREIGN:
        if pattern.match(head):
            return sentence
    if len(head) < _HEAD_BYTES and (not head or head[0] in _TOO_SHORT_TO_TELL):
        return ""
    return f"what it answers begins with {head[:_HEAD_BYTES].hex(' ').upper()}, which is no ZVT"


# -- which device it is

_NAMES: Final[tuple[tuple[str, str], ...]] = (
    (r"opm-?c60|opp-?c60", "ccv-opm"),
    (r"cvend|\bfeig", "feig-cvend"),
    (r"card\s*complete", "card-complete"),
    (r"hobex", "hobex"),
    (r"valina", "worldline-valina"),
    (r"senvend", "senvend"),
    (r"lavego|secpos", "unattended-psp"),
    (r"clover", "clover"),
    (r"paytec", "paytec"),
    (r"\ba80\b", "pax-a80"),
    (r"\bccv\b|\ba920|\bim30", "ccv"),
    (r"verifone|\bh5000|vx\s?820", "verifone"),
    (r"ingenico|move[\s/-]?5000|\bdesk[\s/-]?\d{4}|\bi[cp][tp]\d{3}|\bict\b|\bipp\b", "ingenico"),
)
"""What a device or its software calls itself, and the profile of that. Source: the names of fact sheet 8."""
_PORTS: Final = {22000: "feig-cvend", 22001: "feig-cvend"}
"""Ports of one maker only. Source: fact sheet 1.2."""


def propose_profile(*, device: str = "", software: str = "", port: int | None = None) -> str:
    """The profile for what a terminal tells of itself; `standard` if nothing is known of it."""
    for text in (device.casefold(), software.casefold()):
        for pattern, name in _NAMES:
            if text and re.search(pattern, text):
                return name
    return _PORTS.get(port, STANDARD.name) if port is not None else STANDARD.name


# -- asking


async def probe_zvt(
    stream: ByteStream,
    *,
    clock: Clock,
    profile: Profile = STANDARD,
    port: int | None = None,
    register: bool = False,
    currency_number: int = 978,
    linger_s: float = LINGER_S,
    trace: TraceSink | None = None,
    serial: SerialLink | None = None,
) -> ZvtFindings:
    """Ask who is there. Closes the stream. Raises nothing that the peer could cause.

    Args:
        profile: password, time-outs, character set and the registration.
        port: where it was found; hints at the maker.
        register: also register (06 00): from then on the terminal may take no payments that are typed in by hand.
        currency_number: ISO 4217, for the registration.
        linger_s: how long to watch whether the terminal hangs up; 0 for not at all.
        trace: is told of every APDU.
        serial: the frames of a serial line; None for TCP.
    """
    conversation = _Conversation(stream, clock, profile, trace, serial)
    try:
        found = await conversation.enquire()
        if found.speaks is Speaks.ZVT:
            if register and conversation.stands and found.done_s is not None:
                found = replace(found, registration=await conversation.register(currency_number))
            if found.done_s is not None:
                found = replace(found, closes_after_s=await conversation.linger(linger_s))
            results, receipts = conversation.overheard()
            found = _proposed(replace(found, results=results, receipts=receipts), port)
        return replace(found, sentence=found.sentence or _sentence(found))
    finally:
        await conversation.close()


class _NotZvt(Exception):
    def __init__(self, speaks: Speaks, sentence: str) -> None:
        super().__init__(sentence)
        self.speaks = speaks
        self.sentence = sentence


class _Conversation:
    """The register's side over a stream, one command after the other."""

    def __init__(
        self, stream: ByteStream, clock: Clock, profile: Profile, trace: TraceSink | None, serial: SerialLink | None
    ) -> None:
        self.stands = True
        self._stream = stream
        self._clock = clock
        self._profile = profile
        self._side = RegisterSide(timers=profile.timers, charset=BY_NAME[profile.charset])
        self._side.link_up()
        self._is_serial = serial is not None
        link: Link = serial if serial is not None else PlainLink(profile.timers.t3_s)
        self._link: Link | Tap = link
        self._problem: Callable[[], object] = link.problem
        self._trace = trace
        self._number = 0
        if trace is not None:
            from zahlwerk.interfaces.zvt.tap import Tap

            self._number = trace.new_link()
            trace.opened(self._number, protocol="zvt", local=stream.local, peer=stream.peer)
            self._link = Tap(link, trace, self._number, lambda: self._side.command)
        self._results = 0
        self._receipts: list[Receipt] = []
        self._collector = ReceiptCollector(STATUS_ENQUIRY)
        self._head = b""
        self._first_s: float | None = None
        self._why = "the probe is over"

    async def enquire(self) -> ZvtFindings:
        """05 01 with all that it can tell; once more in its shortest form if that was not understood."""
        start_s = self._clock.now_s()
        full = Message(
            code=STATUS_ENQUIRY, head={"password": self._profile.password}, fields={0x03: TELL_ALL}, tlv=()
        )  # fmt: skip
        try:
            end = await self._run(full)
            if _code_of(end) in NOT_UNDERSTOOD and self.stands:
                end = await self._run(Message(code=STATUS_ENQUIRY))
        except _NotZvt as other:
            return ZvtFindings(speaks=other.speaks, sentence=other.sentence, answer_s=self._since(start_s))
        now_s = self._clock.now_s()
        return replace(_status(end), answer_s=self._since(start_s), done_s=now_s - start_s)

    async def register(self, currency_number: int) -> ZvtRegistration:
        """06 00 as the profile has it."""
        try:
            end = await self._run(registration_for(self._profile, currency_number=currency_number))
        except _NotZvt:
            return ZvtRegistration(refused=0xA1)
        if (code := _code_of(end)) is not None:
            return ZvtRegistration(refused=code)
        agreed = self._side.registration
        return ZvtRegistration(
            status_bits=agreed.status_bits,
            currency_number=agreed.currency_number,
            width=agreed.columns,
            apdu_max=agreed.apdu_max,
            commands=tuple(sorted(agreed.commands)),
            charset=agreed.charset.name,
            numbered=agreed.numbered,
        )

    async def linger(self, seconds: float) -> float | None:
        """How long after the last message the terminal hung up; None if it did not."""
        start_s = self._clock.now_s()
        while self.stands and self._clock.now_s() < start_s + seconds:
            await self._turn(start_s + seconds)
            self._drain()
        return None if self.stands else self._clock.now_s() - start_s

    def overheard(self) -> tuple[int, tuple[Receipt, ...]]:
        """How many results, and which receipts, came besides the answers."""
        return self._results, (*self._receipts, *self._collector.finish())

    async def close(self) -> None:
        """Hang up. Raises nothing."""
        await self._stream.close()
        if self._trace is not None:
            self._trace.closed(self._number, why=self._why)

    # -- inside

    async def _run(self, message: Message) -> Finished | Refused:
        start_s = self._clock.now_s()
        self._side.start(message, now_s=start_s, master_s=MASTER_S)
        while self._clock.now_s() < start_s + JOB_S:
            await self._turn(start_s + JOB_S)
            if (end := self._drain()) is not None:
                await self._flush()
                return end
            if not self.stands:
                raise self._gone()
        raise _NotZvt(Speaks.ZVT, "it speaks ZVT, but is busy with something of its own: try again later")

    def _drain(self) -> Finished | Refused | None:
        end: Finished | Refused | None = None
        for event in self._side.events_received():
            match event:
                case Finished() | Refused():
                    end = event
                case Printed(message):
                    self._receipts += self._collector.feed(message)
                case Told(message) | Unsolicited(message):
                    if message.code == STATUS_INFORMATION:
                        self._results += 1
                    self._receipts += self._collector.feed(message)
                case Expired(_, phase, waited_s):
                    self._why = "the terminal is silent"
                    raise self._silent(phase, waited_s)
                case Unreadable(problem):
                    raise _NotZvt(Speaks.OTHER, f"what it answers is no ZVT: {problem.reason}")
                case _:
                    pass
        if self._problem() is not None:
            raise self._cut_short()
        return end

    async def _turn(self, until_s: float) -> None:
        """Send what is due, take what comes, notice that time has passed."""
        await self._flush()
        deadlines = (until_s, self._side.deadline_s(), self._link.deadline_s())
        data = await self._receive(min(each for each in deadlines if each is not None))
        now_s = self._clock.now_s()
        if data:
            if self._first_s is None:
                self._first_s = now_s
            if not self._is_serial:
                self._look_at(data)
            for apdu in self._link.receive_data(data, now_s=now_s):
                if self._is_serial:
                    self._look_at(apdu)
                self._side.receive_data(apdu, now_s=now_s)
        self._link.handle_deadline(now_s=now_s)
        self._side.handle_deadline(now_s=now_s)
        await self._flush()

    def _look_at(self, data: bytes) -> None:
        if len(self._head) < _HEAD_BYTES:
            self._head = (self._head + data)[:_HEAD_BYTES]
            if foreign := foreign_language(self._head):
                self._why = "the peer speaks another protocol"
                raise _NotZvt(Speaks.OTHER, foreign)

    async def _receive(self, until_s: float) -> bytes:
        """What comes by then; empty if nothing does, or the peer hung up."""
        receiving = asyncio.ensure_future(self._stream.receive())
        waiting = asyncio.ensure_future(self._clock.sleep_until(until_s))
        try:
            await asyncio.wait({receiving, waiting}, return_when=asyncio.FIRST_COMPLETED)
            return receiving.result() if receiving.done() else b""
        except StreamEnded as ended:
            self._ended(ended)
            return b""
        finally:
            for task in (receiving, waiting):
                task.cancel()
            await asyncio.gather(receiving, waiting, return_exceptions=True)

    async def _flush(self) -> None:
        for apdu in self._side.data_to_send():
            self._link.send(apdu, now_s=self._clock.now_s())
        for data in self._link.data_to_send():
            try:
                await self._stream.send(data)
            except StreamEnded as ended:
                self._ended(ended)

    def _ended(self, ended: StreamEnded) -> None:
        self.stands = False
        self._why = ended.reason

    def _since(self, start_s: float) -> float | None:
        return None if self._first_s is None else self._first_s - start_s

    # -- why there is no answer

    def _gone(self) -> _NotZvt:
        if not self._head:
            return _NotZvt(
                Speaks.HANGS_UP,
                "it takes the connection and hangs up without a word: another register may be connected, "
                "or it is no ZVT",
            )
        if len(self._head) < _HEAD_BYTES and self._side.phase is Phase.WAIT_ACK:
            return self._cut_short()
        return _NotZvt(Speaks.ZVT, "it speaks ZVT, but hung up during the status enquiry: try again in a minute")

    def _silent(self, phase: Phase, waited_s: float) -> _NotZvt:
        if self._head and phase is Phase.WAIT_ACK:
            return self._cut_short()
        if self._head:
            return _NotZvt(
                Speaks.ZVT, f"it speaks ZVT, but left the status enquiry open for {waited_s:g} s: is it busy?"
            )
        if self._is_serial:
            return self._silent_line(waited_s)
        return _NotZvt(
            Speaks.SILENT,
            f"it takes the connection and says nothing for {waited_s:g} s: another register may be connected, "
            "or it is no ZVT",
        )

    def _silent_line(self, waited_s: float) -> _NotZvt:
        if self._first_s is not None:
            return _NotZvt(
                Speaks.OTHER, "what comes down the line are no ZVT frames: another speed (?baud=115200) or protocol"
            )
        return _NotZvt(
            Speaks.SILENT,
            f"nothing comes down the line for {waited_s:g} s: check the cable (crossed?), the speed (?baud=115200) and "
            "that ZVT over the serial line is switched on",
        )

    def _cut_short(self) -> _NotZvt:
        if not self._head:
            return self._silent_line(0.0)
        begin = self._head.hex(" ").upper()
        return _NotZvt(Speaks.OTHER, f"what it answers begins with {begin} and never ends: it is no ZVT")


# -- reading the answers


def _code_of(end: Finished | Refused) -> int | None:
    """The code of a refusal or an abort; None for a success."""
    if isinstance(end, Refused):
        return end.answer.head_number("result") or end.answer.code & 0xFF
    if end.is_success:
        return None
    code = end.message.head_number("result")
    return 0xFF if code is None else code


def _status(end: Finished | Refused) -> ZvtFindings:
    message = end.message if isinstance(end, Finished) else end.answer
    locks = message.tag(0x1F55)
    card = message.tag_number(0x1F72)
    reboot = find(message.tlv or (), 0x35)
    inside = Message(code=message.code, tlv=reboot.children if reboot is not None else ())
    moment = " ".join(str(part) for part in (inside.tag(0x1F0E), inside.tag(0x1F0F)) if part is not None)
    return ZvtFindings(
        speaks=Speaks.ZVT,
        software=_plain(message.head_text("software")),
        status=message.head_number("status"),
        refused=_code_of(end),
        terminal_id=_plain(message.tag_text(0x1F44) or message.text(0x29)),
        device=_plain(message.tag_text(0x1F40)),
        device_software=_plain(message.tag_text(0x1F41)),
        serial_number=_plain(str(message.tag(0x1F42) or "")),
        device_state=message.tag_number(0x1F43),
        locks=locks if isinstance(locks, bytes) else _bits(locks),
        rebooted=message.tag_number(0x1F79) == 1,
        card_in_field=None if card is None else card == 1,
        next_reboot=moment,
    )


def _bits(value: object) -> bytes:
    return value.to_bytes(max(2, (value.bit_length() + 7) // 8), "little") if isinstance(value, int) else b""


def _plain(text: str) -> str:
    return redact("".join(character if character.isprintable() else " " for character in text)).strip()


def _proposed(found: ZvtFindings, port: int | None) -> ZvtFindings:
    software = " ".join((found.software, found.device_software))
    found = replace(found, profile=propose_profile(device=found.device, software=software, port=port))
    return replace(found, advice=tuple(_advice(found)))


def _sentence(found: ZvtFindings) -> str:
    software = found.software or found.device_software
    told = not software.casefold().startswith(found.device.casefold())
    name = " ".join(part for part in (found.device if told else "", software) if part)
    who = f"a ZVT terminal ({name})" if name else "a ZVT terminal"
    if found.refused == 0x83:
        return f"{who} that understands no command: ZVT may be switched off in its settings"
    if found.refused is not None:
        return f"{who} that refuses to tell its status: {result_row(found.refused).staff.en} (ZVT {found.refused:02X})"
    if found.status is None:
        return who
    row = status_row(found.status)
    return f"{who}, status {found.status:02X}: {row.text.en}"


def _advice(found: ZvtFindings) -> list[str]:
    advice: list[str] = []
    code = found.refused if found.refused is not None else found.status
    if code:
        row = status_row(code)
        if row.remedy.en:
            advice.append(row.remedy.en)
    if found.device_state:
        advice.append(f"its state is {_STATES.get(found.device_state, f'{found.device_state:02X}')}")
    if found.profile != STANDARD.name:
        advice.append(f"use the profile {found.profile} ({profiles()[found.profile].title})")
    if found.closes_after_s is not None:
        advice.append(
            f"it hung up {found.closes_after_s:.1f} s after the last message: make a connection for each command"
        )
    if found.rebooted:
        advice.append("it has restarted and wants to be registered, which `zahlwerk pay` does")
    if found.results:
        advice.append("a result came meanwhile: look at the terminal for a payment that no till knows")
    if found.receipts:
        advice.append("it printed something meanwhile: keep it, the terminal will not send it again")
    registered = found.registration
    if registered is not None and registered.refused is not None:
        advice.append(
            f"it refused the registration: {result_row(registered.refused).staff.en} (ZVT {registered.refused:02X})"
        )
    elif registered is not None:
        advice += [words for bit, words in _NEEDS if registered.status_bits & bit]
    return advice


_STATES: Final = {1: "initialisation needed", 2: "no keys", 3: "tampered with: call the service"}
"""Tag 1F43. Source: fact sheet 4.2."""
_NEEDS: Final = (
    (0x01, "it needs an initialisation, which `zahlwerk pay` runs"),
    (0x02, "it needs a diagnosis, which `zahlwerk pay` runs"),
    (0x04, "it needs its keys personalised (OPT): ask the service"),
)
"""Status bits of the registration. Source: fact sheet 2.7."""
