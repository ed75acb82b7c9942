"""What a money procedure came to: approved only with 00, our acceptance and 06 0F; never "not paid" beside an approval."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zahlwerk.interfaces.zvt.attempts import Attempt, attempt_from, evidence_of
from zahlwerk.interfaces.zvt.conversion import COMMAND_OF
from zahlwerk.interfaces.zvt.information import StatusInformation
from zahlwerk.interfaces.zvt.messages import Message
from zahlwerk.interfaces.zvt.recovery import Doubt, Finding, Keys, judge, judge_totals, keys_of, terminal_moment
from zahlwerk.interfaces.zvt.settlement import Answered, Course, Ending, conclude
from zahlwerk.money import Money
from zahlwerk.payment import AMOUNT_KINDS, REFERENCE_KINDS, Original, PaymentKind, PaymentRequest

START = datetime(2026, 3, 18, 12, 0, 0)
RESULTS = st.lists(
    st.tuples(st.sampled_from([None, 0, 0, 5, 0x37, 0x6C, 0xFF]), st.sampled_from(list(Answered))), max_size=4
)
ENDS = st.sampled_from([None, Message(code=0x060F), Message(code=0x061E), Message(code=0x061E, head={"result": 0x6C})])


def course(results: list[tuple[int | None, Answered]], ended: Message | None, *, host: bool = False) -> Course:
    made = Course(sent=True, accepted=True, host_contacted=host)
    made.results = [(StatusInformation(result=code, amount_minor=1250), answer) for code, answer in results]
    made.ended = ended
    return made


class TestAnApproval:
    @given(RESULTS, ENDS, st.booleans())
    def test_needs_the_result_the_acceptance_and_the_completion(
        self, results: list[tuple[int | None, Answered]], ended: Message | None, host: bool
    ) -> None:
        end = conclude(course(results, ended, host=host))
        if end.ending is Ending.APPROVED:
            assert ended is not None
            assert ended.code == 0x060F
            assert results[-1][0] == 0
            assert results[-1][1] in {Answered.ACCEPTED, Answered.PARTLY}

    @given(RESULTS, ENDS, st.booleans())
    def test_is_never_told_as_not_paid_once_we_have_accepted_it(
        self, results: list[tuple[int | None, Answered]], ended: Message | None, host: bool
    ) -> None:
        accepted = any(code == 0 and answer in {Answered.ACCEPTED, Answered.PARTLY} for code, answer in results)
        refused = any(code == 0 and answer is Answered.REFUSED for code, answer in results)
        end = conclude(course(results, ended, host=host))
        if accepted and not refused:
            assert end.ending in {Ending.APPROVED, Ending.DOUBT}

    def test_of_less_counts_what_we_confirmed(self) -> None:
        made = course([(0, Answered.PARTLY)], Message(code=0x060F))
        made.partial_minor = 900
        assert conclude(made).amount_minor == 900


class TestWhatWasRefusedAtOnce:
    @pytest.mark.parametrize("code", [0x8483, 0x849C, 0x84A0, 0x84C2])
    def test_was_not_started(self, code: int) -> None:
        made = Course(sent=True, refusal=Message(code=code))
        end = conclude(made)
        assert (end.ending, end.code) == (Ending.NOT_STARTED, code & 0xFF)

    def test_names_its_reason_in_the_block(self) -> None:
        made = Course(sent=True, refusal=Message(code=0x841E, head={"result": 0x6F, "currency": 978}))
        assert conclude(made).code == 0x6F

    def test_and_what_never_left_was_not_either(self) -> None:
        assert conclude(Course()).ending is Ending.NOT_STARTED


def report(**changes: object) -> StatusInformation:
    values: dict[str, object] = {
        "result": 0, "amount_minor": 1250, "trace": 271, "receipt_number": 153, "turnover_number": 153,
        "date": "0318", "time": "120010", "terminal_id": "62071183",
    }  # fmt: skip
    return StatusInformation(**(values | changes))  # type: ignore[arg-type]  # fields by name


KEYS = st.builds(
    Keys,
    terminal_id=st.just("62071183"),
    receipt=st.integers(1, 9999),
    trace=st.integers(1, 999_999),
    turnover=st.none() | st.integers(1, 999_999),
    date=st.just("0318"),
    time=st.sampled_from(["115000", "120000", "120010", "121500"]),
)


class TestAReport:
    @given(KEYS, st.integers(1, 10_000), st.sampled_from([0, 5, 0x6C]))
    def test_of_what_was_the_latest_before_is_never_ours(self, before: Keys, amount: int, result: int) -> None:
        same = report(
            result=result, amount_minor=amount, receipt_number=before.receipt, trace=before.trace,
            turnover_number=before.turnover, date=before.date, time=before.time,
        )  # fmt: skip
        found = judge(Doubt(amount_minor=amount, started=START, before=before), same)
        assert found is Finding.OLDER

    @given(KEYS, KEYS, st.integers(1, 10_000))
    def test_of_another_amount_is_never_ours(self, before: Keys, other: Keys, amount: int) -> None:
        found = judge(
            Doubt(amount_minor=amount, started=START, before=before),
            report(amount_minor=amount + 1, receipt_number=other.receipt, trace=other.trace, time=other.time),
        )
        assert found in {Finding.UNCLEAR, Finding.OLDER}

    def test_where_amounts_can_be_typed_in_the_next_one_need_not_be_ours(self) -> None:
        """Config bit 10 is clear. Found by the simulation."""
        before = Keys("62071183", 152, 270, None, "0318", "142000")
        doubt = Doubt(amount_minor=1250, started=START, before=before)
        told = report(amount_minor=1250, receipt_number=153, trace=271, time="142307")

        assert judge(doubt, told) is Finding.OURS
        assert judge(replace(doubt, shared=True), told) is Finding.UNCLEAR

    def test_without_knowing_what_was_before_proves_nothing(self) -> None:
        assert judge(Doubt(amount_minor=1250, started=START, before=None), report()) is Finding.UNCLEAR

    def test_with_a_tip_on_top_is_ours(self) -> None:
        before = Keys("62071183", 152, 270, 152, "0318", "115000")
        found = judge(Doubt(amount_minor=1250, started=START, before=before), report(amount_minor=1400, tip_minor=150))
        assert found is Finding.OURS

    def test_of_less_is_ours_only_where_a_part_was_allowed(self) -> None:
        before = Keys("62071183", 152, 270, 152, "0318", "115000")
        less = report(amount_minor=500)
        assert judge(Doubt(amount_minor=1250, started=START, before=before), less) is Finding.UNCLEAR
        assert judge(Doubt(amount_minor=1250, started=START, before=before, partial=True), less) is Finding.OURS

    def test_from_long_before_proves_nothing(self) -> None:
        before = Keys("62071183", 152, 270, 152, "0318", "115000")
        assert judge(Doubt(amount_minor=1250, started=START, before=before), report(time="093000")) is Finding.UNCLEAR

    def test_under_our_numbers_at_a_later_time_is_ours_only_if_it_failed(self) -> None:
        """Numbers of what was reversed may be used again (6.9)."""
        doubt = Doubt(amount_minor=1250, started=START, before=None, seen=keys_of(report()))
        assert judge(doubt, report(time="120100", result=0x6C)) is Finding.OURS
        assert judge(doubt, report(time="120100")) is Finding.UNCLEAR


BEFORE = Keys("62071183", 152, 270, 152, "0318", "115000")


def doubt(**changes: object) -> Doubt:
    values: dict[str, object] = {"amount_minor": 1250, "started": START, "before": BEFORE}
    return Doubt(**(values | changes))  # type: ignore[arg-type]  # fields by name


class TestWhatProvesNothing:
    """Fact sheet 6.9, step 4: all must be true; pitfalls 13, 18."""

    def test_another_terminal(self) -> None:
        assert judge(doubt(), report(terminal_id="62071999")) is Finding.UNCLEAR
        assert judge(doubt(before=Keys("62071183")), report(terminal_id="62071999")) is Finding.UNCLEAR
        assert judge(doubt(seen=keys_of(report())), report(terminal_id="62071999")) is Finding.UNCLEAR

    def test_a_transaction_after_another_one_was_sent(self) -> None:
        assert judge(doubt(superseded=True), report()) is Finding.UNCLEAR
        assert judge(doubt(superseded=True, seen=keys_of(report())), report()) is Finding.OURS

    def test_an_end_of_day_whose_sum_is_the_amount(self) -> None:
        assert judge(doubt(), report(totals=bytes(53))) is Finding.UNCLEAR

    @pytest.mark.parametrize("changed", [{"receipt_number": 152}, {"trace": 270}, {"turnover_number": 152}])
    def test_numbers_that_agree_in_part_with_those_before(self, changed: dict[str, object]) -> None:
        assert judge(doubt(), report(**changed)) is Finding.UNCLEAR

    def test_a_reversal_of_what_was_before(self) -> None:
        assert judge(doubt(), report(original_trace=270)) is Finding.UNCLEAR
        assert judge(doubt(), report(original_trace=271)) is Finding.UNDONE

    def test_an_original_trace_of_zeros_is_none(self) -> None:
        """Fields that do not apply are filled with zeros by some."""
        assert judge(doubt(), report(original_trace=0)) is Finding.OURS

    def test_to_another_process_what_is_not_the_very_next_one(self) -> None:
        assert judge(doubt(remembered=False), report(receipt_number=153)) is Finding.OURS
        assert judge(doubt(remembered=False), report(receipt_number=154)) is Finding.UNCLEAR
        wrapped = Keys("62071183", 9999, 270, 152, "0318", "115000")
        assert judge(doubt(remembered=False, before=wrapped), report(receipt_number=1)) is Finding.OURS

    def test_to_another_process_what_is_younger_than_a_payment_can_be(self) -> None:
        assert judge(doubt(remembered=False), report(time="124500")) is Finding.UNCLEAR

    def test_a_receipt_number_alone_that_names_another_amount_or_time(self) -> None:
        """After a restart only the number may be left, and numbers begin again after an end of day."""
        seen = Keys("62071183", receipt=153)
        assert judge(doubt(remembered=False, seen=seen), report()) is Finding.OURS
        assert judge(doubt(remembered=False, seen=seen), report(amount_minor=900)) is Finding.UNCLEAR
        assert judge(doubt(remembered=False, seen=seen), report(date="0320")) is Finding.UNCLEAR

    def test_a_receipt_number_alone_against_all_the_numbers_of_what_was_before(self) -> None:
        same = report(receipt_number=152, trace=270, turnover_number=152, time="115000")
        assert judge(doubt(remembered=False, seen=Keys("62071183", receipt=152)), same) is Finding.OLDER


class TestEmptyTotals:
    def totals(self, **changes: object) -> StatusInformation:
        values: dict[str, object] = {"result": 0, "amount_minor": 0, "totals": bytes(53)}
        return StatusInformation(**(values | changes))  # type: ignore[arg-type]  # fields by name

    def test_prove_that_nothing_was_stored_at_the_same_terminal_only(self) -> None:
        empty = doubt(before=Keys("62071183"))
        now = START + timedelta(minutes=1)
        assert judge_totals(empty, self.totals(), now=now, terminal_id="62071183") is Finding.OLDER
        assert judge_totals(empty, self.totals(), now=now, terminal_id="62071999") is Finding.UNCLEAR
        assert judge_totals(doubt(), self.totals(), now=now, terminal_id="62071183") is Finding.UNCLEAR
        assert judge_totals(doubt(before=None), self.totals(), now=now) is Finding.UNCLEAR


class TestEvidence:
    @given(KEYS)
    def test_keys_survive_a_restart(self, keys: Keys) -> None:
        assert Keys.from_text(keys.to_text()) == keys

    @given(st.text(max_size=40))
    def test_any_text_is_keys_or_none(self, text: str) -> None:
        assert Keys.from_text(text) is None or text.count("/") == 5

    def test_a_doubt_survives_a_restart(self) -> None:
        doubt = Doubt(
            amount_minor=1250, started=START, before=Keys("62071183", 152, 270, None, "0318", "115000"), partial=True
        )
        again = Doubt.from_evidence(doubt.to_evidence(), amount_minor=1250, is_reversal=False, now=START)
        assert again == replace(doubt, remembered=False)


@given(st.dates(datetime(2026, 1, 1).date(), datetime(2027, 12, 31).date()), st.integers(-5, 5))
def test_a_date_without_a_year_is_the_nearest(day: date, days_off: int) -> None:
    """Pitfall 26."""
    true = datetime(day.year, day.month, day.day, 10, 11, 12)
    assert terminal_moment(f"{true:%m%d}", f"{true:%H%M%S}", near=true + timedelta(days=days_off)) == true


def request_of(kind: PaymentKind) -> PaymentRequest:
    return PaymentRequest(
        kind=kind,
        amount=Money.of(1250, "CHF") if kind in AMOUNT_KINDS else None,
        cashback=Money.of(500, "CHF") if kind is PaymentKind.PURCHASE_WITH_CASHBACK else None,
        reference="sale-1",
        original=Original(transaction_reference="0154-276-058812") if kind in REFERENCE_KINDS else None,
        authorisation_code="4711",
    )


class TestEvidenceOfEveryKind:
    @pytest.mark.parametrize("kind", list(COMMAND_OF), ids=[kind.value for kind in COMMAND_OF])
    def test_is_enough_for_another_process(self, kind: PaymentKind) -> None:
        request = request_of(kind)
        total = request.total.amount if request.total is not None else None
        is_undoing = kind in {PaymentKind.REVERSAL, PaymentKind.RESERVATION_CANCEL}
        sent = Attempt(
            request,
            doubt(amount_minor=total, is_reversal=is_undoing, reverses_trace=270 if is_undoing else None),
        )
        found = attempt_from("sale-1", evidence_of(sent), None, now=START)

        assert found.doubt == replace(sent.doubt, remembered=False)
        assert found.request.total == request.total
        same = PaymentKind.PURCHASE if kind is PaymentKind.PURCHASE_WITH_CASHBACK else kind
        assert found.request.kind is same
