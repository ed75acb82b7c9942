"""bridge --explain: what gets lost on the way."""

from __future__ import annotations

from collections.abc import Callable

from tests.cli.cli_counter import Counter, Result

from zahlwerk.payment import PaymentKind

Run = Callable[..., Result]


def test_the_losses_of_each_listener_are_measured(run: Run) -> None:
    """A register of ours behind a listener of ours is the judge."""
    got = run("bridge", "--listen", "kit+tcp:", "--listen", "kit+ws:", "--explain", "--json")

    assert got.code == 0
    assert got.rows[0]["event"] == "terminal"
    assert set(got.rows[0]["kinds"]) == {kind.value for kind in PaymentKind}
    assert [row["measured"] for row in got.events("loss")] == [True, True]
    assert [row["kinds"] for row in got.events("loss")] == [[], []]


def test_people_read_sentences(run: Run) -> None:
    """What the terminal can, then what is lost."""
    got = run("bridge", "--listen", "kit+tcp:", "--explain")

    assert "The terminal virtual: can:" in got.out
    assert "Through KIT JSON over TCP:" in got.out
    got = run("bridge", "--listen", "zvt+tcp:", "--explain")
    lost = "account verification, cash advance, forced acceptance, mail order, phone order"
    assert f"Through ZVT over TCP:\n  lost payments: {lost}\n  lost: it cannot be asked to be locked" in got.out


def test_a_serial_line_loses_what_the_network_loses(run: Run) -> None:
    """The same messages travel on both, so no device is needed to tell."""
    for protocol in ("kit", "zvt"):
        serial = run("bridge", "--listen", f"{protocol}+serial:///dev/ttyUSB9", "--explain", "--json").events("loss")
        network = run("bridge", "--listen", f"{protocol}+tcp://127.0.0.1:0", "--explain", "--json").events("loss")

        assert serial[0]["measured"]
        assert serial[0]["features"] == network[0]["features"]


def test_a_real_terminal_is_only_asked(run: Run, counter: Callable[..., Counter]) -> None:
    """Its shift stays closed."""
    shop = counter()
    got = run("bridge", "--listen", "kit+ws:", "--terminal", shop.url, "--explain")

    assert got.code == 0
    assert "told once its shift is open" in got.out
    assert "which payments get lost can be told once the shift is open" in got.out
    assert "nothing is lost" not in got.out
    assert not shop.terminal._device.shift_open
