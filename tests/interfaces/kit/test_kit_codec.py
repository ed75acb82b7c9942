"""KIT lines to messages and back: laws, the worked examples, hostile lines, pitfalls."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.interfaces.kit.kit_strategies import messages

from zahlwerk.errors import InvalidRequest, LocalProtocolError, RemoteProtocolError
from zahlwerk.interfaces.kit.codec import (
    NESTING_MAX,
    Line,
    decode_line,
    dump,
    encode_line,
    unknown_fields,
)
from zahlwerk.interfaces.kit.dictionary import AMOUNT_FIELDS
from zahlwerk.interfaces.kit.messages import (
    MESSAGES,
    ActivationResponse,
    CancelUIRequest,
    ConnectRequest,
    DialogRequest,
    InitializationRequest,
    Message,
    Pairing,
    ReceiptRequest,
    ReceiptResponse,
    RecOrderRef,
    ReportResponse,
    StatusRequest,
    TransactionConfirmationRequest,
    TransactionRequest,
    TransactionResponse,
    name_of,
)
from zahlwerk.money import AMOUNT_MINOR_MAX

# Worked examples of the fact sheet, 6.1 to 6.5: JSON checked against PayTec's schema there.
GOLDEN = """
{"ConnectRequest":{"TrmLng":"de","PrinterWidth":40,"UnsolicitedReceipts":1,"POSID":"Kasse 1"}}
{"ConnectResponse":{"TrmID":"12345678","TrmLng":"de","IFDSerialNum":"N6P00017","SoftwareVersion":250100,"PeSeqCnt":3,"ActSeqCnt":11}}
{"StatusRequest":{}}
{"StatusResponse":{"TrmStatus":512,"TrmLng":"de","ESigInd":0,"SetAcqInfo":[{"AcqID":2,"LastAcqInitDate":"2026-11-20 06:32:26"}],"NextScheduledTask":{"TaskName":"INIT","NextRun":"2026-11-24 03:10:00","AcqID":2}}}
{"ActivationRequest":{}}
{"ActivationResponse":{"TrmID":"12345678","TrmType":22,"TrmLng":"de","PeSeqCnt":3,"ActSeqCnt":12,"TrxSeqCnt":4710,"TrmCntryC":756,"MctID":"000000000012345","MctNameLoc":"Beispiel AG, Zuerich","TrxFunctions":182433,"Currencies":[756,978],"Brands":["MASTERCARD","VISA"]}}
{"ReceiptResponse":{"ReceiptType":11,"ReceiptFlags":2,"ReceiptText":"Aktivierung\\n..."}}
{"TransactionRequest":{"TrxFunction":32768,"TrxCurrC":756,"AmtAuth":1750,"RecOrderRef":{"OrderID":"2026-000123"}}}
{"StatusResponse":{"TrmStatus":551,"TrmLng":"de","ESigInd":0,"AID":"oAAAAAQQEA==","IIN":541333}}
{"HeartbeatRequest":{}}
{"HeartbeatResponse":{}}
{"TransactionResponse":{"TrxResult":0,"TrxResultExtended":0,"TrmID":"12345678","TrxSeqCnt":4711,"TrxFunction":32768,"TrxType":0,"TrxDate":"261123","TrxTime":"101530","AmtAuth":1750,"TrxCurrC":756,"Brand":"MASTERCARD","DisplayName":"Mastercard","AID":"oAAAAAQQEA==","AcqID":2,"POSEntryMode":97,"AppPANPrtAttendant":"XXXXXXXXXXXX1234","AppPANPrtCardholder":"XXXXXXXXXXXX1234","AuthC":"ABC123","ARC":"00","TrxRefNum":"123456789012345","CardholderText":"Zahlung OK","AttendantText":"Zahlung OK"}}
{"TransactionConfirmationRequest":{"Confirm":1}}
{"TransactionConfirmationResponse":{}}
{"ConfirmationTimeExtensionRequest":{"Seconds":30,"CardholderText":"Ware kommt"}}
{"ConfirmationTimeExtensionResponse":{}}
{"TransactionConfirmationRequest":{"Confirm":1,"TrxAmt":1500}}
{"TransactionConfirmationResponse":{"CardholderText":"Storniert","AttendantText":"Storniert"}}
{"TransactionResponse":{"TrxResult":1,"TrxResultExtended":1051,"TrmID":"12345678","TrxSeqCnt":4714,"ARC":"51","AuthReslt":100,"CardholderText":"Abgelehnt","AttendantText":"Abgelehnt"}}
{"AbortTransactionRequest":{"TrxAbortFlags":1}}
{"AbortTransactionResponse":{}}
{"ErrorNotification":{"ErrorCode":1,"ErrorSource":"ECR","ErrorDescription":"Terminal is busy"}}
{"TransactionRequest":{"TrxFunction":128,"TrxCurrC":756,"AmtAuth":15000,"SetActiveSurrogatePAN":["z2ukH05qdd7ajvq43eH3i609DEySa5f9guL/yA3qhI4="]}}
{"TransactionConfirmationRequest":{"Confirm":0,"TrxSeqCnt":102}}
{"ReceiptRequest":{"ReceiptType":1,"ReceiptIDNumeric":4711}}
{"TransactionRequest":{"TrxFunction":32768,"TrxCurrC":756,"AmtAuth":420,"TrxReqFlags":5}}
{"StatusResponse":{"TrmStatus":5,"TrmLng":"de","ESigInd":0,"UID":"BKxS6g=="}}
{"DialogRequest":{"DialogResource":1010,"DialogResourceArgs":["Kilometerstand?"],"InputType":51,"MinLength":1,"MaxLength":7,"Timeout":60000,"UIButtons":7}}
{"DialogResponse":{"DialogResult":1,"UTF8String":"48210"}}
{"DeviceCommandRequest":{"DeviceCommandCode":2601,"Title":"Kundenkarte","Text":"Bitte Code zeigen","Timeout":60000}}
{"DeviceCommandResponse":{"DeviceCommandCode":2601,"ScannedData":"7612345678900"}}
{"PrintReceiptRequest":{"ReceiptText":"BEISPIEL AG\\n","ReceiptFlags":5}}
{"PrintReceiptResponse":{"PrinterStatus":0}}
{"ReportResponse":{"ReportType":1,"ReportFlags":0,"FinancialReport":[{"Brand":"VISA","AID":"oAAAAAMQEA==","FinancialCounterType":0,"TrxCurrC":756,"TrxCount":12,"TotalAmount":48250,"TipAmount":1200}]}}
{"BatchCaptureRequest":{"BatchCaptureFlags":1}}
{"BalanceRequest":{}}
""".strip().splitlines()


def decoded(text: str) -> Line:
    return decode_line(text.encode())


def message_in(text: str) -> Message:
    message = decoded(text).message
    assert message is not None
    return message


class TestLaws:
    @given(messages)
    def test_a_message_survives_the_wire(self, message: Message) -> None:
        assert decode_line(encode_line(message)) == Line(
            name_of(message), message, encode_line(message).split(b":", 1)[1][:-2], {}
        )

    @given(messages, st.sampled_from([" ", "\t", "", "\r"]))
    def test_blanks_and_order_do_not_matter(self, message: Message, blank: str) -> None:
        body = json.loads(encode_line(message))[name_of(message)]
        turned = json.dumps({name_of(message): dict(reversed(body.items()))}, indent=1).replace("\n", " ")
        assert decoded(f"{blank}{turned}{blank}\r\n").message == message

    @given(
        messages,
        st.dictionaries(st.text(max_size=5).map("X-".__add__), st.integers() | st.text() | st.none(), min_size=1),
    )
    def test_unknown_fields_are_kept(self, message: Message, more: dict[str, object]) -> None:
        more = {name: value for name, value in more.items() if not isinstance(value, int) or abs(value) < 2**60}
        line = decode_line(encode_line(message, extras=more))
        assert line.message == message
        assert unknown_fields(line) == more

    @given(
        messages,
        st.dictionaries(st.sampled_from(["POSInterface", "POSInterfaceTransport", "msg_id", "new"]), st.text()),
    )
    def test_companions_are_kept(self, message: Message, companions: dict[str, object]) -> None:
        line = decode_line(encode_line(message, companions=companions))
        assert (line.message, dict(line.companions)) == (message, companions)

    def test_the_strategies_reach_every_message_and_the_edges(self) -> None:
        seen: set[str] = set()
        amounts: set[int] = set()
        lists: set[int] = set()

        @settings(max_examples=600, database=None)
        @given(messages)
        def collect(message: Message) -> None:
            seen.add(name_of(message))
            amounts.update(v for n, v in message.wire_items() if n in AMOUNT_FIELDS and isinstance(v, int))
            lists.update(len(v) for _, v in message.wire_items() if isinstance(v, tuple))

        collect()
        assert len(seen) > 50
        assert {0, AMOUNT_MINOR_MAX} <= amounts
        assert {0, 1, 2} <= lists

    @pytest.mark.parametrize("text", GOLDEN)
    def test_the_worked_examples_read_and_write_the_same_text(self, text: str) -> None:
        line = decoded(text)
        assert line.message is not None
        assert json.loads(encode_line(line.message)) == json.loads(text)
        assert unknown_fields(line) == {}

    def test_messages_are_values(self) -> None:
        assert hash(message_in(GOLDEN[3])) == hash(message_in(GOLDEN[3]))


class TestReading:
    def test_text_before_the_brace_is_cut_off_and_told(self) -> None:
        line = decode_line(b'\x00\xffnoise {"StatusRequest":{}}\r\n')
        assert (line.message, line.cut) == (StatusRequest(), b"\x00\xffnoise")

    def test_an_unknown_message_is_kept_raw(self) -> None:
        line = decoded('{"TeleportRequest":{"Where":"Bern","n":[1,2]}}')
        assert (line.name, line.message) == ("TeleportRequest", None)
        assert unknown_fields(line) == {"Where": "Bern", "n": [1, 2]}

    def test_of_two_messages_the_first_counts(self) -> None:
        line = decoded('{"extra":{},"StatusRequest":{},"BalanceRequest":{}}')
        assert (line.name, dict(line.companions)) == ("StatusRequest", {"extra": {}, "BalanceRequest": {}})

    def test_a_message_name_written_with_escapes_is_the_same_name(self) -> None:
        assert decoded('{"Status\\u0052equest":{}}').message == StatusRequest()

    def test_booleans_count_as_zero_and_one(self) -> None:
        assert message_in(
            '{"ConnectRequest":{"UnsolicitedReceipts":true,"UseExternalDisplay":false}}'
        ) == ConnectRequest(unsolicited_receipts=1, use_external_display=0)

    def test_an_amount_of_twelve_digits_is_read(self) -> None:
        line = decoded('{"TransactionRequest":{"TrxFunction":32768,"AmtAuth":999999999999}}')
        assert line.message == TransactionRequest(trx_function=32768, amt_auth=AMOUNT_MINOR_MAX)

    def test_a_repr_shows_no_card_data(self) -> None:
        line = decoded(
            '{"TransactionResponse":{"TrxResult":0,"AppPAN":"QRERERERERE=","AppPANPrtAttendant":"XXXX1111"}}'
        )
        assert (
            repr(line)
            == "Line(TransactionResponse, TransactionResponse(TrxResult=0, AppPAN=***, AppPANPrtAttendant='XXXX1111'), 71 bytes)"
        )

    def test_unlisted_codes_are_data(self) -> None:
        assert message_in(
            '{"ReceiptResponse":{"ReceiptType":777,"ReceiptFlags":4096,"ReceiptText":""}}'
        ) == ReceiptResponse(receipt_type=777, receipt_flags=4096, receipt_text="")


class TestWriting:
    def test_zero_and_empty_lists_are_written(self) -> None:
        message = ActivationResponse(trx_seq_cnt=0, currencies=(), brands=())
        assert encode_line(message) == b'{"ActivationResponse":{"TrxSeqCnt":0,"Currencies":[],"Brands":[]}}\n'

    def test_letters_are_utf8_and_line_feeds_are_escaped(self) -> None:
        line = encode_line(ReceiptResponse(receipt_type=1, receipt_text="Zürich\n"))
        assert line == '{"ReceiptResponse":{"ReceiptType":1,"ReceiptText":"Zürich\\n"}}\n'.encode()

    def test_booleans_of_careless_callers_become_numbers(self) -> None:
        assert (
            encode_line(ConnectRequest(unsolicited_receipts=True)) == b'{"ConnectRequest":{"UnsolicitedReceipts":1}}\n'
        )

    @pytest.mark.parametrize("amount", [-1, AMOUNT_MINOR_MAX + 1])
    def test_an_impossible_amount_is_refused(self, amount: int) -> None:
        with pytest.raises(InvalidRequest, match=r"^AmtAuth must be 0 to 999999999999 minor units$"):
            encode_line(TransactionRequest(trx_function=32768, amt_auth=amount))

    def test_what_json_cannot_hold_is_refused(self) -> None:
        with pytest.raises(InvalidRequest, match="ReceiptResponse cannot be written as JSON: UnicodeEncodeError"):
            encode_line(ReceiptResponse(receipt_type=1, receipt_text="\ud800"))

    def test_a_second_message_is_no_companion(self) -> None:
        with pytest.raises(
            LocalProtocolError, match="BalanceRequest is a message and cannot stand beside StatusRequest"
        ):
            encode_line(StatusRequest(), companions={"BalanceRequest": {}})

    def test_an_extra_cannot_replace_a_field(self) -> None:
        with pytest.raises(LocalProtocolError, match="AmtAuth is a field of TransactionRequest"):
            encode_line(TransactionRequest(trx_function=32768), extras={"AmtAuth": 1})

    def test_dump_is_masked(self) -> None:
        assert dump(Pairing(code="087", channel="3f2b8c1e-7a54-4d0b-9c61-0e5a7d9b2f10", peer_name="Till 1")) == {
            "Code": "***", "Channel": "3f2b8c1e" + "*" * 28, "PeerName": "Till 1",
        }  # fmt: skip


HOSTILE = [
    pytest.param(b"", "no JSON object in the line", 0, id="nothing"),
    pytest.param(b"hello", "no JSON object in the line", 0, id="no brace"),
    pytest.param(b"{}", "no message: expected one KIT message name with an object", 0, id="no member"),
    pytest.param(b'{"msg_id":"1"}', "no message: expected one KIT message name with an object", 0, id="companions only"),
    pytest.param(b'{"StatusRequest":{}', "Input data was truncated", 0, id="cut"),
    pytest.param(b'{"StatusRequest":{}} x', "JSON is malformed: trailing characters", 22, id="trailing"),
    pytest.param(b'{"StatusRequest":[]}', "StatusRequest: Expected object, got array", 1, id="list"),
    pytest.param(b'{"StatusRequest":null}', "StatusRequest: Expected object, got null", 1, id="null"),
    pytest.param(b'{"StatusResponse":{"TrmStatus":"busy"}}', "StatusResponse.TrmStatus: Expected int, got str", 19, id="type"),
    pytest.param(b'{"StatusResponse":{"TrmStatus":1.5}}', "StatusResponse.TrmStatus: Expected int, got float", 19, id="float"),
    pytest.param(b'{"StatusResponse":{"TrmStatus":null}}', "StatusResponse.TrmStatus: Expected int, got null", 19, id="null code"),
    pytest.param(b'{"StatusResponse":{}}', "StatusResponse: Object missing required field TrmStatus", 1, id="missing"),
    pytest.param(b'{"StatusResponse":{"TrmStatus":0,"SetAcqInfo":[{"AcqID":{}}]}}', "StatusResponse.SetAcqInfo[0].AcqID: Expected int | null, got object", 48, id="inside"),
    pytest.param(b'{"StatusResponse":{"TrmStatus":NaN}}', "JSON is malformed: invalid character", 31, id="NaN"),
    pytest.param(b'{"StatusResponse":{"TrmStatus":0,"new":Infinity}}', "JSON is malformed: invalid character", 39, id="Infinity"),
    pytest.param(b'{"StatusRequest":{"new":"\xff"}}', "not UTF-8", 25, id="UTF-8"),
    pytest.param(b'noise{"StatusRequest":{"new":"\xc3"}}', "not UTF-8", 30, id="UTF-8 after noise"),
    pytest.param(b'{"TransactionResponse":{"TrxResult":0,"AmtAuth":1,"AmtAuth":2}}', "AmtAuth comes twice", 50, id="duplicate"),
    pytest.param(b'{"StatusRequest":{"x":1,"x":1}}', "a key comes twice", 24, id="unknown duplicate"),
    pytest.param(b'{"StatusRequest":{},"StatusRequest":{}}', "StatusRequest comes twice", 20, id="same message twice"),
    pytest.param(b'{"TransactionResponse":{"TrxResult":0,"AmtAuth":-1}}', "TransactionResponse.AmtAuth: Expected int >= 0", 38, id="negative"),
    pytest.param(b'{"TransactionResponse":{"TrxResult":0,"AmtAuth":1000000000000}}', "TransactionResponse.AmtAuth: Expected int <= 999999999999", 38, id="13 digits"),
    pytest.param(b'{"TransactionResponse":{"TrxResult":0,"AmtAuth":"1750"}}', "TransactionResponse.AmtAuth: Expected int | null, got str", 38, id="amount as text"),
    pytest.param(b'{"TransactionResponse":{"TrxResult":0,"AmtAuth":1750.0}}', "TransactionResponse.AmtAuth: Expected int | null, got float", 38, id="amount as float"),
    pytest.param(b'{"TransactionResponse":{"TrxResult":0,"AcqID":99999999999999999999}}', "TransactionResponse.AcqID: Expected int <= 9223372036854775807", 38, id="huge"),
]  # fmt: skip


class TestHostileLines:
    @pytest.mark.parametrize(("line", "reason", "position"), HOSTILE)
    def test_each_is_refused_with_reason_and_position(self, line: bytes, reason: str, position: int) -> None:
        with pytest.raises(RemoteProtocolError) as caught:
            decode_line(line)
        assert (caught.value.reason, caught.value.position) == (reason, position)

    @pytest.mark.parametrize("opening", ["[", '{"a":'])
    @pytest.mark.parametrize("depth", [NESTING_MAX, 1000, 100_000])
    def test_nesting_bombs_are_refused(self, opening: str, depth: int) -> None:
        with pytest.raises(RemoteProtocolError, match="nested deeper than 32 levels"):
            decoded('{"StatusRequest":{"x":' + opening * depth)

    def test_deep_but_lawful_nesting_of_newer_fields_is_read(self) -> None:
        text = '{"StatusRequest":{"x":' + "[" * (NESTING_MAX - 2) + "]" * (NESTING_MAX - 2) + "}}"
        assert decoded(text).message == StatusRequest()

    def test_brackets_in_text_are_no_nesting(self) -> None:
        text = "[" * 100 + '\\"{'
        assert decoded('{"ReceiptResponse":{"ReceiptType":1,"x":0,"ReceiptText":"' + text + '"}}').message is not None

    def test_a_number_of_a_megabyte_is_refused(self) -> None:
        with pytest.raises(RemoteProtocolError):
            decode_line(b'{"StatusResponse":{"TrmStatus":' + b"9" * (1 << 20) + b"}}")

    def test_a_megabyte_of_text_is_read(self) -> None:
        line = b'{"ReceiptResponse":{"ReceiptType":1,"ReceiptText":"' + b"x" * (1 << 20) + b'"}}'
        assert decode_line(line).message == ReceiptResponse(receipt_type=1, receipt_text="x" * (1 << 20))

    def test_the_error_holds_no_card_data(self) -> None:
        with pytest.raises(RemoteProtocolError) as caught:
            decoded('{"TransactionResponse":{"TrxResult":"x","AppPAN":"QRERERERERE=","Note":"4111111111111111"}}')
        assert (
            caught.value.data
            == b'{"TransactionResponse":{"TrxResult":"x","AppPAN":"************","Note":"411111******1111"}}'
        )

    @given(st.binary(max_size=200))
    def test_any_bytes_give_a_line_or_the_one_error(self, data: bytes) -> None:
        read_or_refused(data)

    @given(messages, st.data())
    def test_damaged_lines_give_a_line_or_the_one_error(self, message: Message, data: st.DataObject) -> None:
        line = bytearray(encode_line(message))
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(line) - 1))
            match data.draw(st.sampled_from(["change", "cut", "repeat"])):
                case "change":
                    line[at] = data.draw(st.sampled_from(list(b'{}[]",:\\0-9eE.tfnu\xff\xc3')))
                case "cut":
                    del line[at + 1 :]
                case _:
                    line[at:at] = line[at : at + 12]
        read_or_refused(bytes(line))

    @given(
        st.sampled_from(sorted(MESSAGES)),
        st.recursive(
            st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["AmtAuth", "TrxResult", "TrmStatus", "SetAcqInfo", "AcqID", "x"]),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=8,
        ),
    )
    def test_any_json_under_a_known_name_gives_a_line_or_the_one_error(self, name: str, body: object) -> None:
        read_or_refused(json.dumps({name: body}).encode())


def read_or_refused(data: bytes) -> None:
    position: int | None = 0
    try:
        line = decode_line(data)
    except RemoteProtocolError as exc:
        position = exc.position
    else:
        unknown_fields(line)
        assert line.message is None or decode_line(encode_line(line.message)).message == line.message
    assert position in range(len(data) + 1)


class TestP01CompanionsBesideTheMessage:
    def test_the_librarys_connect_request_is_read(self) -> None:
        line = decoded(
            '{"ConnectRequest":{"PrinterWidth":34,"UnsolicitedReceipts":1},"POSInterface":"KIT","POSInterfaceTransport":"Cloud","msg_id":"1795416203929-1"}'
        )
        assert line.message == ConnectRequest(printer_width=34, unsolicited_receipts=1)
        assert line.companions == {"POSInterface": "KIT", "POSInterfaceTransport": "Cloud", "msg_id": "1795416203929-1"}

    def test_they_may_stand_in_front(self) -> None:
        assert decoded('{"msg_id":"7","StatusRequest":{}}').name == "StatusRequest"


class TestP02PairingAndHello:
    def test_both_are_messages(self) -> None:
        assert message_in('{"Pairing":{"Code":"087","Channel":"c","PeerName":"Awesome POS 1234"}}') == Pairing(
            code="087", channel="c", peer_name="Awesome POS 1234"
        )
        assert name_of(message_in('{"EFTHello":{"IFDSerialNum":"ZPD00001","TrmID":"12345678"}}')) == "EFTHello"

    def test_a_callers_own_pairing_fields_are_kept(self) -> None:
        line = encode_line(Pairing(code="087", channel="c"), extras={"AppUrl": "https://example.org"})
        assert unknown_fields(decode_line(line)) == {"AppUrl": "https://example.org"}


class TestP08NumbersAsText:
    def test_digit_strings_of_results_are_numbers(self) -> None:
        message = message_in(
            '{"TransactionResponse":{"TrxResult":1,"TrxResultExtended":"1002200","AuthReslt":"100","TrmID":"TERM1234"}}'
        )
        assert message == TransactionResponse(
            trx_result=1, trx_result_extended=1002200, auth_reslt=100, trm_id="TERM1234"
        )

    def test_texts_of_digits_stay_text(self) -> None:
        message = message_in('{"TransactionResponse":{"TrxResult":1,"AuthReslt":"0","TrxRefNum":"0012"}}')
        assert message == TransactionResponse(trx_result=1, auth_reslt=0, trx_ref_num="0012")


class TestP09ShortTerminalIds:
    def test_they_are_not_validated(self) -> None:
        assert message_in('{"EFTHello":{"TrmID":"TERM2"}}').wire_items().__next__() == ("TrmID", "TERM2")


class TestP10EchoOfTheFunction:
    def test_it_is_a_field_of_the_response(self) -> None:
        assert message_in('{"TransactionResponse":{"TrxResult":0,"TrxFunction":32768}}') == TransactionResponse(
            trx_result=0, trx_function=32768
        )


class TestP11NullIsAbsent:
    def test_the_librarys_receipt_request_is_read(self) -> None:
        assert message_in('{"ReceiptRequest":{"ReceiptType":1,"ReceiptIDNumeric":null}}') == ReceiptRequest(
            receipt_type=1
        )


class TestP12NamesThatAreNoWireNames:
    def test_receipt_id_is_unknown(self) -> None:
        line = decoded('{"ReceiptRequest":{"ReceiptType":1,"ReceiptID":5}}')
        assert (line.message, unknown_fields(line)) == (ReceiptRequest(receipt_type=1), {"ReceiptID": 5})


class TestP13CardDataOfARequest:
    def test_it_is_refused_unless_allowed(self) -> None:
        with pytest.raises(LocalProtocolError, match="AppPAN is card data") as caught:
            encode_line(TransactionRequest(trx_function=64), extras={"AppPAN": "4111111111111111"})
        assert "4111" not in str(caught.value)

    def test_it_is_sent_when_allowed(self) -> None:
        line = encode_line(TransactionRequest(trx_function=64), extras={"CVC2": "123"}, allow_card_data=True)
        assert line == b'{"TransactionRequest":{"TrxFunction":64,"CVC2":"123"}}\n'


class TestP15ConfirmationWithTheWrongAmountField:
    def test_amt_auth_is_ignored_there(self) -> None:
        assert message_in(
            '{"TransactionConfirmationRequest":{"Confirm":1,"AmtAuth":100}}'
        ) == TransactionConfirmationRequest(confirm=1)


class TestP16AllAcquirers:
    def test_absent_and_minus_one_are_both_read(self) -> None:
        assert message_in('{"InitializationRequest":{}}') == InitializationRequest()
        assert message_in('{"InitializationRequest":{"AcqID":-1}}') == InitializationRequest(acq_id=-1)


class TestP18EmptyObjects:
    @pytest.mark.parametrize("name", sorted(name for name, cls in MESSAGES.items() if not cls.__struct_fields__))
    def test_an_empty_object_is_a_message(self, name: str) -> None:
        assert decoded(f'{{"{name}":{{}}}}').message == msgspec.convert({}, MESSAGES[name])


class TestP19CancelUI:
    def test_it_is_one_message(self) -> None:
        assert encode_line(CancelUIRequest()) == b'{"CancelUIRequest":{}}\n'


class TestP28LettersCutInTwo:
    def test_a_whole_line_is_decoded_at_once(self) -> None:
        assert message_in(
            '{"DialogRequest":{"DialogResource":1010,"DialogResourceArgs":["Grüezi 🙂",7]}}'
        ) == DialogRequest(dialog_resource=1010, dialog_resource_args=("Grüezi 🙂", 7))


class TestP36EncryptedNumber:
    def test_an_odd_length_is_text(self) -> None:
        message = message_in('{"TransactionResponse":{"TrxResult":0,"AppPANEnc":"ABC12"}}')
        assert message == TransactionResponse(trx_result=0, app_pan_enc="ABC12")


class TestP38TwoNamesForTips:
    def test_report_and_response_differ(self) -> None:
        report = message_in('{"ReportResponse":{"ReportType":1,"FinancialReport":[{"TipAmount":5}]}}')
        assert isinstance(report, ReportResponse)
        assert report.financial_report is not None
        assert report.financial_report[0].tip_amount == 5
        assert message_in('{"TransactionResponse":{"TrxResult":0,"TipAmt":5}}') == TransactionResponse(
            trx_result=0, tip_amt=5
        )


def test_an_order_reference_is_an_object() -> None:
    assert encode_line(TransactionRequest(trx_function=1, rec_order_ref=RecOrderRef(order_id="a"))) == (
        b'{"TransactionRequest":{"TrxFunction":1,"RecOrderRef":{"OrderID":"a"}}}\n'
    )
