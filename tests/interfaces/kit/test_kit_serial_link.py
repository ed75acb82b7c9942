"""The serial line: golden frames, the rules of sender and receiver, and the law of exactly once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.interfaces.kit.kit_strategies import cuts
from tests.interfaces.kit.serial_world import World

from zahlwerk.interfaces.kit.framing import LineDecoder, LinkFailure
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
from zahlwerk.interfaces.kit.serial_link import QUEUE_FRAMES_MAX, SerialLink

# Fact sheet 6.6 and 6.8: made by script, checked against PayTec's compiled C++ example.
GOLDEN = [
    pytest.param(1, 0x11, b'{"ConnectRequest":{"TrmLng":"de","PrinterWidth":30}}\n',
        "10 00 01 11 7B 22 43 6F 6E 6E 65 63 74 52 65 71 75 65 73 74 22 3A 7B 22 54 72 6D 4C 6E 67 22 3A 22 64 65 22 2C 22 50 72 69 6E 74 65 72 57 69 64 74 68 22 3A 33 30 7D 7D 0A AA 22 10 FF", id="ConnectRequest"),
    pytest.param(1, 0x91, b'{"ConnectResponse":{"TrmLng":"de","IFDSerialNum":"ZPD00001","SoftwareVersion":250100,"PeSeqCnt":3,"ActSeqCnt":12}}\n',
        "10 00 01 91 7B 22 43 6F 6E 6E 65 63 74 52 65 73 70 6F 6E 73 65 22 3A 7B 22 54 72 6D 4C 6E 67 22 3A 22 64 65 22 2C 22 49 46 44 53 65 72 69 61 6C 4E 75 6D 22 3A 22 5A 50 44 30 30 30 30 31 22 2C 22 53 6F 66 74 77 61 72 65 56 65 72 73 69 6F 6E 22 3A 32 35 30 31 30 30 2C 22 50 65 53 65 71 43 6E 74 22 3A 33 2C 22 41 63 74 53 65 71 43 6E 74 22 3A 31 32 7D 7D 0A E0 33 10 FF", id="ConnectResponse"),
    pytest.param(2, 0x11, b'{"StatusRequest":{}}\n', "10 00 02 11 7B 22 53 74 61 74 75 73 52 65 71 75 65 73 74 22 3A 7B 7D 7D 0A 47 43 10 FF", id="StatusRequest"),
    pytest.param(0x10, 0x91, b'{"HeartbeatRequest":{}}\n', "10 00 10 10 91 7B 22 48 65 61 72 74 62 65 61 74 52 65 71 75 65 73 74 22 3A 7B 7D 7D 0A 64 80 10 FF", id="stuffed number"),
    pytest.param(3, 0x11, b'{"HeartbeatResponse":{}}\n', "10 00 03 11 7B 22 48 65 61 72 74 62 65 61 74 52 65 73 70 6F 6E 73 65 22 3A 7B 7D 7D 0A 71 C0 10 FF", id="HeartbeatResponse"),
    pytest.param(0x3B, 0x11, b'{"HeartbeatResponse":{}}\n', "10 00 3B 11 7B 22 48 65 61 72 74 62 65 61 74 52 65 73 70 6F 6E 73 65 22 3A 7B 7D 7D 0A 10 10 33 10 FF", id="stuffed check sum"),
    pytest.param(0x20, 0x91, b'{"ErrorNotification":{"ErrorCode":1,"Err', "10 00 20 91 7B 22 45 72 72 6F 72 4E 6F 74 69 66 69 63 61 74 69 6F 6E 22 3A 7B 22 45 72 72 6F 72 43 6F 64 65 22 3A 31 2C 22 45 72 72 8E F4 10 FF", id="first half"),
    pytest.param(0x21, 0x91, b'orSource":"ECR","ErrorDescription":"busy"}}\n', "10 00 21 91 6F 72 53 6F 75 72 63 65 22 3A 22 45 43 52 22 2C 22 45 72 72 6F 72 44 65 73 63 72 69 70 74 69 6F 6E 22 3A 22 62 75 73 79 22 7D 7D 0A B1 F0 10 FF", id="second half"),
    pytest.param(4, 0x11, bytes.fromhex("0915DF2004000080005F2A0207569F0206000000001750"), "10 00 04 11 09 15 DF 20 04 00 00 80 00 5F 2A 02 07 56 9F 02 06 00 00 00 00 17 50 72 18 10 FF", id="TLV"),
]  # fmt: skip


def frame(seq: int, payload: bytes = b"x\n", *, type_: int = TYPE_FROM_TERMINAL) -> bytes:
    return encode_frame(seq, type_, payload)


def sent(link: SerialLink) -> bytes:
    return b"".join(link.data_to_send())


def outstanding(payload: bytes = b"{}\n", sends: int = 1) -> tuple[SerialLink, float]:
    """A register whose first frame went out so often, and the time."""
    link, now_s = SerialLink("register"), 0.0
    link.send(payload, now_s=now_s)
    for _ in range(sends - 1):
        now_s = link.deadline_s() or 0.0
        link.handle_deadline(now_s=now_s)
    link.data_to_send()
    return link, now_s


class TestFrames:
    @pytest.mark.parametrize(("seq", "type_", "payload", "golden"), GOLDEN)
    def test_the_worked_examples_byte_by_byte(self, seq: int, type_: int, payload: bytes, golden: str) -> None:
        assert encode_frame(seq, type_, payload).hex(" ").upper() == golden
        assert list(FrameDecoder().feed(bytes.fromhex(golden))) == [Frame(seq, type_, payload)]

    def test_the_message_type_10_of_tlv_is_stuffed(self) -> None:
        golden = "10 00 04 91 10 10 59 9F 1C 08 31 32 33 34 35 36 37 38 9F 41 04 00 00 47 11 DF 23 01 00 DF 24 04 00 00 00 00 9A 03 26 11 23 9F 21 03 10 10 15 30 9F 06 07 A0 00 00 00 04 10 10 10 10 DF 18 0A 4D 61 73 74 65 72 63 61 72 64 9F 02 06 00 00 00 00 17 50 5F 2A 02 07 56 89 06 41 42 43 31 32 33 8A 02 30 30 26 5C 10 FF"
        [found] = FrameDecoder().feed(bytes.fromhex(golden))
        assert isinstance(found, Frame)
        assert (found.payload[0], len(found.payload)) == (0x10, 0x59 + 2)
        assert encode_frame(found.seq, found.type, found.payload) == bytes.fromhex(golden)

    @given(
        st.integers(0, 255),
        st.lists(st.sampled_from([b"\x10", b"\x00", b"\xff", b"\x11", b"\x12", b"a"]), max_size=30).map(b"".join),
        st.lists(st.integers(0, 99), max_size=8),
    )
    def test_every_payload_survives_any_chunking(self, seq: int, payload: bytes, positions: list[int]) -> None:
        decoder = FrameDecoder()
        wire = encode_frame(seq, TYPE_FROM_REGISTER, payload)
        found = [item for chunk in cuts(wire, positions) for item in decoder.feed(chunk)]
        assert found == [Frame(seq, TYPE_FROM_REGISTER, payload)]

    @given(
        st.binary(max_size=200)
        | st.lists(
            st.sampled_from(
                [b"\x10\x00", b"\x10\xff", b"\x10\x10", b"\x10\x11", b"\x10\x12", b"\x10", b"\x01\x91", b"a"]
            ),
            max_size=40,
        ).map(b"".join),
        st.lists(st.integers(0, 200), max_size=8),
    )
    def test_any_bytes_in_any_chunking_are_read_the_same(self, data: bytes, positions: list[int]) -> None:
        whole, cut = FrameDecoder(), FrameDecoder()
        assert list(whole.feed(data)) == [item for chunk in cuts(data, positions) for item in cut.feed(chunk)]

    @pytest.mark.parametrize(("wire", "found"), [
        pytest.param(b"noise" + ACK, [Control.ACK], id="bytes outside"),
        pytest.param(b"\x10\x00half" + frame(5), [Frame(5, TYPE_FROM_TERMINAL, b"x\n")], id="start within a frame"),
        pytest.param(b"\x10\x00\x01\x91\x10\xff", [Broken("2 bytes, at least 4 expected")], id="too short"),
        pytest.param(frame(5).replace(b"x", b"y"), [Broken("wrong check sum")], id="check sum"),
        pytest.param(frame(5).replace(b"x", b"\x10\x77x"), [Broken("an unknown escape in it")], id="unknown escape"),
        pytest.param(frame(5).replace(b"x", ACK + b"x"), [Control.ACK, Frame(5, TYPE_FROM_TERMINAL, b"x\n")], id="ACK inside"),
        pytest.param(frame(5).replace(b"x", NAK + b"x"), [Control.NAK, Frame(5, TYPE_FROM_TERMINAL, b"x\n")], id="NAK inside"),
        pytest.param(frame(5).replace(b"x", ACK), [Broken("wrong check sum")], id="ACK inside a damaged frame"),
        pytest.param(b"\x10\x10\x11", [], id="stuffed byte of a lost frame is no ACK"),
    ])  # fmt: skip
    def test_what_came_and_what_it_is(self, wire: bytes, found: list[object]) -> None:
        assert list(FrameDecoder().feed(wire)) == found

    def test_two_copies_with_damaged_marks_between_them_are_not_one_frame(self) -> None:
        """CRC-16/XMODEM over a message and its own check sum is zero, which is where the next copy starts."""
        copy = frame(5)
        wire = copy[:-1] + b"\x77" + copy[:1] + b"\x78" + copy[2:]
        assert list(FrameDecoder().feed(wire)) == [Broken("an unknown escape in it")]

    def test_a_frame_without_end_is_bounded(self) -> None:
        decoder = FrameDecoder()
        found = list(decoder.feed(b"\x10\x00" + b"x" * (10 * FRAME_BYTES_MAX)))
        assert found == [Broken("longer than 20480 bytes")]
        assert list(decoder.feed(frame(1))) == [Frame(1, TYPE_FROM_TERMINAL, b"x\n")]


class TestSplitting:
    @given(
        st.lists(st.sampled_from([b"x" * 5000, b"\n", b"\x10" * 3000, "ü".encode() * 2500, b"a"]), max_size=20).map(
            b"".join
        )
    )
    def test_parts_fit_a_frame_and_make_the_whole(self, payload: bytes) -> None:
        parts = split_payload(payload)
        assert b"".join(parts) == payload
        assert all(len(encode_frame(0x10, TYPE_FROM_REGISTER, b"\n" + part)) <= FRAME_BYTES_MAX for part in parts)
        assert all(parts)

    def test_a_short_payload_is_one_frame(self) -> None:
        assert split_payload(b"{}\n{}\n") == [b"{}\n{}\n"]


class TestSender:
    """Fact sheet 1.4, sender."""

    def test_the_first_number_is_1_and_after_255_comes_0(self) -> None:
        link = SerialLink("register")
        seqs = []
        for _ in range(257):
            link.send(b"x\n", now_s=0.0)
            [found] = FrameDecoder().feed(sent(link))
            assert isinstance(found, Frame)
            seqs.append(found.seq)
            link.receive_data(ACK, now_s=0.0)
        assert seqs == [*range(1, 256), 0, 1]

    @pytest.mark.parametrize(("role", "type_"), [("register", 0x11), ("terminal", 0x91)])
    def test_each_side_has_its_type(self, role: str, type_: int) -> None:
        link = SerialLink("register" if role == "register" else "terminal")
        link.send(b"x\n", now_s=0.0)
        assert sent(link)[3] == type_

    def test_one_frame_is_outstanding(self) -> None:
        link = SerialLink("register")
        link.send(b"a\n", now_s=0.0)
        link.send(b"b\n", now_s=0.0)
        assert sent(link) == frame(1, b"a\n", type_=0x11)
        link.receive_data(ACK, now_s=0.1)
        assert sent(link) == frame(2, b"b\n", type_=0x11)

    def test_no_answer_repeats_after_350_ms_and_wire_time_three_sends_in_all(self) -> None:
        link, wire = SerialLink("register"), frame(1, b"{}\n", type_=0x11)
        link.send(b"{}\n", now_s=0.0)
        step_s = 0.350 + wire_seconds(len(wire))
        assert sent(link) == wire
        assert link.deadline_s() == pytest.approx(step_s)
        link.handle_deadline(now_s=step_s - 0.001)
        assert sent(link) == b""
        link.handle_deadline(now_s=step_s)
        assert sent(link) == wire
        link.handle_deadline(now_s=2 * step_s)
        assert sent(link) == wire
        link.handle_deadline(now_s=3 * step_s)
        assert (sent(link), link.failures()) == (b"", [LinkFailure(b"{}\n", 3, "no answer")])
        assert (link.deadline_s(), link.failures()) == (None, [])

    def test_after_giving_up_the_queue_goes_on(self) -> None:
        link, now_s = outstanding(b"a\n", sends=3)
        link.send(b"b\n", now_s=now_s)
        for _ in range(2):
            link.handle_deadline(now_s=link.deadline_s() or 0.0)
        assert [failure.payload for failure in link.failures()] == [b"a\n"]
        assert sent(link) == frame(2, b"b\n", type_=0x11)

    def test_a_nak_repeats_at_once_and_counts_as_a_try(self) -> None:
        link, _ = outstanding()
        link.receive_data(ACK, now_s=0.0)
        link.send(b"b\n", now_s=0.0)
        for _ in range(3):
            assert sent(link) == frame(2, b"b\n", type_=0x11)
            link.receive_data(NAK, now_s=0.1)
        assert (sent(link), link.failures()) == (b"", [LinkFailure(b"b\n", 3, "not understood")])

    def test_one_damaged_frame_may_bring_two_naks_and_so_a_surplus_ack(self) -> None:
        link, _ = outstanding(b"a\n")
        link.send(b"b\n", now_s=0.0)
        for _ in range(2):
            link.receive_data(NAK, now_s=0.1)
            link.data_to_send()
        link.receive_data(ACK, now_s=0.15)
        assert sent(link) == b""
        link.receive_data(ACK + ACK, now_s=0.2)
        assert sent(link) == frame(2, b"b\n", type_=0x11)

    def test_an_answer_before_the_frame_has_left_is_not_for_it(self) -> None:
        link = SerialLink("register")
        link.send(b"a\n", now_s=0.0)
        link.receive_data(ACK + NAK, now_s=0.0)
        assert (sent(link), link.counters.acks_ignored, link.counters.naks_ignored) == (
            frame(1, b"a\n", type_=0x11),
            1,
            1,
        )

    def test_answers_go_out_before_our_own_frame(self) -> None:
        link = SerialLink("register")
        link.send(b"a\n", now_s=0.0)
        link.receive_data(frame(1), now_s=0.0)
        assert link.data_to_send() == [ACK, frame(1, b"a\n", type_=0x11)]

    def test_the_timer_waits_while_a_frame_is_coming_in(self) -> None:
        link, _ = outstanding()
        first_s = link.deadline_s() or 0.0
        link.receive_data(b"\x10\x00\x01\x91" + b"x" * 100, now_s=first_s - 0.01)
        assert link.deadline_s() == pytest.approx(first_s - 0.01 + 0.35)
        for step in range(100):
            link.receive_data(b"x", now_s=first_s + step)
        assert (link.deadline_s() or 0.0) <= first_s + wire_seconds(FRAME_BYTES_MAX) + 1e-9

    def test_a_full_queue_tells_the_sender_at_once(self) -> None:
        link = SerialLink("register")
        for _ in range(QUEUE_FRAMES_MAX):
            link.send(b"a\n", now_s=0.0)
        assert link.failures() == []
        link.send(b"b\n", now_s=0.0)
        assert [(failure.payload, failure.sends) for failure in link.failures()] == [(b"b\n", 0)]

    def test_a_payload_given_up_half_way_does_not_spoil_the_next(self) -> None:
        link = SerialLink("register")
        long = b"x" * FRAME_BYTES_MAX + b"\n"
        link.send(long, now_s=0.0)
        link.send(b"{}\n", now_s=0.0)
        decoder, lines = FrameDecoder(), LineDecoder()
        payloads = [f.payload for f in decoder.feed(sent(link)) if isinstance(f, Frame)]
        link.receive_data(ACK, now_s=0.0)
        for _ in range(4):
            link.handle_deadline(now_s=link.deadline_s() or 0.0)
        assert [failure.payload for failure in link.failures()] == [long]
        payloads += [f.payload for f in decoder.feed(link.data_to_send()[-1]) if isinstance(f, Frame)]
        assert [line for payload in payloads for line in lines.feed(payload)][-1] == b"{}"

    def test_reset_starts_anew(self) -> None:
        link, _ = outstanding()
        link.receive_data(frame(9), now_s=0.0)
        link.reset()
        assert (link.data_to_send(), link.deadline_s(), link.queued_frames) == ([], None, 0)
        link.send(b"x\n", now_s=0.0)
        assert sent(link) == frame(1, type_=0x11)


class TestReceiver:
    """Fact sheet 1.4, receiver."""

    def test_a_new_frame_is_acknowledged_and_delivered(self) -> None:
        link = SerialLink("register")
        assert link.receive_data(frame(1, b"a\n") + frame(2, b"b\n"), now_s=0.0) == [b"a\n", b"b\n"]
        assert link.data_to_send() == [ACK, ACK]

    def test_a_repetition_is_acknowledged_and_not_delivered(self) -> None:
        link = SerialLink("register")
        assert link.receive_data(frame(1) + frame(1), now_s=0.0) == [b"x\n"]
        assert (link.data_to_send(), link.counters.repeats_received) == ([ACK, ACK], 1)

    @pytest.mark.parametrize("wire", [
        pytest.param(frame(1, type_=TYPE_FROM_REGISTER), id="our own type"),
        pytest.param(frame(1).replace(b"x", b"y"), id="check sum"),
        pytest.param(b"\x10\x00\x01\x91\x10\xff", id="too short"),
    ])  # fmt: skip
    def test_what_is_not_understood_is_refused(self, wire: bytes) -> None:
        link = SerialLink("register")
        assert (link.receive_data(wire, now_s=0.0), link.data_to_send()) == ([], [NAK])
        assert link.counters.frames_refused == 1

    def test_the_same_number_with_other_bytes_is_refused(self) -> None:
        link = SerialLink("register")
        link.receive_data(frame(1, b"a\n"), now_s=0.0)
        link.data_to_send()
        assert (link.receive_data(frame(1, b"b\n"), now_s=1.0), link.data_to_send()) == ([], [NAK])

    def test_stray_bytes_are_counted(self) -> None:
        link = SerialLink("register")
        link.receive_data(b"hello", now_s=0.0)
        link.reset()
        link.receive_data(b"you", now_s=0.0)
        assert link.stray_bytes == 8

    @given(
        st.lists(st.tuples(st.integers(0, 3), st.sampled_from([b"a\n", b"b\n", b""])), max_size=6),
        st.lists(st.integers(0, 200), max_size=6),
    )
    def test_any_chunking_delivers_and_answers_the_same(
        self, frames: list[tuple[int, bytes]], positions: list[int]
    ) -> None:
        stream = b"".join(frame(seq, payload) for seq, payload in frames)
        whole, cut = SerialLink("register"), SerialLink("register")
        expected = whole.receive_data(stream, now_s=0.0)
        assert [p for chunk in cuts(stream, positions) for p in cut.receive_data(chunk, now_s=0.0)] == expected
        assert sent(cut) == sent(whole)

    @given(st.binary(max_size=300))
    def test_any_bytes_are_harmless(self, data: bytes) -> None:
        link, _ = outstanding()
        link.receive_data(data, now_s=0.1)
        assert set(link.data_to_send()) <= {ACK, NAK, frame(1, b"{}\n", type_=0x11)}


class TestP26AnswersWithoutNumbers:
    def test_an_ack_counts_only_while_a_frame_is_outstanding(self) -> None:
        link = SerialLink("register")
        link.receive_data(ACK, now_s=0.0)
        link.send(b"a\n", now_s=0.0)
        assert (link.queued_frames, link.counters.acks_ignored) == (1, 1)

    def test_a_surplus_ack_does_not_acknowledge_the_next_frame(self) -> None:
        link, now_s = outstanding(b"a\n", sends=2)
        link.send(b"b\n", now_s=now_s)
        link.receive_data(ACK, now_s=now_s)
        assert sent(link) == b""
        link.receive_data(ACK, now_s=now_s + 0.1)
        assert sent(link) == frame(2, b"b\n", type_=0x11)
        assert link.queued_frames == 1

    def test_without_a_surplus_ack_the_next_frame_goes_when_none_can_come_any_more(self) -> None:
        link, now_s = outstanding(b"a\n", sends=2)
        answered_by_s = link.deadline_s() or 0.0
        link.send(b"b\n", now_s=now_s)
        link.receive_data(ACK, now_s=now_s)
        assert link.deadline_s() == answered_by_s
        link.handle_deadline(now_s=answered_by_s)
        assert sent(link) == frame(2, b"b\n", type_=0x11)

    def test_an_ack_inside_a_frame_is_handled_and_the_frame_is_read(self) -> None:
        link, _ = outstanding(b"a\n")
        assert link.receive_data(frame(1).replace(b"x", ACK + b"x"), now_s=0.1) == [b"x\n"]
        assert (link.queued_frames, sent(link)) == (0, ACK)

    def test_a_nak_inside_a_frame_repeats(self) -> None:
        link, _ = outstanding(b"a\n")
        assert link.receive_data(frame(1).replace(b"x", NAK + b"x"), now_s=0.1) == [b"x\n"]
        assert link.data_to_send() == [ACK, frame(1, b"a\n", type_=0x11)]

    def test_an_ack_inside_a_damaged_frame_is_not_believed(self) -> None:
        link, _ = outstanding(b"a\n")
        link.receive_data(frame(1).replace(b"x", ACK), now_s=0.1)
        assert (link.queued_frames, sent(link)) == (1, NAK)

    def test_a_restarted_register_is_recognised_by_its_connect_request(self) -> None:
        link = SerialLink("terminal")
        link.receive_data(frame(1, b"half a line", type_=0x11), now_s=0.0)
        again = frame(1, b'{"ConnectRequest":{}}\n', type_=0x11)
        assert link.receive_data(again, now_s=1.0) == [b"\n", b'{"ConnectRequest":{}}\n']
        assert link.counters.restarts_seen == 1

    @pytest.mark.parametrize("payload", [b"b\n", b"a\n"])
    def test_after_ten_seconds_of_silence_a_known_number_is_a_new_frame(self, payload: bytes) -> None:
        link = SerialLink("register")
        link.receive_data(frame(1, b"a\n"), now_s=0.0)
        assert link.receive_data(frame(1, payload), now_s=10.0) == [payload]

    def test_a_first_frame_refused_three_times_goes_once_more_under_the_next_number(self) -> None:
        link, _ = outstanding(b"a\n")
        for _ in range(2):
            link.receive_data(NAK, now_s=0.1)
            assert sent(link) == frame(1, b"a\n", type_=0x11)
        link.receive_data(NAK, now_s=0.1)
        assert (sent(link), link.failures()) == (frame(2, b"a\n", type_=0x11), [])
        link.receive_data(NAK, now_s=0.1)
        assert [(failure.payload, failure.sends) for failure in link.failures()] == [(b"a\n", 4)]

    def test_our_own_restart_is_survived_by_a_peer_that_remembers_the_number(self) -> None:
        terminal, register = SerialLink("terminal"), SerialLink("register")
        terminal.receive_data(frame(1, b"old\n", type_=0x11), now_s=0.0)
        terminal.data_to_send()
        register.send(b"new\n", now_s=0.5)
        got: list[bytes] = []
        for _ in range(5):
            got += terminal.receive_data(sent(register), now_s=0.6)
            register.receive_data(sent(terminal), now_s=0.6)
        assert (got, register.failures()) == ([b"new\n"], [])

    def test_the_limit_of_the_protocol_a_garbled_nak_is_believed(self) -> None:
        """Nothing on this layer can tell: only the answering message proves that a message was handled."""
        link, _ = outstanding(b"a\n")
        link.receive_data(NAK.replace(b"\x12", b"\x11"), now_s=0.1)
        assert (link.queued_frames, link.failures()) == (0, [])


class TestP28FramesEndAtLineFeeds:
    def test_long_payloads_are_cut_at_line_feeds(self) -> None:
        payload = b"".join(b"%05d" % n * 100 + b"\n" for n in range(100))
        parts = split_payload(payload)
        assert len(parts) == 3
        assert all(part.endswith(b"\n") for part in parts)

    def test_a_longer_line_is_never_cut_inside_a_letter(self) -> None:
        parts = split_payload(("x" + "ü" * 30_000 + "🙂" * 9_000).encode())
        assert "".join(part.decode() for part in parts) == "x" + "ü" * 30_000 + "🙂" * 9_000


class TestTheLaw:
    @pytest.mark.parametrize(("noise", "frames"), [(0.01, 5000), (0.0, 1000), (0.05, 300)])
    def test_every_message_arrives_once_and_in_order_or_the_sender_is_told(self, noise: float, frames: int) -> None:
        """Both directions at once, garbled bytes, lost answers and the repetitions they cause: 10,000 frames at 1 %."""
        world = World(seed=26, noise=noise)
        world.run(frames)
        for name, peer in (("register", "terminal"), ("terminal", "register")):
            got = world.got[peer]
            assert got == sorted(set(got))
            assert set(range(frames)) - set(got) <= world.told[name]
            assert world.links[peer].counters.repeats_received > 0
        assert bool(world.garbled["register"] > frames * noise) is bool(noise)
