"""The store on a server: PostgreSQL by URL, one session that writes, one that reads.

Two things keep a second writer out. A lock of the session that writes: it ends with that session, however it ends. And
the epoch: each commit changes the writer's row only where number and epoch are its own, so that a writer whose lock was
lost unnoticed and taken by another can never write again.

A batch is one statement, so it is one transaction and one way to the server and back. Where the connection breaks in
between, the session that was left behind is ended before the head is read again: nothing can arrive late.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import asyncpg

from zahlwerk.errors import ConfigurationError, JournalDamaged, JournalError, JournalHeld, JournalUnavailable
from zahlwerk.journal.entries import ORIGIN, Head, Row
from zahlwerk.journal.schema import VERSION, statements
from zahlwerk.journal.store import PAGE_ROWS, Change, CommitInDoubt, Holder, Store

__all__ = ["PostgresStore"]

T = TypeVar("T")
Link: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
_COLUMNS: Final = "number, moment, terminal, reference, kind, actor, sequence, body, hash"
_REFERENCES_MAX: Final = 16
_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}\Z")
_SECRETS: Final = frozenset({"password", "sslpassword"})
VERSION_MIN: Final = 14
# LIMIT: seconds until a server that does not answer counts as out of reach.
CONNECT_S: Final = 5.0
COMMAND_S: Final = 10.0
# LIMIT: seconds that a session which was left behind is given to end.
LEFT_BEHIND_S: Final = 5.0

# A session whose machine lost its power gives the pen back after some 25 seconds, not after two hours.
_SETTINGS: Final = {
    "application_name": "zahlwerk journal",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
_DURABLE: Final = frozenset({"on", "remote_apply"})
_TABLES: Final = ("entries", "open_payments", "writer")
# LIMIT: seconds for one step of a migration.
MIGRATE_S: Final = 3_600.0
# What leaves a statement that was sent neither done nor undone, as far as we can tell.
_LOST: Final = (
    asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError, asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError,
)  # fmt: skip
_WORDS: Final = {
    "53100": "there is no room left on the server's disk",
    "53300": "the server has no connection left",
    "25006": "it is read-only",
    "42501": "its user may not do that",
    "3D000": "there is no such database",
    "28000": "it does not let this user in",
    "28P01": "it does not let this user in",
}
_DAMAGE: Final = frozenset({"XX001", "XX002"})

_COMMIT: Final = """
WITH moved AS (
    UPDATE writer SET number = $1, hash = $2 WHERE id = 1 AND number = $3 AND epoch = $4 RETURNING id
), added AS (
    INSERT INTO entries (number, moment, terminal, reference, kind, actor, sequence, body, hash)
    SELECT row.* FROM moved, unnest($5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
        $11::bigint[], $12::bytea[], $13::bytea[]) AS row
), opened AS (
    INSERT INTO open_payments (reference, terminal, number)
    SELECT row.* FROM moved, unnest($14::text[], $15::text[], $16::bigint[]) AS row
    ON CONFLICT (reference) DO NOTHING
), closed AS (
    DELETE FROM open_payments WHERE reference = ANY ($17::text[]) AND EXISTS (SELECT FROM moved)
)
SELECT count(*) FROM moved"""
"""All of a batch, or nothing: the rows follow from the writer's row having been ours to move."""


@dataclass(frozen=True, slots=True)
class _Session:
    """A session at the server, to be told from another one that got its number."""

    pid: int
    since: object


