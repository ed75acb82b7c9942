"""Payments between the domain's words and KIT's: what is asked and answered comes back the same."""

from __future__ import annotations

import base64
import string
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.interfaces.kit.kit_strategies import message_of

from zahlwerk.carddata import is_masked
from zahlwerk.errors import TerminalError
from zahlwerk.interfaces.kit.codec import missing_fields
from zahlwerk.interfaces.kit.codes import TrxFunction
from zahlwerk.interfaces.kit.conversion import (
    FUNCTION_OF_KIND,
    KIND_OF_FUNCTION,
    functions_of,
    kinds_of,
    payment_from_response,
    request_from_wire,
    request_to_wire,
    response_from_payment,
    wire_id,
)
from zahlwerk.interfaces.kit.messages import TransactionRequest, TransactionResponse
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import (
    AMOUNT_KINDS,
    REFERENCE_KINDS,
    Dcc,
    EntryMode,
    Original,
    Outcome,
    Payment,
    PaymentKind,
    PaymentRequest,
    UnknownTag,
)

# The terminal tells no zone (P-41), and two digits of the year.
moments = st.datetimes(datetime(2000, 1, 1), datetime(2060, 1, 1)).map(lambda t: t.replace(microsecond=0))
texts = st.text(string.ascii_letters, max_size=12)
amounts = st.integers(1, 10**10).map(lambda minor: Money.of(minor, "CHF")) | st.integers(1, 10**6).map(
    lambda minor: Money.of(minor, "JPY")
)


@st.composite
def requests(draw: st.DrawFn) -> PaymentRequest:
    kind = draw(st.sampled_from(PaymentKind))
    amount = draw(amounts) if kind in AMOUNT_KINDS else None
    cashback = (
        Money(draw(st.integers(1, 10**6)), amount.currency)
        if kind is PaymentKind.PURCHASE_WITH_CASHBACK and amount
        else None
    )
    original = Original(draw(st.text("123456789", min_size=1, max_size=9)), draw(st.none() | st.integers(0, 99)),
                        draw(st.none() | st.integers(0, 99_999_999)))  # fmt: skip
    return PaymentRequest(
        kind=kind,
        amount=amount,
        cashback=cashback,
        reference="r",
        order_reference=draw(texts),
        partial_approval=draw(st.booleans()),
        original=original if kind in REFERENCE_KINDS or draw(st.booleans()) else None,
        authorisation_code="ABC123" if kind is PaymentKind.PHONE_AUTHORISED else "",
        unknown_tag=draw(st.sampled_from(UnknownTag)),
        unknown_tag_text=draw(texts),
        silent=draw(st.booleans()),
        active_tokens=tuple(draw(st.lists(st.binary(min_size=1, max_size=32).map(lambda b: base64.b64encode(b).decode()), max_size=3))),
    )  # fmt: skip


@given(requests())
def test_a_request_comes_back_the_same(request: PaymentRequest) -> None:
    back = request_from_wire(request_to_wire(request), reference="r")
    without_order = {PaymentKind.REVERSAL, PaymentKind.RESERVATION_CANCEL}
    assert back.order_reference == ("" if request.kind in without_order else request.order_reference or "r")
    for name in ("kind", "amount", "cashback", "total", "partial_approval", "original", "authorisation_code",
                 "unknown_tag", "unknown_tag_text", "silent", "active_tokens"):  # fmt: skip
        assert getattr(back, name) == getattr(request, name), name


@given(requests())
def test_what_is_asked_for_is_complete_by_the_schema(request: PaymentRequest) -> None:
    assert missing_fields(request_to_wire(request)) == ()


def test_a_tip_known_before_is_part_of_the_amount() -> None:
    request = PaymentRequest(amount=Money.of(1000, "CHF"), tip=Money.of(200, "CHF"))
    assert request_to_wire(request).amt_auth == 1200


def test_an_old_terminal_gets_no_order_reference() -> None:
    request = PaymentRequest(amount=Money.of(1000, "CHF"))
    assert request_to_wire(request, software=240405).rec_order_ref is None
    assert request_to_wire(request, software=240406).rec_order_ref is not None


