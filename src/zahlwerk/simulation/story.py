"""What happened in a run, in order: the same seed tells the same story, byte by byte."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from zahlwerk.carddata import redact

if TYPE_CHECKING:
    from zahlwerk.simulation.loop import VirtualLoop

__all__ = ["Story"]


class Story:
    """Lines with their time and who they are about."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._lines: list[tuple[float, str, str]] = []

    def note(self, who: str, what: str) -> None:
        """Something happened now."""
        self._lines.append((self._loop.moment_s, who, what))

    def lines(self) -> Iterable[str]:
        """`   12.345  till      pays 12.50 CHF as sale-1`. What is repeated on the spot stands there once."""
        before, count = ("", ""), 0
        for moment_s, who, what in self._lines:
            if (who, what) == before:
                count += 1
                continue
            if count:
                yield f"{'':10}  {'':<9} ... {count} times more"
            before, count = (who, what), 0
            yield f"{moment_s:10.3f}  {who:<9} {redact(' '.join(what.split()))}"

    def text(self) -> str:
        """All of it."""
        return "\n".join(self.lines()) + "\n"
