"""The register's side of a conversation, row by row. Source: ZVT fact sheet 6.1 (state table), 2.1 (classes), 6.2, 9."""

from __future__ import annotations

import pytest
from tests.interfaces.zvt.zvt_examples import EXAMPLES, at

from zahlwerk.errors import LocalProtocolError, RemoteProtocolError
from zahlwerk.interfaces.zvt.charsets import CP437, LATIN_1, UTF_8
from zahlwerk.interfaces.zvt.codec import decode
from zahlwerk.interfaces.zvt.dictionary import COMMANDS, Direction, Ending
from zahlwerk.interfaces.zvt.messages import Message, Value, answer
from zahlwerk.interfaces.zvt.register import (
    Accepted,
    Asked,
    Expired,
    Finished,
    Phase,
    Printed,
    Refused,
    RegisterSide,
    Told,
    Unsolicited,
)
from zahlwerk.interfaces.zvt.terminal import TerminalSide, Turn, Wanted
from zahlwerk.interfaces.zvt.timers import TIMERS

OK = "80 00 00"
STATE, LINE, BLOCK, RESULT = "04 FF 01 0A", "06 D1 02 00 41", "06 D3 03 06 01 00", "04 0F 02 27 00"
DONE, ABORTED, CLOCK = "06 0F 00", "06 1E 01 6C", "04 01 08 AA 26 03 18 0C 14 23 07"
INPUT, MENU, PICTURE, LIST = "04 0D 00", "04 0E 00", "06 D0 00", "06 E4 00"
UNKNOWN = "0F A1 00"
PROCEDURES = [row for row in COMMANDS.values() if row.ending is Ending.PROCEDURE]
DIRECT = [row for row in COMMANDS.values() if row.ending is Ending.DIRECT]


def side(phase: Phase, command: int = 0x0601) -> RegisterSide:
    """A register's side in a phase, with nothing left to send or tell."""
    made = RegisterSide()
    if phase is not Phase.DOWN:
        made.link_up()
    if phase in {Phase.WAIT_ACK, Phase.MASTER}:
        made.start(Message(code=command, head=head_of(command)), now_s=0.0, holds_results=True)
    if phase is Phase.MASTER:
        made.receive_data(bytes.fromhex(OK), now_s=0.0)
    if phase is Phase.LOCAL:
        made.receive_data(bytes.fromhex(STATE), now_s=0.0)
    made.data_to_send()
    made.events_received()
    assert made.phase is phase
    return made


def head_of(command: int) -> dict[str, Value]:
    samples: dict[str, Value] = {"BCD digits": "000000", "BCD number": 0, "bits": 0x8E, "binary number": 0}
    return {one.name: samples[one.format.value] for one in COMMANDS[command].layout if not one.optional}


def step(made: RegisterSide, heard: str) -> tuple[Phase, list[str], list[type]]:
    made.receive_data(bytes.fromhex(heard), now_s=1.0)
    sent = [apdu.hex(" ").upper() for apdu in made.data_to_send()]
    return made.phase, sent, [type(event) for event in made.events_received()]


