"""Check sums that more than one protocol uses."""

from __future__ import annotations

import binascii
from typing import Final

__all__ = ["crc16_kermit", "crc16_xmodem"]

_MIRRORED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def crc16_kermit(data: bytes) -> int:
    """CRC-16/KERMIT: polynomial 0x1021 reflected (0x8408), start value 0; 0x2189 for the bytes `123456789`.

    Source: Williams, A Painless Guide to CRC Error Detection Algorithms, 1993; catalogue name CRC-16/KERMIT.
    """
    # The same division as XMODEM's with every byte, and at last the remainder, read from the other end.
    remainder = binascii.crc_hqx(data.translate(_MIRRORED), 0)
    return _MIRRORED[remainder & 0xFF] << 8 | _MIRRORED[remainder >> 8]


def crc16_xmodem(data: bytes) -> int:
    """CRC-16/XMODEM: polynomial 0x1021, start value 0, nothing reflected; 0x31C3 for the bytes `123456789`.

    Source: Williams, A Painless Guide to CRC Error Detection Algorithms, 1993; catalogue name CRC-16/XMODEM.
    """
    return binascii.crc_hqx(data, 0)
