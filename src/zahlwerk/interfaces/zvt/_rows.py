"""The shapes of the dictionary's rows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique

from zahlwerk.codec.source import Source
from zahlwerk.payment import Outcome

__all__ = [
    "BitmapRow",
    "CardRow",
    "CommandRow",
    "Direction",
    "Ending",
    "Format",
    "IntermediateRow",
    "Length",
    "Phrase",
    "Positional",
    "Rest",
    "ResultRow",
    "Secrecy",
    "StatusRow",
    "TagRow",
]


@dataclass(frozen=True, slots=True)
class Phrase:
    """A few words for people in four languages; English where a language is empty."""

    en: str
    de: str = ""
    fr: str = ""
    it: str = ""

    def __str__(self) -> str:
        return self.en

    def of(self, language: str) -> str:
        """The words in a language (`de`, `de_CH`, `fr` ...), English if there are none."""
        match language[:2].lower():
            case "de":
                return self.de or self.en
            case "fr":
                return self.fr or self.en
            case "it":
                return self.it or self.en
        return self.en


@unique
class Format(Enum):
    """How the bytes of a value are read."""

    NUMBER = "BCD number"
    """Packed decimal digits, read as an integer."""
    DIGITS = "BCD digits"
    """Packed digits, kept as text of upper-case hexadecimal digits: leading zeros and masks (E) stay."""
    BINARY = "binary number"
    """Unsigned integer, high byte first."""
    BITS = "bits"
    """Each bit with a meaning of its own, bit 01 of byte 1 first: byte 1 is the low one of the integer, however many
    bytes are sent (fact sheet 4.2, 4.4: tags 40, 1F04 and 1F55 name their bits by byte)."""
    TEXT = "text"
    """Characters in the set that holds now (fact sheet 4.5)."""
    ASCII = "ASCII text"
    BYTES = "bytes"
    CONTAINER = "container"
    """TLV only: objects inside."""


@unique
class Length(Enum):
    """How the length of a BMP is told. Source: fact sheet 3.1."""

    FIXED = "fixed"
    LL = "LL"
    """Two bytes Fx Fy."""
    LLL = "LLL"
    """Three bytes Fx Fy Fz."""
    TLV = "TLV"
    """BER-like; BMP 06 only."""


@unique
class Secrecy(Enum):
    """What of a value may be seen or written down."""

    OPEN = "open"
    PAN = "card number"
    """First six and last four digits."""
    SECRET = "secret"  # noqa: S105 - the kind of value, not a secret
    """Nothing: tracks, PIN, check code, passwords, keys."""


@unique
class Direction(Enum):
    """Who sends a command."""

    TO_TERMINAL = "register to terminal"
    TO_REGISTER = "terminal to register"
    BOTH = "both ways"


@unique
class Ending(Enum):
    """How a command ends. Source: fact sheet 2.1 (classes A, B, C) and 2.3."""

    PROCEDURE = "procedure"
    """A: 80 00, then the terminal is master until 06 0F or 06 1E."""
    DIRECT = "direct"
    """B: the answer is the end."""
    READ = "read"
    """C: 80 00, then 04 0F."""
    STEP = "step"
    """A terminal's command inside a procedure: ends with the register's answer."""


@unique
class Rest(Enum):
    """What follows the positional part of a data block."""

    FIELDS = "BMPs"
    NOTHING = "nothing"
    TEXT = "text"
    BYTES = "bytes"
    """Positional data that only the command itself understands."""


@dataclass(frozen=True, slots=True)
class BitmapRow:
    """One BMP. Source of all: fact sheet 3.2."""

    number: int
    name: str
    """A snake_case identifier, unique among the BMPs, and the same as that of a tag only where both mean the same."""
    meaning: str
    """One English phrase for integrators, with the unit."""
    length: Length
    size: int
    """Bytes; for FIXED the exact number, for LL and LLL the most that the standard allows (99, 999 if it does not say),
    0 for TLV."""
    format: Format
    source: Source
    secrecy: Secrecy = Secrecy.OPEN
    pad: str = ""
    """`0F` if an odd number of digits gets a trailing F (card numbers); `00` if text is padded or closed with it."""


@dataclass(frozen=True, slots=True)
class TagRow:
    """One tag of a TLV container. Source of all: fact sheet 4.2 and 4.3."""

    tag: int
    """The tag's bytes as one number: 0x07, 0x1F10, 0xFF01."""
    name: str
    meaning: str
    format: Format
    source: Source
    size: int | None = None
    """Bytes where the standard says; None: any."""
    secrecy: Secrecy = Secrecy.OPEN


@dataclass(frozen=True, slots=True)
class Positional:
    """One field without a BMP number at the start of a data block."""

    name: str
    size: int
    """Bytes."""
    format: Format
    optional: bool = False
    """May be missing, together with everything after it, when the block ends here."""
    secrecy: Secrecy = Secrecy.OPEN
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class CommandRow:
    """One command. Source of all: fact sheet 2.2 and 2.3."""

    code: int
    """CLASS and INSTR as one number: 0x0601."""
    name: str
    """A snake_case identifier in the field's terms: `authorisation`, `end_of_day`."""
    title: str
    """For people: `Authorisation`."""
    direction: Direction
    ending: Ending
    source: Source
    layout: tuple[Positional, ...] = ()
    rest: Rest = Rest.FIELDS
    bitmaps: tuple[int, ...] = ()
    """BMPs that the standard allows here, 0x06 for TLV included."""
    tags: tuple[int, ...] = ()
    """Tags that the standard names for the command."""
    required: tuple[int, ...] = ()
    """BMPs without which the command makes no sense."""
    moves_money: bool = False
    """Money may have moved once it was sent: an unknown end needs recovery."""

    @property
    def label(self) -> str:
        """As people write it: `06 01`."""
        return f"{self.code >> 8:02X} {self.code & 0xFF:02X}"


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One result code (BMP 27, first byte of 06 1E, second of 84 xx). Source of all: fact sheet 5.1."""

    code: int
    name: str
    """A snake_case identifier, unique."""
    outcome: Outcome | None
    """What it makes of a payment that has it in 04 0F or 06 1E; None: says nothing about a payment."""
    staff: Phrase
    """For the person at the till, in all four languages: a short, friendly sentence."""
    integrator: str
    """For the person who connects the till, in English: what the code says and what is behind it."""
    next_step: Phrase
    """What to do now, in all four languages; empty where there is nothing to do."""
    source: Source


@dataclass(frozen=True, slots=True)
class IntermediateRow:
    """One code of 04 FF. Source of all: fact sheet 5.3."""

    code: int
    text: Phrase
    """In all four languages."""
    must_show: bool
    """Column u: an unattended machine has to show it to the customer."""
    source: Source


@dataclass(frozen=True, slots=True)
class CardRow:
    """One ZVT card type id. Source of all: fact sheet 5.4."""

    number: int
    name: str
    brand: str
    """The brand as the other interfaces call it (`Visa`, `Mastercard`, `girocard` ...); the name itself otherwise."""
    source: Source


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One terminal status (06 0F after 05 01). Source of all: fact sheet 5.2."""

    code: int
    text: Phrase
    """In all four languages."""
    remedy: Phrase
    """What helps, in all four languages; empty for "nothing to do"."""
    cure: int | None
    """The command that helps, as in `CommandRow.code`; None where it takes a person."""
    can_pay: bool
    """A payment may be started now."""
    source: Source
