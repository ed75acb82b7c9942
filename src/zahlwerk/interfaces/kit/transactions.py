"""The terminal side's payments: carried out on the `Terminal` port, decided by the register, told truthfully. I/O.

The register's decision about an approval is asked for by a witness: the terminal behind waits in `transact` until the
register has sent its TransactionConfirmationRequest, or its time is up.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Final

from zahlwerk.carddata import contains_card_data
from zahlwerk.clock import random_source
from zahlwerk.errors import InvalidRequest, MoneyMoved, NotSupported, TerminalBusy, TerminalError, TerminalRefused
from zahlwerk.interfaces.kit.codes import OurErrorCode
from zahlwerk.interfaces.kit.conversion import request_from_wire, response_from_payment
from zahlwerk.interfaces.kit.messages import (
    TransactionConfirmationResponse,
    TransactionDataChangeRequest,
    TransactionRequest,
    TrxDataChangeReason,
)
from zahlwerk.interfaces.kit.states import Trx
from zahlwerk.interfaces.kit.terminal import HoldDecided, TerminalSide
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentKind
from zahlwerk.terminal import CONFIRM, ROLL_BACK, Decision, HoldId, Terminal, Witness
from zahlwerk.transport.pump import Alarm
from zahlwerk.urls import Context

__all__ = ["Transactions", "code_of"]

_log: Final = logging.getLogger("zahlwerk.kit.endpoint")

# How long to wait between questions about a payment whose outcome nobody knows.
LOOKUP_PAUSES_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
# LIMIT: after so long the register has given up; the payment stays UNKNOWN for a person.
LOOKUPS_MAX: Final = 20
_PAID: Final = frozenset({PaymentState.CONFIRMED, PaymentState.CAPTURED})


class _RegisterWitness(Witness):
    """Asks the register on the other side of the link."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def approved(self, payment: Payment) -> Decision:
        return await self._transactions.ask_register(payment)

    async def amount_for(self, amount: Money, reasons: tuple[Mapping[str, int], ...]) -> Money:
        return await self._transactions.ask_amount(amount, reasons)


