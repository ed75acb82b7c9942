"""The virtual terminal as a register, a card holder and a mishap see it. All on virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from zahlwerk.clock import VirtualClock
from zahlwerk.errors import (
    InvalidRequest,
    LinkLost,
    LinkUnavailable,
    LocalProtocolError,
    MoneyMoved,
    PaymentNotFound,
    TerminalBusy,
    TerminalRefused,
)
from zahlwerk.events import (
    LinkChanged,
    Notice,
    ProgressChanged,
    ReceiptPrinted,
    ShiftChanged,
    StandalonePayment,
    StatusChanged,
    TerminalEvent,
    TerminalStatus,
)
from zahlwerk.faults import STEPS
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Original, Outcome, Payment, PaymentKind, PaymentRequest, ReceiptKind, TipPolicy, UnknownTag
from zahlwerk.terminal import (
    CONFIRM,
    ROLL_BACK,
    Decision,
    Dialog,
    DialogEnd,
    DialogInput,
    Evidence,
    HoldId,
    Maintenance,
    Period,
    TotalKind,
    Witness,
)
from zahlwerk.virtual.deck import card
from zahlwerk.virtual.settings import Settings
from zahlwerk.virtual.states import State
from zahlwerk.virtual.terminal import VirtualTerminal

T = TypeVar("T")
CHF = "CHF"


def number(status: TerminalStatus) -> int:
    """The status as KIT's bits (fact sheet 2.5), to compare with table 4.10."""
    flags = (status.shift_open, status.card_read, status.busy, status.card_in_slot, status.locked,
             status.application_selected, status.wants_request, status.choosing_application, status.online)  # fmt: skip
    return sum(1 << bit for bit, on in enumerate(flags) if on)


@dataclass
class Rig:
    """A terminal on virtual time, and what it told."""

    terminal: VirtualTerminal
    clock: VirtualClock
    events: list[TerminalEvent] = field(default_factory=list)

    async def finish(self, what: Awaitable[T]) -> T:
        task = asyncio.ensure_future(what)
        for _ in range(300):
            await self.clock.settle(20)
            if task.done():
                break
            deadline_s = self.clock.next_deadline_s()
            assert deadline_s is not None, "everything waits for ever"
            await self.clock.advance(deadline_s - self.clock.now_s(), settle_turns=10)
        return await task

    async def until(self, state: State) -> None:
        for _ in range(300):
            if self.terminal.state is state:
                return
            await self.clock.advance(0.05, settle_turns=5)
        raise AssertionError(f"never {state.value}, but {self.terminal.state.value}")

    def numbers(self) -> list[int]:
        return [number(event.status) for event in self.events if isinstance(event, StatusChanged)]

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]


async def rig(**settings: object) -> Rig:
    clock = VirtualClock()
    made = Settings(**{"shift_open": True, "seed": 1, **settings})  # type: ignore[arg-type]  # test settings
    terminal = VirtualTerminal(made, clock=clock)
    found = Rig(terminal, clock)
    await terminal.open()
    terminal.listen(found.events.append)
    return found


async def random_act(r: Rig, choose: random.Random, reference: str) -> None:
    """One thing that a register may do, with a witness of some kind, and sometimes an abort or a caller that gives up."""
    witness = Slow()
    verdict = choose.choice([CONFIRM, CONFIRM, CONFIRM, ROLL_BACK, None])
    if verdict is not None:
        witness.answer.set_result(verdict)
    kind = choose.choice(
        [
            PaymentKind.PURCHASE,
            PaymentKind.PURCHASE,
            PaymentKind.REFUND,
            PaymentKind.REVERSAL,
            PaymentKind.AUTHORISATION,
        ]
    )
    if kind is PaymentKind.REVERSAL:
        request = PaymentRequest(kind=kind, reference=reference)
    else:
        request = purchase(choose.randint(1, 900), reference, kind=kind)
    if kind is PaymentKind.AUTHORISATION and verdict is None:
        witness.answer.set_result(CONFIRM)
    task = asyncio.ensure_future(r.terminal.transact(request, witness=witness))
    await r.clock.advance(choose.random() * 3, settle_turns=10)
    if choose.random() < 0.2:
        task.cancel()
    with contextlib.suppress(TerminalRefused, LinkUnavailable, LinkLost, asyncio.CancelledError):
        await r.finish(task)


class Slow(Witness):
    """Decides when told to."""

    def __init__(self) -> None:
        self.evidence: Evidence = {}
        self.seen: list[Payment] = []
        self.answer: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()

    async def sending(self, evidence: Evidence) -> None:
        self.evidence = evidence

    async def approved(self, payment: Payment) -> Decision:
        self.seen.append(payment)
        return await self.answer


def purchase(amount: int = 1250, reference: str = "R1", **more: object) -> PaymentRequest:
    return PaymentRequest(amount=Money.of(amount, CHF), reference=reference, **more)  # type: ignore[arg-type]  # test arguments


