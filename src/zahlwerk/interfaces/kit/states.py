"""The two tables that both sides of a KIT link obey: the session, and the transaction inside it.

The register walks them with what it sends and receives, the terminal with what it receives and sends; a pair that is
missing is forbidden. Heartbeats, status messages, receipts, notifications and small requests are neutral: they change
neither table. Sources: KIT fact sheet 4.2 (library), 4.6 (payment), 4.9 (disconnects), 4.10 (our terminal).
"""

from __future__ import annotations

from enum import Enum, unique
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SESSIONS", "TRANSACTIONS", "Session", "SessionInput", "Trx", "TrxInput", "step"]


@unique
class Session(Enum):
    """Whether register and terminal know each other."""

    DOWN = "no connection"
    UP = "connected, not yet introduced"
    CONNECTING = "introducing"
    OPEN = "session open"


@unique
class SessionInput(Enum):
    """What happens to a session."""

    LINK_UP = "link up"
    LINK_DOWN = "link down"
    CONNECT_REQUEST = "ConnectRequest"
    CONNECT_RESPONSE = "ConnectResponse"


_S, _I = Session, SessionInput
SESSIONS: Final[Mapping[tuple[Session, SessionInput], Session]] = MappingProxyType({
    (_S.DOWN, _I.LINK_UP): _S.UP,
    (_S.DOWN, _I.LINK_DOWN): _S.DOWN,
    (_S.UP, _I.CONNECT_REQUEST): _S.CONNECTING,
    (_S.UP, _I.LINK_DOWN): _S.DOWN,
    (_S.CONNECTING, _I.CONNECT_RESPONSE): _S.OPEN,
    (_S.CONNECTING, _I.CONNECT_REQUEST): _S.CONNECTING,
    (_S.CONNECTING, _I.LINK_DOWN): _S.DOWN,
    # A new ConnectRequest starts the session anew, with new options (4.3).
    (_S.OPEN, _I.CONNECT_REQUEST): _S.CONNECTING,
    # A repeated answer is only stored (4.2, "in every state").
    (_S.OPEN, _I.CONNECT_RESPONSE): _S.OPEN,
    (_S.OPEN, _I.LINK_DOWN): _S.DOWN,
})  # fmt: skip
"""Which input leads where in a session."""


@unique
class Trx(Enum):
    """Where the transaction of a link stands. It outlives the session: a lost link does not end it (4.9)."""

    IDLE = "nothing runs"
    RUNNING = "requested, no answer yet"
    APPROVED = "approved, not decided"
    CONFIRMING = "confirmation sent"
    ROLLING_BACK = "rollback sent"


@unique
class TrxInput(Enum):
    """What happens to a transaction."""

    REQUEST = "TransactionRequest"
    APPROVAL = "TransactionResponse, approved"
    HELD = "TransactionResponse, approved AUTHORIZATION_PURCHASE"
    REFUSAL = "TransactionResponse, not approved"
    REFUSED = "ErrorNotification instead of an answer"
    CONFIRM = "TransactionConfirmationRequest, Confirm 1"
    ROLL_BACK = "TransactionConfirmationRequest, Confirm 0"
    DONE = "TransactionConfirmationResponse"
    EXPIRED = "taken back by the terminal"


_X, _T = Trx, TrxInput
TRANSACTIONS: Final[Mapping[tuple[Trx, TrxInput], Trx]] = MappingProxyType({
    (_X.IDLE, _T.REQUEST): _X.RUNNING,
    # Settling a held AUTHORIZATION_PURCHASE, named by its TrxSeqCnt (4.6).
    (_X.IDLE, _T.CONFIRM): _X.CONFIRMING,
    (_X.IDLE, _T.ROLL_BACK): _X.ROLLING_BACK,
    (_X.RUNNING, _T.APPROVAL): _X.APPROVED,
    (_X.RUNNING, _T.HELD): _X.IDLE,
    (_X.RUNNING, _T.REFUSAL): _X.IDLE,
    (_X.RUNNING, _T.REFUSED): _X.IDLE,
    # Recovery may try to roll back what it knows nothing of (4.9, rule 2).
    (_X.RUNNING, _T.ROLL_BACK): _X.ROLLING_BACK,
    # The answer again, after a reconnect (4.10).
    (_X.APPROVED, _T.APPROVAL): _X.APPROVED,
    (_X.APPROVED, _T.CONFIRM): _X.CONFIRMING,
    (_X.APPROVED, _T.ROLL_BACK): _X.ROLLING_BACK,
    (_X.APPROVED, _T.EXPIRED): _X.IDLE,
    (_X.CONFIRMING, _T.DONE): _X.IDLE,
    (_X.CONFIRMING, _T.REFUSED): _X.IDLE,
    (_X.CONFIRMING, _T.CONFIRM): _X.CONFIRMING,
    (_X.CONFIRMING, _T.APPROVAL): _X.CONFIRMING,
    (_X.CONFIRMING, _T.EXPIRED): _X.IDLE,
    (_X.ROLLING_BACK, _T.DONE): _X.IDLE,
    (_X.ROLLING_BACK, _T.REFUSED): _X.IDLE,
    (_X.ROLLING_BACK, _T.ROLL_BACK): _X.ROLLING_BACK,
    (_X.ROLLING_BACK, _T.APPROVAL): _X.ROLLING_BACK,
    (_X.ROLLING_BACK, _T.EXPIRED): _X.IDLE,
})  # fmt: skip
"""Which input leads where in a transaction. Never from ROLLING_BACK to CONFIRMING, nor the other way round (4.9, 4)."""

StateT = TypeVar("StateT", bound=Enum)
InputT = TypeVar("InputT", bound=Enum)


def step(table: Mapping[tuple[StateT, InputT], StateT], state: StateT, happened: InputT) -> StateT | None:
    """The state after an input, or None if the table forbids it."""
    return table.get((state, happened))
