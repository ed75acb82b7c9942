"""Hex dumps and typed hex."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zahlwerk.codec.hexdump import hexdump, parse_hex
from zahlwerk.errors import RemoteProtocolError


def test_a_dump_shows_offset_hexadecimal_and_text() -> None:
    assert hexdump(bytes(range(0x3C, 0x4E)) + b"\x00\xff") == (
        "00000000  3c 3d 3e 3f 40 41 42 43  44 45 46 47 48 49 4a 4b  <=>?@ABCDEFGHIJK\n"
        "00000010  4c 4d 00 ff                                       LM.."
    )


def test_nothing_dumps_to_nothing() -> None:
    assert hexdump(b"") == ""


@given(st.binary(max_size=100))
def test_a_dump_holds_all_bytes_in_equally_wide_columns(data: bytes) -> None:
    lines = hexdump(data).splitlines()
    assert b"".join(parse_hex(line[10:58]) for line in lines) == data
    assert {line[58:60] for line in lines} <= {"  "}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("060107", id="plain"),
        pytest.param("06 01 07", id="blanks"),
        pytest.param("06:01:07", id="colons"),
        pytest.param("06-01-07", id="hyphens"),
        pytest.param("0x06, 0x01, 0x07", id="prefixes"),
        pytest.param("0x6,0x1,0x7", id="single digits"),
        pytest.param("0x060x010x07", id="prefixes without gaps"),
        pytest.param("0X0601 07", id="capital prefix"),
        pytest.param("\\x06\\x01\\x07", id="as in a program"),
        pytest.param("\n 06\r\n\t0107 \n", id="lines"),
    ],
)
def test_every_usual_way_of_writing_hexadecimal_is_understood(text: str) -> None:
    assert parse_hex(text) == b"\x06\x01\x07"


def test_blank_text_means_no_bytes() -> None:
    assert parse_hex(" \n") == b""


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        pytest.param("06 0g", 4, "not hexadecimal", id="a letter"),
        pytest.param("zz", 0, "not hexadecimal", id="at the start"),
        pytest.param("06 017", 5, "half a byte", id="odd run"),
        pytest.param("0x", 1, "not hexadecimal", id="a prefix alone"),
        pytest.param("06\u0661\u0662", 2, "not hexadecimal", id="digits of another script"),
    ],
)
def test_bad_text_is_refused_with_its_position(text: str, position: int, words: str) -> None:
    with pytest.raises(RemoteProtocolError, match=words) as caught:
        parse_hex(text)
    assert caught.value.position == position


@given(st.binary(max_size=64), st.sampled_from(["", " ", ":", "\n", "-"]))
def test_what_was_written_is_read_back(data: bytes, gap: str) -> None:
    assert parse_hex(gap.join(f"{byte:02X}" for byte in data)) == data


@given(st.text(alphabet="0123456789abcdefxX\\ :g\n", max_size=40))
def test_any_text_is_read_or_refused_within_its_length(text: str) -> None:
    with contextlib.suppress(RemoteProtocolError):
        assert len(parse_hex(text)) <= len(text)
