"""APDUs to messages and back. Reading is total and tolerant, writing strict. Pure.

Reading keeps what it understood so far when it meets something that cannot be skipped (an unknown BMP, a cut value) and
says in `Message.problem` what that was: an approved payment is not thrown away for a vendor's private field (fact
sheet 2.5). `strict=True` makes that an error instead.

Source: fact sheet 1.1 (lengths), 2.5 (irregular blocks), 3.1 (BMPs), 4.1 (TLV).
"""

from __future__ import annotations

from io import BytesIO
from typing import Final

from zahlwerk.errors import InvalidRequest, RemoteProtocolError
from zahlwerk.interfaces.zvt._rows import BitmapRow, CommandRow, Format, Length, Positional, Rest, Secrecy
from zahlwerk.interfaces.zvt.blanking import blank, careful
from zahlwerk.interfaces.zvt.charsets import BY_NUMBER, CP437, Charset
from zahlwerk.interfaces.zvt.dictionary import BITMAPS, COMMANDS, TAGS
from zahlwerk.interfaces.zvt.framing import make_apdu, split_apdu
from zahlwerk.interfaces.zvt.messages import Message, Tlv, TlvValue, Value
from zahlwerk.interfaces.zvt.values import Read, reader, write

__all__ = ["DEPTH_MAX", "decode", "decode_tlv", "encode", "encode_tlv"]

# LIMIT: the deepest nesting in the standard is four (06, 62, 60, 43).
DEPTH_MAX: Final = 12
_TLV: Final = 0x06
_TLV_ALLOWED_TAG_BYTES: Final = 4

_STATUS_ENQUIRY: Final = 0x0501
_STATUS_INFORMATION: Final = 0x040F
_INTERMEDIATE: Final = 0x04FF
_COMPLETION: Final = 0x060F
_ABORT: Final = 0x061E
_PRINT_LINE: Final = 0x06D1
_TIME_OUT_ANSWERS: Final = frozenset({0x06E1, 0x06E2, 0x06E7, 0x0688})


class _Stopped(Exception):
    """Reading cannot go on from here."""

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.position = position


# How a value is read: the commonest ways by the loops themselves, all others by the row's reader.
_DIGITS, _NUMBER, _BYTE, _BINARY, _PLAIN, _READER, _LL, _LLL, _CONTAINER = range(9)
_LENGTHS: Final = (_LL, _LLL)
_LENGTH_BYTES: Final = {Length.LL: 2, Length.LLL: 3}


def _way(form: Format, secrecy: Secrecy) -> int:
    if secrecy is not Secrecy.OPEN:
        return _READER
    ways = {
        Format.DIGITS: _DIGITS, Format.NUMBER: _NUMBER, Format.BINARY: _BINARY, Format.BITS: _BINARY,
        Format.BYTES: _PLAIN, Format.CONTAINER: _CONTAINER,
    }  # fmt: skip
    return ways.get(form, _READER)


def _bitmap_rule(row: BitmapRow) -> tuple[int, int, int, Read]:
    """Number, way, bytes of the value or of its length, and reader of a BMP."""
    way, size = _way(row.format, row.secrecy), row.size
    match row.length:
        case Length.TLV:
            way, size = _CONTAINER, 0
        case Length.LL | Length.LLL:
            way, size = _LL if row.length is Length.LL else _LLL, _LENGTH_BYTES[row.length]
        case Length.FIXED if way == _BINARY and size == 1:
            way = _BYTE
    return row.number, way, size, reader(row.format, row.secrecy, row.pad)


def _unlisted(raw: bytes, _charset: Charset) -> Value:
    # Nobody here uses it, so nothing is lost if it may be card data.
    return careful(raw)


_BITMAP_RULES: Final = {bytes((row.number,)): _bitmap_rule(row) for row in BITMAPS.values()}
_TAG_RULES: Final = {tag: (_way(row.format, row.secrecy), reader(row.format, row.secrecy)) for tag, row in TAGS.items()}
_UNLISTED: Final = (_READER, _unlisted)
_UNLISTED_CONTAINER: Final = (_CONTAINER, reader(Format.BYTES))
_SIZES: Final = {bytes((0xF0 + tens, 0xF0 + ones)): 10 * tens + ones for tens in range(10) for ones in range(10)}
"""What the two bytes of an LL length say."""


