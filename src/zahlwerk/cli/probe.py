"""`zahlwerk probe`: what answers at a host or device, and does it suit. Never opens a shift, never moves money."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, unique
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Final

import typer

from zahlwerk.cli.exits import ExitCode
from zahlwerk.cli.options import JsonOption, TraceOption
from zahlwerk.cli.services import show_facts
from zahlwerk.cli.session import Job, perform, recording
from zahlwerk.cli.views import JsonObject, capabilities_object, info_object, plain, status_object
from zahlwerk.errors import ConfigurationError, LinkUnavailable, TerminalError
from zahlwerk.events import Printer, TerminalStatus
from zahlwerk.payment import PaymentKind
from zahlwerk.terminal import Capabilities, TerminalInfo
from zahlwerk.timeouts import Waits
from zahlwerk.urls import Context, TraceSink, Url, connect, find_interface

if TYPE_CHECKING:
    from zahlwerk.interfaces.zvt.probing import ZvtFindings
    from zahlwerk.transport.stream import ByteStream

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

LINGER_S: Final = 2.5
"""So long a ZVT terminal is watched for hanging up: they do after 1 to 2 s. Source: ZVT fact sheet 1.2."""

_ZVT: Final = "ZVT"
_ZVT_SERIAL: Final = "ZVT over RS-232"
_ZVT_PORTS: Final = (20007, 22000)
"""Where terminals listen for ZVT; the second is Feig's. Source: ZVT fact sheet 1.2."""
_ZVT_ONLY: Final = frozenset({*_ZVT_PORTS, 22001})
"""Ports at which nothing else is tried: some terminals serve one connection at a time."""


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
    zvt: ZvtFindings | None = None
    """What a ZVT terminal told of itself."""


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
    register: Annotated[
        bool,
        typer.Option(
            "--register", help="ZVT: register too (06 00), which may lock the terminal's keypad as a till would."
        ),
    ] = False,
    trace: TraceOption = None,
    json: JsonOption = False,
) -> None:
    """Is there a terminal, who is it, and does it suit?

    Only asks: no shift is opened, no money moves. A register that is connected at the moment may be hung up on, and a
    ZVT terminal may use the occasion to run what is due, such as its own end of day.
    Exits with 0 if it suits, 2 if something answers that does not, 69 if nothing does.
    """

    async def work(job: Job) -> ExitCode:
        candidates = _candidates(target)
        with recording(trace) as recorder:
            findings = await _try_all(job, candidates, target, recorder, register=register)
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
        return [("KIT JSON over RS232", Url("kit+serial", path=target)), (_ZVT_SERIAL, Url("zvt+serial", path=target))]
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
    if at.port in _ZVT_ONLY:
        return [(_ZVT, Url("zvt+tcp", at.host, at.port))]
    if at.port is not None:
        return [
            ("KIT JSON over TCP", at),
            ("KIT JSON over WebSocket", Url("kit+ws", at.host, at.port)),
            (_ZVT, Url("zvt+tcp", at.host, at.port)),
        ]
    return [
        ("KIT JSON over TCP", Url("kit+tcp", at.host, 8307)),
        ("KIT JSON over WebSocket", Url("kit+ws", at.host, 18307)),
        ("KIT JSON over WebSocket with TLS", Url("kit+wss", at.host, 18443, params={"insecure": "1"})),
        *((_ZVT, Url("zvt+tcp", at.host, port)) for port in _ZVT_PORTS),
    ]


# -- trying


