"""Codec, both sides and the serial link of ZVT under garbage grown from golden APDUs: nothing is raised, grows or hangs.

Some seconds by default; `ZAHLWERK_FUZZ_SECONDS` for longer, `ZAHLWERK_FUZZ_SEED` to repeat a run.
"""

from __future__ import annotations

import contextlib
import os
import random
import time

import pytest
from tests.interfaces.zvt.zvt_examples import EXAMPLES, LONG_BLOCK

from zahlwerk.errors import CardDataRefused, InvalidRequest, LocalProtocolError, RemoteProtocolError
from zahlwerk.interfaces.zvt.charsets import AUTO, CP437, UTF_8
from zahlwerk.interfaces.zvt.codec import decode, encode
from zahlwerk.interfaces.zvt.dictionary import COMMANDS
from zahlwerk.interfaces.zvt.framing import APDU_BYTES_MAX, ApduDecoder, make_apdu, split_apdu
from zahlwerk.interfaces.zvt.information import read_information
from zahlwerk.interfaces.zvt.masking import decoded_for_trace, mask_apdu
from zahlwerk.interfaces.zvt.messages import Message, answer
from zahlwerk.interfaces.zvt.receipts import CHARACTERS_MAX, ReceiptCollector
from zahlwerk.interfaces.zvt.register import Asked, Phase, Printed, RegisterSide
from zahlwerk.interfaces.zvt.serial_frames import ACK, NAK, encode_frame
from zahlwerk.interfaces.zvt.serial_link import QUEUE_FRAMES_MAX, SENDS_MAX, SerialLink
from zahlwerk.interfaces.zvt.terminal import QUEUE_MAX, TerminalSide, Turn, Wanted

SECONDS = float(os.environ.get("ZAHLWERK_FUZZ_SECONDS", "1.5"))
SEED = int(os.environ.get("ZAHLWERK_FUZZ_SEED", "20261124"))

# Worked examples of the fact sheet, chapter 7.
GOLDEN = [*(one.apdu for one in EXAMPLES), LONG_BLOCK]
COMMAND_CODES = list(COMMANDS)
REGISTRATION = next(apdu for apdu in GOLDEN if apdu[:2] == b"\x06\x00")
PAYMENT = next(apdu for apdu in GOLDEN if apdu[:2] == b"\x06\x01")
OK = b"\x80\x00\x00"
# A millionth of what fuzzing makes is a hundred times too big: enough to notice growth.
EVENTS_MAX = 200


