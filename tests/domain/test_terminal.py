"""The port in the middle: what every implementation gets for nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import pytest

from zahlwerk.errors import InvalidRequest, LocalProtocolError, MoneyMoved, NotSupported, TerminalRefused
from zahlwerk.events import Notice, TerminalEvent, TerminalStatus
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Original, Outcome, Payment, PaymentKind, PaymentRequest
from zahlwerk.terminal import (
    CONFIRM,
    CONFIRM_ALL,
    ROLL_BACK,
    Capabilities,
    Decision,
    Dialog,
    Feature,
    HoldId,
    Maintenance,
    Terminal,
    TerminalInfo,
    Witness,
    approve_with,
)


class Bare(Terminal):
    """What an implementation must have, and nothing more; approves everything."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[PaymentRequest] = []
        self.calls: list[str] = []

    async def open(self) -> None:
        self.calls.append("open")

    async def close(self) -> None:
        self.calls.append("close")

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(kinds=frozenset({PaymentKind.PURCHASE}), features=frozenset({Feature.TWO_PHASE}))

    async def info(self) -> TerminalInfo:
        return TerminalInfo()

    async def status(self) -> TerminalStatus:
        return TerminalStatus()

    async def transact(self, request: PaymentRequest, *, witness: Witness = CONFIRM_ALL) -> Payment:
        self.requests.append(request)
        payment = Payment(
            reference=request.reference, kind=request.kind, outcome=Outcome.APPROVED, state=PaymentState.APPROVED,
            requested=request.amount, approved=request.total, sequence=17,
        )  # fmt: skip
        decision = await witness.approved(payment)
        if not decision.confirm:
            return payment.but(outcome=Outcome.ABORTED, state=PaymentState.ROLLED_BACK, approved=None)
        return payment.but(
            state=PaymentState.HELD if request.kind is PaymentKind.AUTHORISATION else PaymentState.CONFIRMED
        )


class Holding(Bare):
    """Can hold and settle."""

    def __init__(self, *, approved_minor: int = 5000, settle_fails: bool = False) -> None:
        super().__init__()
        self.approved = Money.of(approved_minor, "CHF")
        self.settled: list[tuple[HoldId, Money | None]] = []
        self.settle_fails = settle_fails

    async def transact(self, request: PaymentRequest, *, witness: Witness = CONFIRM_ALL) -> Payment:
        payment = await super().transact(request, witness=witness)
        return payment.but(approved=self.approved) if self.approved else payment.but(
            outcome=Outcome.DECLINED, state=PaymentState.DECLINED, approved=None, sequence=None
        )  # fmt: skip

    async def settle(self, hold: HoldId, amount: Money | None) -> Payment:
        self.settled.append((hold, amount))
        if self.settle_fails:
            raise TerminalRefused("no such hold")
        state = PaymentState.RELEASED if amount is None else PaymentState.CAPTURED
        return Payment(
            reference="other", kind=PaymentKind.AUTHORISATION, outcome=Outcome.APPROVED, state=state, approved=amount
        )


LACKING: Final[list[tuple[str, Callable[[Terminal], Awaitable[object]]]]] = [
    ("settle a hold", lambda t: t.settle(HoldId("1"), None)),
    ("extend the time for a confirmation", lambda t: t.extend(30)),
    ("abort a payment", lambda t: t.abort()),
    ("look up a payment", lambda t: t.lookup("r")),
    ("list open authorisations", lambda t: t.open_entries()),
    ("open a shift", lambda t: t.open_shift()),
    ("close a shift", lambda t: t.close_shift()),
    ("report totals", lambda t: t.totals()),
    ("close the day", lambda t: t.end_of_day()),
    ("repeat a receipt", lambda t: t.receipt()),
    ("print", lambda t: t.print("x")),
    ("ask the card holder", lambda t: t.ask(Dialog())),
    ("cancel a dialog", lambda t: t.cancel_ask()),
    ("scan a code", lambda t: t.scan()),
    ("reboot", lambda t: t.maintain(Maintenance.REBOOT)),
    ("be locked", lambda t: t.lock()),
    ("be unlocked", lambda t: t.unlock()),
    ("have its keypad locked", lambda t: t.lock_keypad(True)),
    ("change its language", lambda t: t.set_language("de")),
]


