"""What is done with a terminal's totals: written down with the journal's own figures, and what they prove is settled.

What they may prove is decided in `reconcile`. Here its inputs are read from the journal, and its conclusions written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final

from zahlwerk.events import Notice
from zahlwerk.journal.encoding import decode_body
from zahlwerk.journal.entries import Body, EntryKind, Row
from zahlwerk.journal.reconcile import (
    NO_BOUND,
    TOTAL_OF,
    Circumstances,
    Conclusion,
    Difference,
    Item,
    Reconciliation,
    Standing,
    reconcile,
)
from zahlwerk.journal.records import Record
from zahlwerk.lifecycle import FINAL, PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentKind, PaymentRequest, TipPolicy
from zahlwerk.terminal import ShiftInfo, TotalKind, Totals

if TYPE_CHECKING:
    from zahlwerk.journal.journal import Journal
    from zahlwerk.journal.terminal import JournaledTerminal

__all__ = ["items_of", "mark_of", "take_in_totals"]

_S = PaymentState
# LIMIT: rows of one terminal that are looked through for its period; a busy terminal writes some 2,000 a day.
ROWS_MAX: Final = 20_000
# LIMIT: references that a TOTALS entry names on each of its lists.
NAMED_MAX: Final = 500
_MONEY_MOVED: Final = frozenset({_S.CONFIRMED, _S.CAPTURED, _S.STANDALONE, _S.REVERSED, _S.REFUNDED})
_MOVES: Final = frozenset(state.value for state in (*_MONEY_MOVED, _S.HELD, _S.UNKNOWN, _S.SENT))
_CREDITS: Final = frozenset({PaymentKind.REFUND, PaymentKind.LOAD})
_PROVED_OF: Final = frozenset({
    PaymentKind.PURCHASE, PaymentKind.PURCHASE_WITH_CASHBACK, PaymentKind.MAIL_ORDER, PaymentKind.PHONE_ORDER,
})  # fmt: skip
"""Kinds that figures may settle by themselves."""


def mark_of(shift: ShiftInfo) -> str:
    """The terminal's counters of period and shift in one word; empty unless it has both."""
    if not shift.is_open or shift.shift_counter is None or shift.period_counter is None:
        return ""
    return f"{shift.period_counter}/{shift.shift_counter}"


async def take_in_totals(
    owner: JournaledTerminal, totals: Totals, *, closed: bool, asked: int, mark: str, idle: bool
) -> Reconciliation:
    """Compare, write down, settle what is proved, and propose what is not quite.

    Args:
        owner: the terminal that told them; the caller has its turn.
        totals: what it told.
        closed: its period ended with them.
        asked: number of the journal's latest row when it was asked.
        mark: its counters then (`mark_of`), read from the terminal itself; empty if it has none.
        idle: nothing was running at it then.
    """
    journal = owner.journal
    rows = await journal.latest(limit=ROWS_MAX, terminal=owner.name)
    closings, apart = _closings(rows)
    since = closings[-2] if len(closings) > 1 else 0
    items = await items_of(journal, owner.name, [row for row in rows if row.number > since])
    known = Circumstances(
        exclusive=owner.exclusive,
        start=closings[-1] if closings else None,
        mark=mark,
        idle=idle or closed,
        quiet=not any(row.number > asked and row.kind in _MOVES for row in rows),
        apart=apart,
    )
    result = reconcile(totals, items, known)
    await journal.note(EntryKind.TOTALS, _body(totals, result, closed=closed), terminal=owner.name, actor="totals")
    amounts = {item.reference: item for item in items}
    for conclusion in result.conclusions:
        await _apply(owner, amounts[conclusion.reference], conclusion)
    return result


def _closings(rows: Sequence[Row]) -> tuple[list[int], bool]:
    """Numbers of the entries that closed a period; and whether undone payments were seen counted apart."""
    closings, apart = [], False
    for row in rows:
        if row.kind == EntryKind.TOTALS.value:
            body = decode_body(row.body)
            apart = apart or body.get("apart") is True
            if body.get("closed") is True:
                closings.append(row.number)
    return closings, apart


# -- what is written


