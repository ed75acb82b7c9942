"""Receipts out of print lines (06 D1) and print blocks (06 D3): where each ends, and whom it is for. Pure.

A receipt ends at its last-line attribute, when the receipt type changes, or at the end of the procedure: terminals
forget the first. Its kind is what the terminal told; else what its headline says; else the order of the copies.

Source: fact sheet 2.10 (attributes), 2.5 (06 D1), 4.2 (1F07, 1F2E, 1F2F), 6.3 (steps 6 and 7), 8 (pitfalls 15 to 17).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from zahlwerk.carddata import redact
from zahlwerk.interfaces.zvt.messages import Message, Tlv, Value, find_all, first
from zahlwerk.payment import Receipt, ReceiptKind

__all__ = ["CHARACTERS_MAX", "PAYMENT_COMMANDS", "RECEIPTS_MAX", "ReceiptCollector", "kind_in"]

PRINT_LINE: Final = 0x06D1
PRINT_BLOCK: Final = 0x06D3

# LIMIT: one APDU carries 64 kB; the longest receipts that were seen have 1.7 kB (1.1).
CHARACTERS_MAX: Final = 65_536
# LIMIT: a procedure prints two copies; a reprint of a day's receipts, or a service menu, more.
RECEIPTS_MAX: Final = 20
CUT: Final = "[...]"
"""Stands where a receipt was longer than `CHARACTERS_MAX`."""

LINE_FEEDS: Final = 0xFF
LAST_LINE: Final = 0x80
RESERVED: Final = 0x80
CENTRED: Final = 0x40
INDENT: Final = 0x0F
"""Bits of the print attribute. Source: fact sheet 2.10."""

_LINE: Final = 0x07
_ATTRIBUTE: Final = 0x09
_LINES: Final = 0x25
_BARCODE: Final = 0xE3
_RECEIPT_TYPE: Final = 0x1F07
_BARCODE_TYPE: Final = 0x1F2E
_BARCODE_CONTENT: Final = 0x1F2F

_TOLD: Final[Mapping[int, ReceiptKind]] = MappingProxyType({1: ReceiptKind.MERCHANT, 2: ReceiptKind.CUSTOMER})
"""Tag 1F07; 3 is administration, of which the command knows more. Source: fact sheet 4.2."""

PAYMENT_COMMANDS: Final = frozenset({
    0x0601, 0x0604, 0x0605, 0x0609, 0x060A, 0x060C, 0x0612, 0x0620, 0x0621, 0x0622, 0x0623, 0x0624, 0x0625, 0x0626,
    0x0630, 0x0631, 0x06E6,
})  # fmt: skip
"""Commands whose receipts come as copies for merchant and customer. Source: fact sheet 2.7, config bit 02, and 2.2."""

_BY_COMMAND: Final[Mapping[int, ReceiptKind]] = MappingProxyType(
    {
        0x0650: ReceiptKind.END_OF_DAY,
        0x0693: ReceiptKind.INITIALISATION,
        0x061A: ReceiptKind.CONFIGURATION,
        0x0670: ReceiptKind.CONFIGURATION,
        0x0679: ReceiptKind.CONFIGURATION,
    }
)
"""Source: fact sheet 2.2."""

_HEADLINES: Final[Mapping[ReceiptKind, tuple[str, ...]]] = MappingProxyType({
    ReceiptKind.MERCHANT: (
        "handlerbeleg", "haendlerbeleg", "belegfurdenhandler", "belegfuerdenhaendler", "handlerkopie", "haendlerkopie",
        "copiecommercant", "exemplairecommercant", "ticketcommercant", "copiemarchand", "recucommercant",
        "copiaesercente", "copiaperlesercente", "copianegoziante", "copiacommerciante", "ricevutaesercente",
        "scontrinoesercente",
        "merchantcopy", "merchantscopy", "merchantreceipt", "retailercopy",
    ),
    ReceiptKind.CUSTOMER: (
        "kundenbeleg", "belegfurdenkunden", "belegfuerdenkunden", "kundenkopie",
        "copieclient", "exemplaireclient", "ticketclient", "recuclient",
        "copiacliente", "copiaperilcliente", "copiaclienti", "ricevutacliente", "scontrinocliente",
        "customercopy", "customerscopy", "customerreceipt", "cardholdercopy", "cardholderscopy", "cardholderreceipt",
        "clientcopy",
    ),
})  # fmt: skip
"""What stands above the copies, in four languages; letters only, without accents. Our own list."""

_BARCODES: Final[Mapping[int, str]] = MappingProxyType({
    0x00: "UPC-A", 0x01: "UPC-E", 0x02: "EAN-13", 0x03: "EAN-8", 0x04: "Code 39", 0x05: "ITF", 0x06: "Codabar",
    0x07: "Code 128", 0x08: "EAN-128", 0x09: "QR", 0x0A: "QR", 0x0B: "QR", 0x0C: "QR",
})  # fmt: skip
"""Tag 1F2E. Source: fact sheet 4.2."""
_IN_DIGITS: Final = frozenset({0x00, 0x01, 0x02, 0x03, 0x05, 0x06})
"""Barcodes whose content is BCD, padded with F."""

# Texts never hold control characters (2.10); a till's screen or printer would take them as commands.
_CONTROLS: Final = dict.fromkeys((*range(0x20), 0x7F, *range(0x80, 0xA0))) | {0x09: " "}


def kind_in(text: str) -> ReceiptKind | None:
    """Whose copy a receipt says it is; None if it does not say, or says both."""
    lines = [_letters(line) for line in text.splitlines()]
    for matches in (str.__eq__, str.__contains__):
        found = {
            kind for kind, words in _HEADLINES.items() if any(matches(line, word) for line in lines for word in words)
        }
        if len(found) == 1:
            return found.pop()
        if found:
            return None
    return None


def _letters(line: str) -> str:
    """`K-U-N-D-E-N-B-E-L-E-G` and `*** Kundenbeleg ***` are the same headline."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", line.casefold()) if letter.isalpha())