class TestWhatIsLacking:
    @pytest.mark.parametrize(("operation", "call"), LACKING, ids=[name for name, _ in LACKING])
    async def test_a_lacking_operation_is_named(
        self, operation: str, call: Callable[[Terminal], Awaitable[object]]
    ) -> None:
        """Operation and implementation, and nothing was sent."""

        with pytest.raises(NotSupported) as caught:
            await call(Bare())

        assert str(caught.value) == f"Bare cannot {operation}"
        assert caught.value.money_moved is MoneyMoved.NO

    def test_every_operation_that_can_be_lacking_is_tested(self) -> None:
        """A new one needs a row."""
        source = {
            name
            for name, value in vars(Terminal).items()
            if "NotSupported" in getattr(getattr(value, "__code__", None), "co_names", ())
        }

        assert len(LACKING) == len(source)

    def test_capabilities_tell_beforehand(self) -> None:
        """Kinds and features alike."""
        can = Bare().capabilities

        assert PaymentKind.PURCHASE in can
        assert PaymentKind.REFUND not in can
        assert Feature.TWO_PHASE in can
        assert Feature.SCAN not in can


class TestPaying:
    @pytest.mark.parametrize("what", ["12.50 CHF", Money.of(1250, "CHF"), PaymentRequest(amount=Money.of(1250, "CHF"))])
    async def test_text_amount_and_request_are_the_same(self, what: str | Money | PaymentRequest) -> None:
        """One door, three handles."""
        terminal = Bare()
        payment = await terminal.pay(what)

        assert payment.approved == Money.of(1250, "CHF")
        assert payment.state is PaymentState.CONFIRMED
        assert terminal.requests[0].kind is PaymentKind.PURCHASE

    async def test_reference_and_tip_go_along(self) -> None:
        """And make the total."""
        terminal = Bare()
        payment = await terminal.pay("10 CHF", reference="till-1", tip=Money.of(100, "CHF"))

        assert payment.reference == "till-1"
        assert payment.approved == Money.of(1100, "CHF")

    @pytest.mark.parametrize("extra", [{"reference": "r"}, {"tip": Money.of(1, "CHF")}])
    async def test_a_request_says_everything_itself(self, extra: dict[str, object]) -> None:
        """Two truths about one payment are refused."""
        terminal = Bare()

        with pytest.raises(InvalidRequest, match="inside the PaymentRequest"):
            await terminal.pay(PaymentRequest(amount=Money.of(1, "CHF")), **extra)  # type: ignore[arg-type]  # a table of cases
        assert terminal.requests == []

    async def test_a_refund_and_a_reversal_are_transactions_too(self) -> None:
        """With the payment that they refer to."""
        terminal = Bare()
        await terminal.refund("5 CHF", original=Original(sequence=3), reference="r1")
        await terminal.reverse(sequence=4, reference="r2")
        await terminal.reverse()

        refund, reversal, latest = terminal.requests
        assert (refund.kind, refund.amount, refund.original) == (
            PaymentKind.REFUND,
            Money.of(500, "CHF"),
            Original(sequence=3),
        )
        assert (reversal.kind, reversal.amount, reversal.original) == (PaymentKind.REVERSAL, None, Original(sequence=4))
        assert latest.original is None
        assert latest.reference

    async def test_a_block_opens_and_closes(self) -> None:
        """Also when something goes wrong inside."""
        terminal = Bare()

        with pytest.raises(ZeroDivisionError):
            async with terminal:
                _ = 1 // 0
        assert terminal.calls == ["open", "close"]

    async def test_events_reach_listeners_and_streams(self) -> None:
        """Through the port itself."""
        terminal = Bare()
        heard: list[TerminalEvent] = []
        stop = terminal.listen(heard.append)
        async with terminal.events() as stream:
            terminal._hub.emit(Notice("paper"))
            stop()
            assert await anext(stream) == Notice("paper")

        assert heard == [Notice("paper")]


class TestWitness:
    async def test_a_witness_confirms_unless_told_otherwise(self) -> None:
        """It writes nothing and keeps the amount."""
        payment = await Bare().pay("1 CHF")

        assert await Witness().approved(payment) is CONFIRM
        assert await Witness().amount_for(Money.of(5, "CHF"), ({"discount": 1},)) == Money.of(5, "CHF")
        await Witness().sending({"sequence": "1"})

    @pytest.mark.parametrize(
        ("decision", "state"), [(CONFIRM, PaymentState.CONFIRMED), (ROLL_BACK, PaymentState.ROLLED_BACK)]
    )
    async def test_one_function_can_decide(self, decision: Decision, state: PaymentState) -> None:
        """It sees the approval before it is confirmed."""
        seen: list[PaymentState] = []

        async def hook(payment: Payment) -> Decision:
            seen.append(payment.state)
            return decision

        payment = await Bare().pay("1 CHF", witness=approve_with(hook))

        assert seen == [PaymentState.APPROVED]
        assert payment.state is state


