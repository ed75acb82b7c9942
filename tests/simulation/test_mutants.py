"""The simulation finds planted faults: each mutant breaks an invariant soon, on seeds that pass without it."""

from __future__ import annotations

from functools import cache

import pytest
from tests.simulation.mutants import LIMIT, MUTANTS, Mutant, first_caught

from zahlwerk.simulation.runner import Plan, run_once

IDS = [f"{mutant.name}-{mutant.interface}" for mutant in MUTANTS]


@cache
def problems_without_a_fault(seed: int, interface: str, profile: str) -> tuple[str, ...]:
    return tuple(run_once(Plan(seed, interface, profile)).problems)


@pytest.mark.parametrize("mutant", MUTANTS, ids=IDS)
def test_a_planted_fault_is_found_and_nothing_else(mutant: Mutant) -> None:
    found = first_caught(mutant, range(mutant.within))

    assert found is not None, f"{mutant.what}: not one of {mutant.within} seeds has found it"
    for seed in range(found.plan.seed + 1):
        assert not problems_without_a_fault(seed, mutant.interface, mutant.profile)


def test_there_are_faults_in_every_part() -> None:
    assert len(set(IDS)) == len(MUTANTS) >= 16
    assert {mutant.part for mutant in MUTANTS} == {"journal", "driver", "endpoint"}
    assert {mutant.interface for mutant in MUTANTS} >= {"kit", "zvt"}
    assert all(mutant.within <= LIMIT for mutant in MUTANTS)
