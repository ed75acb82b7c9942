"""What is known of a KIT payment, what a settlement wants done about it, and how it can end. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final, TypeAlias

from zahlwerk.interfaces.kit.messages import Message, TransactionConfirmationResponse, TransactionResponse

__all__ = ["Action", "AskWitness", "End", "Ending", "Facts", "Phase", "Send", "speaks_of_rollback"]


COUNTER_NEAR_ITS_END: Final = 99_000_000


@unique
class Ending(Enum):
    """How a payment ended, in the words of the settlement."""

    CONFIRMED = "confirmed"
    HELD = "held"
    RELEASED = "released"
    NOT_APPROVED = "not approved"
    """The terminal's own answer says so: declined, referred, aborted."""
    REFUSED = "refused"
    """The terminal did not start it."""
    ROLLED_BACK = "rolled back"
    """Approved, then taken back because our side decided so."""
    FAILED = "failed"
    """Something was lost, and certainly no money moved."""
    UNKNOWN = "unknown"


@unique
class Phase(Enum):
    """What the settlement waits for."""

    RUNNING = "the answer of the terminal"
    DECIDING = "the decision of the witness"
    CONFIRMING = "the answer to Confirm 1"
    ROLLING_BACK = "the answer to Confirm 0"
    LINK = "the connection to come back"
    STATUS = "the status"
    ONLINE = "the terminal to come back from the acquirer"
    TAKING_BACK = "the answer to Confirm 0 for an answer we never saw"
    HOLDS = "the list of open authorisations"
    COUNTER = "the transaction counter"
    RECEIPT = "the receipt"
    OVER = "nothing"


@dataclass(frozen=True, slots=True)
class Send:
    """Send this now."""

    message: Message


@dataclass(frozen=True, slots=True)
class AskWitness:
    """Show the approval to the witness and come back with `decided`."""

    response: TransactionResponse


@dataclass(frozen=True, slots=True)
class End:
    """It is over."""

    ending: Ending
    response: TransactionResponse | None
    confirmation: TransactionConfirmationResponse | None
    why: str


Action: TypeAlias = Send | AskWitness | End


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What must survive a restart for a payment to be settled afterwards (`Evidence`, in typed form)."""

    counter_before: int | None = None
    """TrxSeqCnt just before the request left."""
    is_hold: bool = False
    undoes: bool = False
    """The payment is a reversal or cancellation: it has no amount, and its receipt speaks of undoing."""
    sequence: int | None = None
    """TrxSeqCnt of the answer, if one was seen."""
    amount_minor: int | None = None
    """Final amount of a confirmation that has been decided, where it is less than the approved one."""
    approved_minor: int | None = None
    """What the answer approved, tip and partial approval included."""
    confirm: bool | None = None
    """What has been decided: True confirm, False roll back, None nothing yet. True means: Confirm 1 may have left."""
    is_decision_known: bool = True
    """False: these facts are from an earlier process and do not tell whether it had decided; with `confirm` None our
    Confirm 1 may have left all the same."""

    def to_evidence(self) -> Mapping[str, str]:
        """As the text mapping that a `Witness` stores."""
        texts = {
            "counter_before": self.counter_before,
            "is_hold": int(self.is_hold),
            "undoes": int(self.undoes),
            "sequence": self.sequence,
            "amount_minor": self.amount_minor,
            "approved_minor": self.approved_minor,
            "confirm": None if self.confirm is None else int(self.confirm),
        }
        return {name: str(value) for name, value in texts.items() if value is not None}

    @classmethod
    def from_evidence(cls, evidence: Mapping[str, str]) -> Facts:
        """Read back; what is missing or unreadable stays unknown.

        `confirm` is 1 or 0 once the witness has decided, and `none` where it certainly has not; when it is missing,
        nobody knows whether our Confirm 1 has left.
        """

        def number(name: str) -> int | None:
            text = evidence.get(name, "")
            return int(text) if text.isascii() and text.isdigit() else None

        confirm = number("confirm")
        return cls(
            counter_before=number("counter_before"),
            is_hold=bool(number("is_hold")),
            undoes=bool(number("undoes")),
            sequence=number("sequence"),
            amount_minor=number("amount_minor"),
            approved_minor=number("approved_minor"),
            confirm=None if confirm is None else bool(confirm),
            is_decision_known=confirm is not None or evidence.get("confirm") == "none",
        )

    @property
    def is_kept(self) -> bool:
        """The witness keeps an authorisation open. That sends nothing: a capture names its amount."""
        return self.is_hold and self.confirm is True and self.amount_minor is None

    def excludes(self, sequence: int | None) -> bool:
        """An answer with this counter is one to some earlier request: it has not moved since before ours (4.9, 1)."""
        before = self.counter_before
        if not before or sequence is None:
            return False
        # LIMIT: eight digits (2.2); close to the end the counter may have started anew.
        return sequence == before or sequence < before < COUNTER_NEAR_ITS_END

    def but(self, **changes: int | bool | None) -> Facts:
        """The same facts with some changed."""
        return Facts(**({name: getattr(self, name) for name in Facts.__dataclass_fields__} | changes))


def speaks_of_rollback(message: TransactionConfirmationResponse) -> bool:
    """Whether it has a field that comes only on a rollback (2.1), though not on every one."""
    return any((message.msg_type, message.auth_reslt, message.cardholder_text, message.attendant_text))
