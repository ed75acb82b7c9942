"""The ZVT codec against the fact sheet: worked examples (7), lengths (1.1, 3.1, 4.1), irregular blocks (2.5), texts (4.5)."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.interfaces.zvt.zvt_examples import EXAMPLES, LONG_BLOCK, Example, at
from tests.interfaces.zvt.zvt_strategies import bitmap_value, messages_with_context, tag_value

from zahlwerk.errors import CardDataRefused, InvalidRequest, RemoteProtocolError
from zahlwerk.interfaces.zvt.charsets import AUTO, BY_NUMBER, CP437, LATIN_1, UTF_8, Charset
from zahlwerk.interfaces.zvt.codec import DEPTH_MAX, decode, decode_tlv, encode, encode_tlv
from zahlwerk.interfaces.zvt.dictionary import (
    BITMAP_ROWS,
    COMMANDS,
    TAG_ROWS,
    BitmapRow,
    Format,
    Length,
    Secrecy,
    TagRow,
)
from zahlwerk.interfaces.zvt.framing import make_apdu
from zahlwerk.interfaces.zvt.information import batch_totals, read_information
from zahlwerk.interfaces.zvt.messages import Message, Tlv, Value, find, find_all
from zahlwerk.interfaces.zvt.walk import walk

PAN_TAIL = "4713"


def hexed(text: str) -> bytes:
    return bytes.fromhex(text)


def apdu(code: int, text: str = "") -> bytes:
    return make_apdu(code, hexed(text))


# -- 7: worked examples


def is_card_read(example: Example) -> bool:
    return example.text.startswith("04 0F 1F 23")


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_every_worked_example_is_read_without_a_problem(example: Example) -> None:
    message = decode(example.apdu, answers=example.answers, strict=True)
    assert message.problem == ""
    assert message.opaque == b""


@pytest.mark.parametrize("example", [one for one in EXAMPLES if not is_card_read(one)], ids=str)
def test_every_worked_example_comes_out_again_byte_for_byte(example: Example) -> None:
    assert encode(decode(example.apdu, answers=example.answers)) == example.apdu


def test_the_long_text_block_comes_out_again_byte_for_byte() -> None:
    assert len(LONG_BLOCK) == 410
    assert encode(decode(LONG_BLOCK, strict=True)) == LONG_BLOCK


def test_a_track_that_was_read_is_starred_and_cannot_be_sent_on() -> None:
    message = decode(at("7.13", "04 0F 1F 23"), answers=0x06C0)
    assert message.fields[0x23] == "*" * 10
    with pytest.raises(InvalidRequest):
        encode(message)


HEADS: list[tuple[str, str, dict[str, Value]]] = [
    ("7.1", "06 00", {"password": "000000", "config": 0xBE, "currency": 978}),
    ("7.1", "84 1E", {"result": 0x6F, "currency": 978}),
    ("7.2", "04 FF 13", {"status": 0x0A, "minutes": 2}),
    ("7.2", "04 FF 02", {"status": 0x04, "minutes": 2}),
    ("7.3", "06 1E", {"result": 0x05}),
    ("7.4", "06 1E 01", {"result": 0x6C}),
    ("7.4", "06 1E 17", {"result": 0xFF}),
    ("7.5", "06 50", {"password": "000000"}),
    ("7.6", "06 1E 04", {"result": 0xB8}),
    ("7.6", "06 1E 0D", {"result": 0xB8}),
    ("7.8", "06 D1 0B", {"attribute": 0x40, "text": "Beleg 0153"}),
    ("7.8", "06 D1 0C", {"attribute": 0x60, "text": "Summe 12,50"}),
    ("7.8", "06 D1 04", {"attribute": 0x03, "text": "EUR"}),
    ("7.8", "06 D1 01 00", {"attribute": 0x00, "text": ""}),
    ("7.8", "06 D1 02", {"attribute": 0xFF, "count": 3}),
    ("7.8", "06 D1 01 81", {"attribute": 0x81, "text": ""}),
    ("7.11", "06 0F 01 00", {"status": 0x00}),
    ("7.11", "06 0F 28", {"software": "DEMO 4.7", "status": 0x00}),
    ("7.11", "06 0F 01 C2", {"status": 0xC2}),
    ("7.13", "06 C0", {"timeout": 30}),
]
FIELDS: list[tuple[str, str, dict[int, Value]]] = [
    ("7.1", "06 0F", {0x19: 0, 0x29: "62071183", 0x49: 978}),
    ("7.2", "06 01", {0x04: 1250, 0x49: 978, 0x19: 0x40}),
    (
        "7.2",
        "04 0F",
        {
            0x27: 0, 0x04: 1250, 0x0B: 271, 0x0C: "142307", 0x0D: "0318", 0x0E: "2811", 0x17: "0001", 0x19: 0x70,
            0x22: "E" * 15 + PAN_TAIL, 0x29: "62071183", 0x3B: "719384", 0x3C: "GENEHMIGT", 0x49: 978, 0x87: 153,
            0x88: 153, 0x8A: 5, 0x8B: "girocard",
        },
    ),
    ("7.3", "04 0F", {0x27: 5, 0x04: 1250, 0x0B: 272, 0x0C: "142510", 0x0D: "0318", 0x29: "62071183",
                      0x3C: "ABGELEHNT", 0x49: 978, 0x87: 0, 0x8A: 6}),
    ("7.4", "04 0F", {0x27: 0x6C, 0x04: 1250, 0x0C: "142640", 0x0D: "0318", 0x29: "62071183", 0x49: 978}),
    ("7.6", "06 22", {0x04: 10000, 0x49: 978, 0x19: 0x40}),
    ("7.6", "04 0F", {0x27: 0, 0x04: 10000, 0x0B: 276, 0x0C: "091533", 0x0D: "0319", 0x29: "62071183",
                      0x3B: "058812", 0x49: 978, 0x87: 154, 0x8A: 10}),
    ("7.6", "06 23 0D", {0x87: 154, 0x04: 3660, 0x49: 978}),
    ("7.6", "06 24", {0x87: 154, 0x04: 6340, 0x49: 978, 0x0B: 276, 0x3B: "058812"}),
    ("7.6", "06 25", {0x87: 154}),
    ("7.6", "06 23 03", {0x87: b"\xff\xff"}),
    ("7.6", "06 1E 04", {0x87: 154}),
    ("7.7", "06 30", {0x87: 153}),
    ("7.7", "04 0F", {0x27: 0, 0x04: 1250, 0x0B: 277, 0x37: 271, 0x0C: "100102", 0x0D: "0319", 0x29: "62071183",
                      0x49: 978, 0x87: 155, 0x8A: 5}),
    ("7.7", "06 31", {0x04: 999, 0x49: 978}),
    ("7.11", "05 01 05", {0x03: 0x04}),
    ("7.12", "04 01", {0xAA: "260318", 0x0C: "142307"}),
    ("7.12", "06 91", {0xAA: "260318", 0x0C: "142307"}),
    ("7.12", "06 20", {0x03: 0x03}),
    ("7.13", "06 01 10", {0x04: 200, 0x49: 978, 0x19: 0x40, 0x01: 30, 0x02: 5}),
    ("7.13", "84 9D", {0x04: 120}),
    ("7.13", "06 C0", {0x19: 0x50}),
    ("7.13", "06 E0", {0xF0: 10, 0xF1: "Bitte Geld", 0xF2: "einlegen", 0xF9: 1}),
]  # fmt: skip
TAGGED: list[tuple[str, str, dict[int, list[object]]]] = [
    ("7.1", "06 00", {0x12: [42], 0x1A: [1024], 0x0A: [b"\x06\xd3"]}),
    ("7.1", "06 0F", {0x12: [42], 0x1A: [4096], 0x0A: [b"\x06\xd3"]}),
    ("7.2", "04 FF 13", {0x07: ["Karte bitte"]}),
    ("7.2", "04 0F", {0x1F10: [2], 0x1F11: [1], 0x1F12: [2], 0x45: ["21000000"], 0x42: ["girocard"],
                      0x43: [hexed("A0000003591010028001")], 0x1F1F: [b"\x01\x53"]}),
    ("7.2", "06 D3", {0x1F07: [2], 0x09: [0x40, 0x00, 0x81],
                      0x07: ["Kundenbeleg", "Summe EUR 12,50", "", "Zahlung ok"]}),
    ("7.4", "06 1E 17", {0x1F16: [b"\x0a\x03"], 0x1F17: ["Host timeout"]}),
    ("7.6", "06 1E 0D", {0x08: [154, 157]}),
    ("7.10", "06 D3 10", {0x07: ["Händler"], 0x09: [0x81]}),
    ("7.10", "06 D3 13", {0x14: [1], 0x07: ["Händler"], 0x09: [0x81]}),
    ("7.11", "06 0F 28", {0x1F44: ["62071183"], 0x1F40: ["DEMO"], 0x1F41: ["4.7"], 0x1F43: [0]}),
    ("7.12", "06 70", {0x1B: [2]}),
    ("7.13", "06 01 11", {0x1F1F: [b"\x01\x53"]}),
    ("7.13", "06 01 0F", {0x1F1F: [b""]}),
    ("7.13", "06 C0", {0x1F60: [7]}),
    ("7.13", "04 0F 1F", {0x43: [hexed("A0000000041010")], 0x41: [6]}),
    ("7.13", "04 0D", {0x07: ["Trinkgeld?"], 0x1F38: [2], 0x1F39: [60]}),
    ("7.13", "80 00 0A", {0x1F3A: ["150"]}),
    ("7.13", "04 0E", {0x16: [1], 0x17: [2], 0x18: [2], 0x07: ["girocard", "Mastercard"], 0x19: [b"\1", b"\2"]}),
    ("7.13", "80 00 05", {0x19: [b"\x01"]}),
    ("7.13", "06 00", {0x0A: [b"\x06\xd3"], 0x1F73: [0]}),
    ("7.13", "06 01 12", {0x1F73: [1]}),
    ("7.13", "80 00 08", {0x1F73: [1]}),
    ("7.13", "04 FF", {0x1F73: [2]}),
]  # fmt: skip


def example(chapter: str, start: str) -> Message:
    one = next(one for one in EXAMPLES if one.chapter == chapter and one.text.startswith(start))
    return decode(one.apdu, answers=one.answers)


@pytest.mark.parametrize(("chapter", "start", "head"), HEADS)
def test_examples_have_the_positional_values_that_the_fact_sheet_names(
    chapter: str, start: str, head: dict[str, Value]
) -> None:
    assert dict(example(chapter, start).head) == head


@pytest.mark.parametrize(("chapter", "start", "fields"), FIELDS)
def test_examples_have_the_fields_that_the_fact_sheet_names(chapter: str, start: str, fields: dict[int, Value]) -> None:
    assert dict(example(chapter, start).fields) == fields


@pytest.mark.parametrize(("chapter", "start", "tags"), TAGGED)
def test_examples_have_the_tags_that_the_fact_sheet_names(
    chapter: str, start: str, tags: dict[int, list[object]]
) -> None:
    tlv = example(chapter, start).tlv or ()
    assert {tag: [one.value for one in find_all(tlv, tag)] for tag in tags} == tags


def test_the_totals_of_the_end_of_day_are_those_of_7_5() -> None:
    message = decode(at("7.5", "04 0F"), answers=0x0650)
    assert (message.fields[0x04], message.fields[0x0B]) == (102195, 275)
    totals = batch_totals(read_information(message).totals)
    assert totals is not None
    assert (totals.first_receipt, totals.last_receipt) == (101, 153)
    counted = {slot.brand: (slot.count, slot.amount_minor) for slot in totals.schemes if slot.count}
    assert counted == {"girocard": (12, 45630), "Mastercard": (5, 21890), "Visa": (7, 33475), "": (1, 1200)}


def test_an_empty_container_is_not_the_same_as_none() -> None:
    assert decode(at("7.2", "06 01")).tlv == ()
    assert decode(at("7.6", "06 22")).tlv is None


# -- 1.1, 3.1, 4.1: lengths


@pytest.mark.parametrize(
    ("size", "header"),
    [(254, "06D1FE"), (255, "06D1FFFF00"), (256, "06D1FF0001"), (65535, "06D1FFFFFF")],
)
def test_data_blocks_have_one_or_three_length_bytes_the_low_one_first(size: int, header: str) -> None:
    message = Message(code=0x06D1, head={"attribute": 0, "text": "A" * (size - 1)})
    raw = encode(message)
    assert raw[: len(header) // 2].hex().upper() == header
    assert len(raw) == len(header) // 2 + size
    assert decode(raw) == message


def test_a_longer_block_cannot_be_written() -> None:
    with pytest.raises(InvalidRequest):
        encode(Message(code=0x06D1, head={"attribute": 0, "text": "A" * 65535}))


def test_the_long_form_of_a_short_block_is_read() -> None:
    assert decode(hexed("06 1E FF 01 00 6C")).head == {"result": 0x6C}


@pytest.mark.parametrize(
    ("size", "length"), [(0, "00"), (127, "7F"), (128, "8180"), (255, "81FF"), (256, "820100"), (65000, "82FDE8")]
)
def test_tlv_lengths_grow_at_128_and_256_the_high_byte_first(size: int, length: str) -> None:
    raw = encode_tlv((Tlv(0x1C, b"\x11" * size),))
    assert raw[: 1 + len(length) // 2].hex().upper() == "1C" + length
    assert decode_tlv(raw) == (Tlv(0x1C, b"\x11" * size),)
    outer = encode(Message(code=0x0811, tlv=(Tlv(0x2D, (Tlv(0x1C, b"\x11" * size),)),)))
    assert find(decode(outer, strict=True).tlv or (), 0x1C) == Tlv(0x1C, b"\x11" * size)


@pytest.mark.parametrize("length", ["05", "8105", "820005"])
def test_longer_tlv_lengths_than_needed_are_read(length: str) -> None:
    assert decode_tlv(hexed(f"07{length}48616C6C6F")) == (Tlv(0x07, "Hallo"),)
    block = hexed(f"06{length}0703414243")
    assert decode(make_apdu(0x06D3, block), strict=True).tlv == (Tlv(0x07, "ABC"),)


@pytest.mark.parametrize("first", [0x80, 0x83, 0x84, 0xA0, 0xFF])
def test_other_tlv_lengths_are_none(first: int) -> None:
    with pytest.raises(RemoteProtocolError, match="no TLV length"):
        decode_tlv(bytes([0x07, first, 0, 0, 1, 0x41]))


@pytest.mark.parametrize("size", [0, 1, 9, 10, 99])
def test_ll_lengths_are_two_decimal_digits(size: int) -> None:
    message = Message(code=0x06E0, fields={0xF1: "A" * size})
    assert encode(message)[3:6] == bytes([0xF1, 0xF0 + size // 10, 0xF0 + size % 10])
    assert decode(encode(message)) == message


@pytest.mark.parametrize("size", [0, 9, 10, 99, 100, 999])
def test_lll_lengths_are_three_decimal_digits(size: int) -> None:
    message = Message(code=0x040F, fields={0x3C: "A" * size})
    raw = encode(message)
    start = 3 if size < 251 else 5
    assert raw[start : start + 4] == bytes([0x3C, 0xF0 + size // 100, 0xF0 + size // 10 % 10, 0xF0 + size % 10])
    assert decode(raw) == message


@pytest.mark.parametrize(("field", "size"), [(0xF1, 100), (0x3C, 1000)])
def test_what_is_longer_than_its_digits_can_say_cannot_be_written(field: int, size: int) -> None:
    with pytest.raises(InvalidRequest):
        encode(Message(code=0x06E0, fields={field: "A" * size}))


@pytest.mark.parametrize("block", ["F1 F1 3A 41", "F1 01 F0 41", "3C F0 FA F1 41", "22 E0 F0"])
def test_a_length_byte_that_is_no_digit_ends_the_reading(block: str) -> None:
    message = decode(apdu(0x06E0, f"F0 0A {block}"))
    assert message.fields == {0xF0: 10}
    assert "no length F0..F9" in message.problem
    assert message.position == 5


# -- 2.5: irregular blocks


class TestTheCompletionOfAStatusEnquiry:
    @pytest.mark.parametrize("status", [0x00, 0x9C, 0xCC, 0xDC, 0xF0, 0xF6])
    def test_is_a_single_status_even_if_it_looks_like_a_bmp_or_a_length(self, status: int) -> None:
        assert decode(make_apdu(0x060F, bytes([status])), answers=0x0501, strict=True).head == {"status": status}

    def test_may_begin_with_a_version(self) -> None:
        message = decode(apdu(0x060F, "F0F0F3 312E32 DC"), answers=0x0501, strict=True)
        assert message.head == {"software": "1.2", "status": 0xDC}

    def test_may_begin_with_an_empty_version(self) -> None:
        message = decode(apdu(0x060F, "F0F0F0 00"), answers=0x0501, strict=True)
        assert message.head == {"software": "", "status": 0x00}

    def test_has_no_version_if_its_length_does_not_fit(self) -> None:
        message = decode(apdu(0x060F, "F0 F9F9F9"), answers=0x0501)
        assert message.head == {"status": 0xF0}

    def test_that_is_a_version_only_has_no_status_rather_than_f0(self) -> None:
        message = decode(apdu(0x060F, "F0F0F3 312E32"), answers=0x0501, strict=True)
        assert message.head == {"software": "1.2"}

    def test_whose_first_byte_is_f0_and_second_none_is_a_status(self) -> None:
        message = decode(apdu(0x060F, "F0 06 00"), answers=0x0501, strict=True)
        assert (message.head, message.tlv) == ({"status": 0xF0}, ())

    def test_may_go_on_with_tlv_without_a_version(self) -> None:
        message = decode(apdu(0x060F, "00 06 04 1F550100"), answers=0x0501, strict=True)
        assert message.head == {"status": 0}
        assert message.tag_number(0x1F55) == 0

    def test_is_a_list_of_bmps_after_any_other_command(self) -> None:
        message = decode(apdu(0x060F, "27 E0 0C 142307 AA 260318"), answers=0x0650, strict=True)
        assert message.fields == {0x27: 0xE0, 0x0C: "142307", 0xAA: "260318"}
        assert message.head == {}


class TestAnAbort:
    def test_with_6f_may_carry_a_bare_currency(self) -> None:
        assert decode(apdu(0x061E, "6F 0978"), answers=0x0601).head == {"result": 0x6F, "currency": 978}

    def test_with_6f_and_a_currency_may_carry_a_sequence_id(self) -> None:
        message = decode(apdu(0x061E, "6F 0978 06 06 1F7303000007"), answers=0x0601, strict=True)
        assert (message.head, message.tlv) == ({"result": 0x6F, "currency": 978}, (Tlv(0x1F73, 7),))

    def test_with_6f_may_have_details_without_a_currency(self) -> None:
        message = decode(apdu(0x061E, "6F 06 05 1F16020A03"), answers=0x0601, strict=True)
        assert (message.head, message.tag(0x1F16)) == ({"result": 0x6F}, b"\x0a\x03")

    def test_with_b8_lists_reservations(self) -> None:
        assert decode(apdu(0x061E, "B8 870154"), answers=0x0623, strict=True).fields == {0x87: 154}
        none = decode(apdu(0x061E, "B8 87FFFF"), answers=0x0623, strict=True)
        assert none.number(0x87) is None

    def test_of_a_top_up_lists_amounts_instead(self) -> None:
        block = "6F 490978 04000000001000 04000000002000"
        message = decode(apdu(0x061E, block), answers=0x0609, strict=True)
        assert message.fields == {0x49: 978, 0x04: 1000}
        assert message.more == ((0x04, 2000),)

    def test_with_another_code_has_no_bare_currency(self) -> None:
        message = decode(apdu(0x061E, "6C 0978"), answers=0x0601)
        assert message.head == {"result": 0x6C}
        assert message.problem == "unknown BMP 09: its length is not known"

    def test_may_be_empty(self) -> None:
        message = decode(apdu(0x061E), answers=0x0601, strict=True)
        assert message.head_number("result") is None


class TestARefusal:
    @pytest.mark.parametrize(
        ("block", "head"),
        [("6F 0978", {"result": 0x6F, "currency": 978}), ("6F", {"result": 0x6F}), ("7D", {"result": 0x7D}),
         ("6F 0978 06 06 1F7303000001", {"result": 0x6F, "currency": 978}), ("", {})],
    )  # fmt: skip
    def test_of_a_registration_may_name_a_currency(self, block: str, head: dict[str, int]) -> None:
        message = decode(apdu(0x841E, block), answers=0x0600, strict=True)
        assert message.head == head

    @pytest.mark.parametrize("code", [0x06E1, 0x06E2, 0x06E7, 0x0688])
    def test_input_ends_where_a_container_begins(self, code: int) -> None:
        message = decode(apdu(0x8000, "31 06 06 1F7303000002"), answers=code, strict=True)
        assert (message.head, message.tlv) == ({"input": b"1"}, (Tlv(0x1F73, 2),))
        walked = walk(apdu(0x8000, "31 06 06 1F7303000002"), answers=code)
        assert [node.key for node in walked.nodes][2:] == ["input", "06", "1F73"]


class TestAnIntermediateStatus:
    @pytest.mark.parametrize(
        ("block", "head", "tlv"),
        [
            ("0A", {"status": 0x0A}, None),
            ("0A 02", {"status": 0x0A, "minutes": 2}, None),
            ("0A 06", {"status": 0x0A, "minutes": 6}, None),
            ("0A 02 06 00", {"status": 0x0A, "minutes": 2}, ()),
            ("0A 06 06 00", {"status": 0x0A, "minutes": 6}, ()),
            ("0A 06 00", {"status": 0x0A}, ()),
            ("0A 06 06 05 2403070141", {"status": 0x0A, "minutes": 6}, (Tlv(0x24, (Tlv(0x07, "A"),)),)),
            ("0E 06 06 1F7303000002", {"status": 0x0E}, (Tlv(0x1F73, 2),)),
            ("0E 06 06 06 1F7303000002", {"status": 0x0E, "minutes": 6}, (Tlv(0x1F73, 2),)),
            ("FF 06 07 2405 0703414243", {"status": 0xFF}, (Tlv(0x24, (Tlv(0x07, "ABC"),)),)),
        ],
    )
    def test_may_leave_out_its_minutes(self, block: str, head: dict[str, int], tlv: object) -> None:
        message = decode(apdu(0x04FF, block), strict=True)
        assert (dict(message.head), message.tlv) == (head, tlv)

    def test_without_a_code_is_none(self) -> None:
        assert decode(apdu(0x04FF)).problem == "an intermediate status has no code"


class TestAPrintLine:
    def test_is_text_to_its_end_even_if_that_looks_like_bmps(self) -> None:
        assert decode(apdu(0x06D1, "00 04 06 27"), strict=True).head == {"attribute": 0, "text": "\x04\x06'"}

    def test_without_an_attribute_is_none(self) -> None:
        assert decode(apdu(0x06D1)).problem == "a print line has no attribute"

    def test_line_feeds_may_lack_their_count(self) -> None:
        assert decode(apdu(0x06D1, "FF"), strict=True).head == {"attribute": 0xFF}


@pytest.mark.parametrize(("code", "name"), [(0x0501, "status"), (0x0620, "repeat"), (0x0801, "service")])
def test_03_after_a_password_is_a_bmp(code: int, name: str) -> None:
    message = decode(apdu(code, "123456 03 02"), strict=True)
    assert (message.head, message.fields) == ({"password": "123456"}, {0x03: 2})


def test_what_follows_an_unknown_bmp_is_kept_apart_and_blanked() -> None:
    message = decode(apdu(0x040F, "2700 04000000001250 A9 123456 8701 53"))
    assert message.fields == {0x27: 0, 0x04: 1250}
    assert message.opaque == b"\xa9" + b"\xee" * 6
    assert message.position == 12


def test_strict_reading_makes_a_problem_an_error() -> None:
    with pytest.raises(RemoteProtocolError, match="unknown BMP A9") as caught:
        decode(apdu(0x040F, "2700 A9"), strict=True)
    assert caught.value.position == 5


@pytest.mark.parametrize(
    "data", ["", "06", "06 0F", "06 0F 01", "06 0F 00 00", "06 0F FF", "06 0F FF 01", "06 0F FF 01 00"]
)
def test_what_is_no_whole_apdu_is_an_error(data: str) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(hexed(data))


# -- 4.1: tags


@pytest.mark.parametrize("tag", [0x1F80, 0x1F81, 0x1F82, 0x1F83])
def test_four_tags_break_the_rule_of_the_following_byte(tag: int) -> None:
    raw = tag.to_bytes(2, "big") + hexed("02 3132")
    (one,) = decode_tlv(raw)
    assert one.tag == tag
    assert encode_tlv((one,)) == raw


@pytest.mark.parametrize("tag", ["9F5A", "FF01", "DF01", "1F10"])
def test_other_tags_have_two_bytes(tag: str) -> None:
    (one,) = decode_tlv(hexed(f"{tag} 01 05"))
    assert one.tag == int(tag, 16)


def test_unknown_tags_are_kept_and_skipped_whatever_their_length() -> None:
    inner = "5F8101 02 AABB"
    assert decode_tlv(hexed(f"{inner} 5E 00 1F7E 81 01 CC 07 01 41")) == (
        Tlv(0x5F8101, b"\xaa\xbb"), Tlv(0x5E, b""), Tlv(0x1F7E, b"\xcc"), Tlv(0x07, "A"),
    )  # fmt: skip


def test_unknown_containers_are_entered() -> None:
    assert decode_tlv(hexed("7E 03 07 01 41")) == (Tlv(0x7E, (Tlv(0x07, "A"),)),)


def test_a_container_that_does_not_parse_is_bytes_and_blanked() -> None:
    assert decode_tlv(hexed("60 04 43 0A 11 22 07 01 41")) == (Tlv(0x60, b"\x43\xee\xee\xee"), Tlv(0x07, "A"))


@pytest.mark.parametrize("tag", ["FF01", "FF02", "FF03", "FF04", "FF41"])
def test_some_tags_look_constructed_and_carry_plain_bytes(tag: str) -> None:
    (one,) = decode_tlv(hexed(f"{tag} 03 07 01 41"))
    assert one.value == b"\x07\x01\x41"


def test_uid_and_purse_file_are_plain_bytes_although_they_are_listed_as_containers_too() -> None:
    assert decode_tlv(bytes([0x4C, 3, 7, 1, 0x41])) == (Tlv(0x4C, b"\x07\x01\x41"),)
    assert decode_tlv(bytes([0x4D, 3, 7, 1, 0x41])) == (Tlv(0x4D, "***"),), "it has the purse's number in it"


def test_equal_tags_keep_their_order_and_number() -> None:
    assert [tlv.value for tlv in decode_tlv(hexed("070141 090140 070142 070141"))] == ["A", 0x40, "B", "A"]


def test_the_same_number_means_another_thing_inside_tlv() -> None:
    message = decode(apdu(0x040F, "04000000001250 06 05 04 03 000815"), strict=True)
    assert (message.number(0x04), message.tag(0x04)) == (1250, "000815")


def test_nesting_ends_somewhere() -> None:
    raw = b"\x41\x01\x05"
    for _ in range(DEPTH_MAX + 20):
        raw = b"\x60" + (bytes([len(raw)]) if len(raw) < 128 else b"\x81" + bytes([len(raw)])) + raw
    (one,) = decode_tlv(raw)
    depth = 0
    while one.children:
        one, depth = one.children[0], depth + 1
    assert depth == DEPTH_MAX
    assert isinstance(one.value, bytes)


# -- 4.5: characters


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        (b"H\x84ndler", CP437, "Händler"), (b"H\xe4ndler", LATIN_1, "Händler"), (b"H\xc3\xa4ndler", UTF_8, "Händler"),
        (b"\xa4", BY_NUMBER[0x0F], "€"), (b"\xe1", CP437, "ß"),
        (b"H\x84ndler", AUTO, "Händler"), (b"H\xe4ndler", AUTO, "Händler"), (b"H\xc3\xa4ndler", AUTO, "Händler"),
        (b"Stra\xe1e", AUTO, "Straße"), (b"Stra\xdfe", AUTO, "Straße"), (b"Caf\xe9", AUTO, "Café"),
        (b"\x81\xe4", AUTO, "\x81ä"),
    ],
)  # fmt: skip
def test_texts_are_read_in_the_set_that_holds_or_as_they_look(data: bytes, charset: Charset, text: str) -> None:
    message = decode(make_apdu(0x06D1, b"\x00" + data), charset=charset)
    assert message.head_text("text") == text


@pytest.mark.parametrize("number", [number for number in range(0x11) if number != 0x0C] + [0xFE, 0xFF])
def test_every_set_of_tag_14_is_there_and_reads_any_bytes(number: int) -> None:
    charset = BY_NUMBER[number]
    assert charset.decode(b"ABC 123") == "ABC 123"
    for byte in range(256):
        assert isinstance(charset.decode(bytes([byte])), str)


def test_there_is_no_iso_8859_12() -> None:
    assert 0x0C not in BY_NUMBER


@pytest.mark.parametrize(("text", "expected"), [("5 €", "5 EUR"), ("Łódź", "Lódz"), ("日", "?"), ("ß", "ß")])
def test_letters_that_a_set_lacks_become_the_nearest_ones(text: str, expected: str) -> None:
    assert CP437.decode(CP437.encode(text)) == expected


def test_a_text_block_may_name_its_own_set() -> None:
    raw = at("7.10", "06 D3 13")
    assert decode(raw, charset=CP437).tag_text(0x07) == "Händler"
    assert encode(decode(raw, charset=CP437), charset=CP437) == raw


def test_a_set_that_is_only_offered_changes_nothing() -> None:
    message = decode(apdu(0x06D3, "06 0A 27 03 140101 25 03 0701 84"))
    assert message.tag_text(0x07) == "ä"


# -- secrets


@pytest.mark.parametrize("row", [row for row in BITMAP_ROWS if row.secrecy is Secrecy.SECRET], ids=lambda row: row.name)
def test_secret_fields_are_starred_as_they_are_read(row: BitmapRow) -> None:
    number, size = row.number, row.size if row.length is Length.FIXED else 9
    raw = encode(Message(code=0x040F, fields={number: b"\x12" * size}))
    assert decode(raw, strict=True).fields == {number: "*" * size}


@pytest.mark.parametrize("row", [row for row in TAG_ROWS if row.secrecy is Secrecy.SECRET], ids=lambda row: row.name)
def test_secret_tags_are_starred_as_they_are_read(row: TagRow) -> None:
    tag = row.tag
    assert decode_tlv(encode_tlv((Tlv(tag, b"\x12" * 9),))) == (Tlv(tag, "*" * 9),)


def test_a_card_number_in_clear_is_masked_when_read_and_refused_when_written() -> None:
    number = "4" + "1" * 15
    raw = make_apdu(0x040F, b"\x22\xf0\xf8" + bytes.fromhex(number))
    shown = str(decode(raw).fields[0x22])
    assert shown == number[:6] + "E" * 6 + number[-4:]
    with pytest.raises(CardDataRefused):
        encode(Message(code=0x0601, fields={0x22: number}))


# -- properties


@pytest.mark.parametrize(
    "row",
    [row for row in BITMAP_ROWS if row.length is not Length.TLV and row.secrecy is not Secrecy.SECRET],
    ids=lambda row: row.name,
)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_every_bmp_comes_back(row: BitmapRow, data: st.DataObject) -> None:
    message = Message(code=0x040F, fields={row.number: data.draw(bitmap_value(row))})
    assert decode(encode(message), strict=True) == message


@pytest.mark.parametrize(
    "tag",
    [row.tag for row in TAG_ROWS if row.format is not Format.CONTAINER and row.secrecy is Secrecy.OPEN],
    ids=lambda tag: f"{tag:X}",
)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_every_tag_comes_back(tag: int, data: st.DataObject) -> None:
    tlv = Tlv(tag, data.draw(tag_value(tag)))
    assert decode_tlv(encode_tlv((tlv,))) == (tlv,)


@pytest.mark.parametrize(
    "tag", [row.tag for row in TAG_ROWS if row.format is Format.CONTAINER], ids=lambda tag: f"{tag:X}"
)
def test_every_container_comes_back(tag: int) -> None:
    tlv = Tlv(tag, (Tlv(0x41, 5), Tlv(tag, ()), Tlv(0x07, "ä")))
    assert decode_tlv(encode_tlv((tlv,))) == (tlv,)


@given(messages_with_context())
@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_messages_come_back(case: tuple[Message, int]) -> None:
    message, answers = case
    assert decode(encode(message), answers=answers, strict=True) == message


codes = st.sampled_from([*COMMANDS, 0x8000, 0x8400, 0x841E, 0x849C]) | st.integers(0, 0xFFFF)


@given(st.binary(max_size=400), st.sampled_from([0, *COMMANDS]))
@settings(max_examples=800, deadline=None)
def test_random_bytes_are_a_message_or_one_error(data: bytes, answers: int) -> None:
    try:
        decode(data, answers=answers)
    except RemoteProtocolError as exc:
        assert exc.position is not None  # noqa: PT017 - either way is right


@given(codes, st.binary(max_size=200), st.sampled_from([0, *COMMANDS]), st.sampled_from([CP437, UTF_8, AUTO]))
@settings(max_examples=800, deadline=None)
def test_random_data_blocks_are_always_a_message(code: int, data: bytes, answers: int, charset: Charset) -> None:
    message = decode(make_apdu(code, data), answers=answers, charset=charset)
    assert message.code == code
    assert bool(message.problem) == (message.position is not None)
    read_information(message)


@pytest.mark.parametrize("example", [one for one in EXAMPLES if one.text.startswith("04 0F")], ids=str)
def test_results_cut_at_every_byte_keep_the_whole_fields_before_the_cut(example: Example) -> None:
    data = example.apdu[3:]
    whole = dict(decode(example.apdu, answers=example.answers).fields)
    counts = []
    for size in range(len(data)):
        message = decode(make_apdu(0x040F, data[:size]), answers=example.answers)
        assert message.fields.items() <= whole.items()
        assert message.problem or message.fields != whole or message.tlv is None
        counts.append(len(message.fields))
    assert counts == sorted(counts)


@pytest.mark.parametrize(
    ("block", "fields", "more", "position", "problem"),
    [
        ("49 0978 04 0000", {0x49: 978}, (), 6, "BMP 04 has 6 bytes, only 2 are there"),
        ("49 0978 8A", {0x49: 978}, (), 6, "BMP 8A has 1 bytes, only 0 are there"),
        ("04 000000001000 04 0000", {0x04: 1000}, (), 10, "BMP 04 has 6 bytes, only 2 are there"),
        (
            "04 000000001000 04 000000002000 49 09",
            {0x04: 1000}, ((0x04, 2000),), 17, "BMP 49 has 2 bytes, only 1 are there",
        ),
        ("49 0978 22 F1 F0 4111", {0x49: 978}, (), 6, "BMP 22 has 10 bytes, only 2 are there"),
        ("49 0978 3C F0 F0 F3 4142", {0x49: 978}, (), 6, "BMP 3C has 3 bytes, only 2 are there"),
        ("49 0978 22 F1", {0x49: 978}, (), 6, "BMP 22 ends within its length"),
        ("49 0978 3C F0 F1", {0x49: 978}, (), 6, "BMP 3C ends within its length"),
        ("49 0978 22", {0x49: 978}, (), 6, "BMP 22 ends within its length"),
    ],
)  # fmt: skip
def test_a_value_that_is_cut_is_none(
    block: str, fields: dict[int, int], more: tuple[tuple[int, int], ...], position: int, problem: str
) -> None:
    message = decode(apdu(0x040F, block))
    assert (message.fields, message.more) == (fields, more)
    assert (message.position, message.problem) == (position, problem)


@pytest.mark.parametrize(
    ("kind", "currency", "dcc"), [("03", "1F21020840", (12345, 840)), ("01", "1F21020840", None), ("03", "", None)]
)
def test_what_the_card_holder_pays_in_another_currency_is_the_foreign_amount(
    kind: str, currency: str, dcc: tuple[int, int] | None
) -> None:
    """Fact sheet 4.2 (1F1D, 03 is foreign) and 4.3 (E2 holds 31)."""
    amount = bytes.fromhex(f"1F1D01{kind} 1F2003012345 {currency}")
    inside = bytes([0x31, len(amount)]) + amount
    container = bytes([0xE2, len(inside)]) + inside
    data = b"\x27\x00\x06" + bytes([len(container)]) + container
    assert read_information(decode(make_apdu(0x040F, data), strict=True)).dcc == dcc
