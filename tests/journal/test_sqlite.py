"""What only a file can suffer: a full disk, no permission, overwritten pages, something else in its place."""

from __future__ import annotations

import contextlib
import resource
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.journal.stores import HOLDER, OTHER, FilePlace, chained, draft, filled

from zahlwerk.errors import JournalDamaged, JournalError, JournalHeld, JournalUnavailable
from zahlwerk.journal.entries import Head
from zahlwerk.journal.sqlite import SqliteStore
from zahlwerk.journal.store import Change
from zahlwerk.journal.verify import verify

BIG = b'{"x":"' + b"x" * 20_000 + b'"}'


@contextlib.contextmanager
def files_at_most(size: int) -> Iterator[None]:
    """Nothing can be written beyond this size: the operating system refuses."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def left_as_it_was(store: SqliteStore, head: Head) -> bool:
    """Nothing of a failed batch is there, and the journal goes on."""
    found = await store.reopen()
    opened = await store.open_references()
    if found != head or list(opened):
        return False
    await filled(store, 2, found)
    verdict = await verify(store)
    return verdict.is_intact and verdict.rows == head.number + 2


class TestNoRoom:
    async def test_a_full_disk_refuses_the_batch_and_leaves_nothing_of_it(self, tmp_path: Path) -> None:
        store = SqliteStore(tmp_path / "journal.db", threaded=False)
        _, head = await filled(store, 2, await store.open(HOLDER))
        pages = store._db.execute("PRAGMA page_count").fetchone()[0]  # the only way to a disk of any size
        store._db.execute(f"PRAGMA max_page_count = {pages}")
        change = Change(chained(*(draft(n, body=BIG) for n in range(3, 9)), after=head), opened=(("sale-3", "t"),))
        with pytest.raises(JournalUnavailable, match="there is no room left on the disk"):
            await store.commit(change, before=head)

        assert await left_as_it_was(store, head)
        await store.close()

    async def test_a_disk_that_refuses_in_the_middle_of_a_commit_leaves_nothing_of_it(self, tmp_path: Path) -> None:
        store = SqliteStore(tmp_path / "journal.db")
        _, head = await filled(store, 2, await store.open(HOLDER))
        written = (tmp_path / "journal.db-wal").stat().st_size
        change = Change(chained(*(draft(n, body=BIG) for n in range(3, 9)), after=head), opened=(("sale-3", "t"),))
        for room in (0, 100, 4_096, 30_000):
            with files_at_most(written + room), pytest.raises(JournalUnavailable, match="the disk does not do"):
                await store.commit(change, before=head)
            assert await store.head() == head

        assert await left_as_it_was(store, head)
        await store.close()

    async def test_a_full_disk_does_not_keep_anybody_from_reading(self, tmp_path: Path) -> None:
        store = SqliteStore(tmp_path / "journal.db")
        rows, _ = await filled(store, 3, await store.open(HOLDER))
        with files_at_most(0):
            found = await store.rows()
            verdict = await verify(store)
        await store.close()

        assert tuple(found) == rows
        assert verdict.is_intact


class TestNoPermission:
    async def test_a_file_that_is_read_only_is_refused_at_once(self, tmp_path: Path) -> None:
        path = tmp_path / "journal.db"
        store = SqliteStore(path)
        rows, _ = await filled(store, 2, await store.open(HOLDER))
        await store.close()
        before = path.read_bytes()
        writer = SqliteStore(f"file:{path}?mode=ro")
        with pytest.raises(JournalUnavailable, match="read-only"):
            await writer.open(HOLDER)
        await writer.close()
        reader = SqliteStore(f"file:{path}?mode=ro")
        await reader.open_to_read()
        found = await reader.rows()
        await reader.close()

        assert tuple(found) == rows
        assert path.read_bytes() == before

    async def test_a_folder_that_cannot_be_made_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        store = SqliteStore(tmp_path / "file" / "journal.db")
        with pytest.raises(JournalUnavailable, match="cannot be used"):
            await store.open(HOLDER)
        await store.close()

    async def test_a_folder_that_is_missing_is_made(self, tmp_path: Path) -> None:
        store = SqliteStore(tmp_path / "a" / "b" / "journal.db")
        await filled(store, 1, await store.open(HOLDER))
        await store.close()

        assert (tmp_path / "a" / "b" / "journal.db").exists()

    async def test_somebody_who_keeps_the_file_busy_is_waited_for_and_then_said(self, tmp_path: Path) -> None:
        store = SqliteStore(tmp_path / "journal.db", threaded=False)
        _, head = await filled(store, 1, await store.open(HOLDER))
        store._db.execute("PRAGMA busy_timeout = 1")
        other = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalUnavailable, match="somebody else keeps it busy"):
            await store.commit(Change(chained(draft(2), after=head)), before=head)
        other.close()

        assert await left_as_it_was(store, head)
        await store.close()


class TestNotAJournal:
    @pytest.mark.parametrize(
        "content", [b"Kassenbuch 2026\n" * 100, b"SQLite format 3\0" + b"\xff" * 5_000], ids=["text", "torn header"]
    )
    async def test_another_file_is_refused_and_left_alone(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "journal.db"
        path.write_bytes(content)
        for store in (SqliteStore(path), SqliteStore(path)):
            with pytest.raises(JournalDamaged, match="damaged"):
                await store.open(HOLDER)
            await store.close()
        reader = SqliteStore(path)
        with pytest.raises(JournalDamaged):
            await reader.open_to_read()
        await reader.close()

        assert path.read_bytes() == content

    async def test_an_empty_file_becomes_a_journal_but_cannot_be_read_as_one(self, tmp_path: Path) -> None:
        path = tmp_path / "journal.db"
        path.touch()
        reader, writer = SqliteStore(path), SqliteStore(path)
        with pytest.raises(JournalDamaged, match="is no journal"):
            await reader.open_to_read()
        await reader.close()
        await filled(writer, 1, await writer.open(HOLDER))
        await writer.close()

    async def test_a_folder_is_no_journal(self, tmp_path: Path) -> None:
        store = SqliteStore(tmp_path)
        with pytest.raises(JournalUnavailable, match="cannot be opened"):
            await store.open(HOLDER)
        await store.close()


def is_sound(path: Path) -> bool:
    """What SQLite's own check says."""
    db = sqlite3.connect(path)
    try:
        return bool(db.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",))
    except sqlite3.DatabaseError:
        return False
    finally:
        db.close()


class TestOverwrittenPages:
    async def test_no_overwritten_page_passes_as_a_journal(self, tmp_path: Path) -> None:
        """Each page in turn: reading says what is damaged, or verify does. Pages of an index hold no entry: nobody reads
        them to verify, SQLite's own check finds those."""
        place = FilePlace(tmp_path)
        store = place.store()
        await filled(store, 400, await store.open(HOLDER))
        await store.close()
        whole = place.path.read_bytes()
        size = int.from_bytes(whole[16:18], "big")
        passed = []
        for at in range(0, len(whole), size):
            place.path.write_bytes(whole[:at] + b"\x5a" * size + whole[at + size :])
            reader = place.store()
            try:
                await reader.open_to_read()
                verdict = await verify(reader)
            except JournalError:
                continue
            finally:
                await reader.close()
            if verdict.is_intact and is_sound(place.path):
                passed.append(at // size)

        assert passed == []


class TestOneWriter:
    async def test_a_lock_file_without_a_holder_is_no_lock(self, tmp_path: Path) -> None:
        (tmp_path / "journal.db.lock").write_text("till (process 1 on kiosk, since 2026)")
        store = SqliteStore(tmp_path / "journal.db")
        await store.open(HOLDER)
        await store.close()

    async def test_a_lock_file_that_was_taken_away_lets_nobody_write_twice(self, tmp_path: Path) -> None:
        first, second = SqliteStore(tmp_path / "journal.db"), SqliteStore(tmp_path / "journal.db")
        _, head = await filled(first, 1, await first.open(HOLDER))
        (tmp_path / "journal.db.lock").unlink()
        _, others = await filled(second, 1, await second.open(OTHER))
        with pytest.raises(JournalHeld, match=r"is being written by second till"):
            await first.commit(Change(chained(draft(2), after=head)), before=head)
        with pytest.raises(JournalHeld):
            await first.reopen()
        found = await second.head()
        await first.close()
        await second.close()

        assert found == others

    async def test_a_holder_with_a_long_name_is_cut_off(self, tmp_path: Path) -> None:
        first, second = SqliteStore(tmp_path / "journal.db"), SqliteStore(tmp_path / "journal.db")
        await first.open(type(HOLDER)("ü" * 1_000, "kiosk", 1, "now"))
        with pytest.raises(JournalHeld) as caught:
            await second.open(OTHER)
        await first.close()
        await second.close()

        assert len(str(caught.value)) < 1_000
