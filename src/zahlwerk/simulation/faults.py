"""What goes wrong in a run, where, and which time: drawn from a seed, or read from a list that a run has left.

Every place that is passed asks once what happens there. A place is a message on the wire (`> TransactionRequest`), an
entry of the journal (`journal approved`), a step of the virtual terminal (`terminal online`) or a moment between two
actions of the till (`till`).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from zahlwerk.errors import ConfigurationError

__all__ = ["KINDS", "PROFILES", "Coverage", "Fault", "Faults", "Place", "Profile", "kinds_at", "place_of"]

Place = str

SEVER: Final = ("cut-before", "cut-after")
KINDS: Final[Mapping[str, str]] = MappingProxyType({
    "drop": "the message is lost",
    "delay": "the message comes later, and all that follow it",
    "duplicate": "the message comes twice",
    "reorder": "the message comes after the next one",
    "garble": "one to three bytes are changed",
    "cut-before": "the connection breaks before the message arrives",
    "cut-after": "the connection breaks once the message has arrived",
    "crash-before": "the register's process dies: the message is not sent, the entry is not written",
    "crash-after": "the register's process dies once the message is sent, the entry durable",
    "power": "the terminal loses its power for some seconds",
    "restart": "the terminal restarts by itself at this step of a payment",
    "host-timeout": "the host does not answer",
    "slow": "the step takes seconds longer; the disk takes seconds to write",
    "disk-full": "no page more can be written for some seconds",
    "read-only": "the database cannot be written for some seconds",
    "doubt-written": "the commit is done, but an error is told",
    "doubt-lost": "the commit is not done, and it is not told whether it is",
    "clock-back": "the register's wall clock is put back",
    "clock-ahead": "the register's wall clock is put forward",
    "register-restart": "the register is shut down properly and started again",
})  # fmt: skip
"""Each kind of fault in words."""

_WIRE: Final = frozenset({"drop", "delay", "duplicate", "reorder", "garble", *SEVER})
_CRASH: Final = frozenset({"crash-before", "crash-after"})
_DISK: Final = frozenset({"slow", "disk-full", "read-only", "doubt-written", "doubt-lost"})
_TERMINAL: Final = frozenset({"restart", "host-timeout", "slow"})
_TILL: Final = frozenset({"clock-back", "clock-ahead", "register-restart", "crash-before"})
_HOST_STEPS: Final = frozenset({"online", "authorisation"})


_TWICE_IS_TWO: Final = frozenset({"TransactionRequest"})
"""Requests that carry nothing to be recognised by: twice is two payments by the protocol, and no stream doubles any."""


def kinds_at(place: Place, medium: frozenset[str]) -> frozenset[str]:
    """What can go wrong at a place.

    Args:
        place: where.
        medium: what the wire can do to a message; TCP, for one, never doubles any.
    """
    where, _, what = place.partition(" ")
    match where:
        case ">" if what in _TWICE_IS_TWO:
            return (medium - {"duplicate"}) | _CRASH | {"power"}
        case ">" | "<":
            return medium | _CRASH | {"power"}
        case "journal":
            return _CRASH | _DISK
        case "terminal":
            return _TERMINAL if what in _HOST_STEPS else _TERMINAL - {"host-timeout"}
        case _:
            return _TILL


@dataclass(frozen=True, slots=True)
class Profile:
    """Which faults, and how many."""

    name: str
    what: str
    kinds: frozenset[str]


PROFILES: Final[Mapping[str, Profile]] = MappingProxyType({
    profile.name: profile
    for profile in (
        Profile("none", "nothing goes wrong", frozenset()),
        Profile("links", "messages are lost, late, doubled, garbled; connections break", _WIRE),
        Profile("crashes", "the register's process dies and comes back", _CRASH | {"register-restart"}),
        Profile("terminal", "the terminal restarts, loses its power, the host is silent", _TERMINAL | {"power"}),
        Profile("disk", "the journal's disk is full, slow, read-only, or does not say what it did", _DISK),
        Profile("clock", "the register's clock jumps", frozenset({"clock-back", "clock-ahead"})),
        Profile("all", "everything", frozenset(KINDS)),
    )
})  # fmt: skip
"""By name."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that went wrong, so that it goes wrong again in a replay."""

    place: Place
    count: int
    """At the how-manieth time that the place was passed, from 1 on."""
    kind: str
    seconds: float = 0.0
    how: str = ""
    """For a cut: who notices it at once: `both`, `register`, `terminal`."""

    def __str__(self) -> str:
        how = f", seen by {self.how}" if self.how else ""
        seconds = f" ({self.seconds:g} s)" if self.seconds else ""
        return f"{self.kind} at {self.place} no. {self.count}{seconds}{how}"

    def to_row(self) -> dict[str, object]:
        """For JSON."""
        return {"place": self.place, "count": self.count, "kind": self.kind, "seconds": self.seconds, "how": self.how}

    @classmethod
    def from_row(cls, row: Mapping[str, object]) -> Fault:
        """Out of JSON.

        Raises:
            ConfigurationError: not a fault.
        """
        try:
            fault = cls(str(row["place"]), int(str(row["count"])), str(row["kind"]), float(str(row["seconds"])),
                        str(row["how"]))  # fmt: skip
        except (KeyError, ValueError) as exc:
            raise ConfigurationError(f"not a fault of a simulation: {dict(row)!r}") from exc
        if fault.kind not in KINDS:
            raise ConfigurationError(f"there is no fault {fault.kind[:32]!r}", remedy=f"use one of {sorted(KINDS)}")
        return fault


