"""Serves whoever is at the other end of a serial port, and opens the port again when it was unplugged. I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

from zahlwerk.errors import LinkError
from zahlwerk.transport.stream import ByteStream
from zahlwerk.urls import Context

__all__ = ["serve_port"]

Stop = Callable[[], Coroutine[None, None, None]]


async def serve_port(
    open_port: Callable[[], Awaitable[ByteStream]],
    serve: Callable[[ByteStream], Coroutine[None, None, None]],
    context: Context,
) -> Stop:
    """Open the port and serve it until stopped.

    Returns:
        The function that stops serving and closes the port.

    Raises:
        LinkUnavailable: the port cannot be opened now.
    """
    first = await open_port()
    task = asyncio.create_task(_serve_for_ever(first, open_port, serve, context))

    async def stop() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    return stop


async def _serve_for_ever(
    stream: ByteStream,
    open_port: Callable[[], Awaitable[ByteStream]],
    serve: Callable[[ByteStream], Coroutine[None, None, None]],
    context: Context,
) -> None:
    clock = context.clock
    while True:
        try:
            await serve(stream)
        finally:
            await stream.close()
        while True:
            await clock.sleep_until(clock.now_s() + context.waits.reconnect_s)
            try:
                stream = await open_port()
                break
            except LinkError:
                continue