class TestStatus:
    """KIT fact sheet 4.10."""

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            pytest.param("visa", [0x005, 0x007, 0x027, 0x127, 0x027, 0x001], id="contactless"),
            pytest.param("visa-chip", [0x005, 0x00F, 0x02F, 0x12F, 0x02F, 0x001], id="chip"),
            pytest.param("mastercard-debit", [0x005, 0x00F, 0x08F, 0x02F, 0x12F, 0x02F, 0x001], id="choosing"),
        ],
    )
    async def test_a_payment_walks_the_table(self, name: str, expected: list[int]) -> None:
        r = await rig(card=name)
        await r.finish(r.terminal.pay("12.50 CHF"))

        assert r.numbers() == expected

    async def test_no_two_equal_statuses_follow_each_other(self) -> None:
        r = await rig(card="dcc")
        await r.finish(r.terminal.pay("12.50 CHF"))
        await r.finish(r.terminal.end_of_day())
        statuses = [event.status for event in r.events if isinstance(event, StatusChanged)]

        assert all(one != other for one, other in itertools.pairwise(statuses))

    async def test_the_witness_hears_of_the_approval_while_the_status_is_online(self) -> None:
        r = await rig()
        seen: list[int] = []

        class Look(Witness):
            async def approved(self, payment: Payment) -> Decision:
                seen.append(number(await r.terminal.status()))
                return CONFIRM

        await r.finish(r.terminal.pay("12.50 CHF", witness=Look()))
        assert seen == [0x127]


class TestTwoPhases:
    """Approval, witness, decision."""

    async def test_the_evidence_is_the_counter_before(self) -> None:
        r = await rig()
        await r.finish(r.terminal.pay("1.00 CHF"))
        witness = Slow()
        witness.answer.set_result(CONFIRM)
        payment = await r.finish(r.terminal.transact(purchase(), witness=witness))

        assert witness.evidence == {"sequence": "1"}
        assert payment.sequence == 2
        assert witness.seen[0].state is PaymentState.APPROVED
        assert (await r.terminal.lookup(evidence=witness.evidence)).reference == "R1"

    async def test_confirmed_for_less_takes_less(self) -> None:
        r = await rig()
        witness = Slow()
        witness.answer.set_result(Decision(confirm=True, amount=Money.of(1000, CHF)))
        payment = await r.finish(r.terminal.transact(purchase(), witness=witness))

        assert (payment.state, payment.approved) == (PaymentState.CONFIRMED, Money.of(1000, CHF))
        assert r.terminal.host.charged("R1") == Money.of(1000, CHF)

    async def test_rolled_back_moves_nothing(self) -> None:
        r = await rig()
        witness = Slow()
        witness.answer.set_result(ROLL_BACK)
        payment = await r.finish(r.terminal.transact(purchase(), witness=witness))

        assert (payment.outcome, payment.state) == (Outcome.ABORTED, PaymentState.ROLLED_BACK)
        assert payment.approved is None
        assert not r.terminal.host.charged("R1")

    async def test_nobody_decides_in_time_and_it_is_taken_back(self) -> None:
        r = await rig(confirm_s=30.0)
        witness = Slow()
        payment = await r.finish(r.terminal.transact(purchase(), witness=witness))

        assert (payment.outcome, payment.state) == (Outcome.FAILED, PaymentState.ROLLED_BACK)
        assert r.clock.now_s() == pytest.approx(30.65)
        assert witness.answer.cancelled()

    async def test_an_extension_buys_time(self) -> None:
        r = await rig(confirm_s=30.0)
        witness = Slow()
        task = asyncio.ensure_future(r.terminal.transact(purchase(), witness=witness))
        await r.until(State.WAIT_CONFIRM)
        await r.clock.advance(25)
        await r.terminal.extend(60, "Ware kommt")
        await r.clock.advance(60)

        assert r.terminal.display == "Ware kommt"
        witness.answer.set_result(CONFIRM)
        assert (await r.finish(task)).state is PaymentState.CONFIRMED
        with pytest.raises(TerminalRefused, match="no approval waits"):
            await r.terminal.extend(60)
        with pytest.raises(InvalidRequest, match="1 to 3600"):
            await r.terminal.extend(0)

    async def test_a_failing_witness_rolls_back_and_is_heard(self) -> None:
        r = await rig()

        class Broken(Witness):
            async def approved(self, payment: Payment) -> Decision:
                raise OSError("disk full")

        with pytest.raises(OSError, match="disk full"):
            await r.finish(r.terminal.transact(purchase(), witness=Broken()))
        assert (await r.terminal.lookup("R1")).state is PaymentState.ROLLED_BACK
        assert r.numbers()[-1] == 0x001
        assert not r.terminal.host.charged("R1")

    async def test_a_witness_that_cannot_write_the_intent_stops_it_all(self) -> None:
        r = await rig()

        class Broken(Witness):
            async def sending(self, evidence: Evidence) -> None:
                raise OSError("disk full")

        with pytest.raises(OSError, match="disk full"):
            await r.finish(r.terminal.transact(purchase(), witness=Broken()))
        assert (await r.terminal.info()).sequence == 0
        assert (await r.finish(r.terminal.pay("1.00 CHF"))).is_approved

    @pytest.mark.parametrize("final", [Money.of(1251, CHF), Money.of(0, CHF), Money.of(100, "EUR")])
    async def test_an_impossible_confirmation_rolls_back(self, final: Money) -> None:
        r = await rig()
        witness = Slow()
        witness.answer.set_result(Decision(confirm=True, amount=final))

        with pytest.raises(InvalidRequest, match="at most CHF"):
            await r.finish(r.terminal.transact(purchase(), witness=witness))
        assert not r.terminal.host.charged("R1")

    @pytest.mark.parametrize("state", [State.WAIT_CARD, State.CARD, State.ONLINE, State.WAIT_CONFIRM])
    async def test_a_caller_that_gives_up_moves_nothing(self, state: State) -> None:
        r = await rig(card="visa-chip")
        task = asyncio.ensure_future(r.terminal.transact(purchase(), witness=Slow()))
        await r.until(state)
        task.cancel()
        await r.clock.settle()

        assert task.cancelled()
        assert r.terminal.state is State.OPEN
        assert not r.terminal.host.charged("R1")
        assert (await r.terminal.lookup("R1")).money_moved is MoneyMoved.NO
        assert (await r.finish(r.terminal.pay("1.00 CHF"))).is_approved

    async def test_giving_up_after_the_confirmation_leaves_the_money_moved(self) -> None:
        r = await rig()
        task = asyncio.ensure_future(r.terminal.transact(purchase()))
        await r.clock.advance(0.66)
        task.cancel()
        await r.clock.settle()

        found = await r.terminal.lookup("R1")
        assert (found.state, len(found.receipts)) == (PaymentState.CONFIRMED, 2)
        assert r.terminal.host.charged("R1") == Money.of(1250, CHF)

    async def test_a_bonus_card_asks_for_a_new_amount(self) -> None:
        r = await rig(card="bonus")

        class Discount(Witness):
            async def amount_for(self, amount: Money, reasons: object) -> Money:
                return Money.of(amount.amount - 250, CHF)

        payment = await r.finish(r.terminal.transact(purchase(), witness=Discount()))
        assert payment.approved == Money.of(1000, CHF)


