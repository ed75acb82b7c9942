"""The embedded store: one SQLite file, write-ahead log, every commit synced to the disk, one thread."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from zahlwerk.errors import JournalDamaged, JournalError, JournalHeld, JournalUnavailable
from zahlwerk.journal.entries import ORIGIN, Head, Row
from zahlwerk.journal.lock import FileLock
from zahlwerk.journal.schema import VERSION, statements
from zahlwerk.journal.store import PAGE_ROWS, Change, Holder, Store

__all__ = ["SqliteStore"]

T = TypeVar("T")
_COLUMNS: Final = "number, moment, terminal, reference, kind, actor, sequence, body, hash"
_INSERT: Final = f"INSERT INTO entries ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - constant text
_REFERENCES_MAX: Final = 16
_DAMAGE: Final = frozenset({
    sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_CONSTRAINT,
})  # fmt: skip
_WORDS: Final = {
    sqlite3.SQLITE_FULL: "there is no room left on the disk",
    sqlite3.SQLITE_READONLY: "it is read-only",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
    sqlite3.SQLITE_IOERR: "the disk does not do what it is told",
    sqlite3.SQLITE_BUSY: "somebody else keeps it busy",
    sqlite3.SQLITE_PERM: "it may not be written",
}
BUSY_MS: Final = 5_000


class SqliteStore(Store):
    """Rows in a file.

    Args:
        path: of the file; None for one in memory, gone when it is closed; `file:...` for an SQLite URI.
        threaded: run the database on a thread of its own; without, in the caller's (simulations, tests).
    """

    def __init__(self, path: str | Path | None, *, threaded: bool = True) -> None:
        self._name = ":memory:" if path is None else str(path)
        self._is_file = path is not None and not self._name.startswith("file:")
        self._lock = FileLock(Path(self._name + ".lock")) if self._is_file else None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="zahlwerk-journal") if threaded else None
        self._connection: sqlite3.Connection | None = None
        self._head = ORIGIN
        self._writes = False
        self._files: dict[Path, tuple[int, int]] = {}

    # -- the contract

    async def open(self, holder: Holder) -> Head:
        return await self._run(lambda: self._open(holder))

    async def open_to_read(self) -> Head:
        return await self._run(self._open_to_read)

    async def close(self) -> None:
        with contextlib.suppress(JournalError):
            await self._run(self._close)
        if self._thread is not None:
            self._thread.shutdown(wait=False)

    async def commit(self, change: Change, *, before: Head) -> None:
        await self._run(lambda: self._commit(change, before))

    async def reopen(self) -> Head:
        return await self._run(self._reopen)

    async def head(self) -> Head:
        return await self._run(self._read_head)

    async def rows(self, *, after: int = 0, limit: int = PAGE_ROWS) -> Sequence[Row]:
        return await self._select(
            f"SELECT {_COLUMNS} FROM entries WHERE number > ? ORDER BY number LIMIT ?",  # noqa: S608 - constant text
            (after, limit),
        )

    async def latest(self, *, limit: int, terminal: str = "") -> Sequence[Row]:
        where = "WHERE terminal = ?" if terminal else ""
        found = await self._select(
            f"SELECT {_COLUMNS} FROM entries {where} ORDER BY number DESC LIMIT ?",  # noqa: S608 - constant text
            (terminal, limit) if terminal else (limit,),
        )
        return found[::-1]

    async def of_reference(self, reference: str) -> Sequence[Row]:
        return await self._select(
            f"SELECT {_COLUMNS} FROM entries WHERE reference = ? AND reference <> '' ORDER BY number",  # noqa: S608 - constant text
            (reference,),
        )

    async def references_of(self, terminal: str, sequence: int) -> Sequence[str]:
        return await self._run(
            lambda: [
                str(found[0])
                for found in self._db.execute(
                    "SELECT reference, max(number) AS latest FROM entries WHERE terminal = ? AND sequence = ?"
                    " AND sequence IS NOT NULL GROUP BY reference ORDER BY latest DESC LIMIT ?",
                    (terminal, sequence, _REFERENCES_MAX),
                )
            ]
        )

    async def open_references(self) -> Sequence[str]:
        return await self._run(
            lambda: [str(found[0]) for found in self._db.execute("SELECT reference FROM open_payments ORDER BY number")]
        )

    # -- on the thread

    async def _run(self, work: Callable[[], T]) -> T:
        if self._thread is None:
            return self._guarded(work)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._guarded, work)
        except RuntimeError as exc:  # the thread was shut down
            raise JournalUnavailable("the journal is closed") from exc

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except sqlite3.Error as exc:
            raise self._error(exc) from exc
        except OSError as exc:
            raise JournalUnavailable(f"the journal {self._name} cannot be used: {exc.strerror}") from exc

    async def _select(self, sql: str, values: tuple[object, ...]) -> list[Row]:
        return await self._run(lambda: [Row(*found) for found in self._db.execute(sql, values)])

    def _error(self, exc: sqlite3.Error) -> JournalError:
        code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGE:
            return JournalDamaged(f"the journal {self._name} is damaged: {exc}")
        words = _WORDS.get(code, str(exc))
        return JournalUnavailable(f"the journal {self._name} cannot be used: {words}")

    @property
    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            raise JournalUnavailable("the journal is closed")
        return self._connection

    def _open(self, holder: Holder) -> Head:
        if self._lock is not None:
            Path(self._name).parent.mkdir(parents=True, exist_ok=True)
            self._lock.take(str(holder))
            self._make_private()
        try:
            self._writes = True
            self._connect()
            self._migrate()
            self._take_pen(holder)
            self._note_files()
        except BaseException:
            self._close()
            raise
        return self._head

    def _make_private(self) -> None:
        """A new file is its owner's alone, and so is what SQLite puts beside it; one that is there stays as it is."""
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self._name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))

    def _open_to_read(self) -> Head:
        if self._is_file and not Path(self._name).exists():
            raise JournalUnavailable(
                f"there is no journal {self._name}", remedy="check the path; a journal is made by the first payment"
            )
        self._connect()
        had = _version(self._db)
        if had == 0:
            raise JournalDamaged(f"{self._name} is no journal")
        if had > VERSION:
            raise self._newer(had)
        if had < VERSION:
            raise JournalUnavailable(
                f"the journal {self._name} was written by an older version (schema {had}, this one reads {VERSION})",
                remedy="open it once to write: it is brought up to date then",
            )
        return self._read_head()

    def _connect(self) -> None:
        uri = self._name.startswith("file:")
        connection = sqlite3.connect(self._name, isolation_level=None, check_same_thread=False, uri=uri)
        self._connection = connection
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        if not self._writes:
            connection.execute("PRAGMA query_only = ON")
            return
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA trusted_schema = OFF")

    def _migrate(self) -> None:
        had = _version(self._db)
        if had > VERSION:
            raise self._newer(had)
        if had == VERSION:
            return
        if had == 0 and self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise JournalDamaged(f"{self._name} holds something else than a journal")
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for _, statement in statements("sqlite", after=had):
                self._db.execute(statement)
            if had == 0:
                self._db.execute(
                    "INSERT INTO writer VALUES (1, ?, ?, ?, '')", (ORIGIN.number, ORIGIN.hash, ORIGIN.epoch)
                )
            self._db.execute(f"PRAGMA user_version = {VERSION}")
            self._db.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _newer(self, had: int) -> JournalDamaged:
        return JournalDamaged(
            f"the journal {self._name} was written by a newer version (schema {had}, this one knows {VERSION})",
            remedy="use that version",
        )

    def _check_head(self) -> None:
        head = self._read_head()
        found = self._db.execute("SELECT number, hash FROM entries ORDER BY number DESC LIMIT 1").fetchone()
        if (found or (ORIGIN.number, ORIGIN.hash)) != (head.number, head.hash):
            raise JournalDamaged(f"the journal {self._name} does not end where its writer stopped")

    def _read_head(self) -> Head:
        found = self._db.execute("SELECT number, hash, epoch FROM writer WHERE id = 1").fetchone()
        if found is None:
            raise JournalDamaged(f"the journal {self._name} has lost its head")
        return Head(*found)

    def _take_pen(self, holder: Holder) -> None:
        # Together: whoever lost the lock unnoticed may write until the epoch has moved.
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._check_head()
            head = self._read_head()
            self._db.execute("UPDATE writer SET epoch = ?, holder = ? WHERE id = 1", (head.epoch + 1, str(holder)))
            self._db.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        self._head = Head(head.number, head.hash, head.epoch + 1)

    def _commit(self, change: Change, before: Head) -> None:
        if not self._writes:
            raise JournalUnavailable("the journal was opened to be read only")
        db = self._db
        self._check_files(self._files)
        db.execute("BEGIN IMMEDIATE")
        try:
            last = change.rows[-1]
            moved = db.execute(
                "UPDATE writer SET number = ?, hash = ? WHERE id = 1 AND number = ? AND epoch = ?",
                (last.number, last.hash, before.number, before.epoch),
            )
            if moved.rowcount != 1:
                raise self._not_ours(before)
            db.executemany(_INSERT, change.rows)
            if change.opened:
                db.executemany(
                    "INSERT INTO open_payments VALUES (?, ?, ?) ON CONFLICT (reference) DO NOTHING", change.opened_at()
                )
            if change.closed:
                db.executemany("DELETE FROM open_payments WHERE reference = ?", [(each,) for each in change.closed])
            db.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _not_ours(self, before: Head) -> JournalError:
        """Why the writer's row was not ours to move."""
        if self._read_head().epoch == before.epoch:
            return JournalDamaged(f"the journal {self._name} does not end where its writer stopped")
        return self._taken()

    def _taken(self) -> JournalHeld:
        found = self._db.execute("SELECT holder FROM writer WHERE id = 1").fetchone()
        who = found[0] if found is not None and found[0] else "another process"
        return JournalHeld(f"the journal {self._name} is being written by {who}")

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def _reopen(self) -> Head:
        epoch = self._head.epoch
        # Before the connection is closed: what was moved may be moved back. Another file is not this journal, and none
        # must be made in its place. The log alone may be missing: closing brings what it held into the file.
        self._check_files([path for path in self._files if path == Path(self._name)])
        former = self._connection
        if former is not None and self._is_file:
            with contextlib.suppress(sqlite3.Error):
                former.close()
            self._connect()
        elif self._name != ":memory:" or former is None:
            # What is kept in memory is gone with its last connection: the new one is made before the old one goes.
            self._connect()
            if former is not None:
                with contextlib.suppress(sqlite3.Error):
                    former.close()
        head = self._read_head()
        if head.epoch != epoch:
            raise self._taken()
        # Proves that it can be written again, without writing anything.
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("ROLLBACK")
        self._note_files()
        return head

    def _note_files(self) -> None:
        paths = (Path(self._name), Path(self._name + "-wal")) if self._is_file else ()
        self._files = {path: _identity(path) for path in paths}

    def _check_files(self, paths: Iterable[Path]) -> None:
        """A file that has lost its name takes rows as before, and they are gone with the process."""
        for path in paths:
            try:
                is_same = _identity(path) == self._files[path]
            except OSError:
                is_same = False
            if not is_same:
                raise JournalUnavailable(
                    f"the journal's file {path} was taken away or replaced while it was in use",
                    remedy="put back the very same file, or stop this process and find out who did it",
                )

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()
        if self._lock is not None:
            self._lock.give()


def _identity(path: Path) -> tuple[int, int]:
    """What a file is, whatever it is called."""
    found = path.stat()
    return found.st_dev, found.st_ino


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
