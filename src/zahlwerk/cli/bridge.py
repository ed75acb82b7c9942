"""`zahlwerk bridge`: any register to any terminal; also how a virtual terminal is put on the network."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from zahlwerk.cli.exits import ExitCode
from zahlwerk.cli.journaled import journal_of, shown_address
from zahlwerk.cli.journaled import terminal_name as name_of
from zahlwerk.cli.observed import Observed
from zahlwerk.cli.options import JournalOption, JsonOption, SeedOption, TerminalNameOption, TraceOption
from zahlwerk.cli.output import Output
from zahlwerk.cli.session import Access, Job, perform, recording
from zahlwerk.cli.views import event_object, final_line, payment_object, plain
from zahlwerk.errors import ConfigurationError
from zahlwerk.events import (
    DisplayShown,
    LinkChanged,
    Notice,
    ProgressChanged,
    ReceiptPrinted,
    ShiftChanged,
    StandalonePayment,
    TerminalEvent,
)
from zahlwerk.payment import Outcome, Payment
from zahlwerk.terminal import Terminal
from zahlwerk.urls import Context, Endpoint, TraceSink, Url, connect, find_interface, listen

if TYPE_CHECKING:
    from zahlwerk.journal import Journal

__all__ = ["Hall", "Setup", "register"]

LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What is to be bridged."""

    listeners: tuple[Url, ...]
    terminal: Url
    seed: int | None = None
    trace: Path | None = None
    keypad: bool = False
    journal: str = ""
    """Address of the journal between listeners and terminal; empty for none."""
    name: str = ""
    """Of the terminal in the journal; empty for its address."""


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(rich_help_panel="The terminal")(bridge)


def bridge(
    *,
    listener: Annotated[
        list[str], typer.Option("--listen", metavar="URL", help="Where registers connect; may be given several times.")
    ],
    terminal: Annotated[str, typer.Option("--terminal", metavar="URL", help="The terminal behind.")] = "virtual:",
    card: Annotated[str, typer.Option("--card", metavar="NAME", help="virtual: the card that is shown.")] = "",
    speed: Annotated[str, typer.Option("--speed", metavar="X", help="virtual: 1 is life, 0 at once.")] = "",
    seed: SeedOption = None,
    keypad: Annotated[bool, typer.Option("--keypad", help="virtual: lines on stdin act on it; type help.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Only tell what gets lost on the way, then end.")] = False,
    trace: TraceOption = None,
    journal: JournalOption = "",
    terminal_name: TerminalNameOption = "",
    json: JsonOption = False,
) -> None:
    """Let registers use a terminal: zahlwerk bridge --listen kit+tcp://127.0.0.1:8307 --terminal virtual:

    Port 0 asks for a free port. Runs until Ctrl-C. With --journal, what is open when it is killed is settled when it
    is started again.
    """

    async def work(job: Job) -> ExitCode:
        setup = Setup(
            listeners=tuple(_listener(text) for text in listener),
            terminal=_terminal(terminal, card=card, speed=speed, seed=seed, keypad=keypad),
            seed=seed,
            trace=trace,
            keypad=keypad,
            journal=journal,
            name=terminal_name,
        )
        if explain:
            from zahlwerk.cli.losses import explain_losses

            return await explain_losses(job, setup.listeners, setup.terminal)
        return await _bridge(job, setup)

    perform(work, as_json=json)


# -- what was asked for


def _listener(text: str) -> Url:
    """The address to listen on; this machine alone unless a host is given."""
    url = Url.parse(text)
    interface = find_interface(url.scheme)
    if interface.endpoint is None:
        raise ConfigurationError(
            f"{interface.title} cannot be listened on", remedy="listen on kit+tcp://127.0.0.1:8307"
        )
    return replace(url, host=LOOPBACK) if interface.port is not None and not url.host else url


def _terminal(text: str, *, card: str, speed: str, seed: int | None, keypad: bool) -> Url:
    url = Url.parse(text)
    extra = {name: value for name, value in (("card", card), ("speed", speed)) if value}
    if url.scheme != "virtual":
        given = [f"--{name}" for name in extra] + (["--seed"] if seed is not None else [])
        given += ["--keypad"] if keypad else []
        if given:
            raise ConfigurationError(
                f"{' and '.join(given)} only means something to a virtual terminal", remedy="use --terminal virtual:"
            )
        return url
    doubled = sorted(set(extra) & set(url.params))
    if doubled:
        raise ConfigurationError(
            f"{doubled[0]} is given twice: in the address and as --{doubled[0]}", remedy="leave one of them out"
        )
    if keypad and not {"card"} & (set(extra) | set(url.params)):
        extra["card"] = "none"
    return replace(url, params={**url.params, **extra})


