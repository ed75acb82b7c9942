"""Status information (04 0F): the result of a payment, of an end of day, of reading a card, as one typed view. Pure.

Source: fact sheet 3.3 (fields), 3.4 (BMP 60), 4.2 and 4.3 (tags).
"""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec

from zahlwerk.interfaces.zvt.blanking import is_card_number, shown
from zahlwerk.interfaces.zvt.messages import Message, Tlv, Value, find_all

__all__ = [
    "BatchTotals", "SchemeTotal", "StatusInformation", "batch_totals", "open_receipts", "read_information",
]  # fmt: skip


class StatusInformation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One 04 0F. Every field may be missing: devices differ; None and the empty text mean "not sent"."""

    result: int | None = None
    """BMP 27; 0 is success. Missing means unknown, except after reading a card."""
    amount_minor: int | None = None
    """BMP 04: what was really authorised: perhaps less than asked, perhaps more (tip, cashback)."""
    trace: int | None = None
    """BMP 0B, or the long trace number of tag 1F2B."""
    original_trace: int | None = None
    """BMP 37: the trace number of what was reversed."""
    time: str = ""
    """BMP 0C, HHMMSS, the terminal's."""
    date: str = ""
    """BMP 0D, MMDD: no year."""
    expiry: str = ""
    card_sequence: str = ""
    payment_type: int | None = None
    """BMP 19: 40 offline, 50 checked only, 60 online, 70 with PIN."""
    masked_pan: str = ""
    """BMP 22: E for a masked digit."""
    terminal_id: str = ""
    contract_number: str = ""
    authorisation_attribute: str = ""
    """BMP 3B: the approval code."""
    additional_text: str = ""
    """BMP 3C: further text for the receipt."""
    currency_number: int | None = None
    """BMP 49; only if the register sent one."""
    receipt_number: int | None = None
    """BMP 87; four digits, wraps."""
    turnover_number: int | None = None
    card_type: int | None = None
    """ZVT card type id: BMP 8A, or tag 41 for ids above 254."""
    card_name: str = ""
    """BMP 8B, or the application's label."""
    operator_card_type: int | None = None
    host_result: int | None = None
    """BMP A0: for the receipt; does not change the outcome."""
    totals: bytes = b""
    """BMP 60, see `batch_totals`."""
    tip_minor: int | None = None
    """Tag 1F36; contained in the amount."""
    cashback_minor: int | None = None
    """Tag 1F25; contained in the amount."""
    aid: str = ""
    """EMV application identifier, hexadecimal."""
    cardholder_check: int | None = None
    """Tag 1F10."""
    online: int | None = None
    """Tag 1F11."""
    technology: int | None = None
    """Tag 1F12: 0 stripe, 1 chip, 2 contactless."""
    token: str = ""
    """Tag 1F14, hexadecimal: names the card without its number."""
    synchronisation: bytes = b""
    """Tag 1F1F: the terminal's id of this transaction."""
    tip_may_follow: bool = False
    """Tag 1F3B: a tip may be booked later."""
    extra_result: str = ""
    """Tag 13, such as an EMV Y1 or Z3."""
    error_number: str = ""
    """Tag 1F16, hexadecimal: the maker's own."""
    error_text: str = ""
    """Tag 1F17."""
    customer_text: str = ""
    """Tag 46: ready-made for the customer's receipt."""
    merchant_text: str = ""
    """Tag 47."""
    remaining_minor: int | None = None
    """What is left on a purse or gift card."""
    uid: str = ""
    """Tag 4C, hexadecimal: of a contactless card that is no payment card."""
    dcc: tuple[int, int] | None = None
    """What the card holder pays in the card's own currency: minor units and ISO 4217 number. Tag E2, amount kind 03."""

    def __repr__(self) -> str:
        """What was sent, without card data."""
        told = ((name, getattr(self, name)) for name in self.__struct_fields__)
        known = (f"{name}={shown(value) if isinstance(value, int | str | bytes) else value}" for name, value in told
                 if value not in (None, "", b""))  # fmt: skip
        return f"StatusInformation({', '.join(known)})"


