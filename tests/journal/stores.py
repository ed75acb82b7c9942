"""Rows, stores that fail on purpose, and stores that can be opened twice and tampered with."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import asyncpg
from tests.journal.postgres_server import Server

from zahlwerk.errors import JournalUnavailable
from zahlwerk.journal.entries import ORIGIN, Draft, EntryKind, Head, Row, seal
from zahlwerk.journal.postgres import PostgresStore
from zahlwerk.journal.schema import VERSION, statements
from zahlwerk.journal.sqlite import SqliteStore
from zahlwerk.journal.store import Change, CommitInDoubt, Holder, Store

HOLDER: Final = Holder("till", "kiosk", 4711, "2026-11-28T17:46:12Z")
OTHER: Final = Holder("second till", "kiosk", 4712, "2026-11-28T18:00:00Z")
MOMENT: Final = "2026-11-28T17:46:12.000001Z"


def draft(number: int, **columns: object) -> Draft:
    """One that differs in every column from its neighbours."""
    told: dict[str, object] = {
        "kind": EntryKind.SENT,
        "terminal": f"till-{number % 2}",
        "reference": f"sale-{number}",
        "body": b'{"evidence":{"no":"%d"}}' % number,
        "actor": f"Zoë {number}",
        "sequence": number if number % 3 else None,
    }
    return Draft(**(told | columns))  # type: ignore[arg-type]  # columns by name


def chained(*drafts: Draft, after: Head = ORIGIN) -> tuple[Row, ...]:
    """Rows that follow a head."""
    rows: list[Row] = []
    number, previous = after.number, after.hash
    for each in drafts:
        number += 1
        rows.append(seal(each, previous, number=number, moment=MOMENT))
        previous = rows[-1].hash
    return tuple(rows)


def head_after(rows: Sequence[Row], before: Head) -> Head:
    """The head once these rows are durable."""
    return Head(rows[-1].number, rows[-1].hash, before.epoch)


async def filled(store: Store, count: int, head: Head) -> tuple[tuple[Row, ...], Head]:
    """Commit some rows in one batch."""
    rows = chained(*map(draft, range(head.number + 1, head.number + 1 + count)), after=head)
    await store.commit(Change(rows), before=head)
    return rows, head_after(rows, head)


class Place(ABC):
    """Where a journal is kept: opened by any number of stores, and reached behind their backs."""

    @property
    @abstractmethod
    def address(self) -> str:
        """As a configuration names it."""

    @abstractmethod
    def store(self) -> Store:
        """Another one for the same journal."""

    @abstractmethod
    async def sql(self, *commands: str) -> None:
        """Do what no store does, with every trigger out of the way."""

    @abstractmethod
    async def sql_as_user(self, command: str) -> None:
        """The same, with the triggers in place."""

    @abstractmethod
    async def make(self, version: int) -> None:
        """Tables as an earlier version of the schema had them."""

    @abstractmethod
    async def tables(self) -> list[str]:
        """Names of the tables."""


class FilePlace(Place):
    """An SQLite file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.db"

    @property
    def address(self) -> str:
        return str(self.path)

    def store(self) -> Store:
        return SqliteStore(self.path)

    def lose_lock(self) -> None:
        """Somebody tidies up: the lock that is held guards nothing any more."""
        self.path.with_name("journal.db.lock").unlink()

    async def sql(self, *commands: str) -> None:
        with sqlite3.connect(self.path, isolation_level=None) as db:
            triggers = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
            for name, _ in triggers:
                db.execute(f"DROP TRIGGER {name}")
            for command in commands:
                db.execute(command)
            for _, made in triggers:
                db.execute(made)
        db.close()

    async def sql_as_user(self, command: str) -> None:
        db = sqlite3.connect(self.path, isolation_level=None)
        try:
            db.execute(command)
        finally:
            db.close()

    async def make(self, version: int) -> None:
        with sqlite3.connect(self.path, isolation_level=None) as db:
            db.execute("PRAGMA journal_mode = WAL")
            for of, command in statements("sqlite", after=0):
                if of <= version:
                    db.execute(command)
            if version:
                db.execute("INSERT INTO writer VALUES (1, ?, ?, ?, '')", ORIGIN)
            db.execute(f"PRAGMA user_version = {version}")
        db.close()

    async def tables(self) -> list[str]:
        db = sqlite3.connect(self.path)
        try:
            return [str(row[0]) for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")]
        finally:
            db.close()


class ServerPlace(Place):
    """A schema of a PostgreSQL server."""

    def __init__(self, server: Server, schema: str) -> None:
        self.server = server
        self.schema = schema

    @property
    def address(self) -> str:
        return self.server.address(schema=self.schema)

    def store(self) -> Store:
        return PostgresStore(self.address)

    async def _run(self, work: Callable[[asyncpg.Connection[asyncpg.Record]], Awaitable[None]]) -> None:
        connection = await asyncpg.connect(self.server.address())
        try:
            await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {self.schema}")
            await connection.execute(f"SET search_path = {self.schema}")
            await work(connection)
        finally:
            await connection.close()

    async def sql(self, *commands: str) -> None:
        async def work(connection: asyncpg.Connection[asyncpg.Record]) -> None:
            await connection.execute("SET session_replication_role = replica")
            for command in commands:
                await connection.execute(command.replace("X'", "'\\x"))

        await self._run(work)

    async def sql_as_user(self, command: str) -> None:
        async def work(connection: asyncpg.Connection[asyncpg.Record]) -> None:
            await connection.execute(command)

        await self._run(work)

    async def make(self, version: int) -> None:
        async def work(connection: asyncpg.Connection[asyncpg.Record]) -> None:
            for of, command in statements("postgresql", after=0):
                if of <= version:
                    await connection.execute(command)
            if version:
                await connection.execute(
                    "CREATE TABLE journal_version (id BIGINT PRIMARY KEY, version BIGINT NOT NULL)"
                )
                await connection.execute("INSERT INTO journal_version VALUES (1, $1)", version)
                await connection.execute("INSERT INTO writer VALUES (1, $1, $2, $3, '')", *ORIGIN)

        await self._run(work)

    async def tables(self) -> list[str]:
        found: list[str] = []

        async def work(connection: asyncpg.Connection[asyncpg.Record]) -> None:
            names = await connection.fetch(
                "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1"
            )
            found.extend(str(row[0]) for row in names)

        await self._run(work)
        return found

    async def end_sessions(self) -> None:
        """Cut off every store, as a network or an administrator would."""

        async def work(connection: asyncpg.Connection[asyncpg.Record]) -> None:
            await connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'zahlwerk journal'"
            )

        await self._run(work)

    async def set_version(self, version: int) -> None:
        await self.sql(f"UPDATE journal_version SET version = {version}")


