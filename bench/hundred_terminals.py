"""A hundred terminals and a hundred registers in one process, all paying at once."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final, NamedTuple

from bench.figures import Figure, percentile
from bench.memory import rss_mib
from bench.shop import BareRegister, bare_terminal, messages_of_a_payment, open_terminal, price
from zahlwerk.terminal import Terminal
from zahlwerk.urls import connect

__all__ = ["NAME", "run"]

NAME: Final = "hundred-terminals"


class Rush(NamedTuple):
    """Everybody pays at once."""

    wall_s: float
    each_ms: list[float]


def run(*, quick: bool) -> list[Figure]:
    """Open them all, pay in parallel, and weigh them."""
    return asyncio.run(_run(terminals=4 if quick else 100, payments=2 if quick else 10))


async def _run(*, terminals: int, payments: int) -> list[Figure]:
    async with AsyncExitStack() as stack:
        script = await messages_of_a_payment(await open_terminal(stack))
        gc.collect()
        before_mib = rss_mib()
        urls = [await open_terminal(stack) for _ in range(terminals)]
        registers = [await stack.enter_async_context(connect(url)) for url in urls]
        await _rush([_payer(register) for register in registers], 1)
        gc.collect()
        each_mib = (rss_mib() - before_mib) / terminals
        rush = await _rush([_payer(register) for register in registers], payments)
        gc.collect()
        after_mib = (rss_mib() - before_mib) / terminals
        port = await bare_terminal(script, stack)
        bare = [await BareRegister.connect(port, script) for _ in range(terminals)]
        for register in bare:
            stack.callback(register.close)
        await _rush([register.pay for register in bare], 1)
        bare_rush = await _rush([register.pay for register in bare], payments)
    count = terminals * payments
    peer = f"bare exchange over {terminals} connections"
    return [
        Figure(
            benchmark=NAME, what=f"{terminals} terminals: wall time per payment", value=rush.wall_s / count * 1e3,
            unit="ms", peer=peer, peer_value=bare_rush.wall_s / count * 1e3,
        ),
        Figure(
            benchmark=NAME, what=f"{terminals} terminals: payments per second", value=count / rush.wall_s,
            unit="/s", peer=peer, peer_value=count / bare_rush.wall_s,
        ),
        Figure(
            benchmark=NAME, what=f"{terminals} terminals: p99 of a payment", value=percentile(rush.each_ms, 99),
            unit="ms", peer=peer, peer_value=percentile(bare_rush.each_ms, 99),
        ),
        Figure(
            benchmark=NAME, what="memory per terminal, listener and register after a payment", value=each_mib * 1024,
            unit="KiB",
        ),
        Figure(
            benchmark=NAME, what=f"the same after {payments + 1} payments", value=after_mib * 1024, unit="KiB",
        ),
    ]  # fmt: skip


def _payer(register: Terminal) -> Callable[[], Awaitable[object]]:
    async def pay() -> None:
        assert (await register.transact(price())).is_approved

    return pay


async def _rush(payers: list[Callable[[], Awaitable[object]]], payments: int) -> Rush:
    each_ms: list[float] = []

    async def customer(pay: Callable[[], Awaitable[object]]) -> None:
        for _ in range(payments):
            started = time.perf_counter()
            await pay()
            each_ms.append((time.perf_counter() - started) * 1e3)

    started = time.perf_counter()
    await asyncio.gather(*(customer(pay) for pay in payers))
    return Rush(time.perf_counter() - started, each_ms)
