"""`zahlwerk probe`: what answers at a host or device, and does it suit. Never opens a shift, never moves money."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, unique
from types import MappingProxyType
from typing import Annotated, Final

import typer

from zahlwerk.cli.exits import ExitCode
from zahlwerk.cli.options import JsonOption, TraceOption
from zahlwerk.cli.services import show_facts
from zahlwerk.cli.session import Job, perform, recording
from zahlwerk.cli.views import capabilities_object, info_object, plain, status_object
from zahlwerk.errors import ConfigurationError, LinkUnavailable, TerminalError
from zahlwerk.events import Printer, TerminalStatus
from zahlwerk.payment import PaymentKind
from zahlwerk.terminal import Capabilities, TerminalInfo
from zahlwerk.timeouts import Waits
from zahlwerk.urls import Context, TraceSink, Url, connect, find_interface

__all__ = ["SOFTWARE_FEATURES", "Answer", "Finding", "Verdict", "judge", "register"]

# Short waits: a terminal that is there answers at once. `connect_s` is for the network, the rest for the answer.
PROBE_WAITS: Final = Waits(connect_s=3.0, margin_s=0.5, short_s=3.0)
OPEN_S: Final = 5.0
"""All of one try. LIMIT: who probes sits in front of the screen."""

SOFTWARE_FEATURES: Final[Mapping[tuple[int, int, int], str]] = MappingProxyType({
    (16, 0, 0): "payments through the cloud",
    (17, 0, 5): "receipts sent unasked",
    (19, 10, 0): "follow-on purchases and refunds",
    (20, 0, 0): "inverse and image printing",
    (21, 1, 11): "scanning barcodes",
    (23, 0, 4): "reporting NFC tags that are no cards",
    (24, 4, 6): "the receipt's order reference",
})  # fmt: skip
"""From which software on a KIT terminal can what. Source: KIT fact sheet 0.2."""

_ZVT_PORT: Final = 20007


@unique
class Answer(Enum):
    """What answered at an address."""

    TERMINAL = "terminal"
    OTHER = "other"
    """Something is there, but it does not speak this interface."""
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one try found."""

    title: str
    url: str
    answer: Answer
    detail: str = ""
    info: TerminalInfo = field(default_factory=TerminalInfo)
    status: TerminalStatus = field(default_factory=TerminalStatus)
    capabilities: Capabilities = field(default_factory=Capabilities)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Does it suit, in plain words; and what to do."""

    code: ExitCode
    sentence: str
    advice: tuple[str, ...] = ()
    best: Finding | None = None


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(rich_help_panel="The terminal")(probe)


def probe(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="A host, host:port, /dev/... or a whole URL.")],
    trace: TraceOption = None,
    json: JsonOption = False,
) -> None:
    """Is there a terminal, who is it, and does it suit?

    Only asks: no shift is opened, no money moves. A register that is connected at the moment may be hung up on.
    Exits with 0 if it suits, 2 if something answers that does not, 69 if nothing does.
    """

    async def work(job: Job) -> ExitCode:
        candidates = _candidates(target)
        with recording(trace) as recorder:
            findings = await _try_all(job, candidates, target, recorder)
        verdict = judge(findings)
        _tell(job, findings, verdict)
        return verdict.code

    perform(work, as_json=json)


# -- what to try


def _candidates(target: str) -> list[tuple[str, Url]]:
    """Titles and addresses to try.

    Raises:
        ConfigurationError: not a host, device or address.
    """
    if target.startswith(("/", "COM", "com")):
        return [("KIT JSON over RS232", Url("kit+serial", path=target))]
    if ":" in target and not target.startswith("[") and not target.rpartition(":")[2].isdigit():
        url = Url.parse(target)
        if url.scheme == "virtual":
            raise ConfigurationError("a virtual terminal needs no probing: it suits", remedy="put it behind a bridge")
        interface = find_interface(url.scheme)
        return [(interface.title, interface.check(url))]
    if "//" in target:
        url = Url.parse(target)
        interface = find_interface(url.scheme)
        return [(interface.title, interface.check(url))]
    at = Url.parse(f"kit+tcp://{target}")
    if not at.host:
        raise ConfigurationError(f"not a host: {plain(target)[:64]!r}", remedy="write: zahlwerk probe 192.168.1.20")
    if at.port is not None:
        return [("KIT JSON over TCP", at), ("KIT JSON over WebSocket", Url("kit+ws", at.host, at.port))]
    return [
        ("KIT JSON over TCP", Url("kit+tcp", at.host, 8307)),
        ("KIT JSON over WebSocket", Url("kit+ws", at.host, 18307)),
        ("KIT JSON over WebSocket with TLS", Url("kit+wss", at.host, 18443, params={"insecure": "1"})),
        ("ZVT", Url("zvt+tcp", at.host, _ZVT_PORT)),
    ]


# -- trying


async def _try_all(
    job: Job, candidates: list[tuple[str, Url]], target: str, recorder: TraceSink | None
) -> list[Finding]:
    job.out.event("progress", step="PROBING", text=f"trying {len(candidates)} interfaces of {target}", reference=None)
    job.out.wait(f"Looking for a terminal at {plain(target)} …")
    try:
        return list(await asyncio.gather(*(_try(title, url, recorder) for title, url in candidates)))
    finally:
        job.out.end_wait()


async def _try(title: str, url: Url, recorder: TraceSink | None) -> Finding:
    if url.scheme == "zvt+tcp":
        return await _try_port(title, url)
    quiet = {} if "reconnect" in url.params else {"reconnect": "no"}
    calm = Url(url.scheme, url.host, url.port, url.path, {**url.params, **quiet})
    terminal = connect(calm, Context(waits=PROBE_WAITS, trace=recorder))
    try:
        async with asyncio.timeout(OPEN_S):
            await terminal.open()
            status, info = await terminal.status(), await terminal.info()
        return Finding(title=title, url=str(url), answer=Answer.TERMINAL, detail=_how(url), info=info, status=status,
                       capabilities=terminal.capabilities)  # fmt: skip
    except (LinkUnavailable, ConfigurationError) as exc:
        return Finding(title=title, url=str(url), answer=Answer.NOTHING, detail=str(exc))
    except (TerminalError, TimeoutError) as exc:
        return Finding(title=title, url=str(url), answer=Answer.OTHER, detail=_short(exc))
    finally:
        await terminal.close()


async def _try_port(title: str, url: Url) -> Finding:
    """Whether anything listens there, without saying a word."""
    assert url.port is not None
    try:
        async with asyncio.timeout(PROBE_WAITS.connect_s):
            _, writer = await asyncio.open_connection(url.host, url.port)
    except (OSError, TimeoutError):
        return Finding(title=title, url=str(url), answer=Answer.NOTHING, detail="nobody listens there")
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return Finding(
        title=title, url=str(url), answer=Answer.OTHER, detail="the port is open: looks like ZVT, which comes later"
    )


def _how(url: Url) -> str:
    if url.params.get("insecure") == "1":
        return "its certificate was not checked; for payments give ?cafile="
    return ""


def _short(exc: BaseException) -> str:
    return str(exc) or "it took too long to answer"


# -- judging


def judge(findings: list[Finding]) -> Verdict:
    """What the findings mean."""
    terminals = [found for found in findings if found.answer is Answer.TERMINAL]
    if terminals:
        return _judge_terminal(terminals[0], [found.title for found in terminals])
    others = [found for found in findings if found.answer is Answer.OTHER]
    if others:
        return _judge_other(others)
    tried = ", ".join(_where(found) for found in findings)
    return Verdict(
        ExitCode.UNAVAILABLE,
        f"Nothing answers: check power, network and address. Tried: {tried}.",
    )


def _judge_terminal(found: Finding, titles: list[str]) -> Verdict:
    advice = list(_advice(found))
    kinds = found.capabilities.kinds
    if kinds and PaymentKind.PURCHASE not in kinds:
        return Verdict(
            ExitCode.NOT_APPROVED,
            "This terminal speaks KIT, but takes no purchases.",
            ("ask your acquirer to set up purchases", *advice),
            found,
        )
    return Verdict(ExitCode.DONE, f"This terminal suits: it speaks {' and '.join(titles)}.", tuple(advice), found)


def _advice(found: Finding) -> list[str]:
    status, advice = found.status, []
    if not status.shift_open:
        advice.append("open the shift (`zahlwerk pay` does so): only then it tells its brands and functions")
    if status.locked:
        advice.append("it is locked now: see what its display shows")
    elif status.busy:
        advice.append("it is busy now: wait until its display is idle")
    if status.printer & ~Printer.UNAVAILABLE:
        advice.append("look after its printer")
    missing = _missing(found.info.software)
    if missing:
        advice.append(f"software {found.info.software} is too old for {', '.join(missing)}")
    if "insecure=1" in found.url:
        advice.append(found.detail)
    return advice


def _missing(software: str) -> list[str]:
    parts = software.split(".")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        return []
    version = (int(parts[0]), int(parts[1]), int(parts[2]))
    return [what for since, what in SOFTWARE_FEATURES.items() if version < since]


def _judge_other(others: list[Finding]) -> Verdict:
    if all(found.title == "ZVT" for found in others):
        return Verdict(
            ExitCode.NOT_APPROVED,
            "Something listens on port 20007 only: most likely a terminal that is set to ZVT, which comes later.",
            ("set the register integration type to KIT at the terminal",),
        )
    where = ", ".join(_where(found) for found in others if found.title != "ZVT")
    return Verdict(
        ExitCode.NOT_APPROVED,
        f"Something answers at {where}, but not as a KIT terminal.",
        (
            "check that the address is the terminal's",
            "set the register integration type to KIT at the terminal",
            "close what else is connected to it: some terminals serve one register only",
        ),
    )


def _where(found: Finding) -> str:
    url = Url.parse(found.url)
    return f"{found.title} ({url.path or url.port})"


# -- telling


def _tell(job: Job, findings: list[Finding], verdict: Verdict) -> None:
    for found in findings:
        job.out.event("interface", title=found.title, url=found.url, answers=found.answer.value,
                      detail=plain(found.detail) or None)  # fmt: skip
        mark, style = {
            Answer.TERMINAL: ("✓", "green"), Answer.OTHER: ("?", "yellow"), Answer.NOTHING: ("·", "dim")
        }[found.answer]  # fmt: skip
        words = {Answer.TERMINAL: "a terminal answers", Answer.OTHER: "answers, but not this"}.get(found.answer, "")
        told = " – ".join(part for part in (words, plain(found.detail)) if part)
        job.out.say(f" {mark} {found.title:<34} {told}", style)
    best = verdict.best
    job.out.event(
        "probe",
        suitable=verdict.code is ExitCode.DONE,
        verdict=verdict.sentence,
        advice=list(verdict.advice),
        url=None if best is None else best.url,
        terminal=None if best is None else info_object(best.info),
        status=None if best is None else status_object(best.status),
        capabilities=None if best is None else capabilities_object(best.capabilities),
    )
    job.out.say()
    if best is not None:
        show_facts(job, best.info, best.capabilities, best.status)
        job.out.say()
    style = {ExitCode.DONE: "bold green", ExitCode.NOT_APPROVED: "bold yellow"}.get(verdict.code, "bold red")
    job.out.say(verdict.sentence, style)
    for line in verdict.advice:
        job.out.say(f"→ {plain(line)}")
    if best is not None:
        job.out.say(f"→ a first payment: zahlwerk pay {best.url} 1.00")
