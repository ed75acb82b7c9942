"""The journal in a form that others can read and verify: lines of JSON, or a table."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TextIO

from zahlwerk.cli.journal_views import row_object
from zahlwerk.errors import ConfigurationError
from zahlwerk.journal.entries import GENESIS, Row
from zahlwerk.journal.verify import Verdict, verify

if TYPE_CHECKING:
    from zahlwerk.journal.store import Store

__all__ = ["FORMATS", "exported"]

FORMATS: Final = ("jsonl", "csv")
_COLUMNS: Final = (
    "number", "moment", "terminal", "reference", "kind", "actor", "sequence", "body", "hash", "previous",
)  # fmt: skip


class _Writable(Protocol):
    def write(self, text: str, /) -> object: ...


async def exported(store: Store, *, form: str, since: str, out: Path | None) -> tuple[int, Verdict]:
    """Write the rows that hold; how many, and what the whole chain came to.

    Args:
        store: open, if only to read.
        form: one of `FORMATS`.
        since: a moment as rows have it; empty for all.
        out: a file; None for standard output.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    if out is None:
        return await _write(store, _Pipe(sys.stdout), form=form, since=since)
    try:
        with out.open("w", encoding="utf-8", newline="") as file:
            return await _write(store, file, form=form, since=since)
    except OSError as exc:
        raise ConfigurationError(f"{out} cannot be written: {exc.strerror}", remedy="name another file") from exc


class _Pipe:
    """Standard output, silent once its reader has gone: `zahlwerk journal export | head`."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._gone = False

    def write(self, text: str) -> int:
        if not self._gone:
            try:
                self._file.write(text)
                self._file.flush()
            except (OSError, ValueError):
                self._gone = True
        return len(text)


async def _write(store: Store, file: _Writable, *, form: str, since: str) -> tuple[int, Verdict]:
    write = _table(file) if form == "csv" else _lines(file)
    count, previous = 0, GENESIS

    def watch(rows: Sequence[Row]) -> None:
        nonlocal count, previous
        for row in rows:
            # The first row that is wanted, then all: one whose clock was set back must not leave a gap.
            if count or row.moment >= since:
                write(row_object(row, previous))
                count += 1
            previous = row.hash

    verdict = await verify(store, watch=watch)
    return count, verdict


def _lines(file: _Writable) -> Callable[[dict[str, object]], None]:
    def write(shown: dict[str, object]) -> None:
        file.write(f"{json.dumps(shown, ensure_ascii=False)}\n")

    return write


def _table(file: _Writable) -> Callable[[dict[str, object]], None]:
    writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    return writer.writerow
