"""Whole card payments over loopback TCP: register, KIT, virtual terminal, confirmation and both receipts."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

from bench.figures import Figure, percentile
from bench.shop import (
    VIRTUAL,
    BareRegister,
    OtherProcess,
    Script,
    bare_terminal,
    messages_of_a_payment,
    open_terminal,
    price,
)
from zahlwerk.terminal import Terminal
from zahlwerk.urls import connect

__all__ = ["NAME", "run"]

NAME: Final = "card-payments"
AIM_CPU_MS: Final = 2.0
Cpu = Callable[[], Awaitable[float]]


@dataclass(slots=True)
class Taken:
    """What many payments took."""

    each_ms: list[float] = field(default_factory=list)
    cpu_ms: float = 0.0
    other_cpu_ms: float = 0.0

    @property
    def count(self) -> int:
        """How many there were."""
        return len(self.each_ms)


def run(*, quick: bool) -> list[Figure]:
    """Payments with both sides in one process, then each in its own."""
    return asyncio.run(_run(rounds=2 if quick else 12, payments=3 if quick else 50))


async def _run(*, rounds: int, payments: int) -> list[Figure]:
    async with AsyncExitStack() as stack:
        url = await open_terminal(stack)
        script = await messages_of_a_payment(url)
        together = await stack.enter_async_context(connect(url))
        bare = await _bare(await bare_terminal(script, stack), script, stack)
        alone = await stack.enter_async_context(connect(VIRTUAL))
        other = await OtherProcess.start(script, stack)
        apart = await stack.enter_async_context(connect(other.url))
        bare_apart = await _bare(other.bare_port, script, stack)
        work: dict[str, tuple[Callable[[], Awaitable[object]], Cpu | None]] = {
            "together": (_payment(together), None),
            "bare": (bare.pay, None),
            "alone": (_payment(alone), None),
            "apart": (_payment(apart), other.cpu_s),
            "bare apart": (bare_apart.pay, other.cpu_s),
        }
        taken = {name: Taken() for name in work}
        for _ in range(5):
            for pay, _cpu in work.values():
                await pay()
        for _ in range(rounds):
            for name, (pay, cpu) in work.items():
                await _round(taken[name], pay, cpu, payments)
    peer = f"bare exchange of its {len(script)} messages, {sum(size for _, size in script)} bytes"
    return _figures(taken, peer)


def _payment(register: Terminal) -> Callable[[], Awaitable[object]]:
    async def pay() -> None:
        payment = await register.transact(price())
        assert payment.is_approved
        assert len(payment.receipts) == 2

    return pay


async def _bare(port: int, script: Script, stack: AsyncExitStack) -> BareRegister:
    register = await BareRegister.connect(port, script)
    stack.callback(register.close)
    return register


async def _round(taken: Taken, pay: Callable[[], Awaitable[object]], cpu: Cpu | None, payments: int) -> None:
    other_s = await cpu() if cpu is not None else 0.0
    cpu_s = time.process_time()
    for _ in range(payments):
        started = time.perf_counter()
        await pay()
        taken.each_ms.append((time.perf_counter() - started) * 1e3)
    taken.cpu_ms += (time.process_time() - cpu_s) * 1e3
    if cpu is not None:
        taken.other_cpu_ms += (await cpu() - other_s) * 1e3


def _figures(taken: dict[str, Taken], peer: str) -> list[Figure]:
    def figure(what: str, value: float, peer_value: float, aim: float | None = None) -> Figure:
        return Figure(benchmark=NAME, what=what, value=value, unit="ms", peer=peer, peer_value=peer_value, aim=aim)

    together, bare, apart, bare_apart = (taken[name] for name in ("together", "bare", "apart", "bare apart"))
    alone = taken["alone"]
    cpu_together = together.cpu_ms / together.count
    return [
        figure("one process: median", statistics.median(together.each_ms), statistics.median(bare.each_ms)),
        figure("one process: p99", percentile(together.each_ms, 99), percentile(bare.each_ms, 99)),
        figure("one process: CPU of both sides and the terminal", cpu_together, bare.cpu_ms / bare.count, AIM_CPU_MS),
        Figure(
            benchmark=NAME,
            what="the same without the virtual terminal's own work",
            value=cpu_together - alone.cpu_ms / alone.count,
            unit="ms",
            peer="the virtual terminal without KIT",
            peer_value=alone.cpu_ms / alone.count,
            aim=AIM_CPU_MS,
        ),
        figure("two processes: median", statistics.median(apart.each_ms), statistics.median(bare_apart.each_ms)),
        figure("two processes: p99", percentile(apart.each_ms, 99), percentile(bare_apart.each_ms, 99)),
        figure(
            "two processes: CPU of the register",
            apart.cpu_ms / apart.count,
            bare_apart.cpu_ms / bare_apart.count,
            AIM_CPU_MS,
        ),
        figure(
            "two processes: CPU of the terminal",
            apart.other_cpu_ms / apart.count,
            bare_apart.other_cpu_ms / bare_apart.count,
            AIM_CPU_MS,
        ),
    ]
