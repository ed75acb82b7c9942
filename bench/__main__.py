"""`python -m bench`: all benchmarks, a table, and whether the aims are met. Ends with 0 whatever the figures are.

Each benchmark runs in an interpreter of its own, so that none inherits the memory of another.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from rich.console import Console
from rich.table import Table

from bench import card_payments, hundred_terminals, journal, kit_messages, start_up, zvt
from bench.figures import Figure
from bench.shop import ROOT

__all__ = ["BENCHMARKS", "main"]

Run = Callable[..., list[Figure]]
BENCHMARKS: Final[Mapping[str, Run]] = MappingProxyType({
    kit_messages.NAME: kit_messages.run,
    card_payments.NAME: card_payments.run,
    start_up.NAME: start_up.run,
    hundred_terminals.NAME: hundred_terminals.run,
    zvt.NAME: zvt.run,
    journal.NAME: journal.run,
})  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for and show it."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=sorted(BENCHMARKS), help="only this one; may be repeated")
    parser.add_argument("--quick", action="store_true", help="too few rounds for true figures; shows that it runs")
    parser.add_argument("--json", action="store_true", help="for programs")
    given = parser.parse_args(arguments)
    started = time.perf_counter()
    names = list(dict.fromkeys(given.only or BENCHMARKS))
    figures: list[Figure] = []
    for name in names:
        if not given.json:
            print(f"{name} ...", file=sys.stderr, flush=True)
        figures += BENCHMARKS[name](quick=given.quick) if len(names) == 1 else _apart(name, quick=given.quick)
    took_s = time.perf_counter() - started
    if given.json:
        print(
            json.dumps(
                {**_machine(), "quick": given.quick, "took_s": took_s, "figures": [f.as_json() for f in figures]}
            )
        )
    else:
        _show(figures, took_s, quick=given.quick)
    return 0


def _apart(name: str, *, quick: bool) -> list[Figure]:
    command = [sys.executable, "-m", "bench", "--json", "--only", name, *(["--quick"] if quick else [])]
    said = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return [Figure.from_json(entry) for entry in json.loads(said.stdout)["figures"]]


def _machine() -> dict[str, object]:
    return {"python": platform.python_version(), "cores": os.cpu_count(), "system": platform.system()}


def _show(figures: Sequence[Figure], took_s: float, *, quick: bool) -> None:
    table = Table(title="Zahlwerk beside what is known", title_justify="left")
    table.add_column("benchmark")
    table.add_column("what")
    table.add_column("ours", justify="right")
    table.add_column("peer")
    table.add_column("peer's", justify="right")
    table.add_column("ratio", justify="right")
    table.add_column("aim", justify="right")
    last = ""
    for figure in figures:
        if last and figure.benchmark != last:
            table.add_section()
        table.add_row(
            figure.benchmark if figure.benchmark != last else "",
            figure.what,
            f"{_number(figure.value)} {figure.unit}",
            figure.peer,
            "" if figure.peer_value is None else f"{_number(figure.peer_value)} {figure.unit}",
            "" if figure.ratio is None else f"{_number(figure.ratio)}x",
            _aim(figure),
        )
        last = figure.benchmark
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table)
    machine = _machine()
    words = "; quick: these figures mean nothing" if quick else ""
    console.print(
        f"Python {machine['python']}, {machine['cores']} cores, {took_s:.1f} s in all{words}", highlight=False
    )


def _aim(figure: Figure) -> str:
    if figure.aim is None or figure.met is None:
        return ""
    unit = "x" if figure.aim_is_ratio else f" {figure.unit}"
    return f"{'met' if figure.met else 'MISSED'} ({_number(figure.aim)}{unit})"


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


if __name__ == "__main__":
    sys.exit(main())
