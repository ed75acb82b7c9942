"""The power fails: what had not been synced may be gone, in part, or torn. As far as a process can imitate it.

SQLite writes a transaction as frames at the end of the write-ahead log and syncs it before COMMIT returns. So the
states that a power loss can leave are: the log as it was after the last sync, followed by any part of what was written
since, with any of it wrong. They are made here from a copy of the files: the log is cut at many lengths within the
last transaction, its last frames are zeroed or filled with noise, and old frames lie behind the end.

What this proves: from each of these states the journal opens as it was before or after the last commit, never damaged,
and everything that was acknowledged is there. With `strace` at hand, it is also proved that the process does sync
between its last write to the log and the acknowledgement. What it does not prove: that the disk keeps what it says it
has synced, and anything about a file system that reorders writes to the database file itself during a checkpoint
beyond the one state that is made here (a checkpoint half done, the log still whole).
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.journal.scripted import ScriptedTerminal, purchase

from zahlwerk.clock import VirtualClock
from zahlwerk.journal import Journal
from zahlwerk.journal.entries import Body, EntryKind
from zahlwerk.journal.sqlite import SqliteStore
from zahlwerk.lifecycle import PaymentState
from zahlwerk.payment import Outcome

WAL_HEADER = 32
FRAME_HEADER = 24
FRAME = FRAME_HEADER + 4096


@dataclass
class Snapshot:
    """The files after some commits, and where the last one begins in the log."""

    database: bytes
    log: bytes
    acknowledged: int
    """Number of the last row that was acknowledged before the last commit."""
    last: int
    """Number of the last row of the last commit."""
    begins: int
    """Length of the log before the last commit."""

    def lay(self, folder: Path, log: bytes, database: bytes | None = None) -> Path:
        folder.mkdir()
        path = folder / "journal.db"
        path.write_bytes(self.database if database is None else database)
        (folder / "journal.db-wal").write_bytes(log)
        return path


async def snapshot(folder: Path, *, checkpoint: bool = False) -> Snapshot:
    """A journal with a settled sale and one that has just been sent."""
    path = folder / "journal.db"
    store = SqliteStore(path, threaded=False)
    journal = await Journal.open(store, clock=VirtualClock())
    terminal = journal.wrap(ScriptedTerminal(), name="till-1")
    await terminal.transact(purchase(1250, "sale-1"))
    await journal.note(EntryKind.OPENED, {})
    if checkpoint:
        # From here on the log is written from its beginning again: old frames lie behind the new ones.
        store._db.execute("PRAGMA wal_checkpoint(RESTART)")
        await journal.note(EntryKind.OPENED, {})
    log = folder / "journal.db-wal"
    acknowledged, before = journal.head.number, log.read_bytes()
    steps: list[tuple[EntryKind, Body]] = [
        (EntryKind.REQUESTED, {"request": purchase(700, "sale-2")}),
        (EntryKind.SENT, {"evidence": {"n": "1"}}),
    ]
    await journal.write("sale-2", "till-1", steps)
    after = log.read_bytes()
    begins = next(at for at in range(0, len(after), 8) if after[at : at + 8] != before[at : at + 8])
    begins = WAL_HEADER + (begins - WAL_HEADER) // FRAME * FRAME
    taken = Snapshot(path.read_bytes(), after, acknowledged, journal.head.number, begins)
    await journal.close()
    return taken


async def comes_back(path: Path, taken: Snapshot) -> int:
    """Open it as the next process would, settle it; the number of rows it had."""
    journal = await Journal.open(SqliteStore(path, threaded=False), clock=VirtualClock())
    rows = journal.head.number - 1  # the one that says that it was opened
    assert rows in {taken.acknowledged, taken.last}
    assert (await journal.record("sale-1")).state is PaymentState.CONFIRMED
    cut = await journal.find("sale-2")
    assert (cut is not None) is (rows == taken.last)
    inner = ScriptedTerminal()
    terminal = journal.wrap(inner, name="till-1")
    again = await terminal.transact(purchase(700, "sale-2"))
    # Sent, perhaps: never again. Not written: it never left, for it was never acknowledged.
    assert again.outcome is (Outcome.UNKNOWN if cut is not None else Outcome.APPROVED)
    assert inner.charged_minor == (0 if cut is not None else 700)
    assert (await terminal.transact(purchase(1250, "sale-1"))).outcome is Outcome.APPROVED
    assert inner.calls.count("transact sale-1") == 0
    assert (await journal.verify()).is_intact
    await journal.close()
    return rows


def cuts(taken: Snapshot) -> list[int]:
    """Lengths of the log: around every border within the last transaction, and some in between."""
    end = len(taken.log)
    near = {at + by for at in range(taken.begins, end + 1, FRAME) for by in (-1, 0, 1, 8, FRAME_HEADER, 512, 2048)}
    chance = random.Random(20261128)
    near |= {chance.randrange(taken.begins, end) for _ in range(24)}
    return sorted(at for at in near if taken.begins <= at <= end)


@pytest.mark.parametrize("checkpoint", [False, True], ids=["fresh log", "log over an old one"])
async def test_a_log_cut_anywhere_in_the_last_transaction_opens_as_before_or_after_it(
    tmp_path: Path, checkpoint: bool
) -> None:
    taken = await snapshot(tmp_path, checkpoint=checkpoint)
    found = [
        await comes_back(taken.lay(tmp_path / f"cut-{length}", taken.log[:length]), taken) for length in cuts(taken)
    ]

    assert found[0] == taken.acknowledged
    assert found[-1] == taken.last
    assert found == sorted(found)


@pytest.mark.parametrize("filling", ["zeros", "noise", "one bit"])
async def test_frames_that_never_reached_the_disk_or_only_in_part_are_left_out(tmp_path: Path, filling: str) -> None:
    """The log has its full length, but pages of the last transaction hold something else, in any order."""
    taken = await snapshot(tmp_path)
    chance = random.Random(filling)
    frames = range(taken.begins, len(taken.log) - FRAME + 1, FRAME)
    for at in frames:
        for sector in (0, 512, 2048, FRAME - 100):
            log = bytearray(taken.log)
            size = min(512, FRAME - sector)
            match filling:
                case "zeros":
                    log[at + sector : at + sector + size] = bytes(size)
                case "noise":
                    log[at + sector : at + sector + size] = chance.randbytes(size)
                case _:
                    log[at + sector + 9] ^= 0x10
            changed = bytes(log) != taken.log
            rows = await comes_back(taken.lay(tmp_path / f"at-{at}-{sector}", bytes(log)), taken)
            assert rows == (taken.acknowledged if changed else taken.last)


async def test_a_log_that_was_never_synced_at_all_is_missing(tmp_path: Path) -> None:
    """Only what a checkpoint had written to the file is there: older, and whole. What was acknowledged since is lost,
    which is why every commit is synced: this is the state that `synchronous = FULL` rules out."""
    taken = await snapshot(tmp_path, checkpoint=True)
    path = taken.lay(tmp_path / "bare", b"")

    journal = await Journal.open(SqliteStore(path, threaded=False), clock=VirtualClock())

    assert journal.head.number - 1 < taken.acknowledged
    assert (await journal.verify()).is_intact
    await journal.close()


async def test_a_checkpoint_that_was_cut_off_changes_nothing(tmp_path: Path) -> None:
    """Some pages have reached the file, some have not; the log has them all."""
    taken = await snapshot(tmp_path)
    path = taken.lay(tmp_path / "whole", taken.log)
    journal = await Journal.open(SqliteStore(path, threaded=False), clock=VirtualClock())
    await journal.close()
    after = path.read_bytes()
    pages = max(len(after), len(taken.database)) // 4096
    for page in range(pages):
        mixed = bytearray(taken.database.ljust(len(after), b"\0"))
        mixed[page * 4096 : (page + 1) * 4096] = after[page * 4096 : (page + 1) * 4096]
        assert await comes_back(taken.lay(tmp_path / f"page-{page}", taken.log, bytes(mixed)), taken) == taken.last


WRITER = """
import asyncio, os, sys
from zahlwerk.journal import Journal
from zahlwerk.journal.entries import EntryKind