# -- reading


def decode(apdu: bytes, *, charset: Charset = CP437, answers: int = 0, strict: bool = False) -> Message:
    """Read one whole APDU.

    Args:
        charset: of texts, unless the message names its own (tag 14).
        answers: the command that a completion, abort or answer belongs to; decides how its block is read.
        strict: anything that cannot be read is an error.

    Raises:
        RemoteProtocolError: no whole APDU; or, if `strict`, the first problem.
    """
    if len(apdu) > 2 and apdu[2] == len(apdu) - 3 and apdu[2] != 0xFF:
        code, start = apdu[0] << 8 | apdu[1], 3
    else:
        code, data = split_apdu(apdu)
        start = len(apdu) - len(data)
    message = _block(code, apdu, start, charset, answers)
    if message.tlv is not None and (own := _own_charset(message.tlv, charset)) is not charset:
        message = _block(code, apdu, start, own, answers)
    if strict and message.problem:
        raise RemoteProtocolError(message.problem, position=message.position)
    return message


def _own_charset(tlvs: tuple[Tlv, ...], charset: Charset) -> Charset:
    """A text block may name its own set. Elsewhere (inside 27, in a menu) tag 14 announces, and changes nothing."""
    for tlv in tlvs:
        if tlv.tag == 0x14 and isinstance(tlv.value, int):
            return BY_NUMBER.get(tlv.value, charset)
    return charset


def _block(code: int, apdu: bytes, start: int, charset: Charset, answers: int) -> Message:
    head: dict[str, Value] = {}
    fields: dict[int, Value] = {}
    more: list[tuple[int, Value]] = []
    tlvs: list[Tlv] = []
    has_tlv = False
    problem, position, opaque = "", None, b""
    try:
        at = start if code == _STATUS_INFORMATION else _head(code, apdu, start, charset, answers, head)
        has_tlv = _fields(apdu, at, charset, fields, more, tlvs)
    except _Stopped as stop:
        problem, position = stop.reason, stop.position
        opaque = _blank(apdu[stop.position :])
        has_tlv = has_tlv or bool(tlvs)
    return Message(
        code=code,
        head=head,
        fields=fields,
        tlv=tuple(tlvs) if has_tlv or tlvs else None,
        more=tuple(more),
        opaque=opaque,
        problem=problem,
        position=position,
    )


def _blank(data: bytes) -> bytes:
    """What could not be read may hold anything: only its length is kept, and its first byte, which named it."""
    return data[:1] + blank(data[1:])


def _fields(
    data: bytes, at: int, charset: Charset,
    fields: dict[int, Value], more: list[tuple[int, Value]], tlvs: list[Tlv],
) -> bool:  # fmt: skip
    """Read BMPs up to the end; whether there was a TLV container."""
    # A stream hands out bytes at half the price of slices; what it no longer has comes short.
    stream = BytesIO(data)
    stream.seek(at)
    take, rules = stream.read, _BITMAP_RULES
    in_digits, in_number, in_byte, in_ll = _DIGITS, _NUMBER, _BYTE, _LL
    has_tlv = False
    number, size, raw = 0, 0, b""
    value: Value
    while key := take(1):
        try:
            number, way, size, read = rules[key]
        except KeyError:
            raise _Stopped(f"unknown BMP {key.hex().upper()}: its length is not known", stream.tell() - 1) from None
        raw = take(size)
        if way == in_digits:
            value = raw.hex().upper()
        elif way == in_number:
            try:
                value = int(raw.hex())
            except ValueError:
                value = raw  # no digits: kept as it came
        elif way == in_byte and raw:
            value = raw[0]
        elif way == _CONTAINER:
            has_tlv = True
            _container(data, stream, charset, tlvs)
            continue
        elif way in _LENGTHS:
            try:
                size = _SIZES[raw] if way == in_ll else _SIZES[b"\xf0" + raw[:1]] * 100 + _SIZES[raw[1:]]
            except KeyError:
                raise _no_length(number, raw, size, stream.tell()) from None
            raw = take(size)
            value = read(raw, charset)
        else:
            value = read(raw, charset)
        if number in fields:
            more.append((number, value))
        else:
            fields[number] = value
    if len(raw) < size:
        # Only the last one can be cut. It is no value.
        if more and more[-1][0] == number:
            more.pop()
        else:
            del fields[number]
        begin = len(data) - len(raw) - _LENGTH_BYTES.get(BITMAPS[number].length, 0) - 1
        raise _Stopped(f"BMP {number:02X} has {size} bytes, only {len(raw)} are there", begin)
    return has_tlv


