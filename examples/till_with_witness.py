"""A till that writes an approval down before the money moves, and refuses what it did not expect."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from zahlwerk import CONFIRM, ROLL_BACK, Decision, Payment, Witness, connect
from zahlwerk.terminal import Evidence


class Notebook(Witness):
    """Writes every step to a file. A real journal also makes the disk keep it (fsync)."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _write(self, line: str) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    async def sending(self, evidence: Evidence) -> None:
        self._write(f"sending {dict(evidence)}")

    async def approved(self, payment: Payment) -> Decision:
        self._write(f"approved {payment.approved}")
        return CONFIRM if payment.approved == payment.requested else ROLL_BACK


async def main() -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "notebook.txt"
        async with connect("virtual:?speed=0&shift=open") as terminal:
            payment = await terminal.pay("12.50 CHF", reference="bill-7", witness=Notebook(path))
        print(path.read_text(encoding="utf-8"), end="")
        print(payment.state.value)


asyncio.run(main())
