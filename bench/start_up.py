"""What `import zahlwerk` costs, in time and memory, each time in a fresh interpreter."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Final, NamedTuple

from bench.figures import Figure
from bench.memory import READ_RSS

__all__ = ["NAME", "run"]

NAME: Final = "start-up"
AIM_S: Final = 0.2

PROGRAMS: Final = {
    "bare": "pass",
    "asyncio": "import asyncio",
    "zahlwerk": "import zahlwerk",
    "driver": "import zahlwerk; zahlwerk.connect('kit+tcp://127.0.0.1')",
}


class Start(NamedTuple):
    """One fresh interpreter, from its start to its end."""

    wall_ms: float
    rss_mib: float


def run(*, quick: bool) -> list[Figure]:
    """Start each program ten times, in turns."""
    starts: dict[str, list[Start]] = {name: [] for name in PROGRAMS}
    for turn in range(2 if quick else 11):
        for name, program in PROGRAMS.items():
            start = _start(program)
            if turn:  # the first of each only warms the disk's cache
                starts[name].append(start)
    wall = {name: statistics.median(start.wall_ms for start in found) for name, found in starts.items()}
    rss = {name: statistics.median(start.rss_mib for start in found) for name, found in starts.items()}

    asyncio_ms, asyncio_mib = wall["asyncio"] - wall["bare"], rss["asyncio"] - rss["bare"]

    def time_figure(what: str, ms: float, peer: str, peer_ms: float, aim: float | None = None) -> Figure:
        return Figure(benchmark=NAME, what=what, value=ms, unit="ms", peer=peer, peer_value=peer_ms, aim=aim)

    def memory_figure(what: str, mib: float) -> Figure:
        return Figure(
            benchmark=NAME, what=what, value=mib, unit="MiB", peer="import asyncio alone", peer_value=asyncio_mib
        )

    return [
        time_figure(
            "interpreter with import zahlwerk", wall["zahlwerk"], "bare interpreter", wall["bare"], AIM_S * 1000
        ),
        time_figure(
            "import zahlwerk", wall["zahlwerk"] - wall["bare"], "import asyncio alone", asyncio_ms, AIM_S * 1000
        ),
        time_figure(
            "import zahlwerk and make a KIT driver", wall["driver"] - wall["bare"], "import asyncio alone", asyncio_ms
        ),
        memory_figure("memory: import zahlwerk", rss["zahlwerk"] - rss["bare"]),
        memory_figure("memory: import zahlwerk and make a KIT driver", rss["driver"] - rss["bare"]),
    ]


def _start(program: str) -> Start:
    # Time and memory are taken by two runs of the program, so that taking the memory costs no time.
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True)
    wall_ms = (time.perf_counter() - started) * 1e3
    said = subprocess.run(
        [sys.executable, "-c", f"{program}\n{READ_RSS}\nprint(rss_bytes())"], check=True, capture_output=True
    )
    return Start(wall_ms, float(said.stdout) / 2**20)
