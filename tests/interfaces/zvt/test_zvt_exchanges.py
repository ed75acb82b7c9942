"""The worked exchanges of the ZVT fact sheet, 7.1 to 7.13, whole: the register's side says what ECR says in answer to
what PT says, and the terminal's side the other way round, byte for byte, plain answers included."""

from __future__ import annotations

import pytest
from tests.interfaces.zvt.zvt_examples import EXAMPLES, LONG_BLOCK, at

from zahlwerk.interfaces.zvt.codec import decode
from zahlwerk.interfaces.zvt.dictionary import COMMANDS, Ending
from zahlwerk.interfaces.zvt.messages import Message
from zahlwerk.interfaces.zvt.register import Asked, Finished, Phase, Refused, RegisterSide
from zahlwerk.interfaces.zvt.serial_frames import Frame, FrameDecoder, encode_frame
from zahlwerk.interfaces.zvt.terminal import AbortWanted, Answered, TerminalSide, Turn, Wanted

OK = bytes.fromhex("80 00 00")
DONE = bytes.fromhex("06 0F 00")
STATUS_INFORMATION = 0x040F
SEQUENCE = 0x1F73
REGISTER, TERMINAL = "ECR", "PT"
Line = tuple[str, bytes]


def procedure(command: bytes, *said: bytes, end: bytes = DONE) -> list[Line]:
    """A command, what the terminal says in its course, and the plain answers of both."""
    lines = [(REGISTER, command), (TERMINAL, OK)]
    for apdu in (*said, end):
        lines += [(TERMINAL, apdu), (REGISTER, OK)]
    return lines


def direct(command: bytes, answer: bytes = OK) -> list[Line]:
    return [(REGISTER, command), (TERMINAL, answer)]


def answered(lines: list[Line], apdu: bytes, answer: bytes) -> list[Line]:
    """The same with another answer to one message."""
    place = lines.index((TERMINAL, apdu)) + 1
    return [*lines[:place], (REGISTER, answer), *lines[place + 1 :]]