class TestAbort:
    """The register wants to stop; the outcome stays honest."""

    @pytest.mark.parametrize("state", [State.WAIT_CARD, State.CARD])
    async def test_before_the_host_is_asked_it_ends(self, state: State) -> None:
        r = await rig(card="visa-chip")
        task = asyncio.ensure_future(r.terminal.transact(purchase()))
        await r.until(state)
        await r.terminal.abort()
        payment = await r.finish(task)

        assert (payment.outcome, payment.result_code) == (Outcome.ABORTED, 10001)
        assert r.terminal.host.ledger() == ()

    @pytest.mark.parametrize("state", [State.ONLINE, State.WAIT_CONFIRM])
    async def test_later_the_approval_is_reported(self, state: State) -> None:
        r = await rig()
        witness = Slow()
        task = asyncio.ensure_future(r.terminal.transact(purchase(), witness=witness))
        await r.until(state)
        await r.terminal.abort()
        await r.until(State.WAIT_CONFIRM)
        assert witness.seen[0].is_approved

        witness.answer.set_result(ROLL_BACK)
        assert (await r.finish(task)).state is PaymentState.ROLLED_BACK

    async def test_at_every_tenth_of_a_second_books_and_outcome_agree(self) -> None:
        for tenth in range(20):
            r = await rig(card="visa-chip")
            task = asyncio.ensure_future(r.terminal.transact(purchase()))
            await r.clock.advance(tenth / 10)
            await r.terminal.abort(silent=True)
            payment = await r.finish(task)
            paid = Money.of(1250 if payment.is_approved else 0, CHF)

            assert r.terminal.host.charged("R1") == paid

    async def test_with_nothing_running_it_does_nothing(self) -> None:
        r = await rig()
        await r.terminal.abort()

        assert (await r.finish(r.terminal.pay("1.00 CHF"))).is_approved


class TestRefusals:
    """What does not start, and why."""

    async def test_a_second_payment_is_busy(self) -> None:
        r = await rig()
        task = asyncio.ensure_future(r.terminal.transact(purchase()))
        await r.clock.settle()
        with pytest.raises(TerminalBusy):
            await r.terminal.pay("1.00 CHF")
        with pytest.raises(TerminalBusy):
            await r.terminal.end_of_day()

        assert (await r.finish(task)).is_approved

    async def test_without_a_shift_or_when_locked_it_refuses_and_no_money_moves(self) -> None:
        r = await rig(shift_open=False)
        with pytest.raises(TerminalRefused) as closed:
            await r.terminal.pay("1.00 CHF")
        await r.terminal.open_shift()
        await r.terminal.lock()
        with pytest.raises(TerminalRefused) as locked:
            await r.terminal.pay("1.00 CHF")
        await r.terminal.unlock()

        assert (closed.value.code, locked.value.code) == (2, 8)
        assert closed.value.money_moved is MoneyMoved.NO
        assert (await r.finish(r.terminal.pay("1.00 CHF"))).is_approved

    async def test_a_foreign_currency_and_a_closed_terminal_are_told(self) -> None:
        r = await rig()
        with pytest.raises(InvalidRequest, match="no USD"):
            await r.terminal.pay("1.00 USD")
        await r.terminal.close()
        await r.terminal.close()
        with pytest.raises(LinkUnavailable, match="not open"):
            await r.terminal.status()

    async def test_the_same_reference_is_charged_again_as_real_terminals_do(self) -> None:
        r = await rig()
        await r.finish(r.terminal.transact(purchase()))
        await r.finish(r.terminal.transact(purchase()))

        assert r.terminal.host.charged("R1") == Money.of(2500, CHF)


