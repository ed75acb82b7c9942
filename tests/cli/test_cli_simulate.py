"""`zahlwerk simulate run`: for people, for programs, and what it leaves with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.cli_counter import Result

from zahlwerk.journal.records import Record
from zahlwerk.simulation.runner import Plan


def test_a_few_runs_say_what_they_came_to(run: Callable[..., Result]) -> None:
    result = run("simulate", "run", "--seeds", "5", "--workers", "1")

    assert result.code == 0
    assert "20 runs in " in result.out
    assert "no invariant broken" in result.out


def test_the_last_line_for_programs_has_the_figures(run: Callable[..., Result]) -> None:
    result = run("simulate", "run", "--seeds", "12", "--interface", "kit", "--workers", "1", "--json")

    told = json.loads(result.out.splitlines()[-1])
    assert result.code == 0
    assert (told["event"], told["seeds"], told["failures"]) == ("result", 12, 0)
    assert sum(told["faults"].values()) > 0
    assert told["seconds"] > 0
    assert told["interfaces"]["kit"]["payments"] > 12


def test_a_story_can_be_told_without_a_failure(run: Callable[..., Result]) -> None:
    result = run("simulate", "run", "--seeds", "1", "--interface", "zvt", "--story", "--workers", "1")

    assert "register  process starts" in result.out


def test_what_fails_is_told_saved_and_replayed(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Record, "may_be_tried_again", property(lambda record: not record.is_open))
    file = tmp_path / "failing.json"
    words = (
        "simulate",
        "run",
        "--interface",
        "kit",
        "--faults",
        "none",
        "--workers",
        "1",
        "--seeds",
        "60",
        "--fail-fast",
    )

    result = run(*words, "--shrink", "--save", str(file), "--json")

    failure = json.loads(result.out.splitlines()[0])
    assert result.code == 70
    assert failure["event"] == "failure"
    assert any("charged 2 times" in text for text in failure["problems"])
    assert len(failure["program"]) <= 2
    assert Plan.load(file).seed == failure["seed"]
    again = run("simulate", "run", "--replay", str(file))
    assert again.code == 70
    assert "charged 2 times" in again.out


def test_an_interface_that_is_not_simulated_is_said(run: Callable[..., Result]) -> None:
    result = run("simulate", "run", "--interface", "morse")

    assert result.code == 64
    assert "no interface 'morse'" in result.err
