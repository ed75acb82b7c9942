"""`Host`: the acquirer's ledger, and the only truth about money.

Nothing here knows of terminals, registers or time. A booking walks the table `BOOKINGS`; what happens is added to an
append-only ledger whose effects are signed minor units on the merchant's account. What the table forbids is refused
and changes nothing, so nothing can be captured twice.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, unique
from types import MappingProxyType
from typing import Final

from zahlwerk.errors import MoneyMoved, TerminalRefused
from zahlwerk.money import Currency, Money
from zahlwerk.payment import Original, PaymentKind
from zahlwerk.virtual.behaviour import Behaviour
from zahlwerk.virtual.deck import Card
from zahlwerk.virtual.kinds import RULES

__all__ = [
    "BOOKINGS",
    "Action",
    "Booking",
    "BookingState",
    "Entry",
    "Host",
    "HostAnswer",
    "HostRefused",
    "HostRequest",
    "Verdict",
]

# Answers of the issuer, ISO 8583:1987 field 39.
ARC_APPROVED: Final = "00"
ARC_INVALID_TRANSACTION: Final = "12"
ARC_INVALID_AMOUNT: Final = "13"
ARC_FUNDS: Final = "51"

# The balance that a card without one of its own tells.
BALANCE_MINOR: Final = 100_000


@unique
class BookingState(Enum):
    """Where a booking stands at the host."""

    AUTHORISED = "authorised"
    CAPTURED = "captured"
    VOIDED = "voided"
    RESERVED = "reserved"
    REFERRED = "referred"
    USED = "used"
    """A reservation that was captured."""
    CANCELLED = "cancelled"
    REVERSED = "reversed"


@unique
class Action(Enum):
    """What an entry of the ledger says."""

    AUTHORISED = "authorised"
    DECLINED = "declined"
    REFERRED = "referred"
    CAPTURED = "captured"
    VOIDED = "voided"
    RESERVED = "reserved"
    ADJUSTED = "adjusted"
    USED = "used"
    CANCELLED = "cancelled"
    REVERSED = "reversed"


_S, _A = BookingState, Action

BOOKINGS: Final[Mapping[tuple[BookingState, Action], BookingState]] = MappingProxyType({
    (_S.AUTHORISED, _A.CAPTURED): _S.CAPTURED,
    (_S.AUTHORISED, _A.RESERVED): _S.RESERVED,
    (_S.AUTHORISED, _A.VOIDED): _S.VOIDED,
    (_S.REFERRED, _A.RESERVED): _S.RESERVED,
    (_S.RESERVED, _A.ADJUSTED): _S.RESERVED,
    (_S.RESERVED, _A.USED): _S.USED,
    (_S.RESERVED, _A.CANCELLED): _S.CANCELLED,
    (_S.CAPTURED, _A.REVERSED): _S.REVERSED,
})  # fmt: skip
"""Which action leads where; a missing pair is refused."""

# What the confirmation of a step does to the booking that it names, and from which state on it may be asked for.
_TARGET_ACTION: Final[Mapping[PaymentKind, Action]] = MappingProxyType({
    PaymentKind.REVERSAL: _A.REVERSED,
    PaymentKind.RESERVATION_ADJUSTMENT: _A.ADJUSTED,
    PaymentKind.RESERVATION_CAPTURE: _A.USED,
    PaymentKind.RESERVATION_CANCEL: _A.CANCELLED,
    PaymentKind.RESERVATION_PHONE_CONFIRM: _A.RESERVED,
})  # fmt: skip
_REFERABLE: Final = frozenset({PaymentKind.PURCHASE, PaymentKind.RESERVATION, PaymentKind.PURCHASE_WITH_CASHBACK,
                               PaymentKind.CASH_ADVANCE, PaymentKind.AUTHORISATION})  # fmt: skip
_UNASKED: Final = frozenset({PaymentKind.FORCED_ACCEPTANCE, PaymentKind.PHONE_AUTHORISED})


class HostRefused(TerminalRefused):
    """The host refused, and changed nothing."""

    def __init__(self, message: str) -> None:
        super().__init__(message, source="host", money_moved=MoneyMoved.NO, remedy="look the payment up first")


@unique
class Verdict(Enum):
    """What the host thinks of a request."""

    APPROVED = "approved"
    DECLINED = "declined"
    REFERRED = "referred"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRequest:
    """What the terminal asks of the host."""

    kind: PaymentKind
    reference: str
    currency: Currency
    amount_minor: int = 0
    """All of it: goods, tip and cashback."""
    tip_minor: int = 0
    card: Card | None = None
    behaviour: Behaviour = field(default_factory=Behaviour)
    partial: bool = False
    """A part may be approved."""
    original: Original | None = None
    target: int | None = None
    """The booking that a reversal undoes."""
    authorisation_code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAnswer:
    """What the host answers."""

    verdict: Verdict
    response_code: str
    booking: int | None = None
    amount: Money | None = None
    remaining: Money | None = None
    available: Money | None = None
    authorisation_code: str = ""
    transaction_reference: str = ""
    voice_phone: str = ""


@dataclass(slots=True)
class Booking:
    """One booking as it stands now; the ledger tells how it came to that."""

    number: int
    kind: PaymentKind
    reference: str
    brand: str
    card: Card | None
    acquirer: int
    currency: Currency
    amount_minor: int
    tip_minor: int
    state: BookingState
    authorisation_code: str
    transaction_reference: str
    target: int | None = None
    refunded_minor: int = 0
    reversal_fails: bool = False

    @property
    def amount(self) -> Money:
        """Authorised, and once captured: captured."""
        return Money(self.amount_minor, self.currency)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger; never changed."""

    number: int
    booking: int
    action: Action
    kind: PaymentKind
    reference: str
    """Whose money it is about: a reversal bears the reference of what it undoes."""
    brand: str
    amount: Money
    effect_minor: int
    """On the merchant's account."""
    response_code: str = ARC_APPROVED


