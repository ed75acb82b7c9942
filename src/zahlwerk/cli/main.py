"""The `zahlwerk` command: its commands, and how every error becomes one sentence and an exit code."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

import zahlwerk
from zahlwerk.carddata import redact
from zahlwerk.cli import bridge, decode, journal, payments, probe, services, simulate, tables, trace
from zahlwerk.cli.exits import ExitCode, epilog
from zahlwerk.cli.options import JsonOption
from zahlwerk.cli.output import Output
from zahlwerk.cli.session import debugging, our_fault
from zahlwerk.errors import InvalidRequest, MoneyMoved

__all__ = ["app", "main", "run", "run_app"]

# What Typer raises for a wrong call; older versions take it from click, and export only this subclass of it.
_USAGE_ERROR: type = typer.BadParameter.__mro__[2]

app = typer.Typer(
    name="zahlwerk",
    epilog=epilog(),
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.callback(invoke_without_command=True)
def _zahlwerk(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """One interface between every cash register or machine and every card payment terminal.

    A first payment, without any hardware: zahlwerk pay virtual: 12.50
    """
    if show_version:
        typer.echo(zahlwerk.__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def version(json: JsonOption = False) -> None:
    """Show the version."""
    out = Output(as_json=json)
    out.event("version", version=zahlwerk.__version__)
    out.say(f"zahlwerk {zahlwerk.__version__}")


for _module in (payments, journal, services, probe, bridge, decode, trace, tables, simulate):
    _module.register(app)
app.command(rich_help_panel="Tools")(version)


def run(arguments: Sequence[str]) -> int:
    """Carry out one command line; its exit code.

    Args:
        arguments: without the program's name.
    """
    return run_app(app, arguments, name="zahlwerk")


def run_app(which: typer.Typer, arguments: Sequence[str], *, name: str) -> int:
    """Carry out one command line of an app.

    Args:
        which: the app.
        arguments: without the program's name.
        name: of the program, for its help.
    """
    _calm_streams()
    _quiet_logging()
    out = Output(as_json="--json" in arguments)
    try:
        code = typer.main.get_command(which)(list(arguments), prog_name=name, standalone_mode=False)
        return int(code) if isinstance(code, int) else ExitCode.DONE
    except typer.Abort:
        return ExitCode.STOPPED
    except Exception as exc:
        if isinstance(exc, _USAGE_ERROR):
            return _usage(out, exc)
        if debugging():
            raise
        out.error(our_fault(exc), money_moved=MoneyMoved.NO)
        return ExitCode.FAILED
    finally:
        _flush()


def main() -> NoReturn:
    """The entry point."""
    sys.exit(run(sys.argv[1:]))


def _calm_streams() -> None:
    """A screen that lacks a letter shows something else instead of stopping a payment."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _flush() -> None:
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        # Who read us has gone; Python would complain about it once more at its end.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _usage(out: Output, exc: Exception) -> ExitCode:
    context = getattr(exc, "ctx", None)
    command = context.command_path if context is not None else "zahlwerk"
    words = exc.format_message() if hasattr(exc, "format_message") else str(exc)
    out.error(InvalidRequest(" ".join(words.split()), remedy=f"see: {command} --help"))
    return ExitCode.USAGE


class _OneLine(logging.Formatter):
    """Never more than one line: no tracebacks for users."""

    def format(self, record: logging.LogRecord) -> str:
        return f"zahlwerk: {record.levelname.lower()}: {redact(' '.join(record.getMessage().split()))}"


def _quiet_logging() -> None:
    if debugging():
        logging.basicConfig(level=logging.DEBUG)
        return
    root = logging.getLogger()
    if not root.handlers:
        handler = logging.StreamHandler()
        handler.setLevel(logging.ERROR)
        handler.setFormatter(_OneLine())
        root.addHandler(handler)
