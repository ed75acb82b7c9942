"""Receipts out of print lines and print blocks. Source: ZVT fact sheet 2.10, 6.3, 7.2, 7.8 to 7.10, 8 (pitfalls 15 to 17)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zahlwerk.errors import RemoteProtocolError
from zahlwerk.interfaces.zvt.codec import decode, encode_tlv
from zahlwerk.interfaces.zvt.framing import make_apdu
from zahlwerk.interfaces.zvt.messages import Message, Tlv
from zahlwerk.interfaces.zvt.receipts import CHARACTERS_MAX, RECEIPTS_MAX, ReceiptCollector, kind_in
from zahlwerk.payment import Receipt, ReceiptKind

PAYMENT = 0x0601
LAST = Tlv(0x09, 0x81)
MERCHANT, CUSTOMER = ReceiptKind.MERCHANT, ReceiptKind.CUSTOMER
# 7.2: the customer's copy of the payment.
BLOCK = (
    "06 D3 3D 06 3B 1F 07 01 02 25 35 09 01 40 07 0B 4B 75 6E 64 65 6E 62 65 6C 65 67 09 01 00 07 0F 53 75 6D 6D 65 20 45"
    "55 52 20 31 32 2C 35 30 07 00 07 0A 5A 61 68 6C 75 6E 67 20 6F 6B 09 01 81"
)


def _read(text: str) -> Message:
    message = decode(bytes.fromhex(text))
    assert message.problem == ""
    return message


def _line(attribute: int, text: str = "") -> Message:
    return decode(make_apdu(0x06D1, bytes([attribute]) + text.encode("cp437")))


def _feeds(count: int) -> Message:
    return decode(make_apdu(0x06D1, bytes([0xFF, count])))


def _block(*pieces: Tlv, kind: int | None = None) -> Message:
    tlvs = (*(() if kind is None else (Tlv(0x1F07, kind),)), Tlv(0x25, pieces))
    content = encode_tlv(tlvs)
    length = bytes([len(content)]) if len(content) < 128 else b"\x82" + len(content).to_bytes(2, "big")
    return decode(make_apdu(0x06D3, b"\x06" + length + content))


def _text(*lines: str) -> tuple[Tlv, ...]:
    return tuple(Tlv(0x07, line) for line in lines)


def _collect(
    messages: Sequence[Message],
    command: int = PAYMENT,
    *,
    customer_first: bool = False,
    width: int | None = None,
) -> list[Receipt]:
    collector = ReceiptCollector(command, customer_first=customer_first, width=width)
    got = [receipt for message in messages for receipt in collector.feed(message)]
    return [*got, *collector.finish()]


class TestBlocks:
    """06 D3."""

    def test_the_block_of_the_worked_payment(self) -> None:
        """Fact sheet 7.2."""
        assert _collect([_read(BLOCK)]) == [Receipt(CUSTOMER, "Kundenbeleg\nSumme EUR 12,50\n\nZahlung ok")]

    def test_it_is_handed_out_at_its_last_line(self) -> None:
        """Not only at the end of the procedure."""
        collector = ReceiptCollector(PAYMENT)

        assert len(collector.feed(_read(BLOCK))) == 1
        assert collector.finish() == []

    def test_umlauts_in_the_set_that_the_block_names(self) -> None:
        """Fact sheet 7.10: CP437, and ISO 8859-1 by tag 14."""
        blocks = (
            "06 D3 10 06 0E 25 0C 07 07 48 84 6E 64 6C 65 72 09 01 81",
            "06 D3 13 06 11 14 01 01 25 0C 07 07 48 E4 6E 64 6C 65 72 09 01 81",
        )

        assert [_collect([_read(block)])[0].text for block in blocks] == ["Händler", "Händler"]

    def test_one_receipt_over_several_blocks(self) -> None:
        """Only the last block has the last-line attribute (2.10)."""
        got = _collect([_block(*_text("a", "b"), kind=1), _block(*_text("c"), LAST, kind=1)])

        assert got == [Receipt(MERCHANT, "a\nb\nc")]

    def test_without_a_last_line_the_type_tells_receipts_apart(self) -> None:
        """Pitfall 15."""
        got = _collect([_block(*_text("m"), kind=1), _block(*_text("c"), kind=2)])

        assert got == [Receipt(MERCHANT, "m"), Receipt(CUSTOMER, "c")]

    def test_without_a_last_line_the_end_of_the_procedure_ends_it(self) -> None:
        """Pitfall 15."""
        assert _collect([_block(*_text("m"))]) == [Receipt(MERCHANT, "m")]

    def test_two_copies_glued_into_one_block_are_cut_apart(self) -> None:
        """Pitfall 15: 81 is a cut."""
        block = _block(*_text("a", "b"), LAST, *_text("a", "b"), LAST)

        assert _collect([block]) == [Receipt(MERCHANT, "a\nb"), Receipt(CUSTOMER, "a\nb")]

    def test_a_last_line_with_text_belongs_to_its_receipt(self) -> None:
        """An attribute applies to the lines after it (2.10)."""
        block = _block(*_text("a"), LAST, *_text("thanks"), Tlv(0x09, 0x00), *_text("b"), LAST)

        assert [receipt.text for receipt in _collect([block])] == ["a\nthanks", "b"]

    def test_two_types_in_one_block_are_two_receipts(self) -> None:
        """1F07 changes inside."""
        tlvs = (Tlv(0x1F07, 1), Tlv(0x25, _text("m")), Tlv(0x1F07, 2), Tlv(0x25, _text("c")))

        assert _collect([Message(code=0x06D3, tlv=tlvs)]) == [Receipt(MERCHANT, "m"), Receipt(CUSTOMER, "c")]

    def test_a_type_after_the_lines_counts_all_the_same(self) -> None:
        """The order of objects is free."""
        assert _collect([Message(code=0x06D3, tlv=(Tlv(0x25, _text("c")), Tlv(0x1F07, 2)))])[0].kind is CUSTOMER

    def test_lines_beside_the_container_are_read(self) -> None:
        """Objects are also met flat (4.1)."""
        assert _collect([Message(code=0x06D3, tlv=_text("a", "b"))])[0].text == "a\nb"

    def test_a_line_feed_is_one_empty_line(self) -> None:
        """FF as tag 09 has no count (2.10)."""
        assert _collect([_block(*_text("a"), Tlv(0x09, 0xFF), *_text("b"), LAST)])[0].text == "a\n\nb"

    @pytest.mark.parametrize(
        ("kind", "content", "line"),
        [
            (0x0A, b"https://example.org/r", "[QR: https://example.org/r]"),
            (0x02, bytes.fromhex("4006381333931F"), "[EAN-13: 4006381333931]"),
            (0x07, bytes([104, 33]), "[Code 128: 68 21]"),
            (0x77, b"x", "[barcode: x]"),
        ],
    )
    def test_barcodes_become_a_line(self, kind: int, content: bytes, line: str) -> None:
        """E3 between lines (4.3)."""
        barcode = Tlv(0xE3, (Tlv(0x1F2E, kind), Tlv(0x1F2F, content)))

        assert _collect([_block(*_text("a"), barcode, *_text("b"), LAST)])[0].text == f"a\n{line}\nb"


class TestLines:
    """06 D1."""

    def test_the_worked_lines(self) -> None:
        """Fact sheet 7.8: centred, wide, indented, empty, fed three times, and the end."""
        lines = (
            "06 D1 0B 40 42 65 6C 65 67 20 30 31 35 33", "06 D1 0C 60 53 75 6D 6D 65 20 31 32 2C 35 30",
            "06 D1 04 03 45 55 52", "06 D1 01 00", "06 D1 02 FF 03", "06 D1 01 81",
        )  # fmt: skip

        assert _collect([_read(line) for line in lines])[0].text == "Beleg 0153\nSumme 12,50\nEUR\n\n\n\n"

    def test_on_paper_of_a_width_lines_find_their_place(self) -> None:
        """Centred, indented; what fills the line stays as it is."""
        lines = [_line(0x40, "Beleg"), _line(0x03, "EUR"), _line(0x40, "x" * 12), _line(0x00, "left"), _line(0x81)]

        assert _collect(lines, width=11)[0].text == "   Beleg\n   EUR\nxxxxxxxxxxxx\nleft"

    @pytest.mark.parametrize("attribute", [0x81, 0x88, 0xC0, 0xFE])
    def test_every_attribute_with_the_high_bit_ends_a_receipt(self, attribute: int) -> None:
        """1xxx xxxx except 80 and FF (2.10)."""
        assert len(_collect([_line(0, "a"), _line(attribute, "b"), _line(0, "c")])) == 2

    def test_a_reserved_attribute_ends_nothing(self) -> None:
        """80 (2.10)."""
        assert _collect([_line(0, "a"), _line(0x80, "b"), _line(0, "c")])[0].text == "a\nb\nc"

    def test_paper_that_is_only_fed_is_no_receipt(self) -> None:
        """Terminals feed after the cut."""
        assert len(_collect([_line(0, "a"), _line(0x81), _feeds(4), _line(0x00)])) == 1

    def test_a_container_behind_the_text_is_left_out(self) -> None:
        """card complete appends one (2.5)."""
        message = decode(make_apdu(0x06D1, b"\x00Danke" + bytes.fromhex("06 04 1F 07 01 02")))

        assert _collect([message])[0].text == "Danke"

    def test_commands_for_printers_are_removed(self) -> None:
        """A till's screen and printer take texts only."""
        assert _collect([_line(0, "a\x1b[2Jb\x07c")])[0].text == "a[2Jbc"

    def test_other_messages_are_not_for_the_printer(self) -> None:
        """04 FF on the way."""
        assert _collect([_read("04 FF 01 0E")]) == []


