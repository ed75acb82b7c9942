"""Terminal models by the first three characters of the serial number (IFDSerialNum).

Source: PayTecAG/ecritf, ecritf.js (1.2.1), device model names. Three prefixes stand for two models each; the library
takes the first, here both are kept (P-37).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from zahlwerk.codec.source import Source
from zahlwerk.interfaces.kit._sources import LIBRARY

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MODEL_PREFIXES", "ModelRow", "model_of"]


@dataclass(frozen=True, slots=True)
class ModelRow:
    """What a serial-number prefix stands for."""

    prefix: str
    models: tuple[str, ...]
    """Model names in the library's order; more than one where PayTec used a prefix twice."""
    development: bool
    """True: a development device, never one in a shop."""
    source: Source


# Model: prefixes / prefixes of development devices.
_TABLE: Final = """
Davinci: ZTD / DTD
Davinci Vending: PVD
PRIMUS non-PCI: ZTP / DTP
Verdi: ZVA
Verdi Post: ZVP
Verdi Post (contact-only): ZVB
PRIMUS DK: ZKP / DKP
Verdi DK: ZKA / DKV
PRIMUS PCI PTS 3.x: ZTQ / DTQ
Merchant Device PRIMUS: MDP
Merchant Device Verdi: MDV
Davinci II: ZTE / DTE
PRIMUS Self Park PCI PTS 4.x: PSP
PRIMUS Self Park PCI PTS 2.x: IEM IET / IED
PRIMUS payven small: PVS / DPS
Reader Vending Motorized: RVM / DRM
Reader Vending Motorized PCI PTS 3.x: RVN
Reader Vending Push: RVP / DRP
Reader Vending Push 6mm heavy door: RVQ
Reader Vending Contactless: RVR / DRR
PRIMUS payven small RAL7016: PVA
PRIMUS Self Inside: PSI PSK PSL PSM / DSI
C2: PTC / DTC
Reader Push Short: RPI RPS / DRP
Reader Contactless RAL7016: RRA
D1: ZPD / DPD
PTVS Contactless Reader: PTR
V1: AVS / ADS
V2: AVT / ADT
Reader Push Short PCI PTS 5.x: APS / APD
Reader Push PCI PTS 5.x: AVP / ADT
Reader Push PCI PTS 5.x 6mm heavy door: AVQ / ADQ
Reader Vending Motorized PCI PTS 5.x: AVN / ADN
Reader Vending Contactless PCI PTS 5.1: AVR
Castles V3: PCV PCW / ZVD ZVE
Castles V3M2: CVM CVN CVO / CVD CVE
Castles V3P3: CVP / DVP
Castles UPT1000F: UPT UPU / UPD UPE
Castles MP200: CMP / CMD
Nexgo N86: N86 / D86
Nexgo N6: N6P / N6D
Nexgo N82: N82 / D82
Nexgo P200: P2P / P2D
Nexgo UN20: UN2 / UND
Castles S1F2: S1F / S1D
Nexgo N96: N96 / N9D D96
Nexgo N62: N62 / D62
Nexgo CT20P: C2P / D62
Nexgo N80: N80 / D80
Nexgo N92: N92 / D92
Nexgo N6 Pro: N6R / D6R
Nexgo N6 ProLite: PSD / DSD
Nexgo EF20: EF2 / DF2
Nexgo UN10: U10 / D10
"""


def _read(table: str) -> dict[str, ModelRow]:
    models: dict[str, list[str]] = {}
    development: dict[str, bool] = {}
    for line in table.strip().splitlines():
        model, prefixes = line.split(": ")
        shops, _, developers = prefixes.partition("/")
        for prefix in (*shops.split(), *developers.split()):
            models.setdefault(prefix, []).append(model)
            development[prefix] = development.get(prefix, True) and prefix in developers.split()
    return {prefix: ModelRow(prefix, tuple(names), development[prefix], LIBRARY) for prefix, names in models.items()}


MODEL_PREFIXES: Final[Mapping[str, ModelRow]] = MappingProxyType(_read(_TABLE))
"""Every prefix known to PayTec's library."""


def model_of(serial: str) -> str:
    """The model name of a serial number, both names where the prefix is ambiguous; empty when it is unknown."""
    row = MODEL_PREFIXES.get(serial[:3].upper())
    return " or ".join(row.models) if row else ""
