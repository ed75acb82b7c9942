"""A till that dies in the middle of a payment, starts again, and charges once."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from zahlwerk import connect
from zahlwerk.errors import ReferenceReused
from zahlwerk.journal import Journal


async def sell(file: Path) -> None:
    """One run of the till. The reference is the till's own number of the sale: the same one when it tries again."""
    async with (
        await Journal.open(str(file), actor="till") as journal,
        journal.wrap(connect("virtual:?speed=0&shift=open"), name="counter") as terminal,
    ):
        payment = await terminal.pay("12.50 CHF", reference="sale-4711")
        print(payment.outcome.value, payment.approved, f"no. {payment.sequence}")
        try:
            await terminal.pay("99.00 CHF", reference="sale-4711")
        except ReferenceReused as exc:
            print(f"refused: {exc}")


async def main() -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "journal.db"
        await sell(file)
        await sell(file)  # started again: the same sale, nothing is charged
        async with await Journal.open_to_read(str(file)) as journal:
            for row in await journal.rows_of("sale-4711"):
                print(f"  {row.number}. {row.kind}")
            verdict = await journal.verify()
            print("intact" if verdict.is_intact else "damaged", verdict.rows)


asyncio.run(main())