class TestHold:
    async def test_a_hold_is_captured_for_less(self) -> None:
        """Once; the payment keeps the register's reference and what was asked for."""
        terminal = Holding()
        async with terminal.hold("50.00 CHF", reference="pump-7") as hold:
            payment = await hold.capture("8.40 CHF")

        assert terminal.settled == [(HoldId("17"), Money.of(840, "CHF"))]
        assert (payment.reference, payment.requested, payment.state) == (
            "pump-7",
            Money.of(5000, "CHF"),
            PaymentState.CAPTURED,
        )
        assert hold.payment is payment
        assert not hold.is_open

    async def test_leaving_without_capture_releases(self) -> None:
        """Nothing stays held."""
        terminal = Holding()
        async with terminal.hold("50.00 CHF") as hold:
            assert hold.is_open

        assert terminal.settled == [(HoldId("17"), None)]
        assert hold.payment.state is PaymentState.RELEASED

    async def test_leaving_by_an_error_releases_too(self) -> None:
        """The error goes on."""
        terminal = Holding()

        with pytest.raises(ZeroDivisionError):
            async with terminal.hold("50.00 CHF"):
                _ = 1 // 0
        assert terminal.settled == [(HoldId("17"), None)]

    async def test_released_by_hand_is_not_released_again(self) -> None:
        """Once is enough."""
        terminal = Holding()
        async with terminal.hold("50.00 CHF") as hold:
            await hold.release()

        assert len(terminal.settled) == 1

    async def test_awaiting_gives_the_hold_without_a_block(self) -> None:
        """Open until told otherwise, perhaps from another process, by its id."""
        terminal = Holding()
        hold = await terminal.hold(Money.of(5000, "CHF"), active_tokens=("dG9rZW4=",))

        assert hold.is_open
        assert hold.id == "17"
        assert terminal.requests[0].active_tokens == ("dG9rZW4=",)
        assert terminal.settled == []

    @pytest.mark.parametrize("verb", ["captured", "released"])
    async def test_a_hold_is_settled_once(self, verb: str) -> None:
        """A second capture or release is refused, nothing is sent."""
        terminal = Holding()
        hold = await terminal.hold("50.00 CHF")
        await hold.capture("1 CHF")

        with pytest.raises(LocalProtocolError, match=f"a hold that is captured cannot be {verb}"):
            await (hold.capture("1 CHF") if verb == "captured" else hold.release())
        assert len(terminal.settled) == 1

    async def test_a_declined_hold_is_no_error_until_it_is_used(self) -> None:
        """There is no limit, no id and nothing to release."""
        terminal = Holding(approved_minor=0)
        async with terminal.hold("50.00 CHF") as hold:
            assert not hold.is_approved
            assert not hold.is_open
            assert hold.limit is None
            with pytest.raises(LocalProtocolError, match="a hold that is declined cannot be captured"):
                await hold.capture("1 CHF")
            with pytest.raises(LocalProtocolError, match="nothing is held"):
                _ = hold.id

        assert terminal.settled == []

    @pytest.mark.parametrize("minor", [2999, 3000])
    async def test_the_limit_is_what_was_approved(self, minor: int) -> None:
        """An approval can be partial: one below and at it."""
        terminal = Holding(approved_minor=3000)
        hold = await terminal.hold("50.00 CHF")

        assert hold.limit == Money.of(3000, "CHF")
        assert (await hold.capture(Money.of(minor, "CHF"))).approved == Money.of(minor, "CHF")

    @pytest.mark.parametrize("price", ["30.01 CHF", "0 CHF", "-1 CHF", "1 EUR"])
    async def test_more_than_the_limit_or_nothing_is_refused(self, price: str) -> None:
        """The hold stays open."""
        terminal = Holding(approved_minor=3000)
        hold = await terminal.hold("50.00 CHF")

        with pytest.raises(InvalidRequest):
            await hold.capture(price)
        assert hold.is_open
        assert terminal.settled == []

    async def test_a_capture_that_fails_leaves_the_hold_open(self) -> None:
        """Not guessed to be settled: the block then releases it, which the terminal may refuse as well."""
        terminal = Holding(settle_fails=True)
        hold = await terminal.hold("50.00 CHF")

        with pytest.raises(TerminalRefused):
            await hold.capture("1 CHF")
        assert hold.is_open
