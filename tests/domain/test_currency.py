"""The table of currencies against two outside judges."""

from __future__ import annotations

from typing import Final

import pycountry
import pytest
from babel.core import get_global

from zahlwerk.currency import CURRENCIES, Currency
from zahlwerk.errors import InvalidRequest

# CLDR gives the decimals that are in use, ISO 4217 those that exist: card protocols go by ISO.
UNUSED_DECIMALS: Final = {
    "AFN": 2, "ALL": 2, "IQD": 3, "IRR": 2, "KPW": 2, "LAK": 2, "LBP": 2, "MGA": 2, "MMK": 2, "RSD": 2, "SOS": 2, "SYP": 2,
    "YER": 2,
}  # fmt: skip
# ISO says "N.A."; CLDR says nothing, which means two.
NO_MINOR_UNIT: Final = frozenset({"XAG", "XAU", "XBA", "XBB", "XBC", "XBD", "XDR", "XPD", "XPT", "XSU", "XTS", "XUA", "XXX"})  # fmt: skip


def test_letters_and_numbers_are_those_of_iso_4217() -> None:
    """All of them and no other, as packaged in pycountry."""
    theirs = {currency.alpha_3: int(currency.numeric) for currency in pycountry.currencies}

    assert {code: currency.number for code, currency in CURRENCIES.items()} == theirs
    assert len(CURRENCIES) == 178


def test_numbers_are_unique() -> None:
    """A number finds one currency."""

    assert len({currency.number for currency in CURRENCIES.values()}) == len(CURRENCIES)


def test_decimals_are_those_of_cldr_where_cldr_follows_iso() -> None:
    """The known differences are listed, each with what ISO 4217 says."""
    fractions = get_global("currency_fractions")
    default = fractions["DEFAULT"][0]
    different = {
        code: ours.exponent for code, ours in CURRENCIES.items() if ours.exponent != fractions.get(code, (default,))[0]
    }

    assert different == {**UNUSED_DECIMALS, **dict.fromkeys(NO_MINOR_UNIT, 0)}


@pytest.mark.parametrize("code", sorted(CURRENCIES))
def test_a_currency_is_found_by_letters_and_number(code: str) -> None:
    """And by itself; it reads as its letters."""
    currency = CURRENCIES[code]

    assert (
        Currency.of(code)
        is Currency.of(code.lower())
        is Currency.of(currency.number)
        is Currency.of(currency)
        is currency
    )
    assert str(currency) == code


@pytest.mark.parametrize("key", ["", "CH", "CHFF", "756", "\u20ac", "DEM", 0, -1, 280, 1000, 10**30])
def test_what_is_no_currency_is_refused(key: str | int) -> None:
    """Also those that are gone (DEM 280)."""

    with pytest.raises(InvalidRequest, match="unknown currency"):
        Currency.of(key)
