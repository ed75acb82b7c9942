"""One run from its seed, and many of them over all processors."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from zahlwerk.errors import ConfigurationError
from zahlwerk.simulation.faults import PROFILES, Coverage, Fault, Faults
from zahlwerk.simulation.invariants import Figures, judge
from zahlwerk.simulation.loop import Stuck, VirtualLoop, run_in_loop
from zahlwerk.simulation.program import Action, draw_program
from zahlwerk.simulation.setups import SETUPS, setup
from zahlwerk.simulation.world import TillCode, World

__all__ = ["Plan", "Report", "Result", "run_many", "run_once"]

# Runs that one processor gets at a time.
CHUNK: Final = 20


@dataclass(frozen=True, slots=True)
class Plan:
    """A run: all that it follows from."""

    seed: int
    interface: str = "kit"
    profile: str = "all"
    program: tuple[Action, ...] | None = None
    """None: drawn from the seed."""
    faults: tuple[Fault, ...] | None = None
    """Exactly these; None: drawn from the seed."""

    def save(self, path: Path) -> None:
        """Write it down as JSON, to be replayed by whoever gets the file."""
        row = {
            "seed": self.seed, "interface": self.interface, "profile": self.profile,
            "program": None if self.program is None else [action.to_row() for action in self.program],
            "faults": None if self.faults is None else [fault.to_row() for fault in self.faults],
        }  # fmt: skip
        path.write_text(json.dumps(row, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Plan:
        """Read one.

        Raises:
            ConfigurationError: not a file, or not a plan.
        """
        try:
            row = json.loads(path.read_text(encoding="utf-8"))
            program, faults = row["program"], row["faults"]
            return cls(
                int(row["seed"]), str(row["interface"]), str(row["profile"]),
                None if program is None else tuple(map(Action.from_row, program)),
                None if faults is None else tuple(map(Fault.from_row, faults)),
            )  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
            raise ConfigurationError(f"{path}: not a plan of a simulation: {exc}") from exc


@dataclass(slots=True)
class Result:
    """How it went."""

    plan: Plan
    """Of a run that failed, with the program and the faults as they were: replays as it stands."""
    problems: list[str]
    program: tuple[Action, ...]
    faults: tuple[Fault, ...]
    coverage: Coverage
    figures: Figures
    story: str = ""
    messages: int = 0
    virtual_s: float = 0.0

    @property
    def failed(self) -> bool:
        """True if an invariant is broken."""
        return bool(self.problems)


@dataclass(slots=True)
class Report:
    """Many runs."""

    seeds: int = 0
    failures: list[Result] = field(default_factory=list)
    coverage: dict[str, Coverage] = field(default_factory=dict)
    """By interface."""
    figures: dict[str, Figures] = field(default_factory=dict)
    messages: int = 0
    virtual_s: float = 0.0
    seconds: float = 0.0

    def add(self, result: Result) -> None:
        """Count a run in."""
        self.seeds += 1
        self.messages += result.messages
        self.virtual_s += result.virtual_s
        name = result.plan.interface
        self.coverage.setdefault(name, Coverage()).add(result.coverage)
        self.figures.setdefault(name, Figures()).add(result.figures)
        if result.failed:
            self.failures.append(result)

    def merge(self, other: Report) -> None:
        """Count other runs in."""
        self.seeds += other.seeds
        self.messages += other.messages
        self.virtual_s += other.virtual_s
        self.failures += other.failures
        for name, coverage in other.coverage.items():
            self.coverage.setdefault(name, Coverage()).add(coverage)
        for name, figures in other.figures.items():
            self.figures.setdefault(name, Figures()).add(figures)

    def faults_by_kind(self) -> dict[str, int]:
        """How often each kind of fault has happened."""
        kinds = sorted({kind for coverage in self.coverage.values() for kind in coverage.by_kind()})
        return {kind: sum(coverage.by_kind().get(kind, 0) for coverage in self.coverage.values()) for kind in kinds}

    def never(self, profile: str) -> dict[str, list[tuple[str, str]]]:
        """By interface: places that were passed, and faults of the profile that never happened there."""
        return {
            name: coverage.never(setup(name).medium, PROFILES[profile].kinds)
            for name, coverage in self.coverage.items()
        }

    def raise_if_failed(self) -> None:
        """For tests.

        Raises:
            AssertionError: with the problems and the story of the first run that failed.
        """
        if self.failures:
            first = self.failures[0]
            problems = "\n".join(first.problems)
            raise AssertionError(
                f"{len(self.failures)} of {self.seeds} runs failed; seed {first.plan.seed} over "
                f"{first.plan.interface}:\n{problems}\n\n{first.story}"
            )


def run_once(plan: Plan, *, code: TillCode | None = None, story: bool = False) -> Result:
    """Play one run and judge it."""
    chosen, profile = setup(plan.interface), PROFILES[plan.profile]
    loop = VirtualLoop()
    program = plan.program if plan.program is not None else draw_program(plan.seed)
    faults = Faults(plan.seed, profile, chosen.medium, listed=plan.faults, delay_max_s=chosen.delay_max_s)
    world = World(loop, plan.seed, chosen, faults)
    try:
        return run_in_loop(loop, _run(world, plan, program, code=code, story=story))
    except Stuck as exc:
        story_told = world.story.text()
        return Result(plan, [f"stuck: {exc}"], program, tuple(faults.happened), faults.coverage, Figures(), story_told)
    finally:
        world.disk.close()


async def _run(world: World, plan: Plan, program: tuple[Action, ...], *, code: TillCode | None, story: bool) -> Result:
    if code is None:
        await world.play(program)
    else:
        await world.play_code(code)
    problems, figures = await judge(world)
    await world.end()
    happened = tuple(world.faults.happened)
    if problems:
        plan = Plan(plan.seed, plan.interface, plan.profile, program if code is None else None, happened)
    return Result(
        plan, problems, program, happened, world.faults.coverage, figures,
        world.story.text() if story or problems else "", world.wire.messages, world.loop.moment_s,
    )  # fmt: skip


def plans(seeds: Iterable[int], interface: str, profile: str) -> Iterator[Plan]:
    """The runs of these seeds.

    Args:
        seeds: each is run once over every interface.
        interface: the name of one, or `all`.
        profile: the name of a profile of faults.

    Raises:
        ConfigurationError: no such interface or profile.
    """
    names = tuple(SETUPS) if interface == "all" else (setup(interface).name,)
    if profile not in PROFILES:
        raise ConfigurationError(f"there are no faults {profile[:32]!r}", remedy=f"use one of: {', '.join(PROFILES)}")
    return (Plan(seed, name, profile) for seed in seeds for name in names)


def run_many(
    wanted: Iterable[Plan],
    *,
    workers: int | None = None,
    fail_fast: bool = False,
    on_progress: Callable[[Report], None] = lambda _: None,
) -> Report:
    """Run them all.

    Args:
        wanted: in any order.
        workers: processes; None for one a processor, 1 for none but this one.
        fail_fast: stop once one has failed.
        on_progress: called now and then with what is known so far.
    """
    began_s = time.monotonic()
    report = Report()
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = processors if workers is None else workers
    chunks = _chunks(wanted)
    if count <= 1:
        for part in map(_run_chunk, chunks):
            report.merge(part)
            report.seconds = time.monotonic() - began_s
            on_progress(report)
            if fail_fast and report.failures:
                break
        return report
    how = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    with how.Pool(count) as pool:
        for part in pool.imap_unordered(_run_chunk, chunks):
            report.merge(part)
            report.seconds = time.monotonic() - began_s
            on_progress(report)
            if fail_fast and report.failures:
                break
    report.failures.sort(key=lambda result: (result.plan.seed, result.plan.interface))
    return report


def _chunks(wanted: Iterable[Plan]) -> Iterator[list[Plan]]:
    chunk: list[Plan] = []
    for plan in wanted:
        chunk.append(plan)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _run_chunk(chunk: Sequence[Plan]) -> Report:
    report = Report()
    for plan in chunk:
        report.add(run_once(plan))
    return report