class TestHolds:
    """Authorise now, settle later: many at once."""

    async def test_many_are_open_and_each_is_settled_for_its_own(self) -> None:
        r = await rig()
        first = await r.finish(r.terminal.hold("50.00 CHF", reference="H1")._open())
        second = await r.finish(r.terminal.hold("80.00 CHF", reference="H2")._open())
        assert [entry.amount for entry in await r.terminal.open_entries()] == [Money.of(5000, CHF), Money.of(8000, CHF)]
        assert (await r.terminal.status()).is_ready

        captured = await first.capture("8.40 CHF")
        released = await second.release()
        assert (captured.state, captured.approved) == (PaymentState.CAPTURED, Money.of(840, CHF))
        assert (released.state, released.outcome) == (PaymentState.RELEASED, Outcome.ABORTED)
        assert r.terminal.host.charged("H1") == Money.of(840, CHF)
        assert not r.terminal.host.charged("H2")
        assert await r.terminal.open_entries() == ()

    async def test_settling_again_is_the_same_or_refused(self) -> None:
        r = await rig()
        hold = await r.finish(r.terminal.hold("50.00 CHF")._open())
        amount = Money.of(840, CHF)
        first = await r.terminal.settle(hold.id, amount)

        assert await r.terminal.settle(hold.id, amount) == first
        for other in (None, Money.of(841, CHF)):
            with pytest.raises(TerminalRefused, match="captured already"):
                await r.terminal.settle(hold.id, other)
        with pytest.raises(TerminalRefused, match="no hold"):
            await r.terminal.settle(HoldId("99"), amount)

    async def test_more_than_is_held_is_refused_and_it_stays_open(self) -> None:
        r = await rig()
        hold = await r.finish(r.terminal.hold("50.00 CHF")._open())
        with pytest.raises(TerminalRefused) as refused:
            await r.terminal.settle(hold.id, Money.of(5001, CHF))

        assert refused.value.code == 9
        assert len(await r.terminal.open_entries()) == 1

    async def test_a_witness_may_release_and_holds_survive_a_crash(self) -> None:
        r = await rig()
        witness = Slow()
        witness.answer.set_result(ROLL_BACK)
        gone = await r.finish(r.terminal.hold("50.00 CHF", witness=witness)._open())
        kept = await r.finish(r.terminal.hold("60.00 CHF")._open())
        r.terminal.crash(back_by_itself=False)
        r.terminal.restart()

        assert gone.payment.state is PaymentState.RELEASED
        assert witness.seen[0].state is PaymentState.HELD
        assert (await kept.capture("1.00 CHF")).state is PaymentState.CAPTURED

    async def test_whoever_waited_over_a_crash_cannot_let_go_of_a_hold_afterwards(self) -> None:
        r = await rig()
        task = asyncio.ensure_future(r.terminal.hold("50.00 CHF", witness=Slow())._open())
        await r.clock.advance(5)
        assert len(await r.terminal.open_entries()) == 1
        r.terminal.crash(back_by_itself=False)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        r.terminal.restart()

        assert len(await r.terminal.open_entries()) == 1

    async def test_an_active_card_stops_the_payment(self) -> None:
        r = await rig()
        hold = await r.finish(r.terminal.hold("50.00 CHF", active_tokens=(card("visa").token,))._open())

        assert (hold.payment.outcome, hold.payment.result_code) == (Outcome.ABORTED, 10014)


