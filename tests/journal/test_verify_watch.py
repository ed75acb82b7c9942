"""Whoever watches a verification sees the rows that hold, and no others."""

from __future__ import annotations

from tests.journal.scripted import memory_journal

from zahlwerk.journal.entries import EntryKind, Row
from zahlwerk.journal.sqlite import SqliteStore


async def test_the_watcher_is_handed_every_row_that_holds() -> None:
    journal = await memory_journal()
    await journal.note(EntryKind.TOTALS, {"period": "day"})
    seen: list[Row] = []

    verdict = await journal.verify(watch=seen.extend)

    assert [row.number for row in seen] == [1, 2]
    assert seen[-1].hash == verdict.head
    await journal.close()


async def test_rows_from_the_first_fault_on_are_not_handed_out() -> None:
    store = SqliteStore(None, threaded=False)
    journal = await memory_journal(store)
    for number in range(3):
        await journal.note(EntryKind.TOTALS, {"number": number})
    store._db.execute("DROP TRIGGER entries_are_never_changed")
    store._db.execute("UPDATE entries SET actor = 'somebody else' WHERE number = 3")
    seen: list[Row] = []

    verdict = await journal.verify(watch=seen.extend)

    assert verdict.fault is not None
    assert (verdict.fault.number, [row.number for row in seen]) == (3, [1, 2])
    await journal.close()
