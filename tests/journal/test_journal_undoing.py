"""What a reversal undid is noted where it is certain, and left open where it would be a guess. Found by the simulation."""

from __future__ import annotations

import asyncio

from tests.journal.scripted import ScriptedTerminal, memory_journal, purchase

from zahlwerk.journal import Journal, JournaledTerminal
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import PaymentKind, PaymentRequest


async def till() -> tuple[Journal, JournaledTerminal, ScriptedTerminal]:
    journal = await memory_journal()
    inner = ScriptedTerminal()
    terminal = journal.wrap(inner, name="till-1")
    await terminal.open()
    return journal, terminal, inner


async def state_of(journal: Journal, reference: str) -> PaymentState:
    for _ in range(20):
        await asyncio.sleep(0)
    return (await journal.record(reference)).state


class TestAReversalThatNamesNothing:
    """It undoes the latest payment of the terminal, which the journal need not know."""

    async def test_undoes_the_payment_just_before_it(self) -> None:
        journal, terminal, _ = await till()
        await terminal.transact(purchase())
        await terminal.reverse(reference="undo-1")

        assert await state_of(journal, "sale-1") is PaymentState.REVERSED

    async def test_undoes_a_refund_as_well(self) -> None:
        journal, terminal, _ = await till()
        await terminal.transact(purchase())
        amount = Money.of(1250, "CHF")
        await terminal.transact(PaymentRequest(kind=PaymentKind.REFUND, amount=amount, reference="back-1"))
        await terminal.reverse(reference="undo-1")

        assert await state_of(journal, "back-1") is PaymentState.REVERSED
        assert await state_of(journal, "sale-1") is PaymentState.CONFIRMED

    async def test_is_noted_nowhere_if_a_counter_between_is_not_known(self) -> None:
        journal, terminal, inner = await till()
        await terminal.transact(purchase())
        await inner.transact(purchase(reference="typed in at the terminal"))
        await terminal.reverse(reference="undo-1")

        assert await state_of(journal, "sale-1") is PaymentState.CONFIRMED

    async def test_is_not_noted_twice(self) -> None:
        journal, terminal, _ = await till()
        await terminal.transact(purchase())
        await terminal.transact(purchase(reference="sale-2"))
        await terminal.reverse(reference="undo-1")
        await terminal.reverse(reference="undo-2")

        assert await state_of(journal, "sale-2") is PaymentState.REVERSED
        assert await state_of(journal, "sale-1") is PaymentState.CONFIRMED


async def test_a_reversal_and_what_it_undid_are_durable_together() -> None:
    """Else a plug that is pulled between them leaves a sale that looks paid."""
    journal, terminal, _ = await till()
    await terminal.transact(purchase())
    await state_of(journal, "sale-1")
    commits = journal.commits

    await terminal.reverse(reference="undo-1")

    assert await state_of(journal, "sale-1") is PaymentState.REVERSED
    assert journal.commits == commits + 3, "intent, decision, and the end together with what was undone"


async def test_a_hold_that_is_still_open_is_no_payment_to_be_undone() -> None:
    journal, terminal, _ = await till()
    await terminal.transact(purchase())
    await terminal.hold("50.00 CHF", reference="tab-1")
    await terminal.reverse(reference="undo-1")

    assert await state_of(journal, "sale-1") is PaymentState.REVERSED
