"""The terminal's totals as the last witness: where they differ from the journal, and what they prove. Pure.

Totals are sums. They name no payment, may have been reset since (at the terminal's own menu, or by a task of its
own), and may hold payments that this journal never heard of. So nothing is read into them. Instead every course of
events is tried that the figures leave possible, and only what holds in each of them is proved:

* The figures begin at a **reset**, which may lie anywhere between two entries of the journal. A day that was closed
  from here is no exception: a balance may fail at the terminal and leave its figures, so one period more is looked at.
* A payment that is settled is counted if it came after the reset, whole and once. One that is in doubt is counted or
  not; so is one that lay across the reset, a hold that is held, and a payment that a person has decided about.
* The amount of a payment in doubt is what was approved, if that is known. Otherwise it may be more (a tip at the
  terminal) or less (a partial approval), wherever its request leaves that open.
* Brands tell only where lines differ. They do not exclude a course of events: terminals name and group them
  differently.

A payment is **not paid** if in every such course it came after the reset and is not counted; it is **paid** if in
every such course it is counted, and the amounts that were asked for explain the figures exactly. Besides, all of this
must hold:

* The terminal takes no payment that the journal does not know (`exclusive`), and the journal has seen a period begin.
  If not, "paid" is never proved, for a stranger's payment may stand in the figures; and "not paid" only if every
  figure equals the journal's, the counters of shift and period are those under which the payment was sent, and an
  older settled payment is still counted. Counters alone do not do: a balance may leave the shift open, and then none
  of them moves.
* The terminal counts reversals and refunds on lines of their own (seen once), or there are none and can be none: one
  that subtracts them could hide a payment behind a reversal.
* Nothing is at work at the terminal, and the journal learnt of nothing while it was asked.
* The terminal has been asked about the payment itself and could not tell.

What fails these conditions, but would hold if nobody else used the terminal, is proposed: a person decides. Rubbish
(counts without amounts, negative ones, a total without lines) proves nothing; a counter that wrapped differs, and so
proves nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, unique
from itertools import combinations
from math import comb
from types import MappingProxyType
from typing import Final

from zahlwerk.money import Money
from zahlwerk.payment import PaymentKind
from zahlwerk.terminal import Total, TotalKind, Totals

__all__ = [
    "NO_BOUND",
    "TOTAL_OF",
    "Circumstances",
    "Conclusion",
    "Difference",
    "Item",
    "Reconciliation",
    "Standing",
    "counts_apart",
    "reconcile",
]

_K, _T = PaymentKind, TotalKind
TOTAL_OF: Final[Mapping[PaymentKind, TotalKind]] = MappingProxyType({
    _K.PURCHASE: _T.DEBIT, _K.PURCHASE_WITH_CASHBACK: _T.DEBIT, _K.CASH_ADVANCE: _T.DEBIT, _K.AUTHORISATION: _T.DEBIT,
    _K.RESERVATION_CAPTURE: _T.DEBIT, _K.MAIL_ORDER: _T.DEBIT, _K.PHONE_ORDER: _T.DEBIT, _K.FORCED_ACCEPTANCE: _T.DEBIT,
    _K.PHONE_AUTHORISED: _T.DEBIT, _K.REFUND: _T.CREDIT, _K.LOAD: _T.CREDIT, _K.REVERSAL: _T.DEBIT_REVERSAL,
    _K.RESERVATION: _T.RESERVATION, _K.RESERVATION_ADJUSTMENT: _T.RESERVATION,
    _K.RESERVATION_PHONE_CONFIRM: _T.RESERVATION, _K.RESERVATION_CANCEL: _T.OTHER, _K.BALANCE_INQUIRY: _T.OTHER,
    _K.CARD_ACTIVATION: _T.OTHER, _K.ACCOUNT_VERIFICATION: _T.OTHER,
})  # fmt: skip
"""On which line a payment of each kind is counted; the reversal of a refund is a `CREDIT_REVERSAL`."""

_APART: Final = frozenset({_T.CREDIT, _T.DEBIT_REVERSAL, _T.CREDIT_REVERSAL})
_UNDOING: Final = frozenset({_K.REVERSAL, _K.REFUND, _K.LOAD, _K.RESERVATION_CANCEL})
# LIMIT: ways to choose payments for one line at one reset; beyond it nothing is proved.
WAYS_MAX: Final = 5_000
# LIMIT: the same over all resets.
TRIES_MAX: Final = 200_000
NO_BOUND: Final = 10**15
"""An amount that may be as large as it likes, in minor units."""
_COUNTED, _LEFT_OUT, _NOT_TOLD = "counted", "left out", "not told"


@unique
class Standing(Enum):
    """How sure the journal is of a payment."""

    COUNTED = "settled"
    """The money moved: it is counted if it came after the reset."""
    DOUBT = "in doubt"
    """Nobody knows: this is what is asked."""
    OPEN = "open"
    """Held, or decided by a person: may be counted, nothing is concluded for the books."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One payment of the journal, as totals would count it."""

    reference: str
    kind: PaymentKind
    line: TotalKind
    standing: Standing
    sent: int
    """Number of the row before which it certainly was not counted; 0 if it was reported afterwards."""
    ended: int | None = None
    """Number of the row by which it certainly was counted, if it is; None while that is not known."""
    amount: Money | None = None
    """What it should be counted with."""
    low_minor: int = 0
    high_minor: int = NO_BOUND
    """What it may be counted with."""
    tip_minor: int = 0
    brand: str = ""
    mark: str = ""
    """The terminal's counters as known when it was sent."""
    concludes: bool = True
    """False where figures cannot settle it: holds, payments that were not asked about yet."""
    standalone: bool = False
    decided: bool | None = None
    """What a person decided: paid or not; None if nobody did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What is known beyond figures and payments."""

    exclusive: bool = False
    """The terminal takes no payment that the journal does not know."""
    start: int | None = None
    """Number of the row that closed the period before; None if none is known."""
    mark: str = ""
    """The terminal's counters now, read while a shift was open; empty if it has none or they may be old."""
    idle: bool = False
    """Nothing was running at the terminal when it was asked."""
    quiet: bool = True
    """The journal learnt nothing of this terminal while it was asked."""
    apart: bool = False
    """The terminal has counted reversals or refunds on lines of their own before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One line that terminal and journal count differently."""

    brand: str
    kind: TotalKind
    currency: str
    terminal_count: int
    terminal_minor: int
    journal_count: int
    journal_minor: int
    terminal_tip_minor: int | None = None
    """None where the terminal does not tell."""
    journal_tip_minor: int = 0

    def __str__(self) -> str:
        told = f"{self.kind.value} {self.brand or 'of no brand'}: "
        terminal, journal = (
            f"{count} for {minor} {self.currency}"
            for count, minor in (
                (self.terminal_count, self.terminal_minor),
                (self.journal_count, self.journal_minor),
            )
        )
        tips = f", tips {self.terminal_tip_minor} and {self.journal_tip_minor}" if self.terminal_tip_minor else ""
        return f"{told}the terminal counts {terminal}, the journal {journal}{tips} (minor units)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """What the figures say about one payment in doubt."""

    reference: str
    paid: bool
    proved: bool
    """False: only proposed, a person decides."""
    why: str


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What totals came to."""

    differences: tuple[Difference, ...] = ()
    """Between the terminal's figures and the journal's, with what a person decided."""
    conclusions: tuple[Conclusion, ...] = ()
    counted: tuple[str, ...] = ()
    """References of the journal's settled payments of the period."""
    in_doubt: tuple[str, ...] = ()
    apart: bool = False
    unclear: str = ""
    """Why the figures prove nothing; empty if they might."""


