"""A ZVT register, a ZVT terminal and a wire between them that can be cut at any APDU or frame: on virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from tests.interop.kit_world import Rule, Wire, World

from zahlwerk.interfaces.zvt.codec import decode
from zahlwerk.interfaces.zvt.connection import Connection
from zahlwerk.interfaces.zvt.dictionary import COMMANDS
from zahlwerk.interfaces.zvt.driver import ZvtTerminal
from zahlwerk.interfaces.zvt.endpoint import EndpointOptions, ZvtEndpoint
from zahlwerk.interfaces.zvt.framing import ApduDecoder, Link, PlainLink
from zahlwerk.interfaces.zvt.memory import Memory
from zahlwerk.interfaces.zvt.profiles import STANDARD, Profile
from zahlwerk.interfaces.zvt.serial_link import SerialLink
from zahlwerk.money import Currency
from zahlwerk.terminal import Terminal
from zahlwerk.urls import Endpoint
from zahlwerk.virtual.settings import Settings

__all__ = ["Frames", "ZvtWorld", "name_of_apdu", "name_of_frame"]

QUIET = STANDARD.but(poll_s=0.0)
"""No status enquiries of its own: tests count messages."""


def name_of_apdu(apdu: bytes) -> str:
    """The row's name of a command; `ack` for 80 00 and 84 00, the code of any other answer."""
    code = int.from_bytes(apdu[:2], "big")
    if code in {0x8000, 0x8400}:
        return "ack"
    return COMMANDS[code].name if code in COMMANDS else f"{code:04X}"


def name_of_frame(frame: bytes) -> str:
    """The name of the APDU in a serial frame, `ACK`, `NAK`, or `?` for what is neither."""
    if frame in {b"\x06", b"\x15"}:
        return "ACK" if frame == b"\x06" else "NAK"
    return name_of_apdu(frame[2:].replace(b"\x10\x10", b"\x10")) if frame.startswith(b"\x10\x02") else "?"


class Frames:
    """Cuts a serial line into frames and single bytes, undisturbed ones only: what was garbled goes through as it is."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        self._buffer += data
        found: list[bytes] = []
        while self._buffer:
            size = _frame_size(self._buffer)
            if not size:
                break
            found.append(self._buffer[:size])
            self._buffer = self._buffer[size:]
        return found


def _frame_size(data: bytes) -> int:
    if data[:1] != b"\x10":
        return 1
    at = 2
    while at + 1 < len(data):
        if data[at] != 0x10:
            at += 1
        elif data[at + 1] == 0x03:
            return at + 4 if at + 4 <= len(data) else 0
        else:
            at += 2
    return 0


class ZvtWorld(World):
    """All of it, over ZVT."""

    def __init__(
        self,
        *,
        rules: list[Rule] | None = None,
        settings: Settings | None = None,
        serial: bool = False,
        terminal: Terminal | None = None,
        profile: Profile = QUIET,
        options: EndpointOptions | None = None,
        memory: Memory | None = None,
    ) -> None:
        self.profile = profile
        self.memory = memory
        self.options = options or EndpointOptions()
        super().__init__(rules=rules, settings=settings or Settings(seed=1), serial=serial, terminal=terminal)

    def new_wire(self, rules: list[Rule]) -> Wire:
        if self._serial:
            return Wire(self.clock, rules, splitter=Frames, name_of=name_of_frame)
        return Wire(self.clock, rules, splitter=ApduDecoder, name_of=name_of_apdu)

    def link(self, role: Any) -> Link:
        return SerialLink() if self._serial else PlainLink()

    def new_endpoint(self, terminal: Terminal) -> Endpoint:
        return ZvtEndpoint(
            terminal, self._listen, lambda: self.link("terminal"), self.context, self.options, memory=self.memory
        )

    async def restart_endpoint(self) -> None:
        """The process of the endpoint dies where it stands, and another one starts on what was written down."""
        self.wire.serve = None
        serving = {task for task in self.wire.tasks if getattr(task.get_coro(), "__name__", "") == "_serve"}
        tasks: set[asyncio.Task[None]] = {*serving, *self.endpoint._tasks}
        while tasks:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            tasks = set(self.endpoint._tasks)
        await self.until(self.endpoint.close())
        self.endpoint = self.new_endpoint(self.virtual)
        await self.endpoint.start()

    def new_register(self, options: Any = None) -> ZvtTerminal:
        profile = options if isinstance(options, Profile) else self.profile
        currency = Currency.of("CHF")
        connection = Connection(
            self.wire.dial, lambda: self.link("register"), self.context, replace(profile), name="memory:",
            currency_number=currency.number,
        )  # fmt: skip
        return ZvtTerminal(connection, self.context, currency=currency)

    def sent(self, name: str) -> int:
        """How many messages of a name left the register."""
        return self.wire.seen[">", name]


def describe(wire: Wire) -> str:
    """The conversation, a line each; for the message of a failed test."""
    return "\n".join(f"{way} {wire.name_of(piece)} {piece.hex(' ')[:90]}" for way, piece in wire.log)


def decoded(wire: Wire, way: str) -> list[Any]:
    """Every message of a direction, read (TCP only)."""
    return [decode(piece) for known, piece in wire.log if known == way]
