"""Whole days under faults: whatever happens, the host's books, the journal and what the register was told agree."""

from __future__ import annotations

import pytest

from zahlwerk.simulation.runner import Plan, run_once
from zahlwerk.simulation.setups import SETUPS


@pytest.mark.parametrize("interface", sorted(SETUPS))
class TestARun:
    def test_without_faults_holds(self, interface: str) -> None:
        for seed in range(10):
            assert run_once(Plan(seed, interface, "none")).problems == []

    def test_tells_the_same_story_twice(self, interface: str) -> None:
        first, second = (run_once(Plan(7, interface, "all"), story=True) for _ in range(2))

        assert first.story == second.story
        assert len(first.story) > 1000

    def test_can_be_replayed_from_the_faults_that_happened(self, interface: str) -> None:
        drawn = run_once(Plan(7, interface, "all"), story=True)

        replayed = run_once(Plan(7, interface, "all", drawn.program, tuple(drawn.faults)), story=True)

        assert replayed.story == drawn.story