class PostgresStore(Store):
    """Rows on a server.

    Args:
        address: `postgresql://user:password@host:port/database`; parameters are those of libpq (`sslmode=verify-full`),
            and `schema=NAME` for tables that are not in the user's own schema. A schema that is missing is made.
        connect_s: seconds until a server that takes no connection counts as out of reach.
        command_s: the same for one that does not answer.

    Raises:
        ConfigurationError: the address cannot be read.
    """

    def __init__(self, address: str, *, connect_s: float = CONNECT_S, command_s: float = COMMAND_S) -> None:
        self._dsn, self._schema, self._name, self._secrets = _read(address)
        self._connect_s = connect_s
        self._command_s = command_s
        self._writer: Link | None = None
        self._reader: Link | None = None
        self._reading = asyncio.Lock()
        self._session: _Session | None = None
        self._head = ORIGIN
        self._writes = self._is_open = False

    # -- the contract

    async def open(self, holder: Holder) -> Head:
        self._writes = True
        try:
            async with self._guarded():
                self._writer = connection = await self._connect()
                await self._check_server(connection)
                await self._choose_schema(connection)
                self._session = await _session_of(connection)
                if not await self._lock(connection):
                    raise await self._held(connection)
                await self._migrate(connection)
                self._head = await self._take_pen(connection, holder)
        except BaseException:
            await self.close()
            raise
        self._is_open = True
        return self._head

    async def open_to_read(self) -> Head:
        self._is_open = True
        try:
            return await self.head()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        self._is_open = False
        for connection in (self._reader, self._writer):
            await self._hang_up(connection)
        self._reader = self._writer = None

    async def commit(self, change: Change, *, before: Head) -> None:
        connection = self._writer
        if not self._is_open or not self._writes:
            raise JournalUnavailable("the journal is closed" if self._writes else "the journal was opened to be read")
        if connection is None or connection.is_closed():
            raise JournalUnavailable(f"the connection to {self._name} is lost")
        last = change.rows[-1]
        opened = tuple(zip(*change.opened_at(), strict=True)) or ((), (), ())
        async with self._guarded(in_doubt=True):
            moved = await connection.fetchval(
                _COMMIT, last.number, last.hash, before.number, before.epoch, *zip(*change.rows, strict=True),
                *opened, change.closed,
            )  # fmt: skip
            if moved != 1:
                raise await self._not_ours(connection, before)

    async def reopen(self) -> Head:
        if not self._is_open:
            raise JournalUnavailable("the journal is closed")
        async with self._guarded():
            former, self._writer = self._writer, None
            if former is not None:
                former.terminate()
            connection = await self._connect()
            try:
                await self._check_server(connection)
                await self._choose_schema(connection)
                await self._end_left_behind(connection)
                self._session = await _session_of(connection)
                if not await self._lock(connection):
                    raise await self._held(connection)
                await self._check_version(connection)
                head = await self._read_head(connection)
                if head.epoch != self._head.epoch:
                    raise await self._held(connection)
            except BaseException:
                await self._hang_up(connection)
                raise
            self._writer = connection
            return head

    async def head(self) -> Head:
        return await self._read(self._read_head)

    async def rows(self, *, after: int = 0, limit: int = PAGE_ROWS) -> Sequence[Row]:
        return await self._select(
            f"SELECT {_COLUMNS} FROM entries WHERE number > $1 ORDER BY number LIMIT $2",  # noqa: S608 - constant text
            after, limit,
        )  # fmt: skip

    async def latest(self, *, limit: int, terminal: str = "") -> Sequence[Row]:
        found = await self._select(
            f"SELECT {_COLUMNS} FROM entries WHERE $1 = '' OR terminal = $1 ORDER BY number DESC LIMIT $2",  # noqa: S608 - constant text
            terminal, limit,
        )  # fmt: skip
        return found[::-1]

    async def of_reference(self, reference: str) -> Sequence[Row]:
        return await self._select(
            f"SELECT {_COLUMNS} FROM entries WHERE reference = $1 AND reference <> '' ORDER BY number",  # noqa: S608 - constant text
            reference,
        )

    async def references_of(self, terminal: str, sequence: int) -> Sequence[str]:
        return await self._texts(
            "SELECT reference FROM entries WHERE terminal = $1 AND sequence = $2"
            " GROUP BY reference ORDER BY max(number) DESC LIMIT $3",
            terminal, sequence, _REFERENCES_MAX,
        )  # fmt: skip

    async def open_references(self) -> Sequence[str]:
        return await self._texts("SELECT reference FROM open_payments ORDER BY number, reference")

    # -- reading, on a session of its own: whoever reads everything keeps nobody from writing

    async def _select(self, sql: str, *values: object) -> list[Row]:
        return await self._read(lambda connection: _rows(connection, sql, values))

    async def _texts(self, sql: str, *values: object) -> list[str]:
        return await self._read(lambda connection: _texts(connection, sql, values))

    async def _read(self, work: Callable[[Link], Awaitable[T]]) -> T:
        if not self._is_open:
            raise JournalUnavailable("the journal is closed")
        async with self._reading:
            reader = self._reader
            if reader is not None and not reader.is_closed():
                try:
                    async with self._guarded():
                        return await work(reader)
                except JournalUnavailable:
                    # It may have been lost long ago, unnoticed. Reading again does no harm.
                    reader.terminate()
            async with self._guarded():
                self._reader = reader = await self._connect_reader()
                return await work(reader)

    async def _connect_reader(self) -> Link:
        connection = await self._connect()
        try:
            await self._choose_schema(connection)
            await self._check_version(connection)
            await connection.execute("SET default_transaction_read_only = on")
        except BaseException:
            await self._hang_up(connection)
            raise
        return connection

    # -- sessions

    async def _connect(self) -> Link:
        try:
            return await asyncpg.connect(
                self._dsn, timeout=self._connect_s, command_timeout=self._command_s, server_settings=dict(_SETTINGS)
            )
        except (ValueError, asyncpg.UndefinedObjectError) as exc:
            # Its text may repeat the address, password and all.
            raise ConfigurationError(f"the address of {self._name} cannot be used: {self._clean(exc)}") from None

    async def _hang_up(self, connection: Link | None) -> None:
        if connection is None:
            return
        try:
            await connection.close(timeout=self._connect_s)
        except Exception:  # it is to be gone, whatever it says
            connection.terminate()

    async def _check_server(self, connection: Link) -> None:
        """What is written there must stay there."""
        if connection.get_server_version().major < VERSION_MIN:
            raise ConfigurationError(f"{self._name} is older than PostgreSQL {VERSION_MIN}")
        found = await connection.fetchrow(
            "SELECT pg_is_in_recovery(), current_setting('server_encoding'), current_setting('fsync'),"
            " current_setting('synchronous_commit')"
        )
        assert found is not None
        is_standby, encoding, fsync, synchronous = found
        if is_standby:
            raise JournalUnavailable(f"{self._name} is a standby: it can be read only", remedy="name the primary")
        if encoding != "UTF8":
            raise ConfigurationError(f"the database {self._name} does not keep its texts in UTF-8")
        if fsync != "on":
            raise ConfigurationError(
                f"{self._name} runs with fsync off: it forgets what it was told when its power fails",
                remedy="set fsync = on at the server",
            )
        if synchronous not in _DURABLE:
            await connection.execute("SET synchronous_commit = on")

    async def _choose_schema(self, connection: Link) -> None:
        schema = self._schema
        if schema and self._writes and not await connection.fetchval("SELECT to_regnamespace($1) IS NOT NULL", schema):
            await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
        if not schema:
            schema = await connection.fetchval("SELECT current_schema()")
        if not schema:
            raise ConfigurationError(
                f"the user of {self._name} has no schema", remedy="add ?schema=NAME to the address"
            )
        quoted = await connection.fetchval("SELECT quote_ident($1)", schema)
        await connection.execute(f"SET search_path = {quoted}")

    async def _lock(self, connection: Link) -> bool:
        """The session's lock; at most one session of a database has that of a schema."""
        schema = await connection.fetchval("SELECT current_schema()")
        key = int.from_bytes(hashlib.sha256(f"zahlwerk journal\0{schema}".encode()).digest()[:8], "big", signed=True)
        return bool(await connection.fetchval("SELECT pg_try_advisory_lock($1)", key))

    async def _end_left_behind(self, connection: Link) -> None:
        """End our own session that the server may still believe in; what it was doing is done or undone by then."""
        session = self._session
        if session is None:
            return
        ended = await connection.fetchval(
            "SELECT pg_terminate_backend(pid, $3) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2",
            session.pid, session.since, round(LEFT_BEHIND_S * 1000),
        )  # fmt: skip
        if ended is False:
            raise JournalUnavailable(f"the former session at {self._name} does not end")

    # -- tables

    async def _version(self, connection: Link) -> int:
        """Of the tables; 0 if there are none.

        Raises:
            JournalDamaged: other tables bear their names.
        """
        if await connection.fetchval("SELECT to_regclass('journal_version') IS NOT NULL"):
            found = await connection.fetchval("SELECT version FROM journal_version WHERE id = 1")
            if found is None:
                raise JournalDamaged(f"the journal {self._name} does not say its version")
            return int(found)
        if await connection.fetchval(
            "SELECT bool_or(to_regclass(name) IS NOT NULL) FROM unnest($1::text[]) name", _TABLES
        ):
            raise JournalDamaged(
                f"{self._name} holds something else than a journal", remedy="add ?schema=NAME to the address"
            )
        return 0

    async def _check_version(self, connection: Link) -> None:
        had = await self._version(connection)
        if had == 0:
            raise JournalUnavailable(
                f"there is no journal in {self._name}",
                remedy="check the address; a journal is made by whoever writes it",
            )
        if had < VERSION:
            raise JournalUnavailable(
                f"the journal {self._name} was written by an older version (schema {had}, this one reads {VERSION})",
                remedy="open it once to write: it is brought up to date then",
            )
        if had > VERSION:
            raise self._newer(had)

    def _newer(self, had: int) -> JournalDamaged:
        return JournalDamaged(
            f"the journal {self._name} was written by a newer version (schema {had}, this one knows {VERSION})",
            remedy="use that version",
        )

    async def _migrate(self, connection: Link) -> None:
        had = await self._version(connection)
        if had > VERSION:
            raise self._newer(had)
        if had == VERSION:
            return
        async with connection.transaction():
            for _, statement in statements("postgresql", after=had):
                await connection.execute(statement, timeout=MIGRATE_S)
            if had == 0:
                await connection.execute(
                    "CREATE TABLE journal_version (id BIGINT PRIMARY KEY CHECK (id = 1), version BIGINT NOT NULL)"
                )
                await connection.execute("INSERT INTO journal_version VALUES (1, 0)")
                await connection.execute("INSERT INTO writer VALUES (1, $1, $2, $3, '')", *ORIGIN)
            await connection.execute("UPDATE journal_version SET version = $1 WHERE id = 1", VERSION)

    async def _take_pen(self, connection: Link, holder: Holder) -> Head:
        async with connection.transaction():
            found = await connection.fetchrow(
                "UPDATE writer SET epoch = epoch + 1, holder = $1 WHERE id = 1 RETURNING number, hash, epoch",
                str(holder),
            )
            if found is None:
                raise self._headless()
            head = Head(*found)
            last = await connection.fetchrow("SELECT number, hash FROM entries ORDER BY number DESC LIMIT 1")
            if (tuple(last) if last is not None else (ORIGIN.number, ORIGIN.hash)) != (head.number, head.hash):
                raise JournalDamaged(f"the journal {self._name} does not end where its writer stopped")
        return head

    async def _read_head(self, connection: Link) -> Head:
        found = await connection.fetchrow("SELECT number, hash, epoch FROM writer WHERE id = 1")
        if found is None:
            raise self._headless()
        return Head(*found)

    def _headless(self) -> JournalDamaged:
        return JournalDamaged(f"the journal {self._name} has lost its head")

    async def _held(self, connection: Link) -> JournalHeld:
        who = ""
        with contextlib.suppress(asyncpg.UndefinedTableError):  # it makes the tables just now
            who = await connection.fetchval("SELECT holder FROM writer WHERE id = 1") or ""
        return JournalHeld(f"the journal {self._name} is being written by {who or 'another process'}")

    async def _not_ours(self, connection: Link, before: Head) -> JournalError:
        """Why the writer's row was not ours to move."""
        head = await self._read_head(connection)
        if head.epoch != before.epoch:
            return await self._held(connection)
        return JournalDamaged(f"the journal {self._name} does not end where its writer stopped")

    # -- errors

    @contextlib.asynccontextmanager
    async def _guarded(self, *, in_doubt: bool = False) -> AsyncIterator[None]:
        """What the library raises, in our words. A connection that failed is not used again."""
        try:
            yield
        except _LOST as exc:
            if in_doubt and self._writer is not None:
                self._writer.terminate()
            kind = CommitInDoubt if in_doubt else JournalUnavailable
            raise kind(f"{self._name} cannot be reached: {self._words(exc)}") from self._cause(exc)
        except asyncpg.PostgresError as exc:
            raise self._refused(exc) from self._cause(exc)

    def _refused(self, exc: asyncpg.PostgresError) -> JournalError:
        """The server answered: certainly nothing was written."""
        state = exc.sqlstate or ""
        if isinstance(exc, asyncpg.IntegrityConstraintViolationError) or state in _DAMAGE:
            return JournalDamaged(f"the journal {self._name} is damaged: {self._clean(exc)}")
        return JournalUnavailable(f"the journal {self._name} cannot be used: {_WORDS.get(state) or self._clean(exc)}")

    def _words(self, exc: BaseException) -> str:
        if isinstance(exc, TimeoutError):
            return "no answer in time"
        if isinstance(exc, ConnectionRefusedError | FileNotFoundError):
            return "no server listens there"
        return self._clean(exc)

    def _clean(self, exc: BaseException) -> str:
        text = str(exc).splitlines()[0] if str(exc) else type(exc).__name__
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def _cause(self, exc: BaseException) -> BaseException | None:
        """The error itself, unless a secret stands in it."""
        return None if any(secret in str(exc) for secret in self._secrets) else exc


