"""Receipts for the register's printer: text blocks (06 D3) or lines (06 D1). Pure. Source: fact sheet 2.10, 6.2."""

from __future__ import annotations

from typing import Final

from zahlwerk.interfaces.zvt.messages import Message, Tlv
from zahlwerk.interfaces.zvt.registration import Config
from zahlwerk.interfaces.zvt.terminal import Registered
from zahlwerk.payment import Receipt, ReceiptKind

__all__ = ["print_messages", "receipts_for_terminal"]

PRINT_LINE: Final = 0x06D1
PRINT_BLOCK: Final = 0x06D3
LAST_LINE: Final = 0x81
PLAIN: Final = 0x00
# Size of an APDU where the register names no limit: well within what old ones take.
APDU_BYTES: Final = 1_000
# LIMIT: the smallest announced size that is taken seriously.
APDU_BYTES_MIN: Final = 64
# LIMIT: characters of a line; printers have 20 to 80.
LINE_MAX: Final = 200
# Control field, length and attribute; control field, length, BMP 06, 1F07, 25, 09 and a sequence id; a tag's own.
LINE_OVERHEAD: Final = 6
BLOCK_OVERHEAD: Final = 32
TAG_OVERHEAD: Final = 4
BYTES_A_CHARACTER: Final = 4

_TYPES: Final = {ReceiptKind.MERCHANT: 0x01, ReceiptKind.CUSTOMER: 0x02}
ADMINISTRATION: Final = 0x03


def print_messages(receipts: tuple[Receipt, ...], registered: Registered) -> tuple[Message, ...]:
    """What to send for some receipts; nothing where the register does not print for us."""
    messages: list[Message] = []
    for receipt in _ordered(receipts, registered):
        if not registered.wants(Config.LINES) or not registered.wants(_bit_of(receipt)) or not receipt.text:
            continue
        lines = [line[:LINE_MAX] for line in receipt.text.split("\n")]
        if registered.tlv and registered.takes(PRINT_BLOCK):
            messages += _blocks(lines, _TYPES.get(receipt.kind, ADMINISTRATION), registered)
        else:
            messages += _lines(lines, registered)
    return tuple(messages)


def receipts_for_terminal(receipts: tuple[Receipt, ...], registered: Registered) -> tuple[Receipt, ...]:
    """Those that the register leaves to the terminal's own printer (table of fact sheet 2.7)."""
    return tuple(
        receipt for receipt in _ordered(receipts, registered) if receipt.text and not registered.wants(_bit_of(receipt))
    )


def _bit_of(receipt: Receipt) -> Config:
    return Config.PAYMENT_RECEIPTS if receipt.kind in _TYPES else Config.ADMINISTRATION_RECEIPTS


def _ordered(receipts: tuple[Receipt, ...], registered: Registered) -> list[Receipt]:
    """The merchant's copy first, unless the register wants the customer's first (tag 1F04)."""
    first = ReceiptKind.CUSTOMER if registered.receipt_parameters & 0x08 else ReceiptKind.MERCHANT
    return sorted(receipts, key=lambda receipt: receipt.kind is not first)


def _lines(lines: list[str], registered: Registered) -> list[Message]:
    room = _size_max(registered) - LINE_OVERHEAD
    pieces = [piece for line in lines for piece in _pieces(line, room, registered)]
    messages = [Message(code=PRINT_LINE, head={"attribute": PLAIN, "text": piece}) for piece in pieces]
    return [*messages, Message(code=PRINT_LINE, head={"attribute": LAST_LINE, "text": ""})]


def _blocks(lines: list[str], kind: int, registered: Registered) -> list[Message]:
    room = _size_max(registered) - BLOCK_OVERHEAD
    blocks: list[list[Tlv]] = [[]]
    used = 0
    for line in lines:
        for piece in _pieces(line, room - TAG_OVERHEAD, registered):
            size = len(registered.charset.encode(piece)) + TAG_OVERHEAD
            if used + size > room and blocks[-1]:
                blocks.append([])
                used = 0
            blocks[-1].append(Tlv(0x07, piece))
            used += size
    blocks[-1].append(Tlv(0x09, LAST_LINE))
    return [Message(code=PRINT_BLOCK, tlv=(Tlv(0x1F07, kind), Tlv(0x25, tuple(block)))) for block in blocks]


def _size_max(registered: Registered) -> int:
    """Bytes of one APDU: what the register announced (1A), within reason."""
    return max(APDU_BYTES_MIN, min(registered.apdu_max or APDU_BYTES, APDU_BYTES))


def _pieces(line: str, room: int, registered: Registered) -> list[str]:
    """A line, or, where its bytes are more than fit, as many as it takes."""
    if len(registered.charset.encode(line)) <= room:
        return [line]
    step = max(1, room // BYTES_A_CHARACTER)
    return [line[start : start + step] for start in range(0, len(line), step)]