# -- carrying it out


class Hall:
    """One terminal with its listeners. What happens is told on the output.

    Args:
        out: where to.
        behind: the terminal.
        recorder: who writes the conversations down, if anybody.
        seed: of every random choice.
    """

    def __init__(
        self, out: Output, behind: Terminal, *, recorder: TraceSink | None = None, seed: int | None = None
    ) -> None:
        self._out = out
        self._terminal = Observed(behind, self._ended)
        self._context = Context(trace=_Visitors(self, recorder), seed=seed)
        self._endpoints: list[Endpoint] = []
        self._stop_listening = self._terminal.listen(self._happened)

    async def start(self, listeners: Iterable[Url]) -> tuple[Url, ...]:
        """Open the terminal and listen; the actual addresses.

        Raises:
            LinkUnavailable: the terminal does not answer, or a port is in use.
        """
        await self._terminal.open()
        urls = []
        for url in listeners:
            endpoint = listen(url, self._terminal, self._context)
            urls.append(await endpoint.start())
            self._endpoints.append(endpoint)
        return tuple(urls)

    async def close(self) -> None:
        """Hang up on everybody. Idempotent."""
        for endpoint in reversed(self._endpoints):
            await endpoint.close()
        self._endpoints.clear()
        self._stop_listening()
        await self._terminal.close()

    def visit(self, name: str, text: str, /, **members: object) -> None:
        """A register came or went."""
        self._out.event(name, **members)
        self._line("register", text)

    def _happened(self, event: TerminalEvent) -> None:
        if self._out.as_json:
            name, members = event_object(event)
            self._out.event(name, **members)
            return
        words = _words(event)
        if words is not None:
            self._line(*words)

    def _ended(self, payment: Payment) -> None:
        self._out.event("payment", **payment_object(payment))
        style = {Outcome.APPROVED: "bold green", Outcome.UNKNOWN: "bold yellow"}.get(payment.outcome, "bold red")
        unclear = payment.outcome is Outcome.UNKNOWN
        self._line("payment", f"UNCLEAR: {payment.reference}" if unclear else final_line(payment), style)

    def _line(self, what: str, text: str, style: str = "") -> None:
        now = f"{datetime.now(tz=UTC).astimezone():%H:%M:%S}"
        self._out.say(f"{now}  {what:<9} {plain(text)}", style)


class _Visitors(TraceSink):
    """Tells who connects, and hands everything on to the recorder."""

    def __init__(self, hall: Hall, recorder: TraceSink | None) -> None:
        self._hall = hall
        self._recorder = recorder
        self._links = 0
        self._peers: dict[int, str] = {}

    def new_link(self) -> int:
        self._links += 1
        return self._links if self._recorder is None else self._recorder.new_link()

    def opened(self, link: int, *, protocol: str, local: str, peer: str) -> None:
        self._peers[link] = peer
        self._hall.visit("connected", f"{peer} has connected", link=link, peer=peer)
        if self._recorder is not None:
            self._recorder.opened(link, protocol=protocol, local=local, peer=peer)

    def message(self, link: int, *, sent: bool, raw: bytes, decoded: object, note: str = "") -> None:
        if self._recorder is not None:
            self._recorder.message(link, sent=sent, raw=raw, decoded=decoded, note=note)

    def closed(self, link: int, *, why: str) -> None:
        peer = self._peers.pop(link, "?")
        self._hall.visit("disconnected", f"{peer} has gone: {why}", link=link, peer=peer, why=plain(why))
        if self._recorder is not None:
            self._recorder.closed(link, why=why)


def _words(event: TerminalEvent) -> tuple[str, str] | None:
    """What to tell people about an event: what it concerns, and a sentence; None for what they need not see."""
    match event:
        case ProgressChanged(_, progress):
            return "payment", progress.value
        case DisplayShown(text) if text.strip():
            return "display", " / ".join(text.splitlines())
        case ReceiptPrinted(receipt):
            lines = len(receipt.text.splitlines())
            return "receipt", f"{receipt.kind.value}, {lines} lines" if lines else f"{receipt.kind.value}, an image"
        case StandalonePayment(payment):
            return "typed in", final_line(payment)
        case ShiftChanged(is_open):
            return "shift", "open" if is_open else "closed"
        case LinkChanged(connected, why):
            return "terminal", "connected" if connected else f"not connected: {why}"
        case Notice(text):
            return "notice", text
        case _:
            return None


