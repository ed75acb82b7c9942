"""`VirtualTerminal`: a full `Terminal` without hardware, and the peer behind every endpoint.

What a person does at a real one is a method here (`present`, `press_stop`, `enter_pin` ...), and so is what breaks
(`crash`, `restart`, `run_out_of_paper`). `host` holds the only truth about money.

A reference that is used again is charged again, as real terminals do: keeping references apart is the journal's work.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from zahlwerk.clock import Clock, SystemClock, random_source
from zahlwerk.errors import (
    InvalidRequest,
    LinkLost,
    MoneyMoved,
    PaymentNotFound,
    TerminalBusy,
    TerminalRefused,
)
from zahlwerk.events import Notice, Printer, ShiftChanged, TerminalStatus
from zahlwerk.faults import Action, FaultPlan, LinkFaults
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Payment, PaymentKind, PaymentRequest, Receipt, ReceiptKind
from zahlwerk.terminal import (
    CONFIRM_ALL,
    Answer,
    Capabilities,
    Dialog,
    Evidence,
    Feature,
    HoldId,
    Maintenance,
    OpenEntry,
    Period,
    ShiftInfo,
    Terminal,
    TerminalInfo,
    Totals,
    Witness,
)
from zahlwerk.timeouts import DEFAULT_WAITS, Waits
from zahlwerk.virtual.books import capture_hold, issue_receipts, recover, release_hold
from zahlwerk.virtual.cardholder import CardHolder
from zahlwerk.virtual.deck import card, deck
from zahlwerk.virtual.device import REBOOT_S, Crashed, Device, Signal, SignalKind
from zahlwerk.virtual.flow import PaymentFlow
from zahlwerk.virtual.host import Host
from zahlwerk.virtual.kinds import RULES
from zahlwerk.virtual.receipts import service_receipt, undone_receipt
from zahlwerk.virtual.results import ErrorCode
from zahlwerk.virtual.services import ORDERS, WORKS, automatic_answer, judge
from zahlwerk.virtual.settings import Settings
from zahlwerk.virtual.states import Input, State
from zahlwerk.virtual.texts import LANGUAGES, word

__all__ = ["VirtualTerminal"]

SCAN_DEFAULT: Final = "7612345678900"
EXTEND_MAX_S: Final = 3_600
_KINDS: Final = frozenset(RULES)
_FEATURES: Final = frozenset(Feature)
_RUNNING: Final = frozenset({State.OPEN, State.WAIT_CARD, State.CARD})
_TAKEN_BACK: Final = frozenset({PaymentState.ROLLED_BACK, PaymentState.RELEASED})


@cache
def _brands() -> tuple[str, ...]:
    return tuple(sorted({one.brand for one in deck().values()}))


class VirtualTerminal(CardHolder, Terminal):
    """A payment terminal that exists only here.

    Args:
        settings: how it is set up.
        clock: where all its time comes from.
        waits: how long it waits for card, host and confirmation.
        plan: what goes wrong, instead of `settings.faults`.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        clock: Clock | None = None,
        waits: Waits = DEFAULT_WAITS,
        plan: FaultPlan | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings or Settings()
        self._device = Device(self.settings, clock=clock or SystemClock(), waits=waits, emit=self._hub.emit)
        if plan is not None:
            self._device.plan = plan
        if any(not fault.is_terminal for fault in self._device.plan.faults):
            self.link_faults = LinkFaults(self._device.plan, random_source(self.settings.seed))
        self._flow: PaymentFlow | None = None
        self._opened_once = False

    # -- the connection and the power

    async def open(self) -> None:
        device = self._device
        if device.crashed:
            device.require_on()
        if device.state is not State.OFF:
            return
        if not self._opened_once and self.settings.shift_open:
            self._device.counters.open_shift()
            self._device.shift_open = True
        self._opened_once = True
        self._start()

    async def close(self) -> None:
        self._device.stop("closed")
        self._device.crashed = False
        self._hub.close()

    def crash(self, *, back_by_itself: bool = True) -> None:
        """The terminal goes down at once; the running payment is gone from its memory, the host's books stay.

        Args:
            back_by_itself: it starts again after some seconds; if not, `restart()` does it.
        """
        device = self._device
        if device.state is State.OFF:
            return
        device.stop(word("restart", device.language))
        device.crashed = True
        self._flow = None
        if back_by_itself:
            device.later(device.scaled(REBOOT_S), self.restart)

    def restart(self) -> None:
        """Come back after a crash: approvals that nobody confirmed are taken back first."""
        if self._device.crashed:
            self._start()

    def _start(self) -> None:
        reverted = recover(self._device)
        self._device.start()
        for payment in reverted:
            self._hub.emit(
                Notice(f"{word('auto reversal', self._device.language)}: {payment.sequence}", source="AUTO_REVERSAL")
            )

    @property
    def host(self) -> Host:
        """The acquirer's books."""
        return self._device.host

    @property
    def state(self) -> State:
        """What it is doing."""
        return self._device.state

    @property
    def display(self) -> str:
        """What its display shows."""
        return self._device.display

    @property
    def paper(self) -> tuple[str, ...]:
        """What came out of its printer lately."""
        return tuple(self._device.paper)

    # -- what it is and does

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            kinds=_KINDS,
            features=_FEATURES,
            currencies=self.settings.currencies,
            brands=_brands(),
            languages=LANGUAGES,
        )

    async def info(self) -> TerminalInfo:
        device, settings = self._device, self.settings
        device.require_on()
        return TerminalInfo(
            terminal_id=settings.terminal_id,
            serial_number=settings.serial_number,
            model="Zahlwerk virtual",
            software="25.01.00",
            interface="virtual",
            language=device.language,
            merchant_id=settings.merchant_id,
            merchant_name=settings.merchant_name,
            country_number=756,
            terminal_type=22,
            sequence=device.counters.sequence,
            shift_counter=device.counters.shift,
            period_counter=device.counters.period,
            is_test=True,
        )

    async def status(self) -> TerminalStatus:
        self._device.require_on()
        return self._device.status()

    # -- payments

    async def transact(self, request: PaymentRequest, *, witness: Witness = CONFIRM_ALL) -> Payment:
        device = self._device
        self._check(request)
        flow = PaymentFlow(device, request, witness, crash=self._crash, target=self._target(request))
        boot = device.boot
        device.claimed = True
        self._flow = flow
        try:
            await witness.sending({"sequence": str(device.counters.sequence)})
        except BaseException:
            if boot == device.boot:
                device.claimed = False
            raise
        if boot != device.boot:
            device.require_on()
            raise LinkLost("the terminal restarted before the request arrived", request_sent=False)
        return await flow.run()

    async def type_payment(self, amount: Money | str, card_name: str = "") -> Payment:
        """A payment typed in at the terminal itself, without the register: confirmed at once, and reported."""
        device = self._device
        request = PaymentRequest(
            amount=Money.parse(amount) if isinstance(amount, str) else amount,
            reference=f"standalone-{device.counters.sequence + 1}",
        )
        self._check(request)
        if device.keypad_locked:
            raise _refused("the register has locked the keypad", ErrorCode.LOCKED, remedy="use the register")
        device.claimed = True
        typed = card(card_name) if card_name else None
        self._flow = flow = PaymentFlow(device, request, None, crash=self._crash, standalone=True, typed_card=typed)
        return await flow.run()

    def _crash(self, back_by_itself: bool) -> None:
        self.crash(back_by_itself=back_by_itself)

    def _check(self, request: PaymentRequest) -> None:
        device = self._device
        device.require_on()
        for amount in (request.amount, request.tip, request.cashback):
            if amount is not None and amount.currency.code not in self.settings.currencies:
                raise InvalidRequest(
                    f"this terminal has no {amount.currency}", remedy=f"use {' or '.join(self.settings.currencies)}"
                )
        if not device.shift_open and device.is_idle:
            raise _refused("the shift is closed", ErrorCode.SHIFT_CLOSED, remedy="open the shift first")
        if device.locked:
            raise _refused("the terminal is locked", ErrorCode.LOCKED, remedy="unlock it first")
        if device.claimed or device.state not in {State.OPEN, State.CARD_FIRST}:
            raise TerminalBusy(f"the virtual terminal is {device.state.value}")

    def _target(self, request: PaymentRequest) -> int | None:
        """The booking that a reversal undoes: that of the latest payment.

        Raises:
            TerminalRefused: there is none, it was undone before, or another one is named.
        """
        if request.kind is not PaymentKind.REVERSAL:
            return None
        latest = self._device.latest
        record = None if latest is None else self._device.records.get(latest)
        wanted = request.original.sequence if request.original else None
        if record is None or record.payment.kind is PaymentKind.REVERSAL:
            raise _refused("there is no payment to reverse", ErrorCode.NOTHING_TO_CONFIRM)
        if wanted not in {None, latest}:
            raise _refused(f"the latest payment is {latest}, not {wanted}", ErrorCode.NOTHING_TO_CONFIRM)
        return record.booking

    async def settle(self, hold: HoldId, amount: Money | None) -> Payment:
        device = self._device
        device.require_on()
        record = device.records.get(int(hold)) if hold.isascii() and hold.isdigit() and len(hold) < 10 else None
        if record is None or record.payment.kind is not PaymentKind.AUTHORISATION:
            raise _refused(f"no hold {hold[:16]} is open", ErrorCode.NOTHING_TO_CONFIRM)
        if record.payment.state is not PaymentState.HELD:
            return self._settled_before(hold, record.payment, amount)
        held = record.payment.approved
        if amount is not None and held is not None:
            if amount.currency != held.currency:
                raise InvalidRequest(f"the hold is in {held.currency}, not in {amount.currency}")
            if not 0 < amount.amount <= held.amount:
                raise _refused(f"the hold is for {held}, it cannot take {amount}", ErrorCode.AMOUNT)
        await self._settle_faults()
        if record.payment.state is not PaymentState.HELD:
            return self._settled_before(hold, record.payment, amount)
        if amount is None:
            release_hold(device, record)
        else:
            capture_hold(device, record, amount)
            issue_receipts(device, record)
        return record.payment

    def _settled_before(self, hold: HoldId, payment: Payment, amount: Money | None) -> Payment:
        """The same call again changes nothing; another one is refused."""
        captured = payment.state is PaymentState.CAPTURED and amount is not None and amount == payment.approved
        if captured or (payment.state is PaymentState.RELEASED and amount is None):
            return payment
        raise TerminalRefused(
            f"hold {hold} is {payment.state.value} already",
            code=ErrorCode.NOTHING_TO_CONFIRM,
            source="ECR",
            money_moved=payment.money_moved,
        )

    async def _settle_faults(self) -> None:
        for fault in self._device.plan.due("settle", terminal=True):
            if fault.action in {Action.CRASH, Action.RESTART}:
                self.crash(back_by_itself=fault.action is Action.RESTART)
                raise LinkLost("the terminal restarted while the hold was settled", request_sent=True)
            if fault.action is Action.DELAY:
                clock = self._device.clock
                await clock.sleep_until(clock.now_s() + self._device.scaled(fault.seconds))
                self._device.require_on()

    async def extend(self, seconds: int, text: str = "") -> None:
        device = self._device
        device.require_on()
        if not 0 < seconds <= EXTEND_MAX_S:
            raise InvalidRequest(f"an extension is 1 to {EXTEND_MAX_S} seconds, got {seconds}")
        if self._flow is None or self._flow.confirm_deadline_s is None:
            raise _refused("no approval waits for a confirmation", ErrorCode.NOTHING_TO_CONFIRM)
        self._flow.extend(seconds)
        if text:
            device.show_text(text)

    async def abort(self, *, silent: bool = False) -> None:
        device = self._device
        device.require_on()
        if device.signal(Signal(SignalKind.ABORT, silent)):
            return
        if device.claimed and self._flow is not None and device.state in _RUNNING:
            self._flow.abort_silently = silent

    async def lookup(
        self, reference: str = "", *, sequence: int | None = None, evidence: Evidence | None = None
    ) -> Payment:
        device = self._device
        device.require_on()
        before = (evidence or {}).get("sequence", "")
        if sequence is None and not reference and before.isascii() and before.isdigit():
            sequence = int(before) + 1
        if sequence is not None:
            record = device.records.get(sequence)
            found = record if record and reference in {"", record.payment.reference} else None
        else:
            matching = (r for r in reversed(device.records.values()) if r.payment.reference == reference)
            found = next(matching, None) if reference else None
        if found is None:
            raise PaymentNotFound("the virtual terminal has no record of this payment")
        return found.payment

    async def open_entries(self) -> tuple[OpenEntry, ...]:
        self._device.require_on()
        return tuple(
            OpenEntry(
                hold=HoldId(str(sequence)),
                amount=record.payment.approved,
                masked_pan=record.payment.masked_pan,
                terminal_date=f"{record.payment.terminal_time:%y%m%d}",
                terminal_time=f"{record.payment.terminal_time:%H%M%S}",
            )
            for sequence, record in self._device.records.items()
            if record.payment.state is PaymentState.HELD
        )

    # -- shift and figures

    async def open_shift(self, *, attendant: str = "", attendant_number: int | None = None) -> ShiftInfo:
        device = self._device
        device.require_on()
        if not device.shift_open:
            self._require_idle()
            self._open_shift(attendant or ("" if attendant_number is None else str(attendant_number)))
        return self._shift()

    async def close_shift(self) -> ShiftInfo:
        device = self._device
        device.require_on()
        if device.shift_open:
            self._require_idle()
            self._close_shift()
        return self._shift()

    def open_menu_shift(self) -> None:
        """Somebody opens the shift at the terminal's own menu."""
        self._require_idle()
        if not self._device.shift_open:
            self._open_shift("")

    def close_menu_shift(self) -> None:
        """Somebody closes the shift at the terminal's own menu."""
        self._require_idle()
        if self._device.shift_open:
            self._close_shift()

    async def totals(self, period: Period = Period.SHIFT) -> Totals:
        device = self._device
        device.require_on()
        figures = device.tally.totals(period)
        return Totals(period, figures, service_receipt(ReceiptKind.OTHER, device.head(), totals=figures))

    async def end_of_day(self) -> Totals:
        device = self._device
        await self._serve(1.0, online=True)
        figures = device.tally.totals(Period.ACCOUNTING_PERIOD)
        text = service_receipt(ReceiptKind.END_OF_DAY, device.head(), totals=figures)
        device.counters.day_closed = True
        for period in Period:
            device.tally.clear(period)
        was_open, device.shift_open = device.shift_open, False
        device.step_back(done=Input.SERVICE_DONE, done_closed=Input.SERVICE_DONE_CLOSED)
        device.issue(Receipt(ReceiptKind.END_OF_DAY, text))
        if was_open:
            self._hub.emit(ShiftChanged(is_open=False, shift_counter=device.counters.shift))
        device.show_idle()
        return Totals(Period.ACCOUNTING_PERIOD, figures, text)

    async def receipt(self, kind: ReceiptKind = ReceiptKind.MERCHANT, *, number: int | None = None) -> Receipt:
        device = self._device
        device.require_on()
        found = device.receipts.get(kind)
        if number is not None and kind in {ReceiptKind.MERCHANT, ReceiptKind.CUSTOMER}:
            record = device.records.get(number)
            found = next((r for r in record.payment.receipts if r.kind is kind), None) if record else None
            if found is None and record is not None and record.payment.state in _TAKEN_BACK:
                found = Receipt(kind, undone_receipt(record.payment, device.head()), sequence=number)
        if found is None:
            raise _refused(f"there is no such receipt: {kind.value}", ErrorCode.NOTHING_TO_CONFIRM)
        return found

    def _open_shift(self, attendant: str) -> None:
        device = self._device
        device.counters.open_shift()
        device.tally.clear(Period.SHIFT)
        device.shift_open = True
        device.step(Input.SHIFT_OPENED)
        device.show_idle()
        self._shift_changed(ReceiptKind.SHIFT_OPENED, attendant)

    def _close_shift(self) -> None:
        device = self._device
        device.shift_open = False
        device.step(Input.SHIFT_CLOSED)
        device.show_idle()
        self._shift_changed(ReceiptKind.SHIFT_CLOSED, "")

    def _shift_changed(self, kind: ReceiptKind, attendant: str) -> None:
        device = self._device
        self._hub.emit(ShiftChanged(is_open=device.shift_open, shift_counter=device.counters.shift))
        rows = (("attendant", attendant),) if attendant else ()
        figures = device.tally.totals(Period.SHIFT) if kind is ReceiptKind.SHIFT_CLOSED else None
        device.issue(Receipt(kind, service_receipt(kind, device.head(), totals=figures, rows=rows)))

    def _shift(self) -> ShiftInfo:
        counters = self._device.counters
        return ShiftInfo(self._device.shift_open, counters.shift, counters.period)

    # -- the device

    async def print(self, text: str = "", *, image_png: bytes = b"", double_height: bool = False,
                    double_width: bool = False, inverse: bool = False, more: bool = False) -> Printer:  # fmt: skip
        device = self._device
        device.require_on()
        if not text and not image_png:
            raise InvalidRequest("there is nothing to print")
        style = "".join(
            mark for mark, on in (("H", double_height), ("W", double_width), ("I", inverse), ("+", more)) if on
        )
        return device.put_on_paper((f"[{style}] " if style else "") + (text or f"[PNG, {len(image_png)} bytes]"))

    async def ask(self, dialog: Dialog) -> Answer:
        device = self._device
        self._require_idle()
        boot = device.boot
        device.step(Input.DIALOG)
        device.show_text(dialog.text, 1010)
        now_s = device.clock.now_s()
        auto = None
        if self.settings.shown_card is not None:
            answer = Signal(SignalKind.ANSWER, automatic_answer(dialog))
            auto = (now_s + device.scaled(1.0), answer)
        try:
            signal = await device.wait(
                (SignalKind.ANSWER, SignalKind.STOP, SignalKind.CANCEL), deadline_s=now_s + dialog.timeout_s, auto=auto
            )
        except Crashed:
            raise LinkLost("the terminal restarted during the dialog", request_sent=True) from None
        finally:
            if boot == device.boot:
                device.step_back(done=Input.DIALOG_DONE, done_closed=Input.DIALOG_DONE_CLOSED)
                device.show_idle()
        return judge(dialog, signal)

    async def cancel_ask(self) -> None:
        self._device.require_on()
        self._device.signal(Signal(SignalKind.CANCEL))

    async def scan(self, *, title: str = "", text: str = "", timeout_s: float = 60.0) -> str:
        device = self._device
        self._require_idle()
        boot = device.boot
        device.step(Input.SERVICE)
        if title or text:
            device.show_text("\n".join(part for part in (title, text) if part))
        else:
            device.show("SCAN")
        now_s = device.clock.now_s()
        acts = self.settings.shown_card is not None
        auto = (now_s + device.scaled(1.0), Signal(SignalKind.CODE, SCAN_DEFAULT)) if acts else None
        try:
            signal = await device.wait(
                (SignalKind.CODE, SignalKind.STOP, SignalKind.CANCEL), deadline_s=now_s + timeout_s, auto=auto
            )
        except Crashed:
            raise LinkLost("the terminal restarted while it scanned", request_sent=True) from None
        finally:
            if boot == device.boot:
                device.step_back(done=Input.SERVICE_DONE, done_closed=Input.SERVICE_DONE_CLOSED)
                device.show_idle()
        return str(signal.value) if signal.kind is SignalKind.CODE else ""

    async def maintain(self, work: Maintenance, *, acquirer_id: int | None = None, text: str = "") -> None:
        device = self._device
        device.require_on()
        order = ORDERS.get(work)
        if order is not None:
            order(device, text)
            return
        plan = WORKS[work]
        known = {acquirer.number for acquirer in device.status().acquirers}
        if acquirer_id is not None and acquirer_id not in known:
            raise _refused(f"no acquirer {acquirer_id}; it has {sorted(known)}", ErrorCode.MISSING_FIELD)
        await self._serve(plan.seconds, online=plan.online)
        if work is Maintenance.INITIALISE:
            device.initialised = f"{device.clock.wall():%Y-%m-%d %H:%M:%S}"
        device.step_back(done=Input.SERVICE_DONE, done_closed=Input.SERVICE_DONE_CLOSED)
        if plan.receipt is not None:
            rows = () if acquirer_id is None else (("acquirer", str(acquirer_id)),)
            device.issue(Receipt(plan.receipt, service_receipt(plan.receipt, device.head(), rows=rows)))
        device.show_idle()
        if plan.restarts:
            self.crash()

    async def lock(self) -> None:
        self._set_locked(locked=True)

    async def unlock(self) -> None:
        self._set_locked(locked=False)

    def _set_locked(self, *, locked: bool) -> None:
        self._device.require_on()
        self._device.locked = locked
        self._device.refresh()

    async def lock_keypad(self, locked: bool) -> None:
        self._device.require_on()
        self._device.keypad_locked = locked

    async def set_language(self, language: str) -> None:
        self._device.require_on()
        if language not in LANGUAGES:
            raise InvalidRequest(f"the terminal does not speak {language[:8]!r}", remedy=f"use {', '.join(LANGUAGES)}")
        self._device.language = language
        self._device.refresh()
        if self._device.is_idle:
            self._device.show_idle()

    async def _serve(self, seconds: float, *, online: bool) -> None:
        """Work that keeps the terminal busy; the caller ends it with `step_back`."""
        device = self._device
        self._require_idle()
        boot = device.boot
        device.step(Input.SERVICE)
        device.show("WAIT")
        device.online = online
        device.refresh()
        try:
            for fault in device.plan.due("service", terminal=True):
                if fault.action in {Action.CRASH, Action.RESTART}:
                    self.crash(back_by_itself=fault.action is Action.RESTART)
                    raise Crashed
                seconds += fault.seconds
            await device.pause(seconds)
        except Crashed:
            raise LinkLost("the terminal restarted during its work", request_sent=True) from None
        except BaseException:
            if boot == device.boot:
                device.step_back(done=Input.SERVICE_DONE, done_closed=Input.SERVICE_DONE_CLOSED)
                device.show_idle()
            raise

    def _require_idle(self) -> None:
        self._device.require_on()
        if not self._device.is_idle:
            raise TerminalBusy(f"the virtual terminal is {self._device.state.value}")


def _refused(message: str, code: ErrorCode, *, remedy: str | None = None) -> TerminalRefused:
    return TerminalRefused(message, code=int(code), source="ECR", money_moved=MoneyMoved.NO, remedy=remedy)
