"""What one payment on the virtual terminal knows and can do at any moment; `flow` says in which order.

A payment that ends without an approval raises `Ended` from wherever it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from zahlwerk.events import Printer, Progress, ProgressChanged
from zahlwerk.faults import Action
from zahlwerk.lifecycle import PaymentState, Step
from zahlwerk.money import Money
from zahlwerk.payment import (
    Dcc,
    EntryMode,
    Outcome,
    Payment,
    PaymentKind,
    PaymentRequest,
)
from zahlwerk.terminal import Decision, Witness
from zahlwerk.virtual.amounts import behaviour_of
from zahlwerk.virtual.deck import Card
from zahlwerk.virtual.device import Crashed, Device, Record, Signal, SignalKind
from zahlwerk.virtual.host import HostAnswer
from zahlwerk.virtual.kinds import RULES, CardUse
from zahlwerk.virtual.results import Result, declined
from zahlwerk.virtual.states import State
from zahlwerk.virtual.texts import display_text, known_language

__all__ = ["Ended", "PaymentCase", "aborted", "declined_by"]

# How long the card holder takes for each answer, in seconds at life's speed.
ACT_S: Final = 1.0
# Card schemes keep a reservation for up to thirty days.
_RESERVED_FOR: Final = timedelta(days=30)
_K = SignalKind
_INTERRUPTS: Final = (_K.STOP, _K.ABORT, _K.REMOVED)


@dataclass(eq=False)
class Ended(Exception):
    """The payment is not approved."""

    outcome: Outcome
    step: Step
    result: int
    text: str
    message: str
    response_code: str = ""
    answer: HostAnswer | None = None
    silent: bool = False


def aborted(result: Result, message: str, *, text: str = "ABORTED", silent: bool = False) -> Ended:
    """Stopped by the register, the card holder or the terminal."""
    return Ended(Outcome.ABORTED, Step.ABORT, result, text, message, silent=silent)


def declined_by(response_code: str, message: str, *, text: str = "DECLINED") -> Ended:
    """Declined by issuer, card or terminal."""
    return Ended(Outcome.DECLINED, Step.DECLINE, declined(response_code), text, message, response_code)


class PaymentCase:
    """What one payment on a device that has been claimed for it knows."""

    def __init__(
        self,
        device: Device,
        request: PaymentRequest,
        witness: Witness | None,
        *,
        crash: Callable[[bool], None],
        target: int | None = None,
        standalone: bool = False,
        typed_card: Card | None = None,
    ) -> None:
        self._device = device
        self._request = request
        self._witness = witness
        self._crash = crash
        self._target = target
        self._standalone = standalone
        self._shown = typed_card or device.settings.shown_card
        self._acts = self._shown is not None
        self._boot = device.boot
        self._rule = RULES[request.kind]
        self._behaviour = behaviour_of(request.amount)
        self._chosen = self._behaviour
        self._card: Card | None = None
        self._state = PaymentState.REQUESTED
        self._record: Record | None = None
        self._hook: asyncio.Task[Decision] | None = None
        self._deadline_s = 0.0
        self._host_silent = False
        self._receipts_due = False
        self._finished = False
        self._tip_minor = request.tip.amount if request.tip else 0
        self._amount = request.amount
        self._dcc: Dcc | None = None
        self._signature = b""
        self.abort_silently: bool | None = None
        """Set by an abort that came before the terminal listened for one."""

    @property
    def confirm_deadline_s(self) -> float | None:
        """When an approval is taken back; None while none waits."""
        waits = self._hook is not None and self._device.state in {State.ONLINE, State.WAIT_CONFIRM}
        return self._deadline_s if waits else None

    def extend(self, seconds: int) -> None:
        """Let the approval wait longer."""
        self._deadline_s += seconds

    def _unreachable(self) -> Ended:
        return aborted(Result.HOST_UNREACHABLE, "the host did not answer: no money moved", text="UNREACHABLE")

    def _interrupted(self, signal: Signal, *, late: Result = Result.CARD_HOLDER_SLOW) -> Ended:
        match signal.kind:
            case SignalKind.ABORT:
                return aborted(Result.BY_REGISTER, "aborted by the register", silent=bool(signal.value))
            case SignalKind.STOP:
                return aborted(Result.BY_CARD_HOLDER, "the card holder pressed stop")
            case SignalKind.REMOVED:
                return aborted(Result.CARD_REMOVED, "the card was removed too early")
            case _:
                what = "no card was shown in time" if late is Result.NO_CARD else "the card holder took too long"
                return aborted(late, what)

    async def _at(self, step: str) -> None:
        """Pass a step at which something may be scripted to go wrong."""
        self._require_alive()
        for fault in self._device.plan.due(step, terminal=True):
            match fault.action:
                case Action.CRASH | Action.RESTART:
                    self._crash(fault.action is Action.RESTART)
                    raise Crashed
                case Action.DELAY:
                    await self._pause(fault.seconds)
                case Action.PRINTER_OUT:
                    self._device.printer |= Printer.OUT_OF_PAPER
                    self._device.refresh()
                case _:
                    self._host_silent = True
        if self._behaviour.crash_at == step:
            self._crash(True)
            raise Crashed

    async def _ask(
        self, kind: SignalKind, answer: object, *, text: str, progress: Progress | None = None, **values: str
    ) -> object:
        """Ask the card holder for one thing, within the time that all of it may take."""
        device = self._device
        device.show(text, self._language, **values)
        if progress is not None:
            self._progress(progress)
        auto = (device.clock.now_s() + device.scaled(ACT_S), Signal(kind, answer)) if self._acts else None
        signal = await self._wait((kind, *_INTERRUPTS), deadline_s=self._deadline_s, auto=auto)
        if signal.kind is not kind or kind is _K.STOP:
            raise self._interrupted(signal)
        return signal.value

    async def _wait(
        self,
        accepts: tuple[SignalKind, ...] = (),
        *,
        deadline_s: float | None = None,
        auto: tuple[float, Signal] | None = None,
    ) -> Signal:
        self._require_alive()
        if self.abort_silently is not None and _K.ABORT in accepts:
            return Signal(_K.ABORT, self.abort_silently)
        signal = await self._device.wait(accepts, deadline_s=deadline_s, auto=auto)
        self._require_alive()
        return signal

    async def _pause(self, seconds: float) -> None:
        self._require_alive()
        await self._device.pause(seconds)
        self._require_alive()

    def _require_alive(self) -> None:
        if self._boot != self._device.boot:
            raise Crashed

    def _progress(self, progress: Progress) -> None:
        self._device.emit(ProgressChanged(self._request.reference, progress))

    @property
    def _confirm_s(self) -> float:
        return self._device.settings.confirm_s or self._device.waits.approval_s

    @property
    def _sequence(self) -> int | None:
        return None if self._record is None else self._record.payment.sequence

    @property
    def _language(self) -> str:
        return known_language(self._request.language, self._card.language if self._card else "", self._device.language)

    def _total(self) -> Money | None:
        if self._amount is None:
            return None
        cashback = self._request.cashback.amount if self._request.cashback else 0
        return Money(self._amount.amount + self._tip_minor + cashback, self._amount.currency)

    def _payment(self, outcome: Outcome) -> Payment:
        """What is known of the payment now."""
        request, device, shown = self._request, self._device, self._card
        entry = {CardUse.KEYED: EntryMode.MANUAL, CardUse.NONE: EntryMode.REFERENCE}
        read = shown is not None
        return Payment(
            reference=request.reference,
            kind=request.kind,
            outcome=outcome,
            state=self._state,
            requested=request.total,
            brand=shown.brand if shown else "",
            masked_pan=shown.masked_pan if shown else "",
            aid=shown.aid if shown else "",
            token=shown.token if shown else "",
            acquirer_id=shown.acquirer if shown else None,
            entry_mode=entry.get(self._rule.card, shown.entry_mode if shown else EntryMode.UNKNOWN)
            if read
            else EntryMode.UNKNOWN,
            terminal_id=device.settings.terminal_id,
            sequence=self._sequence if self._record else device.counters.sequence,
            terminal_time=device.clock.wall().replace(tzinfo=None, microsecond=0),
            standalone=self._standalone,
        )

    def _approval(self, answer: HostAnswer) -> Payment:
        total = self._total()
        partial = answer.remaining is not None
        tip = Money(self._tip_minor, total.currency) if self._tip_minor and total and not partial else None
        approved = answer.amount if total or self._request.kind is PaymentKind.REVERSAL else None
        text = display_text("APPROVED", self._language)
        return self._payment(Outcome.APPROVED).but(
            approved=approved,
            tip=tip,
            cashback=None if partial else self._request.cashback,
            remaining=answer.remaining,
            available=answer.available,
            dcc=self._dcc,
            authorisation_code=answer.authorisation_code,
            response_code=answer.response_code,
            result_code=int(Result.APPROVED),
            transaction_reference=answer.transaction_reference,
            expires=self._expiry(),
            customer_text=text,
            attendant_text=display_text("APPROVED", self._device.language),
            e_signature_png=self._signature,
        )

    def _expiry(self) -> str:
        if self._request.kind not in {PaymentKind.RESERVATION, PaymentKind.RESERVATION_ADJUSTMENT}:
            return ""
        return f"{self._device.clock.wall().replace(tzinfo=None) + _RESERVED_FOR:%y%m%d}"
