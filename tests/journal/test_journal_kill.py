"""A register process that is killed with SIGKILL, over real sockets and a real file: settled, true, nothing twice.

What this proves: nothing that a process may have in its memory is needed to come out right, whatever instruction it
dies at. What it does not prove: the page cache survives a killed process, so nothing is said here of unsynced writes;
see `test_journal_power_loss.py` for that.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.journal.killed_register import PATIENCE_S, Step, steps_of

from zahlwerk.payment import PaymentKind
from zahlwerk.urls import listen
from zahlwerk.virtual.host import Action
from zahlwerk.virtual.settings import Settings
from zahlwerk.virtual.terminal import VirtualTerminal

ROOT = Path(__file__).parents[2]
SEED = 20261128
URLS = {"zvt": ("zvt+tcp://127.0.0.1:0", "?currency=EUR&poll=0", "EUR"), "kit": ("kit+tcp://127.0.0.1:0", "", "CHF")}

COMMITS = [f"commit:{side}:{count}" for count in (1, 2, 3, 7, 12) for side in ("before", "after")]
WITNESS = ["witness:before:1", "witness:after:1", "witness:before:3", "witness:after:3"]
MESSAGES = {
    "kit": [f"message:{count}" for count in (1, 2, 3, 5, 9, 18)],
    "zvt": [f"message:{count}" for count in (1, 4, 7, 12, 25, 44)],
}


def random_points(interface: str, count: int) -> list[str]:
    """Moments within a round, from a seed: each a different instruction."""
    chance = random.Random(f"{SEED} {interface}")
    return [f"at:{chance.uniform(0.0005, 0.12):.4f}" for _ in range(count)]


class Shop:
    """A terminal with its host, which outlive every register; and the register's journal."""

    def __init__(self, terminal: VirtualTerminal, url: str, journal: Path, currency: str) -> None:
        self._terminal = terminal
        self._url = url
        self._journal = journal
        self._currency = currency
        self.lives = 0
        self.killed: list[str] = []
        self.doubts: set[int] = set()

    @asynccontextmanager
    async def register(self, point: str) -> AsyncIterator[asyncio.subprocess.Process]:
        asked = {"journal": str(self._journal), "url": self._url, "round": self.lives, "point": point,
                 "currency": self._currency}  # fmt: skip
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.journal.killed_register", json.dumps(asked),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        try:
            yield child
        finally:
            if child.returncode is None:
                child.kill()
            await child.communicate()

    async def live(self, point: str) -> None:
        """One life: recovery, the last round again, a new round in which it dies."""
        async with self.register(point) as child, asyncio.timeout(3 * PATIENCE_S):
            for event in ("recovered", "repeated"):
                told = await self._told(child, event)
                assert told["intact"], point
                self._compare(told["payments"], is_complete=event == "repeated")
            assert child.stdin is not None
            child.stdin.write(b"go\n")
            out, err = await child.communicate()
            assert err == b"", err.decode()
            if child.returncode == -9:
                self.killed.append(point)
            else:
                assert (child.returncode, json.loads(out.splitlines()[-1])["event"]) == (0, "survived")
            self.lives += 1

    async def _told(self, child: asyncio.subprocess.Process, event: str) -> dict[str, Any]:
        assert child.stdout is not None
        while line := await child.stdout.readline():
            told: dict[str, Any] = json.loads(line)
            if told["event"] == event:
                return told
        assert child.stderr is not None
        raise AssertionError(f"it ended before it was {event}: {(await child.stderr.read()).decode()}")

    def at_the_host(self) -> dict[int, int]:
        """What was paid in all, by the amount that was authorised first; each of those stands for one payment."""
        first: dict[int, int] = {}
        found: Counter[int] = Counter()
        captures: Counter[int] = Counter()
        for entry in self._terminal.host.ledger():
            if entry.kind is PaymentKind.REVERSAL:
                continue
            minor = first.setdefault(entry.booking, entry.amount.amount)
            found[minor] += entry.effect_minor
            captures[minor] += entry.action is Action.CAPTURED
        assert not [minor for minor, count in captures.items() if count > 1], "charged twice"
        return dict(found)

    def _compare(self, payments: dict[str, Any], *, is_complete: bool) -> None:
        """The journal with the host's ledger, payment by payment and in sum."""
        host = self.at_the_host()
        steps = [step for number in range(self.lives) for step in steps_of(number, self._currency)]
        of_journal = {
            step.minor: effect_of(step, payments[step.reference], payments)
            for step in steps
            if step.minor and step.reference in payments
        }
        doubtful = {step.minor for step in steps if payments.get(step.reference, {}).get("doubt")}
        doubtful |= {
            step.minor
            for step in steps
            for other in steps
            if other.reverses == step.reference and payments.get(other.reference, {}).get("doubt")
        }
        self.doubts |= doubtful
        for minor in {*host, *of_journal} - doubtful:
            assert of_journal.get(minor, 0) == host.get(minor, 0), (minor, payments)
        assert sum(value for minor, value in of_journal.items() if minor not in doubtful) == sum(
            value for minor, value in host.items() if minor not in doubtful
        )
        open_ones = {name: told for name, told in payments.items() if told["state"] in OPEN and not told["doubt"]}
        assert not open_ones
        for step in steps:
            if step.reverses and payments.get(step.reference, {}).get("state") == "confirmed":
                assert payments[step.reverses]["undone_by"] == [step.reference], step
        if is_complete:
            assert {step.reference for step in steps if step.minor} <= set(payments)
            assert not [name for name, told in payments.items() if told["state"] == "held" and not told["doubt"]]


OPEN = {"requested", "sent", "approved", "confirming", "rolling back", "unknown", "capturing", "releasing"}


def effect_of(step: Step, told: dict[str, Any], payments: dict[str, Any]) -> int:
    """Minor units that the merchant has got by a payment, says the journal."""
    if told["state"] not in {"confirmed", "captured"}:
        return 0
    approved: int = told["approved"]
    return -approved if step.kind is PaymentKind.REFUND else approved


@asynccontextmanager
async def shop(interface: str, folder: Path) -> AsyncIterator[Shop]:
    where, parameters, currency = URLS[interface]
    terminal = VirtualTerminal(Settings(speed=0, seed=7, currencies=(currency,), shift_open=True))
    async with terminal:
        endpoint = listen(where, terminal)
        url = await endpoint.start()
        try:
            yield Shop(terminal, f"{url}{parameters}", folder / "journal.db", currency)
        finally:
            await endpoint.close()


@pytest.mark.parametrize("interface", ["kit", "zvt"])
@pytest.mark.parametrize("group", ["commits", "messages", "moments"])
async def test_a_register_killed_at_any_point_comes_back_to_a_journal_that_equals_the_ledger(
    tmp_path: Path, interface: str, group: str
) -> None:
    """One file over all lives of a group: what one kill leaves behind is there when the next one comes."""
    points = {
        "commits": COMMITS,
        "messages": [*MESSAGES[interface], *WITNESS],
        "moments": random_points(interface, 5),
    }[group]
    async with shop(interface, tmp_path) as counter:
        for point in points:
            await counter.live(point)
        await counter.live("none")
        await counter.live("none")
        assert len(counter.killed) >= len(points) - 4, counter.killed
        assert not counter.doubts
