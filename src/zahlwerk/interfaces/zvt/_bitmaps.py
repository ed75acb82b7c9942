"""Every BMP of ZVT. Source: fact sheet 3.1 and 3.2. Numbers that are missing are undefined: their length is unknown."""

from __future__ import annotations

from typing import Final

from zahlwerk.interfaces.zvt._rows import BitmapRow, Format, Length, Secrecy
from zahlwerk.interfaces.zvt._sources import standard

__all__ = ["BITMAP_ROWS"]

_SOURCE: Final = standard("3.2")
_F, _SECRET = Format, Secrecy.SECRET


def _n(
    number: int, size: int, name: str, form: Format, meaning: str, secrecy: Secrecy = Secrecy.OPEN, pad: str = ""
) -> BitmapRow:
    """A field of fixed length."""
    return BitmapRow(number, name, meaning, Length.FIXED, size, form, _SOURCE, secrecy, pad)


def _ll(
    number: int, name: str, form: Format, meaning: str, secrecy: Secrecy = Secrecy.OPEN, pad: str = ""
) -> BitmapRow:
    return BitmapRow(number, name, meaning, Length.LL, 99, form, _SOURCE, secrecy, pad)


def _lll(
    number: int, name: str, form: Format, meaning: str, secrecy: Secrecy = Secrecy.OPEN, size: int = 999
) -> BitmapRow:
    return BitmapRow(number, name, meaning, Length.LLL, size, form, _SOURCE, secrecy)


