"""Runs a command: from its asynchronous work to its exit code, with Ctrl-C and errors on the way.

A command that has begun a payment is not simply killed: the first Ctrl-C (or SIGTERM) asks the terminal to stop, and
the outcome is still waited for and told; the second leaves the terminal alone and says that nobody knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from zahlwerk.carddata import redact
from zahlwerk.cli.exits import ExitCode, of_error, of_payment
from zahlwerk.cli.output import Output
from zahlwerk.errors import LocalError, MoneyMoved, PeerSilent, TerminalError
from zahlwerk.lifecycle import PaymentState
from zahlwerk.payment import Outcome, Payment, PaymentRequest
from zahlwerk.terminal import CONFIRM, CONFIRM_ALL, Decision, Evidence, Terminal, Witness
from zahlwerk.transport.trace import TraceRecorder
from zahlwerk.urls import Context, connect

if TYPE_CHECKING:
    from zahlwerk.journal import Journal

__all__ = [
    "Access",
    "Guard",
    "Job",
    "Note",
    "debugging",
    "opened",
    "our_fault",
    "perform",
    "recording",
    "settle",
    "transact",
]


class Guard:
    """What Ctrl-C and SIGTERM do: cancel the command, or, once something has been sent, tell the `stopper`."""

    def __init__(self) -> None:
        self.count = 0
        self.sent = False
        """Something that moves money was sent: the command is not cancelled any more."""
        self.stopper: Callable[[int], None] | None = None
        """Is told how often a signal has come."""
        self.code = ExitCode.STOPPED
        """What to leave with if the user does not want to wait."""
        self._task: asyncio.Task[object] | None = None

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Listens for the signals while the block runs; where a system or thread has none, does nothing."""
        self._task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        watched = []
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
                loop.add_signal_handler(number, self.came)
                watched.append(number)
        try:
            yield
        finally:
            for number in watched:
                loop.remove_signal_handler(number)

    def came(self) -> None:
        """One signal came."""
        self.count += 1
        if self.count > 2:
            os._exit(self.code)
        if self.stopper is not None:
            self.stopper(self.count)
        elif self._task is not None and not self.sent:
            self._task.cancel()


@dataclass(frozen=True, slots=True)
class Job:
    """What the work of a command is given."""

    out: Output
    guard: Guard


class _StoppedInTime(LocalError):
    """Ctrl-C came before anything was sent."""

    remedy = "start again when you like"


def perform(
    work: Callable[[Job], Coroutine[None, None, ExitCode]], *, as_json: bool, stake: MoneyMoved | None = MoneyMoved.NO
) -> NoReturn:
    """Run the work of a command, then leave with its exit code.

    Args:
        work: what the command does.
        as_json: for programs.
        stake: what an error means for the money, whatever the error itself says: NO for commands that only ask, MAYBE
            for one that asks about a payment; None for payments: NO until it was sent, then the error's own word.
    """
    job = Job(Output(as_json=as_json), Guard())
    try:
        code = asyncio.run(_guarded(work, job, pays=stake is None))
    except Exception as exc:
        if not isinstance(exc, TerminalError) and debugging():
            raise
        error = exc if isinstance(exc, TerminalError) else our_fault(exc)
        moved = error.money_moved if isinstance(error, LocalError) or (stake is None and job.guard.sent) else stake
        moved = moved or MoneyMoved.NO
        if moved is MoneyMoved.NO and error.money_moved is MoneyMoved.MAYBE:
            # Its own advice is for a payment that was under way.
            error.remedy = "no payment was under way: check the line and what the terminal shows, then try again"
        job.out.error(error, money_moved=moved)
        if debugging():
            raise
        code = of_error(error, moved)
    finally:
        job.out.end_wait()
    raise typer.Exit(code)


def debugging() -> bool:
    """Whether whoever runs this wants to see tracebacks."""
    return os.environ.get("ZAHLWERK_DEBUG", "") not in {"", "0"}


def our_fault(exc: Exception) -> TerminalError:
    """An error that should not be possible, as one that a user can read."""
    return TerminalError(
        f"something went wrong inside Zahlwerk ({type(exc).__name__}: {redact(str(exc))[:200]})",
        remedy="please report it; ZAHLWERK_DEBUG=1 shows more",
    )


async def _guarded(work: Callable[[Job], Coroutine[None, None, ExitCode]], job: Job, *, pays: bool) -> ExitCode:
    with job.guard.watching():
        try:
            return await work(job)
        except asyncio.CancelledError:
            if not job.guard.count:
                raise
    if not pays:
        return ExitCode.STOPPED
    job.out.error(_StoppedInTime("stopped before the payment was sent; no money moved"))
    return ExitCode.NOT_APPROVED


