"""The tables of the journal, once for all databases, and how they came to be: one migration after the other. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

__all__ = ["MIGRATIONS", "VERSION", "Migration", "statements"]

_TYPES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "sqlite": {"bytes": "BLOB", "int": "INTEGER"},
        "postgresql": {"bytes": "BYTEA", "int": "BIGINT"},
    }
)


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema. Never changed once released; a later step mends an earlier one."""

    version: int
    what: str
    common: tuple[str, ...]
    """For every database; `{int}` and `{bytes}` stand for its types."""
    only: Mapping[str, tuple[str, ...]]
    """For one kind of database, after the common ones."""


MIGRATIONS: Final = (
    Migration(
        1,
        "entries, open payments, the writer",
        (
            """CREATE TABLE entries (
                number {int} PRIMARY KEY, moment TEXT NOT NULL, terminal TEXT NOT NULL, reference TEXT NOT NULL,
                kind TEXT NOT NULL, actor TEXT NOT NULL, sequence {int}, body {bytes} NOT NULL,
                hash {bytes} NOT NULL)""",
            "CREATE INDEX entries_by_reference ON entries (reference, number) WHERE reference <> ''",
            "CREATE INDEX entries_by_sequence ON entries (terminal, sequence) WHERE sequence IS NOT NULL",
            "CREATE TABLE open_payments (reference TEXT PRIMARY KEY, terminal TEXT NOT NULL, number {int} NOT NULL)",
            """CREATE TABLE writer (
                id {int} PRIMARY KEY CHECK (id = 1), number {int} NOT NULL, hash {bytes} NOT NULL, epoch {int} NOT NULL,
                holder TEXT NOT NULL)""",
        ),
        MappingProxyType(
            {
                "sqlite": (
                    """CREATE TRIGGER entries_are_never_changed BEFORE UPDATE ON entries
                BEGIN SELECT RAISE(ABORT, 'entries of a journal are never changed'); END""",
                    """CREATE TRIGGER entries_are_never_deleted BEFORE DELETE ON entries
                BEGIN SELECT RAISE(ABORT, 'entries of a journal are never deleted'); END""",
                ),
                "postgresql": (
                    """CREATE FUNCTION entries_stay() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION 'entries of a journal are never changed or deleted'; END $$""",
                    """CREATE TRIGGER entries_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON entries
                FOR EACH STATEMENT EXECUTE FUNCTION entries_stay()""",
                ),
            }
        ),
    ),
)
VERSION: Final = MIGRATIONS[-1].version


def statements(dialect: str, *, after: int) -> tuple[tuple[int, str], ...]:
    """What brings a database from version `after` to the present one: (version, SQL), in order.

    Args:
        dialect: `sqlite` or `postgresql`.
        after: the version that it has; 0 for an empty one.
    """
    types = _TYPES[dialect]
    return tuple(
        (migration.version, statement.format(**types) if "{" in statement else statement)
        for migration in MIGRATIONS
        if migration.version > after
        for statement in (*migration.common, *migration.only.get(dialect, ()))
    )
