"""ZVT: a full status information and an authorisation against stdlib `json`; whole payments; a hundred terminals."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from contextlib import AsyncExitStack
from typing import Final

from bench.figures import Figure, median_us, percentile
from bench.memory import rss_mib
from zahlwerk.interfaces.zvt.codec import decode, encode
from zahlwerk.interfaces.zvt.information import StatusInformation, read_information
from zahlwerk.interfaces.zvt.messages import Message
from zahlwerk.money import Money
from zahlwerk.payment import PaymentRequest
from zahlwerk.terminal import Terminal
from zahlwerk.urls import connect, listen

__all__ = ["NAME", "run"]

NAME: Final = "zvt"
AIM_TIMES_JSON: Final = 3.0
VIRTUAL: Final = "virtual:?card=visa&speed=0&shift=open"

FULL: Final = bytes.fromhex(
    "040F8F2700040000000012500B0002710C1423070D03180E281117000119702"
    "2F1F0EEEEEEEEEEEEEEE4713F29620711833B37313933383400003CF0F0F947454E45484D494754490978870153880001538A05"
    "8BF0F96769726F636172640006312F0C1F1001021F1101011F120102450421000000"
    "6016430AA000000359101002800142086769726F636172641F1F020153"
)  # fmt: skip
"""A status information after a payment with a girocard. Source: fact sheet 7.2."""
AUTHORISATION: Final = Message(code=0x0601, fields={0x04: 1250, 0x49: 978, 0x19: 0x40}, tlv=())
"""A payment of 12.50 EUR. Source: fact sheet 7.2."""


def run(*, quick: bool) -> list[Figure]:
    """Messages, then payments one after the other, then a hundred terminals at once."""
    figures = _messages(rounds=3 if quick else 101, calls=20 if quick else 200)
    return figures + asyncio.run(
        _payments(payments=3 if quick else 300, terminals=4 if quick else 100, each=2 if quick else 10)
    )


def _messages(*, rounds: int, calls: int) -> list[Figure]:
    information = read_information(decode(FULL))
    told = json.dumps(_plain(information))
    asked = {"code": "0601", "amount": 1250, "currency": 978, "payment_type": 64, "tlv": []}
    took = median_us(
        {
            "decode": (lambda: read_information(decode(FULL)), calls),
            "loads": (lambda: json.loads(told), calls),
            "encode": (lambda: encode(AUTHORISATION), calls),
            "dumps": (lambda: json.dumps(asked), calls),
        },
        rounds=rounds,
    )
    return [
        Figure(
            benchmark=NAME, what=f"status information, {len(FULL)} bytes, to typed fields", value=took["decode"],
            unit="µs", peer=f"json.loads of the same {len(told)} bytes", peer_value=took["loads"], aim=AIM_TIMES_JSON,
            aim_is_ratio=True,
        ),
        Figure(
            benchmark=NAME, what="authorisation to bytes", value=took["encode"], unit="µs",
            peer="json.dumps of the same", peer_value=took["dumps"],
        ),
        Figure(benchmark=NAME, what="status informations read per second", value=1e6 / took["decode"], unit="/s"),
        Figure(benchmark=NAME, what="authorisations written per second", value=1e6 / took["encode"], unit="/s"),
    ]  # fmt: skip


def _plain(information: StatusInformation) -> dict[str, object]:
    """The fields that were sent, as JSON has them."""
    values = {name: getattr(information, name) for name in information.__struct_fields__}
    return {
        name: value.hex() if isinstance(value, bytes) else value
        for name, value in values.items()
        if value not in {None, "", b"", False}
    }


async def _payments(*, payments: int, terminals: int, each: int) -> list[Figure]:
    async with AsyncExitStack() as stack:
        (register,) = await _registers(1, stack)
        await _pay(register, 5)
        started, cpu = time.perf_counter(), time.process_time()
        took_ms = await _pay(register, payments)
        wall_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu
        figures = [
            Figure(benchmark=NAME, what="payments per second, one after the other", value=payments / wall_s, unit="/s"),
            Figure(benchmark=NAME, what="median of a payment over loopback", value=percentile(took_ms, 50), unit="ms"),
            Figure(benchmark=NAME, what="p99 of a payment over loopback", value=percentile(took_ms, 99), unit="ms"),
            Figure(benchmark=NAME, what="CPU of a payment, all three parties", value=cpu_s / payments * 1e3,
                   unit="ms"),
        ]  # fmt: skip
        gc.collect()
        before_mib = rss_mib()
        registers = await _registers(terminals, stack)
        await asyncio.gather(*(_pay(one, 1) for one in registers))
        gc.collect()
        each_kib = (rss_mib() - before_mib) / terminals * 1024
        started = time.perf_counter()
        rush = await asyncio.gather(*(_pay(one, each) for one in registers))
        wall_s = time.perf_counter() - started
        all_ms = [took for some in rush for took in some]
    return [
        *figures,
        Figure(
            benchmark=NAME,
            what=f"{terminals} terminals: payments per second",
            value=terminals * each / wall_s,
            unit="/s",
        ),
        Figure(
            benchmark=NAME, what=f"{terminals} terminals: p99 of a payment", value=percentile(all_ms, 99), unit="ms"
        ),
        Figure(benchmark=NAME, what="memory per terminal, listener and register", value=each_kib, unit="KiB"),
    ]


async def _registers(count: int, stack: AsyncExitStack) -> list[Terminal]:
    registers = []
    for _ in range(count):
        terminal = connect(VIRTUAL)
        endpoint = listen("zvt+tcp://127.0.0.1:0", terminal)
        url = await endpoint.start()
        stack.push_async_callback(terminal.close)
        stack.push_async_callback(endpoint.close)
        registers.append(await stack.enter_async_context(connect(f"{url}?currency=CHF&poll=0")))
    return registers


async def _pay(register: Terminal, count: int) -> list[float]:
    took_ms = []
    for _ in range(count):
        started = time.perf_counter()
        payment = await register.transact(PaymentRequest(amount=Money.of(1250, "CHF")))
        took_ms.append((time.perf_counter() - started) * 1e3)
        assert payment.is_approved, payment.message
    return took_ms
