"""What the driver remembers of a payment, and how an ending becomes a `Payment`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from zahlwerk.errors import InvalidRequest, MoneyMoved, TerminalRefused
from zahlwerk.interfaces.kit.messages import TransactionResponse
from zahlwerk.interfaces.kit.settlement import End, Ending, Facts, Phase
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Currency, Money
from zahlwerk.payment import AMOUNT_KINDS, Original, Outcome, Payment, PaymentKind, PaymentRequest
from zahlwerk.terminal import Decision, Evidence

__all__ = [
    "Attempt",
    "attempt_from",
    "check_decision",
    "concerns",
    "ended",
    "evidence_of",
    "must_be_same",
    "settled_before",
]


@dataclass(slots=True)
class Attempt:
    """One payment of ours: what was asked, what is known, what became of it."""

    request: PaymentRequest
    facts: Facts
    payment: Payment | None = None
    late: TransactionResponse | None = None
    """An answer that came after it had been given up as UNKNOWN."""

    @property
    def is_open(self) -> bool:
        """True while nobody knows what became of it."""
        return self.payment is not None and self.payment.outcome is Outcome.UNKNOWN


def evidence_of(attempt: Attempt) -> Evidence:
    """What `Witness.sending` is given: enough to settle the payment from another process."""
    request, total = attempt.request, attempt.request.total
    texts = dict(attempt.facts.to_evidence())
    texts["kind"] = request.kind.value
    if total is not None:
        texts["requested_minor"] = str(total.amount)
        texts["currency"] = total.currency.code
    return MappingProxyType(texts)


def attempt_from(reference: str, evidence: Evidence, sequence: int | None) -> Attempt:
    """A payment of an earlier process, out of what its witness wrote down. What was decided since then may be added
    as `confirm` (1 or 0), `sequence` and `amount_minor`.

    Raises:
        InvalidRequest: the evidence names no kind or amount that could be a payment.
    """
    facts = Facts.from_evidence(evidence)
    if sequence is not None:
        facts = facts.but(sequence=sequence)
    try:
        kind = PaymentKind(evidence.get("kind", PaymentKind.PURCHASE.value))
    except ValueError as exc:
        raise InvalidRequest("the evidence names no kind of payment") from exc
    amount = None
    minor = evidence.get("requested_minor", "")
    if kind in AMOUNT_KINDS and minor.isascii() and minor.isdigit():
        amount = Money(int(minor), Currency.of(evidence.get("currency", "")))
    if kind in AMOUNT_KINDS and amount is None:
        raise InvalidRequest("the evidence names no amount")
    request = PaymentRequest(
        kind=PaymentKind.PURCHASE if kind is PaymentKind.PURCHASE_WITH_CASHBACK else kind,
        amount=amount,
        reference=reference,
        original=Original(transaction_reference="-"),
        authorisation_code="-",
    )
    return Attempt(request, facts)


_ENDED: Final[Mapping[Ending, tuple[Outcome, PaymentState]]] = MappingProxyType({
    Ending.CONFIRMED: (Outcome.APPROVED, PaymentState.CONFIRMED),
    Ending.HELD: (Outcome.APPROVED, PaymentState.HELD),
    Ending.RELEASED: (Outcome.ABORTED, PaymentState.RELEASED),
    Ending.ROLLED_BACK: (Outcome.ABORTED, PaymentState.ROLLED_BACK),
    Ending.FAILED: (Outcome.FAILED, PaymentState.FAILED),
    # Who was refused is told by an error; who has gone away meanwhile is not there any more to be told.
    Ending.REFUSED: (Outcome.FAILED, PaymentState.FAILED),
    Ending.UNKNOWN: (Outcome.UNKNOWN, PaymentState.UNKNOWN),
})  # fmt: skip


def ended(payment: Payment, end: End) -> Payment:
    """The payment as it ended; the terminal's own words stand where it gave any."""
    if end.ending is Ending.NOT_APPROVED:
        return payment
    outcome, state = _ENDED[end.ending]
    approved = payment.approved if outcome is Outcome.APPROVED else None
    return payment.but(outcome=outcome, state=state, approved=approved, message=end.why or payment.message)


def settled_before(known: Payment, amount: Money | None) -> Payment:
    """The same settlement of a hold once more changes nothing; another one is refused.

    Raises:
        TerminalRefused: it was settled otherwise.
    """
    same = known.approved == amount if known.state is PaymentState.CAPTURED else amount is None
    if not same:
        raise TerminalRefused(
            f"this hold was {known.state.value} before", money_moved=known.money_moved, remedy="refund the difference"
        )
    return known


def must_be_same(attempt: Attempt, amount: Money | None) -> None:
    """Of a hold whose settlement was lost, only the same settlement may be tried again (4.9, rule 4).

    Raises:
        TerminalRefused: another one is wanted; money may have moved.
    """
    decided = attempt.facts.confirm
    wanted = amount.amount if amount is not None else None
    if decided is not None and (decided is not (amount is not None) or attempt.facts.amount_minor != wanted):
        raise TerminalRefused(
            "nobody knows yet what became of the former settlement of this hold",
            money_moved=MoneyMoved.MAYBE,
            remedy="look it up first",
        )


def check_decision(decision: Decision, payment: Payment) -> None:
    """A decision that cannot be carried out is a fault of the witness.

    Raises:
        InvalidRequest: more than was approved, nothing at all, or another currency.
    """
    if decision.amount is None or not decision.confirm or payment.approved is None:
        return
    if decision.amount.amount <= 0 or decision.amount > payment.approved:
        raise InvalidRequest(f"a confirmation takes at most {payment.approved}, got {decision.amount}")


_ASKS: Final[Mapping[Phase, str]] = MappingProxyType({
    Phase.HOLDS: "ReportRequest",
    Phase.COUNTER: "ActivationRequest",
    Phase.RECEIPT: "ReceiptRequest",
})  # fmt: skip
_TRANSACTION: Final = frozenset({Phase.RUNNING, Phase.CONFIRMING, Phase.ROLLING_BACK, Phase.TAKING_BACK})


def concerns(phase: Phase, request: str) -> bool:
    """Whether an error that answers `request` (or nothing that is known) concerns a settlement in this phase."""
    return _ASKS.get(phase) == request or (not request and phase in _TRANSACTION)