def _no_length(number: int, raw: bytes, size: int, at: int) -> _Stopped:
    """Why these bytes are no length LL or LLL; `at` is where they end."""
    begin = at - len(raw) - 1
    if len(raw) < size:
        return _Stopped(f"BMP {number:02X} ends within its length", begin)
    wrong = next(byte for byte in raw if not 0xF0 <= byte <= 0xF9)
    return _Stopped(f"BMP {number:02X} has no length F0..F9 but {wrong:02X}", begin)


def _container(data: bytes, stream: BytesIO, charset: Charset, tlvs: list[Tlv]) -> None:
    """Read BMP 06 behind its number."""
    at, end = stream.tell(), len(data)
    begin, size = _tlv_length(data, at, end)
    stop = begin + size
    if stop > end:
        _objects(data, begin, end, charset, 0, tlvs)
        raise _Stopped(f"the TLV container has {size} bytes, only {end - begin} are there", at - 1)
    _objects(data, begin, stop, charset, 0, tlvs)
    stream.seek(stop)


def decode_tlv(data: bytes, *, charset: Charset = CP437) -> tuple[Tlv, ...]:
    """Read the content of a TLV container.

    Raises:
        RemoteProtocolError: an object is cut, or has no valid length.
    """
    tlvs: list[Tlv] = []
    try:
        _objects(data, 0, len(data), charset, 0, tlvs)
    except _Stopped as stop:
        raise RemoteProtocolError(stop.reason, position=stop.position) from None
    return tuple(tlvs)


def _objects(data: bytes, at: int, end: int, charset: Charset, depth: int, out: list[Tlv]) -> None:
    rules = _TAG_RULES
    value: TlvValue
    while at < end:
        begin = at
        tag = data[at]
        at += 1
        if tag & 0x1F == 0x1F:
            # 1F80..1F83 break the rule that bit 8 announces another byte (4.1).
            if tag == 0x1F and at < end and data[at] < 0x84:
                tag = 0x1F00 | data[at]
                at += 1
            else:
                tag, at = _long_tag(data, at, end, tag)
        if at < end and data[at] < 0x80:
            size = data[at]
            at += 1
        else:
            at, size = _tlv_length(data, at, end)
        stop = at + size
        if stop > end:
            raise _Stopped(f"tag {tag:X} has {size} bytes, only {end - at} are there", begin)
        way, read = rules.get(tag) or (_UNLISTED_CONTAINER if _is_constructed(tag) else _UNLISTED)
        if way == _CONTAINER:
            value = _inside(data, at, stop, charset, depth + 1)
        elif way == _BINARY and size == 1:
            value = data[at]
        elif way == _PLAIN:
            value = data[at:stop]
        else:
            value = read(data[at:stop], charset)
        out.append(Tlv(tag, value))
        at = stop


def _inside(data: bytes, at: int, end: int, charset: Charset, depth: int) -> tuple[Tlv, ...] | bytes:
    """The objects of a container; its bytes if it is none after all (fact sheet 4.1: descend only if all parses)."""
    if depth > DEPTH_MAX:
        return _blank(data[at:end])
    inside: list[Tlv] = []
    try:
        _objects(data, at, end, charset, depth, inside)
    except _Stopped:
        return _blank(data[at:end])
    return tuple(inside)


