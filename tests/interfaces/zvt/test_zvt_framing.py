"""APDUs as bytes and on TCP. Source: ZVT fact sheet 1.1, 1.2."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.interfaces.zvt.zvt_serial_world import cuts

from zahlwerk.errors import InvalidRequest, RemoteProtocolError
from zahlwerk.interfaces.zvt.framing import (
    APDU_BYTES_MAX,
    ApduDecoder,
    Link,
    LinkFailure,
    PlainLink,
    apdu_header,
    make_apdu,
    split_apdu,
)
from zahlwerk.interfaces.zvt.serial_link import SerialLink

PAYMENT = bytes.fromhex("06 01 0E 04 00 00 00 00 12 50 49 09 78 19 40 06 00")  # fact sheet 7.2
POSITIVE = bytes.fromhex("80 00 00")

apdus = st.builds(
    make_apdu, st.integers(0, 0xFFFF), st.binary(max_size=20) | st.sampled_from([253, 254, 255, 256, 300]).map(bytes)
)
long_forms = st.builds(
    lambda code, data: code.to_bytes(2, "big") + b"\xff" + len(data).to_bytes(2, "little") + data,
    st.integers(0, 0xFFFF),
    st.binary(max_size=20),
)


class TestLength:
    @pytest.mark.parametrize(
        ("size", "header"),
        [
            pytest.param(0, "06 D3 00", id="nothing"),
            pytest.param(253, "06 D3 FD", id="short"),
            pytest.param(254, "06 D3 FE", id="longest short"),
            pytest.param(255, "06 D3 FF FF 00", id="shortest long"),
            pytest.param(256, "06 D3 FF 00 01", id="low byte first"),
            pytest.param(405, "06 D3 FF 95 01", id="fact sheet 7.9"),
            pytest.param(65535, "06 D3 FF FF FF", id="longest"),
        ],
    )
    def test_boundaries_of_the_forms(self, size: int, header: str) -> None:
        apdu = make_apdu(0x06D3, bytes(size))

        assert apdu_header(0x06D3, size) == bytes.fromhex(header)
        assert apdu == bytes.fromhex(header) + bytes(size)
        assert split_apdu(apdu) == (0x06D3, bytes(size))
        assert ApduDecoder().feed(apdu) == [apdu]

    @pytest.mark.parametrize("size", [65536, -1])
    def test_a_block_that_no_length_can_tell_is_refused(self, size: int) -> None:
        with pytest.raises(InvalidRequest, match="an APDU holds 65535 at most"):
            apdu_header(0x06D3, size)

    def test_one_byte_too_many_is_refused(self) -> None:
        with pytest.raises(InvalidRequest):
            make_apdu(0x06D3, bytes(65536))

    @pytest.mark.parametrize("code", [-1, 0x10000])
    def test_a_control_field_has_two_bytes(self, code: int) -> None:
        with pytest.raises(InvalidRequest, match="control field"):
            apdu_header(code, 0)

    def test_the_long_form_of_a_short_block_is_accepted(self) -> None:
        apdu = bytes.fromhex("06 D1 FF 05 00 00 61 62 63 64")

        assert split_apdu(apdu) == (0x06D1, b"\x00abcd")
        assert ApduDecoder().feed(apdu + POSITIVE) == [apdu, POSITIVE]


class TestSplit:
    @given(apdus | long_forms)
    def test_every_beginning_is_too_short_and_every_end_too_long(self, apdu: bytes) -> None:
        for size in range(len(apdu)):
            with pytest.raises(RemoteProtocolError) as short:
                split_apdu(apdu[:size])
            assert short.value.position == size
        with pytest.raises(RemoteProtocolError) as long:
            split_apdu(apdu + b"\x00")
        assert long.value.position == len(apdu)

    @given(st.binary(max_size=300))
    def test_any_bytes_are_an_apdu_or_an_error_that_shows_no_data(self, data: bytes) -> None:
        if ApduDecoder().feed(data) == [data]:
            code, block = split_apdu(data)
            assert data[:2] == code.to_bytes(2, "big")
            assert data.endswith(block)
            return
        with pytest.raises(RemoteProtocolError) as raised:
            split_apdu(data)
        assert raised.value.data == b""
        assert raised.value.position in range(len(data) + 1)


class TestDecoder:
    @given(st.lists(apdus | long_forms, max_size=5), st.lists(st.integers(0, 5000), max_size=10))
    def test_any_chunking_gives_the_same_apdus(self, sent: list[bytes], positions: list[int]) -> None:
        stream = b"".join(sent)
        for chunks in (cuts(stream, positions), [stream], [bytes((byte,)) for byte in stream]):
            decoder = ApduDecoder()
            assert [apdu for chunk in chunks for apdu in decoder.feed(chunk)] == sent
            assert decoder.pending_bytes == 0

    def test_every_split_of_two_apdus(self) -> None:
        stream = PAYMENT + POSITIVE
        for cut in range(len(stream) + 1):
            decoder = ApduDecoder()
            assert decoder.feed(stream[:cut]) + decoder.feed(stream[cut:]) == [PAYMENT, POSITIVE]

    @given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=10))
    def test_any_bytes_in_any_chunking_are_cut_the_same(self, data: bytes, positions: list[int]) -> None:
        whole, cut = ApduDecoder(), ApduDecoder()
        apdus = whole.feed(data)

        assert [apdu for chunk in cuts(data, positions) for apdu in cut.feed(chunk)] == apdus
        assert cut.pending_bytes == whole.pending_bytes == len(data) - sum(map(len, apdus))
        assert [make for apdu in apdus for make in ApduDecoder().feed(apdu)] == apdus

    def test_the_longest_apdu_byte_by_byte_is_held_in_bounds(self) -> None:
        apdu = make_apdu(0x06D3, bytes(65535))
        decoder = ApduDecoder()
        for byte in apdu[:-1]:
            assert decoder.feed(bytes((byte,))) == []
        assert decoder.pending_bytes == APDU_BYTES_MAX - 1 == 65539
        assert decoder.feed(apdu[-1:]) == [apdu]
        assert decoder.pending_bytes == 0

    def test_reset_forgets_the_unfinished_apdu(self) -> None:
        decoder = ApduDecoder()
        decoder.feed(PAYMENT[:-1])
        decoder.reset()
        assert decoder.feed(POSITIVE) == [POSITIVE]


class TestPlainLink:
    """Fact sheet 1.2."""

    def test_it_passes_bare_apdus_both_ways(self) -> None:
        link: Link = PlainLink()
        link.send(PAYMENT, now_s=0.0)
        link.send(POSITIVE, now_s=0.0)
        assert (link.data_to_send(), link.data_to_send()) == ([PAYMENT, POSITIVE], [])
        assert link.receive_data(PAYMENT + POSITIVE, now_s=0.0) == [PAYMENT, POSITIVE]
        assert (link.deadline_s(), link.failures(), link.problem()) == (None, [], None)

    def test_an_apdu_in_pieces_is_whole_just_before_t3(self) -> None:
        link = PlainLink()
        assert link.receive_data(PAYMENT[:1], now_s=10.0) == []
        assert link.deadline_s() == 15.0
        assert link.receive_data(PAYMENT[1:-1], now_s=14.0) == []
        assert link.deadline_s() == 15.0
        link.handle_deadline(now_s=14.999)
        assert link.receive_data(PAYMENT[-1:], now_s=14.999) == [PAYMENT]
        assert (link.deadline_s(), link.problem()) == (None, None)

    @pytest.mark.parametrize("rung", [True, False], ids=["the deadline came first", "the bytes came first"])
    def test_pieces_that_take_t3_in_total_break_the_connection(self, rung: bool) -> None:
        """The sender has given the procedure up by then: what comes late must not be acted on."""
        link = PlainLink()
        link.receive_data(PAYMENT[:-1], now_s=10.0)
        for _ in range(rung):
            link.handle_deadline(now_s=15.0)

        assert link.receive_data(PAYMENT[-1:] + POSITIVE, now_s=15.0) == []

        problem = link.problem()
        assert problem is not None
        assert str(problem) == "an APDU began, and its rest did not come within 5 s (at byte 16)"
        assert link.deadline_s() is None

    def test_what_came_before_the_broken_apdu_stays_delivered(self) -> None:
        link = PlainLink()
        assert link.receive_data(POSITIVE + PAYMENT[:5], now_s=0.0) == [POSITIVE]
        link.handle_deadline(now_s=5.0)
        assert link.problem() is not None

    def test_each_apdu_has_its_own_time(self) -> None:
        link = PlainLink(t3_s=2.0)
        link.receive_data(PAYMENT[:5], now_s=0.0)
        assert link.receive_data(PAYMENT[5:] + POSITIVE[:1], now_s=1.5) == [PAYMENT]
        assert link.deadline_s() == 3.5

    def test_silence_between_apdus_is_no_problem(self) -> None:
        link = PlainLink()
        link.receive_data(PAYMENT, now_s=0.0)
        link.handle_deadline(now_s=1e6)
        assert link.receive_data(POSITIVE, now_s=1e6) == [POSITIVE]

    def test_after_reset_it_is_as_new(self) -> None:
        link = PlainLink()
        link.send(PAYMENT, now_s=0.0)
        link.receive_data(PAYMENT[:5], now_s=0.0)
        link.handle_deadline(now_s=5.0)
        link.reset()
        assert (link.problem(), link.data_to_send(), link.deadline_s()) == (None, [], None)
        assert link.receive_data(POSITIVE, now_s=6.0) == [POSITIVE]


def test_a_given_up_apdu_is_not_shown() -> None:
    """It may hold card data."""
    assert repr(LinkFailure(b"secret", 3, "not acknowledged")) == "LinkFailure(sends=3, reason='not acknowledged')"


def test_both_links_fit_the_seam() -> None:
    links: list[Link] = [PlainLink(), SerialLink()]
    for link in links:
        link.send(POSITIVE, now_s=0.0)
        assert b"".join(link.data_to_send()).count(POSITIVE) == 1