@pytest.mark.parametrize(
    "message",
    [
        TransactionRequest(trx_function=0, amt_auth=5, trx_curr_c=756),
        TransactionRequest(trx_function=0x2000, amt_auth=5, trx_curr_c=756),
        TransactionRequest(trx_function=32768),
        TransactionRequest(trx_function=32768, amt_auth=0, trx_curr_c=756),
        TransactionRequest(trx_function=32768, amt_auth=5),
        TransactionRequest(trx_function=32768, amt_auth=5, trx_curr_c=1),
        TransactionRequest(trx_function=0x4000, amt_auth=5, trx_curr_c=756),
    ],
    ids=["none", "tip", "no-amount", "zero", "no-currency", "unknown-currency", "no-reference"],
)
def test_an_impossible_request_is_refused(message: TransactionRequest) -> None:
    with pytest.raises(TerminalError):
        request_from_wire(message, reference="r")


@settings(max_examples=200)
@given(message_of(TransactionRequest))
def test_any_request_is_understood_or_refused(message: TransactionRequest) -> None:
    try:
        request = request_from_wire(message, reference="r")
    except TerminalError:
        return
    assert request.kind is KIND_OF_FUNCTION[message.trx_function]


@st.composite
def payments(draw: st.DrawFn) -> Payment:
    outcome, state = draw(st.sampled_from([
        (Outcome.APPROVED, PaymentState.APPROVED), (Outcome.DECLINED, PaymentState.DECLINED),
        (Outcome.REFERRED, PaymentState.REFERRED), (Outcome.ABORTED, PaymentState.ABORTED),
    ]))  # fmt: skip
    is_approved = outcome is Outcome.APPROVED
    requested = Money.of(draw(st.integers(1, 10**9)), "CHF")
    approved = Money.of(draw(st.integers(1, 10**9)), "CHF")
    return Payment(
        reference="r",
        kind=PaymentKind.PURCHASE,
        outcome=outcome,
        state=state,
        requested=requested,
        approved=approved if is_approved else None,
        tip=Money.of(draw(st.integers(1, 10**6)), "CHF") if is_approved and draw(st.booleans()) else None,
        remaining=draw(st.none() | st.integers(0, 10**9).map(lambda m: Money.of(m, "CHF"))),
        available=draw(st.none() | st.integers(0, 10**9).map(lambda m: Money.of(m, "EUR"))),
        dcc=draw(st.none() | st.builds(
            Dcc, st.integers(1, 10**9).map(lambda m: Money.of(m, "USD")), st.sampled_from(["", "11432E-4"]), texts,
            st.none() | st.integers(0, 9).map(lambda m: Money.of(m, "CHF")),
        )),
        brand=draw(texts),
        masked_pan=draw(st.sampled_from(["", "411111XXXXXX1111", "XXXXXXXXXXXX5996"])),
        aid=draw(st.binary(max_size=16)).hex().upper(),
        entry_mode=draw(st.sampled_from(EntryMode)),
        token=draw(texts),
        authorisation_code=draw(texts),
        response_code=draw(st.sampled_from(["", "00", "51"])),
        acquirer_id=draw(st.none() | st.integers(0, 99)),
        terminal_id="12345678",
        sequence=draw(st.none() | st.integers(0, 99_999_999)),
        transaction_reference=draw(texts),
        terminal_time=draw(st.none() | moments),
        voice_phone=draw(texts),
        customer_text=draw(texts),
        attendant_text=draw(texts),
        e_signature_png=draw(st.binary(max_size=40)),
    )  # fmt: skip


@settings(max_examples=200)
@given(payments())
def test_an_outcome_comes_back_the_same(payment: Payment) -> None:
    assert payment.requested is not None
    request = PaymentRequest(amount=payment.requested, reference="r")
    wire = response_from_payment(payment, function=32768, terminal_id="12345678")
    back = payment_from_response(wire, request)
    for name in Payment.__dataclass_fields__:
        if name not in {"result_code", "message", "receipts", "expires", "cashback"}:
            assert getattr(back, name) == getattr(payment, name), name
    assert missing_fields(wire) == ()


