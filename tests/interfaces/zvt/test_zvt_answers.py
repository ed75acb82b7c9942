"""Payments as results (04 0F), whatever terminal is behind: one that was approved is always told. Source: 3.3, 6.12."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from zahlwerk.interfaces.zvt.answers import Asked, status_information
from zahlwerk.interfaces.zvt.charsets import BY_NUMBER, CP437, UTF_8, Charset
from zahlwerk.interfaces.zvt.codec import decode, encode
from zahlwerk.interfaces.zvt.information import StatusInformation, read_information
from zahlwerk.interfaces.zvt.terminal import Registered
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentKind

NOW = datetime(2026, 3, 18, 14, 23, 7, tzinfo=UTC).replace(tzinfo=None)


def told(charset: Charset = CP437, **facts: object) -> StatusInformation:
    """What a register reads of an approval of 12.50."""
    payment = Payment(
        reference="r", kind=PaymentKind.PURCHASE, outcome=Outcome.APPROVED, state=PaymentState.CONFIRMED,
        approved=Money.of(1250, "EUR"),
    ).but(**facts)  # fmt: skip
    registered = Registered(tlv=True, charset=charset)
    asked = Asked(has_currency=True, wants_token=True)
    message = status_information(payment, registered, asked, code=None, now=NOW, terminal_id="62071183")
    return read_information(decode(encode(message, charset=charset), charset=charset, strict=True))


@pytest.mark.parametrize(
    "facts",
    [
        {"aid": "A000000003101Z"},
        {"aid": "A00"},
        {"masked_pan": "1234567890123"},
        {"masked_pan": "123456789****4711"},
        {"masked_pan": "4111 11** **** 1111"},
        {"brand": "€" * 200},
        {"brand": "Müller-Karte " * 20},
        {"authorisation_code": "Ä" * 20},
        {"authorisation_code": "123456789012"},
        {"sequence": 12_345_678},
        {"token": "keine Base64!"},
        {"message": "ü" * 500},
        {"available": Money.of(5, "EUR")},
    ],
    ids=str,
)
@pytest.mark.parametrize("charset", [CP437, UTF_8, BY_NUMBER[0x00]], ids=lambda charset: charset.name)
def test_an_approval_is_told_whatever_else_the_terminal_says(facts: dict[str, object], charset: Charset) -> None:
    found = told(charset, **facts)
    assert (found.result, found.amount_minor, found.currency_number) == (0, 1250, 978)


def test_a_number_that_shows_too_much_is_masked_further() -> None:
    assert told(masked_pan="123456789****4711").masked_pan == "123456EEEEEEE4711"
    assert told(masked_pan="411111******1111").masked_pan == "411111EEEEEE1111"


def test_an_application_in_hexadecimal_is_told_and_any_other_is_left_out() -> None:
    assert told(aid="A0000000031010").aid == "A0000000031010"
    assert told(aid="A000000003101Z").aid == ""
