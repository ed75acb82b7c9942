"""What a benchmark gives back, and how rounds of several candidates are taken so that they may be compared."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Self

import msgspec

__all__ = ["Figure", "median_us", "percentile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table."""

    benchmark: str
    what: str
    value: float
    unit: str
    peer: str = ""
    """What it is compared with, measured in the same run."""
    peer_value: float | None = None
    aim: float | None = None
    """The most that `value` may be; with `aim_is_ratio`, that `ratio` may be. None: only shown."""
    aim_is_ratio: bool = False

    @property
    def ratio(self) -> float | None:
        """`value` as a multiple of the peer's; None without a peer."""
        return self.value / self.peer_value if self.peer_value else None

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; None where there is none."""
        reached = self.ratio if self.aim_is_ratio else self.value
        return None if self.aim is None or reached is None else reached <= self.aim

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> Self:
        """The figure that `as_json` gave."""
        return msgspec.convert(values, cls)

    def as_json(self) -> dict[str, object]:
        """All of it as plain values, for programs."""
        return {**asdict(self), "ratio": self.ratio, "met": self.met}


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def median_us(candidates: Mapping[str, tuple[Callable[[], object], int]], *, rounds: int) -> dict[str, float]:
    """Microseconds of CPU per call: medians of rounds that take turns, so that a slow moment hits all candidates alike.

    CPU time, for on a busy machine the turn of a slow candidate is interrupted more often than that of a quick one.

    Args:
        candidates: what to call, and how often in a round.
        rounds: how many rounds.
    """
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, (call, calls) in candidates.items():
                started = time.thread_time()
                for _ in range(calls):
                    call()
                taken[name].append((time.thread_time() - started) / calls * 1e6)
            gc.collect()
    finally:
        if collecting:
            gc.enable()
    return {name: statistics.median(values) for name, values in taken.items()}
