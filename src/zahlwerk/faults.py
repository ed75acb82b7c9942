"""Scripted faults: what goes wrong, where, and which time.

A plan is text: `action:place:count[:seconds]`, separated by commas. The place of a terminal fault is a step of a
payment (`STEPS`); that of a link fault is the name of a message of whatever protocol, `*` for any, with `in.` or `out.`
in front where the direction matters. The count is 1 for the first time, or `*` for every time.

`cut-before:TransactionResponse:1,drop:StatusResponse:2,crash:approval:2,host-timeout:authorisation:1`
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from enum import Enum, unique
from typing import Final

from zahlwerk.errors import ConfigurationError

__all__ = ["LINK_ACTIONS", "STEPS", "Action", "Delivery", "Fault", "FaultPlan", "LinkFaults"]


@unique
class Action(Enum):
    """What goes wrong."""

    CRASH = "crash"
    """The terminal stops, and stays off until `restart()`."""
    RESTART = "restart"
    """The terminal crashes and comes back by itself."""
    HOST_TIMEOUT = "host-timeout"
    """The host does not answer: before it booked at `online`, after it booked at `authorisation`."""
    PRINTER_OUT = "printer-out"
    DELAY = "delay"
    """A step or a message takes longer, by the seconds given."""
    DROP = "drop"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    """The message goes out after the next one in its direction."""
    GARBLE = "garble"
    """One to three bytes are changed."""
    CUT_BEFORE = "cut-before"
    CUT_DURING = "cut-during"
    """Half of the message gets through."""
    CUT_AFTER = "cut-after"


LINK_ACTIONS: Final = frozenset({
    Action.DELAY, Action.DROP, Action.DUPLICATE, Action.REORDER, Action.GARBLE,
    Action.CUT_BEFORE, Action.CUT_DURING, Action.CUT_AFTER,
})  # fmt: skip

STEPS: Final = (
    "request",
    "card",
    "online",
    "authorisation",
    "approval",
    "confirmation",
    "receipts",
    "settle",
    "service",
)
"""Places of terminal faults, in the order of a payment: request accepted; card read; just before the host is asked;
just after the host has booked; approval about to be told; confirmed at the host; receipts about to be made; then a
hold being settled, and service begun."""

_FAULT: Final = re.compile(
    r"(?P<action>[a-z\-]+):(?:(?P<way>in|out)\.)?(?P<at>[A-Za-z0-9_\-]+|\*):(?P<count>[0-9]{1,6}|\*)"
    r"(?::(?P<seconds>[0-9]{1,6}(?:\.[0-9]{1,3})?))?"
)
# LIMIT: a plan is typed by people or made by a simulation of some dozen faults.
FAULTS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    at: str
    """The step, or the name of the message; `*` for any."""
    count: int
    """The how-manieth time, from 1 on; 0 for every time."""
    action: Action
    seconds: float = 0.0
    direction: str = ""
    """`in`, `out`, or empty for both."""

    def __str__(self) -> str:
        way = f"{self.direction}." if self.direction else ""
        seconds = f":{self.seconds:g}" if self.seconds else ""
        return f"{self.action.value}:{way}{self.at}:{self.count or '*'}{seconds}"

    @property
    def is_terminal(self) -> bool:
        """True if it happens in the terminal, false if on the link."""
        return self.action not in LINK_ACTIONS or (self.at in STEPS and not self.direction)


@dataclass(slots=True)
class FaultPlan:
    """All that shall go wrong, and how often each place was passed."""

    faults: tuple[Fault, ...] = ()
    _passed: dict[int, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> FaultPlan:
        """Read a plan; an empty text is a plan without faults.

        Raises:
            ConfigurationError: which part is wrong, and what it should look like.
        """
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if len(parts) > FAULTS_MAX:
            raise ConfigurationError(f"a plan has at most {FAULTS_MAX} faults, got {len(parts)}")
        return cls(tuple(_fault(part) for part in parts))

    def __str__(self) -> str:
        return ",".join(map(str, self.faults))

    def due(self, at: str, *, direction: str = "", terminal: bool) -> tuple[Fault, ...]:
        """The faults that happen now that this place is passed once more."""
        found = []
        for index, fault in enumerate(self.faults):
            if fault.is_terminal is not terminal or fault.at not in {at, "*"}:
                continue
            if fault.direction not in {"", direction}:
                continue
            passed = self._passed[index] = self._passed.get(index, 0) + 1
            if fault.count in {0, passed}:
                found.append(fault)
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What an endpoint's writer does instead of sending one message."""

    parts: tuple[tuple[float, bytes], ...] = ()
    """What to send, each after so many seconds from now."""
    cut_before: bool = False
    """Hang up first; then `parts` is empty."""
    cut_after: bool = False
    """Hang up once `parts` are sent."""


