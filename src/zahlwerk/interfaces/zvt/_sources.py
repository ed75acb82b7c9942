"""Citations of the ZVT tables: which text says so, and how sure it is."""

from __future__ import annotations

from typing import Final

from zahlwerk.codec.source import Source, Standing

__all__ = ["OURS", "STANDARD", "TRANSPORT", "inferred", "observed", "standard", "vendor"]

STANDARD: Final = Source("ZVT, ECR interface", "13.08", "whole document", Standing.SPEC)
"""The command document of the standard."""
TRANSPORT: Final = Source("ZVT, transport protocol", "04", "whole document", Standing.SPEC)
"""The transport document of the standard."""
OURS: Final = Source("Zahlwerk", "1", "our own choice; the standard leaves it open", Standing.CHOICE)
"""Where the standard is silent."""


def standard(place: str) -> Source:
    """A place of the standard, named by the chapter of the fact sheet that reports it."""
    return Source(STANDARD.document, STANDARD.revision, place, Standing.SPEC)


def vendor(name: str, place: str) -> Source:
    """One vendor's public documentation."""
    return Source(f"documentation of {name}", "", place, Standing.OBSERVED)


def observed(place: str) -> Source:
    """Seen in captures of devices."""
    return Source("captures of devices in the field", "", place, Standing.OBSERVED)


def inferred(place: str) -> Source:
    """What widespread implementations do, without a text that says so."""
    return Source("widespread implementations", "", place, Standing.INFERRED)
