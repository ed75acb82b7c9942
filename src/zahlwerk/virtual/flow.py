"""One payment from the request to its end, as the virtual terminal lives through it.

The host's books are touched only in steps without an await, together with the terminal's records and totals: whatever
interrupts a payment (crash, cancellation, a failing witness), books, records and totals agree.
"""

from __future__ import annotations

import asyncio
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from zahlwerk.errors import InvalidRequest
from zahlwerk.events import Notice, Printer, Progress, ReaderState, StandalonePayment
from zahlwerk.lifecycle import PaymentState, Step, advance
from zahlwerk.money import Currency, Money
from zahlwerk.payment import (
    Dcc,
    Outcome,
    Payment,
    PaymentKind,
    Receipt,
    ReceiptKind,
    TipPolicy,
    UnknownTag,
)
from zahlwerk.terminal import CONFIRM, Decision, Witness
from zahlwerk.virtual.books import capture, issue_receipts, taken_back
from zahlwerk.virtual.case import Ended, PaymentCase, aborted, declined_by
from zahlwerk.virtual.deck import Card, card
from zahlwerk.virtual.device import Crashed, Record, Signal, SignalKind
from zahlwerk.virtual.host import HostAnswer, HostRequest, Verdict
from zahlwerk.virtual.kinds import CardUse
from zahlwerk.virtual.receipts import dcc_rows, service_receipt
from zahlwerk.virtual.results import Result
from zahlwerk.virtual.signature import signature_png
from zahlwerk.virtual.states import Input, State
from zahlwerk.virtual.texts import display_text, word

__all__ = ["PaymentFlow"]

# How long the card holder and the host take, in seconds at life's speed.
SHOW_CARD_S: Final = 0.3
ONLINE_S: Final = 0.35
CONFIRM_S: Final = 0.05

PIN_TRIES: Final = 3
DCC_MARKUP: Final = "3.00"
_K = SignalKind


