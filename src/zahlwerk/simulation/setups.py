"""Which interface the register and the terminal of a run speak: one row each; a further one is a further row."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from zahlwerk.currency import Currency
from zahlwerk.errors import ConfigurationError
from zahlwerk.interfaces.kit import connection as kit_connection
from zahlwerk.interfaces.kit import framing as kit_framing
from zahlwerk.interfaces.kit.driver import KitTerminal
from zahlwerk.interfaces.kit.endpoint import KitEndpoint
from zahlwerk.interfaces.kit.register import Options, RegisterSide
from zahlwerk.interfaces.kit.serial_link import SerialLink as KitSerialLink
from zahlwerk.interfaces.zvt import connection as zvt_connection
from zahlwerk.interfaces.zvt import framing as zvt_framing
from zahlwerk.interfaces.zvt.dictionary import COMMANDS
from zahlwerk.interfaces.zvt.driver import ZvtTerminal
from zahlwerk.interfaces.zvt.endpoint import EndpointOptions, ZvtEndpoint
from zahlwerk.interfaces.zvt.profiles import STANDARD
from zahlwerk.interfaces.zvt.serial_link import SerialLink as ZvtSerialLink
from zahlwerk.simulation.wire import Serve, Splitter
from zahlwerk.terminal import Terminal
from zahlwerk.transport.stream import ByteStream
from zahlwerk.urls import Context, Endpoint, Url

__all__ = ["SETUPS", "Setup", "setup"]

Dial: TypeAlias = Callable[[], Coroutine[Any, Any, ByteStream]]
Stop: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
Listen: TypeAlias = Callable[[Serve], Coroutine[Any, Any, tuple[Url, Stop]]]

CURRENCY: Final = "CHF"
_ANYTHING: Final = frozenset({"drop", "delay", "duplicate", "reorder", "garble", "cut-before", "cut-after"})
# Frames do not overtake each other on a serial line, and what comes twice comes at once.
_SERIAL: Final = _ANYTHING - {"reorder"}
# What TCP can do to a message: bring it late, or not at all because the connection breaks.
_TCP: Final = frozenset({"delay", "cut-before", "cut-after"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """One interface between the register and the terminal."""

    name: str
    title: str
    driver: Callable[[Dial, Context], Terminal]
    endpoint: Callable[[Listen, Terminal, Context], Endpoint]
    splitter: Callable[[], Splitter]
    name_of: Callable[[bytes], str]
    asks: frozenset[str]
    """Names of messages that ask for money."""
    medium: frozenset[str]
    """What the wire can do to a message."""
    lists_holds: bool = True
    """The register can find a hold whose approval it was never told. Where it cannot, and the terminal's power fails at
    that moment, the hold stays until the issuer lets go of it: it is counted, and no money has moved."""
    delay_max_s: float = 45.0
    """How long it can keep one; a serial line keeps nothing, but its adapter does for a moment. What TCP doubles (in
    truth it is a terminal's or register's program that does) may come a while later; a line's double comes at once."""


# -- KIT


class _Lines:
    def __init__(self) -> None:
        self._decoder = kit_framing.LineDecoder()

    def feed(self, data: bytes) -> list[bytes]:
        return [line + b"\n" for line in self._decoder.feed(data) if isinstance(line, bytes)]


