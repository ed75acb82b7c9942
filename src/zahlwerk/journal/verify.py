"""Whether a journal stands as it was written: no gaps, each row chained to the one before, the head right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zahlwerk.journal.entries import GENESIS, Head, Row, chain_hash

if TYPE_CHECKING:
    from zahlwerk.journal.store import Store

__all__ = ["Chain", "Fault", "Verdict", "verify"]


@dataclass(frozen=True, slots=True)
class Fault:
    """The first place where the chain does not hold."""

    number: int
    """Of the row that was expected there."""
    what: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a journal came to when it was read from its beginning."""

    rows: int
    head: bytes
    """Hash of the last row that holds. Compare it with one kept elsewhere: a journal that was cut off and given a new
    head holds in itself."""
    fault: Fault | None = None

    @property
    def is_intact(self) -> bool:
        """True if nothing was changed, taken out or put in."""
        return self.fault is None


class Chain:
    """Reads rows in order and says where they stop to hold."""

    def __init__(self) -> None:
        self.number = 0
        self.hash = GENESIS

    def follow(self, rows: Sequence[Row]) -> Fault | None:
        """Read some more rows; the first fault, or None."""
        number, previous = self.number, self.hash
        for row in rows:
            number += 1
            if row.number != number:
                return self._fault(number, previous, f"entry {number} is missing; {row.number} stands in its place")
            digest = chain_hash(previous, number, row.moment, row.terminal, row.reference, row.kind, row.actor,
                                row.sequence, row.body)  # fmt: skip
            if digest != row.hash:
                return self._fault(number, previous, f"entry {number} is not what was written")
            previous = digest
        self.number, self.hash = number, previous
        return None

    def _fault(self, number: int, previous: bytes, what: str) -> Fault:
        self.number, self.hash = number - 1, previous
        return Fault(number, what)

    def ends_at(self, head: Head) -> Fault | None:
        """Whether the last row that was read is the one that the writer wrote last."""
        if (self.number, self.hash) == (head.number, head.hash):
            return None
        if self.number < head.number:
            return Fault(self.number + 1, f"entries from {self.number + 1} to {head.number} are missing")
        return Fault(head.number, f"the writer stopped at {head.number}, but there are {self.number} entries")


async def verify(store: Store, *, watch: Callable[[Sequence[Row]], None] | None = None) -> Verdict:
    """Read the whole journal.

    Rows that are added meanwhile are left out: the head that counts is the one from before.

    Args:
        store: opened, if only to read.
        watch: is handed the rows that hold, a page at a time: to show how far it is, or to write them down elsewhere.
    """
    head = await store.head()
    chain = Chain()
    async for page in store.all_rows():
        rows = [row for row in page if row.number <= head.number] if page[-1].number > head.number else page
        before = chain.number
        fault = chain.follow(rows)
        if watch is not None:
            watch(rows[: chain.number - before])
        if fault is not None:
            return Verdict(chain.number, chain.hash, fault)
        if page[-1].number >= head.number:
            break
    return Verdict(chain.number, chain.hash, chain.ends_at(head) or await _behind_the_head(store))


async def _behind_the_head(store: Store) -> Fault | None:
    """Rows that the writer adds move the head with them: what stands behind a head that was read later is not its."""
    latest = await store.latest(limit=1)
    head = await store.head()
    if latest and latest[-1].number > head.number:
        return Fault(
            head.number + 1, f"entry {latest[-1].number} stands behind {head.number}, where the writer stopped"
        )
    return None
