"""The worked examples of the ZVT fact sheet, chapters 7.1 to 7.13, byte for byte, and the long text block of 7.9.

Each with who sends it and in the course of which command; the plain answers once in each chapter.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EXAMPLES", "LONG_BLOCK", "Example", "at"]


@dataclass(frozen=True)
class Example:
    """One APDU of chapter 7."""

    chapter: str
    sender: str
    answers: int
    """The command in whose course it is sent; 0 for a command of the register."""
    text: str

    @property
    def apdu(self) -> bytes:
        return bytes.fromhex(self.text)

    def __str__(self) -> str:
        return f"{self.chapter} {self.sender} {self.text[:23]}"


# 7.9: 15 lines of 24 characters, 410 bytes in all.
LONG_BLOCK = bytes.fromhex("06 D3 FF 95 01 06 82 01 91 1F 07 01 01 25 82 01 89")
LONG_BLOCK += b"".join(b"\x07\x18" + f"Zeile {number:02d} ".encode().ljust(24, b".") for number in range(1, 16))
LONG_BLOCK += bytes.fromhex("09 01 81")

EXAMPLES = (
    Example("7.1", "ECR", 0x0000, "06 00 15 00 00 00 BE 09 78 06 0D 12 01 42 1A 02 04 00 26 04 0A 02 06 D3"),
    Example("7.1", "PT", 0x0600, "80 00 00"),
    Example("7.1", "PT", 0x0600, "06 0F 19 19 00 29 62 07 11 83 49 09 78 06 0D 12 01 42 1A 02 10 00 26 04 0A 02 06 D3"),
    Example("7.1", "PT", 0x0600, "84 1E 03 6F 09 78"),
    Example("7.2", "ECR", 0x0000, "06 01 0E 04 00 00 00 00 12 50 49 09 78 19 40 06 00"),
    Example("7.2", "PT", 0x0601, "80 00 00"),
    Example("7.2", "PT", 0x0601, "04 FF 13 0A 02 06 0F 24 0D 07 0B 4B 61 72 74 65 20 62 69 74 74 65"),
    Example("7.2", "PT", 0x0601, "04 FF 02 04 02"),
    Example("7.2", "PT", 0x0601,
            "04 0F 8F 27 00 04 00 00 00 00 12 50 0B 00 02 71 0C 14 23 07 0D 03 18 0E 28 11 17 00 01 19 70 22 F1 F0 EE "
            "EE EE EE EE EE EE E4 71 3F 29 62 07 11 83 3B 37 31 39 33 38 34 00 00 3C F0 F0 F9 47 45 4E 45 48 4D 49 47 "
            "54 49 09 78 87 01 53 88 00 01 53 8A 05 8B F0 F9 67 69 72 6F 63 61 72 64 00 06 31 2F 0C 1F 10 01 02 1F 11 "
            "01 01 1F 12 01 02 45 04 21 00 00 00 60 16 43 0A A0 00 00 03 59 10 10 02 80 01 42 08 67 69 72 6F 63 61 72 "
            "64 1F 1F 02 01 53"),
    Example("7.2", "PT", 0x0601,
            "06 D3 3D 06 3B 1F 07 01 02 25 35 09 01 40 07 0B 4B 75 6E 64 65 6E 62 65 6C 65 67 09 01 00 07 0F 53 75 6D "
            "6D 65 20 45 55 52 20 31 32 2C 35 30 07 00 07 0A 5A 61 68 6C 75 6E 67 20 6F 6B 09 01 81"),
    Example("7.2", "PT", 0x0601, "06 0F 00"),
    Example("7.3", "PT", 0x0601,
            "04 0F 2E 27 05 04 00 00 00 00 12 50 0B 00 02 72 0C 14 25 10 0D 03 18 29 62 07 11 83 3C F0 F0 F9 41 42 47 "
            "45 4C 45 48 4E 54 49 09 78 87 00 00 8A 06"),
    Example("7.3", "PT", 0x0601, "06 1E 01 05"),
    Example("7.4", "ECR", 0x0000, "06 B0 00"),
    Example("7.4", "PT", 0x0601, "04 0F 18 27 6C 04 00 00 00 00 12 50 0C 14 26 40 0D 03 18 29 62 07 11 83 49 09 78"),
    Example("7.4", "PT", 0x0601, "06 1E 01 6C"),
    Example("7.4", "PT", 0x0601, "06 1E 17 FF 06 14 1F 16 02 0A 03 1F 17 0C 48 6F 73 74 20 74 69 6D 65 6F 75 74"),
    Example("7.4", "ECR", 0x0000, "06 B0 00"),
    Example("7.4", "PT", 0x0601, "84 83 00"),
    Example("7.5", "ECR", 0x0000, "06 50 03 00 00 00"),
    Example("7.5", "PT", 0x0650, "80 00 00"),
    Example("7.5", "PT", 0x0650,
            "04 0F 50 27 00 04 00 00 00 10 21 95 0B 00 02 75 0C 22 05 03 0D 03 18 49 09 78 60 F0 F5 F3 01 01 01 53 0C "
            "00 00 00 04 56 30 00 00 00 00 00 00 00 05 00 00 00 02 18 90 00 00 00 00 00 00 00 07 00 00 00 03 34 75 00 "
            "00 00 00 00 00 00 01 00 00 00 00 12 00"),
    Example("7.5", "PT", 0x0650, "06 0F 00"),
    Example("7.6", "ECR", 0x0000, "06 22 0C 04 00 00 00 01 00 00 49 09 78 19 40"),
    Example("7.6", "PT", 0x0622,
            "04 0F 2A 27 00 04 00 00 00 01 00 00 0B 00 02 76 0C 09 15 33 0D 03 19 29 62 07 11 83 3B 30 35 38 38 31 32 "
            "00 00 49 09 78 87 01 54 8A 0A"),
    Example("7.6", "PT", 0x0622, "06 0F 00"),
    Example("7.6", "ECR", 0x0000, "06 23 0D 87 01 54 04 00 00 00 00 36 60 49 09 78"),
    Example("7.6", "ECR", 0x0000,
            "06 24 1A 87 01 54 04 00 00 00 00 63 40 49 09 78 0B 00 02 76 3B 30 35 38 38 31 32 00 00"),
    Example("7.6", "ECR", 0x0000, "06 25 03 87 01 54"),
    Example("7.6", "ECR", 0x0000, "06 23 03 87 FF FF"),
    Example("7.6", "PT", 0x0623, "06 1E 04 B8 87 01 54"),
    Example("7.6", "PT", 0x0623, "06 1E 0D B8 06 0A 23 08 08 02 01 54 08 02 01 57"),
    Example("7.7", "ECR", 0x0000, "06 30 06 00 00 00 87 01 53"),
    Example("7.7", "PT", 0x0630,
            "04 0F 25 27 00 04 00 00 00 00 12 50 0B 00 02 77 37 00 02 71 0C 10 01 02 0D 03 19 29 62 07 11 83 49 09 78 "
            "87 01 55 8A 05"),
    Example("7.7", "PT", 0x0630, "06 0F 00"),
    Example("7.7", "ECR", 0x0000, "06 31 0D 00 00 00 04 00 00 00 00 09 99 49 09 78"),
    Example("7.8", "PT", 0x0601, "06 D1 0B 40 42 65 6C 65 67 20 30 31 35 33"),
    Example("7.8", "PT", 0x0601, "06 D1 0C 60 53 75 6D 6D 65 20 31 32 2C 35 30"),
    Example("7.8", "PT", 0x0601, "06 D1 04 03 45 55 52"),
    Example("7.8", "PT", 0x0601, "06 D1 01 00"),
    Example("7.8", "PT", 0x0601, "06 D1 02 FF 03"),
    Example("7.8", "PT", 0x0601, "06 D1 01 81"),
    Example("7.10", "PT", 0x0601, "06 D3 10 06 0E 25 0C 07 07 48 84 6E 64 6C 65 72 09 01 81"),
    Example("7.10", "PT", 0x0601, "06 D3 13 06 11 14 01 01 25 0C 07 07 48 E4 6E 64 6C 65 72 09 01 81"),
    Example("7.11", "ECR", 0x0000, "05 01 00"),
    Example("7.11", "PT", 0x0501, "06 0F 01 00"),
    Example("7.11", "ECR", 0x0000, "05 01 05 00 00 00 03 04"),
    Example("7.11", "PT", 0x0501,
            "06 0F 28 F0 F0 F8 44 45 4D 4F 20 34 2E 37 00 06 1A 1F 44 04 62 07 11 83 E4 11 1F 40 04 44 45 4D 4F 1F 41 "
            "03 34 2E 37 1F 43 01 00"),
    Example("7.11", "PT", 0x0501, "06 0F 01 C2"),
    Example("7.12", "ECR", 0x0000, "06 70 05 06 03 1B 01 02"),
    Example("7.12", "PT", 0x0670, "04 01 08 AA 26 03 18 0C 14 23 07"),
    Example("7.12", "PT", 0x0670, "06 0F 00"),
    Example("7.12", "ECR", 0x0000, "06 91 0B 00 00 00 AA 26 03 18 0C 14 23 07"),
    Example("7.12", "ECR", 0x0000, "06 20 05 00 00 00 03 03"),
    Example("7.12", "PT", 0x0620, "06 0F 00"),
    Example("7.13", "ECR", 0x0000, "06 01 10 04 00 00 00 00 02 00 49 09 78 19 40 01 1E 02 05"),
    Example("7.13", "ECR", 0x0601, "84 9C 00"),
    Example("7.13", "ECR", 0x0601, "84 9D 07 04 00 00 00 00 01 20"),
    Example("7.13", "ECR", 0x0601, "84 66 00"),
    Example("7.13", "ECR", 0x0000, "06 01 11 04 00 00 00 00 05 00 49 09 78 06 05 1F 1F 02 01 53"),
    Example("7.13", "ECR", 0x0000, "06 01 0F 04 00 00 00 00 05 00 49 09 78 06 03 1F 1F 00"),
    Example("7.13", "ECR", 0x0000, "06 C0 09 1E 19 50 06 04 1F 60 01 07"),
    Example("7.13", "PT", 0x06C0,
            "04 0F 1F 23 F1 F0 EE EE EE EE EE EE 47 13 D2 81 06 10 62 0E 60 0C 43 07 A0 00 00 00 04 10 10 41 01 06"),
    Example("7.13", "ECR", 0x0000,
            "06 E0 1C F0 0A F1 F1 F0 42 69 74 74 65 20 47 65 6C 64 F2 F0 F8 65 69 6E 6C 65 67 65 6E F9 01"),
    Example("7.13", "PT", 0x0601,
            "04 0D 1B 06 19 32 17 24 0C 07 0A 54 72 69 6E 6B 67 65 6C 64 3F 1F 38 01 02 1F 39 02 00 3C"),
    Example("7.13", "ECR", 0x040D, "80 00 0A 06 08 32 06 1F 3A 03 31 35 30"),
    Example("7.13", "PT", 0x0601,
            "04 0E 2D 06 2B 2B 29 16 01 01 17 01 02 18 01 02 2C 0D 07 08 67 69 72 6F 63 61 72 64 19 01 01 2C 0F 07 0A "
            "4D 61 73 74 65 72 63 61 72 64 19 01 02"),
    Example("7.13", "ECR", 0x040E, "80 00 05 06 03 19 01 01"),
    Example("7.13", "ECR", 0x0000, "06 00 14 00 00 00 8E 09 78 06 0C 26 04 0A 02 06 D3 1F 73 03 00 00 00"),
    Example("7.13", "ECR", 0x0000, "06 01 12 04 00 00 00 00 03 70 49 09 78 06 06 1F 73 03 00 00 01"),
    Example("7.13", "PT", 0x0601, "80 00 08 06 06 1F 73 03 00 00 01"),
    Example("7.13", "PT", 0x0601, "04 FF 0A 0E 02 06 06 1F 73 03 00 00 02"),
    Example("7.13", "ECR", 0x04FF, "80 00 08 06 06 1F 73 03 00 00 02"),
)  # fmt: skip


def at(chapter: str, start: str) -> bytes:
    """The first example of a chapter that begins with these bytes."""
    return next(one.apdu for one in EXAMPLES if one.chapter == chapter and one.text.startswith(start))
