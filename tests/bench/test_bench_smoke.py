"""The benchmarks run and tell figures. How fast anything is, no test asks: machines differ."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any

import pytest
from bench.__main__ import BENCHMARKS, main
from bench.figures import Figure, percentile
from bench.shop import ROOT

FIGURES = {"kit-messages": 15, "card-payments": 8, "start-up": 5, "hundred-terminals": 5, "zvt": 11, "journal": 33}


def is_figure(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def bench(*arguments: str) -> str:
    command = [sys.executable, "-m", "bench", "--quick", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=100).stdout


@pytest.mark.parametrize("name", sorted(BENCHMARKS))
def test_each_benchmark_gives_its_figures(name: str) -> None:
    """In an interpreter of its own, as it is measured; a ratio wherever there is a peer."""
    told = json.loads(bench("--json", "--only", name))

    assert told["quick"] is True
    assert [figure["benchmark"] for figure in told["figures"]] == [name] * FIGURES[name]
    assert [figure["what"] for figure in told["figures"] if not is_figure(figure["value"])] == []
    assert [figure["what"] for figure in told["figures"] if figure["peer"] and not is_figure(figure["ratio"])] == []


def test_people_get_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """With the peer, the ratio and the aim."""
    assert main(["--quick", "--only", "kit-messages"]) == 0

    shown = capsys.readouterr().out
    assert "bare msgspec" in shown
    assert "ratio" in shown
    assert "aim" in shown


def test_a_benchmark_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """The names that exist are told."""
    with pytest.raises(SystemExit):
        main(["--only", "horses"])

    assert "kit-messages" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "aim", "aim_is_ratio", "met"),
    [
        pytest.param(3.0, None, False, None, id="no aim"),
        pytest.param(3.0, 3.0, False, True, id="just met"),
        pytest.param(3.0, 2.9, False, False, id="missed"),
        pytest.param(3.0, 1.5, True, True, id="ratio met"),
        pytest.param(3.0, 1.4, True, False, id="ratio missed"),
    ],
)
def test_an_aim_is_met_or_missed(value: float, aim: float | None, aim_is_ratio: bool, met: bool | None) -> None:
    """By the value, or by its ratio to a peer of 2."""
    figure = Figure(
        benchmark="b", what="w", value=value, unit="ms", peer="p", peer_value=2.0, aim=aim, aim_is_ratio=aim_is_ratio
    )

    assert figure.met is met


def test_a_figure_travels_between_processes() -> None:
    """As JSON, there and back."""
    figure = Figure(benchmark="b", what="w", value=3.0, unit="ms", peer="p", peer_value=2.0, aim=1.0)

    assert Figure.from_json(json.loads(json.dumps(figure.as_json()))) == figure


def test_a_percentile_is_one_of_the_values() -> None:
    """The largest for 100, and for few values."""
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert percentile([3.0, 1.0, 2.0], 99) == 3.0
    assert percentile(list(range(1, 101)), 100) == 100
