"""The trace: what is written, what is read back, and what people are shown."""

from __future__ import annotations

import contextlib
import io
import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zahlwerk.clock import VirtualClock
from zahlwerk.errors import ConfigurationError, RemoteProtocolError
from zahlwerk.transport.trace import TraceEvent, TraceRecord, TraceRecorder, read_trace, render

PAN = "4111 1111 1111 1111"
MASKED = "4111 11** **** 1111"


def lines(file: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.getvalue().splitlines()]


def recorded(path: Path) -> TraceRecorder:
    """A short conversation, written by the recorder."""
    recorder = TraceRecorder(path, clock=VirtualClock(start_s=7.5))
    link = recorder.new_link()
    recorder.opened(link, protocol="kit+tcp", local="127.0.0.1:50000", peer="127.0.0.1:8307")
    raw = b'{"StatusRequest":{"a":1}}\n'
    recorder.message(link, sent=True, raw=raw, decoded={"StatusRequest": {"a": 1}}, note="first")
    recorder.message(link, sent=False, raw=b"\x06\x00\xff", decoded=None)
    recorder.closed(link, why="the peer closed the connection")
    return recorder


class TestWriting:
    def test_each_event_is_one_line_with_time_link_and_bytes(self, tmp_path: Path) -> None:
        with recorded(tmp_path / "trace"):
            pass
        assert [json.loads(line) for line in (tmp_path / "trace").read_text().splitlines()] == [
            {
                "t": "2026-11-23T09:00:00.000+00:00",
                "mono": 7.5,
                "link": 1,
                "event": "opened",
                "protocol": "kit+tcp",
                "local": "127.0.0.1:50000",
                "peer": "127.0.0.1:8307",
            },
            {
                "t": "2026-11-23T09:00:00.000+00:00",
                "mono": 7.5,
                "link": 1,
                "event": "message",
                "dir": "out",
                "raw": b'{"StatusRequest":{"a":1}}\n'.hex(),
                "decoded": {"StatusRequest": {"a": 1}},
                "note": "first",
            },
            {
                "t": "2026-11-23T09:00:00.000+00:00",
                "mono": 7.5,
                "link": 1,
                "event": "message",
                "dir": "in",
                "raw": "0600ff",
            },
            {
                "t": "2026-11-23T09:00:00.000+00:00",
                "mono": 7.5,
                "link": 1,
                "event": "closed",
                "note": "the peer closed the connection",
            },
        ]

    def test_every_record_is_on_disk_at_once(self, tmp_path: Path) -> None:
        recorder = recorded(tmp_path / "trace")
        assert len((tmp_path / "trace").read_text().splitlines()) == 4
        recorder.close()
        recorder.close()
        assert not recorder.recording

    def test_each_connection_has_its_own_number(self) -> None:
        recorder = TraceRecorder(io.StringIO())
        assert [recorder.new_link() for _ in range(3)] == [1, 2, 3]

    def test_a_second_run_is_appended_and_the_file_is_for_its_owner_only(self, tmp_path: Path) -> None:
        for _ in range(2):
            recorded(tmp_path / "trace").close()
        assert len(list(read_trace(tmp_path / "trace"))) == 8
        assert stat.S_IMODE(os.stat(tmp_path / "trace").st_mode) & 0o077 == 0

    def test_a_file_that_was_handed_in_stays_open(self) -> None:
        file = io.StringIO()
        TraceRecorder(file).close()
        assert not file.closed

    def test_a_path_that_cannot_be_written_is_told_at_once(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"cannot write the trace .*: no such file"):
            TraceRecorder(tmp_path / "nowhere" / "trace")


