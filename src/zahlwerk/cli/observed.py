"""`Observed`: any terminal, with somebody told what became of each payment and hold that passes through it."""

from __future__ import annotations

from collections.abc import Callable

from zahlwerk.events import EventListener, EventStream, Printer, TerminalStatus
from zahlwerk.money import Money
from zahlwerk.payment import Payment, PaymentRequest, Receipt, ReceiptKind
from zahlwerk.terminal import (
    Answer,
    Capabilities,
    Dialog,
    Evidence,
    HoldId,
    Maintenance,
    OpenEntry,
    Period,
    ShiftInfo,
    Terminal,
    TerminalInfo,
    Totals,
    Witness,
)

__all__ = ["Observed"]


class Observed(Terminal):
    """Passes everything on to another terminal.

    Args:
        inner: the terminal.
        on_payment: called with each payment that has ended, and each hold that was settled.
    """

    def __init__(self, inner: Terminal, on_payment: Callable[[Payment], None]) -> None:
        super().__init__()
        self._inner = inner
        self.link_faults = inner.link_faults
        self._on_payment = on_payment

    async def open(self) -> None:
        await self._inner.open()

    async def close(self) -> None:
        await self._inner.close()

    @property
    def capabilities(self) -> Capabilities:
        return self._inner.capabilities

    async def info(self) -> TerminalInfo:
        return await self._inner.info()

    async def status(self) -> TerminalStatus:
        return await self._inner.status()

    def events(self) -> EventStream:
        return self._inner.events()

    def listen(self, listener: EventListener) -> Callable[[], None]:
        return self._inner.listen(listener)

    async def transact(self, request: PaymentRequest, *, witness: Witness | None = None) -> Payment:
        payment = await self._inner.transact(request, witness=witness or _CONFIRM_ALL)
        self._on_payment(payment)
        return payment

    async def settle(self, hold: HoldId, amount: Money | None) -> Payment:
        payment = await self._inner.settle(hold, amount)
        self._on_payment(payment)
        return payment

    async def extend(self, seconds: int, text: str = "") -> None:
        await self._inner.extend(seconds, text)

    async def abort(self, *, silent: bool = False) -> None:
        await self._inner.abort(silent=silent)

    async def lookup(
        self, reference: str = "", *, sequence: int | None = None, evidence: Evidence | None = None
    ) -> Payment:
        return await self._inner.lookup(reference, sequence=sequence, evidence=evidence)

    async def open_entries(self) -> tuple[OpenEntry, ...]:
        return await self._inner.open_entries()

    async def open_shift(self, *, attendant: str = "", attendant_number: int | None = None) -> ShiftInfo:
        return await self._inner.open_shift(attendant=attendant, attendant_number=attendant_number)

    async def close_shift(self) -> ShiftInfo:
        return await self._inner.close_shift()

    async def totals(self, period: Period = Period.SHIFT) -> Totals:
        return await self._inner.totals(period)

    async def end_of_day(self) -> Totals:
        return await self._inner.end_of_day()

    async def receipt(self, kind: ReceiptKind = ReceiptKind.MERCHANT, *, number: int | None = None) -> Receipt:
        return await self._inner.receipt(kind, number=number)

    async def print(self, text: str = "", *, image_png: bytes = b"", double_height: bool = False,
                    double_width: bool = False, inverse: bool = False, more: bool = False) -> Printer:  # fmt: skip
        return await self._inner.print(
            text,
            image_png=image_png,
            double_height=double_height,
            double_width=double_width,
            inverse=inverse,
            more=more,
        )

    async def ask(self, dialog: Dialog) -> Answer:
        return await self._inner.ask(dialog)

    async def cancel_ask(self) -> None:
        await self._inner.cancel_ask()

    async def scan(self, *, title: str = "", text: str = "", timeout_s: float = 60.0) -> str:
        return await self._inner.scan(title=title, text=text, timeout_s=timeout_s)

    async def maintain(self, work: Maintenance, *, acquirer_id: int | None = None, text: str = "") -> None:
        await self._inner.maintain(work, acquirer_id=acquirer_id, text=text)

    async def lock(self) -> None:
        await self._inner.lock()

    async def unlock(self) -> None:
        await self._inner.unlock()

    async def lock_keypad(self, locked: bool) -> None:
        await self._inner.lock_keypad(locked)

    async def set_language(self, language: str) -> None:
        await self._inner.set_language(language)


_CONFIRM_ALL = Witness()
