"""Wireshark's own ZVT dissector reads what we export: a whole day, every APDU recognised, none malformed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from zahlwerk.money import Money
from zahlwerk.payment import PaymentRequest
from zahlwerk.transport.pcapng import write_pcapng
from zahlwerk.transport.trace import TraceEvent, TraceRecorder, read_trace
from zahlwerk.urls import Context, connect, listen

TSHARK = shutil.which("tshark") or ""


async def day(recorded: Path) -> int:
    """Payments, declines, a reversal, a refund, a hold, a copy, status, totals, end of day; the terminal's port."""
    recorder = TraceRecorder(recorded)
    terminal = connect("virtual:?card=visa&speed=0&shift=open&seed=3")
    endpoint = listen("zvt+tcp://127.0.0.1:0", terminal)
    url = await endpoint.start()
    register = connect(f"{url}?currency=CHF&poll=0", Context(trace=recorder))
    async with register:
        paid = await register.pay("12.50 CHF")
        await register.pay(PaymentRequest(amount=Money.of(2000, "CHF"), tip=Money.of(150, "CHF")))
        for refused in ("900.51 CHF", "900.05 CHF", "900.55 CHF"):
            await register.pay(refused)
        last = await register.pay("4.20 CHF")
        await register.reverse(sequence=last.sequence)
        await register.refund("1.00 CHF")
        hold = await register.hold("50.00 CHF")
        await hold.capture("8.40 CHF")
        await register.open_entries()
        await register.receipt(number=paid.sequence)
        await register.status()
        await register.set_language("de")
        await register.totals()
        await register.end_of_day()
    await endpoint.close()
    await terminal.close()
    recorder.close()
    assert url.port is not None
    return url.port


NOT_IN_THE_DISSECTOR = {
    "0501": "status enquiry", "0610": "turnover totals", "0620": "repeat receipt", "0622": "reservation",
    "0623": "partial reversal, enquiry", "0624": "book total", "0830": "select language",
}  # fmt: skip
"""Commands that tshark 4.0.17 passes over as plain TCP: its table of control fields does not have them."""


def dissected(capture: Path, port: int, shown: str, column: str = "frame.number") -> list[str]:
    """A column of the packets that a display filter lets through."""
    command = [
        TSHARK,
        "-r",
        str(capture),
        "-d",
        f"tcp.port=={port},zvt",
        "-Y",
        shown,
        "-T",
        "fields",
        "-e",
        column,
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


@pytest.mark.skipif(
    not TSHARK, reason="tshark is not installed, so nobody but us has read our captures: apt install tshark"
)
async def test_every_apdu_of_a_day_is_recognised_and_none_is_malformed(tmp_path: Path) -> None:
    recorded, capture = tmp_path / "day.jsonl", tmp_path / "day.pcapng"
    port = await day(recorded)
    messages = sum(record.event is TraceEvent.MESSAGE for record in read_trace(recorded))

    write_pcapng(read_trace(recorded), capture)

    passed_over = dissected(capture, port, "tcp.len > 0 && !zvt", "tcp.payload")
    assert messages > 150
    assert len(dissected(capture, port, "zvt")) + len(passed_over) == messages
    assert {payload[:4] for payload in passed_over} <= set(NOT_IN_THE_DISSECTOR)
    assert dissected(capture, port, "_ws.malformed") == []
    # What the dissector does not know is named all the same: by the packet's comment.
    unknown = f"tcp.len > 0 && tcp.port == {port} && !zvt"
    names = dissected(capture, port, unknown, "frame.comment")
    assert set(names) <= {"status_enquiry", "turnover_totals", "repeat_receipt", "reservation", "partial_reversal",
                          "book_total", "select_language"}, names  # fmt: skip
    assert len(names) == len(passed_over)
