"""Check sums, against their published check values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zahlwerk.codec.crc import crc16_kermit, crc16_xmodem


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"123456789", 0x31C3, id="catalogue check value"),
        pytest.param(b"", 0, id="nothing"),
        pytest.param(b"\x00\x00", 0, id="leading zeros are invisible"),
        pytest.param(b"A", 0x58E5, id="one byte"),
    ],
)
def test_the_published_values_come_out(data: bytes, expected: int) -> None:
    assert crc16_xmodem(data) == expected


@given(st.binary(max_size=64))
def test_a_message_followed_by_its_own_check_sum_leaves_nothing(data: bytes) -> None:
    assert crc16_xmodem(data + crc16_xmodem(data).to_bytes(2, "big")) == 0


@given(st.binary(max_size=64))
def test_it_agrees_with_the_definition_bit_by_bit(data: bytes) -> None:
    register = 0
    for byte in data:
        for shift in range(7, -1, -1):
            carry = (register >> 15) ^ (byte >> shift & 1)
            register = (register << 1 & 0xFFFF) ^ (0x1021 * carry)
    assert crc16_xmodem(data) == register


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"123456789", 0x2189, id="catalogue check value"),
        pytest.param(b"", 0, id="nothing"),
        pytest.param(b"\x00\x00", 0, id="leading zeros are invisible"),
        pytest.param(bytes.fromhex("05 01 00 03"), 0x0610, id="a ZVT status enquiry"),
    ],
)
def test_the_published_values_of_the_mirrored_sum_come_out(data: bytes, expected: int) -> None:
    assert crc16_kermit(data) == expected


@given(st.binary(max_size=64))
def test_the_mirrored_sum_agrees_with_its_definition_bit_by_bit(data: bytes) -> None:
    register = 0
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x8408 * (register & 1))
    assert crc16_kermit(data) == register
