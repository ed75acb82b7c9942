"""Faults planted into the journal, the drivers and the endpoints: each breaks money, and the simulation must find it.

Nothing is planted in the product's code: each mutant replaces a function for as long as a `pytest.MonkeyPatch` lasts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pytest

from zahlwerk.errors import JournalError, TerminalError
from zahlwerk.interfaces.kit import settlement as kit_settlement
from zahlwerk.interfaces.kit import transactions as kit_endpoint
from zahlwerk.interfaces.kit.messages import TransactionConfirmationResponse
from zahlwerk.interfaces.zvt import decider as zvt_decider
from zahlwerk.interfaces.zvt import payments as zvt_payments
from zahlwerk.interfaces.zvt import transactions as zvt_endpoint
from zahlwerk.interfaces.zvt.messages import answer
from zahlwerk.interfaces.zvt.recovery import Finding, judge
from zahlwerk.interfaces.zvt.settlement import Answered
from zahlwerk.journal import recovery as journal_recovery
from zahlwerk.journal import undoing
from zahlwerk.journal.entries import EntryKind, Head
from zahlwerk.journal.journal import Journal
from zahlwerk.journal.records import Record
from zahlwerk.journal.recovery import Recovery
from zahlwerk.journal.steps import Steps
from zahlwerk.journal.terminal import JournaledTerminal
from zahlwerk.journal.writer import Writer
from zahlwerk.lifecycle import PaymentState
from zahlwerk.payment import Outcome
from zahlwerk.simulation.runner import Plan, Result, run_once
from zahlwerk.terminal import CONFIRM, HoldId

__all__ = ["LIMIT", "MUTANTS", "Mutant", "first_caught"]

LIMIT: Final = 2_000
"""Seeds within which a fault must be found."""

# What is replaced takes whatever the original takes.
Plant = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One planted fault."""

    name: str
    what: str
    part: str
    """journal, driver or endpoint."""
    interface: str
    plant: Plant
    profile: str = "all"
    within: int = 40
    """The test looks at so many seeds, from 0 on."""


def first_caught(mutant: Mutant, seeds: range) -> Result | None:
    """The first run that fails with the fault in place; None if none does."""
    with pytest.MonkeyPatch.context() as patch:
        mutant.plant(patch)
        for seed in seeds:
            result = run_once(Plan(seed, mutant.interface, mutant.profile))
            if result.failed:
                return result
    return None


# -- the journal: what is written when


def _does_not_wait_for(kinds: frozenset[EntryKind]) -> Plant:
    def plant(patch: pytest.MonkeyPatch) -> None:
        async def write(self: Any, steps: Sequence[Any], sequence: int | None = None) -> None:
            if not steps:
                return
            written = self._journal.write(
                self._request.reference, self._terminal, steps, sequence=sequence, actor=self._actor
            )
            if not kinds & {kind for kind, _ in steps}:
                await written

        patch.setattr(Steps, "_write", write)

    return plant


def _lost_duplicate_check(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Record, "may_be_tried_again", property(lambda record: not record.is_open))


def _joiners_pay_again(patch: pytest.MonkeyPatch) -> None:
    async def join(self: Any, _running: Any, request: Any, witness: Any) -> Any:
        async with self._turn:
            return await self.inner.transact(request, witness=witness)

    patch.setattr(JournaledTerminal, "_join", join)


def _not_found_is_not_paid(patch: pytest.MonkeyPatch) -> None:
    original = Recovery._looked_up

    async def looked_up(self: Any, record: Record) -> Any:
        found = await original(self, record)
        if found.outcome is Outcome.UNKNOWN:
            return found.but(outcome=Outcome.FAILED, state=PaymentState.FAILED)
        return found

    patch.setattr(Recovery, "_looked_up", looked_up)


def _unknown_is_declined(patch: pytest.MonkeyPatch) -> None:
    original = Steps.ended

    async def ended(self: Any, payment: Any) -> Any:
        if payment.outcome is Outcome.UNKNOWN:
            payment = payment.but(outcome=Outcome.DECLINED, state=PaymentState.DECLINED)
        return await original(self, payment)

    patch.setattr(Steps, "ended", ended)


