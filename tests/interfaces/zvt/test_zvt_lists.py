"""Bits and small codes mean what the ZVT fact sheet says where they stand. Source: 2.6 to 2.10, 4.2, 4.4, 5.2."""

from __future__ import annotations

import pytest

from zahlwerk.interfaces.zvt.codec import decode, encode
from zahlwerk.interfaces.zvt.dictionary import STATUS_ROWS, status_row
from zahlwerk.interfaces.zvt.explain import Explainer
from zahlwerk.interfaces.zvt.messages import Message, Tlv
from zahlwerk.interfaces.zvt.terminal import Registered


def meaning(text: str, name: str, before: str = "") -> str:
    explainer = Explainer()
    if before:
        explainer.explain(bytes.fromhex(before))
    (found,) = explainer.explain(bytes.fromhex(text))
    assert found.ok, found.error
    return next(one.meaning for one in found.fields if name in {one.name, one.tag})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("06 0F 02 19 00", "nothing to do"),
        ("06 0F 02 19 03", "initialisation needed, diagnosis needed"),
        ("06 0F 02 19 10", "vending mode"),
        ("06 01 02 19 40", "the terminal decides, without GeldKarte"),
        ("06 01 02 19 48", "the terminal decides, without GeldKarte, a tip may follow"),
        ("06 01 02 19 42", "the terminal decides, without GeldKarte, with the card data that was read before"),
        ("04 0F 02 19 40", "offline"),
        ("04 0F 02 19 50", "card checked, nothing authorised"),
        ("04 0F 02 19 70", "with PIN"),
        ("06 C0 03 1E 19 50", "chip and magnetic stripe"),
        ("06 C0 03 1E 19 00", "magnetic stripe"),
    ],
)
def test_bmp_19_means_something_else_in_each_message(text: str, said: str) -> None:
    """2.7, 2.8."""
    assert meaning(text, "19") == said


@pytest.mark.parametrize(
    ("attribute", "said"),
    [("00", "normal"), ("03", "indented by 3"), ("40", "centred"), ("60", "centred, double width"),
     ("33", "double width, double height, indented by 3"), ("81", "end of the receipt"), ("FE", "end of the receipt"),
     ("80", "reserved")],
)  # fmt: skip
def test_print_attributes(attribute: str, said: str) -> None:
    """2.10."""
    assert meaning(f"06 D1 02 {attribute} 41", "attribute") == said
    assert meaning(f"06 D3 07 06 05 25 03 09 01 {attribute}", "print_attribute") == said


def test_ff_is_line_feeds() -> None:
    assert meaning("06 D1 02 FF 03", "attribute") == "line feeds"


@pytest.mark.parametrize(
    ("tag", "name", "said"),
    [
        ("1F 55 02 40 00", "locks", "initialisation"),
        ("1F 55 02 00 40", "locks", "no card reader"),
        ("1F 55 01 40", "locks", "initialisation"),
        ("1F 04 01 08", "receipt_parameters", "customer copy first"),
        ("1F 04 02 08 80", "receipt_parameters", "customer copy first, barcodes wanted in text blocks"),
        ("1F 04 02 00 80", "receipt_parameters", "barcodes wanted in text blocks"),
        ("40 01 80", "emv_configuration", "label"),
        ("40 02 00 80", "emv_configuration", "product name"),
        ("1F 05 01 40", "transaction_parameters", "activate the swipe reader"),
        ("1F 65 01 05", "service_kind", "read, redeem"),
        ("1F 4C 01 01", "card_kind", "MIFARE"),
    ],
)
def test_bits_are_counted_from_the_first_byte_however_many_are_sent(tag: str, name: str, said: str) -> None:
    """4.2, 4.4: byte 1, byte 2."""
    raw = bytes.fromhex(tag)
    assert meaning(f"06 0F {len(raw) + 2:02X} 06 {len(raw):02X} {tag}", name) == said


def test_the_order_of_copies_is_read_from_the_first_byte() -> None:
    registered = Registered()
    for sent in ("08", "08 80"):
        size = len(bytes.fromhex(sent))
        tag = f"1F 04 {size:02X} {sent}"
        registered.read(decode(bytes.fromhex(f"06 00 {size + 11:02X} 00 00 00 BE 09 78 06 {size + 3:02X} {tag}")))
        assert registered.receipt_parameters & 0x08, sent


def test_locks_are_written_in_two_bytes_the_first_one_first() -> None:
    written = encode(Message(code=0x060F, tlv=(Tlv(0x1F55, 0x40),)))
    assert written == bytes.fromhex("06 0F 07 06 05 1F 55 02 40 00")


@pytest.mark.parametrize(
    ("number", "value", "said"),
    [("FD", "01", "external"), ("FA", "FF", "deactivate"), ("72", "03", "png"), ("73", "02", "base64")],
)
def test_bytes_of_displays_and_images(number: str, value: str, said: str) -> None:
    """2.9, 3.2."""
    (found,) = Explainer().explain(bytes.fromhex(f"06 F0 02 {number} {value}"))
    assert found.fields[-1].meaning == said


def test_status_65_asks_for_the_keys_and_says_nothing_of_a_card() -> None:
    """5.2: as a result code, 65 is another thing."""
    assert "OPT" in status_row(0x65).text.de
    assert "card" not in status_row(0x65).text.en


@pytest.mark.parametrize(
    ("code", "cure"),
    [(0x51, 0x0693), (0x62, 0x0670), (0x65, 0x0820), (0xB1, 0x0650), (0xB2, 0x0811), (0xC1, 0x0670), (0xC2, 0x0670),
     (0xC4, 0x0810), (0xDC, 0x06B0), (0xF0, 0x0650), (0xF6, 0x0820), (0xCC, None), (0xDF, None), (0x00, None)],
)  # fmt: skip
def test_a_status_names_its_cure(code: int, cure: int | None) -> None:
    """5.2."""
    assert status_row(code).cure == cure


def test_every_status_is_told_in_four_languages() -> None:
    for row in STATUS_ROWS:
        assert all((row.text.en, row.text.de, row.text.fr, row.text.it)), hex(row.code)
        assert len({bool(text) for text in (row.remedy.en, row.remedy.de, row.remedy.fr, row.remedy.it)}) == 1