BITMAP_ROWS: Final[tuple[BitmapRow, ...]] = (
    _n(0x01, 1, "timeout", _F.BINARY, "seconds that the terminal waits for the answer to 04 0F; 30 unless given"),
    _n(0x02, 1, "max_repeats", _F.BINARY, "how often the register may answer 84 9C; unlimited unless given"),
    _n(0x03, 1, "service", _F.BITS, "service byte; its bits depend on the command"),
    _n(0x04, 6, "amount", _F.NUMBER, "amount in minor units"),
    _n(0x05, 1, "pump", _F.BINARY, "pump number"),
    BitmapRow(0x06, "tlv", "TLV container", Length.TLV, 0, _F.CONTAINER, _SOURCE),
    _n(0x0B, 3, "trace", _F.NUMBER, "trace number; 0 when it has more than six digits and stands in tag 1F2B"),
    _n(0x0C, 3, "time", _F.DIGITS, "time HHMMSS, the terminal's"),
    _n(0x0D, 2, "date", _F.DIGITS, "date MMDD without a year"),
    _n(0x0E, 2, "expiry", _F.DIGITS, "expiry of the card, YYMM"),
    _n(0x17, 2, "card_sequence", _F.DIGITS, "card sequence number"),
    _n(0x19, 1, "payment_type", _F.BITS, "payment type; after 06 00 a status byte; in 06 C0 a card type"),
    _ll(0x22, "pan", _F.DIGITS, "card number, E for a masked digit, F as padding", Secrecy.PAN, "0F"),
    _ll(0x23, "track_2", _F.DIGITS, "track 2 without sentinels, D as separator", _SECRET),
    _lll(0x24, "track_3", _F.DIGITS, "track 3 without sentinels, D as separator", _SECRET),
    _n(0x27, 1, "result", _F.BINARY, "result code; 0 is success"),
    _n(0x29, 4, "terminal_id", _F.DIGITS, "terminal id"),
    _n(0x2A, 15, "contract_number", _F.ASCII, "the merchant's contract number with the acquirer"),
    _ll(0x2D, "track_1", _F.ASCII, "track 1", _SECRET),
    _lll(0x2E, "chip_data", _F.BYTES, "data of a synchronous chip", _SECRET),
    _n(0x37, 3, "original_trace", _F.NUMBER, "trace number of what is reversed"),
    _n(0x3A, 2, "cvv", _F.DIGITS, "check code of the card", _SECRET),
    _n(0x3B, 8, "authorisation_attribute", _F.ASCII, "approval code; not the EMV application", pad="00"),
    _lll(0x3C, "additional_data", _F.TEXT, "text for the receipt; to the terminal also fleet data"),
    _n(0x3D, 3, "password", _F.DIGITS, "password, in 06 09 only", _SECRET),
    _n(0x49, 2, "currency", _F.NUMBER, "ISO 4217 number of the currency"),
    _ll(0x4C, "blocked_goods", _F.BYTES, "goods groups that the card refuses, three bytes each"),
    _lll(0x60, "totals", _F.BYTES, "totals by card scheme, 53 bytes"),
    _n(0x70, 4, "image_id", _F.BINARY, "number of an image, the same in all of its chunks"),
    _n(0x71, 4, "image_size", _F.BINARY, "size of the image in bytes"),
    _n(0x72, 1, "image_type", _F.BINARY, "kind of image"),
    _n(0x73, 1, "image_encoding", _F.BINARY, "how the image is encoded"),
    _n(0x74, 1, "image_chunks", _F.BINARY, "number of chunks"),
    _n(0x75, 1, "image_chunk", _F.BINARY, "number of this chunk, from 0"),
    _n(0x87, 2, "receipt_number", _F.NUMBER, "receipt number; FF FF asks for all open pre-authorisations"),
    _n(0x88, 3, "turnover_number", _F.NUMBER, "turnover number, counts all transactions"),
    _n(0x8A, 1, "card_type", _F.BINARY, "ZVT card type id; FF means: see tag 41"),
    _ll(0x8B, "card_name", _F.TEXT, "name of the card or product, closed by 00", pad="00"),
    _n(0x8C, 1, "operator_card_type", _F.BINARY, "card type id of the network operator; FF means: see tag 49"),
    _lll(0x92, "offline_chip", _F.BYTES, "offline data of an ec chip, old revisions only", _SECRET),
    _lll(0x9A, "purse_record", _F.BYTES, "GeldKarte payment or total record", _SECRET),
    _n(0xA0, 1, "host_result", _F.BINARY, "the host's own result code, for the receipt"),
    _ll(0xA7, "chip_file", _F.BYTES, "EF_ID of the chip", _SECRET),
    _n(0xAA, 3, "date_with_year", _F.DIGITS, "date YYMMDD"),
    _lll(0xAF, "chip_info", _F.BYTES, "EF_INFO of the chip", _SECRET),
    _n(0xBA, 5, "aid_parameter", _F.BYTES, "AID parameter of old Maestro"),
    _n(0xD0, 1, "pin_algorithm", _F.BINARY, "PIN algorithm"),
    _ll(0xD1, "pin_data", _F.BYTES, "card offset or PIN data", _SECRET),
    _n(0xD2, 1, "card_output", _F.BINARY, "where the card goes: 00 customer, 01 inwards, 02 park"),
    _n(0xD3, 1, "dukpt_key", _F.BINARY, "which DUKPT key"),
    _n(0xE0, 1, "input_min", _F.BINARY, "least length of an input"),
    *(_ll(0xE1 + i, f"input_text_{i + 1}", _F.TEXT, f"line {i + 1} shown after the first digit") for i in range(8)),
    _n(0xE9, 1, "input_max", _F.BINARY, "greatest length of an input"),
    _n(0xEA, 1, "echo", _F.BINARY, "how digits are shown: FF plainly, 00 not at all, else as *"),
    _n(0xEB, 8, "mac", _F.BYTES, "MAC over the texts", _SECRET),
    _n(0xF0, 1, "display_time", _F.BINARY, "seconds that a text is shown; 0 for ever; replaces T3"),
    *(_ll(0xF1 + i, f"text_{i + 1}", _F.TEXT, f"line {i + 1} of a text") for i in range(8)),
    _n(0xF9, 1, "beeps", _F.BINARY, "number of beeps; in 06 E1 FF reacts to a card being inserted"),
    _n(0xFA, 1, "card_reader", _F.BINARY, "00 switches the card reader on, FF off"),
    _n(0xFB, 1, "confirm", _F.BINARY, "whether an input has to be confirmed with OK"),
    _n(0xFC, 1, "dialog", _F.BITS, "bit 01: the terminal shows its own prompts"),
    _n(0xFD, 1, "display_device", _F.BINARY, "which display: 00 all, 01 external, 02 internal"),
)
