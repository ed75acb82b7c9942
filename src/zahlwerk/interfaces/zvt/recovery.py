"""After a break: is the transaction that the terminal reports the doubtful one? Pure.

The terminal is asked for its latest stored transaction (06 20). That one is compared with what was the latest before
the doubtful one was sent (`Doubt.before`), with what was seen of the doubtful one, and with its amount and time. Amount
and time alone prove nothing: two equal sales in a row are common.

Source: fact sheet 6.9, steps 3 to 6; 8, pitfalls 12, 13, 18, 25, 26.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, unique
from typing import Final

from zahlwerk.interfaces.zvt.information import StatusInformation, batch_totals
from zahlwerk.interfaces.zvt.timers import TIMERS

__all__ = ["NOTHING_STORED", "Doubt", "Finding", "Keys", "judge", "judge_totals", "keys_of", "terminal_moment"]

EMPTY_STORE_PROVES_FOR: Final = timedelta(minutes=5)
LASTS_AT_MOST: Final = timedelta(minutes=15)
"""What is reported to another process and is younger than this is something else that was sent meanwhile."""
RECEIPT_MAX: Final = 9_999
COUNTER_MAX: Final = 999_999


@dataclass(frozen=True, slots=True)
class Keys:
    """What names a stored transaction: no single number does, for they wrap (pitfall 18)."""

    terminal_id: str = ""
    receipt: int | None = None
    trace: int | None = None
    turnover: int | None = None
    date: str = ""
    time: str = ""

    @property
    def is_empty(self) -> bool:
        """Nothing that could be compared."""
        return self == Keys(self.terminal_id)

    def is_same(self, other: Keys) -> bool:
        """Whether both name one transaction: everything that both have is equal, and they have more than a terminal."""
        if self.terminal_id and other.terminal_id and self.terminal_id != other.terminal_id:
            return False
        pairs = [
            (mine, theirs)
            for mine, theirs in zip(self._comparable(), other._comparable(), strict=True)
            if mine is not None and theirs is not None
        ]
        return bool(pairs) and all(mine == theirs for mine, theirs in pairs)

    def is_other_terminal(self, other: Keys) -> bool:
        """Both name a terminal, and not the same one: it was replaced, and proves nothing about the old one."""
        return bool(self.terminal_id and other.terminal_id) and self.terminal_id != other.terminal_id

    def shares_a_number(self, other: Keys) -> bool:
        """Some number of both is equal, whatever the others are."""
        mine = (self.receipt, self.trace, self.turnover)
        theirs = (other.receipt, other.trace, other.turnover)
        return any(one and one == two for one, two in zip(mine, theirs, strict=True))

    def is_followed_by(self, other: Keys) -> bool:
        """The other one is the very next of its terminal; where nothing was stored, the first of all."""
        for mine, theirs, highest in (
            (self.receipt, other.receipt, RECEIPT_MAX),
            (self.trace, other.trace, COUNTER_MAX),
            (self.turnover, other.turnover, COUNTER_MAX),
        ):
            if theirs and (mine or self.is_empty):
                return theirs == (mine or 0) % highest + 1
        return False

    @property
    def count(self) -> int:
        """How many things there are to compare."""
        return sum(one is not None for one in self._comparable())

    def _comparable(self) -> tuple[object, ...]:
        return (self.receipt or None, self.trace or None, self.turnover or None, self.date or None, self.time or None)

    def to_text(self) -> str:
        """For the evidence: `62071183/153/271/153/0318/142307`."""
        numbers = ("" if number is None else str(number) for number in (self.receipt, self.trace, self.turnover))
        return "/".join((self.terminal_id, *numbers, self.date, self.time))

    @classmethod
    def from_text(cls, text: str) -> Keys | None:
        """The keys out of `to_text`; None if the text is none of those."""
        parts = text.split("/")
        if len(parts) != 6 or any(part and not (part.isascii() and part.isalnum()) for part in parts):
            return None
        receipt, trace, turnover = (int(part) if part.isdecimal() else None for part in parts[1:4])
        return cls(parts[0], receipt, trace, turnover, parts[4], parts[5])


NOTHING_STORED: Final = Keys()
"""A terminal without a name had no transaction to show. One with a name: `is_empty`."""


def keys_of(information: StatusInformation) -> Keys:
    """What names the transaction of a 04 0F."""
    return Keys(
        information.terminal_id,
        information.receipt_number or None,
        information.trace or None,
        information.turnover_number or None,
        information.date,
        information.time,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A transaction of which nobody knows what became."""

    amount_minor: int | None
    """What was asked for, all in all; None for those without an amount (a reversal)."""
    started: datetime
    """When it was sent, by our clock, in local time."""
    before: Keys | None
    """The terminal's latest transaction before this one; None if it could not be read."""
    seen: Keys | None = None
    """What its own 04 0F said, if we have heard it."""
    partial: bool = False
    """Less may have been approved."""
    is_reversal: bool = False
    reverses_trace: int | None = None
    """Of a reversal: the trace number of what it undoes."""
    superseded: bool = False
    """Another transaction was sent since: the latest one may be that one."""
    shared: bool = False
    """Payments can also be typed in at the terminal (config bit 10 is clear): the next one may be such a one."""
    remembered: bool = True
    """It began in this process, which knows all that was sent since; else only its evidence is left."""

    def to_evidence(self) -> Mapping[str, str]:
        """What must be written down before anything is sent."""
        texts = {"started": self.started.isoformat(timespec="seconds")}
        if self.before is not None:
            texts["before"] = self.before.to_text()
        if self.partial:
            texts["partial"] = "1"
        if self.shared:
            texts["shared"] = "1"
        if self.reverses_trace is not None:
            texts["reverses_trace"] = str(self.reverses_trace)
        return texts

    @classmethod
    def from_evidence(
        cls, evidence: Mapping[str, str], *, amount_minor: int | None, is_reversal: bool, now: datetime
    ) -> Doubt:
        """The doubt out of what was written down. What is missing or unreadable only makes it harder to resolve."""
        try:
            started = datetime.fromisoformat(evidence.get("started", ""))
        except ValueError:
            started = now
        reverses = evidence.get("reverses_trace", "")
        seen = Keys.from_text(evidence.get("seen", ""))
        return cls(
            amount_minor=amount_minor,
            started=started,
            before=Keys.from_text(evidence.get("before", "")),
            seen=None if seen is None or seen.is_empty else seen,
            partial=evidence.get("partial") == "1",
            shared=evidence.get("shared") == "1",
            is_reversal=is_reversal,
            reverses_trace=int(reverses) if reverses.isascii() and reverses.isdecimal() else None,
            remembered=False,
        )


