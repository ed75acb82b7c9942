"""The host's books: append-only, never captured twice, and equal to a plain model."""

from __future__ import annotations

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from zahlwerk.carddata import contains_card_data
from zahlwerk.money import Currency, Money
from zahlwerk.payment import Original, PaymentKind
from zahlwerk.virtual.deck import card
from zahlwerk.virtual.host import Action, BookingState, Host, HostAnswer, HostRefused, HostRequest, Verdict

CHF = Currency.of("CHF")


def ask(host: Host, kind: PaymentKind, amount: int = 0, reference: str = "R1", **more: object) -> HostAnswer:
    more.setdefault("card", card("visa"))
    return host.authorise(HostRequest(kind=kind, reference=reference, currency=CHF, amount_minor=amount, **more))  # type: ignore[arg-type]  # test arguments


def booked(answer: HostAnswer) -> int:
    assert answer.booking is not None
    return answer.booking


class TestCapture:
    """What the confirmation of an approval does."""

    def test_money_moves_at_the_capture_and_not_before(self) -> None:
        host = Host(random.Random(1))
        number = booked(ask(host, PaymentKind.PURCHASE, 1250))

        assert host.charged("R1") == Money.zero("CHF")
        host.capture(number)
        assert host.charged("R1") == Money.of(1250, "CHF")

    def test_a_second_capture_is_refused_and_changes_nothing(self) -> None:
        host = Host(random.Random(1))
        number = booked(ask(host, PaymentKind.PURCHASE, 1250))
        host.capture(number)
        before = host.ledger()

        with pytest.raises(HostRefused, match="not captured again"):
            host.capture(number)
        with pytest.raises(HostRefused, match="not voided again"):
            host.void(number)
        assert host.ledger() == before

    @pytest.mark.parametrize("amount", [0, -1, 1251])
    def test_a_capture_outside_the_approval_is_refused(self, amount: int) -> None:
        host = Host(random.Random(1))
        number = booked(ask(host, PaymentKind.PURCHASE, 1250))

        with pytest.raises(HostRefused, match="cannot be captured"):
            host.capture(number, amount)
        assert host.booking(number).state is BookingState.AUTHORISED

    def test_a_voided_approval_can_be_voided_again_but_never_captured(self) -> None:
        host = Host(random.Random(1))
        number = booked(ask(host, PaymentKind.PURCHASE, 1250))
        host.void(number)
        host.void(number)

        with pytest.raises(HostRefused):
            host.capture(number)
        assert [entry.action for entry in host.ledger()] == [Action.AUTHORISED, Action.VOIDED]


class TestReservations:
    """Reserve, raise, use or cancel, by transaction reference and acquirer."""

    def test_a_reservation_is_raised_and_used_for_less(self) -> None:
        host = Host(random.Random(1))
        reserved = ask(host, PaymentKind.RESERVATION, 10000)
        host.capture(booked(reserved))
        original = Original(reserved.transaction_reference, 2)
        host.capture(booked(ask(host, PaymentKind.RESERVATION_ADJUSTMENT, 5000, original=original, card=None)))
        used = ask(host, PaymentKind.RESERVATION_CAPTURE, 12000, original=original, card=None)
        host.capture(booked(used))

        assert host.charged("R1") == Money.of(12000, "CHF")
        again = ask(host, PaymentKind.RESERVATION_CAPTURE, 100, original=original, card=None)
        assert (again.verdict, again.response_code) == (Verdict.DECLINED, "12")

    def test_a_cancelled_or_foreign_reservation_is_no_more(self) -> None:
        host = Host(random.Random(1))
        reserved = ask(host, PaymentKind.RESERVATION, 10000)
        host.capture(booked(reserved))
        other = Original(reserved.transaction_reference, 99)
        assert ask(host, PaymentKind.RESERVATION_CANCEL, original=other, card=None).response_code == "12"

        original = Original(reserved.transaction_reference, 2)
        host.capture(booked(ask(host, PaymentKind.RESERVATION_CANCEL, original=original, card=None)))
        assert ask(host, PaymentKind.RESERVATION_CAPTURE, 1, original=original, card=None).response_code == "12"
        assert host.charged("R1") == Money.zero("CHF")

    def test_a_referred_reservation_is_confirmed_by_telephone(self) -> None:
        host = Host(random.Random(1))
        one = card("referral")
        referred = ask(host, PaymentKind.RESERVATION, 10000, card=one, behaviour=one.behaviour)
        assert referred.verdict is Verdict.REFERRED

        original = Original(referred.transaction_reference, 3)
        confirmed = ask(host, PaymentKind.RESERVATION_PHONE_CONFIRM, 10000, original=original, card=None)
        host.capture(booked(confirmed))
        assert host.booking(booked(referred)).state is BookingState.RESERVED


