"""Whole processes with a journal: killed in the middle, started again, and what everybody is told."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.cli.cli_counter import PATIENCE_S, Counter, Result, finish, free_port, read_until, start
from tests.cli.test_cli_processes import _deaf, _hearing
from tests.interop.test_zvt_endpoint_restarts import Hurried

from zahlwerk.clock import Clock
from zahlwerk.payment import Outcome, Payment
from zahlwerk.urls import Context, connect

Run = Callable[..., Result]
Counters = Callable[..., Counter]


@pytest.fixture(autouse=True)
def _no_journal_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZAHLWERK_JOURNAL", raising=False)


@pytest.fixture
def book(tmp_path: Path) -> str:
    return str(tmp_path / "book.db")


@pytest.fixture
def process() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `zahlwerk` processes that are ended with the test."""
    running: list[subprocess.Popen[str]] = []

    def make(*words: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        running.append(start([*words, "--json"], stdin=stdin))
        return running[-1]

    yield make
    for child in running:
        if child.poll() is None:
            child.kill()
        if child.stdout is not None and not child.stdout.closed:
            child.communicate()


def test_ctrl_c_in_the_middle_is_written_down_as_what_it_came_to(run: Run, counter: Counters, book: str) -> None:
    """Card `never`: the terminal is asked to stop, and the same reference stays what it was."""
    shop = counter(card="never")
    words = ("pay", shop.url, "5", "--reference", "sale-1", "--journal", book, "--json")
    child = start(words)
    read_until(child, "progress", step="WAITING_FOR_CARD")
    child.send_signal(signal.SIGINT)
    got = finish(child)
    again = run(*words)

    assert (got.code, got.last["outcome"]) == (2, "ABORTED")
    assert (again.code, again.last["outcome"]) == (2, "ABORTED")
    assert run("journal", "list", "--journal", book, "--json").last["state"] == "aborted"


def test_a_payment_whose_process_was_killed_is_settled_by_recover(run: Run, counter: Counters, book: str) -> None:
    """kill -9 while the card is awaited: open, refused to be forgotten, asked about, told."""
    shop = counter(card="never")
    words = ("pay", shop.url, "5", "--reference", "sale-1", "--journal", book, "--json")
    child = start(words)
    read_until(child, "progress", step="WAITING_FOR_CARD")
    child.kill()
    child.communicate()
    left = run("journal", "list", "--open", "--journal", book, "--json")
    recovered = run("journal", "recover", "--journal", book, "--terminal", shop.url, "--json")
    again = run(*words)

    assert (left.last["reference"], left.last["state"], left.last["money_moved"]) == ("sale-1", "sent", "maybe")
    assert (recovered.code, recovered.last["unknown"]) == (0, 0)
    assert (again.code, again.last["money_moved"]) == (2, "no")
    assert shop.charged() == "0.00"
    assert run("journal", "verify", "--journal", book).code == 0


def test_a_second_ctrl_c_leaves_a_payment_open_that_the_same_reference_settles(
    run: Run, counter: Counters, book: str
) -> None:
    """Nobody knows, exit 3; the same reference again asks, and never charges twice."""
    shop = counter(card="slow", speed=1, shift_open=True)
    words = ("pay", shop.url, "904.00", "--reference", "sale-1", "--journal", book, "--json")
    child = start(words)
    read_until(child, "progress", step="WAITING_FOR_CARD")
    shop.do(_deaf)
    child.send_signal(signal.SIGINT)
    read_until(child, "progress", step="STOPPING")
    child.send_signal(signal.SIGINT)
    got = finish(child)
    shop.do(_hearing)
    left = run("journal", "list", "--open", "--journal", book, "--json")
    again = run(*words)

    assert (got.code, got.last["outcome"]) == (3, "UNKNOWN")
    assert got.last["lookup"] == f"zahlwerk lookup {shop.url} --reference sale-1 --journal {book}"
    assert (left.last["state"], left.last["unsettled"]) == ("unknown", True)
    assert (again.code, again.last["money_moved"]) == (2, "no")
    assert shop.charged() == "0.00"
    assert "Traceback" not in got.err + again.err


def _till(address: str, clock: Clock) -> Payment:
    """A register of its own, in a thread of its own."""

    async def run() -> Payment:
        async with connect(address, Context(clock=clock)) as terminal:
            return await terminal.pay("5 CHF", reference="sale-1")

    return asyncio.run(run())


# Behind both is a KIT terminal: a driver of ZVT looks a second time after 20 s, in the bridge by the machine's own clock
# (tests/interop/test_zvt_endpoint_restarts.py has that). The ZVT register looks a second time too, by a clock that hurries.
@pytest.mark.parametrize("scheme", ["kit", "zvt"])
def test_a_register_behind_a_bridge_that_was_killed_hears_the_truth(
    counter: Counters, run: Run, process: Callable[..., subprocess.Popen[str]], tmp_path: Path, scheme: str
) -> None:
    """The bridge dies once the money has moved, before its register was told. Started again: approved, charged once."""
    book = str(tmp_path / "book.db")
    suffix = "?currency=CHF" if scheme == "zvt" else ""
    shop = counter(shift_open=True)
    port = free_port()
    address = f"{scheme}+tcp://127.0.0.1:{port}{suffix}"
    listener = f"{address}&state={tmp_path / 'state'}" if scheme == "zvt" else address
    words = ("bridge", "--listen", listener, "--terminal", shop.url, "--journal", book)
    bridge = process(*words)
    read_until(bridge, "listening")
    with ThreadPoolExecutor(max_workers=1) as register:
        paying = register.submit(_till, address, Hurried(4.0 if scheme == "zvt" else 1.0))
        read_until(bridge, "receipt")
        bridge.kill()
        bridge.communicate()
        again = process(*words)
        opened = read_until(again, "journal")["open"]
        told = paying.result(PATIENCE_S)
    again.send_signal(signal.SIGINT)
    closed = finish(again)

    assert len(opened) == 1
    assert told.outcome is Outcome.APPROVED, told
    assert closed.code == 0
    assert shop.charged() == "5.00"
    assert run("journal", "list", "--open", "--journal", book, "--json").out == ""
