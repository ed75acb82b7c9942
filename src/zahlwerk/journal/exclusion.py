"""When the terminal's answer about a payment proves nothing: it may be about another one that was sent later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from zahlwerk.journal.entries import EntryKind
from zahlwerk.journal.records import Record

if TYPE_CHECKING:
    from zahlwerk.journal.journal import Journal
    from zahlwerk.payment import Payment

__all__ = ["belongs_to", "overtaken_by"]

# LIMIT: rows of a terminal that are looked through; a payment that is open for longer counts as overtaken.
ROWS_MAX: Final = 500
_REACH_THE_TERMINAL: Final = frozenset({EntryKind.SENT.value, EntryKind.CAPTURING.value, EntryKind.RELEASING.value})


async def overtaken_by(journal: Journal, record: Record) -> str:
    """The reference of what was sent to the same terminal after this payment; empty for nothing.

    What a payment left as evidence (counters, totals, the latest receipt) says what happened since; once another one
    was sent it says nothing about this one any more.
    """
    rows = await journal.latest(limit=ROWS_MAX, terminal=record.terminal)
    for row in reversed(rows):
        if row.kind not in _REACH_THE_TERMINAL:
            continue
        if row.reference != record.reference:
            return row.reference
        if row.kind == EntryKind.SENT.value:
            return ""
    return "something else" if len(rows) == ROWS_MAX else ""


async def belongs_to(journal: Journal, record: Record, found: Payment) -> str:
    """The reference of a later payment that has the counter which the terminal tells for this one; empty for none."""
    if found.sequence is None:
        return ""
    for other in await journal.by_sequence(record.terminal, found.sequence):
        # A row that is not durable yet has no number: it is later.
        if other.reference != record.reference and not 0 < other.last < record.first:
            return other.reference
    return ""
