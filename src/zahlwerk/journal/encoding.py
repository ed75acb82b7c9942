"""Rows in and out of bytes: the one place where entries are encoded, and so the one that card data cannot pass. Pure.

What a register gives must be clean before anything is sent (`refuse_card_data_of`); what a terminal tells is starred
out instead, for an entry about money that has moved must not be refused. Pictures that hold card data are left out.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields
from datetime import datetime
from enum import Enum
from types import MappingProxyType
from typing import Final, TypeVar

import msgspec

from zahlwerk.carddata import redact, redact_bytes, redact_labelled, refuse_card_data, refuse_split_card_data
from zahlwerk.errors import JournalDamaged
from zahlwerk.journal.entries import Body
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Currency, Money
from zahlwerk.payment import (
    Dcc,
    EntryMode,
    Original,
    Outcome,
    Payment,
    PaymentKind,
    PaymentRequest,
    Receipt,
    ReceiptKind,
    TipPolicy,
    UnknownTag,
)

__all__ = [
    "clean_number",
    "clean_text",
    "decode_body",
    "encode_body",
    "encode_checked",
    "identity_of",
    "money_from",
    "payment_from",
    "refuse_card_data_of",
    "request_from",
]

PNG: Final = b"\x89PNG\r\n\x1a\n"
# LIMIT: a picture (signature, receipt) in an entry; larger ones are named and left out.
IMAGE_BYTES_MAX: Final = 256 * 1024
# LIMIT: nesting of what a terminal or a caller hands over.
DEPTH_MAX: Final = 16
DIVIDER: Final = "\x1f"
LEFT_OUT: Final = "(left out: "
_decode: Final = msgspec.json.Decoder(dict[str, object]).decode
T = TypeVar("T")

NOT_WHAT_IS_PAID: Final = frozenset({
    "language", "tip_policy", "unknown_tag", "unknown_tag_text", "silent", "active_tokens", "metadata",
    "order_reference",
})  # fmt: skip
"""Fields of a request that change nothing about what is paid: they may differ when the same request comes again."""


def encode_body(body: Body) -> bytes:
    """The bytes of a body, keys in order, with everything that looks like card data starred out."""
    return encode_checked(body)[0]


def encode_checked(body: Body) -> tuple[bytes, bool]:
    """The same, and whether nothing was starred or left out: then the body is what its bytes say."""
    plain = {key: _plain(value) for key, value in body.items()}
    texts: list[str] = []
    deep = _collect(plain, texts, 0)
    # One look at all texts together; the divider joins no two of them to something that looks like a card number.
    told = DIVIDER.join(texts)
    if not deep and redact(told) == told and redact_labelled(told) == told:
        try:
            return _encode(plain), LEFT_OUT not in told
        except UnicodeEncodeError:
            return _encode(_valid(plain)), False
    return _encode(_valid(_clean(plain, 0))), False


def _valid(value: object) -> object:
    """The same, with what is no text (half a character, told by a terminal) replaced."""
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case Mapping():
            return {str(_valid(str(key))): _valid(item) for key, item in value.items()}
        case list():
            return [_valid(item) for item in value]
        case _:
            return value


def clean_text(text: str) -> str:
    """A text for a column, with everything that looks like card data starred out."""
    return redact_labelled(redact(text)) if text else text


def clean_number(number: int | None) -> int | None:
    """A number for a column; None if it looks like a card number."""
    return None if number is not None and redact(str(number)) != str(number) else number


def decode_body(data: bytes) -> dict[str, object]:
    """A body out of its bytes.

    Raises:
        JournalDamaged: not a body.
    """
    try:
        return _decode(data)
    except (msgspec.MsgspecError, RecursionError) as exc:
        raise JournalDamaged(f"an entry cannot be read: {exc}") from exc


def refuse_card_data_of(request: PaymentRequest) -> None:
    """Every text of a request is free of card data, also one that was split over several.

    Raises:
        CardDataRefused: naming the field, never the data. Nothing was written, nothing was sent.
    """
    found = tuple(_texts_of(request))
    told = DIVIDER.join(text for _, text in found)
    if redact(told) != told or redact_labelled(told) != told:
        for name, text in found:
            refuse_card_data(text, where=name)
            if redact_labelled(text) != text:
                refuse_split_card_data((text,), where=name)
    if request.metadata:
        for key, text in request.metadata.items():
            refuse_split_card_data((key, text), where=f"metadata {redact(key)[:24]!r}")
        refuse_split_card_data(tuple(request.metadata.values()), where="metadata")
        refuse_split_card_data(tuple(request.metadata), where="metadata")


def _texts_of(request: PaymentRequest) -> Iterable[tuple[str, str]]:
    for name, _ in _COLUMNS[PaymentRequest]:
        value: object = getattr(request, name)
        if value and type(value) is str:
            yield name, value
    for key, text in request.metadata.items():
        yield "metadata", key
        yield "metadata", text
    if request.original is not None:
        yield "original", request.original.transaction_reference
        yield "original", request.original.dcc_date
    for token in request.active_tokens:
        yield "active_tokens", token


def _collect(value: object, texts: list[str], depth: int) -> bool:
    """Every text of a value, keys with their values; true if it is nested too deep to be looked at."""
    if depth > DEPTH_MAX:
        return True
    deep = False
    match value:
        case str():
            texts.append(value)
        case dict():
            for key, item in value.items():
                if isinstance(item, str) or type(item) is int:
                    texts.append(f"{key}: {item}")
                else:
                    texts.append(str(key))
                    deep |= _collect(item, texts, depth + 1)
        case list():
            for item in value:
                deep |= _collect(item, texts, depth + 1)
        case int():
            texts.append(str(value))
    return deep


def _clean(value: object, depth: int) -> object:
    if depth > DEPTH_MAX:
        return "(nested too deep)"
    match value:
        case str():
            return redact_labelled(redact(value))
        case bool() | None:
            return value
        case int():
            text = str(value)
            clean = redact(text)
            return value if clean == text else clean
        case Mapping():
            return {str(_clean(str(key), depth)): _clean_pair(str(key), item, depth) for key, item in value.items()}
        case list() | tuple():
            return [_clean(item, depth + 1) for item in value]
        case _Image():
            return value
        case _:
            return redact_labelled(redact(str(value)))


def _clean_pair(key: str, value: object, depth: int) -> object:
    """A value whose key says what it is: `{"cvc": "123"}`."""
    if isinstance(value, str | int) and not isinstance(value, bool):
        told = f"{key}: {value}"
        if redact_labelled(told) != told:
            return "*" * len(str(value))
    return _clean(value, depth + 1)


class _Image:
    """A picture in base64, known to be free of card data."""

    __match_args__ = ("text",)
    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def _hook(value: object) -> object:
    return value.text if isinstance(value, _Image) else str(value)


_encode: Final = msgspec.json.Encoder(order="deterministic", enc_hook=_hook).encode


def _image(data: bytes) -> object:
    if len(data) > IMAGE_BYTES_MAX:
        return f"{LEFT_OUT}{len(data)} bytes)"
    text = data.decode("latin-1")
    if not data.startswith(PNG) or redact_bytes(data) != data or redact_labelled(text) != text:
        return f"{LEFT_OUT}{len(data)} bytes that are no clean picture)"
    return _Image(base64.b64encode(data).decode())


# -- payments and requests


def identity_of(request: PaymentRequest) -> Body:
    """What makes two requests under one reference the same."""
    return {name: value for name, value in _plain_fields(request).items() if name not in NOT_WHAT_IS_PAID}


def payment_from(body: object) -> Payment:
    """A payment out of a body; fields that only newer versions know are ignored.

    Raises:
        JournalDamaged: not a payment.
    """
    if isinstance(body, Payment):
        return body
    return _built(Payment, body, _PAYMENT)


def request_from(body: object) -> PaymentRequest:
    """A request out of a body.

    Raises:
        JournalDamaged: not a request.
    """
    if isinstance(body, PaymentRequest):
        return body
    return _built(PaymentRequest, body, _REQUEST)


def money_from(value: object) -> Money:
    """`1250 CHF` in minor units.

    Raises:
        JournalDamaged: not an amount.
    """
    if isinstance(value, Money):
        return value
    amount, _, code = str(value).partition(" ")
    try:
        return Money(int(amount), Currency.of(code))
    except (ValueError, TypeError) as exc:
        raise JournalDamaged("an entry holds what is no amount") from exc


_COLUMNS: Final[Mapping[type, tuple[tuple[str, object], ...]]] = {
    kind: tuple((row.name, None if row.default is MISSING else row.default) for row in fields(kind))
    for kind in (Payment, PaymentRequest, Receipt, Dcc, Original)
}
"""Names and default values of the fields of what is written."""


def _plain_fields(item: Payment | PaymentRequest | Receipt | Dcc | Original) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, default in _COLUMNS[type(item)]:
        value: object = getattr(item, name)
        if value is default or value is None or value is False:
            continue
        kind = type(value)
        if kind is str or kind is int:
            if value != "":
                found[name] = value
        elif not isinstance(value, bytes | tuple | Mapping) or value:
            found[name] = _plain(value)
    return found


def _plain(value: object) -> object:
    match value:
        case str() | int() | None:
            return value
        case Money():
            return f"{value.amount} {value.currency.code}"
        case Enum():
            return value.value
        case Payment() | PaymentRequest() | Receipt() | Dcc() | Original():
            return _plain_fields(value)
        case datetime():
            return value.isoformat()
        case bytes():
            return _image(value)
        case tuple() | list():
            return [_plain(item) for item in value]
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case _:
            return str(value)


def _built(kind: type[T], body: object, readers: Mapping[str, Callable[[object], object]]) -> T:
    if not isinstance(body, Mapping):
        raise JournalDamaged(f"an entry holds no {kind.__name__}")
    try:
        return kind(**{name: readers[name](value) for name, value in body.items() if name in readers})
    except (ValueError, TypeError, KeyError, binascii.Error) as exc:
        raise JournalDamaged(f"an entry holds no {kind.__name__} that can be read: {exc}") from exc


def _text(value: object) -> str:
    return str(value)


def _number(value: object) -> int | None:
    if isinstance(value, str) and "*" in value:
        return None  # it looked like a card number, and was starred out
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("not a whole number")
    return value


def _picture(value: object) -> bytes:
    text = value.text if isinstance(value, _Image) else str(value)
    return b"" if text.startswith("(") else base64.b64decode(text, validate=True)


def _moment(value: object) -> datetime:
    return datetime.fromisoformat(str(value))


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _words(value: object) -> Mapping[str, str]:
    found = {str(key): str(item) for key, item in value.items()} if isinstance(value, Mapping) else {}
    return MappingProxyType(found)


def _receipts(value: object) -> tuple[Receipt, ...]:
    return tuple(_built(Receipt, item, _RECEIPT) for item in value) if isinstance(value, list) else ()


_RECEIPT: Final[Mapping[str, Callable[[object], object]]] = {
    "kind": ReceiptKind, "text": _text, "image_png": _picture, "sequence": _number,
}  # fmt: skip
_DCC: Final[Mapping[str, Callable[[object], object]]] = {
    "amount": money_from, "rate": _text, "markup": _text, "commission": money_from,
}  # fmt: skip
_ORIGINAL: Final[Mapping[str, Callable[[object], object]]] = {
    "transaction_reference": _text, "acquirer_id": _number, "sequence": _number, "dcc_date": _text,
}  # fmt: skip
_PAYMENT: Final[Mapping[str, Callable[[object], object]]] = {
    "reference": _text, "kind": PaymentKind, "outcome": Outcome, "state": PaymentState, "requested": money_from,
    "approved": money_from, "tip": money_from, "cashback": money_from, "remaining": money_from, "available": money_from,
    "dcc": lambda value: _built(Dcc, value, _DCC), "brand": _text, "masked_pan": _text, "aid": _text,
    "entry_mode": EntryMode, "token": _text, "authorisation_code": _text, "response_code": _text,
    "result_code": _number, "terminal_id": _text, "acquirer_id": _number, "sequence": _number,
    "transaction_reference": _text, "terminal_time": _moment, "expires": _text, "voice_phone": _text,
    "customer_text": _text, "attendant_text": _text, "e_signature_png": _picture, "receipts": _receipts,
    "standalone": bool, "message": _text,
}  # fmt: skip
_REQUEST: Final[Mapping[str, Callable[[object], object]]] = {
    "kind": PaymentKind, "amount": money_from, "tip": money_from, "cashback": money_from, "reference": _text,
    "order_reference": _text, "language": _text, "tip_policy": TipPolicy, "partial_approval": bool,
    "original": lambda value: _built(Original, value, _ORIGINAL), "authorisation_code": _text, "reason_code": _text,
    "unknown_tag": UnknownTag, "unknown_tag_text": _text, "silent": bool, "active_tokens": _texts, "metadata": _words,
}  # fmt: skip
