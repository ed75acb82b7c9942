"""The bounded inbox below the streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from hypothesis import given
from hypothesis import strategies as st

from zahlwerk.transport._inbox import Inbox


@given(st.lists(st.binary(max_size=40), max_size=20), st.integers(1, 50), st.booleans())
def test_what_was_put_is_taken_whole_in_order_and_in_small_enough_chunks(
    pieces: list[bytes], chunk_bytes_max: int, merge: bool
) -> None:
    async def run() -> list[bytes]:
        inbox = Inbox(chunk_bytes_max=chunk_bytes_max, full_bytes=1, merge=merge)
        for piece in pieces:
            inbox.put(piece)
        inbox.end("done")
        return [chunk async for chunk in _chunks(inbox)]

    chunks = asyncio.run(run())
    assert b"".join(chunks) == b"".join(pieces)
    assert all(0 < len(chunk) <= chunk_bytes_max for chunk in chunks)


async def test_room_is_reported_once_it_is_there_and_only_then() -> None:
    room: list[str] = []
    inbox = Inbox(chunk_bytes_max=4, full_bytes=5, merge=True, on_room=lambda: room.append("room"))
    inbox.put(b"0123456789")
    assert inbox.full
    assert await inbox.take() == b"0123"
    assert room == []
    assert await inbox.take() == b"4567"
    assert room == ["room"]


async def test_after_the_end_nothing_is_accepted_and_the_first_reason_stays() -> None:
    inbox = Inbox(chunk_bytes_max=4, full_bytes=6, merge=True)
    inbox.end("unplugged")
    inbox.put(b"late")
    inbox.end("closed")
    assert (await inbox.take(), inbox.ended) == (None, "unplugged")


async def _chunks(inbox: Inbox) -> AsyncIterator[bytes]:
    while (chunk := await inbox.take()) is not None:
        yield chunk
