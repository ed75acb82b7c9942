"""The one writer of a journal: numbers and chains what is handed in, and commits in groups.

Whatever waits while a commit is on its way goes into the next one together: the disk's sync rate bounds the commits,
not the entries. Nothing is answered before it is durable.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from zahlwerk.clock import Clock
from zahlwerk.errors import JournalDamaged, JournalError, JournalHeld, JournalUnavailable
from zahlwerk.journal.encoding import encode_body
from zahlwerk.journal.entries import ORIGIN, Draft, EntryKind, Head, Row, seal
from zahlwerk.journal.store import BATCH_ROWS_MAX, Change, Store

__all__ = ["Writer"]

# LIMIT: tries to make a batch durable before what waits for it is refused.
TRIES_MAX: Final = 2
# LIMIT: how far the wall clock may run from the monotonic one between two commits before it is noted.
CLOCK_JUMP_S: Final = 5.0
EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class _Waiting:
    drafts: tuple[Draft, ...]
    done: asyncio.Future[tuple[Row, ...]]


class Writer:
    """Hands drafts to a store, in order, in groups."""

    def __init__(self, store: Store, clock: Clock, *, on_trouble: Callable[[JournalError], None]) -> None:
        """Args:
        on_trouble: told of every failure to write, once what it concerns has been refused.
        """
        self._store = store
        self._clock = clock
        self._on_trouble = on_trouble
        self._queue: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._head = ORIGIN
        self._trouble: JournalError | None = None
        self._closing = False
        self._offset: timedelta | None = None
        self._offset_sealed: timedelta | None = None
        self._doubted: Head | None = None
        self.commits = 0
        """Transactions so far."""

    @property
    def head(self) -> Head:
        """The latest durable row."""
        return self._head

    @property
    def trouble(self) -> JournalError | None:
        """Why nothing can be written now; None while all is well."""
        return self._trouble

    def start(self, head: Head) -> None:
        """Begin after this row."""
        self._head = head
        self._task = asyncio.create_task(self._run(), name="zahlwerk journal writer")

    def submit(self, *drafts: Draft) -> asyncio.Future[tuple[Row, ...]]:
        """Have entries written, together and in order; the future is done once they are durable.

        The future fails with `JournalUnavailable`, `JournalHeld` or `JournalDamaged` if they are not, as far as can be
        told: where the store went out of reach in the middle, only `heal` finds out. Nothing is written before that.
        """
        done: asyncio.Future[tuple[Row, ...]] = asyncio.get_running_loop().create_future()
        if self._closing or self._task is None:
            done.set_exception(JournalUnavailable("the journal is closed"))
        elif self._trouble is not None:
            done.set_exception(self._trouble)
        else:
            self._queue.append(_Waiting(drafts, done))
            self._wake.set()
        # A future that nobody waits for any more must not complain about it.
        done.add_done_callback(lambda future: future.cancelled() or future.exception())
        return done

    async def heal(self, reread: Callable[[], Awaitable[None]] | None = None) -> bool:
        """After a failure: try the store again. True if entries are taken again.

        What was being written when the failure came may turn out durable: then the head has moved on.

        Args:
            reread: reads what is durable, before anything new is taken; if it fails, the trouble stays.
        """
        if self._trouble is None:
            return True
        try:
            self._found(await self._store.reopen())
            if reread is not None:
                await reread()
        except JournalError as exc:
            self._trouble = exc
            return False
        self._trouble = None
        return True

    async def close(self) -> None:
        """Write what was handed in, then stop. Idempotent."""
        self._closing = True
        self._wake.set()
        task, self._task = self._task, None
        if task is not None:
            await task

    def kill(self) -> None:
        """Stop at once, as a crash would: what is not committed is lost."""
        self._closing = True
        self._queue.clear()
        if self._task is not None:
            self._task.cancel()
            self._task = None

    # -- the loop

    async def _run(self) -> None:
        while True:
            if not self._queue:
                if self._closing:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            batch = self._next_batch()
            try:
                rows = self._seal(batch)
                await self._commit(rows, batch)
            except JournalError as exc:
                self._fail(exc, batch)
            except Exception as exc:
                # A fault of our own must not leave anybody waiting for ever.
                trouble = JournalUnavailable(f"entries cannot be written: {type(exc).__name__}")
                trouble.__cause__ = exc
                self._fail(trouble, batch)
            else:
                self._answer(rows, batch)

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        count = 0
        while self._queue and (not batch or count + len(self._queue[0].drafts) <= BATCH_ROWS_MAX):
            waiting = self._queue.popleft()
            batch.append(waiting)
            count += len(waiting.drafts)
        return batch

    def _seal(self, batch: Sequence[_Waiting]) -> tuple[Row, ...]:
        moment = self._clock.wall().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        number, previous = self._head.number, self._head.hash
        rows: list[Row] = []
        note = self._clock_note()
        drafts = [draft for waiting in batch for draft in waiting.drafts]
        for draft in [note, *drafts] if note is not None else drafts:
            number += 1
            row = seal(draft, previous, number=number, moment=moment)
            previous = row.hash
            rows.append(row)
        return tuple(rows)

    async def _commit(self, rows: tuple[Row, ...], batch: Sequence[_Waiting]) -> None:
        opened: dict[str, str] = {}
        closed: dict[str, None] = {}
        for draft in (draft for waiting in batch for draft in waiting.drafts):
            if draft.opens:
                opened[draft.reference] = draft.terminal
                closed.pop(draft.reference, None)
            elif draft.closes:
                opened.pop(draft.reference, None)
                closed[draft.reference] = None
        change = Change(rows, tuple(opened.items()), tuple(closed))
        last = Head(rows[-1].number, rows[-1].hash, self._head.epoch)
        await self._make_durable(change, last)
        self._head = last
        self._offset = self._offset_sealed
        self.commits += 1

    async def _make_durable(self, change: Change, last: Head) -> None:
        for tries in range(1, TRIES_MAX + 1):
            try:
                await self._store.commit(change, before=self._head)
            except (JournalHeld, JournalDamaged):
                raise
            except JournalUnavailable:
                # Perhaps it is durable all the same: only the store can tell. Until it does, the doubt stays.
                self._doubted = last
                if self._found(await self._store.reopen()):
                    return
                if tries == TRIES_MAX:
                    raise
            else:
                self._doubted = None
                return

    def _found(self, head: Head) -> bool:
        """Take in what the store says after a failure: True if the batch in doubt is durable.

        Raises:
            JournalDamaged: the store ends where this writer never stopped: what was durable is gone, or exchanged.
        """
        doubted = self._doubted
        landed = doubted is not None and (head.number, head.hash) == (doubted.number, doubted.hash)
        if not landed and (head.number, head.hash) != (self._head.number, self._head.hash):
            raise JournalDamaged(
                f"the journal ends at entry {head.number} now, where this writer never stopped: it was at "
                f"{self._head.number}",
                remedy="see whether the database was set back to an earlier copy",
            )
        self._doubted = None
        if landed:
            self._head = head
        return landed

    def _answer(self, rows: tuple[Row, ...], batch: Sequence[_Waiting]) -> None:
        at = len(rows) - sum(len(waiting.drafts) for waiting in batch)
        for waiting in batch:
            if not waiting.done.done():
                waiting.done.set_result(rows[at : at + len(waiting.drafts)])
            at += len(waiting.drafts)

    def _fail(self, exc: JournalError, batch: Sequence[_Waiting]) -> None:
        self._trouble = exc
        refused = [*batch, *self._queue]
        self._queue.clear()
        for waiting in refused:
            if not waiting.done.done():
                waiting.done.set_exception(exc)
        self._on_trouble(exc)

    def _clock_note(self) -> Draft | None:
        self._offset_sealed = self._clock.wall() - (EPOCH + timedelta(seconds=self._clock.now_s()))
        if self._offset is None:
            return None
        moved_s = (self._offset_sealed - self._offset).total_seconds()
        if abs(moved_s) <= CLOCK_JUMP_S:
            return None
        return Draft(EntryKind.CLOCK, body=encode_body({"moved_s": round(moved_s)}), actor="journal")


def closing(draft: Draft) -> Draft:
    """The same, as the last that is open about its payment."""
    return replace(draft, closes=True)
