"""Users' own till code under faults; faults, plans and shrinking."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from zahlwerk.errors import ConfigurationError
from zahlwerk.journal.records import Record
from zahlwerk.payment import Outcome
from zahlwerk.simulation import Plan, Result, run_once, simulate
from zahlwerk.simulation.faults import PROFILES, Coverage, Fault, Faults, kinds_at
from zahlwerk.simulation.invariants import Figures
from zahlwerk.simulation.program import Action, draw_program
from zahlwerk.simulation.runner import Report, plans, run_many
from zahlwerk.simulation.setups import setup
from zahlwerk.simulation.shrink import shrink
from zahlwerk.terminal import Terminal


async def careful(terminal: Terminal) -> None:
    for number in (1, 2):
        payment = await terminal.pay("12.50 CHF", reference=f"sale-{number}")
        if payment.outcome is Outcome.UNKNOWN:
            await terminal.lookup(f"sale-{number}")


class TestCodeOfOnesOwn:
    @pytest.mark.parametrize("interface", ["kit", "zvt"])
    def test_careful_code_holds_under_all_faults(self, interface: str) -> None:
        report = simulate(careful, seeds=range(20), interface=interface)

        report.raise_if_failed()
        assert report.seeds == 20
        assert report.figures[interface].payments >= 20

    def test_code_that_breaks_is_a_failure_with_its_story(self) -> None:
        async def broken(terminal: Terminal) -> None:
            await terminal.pay("12.50 CHF", reference="sale-1")
            raise ZeroDivisionError("a slip")

        report = simulate(broken, seeds=range(5), faults="none")

        assert report.seeds == 1, "the first failure is enough"
        with pytest.raises(AssertionError, match="ZeroDivisionError: a slip"):
            report.raise_if_failed()

    def test_what_does_not_exist_is_said(self) -> None:
        with pytest.raises(ConfigurationError, match="no interface 'morse'"):
            simulate(careful, interface="morse")
        with pytest.raises(ConfigurationError, match="no faults 'gremlins'"):
            simulate(careful, faults="gremlins")


def test_a_journal_that_forgets_what_it_has_charged_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulation must be able to fail: the check for doubles is taken out."""
    monkeypatch.setattr(Record, "may_be_tried_again", property(lambda record: not record.is_open))
    problems = [text for seed in range(60) for text in run_once(Plan(seed, "kit", "none")).problems]

    assert any("charged 2 times" in text for text in problems)


class TestFaults:
    MEDIUM = setup("kit").medium

    def test_the_same_seed_draws_the_same(self) -> None:
        def drawn(seed: int) -> list[Fault | None]:
            faults = Faults(seed, PROFILES["all"], self.MEDIUM)
            faults.active = True
            return [faults.at("> TransactionRequest") for _ in range(200)]

        assert drawn(5) == drawn(5)
        assert any(drawn(seed) != drawn(5) for seed in range(5))

    def test_a_list_happens_exactly(self) -> None:
        wanted = Fault("journal sent", 2, "crash-after", 10.0, "both")
        faults = Faults(1, PROFILES["none"], self.MEDIUM, listed=(wanted,))
        faults.active = True

        assert [faults.at("journal sent") for _ in range(3)] == [None, wanted, None]
        assert faults.happened == [wanted]

    def test_tcp_doubles_nothing(self) -> None:
        assert "duplicate" not in kinds_at("> authorisation", setup("zvt").medium)
        assert "duplicate" in kinds_at("> authorisation", setup("zvt-serial").medium)

    def test_what_never_happened_is_known(self) -> None:
        coverage = Coverage()
        coverage.passed["journal sent"] += 1
        coverage.hit["journal sent", "slow"] += 1

        never = coverage.never(self.MEDIUM, PROFILES["disk"].kinds)

        assert ("journal sent", "disk-full") in never
        assert ("journal sent", "slow") not in never

    def test_a_row_survives_json_and_nonsense_does_not(self) -> None:
        fault = Fault("> TransactionRequest", 3, "cut-after", 20.0, "register")
        assert Fault.from_row(fault.to_row()) == fault
        with pytest.raises(ConfigurationError):
            Fault.from_row({"place": "x"})
        with pytest.raises(ConfigurationError):
            Fault.from_row({**fault.to_row(), "kind": "earthquake"})


class TestPlans:
    def test_a_program_is_the_same_for_the_same_seed_and_survives_json(self) -> None:
        program = draw_program(17)

        assert program == draw_program(17)
        assert tuple(Action.from_row(action.to_row()) for action in program) == program

    def test_a_plan_is_saved_and_read(self, tmp_path: Path) -> None:
        drawn = run_once(Plan(7, "zvt"))
        plan = replace(drawn.plan, program=drawn.program, faults=drawn.faults)
        plan.save(tmp_path / "plan.json")

        assert Plan.load(tmp_path / "plan.json") == plan

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"seed": 1}'])
    def test_what_is_no_plan_is_said(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "plan.json").write_text(text)
        with pytest.raises(ConfigurationError, match="not a plan"):
            Plan.load(tmp_path / "plan.json")

    def test_runs_are_shared_out_and_counted_together(self) -> None:
        alone, shared = (run_many(plans(range(30), "kit", "all"), workers=workers) for workers in (1, 2))

        assert (alone.seeds, alone.messages, alone.faults_by_kind()) == (30, shared.messages, shared.faults_by_kind())


class TestShrinking:
    def test_what_does_not_matter_is_left_out(self) -> None:
        """Fails if the process dies at "sent" and something is given back: the rest is noise."""

        def run(plan: Plan) -> Result:
            assert plan.program is not None
            assert plan.faults is not None
            fails = any(a.kind == "refund" for a in plan.program) and any(
                f.place == "journal sent" for f in plan.faults
            )
            return Result(
                plan, ["sale-1 was charged 2 times"] if fails else [], plan.program, plan.faults, Coverage(), Figures()
            )

        program = tuple(Action("refund" if number == 4 else "pay", f"sale-{number}", 100) for number in range(7))
        faults = tuple(Fault("journal sent" if number == 6 else f"> {number}", 1, "slow") for number in range(12))

        found = shrink(run(Plan(1, "kit", "all", program, faults)), run=run)

        assert [action.kind for action in found.program] == ["refund"]
        assert [fault.place for fault in found.faults] == ["journal sent"]

    def test_what_does_not_fail_again_is_left_as_it_is(self) -> None:
        failed = Result(Plan(1), ["something"], (), (), Coverage(), Figures())

        assert shrink(failed) is failed


def test_a_report_names_the_first_failure() -> None:
    report = Report()
    report.add(Result(Plan(9, "zvt"), ["sale-1 was charged 2 times"], (), (), Coverage(), Figures(), "the story\n"))

    with pytest.raises(AssertionError, match=r"1 of 1 runs failed; seed 9 over zvt:\nsale-1 was charged"):
        report.raise_if_failed()
