"""The tables of KIT: complete, unique, each row with a source."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import IntFlag

import pytest

from zahlwerk.codec.source import Source, Standing
from zahlwerk.interfaces.kit import dictionary
from zahlwerk.interfaces.kit.dictionary import (
    CODE_ROWS,
    CODES_OF_FIELD,
    FIELD_ROWS,
    FIELDS,
    FUNCTION_ROWS,
    FUNCTIONS,
    MESSAGE_BY_NAME,
    MESSAGE_ROWS,
    MODEL_PREFIXES,
    SENSITIVE_FIELDS,
    DeviceCommandCode,
    Direction,
    FieldKind,
    Need,
    OurErrorCode,
    OurResult,
    Phrase,
    ReceiptFlags,
    ReceiptType,
    TrmStatus,
    TrxFunction,
    TrxReqFlags,
    TrxResult,
    describe_flags,
    model_of,
    phrase_of,
)
from zahlwerk.interfaces.kit.messages import MESSAGES
from zahlwerk.interfaces.kit.objects import (
    AcqInfo,
    FinancialReportEntry,
    KitStruct,
    NextScheduledTask,
    RecOrderRef,
    TrxDataChangeReason,
    TrxListReportEntry,
)

STRUCTS: list[type[KitStruct]] = [
    *MESSAGES.values(), AcqInfo, FinancialReportEntry, NextScheduledTask, RecOrderRef, TrxDataChangeReason, TrxListReportEntry,
]  # fmt: skip


def snake(name: str) -> str:
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()


def sources() -> Sequence[Source]:
    tables = [row.source for row in MESSAGE_ROWS] + [row.source for row in FIELD_ROWS]
    tables += [row.source for row in FUNCTION_ROWS] + [row.source for row in MODEL_PREFIXES.values()]
    return tables + [row.source for rows in CODE_ROWS.values() for row in rows]


def test_every_row_cites_a_source() -> None:
    assert all(source.document and source.place for source in sources())


def test_our_own_choices_and_inferences_say_so() -> None:
    assert {source.standing for source in sources()} == {Standing.SPEC, Standing.INFERRED, Standing.CHOICE}


def test_message_names_and_numbers_are_unique() -> None:
    numbers = [row.number for row in MESSAGE_ROWS if row.number is not None]
    assert len(numbers) == len(set(numbers))
    assert len(MESSAGE_BY_NAME) == len(MESSAGE_ROWS)


def test_message_rows_and_structs_name_the_same_messages() -> None:
    assert set(MESSAGE_BY_NAME) == set(MESSAGES)


def test_numbers_are_decimal_counters_in_bcd_with_responses_on_the_next_even_number() -> None:
    decimal = {row.name: int(row.code) for row in MESSAGE_ROWS if row.code}
    assert decimal["TransactionRequest"] == 9
    assert MESSAGE_BY_NAME["TransactionResponse"].number == 0x10
    answered = [row for row in MESSAGE_ROWS if row.response]
    assert all(decimal[row.response or ""] == decimal[row.name] + 1 for row in answered)


def test_a_response_goes_the_other_way() -> None:
    other = {Direction.R_TO_T: Direction.T_TO_R, Direction.T_TO_R: Direction.R_TO_T, Direction.BOTH: Direction.BOTH}
    answered = [row for row in MESSAGE_ROWS if row.response]
    assert all(MESSAGE_BY_NAME[row.response or ""].direction is other[row.direction] for row in answered)


@pytest.mark.parametrize("cls", STRUCTS, ids=lambda cls: cls.__name__)
def test_every_field_of_every_struct_has_a_row_and_its_mechanical_snake_case(cls: type[KitStruct]) -> None:
    wire = cls.__struct_encode_fields__
    assert set(wire) <= set(FIELDS)
    assert [snake(name) for name in wire] == list(cls.__struct_fields__)


@pytest.mark.parametrize(
    ("name", "attribute"),
    [("AmtAuth", "amt_auth"), ("TrmID", "trm_id"), ("IFDSerialNum", "ifd_serial_num"), ("AIDICC", "aidicc"), ("POSID", "posid"),
     ("ESigInd", "e_sig_ind"), ("TrxCurrC", "trx_curr_c"), ("AppPANPrtAttendant", "app_pan_prt_attendant"),
     ("TextOnUnknownNFC", "text_on_unknown_nfc"), ("SetActiveSurrogatePAN", "set_active_surrogate_pan"),
     ("UTF8String", "utf8_string"), ("UIButtons", "ui_buttons"), ("POSEntryMode", "pos_entry_mode"),
     ("DCCForeignCurrC", "dcc_foreign_curr_c"), ("CVMResults", "cvm_results")],
)  # fmt: skip
def test_attributes_are_the_snake_case_of_the_wire_name(name: str, attribute: str) -> None:
    assert any((attribute, name) in zip(c.__struct_fields__, c.__struct_encode_fields__, strict=True) for c in STRUCTS)


def test_required_fields_are_fields_of_their_message() -> None:
    assert all(set(row.required) <= set(MESSAGES[row.name].__struct_encode_fields__) for row in MESSAGE_ROWS)


def test_field_names_are_unique_and_amounts_are_minor_units() -> None:
    assert len(FIELDS) == len(FIELD_ROWS)
    assert all((row.unit == "minor units") is (row.kind is FieldKind.AMOUNT) for row in FIELD_ROWS)


def test_flags_and_enums_have_an_enumeration() -> None:
    coded = {row.name for row in FIELD_ROWS if row.kind in {FieldKind.ENUM, FieldKind.FLAGS}}
    assert coded == set(CODES_OF_FIELD)


def test_card_data_and_bearer_secrets_are_sensitive() -> None:
    assert {
        "AppPAN", "AppExpDate", "CVC2", "Track2Data", "Track3Data", "ReferencePassword", "AppPANEnc", "ESignature", "UTF8String",
        "Channel", "Code",
    } == SENSITIVE_FIELDS  # fmt: skip


@pytest.mark.parametrize("kind", CODE_ROWS, ids=lambda kind: kind.__name__)
def test_every_member_has_one_row_with_words(kind: type) -> None:
    rows = CODE_ROWS[kind]
    assert [row.name for row in rows] == [member.name for member in kind]  # type: ignore[attr-defined]  # an enumeration
    assert all(row.phrase.en for row in rows)


@pytest.mark.parametrize("kind", [TrxResult, TrmStatus, OurErrorCode, OurResult, ReceiptType, TrxFunction])
def test_what_people_see_is_said_in_four_languages(kind: type) -> None:
    assert all(phrase.de and phrase.fr and phrase.it for phrase in (row.phrase for row in CODE_ROWS[kind]))


def test_flags_are_single_bits() -> None:
    bits = [row.code for kind, rows in CODE_ROWS.items() if issubclass(kind, IntFlag) for row in rows]
    assert all(bit.bit_count() == 1 for bit in bits)


def test_a_phrase_falls_back_to_english() -> None:
    assert (Phrase("busy").of("de_CH"), Phrase("busy", "beschäftigt").of("de_CH")) == ("busy", "beschäftigt")


def test_the_example_sum_of_functions_reads_as_the_fact_sheet_says() -> None:
    assert TrxFunction(182433) == (
        TrxFunction.BALANCE_INQUIRY | TrxFunction.PURCHASE | TrxFunction.PURCHASE_RESERVATION | TrxFunction.CREDIT
        | TrxFunction.AUTHORIZATION_PURCHASE | TrxFunction.REVERSAL | TrxFunction.PURCHASE_WITH_CASHBACK
    )  # fmt: skip


def test_functions_say_what_they_need() -> None:
    cashback = FUNCTIONS[TrxFunction.PURCHASE_WITH_CASHBACK]
    assert (cashback.amount, cashback.currency, cashback.other) == (Need.REQUIRED,) * 3
    assert FUNCTIONS[TrxFunction.CANCEL_RESERVATION].reference is Need.REQUIRED
    assert FUNCTIONS[TrxFunction.CANCEL_RESERVATION].amount is Need.NONE
    assert FUNCTIONS[TrxFunction.CREDIT].reference is Need.OPTIONAL
    assert FUNCTIONS[TrxFunction.PURCHASE_PHONE_AUTH].auth_code is Need.REQUIRED
    assert not FUNCTIONS[TrxFunction.REVERSAL].amount


def test_an_unlisted_code_has_no_phrase() -> None:
    assert phrase_of(TrxResult, 77) is None


def test_the_public_names_exist() -> None:
    assert set(dictionary.__all__) <= set(dir(dictionary))


class TestP02PairingAndHelloHaveNoNumber:
    def test_they_are_modelled_without_one(self) -> None:
        assert [row.name for row in MESSAGE_ROWS if row.number is None] == ["Pairing", "EFTHello"]


class TestP03ReceiptTypesAreTheUnion:
    def test_types_of_library_and_schema_are_both_known(self) -> None:
        assert {12, 14, 22, 23, 25, 111, 112} <= {int(kind) for kind in ReceiptType}


class TestP04ReceiptFlagsOfTheLibrary:
    def test_first_part_and_double_width_are_known(self) -> None:
        assert (ReceiptFlags.FIRST_PART, ReceiptFlags.DOUBLE_WIDTH) == (2, 8)


class TestP05LibraryOnlyFunctions:
    def test_six_are_listed_and_not_to_be_requested(self) -> None:
        library = [row for row in FUNCTION_ROWS if not row.in_schema]
        assert len(library) == 6
        assert not any(row.requestable for row in library)

    def test_tip_is_a_capability_only(self) -> None:
        assert not FUNCTIONS[TrxFunction.TIP].requestable


class TestP06ValuesOfSingleSources:
    def test_all_of_them_are_supported(self) -> None:
        assert int(TrxReqFlags.ABORT_SILENTLY_ON_UNKNOWN_NFC) == 8
        assert {2602, 521, 2501} <= {int(code) for code in DeviceCommandCode}


class TestP07UnknownStatusBits:
    def test_they_are_kept_and_shown_raw(self) -> None:
        assert int(TrmStatus(0x20000001)) == 0x20000001
        assert describe_flags(TrmStatus, 0x60000001) == ("shift open", "modem in use", "0x20000000")


class TestP19CancelUIHasNoResponse:
    def test_nothing_is_to_be_waited_for(self) -> None:
        assert MESSAGE_BY_NAME["CancelUIRequest"].response is None


class TestP37SerialPrefixesWithTwoModels:
    def test_both_models_are_shown(self) -> None:
        assert {prefix for prefix, row in MODEL_PREFIXES.items() if len(row.models) > 1} == {"DRP", "ADT", "D62"}
        assert model_of("DRP00001") == "Reader Vending Push or Reader Push Short"

    def test_a_single_model_and_an_unknown_one(self) -> None:
        assert model_of("N6P00017") == "Nexgo N6"
        assert model_of("???") == ""
        assert MODEL_PREFIXES["ZTD"].development is False
        assert MODEL_PREFIXES["DTD"].development is True
