"""A trace as a capture file that Wireshark reads: the messages in made-up Ethernet, IP and TCP around them.

The ports are the true ones, so that a dissector is found by port; serial lines and links in memory get loopback
addresses and the port that their protocol has on a network. Times are those of the trace.
Sources: draft-ietf-opsawg-pcapng (blocks and options); RFC 791 (IPv4); RFC 8200 (IPv6); RFC 9293 (TCP); RFC 1071
(check sum); linktype 1, Ethernet.
"""

from __future__ import annotations

import ipaddress
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntFlag
from pathlib import Path
from typing import BinaryIO, Final

from zahlwerk.carddata import redact_bytes
from zahlwerk.errors import ConfigurationError
from zahlwerk.transport.trace import TraceEvent, TraceRecord

__all__ = ["write_pcapng"]

SEGMENT_BYTES_MAX: Final = 1400
_LINKTYPE_ETHERNET: Final = 1
_COMMENT_BYTES_MAX: Final = 512
_WINDOW: Final = 65535
_MASK: Final = 0xFFFFFFFF
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Blocks and options of pcapng.
_SHB, _IDB, _EPB = 0x0A0D0D0A, 1, 6
_OPT_END, _OPT_COMMENT, _SHB_USERAPPL, _IF_NAME, _IF_TSRESOL = 0, 1, 4, 2, 9
_MICROSECONDS: Final = 6
# Ports that belong to the listening side, and what a protocol without network addresses is shown as. First match wins.
_PORTS: Final = (("kit+wss", 18443), ("kit+ws", 18307), ("kit", 8307), ("zvt", 20007), ("ocpp", 9000))
_LISTENING: Final = frozenset({8307, 18307, 18443, 28307, 20007, 9000, 8080, 443, 80})
_PORT_UNKNOWN: Final = 8307
_EPHEMERAL: Final = 49152

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class _Flag(IntFlag):
    """Source: RFC 9293, 3.1."""

    FIN = 0x01
    SYN = 0x02
    PSH = 0x08
    ACK = 0x10


def write_pcapng(records: Iterable[TraceRecord], target: str | os.PathLike[str] | BinaryIO) -> int:
    """Write a capture to a path (replaced) or an open binary file; how many packets it holds.

    A connection that the trace does not see opening is shown as opening with its first message. A link that is still
    open at the end stays open. The name and note of each message stand in the packet's comment.

    Raises:
        ConfigurationError: the path cannot be written.
    """
    if not isinstance(target, str | os.PathLike):
        return _write(records, target)
    try:
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            return _write(records, file)
    except OSError as exc:
        reason = (exc.strerror or type(exc).__name__).lower()
        name = Path(target)
        raise ConfigurationError(f"cannot write the capture {name}: {reason}", remedy="check the path") from exc


def _write(records: Iterable[TraceRecord], file: BinaryIO) -> int:
    file.write(_block(_SHB, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + _options((_SHB_USERAPPL, b"Zahlwerk"))))
    options = _options((_IF_NAME, b"zahlwerk"), (_IF_TSRESOL, bytes([_MICROSECONDS])))
    file.write(_block(_IDB, struct.pack("<HHI", _LINKTYPE_ETHERNET, 0, 0) + options))
    count = 0
    links: dict[int, _Link] = {}
    for record in records:
        for packet, comment in _packets(record, links):
            file.write(_enhanced(packet, record.at, comment))
            count += 1
    return count


@dataclass(slots=True)
class _End:
    """One end of a connection: where it is and which byte it sends next."""

    address: _Address
    port: int
    mac: bytes
    sequence: int
    packets: int = 0


@dataclass(slots=True)
class _Link:
    """A connection in progress."""

    local: _End
    peer: _End
    local_calls: bool = True
    """True if our end made the connection."""

    def opening(self) -> Iterator[bytes]:
        caller, called = (self.local, self.peer) if self.local_calls else (self.peer, self.local)
        yield _packet(caller, called, _Flag.SYN)
        yield _packet(called, caller, _Flag.SYN | _Flag.ACK)
        yield _packet(caller, called, _Flag.ACK)

    def data(self, payload: bytes, *, sent: bool) -> Iterator[bytes]:
        source, target = (self.local, self.peer) if sent else (self.peer, self.local)
        for start in range(0, len(payload), SEGMENT_BYTES_MAX):
            yield _packet(source, target, _Flag.PSH | _Flag.ACK, payload[start : start + SEGMENT_BYTES_MAX])
        if payload:
            yield _packet(target, source, _Flag.ACK)

    def closing(self) -> Iterator[bytes]:
        yield _packet(self.local, self.peer, _Flag.FIN | _Flag.ACK)
        yield _packet(self.peer, self.local, _Flag.FIN | _Flag.ACK)
        yield _packet(self.local, self.peer, _Flag.ACK)


