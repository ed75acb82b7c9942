"""Carries settlements out: sends what they want, asks the witness, wakes them in time. I/O; decides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Final

from zahlwerk.errors import LocalProtocolError, MoneyMoved, TerminalError, TerminalRefused
from zahlwerk.events import Progress
from zahlwerk.interfaces.kit.attempts import Attempt, check_decision, concerns, ended
from zahlwerk.interfaces.kit.codes import OurErrorCode
from zahlwerk.interfaces.kit.connection import Connection, error_of
from zahlwerk.interfaces.kit.conversion import payment_from_response
from zahlwerk.interfaces.kit.messages import (
    ErrorNotification,
    Message,
    ReceiptRequest,
    TransactionConfirmationRequest,
    TransactionConfirmationResponse,
    TransactionResponse,
)
from zahlwerk.interfaces.kit.receipt_desk import ReceiptDesk
from zahlwerk.interfaces.kit.settlement import AskWitness, End, Ending, Phase, Send, Settlement
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentKind
from zahlwerk.terminal import Witness
from zahlwerk.transport.pump import Alarm
from zahlwerk.urls import Context

__all__ = ["Carrier", "Running"]

# Only what can be the answer to a TransactionRequest and nothing else; after all others the status is asked (P-25).
_REFUSED_START: Final = frozenset({
    OurErrorCode.BUSY, OurErrorCode.SHIFT_CLOSED, OurErrorCode.LOCKED, OurErrorCode.AMOUNT,
    OurErrorCode.MISSING_FIELD, OurErrorCode.NOT_SUPPORTED,
})  # fmt: skip
_REFUSED_HOLD: Final = frozenset({OurErrorCode.NOTHING_TO_CONFIRM, OurErrorCode.AMOUNT})


@dataclass(slots=True, eq=False)
class Running:
    """A settlement that is being carried out."""

    attempt: Attempt
    settlement: Settlement
    witness: Witness
    end: asyncio.Future[End]
    alarm: Alarm
    error: Exception | None = None
    """What the witness raised; the caller gets it once the payment has been rolled back."""
    refusal: ErrorNotification | None = None
    waiting: TransactionConfirmationRequest | None = None
    """A decision that may not go out yet: another one has not been answered."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class Carrier:
    """At most one payment and one settlement of a hold at a time."""

    def __init__(
        self,
        connection: Connection,
        desk: ReceiptDesk,
        context: Context,
        on_progress: Callable[[Attempt, Progress], None],
    ) -> None:
        self.payment: Running | None = None
        self.hold: Running | None = None
        self._confirming: Running | None = None
        """Whose TransactionConfirmationRequest is out: its answer has no address, so there is only one at a time."""
        self._connection = connection
        self._desk = desk
        self._context = context
        self._on_progress = on_progress

    # -- one settlement

    def start(self, attempt: Attempt, settlement: Settlement, witness: Witness) -> Running:
        """Take a settlement up; call one of its verbs, then `turn`."""
        end: asyncio.Future[End] = asyncio.get_running_loop().create_future()

        def ring() -> None:
            settlement.handle_deadline(now_s=self.now_s())
            self.turn(running)

        running = Running(attempt, settlement, witness, end, Alarm(self._context.clock, ring))
        return running

    def turn(self, running: Running) -> None:
        """Do what the settlement wants now."""
        settlement = running.settlement
        while actions := settlement.actions():
            for action in actions:
                match action:
                    case Send(message):
                        self._send(running, message)
                    case AskWitness(response):
                        self._on_progress(running.attempt, Progress.APPROVED)
                        self.spawn(running, self._ask_witness(running, response))
                    case End():
                        if not running.end.done():
                            running.end.set_result(action)
                        self._confirmation_over(running)
        running.attempt.facts = settlement.facts
        running.alarm.set(settlement.deadline_s())

    async def wait(self, running: Running) -> End:
        """The end. If the caller is cancelled, the payment is stopped and brought to its end first."""
        try:
            return await asyncio.shield(running.end)
        except asyncio.CancelledError:
            settlement = running.settlement
            settlement.abort(silent=False, now_s=self.now_s())
            if settlement.phase is Phase.DECIDING:
                settlement.witness_failed(now_s=self.now_s())
            self.turn(running)
            end = await running.end
            running.attempt.payment = self.payment_of(running, end)
            raise

    def retire(self, running: Running) -> None:
        """It is over: no timer, no task of it lives on."""
        running.alarm.cancel()
        for task in running.tasks:
            task.cancel()

    def spawn(self, running: Running, work: Coroutine[None, None, None]) -> None:
        """A task that lives no longer than the settlement."""
        task = asyncio.create_task(work)
        running.tasks.add(task)
        task.add_done_callback(running.tasks.discard)

    def refusal_of(self, running: Running, what: str) -> TerminalError:
        """The terminal did not start it: its own words as an error of ours."""
        if running.refusal is None:
            return TerminalRefused(f"the terminal refused {what}", money_moved=MoneyMoved.NO)
        return error_of(running.refusal, what)

    # -- what happens

    def received(self, message: Message) -> None:
        """A message that may concern what runs."""
        if isinstance(message, TransactionConfirmationResponse):
            owner = self._confirming
            if owner is not None:
                owner.settlement.received(message, now_s=self.now_s())
                self.turn(owner)
                self._confirmation_over(owner)
            return
        for running in self._running():
            running.settlement.received(message, now_s=self.now_s())
            self.turn(running)

    def status(self, status: int) -> None:
        """A TrmStatus."""
        for running in self._running():
            running.settlement.status(status, now_s=self.now_s())
            self.turn(running)

    def error(self, request: str, error: ErrorNotification) -> bool:
        """An error of the terminal; False if it concerns nothing that runs."""
        ours = error.error_source == "ECR"
        for running in self._running():
            if not concerns(running.settlement.phase, request) or running.waiting is not None:
                continue
            codes = _REFUSED_HOLD if running is self.hold else _REFUSED_START
            # Beside a payment, an error may be meant for that one: then the hold goes the long way.
            is_plain = running is not self.hold or self.payment is None
            running.refusal = error
            running.settlement.error(refused=ours and is_plain and error.error_code in codes, now_s=self.now_s())
            self.turn(running)
            return True
        return False

    def link_up(self, status: int) -> None:
        """The session is back."""
        for running in self._running():
            running.settlement.session_up(status, now_s=self.now_s())
            self.turn(running)

    def link_down(self) -> None:
        """The session has gone; what waited to be sent is wanted again when it is back."""
        self._confirming = None
        for running in self._running():
            running.waiting = None
        for running in self._running():
            running.settlement.link_down(now_s=self.now_s())
            self.turn(running)

    def give_up(self, why: str) -> None:
        """Nothing more will happen: whatever runs ends as UNKNOWN."""
        for running in self._running():
            if not running.end.done():
                running.end.set_result(End(Ending.UNKNOWN, running.settlement.response, None, why))

    def now_s(self) -> float:
        """The clock's time."""
        return self._context.clock.now_s()

    # -- endings

    def payment_of(self, running: Running, end: End) -> Payment:
        """What became of the payment."""
        request, facts = running.attempt.request, running.settlement.facts
        if end.response is not None:
            payment = payment_from_response(end.response, request)
        else:
            payment = Payment(
                reference=request.reference,
                kind=request.kind,
                outcome=Outcome.UNKNOWN,
                state=PaymentState.UNKNOWN,
                requested=request.total,
                sequence=facts.sequence,
            )
        if end.confirmation is not None:
            payment = payment.but(
                customer_text=end.confirmation.cardholder_text or payment.customer_text,
                attendant_text=end.confirmation.attendant_text or payment.attendant_text,
            )
        if end.ending in {Ending.CONFIRMED, Ending.HELD}:
            known = facts.amount_minor if facts.amount_minor is not None else facts.approved_minor
            total = payment.approved or request.total
            payment = payment.but(approved=Money(known, total.currency) if total and known is not None else total)
        return ended(payment, end)

    def hold_of(self, running: Running, end: End, amount: Money | None) -> Payment:
        """What became of the hold that was settled."""
        request, sequence = running.attempt.request, running.settlement.facts.sequence
        payment = running.attempt.payment or Payment(
            reference=request.reference,
            kind=PaymentKind.AUTHORISATION,
            outcome=Outcome.UNKNOWN,
            state=PaymentState.UNKNOWN,
            sequence=sequence,
        )
        if end.ending is not Ending.UNKNOWN and sequence is not None:
            self._connection.side.holds.discard(sequence)
        if end.ending is Ending.CONFIRMED:
            return payment.but(outcome=Outcome.APPROVED, state=PaymentState.CAPTURED, approved=amount)
        if end.ending is Ending.RELEASED:
            return payment.but(outcome=Outcome.ABORTED, state=PaymentState.RELEASED, approved=None)
        if end.ending is Ending.FAILED:
            return payment.but(outcome=Outcome.FAILED, state=PaymentState.RELEASED, approved=None, message=end.why)
        return payment.but(outcome=Outcome.UNKNOWN, state=PaymentState.UNKNOWN, message=end.why)

    # -- inside

    def _running(self) -> list[Running]:
        """A hold being settled comes first: its answer has no other address."""
        return [running for running in (self.hold, self.payment) if running is not None]

    def _send(self, running: Running, message: Message) -> None:
        if isinstance(message, ReceiptRequest):

            def read(text: str) -> None:
                running.settlement.receipt(text, now_s=self.now_s())
                self.turn(running)

            self._desk.read_for(message, read)
        if isinstance(message, TransactionConfirmationRequest):
            if self._confirming not in {None, running}:
                running.waiting = message
                return
            self._confirming = running
        try:
            self._connection.send(message)
        except LocalProtocolError:
            # The session went between two steps: the settlement hears of it as a lost link.
            running.settlement.link_down(now_s=self.now_s())

    def _confirmation_over(self, running: Running) -> None:
        """The decision of one has been answered, or is over: the next one may go out."""
        running.waiting = None
        if self._confirming is not running:
            return
        self._confirming = None
        for other in self._running():
            if other is not running and other.waiting is not None:
                message, other.waiting = other.waiting, None
                self._send(other, message)

    async def _ask_witness(self, running: Running, response: TransactionResponse) -> None:
        settlement = running.settlement
        payment = payment_from_response(response, running.attempt.request)
        if running.attempt.facts.is_hold:
            payment = payment.but(state=PaymentState.HELD)
        try:
            decision = await running.witness.approved(payment)
            check_decision(decision, payment)
        except Exception as exc:
            running.error = exc
            settlement.witness_failed(now_s=self.now_s())
        else:
            self._on_progress(running.attempt, Progress.CONFIRMING)
            final = decision.amount
            # An answer without an amount leaves open what was approved: the confirmation then names it.
            untold = response.amt_auth is None and response.trx_amt is None
            if untold and final is None:
                final = payment.approved
            lower = final is not None and (untold or final != payment.approved)
            settlement.decided(
                confirm=decision.confirm,
                amount_minor=final.amount if final is not None and lower else None,
                now_s=self.now_s(),
            )
        self.turn(running)
