"""The one writer: in order, in groups, nothing answered before it is durable, doubt settled before anything new."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from tests.journal.stores import HOLDER, OTHER, FilePlace, Flaky, Place, ServerPlace, draft

from zahlwerk.clock import VirtualClock
from zahlwerk.errors import JournalDamaged, JournalError, JournalHeld, JournalUnavailable
from zahlwerk.journal.encoding import decode_body
from zahlwerk.journal.entries import Head, Row
from zahlwerk.journal.sqlite import SqliteStore
from zahlwerk.journal.store import BATCH_ROWS_MAX, Change, Store
from zahlwerk.journal.verify import verify
from zahlwerk.journal.writer import CLOCK_JUMP_S, Writer


class Gate(Flaky):
    """Commits wait until they are let through."""

    def __init__(self, inner: Store, *, is_open: bool = True) -> None:
        super().__init__(inner)
        self.sizes: list[int] = []
        self.gate = asyncio.Event()
        self.error: Exception | None = None
        if is_open:
            self.gate.set()

    async def commit(self, change: Change, *, before: Head) -> None:
        self.sizes.append(len(change.rows))
        await self.gate.wait()
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        await super().commit(change, before=before)


class WallClock(VirtualClock):
    """One whose wall time can be set by somebody."""

    moved_s = 0.0

    def wall(self) -> datetime:
        return super().wall() + timedelta(seconds=self.moved_s)


def memory() -> SqliteStore:
    """A journal in memory, on the caller's thread."""
    return SqliteStore(None, threaded=False)