class TestKinds:
    """Every function of the terminal."""

    async def test_every_kind_with_a_card_is_approved(self) -> None:
        for kind in (PaymentKind.PURCHASE, PaymentKind.CASH_ADVANCE, PaymentKind.REFUND, PaymentKind.RESERVATION, PaymentKind.MAIL_ORDER,
                     PaymentKind.PHONE_ORDER, PaymentKind.FORCED_ACCEPTANCE, PaymentKind.LOAD):  # fmt: skip
            r = await rig()
            assert (await r.finish(r.terminal.transact(purchase(kind=kind)))).state is PaymentState.CONFIRMED
        for kind in (PaymentKind.BALANCE_INQUIRY, PaymentKind.CARD_ACTIVATION, PaymentKind.ACCOUNT_VERIFICATION):
            r = await rig()
            payment = await r.finish(r.terminal.transact(PaymentRequest(kind=kind)))
            assert (payment.state, payment.approved) == (PaymentState.CONFIRMED, None)

    async def test_cashback_and_a_known_tip_are_part_of_the_total(self) -> None:
        r = await rig()
        cash = purchase(1000, kind=PaymentKind.PURCHASE_WITH_CASHBACK, cashback=Money.of(500, CHF))
        tipped = purchase(1000, tip=Money.of(100, CHF))

        assert (await r.finish(r.terminal.transact(cash))).approved == Money.of(1500, CHF)
        payment = await r.finish(r.terminal.transact(tipped))
        assert (payment.approved, payment.tip) == (Money.of(1100, CHF), Money.of(100, CHF))

    async def test_a_reservation_goes_through_its_steps(self) -> None:
        r = await rig()
        first = await r.finish(r.terminal.transact(purchase(10000, kind=PaymentKind.RESERVATION)))
        original = Original(first.transaction_reference, first.acquirer_id)
        await r.finish(
            r.terminal.transact(purchase(5000, "R2", kind=PaymentKind.RESERVATION_ADJUSTMENT, original=original))
        )
        taken = await r.finish(
            r.terminal.transact(purchase(12000, "R3", kind=PaymentKind.RESERVATION_CAPTURE, original=original))
        )
        cancel = PaymentRequest(kind=PaymentKind.RESERVATION_CANCEL, original=original)

        assert taken.state is PaymentState.CONFIRMED
        assert r.terminal.host.charged("R3") == Money.of(12000, CHF)
        assert (await r.finish(r.terminal.transact(cancel))).outcome is Outcome.DECLINED

    async def test_a_referral_is_followed_by_a_telephone_authorisation(self) -> None:
        r = await rig(card="referral")
        referred = await r.finish(r.terminal.transact(purchase()))
        phoned = purchase(1250, "R2", kind=PaymentKind.PHONE_AUTHORISED, authorisation_code="ABC123")
        approved = await r.finish(r.terminal.transact(phoned))

        assert (referred.outcome, referred.voice_phone) == (Outcome.REFERRED, "+41 800 000 000")
        assert (approved.outcome, approved.authorisation_code) == (Outcome.APPROVED, "ABC123")

    async def test_a_reversal_undoes_the_latest_and_only_once(self) -> None:
        r = await rig()
        with pytest.raises(TerminalRefused, match="no payment to reverse"):
            await r.terminal.reverse()
        paid = await r.finish(r.terminal.transact(purchase()))
        with pytest.raises(TerminalRefused, match="latest payment is 1"):
            await r.terminal.reverse(sequence=7)
        reversal = await r.finish(r.terminal.reverse(sequence=paid.sequence))

        assert (reversal.state, reversal.approved) == (PaymentState.CONFIRMED, Money.of(1250, CHF))
        assert not r.terminal.host.charged("R1")
        assert (await r.terminal.lookup("R1")).state is PaymentState.REVERSED
        with pytest.raises(TerminalRefused, match="no payment to reverse"):
            await r.terminal.reverse()

    async def test_a_refund_of_a_payment_is_noted_there(self) -> None:
        r = await rig()
        paid = await r.finish(r.terminal.transact(purchase()))
        await r.finish(r.terminal.refund("2.50 CHF", reference="R2", original=Original(paid.transaction_reference)))

        assert (await r.terminal.lookup("R1")).state is PaymentState.REFUNDED
        assert r.terminal.host.charged("R2") == Money.of(-250, CHF)


class TestCardHolder:
    """By script: nothing happens by itself."""

    async def test_a_card_pin_tip_and_signature_are_given_by_hand(self) -> None:
        r = await rig(card="none")
        task = asyncio.ensure_future(r.terminal.transact(purchase(tip_policy=TipPolicy.ASK)))
        await r.clock.settle()
        r.terminal.present("visa-chip")
        await r.clock.settle()
        r.terminal.enter_tip(250)
        r.terminal.enter_pin(ok=False)
        r.terminal.enter_pin()
        payment = await r.finish(task)

        assert (payment.approved, payment.tip) == (Money.of(1500, CHF), Money.of(250, CHF))
        assert number(await r.terminal.status()) == 0x009
        assert r.terminal.remove_card()
        assert number(await r.terminal.status()) == 0x001

    async def test_stop_key_and_removed_card_end_it(self) -> None:
        for act, code in (("press_stop", 10002), ("remove_card", 10005)):
            r = await rig(card="none")
            task = asyncio.ensure_future(r.terminal.transact(purchase()))
            await r.clock.settle()
            r.terminal.present("visa-chip")
            await r.clock.settle()
            getattr(r.terminal, act)()
            assert (await r.finish(task)).result_code == code

    async def test_a_card_holder_who_is_too_slow_ends_it(self) -> None:
        r = await rig(card="none")
        task = asyncio.ensure_future(r.terminal.transact(purchase()))
        await r.clock.settle()
        r.terminal.present("visa-chip")

        assert (await r.finish(task)).result_code == 10007
        assert r.clock.now_s() == pytest.approx(30)

    async def test_dcc_can_be_refused_and_signed_by_hand(self) -> None:
        r = await rig(card="none")
        task = asyncio.ensure_future(r.terminal.transact(purchase()))
        await r.clock.settle()
        r.terminal.choose_currency(foreign=False)
        r.terminal.enter_pin()
        r.terminal.present("dcc")
        payment = await r.finish(task)

        assert (payment.outcome, payment.dcc) == (Outcome.APPROVED, None)
        assert ReceiptKind.DCC_OFFER in [event.receipt.kind for event in r.of(ReceiptPrinted)]

    async def test_the_card_may_come_first(self) -> None:
        r = await rig(card="none")
        r.terminal.present("visa")
        assert number(await r.terminal.status()) == 0x047
        payment = await r.finish(r.terminal.transact(purchase()))

        assert payment.is_approved
        assert r.numbers() == [0x047, 0x007, 0x027, 0x127, 0x027, 0x001]

    async def test_a_card_without_an_amount_is_forgotten_or_taken_back(self) -> None:
        r = await rig(card="none")
        r.terminal.present("visa-chip")
        assert number(await r.terminal.status()) == 0x04F
        await r.clock.advance(61)
        assert r.terminal.state is State.OPEN
        r.terminal.present("visa")
        r.terminal.remove_card()
        await r.clock.advance(61)

        assert r.terminal.state is State.OPEN
        await r.terminal.close_shift()
        with pytest.raises(LocalProtocolError, match="no card is taken"):
            r.terminal.present("visa")

    async def test_an_unknown_tag_is_reported_or_ends_the_payment(self) -> None:
        r = await rig(card="none")
        task = asyncio.ensure_future(r.terminal.transact(purchase(unknown_tag=UnknownTag.REPORT)))
        await r.clock.settle()
        r.terminal.present_tag("04ac52ea")
        await r.clock.settle()
        status = await r.terminal.status()
        assert status.card is not None
        assert status.card.uid == "04AC52EA"
        r.terminal.present("visa")
        assert (await r.finish(task)).is_approved

        task = asyncio.ensure_future(r.terminal.transact(purchase()))
        await r.clock.settle()
        r.terminal.present_tag("04ac52ea")
        assert (await r.finish(task)).result_code == 10006

    async def test_a_payment_typed_in_is_reported_with_its_receipts(self) -> None:
        r = await rig()
        payment = await r.finish(r.terminal.type_payment("7.00 CHF", "mastercard"))

        assert (payment.standalone, payment.state) == (True, PaymentState.STANDALONE)
        assert r.of(StandalonePayment) == [StandalonePayment(payment)]
        assert [event.receipt.kind for event in r.of(ReceiptPrinted)] == [ReceiptKind.MERCHANT, ReceiptKind.CUSTOMER]
        assert r.terminal.host.charged(payment.reference) == Money.of(700, CHF)


