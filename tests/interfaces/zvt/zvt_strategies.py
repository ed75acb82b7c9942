"""Hypothesis strategies for ZVT messages, made from the tables: every command, every BMP, every tag."""

from __future__ import annotations

from hypothesis import strategies as st

from zahlwerk.interfaces.zvt.dictionary import (
    BITMAP_ROWS,
    BITMAPS,
    COMMAND_ROWS,
    TAG_ROWS,
    TAGS,
    BitmapRow,
    CommandRow,
    Format,
    Length,
    Positional,
    Rest,
    Secrecy,
)
from zahlwerk.interfaces.zvt.messages import Message, Tlv, Value

__all__ = ["bitmap_value", "messages_with_context", "tag_value", "tlvs"]

ANSWERING = 0x0601
"""A command whose end has nothing before its BMPs."""
WRITABLE = [row.number for row in BITMAP_ROWS if row.secrecy is not Secrecy.SECRET and row.length is not Length.TLV]
PLAIN_TAGS = [row.tag for row in TAG_ROWS if row.format is not Format.CONTAINER and row.secrecy is Secrecy.OPEN]
CONTAINERS = [row.tag for row in TAG_ROWS if row.format is Format.CONTAINER]
# Letters of CP437; no digits: enough of them in a row may be a card number.
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ,.;-+*/()ÄÖÜäöüßéèñ£"
ASCII_LETTERS = LETTERS[:63]

REPLIES = (0x8000, 0x8400, 0x849C, 0x849D, 0x8466, 0x84CC)


def digits(size: int | None) -> st.SearchStrategy[str]:
    """Hexadecimal digits, two to a byte."""
    sizes = {"min_size": 0, "max_size": 8} if size is None else {"min_size": size, "max_size": size}
    return st.binary(**sizes).map(lambda raw: raw.hex().upper())


def open_value(form: Format, size: int | None, *, longest: int = 40) -> st.SearchStrategy[Value]:
    """A value that is no secret; `size` None: any."""
    match form:
        case Format.NUMBER:
            return st.integers(0, 10 ** (2 * (size or 6)) - 1)
        case Format.DIGITS:
            return digits(size)
        case Format.BINARY | Format.BITS:
            return st.integers(0, 256 ** (size or 4) - 1)
        case Format.TEXT:
            return st.text(LETTERS, max_size=longest)
        case Format.ASCII:
            return st.text(ASCII_LETTERS, min_size=size or 0, max_size=size or longest)
        case _:
            return st.binary(min_size=size or 0, max_size=longest if size is None else size)


masked_numbers = st.builds(
    lambda first, masked, last: first + "E" * masked + last,
    st.text("0123456789", max_size=6),
    st.integers(1, 9),
    st.text("0123456789", max_size=4),
)


def bitmap_value(row: BitmapRow) -> st.SearchStrategy[Value]:
    """A value that a field can have."""
    if row.secrecy is Secrecy.PAN:
        return masked_numbers
    size = row.size if row.length is Length.FIXED else None
    if row.pad and size is not None:
        return st.text(ASCII_LETTERS, max_size=size).map(lambda text: text.rstrip(" "))
    return open_value(row.format, size)


def tag_value(tag: int) -> st.SearchStrategy[Value]:
    """A plain value that a tag can have."""
    return open_value(TAGS[tag].format, TAGS[tag].size)


plain_tlvs = st.sampled_from(PLAIN_TAGS).flatmap(lambda tag: st.builds(Tlv, st.just(tag), tag_value(tag)))
any_tlv = st.recursive(
    plain_tlvs,
    lambda inner: st.builds(Tlv, st.sampled_from(CONTAINERS), st.lists(inner, max_size=4).map(tuple)),
    max_leaves=8,
)
# Tag 14 beside a text block changes the meaning of all texts: that has tests of its own.
tlvs = st.lists(any_tlv.filter(lambda tlv: tlv.tag != 0x14), max_size=4).map(tuple)


def positional(one: Positional) -> st.SearchStrategy[Value]:
    return open_value(one.format, one.size)


@st.composite
def fields(draw: st.DrawFn, numbers: list[int]) -> dict[int, Value]:
    chosen = draw(st.lists(st.sampled_from(numbers), unique=True, max_size=6)) if numbers else []
    return {number: draw(bitmap_value(BITMAPS[number])) for number in chosen}


@st.composite
def heads(draw: st.DrawFn, row: CommandRow) -> tuple[dict[str, Value], bool]:
    """What stands before the BMPs; and whether anything may follow."""
    head: dict[str, Value] = {}
    for one in row.layout:
        if one.optional and not draw(st.booleans()):
            return head, False
        head[one.name] = draw(positional(one))
    if row.rest is Rest.TEXT:
        head["text"] = draw(st.text(LETTERS, max_size=60))
    if row.rest is Rest.BYTES:
        head["data"] = draw(st.binary(max_size=40))
    return head, row.rest is Rest.FIELDS


@st.composite
def messages_with_context(draw: st.DrawFn) -> tuple[Message, int]:
    """A valid message, and the command in whose course it comes."""
    code = draw(st.sampled_from([*(row.code for row in COMMAND_ROWS), *REPLIES]))
    row = next((one for one in COMMAND_ROWS if one.code == code), None)
    head, more_follows = draw(heads(row)) if row is not None else ({}, True)
    numbers = WRITABLE
    answers = ANSWERING
    match code:
        case 0x04FF:
            head = {"status": head.get("status", draw(st.integers(0, 255))), "minutes": draw(st.integers(0, 99))}
            numbers, more_follows = [], True
        case 0x061E:
            head = {"result": draw(st.integers(0, 255).filter(lambda result: result != 0x6F))}
            more_follows = True
        case 0x060F if draw(st.booleans()):
            head = {"software": draw(st.text(LETTERS, max_size=30)), "status": draw(st.integers(0, 255))}
            numbers, answers = [], 0x0501
        case 0x06D1:
            attribute = draw(st.integers(0, 255))
            head = {"attribute": attribute, "text": draw(st.text(LETTERS, max_size=40))}
            if attribute == 0xFF:
                head = {"attribute": attribute, "count": draw(st.integers(0, 255))}
        case _:
            pass
    if not more_follows:
        return Message(code=code, head=head), answers
    values = draw(fields(numbers))
    again = tuple((number, draw(bitmap_value(BITMAPS[number]))) for number in values if draw(st.integers(0, 5)) == 0)
    tlv = draw(st.none() | tlvs)
    return Message(code=code, head=head, fields=values, more=again, tlv=tlv), answers