async def main():
    journal = await Journal.open(sys.argv[1])
    for number in range(5):
        os.write(2, b"ASKED\\n")
        await journal.note(EntryKind.OPENED, {"number": number})
        os.write(2, b"ACKNOWLEDGED\\n")
    os._exit(0)

asyncio.run(main())
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace here: what is synced when cannot be seen")
def test_what_is_acknowledged_was_synced_after_it_was_written(tmp_path: Path) -> None:
    """Seen from outside, by the system calls of a real process: no acknowledgement with unsynced writes to the log."""
    trace = tmp_path / "trace"
    calls = "trace=openat,pwrite64,write,fsync,fdatasync"
    command = ["strace", "-f", "-y", "-e", calls, "-o", str(trace), sys.executable, "-c", WRITER,
               str(tmp_path / "journal.db")]  # fmt: skip
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    if b"ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    assert done.returncode == 0, done.stderr

    unsynced, syncs, acknowledged = False, 0, 0
    for line in trace.read_text("utf-8", "replace").splitlines():
        if re.search(r"pwrite64\(\d+<[^>]*-wal>", line):
            unsynced = True
        elif re.search(r"(fsync|fdatasync)(\(\d+<[^>]*-wal>| resumed)", line) and "unfinished" not in line:
            unsynced = False
            syncs += 1
        elif "ACKNOWLEDGED" in line and "write(2" in line:
            acknowledged += 1
            assert not unsynced, line
    assert acknowledged == 5
    assert syncs >= 5
