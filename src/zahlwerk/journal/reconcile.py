"""The terminal's totals as the last witness."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zahlwerk.journal.entries import EntryKind
from zahlwerk.terminal import Totals

if TYPE_CHECKING:
    from zahlwerk.journal.journal import Journal

__all__ = ["take_in_totals"]


async def take_in_totals(journal: Journal, terminal: str, totals: Totals, *, closed: bool) -> None:
    """Write down what the terminal counted."""
    journal.note(EntryKind.TOTALS, {"period": totals.period.value, "closed": closed}, terminal=terminal)
