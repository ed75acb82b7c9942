"""Answers the terminal's results: at once where nothing is to decide, by the witness's word about an approval. I/O.

The answer to 04 0F is the commit (fact sheet 6.3), so it leaves only when the witness has returned. Meanwhile the
terminal is kept waiting: by BMP 01 where it knows that, and by "ask again" before its T3 ends (6.4).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from zahlwerk.clock import Clock
from zahlwerk.interfaces.zvt.attempts import Attempt, check_decision
from zahlwerk.interfaces.zvt.information import StatusInformation
from zahlwerk.interfaces.zvt.messages import Message, answer
from zahlwerk.interfaces.zvt.profiles import Profile
from zahlwerk.interfaces.zvt.recovery import keys_of
from zahlwerk.interfaces.zvt.settlement import Answered, Course
from zahlwerk.payment import Payment
from zahlwerk.terminal import ROLL_BACK, Decision, Witness
from zahlwerk.transport.pump import Alarm

__all__ = ["Decider"]

NOT_DELIVERED: Final = 0x8466
ASK_AGAIN: Final = 0x849C
PARTLY_DELIVERED: Final = 0x849D
# LIMIT: different results within one procedure: PIN tried again, final data after the goods.
RESULTS_MAX: Final = 50


class Decider:
    """The answers of one procedure."""

    def __init__(
        self,
        attempt: Attempt,
        course: Course,
        witness: Witness,
        *,
        reply: Callable[[Message], bool],
        show: Callable[[StatusInformation], Payment],
        profile: Profile,
        clock: Clock,
    ) -> None:
        """Args:
        reply: sends the answer; False if the terminal no longer waits for it.
        show: the payment that the witness is shown.
        """
        self._attempt = attempt
        self._course = course
        self._witness = witness
        self._reply = reply
        self._show = show
        self._profile = profile
        self._clock = clock
        self._alarm = Alarm(clock, self._ask_again)
        self._owed = False
        self._apdu = b""
        self._task: asyncio.Task[None] | None = None
        self._error: Exception | None = None

    def result(self, information: StatusInformation, apdu: bytes) -> None:
        """A result has come and waits for an answer."""
        course = self._course
        if self._is_the_one_before(information):
            self._reply(answer())  # it is accepted already; this procedure's own result is still to come
            return
        if course.results and self._apdu == apdu and course.results[-1][1] is Answered.NOT_YET:
            course.results.pop()  # shown again, as we asked
        self._apdu = apdu
        course.results.append((information, Answered.NOT_YET))
        if len(course.results) > RESULTS_MAX:
            course.results.pop(0)
        if information.result != 0:
            self._say(answer(), Answered.ACCEPTED)
            return
        self._attempt.doubt = replace(self._attempt.doubt, seen=keys_of(information))
        self._owed = True
        if self._task is None:
            self._attempt.shown = True
            self._task = asyncio.create_task(self._ask_witness(self._show(information)))
        elif self._attempt.decision is not None:
            self._answer(self._attempt.decision, information)
            return
        self._alarm.set(self._clock.now_s() + self._profile.timers.answer_by_s)

    async def finish(self) -> Exception | None:
        """The procedure is over: wait for the witness, who may still be writing; what it raised."""
        try:
            if self._task is not None:
                await self._task
        finally:
            self._alarm.cancel()
        return self._error

    def close(self) -> None:
        """Nobody waits any more."""
        self._alarm.cancel()
        if self._task is not None:
            self._task.cancel()

    # -- inside

    def _is_the_one_before(self, information: StatusInformation) -> bool:
        """Late or doubled: the result of the transaction that was the latest before this one (6.10)."""
        before, keys = self._attempt.doubt.before, keys_of(information)
        if before is None or self._attempt.settles is not None:
            return False
        return min(before.count, keys.count) > 2 and before.shares_a_number(keys) and before.is_same(keys)

    async def _ask_witness(self, payment: Payment) -> None:
        try:
            decision = await self._witness.approved(payment)
            check_decision(decision, payment, partial=self._profile.partial_goods)
        except Exception as exc:
            self._error = exc
            decision = ROLL_BACK
        self._attempt.decision = decision
        approval = self._course.approval
        if approval is not None:
            self._answer(decision, approval)

    def _answer(self, decision: Decision, information: StatusInformation) -> None:
        if not self._owed:
            return  # the terminal asks again in a moment, or has given up
        if not decision.confirm:
            self._say(answer(NOT_DELIVERED), Answered.REFUSED)
        elif decision.amount is None or decision.amount.amount == information.amount_minor:
            self._say(answer(), Answered.ACCEPTED)
        else:
            self._course.partial_minor = decision.amount.amount
            self._say(answer(PARTLY_DELIVERED, fields={0x04: decision.amount.amount}), Answered.PARTLY)

    def _ask_again(self) -> None:
        if self._owed and self._attempt.decision is None and self._profile.goods in {"again", "both"}:
            self._owed = False
            self._reply(answer(ASK_AGAIN))

    def _say(self, message: Message, meaning: Answered) -> None:
        self._owed = False
        self._alarm.cancel()
        if self._reply(message):
            self._course.answered(meaning)
