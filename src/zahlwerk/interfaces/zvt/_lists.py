"""The small code lists of ZVT: bits and values of single fields, with their meaning. Source: named with each list."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from zahlwerk.codec.source import Source
from zahlwerk.interfaces.zvt._sources import standard

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BITMAP_LISTS",
    "HEAD_LISTS",
    "KEYS",
    "LISTS",
    "SERVICE_BITS",
    "TAG_LISTS",
    "CodeList",
    "attribute_meaning",
    "payment_type_meaning",
]


@dataclass(frozen=True, slots=True)
class CodeList:
    """What the values of one field mean."""

    name: str
    entries: Mapping[int, str]
    source: Source
    is_bits: bool = False
    """Entries are single bits; a value is their sum."""

    def explain(self, value: int) -> str:
        """The meaning of a value; empty if it has none."""
        if not self.is_bits:
            return self.entries.get(value, "")
        return ", ".join(meaning for bit, meaning in self.entries.items() if value & bit == bit and bit)


def _list(name: str, place: str, entries: dict[int, str], *, bits: bool = False) -> CodeList:
    return CodeList(name, MappingProxyType(entries), standard(place), bits)


CONFIG: Final = _list("config byte", "2.7", {
    0x02: "the register takes over payment receipts", 0x04: "the register takes over administration receipts",
    0x08: "the register wants intermediate status", 0x10: "no amount entry at the terminal",
    0x20: "no administration at the terminal", 0x80: "the terminal sends finished lines",
}, bits=True)  # fmt: skip
REGISTRATION_STATUS: Final = _list("status after registration", "2.7", {
    0x01: "initialisation needed", 0x02: "diagnosis needed", 0x04: "OPT needed", 0x08: "filling-station mode",
    0x10: "vending mode",
}, bits=True)  # fmt: skip
PAYMENT_TYPE: Final = _list("payment type", "2.8", {
    0x00: "direct debit, offline", 0x10: "GeldKarte only", 0x20: "online without PIN", 0x30: "with PIN",
    0x40: "the terminal decides, without GeldKarte", 0x50: "the terminal decides",
})  # fmt: skip
PAYMENT_TYPE_BITS: Final = _list("bits of the payment type", "2.8", {
    0x02: "with the card data that was read before", 0x04: "printer of the register ready", 0x08: "a tip may follow",
}, bits=True)  # fmt: skip
PAID_HOW: Final = _list("payment type in a result", "2.8", {
    0x40: "offline", 0x50: "card checked, nothing authorised", 0x60: "online", 0x70: "with PIN",
})  # fmt: skip
READ_WHAT: Final = _list("card type when reading a card", "2.8", {
    0x10: "chip", 0x20: "chip", 0x50: "chip and magnetic stripe",
})  # fmt: skip
CARDHOLDER_CHECK: Final = _list("card holder check", "4.2", {
    0x00: "none", 0x01: "signature", 0x02: "online PIN", 0x03: "offline enciphered PIN", 0x04: "offline plain PIN",
    0x05: "offline enciphered PIN and signature", 0x06: "offline plain PIN and signature",
    0x07: "online PIN and signature", 0xFF: "unknown",
})  # fmt: skip
ONLINE: Final = _list("online", "4.2", {0x00: "offline", 0x01: "online"})
TECHNOLOGY: Final = _list("technology", "4.2", {0x00: "magnetic stripe", 0x01: "chip", 0x02: "contactless"})
RECEIPT_TYPE: Final = _list(
    "receipt type", "2.10", {0x01: "merchant copy", 0x02: "customer copy", 0x03: "administration"}
)
RECEIPT_INFORMATION: Final = _list("receipt information", "2.10", {
    0x01: "positive receipt", 0x02: "has a signature field", 0x04: "negative receipt", 0x80: "printing is mandatory",
}, bits=True)  # fmt: skip
RECEIPT_PARAMETERS: Final = _list("receipt parameters", "4.4", {
    0x80: "customer copy when approved", 0x40: "customer copy when not approved", 0x20: "merchant copy when approved",
    0x10: "merchant copy when not approved", 0x08: "customer copy first", 0x04: "short receipt",
    0x02: "do not print the goods", 0x01: "send print commands for this command",
    0x8000: "barcodes wanted in text blocks",
}, bits=True)  # fmt: skip
EMV_CONFIGURATION: Final = _list("EMV configuration", "4.2", {
    0x80: "label", 0x40: "preferred name", 0x20: "customer text", 0x10: "merchant text", 0x08: "receipt header",
    0x04: "advertising", 0x02: "customer receipt data", 0x01: "merchant receipt data",
    0x8000: "product name",
}, bits=True)  # fmt: skip
PRINT_ATTRIBUTE: Final = _list("print attribute", "2.10", {
    0x80: "last line", 0x40: "centred", 0x20: "double width", 0x10: "double height",
}, bits=True)  # fmt: skip
WANTED_JOB: Final = _list("wanted job", "4.2", {
    0x00: "extended diagnosis", 0x01: "end of day", 0x02: "configuration diagnosis", 0x03: "OPT pre-initialisation",
    0x04: "EMV configuration diagnosis", 0x05: "tax free",
})  # fmt: skip
AMOUNT_KIND: Final = _list("kind of amount", "4.2", {
    0x01: "base", 0x02: "exchange rate", 0x03: "foreign", 0x04: "commission", 0x05: "balance",
})  # fmt: skip
RESERVATION_TYPE: Final = _list("kind of reservation", "4.2", {
    0x02: "reservation", 0x03: "extension", 0x06: "telephonic", 0x07: "telephonic extension",
})  # fmt: skip
CARD_READING: Final = _list("card reading", "4.2", {
    0x80: "send the token", 0x40: "read the UID", 0x20: "read the balance",
}, bits=True)  # fmt: skip
TECHNOLOGIES: Final = _list(
    "allowed technologies", "4.2", {0x01: "stripe", 0x02: "chip", 0x04: "contactless"}, bits=True
)
TIP_ALLOWED: Final = _list("tip", "4.2", {0x01: "a tip may be booked later"}, bits=True)
END_OF_DAY: Final = _list("kind of end of day", "4.2", {0x00: "normal", 0x01: "forced", 0x02: "automatic"})
DIAGNOSIS: Final = _list("kind of diagnosis", "4.2", {
    0x01: "line", 0x02: "extended", 0x03: "configuration", 0x04: "EMV configuration", 0x05: "ep2 configuration",
})  # fmt: skip
REPEAT: Final = _list("what to repeat", "4.2", {
    0x01: "last receipt", 0x02: "merchant copies", 0x03: "customer copies", 0x04: "end of day", 0x05: "journal",
    0x06: "reconciliation",
})  # fmt: skip
BARCODE: Final = _list("kind of barcode", "4.2", {
    0x00: "UPC-A", 0x01: "UPC-E", 0x02: "EAN-13", 0x03: "EAN-8", 0x04: "Code 39", 0x05: "ITF", 0x06: "Codabar",
    0x07: "Code 128", 0x08: "EAN-128", 0x09: "QR, level L", 0x0A: "QR, level M", 0x0B: "QR, level Q",
    0x0C: "QR, level H",
})  # fmt: skip
CHARSET: Final = _list("character set", "4.5", {
    0x00: "ASCII", **{n: f"ISO 8859-{n}" for n in (*range(1, 12), *range(13, 17))}, 0xFE: "UTF-8", 0xFF: "CP437",
})  # fmt: skip
MENU_TYPE: Final = _list("kind of menu", "4.2", {0x01: "choose one"})
MENU_CONTEXT: Final = _list("what a menu is about", "4.2", {
    0x01: "other", 0x02: "application selection", 0x03: "language selection",
})  # fmt: skip
MENU_TARGET: Final = _list("whose display", "4.2", {0x01: "merchant's", 0x02: "customer's"})
INPUT_MODE: Final = _list("kind of input", "4.2", {0x00: "text", 0x01: "number", 0x02: "amount"})
DEVICE_STATE: Final = _list("state of the device", "4.2", {
    0x00: "ready", 0x01: "initialisation needed", 0x02: "no keys", 0x03: "tampered",
})  # fmt: skip
CARD_ERROR: Final = _list("card read error", "4.2", {
    0x01: "transmission", 0x02: "protocol", 0x03: "time-out", 0x04: "collision", 0x05: "not on the whitelist",
    0xFF: "other",
})  # fmt: skip
AGE: Final = _list("age check", "4.2", {
    0x00: "not reached", 0x01: "reached", 0x02: "card cannot tell", 0x03: "terminal cannot tell",
})  # fmt: skip
LOCKS: Final = _list("locks", "4.2", {
    0x0080: "end of day", 0x0040: "initialisation", 0x0020: "diagnosis", 0x0010: "service", 0x0008: "out of order",
    0x0004: "printer", 0x0002: "start-up needed", 0x0001: "secure module changed", 0x8000: "log defective",
    0x4000: "no card reader", 0x2000: "card still in", 0x1000: "secure link", 0x0800: "activation needed",
    0x0400: "battery low", 0x0200: "contactless reader", 0x0100: "MDB",
}, bits=True)  # fmt: skip
PREPAID_MODE: Final = _list("how prepaid credit is paid", "2.2", {
    0x01: "by card", 0x02: "in cash", 0x03: "card already paid",
})  # fmt: skip
LANGUAGE: Final = _list("display language", "2.2", {
    0x00: "German", 0x01: "English", 0x02: "French", 0x03: "Italian", 0x04: "Hungarian", 0x05: "Slovene",
    0x06: "Spanish", 0x07: "Czech", 0x08: "Swedish", 0x09: "Dutch", 0x0A: "Polish", 0x0B: "Slovak", 0x0C: "Danish",
    0x0D: "Greek", 0x0E: "Portuguese", 0x0F: "Lithuanian",
})  # fmt: skip
BAUD: Final = _list("baud rate", "2.2", {0x00: "9600", 0x01: "19200", 0x06: "57600", 0x07: "115200"})
PROTOCOL: Final = _list("protocol", "2.2", {0x01: "T=1", 0x02: "serial IFSF"})
PIN_ALGORITHM: Final = _list("PIN algorithm", "3.2", {
    0x00: "Hectronic", 0x01: "Venture", 0x02: "UTA", 0x03: "BICA", 0x04: "Proeda", 0x05: "Wayne Dresser",
    0x06: "Shell", 0x07: "LeasePlan", 0x08: "DKV classic", 0x09: "Huth", 0x0A: "LOMO", 0x0B: "frei&flott",
    0x13: "BICA 2", 0x14: "DataStandards CH", 0x24: "ESSO MK2", 0x25: "EuroShell", 0x38: "BFT",
    0x46: "DKV Selection", 0x56: "DEA/DEKRA", 0x57: "DUKPT",
})  # fmt: skip
DUKPT_KEY: Final = _list("DUKPT key", "3.2", {
    0x00: "Swiss server", 0x01: "OASE", 0x02: "oil company", 0x03: "Ratio",
})  # fmt: skip
CARD_OUTPUT: Final = _list("card output", "3.2", {0x00: "to the customer", 0x01: "inwards", 0x02: "park"})
KEYS: Final = _list("keys", "2.9", {
    0x0D: "OK", 0x18: "C", 0x1B: "STOP", 0x46: "F", 0x55: "up", 0x44: "down", 0x31: "F1", 0x32: "F2", 0x33: "F3",
    0x34: "F4", 0x6C: "timed out", 0xDC: "card inserted",
})  # fmt: skip

IMAGE_TYPE: Final = _list("kind of image", "2.9", {
    0x00: "unknown", 0x01: "gif", 0x02: "jpeg", 0x03: "png", 0x04: "tiff", 0x05: "icon", 0x06: "webp", 0x07: "pdf",
})  # fmt: skip
IMAGE_ENCODING: Final = _list("encoding of an image", "2.9", {0x00: "unknown", 0x01: "none", 0x02: "base64"})
CARD_READER: Final = _list("card reader", "3.2", {0x00: "activate", 0xFF: "deactivate"})
DIALOG: Final = _list("dialog control", "2.8", {0x01: "the terminal shows its own prompts"}, bits=True)
DISPLAY_DEVICE: Final = _list("display", "2.9", {0x00: "all", 0x01: "external", 0x02: "internal"})
CARD_DATA: Final = _list("card data and swipe reader", "4.2", {
    0x80: "hand over the data of a card that cannot be used", 0x40: "activate the swipe reader",
}, bits=True)  # fmt: skip
LIST_RULE: Final = _list("rule of a list of cards", "4.2", {0x00: "accept", 0x01: "deny"})
CARD_ORIGIN: Final = _list("where card data came from", "4.2", {0x00: "stripe", 0x01: "chip", 0x02: "barcode"})
CARD_KIND: Final = _list("kind of contactless card", "4.2", {0x00: "ISO 7816-4", 0x01: "MIFARE", 0x02: "FeliCa"})
ADDED_SERVICE: Final = _list("value added service", "4.2", {
    0x01: "read", 0x02: "write", 0x04: "redeem", 0x08: "delete",
}, bits=True)  # fmt: skip


def payment_type_meaning(value: int, code: int) -> str:
    """BMP 19, which means something else in each message. Source: fact sheet 2.7 (06 0F), 2.8.

    Args:
        code: of the message that it stands in.
    """
    match code:
        case 0x060F:
            return REGISTRATION_STATUS.explain(value) or "nothing to do"
        case 0x040F:
            return PAID_HOW.explain(value & 0xF0)
        case 0x06C0:
            return READ_WHAT.explain(value & 0xF0) or "magnetic stripe"
    return ", ".join(filter(None, (PAYMENT_TYPE.explain(value & 0xF0), PAYMENT_TYPE_BITS.explain(value))))


def attribute_meaning(value: int) -> str:
    """How a printed line looks. Source: fact sheet 2.10."""
    if value & 0x80:
        return {0xFF: "line feeds", 0x80: "reserved"}.get(value, "end of the receipt")
    indent = f"indented by {value & 0x0F}" if value & 0x0F else ""
    return ", ".join(filter(None, (PRINT_ATTRIBUTE.explain(value), indent))) or "normal"


_NO_SERVICE_MENU: Final = "service menu not on the function key"
SERVICE_BITS: Final[Mapping[int, CodeList]] = MappingProxyType({
    0x0600: _list("service byte", "2.6", {
        0x01: _NO_SERVICE_MENU, 0x02: "capitals for some texts",
    }, bits=True),
    0x0501: _list("service byte", "2.6", {
        0x01: _NO_SERVICE_MENU, 0x02: "do not send the software version", 0x04: "send more status in TLV",
    }, bits=True),
    0x0620: _list("service byte", "2.6", {
        0x01: "send the status information", 0x02: "do not print",
    }, bits=True),
    0x0801: _list("service byte", "2.6", {0x01: _NO_SERVICE_MENU}, bits=True),
})  # fmt: skip
"""BMP 03, by command."""
BITMAP_LISTS: Final[Mapping[int, CodeList]] = MappingProxyType({
    0x72: IMAGE_TYPE, 0x73: IMAGE_ENCODING, 0xD0: PIN_ALGORITHM, 0xD2: CARD_OUTPUT, 0xD3: DUKPT_KEY,
    0xFA: CARD_READER, 0xFC: DIALOG, 0xFD: DISPLAY_DEVICE,
})  # fmt: skip
"""By BMP. 19 depends on the message (`payment_type_meaning`); 27 and 8A have tables of their own."""
TAG_LISTS: Final[Mapping[int, CodeList]] = MappingProxyType({
    0x14: CHARSET, 0x16: MENU_TYPE, 0x17: MENU_CONTEXT, 0x18: MENU_TARGET, 0x1B: DIAGNOSIS,
    0x40: EMV_CONFIGURATION, 0x1F01: REPEAT, 0x1F04: RECEIPT_PARAMETERS, 0x1F06: RESERVATION_TYPE,
    0x1F07: RECEIPT_TYPE, 0x1F10: CARDHOLDER_CHECK, 0x1F11: ONLINE, 0x1F12: TECHNOLOGY, 0x1F13: WANTED_JOB,
    0x1F15: CARD_READING, 0x1F1D: AMOUNT_KIND, 0x1F26: END_OF_DAY, 0x1F2E: BARCODE, 0x1F37: RECEIPT_INFORMATION,
    0x1F38: INPUT_MODE, 0x1F3B: TIP_ALLOWED, 0x1F43: DEVICE_STATE, 0x1F47: CARD_ERROR, 0x1F55: LOCKS,
    0x1F60: TECHNOLOGIES, 0x1F6C: AGE, 0x1F05: CARD_DATA, 0x1F19: LIST_RULE, 0x1F2D: CARD_ORIGIN, 0x1F4C: CARD_KIND,
    0x1F65: ADDED_SERVICE,
})  # fmt: skip
"""By tag."""
HEAD_LISTS: Final[Mapping[tuple[int, str], CodeList]] = MappingProxyType({
    (0x0600, "config"): CONFIG, (0x0609, "prepaid_mode"): PREPAID_MODE, (0x0830, "language"): LANGUAGE,
    (0x0840, "baud"): BAUD, (0x0802, "protocol"): PROTOCOL,
})  # fmt: skip
"""By command and positional field."""
LISTS: Final[tuple[CodeList, ...]] = tuple({
    entry.name: entry
    for entry in (
        *BITMAP_LISTS.values(), *TAG_LISTS.values(), *HEAD_LISTS.values(), REGISTRATION_STATUS, KEYS,
        PAYMENT_TYPE, PAYMENT_TYPE_BITS, PAID_HOW, READ_WHAT, PRINT_ATTRIBUTE,
    )
}.values())  # fmt: skip
"""Every list, once."""