@unique
class Finding(Enum):
    """What the report makes of the doubtful transaction."""

    OURS = "it is the one"
    """The report's own result code says what became of it."""
    UNDONE = "it was taken back"
    OLDER = "it was not stored"
    """The latest transaction is still the one from before: not charged, if a second look says the same."""
    UNCLEAR = "cannot be told"


def judge(
    doubt: Doubt, reported: StatusInformation | None, *, tolerance_s: float = TIMERS.clock_tolerance_s
) -> Finding:
    """Compare what the terminal reports (None: nothing) with the doubtful transaction."""
    if reported is None:
        # The terminal stores nothing, and stored nothing before: one that shows nothing at all proves nothing.
        return Finding.UNCLEAR
    keys = keys_of(reported)
    if any(known is not None and known.is_other_terminal(keys) for known in (doubt.before, doubt.seen)):
        return Finding.UNCLEAR
    before = doubt.before
    if before is not None and before.is_same(keys) and (doubt.seen is None or before.count > doubt.seen.count):
        return Finding.OLDER
    if reported.totals:
        return Finding.UNCLEAR  # an end of day, shown as the latest (6.6): its sum may be any amount
    if doubt.seen is not None:
        return _judge_seen(doubt, doubt.seen, keys, reported, tolerance_s)
    if before is None or keys.is_empty or doubt.superseded:
        return Finding.UNCLEAR
    if before.shares_a_number(keys):
        # The one from before, told differently? Or numbers that began again? Nobody can tell.
        return Finding.UNCLEAR
    if _is_out_of_time(doubt, reported, tolerance_s):
        # Neither the one from before nor of our time: the store was read from another end, or somebody else paid.
        return Finding.UNCLEAR
    if not doubt.remembered and not before.is_followed_by(keys):
        return Finding.UNCLEAR  # another process may have sent more than ours since
    if doubt.is_reversal:
        undoes = reported.original_trace and reported.original_trace == doubt.reverses_trace
        return Finding.OURS if undoes or (reported.result and not doubt.shared) else Finding.UNCLEAR
    if doubt.shared:
        return Finding.UNCLEAR  # somebody may have typed in the same amount while we were away
    if not _amount_fits(doubt, reported):
        return Finding.UNCLEAR
    if reported.original_trace and reported.result == 0:
        return Finding.UNCLEAR if reported.original_trace == before.trace else Finding.UNDONE
    return Finding.OURS