async def _bridge(job: Job, setup: Setup) -> ExitCode:
    access = Access(url=str(setup.terminal), journal=setup.journal, name=setup.name)
    with recording(setup.trace) as recorder:
        behind = connect(setup.terminal, Context(trace=recorder, seed=setup.seed))
        async with journal_of(job, access, name="zahlwerk bridge", actor="bridge") as journal:
            front = behind
            if journal is not None:
                name = access.name or name_of(access.url)
                front = journal.wrap(behind, name=name, actor="register at the bridge")
                _say_what_is_open(job.out, journal, setup.journal, name)
                _warn_of_forgetful(job.out, setup.listeners)
            hall = Hall(job.out, front, recorder=recorder, seed=setup.seed)
            await _serve(job, setup, behind, hall)
    return ExitCode.DONE


async def _serve(job: Job, setup: Setup, behind: Terminal, hall: Hall) -> None:
    stopped = asyncio.Event()

    def came(count: int) -> None:
        stopped.set()
        if count > 1:
            os._exit(ExitCode.STOPPED)

    try:
        urls = await hall.start(setup.listeners)
        job.guard.stopper = came
        _say_where(job.out, urls, setup.terminal)
        await _until(stopped, job.out, behind, keypad=setup.keypad)
        job.out.say("Closing …", "dim")
    finally:
        await hall.close()


def _say_what_is_open(out: Output, journal: Journal, address: str, name: str) -> None:
    found = [record for record in journal.open_records() if record.is_unsettled]
    out.event("journal", address=shown_address(address), open=[record.reference for record in found])
    out.say(f"Journal {shown_address(address)}, {len(found)} payments to be settled.", "dim")
    elsewhere = sorted({record.terminal for record in found} - {name})
    if elsewhere:
        out.warn(
            f"the journal calls this terminal {name}; open payments of {', '.join(elsewhere)} are not asked about: "
            "if it is the same one, name it with --terminal-name"
        )


def _warn_of_forgetful(out: Output, listeners: Iterable[Url]) -> None:
    """A listener that can keep its latest result, and was given no place for it."""
    for url in listeners:
        can = any(one.name == "state" for one in find_interface(url.scheme).parameters)
        if can and "state" not in url.params:
            out.warn(
                f"{url} forgets its latest result when this process ends, and registers cannot ask for it any more; "
                "give the address a state=FILE"
            )


def _say_where(out: Output, urls: Iterable[Url], terminal: Url) -> None:
    for url in urls:
        out.event("listening", url=str(url))
        out.say(f"Listening on {url}", "bold green")
        if url.host and not url.is_loopback:
            out.warn(
                f"{url.host} is not this machine alone: whoever reaches port {url.port} can use the terminal; "
                f"listen on {LOOPBACK} unless that is meant"
            )
    out.say(f"for the terminal {terminal}; Ctrl-C ends it.", "dim")
    out.say()


async def _until(stopped: asyncio.Event, out: Output, behind: Terminal, *, keypad: bool) -> None:
    async with asyncio.TaskGroup() as tasks:
        keys = tasks.create_task(_follow_keypad(out, behind, tasks)) if keypad else None
        await stopped.wait()
        if keys is not None:
            keys.cancel()


async def _follow_keypad(out: Output, behind: Terminal, tasks: asyncio.TaskGroup) -> None:
    """Lines on standard input act on the virtual terminal. A payment typed in may take long, so none waits."""
    from zahlwerk.cli.keypad import press, typed_lines
    from zahlwerk.virtual.terminal import VirtualTerminal

    assert isinstance(behind, VirtualTerminal)

    async def act(line: str) -> None:
        worked, answer = await press(behind, line)
        out.event("keypad", typed=plain(line), ok=worked, text=answer)
        out.say(answer, "" if worked else "yellow")

    if behind.settings.shown_card is None:
        out.say("No card is shown by itself. Type: card visa   (help lists the keys)", "dim")
    pressed: set[asyncio.Task[None]] = set()
    try:
        async for line in typed_lines():
            task = tasks.create_task(act(line))
            pressed.add(task)
            task.add_done_callback(pressed.discard)
    finally:
        for task in pressed:
            task.cancel()