async def _try_all(
    job: Job, candidates: list[tuple[str, Url]], target: str, recorder: TraceSink | None, *, register: bool
) -> list[Finding]:
    job.out.event("progress", step="PROBING", text=f"trying {len(candidates)} interfaces of {target}", reference=None)
    job.out.wait(f"Looking for a terminal at {plain(target)} …")
    kit = [each for each in candidates if not each[1].scheme.startswith("zvt")]
    zvt = [each for each in candidates if each[1].scheme.startswith("zvt")]
    # On one port only one language at a time, and ZVT last: most ZVT terminals serve a single connection.
    ports_apart = {url.port for _, url in kit}.isdisjoint(url.port for _, url in zvt)
    try:
        if ports_apart:
            return list(
                await asyncio.gather(
                    *(_try(title, url, recorder) for title, url in kit),
                    *(_try_zvt(title, url, recorder, register=register) for title, url in zvt),
                )
            )
        found = list(await asyncio.gather(*(_try(title, url, recorder) for title, url in kit)))
        if any(each.answer is Answer.TERMINAL for each in found) or all(
            each.answer is Answer.NOTHING for each in found
        ):
            return found
        return [*found, *[await _try_zvt(title, url, recorder, register=register) for title, url in zvt]]
    finally:
        job.out.end_wait()


async def _try(title: str, url: Url, recorder: TraceSink | None) -> Finding:
    quiet = {} if "reconnect" in url.params or not url.scheme.startswith("kit") else {"reconnect": "no"}
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


async def _try_zvt(title: str, url: Url, recorder: TraceSink | None, *, register: bool) -> Finding:
    """Ask for the status, and no more unless it is wanted."""
    from zahlwerk.clock import SystemClock
    from zahlwerk.interfaces.zvt.interface import baud_of, profile_for
    from zahlwerk.interfaces.zvt.probing import Speaks, probe_zvt
    from zahlwerk.interfaces.zvt.serial_link import SerialLink
    from zahlwerk.money import Currency

    profile = profile_for(url)
    if "profile" in url.params and url.port == _ZVT_PORTS[0]:
        url = url.but(port=profile.port)
    is_serial = url.scheme == "zvt+serial"
    try:
        stream = await _zvt_stream(url, tls=profile.tls)
    except (LinkUnavailable, ConfigurationError) as exc:
        return Finding(title=title, url=str(url), answer=Answer.NOTHING, detail=str(exc))
    zvt = await probe_zvt(
        stream,
        clock=SystemClock(),
        profile=profile,
        port=url.port,
        register=register,
        currency_number=Currency.of(url.params.get("currency", "EUR")).number,
        linger_s=0.0 if is_serial else LINGER_S,
        trace=recorder,
        serial=SerialLink(baud=baud_of(url)) if is_serial else None,
    )
    if zvt.speaks is not Speaks.ZVT:
        return Finding(title=title, url=str(url), answer=Answer.OTHER, detail=zvt.sentence, zvt=zvt)
    best = replace(url, params={**zvt.params, **url.params})
    info = TerminalInfo(
        terminal_id=zvt.terminal_id,
        serial_number=zvt.serial_number,
        model=zvt.device,
        software=zvt.software or zvt.device_software,
        interface=_ZVT_SERIAL if is_serial else "ZVT over TCP",
    )
    return Finding(title=title, url=str(best), answer=Answer.TERMINAL, detail=zvt.sentence, info=info, zvt=zvt)


async def _zvt_stream(url: Url, *, tls: bool) -> ByteStream:
    """The line to a ZVT terminal.

    Raises:
        LinkUnavailable: nothing is there.
        ConfigurationError: the certificates cannot be read.
    """
    from zahlwerk.interfaces.zvt.interface import open_port
    from zahlwerk.transport.tcp import connect_tcp
    from zahlwerk.transport.tls import TlsOptions

    if url.scheme == "zvt+serial":
        return await open_port(url)
    assert url.port is not None
    options = TlsOptions(
        certfile=url.params.get("certfile") or None,
        keyfile=url.params.get("keyfile") or None,
        cafile=url.params.get("cafile") or None,
        insecure=url.params.get("insecure") == "1",
        check_hostname=url.params.get("check_hostname", "yes") == "yes",
    )
    return await connect_tcp(url.host, url.port, timeout_s=PROBE_WAITS.connect_s, tls=options if tls else None)


