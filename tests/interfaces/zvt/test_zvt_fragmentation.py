"""One APDU may come in many segments and several in one. Source: ZVT fact sheet 1.1, 1.2; 8, pitfalls 1 and 2."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.interfaces.zvt.zvt_examples import EXAMPLES
from tests.interfaces.zvt.zvt_serial_world import cuts

from zahlwerk.interfaces.zvt.codec import decode, encode
from zahlwerk.interfaces.zvt.framing import ApduDecoder, PlainLink
from zahlwerk.interfaces.zvt.messages import Message, Tlv, answer
from zahlwerk.interfaces.zvt.register import RegisterSide

# 8, Verifone: text blocks of 1.7 kB. Its length has an FF in it, as the first length byte of a long form has.
LINES = tuple(Tlv(0x07, f"Zeile {number:03d} ".ljust(24, ".")) for number in range(65))
BLOCK = encode(Message(code=0x06D3, tlv=(Tlv(0x1F07, 2), Tlv(0x25, (*LINES, Tlv(0x09, 0x81))))))
FULL = encode(Message(code=0x06D1, head={"attribute": 0, "text": "A" * 254}))
APDUS = [*(one.apdu for one in EXAMPLES if one.chapter in {"7.1", "7.2", "7.5"}), BLOCK, FULL, b"\x80\x00\x00"]
STREAM = b"".join(APDUS)


def test_the_exchange_is_as_long_as_it_should_be() -> None:
    assert 1_650 < len(BLOCK) < 1_750
    assert BLOCK[2] == 0xFF
    assert FULL[2:5] == b"\xff\xff\x00"
    assert len(APDUS) >= 15


def test_cut_at_every_single_position_it_gives_the_same_apdus() -> None:
    for position in range(len(STREAM) + 1):
        decoder = ApduDecoder()
        first = decoder.feed(STREAM[:position])
        assert first + decoder.feed(STREAM[position:]) == APDUS, position
        assert first == APDUS[: len(first)]
        assert decoder.pending_bytes == 0


@pytest.mark.parametrize("size", range(1, 8))
def test_in_small_chunks_it_gives_the_same_apdus_each_as_soon_as_it_is_whole(size: int) -> None:
    decoder, found, fed = ApduDecoder(), list[bytes](), 0
    for at in range(0, len(STREAM), size):
        chunk = STREAM[at : at + size]
        fed += len(chunk)
        found += decoder.feed(chunk)
        assert sum(map(len, found)) + decoder.pending_bytes == fed
        assert len(found) == whole_within(fed)
    assert found == APDUS


def whole_within(size: int) -> int:
    count = 0
    for apdu in APDUS:
        size -= len(apdu)
        if size < 0:
            break
        count += 1
    return count


def test_wherever_a_payment_is_cut_the_register_answers_the_same() -> None:
    """7.2, all that PT says, in two segments at every position."""
    said = [one.apdu for one in EXAMPLES if one.chapter == "7.2" and one.sender == "PT"]
    stream = b"".join(said)
    for position in range(len(stream) + 1):
        side, link = RegisterSide(), PlainLink()
        side.link_up()
        side.start(Message(code=0x0601, fields={0x04: 1250}), now_s=0.0, holds_results=True)
        side.data_to_send()
        for segment in (stream[:position], stream[position:]):
            for apdu in link.receive_data(segment, now_s=1.0):
                side.receive_data(apdu, now_s=1.0)
                side.reply(answer(), now_s=1.0)
        assert side.is_free, position
        assert side.data_to_send() == [b"\x80\x00\x00"] * (len(said) - 1), position


@pytest.mark.parametrize("size", [126, 127, 128, 129, 254, 255, 256, 257, 65_000])
def test_a_text_of_any_size_survives_every_length_that_holds_it(size: int) -> None:
    """4.1 and 1.1: the lengths of tag, container and block grow at different sizes."""
    message = Message(code=0x06D3, tlv=(Tlv(0x25, (Tlv(0x07, "A" * size),)),))
    apdu = encode(message)
    assert ApduDecoder().feed(apdu) == [apdu]
    assert decode(apdu, strict=True) == message


@given(st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_cut_anywhere_the_link_gives_the_same_apdus(positions: list[int]) -> None:
    link, found = PlainLink(), list[bytes]()
    for chunk in cuts(STREAM, positions):
        found += link.receive_data(chunk, now_s=1.0)
    assert found == APDUS
    assert link.problem() is None


def test_what_comes_out_is_what_went_in() -> None:
    (block,) = [decode(apdu, strict=True) for apdu in ApduDecoder().feed(STREAM) if apdu[:2] == b"\x06\xd3"][1:]
    assert block.tlv == (Tlv(0x1F07, 2), Tlv(0x25, (*LINES, Tlv(0x09, 0x81))))
