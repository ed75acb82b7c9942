"""Amounts and kinds as people type them."""

from __future__ import annotations

import pytest
import typer

from zahlwerk.cli.options import amount_of, default_currency, kind_of, receipt_kind_of
from zahlwerk.errors import InvalidRequest
from zahlwerk.payment import PaymentKind, ReceiptKind


@pytest.mark.parametrize(
    ("text", "currency", "amount"),
    [
        ("12.50", "", "CHF 12.50"),
        ("12,50", "EUR", "EUR 12.50"),
        ("12.50 EUR", "", "EUR 12.50"),
        ("EUR12.50", "eur", "EUR 12.50"),
        ("1'000", "JPY", "JPY 1000"),
    ],
)
def test_an_amount_has_a_currency(text: str, currency: str, amount: str) -> None:
    """The amount's own, the option's, or Swiss francs."""
    assert str(amount_of(text, currency)) == amount


@pytest.mark.parametrize(
    ("text", "currency"), [("12.505", ""), ("1 EUR", "CHF"), ("1", "XXY"), ("", ""), ("1 2 3 EUR x", "")]
)
def test_what_is_no_amount_is_refused(text: str, currency: str) -> None:
    """Never guessed."""
    with pytest.raises(InvalidRequest):
        amount_of(text, currency)


@pytest.mark.parametrize(
    ("url", "currency"),
    [
        ("zvt+tcp://192.168.1.20", "EUR"),
        ("zvt+tcp://192.168.1.20?currency=chf", "CHF"),
        ("zvt+serial:///dev/ttyUSB0", "EUR"),
        ("kit+tcp://192.168.1.20", "CHF"),
        ("virtual:", "CHF"),
        ("virtual:?currency=EUR,CHF", "EUR"),
        ("nonsense", "CHF"),
        ("carrier+pigeon://x", "CHF"),
    ],
)
def test_an_amount_without_a_currency_is_in_that_of_the_address(url: str, currency: str) -> None:
    """A ZVT terminal that was registered in euros is not asked for francs."""
    assert default_currency(url) == currency
    assert str(amount_of("1.50", default=default_currency(url))) == f"{currency} 1.50"


@pytest.mark.parametrize("kind", PaymentKind)
def test_every_kind_has_a_name(kind: PaymentKind) -> None:
    """Hyphens for underscores."""
    assert kind_of(kind.name.lower().replace("_", "-")) is kind


@pytest.mark.parametrize("kind", ReceiptKind)
def test_every_receipt_has_a_name(kind: ReceiptKind) -> None:
    """As above."""
    assert receipt_kind_of(kind.name.replace("_", "-")) is kind


@pytest.mark.parametrize("convert", [kind_of, receipt_kind_of])
def test_an_unknown_name_is_refused(convert: object) -> None:
    """With those there are."""
    with pytest.raises(typer.BadParameter, match="is none of"):
        convert("gift")  # type: ignore[operator]  # both take a text
