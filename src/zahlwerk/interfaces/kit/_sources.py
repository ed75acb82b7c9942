"""Citations of the KIT tables: which public text says so, and how sure it is."""

from __future__ import annotations

from typing import Final

from zahlwerk.codec.source import Source, Standing

__all__ = ["APPLICATION", "CPP_EXAMPLE", "DOCUMENT", "LIBRARY", "OURS", "SCHEMA", "inferred", "observed", "schema"]

SCHEMA: Final = Source("PayTecAG/ecritf, ecritf-schema.json", "1.1.0", "$defs", Standing.SPEC)
"""PayTec's JSON schema."""

LIBRARY: Final = Source("PayTecAG/ecritf, ecritf.js", "1.2.1", "constants and messages", Standing.SPEC)
"""PayTec's JavaScript library; normative in doubt (P-42)."""

DOCUMENT: Final = Source("PayTecAG/ecritf, web_api/doc", "1.2.1", "index.html.md", Standing.SPEC)
"""PayTec's document of the library."""

CPP_EXAMPLE: Final = Source("PayTecAG/ecritf, examples/c++", "1.2.1", "ecr_example.cpp", Standing.SPEC)
"""PayTec's example for the serial line and KIT TLV: the message numbers."""

APPLICATION: Final = Source("PayTecAG/ecritf, web_api/example", "1.2.1", "index.html", Standing.SPEC)
"""PayTec's example till: labels of the functions."""

OURS: Final = Source("Zahlwerk", "1", "our own choice; no public text", Standing.CHOICE)
"""Where the public texts are silent."""


def schema(place: str) -> Source:
    """A row of the schema, by the name of its definition."""
    return Source(SCHEMA.document, SCHEMA.revision, f"$defs/{place}", Standing.SPEC)


def observed(place: str) -> Source:
    """Seen on the wire by a public user (leteffe/eftkey) or by running PayTec's programs."""
    return Source("recordings of PayTec's programs and web simulator", "2026", place, Standing.OBSERVED)


def inferred(place: str) -> Source:
    """Concluded from names and neighbours; PayTec has not confirmed it."""
    return Source(LIBRARY.document, LIBRARY.revision, place, Standing.INFERRED)
