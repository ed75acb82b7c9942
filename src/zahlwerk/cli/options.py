"""The arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zahlwerk.cli.session import Access
from zahlwerk.money import Money
from zahlwerk.payment import PaymentKind, ReceiptKind

__all__ = [
    "AmountArgument",
    "ConnectTimeoutOption",
    "CurrencyOption",
    "JsonOption",
    "OpenShiftOption",
    "ReferenceOption",
    "SeedOption",
    "TraceOption",
    "UrlArgument",
    "access",
    "amount_of",
    "kind_of",
    "receipt_kind_of",
]

CURRENCY_DEFAULT = "CHF"

UrlArgument = Annotated[
    str,
    typer.Argument(
        metavar="URL", help="The terminal, such as kit+tcp://192.168.1.20, kit+serial:///dev/ttyUSB0 or virtual:"
    ),
]
AmountArgument = Annotated[str, typer.Argument(metavar="AMOUNT", help="Such as 12.50, '12.50 EUR' or EUR12.50.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object per line, for programs.")]
TraceOption = Annotated[
    Path | None, typer.Option("--trace", metavar="FILE", help="Record the conversation (see: zahlwerk trace FILE).")
]
SeedOption = Annotated[int | None, typer.Option("--seed", metavar="N", help="Makes every random choice repeatable.")]
ConnectTimeoutOption = Annotated[
    float | None,
    typer.Option("--connect-timeout", metavar="SECONDS", min=0.1, help="How long the terminal may take to answer."),
]
CurrencyOption = Annotated[
    str, typer.Option("--currency", metavar="CODE", help="ISO 4217; CHF if neither this nor the amount says another.")
]
ReferenceOption = Annotated[
    str, typer.Option("--reference", metavar="R", help="Your own number of this payment; made up if missing.")
]
OpenShiftOption = Annotated[
    bool, typer.Option("--open-shift/--no-open-shift", help="Whether a closed shift is opened first.")
]


def access(
    url: str, *, trace: Path | None = None, seed: int | None = None, connect_timeout: float | None = None
) -> Access:
    """How to get to the terminal, out of the shared options."""
    return Access(url=url, trace=trace, seed=seed, connect_timeout_s=connect_timeout)


def amount_of(text: str, currency: str = "") -> Money:
    """An amount as it was typed; Swiss francs if nothing says otherwise.

    Raises:
        InvalidRequest: not an amount, an unknown currency, or two that disagree.
    """
    if currency:
        return Money.parse(text, currency=currency)
    names_one = any(character.isalpha() for character in text)
    return Money.parse(text) if names_one else Money.parse(text, currency=CURRENCY_DEFAULT)


def kind_of(text: str) -> PaymentKind:
    """The kind of payment of this name, hyphens for underscores.

    Raises:
        typer.BadParameter: there is none.
    """
    found = {_option_name(kind.name): kind for kind in PaymentKind}
    if text.lower() not in found:
        raise typer.BadParameter(f"{text[:32]!r} is none of {', '.join(found)}")
    return found[text.lower()]


def receipt_kind_of(text: str) -> ReceiptKind:
    """The kind of receipt of this name, hyphens for underscores.

    Raises:
        typer.BadParameter: there is none.
    """
    found = {_option_name(kind.name): kind for kind in ReceiptKind}
    if text.lower() not in found:
        raise typer.BadParameter(f"{text[:32]!r} is none of {', '.join(found)}")
    return found[text.lower()]


def _option_name(name: str) -> str:
    return name.lower().replace("_", "-")
