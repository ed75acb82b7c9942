"""Commands that ask a terminal something besides payments: status, end-of-day, receipt."""

from __future__ import annotations

from typing import Annotated

import typer

from zahlwerk.cli.exits import ExitCode
from zahlwerk.cli.journaled import journal_of
from zahlwerk.cli.options import (
    ConnectTimeoutOption,
    JournalOption,
    JsonOption,
    SeedOption,
    TerminalNameOption,
    TraceOption,
    UrlArgument,
    access,
    receipt_kind_of,
)
from zahlwerk.cli.session import Job, opened, perform
from zahlwerk.cli.views import (
    capabilities_object,
    info_object,
    plain,
    printer_words,
    status_object,
    status_words,
    totals_object,
)
from zahlwerk.events import TerminalStatus
from zahlwerk.payment import Receipt, ReceiptKind
from zahlwerk.terminal import Capabilities, TerminalInfo, Totals

__all__ = ["register", "show_facts"]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(rich_help_panel="The terminal")(status)
    app.command("end-of-day", rich_help_panel="The terminal")(end_of_day)
    app.command(rich_help_panel="The terminal")(receipt)


def status(
    url: UrlArgument,
    *,
    trace: TraceOption = None,
    connect_timeout: ConnectTimeoutOption = None,
    json: JsonOption = False,
) -> None:
    """Who the terminal is, what it can and what it is doing."""

    async def work(job: Job) -> ExitCode:
        async with opened(job, reach) as terminal:
            now = await terminal.status()
            info, capabilities = await terminal.info(), terminal.capabilities
            job.out.event(
                "terminal-status",
                **status_object(now),
                terminal=info_object(info),
                capabilities=capabilities_object(capabilities),
            )
            show_facts(job, info, capabilities, now)
            return ExitCode.DONE

    reach = access(url, trace=trace, connect_timeout=connect_timeout)
    perform(work, as_json=json)


def end_of_day(
    url: UrlArgument,
    *,
    trace: TraceOption = None,
    seed: SeedOption = None,
    connect_timeout: ConnectTimeoutOption = None,
    journal: JournalOption = "",
    terminal_name: TerminalNameOption = "",
    json: JsonOption = False,
) -> None:
    """Close the booking period and show what was taken in it."""

    async def work(job: Job) -> ExitCode:
        async with journal_of(job, reach) as book, opened(job, reach, book) as terminal:
            job.out.wait("closing the day …")
            totals = await terminal.end_of_day()
            job.out.end_wait()
            job.out.event("end-of-day", **totals_object(totals))
            _show_totals(job, totals)
            return ExitCode.DONE

    reach = access(
        url, trace=trace, seed=seed, connect_timeout=connect_timeout, journal=journal, terminal_name=terminal_name
    )
    perform(work, as_json=json)


def receipt(
    url: UrlArgument,
    *,
    kind: Annotated[
        ReceiptKind,
        typer.Option("--kind", parser=receipt_kind_of, metavar="KIND", help="merchant, customer, end-of-day ..."),
    ] = "merchant",  # type: ignore[assignment]  # Typer runs the default through the parser
    number: Annotated[
        int | None, typer.Option("--number", metavar="N", help="The payment's sequence; the latest if missing.")
    ] = None,
    trace: TraceOption = None,
    connect_timeout: ConnectTimeoutOption = None,
    json: JsonOption = False,
) -> None:
    """A receipt once more."""

    async def work(job: Job) -> ExitCode:
        async with opened(job, reach) as terminal:
            job.out.receipt(await terminal.receipt(kind, number=number))
            return ExitCode.DONE

    reach = access(url, trace=trace, connect_timeout=connect_timeout)
    perform(work, as_json=json)


def show_facts(job: Job, info: TerminalInfo, capabilities: Capabilities, now: TerminalStatus) -> None:
    """The terminal's facts as a small table, for people."""
    if job.out.as_json:
        return
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    rows = {
        "Terminal": " ".join(part for part in (info.terminal_id, "(test)" if info.is_test else "") if part),
        "Model": info.model,
        "Serial number": info.serial_number,
        "Software": info.software,
        "Spoken to by": info.interface,
        "Merchant": " ".join(part for part in (info.merchant_name, info.merchant_id) if part),
        "Status": status_words(now),
        "Printer": printer_words(now.printer),
        "Language": now.language,
        "Currencies": ", ".join(capabilities.currencies),
        "Brands": ", ".join(capabilities.brands),
        "Functions": ", ".join(sorted(kind.value for kind in capabilities.kinds)),
    }
    for name, value in rows.items():
        if value:
            table.add_row(Text(name, style="dim"), Text(plain(value)))
    job.out.show(table, wide=False)
    if not capabilities.kinds:
        job.out.say("Brands, currencies and functions are told once the shift is open.", "dim")


def _show_totals(job: Job, totals: Totals) -> None:
    if job.out.as_json:
        return
    from rich.table import Table

    if totals.receipt:
        job.out.receipt(Receipt(ReceiptKind.END_OF_DAY, totals.receipt))
    table = Table("Brand", "Kind", box=None)
    for name in ("Count", "Amount", "Tip"):
        table.add_column(name, justify="right")
    for row in totals.totals:
        tip = str(row.tip) if row.tip else ""
        table.add_row(plain(row.brand), row.kind.value, str(row.count), str(row.amount), tip)
    if totals.totals:
        job.out.show(table, wide=False)
    job.out.say("The day is closed." if totals.totals else "The day is closed; nothing was taken in it.", "bold green")