class TestWhoseCopy:
    @pytest.mark.parametrize(
        ("line", "kind"),
        [
            ("*** Kundenbeleg ***", CUSTOMER),
            ("K-U-N-D-E-N-B-E-L-E-G", CUSTOMER),
            ("Händlerbeleg", MERCHANT),
            ("HAENDLERBELEG", MERCHANT),
            ("H ä n d l e r b e l e g", MERCHANT),
            ("-- Kundenbeleg, bitte aufbewahren", CUSTOMER),
            ("Copie client", CUSTOMER),
            ("COPIE COMMERÇANT", MERCHANT),
            ("Copia cliente", CUSTOMER),
            ("Copia esercente", MERCHANT),
            ("Cardholder copy", CUSTOMER),
            ("Merchant Copy", MERCHANT),
            ("Summe EUR 12,50", None),
        ],
    )
    def test_is_read_from_its_headline(self, line: str, kind: ReceiptKind | None) -> None:
        """In four languages, with and without accents and decoration."""
        assert kind_in(f"Bäckerei\n{line}\nDanke") is kind

    def test_a_headline_counts_more_than_a_footer(self) -> None:
        """ "Please keep the customer copy" is no headline."""
        assert kind_in("Händlerbeleg\nBitte Kundenbeleg aushändigen") is MERCHANT

    def test_a_receipt_that_says_both_says_nothing(self) -> None:
        """Then the order decides."""
        assert kind_in("Kundenbeleg\nHändlerbeleg") is None

    @pytest.mark.parametrize(("customer_first", "kinds"), [(False, [MERCHANT, CUSTOMER]), (True, [CUSTOMER, MERCHANT])])
    def test_is_told_by_the_order_where_nothing_else_tells(
        self, customer_first: bool, kinds: list[ReceiptKind]
    ) -> None:
        """2.10: with 06 D1 the type is not transmitted; 1F04 bit 08."""
        lines = [_line(0, "a"), _line(0x81), _line(0, "a"), _line(0x81), _line(0, "a")]

        assert [receipt.kind for receipt in _collect(lines, customer_first=customer_first)] == [
            *kinds,
            ReceiptKind.OTHER,
        ]

    def test_the_second_copy_is_the_one_that_is_missing(self) -> None:
        """The first said that it was the customer's."""
        lines = [_line(0, "Kundenbeleg"), _line(0x81), _line(0, "a"), _line(0x81)]

        assert [receipt.kind for receipt in _collect(lines)] == [CUSTOMER, MERCHANT]

    def test_the_type_counts_more_than_the_text(self) -> None:
        """1F07 is the terminal's own word."""
        assert _collect([_block(*_text("Kundenbeleg"), kind=1)])[0].kind is MERCHANT

    @pytest.mark.parametrize(
        ("command", "kind"),
        [
            (0x0650, ReceiptKind.END_OF_DAY),
            (0x0693, ReceiptKind.INITIALISATION),
            (0x0670, ReceiptKind.CONFIGURATION),
            (0x061A, ReceiptKind.CONFIGURATION),
            (0x0679, ReceiptKind.CONFIGURATION),
            (0x0501, ReceiptKind.OTHER),
            (0x0601, ReceiptKind.OTHER),
        ],
    )
    def test_administration_is_named_by_its_command(self, command: int, kind: ReceiptKind) -> None:
        """1F07 03; of a payment it is something else."""
        assert _collect([_block(*_text("x"), kind=3)], command)[0].kind is kind