def judge_totals(doubt: Doubt, totals: StatusInformation | None, *, now: datetime, terminal_id: str = "") -> Finding:
    """The last witness where the terminal shows no transaction: an empty turnover store, empty before and now.

    Only right after the doubtful transaction and on the same day of the terminal: later, an end of day may have emptied
    it. Anything else in the totals proves nothing: counters wrap, and some terminals fill the slots with rubbish (3.4).
    """
    if totals is None or totals.result not in {0, None} or doubt.before is None or not doubt.before.is_empty:
        return Finding.UNCLEAR
    if doubt.superseded or doubt.before.is_other_terminal(Keys(totals.terminal_id or terminal_id)):
        return Finding.UNCLEAR
    counted = batch_totals(totals.totals)
    age = now.replace(tzinfo=None) - doubt.started.replace(tzinfo=None)
    if counted is None or totals.amount_minor != 0 or any(slot.count or slot.amount_minor for slot in counted.schemes):
        return Finding.UNCLEAR
    if not timedelta(0) <= age <= EMPTY_STORE_PROVES_FOR or now.date() != doubt.started.date():
        return Finding.UNCLEAR
    return Finding.OLDER


def _judge_seen(doubt: Doubt, seen: Keys, keys: Keys, reported: StatusInformation, tolerance_s: float) -> Finding:
    """By what its own 04 0F said. After a restart that may be no more than a receipt number, which begins again."""
    if seen.is_same(keys):
        alike = doubt.is_reversal or reported.result or _amount_fits(doubt, reported)
        certain = seen.count > 1 or (alike and not _is_out_of_time(doubt, reported, tolerance_s))
        return Finding.OURS if certain else Finding.UNCLEAR
    if reported.result and seen.receipt is not None and (seen.receipt, seen.trace) == (keys.receipt, keys.trace):
        # Taken back after it was shown, under its numbers but at a later time. An approval must agree in everything:
        # numbers of what was reversed may be used again (6.9).
        return Finding.OURS
    if reported.result == 0 and reported.original_trace and reported.original_trace == seen.trace:
        return Finding.UNDONE
    return Finding.UNCLEAR


def _amount_fits(doubt: Doubt, reported: StatusInformation) -> bool:
    """The same amount; more by the tip and cashback of the report itself; less where that was allowed."""
    if doubt.amount_minor is None or reported.amount_minor is None:
        return doubt.amount_minor is None
    if reported.amount_minor == doubt.amount_minor:
        return True
    if reported.amount_minor - (reported.tip_minor or 0) == doubt.amount_minor:
        return True
    return doubt.partial and 0 < reported.amount_minor < doubt.amount_minor


def _is_out_of_time(doubt: Doubt, reported: StatusInformation, tolerance_s: float) -> bool:
    """From before it was sent; or so long after it that it must be something that another process sent."""
    moment = terminal_moment(reported.date, reported.time, near=doubt.started)
    if moment is None:
        return False
    started = doubt.started.replace(tzinfo=None)
    tolerance = timedelta(seconds=tolerance_s)
    return moment < started - tolerance or (not doubt.remembered and moment > started + LASTS_AT_MOST + tolerance)


def terminal_moment(date: str, time: str, *, near: datetime) -> datetime | None:
    """The terminal's MMDD and HHMMSS as a local moment; the year is the one that brings it nearest (pitfall 26)."""
    if not (len(date) == 4 and len(time) == 6 and date.isdecimal() and time.isdecimal()):
        return None
    near = near.replace(tzinfo=None)
    candidates = []
    for year in (near.year - 1, near.year, near.year + 1):
        try:
            candidates.append(
                datetime(year, int(date[:2]), int(date[2:]), int(time[:2]), int(time[2:4]), int(time[4:]))  # noqa: DTZ001 - the terminal's local time
            )
        except ValueError:
            continue
    return min(candidates, key=lambda moment: abs(moment - near), default=None)