class Transactions:
    """One payment at a time, and holds beside it."""

    def __init__(
        self,
        terminal: Terminal,
        side: TerminalSide,
        context: Context,
        *,
        turn: Callable[[], None],
        hold_back: Callable[[], None],
    ) -> None:
        """Args:
        turn: sends what has been queued.
        hold_back: from now on, what the terminal tells waits until the payment has been answered.
        """
        self.terminal_id = ""
        """What the answers name."""
        self._terminal = terminal
        self._side = side
        self._context = context
        self._turn = turn
        self._hold_back = hold_back
        self._witness = _RegisterWitness(self)
        self._random = random_source(context.seed)
        self._decision: asyncio.Future[tuple[bool, int | None]] | None = None
        self._decide_until_s = 0.0
        self._decide_alarm = Alarm(context.clock, self._decide_no_more)
        self._new_amount: asyncio.Future[int | None] | None = None

    # -- what the register says

    def decided(self, *, confirm: bool, amount_minor: int | None) -> None:
        """The register has decided about the approval it was told."""
        if self._decision is None or self._decision.done():
            self._side.decision_failed(OurErrorCode.NOTHING_TO_CONFIRM)
            return
        self._decision.set_result((confirm, amount_minor))

    def extended(self, seconds: int) -> None:
        """The register needs longer for its decision."""
        self._decide_until_s += seconds
        if self._decision is not None and not self._decision.done():
            self._decide_alarm.set(self._decide_until_s)

    def amount_changed(self, amount_minor: int | None) -> None:
        """The register names the new amount; None: as before."""
        if self._new_amount is not None and not self._new_amount.done():
            self._new_amount.set_result(amount_minor)

    def give_up(self) -> None:
        """The endpoint closes: an approval that nobody has decided about is rolled back."""
        if self._decision is not None and not self._decision.done():
            self._decision.set_result((False, None))

    # -- one transaction

    async def carry_out(self, message: TransactionRequest) -> None:
        """One payment, from the request to the last answer about it. Raises nothing of the terminal's."""
        try:
            request = request_from_wire(
                message, reference=self._new_reference(), language=self._side.options.trm_lng or ""
            )
        except InvalidRequest as exc:
            code = OurErrorCode.MISSING_FIELD if "needs" in str(exc) or "missing" in str(exc) else OurErrorCode.AMOUNT
            self._refuse(code, str(exc))
            return
        except TerminalError as exc:
            self._refuse(OurErrorCode.MALFORMED, str(exc))
            return
        try:
            payment = await self._terminal.transact(request, witness=self._witness)
        except TerminalBusy as exc:
            self._refuse(OurErrorCode.BUSY, str(exc))
        except NotSupported as exc:
            self._refuse(OurErrorCode.NOT_SUPPORTED, str(exc))
        except TerminalRefused as exc:
            self._refuse(code_of(exc), str(exc))
        except InvalidRequest as exc:
            self._refuse(OurErrorCode.AMOUNT, str(exc))
        except TerminalError as exc:
            self._refuse(code_of(exc), str(exc))
        except Exception as exc:
            _log.exception("kit.terminal_failed error=%s", type(exc).__name__)
            self._refuse(OurErrorCode.UNCERTAIN, "The terminal failed; the outcome is not known")
        else:
            await self._report(message, payment)
        finally:
            self._decision = None

    def _new_reference(self) -> str:
        while contains_card_data(reference := f"kit-{self._random.getrandbits(64):016x}"):
            pass  # one in a few thousand looks like a card number, and the payment would be refused for it
        return reference

    def _refuse(self, code: OurErrorCode, text: str) -> None:
        if self._side.trx is Trx.RUNNING:
            self._side.transaction_refused(code, text)
        else:
            # An approval was told already, so this is no plain refusal any more.
            self._side.decision_failed(OurErrorCode.UNCERTAIN, text)
        self._turn()

    async def _report(self, message: TransactionRequest, payment: Payment) -> None:
        """Tell the register how it ended; what nobody knows is looked up first, for KIT has no word for it."""
        if payment.outcome is Outcome.UNKNOWN:
            payment = await self._find_out(payment)
        if self._side.trx is Trx.RUNNING:
            await self._report_result(message, payment)
        elif payment.state in _PAID and self._side.trx is Trx.CONFIRMING:
            self._side.confirmed(TransactionConfirmationResponse())
        elif payment.state in _PAID:
            # Money has moved although the register has not confirmed, or wants it back.
            await self._take_back(payment)
        elif self._side.trx is Trx.ROLLING_BACK and payment.outcome is not Outcome.UNKNOWN:
            self._side.confirmed(_rolled_back(payment))
        elif payment.outcome is not Outcome.UNKNOWN:
            was_asked = self._side.trx is Trx.CONFIRMING
            self._side.expired()
            if was_asked:
                self._side.refuse(OurErrorCode.NOTHING_TO_CONFIRM, "The approval had been taken back")
        else:
            _log.error("kit.payment_unknown reference=%s", payment.reference)
            self._side.expired()
        self._turn()

    async def _report_result(self, message: TransactionRequest, payment: Payment) -> None:
        response = response_from_payment(
            payment, function=message.trx_function, terminal_id=self.terminal_id or payment.terminal_id
        )
        held = payment.state is PaymentState.HELD
        if payment.outcome is Outcome.UNKNOWN:
            # Nothing true can be said. The register's own time runs out, and it settles by its own rules (4.9).
            self._side.trx = Trx.IDLE
            self._side.refuse(OurErrorCode.UNCERTAIN)
            return
        self._side.result(response)
        self._turn()
        if payment.outcome is Outcome.APPROVED and not held:
            # The terminal behind knows one phase only: money has moved.
            confirm, _ = await self._await_decision()
            if confirm:
                self._side.confirmed(TransactionConfirmationResponse())
                return
            await self._take_back(payment)

    async def _take_back(self, payment: Payment) -> None:
        """A rollback of what is paid already is a reversal, and told as done only if it was."""
        reversed_ = False
        with contextlib.suppress(TerminalError):
            reversed_ = (await self._terminal.reverse(sequence=payment.sequence)).is_approved
        was_asked = self._side.trx is Trx.ROLLING_BACK
        if reversed_ and was_asked:
            self._side.confirmed(_rolled_back(payment))
            return
        self._side.expired()
        if not reversed_:
            _log.error("kit.reversal_failed reference=%s", payment.reference)
            self._side.refuse(OurErrorCode.UNCERTAIN, "The payment could not be reversed: it is paid")

    async def _find_out(self, payment: Payment) -> Payment:
        clock = self._context.clock
        for index in range(LOOKUPS_MAX):
            pause_s = LOOKUP_PAUSES_S[min(index, len(LOOKUP_PAUSES_S) - 1)]
            await clock.sleep_until(clock.now_s() + pause_s)
            with contextlib.suppress(TerminalError):
                found = await self._terminal.lookup(payment.reference, sequence=payment.sequence)
                if found.outcome is not Outcome.UNKNOWN:
                    return found
        return payment

    async def ask_register(self, payment: Payment) -> Decision:
        """What the witness of a payment asks: the register decides, or its time is up."""
        if payment.kind is PaymentKind.AUTHORISATION:
            return CONFIRM  # kept open: the register settles it later, by its TrxSeqCnt (4.6)
        response = response_from_payment(
            payment, function=self._side.running_function, terminal_id=self.terminal_id or payment.terminal_id
        )
        self._side.result(response)
        self._turn()
        confirm, amount_minor = await self._await_decision()
        self._hold_back()
        if not confirm:
            return ROLL_BACK
        if amount_minor is None or payment.approved is None:
            return CONFIRM
        return Decision(confirm=True, amount=Money(amount_minor, payment.approved.currency))

    async def _await_decision(self) -> tuple[bool, int | None]:
        clock = self._context.clock
        self._decision = asyncio.get_running_loop().create_future()
        self._decide_until_s = clock.now_s() + self._context.waits.approval_s
        self._decide_alarm.set(self._decide_until_s)
        try:
            return await self._decision
        finally:
            # Else a busy terminal keeps a minute's worth of payments alive by their timers.
            self._decide_alarm.cancel()

    def _decide_no_more(self) -> None:
        if self._decision is not None and not self._decision.done():
            self._decision.set_result((False, None))

    async def ask_amount(self, amount: Money, reasons: tuple[Mapping[str, int], ...]) -> Money:
        """The card gives a discount: the register names the new amount, or the old one stays (4.6)."""
        if not self._side.is_connected or not self._side.options.set_trx_data_change_reason:
            return amount
        self._new_amount = asyncio.get_running_loop().create_future()
        future = self._new_amount
        self._side.tell(
            TransactionDataChangeRequest(
                set_trx_data_change_reason=tuple(
                    TrxDataChangeReason(
                        trx_data_change_reason_code=reason.get("TrxDataChangeReasonCode"),
                        my_one_discount_code=reason.get("MyOneDiscountCode"),
                        bonus_card_brand_number=reason.get("BonusCardBrandNumber"),
                    )
                    for reason in reasons
                )
            )
        )
        self._turn()

        def late() -> None:
            if not future.done():
                future.set_result(None)

        clock = self._context.clock
        stop = clock.call_at(clock.now_s() + self._context.waits.short_s, late)
        try:
            minor = await future
        finally:
            stop()
        return amount if minor is None or minor <= 0 else Money(minor, amount.currency)

    async def settle_hold(self, wanted: HoldDecided) -> None:
        """Capture or release an open authorisation, beside whatever runs."""
        try:
            amount = await self._hold_amount(wanted)
            payment = await self._terminal.settle(HoldId(str(wanted.sequence)), amount)
        except TerminalRefused as exc:
            self._side.refuse(OurErrorCode.NOTHING_TO_CONFIRM, str(exc))
        except TerminalError as exc:
            self._side.refuse(OurErrorCode.UNCERTAIN, str(exc))
        else:
            if payment.outcome is not Outcome.UNKNOWN:
                answer = TransactionConfirmationResponse() if wanted.confirm else _rolled_back(payment)
                self._side.hold_settled(wanted, answer)
        self._turn()

    async def _hold_amount(self, wanted: HoldDecided) -> Money | None:
        """The amount to capture: as wanted, or all that is held."""
        if not wanted.confirm:
            return None
        for entry in await self._terminal.open_entries():
            if entry.hold == str(wanted.sequence) and entry.amount is not None:
                minor = entry.amount.amount if wanted.amount_minor is None else wanted.amount_minor
                return Money(minor, entry.amount.currency)
        raise TerminalRefused(f"Nothing is held under {wanted.sequence}")


def code_of(exc: TerminalError) -> OurErrorCode:
    """Our code for what went wrong; only what certainly moved no money is told as a refusal."""
    if exc.money_moved is not MoneyMoved.NO:
        return OurErrorCode.UNCERTAIN
    if "shift" in str(exc):
        return OurErrorCode.SHIFT_CLOSED
    return OurErrorCode.NOT_SUPPORTED


def _rolled_back(payment: Payment) -> TransactionConfirmationResponse:
    return TransactionConfirmationResponse(
        cardholder_text=payment.customer_text or None, attendant_text=payment.attendant_text or payment.message or None
    )
