"""decode: hexadecimal, JSON, files, standard input."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.cli_counter import Result

Run = Callable[..., Result]
STATUS = b'{"StatusResponse":{"TrmStatus":1,"TrmLng":"de","ESigInd":0}}'


def test_a_json_line_is_explained(run: Run) -> None:
    """As the design has it: ok, name, code, fields."""
    got = run("decode", "kit", STATUS.decode(), "--json")

    assert got.code == 0
    assert (got.last["ok"], got.last["name"], got.last["code"]) == (True, "StatusResponse", "04")
    assert set(got.last["fields"][0]) == {"tag", "name", "value", "raw"}


def test_hexadecimal_may_come_in_pieces(run: Run) -> None:
    """As it is copied from a log."""
    text = STATUS.hex(" ")

    assert run("decode", "kit", text, "--json").last["name"] == "StatusResponse"
    assert run("decode", "kit", *text.split(), "--json").last["name"] == "StatusResponse"


def test_people_see_names_and_meanings(run: Run) -> None:
    """Name, value, meaning."""
    got = run("decode", "kit", STATUS.decode())

    assert got.out.splitlines()[0] == "StatusResponse  04"
    assert "shift open" in got.out


def test_a_file_has_one_message_a_line(run: Run, tmp_path: Path) -> None:
    """JSON and hexadecimal, blank lines between."""
    file = tmp_path / "messages.txt"
    file.write_bytes(STATUS + b"\n\n" + STATUS.hex().encode() + b"\r\n" + b'{"HeartbeatRequest":{}}')
    got = run("decode", "kit", str(file), "--json")

    assert got.code == 0
    assert [row["name"] for row in got.rows] == ["StatusResponse", "StatusResponse", "HeartbeatRequest"]


def test_one_bad_line_does_not_hide_the_others(run: Run, tmp_path: Path) -> None:
    """But the exit code tells: 65."""
    file = tmp_path / "messages.txt"
    file.write_bytes(b"7b2Z\n" + STATUS + b"\n{oops\n")
    got = run("decode", "kit", str(file), "--json")

    assert got.code == 65
    assert [row["ok"] for row in got.rows] == [False, True, False]
    assert set(got.rows[0]) == {"ok", "error", "position"}
    assert run("decode", "kit", str(file)).out.count("not understood") == 2


def test_standard_input_is_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a hyphen, or without a source at all."""
    for words in (["-"], []):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(STATUS + b"\n")))

        assert run("decode", "kit", *words, "--json").last["name"] == "StatusResponse"


def test_a_recording_of_serial_frames_is_taken_whole(run: Run, tmp_path: Path) -> None:
    """It begins with the escape byte."""
    file = tmp_path / "line.bin"
    file.write_bytes(bytes.fromhex("1011 1012"))
    got = run("decode", "kit", str(file), "--json")

    assert got.code == 0
    assert [row["name"] for row in got.rows] == ["ACK", "NAK"]


def test_a_line_without_end_is_refused_and_the_next_is_read(run: Run, tmp_path: Path) -> None:
    """Memory stays bounded."""
    file = tmp_path / "long.txt"
    file.write_bytes(b"00" * (3 << 20) + b"\n" + STATUS + b"\n")
    got = run("decode", "kit", str(file), "--json")

    assert got.code == 65
    assert [row["ok"] for row in got.rows] == [False, True]


def test_card_numbers_are_masked(run: Run) -> None:
    """Published test number; nowhere in the output."""
    got = run("decode", "kit", '{"DisplayNotification":{"CardholderText":"4111 1111 1111 1111"}}')

    assert got.code == 0
    assert "1111 1111 1111" not in got.out


@pytest.mark.parametrize("protocol", ["mdb", "cctalk", "ocpp"])
def test_other_protocols_come_later(run: Run, protocol: str) -> None:
    """Exit 64, and a clear sentence."""
    got = run("decode", protocol, "00")

    assert got.code == 64
    assert got.err.splitlines()[0] == f"Decoding {protocol} comes with a later version."


@pytest.mark.parametrize("words", [["morse", "00"], ["kit", "missing.txt"], ["kit", "/no/such/file"]])
def test_a_wrong_protocol_or_file_is_a_wrong_call(run: Run, words: list[str]) -> None:
    """Exit 64."""
    assert run("decode", *words).code == 64


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["zvt", ""], 64, "There is nothing to decode."),
        (["zvt", "--language", "xx", "06 0F 00"], 64, "There are no words in 'xx'."),
        (["kit", "--language", "xx", "{}"], 64, "There are no words in 'xx'."),
        (["zvt", "nofile"], 65, "not hexadecimal: 'n', and there is no such file (at byte 0)"),
        (["zvt", '{"a":1}'], 65, "not hexadecimal: '{', and there is no such file (at byte 0)"),
        (["zvt", "06"], 0, "ACK"),
        (["zvt", "07"], 65, "the APDU is cut: 1 byte, not even its length (at byte 1)"),
        (["zvt", "06 01 0E 04"], 65, "the APDU is cut: 4 bytes of 17 (at byte 4)"),
        (["zvt", "06 D3 FF 95"], 65, "the APDU is cut: 4 bytes, not even its length (at byte 4)"),
        (["zvt", "06 D3 FF 95 01 06"], 65, "the APDU is cut: 6 bytes of 410 (at byte 6)"),
        (["zvt", "06 0F 00 06"], 65, "the APDU is cut: 1 byte, not even its length (at byte 4)"),
    ],
)
def test_what_cannot_be_decoded_is_told_in_a_sentence(run: Run, words: list[str], code: int, sentence: str) -> None:
    """ZVT fact sheet 1.1 and 7.9 for the lengths."""
    got = run("decode", *words)

    assert got.code == code
    assert sentence in got.out + got.err


def test_what_is_neither_is_told_with_its_position(run: Run) -> None:
    """Exit 65."""
    got = run("decode", "kit", "zz", "--json")

    assert (got.code, got.last["ok"], got.last["position"]) == (65, False, 0)