class TestCardData:
    @pytest.mark.parametrize(
        "decoded",
        [
            pytest.param({"Message": {"PAN": PAN}}, id="a member"),
            pytest.param([["deep", {"x": (PAN,)}]], id="deep inside"),
            pytest.param({PAN: 1}, id="a key"),
            pytest.param({"PAN": int(PAN.replace(" ", ""))}, id="a number"),
            pytest.param({"PAN": float(PAN.replace(" ", ""))}, id="a broken number"),
            pytest.param({"PAN": PAN.encode()}, id="bytes"),
            pytest.param({"receipt": f"CARD {PAN}\nEXP 12/30"}, id="a receipt"),
            pytest.param({"track": ";4111111111111111=30121010000000000?"}, id="a track"),
        ],
    )
    def test_a_card_number_is_masked_wherever_it_stands(self, decoded: object) -> None:
        file = io.StringIO()
        recorder = TraceRecorder(file)
        recorder.message(1, sent=False, raw=b"PAN " + PAN.encode(), decoded=decoded, note=f"note {PAN}")
        recorder.opened(2, protocol=PAN, local=PAN, peer=PAN)
        recorder.closed(2, why=PAN)
        text = file.getvalue()
        [message, *_] = lines(file)
        assert bytes.fromhex(str(message["raw"])) == b"PAN " + MASKED.encode()
        assert message["note"] == f"note {MASKED}"
        for secret in (PAN, PAN.replace(" ", ""), PAN.encode().hex(), "411111111111"):
            assert secret not in text

    def test_a_trace_that_somebody_else_wrote_is_masked_when_it_is_read(self, tmp_path: Path) -> None:
        row = {
            "t": "2026-11-23T09:00:00Z",
            "mono": 0,
            "link": 1,
            "event": "message",
            "dir": "in",
            "raw": PAN.encode().hex(),
        }
        (tmp_path / "trace").write_text(json.dumps({**row, "decoded": {"x": PAN}, "note": PAN}))
        [record] = read_trace(tmp_path / "trace")
        assert (record.raw, record.decoded, record.note) == (MASKED.encode(), {"x": MASKED}, MASKED)


