"""Receipts that the register builds from 04 0F. Source: ZVT fact sheet 6.13, 7.2, 7.3, 7.7."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zahlwerk.currency import Currency
from zahlwerk.errors import InvalidRequest, NotSupported
from zahlwerk.interfaces.zvt.codec import decode
from zahlwerk.interfaces.zvt.information import StatusInformation, read_information
from zahlwerk.interfaces.zvt.messages import Message, Tlv
from zahlwerk.interfaces.zvt.own_receipts import WIDTH_MAX, WIDTH_MIN, build, copies_due, needs_signature
from zahlwerk.payment import PaymentKind, Receipt, ReceiptKind

MERCHANT, CUSTOMER = ReceiptKind.MERCHANT, ReceiptKind.CUSTOMER
EUR = Currency.of("EUR")
# 7.2: EUR 12.50 by girocard, contactless with PIN; tag 45 is 21000000.
APPROVED = decode(
    bytes.fromhex(
        "040F8F 2700 04000000001250 0B000271 0C142307 0D0318 0E2811 170001 1970 22F1F0EEEEEEEEEEEEEEE4713F 2962071183"
        "3B3731393338340000 3CF0F0F947454E45484D494754 490978 870153 88000153 8A05 8BF0F96769726F6361726400"
        "0631 2F0C1F1001021F1101011F120102 4504 21000000 6016430AA0000003591010028001 42086769726F63617264 1F1F020153"
    )
)
# 7.3: declined by the host.
DECLINED = decode(
    bytes.fromhex(
        "040F2E 2705 04000000001250 0B000272 0C142510 0D0318 2962071183 3CF0F0F9414247454C45484E54 490978 870000 8A06"
    )
)


def _with(message: Message, *tlvs: Tlv) -> Message:
    return msgspec.structs.replace(message, tlv=(*(message.tlv or ()), *tlvs))


def _changed(**changes: object) -> StatusInformation:
    return msgspec.structs.replace(read_information(APPROVED), **changes)


def _build(
    information: StatusInformation | Message = APPROVED,
    *,
    kind: ReceiptKind = CUSTOMER,
    title: PaymentKind = PaymentKind.PURCHASE,
    width: int = 32,
    language: str = "de",
    message: Message | None = None,
    result_text: str = "",
    mandate_text: str = "",
) -> Receipt:
    if isinstance(information, Message):
        message, information = information, read_information(information)
    return build(
        information, kind=kind, title=title, currency=EUR, width=width, language=language, message=message,
        result_text=result_text, mandate_text=mandate_text,
    )  # fmt: skip


def _has_line(receipt: Receipt, *words: str) -> bool:
    return any(line.split() == list(words) for line in receipt.text.splitlines())


class TestWhatIsAlwaysNeeded:
    """6.13: payment means, kind, amount, terminal, date, time, trace, receipt number."""

    def test_the_worked_payment_in_german(self) -> None:
        """Fact sheet 7.2."""
        receipt = _build()

        assert receipt.kind is CUSTOMER
        assert receipt.sequence == 153
        assert [line.strip() for line in receipt.text.splitlines()[:3]] == ["Kundenbeleg", "", "Zahlung"]
        for words in (
            ("Terminal-ID", "62071183"), ("Datum", "18.03."), ("Uhrzeit", "14:23:07"), ("Beleg-Nr.", "0153"),
            ("Trace-Nr.", "000271"), ("girocard",), ("Karte", "***************4713"), ("Genehmigungs-Nr.", "719384"),
            ("Kartenfolge-Nr.", "1"), ("Betrag", "EUR", "12,50"), ("Genehmigt",),
        ):  # fmt: skip
            assert _has_line(receipt, *words), words
        # The terminal's own word for it (3C) is the same: once is enough.
        assert receipt.text.casefold().count("genehmigt") == 1

    @pytest.mark.parametrize(
        ("language", "copy", "amount"),
        [
            ("de_CH", "Kundenbeleg", ("Betrag", "EUR", "12,50")),
            ("fr", "Copie client", ("Montant", "EUR", "12,50")),
            ("it", "Copia cliente", ("Importo", "EUR", "12,50")),
            ("en", "Customer copy", ("Amount", "EUR", "12.50")),
            ("hu", "Customer copy", ("Amount", "EUR", "12.50")),
        ],
    )
    def test_four_languages(self, language: str, copy: str, amount: tuple[str, ...]) -> None:
        """Others get English."""
        receipt = _build(language=language)

        assert receipt.text.splitlines()[0].strip() == copy
        assert _has_line(receipt, *amount)

    def test_the_currency_of_the_terminal_counts(self) -> None:
        """BMP 49; the till's own only where it is missing."""
        assert _has_line(_build(_changed(currency_number=756)), "Betrag", "CHF", "12.50")
        assert _has_line(_build(_changed(currency_number=None)), "Betrag", "EUR", "12,50")
        assert _has_line(_build(_changed(currency_number=392)), "Betrag", "JPY", "1250")

    def test_tip_and_cashback_are_part_of_the_amount(self) -> None:
        """Tags 1F36 and 1F25 (4.2)."""
        receipt = _build(_changed(tip_minor=100, cashback_minor=150))

        for words in (("Betrag", "EUR", "10,00"), ("Trinkgeld", "EUR", "1,00"), ("Barauszahlung", "EUR", "1,50")):
            assert _has_line(receipt, *words)
        assert _has_line(receipt, "Total", "EUR", "12,50")

    def test_a_reversal_names_the_original(self) -> None:
        """Fact sheet 7.7: 37 00 02 71."""
        receipt = _build(_changed(original_trace=271), title=PaymentKind.REVERSAL)

        assert _has_line(receipt, "Storno")
        assert _has_line(receipt, "Trace-Nr.", "Original", "000271")

    def test_the_hosts_own_code_is_printed(self) -> None:
        """BMP A0 if present (3.2)."""
        assert _has_line(_build(_changed(host_result=1)), "AS-Proc-Code", "01")

    def test_the_expiry_date_is_for_the_merchant_only(self) -> None:
        """0E where it is allowed."""
        assert _has_line(_build(kind=MERCHANT), "Gültig", "bis", "11/28")
        assert "11/28" not in _build(kind=CUSTOMER).text

    def test_the_contract_number_goes_with_credit_cards(self) -> None:
        """2A."""
        assert _has_line(_build(_changed(card_type=10, contract_number="4556677")), "VU-Nummer", "4556677")
        assert "4556677" not in _build(_changed(card_type=5, contract_number="4556677")).text

    @pytest.mark.parametrize(("kind", "text"), [(CUSTOMER, "for the customer"), (MERCHANT, "for the shop")])
    def test_ready_made_texts_are_printed_as_they_are(self, kind: ReceiptKind, text: str) -> None:
        """46 on the customer's copy, 47 on the merchant's."""
        information = _changed(customer_text="  for the customer\nAID A000", merchant_text="for the shop")

        assert text in _build(information, kind=kind).text
        assert ("  for the customer\nAID A000" in _build(information, kind=kind).text) == (kind is CUSTOMER)

    def test_header_outcome_and_advertising_frame_it(self) -> None:
        """64 above, 68 in the middle, 65 below (4.3)."""
        frame = (
            Tlv(0x64, (Tlv(0x07, "Bäckerei Muster"),)), Tlv(0x65, (Tlv(0x07, "Danke!"),)),
            Tlv(0x66, (Tlv(0x68, (Tlv(0x07, "Zahlung erfolgt"),)),)),
        )  # fmt: skip
        lines = [line.strip() for line in _build(_with(APPROVED, *frame)).text.splitlines()]

        assert (lines[0], lines[-1]) == ("Bäckerei Muster", "Danke!")
        assert "Zahlung erfolgt" in lines
        assert "Genehmigt" not in lines

    def test_emergency_mode_is_for_the_merchant(self) -> None:
        """1F28, 1F29 (4.2)."""
        message = _with(APPROVED, Tlv(0x1F28, 1), Tlv(0x1F29, 1))

        assert _has_line(_build(message, kind=MERCHANT), "Notbetrieb")
        assert _has_line(_build(message, kind=MERCHANT), "Limit", "übersteuert")
        assert "Notbetrieb" not in _build(message).text

    def test_a_refusal_says_so(self) -> None:
        """Fact sheet 7.3."""
        receipt = _build(DECLINED)

        assert _has_line(receipt, "Nicht", "genehmigt")
        assert not _has_line(receipt, "Genehmigt")
        assert _has_line(_build(DECLINED, result_text="Limit überschritten"), "Limit", "überschritten")


