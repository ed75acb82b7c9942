"""status, end-of-day, receipt."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.cli.cli_counter import Counter, FakePeer, Result, free_port

Run = Callable[..., Result]
MakeCounter = Callable[..., Counter]


def test_the_status_tells_who_it_is_and_what_it_does(run: Run, counter: MakeCounter) -> None:
    """For programs: one object."""
    got = run("status", counter(shift_open=True).url, "--json")

    assert got.code == 0
    assert (got.last["event"], got.last["ready"], got.last["shift_open"]) == ("terminal-status", True, True)
    assert got.last["terminal"]["terminal_id"] == "ZW000001"
    assert got.last["terminal"]["software"] == "25.01.00"
    assert "VISA" in got.last["capabilities"]["brands"]
    assert "purchase" in got.last["capabilities"]["kinds"]


def test_the_status_of_a_closed_shift_says_what_is_missing(run: Run, counter: MakeCounter) -> None:
    """For people: a small table, and it opens no shift."""
    shop = counter()
    got = run("status", shop.url)

    assert got.code == 0
    assert "shift closed" in got.out
    assert "once the shift is open" in got.out
    assert not shop.terminal._device.shift_open


def test_the_day_is_closed_with_its_figures(run: Run, counter: MakeCounter) -> None:
    """One row for each brand and kind."""
    shop = counter()
    run("pay", shop.url, "10")
    run("pay", shop.url, "2.50")
    got = run("end-of-day", shop.url, "--json")

    assert got.code == 0
    assert (got.last["event"], got.last["period"]) == ("end-of-day", "accounting period")
    assert [
        (row["brand"], row["kind"], row["count"], row["amount"], row["currency"]) for row in got.last["totals"]
    ] == [("VISA", "debit", 2, "12.50", "CHF")]
    assert "CHF 12.50" in got.last["receipt"]


def test_the_day_is_closed_for_people(run: Run, counter: MakeCounter) -> None:
    """A table, the receipt, one line."""
    shop = counter()
    run("pay", shop.url, "10")
    first, second = run("end-of-day", shop.url), run("end-of-day", shop.url)

    assert first.out.splitlines()[-1] == "The day is closed."
    assert "VISA" in first.out
    assert second.out.splitlines()[-1] == "The day is closed; nothing was taken in it."


def test_a_receipt_is_repeated(run: Run, counter: MakeCounter) -> None:
    """The latest, or the one of a sequence."""
    shop = counter()
    run("pay", shop.url, "10")
    run("pay", shop.url, "2.50")
    latest = run("receipt", shop.url, "--kind", "customer", "--json")
    first = run("receipt", shop.url, "--number", "1", "--json")

    assert (latest.code, latest.last["kind"]) == (0, "customer")
    assert "CHF 2.50" in latest.last["text"]
    assert "CHF 10.00" in first.last["text"]


def test_a_receipt_that_is_not_there_is_no_money_matter(run: Run, counter: MakeCounter) -> None:
    """Exit 70, money_moved no."""
    got = run("receipt", counter(shift_open=True).url, "--number", "99", "--json")

    assert got.code == 70
    assert got.last["money_moved"] == "no"


def test_an_unknown_kind_of_receipt_is_a_wrong_call(run: Run) -> None:
    """Exit 64; names those there are."""
    got = run("receipt", "virtual:", "--kind", "love-letter")

    assert got.code == 64
    assert "end-of-day" in got.err


@pytest.mark.parametrize("command", ["status", "end-of-day", "receipt"])
def test_nobody_there(run: Run, command: str) -> None:
    """Exit 69."""
    assert run(command, f"kit+tcp://127.0.0.1:{free_port()}").code == 69


def test_a_peer_that_is_silent_is_no_money_matter(run: Run, fake_peer: Callable[[str], FakePeer]) -> None:
    """Whatever the error says by itself: a status moves nothing."""
    got = run("status", fake_peer("silent").url, "--connect-timeout", "0.3", "--json")

    assert got.code == 70
    assert got.last["money_moved"] == "no"