def _how(url: Url) -> str:
    if url.params.get("insecure") == "1":
        return "its certificate was not checked; for payments give ?cafile="
    return ""


def _short(exc: BaseException) -> str:
    return str(exc) or "it took too long to answer"


# -- judging

UNKNOWN_COMMAND: Final = 0x83
"""84 83: a terminal whose ZVT is switched off answers everything so. Source: ZVT fact sheet 8, row Ingenico."""


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
    if found.zvt is not None:
        return _judge_zvt(found, found.zvt)
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


def _judge_zvt(found: Finding, zvt: ZvtFindings) -> Verdict:
    what = zvt.sentence.rstrip(".")
    if zvt.can_pay:
        return Verdict(ExitCode.DONE, f"This terminal suits: {what}.", zvt.advice, found)
    if zvt.done_s is None or zvt.refused == UNKNOWN_COMMAND:
        return Verdict(ExitCode.NOT_APPROVED, f"It does not suit as it is: {what}.", zvt.advice, found)
    return Verdict(ExitCode.DONE, f"This terminal suits, but takes no payments now: {what}.", zvt.advice, found)


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
    zvt = [found for found in others if found.zvt is not None]
    if len(zvt) == len(others):
        words = "; ".join(f"{_place(found)}: {found.detail}" for found in others)
        return Verdict(
            ExitCode.NOT_APPROVED,
            f"Something answers, but not as a ZVT terminal. {words[:1].upper()}{words[1:]}.",
            (
                "check that the address is the terminal's, and that ZVT over LAN (or the serial line) is switched on",
                _ONE_AT_A_TIME,
            ),
        )
    where = ", ".join(_where(found) for found in others if found.zvt is None)
    if not zvt:
        return Verdict(
            ExitCode.NOT_APPROVED,
            f"Something answers at {where}, but not as a KIT terminal.",
            ("check that the address is the terminal's", _SWITCH_KIT_ON, _ONE_AT_A_TIME),
        )
    places = ", ".join(dict.fromkeys(map(_place, others)))
    return Verdict(
        ExitCode.NOT_APPROVED,
        f"Something answers at {places}, but neither as a KIT nor as a ZVT terminal.",
        (
            "check that the address is the terminal's",
            f"if it should speak KIT: {_SWITCH_KIT_ON}",
            "if it should speak ZVT: switch ZVT on in its settings",
            _ONE_AT_A_TIME,
        ),
    )


_SWITCH_KIT_ON: Final = "set the register integration type to KIT at the terminal"
_ONE_AT_A_TIME: Final = "close what else is connected to it: many terminals serve one register only"


def _place(found: Finding) -> str:
    url = Url.parse(found.url)
    return url.path or f"port {url.port}"


def _where(found: Finding) -> str:
    url = Url.parse(found.url)
    return f"{found.title} ({url.path or url.port})"


# -- telling