class TestSafety:
    def test_no_card_number_gets_through(self) -> None:
        """Also not one that lies across two lines."""
        digits = "4" + "1" * 15
        got = _collect([_line(0, f"Nr. {digits[:8]}"), _line(0, digits[8:]), _line(0x81)])

        assert digits not in got[0].text.replace("\n", "")
        assert "*" in got[0].text

    def test_a_receipt_without_end_is_cut(self) -> None:
        """LIMIT: CHARACTERS_MAX; the receipt says so."""
        got = _collect([_line(0, "x" * 2000)] * 50)

        assert len(got) == 1
        assert len(got[0].text) <= CHARACTERS_MAX + 16
        assert got[0].text.endswith("\n[...]")

    def test_receipts_without_end_are_dropped_and_counted(self) -> None:
        """LIMIT: RECEIPTS_MAX."""
        collector = ReceiptCollector(PAYMENT)
        got = [receipt for _ in range(RECEIPTS_MAX + 3) for receipt in collector.feed(_line(0x81, "x"))]

        assert len(got) == RECEIPTS_MAX
        assert collector.dropped == 3

    @given(st.lists(st.tuples(st.sampled_from([0x06D1, 0x06D3]), st.binary(max_size=60)), max_size=12))
    def test_any_bytes_give_receipts_or_none(self, blocks: list[tuple[int, bytes]]) -> None:
        """Nothing but texts without control characters, none empty."""
        messages = []
        for code, data in blocks:
            try:
                messages.append(
                    decode(make_apdu(code, b"\x06" + bytes([len(data)]) + data if code == 0x06D3 else data))
                )
            except RemoteProtocolError:
                continue
        for receipt in _collect(messages):
            assert receipt.text.strip()
            assert not any(ord(character) < 0x20 and character != "\n" for character in receipt.text)

    @given(st.lists(st.lists(st.text("abc äö", min_size=1).filter(str.strip), min_size=1, max_size=4), max_size=5))
    def test_lines_and_blocks_say_the_same(self, papers: list[list[str]]) -> None:
        """One print way is as good as the other."""
        lines = [message for paper in papers for message in (*(_line(0, text) for text in paper), _line(0x81))]
        blocks = [_block(*_text(*paper), LAST) for paper in papers]

        assert _collect(lines) == _collect(blocks)
