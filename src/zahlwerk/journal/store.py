"""`Store`: where rows are kept. One transaction a batch, durable when it returns, one writer at a time.

Databases differ below this line only: `sqlite` keeps a file, `postgres` a server. What the tables are stands in
`schema`, once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from zahlwerk.errors import ConfigurationError, JournalUnavailable
from zahlwerk.journal.entries import Head, Row

__all__ = ["BATCH_ROWS_MAX", "PAGE_ROWS", "Change", "CommitInDoubt", "Holder", "Store", "store_at"]

# LIMIT: rows in one transaction; 64 terminals make some 130 at once.
BATCH_ROWS_MAX: Final = 1_000
# LIMIT: rows that are held in memory while a journal is read from end to end.
PAGE_ROWS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Holder:
    """Who writes: said to a second one that is refused."""

    name: str
    """Of the process, for people: `gateway`, `zahlwerk journal recover`."""
    host: str
    pid: int
    since: str
    """UTC."""

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid} on {self.host}, since {self.since})"


@dataclass(frozen=True, slots=True)
class Change:
    """What one batch changes: rows that are added, and which references are open from then on."""

    rows: tuple[Row, ...]
    opened: tuple[tuple[str, str], ...] = ()
    """(reference, terminal)."""
    closed: tuple[str, ...] = ()

    def opened_at(self) -> list[tuple[str, str, int]]:
        """(reference, terminal, number of the first row): two that one batch opens keep their order."""
        first: dict[str, int] = {}
        for row in self.rows:
            first.setdefault(row.reference, row.number)
        return [(reference, terminal, first[reference]) for reference, terminal in self.opened]


class CommitInDoubt(JournalUnavailable):
    """The connection broke while a batch was being committed: it may be durable. `Store.reopen` finds out."""


class Store(ABC):
    """Rows, durable. Every method may raise `JournalUnavailable`; nothing else is raised for reasons of the disk."""

    @abstractmethod
    async def open(self, holder: Holder) -> Head:
        """Make or bring up to date the tables, take the pen; the head from which to go on (its epoch is ours).

        Raises:
            JournalHeld: another process has the pen; names it.
            JournalDamaged: not a journal, or the head does not fit the rows.
            JournalUnavailable: read-only, out of reach, no room.
        """

    @abstractmethod
    async def open_to_read(self) -> Head:
        """Open without the pen: nothing can be committed. Raises as `open`, but never `JournalHeld`."""

    @abstractmethod
    async def close(self) -> None:
        """Put the pen down. Idempotent; raises nothing."""

    @abstractmethod
    async def commit(self, change: Change, *, before: Head) -> None:
        """Add rows: all or none, durable when this returns. `before` is the head that they follow.

        Raises:
            JournalHeld: another process took the pen meanwhile; nothing was written.
            CommitInDoubt: may have been written.
            JournalUnavailable: certainly nothing was written.
        """

    @abstractmethod
    async def reopen(self) -> Head:
        """After `JournalUnavailable`: connect again and read the head; the pen must still be ours.

        Raises:
            JournalUnavailable: still out of reach.
            JournalHeld: another process has the pen now.
        """

    @abstractmethod
    async def head(self) -> Head:
        """The head as it is durable now."""

    @abstractmethod
    async def rows(self, *, after: int = 0, limit: int = PAGE_ROWS) -> Sequence[Row]:
        """Rows in order, from the one after number `after` on."""

    @abstractmethod
    async def latest(self, *, limit: int, terminal: str = "") -> Sequence[Row]:
        """The latest rows, oldest first; of one terminal if it is named."""

    @abstractmethod
    async def of_reference(self, reference: str) -> Sequence[Row]:
        """All rows of a reference, in order."""

    @abstractmethod
    async def references_of(self, terminal: str, sequence: int) -> Sequence[str]:
        """References whose rows bear this transaction counter of a terminal; the latest first, at most 16."""

    @abstractmethod
    async def open_references(self) -> Sequence[str]:
        """References that are open, in the order in which they were begun."""

    async def all_rows(self, *, after: int = 0) -> AsyncIterator[Sequence[Row]]:
        """The whole journal, a page at a time."""
        while page := await self.rows(after=after):
            yield page
            after = page[-1].number


def store_at(address: str) -> Store:
    """The store at an address: a path, `sqlite:///path` (four slashes for a path from the root),
    `postgresql://user@host/name`, or `memory:`.

    Raises:
        ConfigurationError: not an address of a journal, or the library for it is missing.
    """
    from zahlwerk.journal.sqlite import SqliteStore

    scheme, colon, rest = address.partition("://")

    if address == "memory:":
        return SqliteStore(None)
    if colon and scheme in {"postgresql", "postgres"}:
        return _on_a_server(address)
    if colon and scheme != "sqlite":
        raise ConfigurationError(
            f"no journal can be kept at {scheme}://", remedy="name a file, or postgresql://user@host/database"
        )
    path = rest.removeprefix("/") if colon else address
    if not path.strip():
        raise ConfigurationError("the journal's address names no file", remedy="name a file, such as journal.db")
    return SqliteStore(path)


def _on_a_server(address: str) -> Store:
    try:
        from zahlwerk.journal.postgres import PostgresStore
    except ImportError as exc:
        if exc.name != "asyncpg":
            raise
        raise ConfigurationError(
            "a journal in PostgreSQL needs the library asyncpg", remedy="install it: pip install 'zahlwerk[postgres]'"
        ) from exc
    return PostgresStore(address)
