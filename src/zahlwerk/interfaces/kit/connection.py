"""The register's connection to a terminal: dials, introduces itself, stays alive, comes back by itself. I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from zahlwerk.errors import (
    LinkError,
    LinkLost,
    LinkUnavailable,
    MoneyMoved,
    PeerSilent,
    TerminalBusy,
    TerminalError,
    TerminalRefused,
)
from zahlwerk.interfaces.kit.codes import OurErrorCode
from zahlwerk.interfaces.kit.framing import Link, LinkFailure
from zahlwerk.interfaces.kit.masking import decoded_for_trace, mask_line
from zahlwerk.interfaces.kit.messages import (
    ConnectResponse,
    ErrorNotification,
    Message,
    StatusRequest,
    StatusResponse,
    name_of,
)
from zahlwerk.interfaces.kit.register import ANSWERS, RegisterSide, RequestExpired, RequestFailed
from zahlwerk.interfaces.kit.side import Malformed, PeerGone, Received
from zahlwerk.interfaces.kit.states import Session
from zahlwerk.timeouts import Operation
from zahlwerk.transport.pump import Pump
from zahlwerk.transport.stream import ByteStream
from zahlwerk.urls import Context

__all__ = ["Connection", "error_of"]

AnswerT = TypeVar("AnswerT")
Dial = Callable[[], Awaitable[ByteStream]]


def error_of(error: ErrorNotification, request: str) -> TerminalError:
    """An ErrorNotification as one of ours. For requests that move no money."""
    code, source = error.error_code, error.error_source or ""
    text = (error.error_description or f"error {code}").strip()
    if source == "ECR" and code in {OurErrorCode.BUSY, OurErrorCode.LOCKED}:
        return TerminalBusy(f"the terminal is busy: {text}")
    remedy = "open the shift, then try again" if source == "ECR" and code == OurErrorCode.SHIFT_CLOSED else None
    where = f" ({source} {code})" if source or code is not None else ""
    return TerminalRefused(
        f"the terminal refused {request or 'the request'}: {text}{where}",
        code=code,
        source=source,
        money_moved=MoneyMoved.NO,
        remedy=remedy or "see what the terminal shows, then try again",
    )


class Connection:
    """Keeps one session with a terminal. Everything that arrives is handed on through the callbacks, in order."""

    def __init__(
        self,
        dial: Dial,
        link: Link,
        side: RegisterSide,
        context: Context,
        *,
        name: str,
        reconnect: bool = True,
    ) -> None:
        self.side = side
        self.on_message: Callable[[Message], None] = lambda _: None
        self.on_error: Callable[[str, ErrorNotification], None] = lambda _request, _error: None
        """An error that no caller waits for: name of the request it may answer (or empty), and the error."""
        self.on_up: Callable[[StatusResponse], None] = lambda _: None
        self.on_down: Callable[[str], None] = lambda _: None
        self._dial = dial
        self._link = link
        self._context = context
        self._name = name
        self._reconnect = reconnect
        self._pump: Pump[LinkFailure] | None = None
        self._task: asyncio.Task[None] | None = None
        self._answers: dict[str, asyncio.Future[Message]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._is_up = asyncio.Event()
        self._ended = asyncio.Event()
        self._turned_away: ErrorNotification | None = None
        self._closing = False
        self._told_early = False
        """The terminal told its status before it introduced itself."""

    @property
    def is_up(self) -> bool:
        """True while a session stands and the terminal has told its status."""
        return self._is_up.is_set()

    async def open(self) -> None:
        """Dial and introduce ourselves.

        Raises:
            LinkUnavailable: nobody answers there.
            PeerSilent: somebody does, but not as a KIT terminal.
        """
        if self._task is not None and not self._task.done():
            await self.wait_up()
            return
        self._closing = False
        self._ended.clear()
        self._turned_away = None
        stream = await self._dial()
        self._task = asyncio.create_task(self._supervise(stream))
        try:
            await self._introduced()
        except BaseException:
            await self.close()
            raise

    async def _introduced(self) -> None:
        assert self._task is not None
        clock = self._context.clock
        waits = self._context.waits
        expired = asyncio.Event()
        stop = clock.call_at(clock.now_s() + waits.register_s(Operation.CONNECT), expired.set)
        waiting = {asyncio.create_task(event.wait()) for event in (self._is_up, expired, self._ended)}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop()
            for task in waiting:
                task.cancel()
        if not self.is_up:
            if self._turned_away is not None:
                raise TerminalBusy(
                    f"{self._name} turned us away: {self._turned_away.error_description or 'busy'}",
                    remedy="close the other register's connection, or listen with ?takeover=yes",
                )
            why = "hung up before it introduced itself" if self._ended.is_set() else "does not answer as a KIT terminal"
            raise PeerSilent(
                f"{self._name} {why}",
                money_moved=MoneyMoved.NO,
                remedy="check that the address is the terminal's, and that its register integration is set to KIT",
            )

    async def close(self) -> None:
        """Hang up and stay away. Raises nothing."""
        self._closing = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._down("closed")

    async def wait_up(self) -> None:
        """Wait for the session, for as long as connecting may take.

        Raises:
            LinkUnavailable: it did not come.
        """
        if self.is_up:
            return
        clock, waits = self._context.clock, self._context.waits
        if self._task is None or self._task.done():
            raise LinkUnavailable(f"not connected to {self._name}", remedy="open the terminal first")
        expired = asyncio.Event()
        stop = clock.call_at(clock.now_s() + waits.register_s(Operation.CONNECT), expired.set)
        up, late = asyncio.create_task(self._is_up.wait()), asyncio.create_task(expired.wait())
        try:
            await asyncio.wait({up, late}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop()
            up.cancel()
            late.cancel()
        if not self.is_up:
            raise LinkUnavailable(f"the connection to {self._name} is down")

    def send(self, message: Message, *, wait_s: float | None = None) -> None:
        """Send one message and do not wait.

        Raises:
            LocalProtocolError: no session, or the protocol forbids it now. Nothing was sent.
        """
        self.side.send(message, now_s=self._context.clock.now_s(), wait_s=wait_s)
        if self._pump is not None:
            self._pump.turn()

    async def call(self, message: Message, answer: type[AnswerT], *, wait_s: float | None = None) -> AnswerT:
        """Send one request and wait for its answer.

        Raises:
            LinkUnavailable: no connection; nothing was sent.
            LinkLost, PeerSilent: it was sent, and no answer came.
            TerminalRefused, TerminalBusy: the terminal answered with an error.
        """
        request = name_of(message)
        answer_name = ANSWERS[request][0]
        async with self._locks.setdefault(answer_name, asyncio.Lock()):
            await self.wait_up()
            future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
            self._answers[answer_name] = future
            try:
                self.send(message, wait_s=wait_s)
                got = await future
            finally:
                self._answers.pop(answer_name, None)
        assert isinstance(got, answer)
        return got

    # -- inside

    async def _supervise(self, stream: ByteStream) -> None:
        while True:
            why = await self._serve(stream)
            self._ended.set()
            self._down(why)
            if self._closing or not self._reconnect:
                return
            stream = await self._dial_again()

    async def _dial_again(self) -> ByteStream:
        clock = self._context.clock
        while True:
            await clock.sleep_until(clock.now_s() + self._context.waits.reconnect_s)
            try:
                return await self._dial()
            except LinkError:
                continue

    async def _serve(self, stream: ByteStream) -> str:
        trace, clock = self._context.trace, self._context.clock
        self._link.reset()
        self._told_early = False
        self._pump = Pump(stream, self._link, self.side, clock=clock, on_events=self._drain, on_failure=self._gave_up)
        number = 0
        if trace is not None:
            number = trace.new_link()
            trace.opened(number, protocol="kit", local=stream.local, peer=stream.peer)
            sink = trace

            def tap(sent: bool, line: bytes) -> None:
                sink.message(number, sent=sent, raw=mask_line(line), decoded=decoded_for_trace(line))

            self.side.tap = tap
        why = "cancelled"
        try:
            self.side.link_up(now_s=clock.now_s())
            why = await self._pump.run()
        finally:
            self._pump = None
            self.side.link_down()
            if trace is not None:
                trace.closed(number, why=why)
        return why

    def _down(self, why: str) -> None:
        was_up = self.is_up
        self._is_up.clear()
        for future in self._answers.values():
            if not future.done():
                future.set_exception(LinkLost(f"the connection to {self._name} ended: {why}", request_sent=True))
        if was_up:
            self.on_down(why)

    def _gave_up(self, failure: LinkFailure) -> None:
        """The serial line gave a payload up: an ACK proves nothing either (1.4), so the answer's own clock decides."""
        if self._context.trace is not None:
            self._context.trace.message(0, sent=True, raw=b"", decoded=None, note=f"given up: {failure.reason}")

    def _drain(self) -> None:
        for event in self.side.events_received():
            match event:
                case Received(message):
                    self._received(message)
                case RequestFailed(request, error):
                    self._failed(request, error)
                case RequestExpired(request):
                    self._expired(request)
                case PeerGone(why):
                    if self._pump is not None:
                        self._pump.hang_up(why)
                case Malformed():
                    pass  # the trace has it; the link lives on

    def _received(self, message: Message) -> None:
        future = self._answers.get(name_of(message))
        if future is not None and not future.done():
            future.set_result(message)
        is_first_status = isinstance(message, StatusResponse) and not self.is_up
        self.on_message(message)
        if is_first_status and isinstance(message, StatusResponse) and self.side.session is Session.OPEN:
            self._is_up.set()
            self.on_up(message)
        elif is_first_status:
            self._told_early = True
        elif isinstance(message, ConnectResponse) and self._told_early:
            # The status overtook the introduction, and another one would come only once something happens.
            self._told_early = False
            self.send(StatusRequest())

    def _failed(self, request: str, error: ErrorNotification) -> None:
        if not self.is_up:
            self._turned_away = error
            if request == "ConnectRequest" and self._pump is not None:
                # Heartbeats would keep it for ever, and it would never become a session.
                self._pump.hang_up("the terminal refused the introduction")
        future = self._answers.get(ANSWERS[request][0]) if request else None
        if future is not None and not future.done():
            future.set_exception(error_of(error, request))
        else:
            self.on_error(request, error)

    def _expired(self, request: str) -> None:
        future = self._answers.get(ANSWERS[request][0])
        if future is not None and not future.done():
            future.set_exception(PeerSilent(f"{self._name} did not answer {request} in time"))
        elif not self.is_up and request in {"ConnectRequest", "StatusRequest"} and self._pump is not None:
            # The introduction got lost: without it this connection never becomes a session.
            self._pump.hang_up("the terminal did not introduce itself")
