"""`Journal`: the book that terminals are wrapped with. It knows what is open, and refuses before money moves.

Everything here follows one order: first the row is durable, then the thing happens. What has happened already and can
not be written down is kept in memory and written as soon as that is possible; until then no payment begins.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Final, Self

from msgspec.structs import replace

from zahlwerk.clock import Clock, SystemClock
from zahlwerk.errors import (
    CardDataRefused,
    InvalidRequest,
    JournalDamaged,
    JournalError,
    JournalUnavailable,
    PaymentNotFound,
)
from zahlwerk.journal.doubt import Doubt, decide, doubt_from
from zahlwerk.journal.encoding import clean_number, clean_text, encode_body, encode_checked
from zahlwerk.journal.entries import Body, Draft, EntryKind, Head, Row, state_of
from zahlwerk.journal.matching import Expectation, TypedIn
from zahlwerk.journal.records import ENDINGS, STATE_OF, Record, advanced, applied, fold, path
from zahlwerk.journal.standalone import Standalones
from zahlwerk.journal.store import Holder, Store, store_at
from zahlwerk.journal.verify import Verdict, verify
from zahlwerk.journal.writer import Writer
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Payment, PaymentRequest

if TYPE_CHECKING:
    from zahlwerk.journal.terminal import JournaledTerminal
    from zahlwerk.terminal import Terminal

__all__ = ["Journal", "Running", "Step"]

# LIMIT: settled payments whose records stay in memory; others are read from the store again.
RECORDS_MAX: Final = 2_000
# LIMIT: outcomes that could not be written and wait; each terminal can add one before it is refused.
KEPT_MAX: Final = 1_000
# LIMIT: seconds between two tries to write again, unless somebody wants to pay.
HEAL_EVERY_S: Final = 5.0
LATE: Final = "written late: the journal could not be written at the time"

Step = tuple[EntryKind, Body]
"""One row to be written about a payment: what happened, and what it says."""


@dataclass(slots=True)
class Running:
    """A payment that runs now: the same request again waits for its outcome instead of paying twice."""

    request: PaymentRequest
    terminal: str
    done: asyncio.Future[Payment]


@dataclass(frozen=True, slots=True)
class Kept:
    """What has happened and could not be written."""

    terminal: str
    payment: Payment
    started: bool
    request: PaymentRequest | None = None
    takes_back: bool = False


class Journal:
    """Every payment exactly once. Made by `Journal.open`.

    ::

        async with await Journal.open("journal.db") as journal:
            async with journal.wrap(connect("zvt+tcp://10.0.0.5"), name="till-1") as terminal:
                payment = await terminal.pay("12.50 EUR", reference="sale-4711")
    """

    def __init__(self, store: Store, *, clock: Clock | None = None, actor: str = "") -> None:
        """Use `open`.

        Args:
            store: where the rows are kept.
            actor: who writes where nobody else is named.
        """
        self.clock = clock or SystemClock()
        self.actor = actor or f"zahlwerk (process {os.getpid()})"
        self.running: dict[str, Running] = {}
        self.terminals: dict[str, JournaledTerminal] = {}
        self.standalones = Standalones(self)
        self._store = store
        self._writer = Writer(store, self.clock, on_trouble=self._trouble_came)
        self._open: dict[str, Record] = {}
        self._settled: OrderedDict[str, Record] = OrderedDict()
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._pending: dict[str, asyncio.Future[tuple[Row, ...]]] = {}
        self._healed_s = 0.0
        self._healing = asyncio.Lock()
        self._can_write = False
        self._closed = False

    # -- opening and closing

    @classmethod
    async def open(
        cls, address: str | Store, *, clock: Clock | None = None, actor: str = "", name: str = "zahlwerk"
    ) -> Self:
        """Open a journal to write, and take up what is open in it.

        Args:
            address: a file, `sqlite:///path`, `postgresql://user@host/database`, `memory:`, or a store.
            clock: time; the machine's own by default.
            actor: who writes where nobody else is named.
            name: what this process is called when a second one is refused.

        Raises:
            JournalHeld: another process writes it; names it.
            JournalDamaged: not a journal, or not as it was written.
            JournalUnavailable: read-only, full, out of reach.
            ConfigurationError: not an address of a journal.
        """
        journal = cls(store_at(address) if isinstance(address, str) else address, clock=clock, actor=actor)
        await journal._take_up(name)
        return journal

    @classmethod
    async def open_to_read(cls, address: str | Store, *, clock: Clock | None = None) -> Self:
        """Open a journal beside the process that writes it; nothing can be written.

        Raises: as `open`, but never `JournalHeld`.
        """
        journal = cls(store_at(address) if isinstance(address, str) else address, clock=clock)
        await journal._store.open_to_read()
        await journal._read_open()
        return journal

    async def close(self) -> None:
        """Write what was handed in, close the terminals, put the pen down. Idempotent; raises nothing."""
        if self._closed:
            return
        self._closed = True
        for terminal in tuple(self.terminals.values()):
            await terminal.close()
        if self._kept:
            with contextlib.suppress(JournalError):
                await self.heal()
        await self._writer.close()
        await self._store.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def kill(self) -> None:
        """Stop as a crash would: what is not durable is lost, the terminals are left alone. For simulations."""
        self._closed = True
        for terminal in tuple(self.terminals.values()):
            terminal.kill()
        self._writer.kill()

    def wrap(self, terminal: Terminal, *, name: str, actor: str = "", exclusive: bool = False) -> JournaledTerminal:
        """The same terminal with this journal around it.

        Args:
            terminal: not yet opened, or open.
            name: of the terminal in this journal; the same one every time, or what is open is not found again.
            actor: who pays there, where a request's metadata does not say it.
            exclusive: it takes no payment that this journal does not know: its keypad is locked, or it reports what is
                typed in there at once. Only then may its totals settle payments by themselves (decision 0008).

        Raises:
            InvalidRequest: the name is taken or unusable.
            CardDataRefused: it looks like card data.
        """
        from zahlwerk.journal.terminal import JournaledTerminal

        if not name or not name.isprintable() or len(name) > 64:
            raise InvalidRequest(f"not a name for a terminal: {clean_text(name)[:64]!r}", remedy="use 1 to 64 letters")
        if clean_text(name) != name:
            raise CardDataRefused("the name of a terminal holds what looks like card data")
        if name in self.terminals:
            raise InvalidRequest(
                f"this journal has a terminal {name!r} already", remedy="give each terminal a name of its own"
            )
        wrapped = JournaledTerminal(self, terminal, name=name, actor=actor, exclusive=exclusive)
        self.terminals[name] = wrapped
        return wrapped

    # -- can it be written

    @property
    def trouble(self) -> str:
        """Why payments are refused now; empty while all is well."""
        if self._closed:
            return "the journal is closed"
        if self._writer.trouble is not None:
            return str(self._writer.trouble)
        if len(self._kept) >= KEPT_MAX:
            return "too many outcomes wait to be written"
        return ""

    @property
    def head(self) -> Head:
        """The latest durable row: number and hash. Keep it elsewhere to prove later that nothing was cut off."""
        return self._writer.head

    @property
    def commits(self) -> int:
        """Transactions since the journal was opened."""
        return self._writer.commits

    async def ensure_writable(self) -> None:
        """Before money may move: entries are taken, and nothing that has happened is unwritten.

        Raises:
            JournalUnavailable, JournalHeld, JournalDamaged: they are not; why.
        """
        if self._closed or not self._can_write:
            raise JournalUnavailable("the journal is closed" if self._closed else "the journal was opened to be read")
        if self._writer.trouble is None and not self._kept:
            return
        if not await self.heal():
            trouble = self._writer.trouble
            raise trouble if trouble is not None else JournalUnavailable("outcomes of payments cannot be written yet")

    async def heal(self) -> bool:
        """Try to write again, and write what was kept. True if all is well."""
        async with self._healing:
            self._healed_s = self.clock.now_s()
            trouble = self._writer.trouble
            if not await self._writer.heal(self._reread):
                return False
            if trouble is not None:
                # That it can be opened again proves nothing on a full disk: only a row that is durable does.
                try:
                    await self.note(EntryKind.RESUMED, {"after": str(trouble)})
                except JournalError:
                    return False
            while self._kept:
                reference, kept = next(iter(self._kept.items()))
                try:
                    await self._write_kept(reference, kept)
                except JournalDamaged:
                    self._kept.pop(reference, None)
                    raise
                except JournalError:
                    return False
                if self._kept.get(reference) is kept:
                    del self._kept[reference]
            return True

    async def heal_if_due(self) -> None:
        """The same, not more often than every few seconds."""
        needed = self._writer.trouble is not None or self._kept
        if needed and self.clock.now_s() - self._healed_s >= HEAL_EVERY_S:
            await self.heal()

    # -- reading

    async def find(self, reference: str) -> Record | None:
        """What is known of a payment; None if nobody asked for it here."""
        kept = self._kept.get(reference)
        record = self._open.get(reference) or self._settled.get(reference)
        if record is None:
            record = fold(await self._store.of_reference(reference))
            # What was written while it was read is newer.
            newer = self._open.get(reference) or self._settled.get(reference)
            if newer is not None:
                record = newer
            elif record is not None:
                self._remember(record)
        if kept is not None and record is not None:
            return replace(record, state=kept.payment.state, payment=kept.payment, started=kept.started)
        return record

    def peek(self, reference: str) -> Record | None:
        """What is remembered of an open payment, without asking the store."""
        return self._open.get(reference)

    async def record(self, reference: str) -> Record:
        """What is known of a payment.

        Raises:
            PaymentNotFound: nobody asked for it here.
        """
        record = await self.find(reference)
        if record is None:
            raise PaymentNotFound(f"the journal knows no payment {clean_text(reference)!r}")
        return record

    async def by_sequence(self, terminal: str, sequence: int) -> Sequence[Record]:
        """Payments with this transaction counter of a terminal, the latest first; counters begin again some day."""
        found = []
        for reference in await self._store.references_of(terminal, sequence):
            record = await self.find(reference)
            if record is not None and record.sequence == sequence:
                found.append(record)
        return found

    def open_records(self, terminal: str = "") -> tuple[Record, ...]:
        """Payments that are open, oldest first; of one terminal if it is named."""
        found = (record for record in self._open.values() if not terminal or record.terminal == terminal)
        return tuple(sorted(found, key=lambda record: record.first or self.head.number + 1))

    def doubts(self) -> tuple[Record, ...]:
        """Payments that a person must decide about."""
        return tuple(record for record in self.open_records() if record.doubt)

    async def doubt(self, reference: str) -> Doubt:
        """The evidence about a payment that is in doubt, and what to look for.

        Raises:
            PaymentNotFound: nobody asked for it here.
        """
        return doubt_from(await self.record(reference), await self.rows_of(reference))

    async def decide(self, reference: str, *, paid: bool, by: str, why: str) -> Payment:
        """Settle a payment in doubt by a person's word; the same decision again changes nothing.

        Args:
            reference: of a payment whose outcome is not known.
            paid: whether the money moved; for a hold, whether it was captured.
            by: who decides.
            why: how they know.

        Raises:
            PaymentNotFound: nobody asked for it here.
            InvalidRequest: there is nothing to decide, or it was decided otherwise (shows that decision).
            TerminalBusy: it still runs.
            CardDataRefused: `by` or `why` holds card data.
        """
        return await decide(self, reference, paid=paid, by=by, why=why)

    async def expect(
        self, reference: str, amount: Money, *, terminal: str = "", within_s: float = 900.0
    ) -> Expectation:
        """A sale waits for a payment to be typed in at a terminal; the same again changes nothing.

        Args:
            reference: of the sale.
            amount: without the tip, or with it.
            terminal: at which; any by default.
            within_s: for how long.

        Raises:
            ReferenceReused: it waits for another amount, or has its payment already.
        """
        return await self.standalones.expect(reference, amount, terminal=terminal, within_s=within_s)

    async def unmatched(self) -> tuple[tuple[TypedIn, tuple[Expectation, ...]], ...]:
        """Payments typed in at terminals that no sale has, oldest first, each with the sales that it may be for."""
        return await self.standalones.unmatched()

    async def match(self, standalone: str, reference: str, *, by: str) -> None:
        """Assign a payment typed in at a terminal to a sale, by hand; the same again changes nothing.

        Raises:
            ReferenceReused: it pays for another sale already.
            PaymentNotFound, InvalidRequest: there is no such payment, or it pays for nothing.
        """
        await self.standalones.match(standalone, reference, by=by)

    async def rows_of(self, reference: str) -> Sequence[Row]:
        """All rows about a payment."""
        return await self._store.of_reference(reference)

    async def latest(self, *, limit: int = 50, terminal: str = "") -> Sequence[Row]:
        """The latest rows, oldest first."""
        return await self._store.latest(limit=limit, terminal=terminal)

    def all_rows(self, *, after: int = 0) -> AsyncIterator[Sequence[Row]]:
        """The whole journal, a page at a time."""
        return self._store.all_rows(after=after)

    async def verify(self, *, watch: Callable[[Sequence[Row]], None] | None = None) -> Verdict:
        """Whether every row stands as it was written.

        Args:
            watch: is handed the rows that hold, a page at a time.
        """
        return await verify(self._store, watch=watch)

    # -- writing

    def write(
        self, reference: str, terminal: str, steps: Sequence[Step], *, sequence: int | None = None, actor: str = ""
    ) -> asyncio.Future[tuple[Row, ...]]:
        """Have rows about one payment written, together; the future is done once they are durable.

        Raises:
            JournalDamaged: the payment cannot take these steps: a fault of the caller, nothing was written.
        """
        before = record = self._open.get(reference) or self._settled.get(reference)
        drafts: list[Draft] = []
        terminal, reference, sequence = clean_text(terminal), clean_text(reference), clean_number(sequence)
        who = clean_text(actor or self.actor)
        for kind, body in steps:
            data, is_same = encode_checked(body)
            row = Row(0, "", terminal, reference, kind.value, who, sequence, data, b"")
            was_open = record is not None and record.is_open
            # What is remembered is what a restart would read: out of the bytes, unless they say the same.
            record = advanced(record, row, kind, body) if is_same else applied(record, row)
            is_open = record.is_open
            drafts.append(
                Draft(kind, terminal, reference, data, who, sequence,
                      opens=is_open and not was_open, closes=was_open and not is_open)
            )  # fmt: skip
        assert record is not None
        self._remember(replace(record, first=before.first, since=before.since) if before is not None else record)
        future = self._writer.submit(*drafts)
        self._pending[reference] = future
        future.add_done_callback(lambda done: self._written(reference, done))
        # Who waits for it may go away: the rows are on their way all the same, and what is remembered stays true.
        told = asyncio.shield(future)
        told.add_done_callback(lambda done: done.cancelled() or done.exception())
        return told

    async def durable(self, reference: str) -> None:
        """Return once all that was handed in about a payment is durable: what is remembered may be ahead of that.

        Raises:
            JournalUnavailable, JournalHeld: it is not, and will not be.
        """
        pending = self._pending.get(reference)
        if pending is not None:
            await asyncio.shield(pending)

    def note(
        self, kind: EntryKind, body: Body, *, terminal: str = "", actor: str = ""
    ) -> asyncio.Future[tuple[Row, ...]]:
        """Have an entry written that is about no payment."""
        actor = clean_text(actor or self.actor)
        return self._writer.submit(Draft(kind, clean_text(terminal), "", encode_body(body), actor))

    def end(
        self,
        record: Record,
        payment: Payment,
        *,
        why: str = "",
        started: bool = True,
        actor: str = "",
        before: Sequence[Step] = (),
        takes_back: bool = False,
    ) -> asyncio.Future[tuple[Row, ...]]:
        """Have the outcome of a payment written, over whatever states lead to it.

        Args:
            record: where the payment stands.
            payment: what became of it.
            why: how that is known.
            started: False if it certainly never began at the terminal.
            actor: who says so.
            before: rows to be written before it.
            takes_back: the approval is not to be confirmed any more, whatever was decided and written before.

        Raises:
            JournalDamaged: there is no way from where it stands to this outcome.
        """
        target = payment.state if payment.state in ENDINGS else STATE_OF[payment.outcome]
        at = record.state
        for kind, _ in before:
            at = state_of(kind) or at
        way = path(at, target)
        if not way and at is not target:
            raise JournalDamaged(f"a payment that is {at.value} cannot become {target.value}")
        steps = [
            *before,
            *((ENDINGS[state], _ending(payment.but(state=state), why, started, takes_back)) for state in way),
        ]
        if not steps:
            done: asyncio.Future[tuple[Row, ...]] = asyncio.get_running_loop().create_future()
            done.set_result(())
            return done
        sequence = payment.sequence if payment.sequence is not None else record.sequence
        return self.write(record.reference, record.terminal, steps, sequence=sequence, actor=actor)

    def keep(
        self,
        reference: str,
        terminal: str,
        payment: Payment,
        *,
        started: bool = True,
        request: PaymentRequest | None = None,
        takes_back: bool = False,
    ) -> None:
        """What has happened and could not be written: kept until it can be.

        Args:
            request: what was asked for, in case not even that is written.
            takes_back: as in `end`.
        """
        self._kept[reference] = Kept(terminal, payment, started, request, takes_back)

    # -- inside

    async def _take_up(self, name: str) -> None:
        moment = self.clock.wall().astimezone(UTC).isoformat(timespec="seconds")
        holder = Holder(clean_text(name), socket.gethostname(), os.getpid(), moment)
        head = await self._store.open(holder)
        try:
            await self._read_open()
            self._writer.start(head)
            self._can_write = True
            await self.note(EntryKind.OPENED, {"by": str(holder), "epoch": head.epoch})
        except BaseException:
            await self._writer.close()
            await self._store.close()
            raise

    async def _reread(self) -> None:
        """What is remembered may be more or less than what is durable."""
        self._settled.clear()
        await self._read_open()

    async def _read_open(self) -> None:
        found: dict[str, Record] = {}
        for reference in await self._store.open_references():
            record = fold(await self._store.of_reference(reference))
            if record is None or not record.is_open:
                raise JournalDamaged(f"the journal lists {reference!r} as open, but its entries do not say so")
            found[reference] = record
        self._settled.clear()
        self._open = found

    async def _write_kept(self, reference: str, kept: Kept) -> None:
        """Kept outcomes follow what is durable by now, which may be less than what was handed in."""
        payment = kept.payment
        record = self._open.get(reference) or fold(await self._store.of_reference(reference))
        if record is None:
            if payment.standalone:
                await self.write(reference, kept.terminal, [(EntryKind.STANDALONE, {"payment": payment})],
                                 sequence=payment.sequence)  # fmt: skip
                self.standalones.forget()
            elif kept.started and kept.request is not None:
                begun: tuple[Step, ...] = (
                    (EntryKind.REQUESTED, {"request": kept.request}),
                    (EntryKind.SENT, {"evidence": {}}),
                )
                blank = Record(
                    reference=reference, terminal=kept.terminal, state=PaymentState.REQUESTED, first=0, last=0,
                    since="", moment="", request=kept.request,
                )  # fmt: skip
                await self.end(blank, payment, why=LATE, before=begun)
            return
        self._remember(record)
        at = record.state
        before: tuple[Step, ...] = ()
        if at is PaymentState.HELD and payment.state is PaymentState.UNKNOWN:
            # Its approval was durable after all, but nobody knew: the terminal was told to let go of it.
            at, before = PaymentState.RELEASING, ((EntryKind.RELEASING, {}),)
        if path(at, payment.state):
            await self.end(record, payment, why=LATE, started=kept.started, before=before, takes_back=kept.takes_back)

    def _remember(self, record: Record) -> None:
        if record.is_open:
            self._settled.pop(record.reference, None)
            self._open[record.reference] = record
            return
        self._open.pop(record.reference, None)
        self._settled[record.reference] = record
        self._settled.move_to_end(record.reference)
        while len(self._settled) > RECORDS_MAX:
            self._settled.popitem(last=False)

    def _written(self, reference: str, done: asyncio.Future[tuple[Row, ...]]) -> None:
        if self._pending.get(reference) is done:
            del self._pending[reference]
        if done.cancelled() or done.exception() is not None:
            # What is durable is not what is remembered: it is read again when it is needed.
            self._settled.pop(reference, None)
            return
        rows = done.result()
        for known in (self._open, self._settled):
            record = known.get(reference)
            if record is not None:
                first, since = (rows[0].number, rows[0].moment) if record.first == 0 else (record.first, record.since)
                known[reference] = replace(
                    record, first=first, since=since, last=rows[-1].number, moment=rows[-1].moment
                )

    def _trouble_came(self, trouble: JournalError) -> None:
        for terminal in self.terminals.values():
            terminal.journal_failed(trouble)


def _ending(payment: Payment, why: str, started: bool, takes_back: bool) -> Body:
    body: dict[str, object] = {"payment": payment}
    if why:
        body["why"] = why
    if not started:
        body["started"] = False
    if takes_back:
        body["confirm"] = False
    return body
