"""`KitEndpoint`: lets a KIT register use any `Terminal`. One register at a time; a payment outlives its link. I/O.

The register's decision about an approval is asked for by `_RegisterWitness`: the terminal behind waits in `transact`
until the register has sent its TransactionConfirmationRequest, or its time is up.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Final

from zahlwerk.clock import random_source
from zahlwerk.errors import (
    InvalidRequest,
    MoneyMoved,
    NotSupported,
    TerminalBusy,
    TerminalError,
    TerminalRefused,
)
from zahlwerk.events import (
    DisplayShown,
    Notice,
    ReaderChanged,
    ReceiptPrinted,
    StatusChanged,
    TerminalEvent,
    TerminalStatus,
)
from zahlwerk.interfaces.kit import device_conversion as device
from zahlwerk.interfaces.kit.codes import OurErrorCode
from zahlwerk.interfaces.kit.conversion import request_from_wire, response_from_payment
from zahlwerk.interfaces.kit.faulty import FaultyStream
from zahlwerk.interfaces.kit.framing import Link
from zahlwerk.interfaces.kit.gate import introduced, turn_away
from zahlwerk.interfaces.kit.masking import decoded_for_trace, mask_line
from zahlwerk.interfaces.kit.messages import (
    CancelUIRequest,
    ConnectRequest,
    DisplayNotification,
    ErrorNotification,
    Message,
    RFIDStatusNotification,
    TransactionConfirmationResponse,
    TransactionDataChangeRequest,
    TransactionDataChangeResponse,
    TransactionRequest,
    TrxDataChangeReason,
    name_of,
)
from zahlwerk.interfaces.kit.pump import Pump
from zahlwerk.interfaces.kit.service import USE_CASES, Service
from zahlwerk.interfaces.kit.side import PeerGone
from zahlwerk.interfaces.kit.states import Trx
from zahlwerk.interfaces.kit.terminal import (
    AbortWanted,
    Decided,
    ExtensionWanted,
    HoldDecided,
    RegisterCame,
    TerminalSide,
    Wanted,
)
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentKind
from zahlwerk.terminal import CONFIRM, ROLL_BACK, Decision, HoldId, Terminal, TerminalInfo, Witness
from zahlwerk.transport.stream import ByteStream
from zahlwerk.urls import Context, Endpoint, Url

__all__ = ["KitEndpoint"]

_log: Final = logging.getLogger("zahlwerk.kit.endpoint")

# How long to wait between questions about a payment whose outcome nobody knows.
LOOKUP_PAUSES_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
# LIMIT: connections that have not introduced themselves, while a register is being served.
WAITING_MAX: Final = 128
# LIMIT: after so long the register has given up; the payment stays UNKNOWN for a person.
LOOKUPS_MAX: Final = 20

Serve = Callable[[ByteStream], Coroutine[None, None, None]]
Stop = Callable[[], Coroutine[None, None, None]]
StartListening = Callable[[Serve], Coroutine[None, None, tuple[Url, Stop]]]
"""Begins to listen with a handler for connections; gives the actual address and the function that stops it."""


class _RegisterWitness(Witness):
    """Asks the register on the other side of the link."""

    def __init__(self, endpoint: KitEndpoint) -> None:
        self._endpoint = endpoint

    async def approved(self, payment: Payment) -> Decision:
        return await self._endpoint._ask_register(payment)

    async def amount_for(self, amount: Money, reasons: tuple[Mapping[str, int], ...]) -> Money:
        return await self._endpoint._ask_amount(amount, reasons)


class KitEndpoint(Endpoint):
    """Serves one terminal to KIT registers, whatever the link below."""

    def __init__(
        self,
        terminal: Terminal,
        start_listening: StartListening,
        make_link: Callable[[], Link],
        context: Context,
        *,
        takes_over: bool = True,
    ) -> None:
        """Args:
        takes_over: a second register takes the place of the first; otherwise it is turned away (1.2, our choice).
        """
        self._terminal = terminal
        self._start_listening = start_listening
        self._make_link = make_link
        self._context = context
        self._takes_over = takes_over
        self._side = TerminalSide(waits=context.waits)
        self._witness = _RegisterWitness(self)
        self._service = Service(terminal, self._side)
        self._random = random_source(context.seed)
        self._pump: Pump | None = None
        self._stop_listening: Callable[[], Coroutine[None, None, None]] | None = None
        self._unlisten: Callable[[], None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._transaction: asyncio.Task[None] | None = None
        self._use_case: asyncio.Task[None] | None = None
        self._decision: asyncio.Future[tuple[bool, int | None]] | None = None
        self._decide_until_s = 0.0
        self._new_amount: asyncio.Future[int | None] | None = None
        self._status = TerminalStatus()
        self._peer = ""
        self._waiting: dict[ByteStream, None] = {}
        self._held_back: list[TerminalEvent] = []
        self._holding_back = False
        self._info = TerminalInfo()
        self._closing = False

    # -- the endpoint

    async def start(self) -> Url:
        self._closing = False
        await self._terminal.open()
        await self._refresh()
        self._unlisten = self._terminal.listen(self._on_terminal_event)
        try:
            url, self._stop_listening = await self._start_listening(self._serve)
        except BaseException:
            self._unlisten()
            raise
        return url

    async def close(self) -> None:
        self._closing = True
        if self._stop_listening is not None:
            stop, self._stop_listening = self._stop_listening, None
            await stop()
        if self._decision is not None and not self._decision.done():
            self._decision.set_result((False, None))
        if self._transaction is not None and not self._transaction.done():
            with contextlib.suppress(TerminalError):
                await self._terminal.abort()
            await asyncio.gather(self._transaction, return_exceptions=True)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._unlisten is not None:
            self._unlisten()
            self._unlisten = None

    @property
    def is_connected(self) -> bool:
        """True while a register has a session."""
        return self._side.is_connected

    # -- connections

    async def _serve(self, stream: ByteStream) -> None:
        if self._pump is not None:
            newcomer = await self._introduced(stream)
            if newcomer is None:
                return
            if self._has_pump() and not self._may_take_over(newcomer):
                await turn_away(stream)
                return
            stream = newcomer
        if self._closing:
            return
        if self._pump is not None:
            self._side.refuse(OurErrorCode.UNCERTAIN, "Another register has connected")
            self._turn()
            self._pump.hang_up("another register has connected")
            self._lost_register()
        self._peer = stream.peer
        faults = self._terminal.link_faults
        if faults is not None:
            stream = FaultyStream(stream, faults, self._context.clock)
        pump = Pump(stream, self._make_link(), self._side, clock=self._context.clock, on_events=self._drain)
        self._pump = pump
        number = self._open_trace(stream)
        why = "cancelled"
        try:
            self._side.link_up(now_s=self._now_s())
            why = await pump.run()
        finally:
            if self._context.trace is not None:
                self._context.trace.closed(number, why=why)
            if self._pump is pump:
                self._pump = None
                self._lost_register()

    def _open_trace(self, stream: ByteStream) -> int:
        trace = self._context.trace
        if trace is None:
            return 0
        number = trace.new_link()
        trace.opened(number, protocol="kit", local=stream.local, peer=stream.peer)

        def tap(sent: bool, line: bytes) -> None:
            trace.message(number, sent=sent, raw=mask_line(line), decoded=decoded_for_trace(line))

        self._side.tap = tap
        return number

    def _lost_register(self) -> None:
        """The register has gone. Before the card: stop. Later: finish, and wait for its decision (4.10)."""
        self._side.link_down()
        if self._side.trx is Trx.RUNNING and not self._closing:
            self._spawn(self._abort(silent=False))

    async def _introduced(self, stream: ByteStream) -> ByteStream | None:
        """A further connection waits until it has said that it is a register; the oldest of too many has to go."""
        self._waiting[stream] = None
        if len(self._waiting) > WAITING_MAX:
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            self._spawn(oldest.close())
        try:
            return await introduced(stream, self._context.clock)
        finally:
            self._waiting.pop(stream, None)

    def _may_take_over(self, newcomer: ByteStream) -> bool:
        """Whoever comes from the same host is the register itself, back again; others wait for the end of a payment."""
        is_same_host = newcomer.peer.rpartition(":")[0] == self._peer.rpartition(":")[0]
        return self._takes_over and (is_same_host or not self._is_busy())

    def _has_pump(self) -> bool:
        return self._pump is not None

    def _turn(self) -> None:
        if self._pump is not None:
            self._pump.turn()

    # -- what the register wants

    def _drain(self) -> None:
        for event in self._side.events_received():
            match event:
                case RegisterCame(request):
                    self._register_came(request)
                case Wanted(message):
                    self._wanted(message)
                case Decided(confirm, amount_minor):
                    self._decided(confirm=confirm, amount_minor=amount_minor)
                case HoldDecided():
                    self._spawn(self._settle_hold(event))
                case ExtensionWanted(seconds, text):
                    self._decide_until_s += seconds
                    self._spawn(self._extend(seconds, text))
                case AbortWanted(silent):
                    self._spawn(self._abort(silent=silent))
                case PeerGone(why):
                    if self._pump is not None:
                        self._pump.hang_up(why)

    def _register_came(self, request: ConnectRequest) -> None:
        self._service.connected(request)
        if request.trm_lng is not None and request.trm_lng != self._status.language:
            self._spawn(self._set_language(request.trm_lng))

    def _wanted(self, message: Message) -> None:
        if isinstance(message, TransactionRequest):
            if self._use_case is not None and not self._use_case.done():
                self._side.transaction_refused(OurErrorCode.BUSY)
                return
            self._transaction = self._spawn(self._transact(message))
        elif isinstance(message, TransactionDataChangeResponse):
            if self._new_amount is not None and not self._new_amount.done():
                self._new_amount.set_result(message.amt_auth)
        elif isinstance(message, CancelUIRequest):
            self._spawn(self._quietly(self._terminal.cancel_ask()))
        elif name_of(message) in USE_CASES:
            if self._is_busy():
                self._side.refuse(OurErrorCode.BUSY)
            else:
                self._use_case = self._spawn(self._serve_use_case(message))
        else:
            self._spawn(self._serve_request(message))

    def _is_busy(self) -> bool:
        running = (self._transaction, self._use_case)
        return any(task is not None and not task.done() for task in running)

    async def _serve_use_case(self, message: Message) -> None:
        self._holding_back = True
        try:
            await self._serve_request(message)
        finally:
            self._use_case = None
            self._release_events()
            await self._refresh()

    async def _serve_request(self, message: Message) -> None:
        try:
            await self._service.serve(message)
        except NotSupported as exc:
            self._side.refuse(OurErrorCode.NOT_SUPPORTED, str(exc))
        except TerminalBusy as exc:
            self._side.refuse(OurErrorCode.BUSY, str(exc))
        except TerminalRefused as exc:
            self._side.refuse(_code_of(exc), str(exc))
        except InvalidRequest as exc:
            self._side.refuse(OurErrorCode.MALFORMED, str(exc))
        except TerminalError as exc:
            self._side.refuse(_code_of(exc), str(exc))
        self._turn()

    # -- a transaction

    async def _transact(self, message: TransactionRequest) -> None:
        try:
            request = request_from_wire(
                message, reference=f"kit-{self._random.getrandbits(64):016x}", language=self._side.options.trm_lng or ""
            )
        except InvalidRequest as exc:
            code = OurErrorCode.MISSING_FIELD if "needs" in str(exc) or "missing" in str(exc) else OurErrorCode.AMOUNT
            self._refuse_transaction(code, str(exc))
            return
        except TerminalError as exc:
            self._refuse_transaction(OurErrorCode.MALFORMED, str(exc))
            return
        self._holding_back = False
        try:
            payment = await self._terminal.transact(request, witness=self._witness)
        except TerminalBusy as exc:
            self._refuse_transaction(OurErrorCode.BUSY, str(exc))
        except NotSupported as exc:
            self._refuse_transaction(OurErrorCode.NOT_SUPPORTED, str(exc))
        except TerminalRefused as exc:
            self._refuse_transaction(_code_of(exc), str(exc))
        except InvalidRequest as exc:
            self._refuse_transaction(OurErrorCode.AMOUNT, str(exc))
        except TerminalError as exc:
            self._refuse_transaction(_code_of(exc), str(exc))
        except Exception as exc:
            _log.exception("kit.terminal_failed error=%s", type(exc).__name__)
            self._refuse_transaction(OurErrorCode.UNCERTAIN, "The terminal failed; the outcome is not known")
        else:
            await self._report(message, payment)
        finally:
            self._decision = None
            self._transaction = None
            self._release_events()
            await self._refresh()

    def _refuse_transaction(self, code: OurErrorCode, text: str) -> None:
        if self._side.trx is Trx.RUNNING:
            self._side.transaction_refused(code, text)
        else:
            self._side.decision_failed(OurErrorCode.NOTHING_TO_CONFIRM, text)
        self._turn()

    async def _report(self, message: TransactionRequest, payment: Payment) -> None:
        """Tell the register how it ended; what nobody knows is looked up first, for KIT has no word for it."""
        if payment.outcome is Outcome.UNKNOWN:
            payment = await self._find_out(payment)
        if self._side.trx is Trx.RUNNING:
            await self._report_result(message, payment)
        elif payment.state in {PaymentState.CONFIRMED, PaymentState.CAPTURED}:
            self._side.confirmed(TransactionConfirmationResponse())
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
            payment, function=message.trx_function, terminal_id=self._info.terminal_id or payment.terminal_id
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
            # The terminal behind knows one phase only: money has moved. A rollback becomes a reversal.
            confirm, _ = await self._await_decision()
            if confirm:
                self._side.confirmed(TransactionConfirmationResponse())
                return
            with contextlib.suppress(TerminalError):
                await self._terminal.reverse(sequence=payment.sequence)
            if self._side.trx is Trx.ROLLING_BACK:
                self._side.confirmed(_rolled_back(payment))
            else:
                self._side.expired()

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

    async def _ask_register(self, payment: Payment) -> Decision:
        """The witness of a payment: the register decides, or its time is up."""
        if payment.kind is PaymentKind.AUTHORISATION:
            return CONFIRM  # kept open: the register settles it later, by its TrxSeqCnt (4.6)
        response = response_from_payment(
            payment, function=self._side.running_function, terminal_id=self._info.terminal_id or payment.terminal_id
        )
        self._side.result(response)
        self._turn()
        confirm, amount_minor = await self._await_decision()
        self._holding_back = True
        if not confirm:
            return ROLL_BACK
        if amount_minor is None or payment.approved is None:
            return CONFIRM
        return Decision(confirm=True, amount=Money(amount_minor, payment.approved.currency))

    async def _await_decision(self) -> tuple[bool, int | None]:
        clock = self._context.clock
        self._decision = asyncio.get_running_loop().create_future()
        self._decide_until_s = clock.now_s() + self._context.waits.approval_s
        self._watch_decision(self._decision)
        return await self._decision

    def _watch_decision(self, decision: asyncio.Future[tuple[bool, int | None]]) -> None:
        def due() -> None:
            if decision.done():
                return
            if self._now_s() >= self._decide_until_s:
                decision.set_result((False, None))
            else:
                self._context.clock.call_at(self._decide_until_s, due)

        self._context.clock.call_at(self._decide_until_s, due)

    def _decided(self, *, confirm: bool, amount_minor: int | None) -> None:
        if self._decision is None or self._decision.done():
            self._side.decision_failed(OurErrorCode.NOTHING_TO_CONFIRM)
            return
        self._decision.set_result((confirm, amount_minor))

    async def _ask_amount(self, amount: Money, reasons: tuple[Mapping[str, int], ...]) -> Money:
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

        self._context.clock.call_at(self._now_s() + self._context.waits.short_s, late)
        minor = await future
        return amount if minor is None or minor <= 0 else Money(minor, amount.currency)

    async def _settle_hold(self, wanted: HoldDecided) -> None:
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

    async def _abort(self, *, silent: bool) -> None:
        await self._quietly(self._terminal.abort(silent=silent))

    async def _extend(self, seconds: int, text: str) -> None:
        await self._quietly(self._terminal.extend(seconds, text))

    async def _set_language(self, language: str) -> None:
        await self._quietly(self._terminal.set_language(language))

    async def _quietly(self, work: Coroutine[None, None, None]) -> None:
        """Things that the register is not told about: if the terminal cannot, nothing is lost."""
        with contextlib.suppress(TerminalError):
            await work

    # -- what the terminal tells

    def _on_terminal_event(self, event: TerminalEvent) -> None:
        if isinstance(event, StatusChanged):
            self._status = event.status
            if not event.status.busy and self._is_busy():
                # BUSY goes after the answer has been sent (P-40).
                self._held_back.append(event)
                return
        if self._holding_back:
            self._held_back.append(event)
        else:
            self._tell(event)
            self._turn()

    def _release_events(self) -> None:
        self._holding_back = False
        events, self._held_back = self._held_back, []
        for event in events:
            self._tell(event)
        self._turn()

    def _tell(self, event: TerminalEvent) -> None:
        options = self._side.options
        match event:
            case StatusChanged(status):
                self._side.status_is(device.status_to_wire(status))
            case ReceiptPrinted(receipt) if options.unsolicited_receipts:
                for part in self._service.parts_of(receipt):
                    self._side.tell(part)
            case DisplayShown(text, resource) if options.use_external_display:
                self._side.tell(DisplayNotification(cardholder_text=text, cardholder_resource=resource))
            case ReaderChanged(state) if options.use_external_display:
                self._side.tell(RFIDStatusNotification(rfid_status=device.reader_to_wire(state)))
            case Notice(text, code, source):
                # Never as "ECR": with our own name it would read as the refusal of what the register is doing.
                where = source if source and source != "ECR" else "Terminal"
                self._side.tell(ErrorNotification(error_code=code, error_source=where, error_description=text))
            case _:
                pass

    async def _refresh(self) -> None:
        """Who the terminal is and what it can, as it is now."""
        with contextlib.suppress(TerminalError):
            self._info = await self._terminal.info()
            self._status = await self._terminal.status()
        self._side.identity = device.connect_response(self._info, language=self._status.language)
        self._side.status_is(device.status_to_wire(self._status))

    # -- small things

    def _now_s(self) -> float:
        return self._context.clock.now_s()

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)
        return task

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            _log.error("kit.endpoint_failed error=%s", type(exc).__name__, exc_info=exc)


def _code_of(exc: TerminalError) -> OurErrorCode:
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