PAYMENT = at("7.2", "06 01")
APPROVED = at("7.2", "04 0F")
CARD, HOST = at("7.2", "04 FF 13"), at("7.2", "04 FF 02")
ABORT, CANCELLED, ABORTED = at("7.4", "06 B0"), at("7.4", "04 0F"), at("7.4", "06 1E 01")
REGISTRATION = procedure(at("7.1", "06 00"), end=at("7.1", "06 0F"))
VENDING = at("7.13", "06 01 10")
# 7.13 shows the first messages; the end follows from 6.11: a response repeats its number, the terminal counts on.
NUMBERED = [
    *procedure(at("7.13", "06 00"), end=bytes.fromhex("06 0F 0A 19 00 06 06 1F 73 03 00 00 01")),
    (REGISTER, at("7.13", "06 01 12")),
    (TERMINAL, at("7.13", "80 00 08 06 06 1F 73 03 00 00 01")),
    (TERMINAL, at("7.13", "04 FF 0A")),
    (REGISTER, at("7.13", "80 00 08 06 06 1F 73 03 00 00 02")),
    (TERMINAL, bytes.fromhex("06 0F 08 06 06 1F 73 03 00 00 03")),
    (REGISTER, bytes.fromhex("80 00 08 06 06 1F 73 03 00 00 03")),
]
EXCHANGES: dict[str, list[Line]] = {
    "7.1 registration": REGISTRATION,
    "7.1 wrong currency": direct(at("7.1", "06 00"), at("7.1", "84 1E")),
    "7.2 payment": REGISTRATION + procedure(PAYMENT, CARD, HOST, APPROVED, at("7.2", "06 D3")),
    "7.3 declined": REGISTRATION + procedure(PAYMENT, at("7.3", "04 0F"), end=at("7.3", "06 1E")),
    "7.4 aborted": [
        *REGISTRATION, *procedure(PAYMENT, CARD)[:-2], (REGISTER, ABORT), (TERMINAL, OK),
        (TERMINAL, CANCELLED), (REGISTER, OK), (TERMINAL, ABORTED), (REGISTER, OK),
    ],
    "7.4 abort with details": REGISTRATION + procedure(PAYMENT, end=at("7.4", "06 1E 17")),
    "7.4 too late": [
        *REGISTRATION, *procedure(PAYMENT, HOST)[:-2], (REGISTER, ABORT), (TERMINAL, at("7.4", "84 83")),
        (TERMINAL, APPROVED), (REGISTER, OK), (TERMINAL, DONE), (REGISTER, OK),
    ],
    "7.5 end of day": REGISTRATION + procedure(at("7.5", "06 50"), at("7.5", "04 0F")),
    "7.6 reservation": REGISTRATION + procedure(at("7.6", "06 22"), at("7.6", "04 0F")),
    "7.6 unused part": REGISTRATION + procedure(at("7.6", "06 23 0D"), at("7.6", "04 0F")),
    "7.6 used part": REGISTRATION + procedure(at("7.6", "06 24"), at("7.6", "04 0F")),
    "7.6 nothing taken": REGISTRATION + procedure(at("7.6", "06 25")),
    "7.6 which are open": REGISTRATION + procedure(at("7.6", "06 23 03"), end=at("7.6", "06 1E 04")),
    "7.6 which are open, by TLV": REGISTRATION + procedure(at("7.6", "06 23 03"), end=at("7.6", "06 1E 0D")),
    "7.7 reversal": REGISTRATION + procedure(at("7.7", "06 30"), at("7.7", "04 0F")),
    "7.7 refund": REGISTRATION + procedure(at("7.7", "06 31"), APPROVED),
    "7.8 printed lines": REGISTRATION + procedure(
        PAYMENT, *(one.apdu for one in EXAMPLES if one.chapter == "7.8"), APPROVED
    ),
    "7.9 and 7.10 text blocks": REGISTRATION + procedure(
        PAYMENT, LONG_BLOCK, *(one.apdu for one in EXAMPLES if one.chapter == "7.10"), APPROVED
    ),
    "7.11 status": procedure(at("7.11", "05 01 00"), end=at("7.11", "06 0F 01 00")),
    "7.11 status with TLV": REGISTRATION + procedure(at("7.11", "05 01 05"), end=at("7.11", "06 0F 28")),
    "7.11 diagnosis needed": procedure(at("7.11", "05 01 00"), end=at("7.11", "06 0F 01 C2")),
    "7.12 diagnosis": REGISTRATION + procedure(at("7.12", "06 70"), at("7.12", "04 01")),
    "7.12 set the clock": REGISTRATION + procedure(at("7.12", "06 91")),
    "7.12 repeat receipt": REGISTRATION + procedure(at("7.12", "06 20"), APPROVED),
    "7.13 vending, ask again": [
        *REGISTRATION, *answered(procedure(VENDING, APPROVED), APPROVED, at("7.13", "84 9C"))[:-2],
        (TERMINAL, APPROVED), (REGISTER, OK), (TERMINAL, DONE), (REGISTER, OK),
    ],
    "7.13 vending, in part": REGISTRATION + answered(
        procedure(VENDING, APPROVED), APPROVED, at("7.13", "84 9D")
    ),
    "7.13 vending, no goods": REGISTRATION + answered(
        procedure(VENDING, APPROVED, end=ABORTED), APPROVED, at("7.13", "84 66")
    ),
    "7.13 synchronised": REGISTRATION + procedure(at("7.13", "06 01 11"), APPROVED),
    "7.13 nothing accepted yet": REGISTRATION + procedure(at("7.13", "06 01 0F"), APPROVED),
    "7.13 read a card": REGISTRATION + procedure(at("7.13", "06 C0"), end=at("7.13", "04 0F 1F")),
    "7.13 display text": REGISTRATION + direct(at("7.13", "06 E0")),
    "7.13 input": REGISTRATION + answered(
        procedure(PAYMENT, at("7.13", "04 0D"), APPROVED), at("7.13", "04 0D"), at("7.13", "80 00 0A")
    ),
    "7.13 menu": REGISTRATION + answered(
        procedure(PAYMENT, at("7.13", "04 0E"), APPROVED), at("7.13", "04 0E"), at("7.13", "80 00 05")
    ),
    "7.13 sequence ids": NUMBERED,
}  # fmt: skip
# A track is starred by the codec and cannot be written again: the terminal's side has none to send.
WITH_TRACKS = {"7.13 read a card"}


