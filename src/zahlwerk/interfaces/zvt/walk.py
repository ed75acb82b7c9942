"""One APDU, byte by byte: where each field starts and ends, and what it is. Pure.

Slower than `codec`, under the same rules; what explains and masks messages stands on it. Every byte belongs to exactly
one node. Source: fact sheet 1.1, 2.5, 3.1, 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from zahlwerk.interfaces.zvt._rows import BitmapRow, Format, Length, Rest, Secrecy, TagRow
from zahlwerk.interfaces.zvt.dictionary import BITMAPS, COMMANDS, TAGS

__all__ = ["Node", "Part", "Walked", "walk"]

# LIMIT: as in the codec.
DEPTH_MAX: Final = 12
TLV: Final = 0x06
_OLD_PIN_CHECK: Final = 0x0687
_INPUTS: Final = frozenset({0x06E1, 0x06E2, 0x06E7, 0x0688})


@unique
class Part(Enum):
    """What some bytes of an APDU are."""

    CODE = "command"
    LENGTH = "length"
    HEAD = "positional"
    FIELD = "BMP"
    TAG = "tag"
    CONTAINER = "container"
    OPAQUE = "not understood"


@dataclass(frozen=True, slots=True)
class Node:
    """A field with its place."""

    part: Part
    start: int
    """Where it begins, its own number and length included."""
    value_start: int
    """Where its value begins."""
    end: int
    key: str = ""
    """`04`, `1F10`; the name of a positional field."""
    name: str = ""
    meaning: str = ""
    form: Format = Format.BYTES
    secrecy: Secrecy = Secrecy.OPEN
    pad: str = ""
    depth: int = 0
    known: bool = True


@dataclass(frozen=True, slots=True)
class Walked:
    """An APDU taken apart."""

    code: int
    nodes: tuple[Node, ...]
    """In order; the objects of a container follow it, one level deeper."""
    problem: str = ""
    position: int | None = None


class _Stopped(Exception):
    def __init__(self, reason: str, position: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.position = position


def walk(apdu: bytes, *, answers: int = 0) -> Walked:
    """Take an APDU apart. Never fails: what cannot be read is one last node that says so.

    Args:
        answers: the command that a completion, abort or answer belongs to.
    """
    size = len(apdu)
    if size < 3 or (apdu[2] == 0xFF and size < 5):
        node = Node(Part.OPAQUE, 0, 0, size, known=False)
        return Walked(0, (node,) if size else (), "the APDU is cut within its header", size)
    code = int.from_bytes(apdu[:2], "big")
    start = 5 if apdu[2] == 0xFF else 3
    length = apdu[3] | apdu[4] << 8 if apdu[2] == 0xFF else apdu[2]
    nodes = [Node(Part.CODE, 0, 0, 2, name="code"), Node(Part.LENGTH, 2, 2, start, name="length")]
    end = min(size, start + length)
    problem, position = "", None
    try:
        _fields(apdu, _head(code, apdu, start, end, answers, nodes), end, nodes)
        if size != start + length:
            raise _Stopped(f"{length} bytes announced, {size - start} are there", end)
    except _Stopped as stop:
        problem, position = stop.reason, stop.position
        kept = [node for node in nodes if node.start < stop.position or node.end <= stop.position]
        nodes = kept
        last = max((node.end for node in nodes if node.part is not Part.CONTAINER), default=0)
        begin = min(max(stop.position, last), size)
        if begin < size:
            nodes.append(Node(Part.OPAQUE, begin, begin, size, known=False))
    return Walked(code, tuple(nodes), problem, position)


# -- before the BMPs


def _head(code: int, data: bytes, at: int, end: int, answers: int, nodes: list[Node]) -> int:
    if code >> 8 in {0x80, 0x84}:
        return _answer(code, data, at, end, answers, nodes)
    match code:
        case 0x060F:
            return _completion(data, at, end, answers, nodes)
        case 0x061E:
            return _abort(data, at, end, answers, nodes)
        case 0x04FF:
            return _intermediate(data, at, end, nodes)
        case 0x06D1:
            return _print_line(data, at, end, nodes)
        case 0x040F:
            return at
    row = COMMANDS.get(code)
    if row is None:
        if at < end:
            nodes.append(Node(Part.HEAD, at, at, end, "data", "data", "not known", known=False))
        return end
    for positional in row.layout:
        if at >= end and positional.optional:
            return at
        stop = at + positional.size
        if stop > end:
            raise _Stopped(f"{positional.name} has {positional.size} bytes, only {end - at} are there", min(at, end))
        nodes.append(_positional(positional.name, at, stop, positional.format, positional.secrecy, positional.meaning))
        at = stop
    if row.rest is Rest.TEXT:
        nodes.append(_positional("text", at, end, Format.TEXT))
        return end
    if row.rest is Rest.BYTES:
        secrecy = Secrecy.SECRET if code == _OLD_PIN_CHECK else Secrecy.OPEN
        nodes.append(_positional("data", at, end, Format.BYTES, secrecy))
        return end
    if row.rest is Rest.NOTHING and at < end:
        raise _Stopped(f"{row.label} has nothing here", at)
    return at


def _positional(name: str, at: int, end: int, form: Format, secrecy: Secrecy = Secrecy.OPEN, meaning: str = "") -> Node:
    return Node(Part.HEAD, at, at, end, name, name, meaning, form, secrecy)


def _completion(data: bytes, at: int, end: int, answers: int, nodes: list[Node]) -> int:
    if at == end or (answers != 0x0501 and (answers != 0 or end - at != 1)):
        return at
    if end - at >= 4 and all(0xF0 <= byte <= 0xF9 for byte in data[at : at + 3]):
        size = (data[at] - 0xF0) * 100 + (data[at + 1] - 0xF0) * 10 + data[at + 2] - 0xF0
        if at + 3 + size <= end:
            nodes.append(Node(Part.HEAD, at, at + 3, at + 3 + size, "software", "software", form=Format.TEXT))
            at += 3 + size
            if at == end:
                return at
    nodes.append(_positional("status", at, at + 1, Format.BINARY))
    return at + 1


def _abort(data: bytes, at: int, end: int, answers: int, nodes: list[Node]) -> int:
    if at == end:
        return at
    nodes.append(_positional("result", at, at + 1, Format.BINARY))
    if data[at] == 0x6F and answers != 0x0609 and _bare_currency_follows(data, at + 1, end):
        nodes.append(_positional("currency", at + 1, at + 3, Format.NUMBER))
        return at + 3
    return at + 1


def _bare_currency_follows(data: bytes, at: int, end: int) -> bool:
    return end - at == 2 or _fills(data, at + 2, end)


def _intermediate(data: bytes, at: int, end: int, nodes: list[Node]) -> int:
    if at == end:
        raise _Stopped("an intermediate status has no code", at)
    nodes.append(_positional("status", at, at + 1, Format.BINARY))
    at += 1
    if at == end or (data[at] == TLV and not _fills(data, at + 1, end) and _fills(data, at, end)):
        return at
    nodes.append(_positional("minutes", at, at + 1, Format.NUMBER))
    return at + 1


def _fills(data: bytes, at: int, end: int) -> bool:
    if at >= end or data[at] != TLV:
        return False
    try:
        begin, size = _tlv_length(data, at + 1, end)
    except _Stopped:
        return False
    return begin + size == end


def _print_line(data: bytes, at: int, end: int, nodes: list[Node]) -> int:
    if at == end:
        raise _Stopped("a print line has no attribute", at)
    nodes.append(_positional("attribute", at, at + 1, Format.BINARY))
    if data[at] == 0xFF:
        if at + 1 < end:
            nodes.append(_positional("count", at + 1, at + 2, Format.BINARY))
        if end - at > 2:
            raise _Stopped("line feeds have nothing after their count", at + 2)
        return end
    nodes.append(_positional("text", at + 1, end, Format.TEXT))
    return end


def _answer(code: int, data: bytes, at: int, end: int, answers: int, nodes: list[Node]) -> int:
    if at == end:
        return at
    if code == 0x841E and data[at] in {0x6F, 0x7D}:
        nodes.append(_positional("result", at, at + 1, Format.BINARY))
        if _bare_currency_follows(data, at + 1, end):
            nodes.append(_positional("currency", at + 1, at + 3, Format.NUMBER))
            return at + 3
        return at + 1
    if code in {0x8000, 0x8400} and answers in _INPUTS:
        stop = end
        if answers in {0x06E1, 0x0688}:
            stop = at + 1
        elif (found := data.find(b"\x06", at, end)) >= 0:
            stop = found
        # One key is a key; more may be a PIN, whatever it was asked for.
        secrecy = Secrecy.SECRET if stop - at > 1 else Secrecy.OPEN
        nodes.append(_positional("input", at, stop, Format.BYTES, secrecy))
        return stop
    return at


# -- BMPs and tags


def _fields(data: bytes, at: int, end: int, nodes: list[Node]) -> None:
    while at < end:
        row = BITMAPS.get(data[at])
        if row is None:
            raise _Stopped(f"unknown BMP {data[at]:02X}: its length is not known", at)
        begin, size = _bitmap_length(row, data, at, end)
        if begin + size > end:
            what = "the TLV container" if row.length is Length.TLV else f"BMP {row.number:02X}"
            if row.length is Length.TLV:
                nodes.append(_bitmap(row, at, begin, end, Part.CONTAINER))
                _objects(data, begin, end, 1, nodes)
            raise _Stopped(f"{what} has {size} bytes, only {end - begin} are there", at)
        stop = begin + size
        if row.length is Length.TLV:
            nodes.append(_bitmap(row, at, begin, stop, Part.CONTAINER))
            _objects(data, begin, stop, 1, nodes)
        else:
            nodes.append(_bitmap(row, at, begin, stop, Part.FIELD))
        at = stop


def _bitmap(row: BitmapRow, at: int, begin: int, end: int, part: Part) -> Node:
    return Node(part, at, begin, end, f"{row.number:02X}", row.name, row.meaning, row.format, row.secrecy, row.pad)


def _bitmap_length(row: BitmapRow, data: bytes, at: int, end: int) -> tuple[int, int]:
    if row.length is Length.FIXED:
        return at + 1, row.size
    if row.length is Length.TLV:
        return _tlv_length(data, at + 1, end)
    digits = 2 if row.length is Length.LL else 3
    if at + 1 + digits > end:
        raise _Stopped(f"BMP {row.number:02X} ends within its length", at)
    size = 0
    for byte in data[at + 1 : at + 1 + digits]:
        if not 0xF0 <= byte <= 0xF9:
            raise _Stopped(f"BMP {row.number:02X} has no length F0..F9 but {byte:02X}", at)
        size = size * 10 + byte - 0xF0
    return at + 1 + digits, size


def _objects(data: bytes, at: int, end: int, depth: int, nodes: list[Node]) -> None:
    while at < end:
        begin = at
        tag, at = _tag(data, at, end)
        value_at, size = _tlv_length(data, at, end)
        stop = value_at + size
        if stop > end:
            raise _Stopped(f"tag {tag:X} has {size} bytes, only {end - value_at} are there", begin)
        row = TAGS.get(tag)
        inside: list[Node] = []
        if _descends(row, tag) and depth <= DEPTH_MAX and _try(data, value_at, stop, depth + 1, inside):
            nodes.append(_object(row, tag, begin, value_at, stop, depth, Part.CONTAINER))
            nodes += inside
        else:
            nodes.append(_object(row, tag, begin, value_at, stop, depth, Part.TAG))
        at = stop


def _descends(row: TagRow | None, tag: int) -> bool:
    if row is not None:
        return row.format is Format.CONTAINER
    while tag > 0xFF:
        tag >>= 8
    return bool(tag & 0x20)


def _try(data: bytes, at: int, end: int, depth: int, nodes: list[Node]) -> bool:
    try:
        _objects(data, at, end, depth, nodes)
    except _Stopped:
        return False
    return True


def _object(row: TagRow | None, tag: int, at: int, begin: int, end: int, depth: int, part: Part) -> Node:
    key = f"{tag:02X}"
    key = key if len(key) % 2 == 0 else "0" + key
    if row is None:
        return Node(part, at, begin, end, key, f"tag_{key.lower()}", "not in the dictionary", depth=depth, known=False)
    # A container that is none after all may hold anything.
    known = row.format is not Format.CONTAINER or part is Part.CONTAINER
    return Node(part, at, begin, end, key, row.name, row.meaning, row.format, row.secrecy, depth=depth, known=known)


def _tag(data: bytes, at: int, end: int) -> tuple[int, int]:
    tag = first = data[at]
    at += 1
    if first & 0x1F != 0x1F:
        return tag, at
    for _ in range(3):
        if at >= end:
            raise _Stopped("a tag is cut", at - 1)
        byte = data[at]
        at += 1
        tag = tag << 8 | byte
        if byte < 0x80 or (first == 0x1F and tag <= 0x1F83):
            return tag, at
    raise _Stopped("a tag has more than four bytes", at - 4)


def _tlv_length(data: bytes, at: int, end: int) -> tuple[int, int]:
    if at >= end:
        raise _Stopped("a TLV length is missing", at)
    first = data[at]
    if first < 0x80:
        return at + 1, first
    count = first - 0x80
    if count not in {1, 2}:
        raise _Stopped(f"{first:02X} is no TLV length", at)
    if at + 1 + count > end:
        raise _Stopped("a TLV length is cut", at)
    return at + 1 + count, int.from_bytes(data[at + 1 : at + 1 + count], "big")