class TestTrouble:
    class FullDisk(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    class Odd:
        def __str__(self) -> str:
            raise RuntimeError("odd")

    def test_a_full_disk_never_stops_a_payment_and_is_logged_once(self, caplog: pytest.LogCaptureFixture) -> None:
        recorder = TraceRecorder(self.FullDisk())
        for _ in range(3):
            recorder.message(1, sent=True, raw=b"x", decoded=None)
        assert not recorder.recording
        assert [record.getMessage() for record in caplog.records] == [
            "trace.disabled reason='OSError No space left on device'"
        ]

    @pytest.mark.parametrize("closed_file", [True, False])
    def test_neither_a_closed_file_nor_an_odd_object_does(
        self, closed_file: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        file = io.StringIO()
        recorder = TraceRecorder(file)
        odd: object = self.Odd()
        if closed_file:
            file.close()
            odd = None
        recorder.message(1, sent=True, raw=b"x", decoded=odd)
        recorder.message(1, sent=True, raw=b"x", decoded=None)
        assert "trace.disabled" in caplog.text

    def test_the_real_full_device_does_not_either(self, caplog: pytest.LogCaptureFixture) -> None:
        with open("/dev/full", "w") as full:
            recorder = TraceRecorder(full)
            recorder.message(1, sent=True, raw=b"x", decoded=None)
            assert not recorder.recording
            with contextlib.suppress(OSError):
                full.close()

    def test_a_trace_stops_at_its_limit(self, caplog: pytest.LogCaptureFixture) -> None:
        file = io.StringIO()
        recorder = TraceRecorder(file, bytes_max=1000)
        for _ in range(100):
            recorder.message(1, sent=True, raw=b"x" * 20, decoded=None)
        assert 800 < len(file.getvalue()) <= 1000
        assert "limit" in caplog.text

    def test_a_message_that_is_too_long_is_cut_and_the_trace_goes_on(self) -> None:
        file = io.StringIO()
        recorder = TraceRecorder(file)
        recorder.message(1, sent=False, raw=b"x" * 5_000_000, decoded={"x": "y"})
        recorder.message(1, sent=True, raw=b"next", decoded=None)
        first, second = lines(file)
        assert (first["dir"], first["note"], len(str(first["raw"]))) == ("in", "cut: 5000000 bytes in all", 131072)
        assert second["raw"] == b"next".hex()

    def test_endless_nesting_and_lone_surrogates_and_odd_numbers_are_written_down_somehow(self, tmp_path: Path) -> None:
        endless: list[object] = []
        endless.append(endless)
        with TraceRecorder(tmp_path / "trace") as recorder:
            recorder.message(
                1, sent=True, raw=b"", decoded=[endless, "\ud800", float("nan"), float("inf"), 2**70, {1, 2}]
            )
            assert recorder.recording
        [record] = read_trace(tmp_path / "trace")
        assert isinstance(record.decoded, list)
        assert record.decoded[1:5] == ["\\ud800", "nan", "inf", str(2**70)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=8).filter(str.isprintable),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


class TestReading:
    @given(st.binary(max_size=40).filter(lambda raw: not any(0x30 <= byte < 0x3A for byte in raw)), JSON, st.booleans())
    def test_what_was_written_is_read_back(self, raw: bytes, decoded: object, sent: bool) -> None:
        file = io.StringIO()
        TraceRecorder(file, clock=VirtualClock(start_s=1.25)).message(3, sent=sent, raw=raw, decoded=decoded, note="ü")
        [record] = self.read(file.getvalue().encode())
        assert record == TraceRecord(
            at=datetime(2026, 11, 23, 9, tzinfo=UTC),
            mono_s=1.25,
            link=3,
            event=TraceEvent.MESSAGE,
            sent=sent,
            raw=raw,
            decoded=None if decoded == "" else decoded,
            note="ü",
        )

    def test_unknown_members_and_blank_lines_are_ignored(self) -> None:
        [record] = self.read(b'\n{"t":"2026-01-01T00:00:00Z","link":1,"event":"closed","new":[1]}\n  \n')
        assert record.event is TraceEvent.CLOSED

    @pytest.mark.parametrize(
        "line",
        [
            pytest.param(b"nonsense", id="no JSON"),
            pytest.param(b"[1]", id="no object"),
            pytest.param(b'{"t":"2026-01-01T00:00:00Z","link":1,"event":"clo', id="half a line"),
            pytest.param(b'{"t":"2026-01-01T00:00:00","link":1,"event":"closed"}', id="no zone"),
            pytest.param(b'{"t":"noon","link":1,"event":"closed"}', id="no time"),
            pytest.param(b'{"t":5,"link":1,"event":"closed"}', id="a time that is a number"),
            pytest.param(b'{"t":"2026-01-01T00:00:00Z","link":"1","event":"closed"}', id="a link that is text"),
            pytest.param(b'{"t":"2026-01-01T00:00:00Z","link":true,"event":"closed"}', id="a link that is true"),
            pytest.param(b'{"t":"2026-01-01T00:00:00Z","link":-1,"event":"closed"}', id="a negative link"),
            pytest.param(b'{"t":"2026-01-01T00:00:00Z","link":1,"event":"exploded"}', id="an unknown event"),
            pytest.param(
                b'{"t":"2026-01-01T00:00:00Z","link":1,"event":"message","dir":"up"}', id="an unknown direction"
            ),
            pytest.param(
                b'{"t":"2026-01-01T00:00:00Z","link":1,"event":"message","dir":"in","raw":"0g"}', id="bad hex"
            ),
            pytest.param(b'{"t":"2026-01-01T00:00:00Z","link":1,"event":"closed","mono":NaN}', id="not a number"),
            pytest.param(b'{"t":"2026-01-01T00:00:00Z","link":1,"event":"closed","mono":1e999}', id="infinite"),
            pytest.param(b'{"t":"2026-01-01T00:00:00Z","link":1,"event":"closed","mono":"1"}', id="mono as text"),
            pytest.param(b"[" * 100_000, id="a hundred thousand brackets"),
            pytest.param(b'{"link":' + b"9" * 10_000 + b"}", id="a giant number"),
            pytest.param(b"\xff\xfe", id="no UTF-8"),
            pytest.param(b"4111 1111 1111 1111", id="a card number"),
        ],
    )
    def test_a_bad_line_is_refused_with_its_number_and_without_its_content(self, line: bytes) -> None:
        good = b'{"t":"2026-01-01T00:00:00Z","link":1,"event":"closed"}\n'
        with pytest.raises(RemoteProtocolError, match="line 2 is no trace record") as caught:
            self.read(good + line)
        assert "1111" not in str(caught.value)

    def test_what_stands_before_a_bad_line_is_delivered(self, tmp_path: Path) -> None:
        (tmp_path / "trace").write_bytes(b'{"t":"2026-01-01T00:00:00Z","link":1,"event":"closed"}\nbad\n')
        records = read_trace(tmp_path / "trace")
        assert next(records).link == 1
        with pytest.raises(RemoteProtocolError):
            next(records)

    def test_a_line_without_end_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("zahlwerk.transport.trace.LINE_BYTES_MAX", 100)
        (tmp_path / "trace").write_bytes(b" " * 101)
        with pytest.raises(RemoteProtocolError, match="line 1: longer than 100 bytes"):
            list(read_trace(tmp_path / "trace"))

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"cannot read the trace .*nowhere: no such file"):
            list(read_trace(tmp_path / "nowhere"))

    @given(
        st.binary(max_size=200) | st.text(max_size=100).map(lambda text: json.dumps({"t": text, "link": 1}).encode())
    )
    def test_any_bytes_are_records_or_the_documented_error(self, data: bytes) -> None:
        with contextlib.suppress(RemoteProtocolError):
            self.read(data)

    @staticmethod
    def read(data: bytes) -> list[TraceRecord]:
        number = os.memfd_create("trace")
        try:
            os.write(number, data)
            return list(read_trace(f"/proc/self/fd/{number}"))
        finally:
            os.close(number)


class TestText:
    def test_a_conversation_reads_line_by_line(self, tmp_path: Path) -> None:
        recorded(tmp_path / "trace").close()
        assert list(render(read_trace(tmp_path / "trace"))) == [
            "09:00:00.000 #1 == opened kit+tcp 127.0.0.1:50000 <-> 127.0.0.1:8307",
            "09:00:00.000 #1 → StatusRequest a=1  (first)",
            "09:00:00.000 #1 ← [3 bytes] 06 00 ff",
            "09:00:00.000 #1 == closed  (the peer closed the connection)",
        ]

    @pytest.mark.parametrize(
        ("decoded", "raw", "text"),
        [
            pytest.param({"Name": {}}, b"", "Name", id="no fields"),
            pytest.param({"Name": {"a": "b c", "d": [1, None]}}, b"", 'Name a="b c" d=[1,null]', id="fields"),
            pytest.param({"Name": "text"}, b"", 'Name "text"', id="a body that is no object"),
            pytest.param({"a": 1, "b": 2}, b"", "a=1 b=2", id="no name"),
            pytest.param([1, 2], b"", "[1,2]", id="a list"),
            pytest.param(None, b"", "(nothing)", id="nothing"),
            pytest.param(None, bytes(30), f"[30 bytes] {'00 ' * 24}...", id="many bytes"),
            pytest.param({"Name": {"a": "x" * 1000}}, b"", 'Name a="' + "x" * 397 + "...", id="a long field"),
            pytest.param({"\x1b[2J": {"a": "\x9b2J\u202e"}}, b"", r'\x1b[2J a="\x9b2J\u202e"', id="screen commands"),
        ],
    )
    def test_a_message_is_shown_by_name_and_fields(self, decoded: object, raw: bytes, text: str) -> None:
        record = TraceRecord(
            at=datetime(2026, 11, 23, 9, 1, 2, 345678, UTC),
            mono_s=0.0,
            link=2,
            event=TraceEvent.MESSAGE,
            sent=True,
            raw=raw,
            decoded=decoded,
        )
        assert list(render([record])) == [f"09:01:02.345 #2 → {text}"]
