"""What the driver remembers of a payment, and what of it is written down beforehand. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final

from zahlwerk.errors import InvalidRequest, TerminalRefused
from zahlwerk.interfaces.zvt.recovery import Doubt, Keys
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Currency, Money
from zahlwerk.payment import AMOUNT_KINDS, Original, Outcome, Payment, PaymentKind, PaymentRequest
from zahlwerk.terminal import CONFIRM, Decision, Evidence

__all__ = [
    "Attempt",
    "attempt_from",
    "check_decision",
    "evidence_of",
    "not_stored",
    "settled_before",
    "settled_elsewhere",
    "settling",
    "step_request",
    "stopped",
    "unknown",
]

_UNDOING: Final = frozenset({PaymentKind.REVERSAL, PaymentKind.RESERVATION_CANCEL})


@dataclass(slots=True)
class Attempt:
    """One payment of ours: what was asked, what is known, what was decided, what became of it."""

    request: PaymentRequest
    doubt: Doubt
    decision: Decision | None = None
    """What the witness said; None while it has not been asked, or has not answered."""
    payment: Payment | None = None
    shown: bool = False
    """The witness was shown an approval."""
    settles: int | None = None
    """The receipt of the hold that this captures or releases; None for anything else."""
    captures: Money | None = None
    """With `settles`: how much; None releases it."""
    doubted_s: float | None = None
    """Since when nobody knows, by the monotonic clock."""

    @property
    def is_open(self) -> bool:
        """True while nobody knows what became of it."""
        return self.payment is not None and self.payment.outcome is Outcome.UNKNOWN


def evidence_of(attempt: Attempt) -> Evidence:
    """What `Witness.sending` is given: enough to settle the payment from another process."""
    request, total = attempt.request, attempt.request.total
    texts = {**attempt.doubt.to_evidence(), "kind": request.kind.value}
    if total is not None:
        texts["requested_minor"] = str(total.amount)
        texts["currency"] = total.currency.code
    return MappingProxyType(texts)


def attempt_from(reference: str, evidence: Evidence, sequence: int | None, *, now: datetime) -> Attempt:
    """A payment of an earlier process, out of what its witness wrote down.

    What was decided since then may be added as `confirm` (`1`, `0`, `none`), `sequence` (the receipt number of its
    approval) and `amount_minor` (what was confirmed).

    Raises:
        InvalidRequest: the evidence names no kind or amount that could be a payment.
    """
    try:
        kind = PaymentKind(evidence.get("kind", PaymentKind.PURCHASE.value))
    except ValueError as exc:
        raise InvalidRequest("the evidence names no kind of payment") from exc
    amount = _amount(evidence, "requested_minor")
    if kind in AMOUNT_KINDS and amount is None:
        raise InvalidRequest("the evidence names no amount")
    doubt = Doubt.from_evidence(
        evidence, amount_minor=amount.amount if amount is not None else None, is_reversal=kind in _UNDOING, now=now
    )
    receipt = sequence if sequence is not None else _number(evidence.get("sequence", ""))
    if receipt is not None and doubt.seen is None:
        terminal_id = doubt.before.terminal_id if doubt.before is not None else ""
        doubt = replace(doubt, seen=Keys(terminal_id, receipt=receipt))
    decision = _decision(evidence)
    if decision is not None and decision.amount is not None:
        doubt = replace(doubt, partial=True)
    request = PaymentRequest(
        kind=PaymentKind.PURCHASE if kind is PaymentKind.PURCHASE_WITH_CASHBACK else kind,
        amount=amount if kind in AMOUNT_KINDS else None,
        reference=reference,
        original=Original(transaction_reference=f"{receipt:04d}" if receipt is not None else "0"),
        authorisation_code="-",
    )
    return Attempt(request, doubt, decision=decision)


def _decision(evidence: Evidence) -> Decision | None:
    match evidence.get("confirm", ""):
        case "1":
            return Decision(confirm=True, amount=_amount(evidence, "amount_minor"))
        case "0":
            return Decision(confirm=False)
        case _:
            return None


def _amount(evidence: Mapping[str, str], name: str) -> Money | None:
    minor = _number(evidence.get(name, ""))
    return None if minor is None else Money(minor, Currency.of(evidence.get("currency", "")))


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 12 else None


def check_decision(decision: Decision, payment: Payment, *, partial: bool) -> None:
    """A decision that cannot be carried out is a fault of the witness.

    Args:
        partial: the terminal takes less than it approved.

    Raises:
        InvalidRequest: more than was approved, nothing at all, another currency, or less where that cannot be said.
    """
    if decision.amount is None or not decision.confirm or payment.approved is None:
        return
    if decision.amount.amount <= 0 or decision.amount > payment.approved:
        raise InvalidRequest(f"a confirmation takes at most {payment.approved}, got {decision.amount}")
    if decision.amount != payment.approved and not partial:
        raise InvalidRequest(
            "this terminal takes all that it approved, or nothing", remedy="use a hold, and capture less"
        )


def unknown(request: PaymentRequest, why: str) -> Payment:
    """Nobody knows."""
    return Payment(
        reference=request.reference,
        kind=request.kind,
        outcome=Outcome.UNKNOWN,
        state=PaymentState.UNKNOWN,
        requested=request.total,
        message=f"not known yet: {why}. Do not charge again; look it up",
    )


def stopped(request: PaymentRequest) -> Payment:
    """Aborted before anything was sent."""
    return Payment(
        reference=request.reference,
        kind=request.kind,
        outcome=Outcome.ABORTED,
        state=PaymentState.ABORTED,
        requested=request.total,
        message="stopped before it was sent to the terminal",
    )


def not_stored(request: PaymentRequest) -> Payment:
    """Asked twice, the terminal has no trace of it."""
    return Payment(
        reference=request.reference,
        kind=request.kind,
        outcome=Outcome.FAILED,
        state=PaymentState.FAILED,
        requested=request.total,
        message="the terminal has not stored it: nothing was charged",
    )


def step_request(kind: PaymentKind, amount: Money | None, receipt: int) -> PaymentRequest:
    """The request behind a step of an earlier transaction."""
    return PaymentRequest(
        kind=kind,
        amount=amount,
        reference=f"receipt-{receipt:04d}",
        original=Original(transaction_reference=f"{receipt:04d}", sequence=receipt),
    )


def settling(
    receipt: int, amount: Money | None, *, started: datetime, before: Keys | None, trace: int | None
) -> Attempt:
    """The capture (`amount`) or release (None) of a hold.

    Args:
        before: the terminal's latest transaction.
        trace: of the hold.
    """
    is_release = amount is None
    doubt = Doubt(
        amount_minor=None if amount is None else amount.amount, started=started, before=before,
        is_reversal=is_release, reverses_trace=trace,
    )  # fmt: skip
    kind = PaymentKind.REVERSAL if is_release else PaymentKind.RESERVATION_CAPTURE
    request = step_request(kind, amount, receipt)
    return Attempt(request, doubt, decision=CONFIRM, settles=receipt, captures=amount)


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


def settled_elsewhere(receipt: int, payment: Payment) -> Attempt:
    """A hold of another process, as we settled it."""
    never = datetime(1, 1, 1)  # noqa: DTZ001 - local time, and never compared
    return Attempt(
        step_request(PaymentKind.REVERSAL, None, receipt),
        Doubt(amount_minor=None, started=never, before=None),
        payment=payment,
    )