class Host:
    """The acquirer's books."""

    def __init__(self, random_source: random.Random) -> None:
        self._random = random_source
        self._entries: list[Entry] = []
        self._bookings: dict[int, Booking] = {}
        self._by_transaction: dict[str, int] = {}
        self._balances: dict[str, int] = {}

    # -- what stands in the books

    def ledger(self) -> tuple[Entry, ...]:
        """Every entry, oldest first."""
        return tuple(self._entries)

    def booking(self, number: int) -> Booking:
        """One booking.

        Raises:
            HostRefused: there is none of this number.
        """
        found = self._bookings.get(number)
        if found is None:
            raise HostRefused(f"the host has no booking {number}")
        return found

    def bookings(self, reference: str) -> tuple[Booking, ...]:
        """Every booking under a register's reference."""
        return tuple(booking for booking in self._bookings.values() if booking.reference == reference)

    def charged(self, reference: str, currency: str | Currency = "CHF") -> Money:
        """What the card holder has paid under a reference, all told; negative for a refund.

        Args:
            reference: the register's own.
            currency: only where nothing was ever booked.
        """
        effects = [entry for entry in self._entries if entry.reference == reference]
        of = effects[0].amount.currency if effects else Currency.of(currency)
        return Money(sum(entry.effect_minor for entry in effects), of)

    def net(self, brand: str, currency: str | Currency = "CHF") -> Money:
        """What the merchant has got through a brand, in one currency."""
        of = Currency.of(currency)
        return Money(
            sum(e.effect_minor for e in self._entries if e.brand == brand and e.amount.currency == of), of
        )  # fmt: skip

    def available_minor(self, card: Card) -> int:
        """What a card still holds."""
        return self._balances.get(card.name, BALANCE_MINOR if card.balance_minor is None else card.balance_minor)

    # -- what the terminal asks

    def authorise(self, request: HostRequest) -> HostAnswer:
        """Decide about a request. An approval is open until `capture` or `void`."""
        refusal = self._refusal(request)
        if refusal:
            return self._decline(request, refusal)
        if request.kind in _TARGET_ACTION:
            return self._authorise_step(request)
        if request.behaviour.refer and request.kind in _REFERABLE:
            booking = self._book(request, request.amount_minor, BookingState.REFERRED)
            self._write(booking, Action.REFERRED, response_code="01")
            return HostAnswer(
                verdict=Verdict.REFERRED,
                response_code="01",
                booking=booking.number,
                transaction_reference=booking.transaction_reference,
                voice_phone=request.behaviour.refer,
            )
        return self._authorise_card(request)

    def capture(self, number: int, amount_minor: int | None = None) -> Booking:
        """Confirm an approval: now money moves. Less than was authorised is possible for one that takes money.

        Raises:
            HostRefused: not open (captured or voided before), or the amount is not more than nothing and at most
                what was authorised. Nothing changed.
        """
        booking = self.booking(number)
        amount = booking.amount_minor if amount_minor is None else amount_minor
        reserves = booking.kind is PaymentKind.RESERVATION
        action = Action.RESERVED if reserves else Action.CAPTURED
        after = self._after(booking, action)
        fixed = booking.kind in _TARGET_ACTION and booking.kind is not PaymentKind.RESERVATION_CAPTURE
        if amount != booking.amount_minor and (fixed or not 0 < amount <= booking.amount_minor):
            raise HostRefused(f"booking {number} holds {booking.amount}, it cannot be captured for {amount}")
        target = self._target(booking)
        if target is not None and target.amount_minor < amount and booking.kind is PaymentKind.RESERVATION_CAPTURE:
            raise HostRefused(f"booking {target.number} holds {target.amount} only")
        self._spend(booking, amount - booking.amount_minor)
        booking.amount_minor = amount
        booking.tip_minor = min(booking.tip_minor, amount)
        booking.state = after
        self._write(booking, action, effect=RULES[booking.kind].effect * amount)
        if target is not None:
            self._apply(booking, target)
        assert action is Action.RESERVED or self._count(number, Action.CAPTURED) == 1, "captured twice"
        return booking

    def void(self, number: int) -> Booking:
        """Take an approval back. Once more changes nothing.

        Raises:
            HostRefused: it was captured before.
        """
        booking = self.booking(number)
        if booking.state is BookingState.VOIDED:
            return booking
        booking.state = self._after(booking, Action.VOIDED)
        self._spend(booking, -booking.amount_minor)
        self._write(booking, Action.VOIDED)
        return booking

    # -- inside

    def _refusal(self, request: HostRequest) -> str:
        """The answer code of a refusal, or nothing."""
        if request.kind in _TARGET_ACTION:
            return self._step_refusal(request)
        if request.behaviour.decline and request.kind not in _UNASKED:
            return request.behaviour.decline
        if request.kind is PaymentKind.REFUND and request.original and request.original.transaction_reference:
            original = self._named(request)
            if original is None or original.state is not BookingState.CAPTURED:
                return ARC_INVALID_TRANSACTION
            if original.refunded_minor + request.amount_minor > original.amount_minor:
                return ARC_INVALID_AMOUNT
        return ""

    def _step_refusal(self, request: HostRequest) -> str:
        target = self._named(request)
        if target is None or (target.state, _TARGET_ACTION[request.kind]) not in BOOKINGS:
            return ARC_INVALID_TRANSACTION
        if request.kind is PaymentKind.REVERSAL and (target.reversal_fails or target.refunded_minor):
            return ARC_INVALID_TRANSACTION
        if request.kind is PaymentKind.RESERVATION_PHONE_CONFIRM and target.state is not BookingState.REFERRED:
            return ARC_INVALID_TRANSACTION
        if request.kind is not PaymentKind.REVERSAL and request.currency != target.currency:
            return ARC_INVALID_AMOUNT
        if request.kind is PaymentKind.RESERVATION_CAPTURE and request.amount_minor > target.amount_minor:
            return ARC_INVALID_AMOUNT
        return ""

    def _named(self, request: HostRequest) -> Booking | None:
        if request.target is not None:
            return self._bookings.get(request.target)
        original = request.original
        number = None if original is None else self._by_transaction.get(original.transaction_reference)
        found = None if number is None else self._bookings[number]
        if found is None or original is None or original.acquirer_id not in {None, found.acquirer}:
            return None
        return found

    def _authorise_step(self, request: HostRequest) -> HostAnswer:
        target = self._named(request)
        assert target is not None, "a refused step is declined before"
        amount = request.amount_minor or target.amount_minor
        booking = self._book(request, amount, BookingState.AUTHORISED, target=target)
        self._write(booking, Action.AUTHORISED)
        return self._approval(booking)

    def _authorise_card(self, request: HostRequest) -> HostAnswer:
        asked = request.amount_minor
        granted = asked * request.behaviour.partial_percent // 100
        takes = RULES[request.kind].effect > 0
        if takes and request.card is not None and request.card.balance_minor is not None:
            granted = min(granted, self.available_minor(request.card))
        if granted < asked and (not takes or not request.partial or granted <= 0):
            return self._decline(request, ARC_FUNDS)
        booking = self._book(request, granted, BookingState.AUTHORISED)
        self._spend(booking, granted)
        self._write(booking, Action.AUTHORISED)
        return self._approval(booking, remaining_minor=asked - granted)

    def _approval(self, booking: Booking, *, remaining_minor: int = 0) -> HostAnswer:
        told = booking.card is not None and (
            booking.card.balance_minor is not None or booking.kind is PaymentKind.BALANCE_INQUIRY
        )
        return HostAnswer(
            verdict=Verdict.APPROVED,
            response_code=ARC_APPROVED,
            booking=booking.number,
            amount=booking.amount if booking.amount_minor else None,
            remaining=Money(remaining_minor, booking.currency) if remaining_minor else None,
            available=Money(self.available_minor(booking.card), booking.currency)
            if told and booking.card is not None
            else None,
            authorisation_code=booking.authorisation_code,
            transaction_reference=booking.transaction_reference,
        )

    def _decline(self, request: HostRequest, code: str) -> HostAnswer:
        brand = request.card.brand if request.card else ""
        amount = Money(request.amount_minor, request.currency)
        self._entries.append(
            Entry(len(self._entries) + 1, 0, Action.DECLINED, request.kind, request.reference, brand, amount, 0, code)
        )
        return HostAnswer(verdict=Verdict.DECLINED, response_code=code)

    def _book(
        self, request: HostRequest, amount_minor: int, state: BookingState, *, target: Booking | None = None
    ) -> Booking:
        card = request.card or (target.card if target else None)
        number = len(self._bookings) + 1
        booking = Booking(
            number=number,
            kind=request.kind,
            reference=request.reference,
            brand=card.brand if card else "",
            card=card,
            acquirer=card.acquirer if card else 0,
            currency=target.currency if target else request.currency,
            amount_minor=amount_minor,
            tip_minor=request.tip_minor,
            state=state,
            authorisation_code=request.authorisation_code or self._authorisation_code(),
            transaction_reference=self._transaction_reference(number),
            target=target.number if target else self._refunded(request),
            reversal_fails=request.behaviour.reversal_fails,
        )
        self._bookings[number] = booking
        self._by_transaction[booking.transaction_reference] = number
        return booking

    def _refunded(self, request: HostRequest) -> int | None:
        named = self._named(request) if request.kind is PaymentKind.REFUND else None
        return named.number if named else None

    def _target(self, booking: Booking) -> Booking | None:
        return None if booking.target is None else self.booking(booking.target)

    def _apply(self, booking: Booking, target: Booking) -> None:
        """What the confirmation of a step does to the booking it names."""
        if booking.kind is PaymentKind.REFUND:
            target.refunded_minor += booking.amount_minor
            return
        action = _TARGET_ACTION[booking.kind]
        target.state = self._after(target, action)
        if action is Action.ADJUSTED:
            target.amount_minor += booking.amount_minor
        undone = RULES[target.kind].effect * target.amount_minor if action is Action.REVERSED else 0
        if action is Action.REVERSED:
            self._spend(target, -target.amount_minor)
            refunded = self._target(target) if target.kind is PaymentKind.REFUND else None
            if refunded is not None:
                refunded.refunded_minor -= target.amount_minor
        self._write(target, action, effect=-undone)

    def _spend(self, booking: Booking, amount_minor: int) -> None:
        """Take from (or give back to) the card's own balance."""
        if booking.card is not None and booking.card.balance_minor is not None and amount_minor:
            effect = RULES[booking.kind].effect * amount_minor
            self._balances[booking.card.name] = self.available_minor(booking.card) - effect

    def _after(self, booking: Booking, action: Action) -> BookingState:
        try:
            return BOOKINGS[booking.state, action]
        except KeyError:
            raise HostRefused(f"booking {booking.number} is {booking.state.value}: not {action.value} again") from None

    def _write(self, booking: Booking, action: Action, *, effect: int = 0, response_code: str = ARC_APPROVED) -> None:
        self._entries.append(
            Entry(len(self._entries) + 1, booking.number, action, booking.kind, booking.reference, booking.brand,
                  booking.amount, effect, response_code)
        )  # fmt: skip

    def _count(self, number: int, action: Action) -> int:
        return sum(entry.booking == number and entry.action is action for entry in self._entries[-64:])

    def _authorisation_code(self) -> str:
        return "".join(self._random.choices("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789", k=6))

    def _transaction_reference(self, number: int) -> str:
        """15 digits that fail the check of a card number, so that nothing ever masks them."""
        body = f"1{self._random.randrange(10**4):04d}{number:09d}"
        return body + str((_check_digit(body) + 1) % 10)


def _check_digit(body: str) -> int:
    """The digit that would make a card number of it. Source: ISO/IEC 7812-1, annex B."""
    total = 0
    for index, character in enumerate(reversed(body)):
        value = int(character) * (1 if index % 2 else 2)
        total += value - 9 if value > 9 else value
    return -total % 10
