"""Carries bytes and time between a stream and one protocol side, and decides nothing. I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Generic, Protocol, TypeVar

from zahlwerk.clock import Clock
from zahlwerk.errors import LinkError
from zahlwerk.transport.stream import ByteStream

__all__ = ["Alarm", "Pump", "PumpedLink", "PumpedSide"]

# LIMIT: a peer that does not read what we send is hung up on; a whole day of receipts is far less.
OUTBOX_BYTES_MAX: Final = 4 << 20

FailureT = TypeVar("FailureT")
FailureT_co = TypeVar("FailureT_co", covariant=True)


class PumpedLink(Protocol[FailureT_co]):
    """The framing below a side: no I/O, no clock."""

    def send(self, payload: bytes, *, now_s: float) -> None:
        """Queue a payload."""

    def receive_data(self, data: bytes, *, now_s: float) -> list[bytes]:
        """Feed what came, in any chunking; returns payloads in order."""

    def data_to_send(self) -> list[bytes]:
        """What is to be written now, in order; emptied by the call."""

    def deadline_s(self) -> float | None:
        """Time by which `handle_deadline` must run."""

    def handle_deadline(self, *, now_s: float) -> None:
        """Time has passed."""

    def failures(self) -> Sequence[FailureT_co]:
        """Payloads given up since the last call."""


class PumpedSide(Protocol):
    """One side of a protocol: no I/O, no clock."""

    def receive_data(self, data: bytes, *, now_s: float) -> None:
        """One payload from the link."""

    def data_to_send(self) -> list[bytes]:
        """Payloads for the link, in order; emptied by the call."""

    def deadline_s(self) -> float | None:
        """Time by which `handle_deadline` must run."""

    def handle_deadline(self, *, now_s: float) -> None:
        """Time has passed."""


class Alarm:
    """Calls a function when a deadline has come. Deadlines that move later cost nothing."""

    def __init__(self, clock: Clock, ring: Callable[[], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._wanted_s: float | None = None
        self._armed_s: float | None = None
        self._disarm: Callable[[], None] | None = None

    def set(self, deadline_s: float | None) -> None:
        """The one deadline from now on; None for none."""
        self._wanted_s = deadline_s
        if deadline_s is not None and (self._armed_s is None or deadline_s < self._armed_s):
            self._arm(deadline_s)

    def _arm(self, deadline_s: float) -> None:
        if self._disarm is not None:
            self._disarm()
        self._armed_s = deadline_s
        self._disarm = self._clock.call_at(deadline_s, self._due)

    def _due(self) -> None:
        self._armed_s = None
        self._disarm = None
        if self._wanted_s is None:
            return
        if self._clock.now_s() >= self._wanted_s:
            self._wanted_s = None
            self._ring()
        else:
            self._arm(self._wanted_s)

    def cancel(self) -> None:
        """Never ring again."""
        self._wanted_s = None
        self._armed_s = None
        if self._disarm is not None:
            self._disarm()
            self._disarm = None


class Pump(Generic[FailureT]):
    """One connection: stream, link and side, until the stream ends."""

    def __init__(
        self,
        stream: ByteStream,
        link: PumpedLink[FailureT],
        side: PumpedSide,
        *,
        clock: Clock,
        on_events: Callable[[], None],
        on_failure: Callable[[FailureT], None] | None = None,
    ) -> None:
        """Args:
        on_events: called after anything happened, to drain the side's events; it may send.
        on_failure: called when the link gave up a payload.
        """
        self._stream = stream
        self._link = link
        self._side = side
        self._clock = clock
        self._on_events = on_events
        self._on_failure = on_failure
        self._alarm = Alarm(clock, self._deadline)
        self._outbox: list[bytes] = []
        self._outbox_bytes = 0
        self._wake = asyncio.Event()
        self._turning = False
        self._turn_again = False
        self._hung_up: str | None = None

    async def run(self) -> str:
        """Carry until the stream ends; why it ended."""
        writer = asyncio.create_task(self._write_all())
        try:
            self.turn()
            while True:
                data = await self._stream.receive()
                if self._hung_up is not None:
                    return self._hung_up  # the side may belong to another connection by now
                now_s = self._clock.now_s()
                for payload in self._link.receive_data(data, now_s=now_s):
                    self._side.receive_data(payload, now_s=now_s)
                self.turn()
        except LinkError as exc:
            return self._hung_up or str(exc)
        finally:
            self._alarm.cancel()
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            await self._stream.close()

    def turn(self) -> None:
        """Something was queued or has happened: let events be handled, then send."""
        if self._hung_up is not None:
            return
        if self._turning:
            self._turn_again = True
            return
        self._turning = True
        try:
            while True:
                self._turn_again = False
                self._on_events()
                if not self._turn_again:
                    break
            self._collect()
        finally:
            self._turning = False

    def hang_up(self, why: str) -> None:
        """End the connection once what is queued has been sent, as far as the peer takes it."""
        if self._hung_up is None:
            self._hung_up = why
            self._wake.set()

    def _collect(self) -> None:
        now_s = self._clock.now_s()
        for line in self._side.data_to_send():
            self._link.send(line, now_s=now_s)
        for chunk in self._link.data_to_send():
            self._outbox.append(chunk)
            self._outbox_bytes += len(chunk)
        if self._on_failure is not None:
            for failure in self._link.failures():
                self._on_failure(failure)
        if self._outbox_bytes > OUTBOX_BYTES_MAX:
            self._outbox.clear()
            self.hang_up("the peer does not read what we send")
        if self._outbox:
            self._wake.set()
        side_s, link_s = self._side.deadline_s(), self._link.deadline_s()
        self._alarm.set(side_s if link_s is None else link_s if side_s is None else min(side_s, link_s))

    def _deadline(self) -> None:
        if self._hung_up is not None:
            return
        now_s = self._clock.now_s()
        self._link.handle_deadline(now_s=now_s)
        self._side.handle_deadline(now_s=now_s)
        self.turn()

    async def _write_all(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                chunks, self._outbox = self._outbox, []
                if chunks:
                    await self._stream.send(b"".join(chunks))
                    self._outbox_bytes -= sum(map(len, chunks))
                if self._hung_up is not None and not self._outbox:
                    break
        except LinkError:
            pass  # the reader meets the same end and says why
        finally:
            await self._stream.close()
