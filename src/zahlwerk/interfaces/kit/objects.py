"""The objects inside KIT messages, and what all structs of the interface have in common.

Source: PayTecAG/ecritf, ecritf-schema.json (v1.1.0). Nothing is required: terminals differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from zahlwerk.interfaces.kit.fields import SENSITIVE_FIELDS
from zahlwerk.money import AMOUNT_MINOR_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "INTEGER_MAX",
    "AcqInfo",
    "Amount",
    "FinancialReportEntry",
    "Integer",
    "KitMessage",
    "KitStruct",
    "NextScheduledTask",
    "RecOrderRef",
    "TrxDataChangeReason",
    "TrxListReportEntry",
]

INTEGER_MAX: Final = 2**63 - 1
"""The largest integer read or written: what every JSON library of a register can hold in a signed 64-bit number."""

Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=INTEGER_MAX)]
Amount = Annotated[int, msgspec.Meta(ge=0, le=AMOUNT_MINOR_MAX)]


class KitStruct(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What messages and the objects inside them have in common."""

    def wire_items(self) -> Iterator[tuple[str, object]]:
        """Wire name and value of each field that is present."""
        for attribute, name in zip(self.__struct_fields__, self.__struct_encode_fields__, strict=True):
            value = getattr(self, attribute)
            if value is not None:
                yield name, value

    def __repr__(self) -> str:
        """Present fields only, those that must not be written down starred: a message may end up in a log."""
        fields = (f"{name}={'***' if name in SENSITIVE_FIELDS else repr(value)}" for name, value in self.wire_items())
        return f"{type(self).__name__}({', '.join(fields)})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [(name, "***" if name in SENSITIVE_FIELDS else value) for name, value in self.wire_items()]


class KitMessage(KitStruct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all messages."""


class AcqInfo(KitStruct, frozen=True, kw_only=True, omit_defaults=True):
    """One configured acquirer. Source: KIT schema 1.1.0, AcqInfo."""

    acq_id: Integer | None = msgspec.field(name="AcqID", default=None)
    last_acq_init_date: str | None = msgspec.field(name="LastAcqInitDate", default=None)


class NextScheduledTask(KitStruct, frozen=True, kw_only=True, omit_defaults=True):
    """What the terminal will do by itself next. Source: KIT schema 1.1.0, NextScheduledTask."""

    task_name: str | None = msgspec.field(name="TaskName", default=None)
    next_run: str | None = msgspec.field(name="NextRun", default=None)
    last_run: str | None = msgspec.field(name="LastRun", default=None)
    acq_id: Integer | None = msgspec.field(name="AcqID", default=None)


class RecOrderRef(KitStruct, frozen=True, kw_only=True, omit_defaults=True):
    """The merchant's order reference. Source: KIT schema 1.1.0, RecOrderRef."""

    order_id: str | None = msgspec.field(name="OrderID", default=None)


class TrxDataChangeReason(KitStruct, frozen=True, kw_only=True, omit_defaults=True):
    """Why the amount may change. Source: KIT schema 1.1.0, TrxDataChangeReason."""

    trx_data_change_reason_code: Integer | None = msgspec.field(name="TrxDataChangeReasonCode", default=None)
    my_one_discount_code: Integer | None = msgspec.field(name="MyOneDiscountCode", default=None)
    bonus_card_brand_number: Integer | None = msgspec.field(name="BonusCardBrandNumber", default=None)


class FinancialReportEntry(KitStruct, frozen=True, kw_only=True, omit_defaults=True):
    """One total of a report. Source: KIT schema 1.1.0, FinancialReportEntry."""

    brand: str | None = msgspec.field(name="Brand", default=None)
    aid: str | None = msgspec.field(name="AID", default=None)
    financial_counter_type: Integer | None = msgspec.field(name="FinancialCounterType", default=None)
    trx_curr_c: Integer | None = msgspec.field(name="TrxCurrC", default=None)
    trx_count: Integer | None = msgspec.field(name="TrxCount", default=None)
    total_amount: Amount | None = msgspec.field(name="TotalAmount", default=None)
    tip_amount: Amount | None = msgspec.field(name="TipAmount", default=None)
    dcc_foreign_curr_c: Integer | None = msgspec.field(name="DCCForeignCurrC", default=None)
    dcc_foreign_amount: Amount | None = msgspec.field(name="DCCForeignAmount", default=None)


class TrxListReportEntry(KitStruct, frozen=True, kw_only=True, omit_defaults=True):
    """One transaction of a report. Source: KIT schema 1.1.0, TrxListReportEntry."""

    trx_seq_cnt: Integer | None = msgspec.field(name="TrxSeqCnt", default=None)
    trx_date: str | None = msgspec.field(name="TrxDate", default=None)
    trx_time: str | None = msgspec.field(name="TrxTime", default=None)
    financial_counter_type: Integer | None = msgspec.field(name="FinancialCounterType", default=None)
    trx_function: Integer | None = msgspec.field(name="TrxFunction", default=None)
    auth_reslt: Integer | None = msgspec.field(name="AuthReslt", default=None)
    trx_curr_c: Integer | None = msgspec.field(name="TrxCurrC", default=None)
    amt_auth: Amount | None = msgspec.field(name="AmtAuth", default=None)
    app_pan_prt_attendant: str | None = msgspec.field(name="AppPANPrtAttendant", default=None)