class Fuzzer:
    """APDUs like the golden ones, and unlike them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def block(self) -> tuple[int, bytes]:
        source = self.random
        code, data = split_apdu(source.choice(GOLDEN))
        spoilt = bytearray(data)
        for _ in range(source.choice([0, 0, 1, 1, 2, 5])):
            self._spoil(spoilt)
        if source.random() < 0.1:
            code = source.choice([source.randrange(0x10000), source.choice(COMMAND_CODES), 0x8000, 0x841E])
        return code, bytes(spoilt[:60_000])

    def apdu(self) -> bytes:
        return make_apdu(*self.block())

    def _spoil(self, data: bytearray) -> None:
        source = self.random
        at = source.randrange(len(data) + 1)
        match source.randrange(7):
            case 0:
                data[at : at + 1] = bytes([source.randrange(256)])
            case 1:
                del data[at : at + source.randint(1, 8)]
            case 2:
                data[at:at] = source.choice(
                    [
                        b"\x06",
                        b"\x06\x82\xff\xff",
                        b"\x60\x7f",
                        b"\xf9\xf9\xf9",
                        b"\x1f\x80",
                        b"\x1f\xff\xff\xff",
                        b"\x80",
                        b"\x06\x08\x1f\x73\x05\x01\x00\x00\x00\x00",
                        b"\x06\x06\x1f\x73\x03\x00\x00\x07",
                        b"\x1f\x73\x00",
                    ]
                )
            case 3:
                data[at:at] = source.choice([b"\x24\x02", b"\x60\x20", b"\x7e\x10"]) * source.choice([1, 40, 2_000])
            case 4:
                data[at:at] = split_apdu(source.choice(GOLDEN))[1]
            case 5:
                data[:] = data[:at]
            case _:
                data[:] = source.randbytes(source.randrange(60))


def time_is_left(until_s: float, count: int) -> bool:
    return count < 200 or time.monotonic() < until_s


@pytest.mark.timeout(SECONDS * 10 + 60)
def test_the_codec_survives() -> None:
    fuzzer, until_s, count = Fuzzer(SEED), time.monotonic() + SECONDS, 0
    while time_is_left(until_s, count):
        count += 1
        raw = fuzzer.apdu() if fuzzer.random.random() < 0.9 else fuzzer.random.randbytes(fuzzer.random.randrange(30))
        answers = fuzzer.random.choice([0, 0x0501, 0x0601, 0x0609, 0x06E1, 0x06E7])
        assert len(mask_apdu(raw, answers=answers)) == len(raw)
        try:
            message = decode(raw, answers=answers, charset=fuzzer.random.choice([CP437, AUTO, UTF_8]))
        except RemoteProtocolError:
            continue
        repr(read_information(message))
        decoded_for_trace(raw, answers=answers)
        assert len(repr(message)) < 200 * (len(raw) + 20)
        with contextlib.suppress(InvalidRequest, CardDataRefused):
            encode(message)


@pytest.mark.timeout(SECONDS * 10 + 60)
def test_the_cutting_into_apdus_survives() -> None:
    fuzzer, until_s, count = Fuzzer(SEED + 1), time.monotonic() + SECONDS / 3, 0
    while time_is_left(until_s, count):
        count += 1
        decoder, apdus = ApduDecoder(), [fuzzer.apdu() for _ in range(4)]
        stream = b"".join(apdus)
        size = fuzzer.random.choice([1, 7, 100, len(stream)]) if len(stream) < 10_000 else 1_000
        found = [apdu for at in range(0, len(stream), size) for apdu in decoder.feed(stream[at : at + size])]
        assert found == apdus
        decoder.feed(fuzzer.random.randbytes(50))
        assert decoder.pending_bytes < APDU_BYTES_MAX


@pytest.mark.timeout(SECONDS * 10 + 60)
def test_the_register_side_survives() -> None:
    fuzzer, until_s, count, now_s = Fuzzer(SEED + 2), time.monotonic() + SECONDS, 0, 0.0
    source, side, collector = fuzzer.random, RegisterSide(), ReceiptCollector(0x0601)
    while time_is_left(until_s, count):
        count += 1
        now_s += source.choice([0.0, 0.1, 6.0, 200.0])
        if count % 20 == 1:
            side.link_down()
            assert side.phase is Phase.DOWN
            side.link_up()
            assert side.is_free
            side.registration.numbered = source.random() < 0.5
        if side.is_free:
            wanted = decode(source.choice([REGISTRATION, PAYMENT, *GOLDEN]))
            with contextlib.suppress(InvalidRequest, CardDataRefused):
                side.start(wanted, now_s=now_s, holds_results=source.random() < 0.7)
        else:
            with pytest.raises(LocalProtocolError):
                side.start(Message(code=0x0501), now_s=now_s)
        if source.random() < 0.5:
            side.receive_data(OK, now_s=now_s)
        side.receive_data(fuzzer.apdu(), now_s=now_s)
        if source.random() < 0.1:
            side.abort(now_s=now_s)
        events = side.events_received()
        assert len(events) < EVENTS_MAX
        for event in events:
            if isinstance(event, Printed):
                assert all(len(receipt.text) <= CHARACTERS_MAX + 10 for receipt in collector.feed(event.message))
            if isinstance(event, Asked) and source.random() < 0.8:
                side.reply(source.choice([answer(), Message(code=0x849C), Message(code=0x8466)]), now_s=now_s)
        deadline_s = side.deadline_s()
        if deadline_s is not None and deadline_s <= now_s:
            side.handle_deadline(now_s=now_s)
            after_s = side.deadline_s()
            assert after_s is None or after_s > now_s
        for apdu in side.data_to_send():
            split_apdu(apdu)


@pytest.mark.timeout(SECONDS * 10 + 60)
def test_the_terminal_side_survives() -> None:
    fuzzer, until_s, count, now_s = Fuzzer(SEED + 3), time.monotonic() + SECONDS, 0, 0.0
    source, side = fuzzer.random, TerminalSide()
    while time_is_left(until_s, count):
        count += 1
        now_s += source.choice([0.0, 0.1, 6.0, 70.0])
        if count % 20 == 1:
            side.link_down()
            assert side.turn is Turn.DOWN
            side.link_up()
            side.receive_data(REGISTRATION, now_s=now_s)
            side.registered.numbered = source.random() < 0.5
        side.receive_data(source.choice([fuzzer.apdu(), fuzzer.apdu(), OK, PAYMENT]), now_s=now_s)
        events = side.events_received()
        assert len(events) < EVENTS_MAX
        for event in events:
            if isinstance(event, Wanted):
                carry_out(side, event, source, now_s)
        side.can_abort = source.random() < 0.5
        if source.random() < 0.3:
            side.send(Message(code=0x04FF, head={"status": 0x0E}), now_s=now_s)
        if source.random() < 0.2:
            side.show_result(Message(code=0x040F, fields={0x27: 0}), now_s=now_s, repeats_max=source.choice([None, 2]))
        if source.random() < 0.2:
            side.send(Message(code=0x060F), now_s=now_s)
        deadline_s = side.deadline_s()
        if deadline_s is not None and deadline_s <= now_s:
            side.handle_deadline(now_s=now_s)
            after_s = side.deadline_s()
            assert after_s is None or after_s > now_s
        assert len(side._queue) <= QUEUE_MAX
        for apdu in side.data_to_send():
            split_apdu(apdu)


def carry_out(side: TerminalSide, event: Wanted, source: random.Random, now_s: float) -> None:
    """An endpoint that does anything."""
    match source.randrange(4):
        case 0:
            side.refuse(0x83, now_s=now_s)
        case 1:
            side.reply(answer(), now_s=now_s)
        case _:
            side.accept(now_s=now_s)
    if event.message.code == 0x0600:
        side.registered.read(event.message)
        side.start_numbering()


@pytest.mark.timeout(SECONDS * 10 + 60)
def test_the_serial_link_survives() -> None:
    fuzzer, until_s, count, now_s = Fuzzer(SEED + 4), time.monotonic() + SECONDS, 0, 0.0
    source, link = fuzzer.random, SerialLink()
    sent = given_up = 0
    while time_is_left(until_s, count):
        count += 1
        now_s += source.choice([0.0, 0.05, 0.3, 5.5])
        if source.random() < 0.3:
            link.send(source.choice(GOLDEN), now_s=now_s)
            sent += 1
        wire = bytearray(encode_frame(source.choice(GOLDEN)) if source.random() < 0.8 else source.randbytes(20))
        if source.random() < 0.4:
            wire[source.randrange(len(wire))] = source.choice([0x02, 0x03, 0x10, 0x06, 0x15, source.randrange(256)])
        noise = source.choice([b"", b"", ACK, NAK, b"\x10", b"\x10\x02"])
        for apdu in link.receive_data(noise + bytes(wire), now_s=now_s):
            assert len(apdu) <= APDU_BYTES_MAX
        writes = link.data_to_send()
        assert len([one for one in writes if one not in {ACK, NAK}]) <= 1
        for _ in range(QUEUE_FRAMES_MAX * SENDS_MAX + 10):
            deadline_s = link.deadline_s()
            if deadline_s is None or deadline_s > now_s:
                break
            link.handle_deadline(now_s=now_s)
            link.data_to_send()
        else:
            raise AssertionError("a deadline that never passes")
        failures = link.failures()
        given_up += len(failures)
        assert all(0 <= one.sends <= SENDS_MAX for one in failures)
        assert len(link._queue) <= QUEUE_FRAMES_MAX + 1
    assert given_up <= sent
