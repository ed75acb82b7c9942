"""`python -m zahlwerk.cli.demo`: a first payment in front of your eyes, over a real TCP socket.

A virtual terminal listens with KIT JSON; a register connects, opens a shift and pays CHF 12.50. Every message is shown
as it goes, the journal keeps each step before it is taken, and the host's books prove that the money moved once.
"""

# ruff: noqa: ARG002 - a trace sink is handed more than this one shows
from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Annotated, Final, NoReturn

import typer

from zahlwerk.cli.exits import ExitCode
from zahlwerk.cli.journal_views import row_words
from zahlwerk.cli.output import Output
from zahlwerk.cli.session import Job, perform
from zahlwerk.cli.views import final_line, plain
from zahlwerk.errors import LinkUnavailable
from zahlwerk.journal import Journal
from zahlwerk.money import Money
from zahlwerk.payment import Payment, PaymentRequest
from zahlwerk.urls import Context, Endpoint, TraceSink, Url, connect, listen
from zahlwerk.virtual.settings import Settings
from zahlwerk.virtual.terminal import VirtualTerminal

__all__ = ["main"]

PORT: Final = 8307
PRICE: Final = "12.50"
# Fast enough to be pleasant, slow enough to be read.
SPEED: Final = 4.0

WORDS: Final[Mapping[str, str]] = MappingProxyType({
    "ConnectRequest": "good day, I am a register",
    "ConnectResponse": "good day, I am a terminal",
    "StatusRequest": "how are you?",
    "ActivationRequest": "open the shift, please",
    "ActivationResponse": "the shift is open; these are my functions, currencies and brands",
    "TransactionRequest": "please take a payment",
    "TransactionResponse": "approved, if you confirm it",
    "TransactionConfirmationRequest": "confirmed: the money moves",
    "TransactionConfirmationResponse": "done",
    "ReceiptResponse": "a receipt",
})  # fmt: skip
"""What the messages say, in the words of people."""


def demo(
    *,
    once: Annotated[bool, typer.Option("--once", help="One payment, then the end.")] = False,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Where to listen; 0 for any free port.")] = PORT,
    journal: Annotated[
        Path | None,
        typer.Option("--journal", metavar="FILE", help="Keep the journal there; otherwise it is gone at the end."),
    ] = None,
) -> None:
    """A first payment in front of your eyes: a virtual terminal, a register, and KIT JSON over TCP between them."""

    async def work(job: Job) -> ExitCode:
        with TemporaryDirectory(prefix="zahlwerk-") as folder:
            return await _show(job, port=port, once=once, file=journal or Path(folder) / "journal.db")

    perform(work, as_json=False)


async def _show(job: Job, *, port: int, once: bool, file: Path) -> ExitCode:
    out = job.out
    started_s = time.perf_counter()
    terminal = VirtualTerminal(Settings(speed=SPEED, language="en"))
    endpoint, url = await _listen(out, terminal, port)
    try:
        out.say(f"A virtual terminal listens on {url}", "bold")
        async with await Journal.open(str(file), name="the demonstration", actor="demonstration") as journal:
            paid, took_s = await _first_payment(out, url, journal)
        whole = await _show_journal(out, file, paid.reference)
        right = _prove(out, terminal, paid) and whole
        out.say(f"The payment took {took_s:.2f} s, all of it {time.perf_counter() - started_s:.2f} s.", "dim")
        if not once:
            await _serve(job, url)
    finally:
        await endpoint.close()
        await terminal.close()
    return ExitCode.DONE if right else ExitCode.FAILED


async def _listen(out: Output, terminal: VirtualTerminal, port: int) -> tuple[Endpoint, Url]:
    """Listen on the port, or on a free one if somebody else has it."""
    url = Url("kit+tcp", "127.0.0.1", port)
    try:
        endpoint = listen(url, terminal)
        return endpoint, await endpoint.start()
    except LinkUnavailable:
        if port != PORT:
            raise
        out.say(f"Port {port} is in use, so another one is taken.", "yellow")
        endpoint = listen(replace(url, port=0), terminal)
        return endpoint, await endpoint.start()


