"""The shapes of the dictionary's rows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique

from zahlwerk.codec.source import Source
from zahlwerk.interfaces.kit.codes import TrxFunction

__all__ = ["CodeRow", "Direction", "FunctionRow", "MessageRow", "Need", "Phrase"]


@dataclass(frozen=True, slots=True)
class Phrase:
    """A few words for people in the four languages of PayTec's terminals; English where a language is empty."""

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
class Direction(Enum):
    """Who sends a message. Inferred ones may come from either side (P-17)."""

    R_TO_T = "register to terminal"
    T_TO_R = "terminal to register"
    BOTH = "both ways"


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One message of KIT."""

    name: str
    number: int | None
    """The one-byte type of KIT TLV, a decimal counter in BCD (0x10 follows 0x09); None: JSON only (P-02)."""
    direction: Direction
    response: str | None
    """The message that answers it; None for answers, notifications and CancelUIRequest (P-19)."""
    required: tuple[str, ...]
    """Fields that the schema requires, in its order."""
    in_schema: bool
    source: Source

    @property
    def code(self) -> str:
        """The number as PayTec writes it: `09`, `10`; empty where there is none."""
        return "" if self.number is None else f"{self.number:02X}"


@unique
class Need(Enum):
    """Whether a function takes a field of TransactionRequest."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"

    def __bool__(self) -> bool:
        return self is not Need.NONE


@dataclass(frozen=True, slots=True)
class FunctionRow:
    """One transaction function and the fields it takes."""

    function: TrxFunction
    label: Phrase
    """For lists; en and de are PayTec's, fr and it ours."""
    amount: Need
    """AmtAuth."""
    currency: Need
    """TrxCurrC: goes with the amount."""
    other: Need
    """AmtOther: the cashback, contained in AmtAuth (P-20)."""
    auth_code: Need
    """AuthC."""
    reference: Need
    """TrxRefNum and AcqID; OPTIONAL means from software 19.10.00 on."""
    sequence: Need
    """TrxSeqCntOri."""
    reason: Need
    """TrxReasonC."""
    order_reference: Need
    """RecOrderRef, from software 24.04.06 on."""
    requestable: bool
    """False: not to be sent in a TransactionRequest unless forced (P-05)."""
    in_schema: bool
    source: Source


@dataclass(frozen=True, slots=True)
class CodeRow:
    """One listed value of a coded field."""

    code: int
    name: str
    """The member's name in `codes`."""
    phrase: Phrase
    in_schema: bool
    source: Source
