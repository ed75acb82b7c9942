"""`zahlwerk journal`: what happened, is it intact, what is open, and what a person decides about it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shlex
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from zahlwerk.cli.exits import ExitCode, of_error
from zahlwerk.cli.journaled import JOURNAL_DEFAULT, shown_address, terminal_name
from zahlwerk.cli.options import JsonOption
from zahlwerk.cli.session import Job, perform
from zahlwerk.cli.views import plain
from zahlwerk.errors import InvalidRequest, JournalDamaged, MoneyMoved, PaymentNotFound, TerminalError
from zahlwerk.urls import Context, Url, connect

if TYPE_CHECKING:
    from zahlwerk.journal import Journal, JournaledTerminal
    from zahlwerk.journal.entries import Row
    from zahlwerk.journal.records import Record
    from zahlwerk.journal.store import Store
    from zahlwerk.journal.verify import Verdict

__all__ = ["register"]

ACTOR: Final = "zahlwerk journal"
# LIMIT: rows that are read at first to find the latest payments; doubled until enough are found.
ROWS_FIRST: Final = 200
# LIMIT: entries between two notes for programs of how far a verification is.
NOTE_EVERY: Final = 100_000
POLL_S: Final = 0.05

app = typer.Typer(
    help="The journal: what happened, is it intact, what is open.",
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

AddressOption = Annotated[
    str,
    typer.Option(
        "--journal", metavar="ADDRESS", envvar="ZAHLWERK_JOURNAL", help="A file, or postgresql://user@host/database."
    ),
]
PaymentArgument = Annotated[str, typer.Argument(metavar="REFERENCE", help="Your own number of the payment.")]
SinceOption = Annotated[
    str, typer.Option("--since", metavar="WHEN", help="2026-11-28, '2026-11-28 17:00' (your clock), or 12h, 7d ago.")
]
ByOption = Annotated[str, typer.Option("--by", metavar="WHO", help="Who says so; it is written down.")]


def register(parent: typer.Typer) -> None:
    """Add these commands."""
    parent.add_typer(app, name="journal", rich_help_panel="Payments")


@app.callback(invoke_without_command=True)
def _journal(context: typer.Context) -> None:
    """The journal: what happened, is it intact, what is open."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


# -- reading


@app.command("list")
def list_(
    *,
    journal: AddressOption = JOURNAL_DEFAULT,
    open_only: Annotated[bool, typer.Option("--open", help="Only what is open: unknown, in doubt, held.")] = False,
    terminal: Annotated[str, typer.Option("--terminal", metavar="NAME", help="Only of this terminal.")] = "",
    since: SinceOption = "",
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="The latest so many.")] = 20,
    json: JsonOption = False,
) -> None:
    """The latest payments, one a line."""

    async def work(job: Job) -> ExitCode:
        from zahlwerk.cli.journal_views import record_object

        async with _reading(journal) as book:
            first = _moment_of(since) if since else ""
            found = await _latest(book, terminal=terminal, since=first, limit=limit, open_only=open_only)
            for record in found:
                job.out.event("journal-payment", **record_object(record))
            _show_list(job, found, open_only=open_only)
            unsettled = [record for record in book.open_records(terminal) if record.is_unsettled]
            if unsettled and not open_only:
                job.out.say(
                    f"{_payments(len(unsettled))} open: zahlwerk journal list --open{_where(journal)}", "yellow"
                )
        return ExitCode.DONE

    perform(work, as_json=json)


@app.command()
def show(reference: PaymentArgument, *, journal: AddressOption = JOURNAL_DEFAULT, json: JsonOption = False) -> None:
    """Everything that is written about one payment, and what to do if it is open."""

    async def work(job: Job) -> ExitCode:
        from zahlwerk.cli.journal_views import doubt_object, record_object, row_object, what_to_do

        async with _reading(journal) as book:
            record = await _known(book, reference)
            doubt = await book.doubt(reference)
            for row in doubt.rows:
                job.out.event("journal-entry", **row_object(row))
            _show_record(job, record, doubt.rows)
            if record.payment is not None:
                for receipt in record.payment.receipts:
                    job.out.receipt(receipt)
            advice = what_to_do(record, where=_where(journal), doubt=doubt)
            told = {**record_object(record), **doubt_object(doubt), "what_to_do": list(advice)}
            job.out.event("journal-payment", **told)
            for sentence in advice:
                job.out.say(sentence, "yellow")
        return ExitCode.DONE

    perform(work, as_json=json)


