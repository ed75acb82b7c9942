"""What rows come to: a record, by the one table of states; and what two requests under one reference are."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from zahlwerk.errors import JournalDamaged, ReferenceReused
from zahlwerk.journal.encoding import encode_body
from zahlwerk.journal.entries import Body, EntryKind, Row, state_of
from zahlwerk.journal.records import ENDINGS, FIRST, Record, advanced, applied, fold, must_be_same, path
from zahlwerk.lifecycle import FINAL, TRANSITIONS, PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentKind, PaymentRequest

REQUEST = PaymentRequest(amount=Money.of(1250, "CHF"), reference="sale-1")
REACHED = {(before, after) for (before, _), after in TRANSITIONS.items()}
STATES = [(kind, state) for kind in EntryKind if (state := state_of(kind)) is not None]


def row(number: int, kind: EntryKind, body: Body | None = None, *, sequence: int | None = None) -> Row:
    return Row(number, f"2026-11-28T12:00:{number:02}.000000Z", "till-1", "sale-1", kind.value, "anna", sequence,
               encode_body(body or {}), b"")  # fmt: skip


def in_state(state: PaymentState) -> Record:
    return Record(reference="sale-1", terminal="till-1", state=state, first=1, last=1, since="", moment="",
                  request=REQUEST)  # fmt: skip


def asked() -> Row:
    return row(1, EntryKind.REQUESTED, {"request": REQUEST})


class TestTheTable:
    @pytest.mark.parametrize("before", PaymentState, ids=lambda state: state.name)
    @pytest.mark.parametrize(("kind", "after"), STATES, ids=lambda each: each.name)
    def test_a_row_is_taken_exactly_where_the_lifecycle_has_such_a_step(
        self, before: PaymentState, kind: EntryKind, after: PaymentState
    ) -> None:
        record = in_state(before)
        if (before, after) in REACHED:
            assert advanced(record, row(2, kind), kind, {}).state is after
        else:
            with pytest.raises(JournalDamaged):
                advanced(record, row(2, kind), kind, {})

    @pytest.mark.parametrize("kind", EntryKind, ids=lambda kind: kind.name)
    def test_a_record_begins_with_what_may_come_first_only(self, kind: EntryKind) -> None:
        if state_of(kind) in FIRST:
            assert applied(None, row(1, kind)).state is state_of(kind)
        else:
            with pytest.raises(JournalDamaged):
                applied(None, row(1, kind))

    @pytest.mark.parametrize("before", PaymentState, ids=lambda state: state.name)
    @pytest.mark.parametrize("after", PaymentState, ids=lambda state: state.name)
    def test_a_path_is_one_that_can_be_written_row_by_row(self, before: PaymentState, after: PaymentState) -> None:
        way = path(before, after)
        at = before
        for state in way:
            assert (at, state) in REACHED
            at = state
        assert not way or at is after
        if (before, after) in REACHED and before is not after:
            assert way == (after,)

    @pytest.mark.parametrize("before", FINAL, ids=lambda state: state.name)
    def test_nothing_leads_from_a_settled_payment_to_doubt(self, before: PaymentState) -> None:
        assert path(before, PaymentState.UNKNOWN) == ()

    @pytest.mark.parametrize("before", set(PaymentState) - FINAL - {PaymentState.REQUESTED, PaymentState.HELD})
    def test_whatever_is_open_can_end_as_paid_and_as_not_paid(self, before: PaymentState) -> None:
        assert path(before, PaymentState.CONFIRMED)
        assert path(before, PaymentState.FAILED)

    def test_every_ending_is_named_by_its_state(self) -> None:
        assert {state: state_of(kind) for state, kind in ENDINGS.items()} == {state: state for state in ENDINGS}


class TestFolding:
    def test_no_rows_are_no_record(self) -> None:
        assert fold([]) is None

    def test_a_whole_payment(self) -> None:
        payment = Payment(reference="sale-1", kind=PaymentKind.PURCHASE, outcome=Outcome.APPROVED,
                          state=PaymentState.CONFIRMED, approved=Money.of(1250, "CHF"), sequence=7)  # fmt: skip
        told = {"payment": payment}
        rows = [asked(), row(2, EntryKind.SENT, {"evidence": {"turn": "7"}}),
                row(3, EntryKind.APPROVED, told, sequence=7), row(4, EntryKind.CONFIRMING, {"amount": "900 CHF"}),
                row(5, EntryKind.CONFIRMED, told)]  # fmt: skip

        opened, record = fold(rows[:4]), fold(rows)

        assert opened is not None
        assert opened.is_unsettled
        assert opened.evidence_for_lookup() == {
            "turn": "7", "confirm": "1", "sequence": "7", "approved_minor": "1250", "amount_minor": "900",
        }  # fmt: skip
        assert record is not None
        assert not record.is_open
        assert (record.first, record.last, record.sequence, record.payment) == (1, 5, 7, payment)
        assert record.request == REQUEST

    def test_an_attempt_that_never_began_may_be_followed_by_another(self) -> None:
        rows = [asked(), row(2, EntryKind.FAILED, {"started": False}), row(3, EntryKind.REQUESTED)]

        record = fold(rows)

        assert record is not None
        assert (record.attempt, record.first, record.state) == (2, 1, PaymentState.REQUESTED)

    def test_an_attempt_that_began_may_not(self) -> None:
        with pytest.raises(JournalDamaged):
            fold([asked(), row(2, EntryKind.FAILED), row(3, EntryKind.REQUESTED)])

    def test_a_doubt_without_a_reason_is_a_doubt(self) -> None:
        """Else recovery would ask for ever, and nobody would be asked to decide."""
        rows = [asked(), row(2, EntryKind.SENT), row(3, EntryKind.UNKNOWN), row(4, EntryKind.DOUBT, {"why": ""})]

        record = fold(rows)

        assert record is not None
        assert record.doubt

    def test_a_settled_payment_is_in_doubt_no_longer(self) -> None:
        rows = [asked(), row(2, EntryKind.SENT), row(3, EntryKind.UNKNOWN), row(4, EntryKind.DOUBT, {"why": "silent"}),
                row(5, EntryKind.CONFIRMED)]  # fmt: skip

        before, after = fold(rows[:4]), fold(rows)

        assert before is not None
        assert after is not None
        assert (before.doubt, after.doubt) == ("silent", "")

    def test_an_entry_of_an_unknown_kind_is_damage(self) -> None:
        with pytest.raises(JournalDamaged, match="unknown kind"):
            fold([asked()._replace(kind="invented")])


class TestTheSameRequest:
    def test_texts_that_change_nothing_about_what_is_paid_may_differ(self) -> None:
        record = in_state(PaymentState.SENT)

        must_be_same(record, replace(REQUEST, language="it", metadata={"table": "4"}))

    @pytest.mark.parametrize(
        "other",
        [
            replace(REQUEST, amount=Money.of(1251, "CHF")),
            replace(REQUEST, amount=Money.of(1250, "EUR")),
            replace(REQUEST, tip=Money.of(100, "CHF")),
            replace(REQUEST, kind=PaymentKind.REFUND),
            replace(REQUEST, partial_approval=True),
        ],
        ids=["amount", "currency", "tip", "kind", "partial approval"],
    )
    def test_what_is_paid_may_not_and_both_are_shown(self, other: PaymentRequest) -> None:
        with pytest.raises(ReferenceReused, match=r"'sale-1' is .*; it was asked for as"):
            must_be_same(in_state(PaymentState.SENT), other)

    def test_a_payment_that_nobody_asked_for_here_is_never_the_same(self) -> None:
        with pytest.raises(ReferenceReused, match="a standalone payment of the terminal till-1"):
            must_be_same(msgspec.structs.replace(in_state(PaymentState.STANDALONE), request=None), REQUEST)
