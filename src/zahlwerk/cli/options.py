"""The arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from zahlwerk.cli.session import Access
from zahlwerk.errors import TerminalError
from zahlwerk.money import Money
from zahlwerk.payment import PaymentKind, ReceiptKind
from zahlwerk.urls import Url, find_interface

__all__ = [
    "AmountArgument",
    "ConnectTimeoutOption",
    "CurrencyOption",
    "JournalOption",
    "JsonOption",
    "OpenShiftOption",
    "ReferenceOption",
    "SeedOption",
    "TerminalNameOption",
    "TraceOption",
    "UrlArgument",
    "access",
    "amount_of",
    "default_currency",
    "kind_of",
    "receipt_kind_of",
]

CURRENCY_DEFAULT: Final = "CHF"

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
    str,
    typer.Option(
        "--currency", metavar="CODE", help="ISO 4217; if neither this nor the amount says one: the address's."
    ),
]
ReferenceOption = Annotated[
    str, typer.Option("--reference", metavar="R", help="Your own number of this payment; made up if missing.")
]
JournalOption = Annotated[
    str,
    typer.Option(
        "--journal",
        metavar="ADDRESS",
        envvar="ZAHLWERK_JOURNAL",
        help="Write each step down there before it is taken, and pay each reference once: a file, or postgresql://...",
    ),
]
TerminalNameOption = Annotated[
    str,
    typer.Option(
        "--terminal-name", metavar="NAME", help="Of the terminal in the journal; if missing, its address without ?..."
    ),
]
OpenShiftOption = Annotated[
    bool, typer.Option("--open-shift/--no-open-shift", help="Whether a closed shift is opened first.")
]


def access(url: str, *, trace: Path | None = None, seed: int | None = None, connect_timeout: float | None = None,
           journal: str = "", terminal_name: str = "") -> Access:  # fmt: skip
    """How to get to the terminal, out of the shared options."""
    return Access(
        url=url, trace=trace, seed=seed, connect_timeout_s=connect_timeout, journal=journal, name=terminal_name
    )


def amount_of(text: str, currency: str = "", *, default: str = CURRENCY_DEFAULT) -> Money:
    """An amount as it was typed.

    Args:
        text: such as 12.50 or '12.50 EUR'.
        currency: which it must be in; empty for any.
        default: of an amount that names none.

    Raises:
        InvalidRequest: not an amount, an unknown currency, or two that disagree.
    """
    if currency:
        return Money.parse(text, currency=currency)
    names_one = any(character.isalpha() for character in text)
    return Money.parse(text) if names_one else Money.parse(text, currency=default)


def default_currency(url: str) -> str:
    """Of amounts that name none: the address's `currency`, else that of its interface, else Swiss francs."""
    try:
        address = Url.parse(url)
        interface = find_interface(address.scheme)
    except TerminalError:
        return CURRENCY_DEFAULT  # what is wrong with the address is told when it is dialled
    usual = next((one.default for one in interface.parameters if one.name == "currency"), "")
    first = (address.params.get("currency") or usual or "").partition(",")[0].strip()
    return first.upper() or CURRENCY_DEFAULT


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
