"""Zahlwerk: one interface between every cash register or machine and every card payment terminal.

::

    import asyncio
    from zahlwerk import connect

    async def main() -> None:
        async with connect("virtual:") as terminal:
            await terminal.open_shift()
            payment = await terminal.pay("12.50 CHF")
            print(payment.outcome.value, payment.approved, payment.brand, payment.masked_pan)

    asyncio.run(main())
"""

from __future__ import annotations

from zahlwerk.errors import MoneyMoved, NotSupported, TerminalError
from zahlwerk.money import Currency, Money
from zahlwerk.payment import Original, Outcome, Payment, PaymentKind, PaymentRequest, Receipt, ReceiptKind
from zahlwerk.terminal import CONFIRM, ROLL_BACK, Capabilities, Decision, Feature, Hold, Terminal, Witness, approve_with
from zahlwerk.urls import connect, listen

__all__ = [
    "CONFIRM",
    "ROLL_BACK",
    "Capabilities",
    "Currency",
    "Decision",
    "Feature",
    "Hold",
    "Money",
    "MoneyMoved",
    "NotSupported",
    "Original",
    "Outcome",
    "Payment",
    "PaymentKind",
    "PaymentRequest",
    "Receipt",
    "ReceiptKind",
    "Terminal",
    "TerminalError",
    "Witness",
    "__version__",
    "approve_with",
    "connect",
    "listen",
]

__version__ = "0.1.0"
