"""`zahlwerk decode`: explains messages, byte by byte, from the command line, a file or standard input."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Final

import typer

from zahlwerk.cli.exits import ExitCode
from zahlwerk.cli.options import JsonOption
from zahlwerk.cli.session import Job, perform
from zahlwerk.cli.views import plain
from zahlwerk.errors import ConfigurationError, RemoteProtocolError

if TYPE_CHECKING:
    from zahlwerk.codec.explanation import Explanation

__all__ = ["register"]

LATER: Final = ("mdb", "cctalk", "ocpp")
KNOWN: Final = ("kit", "zvt")
LANGUAGES: Final = ("en", "de", "fr", "it")
# LIMIT: twice the longest KIT line as hexadecimal; what is longer is no message.
LINE_BYTES_MAX: Final = 4 << 20
# The escape byte with which every serial frame of KIT begins (fact sheet 1.4).
_SERIAL: Final = b"\x10"
RAW_MAX: Final = 60


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(rich_help_panel="Tools")(decode)


def decode(
    protocol: Annotated[
        str,
        typer.Argument(metavar="PROTOCOL", help="kit (JSON lines, serial frames) or zvt (APDUs, frames)."),
    ],
    source: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[HEX|FILE|-]", help="Hexadecimal or JSON; a file with one message a line; - for stdin."
        ),
    ] = None,
    language: Annotated[str, typer.Option("--language", metavar="LNG", help="en, de, fr or it.")] = "en",
    charset: Annotated[
        str, typer.Option("--charset", metavar="SET", help="zvt: auto, cp437, latin1, latin9 or utf8.")
    ] = "auto",
    json: JsonOption = False,
) -> None:
    """Explain messages: every field named and spelled out, card numbers masked.

    Exits with 0 only if all of them were understood.
    """

    async def work(job: Job) -> ExitCode:
        explain = _explainer(protocol, language, charset)
        understood = True
        for data in _messages(" ".join(source or ["-"]), takes_json=protocol == "kit"):
            found = (data,) if not isinstance(data, bytes) else explain(data)
            for explanation in found:
                understood = understood and explanation.ok
                job.out.record(explanation.as_dict())
                _show(job, explanation)
        return ExitCode.DONE if understood else ExitCode.DATA

    perform(work, as_json=json)


def _explainer(protocol: str, language: str, charset: str) -> Callable[[bytes], tuple[Explanation, ...]]:
    """What explains one line of a protocol."""
    if language not in LANGUAGES:
        raise ConfigurationError(
            f"there are no words in {plain(language)[:16]!r}", remedy=f"use one of: {', '.join(LANGUAGES)}"
        )
    if protocol == "kit":
        from zahlwerk.interfaces.kit.explain import explain_bytes

        return partial(explain_bytes, language=language)
    if protocol == "zvt":
        from zahlwerk.interfaces.zvt.charsets import BY_NAME
        from zahlwerk.interfaces.zvt.explain import Explainer

        if charset not in BY_NAME:
            raise ConfigurationError(
                f"there is no character set {plain(charset)[:32]!r}", remedy=f"use one of: {', '.join(BY_NAME)}"
            )
        return Explainer(language=language, charset=BY_NAME[charset]).explain
    known = " and ".join(KNOWN)
    if protocol in LATER:
        raise ConfigurationError(
            f"decoding {protocol} comes with a later version", remedy=f"this version decodes: {known}"
        )
    raise ConfigurationError(f"there is no protocol {plain(protocol)[:32]!r}", remedy=f"this version decodes: {known}")


def _messages(source: str, *, takes_json: bool) -> Iterator[bytes | Explanation]:
    """The messages of a source: their bytes, or why there are none."""
    if not source.strip():
        raise ConfigurationError("there is nothing to decode", remedy="give hexadecimal bytes, a file, or - for stdin")
    if source == "-":
        yield from _of_file(sys.stdin.buffer, takes_json=takes_json)
    elif _is_file(source):
        try:
            with Path(source).open("rb") as file:
                yield from _of_file(file, takes_json=takes_json)
        except OSError as exc:
            reason = (exc.strerror or type(exc).__name__).lower()
            raise ConfigurationError(f"cannot read {plain(source)}: {reason}", remedy="check the path") from exc
    elif not source.lstrip().startswith("{") and any(mark in source for mark in "/\\.~"):
        raise ConfigurationError(f"there is no file {plain(source)[:200]}", remedy="check the path")
    else:
        yield _of_line(source.encode("utf-8", "surrogateescape"), takes_json=takes_json, or_file=True)


def _is_file(source: str) -> bool:
    try:
        return Path(source).exists()
    except (OSError, ValueError):
        return False


def _of_file(file: BinaryIO, *, takes_json: bool) -> Iterator[bytes | Explanation]:
    """One message a line; or, if it begins like one, a recording of serial frames as it is."""
    line = file.readline(LINE_BYTES_MAX)
    if line[:1] == _SERIAL:
        yield line + file.read(LINE_BYTES_MAX)
        return
    while line:
        if len(line) >= LINE_BYTES_MAX and not line.endswith(b"\n"):
            yield _failure(f"a line longer than {LINE_BYTES_MAX} bytes", 0)
            while line and not line.endswith(b"\n"):
                line = file.readline(LINE_BYTES_MAX)
        elif line.strip():
            yield _of_line(line, takes_json=takes_json)
        line = file.readline(LINE_BYTES_MAX)


def _of_line(line: bytes, *, takes_json: bool, or_file: bool = False) -> bytes | Explanation:
    from zahlwerk.codec.hexdump import parse_hex

    stripped = line.strip()
    if takes_json and stripped.startswith(b"{"):
        return stripped
    try:
        return parse_hex(stripped.decode("utf-8", "replace"))
    except RemoteProtocolError as exc:
        what = "neither JSON nor hexadecimal: " if takes_json else ""
        return _failure(f"{what}{exc.reason}{', and there is no such file' if or_file else ''}", exc.position)


def _failure(error: str, position: int | None) -> Explanation:
    from zahlwerk.codec.explanation import Explanation

    return Explanation(ok=False, error=error, position=position)


def _show(job: Job, explanation: Explanation) -> None:
    """One message, for people."""
    if job.out.as_json:
        return
    if not explanation.ok:
        where = "" if explanation.position is None else f" (at byte {explanation.position})"
        job.out.say(f"not understood: {plain(explanation.error)}{where}", "bold red")
        return
    from rich.table import Table
    from rich.text import Text

    title = Text(plain(explanation.name), style="bold")
    if explanation.code:
        title.append(f"  {explanation.code}", style="dim")
    job.out.show(title)
    table = Table.grid(padding=(0, 2))
    for field in explanation.fields:
        shown = Text(plain(field.value))
        if field.position is not None and field.raw:
            shown.append(f"  {plain(field.raw)[:RAW_MAX]}", style="blue")
        if field.meaning:
            shown.append(f"  {plain(field.meaning)}", style="green")
        tag = "  " * (field.depth + 1) + plain(field.tag)
        table.add_row(Text(tag, "cyan"), shown, Text(plain(field.name), "dim"))
    if explanation.fields:
        job.out.show(table, wide=False)
