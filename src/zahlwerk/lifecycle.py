"""The one table of payment and hold states; drivers, journal, virtual terminal and simulation all walk it.

A pair (state, step) that is missing is forbidden. What a state says about money is data too (`MONEY`): nobody has to
guess it from a name.
"""

from __future__ import annotations

from enum import Enum, unique
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from zahlwerk.errors import LocalProtocolError, MoneyMoved

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FINAL", "MONEY", "TRANSITIONS", "PaymentState", "Step", "advance"]


@unique
class PaymentState(Enum):
    """Where a payment stands."""

    REQUESTED = "requested"
    """Wanted by the register; nothing has left yet."""
    SENT = "sent"
    """On its way to the terminal, or being worked on there."""
    APPROVED = "approved"
    """Authorised, not yet confirmed: the terminal will take it back by itself if nobody confirms."""
    CONFIRMING = "confirming"
    """The confirmation has been decided and may have left."""
    ROLLING_BACK = "rolling back"
    """The rollback has been decided and may have left."""
    CONFIRMED = "confirmed"
    """Money moves."""
    ROLLED_BACK = "rolled back"
    """Authorised once, taken back before confirmation: no money moved."""
    DECLINED = "declined"
    """By issuer, card or terminal."""
    REFERRED = "referred"
    """The acquirer wants a telephone call first."""
    ABORTED = "aborted"
    """Stopped by card holder, register or terminal."""
    FAILED = "failed"
    """Certainly no money moved."""
    UNKNOWN = "unknown"
    """Nobody knows yet; recovery goes on."""
    HELD = "held"
    """An authorisation that waits for its final amount."""
    CAPTURING = "capturing"
    """The capture of a hold has been decided and may have left."""
    RELEASING = "releasing"
    """The release of a hold has been decided and may have left."""
    CAPTURED = "captured"
    """A hold whose final amount was taken."""
    RELEASED = "released"
    """A hold that was let go of: no money moved."""
    REVERSED = "reversed"
    """Confirmed once, undone by a later reversal."""
    REFUNDED = "refunded"
    """Confirmed once, given back (wholly or in part) by a later refund."""
    STANDALONE = "standalone"
    """Taken at the terminal without the register; confirmed, waiting to be matched."""


@unique
class Step(Enum):
    """What happens to a payment."""

    SEND = "send"
    APPROVE = "approve"
    HOLD = "hold"
    DECLINE = "decline"
    REFER = "refer"
    ABORT = "abort"
    FAIL = "fail"
    LOSE = "lose"
    CONFIRM = "confirm"
    CONFIRMED = "confirmed"
    ROLL_BACK = "roll back"
    ROLLED_BACK = "rolled back"
    CAPTURE = "capture"
    CAPTURED = "captured"
    RELEASE = "release"
    RELEASED = "released"
    REVERSE = "reverse"
    REFUND = "refund"


_S, _T = PaymentState, Step

