"""A terminal that hands everything on to another one, for those that only want to see what passes."""

from __future__ import annotations

from collections.abc import Callable

from zahlwerk.events import EventListener, EventStream, Printer, TerminalStatus
from zahlwerk.hold import HoldId
from zahlwerk.money import Money
from zahlwerk.payment import Payment, PaymentRequest, Receipt, ReceiptKind
from zahlwerk.terminal import (
    CONFIRM_ALL,
    Answer,
    Capabilities,
    Dialog,
    Evidence,
    Maintenance,
    OpenEntry,
    Period,
    ShiftInfo,
    Terminal,
    TerminalInfo,
    Totals,
    Witness,
)

__all__ = ["Through"]


class Through(Terminal):
    """Changes nothing."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self.terminal = terminal
        self.link_faults = terminal.link_faults

    async def open(self) -> None:
        await self.terminal.open()

    async def close(self) -> None:
        await self.terminal.close()

    def events(self) -> EventStream:
        return self.terminal.events()

    def listen(self, listener: EventListener) -> Callable[[], None]:
        return self.terminal.listen(listener)

    @property
    def capabilities(self) -> Capabilities:
        return self.terminal.capabilities

    async def info(self) -> TerminalInfo:
        return await self.terminal.info()

    async def status(self) -> TerminalStatus:
        return await self.terminal.status()

    async def transact(self, request: PaymentRequest, *, witness: Witness = CONFIRM_ALL) -> Payment:
        return await self.terminal.transact(request, witness=witness)

    async def settle(self, hold: HoldId, amount: Money | None) -> Payment:
        return await self.terminal.settle(hold, amount)

    async def extend(self, seconds: int, text: str = "") -> None:
        await self.terminal.extend(seconds, text)

    async def abort(self, *, silent: bool = False) -> None:
        await self.terminal.abort(silent=silent)

    async def lookup(
        self, reference: str = "", *, sequence: int | None = None, evidence: Evidence | None = None
    ) -> Payment:
        return await self.terminal.lookup(reference, sequence=sequence, evidence=evidence)

    async def open_entries(self) -> tuple[OpenEntry, ...]:
        return await self.terminal.open_entries()

    async def open_shift(self, *, attendant: str = "", attendant_number: int | None = None) -> ShiftInfo:
        return await self.terminal.open_shift(attendant=attendant, attendant_number=attendant_number)

    async def close_shift(self) -> ShiftInfo:
        return await self.terminal.close_shift()

    async def totals(self, period: Period = Period.SHIFT) -> Totals:
        return await self.terminal.totals(period)

    async def end_of_day(self) -> Totals:
        return await self.terminal.end_of_day()

    async def receipt(self, kind: ReceiptKind = ReceiptKind.MERCHANT, *, number: int | None = None) -> Receipt:
        return await self.terminal.receipt(kind, number=number)

    async def print(self, text: str = "", *, image_png: bytes = b"", double_height: bool = False,
                    double_width: bool = False, inverse: bool = False, more: bool = False) -> Printer:  # fmt: skip
        return await self.terminal.print(
            text,
            image_png=image_png,
            double_height=double_height,
            double_width=double_width,
            inverse=inverse,
            more=more,
        )

    async def ask(self, dialog: Dialog) -> Answer:
        return await self.terminal.ask(dialog)

    async def cancel_ask(self) -> None:
        await self.terminal.cancel_ask()

    async def scan(self, *, title: str = "", text: str = "", timeout_s: float = 60.0) -> str:
        return await self.terminal.scan(title=title, text=text, timeout_s=timeout_s)

    async def maintain(self, work: Maintenance, *, acquirer_id: int | None = None, text: str = "") -> None:
        await self.terminal.maintain(work, acquirer_id=acquirer_id, text=text)

    async def lock(self) -> None:
        await self.terminal.lock()

    async def unlock(self) -> None:
        await self.terminal.unlock()

    async def set_language(self, language: str) -> None:
        await self.terminal.set_language(language)
