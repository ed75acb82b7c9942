"""Nothing of a KIT line that must not be written down reaches a trace."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.interfaces.kit.kit_strategies import messages

from zahlwerk.interfaces.kit.codec import decoded_for_trace, encode_line, mask_line
from zahlwerk.interfaces.kit.dictionary import SENSITIVE_FIELDS
from zahlwerk.interfaces.kit.messages import Message

PAN = "4111111111111111"
STARRED = sorted(SENSITIVE_FIELDS - {"ESignature", "Channel"})


@pytest.mark.parametrize("name", STARRED)
def test_a_sensitive_value_becomes_stars_of_the_same_length(name: str) -> None:
    line = json.dumps({"X": {name: 'se"cret', "AmtAuth": 1}}).encode()
    assert mask_line(line) == line.replace(b'se\\"cret', b"********")


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        pytest.param(b'{"X":{"AppPAN":12345678}}', b'{"X":{"AppPAN":********}}', id="number"),
        pytest.param(b'{"X":{"AppPAN":null}}', b'{"X":{"AppPAN":null}}', id="null"),
        pytest.param(b'{"X":{"AppPAN" : "abc"}}', b'{"X":{"AppPAN" : "***"}}', id="blanks"),
        pytest.param(b'{"X":{"AppPAN":["a","b"],"y":1}}', b'{"X":{"AppPAN":*********,"y":1}}', id="list"),
        pytest.param(b'{"X":{"AppPAN":"abc', b'{"X":{"AppPAN":"***', id="cut in the value"),
        pytest.param(b"{X:{AppPAN:abc}}", b"{X:{AppPAN:***}}", id="no quotes"),
        pytest.param(b'{"X":{"apppan":"abc"}}', b'{"X":{"apppan":"***"}}', id="other letters"),
        pytest.param(b'{"X":{"App\\u0050AN":"abc"}}', b'{"X":{"AppPAN":"***"}}', id="escaped name"),
        pytest.param(b'{"X":{"AppPAN":"\xff\xfe"}}', b'{"X":{"AppPAN":"**"}}', id="no UTF-8"),
        pytest.param(b'{"X":{"AppPANPrtAttendant":"XXXX1111"}}', b'{"X":{"AppPANPrtAttendant":"XXXX1111"}}', id="masked number"),
        pytest.param(b'{"X":{"ErrorCode":5}}', b'{"X":{"ErrorCode":5}}', id="another code"),
        pytest.param(b'{"X":{"ESignature":"iVBORw0KGgo="}}', b'{"X":{"ESignature":"<12 characters>"}}', id="signature"),
        pytest.param(b'{"Pairing":{"Code":"087","Channel":"3f2b8c1e-7a54-4d0b-9c61-0e5a7d9b2f10"}}',
                     b'{"Pairing":{"Code":"***","Channel":"3f2b8c1e****************************"}}', id="pairing"),
        pytest.param(b'{"Pairing":{"Channel":"short"}}', b'{"Pairing":{"Channel":"*****"}}', id="short channel"),
    ],
)  # fmt: skip
def test_values_of_any_form_are_masked(line: bytes, seen: bytes) -> None:
    assert mask_line(line) == seen


@pytest.mark.parametrize("line", [
    b'{"ReceiptResponse":{"ReceiptText":"Karte 4111 1111 1111 1111\\n"}}', b"4111111111111111", b'{"X":{"new":4111111111111111}}',
    b'{"X":{"new":"\\u0034\\u0031\\u0031\\u0031111111111111"}}',
])  # fmt: skip
def test_card_numbers_anywhere_are_masked(line: bytes) -> None:
    assert b"11111111" not in mask_line(line).replace(b" ", b"").replace(b"\\u003", b"")


@given(st.binary(max_size=300))
def test_any_bytes_can_be_masked(data: bytes) -> None:
    mask_line(data)
    decoded_for_trace(data)


@given(messages, st.integers(0, 400))
def test_no_secret_of_any_message_survives_even_in_cut_lines(message: Message, cut: int) -> None:
    line = encode_line(message)
    shown = mask_line(line[:cut]) + json.dumps(decoded_for_trace(line), ensure_ascii=False).encode()
    secrets = [v for n, v in message.wire_items() if n in SENSITIVE_FIELDS and isinstance(v, str) and len(v) > 20]
    assert not any(secret.encode() in shown for secret in secrets)


def test_a_value_as_long_as_a_megabyte_is_masked_in_linear_time() -> None:
    line = b'{"X":{"AppPAN":"' + b"\\\\" * (1 << 19)
    assert mask_line(line) == b'{"X":{"AppPAN":"' + b"*" * (1 << 20)


def test_a_decoded_line_is_masked_at_every_depth() -> None:
    track = base64.b64encode(b"4111111111111111=2512").decode()
    line = json.dumps(
        {"New": {"list": [{"Track2Data": track, "AppExpDate": "251231"}], "text": PAN, "number": int(PAN)}}
    ).encode()
    assert decoded_for_trace(line) == {
        "New": {
            "list": [{"Track2Data": "*" * len(track), "AppExpDate": "******"}],
            "text": "411111******1111",
            "number": "411111******1111",
        }
    }


def test_what_is_no_json_is_shown_as_masked_text() -> None:
    assert decoded_for_trace(b'{"AppPAN":"abc') == '{"AppPAN":"***'


class TestP13CardDataInRequests:
    def test_a_line_with_the_documents_card_fields_shows_none_of_them(self) -> None:
        line = b'{"TransactionRequest":{"TrxFunction":64,"AppPAN":"4111111111111111FFFF","AppExpDate":"251231","CVC2":"123"}}'
        assert mask_line(line) == (
            b'{"TransactionRequest":{"TrxFunction":64,"AppPAN":"********************","AppExpDate":"******","CVC2":"***"}}'
        )