async def _first_payment(out: Output, url: Url, journal: Journal) -> tuple[Payment, float]:
    sink = _Conversation(out)
    async with journal.wrap(connect(url, Context(trace=sink)), name="the counter", actor="register 1") as register:
        await register.open_shift()
        out.say(f"\nThe register asks for CHF {PRICE}", "bold")
        started_s = time.perf_counter()
        request = PaymentRequest(amount=Money.parse(PRICE, currency="CHF"), order_reference="table 7")
        payment = await register.transact(request)
        took_s = time.perf_counter() - started_s
    out.say()
    for receipt in payment.receipts:
        out.receipt(receipt)
    style = "bold green" if payment.is_approved else "bold red"
    out.say(final_line(payment, url=str(url)), style)
    return payment, took_s


async def _show_journal(out: Output, file: Path, reference: str) -> bool:
    """What was written about the payment, and whether the chain holds."""
    async with await Journal.open_to_read(str(file)) as journal:
        rows, verdict = await journal.rows_of(reference), await journal.verify()
    out.say("\nThe journal, each decision durable before it was taken:", "bold")
    for row in rows:
        out.say(f"  {row.number}. {row.moment[11:23]} {row.kind:<11} {row.hash.hex()[:12]}…  {row_words(row)}")
    if verdict.is_intact:
        out.say(f"Its {verdict.rows} entries are chained and as they were written.", "green")
    return verdict.is_intact


def _prove(out: Output, terminal: VirtualTerminal, payment: Payment) -> bool:
    """Whether the host's books say what the register was told."""
    out.say("\nThe host's books, the only truth about money:", "bold")
    for entry in terminal.host.ledger():
        moved = Money(entry.effect_minor, entry.amount.currency)
        out.say(f"  {entry.number}. {entry.action.value:<11} {entry.amount}   moved: {moved}")
    net = terminal.host.net(payment.brand)
    right = payment.is_approved and payment.approved == net and net == Money.parse(PRICE, currency="CHF")
    if right:
        out.say(f"The merchant has got {net}, as the register was told: once, not twice, not guessed.", "green")
    else:
        out.say(f"The merchant has got {net}, the register was told {payment.approved}.", "bold red")
    return right


async def _serve(job: Job, url: Url) -> None:
    stopped = asyncio.Event()

    def came(count: int) -> None:
        stopped.set()
        if count > 1:
            os._exit(ExitCode.STOPPED)

    job.guard.stopper = came
    job.out.say("\nThe terminal stays up. In another window:", "bold")
    job.out.say(f"  zahlwerk pay {url} 4.20")
    job.out.say(f"  zahlwerk pay {url} 900.51          declined; `zahlwerk amounts` lists more")
    job.out.say(f"  zahlwerk pay {url} 4.20 --json     for programs")
    job.out.say(f"  zahlwerk pay {url} 4.20 --reference sale-1 --journal journal.db     twice: it is charged once")
    job.out.say("  zahlwerk journal show sale-1 --journal journal.db")
    job.out.say(f"  zahlwerk end-of-day {url}")
    job.out.say("Ctrl-C ends it.", "dim")
    await stopped.wait()


class _Conversation(TraceSink):
    """Shows what the register and the terminal say to each other."""

    def __init__(self, out: Output) -> None:
        self._out = out

    def new_link(self) -> int:
        return 1

    def opened(self, link: int, *, protocol: str, local: str, peer: str) -> None:
        self._out.say(f"A register has connected from {local}\n")

    def message(self, link: int, *, sent: bool, raw: bytes, decoded: object, note: str = "") -> None:
        name, body = next(iter(decoded.items()), ("", {})) if isinstance(decoded, dict) else ("", {})
        words = _said(str(name), body if isinstance(body, dict) else {})
        if words:
            arrow, style = ("register ──▶ terminal", "green") if sent else ("register ◀── terminal", "cyan")
            self._out.say(f"  {arrow}  {plain(words)}", style)

    def closed(self, link: int, *, why: str) -> None:
        pass


def _said(name: str, body: Mapping[str, object]) -> str:
    """A message in the words of people; empty for what is not worth a line."""
    match name:
        case "DisplayNotification":
            text = " / ".join(str(body.get("CardholderText", "")).splitlines())
            return f"my display shows «{text}»" if text else ""
        case "TransactionRequest":
            return f"{WORDS[name]}: CHF {PRICE}"
        case _:
            return WORDS.get(name, "")


def main() -> NoReturn:
    """The entry point of `python -m zahlwerk.cli.demo`."""
    from zahlwerk.cli.main import run_app

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(demo)
    sys.exit(run_app(app, sys.argv[1:], name="python -m zahlwerk.cli.demo"))


if __name__ == "__main__":
    main()
