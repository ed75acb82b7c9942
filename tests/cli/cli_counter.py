"""What the tests of the command line need around it: a terminal on a socket, peers that are none, child processes."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from zahlwerk.urls import Endpoint, Url, listen
from zahlwerk.virtual.settings import Settings
from zahlwerk.virtual.terminal import VirtualTerminal

T = TypeVar("T")
PATIENCE_S = 20.0


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Standard output of a command with --json: every line is one object."""
        rows = [json.loads(line) for line in self.out.splitlines()]
        assert all(isinstance(row, dict) for row in rows)
        return rows

    @property
    def last(self) -> dict[str, Any]:
        """The last object."""
        return self.rows[-1]

    def events(self, name: str) -> list[dict[str, Any]]:
        """The objects of one kind."""
        return [row for row in self.rows if row["event"] == name]


class Counter:
    """A virtual terminal behind a KIT listener, in a thread with an event loop of its own."""

    def __init__(self, scheme: str = "kit+tcp", **settings: object) -> None:
        self.url = ""
        self.terminal: VirtualTerminal
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._scheme = scheme
        self._settings = {"speed": 0, **settings}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(PATIENCE_S), "the counter did not open"

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self.terminal = VirtualTerminal(Settings(**self._settings))  # type: ignore[arg-type]  # a test names fields
        endpoint: Endpoint = listen(Url(self._scheme, "127.0.0.1", 0), self.terminal)
        self.url = str(await endpoint.start())
        self._ready.set()
        await self._stop.wait()
        await endpoint.close()
        await self.terminal.close()

    def do(self, work: Callable[[VirtualTerminal], Coroutine[Any, Any, T]]) -> T:
        """Something done at the terminal, in its own loop."""
        return asyncio.run_coroutine_threadsafe(work(self.terminal), self._loop).result(PATIENCE_S)

    def charged(self, brand: str = "VISA") -> str:
        """What the host has booked for the merchant."""
        return self.terminal.host.net(brand).decimal_text()

    def close(self) -> None:
        """Pack up."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE_S)


WORDS = {
    "rubbish": b"SSH-2.0-nothing\r\n" * 20,
    "half": b'{"ConnectResponse":{"TrmLng":"d',
    "silent": b"",
    "closes": b"",
}


class FakePeer:
    """A TCP server that is no terminal: `rubbish`, `silent`, `closes` or `half` (a message)."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.1)
        self.port: int = self._server.getsockname()[1]
        self._going = True
        self.called = threading.Event()
        """Somebody has connected."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Its address, as if it were a terminal."""
        return f"kit+tcp://127.0.0.1:{self.port}"

    def _run(self) -> None:
        connections = []
        while self._going:
            try:
                connection, _ = self._server.accept()
            except TimeoutError:
                continue
            self.called.set()
            if self._kind == "closes":
                connection.close()
                continue
            connection.sendall(WORDS[self._kind])
            connections.append(connection)
        for connection in connections:
            connection.close()
        self._server.close()

    def close(self) -> None:
        """Stop."""
        self._going = False
        self._thread.join(PATIENCE_S)


def start(words: Sequence[str], *, stdin: int | None = subprocess.DEVNULL, **more: str) -> subprocess.Popen[str]:
    """A child process that runs `zahlwerk` with these words."""
    environment = {key: value for key, value in os.environ.items() if key != "ZAHLWERK_DEBUG"}
    return subprocess.Popen(
        [sys.executable, "-m", "zahlwerk", *words],
        stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
        env={**environment, "PYTHONIOENCODING": "utf-8", **more},
    )  # fmt: skip


def finish(child: subprocess.Popen[str], *, patience_s: float = PATIENCE_S) -> Result:
    """Its end."""
    out, err = child.communicate(timeout=patience_s)
    return Result(child.returncode, out, err)


def read_until(child: subprocess.Popen[str], event: str, **members: object) -> dict[str, Any]:
    """The first object of this kind that a child with --json writes."""
    assert child.stdout is not None
    for line in child.stdout:
        row: dict[str, Any] = json.loads(line)
        if row["event"] == event and all(row.get(name) == value for name, value in members.items()):
            return row
    raise AssertionError(f"no {event} came; {child.stderr.read() if child.stderr else ''}")


def free_port() -> int:
    """A port that was free just now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
