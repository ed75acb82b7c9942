"""Where KIT's words and the domain's words meet, for payments. Pure; used by `driver.py` and `endpoint.py` only."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from zahlwerk.carddata import is_masked, mask_pan
from zahlwerk.errors import InvalidRequest
from zahlwerk.interfaces.kit.codes import OurResult, PosEntryMode, TrxFunction, TrxReqFlags, TrxResult
from zahlwerk.interfaces.kit.messages import RecOrderRef, TransactionRequest, TransactionResponse
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Currency, Money
from zahlwerk.payment import (
    Dcc,
    EntryMode,
    Original,
    Outcome,
    Payment,
    PaymentKind,
    PaymentRequest,
    TipPolicy,
    UnknownTag,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "FUNCTION_OF_KIND",
    "KIND_OF_FUNCTION",
    "functions_of",
    "kinds_of",
    "payment_from_response",
    "request_from_wire",
    "request_to_wire",
    "response_from_payment",
    "wire_id",
]

_F, _K = TrxFunction, PaymentKind
FUNCTION_OF_KIND: Final[Mapping[PaymentKind, TrxFunction]] = MappingProxyType({
    _K.PURCHASE: _F.PURCHASE,
    _K.PURCHASE_WITH_CASHBACK: _F.PURCHASE_WITH_CASHBACK,
    _K.CASH_ADVANCE: _F.CASH_ADVANCE,
    _K.REFUND: _F.CREDIT,
    _K.REVERSAL: _F.REVERSAL,
    _K.AUTHORISATION: _F.AUTHORIZATION_PURCHASE,
    _K.RESERVATION: _F.RESERVATION,
    _K.RESERVATION_ADJUSTMENT: _F.RESERVATION_ADJUSTMENT,
    _K.RESERVATION_CAPTURE: _F.PURCHASE_RESERVATION,
    _K.RESERVATION_CANCEL: _F.CANCEL_RESERVATION,
    _K.RESERVATION_PHONE_CONFIRM: _F.CONFIRM_PHONE_AUTH_RESERVATION,
    _K.MAIL_ORDER: _F.PURCHASE_MAIL_ORDERED,
    _K.PHONE_ORDER: _F.PURCHASE_PHONE_ORDERED,
    _K.FORCED_ACCEPTANCE: _F.PURCHASE_FORCED_ACCEPTANCE,
    _K.PHONE_AUTHORISED: _F.PURCHASE_PHONE_AUTH,
    _K.BALANCE_INQUIRY: _F.BALANCE_INQUIRY,
    _K.CARD_ACTIVATION: _F.ACTIVATE_CARD,
    _K.LOAD: _F.LOAD,
    _K.ACCOUNT_VERIFICATION: _F.ACCOUNT_VERIFICATION,
})  # fmt: skip
"""Source: KIT fact sheet 2.3."""

KIND_OF_FUNCTION: Final[Mapping[int, PaymentKind]] = MappingProxyType(
    {int(function): kind for kind, function in FUNCTION_OF_KIND.items()}
)

_ENTRY_MODES: Final[Mapping[int, EntryMode]] = MappingProxyType({
    PosEntryMode.UNKNOWN: EntryMode.UNKNOWN,
    PosEntryMode.MANUAL: EntryMode.MANUAL,
    PosEntryMode.BARCODE: EntryMode.BARCODE,
    PosEntryMode.ICC: EntryMode.CHIP,
    PosEntryMode.ICC_PAN_RETRIEVAL: EntryMode.CHIP,
    PosEntryMode.REFERENCE: EntryMode.REFERENCE,
    PosEntryMode.BLE: EntryMode.BLUETOOTH,
    PosEntryMode.MAGSTRIPE: EntryMode.MAGSTRIPE,
    PosEntryMode.MAGSTRIPE_FALLBACK_1: EntryMode.FALLBACK,
    PosEntryMode.MAGSTRIPE_FALLBACK_2: EntryMode.FALLBACK,
    PosEntryMode.MAGSTRIPE_FALLBACK_3: EntryMode.FALLBACK,
    PosEntryMode.CONTACTLESS_EMV: EntryMode.CONTACTLESS,
    PosEntryMode.CONTACTLESS_MAGSTRIPE: EntryMode.CONTACTLESS_MAGSTRIPE,
    PosEntryMode.CONTACTLESS_PAN_RETRIEVAL: EntryMode.CONTACTLESS,
    PosEntryMode.MERCHANT_PRESENTED_QR_CODE: EntryMode.QR,
})  # fmt: skip
_MODE_OF_ENTRY: Final = {entry: mode for mode, entry in reversed(tuple(_ENTRY_MODES.items()))}

# No RecOrderRef with these: PayTec's tester leaves it out (2.3).
_WITHOUT_ORDER: Final = frozenset({_K.REVERSAL, _K.RESERVATION_CANCEL})
# 24.04.06 knows RecOrderRef (0.2).
ORDER_SOFTWARE: Final = 240406

_OUTCOMES: Final[Mapping[int, tuple[Outcome, PaymentState]]] = MappingProxyType({
    TrxResult.APPROVED: (Outcome.APPROVED, PaymentState.APPROVED),
    TrxResult.DECLINED: (Outcome.DECLINED, PaymentState.DECLINED),
    TrxResult.REFERRED: (Outcome.REFERRED, PaymentState.REFERRED),
    TrxResult.ABORTED: (Outcome.ABORTED, PaymentState.ABORTED),
})  # fmt: skip
"""Source: 2.4: "3 (and anything else) aborted"; TrxResult alone decides (P-08)."""


# -- requests


def request_to_wire(request: PaymentRequest, *, software: int | None = None) -> TransactionRequest:
    """What a register sends for a request.

    Args:
        software: the terminal's SoftwareVersion, where known; an old one gets no order reference.
    """
    total = request.total
    original = request.original or Original()
    flags = TrxReqFlags.START_SILENTLY if request.silent else TrxReqFlags(0)
    if request.unknown_tag is UnknownTag.REPORT:
        flags |= TrxReqFlags.REPORT_UNKNOWN_NFC
    elif request.unknown_tag is UnknownTag.ABORT_SILENTLY:
        flags |= TrxReqFlags.ABORT_SILENTLY_ON_UNKNOWN_NFC
    with_order = request.kind not in _WITHOUT_ORDER and (software is None or software >= ORDER_SOFTWARE)
    return TransactionRequest(
        trx_function=int(FUNCTION_OF_KIND[request.kind]),
        trx_curr_c=total.currency.number if total is not None else None,
        amt_auth=total.amount if total is not None else None,
        amt_other=request.cashback.amount if request.cashback is not None else None,
        auth_c=request.authorisation_code or None,
        acq_id=original.acquirer_id,
        trx_ref_num=original.transaction_reference or None,
        trx_seq_cnt_ori=original.sequence,
        trx_reason_c=request.reason_code or None,
        partial_approval_cap=1 if request.partial_approval else None,
        rec_order_ref=RecOrderRef(order_id=request.order_reference or request.reference) if with_order else None,
        dcc_orig_date=original.dcc_date or None,
        text_on_unknown_nfc=request.unknown_tag_text or None,
        set_active_surrogate_pan=request.active_tokens or None,
        trx_req_flags=int(flags) or None,
    )


def request_from_wire(message: TransactionRequest, *, reference: str, language: str = "") -> PaymentRequest:
    """What a terminal is asked for.

    An order id is no idempotency key (registers send it again after a decline), so `reference` is the endpoint's own.

    Raises:
        InvalidRequest: a function that is none, a missing or impossible amount, a missing reference.
    """
    kind = KIND_OF_FUNCTION.get(message.trx_function)
    if kind is None:
        raise InvalidRequest(f"TrxFunction {message.trx_function} is not a transaction")
    flags = message.trx_req_flags or 0
    cashback, amount = None, None
    if message.amt_auth is not None and kind in _AMOUNTS:
        if message.trx_curr_c is None:
            raise InvalidRequest("TrxCurrC is missing")
        currency = Currency.of(message.trx_curr_c)
        other = message.amt_other or 0
        if other > message.amt_auth:  # P-20
            raise InvalidRequest("AmtOther is more than AmtAuth, which contains it")
        cashback = Money(other, currency) if other else None
        amount = Money(message.amt_auth - other, currency)
    original = None
    if message.trx_ref_num or message.trx_seq_cnt_ori is not None:
        original = Original(
            message.trx_ref_num or "", message.acq_id, message.trx_seq_cnt_ori, message.dcc_orig_date or ""
        )
    return PaymentRequest(
        kind=kind,
        amount=amount,
        cashback=cashback,
        reference=reference,
        order_reference=(message.rec_order_ref.order_id or "") if message.rec_order_ref is not None else "",
        language=language,
        tip_policy=TipPolicy.TERMINAL_DECIDES,
        partial_approval=bool(message.partial_approval_cap),
        original=original,
        authorisation_code=message.auth_c or "",
        reason_code=message.trx_reason_c or "",
        unknown_tag=_unknown_tag(flags),
        unknown_tag_text=message.text_on_unknown_nfc or "",
        silent=bool(flags & TrxReqFlags.START_SILENTLY),
        active_tokens=message.set_active_surrogate_pan or (),
    )


_AMOUNTS: Final = frozenset(_K) - {
    _K.REVERSAL, _K.RESERVATION_CANCEL, _K.BALANCE_INQUIRY, _K.CARD_ACTIVATION, _K.ACCOUNT_VERIFICATION,
}  # fmt: skip


def _unknown_tag(flags: int) -> UnknownTag:
    if flags & TrxReqFlags.REPORT_UNKNOWN_NFC:
        return UnknownTag.REPORT
    if flags & TrxReqFlags.ABORT_SILENTLY_ON_UNKNOWN_NFC:
        return UnknownTag.ABORT_SILENTLY
    return UnknownTag.ABORT


# -- answers


def payment_from_response(response: TransactionResponse, request: PaymentRequest) -> Payment:
    """What a register makes of a TransactionResponse; an approval is in state APPROVED, not yet confirmed."""
    outcome, state = _OUTCOMES.get(response.trx_result, (Outcome.ABORTED, PaymentState.ABORTED))
    total = request.total
    currency = _currency(response.trx_curr_c) or (total.currency if total is not None else None)
    approved_minor = response.trx_amt if response.trx_amt is not None else response.amt_auth
    if approved_minor is None and total is not None:
        approved_minor = total.amount
    is_approved = outcome is Outcome.APPROVED
    # A part of the amount says nothing about its parts: what the terminal tells counts, not what was asked for.
    is_partial = total is not None and approved_minor is not None and approved_minor < total.amount
    tip_minor = response.tip_amt or 0
    if request.tip is not None and not is_partial:
        tip_minor += request.tip.amount
    cashback = _money(response.amt_other, currency) if is_partial else request.cashback
    return Payment(
        reference=request.reference,
        kind=request.kind,
        outcome=outcome,
        state=state,
        requested=total,
        approved=_money(approved_minor, currency) if is_approved else None,
        tip=_money(tip_minor, currency) if is_approved and tip_minor else None,
        cashback=cashback if is_approved else None,
        remaining=_money(response.amt_remaining, currency),
        available=_money(response.amt_avail, _currency(response.amt_avail_curr_c) or currency),
        dcc=_dcc(response),
        brand=response.display_name or response.brand or "",
        masked_pan=_masked(response.app_pan_prt_attendant or response.app_pan_prt_cardholder or ""),
        aid=hex_of(response.aid),
        entry_mode=_ENTRY_MODES.get(response.pos_entry_mode or 0, EntryMode.UNKNOWN),
        token=response.surrogate_pan or "",
        authorisation_code=response.auth_c or "",
        response_code=response.arc or "",
        result_code=response.trx_result_extended,
        terminal_id=response.trm_id or "",
        acquirer_id=response.acq_id,
        sequence=response.trx_seq_cnt,
        transaction_reference=response.trx_ref_num or "",
        terminal_time=_time(response.trx_date, response.trx_time),
        expires=response.pre_auth_exp_date or "",
        voice_phone=response.voice_phone or "",
        customer_text=response.cardholder_text or "",
        attendant_text=response.attendant_text or "",
        e_signature_png=_bytes(response.e_signature),
    )


def response_from_payment(payment: Payment, *, function: int, terminal_id: str) -> TransactionResponse:
    """What a terminal answers. The outcome must be known: KIT has no word for UNKNOWN."""
    result = {
        Outcome.APPROVED: TrxResult.APPROVED,
        Outcome.DECLINED: TrxResult.DECLINED,
        Outcome.REFERRED: TrxResult.REFERRED,
    }.get(payment.outcome, TrxResult.ABORTED)
    is_approved = payment.outcome is Outcome.APPROVED
    approved = payment.approved if is_approved else payment.requested
    tip_at_terminal = payment.tip if is_approved else None
    dcc = payment.dcc
    time = payment.terminal_time
    return TransactionResponse(
        trx_result=int(result),
        trx_result_extended=_extended(payment, result),
        trm_id=wire_id(terminal_id, 8),
        trx_function=function,
        trx_seq_cnt=payment.sequence,
        trx_ref_num=payment.transaction_reference or None,
        trx_type=0,
        trx_date=time.strftime("%y%m%d") if time is not None else None,
        trx_time=time.strftime("%H%M%S") if time is not None else None,
        amt_auth=approved.amount if approved is not None else None,
        amt_other=payment.cashback.amount if is_approved and payment.cashback is not None else None,
        tip_amt=tip_at_terminal.amount if tip_at_terminal is not None else None,
        trx_curr_c=approved.currency.number if approved is not None else None,
        brand=payment.brand or None,
        display_name=payment.brand or None,
        acq_id=payment.acquirer_id,
        aid=base64_of(payment.aid),
        app_pan_prt_cardholder=payment.masked_pan or None,
        app_pan_prt_attendant=payment.masked_pan or None,
        surrogate_pan=payment.token or None,
        pos_entry_mode=int(_MODE_OF_ENTRY.get(payment.entry_mode, PosEntryMode.UNKNOWN)),
        auth_c=payment.authorisation_code or None,
        arc=payment.response_code or None,
        auth_reslt=0 if is_approved else 100 if payment.outcome is Outcome.DECLINED else None,
        voice_phone=payment.voice_phone or None,
        cardholder_text=payment.customer_text or None,
        attendant_text=payment.attendant_text or payment.message or None,
        amt_avail=payment.available.amount if payment.available is not None else None,
        amt_avail_curr_c=payment.available.currency.number if payment.available is not None else None,
        amt_remaining=payment.remaining.amount if payment.remaining is not None else None,
        e_signature=base64.b64encode(payment.e_signature_png).decode() if payment.e_signature_png else None,
        pre_auth_exp_date=payment.expires or None,
        dcc_foreign_amount=dcc.amount.amount if dcc is not None else None,
        dcc_foreign_curr_c=dcc.amount.currency.number if dcc is not None else None,
        dcc_markup_percentage=(dcc.markup or None) if dcc is not None else None,
        dcc_commission_amt=dcc.commission.amount if dcc is not None and dcc.commission is not None else None,
        dcc_commission_curr_c=dcc.commission.currency.number
        if dcc is not None and dcc.commission is not None
        else None,
        dcc_rate=_rate(dcc)[0],
        dcc_rate_exp=_rate(dcc)[1],
    )


def _extended(payment: Payment, result: TrxResult) -> int:
    """TrxResultExtended of our own (4.10); PayTec's special ones are passed on."""
    if payment.result_code is not None and _fits(payment.result_code, result):
        return payment.result_code
    if result is TrxResult.APPROVED:
        return OurResult.APPROVED
    if result is TrxResult.REFERRED:
        return OurResult.REFERRED
    if result is TrxResult.DECLINED:
        code = payment.response_code
        return OurResult.DECLINED + (int(code) if len(code) <= 2 and code.isascii() and code.isdigit() else 0)
    return OurResult.ABORTED_BY_REGISTER


