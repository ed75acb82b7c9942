"""probe: is it a ZVT terminal, which one, and how does it like to be spoken to? Scripted terminals on real sockets.

Source: ZVT fact sheet 1.2, 2.5, 2.7, 6.8, 7.1, 7.11, 8.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import threading
import tty
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cli.cli_counter import PATIENCE_S, Result, free_port

from zahlwerk.cli.exits import ExitCode
from zahlwerk.cli.probe import Answer, Finding, judge
from zahlwerk.clock import VirtualClock
from zahlwerk.interfaces.zvt.probing import (
    JOB_S,
    LINGER_S,
    Speaks,
    ZvtFindings,
    foreign_language,
    probe_zvt,
    propose_profile,
)
from zahlwerk.interfaces.zvt.serial_frames import Frame, FrameDecoder, encode_frame
from zahlwerk.timeouts import Waits
from zahlwerk.transport.memory import MemoryStream, memory_pair

Run = Callable[..., Result]


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text)


ENQUIRY = _bytes("05 01 07 00 00 00 03 04 06 00")  # 2.2: password, service byte "all", TLV welcome
ENQUIRY_SHORT = _bytes("05 01 00")
OK = _bytes("80 00 00")
# 7.11, second example: software version, ready, terminal id, device.
STATUS = _bytes(
    "06 0F 28 F0 F0 F8 44 45 4D 4F 20 34 2E 37 00 06 1A 1F 44 04 62 07 11 83"
    "E4 11 1F 40 04 44 45 4D 4F 1F 41 03 34 2E 37 1F 43 01 00"
)
READY = _bytes("06 0F 01 00")
DIAGNOSIS_NEEDED = _bytes("06 0F 01 C2")
REGISTERED = _bytes(  # 7.1
    "06 0F 19 19 00 29 62 07 11 83 49 09 78 06 0D 12 01 42 1A 02 10 00 26 04 0A 02 06 D3"
)
VALINA = _bytes("06 0F 0B F0 F0 F7") + b"Valina1" + _bytes("00")

SHORT = Waits(connect_s=1.0, margin_s=0.1, short_s=0.5)

Script = Sequence[tuple[bytes, Sequence[bytes]]]
"""What is expected, and what is answered, one piece after the other, each once the one before was acknowledged."""


class FakeTerminal:
    """A TCP server that plays a script: `answers` for each command, then it waits or hangs up."""

    def __init__(self, script: Script, *, hangs_up: bool = False) -> None:
        self.heard: list[bytes] = []
        self._script = script
        self._hangs_up = hangs_up
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.1)
        self.port: int = self._server.getsockname()[1]
        self._going = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while self._going:
            try:
                connection, _ = self._server.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(PATIENCE_S)
                self._play(connection)
        self._server.close()

    def _play(self, connection: socket.socket) -> None:
        for expected, answers in self._script:
            self._read(connection, expected)
            for answer in answers:
                connection.sendall(answer)
                if answer[0] in {0x04, 0x06}:
                    self._read(connection, OK)
        if not self._hangs_up:
            connection.recv(1)  # until the other side hangs up

    def _read(self, connection: socket.socket, expected: bytes) -> None:
        data = b""
        while len(data) < len(expected) and (more := connection.recv(len(expected) - len(data))):
            data += more
        self.heard.append(data)

    def close(self) -> None:
        """Stop."""
        self._going = False
        self._thread.join(PATIENCE_S)


class FakeForeigner(FakeTerminal):
    """Says the same whatever it hears."""

    def __init__(self, words: bytes) -> None:
        super().__init__([(b"\x05", [words])] if words else [(ENQUIRY, [])], hangs_up=not words)

    def _play(self, connection: socket.socket) -> None:
        connection.recv(64)
        for _, answers in self._script:
            for answer in answers:
                connection.sendall(answer)
        if not self._hangs_up:
            connection.recv(1)


@pytest.fixture
def play() -> Iterator[Callable[..., FakeTerminal]]:
    """Makes terminals that play a script, or say one thing."""
    made: list[FakeTerminal] = []

    def make(script: Script | bytes, *, hangs_up: bool = False) -> FakeTerminal:
        made.append(FakeForeigner(script) if isinstance(script, bytes) else FakeTerminal(script, hangs_up=hangs_up))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(autouse=True)
def watch(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """How long a terminal is watched for hanging up: hardly at all, where a test does not say otherwise."""

    def change(seconds: float) -> None:
        monkeypatch.setattr("zahlwerk.cli.probe.LINGER_S", seconds)

    change(0.02)
    return change


def _url(terminal: FakeTerminal, query: str = "") -> str:
    return f"zvt+tcp://127.0.0.1:{terminal.port}{query}"


class TestATerminal:
    def test_suits_and_is_named(self, run: Run, play: Callable[..., FakeTerminal]) -> None:
        """Device, version and terminal id of 7.11, and the address to use."""
        terminal = play([(ENQUIRY, [OK, STATUS])])
        got = run("probe", _url(terminal), "--json")

        assert got.code == 0
        assert got.last["suitable"] is True
        assert got.last["verdict"] == "This terminal suits: a ZVT terminal (DEMO 4.7), status 00: Ready."
        assert (got.last["terminal"]["terminal_id"], got.last["terminal"]["model"]) == ("62071183", "DEMO")
        assert got.last["url"] == _url(terminal)
        zvt = got.events("interface")[0]["zvt"]
        assert (zvt["device_software"], zvt["device_state"], zvt["profile"]) == ("4.7", 0, "standard")
        assert 0 <= zvt["answer_s"] <= zvt["done_s"]
        assert zvt["closes_after_s"] is None
        assert zvt["registration"] is None
        assert terminal.heard == [ENQUIRY, OK]

    def test_people_get_a_table_and_a_next_step(self, run: Run, play: Callable[..., FakeTerminal]) -> None:
        """Without --json."""
        terminal = play([(ENQUIRY, [OK, STATUS])])
        got = run("probe", _url(terminal))

        assert "62071183" in got.out
        assert f"zahlwerk pay {_url(terminal)} 1.00" in got.out

    def test_an_old_one_is_asked_in_the_shortest_form(self, run: Run, play: Callable[..., FakeTerminal]) -> None:
        """84 83 to what it does not know (2.4)."""
        terminal = play([(ENQUIRY, [_bytes("84 83 00")]), (ENQUIRY_SHORT, [OK, READY])])
        got = run("probe", _url(terminal), "--json")

        assert got.code == 0
        assert terminal.heard == [ENQUIRY, ENQUIRY_SHORT, OK]
        assert got.last["verdict"] == "This terminal suits: a ZVT terminal, status 00: Ready."

    def test_what_ails_it_is_told_with_the_cure(self, run: Run, play: Callable[..., FakeTerminal]) -> None:
        """C2: diagnosis needed (5.2)."""
        got = run("probe", _url(play([(ENQUIRY, [OK, DIAGNOSIS_NEEDED])])), "--json")

        assert got.code == 0
        assert "takes no payments now" in got.last["verdict"]
        assert "status C2" in got.last["verdict"]
        assert got.last["advice"] != []

    def test_one_that_hangs_up_gets_a_connection_for_each_command(
        self, run: Run, play: Callable[..., FakeTerminal], watch: Callable[[float], None]
    ) -> None:
        """Fact sheet 1.2."""
        watch(PATIENCE_S)
        terminal = play([(ENQUIRY, [OK, READY])], hangs_up=True)
        got = run("probe", _url(terminal), "--json")

        assert got.code == 0
        assert got.last["url"] == _url(terminal, "?connection=each")
        assert got.events("interface")[0]["zvt"]["closes_after_s"] is not None

    def test_its_profile_is_proposed_and_put_into_the_address(
        self, run: Run, play: Callable[..., FakeTerminal]
    ) -> None:
        """By what it calls itself."""
        terminal = play([(ENQUIRY, [OK, VALINA])])
        got = run("probe", _url(terminal), "--json")

        assert got.last["url"] == _url(terminal, "?profile=worldline-valina")
        assert any("worldline-valina" in line for line in got.last["advice"])

    def test_it_is_registered_only_if_that_is_wanted(self, run: Run, play: Callable[..., FakeTerminal]) -> None:
        """The registration of the profile, and what the terminal says to it (7.1)."""
        registration = _bytes("06 00 15 00 00 00 BE 09 78 06 0D 12 01 32 1A 02 FF FF 26 04 0A 02 06 D3")
        terminal = play([(ENQUIRY, [OK, STATUS]), (registration, [OK, REGISTERED])])
        got = run("probe", _url(terminal), "--register", "--json")

        assert got.code == 0
        assert terminal.heard[2] == registration
        agreed = got.events("interface")[0]["zvt"]["registration"]
        assert (agreed["width"], agreed["apdu_max"], agreed["commands"]) == (42, 4096, ["06D3"])
        assert agreed["refused"] is None

    def test_a_refused_registration_is_told(self, run: Run, play: Callable[..., FakeTerminal]) -> None:
        """84 1E 03 6F 09 78: another currency (7.1)."""
        terminal = play([(ENQUIRY, [OK, STATUS]), (b"\x06" * 24, [_bytes("84 1E 03 6F 09 78")])])
        got = run("probe", _url(terminal, "?currency=CHF"), "--register", "--json")

        assert got.events("interface")[0]["zvt"]["registration"]["refused"] == "6F"
        assert any("refused the registration" in line for line in got.last["advice"])

    def test_zvt_that_is_switched_off_does_not_suit(self, run: Run, play: Callable[..., FakeTerminal]) -> None:
        """Everything is answered by 84 83 (8, Ingenico)."""
        no = _bytes("84 83 00")
        got = run("probe", _url(play([(ENQUIRY, [no]), (ENQUIRY_SHORT, [no])])), "--json")

        assert got.code == 2
        assert "switched off" in got.last["verdict"]

    def test_what_it_does_meanwhile_is_kept(self, run: Run, play: Callable[..., FakeTerminal]) -> None:
        """A job of its own prints and reports in the answer to 05 01 (6.8): both are accepted, and told."""
        line = _bytes("06 D1 0E 00") + b"Kassenschnitt"
        result = _bytes("04 0F 09 27 00 04 00 00 00 10 21 95")
        terminal = play([(ENQUIRY, [OK, line, result, READY])])
        got = run("probe", _url(terminal), "--json")

        assert terminal.heard == [ENQUIRY, OK, OK, OK]
        assert [row["text"] for row in got.events("receipt")] == ["Kassenschnitt"]
        assert got.events("interface")[0]["zvt"]["results"] == 1
        assert any("payment that no till knows" in line for line in got.last["advice"])

    def test_a_host_alone_is_tried_at_the_usual_ports(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """20007, and 22000 of Feig (1.2)."""
        monkeypatch.setattr("zahlwerk.cli.probe.PROBE_WAITS", SHORT)
        got = run("probe", "127.0.0.1", "--json")

        urls = [row["url"] for row in got.events("interface")]
        assert "zvt+tcp://127.0.0.1:20007" in urls
        assert "zvt+tcp://127.0.0.1:22000" in urls

    def test_host_and_port_are_tried_as_kit_first(self, run: Run, play: Callable[..., FakeTerminal]) -> None:
        """And nothing at all is said where nobody listens."""
        port = free_port()
        got = run("probe", f"127.0.0.1:{port}", "--json")

        assert got.code == 69
        assert [row["title"] for row in got.events("interface")] == ["KIT JSON over TCP", "KIT JSON over WebSocket"]


class TestSomethingElse:
    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            pytest.param(_bytes("15"), "answers 15", id="nak"),
            pytest.param(_bytes("00 00 00 0A 31 32"), "length in four bytes", id="length"),
            pytest.param(b'{"ConnectResponse":{}}', "speaks JSON", id="json"),
            pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", "web server", id="http"),
            pytest.param(b"SSH-2.0-nothing\r\n", "SSH", id="ssh"),
            pytest.param(_bytes("15 03 01 00 02 02 46"), "?tls=yes", id="tls"),
            pytest.param(_bytes("06 10 02 80 00 00 10 03 F5 1F"), "serial frames", id="serial"),
            pytest.param(ENQUIRY, "begins with 05 01", id="echo"),
            pytest.param(b"", "hangs up without a word", id="hangs up"),
        ],
    )
    def test_is_told_apart_by_its_first_bytes(
        self, run: Run, play: Callable[..., FakeTerminal], words: bytes, sentence: str
    ) -> None:
        """Exit 2, and what it is (8, row Ingenico)."""
        got = run("probe", _url(play(words)), "--json")

        assert got.code == 2
        assert sentence in got.last["verdict"]
        assert got.last["url"] is None

    def test_nobody_listens(self, run: Run) -> None:
        """Exit 69."""
        assert run("probe", f"zvt+tcp://127.0.0.1:{free_port()}").code == 69

    @pytest.mark.parametrize("size", [0, 1, 2, 3])
    def test_a_terminal_is_not_misjudged_by_a_cut(self, size: int) -> None:
        """Segments are arbitrary (1.2): whatever an answer begins with, its pieces may still be ZVT."""
        for apdu in (OK, STATUS, READY, _bytes("84 83 00"), _bytes("04 FF 01 0E"), _bytes("06 D3 03 06 01 07")):
            assert foreign_language(apdu[:size]) == ""


class TestTime:
    """On a clock that moves only when told to."""

    async def test_silence_is_waited_for_no_longer_than_t3(self) -> None:
        """Five seconds (1.5)."""
        found, clock = await _probe_on_virtual_time([], advance_s=5.0)

        assert found.speaks is Speaks.SILENT
        assert "5 s" in found.sentence
        assert clock.now_s() == 5.0

    async def test_a_terminal_that_works_is_waited_for(self) -> None:
        """While it says so, up to JOB_S."""
        told = [_bytes("04 FF 02 0F 01")] * 20
        found, clock = await _probe_on_virtual_time([OK, *told, READY], advance_s=JOB_S, every_s=7.0)

        assert found.speaks is Speaks.ZVT
        assert found.status == 0
        assert found.can_pay
        assert clock.now_s() >= 140.0

    async def test_an_enquiry_that_never_ends_is_no_sign_of_a_free_terminal(self) -> None:
        """80 00, and no more."""
        found, _ = await _probe_on_virtual_time([OK], advance_s=60.0)

        assert found.speaks is Speaks.ZVT
        assert not found.can_pay
        assert "busy" in found.sentence

    async def test_an_answer_that_breaks_off_is_none(self) -> None:
        """Two bytes of a header, then nothing."""
        found, _ = await _probe_on_virtual_time([_bytes("80 00")], advance_s=10.0)

        assert found.speaks is Speaks.OTHER
        assert "80 00" in found.sentence

    async def test_a_hang_up_within_the_watch_is_timed(self) -> None:
        """To tell `connection=each` from `keep`."""
        found, _ = await _probe_on_virtual_time([OK, READY], advance_s=LINGER_S, every_s=0.5, hangs_up=True)

        assert found.closes_after_s == pytest.approx(0.5)
        assert found.params == {"connection": "each"}


class TestHostileBytes:
    @given(
        st.sampled_from(
            [b"", OK, b"\x06", b"\x04\xff", b"\x06\x0f", b"\x06\x1e", b"\x84\x83", b"\x06\xd3\xff\xff\xff"]
        ),
        st.lists(st.binary(min_size=1, max_size=40), max_size=4),
    )
    @settings(max_examples=60, deadline=None)
    def test_any_bytes_give_findings(self, start: bytes, rest: list[bytes]) -> None:
        """Never an error, never for ever."""
        pieces = [each for each in (start, *rest) if each]
        found, clock = asyncio.run(_probe_on_virtual_time(pieces, advance_s=JOB_S, hangs_up=True, listens=False))

        assert found.sentence
        assert clock.now_s() <= 2 * JOB_S + LINGER_S


class TestProfiles:
    @pytest.mark.parametrize(
        ("device", "software", "port", "profile"),
        [
            ("cVEND plug", "", None, "feig-cvend"),
            ("", "", 22000, "feig-cvend"),
            ("", "GER-OPM-C60 1.2", None, "ccv-opm"),
            ("CCV A920", "", 20007, "ccv"),
            ("H5000", "", None, "verifone"),
            ("Move 5000", "", None, "ingenico"),
            ("VALINA", "Ingenico 1", None, "worldline-valina"),
            ("PAX A80", "", None, "pax-a80"),
            ("DEMO", "4.7", 20007, "standard"),
            ("", "", None, "standard"),
        ],
    )
    def test_are_proposed_by_name_and_by_port(self, device: str, software: str, port: int | None, profile: str) -> None:
        """The device's own name first; a port of one maker last."""
        assert propose_profile(device=device, software=software, port=port) == profile


