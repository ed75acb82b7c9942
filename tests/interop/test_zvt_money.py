"""ZVT: what a driver says of money against a terminal's own books, in stories that have cost tills money."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from tests.interop.kit_world import Journal, Rule, chf
from tests.interop.zvt_ledger import Habits, LedgerWorld
from tests.interop.zvt_world import describe

from zahlwerk.errors import InvalidRequest, LinkError, MoneyMoved, PaymentNotFound, TerminalError, TerminalRefused
from zahlwerk.payment import Original, Outcome, Payment, PaymentKind, PaymentRequest
from zahlwerk.terminal import Decision, HoldId

CANNOT_TELL = (bytes.fromhex("80 00 00"), bytes.fromhex("06 1E 01 CC"))


def sale(reference: str, minor: int = 1250, **more: Any) -> PaymentRequest:
    return PaymentRequest(amount=chf(minor), reference=reference, **more)


async def opened(habits: Habits | None = None, **more: Any) -> LedgerWorld:
    world = LedgerWorld(habits, **more)
    await world.open()
    return world


async def paid(world: LedgerWorld, reference: str, minor: int = 1250) -> Payment:
    payment: Payment = await world.until(world.register.transact(sale(reference, minor), witness=Journal()))
    return payment


def lose(
    world: LedgerWorld, name: str, way: str = ">", *, nth: int = 1, before: bool = True, back: float = 0.0
) -> None:
    """Cut the line at the next message of that name."""
    world.wire.rules.append(Rule(name, way, world.wire.seen[way, name] + nth, before, "both", back))


class TestTwoEqualSales:
    """Pitfall 13: amount and time prove nothing."""

    async def test_after_a_decline_in_between_the_first_is_not_taken_for_the_second(self) -> None:
        """A declined payment has a time but no numbers, and is not stored: it is no "latest transaction"."""
        world = await opened()
        first = await paid(world, "sale-1")
        world.device.plan = ["decline"]
        second = await paid(world, "sale-2")
        lose(world, "authorisation")
        third = await paid(world, "sale-3")

        assert (first.outcome, second.outcome) == (Outcome.APPROVED, Outcome.DECLINED)
        assert len(world.standing()) == 1
        assert third.outcome is Outcome.FAILED, describe(world.wire)
        await world.close()

    async def test_an_unknown_one_is_not_settled_by_the_one_after_it(self) -> None:
        """On a terminal that had nothing to show before, whose answers then fail for a while."""
        world = await opened()
        lose(world, "authorisation", back=400.0)
        first = await paid(world, "sale-1")
        await world.pass_time(600.0)
        second = await paid(world, "sale-2")
        looked: Payment = await world.until(world.register.lookup("sale-1"))

        assert (first.outcome, second.outcome) == (Outcome.UNKNOWN, Outcome.APPROVED)
        assert len(world.standing()) == 1
        assert looked.outcome is Outcome.UNKNOWN, looked.message
        await world.close()

    async def test_nor_after_a_restart_by_one_of_the_new_process(self) -> None:
        world = await opened()
        await paid(world, "sale-0", 500)
        journal = Journal()
        lose(world, "authorisation", back=400.0)
        await world.until(world.register.transact(sale("sale-1"), witness=journal))
        await world.pass_time(600.0)
        await world.restart_register()
        await paid(world, "sale-2")
        looked: Payment = await world.until(world.register.lookup("sale-1", evidence=journal.evidence))

        assert [row.minor for row in world.standing()] == [500, 1250]
        assert looked.outcome is Outcome.UNKNOWN
        await world.close()

    async def test_nor_hours_later_by_what_another_process_sold(self) -> None:
        world = await opened()
        await paid(world, "sale-0", 500)
        journal = Journal()
        lose(world, "authorisation", back=400.0)
        await world.until(world.register.transact(sale("sale-1"), witness=journal))
        await world.restart_register()
        await world.pass_time(4 * 3600.0)
        await paid(world, "sale-2")
        await world.restart_register()
        looked: Payment = await world.until(world.register.lookup("sale-1", evidence=journal.evidence))

        assert looked.outcome is Outcome.UNKNOWN
        await world.close()

    async def test_nor_by_one_that_was_looked_up_before(self) -> None:
        """Two open ones of an earlier process, the newest looked up first: one transaction is not both of them."""
        world = await opened(Habits(undoes_after_s=None))
        await paid(world, "sale-0", 500)
        first, second = Journal(), Journal()
        lose(world, "authorisation", back=400.0)
        await world.until(world.register.transact(sale("sale-1"), witness=first))
        await world.restart_register()
        await world.pass_time(500.0)
        await world.until(world.register.open())
        lose(world, "status_information", "<", back=100.0)
        await world.until(world.register.transact(sale("sale-2"), witness=second))
        await world.pass_time(100.0)
        await world.restart_register()
        await world.until(world.register.open())
        found: Payment = await world.until(world.register.lookup("sale-2", evidence=second.evidence))
        other: Payment = await world.until(world.register.lookup("sale-1", evidence=first.evidence))

        assert (found.outcome, other.outcome) == (Outcome.APPROVED, Outcome.UNKNOWN)
        await world.close()

    async def test_an_end_of_day_of_the_same_sum_is_not_taken_for_the_sale_after_it(self) -> None:
        """Some terminals show the end of day as the latest transaction; its sum is that of the only sale."""
        world = await opened()
        await paid(world, "sale-1")
        await world.until(world.register.end_of_day())
        lose(world, "authorisation")
        second = await paid(world, "sale-2")

        assert second.outcome is Outcome.FAILED
        await world.close()

    async def test_a_terminal_that_cannot_tell_at_first_does_not_count_as_empty(self) -> None:
        """06 20 fails for want of paper when the register connects, then shows the sale of before."""
        world = await opened()
        await paid(world, "sale-1")
        await world.restart_register()
        world.device.script["0620"] = list(CANNOT_TELL)
        await world.until(world.register.open())
        lose(world, "authorisation")
        second = await paid(world, "sale-2")

        assert len(world.standing()) == 1
        assert second.outcome is Outcome.FAILED, second.message
        await world.close()

    async def test_a_look_that_shows_nothing_leaves_no_old_numbers_behind(self) -> None:
        """The first sale stands, but while it is asked about 06 20 fails; the second never reaches the terminal."""
        world = await opened(Habits(undoes_after_s=None))
        await paid(world, "sale-0", 500)
        lose(world, "status_information", "<")
        world.device.script["0620"] = list(CANNOT_TELL)
        first = await paid(world, "sale-1")
        world.device.script["0620"] = list(CANNOT_TELL)
        lose(world, "authorisation")
        second = await paid(world, "sale-2")

        assert [row.minor for row in world.standing()] == [500, 1250]
        assert first.outcome is Outcome.UNKNOWN
        assert second.outcome is Outcome.FAILED, second.message
        await world.close()

    async def test_a_result_told_late_once_more_is_not_the_next_one(self) -> None:
        """04 0F of the sale before arrives once more within the next procedure (6.10)."""
        world = await opened()
        await paid(world, "sale-1")
        again = next(piece for way, piece in reversed(world.wire.log) if way == "<" and piece[:2] == b"\x04\x0f")
        world.device.script["0601"] = [again, bytes.fromhex("80 00 00"), bytes.fromhex("06 1E 01 6C")]
        second = await paid(world, "sale-2")

        assert second.outcome is Outcome.ABORTED, describe(world.wire)
        await world.close()


class TestAnotherTerminal:
    async def test_in_its_place_proves_nothing_about_the_old_one(self) -> None:
        """Both have sold for the same amount a moment ago."""
        world = await opened(Habits(undoes_after_s=None))
        await paid(world, "sale-0", 500)
        lose(world, "authorisation", back=400.0)
        first = await paid(world, "sale-1")
        world.wire.repair()
        world.replace_device(Habits(terminal_id="62071999"))
        world.device.latest = world.device.book("0601", 1250)
        looked: Payment = await world.until(world.register.lookup("sale-1"))

        assert (first.outcome, looked.outcome) == (Outcome.UNKNOWN, Outcome.UNKNOWN)
        await world.close()

    async def test_an_empty_one_does_not_prove_that_the_full_one_was_empty(self) -> None:
        world = await opened(Habits(undoes_after_s=None))
        lose(world, "ack", "<", nth=1, back=30.0)
        task = asyncio.ensure_future(world.register.transact(sale("sale-1"), witness=Journal()))
        await world.pass_time(20.0, task)
        world.replace_device(Habits(terminal_id="62071999"))
        await world.pass_time(2_000.0, task)

        assert task.result().outcome is Outcome.UNKNOWN
        await world.close()


class TestAnAutoReversal:
    @pytest.mark.parametrize("undoes", ["gone", "failed", "reversal"])
    async def test_that_still_runs_when_asked_is_waited_for(self, undoes: str) -> None:
        """The answer to 04 0F is lost; asked at once the terminal still shows the approval (6.9, step 6)."""
        world = await opened(Habits(undoes=undoes, undoes_after_s=8.0))
        await paid(world, "sale-0", 500)
        lose(world, "status_information", "<", before=False)
        world.wire.rules[-1] = Rule("status_information", "<", world.wire.rules[-1].count, True, "both", 0.0)
        payment = await paid(world, "sale-1")
        await world.pass_time(60.0)

        assert [row.minor for row in world.standing()] == [500]
        assert payment.money_moved is MoneyMoved.NO, describe(world.wire)
        await world.close()


class TestADecisionAgainst:
    """The witness says no, and the terminal never heard it: the payment is reversed there."""

    async def against(self, world: LedgerWorld, reference: str) -> Payment:
        journal = Journal(Decision(confirm=False))
        payment: Payment = await world.until(world.register.transact(sale(reference), witness=journal))
        return payment

    async def test_that_got_lost_is_made_good_by_a_reversal(self) -> None:
        world = await opened(Habits(undoes_after_s=None))
        await paid(world, "sale-0", 500)
        lose(world, "8466")
        payment = await self.against(world, "sale-1")

        assert [row.command for row in world.standing()] == ["0601", "0630"]
        assert (payment.outcome, payment.money_moved) == (Outcome.ABORTED, MoneyMoved.NO)
        await world.close()

    async def test_whose_reversal_is_refused_as_done_before_is_done(self) -> None:
        """B4: already reversed; not "it still stands"."""
        world = await opened(Habits(undoes_after_s=None))
        await paid(world, "sale-0", 500)
        lose(world, "8466")
        world.device.script["0630"] = [bytes.fromhex("80 00 00"), bytes.fromhex("06 1E 01 B4")]
        payment = await self.against(world, "sale-1")

        assert (payment.outcome, payment.money_moved) == (Outcome.ABORTED, MoneyMoved.NO)
        await world.close()

    async def test_whose_reversal_got_lost_is_asked_about_and_told_as_it_is(self) -> None:
        world = await opened(Habits(undoes_after_s=None, undoes="reversal"))
        await paid(world, "sale-0", 500)
        lose(world, "8466")
        lose(world, "status_information", "<", nth=4, before=False, back=100.0)
        payment = await self.against(world, "sale-1")
        await world.pass_time(200.0)
        payment = await world.until(world.register.lookup("sale-1"))

        assert world.wire.cuts == 2
        assert world.device.heard.count("0630") == 1
        assert [row.minor for row in world.standing() if row.command == "0601"] == [500]
        assert payment.money_moved is MoneyMoved.NO, payment.message
        await world.close()


class TestTheSameReference:
    async def test_asked_for_again_is_told_and_never_sent_again(self) -> None:
        world = await opened(Habits(undoes_after_s=None))
        await paid(world, "sale-0", 500)
        lose(world, "status_information", "<", back=200.0)
        first = await paid(world, "sale-1")
        await world.pass_time(200.0)
        again = await paid(world, "sale-1")

        assert (first.outcome, again.outcome) == (Outcome.UNKNOWN, Outcome.APPROVED)
        assert world.device.heard.count("0601") == 2
        await world.close()

    async def test_with_another_amount_is_refused(self) -> None:
        world = await opened(Habits(undoes_after_s=None))
        await paid(world, "sale-0", 500)
        lose(world, "status_information", "<", back=200.0)
        await paid(world, "sale-1")
        await world.pass_time(200.0)
        with pytest.raises(InvalidRequest):
            await paid(world, "sale-1", 800)

        assert world.device.heard.count("0601") == 2
        await world.close()

    async def test_is_not_answered_with_another_payment_of_the_same_receipt_number(self) -> None:
        """Receipt numbers begin again after an end of day."""
        world = await opened()
        first = await paid(world, "sale-new")
        evidence = {"kind": "purchase", "requested_minor": "800", "currency": "CHF", "started": "2026-11-20T12:00:00"}
        looked: Payment = await world.until(
            world.register.lookup("sale-old", sequence=first.sequence, evidence=evidence | {"confirm": "1"})
        )
        assert (looked.reference, looked.outcome) == ("sale-old", Outcome.UNKNOWN)
        await world.close()


class TestAHoldInDoubt:
    async def held(self, world: LedgerWorld) -> HoldId:
        request = PaymentRequest(kind=PaymentKind.AUTHORISATION, amount=chf(5000), reference="hold-1")
        payment: Payment = await world.until(world.register.transact(request))
        assert payment.sequence is not None
        return HoldId(str(payment.sequence))

    async def test_a_capture_asked_for_again_is_not_sent_again(self) -> None:
        world = await opened(Habits(undoes_after_s=None))
        hold = await self.held(world)
        lose(world, "completion", "<", back=200.0)
        first: Payment = await world.until(world.register.settle(hold, chf(840)))
        await world.pass_time(200.0)
        again: Payment = await world.until(world.register.settle(hold, chf(840)))

        assert (first.outcome, again.outcome, again.approved) == (Outcome.UNKNOWN, Outcome.APPROVED, chf(840))
        assert world.device.heard.count("0624") == 1
        assert [row.minor for row in world.standing()] == [840]
        await world.close()

    async def test_a_lookup_tells_what_became_of_the_capture(self) -> None:
        world = await opened(Habits(undoes_after_s=None))
        hold = await self.held(world)
        lose(world, "completion", "<", back=200.0)
        await world.until(world.register.settle(hold, chf(840)))
        await world.pass_time(200.0)
        looked: Payment = await world.until(world.register.lookup("hold-1"))

        assert (looked.reference, looked.state.value, looked.approved) == ("hold-1", "captured", chf(840))
        await world.close()

    async def test_one_cancelled_on_the_way_is_not_released_behind_its_back(self) -> None:
        world = await opened(Habits(undoes_after_s=None))
        hold = await self.held(world)
        task = asyncio.ensure_future(world.register.settle(hold, chf(840)))
        await world.pass_time(1.0, task)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await world.pass_time(30.0)
        with pytest.raises(TerminalRefused) as caught:
            await world.until(world.register.settle(hold, None))

        assert caught.value.money_moved is MoneyMoved.YES
        assert "0625" not in world.device.heard
        assert [row.minor for row in world.standing()] == [840]
        await world.close()

    async def test_a_capture_that_got_lost_is_sent_once_it_is_known_to_be_lost(self) -> None:
        world = await opened()
        hold = await self.held(world)
        lose(world, "book_total", back=200.0)
        await world.until(world.register.settle(hold, chf(840)))
        await world.pass_time(200.0)
        again: Payment = await world.until(world.register.settle(hold, chf(840)))

        assert again.outcome is Outcome.APPROVED
        assert [row.minor for row in world.standing()] == [840]
        await world.close()


class TestAnAbort:
    async def test_that_was_not_answered_is_waited_for_before_the_next_command(self) -> None:
        """06 B0 and 06 1E cross: a late 84 83 would pass for "not started", and the payment would run unseen (6.7)."""
        world = await opened()
        sent: list[tuple[float, str]] = []

        def hook(way: str, piece: bytes) -> list[tuple[float, bytes]]:
            if way == ">":
                sent.append((world.clock.now_s(), piece[:2].hex()))
            return [] if piece[:2] == b"\x06\xb0" else [(0.0, piece)]

        world.device.plan = ["decline"]
        world.wire.hook = hook
        task = asyncio.ensure_future(world.register.transact(sale("sale-1"), witness=Journal()))
        await world.pass_time(1.0, task)
        await world.register.abort()
        await world.pass_time(100.0, task)
        second = await paid(world, "sale-2")

        aborted_s = next(at_s for at_s, code in sent if code == "06b0")
        following = [at_s for at_s, code in sent if at_s > aborted_s and code in {"0620", "0601"}]
        assert (task.result().outcome, second.outcome) == (Outcome.DECLINED, Outcome.APPROVED)
        assert min(following) >= aborted_s + 5.0
        await world.close()


class TestAReservation:
    async def test_cancelled_in_doubt_after_a_restart_is_told_by_its_trace(self) -> None:
        world = await opened(Habits(undoes_after_s=None))
        request = PaymentRequest(kind=PaymentKind.RESERVATION, amount=chf(9000), reference="stay-1")
        stay: Payment = await world.until(world.register.transact(request))
        await paid(world, "sale-0", 500)
        await world.restart_register()
        cancel = PaymentRequest(
            kind=PaymentKind.RESERVATION_CANCEL, reference="stay-2",
            original=Original(transaction_reference=stay.transaction_reference),
        )  # fmt: skip
        journal = Journal()
        lose(world, "status_information", "<", nth=2, back=100.0)
        task = asyncio.ensure_future(world.register.transact(cancel, witness=journal))
        await world.pass_time(20.0, task)
        await world.restart_register()
        await asyncio.gather(task, return_exceptions=True)
        await world.pass_time(200.0)
        looked: Payment = await world.until(world.register.lookup("stay-2", evidence=journal.evidence))

        assert looked.outcome is Outcome.APPROVED, looked.message
        await world.close()


async def open_at_last(world: LedgerWorld) -> None:
    while True:
        try:
            await world.register.open()
        except (LinkError, TerminalError):  # it still works on what it was asked for
            await world.clock.sleep_until(world.clock.now_s() + 3.0)
        else:
            return


async def interrupted(turns: int, how: str, habits: Habits) -> tuple[bool, bool]:
    """A payment that is interrupted after so many turns of the loop; whether it was over before, and if it is known."""
    world = await opened(habits)
    await paid(world, "sale-0")
    journal = Journal()
    task = asyncio.ensure_future(world.register.transact(sale("sale-1"), witness=journal))
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]  # as in World.quiet
    for _ in range(turns):
        await asyncio.sleep(0)
        if not ready and not task.done():
            deadline_s = world.clock.next_deadline_s()
            assert deadline_s is not None
            await world.clock.advance(deadline_s - world.clock.now_s(), settle_turns=0)
    was_over = task.done()
    if how == "cancel":
        task.cancel()
    elif how == "restart":
        await world.restart_register()
    else:
        await world.until(world.register.close())
    await world.pass_time(2_000.0, task)
    assert task.done()
    await asyncio.gather(task, return_exceptions=True)
    await world.until(open_at_last(world))
    known: Payment | None = None
    if journal.evidence is not None:
        evidence = journal.evidence if how == "restart" else None
        with contextlib.suppress(PaymentNotFound):  # it was stopped before anything was sent
            known = await world.until(world.register.lookup("sale-1", evidence=evidence))
    await world.pass_time(60.0)
    standing = len(world.standing()) - 1
    told = describe(world.wire)
    assert standing in {0, 1}, told
    if known is None:
        assert standing == 0, told
    elif known.money_moved is not MoneyMoved.MAYBE:
        assert standing == (known.money_moved is MoneyMoved.YES), told
    after = await paid(world, "sale-2")
    assert after.outcome is Outcome.APPROVED, told
    assert len(world.standing()) == standing + 2, told
    await world.close()
    return was_over, known is None or known.outcome is not Outcome.UNKNOWN


@pytest.mark.parametrize("how", ["cancel", "close", "restart"])
@pytest.mark.parametrize("undoes_after_s", [None, 0.0, 8.0])
class TestAnInterruptionAtAnyAwait:
    async def test_is_told_right_afterwards(self, how: str, undoes_after_s: float | None) -> None:
        habits = Habits(undoes_after_s=undoes_after_s)
        ends = [await interrupted(turns, how, habits) for turns in range(0, 240, 5)]

        assert not ends[0][0]
        assert ends[-1][0], "more turns are needed to reach the end"
        assert all(is_known for _, is_known in ends)
