"""`zahlwerk decode kit`: messages and frames in words, masked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.interfaces.kit.kit_strategies import messages

from zahlwerk.interfaces.kit.codec import encode_line
from zahlwerk.interfaces.kit.explain import ExplainedField, Explanation, explain_bytes, explain_line
from zahlwerk.interfaces.kit.messages import Message, name_of
from zahlwerk.interfaces.kit.serial_frames import ACK, NAK, encode_frame


def words(text: str, *, language: str = "en") -> dict[str, str]:
    explanation = explain_line(text.encode(), language=language)
    assert explanation.ok, explanation
    return {field.tag: field.value for field in explanation.fields}


def test_a_payment_in_words() -> None:
    explanation = explain_line(b'{"TransactionRequest":{"TrxFunction":32768,"TrxCurrC":756,"AmtAuth":1750}}')
    assert explanation == Explanation(ok=True, name="TransactionRequest", code="09", fields=(
        ExplainedField("TrxFunction", "transaction function", "Purchase", "32768"),
        ExplainedField("TrxCurrC", "transaction currency", "CHF", "756"),
        ExplainedField("AmtAuth", "amount to authorise, or authorised; contains the cashback", "CHF 17.50", "1750"),
    ))  # fmt: skip


def test_json_output_has_the_form_of_the_design() -> None:
    assert explain_line(b'{"StatusRequest":{}}').as_dict() == {
        "ok": True,
        "name": "StatusRequest",
        "code": "03",
        "fields": [],
    }
    assert explain_line(b"{").as_dict() == {"ok": False, "error": "Input data was truncated", "position": 0}


@pytest.mark.parametrize(("name", "raw", "value"), [
    ("TrmStatus", "551", "card read + busy + application selected + no printer + shift open"),
    ("TrxFunctions", "32800", "Reversal + Purchase"), ("TrxReqFlags", "0", "none"), ("TrxReqFlags", "18", "0x12"),
    ("POSEntryMode", "97", "contactless emv"), ("POSEntryMode", "55", "unlisted value 55"),
    ("SoftwareVersion", "250100", "25.01.00"), ("IFDSerialNum", '"N6P00017"', "N6P00017 (Nexgo N6)"),
    ("TrxDate", '"261123"', "2026-11-23"), ("TrxTime", '"101530"', "10:15:30"), ("DCCOrigDate", '"20261123"', "2026-11-23"),
    ("AID", '"oAAAAAQQEA=="', "A0 00 00 00 04 10 10"), ("AID", '"?"', "not base64: ?"), ("Currencies", "[756,978]", "CHF, EUR"),
    ("AmtAuth", "1750", "1750 minor units"), ("TrxCurrC", "1", "unknown currency 1"), ("Timeout", "500", "500 ms"),
    ("TrxResultExtended", "10017", "a scheduled task is due: try again in 20 seconds"), ("TrxResultExtended", "1051", "declined (1051)"),
    ("TrxResultExtended", '"1002200"', "declined (1002200)"), ("TrxResultExtended", "60000", "unlisted value 60000"),
    ("Confirm", "1", "confirm: the money moves"), ("Confirm", "0", "roll back"), ("ESigInd", "1", "yes"), ("AttendantText", "null", "absent"),
    ("AppPAN", '"QRERERE="', "********"), ("UTF8String", '"secret"', "******"), ("ReceiptText", '"4111 1111 1111 1111"', "4111 11** **** 1111"),
    ("SomethingNew", '{"a":[1]}', ""), ("SomethingNew", '"x"', '"x"'),
])  # fmt: skip
def test_values_in_words(name: str, raw: str, value: str) -> None:
    found = words(f'{{"NewMessage":{{"{name}":{raw}}}}}')
    parts = set(found.get(name, "").split(" + "))
    assert parts == set(value.split(" + "))


class TestP14RateExponent:
    def test_it_is_shown_raw_with_what_it_most_likely_means(self) -> None:
        assert (
            words('{"TransactionResponse":{"TrxResult":0,"DCCRateExp":4}}')["DCCRateExp"]
            == "4 (the rate is DCCRate / 10^4, most likely)"
        )


class TestP35LeadingZerosOfTheIssuer:
    def test_six_digits_are_shown(self) -> None:
        assert words('{"TransactionResponse":{"TrxResult":0,"IIN":4567}}')["IIN"] == "004567"


def test_amounts_find_their_own_currency() -> None:
    found = words(
        '{"TransactionResponse":{"TrxResult":0,"TrxCurrC":756,"AmtAuth":5,"DCCForeignAmount":7,"DCCForeignCurrC":392,"AmtAvail":9}}'
    )
    assert (found["AmtAuth"], found["DCCForeignAmount"], found["AmtAvail"]) == ("CHF 0.05", "JPY 7", "9 minor units")


def test_words_come_in_four_languages() -> None:
    line = '{"TransactionResponse":{"TrxResult":1}}'
    assert [words(line, language=language)["TrxResult"] for language in ("en", "de", "fr", "it")] == [
        "declined",
        "abgelehnt",
        "refusé",
        "rifiutato",
    ]


def test_fields_inside_fields_are_named_with_the_way_to_them() -> None:
    found = words(
        '{"StatusResponse":{"TrmStatus":0,"SetAcqInfo":[{"AcqID":2},{"AcqID":4}],"NextScheduledTask":{"TaskName":"INIT"}}}'
    )
    assert found == {
        "TrmStatus": "none",
        "SetAcqInfo[0].AcqID": "2",
        "SetAcqInfo[1].AcqID": "4",
        "NextScheduledTask.TaskName": "INIT",
    }


def test_companions_and_what_was_cut_are_shown() -> None:
    assert words('x {"StatusRequest":{},"msg_id":"1"}') == {"msg_id": "1", "": "x"}


def test_a_message_without_a_number_and_an_unknown_one_have_no_code() -> None:
    assert explain_line(b'{"EFTHello":{}}').code == ""
    assert explain_line(b'{"New":{}}') == Explanation(ok=True, name="New")


class TestBytes:
    def test_several_lines(self) -> None:
        found = explain_bytes(b'{"StatusRequest":{}}\r\n\n{"BalanceRequest":{}}\nrubbish')
        assert [(item.ok, item.name) for item in found] == [
            (True, "StatusRequest"),
            (True, "BalanceRequest"),
            (False, ""),
        ]

    def test_a_serial_conversation(self) -> None:
        wire = encode_frame(1, 0x11, b'{"StatusRequest":{}}\n') + ACK + encode_frame(1, 0x91, b'{"StatusResp') + NAK
        wire += encode_frame(2, 0x91, b'onse":{"TrmStatus":0}}\n')
        assert [item.name for item in explain_bytes(wire)] == [
            "serial frame", "StatusRequest", "ACK", "serial frame", "NAK", "serial frame", "StatusResponse",
        ]  # fmt: skip

    def test_a_frame_in_words(self) -> None:
        [frame, _] = explain_bytes(encode_frame(0x3B, 0x11, b'{"HeartbeatResponse":{}}\n'))
        assert [(field.tag, field.value, field.raw) for field in frame.fields] == [
            ("SEQ", "59", "3B"), ("TYPE", "register to terminal", "11"), ("PAYLOAD", "25 bytes", ""), ("CRC", "right", "1033"),
        ]  # fmt: skip

    @pytest.mark.parametrize(("data", "error"), [
        (b"", "nothing to read"), (b"\n \n", "nothing to read"), (b"\x10\x00\x01", "a serial frame without its end (10 FF)"),
        (encode_frame(1, 0x11, b"x").replace(b"x", b"y"), "damaged serial frame: wrong check sum"),
        (encode_frame(1, 0x11, b'{"Sta'), "a message without its end: a frame is missing"),
        (b"x" * (1 << 20) + b"xx", "a line longer than 1048576 bytes"),
    ])  # fmt: skip
    def test_what_cannot_be_read_says_why(self, data: bytes, error: str) -> None:
        assert explain_bytes(data)[-1].error == error

    @given(st.binary(max_size=200) | st.binary(max_size=100).map(b"\x10\x00".__add__))
    def test_any_bytes_give_an_explanation(self, data: bytes) -> None:
        assert explain_bytes(data)

    @given(messages, st.integers(0, 255))
    def test_every_message_is_explained_line_and_frame_alike(self, message: Message, seq: int) -> None:
        line = encode_line(message)
        [explanation] = explain_bytes(line)
        assert (explanation.ok, explanation.name) == (True, name_of(message))
        assert explain_bytes(encode_frame(seq, 0x91, line))[1:] == (explanation,)
