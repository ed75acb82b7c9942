"""Hypothesis strategies for KIT messages: valid by construction, by field name, schema-conforming."""

from __future__ import annotations

import base64
import string
import types
import typing

import msgspec
from hypothesis import strategies as st

from zahlwerk.interfaces.kit.dictionary import CODE_ROWS, CODES_OF_FIELD, FIELDS, MESSAGE_BY_NAME, FieldKind, TaskName
from zahlwerk.interfaces.kit.messages import MESSAGES, Message
from zahlwerk.interfaces.kit.objects import KitStruct
from zahlwerk.money import AMOUNT_MINOR_MAX

__all__ = ["SCHEMA_REQUIRED_INSIDE", "cuts", "fields_of", "message_of", "messages", "struct_of"]

ALNUM = string.ascii_letters + string.digits
SCHEMA_REQUIRED_INSIDE = {
    "NextScheduledTask": {"TaskName", "NextRun"},
    "FinancialReportEntry": {"Brand", "AID", "FinancialCounterType", "TrxCurrC", "TrxCount", "TotalAmount"},
    "TrxListReportEntry": {"TrxSeqCnt", "TrxDate", "TrxTime"},
}
COUNTERS = {"PeSeqCnt", "ActSeqCnt", "TrxSeqCnt", "TrxSeqCntOri"}
SWITCHES = {
    "UnsolicitedReceipts",
    "SuppressScheduledTasks",
    "UseExternalDisplay",
    "ESigInd",
    "PartialApprovalCap",
    "Boolean",
    "Confirm",
}
TERMINAL_TYPES = (11, 12, 13, 14, 15, 16, 21, 22, 23, 24, 25, 26, 34, 35, 36)

texts = st.text(max_size=40)
base64_texts = st.binary(max_size=32).map(lambda data: base64.b64encode(data).decode())
PATTERNS: dict[str, st.SearchStrategy[object]] = {
    "TrmID": st.text(ALNUM, min_size=8, max_size=8),
    "IFDSerialNum": st.text(ALNUM, min_size=8, max_size=8),
    "MctID": st.text(ALNUM, min_size=15, max_size=15),
    "MctNameLoc": st.text(min_size=1, max_size=75),
    "TaskName": st.sampled_from([str(task) for task in TaskName]),
    "TrmType": st.sampled_from(TERMINAL_TYPES),
    "ErrorCode": st.integers(-(2**31), 2**31),
}


def fields_of(cls: type[KitStruct]) -> dict[str, tuple[str, object]]:
    """Attribute to wire name and type."""
    hints = typing.get_type_hints(cls)
    return {a: (w, hints[a]) for a, w in zip(cls.__struct_fields__, cls.__struct_encode_fields__, strict=True)}


def is_union(hint: object) -> bool:
    return typing.get_origin(hint) in {typing.Union, types.UnionType}


def values_of(name: str, hint: object) -> st.SearchStrategy[object]:
    """Values of one field, never None."""
    arguments = [a for a in typing.get_args(hint) if a is not types.NoneType]
    if is_union(hint) and len(arguments) == 1:
        return values_of(name, arguments[0])
    if typing.get_origin(hint) is tuple:
        return st.lists(element_of(name, arguments[0]), max_size=3).map(tuple)
    if isinstance(hint, type) and issubclass(hint, KitStruct):
        return struct_of(hint)
    return scalar_of(name)


def element_of(name: str, hint: object) -> st.SearchStrategy[object]:
    if isinstance(hint, type) and issubclass(hint, KitStruct):
        return struct_of(hint)
    if is_union(hint):
        return texts | st.integers(-(2**63), 2**63 - 1)
    return scalar_of({"Currencies": "TrxCurrC", "Brands": "Brand", "SetActiveSurrogatePAN": "SurrogatePAN"}[name])


def scalar_of(name: str) -> st.SearchStrategy[object]:
    if name in PATTERNS:
        return PATTERNS[name]
    if name in SWITCHES:
        return st.integers(0, 1)
    if name in COUNTERS:
        return st.integers(0, 99_999_999)
    row = FIELDS[name]
    match row.kind:
        case FieldKind.AMOUNT:
            return st.sampled_from([0, 1, AMOUNT_MINOR_MAX]) | st.integers(0, AMOUNT_MINOR_MAX)
        case FieldKind.CURRENCY:
            return st.integers(0, 999)
        case FieldKind.ENUM:
            return st.sampled_from([code.code for code in CODE_ROWS[CODES_OF_FIELD[name]] if code.in_schema])
        case FieldKind.FLAGS:
            return st.sampled_from([0, 0x40000000]) | st.integers(0, 2**31 - 1)
        case FieldKind.INTEGER:
            return st.integers(0, 999) if row.unit == "ISO 3166" else st.integers(0, 2**31 - 1)
        case FieldKind.BASE64:
            return base64_texts
    digits = {"YYMMDD": 6, "HHMMSS": 6, "YYYYMMDD": 8}.get(row.unit)
    if digits:
        return st.text(string.digits, min_size=digits, max_size=digits)
    return st.text(string.ascii_lowercase, min_size=2, max_size=2) if row.unit == "ISO 639-1" else texts


def struct_of(cls: type[KitStruct]) -> st.SearchStrategy[KitStruct]:
    """Instances with every field the schema asks for, and any of the others."""
    row = MESSAGE_BY_NAME.get(cls.__name__)
    needed = set(row.required) if row else SCHEMA_REQUIRED_INSIDE.get(cls.__name__, set())
    needed |= {field.encode_name for field in msgspec.structs.fields(cls) if field.required}
    required: dict[str, st.SearchStrategy[object]] = {}
    optional: dict[str, st.SearchStrategy[object]] = {}
    for attribute, (name, hint) in fields_of(cls).items():
        (required if name in needed else optional)[attribute] = values_of(name, hint)
    return st.fixed_dictionaries(required, optional=optional).map(lambda values: cls(**values))


def message_of(cls: type[Message]) -> st.SearchStrategy[Message]:
    """Instances of one message."""
    return typing.cast("st.SearchStrategy[Message]", struct_of(cls))


messages: st.SearchStrategy[Message] = st.sampled_from(sorted(MESSAGES)).flatmap(
    lambda name: message_of(MESSAGES[name])
)


def cuts(data: bytes, positions: list[int]) -> list[bytes]:
    """The data cut at these positions (taken modulo its length)."""
    places = sorted({position % (len(data) + 1) for position in positions})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]