class LinkFaults:
    """The link faults of a plan, applied to one connection. The same seed and messages give the same bytes."""

    def __init__(self, plan: FaultPlan, random_source: random.Random) -> None:
        self._plan = plan
        self._random = random_source
        self._held: dict[str, list[bytes]] = {}

    def apply(self, direction: str, name: str, data: bytes) -> Delivery:
        """What becomes of one message.

        Args:
            direction: `in` (to the terminal) or `out` (from it).
            name: the message's name in its protocol.
            data: its bytes as they would be sent.
        """
        parts: list[tuple[float, bytes]] = [(0.0, data)]
        before = after = reordered = False
        for fault in self._plan.due(name, direction=direction, terminal=False):
            if fault.action is Action.REORDER:
                reordered = True
            elif fault.action is Action.CUT_BEFORE:
                before = True
            elif fault.action in {Action.CUT_AFTER, Action.CUT_DURING}:
                after = True
            parts = self._changed(fault, parts)
        if before:
            return Delivery(cut_before=True)
        held = self._held.pop(direction, [])
        if reordered and not after:
            self._held[direction] = [*held, *(part for _, part in parts)]
            return Delivery()
        return Delivery((*parts, *((parts[-1][0] if parts else 0.0, late) for late in held)), cut_after=after)

    def flush(self, direction: str) -> tuple[bytes, ...]:
        """Messages that wait for a next one to overtake them, when none comes."""
        return tuple(self._held.pop(direction, ()))

    def _changed(self, fault: Fault, parts: list[tuple[float, bytes]]) -> list[tuple[float, bytes]]:
        match fault.action:
            case Action.DROP:
                return []
            case Action.DELAY:
                return [(delay_s + fault.seconds, part) for delay_s, part in parts]
            case Action.DUPLICATE:
                return [*parts, *parts]
            case Action.GARBLE:
                return [(delay_s, self._garbled(part)) for delay_s, part in parts]
            case Action.CUT_DURING:
                return [(delay_s, part[: len(part) // 2]) for delay_s, part in parts[:1]]
            case _:
                return parts

    def _garbled(self, data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(self._random.randint(1, 3) if data else 0):
            changed[self._random.randrange(len(changed))] ^= self._random.randint(1, 255)
        return bytes(changed)


def _fault(text: str) -> Fault:
    found = _FAULT.fullmatch(text)
    if found is None:
        raise ConfigurationError(
            f"not a fault: {text[:64]!r}", remedy="write action:place:count, such as drop:StatusResponse:2"
        )
    try:
        action = Action(found["action"])
    except ValueError:
        raise ConfigurationError(
            f"unknown fault {found['action']!r} in {text[:64]!r}",
            remedy=f"use one of: {', '.join(action.value for action in Action)}",
        ) from None
    if found["count"] == "0":
        raise ConfigurationError(f"{text[:64]!r}: the count begins at 1", remedy="1 is the first time, * every time")
    if action is Action.DELAY and not found["seconds"]:
        raise ConfigurationError(f"{text[:64]!r}: a delay needs its seconds", remedy=f"write {text[:64]}:2.5")
    if action not in LINK_ACTIONS and (found["way"] or found["at"] not in STEPS):
        raise ConfigurationError(
            f"{text[:64]!r}: the terminal has no step {found['at']!r}", remedy=f"use one of: {', '.join(STEPS)}"
        )
    count = 0 if found["count"] == "*" else int(found["count"])
    return Fault(found["at"], count, action, float(found["seconds"] or 0), found["way"] or "")
