"""Totals as the last witness: what they prove, what they only propose, and what they never say."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zahlwerk.journal.reconcile import Circumstances, Item, Reconciliation, Standing, counts_apart, reconcile
from zahlwerk.money import Money
from zahlwerk.payment import PaymentKind
from zahlwerk.terminal import Period, Total, TotalKind, Totals

ALONE = Circumstances(exclusive=True, start=1, idle=True)
"""A terminal of our own, whose period has been seen to begin."""


def money(minor: int, code: str = "CHF") -> Money:
    return Money.of(minor, code)


def settled(reference: str, minor: int, *, sent: int, brand: str = "Visa", code: str = "CHF", tip: int = 0,
            mark: str = "", kind: PaymentKind = PaymentKind.PURCHASE, line: TotalKind = TotalKind.DEBIT) -> Item:  # fmt: skip
    return Item(
        reference=reference, kind=kind, line=line, standing=Standing.COUNTED, sent=sent, ended=sent + 1,
        amount=money(minor, code), low_minor=minor, high_minor=minor, tip_minor=tip, brand=brand, mark=mark,
    )  # fmt: skip


def doubtful(reference: str, minor: int, *, sent: int, brand: str = "", tips: bool = False, mark: str = "") -> Item:
    item = Item(
        reference=reference, kind=PaymentKind.PURCHASE, line=TotalKind.DEBIT, standing=Standing.DOUBT, sent=sent,
        amount=money(minor), low_minor=minor, brand=brand, mark=mark,
    )  # fmt: skip
    return item if tips else replace(item, high_minor=minor)


def line(count: int, minor: int, *, brand: str = "Visa", kind: TotalKind = TotalKind.DEBIT, code: str = "CHF",
         tip: int | None = None) -> Total:  # fmt: skip
    told = None if tip is None else money(tip, code)
    return Total(brand=brand, kind=kind, count=count, amount=money(minor, code), tip=told)


def figures(*lines: Total) -> Totals:
    return Totals(Period.ACCOUNTING_PERIOD, lines)


def said(result: Reconciliation) -> dict[str, tuple[bool, bool]]:
    """Reference to (paid, proved)."""
    return {found.reference: (found.paid, found.proved) for found in result.conclusions}


PAID, NOT_PAID = (True, True), (False, True)
PERHAPS_PAID, PERHAPS_NOT = (True, False), (False, False)


class TestDifferences:
    def test_figures_that_agree_differ_nowhere(self) -> None:
        items = [settled("a", 1000, sent=2), settled("b", 500, sent=4, brand="Mastercard")]

        result = reconcile(figures(line(1, 1000), line(1, 500, brand="MASTERCARD")), items, ALONE)

        assert result.differences == ()
        assert result.counted == ("a", "b")

    def test_each_line_that_differs_is_listed_with_both_counts_and_amounts(self) -> None:
        items = [settled("a", 1000, sent=2), settled("b", 500, sent=4, brand="Mastercard"), settled("c", 7, sent=6)]

        result = reconcile(figures(line(2, 1007), line(2, 800, brand="Mastercard")), items, ALONE)

        [found] = result.differences
        assert (found.brand, found.terminal_count, found.terminal_minor) == ("Mastercard", 2, 800)
        assert (found.journal_count, found.journal_minor) == (1, 500)
        assert "the terminal counts 2 for 800 CHF, the journal 1 for 500 CHF" in str(found)

    def test_a_line_that_only_one_of_them_has_is_listed(self) -> None:
        result = reconcile(figures(line(1, 300, brand="Twint")), [settled("a", 300, sent=2)], ALONE)

        assert {found.brand for found in result.differences} == {"Twint", "Visa"}

    def test_tips_are_compared_where_the_terminal_tells_them(self) -> None:
        items = [settled("a", 1100, sent=2, tip=100)]

        assert reconcile(figures(line(1, 1100, tip=100)), items, ALONE).differences == ()
        assert reconcile(figures(line(1, 1100)), items, ALONE).differences == ()
        assert len(reconcile(figures(line(1, 1100, tip=50)), items, ALONE).differences) == 1

    def test_currencies_are_never_added_up(self) -> None:
        items = [settled("a", 1000, sent=2), settled("b", 1000, sent=4, code="EUR")]

        assert reconcile(figures(line(1, 1000), line(1, 1000, code="EUR")), items, ALONE).differences == ()
        assert len(reconcile(figures(line(2, 2000)), items, ALONE).differences) == 2

    def test_payments_before_the_last_closing_are_not_of_this_period(self) -> None:
        items = [settled("old", 1000, sent=2), settled("new", 500, sent=20)]

        result = reconcile(figures(line(1, 500)), items, replace(ALONE, start=10))

        assert result.counted == ("new",)
        assert result.differences == ()

    def test_what_a_person_decided_is_among_the_journals_figures(self) -> None:
        item = replace(doubtful("d", 700, sent=4), standing=Standing.OPEN, decided=True)

        assert reconcile(figures(line(1, 700, brand="")), [item], ALONE).differences == ()


class TestNotPaid:
    def test_equal_figures_prove_it_where_an_older_payment_is_still_counted(self) -> None:
        items = [settled("a", 1000, sent=2), doubtful("d", 700, sent=4)]

        assert said(reconcile(figures(line(1, 1000)), items, ALONE)) == {"d": NOT_PAID}

    def test_without_an_older_payment_the_figures_may_have_been_reset_since(self) -> None:
        items = [doubtful("d", 700, sent=4), settled("a", 1000, sent=6)]

        assert said(reconcile(figures(line(1, 1000)), items, ALONE)) == {}

    def test_an_older_payment_of_the_same_amount_could_be_mistaken_for_it_after_a_reset(self) -> None:
        items = [settled("a", 700, sent=2), doubtful("d", 700, sent=4)]

        assert said(reconcile(figures(line(1, 700)), items, ALONE)) == {}

    def test_a_terminal_that_others_use_only_lets_it_be_proposed(self) -> None:
        items = [settled("a", 1000, sent=2), doubtful("d", 700, sent=4)]

        assert said(reconcile(figures(line(1, 1000)), items, replace(ALONE, exclusive=False))) == {"d": PERHAPS_NOT}

    def test_a_journal_that_has_seen_no_period_begin_only_proposes_it(self) -> None:
        items = [settled("a", 1000, sent=2), doubtful("d", 700, sent=4)]

        assert said(reconcile(figures(line(1, 1000)), items, replace(ALONE, start=None))) == {"d": PERHAPS_NOT}

    def test_unmoved_counters_an_older_payment_and_lines_for_reversals_prove_it_whoever_uses_the_terminal(self) -> None:
        items = [settled("a", 700, sent=2, mark="3/12"), doubtful("d", 700, sent=4, mark="3/12")]
        known = Circumstances(mark="3/12", idle=True, apart=True)

        assert said(reconcile(figures(line(1, 700)), items, known)) == {"d": NOT_PAID}
        assert said(reconcile(figures(line(1, 700)), items, replace(known, mark="3/13"))) == {}
        assert said(reconcile(figures(line(1, 700)), items, replace(known, apart=False))) == {}

    def test_unmoved_counters_alone_do_not_for_a_balance_may_leave_the_shift_open(self) -> None:
        items = [doubtful("d", 700, sent=4, mark="3/12")]

        assert said(reconcile(figures(), items, Circumstances(mark="3/12", idle=True, apart=True))) == {}

    def test_while_something_runs_at_the_terminal_it_may_still_be_paid(self) -> None:
        items = [settled("a", 1000, sent=2), doubtful("d", 700, sent=4)]

        assert said(reconcile(figures(line(1, 1000)), items, replace(ALONE, idle=False))) == {"d": PERHAPS_NOT}

    def test_a_later_payment_shows_that_it_no_longer_runs(self) -> None:
        items = [settled("a", 1000, sent=2), doubtful("d", 700, sent=4), settled("b", 20, sent=6)]

        assert said(reconcile(figures(line(2, 1020)), items, replace(ALONE, idle=False))) == {"d": NOT_PAID}

    def test_one_that_was_not_asked_about_yet_is_not_settled_by_figures(self) -> None:
        items = [settled("a", 1000, sent=2), replace(doubtful("d", 700, sent=4), concludes=False)]

        assert said(reconcile(figures(line(1, 1000)), items, ALONE)) == {"d": PERHAPS_NOT}


class TestPaid:
    def test_the_only_payment_in_doubt_that_explains_the_difference_was_paid(self) -> None:
        items = [settled("a", 1000, sent=2), doubtful("d", 700, sent=4)]

        assert said(reconcile(figures(line(2, 1700)), items, ALONE)) == {"d": PAID}

    def test_of_two_the_one_whose_amount_fits_was_paid_and_the_other_was_not(self) -> None:
        items = [settled("a", 1000, sent=2), doubtful("d", 700, sent=4), doubtful("e", 900, sent=6)]

        assert said(reconcile(figures(line(2, 1700)), items, ALONE)) == {"d": PAID, "e": NOT_PAID}

    def test_where_a_tip_could_make_up_the_difference_nothing_is_said(self) -> None:
        items = [settled("a", 1000, sent=2), doubtful("d", 700, sent=4, tips=True), doubtful("e", 900, sent=6)]

        assert said(reconcile(figures(line(2, 1900)), items, ALONE)) == {}

    def test_of_two_alike_nothing_is_said(self) -> None:
        items = [doubtful("d", 700, sent=4), doubtful("e", 700, sent=6)]

        assert said(reconcile(figures(line(1, 700)), items, ALONE)) == {}

    def test_two_alike_that_are_both_counted_were_both_paid(self) -> None:
        items = [doubtful("d", 700, sent=4), doubtful("e", 700, sent=6)]

        assert said(reconcile(figures(line(2, 1400)), items, ALONE)) == {"d": PAID, "e": PAID}

    def test_an_amount_that_is_not_the_one_asked_for_is_only_proposed(self) -> None:
        items = [doubtful("d", 700, sent=4, tips=True)]

        assert said(reconcile(figures(line(1, 750)), items, ALONE)) == {"d": PERHAPS_PAID}

    def test_another_brand_than_the_terminal_named_is_only_proposed(self) -> None:
        items = [doubtful("d", 700, sent=4, brand="Visa"), settled("a", 10, sent=2, brand="Visa")]

        result = reconcile(figures(line(1, 10), line(1, 700, brand="Mastercard")), items, ALONE)

        assert said(result) == {"d": PERHAPS_PAID}

    @pytest.mark.parametrize("known", [replace(ALONE, exclusive=False), replace(ALONE, start=None)])
    def test_where_a_stranger_may_have_paid_it_is_only_proposed(self, known: Circumstances) -> None:
        assert said(reconcile(figures(line(1, 700)), [doubtful("d", 700, sent=4)], known)) == {"d": PERHAPS_PAID}

    def test_a_hold_that_is_held_may_explain_the_difference_as_well(self) -> None:
        hold = replace(doubtful("h", 700, sent=3), standing=Standing.OPEN, kind=PaymentKind.AUTHORISATION, low_minor=1)

        assert said(reconcile(figures(line(1, 700)), [hold, doubtful("d", 700, sent=4)], ALONE)) == {}


class TestWhatProvesNothing:
    @pytest.mark.parametrize(
        "rubbish",
        [
            line(0, 1000, brand="all", kind=TotalKind.OTHER),
            line(0, 1000),
            line(-1, 1000),
            line(1, -1000),
            line(1, 1000, brand="Visa", code="JPY"),
            line(300, 1000),
        ],
        ids=["a total alone", "no count", "negative count", "negative amount", "another currency", "too many"],
    )
    def test_rubbish(self, rubbish: Total) -> None:
        """ZVT fact sheet 3.4: the whole total in one slot, and rubbish in the slots, have been seen."""
        items = [settled("a", 1000, sent=2), doubtful("d", 700, sent=4)]

        result = reconcile(figures(rubbish), items, ALONE)

        assert said(result) == {}
        assert result.unclear

    def test_a_counter_that_wrapped(self) -> None:
        items = [*(settled(f"p{n}", 100, sent=2 * n) for n in range(1, 258)), doubtful("d", 700, sent=600)]

        assert said(reconcile(figures(line(257 % 256, 25_700)), items, ALONE)) == {}
        assert said(reconcile(figures(line(257, 25_700)), items, ALONE)) == {"d": NOT_PAID}

    def test_figures_that_were_asked_while_something_else_happened(self) -> None:
        items = [settled("a", 1000, sent=2), doubtful("d", 700, sent=4)]

        assert said(reconcile(figures(line(1, 1000)), items, replace(ALONE, quiet=False))) == {}

    def test_a_terminal_that_may_subtract_what_was_undone(self) -> None:
        undone = settled("r", 700, sent=6, kind=PaymentKind.REVERSAL, line=TotalKind.DEBIT_REVERSAL)
        items = [settled("a", 1000, sent=2), doubtful("d", 700, sent=4), undone]

        assert said(reconcile(figures(line(1, 1000)), items, ALONE)) == {}
        told = figures(line(1, 1000), line(1, 700, kind=TotalKind.DEBIT_REVERSAL))
        assert counts_apart(told)
        assert said(reconcile(told, items, ALONE)) == {"d": NOT_PAID}

    def test_a_payment_whose_amount_the_journal_does_not_know(self) -> None:
        items = [settled("a", 1000, sent=2), replace(doubtful("d", 700, sent=4), amount=None)]

        assert said(reconcile(figures(line(1, 1000)), items, ALONE)) == {}

    def test_more_payments_in_doubt_than_can_be_tried(self) -> None:
        items = [doubtful(f"d{n}", 100 + n, sent=2 * n, tips=True) for n in range(1, 40)]

        result = reconcile(figures(line(20, 100_000)), items, ALONE)

        assert said(result) == {}
        assert "too many" in result.unclear


# -- the oracle: what really happened is known, and no proof may say otherwise


@dataclass(frozen=True)
class Happened:
    """One thing at the terminal, as it really was."""

    what: str
    minor: int = 100
    brand: str = "Visa"
    paid: bool = True
    tip: int = 0
    told_brand: bool = False
    late: bool = False
    moves_mark: bool = True


def happenings(*, strangers: bool) -> st.SearchStrategy[list[Happened]]:
    amounts, brands = st.sampled_from([100, 200, 300]), st.sampled_from(["Visa", "Mastercard"])
    pay = st.builds(Happened, st.just("pay"), amounts, brands, late=st.booleans())
    doubt = st.builds(
        Happened, st.sampled_from(["doubt", "doubt without tip"]), amounts, brands, st.booleans(),
        st.sampled_from([0, 0, 100]), st.booleans(),
    )  # fmt: skip
    others = [
        st.builds(Happened, st.sampled_from(["hold", "decided"]), amounts, brands, st.booleans()),
        st.builds(Happened, st.sampled_from(["closed", "closed in vain"])),
        st.builds(Happened, st.sampled_from(["refund"]), amounts, brands),
    ]
    if strangers:
        # Either somebody else types payments in, or a reset leaves the counters: both at once is what decision 0008
        # excludes by assumption.
        others += [
            st.builds(Happened, st.just("stranger"), amounts, brands),
            st.builds(Happened, st.just("reset")),
        ]
    else:
        others.append(st.builds(Happened, st.just("reset"), moves_mark=st.booleans()))
    return st.lists(st.one_of(pay, pay, doubt, doubt, *others), max_size=9)


@dataclass
class World:
    """A terminal that counts, and a journal that knows only what it was told."""

    subtracts: bool
    items: list[Item]
    truth: dict[str, bool]
    start: int | None = None
    period: int = 1

    def __post_init__(self) -> None:
        self.sums: dict[tuple[str, TotalKind], list[int]] = defaultdict(lambda: [0, 0])
        self.row = 1

    def count(self, one: Happened, minor: int, kind: TotalKind = TotalKind.DEBIT) -> None:
        if kind is TotalKind.CREDIT and self.subtracts:
            self.sums[one.brand, TotalKind.DEBIT][1] -= minor
            return
        entry = self.sums[one.brand, kind]
        entry[0] += 1
        entry[1] += minor

    def happen(self, one: Happened) -> None:
        name, mark = f"{one.what}-{self.row}", str(self.period)
        self.row += 2
        sent = self.row
        match one.what:
            case "pay":
                self.items.append(settled(name, one.minor, sent=sent, brand=one.brand, mark=mark))
                self.count(one, one.minor)
            case "refund":
                self.items.append(settled(name, one.minor, sent=sent, brand=one.brand, mark=mark,
                                          kind=PaymentKind.REFUND, line=TotalKind.CREDIT))  # fmt: skip
                self.count(one, one.minor, TotalKind.CREDIT)
            case "doubt" | "doubt without tip":
                tips = one.what == "doubt"
                brand = one.brand if one.told_brand else ""
                self.items.append(doubtful(name, one.minor, sent=sent, tips=tips, brand=brand, mark=mark))
                self.truth[name] = one.paid
                if one.paid:
                    self.count(one, one.minor + (one.tip if tips else 0))
            case "hold" | "decided":
                held = replace(doubtful(name, one.minor, sent=sent, tips=True, mark=mark), standing=Standing.OPEN,
                               low_minor=1, decided=True if one.what == "decided" else None)  # fmt: skip
                self.items.append(held)
                self.truth[name] = one.paid
                if one.paid:
                    self.count(one, one.minor)
            case "stranger":
                self.count(one, one.minor)
            case "closed" | "reset":
                self.sums.clear()
                self.period += one.moves_mark
                self.start = self.row if one.what == "closed" else self.start
            case "closed in vain":
                self.start = self.row
            case _:
                raise AssertionError(one)

    def told(self) -> Totals:
        return figures(
            *(
                line(count, minor, brand=brand, kind=kind)
                for (brand, kind), (count, minor) in self.sums.items()
                if count
            )
        )


def play(story: list[Happened], *, subtracts: bool) -> World:
    world = World(subtracts, [], {})
    for one in story:
        world.happen(one)
    return world


class TestTheOracle:
    @settings(max_examples=600, deadline=None)
    @given(happenings(strangers=False), st.booleans(), st.booleans())
    def test_no_proof_is_ever_wrong_at_a_terminal_of_our_own(
        self, story: list[Happened], subtracts: bool, marks: bool
    ) -> None:
        world = play(story, subtracts=subtracts)
        mark = str(world.period) if marks else ""

        result = reconcile(
            world.told(), world.items, Circumstances(exclusive=True, start=world.start, mark=mark, idle=True)
        )

        for found in result.conclusions:
            assert not found.proved or found.paid is world.truth[found.reference], found

    @settings(max_examples=600, deadline=None)
    @given(happenings(strangers=True), st.booleans(), st.booleans())
    def test_no_proof_is_ever_wrong_at_a_terminal_that_others_use(
        self, story: list[Happened], subtracts: bool, seen_apart: bool
    ) -> None:
        world = play(story, subtracts=subtracts)
        known = Circumstances(start=world.start, mark=str(world.period), idle=True, apart=seen_apart and not subtracts)

        result = reconcile(world.told(), world.items, known)

        for found in result.conclusions:
            assert not found.proved or found.paid is world.truth[found.reference], found

    @settings(max_examples=300, deadline=None)
    @given(happenings(strangers=False))
    def test_a_journal_without_doubts_agrees_with_its_terminal(self, story: list[Happened]) -> None:
        world = play([one for one in story if one.what in {"pay", "refund", "closed"}], subtracts=False)

        result = reconcile(world.told(), world.items, Circumstances(start=world.start))

        assert result.differences == ()
        assert result.conclusions == ()

    def test_the_proofs_are_reached_at_all(self) -> None:
        story = [
            Happened("closed"),
            Happened("pay", 200),
            Happened("doubt without tip", 100, paid=True),
            Happened("pay"),
        ]
        for paid in (True, False):
            world = play([*story[:2], replace(story[2], paid=paid), story[3]], subtracts=False)
            result = reconcile(world.told(), world.items, replace(ALONE, start=world.start))
            assert [found.proved for found in result.conclusions] == [True]
