"""`Observed`: any terminal, with somebody told what became of each payment and hold that passes through it."""

from __future__ import annotations

from collections.abc import Callable

from zahlwerk.hold import HoldId
from zahlwerk.money import Money
from zahlwerk.payment import Payment, PaymentRequest
from zahlwerk.terminal import CONFIRM_ALL, Terminal, Witness
from zahlwerk.wrapped import WrappedTerminal

__all__ = ["Observed"]


class Observed(WrappedTerminal):
    """Passes everything on to another terminal.

    Args:
        inner: the terminal.
        on_payment: called with each payment that has ended, and each hold that was settled.
    """

    def __init__(self, inner: Terminal, on_payment: Callable[[Payment], None]) -> None:
        super().__init__(inner)
        self._on_payment = on_payment

    async def transact(self, request: PaymentRequest, *, witness: Witness = CONFIRM_ALL) -> Payment:
        payment = await self.inner.transact(request, witness=witness)
        self._on_payment(payment)
        return payment

    async def settle(self, hold: HoldId, amount: Money | None) -> Payment:
        payment = await self.inner.settle(hold, amount)
        self._on_payment(payment)
        return payment
