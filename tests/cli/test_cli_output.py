"""Lines for people, objects for programs, silence when nobody reads."""

from __future__ import annotations

import io
import json

import pytest

from zahlwerk.cli.output import Output
from zahlwerk.errors import LinkUnavailable, TerminalError
from zahlwerk.events import DisplayShown, LinkChanged, Notice, Progress, ProgressChanged


def test_programs_get_objects_only(capsys: pytest.CaptureFixture[str]) -> None:
    """What is for people is not written."""
    out = Output(as_json=True)
    out.say("hello")
    out.tell("a step", step="STEP")
    out.event("thing", name="x")
    out.wait("…")
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert rows == [
        {"event": "progress", "step": "STEP", "text": "a step", "reference": None},
        {"event": "thing", "name": "x"},
    ]


def test_an_error_is_a_sentence_and_a_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error; without card data and control characters."""
    Output(as_json=False).error(LinkUnavailable("no\x1b answer from 4111111111111111", remedy="look at the cable"))
    seen = capsys.readouterr()

    assert seen.out == ""
    assert seen.err == "No  answer from 411111******1111.\n→ look at the cable\n"


@pytest.mark.parametrize(
    ("text", "shown"), [("kit+tcp://x is down", "kit+tcp://x is down."), ("it ended!", "It ended!")]
)
def test_a_sentence_begins_and_ends_like_one(capsys: pytest.CaptureFixture[str], text: str, shown: str) -> None:
    """Addresses keep their letters."""
    Output(as_json=False).error(TerminalError(text, remedy=""))

    assert capsys.readouterr().err == f"{shown}\n"


def test_the_same_step_and_display_are_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Terminals repeat themselves."""
    out = Output(as_json=False)
    for _ in range(2):
        out.terminal_event(ProgressChanged("r", Progress.CARD_READ))
        out.terminal_event(DisplayShown("Bitte\nwarten"))
    out.terminal_event(LinkChanged(False, "cable"))
    out.terminal_event(Notice("no paper"))

    assert capsys.readouterr().out.splitlines() == [
        "  · card read",
        "    the terminal shows «Bitte / warten»",
        "  · the connection is lost: cable",
        "  · the terminal says: no paper",
    ]


class _Gone(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("as_json", [True, False])
def test_a_reader_that_has_gone_stops_nothing(monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:
    """No exception into the middle of a payment."""
    monkeypatch.setattr("sys.stdout", _Gone())
    monkeypatch.setattr("sys.stderr", _Gone())
    out = Output(as_json=as_json)
    out.event("x")
    out.say("x")
    out.warn("x")
    out.error(TerminalError("x"))


def test_colours_are_left_out_where_nobody_sees_them(capsys: pytest.CaptureFixture[str]) -> None:
    """No escape sequences in files and pipes."""
    Output(as_json=False).say("green", "bold green")

    assert capsys.readouterr().out == "green\n"
