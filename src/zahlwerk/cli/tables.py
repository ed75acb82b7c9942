"""The virtual terminal's public tables: the cards of its deck, and the amounts that choose a result."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import typer

from zahlwerk.cli.options import JsonOption
from zahlwerk.cli.output import Output

if TYPE_CHECKING:
    from zahlwerk.virtual.behaviour import Behaviour

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (amounts, cards):
        app.command(rich_help_panel="Tools")(command)


def amounts(json: JsonOption = False) -> None:
    """The amounts that choose a result at the virtual terminal, the same on every interface."""
    from zahlwerk.money import Money
    from zahlwerk.virtual import amounts as table

    out = Output(as_json=json)
    rows = [(Money.of(row.amount_minor, "CHF").decimal_text(), row) for row in table.amounts().values()]
    for amount, row in rows:
        out.event("amount", amount_minor=row.amount_minor, amount=amount, text=dict(row.text))
        out.say(f"{amount:>8}  {row.text['en']}")
    out.say("Every other amount is approved. The digits count, not the currency: 900.51 is 90051 of any.", "dim")


def cards(json: JsonOption = False) -> None:
    """The test cards of the virtual terminal."""
    from zahlwerk.virtual.deck import deck

    out = Output(as_json=json)
    for card in deck().values():
        out.event(
            "card",
            name=card.name,
            brand=card.brand,
            entry=card.kind.value,
            masked_pan=card.masked_pan,
            aid=card.aid,
            behaviour=_told(card.behaviour),
        )
        columns = f"{card.name:<18} {card.brand:<18} {card.kind.value:<12} {card.masked_pan:<20}"
        out.say(f"{columns} {_words(_told(card.behaviour))}".rstrip())
    out.say("zahlwerk pay 'virtual:?card=NAME' 12.50, or zahlwerk bridge --card NAME ...", "dim")


def _told(behaviour: Behaviour) -> dict[str, object]:
    """What is special about it."""
    plain = type(behaviour)()
    values = {field.name: getattr(behaviour, field.name) for field in fields(behaviour)}
    return {name: value for name, value in values.items() if value != getattr(plain, name)}


def _words(told: dict[str, object]) -> str:
    names = {name: name.replace("_", " ") for name in told}
    return ", ".join(names[name] if value is True else f"{names[name]} {value}" for name, value in told.items())