class ReceiptCollector:
    """Puts the receipts of one procedure together.

    Args:
        command: the procedure that prints: 0x0601 for a payment.
        customer_first: the order of copies that do not say whose they are (1F04 bit 08).
        width: characters in a line, to place centred lines; None leaves every line where it is.
    """

    def __init__(self, command: int, *, customer_first: bool = False, width: int | None = None) -> None:
        order = (ReceiptKind.MERCHANT, ReceiptKind.CUSTOMER)
        self._order = tuple(reversed(order)) if customer_first else order
        self._command = command
        self._width = width
        self._lines: list[str] = []
        self._room = CHARACTERS_MAX
        self._cut = False
        self._told: int | None = None
        self._given: list[ReceiptKind] = []
        self._done: list[Receipt] = []
        self.dropped = 0
        """Receipts beyond `RECEIPTS_MAX`, which were thrown away."""

    def feed(self, message: Message) -> list[Receipt]:
        """Take a 06 D1 or 06 D3; the receipts that it completed. Anything else is ignored."""
        if message.code == PRINT_LINE:
            self._line(message)
        elif message.code == PRINT_BLOCK:
            self._block(message.tlv or ())
        return self._take()

    def finish(self) -> list[Receipt]:
        """The procedure has ended: what is left is a receipt, too (pitfall 15)."""
        self._end()
        return self._take()

    def _take(self) -> list[Receipt]:
        done, self._done = self._done, []
        return done

    # -- reading

    def _line(self, message: Message) -> None:
        attribute = message.head_number("attribute")
        if attribute is None:
            return
        if attribute == LINE_FEEDS:
            count = message.head_number("count")
            self._add([""] * (1 if count is None else count))
            return
        # QUIRK: card complete lets a TLV container (06) follow the text (2.5).
        text = message.head_text("text").split("\x06", 1)[0]
        if not _is_last(attribute):
            self._add([self._placed(text, attribute)])
            return
        if text:
            self._add([_clean(text)])
        self._end()

    def _block(self, tlvs: tuple[Tlv, ...]) -> None:
        types = find_all(tlvs, _RECEIPT_TYPE)
        if len(types) == 1:
            self._told_type(types[0].value)
        attribute = 0
        pieces = _flat(tlvs)
        for index, piece in enumerate(pieces):
            if piece.tag == _RECEIPT_TYPE:
                self._told_type(piece.value)
            elif piece.tag == _BARCODE:
                self._add([_barcode(piece)])
            elif piece.tag == _LINE:
                text = piece.value if isinstance(piece.value, str) else ""
                if not _is_last(attribute):
                    self._add([self._placed(text, attribute)])
                    continue
                self._add([_clean(text)])
                attribute = 0
                self._end()
            elif piece.tag == _ATTRIBUTE and isinstance(piece.value, int):
                if piece.value == LINE_FEEDS:
                    self._add([""])
                    continue
                attribute = piece.value
                # An attribute holds for the lines that follow. One line after it is the last line of this receipt;
                # none ends it here, and with more of them a new receipt was glued on.
                if _is_last(attribute) and _lines_after(pieces, index) != 1:
                    attribute = 0
                    self._end()

    def _told_type(self, value: object) -> None:
        if not isinstance(value, int):
            return
        if self._told is not None and self._told != value and self._lines:
            self._end()
        self._told = value

    # -- writing

    def _placed(self, text: str, attribute: int) -> str:
        clean = _clean(text)
        if self._width is None or not clean:
            return clean
        if attribute == RESERVED:
            return clean
        if attribute & CENTRED:
            return clean.strip().center(self._width).rstrip() if len(clean) <= self._width else clean
        return " " * (attribute & INDENT) + clean

    def _add(self, lines: Iterable[str]) -> None:
        for line in lines:
            if self._cut:
                return
            if len(line) + 1 > self._room:
                self._cut = True
                self._lines.append(CUT)
                return
            self._room -= len(line) + 1
            self._lines.append(line)

    def _end(self) -> None:
        text = redact("\n".join(self._lines))
        told = self._told
        self._lines, self._room, self._cut, self._told = [], CHARACTERS_MAX, False, None
        if not text.strip():
            return  # paper was fed, nothing was printed
        if len(self._given) >= RECEIPTS_MAX:
            self.dropped += 1
            return
        kind = self._kind(told, text)
        self._given.append(kind)
        self._done.append(Receipt(kind=kind, text=text))

    def _kind(self, told: int | None, text: str) -> ReceiptKind:
        if told is not None and told in _TOLD:
            return _TOLD[told]
        if told is not None or self._command not in PAYMENT_COMMANDS:
            return _BY_COMMAND.get(self._command, ReceiptKind.OTHER)
        if (said := kind_in(text)) is not None:
            return said
        return next((kind for kind in self._order if kind not in self._given), ReceiptKind.OTHER)


