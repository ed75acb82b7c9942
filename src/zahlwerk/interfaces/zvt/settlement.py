"""What a money procedure came to, from what was heard of it; and when nobody can tell and the terminal must be asked.

Pure. Rules, in this order: what was refused was not started; what failed was not charged; only 04 0F with 00, our
acceptance of it, and 06 0F together make an approval; everything else is doubt, and doubt is asked about (`recovery`).

Source: fact sheet 6.3 (steps of a payment), 6.9 (what may be true after a break at each step).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, unique
from typing import Final

from zahlwerk.interfaces.zvt.information import StatusInformation
from zahlwerk.interfaces.zvt.messages import Message

__all__ = ["HOST_CONTACT", "Answered", "Course", "End", "Ending", "conclude"]

ABORT_NOTICE: Final = 0x061E
PIN_AGAIN: Final = 0x37
"""Wrong PIN: the terminal may ask once more within the same procedure (6.3). The last result counts."""
HOST_CONTACT: Final = frozenset({0x04, 0x05, 0xD2, 0xD3})
"""Intermediate states after which the host may have booked. Source: fact sheet 5.1."""


@unique
class Answered(Enum):
    """What we said to a result."""

    NOT_YET = "not yet"
    """Nothing, or "ask again": the terminal knows no decision."""
    ACCEPTED = "accepted"
    PARTLY = "accepted in part"
    REFUSED = "refused"


@dataclass(slots=True)
class Course:
    """One money procedure as it went, filled in while it runs."""

    sent: bool = False
    """The command may have left this machine."""
    accepted: bool = False
    """The terminal has taken it."""
    refusal: Message | None = None
    """84 xx to the command itself."""
    host_contacted: bool = False
    results: list[tuple[StatusInformation, Answered]] = field(default_factory=list)
    """Each 04 0F with our answer."""
    ended: Message | None = None
    """06 0F or 06 1E."""
    broken: str = ""
    """Why the conversation was given up before its end."""
    partial_minor: int | None = None
    """The smaller amount that we accepted (84 9D)."""
    told: Message | None = None
    """The latest 04 0F as it came, for receipts that the register makes itself."""

    @property
    def last(self) -> StatusInformation | None:
        """The result that counts."""
        return self.results[-1][0] if self.results else None

    @property
    def approval(self) -> StatusInformation | None:
        """The latest result 00."""
        return next((result for result, _ in reversed(self.results) if result.result == 0), None)

    def answered(self, answer: Answered) -> None:
        """We have said this to the latest result."""
        if self.results:
            self.results[-1] = (self.results[-1][0], answer)


@unique
class Ending(Enum):
    """What is known of a procedure."""

    NOT_STARTED = "not started"
    APPROVED = "approved"
    ROLLED_BACK = "rolled back"
    NOT_PAID = "not paid"
    DOUBT = "doubt"


@dataclass(frozen=True, slots=True)
class End:
    """What a procedure came to."""

    ending: Ending
    code: int | None = None
    """The result code that says so, for NOT_STARTED and NOT_PAID."""
    result: StatusInformation | None = None
    amount_minor: int | None = None
    """What was approved, if APPROVED."""
    why: str = ""
    """Why there is doubt, for people who connect tills."""


def conclude(course: Course) -> End:
    """What can be known from the procedure itself."""
    if not course.sent:
        return End(Ending.NOT_STARTED, why="nothing was sent")
    if course.refusal is not None:
        return End(Ending.NOT_STARTED, code=_refusal_code(course.refusal))
    last = course.last
    if course.ended is None:
        return _broken(course, last)
    if course.ended.code == ABORT_NOTICE:
        return _aborted(course, last, course.ended.head_number("result"))
    return _completed(course, last)


def _refusal_code(message: Message) -> int:
    # Of 84 1E the reason stands in the block (2.4).
    return message.head_number("result") or message.code & 0xFF


def _broken(course: Course, last: StatusInformation | None) -> End:
    if _was_refused(course) and last is not None and last.result:
        return End(Ending.ROLLED_BACK, code=last.result, result=last)
    if last is not None and last.result and last.result != PIN_AGAIN and course.approval is None:
        return End(Ending.NOT_PAID, code=last.result, result=last)
    return End(Ending.DOUBT, result=last, why=course.broken or "the conversation broke off")


def _aborted(course: Course, last: StatusInformation | None, code: int | None) -> End:
    approval = course.approval
    if approval is not None:
        if _was_refused(course):
            return End(Ending.ROLLED_BACK, code=code, result=approval)
        return End(Ending.DOUBT, result=approval, why=f"approved, then ended with {_hex(code)}")
    if last is not None and last.result:
        return End(Ending.NOT_PAID, code=last.result, result=last)
    if course.host_contacted:
        return End(Ending.DOUBT, result=last, why=f"ended with {_hex(code)} after the host was asked, without a result")
    if code == 0:
        return End(Ending.DOUBT, result=last, why="ended with an abort that names no error")
    return End(Ending.NOT_PAID, code=code if code is not None else 0xFF, result=last)


def _completed(course: Course, last: StatusInformation | None) -> End:
    if last is None:
        return End(Ending.DOUBT, why="completed without a result")
    answered = course.results[-1][1]
    if last.result is None:
        return End(Ending.DOUBT, result=last, why="completed with a result that names no code")
    if last.result != 0:
        if course.approval is not None and not _was_refused(course):
            return End(Ending.DOUBT, result=last, why="approved, then refused")
        ending = Ending.ROLLED_BACK if course.approval is not None else Ending.NOT_PAID
        return End(ending, code=last.result, result=last)
    if answered is Answered.ACCEPTED:
        return End(Ending.APPROVED, result=last, amount_minor=last.amount_minor)
    if answered is Answered.PARTLY:
        return End(Ending.APPROVED, result=last, amount_minor=course.partial_minor)
    why = "we refused it, and the terminal completed it" if _was_refused(course) else "completed before our answer"
    return End(Ending.DOUBT, result=last, why=why)


def _was_refused(course: Course) -> bool:
    return any(answer is Answered.REFUSED and result.result == 0 for result, answer in course.results)


def _hex(code: int | None) -> str:
    return "no code" if code is None else f"{code:02X}"
