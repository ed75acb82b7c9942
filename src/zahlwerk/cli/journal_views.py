"""What a journal holds, as JSON-like objects for programs and as words for people. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from zahlwerk.cli.journaled import terminal_name
from zahlwerk.cli.views import plain
from zahlwerk.errors import JournalDamaged, TerminalError
from zahlwerk.journal.doubt import Doubt
from zahlwerk.journal.encoding import decode_body, money_from, payment_from, request_from
from zahlwerk.journal.entries import EntryKind, Row
from zahlwerk.journal.records import Record, amount_of, described
from zahlwerk.lifecycle import MONEY, PaymentState
from zahlwerk.payment import Payment

__all__ = [
    "doubt_object",
    "kind_words",
    "local_time",
    "record_object",
    "row_object",
    "row_words",
    "state_words",
    "what_to_do",
]

JsonObject = dict[str, object]
_AMOUNTS: Final = frozenset({"amount"})


def local_time(moment: str) -> str:
    """A row's moment (UTC) by this machine's clock, to the second."""
    try:
        return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return moment


def record_object(record: Record) -> JsonObject:
    """One payment. `amount` is what was approved, else what was asked for; moments are UTC."""
    amount = amount_of(record)
    return {
        "number": record.first,
        "last": record.last,
        "since": record.since,
        "moment": record.moment,
        "terminal": record.terminal,
        "reference": record.reference,
        "kind": kind_words(record),
        "amount": None if amount is None else amount.decimal_text(),
        "currency": None if amount is None else amount.currency.code,
        "state": record.state.value,
        "money_moved": MONEY[record.state].value,
        "open": record.is_open,
        "unsettled": record.is_unsettled,
        "doubt": record.doubt or None,
        "sequence": record.sequence,
        "attempt": record.attempt,
        "matched": record.matched or None,
        "undone_by": list(record.undone_by),
    }


def doubt_object(doubt: Doubt) -> JsonObject:
    """The evidence about a payment, for whoever must decide; nothing is left to decide where it is settled."""
    proposal, decided = doubt.proposal, doubt.decided
    return {
        "evidence": dict(doubt.evidence),
        "sent": doubt.sent or None,
        "answers": [{"moment": one.moment, "state": one.state, "text": one.text} for one in doubt.answers],
        "proposal": None if proposal is None else {"paid": proposal.paid, "why": proposal.why},
        "decided": None
        if decided is None
        else {"paid": decided.paid, "by": decided.by, "why": decided.why, "moment": decided.moment},
        "look_for": list(doubt.look_for) if doubt.record.doubt else [],
    }


def kind_words(record: Record) -> str:
    """What kind of payment it is."""
    source = record.request if record.request is not None else record.payment
    return source.kind.value if source is not None else ""


def state_words(record: Record) -> str:
    """The state, and what a person must know beside it."""
    words = [record.state.value]
    if record.doubt:
        words.append("IN DOUBT")
    elif record.is_unsettled:
        words.append("open")
    if record.matched:
        words.append(f"pays for {record.matched}")
    if record.attempt > 1:
        words.append(f"attempt {record.attempt}")
    return ", ".join(words)


def row_object(row: Row, previous: bytes | None = None) -> JsonObject:
    """One entry. `body` is the text that the hash covers, letter by letter.

    Args:
        row: the entry.
        previous: the hash of the entry before, if it is to be told.
    """
    shown: JsonObject = {
        "number": row.number,
        "moment": row.moment,
        "terminal": row.terminal,
        "reference": row.reference,
        "kind": row.kind,
        "actor": row.actor,
        "sequence": row.sequence,
        "body": row.body.decode("utf-8", "replace"),
        "hash": row.hash.hex(),
    }
    return shown if previous is None else {**shown, "previous": previous.hex()}


def row_words(row: Row) -> str:
    """What an entry says, in one line."""
    try:
        body = decode_body(row.body)
    except JournalDamaged as exc:
        return f"({exc})"
    parts: list[str] = []
    for name, value in body.items():
        try:
            words = _member(name, value, row.kind)
        except (TerminalError, ValueError, TypeError):
            words = f"{name} {_short(value)}"
        if words:
            parts.append(words)
    if row.sequence is not None and row.kind != EntryKind.SENT.value:
        parts.append(f"no. {row.sequence}")
    return plain("; ".join(parts))


def _member(name: str, value: object, kind: str) -> str:
    match name:
        case "request":
            return described(request_from(value))
        case "payment":
            return _payment_words(payment_from(value), kind)
        case "evidence" if isinstance(value, Mapping):
            return ", ".join(f"{key} {item}" for key, item in value.items())
        case "started":
            return "it never began: the reference is free again" if value is False else ""
        case "proposal" if isinstance(value, Mapping):
            return f"the totals suggest: {_paid_words(value.get('paid'))}"
        case "paid":
            return _paid_words(value)
        case "why" | "how":
            return str(value)
        case "with":
            return f"pays for {value}"
        case _ if name in _AMOUNTS:
            return str(money_from(value))
        case _:
            return f"{name} {_short(value)}"


def _paid_words(value: object) -> str:
    return "paid" if value is True else "not paid"


def _payment_words(payment: Payment, kind: str) -> str:
    parts: list[str] = []
    if payment.approved is not None:
        parts.append(str(payment.approved))
    parts += [text for text in (payment.brand, payment.masked_pan) if text]
    if payment.authorisation_code:
        parts.append(f"authorisation {payment.authorisation_code}")
    if payment.receipts:
        parts.append(f"{len(payment.receipts)} receipts")
    said = payment.message or payment.attendant_text or payment.customer_text
    if said and kind not in {EntryKind.APPROVED.value, EntryKind.CONFIRMED.value}:
        parts.append(" ".join(said.split()))
    return " ".join(parts)


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:199]}…"


def what_to_do(record: Record, *, where: str, doubt: Doubt | None = None) -> tuple[str, ...]:
    """What a person can do about a payment that is open; nothing for one that is settled.

    Args:
        record: the payment.
        where: the option that leads to the journal, with a space before it; empty for its usual place.
        doubt: what is known of it, if that was read.
    """
    reference = shlex.quote(record.reference)
    if record.state is PaymentState.HELD:
        return (f"The amount is held until `zahlwerk capture` or `zahlwerk release`, hold {record.sequence}.",)
    if not record.is_unsettled:
        if record.state is PaymentState.STANDALONE and not record.matched:
            return (
                "It was typed in at the terminal. If you know what it paid for:",
                f"zahlwerk journal match {reference} REFERENCE --by YOU{where}",
            )
        return ()
    if not record.doubt:
        return (
            "Do not charge again. The terminal is asked as soon as it can be reached; to ask it now:",
            f"zahlwerk journal recover --terminal {_terminal_words(record.terminal)}{where}",
        )
    suggested: tuple[str, ...] = ()
    if doubt is not None and doubt.proposal is not None:
        words = f"{_paid_words(doubt.proposal.paid)} ({doubt.proposal.why})"
        suggested = (f"The totals suggest, without proving it: {words}.",)
    return (
        f"Do not charge again. The terminal cannot tell what became of it: {record.doubt}.",
        *suggested,
        f"Look for {'; '.join(doubt.look_for) if doubt is not None else _look_for(record)}.",
        f"Once you know: zahlwerk journal decide {reference} --paid --by YOU --why 'how you know'{where}",
        "or the same with --not-paid.",
    )


def _terminal_words(name: str) -> str:
    """How to name a terminal to `recover`: one that is called by its address needs nothing else."""
    try:
        is_address = terminal_name(name) == name
    except TerminalError:
        is_address = False
    return shlex.quote(name if is_address else f"{name}=URL")


def _look_for(record: Record) -> str:
    amount = amount_of(record)
    about = f"a payment of {amount}" if amount is not None else "this payment"
    number = f", number {record.sequence}," if record.sequence is not None else ""
    return f"{about}{number} on the receipts or in the journal of the terminal {record.terminal}, or ask your acquirer"
