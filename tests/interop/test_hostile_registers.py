"""Whoever connects to a KIT listener, and whatever they send: the register that is served goes on, memory stays bounded."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from zahlwerk.payment import Outcome
from zahlwerk.terminal import Terminal
from zahlwerk.timeouts import Waits
from zahlwerk.urls import Context, Url, connect, listen

MEBIBYTE = 1 << 20


def resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@asynccontextmanager
async def served(scheme: str = "kit+tcp") -> AsyncIterator[tuple[Url, Terminal]]:
    """A virtual terminal on a real port, and a register that is connected to it."""
    terminal = connect("virtual:?speed=0&shift=open")
    async with terminal:
        endpoint = listen(f"{scheme}://127.0.0.1:0", terminal)
        url = await endpoint.start()
        register = connect(url, Context(waits=Waits(reconnect_s=0.05)))
        try:
            async with register:
                yield url, register
        finally:
            await endpoint.close()


async def pays(register: Terminal) -> bool:
    payment = await register.pay("4.20 CHF")
    return payment.outcome is Outcome.APPROVED


class TestTcp:
    async def test_a_hundred_megabytes_without_a_line_end_do_not_grow_the_memory(self) -> None:
        """The line is refused once, in one sentence, and dropped as it comes."""
        async with served() as (url, register):
            assert await pays(register)
            reader, writer = await asyncio.open_connection(url.host, url.port)
            before = resident_bytes()
            chunk = b"x" * MEBIBYTE
            with contextlib.suppress(ConnectionError):
                for _ in range(100):
                    writer.write(chunk)
                    await writer.drain()
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
            assert resident_bytes() - before < 32 * MEBIBYTE
            assert await pays(register)

    async def test_a_hundred_megabytes_from_the_only_register_are_refused_and_the_link_lives_on(self) -> None:
        async with connect("virtual:?speed=0&shift=open") as terminal:
            endpoint = listen("kit+tcp://127.0.0.1:0", terminal)
            url = await endpoint.start()
            reader, writer = await asyncio.open_connection(url.host, url.port)
            before = resident_bytes()
            for _ in range(100):
                writer.write(b"x" * MEBIBYTE)
                await writer.drain()
            writer.write(b"\n" + b'{"StatusRequest":{}}\n')
            refused = await reader.readline()
            answer = await reader.readline()
            writer.close()
            await endpoint.close()

        assert b"ErrorNotification" in refused
        assert b"more than" in refused
        assert b"StatusResponse" in answer
        assert resident_bytes() - before < 32 * MEBIBYTE

    async def test_a_thousand_connections_at_once_do_not_disturb_a_payment(self) -> None:
        """They say nothing; a further register that introduces itself still gets in."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 4_000:
            pytest.skip(f"needs 4,000 open files, this system allows {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4_000), hard))
        async with served() as (url, register):
            before = resident_bytes()
            opened = await asyncio.gather(
                *(asyncio.open_connection(url.host, url.port) for _ in range(1_000)), return_exceptions=True
            )
            connected = [pair for pair in opened if isinstance(pair, tuple)]
            assert len(connected) > 900
            assert await pays(register)
            assert resident_bytes() - before < 64 * MEBIBYTE
            async with connect(url) as newcomer:
                assert await pays(newcomer)
            for _, writer in connected:
                writer.close()

    @pytest.mark.parametrize(
        "rubbish",
        [
            pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", id="http"),
            pytest.param(b'{"TransactionRequest":{"TrxFunction":32768', id="half a message"),
            pytest.param(
                b'{"TransactionRequest":{"TrxFunction":32768,"TrxCurrC":756,"AmtAuth":420}}\n', id="not introduced"
            ),
            pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20, id="tls"),
            pytest.param(b"[" * 100_000 + b"\n", id="nesting"),
            pytest.param(b'{"ConnectRequest":7}\n' * 50, id="wrong type"),
            pytest.param(b"\x00\xff\xfe" * 1000 + b"\n", id="binary"),
        ],
    )
    async def test_rubbish_from_a_stranger_leaves_the_register_alone(self, rubbish: bytes) -> None:
        async with served() as (url, register):
            _, writer = await asyncio.open_connection(url.host, url.port)
            writer.write(rubbish)
            await writer.drain()
            assert await pays(register)
            writer.close()
            assert await pays(register)

    async def test_a_second_register_takes_over_and_the_first_comes_back(self) -> None:
        """The first one reconnects by itself; whoever introduced itself last is served."""
        async with served() as (url, register):
            async with connect(url) as second:
                assert await pays(second)
            assert await pays(register)

    async def test_a_second_register_is_turned_away_where_takeover_is_off(self) -> None:
        async with connect("virtual:?speed=0&shift=open") as terminal:
            endpoint = listen("kit+tcp://127.0.0.1:0?takeover=no", terminal)
            url = await endpoint.start()
            async with connect(Url(url.scheme, url.host, url.port)) as register:
                reader, writer = await asyncio.open_connection(url.host, url.port)
                writer.write(b'{"ConnectRequest":{}}\n')
                answer = await reader.readline()
                end = await reader.read()
                assert await pays(register)
                writer.close()
            await endpoint.close()

        assert b"Another register is connected" in answer
        assert end == b""


class TestWebSocket:
    async def test_a_message_that_is_too_long_costs_its_sender_the_connection_only(self) -> None:
        from websockets.asyncio.client import connect as dial
        from websockets.exceptions import ConnectionClosed

        async with served("kit+ws") as (url, register):
            async with dial(f"ws://{url.host}:{url.port}/", max_size=None, proxy=None) as stranger:
                with contextlib.suppress(ConnectionClosed):
                    await stranger.send(b"x" * (3 * MEBIBYTE))
                with pytest.raises(ConnectionClosed):
                    await stranger.recv()
            assert await pays(register)

    async def test_lines_may_be_split_over_text_frames(self) -> None:
        """Text and binary frames are accepted, a line may span them (P-27, P-29); answers are binary."""
        from websockets.asyncio.client import connect as dial

        async with connect("virtual:?speed=0&shift=open") as terminal:
            endpoint = listen("kit+ws://127.0.0.1:0", terminal)
            url = await endpoint.start()
            async with dial(f"ws://{url.host}:{url.port}/", proxy=None) as register:
                await register.send('{"ConnectReq')
                await register.send(b'uest":{}}\n{"Status')
                await register.send('Request":{}}\n')
                answers = b""
                while answers.count(b"\n") < 2:
                    answers += await register.recv(decode=False)
            await endpoint.close()

        assert b"ConnectResponse" in answers
        assert b"StatusResponse" in answers
