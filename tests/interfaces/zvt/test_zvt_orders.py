"""Commands as orders to the terminal behind: never more money than the register said. Source: ZVT 2.2, 4.2, 6.4, 6.5."""

from __future__ import annotations

import pytest

from zahlwerk.currency import Currency
from zahlwerk.errors import InvalidRequest
from zahlwerk.interfaces.zvt.codec import decode
from zahlwerk.interfaces.zvt.framing import make_apdu
from zahlwerk.interfaces.zvt.orders import Known, Order, currency_of, order_of
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentKind

EUR = Currency.of("EUR")
PAY = "04 00 00 00 00 12 50"


def held(kind: PaymentKind) -> Known:
    known = Known()
    known.add(
        Payment(
            reference="r",
            kind=kind,
            outcome=Outcome.APPROVED,
            state=PaymentState.CONFIRMED,
            approved=Money.of(10_000, "EUR"),
            sequence=154,
        )
    )
    return known


def order(code: int, block: str, known: Known | None = None) -> Order:
    message = decode(make_apdu(code, bytes.fromhex(block)), strict=True)
    currency = currency_of(message, None, EUR)
    assert currency is not None
    return order_of(message, known or Known(), currency, can_hold=True, language="de")


@pytest.mark.parametrize(
    ("tags", "amount", "tip", "cashback"),
    [
        ("", 1250, 0, 0),
        ("06 05 1F 36 02 02 50", 1000, 250, 0),
        ("06 05 1F 25 02 10 00", 250, 0, 1000),
        ("06 0A 1F 25 02 10 00 1F 36 02 02 00", 50, 200, 1000),
    ],
)
def test_tip_and_cashback_are_part_of_the_amount(tags: str, amount: int, tip: int, cashback: int) -> None:
    request = order(0x0601, f"{PAY} {tags}").request
    assert request is not None
    assert request.amount == Money.of(amount, "EUR")
    assert (request.tip.amount if request.tip else 0) == tip
    assert (request.cashback.amount if request.cashback else 0) == cashback


@pytest.mark.parametrize(
    "tags", ["06 05 1F 36 02 12 51", "06 05 1F 25 02 20 00", "06 0A 1F 25 02 12 50 1F 36 02 00 01"]
)
def test_more_of_them_than_the_amount_is_refused_and_not_charged_on_top(tags: str) -> None:
    with pytest.raises(InvalidRequest, match="more than the amount"):
        order(0x0601, f"{PAY} {tags}")


@pytest.mark.parametrize(
    ("code", "block", "captured"),
    [
        (0x0623, "87 01 54 04 00 00 00 00 36 60 49 09 78", 6340),
        (0x0623, "87 01 54", 10_000),
        (0x0623, "87 01 54 04 00 00 00 01 00 00", None),
        (0x0624, "87 01 54 04 00 00 00 00 63 40 49 09 78", 6340),
        (0x0624, "87 01 54", 10_000),
        (0x0625, "87 01 54", None),
    ],
)
def test_a_reservation_is_settled_by_its_unused_or_its_used_part(code: int, block: str, captured: int | None) -> None:
    """7.6."""
    found = order(code, block, held(PaymentKind.AUTHORISATION))
    assert found.hold is not None
    assert (found.captured.amount if found.captured else None) == captured


@pytest.mark.parametrize(
    ("code", "block"),
    [
        (0x0623, "87 01 54 04 00 00 00 01 00 01"),
        (0x0623, "87 01 54 04 00 00 00 00 36 60 49 07 56"),
        (0x0624, "87 01 54 04 00 00 00 00 63 40 49 07 56"),
        (0x0623, "87 01 99 04 00 00 00 00 36 60"),
        (0x0623, ""),
        (0x0626, "04 00 00 00 00 63 40 49 09 78 0B 00 02 76 3B 30 35 38 38 31 32 00 00"),
        (0x0630, "00 00 00 87 00 00"),
        (0x0601, f"{PAY} 06 05 1F 36 02 12 50"),
        (0x0601, "04 00 00 00 00 12 5A"),
    ],
)
def test_what_cannot_be_meant_is_refused(code: int, block: str) -> None:
    with pytest.raises(InvalidRequest):
        order(code, block, held(PaymentKind.AUTHORISATION))
