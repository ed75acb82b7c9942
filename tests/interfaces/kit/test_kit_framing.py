"""Lines are cut from bytes, the same for every chunking, in bounded memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.interfaces.kit.kit_strategies import cuts

from zahlwerk.interfaces.kit.framing import LINE_BYTES_MAX, LineDecoder, Link, OversizeLine, PlainLink
from zahlwerk.interfaces.kit.serial_link import SerialLink

streams = st.lists(
    st.sampled_from([b"\n", b"\r\n", b" ", b"a", b"{}", "é".encode(), b"x" * 7, b"\x00", b"\xff"]), max_size=40
).map(b"".join)


def lines_of(chunks: list[bytes], limit: int = 16) -> list[bytes | OversizeLine]:
    decoder = LineDecoder(limit_bytes=limit)
    return [line for chunk in chunks for line in decoder.feed(chunk)]


@given(streams, st.lists(st.integers(0, 500), max_size=10))
def test_any_chunking_gives_the_same_lines(stream: bytes, positions: list[int]) -> None:
    assert lines_of(cuts(stream, positions)) == lines_of([stream]) == lines_of([bytes([byte]) for byte in stream])


@given(streams, st.integers(0, 3))
def test_memory_is_bounded(stream: bytes, repeat: int) -> None:
    decoder = LineDecoder(limit_bytes=16)
    for chunk in (stream,) * repeat:
        decoder.feed(chunk)
        assert decoder.pending_bytes <= 16


def test_line_feeds_carriage_returns_blanks_and_empty_lines() -> None:
    assert lines_of([b"a\r\n\n \r\n\t\n b \nc"]) == [b"a", b"b"]


def test_a_letter_cut_in_two_is_whole_again() -> None:
    assert lines_of([b"Z\xc3", b"\xbcrich\n"]) == ["Zürich".encode()]


def test_a_line_at_the_limit_is_a_line() -> None:
    assert lines_of([b"x" * 16 + b"\n"]) == [b"x" * 16]


def test_a_line_over_the_limit_is_reported_once_and_the_next_is_read() -> None:
    assert lines_of([b"x" * 10, b"x" * 7, b"x" * 1000, b"x\n", b"next\n"]) == [OversizeLine(17), b"next"]


def test_an_oversize_line_is_reported_before_its_end() -> None:
    assert lines_of([b"x" * 17]) == [OversizeLine(17)]


def test_the_default_limit_is_a_mebibyte() -> None:
    decoder = LineDecoder()
    assert decoder.feed(b"x" * LINE_BYTES_MAX) == []
    assert decoder.pending_bytes == LINE_BYTES_MAX == 1 << 20
    assert decoder.feed(b"x") == [OversizeLine(LINE_BYTES_MAX + 1)]
    assert decoder.pending_bytes == 0


def test_reset_forgets_the_unfinished_line() -> None:
    decoder = LineDecoder()
    decoder.feed(b"half")
    decoder.reset()
    assert decoder.feed(b"whole\n") == [b"whole"]


def test_a_plain_link_passes_bytes_and_awaits_nothing() -> None:
    link: Link = PlainLink()
    link.send(b"a", now_s=0.0)
    link.send(b"b", now_s=0.0)
    assert (link.data_to_send(), link.data_to_send()) == ([b"a", b"b"], [])
    assert link.receive_data(b"x\ny", now_s=0.0) == [b"x\ny"]
    assert link.receive_data(b"", now_s=0.0) == []
    link.handle_deadline(now_s=9.0)
    assert (link.deadline_s(), link.failures()) == (None, [])


def test_reset_of_a_plain_link_forgets_what_was_queued() -> None:
    link = PlainLink()
    link.send(b"a", now_s=0.0)
    link.reset()
    assert link.data_to_send() == []


def test_both_links_have_the_same_seam() -> None:
    links: list[Link] = [PlainLink(), SerialLink("register"), SerialLink("terminal")]
    assert len(links) == 3
