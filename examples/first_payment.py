"""A first payment, without any hardware. The same as in the README."""

import asyncio

from zahlwerk import connect


async def main() -> None:
    async with connect("virtual:?card=visa") as terminal:
        await terminal.open_shift()
        payment = await terminal.pay("12.50 CHF")
        print(payment.outcome.value, payment.approved, payment.brand, payment.masked_pan)


asyncio.run(main())