def _body(totals: Totals, result: Reconciliation, *, closed: bool) -> Body:
    body: dict[str, object] = {
        "period": totals.period.value,
        "closed": closed,
        "figures": [
            {
                "brand": total.brand,
                "kind": total.kind.value,
                "count": total.count,
                "amount": f"{total.amount.amount} {total.amount.currency.code}",
                **({"tip": f"{total.tip.amount} {total.tip.currency.code}"} if total.tip is not None else {}),
                **({"aid": total.aid} if total.aid else {}),
            }
            for total in totals.totals
        ],
        "payments": list(result.counted[-NAMED_MAX:]),
        "payments_count": len(result.counted),
        "in_doubt": list(result.in_doubt[:NAMED_MAX]),
        "differences": [_difference(difference) for difference in result.differences],
        "conclusions": [
            {"reference": found.reference, "paid": found.paid, "proved": found.proved, "why": found.why}
            for found in result.conclusions
        ],
    }
    if result.apart:
        body["apart"] = True
    if result.unclear:
        body["unclear"] = result.unclear
    return body


def _difference(difference: Difference) -> Body:
    told = asdict(difference)
    told["kind"] = difference.kind.value
    return {name: value for name, value in told.items() if value is not None}


async def _apply(owner: JournaledTerminal, item: Item, found: Conclusion) -> None:
    journal = owner.journal
    record = await journal.find(found.reference)
    if record is None:
        return
    if item.decided is not None:
        if found.proved and found.paid is not item.decided:
            await contradict(owner, record, decided=item.decided, why=found.why)
        return
    if not record.is_unsettled or record.reference in journal.running:
        return
    if found.proved:
        why = f"proved by the terminal's totals: {found.why}"
        await journal.end(record, _settled(record, item, found), why=why, actor="totals")
        words = "was paid" if found.paid else "was not paid"
        owner.emit(Notice(f"{record.reference} {words}: {found.why}", source="journal"))
    elif record.doubt:
        await _propose(journal, record, found)


async def _propose(journal: Journal, record: Record, found: Conclusion) -> None:
    """Put it beside the doubt, once."""
    proposal: Body = {"paid": found.paid, "why": found.why}
    for row in reversed(await journal.rows_of(record.reference)):
        if row.kind == EntryKind.DOUBT.value:
            known = decode_body(row.body).get("proposal")
            if isinstance(known, Mapping) and known.get("paid") is found.paid:
                return
            break
    body: Body = {"why": record.doubt, "proposal": proposal}
    await journal.write(record.reference, record.terminal, [(EntryKind.DOUBT, body)], actor="totals")


async def contradict(owner: JournaledTerminal, record: Record, *, decided: bool, why: str) -> None:
    """A person decided one thing, the terminal says the other: written, and told to whoever watches."""
    was, says = ("paid", "not paid") if decided else ("not paid", "paid")
    text = f"decided as {was}, the terminal says {says}: {why}"
    if record.doubt == text:
        return
    await owner.journal.write(
        record.reference, record.terminal, [(EntryKind.DOUBT, {"why": text, "contradicts": True})], actor="terminal"
    )
    owner.emit(Notice(f"{record.reference} was {text}", source="journal"))


def _settled(record: Record, item: Item, found: Conclusion) -> Payment:
    known = record.payment
    plain = Payment(
        reference=record.reference,
        kind=item.kind,
        outcome=Outcome.UNKNOWN,
        state=_S.UNKNOWN,
        requested=record.request.total if record.request is not None else None,
        sequence=record.sequence,
    )
    payment = known if known is not None else plain
    if found.paid:
        return payment.but(
            outcome=Outcome.APPROVED, state=_S.CONFIRMED, approved=item.amount,
            message=f"paid: {found.why}",
        )  # fmt: skip
    return payment.but(
        outcome=Outcome.FAILED, state=_S.FAILED, approved=None, message=f"not paid: {found.why}"
    )  # fmt: skip


# -- what the journal counts