IDLE, WAIT, MASTER, LOCAL, DOWN = Phase.IDLE, Phase.WAIT_ACK, Phase.MASTER, Phase.LOCAL, Phase.DOWN
# (where, what is heard, where then, what is said, what is told): the rows of 6.1, and 6.8 for those without a command.
ROWS: list[tuple[Phase, str, Phase, list[str], list[type]]] = [
    (WAIT, OK, MASTER, [], [Accepted]),
    (WAIT, "84 00 00", MASTER, [], [Accepted]),
    (WAIT, "84 83 00", IDLE, [], [Refused]),
    (WAIT, "84 9C 00", IDLE, [], [Refused]),
    (WAIT, "84 A0 00", IDLE, [], [Refused]),
    (WAIT, STATE, MASTER, [OK], [Accepted, Told]),
    (WAIT, LINE, MASTER, [OK], [Accepted, Printed]),
    (WAIT, RESULT, MASTER, [], [Accepted, Asked]),
    (WAIT, DONE, IDLE, [OK], [Accepted, Finished]),
    (WAIT, ABORTED, IDLE, [OK], [Accepted, Finished]),
    (WAIT, UNKNOWN, MASTER, ["84 83 00"], [Accepted]),
    (MASTER, STATE, MASTER, [OK], [Told]),
    (MASTER, RESULT, MASTER, [], [Asked]),
    (MASTER, LINE, MASTER, [OK], [Printed]),
    (MASTER, BLOCK, MASTER, [OK], [Printed]),
    (MASTER, CLOCK, MASTER, [OK], [Told]),
    (MASTER, INPUT, MASTER, [], [Asked]),
    (MASTER, MENU, MASTER, [], [Asked]),
    (MASTER, PICTURE, MASTER, [], [Asked]),
    (MASTER, LIST, MASTER, [], [Asked]),
    (MASTER, UNKNOWN, MASTER, ["84 83 00"], []),
    (MASTER, "06 D8 00", MASTER, ["84 83 00"], []),
    (MASTER, "06 01 00", MASTER, ["84 83 00"], []),
    (MASTER, DONE, IDLE, [OK], [Finished]),
    (MASTER, ABORTED, IDLE, [OK], [Finished]),
    (MASTER, OK, MASTER, [], []),
    (MASTER, "84 83 00", MASTER, [], []),
    (IDLE, STATE, LOCAL, [OK], [Unsolicited]),
    (IDLE, RESULT, LOCAL, [OK], [Unsolicited]),
    (IDLE, LINE, LOCAL, [OK], [Unsolicited]),
    (IDLE, DONE, IDLE, [OK], [Unsolicited]),
    (IDLE, ABORTED, IDLE, [OK], [Unsolicited]),
    (IDLE, UNKNOWN, IDLE, ["84 83 00"], []),
    (IDLE, INPUT, IDLE, ["84 83 00"], []),
    (IDLE, OK, IDLE, [], []),
    (IDLE, "84 83 00", IDLE, [], []),
    (LOCAL, RESULT, LOCAL, [OK], [Unsolicited]),
    (LOCAL, DONE, IDLE, [OK], [Unsolicited]),
    (LOCAL, UNKNOWN, LOCAL, ["84 83 00"], []),
    (LOCAL, OK, LOCAL, [], []),
    *((DOWN, heard, DOWN, [], []) for heard in (OK, STATE, RESULT, DONE, UNKNOWN)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("phase", "heard", "then", "said", "told"), ROWS, ids=[f"{row[0].name} {row[1][:5]}" for row in ROWS]
)
def test_each_row_of_the_state_table(phase: Phase, heard: str, then: Phase, said: list[str], told: list[type]) -> None:
    assert step(side(phase), heard) == (then, said, told)


@pytest.mark.parametrize("phase", [DOWN, WAIT, MASTER, LOCAL])
def test_a_command_may_be_sent_at_rest_only(phase: Phase) -> None:
    made = side(phase)
    with pytest.raises(LocalProtocolError):
        made.start(Message(code=0x0501), now_s=1.0)
    assert (made.phase, made.data_to_send()) == (phase, [])


@pytest.mark.parametrize(("phase", "after_s"), [(WAIT, TIMERS.t3_s), (MASTER, TIMERS.t4_s)])
def test_silence_is_told_when_the_time_is_over_and_not_before(phase: Phase, after_s: float) -> None:
    made = side(phase)
    made.handle_deadline(now_s=after_s - 0.01)
    assert made.events_received() == []
    made.handle_deadline(now_s=after_s)
    (event,) = made.events_received()
    assert isinstance(event, Expired)
    assert event.phase is phase


@pytest.mark.parametrize("heard", [STATE, LINE, BLOCK, CLOCK, RESULT])
def test_each_message_of_the_terminal_begins_t4_anew(heard: str) -> None:
    made = side(MASTER)
    made.receive_data(bytes.fromhex(heard), now_s=100.0)
    assert made.deadline_s() == 100.0 + TIMERS.t4_s


class TestClasses:
    """2.1: A ends with 06 0F or 06 1E, B with its answer, C with 04 0F."""

    @pytest.mark.parametrize("row", PROCEDURES, ids=lambda row: row.label)
    @pytest.mark.parametrize("end", [DONE, ABORTED])
    def test_a_procedure_ends_with_06_0f_or_06_1e(self, row: object, end: str) -> None:
        made = side(MASTER, row.code)  # type: ignore[attr-defined]  # a CommandRow
        assert step(made, STATE)[0] is MASTER
        assert step(made, end) == (IDLE, [OK], [Finished])

    @pytest.mark.parametrize("row", DIRECT, ids=lambda row: row.label)
    @pytest.mark.parametrize("said", ["80 00 00", "84 00 00", "80 00 01 0D"])
    def test_a_direct_command_ends_with_its_answer(self, row: object, said: str) -> None:
        made = side(IDLE)
        code = row.code  # type: ignore[attr-defined]  # a CommandRow
        made.start(Message(code=code, head=head_of(code)), now_s=0.0)
        made.data_to_send()
        assert step(made, said) == (IDLE, [], [Finished])

    def test_reading_a_card_ends_with_04_0f_or_06_1e(self) -> None:
        assert step(side(MASTER, 0x06C0), RESULT) == (IDLE, [OK], [Finished])
        assert step(side(MASTER, 0x06C0), ABORTED) == (IDLE, [OK], [Finished])


class TestRegistration:
    """6.2, 9: terminals that support each thing, and such that do not."""

    @pytest.mark.parametrize(
        ("block", "apdu_max", "numbered", "charset"),
        [
            ("", None, False, CP437),
            ("19 00 29 62 07 11 83", None, False, CP437),
            ("19 00 06 00", None, False, CP437),
            ("19 00 06 04 1A 02 04 00", 1024, False, CP437),
            ("19 00 06 06 1F 73 03 00 00 01", None, True, CP437),
            ("19 00 06 05 27 03 14 01 01", None, False, LATIN_1),
            ("19 00 06 05 27 03 14 01 FE", None, False, UTF_8),
            ("19 00 06 05 27 03 14 01 FF", None, False, CP437),
            ("19 00 06 08 27 06 14 01 01 14 01 FE", None, False, CP437),
            ("19 00 06 02 27 00", None, False, CP437),
        ],
    )
    def test_the_answer_says_what_the_terminal_can(
        self, block: str, apdu_max: int | None, numbered: bool, charset: object
    ) -> None:
        made = side(MASTER, 0x0600)
        data = bytes.fromhex(block)
        step(made, f"06 0F {len(data):02X} {block}")
        told = made.registration
        assert (told.apdu_max, told.numbered, told.charset) == (apdu_max, numbered, charset)

    @pytest.mark.parametrize(
        ("block", "currency", "tlv", "commands"),
        [
            ("00 00 00 8E", None, False, None),
            ("00 00 00 8E 09 78", 978, False, None),
            ("00 00 00 8E 09 78 03 01", 978, False, None),
            ("00 00 00 8E 09 78 06 00", 978, True, None),
            ("00 00 00 8E 09 78 06 06 26 04 0A 02 06 D3", 978, True, frozenset({0x06D3})),
            ("00 00 00 8E 09 78 06 02 26 00", 978, True, frozenset()),
        ],
    )
    def test_the_terminal_takes_it_with_and_without_each_part(
        self, block: str, currency: int | None, tlv: bool, commands: frozenset[int] | None
    ) -> None:
        terminal = TerminalSide()
        terminal.link_up()
        data = bytes.fromhex(block)
        terminal.receive_data(b"\x06\x00" + bytes([len(data)]) + data, now_s=0.0)
        (event,) = terminal.events_received()
        assert isinstance(event, Wanted)
        terminal.registered.read(event.message)
        told = terminal.registered
        assert (told.currency_number, told.tlv, told.commands) == (currency, tlv, commands)


class TestTheTerminalSide:
    """6.12."""

    @pytest.mark.parametrize("row", [row for row in COMMANDS.values() if row.direction is Direction.TO_REGISTER],
                             ids=lambda row: row.label)  # fmt: skip
    def test_a_command_of_its_own_is_unknown_to_it(self, row: object) -> None:
        terminal = TerminalSide()
        terminal.link_up()
        terminal.receive_data(row.code.to_bytes(2, "big") + b"\x00", now_s=0.0)  # type: ignore[attr-defined]  # a row
        assert terminal.data_to_send() == [bytes.fromhex("84 83 00")]

    @pytest.mark.parametrize("command", ["0F A1 00", "01 01 00", "05 FF 00", "06 0B 00", "06 01 02 A8 00"])
    def test_what_is_unknown_or_reserved_is_answered_so(self, command: str) -> None:
        terminal = TerminalSide()
        terminal.link_up()
        terminal.receive_data(bytes.fromhex(command), now_s=0.0)
        assert terminal.data_to_send() == [bytes.fromhex("84 83 00")]
        assert terminal.turn is Turn.REST

    def test_it_says_nothing_before_it_was_asked(self) -> None:
        terminal = TerminalSide()
        terminal.link_up()
        terminal.send(Message(code=0x04FF, head={"status": 0x0A}), now_s=0.0)
        terminal.receive_data(bytes.fromhex(OK), now_s=0.0)
        assert (terminal.data_to_send(), terminal.deadline_s()) == ([], None)


class TestSequenceIds:
    """6.11. Whatever number comes, an answer goes out."""

    @pytest.mark.parametrize(
        ("sent", "answered"),
        [
            ("1F 73 03 00 00 02", "80 00 08 06 06 1F 73 03 00 00 02"),
            ("1F 73 03 99 99 99", "80 00 08 06 06 1F 73 03 99 99 99"),
            ("1F 73 04 01 00 00 00", OK),
            ("1F 73 08 41 11 11 11 11 11 11 11", OK),
            ("1F 73 03 AA BB CC", OK),
            ("1F 73 00", OK),
        ],
    )
    def test_the_register_repeats_a_number_that_is_one(self, sent: str, answered: str) -> None:
        made = side(MASTER, 0x0600)
        step(made, "06 0F 0A 19 00 06 06 1F 73 03 00 00 01")
        made.start(Message(code=0x0601, fields={0x04: 1250}), now_s=0.0)
        made.data_to_send()
        step(made, OK)
        size = len(bytes.fromhex(sent))
        assert step(made, f"04 FF {size + 4:02X} 0E 02 06 {size:02X} {sent}") == (MASTER, [answered], [Told])

    @pytest.mark.parametrize(
        ("sent", "answered"),
        [
            ("1F 73 03 00 00 01", "80 00 08 06 06 1F 73 03 00 00 01"),
            ("1F 73 05 01 00 00 00 00", OK),
            ("1F 73 03 AA BB CC", OK),
        ],
    )
    def test_and_so_does_the_terminal(self, sent: str, answered: str) -> None:
        terminal = TerminalSide()
        terminal.link_up()
        terminal.registered.tlv = terminal.registered.numbered = True
        size = len(bytes.fromhex(sent))
        terminal.receive_data(bytes.fromhex(f"06 01 {size + 2:02X} 06 {size:02X} {sent}"), now_s=0.0)
        terminal.accept(now_s=0.0)
        assert terminal.data_to_send() == [bytes.fromhex(answered)]

    def test_an_answer_is_owed_however_little_the_terminal_takes(self) -> None:
        made = side(MASTER, 0x0600)
        step(made, "06 0F 0A 19 00 06 06 1F 73 03 00 00 01")
        made.start(Message(code=0x0670), now_s=0.0)
        made.data_to_send()
        made.registration.apdu_max = 5
        step(made, OK)
        assert step(made, "04 FF 0A 0E 02 06 06 1F 73 03 00 00 02")[1] == ["80 00 08 06 06 1F 73 03 00 00 02"]


class TestTruncation:
    """9: truncated data at every byte; never an error but the codec's own."""

    @pytest.mark.parametrize("example", EXAMPLES, ids=str)
    def test_a_shorter_block_is_read_as_far_as_it_goes(self, example: object) -> None:
        apdu, answers = example.apdu, example.answers  # type: ignore[attr-defined]  # an Example
        whole = decode(apdu, answers=answers)
        for size in range(len(apdu) - 3):
            cut = decode(apdu[:2] + bytes([size]) + apdu[3 : 3 + size], answers=answers)
            # Nothing that a shorter block says is another thing than what the whole one says.
            assert all(whole.fields[number] == value for number, value in cut.fields.items() if number in whole.fields)
            if example.chapter == "7.2" and whole.code == 0x040F:  # type: ignore[attr-defined]  # an Example
                assert cut.fields.items() <= whole.fields.items()

    @pytest.mark.parametrize("example", EXAMPLES, ids=str)
    def test_a_stream_that_ends_early_is_an_error_of_the_codec(self, example: object) -> None:
        apdu = example.apdu  # type: ignore[attr-defined]  # an Example
        for size in range(len(apdu)):
            with pytest.raises(RemoteProtocolError):
                decode(apdu[:size])


class TestPayments:
    """9: what a payment may bring."""

    def test_several_results_and_receipts_in_one_procedure(self) -> None:
        made = side(MASTER)
        for heard in (LINE, "04 0F 02 27 37", STATE, RESULT, LINE):
            step(made, heard)
            if heard.startswith("04 0F"):
                assert made.reply(answer(), now_s=1.0)
                assert made.data_to_send() == [bytes.fromhex(OK)]
        assert step(made, DONE) == (IDLE, [OK], [Finished])

    def test_a_completion_before_our_answer_to_the_result_leaves_none_to_send(self) -> None:
        made = side(MASTER)
        step(made, RESULT)
        assert step(made, DONE) == (IDLE, [OK], [Finished])
        assert not made.reply(answer(), now_s=1.0)
        assert made.data_to_send() == []

    def test_partial_approval_is_what_04_says(self) -> None:
        made = side(MASTER)
        made.receive_data(bytes.fromhex("04 0F 09 27 00 04 00 00 00 00 10 00"), now_s=1.0)
        (event,) = made.events_received()
        assert isinstance(event, Asked)
        assert event.message.number(0x04) == 1000

    def test_the_worked_approval_is_asked_about_with_its_bytes(self) -> None:
        made = side(MASTER)
        made.receive_data(at("7.2", "04 0F"), now_s=1.0)
        (event,) = made.events_received()
        assert isinstance(event, Asked)
        assert event.apdu == at("7.2", "04 0F")
