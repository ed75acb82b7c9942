"""Every command of ZVT: what stands before the BMPs, how it ends, if money moves. Source: fact sheet 2.1 to 2.3."""

from __future__ import annotations

from typing import Final

from zahlwerk.codec.source import Source
from zahlwerk.interfaces.zvt._rows import CommandRow, Direction, Ending, Format, Positional, Rest, Secrecy
from zahlwerk.interfaces.zvt._sources import standard

__all__ = ["COMMAND_ROWS"]

_A, _B, _C, _STEP = Ending.PROCEDURE, Ending.DIRECT, Ending.READ, Ending.STEP
_TO: Final = standard("2.2")
_FROM: Final = standard("2.3")
_OLD: Final = standard("2.9")

_PASSWORD: Final = Positional("password", 3, Format.DIGITS, secrecy=Secrecy.SECRET, meaning="merchant password")
_MAYBE_PASSWORD: Final = Positional(
    "password", 3, Format.DIGITS, optional=True, secrecy=Secrecy.SECRET, meaning="merchant password"
)

# BMPs that many commands share.
_CARD: Final = (0x0E, 0x22, 0x23, 0x24, 0x2D)
_PAY: Final = (0x04, 0x49, 0x19, *_CARD)


def _number(name: str, size: int, *, optional: bool = False, meaning: str = "") -> Positional:
    return Positional(name, size, Format.NUMBER, optional, meaning=meaning)


def _byte(name: str, *, optional: bool = False, meaning: str = "", form: Format = Format.BINARY) -> Positional:
    return Positional(name, 1, form, optional, meaning=meaning)


def _to(
    code: int, name: str, title: str, ending: Ending = _A, *, layout: tuple[Positional, ...] = (),
    bitmaps: tuple[int, ...] = (), tags: tuple[int, ...] = (), required: tuple[int, ...] = (),
    money: bool = False, rest: Rest = Rest.FIELDS, source: Source = _TO,
) -> CommandRow:  # fmt: skip
    """A command of the register."""
    return CommandRow(
        code, name, title, Direction.TO_TERMINAL, ending, source, layout, rest, bitmaps, tags, required, money
    )


def _from(
    code: int, name: str, title: str, *, layout: tuple[Positional, ...] = (), bitmaps: tuple[int, ...] = (),
    tags: tuple[int, ...] = (), rest: Rest = Rest.FIELDS, direction: Direction = Direction.TO_REGISTER,
) -> CommandRow:  # fmt: skip
    """A command of the terminal, within a procedure."""
    return CommandRow(code, name, title, direction, _STEP, _FROM, layout, rest, bitmaps, tags)


_DISPLAY: Final = (0xF0, *range(0xF1, 0xFA))
_INPUT: Final = (*_DISPLAY, 0xFB, 0xE0, *range(0xE1, 0xEC))
_RESULT: Final = (
    0x27, 0x04, 0x0B, 0x37, 0x0C, 0x0D, 0x0E, 0x17, 0x19, 0x22, 0x29, 0x3B, 0x49, 0x4C, 0x87, 0x8A, 0x8C, 0x9A, 0xBA,
    0x2A, 0x3C, 0xA0, 0x88, 0x8B, 0x60, 0x23, 0x24, 0x2D, 0x2E, 0xA7, 0x06,
)  # fmt: skip

