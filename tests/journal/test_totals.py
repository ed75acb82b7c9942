"""Totals at a journaled terminal: compared, written down, and what they prove is settled."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from zahlwerk.events import TerminalStatus
from zahlwerk.journal import Journal, JournaledTerminal
from zahlwerk.journal.encoding import decode_body
from zahlwerk.journal.entries import EntryKind
from zahlwerk.journal.sqlite import SqliteStore
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentKind, PaymentRequest, TipPolicy
from zahlwerk.terminal import (
    CONFIRM_ALL,
    Capabilities,
    Evidence,
    Period,
    Terminal,
    TerminalInfo,
    Total,
    TotalKind,
    Totals,
    Witness,
)


class Forgetful(Terminal):
    """A terminal that takes every payment, loses the answers it is told to lose, and cannot look anything up."""

    def __init__(self) -> None:
        super().__init__()
        self.paid: list[int] = []
        self.lost: dict[str, bool] = {}
        """References whose answer is lost: whether they are paid."""

    async def open(self) -> None: ...
    async def close(self) -> None: ...

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities()

    async def info(self) -> TerminalInfo:
        return TerminalInfo()

    async def status(self) -> TerminalStatus:
        return TerminalStatus()

    async def transact(self, request: PaymentRequest, *, witness: Witness = CONFIRM_ALL) -> Payment:
        await witness.sending({})
        assert request.total is not None
        if request.reference in self.lost:
            if self.lost[request.reference]:
                self.paid.append(request.total.amount)
            return Payment(reference=request.reference, kind=request.kind, outcome=Outcome.UNKNOWN,
                           state=PaymentState.UNKNOWN, requested=request.total)  # fmt: skip
        payment = Payment(reference=request.reference, kind=request.kind, outcome=Outcome.APPROVED,
                          state=PaymentState.APPROVED, requested=request.total, approved=request.total)  # fmt: skip
        await witness.approved(payment)
        self.paid.append(request.total.amount)
        return payment.but(state=PaymentState.CONFIRMED)

    async def lookup(
        self, reference: str = "", *, sequence: int | None = None, evidence: Evidence | None = None
    ) -> Payment:
        return Payment(reference=reference, kind=PaymentKind.PURCHASE, outcome=Outcome.UNKNOWN,
                       state=PaymentState.UNKNOWN)  # fmt: skip

    async def totals(self, period: Period = Period.SHIFT) -> Totals:
        lines = (Total(brand="", kind=TotalKind.DEBIT, count=len(self.paid), amount=Money.of(sum(self.paid), "CHF")),)
        return Totals(period, lines if self.paid else ())

    async def end_of_day(self) -> Totals:
        told = await self.totals(Period.ACCOUNTING_PERIOD)
        self.paid.clear()
        return told


@pytest.fixture
async def journal() -> AsyncIterator[Journal]:
    async with await Journal.open(SqliteStore(None, threaded=False)) as journal:
        yield journal


async def sell(terminal: JournaledTerminal, reference: str, minor: int) -> Payment:
    request = PaymentRequest(amount=Money.of(minor, "CHF"), reference=reference, tip_policy=TipPolicy.NEVER)
    return await terminal.transact(request)


async def day(journal: Journal, *, paid: bool, exclusive: bool) -> JournaledTerminal:
    inner = Forgetful()
    inner.lost = {"lost": paid}
    terminal = journal.wrap(inner, name="till-1", exclusive=exclusive)
    await terminal.end_of_day()
    await sell(terminal, "first", 1000)
    await sell(terminal, "lost", 700)
    await sell(terminal, "last", 50)
    return terminal


async def totals_entry(journal: Journal) -> dict[str, object]:
    rows = [row for row in await journal.latest(limit=100) if row.kind == EntryKind.TOTALS.value]
    bodies = [decode_body(row.body) for row in rows]
    return [body for body in bodies if "asked" not in body][-1]


@pytest.mark.parametrize("paid", [True, False])
async def test_at_a_terminal_of_our_own_the_end_of_day_settles_what_it_proves(journal: Journal, paid: bool) -> None:
    terminal = await day(journal, paid=paid, exclusive=True)

    await terminal.end_of_day()

    record = await journal.record("lost")
    assert record.state is (PaymentState.CONFIRMED if paid else PaymentState.FAILED)
    assert record.payment is not None
    assert record.payment.approved == (Money.of(700, "CHF") if paid else None)
    assert not record.may_be_tried_again
    assert journal.open_records() == ()
    told = decode_body((await journal.rows_of("lost"))[-1].body)
    assert str(told["why"]).startswith("proved by the terminal's totals")


@pytest.mark.parametrize("paid", [True, False])
async def test_at_a_terminal_that_others_use_it_is_proposed_in_the_doubt_entry(journal: Journal, paid: bool) -> None:
    terminal = await day(journal, paid=paid, exclusive=False)
    for _ in range(3):
        await terminal.lookup("lost")

    await terminal.end_of_day()

    record = await journal.record("lost")
    assert record.is_unsettled
    rows = [row for row in await journal.rows_of("lost") if row.kind == EntryKind.DOUBT.value]
    proposal = decode_body(rows[-1].body)["proposal"]
    assert isinstance(proposal, dict)
    assert proposal["paid"] is paid


async def test_the_entry_holds_figures_differences_and_conclusions(journal: Journal) -> None:
    terminal = await day(journal, paid=True, exclusive=True)

    await terminal.end_of_day()

    body = await totals_entry(journal)
    assert body["closed"] is True
    assert body["figures"] == [{"brand": "", "kind": "debit", "count": 3, "amount": "1750 CHF"}]
    assert body["payments"] == ["first", "last"]
    assert body["in_doubt"] == ["lost"]
    assert len(body["differences"]) == 1  # type: ignore[arg-type]  # a body, or a table of cases
    assert [(found["reference"], found["proved"]) for found in body["conclusions"]] == [("lost", True)]  # type: ignore[attr-defined]  # a body, or a table of cases


async def test_totals_in_between_close_nothing_and_a_second_day_begins_where_the_first_ended(journal: Journal) -> None:
    terminal = await day(journal, paid=False, exclusive=True)
    await terminal.totals(Period.ACCOUNTING_PERIOD)
    assert (await totals_entry(journal))["closed"] is False
    await terminal.end_of_day()

    await sell(terminal, "next day", 300)
    await terminal.end_of_day()

    body = await totals_entry(journal)
    assert body["payments"] == ["next day"]
    assert body["differences"] == []
