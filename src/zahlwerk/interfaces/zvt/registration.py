"""What a register says when it introduces itself (06 00). Pure. Source: fact sheet 2.7, 6.2, 4.5."""

from __future__ import annotations

from enum import IntFlag
from typing import Final

from zahlwerk.interfaces.zvt.charsets import BY_NAME
from zahlwerk.interfaces.zvt.messages import Message, Tlv, Value
from zahlwerk.interfaces.zvt.profiles import Profile

__all__ = ["REGISTRATION", "Config", "Service", "registration_for"]

REGISTRATION: Final = 0x0600


class Config(IntFlag):
    """The config byte. Source: fact sheet 2.7."""

    PAYMENT_RECEIPTS = 0x02
    """The register takes over the receipts of payments."""
    ADMINISTRATION_RECEIPTS = 0x04
    INTERMEDIATE = 0x08
    """The register wants to hear what the terminal is doing."""
    LOCK_PAYMENT = 0x10
    """No amount can be typed in at the terminal."""
    LOCK_ADMINISTRATION = 0x20
    LINES = 0x80
    """The terminal sends finished lines; without it the register builds receipts from the results."""


class Service(IntFlag):
    """The service byte of the registration. Source: fact sheet 2.6."""

    NO_SERVICE_MENU = 0x01
    CAPITALS = 0x02


# LIMIT: what an APDU can carry.
APDU_MAX: Final = 0xFFFF
PRINT_BLOCK: Final = 0x06D3
READY_TEXTS: Final = 0x30
"""Tag 40: send the ready-made texts for both copies (46, 47). Source: fact sheet 4.2."""


def registration_for(
    profile: Profile,
    *,
    currency_number: int,
    handled: frozenset[int] = frozenset(),
    service: int | None = None,
    receipt_parameters: int | None = None,
) -> Message:
    """The registration that a profile calls for.

    Args:
        currency_number: ISO 4217; always sent, else the terminal tells no currency and takes everything as EUR (6.2).
        handled: commands of the terminal that somebody here can answer (04 0D, 04 0E, 06 D0, 06 E4): what is not
            listed, the terminal does not ask.
        service: BMP 03.
        receipt_parameters: tag 1F04.
    """
    head: dict[str, Value] = {"password": profile.password, "config": profile.config, "currency": currency_number}
    fields: dict[int, Value] = {} if service is None else {0x03: service}
    if not profile.tlv:
        return Message(code=REGISTRATION, head=head, fields=fields)
    tags: list[Tlv] = []
    if profile.config & Config.LINES:
        tags.append(Tlv(0x12, profile.width))
    tags.append(Tlv(0x1A, APDU_MAX))
    if profile.lists_commands:
        listed = sorted(handled | ({PRINT_BLOCK} if profile.blocks else set()))
        tags.append(Tlv(0x26, tuple(Tlv(0x0A, code.to_bytes(2, "big")) for code in listed)))
    number = BY_NAME[profile.charset].number
    if profile.negotiates and number is not None:
        tags.append(Tlv(0x27, (Tlv(0x14, number),)))
    if profile.config & Config.PAYMENT_RECEIPTS and not profile.config & Config.LINES:
        tags.append(Tlv(0x40, READY_TEXTS))
    if receipt_parameters is not None:
        tags.append(Tlv(0x1F04, receipt_parameters))
    if profile.numbered:
        tags.append(Tlv(0x1F73, 0))
    return Message(code=REGISTRATION, head=head, fields=fields, tlv=tuple(tags))
