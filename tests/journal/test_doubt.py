"""Payments in doubt: the evidence, a person's decision, and what it can never do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.journal.test_totals import Forgetful, day, sell

from zahlwerk.errors import CardDataRefused, InvalidRequest, PaymentNotFound
from zahlwerk.events import Notice, TerminalEvent
from zahlwerk.journal import Journal, JournaledTerminal
from zahlwerk.journal.entries import EntryKind
from zahlwerk.journal.sqlite import SqliteStore
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Outcome
from zahlwerk.terminal import Period


@pytest.fixture
async def journal() -> AsyncIterator[Journal]:
    async with await Journal.open(SqliteStore(None, threaded=False)) as journal:
        yield journal


@pytest.fixture
async def terminal(journal: Journal) -> JournaledTerminal:
    """Its payment "lost" was paid, and nobody knows."""
    terminal = await day(journal, paid=True, exclusive=False)
    for _ in range(3):
        await terminal.lookup("lost")
    return terminal


async def test_the_list_holds_the_evidence_and_what_to_look_for(journal: Journal, terminal: JournaledTerminal) -> None:
    await terminal.totals(Period.ACCOUNTING_PERIOD)

    assert [record.reference for record in journal.doubts()] == ["lost"]
    doubt = await journal.doubt("lost")
    assert doubt.amount == Money.of(700, "CHF")
    assert doubt.sent
    assert doubt.answers
    assert doubt.proposal is not None
    assert doubt.proposal.paid
    assert doubt.look_for[0] == "a payment of CHF 7.00"
    assert "till-1" in doubt.look_for[1]


@pytest.mark.parametrize("paid", [True, False])
async def test_a_decision_settles_it(journal: Journal, terminal: JournaledTerminal, paid: bool) -> None:
    payment = await journal.decide("lost", paid=paid, by="anna", why="looked at the receipts")

    assert payment.outcome is (Outcome.APPROVED if paid else Outcome.FAILED)
    assert payment.approved == (Money.of(700, "CHF") if paid else None)
    assert journal.doubts() == ()
    assert [row.kind for row in await journal.rows_of("lost")][-2:] == ["decided", payment.state.value]
    assert (await sell(terminal, "lost", 700)).state is payment.state
    assert terminal.inner.paid.count(700) == 1  # type: ignore[attr-defined]  # a body, or a table of cases


async def test_the_same_decision_again_changes_nothing(journal: Journal, terminal: JournaledTerminal) -> None:
    first = await journal.decide("lost", paid=True, by="anna", why="receipt 12")
    rows = await journal.rows_of("lost")

    assert await journal.decide("lost", paid=True, by="ben", why="saw it too") == first
    assert await journal.rows_of("lost") == rows


async def test_another_decision_is_refused_and_shows_the_first(journal: Journal, terminal: JournaledTerminal) -> None:
    await journal.decide("lost", paid=True, by="anna", why="receipt 12")

    with pytest.raises(InvalidRequest, match=r"decided as paid by anna .*receipt 12"):
        await journal.decide("lost", paid=False, by="ben", why="no")


async def test_what_is_settled_is_not_decided(journal: Journal, terminal: JournaledTerminal) -> None:
    with pytest.raises(InvalidRequest, match="nothing to decide"):
        await journal.decide("first", paid=False, by="anna", why="no")
    with pytest.raises(PaymentNotFound):
        await journal.decide("never heard of", paid=False, by="anna", why="no")


@pytest.mark.parametrize(("by", "why"), [("", "x"), ("anna", " "), ("a" * 65, "x"), ("anna", "x" * 501)])
async def test_who_and_why_must_be_said(journal: Journal, terminal: JournaledTerminal, by: str, why: str) -> None:
    with pytest.raises(InvalidRequest):
        await journal.decide("lost", paid=True, by=by, why=why)


async def test_a_reason_with_a_card_number_is_refused(journal: Journal, terminal: JournaledTerminal) -> None:
    with pytest.raises(CardDataRefused):
        await journal.decide("lost", paid=True, by="anna", why="card 4111 1111 1111 1111")
    assert (await journal.record("lost")).is_unsettled


async def test_a_decision_stands_after_a_restart(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    async with await Journal.open(path) as journal:
        terminal = await day(journal, paid=True, exclusive=False)
        await terminal.lookup("lost")
        await journal.decide("lost", paid=True, by="anna", why="receipt 12")

    async with await Journal.open(path) as journal:
        assert (await journal.record("lost")).state is PaymentState.CONFIRMED
        with pytest.raises(InvalidRequest, match="anna"):
            await journal.decide("lost", paid=False, by="ben", why="no")


async def test_a_terminal_that_proves_otherwise_is_heard(journal: Journal) -> None:
    terminal = await day(journal, paid=True, exclusive=True)
    heard: list[TerminalEvent] = []
    terminal.listen(heard.append)
    await journal.decide("lost", paid=False, by="anna", why="the customer said so")

    for _ in range(2):
        await terminal.totals(Period.ACCOUNTING_PERIOD)

    record = await journal.record("lost")
    assert record.state is PaymentState.FAILED
    assert record.doubt.startswith("decided as not paid, the terminal says paid")
    assert [row.kind for row in await journal.rows_of("lost")].count(EntryKind.DOUBT.value) == 1
    assert len([event for event in heard if isinstance(event, Notice) and "decided as" in event.text]) == 1


async def test_a_terminal_that_agrees_says_nothing(journal: Journal) -> None:
    terminal = await day(journal, paid=True, exclusive=True)
    await journal.decide("lost", paid=True, by="anna", why="receipt 12")

    await terminal.totals(Period.ACCOUNTING_PERIOD)

    assert (await journal.record("lost")).doubt == ""
    assert isinstance(terminal.inner, Forgetful)
