"""Where KIT's words and the domain's words meet, for totals and open authorisations. Pure."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from zahlwerk.currency import CURRENCIES, Currency
from zahlwerk.interfaces.kit.codes import FinancialCounterType, ReportType
from zahlwerk.interfaces.kit.conversion import base64_of, hex_of
from zahlwerk.interfaces.kit.messages import FinancialReportEntry, ReportResponse, TrxListReportEntry
from zahlwerk.money import Money
from zahlwerk.terminal import HoldId, OpenEntry, Period, Total, TotalKind, Totals

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["entries_from_report", "report_from_entries", "report_from_totals", "totals_from_reports"]

_COUNTERS: Final[Mapping[int, TotalKind]] = MappingProxyType({
    FinancialCounterType.DEBIT: TotalKind.DEBIT,
    FinancialCounterType.CREDIT: TotalKind.CREDIT,
    FinancialCounterType.DEBIT_REVERSAL: TotalKind.DEBIT_REVERSAL,
    FinancialCounterType.CREDIT_REVERSAL: TotalKind.CREDIT_REVERSAL,
    FinancialCounterType.RESERVATION: TotalKind.RESERVATION,
    FinancialCounterType.OTHER_NON_FINANCIAL: TotalKind.OTHER,
})  # fmt: skip
_COUNTER_OF_KIND: Final = {kind: counter for counter, kind in _COUNTERS.items()}


def report_from_totals(totals: Totals, *, report_type: int) -> ReportResponse:
    """Totals as a report."""
    return ReportResponse(
        report_type=report_type,
        report_flags=0,
        financial_report=tuple(
            FinancialReportEntry(
                brand=total.brand,
                aid=base64_of(total.aid) or "",
                financial_counter_type=int(_COUNTER_OF_KIND[total.kind]),
                trx_curr_c=total.amount.currency.number,
                trx_count=total.count,
                total_amount=abs(total.amount.amount),
                tip_amount=total.tip.amount if total.tip is not None else None,
            )
            for total in totals.totals
        ),
    )


def totals_from_reports(reports: list[ReportResponse], period: Period) -> Totals:
    """The totals that one or more reports hold (2.9: more entries may follow)."""
    found = []
    for entry in (entry for report in reports for entry in report.financial_report or ()):
        if entry.trx_curr_c is None or entry.trx_curr_c not in _NUMBERS:
            continue
        currency = Currency.of(entry.trx_curr_c)
        found.append(
            Total(
                brand=entry.brand or "",
                kind=_COUNTERS.get(entry.financial_counter_type or 0, TotalKind.OTHER),
                count=entry.trx_count or 0,
                amount=Money(entry.total_amount or 0, currency),
                tip=Money(entry.tip_amount, currency) if entry.tip_amount is not None else None,
                aid=hex_of(entry.aid),
            )
        )
    return Totals(period, tuple(found))


_NUMBERS: Final = frozenset(currency.number for currency in CURRENCIES.values())


def report_from_entries(entries: tuple[OpenEntry, ...]) -> ReportResponse:
    """Open authorisations as report 1001 (2.10)."""
    return ReportResponse(
        report_type=int(ReportType.OPEN_PETROL_AUTHORIZATIONS),
        report_flags=0,
        trx_list_report=tuple(
            TrxListReportEntry(
                trx_seq_cnt=int(entry.hold),
                trx_date=entry.terminal_date or "000000",
                trx_time=entry.terminal_time or "000000",
                trx_curr_c=entry.amount.currency.number if entry.amount is not None else None,
                amt_auth=entry.amount.amount if entry.amount is not None else None,
                app_pan_prt_attendant=entry.masked_pan or None,
            )
            for entry in entries
            if entry.hold.isdigit()
        ),
    )


def entries_from_report(report: ReportResponse) -> tuple[OpenEntry, ...]:
    """The open authorisations that a report lists."""
    return tuple(
        OpenEntry(
            hold=HoldId(str(entry.trx_seq_cnt)),
            amount=Money(entry.amt_auth, Currency.of(entry.trx_curr_c))
            if entry.amt_auth is not None and entry.trx_curr_c in _NUMBERS and entry.trx_curr_c is not None
            else None,
            masked_pan=entry.app_pan_prt_attendant or "",
            terminal_date=entry.trx_date or "",
            terminal_time=entry.trx_time or "",
        )
        for entry in report.trx_list_report or ()
        if entry.trx_seq_cnt is not None
    )