class TestVerdicts:
    def test_several_ports_that_speak_no_zvt_are_each_told(self) -> None:
        """With what to look at."""
        others = [
            Finding(title="ZVT", url=f"zvt+tcp://10.0.0.5:{port}", answer=Answer.OTHER, detail="it speaks JSON",
                    zvt=ZvtFindings(speaks=Speaks.OTHER))
            for port in (20007, 22000)
        ]  # fmt: skip
        verdict = judge(others)

        assert verdict.code is ExitCode.NOT_APPROVED
        assert "Port 20007: it speaks JSON; port 22000: it speaks JSON." in verdict.sentence
        assert any("ZVT over LAN" in line for line in verdict.advice)

    def test_what_is_neither_kit_nor_zvt_is_told_so_with_both_cures(
        self, run: Run, play: Callable[..., FakeTerminal]
    ) -> None:
        """A host and a port: tried as both."""
        got = run("probe", f"127.0.0.1:{play(b'HTTP/1.1 400 Bad Request' + bytes(8)).port}")

        assert got.code == 2
        assert "but neither as a KIT nor as a ZVT terminal." in got.out
        assert "if it should speak ZVT: switch ZVT on in its settings" in got.out


class _SerialTerminal:
    """A terminal on a pseudo terminal that answers the status enquiry of 7.11 in frames, and hears what is said."""

    def __init__(self, *, frames: bool = True) -> None:
        self.inside, self._outside = os.openpty()
        tty.setraw(self.inside)
        tty.setraw(self._outside)
        self.device = os.ttyname(self._outside)
        self.heard: list[bytes] = []
        self._frames = frames
        self._going = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        decoder = FrameDecoder()
        while True:
            if not select.select([self.inside], [], [], 0.05)[0]:
                if not self._going:
                    return
                continue
            data = os.read(self.inside, 4096)
            if not self._frames:
                os.write(self.inside, b"\xff\xfe" * 3)
                continue
            for item in decoder.feed(data):
                if isinstance(item, Frame):
                    self._answer(item.apdu)

    def _answer(self, apdu: bytes) -> None:
        self.heard.append(apdu)
        os.write(self.inside, b"\x06")
        for answer in (OK, STATUS) if apdu[:2] == b"\x05\x01" else ():
            os.write(self.inside, encode_frame(answer))

    def close(self) -> None:
        """Hear what is left on the line, then go. Idempotent."""
        if not self._going:
            return
        self._going = False
        self._thread.join(PATIENCE_S)
        os.close(self.inside)
        os.close(self._outside)


