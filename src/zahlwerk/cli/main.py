"""The `zahlwerk` command: its commands, and how every error becomes one sentence and an exit code."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

import zahlwerk
from zahlwerk.carddata import redact
from zahlwerk.cli import bridge, decode, payments, probe, services, tables, trace
from zahlwerk.cli.exits import ExitCode, epilog
from zahlwerk.cli.options import JsonOption
from zahlwerk.cli.output import Output
from zahlwerk.errors import InvalidRequest, MoneyMoved, TerminalError

__all__ = ["app", "main", "run"]

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


for _module in (payments, services, probe, bridge, decode, trace, tables):
    _module.register(app)
app.command(rich_help_panel="Tools")(version)


def run(arguments: Sequence[str]) -> int:
    """Carry out one command line; its exit code.

    Args:
        arguments: without the program's name.
    """
    _quiet_logging()
    out = Output(as_json="--json" in arguments)
    try:
        code = typer.main.get_command(app)(list(arguments), prog_name="zahlwerk", standalone_mode=False)
        return int(code) if isinstance(code, int) else ExitCode.DONE
    except typer.Abort:
        return ExitCode.STOPPED
    except Exception as exc:
        if isinstance(exc, _USAGE_ERROR):
            return _usage(out, exc)
        if _debugging():
            raise
        return _our_fault(out, exc)


def main() -> NoReturn:
    """The entry point."""
    for stream in (sys.stdout, sys.stderr):
        # A screen that lacks a letter shows something else instead of stopping a payment.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        # Who read us has gone; Python would complain about it once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _usage(out: Output, exc: Exception) -> ExitCode:
    context = getattr(exc, "ctx", None)
    command = context.command_path if context is not None else "zahlwerk"
    words = exc.format_message() if hasattr(exc, "format_message") else str(exc)
    out.error(InvalidRequest(" ".join(words.split()), remedy=f"see: {command} --help"))
    return ExitCode.USAGE


def _our_fault(out: Output, exc: Exception) -> ExitCode:
    """A fault of ours. Nobody knows how far it had come, so money may have moved."""
    out.error(
        TerminalError(
            f"something went wrong inside Zahlwerk ({type(exc).__name__}: {redact(str(exc))[:200]})",
            remedy="if this was a payment, look at the terminal before charging again; ZAHLWERK_DEBUG=1 shows more",
            money_moved=MoneyMoved.MAYBE,
        )
    )
    return ExitCode.UNKNOWN


def _debugging() -> bool:
    return os.environ.get("ZAHLWERK_DEBUG", "") not in {"", "0"}


class _OneLine(logging.Formatter):
    """Never more than one line: no tracebacks for users."""

    def format(self, record: logging.LogRecord) -> str:
        return f"zahlwerk: {record.levelname.lower()}: {redact(' '.join(record.getMessage().split()))}"


def _quiet_logging() -> None:
    if _debugging():
        logging.basicConfig(level=logging.DEBUG)
        return
    root = logging.getLogger()
    if not root.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(_OneLine())
        root.addHandler(handler)
    logging.getLogger("zahlwerk").setLevel(logging.ERROR)
