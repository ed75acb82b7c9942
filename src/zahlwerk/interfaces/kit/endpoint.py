"""`KitEndpoint`: lets a KIT register use any `Terminal`. One register at a time; a payment outlives its link. I/O."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from enum import Enum, unique
from typing import Final

from zahlwerk.errors import (
    InvalidRequest,
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
from zahlwerk.interfaces.kit.faulty import FaultyStream
from zahlwerk.interfaces.kit.framing import Link, LinkFailure
from zahlwerk.interfaces.kit.gate import introduced, turn_away
from zahlwerk.interfaces.kit.masking import decoded_for_trace, mask_line
from zahlwerk.interfaces.kit.messages import (
    CancelUIRequest,
    ConnectRequest,
    DisplayNotification,
    ErrorNotification,
    Message,
    RFIDStatusNotification,
    TransactionDataChangeResponse,
    TransactionRequest,
)
from zahlwerk.interfaces.kit.service import Service, is_use_case
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
from zahlwerk.interfaces.kit.transactions import Transactions, code_of
from zahlwerk.terminal import Terminal, TerminalInfo
from zahlwerk.transport.pump import Pump
from zahlwerk.transport.stream import ByteStream
from zahlwerk.urls import Context, Endpoint, Url

__all__ = ["KitEndpoint", "Takeover"]

_log: Final = logging.getLogger("zahlwerk.kit.endpoint")

# How long a register has to answer a heartbeat before another one takes its place.
ALIVE_S: Final = 2.0
# LIMIT: connections that have not introduced themselves, while a register is being served.
WAITING_MAX: Final = 128

Serve = Callable[[ByteStream], Coroutine[None, None, None]]
Stop = Callable[[], Coroutine[None, None, None]]
StartListening = Callable[[Serve], Coroutine[None, None, tuple[Url, Stop]]]
"""Begins to listen with a handler for connections; gives the actual address and the function that stops it."""


@unique
class Takeover(Enum):
    """When a second register takes the place of the first. Source: KIT fact sheet 1.2 (our choice)."""

    WHEN_SILENT = "silent"
    """Once the first does not answer a heartbeat any more; until then the second is turned away."""
    ALWAYS = "yes"
    """Also from a register that answers, unless a payment runs."""
    NEVER = "no"


class KitEndpoint(Endpoint):
    """Serves one terminal to KIT registers, whatever the link below."""

    def __init__(
        self,
        terminal: Terminal,
        start_listening: StartListening,
        make_link: Callable[[], Link],
        context: Context,
        *,
        takeover: Takeover = Takeover.WHEN_SILENT,
    ) -> None:
        """Args:
        takeover: when a second register takes the place of the first (1.2, our choice).
        """
        self._terminal = terminal
        self._start_listening = start_listening
        self._make_link = make_link
        self._context = context
        self._takeover = takeover
        self._side = TerminalSide(waits=context.waits)
        self._service = Service(terminal, self._side)
        self._transactions = Transactions(terminal, self._side, context, turn=self._turn, hold_back=self._hold_back)
        self._pump: Pump[LinkFailure] | None = None
        self._stop_listening: Callable[[], Coroutine[None, None, None]] | None = None
        self._unlisten: Callable[[], None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._transaction: asyncio.Task[None] | None = None
        self._use_case: asyncio.Task[None] | None = None
        self._status = TerminalStatus()
        self._sign_of_life = asyncio.Event()
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
        self._transactions.give_up()
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
            if self._has_pump() and not await self._may_take_over():
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
        faults = self._terminal.link_faults
        if faults is not None:
            stream = FaultyStream(stream, faults, self._context.clock)
        pump = Pump(
            stream,
            self._make_link(),
            self._side,
            clock=self._context.clock,
            on_events=self._drain,
            on_failure=lambda failure: self._side.not_delivered(failure.payload),
        )
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

    async def _may_take_over(self) -> bool:
        """The place is free if the register that has it does not answer any more, or rests and may be replaced."""
        if self._takeover is Takeover.ALWAYS and not self._is_busy():
            return True
        if self._takeover is Takeover.NEVER:
            return False
        if not self._side.is_connected:
            return True
        heard = self._side.lines_received
        self._sign_of_life.clear()
        self._side.ask_alive()
        self._turn()
        stop = self._context.clock.call_at(self._now_s() + ALIVE_S, self._sign_of_life.set)
        try:
            await self._sign_of_life.wait()
        finally:
            stop()
        return self._side.lines_received == heard or not self._has_pump()

    def _has_pump(self) -> bool:
        return self._pump is not None

    def _turn(self) -> None:
        if self._pump is not None:
            self._pump.turn()

    # -- what the register wants

    def _drain(self) -> None:
        self._sign_of_life.set()
        for event in self._side.events_received():
            match event:
                case RegisterCame(request):
                    self._register_came(request)
                case Wanted(message):
                    self._wanted(message)
                case Decided(confirm, amount_minor):
                    self._transactions.decided(confirm=confirm, amount_minor=amount_minor)
                case HoldDecided():
                    self._spawn(self._transactions.settle_hold(event))
                case ExtensionWanted(seconds, text):
                    self._transactions.extended(seconds)
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
            self._transactions.amount_changed(message.amt_auth)
        elif isinstance(message, CancelUIRequest):
            self._spawn(self._quietly(self._terminal.cancel_ask()))
        elif is_use_case(message):
            if self._is_busy():
                self._side.refuse(OurErrorCode.BUSY)
            else:
                self._use_case = self._spawn(self._serve_use_case(message))
        else:
            self._spawn(self._serve_request(message))

    def _is_busy(self) -> bool:
        running = (self._transaction, self._use_case)
        return any(task is not None and not task.done() for task in running)

    async def _transact(self, message: TransactionRequest) -> None:
        self._holding_back = False
        try:
            await self._transactions.carry_out(message)
        finally:
            self._transaction = None
            self._release_events()
            await self._refresh()

    def _hold_back(self) -> None:
        self._holding_back = True

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
            self._side.refuse(code_of(exc), str(exc))
        except InvalidRequest as exc:
            self._side.refuse(OurErrorCode.MALFORMED, str(exc))
        except TerminalError as exc:
            self._side.refuse(code_of(exc), str(exc))
        self._turn()

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
        self._transactions.terminal_id = self._info.terminal_id
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