class TestASerialLine:
    @pytest.fixture
    def device(self) -> Iterator[Callable[..., _SerialTerminal]]:
        made: list[_SerialTerminal] = []

        def make(*, frames: bool = True) -> _SerialTerminal:
            made.append(_SerialTerminal(frames=frames))
            return made[-1]

        yield make
        for one in made:
            one.close()

    def test_is_only_asked_and_not_registered_at(self, run: Run, device: Callable[..., _SerialTerminal]) -> None:
        """As over TCP: a registration may lock the keypad."""
        terminal = device()
        got = run("probe", f"zvt+serial://{terminal.device}", "--json")

        assert got.code == 0
        assert got.last["verdict"] == "This terminal suits: a ZVT terminal (DEMO 4.7), status 00: Ready."
        assert got.last["url"] == f"zvt+serial://{terminal.device}"
        assert got.last["terminal"]["terminal_id"] == "62071183"
        terminal.close()  # it hears what is left on the line first
        assert terminal.heard == [ENQUIRY, OK]

    def test_a_device_alone_is_tried_as_kit_and_then_as_zvt(
        self, run: Run, device: Callable[..., _SerialTerminal], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One after the other: there is one line."""
        monkeypatch.setattr("zahlwerk.cli.probe.PROBE_WAITS", SHORT)
        got = run("probe", device().device, "--json")

        assert got.code == 0
        assert [row["title"] for row in got.events("interface")] == ["KIT JSON over RS232", "ZVT over RS-232"]
        assert got.last["url"].startswith("zvt+serial:///")

    def test_other_bytes_are_told_from_silence(self, run: Run, device: Callable[..., _SerialTerminal]) -> None:
        """The wrong speed looks like this."""
        got = run("probe", f"zvt+serial://{device(frames=False).device}?t3=1", "--json")

        assert got.code == 2
        assert "no ZVT frames: another speed (?baud=115200)" in got.last["verdict"]


async def _probe_on_virtual_time(
    answers: Sequence[bytes],
    *,
    advance_s: float,
    every_s: float = 0.0,
    hangs_up: bool = False,
    listens: bool = True,
) -> tuple[ZvtFindings, VirtualClock]:
    """Probes a terminal that sends these answers, one every so many seconds, while time is moved."""
    clock = VirtualClock()
    register, terminal = memory_pair()
    probing = asyncio.ensure_future(probe_zvt(register, clock=clock))
    playing = asyncio.ensure_future(_play(terminal, clock, answers, every_s, hangs_up=hangs_up, listens=listens))
    moved_s = 0.0
    while not probing.done() and moved_s < advance_s + LINGER_S:
        await clock.advance(0.5)
        moved_s += 0.5
    found = await asyncio.wait_for(probing, 1.0)
    playing.cancel()
    await asyncio.gather(playing, return_exceptions=True)
    return found, clock


async def _play(
    terminal: MemoryStream,
    clock: VirtualClock,
    answers: Sequence[bytes],
    every_s: float,
    *,
    hangs_up: bool,
    listens: bool,
) -> None:
    await terminal.receive()
    for index, answer in enumerate(answers):
        if index:
            await clock.sleep_until(clock.now_s() + every_s)
        await terminal.send(answer)
        if listens and answer[0] in {0x04, 0x06}:
            await terminal.receive()
    if hangs_up:
        await clock.sleep_until(clock.now_s() + every_s)
        await terminal.close()
