"""`KitTerminal`: the `Terminal` port over KIT. Moves words and time; what to do next is the settlement's. I/O."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from zahlwerk.currency import CURRENCIES
from zahlwerk.errors import (
    InvalidRequest,
    LinkLost,
    LocalProtocolError,
    MoneyMoved,
    NotSupported,
    PaymentNotFound,
    PeerSilent,
    TerminalBusy,
    TerminalError,
    TerminalRefused,
)
from zahlwerk.events import (
    DisplayShown,
    LinkChanged,
    Notice,
    Printer,
    Progress,
    ProgressChanged,
    ReaderChanged,
    ReceiptPrinted,
    ShiftChanged,
    StatusChanged,
    TerminalStatus,
)
from zahlwerk.interfaces.kit import device_conversion as device
from zahlwerk.interfaces.kit.attempts import (
    Attempt,
    attempt_from,
    check_decision,
    concerns,
    ended,
    evidence_of,
    settled_before,
)
from zahlwerk.interfaces.kit.codes import (
    BatchCaptureFlags,
    DeviceCommandCode,
    OurErrorCode,
    ReceiptFlags,
    ReceiptType,
    ReportFlags,
    ReportType,
    TrmStatus,
    TrxResult,
)
from zahlwerk.interfaces.kit.connection import Connection, error_of
from zahlwerk.interfaces.kit.conversion import kinds_of, payment_from_response, request_to_wire
from zahlwerk.interfaces.kit.messages import (
    ActivationRequest,
    ActivationResponse,
    BalanceRequest,
    BalanceResponse,
    BatchCaptureRequest,
    BatchCaptureResponse,
    CancelUIRequest,
    ConfigurationRequest,
    ConfigurationResponse,
    ConfirmationTimeExtensionRequest,
    ConfirmationTimeExtensionResponse,
    DeactivationRequest,
    DeactivationResponse,
    DeviceCommandRequest,
    DeviceCommandResponse,
    DialogResponse,
    DisplayNotification,
    ErrorNotification,
    InitializationRequest,
    InitializationResponse,
    LockEFTOperationsRequest,
    LockEFTOperationsResponse,
    Message,
    PrintReceiptResponse,
    ReceiptRequest,
    ReceiptResponse,
    ReportRequest,
    ReportResponse,
    RFIDStatusNotification,
    SetTerminalLanguageRequest,
    SetTerminalLanguageResponse,
    StatusRequest,
    StatusResponse,
    TransactionDataChangeRequest,
    TransactionDataChangeResponse,
    TransactionResponse,
    UnlockEFTOperationsRequest,
    UnlockEFTOperationsResponse,
)
from zahlwerk.interfaces.kit.pump import Alarm
from zahlwerk.interfaces.kit.receipts import ReceiptCollector, ReceiptPart
from zahlwerk.interfaces.kit.settlement import (
    AskWitness,
    End,
    Ending,
    Facts,
    Phase,
    Send,
    Settlement,
)
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentKind, PaymentRequest, Receipt, ReceiptKind
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
from zahlwerk.timeouts import Operation
from zahlwerk.urls import Context

__all__ = ["KitTerminal"]

# LIMIT: payments whose outcome `lookup` can still tell without evidence; a day of a busy till.
ATTEMPTS_MAX: Final = 1_000
# P-40: before the next request wait for a status without BUSY, at most 2 s.
BUSY_S: Final = 2.0
# How long receipts may come after the confirmation before the payment is reported without them.
RECEIPTS_S: Final = 3.0
# 17.00.05 sends receipts unasked (0.2).
UNSOLICITED_SOFTWARE: Final = 170005
# LIMIT: pages of one report.
REPORT_PAGES_MAX: Final = 100

_FEATURES: Final = frozenset({
    Feature.TWO_PHASE, Feature.PARTIAL_CAPTURE, Feature.ABORT, Feature.LOOKUP, Feature.PARTIAL_APPROVAL, Feature.SHIFT,
    Feature.END_OF_DAY, Feature.TOTALS, Feature.RECEIPTS, Feature.RECEIPT_COPY, Feature.PRINT, Feature.PRINT_IMAGE,
    Feature.DISPLAY, Feature.ASK, Feature.SCAN, Feature.LOCK, Feature.LANGUAGE, Feature.MAINTENANCE, Feature.TOKEN,
    Feature.DCC, Feature.DATA_CHANGE, Feature.STANDALONE,
})  # fmt: skip
_CODES: Final = {currency.number: currency.code for currency in CURRENCIES.values()}
_REFUSED_START: Final = frozenset(OurErrorCode) - {OurErrorCode.NOTHING_TO_CONFIRM}
_REFUSED_HOLD: Final = frozenset({OurErrorCode.NOTHING_TO_CONFIRM, OurErrorCode.AMOUNT})


@dataclass(slots=True)
class _Running:
    """A settlement that is being carried out."""

    attempt: Attempt
    settlement: Settlement
    witness: Witness
    end: asyncio.Future[End]
    alarm: Alarm
    error: BaseException | None = None
    refusal: ErrorNotification | None = None
    receipts: list[Receipt] = field(default_factory=list)
    receipts_done: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    reads_receipt: bool = False


class KitTerminal(Terminal):
    """A terminal that speaks KIT, over any link."""

    def __init__(self, connection: Connection, context: Context, *, interface: str, is_test: bool = False) -> None:
        super().__init__()
        self._connection = connection
        self._context = context
        self._interface = interface
        self._is_test = is_test
        self._side = connection.side
        self._status = TerminalStatus()
        self._attempts: OrderedDict[str, Attempt] = OrderedDict()
        self._running: _Running | None = None
        self._settling: _Running | None = None
        self._use_case = ""
        self._collector = ReceiptCollector()
        self._receipt_wanted: tuple[int, asyncio.Future[ReceiptPart]] | None = None
        self._receipt_request: ReceiptRequest | None = None
        self._configured = asyncio.Event()
        self._free = asyncio.Event()
        self._orphan: TransactionResponse | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        connection.on_message = self._on_message
        connection.on_error = self._on_error
        connection.on_up = self._on_up
        connection.on_down = self._on_down

    # -- the connection

    async def open(self) -> None:
        await self._connection.open()
        if self._side.status is not None and self._may_fetch(self._side.status.trm_status):
            await self._fetch_configuration()

    async def close(self) -> None:
        await self._connection.close()
        for task in tuple(self._tasks):
            task.cancel()
        for running in (self._running, self._settling):
            if running is not None and not running.end.done():
                running.end.set_result(End(Ending.UNKNOWN, running.settlement.response, None, "the driver was closed"))
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._hub.close()

    # -- what it is and does

    @property
    def capabilities(self) -> Capabilities:
        activated = self._side.activated
        features = set(_FEATURES)
        functions = (activated.trx_functions if activated is not None else None) or 0
        kinds = kinds_of(functions)
        if PaymentKind.AUTHORISATION in kinds:
            features |= {Feature.HOLD, Feature.OPEN_ENTRIES}
        if functions & 0x2000:
            features.add(Feature.TIP_AT_TERMINAL)
        if self._sends_receipts:
            features.add(Feature.UNSOLICITED_RECEIPTS)
        if self._status.e_signature:
            features.add(Feature.E_SIGNATURE)
        numbers = (activated.currencies if activated is not None else None) or ()
        return Capabilities(
            kinds=kinds,
            features=frozenset(features),
            currencies=tuple(code for number in numbers if (code := _CODES.get(number))),
            brands=(activated.brands if activated is not None else None) or (),
            languages=("de", "en", "fr", "it"),
        )

    async def info(self) -> TerminalInfo:
        await self._connection.wait_up()
        info = device.info_from_wire(
            self._side.connected, self._side.activated, interface=self._interface, sequence=self._side.trx_seq_cnt
        )
        return replace(info, is_test=self._is_test)

    async def status(self) -> TerminalStatus:
        await self._connection.call(StatusRequest(), StatusResponse)
        return self._status

    # -- payments

    async def transact(self, request: PaymentRequest, *, witness: Witness = CONFIRM_ALL) -> Payment:
        with self._exclusive(f"a {request.kind.value}"):
            await self._get_ready(request)
            attempt = Attempt(
                request,
                Facts(
                    counter_before=self._side.trx_seq_cnt,
                    is_hold=request.kind is PaymentKind.AUTHORISATION,
                ),
            )
            self._remember(attempt)
            await witness.sending(evidence_of(attempt))
            if not self._connection.is_up:
                self._attempts.pop(request.reference, None)
                raise LinkLost("the connection went away before the request was sent", request_sent=False)
            wire = request_to_wire(request, software=self._software)
            settlement = Settlement(
                wire, attempt.facts, waits=self._context.waits, open_holds=frozenset(self._side.holds)
            )
            running = self._run(attempt, settlement, witness)
            self._running = running
            try:
                settlement.begin(now_s=self._now_s())
                self._emit_progress(attempt, Progress.SENT)
                self._carry_out(running)
                end = await self._await_end(running)
                return await self._concluded(running, end)
            finally:
                self._running = None
                self._retire(running)

    async def settle(self, hold: HoldId, amount: Money | None) -> Payment:
        if not hold.isascii() or not hold.isdigit():
            raise InvalidRequest(f"not a hold of this terminal: {hold[:32]!r}", remedy="pass the id that hold() gave")
        sequence = int(hold)
        if self._settling is not None:
            raise TerminalBusy("another hold is being settled")
        await self._connection.wait_up()
        attempt = self._attempt_of(sequence) or Attempt(
            PaymentRequest(kind=PaymentKind.AUTHORISATION, amount=amount or Money.of(1, "CHF")), Facts(is_hold=True)
        )
        known = attempt.payment
        confirm = amount is not None and amount.amount > 0
        if known is not None and known.state in {PaymentState.CAPTURED, PaymentState.RELEASED}:
            return settled_before(known, amount if confirm else None)
        facts = Facts(
            is_hold=True, sequence=sequence, confirm=confirm, amount_minor=amount.amount if amount and confirm else None
        )
        settlement = Settlement(None, facts, waits=self._context.waits, open_holds=frozenset(self._side.holds))
        self._side.holds.add(sequence)
        running = self._run(attempt, settlement, CONFIRM_ALL)
        self._settling = running
        try:
            settlement.settle_hold(now_s=self._now_s())
            self._carry_out(running)
            end = await self._await_end(running)
            if end.ending is Ending.REFUSED:
                raise self._refusal(running, "the settlement of the hold")
            payment = self._hold_payment(running, end, amount if confirm else None)
            attempt.payment = payment
            return payment
        finally:
            self._settling = None
            self._retire(running)

    async def extend(self, seconds: int, text: str = "") -> None:
        await self._connection.call(
            ConfirmationTimeExtensionRequest(seconds=seconds, cardholder_text=text or None),
            ConfirmationTimeExtensionResponse,
        )

    async def abort(self, *, silent: bool = False) -> None:
        running = self._running
        if running is None:
            return
        running.settlement.abort(silent=silent, now_s=self._now_s())
        self._carry_out(running)

    async def lookup(
        self, reference: str = "", *, sequence: int | None = None, evidence: Evidence | None = None
    ) -> Payment:
        attempt = self._attempts.get(reference) or (self._attempt_of(sequence) if sequence is not None else None)
        if attempt is not None and attempt.payment is not None and attempt.payment.outcome is not Outcome.UNKNOWN:
            return attempt.payment
        if attempt is None and evidence is not None:
            attempt = attempt_from(reference, evidence, sequence)
            attempt.late, self._orphan = self._orphan, None
            self._remember(attempt)
        if attempt is None:
            raise PaymentNotFound(f"nothing is known here of {reference or sequence!r}")
        if self._running is not None and self._running.attempt is attempt:
            raise TerminalBusy("this payment is still running")
        with self._exclusive("a lookup"):
            await self._connection.wait_up()
            return await self._resume(attempt)

    async def open_entries(self) -> tuple[OpenEntry, ...]:
        reports = await self._report(ReportType.OPEN_PETROL_AUTHORIZATIONS)
        return tuple(entry for report in reports for entry in device.entries_from_report(report))

    # -- shift and figures

    async def open_shift(self, *, attendant: str = "", attendant_number: int | None = None) -> ShiftInfo:
        with self._exclusive("opening the shift"):
            await self._wait_free()
            answer = await self._connection.call(
                ActivationRequest(attendant_name=attendant or None, attendant_number=attendant_number),
                ActivationResponse,
            )
            self._configured.set()
            return ShiftInfo(True, answer.act_seq_cnt, answer.pe_seq_cnt)

    async def close_shift(self) -> ShiftInfo:
        with self._exclusive("closing the shift"):
            await self._wait_free()
            await self._connection.call(DeactivationRequest(), DeactivationResponse)
            activated = self._side.activated
            await self._receipt_if_asked(ReceiptType.DEACTIVATION)
            return ShiftInfo(
                False,
                activated.act_seq_cnt if activated is not None else None,
                activated.pe_seq_cnt if activated is not None else None,
            )

    async def totals(self, period: Period = Period.SHIFT) -> Totals:
        number = ReportType.SHIFT_SUM if period is Period.SHIFT else ReportType.ACCOUNTING_PERIOD_SUM
        return device.totals_from_reports(await self._report(number), period)

    async def end_of_day(self) -> Totals:
        with self._exclusive("the end of day"):
            await self._wait_free()
            totals = Totals(Period.ACCOUNTING_PERIOD)
            with contextlib.suppress(TerminalRefused):  # before the balance, or never (4.8)
                totals = await self.totals(Period.ACCOUNTING_PERIOD)
            receipts: list[str] = []

            def keep(event: object) -> None:
                if isinstance(event, ReceiptPrinted) and event.receipt.kind is ReceiptKind.END_OF_DAY:
                    receipts.append(event.receipt.text)

            stop = self.listen(keep)
            try:
                await self._connection.call(BalanceRequest(), BalanceResponse)
                await self._receipt_if_asked(ReceiptType.FINAL_BALANCE)
                await self._connection.call(StatusRequest(), StatusResponse)
            finally:
                stop()
            return Totals(totals.period, totals.totals, receipts[0] if receipts else "")

    async def receipt(self, kind: ReceiptKind = ReceiptKind.MERCHANT, *, number: int | None = None) -> Receipt:
        wanted = device.receipt_type(kind)
        if wanted is None:
            raise NotSupported(f"repeat a receipt of kind {kind.value}", self._interface)
        part = await self._fetch_receipt(ReceiptRequest(receipt_type=wanted, receipt_id_numeric=number))
        return device.receipt_from_part(part, sequence=number)

    # -- the device

    async def print(self, text: str = "", *, image_png: bytes = b"", double_height: bool = False,
                    double_width: bool = False, inverse: bool = False, more: bool = False) -> Printer:  # fmt: skip
        flags = (
            (ReceiptFlags.DOUBLE_HEIGHT if double_height else 0)
            | (ReceiptFlags.DOUBLE_WIDTH if double_width else 0)
            | (ReceiptFlags.INVERSE if inverse else 0)
        )
        printer = Printer.FINE
        for message in device.print_requests(text, image_png, int(flags), more=more):
            answer = await self._connection.call(message, PrintReceiptResponse)
            printer = device.printer_from_wire(answer.printer_status)
            if printer:
                break
        return printer

    async def ask(self, dialog: Dialog) -> Answer:
        with self._exclusive("a dialog"):
            answer = await self._connection.call(
                device.dialog_to_wire(dialog), DialogResponse, wait_s=dialog.timeout_s + self._context.waits.margin_s
            )
            return device.answer_from_wire(answer)

    async def cancel_ask(self) -> None:
        await self._connection.wait_up()
        self._connection.send(CancelUIRequest())

    async def scan(self, *, title: str = "", text: str = "", timeout_s: float = 60.0) -> str:
        request = DeviceCommandRequest(
            device_command_code=int(DeviceCommandCode.SCAN_BARCODE),
            timeout=round(timeout_s * 1000),
            title=title or None,
            text=text or None,
        )
        with self._exclusive("a scan"):
            # The library's 30 s are shorter than the scan's own time (4.8).
            answer = await self._connection.call(request, DeviceCommandResponse, wait_s=timeout_s + 5)
            return answer.scanned_data or ""

    async def maintain(self, work: Maintenance, *, acquirer_id: int | None = None, text: str = "") -> None:
        if work is Maintenance.ABORT_SCAN:
            await self._connection.wait_up()
            code = int(DeviceCommandCode.ABORT_BARCODE_SCANNING)
            self._connection.send(DeviceCommandRequest(device_command_code=code))
            return
        with self._exclusive(work.value):
            await self._wait_free()
            await self._maintain(work, acquirer_id, text)

    async def _maintain(self, work: Maintenance, acquirer_id: int | None, text: str) -> None:
        call = self._connection.call
        match work:
            case Maintenance.CONFIGURE:
                await call(ConfigurationRequest(), ConfigurationResponse)
                await self._receipt_if_asked(ReceiptType.CONFIGURATION)
                await self._reconfigure()
            case Maintenance.INITIALISE:
                await call(InitializationRequest(acq_id=acquirer_id), InitializationResponse)
                await self._receipt_if_asked(ReceiptType.INITIALIZATION, acquirer_id)
                await self._reconfigure()
            case Maintenance.SUBMIT:  # P-34: bit 0x01 always
                flags = BatchCaptureFlags.MANUAL | BatchCaptureFlags.NO_TRANSMISSION
                await call(BatchCaptureRequest(batch_capture_flags=int(flags)), BatchCaptureResponse)
            case Maintenance.TRANSMIT:
                flags = BatchCaptureFlags.MANUAL | BatchCaptureFlags.NO_SUBMISSION
                await call(BatchCaptureRequest(batch_capture_flags=int(flags)), BatchCaptureResponse)
            case _:
                code = int(device.COMMAND_OF_WORK[work])
                extra = text if work is Maintenance.DISCONNECTED_TEXT else None
                await call(DeviceCommandRequest(device_command_code=code, cardholder_text=extra), DeviceCommandResponse)

    async def lock(self) -> None:
        await self._connection.call(LockEFTOperationsRequest(), LockEFTOperationsResponse)

    async def unlock(self) -> None:
        await self._connection.call(UnlockEFTOperationsRequest(), UnlockEFTOperationsResponse)

    async def set_language(self, language: str) -> None:
        await self._connection.call(SetTerminalLanguageRequest(trm_lng=language), SetTerminalLanguageResponse)

    # -- one use case at a time

    @contextlib.contextmanager
    def _exclusive(self, what: str) -> Iterator[None]:
        if self._use_case:
            raise TerminalBusy(f"the terminal is busy with {self._use_case}")
        self._use_case = what
        try:
            yield
        finally:
            self._use_case = ""

    async def _get_ready(self, request: PaymentRequest) -> None:
        """Everything that must hold before a payment may start; nothing is sent that moves money."""
        await self._connection.wait_up()
        await self._clear_the_past()
        status = await self._wait_free(card_first=True)
        if not status.shift_open:
            raise TerminalRefused(
                "the shift is closed", money_moved=MoneyMoved.NO, remedy="open the shift, then try again"
            )
        if self._side.activated is None:
            await self._fetch_configuration()
        capabilities = self.capabilities
        if capabilities.kinds and request.kind not in capabilities.kinds:
            raise NotSupported(f"do a {request.kind.value}", self._interface, why="the terminal's contract lacks it")
        total = request.total
        if total is not None and capabilities.currencies and total.currency.code not in capabilities.currencies:
            raise InvalidRequest(f"the terminal takes {', '.join(capabilities.currencies)}, not {total.currency.code}")

    async def _clear_the_past(self) -> None:
        """An earlier payment that is still open is settled before another may start."""
        for attempt in reversed(tuple(self._attempts.values())):
            if attempt.is_open:
                await self._resume(attempt)
                break
        if self._orphan is not None:
            await self._roll_back_orphan(self._orphan)
        self._side.settled()

    async def _roll_back_orphan(self, response: TransactionResponse) -> None:
        """An approval from before our start that nobody has looked up: nobody was told of it, so it is taken back."""
        self._orphan = None
        if response.trx_result == TrxResult.APPROVED and response.trx_seq_cnt not in self._side.holds:
            facts = Facts(sequence=response.trx_seq_cnt)
            request = PaymentRequest(kind=PaymentKind.REVERSAL)
            await self._resume(Attempt(request, facts, late=response))

    async def _wait_free(self, *, card_first: bool = False) -> TerminalStatus:
        """The status, once the terminal is free (P-40).

        Raises:
            TerminalBusy: it is not.
        """
        await self._connection.wait_up()
        if self._is_free(self._status, card_first=card_first):
            return self._status
        self._free.clear()
        stop = self._context.clock.call_at(self._now_s() + BUSY_S, self._free.set)
        try:
            await self._free.wait()
        finally:
            stop()
        if not self._is_free(self._status, card_first=card_first):
            await self._connection.call(StatusRequest(), StatusResponse)
        if not self._is_free(self._status, card_first=card_first):
            why = "locked" if self._status.locked else "busy"
            raise TerminalBusy(f"the terminal is {why}", remedy="see what its display shows; abort it there or wait")
        return self._status

    @staticmethod
    def _is_free(status: TerminalStatus, *, card_first: bool) -> bool:
        if status.locked:
            return False
        return not status.busy or (card_first and status.card_read and status.wants_request)

    # -- carrying a settlement out

    def _run(self, attempt: Attempt, settlement: Settlement, witness: Witness) -> _Running:
        end: asyncio.Future[End] = asyncio.get_running_loop().create_future()

        def ring() -> None:
            settlement.handle_deadline(now_s=self._now_s())
            self._carry_out(running)

        running = _Running(attempt, settlement, witness, end, Alarm(self._context.clock, ring))
        return running

    def _carry_out(self, running: _Running) -> None:
        """Do what the settlement wants now."""
        while actions := running.settlement.actions():
            for action in actions:
                match action:
                    case Send(message):
                        self._send_for(running, message)
                    case AskWitness(response):
                        self._emit_progress(running.attempt, Progress.APPROVED)
                        self._spawn(running, self._ask_witness(running, response))
                    case End():
                        if not running.end.done():
                            running.end.set_result(action)
        running.attempt.facts = running.settlement.facts
        running.alarm.set(running.settlement.deadline_s())

    def _send_for(self, running: _Running, message: Message) -> None:
        running.reads_receipt = isinstance(message, ReceiptRequest)
        if isinstance(message, ReceiptRequest):
            self._receipt_request = message
        try:
            self._connection.send(message)
        except LocalProtocolError:
            # The session went between two steps: the settlement hears of it as a lost link.
            running.settlement.link_down(now_s=self._now_s())

    async def _ask_witness(self, running: _Running, response: TransactionResponse) -> None:
        payment = payment_from_response(response, running.attempt.request)
        if running.attempt.facts.is_hold:
            payment = payment.but(state=PaymentState.HELD)
        settlement = running.settlement
        try:
            decision = await running.witness.approved(payment)
            check_decision(decision, payment)
        except asyncio.CancelledError:
            raise
        except Exception as exc:
            running.error = exc
            settlement.witness_failed(now_s=self._now_s())
        else:
            self._emit_progress(running.attempt, Progress.CONFIRMING)
            final = decision.amount
            lower = final is not None and final != payment.approved
            settlement.decided(
                confirm=decision.confirm,
                amount_minor=final.amount if lower and final is not None else None,
                now_s=self._now_s(),
            )
        self._carry_out(running)

    async def _await_end(self, running: _Running) -> End:
        """The end; if the caller is cancelled, the payment is stopped and brought to its end first."""
        try:
            return await asyncio.shield(running.end)
        except asyncio.CancelledError:
            settlement = running.settlement
            settlement.abort(silent=False, now_s=self._now_s())
            if settlement.phase is Phase.DECIDING:
                settlement.witness_failed(now_s=self._now_s())
            self._carry_out(running)
            end = await running.end
            running.attempt.payment = self._payment(running, end)
            raise

    async def _concluded(self, running: _Running, end: End) -> Payment:
        if end.ending is Ending.REFUSED:
            self._attempts.pop(running.attempt.request.reference, None)
            raise self._refusal(running, f"the {running.attempt.request.kind.value}")
        payment = self._payment(running, end)
        running.attempt.payment = payment
        if end.ending is Ending.HELD and payment.sequence is not None:
            self._side.holds.add(payment.sequence)
        if end.ending is Ending.CONFIRMED:
            await self._gather_receipts(running, payment)
            payment = payment.but(receipts=tuple(running.receipts))
            running.attempt.payment = payment
        if end.ending is not Ending.UNKNOWN:
            self._side.settled()
        self._emit_progress(running.attempt, Progress.DONE)
        if running.error is not None:
            raise running.error
        return payment

    async def _resume(self, attempt: Attempt) -> Payment:
        """Find out what became of a payment that was given up."""
        settlement = Settlement(None, attempt.facts, waits=self._context.waits, open_holds=frozenset(self._side.holds))
        self._side.settled()
        running = self._run(attempt, settlement, CONFIRM_ALL)
        previous, self._running = self._running, running
        try:
            self._emit_progress(attempt, Progress.RECOVERING)
            status = self._side.status.trm_status if self._side.status is not None else None
            settlement.resume(status, response=attempt.late, now_s=self._now_s())
            self._carry_out(running)
            end = await self._await_end(running)
            payment = self._payment(running, end)
            attempt.payment = payment
            if end.ending is not Ending.UNKNOWN:
                self._side.settled()
            return payment
        finally:
            self._running = previous
            self._retire(running)

    def _payment(self, running: _Running, end: End) -> Payment:
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
        if end.ending is Ending.CONFIRMED and payment.approved is None:
            payment = payment.but(approved=request.total)
        if end.ending is Ending.CONFIRMED and facts.amount_minor is not None and payment.approved is not None:
            payment = payment.but(approved=Money(facts.amount_minor, payment.approved.currency))
        return ended(payment, end)

    def _hold_payment(self, running: _Running, end: End, amount: Money | None) -> Payment:
        known = running.attempt.payment
        request = running.attempt.request
        payment = known or Payment(
            reference=request.reference,
            kind=PaymentKind.AUTHORISATION,
            outcome=Outcome.UNKNOWN,
            state=PaymentState.UNKNOWN,
            sequence=running.settlement.facts.sequence,
        )
        if end.ending is Ending.CONFIRMED:
            self._side.holds.discard(running.settlement.facts.sequence or -1)
            return payment.but(outcome=Outcome.APPROVED, state=PaymentState.CAPTURED, approved=amount)
        if end.ending is Ending.RELEASED:
            self._side.holds.discard(running.settlement.facts.sequence or -1)
            return payment.but(outcome=Outcome.ABORTED, state=PaymentState.RELEASED, approved=None)
        if end.ending is Ending.FAILED:
            return payment.but(outcome=Outcome.FAILED, state=PaymentState.RELEASED, approved=None, message=end.why)
        return payment.but(outcome=Outcome.UNKNOWN, state=PaymentState.UNKNOWN, message=end.why)

    def _refusal(self, running: _Running, what: str) -> TerminalError:
        if running.refusal is None:
            return TerminalRefused(f"the terminal refused {what}", money_moved=MoneyMoved.NO)
        return error_of(running.refusal, what)

    def _retire(self, running: _Running) -> None:
        running.alarm.cancel()
        for task in running.tasks:
            task.cancel()

    # -- receipts

    @property
    def _software(self) -> int | None:
        return self._side.connected.software_version if self._side.connected is not None else None

    @property
    def _sends_receipts(self) -> bool:
        return self._software is None or self._software >= UNSOLICITED_SOFTWARE

    async def _gather_receipts(self, running: _Running, payment: Payment) -> None:
        """The receipts of a payment: they come unasked, or are asked for. Source: 4.7. Money no longer depends on it."""
        if not self._sends_receipts:
            for number in (ReceiptType.TRANSACTION, ReceiptType.TRANSACTION_COPY):
                with contextlib.suppress(TerminalError):
                    await self._fetch_receipt(
                        ReceiptRequest(receipt_type=int(number), receipt_id_numeric=payment.sequence)
                    )
            return
        stop = self._context.clock.call_at(self._now_s() + RECEIPTS_S, running.receipts_done.set)
        try:
            await running.receipts_done.wait()
        finally:
            stop()

    async def _fetch_receipt(self, request: ReceiptRequest) -> ReceiptPart:
        """One whole receipt: the request is repeated unchanged while more parts follow (4.7)."""
        if self._receipt_wanted is not None:
            raise TerminalBusy("another receipt is being fetched")
        await self._connection.wait_up()
        future: asyncio.Future[ReceiptPart] = asyncio.get_running_loop().create_future()
        wait_s = self._context.waits.register_s(Operation.SHORT)

        def late() -> None:
            if not future.done():
                future.set_exception(PeerSilent("the terminal did not send the receipt in time"))

        stop = self._context.clock.call_at(self._now_s() + wait_s, late)
        self._receipt_wanted = (request.receipt_type, future)
        self._receipt_request = request
        try:
            self._connection.send(request)
            return await future
        finally:
            stop()
            self._receipt_wanted = None
            self._receipt_request = None

    async def _receipt_if_asked(self, number: ReceiptType, of: int | None = None) -> None:
        """Old terminals hand out the receipt of a service only on request. Source: 4.7."""
        if not self._sends_receipts:
            with contextlib.suppress(TerminalError):
                await self._fetch_receipt(ReceiptRequest(receipt_type=int(number), receipt_id_numeric=of))

    def _receipt_came(self, message: ReceiptResponse) -> None:
        part = self._collector.add(message)
        asked = self._receipt_request
        if part is None:
            if asked is not None and asked.receipt_type == message.receipt_type:
                with contextlib.suppress(LocalProtocolError):
                    self._connection.send(asked)
            return
        receipt = device.receipt_from_part(part)
        wanted, running = self._receipt_wanted, self._running
        is_answer = wanted is not None and wanted[0] == part.kind
        if running is not None and running.reads_receipt and part.kind == ReceiptType.TRANSACTION:
            running.reads_receipt = False
            self._receipt_request = None
            running.settlement.receipt(part.text, now_s=self._now_s())
            self._carry_out(running)
            return
        if running is not None and receipt.kind in {ReceiptKind.MERCHANT, ReceiptKind.CUSTOMER}:
            running.receipts.append(receipt)
            if receipt.kind is ReceiptKind.CUSTOMER:
                running.receipts_done.set()
        if is_answer and wanted is not None and not wanted[1].done():
            wanted[1].set_result(part)
        if not is_answer or not self._sends_receipts:
            self._hub.emit(ReceiptPrinted(receipt))
        if part.kind in {ReceiptType.CONFIGURATION, ReceiptType.INITIALIZATION} and not self._use_case:
            self._spawn(None, self._reconfigure())  # 4.5: a scheduled task has changed the lists

    async def _report(self, number: ReportType) -> list[ReportResponse]:
        reports = []
        for _ in range(REPORT_PAGES_MAX):
            answer = await self._connection.call(ReportRequest(report_type=int(number)), ReportResponse)
            reports.append(answer)
            if not (answer.report_flags or 0) & ReportFlags.MORE_ENTRIES:
                break
        return reports

    # -- what arrives

    def _on_message(self, message: Message) -> None:
        match message:
            case StatusResponse():
                self._status_came(message)
            case ReceiptResponse():
                self._receipt_came(message)
            case DisplayNotification():
                self._hub.emit(DisplayShown(message.cardholder_text or "", message.cardholder_resource))
            case RFIDStatusNotification() if message.rfid_status is not None:
                self._hub.emit(ReaderChanged(device.reader_from_wire(message.rfid_status)))
            case TransactionDataChangeRequest():
                self._spawn(self._running, self._change_amount(message))
            case TransactionResponse() if self._running is None:
                self._answer_without_request(message)
            case _:
                pass
        for running in self._carried():
            running.settlement.received(message, now_s=self._now_s())
            self._carry_out(running)

    def _status_came(self, message: StatusResponse) -> None:
        before = self._status
        self._status = device.status_from_wire(message, before)
        if self._status.is_ready or not self._status.busy:
            self._free.set()
        if before != self._status:
            self._hub.emit(StatusChanged(self._status))
        if before.shift_open != self._status.shift_open:
            self._hub.emit(ShiftChanged(self._status.shift_open))
        self._progress_of(message.trm_status)
        for running in self._carried():
            running.settlement.status(message.trm_status, now_s=self._now_s())
            self._carry_out(running)

    def _carried(self) -> list[_Running]:
        """Whose turn it is: a hold being settled comes first, its answer has no other address."""
        return [running for running in (self._settling, self._running) if running is not None][:2]

    def _progress_of(self, status: int) -> None:
        running = self._running
        if running is None or running.settlement.phase is not Phase.RUNNING:
            return
        for flag, progress in (
            (TrmStatus.ONLINE_PROCESSING, Progress.ONLINE),
            (TrmStatus.WAITING_FOR_APPLICATION_SELECTION, Progress.CHOOSING),
            (TrmStatus.CARD_DATA_AVAILABLE, Progress.CARD_READ),
            (TrmStatus.BUSY, Progress.WAITING_FOR_CARD),
        ):
            if status & flag:
                self._emit_progress(running.attempt, progress)
                return

    def _answer_without_request(self, message: TransactionResponse) -> None:
        """An answer that came too late, or that the terminal tells again after our restart: kept for `lookup`."""
        for attempt in reversed(tuple(self._attempts.values())):
            if attempt.is_open:
                attempt.late = message
                break
        else:
            self._orphan = message

    def _on_error(self, request: str, error: ErrorNotification) -> None:
        now_s = self._now_s()
        ours = error.error_source == "ECR"
        if request == "ReceiptRequest" and self._receipt_wanted is not None:
            future = self._receipt_wanted[1]
            if not future.done():
                future.set_exception(error_of(error, request))
            return
        for running in self._carried():
            settlement = running.settlement
            if not concerns(settlement.phase, request):
                continue
            codes = _REFUSED_HOLD if running is self._settling else _REFUSED_START
            running.refusal = error
            settlement.error(refused=ours and error.error_code in codes, now_s=now_s)
            self._carry_out(running)
            return
        self._hub.emit(Notice(error.error_description or "", error.error_code, error.error_source or ""))

    def _on_up(self, status: StatusResponse) -> None:
        self._collector.clear()
        self._hub.emit(LinkChanged(True))
        for running in self._carried():
            running.settlement.session_up(status.trm_status, now_s=self._now_s())
            self._carry_out(running)
        if self._may_fetch(status.trm_status) and not self._use_case:
            self._spawn(None, self._fetch_quietly())

    def _on_down(self, why: str) -> None:
        self._free.set()
        if self._receipt_wanted is not None and not self._receipt_wanted[1].done():
            self._receipt_wanted[1].set_exception(LinkLost(f"the connection ended: {why}", request_sent=True))
        for running in self._carried():
            running.receipts_done.set()
            running.settlement.link_down(now_s=self._now_s())
            self._carry_out(running)
        self._hub.emit(LinkChanged(False, why))

    async def _change_amount(self, message: TransactionDataChangeRequest) -> None:
        """The card gives a discount: the witness names the new amount; without one it stays (4.6)."""
        running = self._running
        amount = running.attempt.request.total if running is not None else None
        reasons: tuple[Mapping[str, int], ...] = tuple(
            {name: value for name, value in reason.wire_items() if isinstance(value, int)}
            for reason in message.set_trx_data_change_reason or ()
        )
        if running is not None and amount is not None:
            amount = await running.witness.amount_for(amount, reasons)
        with contextlib.suppress(LocalProtocolError):
            self._connection.send(TransactionDataChangeResponse(amt_auth=amount.amount if amount is not None else None))

    # -- the configuration

    @staticmethod
    def _may_fetch(status: int) -> bool:
        return bool(status & TrmStatus.SHIFT_OPEN) and not status & (TrmStatus.BUSY | TrmStatus.LOCKED)

    async def _fetch_configuration(self) -> None:
        """Functions, currencies, brands and the counter; on an open shift this opens nothing (4.5, P-31)."""
        await self._connection.call(ActivationRequest(), ActivationResponse)
        self._configured.set()

    async def _fetch_quietly(self) -> None:
        with contextlib.suppress(TerminalError):
            await self._fetch_configuration()

    async def _reconfigure(self) -> None:
        """Functions, currencies and brands change with a configuration (4.5)."""
        if self._status.shift_open:
            with contextlib.suppress(TerminalError):
                await self._fetch_configuration()

    # -- small things

    def _now_s(self) -> float:
        return self._context.clock.now_s()

    def _spawn(self, running: _Running | None, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        tasks = self._tasks if running is None else running.tasks
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def _emit_progress(self, attempt: Attempt, progress: Progress) -> None:
        self._hub.emit(ProgressChanged(attempt.request.reference, progress))

    def _remember(self, attempt: Attempt) -> None:
        self._attempts[attempt.request.reference] = attempt
        while len(self._attempts) > ATTEMPTS_MAX:
            self._attempts.popitem(last=False)

    def _attempt_of(self, sequence: int) -> Attempt | None:
        for attempt in reversed(tuple(self._attempts.values())):
            if attempt.payment is not None and attempt.payment.sequence == sequence:
                return attempt
        return None