TRANSITIONS: Final[Mapping[tuple[PaymentState, Step], PaymentState]] = MappingProxyType({
    (_S.REQUESTED, _T.SEND): _S.SENT,
    (_S.REQUESTED, _T.ABORT): _S.ABORTED,
    (_S.REQUESTED, _T.FAIL): _S.FAILED,
    (_S.SENT, _T.APPROVE): _S.APPROVED,
    (_S.SENT, _T.HOLD): _S.HELD,
    (_S.SENT, _T.DECLINE): _S.DECLINED,
    (_S.SENT, _T.REFER): _S.REFERRED,
    (_S.SENT, _T.ABORT): _S.ABORTED,
    (_S.SENT, _T.FAIL): _S.FAILED,
    (_S.SENT, _T.LOSE): _S.UNKNOWN,
    # Terminals that know one phase only report the end of it.
    (_S.SENT, _T.CONFIRMED): _S.CONFIRMED,
    (_S.APPROVED, _T.CONFIRM): _S.CONFIRMING,
    (_S.APPROVED, _T.ROLL_BACK): _S.ROLLING_BACK,
    (_S.APPROVED, _T.HOLD): _S.HELD,  # the terminal has ended the authorisation, and keeps it
    (_S.APPROVED, _T.ROLLED_BACK): _S.ROLLED_BACK,  # by the terminal, unconfirmed for too long
    (_S.APPROVED, _T.LOSE): _S.UNKNOWN,
    (_S.CONFIRMING, _T.CONFIRMED): _S.CONFIRMED,
    (_S.CONFIRMING, _T.HOLD): _S.HELD,  # to confirm an authorisation is to keep it
    (_S.CONFIRMING, _T.ROLLED_BACK): _S.ROLLED_BACK,
    (_S.CONFIRMING, _T.LOSE): _S.UNKNOWN,
    (_S.ROLLING_BACK, _T.ROLLED_BACK): _S.ROLLED_BACK,
    (_S.ROLLING_BACK, _T.RELEASED): _S.RELEASED,  # of a hold
    (_S.ROLLING_BACK, _T.LOSE): _S.UNKNOWN,
    (_S.UNKNOWN, _T.LOSE): _S.UNKNOWN,
    (_S.UNKNOWN, _T.APPROVE): _S.APPROVED,
    (_S.UNKNOWN, _T.HOLD): _S.HELD,
    (_S.UNKNOWN, _T.CONFIRMED): _S.CONFIRMED,
    (_S.UNKNOWN, _T.ROLLED_BACK): _S.ROLLED_BACK,
    (_S.UNKNOWN, _T.DECLINE): _S.DECLINED,
    (_S.UNKNOWN, _T.REFER): _S.REFERRED,
    (_S.UNKNOWN, _T.ABORT): _S.ABORTED,
    (_S.UNKNOWN, _T.FAIL): _S.FAILED,
    (_S.UNKNOWN, _T.CAPTURED): _S.CAPTURED,
    (_S.UNKNOWN, _T.RELEASED): _S.RELEASED,
    (_S.HELD, _T.CAPTURE): _S.CAPTURING,
    (_S.HELD, _T.RELEASE): _S.RELEASING,
    (_S.HELD, _T.RELEASED): _S.RELEASED,  # by the terminal or the issuer, held for too long
    (_S.CAPTURING, _T.CAPTURED): _S.CAPTURED,
    (_S.CAPTURING, _T.LOSE): _S.UNKNOWN,
    (_S.RELEASING, _T.RELEASED): _S.RELEASED,
    (_S.RELEASING, _T.LOSE): _S.UNKNOWN,
    (_S.CONFIRMED, _T.REVERSE): _S.REVERSED,
    (_S.CONFIRMED, _T.REFUND): _S.REFUNDED,
    (_S.CAPTURED, _T.REVERSE): _S.REVERSED,
    (_S.CAPTURED, _T.REFUND): _S.REFUNDED,
    (_S.STANDALONE, _T.REVERSE): _S.REVERSED,
    (_S.STANDALONE, _T.REFUND): _S.REFUNDED,
    (_S.REFUNDED, _T.REFUND): _S.REFUNDED,
})  # fmt: skip
"""Which step leads where."""

MONEY: Final[Mapping[PaymentState, MoneyMoved]] = MappingProxyType({
    _S.REQUESTED: MoneyMoved.NO,
    _S.SENT: MoneyMoved.MAYBE,
    _S.APPROVED: MoneyMoved.MAYBE,
    _S.CONFIRMING: MoneyMoved.MAYBE,
    _S.ROLLING_BACK: MoneyMoved.MAYBE,
    _S.CONFIRMED: MoneyMoved.YES,
    _S.ROLLED_BACK: MoneyMoved.NO,
    _S.DECLINED: MoneyMoved.NO,
    _S.REFERRED: MoneyMoved.NO,
    _S.ABORTED: MoneyMoved.NO,
    _S.FAILED: MoneyMoved.NO,
    _S.UNKNOWN: MoneyMoved.MAYBE,
    _S.HELD: MoneyMoved.MAYBE,
    _S.CAPTURING: MoneyMoved.MAYBE,
    _S.RELEASING: MoneyMoved.MAYBE,
    _S.CAPTURED: MoneyMoved.YES,
    _S.RELEASED: MoneyMoved.NO,
    _S.REVERSED: MoneyMoved.NO,
    _S.REFUNDED: MoneyMoved.YES,
    _S.STANDALONE: MoneyMoved.YES,
})  # fmt: skip
"""What each state says about the cardholder's money."""

FINAL: Final[frozenset[PaymentState]] = frozenset({
    _S.CONFIRMED, _S.ROLLED_BACK, _S.DECLINED, _S.REFERRED, _S.ABORTED, _S.FAILED, _S.CAPTURED, _S.RELEASED,
    _S.REVERSED, _S.REFUNDED, _S.STANDALONE,
})  # fmt: skip
"""States in which nothing is open any more. `HELD` is not among them: every hold must end."""


def advance(state: PaymentState, step: Step) -> PaymentState:
    """The state after a step.

    Raises:
        LocalProtocolError: the table has no such step from that state; nothing has changed.
    """
    try:
        return TRANSITIONS[state, step]
    except KeyError:
        allowed = sorted(name.value for before, name in TRANSITIONS if before is state)
        raise LocalProtocolError(
            f"a payment that is {state.value} cannot {step.value}; possible: {', '.join(allowed) or 'nothing'}"
        ) from None
