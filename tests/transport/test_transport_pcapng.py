"""The capture file, judged by a small reader of its own and by Wireshark's command-line program."""

from __future__ import annotations

import io
import ipaddress
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zahlwerk.errors import ConfigurationError
from zahlwerk.transport.pcapng import write_pcapng
from zahlwerk.transport.trace import TraceEvent, TraceRecord

TSHARK = shutil.which("tshark")
START = datetime(2026, 11, 23, 9, 0, 0, 123456, UTC)
FIN, SYN, PSH, ACK = 1, 2, 8, 16


@dataclass
class Packet:
    """One packet, as the little reader below understands it."""

    at: datetime
    source: tuple[str, int]
    target: tuple[str, int]
    sequence: int
    acknowledged: int
    flags: int
    payload: bytes
    comment: str


def blocks(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        kind, length = struct.unpack_from("<II", data)
        assert length % 4 == 0
        assert struct.unpack_from("<I", data, length - 4) == (length,)
        yield kind, data[8 : length - 4]
        data = data[length:]


def options(data: bytes) -> dict[int, bytes]:
    found = {}
    while data:
        code, length = struct.unpack_from("<HH", data)
        if code == 0:
            assert data[4:] == b""
            break
        found[code] = data[4 : 4 + length]
        data = data[4 + (length + 3) // 4 * 4 :]
    return found


def ones_complement_sum(data: bytes) -> int:
    """All ones (0xFFFF) for data that holds its own right check sum; the long way of RFC 1071."""
    total = 0
    for index in range(0, len(data), 2):
        total += int.from_bytes(data[index : index + 2].ljust(2, b"\x00"), "big")
        total = total % 0x10000 + total // 0x10000
    return total


def read(data: bytes) -> list[Packet]:
    parts = list(blocks(data))
    (section, head), (interface, about), *rest = parts
    assert (section, head[:16]) == (0x0A0D0D0A, bytes.fromhex("4d3c2b1a 0100 0000 ffffffffffffffff"))
    assert (interface, about[:4]) == (1, b"\x01\x00\x00\x00")
    assert options(about[8:])[9] == b"\x06"
    return [enhanced(kind, body) for kind, body in rest]


def enhanced(kind: int, body: bytes) -> Packet:
    assert kind == 6
    number, high, low, captured, original = struct.unpack_from("<IIIII", body)
    assert (number, captured) == (0, original)
    frame = body[20 : 20 + captured]
    rest = body[20 + (captured + 3) // 4 * 4 :]
    at = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=high * 2**32 + low)
    return tcp(at, frame, options(rest).get(1, b"").decode())


def tcp(at: datetime, frame: bytes, comment: str) -> Packet:
    ip = frame[14:]
    if frame[12:14] == b"\x08\x00":
        assert ip[0] == 0x45
        assert int.from_bytes(ip[2:4], "big") == len(ip)
        assert ip[9] == 6
        assert ones_complement_sum(ip[:20]) == 0xFFFF
        addresses, segment = ip[12:20], ip[20:]
    else:
        assert frame[12:14] == b"\x86\xdd"
        assert ip[0] == 0x60
        assert int.from_bytes(ip[4:6], "big") == len(ip) - 40
        assert ip[6] == 6
        addresses, segment = ip[8:40], ip[40:]
    pseudo = addresses + bytes(3) + b"\x06" + len(segment).to_bytes(4, "big")
    assert ones_complement_sum(pseudo + segment) == 0xFFFF
    source, target, sequence, acknowledged, offset, flags = struct.unpack_from(">HHIIBB", segment)
    half = len(addresses) // 2
    return Packet(
        at=at,
        source=(str(ipaddress.ip_address(addresses[:half])), source),
        target=(str(ipaddress.ip_address(addresses[half:])), target),
        sequence=sequence,
        acknowledged=acknowledged,
        flags=flags,
        payload=segment[offset // 16 * 4 :],
        comment=comment,
    )


def opened(
    link: int = 1, *, local: str = "127.0.0.1:50000", peer: str = "127.0.0.1:8307", protocol: str = "kit+tcp"
) -> TraceRecord:
    return TraceRecord(
        at=START, mono_s=0, link=link, event=TraceEvent.OPENED, protocol=protocol, local=local, peer=peer
    )


def message(raw: bytes, *, sent: bool = True, link: int = 1, decoded: object = None, note: str = "") -> TraceRecord:
    return TraceRecord(
        at=START + timedelta(milliseconds=1),
        mono_s=0,
        link=link,
        event=TraceEvent.MESSAGE,
        sent=sent,
        raw=raw,
        decoded=decoded,
        note=note,
    )


def closed(link: int = 1) -> TraceRecord:
    return TraceRecord(at=START + timedelta(seconds=1), mono_s=1, link=link, event=TraceEvent.CLOSED)


def captured(*records: TraceRecord) -> list[Packet]:
    file = io.BytesIO()
    count = write_pcapng(records, file)
    packets = read(file.getvalue())
    assert len(packets) == count
    return packets


def streams(packets: list[Packet]) -> dict[tuple[tuple[str, int], tuple[str, int]], bytes]:
    """Payload per direction, put together by sequence number as a receiver would; a gap is an error."""
    expected: dict[tuple[tuple[str, int], tuple[str, int]], int] = {}
    out: dict[tuple[tuple[str, int], tuple[str, int]], bytes] = {}
    for packet in packets:
        way, back = (packet.source, packet.target), (packet.target, packet.source)
        if packet.flags & SYN:
            expected[way] = packet.sequence
        assert packet.sequence == expected[way]
        assert not packet.flags & ACK or packet.acknowledged == expected[back]
        expected[way] = (packet.sequence + len(packet.payload) + bool(packet.flags & (SYN | FIN))) % 2**32
        out[way] = out.get(way, b"") + packet.payload
    return out


class TestShape:
    def test_a_conversation_opens_speaks_and_closes_as_tcp_does(self) -> None:
        packets = captured(opened(), message(b"ask"), message(b"tell", sent=False), closed())
        register, terminal = ("127.0.0.1", 50000), ("127.0.0.1", 8307)
        assert [(packet.source, packet.flags, packet.payload) for packet in packets] == [
            (register, SYN, b""),
            (terminal, SYN | ACK, b""),
            (register, ACK, b""),
            (register, PSH | ACK, b"ask"),
            (terminal, ACK, b""),
            (terminal, PSH | ACK, b"tell"),
            (register, ACK, b""),
            (register, FIN | ACK, b""),
            (terminal, FIN | ACK, b""),
            (register, ACK, b""),
        ]

    def test_times_are_those_of_the_trace(self) -> None:
        packets = captured(opened(), message(b"x"), closed())
        assert [packets[0].at, packets[3].at, packets[-1].at] == [
            START,
            START + timedelta(milliseconds=1),
            START + timedelta(seconds=1),
        ]

    def test_name_and_note_of_a_message_are_the_comment_of_its_first_packet(self) -> None:
        packets = captured(opened(), message(b"x" * 3000, decoded={"StatusRequest": {}}, note="again"))
        assert [packet.comment for packet in packets[3:]] == ["StatusRequest - again", "", "", ""]

    def test_long_messages_are_cut_into_segments(self) -> None:
        packets = captured(opened(), message(b"x" * 3000))
        assert [len(packet.payload) for packet in packets[3:6]] == [1400, 1400, 200]

    @pytest.mark.parametrize(
        ("local", "peer", "caller"),
        [
            pytest.param("10.0.0.1:50000", "10.0.0.2:8307", "10.0.0.1", id="we call a terminal"),
            pytest.param("10.0.0.1:8307", "10.0.0.2:50000", "10.0.0.2", id="a register calls us"),
            pytest.param("10.0.0.1:18307", "10.0.0.2:2000", "10.0.0.2", id="a known port listens"),
            pytest.param("10.0.0.1:40000", "10.0.0.2:5000", "10.0.0.1", id="the lower port listens"),
            pytest.param("[fe80::1%eth0]:50000", "[fe80::2]:8307", "fe80::1", id="version 6"),
        ],
    )
    def test_who_called_follows_from_the_ports(self, local: str, peer: str, caller: str) -> None:
        packets = captured(opened(local=local, peer=peer), message(b"x"), message(b"y", sent=False), closed())
        assert packets[0].source[0] == caller
        assert sorted(streams(packets).values()) == [b"x", b"y"]

    @pytest.mark.parametrize(
        ("protocol", "port"), [("kit+serial", 8307), ("zvt+serial", 20007), ("kit+ws", 18307), ("memory", 8307)]
    )
    @pytest.mark.parametrize("name", ["/dev/ttyUSB0", "register", "", "host:name", "127.0.0.1:99999", "::"])
    def test_what_has_no_network_address_gets_one(self, protocol: str, port: int, name: str) -> None:
        packets = captured(opened(7, local=name, peer=name, protocol=protocol), message(b"x", link=7))
        assert (packets[0].source, packets[0].target) == (("127.0.0.1", 49159), ("127.0.0.2", port))

    def test_connections_do_not_get_mixed_up(self) -> None:
        packets = captured(
            opened(1, local="/dev/a", peer="/dev/a"),
            opened(2, local="/dev/b", peer="/dev/b"),
            message(b"one", link=1),
            message(b"two", link=2),
            message(b"ONE", link=1, sent=False),
            closed(1),
            closed(2),
        )
        assert sorted(streams(packets).values()) == [b"", b"ONE", b"one", b"two"]

    def test_a_trace_that_begins_in_the_middle_or_starts_anew_still_gives_whole_connections(self) -> None:
        packets = captured(message(b"late"), opened(), message(b"again"), closed(), closed(), message(b"after"))
        assert [packet.flags for packet in packets].count(SYN) == 3
        assert b"".join(packet.payload for packet in packets) == b"lateagainafter"

    def test_an_empty_trace_is_an_empty_capture(self) -> None:
        assert captured() == []

    def test_a_time_before_1970_is_no_crash(self) -> None:
        record = TraceRecord(at=datetime(1960, 1, 1, tzinfo=UTC), mono_s=0, link=1, event=TraceEvent.OPENED)
        assert captured(record)[0].at == datetime(1970, 1, 1, tzinfo=UTC)

    def test_card_numbers_are_masked_here_too(self) -> None:
        packets = captured(opened(), message(b"PAN 4111 1111 1111 1111"))
        assert packets[3].payload == b"PAN 4111 11** **** 1111"

    @given(
        st.lists(st.tuples(st.booleans(), st.binary(max_size=4000).map(lambda raw: raw.translate(None, b"0123456789"))))
    )
    def test_both_directions_hold_the_very_bytes(self, spoken: list[tuple[bool, bytes]]) -> None:
        found = streams(captured(opened(), *(message(raw, sent=sent) for sent, raw in spoken), closed()))
        register, terminal = ("127.0.0.1", 50000), ("127.0.0.1", 8307)
        assert found[register, terminal] == b"".join(raw for sent, raw in spoken if sent)
        assert found[terminal, register] == b"".join(raw for sent, raw in spoken if not sent)


class TestFiles:
    def test_a_path_is_replaced(self, tmp_path: Path) -> None:
        path = tmp_path / "out.pcapng"
        path.write_bytes(b"x" * 100_000)
        assert write_pcapng([opened()], path) == 3
        assert len(read(path.read_bytes())) == 3

    def test_a_path_that_cannot_be_written_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"cannot write the capture .*: no such file"):
            write_pcapng([], tmp_path / "nowhere" / "out.pcapng")


@pytest.mark.peer
@pytest.mark.skipif(TSHARK is None, reason="tshark is not installed: the capture is NOT judged by Wireshark here")
class TestWireshark:
    ASK = b'{"StatusRequest":{}}\n' + bytes(range(58, 256)) * 20
    TELL = b'{"StatusResponse":{"TrmStatus":5}}\n'

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "out.pcapng"
        write_pcapng(
            [
                opened(1),
                opened(2, local="[::1]:50001", peer="[::1]:18307", protocol="kit+tlv+tcp"),
                opened(3, local="/dev/ttyS0", peer="/dev/ttyS0", protocol="zvt+serial"),
                message(self.ASK, note="first"),
                message(self.TELL, sent=False),
                message(b"\x11\x00\x02hi", link=2),
                message(b"\x06\x00\x00", link=3),
                closed(1),
                closed(2),
                closed(3),
            ],
            path,
        )
        return path

    @staticmethod
    def tshark(path: Path, *arguments: str) -> str:
        assert TSHARK is not None
        checks = ("-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE")
        done = subprocess.run(
            [TSHARK, "-n", *checks, "-r", str(path), *arguments], capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout

    def test_it_finds_no_fault(self, path: Path) -> None:
        """Neither wrong check sums nor lost, doubled or unseen segments."""
        assert self.tshark(path, "-Y", "_ws.expert.severity >= warning || tcp.analysis.flags || _ws.malformed") == ""
        statuses = self.tshark(path, "-T", "fields", "-e", "tcp.checksum.status").split()
        assert set(statuses) == {"1"}

    def test_it_finds_the_very_bytes_on_the_true_ports(self, path: Path) -> None:
        for port, expected in (
            (50000, self.ASK),
            (8307, self.TELL),
            (50001, b"\x11\x00\x02hi"),
            (49155, b"\x06\x00\x00"),
        ):
            found = self.tshark(path, "-Y", f"tcp.srcport=={port} && tcp.len>0", "-T", "fields", "-e", "tcp.payload")
            assert bytes.fromhex("".join(found.split()).replace(":", "")) == expected

    def test_it_finds_three_whole_conversations(self, path: Path) -> None:
        rows = self.tshark(
            path, "-Y", "tcp.flags.syn==1 && tcp.flags.ack==0", "-T", "fields", "-e", "tcp.dstport"
        ).split()
        assert rows == ["8307", "18307", "20007"]
        assert set(self.tshark(path, "-T", "fields", "-e", "tcp.stream").split()) == {"0", "1", "2"}

    def test_it_shows_our_comments_and_times(self, path: Path) -> None:
        comments = self.tshark(path, "-Y", "frame.comment", "-T", "fields", "-e", "frame.comment")
        assert "kit+tcp: 127.0.0.1:50000 - 127.0.0.1:8307" in comments
        assert "first" in comments
        assert self.tshark(path, "-T", "fields", "-e", "frame.time_epoch").startswith(f"{START.timestamp():.6f}")
