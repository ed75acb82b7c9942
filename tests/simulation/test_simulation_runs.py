"""Whole days under faults: whatever happens, the host's books, the journal and what the register was told agree."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import pytest

from zahlwerk.simulation.faults import KINDS
from zahlwerk.simulation.runner import Plan, Report, plans, run_once
from zahlwerk.simulation.setups import SETUPS

STORIES = """
import hashlib
from zahlwerk.simulation.runner import Plan, run_once
for interface in ("kit", "kit-serial", "zvt", "zvt-serial"):
    for seed in (3, 7, 11):
        told = run_once(Plan(seed, interface, "all"), story=True).story
        print(interface, seed, hashlib.sha256(told.encode()).hexdigest())
"""


@pytest.mark.parametrize("interface", sorted(SETUPS))
class TestADayUnderFaults:
    """Design 6: the invariants. More of them: zahlwerk simulate run --seeds 10000."""

    @pytest.mark.parametrize("start", range(0, 60, 20))
    def test_the_books_agree_afterwards(self, interface: str, start: int) -> None:
        report = Report()
        for plan in plans(range(start, start + 20), interface, "all"):
            report.add(run_once(plan))

        report.raise_if_failed()

    def test_without_faults_next_to_nothing_is_left_to_a_person(self, interface: str) -> None:
        """A register that goes away in the middle is part of any day; ZVT with an open keypad cannot tell what it paid."""
        report = Report()
        for plan in plans(range(15), interface, "none"):
            report.add(run_once(plan))

        report.raise_if_failed()
        assert report.figures[interface].in_doubt <= (1 if interface.startswith("zvt") else 0)

    @pytest.mark.parametrize("profile", ["links", "crashes", "terminal", "disk", "clock"])
    def test_the_books_agree_under_one_kind_of_fault(self, interface: str, profile: str) -> None:
        report = Report()
        for plan in plans(range(200, 206), interface, profile):
            report.add(run_once(plan))

        report.raise_if_failed()


class TestOneSeedIsOneRun:
    @pytest.mark.parametrize("interface", sorted(SETUPS))
    def test_it_tells_the_same_story_twice(self, interface: str) -> None:
        first, second = (run_once(Plan(7, interface, "all"), story=True) for _ in range(2))

        assert first.story == second.story
        assert len(first.story) > 1000

    def test_in_other_processes_too_whatever_the_seed_of_hashes(self) -> None:
        told = [
            subprocess.run(
                [sys.executable, "-c", STORIES],
                env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True, timeout=100,
            ).stdout
            for seed in ("1", "2")
        ]  # fmt: skip

        assert told[0] == told[1]
        here = hashlib.sha256(run_once(Plan(7, "zvt", "all"), story=True).story.encode()).hexdigest()
        assert f"zvt 7 {here}" in told[0].decode()

    @pytest.mark.parametrize("interface", sorted(SETUPS))
    def test_it_can_be_replayed_from_the_faults_that_happened(self, interface: str) -> None:
        drawn = run_once(Plan(7, interface, "all"), story=True)

        replayed = run_once(Plan(7, interface, "all", drawn.program, drawn.faults), story=True)

        assert replayed.story == drawn.story

    def test_another_seed_is_another_run(self) -> None:
        assert len({run_once(Plan(seed, "kit", "all"), story=True).story for seed in range(5)}) == 5


def test_every_kind_of_fault_happens() -> None:
    report = Report()
    for plan in plans(range(100), "kit", "all"):
        report.add(run_once(plan))

    assert set(report.faults_by_kind()) == set(KINDS)
    assert report.never("all")["kit"], "a hundred runs do not meet everything; ten thousand are for that"
