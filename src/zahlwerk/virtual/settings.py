"""How one virtual terminal is set up: what its URL can say."""

from __future__ import annotations

from dataclasses import dataclass

from zahlwerk.currency import Currency
from zahlwerk.errors import ConfigurationError
from zahlwerk.faults import FaultPlan
from zahlwerk.urls import Url
from zahlwerk.virtual.deck import Card, card
from zahlwerk.virtual.receipts import WIDTH_DEFAULT, WIDTH_MAX, WIDTH_MIN
from zahlwerk.virtual.texts import LANGUAGES

__all__ = ["NOBODY", "Settings"]

NOBODY = "none"
"""The card of nobody: everything is done by script, nothing by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One virtual terminal.

    Raises:
        ConfigurationError: a value that cannot be; says what can.
    """

    card: str = "visa"
    """What the card holder shows; `none` for a terminal that is acted on by script only."""
    speed: float = 1.0
    """1 is life, 2 twice as fast; 0 is at once. Time-outs stay as they are."""
    language: str = "de"
    width: int = WIDTH_DEFAULT
    currencies: tuple[str, ...] = ("CHF", "EUR")
    seed: int | None = None
    confirm_s: float | None = None
    """How long an approval waits for its confirmation, if not `Waits.approval_s`."""
    printer: str = "yes"
    tip: int | None = None
    """Percent that the card holder gives; None: the terminal does not ask."""
    faults: str = ""
    shift_open: bool = False
    terminal_id: str = "ZW000001"
    serial_number: str = "N6P00017"
    merchant_id: str = "000000000012345"
    merchant_name: str = "Zahlwerk Testladen, Bern"

    def __post_init__(self) -> None:
        if self.card != NOBODY:
            card(self.card)
        if not 0 <= self.speed <= 1000:
            raise ConfigurationError(f"speed={self.speed:g}: expected 0 (at once) to 1000")
        if self.language not in LANGUAGES:
            raise ConfigurationError(f"language={self.language!r}: expected one of {', '.join(LANGUAGES)}")
        if not WIDTH_MIN <= self.width <= WIDTH_MAX:
            raise ConfigurationError(f"width={self.width}: expected {WIDTH_MIN} to {WIDTH_MAX} characters")
        if not self.currencies:
            raise ConfigurationError("currency is empty", remedy="name at least one, such as CHF")
        for code in self.currencies:
            Currency.of(code)
        if self.tip is not None and not 0 <= self.tip <= 100:
            raise ConfigurationError(f"tip={self.tip}: expected 0 to 100 percent")
        if self.confirm_s is not None and self.confirm_s <= 0:
            raise ConfigurationError(f"confirm={self.confirm_s:g}: expected seconds, more than 0")
        for name, length in (("terminal_id", 8), ("serial_number", 8), ("merchant_id", 15)):
            value: str = getattr(self, name)
            if len(value) != length or not (value.isascii() and value.isalnum()):
                raise ConfigurationError(f"{name}={value[:32]!r}: expected {length} letters or digits")
        FaultPlan.parse(self.faults)

    @property
    def shown_card(self) -> Card | None:
        """The card that is shown by itself."""
        return None if self.card == NOBODY else card(self.card)

    @classmethod
    def from_url(cls, url: Url, *, seed: int | None = None) -> Settings:
        """What an address says; the rest by default."""
        given = url.params
        plain = {name: given[name] for name in ("card", "language", "printer", "faults") if name in given}
        tip = given.get("tip", "no")
        return cls(
            **plain,
            speed=_number("speed", given.get("speed", "1")),
            width=int(_number("width", given.get("width", str(WIDTH_DEFAULT)))),
            currencies=tuple(code.strip().upper() for code in given.get("currency", "CHF,EUR").split(",")),
            seed=int(_number("seed", given["seed"])) if given.get("seed") else seed,
            confirm_s=_number("confirm", given["confirm"]) if given.get("confirm") else None,
            tip=None if tip == "no" else int(_number("tip", tip)),
            shift_open=given.get("shift", "closed") == "open",
            terminal_id=given.get("id", "ZW000001"),
            serial_number=given.get("serial", "N6P00017"),
        )


def _number(name: str, text: str) -> float:
    digits = text.replace(".", "", 1)
    if not (digits.isascii() and digits.isdigit()) or len(text) > 20:
        raise ConfigurationError(f"{name}={text[:32]!r}: expected a number")
    return float(text) if "." in text else int(text)
