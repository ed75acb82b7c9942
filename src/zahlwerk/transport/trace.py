"""The trace recorder: a conversation as JSON lines, and back, and as text for people.

One record per line: `t` (wall time, ISO 8601 with milliseconds and zone), `mono` (seconds), `link` (number of the
connection), `event` (opened, message, closed), then by event `protocol`, `local`, `peer`, or `dir` (out, in), `raw`
(hexadecimal), `decoded`, and `note`. Card numbers are masked on the way in and once more on the way out.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, unique
from pathlib import Path
from typing import Final, TextIO, TypeVar

from zahlwerk.carddata import contains_card_data, redact, redact_bytes
from zahlwerk.clock import Clock, SystemClock
from zahlwerk.errors import ConfigurationError, RemoteProtocolError
from zahlwerk.urls import TraceSink

__all__ = ["LINE_BYTES_MAX", "TRACE_BYTES_MAX", "TraceEvent", "TraceRecord", "TraceRecorder", "read_trace", "render"]

LINE_BYTES_MAX: Final = 32 * 1024 * 1024
"""A longer line is no trace. LIMIT: the longest message of any interface, as hexadecimal and decoded."""
_LINE_CHARACTERS_MAX: Final = LINE_BYTES_MAX // 4
_RAW_BYTES_MAX: Final = 256 * 1024
"""A longer message is cut. LIMIT: masking costs a microsecond per byte, and payments wait meanwhile."""
_RAW_BYTES_CUT: Final = 65536
TRACE_BYTES_MAX: Final = 1024 * 1024 * 1024
"""A recorder stops here: a forgotten trace must not fill the disk that the journal needs."""
_T = TypeVar("_T")
_DEPTH_MAX: Final = 32
_NUMBER_MAX: Final = 2**63
_SHOWN_MAX: Final = 400
_RAW_SHOWN: Final = 24

_log: Final = logging.getLogger("zahlwerk.transport")


@unique
class TraceEvent(StrEnum):
    """What a record tells."""

    OPENED = "opened"
    MESSAGE = "message"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceRecord:
    """One line of a trace."""

    at: datetime
    """Wall time, with its zone."""
    mono_s: float
    """Monotonic seconds; comparable within one run only."""
    link: int
    """Number of the connection."""
    event: TraceEvent
    sent: bool = False
    """A message: True if it went out, False if it came in."""
    protocol: str = ""
    local: str = ""
    peer: str = ""
    raw: bytes = b""
    decoded: object = None
    """JSON-like, or None."""
    note: str = ""


class TraceRecorder(TraceSink):
    """Writes a trace. Whatever goes wrong with it, the payment goes on: the recorder logs once and falls silent.

    Args:
        target: a path, to which records are appended (made readable for this user only), or an open text file, which
            stays open.
        bytes_max: the recorder stops after so many characters.

    Raises:
        ConfigurationError: the path cannot be written.
    """

    def __init__(
        self, target: str | os.PathLike[str] | TextIO, *, clock: Clock | None = None, bytes_max: int = TRACE_BYTES_MAX
    ) -> None:
        self._clock = clock or SystemClock()
        self._bytes_left = bytes_max
        self._links = 0
        self._owned = isinstance(target, str | os.PathLike)
        self._file: TextIO | None = _open(target) if isinstance(target, str | os.PathLike) else target

    @property
    def recording(self) -> bool:
        """False once the recorder was closed or has given up."""
        return self._file is not None

    def new_link(self) -> int:
        self._links += 1
        return self._links

    def opened(self, link: int, *, protocol: str, local: str, peer: str) -> None:
        self._write(link, TraceEvent.OPENED, {"protocol": protocol, "local": local, "peer": peer})

    def message(self, link: int, *, sent: bool, raw: bytes, decoded: object, note: str = "") -> None:
        row = {"dir": "out" if sent else "in", "raw": raw, "decoded": decoded, "note": note}
        self._write(link, TraceEvent.MESSAGE, row if len(raw) <= _RAW_BYTES_MAX else _cut(row))

    def closed(self, link: int, *, why: str) -> None:
        self._write(link, TraceEvent.CLOSED, {"note": why})

    def close(self) -> None:
        """End the trace. Idempotent, never raises."""
        file, self._file = self._file, None
        if file is not None and self._owned:
            try:
                file.close()
            except (OSError, ValueError) as exc:
                _log.error("trace.close_failed error=%s", type(exc).__name__)

    def __enter__(self) -> TraceRecorder:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _write(self, link: int, event: TraceEvent, row: Mapping[str, object]) -> None:
        if self._file is None:
            return
        try:
            head = {
                "t": self._clock.wall().isoformat(timespec="milliseconds"),
                "mono": round(self._clock.now_s(), 6),
                "link": link,
                "event": event.value,
            }
            line = _line(head, row)
            if len(line) > _LINE_CHARACTERS_MAX:
                line = _line(head, _cut(row))
            if len(line) > self._bytes_left:
                self._give_up("the trace has reached its limit")
                return
            self._bytes_left -= len(line)
            self._file.write(line)
            self._file.flush()
        except Exception as exc:
            self._give_up(f"{type(exc).__name__} {getattr(exc, 'strerror', None) or ''}".strip())

    def _give_up(self, reason: str) -> None:
        _log.error("trace.disabled reason=%r", reason)
        self.close()


def read_trace(path: str | os.PathLike[str]) -> Iterator[TraceRecord]:
    """The records of a trace file, one by one. Blank lines are skipped, unknown members ignored, card data masked.

    Raises:
        ConfigurationError: the file is missing or cannot be read.
        RemoteProtocolError: a line is no record; the message names the line.
    """
    try:
        with Path(path).open("rb") as file:
            number = 0
            while line := file.readline(LINE_BYTES_MAX + 1):
                number += 1
                if len(line) > LINE_BYTES_MAX:
                    raise RemoteProtocolError(f"line {number}: longer than {LINE_BYTES_MAX} bytes")
                if line.strip():
                    yield _record(line, number)
    except OSError as exc:
        reason = (exc.strerror or type(exc).__name__).lower()
        raise ConfigurationError(f"cannot read the trace {os.fspath(path)}: {reason}", remedy="check the path") from exc


def render(records: Iterable[TraceRecord]) -> Iterator[str]:
    """One line of text per record: time, link, direction, message and its fields. Holds no control characters."""
    for record in records:
        time = record.at.isoformat(sep=" ", timespec="milliseconds")[11:23]
        head = f"{time} #{record.link}"
        match record.event:
            case TraceEvent.OPENED:
                line = f"{head} == opened {record.protocol} {record.local} <-> {record.peer}"
            case TraceEvent.CLOSED:
                line = f"{head} == closed"
            case TraceEvent.MESSAGE:
                line = f"{head} {'→' if record.sent else '←'} {_shown(record)}"
        yield _printable(line + (f"  ({record.note})" if record.note else ""))


def _open(path: str | os.PathLike[str]) -> TextIO:
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return open(number, "a", encoding="utf-8", newline="\n")
    except OSError as exc:
        reason = (exc.strerror or type(exc).__name__).lower()
        raise ConfigurationError(
            f"cannot write the trace {os.fspath(path)}: {reason}", remedy="check the path"
        ) from exc


def _line(head: Mapping[str, object], row: Mapping[str, object]) -> str:
    clean = {key: _clean(value, 0) for key, value in row.items() if value is not None and value != ""}
    return json.dumps({**head, **clean}, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"


def _cut(row: Mapping[str, object]) -> Mapping[str, object]:
    """A record that is too long for a line: what it was, without the whole of it."""
    raw = row.get("raw", b"")
    assert isinstance(raw, bytes)
    return {"dir": row.get("dir", "in"), "raw": raw[:_RAW_BYTES_CUT], "note": f"cut: {len(raw)} bytes in all"}


def _clean(value: object, depth: int) -> object:
    """The value as JSON can hold it, free of card data."""
    if depth > _DEPTH_MAX:
        return "..."
    match value:
        case None | bool():
            return value
        case int():
            # A card number may have been taken for a number.
            return _text(str(value)) if abs(value) >= _NUMBER_MAX or contains_card_data(str(value)) else int(value)
        case float():
            return value if math.isfinite(value) and not contains_card_data(repr(value)) else _text(repr(value))
        case str():
            return _text(value)
        case bytes() | bytearray() | memoryview():
            return redact_bytes(bytes(value)).hex()
        case Mapping():
            return {_text(str(key)): _clean(item, depth + 1) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_clean(item, depth + 1) for item in value]
        case _:
            return _text(str(value))


def _text(text: str) -> str:
    # Half a surrogate pair can stand in JSON but not in a file.
    return redact(text).encode("utf-8", "backslashreplace").decode("utf-8")


def _record(line: bytes, number: int) -> TraceRecord:
    try:
        row = json.loads(line, parse_constant=_no_constant)
        if not isinstance(row, dict):
            raise ValueError("not an object")
        at = datetime.fromisoformat(_member(row, "t", str))
        if at.tzinfo is None:
            raise ValueError("t has no time zone")
        event = TraceEvent(_member(row, "event", str))
        link = _member(row, "link", int)
        if not 0 <= link < _NUMBER_MAX:
            raise ValueError("link is out of range")
        direction = _member(row, "dir", str) if event is TraceEvent.MESSAGE else "in"
        if direction not in {"in", "out"}:
            raise ValueError("dir is neither in nor out")
        mono = row.get("mono", 0.0)
        if isinstance(mono, bool) or not isinstance(mono, int | float) or not math.isfinite(mono):
            raise ValueError("mono is no number")
        texts = {key: _text(_member(row, key, str, "")) for key in ("protocol", "local", "peer", "note")}
        raw = redact_bytes(bytes.fromhex(_member(row, "raw", str, "")))
        decoded = _clean(row.get("decoded"), 0)
    except (ValueError, OverflowError, RecursionError) as exc:
        # Not the line itself, and not the decoder's text, which may quote it.
        reason = str(exc) if type(exc) is ValueError and len(str(exc)) < 40 else type(exc).__name__
        raise RemoteProtocolError(f"line {number} is no trace record: {redact(reason)}") from None
    return TraceRecord(
        at=at, mono_s=float(mono), link=link, event=event, sent=direction == "out", raw=raw, decoded=decoded, **texts
    )


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _member(row: dict[str, object], key: str, kind: type[_T], default: _T | None = None) -> _T:
    value = row.get(key, default)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{key} is missing or of the wrong kind")
    return value


def _shown(record: TraceRecord) -> str:
    decoded = record.decoded
    if isinstance(decoded, dict) and len(decoded) == 1:
        [(name, body)] = decoded.items()
        return f"{name} {_compact(body)}".rstrip()
    if decoded is not None:
        return _compact(decoded)
    if not record.raw:
        return "(nothing)"
    more = " ..." if len(record.raw) > _RAW_SHOWN else ""
    return f"[{len(record.raw)} bytes] {record.raw[:_RAW_SHOWN].hex(' ')}{more}"


def _compact(body: object) -> str:
    text = " ".join(f"{key}={_value(item)}" for key, item in body.items()) if isinstance(body, dict) else _value(body)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..."


def _value(item: object) -> str:
    return json.dumps(item, ensure_ascii=False, separators=(",", ":"))


def _printable(line: str) -> str:
    """What a peer sent must not steer the screen on which it is read."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in line)