@app.command("verify")
def verify_(
    *,
    journal: AddressOption = JOURNAL_DEFAULT,
    head: Annotated[
        str,
        typer.Option("--head", metavar="HASH", help="A hash that you kept elsewhere: its entry must still be there."),
    ] = "",
    json: JsonOption = False,
) -> None:
    """Whether the journal stands as it was written; exits with 0 only if it does, else with 65.

    Keep the hash that it prints somewhere else: it proves later that nothing was rewritten or cut off since.
    """

    async def work(job: Job) -> ExitCode:
        from zahlwerk.journal.verify import verify

        kept = _hash_of(head) if head else None
        found_at = 0

        def watch(rows: Sequence[Row]) -> None:
            nonlocal found_at
            if rows:
                _progress(job, rows[-1].number, rows[0].number)
            if kept is not None and not found_at:
                found_at = next((row.number for row in rows if row.hash == kept), 0)

        async with _rows_of(journal) as store:
            verdict = await verify(store, watch=watch)
        job.out.end_wait()
        missing = kept is not None and not found_at
        job.out.event(
            "verified", intact=verdict.is_intact and not missing, entries=verdict.rows, head=verdict.head.hex(),
            fault=_fault_words(verdict, missing=missing) or None,
            fault_at=verdict.fault.number if verdict.fault is not None else None, kept_head_at=found_at or None,
        )  # fmt: skip
        return _say_verdict(job, journal, verdict, missing=missing, found_at=found_at)

    perform(work, as_json=json)


@app.command()
def export(
    *,
    journal: AddressOption = JOURNAL_DEFAULT,
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help="jsonl or csv.")] = "jsonl",
    since: SinceOption = "",
    out: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Instead of the screen.")] = None,
    json: JsonOption = False,
) -> None:
    """All entries with their hashes, so that anybody can verify them; see docs/journal.md.

    The whole chain is verified on the way, also what is not written because of --since.
    """

    async def work(job: Job) -> ExitCode:
        from zahlwerk.cli.journal_export import FORMATS, exported

        if form not in FORMATS:
            raise InvalidRequest(f"there is no format {form[:16]!r}", remedy=f"use one of: {', '.join(FORMATS)}")
        if json and out is None and form != "jsonl":
            raise InvalidRequest("--json with a table on the screen", remedy="give a file with -o, or use jsonl")
        first = _moment_of(since) if since else ""
        async with _rows_of(journal) as store:
            count, verdict = await exported(store, form=form, since=first, out=out)
        if verdict.fault is not None:
            raise JournalDamaged(f"{verdict.fault.what}: only the {count} entries before it were written")
        if out is not None:
            job.out.event("exported", file=str(out), entries=count, head=verdict.head.hex())
            job.out.say(f"{out}: {count} entries, up to {verdict.rows}, hash {verdict.head.hex()}")
        return ExitCode.DONE

    perform(work, as_json=json)


# -- writing


@app.command()
def recover(
    *,
    journal: AddressOption = JOURNAL_DEFAULT,
    terminal: Annotated[
        list[str],
        typer.Option("--terminal", metavar="NAME=URL", help="A terminal that can be asked; several times if need be."),
    ],
    wait: Annotated[float, typer.Option("--wait", metavar="SECONDS", min=0, help="For answers, at most.")] = 30.0,
    json: JsonOption = False,
) -> None:
    """Ask the terminals what became of open payments. Exits with 0 if nothing is unknown afterwards, with 3 if it is.

    NAME is the one that `zahlwerk journal list` shows; it can be left out where it is the address itself.
    Nothing is charged.
    """

    async def work(job: Job) -> ExitCode:
        named = [_named(text) for text in terminal]
        async with _writing(journal) as book:
            return await _recover(job, book, named, where=_where(journal), wait_s=wait)

    perform(work, as_json=json, stake=MoneyMoved.MAYBE)


@app.command()
def decide(
    reference: PaymentArgument,
    *,
    journal: AddressOption = JOURNAL_DEFAULT,
    paid: Annotated[bool | None, typer.Option("--paid/--not-paid", help="Whether the money moved.")] = None,
    by: ByOption,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="How you know; it is written down.")],
    json: JsonOption = False,
) -> None:
    """Say what became of a payment that the terminal cannot tell about. It stays written; nothing is charged."""

    async def work(job: Job) -> ExitCode:
        if paid is None:
            raise InvalidRequest("a decision is --paid or --not-paid", remedy="say which, and only if you know")
        async with _writing(journal) as book:
            await _known(book, reference)
            await book.decide(reference, paid=paid, by=by, why=why)
            _tell_record(job, "decided", await book.record(reference))
        return ExitCode.DONE

    perform(work, as_json=json)


@app.command()
def match(
    standalone: Annotated[str, typer.Argument(metavar="STANDALONE", help="The payment typed in at the terminal.")],
    reference: Annotated[
        str, typer.Argument(metavar="REFERENCE", help="What it paid for: your own number of the sale.")
    ],
    *,
    journal: AddressOption = JOURNAL_DEFAULT,
    by: ByOption,
    json: JsonOption = False,
) -> None:
    """Say what a payment that was typed in at the terminal paid for."""

    async def work(job: Job) -> ExitCode:
        async with _writing(journal) as book:
            await _known(book, standalone)
            await book.match(standalone, reference, by=by)
            _tell_record(job, "matched", await book.record(standalone))
        return ExitCode.DONE

    perform(work, as_json=json)


