"""The machine's side of a cashless sale, as every machine interface sees it: select, approve, dispense, settle.

A machine endpoint (MDB, ccTalk, dry contacts, OCPP) walks `VENDING` and uses a `Hold` for the money: nothing is
captured before the machine says that it delivered.
"""

from __future__ import annotations

from enum import Enum, unique
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from zahlwerk.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["VENDING", "VendingState", "VendingStep", "vend"]


@unique
class VendingState(Enum):
    """Where a session with a machine stands."""

    IDLE = "idle"
    SELECTED = "selected"
    """The customer chose; nothing is authorised yet."""
    AUTHORISING = "authorising"
    APPROVED = "approved"
    """An amount is held; the machine may dispense."""
    DISPENSING = "dispensing"
    SETTLING = "settling"
    """The machine has delivered: the hold is being captured."""
    RELEASING = "releasing"
    """The machine has not delivered: the hold is being released."""


@unique
class VendingStep(Enum):
    """What happens in a session."""

    SELECT = "select"
    PRESENT_CARD = "present card"
    APPROVE = "approve"
    DENY = "deny"
    DISPENSE = "dispense"
    SUCCEED = "succeed"
    FAIL = "fail"
    CANCEL = "cancel"
    SETTLED = "settled"


_S, _T = VendingState, VendingStep
VENDING: Final[Mapping[tuple[VendingState, VendingStep], VendingState]] = MappingProxyType({
    (_S.IDLE, _T.SELECT): _S.SELECTED,
    (_S.IDLE, _T.PRESENT_CARD): _S.AUTHORISING,  # credit first
    (_S.SELECTED, _T.PRESENT_CARD): _S.AUTHORISING,  # selection first
    (_S.SELECTED, _T.CANCEL): _S.IDLE,
    (_S.AUTHORISING, _T.APPROVE): _S.APPROVED,
    (_S.AUTHORISING, _T.DENY): _S.IDLE,
    (_S.AUTHORISING, _T.CANCEL): _S.RELEASING,
    (_S.APPROVED, _T.DISPENSE): _S.DISPENSING,
    (_S.APPROVED, _T.CANCEL): _S.RELEASING,
    (_S.DISPENSING, _T.SUCCEED): _S.SETTLING,
    (_S.DISPENSING, _T.FAIL): _S.RELEASING,
    (_S.SETTLING, _T.SETTLED): _S.IDLE,
    (_S.RELEASING, _T.SETTLED): _S.IDLE,
})  # fmt: skip
"""Which step leads where; a pair that is missing is forbidden."""


def vend(state: VendingState, step: VendingStep) -> VendingState:
    """The state after a step.

    Raises:
        LocalProtocolError: the table has no such step from that state.
    """
    try:
        return VENDING[state, step]
    except KeyError:
        raise LocalProtocolError(f"a machine that is {state.value} cannot {step.value}") from None
