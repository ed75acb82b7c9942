"""`zahlwerk trace`: a recorded conversation, readable, or as a capture file for Wireshark."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Final

import typer

from zahlwerk.cli.exits import ExitCode
from zahlwerk.cli.options import JsonOption
from zahlwerk.cli.session import Job, perform
from zahlwerk.errors import MoneyMoved, RemoteProtocolError
from zahlwerk.transport.trace import TraceEvent, TraceRecord, read_trace, render

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(rich_help_panel="Tools")(trace)


def trace(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Written with --trace FILE.")],
    pcapng: Annotated[
        Path | None, typer.Option("--pcapng", metavar="OUT", help="Write a capture that Wireshark opens.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show a recorded conversation; card numbers are masked."""

    async def work(job: Job) -> ExitCode:
        try:
            if pcapng is not None:
                return _write(job, file, pcapng)
            for record in read_trace(file):
                job.out.record(_object(record))
                for line in render([record]):
                    job.out.say(line, _style(record))
        except RemoteProtocolError as exc:
            exc.remedy = "give a file that was written with --trace"
            job.out.error(exc, money_moved=MoneyMoved.NO)
            return ExitCode.DATA
        return ExitCode.DONE

    perform(work, as_json=json)


def _write(job: Job, file: Path, pcapng: Path) -> ExitCode:
    from zahlwerk.transport.pcapng import write_pcapng

    ports: set[int] = set()
    records = _noting_ports(read_trace(file), ports)
    # Read before anything is written, for a slip of the pen must not leave an empty capture behind.
    first = list(islice(records, 1))
    count = write_pcapng(chain(first, records), pcapng)
    job.out.event("pcapng", file=str(pcapng), packets=count)
    job.out.say(f"{pcapng}: {count} packets. Open it with Wireshark; the comment of each packet names its message.")
    if ports:
        choices = " ".join(f"-d tcp.port=={port},zvt" for port in sorted(ports))
        job.out.say(
            f"For its ZVT view: tshark {choices} -r {shlex.quote(str(pcapng))}, or Analyze, Decode As, ZVT.", "dim"
        )
    return ExitCode.DONE


ZVT_PORTS: Final = frozenset({20007, 22000, 22001})
"""Where ZVT terminals listen. Source: ZVT fact sheet 1.2."""
ZVT_PORT: Final = 20007
"""Of what has no port of its own, such as a serial line."""


def _noting_ports(records: Iterable[TraceRecord], ports: set[int]) -> Iterator[TraceRecord]:
    """The records, unchanged; meanwhile the terminals' ports of those that are ZVT are written down.

    Wireshark knows no port for ZVT by itself.
    """
    for record in records:
        if record.event is TraceEvent.OPENED and record.protocol == "zvt":
            ends = [int(end.rpartition(":")[2]) for end in (record.local, record.peer) if _PORT.search(end)]
            # As the capture has it: a known port is the terminal's, else the lower one.
            ports.add(min(set(ends) & ZVT_PORTS or ends, default=ZVT_PORT))
        yield record


_PORT: Final = re.compile(r":[0-9]{1,5}\Z")


def _style(record: TraceRecord) -> str:
    if record.event is not TraceEvent.MESSAGE:
        return "bold"
    return "green" if record.sent else "cyan"


def _object(record: TraceRecord) -> dict[str, object]:
    """As in the file."""
    shown: dict[str, object] = {
        "t": record.at.isoformat(timespec="milliseconds"),
        "mono": record.mono_s,
        "link": record.link,
        "event": record.event.value,
    }
    if record.event is TraceEvent.MESSAGE:
        shown |= {"dir": "out" if record.sent else "in", "raw": record.raw.hex(), "decoded": record.decoded}
    if record.event is TraceEvent.OPENED:
        shown |= {"protocol": record.protocol, "local": record.local, "peer": record.peer}
    return shown | ({"note": record.note} if record.note else {})
