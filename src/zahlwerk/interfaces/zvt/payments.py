"""The driver's payments: one at a time, decided, remembered, and after a break asked about. I/O.

What a procedure came to is `settlement`'s to say, what a report proves `recovery`'s; here words and time are moved.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Final

from zahlwerk.errors import (
    InvalidRequest,
    LinkError,
    MoneyMoved,
    NotSupported,
    PaymentNotFound,
    TerminalBusy,
    TerminalError,
    TerminalRefused,
)
from zahlwerk.events import Progress
from zahlwerk.interfaces.zvt.attempts import (
    Attempt,
    attempt_from,
    check_decision,
    evidence_of,
    not_stored,
    settled_before,
    settled_elsewhere,
    settling,
    step_request,
    stopped,
    unknown,
)
from zahlwerk.interfaces.zvt.connection import BUSY, Connection, refused_error
from zahlwerk.interfaces.zvt.conversion import SETTLED, approved_payment, command_for, not_paid, stay_of
from zahlwerk.interfaces.zvt.decider import Decider
from zahlwerk.interfaces.zvt.information import StatusInformation, read_information
from zahlwerk.interfaces.zvt.inquiry import Inquiry
from zahlwerk.interfaces.zvt.messages import Message, Value
from zahlwerk.interfaces.zvt.own_receipts import own_receipts
from zahlwerk.interfaces.zvt.recovery import Doubt, Finding, judge, judge_totals, keys_of
from zahlwerk.interfaces.zvt.register import Accepted, Asked, Refused, RegisterEvent, Told
from zahlwerk.interfaces.zvt.registration import Config
from zahlwerk.interfaces.zvt.settlement import HOST_CONTACT, Course, End, Ending, conclude
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentKind, PaymentRequest, Receipt
from zahlwerk.terminal import CONFIRM, CONFIRM_ALL, Decision, Evidence, HoldId, Witness
from zahlwerk.urls import Context

__all__ = ["Payments"]

# LIMIT: payments whose outcome `lookup` can still tell without evidence; each takes some 10 kB with its receipts.
ATTEMPTS_MAX: Final = 200
INTERMEDIATE: Final = 0x04FF
REVERSED_BEFORE: Final = 0xB4
RECOVERY_S: Final = 90.0
"""How long a payment itself tries to find out what became of it; `lookup` goes on from there."""


class Payments:
    """What the driver does with money. The caller sees to it that only one use case runs."""

    def __init__(
        self,
        connection: Connection,
        context: Context,
        *,
        on_progress: Callable[[Attempt, Progress], None],
        on_event: Callable[[RegisterEvent], None],
        take_receipts: Callable[[], tuple[Receipt, ...]],
    ) -> None:
        """Args:
        on_event: told of everything the terminal says on the way: states, print lines, questions.
        take_receipts: the receipts that came since the last call.
        """
        self._connection = connection
        self._profile = connection.profile
        self._context = context
        self._on_progress = on_progress
        self._on_event = on_event
        self._take_receipts = take_receipts
        self._attempts: OrderedDict[str, Attempt] = OrderedDict()
        self._unsettled: list[Attempt] = []
        self._holds: dict[int, Attempt] = {}
        self._steps: dict[int, Attempt] = {}
        self._has_sent = False
        self._inquiry = Inquiry(connection, context, on_event=on_event)
        self._running: Attempt | None = None
        self._abort_wanted = False
        connection.on_up = self._connected

    # -- the verbs

    async def transact(self, request: PaymentRequest, witness: Witness, *, command: Message | None = None) -> Payment:
        """One payment, from its preparation to its end.

        Args:
            command: ready-made, where the request does not say it all.
        """
        self._abort_wanted = False
        earlier = self._attempts.get(request.reference)
        was_open = earlier is not None and earlier.is_open
        await self._connection.open()
        await self._clear_the_past()
        known = earlier.payment if earlier is not None and was_open else None
        if known is not None and known.outcome in {Outcome.UNKNOWN, Outcome.APPROVED}:
            # Asked for again, under the same reference: never sent again.
            if (known.kind, known.requested) != (request.kind, request.total):
                raise InvalidRequest(
                    f"{request.reference!r} names another payment, which was not settled before now",
                    remedy="use a new reference for a new payment",
                )
            return known
        await self._inquiry.know_the_latest()
        if command is None:
            command = self._command(request, witness)
        attempt = self._attempt(request, command)
        await witness.sending(evidence_of(attempt))
        if self._abort_wanted:
            return stopped(request)
        self._remember(attempt)
        self._running = attempt
        try:
            return await self._carry_out(attempt, command, witness)
        finally:
            self._running = None

    def held(self, receipt: int) -> Money | None:
        """How much a hold of this process holds; the terminal does not tell it again."""
        attempt = self._holds.get(receipt)
        return attempt.payment.approved if attempt is not None and attempt.payment is not None else None

    def give_up(self) -> None:
        """The driver was closed: what runs is left to the terminal."""
        self._inquiry.give_up()

    def abort(self) -> None:
        """Ask to stop what runs."""
        self._abort_wanted = True
        if self._running is not None and self._profile.aborts:
            self._connection.abort()

    async def settle(self, hold: HoldId, amount: Money | None) -> Payment:
        """Capture a hold (book total) or release it (reservation reversal). Source: fact sheet 6.4, 6.5."""
        if not (hold.isascii() and hold.isdecimal()):
            raise InvalidRequest(f"not a hold of this terminal: {hold[:32]!r}", remedy="pass the id that hold() gave")
        if amount is not None and amount.amount <= 0:
            raise InvalidRequest("a capture takes more than nothing", remedy="release the hold to let go of it all")
        await self._connection.open()
        receipt = int(hold)
        opened = self._holds.get(receipt)
        known = opened.payment if opened is not None else None
        if known is not None and known.state in {PaymentState.CAPTURED, PaymentState.RELEASED}:
            return settled_before(known, amount)
        if (step := self._steps.get(receipt)) is not None:
            found = await self._step_resolved(step)
            if found.outcome is Outcome.UNKNOWN:
                return self._hold_settled(step, found)
            self._forget(step)
            if found.outcome is Outcome.APPROVED:
                return settled_before(self._hold_settled(step, found), amount)
        await self._clear_the_past()
        await self._inquiry.know_the_latest()
        fields: dict[int, Value] = {0x87: receipt}
        if amount is not None:
            if known is not None and known.approved is not None and amount > known.approved:
                raise TerminalRefused(f"the hold is {known.approved}, not {amount}", money_moved=MoneyMoved.NO)
            fields |= {0x04: amount.amount, 0x49: amount.currency.number}
        command = Message(
            code=0x0625 if amount is None else 0x0624, fields=fields, tlv=() if self._profile.tlv else None
        )
        step = settling(
            receipt, amount, started=self._now(), before=self._inquiry.latest, trace=self._inquiry.trace_of(receipt)
        )
        payment = await self._carry_out(step, command, CONFIRM_ALL)
        return self._hold_settled(step, payment)

    async def resume(self, reference: str, sequence: int | None, evidence: Evidence | None) -> Payment:
        """What became of a payment, asked now if nobody knows yet.

        Raises:
            PaymentNotFound: nothing is known of it here.
            TerminalBusy: it is running right now.
        """
        # A receipt number begins again after an end of day: beside a reference it names nothing of its own.
        attempt = self._attempts.get(reference) if reference else self._by_receipt(sequence)
        if attempt is None and evidence is not None:
            attempt = attempt_from(reference, evidence, sequence, now=self._now())
            if self._has_sent:
                attempt.doubt = replace(attempt.doubt, superseded=True)
            self._remember(attempt)
        if attempt is None:
            raise PaymentNotFound(f"nothing is known here of {reference or sequence!r}")
        if attempt is self._running:
            raise TerminalBusy("this payment is still running")
        if (step := self._step_of(attempt)) is not None:
            found = await self._step_resolved(step)
            if found.outcome in {Outcome.UNKNOWN, Outcome.APPROVED}:
                return self._hold_settled(step, found)
            self._forget(step)
        if attempt.payment is not None and not attempt.is_open:
            return attempt.payment
        return await self._recover(attempt, CONFIRM_ALL, "looked up")

    # -- one procedure

    async def _carry_out(self, attempt: Attempt, command: Message, witness: Witness) -> Payment:
        self._take_receipts()
        course = Course()
        decider = self._decider(attempt, course, witness)

        def sent() -> None:
            course.sent = True
            self._about_to_send(attempt)
            attempt.payment = unknown(attempt.request, "it is running")
            if attempt.settles is not None:
                self._steps[attempt.settles] = attempt
                while len(self._steps) > ATTEMPTS_MAX:
                    del self._steps[next(iter(self._steps))]
                self._unsettled.append(attempt)
            self._on_progress(attempt, Progress.SENT)
            if self._abort_wanted:
                self.abort()

        try:
            end = await self._connection.run(
                command, listener=lambda event: self._heard(event, course, decider), on_sent=sent, holds_results=True
            )
        except LinkError as exc:
            if not course.sent:
                decider.close()
                self._forget(attempt)
                raise
            course.broken = str(exc)
        except BaseException:
            decider.close()
            if course.sent:
                attempt.payment = unknown(attempt.request, "the caller went away")
            else:
                self._forget(attempt)
            raise
        else:
            if isinstance(end, Refused):
                course.refusal = end.answer
            else:
                course.ended = end.message
        return await self._concluded(attempt, course, decider, witness)

    def _heard(self, event: RegisterEvent, course: Course, decider: Decider) -> None:
        match event:
            case Accepted():
                course.accepted = True
            case Told(message) if message.code == INTERMEDIATE:
                course.host_contacted |= message.head_number("status") in HOST_CONTACT
            case Asked(message, apdu) if message.code == 0x040F:
                course.told = message
                decider.result(read_information(message), apdu)
                return
            case _:
                pass
        self._on_event(event)

    async def _concluded(self, attempt: Attempt, course: Course, decider: Decider, witness: Witness) -> Payment:
        end = conclude(course)
        if course.approval is not None:
            self._on_progress(attempt, Progress.CONFIRMING)
        error = await decider.finish()
        if end.ending is Ending.NOT_STARTED:
            self._forget(attempt)
            code = end.code if end.code is not None else 0xFF
            what = f"the {attempt.request.kind.value}"
            if code in BUSY:
                raise TerminalBusy(f"the terminal is busy and did not start {what} (ZVT {code:02X})")
            raise refused_error(what, code)
        if end.result is not None and end.ending is Ending.APPROVED:
            # What failed may not be stored: then the latest is still another one, and is asked for.
            self._inquiry.learn(end.result)
        if end.ending is Ending.DOUBT:
            payment = await self._recover(attempt, witness, end.why)
        else:
            payment = self._known(attempt, end)
            if payment.outcome is not Outcome.APPROVED and not payment.attendant_text and course.ended is not None:
                payment = payment.but(attendant_text=read_information(course.ended).error_text.strip())
        profile, language = self._profile.but(config=self._connection.config), attempt.request.language or "de"
        receipts = self._take_receipts() or own_receipts(payment, course.told, profile, language=language)
        payment = payment.but(receipts=(*payment.receipts, *receipts))
        self._ended(attempt, payment)
        if error is not None:
            raise error
        return payment

    def _known(self, attempt: Attempt, end: End) -> Payment:
        request, now = attempt.request, self._now()
        if end.ending is Ending.APPROVED:
            assert end.result is not None
            state = SETTLED.get(request.kind, PaymentState.CONFIRMED)
            return approved_payment(request, end.result, state=state, now=now, amount_minor=end.amount_minor)
        state_after = PaymentState.ROLLED_BACK if end.ending is Ending.ROLLED_BACK else None
        payment = not_paid(request, end.code, end.result, now=now, language=request.language or "en", state=state_after)
        if state_after is not None:
            payment = payment.but(message="taken back on our word; nothing was charged")
        return payment

    # -- after a break

    async def _recover(self, attempt: Attempt, witness: Witness, why: str) -> Payment:
        """Ask the terminal until it is known what became of the payment, or time is up."""
        self._on_progress(attempt, Progress.RECOVERING)
        attempt.payment = unknown(attempt.request, why)
        if attempt.doubted_s is None:
            attempt.doubted_s = self._now_s()
        until_s = self._now_s() + RECOVERY_S
        before: Finding | None = None
        answer = why
        while True:
            try:
                finding, reported = await self._look(attempt, until_s)
            except TerminalError as exc:
                answer, finding, reported = str(exc), None, None
            if finding is Finding.OURS or finding is Finding.UNDONE or finding is Finding.OLDER:
                is_sure = before is finding or not self._may_change(attempt, finding, reported)
                if is_sure and finding is Finding.OLDER:
                    return self._settle_as(attempt, not_stored(attempt.request))
                if is_sure:
                    assert reported is not None
                    return await self._found(attempt, finding, reported, witness)
                before = finding
                await self._inquiry.pause(self._profile.timers.second_look_s)
                if not self._connection.is_closed:
                    continue
            if finding is Finding.UNCLEAR:
                answer = "what the terminal reports neither proves nor excludes this payment"
                return self._settle_as(attempt, unknown(attempt.request, f"{why}; {answer}"))
            if self._now_s() >= until_s or self._connection.is_closed:
                return self._settle_as(attempt, unknown(attempt.request, f"{why}; {answer}"))
            await self._inquiry.pause(self._profile.timers.reconnect_s)

    def _may_change(self, attempt: Attempt, finding: Finding, reported: StatusInformation | None) -> bool:
        """An auto-reversal or a slow host may still be running: the later answer counts. Source: fact sheet 6.9, 6."""
        if finding is Finding.OLDER:
            return True
        if finding is Finding.UNDONE or reported is None or reported.result != 0 or attempt.doubted_s is None:
            return False
        return self._now_s() - attempt.doubted_s < self._profile.timers.second_look_s

    async def _look(self, attempt: Attempt, until_s: float) -> tuple[Finding | None, StatusInformation | None]:
        await self._inquiry.wait_at_rest(until_s)
        reported, _ = await self._inquiry.ask_latest()
        self._inquiry.note(reported)
        finding = judge(attempt.doubt, reported, tolerance_s=self._profile.timers.clock_tolerance_s)
        if finding is Finding.OURS and reported is not None and self._is_taken(attempt, reported):
            finding = Finding.UNCLEAR
        if reported is None and self._profile.totals:
            totals = await self._inquiry.totals()
            finding = judge_totals(attempt.doubt, totals, now=self._now(), terminal_id=self._inquiry.terminal_id)
        return finding, reported

    def _is_taken(self, mine: Attempt, reported: StatusInformation) -> bool:
        """The report is that of another payment of ours already."""
        keys = keys_of(reported)
        return any(
            other is not mine and other.doubt.seen is not None and other.doubt.seen.is_same(keys)
            for other in self._attempts.values()
        )

    async def _found(
        self, attempt: Attempt, finding: Finding, reported: StatusInformation, witness: Witness
    ) -> Payment:
        request, now = attempt.request, self._now()
        if finding is Finding.UNDONE:
            payment = not_paid(request, None, None, now=now, state=PaymentState.ROLLED_BACK)
            return self._settle_as(attempt, payment.but(message="the terminal has taken it back; nothing was charged"))
        if reported.result is None:
            return self._settle_as(attempt, unknown(request, "the terminal names no result"))
        if reported.result != 0:
            return self._settle_as(
                attempt, not_paid(request, reported.result, reported, now=now, language=request.language or "en")
            )
        attempt.doubt = replace(attempt.doubt, seen=keys_of(reported))
        payment = approved_payment(request, reported, state=PaymentState.APPROVED, now=now)
        if attempt.decision is None and not attempt.shown:
            attempt.shown = True
            try:
                attempt.decision = await witness.approved(payment)
                check_decision(attempt.decision, payment, partial=True)
            except Exception:
                attempt.decision = Decision(confirm=False)
                self._settle_as(attempt, await self._take_back(attempt, payment))
                raise
        if attempt.decision is not None and not attempt.decision.confirm:
            return self._settle_as(attempt, await self._take_back(attempt, payment))
        state = SETTLED.get(request.kind, PaymentState.CONFIRMED)
        message = "found out by asking the terminal"
        wanted = attempt.decision.amount if attempt.decision is not None else None
        if wanted is not None and payment.approved is not None and wanted != payment.approved:
            message = f"{payment.approved} was charged, not {wanted}: refund the difference"
        return self._settle_as(attempt, payment.but(state=state, message=message))

    async def _take_back(self, attempt: Attempt, payment: Payment) -> Payment:
        """It was decided against, and it stands at the terminal: undo it there. Source: fact sheet 6.5."""
        charged = payment.but(
            state=SETTLED.get(attempt.request.kind, PaymentState.CONFIRMED),
            message="it was decided against, but stands at the terminal: reverse or refund it there",
        )
        if payment.sequence is None:
            return charged
        fields: dict[int, Value] = {0x87: payment.sequence}
        is_hold = attempt.request.kind is PaymentKind.AUTHORISATION
        head = {} if is_hold else {"password": self._profile.password}
        command = Message(code=0x0625 if is_hold else 0x0630, head=head, fields=fields)
        course = Course()
        request = step_request(PaymentKind.REVERSAL, None, payment.sequence)
        step = Attempt(request, replace(attempt.doubt, is_reversal=True), decision=CONFIRM)
        decider = self._decider(step, course, CONFIRM_ALL)

        def sent() -> None:
            course.sent = True
            self._about_to_send(attempt)

        try:
            end = await self._connection.run(
                command, listener=lambda event: self._heard(event, course, decider), on_sent=sent, holds_results=True
            )
        except TerminalError as exc:
            course.broken = str(exc)
        else:
            if isinstance(end, Refused):
                course.refusal = end.answer
            else:
                course.ended = end.message
        await decider.finish()
        outcome = conclude(course)
        if outcome.ending is Ending.APPROVED or outcome.code == REVERSED_BEFORE:
            if outcome.ending is Ending.APPROVED and outcome.result is not None:
                self._inquiry.learn(outcome.result)
            state = PaymentState.RELEASED if is_hold else PaymentState.ROLLED_BACK
            return payment.but(
                outcome=Outcome.ABORTED, state=state, approved=None, message="decided against, and reversed"
            )
        if outcome.ending is Ending.DOUBT:
            return unknown(attempt.request, "it was decided against; whether its reversal went through is not known")
        return charged

    # -- what is known of the terminal's latest transaction

    async def _connected(self) -> None:
        """On a new connection, before anything else: what was the latest transaction?"""
        keeps = self._profile.connection == "each" and self._inquiry.latest is not None and not self._connection.broke
        if not keeps:
            self._inquiry.is_fresh = False
        if not self._inquiry.is_fresh and self._running is None and not self._unsettled_now():
            await self._inquiry.read_latest(here=True)

    def stale(self, *, supersedes: bool = False) -> None:
        """Something ran that is no payment of ours: the terminal's latest transaction may be another one now.

        Args:
            supersedes: it is another one.
        """
        self._inquiry.is_fresh = False
        if supersedes:
            self._about_to_send(None)

    def may_be_ours(self, information: StatusInformation) -> bool:
        """Whether a result that comes unasked may belong to a payment of ours that is still open."""
        open_ones = [*self._unsettled_now(), *([self._running] if self._running is not None else [])]
        return any(attempt.doubt.amount_minor in {None, information.amount_minor} for attempt in open_ones)

    def _about_to_send(self, mine: Attempt | None) -> None:
        """From now on the latest transaction may be this one: it proves nothing about those that are still open."""
        self._inquiry.is_fresh = False
        self._has_sent = True
        for attempt in (*self._attempts.values(), *self._steps.values()):
            if attempt is not mine and (attempt.payment is None or attempt.is_open):
                attempt.doubt = replace(attempt.doubt, superseded=True)

    # -- inside

    def _decider(self, attempt: Attempt, course: Course, witness: Witness) -> Decider:
        def show(information: StatusInformation) -> Payment:
            self._on_progress(attempt, Progress.APPROVED)
            return approved_payment(attempt.request, information, state=PaymentState.APPROVED, now=self._now())

        return Decider(
            attempt, course, witness,
            reply=self._connection.reply, show=show, profile=self._profile, clock=self._context.clock,
        )  # fmt: skip

    def _command(self, request: PaymentRequest, witness: Witness) -> Message:
        is_slow = type(witness).approved is not Witness.approved
        goods_s = round(self._profile.timers.goods_s) if is_slow and self._profile.goods in {"wait", "both"} else None
        return command_for(
            request,
            password=self._profile.password,
            receipt=self._receipt_to_undo(request),
            payment_type=self._profile.payment_type,
            goods_s=goods_s,
            tlv=self._profile.tlv,
        )

    def _receipt_to_undo(self, request: PaymentRequest) -> int | None:
        if request.kind is not PaymentKind.REVERSAL:
            return None
        latest = self._inquiry.latest.receipt if self._inquiry.latest is not None else None
        wanted = request.original.sequence if request.original is not None else None
        if wanted is None and latest is None:
            raise TerminalRefused(
                "the terminal names no transaction that could be reversed", money_moved=MoneyMoved.NO,
                remedy="pass sequence=, the receipt number of the payment",
            )  # fmt: skip
        if wanted is not None and self._profile.reverses_last_only and latest is not None and wanted != latest:
            raise NotSupported("reverse any but its latest transaction", self._profile.title)
        return wanted if wanted is not None else latest

    def _attempt(self, request: PaymentRequest, command: Message) -> Attempt:
        receipt = command.number(0x87)
        is_undoing = request.kind in {PaymentKind.REVERSAL, PaymentKind.RESERVATION_CANCEL}
        reverses = self._inquiry.trace_of(receipt) if is_undoing and receipt is not None else None
        if request.kind is PaymentKind.RESERVATION_CANCEL and request.original is not None:
            reverses = stay_of(request.original.transaction_reference).trace or reverses
        return Attempt(
            request,
            Doubt(
                amount_minor=request.total.amount if request.total is not None else None,
                started=self._now(), before=self._inquiry.latest, partial=request.partial_approval,
                shared=not self._connection.config & Config.LOCK_PAYMENT,
                is_reversal=is_undoing, reverses_trace=reverses,
            ),
        )  # fmt: skip

    def _step_of(self, attempt: Attempt) -> Attempt | None:
        """The capture or release of this hold of which nobody knows yet."""
        receipt = attempt.payment.sequence if attempt.payment is not None else None
        if receipt is None or self._holds.get(receipt) is not attempt:
            return None
        return self._steps.get(receipt)

    async def _step_resolved(self, step: Attempt) -> Payment:
        """What became of a capture or release, asked now; one whose hold is still listed as open did not happen."""
        if step.payment is not None and not step.is_open:
            return step.payment
        payment = await self._recover(step, CONFIRM_ALL, "still open")
        if payment.outcome is Outcome.UNKNOWN and step.settles is not None:
            with suppress(TerminalError):
                if step.settles in await self._inquiry.open_holds():
                    return self._settle_as(step, not_stored(step.request))
        return payment

    def _hold_settled(self, step: Attempt, payment: Payment) -> Payment:
        assert step.settles is not None
        receipt, opened = step.settles, self._holds.get(step.settles)
        state = payment.state
        if payment.outcome is Outcome.APPROVED:
            state = PaymentState.RELEASED if step.captures is None else PaymentState.CAPTURED
        elif payment.outcome is not Outcome.UNKNOWN:
            self._forget(step)
            said = payment.attendant_text or payment.message
            # MAYBE: what is no longer held may have been captured, by a command whose answer was lost.
            raise TerminalRefused(
                f"the hold was not settled: {said}", code=payment.result_code, source="ZVT",
                money_moved=MoneyMoved.MAYBE,
                remedy="see whether the terminal still lists it as open; if not, it was captured or released before",
            )  # fmt: skip
        if state is PaymentState.RELEASED:
            payment = payment.but(outcome=Outcome.ABORTED, approved=None)
        payment = payment.but(state=state, sequence=receipt, kind=PaymentKind.AUTHORISATION)
        if opened is not None:
            payment = payment.but(reference=opened.request.reference)
        if state is PaymentState.UNKNOWN:
            return payment
        self._forget(step)
        if opened is not None:
            opened.payment = payment
        else:
            self._holds[receipt] = settled_elsewhere(receipt, payment)
        return payment

    def _ended(self, attempt: Attempt, payment: Payment) -> None:
        attempt.payment = payment
        if payment.state is PaymentState.HELD and payment.sequence is not None:
            self._holds[payment.sequence] = attempt
            while len(self._holds) > ATTEMPTS_MAX:
                del self._holds[next(iter(self._holds))]
        if payment.outcome is not Outcome.UNKNOWN:
            self._on_progress(attempt, Progress.DONE)

    def _settle_as(self, attempt: Attempt, payment: Payment) -> Payment:
        attempt.payment = payment
        self._ended(attempt, payment)
        return payment

    async def clear_the_past(self) -> None:
        """What is still open is asked about, before something runs after which nobody could tell any more."""
        if self._unsettled_now():
            await self._connection.open()
            await self._clear_the_past()

    async def _clear_the_past(self) -> None:
        """An earlier payment that is still open is settled before another may start."""
        for attempt in tuple(self._unsettled_now()):
            if attempt.settles is not None:
                await self._step_resolved(attempt)
            else:
                await self._recover(attempt, CONFIRM_ALL, "still open")
            if attempt.is_open:  # told as UNKNOWN; only `lookup` goes on asking
                self._unsettled = [other for other in self._unsettled if other is not attempt]

    def _unsettled_now(self) -> list[Attempt]:
        self._unsettled = [attempt for attempt in self._unsettled if attempt.is_open]
        return self._unsettled

    def _by_receipt(self, receipt: int | None) -> Attempt | None:
        latest_first = reversed(tuple(self._attempts.values())) if receipt is not None else ()
        return next((one for one in latest_first if one.payment and one.payment.sequence == receipt), None)

    def _remember(self, attempt: Attempt) -> None:
        self._attempts[attempt.request.reference] = attempt
        self._attempts.move_to_end(attempt.request.reference)
        self._unsettled.append(attempt)
        while len(self._attempts) > ATTEMPTS_MAX:
            self._attempts.popitem(last=False)

    def _forget(self, attempt: Attempt) -> None:
        if self._attempts.get(attempt.request.reference) is attempt:
            del self._attempts[attempt.request.reference]
        if attempt.settles is not None and self._steps.get(attempt.settles) is attempt:
            del self._steps[attempt.settles]
        self._unsettled = [other for other in self._unsettled if other is not attempt]

    def _now(self) -> datetime:
        return self._context.clock.wall().replace(tzinfo=None)

    def _now_s(self) -> float:
        return self._context.clock.now_s()
