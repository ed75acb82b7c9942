"""What a protocol fact cites: document, revision, place, and how well the fact is founded."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique

from zahlwerk.errors import InvalidRequest

__all__ = ["Source", "Standing"]


@unique
class Standing(StrEnum):
    """How well a protocol fact is founded."""

    SPEC = "spec"
    """The specification says so."""
    ERRATUM = "erratum"
    """The specification says otherwise, and is known to be wrong."""
    OBSERVED = "observed"
    """Seen on a wire or in the maker's own software; not written down."""
    INFERRED = "inferred"
    """Concluded from neighbouring facts; nobody confirmed it."""
    CHOICE = "choice"
    """Left open by the specification; this is our decision."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a protocol fact comes from. `str()` gives a citation: `KIT schema 1.1.0, TransactionRequest (spec)`.

    Raises:
        InvalidRequest: the document or the place is empty: such a citation leads nowhere.
    """

    document: str
    """The document's own name: `PayTec ecritf schema`, `RFC 9293`."""
    revision: str
    """Its revision or date; empty where the document has none, such as an RFC."""
    place: str
    """Chapter, table, definition or line."""
    standing: Standing = Standing.SPEC

    def __post_init__(self) -> None:
        if not self.document.strip() or not self.place.strip():
            raise InvalidRequest("a source names its document and the place in it")

    def __str__(self) -> str:
        return f"{' '.join(filter(None, (self.document, self.revision)))}, {self.place} ({self.standing})"
