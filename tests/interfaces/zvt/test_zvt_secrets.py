"""Card data planted into every place of an APDU gets out nowhere. Source: ZVT fact sheet 8, pitfall 28; 3.2; 4.2."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from zahlwerk.carddata import hides_card_number
from zahlwerk.errors import InvalidRequest, RemoteProtocolError
from zahlwerk.interfaces.zvt.blanking import careful
from zahlwerk.interfaces.zvt.codec import decode, encode
from zahlwerk.interfaces.zvt.dictionary import BITMAPS, TAGS, Length
from zahlwerk.interfaces.zvt.explain import Explainer
from zahlwerk.interfaces.zvt.framing import make_apdu
from zahlwerk.interfaces.zvt.information import read_information
from zahlwerk.interfaces.zvt.masking import decoded_for_trace, mask_apdu
from zahlwerk.interfaces.zvt.messages import Message, Tlv
from zahlwerk.interfaces.zvt.register import RegisterSide
from zahlwerk.interfaces.zvt.terminal import TerminalSide

# Test numbers of the schemes, in the shapes that devices pack them in; with what must not be seen of each.
PAN = "4" + "1" * 15
SHAPES = {
    "packed": (bytes.fromhex(PAN), [PAN]),
    "packed, padded": (bytes.fromhex("5500000000000004"), ["5500000000000004"]),
    "packed, 19 digits": (bytes.fromhex("6304000000000000000F"), ["6304000000000000000"]),
    "packed out of step": (bytes.fromhex("0" + PAN + "F"), [PAN]),
    "track 2, packed": (bytes.fromhex(PAN + "D28112011234500F"), [PAN, "D28112011234500"]),
    "text": (PAN.encode(), [PAN]),
    "text in groups": (b"4111 1111 1111 1111", ["4111 1111 1111 1111"]),
    "track 2, text": (f"{PAN}=28112011234500".encode(), [PAN, "28112011234500"]),
    "track 1": (f"B{PAN}^MUSTER/MAX^2811201123450".encode(), [PAN, "MUSTER"]),
}
UNKNOWN_TAGS = (0x99, 0x3E, 0x1F7E, 0x9F12, 0xDF7F, 0xBF11)
QUESTIONS = (0, 0x0601, 0x0501, 0x06C0, 0x06E2, 0x06E7)


def field(number: int, raw: bytes) -> bytes:
    width = 2 if BITMAPS[number].length is Length.LL else 3
    return bytes([number, *(0xF0 + int(digit) for digit in f"{len(raw):0{width}d}")]) + raw


def tagged(tag: int, raw: bytes) -> bytes:
    return tag.to_bytes((tag.bit_length() + 7) // 8, "big") + bytes([len(raw)]) + raw


def container(raw: bytes) -> bytes:
    size = bytes([len(raw)]) if len(raw) < 0x80 else bytes([0x81, len(raw)])
    return b"\x06" + size + raw


def places(raw: bytes) -> Iterator[bytes]:
    for row in BITMAPS.values():
        if row.length in {Length.LL, Length.LLL}:
            yield make_apdu(0x040F, field(row.number, raw))
    for tag in (*TAGS, *UNKNOWN_TAGS):
        inside = tagged(tag, raw)
        yield make_apdu(0x040F, container(inside))
        yield make_apdu(0x040F, container(tagged(0x2F, inside)))
        yield make_apdu(0x061E, b"\xff" + container(tagged(0xE4, inside)))
    deep = tagged(0x99, raw)
    for _ in range(14):
        deep = tagged(0x60, deep)
    yield make_apdu(0x040F, container(deep))
    for tag in (0x24, 0x25, 0x60, 0xE6):
        yield make_apdu(0x040F, container(tagged(tag, b"\x07\x7f" + raw)))
    yield make_apdu(0x040F, b"\x06\x40\x1f\x14\x30" + raw)
    yield from places_without_a_name(raw)


def places_without_a_name(raw: bytes) -> Iterator[bytes]:
    """Where it depends on the question what the bytes are."""
    yield make_apdu(0x040F, b"\x27\x00\xa9" + raw)
    yield make_apdu(0x040F, b"\x27\x00\x00" + raw)
    for code in (0x0FA1, 0x0685, 0x0687, 0x06D9, 0x8000, 0x8400, 0x8123, 0x060F, 0x061E, 0x06C0, 0x0600, 0x0601):
        yield make_apdu(code, raw)
    yield make_apdu(0x06D1, b"\x00" + raw)
    yield make_apdu(0x841E, b"\x6f" + raw)
    yield make_apdu(0x04FF, b"\xff" + raw)


def whatever_is_written_down(apdu: bytes, answers: int) -> str:
    masked = mask_apdu(apdu, answers=answers)
    assert len(masked) == len(apdu)
    explainer = Explainer()
    explainer._command = answers
    told = [masked.hex(), masked.decode("latin-1"), repr(decoded_for_trace(apdu, answers=answers))]
    told.append(repr(explainer.explain(apdu)))
    message = decode(apdu, answers=answers)
    told += [repr(message), str(message), repr(read_information(message)), message.problem]
    try:
        decode(apdu, answers=answers, strict=True)
    except RemoteProtocolError as exc:
        told += [str(exc), repr(exc), repr(exc.__dict__)]
    return "\n".join((*told, *(line.replace(" ", "") for line in told))).upper()


def leaks(shape: str, apdu: bytes, answers: int) -> list[str]:
    told = whatever_is_written_down(apdu, answers)
    forbidden = [form for one in SHAPES[shape][1] for form in (one.upper(), one.encode().hex().upper())]
    return [one for one in forbidden if one in told]


@pytest.mark.parametrize("shape", SHAPES)
def test_card_data_in_any_place_gets_into_nothing_that_is_written_down(shape: str) -> None:
    for apdu in places(SHAPES[shape][0]):
        assert not leaks(shape, apdu, 0x0601), apdu.hex(" ")


@pytest.mark.parametrize("answers", QUESTIONS, ids=lambda code: f"{code:04X}")
@pytest.mark.parametrize("shape", SHAPES)
def test_nor_does_it_whatever_was_asked(shape: str, answers: int) -> None:
    for apdu in places_without_a_name(SHAPES[shape][0]):
        assert not leaks(shape, apdu, answers), apdu.hex(" ")


def test_numbers_that_are_none_stay_readable() -> None:
    apdu = make_apdu(
        0x040F, bytes.fromhex("27 00 04 99 99 99 99 99 99 06 0E 1F 2B 06 98 76 54 32 10 12 4C 03 01 02 03")
    )
    assert mask_apdu(apdu) == apdu
    assert read_information(decode(apdu)).amount_minor == 999999999999


def test_a_token_is_kept_unless_it_is_a_card_number() -> None:
    def token(raw: str) -> str:
        return read_information(decode(make_apdu(0x040F, container(tagged(0x1F14, bytes.fromhex(raw)))))).token

    assert token("A1B2C3D4E5F60718") == "A1B2C3D4E5F60718"
    assert token(PAN) == ""
    assert token("0" + PAN + "F") == ""
    assert token(PAN.encode().hex()) == ""


def test_more_than_twelve_digits_are_no_amount() -> None:
    tags = b"".join(tagged(tag, bytes.fromhex(PAN)) for tag in (0x1F36, 0x1F25, 0x1F2B, 0x1F3F, 0x1F6A))
    found = read_information(decode(make_apdu(0x040F, container(tags))))
    assert (found.tip_minor, found.cashback_minor, found.trace, found.remaining_minor) == (None,) * 4


def test_passwords_and_what_was_typed_are_in_no_repr() -> None:
    assert "123456" not in repr(decode(bytes.fromhex("06 50 03 12 34 56")))
    typed = decode(bytes.fromhex("80 00 04 34 37 31 31"), answers=0x06E2)
    assert typed.head["input"] == b"4711"
    assert "4711" not in repr(typed)
    assert "34 37 31 31" not in repr(typed)
    assert b"4711" not in mask_apdu(bytes.fromhex("80 00 04 34 37 31 31"), answers=0x06E2)


@pytest.mark.parametrize("field", [0x0B, 0x87, 0x05])
def test_a_number_that_does_not_fit_is_not_repeated_in_the_error(field: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        encode(Message(code=0x0601, fields={field: int(PAN)}))
    assert PAN not in str(caught.value)


def test_events_of_both_sides_do_not_show_it() -> None:
    apdu = make_apdu(0x040F, b"\x27\x00" + field(0x23, bytes.fromhex(PAN + "D28112011234500F")))
    register = RegisterSide()
    register.link_up()
    register.start(Message(code=0x0601), now_s=0.0, holds_results=True)
    for heard in (b"\x80\x00\x00", apdu):
        register.receive_data(heard, now_s=0.0)
    terminal = TerminalSide()
    terminal.link_up()
    terminal.receive_data(make_apdu(0x0601, apdu[3:]), now_s=0.0)
    told = repr([*register.events_received(), *terminal.events_received()])
    assert "Asked" in told
    assert "Wanted" in told
    assert PAN not in told
    assert repr(bytes.fromhex(PAN))[2:-1] not in told


def test_a_repr_shows_what_may_be_seen() -> None:
    message = decode(bytes.fromhex("04 0F 12 27 05 04 00 00 00 00 12 50 06 07 1F 16 02 0A 03 07 00"))
    assert repr(message) == "Message(04 0F, 27=5, 04=1250, tlv=(Tlv(1F16, 0A 03), Tlv(07, '')))"
    assert repr(Tlv(0x99, b"")) == "Tlv(99, empty)"


class TestLongData:
    """Masking runs for every APDU of a traced line: it must not hold the line up."""

    @pytest.mark.parametrize("size", [1_024, 1_025])
    def test_what_is_too_long_to_be_searched_is_dropped(self, size: int) -> None:
        plain = b"\xab" * size
        assert (careful(plain) == plain) is (size <= 1_024)
        assert len(careful(plain)) == size

    @pytest.mark.parametrize("packed", [b"\x99\x99", b"\x12\x34", b"\x41\x11"], ids=lambda raw: raw.hex())
    def test_64_kib_of_digits_in_many_tags_take_eight_times_as_long_as_8_kib(self, packed: bytes) -> None:
        def apdu(tags: int) -> bytes:
            inside = (b"\x99\x82\x03\xe8" + packed * 500) * tags
            return make_apdu(0x040F, b"\x06\x82" + len(inside).to_bytes(2, "big") + inside)

        def seconds(tags: int) -> float:
            begin = time.perf_counter()
            mask_apdu(apdu(tags))
            return time.perf_counter() - begin

        # Only growth is judged, generously, and the best of three.
        assert min(seconds(64) for _ in range(3)) < 40 * min(seconds(8) for _ in range(3)) + 0.05

    def test_each_digit_is_looked_at_a_fixed_number_of_times(self) -> None:
        class Counted(str):
            """Digits that count how often a stretch of them is taken."""

            __slots__ = ("taken",)
            taken: int

            def __getitem__(self, key: object) -> str:
                self.taken += 1
                return str.__getitem__(self, key)  # type: ignore[index]  # an index or a slice

        counts = []
        for size in (1_000, 8_000):
            digits = Counted("9" * size)
            digits.taken = 0
            assert not hides_card_number(digits)
            counts.append(digits.taken)
        assert counts[1] <= 8.2 * counts[0]
