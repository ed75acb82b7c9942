"""Receipts as text: tables of lines, laid out for a language and a paper width."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

from zahlwerk.money import Money
from zahlwerk.payment import Payment, ReceiptKind
from zahlwerk.terminal import Total
from zahlwerk.virtual.texts import word

__all__ = [
    "E_SIGNATURE",
    "WIDTH_DEFAULT",
    "WIDTH_MAX",
    "WIDTH_MIN",
    "Head",
    "dcc_rows",
    "payment_receipt",
    "service_receipt",
]

# LIMIT: paper of 58 mm has about 24 to 34 characters a line, of 80 mm 42 to 48; registers ask for up to 80.
WIDTH_MIN: Final = 20
WIDTH_MAX: Final = 80
WIDTH_DEFAULT: Final = 34

# Source: KIT fact sheet 4.7: where a register puts the picture of the signature.
E_SIGNATURE: Final = "<ESignature />"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What every receipt of a terminal has in common."""

    language: str
    width: int
    merchant: str
    terminal_id: str
    at: datetime
    shift: int
    period: int


# One line: the word on the left, and what stands on the right of it; no line where that is empty.
_Line = tuple[str, Callable[[Payment], str]]


def _money(pick: Callable[[Payment], Money | None]) -> Callable[[Payment], str]:
    return lambda payment: str(amount) if (amount := pick(payment)) else ""


def _goods(payment: Payment) -> Money | None:
    if payment.approved is None or not (payment.tip or payment.cashback):
        return None
    goods = payment.approved
    for extra in (payment.tip, payment.cashback):
        goods = goods - extra if extra else goods
    return goods


_CARD: Final[tuple[_Line, ...]] = (
    ("card", lambda p: p.brand),
    ("number", lambda p: p.masked_pan),
    ("aid", lambda p: p.aid),
    ("sequence", lambda p: str(p.sequence or "")),
    ("acquirer", lambda p: str(p.acquirer_id or "")),
    ("authorisation", lambda p: p.authorisation_code),
    ("reference", lambda p: p.transaction_reference),
)
_SUMS: Final[tuple[_Line, ...]] = (
    ("goods", _money(_goods)),
    ("tip", _money(lambda p: p.tip)),
    ("cashback", _money(lambda p: p.cashback)),
    ("total", _money(lambda p: p.approved)),
    ("rate", lambda p: p.dcc.rate if p.dcc else ""),
    ("foreign", _money(lambda p: p.dcc.amount if p.dcc else None)),
    ("remaining", _money(lambda p: p.remaining)),
    ("available", _money(lambda p: p.available)),
)


def payment_receipt(
    payment: Payment, kind: ReceiptKind, head: Head, *, order: str = "", sign_by_hand: bool = False
) -> str:
    """The receipt of a payment, for the merchant or the customer."""
    lines = _top(kind, head)
    lines += _centred(word(f"kind {payment.kind.value}", head.language), head.width)
    lines += _rows(_CARD, payment, head)
    if order:
        lines += _row(word("order", head.language), order, head.width)
    lines.append("")
    lines += _rows(_SUMS, payment, head)
    if kind is ReceiptKind.MERCHANT and payment.e_signature_png:
        lines += ["", word("signature", head.language), E_SIGNATURE]
    elif kind is ReceiptKind.MERCHANT and sign_by_hand:
        lines += ["", word("signature", head.language), "", "_" * head.width]
    return _paper(lines, head)


def undone_receipt(payment: Payment, head: Head) -> str:
    """What the terminal keeps of a payment that was authorised and then taken back: handed out when asked for."""
    lines = _top(ReceiptKind.MERCHANT, head)
    lines += _centred(word(f"kind {payment.kind.value}", head.language), head.width)
    lines += _rows(_CARD, payment, head)
    lines += ["", *_centred(word("taken back", head.language), head.width)]
    return _paper(lines, head)


def service_receipt(
    kind: ReceiptKind, head: Head, *, totals: Iterable[Total] | None = None, rows: Iterable[tuple[str, str]] = ()
) -> str:
    """The receipt of a shift, an end of day or other work.

    Args:
        kind: what it is about.
        head: what it has in common with all others.
        totals: figures to print; None for a receipt without.
        rows: further lines: a word of `texts.toml` and a value.
    """
    lines = _top(kind, head)
    for name, value in rows:
        lines += _row(word(name, head.language), value, head.width)
    if totals is not None:
        lines += _figures(tuple(totals), head)
    return _paper(lines, head)


def dcc_rows(amount: Money, foreign: Money, rate: str) -> tuple[tuple[str, str], ...]:
    """The lines of an offer in the card's own currency."""
    return (("total", str(amount)), ("rate", rate), ("foreign", str(foreign)))


def _figures(totals: tuple[Total, ...], head: Head) -> list[str]:
    if not totals:
        return ["", word("nothing", head.language)]
    lines: list[str] = []
    brand = None
    for total in totals:
        if total.brand != brand:
            brand = total.brand
            lines += ["", brand or "-"]
        label = f"{total.count} x {word(f'total {total.kind.value}', head.language)}"
        lines += _row(label, str(total.amount), head.width)
        if total.tip:
            lines += _row(f"  {word('tip', head.language)}", str(total.tip), head.width)
    return lines


def _top(kind: ReceiptKind, head: Head) -> list[str]:
    lines = [*_centred(word("test", head.language), head.width)]
    lines += _centred(head.merchant, head.width)
    lines += ["", *_centred(word(kind.value, head.language), head.width), ""]
    lines += _row(f"{head.at:%d.%m.%Y}", f"{head.at:%H:%M:%S}", head.width)
    lines += _row(word("terminal", head.language), head.terminal_id, head.width)
    lines += _row(
        f"{word('shift', head.language)} {head.shift}", f"{word('period', head.language)} {head.period}", head.width
    )
    return lines


def _rows(table: Iterable[_Line], payment: Payment, head: Head) -> list[str]:
    lines: list[str] = []
    for name, pick in table:
        value = pick(payment)
        if value:
            lines += _row(word(name, head.language), value, head.width)
    return lines


def _row(left: str, right: str, width: int) -> list[str]:
    """Left and right on one line, or on two where they do not fit."""
    if len(left) + len(right) < width:
        return [left + right.rjust(width - len(left))]
    return [*textwrap.wrap(left, width), *(part.rjust(width) for part in textwrap.wrap(right, width))]


@lru_cache(maxsize=64)  # the same few headings on every receipt
def _centred(text: str, width: int) -> tuple[str, ...]:
    return tuple(line.center(width).rstrip() for line in textwrap.wrap(text, width))


def _paper(lines: list[str], head: Head) -> str:
    return "\n".join([*lines, "", *_centred(word("test", head.language), head.width)])