class TestCopies:
    """Tag 45: first nibble the merchant's, second the customer's."""

    @pytest.mark.parametrize(
        ("rule", "approved", "copies"),
        [
            ("00000000", True, ()),
            ("11000000", True, (MERCHANT, CUSTOMER)),
            ("11000000", False, ()),
            ("21000000", False, (MERCHANT,)),
            ("22000000", False, (MERCHANT, CUSTOMER)),
            ("02000000", True, (CUSTOMER,)),
        ],
    )
    def test_follow_the_rule(self, rule: str, approved: bool, copies: tuple[ReceiptKind, ...]) -> None:
        """0 none, 1 for approvals, 2 always."""
        message = Message(code=0x040F, tlv=(Tlv(0x45, rule),))

        assert copies_due(StatusInformation(), approved, message) == copies

    def test_the_worked_payment_has_a_rule(self) -> None:
        """7.2: the merchant's always, the customer's if approved."""
        information = read_information(APPROVED)

        assert copies_due(information, True, APPROVED) == (MERCHANT, CUSTOMER)
        assert copies_due(information, False, APPROVED) == (MERCHANT,)

    def test_without_a_rule_an_approval_gets_both(self) -> None:
        """And what was not approved none."""
        assert copies_due(StatusInformation(), True) == (MERCHANT, CUSTOMER)
        assert copies_due(StatusInformation(), False) == ()


