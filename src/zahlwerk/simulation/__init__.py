"""The simulation: register, journal, database, driver, wire, endpoint, terminal and host in one process, on virtual
time, from one seed. The same seed gives the same run; after each one the host's books are compared with what the
register was told and what the journal says.

`simulate` does that to till code of your own::

    async def till(terminal: Terminal) -> None:
        payment = await terminal.pay("12.50 CHF", reference="sale-1")

    simulate(till, seeds=range(200), interface="zvt").raise_if_failed()
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from zahlwerk.simulation.runner import Plan, Report, Result, plans, run_many, run_once
from zahlwerk.simulation.world import TillCode

__all__ = ["Plan", "Report", "Result", "TillCode", "run_many", "run_once", "simulate"]


def simulate(
    till: TillCode,
    *,
    seeds: Iterable[int] = range(100),
    interface: str = "kit",
    faults: str = "all",
    fail_fast: bool = True,
) -> Report:
    """Run till code of your own while all kinds of things go wrong, and compare the books after each run.

    Args:
        till: an async function that is given a terminal with a journal around it. It is started again from its
            beginning whenever its process is made to crash, or an error of the terminal gets out of it; so it has to
            use the same references for the same sales.
        seeds: one run each; the same seed goes the same way, as long as the code does.
        interface: what is spoken to the terminal: `kit`, `kit-serial`, `zvt`, `zvt-serial`, or `all` of them.
        faults: what goes wrong: `none`, `links`, `crashes`, `terminal`, `disk`, `clock` or `all`.
        fail_fast: stop at the first run that fails.

    Raises:
        ConfigurationError: no such interface or faults.
    """
    began_s = time.monotonic()
    report = Report()
    for plan in plans(seeds, interface, faults):
        report.add(run_once(plan, code=till))
        if fail_fast and report.failures:
            break
    report.seconds = time.monotonic() - began_s
    return report
