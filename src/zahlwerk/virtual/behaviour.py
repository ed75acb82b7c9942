"""How a payment goes when nothing is said otherwise, and every way in which it can go differently.

Both tables of the virtual terminal, the cards and the amounts, are rows of this one vocabulary: an amount's row is laid
over the card's (`Behaviour.over`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Final

from zahlwerk.errors import ConfigurationError

__all__ = ["CHOICES", "Behaviour"]

CHOICES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({
    "host": ("", "unreachable", "timeout-before", "timeout-after"),
    "crash_at": ("", "request", "card", "online", "authorisation", "approval", "confirmation", "receipts"),
    "confirmation": ("", "lost", "answer-lost"),
    "receipts": ("", "none", "no-customer"),
    "notice": ("", "battery"),
})  # fmt: skip
"""The words that some fields understand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What departs from a plain approval. Every default means: nothing special."""

    decline: str = ""
    """Declined with this answer, ISO 8583 field 39."""
    refer: str = ""
    """Referred; the telephone number to call."""
    partial_percent: int = 100
    """The part of the amount that is approved."""
    wrong_pins: int = 0
    """So many wrong PINs are typed first; the third blocks the card."""
    pin_blocked: bool = False
    """The PIN was blocked before."""
    pin: bool = False
    """A PIN is asked for whatever the card prefers."""
    expired: bool = False
    removed_early: bool = False
    """The card is taken out while it is being read."""
    stops: bool = False
    """The card holder presses the stop key."""
    never: bool = False
    """No card is ever shown."""
    slow_s: float = 0.0
    """The card holder takes so long to show the card."""
    choose: bool = False
    """Several applications on the card: the card holder chooses."""
    dcc_currency: str = ""
    """The card's own currency is offered and chosen."""
    dcc_rate: str = ""
    """How much of it one unit of the merchant's currency is, as a decimal number."""
    tip_percent: int = 0
    signature: bool = False
    change_reason: int = 0
    """The card gives a discount or bonus: the register is asked for a new amount."""
    host: str = ""
    """See `CHOICES`."""
    host_slow_s: float = 0.0
    crash_at: str = ""
    """The terminal restarts at this step; see `CHOICES`."""
    confirmation: str = ""
    """`lost`: it never reaches the terminal; `answer-lost`: money moves, but nobody is told."""
    reversal_fails: bool = False
    """A later reversal of this payment is declined."""
    printer_out: bool = False
    """Paper runs out while the receipt is printed."""
    receipts: str = ""
    notice: str = ""

    @classmethod
    def of(cls, table: Mapping[str, object], *, where: str) -> Behaviour:
        """The behaviour of one row of a table.

        Raises:
            ConfigurationError: a word or value that means nothing; names `where`.
        """
        known = {field.name: type(field.default) for field in fields(cls)}
        for name, value in table.items():
            kind = known.get(name)
            if kind is None:
                raise ConfigurationError(f"{where}: unknown behaviour {name!r}", remedy=f"it knows {sorted(known)}")
            if not isinstance(value, kind) and not (kind is float and isinstance(value, int)):
                raise ConfigurationError(f"{where}: {name} is a {kind.__name__}, got {value!r}")
            if name in CHOICES and value not in CHOICES[name]:
                raise ConfigurationError(f"{where}: {name}={value!r}, expected one of {CHOICES[name]}")
        return cls(**table)  # type: ignore[arg-type]  # names and types were checked just above

    def over(self, base: Behaviour) -> Behaviour:
        """This behaviour where it says something, and `base` elsewhere."""
        return Behaviour(
            **{
                field.name: mine if (mine := getattr(self, field.name)) != field.default else getattr(base, field.name)
                for field in fields(Behaviour)
            }
        )
