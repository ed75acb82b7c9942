"""The one public table of amounts that choose a result (`amounts.toml`), the same on every interface."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Final

from zahlwerk.money import Money
from zahlwerk.virtual.behaviour import Behaviour

__all__ = ["AmountRow", "amount_row", "amounts", "amounts_markdown", "behaviour_of"]

LANGUAGES: Final = ("en", "de", "fr", "it")
_PLAIN: Final = Behaviour()


@dataclass(frozen=True, slots=True)
class AmountRow:
    """One amount that chooses a result."""

    amount_minor: int
    """Minor units of any currency."""
    text: Mapping[str, str]
    """What happens, by language: en, de, fr, it."""
    behaviour: Behaviour


@cache
def amounts() -> Mapping[int, AmountRow]:
    """Every row by its minor units."""
    text = resources.files(__package__).joinpath("amounts.toml").read_text(encoding="utf-8")
    return MappingProxyType({int(key): _row(int(key), row) for key, row in tomllib.loads(text).items()})


def amount_row(amount: Money) -> AmountRow | None:
    """The row of an amount, or None: nothing special, approved."""
    return amounts().get(amount.amount)


def behaviour_of(amount: Money | None) -> Behaviour:
    """What an amount chooses; plain for any other, and where there is none."""
    row = None if amount is None else amount_row(amount)
    return _PLAIN if row is None else row.behaviour


def amounts_markdown(language: str = "en", *, currency: str = "CHF") -> str:
    """The table as Markdown, for the documentation."""
    lines = [f"| minor units | {currency} | |", "| ---: | ---: | --- |"]
    lines += [
        f"| {row.amount_minor} | {Money.of(row.amount_minor, currency).decimal_text()} | {row.text[language]} |"
        for row in amounts().values()
    ]
    return "\n".join(lines) + "\n"


def _row(amount_minor: int, row: dict[str, object]) -> AmountRow:
    behaviour = row.pop("behaviour", {})
    assert isinstance(behaviour, dict), amount_minor
    text = {language: str(row[language]) for language in LANGUAGES}
    return AmountRow(amount_minor, MappingProxyType(text), Behaviour.of(behaviour, where=f"amount {amount_minor}"))
