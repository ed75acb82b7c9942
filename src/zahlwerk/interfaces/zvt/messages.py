"""What travels over ZVT: `Message` carries any command or answer; `information` says what results mean. Pure.

A message keeps everything: fields by BMP number, repeated ones, the TLV objects in order, and what could not be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias, cast

import msgspec

from zahlwerk.interfaces.zvt.blanking import shown

__all__ = [
    "NOTHING",
    "POSITIVE",
    "Fields",
    "Head",
    "Message",
    "Tlv",
    "TlvValue",
    "Value",
    "answer",
    "find",
    "find_all",
    "first",
    "leaves",
]

Value: TypeAlias = int | str | bytes
"""An integer (numbers, bits), a text (digits, characters) or bytes; bytes also where the digits were none."""
TlvValue: TypeAlias = "Value | tuple[Tlv, ...]"
Fields: TypeAlias = Mapping[int, Value]
"""By BMP number."""
Head: TypeAlias = Mapping[str, Value]
"""Positional fields by name."""

NOTHING: Final[Mapping[str, Value]] = MappingProxyType({})
_NO_FIELDS: Final[Mapping[int, Value]] = MappingProxyType({})

POSITIVE: Final = 0x8000
"""The plain positive answer, 80 00."""


class Tlv(msgspec.Struct, frozen=True, gc=False):
    """One object of a TLV container."""

    tag: int
    """Its bytes as one number: 0x07, 0x1F10."""
    value: TlvValue
    """A tuple of objects for a container."""

    def __repr__(self) -> str:
        """Without card data: it may end in an error or a log."""
        return f"Tlv({self.tag:02X}, {self.value if isinstance(self.value, tuple) else shown(self.value)})"

    @property
    def children(self) -> tuple[Tlv, ...]:
        """The objects inside; empty for a plain value."""
        return self.value if isinstance(self.value, tuple) else ()


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One APDU, read. `code` is CLASS and INSTR (or CCRC and APRC) as one number: 0x0601, 0x8000."""

    code: int
    head: Head = NOTHING
    """Positional fields, by the names of the command's row."""
    fields: Fields = _NO_FIELDS
    """The first occurrence of each BMP, without the TLV container."""
    tlv: tuple[Tlv, ...] | None = None
    """What is in BMP 06; empty for an empty container, None without one."""
    more: tuple[tuple[int, Value], ...] = ()
    """Further occurrences of BMPs, in order."""
    opaque: bytes = b""
    """What followed the point from which on nothing could be read. Its card data is blanked out."""
    problem: str = ""
    """Why reading stopped there; empty if everything was understood."""
    position: int | None = None
    """Where in the APDU."""

    def __repr__(self) -> str:
        """Without card data, passwords and what a customer typed: it may end in an error or a log."""
        told = [f"{self.code >> 8:02X} {self.code & 0xFF:02X}"]
        told += [f"{name}={_shown_head(name, value)}" for name, value in self.head.items()]
        told += [f"{number:02X}={shown(value)}" for number, value in (*self.fields.items(), *self.more)]
        if self.tlv is not None:
            told.append(f"tlv={self.tlv}")
        if self.problem:
            told.append(f"problem={self.problem!r} at {self.position}, {len(self.opaque)} bytes left")
        return f"Message({', '.join(told)})"

    @property
    def is_answer(self) -> bool:
        """80 xx or 84 xx."""
        return self.code >> 8 in {0x80, 0x84}

    @property
    def is_positive(self) -> bool:
        """80 00 and, treated exactly alike, 84 00. Source: fact sheet 2.4."""
        return self.code in {0x8000, 0x8400}

    def number(self, bitmap: int) -> int | None:
        """A field as an integer, if it is one."""
        value = self.fields.get(bitmap)
        return value if isinstance(value, int) else None

    def text(self, bitmap: int) -> str:
        """A field as text; empty if missing."""
        value = self.fields.get(bitmap)
        return value if isinstance(value, str) else ""

    def head_number(self, name: str) -> int | None:
        """A positional field as an integer, if it is one."""
        value = self.head.get(name)
        return value if isinstance(value, int) else None

    def head_text(self, name: str) -> str:
        """A positional field as text; empty if missing."""
        value = self.head.get(name)
        return value if isinstance(value, str) else ""

    def tag(self, tag: int) -> Value | None:
        """The first plain value of a tag, wherever it stands: devices put the same objects in containers and flat."""
        return first(self.tlv or (), tag)

    def tag_number(self, tag: int) -> int | None:
        """The same as an integer, if it is one."""
        value = self.tag(tag)
        return value if isinstance(value, int) else None

    def tag_text(self, tag: int) -> str:
        """The same as text; empty if missing."""
        value = self.tag(tag)
        return value if isinstance(value, str) else ""


def _shown_head(name: str, value: Value) -> str:
    if "password" in name or (name == "input" and isinstance(value, bytes) and len(value) > 1):
        return "*" * 6
    return shown(value)


def answer(code: int = POSITIVE, **fields: object) -> Message:
    """An answer, plain if nothing else is given: `answer()` is 80 00 00."""
    return Message(code=code, **fields)  # type: ignore[arg-type]  # msgspec checks the names


def leaves(tlvs: tuple[Tlv, ...]) -> Iterator[Tlv]:
    """Every plain object, depth first."""
    for tlv in tlvs:
        if isinstance(tlv.value, tuple):
            yield from leaves(tlv.value)
        else:
            yield tlv


def first(tlvs: tuple[Tlv, ...], tag: int) -> Value | None:
    """The first plain value of a tag, depth first; None if there is none."""
    for tlv in leaves(tlvs):
        if tlv.tag == tag:
            return cast("Value", tlv.value)
    return None


def find(tlvs: tuple[Tlv, ...], tag: int) -> Tlv | None:
    """The first object of a tag, container or not, outermost first."""
    for tlv in tlvs:
        if tlv.tag == tag:
            return tlv
    for tlv in tlvs:
        if (found := find(tlv.children, tag)) is not None:
            return found
    return None


def find_all(tlvs: tuple[Tlv, ...], tag: int) -> tuple[Tlv, ...]:
    """Every object of a tag, in order, not looking inside those found."""
    found: list[Tlv] = []
    for tlv in tlvs:
        if tlv.tag == tag:
            found.append(tlv)
        else:
            found += find_all(tlv.children, tag)
    return tuple(found)
