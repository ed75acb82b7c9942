"""A link that goes wrong on purpose, message by message: what `?faults=` of a test terminal does. I/O."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from zahlwerk.clock import Clock
from zahlwerk.errors import LinkError
from zahlwerk.faults import LinkFaults
from zahlwerk.interfaces.zvt.dictionary import COMMANDS
from zahlwerk.interfaces.zvt.framing import ApduDecoder
from zahlwerk.transport.stream import ByteStream, StreamEnded

__all__ = ["FaultyStream"]

# A message that waits to be overtaken goes out after this time if none follows.
REORDER_S: Final = 1.0


class FaultyStream(ByteStream):
    """A stream of APDUs between an endpoint and its register, with the faults of a plan."""

    def __init__(self, inner: ByteStream, faults: LinkFaults, clock: Clock) -> None:
        self.local = inner.local
        self.peer = inner.peer
        self._inner = inner
        self._faults = faults
        self._clock = clock
        self._incoming = ApduDecoder()
        self._outgoing = ApduDecoder()
        self._inbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._reader = asyncio.create_task(self._read())
        self._late: set[asyncio.Task[None]] = set()

    async def receive(self) -> bytes:
        data = await self._inbox.get()
        if data is None:
            self._inbox.put_nowait(None)
            raise StreamEnded("the line was cut on purpose")
        return data

    async def send(self, data: bytes) -> None:
        for apdu in self._outgoing.feed(data):
            await self._pass("out", apdu)

    async def close(self) -> None:
        self._reader.cancel()
        for task in tuple(self._late):
            task.cancel()
        await asyncio.gather(self._reader, *self._late, return_exceptions=True)
        self._inbox.put_nowait(None)
        await self._inner.close()

    # -- inside

    async def _read(self) -> None:
        try:
            while True:
                for apdu in self._incoming.feed(await self._inner.receive()):
                    await self._pass("in", apdu)
        except LinkError:
            pass
        finally:
            self._inbox.put_nowait(None)

    async def _pass(self, direction: str, apdu: bytes) -> None:
        delivery = self._faults.apply(direction, _name_of(apdu), apdu)
        if delivery.cut_before:
            await self._cut()
            return
        for delay_s, part in delivery.parts:
            if delay_s > 0:
                self._later(direction, part, delay_s)
            else:
                await self._deliver(direction, part)
        if not delivery.parts and not delivery.cut_after:
            self._flush_later(direction)
        if delivery.cut_after:
            await self._cut()

    async def _deliver(self, direction: str, part: bytes) -> None:
        if direction == "in":
            self._inbox.put_nowait(part)
        else:
            await self._inner.send(part)

    def _later(self, direction: str, part: bytes, delay_s: float) -> None:
        async def deliver() -> None:
            await self._clock.sleep_until(self._clock.now_s() + delay_s)
            await self._deliver_quietly(direction, part)

        self._keep(asyncio.create_task(deliver()))

    def _flush_later(self, direction: str) -> None:
        async def flush() -> None:
            await self._clock.sleep_until(self._clock.now_s() + REORDER_S)
            for part in self._faults.flush(direction):
                await self._deliver_quietly(direction, part)

        self._keep(asyncio.create_task(flush()))

    async def _deliver_quietly(self, direction: str, part: bytes) -> None:
        with contextlib.suppress(LinkError):  # the line ended meanwhile; the reader says so
            await self._deliver(direction, part)

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _cut(self) -> None:
        self._inbox.put_nowait(None)
        await self._inner.close()


def _name_of(apdu: bytes) -> str:
    """The name of the command's row, `ack` or `nak`: what a plan of faults may name."""
    code = int.from_bytes(apdu[:2], "big")
    if code >> 8 in {0x80, 0x84}:
        return "ack" if code & 0xFF == 0 else "nak"
    return COMMANDS[code].name if code in COMMANDS else "?"