_Group = tuple[TotalKind, str]


@dataclass(slots=True)
class _Line:
    count: int = 0
    minor: int = 0
    tip: int | None = None


@dataclass(slots=True)
class _Course:
    """The courses of events that the figures leave possible, for each payment in doubt: what it was in them."""

    seen: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    any: bool = False
    too_many: bool = False


def counts_apart(totals: Totals) -> bool:
    """True if a line counts reversals or refunds."""
    return any(total.kind in _APART and total.count for total in totals.totals)


def reconcile(totals: Totals, items: Sequence[Item], known: Circumstances) -> Reconciliation:
    """Compare a terminal's figures with the journal's payments, and conclude what can be concluded.

    Args:
        totals: as the terminal told them.
        items: payments of this terminal, from the beginning of the period before the present one on.
        known: what else is known.
    """
    start = known.start or 0
    of_period = [item for item in items if _is_of_period(item, start)]
    decided = [item for item in items if item.decided and item.sent > start]
    bare = _differences(totals.totals, of_period)
    doubtful = tuple(item for item in items if item.standing is not Standing.COUNTED)
    apart = known.apart or counts_apart(totals)
    base = Reconciliation(
        _differences(totals.totals, [*of_period, *decided]) if decided else bare,
        counted=tuple(item.reference for item in of_period),
        in_doubt=tuple(item.reference for item in doubtful if item.standing is Standing.DOUBT),
        apart=apart,
    )
    unclear = _unclear(totals, items, known, apart=apart)
    if unclear or not doubtful:
        return _with(base, (), unclear)
    lines = _groups(totals.totals)
    course = _courses(lines, items)
    if course.too_many or not course.any:
        why = "there are too many ways to explain them" if course.too_many else "the payments do not explain them"
        return _with(base, (), why)
    found = tuple(
        conclusion
        for item in doubtful
        if (conclusion := _conclusion(item, items, course, totals, known, equal=apart and not bare)) is not None
    )
    return _with(base, found, "")


