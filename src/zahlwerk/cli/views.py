"""Domain objects as JSON-like objects for programs and as lines for people. Pure."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from zahlwerk.events import (
    DisplayShown,
    EventsLost,
    LinkChanged,
    Notice,
    Printer,
    ProgressChanged,
    ReaderChanged,
    ReceiptPrinted,
    ShiftChanged,
    StandalonePayment,
    StatusChanged,
    TerminalEvent,
    TerminalStatus,
)
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import EntryMode, Outcome, Payment, PaymentKind, Receipt, ReceiptKind
from zahlwerk.terminal import Capabilities, Evidence, TerminalInfo, Totals

__all__ = [
    "capabilities_object",
    "event_object",
    "final_line",
    "info_object",
    "lookup_command",
    "payment_object",
    "plain",
    "printer_words",
    "receipt_object",
    "receipt_title",
    "status_object",
    "status_words",
    "totals_object",
]

JsonObject = dict[str, object]


def plain(text: str) -> str:
    """The text without anything that could steer the reader's screen; line ends and letters of any script stay."""
    return "".join(character if character.isprintable() or character == "\n" else " " for character in text)


def _decimal(amount: Money | None) -> str | None:
    return None if amount is None else amount.decimal_text()


# -- payments


def payment_object(
    payment: Payment, *, url: str = "", evidence: Evidence | None = None, journal: Sequence[str] = ()
) -> JsonObject:
    """What became of a payment. `amount` is what was approved, never what was asked for; null if nothing was."""
    basis = payment.approved or payment.requested
    held = payment.state is PaymentState.HELD and payment.sequence is not None
    shown: JsonObject = {
        "outcome": payment.outcome.value,
        "amount": _decimal(payment.approved),
        "currency": basis.currency.code if basis is not None else None,
        "reference": payment.reference,
        "brand": payment.brand or None,
        "masked_pan": payment.masked_pan or None,
        "receipts": _receipts(payment),
        "kind": payment.kind.value,
        "state": payment.state.value,
        "money_moved": payment.money_moved.value,
        "requested": _decimal(payment.requested),
        "tip": _decimal(payment.tip),
        "cashback": _decimal(payment.cashback),
        "remaining": _decimal(payment.remaining),
        "available": _decimal(payment.available),
        "dcc": None if payment.dcc is None else {"amount": payment.dcc.amount.decimal_text(),
                                                 "currency": payment.dcc.amount.currency.code,
                                                 "rate": payment.dcc.rate},
        "authorisation_code": payment.authorisation_code or None,
        "response_code": payment.response_code or None,
        "terminal_id": payment.terminal_id or None,
        "acquirer_id": payment.acquirer_id,
        "sequence": payment.sequence,
        "transaction_reference": payment.transaction_reference or None,
        "terminal_time": payment.terminal_time.isoformat() if payment.terminal_time is not None else None,
        "token": payment.token or None,
        "entry_mode": None if payment.entry_mode is EntryMode.UNKNOWN else payment.entry_mode.value,
        "standalone": payment.standalone,
        "hold": str(payment.sequence) if held else None,
        "voice_phone": payment.voice_phone or None,
        "message": _reason(payment) or None,
    }  # fmt: skip
    if payment.outcome is Outcome.UNKNOWN:
        shown["evidence"] = dict(evidence or {})
        shown["lookup"] = lookup_command(payment, url=url, evidence=evidence or {}, journal=journal)
    return shown


def _receipts(payment: Payment) -> JsonObject:
    texts: JsonObject = {"merchant": None, "customer": None}
    texts.update({receipt.kind.value: receipt.text for receipt in payment.receipts if receipt.text})
    return texts


def _reason(payment: Payment) -> str:
    """The best sentence there is about it: ours, or the terminal's for the attendant, or for the card holder."""
    for text in (payment.message, payment.attendant_text, payment.customer_text):
        if text.strip():
            return " ".join(plain(text).split())
    return ""