class TestCrash:
    """The terminal goes down; the host's books stay."""

    @pytest.mark.parametrize(
        "step", ["request", "card", "online", "authorisation", "approval", "confirmation", "receipts"]
    )
    @pytest.mark.parametrize("action", ["crash", "restart"])
    async def test_at_any_step_the_outcome_is_unknown_and_found_out_later(self, step: str, action: str) -> None:
        r = await rig(faults=f"{action}:{step}:1")
        payment = await r.finish(r.terminal.transact(purchase()))
        assert payment.outcome is Outcome.UNKNOWN
        with pytest.raises(LinkUnavailable, match="restarting"):
            await r.terminal.status()
        await r.clock.advance(6)
        r.terminal.restart()

        found = await r.terminal.lookup("R1")
        assert found.money_moved is (MoneyMoved.YES if step in {"confirmation", "receipts"} else MoneyMoved.NO)
        assert bool(r.terminal.host.charged("R1")) is (found.money_moved is MoneyMoved.YES)
        assert [event.connected for event in r.of(LinkChanged)] == [False, True]
        assert (await r.finish(r.terminal.pay("1.00 CHF"))).is_approved

    async def test_an_unconfirmed_approval_is_taken_back_at_the_restart(self) -> None:
        r = await rig()
        witness = Slow()
        task = asyncio.ensure_future(r.terminal.transact(purchase(), witness=witness))
        await r.until(State.WAIT_CONFIRM)
        r.terminal.crash()
        assert (await r.finish(task)).outcome is Outcome.UNKNOWN
        await r.clock.advance(6)

        assert (await r.terminal.lookup("R1")).state is PaymentState.ROLLED_BACK
        assert [notice.source for notice in r.of(Notice)] == ["AUTO_REVERSAL"]

    async def test_a_crash_while_the_intent_is_written_sends_nothing(self) -> None:
        r = await rig()

        class Crashing(Witness):
            async def sending(self, evidence: Evidence) -> None:
                r.terminal.crash(back_by_itself=False)

        with pytest.raises(LinkUnavailable):
            await r.finish(r.terminal.transact(purchase(), witness=Crashing()))
        r.terminal.restart()
        with pytest.raises(PaymentNotFound):
            await r.terminal.lookup("R1")

    async def test_host_time_outs_delays_and_paper_can_be_scripted(self) -> None:
        r = await rig(faults="host-timeout:online:1,host-timeout:authorisation:1,delay:card:3:5,printer-out:receipts:1")
        outcomes = [(await r.finish(r.terminal.pay("1.00 CHF"))).outcome for _ in range(3)]

        assert outcomes == [Outcome.ABORTED, Outcome.ABORTED, Outcome.APPROVED]
        assert (await r.terminal.status()).printer.name == "OUT_OF_PAPER"
        r.terminal.load_paper()
        assert (await r.terminal.status()).printer.name == "FINE"

    async def test_work_and_settlement_can_be_cut_off(self) -> None:
        r = await rig(faults="restart:service:1,restart:settle:1")
        with pytest.raises(LinkLost):
            await r.finish(r.terminal.end_of_day())
        await r.clock.advance(6)
        hold = await r.finish(r.terminal.hold("50.00 CHF")._open())
        with pytest.raises(LinkLost):
            await r.finish(r.terminal.settle(hold.id, Money.of(100, CHF)))
        await r.clock.advance(6)

        assert (await r.terminal.settle(hold.id, Money.of(100, CHF))).state is PaymentState.CAPTURED

    async def test_the_same_seed_keeps_the_same_books(self) -> None:
        ledgers = []
        for _ in range(2):
            r = await rig(faults="restart:approval:2,host-timeout:online:3")
            for count in range(5):
                await r.finish(r.terminal.transact(purchase(100 + count, f"R{count}")))
                await r.clock.advance(10)
            ledgers.append((r.terminal.host.ledger(), r.numbers(), r.terminal.paper))

        assert ledgers[0] == ledgers[1]


