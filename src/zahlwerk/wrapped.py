"""A terminal around another one: all goes straight through. Journal, bridge and simulation change what they must."""

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

__all__ = ["WrappedTerminal"]


class WrappedTerminal(Terminal):
    """Hands everything on to `inner`, its events too; override what shall be different.

    Args:
        inner: the terminal within, for what its interface has beyond the port.
    """

    def __init__(self, inner: Terminal) -> None:
        super().__init__()
        self.inner = inner
        self.link_faults = inner.link_faults

    async def open(self) -> None:
        await self.inner.open()

    async def close(self) -> None:
        await self.inner.close()

    def events(self) -> EventStream:
        return self.inner.events()

    def listen(self, listener: EventListener) -> Callable[[], None]:
        return self.inner.listen(listener)

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    async def info(self) -> TerminalInfo:
        return await self.inner.info()

    async def status(self) -> TerminalStatus:
        return await self.inner.status()

    async def transact(self, request: PaymentRequest, *, witness: Witness = CONFIRM_ALL) -> Payment:
        return await self.inner.transact(request, witness=witness)

    async def settle(self, hold: HoldId, amount: Money | None) -> Payment:
        return await self.inner.settle(hold, amount)

    async def extend(self, seconds: int, text: str = "") -> None:
        await self.inner.extend(seconds, text)

    async def abort(self, *, silent: bool = False) -> None:
        await self.inner.abort(silent=silent)

    async def lookup(
        self, reference: str = "", *, sequence: int | None = None, evidence: Evidence | None = None
    ) -> Payment:
        return await self.inner.lookup(reference, sequence=sequence, evidence=evidence)

    async def open_entries(self) -> tuple[OpenEntry, ...]:
        return await self.inner.open_entries()

    async def open_shift(self, *, attendant: str = "", attendant_number: int | None = None) -> ShiftInfo:
        return await self.inner.open_shift(attendant=attendant, attendant_number=attendant_number)

    async def close_shift(self) -> ShiftInfo:
        return await self.inner.close_shift()

    async def totals(self, period: Period = Period.SHIFT) -> Totals:
        return await self.inner.totals(period)

    async def end_of_day(self) -> Totals:
        return await self.inner.end_of_day()

    async def receipt(self, kind: ReceiptKind = ReceiptKind.MERCHANT, *, number: int | None = None) -> Receipt:
        return await self.inner.receipt(kind, number=number)

    async def print(self, text: str = "", *, image_png: bytes = b"", double_height: bool = False,
                    double_width: bool = False, inverse: bool = False, more: bool = False) -> Printer:  # fmt: skip
        return await self.inner.print(
            text,
            image_png=image_png,
            double_height=double_height,
            double_width=double_width,
            inverse=inverse,
            more=more,
        )

    async def ask(self, dialog: Dialog) -> Answer:
        return await self.inner.ask(dialog)

    async def cancel_ask(self) -> None:
        await self.inner.cancel_ask()

    async def scan(self, *, title: str = "", text: str = "", timeout_s: float = 60.0) -> str:
        return await self.inner.scan(title=title, text=text, timeout_s=timeout_s)

    async def maintain(self, work: Maintenance, *, acquirer_id: int | None = None, text: str = "") -> None:
        await self.inner.maintain(work, acquirer_id=acquirer_id, text=text)

    async def lock(self) -> None:
        await self.inner.lock()

    async def unlock(self) -> None:
        await self.inner.unlock()

    async def lock_keypad(self, locked: bool) -> None:
        await self.inner.lock_keypad(locked)

    async def set_language(self, language: str) -> None:
        await self.inner.set_language(language)