def lookup_command(payment: Payment, *, url: str, evidence: Evidence, journal: Sequence[str] = ()) -> str:
    """The command that finds out later what became of a payment.

    Args:
        payment: of which it is not known.
        url: of its terminal.
        evidence: what was noted before it was sent; a journal knows that itself.
        journal: the options that lead to the journal.
    """
    words = ["zahlwerk", "lookup", url, "--reference", payment.reference, *journal]
    if journal:
        return " ".join(shlex.quote(word) for word in words)
    if payment.sequence is not None:
        words += ["--sequence", str(payment.sequence)]
    if evidence:
        words += ["--evidence", ",".join(f"{name}={value}" for name, value in evidence.items())]
    return " ".join(shlex.quote(word) for word in words)


_DONE_WORDS: Final[Mapping[PaymentKind, str]] = MappingProxyType({
    PaymentKind.REFUND: "REFUNDED",
    PaymentKind.REVERSAL: "REVERSED",
    PaymentKind.RESERVATION: "RESERVED",
    PaymentKind.RESERVATION_ADJUSTMENT: "RESERVATION RAISED BY",
    PaymentKind.RESERVATION_CANCEL: "RESERVATION CANCELLED",
    PaymentKind.BALANCE_INQUIRY: "BALANCE",
    PaymentKind.CARD_ACTIVATION: "CARD ACTIVATED",
    PaymentKind.LOAD: "LOADED",
    PaymentKind.ACCOUNT_VERIFICATION: "ACCOUNT VERIFIED",
})  # fmt: skip


def final_line(
    payment: Payment, *, url: str = "", evidence: Evidence | None = None, journal: Sequence[str] = ()
) -> str:
    """The one line that matters, for people."""
    if payment.outcome is Outcome.UNKNOWN:
        command = lookup_command(payment, url=url, evidence=evidence or {}, journal=journal)
        return f"UNCLEAR – do not charge again; run: {command}"
    if payment.state is PaymentState.RELEASED:
        return "RELEASED: no money moved"
    if payment.outcome is not Outcome.APPROVED:
        return f"NOT {_verb(payment.kind)}: {_why_not(payment)}"
    parts = [_done_word(payment), _amount_words(payment), payment.brand, payment.masked_pan]
    line = " ".join(part for part in parts if part)
    if payment.remaining:
        line += f" – a part only, {payment.remaining} still to pay"
    return line


def _done_word(payment: Payment) -> str:
    if payment.state is PaymentState.HELD:
        return "HELD up to"
    if payment.state is PaymentState.CAPTURED:
        return "CAPTURED"
    return _DONE_WORDS.get(payment.kind, "APPROVED")


def _amount_words(payment: Payment) -> str:
    amount = payment.available if payment.kind is PaymentKind.BALANCE_INQUIRY else payment.approved
    if amount is None:
        return ""
    return f"{amount} (with a tip of {payment.tip})" if payment.tip else str(amount)


def _verb(kind: PaymentKind) -> str:
    return {PaymentKind.REFUND: "REFUNDED", PaymentKind.REVERSAL: "REVERSED", PaymentKind.RESERVATION: "RESERVED",
            PaymentKind.AUTHORISATION: "HELD"}.get(kind, "PAID")  # fmt: skip


def _why_not(payment: Payment) -> str:
    words = payment.outcome.value.lower()
    if payment.outcome is Outcome.REFERRED and payment.voice_phone:
        return f"{words}, call {payment.voice_phone}, then pay with --kind phone-authorised --auth-code CODE"
    reason = _reason(payment).rstrip(".")
    about = [reason]
    if payment.response_code not in {"", "00"} and f"({payment.response_code})" not in reason:
        about.append(f"code {payment.response_code}")
    said = " ".join(plain(payment.attendant_text).split()).rstrip(".")
    if payment.outcome is Outcome.FAILED and said and said not in reason:
        about.append(f"the terminal says: {said}")
    told = ", ".join(part for part in about if part)
    return f"{words} ({told})" if told else words


# -- receipts, status, figures


def receipt_object(receipt: Receipt) -> JsonObject:
    """One receipt; an image as base64."""
    image = base64.b64encode(receipt.image_png).decode() if receipt.image_png else None
    shown: JsonObject = {"kind": receipt.kind.value, "text": receipt.text, "sequence": receipt.sequence}
    return shown if image is None else {**shown, "image_png": image}