class TestFigures:
    """Counters, totals, shifts and the end of the day."""

    async def test_totals_equal_the_books_per_brand(self) -> None:
        r = await rig()
        await r.finish(r.terminal.transact(purchase(1000, tip=Money.of(100, CHF))))
        await r.finish(r.terminal.refund("3.00 CHF"))
        await r.finish(r.terminal.reverse())
        await r.finish(r.terminal.type_payment("7.00 CHF"))
        await r.finish(r.terminal.reverse())
        signs = {TotalKind.DEBIT: 1, TotalKind.CREDIT: -1, TotalKind.DEBIT_REVERSAL: -1, TotalKind.CREDIT_REVERSAL: 1}
        totals = (await r.terminal.totals()).totals

        assert {total.kind: total.count for total in totals} == {
            TotalKind.DEBIT: 2, TotalKind.CREDIT: 1, TotalKind.DEBIT_REVERSAL: 1, TotalKind.CREDIT_REVERSAL: 1}  # fmt: skip
        assert (
            sum(signs[total.kind] * total.amount.amount for total in totals)
            == r.terminal.host.net("VISA").amount
            == 1100
        )
        assert next(total.tip for total in totals if total.kind is TotalKind.DEBIT) == Money.of(100, CHF)

    @pytest.mark.parametrize("seed", range(12))
    async def test_whatever_happens_totals_and_records_equal_the_books(self, seed: int) -> None:
        choose = random.Random(seed)
        faults = ",".join(
            f"restart:{choose.choice(STEPS)}:{choose.randint(1, 12)}" for _ in range(choose.randint(0, 4))
        )
        r = await rig(seed=seed, faults=faults, card=choose.choice(["visa", "visa-chip", "prepaid", "dcc", "tip"]))
        for count in range(20):
            await random_act(r, choose, f"R{count}")
            await r.clock.advance(10)
        entries = await r.terminal.open_entries()
        for entry in entries:
            await r.terminal.settle(entry.hold, choose.choice([None, entry.amount]))

        signs = {TotalKind.DEBIT: 1, TotalKind.CREDIT: -1, TotalKind.DEBIT_REVERSAL: -1, TotalKind.CREDIT_REVERSAL: 1}
        totals = (await r.terminal.totals(Period.ACCOUNTING_PERIOD)).totals
        assert sum(signs[total.kind] * total.amount.amount for total in totals) == sum(
            entry.effect_minor for entry in r.terminal.host.ledger()
        )
        for count in range(20):
            try:
                found = await r.terminal.lookup(f"R{count}")
            except PaymentNotFound:
                assert not r.terminal.host.charged(f"R{count}")
                continue
            moved = found.money_moved is MoneyMoved.YES and found.kind is not PaymentKind.REVERSAL
            assert bool(r.terminal.host.charged(f"R{count}")) is moved

    async def test_the_end_of_day_closes_shift_and_period(self) -> None:
        r = await rig()
        await r.finish(r.terminal.pay("10.00 CHF"))
        day = await r.finish(r.terminal.end_of_day())

        assert day.period is Period.ACCOUNTING_PERIOD
        assert [total.amount for total in day.totals] == [Money.of(1000, CHF)]
        assert "Tagesabschluss" in day.receipt
        assert not (await r.terminal.status()).shift_open
        assert (await r.terminal.totals(Period.ACCOUNTING_PERIOD)).totals == ()
        shift = await r.terminal.open_shift()
        assert (shift.shift_counter, shift.period_counter) == (2, 2)

    async def test_a_shift_counts_and_opens_once(self) -> None:
        r = await rig(shift_open=False)
        first = await r.terminal.open_shift(attendant="Anna")
        assert await r.terminal.open_shift() == first
        await r.finish(r.terminal.pay("1.00 CHF"))
        await r.terminal.close_shift()
        r.terminal.open_menu_shift()
        r.terminal.close_menu_shift()

        info = await r.terminal.info()
        assert (info.shift_counter, info.period_counter, info.sequence) == (2, 1, 1)
        assert [event.is_open for event in r.of(ShiftChanged)] == [True, False, True, False]
        assert "Anna" in (await r.terminal.receipt(ReceiptKind.SHIFT_OPENED)).text or "Anna" in r.terminal.paper[0]

    async def test_the_sequence_grows_whatever_the_outcome(self) -> None:
        r = await rig()
        for amount in (90051, 90203, 90303, 1250):
            await r.finish(r.terminal.transact(purchase(amount)))

        assert (await r.terminal.info()).sequence == 4

    async def test_receipts_are_repeated_by_number_or_the_latest(self) -> None:
        r = await rig()
        first = await r.finish(r.terminal.pay("1.00 CHF"))
        second = await r.finish(r.terminal.pay("2.00 CHF"))

        assert (await r.terminal.receipt()).text == second.receipt(ReceiptKind.MERCHANT)
        assert (await r.terminal.receipt(number=1)).text == first.receipt(ReceiptKind.MERCHANT)
        with pytest.raises(TerminalRefused, match="no such receipt"):
            await r.terminal.receipt(number=9)


