"""Receipts: laid out for a width, in four languages, marked as a test; and the texts of the display."""

from __future__ import annotations

from datetime import datetime

import pytest

from zahlwerk.carddata import contains_card_data
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Dcc, Outcome, Payment, PaymentKind, ReceiptKind
from zahlwerk.terminal import Total, TotalKind
from zahlwerk.virtual.receipts import Head, payment_receipt, service_receipt
from zahlwerk.virtual.signature import signature_png
from zahlwerk.virtual.texts import LANGUAGES, display_number, display_text, known_language, word

PAYMENT = Payment(
    reference="R1", kind=PaymentKind.PURCHASE, outcome=Outcome.APPROVED, state=PaymentState.CONFIRMED,
    approved=Money.of(1375, "CHF"), tip=Money.of(125, "CHF"), dcc=Dcc(Money.of(1572, "USD"), "1.1432"),
    brand="VISA", masked_pan="411111XXXXXX1111", aid="A0000000031010", sequence=4711, acquirer_id=2,
    authorisation_code="ABC123", transaction_reference="123456789012340", e_signature_png=signature_png("x"),
)  # fmt: skip


def head(language: str, width: int) -> Head:
    return Head(language=language, width=width, merchant="Testladen, Bern", terminal_id="ZW000001",
                at=datetime.fromisoformat("2026-11-23T10:15:30"), shift=12, period=3)  # fmt: skip


GERMAN_34 = """\
       TEST - KEINE ZAHLUNG
         Testladen, Bern

           Händlerbeleg

23.11.2026                10:15:30
Terminal                  ZW000001
Schicht 12               Periode 3
             Buchung
Karte                         VISA
Nummer            411111XXXXXX1111
AID                 A0000000031010
Trx-Nr.                       4711
Acquirer                         2
Aut.-Code                   ABC123
Ref.               123456789012340
Auftrag                2026-000123

Betrag                   CHF 12.50
Trinkgeld                 CHF 1.25
Total                    CHF 13.75
Kurs                        1.1432
In Kartenwährung         USD 15.72

Unterschrift
<ESignature />

       TEST - KEINE ZAHLUNG"""

ENGLISH_20 = """\
TEST - NO PAYMENT
  Testladen, Bern

  Customer receipt

23.11.2026  10:15:30
Terminal    ZW000001
Shift 12    Period 3
      Purchase
Card            VISA
Number
    411111XXXXXX1111
AID   A0000000031010
Trx no.         4711
Acquirer           2
Auth. code    ABC123
Ref. 123456789012340

Amount     CHF 12.50
Tip         CHF 1.25
Total      CHF 13.75
Rate          1.1432
Card currency
           USD 15.72

TEST - NO PAYMENT"""


def test_a_merchant_receipt_in_german_looks_like_this() -> None:
    assert payment_receipt(PAYMENT, ReceiptKind.MERCHANT, head("de", 34), order="2026-000123") == GERMAN_34


def test_a_customer_receipt_on_narrow_paper_looks_like_this() -> None:
    got = payment_receipt(PAYMENT, ReceiptKind.CUSTOMER, head("en", 20))

    assert [line.strip() for line in got.splitlines()] == [line.strip() for line in ENGLISH_20.splitlines()]


@pytest.mark.parametrize("width", [20, 34, 80])
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", list(ReceiptKind))
def test_every_receipt_keeps_to_the_paper_and_is_marked_as_a_test(kind: ReceiptKind, language: str, width: int) -> None:
    totals = (
        Total(brand="VISA", kind=TotalKind.DEBIT, count=12, amount=Money.of(48250, "CHF"), tip=Money.of(1200, "CHF")),
    )
    texts = [
        payment_receipt(PAYMENT, kind, head(language, width), order="2026-000123", sign_by_hand=True),
        service_receipt(kind, head(language, width), totals=totals),
        service_receipt(kind, head(language, width), totals=()),
    ]

    for text in texts:
        assert max(map(len, text.splitlines())) <= width
        assert " ".join(text.split()).startswith(word("test", language))
        assert " ".join(text.split()).endswith(word("test", language))
        assert not contains_card_data(text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_function_has_a_name_in_every_language(language: str) -> None:
    assert all(word(f"kind {kind.value}", language) for kind in PaymentKind)
    assert all(word(f"total {kind.value}", language) for kind in TotalKind)
    assert display_text("PRESENT_CARD", language, amount="CHF 1.00").endswith("CHF 1.00")


def test_an_unknown_language_is_english_and_numbers_are_the_terminals() -> None:
    assert [known_language("rm", "fr_CH"), known_language("rm")] == ["fr", "en"]
    assert (display_number("SIGN"), display_number("WAIT")) == (10005, 10001)


def test_a_signature_is_a_small_picture_and_the_same_each_time() -> None:
    image = signature_png("visa")

    assert image == signature_png("visa")
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    assert image.endswith(b"IEND\xaeB`\x82")
    assert len(image) < 400