@settings(max_examples=200)
@given(message_of(TransactionResponse), requests())
def test_any_answer_gives_a_payment_without_card_data(response: TransactionResponse, request: PaymentRequest) -> None:
    payment = payment_from_response(response, request)
    assert payment.outcome is not Outcome.UNKNOWN
    assert (payment.outcome is Outcome.APPROVED) == (response.trx_result == 0)
    assert (payment.approved is None) or payment.outcome is Outcome.APPROVED
    assert not payment.masked_pan or is_masked(payment.masked_pan)


class TestPartialApproval:
    """4.6: AmtAuth of the response, TrxAmt where present; never what was asked for."""

    REQUEST = PaymentRequest(amount=Money.of(1000, "CHF"), tip=Money.of(200, "CHF"), partial_approval=True)

    def paid(self, **fields: int) -> Payment:
        return payment_from_response(TransactionResponse(trx_result=0, trx_curr_c=756, **fields), self.REQUEST)  # type: ignore[arg-type]  # integers only

    def test_the_approved_amount_is_the_answers(self) -> None:
        assert self.paid(amt_auth=500).approved == Money.of(500, "CHF")
        assert self.paid(amt_auth=1200, trx_amt=700).approved == Money.of(700, "CHF")

    def test_the_tip_of_a_part_is_not_guessed(self) -> None:
        assert self.paid(amt_auth=500).tip is None
        assert self.paid(amt_auth=500, tip_amt=20).tip == Money.of(20, "CHF")
        assert self.paid(amt_auth=1200).tip == Money.of(200, "CHF")


class TestResults:
    """2.4: TrxResult alone decides (P-08)."""

    @pytest.mark.parametrize(
        ("result", "outcome"),
        [
            (0, Outcome.APPROVED),
            (1, Outcome.DECLINED),
            (2, Outcome.REFERRED),
            (3, Outcome.ABORTED),
            (99, Outcome.ABORTED),
        ],
    )
    def test_the_result_is_the_outcome(self, result: int, outcome: Outcome) -> None:
        response = TransactionResponse(trx_result=result, trx_result_extended=1002200)
        assert payment_from_response(response, PaymentRequest(amount=Money.of(1, "CHF"))).outcome is outcome

    @pytest.mark.parametrize("code", ["", "51", "5", "ZZ", "\u00b2", "123456"])
    @pytest.mark.parametrize(
        "outcome", [Outcome.APPROVED, Outcome.DECLINED, Outcome.REFERRED, Outcome.ABORTED, Outcome.FAILED]
    )
    def test_the_extended_result_lies_in_its_range(self, outcome: Outcome, code: str) -> None:
        low = {Outcome.APPROVED: 0, Outcome.DECLINED: 1000, Outcome.REFERRED: 900}.get(outcome, 10000)
        high = {Outcome.APPROVED: 899, Outcome.DECLINED: 9999, Outcome.REFERRED: 999}.get(outcome, 49999)
        payment = Payment(
            reference="r", kind=PaymentKind.PURCHASE, outcome=outcome, state=PaymentState.FAILED, response_code=code
        )
        extended = response_from_payment(payment, function=32768, terminal_id="1").trx_result_extended
        assert extended is not None
        assert low <= extended <= high


class TestFunctions:
    """2.3."""

    @given(st.frozensets(st.sampled_from(PaymentKind)), st.booleans())
    def test_kinds_come_back_from_their_bits(self, kinds: frozenset[PaymentKind], tip: bool) -> None:
        functions = functions_of(kinds, tip=tip)
        assert kinds_of(functions) == kinds
        assert bool(functions & TrxFunction.TIP) is tip

    def test_every_kind_has_one_bit_of_its_own(self) -> None:
        assert set(FUNCTION_OF_KIND) == set(PaymentKind)
        assert len(set(FUNCTION_OF_KIND.values())) == len(FUNCTION_OF_KIND)
        assert all(int(function).bit_count() == 1 for function in FUNCTION_OF_KIND.values())


@given(st.text(max_size=20))
def test_an_identification_is_sent_as_the_schema_wants_it(text: str) -> None:
    got = wire_id(text, 8)
    assert len(got) == 8
    assert got.isascii()
    assert got.isalnum()
