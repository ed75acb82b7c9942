"""An amount that is authorised now and settled later: the idiom of machines, fuel and open tabs."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, NewType

from zahlwerk.errors import InvalidRequest, LocalProtocolError
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentRequest

if TYPE_CHECKING:
    from zahlwerk.terminal import Terminal, Witness

__all__ = ["Hold", "HoldId", "HoldOpening"]

HoldId = NewType("HoldId", str)
"""Names an open hold at its terminal, also from another process: for KIT the decimal transaction counter."""


class Hold:
    """An amount that is authorised and waits for its final sum."""

    def __init__(self, terminal: Terminal, opened: Payment) -> None:
        self._terminal = terminal
        self.payment = opened
        """The authorisation; after `capture` or `release`, what became of it."""

    @property
    def is_approved(self) -> bool:
        """True if the amount was authorised (a decline is an outcome, not an error)."""
        return self.payment.outcome is Outcome.APPROVED

    @property
    def is_open(self) -> bool:
        """True while neither captured nor released."""
        return self.payment.state is PaymentState.HELD

    @property
    def limit(self) -> Money | None:
        """The most that can be captured; may be less than was asked for."""
        return self.payment.approved if self.is_approved else None

    @property
    def id(self) -> HoldId:
        """The hold's name at its terminal: give it to `Terminal.settle` in another process.

        Raises:
            LocalProtocolError: nothing was authorised.
        """
        if self.payment.sequence is None:
            raise LocalProtocolError("nothing is held: the authorisation was not approved")
        return HoldId(str(self.payment.sequence))

    async def capture(self, price: Money | str) -> Payment:
        """Take the final amount, at most the limit, and let go of the rest.

        Raises:
            LocalProtocolError: nothing is held, or it was settled before.
            InvalidRequest: more than the limit, or nothing at all.
        """
        amount = Money.parse(price) if isinstance(price, str) else price
        limit = self._require_open("captured")
        if amount.amount <= 0 or amount > limit:
            raise InvalidRequest(f"a capture takes more than nothing and at most {limit}, got {amount}")
        return await self._settle(amount)

    async def release(self) -> Payment:
        """Let go of everything: no money moves.

        Raises:
            LocalProtocolError: nothing is held, or it was settled before.
        """
        self._require_open("released")
        return await self._settle(None)

    async def _settle(self, amount: Money | None) -> Payment:
        self.payment = (await self._terminal.settle(self.id, amount)).but(
            reference=self.payment.reference, requested=self.payment.requested
        )
        return self.payment

    def _require_open(self, verb: str) -> Money:
        if not self.is_open or self.payment.approved is None:
            raise LocalProtocolError(f"a hold that is {self.payment.state.value} cannot be {verb}")
        return self.payment.approved


class HoldOpening:
    """What `Terminal.hold` returns: `await` it, or open it with `async with`."""

    def __init__(self, terminal: Terminal, request: PaymentRequest, witness: Witness) -> None:
        self._terminal = terminal
        self._request = request
        self._witness = witness
        self._hold: Hold | None = None

    def __await__(self) -> Generator[object, None, Hold]:
        return self._open().__await__()

    async def _open(self) -> Hold:
        return Hold(self._terminal, await self._terminal.transact(self._request, witness=self._witness))

    async def __aenter__(self) -> Hold:
        self._hold = await self._open()
        return self._hold

    async def __aexit__(self, *_: object) -> None:
        if self._hold is not None and self._hold.is_open:
            await self._hold.release()