def _lookup_always_confirms(patch: pytest.MonkeyPatch) -> None:
    original = Record.evidence_for_lookup
    patch.setattr(Record, "evidence_for_lookup", lambda self: {**original(self), "confirm": "1"})


def _asked_for_is_booked(patch: pytest.MonkeyPatch) -> None:
    original = Steps.ended

    async def ended(self: Any, payment: Any) -> Any:
        if payment.outcome is Outcome.APPROVED and payment.requested is not None:
            payment = payment.but(approved=payment.requested)
        return await original(self, payment)

    patch.setattr(Steps, "ended", ended)


def _release_is_believed(patch: pytest.MonkeyPatch) -> None:
    original = Recovery._ask_settlement

    async def ask(self: Any, record: Record) -> Any:
        if record.confirms or record.shown is None:
            return await original(self, record)
        gone = record.shown.but(outcome=Outcome.ABORTED, state=PaymentState.RELEASED, approved=None)
        return await self._end(record, gone)

    patch.setattr(Recovery, "_ask_settlement", ask)


def _open_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    async def read_open(self: Any) -> None:
        self._settled.clear()
        self._open = {}

    patch.setattr(Journal, "_read_open", read_open)


def _reversal_at_the_wrong_payment(patch: pytest.MonkeyPatch) -> None:
    async def latest(journal: Journal, terminal: str, request: Any, payment: Any) -> Record | None:
        for sequence in range(1, payment.sequence or 0):
            for record in await journal.by_sequence(terminal, sequence):
                if undoing._can_be_undone(record, request):
                    return record
        return None

    patch.setattr(undoing, "_latest", latest)


# -- the journal: the writer


def _answers_first(patch: pytest.MonkeyPatch) -> None:
    original = Writer._commit

    async def commit(self: Any, rows: Any, batch: Any) -> None:
        self._answer(rows, batch)
        await original(self, rows, batch)

    patch.setattr(Writer, "_commit", commit)


def _loses_the_last_of_a_batch(patch: pytest.MonkeyPatch) -> None:
    original = Writer._next_batch

    def next_batch(self: Any) -> Any:
        batch = original(self)
        if len(batch) > 1:
            lost = batch.pop()
            lost.done.set_result(())
        return batch

    patch.setattr(Writer, "_next_batch", next_batch)


def _head_moves_all_the_same(patch: pytest.MonkeyPatch) -> None:
    original = Writer._commit

    async def commit(self: Any, rows: Any, batch: Any) -> None:
        try:
            await original(self, rows, batch)
        except JournalError:
            self._head = Head(rows[-1].number, rows[-1].hash, self._head.epoch)
            raise

    patch.setattr(Writer, "_commit", commit)


# -- the drivers


def _kit_captures_all(patch: pytest.MonkeyPatch) -> None:
    original = kit_settlement.Settlement.settle_hold

    def settle_hold(self: Any, *, now_s: float) -> None:
        self._facts = self._facts.but(amount_minor=None)
        original(self, now_s=now_s)

    patch.setattr(kit_settlement.Settlement, "settle_hold", settle_hold)


def _kit_refusal_is_not_paid(patch: pytest.MonkeyPatch) -> None:
    original = kit_settlement.Settlement._confirmation_refused

    def refused(self: Any, now_s: float) -> None:
        if self.confirm_sent:
            self._end(kit_settlement.Ending.FAILED, "the terminal refuses the confirmation")
        else:
            original(self, now_s)

    patch.setattr(kit_settlement.Settlement, "_confirmation_refused", refused)


def _kit_lost_is_rolled_back(patch: pytest.MonkeyPatch) -> None:
    def lost(self: Any, status: int | None, now_s: float) -> None:
        if self._facts.confirm is True and not self._facts.is_kept:
            self._end(kit_settlement.Ending.ROLLED_BACK, "the connection was lost")
        else:
            original(self, status, now_s)

    original = kit_settlement.Settlement._session_up
    patch.setattr(kit_settlement.Settlement, "_session_up", lost)