class TestSignature:
    """6.13: 1F10; else BMP 19."""

    @pytest.mark.parametrize(
        ("changes", "signed"),
        [
            ({"cardholder_check": 0x01}, True),
            ({"cardholder_check": 0x05}, True),
            ({"cardholder_check": 0x06}, True),
            ({"cardholder_check": 0x07}, True),
            ({"cardholder_check": 0x00, "payment_type": 0x40}, False),
            ({"cardholder_check": 0x02, "payment_type": 0x60}, False),
            ({"cardholder_check": None, "card_type": 9, "technology": 0, "payment_type": 0x40}, True),
            ({"cardholder_check": 0xFF, "card_type": 10, "technology": 0, "payment_type": 0x60}, True),
            ({"cardholder_check": None, "card_type": 10, "technology": 0, "payment_type": 0x70}, False),
            ({"cardholder_check": None, "card_type": 10, "technology": 2, "payment_type": 0x60}, False),
            ({"cardholder_check": None, "card_type": 5, "technology": 1, "payment_type": 0x60}, False),
            ({"cardholder_check": 0x01, "result": 5}, False),
        ],
    )
    def test_is_asked_for_when_the_result_says_so(self, changes: dict[str, object], signed: bool) -> None:
        """And only on the merchant's copy."""
        information = _changed(merchant_text="x", **changes)

        assert needs_signature(information) == signed
        assert ("Unterschrift" in _build(information, kind=MERCHANT).text) == signed
        assert "Unterschrift" not in _build(information, kind=CUSTOMER).text

    def test_a_direct_debit_has_the_text_that_is_signed(self) -> None:
        """6.13, with the mandate of SEPA (1F51) above the line."""
        information = _changed(card_type=9, cardholder_check=1)
        message = _with(APPROVED, Tlv(0x1F51, "MANDAT-77"))
        text = _build(information, kind=MERCHANT, message=message, mandate_text="Ich ermächtige ...").text

        assert (
            text.index("MANDAT-77") < text.index("Ich ermächtige ...") < text.index("____") < text.index("Unterschrift")
        )


class TestWhatOnlyTerminalsPrint:
    """6.13."""

    @pytest.mark.parametrize("tag", [0xE2, 0x63])
    def test_currency_conversion_and_prepaid_cards(self, tag: int) -> None:
        """E2 and 63."""
        with pytest.raises(NotSupported, match="only the terminal may print it"):
            _build(_with(APPROVED, Tlv(tag, (Tlv(0x1F1B, 250),))))

    def test_a_direct_debit_without_its_text(self) -> None:
        """Nobody could collect it; the customer's copy needs no such text."""
        information = _changed(card_type=9)

        with pytest.raises(NotSupported, match="direct debit"):
            _build(information, kind=MERCHANT)
        assert _build(information, kind=CUSTOMER).text

    def test_an_unknown_result_has_no_receipt(self) -> None:
        """A missing 27 is unknown (3.3)."""
        with pytest.raises(InvalidRequest, match="result is missing"):
            _build(_changed(result=None))

    def test_an_approval_without_amount_has_no_receipt(self) -> None:
        """Nobody prints an amount that the terminal did not tell."""
        with pytest.raises(InvalidRequest, match="without an amount"):
            _build(_changed(amount_minor=None))
        assert _build(_changed(amount_minor=None), title=PaymentKind.REVERSAL).text

    @pytest.mark.parametrize("width", [WIDTH_MIN - 1, WIDTH_MAX + 1])
    def test_paper_has_its_limits(self, width: int) -> None:
        """WIDTH_MIN to WIDTH_MAX."""
        with pytest.raises(InvalidRequest, match="characters wide"):
            _build(width=width)

    def test_a_payment_has_two_copies(self) -> None:
        """No report is built here."""
        with pytest.raises(InvalidRequest, match="merchant and a customer copy"):
            _build(kind=ReceiptKind.END_OF_DAY)


class TestPaper:
    @given(st.integers(WIDTH_MIN, WIDTH_MAX), st.sampled_from(["de", "fr", "it", "en"]), st.sampled_from(PaymentKind))
    def test_no_line_is_wider_than_the_paper(self, width: int, language: str, title: PaymentKind) -> None:
        """Whatever language, kind and width."""
        for kind in (MERCHANT, CUSTOMER):
            text = _build(width=width, language=language, title=title, kind=kind).text
            assert max(map(len, text.splitlines())) <= width

    @given(st.text(max_size=80))
    def test_any_text_of_a_terminal_is_harmless(self, text: str) -> None:
        """No control characters, no lost amount."""
        receipt = _build(_changed(additional_text=text, card_name=text, customer_text=text), result_text=text)

        assert _has_line(receipt, "Betrag", "EUR", "12,50")
        assert not any(ord(character) < 0x20 and character != "\n" for character in receipt.text)

    def test_no_card_number_gets_through(self) -> None:
        """Not even one that a terminal puts into a text."""
        digits = "4" + "1" * 15

        assert digits not in _build(_changed(additional_text=digits)).text