def own(message: Message) -> Message:
    """Without the number: the sides put it in by themselves."""
    if message.code == 0x0600 or message.tlv is None or message.tag(SEQUENCE) is None:
        return message
    tlv = tuple(tlv for tlv in message.tlv if tlv.tag != SEQUENCE) or None
    return Message(code=message.code, head=message.head, fields=message.fields, more=message.more, tlv=tlv)


class TheRegister:
    """The register's side, told what to do by the lines of ECR."""

    def __init__(self) -> None:
        self.side = RegisterSide()
        self.side.link_up()
        self.asked: Message | None = None

    def hear(self, apdu: bytes) -> None:
        self.side.receive_data(apdu, now_s=1.0)
        for event in self.side.events_received():
            if isinstance(event, Asked):
                self.asked = event.message

    def say(self, apdu: bytes) -> list[bytes]:
        message = decode(apdu, answers=self.asked.code if self.asked is not None else 0)
        if message.is_answer:
            if self.asked is not None:
                assert self.side.reply(own(message), now_s=1.0)
            self.asked = None
        elif apdu == ABORT:
            self.side.abort(now_s=1.0)
        else:
            self.side.start(own(message), now_s=1.0, holds_results=True)
        return self.side.data_to_send()


class TheTerminal:
    """The terminal's side, told what to do by the lines of PT."""

    def __init__(self) -> None:
        self.side = TerminalSide()
        self.side.link_up()
        self.wanted: Message | None = None
        self.heard: list[object] = []

    def hear(self, apdu: bytes, *, can_abort: bool = True) -> None:
        self.side.can_abort = can_abort
        self.side.receive_data(apdu, now_s=1.0)
        self.heard = list(self.side.events_received())
        for event in self.heard:
            if isinstance(event, Wanted):
                self.wanted = event.message

    def say(self, apdu: bytes) -> list[bytes]:
        message = own(decode(apdu, answers=self.side.command))
        if message.is_answer:
            self._answer(message)
        elif message.code == STATUS_INFORMATION and not self._is_asked_again():
            self.side.show_result(message, now_s=1.0)
        elif message.code != STATUS_INFORMATION:
            self.side.send(message, now_s=1.0)
        if self.wanted is not None and self.wanted.code == 0x0600 and message.code == 0x060F:
            self.side.start_numbering()
        return self.side.data_to_send()

    def _is_asked_again(self) -> bool:
        if self.side.is_idle:
            return False
        self.side.handle_deadline(now_s=3.0)
        return True

    def _answer(self, message: Message) -> None:
        wanted = self.wanted
        if any(isinstance(event, AbortWanted) for event in self.heard) or self.side.turn is not Turn.ANSWERING:
            return  # 06 B0 is answered by the side itself
        assert wanted is not None
        if not message.is_positive:
            self.side.refuse(message.code & 0xFF, now_s=1.0, head=dict(message.head))
        elif COMMANDS[wanted.code].ending is Ending.DIRECT:
            self.side.reply(message, now_s=1.0)
        else:
            self.side.accept(now_s=1.0)
            if wanted.code == 0x0600:
                self.side.registered.read(wanted)


@pytest.mark.parametrize("name", EXCHANGES)
def test_the_register_says_what_the_fact_sheet_says(name: str) -> None:
    register = TheRegister()
    for place, (sender, apdu) in enumerate(EXCHANGES[name]):
        if sender == TERMINAL:
            register.hear(apdu)
        else:
            assert register.say(apdu) == [apdu], f"line {place}: {apdu.hex(' ')}"
    assert register.side.data_to_send() == []
    assert register.side.phase is Phase.IDLE


@pytest.mark.parametrize("name", [name for name in EXCHANGES if name not in WITH_TRACKS])
def test_the_terminal_says_what_the_fact_sheet_says(name: str) -> None:
    terminal, lines = TheTerminal(), EXCHANGES[name]
    for place, (sender, apdu) in enumerate(lines):
        if sender == REGISTER:
            refused_next = lines[place + 1 : place + 2] == [(TERMINAL, at("7.4", "84 83"))]
            terminal.hear(apdu, can_abort=not refused_next)
        else:
            assert terminal.say(apdu) == [apdu], f"line {place}: {apdu.hex(' ')}"
    assert terminal.side.data_to_send() == []
    assert terminal.side.turn is Turn.REST


