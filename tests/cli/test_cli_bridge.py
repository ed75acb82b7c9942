"""bridge: what it refuses, and what it tells while it runs."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.cli_counter import Counter, Result, free_port

from zahlwerk.cli.bridge import Hall
from zahlwerk.cli.output import Output
from zahlwerk.errors import TerminalBusy
from zahlwerk.money import Money
from zahlwerk.payment import PaymentRequest
from zahlwerk.urls import Url, connect
from zahlwerk.virtual.settings import Settings
from zahlwerk.virtual.terminal import VirtualTerminal

Run = Callable[..., Result]
LOOPBACK = "kit+tcp://127.0.0.1:0"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        pytest.param(["--listen", "virtual:"], "Virtual terminal cannot be listened on.", id="no listener"),
        pytest.param(["--listen", "foo:"], "No interface is called 'foo'.", id="scheme"),
        pytest.param(["--listen", LOOPBACK, "--card", "gold"], "There is no test card 'gold'.", id="card"),
        pytest.param(["--listen", LOOPBACK, "--speed", "fast"], "Speed='fast': expected a number.", id="speed"),
        pytest.param(
            ["--listen", LOOPBACK, "--terminal", "virtual:?card=visa", "--card", "twint"],
            "Card is given twice: in the address and as --card.",
            id="card twice",
        ),
        pytest.param(
            ["--listen", LOOPBACK, "--terminal", "kit+tcp://x", "--card", "visa", "--seed", "1", "--keypad"],
            "--card and --seed and --keypad only means something to a virtual terminal.",
            id="not virtual",
        ),
        pytest.param(["--listen", LOOPBACK, "--terminal", "virtual:?faults=nonsense"], "", id="faults"),
    ],
)
def test_a_wrong_call_is_exit_64(run: Run, words: list[str], sentence: str) -> None:
    """One sentence."""
    got = run("bridge", *words)

    assert got.code == 64
    assert got.err.lower().startswith(sentence.lower())
    assert len(got.err.splitlines()) == 2


def test_a_port_in_use_is_told(run: Run) -> None:
    """Exit 69."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        got = run("bridge", "--listen", f"kit+tcp://127.0.0.1:{other.getsockname()[1]}", "--json")

    assert got.code == 69
    assert "the port is already in use" in got.err
    assert got.events("listening") == []


def test_a_terminal_that_does_not_answer_is_told(run: Run) -> None:
    """Exit 69, before anybody can connect."""
    got = run("bridge", "--listen", LOOPBACK, "--terminal", f"kit+tcp://127.0.0.1:{free_port()}", "--json")

    assert got.code == 69
    assert got.events("listening") == []


def _output(monkeypatch: pytest.MonkeyPatch, *, as_json: bool) -> tuple[Output, io.StringIO]:
    heard = io.StringIO()
    monkeypatch.setattr("sys.stdout", heard)
    return Output(as_json=as_json), heard


