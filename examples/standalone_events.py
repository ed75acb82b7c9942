"""A payment typed in at the terminal, without the till: the till hears of it by events and can match it later.

The amount is typed by this program, in place of a waiter. Over KIT the receipts come, but no such event: KIT has none.
"""

import asyncio

from zahlwerk.events import ReceiptPrinted, StandalonePayment
from zahlwerk.virtual.settings import Settings
from zahlwerk.virtual.terminal import VirtualTerminal


async def main() -> None:
    async with VirtualTerminal(Settings(card="none", speed=0, shift_open=True)) as terminal:
        async with terminal.events() as events:
            await terminal.type_payment("5.00 CHF", "mastercard")
        async for event in events:
            match event:
                case ReceiptPrinted(receipt):
                    print(f"{receipt.kind.value} receipt of transaction {receipt.sequence}")
                case StandalonePayment(payment):
                    print(f"typed in: {payment.outcome.value} {payment.approved} {payment.brand}")
                case _:
                    pass


asyncio.run(main())
