"""Amounts: integers of minor units, read, written and rounded exactly."""

from __future__ import annotations

import pickle
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zahlwerk.currency import CURRENCIES
from zahlwerk.errors import InvalidRequest, MoneyMoved
from zahlwerk.money import AMOUNT_MINOR_MAX, CASH_STEP_MINOR, Money

currencies = st.sampled_from(sorted(CURRENCIES.values(), key=lambda currency: currency.code))
amounts = st.integers(-AMOUNT_MINOR_MAX, AMOUNT_MINOR_MAX)
small = st.integers(-10_000_000, 10_000_000)


class TestMakingAmounts:
    @pytest.mark.parametrize("wrong", [12.5, 1250.0, True, "1250", None, Decimal("1250"), float("nan")])
    def test_only_an_integer_is_an_amount(self, wrong: object) -> None:
        """No float, not even a whole one, no text, no truth value."""

        with pytest.raises(InvalidRequest, match="integer of minor units") as caught:
            Money.of(wrong, "CHF")  # type: ignore[arg-type]  # what a caller without types may do

        assert caught.value.money_moved is MoneyMoved.NO
        assert "Money.parse" in caught.value.remedy

    @pytest.mark.parametrize("amount", [AMOUNT_MINOR_MAX - 1, AMOUNT_MINOR_MAX, -AMOUNT_MINOR_MAX])
    def test_twelve_digits_are_an_amount(self, amount: int) -> None:
        """One below and at the limit, on both sides of zero."""

        assert Money.of(amount, "CHF").amount == amount

    @pytest.mark.parametrize("amount", [AMOUNT_MINOR_MAX + 1, -AMOUNT_MINOR_MAX - 1, 10**400])
    def test_thirteen_digits_are_refused(self, amount: int) -> None:
        """One above the limit, and far above."""

        with pytest.raises(InvalidRequest, match="at most 12 digits"):
            Money.of(amount, "CHF")

    @pytest.mark.parametrize("key", ["CHF", "chf", " Chf ", 756])
    def test_a_currency_is_named_by_letters_or_number(self, key: str | int) -> None:
        """Any case, blanks around, or the number."""

        assert Money.of(1250, key) == Money.of(1250, "CHF")

    def test_zero_is_false_and_everything_else_is_true(self) -> None:
        """Truth is about the amount."""

        assert not Money.zero("CHF")
        assert Money.of(-1, "CHF")

    @given(amounts, currencies)
    def test_an_amount_survives_pickling_and_is_hashable(self, amount: int, currency: object) -> None:
        """A value like any other."""
        money = Money.of(amount, currency)  # type: ignore[arg-type]  # sampled from the table

        assert pickle.loads(pickle.dumps(money)) == money
        assert len({money, Money.of(amount, money.currency)}) == 1