def _is_constructed(tag: int) -> bool:
    while tag > 0xFF:
        tag >>= 8
    return bool(tag & 0x20)


def _long_tag(data: bytes, at: int, end: int, tag: int) -> tuple[int, int]:
    for _ in range(_TLV_ALLOWED_TAG_BYTES - 1):
        if at >= end:
            raise _Stopped("a tag is cut", at - 1)
        byte = data[at]
        at += 1
        tag = tag << 8 | byte
        if byte < 0x80:
            return tag, at
    raise _Stopped("a tag has more than four bytes", at - _TLV_ALLOWED_TAG_BYTES)


def _tlv_length(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Where the value begins, and its size."""
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


# -- the positional part


def _head(code: int, data: bytes, at: int, charset: Charset, answers: int, head: dict[str, Value]) -> int:
    """Read what stands before the BMPs; where they begin."""
    if code >> 8 in {0x80, 0x84}:
        return _answer_head(code, data, at, charset, answers, head)
    special = _SPECIAL_HEADS.get(code)
    if special is not None:
        return special(data, at, charset, answers, head)
    row = COMMANDS.get(code)
    if row is None:
        if at < len(data):
            head["data"] = _blank(data[at:])
        return len(data)
    return _layout(row, data, at, charset, head)


def _layout(row: CommandRow, data: bytes, at: int, charset: Charset, head: dict[str, Value]) -> int:
    end = len(data)
    for positional in row.layout:
        if at >= end and positional.optional:
            return at
        if at + positional.size > end:
            raise _Stopped(f"{positional.name} has {positional.size} bytes, only {end - at} are there", min(at, end))
        head[positional.name] = _positional_reader(positional)(data[at : at + positional.size], charset)
        at += positional.size
    match row.rest:
        case Rest.TEXT:
            head["text"] = reader(Format.TEXT)(data[at:], charset)
            return end
        case Rest.BYTES:
            head["data"] = data[at:]
            return end
        case Rest.NOTHING if at < end:
            raise _Stopped(f"{row.label} has nothing here", at)
        case _:
            return at


def _positional_reader(positional: Positional) -> Read:
    # Passwords stay readable here: the terminal has to compare them. Traces and explanations blank them out.
    return reader(positional.format)


def _completion_head(data: bytes, at: int, charset: Charset, answers: int, head: dict[str, Value]) -> int:
    """06 0F: a version and a status after 05 01, BMPs otherwise. Source: fact sheet 2.5."""
    end = len(data)
    if at == end or (answers != _STATUS_ENQUIRY and (answers != 0 or end - at != 1)):
        return at
    if end - at >= 4 and all(0xF0 <= byte <= 0xF9 for byte in data[at : at + 3]):
        size = (data[at] - 0xF0) * 100 + (data[at + 1] - 0xF0) * 10 + data[at + 2] - 0xF0
        if at + 3 + size <= end:
            head["software"] = charset.decode(data[at + 3 : at + 3 + size])
            at += 3 + size
            if at == end:
                return at  # without a status: not a word about an end of day (F0)
    head["status"] = data[at]
    return at + 1


def _abort_head(data: bytes, at: int, _charset: Charset, answers: int, head: dict[str, Value]) -> int:
    """06 1E: a code; with 6F two bytes of currency without a BMP number. An empty block is met, too (2.5)."""
    if at == len(data):
        return at
    head["result"] = code = data[at]
    if code == 0x6F and answers != 0x0609 and _bare_currency_follows(data, at + 1):
        return _bare_currency(data, at + 1, head)
    return at + 1


def _bare_currency_follows(data: bytes, at: int) -> bool:
    """Two bytes and nothing else, but perhaps the container with a sequence id (2.5, 6.11)."""
    return len(data) - at == 2 or _container_fills(data, at + 2)


def _bare_currency(data: bytes, at: int, head: dict[str, Value]) -> int:
    head["currency"] = reader(Format.NUMBER)(data[at : at + 2], CP437)
    return at + 2


def _intermediate_head(data: bytes, at: int, _charset: Charset, _answers: int, head: dict[str, Value]) -> int:
    """04 FF: the minutes may be missing although TLV follows. Source: the three rules of fact sheet 2.5."""
    end = len(data)
    if at == end:
        raise _Stopped("an intermediate status has no code", at)
    head["status"] = data[at]
    at += 1
    if at == end or (data[at] == _TLV and not _container_fills(data, at + 1) and _container_fills(data, at)):
        return at
    head["minutes"] = reader(Format.NUMBER)(data[at : at + 1], CP437)
    return at + 1


def _container_fills(data: bytes, at: int) -> bool:
    """Whether a TLV container starts here and fills the block exactly."""
    if at >= len(data) or data[at] != _TLV:
        return False
    try:
        begin, size = _tlv_length(data, at + 1, len(data))
    except _Stopped:
        return False
    return begin + size == len(data)


def _print_line_head(data: bytes, at: int, charset: Charset, _answers: int, head: dict[str, Value]) -> int:
    """06 D1: an attribute, and all the rest is text; after FF comes a count. Source: fact sheet 2.10."""
    end = len(data)
    if at == end:
        raise _Stopped("a print line has no attribute", at)
    head["attribute"] = attribute = data[at]
    if attribute == 0xFF:
        if at + 1 < end:
            head["count"] = data[at + 1]
        if end - at > 2:
            raise _Stopped("line feeds have nothing after their count", at + 2)
        return end
    head["text"] = reader(Format.TEXT)(data[at + 1 :], charset)
    return end


_SPECIAL_HEADS: Final = {
    _COMPLETION: _completion_head,
    _ABORT: _abort_head,
    _INTERMEDIATE: _intermediate_head,
    _PRINT_LINE: _print_line_head,
}


def _answer_head(code: int, data: bytes, at: int, _charset: Charset, answers: int, head: dict[str, Value]) -> int:
    """80 xx and 84 xx. Source: fact sheet 2.4."""
    end = len(data)
    if at == end:
        return at
    if code == 0x841E and data[at] in {0x6F, 0x7D}:
        head["result"] = data[at]
        return _bare_currency(data, at + 1, head) if _bare_currency_follows(data, at + 1) else at + 1
    if code in {0x8000, 0x8400} and answers in _TIME_OUT_ANSWERS:
        # Neither a digit nor a key is 06: there a container begins.
        stop = at + 1 if answers in {0x06E1, 0x0688} else data.find(b"\x06", at)
        stop = end if stop < 0 else stop
        head["input"] = data[at:stop]
        return stop
    return at


# -- writing


def encode(message: Message, *, charset: Charset = CP437) -> bytes:
    """Write a message as an APDU. Fields go out in the order in which they were given.

    Raises:
        InvalidRequest: a value does not fit its field, or the field is not in the dictionary.
        CardDataRefused: a card number that is not masked.
    """
    out: list[bytes] = [_write_head(message, charset)]
    own = charset if message.tlv is None else _own_charset(message.tlv, charset)
    for number, value in (*message.fields.items(), *message.more):
        out.append(_write_field(number, value, own))
    if message.tlv is not None:
        content = encode_tlv(message.tlv, charset=own)
        out.append(b"\x06" + _write_tlv_length(len(content)) + content)
    return make_apdu(message.code, b"".join(out))


def _write_head(message: Message, charset: Charset) -> bytes:
    head = message.head
    if not head:
        return b""
    if message.code in _HEAD_FORMATS or message.code >= 0x8000:
        formats = _HEAD_FORMATS.get(message.code, _ANSWER_FORMATS)
        if message.code == _COMPLETION and "software" in head:
            text = charset.encode(str(head["software"]))
            version = f"{len(text):03d}".encode().translate(_TO_LLVAR) + text
            return version + bytes([int(head.get("status", 0))])
        return b"".join(
            write(value, formats[name][0], charset, size=formats[name][1], where=name)
            for name, value in head.items()
            if name in formats
        )
    row = COMMANDS.get(message.code)
    if row is None:
        raw = head.get("data", b"")
        return raw if isinstance(raw, bytes) else b""
    out: list[bytes] = []
    known = set()
    for positional in row.layout:
        known.add(positional.name)
        value = head.get(positional.name)
        if value is None:
            if not positional.optional:
                raise InvalidRequest(f"{row.title} needs {positional.name}")
            break
        out.append(write(value, positional.format, charset, size=positional.size, where=positional.name))
    if row.rest is Rest.TEXT:
        known.add("text")
        out.append(write(head.get("text", ""), Format.TEXT, charset, size=None, where="text"))
    if row.rest is Rest.BYTES:
        known.add("data")
        out.append(write(head.get("data", b""), Format.BYTES, charset, size=None, where="data"))
    if unknown := set(head) - known:
        raise InvalidRequest(f"{row.title} has no {sorted(unknown)[0]}")
    return b"".join(out)


_TO_LLVAR: Final = bytes.maketrans(b"0123456789", bytes(range(0xF0, 0xFA)))
_ANSWER_FORMATS: Final = {
    "result": (Format.BINARY, 1),
    "currency": (Format.NUMBER, 2),
    "input": (Format.BYTES, None),
}
_HEAD_FORMATS: Final[dict[int, dict[str, tuple[Format, int | None]]]] = {
    _COMPLETION: {"status": (Format.BINARY, 1)},
    _ABORT: {"result": (Format.BINARY, 1), "currency": (Format.NUMBER, 2)},
    _INTERMEDIATE: {"status": (Format.BINARY, 1), "minutes": (Format.NUMBER, 1)},
    _PRINT_LINE: {"attribute": (Format.BINARY, 1), "count": (Format.BINARY, 1), "text": (Format.TEXT, None)},
}


def _write_field(number: int, value: Value, charset: Charset) -> bytes:
    row = BITMAPS.get(number)
    if row is None or row.length is Length.TLV:
        raise InvalidRequest(f"there is no BMP {number:02X} to write")
    size = row.size if row.length is Length.FIXED else None
    raw = write(value, row.format, charset, size=size, where=row.name, secrecy=row.secrecy, pad=row.pad)
    if row.length is Length.FIXED:
        return bytes([number]) + raw
    width = 2 if row.length is Length.LL else 3
    if len(raw) > row.size:
        raise InvalidRequest(f"{row.name}: {len(raw)} bytes, at most {row.size}")
    return bytes([number]) + f"{len(raw):0{width}d}".encode().translate(_TO_LLVAR) + raw


def encode_tlv(tlvs: tuple[Tlv, ...], *, charset: Charset = CP437) -> bytes:
    """Write the content of a TLV container.

    Raises:
        InvalidRequest: a value does not fit.
    """
    out = []
    for tlv in tlvs:
        if isinstance(tlv.value, tuple):
            content = encode_tlv(tlv.value, charset=charset)
        else:
            row = TAGS.get(tlv.tag)
            form = row.format if row is not None and row.format is not Format.CONTAINER else Format.BYTES
            where = row.name if row is not None else f"tag {tlv.tag:X}"
            size = row.size if row is not None else None
            # An object may be empty: "nothing accepted yet" in 1F1F, "you may send me TLV" (4.1).
            content = b"" if tlv.value in {b"", ""} else write(tlv.value, form, charset, size=size, where=where)
        size_of_tag = (max(tlv.tag.bit_length(), 1) + 7) // 8
        out.append(tlv.tag.to_bytes(size_of_tag, "big") + _write_tlv_length(len(content)) + content)
    return b"".join(out)


def _write_tlv_length(size: int) -> bytes:
    if size < 0x80:
        return bytes([size])
    if size < 0x100:
        return bytes([0x81, size])
    if size < 0x10000:
        return bytes([0x82]) + size.to_bytes(2, "big")
    raise InvalidRequest(f"a TLV object has at most 65535 bytes, got {size}")
