"""The driver's payments: one at a time, remembered, settled, looked up. I/O."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from zahlwerk.errors import InvalidRequest, LinkLost, PaymentNotFound, TerminalBusy
from zahlwerk.events import Progress
from zahlwerk.interfaces.kit.attempts import Attempt, attempt_from, evidence_of, must_be_same, settled_before
from zahlwerk.interfaces.kit.carrier import Carrier, Running
from zahlwerk.interfaces.kit.codes import TrxFunction, TrxResult
from zahlwerk.interfaces.kit.connection import Connection
from zahlwerk.interfaces.kit.conversion import request_to_wire
from zahlwerk.interfaces.kit.messages import TransactionResponse
from zahlwerk.interfaces.kit.receipt_desk import ReceiptDesk
from zahlwerk.interfaces.kit.settlement import End, Ending, Facts, Settlement
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentKind, PaymentRequest
from zahlwerk.terminal import CONFIRM_ALL, Evidence, HoldId, Witness
from zahlwerk.urls import Context

__all__ = ["Payments"]

# LIMIT: payments whose outcome `lookup` can still tell without evidence; each takes some 10 kB with its receipts.
ATTEMPTS_MAX: Final = 200


class Payments:
    """What the driver does with money. The caller sees to it that only one use case runs."""

    def __init__(
        self,
        connection: Connection,
        desk: ReceiptDesk,
        context: Context,
        *,
        on_progress: Callable[[Attempt, Progress], None],
    ) -> None:
        self.carrier = Carrier(connection, desk, context, on_progress)
        self._connection = connection
        self._side = connection.side
        self._desk = desk
        self._context = context
        self._on_progress = on_progress
        self._attempts: OrderedDict[str, Attempt] = OrderedDict()
        self._unsettled: list[Attempt] = []
        """Those that may be open: running or looked up just now, or with an outcome that nobody knows."""
        self._orphan: TransactionResponse | None = None
        self._abort_wanted = False

    async def transact(
        self, request: PaymentRequest, witness: Witness, *, get_ready: Callable[[], Awaitable[None]]
    ) -> Payment:
        """One payment, from its preparation to its end."""
        self._abort_wanted = False
        await self._clear_the_past()
        await get_ready()
        attempt = Attempt(
            request,
            Facts(
                counter_before=self._side.trx_seq_cnt,
                is_hold=request.kind is PaymentKind.AUTHORISATION,
                undoes=request.kind in {PaymentKind.REVERSAL, PaymentKind.RESERVATION_CANCEL},
            ),
        )
        await witness.sending(evidence_of(attempt))
        if self._abort_wanted:
            return _stopped(request)
        if not self._connection.is_up:
            raise LinkLost("the connection went away before the request was sent", request_sent=False)
        self._remember(attempt)
        settlement = Settlement(
            request_to_wire(request, software=self._desk.software),
            attempt.facts,
            waits=self._context.waits,
            open_holds=frozenset(self._side.holds),
        )
        running = self.carrier.start(attempt, settlement, witness)
        self.carrier.payment = running
        try:
            self._desk.begin_payment()
            settlement.begin(now_s=self.carrier.now_s())
            self._on_progress(attempt, Progress.SENT)
            self.carrier.turn(running)
            return await self._concluded(running, await self.carrier.wait(running))
        finally:
            self.carrier.payment = None
            self.carrier.retire(running)

    async def settle(self, hold: HoldId, amount: Money | None) -> Payment:
        """Capture or release a hold, beside whatever runs (4.6)."""
        if not hold.isascii() or not hold.isdigit():
            raise InvalidRequest(f"not a hold of this terminal: {hold[:32]!r}", remedy="pass the id that hold() gave")
        if amount is not None and amount.amount <= 0:
            raise InvalidRequest("a capture takes more than nothing", remedy="release the hold to let go of it all")
        if self.carrier.hold is not None:
            raise TerminalBusy("another hold is being settled")
        await self._connection.wait_up()
        sequence = int(hold)
        attempt = self.attempt_of(sequence) or _attempt_for(amount)
        if attempt.payment is not None and attempt.payment.state in {PaymentState.CAPTURED, PaymentState.RELEASED}:
            return settled_before(attempt.payment, amount)
        if attempt.is_open:
            must_be_same(attempt, amount)
        facts = Facts(
            is_hold=True,
            sequence=sequence,
            confirm=amount is not None,
            amount_minor=amount.amount if amount is not None else None,
        )
        settlement = Settlement(None, facts, waits=self._context.waits, open_holds=frozenset(self._side.holds))
        self._side.holds.add(sequence)
        running = self.carrier.start(attempt, settlement, CONFIRM_ALL)
        self.carrier.hold = running
        try:
            settlement.settle_hold(now_s=self.carrier.now_s())
            self.carrier.turn(running)
            end = await self.carrier.wait(running)
            if end.ending is Ending.REFUSED:
                self._side.holds.discard(sequence)
                raise self.carrier.refusal_of(running, "the settlement of the hold")
            attempt.payment = self.carrier.hold_of(running, end, amount)
            return attempt.payment
        finally:
            self.carrier.hold = None
            self.carrier.retire(running)
            self._note_if_open(attempt)

    def abort(self, *, silent: bool) -> None:
        """Ask to stop what runs."""
        running = self.carrier.payment
        self._abort_wanted = True
        if running is not None:
            running.settlement.abort(silent=silent, now_s=self.carrier.now_s())
            self.carrier.turn(running)

    def find(self, reference: str, sequence: int | None, evidence: Evidence | None) -> Attempt:
        """The payment that `lookup` is about.

        Raises:
            PaymentNotFound: nothing is known of it here.
            TerminalBusy: it is running right now.
        """
        attempt = self._attempts.get(reference) or (self.attempt_of(sequence) if sequence is not None else None)
        if attempt is None and evidence is not None:
            attempt = attempt_from(reference, evidence, sequence)
            attempt.late, self._orphan = self._orphan, None
            self._remember(attempt)
        if attempt is None:
            raise PaymentNotFound(f"nothing is known here of {reference or sequence!r}")
        running = self.carrier.payment
        if running is not None and running.attempt is attempt:
            raise TerminalBusy("this payment is still running")
        return attempt

    async def resume(self, attempt: Attempt) -> Payment:
        """Find out what became of a payment that was given up."""
        settlement = Settlement(None, attempt.facts, waits=self._context.waits, open_holds=frozenset(self._side.holds))
        self._side.settled()
        running = self.carrier.start(attempt, settlement, CONFIRM_ALL)
        self.carrier.payment = running
        try:
            self._on_progress(attempt, Progress.RECOVERING)
            status = self._side.status.trm_status if self._side.status is not None else None
            settlement.resume(status, response=attempt.late, now_s=self.carrier.now_s())
            self.carrier.turn(running)
            end = await self.carrier.wait(running)
            attempt.payment = self._resumed(running, end)
            if end.ending is not Ending.UNKNOWN:
                self._side.settled()
            return attempt.payment
        finally:
            self.carrier.payment = None
            self.carrier.retire(running)
            self._note_if_open(attempt)

    def _resumed(self, running: Running, end: End) -> Payment:
        facts, total = running.settlement.facts, running.attempt.request.total
        if not facts.is_hold or facts.confirm is None or facts.is_kept:
            if end.ending is Ending.HELD and facts.sequence is not None:
                self._side.holds.add(facts.sequence)
            return self.carrier.payment_of(running, end)
        amount = Money(facts.amount_minor, total.currency) if facts.amount_minor is not None and total else total
        return self.carrier.hold_of(running, end, amount)

    def answered_late(self, message: TransactionResponse) -> None:
        """An answer that nobody waits for: it came too late, or is told again after our restart. Kept for `lookup`."""
        for attempt in reversed(tuple(self._attempts.values())):
            if attempt.is_open:
                attempt.late = message
                return
        self._orphan = message

    def attempt_of(self, sequence: int) -> Attempt | None:
        """The payment with this transaction counter."""
        for attempt in reversed(tuple(self._attempts.values())):
            if attempt.payment is not None and attempt.payment.sequence == sequence:
                return attempt
        return None

    # -- inside

    async def _concluded(self, running: Running, end: End) -> Payment:
        attempt = running.attempt
        if end.ending is Ending.REFUSED:
            self._attempts.pop(attempt.request.reference, None)
            self._side.settled()
            raise self.carrier.refusal_of(running, f"the {attempt.request.kind.value}")
        payment = self.carrier.payment_of(running, end)
        attempt.payment = payment
        if end.ending is not Ending.UNKNOWN:
            self._side.settled()
        if end.ending is Ending.HELD and payment.sequence is not None:
            self._side.holds.add(payment.sequence)
        if end.ending is Ending.CONFIRMED:
            payment = payment.but(receipts=await self._desk.finish_payment(payment.sequence))
            attempt.payment = payment
        self._on_progress(attempt, Progress.DONE)
        if running.error is not None:
            raise running.error
        return payment

    async def _clear_the_past(self) -> None:
        """An earlier payment that is still open is settled before another may start."""
        await self._connection.wait_up()
        self._unsettled = [attempt for attempt in self._unsettled if attempt.is_open]
        if self._unsettled:
            await self.resume(self._unsettled[-1])
        orphan, self._orphan = self._orphan, None
        if (
            orphan is not None
            and orphan.trx_result == TrxResult.APPROVED
            and orphan.trx_seq_cnt not in self._side.holds
            # A hold may be known to whoever keeps the journal: it is theirs to capture or release.
            and orphan.trx_function != TrxFunction.AUTHORIZATION_PURCHASE
        ):
            # From before our start, and nobody has looked it up: nobody was told of it, so it is taken back.
            await self.resume(Attempt(PaymentRequest(kind=PaymentKind.REVERSAL), Facts(), late=orphan))
        self._side.settled()

    def _note_if_open(self, attempt: Attempt) -> None:
        """A hold that was told as held may become open again: when its settlement gets lost."""
        is_ours = self._attempts.get(attempt.request.reference) is attempt
        if is_ours and attempt.is_open and all(attempt is not noted for noted in self._unsettled):
            self._unsettled.append(attempt)

    def _remember(self, attempt: Attempt) -> None:
        self._attempts[attempt.request.reference] = attempt
        self._attempts.move_to_end(attempt.request.reference)
        # From the start, for the carrier too may leave it open: when its caller goes away.
        self._unsettled.append(attempt)
        while len(self._attempts) > ATTEMPTS_MAX:
            self._attempts.popitem(last=False)


def _attempt_for(amount: Money | None) -> Attempt:
    """A hold of an earlier process, of which only the name is known."""
    kind = PaymentKind.AUTHORISATION if amount is not None else PaymentKind.REVERSAL
    return Attempt(PaymentRequest(kind=kind, amount=amount), Facts(is_hold=True))


def _stopped(request: PaymentRequest) -> Payment:
    """Aborted before anything was sent."""
    return Payment(
        reference=request.reference,
        kind=request.kind,
        outcome=Outcome.ABORTED,
        state=PaymentState.ABORTED,
        requested=request.total,
        message="stopped before it was sent to the terminal",
    )
