"""Payments typed in at the terminal: taken in once, matched where only one sale can be meant, else offered."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.journal.test_totals import Forgetful

from zahlwerk.clock import VirtualClock
from zahlwerk.errors import InvalidRequest, PaymentNotFound, ReferenceReused
from zahlwerk.journal import Journal, JournaledTerminal
from zahlwerk.journal.entries import EntryKind
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentKind


def typed_in(minor: int, sequence: int, *, tip: int = 0, kind: PaymentKind = PaymentKind.PURCHASE) -> Payment:
    return Payment(
        reference="", kind=kind, outcome=Outcome.APPROVED, state=PaymentState.STANDALONE, sequence=sequence,
        approved=Money.of(minor, "CHF"), tip=Money.of(tip, "CHF") if tip else None, standalone=True,
    )  # fmt: skip


class Shop:
    """A till whose journal can be closed and opened again."""

    def __init__(self, path: Path) -> None:
        self.path = str(path / "journal.db")
        self.clock = VirtualClock()

    async def open(self) -> tuple[Journal, JournaledTerminal]:
        journal = await Journal.open(self.path, clock=self.clock)
        return journal, journal.wrap(Forgetful(), name="till-1")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


CHF7 = Money.of(700, "CHF")


async def matched(journal: Journal) -> dict[int, str]:
    """Transaction number to sale."""
    rows = [row for row in await journal.latest(limit=100) if row.kind == "standalone"]
    return {row.sequence or 0: (await journal.record(row.reference)).matched for row in rows}


@pytest.mark.parametrize(("minor", "tip"), [(700, 0), (800, 100)])
async def test_the_only_sale_that_fits_has_it(shop: Shop, minor: int, tip: int) -> None:
    journal, terminal = await shop.open()
    async with journal:
        await journal.expect("sale-1", CHF7, terminal="till-1")
        await terminal.recovery.take_in(typed_in(minor, 1, tip=tip))

        assert await matched(journal) == {1: "sale-1"}
        assert await journal.unmatched() == ()


async def test_the_same_report_twice_is_one_payment(shop: Shop) -> None:
    journal, terminal = await shop.open()
    async with journal:
        for _ in range(2):
            await terminal.recovery.take_in(typed_in(700, 1))

        assert len(await journal.unmatched()) == 1


async def test_two_sales_that_fit_are_offered_and_a_person_chooses(shop: Shop) -> None:
    journal, terminal = await shop.open()
    async with journal:
        await journal.expect("sale-1", CHF7)
        await journal.expect("sale-2", CHF7)
        await terminal.recovery.take_in(typed_in(700, 1))

        [(found, candidates)] = await journal.unmatched()
        assert [each.reference for each in candidates] == ["sale-1", "sale-2"]
        await journal.match(found.reference, "sale-2", by="anna")
        await journal.match(found.reference, "sale-2", by="anna")
        with pytest.raises(ReferenceReused, match="sale-2"):
            await journal.match(found.reference, "sale-1", by="ben")

        assert await matched(journal) == {1: "sale-2"}


async def test_a_sale_has_one_payment_by_itself_only(shop: Shop) -> None:
    journal, terminal = await shop.open()
    async with journal:
        await journal.expect("sale-1", CHF7)
        await terminal.recovery.take_in(typed_in(700, 1))
        await terminal.recovery.take_in(typed_in(700, 2))

        assert await matched(journal) == {1: "sale-1", 2: ""}
        with pytest.raises(ReferenceReused):
            await journal.expect("sale-1", CHF7)


@pytest.mark.parametrize("case", ["amount", "terminal", "late", "early", "refund"])
async def test_what_does_not_fit_is_offered(shop: Shop, case: str) -> None:
    journal, terminal = await shop.open()
    async with journal:
        kind = PaymentKind.REFUND if case == "refund" else PaymentKind.PURCHASE
        payment = typed_in(701 if case == "amount" else 700, 1, kind=kind)
        if case == "early":
            await terminal.recovery.take_in(payment)
            await shop.clock.advance(1)
        await journal.expect("sale-1", CHF7, terminal="till-2" if case == "terminal" else "", within_s=60)
        if case == "late":
            await shop.clock.advance(61)
        await terminal.recovery.take_in(payment)

        assert await matched(journal) == {1: ""}
        assert len(await journal.unmatched()) == 1


async def test_what_waits_and_what_is_matched_stands_after_a_restart(shop: Shop) -> None:
    journal, terminal = await shop.open()
    async with journal:
        await journal.expect("sale-1", CHF7)
        await journal.expect("sale-2", Money.of(500, "CHF"))
        await terminal.recovery.take_in(typed_in(700, 1))
        await terminal.recovery.take_in(typed_in(900, 2))

    journal, terminal = await shop.open()
    async with journal:
        assert [found.payment.sequence for found, _ in await journal.unmatched()] == [2]
        await terminal.recovery.take_in(typed_in(700, 1))
        await terminal.recovery.take_in(typed_in(500, 3))

        assert await matched(journal) == {1: "sale-1", 2: "", 3: "sale-2"}


async def test_expecting_the_same_again_changes_nothing_and_something_else_is_refused(shop: Shop) -> None:
    journal, _ = await shop.open()
    async with journal:
        first = await journal.expect("sale-1", CHF7)

        assert await journal.expect("sale-1", CHF7) == first
        with pytest.raises(ReferenceReused):
            await journal.expect("sale-1", Money.of(1, "CHF"))
        with pytest.raises(PaymentNotFound):
            await journal.match("never seen", "sale-1", by="anna")


async def test_a_payment_that_was_reversed_is_offered_to_no_sale(shop: Shop) -> None:
    journal, terminal = await shop.open()
    async with journal:
        await terminal.recovery.take_in(typed_in(700, 1))
        [(found, _)] = await journal.unmatched()
        await journal.write(found.reference, "till-1", [(EntryKind.REVERSED, {"by": "r-1"})])

        assert await journal.unmatched() == ()
        with pytest.raises(InvalidRequest):
            await journal.match(found.reference, "sale-1", by="anna")
