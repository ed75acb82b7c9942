"""Card numbers are found in whatever they hide in, and nothing else is (much).

Only numbers that the schemes publish for testing, or that are made here with a right check digit.
"""

from __future__ import annotations

import json
import random
from typing import Final

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from zahlwerk import carddata
from zahlwerk.carddata import SCHEMES, contains_card_data, is_masked, mask_pan, redact, redact_bytes, refuse_card_data
from zahlwerk.errors import CardDataRefused, MoneyMoved

PUBLISHED: Final = (
    "4111111111111111", "5555555555554444", "5105105105105100", "2223003122003222", "378282246310005", "371449635398431",
    "30569309025904", "38520000023237", "6011111111111117", "3530111333300000", "4222222222222", "6304000000000000",
)  # fmt: skip


def _check_digit(body: str) -> str:
    """Written apart from the code under test: double every second digit from the right, sum the digits."""
    total = sum(sum(divmod(int(d) * 2, 10)) if k % 2 == 0 else int(d) for k, d in enumerate(reversed(body)))
    return str(-total % 10)


def _made(prefix: str, length: int, *, fill: str = "0123456789") -> str:
    body = (prefix + fill * 2)[: length - 1]
    return body + _check_digit(body)


MADE: Final = tuple(_made(prefix, length) for prefix, low, high in SCHEMES for length in range(low, high + 1))
EVERY: Final = PUBLISHED + MADE


@st.composite
def numbers(draw: st.DrawFn) -> str:
    prefix, low, high = draw(st.sampled_from(SCHEMES))
    length = draw(st.integers(low, high))
    body = prefix + draw(st.text("0123456789", min_size=length - 1 - len(prefix), max_size=length - 1 - len(prefix)))
    return body + _check_digit(body)


class TestPlantedNumbers:
    @pytest.mark.parametrize("number", EVERY)
    def test_a_plain_number_keeps_six_and_four(self, number: str) -> None:
        """Thirteen to nineteen digits, every scheme, every length."""

        assert redact(number) == number[:6] + "*" * (len(number) - 10) + number[-4:]

    @given(
        numbers(),
        st.sampled_from(
            [
                " ",
                "  ",
                "\t",
                "\u00a0",
                "\u2009",
                "\u200b",
                "-",
                "--",
                " - ",
                "\u2011",
                "\u2013",
                ".",
                "_",
                "\n",
                "\r\n",
                "\0",
            ]
        ),
        st.integers(1, 6),
    )
    def test_a_grouped_number_is_found(self, number: str, separator: str, size: int) -> None:
        """Groups of any size, blanks of any kind, also doubled, hyphens, dots, line ends."""
        text = separator.join(number[k : k + size] for k in range(0, len(number), size))
        found = redact(text)

        assert found != text
        assert len(found) == len(text)
        assert sum(character.isdigit() for character in found) <= 10

    @pytest.mark.parametrize(
        "groups", [(4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3), (6, 10), (8, 8), (4, 4, 4, 7)]
    )
    def test_the_groups_printed_on_cards_are_found(self, groups: tuple[int, ...]) -> None:
        """As on Visa, American Express, Diners and long Maestro cards."""
        number = _made({15: "37", 14: "36"}.get(sum(groups), "4"), sum(groups))
        at, parts = 0, []
        for size in groups:
            parts.append(number[at : at + size])
            at += size

        assert contains_card_data(" ".join(parts))

    @given(
        st.text(alphabet="abcXYZ \u00e4\u4e2d:,;()[]{}\"'/", max_size=30),
        numbers(),
        st.text(alphabet="abcXYZ \u00e4\u4e2d:,;()[]{}\"'/", max_size=30),
    )
    def test_a_number_within_other_text_is_found(self, before: str, number: str, after: str) -> None:
        """Nothing but the number changes."""

        assert redact(before + number + after) == before + redact(number) + after

    @pytest.mark.parametrize("number", PUBLISHED)
    @pytest.mark.parametrize(
        "form",
        [
            "{} 12/28",
            "{} 1228 123",
            "12.50 {}",
            "{} {}",
            "PAN={}&exp=1228",
            "x{}x",
            "<pan>{}</pan>",
            "00000{}",
            "#1: {}, #2",
            "0x{}F",
            "1 {} 1",
        ],
    )
    def test_a_number_beside_other_digits_is_found(self, number: str, form: str) -> None:
        """Expiry date, check code, amounts and zeros do not hide it."""
        found = redact(form.format(number, number))

        assert number not in found
        assert contains_card_data(form.format(number, number))

    @pytest.mark.parametrize("number", PUBLISHED)
    def test_a_number_in_json_is_found(self, number: str) -> None:
        """As text and as a number; the JSON stays JSON where it was text."""
        text = json.dumps({"a": {"pan": number}, "n": [1, 2, 3]})
        found = redact(text)

        assert json.loads(found)["a"]["pan"] == redact(number)
        assert number not in redact(json.dumps({"pan": int(number)}))

    @pytest.mark.parametrize("zero", [0x0660, 0x06F0, 0x0966, 0xFF10, 0x1D7CE])
    def test_digits_of_other_scripts_are_digits(self, zero: int) -> None:
        """Arabic, Persian, Devanagari, full-width, mathematical."""
        text = "".join(chr(zero + int(digit)) for digit in "4111111111111111")

        assert redact(text).count("*") == 6
        assert redact_bytes(text.encode()).count(b"*") == 6 * len(chr(zero).encode())

    @given(
        st.lists(st.one_of(numbers(), st.text("0123456789 -.=D^B;?*\n", max_size=24)), max_size=8),
        st.sampled_from(["", " ", "-", "\n"]),
    )
    def test_redacting_keeps_the_length_and_twice_is_once(self, parts: list[str], separator: str) -> None:
        """Also where numbers, tracks and rubbish touch."""
        text = separator.join(parts)
        once = redact(text)

        assert len(once) == len(text)
        assert redact(once) == once
        assert all(after in (before, "*") for before, after in zip(text, once, strict=True))

    def test_digits_left_of_a_number_do_not_make_another(self) -> None:
        """The last four of one and the next twelve: then nothing of either stays."""
        body = "5555555555554444"
        tail = _made("4444", 16, fill="1234567890")[4:]
        found = redact(f"{body} {tail}")

        assert redact(found) == found
        assert body not in found


