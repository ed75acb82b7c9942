"""Who answers what the terminal asks the register: inputs, menus, signatures, blocked lists. I/O: answers take time.

What nobody answers is not announced, and so never asked (fact sheet 6.2, tag 26): a terminal that knows of no signature
check here does not start a payment that needs one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from zahlwerk.interfaces.zvt.messages import Message, Tlv, answer, find, find_all

__all__ = ["Attendant", "InputMode", "MenuItem", "Question", "answer_question", "handled_by", "question_of"]

INPUT_REQUEST: Final = 0x040D
MENU_REQUEST: Final = 0x040E
GRAPHIC_MENU: Final = 0x06D0
BLOCKED_LIST: Final = 0x06E4
ABORTED: Final = 0x846C
UNKNOWN: Final = 0x8483
BLOCKED: Final = 0x846E


class InputMode(IntEnum):
    """What is to be typed in. Source: fact sheet 4.2, tag 1F38."""

    TEXT = 0
    NUMBER = 1
    AMOUNT = 2
    """In minor units, as digits."""


@dataclass(frozen=True, slots=True)
class MenuItem:
    """One entry of a menu."""

    text: str
    value: bytes
    """What the terminal calls it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the terminal asks."""

    lines: tuple[str, ...] = ()
    mode: InputMode = InputMode.TEXT
    initial: str = ""
    timeout_s: float | None = None
    items: tuple[MenuItem, ...] = ()
    context: int | None = None
    """Tag 17: 01 other, 02 application, 03 language."""
    for_customer: bool = False
    image: bytes = b""
    """Of a signature, say; as the terminal encodes it."""
    masked_card: str = ""


class Attendant:
    """Somebody at the till. Override what can be answered here; only that is announced to the terminal."""

    async def enter(self, question: Question) -> str | None:
        """A text, number or amount; None if nothing was entered in time."""
        raise NotImplementedError

    async def choose(self, question: Question) -> MenuItem | None:
        """One of the items; None to abort."""
        raise NotImplementedError

    async def check_signature(self, question: Question) -> MenuItem | None:
        """One of the items, after a look at the image; None to abort."""
        raise NotImplementedError

    async def is_blocked(self, question: Question) -> bool:
        """Whether the card is on the shop's own list."""
        raise NotImplementedError


_METHODS: Final = {
    INPUT_REQUEST: "enter",
    MENU_REQUEST: "choose",
    GRAPHIC_MENU: "check_signature",
    BLOCKED_LIST: "is_blocked",
}


def handled_by(attendant: Attendant | None) -> frozenset[int]:
    """The commands that an attendant answers: those whose method it has of its own."""
    if attendant is None:
        return frozenset()
    return frozenset(
        code for code, name in _METHODS.items() if getattr(type(attendant), name) is not getattr(Attendant, name)
    )


def question_of(message: Message) -> Question:
    """What 04 0D, 04 0E, 06 D0 or 06 E4 asks. Source: fact sheet 2.3, 2.9, 4.3."""
    tlvs = message.tlv or ()
    lines = tuple(str(tlv.value) for tlv in find_all(_children(tlvs, 0x24), 0x07))
    if message.code == GRAPHIC_MENU:
        lines = tuple(text for number in range(0xF1, 0xF9) if (text := message.text(number)))
    mode = message.tag_number(0x1F38) or 0
    wait_s = message.tag_number(0x1F39)
    menu = find(tlvs, 0x2B)
    return Question(
        lines=lines,
        mode=InputMode(mode) if mode in set(InputMode) else InputMode.TEXT,
        initial=message.tag_text(0x1F3A),
        timeout_s=None if not wait_s else float(wait_s),
        items=tuple(_item(tlv) for tlv in find_all(menu.children, 0x2C)) if menu is not None else (),
        context=message.tag_number(0x17),
        for_customer=message.tag_number(0x18) == 0x02,
        image=b"".join(tlv.value for tlv in find_all(tlvs, 0x1C) if isinstance(tlv.value, bytes)),
        masked_card=message.text(0x22),
    )


def _children(tlvs: tuple[Tlv, ...], tag: int) -> tuple[Tlv, ...]:
    found = find(tlvs, tag)
    return found.children if found is not None else ()


def _item(tlv: Tlv) -> MenuItem:
    text = next((str(child.value) for child in tlv.children if child.tag == 0x07), "")
    value = next((child.value for child in tlv.children if child.tag == 0x19), b"")
    return MenuItem(text, value if isinstance(value, bytes) else b"")


async def answer_question(attendant: Attendant | None, message: Message) -> Message:
    """What to say to a question; 84 83 where nobody answers it."""
    if message.code not in handled_by(attendant) or attendant is None:
        return answer(UNKNOWN)
    question = question_of(message)
    if message.code == INPUT_REQUEST:
        text = await attendant.enter(question)
        entered = () if text is None else (Tlv(0x1F3A, text),)
        return answer(tlv=(Tlv(0x32, entered),))
    if message.code == BLOCKED_LIST:
        return answer(BLOCKED) if await attendant.is_blocked(question) else answer()
    choose = attendant.choose if message.code == MENU_REQUEST else attendant.check_signature
    item = await choose(question)
    return answer(ABORTED) if item is None else answer(tlv=(Tlv(0x19, item.value),))