class TestReadingAmounts:
    @given(amounts, currencies)
    def test_what_is_written_reads_back_the_same(self, amount: int, currency: object) -> None:
        """parse(str(m)) is m, for every currency; and so with the letters behind or handed in."""
        money = Money.of(amount, currency)  # type: ignore[arg-type]  # sampled from the table

        assert Money.parse(str(money)) == money
        assert Money.parse(f"{money.decimal_text()} {money.currency.code}") == money
        assert Money.parse(money.decimal_text(), currency=money.currency) == money

    @pytest.mark.parametrize(
        ("text", "minor", "code"),
        [
            ("12.50 CHF", 1250, "CHF"),
            ("CHF 12.50", 1250, "CHF"),
            ("CHF12,50", 1250, "CHF"),
            ("12.5chf", 1250, "CHF"),
            ("12 EUR", 1200, "EUR"),
            ("12.- CHF", 1200, "CHF"),
            ("12.\u2013 CHF", 1200, "CHF"),
            ("1'234.05 CHF", 123405, "CHF"),
            ("1\u2019234.05 CHF", 123405, "CHF"),
            ("1 234,05 EUR", 123405, "EUR"),
            ("1\u00a0234,05\u00a0EUR", 123405, "EUR"),
            ("1\u202f234,05 EUR", 123405, "EUR"),
            (".5 CHF", 50, "CHF"),
            ("-12.50 CHF", -1250, "CHF"),
            ("\u221212.50 CHF", -1250, "CHF"),
            ("+12.50 CHF", 1250, "CHF"),
            ("  0.05 CHF \n", 5, "CHF"),
            ("1000 JPY", 1000, "JPY"),
            ("1.234 KWD", 1234, "KWD"),
            ("1,234.5 KWD", None, "KWD"),
            ("9999999999.99 CHF", 999_999_999_999, "CHF"),
        ],
    )
    def test_people_write_amounts_in_many_ways(self, text: str, minor: int | None, code: str) -> None:
        """Points, commas, apostrophes, blanks and dashes as they are used; None: refused."""
        if minor is None:
            with pytest.raises(InvalidRequest):
                Money.parse(text)
            return

        assert Money.parse(text) == Money.of(minor, code)

    @pytest.mark.parametrize(
        "text",
        [
            "", " ", "CHF", "CHF CHF", "CHF 12.50 CHF", "12.50", "1,234.50 CHF", "1.234,50 CHF", "1.2.3 CHF", "12..5 CHF",
            "12.505 CHF", "0.001 CHF", "1.5 JPY", "1e3 CHF", "1E3 CHF", "0x10 CHF", "NaN CHF", "inf CHF", "Infinity CHF",
            "\u0661\u0662 CHF", "\uff11\uff12 CHF", "\u00b2 CHF", "1_000 CHF", "--5 CHF", "+-5 CHF", "- 5 CHF", "5- CHF",
            "(5) CHF", "5 ABC", "5 C", "5 CHFX", "$5", "\u20ac5", "5 CHF; DROP TABLE", "5 CHF\x00", "\x005 CHF", "'5 CHF",
            "5' CHF", "12.50 CHF 1", "12,- 50 CHF", "10000000000.00 CHF", "99999999999999999999 CHF", "5 CHF\u202e",
            "12.-5 CHF", "1 2 . 5 CHF",
        ],
    )  # fmt: skip
    def test_what_is_no_amount_is_refused(self, text: str) -> None:
        """Never a guess: other digits, exponents, two separators, too many decimals, rubbish."""

        with pytest.raises(InvalidRequest) as caught:
            Money.parse(text)

        assert caught.value.remedy
        assert caught.value.money_moved is MoneyMoved.NO

    @pytest.mark.parametrize(
        "text", ["9" * 10_000, "1 " * 5_000 + "CHF", " " * 10_000, "CHF" * 3_334, "'" * 10_000, "1'" * 31]
    )
    def test_long_text_is_refused_with_a_short_message(self, text: str) -> None:
        """Ten thousand characters neither hang nor come back in the message."""

        with pytest.raises(InvalidRequest) as caught:
            Money.parse(text, currency="CHF")

        assert len(str(caught.value)) < 120

    @given(st.text(max_size=80))
    def test_any_text_is_an_amount_or_refused(self, text: str) -> None:
        """Total: nothing but the one documented error; and what is read is written back the same."""
        try:
            money = Money.parse(text, currency="CHF")
        except InvalidRequest:
            return

        assert Money.parse(str(money)) == money

    @given(st.from_regex(r"[-+]?[0-9 .,'eE]{1,12}( ?(CHF|JPY|KWD|chf))?", fullmatch=True))
    def test_nearly_right_text_is_an_amount_or_refused(self, text: str) -> None:
        """The same close to the border, where random text seldom comes."""
        try:
            money = Money.parse(text, currency=None)
        except InvalidRequest:
            return

        assert Money.parse(str(money)) == money

    def test_text_and_caller_must_agree_about_the_currency(self) -> None:
        """Neither wins over the other."""

        assert Money.parse("12.50 CHF", currency=756) == Money.of(1250, "CHF")
        with pytest.raises(InvalidRequest, match="names EUR, but CHF was expected"):
            Money.parse("12.50 EUR", currency="CHF")


class TestWritingAmounts:
    @pytest.mark.parametrize(
        ("minor", "code", "text"),
        [
            (1250, "CHF", "12.50"),
            (-5, "CHF", "-0.05"),
            (0, "CHF", "0.00"),
            (1000, "JPY", "1000"),
            (5, "KWD", "0.005"),
            (-1, "CLF", "-0.0001"),
        ],
    )
    def test_the_decimal_text_has_the_decimals_of_the_currency(self, minor: int, code: str, text: str) -> None:
        """Zero, two, three and four decimals."""

        assert Money.of(minor, code).decimal_text() == text
        assert str(Money.of(minor, code)) == f"{code} {text}"

    @given(amounts, currencies)
    def test_the_decimal_number_is_exact(self, amount: int, currency: object) -> None:
        """Text and number say the same."""
        money = Money.of(amount, currency)  # type: ignore[arg-type]  # sampled from the table

        assert money.to_decimal() == Decimal(money.decimal_text())

    @pytest.mark.parametrize(
        ("locale", "minor", "code", "text"),
        [
            ("de_CH", 123450, "CHF", "CHF\u00a01\u2019234.50"),
            ("de_DE", 123450, "EUR", "1.234,50\u00a0\u20ac"),
            ("en", 123450, "CHF", "CHF1,234.50"),
            ("en", 1234, "JPY", "\u00a51,234"),
            ("en", 1234, "KWD", "KWD1.234"),
            ("en", 1234, "RSD", "RSD12.34"),
        ],
    )
    def test_people_read_amounts_in_their_own_way(self, locale: str, minor: int, code: str, text: str) -> None:
        """As CLDR has it, but never with fewer decimals than the currency."""

        assert Money.of(minor, code).format(locale) == text

    @given(
        st.integers(0, 99_999_999),
        st.sampled_from(["CHF", "EUR", "USD"]),
        st.sampled_from(["de_CH", "fr_CH", "it_CH", "de_DE", "en"]),
    )
    def test_no_digit_is_lost_in_any_language(self, minor: int, code: str, locale: str) -> None:
        """The digits of the formatted amount are those of the amount."""
        shown = Money.of(minor, code).format(locale)

        assert int("".join(character for character in shown if character.isdecimal())) == minor

    @pytest.mark.parametrize("locale", ["xx_YY", "", "deutsch", "de-CH-"])
    def test_an_unknown_locale_is_refused(self, locale: str) -> None:
        """With the one documented error."""

        with pytest.raises(InvalidRequest, match="unknown locale"):
            Money.of(1, "CHF").format(locale)


