"""Amounts of money: integer minor units and a currency, parsed, formatted and rounded in this one place.

There are no floats here, and no assumption that a currency has two decimals.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from zahlwerk.currency import Currency
from zahlwerk.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

__all__ = ["AMOUNT_MINOR_MAX", "CASH_STEP_MINOR", "Currency", "Money"]

# LIMIT: twelve digits is what every card protocol carries (EMV 9F02, ISO 8583 field 4, ZVT BMP 04).
AMOUNT_MINOR_MAX: Final = 999_999_999_999

CASH_STEP_MINOR: Final[Mapping[str, int]] = MappingProxyType({
    "CHF": 5, "AUD": 5, "CAD": 5, "NZD": 10, "SEK": 100, "NOK": 100, "DKK": 50, "CZK": 100, "HUF": 500, "PLN": 1,
})  # fmt: skip
"""The smallest step payable in coins, in minor units, where it is not 1.
Source: CLDR supplemental data, currency fractions, `_cashRounding`/`_cashDigits` (CHF, AUD, CAD, NZD, DKK, SEK, NOK,
CZK), Hungary's 5-forint rule. EUR is rounded only where a shop decides so: pass the step."""

_PATTERN: Final = re.compile(
    r"""^\s*
    (?:(?P<before>[A-Za-z]{3})\s*)?
    (?P<sign>[-+\u2212])?
    (?P<number>[0-9](?:[0-9'\u2019\u00a0\u202f ]*[0-9])?(?P<fraction>[.,](?:[0-9]+|-|\u2013))?|[.,][0-9]+)
    (?:\s*(?P<after>[A-Za-z]{3}))?
    \s*$""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount in integer minor units of a currency. May be negative (a refund in a report)."""

    amount: int
    """Minor units: 1250 is CHF 12.50."""
    currency: Currency

    def __post_init__(self) -> None:
        if isinstance(self.amount, bool) or not isinstance(self.amount, int):
            raise InvalidRequest(
                f"an amount is an integer of minor units, not {type(self.amount).__name__}",
                remedy='write Money.parse("12.50 CHF"), or Money.of(1250, "CHF") for minor units',
            )
        if abs(self.amount) > AMOUNT_MINOR_MAX:
            raise InvalidRequest(f"an amount has at most {len(str(AMOUNT_MINOR_MAX))} digits, got {self.amount}")

    @classmethod
    def of(cls, amount_minor: int, currency: str | int | Currency) -> Money:
        """An amount of minor units in a currency given by letters, number or object.

        Raises:
            InvalidRequest: unknown currency, not an integer, or more than twelve digits.
        """
        return cls(amount_minor, Currency.of(currency))

    @classmethod
    def zero(cls, currency: str | int | Currency) -> Money:
        """Nothing, in a currency."""
        return cls(0, Currency.of(currency))

    @classmethod
    def parse(cls, text: str, *, currency: str | int | Currency | None = None) -> Money:
        """Read what people type: `12.50 CHF`, `CHF 12,50`, `1'234.05`, `0.5`, `12.-`.

        One decimal point or comma at the most; apostrophes and blanks group thousands (a comma never does).

        Args:
            text: the amount, with or without its currency.
            currency: what to assume when the text names none. If both are given they must agree.

        Raises:
            InvalidRequest: not an amount, more decimals than the currency has, no or another currency, too large.
        """
        found = _PATTERN.match(text) if len(text) <= 64 else None
        named = found and (found["before"] or found["after"])
        if found is None or (found["before"] and found["after"]):
            raise InvalidRequest(
                f"not an amount: {text[:32]!r}", remedy="write the amount like 12.50, with CHF before or after it"
            )
        of = _agree(Currency.of(named) if named else None, None if currency is None else Currency.of(currency), text)
        digits = re.sub(r"['\u2019\u00a0\u202f ]", "", found["number"]).replace(",", ".")
        whole, _, fraction = digits.partition(".")
        fraction = fraction.strip("-\u2013")
        if len(fraction) > of.exponent:
            raise InvalidRequest(
                f"{of.code} has {of.exponent} decimals, {text.strip()[:32]!r} has {len(fraction)}",
                remedy="write the amount to the smallest unit of the currency",
            )
        minor = int((whole or "0") + fraction.ljust(of.exponent, "0"))
        return cls(-minor if found["sign"] in {"-", "\u2212"} else minor, of)

    def __str__(self) -> str:
        return f"{self.currency.code} {self.decimal_text()}"

    def decimal_text(self) -> str:
        """The plain decimal number for programs: `12.50`, `-0.05`, `1000` for JPY."""
        exponent = self.currency.exponent
        digits = str(abs(self.amount)).rjust(exponent + 1, "0")
        whole, fraction = (digits[:-exponent], digits[-exponent:]) if exponent else (digits, "")
        return ("-" if self.amount < 0 else "") + whole + (f".{fraction}" if fraction else "")

    def to_decimal(self) -> Decimal:
        """The exact value as a decimal number of major units."""
        from decimal import Decimal

        return Decimal(self.amount).scaleb(-self.currency.exponent)

    def format(self, locale: str = "en") -> str:
        """The amount as people of a locale write it (`de_CH`, `fr_CH`, `it_CH`, `de_DE`, `en` ...).

        Raises:
            InvalidRequest: unknown locale.
        """
        from babel import UnknownLocaleError
        from babel.numbers import format_currency

        try:
            return format_currency(self.to_decimal(), self.currency.code, locale=locale, currency_digits=False,
                                   format=_pattern(locale, self.currency.exponent))  # fmt: skip
        except (UnknownLocaleError, ValueError) as exc:
            raise InvalidRequest(f"unknown locale {locale!r}: expected one such as de_CH or en") from exc

    def round_cash(self, step_minor: int | None = None) -> Money:
        """The nearest amount payable in coins; a half goes up (away from zero).

        Args:
            step_minor: the smallest coin in minor units; the currency's own (`CASH_STEP_MINOR`) by default.
        """
        step = CASH_STEP_MINOR.get(self.currency.code, 1) if step_minor is None else step_minor
        if step < 1:
            raise InvalidRequest(f"the smallest coin is at least 1 minor unit, got {step}")
        rounded = (abs(self.amount) + step // 2) // step * step
        return Money(-rounded if self.amount < 0 else rounded, self.currency)

    def __add__(self, other: Money) -> Money:
        return Money(self.amount + self._same(other).amount, self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount - self._same(other).amount, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount, self.currency)

    def __bool__(self) -> bool:
        return self.amount != 0

    def __lt__(self, other: Money) -> bool:
        return self.amount < self._same(other).amount

    def __le__(self, other: Money) -> bool:
        return self.amount <= self._same(other).amount

    def __gt__(self, other: Money) -> bool:
        return self.amount > self._same(other).amount

    def __ge__(self, other: Money) -> bool:
        return self.amount >= self._same(other).amount

    def _same(self, other: Money) -> Money:
        if other.currency != self.currency:
            raise InvalidRequest(
                f"{self.currency.code} and {other.currency.code} cannot be added or compared",
                remedy="keep each currency in a sum of its own",
            )
        return other


def _agree(named: Currency | None, assumed: Currency | None, text: str) -> Currency:
    if named is None and assumed is None:
        raise InvalidRequest(f"no currency in {text!r}", remedy="add one, such as 12.50 CHF")
    if named is not None and assumed is not None and named != assumed:
        raise InvalidRequest(f"{text!r} names {named.code}, but {assumed.code} was expected")
    found = named or assumed
    assert found is not None
    return found


def _pattern(locale: str, exponent: int) -> str:
    """The locale's own currency pattern with the currency's true number of decimals (CLDR rounds some away)."""
    from babel import Locale

    pattern = str(Locale.parse(locale).currency_formats["standard"].pattern)
    decimals = "." + "0" * exponent if exponent else ""
    return re.sub(r"\.0+", decimals, pattern) if "." in pattern else re.sub(r"0(?!.*0)", "0" + decimals, pattern)
