"""What a till does in a run: a list of actions, drawn from the seed or read from a file. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from zahlwerk.errors import ConfigurationError

__all__ = ["ACTIONS", "Action", "draw_program"]

ACTIONS: Final[Mapping[str, str]] = MappingProxyType({
    "pay": "takes a payment",
    "again": "asks for the same payment once more",
    "other": "asks for something else under a reference that is taken",
    "both": "two registers ask for the same payment at once",
    "two": "two registers ask for different payments at once",
    "refund": "gives money back",
    "reverse": "undoes the latest payment",
    "capture": "holds an amount and takes a part of it",
    "release": "holds an amount and lets it go",
    "leave": "holds an amount and goes away",
    "abort": "takes a payment and stops it",
    "roll-back": "takes a payment and does not confirm it",
    "less": "takes a payment and confirms less",
    "lookup": "asks what became of a payment",
    "totals": "asks for the terminal's figures",
    "end-of-day": "closes the day and opens a new shift",
    "typed": "somebody types a payment in at the terminal itself",
    "planted": "a payment whose metadata hold a card number",
    "wait": "nothing happens for a while",
})  # fmt: skip
"""Each action in words."""

# Rows of the virtual terminal's table of amounts: declines, tips, parts, card holders, hosts and restarts.
SPECIAL: Final = (
    90005, 90051, 90001, 90110, 90120, 90130, 90140, 90150, 90201, 90202, 90203, 90204, 90211, 90213,
    90301, 90302, 90303, 90304, 90401, 90402, 90410, 90412, 90413, 90414, 90415, 90416, 90420, 90421, 90422,
)  # fmt: skip
_WEIGHTS: Final[Mapping[str, int]] = MappingProxyType({
    "pay": 10, "again": 3, "other": 2, "both": 2, "two": 2, "refund": 2, "reverse": 3, "capture": 3, "release": 2,
    "leave": 1, "abort": 2, "roll-back": 1, "less": 1, "lookup": 2, "totals": 1, "end-of-day": 1, "typed": 2,
    "planted": 1, "wait": 1,
})  # fmt: skip
EQUAL_MINOR: Final = 1250


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that the till does."""

    kind: str
    reference: str = ""
    amount: int = 0
    """Minor units of CHF."""
    seconds: float = 0.0
    """Pause before it; for `abort`, until it is stopped; for `wait`, how long."""
    partial: bool = False

    def __str__(self) -> str:
        about = " ".join(filter(None, (self.reference, f"{self.amount / 100:.2f}" if self.amount else "")))
        return f"{self.kind} {about}".strip()

    def to_row(self) -> dict[str, object]:
        """For JSON."""
        return {"kind": self.kind, "reference": self.reference, "amount": self.amount, "seconds": self.seconds,
                "partial": self.partial}  # fmt: skip

    @classmethod
    def from_row(cls, row: Mapping[str, object]) -> Action:
        """Out of JSON.

        Raises:
            ConfigurationError: not an action.
        """
        try:
            action = cls(str(row["kind"]), str(row["reference"]), int(str(row["amount"])), float(str(row["seconds"])),
                         row["partial"] is True)  # fmt: skip
        except (KeyError, ValueError) as exc:
            raise ConfigurationError(f"not an action of a simulation: {dict(row)!r}") from exc
        if action.kind not in ACTIONS:
            raise ConfigurationError(f"there is no action {action.kind[:32]!r}", remedy=f"use one of {list(ACTIONS)}")
        return action


def draw_program(seed: int) -> tuple[Action, ...]:
    """Two to seven actions. Half of the amounts are equal, so that one payment can be taken for another one."""
    rng = random.Random(seed * 2 + 1)  # noqa: S311 - not a secret: a simulation
    size = rng.choice((2, 3, 3, 4, 5, 7))
    kinds = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()), k=size)
    program: list[Action] = []
    for index, kind in enumerate(kinds, 1):
        seconds = rng.choice((0.0, 0.0, 0.5, 3.0, 20.0))
        action = Action(kind, f"sale-{index}", _amount(rng, index), seconds, rng.random() < 0.3)
        if kind in {"again", "other", "lookup"}:
            action = _about_earlier(action, program, rng)
        program.append(action)
    return tuple(program)


def _amount(rng: random.Random, index: int) -> int:
    chance = rng.random()
    if chance < 0.45:
        return EQUAL_MINOR
    return rng.choice(SPECIAL) if chance < 0.7 else 1000 * index + 100 + rng.randrange(90)


def _about_earlier(action: Action, program: list[Action], rng: random.Random) -> Action:
    earlier = [one for one in program if one.kind in {"pay", "both", "two", "capture", "release", "refund", "less"}]
    if not earlier:
        return replace(action, kind="pay")
    one = rng.choice(earlier)
    if action.kind == "other":
        return replace(action, reference=one.reference, amount=one.amount + 100)
    return replace(action, kind=one.kind if action.kind == "again" else action.kind, reference=one.reference,
                   amount=one.amount, partial=one.partial)  # fmt: skip
