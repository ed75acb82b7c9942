"""Time that is told to move."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from zahlwerk.clock import SystemClock, VirtualClock, random_source


async def test_sleepers_wake_in_the_order_of_their_deadlines() -> None:
    """Each sees its own time; equal ones wake in the order in which they lay down."""
    clock = VirtualClock()
    seen: list[tuple[str, float]] = []

    async def sleeper(name: str, deadline_s: float) -> None:
        await clock.sleep_until(deadline_s)
        seen.append((name, clock.now_s()))

    async with asyncio.TaskGroup() as group:
        for name, deadline_s in [("c", 3.0), ("a", 1.0), ("b", 2.0), ("b2", 2.0)]:
            group.create_task(sleeper(name, deadline_s))
        await clock.advance(10)

    assert seen == [("a", 1.0), ("b", 2.0), ("b2", 2.0), ("c", 3.0)]
    assert clock.now_s() == 10


async def test_what_a_sleeper_does_at_its_moment_is_seen_by_those_that_sleep_longer() -> None:
    """A chain of sleeps fits into one advance."""
    clock = VirtualClock(start_s=100.0)
    seen: list[float] = []

    async def ticker() -> None:
        for _ in range(5):
            await clock.sleep_until(clock.now_s() + 2)
            seen.append(clock.now_s())

    task = asyncio.create_task(ticker())
    await clock.advance(7)
    assert seen == [102.0, 104.0, 106.0]
    await clock.advance(3)
    await task

    assert seen == [102.0, 104.0, 106.0, 108.0, 110.0]


async def test_a_deadline_in_the_past_does_not_wait() -> None:
    """Nor does one of just now."""
    clock = VirtualClock(start_s=5.0)

    await clock.sleep_until(5.0)
    await clock.sleep_until(-1.0)

    assert clock.next_deadline_s() is None


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    """It holds nothing up."""
    clock = VirtualClock()
    task = asyncio.create_task(clock.sleep_until(1.0))
    other = asyncio.create_task(clock.sleep_until(2.0))
    await clock.settle()
    task.cancel()
    await clock.settle()

    assert clock.next_deadline_s() == 2.0
    await clock.advance(2)
    await other
    assert task.cancelled()


async def test_settling_lets_everything_run_and_moves_no_time() -> None:
    """Thirty steps of another task."""
    clock = VirtualClock()
    steps = 0

    async def work() -> None:
        nonlocal steps
        for _ in range(30):
            await asyncio.sleep(0)
            steps += 1

    task = asyncio.create_task(work())
    await clock.settle()

    assert steps == 30
    assert clock.now_s() == 0
    await task


async def test_wall_time_moves_with_the_clock() -> None:
    """And has its zone."""
    start = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
    clock = VirtualClock(start_s=7.0, wall=start)

    await clock.advance(2)

    assert clock.wall() == start + timedelta(seconds=2)


async def test_the_system_clock_moves_by_itself() -> None:
    """Monotonic, with a zone, and a deadline of now is no wait."""
    clock = SystemClock()
    before = clock.now_s()
    await clock.sleep_until(before)

    assert clock.now_s() >= before
    assert clock.wall().tzinfo is not None


def test_a_seed_repeats_itself() -> None:
    """And no seed does not."""

    assert random_source(7).random() == random_source(7).random()
    assert random_source().random() != random_source().random()
