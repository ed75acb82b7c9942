"""ZVT in words, for `zahlwerk decode zvt`: every byte of an APDU named, spelled out, and free of card data. Pure.

Total: any bytes give an explanation; what cannot be read says why and where.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from zahlwerk.codec.explanation import ExplainedField, Explanation
from zahlwerk.currency import CURRENCIES
from zahlwerk.interfaces.zvt._lists import BITMAP_LISTS, HEAD_LISTS, KEYS, SERVICE_BITS, TAG_LISTS, CodeList
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
TEXT_MAX: Final = 400


class Explainer:
    """Explains one conversation, message after message: what an answer means depends on what was asked."""

    def __init__(self, *, language: str = "en", charset: Charset = AUTO) -> None:
        self._language = language
        self._charset = charset
        self._command = 0

    def explain(self, data: bytes) -> tuple[Explanation, ...]:
        """One line: APDUs one after the other, or serial frames with what they carry. Never raises."""
        if data[:2] == b"\x10\x02" or data in {b"\x06", b"\x15"}:
            return tuple(self._frames(data))
        apdus = ApduDecoder()
        found = apdus.feed(data)
        explained = [self._apdu(apdu) for apdu in found]
        if apdus.pending_bytes:
            reason = f"the APDU is cut: {apdus.pending_bytes} bytes, more were announced"
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
        name = row.title if row is not None else _answer_name(code, self._language)
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
            yield ExplainedField(
                node.key if node.part is not Part.HEAD else "", node.name, _shown(value), _hex(raw),
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
            case "currency" if isinstance(value, int):
                return _NUMBERS.get(value, "no currency")
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

    def _sentence(self, *parts: Phrase) -> str:
        return " ".join(text for part in parts if (text := part.of(self._language)))


def _answer_name(code: int, language: str) -> str:
    if code in {0x8000, 0x8400}:
        return "Positive answer"
    return f"Negative answer: {result_row(code & 0xFF).staff.of(language)}" if code >> 8 == 0x84 else "Answer"


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
