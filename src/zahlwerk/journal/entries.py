"""What is written: one row for each thing that happened, numbered without gaps and chained by hashes. Pure.

A row is never changed. Its hash covers the row before it and every column of its own, so that a later change, a gap or
an exchange of two rows is evident to whoever reads the chain from its beginning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final, NamedTuple, TypeAlias

from zahlwerk.lifecycle import PaymentState

__all__ = ["GENESIS", "ORIGIN", "Body", "Draft", "EntryKind", "Head", "Row", "chain_hash", "seal", "state_of"]

Body: TypeAlias = Mapping[str, object]
"""What a row says beyond its columns: JSON-like, keys are words."""

GENESIS: Final = hashlib.sha256(b"zahlwerk journal 1").digest()
"""What the first row is chained to."""


@unique
class EntryKind(Enum):
    """What happened. The first group bears the names of payment states: from then on the payment is in that state."""

    REQUESTED = "requested"
    SENT = "sent"
    APPROVED = "approved"
    CONFIRMING = "confirming"
    ROLLING_BACK = "rolling back"
    CONFIRMED = "confirmed"
    ROLLED_BACK = "rolled back"
    DECLINED = "declined"
    REFERRED = "referred"
    ABORTED = "aborted"
    FAILED = "failed"
    UNKNOWN = "unknown"
    HELD = "held"
    CAPTURING = "capturing"
    RELEASING = "releasing"
    CAPTURED = "captured"
    RELEASED = "released"
    REVERSED = "reversed"
    REFUNDED = "refunded"
    STANDALONE = "standalone"

    DOUBT = "doubt"
    """Asking did not help: the payment went to the list of those that a person must decide about."""
    DECIDED = "decided"
    """A person said what became of a payment in doubt, and why they know."""
    EXPECTED = "expected"
    """A sale waits for a payment to be typed in at a terminal."""
    MATCHED = "matched"
    """A standalone payment was assigned to what it pays for."""
    TOTALS = "totals"
    """The terminal told its figures; with them, what they prove and where they differ."""
    OPENED = "opened"
    """A process began to write here."""
    RESUMED = "resumed"
    """Entries could not be written for a while, and can be again."""
    CLOCK = "clock"
    """The machine's clock was moved."""


_STATES: Final = {kind: PaymentState(kind.value) for kind in EntryKind if kind.value in {s.value for s in PaymentState}}


def state_of(kind: EntryKind) -> PaymentState | None:
    """The state that a payment is in after such an entry; None for entries that change none."""
    return _STATES.get(kind)


@dataclass(frozen=True, slots=True)
class Draft:
    """What shall be written; number, moment and hash are the writer's to give."""

    kind: EntryKind
    terminal: str = ""
    """The name of the terminal in this journal; empty for entries about none."""
    reference: str = ""
    """The payment's; empty for entries about none."""
    body: bytes = b"{}"
    """Encoded by `encoding.encode_body`, free of card data."""
    actor: str = ""
    """Who did it: a person, a register, or the process itself."""
    sequence: int | None = None
    """The terminal's transaction counter, to be found by."""
    opens: bool = False
    """The payment is open from now on: whoever opens the journal next must settle it."""
    closes: bool = False
    """Nothing is open about the payment any more."""


class Row(NamedTuple):
    """One entry as it stands in the database."""

    number: int
    """From 1 on, without gaps."""
    moment: str
    """By the writer's clock, UTC: 2026-11-28T17:46:12.000001Z."""
    terminal: str
    reference: str
    kind: str
    """The value of an `EntryKind`."""
    actor: str
    sequence: int | None
    body: bytes
    hash: bytes
    """SHA-256, 32 bytes."""


class Head(NamedTuple):
    """The latest row, and which writer wrote it."""

    number: int
    hash: bytes
    epoch: int
    """Counts the writers; a later one takes the pen from an earlier one for good."""


ORIGIN: Final = Head(0, GENESIS, 0)
"""The head of an empty journal."""


def chain_hash(  # noqa: PLR0917 - the columns of a row, in their order
    previous: bytes, number: int, moment: str, terminal: str, reference: str, kind: str, actor: str,
    sequence: int | None, body: bytes,
) -> bytes:  # fmt: skip
    """The hash of a row. Columns are divided by NUL, which none of them may hold but the last one."""
    columns = f"{number}\0{moment}\0{terminal}\0{reference}\0{kind}\0{actor}\0{'' if sequence is None else sequence}\0"
    return hashlib.sha256(previous + columns.encode() + body).digest()


def seal(draft: Draft, previous: bytes, *, number: int, moment: str) -> Row:
    """The row that follows the one with the hash `previous`."""
    terminal, reference, kind, actor, sequence, body = (
        draft.terminal, draft.reference, draft.kind.value, draft.actor, draft.sequence, draft.body,
    )  # fmt: skip
    digest = chain_hash(previous, number, moment, terminal, reference, kind, actor, sequence, body)
    return Row(number, moment, terminal, reference, kind, actor, sequence, body, digest)
