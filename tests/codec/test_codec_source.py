"""Citations."""

from __future__ import annotations

import dataclasses

import pytest

from zahlwerk.codec.source import Source, Standing
from zahlwerk.errors import InvalidRequest


@pytest.mark.parametrize(
    ("source", "text"),
    [
        pytest.param(
            Source("KIT schema", "1.1.0", "TransactionRequest"),
            "KIT schema 1.1.0, TransactionRequest (spec)",
            id="spec",
        ),
        pytest.param(Source("RFC 9293", "", "3.1"), "RFC 9293, 3.1 (spec)", id="no revision"),
        pytest.param(
            Source("wire", "2026-01", "frame 7", Standing.OBSERVED), "wire 2026-01, frame 7 (observed)", id="observed"
        ),
    ],
)
def test_a_citation_reads_as_document_revision_place_and_standing(source: Source, text: str) -> None:
    assert str(source) == text


@pytest.mark.parametrize(("document", "place"), [("", "3.1"), ("RFC 9293", ""), (" ", "x")])
def test_a_citation_that_leads_nowhere_is_refused(document: str, place: str) -> None:
    with pytest.raises(InvalidRequest, match="names its document"):
        Source(document, "", place)


def test_a_citation_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Source("a", "", "b").place = "c"  # type: ignore[misc]  # that is the point
