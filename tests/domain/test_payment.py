"""What can be asked for, and what a payment says about itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zahlwerk import payment as payment_module
from zahlwerk.errors import CardDataRefused, InvalidRequest, MoneyMoved
from zahlwerk.lifecycle import MONEY, PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import (
    AMOUNT_KINDS,
    REFERENCE_KINDS,
    REFERENCE_MAX,
    Original,
    Outcome,
    Payment,
    PaymentKind,
    PaymentRequest,
    Receipt,
    ReceiptKind,
    new_reference,
)

CHF = Money.of(1250, "CHF")
ORIGINAL = Original(transaction_reference="123", acquirer_id=3)


def _fields(kind: PaymentKind) -> dict[str, Any]:
    fields: dict[str, Any] = {"kind": kind}
    if kind in AMOUNT_KINDS:
        fields["amount"] = CHF
    if kind in REFERENCE_KINDS:
        fields["original"] = ORIGINAL
    if kind is PaymentKind.PURCHASE_WITH_CASHBACK:
        fields["cashback"] = Money.of(5000, "CHF")
    if kind is PaymentKind.PHONE_AUTHORISED:
        fields["authorisation_code"] = "123456"
    return fields


class TestRequests:
    @pytest.mark.parametrize("kind", list(PaymentKind))
    def test_every_kind_can_be_asked_for(self, kind: PaymentKind) -> None:
        """With what it needs and nothing more; each request gets a reference of its own."""
        request = PaymentRequest(**_fields(kind))

        assert request.reference != PaymentRequest(**_fields(kind)).reference

    @pytest.mark.parametrize("kind", list(PaymentKind))
    def test_an_amount_is_needed_or_refused(self, kind: PaymentKind) -> None:
        """Exactly as the table of kinds says."""
        fields = _fields(kind)
        fields["amount"] = None if kind in AMOUNT_KINDS else CHF

        with pytest.raises(InvalidRequest, match=f"a {kind.value} (needs an|has no) amount"):
            PaymentRequest(**fields)

    @pytest.mark.parametrize(
        ("fields", "text"),
        [
            ({"amount": Money.zero("CHF")}, "the amount must be more than zero, got CHF 0.00"),
            ({"amount": -CHF}, "the amount must be more than zero, got CHF -12.50"),
            ({"tip": Money.of(100, "EUR")}, "the tip must be in the currency of the amount"),
            ({"tip": Money.of(-1, "CHF")}, "the tip must not be negative, got CHF -0.01"),
            ({"cashback": Money.of(1, "CHF")}, "cashback goes with a purchase with cashback only"),
            ({"kind": PaymentKind.PURCHASE_WITH_CASHBACK}, "a purchase with cashback needs the cashback amount"),
            ({"kind": PaymentKind.PHONE_AUTHORISED}, "a phone authorised payment needs the code got by telephone"),
            (
                {"kind": PaymentKind.RESERVATION_CAPTURE},
                "a reservation capture needs the transaction reference of the reservation",
            ),
            ({"reference": ""}, "a reference has 1 to 48 characters, got 0"),
            ({"reference": " "}, "a reference has 1 to 48 characters, got 1"),
            ({"reference": "x" * (REFERENCE_MAX + 1)}, "a reference has 1 to 48 characters, got 49"),
            ({"reference": "a\nb"}, "a reference has printable characters only"),
        ],
    )
    def test_a_request_that_makes_no_sense_is_refused(self, fields: dict[str, Any], text: str) -> None:
        """Before anything is sent, in one sentence."""

        with pytest.raises(InvalidRequest) as caught:
            PaymentRequest(**{"amount": CHF, **fields})

        assert str(caught.value) == text
        assert caught.value.money_moved is MoneyMoved.NO

    @pytest.mark.parametrize("name", ["reference", "order_reference", "unknown_tag_text", "reason_code"])
    def test_a_card_number_in_a_text_is_refused(self, name: str) -> None:
        """Texts are journaled and printed."""
        fields: dict[str, Any] = {name: "4111 1111 1111 1111"}

        with pytest.raises(CardDataRefused, match=name):
            PaymentRequest(amount=CHF, **fields)

    @given(st.integers(1, 10**9), st.integers(0, 10**6))
    def test_the_total_is_amount_and_extras(self, amount: int, tip: int) -> None:
        """What the card is asked for."""
        request = PaymentRequest(amount=Money.of(amount, "CHF"), tip=Money.of(tip, "CHF"))

        assert request.total == Money.of(amount + tip, "CHF")

    def test_without_an_amount_there_is_no_total(self) -> None:
        """A reversal has none."""

        assert PaymentRequest(kind=PaymentKind.REVERSAL).total is None

    def test_own_references_are_short_printable_and_different(self) -> None:
        """Five hundred of them."""
        references = {new_reference() for _ in range(500)}

        assert len(references) == 500
        assert all(reference.startswith("zw-") and len(reference) <= REFERENCE_MAX for reference in references)

    def test_an_own_reference_never_looks_like_a_card_number(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A random one does once in some 10,000, and would be refused when it is used."""
        dealt = iter(["4111111111111111", "0123456789abcdef"])
        monkeypatch.setattr("secrets.token_hex", lambda _: next(dealt))

        assert payment_module.new_reference() == "zw-0123456789abcdef"


class TestPayments:
    def _payment(self, **fields: Any) -> Payment:
        return Payment(
            **{
                "reference": "r",
                "kind": PaymentKind.PURCHASE,
                "outcome": Outcome.APPROVED,
                "state": PaymentState.CONFIRMED,
                **fields,
            }
        )

    @pytest.mark.parametrize("state", list(PaymentState))
    def test_the_state_says_what_happened_to_the_money(self, state: PaymentState) -> None:
        """From the table, never guessed."""

        assert self._payment(state=state).money_moved is MONEY[state]

    @pytest.mark.parametrize("outcome", list(Outcome))
    def test_only_an_approval_is_approved(self, outcome: Outcome) -> None:
        """The other five are not."""

        assert self._payment(outcome=outcome).is_approved is (outcome is Outcome.APPROVED)

    @pytest.mark.parametrize("shown", ["", "411111******1111", "************1111", "XXXX XXXX XXXX 1111"])
    def test_a_masked_number_is_kept(self, shown: str) -> None:
        """Or none."""

        assert self._payment(masked_pan=shown).masked_pan == shown

    def test_an_unmasked_number_is_refused(self) -> None:
        """Whatever the terminal sent."""

        with pytest.raises(CardDataRefused, match="masked_pan"):
            self._payment(masked_pan="4111111111111111")

    def test_receipts_are_found_by_kind(self) -> None:
        """The first of its kind, or an empty text."""
        payment = self._payment(receipts=(Receipt(ReceiptKind.MERCHANT, "m"), Receipt(ReceiptKind.CUSTOMER, "c")))

        assert payment.receipt(ReceiptKind.CUSTOMER) == "c"
        assert payment.receipt(ReceiptKind.END_OF_DAY) == ""

    def test_a_copy_differs_where_it_should(self) -> None:
        """And an unknown field is a mistake."""
        payment = self._payment()

        assert payment.but(brand="Visa").brand == "Visa"
        assert payment.brand == ""
        with pytest.raises(TypeError):
            payment.but(colour="red")
