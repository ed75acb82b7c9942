"""The virtual terminal's keypad as lines of text."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from zahlwerk.cli.keypad import KEYS, press, typed_lines
from zahlwerk.payment import Outcome
from zahlwerk.virtual.settings import Settings
from zahlwerk.virtual.terminal import VirtualTerminal


@pytest.fixture
async def terminal() -> AsyncIterator[VirtualTerminal]:
    """One at which nothing happens by itself."""
    async with VirtualTerminal(Settings(card="none", speed=0, shift_open=True)) as one:
        yield one


async def _turns() -> None:
    """Whatever can run now, runs."""
    for _ in range(200):
        await asyncio.sleep(0)


async def test_a_payment_is_done_by_hand(terminal: VirtualTerminal) -> None:
    """Card, PIN, out again."""
    payment = asyncio.create_task(terminal.pay("5 CHF"))
    await _turns()
    assert await press(terminal, "pin ok") == (True, "the right PIN is typed")
    assert await press(terminal, "card visa-chip") == (True, "the card visa-chip is shown")
    await _turns()
    await press(terminal, "remove")

    assert (await payment).outcome is Outcome.APPROVED


async def test_stop_ends_a_payment(terminal: VirtualTerminal) -> None:
    """The red key."""
    payment = asyncio.create_task(terminal.pay("5 CHF"))
    await _turns()

    assert await press(terminal, "stop") == (True, "stop")
    assert (await payment).outcome is Outcome.ABORTED


async def test_a_payment_is_typed_in(terminal: VirtualTerminal) -> None:
    """Standalone, and in the host's books."""
    worked, answer = await press(terminal, "pay 5.00 visa")

    assert worked
    assert answer == "APPROVED CHF 5.00 VISA 411111XXXXXX1111"
    assert "CHF 5.00 VISA" in (await press(terminal, "books"))[1]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        pytest.param("tip 1.00", "a tip of 1.00 is typed", id="tip"),
        pytest.param("sign", "signed", id="sign"),
        pytest.param("choose", "the first application of the card is chosen", id="choose"),
        pytest.param("currency card", "the currency of the card is chosen", id="currency"),
        pytest.param("answer yes please", "answered", id="answer"),
        pytest.param("scan 7612345678900", "7612345678900 is scanned", id="scan"),
        pytest.param("paper out", "the paper is out", id="paper out"),
        pytest.param("paper in", "a new roll of paper is in", id="paper in"),
        pytest.param("shift close", "the shift is closed", id="shift close"),
        pytest.param("shift open", "the shift is open", id="shift open"),
        pytest.param("pin wrong", "a wrong PIN is typed", id="pin"),
        pytest.param("remove", "there was no card to take", id="remove"),
        pytest.param("stop", "the stop key does nothing now", id="stop"),
        pytest.param("show", "open; the display shows «Willkommen»", id="show"),
        pytest.param("books", "the host's books are empty", id="books"),
        pytest.param("crash", "the terminal restarts", id="crash"),
    ],
)
async def test_keys_answer(terminal: VirtualTerminal, line: str, answer: str) -> None:
    """One sentence each."""
    assert await press(terminal, line) == (True, answer)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        pytest.param("dance", "there is no key «dance»; type: help", id="unknown"),
        pytest.param("card", "write: card NAME", id="too few words"),
        pytest.param("stop now", "write: stop", id="too many words"),
        pytest.param("card gold", "there is no test card 'gold' → use one of:", id="unknown card"),
        pytest.param("pin 1234", "a PIN is ok or wrong; never type a real one → write: pin ok", id="a PIN"),
        pytest.param("paper maybe", "paper is in or out", id="paper"),
        pytest.param("shift ajar", "a shift is to open or to close", id="shift"),
        pytest.param("currency other", "the currency is own", id="currency"),
        pytest.param("pay much", "not an amount: 'much'", id="amount"),
    ],
)
async def test_what_does_not_work_is_said(terminal: VirtualTerminal, line: str, answer: str) -> None:
    """And nothing happens."""
    worked, told = await press(terminal, line)

    assert not worked
    assert told.startswith(answer)


async def test_help_lists_every_key(terminal: VirtualTerminal) -> None:
    """With its meaning."""
    _, text = await press(terminal, "HELP")

    assert all(key.usage in text and key.meaning in text for key in KEYS.values())


async def test_lines_are_read_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole lines only, until the end; blank ones count for nothing."""
    reading, writing = os.pipe()
    monkeypatch.setattr("zahlwerk.cli.keypad.STDIN", reading)
    os.write(writing, b"card visa\n\n  sto")
    lines = typed_lines()
    first = await anext(lines)
    os.write(writing, b"p \r\nremove")
    os.close(writing)

    assert [first, *[line async for line in lines]] == ["card visa", "stop", "remove"]
    os.close(reading)