# -- the terminal


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a command gets to its terminal."""

    url: str
    trace: Path | None = None
    seed: int | None = None
    connect_timeout_s: float | None = None
    """How long the terminal may take to answer at all; None for the interface's own time."""
    journal: str = ""
    """Address of the journal around it; empty for none."""
    name: str = ""
    """Of the terminal in the journal; empty for its address."""


@contextlib.contextmanager
def recording(path: Path | None) -> Iterator[TraceRecorder | None]:
    """A trace recorder while the block runs, if there is a file to write to."""
    if path is None:
        yield None
        return
    with TraceRecorder(path) as recorder:
        yield recorder


@contextlib.asynccontextmanager
async def opened(job: Job, access: Access, journal: Journal | None = None) -> AsyncIterator[Terminal]:
    """The terminal, open, with all that it tells on the output.

    Args:
        job: whose output.
        access: how to get there.
        journal: to be put around it.
    """
    with recording(access.trace) as trace:
        terminal = connect(access.url, Context(trace=trace, seed=access.seed))
        if journal is not None:
            from zahlwerk.cli.journaled import ACTOR, terminal_name

            terminal = journal.wrap(terminal, name=access.name or terminal_name(access.url), actor=ACTOR)
        stop = terminal.listen(job.out.terminal_event)
        job.out.wait("connecting …")
        try:
            await _open(terminal, access)
            job.out.end_wait()
            yield terminal
        finally:
            stop()
            await terminal.close()


async def _open(terminal: Terminal, access: Access) -> None:
    try:
        async with asyncio.timeout(access.connect_timeout_s):
            await terminal.open()
    except TimeoutError:
        raise PeerSilent(
            f"{access.url} did not answer as a terminal within {access.connect_timeout_s:g} s",
            money_moved=MoneyMoved.NO,
            remedy="check the address; `zahlwerk probe` tells what answers there",
        ) from None


class Note(Witness):
    """Confirms everything, and remembers what a later `lookup` needs."""

    def __init__(self) -> None:
        self.evidence: Evidence = {}

    async def sending(self, evidence: Evidence) -> None:
        self.evidence = {**evidence, "confirm": "none"}

    async def approved(self, payment: Payment) -> Decision:
        known = {"confirm": "1"}
        if payment.sequence is not None:
            known["sequence"] = str(payment.sequence)
        if payment.approved is not None:
            known["approved_minor"] = str(payment.approved.amount)
        self.evidence = {**self.evidence, **known}
        return CONFIRM


async def transact(job: Job, terminal: Terminal, request: PaymentRequest, witness: Witness = CONFIRM_ALL) -> Payment:
    """Carry a payment out, to its end even if it is to be stopped.

    Raises:
        TerminalError: no money moved. What leaves that open comes back as an `UNKNOWN` payment.
    """

    async def stop() -> None:
        with contextlib.suppress(TerminalError):
            await terminal.abort()

    words = "stopping the payment (Ctrl-C again leaves)"
    try:
        return await _to_its_end(job, terminal, terminal.transact(request, witness=witness), stop, words)
    except Exception as exc:
        error = exc if isinstance(exc, TerminalError) else our_fault(exc)
        if error.money_moved is MoneyMoved.NO or debugging():
            raise
        return _unknown(request, str(error))


def _unknown(request: PaymentRequest, why: str) -> Payment:
    return Payment(
        reference=request.reference,
        kind=request.kind,
        outcome=Outcome.UNKNOWN,
        state=PaymentState.UNKNOWN,
        requested=request.total,
        message=redact(why),
    )


async def settle(job: Job, terminal: Terminal, work: Coroutine[None, None, Payment]) -> Payment:
    """Carry the settlement of a hold out; it cannot be stopped once it has begun."""

    async def nothing() -> None:
        pass

    return await _to_its_end(job, terminal, work, nothing, "this cannot be stopped any more (Ctrl-C again leaves)")


async def _to_its_end(
    job: Job,
    terminal: Terminal,
    work: Coroutine[None, None, Payment],
    stop: Callable[[], Coroutine[None, None, None]],
    words: str,
) -> Payment:
    tasks: set[asyncio.Task[None]] = set()

    def came(count: int) -> None:
        if count == 1:
            job.out.tell(words, step="STOPPING")
            tasks.add(asyncio.create_task(stop()))
        else:
            # Closing ends whatever runs as UNKNOWN.
            tasks.add(asyncio.create_task(terminal.close()))

    guard = job.guard
    guard.stopper, guard.sent, guard.code = came, True, ExitCode.UNKNOWN
    try:
        payment = await work
        guard.code = of_payment(payment)
        return payment
    finally:
        guard.stopper = None
        await asyncio.gather(*tasks, return_exceptions=True)