class PaymentFlow(PaymentCase):
    """One payment on a device that has been claimed for it."""

    async def run(self) -> Payment:
        """Live through the payment.

        Raises:
            Exception: what the witness raised; the payment has been rolled back.
            asyncio.CancelledError: the caller gave up; rolled back, unless the money had moved before.
        """
        try:
            return await self._run()
        except Ended as end:
            return self._end(end)
        except Crashed:
            self._drop_hook()
            assert self._record is not None
            return self._record.payment.but(
                outcome=Outcome.UNKNOWN,
                state=PaymentState.UNKNOWN,
                result_code=None,
                receipts=(),
                message="the terminal restarted during the payment: look it up before charging again",
            )
        except BaseException:
            self._drop_hook()
            if self._boot == self._device.boot:
                self._take_back()
            raise

    # -- the stations of a payment

    async def _run(self) -> Payment:
        self._accept()
        await self._at("request")
        await self._get_card()
        await self._at("card")
        if self._rule.card is CardUse.SHOWN:
            await self._use_card()
        answer = await self._ask_host()
        return await self._approved(answer)

    def _accept(self) -> None:
        """From here on the payment counts, whatever becomes of it."""
        device, request = self._device, self._request
        device.counters.sequence += 1
        self._state = advance(self._state, Step.SEND)
        self._record = Record(self._payment(Outcome.UNKNOWN), request.order_reference or request.reference)
        device.remember(device.counters.sequence, self._record)
        self._progress(Progress.SENT)
        device.step(Input.REQUEST if self._rule.card is CardUse.SHOWN else Input.REQUEST_KEYED)

    async def _get_card(self) -> None:
        device = self._device
        if self._rule.card is CardUse.SHOWN and device.state is State.WAIT_CARD:
            self._card = await self._wait_for_card()
            device.card, device.in_slot, device.tag = self._card, self._card.in_slot, ""
            device.step(Input.CARD_SHOWN)
        elif self._rule.card is CardUse.SHOWN:
            self._card = device.card
        elif self._rule.card is CardUse.KEYED:
            self._card = self._shown or card("visa")
        elif self._target is not None:
            self._card = device.host.booking(self._target).card
        else:
            self._card = self._card_of_original()
        if self._card is not None:
            self._behaviour = self._chosen.over(self._card.behaviour)
        self._deadline_s = device.clock.now_s() + device.waits.cardholder_s

    def _card_of_original(self) -> Card | None:
        reference = self._request.original.transaction_reference if self._request.original else ""
        found = (r for r in self._device.records.values() if r.payment.transaction_reference == reference and r.booking)
        record = next(found, None)
        return None if record is None or record.booking is None else self._device.host.booking(record.booking).card

    async def _wait_for_card(self) -> Card:
        device, request = self._device, self._request
        now_s = device.clock.now_s()
        deadline_s = now_s + device.waits.card_s
        auto = None
        if self._shown is not None:
            behaviour = self._chosen.over(self._shown.behaviour)
            if not behaviour.never:
                delay_s = device.scaled(SHOW_CARD_S + behaviour.slow_s)
                auto = (now_s + delay_s, Signal(_K.CARD, self._shown))
        if not request.silent:
            device.show("PRESENT_CARD", amount=str(request.total or ""))
        device.set_reader(ReaderState.READY_DARK if request.silent else ReaderState.READY)
        self._progress(Progress.WAITING_FOR_CARD)
        while True:
            signal = await self._wait((_K.CARD, _K.TAG, _K.STOP, _K.ABORT), deadline_s=deadline_s, auto=auto)
            if signal.kind is _K.CARD:
                assert isinstance(signal.value, Card)
                return signal.value
            if signal.kind is not _K.TAG:
                raise self._interrupted(signal, late=Result.NO_CARD)
            self._meet_tag(str(signal.value))

    def _meet_tag(self, uid: str) -> None:
        if self._request.unknown_tag is not UnknownTag.REPORT:
            silent = self._request.unknown_tag is UnknownTag.ABORT_SILENTLY
            raise aborted(Result.UNKNOWN_TAG, "not a payment card", text="UNKNOWN_TAG", silent=silent)
        self._device.tag = uid
        self._device.refresh()
        if self._request.unknown_tag_text:
            self._device.show_text(self._request.unknown_tag_text)

    async def _use_card(self) -> None:
        """All that happens between the card being read and the host being asked."""
        device, behaviour, shown = self._device, self._behaviour, self._card
        assert shown is not None
        device.set_reader(ReaderState.PROCESSING)
        self._progress(Progress.CARD_READ)
        if shown.token in self._request.active_tokens:
            raise aborted(Result.ACTIVE_TOKEN, "this card is in use already")
        if behaviour.removed_early:
            device.forget_card()
            raise aborted(Result.CARD_REMOVED, "the card was removed too early")
        if behaviour.expired:
            raise declined_by("54", "the card has expired", text="EXPIRED")
        if behaviour.stops:
            await self._ask(_K.STOP, None, text="WAIT")
        if behaviour.choose:
            device.choosing = True
            device.refresh()
            await self._ask(_K.APPLICATION, None, text="CHOOSE", progress=Progress.CHOOSING)
            device.choosing = False
        device.selected = True
        device.refresh()
        await self._change_amount()
        await self._ask_tip()
        await self._offer_currency()
        await self._verify()

    async def _change_amount(self) -> None:
        if not self._behaviour.change_reason or self._amount is None or self._witness is None:
            return
        reasons = ({"TrxDataChangeReasonCode": self._behaviour.change_reason},)
        changed = await self._witness.amount_for(self._amount, reasons)
        self._require_alive()
        if changed.currency != self._amount.currency or changed.amount <= 0:
            raise InvalidRequest(f"the new amount must be in {self._amount.currency} and more than zero, got {changed}")
        self._amount = changed

    async def _ask_tip(self) -> None:
        request, settings = self._request, self._device.settings
        percent = self._behaviour.tip_percent or settings.tip or 0
        asks = percent or settings.tip is not None or request.tip_policy is TipPolicy.ASK
        if not self._rule.extras or not asks or request.tip_policy is TipPolicy.NEVER or request.tip is not None:
            return
        assert self._amount is not None
        tip = await self._ask(_K.TIP, self._amount.amount * percent // 100, text="TIP", progress=Progress.TIP)
        assert isinstance(tip, int)
        self._tip_minor = tip

    async def _offer_currency(self) -> None:
        behaviour, amount = self._behaviour, self._total()
        if not self._rule.extras or not behaviour.dcc_currency or amount is None:
            return
        foreign = Currency.of(behaviour.dcc_currency)
        if foreign == amount.currency:
            return
        exact = amount.to_decimal() * Decimal(behaviour.dcc_rate)
        offered = Money(int(exact.scaleb(foreign.exponent).to_integral_value(ROUND_HALF_UP)), foreign)
        self._device.issue(Receipt(ReceiptKind.DCC_OFFER, service_receipt(
            ReceiptKind.DCC_OFFER, self._device.head(), rows=dcc_rows(amount, offered, behaviour.dcc_rate)),
            sequence=self._sequence))  # fmt: skip
        if await self._ask(_K.CURRENCY, True, text="CURRENCY", progress=Progress.CURRENCY, currency=foreign.code):
            self._dcc = Dcc(offered, behaviour.dcc_rate, DCC_MARKUP)

    async def _verify(self) -> None:
        behaviour, shown = self._behaviour, self._card
        assert shown is not None
        if not self._rule.verified:
            return
        if behaviour.pin_blocked:
            raise declined_by("75", "the PIN of this card is blocked", text="PIN_BLOCKED")
        if behaviour.pin or behaviour.wrong_pins or (shown.cvm[0] == "pin" and not behaviour.signature):
            await self._ask_pin()
        if behaviour.signature or shown.cvm[0] == "signature":
            image = await self._ask(_K.SIGNATURE, signature_png(shown.name), text="SIGN", progress=Progress.SIGNATURE)
            assert isinstance(image, bytes)
            self._signature = image

    async def _ask_pin(self) -> None:
        for attempt in range(PIN_TRIES):
            right = attempt >= self._behaviour.wrong_pins
            if await self._ask(_K.PIN, right, text="WRONG_PIN" if attempt else "PIN", progress=Progress.PIN):
                return
        raise declined_by("75", "wrong PIN three times", text="PIN_BLOCKED")

    async def _ask_host(self) -> HostAnswer:
        device, waits = self._device, self._device.waits
        device.step(Input.ASK_HOST)
        device.show("WAIT")
        self._progress(Progress.ONLINE)
        await self._at("online")
        if self._behaviour.host == "unreachable":
            await self._pause(ONLINE_S)
            raise self._unreachable()
        if self._host_silent or self._behaviour.host == "timeout-before":
            await self._wait(deadline_s=device.clock.now_s() + waits.host_s)
            raise self._unreachable()
        if device.scaled(self._behaviour.host_slow_s) >= waits.host_s:
            self._host_silent = True
        else:
            await self._pause(ONLINE_S + self._behaviour.host_slow_s)
        answer = device.host.authorise(self._host_request())
        assert self._record is not None
        self._record.booking = answer.booking
        await self._at("authorisation")
        if self._host_silent or self._behaviour.host == "timeout-after":
            await self._wait(deadline_s=device.clock.now_s() + waits.host_s)
            raise self._unreachable()
        return answer

    def _host_request(self) -> HostRequest:
        request, total = self._request, self._total()
        original = self._device.host.booking(self._target) if self._target is not None else None
        known = total.currency if total else original.currency if original else None
        if known is None and request.original is not None:
            named = (r.payment for r in self._device.records.values()
                     if r.payment.transaction_reference == request.original.transaction_reference)  # fmt: skip
            known = next((p.requested.currency for p in named if p.requested), None)
        return HostRequest(
            kind=request.kind,
            reference=request.reference,
            currency=known or Currency.of(self._device.settings.currencies[0]),
            amount_minor=total.amount if total else 0,
            tip_minor=self._tip_minor,
            card=self._card if self._rule.card is not CardUse.NONE else None,
            behaviour=self._behaviour if self._rule.card is not CardUse.NONE else self._chosen,
            partial=request.partial_approval,
            original=request.original,
            target=self._target,
            authorisation_code=request.authorisation_code,
        )

    async def _approved(self, answer: HostAnswer) -> Payment:
        if answer.verdict is Verdict.DECLINED:
            end = declined_by(answer.response_code, f"declined by the issuer: {answer.response_code}")
            end.answer = answer
            raise end
        if answer.verdict is Verdict.REFERRED:
            raise Ended(Outcome.REFERRED, Step.REFER, Result.REFERRED, "REFERRED",
                         "the acquirer wants to be called", answer.response_code, answer)  # fmt: skip
        held = self._request.kind is PaymentKind.AUTHORISATION
        self._state = advance(self._state, Step.HOLD if held else Step.APPROVE)
        payment = self._approval(answer)
        assert self._record is not None
        self._record.payment = payment
        await self._at("approval")
        self._deadline_s = self._device.clock.now_s() + self._confirm_s
        if self._witness is not None:
            self._hook = asyncio.get_running_loop().create_task(_decide(self._witness, payment))
            # The witness hears of the approval while the status still shows "online" (KIT fact sheet 4.10).
            await asyncio.sleep(0)
            self._require_alive()
        return await (self._hold() if held else self._decision())

    async def _hold(self) -> Payment:
        """The terminal is free at once; the hold stays whatever happens to it."""
        device, record = self._device, self._record
        assert record is not None
        device.show("HELD", self._language)
        self._finish()
        if self._hook is not None:
            decision = await self._hook
            if not decision.confirm and record.payment.state is PaymentState.HELD:
                self._take_back()
        return record.payment

    async def _decision(self) -> Payment:
        device = self._device
        device.step(Input.APPROVED)
        self._progress(Progress.APPROVED)
        decision = CONFIRM if self._hook is None else await self._wait_for_decision(self._hook)
        if decision is not None and decision.confirm and self._behaviour.confirmation == "lost":
            await self._wait_until_taken_back()
            decision = None
        if decision is None:
            self._void()
            raise Ended(Outcome.FAILED, Step.ROLLED_BACK, Result.APPROVED, "ROLLED_BACK",
                         "nobody confirmed the approval in time: the terminal took it back")  # fmt: skip
        if not decision.confirm:
            self._void()
            await self._pause(CONFIRM_S)
            raise Ended(Outcome.ABORTED, Step.ROLLED_BACK, Result.APPROVED, "ROLLED_BACK", "rolled back on request")
        return await self._confirm(decision)

    async def _wait_for_decision(self, hook: asyncio.Task[Decision]) -> Decision | None:
        hook.add_done_callback(self._decided)
        while not hook.done():
            signal = await self._wait((_K.DECIDED,), deadline_s=self._deadline_s)
            if signal.kind is _K.TIME and self._device.clock.now_s() >= self._deadline_s and not hook.done():
                self._drop_hook()
                return None
        return hook.result()

    def _decided(self, hook: asyncio.Task[Decision]) -> None:
        if hook is self._hook and self._boot == self._device.boot:
            self._device.signal(Signal(_K.DECIDED))

    async def _wait_until_taken_back(self) -> None:
        while self._device.clock.now_s() < self._deadline_s:
            await self._wait(deadline_s=self._deadline_s)

    async def _confirm(self, decision: Decision) -> Payment:
        device, record = self._device, self._record
        assert record is not None
        self._progress(Progress.CONFIRMING)
        self._check(decision, record.payment)
        self._state = capture(device, record, self._request, decision.amount, standalone=self._standalone)
        self._receipts_due = True
        if self._behaviour.notice:
            device.emit(Notice(word(self._behaviour.notice, device.language), source="terminal"))
        await self._at("confirmation")
        await self._pause(CONFIRM_S)
        await self._at("receipts")
        self._print()
        device.show("APPROVED", self._language)
        payment = record.payment
        self._finish()
        if self._standalone:
            device.emit(StandalonePayment(payment))
        if self._behaviour.confirmation == "answer-lost":
            return payment.but(outcome=Outcome.UNKNOWN, state=PaymentState.UNKNOWN, receipts=(), result_code=None,
                               message="no answer to the confirmation: look it up before charging again")  # fmt: skip
        return payment

    # -- how it ends

    def _check(self, decision: Decision, payment: Payment) -> None:
        final, approved = decision.amount, payment.approved
        if final is None:
            return
        if approved is None or final.currency != approved.currency or not 0 < final.amount <= approved.amount:
            raise InvalidRequest(f"a confirmation takes more than nothing and at most {approved}, got {final}")

    def _print(self) -> None:
        """Make the receipts, once."""
        if self._receipts_due and self._record is not None:
            self._receipts_due = False
            if self._behaviour.printer_out:
                self._device.printer |= Printer.OUT_OF_PAPER
                self._device.refresh()
            issue_receipts(self._device, self._record, without=self._behaviour.receipts)

    def _end(self, end: Ended) -> Payment:
        """Not approved, or not any more."""
        device, record = self._device, self._record
        assert record is not None
        if end.outcome is Outcome.ABORTED and end.step is Step.ABORT:
            self._void()
        self._state = advance(self._state, end.step)
        answer = end.answer
        text = "" if end.silent else display_text(end.text, self._language)
        record.payment = self._payment(end.outcome).but(
            result_code=int(end.result),
            response_code=end.response_code,
            transaction_reference=answer.transaction_reference if answer else "",
            voice_phone=answer.voice_phone if answer else "",
            customer_text=text,
            attendant_text=display_text(end.text, device.language),
            message=end.message,
        )
        if text:
            device.show(end.text, self._language)
        self._finish()
        return record.payment

    def _finish(self) -> None:
        """The use case ends: card out, terminal idle."""
        device = self._device
        self._finished = True
        if device.in_slot and device.card is not None:
            device.show("REMOVE_CARD", self._language)
            self._progress(Progress.REMOVE_CARD)
        stays = device.in_slot and not self._acts
        device.forget_card()
        device.in_slot = stays
        device.claimed = False
        self._progress(Progress.DONE)
        device.step(Input.FINISHED)
        device.show_idle()

    def _take_back(self) -> None:
        """Interrupted: nothing moves that has not moved, and the terminal is free again."""
        record = self._record
        assert record is not None
        if record.payment.state is PaymentState.HELD:
            self._void()
            record.payment = taken_back(record.payment, PaymentState.RELEASED, Outcome.ABORTED, "released on request")
        elif self._state in {PaymentState.SENT, PaymentState.APPROVED}:
            self._void()
            step = Step.ROLLED_BACK if self._state is PaymentState.APPROVED else Step.ABORT
            self._state = advance(self._state, step)
            outcome = Outcome.FAILED if step is Step.ROLLED_BACK else Outcome.ABORTED
            record.payment = taken_back(record.payment, self._state, outcome, "interrupted and taken back")
        self._print()
        if self._boot == self._device.boot and not self._finished:
            self._finish()

    def _void(self) -> None:
        record = self._record
        if record is not None and record.booking is not None:
            booking = self._device.host.booking(record.booking)
            if booking.state.value == "authorised":
                self._device.host.void(booking.number)

    def _drop_hook(self) -> None:
        if self._hook is not None:
            self._hook.cancel()
            self._hook.add_done_callback(_look)


async def _decide(witness: Witness, payment: Payment) -> Decision:
    return await witness.approved(payment)


def _look(hook: asyncio.Task[Decision]) -> None:
    """Whatever a witness says that nobody waits for any more is heard, and dropped."""
    if not hook.cancelled():
        hook.exception()
