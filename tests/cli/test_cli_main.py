"""The command as a whole: help, version, wrong words, errors of ours."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
from tests.cli.cli_counter import Result

import zahlwerk
from zahlwerk.cli import main, tables
from zahlwerk.cli.exits import MEANINGS, ExitCode

Run = Callable[..., Result]

COMMANDS = [
    "pay", "refund", "reverse", "hold", "capture", "release", "lookup", "status", "end-of-day", "receipt", "probe", "bridge", "decode",
    "trace", "amounts", "cards", "version",
]  # fmt: skip


def test_the_help_lists_commands_and_exit_codes(run: Run) -> None:
    """All of them."""
    got = run("--help")

    assert got.code == 0
    assert all(f" {name} " in got.out for name in COMMANDS)
    assert all(f"{code.value}  {text}" in got.out for code, text in MEANINGS.items())


def test_without_a_command_there_is_help(run: Run) -> None:
    """Not an error."""
    got = run()

    assert got.code == 0
    assert "zahlwerk pay virtual: 12.50" in got.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run: Run, command: str) -> None:
    """And --json."""
    got = run(command, "--help")

    assert got.code == 0
    assert "--json" in got.out


@pytest.mark.parametrize("words", [["version"], ["--version"]])
def test_the_version_is_told(run: Run, words: list[str]) -> None:
    """As in the package."""
    assert zahlwerk.__version__ in run(*words).out


def test_programs_get_the_version_as_an_object(run: Run) -> None:
    """One line."""
    assert run("version", "--json").rows == [{"event": "version", "version": zahlwerk.__version__}]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        pytest.param(["nonsense"], "No such command 'nonsense'.", id="command"),
        pytest.param(["pay"], "Missing argument 'URL'.", id="argument"),
        pytest.param(["pay", "--wrong"], "No such option: --wrong", id="option"),
        pytest.param(["bridge"], "Missing option '--listen'.", id="missing option"),
        pytest.param(
            ["pay", "virtual:", "1", "--connect-timeout", "0"], "Invalid value for '--connect-timeout'", id="range"
        ),
    ],
)
def test_a_wrong_call_is_exit_64(run: Run, words: list[str], sentence: str) -> None:
    """One sentence, where to read on; for programs an object too."""
    got, told = run(*words), run(*words, "--json")

    assert (got.code, told.code) == (64, 64)
    assert got.out == ""
    assert got.err.startswith(sentence)
    assert got.err.splitlines()[1].startswith("→ see: zahlwerk")
    assert [row["event"] for row in told.rows] == ["error"]


def test_a_fault_of_ours_is_told_without_a_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """And without card data, whatever its text."""

    def broken(**_: object) -> None:
        raise RuntimeError("4111 1111 1111 1111")

    monkeypatch.setattr(tables, "Output", broken)
    got = run("amounts")

    assert got.code == ExitCode.FAILED
    assert got.err.startswith("Something went wrong inside Zahlwerk (RuntimeError: 4111")
    assert "1111 1111 1111" not in got.err
    assert "Traceback" not in got.err


def test_developers_get_the_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ZAHLWERK_DEBUG=1."""
    monkeypatch.setenv("ZAHLWERK_DEBUG", "1")
    with pytest.raises(zahlwerk.TerminalError):
        main.run(["pay", "foo", "1"])


def test_the_help_loads_no_library_that_it_does_not_need() -> None:
    """No WebSocket, serial port, wire codec or virtual terminal: they cost more than the help itself."""
    heavy = [
        "websockets",
        "serial",
        "msgspec",
        "babel",
        "zahlwerk.virtual.terminal",
        "zahlwerk.interfaces.kit.driver",
        "rich.table",
    ]
    code = (
        "import sys; from zahlwerk.cli import main; main.run(['version', '--json']);"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    seen = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert seen.stdout.splitlines()[-1] == "[]"
