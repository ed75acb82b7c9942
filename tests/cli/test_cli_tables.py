"""amounts and cards."""

from __future__ import annotations

from collections.abc import Callable

from tests.cli.cli_counter import Result

from zahlwerk.virtual.amounts import amounts
from zahlwerk.virtual.deck import deck

Run = Callable[..., Result]


def test_every_amount_is_listed(run: Run) -> None:
    """With its text in four languages."""
    got = run("amounts", "--json")

    assert {row["amount_minor"] for row in got.rows} == set(amounts())
    assert next(row for row in got.rows if row["amount_minor"] == 90051) == {
        "event": "amount",
        "amount_minor": 90051,
        "amount": "900.51",
        "text": dict(amounts()[90051].text),
    }


def test_every_card_is_listed(run: Run) -> None:
    """With what is special about it, and never a whole number."""
    got = run("cards", "--json")

    assert [row["name"] for row in got.rows] == list(deck())
    assert next(row for row in got.rows if row["name"] == "declined")["behaviour"] == {"decline": "05"}
    assert all("X" in row["masked_pan"] for row in got.rows)


def test_people_get_lines(run: Run) -> None:
    """One for each."""
    assert "  900.51  declined 51: insufficient funds" in run("amounts").out
    assert "wrong pins 1" in run("cards").out