def printer_words(printer: Printer) -> str:
    """What is wrong with the printer; `fine` if nothing."""
    wrong = [str(flag.name).lower().replace("_", " ") for flag in Printer if flag in printer and flag]
    return ", ".join(wrong) or "fine"


def status_object(status: TerminalStatus) -> JsonObject:
    """What the terminal is doing."""
    task = status.next_task
    return {
        "ready": status.is_ready,
        "shift_open": status.shift_open,
        "busy": status.busy,
        "locked": status.locked,
        "online": status.online,
        "card_read": status.card_read,
        "card_in_slot": status.card_in_slot,
        "wants_request": status.wants_request,
        "printer": printer_words(status.printer),
        "e_signature": status.e_signature,
        "language": status.language,
        "acquirers": [{"number": one.number, "initialised": one.initialised or None} for one in status.acquirers],
        "next_task": None if task is None else {"name": task.name, "next_run": task.next_run},
    }


def status_words(status: TerminalStatus) -> str:
    """The status in a few words."""
    words = ["shift open" if status.shift_open else "shift closed"]
    words += [word for word, on in (("locked", status.locked), ("busy", status.busy), ("online", status.online),
                                    ("a card is in the slot", status.card_in_slot),
                                    ("waits for the amount", status.wants_request)) if on]  # fmt: skip
    return ", ".join(["ready", words[0]] if status.is_ready and len(words) == 1 else words)


def info_object(info: TerminalInfo) -> JsonObject:
    """Who the terminal is."""
    return {
        "terminal_id": info.terminal_id or None,
        "serial_number": info.serial_number or None,
        "model": info.model or None,
        "software": info.software or None,
        "interface": info.interface or None,
        "language": info.language or None,
        "merchant_id": info.merchant_id or None,
        "merchant_name": info.merchant_name or None,
        "country_number": info.country_number,
        "sequence": info.sequence,
        "shift_counter": info.shift_counter,
        "period_counter": info.period_counter,
        "is_test": info.is_test,
    }


def capabilities_object(capabilities: Capabilities) -> JsonObject:
    """What can be asked of it."""
    return {
        "kinds": sorted(kind.value for kind in capabilities.kinds),
        "features": sorted(feature.name.lower() for feature in capabilities.features),
        "currencies": list(capabilities.currencies),
        "brands": list(capabilities.brands),
        "languages": list(capabilities.languages),
    }


def totals_object(totals: Totals) -> JsonObject:
    """The terminal's figures."""
    return {
        "period": totals.period.value,
        "totals": [
            {
                "brand": total.brand,
                "kind": total.kind.value,
                "count": total.count,
                "amount": total.amount.decimal_text(),
                "currency": total.amount.currency.code,
                "tip": _decimal(total.tip),
                "aid": total.aid or None,
            }
            for total in totals.totals
        ],
        "receipt": totals.receipt or None,
    }


# -- events


def event_object(event: TerminalEvent) -> tuple[str, JsonObject]:
    """What a terminal tells, as the name of an event and its members."""
    match event:
        case ProgressChanged(reference, progress):
            return "progress", {"step": progress.name, "text": progress.value, "reference": reference}
        case DisplayShown(text, resource):
            return "display", {"text": text, "resource": resource}
        case ReceiptPrinted(receipt):
            return "receipt", receipt_object(receipt)
        case StatusChanged(status):
            return "status", status_object(status)
        case ReaderChanged(state):
            return "reader", {"state": state.value}
        case StandalonePayment(payment):
            return "standalone", payment_object(payment)
        case ShiftChanged(is_open, counter):
            return "shift", {"open": is_open, "counter": counter}
        case LinkChanged(connected, why):
            return "link", {"connected": connected, "why": why or None}
        case Notice(text, code, source):
            return "notice", {"text": text, "code": code, "source": source or None}
        case EventsLost(count):
            return "lost", {"count": count}


def receipt_title(kind: ReceiptKind) -> str:
    """What stands on the frame around a receipt."""
    return {ReceiptKind.MERCHANT: "merchant receipt", ReceiptKind.CUSTOMER: "customer receipt"}.get(kind, kind.value)
