"""Any register to any terminal: a KIT register to a ZVT terminal, and a ZVT register to a KIT terminal, over real sockets.

Behind both stands the virtual terminal; what the register is told must be what its host has booked.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from typer.testing import CliRunner

from zahlwerk.cli.main import app
from zahlwerk.errors import TerminalError
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Original, Outcome, PaymentKind, PaymentRequest, ReceiptKind
from zahlwerk.terminal import CONFIRM, ROLL_BACK, Decision, Feature, HoldId, Terminal, approve_with
from zahlwerk.urls import connect, listen
from zahlwerk.virtual.settings import Settings
from zahlwerk.virtual.terminal import VirtualTerminal

KIT, ZVT = "kit+tcp", "zvt+tcp"
WAYS = [(KIT, ZVT), (ZVT, KIT), (ZVT, ZVT)]
"""What the register speaks, and what the terminal."""


@dataclass
class Bridge:
    """A register, what it speaks to, and the books behind it."""

    register: Terminal
    virtual: VirtualTerminal

    def charged(self) -> int:
        return sum(entry.effect_minor for entry in self.virtual.host.ledger())

    def open_bookings(self) -> int:
        numbers = {entry.booking for entry in self.virtual.host.ledger() if entry.booking}
        return sum(self.virtual.host.booking(number).state.value == "authorised" for number in numbers)


def _address(url: object) -> str:
    return f"{url}?currency=CHF&poll=0" if str(url).startswith(ZVT) else str(url)


@contextlib.asynccontextmanager
async def bridged(spoken: str, understood: str, **settings: object) -> AsyncIterator[Bridge]:
    """register -> `spoken` -> bridge -> `understood` -> virtual terminal."""
    virtual = VirtualTerminal(Settings(**({"speed": 0, "seed": 7, "shift_open": True} | settings)))  # type: ignore[arg-type]  # test settings by name
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(virtual.close)
        terminal_side = listen(f"{understood}://127.0.0.1:0", virtual)
        behind = connect(_address(await terminal_side.start()))
        stack.push_async_callback(terminal_side.close)
        bridge = listen(f"{spoken}://127.0.0.1:0", behind)
        register = connect(_address(await bridge.start()))
        stack.push_async_callback(behind.close)
        stack.push_async_callback(bridge.close)
        stack.push_async_callback(register.close)
        await register.open()
        if Feature.SHIFT in register.capabilities:
            with contextlib.suppress(TerminalError):
                await register.open_shift()
        yield Bridge(register, virtual)


@pytest.fixture(params=WAYS, ids=lambda way: f"{way[0]}-to-{way[1]}")
def way(request: pytest.FixtureRequest) -> tuple[str, str]:
    spoken, understood = request.param
    return str(spoken), str(understood)


def chf(minor: int) -> Money:
    return Money.of(minor, "CHF")


class TestMoney:
    async def test_a_purchase_is_charged_once(self, way: tuple[str, str]) -> None:
        async with bridged(*way) as it:
            payment = await it.register.pay("12.50 CHF")
            assert (payment.outcome, payment.state) == (Outcome.APPROVED, PaymentState.CONFIRMED)
            assert (payment.approved, it.charged(), it.open_bookings()) == (chf(1250), 1250, 0)
            assert payment.masked_pan.endswith("1111")
            assert payment.authorisation_code
            assert payment.brand.casefold() == "visa"

    async def test_both_receipts_arrive(self, way: tuple[str, str]) -> None:
        async with bridged(*way) as it:
            payment = await it.register.pay("12.50 CHF")
            kinds = [receipt.kind for receipt in payment.receipts]
            assert kinds == [ReceiptKind.MERCHANT, ReceiptKind.CUSTOMER]
            assert all("12.50" in receipt.text for receipt in payment.receipts)

    @pytest.mark.parametrize(
        ("card", "outcome"),
        [("declined", Outcome.DECLINED), ("insufficient", Outcome.DECLINED), ("referral", Outcome.REFERRED)],
    )
    async def test_what_is_not_approved_is_not_charged(self, way: tuple[str, str], card: str, outcome: Outcome) -> None:
        try:
            settings = Settings(card=card)
        except TerminalError:
            pytest.skip(f"no test card is called {card}")
        async with bridged(*way, card=settings.card) as it:
            payment = await it.register.pay("12.50 CHF")
            assert (payment.outcome, it.charged(), it.open_bookings()) == (outcome, 0, 0)

    async def test_a_tip_known_before_is_charged_and_told_back(self, way: tuple[str, str]) -> None:
        async with bridged(*way) as it:
            payment = await it.register.pay("20.00 CHF", tip=chf(300))
            assert (payment.approved, payment.tip, it.charged()) == (chf(2300), chf(300), 2300)

    async def test_a_tip_at_the_terminal_is_told(self, way: tuple[str, str]) -> None:
        async with bridged(*way, tip=10) as it:
            payment = await it.register.pay("20.00 CHF")
            assert (payment.approved, payment.tip, it.charged()) == (chf(2200), chf(200), 2200)

    async def test_a_part_may_be_approved(self, way: tuple[str, str]) -> None:
        async with bridged(*way, card="prepaid") as it:
            payment = await it.register.pay(PaymentRequest(amount=chf(8000), partial_approval=True))
            assert (payment.approved, it.charged()) == (chf(5000), 5000)

    async def test_a_register_that_takes_it_back_charges_nothing(self, way: tuple[str, str]) -> None:
        async def no(_: object) -> Decision:
            return ROLL_BACK

        async with bridged(*way) as it:
            payment = await it.register.pay("12.50 CHF", witness=approve_with(no))
            assert (payment.outcome, it.charged(), it.open_bookings()) == (Outcome.ABORTED, 0, 0)

    async def test_a_register_that_thinks_for_long_is_waited_for(self, way: tuple[str, str]) -> None:
        async def slowly(_: object) -> Decision:
            await asyncio.sleep(0.05)
            return CONFIRM

        async with bridged(*way) as it:
            payment = await it.register.pay("12.50 CHF", witness=approve_with(slowly))
            assert (payment.outcome, it.charged()) == (Outcome.APPROVED, 1250)

    async def test_a_payment_is_aborted(self, way: tuple[str, str]) -> None:
        async with bridged(*way, card="none") as it:
            task = asyncio.create_task(it.register.pay("12.50 CHF"))
            while it.virtual.state.name != "WAIT_CARD":  # noqa: ASYNC110 - a real socket in between
                await asyncio.sleep(0.001)
            await it.register.abort()
            payment = await asyncio.wait_for(task, 20)
            assert (payment.outcome, it.charged()) == (Outcome.ABORTED, 0)

    async def test_a_refund_gives_back_and_a_reversal_undoes(self, way: tuple[str, str]) -> None:
        async with bridged(*way) as it:
            refund = await it.register.refund("5.00 CHF")
            assert (refund.outcome, it.charged()) == (Outcome.APPROVED, -500)
            paid = await it.register.pay("12.50 CHF")
            reversal = await it.register.reverse(sequence=paid.sequence)
            assert (reversal.outcome, it.charged()) == (Outcome.APPROVED, -500)

    async def test_a_hold_is_captured_or_released(self, way: tuple[str, str]) -> None:
        async with bridged(*way) as it:
            if Feature.HOLD not in it.register.capabilities:
                pytest.skip("this pair cannot hold")
            hold = await it.register.hold("50.00 CHF")
            assert (hold.payment.state, it.charged()) == (PaymentState.HELD, 0)
            captured = await hold.capture("8.40 CHF")
            assert (captured.state, it.charged(), it.open_bookings()) == (PaymentState.CAPTURED, 840, 0)
            second = await it.register.hold("20.00 CHF")
            released = await second.release()
            assert (released.state, it.charged(), it.open_bookings()) == (PaymentState.RELEASED, 840, 0)

    async def test_a_hold_is_settled_by_its_name_alone(self, way: tuple[str, str]) -> None:
        async with bridged(*way) as it:
            hold = await it.register.hold("50.00 CHF")
            payment = await it.register.settle(HoldId(str(hold.payment.sequence)), chf(1000))
            assert (payment.state, it.charged()) == (PaymentState.CAPTURED, 1000)

    async def test_a_reservation_is_captured(self, way: tuple[str, str]) -> None:
        async with bridged(*way) as it:
            first = await it.register.transact(PaymentRequest(kind=PaymentKind.RESERVATION, amount=chf(20000)))
            assert first.is_approved
            original = Original(
                transaction_reference=first.transaction_reference,
                acquirer_id=first.acquirer_id,
                sequence=first.sequence,
            )
            capture = PaymentRequest(kind=PaymentKind.RESERVATION_CAPTURE, amount=chf(15000), original=original)
            assert (await it.register.transact(capture)).is_approved
            assert it.charged() == 15000

    async def test_the_end_of_the_day_tells_what_was_charged(self, way: tuple[str, str]) -> None:
        async with bridged(*way) as it:
            await it.register.pay("12.50 CHF")
            await it.register.pay("7.50 CHF")
            if Feature.SHIFT in it.register.capabilities:
                await it.register.close_shift()
            totals = await it.register.end_of_day()
            assert sum(total.amount.amount for total in totals.totals) == 2000

    async def test_what_became_of_a_payment_is_found(self, way: tuple[str, str]) -> None:
        async with bridged(*way) as it:
            await it.register.pay("12.50 CHF", reference="sale-1")
            assert (await it.register.lookup("sale-1")).approved == chf(1250)


class TestWhatGetsLost:
    """`zahlwerk bridge --explain`, computed from the capabilities on both sides."""

    @pytest.mark.parametrize(("spoken", "lost"), [(ZVT, {"shift", "scan", "lock", "token"}), (KIT, {"standalone"})])
    def test_it_is_told_beforehand(self, spoken: str, lost: set[str]) -> None:
        result = CliRunner().invoke(
            app,
            ["bridge", "--listen", f"{spoken}://127.0.0.1:0", "--terminal", "virtual:?speed=0", "--explain", "--json"],
        )
        assert result.exit_code == 0, result.output
        told = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
        losses = next(line for line in told if line.get("event") == "loss")
        assert losses["measured"]
        assert lost <= set(losses["features"])


class TestReceiptsOfTheRegistersOwn:
    async def test_a_register_that_makes_its_own_gets_both_copies(self) -> None:
        """Config byte 3E, fact sheet 2.7 and 6.13: the terminal sends no lines."""
        virtual = VirtualTerminal(Settings(speed=0, seed=7, shift_open=True))
        endpoint = listen("zvt+tcp://127.0.0.1:0", virtual)
        async with connect(f"{await endpoint.start()}?currency=CHF&poll=0&config=3E") as register:
            payment = await register.pay("12.50 CHF")
        await endpoint.close()
        await virtual.close()
        assert [receipt.kind for receipt in payment.receipts] == [ReceiptKind.MERCHANT, ReceiptKind.CUSTOMER]
        assert all("12.50" in receipt.text or "12,50" in receipt.text for receipt in payment.receipts)


class TestTheKeypad:
    async def test_is_locked_at_the_far_end_for_a_register_that_controls_payments(self) -> None:
        """Config bit 10 goes through the bridge, and its log-off as well (fact sheet 2.7, 6.2)."""
        virtual = VirtualTerminal(Settings(speed=0, seed=7, shift_open=True))
        far = listen("zvt+tcp://127.0.0.1:0", virtual)
        behind = connect(f"{await far.start()}?currency=CHF&poll=0&config=8E")
        near = listen("zvt+tcp://127.0.0.1:0", behind)
        url = f"{await near.start()}?currency=CHF&poll=0"
        async with connect(url) as register:
            assert (await register.pay("12.50 CHF")).is_approved
            with pytest.raises(TerminalError, match="keypad"):
                await virtual.type_payment("1.00 CHF")
        async with connect(f"{url}&config=8E") as register:
            assert (await register.pay("12.50 CHF")).is_approved
            assert (await virtual.type_payment("1.00 CHF")).is_approved
        await near.close()
        await behind.close()
        await far.close()
        await virtual.close()