def test_the_answers_to_a_result_reach_the_terminal() -> None:
    """7.13: asked again, part of the goods, no goods."""
    for name, answer in (("7.13 vending, in part", "84 9D"), ("7.13 vending, no goods", "84 66")):
        terminal = TheTerminal()
        decisions: list[int] = []
        for sender, apdu in EXCHANGES[name]:
            if sender == REGISTER:
                terminal.hear(apdu)
                decisions += [event.answer.code for event in terminal.heard
                              if isinstance(event, Answered) and event.answer is not None]  # fmt: skip
            else:
                terminal.say(apdu)
        assert decisions == [int(answer.replace(" ", ""), 16)]


def test_a_wrong_currency_ends_the_registration() -> None:
    register = TheRegister()
    register.say(at("7.1", "06 00"))
    register.side.receive_data(at("7.1", "84 1E"), now_s=1.0)
    (event,) = register.side.events_received()
    assert isinstance(event, Refused)
    assert event.answer.head == {"result": 0x6F, "currency": 978}


def test_a_card_that_was_read_ends_the_reading() -> None:
    register = TheRegister()
    register.say(at("7.13", "06 C0"))
    register.hear(OK)
    register.side.receive_data(at("7.13", "04 0F 1F"), now_s=1.0)
    assert any(isinstance(event, Finished) for event in register.side.events_received())
    assert register.side.data_to_send() == [OK]


def test_a_terminal_whose_card_data_was_acknowledged_is_at_rest_and_shows_no_sign_of_life() -> None:
    """2.1, class C: the answer to 04 0F gives the turn back."""
    terminal = TheTerminal()
    for apdu in (at("7.1", "06 00"), at("7.13", "06 C0")):
        terminal.side.turn = Turn.REST
        terminal.hear(apdu)
        assert terminal.say(OK) == [OK]
    data = bytes.fromhex("04 0F 0C 27 00 06 08 62 06 60 04 41 02 01 05")
    assert terminal.say(data) == [data]
    terminal.hear(OK)
    assert terminal.side.turn is Turn.REST
    assert terminal.side.deadline_s() is None


def test_every_example_is_part_of_an_exchange() -> None:
    said = {apdu for lines in EXCHANGES.values() for _, apdu in lines}
    assert {one.apdu for one in EXAMPLES} - said == set()


FRAMES = {
    "06 01 0A 04 00 00 00 00 10 10 49 09 78": "10 02 06 01 0A 04 00 00 00 00 10 10 10 10 49 09 78 10 03 67 D4",
    "06 00 15 00 00 00 BE 09 78 06 0D 12 01 42 1A 02 04 00 26 04 0A 02 06 D3":
        "10 02 06 00 15 00 00 00 BE 09 78 06 0D 12 01 42 1A 02 04 00 26 04 0A 02 06 D3 10 03 DF CB",
    "06 01 0E 04 00 00 00 00 12 50 49 09 78 19 40 06 00":
        "10 02 06 01 0E 04 00 00 00 00 12 50 49 09 78 19 40 06 00 10 03 F9 BE",
    "05 01 00": "10 02 05 01 00 10 03 10 06", "80 00 00": "10 02 80 00 00 10 03 F5 1F",
    "84 00 00": "10 02 84 00 00 10 03 19 6D", "84 9C 00": "10 02 84 9C 00 10 03 C3 41",
    "84 83 00": "10 02 84 83 00 10 03 91 8E", "84 66 00": "10 02 84 66 00 10 03 8D BE",
    "84 A0 00": "10 02 84 A0 00 10 03 CE 62", "84 CC 00": "10 02 84 CC 00 10 03 20 C2",
    "06 0F 00": "10 02 06 0F 00 10 03 C6 33", "06 02 00": "10 02 06 02 00 10 03 B9 CC",
    "06 B0 00": "10 02 06 B0 00 10 03 43 F3", "06 1E 01 6C": "10 02 06 1E 01 6C 10 03 C9 F2",
}  # fmt: skip


@pytest.mark.parametrize("apdu", FRAMES)
def test_frames_of_7_14(apdu: str) -> None:
    wire = bytes.fromhex(FRAMES[apdu])
    assert encode_frame(bytes.fromhex(apdu)) == wire
    assert FrameDecoder().feed(wire) == [Frame(bytes.fromhex(apdu))]
