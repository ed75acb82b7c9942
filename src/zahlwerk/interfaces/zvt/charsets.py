"""Character sets of ZVT texts: the announced one, the profile's, or a careful guess. Pure.

Source: fact sheet 4.5.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["AUTO", "BY_NAME", "BY_NUMBER", "CP437", "LATIN_1", "UTF_8", "Charset"]


@dataclass(frozen=True, slots=True)
class Charset:
    """One character set. Reading never fails; writing replaces what the set lacks by the nearest plain letters."""

    name: str
    number: int | None
    """The value of tag 14; None for the guess."""
    codec: str
    """Python's name of it; empty for the guess."""

    def decode(self, data: bytes) -> str:
        """Bytes as text. Any bytes at all give some text."""
        if not self.codec:
            return _guess(data)
        try:
            return data.decode(self.codec)
        except UnicodeDecodeError:
            return _guess(data)

    def encode(self, text: str) -> bytes:
        """Text as bytes; `€` becomes `EUR` and `ł` becomes `l` where the set has no such letter."""
        codec = self.codec or "cp437"
        try:
            return text.encode(codec)
        except UnicodeEncodeError:
            return b"".join(_nearest(character, codec) for character in text)


_NEAR: Final[Mapping[str, str]] = MappingProxyType({
    "€": "EUR", "–": "-", "—": "-", "‘": "'", "’": "'", "‚": ",", "“": '"', "”": '"', "„": '"', "…": "...", "•": "*",
    "ß": "ss", "ł": "l", "Ł": "L", "đ": "d", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "×": "x",
    "\u00a0": " ", "\u202f": " ",
})  # fmt: skip


def _nearest(character: str, codec: str) -> bytes:
    for candidate in (character, _NEAR.get(character, ""), _without_marks(character)):
        if candidate:
            try:
                return candidate.encode(codec)
            except UnicodeEncodeError:
                continue
    return b"?"


def _without_marks(character: str) -> str:
    return "".join(part for part in unicodedata.normalize("NFKD", character) if not unicodedata.combining(part))


# Bytes of German letters, in CP437 and in ISO 8859-1 (fact sheet 4.5).
_IN_CP437: Final = frozenset(b"\x81\x84\x8e\x94\x99\x9a\xe1")
_IN_LATIN_1: Final = frozenset(b"\xc4\xd6\xdc\xe4\xf6\xfc\xdf")


def _guess(data: bytes) -> str:
    if data.isascii():
        return data.decode("ascii")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    found = frozenset(data)
    return data.decode("cp437" if found & _IN_CP437 and not found & _IN_LATIN_1 else "latin-1")


CP437: Final = Charset("CP437", 0xFF, "cp437")
"""What holds until something else was agreed; every terminal has it."""
UTF_8: Final = Charset("UTF-8", 0xFE, "utf-8")
LATIN_1: Final = Charset("ISO 8859-1", 0x01, "latin-1")
AUTO: Final = Charset("as it looks", None, "")
"""For devices that send what they like: UTF-8 if it is valid, else CP437 or ISO 8859-1 by the German letters."""

BY_NUMBER: Final[Mapping[int, Charset]] = MappingProxyType(
    {
        0x00: Charset("ASCII", 0x00, "ascii"),
        0x01: LATIN_1,
        **{
            number: Charset(f"ISO 8859-{number}", number, f"iso8859-{number}")
            for number in (*range(0x02, 0x0C), *range(0x0D, 0x11))
        },
        0xFE: UTF_8,
        0xFF: CP437,
    }
)
"""Values of tag 14."""
BY_NAME: Final[Mapping[str, Charset]] = MappingProxyType({
    "auto": AUTO, "cp437": CP437, "latin1": LATIN_1, "latin9": BY_NUMBER[0x0F], "utf8": UTF_8,
})  # fmt: skip
"""What an address may name."""