def _is_last(attribute: int) -> bool:
    return bool(attribute & LAST_LINE) and attribute not in {RESERVED, LINE_FEEDS}


def _flat(tlvs: tuple[Tlv, ...]) -> list[Tlv]:
    """What is printed and the receipt types between, in order, whether inside 25 or beside it (4.1)."""
    pieces: list[Tlv] = []
    for tlv in tlvs:
        if tlv.tag == _LINES:
            pieces += _flat(tlv.children)
        elif tlv.tag in {_LINE, _ATTRIBUTE, _BARCODE, _RECEIPT_TYPE}:
            pieces.append(tlv)
    if sum(piece.tag == _RECEIPT_TYPE for piece in pieces) == 1:
        # A single one speaks for the whole block, wherever it stands.
        pieces = [piece for piece in pieces if piece.tag != _RECEIPT_TYPE]
    return pieces


def _lines_after(pieces: list[Tlv], index: int) -> int:
    """How many lines an attribute holds for."""
    count = 0
    for piece in pieces[index + 1 :]:
        if piece.tag != _LINE:
            break
        count += 1
        if count > 1:
            break
    return count


def _clean(text: str) -> str:
    return text.translate(_CONTROLS)


def _barcode(container: Tlv) -> str:
    kind = first(container.children, _BARCODE_TYPE)
    name = _BARCODES.get(kind, "barcode") if isinstance(kind, int) else "barcode"
    content = first(container.children, _BARCODE_CONTENT)
    return f"[{name}: {_clean(_content(kind, content))}]"


def _content(kind: Value | None, content: Value | None) -> str:
    if content is None:
        return ""
    if not isinstance(content, bytes):
        return str(content)
    if kind in _IN_DIGITS:
        return content.hex().upper().rstrip("F")
    if kind == 0x07:
        return content.hex(" ").upper()  # values of Code 128, not characters
    return content.decode("utf-8", "replace")
