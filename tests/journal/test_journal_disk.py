"""Disks as they are: full, read-only, gone under the running process; clocks that jump; two processes at one file."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.journal.scripted import ScriptedTerminal, kinds_of, purchase

from zahlwerk.clock import VirtualClock
from zahlwerk.errors import JournalHeld, JournalUnavailable
from zahlwerk.journal import Journal, JournaledTerminal
from zahlwerk.journal.entries import EntryKind
from zahlwerk.journal.sqlite import SqliteStore
from zahlwerk.lifecycle import PaymentState
from zahlwerk.payment import Outcome

SALES_MAX = 400


class Disk:
    """One that can be filled up, and emptied again."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.db"
        self.limit_pages: int | None = None

    def store(self) -> SqliteStore:
        return SqliteStore(self.path, threaded=False)

    def fill(self) -> None:
        raise NotImplementedError

    def make_room(self) -> None:
        raise NotImplementedError


class Mounted(Disk):
    """A file system of its own, half a megabyte."""

    def fill(self) -> None:
        with contextlib.suppress(OSError), (self.path.parent / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))

    def make_room(self) -> None:
        (self.path.parent / "filler").unlink()


class Limited(Disk):
    """No file may grow beyond what the log has now: the process is told so by the kernel."""

    def fill(self) -> None:
        size = self.path.with_name("journal.db-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    def make_room(self) -> None:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


class PagedStore(SqliteStore):
    def __init__(self, disk: Disk) -> None:
        super().__init__(disk.path, threaded=False)
        self._disk = disk

    def _connect(self) -> None:
        super()._connect()
        if self._disk.limit_pages is not None:
            self._db.execute(f"PRAGMA max_page_count = {self._disk.limit_pages}")


class Paged(Disk):
    """The database may have no more pages than it has now: SQLite's own limit."""

    def store(self) -> SqliteStore:
        self._store = PagedStore(self)
        return self._store

    def fill(self) -> None:
        self.limit_pages = int(self._store._db.execute("PRAGMA page_count").fetchone()[0])
        self._store._db.execute(f"PRAGMA max_page_count = {self.limit_pages}")

    def make_room(self) -> None:
        self.limit_pages = 1_000_000


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """A file system in memory; skipped where nobody may mount one."""
    where = folder / "mounted"
    where.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", ",".join(("size=512k", *options)), "tmpfs", str(where)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
        pytest.skip("a file system cannot be mounted here")
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", str(where)], check=True)


@pytest.fixture(params=["mounted", "limited", "paged"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    kind: str = request.param
    if kind == "mounted":
        with mounted(tmp_path) as where:
            yield Mounted(where)
        return
    made: Disk = Limited(tmp_path) if kind == "limited" else Paged(tmp_path)
    yield made
    if kind == "limited":
        made.make_room()


@asynccontextmanager
async def shop(disk: Disk) -> AsyncIterator[tuple[Journal, JournaledTerminal, ScriptedTerminal]]:
    journal = await Journal.open(disk.store(), clock=VirtualClock())
    inner = ScriptedTerminal()
    terminal = journal.wrap(inner, name="till-1")
    await terminal.open()
    try:
        yield journal, terminal, inner
    finally:
        await journal.close()


async def paid_until_refused(terminal: JournaledTerminal, inner: ScriptedTerminal, name: str) -> int:
    """Sales until the journal takes no more; what was told as paid, in minor units."""
    paid = 0
    for number in range(SALES_MAX):
        try:
            payment = await terminal.transact(purchase(100 + number, f"{name}-{number}"))
        except JournalUnavailable:
            return paid
        paid += payment.approved.amount if payment.approved is not None else 0
    raise AssertionError("it never got full")


async def equals_the_ledger(path: Path, inner: ScriptedTerminal) -> bool:
    """A new process reads the file: every payment as the terminal booked it, and nothing is damaged."""
    journal = await Journal.open(SqliteStore(path, threaded=False), clock=VirtualClock())
    for reference, booked in inner.books.items():
        record = await journal.find(reference)
        charged = record is not None and record.state is PaymentState.CONFIRMED
        assert charged is (booked.captured_minor > 0), (reference, record)
    intact = (await journal.verify()).is_intact
    await journal.close()
    return intact


class TestAFullDisk:
    async def test_payments_are_refused_before_anything_is_sent_and_go_on_once_there_is_room(self, disk: Disk) -> None:
        async with shop(disk) as (journal, terminal, inner):
            await terminal.transact(purchase())
            disk.fill()
            paid = await paid_until_refused(terminal, inner, "tight")
            assert inner.charged_minor == 1250 + paid
            assert journal.trouble
            asked = len(inner.calls)
            for number in range(3):
                with pytest.raises(JournalUnavailable):
                    await terminal.transact(purchase(5, f"refused-{number}"))
            assert [call for call in inner.calls[asked:] if call.startswith("sent")] == []
            disk.make_room()

            assert (await terminal.transact(purchase(5, "refused-0"))).outcome is Outcome.APPROVED
            assert not journal.trouble
        assert await equals_the_ledger(disk.path, inner)

    async def test_an_outcome_that_found_no_room_is_told_and_written_later(self, disk: Disk) -> None:
        async with shop(disk) as (journal, terminal, inner):
            inner.script.outcome = Outcome.DECLINED
            inner.script.after_sending = disk.fill
            declined = 0
            for number in range(SALES_MAX):
                payment = await terminal.transact(purchase(100, f"sale-{number}"))
                assert payment.outcome is Outcome.DECLINED
                declined = number
                if journal.trouble:
                    break
            assert journal.trouble
            inner.script.after_sending = lambda: None
            disk.make_room()

            assert await journal.heal()
            assert await kinds_of(journal, f"sale-{declined}") == ["requested", "sent", "declined"]
        assert await equals_the_ledger(disk.path, inner)

    async def test_an_approval_that_finds_no_room_is_taken_back(self, disk: Disk) -> None:
        async with shop(disk) as (journal, terminal, inner):
            inner.script.after_approval = disk.fill
            for number in range(SALES_MAX):
                try:
                    await terminal.transact(purchase(100, f"sale-{number}"))
                except JournalUnavailable:
                    break
            refused = f"sale-{number}"
            inner.script.after_approval = lambda: None
            assert inner.books[refused].captured_minor == 0 if refused in inner.books else True
            disk.make_room()
            await terminal.transact(purchase(5, "the next"))

            record = await journal.find(refused)
            assert record is None or record.state in {PaymentState.ROLLED_BACK, PaymentState.FAILED}
        assert await equals_the_ledger(disk.path, inner)


class TestWhereNothingCanBeWritten:
    def test_a_read_only_file_system_is_refused_at_once(self, tmp_path: Path) -> None:
        with mounted(tmp_path, "ro") as where, pytest.raises(JournalUnavailable, match=r"(?i)read-only"):
            asyncio.run(Journal.open(str(where / "journal.db")))

    @pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
    async def test_so_is_a_file_that_may_not_be_written(self, tmp_path: Path) -> None:
        path = tmp_path / "journal.db"
        await (await Journal.open(str(path))).close()
        path.chmod(0o400)

        with pytest.raises(JournalUnavailable):
            await Journal.open(str(path))

    async def test_a_folder_that_is_missing_is_made(self, tmp_path: Path) -> None:
        journal = await Journal.open(str(tmp_path / "not" / "yet" / "journal.db"))
        await journal.close()

        assert (tmp_path / "not" / "yet" / "journal.db").exists()

    async def test_one_that_cannot_be_made_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")

        with pytest.raises(JournalUnavailable):
            await Journal.open(str(tmp_path / "file" / "journal.db"))


class TestAFileThatIsTakenAway:
    @staticmethod
    def deleted(path: Path) -> None:
        path.unlink()

    @staticmethod
    def moved(path: Path) -> None:
        path.rename(path.with_name("elsewhere.db"))

    @staticmethod
    def replaced(path: Path) -> None:
        shutil.copy(path, path.with_name("older.db"))
        path.with_name("older.db").replace(path)

    @staticmethod
    def with_its_folder(path: Path) -> None:
        shutil.rmtree(path.parent)

    @pytest.mark.parametrize("how", ["deleted", "moved", "replaced", "with_its_folder"])
    async def test_payments_are_refused_instead_of_being_written_to_nowhere(self, tmp_path: Path, how: str) -> None:
        (tmp_path / "shop").mkdir()
        path = tmp_path / "shop" / "journal.db"
        journal = await Journal.open(SqliteStore(path, threaded=False), clock=VirtualClock())
        inner = ScriptedTerminal()
        terminal = journal.wrap(inner, name="till-1")
        await terminal.transact(purchase())
        take: Callable[[Path], None] = getattr(self, how)
        take(path)

        for number in range(3):
            with pytest.raises(JournalUnavailable):
                await terminal.transact(purchase(5, f"sale-{number + 2}"))

        assert inner.charged_minor == 1250
        assert "taken away" in journal.trouble
        assert (how == "replaced") is path.exists()
        await journal.close()

    async def test_one_that_is_put_back_is_written_again(self, tmp_path: Path) -> None:
        path = tmp_path / "journal.db"
        journal = await Journal.open(SqliteStore(path, threaded=False), clock=VirtualClock())
        inner = ScriptedTerminal()
        terminal = journal.wrap(inner, name="till-1")
        await terminal.transact(purchase())
        self.moved(path)
        with pytest.raises(JournalUnavailable):
            await terminal.transact(purchase(5, "sale-2"))

        path.with_name("elsewhere.db").rename(path)

        assert (await terminal.transact(purchase(5, "sale-2"))).outcome is Outcome.APPROVED
        await journal.close()
        assert await equals_the_ledger(path, inner)

    async def test_a_log_that_is_deleted_is_brought_into_the_file_before_anything_else_is_paid(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "journal.db"
        journal = await Journal.open(SqliteStore(path, threaded=False), clock=VirtualClock())
        inner = ScriptedTerminal()
        terminal = journal.wrap(inner, name="till-1")
        await terminal.transact(purchase())
        path.with_name("journal.db-wal").unlink()

        assert (await terminal.transact(purchase(5, "sale-2"))).outcome is Outcome.APPROVED

        await journal.note(EntryKind.OPENED, {})  # nobody waits for the last row of an approved payment
        copy = tmp_path / "as after a crash"
        copy.mkdir()
        for name in ("journal.db", "journal.db-wal"):
            shutil.copy(tmp_path / name, copy / name)
        assert await equals_the_ledger(copy / "journal.db", inner)
        await journal.close()


class JumpingClock(VirtualClock):
    """Somebody sets the machine's clock."""

    jump = timedelta()

    def wall(self) -> datetime:
        return super().wall() + self.jump


class TestAClockThatJumps:
    @pytest.mark.parametrize("days", [-400, -1, 1, 4000])
    async def test_is_noted_and_changes_no_payment(self, tmp_path: Path, days: int) -> None:
        clock = JumpingClock()
        journal = await Journal.open(SqliteStore(tmp_path / "journal.db", threaded=False), clock=clock)
        inner = ScriptedTerminal()
        terminal = journal.wrap(inner, name="till-1")
        await terminal.transact(purchase())
        inner.script.after_approval = lambda: setattr(clock, "jump", timedelta(days=days))

        assert (await terminal.transact(purchase(700, "sale-2"))).outcome is Outcome.APPROVED
        assert (await terminal.transact(purchase())).outcome is Outcome.APPROVED

        rows = await journal.latest(limit=100)
        assert [row.kind for row in rows].count("clock") == 1
        assert [row.number for row in rows] == list(range(1, len(rows) + 1))
        assert inner.charged_minor == 1950
        await journal.close()
        assert await equals_the_ledger(tmp_path / "journal.db", inner)


HOLDER = """
import asyncio, sys
from zahlwerk.journal import Journal

async def main():
    journal = await Journal.open(sys.argv[1], name="till software")
    print("open", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await journal.close()

asyncio.run(main())
"""


class TestTwoProcesses:
    @pytest.fixture
    def first(self, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
        child = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path / "journal.db")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        yield child
        child.kill()
        child.communicate()

    async def test_the_second_is_refused_with_who_holds_it(self, tmp_path: Path, first: subprocess.Popen[str]) -> None:
        with pytest.raises(JournalHeld, match=rf"till software \(process {first.pid} on "):
            await Journal.open(str(tmp_path / "journal.db"))

    async def test_one_that_was_killed_is_followed_at_once(self, tmp_path: Path, first: subprocess.Popen[str]) -> None:
        first.kill()
        first.wait()

        journal = await Journal.open(str(tmp_path / "journal.db"))

        assert (await journal.verify()).is_intact
        await journal.close()

    async def test_one_that_is_stopped_still_holds_it_until_it_is_killed(
        self, tmp_path: Path, first: subprocess.Popen[str]
    ) -> None:
        first.send_signal(signal.SIGSTOP)
        for _ in range(3):
            with pytest.raises(JournalHeld):
                await Journal.open(str(tmp_path / "journal.db"))

        first.kill()
        first.wait()
        await (await Journal.open(str(tmp_path / "journal.db"))).close()

    async def test_whoever_reads_is_let_in_beside_it(self, tmp_path: Path, first: subprocess.Popen[str]) -> None:
        journal = await Journal.open_to_read(str(tmp_path / "journal.db"))

        assert (await journal.verify()).is_intact
        await journal.close()

    async def test_without_the_lock_file_the_later_one_has_the_pen_and_the_earlier_one_is_told(
        self, tmp_path: Path
    ) -> None:
        """Somebody cleaned up: two get in, but only one can write."""
        path = tmp_path / "journal.db"
        inner = ScriptedTerminal()
        earlier = await Journal.open(str(path))
        terminal = earlier.wrap(inner, name="till-1")
        path.with_name("journal.db.lock").unlink()
        later = await Journal.open(str(path))

        with pytest.raises(JournalHeld):
            await terminal.transact(purchase())

        assert inner.charged_minor == 0
        assert (await later.verify()).is_intact
        await earlier.close()
        await later.close()
