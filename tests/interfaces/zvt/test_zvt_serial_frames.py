"""Frames of the serial line, byte for byte. Source: ZVT fact sheet 1.3, examples 7.14."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.interfaces.zvt.zvt_serial_world import cuts

from zahlwerk.codec.crc import crc16_kermit
from zahlwerk.interfaces.zvt.framing import APDU_BYTES_MAX, make_apdu, split_apdu
from zahlwerk.interfaces.zvt.serial_frames import (
    BadFrame,
    Control,
    Frame,
    FrameDecoder,
    Item,
    encode_frame,
    wire_seconds,
)

# APDU, and what is on the line. Source: fact sheet 7.14.
EXAMPLES = [
    pytest.param("06 01 0A 04 00 00 00 00 10 10 49 09 78",
        "10 02 06 01 0A 04 00 00 00 00 10 10 10 10 49 09 78 10 03 67 D4", id="payment of 10.10"),
    pytest.param("06 00 15 00 00 00 BE 09 78 06 0D 12 01 42 1A 02 04 00 26 04 0A 02 06 D3",
        "10 02 06 00 15 00 00 00 BE 09 78 06 0D 12 01 42 1A 02 04 00 26 04 0A 02 06 D3 10 03 DF CB", id="registration"),
    pytest.param("06 01 0E 04 00 00 00 00 12 50 49 09 78 19 40 06 00",
        "10 02 06 01 0E 04 00 00 00 00 12 50 49 09 78 19 40 06 00 10 03 F9 BE", id="payment of 12.50"),
    pytest.param("05 01 00", "10 02 05 01 00 10 03 10 06", id="status enquiry, 10 in the check sum"),
    pytest.param("80 00 00", "10 02 80 00 00 10 03 F5 1F", id="positive"),
    pytest.param("84 00 00", "10 02 84 00 00 10 03 19 6D", id="positive, alternative"),
    pytest.param("84 9C 00", "10 02 84 9C 00 10 03 C3 41", id="repeat in 2 s"),
    pytest.param("84 83 00", "10 02 84 83 00 10 03 91 8E", id="unknown"),
    pytest.param("84 66 00", "10 02 84 66 00 10 03 8D BE", id="goods not issued"),
    pytest.param("84 A0 00", "10 02 84 A0 00 10 03 CE 62", id="not ready"),
    pytest.param("84 CC 00", "10 02 84 CC 00 10 03 20 C2", id="printer not ready"),
    pytest.param("06 0F 00", "10 02 06 0F 00 10 03 C6 33", id="completion"),
    pytest.param("06 02 00", "10 02 06 02 00 10 03 B9 CC", id="log-off"),
    pytest.param("06 B0 00", "10 02 06 B0 00 10 03 43 F3", id="abort by the register"),
    pytest.param("06 1E 01 6C", "10 02 06 1E 01 6C 10 03 C9 F2", id="abort 6C"),
]  # fmt: skip

POSITIVE = bytes.fromhex("80 00 00")
POSITIVE_FRAME = bytes.fromhex("10 02 80 00 00 10 03 F5 1F")
MARKS = [b"\x10", b"\x02", b"\x03", b"\x06", b"\x15", b"\x80", b"\x00", b"\xff", b"\x10\x02", b"\x10\x03", b"\x10\x10",
    POSITIVE_FRAME, POSITIVE_FRAME[:-2], b"a"]  # fmt: skip

apdus = st.builds(
    make_apdu, st.integers(0, 0xFFFF), st.lists(st.sampled_from(MARKS), max_size=30).map(b"".join) | st.binary()
)
hostile = st.lists(st.sampled_from(MARKS), max_size=40).map(b"".join) | st.binary(max_size=200)


def found(data: bytes) -> list[Item]:
    return FrameDecoder().feed(data)


class TestExamples:
    @pytest.mark.parametrize(("apdu", "line"), EXAMPLES)
    def test_both_ways_byte_for_byte(self, apdu: str, line: str) -> None:
        assert encode_frame(bytes.fromhex(apdu)).hex(" ").upper() == line
        assert found(bytes.fromhex(line)) == [Frame(bytes.fromhex(apdu))]

    @pytest.mark.parametrize(("apdu", "line"), EXAMPLES)
    def test_in_every_split(self, apdu: str, line: str) -> None:
        wire = bytes.fromhex(line)
        for cut in range(len(wire) + 1):
            decoder = FrameDecoder()
            assert decoder.feed(wire[:cut]) + decoder.feed(wire[cut:]) == [Frame(bytes.fromhex(apdu))]

    def test_the_check_sum_of_the_first_example_is_that_of_apdu_and_etx(self) -> None:
        assert crc16_kermit(bytes.fromhex("06 01 0A 04 00 00 00 00 10 10 49 09 78 03")) == 0xD467


class TestDoubling:
    def test_a_length_of_16_is_doubled(self) -> None:
        apdu = make_apdu(0x06D1, bytes(16))
        assert encode_frame(apdu)[:7] == bytes.fromhex("10 02 06 D1 10 10 00")
        assert found(encode_frame(apdu)) == [Frame(apdu)]

    def test_data_that_looks_like_marks_comes_through(self) -> None:
        apdu = make_apdu(0x0610, bytes.fromhex("10 02 10 03 10 10 06 15 10"))
        assert found(encode_frame(apdu)) == [Frame(apdu)]

    @pytest.mark.parametrize("size", [254, 255, 256, 65535])
    def test_the_boundaries_of_the_length_field(self, size: int) -> None:
        apdu = make_apdu(0x06D3, b"\x10" * size)
        assert found(encode_frame(apdu)) == [Frame(apdu)]

    @given(apdus, st.lists(st.integers(0, 999), max_size=8))
    def test_every_apdu_survives_any_chunking(self, apdu: bytes, positions: list[int]) -> None:
        decoder = FrameDecoder()
        wire = encode_frame(apdu) * 2
        assert [item for chunk in cuts(wire, positions) for item in decoder.feed(chunk)] == [Frame(apdu)] * 2
        assert decoder.stray_bytes == decoder.pending_bytes == 0


class TestReceiver:
    @pytest.mark.parametrize(("line", "items"), [
        pytest.param("06", [Control.ACK], id="ACK"),
        pytest.param("15 06", [Control.NAK, Control.ACK], id="NAK, ACK"),
        pytest.param("06 10 02 80 00 00 10 03 F5 1F 06", [Control.ACK, Frame(POSITIVE), Control.ACK], id="around a frame"),
        pytest.param("41 10 02 80 00 00 10 03 F5 1F", [Frame(POSITIVE)], id="noise before"),
        pytest.param("10 10 02 80 00 00 10 03 F5 1F", [Frame(POSITIVE)], id="a stray 10 before"),
        pytest.param("10 02 06 0F 10 02 80 00 00 10 03 F5 1F", [Frame(POSITIVE)], id="a start within a frame"),
        pytest.param("02 06 01 06 15", [], id="no ACK in the rest of a frame whose start was lost"),
        pytest.param("41 10 10 02 80 00 00 10 03 F5 1F", [], id="no start in the doubled data of such a rest"),
        pytest.param("10 02 80 00 00 10 03 F5 1E", [BadFrame("wrong check sum", 3)], id="check sum"),
        pytest.param("10 02 80 00 00 10 03 1F F5", [BadFrame("wrong check sum", 3)], id="check sum turned round"),
        pytest.param("10 02 80 00 10 41 00 10 03 F5 1F", [BadFrame("10 before something that is neither data nor a mark", 2)], id="unknown escape"),
        pytest.param("10 02 10 03 8D 32 06", [BadFrame("wrong check sum", 0)], id="an ACK right behind a bad frame waits"),
    ])  # fmt: skip
    def test_what_came_and_what_it_is(self, line: str, items: list[Item]) -> None:
        assert found(bytes.fromhex(line)) == items

    @pytest.mark.parametrize(
        ("content", "bad"),
        [
            pytest.param("", BadFrame("the APDU ends too early", 0), id="nothing in it"),
            pytest.param("06 0F", BadFrame("the APDU ends too early", 2), id="too short"),
            pytest.param("06 0F 00 00", BadFrame("bytes after the end of the APDU", 3), id="too long"),
            pytest.param("06 D1 FF 05 00 61", BadFrame("the APDU ends too early", 6), id="long form too short"),
        ],
    )
    def test_a_right_check_sum_over_a_wrong_length_is_a_bad_frame(self, content: str, bad: BadFrame) -> None:
        assert found(encode_frame(bytes.fromhex(content))) == [bad]

    def test_after_silence_a_control_counts_again(self) -> None:
        decoder = FrameDecoder()
        assert decoder.feed(b"A\x06") == []
        assert decoder.quiet() is None
        assert decoder.feed(b"\x06") == [Control.ACK]
        assert decoder.stray_bytes == 2

    @pytest.mark.parametrize("size", range(2, 9))
    def test_a_frame_that_stops_is_bad(self, size: int) -> None:
        decoder = FrameDecoder()
        assert decoder.feed(POSITIVE_FRAME[:size]) == []
        assert decoder.in_frame
        assert isinstance(decoder.quiet(), BadFrame)
        assert not decoder.in_frame
        assert decoder.feed(POSITIVE_FRAME) == [Frame(POSITIVE)]

    def test_a_frame_without_end_is_bounded_and_reported_once(self) -> None:
        decoder = FrameDecoder()
        assert decoder.feed(b"\x10\x02" + b"a" * APDU_BYTES_MAX) == []
        assert decoder.pending_bytes == APDU_BYTES_MAX
        assert decoder.feed(b"a" * 300_000) == [BadFrame("longer than any APDU", APDU_BYTES_MAX)]
        assert decoder.pending_bytes == 0
        assert decoder.feed(POSITIVE_FRAME) == [Frame(POSITIVE)]

    @given(hostile, st.lists(st.integers(0, 200), max_size=8))
    def test_any_bytes_in_any_chunking_are_read_the_same(self, data: bytes, positions: list[int]) -> None:
        whole, cut = FrameDecoder(), FrameDecoder()
        items = whole.feed(data)

        assert [item for chunk in cuts(data, positions) for item in cut.feed(chunk)] == items
        assert (cut.in_frame, cut.pending_bytes) == (whole.in_frame, whole.pending_bytes)
        for frame in (item for item in items if isinstance(item, Frame)):
            split_apdu(frame.apdu)

    @given(hostile)
    def test_after_any_bytes_and_silence_the_next_frame_is_found(self, data: bytes) -> None:
        decoder = FrameDecoder()
        decoder.feed(data)
        decoder.quiet()
        assert decoder.feed(POSITIVE_FRAME) == [Frame(POSITIVE)]

    @given(apdus, st.integers(0), st.integers(1, 255))
    def test_one_damaged_byte_never_makes_another_apdu_or_an_ack(self, apdu: bytes, place: int, change: int) -> None:
        """But for a damaged first byte: that one may read as an ACK."""
        wire = bytearray(encode_frame(apdu))
        place = 1 + place % (len(wire) - 1)
        wire[place] ^= change
        assert not {Control.ACK, Frame(apdu)} & set(found(bytes(wire)))
        assert not [item for item in found(bytes(wire)) if isinstance(item, Frame)]


def test_a_frame_does_not_show_what_is_in_it() -> None:
    assert repr(Frame(POSITIVE)) == "Frame(3 bytes)"


def test_a_byte_takes_eleven_bits() -> None:
    """Fact sheet 1.3: 9600 baud, two stop bits."""
    assert wire_seconds(9600) == 11.0
    assert wire_seconds(115200, 115200) == 11.0
