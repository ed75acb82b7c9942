"""trace: a recorded conversation, readable and as a capture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.cli_counter import Counter, Result

from zahlwerk.transport.trace import TraceEvent, read_trace

Run = Callable[..., Result]


@pytest.fixture
def recorded(run: Run, counter: Callable[..., Counter], tmp_path: Path) -> Path:
    """The trace of one payment."""
    file = tmp_path / "payment.trace"
    assert run("pay", counter().url, "12.50", "--trace", str(file)).code == 0
    return file


def test_a_payment_is_readable(run: Run, recorded: Path) -> None:
    """Each message with its direction."""
    got = run("trace", str(recorded))

    assert got.code == 0
    assert "→ TransactionRequest" in got.out
    assert "← TransactionResponse" in got.out
    assert got.out.splitlines()[-1].split()[-1].endswith(")")


def test_programs_get_one_object_a_record(run: Run, recorded: Path) -> None:
    """As in the file."""
    got = run("trace", str(recorded), "--json")
    messages = [row for row in got.rows if row["event"] == "message"]

    assert (got.rows[0]["event"], got.rows[-1]["event"]) == ("opened", "closed")
    assert {"t", "mono", "link", "dir", "raw", "decoded"} <= set(messages[0])
    assert any("TransactionRequest" in row["decoded"] for row in messages)


def test_a_capture_is_written(run: Run, recorded: Path, tmp_path: Path) -> None:
    """It begins as pcapng begins (section header block)."""
    out = tmp_path / "payment.pcapng"
    got = run("trace", str(recorded), "--pcapng", str(out), "--json")

    assert got.code == 0
    assert got.last["packets"] > 10
    assert out.read_bytes()[:4] == bytes.fromhex("0a0d0d0a")


def test_a_capture_of_zvt_says_how_wireshark_shows_it(
    run: Run, counter: Callable[..., Counter], tmp_path: Path
) -> None:
    """Its dissector is tied to no port. Of two ports that nobody knows, either names the connection."""
    shop = counter("zvt+tcp")
    file, out = tmp_path / "talk.trace", tmp_path / "talk.pcapng"
    assert run("status", shop.url, "--trace", str(file)).code == 0
    got = run("trace", str(file), "--pcapng", str(out))

    opened = next(record for record in read_trace(file) if record.event is TraceEvent.OPENED)
    ports = [end.rpartition(":")[2] for end in (opened.local, opened.peer)]
    assert shop.url.rpartition(":")[2] in ports
    assert any(f"tshark -d tcp.port=={port},zvt -r {out}" in got.out for port in ports)


def test_a_capture_of_a_serial_line_has_the_usual_port(run: Run, tmp_path: Path) -> None:
    """There is none in the trace."""
    file = tmp_path / "serial.trace"
    line = '{"t":"2026-11-28T17:50:58.018+00:00","mono":1.0,"link":1,"event":"opened","protocol":"zvt",'
    file.write_text(line + '"local":"serial","peer":"/dev/ttyUSB0"}\n', encoding="utf-8")

    assert "-d tcp.port==20007,zvt" in run("trace", str(file), "--pcapng", str(tmp_path / "x.pcapng")).out


def test_what_is_no_trace_is_told_with_its_line(run: Run, tmp_path: Path) -> None:
    """Exit 65."""
    file = tmp_path / "no.trace"
    file.write_text("hello\n", encoding="utf-8")
    got = run("trace", str(file))

    assert got.code == 65
    assert got.err.startswith("Line 1 is no trace record")
    assert got.err.splitlines()[-1] == "→ give a file that was written with --trace"


def test_a_missing_file_is_a_wrong_call(run: Run, tmp_path: Path) -> None:
    """Exit 64, and no capture is begun."""
    missing, out = str(tmp_path / "missing.trace"), tmp_path / "out.pcapng"

    assert run("trace", missing).code == 64
    assert run("trace", missing, "--pcapng", str(out)).code == 64
    assert not out.exists()


def test_a_trace_that_cannot_be_written_stops_before_the_payment(run: Run, tmp_path: Path) -> None:
    """Exit 64, nothing was dialled."""
    got = run("pay", "virtual:", "1", "--trace", str(tmp_path / "no" / "such" / "folder"), "--json")

    assert got.code == 64
    assert got.last["money_moved"] == "no"
