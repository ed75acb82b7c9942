"""A hundred oddities of devices in the field, each with its place in the ZVT fact sheet, and what we make of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from tests.interfaces.zvt.zvt_examples import LONG_BLOCK, at

from zahlwerk.interfaces.zvt.charsets import AUTO, CP437, LATIN_1, Charset
from zahlwerk.interfaces.zvt.codec import decode, encode
from zahlwerk.interfaces.zvt.dictionary import brand_of, intermediate_row, result_row, status_row
from zahlwerk.interfaces.zvt.framing import ApduDecoder, make_apdu
from zahlwerk.interfaces.zvt.information import StatusInformation, batch_totals, read_information
from zahlwerk.interfaces.zvt.messages import Message, Tlv, answer, find_all
from zahlwerk.interfaces.zvt.own_receipts import needs_signature
from zahlwerk.interfaces.zvt.receipts import ReceiptCollector
from zahlwerk.interfaces.zvt.recovery import Doubt, Finding, Keys, judge, keys_of, terminal_moment
from zahlwerk.interfaces.zvt.register import (
    AbortAnswered,
    Accepted,
    Asked,
    Expired,
    Finished,
    Phase,
    Printed,
    Refused,
    RegisterEvent,
    RegisterSide,
    Told,
    Unsolicited,
)
from zahlwerk.interfaces.zvt.serial_frames import Frame, FrameDecoder, encode_frame
from zahlwerk.interfaces.zvt.settlement import Answered, Course, End, Ending, conclude
from zahlwerk.payment import Outcome, Receipt, ReceiptKind

PAYMENT = Message(code=0x0601, fields={0x04: 1250, 0x49: 978}, tlv=())
APPROVED = at("7.2", "04 0F")
DECLINED = at("7.3", "04 0F")
DONE = bytes.fromhex("06 0F 00")
ABORT_6C = bytes.fromhex("06 1E 01 6C")
OK = "80 00 00"
ACK = bytes.fromhex(OK)


# -- tools


def moment(*parts: int) -> datetime:
    """Local time, as registers and terminals have it."""
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None)  # type: ignore[arg-type,misc]  # year to second


def read(code: int, block: str, answers: int = 0x0601, charset: Charset = CP437) -> Message:
    return decode(make_apdu(code, bytes.fromhex(block)), answers=answers, charset=charset)


def result(block: str) -> StatusInformation:
    return read_information(read(0x040F, block))


class Talk:
    """A register that has just sent a command, and what it hears."""

    def __init__(self, command: Message = PAYMENT, *, accepted: bool = True) -> None:
        self.side = RegisterSide()
        self.side.link_up()
        self.now_s = 0.0
        self.side.start(command, now_s=0.0, holds_results=True)
        self.side.data_to_send()
        if accepted:
            self.hear(ACK)

    def hear(self, *apdus: bytes) -> list[RegisterEvent]:
        for apdu in apdus:
            self.side.receive_data(apdu, now_s=self.now_s)
        return self.side.events_received()

    def heard(self, *apdus: bytes) -> list[type]:
        return [type(event) for event in self.hear(*apdus)]

    def says(self) -> list[str]:
        return [apdu.hex(" ").upper() for apdu in self.side.data_to_send()]

    def accept(self) -> None:
        assert self.side.reply(answer(), now_s=self.now_s)

    def waits_s(self) -> float:
        deadline_s = self.side.deadline_s()
        assert deadline_s is not None
        return deadline_s - self.now_s


def idle() -> Talk:
    talk = Talk()
    talk.hear(DONE)
    talk.says()
    return talk


def registered(block: str) -> Talk:
    registration = decode(at("7.1", "06 00"))
    talk = Talk(registration)
    talk.hear(make_apdu(0x060F, bytes.fromhex(block)))
    return talk


def view(apdu: bytes) -> StatusInformation:
    return read_information(decode(apdu))


def course(*results: tuple[StatusInformation, Answered], ended: Message | None = None, host: bool = False) -> End:
    return conclude(Course(sent=True, accepted=True, host_contacted=host, results=list(results), ended=ended))


def refused(apdu: str) -> End:
    """What a command came to whose immediate answer was this."""
    talk = Talk(accepted=False)
    (event,) = talk.hear(bytes.fromhex(apdu))
    assert isinstance(event, Refused)
    assert talk.side.is_free
    return conclude(Course(sent=True, refusal=event.answer))


def abort_notice(block: str, command: int = 0x0601) -> Message:
    return read(0x061E, block, command)


def printed(*messages: Message, command: int = 0x0601, width: int | None = None) -> list[Receipt]:
    collector = ReceiptCollector(command, width=width)
    receipts: list[Receipt] = []
    for message in messages:
        receipts += collector.feed(message)
    return receipts + collector.finish()


def line(attribute: int, text: bytes = b"") -> Message:
    return decode(make_apdu(0x06D1, bytes([attribute]) + text))


def block(kind: int, *lines: str, last: bool = True) -> Message:
    ending = (Tlv(0x09, 0x81),) if last else ()
    tlv = (Tlv(0x1F07, kind), Tlv(0x25, (*(Tlv(0x07, text) for text in lines), *ending)))
    return decode(encode(Message(code=0x06D3, tlv=tlv)))


def doubt(before: Keys | None, amount_minor: int | None = 1250, *, partial: bool = False) -> Doubt:
    return Doubt(amount_minor=amount_minor, started=STARTED, before=before, partial=partial)


STARTED = moment(2026, 3, 18, 14, 22, 0)
BEFORE = Keys("62071183", 152, 270, 152, "0318", "141500")
YES = StatusInformation(result=0, amount_minor=1250)
NO = StatusInformation(result=5, amount_minor=1250)
COMPLETION = Message(code=0x060F)


# -- checks that need more than one expression


def the_long_block_has_fifteen_lines() -> bool:
    message = decode(LONG_BLOCK, strict=True)
    return LONG_BLOCK[3:5] == b"\x95\x01" and len(find_all(message.tlv or (), 0x07)) == 15


def segments_are_put_together() -> bool:
    decoder = ApduDecoder()
    return [decoder.feed(APPROVED[:60]), decoder.feed(APPROVED[60:] + DONE + b"\x80")] == [[], [APPROVED, DONE]]


def frames_double_data_only() -> bool:
    apdu = bytes.fromhex("06 01 0A 04 00 00 00 00 10 10 49 09 78")
    wire = bytes.fromhex("10 02 06 01 0A 04 00 00 00 00 10 10 10 10 49 09 78 10 03 67 D4")
    return encode_frame(apdu) == wire and FrameDecoder().feed(wire) == [Frame(apdu)]


def split_pairs_are_one_frame() -> bool:
    wire = encode_frame(bytes.fromhex("06 01 07 04 00 00 00 00 10 10"))
    decoder = FrameDecoder()
    return len([item for byte in wire for item in decoder.feed(bytes([byte])) if isinstance(item, Frame)]) == 1


def unknown_fields_do_not_undo_a_payment() -> bool:
    talk = Talk()
    (event,) = talk.hear(make_apdu(0x040F, bytes.fromhex("27 00 04 00 00 00 00 12 50 A9 11 22")))
    talk.accept()
    return isinstance(event, Asked) and event.message.number(0x27) == 0 and talk.says() == [OK]


def print_hiccups_do_not_undo_a_payment() -> bool:
    talk = Talk()
    return talk.heard(bytes.fromhex("06 D3 03 A9 00 00")) == [Printed] and talk.says() == [OK]


def a_fast_terminal_goes_on() -> bool:
    talk = Talk(accepted=False)
    events = talk.hear(bytes.fromhex("04 FF 01 0A"))
    return isinstance(events[0], Accepted) and events[0].answer is None and talk.side.phase is Phase.MASTER


def a_doubled_acknowledgement_is_no_news() -> bool:
    talk = Talk()
    return talk.heard(ACK) == [] and talk.side.phase is Phase.MASTER and talk.says() == []


def unknown_commands_are_answered() -> bool:
    talk = Talk()
    return (
        talk.heard(bytes.fromhex("0F A1 01 00")) == [] and talk.says() == ["84 83 00"]
    ) and talk.side.phase is Phase.MASTER


def dialling_is_not_supported() -> bool:
    talk = Talk()
    talk.hear(bytes.fromhex("06 D8 01 46"))
    return talk.says() == ["84 83 00"]


def receipts_may_come_before_the_result() -> bool:
    talk = Talk()
    return talk.heard(at("7.2", "06 D3"), APPROVED) == [Printed, Asked]


def texts_end_nothing() -> bool:
    talk = Talk()
    talk.hear(bytes.fromhex("04 FF 01 1C"), bytes.fromhex("04 FF 01 4B"))
    return talk.side.phase is Phase.MASTER and course().ending is Ending.DOUBT


def card_removal_after_the_result_is_tolerated() -> bool:
    talk = Talk()
    talk.hear(APPROVED)
    talk.accept()
    return talk.heard(bytes.fromhex("04 FF 01 4B"), DONE) == [Told, Finished]


def silence_after_a_failure_is_short() -> bool:
    talk = Talk()
    talk.hear(DECLINED)
    talk.accept()
    if talk.waits_s() != 10.0:
        return False
    talk.side.handle_deadline(now_s=10.0)
    return [type(event) for event in talk.side.events_received()] == [Expired]


def silence_after_an_approval_is_long() -> bool:
    talk = Talk()
    talk.hear(APPROVED)
    talk.accept()
    return talk.waits_s() >= 180.0


def the_pin_may_be_wrong_first() -> bool:
    talk = Talk()
    wrong = make_apdu(0x040F, bytes.fromhex("27 37"))
    talk.hear(wrong)
    talk.accept()
    events = talk.heard(bytes.fromhex("04 FF 01 15"), APPROVED)
    pair = [(StatusInformation(result=0x37), Answered.ACCEPTED), (YES, Answered.ACCEPTED)]
    return events == [Told, Asked] and course(*pair, ended=COMPLETION).ending is Ending.APPROVED


def a_slow_customer_has_three_minutes() -> bool:
    return Talk().waits_s() >= 180.0


def short_waits_do_not_shorten_ours() -> bool:
    talk = Talk()
    talk.hear(bytes.fromhex("04 FF 02 0E 01"))
    return talk.waits_s() >= 180.0


def long_waits_are_kept() -> bool:
    talk = Talk()
    talk.hear(bytes.fromhex("04 FF 02 0E 10"))
    return talk.waits_s() == 600.0


def unasked_messages_are_acknowledged() -> bool:
    talk = idle()
    events = talk.heard(bytes.fromhex("04 FF 01 0A"), APPROVED, at("7.2", "06 D3"), DONE)
    return events == [Unsolicited] * 4 and talk.says() == [OK] * 4 and talk.side.is_free


def an_unasked_start_blocks_until_its_end() -> bool:
    talk = idle()
    talk.hear(bytes.fromhex("04 FF 01 0A"))
    return not talk.side.is_free


def the_answer_to_an_abort_is_not_the_end() -> bool:
    talk = Talk()
    talk.side.abort(now_s=0.0)
    return talk.says() == ["06 B0 00"] and talk.heard(ACK) == [AbortAnswered] and talk.side.phase is Phase.MASTER


def an_abort_may_be_too_late() -> bool:
    talk = Talk()
    talk.side.abort(now_s=0.0)
    return talk.heard(bytes.fromhex("84 83 00"), APPROVED) == [AbortAnswered, Asked]


def an_abort_may_cross_a_result() -> bool:
    talk = Talk()
    talk.side.abort(now_s=0.0)
    return talk.heard(APPROVED, ACK) == [Asked, AbortAnswered]


def an_abort_may_stay_unanswered() -> bool:
    talk = Talk()
    talk.side.abort(now_s=0.0)
    talk.side.handle_deadline(now_s=6.0)
    return talk.side.events_received() == [] and talk.heard(APPROVED) == [Asked]


def abort_waits_until_we_have_answered() -> bool:
    talk = Talk()
    talk.hear(APPROVED)
    talk.says()
    talk.side.abort(now_s=0.0)
    if talk.says():
        return False
    talk.accept()
    return talk.says() == [OK, "06 B0 00"]


def a_result_is_answered_after_it_was_stored() -> bool:
    talk = Talk()
    talk.says()
    talk.hear(APPROVED)
    if talk.says():
        return False
    talk.accept()
    return talk.says() == [OK]


def the_same_result_twice_has_the_same_keys() -> bool:
    talk = Talk()
    first = talk.hear(APPROVED)
    talk.accept()
    second = talk.hear(APPROVED)
    talk.accept()
    keys = [keys_of(read_information(one.message)) for one in (*first, *second) if isinstance(one, Asked)]
    return len(keys) == 2 and keys[0].is_same(keys[1])


def asked_again_it_asks_again() -> bool:
    talk = Talk()
    talk.hear(APPROVED)
    talk.side.reply(Message(code=0x849C), now_s=0.0)
    return talk.says() == ["84 9C 00"] and talk.heard(APPROVED) == [Asked]


def reading_a_card_ends_with_its_data() -> bool:
    talk = Talk(Message(code=0x06C0, head={"timeout": 30}))
    return talk.heard(at("7.13", "04 0F 1F")) == [Finished] and talk.side.is_free and talk.says() == [OK]


def reading_a_card_may_fail_with_an_abort() -> bool:
    talk = Talk(Message(code=0x06C0))
    (event,) = talk.hear(bytes.fromhex("06 1E 01 6C"))
    return isinstance(event, Finished) and not event.is_success


def direct_commands_end_with_their_answer() -> bool:
    talk = Talk(Message(code=0x0602), accepted=False)
    return talk.heard(ACK) == [Finished] and talk.side.is_free


def an_enquiry_ends_with_an_abort() -> bool:
    talk = Talk(Message(code=0x0623, fields={0x87: b"\xff\xff"}))
    (event,) = talk.hear(at("7.6", "06 1E 04"))
    return isinstance(event, Finished) and (event.message.head_number("result"), event.message.number(0x87)) == (
        0xB8, 154,
    )  # fmt: skip


def keys_end_a_display() -> bool:
    talk = Talk(Message(code=0x06E1, fields={0xF1: "Weiter?"}), accepted=False)
    (event,) = talk.hear(bytes.fromhex("80 00 01 0D"))
    return isinstance(event, Finished) and event.message.head == {"input": b"\x0d"}


def messages_with_a_number_are_recognised() -> bool:
    talk = registered("19 00 06 06 1F 73 03 00 00 00")
    talk.says()
    talk.side.start(PAYMENT, now_s=0.0, holds_results=True)
    begin = talk.says()[0].endswith("1F 73 03 00 00 01")
    talk.hear(bytes.fromhex("80 00 08 06 06 1F 73 03 00 00 01"))
    told = bytes.fromhex("04 FF 0A 0E 02 06 06 1F 73 03 00 00 02")
    events = talk.heard(told, told)
    answers = talk.says()
    return begin and events == [Told] and answers == ["80 00 08 06 06 1F 73 03 00 00 02"] * 2


def numbers_are_not_used_unasked() -> bool:
    talk = registered("19 00")
    talk.says()
    talk.side.start(PAYMENT, now_s=0.0)
    return "1F 73" not in talk.says()[0]


def one_set_is_agreed() -> bool:
    return registered("19 00 06 05 27 03 14 01 01").side.registration.charset is LATIN_1


def glued_copies_are_cut() -> bool:
    receipts = printed(line(0, b"Haendler"), line(0x81), line(0, b"Kunde"), line(0x81))
    return [receipt.text.strip() for receipt in receipts] == ["Haendler", "Kunde"]


def kinds_part_receipts() -> bool:
    receipts = printed(block(1, "Eins", last=False), block(2, "Zwei", last=False))
    return [(receipt.kind, receipt.text) for receipt in receipts] == [
        (ReceiptKind.MERCHANT, "Eins"),
        (ReceiptKind.CUSTOMER, "Zwei"),
    ]


def blocks_are_joined() -> bool:
    receipts = printed(block(2, "Eins", last=False), block(2, "Zwei"))
    return [receipt.text for receipt in receipts] == ["Eins\nZwei"]


def numbers_of_cards_do_not_get_onto_paper() -> bool:
    number = "4" + "1" * 15
    (receipt,) = printed(line(0, b"Karte " + number.encode()), line(0x81))
    return number not in receipt.text and "Karte" in receipt.text


def clear_numbers_are_masked() -> bool:
    number = "4" + "1" * 15
    return number not in repr(read(0x040F, "22 F0 F8" + number))


def end_of_day_with_update() -> bool:
    message = read(0x060F, "27 E0", 0x0650)
    return message.number(0x27) == 0xE0 and result_row(0xE0).outcome is Outcome.FAILED


def the_year_is_the_nearest() -> bool:
    new_year = moment(2027, 1, 1, 0, 3, 0)
    return terminal_moment("1231", "235900", near=new_year) == moment(2026, 12, 31, 23, 59, 0) and terminal_moment(
        "0101", "000100", near=moment(2026, 12, 31, 23, 58)
    ) == moment(2027, 1, 1, 0, 1)


def two_equal_sales_do_not_match() -> bool:
    latest = view(APPROVED)
    return judge(doubt(keys_of(latest)), latest) is Finding.OLDER


def clocks_differ() -> bool:
    late = Doubt(amount_minor=1250, started=moment(2026, 3, 18, 14, 33), before=BEFORE)
    return judge(late, view(APPROVED)) is Finding.OURS


def a_silent_printer_attribute() -> bool:
    (receipt,) = printed(line(0x40, b"Mitte"), line(0x20, b"Breit"), line(0x03, b"EUR"), width=11)
    return receipt.text == "   Mitte\nBreit\n   EUR"


def old_numbers_are_unknown() -> bool:
    talk = Talk()
    talk.hear(bytes.fromhex("04 03 00"), bytes.fromhex("04 04 00"))
    return talk.says() == ["84 83 00"] * 2


def the_menu_has_one_number() -> bool:
    talk = Talk()
    return talk.heard(bytes.fromhex("06 0D 00")) == [] and talk.heard(bytes.fromhex("06 D0 00")) == [Asked]


def paid_texts_decide_nothing() -> bool:
    talk = Talk()
    events = talk.heard(bytes.fromhex("04 FF 01 A0"), ABORT_6C)
    return events == [Told, Finished] and course(ended=abort_notice("6C")).ending is not Ending.APPROVED


# -- the table


@dataclass(frozen=True)
class Oddity:
    name: str
    source: str
    what: str
    holds: Callable[[], bool]


odd = Oddity
ODDITIES = [
    # Lengths and lines.
    odd("two-byte-orders", "8, 1", "APDU lengths have the low byte first, TLV the high one", the_long_block_has_fifteen_lines),
    odd("segments", "8, 2", "one segment is not one APDU", segments_are_put_together),
    odd("long-form", "1.1", "the long form of a short block", lambda: decode(bytes.fromhex("06 1E FF 01 00 6C")).head == {"result": 0x6C}),
    odd("crc-of-plain-bytes", "8, 22", "the CRC covers the bytes before doubling", frames_double_data_only),
    odd("split-pairs", "8, 22", "adapters split the DLE pairs", split_pairs_are_one_frame),
    # Answers.
    odd("84-00", "8, 3", "84 00 is as good as 80 00", lambda: Talk(accepted=False).heard(bytes.fromhex("84 00 00")) == [Accepted]),
    odd("84-9c-to-command", "2.4", "84 9C to a command: busy, nothing was started", lambda: refused("84 9C 00").ending is Ending.NOT_STARTED),
    odd("84-1e-currency", "2.4", "84 1E with 6F and a bare currency", lambda: read(0x841E, "6F 07 56").head == {"result": 0x6F, "currency": 756}),
    odd("84-1e-7d", "8, CCV", "84 1E 01 7D for a wrong currency or state", lambda: refused("84 1E 01 7D").code == 0x7D),
    odd("84-37-password", "8, card complete", "84 37 to a wrong password", lambda: refused("84 37 00").code == 0x37),
    odd("84-83-after-update", "8, Ingenico", "everything is answered by 84 83 once ZVT is off", lambda: refused("84 83 00") == End(Ending.NOT_STARTED, code=0x83)),
    odd("signature-line", "8, card complete", "19 60 wants a signature, 19 70 none, and 1F10 knows better", lambda: [needs_signature(result(text)) for text in ("27 00 19 60", "27 00 19 70", "27 00 19 70 06 04 1F 10 01 01", "27 00 19 60 06 04 1F 10 01 02")] == [True, False, True, False]),
    # Irregular blocks.
    odd("status-f0", "8, 19", "the status F0 looks like a display time", lambda: read(0x060F, "F0", 0x0501).head == {"status": 0xF0}),
    odd("version-before-status", "2.5", "an LLLVAR version without a BMP number", lambda: read(0x060F, "F0 F0 F2 31 32 9C", 0x0501).head == {"software": "12", "status": 0x9C}),
    odd("empty-completion", "2.5", "06 0F after a payment is empty", lambda: Talk().heard(DONE) == [Finished]),
    odd("empty-abort", "2.5", "06 1E without a code counts as FF", lambda: course(ended=abort_notice("")).code == 0xFF),
    odd("abort-currency", "8, 20", "06 1E 6F 09 78 has no BMP 09", lambda: abort_notice("6F 09 78").head == {"result": 0x6F, "currency": 978}),
    odd("abort-is-the-normal-end", "2.2, 06 23", "the enquiry for reservations ends with B8", an_enquiry_ends_with_an_abort),
    odd("none-open", "2.2, 06 23", "87 FF FF says that nothing is open", lambda: abort_notice("B8 87 FF FF", 0x0623).number(0x87) is None),
    odd("no-minutes", "2.5", "04 FF with TLV and without its minutes", lambda: read(0x04FF, "FF 06 05 24 03 07 01 41").tag_text(0x07) == "A"),
    odd("six-minutes", "2.5", "six minutes look like a container", lambda: read(0x04FF, "0A 06 06 05 24 03 07 01 41").head == {"status": 10, "minutes": 6}),
    odd("tlv-after-line", "8, card complete", "TLV follows the text of a printed line", lambda: printed(line(0, b"Summe\x06\x041F07"))[0].text == "Summe"),
    odd("feed-without-count", "2.10", "FF without a count feeds one line", lambda: printed(line(0, b"A"), line(0xFF), line(0, b"B"))[0].text == "A\n\nB"),
    odd("unknown-bmp", "8, 9", "an unknown BMP in 04 0F must not be answered by 84 83", unknown_fields_do_not_undo_a_payment),
    odd("broken-print", "8, 9", "a print block that cannot be read is acknowledged all the same", print_hiccups_do_not_undo_a_payment),
    odd("trailing-garbage", "2.5", "garbage after a good list is left alone", lambda: result("27 00 04 00 00 00 00 12 50 00 00").amount_minor == 1250),
    odd("private-command", "8, Feig", "commands of the maker's own are answered by 84 83", unknown_commands_are_answered),
    odd("dial-up", "2.3", "06 D8 asks for a modem", dialling_is_not_supported),
    # Fields.
    odd("empty-pan", "3.2", "22 F0 F0 after a failure", lambda: result("27 6C 22 F0 F0 87 01 53").receipt_number == 153),
    odd("empty-name", "8, 17", "8B F0 F1 00 is an empty name", lambda: result("27 00 8B F0 F1 00").card_name == ""),
    odd("closed-name", "8, 17", "the closing 00 of 8B is no letter", lambda: result("8B F0 F5 56 49 53 41 00").card_name == "VISA"),
    odd("padded-contract", "3.2", "2A is padded with blanks", lambda: result("2A" + "34353536" + "20" * 11).contract_number == "4556"),
    odd("long-trace", "3.2", "0B is 000000, the number stands in 1F2B", lambda: result("0B 00 00 00 06 07 1F 2B 04 01 23 45 67").trace == 1234567),
    odd("trace-of-failure", "3.3", "0B 000000 and 87 0000 after a failure name nothing", lambda: keys_of(result("27 05 0B 00 00 00 87 00 00")).is_empty),
    odd("card-type-in-tag", "5.4", "8A FF: the card type stands in tag 41", lambda: (result("8A FF 06 04 41 02 01 05").card_type, result("8A FF").card_type) == (261, None)),
    odd("no-card-type", "5.4", "without 8A the application tells the brand", lambda: brand_of(None, result("06 09 43 07 A0 00 00 00 03 10 10").aid) == "Visa"),
    odd("host-result", "3.2", "A0 01 does not change the outcome of 27 00", lambda: (result("27 00 A0 01").result, result("27 00 A0 01").host_result) == (0, 1)),
    odd("no-result-code", "3.3", "a payment without 27 is unknown", lambda: course((result("04 00 00 00 00 12 50"), Answered.ACCEPTED), ended=COMPLETION).ending is Ending.DOUBT),
    odd("less-approved", "8, 7", "04 is what was authorised: less", lambda: course((result("27 00 04 00 00 00 00 10 00"), Answered.ACCEPTED), ended=COMPLETION).amount_minor == 1000),
    odd("tip-included", "8, 7", "04 is what was authorised: with the tip", lambda: (result("27 00 04 00 00 00 00 15 00 06 05 1F 36 02 02 50").amount_minor, result("06 05 1F 36 02 02 50").tip_minor) == (1500, 250)),
    odd("cashback-included", "3.3", "04 contains the cash-back", lambda: result("04 00 00 00 00 62 50 06 05 1F 25 02 50 00").cashback_minor == 5000),
    odd("rubbish-totals", "3.4", "slots of BMP 60 with bytes that are no digits", lambda: batch_totals(bytes.fromhex("0101 0153" + "05 AABBCCDDEEFF" * 7)) is None),
    odd("no-digits", "3.1", "BCD with letters is no number", lambda: result("27 00 04 00 00 00 00 1A 50").amount_minor is None),
    odd("free-order", "2.1", "BMPs in any order", lambda: result("8A 05 87 01 53 04 00 00 00 00 12 50 27 00") == StatusInformation(result=0, amount_minor=1250, receipt_number=153, card_type=5)),
    odd("repeated-field", "2.2, 06 09", "a BMP twice: the first one counts, none is lost", lambda: read(0x061E, "6F 04 00 00 00 00 10 00 04 00 00 00 00 20 00", 0x0609).more == ((0x04, 2000),)),
    odd("track-in-result", "8, 28", "tracks never get past the codec", lambda: read(0x040F, "23 F0 F3 12 34 56", 0x06C0).fields[0x23] == "***"),
    odd("pan-in-clear", "8, 28", "a card number in clear is masked", clear_numbers_are_masked),
    odd("pan-on-paper", "8, 28", "a card number in a printed line is masked", numbers_of_cards_do_not_get_onto_paper),
    odd("new-year", "8, 26", "0D has no year: the nearest one", the_year_is_the_nearest),
    # Tags.
    odd("feig-password", "8, Feig", "FF40 carries a plain password: starred", lambda: read(0x0813, "06 09 E4 07 FF 40 04 31 32 33 34").tag(0xFF40) == "****"),
    odd("feig-host", "8, Feig", "FF41 looks constructed and is plain", lambda: read(0x0813, "06 08 E4 06 FF 41 03 07 01 41").tag(0xFF41) == b"\x07\x01\x41"),
    odd("flat-payment-way", "8, card complete", "1F10 and 1F12 outside 2F", lambda: result("06 08 1F 10 01 02 1F 12 01 01").technology == 1),
    odd("flat-texts", "8, card complete", "46 and 47 outside 66 and 67", lambda: (result("06 06 46 01 4B 47 01 48").customer_text, result("06 06 46 01 4B 47 01 48").merchant_text) == ("K", "H")),
    odd("flat-applications", "8, Feig", "several tags 60 side by side", lambda: len(find_all(read(0x040F, "06 0A 60 03 41 01 06 60 03 41 01 0A").tlv or (), 0x60)) == 2),
    odd("private-tags", "8, card complete", "C0, D0 and DF01 are skipped", lambda: result("06 0F C0 01 AA D0 01 BB DF 01 01 CC 1F 10 01 02").cardholder_check == 2),
    odd("empty-container", "4.1", "06 00 is a container", lambda: read(0x0601, "06 00").tlv == ()),
    odd("unasked-tlv", "8, Hobex", "TLV where none was enabled", lambda: view(APPROVED).technology == 2),
    odd("negative-remainder", "4.2", "a high nibble D is a minus", lambda: result("06 06 1F 6A 03 D0 12 50").remaining_minor == -1250),
    # Characters.
    odd("latin-1-unagreed", "8, Feig", "ISO 8859-1 without having agreed on it", lambda: read(0x06D1, "00 48 E4 6E 64 6C 65 72", charset=AUTO).head_text("text") == "Händler"),
    odd("utf-8-unagreed", "8, 16", "UTF-8 without having agreed on it", lambda: read(0x06D1, "00 48 C3 A4 6E 64 6C 65 72", charset=AUTO).head_text("text") == "Händler"),
    odd("agreed-set", "4.5", "one set in the answer is agreed on", one_set_is_agreed),
    odd("several-sets", "4.5", "several sets in the answer switch nothing", lambda: registered("19 00 06 08 27 06 14 01 01 14 01 FE").side.registration.charset is CP437),
    # Codes.
    odd("referral", "5.1.1", "host code 01 asks for a call", lambda: result_row(0x01).outcome is Outcome.REFERRED),
    odd("unlisted-code", "5.1", "a code that is not listed is a failure", lambda: result_row(0xD7).outcome is Outcome.FAILED and "D7" in result_row(0xD7).staff.en),
    odd("take-card-text", "5.3", "4B alone is: take your card", lambda: (row := intermediate_row(0x4B)) is not None and row.text.de != ""),
    # Conversation.
    odd("no-acknowledgement", "6.1", "a command of the terminal in place of 80 00", a_fast_terminal_goes_on),
    odd("doubled-acknowledgement", "6.1", "80 00 twice", a_doubled_acknowledgement_is_no_news),
    odd("prints-first", "6.3", "receipts before the result", receipts_may_come_before_the_result),
    odd("approved-texts", "8, 6", "04 FF 1C does not mean paid", texts_end_nothing),
    odd("approved-then-aborted", "6.3", "06 1E after an approval has to be asked about", lambda: course((YES, Answered.ACCEPTED), ended=abort_notice("CC")).ending is Ending.DOUBT),
    odd("declined-then-completed", "6.3", "06 0F after a refusal", lambda: course((NO, Answered.ACCEPTED), ended=COMPLETION).ending is Ending.NOT_PAID),
    odd("silent-failure", "8, CCV", "neither 06 0F nor 06 1E after a failure", silence_after_a_failure_is_short),
    odd("pin-again", "6.3", "a wrong PIN first: the last result counts", the_pin_may_be_wrong_first),
    odd("slow-customer", "8, 10", "three minutes at least, whatever 04 FF says", lambda: a_slow_customer_has_three_minutes() and short_waits_do_not_shorten_ours() and long_waits_are_kept()),
    odd("abort-acknowledged", "8, 5", "80 00 to an abort is not the end", the_answer_to_an_abort_is_not_the_end),
    odd("standalone", "6.8", "payments started at the terminal", unasked_messages_are_acknowledged),
    odd("two-equal-sales", "8, 13", "the same amount proves nothing", two_equal_sales_do_not_match),
    odd("card-removal", "9", "04 FF after the result: the card is taken", card_removal_after_the_result_is_tolerated),
    odd("silent-approval", "6.3", "silence after an approval is waited out", silence_after_an_approval_is_long),
    odd("silent-wrong-pin", "6.3", "silence after a wrong PIN: it may have gone on", lambda: course((StatusInformation(result=0x37), Answered.ACCEPTED)).ending is Ending.DOUBT),
    odd("busy-at-the-terminal", "6.8", "no command of ours while staff use the terminal", an_unasked_start_blocks_until_its_end),
    odd("abort-too-late", "6.7", "84 83 to an abort: the payment goes on", an_abort_may_be_too_late),
    odd("abort-crosses-result", "6.7", "the result and the answer to the abort in any order", an_abort_may_cross_a_result),
    odd("abort-unanswered", "6.7", "no answer to an abort at all", an_abort_may_stay_unanswered),
    odd("abort-after-answer", "6.7", "an abort leaves only after our answer", abort_waits_until_we_have_answered),
    odd("stored-first", "8, 8", "04 0F is answered after it was stored", a_result_is_answered_after_it_was_stored),
    odd("result-twice", "6.10", "a second 04 0F is the same transaction", the_same_result_twice_has_the_same_keys),
    odd("ask-again", "6.4", "84 9C brings the same 04 0F again", asked_again_it_asks_again),
    odd("read-card", "2.1", "06 C0 ends with 04 0F", reading_a_card_ends_with_its_data),
    odd("read-card-fails", "2.1", "06 C0 may end with 06 1E", reading_a_card_may_fail_with_an_abort),
    odd("direct", "8, 4", "direct commands have no 06 0F", direct_commands_end_with_their_answer),
    odd("key", "2.2, 06 E1", "80 00 carries the key", keys_end_a_display),
    odd("numbered", "6.11", "a message that keeps its number is a repetition", messages_with_a_number_are_recognised),
    odd("not-numbered", "6.11", "no numbers unless the terminal has agreed", numbers_are_not_used_unasked),
    odd("glued-copies", "8, 15", "81 parts two copies", glued_copies_are_cut),
    odd("kind-changes", "2.10", "another 1F07 parts two copies", kinds_part_receipts),
    odd("split-receipt", "2.10", "one receipt over several blocks", blocks_are_joined),
    odd("update-follows", "8, card complete", "06 0F with 27 E0 after an end of day", end_of_day_with_update),
    odd("clocks", "8, 25", "clocks differ by some minutes", clocks_differ),
    odd("attributes", "2.10", "indent, centre, width", a_silent_printer_attribute),
    # What single vendors do, and what older revisions had.
    odd("old-card-numbers", "2.3", "drafts of 13.06 numbered 06 C6 and 06 C5 as 04 03 and 04 04", old_numbers_are_unknown),
    odd("06-0d", "2.2", "06 0D in the summary table is 06 D0: only that is a menu", the_menu_has_one_number),
    odd("reboot-follows", "8, card complete", "06 0F with 27 FC: it reboots", lambda: read(0x060F, "27 FC", 0x0650).number(0x27) == 0xFC),
    odd("insert-instead", "8, Lavego", "host codes 13 and 41 want the card inserted", lambda: all("insert" in result_row(code).next_step.en.lower() for code in (0x13, 0x41))),
    odd("terminal-not-activated", "8, Lavego", "host code 3A is about the terminal, not the card", lambda: "terminal" in result_row(0x3A).staff.en and "service" in result_row(0x3A).next_step.en),
    odd("wrong-type", "8, card complete", "C5 for an unknown payment type is no charge", lambda: course((StatusInformation(result=0xC5), Answered.ACCEPTED), ended=abort_notice("C5")).ending is Ending.NOT_PAID),
    odd("day-open", "8, card complete", "every payment ends with F0 until the day is closed, why stands in 3C", lambda: (result("27 F0 3C F0 F0 F4 54 45 58 54").additional_text, result_row(0xF0).outcome, "end of day" in result_row(0xF0).next_step.en) == ("TEXT", Outcome.FAILED, True)),
    odd("cash-back-refused", "5.1", "CD: the purchase itself may have been approved", lambda: "before charging again" in result_row(0xCD).next_step.en),
    odd("paid-texts", "8, Ingenico", "04 FF A0 says paid, and decides nothing", paid_texts_decide_nothing),
    odd("not-configured", "8, Feig", "06 1E A0 while it is not configured", lambda: course(ended=abort_notice("A0")).code == 0xA0),
    odd("system-information", "8, Feig", "06 0F with text of fixed width and no BMPs costs nothing but itself", lambda: Talk().heard(make_apdu(0x060F, b"cVEND   " + b"1.2.3".ljust(17) + b"8" * 16)) == [Finished]),
    odd("error-text-utf-8", "8, Feig", "1F17 in UTF-8", lambda: read(0x061E, "FF 06 0B 1F 17 08 47 65 72 C3 A4 74 20 21", charset=AUTO).tag_text(0x1F17) == "Gerät !"),
    odd("locks-by-byte", "8, CCV", "1F55 40 00 is the first byte: initialisation", lambda: read(0x060F, "00 06 05 1F 55 02 40 00", 0x0501).tag_number(0x1F55) == 0x40),
    odd("nested-set-up", "8, CCV OPM", "a set-up inside 1C stays plain bytes", lambda: read(0x0813, "06 08 2D 06 1C 04 20 02 01 00").tag(0x1C) == b"\x20\x02\x01\x00"),
    odd("long-tlv-lengths", "4.1", "a length in three bytes where one would do", lambda: read(0x040F, "06 82 00 06 1F 10 82 00 01 02").tag_number(0x1F10) == 2),
    odd("broken-ber", "4.1", "1F80 ends although its bit says that more follows", lambda: read(0x0814, "00 00 00 06 06 2D 04 1F 80 01 41").tag_text(0x1F80) == "A"),
    odd("constructed-plain", "4.1", "FF01 looks constructed and is plain at some", lambda: read(0x040F, "06 07 E8 05 FF 01 02 07 7F").tag(0xFF01) == b"\x07\x7f"),
    odd("container-of-rubbish", "4.1", "a container that is none costs its own content only", lambda: result("27 00 06 09 60 03 07 7F 00 1F 10 01 02").cardholder_check == 2),
    odd("sum-in-one-slot", "3.4", "the whole total in the first slot", lambda: (totals := batch_totals(bytes.fromhex("0101 0153 19 000000102195" + "00000000000000" * 6))) is not None and [one.amount_minor for one in totals.schemes] == [102195, 0, 0, 0, 0, 0, 0]),
    odd("text-beside-code", "5.3", "04 FF FF: the text stands in TLV", lambda: read(0x04FF, "FF 02 06 05 24 03 07 01 41").tag_text(0x07) == "A"),
    odd("card-inserted", "5.2", "the status DC forbids nothing", lambda: status_row(0xDC).can_pay and not status_row(0x9C).can_pay),
]  # fmt: skip


@pytest.mark.parametrize("oddity", ODDITIES, ids=lambda oddity: oddity.name)
def test_an_oddity_is_taken_as_it_is_meant(oddity: Oddity) -> None:
    assert oddity.holds(), f"{oddity.source}: {oddity.what}"


def test_there_are_a_hundred_of_them_each_with_its_source() -> None:
    assert len({oddity.name for oddity in ODDITIES}) == len(ODDITIES) >= 100
    assert len({oddity.what for oddity in ODDITIES}) == len({oddity.holds for oddity in ODDITIES}) == len(ODDITIES)
    assert all(oddity.source[0] in "123456789" and oddity.what for oddity in ODDITIES)