class Desk:
    """A writer at work, and what it was troubled by."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = WallClock()
        self.troubles: list[JournalError] = []
        self.writer = Writer(store, self.clock, on_trouble=self.troubles.append)

    async def begin(self) -> Writer:
        self.writer.start(await self.store.open(HOLDER))
        return self.writer

    async def end(self) -> None:
        await self.writer.close()
        await self.store.close()

    async def numbers(self) -> list[str]:
        """References of all rows, in order."""
        return [row.reference for row in await self.store.rows()]


async def settled(*futures: asyncio.Future[tuple[Row, ...]]) -> Sequence[object]:
    """What became of each: rows or an error."""
    return await asyncio.gather(*futures, return_exceptions=True)


class TestGroups:
    async def test_whatever_waits_goes_into_the_next_commit_together(self) -> None:
        store = Gate(memory(), is_open=False)
        desk = Desk(store)
        writer = await desk.begin()
        first = writer.submit(draft(1))
        await desk.clock.settle()
        others = [writer.submit(draft(n)) for n in range(2, 66)]
        store.gate.set()
        await settled(first, *others)
        await desk.end()

        assert store.sizes == [1, 64]
        assert writer.commits == 2

    async def test_rows_are_numbered_in_the_order_in_which_they_were_handed_in(self) -> None:
        desk = Desk(memory())
        writer = await desk.begin()
        futures = [writer.submit(draft(2 * n), draft(2 * n + 1)) for n in range(50)]
        answers = [await future for future in futures]
        found = await desk.numbers()
        verdict = await verify(desk.store)
        await desk.end()

        assert found == [f"sale-{n}" for n in range(100)]
        assert [[row.number for row in rows] for rows in answers] == [[2 * n + 1, 2 * n + 2] for n in range(50)]
        assert verdict.is_intact

    async def test_nothing_is_answered_before_it_is_durable(self) -> None:
        store = Gate(memory(), is_open=False)
        desk = Desk(store)
        writer = await desk.begin()
        future = writer.submit(draft(1))
        await desk.clock.settle()
        was_done, was_head = future.done(), writer.head
        store.gate.set()
        rows = await future
        head = await store.head()
        await desk.end()

        assert not was_done
        assert was_head.number == 0
        assert writer.head == head == Head(1, rows[0].hash, 1)

    async def test_a_group_has_a_limit_that_what_belongs_together_never_crosses(self) -> None:
        store = Gate(memory(), is_open=False)
        desk = Desk(store)
        writer = await desk.begin()
        futures = [writer.submit(draft(0))]
        await desk.clock.settle()
        size = BATCH_ROWS_MAX // 2 - 1
        futures += [writer.submit(*(draft(n) for n in range(size))) for _ in range(3)]
        futures.append(writer.submit(*(draft(n) for n in range(BATCH_ROWS_MAX + 1))))
        store.gate.set()
        await settled(*futures)
        await desk.end()

        assert store.sizes == [1, 2 * size, size, BATCH_ROWS_MAX + 1]

    async def test_a_caller_who_went_away_changes_nothing_for_the_others(self) -> None:
        store = Gate(memory(), is_open=False)
        desk = Desk(store)
        writer = await desk.begin()
        futures = [writer.submit(draft(n)) for n in range(1, 4)]
        await desk.clock.settle()
        futures[1].cancel()
        store.gate.set()
        answers = await settled(*futures)
        found = await desk.numbers()
        await desk.end()

        assert [type(answer) for answer in answers] == [tuple, asyncio.CancelledError, tuple]
        assert found == ["sale-1", "sale-2", "sale-3"]

    async def test_a_payment_that_begins_and_ends_in_one_group_is_not_open(self) -> None:
        desk = Desk(memory())
        writer = await desk.begin()
        await settled(
            writer.submit(draft(1, reference="a", opens=True)), writer.submit(draft(2, reference="b", opens=True)),
            writer.submit(draft(3, reference="a", closes=True)), writer.submit(draft(4, reference="c", opens=True)),
            writer.submit(draft(5, reference="c", closes=True)), writer.submit(draft(6, reference="c", opens=True)),
        )  # fmt: skip
        found = await desk.store.open_references()
        await desk.end()

        assert list(found) == ["b", "c"]


class TestFailure:
    async def test_all_that_waited_are_refused_together_and_somebody_is_told(self) -> None:
        store = Gate(memory(), is_open=False)
        store.outage = store.down = 1
        store.error = JournalUnavailable("there is no room left on the disk")
        desk = Desk(store)
        writer = await desk.begin()
        futures = [writer.submit(draft(1))]
        await desk.clock.settle()
        futures += [writer.submit(draft(2)), writer.submit(draft(3))]
        store.gate.set()
        answers = await settled(*futures)
        late = await settled(writer.submit(draft(4)))
        found = await desk.numbers()
        await desk.end()

        assert {type(answer) for answer in (*answers, *late)} == {JournalUnavailable}
        assert len(desk.troubles) == 1
        assert found == []

    async def test_a_failure_that_is_over_at_once_is_noticed_by_nobody(self) -> None:
        store = Gate(memory())
        store.error = JournalUnavailable("somebody else keeps it busy")
        desk = Desk(store)
        writer = await desk.begin()
        await writer.submit(draft(1))
        found = await desk.numbers()
        await desk.end()

        assert found == ["sale-1"]
        assert desk.troubles == []

    async def test_a_fault_of_our_own_leaves_nobody_waiting(self) -> None:
        store = Gate(memory())
        store.error = ZeroDivisionError()
        desk = Desk(store)
        writer = await desk.begin()
        (answer,) = await settled(writer.submit(draft(1)))
        assert await writer.heal()
        await writer.submit(draft(2))
        found = await desk.numbers()
        await desk.end()

        assert isinstance(answer, JournalUnavailable)
        assert found == ["sale-2"]

    @pytest.mark.parametrize("error", [JournalHeld("another writes"), JournalDamaged("broken")])
    async def test_what_no_second_try_can_mend_is_not_tried_twice(self, error: JournalError) -> None:
        store = Gate(memory())
        store.error = error
        desk = Desk(store)
        writer = await desk.begin()
        answers = await settled(writer.submit(draft(1)))
        await desk.end()

        assert answers == [error]
        assert store.sizes == [1]

    async def test_after_it_was_closed_nothing_is_taken(self) -> None:
        desk = Desk(memory())
        writer = await desk.begin()
        await desk.end()
        (answer,) = await settled(writer.submit(draft(1)))

        assert str(answer) == "the journal is closed"

    async def test_closing_writes_what_was_handed_in(self) -> None:
        desk = Desk(memory())
        writer = await desk.begin()
        future = writer.submit(draft(1))
        await writer.close()
        found = await desk.numbers()
        await desk.store.close()

        assert future.done()
        assert found == ["sale-1"]

    async def test_a_killed_one_writes_nothing_more(self) -> None:
        store = Gate(memory(), is_open=False)
        desk = Desk(store)
        writer = await desk.begin()
        writer.submit(draft(1))
        await desk.clock.settle()
        writer.submit(draft(2))
        writer.kill()
        store.gate.set()
        await desk.clock.settle()
        found = await desk.numbers()
        await desk.end()

        assert found == []


class TestDoubt:
    """The line broke while a batch was on its way; it may be durable."""

    @pytest.mark.parametrize("when", ["before", "after"])
    async def test_a_batch_in_doubt_is_durable_once(self, place: Place, when: str) -> None:
        store = Flaky(place.store(), {2: when})
        desk = Desk(store)
        writer = await desk.begin()
        for number in range(1, 4):
            await writer.submit(draft(number))
        found = await desk.numbers()
        verdict = await verify(store)
        await desk.end()

        assert found == ["sale-1", "sale-2", "sale-3"]
        assert verdict.is_intact
        assert desk.troubles == []

    @pytest.mark.parametrize("when", ["before", "after"])
    async def test_while_the_doubt_lasts_nothing_is_taken_and_then_the_head_tells(
        self, place: Place, when: str
    ) -> None:
        store = Flaky(place.store(), {2: when}, outage=3)
        desk = Desk(store)
        writer = await desk.begin()
        await writer.submit(draft(1))
        refused = [*await settled(writer.submit(draft(2))), *await settled(writer.submit(draft(3)))]
        healed = [await writer.heal() for _ in range(3)]
        await writer.submit(draft(4))
        found = await desk.numbers()
        verdict = await verify(store)
        await desk.end()

        assert [type(answer) for answer in refused] == [JournalUnavailable, JournalUnavailable]
        assert healed == [False, False, True]
        assert found == ["sale-1", *(["sale-2"] if when == "after" else []), "sale-4"]
        assert verdict.is_intact

    async def test_what_is_durable_is_read_again_before_anything_new_is_taken(self) -> None:
        store = Flaky(memory(), {1: "after"}, outage=1)
        desk = Desk(store)
        writer = await desk.begin()
        await settled(writer.submit(draft(1)))
        seen: list[object] = []

        async def reread() -> None:
            seen.append(writer.head.number)
            seen.extend(type(each) for each in await settled(writer.submit(draft(2))))

        assert await writer.heal(reread)
        await desk.end()
        assert seen == [1, JournalUnavailable]

    async def test_the_trouble_stays_if_what_is_durable_cannot_be_read(self) -> None:
        store = Flaky(memory(), {1: "before"}, outage=1)
        desk = Desk(store)
        writer = await desk.begin()
        await settled(writer.submit(draft(1)))

        async def reread() -> None:
            raise JournalUnavailable("gone again")

        assert not await writer.heal(reread)
        assert str(writer.trouble) == "gone again"
        assert await writer.heal()
        await desk.end()

    async def test_a_pen_that_another_took_meanwhile_does_not_come_back(self, place: Place) -> None:
        store = Flaky(place.store(), {2: "before"})
        desk = Desk(store)
        writer = await desk.begin()
        await writer.submit(draft(1))
        await taken_by_another(place, store.inner)
        answers = [*await settled(writer.submit(draft(2))), *await settled(writer.submit(draft(3)))]
        healed = await writer.heal()
        found = await desk.numbers()
        await desk.end()

        assert [type(answer) for answer in answers] == [JournalHeld, JournalHeld]
        assert not healed
        assert found == ["sale-1", "sale-99"]

    async def test_a_store_that_went_back_to_an_earlier_copy_is_not_written_on(self, place: Place) -> None:
        store = Flaky(place.store(), {4: "before"})
        desk = Desk(store)
        writer = await desk.begin()
        rows = [(await writer.submit(draft(number)))[0] for number in range(1, 4)]
        await place.sql(
            "DELETE FROM entries WHERE number > 2", f"UPDATE writer SET number = 2, hash = X'{rows[1].hash.hex()}'"
        )
        (answer,) = await settled(writer.submit(draft(4)))
        healed = await writer.heal()
        found = await desk.numbers()
        await desk.end()

        assert isinstance(answer, JournalDamaged)
        assert "ends at entry 2 now, where this writer never stopped: it was at 3" in str(answer)
        assert not healed
        assert found == ["sale-1", "sale-2"]


async def taken_by_another(place: Place, first: Store) -> None:
    """Another process takes the pen that the first one lost unnoticed, writes and goes on."""
    if isinstance(place, FilePlace):
        place.lose_lock()
    else:
        assert isinstance(place, ServerPlace)
        await place.end_sessions()
    second = place.store()
    writer = Writer(second, VirtualClock(), on_trouble=lambda _: None)
    writer.start(await second.open(OTHER))
    await writer.submit(draft(99))
    await writer.close()
    await second.close()


class TestClock:
    @pytest.mark.parametrize(
        ("moved_s", "noted"),
        [(CLOCK_JUMP_S, []), (CLOCK_JUMP_S + 1, [6]), (-3600, [-3600]), (-CLOCK_JUMP_S, [])],
    )
    async def test_a_clock_that_was_moved_is_noted_before_what_follows(self, moved_s: float, noted: list[int]) -> None:
        desk = Desk(memory())
        writer = await desk.begin()
        await writer.submit(draft(1))
        await desk.clock.advance(3_600)
        await writer.submit(draft(2))
        desk.clock.moved_s = moved_s
        (row,) = await writer.submit(draft(3))
        await writer.submit(draft(4))
        rows = await desk.store.rows()
        await desk.end()

        assert [decode_body(each.body)["moved_s"] for each in rows if each.kind == "clock"] == noted
        assert row.reference == "sale-3"
        assert row.number == 3 + len(noted)

    async def test_the_note_is_not_lost_with_the_batch_that_it_came_with(self) -> None:
        store = Flaky(memory(), {2: "before"}, outage=1)
        desk = Desk(store)
        writer = await desk.begin()
        await writer.submit(draft(1))
        desk.clock.moved_s = 60
        await settled(writer.submit(draft(2)))
        await writer.heal()
        await writer.submit(draft(3))
        kinds = [row.kind for row in await store.rows()]
        await desk.end()

        assert kinds == ["sent", "clock", "sent"]

    async def test_moments_are_utc_to_the_microsecond(self) -> None:
        desk = Desk(memory())
        writer = await desk.begin()
        desk.clock.moved_s = 0.000_25
        (row,) = await writer.submit(draft(1))
        await desk.end()

        assert row.moment == "2026-11-23T09:00:00.000250Z"
        assert datetime.fromisoformat(row.moment).tzinfo == UTC