SEE_TAG: Final = 0xFF
DCC: Final = 0xE2
AMOUNT_KIND: Final = 0x1F1D
FOREIGN: Final = 0x03


def read_information(message: Message) -> StatusInformation:
    """The typed view of a 04 0F. Never fails: what is not as it should be counts as not sent."""
    # Only what was sent is touched: this is read for every payment, and measured (bench/zvt.py).
    found: dict[str, Any] = {}
    places, kinds = _PLACES, _KINDS
    for number, value in message.fields.items():
        if value.__class__ is kinds.get(number):
            found[places[number]] = value
    if "contract_number" in found:
        found["contract_number"] = found["contract_number"].strip(" \0")
    if message.tlv:
        tags: dict[int, Value] = {}
        _collect(message.tlv, tags)
        _add_tags(tags, found)
        if AMOUNT_KIND in tags:
            for tlv in message.tlv:
                if tlv.tag == DCC:
                    found["dcc"] = _dcc(tlv)
    if found.get("card_type") == SEE_TAG:
        del found["card_type"]  # terminals without an id send FF, too (5.4)
    return StatusInformation(**found)


def _add_tags(tags: dict[int, Value], found: dict[str, Any]) -> None:
    places = _TAGS
    for tag, value in tags.items():
        if tag not in places:
            continue
        name, kind = places[tag]
        if value.__class__ is kind:
            if value.__class__ is not int or value <= _WHOLE_MAX:
                found[name] = value
        elif kind is HEXADECIMAL:
            # A token or an id that is a card number after all is not kept.
            found[name] = value.hex().upper() if isinstance(value, bytes) and not is_card_number(value) else ""
    if found.get("card_type", SEE_TAG) == SEE_TAG and 0x41 in tags:
        found["card_type"] = _whole(tags[0x41])
    if not found.get("card_name"):
        found["card_name"] = next((text for tag in _NAMES if (text := _text(tags.get(tag)))), "")
    if 0x1F2B in tags and not found.get("trace"):
        found["trace"] = _whole(tags[0x1F2B])
    if 0x1F3B in tags:
        found["tip_may_follow"] = bool((_whole(tags[0x1F3B]) or 0) & 0x01)
    if 0x1F6A in tags:
        found["remaining_minor"] = _signed(tags[0x1F6A])


# LIMIT: the twelve digits of BMP 04. More is no amount and no trace number, but may be a card number.
_WHOLE_MAX: Final = 10**12 - 1
_NAMES: Final = (0x4A, 0x44, 0x42)
"""Where a name may stand if BMP 8B is empty, best first."""
HEXADECIMAL: Final = object()
_FIELDS: Final[dict[int, tuple[str, type]]] = {
    0x27: ("result", int), 0x04: ("amount_minor", int), 0x0B: ("trace", int), 0x37: ("original_trace", int),
    0x0C: ("time", str), 0x0D: ("date", str), 0x0E: ("expiry", str), 0x17: ("card_sequence", str),
    0x19: ("payment_type", int), 0x22: ("masked_pan", str), 0x29: ("terminal_id", str), 0x2A: ("contract_number", str),
    0x3B: ("authorisation_attribute", str), 0x3C: ("additional_text", str), 0x49: ("currency_number", int),
    0x87: ("receipt_number", int), 0x88: ("turnover_number", int), 0x8A: ("card_type", int), 0x8B: ("card_name", str),
    0x8C: ("operator_card_type", int), 0xA0: ("host_result", int), 0x60: ("totals", bytes),
}  # fmt: skip
"""Where a BMP's value goes, and of what type it must be."""
_PLACES: Final = {number: name for number, (name, _) in _FIELDS.items()}
_KINDS: Final = {number: kind for number, (_, kind) in _FIELDS.items()}
_TAGS: Final[dict[int, tuple[str, object]]] = {
    0x1F36: ("tip_minor", int), 0x1F25: ("cashback_minor", int), 0x43: ("aid", HEXADECIMAL),
    0x1F10: ("cardholder_check", int), 0x1F11: ("online", int), 0x1F12: ("technology", int),
    0x1F14: ("token", HEXADECIMAL), 0x1F1F: ("synchronisation", bytes), 0x13: ("extra_result", str),
    0x1F16: ("error_number", HEXADECIMAL), 0x1F17: ("error_text", str), 0x46: ("customer_text", str),
    0x47: ("merchant_text", str), 0x4C: ("uid", HEXADECIMAL), 0x1F3F: ("remaining_minor", int),
}  # fmt: skip
"""The same for tags."""


