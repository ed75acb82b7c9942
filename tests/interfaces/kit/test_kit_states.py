"""The two tables both sides walk: each state times each input follows the table or is refused with nothing changed."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from itertools import product

import pytest

from zahlwerk.interfaces.kit.states import SESSIONS, TRANSACTIONS, Session, SessionInput, Trx, TrxInput, step

TABLES: list[tuple[Mapping[tuple[Enum, Enum], Enum], type[Enum], type[Enum], Enum]] = [
    (SESSIONS, Session, SessionInput, Session.DOWN),  # type: ignore[list-item]  # mappings are invariant in their key
    (TRANSACTIONS, Trx, TrxInput, Trx.IDLE),  # type: ignore[list-item]  # as above
]
each_table = pytest.mark.parametrize(("table", "states", "inputs", "start"), TABLES, ids=["session", "transaction"])


@each_table
class TestTables:
    def test_each_pair_follows_the_table_or_is_refused(
        self, table: Mapping[tuple[Enum, Enum], Enum], states: type[Enum], inputs: type[Enum], start: Enum
    ) -> None:
        for state, happened in product(states, inputs):
            assert step(table, state, happened) == table.get((state, happened))

    def test_keys_and_values_are_states_and_inputs(
        self, table: Mapping[tuple[Enum, Enum], Enum], states: type[Enum], inputs: type[Enum], start: Enum
    ) -> None:
        assert {state for state, _ in table} | set(table.values()) <= set(states)
        assert {happened for _, happened in table} == set(inputs)

    def test_every_state_can_be_reached_and_left_again(
        self, table: Mapping[tuple[Enum, Enum], Enum], states: type[Enum], inputs: type[Enum], start: Enum
    ) -> None:
        for state in states:
            assert state in reachable(table, start)
            assert start in reachable(table, state)

    def test_the_table_can_be_drawn(
        self, table: Mapping[tuple[Enum, Enum], Enum], states: type[Enum], inputs: type[Enum], start: Enum
    ) -> None:
        lines = [f"{a.name} --> {b.name}: {happened.value}" for (a, happened), b in table.items()]
        assert len(set(lines)) == len(table)
        assert all("\n" not in line for line in lines)


def reachable(table: Mapping[tuple[Enum, Enum], Enum], start: Enum) -> set[Enum]:
    found, open_ = {start}, [start]
    while open_:
        state = open_.pop()
        for (before, _), after in table.items():
            if before is state and after not in found:
                found.add(after)
                open_.append(after)
    return found


class TestMoney:
    """4.9, rule 4."""

    def test_a_decision_is_never_turned_into_the_other_one(self) -> None:
        assert step(TRANSACTIONS, Trx.CONFIRMING, TrxInput.ROLL_BACK) is None
        assert step(TRANSACTIONS, Trx.ROLLING_BACK, TrxInput.CONFIRM) is None

    def test_no_second_transaction_begins_before_the_first_is_over(self) -> None:
        assert [state for state in Trx if step(TRANSACTIONS, state, TrxInput.REQUEST)] == [Trx.IDLE]

    def test_nothing_is_confirmed_before_it_is_approved(self) -> None:
        assert step(TRANSACTIONS, Trx.RUNNING, TrxInput.CONFIRM) is None

    def test_a_lost_link_does_not_end_a_transaction(self) -> None:
        assert not any("LINK" in happened.name for happened in TrxInput)
