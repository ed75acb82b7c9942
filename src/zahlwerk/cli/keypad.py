"""The virtual terminal's keypad as lines of text: what a person does there, typed on standard input."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from zahlwerk.cli.options import amount_of
from zahlwerk.cli.views import final_line
from zahlwerk.errors import InvalidRequest, TerminalError
from zahlwerk.virtual.terminal import VirtualTerminal

__all__ = ["KEYS", "Key", "press", "typed_lines"]

# LIMIT: a longer line was not typed by a person.
_LINE_BYTES_MAX: Final = 1024
STDIN: Final = 0

Act = Callable[[VirtualTerminal, list[str]], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Key:
    """One word of the keypad."""

    usage: str
    meaning: str
    act: Act
    """Does it, and says what it did."""
    least: int = 0
    most: int = 0
    """How many words follow it."""


async def press(terminal: VirtualTerminal, line: str) -> tuple[bool, str]:
    """Do what a line says; whether it worked, and the answer for people."""
    word, *rest = line.split()
    key = KEYS.get(word.lower())
    if key is None:
        return False, f"there is no key «{word[:32]}»; type: help"
    if not key.least <= len(rest) <= key.most:
        return False, f"write: {key.usage}"
    try:
        return True, await key.act(terminal, rest)
    except TerminalError as exc:
        return False, f"{exc} → {exc.remedy}"


async def typed_lines() -> AsyncIterator[str]:
    """The lines of standard input as they are typed, until it ends. Read beside the event loop."""
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        # os.read, for a thread that waits in a buffered read keeps Python from ending.
        while True:
            try:
                data = os.read(STDIN, _LINE_BYTES_MAX)
            except OSError:
                data = b""
            try:
                loop.call_soon_threadsafe(queue.put_nowait, data)
            except RuntimeError:
                return
            if not data:
                return

    threading.Thread(target=read, name="keypad", daemon=True).start()
    rest = b""
    while data := await queue.get():
        *lines, rest = (rest + data).split(b"\n")
        rest = rest[-_LINE_BYTES_MAX:]
        for line in lines:
            text = line.decode("utf-8", "replace").strip()
            if text:
                yield text
    if text := rest.decode("utf-8", "replace").strip():
        yield text


async def _card(terminal: VirtualTerminal, words: list[str]) -> str:
    terminal.present(words[0])
    return f"the card {words[0]} is shown"


async def _remove(terminal: VirtualTerminal, _: list[str]) -> str:
    return "the card is out" if terminal.remove_card() else "there was no card to take"


async def _stop(terminal: VirtualTerminal, _: list[str]) -> str:
    return "stop" if terminal.press_stop() else "the stop key does nothing now"


async def _pin(terminal: VirtualTerminal, words: list[str]) -> str:
    kind = words[0].lower() if words else "ok"
    if kind not in {"ok", "wrong"}:
        raise InvalidRequest("a PIN is ok or wrong; never type a real one", remedy="write: pin ok")
    terminal.enter_pin(ok=kind == "ok")
    return "the right PIN is typed" if kind == "ok" else "a wrong PIN is typed"


async def _tip(terminal: VirtualTerminal, words: list[str]) -> str:
    tip = amount_of(" ".join(words))
    terminal.enter_tip(tip.amount)
    return f"a tip of {tip.decimal_text()} is typed"


async def _sign(terminal: VirtualTerminal, _: list[str]) -> str:
    terminal.sign()
    return "signed"


async def _choose(terminal: VirtualTerminal, _: list[str]) -> str:
    terminal.choose_application()
    return "the first application of the card is chosen"


async def _currency(terminal: VirtualTerminal, words: list[str]) -> str:
    if words[0].lower() not in {"own", "card"}:
        raise InvalidRequest("the currency is own (the merchant's) or card (the card's)", remedy="write: currency own")
    terminal.choose_currency(foreign=words[0].lower() == "card")
    return f"the currency of the {'card' if words[0].lower() == 'card' else 'merchant'} is chosen"


async def _answer(terminal: VirtualTerminal, words: list[str]) -> str:
    terminal.answer_dialog(" ".join(words))
    return "answered"


async def _scan(terminal: VirtualTerminal, words: list[str]) -> str:
    terminal.scan_code(words[0])
    return f"{words[0]} is scanned"


async def _paper(terminal: VirtualTerminal, words: list[str]) -> str:
    if words[0].lower() not in {"in", "out"}:
        raise InvalidRequest("paper is in or out", remedy="write: paper in")
    if words[0].lower() == "in":
        terminal.load_paper()
        return "a new roll of paper is in"
    terminal.run_out_of_paper()
    return "the paper is out"


async def _shift(terminal: VirtualTerminal, words: list[str]) -> str:
    if words[0].lower() not in {"open", "close"}:
        raise InvalidRequest("a shift is to open or to close", remedy="write: shift open")
    if words[0].lower() == "open":
        terminal.open_menu_shift()
        return "the shift is open"
    terminal.close_menu_shift()
    return "the shift is closed"


async def _pay(terminal: VirtualTerminal, words: list[str]) -> str:
    payment = await terminal.type_payment(amount_of(words[0]), words[1] if len(words) > 1 else "")
    return final_line(payment)


async def _crash(terminal: VirtualTerminal, _: list[str]) -> str:
    terminal.crash()
    return "the terminal restarts"


async def _show(terminal: VirtualTerminal, _: list[str]) -> str:
    return f"{terminal.state.value}; the display shows «{' / '.join(terminal.display.splitlines())}»"


async def _books(terminal: VirtualTerminal, _: list[str]) -> str:
    entries = terminal.host.ledger()[-10:]
    lines = [
        f"{entry.number:>4} {entry.action.value:<11} {entry.kind.value:<14} {entry.amount} {entry.brand}".rstrip()
        for entry in entries
    ]
    return "\n".join(["the host's books, latest last:", *lines]) if lines else "the host's books are empty"


async def _help(_: VirtualTerminal, __: list[str]) -> str:
    return "\n".join(f"{key.usage:<22} {key.meaning}" for key in KEYS.values())


KEYS: Final[Mapping[str, Key]] = MappingProxyType({
    "card": Key("card NAME", "show a test card (zahlwerk cards lists them)", _card, 1, 1),
    "remove": Key("remove", "take the card out", _remove),
    "stop": Key("stop", "press the red key", _stop),
    "pin": Key("pin ok|wrong", "type a PIN", _pin, 0, 1),
    "tip": Key("tip 1.00", "type a tip", _tip, 1, 2),
    "sign": Key("sign", "sign on the screen", _sign),
    "choose": Key("choose", "choose an application of the card", _choose),
    "currency": Key("currency own|card", "choose the currency", _currency, 1, 1),
    "answer": Key("answer TEXT", "answer a dialog", _answer, 0, 50),
    "scan": Key("scan CODE", "hold a code to the scanner", _scan, 1, 1),
    "pay": Key("pay 5.00 [CARD]", "a payment typed in at the terminal itself", _pay, 1, 2),
    "shift": Key("shift open|close", "at the terminal's own menu", _shift, 1, 1),
    "paper": Key("paper in|out", "the roll of paper", _paper, 1, 1),
    "crash": Key("crash", "pull the plug; it comes back by itself", _crash),
    "show": Key("show", "what the terminal does and shows", _show),
    "books": Key("books", "the host's books: the only truth about money", _books),
    "help": Key("help", "this list", _help),
})  # fmt: skip
"""Every key by its word."""
