"""Money where two things happen at once: holds beside payments, lost captures, aborts, restarts."""

from __future__ import annotations

import asyncio

import pytest
from tests.interop.kit_world import Journal, Rule, World, name_of_line

from zahlwerk.errors import MoneyMoved, TerminalError
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentKind, PaymentRequest
from zahlwerk.terminal import HoldId
from zahlwerk.virtual.settings import Settings


def chf(minor: int) -> Money:
    return Money.of(minor, "CHF")


def purchase(reference: str = "sale-1") -> PaymentRequest:
    return PaymentRequest(amount=chf(1250), reference=reference)


async def opened(*rules: Rule, card: str = "visa") -> World:
    world = World(rules=list(rules), settings=Settings(seed=1, card=card))
    await world.open()
    return world


async def held(world: World, reference: str = "hold-1") -> HoldId:
    payment = await world.until(
        world.register.transact(
            PaymentRequest(kind=PaymentKind.AUTHORISATION, amount=chf(5000), reference=reference), witness=Journal()
        )
    )
    assert payment.state is PaymentState.HELD
    return HoldId(str(payment.sequence))


class TestHoldsBesidePayments:
    async def test_the_answer_to_a_hold_never_confirms_a_payment(self) -> None:
        """The payment's own Confirm is lost, the hold's is answered: only the hold is settled."""
        world = await opened()
        hold = await held(world)
        lost = [True]

        def lose_the_payments(way: str, line: bytes) -> list[tuple[float, bytes]]:
            is_payments = (
                way == ">"
                and b'"TransactionConfirmationRequest"' in line
                and f'"TrxSeqCnt":{hold}'.encode() not in line
            )
            return [] if is_payments and lost[0] else [(0.0, line)]

        world.wire.hook = lose_the_payments
        paying = asyncio.ensure_future(world.register.transact(purchase(), witness=Journal()))
        await world.pass_time(1.0)
        settling = asyncio.ensure_future(world.register.settle(hold, chf(840)))
        await world.pass_time(400.0, settling)
        lost[0] = False
        await world.pass_time(400.0, paying)
        payment, captured = paying.result(), settling.result()
        assert captured.state is PaymentState.CAPTURED
        assert world.charged() == 840 + (1250 if payment.outcome is Outcome.APPROVED else 0)
        await world.close()

    @pytest.mark.parametrize("amount", [None, 840])
    async def test_holds_and_payments_at_the_same_moment_are_both_right(self, amount: int | None) -> None:
        world = await opened()
        hold = await held(world)
        paying = asyncio.ensure_future(world.register.transact(purchase(), witness=Journal()))
        settled = await world.until(world.register.settle(hold, None if amount is None else chf(amount)))
        await world.pass_time(300.0, paying)
        payment = paying.result()
        assert payment.outcome is Outcome.APPROVED
        assert settled.state is (PaymentState.RELEASED if amount is None else PaymentState.CAPTURED)
        assert (world.charged(), world.open_bookings()) == (1250 + (amount or 0), 0)
        await world.close()


LOST = [
    Rule("TransactionConfirmationRequest", ">", 1, before, "both", back)
    for before in (True, False)
    for back in (0.0, 10.0, 100.0, None)
] + [Rule("TransactionConfirmationResponse", "<", 1, before, "both", back) for before in (True, False) for back in (0.0, 100.0, None)]  # fmt: skip


def case_id(rule: Rule) -> str:
    return f"{name_of_line(chr(34).encode() + rule.name.encode() + chr(34).encode())}-{rule.before}-{rule.back_after_s}"


@pytest.mark.parametrize("rule", LOST, ids=case_id)
class TestALostSettlement:
    """A link that is cut while a hold is captured or released."""

    @pytest.mark.parametrize("amount", [840, None])
    async def test_the_end_is_true_or_unknown_and_the_same_call_settles_it(
        self, rule: Rule, amount: int | None
    ) -> None:
        world = await opened(rule)
        hold = await held(world)
        wanted = None if amount is None else chf(amount)
        payment = await world.until(world.register.settle(hold, wanted))
        if payment.outcome is Outcome.UNKNOWN:
            world.wire.repair()
            await world.pass_time(30.0)
            payment = await world.until(world.register.settle(hold, wanted))
        assert payment.state is (PaymentState.CAPTURED if amount else PaymentState.RELEASED)
        assert (world.charged(), world.captures(), world.open_bookings()) == (amount or 0, int(bool(amount)), 0)
        await world.close()

    async def test_a_capture_nobody_knows_the_end_of_cannot_be_released(self, rule: Rule) -> None:
        world = await opened(rule)
        hold = await held(world)
        first = await world.until(world.register.settle(hold, chf(840)))
        if first.outcome is Outcome.UNKNOWN:
            world.wire.repair()
            await world.pass_time(30.0)
            for other in (None, chf(900)):
                with pytest.raises(TerminalError) as caught:
                    await world.until(world.register.settle(hold, other))
                assert caught.value.money_moved is not MoneyMoved.NO
            first = await world.until(world.register.settle(hold, chf(840)))
        assert (first.state, world.charged()) == (PaymentState.CAPTURED, 840)
        await world.close()

    async def test_a_lost_capture_is_looked_up_as_captured(self, rule: Rule) -> None:
        world = await opened(rule)
        hold = await held(world)
        await world.until(world.register.settle(hold, chf(840)))
        world.wire.repair()
        await world.pass_time(30.0)
        found = await world.until(world.register.lookup("hold-1"))
        assert (found.outcome, found.state, found.approved) == (Outcome.APPROVED, PaymentState.CAPTURED, chf(840))
        assert (world.charged(), world.register._side.holds) == (840, set())
        await world.close()