# -- the book


@contextlib.asynccontextmanager
async def _reading(address: str) -> AsyncIterator[Journal]:
    from zahlwerk.journal import Journal

    book = await Journal.open_to_read(address)
    try:
        yield book
    finally:
        await book.close()


@contextlib.asynccontextmanager
async def _rows_of(address: str) -> AsyncIterator[Store]:
    """Its rows as they stand, whether or not they make sense."""
    from zahlwerk.journal.store import store_at

    store = store_at(address)
    try:
        await store.open_to_read()
        yield store
    finally:
        await store.close()


@contextlib.asynccontextmanager
async def _writing(address: str) -> AsyncIterator[Journal]:
    """A journal that is there already, open to write."""
    from zahlwerk.journal import Journal

    async with _reading(address):
        pass  # a slip of the pen must not make a new, empty journal
    async with await Journal.open(address, name=ACTOR, actor=ACTOR) as book:
        yield book


async def _known(book: Journal, reference: str) -> Record:
    try:
        return await book.record(reference)
    except PaymentNotFound as exc:
        raise InvalidRequest(str(exc), remedy="`zahlwerk journal list` shows what it knows") from None


async def _latest(book: Journal, *, terminal: str, since: str, limit: int, open_only: bool) -> Sequence[Record]:
    """The latest payments, oldest first."""
    if open_only:
        found = [record for record in book.open_records(terminal) if record.moment >= since]
        return found[-limit:]
    rows_wanted = max(ROWS_FIRST, 8 * limit)
    while True:
        rows = await book.latest(limit=rows_wanted, terminal=terminal)
        fresh = [row for row in rows if row.moment >= since] if since else rows
        references = list(dict.fromkeys(row.reference for row in reversed(fresh) if row.reference))
        if len(references) >= limit or len(rows) < rows_wanted or len(fresh) < len(rows):
            records = [await book.record(reference) for reference in references[:limit]]
            return sorted(records, key=lambda record: record.first)
        rows_wanted *= 4


# -- recovery


def _named(text: str) -> tuple[str, str]:
    """A terminal's name and address out of NAME=URL, or out of the address alone."""
    name, equals, address = text.partition("=")
    # An address has its parameters, and so its first equals sign, behind a question mark.
    if not equals or "?" in name:
        return terminal_name(text), text
    Url.parse(address)
    return name, address


async def _recover(job: Job, book: Journal, named: Iterable[tuple[str, str]], *, where: str, wait_s: float) -> ExitCode:
    before = book.open_records()
    asked: list[JournaledTerminal] = []
    listened: list[Callable[[], None]] = []
    failures: list[TerminalError] = []
    for name, address in named:
        if not any(record.terminal == name for record in before):
            job.out.event("nothing-open", terminal=name)
            job.out.say(f"Nothing is open at {name}.")
            continue
        terminal = book.wrap(connect(address, Context()), name=name, actor=ACTOR)
        listened.append(terminal.listen(job.out.terminal_event))
        job.out.wait(f"connecting to {name} …")
        try:
            await terminal.open()
        except TerminalError as exc:
            job.out.error(exc, money_moved=MoneyMoved.NO)
            failures.append(exc)
        else:
            asked.append(terminal)
    job.out.wait("asking …")
    loop = asyncio.get_running_loop()
    until_s = loop.time() + wait_s
    while any(terminal.recovery.unsettled() for terminal in asked) and loop.time() < until_s:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(POLL_S)
    job.out.end_wait()
    for stop in listened:
        stop()
    return await _say_what_became(job, book, before, failures, where=where)


async def _say_what_became(
    job: Job, book: Journal, before: Sequence[Record], failures: Sequence[TerminalError], *, where: str
) -> ExitCode:
    unknown = 0
    for was in before:
        record = await book.record(was.reference)
        unknown += record.is_unsettled
        _tell_record(job, "recovered", record, where=where)
    job.out.event("recovery", asked_about=len(before), unknown=unknown)
    if unknown:
        job.out.say(f"{_payments(unknown)} unknown: do not charge again.", "bold yellow")
        return ExitCode.UNKNOWN
    job.out.say("Nothing is unknown." if before else "Nothing was open.", "bold green")
    return of_error(failures[0], MoneyMoved.NO) if failures else ExitCode.DONE


# -- words


