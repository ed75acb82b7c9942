"""PayTec's published schema as an outside judge. It is not part of this repository: ZAHLWERK_KIT_SCHEMA names it."""

from __future__ import annotations

import functools
import json
import os
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.interfaces.kit.kit_strategies import SCHEMA_REQUIRED_INSIDE, message_of

from zahlwerk.interfaces.kit.codec import encode_line, missing_fields
from zahlwerk.interfaces.kit.dictionary import (
    CODE_ROWS,
    FIELDS,
    MESSAGE_ROWS,
    TaskName,
)
from zahlwerk.interfaces.kit.messages import MESSAGES, StatusResponse, TransactionResponse


def schema_path() -> Path | None:
    named = os.environ.get("ZAHLWERK_KIT_SCHEMA")
    repository = Path(__file__).resolve().parents[3]
    beside = repository.parent / "shared" / "specs" / "kit" / "ecritf-schema.json"
    path = Path(named) if named else beside
    return path if path.is_file() else None


pytestmark = pytest.mark.skipif(
    schema_path() is None,
    reason="PayTec's ecritf-schema.json is not here: set ZAHLWERK_KIT_SCHEMA to check messages against it",
)
IN_SCHEMA = sorted(row.name for row in MESSAGE_ROWS if row.in_schema)


@functools.cache
def schema() -> dict[str, Any]:
    path = schema_path()
    assert path is not None
    loaded: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return loaded


@functools.cache
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema())


def enumerated(name: str) -> set[int]:
    found = schema()["$defs"][name]
    return (
        set(found["enum"])
        if "enum" in found
        else {int(text, 16) for text in re.findall(r"0x([0-9A-Fa-f]+)", found["description"])} - {0}
    )


def test_the_tables_and_the_schema_name_the_same_messages() -> None:
    assert set(IN_SCHEMA) == set(schema()["properties"])


@pytest.mark.parametrize("name", IN_SCHEMA)
def test_the_struct_has_every_field_of_the_schema(name: str) -> None:
    fields = schema()["$defs"][name].get("properties", {})
    more = set(MESSAGES[name].__struct_encode_fields__) - set(fields)
    assert set(fields) <= set(MESSAGES[name].__struct_encode_fields__)
    assert more <= {"TrxFunction", "CardholderText"}


@pytest.mark.parametrize("name", IN_SCHEMA)
def test_the_required_fields_are_those_of_the_schema(name: str) -> None:
    row = next(row for row in MESSAGE_ROWS if row.name == name)
    assert list(row.required) == schema()["$defs"][name].get("required", [])


def test_the_objects_inside_require_what_the_strategies_say() -> None:
    assert {name: set(schema()["$defs"][name]["required"]) for name in SCHEMA_REQUIRED_INSIDE} == SCHEMA_REQUIRED_INSIDE


@pytest.mark.parametrize(
    "kind", [kind for kind in CODE_ROWS if not kind.__name__.startswith("Our")], ids=lambda kind: kind.__name__
)
def test_coded_values_agree_with_the_schema(kind: type) -> None:
    names = {"PosEntryMode": "POSEntryMode", "RfidStatus": "RFIDStatus"}
    listed = {row.code for row in CODE_ROWS[kind] if row.in_schema}
    if kind.__name__ == "PosEntryMode":
        text = schema()["$defs"]["POSEntryMode"]["description"]
        assert listed == {int(code) for code in re.findall(r"(\d+)=", text)} | {91, 92, 93}
    elif kind.__name__ == "ReportFlags":
        assert listed == {1}
    else:
        assert listed == enumerated(names.get(kind.__name__, kind.__name__))


def test_task_names_agree_with_the_schema() -> None:
    assert {str(task) for task in TaskName} == set(
        schema()["$defs"]["NextScheduledTask"]["properties"]["TaskName"]["enum"]
    )


def test_fields_marked_as_the_schemas_occur_there() -> None:
    text = json.dumps(schema())
    assert all((f'"{row.name}"' in text) is row.in_schema for row in FIELDS.values())


@pytest.mark.parametrize("name", IN_SCHEMA)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors])
@given(data=st.data())
def test_every_message_we_encode_is_valid(name: str, data: st.DataObject) -> None:
    message = data.draw(message_of(MESSAGES[name]))
    assert not missing_fields(message)
    errors = [error.message for error in validator().iter_errors(json.loads(encode_line(message)))]
    assert errors == []


def test_zeros_of_required_fields_are_written() -> None:
    """omit_defaults must never drop what the schema requires."""
    status = StatusResponse(trm_status=0, trm_lng="de", e_sig_ind=0, set_acq_info=())
    response = TransactionResponse(trx_result=0, trx_result_extended=0, trm_id="12345678")
    assert validator().is_valid(json.loads(encode_line(status)))
    assert validator().is_valid(json.loads(encode_line(response)))


def test_what_is_missing_by_the_schema_is_named() -> None:
    assert missing_fields(StatusResponse(trm_status=0)) == ("TrmLng", "ESigInd")
    assert missing_fields(TransactionResponse(trx_result=0)) == ("TrmID", "TrxResultExtended")
