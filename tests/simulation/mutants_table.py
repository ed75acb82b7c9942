"""Prints which planted fault is found by how many seeds: `python -m tests.simulation.mutants_table`."""

from __future__ import annotations

import logging
import re
import sys

from tests.simulation.mutants import LIMIT, MUTANTS, Mutant, first_caught

_NAME = re.compile(r"\b(sale-\d+b?|standalone-\d+(-\w+)?|hold-\S+)")
_AMOUNT = re.compile(r"CHF -?\d+\.\d\d")
_PLACE = re.compile(r" at /\S+")


def row(mutant: Mutant) -> str:
    """One line of the table."""
    found = first_caught(mutant, range(LIMIT))
    seeds, problem = ("none", "") if found is None else (str(found.plan.seed + 1), shown(found.problems[0]))
    return f"| {mutant.part} | {mutant.what} | {mutant.interface} | {mutant.profile} | {seeds} | {problem} |"


def shown(problem: str) -> str:
    """What broke, without what differs from run to run."""
    text = _AMOUNT.sub("x", _NAME.sub("a sale", _PLACE.sub("", problem)))
    text = re.sub(r"counters \[.*\]|\bat \d+\.\d+|\bno\. \d+", "", re.sub(r"\b\d+ (to|minor)", r"x \1", text))
    return re.sub(r"\s+", " ", text).strip(" :")[:110].replace("|", "/")


def main() -> None:
    """All of it, on standard output."""
    logging.disable(logging.CRITICAL)  # the endpoints tell what they think of it
    out = sys.stdout
    out.write(
        "| where | the planted fault | interface | faults | seeds until found | what broke |\n|---|---|---|---|---|---|\n"
    )
    for mutant in MUTANTS:
        out.write(row(mutant) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
