"""Amounts and kinds as people type them."""

from __future__ import annotations

import pytest
import typer

from zahlwerk.cli.options import amount_of, kind_of, receipt_kind_of
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
