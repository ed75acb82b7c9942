"""Serves whoever is at the other end of a serial port, and opens it again after the cable was out. I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress

from zahlwerk.errors import LinkError
from zahlwerk.transport.stream import ByteStream
from zahlwerk.urls import Context

__all__ = ["serve_port"]

Dial = Callable[[], Awaitable[ByteStream]]
Serve = Callable[[ByteStream], Coroutine[None, None, None]]
Stop = Callable[[], Coroutine[None, None, None]]


async def serve_port(dial: Dial, serve: Serve, context: Context) -> Stop:
    """Open the port and serve it until stopped; one that goes away is opened again when it is back.

    Returns:
        The function that stops serving and closes the port.

    Raises:
        LinkUnavailable: the port cannot be opened now.
    """
    first = await dial()
    task = asyncio.create_task(_serve_for_ever(first, dial, serve, context))

    async def stop() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    return stop


async def _serve_for_ever(stream: ByteStream, dial: Dial, serve: Serve, context: Context) -> None:
    while True:
        try:
            await serve(stream)
        finally:
            await stream.close()
        stream = await _dial_until_there(dial, context)


async def _dial_until_there(dial: Dial, context: Context) -> ByteStream:
    clock = context.clock
    while True:
        await clock.sleep_until(clock.now_s() + context.waits.reconnect_s)
        with suppress(LinkError):
            return await dial()
