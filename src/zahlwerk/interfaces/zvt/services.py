"""What ZVT terminals can do beyond the `Terminal` port: commands of their own, one method each. I/O.

Reached by `terminal.zvt`. Source: fact sheet 2.2; which of them a device knows it says by 84 83 at the latest.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final

from zahlwerk.errors import InvalidRequest, NotSupported
from zahlwerk.interfaces.zvt.connection import Connection, refused_error
from zahlwerk.interfaces.zvt.conversion import Stay, stay_of
from zahlwerk.interfaces.zvt.dictionary import COMMANDS, Direction, Ending
from zahlwerk.interfaces.zvt.information import StatusInformation, read_information
from zahlwerk.interfaces.zvt.messages import Message, Tlv, Value
from zahlwerk.interfaces.zvt.register import Finished, Refused, RegisterEvent, Told
from zahlwerk.money import Money
from zahlwerk.payment import Original, Payment, PaymentKind, PaymentRequest, new_reference
from zahlwerk.terminal import CONFIRM_ALL, Witness

__all__ = ["LANGUAGES", "Services", "command"]

LANGUAGES: Final = {
    "de": 0x00, "en": 0x01, "fr": 0x02, "it": 0x03, "hu": 0x04, "sl": 0x05, "es": 0x06, "cs": 0x07, "sv": 0x08,
    "nl": 0x09, "pl": 0x0A, "sk": 0x0B, "da": 0x0C, "el": 0x0D, "pt": 0x0E, "lt": 0x0F,
}  # fmt: skip
"""Languages of 08 30. Source: fact sheet 2.2."""
LINES_MAX: Final = 8


class Services:
    """ZVT's own commands. Each raises `TerminalRefused` with the terminal's code if it was not carried out."""

    def __init__(
        self,
        connection: Connection,
        *,
        on_event: Callable[[RegisterEvent], None],
        carry_out: Callable[[PaymentRequest, Message, Witness], Awaitable[Payment]],
        on_run: Callable[[], None] = lambda: None,
    ) -> None:
        """Args:
        on_run: told of every procedure: afterwards the terminal's latest transaction may be another one.
        """
        self._connection = connection
        self._profile = connection.profile
        self._on_event = on_event
        self._carry_out = carry_out
        self._on_run = on_run

    async def log_off(self) -> None:
        """End the registration (06 02): the terminal may be operated by hand again."""
        await self.run(command("log_off"))

    async def diagnose(self, kind: int = 0x02) -> None:
        """Line (01), extended (02), configuration (03), EMV (04) or ep2 (05) diagnosis (06 70)."""
        await self.run(command("diagnosis", tlv=(Tlv(0x1B, kind),)), is_long=True)

    async def initialise(self) -> None:
        """Load what the terminal needs from its host (06 93)."""
        await self.run(command("initialisation", password=self._profile.password), is_long=True)

    async def self_test(self) -> None:
        """Test itself and print what it is (06 79)."""
        await self.run(command("self_test"), is_long=True)

    async def reset(self) -> None:
        """Start again (06 18)."""
        await self.run(command("reset_terminal"))

    async def print_configuration(self) -> None:
        """Print its configuration (06 1A)."""
        await self.run(command("print_configuration"))

    async def set_clock(self, moment: datetime) -> None:
        """Set date and time of the terminal (06 91); local time."""
        fields: dict[int, Value] = {0xAA: f"{moment:%y%m%d}", 0x0C: f"{moment:%H%M%S}"}
        await self.run(Message(code=0x0691, head={"password": self._profile.password}, fields=fields))

    async def select_language(self, language: str) -> None:
        """Language of its display (08 30), ISO 639-1.

        Raises:
            InvalidRequest: ZVT has no number for it.
        """
        number = LANGUAGES.get(language[:2].lower())
        if number is None:
            raise InvalidRequest(f"ZVT knows no language {language!r}", remedy=f"use one of {', '.join(LANGUAGES)}")
        await self.run(command("select_language", language=number))

    async def software_update(self, assignment: str = "") -> None:
        """Fetch new software (08 10). The terminal may be silent or restart afterwards."""
        tlv = (Tlv(0x0F, assignment),) if assignment else None
        await self.run(command("software_update", tlv=tlv), is_long=True)

    async def change_configuration(self, content: bytes) -> None:
        """Change the configuration (08 13); the content is the maker's own."""
        await self.run(command("change_configuration", tlv=(Tlv(0x2D, (Tlv(0x1C, content),)),)), is_long=True)

    async def send_offline(self) -> None:
        """Submit what was taken offline (06 51)."""
        await self.run(command("send_offline", password=self._profile.password), is_long=True)

    async def opt_action(self) -> None:
        """Personalise the key module (08 20)."""
        await self.run(Message(code=0x0820), is_long=True)

    async def reprint(self, first: int, last: int | None = None) -> None:
        """Print receipts again by their numbers (06 12)."""
        head: dict[str, Value] = {"password": self._profile.password, "from_receipt": first}
        if last is not None:
            head["to_receipt"] = last
        await self.run(Message(code=0x0612, head=head))

    async def set_terminal_id(self, terminal_id: str = "") -> None:
        """Set the terminal id (06 1B), or clear it; only while the turnover store is empty."""
        fields: dict[int, Value] = {0x29: terminal_id} if terminal_id else {}
        await self.run(Message(code=0x061B, head={"password": self._profile.password}, fields=fields))

    async def change_password(self, new: str) -> None:
        """Change the merchant password (06 95), six digits."""
        await self.run(Message(code=0x0695, head={"old_password": self._profile.password, "new_password": new}))

    async def display(self, lines: Sequence[str], *, seconds: int = 10, beeps: int = 0) -> None:
        """Show up to eight lines (06 E0), for ever with 0 seconds."""
        await self.run(Message(code=0x06E0, fields=_lines(lines, seconds, beeps)), answer_s=float(seconds))

    async def display_for_key(self, lines: Sequence[str], *, seconds: int = 30, beeps: int = 0) -> int | None:
        """Show lines and wait for a key (06 E1): its code as in fact sheet 2.9; None for time-out."""
        end = await self.run(Message(code=0x06E1, fields=_lines(lines, seconds, beeps)), answer_s=_waits_s(seconds))
        pressed = end.message.head.get("input")
        return pressed[0] if isinstance(pressed, bytes) and pressed and pressed[0] != 0x6C else None

    async def display_for_number(
        self, lines: Sequence[str], mac: bytes, *, seconds: int = 30, longest: int = 20, hidden: bool = False
    ) -> str | None:
        """Show lines and take a number (06 E2). `mac`: eight bytes over the texts, from the terminal's maker."""
        fields = _lines(lines, seconds, 0) | {0xFB: 1, 0xE9: longest, 0xEA: 0x00 if hidden else 0xFF, 0xEB: mac}
        end = await self.run(Message(code=0x06E2, fields=fields), answer_s=_waits_s(seconds))
        entered = end.message.head.get("input")
        text = entered.decode("ascii", "replace") if isinstance(entered, bytes) else ""
        return text if text.isdecimal() else None

    async def read_card(self, *, seconds: int = 30, technologies: int = 0x07, token: bool = True) -> StatusInformation:
        """Read a card without paying (06 C0): masked number, application, token, UID; never its data."""
        tags = [Tlv(0x1F60, technologies)]
        if token:
            tags.append(Tlv(0x1F15, 0xC0))
        message = Message(code=0x06C0, head={"timeout": seconds}, tlv=tuple(tags))
        end = await self.run(message, answer_s=_waits_s(seconds), master_s=_waits_s(seconds))
        information = read_information(end.message)
        if information.result:
            raise refused_error("reading a card", information.result)
        return information

    async def close_card_session(self) -> None:
        """Switch the contactless field off (06 C5)."""
        await self.run(command("close_card_session"))

    async def eject_card(self) -> None:
        """Give the card back (06 B0 with D2)."""
        await self.run(Message(code=0x06B0, fields={0xD2: 0x00}))

    async def file(self, number: int) -> bytes:
        """Read a file of the terminal (08 11): 01 merchant journal, 02 application log and so on."""
        parts: list[bytes] = []

        def heard(event: RegisterEvent) -> None:
            if isinstance(event, Told) and event.message.code == 0x040F:
                block = event.message.tag(0x1C)
                if isinstance(block, bytes):
                    parts.append(block)

        tlv = (Tlv(0x2D, (Tlv(0x1D, bytes([number])),)),)
        await self.run(Message(code=0x0811, tlv=tlv), is_long=True, listener=heard)
        return b"".join(parts)

    async def book_tip(
        self, receipt: int, tip: Money, *, reference: str = "", witness: Witness = CONFIRM_ALL
    ) -> Payment:
        """Add a tip to an earlier payment (06 0C), where that one said that it may follow."""
        request = PaymentRequest(amount=tip, reference=reference or f"tip-{receipt:04d}-{tip.amount}")
        fields: dict[int, Value] = {0x04: tip.amount, 0x87: receipt, 0x49: tip.currency.number}
        return await self._carry_out(request, Message(code=0x060C, fields=fields, tlv=self._tlv()), witness)

    async def top_up(
        self, product: int, amount: Money, *, mode: int = 0x01, reference: str = "", witness: Witness = CONFIRM_ALL
    ) -> Payment:
        """Sell prepaid credit (06 09): product number; mode 01 pay by card, 02 cash, 03 paid already."""
        request = PaymentRequest(kind=PaymentKind.LOAD, amount=amount, reference=reference or new_reference())
        fields: dict[int, Value] = {0x04: amount.amount, 0x49: amount.currency.number}
        if mode == 0x02:
            fields[0x3D] = self._profile.password
        message = Message(
            code=0x0609, head={"prepaid_id": product, "prepaid_mode": mode}, fields=fields, tlv=self._tlv()
        )
        return await self._carry_out(request, message, witness)

    async def partial_reversal(
        self, reservation: int | str, unused: Money, *, reference: str = "", witness: Witness = CONFIRM_ALL
    ) -> Payment:
        """Give back the unused part of a pre-authorisation or reservation, and so book the rest (06 23).

        Args:
            reservation: its receipt number, or its `transaction_reference`, which terminals need to book a reservation
                (trace and approval code, fact sheet 6.5).
            unused: what is given back; the `Payment` is about that amount.
        """
        stay = Stay(reservation) if isinstance(reservation, int) else stay_of(reservation)
        request = PaymentRequest(
            kind=PaymentKind.RESERVATION_ADJUSTMENT,
            amount=unused,
            reference=reference or f"unused-{stay.receipt:04d}",
            original=Original(transaction_reference=str(stay), sequence=stay.receipt),
        )
        fields: dict[int, Value] = {0x87: stay.receipt, 0x04: unused.amount, 0x49: unused.currency.number}
        message = Message(code=0x0623, fields=fields | _names(stay), tlv=self._tlv(*_long_trace(stay)))
        return await self._carry_out(request, message, witness)

    async def reverse_external_reservation(
        self, transaction_reference: str, amount: Money, *, extension: bool = False, reference: str = "",
        witness: Witness = CONFIRM_ALL,
    ) -> Payment:  # fmt: skip
        """Cancel a reservation that was made at another terminal (06 26).

        Args:
            transaction_reference: of its `Payment`; trace and approval code count, the receipt number does not.
            amount: of the reservation.
            extension: it extended an earlier one (tag 1F06 = 03).

        Raises:
            InvalidRequest: the reference has no trace or no approval code. Nothing was sent.
            NotSupported: this terminal is not spoken to in TLV, which the command needs.
        """
        stay = stay_of(transaction_reference)
        if stay.trace is None or not stay.attribute:
            raise InvalidRequest("a reservation of another terminal is named by its trace and approval code")
        if not self._profile.tlv:
            raise NotSupported("cancel a reservation of another terminal", "ZVT without TLV")
        request = PaymentRequest(
            kind=PaymentKind.RESERVATION_CANCEL,
            reference=reference or new_reference(),
            original=Original(transaction_reference=str(stay)),
        )
        fields: dict[int, Value] = {0x04: amount.amount, 0x49: amount.currency.number}
        kind = Tlv(0x1F06, 0x03 if extension else 0x02)
        message = Message(code=0x0626, fields=fields | _names(stay), tlv=(kind, *_long_trace(stay)))
        return await self._carry_out(request, message, witness)

    async def register(
        self, *, config: int | None = None, service: int | None = None, receipt_parameters: int | None = None
    ) -> None:
        """Register again (06 00), with another config byte, service byte (BMP 03) or receipt parameters (tag 1F04).

        What is given holds for all further connections of this terminal, too. Source: fact sheet 2.6, 2.7, 4.4.
        """
        connection = self._connection
        if config is not None:
            connection.config = config
        if service is not None:
            connection.service = service
        if receipt_parameters is not None:
            connection.receipt_parameters = receipt_parameters
        await self.run(connection.registration())

    async def service_mode(self) -> None:
        """Let the terminal show its service menu (08 01); it is master until that is left."""
        await self.run(command("service_mode", password=self._profile.password), is_long=True)

    async def print_line(self, text: str = "", *, attribute: int = 0x00) -> None:
        """Print one line at the terminal (06 D1); attribute 81 ends the receipt. Source: fact sheet 2.10."""
        await self.run(Message(code=0x06D1, head={"attribute": attribute, "text": text}))

    async def print_block(self, lines: Sequence[str], *, attribute: int = 0x00) -> None:
        """Print lines at the terminal in one text block (06 D3), all with the attribute; then the receipt ends."""
        block = (Tlv(0x09, attribute), *(Tlv(0x07, line) for line in lines), Tlv(0x09, 0x81))
        await self.run(Message(code=0x06D3, tlv=(Tlv(0x25, block),)))

    async def raw(self, message: Message) -> Message:
        """Any command at all, for what is not here; the message it ended with. Not for commands that move money."""
        row = COMMANDS.get(message.code)
        if row is None or row.moves_money or row.direction is Direction.TO_REGISTER:
            raise InvalidRequest("raw commands must be the register's, and move no money")
        return (await self.run(message, is_long=True)).message

    async def run(
        self,
        message: Message,
        *,
        is_long: bool = False,
        answer_s: float = 0.0,
        master_s: float | None = None,
        listener: Callable[[RegisterEvent], None] | None = None,
    ) -> Finished:
        """One command to its end.

        Args:
            is_long: it may talk to a host for minutes.
            answer_s: seconds that the command itself gives the terminal before it answers (they replace T3; 0 is T3).
            listener: told of everything on the way, besides the driver.

        Raises:
            TerminalRefused: it was refused, or failed.
        """
        timers = self._profile.timers
        row = COMMANDS[message.code]
        if row.moves_money:
            raise InvalidRequest(
                f"{row.title} moves money: it needs its own method", remedy="use transact or terminal.zvt"
            )
        if row.ending is Ending.PROCEDURE:
            self._on_run()
        name = row.title

        def heard(event: RegisterEvent) -> None:
            if listener is not None:
                listener(event)
            self._on_event(event)

        if is_long and master_s is None:
            master_s = timers.end_of_day_s
        elif master_s is not None:
            master_s = max(master_s + timers.t3_s, timers.t4_s)
        end = await self._connection.run(message, listener=heard, wait_s=timers.t3_s + answer_s, master_s=master_s)
        if isinstance(end, Refused):
            raise refused_error(name, end.answer.head_number("result") or end.answer.code & 0xFF)
        if not end.is_success:
            code = end.message.head_number("result")
            raise refused_error(name, 0xFF if code is None else code)
        return end

    def _tlv(self, *tags: Tlv) -> tuple[Tlv, ...] | None:
        return tags if self._profile.tlv else None