async def test_what_happens_is_told_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who came, what the terminal did, how it ended."""
    out, heard = _output(monkeypatch, as_json=False)
    hall = Hall(out, VirtualTerminal(Settings(speed=0, shift_open=True)))
    (url,) = await hall.start([Url.parse(LOOPBACK)])
    async with connect(url) as register:
        await register.pay("5 CHF")
    await hall.close()
    lines = [line[10:] for line in heard.getvalue().splitlines()]

    assert lines[2].startswith("register  127.0.0.1:")
    assert "payment   waiting for the card" in lines
    assert "payment   APPROVED CHF 5.00 VISA 411111XXXXXX1111" in lines
    assert any(line.startswith("receipt   merchant, ") for line in lines)
    assert "has gone" in lines[-1]


async def test_several_listeners_share_one_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """One payment at a time: the second register hears that the terminal is busy, and nothing moves."""
    out, _ = _output(monkeypatch, as_json=True)
    terminal = VirtualTerminal(Settings(card="never", speed=0, shift_open=True))
    hall = Hall(out, terminal)
    one, two = await hall.start([Url.parse(LOOPBACK), Url.parse("kit+ws://127.0.0.1:0")])
    async with connect(one) as first, connect(two) as second:
        import asyncio

        waiting = asyncio.Event()
        first.listen(lambda event: waiting.set() if "WAITING" in str(event) else None)
        running = asyncio.create_task(first.pay("5 CHF"))
        await waiting.wait()
        with pytest.raises(TerminalBusy):
            await second.pay("6 CHF")
        await first.abort()
        await running
    await hall.close()

    assert terminal.host.ledger() == ()


async def test_everybody_on_the_network_gets_a_warning(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listening beyond this machine is said on standard error."""
    from zahlwerk.cli import bridge

    out, heard = _output(monkeypatch, as_json=True)
    warned: list[str] = []
    monkeypatch.setattr(out, "warn", warned.append)
    bridge._say_where(out, [Url.parse("kit+tcp://0.0.0.0:8307"), Url.parse(LOOPBACK)], Url.parse("virtual:"))

    assert len(warned) == 1
    assert warned[0].startswith("0.0.0.0 is not this machine alone")
    assert heard.getvalue().count('"event": "listening"') == 2


async def test_open_payments_of_a_terminal_by_another_name_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An address that has changed must not let a payment be forgotten."""
    from zahlwerk.cli import bridge
    from zahlwerk.journal import Journal
    from zahlwerk.journal.entries import EntryKind

    out, heard = _output(monkeypatch, as_json=True)
    warned: list[str] = []
    monkeypatch.setattr(out, "warn", warned.append)
    async with await Journal.open(str(tmp_path / "book.db")) as journal:
        request = PaymentRequest(amount=Money.of(500, "CHF"), reference="sale-1")
        await journal.write("sale-1", "till-1", [(EntryKind.REQUESTED, {"request": request})])
        bridge._say_what_is_open(out, journal, "book.db", "till-1")
        bridge._say_what_is_open(out, journal, "book.db", "till-2")

    assert heard.getvalue().count('"open": ["sale-1"]') == 2
    assert len(warned) == 1
    assert "open payments of till-1 are not asked about" in warned[0]


def test_a_zvt_listener_with_a_journal_is_advised_to_keep_its_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registers can ask after a restart only if it does."""
    from zahlwerk.cli import bridge

    out, _ = _output(monkeypatch, as_json=True)
    warned: list[str] = []
    monkeypatch.setattr(out, "warn", warned.append)
    bridge._warn_of_forgetful(out, [Url.parse("zvt+tcp://127.0.0.1:0"), Url.parse("zvt+tcp://127.0.0.1:0?state=x")])
    bridge._warn_of_forgetful(out, [Url.parse(LOOPBACK)])

    assert len(warned) == 1
    assert "state=FILE" in warned[0]


def test_without_a_host_only_this_machine_can_connect() -> None:
    """The loopback address is filled in."""
    from zahlwerk.cli import bridge

    assert bridge._listener("kit+tcp:").host == "127.0.0.1"
    assert bridge._listener("kit+ws://:0").host == "127.0.0.1"
    assert bridge._listener("kit+tcp://0.0.0.0:1").host == "0.0.0.0"
    assert bridge._listener("kit+serial:///dev/ttyUSB0").host == ""


async def test_a_terminal_behind_another_bridge_is_bridged_again(
    monkeypatch: pytest.MonkeyPatch, counter: Callable[..., Counter]
) -> None:
    """TCP in front, TCP behind: any register to any terminal."""
    shop = counter(shift_open=True)
    out, _ = _output(monkeypatch, as_json=True)
    hall = Hall(out, connect(shop.url))
    (url,) = await hall.start([Url.parse("kit+ws://127.0.0.1:0")])
    async with connect(url) as register:
        payment = await register.pay("7.30 CHF")
    await hall.close()

    assert payment.is_approved
    assert shop.charged() == "7.30"
