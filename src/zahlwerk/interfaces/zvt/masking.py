"""Card data in APDUs is blanked out before they are written down anywhere. Pure; every byte keeps its place.

What is not understood is treated as if it could be card data. Source: fact sheet 3.1, 3.2, 4.2; 8, pitfall 28.
"""

from __future__ import annotations

from typing import Final

from zahlwerk.carddata import redact_bytes
from zahlwerk.errors import RemoteProtocolError
from zahlwerk.interfaces.zvt._rows import Format, Secrecy
from zahlwerk.interfaces.zvt.blanking import BLANK, blank, careful
from zahlwerk.interfaces.zvt.codec import decode
from zahlwerk.interfaces.zvt.dictionary import COMMANDS
from zahlwerk.interfaces.zvt.information import batch_totals
from zahlwerk.interfaces.zvt.messages import Tlv, Value
from zahlwerk.interfaces.zvt.values import mask_digits
from zahlwerk.interfaces.zvt.walk import Node, Part, walk

__all__ = ["decoded_for_trace", "mask_apdu"]

TOTALS: Final = "60"
"""BMP 60. Source: fact sheet 3.4."""
_STAR: Final = b"*"
_PRINTABLE: Final = 0x20
_TEXTS: Final = frozenset({Format.TEXT, Format.ASCII})


def mask_apdu(apdu: bytes, *, answers: int = 0) -> bytes:
    """The APDU without card data, PINs, passwords and keys, at the same length.

    Args:
        answers: the command that it belongs to, as in `codec.decode`.
    """
    out = bytearray(apdu)
    for node in walk(apdu, answers=answers).nodes:
        if node.part in {Part.CODE, Part.LENGTH, Part.CONTAINER}:
            continue
        out[node.value_start : node.end] = _masked(apdu[node.value_start : node.end], node)
    return bytes(out)


def _masked(raw: bytes, node: Node) -> bytes:
    if node.part is Part.OPAQUE:
        return raw[:1] + blank(raw[1:])
    if node.secrecy is Secrecy.SECRET:
        return (_STAR if node.form in _TEXTS else BLANK) * len(raw)
    if node.secrecy is Secrecy.PAN:
        digits = raw.hex().upper()
        number = digits.rstrip("F")
        return bytes.fromhex(mask_digits(number) + digits[len(number) :])
    if node.part is Part.FIELD and node.key == TOTALS and _are_totals(raw):
        return raw
    if not node.known or node.form not in _TEXTS:
        return careful(raw)
    # What fills a field up (approval codes), or closes a name, is no part of the text.
    text = raw.rstrip(b"\0")
    if min(text, default=_PRINTABLE) >= _PRINTABLE:
        return redact_bytes(text) + raw[len(text) :]
    # A text with control characters in it may be none.
    return redact_bytes(raw) if careful(raw) == raw else _STAR * len(raw)


def _are_totals(raw: bytes) -> bool:
    """The figures of a day, and nothing that could hide a card number: no amount has more than ten digits."""
    totals = batch_totals(raw)
    return totals is not None and all(one.amount_minor < 10**10 for one in totals.schemes)


def decoded_for_trace(apdu: bytes, *, answers: int = 0) -> object:
    """What an APDU means, for a trace: like JSON, one member named after the message, and free of card data."""
    masked = mask_apdu(apdu, answers=answers)
    try:
        message = decode(masked, answers=answers)
    except RemoteProtocolError as exc:
        return {"?": {"error": exc.reason, "position": exc.position}}
    row = COMMANDS.get(message.code)
    name = row.name if row is not None else "ack" if message.is_positive else "answer" if message.is_answer else "?"
    told: dict[str, object] = {"code": f"{message.code >> 8:02X} {message.code & 0xFF:02X}"}
    told |= {key: _plain(value) for key, value in message.head.items() if "password" not in key}
    fields = {f"{number:02X}": _plain(value) for number, value in message.fields.items()}
    if fields:
        told["fields"] = fields
    if message.tlv:
        told["tlv"] = [_tlv(one) for one in message.tlv]
    if message.problem:
        told["problem"] = message.problem
    return {name: told}


def _plain(value: Value) -> object:
    return value.hex().upper() if isinstance(value, bytes) else value


def _tlv(tlv: Tlv) -> dict[str, object]:
    key = f"{tlv.tag:02X}"
    key = key if len(key) % 2 == 0 else "0" + key
    if isinstance(tlv.value, tuple):
        return {key: [_tlv(one) for one in tlv.value]}
    return {key: _plain(tlv.value)}