async def set_version(place: Place, version: int) -> None:
    """Say that a journal is of another version."""
    if isinstance(place, ServerPlace):
        await place.set_version(version)
    else:
        await place.sql(f"PRAGMA user_version = {version}")


NEWER: Final = VERSION + 1


class Flaky(Store):
    """A store whose way to the disk breaks when it is told to.

    `breaks[n]` says what happens at commit number n (from 1 on): `before` it is written, or `after`.
    """

    def __init__(self, inner: Store, breaks: dict[int, str] | None = None, *, outage: int = 0) -> None:
        """Args:
        outage: how often reopening fails afterwards.
        """
        self.inner = inner
        self.breaks = breaks or {}
        self.outage = outage
        self.commits = 0
        self.down = 0

    def repair(self) -> None:
        """Nothing breaks any more."""
        self.breaks = {}
        self.down = 0

    async def open(self, holder: Holder) -> Head:
        return await self.inner.open(holder)

    async def open_to_read(self) -> Head:
        return await self.inner.open_to_read()

    async def close(self) -> None:
        await self.inner.close()

    async def commit(self, change: Change, *, before: Head) -> None:
        self.commits += 1
        fault = self.breaks.get(self.commits, "")
        if fault:
            self.down = self.outage
        if fault == "before":
            raise CommitInDoubt("the line to the journal broke")
        await self.inner.commit(change, before=before)
        if fault == "after":
            raise CommitInDoubt("the line to the journal broke")

    async def reopen(self) -> Head:
        self._must_be_up()
        return await self.inner.reopen()

    def _must_be_up(self) -> None:
        if self.down:
            self.down -= 1
            raise JournalUnavailable("the journal is out of reach")

    async def head(self) -> Head:
        return await self.inner.head()

    async def rows(self, *, after: int = 0, limit: int = 2_000) -> Sequence[Row]:
        return await self.inner.rows(after=after, limit=limit)

    async def latest(self, *, limit: int, terminal: str = "") -> Sequence[Row]:
        return await self.inner.latest(limit=limit, terminal=terminal)

    async def of_reference(self, reference: str) -> Sequence[Row]:
        return await self.inner.of_reference(reference)

    async def references_of(self, terminal: str, sequence: int) -> Sequence[str]:
        return await self.inner.references_of(terminal, sequence)

    async def open_references(self) -> Sequence[str]:
        return await self.inner.open_references()
