"""The machine's table: every pair, and no delivery without money held."""

from __future__ import annotations

import pytest

from zahlwerk.errors import LocalProtocolError
from zahlwerk.vending import VENDING, VendingState, VendingStep, vend

PAIRS = [(state, step) for state in VendingState for step in VendingStep]


@pytest.mark.parametrize(("state", "step"), PAIRS, ids=[f"{state.name}-{step.name}" for state, step in PAIRS])
def test_a_vending_step_follows_the_table_or_is_refused(state: VendingState, step: VendingStep) -> None:
    """A pair that is missing is forbidden."""
    if (state, step) in VENDING:
        assert vend(state, step) is VENDING[state, step]
        return

    with pytest.raises(LocalProtocolError, match=f"a machine that is {state.value} cannot {step.value}"):
        vend(state, step)


@pytest.mark.parametrize("state", list(VendingState))
def test_every_session_can_come_back_to_idle(state: VendingState) -> None:
    """And every state is reached from it."""
    reached = {state}
    for _ in VendingState:
        reached |= {after for (before, _), after in VENDING.items() if before in reached}

    assert reached == set(VendingState)


def test_nothing_is_dispensed_before_an_amount_is_held_nor_captured_before_delivery() -> None:
    """The only ways into the two states that matter."""

    assert {pair for pair, after in VENDING.items() if after is VendingState.DISPENSING} == {
        (VendingState.APPROVED, VendingStep.DISPENSE)
    }
    assert {pair for pair, after in VENDING.items() if after is VendingState.SETTLING} == {
        (VendingState.DISPENSING, VendingStep.SUCCEED)
    }
