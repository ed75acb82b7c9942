"""The states of the virtual terminal, what leads from one to the next, and what its status shows in each.

Source: KIT fact sheet 4.10. `OFF` is ours: crashed or restarting. What depends on a card (read, in the slot,
application selected) is not part of a state but a fact beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, unique
from types import MappingProxyType
from typing import Final

from zahlwerk.errors import LocalProtocolError

__all__ = ["FLAGS", "TRANSITIONS", "Input", "State", "advance"]


@unique
class State(Enum):
    """What the terminal is doing."""

    OFF = "off"
    CLOSED = "closed"
    """No shift."""
    OPEN = "open"
    CARD_FIRST = "card first"
    """A card was shown before the amount."""
    WAIT_CARD = "waiting for a card"
    CARD = "card"
    ONLINE = "online"
    WAIT_CONFIRM = "waiting for the confirmation"
    SERVICE = "service"
    """End of day, configuration and the like."""
    DIALOG = "dialog"


@unique
class Input(Enum):
    """What happens to it."""

    SHIFT_OPENED = "shift opened"
    SHIFT_CLOSED = "shift closed"
    CARD_SHOWN = "card shown"
    CARD_GONE = "card gone"
    REQUEST = "request"
    """For a payment with a card."""
    REQUEST_KEYED = "request without a card shown"
    ASK_HOST = "host asked"
    APPROVED = "approved"
    FINISHED = "finished"
    """The use case has ended, however."""
    SERVICE = "service begun"
    SERVICE_DONE = "service done"
    SERVICE_DONE_CLOSED = "service done, shift closed"
    DIALOG = "dialog begun"
    DIALOG_DONE = "dialog done"
    DIALOG_DONE_CLOSED = "dialog done, shift closed"
    CRASH = "crash"
    START_OPEN = "started, shift open"
    START_CLOSED = "started, shift closed"


_S, _I = State, Input

TRANSITIONS: Final[Mapping[tuple[State, Input], State]] = MappingProxyType({
    (_S.CLOSED, _I.SHIFT_OPENED): _S.OPEN,
    (_S.OPEN, _I.SHIFT_CLOSED): _S.CLOSED,
    (_S.OPEN, _I.CARD_SHOWN): _S.CARD_FIRST,
    (_S.CARD_FIRST, _I.CARD_GONE): _S.OPEN,
    (_S.OPEN, _I.REQUEST): _S.WAIT_CARD,
    (_S.CARD_FIRST, _I.REQUEST): _S.CARD,
    (_S.OPEN, _I.REQUEST_KEYED): _S.CARD,
    (_S.CARD_FIRST, _I.REQUEST_KEYED): _S.CARD,
    (_S.WAIT_CARD, _I.CARD_SHOWN): _S.CARD,
    (_S.WAIT_CARD, _I.FINISHED): _S.OPEN,
    (_S.CARD, _I.FINISHED): _S.OPEN,
    (_S.CARD, _I.ASK_HOST): _S.ONLINE,
    (_S.ONLINE, _I.APPROVED): _S.WAIT_CONFIRM,
    (_S.ONLINE, _I.FINISHED): _S.OPEN,
    (_S.WAIT_CONFIRM, _I.FINISHED): _S.OPEN,
    (_S.OPEN, _I.SERVICE): _S.SERVICE,
    (_S.CLOSED, _I.SERVICE): _S.SERVICE,
    (_S.SERVICE, _I.SERVICE_DONE): _S.OPEN,
    (_S.SERVICE, _I.SERVICE_DONE_CLOSED): _S.CLOSED,
    (_S.OPEN, _I.DIALOG): _S.DIALOG,
    (_S.CLOSED, _I.DIALOG): _S.DIALOG,
    (_S.DIALOG, _I.DIALOG_DONE): _S.OPEN,
    (_S.DIALOG, _I.DIALOG_DONE_CLOSED): _S.CLOSED,
    **{(state, _I.CRASH): _S.OFF for state in State if state is not _S.OFF},
    (_S.OFF, _I.START_OPEN): _S.OPEN,
    (_S.OFF, _I.START_CLOSED): _S.CLOSED,
})  # fmt: skip
"""Which input leads where; a pair that is missing is refused."""

FLAGS: Final[Mapping[State, frozenset[str]]] = MappingProxyType({
    _S.OFF: frozenset(),
    _S.CLOSED: frozenset(),
    _S.OPEN: frozenset(),
    _S.CARD_FIRST: frozenset({"busy", "wants_request"}),
    _S.WAIT_CARD: frozenset({"busy"}),
    _S.CARD: frozenset({"busy"}),
    _S.ONLINE: frozenset({"busy", "online"}),
    _S.WAIT_CONFIRM: frozenset({"busy"}),
    _S.SERVICE: frozenset({"busy"}),
    _S.DIALOG: frozenset({"locked"}),
})  # fmt: skip
"""What the status shows in each state, besides the shift and what concerns the card. Source: as above."""


def advance(state: State, happened: Input) -> State:
    """The next state.

    Raises:
        LocalProtocolError: impossible from that state; nothing has changed.
    """
    try:
        return TRANSITIONS[state, happened]
    except KeyError:
        raise LocalProtocolError(f"{happened.value}: impossible while {state.value}") from None
