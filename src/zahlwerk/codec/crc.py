"""Check sums that more than one protocol uses."""

from __future__ import annotations

import binascii

__all__ = ["crc16_xmodem"]


def crc16_xmodem(data: bytes) -> int:
    """CRC-16/XMODEM: polynomial 0x1021, start value 0, nothing reflected; 0x31C3 for the bytes `123456789`.

    Source: Williams, A Painless Guide to CRC Error Detection Algorithms, 1993; catalogue name CRC-16/XMODEM.
    """
    return binascii.crc_hqx(data, 0)
