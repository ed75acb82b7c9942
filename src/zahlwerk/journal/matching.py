"""Which payment typed in at a terminal pays for which sale that waits for one. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from zahlwerk.money import Money
from zahlwerk.payment import Payment, PaymentKind

__all__ = ["Expectation", "TypedIn", "fits", "only_match"]

_PAYS = frozenset(
    {PaymentKind.PURCHASE, PaymentKind.PURCHASE_WITH_CASHBACK, PaymentKind.PHONE_ORDER, PaymentKind.MAIL_ORDER}
)


@dataclass(frozen=True, slots=True)
class Expectation:
    """A sale that waits for a payment to be typed in at a terminal."""

    reference: str
    """Of the sale."""
    amount: Money
    terminal: str
    """Empty for any."""
    made: datetime
    """By our clock, UTC."""
    until: datetime


@dataclass(frozen=True, slots=True)
class TypedIn:
    """A payment typed in at a terminal."""

    reference: str
    terminal: str
    payment: Payment
    taken: datetime
    """When it was taken in, by our clock, UTC; the terminal's clock is never compared with ours."""


def fits(expected: Expectation, found: TypedIn) -> bool:
    """By amount (with or without the tip), time and terminal."""
    approved, tip = found.payment.approved, found.payment.tip
    if approved is None or not found.payment.is_approved or found.payment.kind not in _PAYS:
        return False
    amounts = [approved]
    if tip is not None and tip.currency == approved.currency:
        amounts.append(approved - tip)
    return (
        expected.amount in amounts
        and expected.terminal in {"", found.terminal}
        and expected.made <= found.taken <= expected.until
    )


def only_match(found: TypedIn, expected: Iterable[Expectation], others: Iterable[TypedIn]) -> Expectation | None:
    """The sale that this payment pays for, if it is the only one, and this the only payment for it.

    Args:
        found: the payment.
        expected: sales that wait.
        others: payments that no sale has yet; may hold `found`.
    """
    fitting = [each for each in expected if fits(each, found)]
    if len(fitting) != 1:
        return None
    [only] = fitting
    rivals = [other for other in others if other.reference != found.reference and fits(only, other)]
    return None if rivals else only