HOLD_POINTS = [(">", "TransactionRequest"), ("<", "StatusResponse"), ("<", "TransactionResponse")]


@pytest.mark.parametrize("back", [0.0, 10.0, 100.0, None])
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(("way", "name"), HOLD_POINTS)
class TestALostHold:
    async def test_none_is_left_open_that_nobody_knows(
        self, way: str, name: str, before: bool, back: float | None
    ) -> None:
        world = await opened(Rule(name, way, 2 if name == "StatusResponse" else 1, before, "both", back))
        request = PaymentRequest(kind=PaymentKind.AUTHORISATION, amount=chf(5000), reference="hold-1")
        payment = await world.until(world.register.transact(request, witness=Journal()))
        if payment.outcome is Outcome.UNKNOWN:
            world.wire.repair()
            await world.pass_time(100.0)
            payment = await world.until(world.register.lookup("hold-1"))
        assert payment.outcome is not Outcome.UNKNOWN
        assert world.open_bookings() == (payment.state is PaymentState.HELD)
        if payment.state is PaymentState.HELD:
            world.wire.repair()
            await world.pass_time(60.0)
            await world.until(world.register.settle(HoldId(str(payment.sequence)), None))
        assert (world.charged(), world.open_bookings()) == (0, 0)
        await world.close()

    async def test_another_process_finds_it_by_its_evidence(
        self, way: str, name: str, before: bool, back: float | None
    ) -> None:
        world = await opened(Rule(name, way, 2 if name == "StatusResponse" else 1, before, "both", back))
        journal = Journal()
        request = PaymentRequest(kind=PaymentKind.AUTHORISATION, amount=chf(5000), reference="hold-1")
        task = asyncio.ensure_future(world.register.transact(request, witness=journal))
        await world.pass_time(1.0)
        await world.restart_register()
        await asyncio.gather(task, return_exceptions=True)
        world.wire.repair()
        await world.until(world.register.open())
        assert journal.evidence is not None
        evidence = journal.evidence | {"confirm": journal.evidence.get("confirm", "none")}
        found = await world.until(world.register.lookup("hold-1", evidence=evidence))
        assert found.outcome is not Outcome.UNKNOWN
        if found.state is PaymentState.HELD:
            assert found.approved == chf(5000)
            await world.until(world.register.settle(HoldId(str(found.sequence)), None))
        await world.pass_time(200.0)
        assert (world.charged(), world.open_bookings()) == (0, 0)
        await world.close()


class TestAborts:
    async def test_an_abort_during_the_preparation_is_not_lost(self) -> None:
        world = await opened(card="none")
        task = asyncio.ensure_future(world.register.transact(purchase(), witness=Journal()))
        await asyncio.sleep(0)
        await world.register.abort()
        await world.pass_time(200.0, task)
        assert (task.result().outcome, world.charged()) == (Outcome.ABORTED, 0)
        await world.close()

    @pytest.mark.parametrize("after_s", [0.0, 0.1, 0.3, 0.31, 0.5, 0.65, 0.7])
    async def test_a_cancelled_caller_leaves_the_truth_behind(self, after_s: float) -> None:
        world = await opened()
        task = asyncio.ensure_future(world.register.transact(purchase(), witness=Journal()))
        await world.pass_time(after_s)
        task.cancel()
        await world.pass_time(300.0, task)
        await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled():
            assert world.charged() == 1250
        else:
            found = await world.until(lookup_or_none(world))
            assert world.charged() == (1250 if found is Outcome.APPROVED else 0)
        assert world.open_bookings() == 0
        assert (await world.until(world.register.transact(purchase("sale-2"), witness=Journal()))).is_approved
        await world.close()


async def lookup_or_none(world: World) -> Outcome | None:
    try:
        found: Payment = await world.register.lookup("sale-1")
        return found.outcome
    except TerminalError:
        return None


class TestRegistersThatKeepNoRecord:
    async def test_an_approval_from_before_a_restart_is_taken_back_before_the_next_payment(self) -> None:
        world = await opened(Rule("TransactionResponse", "<", 1, True, "both", 0.0))
        task = asyncio.ensure_future(world.register.transact(purchase(), witness=Journal()))
        await world.pass_time(0.8)
        await world.restart_register()
        await asyncio.gather(task, return_exceptions=True)
        await world.until(world.register.open())
        payment = await world.until(world.register.transact(purchase("sale-2"), witness=Journal()))
        assert payment.outcome is Outcome.APPROVED
        assert (world.charged(), world.open_bookings()) == (1250, 0)
        await world.close()

    async def test_a_hold_from_before_a_restart_is_not_touched(self) -> None:
        """The journal may know it, and captures it later."""
        world = await opened()
        hold = await held(world)
        await world.restart_register()
        await world.until(world.register.open())
        await world.until(world.register.transact(purchase(), witness=Journal()))
        captured = await world.until(world.register.settle(hold, chf(840)))
        assert (captured.state, world.charged()) == (PaymentState.CAPTURED, 2090)
        await world.close()