def _fits(code: int, result: TrxResult) -> bool:
    """Whether a code lies in the range of a result. Source: 2.4."""
    low, high = {
        TrxResult.APPROVED: (0, 899),
        TrxResult.REFERRED: (900, 999),
        TrxResult.DECLINED: (1000, 9999),
        TrxResult.ABORTED: (10000, 49999),
    }[result]
    return low <= code <= high


# -- functions as bits


@lru_cache(maxsize=32)  # asked before each payment, and the same until the next configuration
def kinds_of(functions: int) -> frozenset[PaymentKind]:
    """The kinds in a TrxFunctions sum; unknown bits are ignored."""
    return frozenset(kind for bit, kind in KIND_OF_FUNCTION.items() if functions & bit)


def functions_of(kinds: frozenset[PaymentKind], *, tip: bool = False) -> int:
    """The TrxFunctions sum of some kinds; TIP is a capability only."""
    total = sum(int(FUNCTION_OF_KIND[kind]) for kind in kinds)
    return total | (int(TrxFunction.TIP) if tip else 0)


# -- small things


def wire_id(text: str, length: int) -> str:
    """An identification as the schema wants it: exactly so many letters and digits (P-09: strict in what we send)."""
    plain = "".join(character for character in text if character.isascii() and character.isalnum())
    return plain[:length].rjust(length, "0")


