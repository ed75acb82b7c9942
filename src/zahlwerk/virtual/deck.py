"""The deck of test cards, read from `cards.toml`: what a card is, and how it behaves."""

from __future__ import annotations

import base64
import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, unique
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Final

from zahlwerk.errors import ConfigurationError
from zahlwerk.events import CardFacts
from zahlwerk.payment import EntryMode
from zahlwerk.virtual.behaviour import Behaviour

__all__ = ["Card", "CardKind", "card", "deck"]


@unique
class CardKind(Enum):
    """How a card gets into the terminal."""

    CONTACT = "contact"
    CONTACTLESS = "contactless"
    MOBILE = "mobile"
    MAGSTRIPE = "magstripe"
    QR = "qr"


_ENTRY: Final[Mapping[CardKind, EntryMode]] = MappingProxyType({
    CardKind.CONTACT: EntryMode.CHIP,
    CardKind.CONTACTLESS: EntryMode.CONTACTLESS,
    CardKind.MOBILE: EntryMode.CONTACTLESS,
    CardKind.MAGSTRIPE: EntryMode.MAGSTRIPE,
    CardKind.QR: EntryMode.QR,
})  # fmt: skip

# Answer to reset of a plain T=0 card without historical characters (ISO/IEC 7816-3, 8.2).
_ATR: Final = "3B00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One test card."""

    name: str
    brand: str
    display_name: str
    aid: str
    """Hexadecimal."""
    kind: CardKind
    iin: str
    """The first six digits."""
    last_four: str
    digits: int = 16
    """How many digits its number has."""
    language: str = "de"
    acquirer: int = 2
    currency: str = "CHF"
    cvm: tuple[str, ...] = ("none",)
    """Verification methods by preference: none, device, pin, signature."""
    balance_minor: int | None = None
    """What a prepaid card holds to begin with."""
    behaviour: Behaviour = field(default_factory=Behaviour)

    @property
    def masked_pan(self) -> str:
        """The number as it may be shown."""
        return self.iin + "X" * (self.digits - 10) + self.last_four

    @property
    def token(self) -> str:
        """The surrogate of the number: 32 bytes in base64, the same for the same card everywhere."""
        return base64.b64encode(hashlib.sha256(f"zahlwerk virtual card {self.name}".encode()).digest()).decode()

    @property
    def entry_mode(self) -> EntryMode:
        """How it gets into the terminal."""
        return _ENTRY[self.kind]

    @property
    def in_slot(self) -> bool:
        """True if it sits in the slot while it is used."""
        return self.kind is CardKind.CONTACT

    @property
    def facts(self) -> CardFacts:
        """What the terminal tells about it."""
        return CardFacts(
            iin=self.iin, aid=self.aid, aid_icc=self.aid, atr=_ATR if self.in_slot else "", language=self.language
        )


@cache
def deck() -> Mapping[str, Card]:
    """Every test card by its name."""
    text = resources.files(__package__).joinpath("cards.toml").read_text(encoding="utf-8")
    return MappingProxyType({name: _card(name, row) for name, row in tomllib.loads(text).items()})


def card(name: str) -> Card:
    """The card of this name.

    Raises:
        ConfigurationError: no such card; names those there are.
    """
    found = deck().get(name)
    if found is None:
        raise ConfigurationError(
            f"there is no test card {name[:32]!r}", remedy=f"use one of: {', '.join(sorted(deck()))}"
        )
    return found


def _card(name: str, row: dict[str, object]) -> Card:
    behaviour = row.pop("behaviour", {})
    assert isinstance(behaviour, dict), name
    cvm = row.pop("cvm")
    assert isinstance(cvm, list), name
    return Card(
        name=name,
        kind=CardKind(row.pop("kind")),
        cvm=tuple(cvm),
        behaviour=Behaviour.of(behaviour, where=f"card {name}"),
        **row,  # type: ignore[arg-type]  # our own table: a test reads every row
    )
