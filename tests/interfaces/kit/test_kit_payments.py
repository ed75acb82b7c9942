"""What the driver does about payments of before that nobody knows the outcome of."""

from __future__ import annotations

import asyncio

from tests.interop.kit_world import Rule, World, chf

from zahlwerk.interfaces.kit.attempts import attempt_from, ended
from zahlwerk.interfaces.kit.facts import End, Ending
from zahlwerk.lifecycle import PaymentState
from zahlwerk.payment import Outcome, Payment, PaymentKind, PaymentRequest
from zahlwerk.terminal import HoldId


async def test_a_hold_whose_capture_got_lost_is_settled_before_the_next_payment() -> None:
    """Though it was told as held before, and another payment has come and gone since."""
    world = World()
    await world.open()
    hold = await world.until(world.register.transact(PaymentRequest(kind=PaymentKind.AUTHORISATION, amount=chf(5000))))
    await world.until(world.register.transact(PaymentRequest(amount=chf(100))))
    lost = Rule(
        "TransactionConfirmationRequest", ">", world.wire.seen[">", "TransactionConfirmationRequest"] + 1,
        back_after_s=None,
    )  # fmt: skip
    world.wire.rules.append(lost)
    capture = await world.until(world.register.settle(HoldId(str(hold.sequence)), chf(3000)))
    world.wire.repair()
    following = await world.until(world.register.transact(PaymentRequest(amount=chf(200))))

    assert capture.outcome is Outcome.UNKNOWN
    assert following.is_approved
    assert world.charged() == 100 + 3000 + 200
    assert world.open_bookings() == 0
    await world.close()


async def test_a_payment_whose_caller_went_away_is_settled_before_the_next_one() -> None:
    """It had been confirmed, and the confirmation was lost: it is confirmed again, and not left open."""
    world = World()
    await world.open()
    lost = Rule(
        "TransactionConfirmationRequest", ">", world.wire.seen[">", "TransactionConfirmationRequest"] + 1,
        back_after_s=None,
    )  # fmt: skip
    world.wire.rules.append(lost)
    task = asyncio.ensure_future(world.register.transact(PaymentRequest(amount=chf(100))))
    while not world.wire.cuts:
        await world.pass_time(1.0)
    task.cancel()
    await world.until(_over(task))
    world.wire.repair()
    connected = len(world.wire.messages(">"))
    following = await world.until(world.register.transact(PaymentRequest(amount=chf(200))))

    asked = world.wire.messages(">")[connected:]
    assert asked.index("TransactionConfirmationRequest") < asked.index("TransactionRequest")
    assert world.wire.cuts == 1
    assert task.cancelled()
    assert following.is_approved
    assert world.charged() == 100 + 200
    assert world.open_bookings() == 0
    await world.close()


async def _over(task: asyncio.Future[Payment]) -> None:
    await asyncio.gather(task, return_exceptions=True)


def test_a_refusal_that_meets_a_caller_who_has_gone_away_is_an_outcome_as_well() -> None:
    """It ended in a KeyError instead of the cancellation. Found by the simulation."""
    started = Payment(
        reference="R1", kind=PaymentKind.PURCHASE, outcome=Outcome.UNKNOWN, state=PaymentState.UNKNOWN
    )  # fmt: skip

    assert ended(started, End(Ending.REFUSED, None, None, "")).state is PaymentState.FAILED


def test_a_counter_that_is_known_makes_nothing_else_be_forgotten() -> None:
    """A tip that was given at the terminal was lost over a restart, and so was that a decision may have left. Found by
    the simulation.
    """
    evidence = {"kind": "purchase", "requested_minor": "90110", "currency": "CHF", "counter_before": "3"}

    decided = attempt_from("R1", {**evidence, "confirm": "1", "approved_minor": "99121"}, 4).facts
    undecided = attempt_from("R1", evidence, 4).facts

    assert (decided.sequence, decided.approved_minor) == (4, 99121)
    assert not undecided.is_decision_known