class TestTracks:
    @pytest.mark.parametrize(
        "track",
        [
            "%B4111111111111111^DOE/JOHN^28122010000012345678?",
            "B4111111111111111^DOE/JOHN^2812201",
            "%B4111 1111 1111 1111^ ^2812201?",
            ";4111111111111111=28122010000012345678?",
            "4111111111111111=2812201",
            "4111111111111111D28122010000012345678F",
            "57134111111111111111D28122010000012345678F",
            ";1234567890123=28122010?",
        ],
    )  # fmt: skip
    def test_of_a_track_nothing_stays(self, track: str) -> None:
        """Tracks 1 and 2, with and without sentinels, from a chip, in a dump."""
        found = redact(f"<{track}>")

        assert "2812" not in found
        assert "1111" not in found
        assert "DOE" not in found
        assert len(found) == len(track) + 2

    @pytest.mark.parametrize("track", ["%B4111     ^DOE/JANE^2512", "B        ^DOE/JANE^2512?"])
    def test_a_track_that_is_cut_or_padded_does_not_give_the_name_away(self, track: str) -> None:
        """Fewer digits than any card number has."""

        assert redact(track) == "*" * len(track)

    def test_tracks_that_touch_are_both_found(self) -> None:
        """What one pattern took must not hide the next."""
        found = redact("12345678=4111111111111111=281220100?")

        assert "2812" not in found
        assert "4111111111111111" not in found


class TestHarmlessText:
    @pytest.mark.parametrize(
        "text",
        [
            "", "12.50", "CHF 1'234'567.05", "999999999999", "2026-11-23 09:30:00.123456", "20261123093000", "20261123093000123",
            "23.11.2026 09:30", "2026-11-23 2026-11-24 2026-11-25", "1795426200", "1795426200123", "1795426200123456",
            "+41 44 123 45 67", "0041 44 123 45 67", "044 123 45 67 / 079 765 43 21", "+49 151 1234567", "192.168.100.200",
            "411111******1111", "4111 11** **** 1111", "XXXXXXXXXXXX1111", "CH93 0076 2011 6238 5295 7", "E-12345678",
            "12.50\n40.00\n9.90\n17.30\n5.55", "00000000000000000000", "4" * 20, "1" * 400, "TrmId 12345678 AktId 1 AidNo 0",
            "a5f0c3d2e1b4a5f0c3d2e1b4a5f0c3d2", "zw-0123456789abcdef", "A0000000031010",
        ],
    )  # fmt: skip
    def test_amounts_dates_times_and_the_like_stay(self, text: str) -> None:
        """No false alarm on what a till writes all day."""

        assert redact(text) == text
        assert refuse_card_data(text, where="text") == text

    @pytest.mark.parametrize(
        "number",
        ["4006381333930", "5901234123456", "7612345678900", "9780201379623", "4111111111111112", "5555555555554445"],
    )
    def test_a_wrong_check_digit_is_no_card(self, number: str) -> None:
        """EANs and slips of the pen whose Luhn fails."""

        assert redact(number) == number

    @pytest.mark.parametrize("length", [8, 11, 20, 21, 30])
    def test_too_short_and_too_long_is_no_card(self, length: int) -> None:
        """Twelve to nineteen digits, one below and one above."""
        number = _made("5", length, fill="98") if length < 20 else "5" * length

        assert redact(number) == number

    def test_few_random_numbers_are_masked(self) -> None:
        """About one in ten of those with a scheme's beginning: the price of the safe side, as documented."""
        source = random.Random(1)
        masked = sum(contains_card_data(str(source.randrange(4 * 10**15, 5 * 10**15))) for _ in range(2_000))

        assert 150 <= masked <= 250


