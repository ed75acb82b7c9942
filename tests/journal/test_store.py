"""What every store promises: all or none, durable, one writer, and every later change evident."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.journal.stores import (
    HOLDER,
    NEWER,
    OTHER,
    FilePlace,
    Place,
    ServerPlace,
    chained,
    draft,
    filled,
    head_after,
    set_version,
)

from zahlwerk.errors import JournalDamaged, JournalError, JournalHeld, JournalUnavailable
from zahlwerk.journal.entries import GENESIS, Head, Row
from zahlwerk.journal.schema import VERSION
from zahlwerk.journal.sqlite import SqliteStore
from zahlwerk.journal.store import Change, Store, store_at
from zahlwerk.journal.verify import verify


@pytest.fixture(params=["sqlite", "memory", "memory, without a thread", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An empty journal, opened to write."""
    found: Store
    match request.param:
        case "sqlite":
            found = FilePlace(tmp_path).store()
        case "postgresql":
            server = request.getfixturevalue("postgres")
            found = ServerPlace(server, server.new_schema()).store()
        case kind:
            found = SqliteStore(None, threaded=kind == "memory")
    await found.open(HOLDER)
    yield found
    await found.close()


class TestRows:
    async def test_an_empty_journal_begins_at_its_origin(self, store: Store) -> None:
        assert await store.head() == Head(0, GENESIS, 1)
        assert await store.rows() == []
        assert await store.open_references() == []

    async def test_rows_come_back_as_they_were_written(self, store: Store) -> None:
        drafts = [
            draft(1, sequence=None), draft(2, sequence=0), draft(3, sequence=2**63 - 1), draft(4, body=b""),
            draft(5, body=bytes(range(256))), draft(6, terminal="", reference="", actor=""), draft(7, actor="Zoë 💶 \\ ' %"),
        ]  # fmt: skip
        rows = chained(*drafts)

        await store.commit(Change(rows), before=await store.head())

        assert tuple(await store.rows()) == rows

    async def test_the_head_follows_the_rows(self, store: Store) -> None:
        rows, head = await filled(store, 3, await store.head())

        assert await store.head() == head == Head(3, rows[-1].hash, 1)

    async def test_rows_are_read_a_page_at_a_time(self, store: Store) -> None:
        rows, _ = await filled(store, 20, await store.head())

        assert tuple(await store.rows(limit=7)) == rows[:7]
        assert tuple(await store.rows(after=7, limit=7)) == rows[7:14]
        assert tuple(await store.rows(after=14, limit=7)) == rows[14:]
        assert await store.rows(after=20) == []

    async def test_a_long_journal_is_read_from_end_to_end(self, store: Store) -> None:
        head = await store.head()
        written: list[Row] = []
        for _ in range(5):
            rows, head = await filled(store, 500, head)
            written += rows
        pages = [page async for page in store.all_rows(after=100)]

        assert [row for page in pages for row in page] == written[100:]
        assert [len(page) for page in pages] == [2_000, 400]

    async def test_the_latest_rows_are_told_oldest_first(self, store: Store) -> None:
        rows, _ = await filled(store, 10, await store.head())

        assert tuple(await store.latest(limit=3)) == rows[-3:]
        assert tuple(await store.latest(limit=2, terminal="till-1")) == (rows[6], rows[8])
        assert await store.latest(limit=2, terminal="nowhere") == []

    async def test_rows_are_found_by_reference_in_order(self, store: Store) -> None:
        rows = chained(draft(1), draft(2), draft(3, reference="sale-1"), draft(4, reference=""))
        await store.commit(Change(rows), before=await store.head())

        assert tuple(await store.of_reference("sale-1")) == (rows[0], rows[2])
        assert await store.of_reference("sale-9") == []
        assert await store.of_reference("") == []

    async def test_references_are_found_by_the_terminals_counter_the_latest_first(self, store: Store) -> None:
        drafts = [draft(n, terminal="till", reference=f"sale-{n % 20}", sequence=7) for n in range(1, 31)]
        other = [draft(31, terminal="till", sequence=None), draft(32, terminal="bar", sequence=7)]
        await store.commit(Change(chained(*drafts, *other)), before=await store.head())

        assert await store.references_of("till", 7) == [f"sale-{n % 20}" for n in range(30, 14, -1)]
        assert await store.references_of("till", 8) == []
        assert await store.references_of("bar", 7) == ["sale-32"]