@dataclass(slots=True)
class Coverage:
    """How often each place was passed, and what went wrong there."""

    passed: Counter[Place] = field(default_factory=Counter)
    hit: Counter[tuple[Place, str]] = field(default_factory=Counter)

    def add(self, other: Coverage) -> None:
        """Count another run in."""
        self.passed.update(other.passed)
        self.hit.update(other.hit)

    def by_kind(self) -> dict[str, int]:
        """Faults by kind."""
        found: Counter[str] = Counter()
        for (_, kind), count in self.hit.items():
            found[kind] += count
        return dict(sorted(found.items()))

    def never(self, medium: frozenset[str], kinds: frozenset[str]) -> list[tuple[Place, str]]:
        """Places that were passed, and what of these kinds could have gone wrong there and never did."""
        return sorted(
            (place, kind)
            for place in self.passed
            for kind in kinds_at(place, medium) & kinds
            if not self.hit[place, kind]
        )


class Faults:
    """Asked at every place. Draws, or walks a list; either way it remembers what it said."""

    def __init__(
        self,
        seed: int,
        profile: Profile,
        medium: frozenset[str],
        *,
        listed: Sequence[Fault] | None = None,
        delay_max_s: float = 45.0,
    ) -> None:
        """Args:
        listed: exactly these, and nothing by chance.
        delay_max_s: how long the wire can keep a message.
        """
        self.active = False
        self.happened: list[Fault] = []
        self.coverage = Coverage()
        self._random = random.Random(seed)  # noqa: S311 - not a secret: a simulation
        self._medium = medium
        self._delay_max_s = delay_max_s
        self._listed = None if listed is None else {(fault.place, fault.count): fault for fault in listed}
        self._allowed: dict[Place, tuple[str, ...]] = {}
        self._kinds = profile.kinds
        # Most runs have a few faults, some are a mess: rare faults meet each other only in those.
        self._rate = self._random.choice((0.01, 0.02, 0.04, 0.04, 0.1, 0.25)) if profile.kinds else 0.0
        self._left = self._random.choice((1, 1, 2, 3, 5, 12, 30))

    def at(self, place: Place) -> Fault | None:
        """What goes wrong here and now; None for nothing."""
        if not self.active:
            return None
        passed = self.coverage.passed
        passed[place] += 1
        count = passed[place]
        fault = self._listed.get((place, count)) if self._listed is not None else self._drawn(place, count)
        if fault is not None:
            self.happened.append(fault)
            self.coverage.hit[place, fault.kind] += 1
        return fault

    def _drawn(self, place: Place, count: int) -> Fault | None:
        rng = self._random
        rate = self._rate if place[0] in "<>" else min(0.5, 4 * self._rate)
        if self._left <= 0 or rng.random() >= rate:
            return None
        allowed = self._allowed.get(place)
        if allowed is None:
            allowed = self._allowed[place] = tuple(sorted(kinds_at(place, self._medium) & self._kinds))
        if not allowed:
            return None
        self._left -= 1
        kind = rng.choice(allowed)
        how = ""
        if kind in SEVER:
            how = rng.choice(("both", "both", "register", "terminal"))
        elif kind in _CRASH:
            how = rng.choice(("both", "register"))
        seconds = _seconds(kind, rng)
        if kind == "delay":
            seconds = min(seconds, self._delay_max_s)
        elif kind == "duplicate" and seconds > self._delay_max_s:
            seconds = 0.0
        return Fault(place, count, kind, seconds, how)


def _seconds(kind: str, rng: random.Random) -> float:
    match kind:
        case "delay":
            return rng.choice((0.1, 1.0, 5.0, 15.0, 45.0))
        case "duplicate":
            return rng.choice((0.0, 2.0, 20.0))
        case "cut-before" | "cut-after":
            return rng.choice((0.0, 0.0, 5.0, 20.0, 100.0, 400.0))
        case "crash-before" | "crash-after":
            return rng.choice((0.5, 2.0, 10.0, 60.0, 300.0))
        case "power":
            return rng.choice((1.0, 10.0, 120.0))
        case "slow":
            return rng.choice((0.5, 3.0, 8.0, 25.0))
        case "disk-full" | "read-only":
            return rng.choice((0.0, 4.0, 30.0, 200.0))
        case "clock-back" | "clock-ahead":
            return rng.choice((30.0, 3600.0, 86_400.0))
        case _:
            return 0.0


def place_of(way: str, name: str) -> Place:
    """The place of a message: `>` to the terminal, `<` from it."""
    return f"{way} {name}"


def listed(rows: Iterable[Mapping[str, object]]) -> tuple[Fault, ...]:
    """Faults out of JSON."""
    return tuple(Fault.from_row(row) for row in rows)
