"""The serial link: the rules of sender and receiver, and the law of exactly once. Source: ZVT fact sheet 1.3."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.interfaces.zvt.zvt_serial_world import NAMES, Line, Stress, number_of

from zahlwerk.interfaces.zvt.framing import LinkFailure, make_apdu
from zahlwerk.interfaces.zvt.serial_frames import ACK, NAK, encode_frame, wire_seconds
from zahlwerk.interfaces.zvt.serial_link import QUEUE_FRAMES_MAX, SerialLink

POSITIVE = bytes.fromhex("80 00 00")
PAYMENT = bytes.fromhex("06 01 0E 04 00 00 00 00 12 50 49 09 78 19 40 06 00")
ABORT = bytes.fromhex("06 B0 00")
STATUS = bytes.fromhex("04 FF 02 0A 02")
RESULT = bytes.fromhex("04 0F 02 27 00")
BLANK_LINE = bytes.fromhex("06 D1 01 00")
AGAIN = bytes.fromhex("84 9C 00")


class Bench:
    """One link on the bench, and the time."""

    def __init__(self) -> None:
        self.link = SerialLink()
        self.now_s = 100.0

    def send(self, *apdus: bytes) -> list[bytes]:
        for apdu in apdus:
            self.link.send(apdu, now_s=self.now_s)
        return self.link.data_to_send()

    def hear(self, data: bytes, *, after_s: float = 0.05) -> tuple[list[bytes], list[bytes]]:
        """What it delivers, and what it says to bytes that come after a while."""
        self.wait(after_s)
        apdus = self.link.receive_data(data, now_s=self.now_s)
        return apdus, self.link.data_to_send()

    def wait(self, seconds: float) -> None:
        """Time passes without a deadline that would be due."""
        self.now_s += seconds
        deadline_s = self.link.deadline_s()
        assert deadline_s is None or deadline_s > self.now_s, "something is due in between"

    def expire(self) -> list[bytes]:
        """The next deadline comes; what is sent then."""
        deadline_s = self.link.deadline_s()
        assert deadline_s is not None
        self.link.handle_deadline(now_s=deadline_s - 0.001)
        assert self.link.data_to_send() == [], "before the deadline"
        self.now_s = deadline_s
        self.link.handle_deadline(now_s=deadline_s)
        return self.link.data_to_send()

    def told(self) -> list[LinkFailure]:
        return self.link.failures()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def framed(apdu: bytes) -> bytes:
    return encode_frame(apdu)


class TestSender:
    def test_one_frame_at_a_time_the_next_after_the_ack(self, bench: Bench) -> None:
        assert bench.send(PAYMENT, STATUS) == [framed(PAYMENT)]
        assert bench.hear(ACK) == ([], [framed(STATUS)])
        assert bench.hear(ACK) == ([], [])
        assert bench.link.deadline_s() is None
        assert bench.link.queued_frames == 0

    def test_t2_begins_when_the_frame_has_left_the_line(self, bench: Bench) -> None:
        bench.send(PAYMENT)
        assert bench.link.deadline_s() == 100.0 + wire_seconds(len(framed(PAYMENT))) + 5.0

    def test_without_an_ack_it_goes_out_three_times_and_the_sender_is_told(self, bench: Bench) -> None:
        bench.send(PAYMENT)
        assert bench.expire() == [framed(PAYMENT)]
        assert bench.expire() == [framed(PAYMENT)]
        assert bench.told() == []
        assert bench.expire() == []
        assert bench.told() == [LinkFailure(PAYMENT, 3, "not acknowledged")]
        assert bench.told() == []
        assert bench.link.deadline_s() is None
        assert bench.now_s == pytest.approx(115.0, abs=0.1)

    def test_nak_repeats_at_once_three_of_them_give_up(self, bench: Bench) -> None:
        bench.send(PAYMENT)
        assert bench.hear(NAK) == ([], [framed(PAYMENT)])
        assert bench.hear(NAK) == ([], [framed(PAYMENT)])
        assert bench.hear(NAK) == ([], [])
        assert bench.told() == [LinkFailure(PAYMENT, 3, "not understood")]

    def test_nak_then_good(self, bench: Bench) -> None:
        bench.send(PAYMENT, STATUS)
        assert bench.hear(NAK) == ([], [framed(PAYMENT)])
        assert bench.hear(ACK) == ([], [framed(STATUS)])
        assert bench.hear(ACK) == ([], [])
        assert bench.told() == []

    def test_stray_acks_and_naks_are_ignored(self, bench: Bench) -> None:
        assert bench.hear(ACK + NAK + ACK) == ([], [])
        assert bench.send(PAYMENT) == [framed(PAYMENT)]
        assert bench.link.deadline_s() is not None

    def test_an_ack_before_the_frame_has_left_is_not_meant_for_it(self, bench: Bench) -> None:
        bench.link.send(PAYMENT, now_s=bench.now_s)
        bench.link.receive_data(ACK, now_s=bench.now_s)
        assert bench.link.data_to_send() == [framed(PAYMENT)]
        assert bench.link.deadline_s() is not None

    def test_after_a_failure_the_next_frame_goes_out(self, bench: Bench) -> None:
        bench.send(PAYMENT, ABORT)
        bench.expire()
        bench.expire()
        assert bench.expire() == [framed(ABORT)]

    def test_a_full_queue_is_told_at_once(self, bench: Bench) -> None:
        bench.send(*[STATUS] * QUEUE_FRAMES_MAX)
        assert bench.told() == []
        bench.send(PAYMENT)
        assert [(failure.apdu, failure.sends) for failure in bench.told()] == [(PAYMENT, 0)]

    def test_reset_forgets_everything(self, bench: Bench) -> None:
        bench.send(PAYMENT, STATUS)
        bench.hear(framed(RESULT)[:5])
        bench.link.reset()
        assert bench.link.data_to_send() == []
        assert (bench.link.deadline_s(), bench.link.queued_frames, bench.told()) == (None, 0, [])
        assert bench.hear(framed(POSITIVE)) == ([POSITIVE], [ACK])


class TestReceiver:
    def test_a_good_frame_is_acknowledged_before_the_application_answers(self, bench: Bench) -> None:
        apdus = bench.link.receive_data(framed(STATUS), now_s=bench.now_s)
        bench.link.send(POSITIVE, now_s=bench.now_s)
        assert apdus == [STATUS]
        assert bench.link.data_to_send() == [ACK, framed(POSITIVE)]

    def test_a_bad_frame_gets_a_nak_and_nothing_else(self, bench: Bench) -> None:
        assert bench.hear(framed(STATUS)[:-1] + b"\x00") == ([], [NAK])
        assert bench.hear(framed(STATUS)) == ([STATUS], [ACK])

    def test_t1_after_the_last_byte_of_half_a_frame_gets_a_nak(self, bench: Bench) -> None:
        assert bench.hear(framed(STATUS)[:4]) == ([], [])
        bench.hear(framed(STATUS)[4:6], after_s=0.19)
        assert bench.link.deadline_s() == bench.now_s + 0.2
        assert bench.expire() == [NAK]
        assert bench.hear(framed(STATUS)) == ([STATUS], [ACK])

    def test_bytes_just_within_t1_make_a_frame(self, bench: Bench) -> None:
        for byte in framed(STATUS)[:-1]:
            assert bench.hear(bytes((byte,)), after_s=0.199) == ([], [])
        assert bench.hear(framed(STATUS)[-1:], after_s=0.199) == ([STATUS], [ACK])

    def test_a_longer_t1_is_possible_for_slow_adapters(self) -> None:
        link = SerialLink(t1_s=1.0)
        link.receive_data(framed(STATUS)[:4], now_s=0.0)
        link.handle_deadline(now_s=0.9)
        assert link.receive_data(framed(STATUS)[4:], now_s=0.9) == [STATUS]

    def test_three_damaged_frames_in_a_row_are_a_problem_until_a_good_one_comes(self, bench: Bench) -> None:
        bad = framed(STATUS)[:-1] + b"\x00"
        for _ in range(2):
            bench.hear(bad)
        assert bench.link.problem() is None
        bench.hear(bad)
        assert str(bench.link.problem()) == "3 damaged frames in a row, the last one: wrong check sum (at byte 5)"
        bench.hear(framed(STATUS))
        assert bench.link.problem() is None

    def test_damaged_frames_far_apart_are_noise_and_no_problem(self, bench: Bench) -> None:
        for _ in range(5):
            bench.hear(framed(STATUS)[:-1] + b"\x00", after_s=6.1)
        assert bench.link.problem() is None

    def test_two_frames_at_once_are_both_delivered(self, bench: Bench) -> None:
        assert bench.hear(framed(STATUS) + framed(RESULT)) == ([STATUS, RESULT], [ACK, ACK])

    @given(st.lists(st.binary(max_size=30) | st.sampled_from([framed(STATUS), ACK, NAK, b"\x10\x02"]), max_size=12))
    def test_any_bytes_at_any_time_break_nothing_and_it_works_again_after_a_pause(self, chunks: list[bytes]) -> None:
        bench = Bench()
        bench.link.send(PAYMENT, now_s=bench.now_s)
        for chunk in chunks:
            bench.now_s += 0.15
            bench.link.handle_deadline(now_s=bench.now_s)
            bench.link.receive_data(chunk, now_s=bench.now_s)
            bench.link.data_to_send()
        for _ in range(10):
            if (deadline_s := bench.link.deadline_s()) is not None:
                bench.now_s = deadline_s
                bench.link.handle_deadline(now_s=deadline_s)
                bench.link.data_to_send()
        assert bench.link.deadline_s() is None
        assert bench.link.receive_data(framed(RESULT), now_s=bench.now_s + 1) == [RESULT]
        assert bench.link.data_to_send() == [ACK]

    def test_the_rest_of_a_damaged_frame_gets_no_second_nak(self, bench: Bench) -> None:
        wire = framed(make_apdu(0x06D1, bytes.fromhex("10 41 10 02 42")))
        hurt = wire.replace(b"\x10\x10\x41", b"\x10\x03\x41")
        assert bench.hear(hurt) == ([], [NAK])
        assert bench.hear(hurt) == ([], [NAK]), "a damaged repetition gets its own"


class TestRepeatedCommands:
    def test_it_is_acknowledged_again_and_delivered_once(self, bench: Bench) -> None:
        assert bench.hear(framed(STATUS)) == ([STATUS], [ACK])
        assert bench.hear(framed(STATUS), after_s=5.5) == ([], [ACK])
        assert bench.hear(framed(STATUS), after_s=5.5) == ([], [ACK])

    def test_two_copies_in_a_row_may_get_lost(self, bench: Bench) -> None:
        bench.hear(framed(STATUS))
        assert bench.hear(framed(STATUS), after_s=11.9) == ([], [ACK])

    def test_after_that_it_is_a_new_one(self, bench: Bench) -> None:
        bench.hear(framed(STATUS))
        assert bench.hear(framed(STATUS), after_s=12.2) == ([STATUS], [ACK])

    def test_with_another_frame_in_between_it_is_a_new_one(self, bench: Bench) -> None:
        bench.hear(framed(STATUS))
        bench.hear(framed(RESULT))
        assert bench.hear(framed(STATUS)) == ([STATUS], [ACK])

    def test_after_our_answer_was_acknowledged_it_is_a_new_one(self, bench: Bench) -> None:
        """Two blank lines of a receipt are byte-identical."""
        bench.hear(framed(BLANK_LINE))
        bench.send(POSITIVE)
        bench.hear(ACK)
        assert bench.hear(framed(BLANK_LINE)) == ([BLANK_LINE], [ACK])

    def test_our_answer_is_sent_again_when_it_was_not_acknowledged(self, bench: Bench) -> None:
        bench.hear(framed(RESULT))
        bench.send(POSITIVE)
        assert bench.hear(framed(RESULT), after_s=4.9) == ([], [ACK, framed(POSITIVE)])
        assert bench.hear(ACK) == ([], [])
        assert bench.link.deadline_s() is None

    def test_an_answer_that_may_just_have_crossed_is_not_sent_again(self, bench: Bench) -> None:
        bench.hear(framed(RESULT))
        bench.send(POSITIVE)
        assert bench.hear(framed(RESULT), after_s=0.1) == ([], [ACK])

    def test_an_answer_that_was_given_up_is_sent_again_when_the_peer_asks_again(self, bench: Bench) -> None:
        bench.hear(framed(RESULT))
        bench.send(POSITIVE)
        for _ in range(3):
            bench.hear(NAK)
        assert [failure.apdu for failure in bench.told()] == [POSITIVE]
        assert bench.hear(framed(RESULT), after_s=5.0) == ([], [ACK, framed(POSITIVE)])

    def test_after_84_9c_the_same_result_is_expected_and_new(self, bench: Bench) -> None:
        bench.hear(framed(RESULT))
        bench.send(AGAIN)
        bench.hear(ACK)
        assert bench.hear(framed(RESULT), after_s=2.0) == ([RESULT], [ACK])
        bench.send(AGAIN)
        assert bench.hear(framed(RESULT), after_s=2.0) == ([RESULT], [ACK]), "also without its ACK"


class TestRepeatedAnswers:
    def commanded(self, bench: Bench, command: bytes) -> None:
        bench.send(command)
        bench.hear(ACK)

    def test_the_same_answer_to_the_next_command_is_new(self, bench: Bench) -> None:
        self.commanded(bench, STATUS)
        assert bench.hear(framed(POSITIVE)) == ([POSITIVE], [ACK])
        self.commanded(bench, STATUS)
        assert bench.hear(framed(POSITIVE)) == ([POSITIVE], [ACK])

    def test_without_a_command_in_between_it_is_a_repetition_however_late(self, bench: Bench) -> None:
        self.commanded(bench, STATUS)
        bench.hear(framed(POSITIVE))
        assert bench.hear(framed(POSITIVE), after_s=60.0) == ([], [ACK])

    def test_an_old_answer_is_not_taken_for_that_to_a_result_which_has_not_left_the_line(self, bench: Bench) -> None:
        """Our ACK was hit and read as NAK: the old answer comes again while the result goes out."""
        self.commanded(bench, STATUS)
        bench.hear(framed(POSITIVE))
        bench.send(RESULT)
        assert bench.hear(framed(POSITIVE), after_s=0.012) == ([], [ACK])
        bench.hear(ACK)
        refused = bytes.fromhex("84 66 00")
        assert bench.hear(framed(refused)) == ([refused], [ACK])

    def test_the_same_answer_to_a_command_whose_ack_was_lost_is_new(self, bench: Bench) -> None:
        self.commanded(bench, STATUS)
        bench.hear(framed(POSITIVE))
        bench.send(RESULT)
        assert bench.hear(framed(POSITIVE), after_s=0.1) == ([POSITIVE], [ACK])
        assert bench.link.deadline_s() is None

    def test_an_answer_just_when_the_old_one_would_be_repeated_is_left_without_ack(self, bench: Bench) -> None:
        """Our ACK of the old one and the whole result were lost: to take it for the new one would accept a payment."""
        self.commanded(bench, STATUS)
        bench.hear(framed(POSITIVE))
        bench.send(RESULT)
        assert bench.hear(framed(POSITIVE), after_s=4.95) == ([], [])
        assert bench.expire() == [framed(RESULT)]
        bench.hear(ACK)
        assert bench.hear(framed(POSITIVE)) == ([POSITIVE], [ACK]), "this one was said to the result"


class TestImpliedAcks:
    def test_an_answer_implies_the_ack_of_the_command(self, bench: Bench) -> None:
        bench.send(PAYMENT)
        assert bench.hear(framed(POSITIVE)) == ([POSITIVE], [ACK])
        assert bench.link.deadline_s() is None
        assert bench.link.counters.acks_implied == 1

    def test_a_late_ack_after_it_is_ignored(self, bench: Bench) -> None:
        """Fact sheet 1.3: Ingenico."""
        bench.send(PAYMENT)
        bench.hear(framed(POSITIVE))
        assert bench.hear(ACK) == ([], [])
        assert bench.link.counters.acks_passed_over == 1

    def test_the_answer_to_an_earlier_command_does_not_imply_the_ack_of_an_abort(self, bench: Bench) -> None:
        bench.send(PAYMENT)
        bench.hear(ACK)
        bench.send(ABORT)
        assert bench.hear(framed(POSITIVE)) == ([POSITIVE], [ACK])
        assert bench.hear(NAK) == ([], [framed(ABORT)])

    def test_a_new_command_implies_the_ack_of_our_answer(self, bench: Bench) -> None:
        """An old 80 00 00 that is repeated now would accept the result instead."""
        bench.hear(framed(STATUS))
        bench.send(POSITIVE)
        assert bench.hear(framed(RESULT)) == ([RESULT], [ACK])
        assert bench.link.deadline_s() is None
        assert bench.told() == []

    def test_an_abort_does_not_it_may_cross_our_answer(self, bench: Bench) -> None:
        bench.hear(framed(PAYMENT))
        bench.send(POSITIVE)
        assert bench.hear(framed(ABORT)) == ([ABORT], [ACK])
        assert bench.hear(NAK) == ([], [framed(POSITIVE)])

    def test_a_command_does_not_imply_the_ack_of_a_command(self, bench: Bench) -> None:
        bench.send(ABORT)
        assert bench.hear(framed(STATUS)) == ([STATUS], [ACK])
        assert bench.expire() == [framed(ABORT)]


class TestLateAcks:
    def test_the_ack_of_a_repetition_is_not_taken_for_that_of_the_next_frame(self, bench: Bench) -> None:
        bench.send(PAYMENT, STATUS)
        assert bench.expire() == [framed(PAYMENT)]
        assert bench.hear(ACK) == ([], [framed(STATUS)]), "of the first copy, or of the second"
        assert bench.hear(ACK) == ([], []), "of the second copy"
        assert bench.hear(NAK) == ([], [framed(STATUS)]), "so this is the first answer to the next frame"
        assert bench.hear(ACK) == ([], [])
        assert bench.link.deadline_s() is None

    def test_the_next_frame_does_not_wait_for_it(self, bench: Bench) -> None:
        bench.send(PAYMENT)
        bench.expire()
        bench.hear(ACK)
        assert bench.send(ABORT) == [framed(ABORT)]

    def test_when_it_was_lost_the_next_frame_is_sent_once_more_and_no_other(self, bench: Bench) -> None:
        bench.send(PAYMENT)
        bench.expire()
        bench.hear(ACK)
        bench.send(STATUS, RESULT)
        assert bench.hear(ACK) == ([], [])
        assert bench.expire() == [framed(STATUS)]
        assert bench.hear(ACK) == ([], [framed(RESULT)])
        assert bench.hear(ACK) == ([], [])
        assert bench.link.deadline_s() is None
        assert bench.told() == []

    def test_t2_after_the_last_copy_none_is_waited_for(self, bench: Bench) -> None:
        bench.send(PAYMENT)
        bench.expire()
        bench.hear(ACK)
        bench.wait(5.0)
        bench.send(STATUS)
        bench.hear(ACK)
        assert bench.link.deadline_s() is None

    def test_an_ack_makes_a_repetition_that_has_not_left_needless(self, bench: Bench) -> None:
        bench.send(PAYMENT)
        bench.link.handle_deadline(now_s=105.5)
        bench.link.receive_data(ACK, now_s=105.5)
        assert bench.link.data_to_send() == []
        bench.now_s = 105.6
        bench.send(STATUS)
        bench.hear(ACK)
        assert bench.link.deadline_s() is None

    def test_an_ack_right_behind_a_false_nak_is_not_that_of_the_repetition(self, bench: Bench) -> None:
        bench.send(PAYMENT, STATUS)
        assert bench.hear(NAK) == ([], [framed(PAYMENT)])
        assert bench.hear(ACK, after_s=0.001) == ([], [framed(STATUS)])
        assert bench.hear(ACK, after_s=0.02) == ([], []), "this is the repetition's"
        assert bench.hear(NAK) == ([], [framed(STATUS)])

    def test_a_nak_that_may_be_of_an_earlier_copy_repeats_but_does_not_give_up(self, bench: Bench) -> None:
        bench.send(PAYMENT)
        bench.expire()
        bench.expire()
        bench.hear(ACK)  # two copies unanswered
        bench.hear(framed(POSITIVE))
        bench.send(STATUS)
        assert bench.hear(NAK) == ([], [framed(STATUS)])
        bench.hear(framed(AGAIN))  # implies the ACK; three copies unanswered
        bench.send(RESULT)
        assert bench.hear(NAK) == ([], [framed(RESULT)])
        assert bench.hear(NAK) == ([], [framed(RESULT)])
        assert bench.hear(NAK) == ([], [])
        assert bench.told() == []
        assert bench.hear(NAK) == ([], [])
        assert [failure.apdu for failure in bench.told()] == [RESULT]


class TestTwoLinks:
    @pytest.mark.parametrize(
        ("first", "second"),
        [pytest.param(ABORT, STATUS, id="two commands"), pytest.param(POSITIVE, AGAIN, id="two answers")],
    )
    def test_a_collision_ends(self, first: bytes, second: bytes) -> None:
        line = Collision(seed=1, faults=0.0)
        line.links["register"].send(first, now_s=0.0)
        line.links["terminal"].send(second, now_s=0.0)
        while line.step():
            pass
        assert line.got == {"register": [second], "terminal": [first]}
        assert line.now_s < 0.2
        assert line.told == {"register": [], "terminal": []}

    @pytest.mark.parametrize("seed", range(4))
    def test_ten_thousand_apdus_arrive_once_and_in_order_or_the_sender_is_told(self, seed: int) -> None:
        """1 % of all writes are lost, cut, or have a byte changed, missing or added; both sides send at once."""
        count = 5_000
        line = Stress(seed, faults=0.01)

        line.run(count)

        for name, peer in (NAMES, NAMES[::-1]):
            got = line.got[peer]
            assert got == sorted(set(got))
            assert set(range(count)) - set(got) <= {number_of(apdu) for apdu in line.told[name]}
            assert len(got) > count * 0.99
            assert line.damaged[name] > 20
            assert line.dropped[name] > 5
            assert line.links[peer].counters.repeats_received > 0

    def test_on_a_terrible_line_some_are_given_up_and_told_and_the_law_holds(self) -> None:
        line = Stress(7, faults=0.3)
        line.run(500)
        for name, peer in (NAMES, NAMES[::-1]):
            got = line.got[peer]
            assert got == sorted(set(got))
            assert line.told[name]
            assert set(range(500)) - set(got) <= {number_of(apdu) for apdu in line.told[name]}

    def test_five_thousand_conversations_with_equal_answers_keep_in_step(self) -> None:
        """Every command is answered by a plain 80 00 00: each is acted on once, and no answer is taken for another."""
        line = Conversation(seed=3, faults=0.01)
        line.run(5_000)
        assert line.acted == sorted(set(line.acted))
        assert line.answered == line.acted_at_answer
        assert len(line.answered) + line.broken_off == 5_000
        assert line.broken_off < 25
        assert sum(line.damaged.values()) > 100


class Collision(Line):
    """Keeps what was received."""

    def __init__(self, seed: int, faults: float) -> None:
        super().__init__(seed, faults)
        self.got: dict[str, list[bytes]] = {name: [] for name in NAMES}

    def received(self, name: str, apdu: bytes) -> None:
        self.got[name].append(apdu)


class Conversation(Line):
    """The terminal sends one numbered command after the other, the register answers each with the same three bytes."""

    def __init__(self, seed: int, faults: float) -> None:
        super().__init__(seed, faults)
        self.acted: list[int] = []
        self.answered: list[int] = []
        self.acted_at_answer: list[int] = []
        self.broken_off = 0
        self.current: int | None = None

    def received(self, name: str, apdu: bytes) -> None:
        if name == "register":
            self.acted.append(number_of(apdu))
            self.links[name].send(POSITIVE, now_s=self.now_s)
        else:
            assert self.current is not None, "an answer without a command"
            self.answered.append(self.current)
            self.acted_at_answer.append(self.acted[-1])
            self.current = None

    def run(self, count: int) -> None:
        for number in range(count):
            self.current = number
            self.links["terminal"].send(make_apdu(0x04FF, number.to_bytes(4, "big")), now_s=self.now_s)
            while self.goes_on() and self.step():
                pass
            if any(self.told.values()):
                self.broken_off += 1
                self.hang_up()

    def goes_on(self) -> bool:
        return self.current is not None and not any(self.told.values())

    def hang_up(self) -> None:
        """Somebody was told: both begin anew, as their applications do."""
        self.told = {name: [] for name in NAMES}
        self.events.clear()
        for link in self.links.values():
            link.reset()