def _dcc(container: Tlv) -> tuple[int, int] | None:
    for amount in container.children:
        facts = {one.tag: one.value for one in amount.children}
        if facts.get(AMOUNT_KIND) == FOREIGN:
            minor, number = _whole(facts.get(0x1F20)), _whole(facts.get(0x1F21))
            return None if minor is None or number is None else (minor, number)
    return None


def _collect(tlvs: tuple[Tlv, ...], into: dict[int, Value]) -> None:
    """The first value of each wanted tag, wherever it stands (fact sheet 4.1: nested and flat are both met)."""
    for tlv in tlvs:
        value = tlv.value
        if value.__class__ is tuple:
            _collect(value, into)
        else:
            into.setdefault(tlv.tag, cast("Value", value))


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and value <= _WHOLE_MAX else None


def _text(value: Value | None) -> str:
    return value if isinstance(value, str) else ""


def _signed(value: Value | None) -> int | None:
    """BCD whose high nibble D means negative. Source: fact sheet 4.2, tag 1F6A."""
    digits = value.hex() if isinstance(value, bytes) else value if isinstance(value, str) else None
    if digits is None:
        return _whole(value)
    sign, digits = (-1, "0" + digits[1:]) if digits[:1] in {"d", "D"} else (1, digits)
    return sign * int(digits) if digits.isdecimal() and int(digits) <= _WHOLE_MAX else None


class SchemeTotal(msgspec.Struct, frozen=True):
    """One slot of BMP 60."""

    brand: str
    """Empty for "all others"."""
    count: int
    """Wraps at 256."""
    amount_minor: int


class BatchTotals(msgspec.Struct, frozen=True):
    """BMP 60. Counters wrap, signs are not sent: a hint, never the only source for the books. Source: 3.4."""

    first_receipt: int
    last_receipt: int
    schemes: tuple[SchemeTotal, ...]


_SLOTS: Final = ("girocard", "JCB", "Mastercard", "American Express", "Visa", "Diners Club", "")
"""Source: fact sheet 3.4, by offset: 4, 11, 18, 25, 32, 39, 46."""
_TOTALS_SIZE: Final = 53


def batch_totals(raw: bytes) -> BatchTotals | None:
    """BMP 60, read; None unless every digit is one (rubbish in the slots has been seen)."""
    if len(raw) != _TOTALS_SIZE:
        return None
    try:
        first, last = int(raw[0:2].hex()), int(raw[2:4].hex())
        slots = tuple(
            SchemeTotal(brand, raw[at], int(raw[at + 1 : at + 7].hex()))
            for at, brand in zip(range(4, _TOTALS_SIZE, 7), _SLOTS, strict=True)
        )
    except ValueError:
        return None
    return BatchTotals(first, last, slots)


def open_receipts(message: Message) -> tuple[int, ...]:
    """Receipt numbers of open pre-authorisations: a list in TLV, or the first one. Source: fact sheet 2.2, 7.6."""
    listed: list[object] = [tlv.value for tlv in find_all(message.tlv or (), 0x08)]
    found = listed or [message.fields.get(0x87)]
    return tuple(number for number in found if isinstance(number, int) and number > 0)
