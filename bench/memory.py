"""How much memory this process holds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

__all__ = ["READ_RSS", "rss_mib"]

READ_RSS: Final = """
def rss_bytes():
    try:
        with open("/proc/self/statm") as file:
            import os
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource, sys
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
"""
"""The same as a program's text, for interpreters that have imported nothing else."""


def rss_mib() -> float:
    """Resident memory now; where the system tells only the peak, the peak."""
    import os
    import resource

    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