def _zvt_sends_again(patch: pytest.MonkeyPatch) -> None:
    original = zvt_payments.Payments._carry_out

    async def carry_out(self: Any, attempt: Any, command: Any, witness: Any) -> Any:
        payment = await original(self, attempt, command, witness)
        if payment.outcome is Outcome.UNKNOWN:
            payment = await original(self, attempt, command, witness)
        return payment

    patch.setattr(zvt_payments.Payments, "_carry_out", carry_out)


def _zvt_by_amount_only(patch: pytest.MonkeyPatch) -> None:
    def by_amount(doubt: Any, reported: Any, **how: Any) -> Finding:
        if reported is not None and reported.result == 0 and reported.amount_minor == doubt.amount_minor:
            return Finding.OURS
        return judge(doubt, reported, **how)

    async def nobody(*_: Any) -> str:
        return ""

    patch.setattr(zvt_payments, "judge", by_amount)
    patch.setattr(zvt_payments.Payments, "_is_taken", lambda *_: False)
    patch.setattr(journal_recovery, "belongs_to", nobody)


def _zvt_accepts_first(patch: pytest.MonkeyPatch) -> None:
    original = zvt_decider.Decider.result

    def result(self: Any, information: Any, apdu: bytes) -> None:
        original(self, information, apdu)
        if self._owed:
            self._say(answer(), Answered.ACCEPTED)

    patch.setattr(zvt_decider.Decider, "result", result)


# -- the endpoints


def _kit_silence_confirms(patch: pytest.MonkeyPatch) -> None:
    def decide(self: Any) -> None:
        if self._decision is not None and not self._decision.done():
            self._decision.set_result((True, None))

    patch.setattr(kit_endpoint.Transactions, "_decide_no_more", decide)


def _kit_rolls_nothing_back(patch: pytest.MonkeyPatch) -> None:
    original = kit_endpoint.Transactions.ask_register

    async def ask(self: Any, payment: Any) -> Any:
        await original(self, payment)
        return CONFIRM

    patch.setattr(kit_endpoint.Transactions, "ask_register", ask)


def _kit_answers_a_hold_first(patch: pytest.MonkeyPatch) -> None:
    async def settle_hold(self: Any, wanted: Any) -> None:
        amount = await self._hold_amount(wanted)
        self._side.hold_settled(wanted, TransactionConfirmationResponse())
        self._turn()
        try:
            if wanted.confirm:
                await self._terminal.settle(HoldId(str(wanted.sequence)), amount)
        except TerminalError:
            return

    patch.setattr(kit_endpoint.Transactions, "settle_hold", settle_hold)


def _zvt_silence_confirms(patch: pytest.MonkeyPatch) -> None:
    original = zvt_endpoint.Transactions._decision_of

    def decision_of(self: Any, told: Any, payment: Any) -> Any:
        return CONFIRM if told is None else original(self, told, payment)

    patch.setattr(zvt_endpoint.Transactions, "_decision_of", decision_of)