class _KitFrames:
    """Frames and single marks; what belongs to neither goes through byte by byte."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        self._buffer += data
        found = []
        while size := _kit_frame_size(self._buffer):
            found.append(self._buffer[:size])
            self._buffer = self._buffer[size:]
        return found


def _kit_frame_size(data: bytes) -> int:
    if data[:1] != b"\x10":
        return min(1, len(data))
    if data[:2] != b"\x10\x00":
        return 2 if len(data) >= 2 else 0
    at = 2
    while at + 1 < len(data):
        if data[at] != 0x10:
            at += 1
        elif data[at + 1] == 0xFF:
            return at + 2
        else:
            at += 2
    return 0


_JSON_NAME: Final = re.compile(rb'"(\w+)"')


def _kit_name(message: bytes) -> str:
    if message in {b"\x10\x11", b"\x10\x12"}:
        return "ACK" if message[1] == 0x11 else "NAK"
    found = _JSON_NAME.search(message)
    return found[1].decode() if found is not None else "?"


def _kit_driver(link: Callable[[], kit_framing.Link]) -> Callable[[Dial, Context], Terminal]:
    def make(dial: Dial, context: Context) -> Terminal:
        side = RegisterSide(Options(), waits=context.waits)
        return KitTerminal(
            kit_connection.Connection(dial, link(), side, context, name="simulation:"), context, interface="KIT JSON"
        )

    return make


def _kit_endpoint(link: Callable[[], kit_framing.Link]) -> Callable[[Listen, Terminal, Context], Endpoint]:
    def make(listen: Listen, terminal: Terminal, context: Context) -> Endpoint:
        return KitEndpoint(terminal, listen, link, context)

    return make


# -- ZVT

# Bit 10 of the registration locks the terminal's keypad; here somebody types payments in (ZVT fact sheet 2.4).
_ZVT_PROFILE: Final = STANDARD.but(config=STANDARD.config & ~0x10)
_ZVT_ASKS: Final = frozenset(row.name for row in COMMANDS.values() if row.moves_money)


class _ZvtFrames:
    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        self._buffer += data
        found = []
        while size := _zvt_frame_size(self._buffer):
            found.append(self._buffer[:size])
            self._buffer = self._buffer[size:]
        return found


def _zvt_frame_size(data: bytes) -> int:
    if data[:1] != b"\x10":
        return min(1, len(data))
    at = 2
    while at + 1 < len(data):
        if data[at] != 0x10:
            at += 1
        elif data[at + 1] == 0x03:
            return at + 4 if at + 4 <= len(data) else 0
        else:
            at += 2
    return 0


def _apdu_name(apdu: bytes) -> str:
    code = int.from_bytes(apdu[:2], "big")
    if code in {0x8000, 0x8400}:
        return "ack"
    return COMMANDS[code].name if code in COMMANDS else f"{code:04X}"


def _zvt_frame_name(frame: bytes) -> str:
    if frame in {b"\x06", b"\x15"}:
        return "ACK" if frame == b"\x06" else "NAK"
    return _apdu_name(frame[2:].replace(b"\x10\x10", b"\x10")) if frame.startswith(b"\x10\x02") else "?"


def _zvt_driver(link: Callable[[], zvt_framing.Link]) -> Callable[[Dial, Context], Terminal]:
    def make(dial: Dial, context: Context) -> Terminal:
        currency = Currency.of(CURRENCY)
        connection = zvt_connection.Connection(
            dial, link, context, _ZVT_PROFILE, name="simulation:", currency_number=currency.number
        )
        return ZvtTerminal(connection, context, currency=currency)

    return make


def _zvt_endpoint(link: Callable[[], zvt_framing.Link]) -> Callable[[Listen, Terminal, Context], Endpoint]:
    def make(listen: Listen, terminal: Terminal, context: Context) -> Endpoint:
        return ZvtEndpoint(terminal, listen, link, context, EndpointOptions())

    return make


SETUPS: Final[Mapping[str, Setup]] = MappingProxyType({
    row.name: row
    for row in (
        Setup(
            name="kit", title="KIT JSON over TCP", driver=_kit_driver(kit_framing.PlainLink),
            endpoint=_kit_endpoint(kit_framing.PlainLink), splitter=_Lines, name_of=_kit_name,
            asks=frozenset({"TransactionRequest"}), medium=_ANYTHING,
        ),
        Setup(
            name="kit-serial", title="KIT JSON over the serial line",
            driver=_kit_driver(lambda: KitSerialLink("register")),
            endpoint=_kit_endpoint(lambda: KitSerialLink("terminal")), splitter=_KitFrames, name_of=_kit_name,
            asks=frozenset({"TransactionRequest"}), medium=_SERIAL, delay_max_s=1.0,
        ),
        Setup(
            name="zvt", title="ZVT over TCP", driver=_zvt_driver(zvt_framing.PlainLink),
            endpoint=_zvt_endpoint(zvt_framing.PlainLink), splitter=zvt_framing.ApduDecoder, name_of=_apdu_name,
            asks=_ZVT_ASKS, medium=_TCP, lists_holds=False,
        ),
        Setup(
            name="zvt-serial", title="ZVT over the serial line", driver=_zvt_driver(ZvtSerialLink),
            endpoint=_zvt_endpoint(ZvtSerialLink), splitter=_ZvtFrames, name_of=_zvt_frame_name,
            asks=_ZVT_ASKS, medium=_SERIAL, lists_holds=False, delay_max_s=1.0,
        ),
    )
})  # fmt: skip
"""By name."""


def setup(name: str) -> Setup:
    """The row of an interface.

    Raises:
        ConfigurationError: there is none of this name.
    """
    found = SETUPS.get(name)
    if found is None:
        raise ConfigurationError(
            f"there is no interface {name[:32]!r} in the simulation", remedy=f"use one of: {', '.join(SETUPS)}"
        )
    return found
