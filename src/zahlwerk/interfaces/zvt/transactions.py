"""A register's payments at the terminal: the register's answer to 04 0F is the decision about an approval. I/O.

Whatever happens to the connection, the payment comes to an end here, and 06 20 tells that end. Source: fact sheet 6.3,
6.4, 6.9, 6.12; decision 0006.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
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
from zahlwerk.interfaces.zvt.memory import Latest, Memory, Remembered, Running, without_secrets
from zahlwerk.interfaces.zvt.messages import Message, Tlv
from zahlwerk.interfaces.zvt.orders import Known, Order, currency_of, order_of
from zahlwerk.interfaces.zvt.printing import print_messages, receipts_for_terminal
from zahlwerk.interfaces.zvt.terminal import TerminalSide
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Currency, Money
from zahlwerk.payment import Outcome, Payment, PaymentKind, Receipt, ReceiptKind
from zahlwerk.terminal import CONFIRM, ROLL_BACK, Decision, Evidence, Feature, Terminal, Witness
from zahlwerk.urls import Context

__all__ = ["Transactions", "copies", "failure_code"]

_log: Final = logging.getLogger("zahlwerk.zvt.endpoint")

PARTLY: Final = 0x849D
CANCELLED: Final = 0x6C
HOST_FAULT: Final = 0x9B
NO_REVERSAL: Final = 0xB5
NO_SUCH_RESERVATION: Final = 0xB8
SYSTEM_ERROR: Final = 0xFF
WRONG_CURRENCY: Final = 0x6F
# A payment whose end is not known is looked up so often, with pauses that grow to a minute.
LOOKUPS_MAX: Final = 20
LOOKUP_PAUSE_S: Final = 3.0
# A terminal that has no record of it so often will not find one: registers should not wait for that.
NOT_FOUND_MAX: Final = 5


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
            return SYSTEM_ERROR


async def copies(terminal: Terminal, sequence: int | None) -> tuple[Receipt, ...]:
    """Both receipts of one payment, as far as the terminal has them.

    Without a number there are none: "the latest receipt" may be that of another payment, for not each payment has one.
    """
    found = []
    for kind in (ReceiptKind.MERCHANT, ReceiptKind.CUSTOMER) if sequence is not None else ():
        with suppress(TerminalError):
            receipt = await terminal.receipt(kind, number=sequence)
            if receipt.sequence in {None, sequence}:
                found.append(receipt)
    return tuple(found)


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
        prints: bool = False,
        memory: Memory | None = None,
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
        self._prints = prints
        self._order: Order | None = None
        self._decision: asyncio.Future[Message | None] | None = None
        self._shown = False
        self._shown_at: datetime | None = None
        self._decided = False
        self._abort_wanted = False
        self._started = False
        self._memory = memory or Memory()
        self._running: Running | None = None
        """The payment that the terminal behind has, until its end is written down."""
        self._procedure = 0

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

    async def carry_out(self, message: Message, default: Currency | None, procedure: int) -> None:
        """One command of `MONEY_COMMANDS`, accepted already as `procedure`, to its end.

        Args:
            default: of amounts without a currency; None if that would be a guess.
        """
        self._abort_wanted = self._shown = self._decided = self._started = False
        self._running = None
        self._order = None
        self._procedure = procedure
        side = self._side
        try:
            currency = currency_of(message, side.registered.currency_number, default)
            taken = self._terminal.capabilities.currencies
            if message.number(0x04) and (currency is None or (taken and currency.code not in taken)):
                self._abort_notice(WRONG_CURRENCY)
                return
            currency = currency or default or Currency.of(taken[0] if taken else "EUR")
            can_hold = Feature.HOLD in self._terminal.capabilities
            order = order_of(message, self.known, currency, can_hold=can_hold, language=self._language)
            self._order = order
            await self._get_ready()
            if self._abort_wanted:
                self._abort_notice(CANCELLED)
                return
            payment = await self._run(order)
        except TerminalError as exc:
            if exc.money_moved is MoneyMoved.NO or not self._started or self._changes_nothing(exc):
                await self._never_ran()
                self._abort_notice(self._refusal_code(exc), str(exc))
            else:
                await self._lost(str(exc))
            return
        except OSError as exc:
            # What cannot be written down is not begun, or taken back.
            if self._running is not None:
                await self._lost(f"the state file cannot be written: {exc}")
            else:
                self._abort_notice(SYSTEM_ERROR, "the state file cannot be written")
            return
        finally:
            self._decision = None
        await self._ended(payment, order)

    def _changes_nothing(self, error: TerminalError) -> bool:
        """A settlement that is refused leaves the hold as it is, whatever money moved before."""
        is_settlement = self._order is not None and self._order.hold is not None
        return isinstance(error, InvalidRequest) or (is_settlement and isinstance(error, TerminalRefused))

    def _refusal_code(self, error: TerminalError) -> int:
        """What fits the order better than "the terminal has a fault". Source: fact sheet 5.1."""
        code, order = failure_code(error), self._order
        if code != SYSTEM_ERROR or order is None or not isinstance(error, TerminalRefused):
            return code
        if order.hold is not None:
            return NO_SUCH_RESERVATION
        is_reversal = order.request is not None and order.request.kind is PaymentKind.REVERSAL
        return NO_REVERSAL if is_reversal else code

    async def _run(self, order: Order) -> Payment:
        self._started = True
        if order.hold is not None:
            await self._run_on(Running(reference="", asked=order.asked))
            payment = await self._terminal.settle(order.hold, order.captured)
            return payment.but(outcome=Outcome.APPROVED) if payment.state is PaymentState.RELEASED else payment
        assert order.request is not None
        return await self._terminal.transact(order.request, witness=self)

    async def sending(self, evidence: Evidence) -> None:
        order = self._order
        if order is not None and order.request is not None:
            texts = {**evidence, "confirm": "none"}
            await self._run_on(Running(reference=order.request.reference, evidence=texts, asked=order.asked))

    async def _never_ran(self) -> None:
        """The terminal refused it: the latest result is still the one before."""
        if self._running is not None:
            self._running = None
            await self._save_or_log()

    async def _run_on(self, running: Running) -> None:
        """Written down before it goes on.

        Raises:
            OSError: it cannot be, so it must not.
        """
        before, self._running = self._running, running
        try:
            await self._save()
        except BaseException:
            self._running = before
            raise

    async def approved(self, payment: Payment) -> Decision:
        """Show it to the register; its answer decides. Silence, a hang-up and every refusal take it back."""
        order = self._order
        if order is None or not self._side.is_connected:
            return ROLL_BACK
        self._shown = True
        self._shown_at = payment.terminal_time or self._now()
        self._side.can_abort = False
        number = {} if payment.sequence is None else {"sequence": str(payment.sequence)}
        await self._note(number)
        self._decision = asyncio.get_running_loop().create_future()
        self._side.show_result(
            self._information(payment, order.asked, 0), now_s=self._now_s(), procedure=self._procedure,
            wait_s=order.goods_s, repeats_max=order.repeats_max,
        )  # fmt: skip
        self._turn()
        answer = await self._decision
        self._decided = True
        decision = self._decision_of(answer, payment)
        amount = {} if decision.amount is None else {"amount_minor": str(decision.amount.amount)}
        await self._note({"confirm": "1" if decision.confirm else "0", **amount})
        return decision

    async def _note(self, texts: dict[str, str]) -> None:
        """What has become known of the payment that runs, written down before anybody hears of it."""
        running = self._running or Running(reference="")
        await self._run_on(replace(running, evidence={**running.evidence, **texts}, shown_at=self._shown_at))

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
        await self._keep(payment, order.asked)
        self._side.withdraw_result(now_s=self._now_s(), procedure=self._procedure)
        if payment.outcome is Outcome.APPROVED:
            if not self._shown:
                # Settled holds, and whatever needs no decision.
                self._send(self._information(payment, order.asked, 0))
            await self._print(payment)
            self._send(Message(code=0x060F))
        else:
            code = result_code(payment)
            self._send(self._information(payment, order.asked, code))
            await self._print(payment)
            self._send(Message(code=0x061E, head={"result": code}))
        self._turn()

    def _send(self, message: Message) -> None:
        self._side.send(message, now_s=self._now_s(), procedure=self._procedure)

    async def _keep(self, payment: Payment, asked: Asked) -> None:
        """The end of a payment; written down before the register hears of it."""
        if self._shown:
            # As it was shown: the register recognises it by its numbers and its time.
            payment = payment.but(terminal_time=self._shown_at)
        self.doubtful = False
        self._running = None
        self._take_in(payment, asked)
        await self._save_or_log()

    def _take_in(self, payment: Payment, asked: Asked) -> None:
        self.latest = Latest(payment, asked, None, self._now())
        if payment.outcome in {Outcome.APPROVED, Outcome.REFERRED}:
            self.known.add(payment)

    # -- what outlives this process

    async def recall(self) -> None:
        """Take over what an earlier process left.

        Raises:
            ConfigurationError: it cannot be read.
        """
        left = await self._memory.load()
        self.latest = left.latest
        self.doubtful = left.doubtful
        self.known.first_receipt = left.first_receipt
        for payment in left.stays:
            self.known.remember(payment)
        if left.latest is not None and left.latest.payment.outcome is Outcome.APPROVED:
            self.known.remember(left.latest.payment)
        self._running = left.running
        if left.running is not None:
            self.latest = None
            self.unresolved = self.doubtful = True

    async def settle_what_was_left(self) -> None:
        """Find out what became of the payment during which the earlier process ended."""
        running = self._running
        if running is not None:
            self._shown, self._shown_at = running.shown_at is not None, running.shown_at
            await self._resolve(running)

    async def day_closed(self) -> None:
        """A new day: receipts are counted from the next one."""
        self.known.first_receipt = None
        await self._save_or_log()

    async def _save(self) -> None:
        latest = self.latest
        if latest is not None:
            latest = replace(latest, payment=without_secrets(latest.payment))
        await self._memory.save(
            Remembered(
                running=self._running, latest=latest, doubtful=self.doubtful, first_receipt=self.known.first_receipt,
                stays=tuple(without_secrets(payment) for payment in self.known.stays()),
            )
        )  # fmt: skip

    async def _save_or_log(self) -> None:
        """Of what has happened already: if it cannot be written down, the next process looks it up."""
        try:
            await self._save()
        except OSError as exc:
            _log.error("zvt.state_not_saved error=%s", exc)

    async def _lost(self, why: str) -> None:
        """Nobody knows. The register is told so, and asks with 06 20 once it is known here."""
        self.unresolved = self.doubtful = True
        self.latest = None
        await self._save_or_log()
        self._side.withdraw_result(now_s=self._now_s(), procedure=self._procedure)
        self._abort_notice(HOST_FAULT, f"outcome not known yet, ask again: {why}")
        await self._resolve(self._running or Running(reference=""))

    async def _resolve(self, running: Running) -> None:
        """Ask the terminal behind until it knows; a settled hold cannot be asked about."""
        found = await self._looked_up(running) if running.reference else None
        if found is not None:
            await self._keep(found, running.asked)
        else:
            # Given up: it stays doubtful, over restarts too, until the next transaction.
            self._running = None
            await self._save_or_log()
        self.unresolved = False

    async def _looked_up(self, running: Running) -> Payment | None:
        pause_s = LOOKUP_PAUSE_S
        not_found = 0
        for _ in range(LOOKUPS_MAX):
            await self._context.clock.sleep_until(self._now_s() + pause_s)
            pause_s = min(60.0, pause_s * 1.5)
            try:
                payment = await self._terminal.lookup(running.reference, evidence=running.evidence)
            except PaymentNotFound:
                not_found += 1
                if not_found >= NOT_FOUND_MAX:
                    return None
            except TerminalError:
                continue
            else:
                if payment.outcome is not Outcome.UNKNOWN:
                    return payment
        return None

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
            receipts = await self._fetched(payment)
        for message in print_messages(receipts, self._side.registered):
            self._send(message)
        await self.print_here(receipts)

    async def print_here(self, receipts: tuple[Receipt, ...]) -> None:
        """Print on the terminal what the register leaves to it, if the terminal behind does not do so by itself."""
        if not self._prints or Feature.PRINT not in self._terminal.capabilities:
            return
        self._turn()
        for receipt in receipts_for_terminal(receipts, self._side.registered):
            with suppress(TerminalError):
                await self._terminal.print(receipt.text)

    async def _fetched(self, payment: Payment) -> tuple[Receipt, ...]:
        """Receipts of a terminal that does not hand them over with the payment."""
        if Feature.RECEIPT_COPY not in self._terminal.capabilities:
            return ()
        return await copies(self._terminal, payment.sequence)

    def _abort_notice(self, code: int, text: str = "") -> None:
        tlv = (Tlv(0x1F17, text[:200]),) if text and self._side.registered.tlv else None
        self._send(Message(code=0x061E, head={"result": code}, tlv=tlv))
        self._turn()

    # -- small things

    async def _get_ready(self) -> None:
        """ZVT knows no shifts: where the terminal has them, one is opened."""
        if Feature.SHIFT in self._terminal.capabilities and not (await self._terminal.status()).shift_open:
            await self._terminal.open_shift()

    async def standalone(self, payment: Payment) -> None:
        """Taken at the terminal, without the register: the latest transaction is that one now."""
        if self.unresolved or self._running is not None:
            # What the register waits for comes first; and this one is no proof about it.
            self.known.add(payment)
            return
        self.doubtful = False
        self._take_in(payment, Asked())
        await self._save_or_log()

    def _now(self) -> datetime:
        return self._context.clock.wall().replace(tzinfo=None)

    def _now_s(self) -> float:
        return self._context.clock.now_s()
