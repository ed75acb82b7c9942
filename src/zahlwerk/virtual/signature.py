"""A signature as a terminal's screen gives it: a tiny black and white PNG, made here."""

from __future__ import annotations

import struct
import zlib

__all__ = ["signature_png"]


def signature_png(name: str, *, width: int = 64, height: int = 16) -> bytes:
    """The same scrawl for the same name, as a valid PNG of one bit a pixel.

    Source: PNG (ISO/IEC 15948), chapters 11 and 10: IHDR, IDAT, IEND; greyscale, bit depth 1.
    """
    marks = zlib.crc32(name.encode())
    level = height // 2
    rows = [bytearray(b"\xff" * (width // 8)) for _ in range(height)]
    for x in range(4, width - 4):
        level = min(height - 2, max(1, level + (marks >> (x % 30) & 3) - 1 - (x % 3 == 0)))
        rows[level][x // 8] &= ~(0x80 >> x % 8) & 0xFF
    raw = b"".join(b"\x00" + bytes(row) for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(raw, 9)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
