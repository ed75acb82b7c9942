"""Where a command says things: lines for people, or one JSON object per line for programs.

Standard output holds the results, standard error the one sentence about what went wrong. Nothing here may stop a
payment: when the reader of our output has gone, we fall silent and go on.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from zahlwerk.carddata import redact
from zahlwerk.cli.views import event_object, final_line, payment_object, plain, receipt_object, receipt_title
from zahlwerk.errors import MoneyMoved, TerminalError
from zahlwerk.events import DisplayShown, LinkChanged, Notice, Progress, ProgressChanged, TerminalEvent
from zahlwerk.payment import Outcome, Payment, Receipt
from zahlwerk.terminal import Evidence

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.status import Status

__all__ = ["Output"]


class Output:
    """One command's output.

    Args:
        as_json: for programs.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._gone = False
        self._console: Console | None = None
        self._status: Status | None = None
        self._shown_text = ""
        self._progress: Progress | None = None

    # -- for programs

    def event(self, name: str, /, **members: object) -> None:
        """One JSON object; nothing for people."""
        if self.as_json:
            self.record({"event": name, **members})

    def record(self, row: dict[str, object]) -> None:
        """One JSON object as it is; nothing for people."""
        if self.as_json:
            utf8 = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") == "utf8"
            self._write(sys.stdout, json.dumps(row, ensure_ascii=not utf8) + "\n")

    # -- for people

    def say(self, text: str = "", style: str = "") -> None:
        """One line for people; nothing for programs."""
        if not self.as_json:
            from rich.text import Text

            self.show(Text(text, style=style))

    def show(self, what: RenderableType, *, wide: bool = True) -> None:
        """Something made with Rich, for people.

        Args:
            what: a text, table or panel.
            wide: lines are not broken at the screen's edge.
        """
        if self.as_json or self._gone:
            return
        try:
            self._people().print(what, soft_wrap=wide)
        except (OSError, ValueError):
            self._gone = True

    def wait(self, text: str) -> None:
        """What is being waited for, with something that moves; on a screen only."""
        if self.as_json or not self._people().is_terminal:
            return
        if self._status is None:
            self._status = self._people().status(text)
            self._status.start()
        else:
            self._status.update(text)

    def end_wait(self) -> None:
        """Nothing is being waited for any more."""
        status, self._status = self._status, None
        if status is not None:
            status.stop()

    # -- for both

    def tell(self, text: str, *, step: str) -> None:
        """A step of our own, beside those of the terminal."""
        self.event("progress", step=step, text=text, reference=None)
        self.say(f"  · {text}", "dim")

    def warn(self, text: str) -> None:
        """Something to mind that stops nothing; on standard error."""
        self._complain(f"Note: {text}", "yellow")

    def error(self, error: TerminalError, *, money_moved: MoneyMoved | None = None) -> None:
        """What went wrong and what to do, on standard error; for programs on standard output as well."""
        self.end_wait()
        message, remedy = redact(plain(str(error))), redact(plain(error.remedy))
        moved = money_moved or error.money_moved
        self.event("error", error=message, remedy=remedy, money_moved=moved.value)
        self._complain(_sentence(message), "red")
        if remedy:
            self._complain(f"→ {remedy}", "")

    def terminal_event(self, event: TerminalEvent) -> None:
        """Whatever the terminal tells while a command runs."""
        if self.as_json:
            name, members = event_object(event)
            self.event(name, **members)
            return
        match event:
            case ProgressChanged(_, progress) if progress is not self._progress:
                self._progress = progress
                self.wait(f"{progress.value} …")
                if progress is not Progress.DONE:
                    self.say(f"  · {progress.value}", "dim")
            case DisplayShown(text) if text.strip() and text != self._shown_text:
                self._shown_text = text
                self.say(f"    the terminal shows «{' / '.join(plain(text).split(chr(10)))}»", "cyan")
            case LinkChanged(False, why):
                self.say(f"  · the connection is lost: {plain(why)}", "yellow")
            case Notice(text) if text.strip():
                self.say(f"  · the terminal says: {plain(text)}", "yellow")
            case _:
                pass

    def receipt(self, receipt: Receipt) -> None:
        """A receipt as it looks on paper."""
        self.event("receipt", **receipt_object(receipt))
        if not self.as_json:
            from rich.panel import Panel
            from rich.text import Text

            text = plain(receipt.text).rstrip("\n") or f"(an image of {len(receipt.image_png)} bytes)"
            self.show(Panel(Text(text), title=receipt_title(receipt.kind), expand=False), wide=False)

    def payment(self, payment: Payment, *, url: str, evidence: Evidence | None = None, receipts: bool = True,
                journal: Sequence[str] = ()) -> None:  # fmt: skip
        """The end of a payment: receipts and the one line that matters; for programs one object with all of it."""
        self.end_wait()
        self.event("payment", **payment_object(payment, url=url, evidence=evidence, journal=journal))
        if self.as_json:
            return
        if receipts:
            for receipt in payment.receipts:
                self.receipt(receipt)
        style = {Outcome.APPROVED: "bold green", Outcome.UNKNOWN: "bold yellow"}.get(payment.outcome, "bold red")
        self.say(final_line(payment, url=url, evidence=evidence, journal=journal), style)

    # -- inside

    def _people(self) -> Console:
        if self._console is None:
            from rich.console import Console

            self._console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
        return self._console

    def _complain(self, text: str, style: str) -> None:
        try:
            from rich.console import Console
            from rich.text import Text

            Console(file=sys.stderr, highlight=False).print(Text(text, style=style), soft_wrap=True)
        except (OSError, ValueError):
            self._gone = True

    def _write(self, file: TextIO, text: str) -> None:
        if self._gone:
            return
        try:
            file.write(text)
            file.flush()
        except (OSError, ValueError):
            self._gone = True


def _sentence(text: str) -> str:
    """Begins with a capital, unless its first word is an address; ends with a full stop."""
    first = text.partition(" ")[0]
    start = text[:1].upper() if first.isalpha() else text[:1]
    return start + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
