"""One run from its seed, and many of them over all processors."""

from __future__ import annotations

from dataclasses import dataclass

from zahlwerk.simulation.faults import PROFILES, Coverage, Fault, Faults
from zahlwerk.simulation.invariants import Figures, judge
from zahlwerk.simulation.loop import VirtualLoop, run_in_loop
from zahlwerk.simulation.program import Action, draw_program
from zahlwerk.simulation.setups import setup
from zahlwerk.simulation.world import TillCode, World

__all__ = ["Plan", "Result", "run_once"]


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


@dataclass(slots=True)
class Result:
    """How it went."""

    plan: Plan
    problems: list[str]
    program: tuple[Action, ...]
    faults: list[Fault]
    coverage: Coverage
    figures: Figures
    story: str = ""
    messages: int = 0
    virtual_s: float = 0.0

    @property
    def failed(self) -> bool:
        """True if an invariant is broken."""
        return bool(self.problems)


def run_once(plan: Plan, *, code: TillCode | None = None, story: bool = False) -> Result:
    """Play one run and judge it."""
    chosen, profile = setup(plan.interface), PROFILES[plan.profile]
    loop = VirtualLoop()
    program = plan.program if plan.program is not None else draw_program(plan.seed)
    faults = Faults(plan.seed, profile, chosen.medium, listed=plan.faults, delay_max_s=chosen.delay_max_s)
    world = World(loop, plan.seed, chosen, faults)
    try:
        return run_in_loop(loop, _run(world, plan, program, code=code, story=story))
    finally:
        world.disk.close()


async def _run(world: World, plan: Plan, program: tuple[Action, ...], *, code: TillCode | None, story: bool) -> Result:
    if code is None:
        await world.play(program)
    else:
        await world.play_code(code)
    problems, figures = await judge(world)
    await world.end()
    told = world.story.text() if story or problems else ""
    faults = world.faults
    return Result(
        plan,
        problems,
        program,
        faults.happened,
        faults.coverage,
        figures,
        told,
        world.wire.messages,
        world.loop.moment_s,
    )