class TestOpenPayments:
    async def test_they_are_listed_in_the_order_in_which_they_began(self, store: Store) -> None:
        head = await store.head()
        rows = chained(draft(1, reference="z"), draft(2, reference="a"), draft(3, reference="m"), after=head)
        await store.commit(Change(rows, opened=(("m", "t"), ("a", "t"), ("z", "t"))), before=head)
        head = head_after(rows, head)
        rows = chained(draft(4, reference="b"), after=head)
        await store.commit(Change(rows, opened=(("b", "t"),)), before=head)

        assert await store.open_references() == ["z", "a", "m", "b"]

    async def test_one_that_is_closed_is_not_listed_any_more(self, store: Store) -> None:
        head = await store.head()
        rows = chained(draft(1), draft(2), after=head)
        await store.commit(Change(rows, opened=(("sale-1", "t"), ("sale-2", "t"))), before=head)
        head = head_after(rows, head)
        rows = chained(draft(3, reference="sale-1"), draft(4, reference="sale-9"), after=head)
        await store.commit(Change(rows, closed=("sale-1", "sale-9")), before=head)

        assert await store.open_references() == ["sale-2"]

    async def test_one_that_is_opened_again_keeps_its_place(self, store: Store) -> None:
        head = await store.head()
        rows = chained(draft(1), draft(2), after=head)
        await store.commit(Change(rows, opened=(("sale-1", "t"), ("sale-2", "t"))), before=head)
        head = head_after(rows, head)
        rows = chained(draft(3, reference="sale-1"), after=head)
        await store.commit(Change(rows, opened=(("sale-1", "t"),)), before=head)

        assert await store.open_references() == ["sale-1", "sale-2"]


class TestAllOrNone:
    async def test_a_number_that_is_taken_leaves_nothing_of_the_batch(self, store: Store) -> None:
        rows, head = await filled(store, 2, await store.head())
        more = chained(draft(3), draft(4), after=head)
        broken = Change((more[0], more[1]._replace(number=1)), opened=(("sale-3", "t"),))
        with pytest.raises(JournalError):
            await store.commit(broken, before=head)

        assert tuple(await store.rows()) == rows
        assert await store.head() == head
        assert await store.open_references() == []
        await store.commit(Change(more), before=head)

    async def test_a_batch_that_follows_another_head_is_refused(self, store: Store) -> None:
        rows, head = await filled(store, 2, await store.head())
        late = chained(draft(3), after=head)
        with pytest.raises(JournalError):
            await store.commit(Change(late, opened=(("sale-3", "t"),)), before=Head(1, rows[0].hash, head.epoch))

        assert tuple(await store.rows()) == rows
        assert await store.open_references() == []

    async def test_a_closed_store_says_so(self, store: Store) -> None:
        head = await store.head()
        await store.close()
        await store.close()
        with pytest.raises(JournalUnavailable, match="closed"):
            await store.commit(Change(chained(draft(1))), before=head)
        with pytest.raises(JournalUnavailable, match="closed"):
            await store.rows()


class TestDurability:
    async def test_a_journal_goes_on_where_it_stopped(self, place: Place) -> None:
        store = place.store()
        rows, head = await filled(store, 5, await store.open(HOLDER))
        await store.close()
        store = place.store()
        again = await store.open(HOLDER)
        await filled(store, 1, again)
        found = await store.rows()
        verdict = await verify(store)
        await store.close()

        assert again == Head(5, rows[-1].hash, head.epoch + 1)
        assert [row.number for row in found] == [1, 2, 3, 4, 5, 6]
        assert verdict.is_intact

    async def test_reopening_finds_the_head_and_writes_on(self, place: Place) -> None:
        store = place.store()
        _, head = await filled(store, 2, await store.open(HOLDER))
        found = await store.reopen()
        await filled(store, 2, found)
        verdict = await verify(store)
        await store.close()

        assert found == head
        assert (verdict.rows, verdict.is_intact) == (4, True)