class TestBytes:
    @given(st.binary(max_size=80), numbers(), st.binary(max_size=80))
    def test_any_bytes_keep_their_length(self, before: bytes, number: str, after: bytes) -> None:
        """Text or not; redacting twice changes nothing."""
        data = before + number.encode() + after
        once = redact_bytes(data)

        assert len(once) == len(data)
        assert redact_bytes(once) == once
        assert all(a in (b, 0x2A) for b, a in zip(data, once, strict=True))

    @given(st.binary(max_size=40).filter(lambda data: not any(48 <= byte <= 57 for byte in data)))
    def test_bytes_without_digits_stay(self, data: bytes) -> None:
        """Not one bit."""
        assume(not any(character.isdecimal() for character in data.decode("utf-8", "ignore")))

        assert redact_bytes(data) == data

    @pytest.mark.parametrize("encoding", ["ascii", "utf-8", "latin-1", "utf-16-le", "utf-16-be"])
    def test_a_number_is_found_in_every_encoding(self, encoding: str) -> None:
        """What a register may send."""
        data = "PAN 4111111111111111.".encode(encoding)

        assert redact_bytes(data).count(b"*") == 6

    @pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
    def test_no_break_spaces_do_not_hide_a_number(self, encoding: str) -> None:
        """One byte in Latin-1, two in UTF-8."""
        data = "4111\u00a01111\u00a01111\u00a01111".encode(encoding)

        assert redact_bytes(data).count(b"*") == 6


class TestMasking:
    @pytest.mark.parametrize(
        ("number", "masked"),
        [("4111111111111111", "411111******1111"), ("4111 1111-1111 1111", "411111******1111"), ("378282246310005", "378282*****0005"),
         ("12345678901", "*******8901"), ("12345", "*2345"), ("1234", "****"), ("", ""), ("abc", "")],
    )  # fmt: skip
    def test_first_six_and_last_four_are_shown(self, number: str, masked: str) -> None:
        """Of something too short for a card, less."""

        assert mask_pan(number) == masked

    @given(numbers())
    def test_a_masked_number_is_masked_and_harmless(self, number: str) -> None:
        """Ten digits at most."""

        assert is_masked(mask_pan(number))
        assert not is_masked(number)
        assert not contains_card_data(mask_pan(number))

    def test_the_refusal_names_the_place_and_not_the_number(self) -> None:
        """Nothing was sent; the message can be logged."""

        with pytest.raises(CardDataRefused) as caught:
            refuse_card_data("order 4111 1111 1111 1111", where="order_reference")

        assert str(caught.value) == "order_reference holds what looks like a card number or track"
        assert caught.value.money_moved is MoneyMoved.NO


# A whole megabyte where a failing pattern was worst, less where the work is merely much.
HOSTILE_LENGTH: Final = {"4": 1_000_000, "B4": 1_000_000, "=": 1_000_000, "  ": 1_000_000, "1.2_3\n": 1_000_000}


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece",
    ["4", "0", "4 ", "4-", "4.", "B4", "B1^", "%B11111111^", "4111111111111111D", ";11111111=", "5 5555 555 4444 ", "1.2_3\n", "=", "  ",
     "000000000000000000 ", "\uff14"],
    ids=repr,
)  # fmt: skip
def test_long_hostile_text_takes_linear_time(piece: str) -> None:
    """A pattern that is not linear would take hours on a megabyte; the time-out is generous on purpose."""
    text = piece * (HOSTILE_LENGTH.get(piece, 200_000) // len(piece))

    assert len(redact(text)) == len(text)


SEPARATORS: Final = (" ", "\t", "\0", "-", ".", "_", "\n", "\r", "\r\n", " - ", "\u00a0", "\u2010", "\udca0")


def grouped(number: str, separator: str) -> str:
    return separator.join(number[start : start + 4] for start in range(0, len(number), 4))


class TestShortcuts:
    """Patterns that cannot match are not tried, and few digits end the search: both must change nothing."""

    @given(
        st.lists(
            st.one_of(
                numbers(),
                st.tuples(numbers(), st.sampled_from(SEPARATORS)).map(lambda both: grouped(*both)),
                st.sampled_from(
                    [*" \t\0-._\r\n^;=D%B?\u00a0\u2010\u0661\ufeff\udca0", "\r\n", " - ", "123", "4111", "20261128"]
                ),
                st.text("0123456789", max_size=9),
            ),
            max_size=12,
        ).map("".join)
    )
    def test_trying_every_pattern_on_every_text_gives_the_same(self, text: str) -> None:
        def plainly(text: str, *, keep_ends: bool) -> str:
            text = carddata._TRACK1.sub(lambda match: "*" * len(match[0]), text)
            text = carddata._TRACK2_SENTINELS.sub(lambda match: "*" * len(match[0]), text)
            text = carddata._without_track2(text)
            for pattern in (carddata._RUN, *(pattern for pattern, _ in carddata._CHAINS)):
                text = pattern.sub(lambda match: carddata._without_numbers(match[0], keep_ends=keep_ends), text)
            return text

        once = plainly(text, keep_ends=True)
        expected = once if plainly(once, keep_ends=True) == once else plainly(text, keep_ends=False)

        assert redact(text) == expected
