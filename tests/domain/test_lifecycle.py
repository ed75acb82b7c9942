"""Every pair of state and step, and what the table promises as a whole."""

from __future__ import annotations

import pytest

from zahlwerk.errors import LocalProtocolError, MoneyMoved
from zahlwerk.lifecycle import FINAL, MONEY, TRANSITIONS, PaymentState, Step, advance

PAIRS = [(state, step) for state in PaymentState for step in Step]
STARTS = {PaymentState.REQUESTED, PaymentState.STANDALONE}


def _reachable(starts: set[PaymentState]) -> set[PaymentState]:
    found: set[PaymentState] = set()
    new = set(starts)
    while new:
        found |= new
        new = {after for (before, _), after in TRANSITIONS.items() if before in found} - found
    return found


@pytest.mark.parametrize(("state", "step"), PAIRS, ids=[f"{state.name}-{step.name}" for state, step in PAIRS])
def test_a_step_follows_the_table_or_is_refused(state: PaymentState, step: Step) -> None:
    """A pair that is missing is forbidden, and the refusal says what is possible."""
    if (state, step) in TRANSITIONS:
        assert advance(state, step) is TRANSITIONS[state, step]
        return
    with pytest.raises(
        LocalProtocolError, match=f"a payment that is {state.value} cannot {step.value}; possible: "
    ) as caught:
        advance(state, step)

    assert caught.value.money_moved is MoneyMoved.NO


def test_every_state_can_be_reached() -> None:
    """From a request, or from the terminal's own keypad."""

    assert _reachable(STARTS) == set(PaymentState)


@pytest.mark.parametrize("state", [state for state in PaymentState if state not in FINAL])
def test_every_open_state_has_a_way_to_an_end(state: PaymentState) -> None:
    """Nothing stays open for good."""

    assert _reachable({state}) & FINAL


@pytest.mark.parametrize("state", [state for state in PaymentState if state in FINAL])
def test_from_an_end_only_a_new_operation_leads_on(state: PaymentState) -> None:
    """What is final is undone by a reversal or refund, never by an answer that comes late."""

    assert {step for before, step in TRANSITIONS if before is state} <= {Step.REVERSE, Step.REFUND}


def test_money_says_something_about_every_state() -> None:
    """And an open state past the request never says that money certainly did not move."""

    assert set(MONEY) == set(PaymentState)
    assert {state for state in set(PaymentState) - FINAL if MONEY[state] is MoneyMoved.NO} == {PaymentState.REQUESTED}
    assert {MONEY[state] for state in FINAL} == {MoneyMoved.NO, MoneyMoved.YES}


def test_every_step_is_used() -> None:
    """No dead vocabulary."""

    assert {step for _, step in TRANSITIONS} == set(Step)


@pytest.mark.parametrize(
    "state", [s for s in PaymentState if MONEY[s] is MoneyMoved.MAYBE and s is not PaymentState.HELD]
)
def test_whatever_may_have_moved_money_can_get_lost(state: PaymentState) -> None:
    """The plug can be pulled in every such state; a hold then simply stays held."""

    assert advance(state, Step.LOSE) is PaymentState.UNKNOWN


def test_a_payment_that_is_unknown_can_turn_out_to_be_anything_the_terminal_knows() -> None:
    """Recovery is never stuck."""
    ends = {TRANSITIONS[PaymentState.UNKNOWN, step] for step in Step if (PaymentState.UNKNOWN, step) in TRANSITIONS}

    assert ends >= FINAL - {PaymentState.REVERSED, PaymentState.REFUNDED, PaymentState.STANDALONE}


def test_the_tables_cannot_be_changed() -> None:
    """Read by many, changed by none."""

    with pytest.raises(TypeError):
        TRANSITIONS[PaymentState.FAILED, Step.CONFIRM] = PaymentState.CONFIRMED  # type: ignore[index]  # what is refused