class TestOneWriter:
    async def test_a_second_one_is_told_who_writes(self, place: Place) -> None:
        first, second = place.store(), place.store()
        head = await first.open(HOLDER)
        with pytest.raises(JournalHeld, match=r"is being written by till \(process 4711 on kiosk, since 2026-11-28"):
            await second.open(OTHER)
        await filled(first, 1, head)
        await first.close()

        assert (await second.open(OTHER)).number == 1
        await second.close()

    async def test_somebody_who_reads_is_let_in_and_cannot_write(self, place: Place) -> None:
        first, reader = place.store(), place.store()
        rows, head = await filled(first, 2, await first.open(HOLDER))
        await reader.open_to_read()
        with pytest.raises(JournalUnavailable, match="opened to be read"):
            await reader.commit(Change(chained(draft(3), after=head)), before=head)
        seen = await reader.rows()
        _, head = await filled(first, 1, head)
        later = await reader.head()
        await reader.close()
        await first.close()

        assert tuple(seen) == rows
        assert later == head

    async def test_a_journal_that_was_never_made_cannot_be_read(self, place: Place) -> None:
        reader = place.store()
        with pytest.raises(JournalUnavailable, match="there is no journal"):
            await reader.open_to_read()
        await reader.close()

    async def test_the_pen_of_a_process_that_was_killed_is_taken_over_at_once(self, place: Place) -> None:
        address = place.address
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HOLDING, address, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"holding\n"
        second = place.store()
        with pytest.raises(JournalHeld, match="a process that dies"):
            await second.open(OTHER)
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
        # The server learns of it from its socket, a moment later.
        head = await _opened(second)
        rows = await second.rows()
        await second.close()

        assert head.epoch == 2
        assert [row.number for row in rows] == [1]

    async def test_a_writer_whose_pen_was_taken_can_never_write_again(self, place: Place) -> None:
        first = place.store()
        _, head = await filled(first, 2, await first.open(HOLDER))
        await place.sql("UPDATE writer SET epoch = epoch + 1, holder = 'somebody else'")
        with pytest.raises(JournalHeld):
            await first.commit(Change(chained(draft(3), after=head), opened=(("sale-3", "t"),)), before=head)
        with pytest.raises(JournalHeld):
            await first.reopen()
        with pytest.raises(JournalError):
            await first.commit(Change(chained(draft(3), after=head)), before=head)
        found = await first.rows()
        await first.close()

        assert len(found) == 2


