"""`decode zvt`: every worked example in words, and nothing that must not be shown."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zahlwerk.errors import RemoteProtocolError
from zahlwerk.interfaces.zvt.codec import decode
from zahlwerk.interfaces.zvt.dictionary import BITMAPS, TAGS, Format, Length, Secrecy
from zahlwerk.interfaces.zvt.explain import Explainer
from zahlwerk.interfaces.zvt.framing import make_apdu
from zahlwerk.interfaces.zvt.masking import decoded_for_trace, mask_apdu
from zahlwerk.interfaces.zvt.serial_frames import encode_frame
from zahlwerk.interfaces.zvt.walk import Part, walk

DECLINED = "04 0F 0F 27 05 04 00 00 00 00 12 50 49 09 78 87 01 53"
PAN = "4" + "1" * 15


def b(text: str) -> bytes:
    return bytes.fromhex(text)


def field(text: str, name: str, *, before: str = "", language: str = "en") -> tuple[str, str]:
    explainer = Explainer(language=language)
    if before:
        explainer.explain(b(before))
    (found,) = explainer.explain(b(text))
    assert found.ok, found.error
    one = next(one for one in found.fields if one.name == name)
    return one.value, one.meaning


class TestInWords:
    def test_a_result_says_what_staff_may_do(self) -> None:
        value, meaning = field(DECLINED, "result")
        assert value == "5"
        assert "refused" in meaning
        assert "another means of payment" in meaning

    def test_in_the_language_that_is_asked_for(self) -> None:
        assert "abgelehnt" in field(DECLINED, "result", language="de")[1]

    def test_a_status_is_one_only_after_its_question(self) -> None:
        assert "diagnosis" in field("06 0F 01 C2", "status", before="05 01 00")[1]

    def test_a_key_is_named_after_its_question(self) -> None:
        assert field("80 00 01 0D", "input", before="06 E1 00") == ("0D", "OK")

    def test_config_bits_are_spelled_out(self) -> None:
        meaning = field("06 00 06 00 00 00 BE 09 78", "config")[1]
        assert "no amount entry at the terminal" in meaning

    @pytest.mark.parametrize(
        ("text", "name", "meaning"),
        [
            ("06 0F 02 19 00", "status", "nothing to do"),
            ("06 0F 02 19 03", "status", "initialisation needed, diagnosis needed"),
            ("06 01 02 19 40", "payment_type", "the terminal decides, without GeldKarte"),
            ("06 01 02 19 48", "payment_type", "the terminal decides, without GeldKarte, a tip may follow"),
            ("06 01 02 19 34", "payment_type", "with PIN, printer of the register ready"),
            ("04 0F 02 19 40", "payment_type", "offline"),
            ("04 0F 02 19 70", "payment_type", "with PIN"),
            ("06 C0 03 1E 19 50", "card_type", "chip and magnetic stripe"),
            ("06 C0 03 1E 19 20", "card_type", "chip"),
        ],
    )
    def test_bmp_19_means_what_its_command_makes_of_it(self, text: str, name: str, meaning: str) -> None:
        """Chapters 2.7 and 2.8."""
        assert field(text, name)[1] == meaning

    @pytest.mark.parametrize(
        ("attribute", "meaning"),
        [
            ("00", "normal"), ("03", "indented by 3"), ("60", "centred, double width"), ("14", "double height, indented by 4"),
            ("81", "end of the receipt"), ("80", "reserved"), ("FF", "line feeds"),
        ],
    )  # fmt: skip
    def test_a_print_attribute_is_read_as_in_2_10(self, attribute: str, meaning: str) -> None:
        text = f"06 D1 02 {attribute} 03"
        assert field(text, "attribute")[1] == meaning

    @pytest.mark.parametrize(
        ("answer", "name"),
        [
            ("80 00 00", "Positive answer"),
            ("84 9C 00", "Answer to the result: ask again in 2 seconds"),
            ("84 9D 07 04 00 00 00 00 01 20", "Answer to the result: only a part of the goods was issued"),
            ("84 66 00", "Answer to the result: no, take it back"),
        ],
    )
    def test_what_answers_a_result_is_a_decision(self, answer: str, name: str) -> None:
        """Chapter 2.4: 84 66 is no broken card reader there."""
        explainer = Explainer()
        explainer.explain(b(DECLINED))
        assert explainer.explain(b(answer))[0].name == name

    def test_a_refused_registration_is_no_fault_of_the_bank(self) -> None:
        """84 1E with a reason (2.4)."""
        (found,) = Explainer().explain(b("84 1E 03 6F 09 78"))
        assert found.name == "Negative answer: the registration is refused"

    def test_all_open_pre_authorisations_are_asked_for_with_ffff(self) -> None:
        assert field("06 23 03 87 FF FF", "receipt_number")[1] == "every open pre-authorisation"

    def test_the_figures_of_a_day_are_told(self) -> None:
        """7.5: their digits pass for card numbers, and are none."""
        totals = "01 00 01 52 08 00 00 00 04 12 50 00 00 00 00 00 00 00 03 00 00 00 04 63 20 00 00 00 00 00 00 00"
        totals += " 02 00 00 00 01 46 25" + " 00" * 14
        value, meaning = field(f"04 0F 39 60 F0 F5 F3 {totals}", "totals")
        assert value == totals
        assert meaning == "receipts 100 to 152: girocard 8 / 412.50, Mastercard 3 / 463.20, Visa 2 / 146.25"

    def test_a_card_number_among_the_figures_is_not(self) -> None:
        totals = "01 00 01 52 41 11 11 11 11 11 11 11" + " 00" * 41
        assert "11 11" not in field(f"04 0F 39 60 F0 F5 F3 {totals}", "totals")[0]

    def test_a_password_is_starred(self) -> None:
        assert set(field("06 50 03 12 34 56", "password")[0]) == {"*"}
        assert b"\x12\x34\x56" not in mask_apdu(b("06 50 03 12 34 56"))

    def test_nesting_is_shown(self) -> None:
        (found,) = Explainer().explain(b("04 0F 0A 27 00 06 06 2F 04 1F 10 01 02"))
        assert [(one.name, one.depth) for one in found.fields][-3:] == [
            ("tlv", 0), ("payment_way", 1), ("cardholder_check", 2),
        ]  # fmt: skip
        assert found.fields[-1].meaning == "online PIN"

    def test_several_in_a_line_and_serial_frames(self) -> None:
        assert [one.name for one in Explainer().explain(b("80 00 00 06 0F 00"))] == ["Positive answer", "Completion"]
        framed = encode_frame(b("05 01 00")) + b"\x06"
        assert [one.name for one in Explainer().explain(framed)] == ["Status enquiry", "ACK"]

    def test_a_wrong_check_sum_is_told(self) -> None:
        frame = bytearray(encode_frame(b("05 01 00")))
        frame[-1] ^= 1
        assert not Explainer().explain(bytes(frame))[0].ok

    def test_what_is_not_understood_says_where(self) -> None:
        (found,) = Explainer().explain(b("04 0F 03 27 00 A8"))
        assert (found.ok, found.position) == (False, 5)

    @given(st.binary(max_size=200))
    @settings(max_examples=300, deadline=None)
    def test_any_bytes_give_something(self, data: bytes) -> None:
        for one in Explainer().explain(data):
            assert one.ok or one.error


class TestTheWalker:
    @given(
        st.sampled_from([0x040F, 0x0601, 0x06D3, 0x04FF, 0x061E, 0x060F, 0x8000, 0x841E, 0x0600]),
        st.binary(max_size=120),
    )
    @settings(max_examples=500, deadline=None)
    def test_agrees_with_the_codec(self, code: int, data: bytes) -> None:
        apdu = make_apdu(code, data)
        message, walked = decode(apdu), walk(apdu)
        assert walked.position == message.position
        read = {int(node.key, 16) for node in walked.nodes if node.part is Part.FIELD}
        assert read == set(message.fields)

    @given(st.binary(max_size=200))
    @settings(max_examples=300, deadline=None)
    def test_covers_every_byte_once(self, data: bytes) -> None:
        with contextlib.suppress(RemoteProtocolError):
            nodes = [node for node in walk(data).nodes if node.part is not Part.CONTAINER]
            ends = [node.end for node in nodes]
            assert ends == sorted(ends)


def _planted(row_format: Format, length: Length) -> bytes:
    raw = PAN.encode() if row_format in {Format.ASCII, Format.TEXT} else bytes.fromhex(PAN)
    digits = {Length.LL: 2, Length.LLL: 3}.get(length, 0)
    head = b"".join(bytes([0xF0 + int(digit)]) for digit in f"{len(raw):0{digits}d}") if digits else b""
    return head + raw


SECRET_FIELDS = [
    row.number for row in BITMAPS.values()
    if row.secrecy is not Secrecy.OPEN and row.length in {Length.LL, Length.LLL}
]  # fmt: skip


class TestNothingSecret:
    @pytest.mark.parametrize("number", SECRET_FIELDS, ids=lambda number: f"{number:02X}")
    def test_of_a_field_gets_out(self, number: int) -> None:
        row = BITMAPS[number]
        apdu = make_apdu(0x040F, bytes([number]) + _planted(row.format, row.length))
        self._check(apdu)

    @pytest.mark.parametrize(
        "tag", [row.tag for row in TAGS.values() if row.secrecy is Secrecy.SECRET], ids=lambda tag: f"{tag:X}"
    )
    def test_of_a_tag_gets_out(self, tag: int) -> None:
        raw = _planted(TAGS[tag].format, Length.FIXED)
        name = tag.to_bytes((tag.bit_length() + 7) // 8, "big")
        inside = name + bytes([len(raw)]) + raw
        self._check(make_apdu(0x040F, b"\x06" + bytes([len(inside)]) + inside))
        outer = b"\x60" + bytes([len(inside)]) + inside
        self._check(make_apdu(0x040F, b"\x06" + bytes([len(outer)]) + outer))

    @pytest.mark.parametrize("data", [bytes.fromhex(PAN), PAN.encode(), b"\x12" + bytes.fromhex("0" + PAN + "F")])
    def test_of_what_nobody_knows_gets_out(self, data: bytes) -> None:
        inside = b"\x1f\x7a" + bytes([len(data)]) + data
        self._check(make_apdu(0x040F, b"\x06" + bytes([len(inside)]) + inside))
        self._check(make_apdu(0x0FA1, data))
        self._check(make_apdu(0x040F, b"\xa8" + data))
        self._check(make_apdu(0x06D1, b"\x00" + data))

    def _check(self, apdu: bytes) -> None:
        masked = mask_apdu(apdu)
        assert len(masked) == len(apdu)
        told = masked.hex() + masked.decode("latin-1") + repr(decoded_for_trace(apdu)) + repr(Explainer().explain(apdu))
        assert PAN not in told
        assert "1" * 11 not in told


def test_an_approval_code_is_no_card_number_however_its_bytes_look() -> None:
    """3B is filled up with 00 (3.2); six digits and that in hexadecimal pass for a card number once in a few."""
    for number in range(0, 1_000_000, 1_237):
        apdu = b("04 0F 09 3B") + f"{number:06d}".encode() + b("00 00")
        assert mask_apdu(apdu) == apdu


def test_what_may_be_a_card_number_in_a_text_is_starred_legibly() -> None:
    """Control characters in a text (3C, 23 bytes): nobody knows what it is, so nothing of it stays."""
    apdu = b("04 0F 1A 3C F0 F2 F2") + b"\x014111 1111 1111 1111\x02\x03" + b("00")
    assert mask_apdu(apdu) == apdu[:7] + b"*" * 22 + b("00")


def test_a_trace_names_the_message_first() -> None:
    """As KIT's does: one member, named after the message."""
    assert decoded_for_trace(b("06 20 05 00 00 00 03 03")) == {"repeat_receipt": {"code": "06 20", "fields": {"03": 3}}}
    assert decoded_for_trace(b("84 83 00")) == {"answer": {"code": "84 83"}}
    assert list(decoded_for_trace(b("06 01 05 04"))) == ["?"]  # type: ignore[call-overload]  # it is a dict
