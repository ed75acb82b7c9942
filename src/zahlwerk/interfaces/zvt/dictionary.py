"""The tables of ZVT: commands, BMPs, tags, result codes, states, cards; each row with its source. Pure."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from zahlwerk.interfaces.zvt._bitmaps import BITMAP_ROWS
from zahlwerk.interfaces.zvt._cards import AID_BRANDS, CARD_ROWS
from zahlwerk.interfaces.zvt._commands import COMMAND_ROWS
from zahlwerk.interfaces.zvt._intermediate import INTERMEDIATE_ROWS, PROGRESS, intermediate_row
from zahlwerk.interfaces.zvt._results import RESULT_ROWS, result_row
from zahlwerk.interfaces.zvt._rows import (
    BitmapRow,
    CardRow,
    CommandRow,
    Direction,
    Ending,
    Format,
    IntermediateRow,
    Length,
    Phrase,
    Positional,
    Rest,
    ResultRow,
    Secrecy,
    StatusRow,
    TagRow,
)
from zahlwerk.interfaces.zvt._status import STATUS_ROWS, status_row
from zahlwerk.interfaces.zvt._tags import TAG_ROWS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AID_BRANDS",
    "BITMAPS",
    "BITMAP_ROWS",
    "CARDS",
    "CARD_ROWS",
    "COMMANDS",
    "COMMAND_ROWS",
    "INTERMEDIATE_ROWS",
    "PROGRESS",
    "RESULT_ROWS",
    "STATUS_ROWS",
    "TAGS",
    "TAG_ROWS",
    "BitmapRow",
    "CardRow",
    "CommandRow",
    "Direction",
    "Ending",
    "Format",
    "IntermediateRow",
    "Length",
    "Phrase",
    "Positional",
    "Rest",
    "ResultRow",
    "Secrecy",
    "StatusRow",
    "TagRow",
    "brand_of",
    "intermediate_row",
    "result_row",
    "status_row",
]

BITMAPS: Final[Mapping[int, BitmapRow]] = MappingProxyType({row.number: row for row in BITMAP_ROWS})
"""BMPs by number."""
TAGS: Final[Mapping[int, TagRow]] = MappingProxyType({row.tag: row for row in TAG_ROWS})
"""Tags by number."""
COMMANDS: Final[Mapping[int, CommandRow]] = MappingProxyType({row.code: row for row in COMMAND_ROWS})
"""Commands by code."""
CARDS: Final[Mapping[int, CardRow]] = MappingProxyType({row.number: row for row in CARD_ROWS})
"""Cards by ZVT card type id."""


def brand_of(card_type: int | None, aid: str = "", name: str = "") -> str:
    """The brand that people know: by the card type id, else by the application, else as the terminal names it.

    Source: fact sheet 5.4. A hint for display and statistics only.
    """
    if card_type is not None and (row := CARDS.get(card_type)) is not None and card_type != SEE_TAG_41:
        return row.brand
    for prefix, brand in AID_BRANDS.items():
        if aid.startswith(prefix):
            return brand
    return name.strip()


SEE_TAG_41: Final = 0xFF