HOLDING = """
import asyncio, sys
from zahlwerk.journal.store import Change, Holder, store_at
from zahlwerk.journal.entries import Draft, EntryKind, seal

async def main():
    store = store_at(sys.argv[1])
    head = await store.open(Holder("a process that dies", "kiosk", 1, "now"))
    row = seal(Draft(EntryKind.OPENED), head.hash, number=1, moment="")
    await store.commit(Change((row,)), before=head)
    print("holding", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def _opened(store: Store) -> Head:
    for _ in range(1_000):
        try:
            return await store.open(OTHER)
        except JournalHeld:
            await asyncio.sleep(0)
    pytest.fail("the pen was not given back")


class TestSchema:
    @pytest.mark.parametrize("version", range(VERSION + 1))
    async def test_every_earlier_version_is_brought_up_to_date(self, place: Place, version: int) -> None:
        await place.make(version)
        store = place.store()
        _, head = await filled(store, 3, await store.open(HOLDER))
        await store.close()
        reader = place.store()
        found = await reader.open_to_read()
        await reader.close()

        assert found == head

    async def test_a_newer_version_is_refused_and_left_alone(self, place: Place) -> None:
        store = place.store()
        await filled(store, 1, await store.open(HOLDER))
        await store.close()
        await set_version(place, NEWER)
        writer, reader = place.store(), place.store()
        with pytest.raises(JournalDamaged, match=f"newer version .schema {NEWER}, this one knows {VERSION}"):
            await writer.open(HOLDER)
        with pytest.raises(JournalDamaged, match="newer version"):
            await reader.open_to_read()
        await writer.close()
        await reader.close()

    async def test_tables_of_somebody_else_are_left_alone(self, place: Place) -> None:
        await place.sql_as_user("CREATE TABLE entries (text TEXT)")
        store = place.store()
        with pytest.raises(JournalDamaged, match="something else than a journal"):
            await store.open(HOLDER)
        await store.close()

        assert await place.tables() == ["entries"]

    @pytest.mark.parametrize(
        "command", ["UPDATE entries SET actor = 'x' WHERE number = 1", "DELETE FROM entries WHERE number = 1"]
    )
    async def test_the_database_itself_refuses_to_change_entries(self, place: Place, command: str) -> None:
        store = place.store()
        rows, _ = await filled(store, 2, await store.open(HOLDER))
        with pytest.raises(Exception, match="never"):
            await place.sql_as_user(command)
        found = await store.rows()
        await store.close()

        assert tuple(found) == rows


CHANGES = [
    pytest.param("UPDATE entries SET moment = '2026-11-28T17:46:12.000002Z' WHERE number = 3", 3, id="moment"),
    pytest.param("UPDATE entries SET terminal = 'bar' WHERE number = 3", 3, id="terminal"),
    pytest.param("UPDATE entries SET reference = 'sale-4' WHERE number = 3", 3, id="reference"),
    pytest.param("UPDATE entries SET kind = 'declined' WHERE number = 3", 3, id="kind"),
    pytest.param("UPDATE entries SET actor = 'Zoe 3' WHERE number = 3", 3, id="actor"),
    pytest.param("UPDATE entries SET sequence = 1 WHERE number = 3", 3, id="sequence set"),
    pytest.param("UPDATE entries SET sequence = NULL WHERE number = 4", 4, id="sequence taken away"),
    pytest.param("UPDATE entries SET body = X'7b7d' WHERE number = 3", 3, id="body"),
    pytest.param(f"UPDATE entries SET hash = X'{bytes(32).hex()}' WHERE number = 3", 3, id="hash"),
    pytest.param("DELETE FROM entries WHERE number = 3", 3, id="a row taken out"),
    pytest.param("DELETE FROM entries WHERE number = 1", 1, id="the first taken out"),
    pytest.param("UPDATE entries SET number = number - 1 WHERE number > 3", 3, id="the gap closed"),
    pytest.param("DELETE FROM entries WHERE number > 3", 4, id="the tail cut off"),
    pytest.param("DELETE FROM entries", 1, id="all taken out"),
    pytest.param(
        "INSERT INTO entries SELECT 6, moment, terminal, reference, kind, actor, sequence, body, hash"
        " FROM entries WHERE number = 5", 6, id="a row put in behind the end",
    ),
    pytest.param("UPDATE writer SET number = 4", 4, id="the head's number"),
    pytest.param(f"UPDATE writer SET hash = X'{bytes(32).hex()}'", 5, id="the head's hash"),
]  # fmt: skip


class TestTampering:
    @pytest.mark.parametrize(("command", "number"), CHANGES)
    async def test_every_change_is_found_where_it_was_made(self, place: Place, command: str, number: int) -> None:
        store = place.store()
        await filled(store, 5, await store.open(HOLDER))
        assert (await verify(store)).is_intact
        await store.close()
        closing_the_gap = "DELETE FROM entries WHERE number = 3" if "number - 1" in command else "SELECT 1"
        await place.sql(closing_the_gap, command)
        reader = place.store()
        await reader.open_to_read()
        verdict = await verify(reader)
        await reader.close()

        assert verdict.fault is not None
        assert verdict.fault.number == number

    async def test_two_rows_that_change_places_are_found(self, place: Place) -> None:
        store = place.store()
        await filled(store, 5, await store.open(HOLDER))
        await place.sql(
            "UPDATE entries SET number = 99 WHERE number = 2",
            "UPDATE entries SET number = 2 WHERE number = 3",
            "UPDATE entries SET number = 3 WHERE number = 99",
        )
        verdict = await verify(store)
        await store.close()

        assert verdict.fault is not None
        assert verdict.fault.number == 2

    @pytest.mark.parametrize(
        "command",
        [
            pytest.param("DELETE FROM entries WHERE number > 3", id="the tail cut off"),
            pytest.param("DELETE FROM entries", id="all taken out"),
            pytest.param("UPDATE writer SET number = 4", id="the head's number"),
            pytest.param(f"UPDATE writer SET hash = X'{bytes(32).hex()}'", id="the head's hash"),
            pytest.param("DELETE FROM writer", id="the head taken out"),
            pytest.param(
                "INSERT INTO entries SELECT 6, moment, terminal, reference, kind, actor, sequence, body, hash"
                " FROM entries WHERE number = 5", id="a row put in behind the end",
            ),
        ],
    )  # fmt: skip
    async def test_a_journal_that_does_not_end_where_it_stopped_is_not_written_on(
        self, place: Place, command: str
    ) -> None:
        store = place.store()
        await filled(store, 5, await store.open(HOLDER))
        await store.close()
        await place.sql(command)
        again = place.store()
        with pytest.raises(JournalDamaged, match=r"does not end where its writer stopped|lost its head"):
            await again.open(HOLDER)
        await again.close()

    async def test_a_head_that_was_set_back_stops_its_writer(self, place: Place) -> None:
        store = place.store()
        rows, head = await filled(store, 3, await store.open(HOLDER))
        await place.sql(
            "DELETE FROM entries WHERE number > 2", f"UPDATE writer SET number = 2, hash = X'{rows[1].hash.hex()}'"
        )
        with pytest.raises(JournalError):
            await store.commit(Change(chained(draft(4), after=head)), before=head)
        found = await store.rows()
        await store.close()

        assert len(found) == 2


class TestAddresses:
    def test_a_path_is_a_file(self, tmp_path: Path) -> None:
        for address in (str(tmp_path / "a.db"), f"sqlite:///{tmp_path}/a.db", "memory:"):
            assert isinstance(store_at(address), SqliteStore)
