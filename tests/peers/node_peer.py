"""Runs a Node program of ours that hosts one of PayTec's, and talks to it in JSON lines."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

Event = dict[str, Any]
HERE = Path(__file__).parent
LONGEST_S = 15.0
_T = TypeVar("_T")


class NodePeer:
    """Commands go to its standard input, events come from its standard output; the rest it says is kept in `said`."""

    def __init__(self, node: str, program: str, *arguments: object, modules: Path) -> None:
        self._command = [node, str(HERE / program), *map(str, arguments)]
        self._environment = {**os.environ, "NODE_PATH": str(modules)}
        self._process: asyncio.subprocess.Process | None = None
        self._readers: list[asyncio.Task[None]] = []
        self._news = asyncio.Event()
        self.events: list[Event] = []
        self.said: list[str] = []
        self.ended = False

    async def __aenter__(self) -> NodePeer:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=4 * 1024 * 1024,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._readers = [
            asyncio.create_task(self._read(self._process.stdout, self._event)),
            asyncio.create_task(self._read(self._process.stderr, self.said.append)),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await asyncio.gather(*self._readers)

    def tell(self, **command: object) -> None:
        """Send one command."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")

    async def event(self, wanted: Callable[[Event], bool], *, after: int = 0) -> Event:
        """The first event that is wanted, from number `after` on; waits for it."""
        return await self._until(lambda: next((event for event in self.events[after:] if wanted(event)), None))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something has become true."""
        await self._until(lambda: condition() or None)

    async def until_said(self, text: str) -> None:
        """Wait until the program has said this on its standard error."""
        await self.until(lambda: any(text in line for line in self.said))

    async def _until(self, look: Callable[[], _T | None]) -> _T:
        try:
            async with asyncio.timeout(LONGEST_S):
                while (found := look()) is None:
                    assert not self.ended, f"it ended: {self._story()}"
                    self._news.clear()
                    await self._news.wait()
                return found
        except TimeoutError:
            raise AssertionError(f"not seen in {LONGEST_S:g} s: {self._story()}") from None

    def _story(self) -> str:
        lines = [json.dumps(event)[:300] for event in self.events[-15:]] + [text[:300] for text in self.said[-15:]]
        return "\n".join(lines)

    def _event(self, line: str) -> None:
        self.events.append(json.loads(line))

    async def _read(self, stream: asyncio.StreamReader, take: Callable[[str], None]) -> None:
        async for line in stream:
            take(line.decode(errors="replace").rstrip("\n"))
            self._news.set()
        self.ended = True
        self._news.set()