MUTANTS: Final[tuple[Mutant, ...]] = (
    Mutant(
        name="sends-before-durable", part="journal", interface="kit",
        what="the request leaves before the intent is durable",
        plant=_does_not_wait_for(frozenset({EntryKind.SENT})),
    ),
    Mutant(
        name="confirms-before-durable", part="journal", interface="kit",
        what="the confirmation leaves before the approval is durable",
        plant=_does_not_wait_for(frozenset({EntryKind.APPROVED, EntryKind.CONFIRMING})),
    ),
    Mutant(
        name="no-duplicate-check", part="journal", interface="kit",
        what="a reference that is paid is charged again", plant=_lost_duplicate_check,
    ),
    Mutant(
        name="joiner-pays", part="journal", interface="kit",
        what="the second caller of a running payment pays by itself", plant=_joiners_pay_again,
    ),
    Mutant(
        name="not-found-is-not-paid", part="journal", interface="kit", profile="terminal", within=90,
        what="what the terminal cannot tell is read as not paid", plant=_not_found_is_not_paid,
    ),
    Mutant(
        name="not-found-is-not-paid", part="journal", interface="zvt", profile="terminal", within=90,
        what="what the terminal cannot tell is read as not paid", plant=_not_found_is_not_paid,
    ),
    Mutant(
        name="unknown-is-declined", part="journal", interface="zvt", profile="links",
        what="an outcome that nobody knows is told as declined", plant=_unknown_is_declined,
    ),
    Mutant(
        name="unknown-is-declined", part="journal", interface="kit", profile="links", within=120,
        what="an outcome that nobody knows is told as declined", plant=_unknown_is_declined,
    ),
    Mutant(
        name="recovery-confirms", part="journal", interface="kit", profile="crashes",
        what="recovery confirms whatever was decided, or not decided", plant=_lookup_always_confirms,
    ),
    Mutant(
        name="books-what-was-asked", part="journal", interface="kit",
        what="the amount asked for is booked, not the one approved", plant=_asked_for_is_booked,
    ),
    Mutant(
        name="release-is-believed", part="journal", interface="kit", profile="crashes", within=150,
        what="a release whose answer was lost is taken as done", plant=_release_is_believed,
    ),
    Mutant(
        name="open-is-forgotten", part="journal", interface="zvt", profile="crashes", within=150,
        what="a restart forgets what was open", plant=_open_is_forgotten,
    ),
    Mutant(
        name="reversal-noted-wrong", part="journal", interface="kit",
        what="a reversal is noted at another payment than it undid", plant=_reversal_at_the_wrong_payment,
    ),
    Mutant(
        name="answers-before-commit", part="journal", interface="kit",
        what="the writer answers before the commit", plant=_answers_first,
    ),
    Mutant(
        name="loses-a-row", part="journal", interface="kit",
        what="of entries that are committed together the last is lost", plant=_loses_the_last_of_a_batch,
    ),
    Mutant(
        name="head-moves", part="journal", interface="kit",
        what="the chain goes on from a commit that failed", plant=_head_moves_all_the_same,
    ),
    Mutant(
        name="kit-captures-all", part="driver", interface="kit",
        what="a capture takes the limit of the hold, not the price", plant=_kit_captures_all,
    ),
    Mutant(
        name="kit-refusal-is-not-paid", part="driver", interface="kit", profile="links", within=150,
        what="a confirmation that is refused, or not answered, is read as not paid", plant=_kit_refusal_is_not_paid,
    ),
    Mutant(
        name="kit-lost-confirmation", part="driver", interface="kit", within=120,
        what="a confirmation whose answer was lost is told as rolled back", plant=_kit_lost_is_rolled_back,
    ),
    Mutant(
        name="zvt-sends-again", part="driver", interface="zvt", within=200,
        what="a payment of which nothing is known is sent again", plant=_zvt_sends_again,
    ),
    Mutant(
        name="zvt-by-amount", part="driver", interface="zvt", profile="links", within=60,
        what="the terminal's latest transaction is taken for ours if the amount is equal", plant=_zvt_by_amount_only,
    ),
    Mutant(
        name="zvt-accepts-first", part="driver", interface="zvt",
        what="the result is accepted before the witness has decided", plant=_zvt_accepts_first,
    ),
    Mutant(
        name="kit-silence-confirms", part="endpoint", interface="kit",
        what="an approval whose confirmation never came is kept", plant=_kit_silence_confirms,
    ),
    Mutant(
        name="kit-rolls-nothing-back", part="endpoint", interface="kit",
        what="a rollback is answered, and the money taken", plant=_kit_rolls_nothing_back,
    ),
    Mutant(
        name="kit-releases-nothing", part="endpoint", interface="kit",
        what="a release is answered, and the hold left", plant=_kit_answers_a_hold_first,
    ),
    Mutant(
        name="zvt-silence-confirms", part="endpoint", interface="zvt",
        what="the register's answer to an approval was lost, and the money is taken", plant=_zvt_silence_confirms,
    ),
)  # fmt: skip