def hex_of(text: str | None) -> str:
    """Base64 as upper-case hexadecimal; what is not base64 gives nothing."""
    return _bytes(text).hex().upper() if text else ""


def base64_of(text: str) -> str | None:
    """Hexadecimal as base64; None for nothing or for what is not hexadecimal."""
    try:
        return base64.b64encode(bytes.fromhex(text)).decode() if text else None
    except ValueError:
        return None


def _bytes(text: str | None) -> bytes:
    try:
        return base64.b64decode(text, validate=True) if text else b""
    except (binascii.Error, ValueError):
        return b""


def _masked(text: str) -> str:
    return text if not text or is_masked(text) else mask_pan(text)


def _currency(number: int | None) -> Currency | None:
    try:
        return Currency.of(number) if number is not None else None
    except InvalidRequest:
        return None


def _money(minor: int | None, currency: Currency | None) -> Money | None:
    return Money(minor, currency) if minor is not None and currency is not None else None


def _dcc(response: TransactionResponse) -> Dcc | None:
    amount = _money(response.dcc_foreign_amount, _currency(response.dcc_foreign_curr_c))
    if amount is None:
        return None
    # P-14: shown raw; the exponent is our reading of DCCRateExp.
    rate = "" if response.dcc_rate is None else str(response.dcc_rate)
    if rate and response.dcc_rate_exp:
        rate = f"{rate}E-{response.dcc_rate_exp}"
    commission = _money(response.dcc_commission_amt, _currency(response.dcc_commission_curr_c))
    return Dcc(amount, rate, response.dcc_markup_percentage or "", commission)


def _rate(dcc: Dcc | None) -> tuple[int | None, int | None]:
    """DCCRate and DCCRateExp of a decimal number (P-14)."""
    rate = dcc.rate if dcc is not None else ""
    digits, _, exponent = rate.partition("E-")
    if exponent.isascii() and exponent.isdigit() and digits.isascii() and digits.isdigit():
        return int(digits), int(exponent)
    whole, _, fraction = rate.partition(".")
    if (whole + fraction).isascii() and (whole + fraction).isdigit():
        return int(whole + fraction), len(fraction)
    return None, None


def _time(date: str | None, time: str | None) -> datetime | None:
    """The terminal's local time without zone (P-41)."""
    if not date or not time:
        return None
    try:
        return datetime.strptime(date + time, "%y%m%d%H%M%S")  # noqa: DTZ007 - the terminal tells no zone
    except ValueError:
        return None