def _show_list(job: Job, records: Sequence[Record], *, open_only: bool) -> None:
    if job.out.as_json:
        return
    if not records:
        job.out.say("Nothing is open." if open_only else "No payments.", "dim")
        return
    from rich.table import Column, Table
    from rich.text import Text

    from zahlwerk.cli.journal_views import kind_words, local_time, state_words
    from zahlwerk.journal.records import amount_of

    table = Table("No.", Column("When", no_wrap=True), Column("Terminal", overflow="fold"), box=None)
    # A reference is there to be copied: never cut, rather broken.
    table.add_column("Reference", overflow="fold", min_width=20)
    table.add_column("Kind", overflow="fold")
    table.add_column("Amount", justify="right", no_wrap=True)
    table.add_column("State")
    for record in records:
        cells = (
            str(record.first), local_time(record.since)[:16], record.terminal, record.reference, kind_words(record),
            str(amount_of(record) or ""), state_words(record),
        )  # fmt: skip
        style = "yellow" if record.is_unsettled else ""
        table.add_row(*(Text(plain(cell), style=style) for cell in cells))
    job.out.show(table)


def _show_record(job: Job, record: Record, rows: Sequence[Row]) -> None:
    if job.out.as_json:
        return
    from rich.table import Column, Table
    from rich.text import Text

    from zahlwerk.cli.journal_views import kind_words, local_time, row_words, state_words
    from zahlwerk.journal.records import amount_of

    amount = f" of {amount_of(record)}" if amount_of(record) is not None else ""
    about = f"{record.reference}: {kind_words(record)}{amount} at {record.terminal}, {state_words(record)}"
    job.out.say(plain(about), "bold yellow" if record.is_unsettled else "bold")
    table = Table("No.", Column("When", no_wrap=True), Column("What", no_wrap=True), "Who", "Details", box=None)
    for row in rows:
        cells = (str(row.number), local_time(row.moment), row.kind, row.actor, row_words(row))
        table.add_row(*(Text(plain(cell)) for cell in cells))
    job.out.show(table)
    if record.undone_by:
        job.out.say(f"Undone by {', '.join(map(plain, record.undone_by))}.")


def _tell_record(job: Job, event: str, record: Record, *, where: str = "") -> None:
    from zahlwerk.cli.journal_views import record_object, state_words, what_to_do
    from zahlwerk.journal.records import amount_of

    job.out.event(event, **record_object(record))
    amount = amount_of(record)
    told = " ".join(part for part in (record.reference, str(amount or ""), state_words(record)) if part)
    job.out.say(plain(told), "yellow" if record.is_unsettled else "")
    if event == "recovered":
        for sentence in what_to_do(record, where=where):
            job.out.say(f"  {plain(sentence)}", "dim")


def _say_verdict(job: Job, address: str, verdict: Verdict, *, missing: bool, found_at: int) -> ExitCode:
    fault = _fault_words(verdict, missing=missing)
    if fault:
        job.out.error(
            JournalDamaged(
                f"the journal {shown_address(address)} is not as it was written: {fault}",
                remedy="keep a copy as it is, find out who wrote there, and go on from a copy that is intact",
            ),
            money_moved=MoneyMoved.NO,
        )
        return ExitCode.DATA
    job.out.say(f"Intact: {verdict.rows} entries.", "bold green")
    if found_at:
        job.out.say(f"Entry {found_at} has the hash that you kept: up to there nothing was changed since.", "green")
    job.out.say(f"Keep elsewhere: entry {verdict.rows}, hash {verdict.head.hex()}")
    return ExitCode.DONE


def _fault_words(verdict: Verdict, *, missing: bool) -> str:
    if verdict.fault is not None:
        return verdict.fault.what
    return "no entry has the hash that was kept, so it was rewritten or cut off" if missing else ""


def _progress(job: Job, last: int, first: int) -> None:
    job.out.wait(f"{last} entries …")
    if last // NOTE_EVERY != (first - 1) // NOTE_EVERY:
        job.out.event("progress", step="VERIFYING", entries=last)


def _payments(count: int) -> str:
    return "1 payment is" if count == 1 else f"{count} payments are"


def _where(address: str) -> str:
    """How to say to another command that it is this journal."""
    return "" if address == JOURNAL_DEFAULT else f" --journal {shlex.quote(shown_address(address))}"


def _hash_of(text: str) -> bytes:
    with contextlib.suppress(ValueError):
        found = bytes.fromhex(text.strip())
        if len(found) == 32:
            return found
    raise InvalidRequest("a hash has 64 hexadecimal digits", remedy="give the one that `journal verify` printed")


_AGO: Final = re.compile(r"([1-9][0-9]{0,5})([mhdw])\Z")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _moment_of(text: str) -> str:
    """As rows have it: UTC."""
    ago = _AGO.match(text.strip())
    try:
        if ago is not None:
            moment = datetime.now(tz=UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        else:
            moment = datetime.fromisoformat(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest(
            f"not a moment: {text[:32]!r}", remedy="write 2026-11-28, '2026-11-28 17:00' or 12h"
        ) from None
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
