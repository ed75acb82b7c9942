"""The state table of the virtual terminal: KIT fact sheet 4.10."""

from __future__ import annotations

import itertools

import pytest

from zahlwerk.errors import LocalProtocolError
from zahlwerk.virtual.states import FLAGS, TRANSITIONS, Input, State, advance


@pytest.mark.parametrize(("state", "happened"), list(itertools.product(State, Input)))
def test_each_state_and_input_follows_the_table_or_is_refused(state: State, happened: Input) -> None:
    expected = TRANSITIONS.get((state, happened))
    if expected is None:
        with pytest.raises(LocalProtocolError, match=f"impossible while {state.value}"):
            advance(state, happened)
    else:
        assert advance(state, happened) is expected


def test_every_state_can_be_reached_and_left() -> None:
    assert set(TRANSITIONS.values()) == set(State)
    assert {before for before, _ in TRANSITIONS} == set(State)
    assert set(FLAGS) == set(State)
