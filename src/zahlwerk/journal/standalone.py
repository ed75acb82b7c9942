"""Payments that were typed in at the terminal: how they are named, and the book of those that no sale has yet.

A terminal that only prints a receipt for them (KIT) reports no payment, and none is made up from a text.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from zahlwerk.carddata import refuse_card_data
from zahlwerk.errors import InvalidRequest, JournalError, ReferenceReused
from zahlwerk.journal.encoding import decode_body, money_from, payment_from
from zahlwerk.journal.entries import EntryKind, Row
from zahlwerk.journal.matching import Expectation, TypedIn, fits, only_match
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import REFERENCE_MAX, Payment

if TYPE_CHECKING:
    from zahlwerk.journal.journal import Journal

__all__ = ["Standalones", "standalone_reference"]

# LIMIT: how long a sale may wait for a payment, in seconds.
WITHIN_S_MAX: Final = 24 * 3600.0
_GONE: Final = frozenset({EntryKind.REVERSED.value, EntryKind.REFUNDED.value})


def standalone_reference(terminal: str, payment: Payment) -> str:
    """A reference that is the same each time the terminal reports the same payment."""
    amount = payment.approved or payment.requested
    moment = payment.terminal_time.isoformat() if payment.terminal_time is not None else ""
    told = "\0".join(
        (terminal, payment.terminal_id, str(payment.sequence), moment, str(amount), payment.authorisation_code)
    )
    digest = hashlib.sha256(told.encode()).hexdigest()[:16]
    number = payment.sequence if payment.sequence is not None and payment.sequence < 10**9 else 0
    return f"standalone-{number}-{digest}"


class Standalones:
    """Sales that wait, and payments that no sale has: read from the journal once, then kept with it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = asyncio.Lock()
        self._loaded = False
        self._expected: dict[str, Expectation] = {}
        self._waiting: dict[str, TypedIn] = {}
        self._matched: dict[str, str] = {}
        """Payment to sale."""

    async def expect(self, reference: str, amount: Money, *, terminal: str, within_s: float) -> Expectation:
        """See `Journal.expect`."""
        if not reference.strip() or len(reference) > REFERENCE_MAX or not reference.isprintable():
            raise InvalidRequest(f"a reference has 1 to {REFERENCE_MAX} printable characters")
        if amount.amount <= 0 or not 0 < within_s <= WITHIN_S_MAX:
            raise InvalidRequest(f"expect more than nothing, within {WITHIN_S_MAX:.0f} seconds")
        refuse_card_data(reference, where="reference")
        async with self._lock:
            await self._journal.ensure_writable()
            await self._load()
            now = self._now()
            known = self._expected.get(reference)
            if known is not None:
                if (known.amount, known.terminal) != (amount, terminal):
                    raise ReferenceReused(f"{reference!r} waits for {known.amount} already, not for {amount}")
                return known
            if reference in self._matched.values():
                raise ReferenceReused(f"{reference!r} has a payment already")
            made = Expectation(reference, amount, terminal, now, now + timedelta(seconds=within_s))
            body = {"reference": reference, "amount": f"{amount.amount} {amount.currency.code}",
                    "made": made.made.isoformat(), "until": made.until.isoformat()}  # fmt: skip
            await self._journal.note(EntryKind.EXPECTED, body, terminal=terminal)
            self._expected[reference] = made
            return made

    async def took_in(self, reference: str) -> None:
        """A payment was written: match it, if that can be done without a doubt."""
        async with self._lock:
            await self._load()
            record = await self._journal.find(reference)
            if record is None or record.payment is None or record.matched or reference in self._matched:
                return
            found = TypedIn(reference, record.terminal, record.payment, self._now())
            self._waiting[reference] = found
            await self._drop_gone()
            only = only_match(found, self._expected.values(), self._waiting.values())
            if only is not None:
                await self._write(found, only.reference, by="", how="amount, time and terminal")

    async def unmatched(self) -> tuple[tuple[TypedIn, tuple[Expectation, ...]], ...]:
        """Payments that no sale has, oldest first, each with the sales that it may be for."""
        async with self._lock:
            await self._load()
            await self._drop_gone()
            return tuple(
                (found, tuple(each for each in self._expected.values() if fits(each, found)))
                for found in self._waiting.values()
            )

    async def match(self, standalone: str, reference: str, *, by: str) -> None:
        """See `Journal.match`."""
        if not by.strip() or not reference.strip() or len(reference) > REFERENCE_MAX:
            raise InvalidRequest("say which sale it pays for, and who says so")
        refuse_card_data(reference, where="reference")
        refuse_card_data(by, where="by")
        async with self._lock:
            await self._journal.ensure_writable()
            await self._load()
            record = await self._journal.record(standalone)
            before = record.matched or self._matched.get(standalone, "")
            if before:
                if before != reference:
                    raise ReferenceReused(f"{standalone!r} pays for {before!r} already, not for {reference!r}")
                return
            if record.state is not PaymentState.STANDALONE or record.payment is None:
                raise InvalidRequest(f"{standalone!r} is {record.state.value}: it pays for nothing")
            await self._write(
                TypedIn(standalone, record.terminal, record.payment, self._now()), reference, by=by, how=""
            )

    def forget(self) -> None:
        """Something was written late: read the journal again."""
        self._loaded = False

    async def _drop_gone(self) -> None:
        """What was given back meanwhile pays for nothing."""
        for reference in tuple(self._waiting):
            record = await self._journal.find(reference)
            if record is not None and record.state is not PaymentState.STANDALONE:
                self._waiting.pop(reference, None)

    async def _write(self, found: TypedIn, reference: str, *, by: str, how: str) -> None:
        body = {"with": reference, "how": how or "by hand"}
        try:
            await self._journal.write(found.reference, found.terminal, [(EntryKind.MATCHED, body)], actor=by)
        except JournalError:
            self._loaded = False  # perhaps it is durable all the same
            raise
        self._matched[found.reference] = reference
        self._waiting.pop(found.reference, None)
        self._expected.pop(reference, None)

    async def _load(self) -> None:
        if self._loaded:
            return
        self._expected.clear()
        self._waiting.clear()
        self._matched.clear()
        # LIMIT: the whole journal is read, once a process and only where standalone payments are used.
        async for page in self._journal.all_rows():
            for row in page:
                self._read(row)
        self._loaded = True

    def _read(self, row: Row) -> None:
        if row.kind == EntryKind.STANDALONE.value:
            payment = payment_from(decode_body(row.body)["payment"])
            self._waiting[row.reference] = TypedIn(row.reference, row.terminal, payment, _moment(row.moment))
        elif row.kind == EntryKind.EXPECTED.value:
            made = _expectation(row.terminal, decode_body(row.body))
            self._expected[made.reference] = made
        elif row.kind == EntryKind.MATCHED.value:
            reference = str(decode_body(row.body).get("with", ""))
            self._matched[row.reference] = reference
            self._waiting.pop(row.reference, None)
            self._expected.pop(reference, None)
        elif row.kind in _GONE:
            self._waiting.pop(row.reference, None)

    def _now(self) -> datetime:
        return self._journal.clock.wall().astimezone(UTC)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _expectation(terminal: str, body: Mapping[str, object]) -> Expectation:
    return Expectation(
        str(body.get("reference", "")), money_from(body.get("amount")), terminal, _moment(str(body.get("made"))),
        _moment(str(body.get("until"))),
    )  # fmt: skip