def _packets(record: TraceRecord, links: dict[int, _Link]) -> Iterator[tuple[bytes, str]]:
    """The packets of one record, each with a comment; keeps `links` up to date."""
    comment = _comment(record)
    link = links.get(record.link)
    if record.event is TraceEvent.CLOSED:
        if link is not None:
            del links[record.link]
            yield from _commented(link.closing(), comment)
        return
    if record.event is TraceEvent.OPENED and link is not None:
        # A second run appended to the same file: its numbers start again.
        del links[record.link]
        yield from _commented(link.closing(), "the trace does not tell how this connection ended")
        link = None
    if link is None:
        link = links[record.link] = _new_link(record)
        seen = record.event is TraceEvent.OPENED
        yield from _commented(link.opening(), comment if seen else "the trace does not tell how this connection began")
    if record.event is TraceEvent.MESSAGE:
        yield from _commented(link.data(redact_bytes(record.raw), sent=record.sent), comment)


def _commented(packets: Iterable[bytes], comment: str) -> Iterator[tuple[bytes, str]]:
    """The comment belongs to the first packet."""
    for packet in packets:
        yield packet, comment
        comment = ""


def _comment(record: TraceRecord) -> str:
    name = ""
    if isinstance(record.decoded, dict) and len(record.decoded) == 1:
        name = str(next(iter(record.decoded)))
    if record.event is TraceEvent.OPENED:
        name = f"{record.protocol}: {record.local} - {record.peer}"
    return " - ".join(filter(None, (name, record.note)))


def _new_link(record: TraceRecord) -> _Link:
    local, peer = _endpoint(record.local), _endpoint(record.peer)
    usable = local is not None and peer is not None and local != peer and local[0].version == peer[0].version
    if local is None or peer is None or not usable:
        served = next((port for scheme, port in _PORTS if record.protocol.lower().startswith(scheme)), _PORT_UNKNOWN)
        host = ipaddress.IPv4Address
        # Each link has a port of its own, so that no two of them are taken for one connection.
        local = (host("127.0.0.1"), _EPHEMERAL + record.link % (65536 - _EPHEMERAL))
        peer = (host("127.0.0.2"), peer[1] if peer is not None and peer[1] else served)
    return _Link(
        local=_End(*local, mac=b"\x02\x00\x00\x00\x00\x01", sequence=1000),
        peer=_End(*peer, mac=b"\x02\x00\x00\x00\x00\x02", sequence=5000),
        local_calls=_calls(local[1], peer[1]),
    )


def _calls(local: int, peer: int) -> bool:
    """The trace does not say who called: a known port listens, else the lower one does."""
    if (local in _LISTENING) != (peer in _LISTENING):
        return peer in _LISTENING
    return local >= peer


def _endpoint(text: str) -> tuple[_Address, int] | None:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or len(port) > 5 or int(port) > 65535:
        return None
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0]), int(port)
    except ValueError:
        return None


def _packet(source: _End, target: _End, flags: _Flag, payload: bytes = b"") -> bytes:
    """One Ethernet frame; moves the source's sequence number on."""
    segment = _segment(source, target, flags, payload)
    source.sequence = (source.sequence + len(payload) + bool(flags & (_Flag.SYN | _Flag.FIN))) & _MASK
    source.packets += 1
    if source.address.version == 4:
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(segment), source.packets & 0xFFFF, 0x4000, 64, 6, 0)
        head += source.address.packed + target.address.packed
        head = head[:10] + _checksum(head) + head[12:]
        kind = b"\x08\x00"
    else:
        head = struct.pack(">IHBB", 0x60000000, len(segment), 6, 64) + source.address.packed + target.address.packed
        kind = b"\x86\xdd"
    return target.mac + source.mac + kind + head + segment


def _segment(source: _End, target: _End, flags: _Flag, payload: bytes) -> bytes:
    """Header and payload of TCP. Source: RFC 9293, 3.1."""
    options = struct.pack(">BBH", 2, 4, 1460) if flags & _Flag.SYN else b""
    acknowledged = target.sequence if flags & _Flag.ACK else 0
    offset = (20 + len(options)) // 4 << 4
    segment = struct.pack(
        ">HHIIBBHHH", source.port, target.port, source.sequence, acknowledged, offset, flags, _WINDOW, 0, 0
    )
    segment += options + payload
    # The check sum covers a pseudo header: addresses, protocol number and length.
    pseudo = source.address.packed + target.address.packed + struct.pack(">II", 6, len(segment))
    return segment[:16] + _checksum(pseudo + segment) + segment[18:]


def _checksum(data: bytes) -> bytes:
    """Source: RFC 1071."""
    data += b"\x00" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack(">H", ~total & 0xFFFF)


def _enhanced(packet: bytes, at: datetime, comment: str) -> bytes:
    stamp = max(0, (at - _EPOCH) // timedelta(microseconds=1))
    head = struct.pack("<IIIII", 0, stamp >> 32, stamp & _MASK, len(packet), len(packet))
    text = comment.encode("utf-8", "backslashreplace")[:_COMMENT_BYTES_MAX].decode("utf-8", "ignore").encode()
    return _block(_EPB, head + _padded(packet) + (_options((_OPT_COMMENT, text)) if text else b""))


def _options(*options: tuple[int, bytes]) -> bytes:
    packed = (struct.pack("<HH", code, len(value)) + _padded(value) for code, value in options)
    return b"".join(packed) + struct.pack("<HH", _OPT_END, 0)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def _padded(data: bytes) -> bytes:
    return data + b"\x00" * (-len(data) % 4)