class TestDevice:
    """Dialogs, codes, print, work, language."""

    async def test_a_dialog_is_answered_by_itself_or_by_script(self) -> None:
        r = await rig()
        r.terminal.answer_dialog("48210")
        mileage = Dialog(text="Kilometerstand?", input=DialogInput.DIGITS)
        assert await r.finish(r.terminal.ask(mileage)) is not None
        assert 0x011 in r.numbers()
        password = await r.finish(r.terminal.ask(Dialog(input=DialogInput.PASSWORD, password="secret")))
        assert (password.text, password.matches) == ("", True)
        assert (await r.finish(r.terminal.ask(mileage))).text == "1"

    async def test_a_dialog_ends_by_stop_cancel_or_time(self) -> None:
        r = await rig(card="none")
        ends = []
        for act in ("press_stop", "cancel_ask", ""):
            task = asyncio.ensure_future(r.terminal.ask(Dialog(text="?", timeout_s=5)))
            await r.clock.settle()
            done = getattr(r.terminal, act)() if act else None
            if asyncio.iscoroutine(done):
                await done
            ends.append((await r.finish(task)).end)

        assert ends == [DialogEnd.STOPPED, DialogEnd.CANCELLED, DialogEnd.TIMED_OUT]

    async def test_codes_are_scanned(self) -> None:
        r = await rig(card="none")
        r.terminal.scan_code("ABC")
        assert await r.finish(r.terminal.scan(title="Kundenkarte")) == "ABC"
        assert await r.finish(r.terminal.scan(timeout_s=5)) == ""

    async def test_printing_tells_the_state_of_the_printer(self) -> None:
        r = await rig()
        assert (await r.terminal.print("Danke!", double_height=True)).name == "FINE"
        assert r.terminal.paper[-1] == "[H] Danke!"
        r.terminal.run_out_of_paper()
        assert (await r.terminal.print("Danke!")).name == "OUT_OF_PAPER"
        assert (await (await rig(printer="no")).terminal.print("Danke!")).name == "UNAVAILABLE"

    @pytest.mark.parametrize("work", list(Maintenance))
    async def test_every_work_ends_and_the_terminal_is_ready_again(self, work: Maintenance) -> None:
        r = await rig()
        await r.finish(r.terminal.maintain(work))
        await r.clock.advance(10)

        assert (await r.terminal.status()).is_ready

    async def test_work_goes_online_and_makes_its_receipt(self) -> None:
        r = await rig()
        await r.finish(r.terminal.maintain(Maintenance.INITIALISE, acquirer_id=2))
        assert r.numbers() == [0x005, 0x105, 0x001]
        assert (await r.terminal.receipt(ReceiptKind.INITIALISATION)).text
        with pytest.raises(TerminalRefused, match="no acquirer 99"):
            await r.terminal.maintain(Maintenance.INITIALISE, acquirer_id=99)

    async def test_the_language_changes_texts_and_status(self) -> None:
        r = await rig()
        await r.terminal.set_language("it")
        assert (await r.terminal.status()).language == "it"
        assert r.terminal.display == "Benvenuti"
        with pytest.raises(InvalidRequest, match="does not speak"):
            await r.terminal.set_language("rm")

    async def test_it_tells_who_it_is(self) -> None:
        r = await rig()
        info, capabilities = await r.terminal.info(), r.terminal.capabilities

        assert (len(info.terminal_id), len(info.serial_number), len(info.merchant_id)) == (8, 8, 15)
        assert info.is_test
        assert capabilities.kinds == frozenset(PaymentKind)
        assert [acquirer.number for acquirer in (await r.terminal.status()).acquirers] == [2, 3, 4, 5, 6, 7, 8]

    async def test_a_hundred_live_in_one_process(self) -> None:
        terminals = [VirtualTerminal(Settings(shift_open=True, speed=0)) for _ in range(100)]
        for terminal in terminals:
            await terminal.open()
        payments = await asyncio.gather(*(terminal.pay("1.00 CHF") for terminal in terminals))
        for terminal in terminals:
            await terminal.close()

        assert all(payment.is_approved for payment in payments)

    async def test_progress_is_told_in_order(self) -> None:
        r = await rig(card="visa-chip")
        await r.finish(r.terminal.pay("1.00 CHF"))

        assert [event.progress.name for event in r.of(ProgressChanged)] == [
            "SENT", "WAITING_FOR_CARD", "CARD_READ", "PIN", "ONLINE", "APPROVED", "CONFIRMING", "REMOVE_CARD", "DONE"]  # fmt: skip
