"""A register's payments at the terminal: the register's answer to 04 0F is the decision about an approval. I/O.

Whatever happens to the connection, the payment comes to an end here, and 06 20 tells that end. Source: fact sheet 6.3,
6.4, 6.9, 6.12; decision 0006.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from zahlwerk.errors import (
    InvalidRequest,
    LinkUnavailable,
    MoneyMoved,
    NotSupported,
    PaymentNotFound,
    TerminalBusy,
    TerminalError,
    TerminalRefused,
)
from zahlwerk.interfaces.zvt.answers import Asked, result_code, status_information
from zahlwerk.interfaces.zvt.messages import Message, Tlv
from zahlwerk.interfaces.zvt.orders import Known, Order, currency_of, order_of
from zahlwerk.interfaces.zvt.printing import print_messages
from zahlwerk.interfaces.zvt.terminal import TerminalSide
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Currency, Money
from zahlwerk.payment import Outcome, Payment, Receipt, ReceiptKind
from zahlwerk.terminal import CONFIRM, ROLL_BACK, Decision, Evidence, Feature, Terminal, Witness
from zahlwerk.urls import Context

__all__ = ["Latest", "Transactions", "failure_code"]

PARTLY: Final = 0x849D
CANCELLED: Final = 0x6C
HOST_FAULT: Final = 0x9B
WRONG_CURRENCY: Final = 0x6F
# A payment whose end is not known is looked up so often, with pauses that grow to a minute.
LOOKUPS_MAX: Final = 20
LOOKUP_PAUSE_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Latest:
    """The latest result, as 06 20 tells it."""

    payment: Payment
    asked: Asked
    code: int | None
    moment: datetime
    """When it came about; a repetition must look the same."""


def failure_code(error: TerminalError) -> int:
    """A result code for what went wrong before anything was started. Source: fact sheet 5.1."""
    match error:
        case TerminalBusy():
            return 0xA0
        case NotSupported():
            return 0x83
        case InvalidRequest():
            return 0x9A
        case LinkUnavailable():
            return 0xA3
        case TerminalRefused(code=int(code)) if error.source == "ZVT" and 0 < code <= 0xFF:
            return code
        case _:
            return 0xFF


class Transactions(Witness):
    """Carries out one payment at a time."""

    def __init__(
        self,
        terminal: Terminal,
        side: TerminalSide,
        context: Context,
        *,
        turn: Callable[[], None],
        language: str,
    ) -> None:
        self.latest: Latest | None = None
        self.known = Known()
        self.terminal_id = ""
        self.unresolved = False
        """Nobody knows yet what became of the latest payment; it is being looked up."""
        self.doubtful = False
        """The same, also after looking up was given up: nothing here may be read as "not charged"."""
        self._terminal = terminal
        self._side = side
        self._context = context
        self._turn = turn
        self._language = language
        self._order: Order | None = None
        self._decision: asyncio.Future[Message | None] | None = None
        self._shown = False
        self._shown_at: datetime | None = None
        self._decided = False
        self._abort_wanted = False
        self._started = False
        self._evidence: Evidence = {}

    # -- what the connection tells

    def answered(self, message: Message | None) -> None:
        """The register's answer to a result; None for silence."""
        if self._decision is not None and not self._decision.done():
            self._decision.set_result(message)

    async def abort(self) -> None:
        """The register, or the end of its connection, wants it stopped."""
        self._abort_wanted = True
        if self._started and not self._shown:
            with suppress(TerminalError):
                await self._terminal.abort(silent=True)

    # -- one payment

    async def carry_out(self, message: Message, default: Currency) -> None:
        """One command of `MONEY_COMMANDS`, accepted already, to its end."""
        self._abort_wanted = self._shown = self._decided = self._started = False
        self._evidence = {}
        side = self._side
        try:
            currency = currency_of(message, side.registered.currency_number, default)
            taken = self._terminal.capabilities.currencies
            if message.number(0x04) and taken and currency.code not in taken:
                self._abort_notice(WRONG_CURRENCY)
                return
            can_hold = Feature.HOLD in self._terminal.capabilities
            order = order_of(message, self.known, currency, can_hold=can_hold, language=self._language)
            self._order = order
            await self._get_ready()
            if self._abort_wanted:
                self._abort_notice(CANCELLED)
                return
            payment = await self._run(order)
        except TerminalError as exc:
            if exc.money_moved is not MoneyMoved.NO and self._started and not isinstance(exc, InvalidRequest):
                await self._lost(str(exc))
            else:
                self._abort_notice(failure_code(exc), str(exc))
            return
        finally:
            self._decision = None
        await self._ended(payment, order)

    async def _run(self, order: Order) -> Payment:
        self._started = True
        if order.hold is not None:
            payment = await self._terminal.settle(order.hold, order.captured)
            return payment.but(outcome=Outcome.APPROVED) if payment.state is PaymentState.RELEASED else payment
        assert order.request is not None
        return await self._terminal.transact(order.request, witness=self)

    async def sending(self, evidence: Evidence) -> None:
        self._evidence = dict(evidence)

    async def approved(self, payment: Payment) -> Decision:
        """Show it to the register; its answer decides. Silence, a hang-up and every refusal take it back."""
        order = self._order
        if order is None or not self._side.is_connected:
            return ROLL_BACK
        self._shown = True
        self._shown_at = payment.terminal_time or self._now()
        self._side.can_abort = False
        self._decision = asyncio.get_running_loop().create_future()
        self._side.show_result(
            self._information(payment, order.asked, 0), now_s=self._now_s(), wait_s=order.goods_s,
            repeats_max=order.repeats_max,
        )  # fmt: skip
        self._turn()
        answer = await self._decision
        self._decided = True
        return self._decision_of(answer, payment)

    def _decision_of(self, answer: Message | None, payment: Payment) -> Decision:
        if answer is None:
            return ROLL_BACK
        if answer.is_positive:
            return CONFIRM
        minor = answer.number(0x04)
        if answer.code == PARTLY and minor and payment.approved is not None:
            amount = Money(minor, payment.approved.currency)
            if amount <= payment.approved and Feature.PARTIAL_CAPTURE in self._terminal.capabilities:
                return Decision(confirm=True, amount=amount)
        return ROLL_BACK

    async def _ended(self, payment: Payment, order: Order) -> None:
        if payment.outcome is Outcome.UNKNOWN:
            await self._lost(payment.message)
            return
        self._keep(payment, order.asked)
        if payment.outcome is Outcome.APPROVED:
            if not self._shown:
                # Settled holds, and whatever needs no decision.
                self._side.send(self._information(payment, order.asked, 0), now_s=self._now_s())
            await self._print(payment)
            self._side.send(Message(code=0x060F), now_s=self._now_s())
        else:
            code = result_code(payment)
            self._side.send(self._information(payment, order.asked, code), now_s=self._now_s())
            await self._print(payment)
            self._side.send(Message(code=0x061E, head={"result": code}), now_s=self._now_s())
        self._turn()

    def _keep(self, payment: Payment, asked: Asked) -> None:
        if self._shown:
            # As it was shown: the register recognises it by its numbers and its time.
            payment = payment.but(terminal_time=self._shown_at)
        self.doubtful = False
        self.latest = Latest(payment, asked, None, self._now())
        if payment.outcome in {Outcome.APPROVED, Outcome.REFERRED}:
            self.known.add(payment)

    async def _lost(self, why: str) -> None:
        """Nobody knows. The register is told so, and asks with 06 20 once it is known here."""
        self.unresolved = self.doubtful = True
        self.latest = None
        self._abort_notice(HOST_FAULT, f"outcome not known yet, ask again: {why}")
        await self._resolve()

    async def _resolve(self) -> None:
        order = self._order
        assert order is not None
        if order.request is None:
            self.unresolved = False
            return
        pause_s = LOOKUP_PAUSE_S
        for _ in range(LOOKUPS_MAX):
            await self._context.clock.sleep_until(self._now_s() + pause_s)
            pause_s = min(60.0, pause_s * 1.5)
            with suppress(PaymentNotFound, TerminalError):
                payment = await self._terminal.lookup(order.request.reference, evidence=self._evidence)
                if payment.outcome is not Outcome.UNKNOWN:
                    self._keep(payment, order.asked)
                    break
        self.unresolved = False

    # -- the result, told and told again

    def told_again(self) -> Message | None:
        """The latest result as a status information; None if there is none."""
        latest = self.latest
        if latest is None:
            return None
        return self._information(latest.payment, latest.asked, latest.code, latest.moment)

    def _information(self, payment: Payment, asked: Asked, code: int | None, moment: datetime | None = None) -> Message:
        return status_information(
            payment, self._side.registered, asked, code=code, now=moment or self._now(), terminal_id=self.terminal_id
        )

    async def _print(self, payment: Payment) -> None:
        receipts = payment.receipts
        if not receipts and payment.outcome is Outcome.APPROVED:
            receipts = await self._fetched()
        for message in print_messages(receipts, self._side.registered):
            self._side.send(message, now_s=self._now_s())

    async def _fetched(self) -> tuple[Receipt, ...]:
        """Receipts of a terminal that does not hand them over with the payment."""
        if Feature.RECEIPT_COPY not in self._terminal.capabilities:
            return ()
        found = []
        for kind in (ReceiptKind.MERCHANT, ReceiptKind.CUSTOMER):
            with suppress(TerminalError):
                found.append(await self._terminal.receipt(kind))
        return tuple(found)

    def _abort_notice(self, code: int, text: str = "") -> None:
        tlv = (Tlv(0x1F17, text[:200]),) if text and self._side.registered.tlv else None
        self._side.send(Message(code=0x061E, head={"result": code}, tlv=tlv), now_s=self._now_s())
        self._turn()

    # -- small things

    async def _get_ready(self) -> None:
        """ZVT knows no shifts: where the terminal has them, one is opened."""
        if Feature.SHIFT in self._terminal.capabilities and not (await self._terminal.status()).shift_open:
            await self._terminal.open_shift()

    def standalone(self, payment: Payment) -> None:
        """Taken at the terminal, without the register: the latest transaction is that one now."""
        self._shown = False
        self._keep(payment, Asked())

    def _now(self) -> datetime:
        return self._context.clock.wall().replace(tzinfo=None)

    def _now_s(self) -> float:
        return self._context.clock.now_s()
