"""Payments that were typed in at the terminal: how they are named, and what they may have paid for. Pure."""

from __future__ import annotations

import hashlib

from zahlwerk.payment import Payment

__all__ = ["standalone_reference"]


def standalone_reference(terminal: str, payment: Payment) -> str:
    """A reference that is the same each time the terminal reports the same payment."""
    amount = payment.approved or payment.requested
    moment = payment.terminal_time.isoformat() if payment.terminal_time is not None else ""
    told = "\0".join(
        (terminal, payment.terminal_id, str(payment.sequence), moment, str(amount), payment.authorisation_code)
    )
    number = payment.sequence if payment.sequence is not None else 0
    return f"standalone-{number}-{hashlib.sha256(told.encode()).hexdigest()[:16]}"
