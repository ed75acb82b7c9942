"""A shop on the loopback address: virtual terminals behind KIT listeners, registers before them, and a bare exchange.

`python -m bench.shop` is a shop's terminal in a process of its own: it tells its addresses, then its processor time
whenever it reads a line.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, NamedTuple, Self

from zahlwerk.money import Money
from zahlwerk.payment import PaymentRequest
from zahlwerk.urls import Context, TraceSink, connect, listen

__all__ = [
    "ROOT",
    "BareRegister",
    "Message",
    "OtherProcess",
    "Recorder",
    "Script",
    "bare_terminal",
    "messages_of_a_payment",
    "open_terminal",
    "price",
]

ROOT: Final = Path(__file__).resolve().parents[1]
VIRTUAL: Final = "virtual:?speed=0&shift=open&seed=1"
ANY_PORT: Final = "kit+tcp://127.0.0.1:0"


class Message(NamedTuple):
    """A message of a recorded payment; nothing of what it says is kept."""

    by_register: bool
    size_bytes: int


Script = tuple[Message, ...]


def price() -> PaymentRequest:
    """What every customer here pays."""
    return PaymentRequest(amount=Money.parse("12.50", currency="CHF"))


async def open_terminal(stack: AsyncExitStack) -> str:
    """A virtual terminal behind a KIT listener; its address."""
    terminal = await stack.enter_async_context(connect(VIRTUAL))
    endpoint = listen(ANY_PORT, terminal)
    url = await endpoint.start()
    stack.push_async_callback(endpoint.close)
    return str(url)


# -- what one payment says


class Recorder(TraceSink):
    """Keeps direction, name and size of what a register sends and gets."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, Message]] = []

    def opened(self, link: int, *, protocol: str, local: str, peer: str) -> None:
        """Nothing to keep."""

    def message(self, link: int, *, sent: bool, raw: bytes, decoded: object, note: str = "") -> None:  # noqa: ARG002
        """Keep one message."""
        name = raw[2 : raw.find(b'"', 2)].decode()
        self.messages.append((name, Message(sent, len(raw.rstrip(b"\n")) + 1)))

    def closed(self, link: int, *, why: str) -> None:
        """Nothing to keep."""

    def new_link(self) -> int:
        """There is one."""
        return 1


async def messages_of_a_payment(url: str) -> Script:
    """All messages of the second of three payments: from its request to the next one's."""
    recorder = Recorder()
    async with connect(url, Context(trace=recorder)) as register:
        for _ in range(3):
            await register.transact(price())
    starts = [at for at, (name, _) in enumerate(recorder.messages) if name == "TransactionRequest"]
    return tuple(message for _, message in recorder.messages[starts[1] : starts[2]])


# -- the peer: the same messages, without any meaning


class BareRegister:
    """One side of a bare exchange of a payment's messages over asyncio streams."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, script: Script) -> None:
        self._reader = reader
        self._writer = writer
        self._script = script

    @classmethod
    async def connect(cls, port: int, script: Script) -> Self:
        """Dial the bare terminal."""
        return cls(*await asyncio.open_connection("127.0.0.1", port), script)

    async def pay(self) -> None:
        """Exchange the messages of one payment."""
        await _exchange(self._reader, self._writer, self._script, by_register=True)

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


async def bare_terminal(script: Script, stack: AsyncExitStack) -> int:
    """The other side of the bare exchange, listening; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await _exchange(reader, writer, script, by_register=False)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    stack.callback(server.close)
    port: int = server.sockets[0].getsockname()[1]
    return port


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, script: Script, *, by_register: bool
) -> None:
    for sent_by_register, size_bytes in script:
        if sent_by_register is by_register:
            writer.write(b"x" * size_bytes)
        else:
            await reader.readexactly(size_bytes)


# -- a terminal in another process


class OtherProcess:
    """A KIT terminal and a bare one in a process of their own."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, port: int) -> None:
        self.url = url
        self.bare_port = port
        self._process = process

    @classmethod
    async def start(cls, script: Script, stack: AsyncExitStack) -> Self:
        """Start it; it ends with the stack."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bench.shop",
            json.dumps(script),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        said = json.loads(await process.stdout.readline())
        other = cls(process, said["url"], said["port"])
        stack.push_async_callback(other._end)
        return other

    async def cpu_s(self) -> float:
        """Processor seconds that it has used so far."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        return float(await self._process.stdout.readline())

    async def _end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


async def _serve(script: Script) -> None:
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        url, port = await open_terminal(stack), await bare_terminal(script, stack)
        print(json.dumps({"url": url, "port": port}), flush=True)
        while await loop.run_in_executor(None, sys.stdin.readline):
            print(time.process_time(), flush=True)


def main(arguments: Sequence[str]) -> None:
    """The other process: the script as JSON."""
    asyncio.run(_serve(tuple(Message(*entry) for entry in json.loads(arguments[0]))))


if __name__ == "__main__":
    main(sys.argv[1:])