COMMAND_ROWS: Final[tuple[CommandRow, ...]] = (
    _to(0x0501, "status_enquiry", "Status enquiry", layout=(_MAYBE_PASSWORD,), bitmaps=(0x03, 0x06),
        tags=(0x1F72, 0x1F76, 0x1F78)),
    _to(0x0600, "registration", "Registration",
        layout=(_PASSWORD, _byte("config", form=Format.BITS, meaning="config byte"),
                _number("currency", 2, optional=True, meaning="ISO 4217 number")),
        bitmaps=(0x03, 0x06),
        tags=(0x10, 0x11, 0x12, 0x14, 0x1A, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x40, 0x1F04, 0x1F05, 0x1F73)),
    _to(0x0601, "authorisation", "Authorisation", money=True,
        bitmaps=(*_PAY, 0x01, 0x02, 0x05, 0x3A, 0x3C, 0x8A, 0x06),
        tags=(0x15, 0x20, 0x30, 0x41, 0x43, 0xE1, 0xE8, 0x1F04, 0x1F05, 0x1F15, 0x1F1F, 0x1F25, 0x1F36, 0x1F5B,
              0x1F70)),
    _to(0x0602, "log_off", "Log-off", _B),
    _to(0x0603, "balance_enquiry", "Balance enquiry", bitmaps=(*_CARD, 0x06), tags=(0xE1, 0x63, 0x1F5B)),
    _to(0x0604, "card_activation", "Card activation", money=True, bitmaps=(0x04, 0x49, *_CARD, 0x3A, 0x06),
        tags=(0x15, 0x20, 0x41, 0x43, 0xE1, 0x1F04, 0x1F05, 0x1F5B)),
    _to(0x0605, "procurement", "Procurement", money=True,
        bitmaps=(*_PAY, 0x01, 0x02, 0x05, 0x3A, 0x3C, 0x8A, 0x06),
        tags=(0x15, 0x20, 0x30, 0x41, 0x43, 0xE1, 0xE8, 0x1F04, 0x1F05, 0x1F15, 0x1F1F, 0x1F25, 0x1F36, 0x1F5B,
              0x1F70)),
    _to(0x0609, "prepaid_top_up", "Prepaid top-up", money=True,
        layout=(_number("prepaid_id", 2, meaning="product"), _byte("prepaid_mode", meaning="how it is paid")),
        bitmaps=(0x04, 0x49, 0x19, 0x3D, 0x2D, 0x23, 0x24, 0x8A, 0x06), tags=(0x41, 0x1F15), required=(0x04,)),
    _to(0x060A, "tax_free", "Tax free", bitmaps=(0x04,)),
    _to(0x060C, "book_tip", "Book tip", money=True, bitmaps=(0x04, 0x87, 0x49, 0x19, *_CARD, 0x3B, 0x06),
        required=(0x04, 0x87)),
    _to(0x0610, "turnover_totals", "Turnover totals", layout=(_PASSWORD,)),
    _to(0x0612, "reprint_receipts", "Reprint receipts",
        layout=(_PASSWORD, _number("from_receipt", 2), _number("to_receipt", 2, optional=True))),
    _to(0x0618, "reset_terminal", "Reset terminal"),
    _to(0x061A, "print_configuration", "Print system configuration"),
    _to(0x061B, "set_terminal_id", "Set or reset terminal id", layout=(_PASSWORD,), bitmaps=(0x29,)),
    _to(0x0620, "repeat_receipt", "Repeat receipt", layout=(_PASSWORD,), bitmaps=(0x03, 0x06),
        tags=(0x1F01, 0x1F02, 0x1F03)),
    _to(0x0621, "telephonic_authorisation", "Telephonic authorisation", money=True, layout=(_PASSWORD,),
        bitmaps=(*_PAY, 0x01, 0x02, 0x05, 0x3C, 0x3B, 0x3A, 0x8A, 0x06),
        tags=(0x20, 0x41, 0x43, 0xE1, 0xE8, 0x1F15, 0x1F5B), required=(0x04,)),
    _to(0x0622, "reservation", "Pre-authorisation or reservation", money=True,
        bitmaps=(*_PAY, 0x01, 0x02, 0x05, 0x0B, 0x3B, 0x3C, 0x8A, 0x06),
        tags=(0x15, 0x20, 0x41, 0x43, 0xE1, 0xE8, 0x1F06, 0x1F15, 0x1F2B, 0x1F5B)),
    _to(0x0623, "partial_reversal", "Partial reversal, or booking of a reservation", money=True,
        bitmaps=(0x87, 0x04, 0x49, 0x3C, 0x0B, 0x3B, 0x06), tags=(0x1F06, 0x1F2B)),
    _to(0x0624, "book_total", "Book total", money=True,
        bitmaps=(0x87, 0x04, 0x49, 0x19, 0x3C, 0x0B, 0x3B, 0x8A, 0x06), tags=(0x15, 0x41, 0x1F06, 0x1F2B),
        required=(0x87,)),
    _to(0x0625, "reservation_reversal", "Pre-authorisation reversal", money=True,
        bitmaps=(0x87, 0x04, 0x49, 0x19, 0x06), required=(0x87,)),
    _to(0x0626, "external_reservation_reversal", "Reversal of an external reservation", money=True,
        bitmaps=(0x04, 0x49, 0x0B, 0x3B, 0x0E, 0x22, 0x23, 0x06), tags=(0x1F06,), required=(0x04, 0x49, 0x0B, 0x3B)),
    _to(0x0630, "reversal", "Reversal", money=True, layout=(_PASSWORD,), bitmaps=(0x87, *_PAY, 0x3C, 0x06),
        required=(0x87,)),
    _to(0x0631, "refund", "Refund", money=True, layout=(_PASSWORD,), bitmaps=(*_PAY, 0x3B, 0x3C, 0x8A, 0x06),
        tags=(0x15, 0x20, 0x30, 0x41, 0x43, 0xE1, 0xE8)),
    _to(0x0650, "end_of_day", "End of day", layout=(_PASSWORD,), bitmaps=(0x06,), tags=(0x1F26,)),
    _to(0x0651, "send_offline", "Send offline transactions", layout=(_PASSWORD,)),
    _to(0x0670, "diagnosis", "Diagnosis", bitmaps=(0x06,), tags=(0x1B,)),
    _to(0x0679, "self_test", "Self test"),
    *(
        _to(code, name, title, _B, rest=Rest.BYTES, source=_OLD)
        for code, name, title in (
            (0x0685, "old_display_text", "Display text, old"),
            (0x0686, "old_display_input", "Display text with input, old"),
            (0x0687, "old_pin_check", "PIN check, old"),
            (0x0688, "old_display_keys", "Display text with key, old"),
        )
    ),
    _to(0x0691, "set_clock", "Set date and time of the terminal", layout=(_PASSWORD,), bitmaps=(0xAA, 0x0C),
        required=(0xAA, 0x0C)),
    _to(0x0693, "initialisation", "Initialisation", layout=(_PASSWORD,)),
    _to(0x0695, "change_password", "Change password",
        layout=(Positional("old_password", 3, Format.DIGITS, secrecy=Secrecy.SECRET),
                Positional("new_password", 3, Format.DIGITS, secrecy=Secrecy.SECRET))),
    _to(0x06B0, "abort", "Abort", _B, bitmaps=(0xD2, 0xFA)),
    _to(0x06C0, "read_card", "Read card", _C,
        layout=(_byte("timeout", optional=True, meaning="seconds to wait for a card, 0 for ever"),),
        bitmaps=(0x19, 0xFC, 0x06), tags=(0x1F15, 0x1F60, 0x1F6B)),
    _to(0x06C5, "close_card_session", "Close card session", _B),
    _to(0x06C6, "send_apdus", "Send APDUs to the card", _B, bitmaps=(0x06,), tags=(0x1F46,)),
    _to(0x06E0, "display_text", "Display text", _B, bitmaps=(*_DISPLAY, 0xFD)),
    _to(0x06E1, "display_text_keys", "Display text and wait for a key", _B, bitmaps=(*_DISPLAY, 0x06), tags=(0x1F18,)),
    _to(0x06E2, "display_text_input", "Display text with numeric input", _B, bitmaps=(*_INPUT, 0x06), tags=(0x1F35,),
        required=(0xEB,)),
    _to(0x06E3, "pin_check", "PIN check of a customer card", _B, bitmaps=(*_INPUT, 0xD0, 0xD1, 0xD3, 0x06)),
    _to(0x06E5, "mac_calculation", "MAC calculation", _B, bitmaps=(0xD3, 0x06), tags=(0x1F32, 0x1F33, 0x1F77)),
    _to(0x06E6, "card_poll", "Card poll with authorisation", money=True,
        bitmaps=(*_PAY, 0x01, 0x02, 0x05, 0x3A, 0x3C, 0x8A, 0x06), tags=(0x1F5B, 0x1F6D)),
    _to(0x06E7, "enciphered_input", "Enciphered numeric input", _B, bitmaps=(*_INPUT, 0x22, 0x06),
        tags=(0x1F35, 0x1F77)),
    _to(0x06F0, "display_image", "Display image", _B,
        bitmaps=(0x70, 0x72, 0x73, 0xF0, 0x71, 0x74, 0x75, 0x06), tags=(0x1C,)),
    _to(0x0801, "service_mode", "Service mode", layout=(_MAYBE_PASSWORD,), bitmaps=(0x03,)),
    _to(0x0802, "switch_protocol", "Switch protocol", _B, layout=(_byte("protocol"),), rest=Rest.NOTHING),
    _to(0x0810, "software_update", "Software update", bitmaps=(0x06,), tags=(0x0F,)),
    _to(0x0811, "read_file", "Read file", bitmaps=(0x06,), tags=(0x2D,)),
    _to(0x0812, "delete_file", "Delete file", bitmaps=(0x06,), tags=(0x1D,)),
    _to(0x0813, "change_configuration", "Change configuration", bitmaps=(0x06,), tags=(0x2D,)),
    _to(0x0814, "write_file", "Write file", layout=(_PASSWORD,), bitmaps=(0x06,), tags=(0x2D,)),
    _to(0x0820, "opt_action", "OPT action"),
    _to(0x0821, "set_opt_time", "Set OPT time", layout=(_PASSWORD,), bitmaps=(0xAA, 0x0C)),
    _to(0x0822, "opt_pre_initialisation", "OPT pre-initialisation"),
    _to(0x0823, "output_opt_data", "Output OPT data", layout=(_PASSWORD,)),
    _to(0x0824, "opt_out_of_order", "OPT out of order"),
    _to(0x0830, "select_language", "Select language", layout=(_byte("language"),), rest=Rest.NOTHING),
    _to(0x0840, "change_baud_rate", "Change baud rate", _B, layout=(_byte("baud"),), rest=Rest.NOTHING),
    _to(0x0850, "activate_card_reader", "Activate card reader", _B, bitmaps=(0xFA,)),
    _from(0x0401, "set_register_clock", "Set date and time of the register", bitmaps=(0xAA, 0x0C)),
    _from(0x040C, "block_request", "Block request", bitmaps=(0x06,), tags=(0x2D,)),
    _from(0x040D, "input_request", "Input request", bitmaps=(0x06,), tags=(0x32,)),
    _from(0x040E, "menu_request", "Menu request", bitmaps=(0x06,), tags=(0x2B,)),
    _from(0x040F, "status_information", "Status information", bitmaps=_RESULT,
          tags=(0x01, 0x0B, 0x0C, 0x13, 0x14, 0x15, 0x20, 0x21, 0x22, 0x2F, 0x41, 0x45, 0x46, 0x47, 0x4C, 0x4D, 0x60,
                0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0xE1, 0xE2, 0xE6, 0x1F08, 0x1F09, 0x1F0A, 0x1F0B,
                0x1F13, 0x1F14, 0x1F16, 0x1F17, 0x1F1F, 0x1F25, 0x1F30, 0x1F36, 0x1F3B, 0x1F3F, 0x1F6C)),
    _from(0x04FF, "intermediate_status", "Intermediate status",
          layout=(_byte("status"), _number("minutes", 1, optional=True)), bitmaps=(0x06,), tags=(0x24,)),
    _from(0x060F, "completion", "Completion", bitmaps=(0x27, 0x0C, 0xAA, 0x19, 0x29, 0x49, 0x06),
          tags=(0x10, 0x11, 0x12, 0x14, 0x1A, 0x26, 0x27, 0x28, 0x1F71, 0x1F73, 0x1F44, 0xE4, 0x1F55, 0x1F79)),
    _from(0x061E, "abort_notice", "Abort notice", layout=(_byte("result", optional=True),),
          bitmaps=(0x49, 0x04, 0x87, 0x06), tags=(0x1F16, 0x1F17, 0x23, 0x4C, 0x1F45, 0xE6)),
    _from(0x06D0, "graphic_menu", "Menu with a picture",
          bitmaps=(0x70, 0x72, 0x73, 0xF0, 0xF1, 0xF9, 0xFB, 0xE1, 0x71, 0x74, 0x75, 0x06), tags=(0x2B, 0x1C)),
    _from(0x06D1, "print_line", "Print line", layout=(_byte("attribute", form=Format.BITS),), rest=Rest.TEXT,
          direction=Direction.BOTH),
    _from(0x06D3, "print_block", "Print text block", bitmaps=(0x06,), tags=(0x25, 0x1F07, 0x1F37, 0x14),
          direction=Direction.BOTH),
    *(
        _from(code, name, title, rest=Rest.BYTES)
        for code, name, title in (
            (0x06D8, "dial", "Dial-up: dial"),
            (0x06D9, "dial_send", "Dial-up: send"),
            (0x06DA, "dial_receive", "Dial-up: receive"),
            (0x06DB, "dial_hang_up", "Dial-up: hang up"),
            (0x06DD, "dial_transparent", "Dial-up: transparent"),
        )
    ),
    _from(0x06E4, "blocked_list_query", "Blocked-list query", bitmaps=(0x22, 0x0E, 0x17, 0x8A)),
)  # fmt: skip
