"""Counters and totals of the terminal: what survives a restart.

Source: KIT fact sheet 4.5 (shift and period counters), 4.10 (transaction counter), 2.10 (totals).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from zahlwerk.money import Currency, Money
from zahlwerk.terminal import Period, Total, TotalKind

__all__ = ["Counters", "Tally"]


@dataclass(slots=True)
class Counters:
    """Shift, booking period and transaction counter."""

    shift: int = 0
    period: int = 1
    sequence: int = 0
    """Grows with every accepted request, whatever its outcome."""
    day_closed: bool = False
    """An end of day was done since the shift was last opened."""

    def open_shift(self) -> None:
        """Count a new shift; the first one after an end of day begins a new period."""
        self.shift += 1
        if self.day_closed:
            self.period += 1
        self.day_closed = False


@dataclass(slots=True)
class Tally:
    """Totals per brand, kind and currency, for the shift and for the period."""

    _sums: dict[Period, dict[tuple[str, str, TotalKind, Currency], list[int]]] = field(
        default_factory=lambda: {period: {} for period in Period}
    )

    def add(self, *, brand: str, aid: str, kind: TotalKind, amount: Money, tip_minor: int = 0) -> None:
        """Count one payment."""
        for sums in self._sums.values():
            line = sums.setdefault((brand, aid, kind, amount.currency), [0, 0, 0])
            line[0] += 1
            line[1] += amount.amount
            line[2] += tip_minor

    def totals(self, period: Period) -> tuple[Total, ...]:
        """The figures, ordered by brand and kind."""
        return tuple(
            Total(
                brand=brand,
                kind=kind,
                count=count,
                amount=Money(amount, currency),
                tip=Money(tip, currency) if tip else None,
                aid=aid,
            )
            for (brand, aid, kind, currency), (count, amount, tip) in sorted(
                self._sums[period].items(),
                key=lambda item: (item[0][0], item[0][1], item[0][2].value, item[0][3].code),
            )
        )

    def clear(self, period: Period) -> None:
        """Begin again: the shift's figures with each shift, the period's with each end of day."""
        self._sums[period].clear()
