"""A failing run made small: the fewest faults and actions that still break an invariant of the same kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from zahlwerk.simulation.faults import Fault
from zahlwerk.simulation.program import Action
from zahlwerk.simulation.runner import Plan, Result, run_once

__all__ = ["shrink"]

T = TypeVar("T")
# LIMIT: runs that one failure may cost.
RUNS_MAX: Final = 400
_VARIABLE: Final = re.compile(r"\d+|CHF|sale\S*")


def shrink(result: Result, *, runs_max: int = RUNS_MAX, run: Callable[[Plan], Result] = run_once) -> Result:
    """The smallest failing run that was found; the run itself if nothing could be left out.

    Args:
        result: a run that failed.
        runs_max: how many runs may be tried.
        run: how to run; tests and users with code of their own give another one.
    """
    wanted = _kind_of(result)
    best = result
    left = runs_max

    def still_fails(program: Sequence[Action], faults: Sequence[Fault]) -> bool:
        nonlocal best, left
        if left <= 0:
            return False
        left -= 1
        tried = run(replace(result.plan, program=tuple(program), faults=tuple(faults)))
        if not (tried.failed and wanted & _kind_of(tried)):
            return False
        # What did not happen any more need not be listed.
        best = replace(tried, plan=replace(tried.plan, program=tried.program, faults=tried.faults))
        return True

    if not still_fails(result.program, result.faults):
        return result  # not a replay: it depends on something else than the listed faults
    while left > 0:
        before = (len(best.program), len(best.faults))
        _reduce(list(best.faults), lambda faults: still_fails(best.program, faults))
        _reduce(list(best.program), lambda program: still_fails(program, best.faults))
        if (len(best.program), len(best.faults)) == before:
            break
    return best


def _reduce(items: list[T], holds: Callable[[list[T]], bool]) -> None:
    """Delta debugging: leave out halves, then quarters, then single ones."""
    size = max(1, len(items) // 2)
    while items:
        at, changed = 0, False
        while at < len(items):
            fewer = items[:at] + items[at + size :]
            if holds(fewer):
                items, changed = fewer, True
            else:
                at += size
        if size == 1 and not changed:
            return
        size = max(1, size // 2)


def _kind_of(result: Result) -> set[str]:
    """What is broken, without its numbers."""
    return {_VARIABLE.sub("", problem)[:60] for problem in result.problems[:1]}
