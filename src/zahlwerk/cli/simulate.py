"""`zahlwerk simulate`: the whole system under faults, on virtual time, and what comes of the money."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zahlwerk.cli.exits import ExitCode, of_error
from zahlwerk.cli.options import JsonOption
from zahlwerk.cli.output import Output
from zahlwerk.errors import MoneyMoved, TerminalError

if TYPE_CHECKING:
    from zahlwerk.simulation.faults import Coverage
    from zahlwerk.simulation.runner import Report, Result

__all__ = ["app", "register"]

app = typer.Typer(
    name="simulate",
    help="Registers, machines and whole days, simulated.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def register(parent: typer.Typer) -> None:
    """Add these commands."""
    parent.add_typer(app, rich_help_panel="Tools")


@app.command()
def run(  # noqa: PLR0917 - options of a command, called by name
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many runs over each interface.")] = 100,
    seed_start: Annotated[int, typer.Option("--seed-start", min=0, help="The first seed.")] = 0,
    interface: Annotated[
        str, typer.Option("--interface", metavar="NAME", help="kit, kit-serial, zvt, zvt-serial, or all of them.")
    ] = "all",
    faults: Annotated[
        str,
        typer.Option("--faults", metavar="PROFILE", help="none, links, crashes, terminal, disk, clock, or all."),
    ] = "all",
    replay: Annotated[
        Path | None, typer.Option("--replay", metavar="FILE", help="One run, as written with --save.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Write the first run that fails, to be replayed.")
    ] = None,
    shrink: Annotated[bool, typer.Option("--shrink", help="Look for the fewest faults that still fail.")] = False,
    story: Annotated[bool, typer.Option("--story", help="Tell what happened, also where all went well.")] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first run that fails.")] = False,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes; one a processor.")] = None,
    json: JsonOption = False,
) -> int:
    """Take payments while everything goes wrong, and compare the books.

    Each seed is one run: a till, the journal, the wire, a terminal and its host, on virtual time. Afterwards the host's
    books must agree with the journal and with all that the till was told. The same seed gives the same run.
    """
    out = Output(as_json=json)
    try:
        if replay is not None:
            report = _replayed(replay)
        else:
            report = _run(
                out, seeds, seed_start, interface, faults, fail_fast=fail_fast, workers=workers, story=story
            )  # fmt: skip
        for result in report.failures:
            _failed(out, result, shrink=shrink, save=save)
            save = None  # the first one only
    except TerminalError as exc:
        out.error(exc, money_moved=MoneyMoved.NO)
        return of_error(exc, MoneyMoved.NO)
    except KeyboardInterrupt:
        return ExitCode.STOPPED
    finally:
        out.end_wait()
    _summary(out, report, faults)
    return ExitCode.FAILED if report.failures else ExitCode.DONE


def _replayed(file: Path) -> Report:
    from zahlwerk.simulation.runner import Plan, Report, run_once

    report = Report()
    report.add(run_once(Plan.load(file)))
    return report


def _run(
    out: Output, seeds: int, seed_start: int, interface: str, faults: str, *,
    fail_fast: bool, workers: int | None, story: bool,
) -> Report:  # fmt: skip
    from zahlwerk.simulation.runner import plans, run_many, run_once

    wanted = list(plans(range(seed_start, seed_start + seeds), interface, faults))
    if story and len(wanted) == 1:
        out.say(run_once(wanted[0], story=True).story)

    def progress(report: Report) -> None:
        broken = f", {len(report.failures)} failed" if report.failures else ""
        out.wait(f"{report.seeds} of {len(wanted)} runs{broken} …")

    return run_many(wanted, workers=workers, fail_fast=fail_fast, on_progress=progress)


def _failed(out: Output, result: Result, *, shrink: bool, save: Path | None) -> None:
    from zahlwerk.simulation.shrink import shrink as shrunk

    if shrink:
        out.wait(f"shrinking seed {result.plan.seed} …")
        result = shrunk(result)
        out.end_wait()
    plan = result.plan
    if save is not None:
        plan.save(save)
    out.event(
        "failure", seed=plan.seed, interface=plan.interface, problems=result.problems,
        program=[action.to_row() for action in result.program], faults=[fault.to_row() for fault in result.faults],
        story=result.story.splitlines(),
    )  # fmt: skip
    out.end_wait()
    out.say(f"Seed {plan.seed} over {plan.interface} fails:", "bold red")
    for problem in result.problems:
        out.say(f"  {problem}", "red")
    out.say(f"  The till: {'; '.join(map(str, result.program))}")
    for fault in result.faults:
        out.say(f"  {fault}", "yellow")
    out.say(result.story, "dim")


def _summary(out: Output, report: Report, faults: str) -> None:
    rate = report.seeds / report.seconds if report.seconds else 0.0
    figures = {
        name: {
            "payments": one.payments, "approved": one.approved, "in_doubt": one.in_doubt,
            "in_doubt_taken": one.in_doubt_taken, "told_unknown": one.told_unknown, "typed": one.typed,
            "typed_known": one.typed_known, "holds_left": one.holds_left, "undone_unnoted": one.undone_unnoted,
        }
        for name, one in report.figures.items()
    }  # fmt: skip
    never = {name: [" ".join(pair) for pair in pairs] for name, pairs in report.never(faults).items()}
    for name, one in report.figures.items():
        share = 100 * one.in_doubt / one.payments if one.payments else 0.0
        out.say(
            f"{name}: {one.payments} payments, {one.approved} approved, {one.in_doubt} in doubt ({share:.2f} %), "
            f"{len(report.coverage[name].passed)} places, {len(never[name])} pairs of place and fault never met"
        )
    for kind, count in report.faults_by_kind().items():
        out.say(f"  {kind:<17} {count}", "dim")
    words = "no invariant broken" if not report.failures else f"{len(report.failures)} FAILED"
    out.say(f"{report.seeds} runs in {report.seconds:.1f} s ({rate:.0f} a second): {words}", "bold")
    out.record({
        "event": "result", "seeds": report.seeds, "failures": len(report.failures),
        "failed_seeds": [f"{result.plan.interface}:{result.plan.seed}" for result in report.failures],
        "faults": report.faults_by_kind(), "seconds": round(report.seconds, 3), "messages": report.messages,
        "virtual_seconds": round(report.virtual_s), "interfaces": figures, "never": never,
        "places": {name: _places(coverage) for name, coverage in sorted(report.coverage.items())},
    })  # fmt: skip


def _places(coverage: Coverage) -> dict[str, dict[str, int]]:
    """How often each place was passed, and how often each fault happened there."""
    found = {place: {"passed": count} for place, count in sorted(coverage.passed.items())}
    for (place, kind), count in sorted(coverage.hit.items()):
        found[place][kind] = count
    return found
