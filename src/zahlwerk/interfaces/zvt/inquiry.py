"""What the terminal says when asked: whether it is at rest, its latest transaction, its totals, its open holds. I/O.

What was its latest transaction is kept, and whether it may be another by now. What an answer proves, `recovery` says.

Source: fact sheet 6.9 (steps 2, 3, 5), 6.4 (open pre-authorisations).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from zahlwerk.errors import TerminalBusy, TerminalRefused
from zahlwerk.interfaces.zvt.connection import BUSY, Connection
from zahlwerk.interfaces.zvt.information import StatusInformation, open_receipts, read_information
from zahlwerk.interfaces.zvt.messages import Message
from zahlwerk.interfaces.zvt.recovery import Keys, keys_of
from zahlwerk.interfaces.zvt.register import Refused, RegisterEvent, Told
from zahlwerk.urls import Context

__all__ = ["Inquiry"]

STATUS_ENQUIRY: Final = 0x0501
REPEAT_RECEIPT: Final = 0x0620
TURNOVER_TOTALS: Final = 0x0610
ABORT: Final = 0x06B0
SILENT: Final = 0x03
"""Service byte of 06 20: tell the result, print nothing. Source: fact sheet 2.6."""
OPEN_RESERVATIONS: Final = 0xB8
"""The normal end of the enquiry for open pre-authorisations. Source: fact sheet 2.2, 06 23."""
NOTHING_TO_SHOW: Final = frozenset({None, 0xFF})
"""Codes of 06 1E after 06 20 that name no trouble: nothing is stored. Source: fact sheet 2.5, 6.9 step 5."""
# LIMIT: receipts whose trace numbers are remembered.
TRACES_MAX: Final = 200


class Inquiry:
    """Questions to the terminal, and what is known of its latest transaction."""

    def __init__(self, connection: Connection, context: Context, *, on_event: Callable[[RegisterEvent], None]) -> None:
        self.latest: Keys | None = None
        """What names the terminal's latest transaction; empty if there is none, None if that is not known."""
        self.is_fresh = False
        """Nothing has run since that could have made it another one."""
        self._connection = connection
        self._context = context
        self._on_event = on_event
        self._traces: dict[int, int] = {}
        self._pauses: set[asyncio.Event] = set()

    def trace_of(self, receipt: int) -> int | None:
        """The trace number of a receipt, if it was told here."""
        return self._traces.get(receipt)

    async def totals(self) -> StatusInformation | None:
        """The figures of the turnover store (06 10)."""
        message = Message(code=TURNOVER_TOTALS, head={"password": self._connection.profile.password})
        return (await self._ask(message))[0]

    async def wait_at_rest(self, until_s: float) -> None:
        """Until the terminal has nothing else to do; one that waits for its customer is told to stop."""
        told_to_stop = False
        while True:
            status = await self._status()
            if status not in BUSY:
                return
            if self._context.clock.now_s() >= until_s or self._connection.is_closed:
                raise TerminalBusy("the terminal is still busy")
            if not told_to_stop and self._connection.profile.aborts:
                told_to_stop = True
                with suppress(TerminalRefused):
                    await self._connection.run(Message(code=ABORT))
            await self.pause(self._connection.profile.timers.poll_s)

    async def _status(self) -> int:
        end = await self._connection.run(Message(code=STATUS_ENQUIRY), listener=self._on_event)
        if isinstance(end, Refused):
            return end.answer.code & 0xFF
        if not end.is_success:
            return end.message.head_number("result") or 0xFF
        return end.message.head_number("status") or 0

    async def ask_latest(self, *, here: bool = False) -> tuple[StatusInformation | None, bool]:
        """The transaction that the terminal stored last, if it shows one; and whether it says that there is none."""
        head = {"password": self._connection.profile.password}
        tlv = () if self._connection.profile.tlv else None
        return await self._ask(Message(code=REPEAT_RECEIPT, head=head, fields={0x03: SILENT}, tlv=tlv), here=here)

    async def _ask(self, message: Message, *, here: bool = False) -> tuple[StatusInformation | None, bool]:
        found: list[StatusInformation] = []

        def heard(event: RegisterEvent) -> None:
            if isinstance(event, Told) and event.message.code == 0x040F:
                found.append(read_information(event.message))

        run = self._connection.run_here if here else self._connection.run
        end = await run(message, listener=heard)
        if isinstance(end, Refused):
            if end.answer.code & 0xFF in BUSY:
                raise TerminalBusy("the terminal is busy")
            return None, False
        if end.is_success:
            return (found[-1] if found else None), False
        code = end.message.head_number("result")
        if code in BUSY:
            raise TerminalBusy("the terminal is busy")
        return None, code in NOTHING_TO_SHOW

    async def know_the_latest(self) -> None:
        """Read it again, unless it is known; each time where payments can be typed in at the terminal."""
        if not self.is_fresh or not self._connection.config & 0x10:
            await self.read_latest(here=False)

    async def read_latest(self, *, here: bool) -> None:
        """Read it again; `here`: from within `Connection.on_up`."""
        if not self._connection.profile.repeats:
            self.latest = None
            return
        latest, is_empty = await self.ask_latest(here=here)
        self.note(latest)
        if latest is None:
            # Any other refusal (no paper, end of day overdue ...) says nothing about what is stored.
            self.latest = Keys(self.terminal_id) if is_empty else None
            self.is_fresh = is_empty

    def note(self, reported: StatusInformation | None) -> None:
        """What the terminal shows as its latest transaction, just now."""
        self.is_fresh = False
        if reported is None:
            return
        self.latest = None
        self.learn(reported)

    def learn(self, information: StatusInformation) -> None:
        """This one is the latest now."""
        keys = keys_of(information)
        if not keys.is_empty:
            self.latest = keys
            self.is_fresh = True
        if keys.receipt is not None and keys.trace is not None:
            self._traces[keys.receipt] = keys.trace
            while len(self._traces) > TRACES_MAX:
                del self._traces[next(iter(self._traces))]

    @property
    def terminal_id(self) -> str:
        """As it named itself at its registration."""
        return self._connection.side.registration.terminal_id

    async def open_holds(self) -> tuple[int, ...]:
        """Receipt numbers of what the terminal lists as open. Source: fact sheet 6.4."""
        tlv = () if self._connection.profile.tlv else None
        end = await self._connection.run(
            Message(code=0x0623, fields={0x87: b"\xff\xff"}, tlv=tlv), listener=self._on_event
        )
        if isinstance(end, Refused) or end.message.head_number("result") != OPEN_RESERVATIONS:
            return ()
        return open_receipts(end.message)

    def give_up(self) -> None:
        """The driver was closed: nothing is waited for any more."""
        for pause in tuple(self._pauses):
            pause.set()

    async def pause(self, seconds: float) -> None:
        """Wait, or less if the driver is closed meanwhile."""
        over = asyncio.Event()
        stop = self._context.clock.call_at(self._context.clock.now_s() + seconds, over.set)
        self._pauses.add(over)
        try:
            await over.wait()
        finally:
            self._pauses.discard(over)
            stop()