async def _session_of(connection: Link) -> _Session:
    found = await connection.fetchrow("SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()")
    assert found is not None
    return _Session(*found)


async def _rows(connection: Link, sql: str, values: tuple[object, ...]) -> list[Row]:
    return [Row(*found) for found in await connection.fetch(sql, *values)]


async def _texts(connection: Link, sql: str, values: tuple[object, ...]) -> list[str]:
    return [str(found[0]) for found in await connection.fetch(sql, *values)]


def _read(address: str) -> tuple[str, str, str, tuple[str, ...]]:
    """What the library is given, the schema, the name for messages, and what must not be in any message."""
    try:
        parts = urlsplit(address)
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        password = unquote(parts.password or "")
    except ValueError:
        raise ConfigurationError(
            "the journal's address cannot be read", remedy="write postgresql://user@host:port/database"
        ) from None
    asked = dict(pairs)
    schema = asked.pop("schema", "")
    if schema and not _SCHEMA.match(schema):
        raise ConfigurationError(
            f"not a schema: {schema[:63]!r}", remedy="use small letters, digits and underscores, up to 63"
        )
    host = asked.get("host", "") if "/" in asked.get("host", "") else parts.netloc.rpartition("@")[2]
    name = f"{parts.scheme}://{host}/{asked.get('database', asked.get('dbname', parts.path.lstrip('/')))}"
    if schema:
        name += f"?schema={schema}"
    secrets = {password, *(asked.get(each, "") for each in _SECRETS), parts.password or ""} - {""}
    dsn = urlunsplit(parts._replace(query=urlencode(asked)))
    return dsn, schema, name, tuple(sorted(secrets, key=len, reverse=True))