class TestGivingBack:
    """Reversals and refunds."""

    def test_a_reversal_undoes_once(self) -> None:
        host = Host(random.Random(1))
        paid = booked(ask(host, PaymentKind.PURCHASE, 1250))
        host.capture(paid)
        host.capture(booked(ask(host, PaymentKind.REVERSAL, reference="R2", target=paid, card=None)))

        assert host.charged("R1") == Money.zero("CHF")
        assert ask(host, PaymentKind.REVERSAL, reference="R3", target=paid, card=None).response_code == "12"

    def test_a_payment_is_refunded_at_most_once_over(self) -> None:
        host = Host(random.Random(1))
        paid = ask(host, PaymentKind.PURCHASE, 1250)
        host.capture(booked(paid))
        original = Original(paid.transaction_reference)
        host.capture(booked(ask(host, PaymentKind.REFUND, 1000, reference="R2", original=original)))

        assert host.charged("R2") == Money.of(-1000, "CHF")
        assert ask(host, PaymentKind.REFUND, 251, reference="R3", original=original).response_code == "13"
        assert host.net("VISA") == Money.of(250, "CHF")


def test_references_never_look_like_card_numbers() -> None:
    host = Host(random.Random(1))
    references = [ask(host, PaymentKind.PURCHASE, 100).transaction_reference for _ in range(500)]

    assert len(set(references)) == 500
    assert all(len(reference) == 15 and not contains_card_data(reference) for reference in references)


def test_the_same_seed_keeps_the_same_books() -> None:
    books = []
    for _ in range(2):
        host = Host(random.Random(5))
        host.capture(booked(ask(host, PaymentKind.PURCHASE, 100)))
        ask(host, PaymentKind.PURCHASE, 200)
        books.append((host.ledger(), host.booking(1).authorisation_code, host.booking(2).transaction_reference))

    assert books[0] == books[1]


class Books(RuleBasedStateMachine):
    """The host against a plain model: a sum per reference."""

    pending = Bundle("pending")
    paid = Bundle("paid")

    @initialize()
    def begin(self) -> None:
        self.host = Host(random.Random(3))
        self.model: dict[str, int] = {}
        self.count = 0
        self.ledger: tuple[object, ...] = ()

    @rule(
        target=pending, amount=st.integers(1, 10**6), kind=st.sampled_from([PaymentKind.PURCHASE, PaymentKind.REFUND])
    )
    def authorise(self, amount: int, kind: PaymentKind) -> int:
        self.count += 1
        reference = f"R{self.count}"
        self.model[reference] = 0
        return booked(ask(self.host, kind, amount, reference))

    @rule(target=paid, number=consumes(pending), part=st.integers(1, 100))
    def capture(self, number: int, part: int) -> int:
        booking = self.host.booking(number)
        amount = max(1, booking.amount_minor * part // 100)
        self.host.capture(number, amount)
        self.model[booking.reference] += amount if booking.kind is PaymentKind.PURCHASE else -amount
        return number

    @rule(number=consumes(pending))
    def void(self, number: int) -> None:
        self.host.void(number)

    @rule(number=paid)
    def capture_again(self, number: int) -> None:
        with pytest.raises(HostRefused):
            self.host.capture(number)

    @rule(number=paid)
    def reverse(self, number: int) -> None:
        self.count += 1
        answer = ask(self.host, PaymentKind.REVERSAL, reference=f"R{self.count}", target=number, card=None)
        was_paid = self.host.booking(number).state is BookingState.CAPTURED
        assert (answer.verdict is Verdict.APPROVED) is was_paid
        if was_paid:
            self.host.capture(booked(answer))
            self.model[self.host.booking(number).reference] = 0

    @invariant()
    def the_books_say_what_the_model_says(self) -> None:
        for reference, amount in self.model.items():
            assert self.host.charged(reference).amount == amount
        assert self.host.net("VISA").amount == sum(self.model.values())

    @invariant()
    def entries_are_only_added(self) -> None:
        assert self.host.ledger()[: len(self.ledger)] == self.ledger
        self.ledger = self.host.ledger()


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
