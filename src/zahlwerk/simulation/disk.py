"""The journal's database in memory, on a disk that can be slow, full, read-only, or keep silent about a commit.

The rows are in a real SQLite database and outlive the process that writes them; what was not committed does not.
"""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from typing import TYPE_CHECKING, Final

from zahlwerk.errors import JournalUnavailable
from zahlwerk.journal.entries import Head
from zahlwerk.journal.sqlite import SqliteStore
from zahlwerk.journal.store import Change, CommitInDoubt
from zahlwerk.simulation.faults import Fault, Faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from zahlwerk.simulation.loop import Process, VirtualLoop
    from zahlwerk.simulation.story import Story

__all__ = ["Disk", "SimulatedStore"]

SYNC_S: Final = 0.004
# SQLite's own default: nothing is full.
PAGES_MAX: Final = 1_073_741_823
_number: Final = itertools.count(1)


class Disk:
    """What is durable, and how the disk behaves now."""

    def __init__(
        self, loop: VirtualLoop, faults: Faults, story: Story, *, crash: Callable[[float, bool], None]
    ) -> None:
        self.loop = loop
        self.faults = faults
        self.story = story
        self.crash = crash
        self.name = f"file:zahlwerk-simulation-{next(_number)}?mode=memory&cache=shared"
        self._keeper = sqlite3.connect(self.name, uri=True, isolation_level=None, check_same_thread=False)
        self._full_until_s = 0.0
        self._read_only_until_s = 0.0

    def repair(self) -> None:
        """From now on it does what it is told."""
        self._full_until_s = self._read_only_until_s = 0.0

    def spoil(self, fault: Fault) -> None:
        """Full or read-only for some time; with no time given, for one commit."""
        until_s = self.loop.moment_s + max(fault.seconds, SYNC_S / 2)
        if fault.kind == "disk-full":
            self._full_until_s = until_s
        else:
            self._read_only_until_s = until_s

    def apply_to(self, connection: sqlite3.Connection) -> None:
        """Behave like that for this connection."""
        now_s = self.loop.moment_s
        pages = 1 if now_s < self._full_until_s else PAGES_MAX
        # A database never becomes smaller than it is: this means "no page more".
        connection.execute(f"PRAGMA max_page_count = {pages}")
        connection.execute(f"PRAGMA query_only = {int(now_s < self._read_only_until_s)}")

    def content(self) -> bytes:
        """Every byte of the database."""
        return bytes(self._keeper.serialize())

    def kinds_of(self, reference: str) -> list[str]:
        """Kinds of the durable entries about a payment, oldest first."""
        found = self._keeper.execute("SELECT kind FROM entries WHERE reference = ? ORDER BY number", (reference,))
        return [str(row[0]) for row in found]

    def close(self) -> None:
        """Forget everything."""
        self._keeper.close()


class SimulatedStore(SqliteStore):
    """The store of one process of the register."""

    def __init__(self, disk: Disk, process: Process | None) -> None:
        """Args:
        process: whose connection it is; None for somebody who looks at the disk afterwards.
        """
        super().__init__("file:journal.db", threaded=False)
        self._disk = disk
        self._process = process
        if process is not None:
            process.at_end(self._hang_up)

    async def commit(self, change: Change, *, before: Head) -> None:
        disk = self._disk
        await asyncio.sleep(SYNC_S)
        self._require_alive()
        fault = self._fault_of(change)
        if fault is None:
            await self._write(change, before)
            return
        match fault.kind:
            case "crash-before":
                disk.crash(fault.seconds, fault.how != "register")
                await _never()
            case "crash-after":
                await self._write(change, before)
                disk.crash(fault.seconds, fault.how != "register")
                await _never()
            case "doubt-written":
                await self._write(change, before)
                raise CommitInDoubt("the disk does not say whether it has written")
            case "doubt-lost":
                raise CommitInDoubt("the disk does not say whether it has written")
            case "slow":
                await asyncio.sleep(fault.seconds)
                self._require_alive()
                await self._write(change, before)
            case _:
                disk.spoil(fault)
                await self._write(change, before)

    def _fault_of(self, change: Change) -> Fault | None:
        """At most one a commit; every row of it is a place."""
        for row in change.rows:
            fault = self._disk.faults.at(f"journal {row.kind}")
            if fault is not None:
                self._disk.story.note("disk", f"{fault.kind} at {row.kind} of {row.reference or 'the journal'}")
                return fault
        return None

    async def _write(self, change: Change, before: Head) -> None:
        self._disk.apply_to(self._db)
        await super().commit(change, before=before)
        for row in change.rows:
            self._disk.story.note("journal", f"{row.number} {row.kind} {row.reference}")

    def _connect(self) -> None:
        # The name differs from run to run; errors name the journal, and a story must not differ.
        shown, self._name = self._name, self._disk.name
        try:
            super()._connect()
        finally:
            self._name = shown
        if self._writes:
            self._disk.apply_to(self._db)

    def _require_alive(self) -> None:
        if self._process is not None and not self._process.is_running:
            raise JournalUnavailable("the process has died")

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


async def _never() -> None:
    await asyncio.Event().wait()