def _is_of_period(item: Item, start: int) -> bool:
    return item.standing is Standing.COUNTED and (item.ended is None or item.ended > start)


def _with(base: Reconciliation, conclusions: tuple[Conclusion, ...], unclear: str) -> Reconciliation:
    return Reconciliation(base.differences, conclusions, base.counted, base.in_doubt, base.apart, unclear)


# -- figures beside each other


def _brand(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def _differences(told: Iterable[Total], items: Sequence[Item]) -> tuple[Difference, ...]:
    terminal: dict[tuple[str, TotalKind, str], _Line] = defaultdict(_Line)
    journal: dict[tuple[str, TotalKind, str], _Line] = defaultdict(_Line)
    names: dict[str, str] = {}
    for total in told:
        names.setdefault(_brand(total.brand), total.brand)
        line = terminal[_brand(total.brand), total.kind, total.amount.currency.code]
        line.count += total.count
        line.minor += total.amount.amount
        if total.tip is not None:
            line.tip = (line.tip or 0) + total.tip.amount
    for item in items:
        if item.amount is None and item.line is TotalKind.OTHER:
            continue
        names.setdefault(_brand(item.brand), item.brand)
        currency = item.amount.currency.code if item.amount is not None else ""
        line = journal[_brand(item.brand), item.line, currency]
        line.count += 1
        line.minor += item.amount.amount if item.amount is not None else 0
        line.tip = (line.tip or 0) + item.tip_minor
    found = []
    for key in sorted({*terminal, *journal}, key=lambda key: (key[0], key[1].value, key[2])):
        left, right = terminal[key], journal[key]
        if key[1] is TotalKind.OTHER and not left.minor and not right.minor:
            continue  # what moves no money is counted by some and not by others
        same_tip = left.tip is None or left.tip == (right.tip or 0)
        if (left.count, left.minor) != (right.count, right.minor) or not same_tip:
            found.append(
                Difference(
                    brand=names[key[0]], kind=key[1], currency=key[2], terminal_count=left.count,
                    terminal_minor=left.minor, journal_count=right.count, journal_minor=right.minor,
                    terminal_tip_minor=left.tip, journal_tip_minor=right.tip or 0,
                )
            )  # fmt: skip
    return tuple(found)


def _groups(told: Iterable[Total]) -> dict[_Group, _Line]:
    lines: dict[_Group, _Line] = defaultdict(_Line)
    for total in told:
        if total.kind is TotalKind.OTHER and not total.amount.amount:
            continue
        line = lines[total.kind, total.amount.currency.code]
        line.count += total.count
        line.minor += total.amount.amount
    return lines


def _unclear(totals: Totals, items: Sequence[Item], known: Circumstances, *, apart: bool) -> str:
    for total in totals.totals:
        if total.count < 0 or total.amount.amount < 0 or (total.amount.amount and not total.count):
            return "the figures contradict themselves"
    if not known.quiet:
        return "something else happened at the terminal meanwhile"
    if any(item.amount is None and item.line is not TotalKind.OTHER for item in items):
        return "the journal does not know the amounts of all payments"
    if not apart and any(item.kind in _UNDOING for item in items):
        return "whether the terminal subtracts what was undone is not known"
    return ""


# -- every course of events that the figures leave possible


def _group_of(item: Item) -> _Group | None:
    if item.amount is None or (item.line is TotalKind.OTHER):
        return None
    return item.line, item.amount.currency.code


def _courses(lines: Mapping[_Group, _Line], items: Sequence[Item]) -> _Course:
    course = _Course()
    resets = sorted({0, *(item.sent for item in items), *(item.ended for item in items if item.ended is not None)})
    tries = 0
    for reset in resets:
        choices: list[tuple[list[Item], list[tuple[Item, ...]]]] = []
        for group in {*lines, *(found for item in items if (found := _group_of(item)) is not None)}:
            line = lines.get(group) or _Line()
            of_group = [item for item in items if _group_of(item) == group]
            surely = [item for item in of_group if item.standing is Standing.COUNTED and item.sent > reset]
            perhaps = [
                item
                for item in of_group
                if item.standing is not Standing.COUNTED
                or (item.sent <= reset and (item.ended is None or item.ended > reset))
            ]
            wanted = line.count - len(surely)
            if not 0 <= wanted <= len(perhaps):
                break
            ways = comb(len(perhaps), wanted)
            tries += ways
            if ways > WAYS_MAX or tries > TRIES_MAX:
                course.too_many = True
                return course
            fitting = [chosen for chosen in combinations(perhaps, wanted) if _fits(line, (*surely, *chosen))]
            if not fitting:
                break
            choices.append((perhaps, fitting))
        else:
            course.any = True
            _note(course, reset, choices)
    return course


def _fits(line: _Line, chosen: Sequence[Item]) -> bool:
    low = sum(item.low_minor for item in chosen)
    return low <= line.minor <= sum(item.high_minor for item in chosen)


def _note(course: _Course, reset: int, choices: Iterable[tuple[Sequence[Item], Sequence[tuple[Item, ...]]]]) -> None:
    for perhaps, ways in choices:
        for item in perhaps:
            times = sum(item in way for way in ways)
            if times:
                course.seen[item.reference].add(_COUNTED)
            if times < len(ways):
                course.seen[item.reference].add(_LEFT_OUT if item.sent > reset else _NOT_TOLD)


# -- what holds in all of them


def _conclusion(
    item: Item, items: Sequence[Item], course: _Course, totals: Totals, known: Circumstances, *, equal: bool
) -> Conclusion | None:
    if item.standing is Standing.OPEN and item.decided is None:
        return None
    period_is_known = known.exclusive and known.start is not None
    asked = item.concludes and (item.standing is Standing.DOUBT or item.decided is not None)
    seen = course.seen.get(item.reference, set())
    if seen == {_COUNTED}:
        proved = asked and period_is_known and _explained(totals, items, course, known)
        why = f"the terminal counts {_words(item)}, and only this payment explains it"
        return Conclusion(reference=item.reference, paid=True, proved=proved, why=why)
    still = known.idle or any(
        other.standing is Standing.COUNTED and other.sent > item.sent and not other.standalone for other in items
    )
    if equal and _is_pinned(item, items, known):
        why = "the terminal's figures are the journal's without it, and were not reset since it was sent"
        return Conclusion(reference=item.reference, paid=False, proved=asked and still, why=why)
    if seen == {_LEFT_OUT}:
        proved = asked and still and period_is_known and _explained(totals, items, course, known)
        why = f"the terminal's figures hold no {_words(item)} that is not another payment's"
        return Conclusion(reference=item.reference, paid=False, proved=proved, why=why)
    return None


def _words(item: Item) -> str:
    return f"{item.line.value} of {item.amount}"


def _is_pinned(item: Item, items: Sequence[Item], known: Circumstances) -> bool:
    """Nothing was reset since it was sent: same counters, and something older is in the same figures."""
    return bool(known.mark) and item.mark == known.mark and any(
        other.standing is Standing.COUNTED and other.ended is not None and other.ended < item.sent
        and other.ended > (known.start or 0) and other.mark == known.mark
        for other in items
    )  # fmt: skip


def _explained(totals: Totals, items: Sequence[Item], course: _Course, known: Circumstances) -> bool:
    """Whether what is settled in the period and what is certainly counted make the figures, line by line."""
    start = known.start or 0
    chosen = [
        item
        for item in items
        if _is_of_period(item, start)
        or (item.standing is not Standing.COUNTED and course.seen.get(item.reference) == {_COUNTED})
    ]
    left: dict[tuple[str, TotalKind, str], _Line] = defaultdict(_Line)
    for total in totals.totals:
        if total.kind is not TotalKind.OTHER or total.amount.amount:
            line = left[_brand(total.brand), total.kind, total.amount.currency.code]
            line.count += total.count
            line.minor += total.amount.amount
    rest: dict[_Group, _Line] = defaultdict(_Line)
    for item in chosen:
        group = _group_of(item)
        if group is None or item.amount is None:
            continue
        key = (_brand(item.brand), *group)
        if item.brand and key in left:
            left[key].count -= 1
            left[key].minor -= item.amount.amount
        else:
            rest[group].count += 1
            rest[group].minor += item.amount.amount
    if any(line.count < 0 or line.minor < 0 or bool(line.count) != bool(line.minor) for line in left.values()):
        return False
    for (_, kind, code), line in left.items():
        rest[kind, code].count -= line.count
        rest[kind, code].minor -= line.minor
    return all(not line.count and not line.minor for line in rest.values())
