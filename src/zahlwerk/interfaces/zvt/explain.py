"""ZVT in words, for `zahlwerk decode zvt`: every byte of an APDU named, spelled out, and free of card data. Pure.

Total: any bytes give an explanation; what cannot be read says why and where.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from zahlwerk.codec.explanation import ExplainedField, Explanation
from zahlwerk.currency import CURRENCIES
from zahlwerk.interfaces.zvt._lists import (
    BITMAP_LISTS,
    HEAD_LISTS,
    KEYS,
    SERVICE_BITS,
    TAG_LISTS,
    CodeList,
    attribute_meaning,
    payment_type_meaning,
)
from zahlwerk.interfaces.zvt._rows import Phrase
from zahlwerk.interfaces.zvt.charsets import AUTO, Charset
from zahlwerk.interfaces.zvt.dictionary import CARDS, COMMANDS, intermediate_row, result_row, status_row
from zahlwerk.interfaces.zvt.framing import ApduDecoder
from zahlwerk.interfaces.zvt.information import batch_totals
from zahlwerk.interfaces.zvt.masking import mask_apdu
from zahlwerk.interfaces.zvt.serial_frames import BadFrame, Control, Frame, FrameDecoder
from zahlwerk.interfaces.zvt.values import reader
from zahlwerk.interfaces.zvt.walk import Node, Part, walk

__all__ = ["Explainer"]

_NUMBERS: Final = {item.number: item.code for item in CURRENCIES.values()}
_ANSWER: Final = (0x80, 0x84)
_POSITIVE: Final = (0x8000, 0x8400)
REGISTRATION: Final = 0x0600
READ_CARD: Final = 0x06C0
STATUS_INFORMATION: Final = 0x040F
COMPLETION: Final = 0x060F
REGISTRATION_REFUSED: Final = 0x841E
_BMP_19: Final = {COMPLETION: "status", READ_CARD: "card_type"}
"""BMP 19 has three names. Source: fact sheet 3.2."""
LINE_FEEDS: Final = 0xFF
LAST_LINE: Final = 0x80
TEXT_MAX: Final = 400


class Explainer:
    """Explains one conversation, message after message: what an answer means depends on what was asked."""

    def __init__(self, *, language: str = "en", charset: Charset = AUTO) -> None:
        self._language = language
        self._charset = charset
        self._command = 0
        self._asks_to_decide = False
        """The message before was a result (04 0F): what answers it is a decision."""

    def explain(self, data: bytes) -> tuple[Explanation, ...]:
        """One line: APDUs one after the other, or serial frames with what they carry. Never raises."""
        if data[:2] == b"\x10\x02" or data in {b"\x06", b"\x15"}:
            return tuple(self._frames(data))
        apdus = ApduDecoder()
        found = apdus.feed(data)
        explained = [self._apdu(apdu) for apdu in found]
        if apdus.pending_bytes:
            reason = f"the APDU is cut: {_announced(data[len(data) - apdus.pending_bytes :])}"
            explained.append(Explanation(ok=False, error=reason, position=len(data)))
        return tuple(explained)

    def _frames(self, data: bytes) -> Iterator[Explanation]:
        decoder = FrameDecoder()
        items = [*decoder.feed(data), *filter(None, (decoder.quiet(),))]
        for item in items:
            match item:
                case Frame():
                    yield self._apdu(item.apdu)
                case BadFrame(reason, position):
                    yield Explanation(ok=False, error=f"serial frame: {reason}", position=position)
                case Control.ACK:
                    yield Explanation(ok=True, name="ACK", code="06")
                case Control.NAK:
                    yield Explanation(ok=True, name="NAK", code="15")

    def _apdu(self, apdu: bytes) -> Explanation:
        code = int.from_bytes(apdu[:2], "big")
        answers = self._command
        walked = walk(apdu, answers=answers)
        if walked.problem:
            return Explanation(ok=False, error=walked.problem, position=walked.position)
        row = COMMANDS.get(code)
        is_answer = code >> 8 in _ANSWER
        if row is None and not is_answer:
            return Explanation(ok=False, error=f"there is no command {_hex(apdu[:2])}", position=0)
        masked = mask_apdu(apdu, answers=answers)
        fields = tuple(self._fields(code, masked, walked.nodes))
        if row is not None and code not in {0x060F, 0x061E, 0x04FF, 0x040F, 0x06D1, 0x06D3}:
            self._command = code
        name = row.title if row is not None else self._answer_name(code, apdu)
        self._asks_to_decide = code == STATUS_INFORMATION
        return Explanation(ok=True, name=name, code=_hex(apdu[:2]), fields=fields)

    def _fields(self, code: int, apdu: bytes, nodes: tuple[Node, ...]) -> Iterator[ExplainedField]:
        for node in nodes:
            if node.part is Part.CODE:
                continue
            raw = apdu[node.value_start : node.end]
            if node.part is Part.LENGTH:
                yield ExplainedField("", "length", str(len(apdu) - node.end), _hex(raw), position=node.start)
                continue
            if node.part is Part.CONTAINER:
                yield ExplainedField(
                    node.key,
                    node.name,
                    "",
                    _hex(apdu[node.start : node.value_start]),
                    node.meaning,
                    node.start,
                    node.depth,
                )
                continue
            value = self._value(node, raw)
            name = _BMP_19.get(code, node.name) if node.name == "payment_type" else node.name
            yield ExplainedField(
                node.key if node.part is not Part.HEAD else "", name, _shown(value), _hex(raw),
                self._meaning(code, node, value), node.start, node.depth,
            )  # fmt: skip

    def _value(self, node: Node, raw: bytes) -> int | str | bytes:
        # Masked already: the reader only has to show what is left.
        if node.name == "password" or (node.secrecy.name == "SECRET"):
            return "*" * len(raw)
        return reader(node.form, node.secrecy, node.pad)(raw, self._charset)

    def _meaning(self, code: int, node: Node, value: int | str | bytes) -> str:
        special = self._special(code, node, value)
        if special or not isinstance(value, int):
            return special
        listed: CodeList | None = None
        if node.part is Part.TAG:
            listed = TAG_LISTS.get(int(node.key, 16))
        elif node.part is Part.FIELD:
            listed = SERVICE_BITS.get(code) if node.key == "03" else BITMAP_LISTS.get(int(node.key, 16))
        elif node.part is Part.HEAD:
            listed = HEAD_LISTS.get((code, node.name))
        return listed.explain(value) if listed is not None else ""

    def _special(self, code: int, node: Node, value: int | str | bytes) -> str:
        match node.name:
            case "result" if isinstance(value, int):
                row = result_row(value)
                return self._sentence(row.staff, row.next_step) + f" [{row.integrator}]"
            case "status" if isinstance(value, int) and code == 0x04FF:
                state = intermediate_row(value)
                return state.text.of(self._language) if state is not None else "not listed: show nothing, go on waiting"
            case "status" if isinstance(value, int):
                status = status_row(value)
                return self._sentence(status.text, status.remedy)
            case "payment_type" if isinstance(value, int):
                return payment_type_meaning(value, code)
            case "attribute" | "print_attribute" if isinstance(value, int):
                return attribute_meaning(value)
            case "currency" if isinstance(value, int):
                return _NUMBERS.get(value, "no currency")
            case "receipt_number" if value == b"\xff\xff":
                return "every open pre-authorisation"
            case "card_type" if isinstance(value, int):
                return CARDS[value].name if value in CARDS else ""
            case "amount" | "tip" | "cashback" if isinstance(value, int):
                return f"{value / 100:.2f} where the currency has two decimals"
            case "command" if isinstance(value, bytes):
                row_of = COMMANDS.get(int.from_bytes(value, "big"))
                return row_of.title if row_of is not None else ""
            case "input" if isinstance(value, bytes) and len(value) == 1:
                return KEYS.explain(value[0])
            case "totals" if isinstance(value, bytes):
                return _totals(value)
            case _:
                return ""

    def _answer_name(self, code: int, apdu: bytes) -> str:
        if code in _POSITIVE:
            return "Positive answer"
        if code >> 8 != 0x84:
            return "Answer"
        if code == REGISTRATION_REFUSED and apdu[2:3] != b"\0":
            return "Negative answer: the registration is refused"
        if self._asks_to_decide:
            return f"Answer to the result: {_DECISIONS.get(code, 'no, take it back')}"
        return f"Negative answer: {result_row(code & 0xFF).staff.of(self._language)}"

    def _sentence(self, *parts: Phrase) -> str:
        return " ".join(text for part in parts if (text := part.of(self._language)))


def _announced(rest: bytes) -> str:
    """How much is there, and how much should be. Source: fact sheet 1.1."""
    there = f"{len(rest)} byte{'' if len(rest) == 1 else 's'}"
    is_long = rest[2:3] == b"\xff"
    if len(rest) < 3 or (is_long and len(rest) < 5):
        return f"{there}, not even its length"
    announced = 5 + int.from_bytes(rest[3:5], "little") if is_long else 3 + rest[2]
    return f"{there} of {announced}"


_DECISIONS: Final = {0x849C: "ask again in 2 seconds", 0x849D: "only a part of the goods was issued"}
"""What a register says to a result besides yes and no. Source: fact sheet 2.4."""
_EXTRA: Final = {0x02: "the card that was read before", 0x04: "printer ready", 0x08: "a tip may be booked later"}
"""Low bits of a payment's BMP 19. Source: fact sheet 2.8."""


def _totals(raw: bytes) -> str:
    totals = batch_totals(raw)
    if totals is None:
        return "not readable"
    slots = (
        f"{one.brand or 'others'} {one.count} / {one.amount_minor / 100:.2f}" for one in totals.schemes if one.count
    )
    return f"receipts {totals.first_receipt} to {totals.last_receipt}: {', '.join(slots) or 'nothing'}"


def _shown(value: int | str | bytes) -> str:
    text = _hex(value) if isinstance(value, bytes) else str(value)
    return text if len(text) <= TEXT_MAX else f"{text[:TEXT_MAX]}…"


def _hex(raw: bytes) -> str:
    return raw.hex(" ").upper()
