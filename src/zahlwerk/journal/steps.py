"""One payment's rows, in the order in which things may happen: written before they do.

`Steps` is the witness that the terminal is given. Two waits for the disk per payment: before the request leaves, and
before the decision about the approval does. What an approved payment came to is written without waiting for it: after
a crash the decision is there, and the terminal tells the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from zahlwerk.errors import InvalidRequest, JournalError, MoneyMoved, TerminalError
from zahlwerk.journal.entries import EntryKind
from zahlwerk.journal.records import Record, unknown_payment
from zahlwerk.journal.undoing import find_undone, note_undoing
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentRequest
from zahlwerk.terminal import Decision, Evidence, Witness

if TYPE_CHECKING:
    from zahlwerk.journal.journal import Journal, Step

__all__ = ["Steps"]


class Steps(Witness):
    """Writes what happens to one payment; made for one attempt."""

    def __init__(
        self, journal: Journal, terminal: str, request: PaymentRequest, outer: Witness, *, actor: str, mark: str = ""
    ) -> None:
        """Args:
        outer: the caller's own witness, who decides.
        mark: the terminal's counters of shift and period as last told; what totals may prove later hangs on them.
        """
        self._journal = journal
        self._terminal = terminal
        self._request = request
        self._outer = outer
        self._actor = actor
        self._mark = mark
        self._asks = type(outer) is not Witness
        self.sent = False
        """The intent is durable; the request may have left."""
        self._decided = False
        self._refused_to_send = False
        self._takes_back = False

    # -- the witness

    async def sending(self, evidence: Evidence) -> None:
        await self._outer.sending(evidence)
        if self.sent:
            return
        try:
            body: dict[str, object] = {"evidence": dict(evidence)}
            if self._mark:
                body["mark"] = self._mark
            await self._write((*self._asked(), (EntryKind.SENT, body)))
        except JournalError:
            self._refused_to_send = True
            raise
        self.sent = True

    async def approved(self, payment: Payment) -> Decision:
        try:
            return await self._approved(payment)
        except Exception:
            self._takes_back = True  # the port: an approval over which the witness raises is rolled back
            raise

    async def _approved(self, payment: Payment) -> Decision:
        # A hold too is only approved so far: it is held once the terminal has said its last word about it.
        told: Step = (EntryKind.APPROVED, {"payment": payment.but(state=PaymentState.APPROVED)})
        if not self.sent:  # a terminal that asks its witness about approvals only
            await self.sending({})
        if not self._asks:
            await self._write((told, *self._decision(Decision(confirm=True), payment)), payment.sequence)
            self._decided = True
            return Decision(confirm=True)
        # The register may be told of the approval by the outer witness: it must be durable by then.
        await self._write((told,), payment.sequence)
        try:
            decision = await self._outer.approved(payment)
            _must_be_possible(decision, payment)
        except Exception:
            await self._write(self._decision(Decision(confirm=False), payment), payment.sequence)
            raise
        await self._write(self._decision(decision, payment), payment.sequence)
        self._decided = True
        return decision

    async def amount_for(self, amount: Money, reasons: tuple[Mapping[str, int], ...]) -> Money:
        return await self._outer.amount_for(amount, reasons)

    def _decision(self, decision: Decision, payment: Payment) -> tuple[Step, ...]:
        if decision.confirm:
            # Of a hold this says that it is kept; nothing is taken yet.
            amount = decision.amount or payment.approved
            body = {"amount": f"{amount.amount} {amount.currency.code}"} if decision.amount and amount else {}
            return ((EntryKind.CONFIRMING, body),)
        return ((EntryKind.ROLLING_BACK, {}),)

    # -- how it ended

    async def ended(self, payment: Payment) -> Payment:
        """The terminal's last word."""
        record = await self._record()
        undone = await self._undone(payment)
        before = self._asked() if record is None else ()
        if record is None:
            sent: Step = (EntryKind.SENT, {"evidence": {}})
            never_left = payment.outcome is not Outcome.APPROVED and not self.sent
            before = (
                before
                if never_left and payment.state in {PaymentState.ABORTED, PaymentState.FAILED}
                else (*before, sent)
            )
        try:
            written = self._journal.end(
                record if record is not None else self._blank(), payment, before=before, actor=self._actor
            )
            note_undoing(self._journal, undone, self._request, payment)
            # An approval whose decision is durable needs no further wait; recovery would find the same.
            if not (self._decided and payment.state is PaymentState.CONFIRMED):
                await written
        except JournalError:
            self._keep(payment)
        return payment

    async def _undone(self, payment: Payment) -> Record | None:
        try:
            return await find_undone(self._journal, self._terminal, self._request, payment)
        except JournalError:
            return None

    async def raised(self, error: TerminalError) -> None:
        """The terminal, the journal or the caller's witness refused."""
        no_money = error.money_moved is MoneyMoved.NO
        try:
            record = await self._record()
        except JournalError:
            record = None
        if self._refused_to_send:
            # Whether the intent became durable is not known; that it never left is.
            self._keep(self._failed(error), started=False)
            return
        if record is not None and record.state not in {PaymentState.REQUESTED, PaymentState.SENT}:
            # The caller's witness, or the journal, failed over an approval: what the terminal made of it is asked.
            no_money = False
            error.money_moved = MoneyMoved.MAYBE
        if record is None and not no_money:
            return
        payment = self._failed(error) if no_money else unknown_payment(record or self._blank(), str(error))
        before = self._asked() if record is None else ()
        try:
            await self._journal.end(
                record if record is not None else self._blank(), payment,
                why=str(error), started=not no_money, before=before, actor=self._actor,
                takes_back=self._takes_back and not no_money,
            )  # fmt: skip
        except JournalError:
            self._keep(payment, started=not no_money, takes_back=self._takes_back)

    def abandoned(self) -> None:
        """The caller went away in the middle."""
        record = self._journal.peek(self._request.reference)
        if record is None or not record.is_open or record.state is PaymentState.HELD:
            return
        payment = unknown_payment(record, "the caller went away")
        self._journal.end(record, payment, why="the caller went away", actor=self._actor, takes_back=self._takes_back)

    # -- inside

    def _asked(self) -> tuple[Step, ...]:
        return ((EntryKind.REQUESTED, {"request": self._request}),)

    def _blank(self) -> Record:
        """A payment of which nothing is written yet."""
        return Record(
            reference=self._request.reference, terminal=self._terminal, state=PaymentState.REQUESTED,
            first=0, last=0, since="", moment="", request=self._request,
        )  # fmt: skip

    async def _record(self) -> Record | None:
        """What is written of this attempt; None while that is nothing."""
        if not self.sent and not self._refused_to_send:
            return None
        return await self._journal.find(self._request.reference)

    def _keep(self, payment: Payment, *, started: bool = True, takes_back: bool = False) -> None:
        self._journal.keep(
            self._request.reference, self._terminal, payment,
            started=started, request=self._request, takes_back=takes_back,
        )  # fmt: skip

    def _failed(self, error: TerminalError) -> Payment:
        return Payment(
            reference=self._request.reference, kind=self._request.kind, outcome=Outcome.FAILED,
            state=PaymentState.FAILED, requested=self._request.total, message=str(error),
        )  # fmt: skip

    async def _write(self, steps: Sequence[Step], sequence: int | None = None) -> None:
        if steps:
            await self._journal.write(
                self._request.reference, self._terminal, steps, sequence=sequence, actor=self._actor
            )


def _must_be_possible(decision: Decision, payment: Payment) -> None:
    """A driver rolls back over a decision that cannot be carried out: so it must not stand there as a confirmation."""
    if not decision.confirm or decision.amount is None or payment.approved is None:
        return
    is_other = decision.amount.currency != payment.approved.currency
    if is_other or not 0 < decision.amount.amount <= payment.approved.amount:
        raise InvalidRequest(f"a confirmation takes at most {payment.approved}, got {decision.amount}")
