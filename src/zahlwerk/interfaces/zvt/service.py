"""Everything a register may ask of the terminal besides payments: status, totals, receipts, texts, maintenance. I/O.

What the `Terminal` behind cannot do raises `NotSupported`, and the register hears 84 83. Source: fact sheet 2.2, 2.9.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import Final

from zahlwerk.errors import NotSupported, TerminalError
from zahlwerk.events import Printer, TerminalStatus
from zahlwerk.interfaces.zvt.answers import receipt_number, totals_information
from zahlwerk.interfaces.zvt.messages import Message, Tlv, Value, answer, find_all
from zahlwerk.interfaces.zvt.printing import print_messages
from zahlwerk.interfaces.zvt.receipts import ReceiptCollector
from zahlwerk.interfaces.zvt.services import LANGUAGES
from zahlwerk.interfaces.zvt.terminal import TerminalSide
from zahlwerk.interfaces.zvt.transactions import Transactions, copies
from zahlwerk.payment import Receipt, ReceiptKind
from zahlwerk.terminal import (
    Dialog,
    DialogEnd,
    DialogInput,
    Feature,
    Maintenance,
    Period,
    Terminal,
    TerminalInfo,
    Totals,
)
from zahlwerk.urls import Context

__all__ = ["DIRECT", "Service", "status_code"]

INTERFACE: Final = "ZVT"
OK_KEY, STOP_KEY, TIMED_OUT_KEY = 0x0D, 0x1B, 0x6C
OPEN_RESERVATIONS: Final = 0xB8
CANCELLED: Final = 0x846C
SILENT: Final = 0x02
WITH_RESULT: Final = 0x01
WITHOUT_VERSION: Final = 0x02
WITH_TLV: Final = 0x04
_LANGUAGE_OF: Final = {number: language for language, number in LANGUAGES.items()}
_MAINTENANCE: Final = {
    0x0693: Maintenance.INITIALISE, 0x0670: Maintenance.CONFIGURE, 0x0651: Maintenance.TRANSMIT,
    0x0618: Maintenance.REBOOT, 0x0810: Maintenance.UPDATE, 0x0820: Maintenance.INITIALISE,
}  # fmt: skip
_RECEIPT_OF: Final = {0x0693: ReceiptKind.INITIALISATION, 0x0670: ReceiptKind.CONFIGURATION}
_ANSWER_AT_ONCE: Final = frozenset({0x0618, 0x0810})
"""Work after which the terminal may not be able to speak: the completion goes first."""
DIRECT: Final = frozenset({0x06E0, 0x06E1, 0x06E2, 0x06D1, 0x06D3, 0x0840, 0x06C5})
"""Commands whose answer is their end; all others are accepted first."""


def status_code(status: TerminalStatus, *, busy: bool) -> int:
    """Terminal status of 05 01. Source: fact sheet 5.2."""
    if busy or status.busy:
        return 0x9C
    if status.printer & (Printer.OUT_OF_PAPER | Printer.JAMMED | Printer.OTHER_ERROR):
        return 0xCC
    if status.locked:
        return 0xDF
    return 0xDC if status.card_in_slot else 0x00


class Service:
    """One method a kind of command; each sends what belongs between 80 00 and the end, and the end."""

    def __init__(
        self,
        terminal: Terminal,
        side: TerminalSide,
        transactions: Transactions,
        context: Context,
        *,
        turn: Callable[[], None],
    ) -> None:
        self.info = TerminalInfo()
        self.currency_number: int | None = None
        """ISO 4217, of totals that a register without a currency asks for."""
        self._terminal = terminal
        self._side = side
        self._transactions = transactions
        self._context = context
        self._turn = turn
        self._procedure = 0
        self._last_day: Receipt | None = None
        self._shown: asyncio.Task[None] | None = None

    async def serve(self, message: Message, procedure: int) -> None:
        """Carry out one command that was accepted as `procedure`; ends with 06 0F or 06 1E.

        Raises:
            TerminalError: it was not carried out; the caller says so to the register.
        """
        handler = self._handlers().get(message.code)
        if handler is None:
            raise NotSupported(f"the command {message.code:04X}", INTERFACE)
        self._procedure = procedure
        await handler(message)
        self._turn()

    def can(self, message: Message) -> bool:
        """Whether the terminal behind can do it at all; what cannot be done is refused before it is accepted."""
        capabilities = self._terminal.capabilities
        code = message.code
        if code in {0x0620, 0x0605, 0x0618, 0x0810, 0x0693, 0x0670, 0x0651, 0x0820}:
            return code == 0x0620 or (code != 0x0605 and Feature.MAINTENANCE in capabilities)
        needed = {
            0x0610: Feature.TOTALS, 0x0650: Feature.END_OF_DAY, 0x0612: Feature.RECEIPT_COPY,
            0x0830: Feature.LANGUAGE, 0x06E0: Feature.ASK, 0x06E1: Feature.ASK, 0x06E2: Feature.ASK,
            0x06D1: Feature.PRINT, 0x06D3: Feature.PRINT, 0x0623: Feature.OPEN_ENTRIES,
        }.get(code)  # fmt: skip
        if needed is not None:
            return needed in capabilities
        return code in self._handlers() or code in DIRECT

    def _handlers(self) -> dict[int, Callable[[Message], Awaitable[None]]]:
        return {
            0x0610: self._totals,
            0x0612: self._reprint,
            0x0620: self._repeat,
            0x0623: self._open_reservations,
            0x0650: self._end_of_day,
            0x0679: self._self_test,
            0x061A: self._self_test,
            0x0830: self._language,
            **dict.fromkeys(_MAINTENANCE, self._maintain),
        }

    # -- status

    async def status(self, message: Message, procedure: int, *, busy: bool) -> None:
        """05 01: version, status, and more in TLV where it is asked for. Source: fact sheet 2.5, 2.6."""
        status = TerminalStatus(busy=busy)
        if not busy:
            with suppress(TerminalError):
                status = await self._terminal.status()
        service = message.number(0x03) or 0
        head: dict[str, Value] = {}
        if not service & WITHOUT_VERSION and self.info.software and message.head:
            head["software"] = f"{self.info.model or 'Zahlwerk'} {self.info.software}"[:99]
        head["status"] = status_code(status, busy=busy)
        tlv = None
        if service & WITH_TLV:
            device = [Tlv(0x1F40, (self.info.model or "Zahlwerk")[:32]), Tlv(0x1F43, 0x00)]
            if self.info.software:
                device.insert(1, Tlv(0x1F41, self.info.software[:32]))
            tlv = (Tlv(0x1F44, self.terminal_id), Tlv(0xE4, tuple(device)))
        self._side.send(Message(code=0x060F, head=head, tlv=tlv), now_s=self._now_s(), procedure=procedure)
        self._turn()

    @property
    def terminal_id(self) -> str:
        """Eight digits: those of the terminal's id, whatever else is in it."""
        digits = "".join(character for character in self.info.terminal_id if character in "0123456789")
        return digits[-8:].rjust(8, "0")

    # -- results and receipts

    async def _repeat(self, message: Message) -> None:
        """06 20: the latest result, and its receipts; or the receipt of the last end of day (1F01 = 04)."""
        service = message.number(0x03) or 0
        what = message.tag_number(0x1F01) or 0x01
        if what == 0x04:
            if self._last_day is None:
                raise NotSupported("repeat the receipt of an end of day that was not", INTERFACE)
            await self._print((self._last_day,))
            self._done()
            return
        transactions = self._transactions
        if transactions.unresolved:
            self._end(Message(code=0x061E, head={"result": 0xA0}))
            return
        result = transactions.told_again()
        if result is None or transactions.latest is None:
            self._end(Message(code=0x061E, head={"result": 0xFF}))
            return
        if service & WITH_RESULT:
            self._send(result)
        if not service & SILENT:
            receipts = self._receipts_of(message) or await self._copies(message)
            wanted = {0x02: ReceiptKind.MERCHANT, 0x03: ReceiptKind.CUSTOMER}.get(what)
            await self._print(tuple(one for one in receipts if wanted is None or one.kind is wanted))
        self._done()

    def _receipts_of(self, message: Message) -> tuple[Receipt, ...]:
        """Of the latest payment, or of the one whose number was asked for (1F02)."""
        latest = self._transactions.latest
        number = message.tag_number(0x1F02)
        if number is None or latest is None or number == latest.payment.sequence:
            return latest.payment.receipts if latest is not None else ()
        payment = self._transactions.known.payments.get(receipt_number(number))
        return payment.receipts if payment is not None else ()

    async def _copies(self, message: Message) -> tuple[Receipt, ...]:
        number, latest = message.tag_number(0x1F02), self._transactions.latest
        if number is None:
            sequence = latest.payment.sequence if latest is not None else None
        else:
            sequence = self._transactions.known.sequence(number)
        return await copies(self._terminal, sequence)

    async def _reprint(self, message: Message) -> None:
        """06 12: copies by receipt number."""
        first = message.head_number("from_receipt") or 0
        last = message.head_number("to_receipt") or first
        for number in range(first, min(last, first + 100) + 1):
            sequence = self._transactions.known.sequence(number)
            await self._print((await self._terminal.receipt(ReceiptKind.MERCHANT, number=sequence),))
        self._done()

    async def _open_reservations(self, message: Message) -> None:
        """06 23 with FF FF; its normal end is an abort with B8. Source: fact sheet 2.2, 7.6."""
        del message
        entries = await self._terminal.open_entries()
        numbers = [receipt_number(int(entry.hold)) for entry in entries if entry.hold.isdecimal()]
        registered = self._side.registered
        if registered.tlv and numbers:
            listed = tuple(Tlv(0x08, number) for number in numbers)
            end = Message(code=0x061E, head={"result": OPEN_RESERVATIONS}, tlv=(Tlv(0x23, listed),))
        else:
            number: Value = numbers[0] if numbers else b"\xff\xff"
            end = Message(code=0x061E, head={"result": OPEN_RESERVATIONS}, fields={0x87: number})
        self._end(end)

    # -- figures

    async def _totals(self, message: Message) -> None:
        del message
        if self._transactions.doubtful:
            # A register might take an empty store for a proof.
            self._end(Message(code=0x061E, head={"result": 0xA0}))
            return
        self._tell_totals(await self._terminal.totals(Period.ACCOUNTING_PERIOD))
        self._done()

    async def _end_of_day(self, message: Message) -> None:
        del message
        capabilities = self._terminal.capabilities
        if Feature.SHIFT in capabilities and (await self._terminal.status()).shift_open:
            with suppress(TerminalError):
                await self._terminal.close_shift()
        totals = await self._terminal.end_of_day()
        if Feature.SHIFT in capabilities:
            with suppress(TerminalError):
                await self._terminal.open_shift()
        self._tell_totals(totals)
        await self._transactions.day_closed()
        if totals.receipt:
            self._last_day = Receipt(ReceiptKind.END_OF_DAY, totals.receipt)
            await self._print((self._last_day,))
        self._done()

    def _tell_totals(self, totals: Totals) -> None:
        """In one currency, the register's: sums of several are none. What is in others stands on the receipt."""
        known = self._transactions.known
        number = self._side.registered.currency_number or self.currency_number
        if number is None:
            number = next((line.amount.currency.number for line in totals.totals), None)
        message = totals_information(
            totals, self._side.registered, now=self._now(), currency_number=number,
            receipts=(known.first_receipt or 0, known.last_receipt or 0),
        )  # fmt: skip
        self._send(message)

    # -- the device

    async def _maintain(self, message: Message) -> None:
        work = _MAINTENANCE[message.code]
        if message.code in _ANSWER_AT_ONCE:
            self._done()
            self._turn()
        await self._terminal.maintain(work, text=message.tag_text(0x0F))
        if message.code in _ANSWER_AT_ONCE:
            return
        if message.code == 0x0670:
            now = self._now()
            fields: dict[int, Value] = {0xAA: f"{now:%y%m%d}", 0x0C: f"{now:%H%M%S}"}
            self._send(Message(code=0x0401, fields=fields))
        kind = _RECEIPT_OF.get(message.code)
        if kind is not None:
            with suppress(TerminalError):
                await self._print((await self._terminal.receipt(kind),))
        self._done()

    async def _self_test(self, message: Message) -> None:
        del message
        info = self.info
        text = "\n".join(part for part in (info.model, info.software, info.serial_number, info.terminal_id) if part)
        await self._print((Receipt(ReceiptKind.CONFIGURATION, text),))
        self._done()

    async def _language(self, message: Message) -> None:
        language = _LANGUAGE_OF.get(message.head_number("language") or 0)
        if language is None:
            raise NotSupported("this language", INTERFACE)
        await self._terminal.set_language(language)
        self._done()

    async def answer_to(self, message: Message) -> Message:
        """What to say to one of `DIRECT`."""
        match message.code:
            case 0x06E0:
                await self._display(message)
                return answer()
            case 0x06E1:
                return await self._key(message)
            case 0x06E2:
                return await self._number(message)
            case 0x06D1 | 0x06D3:
                return await self._print_for_register(message)
            case _:
                return answer()

    async def _display(self, message: Message) -> None:
        dialog = _dialog(message)
        if self._shown is not None and not self._shown.done():
            self._shown.cancel()
        if dialog.text:
            self._shown = asyncio.create_task(self._show(dialog))
            await asyncio.sleep(0)

    async def _show(self, dialog: Dialog) -> None:
        with suppress(TerminalError):
            await self._terminal.ask(dialog)

    async def _key(self, message: Message) -> Message:
        got = await self._terminal.ask(_dialog(message))
        if got.end is DialogEnd.CANCELLED:
            return answer(CANCELLED)
        key = {DialogEnd.OK: OK_KEY, DialogEnd.TIMED_OUT: TIMED_OUT_KEY}.get(got.end, STOP_KEY)
        return answer(head={"input": bytes([key])})

    async def _number(self, message: Message) -> Message:
        dialog = _dialog(message, DialogInput.DIGITS)
        got = await self._terminal.ask(dialog)
        if got.end is DialogEnd.OK:
            return answer(head={"input": got.text.encode("ascii", "replace")})
        if got.end is DialogEnd.CANCELLED:
            return answer(CANCELLED)
        key = TIMED_OUT_KEY if got.end is DialogEnd.TIMED_OUT else STOP_KEY
        return answer(head={"input": bytes([key])})

    async def _print_for_register(self, message: Message) -> Message:
        if message.code == 0x06D3:
            lines = [str(tlv.value) for tlv in find_all(message.tlv or (), 0x07)]
            text = "\n".join(lines)
        else:
            collector = ReceiptCollector(0x06D1)
            text = "\n".join(one.text for one in (*collector.feed(message), *collector.finish()))
        printer = await self._terminal.print(text, more=message.code == 0x06D1)
        return answer() if not printer else answer(0x84CC)

    async def close(self) -> None:
        """Nothing is shown any more."""
        if self._shown is not None:
            self._shown.cancel()
            await asyncio.gather(self._shown, return_exceptions=True)

    # -- small things

    async def _print(self, receipts: tuple[Receipt, ...]) -> None:
        for message in print_messages(receipts, self._side.registered):
            self._send(message)
        await self._transactions.print_here(receipts)

    def _send(self, message: Message) -> None:
        self._side.send(message, now_s=self._now_s(), procedure=self._procedure)

    def _done(self) -> None:
        self._end(Message(code=0x060F))

    def _end(self, message: Message) -> None:
        self._send(message)
        self._turn()

    def _now(self) -> datetime:
        return self._context.clock.wall().replace(tzinfo=None)

    def _now_s(self) -> float:
        return self._context.clock.now_s()


def _dialog(message: Message, kind: DialogInput = DialogInput.NOTHING) -> Dialog:
    lines = [text for number in range(0xF1, 0xF9) if (text := message.text(number))]
    seconds = message.number(0xF0) or 0
    return Dialog(
        text="\n".join(lines).replace("\x14", ""),
        input=kind,
        timeout_s=float(seconds or 60),
        length_min=message.number(0xE0) or 0,
        length_max=message.number(0xE9) or 20,
    )
