"""KIT lines and serial frames in words, for `zahlwerk decode kit`: every field named, spelled out and masked.

Total: any bytes give an explanation; what cannot be read says why and where. Nothing here shows more than a trace may.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from enum import IntFlag
from types import MappingProxyType
from typing import Final

import msgspec

from zahlwerk.carddata import redact
from zahlwerk.codec.crc import crc16_xmodem
from zahlwerk.codec.explanation import ExplainedField, Explanation
from zahlwerk.currency import Currency
from zahlwerk.errors import InvalidRequest, RemoteProtocolError
from zahlwerk.interfaces.kit.codec import decode_line
from zahlwerk.interfaces.kit.dictionary import (
    CODES_OF_FIELD,
    FIELDS,
    MESSAGE_BY_NAME,
    OUR_RESULT_ROWS,
    RESULT_RANGES,
    SENSITIVE_FIELDS,
    TRX_RESULT_ROWS,
    FieldKind,
    describe_flags,
    model_of,
    phrase_of,
)
from zahlwerk.interfaces.kit.framing import LINE_BYTES_MAX, LineDecoder, OversizeLine
from zahlwerk.interfaces.kit.masking import mask_line, masked
from zahlwerk.interfaces.kit.serial_frames import (
    TYPE_FROM_REGISTER,
    TYPE_FROM_TERMINAL,
    Broken,
    Control,
    Frame,
    FrameDecoder,
)
from zahlwerk.money import Money

__all__ = ["ExplainedField", "Explanation", "explain_bytes", "explain_line"]

TEXT_CHARACTERS_MAX: Final = 400
"""Longer values are cut; a signature or a PNG says nothing to a reader."""


def explain_line(line: bytes, *, language: str = "en") -> Explanation:
    """One JSON line in words. Never raises."""
    try:
        decoded = decode_line(line)
    except RemoteProtocolError as exc:
        return Explanation(ok=False, error=exc.reason, position=exc.position)
    body = masked(msgspec.json.decode(decoded.body))
    assert isinstance(body, dict)
    fields = [*_fields(body, "", language)]
    companions = masked(decoded.companions)
    assert isinstance(companions, dict)
    fields += [_field(name, name, value, {}, language) for name, value in companions.items()]
    if decoded.cut:
        text = mask_line(decoded.cut).decode("utf-8", "replace")
        fields.append(ExplainedField("", "cut off in front of the message", _cut(text), text))
    row = MESSAGE_BY_NAME.get(decoded.name)
    return Explanation(ok=True, name=redact(decoded.name), code=row.code if row else "", fields=tuple(fields))


def explain_bytes(data: bytes, *, language: str = "en") -> tuple[Explanation, ...]:
    """Serial frames with what they carry, or one or more JSON lines, in words. Never raises."""
    if data.lstrip(b" \t\r\n")[:1] == b"\x10":
        return tuple(_serial(data.lstrip(b" \t\r\n"), language))
    return tuple(_lines(data, language)) or (Explanation(ok=False, error="nothing to read", position=0),)


def _lines(data: bytes, language: str) -> Iterator[Explanation]:
    for line in LineDecoder().feed(data + b"\n"):
        if isinstance(line, OversizeLine):
            yield Explanation(ok=False, error=f"a line longer than {LINE_BYTES_MAX} bytes", position=0)
        else:
            yield explain_line(line, language=language)


def _serial(data: bytes, language: str) -> Iterator[Explanation]:
    decoder = FrameDecoder()
    # One stream for each direction: a message may span frames, and both directions may stand in one recording.
    streams: dict[int, bytes] = {}
    anything = False
    for found in decoder.feed(data):
        anything = True
        match found:
            case Control():
                yield Explanation(ok=True, name=found.name, code="11" if found is Control.ACK else "12")
            case Broken():
                yield Explanation(ok=False, error=f"damaged serial frame: {found.reason}")
            case Frame():
                yield _frame(found)
                *lines, streams[found.type] = (streams.get(found.type, b"") + found.payload).split(b"\n")
                yield from _lines(b"\n".join(lines), language)
    for rest in streams.values():
        if rest.strip():
            yield Explanation(ok=False, error="a message without its end: a frame is missing", position=len(rest))
    if decoder.in_frame or not anything:
        yield Explanation(ok=False, error="a serial frame without its end (10 FF)", position=len(data))


def _frame(frame: Frame) -> Explanation:
    sides = {TYPE_FROM_REGISTER: "register to terminal", TYPE_FROM_TERMINAL: "terminal to register"}
    crc = crc16_xmodem(bytes((frame.seq, frame.type)) + frame.payload)
    fields = (
        ExplainedField("SEQ", "frame number", str(frame.seq), f"{frame.seq:02X}"),
        ExplainedField("TYPE", "direction", sides.get(frame.type, "unknown"), f"{frame.type:02X}"),
        # Not shown as bytes: a frame may begin within a card number, where no mask can tell what it is.
        ExplainedField("PAYLOAD", "part of the messages", f"{len(frame.payload)} bytes", ""),
        ExplainedField("CRC", "check sum", "right", f"{crc:04X}"),
    )
    return Explanation(ok=True, name="serial frame", code=f"{frame.type:02X}", fields=fields)


def _fields(body: Mapping[str, object], way: str, language: str) -> Iterator[ExplainedField]:
    for name, value in body.items():
        tag = f"{way}{name}"
        if isinstance(value, Mapping):
            yield from _fields(value, f"{tag}.", language)
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            for index, item in enumerate(value):
                if isinstance(item, Mapping):
                    yield from _fields(item, f"{tag}[{index}].", language)
                else:
                    yield _field(f"{tag}[{index}]", name, item, body, language)
        else:
            yield _field(tag, name, value, body, language)


def _field(tag: str, name: str, value: object, body: Mapping[str, object], language: str) -> ExplainedField:
    row = FIELDS.get(name)
    raw = _cut(msgspec.json.encode(value).decode())
    text = _words(name, value, body, language) if row is not None else raw
    return ExplainedField(tag, row.meaning if row else "", _cut(text), raw)


def _words(name: str, value: object, body: Mapping[str, object], language: str) -> str:
    if value is None:
        return "absent"
    if name in SENSITIVE_FIELDS:
        return str(value)
    if isinstance(value, list):
        return ", ".join(_words(_ELEMENTS.get(name, name), item, body, language) for item in value)
    if isinstance(value, str) and value.lstrip("-").isascii() and value.lstrip("-").isdigit() and _integral(name):
        value = int(value) if len(value) <= 18 else value
    if isinstance(value, int) and not isinstance(value, bool):
        return _number(name, value, body, language)
    return _text(name, value) if isinstance(value, str) else str(value)


def _integral(name: str) -> bool:
    return FIELDS[name].kind in {FieldKind.INTEGER, FieldKind.ENUM, FieldKind.FLAGS, FieldKind.CURRENCY}


def _number(name: str, value: int, body: Mapping[str, object], language: str) -> str:
    row = FIELDS[name]
    kind = CODES_OF_FIELD.get(name)
    if name in _SPECIAL:
        return _special(name, value, language)
    if row.kind is FieldKind.FLAGS and kind is not None and issubclass(kind, IntFlag):
        return " + ".join(describe_flags(kind, value, language)) if value else "none"
    if row.kind is FieldKind.ENUM and kind is not None:
        phrase = phrase_of(kind, value)
        return phrase.of(language) if phrase else f"unlisted value {value}"
    if row.kind is FieldKind.CURRENCY:
        return _currency(value)
    if row.kind is FieldKind.AMOUNT:
        return _amount(value, body.get(_CURRENCY_OF.get(name, "TrxCurrC")))
    return f"{value} {row.unit}" if row.unit in {"ms", "s", "characters"} else str(value)


def _special(name: str, value: int, language: str) -> str:
    match name:
        case "SoftwareVersion":
            return f"{value // 10000:02}.{value // 100 % 100:02}.{value % 100:02}" if value >= 0 else str(value)
        case "IIN":
            # A JSON integer loses leading zeros (P-35).
            return f"{value:06}"
        case "TrxResultExtended":
            return _extended(value, language)
        case "Confirm":
            return {0: "roll back", 1: "confirm: the money moves"}.get(value, f"unlisted value {value}")
        case "DCCRateExp":
            return f"{value} (the rate is DCCRate / 10^{value}, most likely)"
    return {0: "no", 1: "yes"}.get(value, f"unlisted value {value}")


def _extended(value: int, language: str) -> str:
    for row in OUR_RESULT_ROWS:
        if row.code == value:
            return row.phrase.of(language)
    for first, last, result, _ in RESULT_RANGES:
        if first <= value <= last:
            return f"{TRX_RESULT_ROWS[result].phrase.of(language)} ({value})"
    return f"unlisted value {value}"


def _text(name: str, value: str) -> str:
    row = FIELDS[name]
    if name == "IFDSerialNum" and (model := model_of(value)):
        return f"{value} ({model})"
    if row.kind is FieldKind.BASE64:
        try:
            return base64.b64decode(value, validate=True).hex(" ").upper()
        except (binascii.Error, ValueError):
            return f"not base64: {value}"
    if value.isascii() and value.isdigit():
        match row.unit, len(value):
            case "YYMMDD", 6:
                return f"20{value[:2]}-{value[2:4]}-{value[4:]}"
            case "YYYYMMDD", 8:
                return f"{value[:4]}-{value[4:6]}-{value[6:]}"
            case "HHMMSS", 6:
                return f"{value[:2]}:{value[2:4]}:{value[4:]}"
    return value


def _amount(value: int, number: object) -> str:
    try:
        return str(Money.of(value, number)) if isinstance(number, int) else f"{value} minor units"
    except InvalidRequest:
        return f"{value} minor units of currency {number}"


def _currency(number: int) -> str:
    try:
        return Currency.of(number).code
    except InvalidRequest:
        return f"unknown currency {number}"


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_CHARACTERS_MAX else f"{text[:TEXT_CHARACTERS_MAX]}... ({len(text)} characters)"


_SWITCHES: Final = frozenset({
    "UnsolicitedReceipts", "SuppressScheduledTasks", "UseExternalDisplay", "ESigInd", "PartialApprovalCap", "Boolean",
})  # fmt: skip
_SPECIAL: Final = _SWITCHES | {"SoftwareVersion", "IIN", "TrxResultExtended", "Confirm", "DCCRateExp"}
_ELEMENTS: Final[Mapping[str, str]] = MappingProxyType({
    "Currencies": "TrxCurrC", "Brands": "Brand", "SetActiveSurrogatePAN": "SurrogatePAN",
})  # fmt: skip
# Which field names the currency of an amount, where it is not TrxCurrC.
_CURRENCY_OF: Final[Mapping[str, str]] = MappingProxyType({
    "AmtAvail": "AmtAvailCurrC",
    "DCCCommissionAmt": "DCCCommissionCurrC",
    "DCCForeignAmount": "DCCForeignCurrC",
    "AOSA": "AppCurrC",
})  # fmt: skip