def command(name: str, tlv: tuple[Tlv, ...] | None = None, **head: Value) -> Message:
    """A command by the name of its row."""
    return Message(code=_CODES[name], head=head, tlv=tlv)


def _names(stay: Stay) -> dict[int, Value]:
    """Trace and approval code, as far as they are known."""
    fields: dict[int, Value] = {}
    if stay.trace is not None:
        fields[0x0B] = stay.trace if stay.trace <= TRACE_MAX else 0
    if stay.attribute:
        fields[0x3B] = stay.attribute
    return fields


def _long_trace(stay: Stay) -> tuple[Tlv, ...]:
    return (Tlv(0x1F2B, stay.trace),) if stay.trace is not None and stay.trace > TRACE_MAX else ()


# LIMIT: BMP 0B has six digits; a longer trace number stands in tag 1F2B.
TRACE_MAX: Final = 999_999
_CODES: Final = {row.name: row.code for row in COMMANDS.values()}


def _waits_s(seconds: int) -> float:
    """0 seconds are for ever, up to where terminals end it themselves. Source: fact sheet 1.5, 2.9."""
    return float(seconds) if seconds else FOR_EVER_S


# LIMIT: 18 hours, the cap of a terminal's "infinite" wait.
FOR_EVER_S: Final = 64_800.0


def _lines(lines: Sequence[str], seconds: int, beeps: int) -> dict[int, Value]:
    if len(lines) > LINES_MAX:
        raise InvalidRequest(f"a display text has at most {LINES_MAX} lines, got {len(lines)}")
    fields: dict[int, Value] = {0xF0: seconds}
    fields |= {0xF1 + number: line for number, line in enumerate(lines)}
    if beeps:
        fields[0xF9] = beeps
    return fields
