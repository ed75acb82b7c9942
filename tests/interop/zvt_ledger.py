"""A ZVT terminal written down by hand from the fact sheet, with books of its own: the oracle for what a driver says.

It shares nothing with the code under test but the byte stream: whatever it books, keeps, undoes or forgets is plain data
(`Row`), and its habits (`Habits`) are those that the fact sheet allows.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar

from tests.interop.kit_world import Wire
from tests.interop.zvt_world import QUIET, ZvtWorld

from zahlwerk.clock import VirtualClock
from zahlwerk.errors import LinkError
from zahlwerk.interfaces.zvt.framing import ApduDecoder
from zahlwerk.interfaces.zvt.profiles import Profile
from zahlwerk.terminal import Terminal
from zahlwerk.transport.stream import ByteStream

__all__ = ["Habits", "LedgerTerminal", "LedgerWorld", "Row"]

T = TypeVar("T")
T3_S = 5.0
MONEY = ("0601", "0604", "0609", "060c", "0621", "0622", "0623", "0624", "0625", "0626", "0630", "0631")
HOLDS = "0622"
UNDOES = {"0625", "0630"}
OK = bytes.fromhex("80 00 00")
DONE = bytes.fromhex("06 0F 00")


@dataclass(slots=True)
class Row:
    """One money command as it was carried out."""

    command: str
    minor: int
    receipt: int
    trace: int
    date: str
    time: str
    result: int = 0
    undone: bool = False
    of: int | None = None
    """The trace number of what it reverses."""

    @property
    def stands(self) -> bool:
        """It is in the books."""
        return self.result == 0 and not self.undone


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What differs from device to device."""

    terminal_id: str = "62071183"
    stores_declines: bool = False
    """06 20 shows a declined one, too."""
    undoes: str = "gone"
    """What 06 20 shows of what was taken back: nothing (`gone`), the same as failed (`failed`), a `reversal`."""
    undoes_after_s: float | None = 0.0
    """Without our answer; None: it keeps the payment (1F1F devices)."""
    card_s: float = 3.0
    clock_off_s: float = 0.0
    prints: bool = True
    nothing: str = "ff"
    """The code of 06 1E where 06 20 has nothing to show."""


def bcd(number: int, size: int) -> bytes:
    return bytes.fromhex(f"{number:0{2 * size}d}"[-2 * size :])


def apdu(code: str, data: bytes = b"") -> bytes:
    assert len(data) < 0xFF
    return bytes.fromhex(code) + bytes([len(data)]) + data


def field_of(data: bytes, number: int, size: int) -> int | None:
    """A BMP that stands where hand-written commands of this driver have it: its first occurrence."""
    sizes = {0x04: 6, 0x49: 2, 0x19: 1, 0x87: 2, 0x0B: 3, 0x3B: 8, 0x01: 1, 0x02: 1, 0x03: 1, 0x3D: 3}
    at = 0
    while at < len(data):
        here = data[at]
        if here == number:
            raw = data[at + 1 : at + 1 + size]
            return int(raw.hex()) if raw.hex().isdecimal() else None
        if here == 0x06 or here not in sizes:
            return None
        at += 1 + sizes[here]
    return None


