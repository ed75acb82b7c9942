"""Whole processes: a bridge and its registers, signals, pipes that close."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.cli.cli_counter import Counter, FakePeer, Result, finish, read_until, start

from zahlwerk.virtual.terminal import VirtualTerminal

Run = Callable[..., Result]
StartBridge = Callable[..., tuple["subprocess.Popen[str]", str]]


@pytest.fixture
def bridge() -> Iterator[StartBridge]:
    """Starts bridges; the process, and where it listens."""
    running: list[subprocess.Popen[str]] = []

    def make(*words: str, stdin: int | None = subprocess.DEVNULL) -> tuple[subprocess.Popen[str], str]:
        child = start(["bridge", "--listen", "kit+tcp://127.0.0.1:0", "--json", *words], stdin=stdin)
        running.append(child)
        return child, str(read_until(child, "listening")["url"])

    yield make
    for child in running:
        if child.poll() is None:
            child.kill()
        child.communicate()


def test_a_day_at_the_counter_with_a_process_for_each_step(run: Run, bridge: StartBridge) -> None:
    """Pay in one process, hold in another, capture in a third; the bridge tells all of it and ends well."""
    child, url = bridge("--terminal", "virtual:?speed=0", "--card", "mastercard", "--seed", "7")
    paid = finish(start(["pay", url, "12.50", "--json"]))
    held = run("hold", url, "50", "--json")
    captured = finish(start(["capture", url, held.last["hold"], "8.40", "--json"]))
    child.send_signal(signal.SIGINT)
    told = finish(child)

    assert (paid.code, paid.last["brand"], paid.err) == (0, "MASTERCARD", "")
    assert (captured.code, captured.last["amount"]) == (0, "8.40")
    assert told.code == 0
    assert told.err == ""
    payments = told.events("payment")
    assert [(row["state"], row["amount"]) for row in payments] == [
        ("confirmed", "12.50"), ("held", "50.00"), ("captured", "8.40"),
    ]  # fmt: skip
    assert len(told.events("connected")) == 3


def test_the_same_seed_gives_the_same_codes(run: Run, bridge: StartBridge) -> None:
    """Authorisation codes are random otherwise."""
    codes = []
    for _ in range(2):
        _, url = bridge("--terminal", "virtual:?speed=0", "--seed", "11")
        codes.append(run("pay", url, "1", "--json").last["authorisation_code"])

    assert codes[0] == codes[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_running_payment_is_stopped_and_told_honestly(
    counter: Callable[..., Counter], number: signal.Signals
) -> None:
    """Card `never`: nobody shows one. Ctrl-C asks the terminal to stop; its answer is the outcome: exit 2."""
    shop = counter(card="never")
    child = start(["pay", shop.url, "5", "--json"])
    read_until(child, "progress", step="WAITING_FOR_CARD")
    child.send_signal(number)
    got = finish(child)

    assert got.code == 2
    assert [row for row in got.rows if row.get("step") == "STOPPING"]
    assert (got.last["event"], got.last["outcome"], got.last["money_moved"]) == ("payment", "ABORTED", "no")
    assert shop.charged() == "0.00"
    assert "Traceback" not in got.err


def test_a_second_ctrl_c_leaves_and_says_that_nobody_knows(counter: Callable[..., Counter]) -> None:
    """The host is slow and cannot be stopped any more: exit 3, with the command that finds out."""
    shop = counter(card="slow", speed=1, shift_open=True)
    child = start(["pay", shop.url, "904.00", "--json"])
    read_until(child, "progress", step="WAITING_FOR_CARD")
    shop.do(_deaf)
    child.send_signal(signal.SIGINT)
    read_until(child, "progress", step="STOPPING")
    child.send_signal(signal.SIGINT)
    got = finish(child)
    shop.do(_hearing)

    assert got.code == 3
    assert (got.last["outcome"], got.last["money_moved"]) == ("UNKNOWN", "maybe")
    assert got.last["lookup"].startswith(f"zahlwerk lookup {shop.url} --reference zw-")
    assert "counter_before" in got.last["lookup"]


async def _deaf(terminal: VirtualTerminal) -> None:
    """The terminal hears no abort any more."""

    async def nothing(*, silent: bool = False) -> None:
        pass

    terminal.abort = nothing  # type: ignore[method-assign]  # a terminal that does not listen


async def _hearing(terminal: VirtualTerminal) -> None:
    del terminal.abort


def test_a_payment_that_is_stopped_before_it_was_sent_moved_nothing(fake_peer: Callable[[str], FakePeer]) -> None:
    """The peer is silent; Ctrl-C: exit 2, and it says so."""
    peer = fake_peer("silent")
    child = start(["pay", peer.url, "5", "--json"])
    assert peer.called.wait(20)
    child.send_signal(signal.SIGINT)
    got = finish(child)

    assert got.code == 2
    assert got.last["event"] == "error"
    assert got.last["money_moved"] == "no"


def test_the_keypad_of_a_bridge_is_standard_input(bridge: StartBridge, run: Run) -> None:
    """With --keypad nothing is shown by itself; `pay` types a payment in at the terminal."""
    child, url = bridge("--terminal", "virtual:?speed=0&shift=open", "--keypad", stdin=subprocess.PIPE)
    assert child.stdin is not None
    child.stdin.write("pay 5.00 visa\n")
    child.stdin.flush()
    typed = read_until(child, "standalone")
    answer = read_until(child, "keypad")
    paying = start(["pay", url, "3", "--json"])
    read_until(child, "progress", step="WAITING_FOR_CARD")
    child.stdin.write("card visa\n")
    child.stdin.flush()
    paid = finish(paying)
    child.send_signal(signal.SIGTERM)
    child.stdin.close()
    child.stdin = None
    told = finish(child)

    assert (typed["amount"], typed["standalone"]) == ("5.00", True)
    assert (answer["ok"], answer["text"]) == (True, "APPROVED CHF 5.00 VISA 411111XXXXXX1111")
    assert (paid.code, paid.last["amount"]) == (0, "3.00")
    assert told.code == 0


def test_a_reader_that_has_gone_does_not_stop_a_payment(counter: Callable[..., Counter]) -> None:
    """Money first: `zahlwerk pay ... | head -1` still confirms."""
    shop = counter(shift_open=True)
    child = start(["pay", shop.url, "5", "--json"])
    assert child.stdout is not None
    child.stdout.readline()
    child.stdout.close()
    assert child.wait(20) == 0
    assert child.stderr is not None
    complaints = child.stderr.read()
    child.stderr.close()

    assert complaints == ""
    assert shop.charged() == "5.00"


def test_the_module_runs_like_the_command() -> None:
    """`python -m zahlwerk`."""
    seen = subprocess.run(
        [sys.executable, "-m", "zahlwerk", "--version"], capture_output=True, text=True, timeout=60, check=True
    )

    assert seen.stdout.strip().count(".") == 2


class TestDemo:
    def test_one_payment_is_shown_and_proved(self) -> None:
        """What scripts/run --once does."""
        seen = subprocess.run(
            [sys.executable, "-m", "zahlwerk.cli.demo", "--once", "--port", "0"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

        assert (seen.returncode, seen.stderr) == (0, "")
        assert "register ──▶ terminal  please take a payment: CHF 12.50" in seen.stdout
        assert "APPROVED CHF 12.50 VISA 411111XXXXXX1111" in seen.stdout
        assert "The merchant has got CHF 12.50, as the register was told" in seen.stdout
        assert "Its 6 entries are chained and as they were written." in seen.stdout

    def test_its_journal_can_be_kept(self, run: Run, tmp_path: Path) -> None:
        """A file that `zahlwerk journal` reads afterwards."""
        book = tmp_path / "book.db"
        subprocess.run(
            [sys.executable, "-m", "zahlwerk.cli.demo", "--once", "--port", "0", "--journal", str(book)],
            capture_output=True, timeout=60, check=True,
        )  # fmt: skip
        got = run("journal", "list", "--journal", str(book), "--json")

        assert (got.last["terminal"], got.last["state"], got.last["amount"]) == ("the counter", "confirmed", "12.50")

    def test_it_stays_up_for_registers_until_ctrl_c(self, run: Run) -> None:
        """And takes another port where 8307 is in use."""
        child = subprocess.Popen(
            [sys.executable, "-u", "-m", "zahlwerk.cli.demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        lines = []
        for line in child.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                break
        url = next(line.split()[-1] for line in lines if line.startswith("A virtual terminal listens on"))
        paid = run("pay", url, "4.20")
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=20)

        assert paid.code == 0
        assert (child.returncode, err) == (0, "")

    def test_a_wrong_port_is_a_wrong_call(self) -> None:
        """Exit 64."""
        seen = subprocess.run(
            [sys.executable, "-m", "zahlwerk.cli.demo", "--port", "70000"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

        assert seen.returncode == 64
