"""Events: listeners first, then streams, each with a limit."""

from __future__ import annotations

import asyncio

from zahlwerk.events import (
    BACKLOG_MAX,
    EventHub,
    EventsLost,
    EventStream,
    Notice,
    Printer,
    TerminalEvent,
    TerminalStatus,
)


async def _all(stream: EventStream) -> list[TerminalEvent]:
    stream.close()
    return [event async for event in stream]


async def test_listeners_hear_at_once_and_in_order() -> None:
    """Before the next event, and in the order in which they came."""
    hub = EventHub()
    heard: list[str] = []
    hub.listen(lambda event: heard.append(f"1 {event.text}" if isinstance(event, Notice) else "?"))
    hub.listen(lambda event: heard.append(f"2 {event.text}" if isinstance(event, Notice) else "?"))
    hub.emit(Notice("a"))
    hub.emit(Notice("b"))

    assert heard == ["1 a", "2 a", "1 b", "2 b"]


async def test_listeners_come_before_streams() -> None:
    """What a listener emits in turn reaches the streams first: an endpoint must have the exact order."""
    hub = EventHub()
    stream = hub.stream()
    backlog: list[int] = []
    hub.listen(lambda _: backlog.append(len(stream._backlog)))
    hub.emit(Notice("a"))

    assert backlog == [0]
    assert await _all(stream) == [Notice("a")]


async def test_a_listener_that_stops_hears_no_more() -> None:
    """Also from within, also twice; the others still hear."""
    hub = EventHub()
    heard: list[str] = []

    def once(event: TerminalEvent) -> None:
        heard.append("once")
        stop()
        stop()

    stop = hub.listen(once)
    hub.listen(lambda _: heard.append("always"))
    hub.emit(Notice("a"))
    hub.emit(Notice("b"))

    assert heard == ["once", "always", "always"]


async def test_a_stream_begins_with_its_subscription() -> None:
    """Nothing from before."""
    hub = EventHub()
    hub.emit(Notice("early"))
    stream = hub.stream()
    hub.emit(Notice("late"))

    assert await _all(stream) == [Notice("late")]


async def test_each_stream_has_all_events() -> None:
    """One reader takes nothing from another."""
    hub = EventHub()
    streams = [hub.stream(), hub.stream()]
    hub.emit(Notice("a"))

    assert [await _all(stream) for stream in streams] == [[Notice("a")], [Notice("a")]]


async def test_a_waiting_reader_is_woken() -> None:
    """By an event, and by the end."""
    hub = EventHub()
    stream = hub.stream()

    async def read() -> list[TerminalEvent]:
        return [event async for event in stream]

    reader = asyncio.create_task(read())
    await asyncio.sleep(0)
    hub.emit(Notice("a"))
    await asyncio.sleep(0)
    hub.close()

    assert await reader == [Notice("a")]


async def test_a_slow_reader_is_told_how_much_it_lost() -> None:
    """One below, at and one above the limit; the oldest go."""
    for extra, lost in [(-1, 0), (0, 0), (1, 1), (7, 7)]:
        hub = EventHub()
        stream = hub.stream()
        for number in range(BACKLOG_MAX + extra):
            hub.emit(Notice(str(number)))
        events = await _all(stream)

        assert [event for event in events if isinstance(event, EventsLost)] == [EventsLost(lost)] * bool(lost)
        assert events[-1] == Notice(str(BACKLOG_MAX + extra - 1))
        assert len(events) == min(BACKLOG_MAX + extra, BACKLOG_MAX) + bool(lost)


async def test_a_closed_stream_gets_nothing_more() -> None:
    """Leaving the block closes it; closing twice is fine."""
    hub = EventHub()
    async with hub.stream() as stream:
        hub.emit(Notice("in time"))
    hub.emit(Notice("too late"))
    stream.close()

    assert [event async for event in stream] == [Notice("in time")]


def test_ready_is_open_idle_and_unlocked() -> None:
    """KIT fact sheet 2.5."""

    assert TerminalStatus(shift_open=True).is_ready
    assert not TerminalStatus().is_ready
    assert not TerminalStatus(shift_open=True, busy=True).is_ready
    assert not TerminalStatus(shift_open=True, locked=True).is_ready


def test_a_printer_without_troubles_is_fine() -> None:
    """Nothing set is false."""

    assert not Printer.FINE
    assert Printer.OUT_OF_PAPER in Printer.OUT_OF_PAPER | Printer.TOO_HOT