class LedgerTerminal:
    """The terminal. `plan` says how its next money commands end; `approve` where it says nothing."""

    def __init__(self, clock: VirtualClock, habits: Habits | None = None) -> None:
        self.clock = clock
        self.habits = habits or Habits()
        self.rows: list[Row] = []
        self.plan: list[str] = []
        self.script: dict[str, list[bytes]] = {}
        """Fixed answers to commands, by code; each used once."""
        self.heard: list[str] = []
        self.receipt = 0
        self.trace = 0
        self.busy = False
        self.latest: Row | None = None
        self.tasks: set[asyncio.Task[Any]] = set()

    # -- the books

    def book(self, command: str, minor: int, *, result: int = 0, of: int | None = None) -> Row:
        self.receipt = self.receipt % 9999 + 1
        self.trace += 1
        now = self.clock.wall() + timedelta(seconds=self.habits.clock_off_s)
        row = Row(command, minor, self.receipt, self.trace, f"{now:%m%d}", f"{now:%H%M%S}", result, of=of)
        self.rows.append(row)
        return row

    def take_back(self, row: Row, before: Row | None) -> None:
        row.undone = True
        match self.habits.undoes:
            case "gone":
                self.latest = before
            case "failed":
                self.latest = replace(row, result=0x6C)
            case _:
                self.latest = replace(self.book("auto", row.minor, of=row.trace), command="auto")
                self.rows.pop()

    # -- one connection

    async def serve(self, stream: ByteStream) -> None:
        conversation = _Conversation(self, stream)
        try:
            while True:
                await conversation.one(await conversation.take())
        except LinkError:
            pass
        finally:
            await stream.close()

    async def close(self) -> None:
        for task in tuple(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@dataclass(slots=True)
class _Conversation:
    terminal: LedgerTerminal
    stream: ByteStream
    apdus: ApduDecoder = field(default_factory=ApduDecoder)
    queue: list[bytes] = field(default_factory=list)
    aborted: bool = False

    async def take(self) -> bytes:
        while not self.queue:
            self.queue.extend(self.apdus.feed(await self.stream.receive()))
        return self.queue.pop(0)

    async def send(self, data: bytes) -> None:
        await self.stream.send(data)

    async def ask(self, data: bytes, wait_s: float = T3_S) -> bytes | None:
        """Send a command of ours; the register's answer, None if there is none."""
        try:
            await self.send(data)
            while True:
                got = await within(self.terminal.clock, self.take(), wait_s)
                if got is None or got[0] in {0x80, 0x84}:
                    return got
                await self.during(got)
        except LinkError:
            return None

    async def during(self, got: bytes) -> None:
        self.terminal.heard.append(got[:2].hex())
        if got[:2].hex() == "06b0":
            self.aborted = True
            await self.send(OK)

    async def one(self, command: bytes) -> None:
        terminal, code = self.terminal, command[:2].hex()
        if command[0] in {0x80, 0x84}:
            return
        terminal.heard.append("0623?" if command[:2] == b"\x06\x23" and command[3:6] == b"\x87\xff\xff" else code)
        if terminal.script.get(code):
            for piece in terminal.script.pop(code):
                if piece[0] in {0x80, 0x84}:
                    await self.send(piece)
                else:
                    await self.ask(piece)
        elif terminal.busy and code == "0501":
            await self.send(OK)
            await self.ask(bytes.fromhex("06 0F 01 9C"))
        elif terminal.busy and code not in {"0600", "06b0"}:
            await self.send(bytes.fromhex("84 9C 00"))
        elif code in MONEY and command[3:6] != b"\x87\xff\xff":
            terminal.busy = True
            task = asyncio.ensure_future(self.money(code, command[3:]))
            terminal.tasks.add(task)
            task.add_done_callback(terminal.tasks.discard)
            await task
        else:
            await self.service(code)

    async def service(self, code: str) -> None:
        terminal = self.terminal
        await self.send(OK)
        if code == "0600":
            await self.ask(apdu("060F", b"\x29" + bytes.fromhex(terminal.habits.terminal_id)))
        elif code == "0501":
            await self.ask(bytes.fromhex("06 0F 01 00"))
        elif code == "0620":
            if terminal.latest is None:
                await self.ask(bytes.fromhex("06 1E 01") + bytes.fromhex(terminal.habits.nothing))
                return
            await self.ask(self.information(terminal.latest))
            await self.ask(DONE)
        elif code == "0610":
            total = sum(row.minor for row in terminal.rows if row.stands)
            count = sum(row.stands for row in terminal.rows)
            slots = bytes(4) + bytes([count]) + bcd(total, 6) + bytes(42)
            data = b"\x27\x00\x04" + bcd(total, 6) + b"\x60\xf0\xf5\xf3" + slots
            await self.ask(apdu("040F", data + b"\x29" + bytes.fromhex(terminal.habits.terminal_id)))
            await self.ask(DONE)
        elif code == "0650":
            total = sum(row.minor for row in terminal.rows if row.stands)
            row = terminal.book("day", total)
            terminal.rows.pop()
            terminal.latest = row
            await self.ask(self.information(row))
            await self.ask(DONE)
        elif code == "0623":
            held = [row.receipt for row in terminal.rows if row.command == HOLDS and row.stands]
            listed = b"".join(b"\x08\x02" + bcd(receipt, 2) for receipt in held)
            await self.ask(
                apdu("061E", b"\xb8\x06" + bytes([len(listed) + 2]) + b"\x23" + bytes([len(listed)]) + listed)
            )
        elif code not in {"06b0", "06e0"}:
            await self.ask(DONE)

    def information(self, row: Row) -> bytes:
        data = bytes([0x27, row.result, 0x04]) + bcd(row.minor, 6)
        if row.result != 0 and not self.terminal.habits.stores_declines:
            data += b"\x0b\x00\x00\x00"  # a declined one has no numbers (3.3)
        else:
            data += b"\x0b" + bcd(row.trace, 3)
        if row.of is not None:
            data += b"\x37" + bcd(row.of, 3)
        data += b"\x0c" + bytes.fromhex(row.time) + b"\x0d" + bytes.fromhex(row.date)
        data += b"\x29" + bytes.fromhex(self.terminal.habits.terminal_id) + b"\x49\x07\x56"
        if row.result == 0 or self.terminal.habits.stores_declines:
            data += b"\x87" + bcd(row.receipt, 2)
        return apdu("040F", data)

    # -- money

    async def money(self, code: str, data: bytes) -> None:
        terminal = self.terminal
        try:
            await self._money(code, data)
        except LinkError:
            pass  # nothing more can be said
        finally:
            terminal.busy = False

    async def _money(self, code: str, data: bytes) -> None:
        terminal, habits, before = self.terminal, self.terminal.habits, self.terminal.latest
        ending = terminal.plan.pop(0) if terminal.plan else "approve"
        if code in {"0621", "0630", "0631"}:
            data = data[3:]
        if code == "0609":
            data = data[3:]
        minor = field_of(data, 0x04, 6) or 0
        named = field_of(data, 0x87, 2)
        if ending == "refuse":
            await self.quietly(bytes.fromhex("84 C2 00"))
            return
        await self.quietly(OK)
        await self.ask(bytes.fromhex("04 FF 01 0A"))
        await terminal.clock.sleep_until(terminal.clock.now_s() + habits.card_s)
        await self.ask(bytes.fromhex("04 FF 01 0E"))
        target = next((row for row in reversed(terminal.rows) if row.receipt == named and row.stands), None)
        target = None if code == "060c" else target
        if self.aborted:
            await self.ask(bytes.fromhex("06 1E 01 6C"))
            return
        if code in UNDOES | {"0624", "0623"} and target is None:
            await self.ask(bytes.fromhex("06 1E 01 B5"))
            return
        if ending == "decline":
            row = terminal.book(code, minor, result=0x05)
            if habits.stores_declines:
                terminal.latest = row
            await self.ask(self.information(row))
            await self.ask(bytes.fromhex("06 1E 01 05"))
            return
        if ending == "silent":
            await self.ask(DONE)  # 06 0F without 04 0F: nothing was booked
            return
        row = terminal.book(code, minor, of=target.trace if target is not None and code in UNDOES else None)
        if target is not None:
            row.minor = minor or target.minor
            target.undone = True
        terminal.latest = row
        answer = await self.ask(self.information(row))
        while answer is not None and answer[:2] == b"\x84\x9c":
            await terminal.clock.sleep_until(terminal.clock.now_s() + 2.0)
            answer = await self.ask(self.information(row))
        if ending == "undo":
            # Accepted, and taken back all the same (6.3): 06 1E after 27 = 00.
            self.undo(row, target, before)
            await self.ask(bytes.fromhex("06 1E 01 9B"))
        elif answer is None:
            if habits.undoes_after_s is not None:
                terminal.busy = False  # it looks at rest, and takes back by itself a little later
                await terminal.clock.sleep_until(terminal.clock.now_s() + habits.undoes_after_s)
                if terminal.latest is row:
                    self.undo(row, target, before)
        elif answer[0] == 0x84 and answer[1] != 0x00:
            self.undo(row, target, before)
            await self.ask(bytes.fromhex("06 1E 01 6C"))
        else:
            if ending == "again":
                await self.ask(self.information(row))  # repeated although it was answered
            if habits.prints:
                await self.ask(bytes.fromhex("06 D1 04 00 41 42 43"))
                await self.ask(bytes.fromhex("06 D1 01 81"))
            await self.ask(DONE)

    def undo(self, row: Row, target: Row | None, before: Row | None) -> None:
        self.terminal.take_back(row, before)
        if target is not None:
            target.undone = False

    async def quietly(self, data: bytes) -> None:
        with contextlib.suppress(LinkError):
            await self.send(data)


async def within(clock: VirtualClock, work: Awaitable[T], seconds: float) -> T | None:
    task = asyncio.ensure_future(work)
    late = asyncio.ensure_future(clock.sleep_until(clock.now_s() + seconds))
    try:
        await asyncio.wait({task, late}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for one in (task, late):
            one.cancel()
        await asyncio.gather(task, late, return_exceptions=True)


class _Listening:
    def __init__(self, world: LedgerWorld) -> None:
        self._world = world

    async def start(self) -> None:
        await self._world._listen(self._world.device.serve)

    async def close(self) -> None:
        await self._world.device.close()


class LedgerWorld(ZvtWorld):
    """The driver, a wire, and that terminal."""

    def __init__(self, habits: Habits | None = None, *, profile: Profile = QUIET) -> None:
        self.habits = habits or Habits()
        super().__init__(profile=profile)

    def new_endpoint(self, terminal: Terminal) -> Any:
        self.device = LedgerTerminal(self.clock, self.habits)
        return _Listening(self)

    def replace_device(self, habits: Habits) -> None:
        """Somebody puts another terminal in its place."""
        self.device = LedgerTerminal(self.clock, habits)
        self.wire.serve = self.device.serve

    def new_wire(self, rules: list[Any]) -> Wire:
        return super().new_wire(rules)

    def standing(self, start: int = 0) -> list[Row]:
        return [row for row in self.device.rows[start:] if row.stands]

    def orders(self, start: int = 0) -> int:
        """How many money commands the terminal heard."""
        return sum(code in MONEY for code in self.device.heard[start:])