async def items_of(journal: Journal, terminal: str, rows: Sequence[Row]) -> tuple[Item, ...]:
    """The payments of a terminal that its totals may count, in the order in which they were sent.

    Args:
        journal: where their records are.
        terminal: its name there.
        rows: its rows from the beginning of the period before the present one on; what is open is added.
    """
    by_reference: dict[str, list[Row]] = {}
    for row in rows:
        if row.reference:
            by_reference.setdefault(row.reference, []).append(row)
    for each in journal.open_records(terminal):
        by_reference.setdefault(each.reference, [])
    records: dict[str, Record] = {}
    items: dict[str, Item] = {}
    for reference, own in by_reference.items():
        record = await journal.find(reference)
        if record is None or record.terminal != terminal:
            continue
        records[reference] = record
        whole = own if own and own[0].number <= record.first else await journal.rows_of(reference)
        item = item_of(record, whole)
        if item is not None:
            items[reference] = item
    for reference, item in items.items():
        if item.kind is PaymentKind.REVERSAL:
            target = next((each for each in records.values() if reference in each.undone_by), None)
            items[reference] = _reversal(item, target)
    return tuple(sorted(items.values(), key=lambda item: (item.sent, item.ended or 0)))


def item_of(record: Record, rows: Sequence[Row]) -> Item | None:
    """A payment as totals would count it; None if it certainly is not counted."""
    kind = _kind(record)
    sent, mark, ended, decided = 0, "", None, None
    for row in rows:
        match row.kind:
            case EntryKind.SENT.value:
                sent, ended = row.number, None
                told = decode_body(row.body).get("mark")
                mark = told if isinstance(told, str) else ""
            case EntryKind.CONFIRMED.value | EntryKind.CAPTURED.value | EntryKind.STANDALONE.value:
                ended = row.number
            case EntryKind.DECIDED.value:
                decided = decode_body(row.body).get("paid") is True
    common = Item(
        reference=record.reference, kind=kind, line=TOTAL_OF[kind], standing=Standing.DOUBT, sent=sent, mark=mark,
        brand=record.payment.brand if record.payment is not None else "", decided=decided,
    )  # fmt: skip
    if decided is not None or record.state is _S.HELD:
        return _open(common, record)
    if record.state in _MONEY_MOVED:
        approved = record.payment.approved if record.payment is not None else None
        minor = approved.amount if approved is not None else 0
        tip = record.payment.tip if record.payment is not None else None
        return replace(
            common, standing=Standing.COUNTED, amount=approved, low_minor=minor, high_minor=minor, ended=ended,
            tip_minor=tip.amount if tip is not None else 0, standalone=record.request is None,
        )  # fmt: skip
    if record.state in FINAL or not sent:
        return None
    return _open(common, record)


def _kind(record: Record) -> PaymentKind:
    if record.request is not None:
        return record.request.kind
    return record.payment.kind if record.payment is not None else PaymentKind.PURCHASE


def _open(common: Item, record: Record) -> Item:
    """What may be counted, and with which amount."""
    is_doubt = common.decided is None and record.state is not _S.HELD
    request = record.request
    approved = record.payment.approved if record.payment is not None else None
    amount = approved or (request.total if request is not None else None)
    if amount is not None and record.decided_minor is not None:
        amount = Money(record.decided_minor, amount.currency)
    low, high = _bounds(request, amount, is_known=approved is not None or record.decided_minor is not None)
    return replace(
        common,
        standing=Standing.DOUBT if is_doubt else Standing.OPEN,
        amount=amount,
        low_minor=1 if not is_doubt else low,
        high_minor=high if is_doubt else NO_BOUND,
        concludes=common.kind in _PROVED_OF and (record.state is _S.UNKNOWN or common.decided is not None),
    )


def _bounds(request: PaymentRequest | None, amount: Money | None, *, is_known: bool) -> tuple[int, int]:
    if amount is None:
        return 0, NO_BOUND
    if is_known:
        return amount.amount, amount.amount
    tipped = request is None or (request.tip is None and request.tip_policy is not TipPolicy.NEVER)
    partial = request is None or request.partial_approval
    return 1 if partial else amount.amount, NO_BOUND if tipped else amount.amount


def _reversal(item: Item, target: Record | None) -> Item:
    """A reversal is counted with the amount, brand and side of what it undoes."""
    if target is None:
        return item
    line = TotalKind.CREDIT_REVERSAL if _kind(target) in _CREDITS else TotalKind.DEBIT_REVERSAL
    known = target.payment
    amount = item.amount or (known.approved if known is not None else None)
    minor = amount.amount if amount is not None else 0
    return replace(
        item, line=line, amount=amount, low_minor=minor, high_minor=minor,
        brand=item.brand or (known.brand if known is not None else ""),
    )  # fmt: skip