def _tell(job: Job, findings: list[Finding], verdict: Verdict) -> None:
    for found in findings:
        zvt = None if found.zvt is None else _zvt_object(found.zvt)
        job.out.event("interface", title=found.title, url=found.url, answers=found.answer.value,
                      detail=plain(found.detail) or None, zvt=zvt)  # fmt: skip
        mark, style = {
            Answer.TERMINAL: ("✓", "green"), Answer.OTHER: ("?", "yellow"), Answer.NOTHING: ("·", "dim")
        }[found.answer]  # fmt: skip
        words = {Answer.TERMINAL: "a terminal answers", Answer.OTHER: "answers, but not this"}.get(found.answer, "")
        told = " – ".join(part for part in (words, plain(found.detail)) if part)
        job.out.say(f" {mark} {found.title:<34} {told}", style)
    for found in findings:
        for receipt in () if found.zvt is None else found.zvt.receipts:
            job.out.receipt(receipt)
    best = verdict.best
    job.out.event(
        "probe",
        suitable=verdict.code is ExitCode.DONE,
        verdict=verdict.sentence,
        advice=list(verdict.advice),
        url=None if best is None else best.url,
        terminal=None if best is None else info_object(best.info),
        # A ZVT terminal tells neither: see `zvt` of the interface.
        status=None if best is None or best.zvt is not None else status_object(best.status),
        capabilities=None if best is None or best.zvt is not None else capabilities_object(best.capabilities),
    )
    job.out.say()
    if best is not None:
        if best.zvt is None:
            show_facts(job, best.info, best.capabilities, best.status)
        else:
            _show_zvt(job, best.zvt)
        job.out.say()
    style = {ExitCode.DONE: "bold green", ExitCode.NOT_APPROVED: "bold yellow"}.get(verdict.code, "bold red")
    job.out.say(verdict.sentence, style)
    for line in verdict.advice:
        job.out.say(f"→ {plain(line)}")
    if best is not None and verdict.code is ExitCode.DONE:
        job.out.say(f"→ a first payment: zahlwerk pay {shlex.quote(best.url)} 1.00")


def _zvt_object(zvt: ZvtFindings) -> JsonObject:
    """What a ZVT terminal told, for programs; times in seconds."""
    agreed = zvt.registration
    return {
        "speaks": zvt.speaks.value,
        "status": None if zvt.status is None else f"{zvt.status:02X}",
        "refused": None if zvt.refused is None else f"{zvt.refused:02X}",
        "software": zvt.software or None,
        "terminal_id": zvt.terminal_id or None,
        "device": zvt.device or None,
        "device_software": zvt.device_software or None,
        "serial_number": zvt.serial_number or None,
        "device_state": zvt.device_state,
        "locks": zvt.locks.hex().upper() or None,
        "rebooted": zvt.rebooted,
        "card_in_field": zvt.card_in_field,
        "next_reboot": zvt.next_reboot or None,
        "answer_s": _rounded(zvt.answer_s),
        "done_s": _rounded(zvt.done_s),
        "closes_after_s": _rounded(zvt.closes_after_s),
        "results": zvt.results,
        "profile": zvt.profile,
        "registration": None if agreed is None else {
            "refused": None if agreed.refused is None else f"{agreed.refused:02X}",
            "status_bits": agreed.status_bits,
            "currency_number": agreed.currency_number,
            "width": agreed.width,
            "apdu_max": agreed.apdu_max,
            "commands": [f"{code:04X}" for code in agreed.commands],
            "charset": agreed.charset or None,
            "numbered": agreed.numbered,
        },
    }  # fmt: skip


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _show_zvt(job: Job, zvt: ZvtFindings) -> None:
    """The same for people."""
    if job.out.as_json:
        return
    from rich.table import Table
    from rich.text import Text

    agreed = zvt.registration
    rows = {
        "Terminal": zvt.terminal_id,
        "Model": zvt.device,
        "Serial number": zvt.serial_number,
        "Software": zvt.software or zvt.device_software,
        "Next restart": zvt.next_reboot,
        "Locks (1F55)": zvt.locks.hex(" ").upper(),
        "Answers within": "" if zvt.answer_s is None else f"{zvt.answer_s * 1000:.0f} ms",
        "Hangs up": "no" if zvt.closes_after_s is None else f"{zvt.closes_after_s:.1f} s after the last message",
        "Profile": zvt.profile,
    }
    if agreed is not None and agreed.refused is None:
        rows |= {
            "Printer width": str(agreed.width or ""),
            "Longest message": str(agreed.apdu_max or ""),
            "Commands": " ".join(f"{code:04X}" for code in agreed.commands),
            "Characters": agreed.charset,
        }
    table = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        if value:
            table.add_row(Text(name, style="dim"), Text(plain(value)))
    job.out.show(table, wide=False)