class TestCalculating:
    @given(small, small, small)
    def test_sums_are_sums_of_integers(self, a: int, b: int, c: int) -> None:
        """Associative, commutative, with zero and opposite."""
        x, y, z = (Money.of(n, "CHF") for n in (a, b, c))

        assert (x + y) + z == x + (y + z)
        assert x + y == y + x == Money.of(a + b, "CHF")
        assert x - y == x + -y
        assert x + Money.zero("CHF") == x
        assert not x - x

    @given(small, small)
    def test_order_is_the_order_of_integers(self, a: int, b: int) -> None:
        """All four comparisons."""
        x, y = Money.of(a, "CHF"), Money.of(b, "CHF")

        assert (x < y, x <= y, x > y, x >= y, x == y) == (a < b, a <= b, a > b, a >= b, a == b)

    def test_currencies_do_not_mix(self) -> None:
        """Neither in sums nor in comparisons; equality is just false."""
        francs, euros = Money.of(1, "CHF"), Money.of(1, "EUR")

        for operation in (Money.__add__, Money.__sub__, Money.__lt__, Money.__le__, Money.__gt__, Money.__ge__):
            with pytest.raises(InvalidRequest, match="CHF and EUR cannot be added or compared"):
                operation(francs, euros)
        assert francs != euros

    def test_a_sum_beyond_the_limit_is_refused(self) -> None:
        """Not wrapped, not cut."""

        with pytest.raises(InvalidRequest, match="at most 12 digits"):
            Money.of(AMOUNT_MINOR_MAX, "CHF") + Money.of(1, "CHF")


class TestRoundingToCoins:
    @pytest.mark.parametrize(
        ("minor", "rounded"),
        [
            (0, 0),
            (1, 0),
            (2, 0),
            (3, 5),
            (4, 5),
            (5, 5),
            (7, 5),
            (8, 10),
            (1252, 1250),
            (1253, 1255),
            (-2, 0),
            (-3, -5),
            (-7, -5),
            (-8, -10),
        ],
    )
    def test_francs_are_rounded_to_five_centimes(self, minor: int, rounded: int) -> None:
        """CHF has no smaller coin; the sign changes nothing."""

        assert Money.of(minor, "CHF").round_cash() == Money.of(rounded, "CHF")

    @pytest.mark.parametrize(
        ("minor", "step", "rounded"),
        [(5, 10, 10), (4, 10, 0), (-5, 10, -10), (15, 10, 20), (50, 100, 100), (49, 100, 0), (250, 500, 500)],
    )
    def test_a_half_goes_up(self, minor: int, step: int, rounded: int) -> None:
        """Away from zero, on both sides."""

        assert Money.of(minor, "EUR").round_cash(step) == Money.of(rounded, "EUR")

    @given(small, st.sampled_from(sorted(CASH_STEP_MINOR)))
    def test_the_rounded_amount_is_the_nearest_and_stays(self, minor: int, code: str) -> None:
        """A multiple of the step, at most half a step away, and rounding it again changes nothing."""
        step = CASH_STEP_MINOR[code]
        rounded = Money.of(minor, code).round_cash()

        assert rounded.amount % step == 0
        assert abs(rounded.amount - minor) * 2 <= step
        assert rounded.round_cash() == rounded

    def test_other_currencies_are_left_alone(self) -> None:
        """EUR is rounded only where a shop asks for it."""

        assert Money.of(1, "EUR").round_cash() == Money.of(1, "EUR")
        assert Money.of(3, "EUR").round_cash(5) == Money.of(5, "EUR")

    @pytest.mark.parametrize("step", [0, -5])
    def test_a_step_is_at_least_one(self, step: int) -> None:
        """Zero would divide by zero."""

        with pytest.raises(InvalidRequest, match="at least 1 minor unit"):
            Money.of(1, "CHF").round_cash(step)
