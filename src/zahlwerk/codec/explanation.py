"""A message in words: what the explainers of all protocols give to `zahlwerk decode`."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ExplainedField", "Explanation"]


@dataclass(frozen=True, slots=True)
class ExplainedField:
    """One field in words."""

    tag: str
    """Its name on the wire, with the way to it: `SetAcqInfo[0].AcqID`, `06.2F.1F10`."""
    name: str
    """What it means; empty for a field that only newer peers know."""
    value: str
    """The value for people."""
    raw: str
    """The value as on the wire, masked."""
    meaning: str = ""
    """What this value says, beyond itself: the text of a code, for instance."""
    position: int | None = None
    """Where the field begins, within the message."""
    depth: int = 0
    """How deep it stands in containers."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One message, frame or failure in words."""

    ok: bool
    name: str = ""
    code: str = ""
    """The message's number (`09`) or the frame's type; empty where there is none."""
    fields: tuple[ExplainedField, ...] = ()
    error: str = ""
    position: int | None = None
    """Where the first bad byte stands, within the line or frame."""

    def as_dict(self) -> dict[str, object]:
        """For JSON output, as the design of `decode` asks for."""
        if not self.ok:
            return {"ok": False, "error": self.error, "position": self.position}
        fields = [
            {"tag": f.tag, "name": f.name, "value": f.value, "raw": f.raw}
            | ({"meaning": f.meaning} if f.meaning else {})
            | ({"position": f.position} if f.position is not None else {})
            for f in self.fields
        ]
        return {"ok": True, "name": self.name, "code": self.code, "fields": fields}
