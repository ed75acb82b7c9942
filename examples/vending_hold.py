"""A machine authorises a limit, delivers, and captures what was taken; leaving without a capture releases all."""

import asyncio

from zahlwerk import connect


async def main() -> None:
    async with connect("virtual:?speed=0&shift=open") as terminal:
        async with terminal.hold("50.00 CHF") as hold:
            if hold.is_approved:
                await hold.capture("8.40 CHF")
        print(hold.payment.state.value, hold.payment.approved)

        async with terminal.hold("50.00 CHF") as hold:
            print("nothing was delivered")
        print(hold.payment.state.value, hold.payment.money_moved.value)


asyncio.run(main())
