"""Terminal status (06 0F after 05 01), and what helps. Source: fact sheet 5.2."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from zahlwerk.interfaces.zvt import _steps as then
from zahlwerk.interfaces.zvt._results import result_row
from zahlwerk.interfaces.zvt._rows import Phrase, StatusRow
from zahlwerk.interfaces.zvt._sources import OURS, standard

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["STATUS_ROWS", "status_row"]

_SOURCE: Final = standard("5.2")
_READY: Final = Phrase("Ready.", "Bereit.", "Prêt.", "Pronto.")
_CLOCK: Final = Phrase(
    "The terminal's clock is wrong.", "Die Uhr des Terminals geht falsch.", "L'horloge du terminal est fausse.",
    "L'orologio del terminale è errato.",
)  # fmt: skip
_INITIALISE: Final = Phrase(
    "The terminal needs an initialisation.", "Das Terminal braucht eine Initialisierung.",
    "Le terminal a besoin d'une initialisation.", "Il terminale richiede un'inizializzazione.",
)  # fmt: skip
_OUT_OF_ORDER: Final = Phrase(
    "The terminal is out of order.", "Das Terminal ist außer Betrieb.", "Le terminal est hors service.",
    "Il terminale è fuori servizio.",
)  # fmt: skip
_OPT: Final = Phrase(
    "The terminal must be personalised (OPT).", "Das Terminal muss personalisiert werden (OPT).",
    "Le terminal doit être personnalisé (OPT).", "Il terminale deve essere personalizzato (OPT).",
)  # fmt: skip
_HALF_OUT: Final = Phrase(
    "A card is not fully removed.", "Eine Karte ist nicht ganz entnommen.", "Une carte n'est pas retirée complètement.",
    "Una carta non è stata tolta del tutto.",
)  # fmt: skip


def _s(
    code: int, remedy: Phrase, *, text: Phrase | None = None, cure: int | None = None, can_pay: bool = False
) -> StatusRow:
    return StatusRow(code, text or result_row(code).staff, remedy, cure, can_pay, _SOURCE)


STATUS_ROWS: Final[tuple[StatusRow, ...]] = (
    _s(0x00, then.NONE, text=_READY, can_pay=True),
    _s(0x51, then.INITIALISE, text=_INITIALISE, cure=0x0693),
    _s(0x62, then.DIAGNOSE, text=_CLOCK, cure=0x0670),
    _s(0x64, then.RETRY, can_pay=True),
    _s(0x65, then.ASK_SERVICE, text=_OPT, cure=0x0820),
    _s(0x9C, then.WAIT),
    _s(0x9D, then.NONE, can_pay=True),
    _s(0xB1, then.END_OF_DAY, cure=0x0650),
    _s(0xB2, then.END_OF_DAY, cure=0x0811),
    _s(0xBF, then.ASK_SERVICE),
    _s(0xC0, then.ASK_SERVICE),
    _s(0xC1, then.DIAGNOSE, cure=0x0670),
    _s(0xC2, then.DIAGNOSE, cure=0x0670),
    _s(0xC4, then.ASK_SERVICE, cure=0x0810),
    _s(0xCC, then.PAPER),
    _s(0xDC, then.TAKE_CARD, cure=0x06B0, can_pay=True),
    _s(0xDF, then.ASK_SERVICE, text=_OUT_OF_ORDER),
    _s(0xE0, then.WAIT),
    _s(0xE1, then.TAKE_CARD, text=_HALF_OUT),
    _s(0xE2, then.ASK_SERVICE),
    _s(0xE3, then.ASK_SERVICE),
    _s(0xE4, then.ASK_SERVICE),
    _s(0xF0, then.END_OF_DAY, cure=0x0650),
    _s(0xF6, then.ASK_SERVICE, cure=0x0820),
)
_BY_CODE: Final[Mapping[int, StatusRow]] = MappingProxyType({row.code: row for row in STATUS_ROWS})


def status_row(code: int) -> StatusRow:
    """What a status says; one that is not listed is explained like a result code, and does not forbid a payment."""
    row = _BY_CODE.get(code)
    if row is not None:
        return row
    result = result_row(code)
    return StatusRow(code, result.staff, result.next_step, None, True, OURS)
