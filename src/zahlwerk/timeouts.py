"""Every wait between register and host, in one table, each longer than what it waits for.

Most lost payments in the field come from clocks that disagree: the register gives up while the terminal still works.
So the waits are derived: a link's wait is the sum of what may happen beneath it, plus a margin. A test proves the order
host < terminal < gateway < register for each operation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEFAULT_WAITS", "Operation", "Waits"]


@unique
class Operation(Enum):
    """What is waited for."""

    CONNECT = "connect"
    PAYMENT = "payment"
    CONFIRMATION = "confirmation"
    SHIFT = "shift"
    SERVICE = "service"
    """End of day, submission, configuration: work that goes online and takes long."""
    INITIALISATION = "initialisation"
    SHORT = "short"
    """Status, receipts, reports, printing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """The waits of one chain from register to host, in seconds."""

    host_s: float = 20.0
    """The terminal waits so long for the host's answer to an authorisation."""
    card_s: float = 60.0
    """No card in this time: the payment ends. Source: KIT fact sheet 4.10."""
    cardholder_s: float = 30.0
    """For all of PIN, tip, currency and signature, once the card is there."""
    approval_s: float = 60.0
    """The terminal waits so long for the confirmation of an approval. Source: KIT fact sheet 4.10."""
    host_service_s: float = 120.0
    """End of day, configuration and the like, at the terminal."""
    margin_s: float = 10.0
    """What each link adds to the one beneath it."""
    connect_s: float = 10.0
    """To make a connection. Source: PayTec's tester gives up after 10 s (KIT fact sheet 1.2)."""
    short_s: float = 20.0
    """The terminal's own time for small answers."""
    heartbeat_interval_s: float = 10.0
    """Silence after which the peer is asked for a sign of life. Source: as below."""
    heartbeat_timeout_s: float = 10.0
    """Further silence after which it counts as gone. Source: defaults of PayTec's library (KIT fact sheet 4.1)."""
    reconnect_s: float = 3.0
    """Pause before a lost connection is made again. Source: as above, AutoReconnect."""
    late_answer_s: float = 30.0
    """After an abort, and after the register's own time is up, an approval may still come so long. Source: 4.6."""

    def terminal_s(self, operation: Operation) -> float:
        """The longest a terminal takes before it answers."""
        return {
            Operation.CONNECT: self.connect_s,
            Operation.PAYMENT: self.card_s + self.cardholder_s + self.host_s,
            Operation.CONFIRMATION: self.host_s,
            Operation.SHIFT: self.host_s,
            Operation.SERVICE: self.host_service_s,
            Operation.INITIALISATION: self.host_service_s,
            Operation.SHORT: self.short_s,
        }[operation]

    def gateway_s(self, operation: Operation) -> float:
        """How long a gateway (bridge, driver behind an endpoint) waits for the terminal."""
        return self.terminal_s(operation) + self.margin_s

    def register_s(self, operation: Operation) -> float:
        """How long a register waits, gateway or not."""
        return self.gateway_s(operation) + self.margin_s

    def chain(self, operation: Operation) -> Mapping[str, float]:
        """All waits for one operation, from the innermost out; without the host where the terminal does not ask it."""
        terminal_s = self.terminal_s(operation)
        # The terminal needs a moment of its time for itself.
        host = {"host": min(self._host_s(operation), terminal_s - 1)} if operation not in _WITHOUT_HOST else {}
        return MappingProxyType({
            **host,
            "terminal": terminal_s,
            "gateway": self.gateway_s(operation),
            "register": self.register_s(operation),
        })  # fmt: skip

    def _host_s(self, operation: Operation) -> float:
        return self.host_service_s if operation in _SERVICES else self.host_s


_SERVICES: Final = frozenset({Operation.SERVICE, Operation.INITIALISATION})
_WITHOUT_HOST: Final = frozenset({Operation.CONNECT, Operation.SHORT})

DEFAULT_WAITS: Final = Waits()
"""What everything uses unless told otherwise."""
