"""An event loop whose time is virtual: when nothing can run any more, it is later at once.

No selector, no sockets, no threads, no waiting. What runs in it belongs to a `Process`, so that one can be killed as
the plug does it: nothing of it runs on, and the others go on as if nothing had happened.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

__all__ = ["Process", "SimulatedClock", "Stuck", "VirtualLoop", "run_in_loop"]

T = TypeVar("T")
# LIMIT: turns of the loop at one moment of virtual time; a payment takes some hundred.
TURNS_MAX: Final = 200_000
MORNING: Final = datetime(2026, 11, 23, 8, 0, 0, tzinfo=UTC)


class Stuck(Exception):
    """Nothing will ever happen again, or something runs in circles."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Callbacks in order, time at will."""

    def __init__(self) -> None:
        super().__init__()
        self.moment_s = 0.0
        """Now, in seconds since the beginning."""
        self.failures: list[str] = []
        """What went wrong in a task or callback that nobody looked at."""
        self._selector = self
        self._clock_resolution = 1e-6
        self._turns = 0
        self._count = 0
        self.set_task_factory(self._new_task)  # type: ignore[arg-type]  # the stubs want one for any loop
        self.set_exception_handler(self._failed)

    def time(self) -> float:
        return self.moment_s

    def select(self, timeout: float | None) -> list[object]:
        """Where another loop would wait for its sockets: let the time pass."""
        if timeout is None:
            raise Stuck("nothing will ever happen again")
        if timeout > 0:
            self.moment_s += timeout
            self._turns = 0
            return []
        self._turns += 1
        if self._turns > TURNS_MAX:
            raise Stuck("something runs in circles")
        return []

    def _process_events(self, event_list: list[object]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody else could wake it."""

    def _new_task(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T], **how: Any) -> _Task[T]:
        self._count += 1
        task = _Task(work, loop=loop, **how)
        task.number = self._count
        context = how.get("context")
        owner = context.get(_OWNER) if context is not None else _OWNER.get()
        if owner is not None:
            owner.adopt(task)
        return task

    def _failed(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        told = f"{type(error).__name__}: {error}" if error is not None else ""
        self.failures.append(": ".join(part for part in (str(context.get("message", "")), told) if part))


class _Task(asyncio.Task[T]):
    """A task whose place in a set is the same in every run."""

    number = 0

    def __hash__(self) -> int:
        return self.number


class Process:
    """What is lost together when a machine stops: its tasks. What it has written elsewhere stays."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_running = True
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._at_end: list[Callable[[], None]] = []

    def run(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task of this process; whatever it starts belongs to it too."""
        context = contextvars.copy_context()
        context.run(_OWNER.set, self)
        return asyncio.get_running_loop().create_task(work, context=context)

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """A task was started in this process."""
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    def at_end(self, do: Callable[[], None]) -> None:
        """What the outside notices when this process stops."""
        self._at_end.append(do)

    def kill(self) -> None:
        """Stop now. Whoever calls this from within never gets further than its next await."""
        if not self.is_running:
            return
        self.is_running = False
        for do in self._at_end:
            do()
        for task in tuple(self._tasks):
            task.cancel()

    @property
    def tasks(self) -> tuple[asyncio.Task[Any], ...]:
        """Those that are not done."""
        return tuple(self._tasks)


_OWNER: Final[contextvars.ContextVar[Process | None]] = contextvars.ContextVar("process", default=None)


class SimulatedClock:
    """The clock of one machine: its monotonic time is everybody's, its wall clock can be wrong."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.wrong_s = 0.0
        """How far the wall clock is off."""

    def now_s(self) -> float:
        return self._loop.moment_s

    def wall(self) -> datetime:
        return MORNING + timedelta(seconds=self._loop.moment_s + self.wrong_s)

    async def sleep_until(self, deadline_s: float) -> None:
        if deadline_s <= self._loop.moment_s:
            await asyncio.sleep(0)
            return
        over: asyncio.Future[None] = self._loop.create_future()
        timer = self._loop.call_at(deadline_s, _ring, over)
        try:
            await over
        finally:
            timer.cancel()

    def call_at(self, deadline_s: float, callback: Callable[[], None]) -> Callable[[], None]:
        if deadline_s <= self._loop.moment_s:
            return self._loop.call_soon(callback).cancel
        return self._loop.call_at(deadline_s, callback).cancel


def _ring(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def run_in_loop(loop: VirtualLoop, work: Coroutine[Any, Any, T]) -> T:
    """Run one piece of work to its end, then end whatever it has left behind."""
    try:
        return loop.run_until_complete(work)
    finally:
        for _ in range(20):
            left = [task for task in asyncio.all_tasks(loop) if not task.done()]
            if not left:
                break
            for task in sorted(left, key=hash):
                task.cancel()
            loop.run_until_complete(_settle())
        loop.close()


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)
