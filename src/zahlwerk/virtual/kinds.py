"""What each payment function means for card, host and totals: one table.

Source: KIT fact sheet 2.3 (ep2 functions) and 2.10 (financial counters). Standing: the choice of card or no card and of
the counter is ours where the sheet is silent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, unique
from types import MappingProxyType
from typing import Final

from zahlwerk.payment import PaymentKind
from zahlwerk.terminal import TotalKind

__all__ = ["RULES", "CardUse", "Rule"]


@unique
class CardUse(Enum):
    """Whether a card takes part."""

    SHOWN = "shown"
    KEYED = "keyed"
    """The number is typed by the attendant: mail and telephone orders."""
    NONE = "none"
    """An earlier payment is named, or is the latest."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One function of the terminal."""

    card: CardUse
    effect: int
    """+1: the merchant gets money, -1: gives money, 0: none moves by this step alone."""
    total: TotalKind
    """Which counter it goes to; a reversal goes to that of what it undoes."""
    extras: bool = False
    """A tip or the card's own currency can be offered."""
    verified: bool = False
    """The card holder proves to be one: PIN or signature."""


_K, _T, _C = PaymentKind, TotalKind, CardUse

RULES: Final[Mapping[PaymentKind, Rule]] = MappingProxyType({
    _K.PURCHASE: Rule(_C.SHOWN, +1, _T.DEBIT, extras=True, verified=True),
    _K.PURCHASE_WITH_CASHBACK: Rule(_C.SHOWN, +1, _T.DEBIT, verified=True),
    _K.CASH_ADVANCE: Rule(_C.SHOWN, +1, _T.DEBIT, verified=True),
    _K.REFUND: Rule(_C.SHOWN, -1, _T.CREDIT),
    _K.REVERSAL: Rule(_C.NONE, 0, _T.DEBIT_REVERSAL),
    _K.AUTHORISATION: Rule(_C.SHOWN, +1, _T.DEBIT, verified=True),
    _K.RESERVATION: Rule(_C.SHOWN, 0, _T.RESERVATION, verified=True),
    _K.RESERVATION_ADJUSTMENT: Rule(_C.NONE, 0, _T.RESERVATION),
    _K.RESERVATION_CAPTURE: Rule(_C.NONE, +1, _T.DEBIT),
    _K.RESERVATION_CANCEL: Rule(_C.NONE, 0, _T.OTHER),
    _K.RESERVATION_PHONE_CONFIRM: Rule(_C.NONE, 0, _T.RESERVATION),
    _K.MAIL_ORDER: Rule(_C.KEYED, +1, _T.DEBIT),
    _K.PHONE_ORDER: Rule(_C.KEYED, +1, _T.DEBIT),
    _K.FORCED_ACCEPTANCE: Rule(_C.SHOWN, +1, _T.DEBIT, verified=True),
    _K.PHONE_AUTHORISED: Rule(_C.SHOWN, +1, _T.DEBIT, verified=True),
    _K.BALANCE_INQUIRY: Rule(_C.SHOWN, 0, _T.OTHER),
    _K.CARD_ACTIVATION: Rule(_C.SHOWN, 0, _T.OTHER),
    _K.LOAD: Rule(_C.SHOWN, -1, _T.CREDIT),
    _K.ACCOUNT_VERIFICATION: Rule(_C.SHOWN, 0, _T.OTHER, verified=True),
})  # fmt: skip
