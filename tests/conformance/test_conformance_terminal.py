"""One suite for every `Terminal`: the virtual one itself, and the same one behind each KIT link. Nothing sleeps."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
import pytest_asyncio

from zahlwerk.errors import (
    InvalidRequest,
    LocalProtocolError,
    NotSupported,
    TerminalBusy,
    TerminalError,
    TerminalRefused,
)
from zahlwerk.events import (
    DisplayShown,
    Printer,
    Progress,
    ProgressChanged,
    ReceiptPrinted,
    ShiftChanged,
    StandalonePayment,
    StatusChanged,
    TerminalEvent,
)
from zahlwerk.interfaces.kit.connection import Connection
from zahlwerk.interfaces.kit.driver import KitTerminal
from zahlwerk.interfaces.kit.endpoint import KitEndpoint, Serve, Stop
from zahlwerk.interfaces.kit.framing import Link, PlainLink
from zahlwerk.interfaces.kit.register import Options, RegisterSide
from zahlwerk.interfaces.kit.serial_link import SerialLink
from zahlwerk.journal import Journal
from zahlwerk.journal.sqlite import SqliteStore
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import (
    AMOUNT_KINDS,
    REFERENCE_KINDS,
    EntryMode,
    Original,
    Outcome,
    Payment,
    PaymentKind,
    PaymentRequest,
    Receipt,
    ReceiptKind,
)
from zahlwerk.terminal import (
    ROLL_BACK,
    Decision,
    Dialog,
    DialogEnd,
    DialogInput,
    Feature,
    Maintenance,
    Period,
    Terminal,
    TotalKind,
    approve_with,
)
from zahlwerk.transport.memory import MemoryNetwork
from zahlwerk.urls import Context, Url, connect, listen
from zahlwerk.virtual.deck import deck
from zahlwerk.virtual.settings import Settings
from zahlwerk.virtual.terminal import VirtualTerminal

VIA = ("virtual", "memory", "serial", "tcp", "websocket", "zvt", "journal", "zvt+journal")


@dataclass
class Rig:
    """The terminal under test, and the virtual one that is it or stands behind it."""

    terminal: Terminal
    virtual: VirtualTerminal
    events: list[TerminalEvent] = field(default_factory=list)

    def charged(self) -> int:
        return sum(entry.effect_minor for entry in self.virtual.host.ledger())

    def need(self, *wanted: Feature | PaymentKind) -> None:
        for one in wanted:
            if one not in self.terminal.capabilities:
                pytest.skip(f"this interface cannot {one.value}")

    async def until(self, condition: Callable[[], bool]) -> None:
        """Give way until something is so."""
        for _ in range(20_000):
            if condition():
                return
            await asyncio.sleep(0)
        raise AssertionError("it never came to that")

    async def seen(self, kind: type[TerminalEvent]) -> TerminalEvent:
        await self.until(lambda: any(isinstance(event, kind) for event in self.events))
        return next(event for event in self.events if isinstance(event, kind))


@contextlib.asynccontextmanager
async def rig(via: str, **settings: Any) -> AsyncIterator[Rig]:
    virtual = VirtualTerminal(Settings(**({"speed": 0, "seed": 7} | settings)))
    async with contextlib.AsyncExitStack() as stack:
        terminal: Terminal = virtual
        if via in {"tcp", "websocket"}:
            endpoint = listen(f"kit+{'tcp' if via == 'tcp' else 'ws'}://127.0.0.1:0", virtual)
            terminal = connect(await endpoint.start())
            stack.push_async_callback(endpoint.close)
        elif via in {"zvt", "zvt+journal"}:
            endpoint = listen("zvt+tcp://127.0.0.1:0", virtual)
            terminal = connect(f"{await endpoint.start()}?currency=CHF&poll=0")
            stack.push_async_callback(endpoint.close)
        elif via in {"memory", "serial"}:
            terminal = await behind_memory(virtual, stack, serial=via == "serial")
        if "journal" in via:
            journal = await Journal.open(SqliteStore(None, threaded=False))
            terminal = journal.wrap(terminal, name="till-1")
            stack.push_async_callback(journal.close)
        stack.push_async_callback(virtual.close)
        stack.push_async_callback(terminal.close)
        await terminal.open()
        found = Rig(terminal, virtual)
        terminal.listen(found.events.append)
        if Feature.SHIFT in terminal.capabilities:
            await terminal.open_shift()
        yield found


async def behind_memory(virtual: VirtualTerminal, stack: contextlib.AsyncExitStack, *, serial: bool) -> Terminal:
    network, context = MemoryNetwork(), Context(seed=1)

    def link(role: Literal["register", "terminal"]) -> Link:
        return SerialLink(role) if serial else PlainLink()

    async def start(serve: Serve) -> tuple[Url, Stop]:
        listener = network.listen("terminal", serve)
        await listener.start()
        return Url("memory"), listener.close

    endpoint = KitEndpoint(virtual, start, lambda: link("terminal"), context)
    await endpoint.start()
    stack.push_async_callback(endpoint.close)
    side = RegisterSide(Options())
    connection = Connection(lambda: network.connect("terminal"), link("register"), side, context, name="memory:")
    return KitTerminal(connection, context, interface="KIT JSON")


ZVT_CANNOT = {
    "test_it_says_who_it_is": "ZVT tells terminal id, model and software only",
    "test_what_it_can_do_is_told_beforehand": "ZVT has no message that tells capabilities",
    "test_without_a_shift_nothing_starts": "ZVT has no shift; the endpoint opens one",
    "test_a_currency_it_does_not_take_is_refused_and_nothing_starts": "an outcome over ZVT: result code 6F",
    "test_a_reversal_of_another_one_is_refused": "an outcome over ZVT: 06 1E",
    "test_totals_are_those_of_the_host": "BMP 60 has no kinds and one currency",
    "test_the_end_of_the_day_tells_the_figures_and_clears_them": "ZVT has no shift that would be closed after it",
    "test_the_shift_is_opened_and_closed": "ZVT has no shift",
    "test_the_receipt_of_the_shift_comes_unasked": "ZVT has no shift",
    "test_a_long_receipt_comes_whole": "06 20 repeats the payment's own receipts",
    "test_a_card_shown_first_is_told_and_then_used": "the terminal says nothing while the register rests",
    "test_a_payment_typed_in_at_the_terminal_is_told_as_far_as_the_interface_can": "the terminal says nothing unasked",
    "test_a_printer_without_paper_says_so": "the terminal says nothing unasked",
    "test_a_long_text_is_printed_whole": "the standard profile does not print at the terminal",
    "test_a_scan_can_be_aborted": "ZVT has no scan",
    "test_a_password_is_compared_and_not_told": "inputs need a MAC of the terminal's maker",
    "test_an_acquirer_it_does_not_have_is_refused": "ZVT knows no single acquirers",
    "test_a_dialog_is_answered[zvt-DialogInput.NUMBER": "inputs need a MAC of the terminal's maker",
    "test_a_dialog_is_answered[zvt-DialogInput.DIGITS": "inputs need a MAC of the terminal's maker",
    "test_a_dialog_is_answered[zvt-DialogInput.TEXT": "ZVT has no input of text",
    "test_every_end_of_a_dialog_is_told[zvt-LEFT": "06 E1 has no such key",
    "test_every_end_of_a_dialog_is_told[zvt-RIGHT": "06 E1 has no such key",
    "test_every_end_of_a_dialog_is_told[zvt-BACK": "our endpoint answers STOP",
    **{
        f"test_maintenance_is_done[zvt-{work}": "ZVT has no such command"
        for work in (
            "disconnected_text", "send_logs", "language_dialog_on", "language_dialog_off", "show_idle",
            "show_present_card", "eject_card_forced", "abort_scan",
        )
    },
}  # fmt: skip
"""What ZVT has no words for, by the beginning of the test's name. `bridge --explain` tells it beforehand."""


@pytest.fixture(autouse=True)
def _only_what_zvt_can(request: pytest.FixtureRequest) -> None:
    name = request.node.name.replace("[zvt+journal", "[zvt")
    if "[zvt" in name:
        for beginning, why in ZVT_CANNOT.items():
            if name.startswith(beginning) and name[len(beginning) : len(beginning) + 1] in {"", "[", "]", "-"}:
                pytest.skip(why)


@pytest.fixture(params=VIA)
def via(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture
async def it(via: str) -> AsyncIterator[Rig]:
    async with rig(via) as found:
        yield found


def chf(minor: int) -> Money:
    return Money.of(minor, "CHF")


class TestIdentity:
    async def test_it_says_who_it_is(self, it: Rig) -> None:
        info = await it.terminal.info()
        assert (info.terminal_id, info.serial_number, info.software) == ("ZW000001", "N6P00017", "25.01.00")
        assert (info.merchant_id, info.merchant_name) == ("000000000012345", "Zahlwerk Testladen, Bern")
        assert (info.country_number, info.terminal_type) == (756, 22)

    async def test_opening_again_changes_nothing(self, it: Rig) -> None:
        await it.terminal.open()
        assert (await it.terminal.status()).is_ready

    async def test_what_it_can_do_is_told_beforehand(self, it: Rig) -> None:
        capabilities = it.terminal.capabilities
        assert capabilities.kinds == frozenset(PaymentKind)
        assert capabilities.currencies == ("CHF", "EUR")
        assert "VISA" in capabilities.brands

    async def test_what_it_does_not_claim_it_refuses(self, it: Rig) -> None:
        calls: dict[Feature, Callable[[], Awaitable[object]]] = {
            Feature.SHIFT: it.terminal.close_shift,
            Feature.TOTALS: it.terminal.totals,
            Feature.LOCK: it.terminal.unlock,
            Feature.KEYPAD_LOCK: lambda: it.terminal.lock_keypad(False),
            Feature.OPEN_ENTRIES: it.terminal.open_entries,
            Feature.END_OF_DAY: it.terminal.end_of_day,
        }
        for feature, call in calls.items():
            if feature in it.terminal.capabilities:
                await call()
            else:
                with pytest.raises(NotSupported):
                    await call()


class TestPayments:
    async def test_a_purchase_is_charged_once(self, it: Rig) -> None:
        payment = await it.terminal.pay("12.50 CHF", reference="sale-1")
        assert (payment.outcome, payment.state) == (Outcome.APPROVED, PaymentState.CONFIRMED)
        assert (payment.approved, payment.requested, payment.reference) == (chf(1250), chf(1250), "sale-1")
        assert (it.charged(), payment.sequence) == (1250, 1)
        assert (payment.masked_pan, payment.entry_mode) == ("411111XXXXXX1111", EntryMode.CONTACTLESS)
        assert payment.authorisation_code
        assert payment.aid == "A0000000031010"

    @pytest.mark.parametrize("kind", PaymentKind, ids=lambda kind: kind.name.lower())
    async def test_every_kind_ends_as_the_host_says(self, it: Rig, kind: PaymentKind) -> None:
        it.need(kind)
        original = await original_for(it, kind)
        before = it.charged()
        payment = await it.terminal.transact(
            PaymentRequest(
                kind=kind,
                amount=chf(1000) if kind in AMOUNT_KINDS else None,
                cashback=chf(500) if kind is PaymentKind.PURCHASE_WITH_CASHBACK else None,
                original=original,
                authorisation_code="ABC123" if kind is PaymentKind.PHONE_AUTHORISED else "",
            )
        )
        assert payment.outcome is Outcome.APPROVED, payment.message
        assert payment.kind is kind
        assert it.charged() - before == EFFECTS.get(kind, 0)

    @pytest.mark.parametrize("name", sorted(name for name, card in deck().items() if not card.behaviour.never))
    async def test_every_test_card_ends_the_same_on_every_link(self, via: str, name: str) -> None:
        outcomes: list[tuple[object, ...]] = []
        for where in ("virtual", via):
            async with rig(where, card=name, currencies=("CHF", "EUR", "JPY", "CNY")) as here:
                payment = await within(here.terminal.pay("12.50 CHF"))
                outcomes.append((payment.outcome, payment.response_code, payment.approved, payment.dcc is None,
                                 payment.tip, payment.masked_pan, bool(payment.e_signature_png), payment.voice_phone,
                                 payment.entry_mode, here.charged()))  # fmt: skip
                assert here.charged() == (payment.approved.amount if payment.approved else 0)
        if "zvt" in via:  # which carries no signature, no telephone number, and three kinds of entry
            outcomes = [(*outcome[:6], outcome[9]) for outcome in outcomes]
        assert outcomes[0] == outcomes[1]

    async def test_a_witness_sees_the_approval_before_money_moves(self, it: Rig) -> None:
        seen: list[tuple[Outcome, PaymentState, int]] = []

        async def look(payment: Payment) -> Decision:
            seen.append((payment.outcome, payment.state, it.charged()))
            return Decision(confirm=True)

        await it.terminal.pay("12.50 CHF", witness=approve_with(look))
        assert seen == [(Outcome.APPROVED, PaymentState.APPROVED, 0)]
        assert it.charged() == 1250

    async def test_a_rollback_charges_nothing(self, it: Rig) -> None:
        payment = await it.terminal.pay("12.50 CHF", witness=approve_with(returning(ROLL_BACK)))
        assert (payment.outcome, payment.state, it.charged()) == (Outcome.ABORTED, PaymentState.ROLLED_BACK, 0)

    async def test_a_lower_final_amount_is_what_is_charged(self, it: Rig) -> None:
        it.need(Feature.PARTIAL_CAPTURE)
        less = Decision(confirm=True, amount=chf(900))
        payment = await it.terminal.pay("12.50 CHF", witness=approve_with(returning(less)))
        assert (payment.approved, it.charged()) == (chf(900), 900)

    @pytest.mark.parametrize("amount", ["13.00 CHF", "0.00 CHF", "5.00 EUR"])
    async def test_a_decision_that_cannot_be_is_rolled_back_and_raised(self, it: Rig, amount: str) -> None:
        wrong = Decision(confirm=True, amount=Money.parse(amount))
        with pytest.raises(InvalidRequest):
            await it.terminal.pay("12.50 CHF", witness=approve_with(returning(wrong)))
        assert it.charged() == 0
        assert (await it.terminal.pay("1.00 CHF")).is_approved

    async def test_a_witness_that_raises_charges_nothing_and_is_heard(self, it: Rig) -> None:
        async def fail(_: Payment) -> Decision:
            raise OSError("disk full")

        with pytest.raises(OSError, match="disk full"):
            await it.terminal.pay("12.50 CHF", witness=approve_with(fail))
        assert it.charged() == 0
        assert (await it.terminal.pay("1.00 CHF")).is_approved

    async def test_a_second_payment_at_once_is_refused(self, via: str) -> None:
        async with rig(via, card="none") as it:
            first = asyncio.create_task(it.terminal.pay("12.50 CHF"))
            await waiting_for_card(it)
            with pytest.raises(TerminalBusy):
                await it.terminal.pay("1.00 CHF")
            it.virtual.present("visa")
            assert (await first).approved == chf(1250)
            assert it.charged() == 1250

    async def test_a_currency_it_does_not_take_is_refused_and_nothing_starts(self, it: Rig) -> None:
        with pytest.raises(InvalidRequest):
            await it.terminal.pay("12.50 USD")
        assert it.charged() == 0

    async def test_without_a_shift_nothing_starts(self, it: Rig) -> None:
        await it.terminal.close_shift()
        with pytest.raises(TerminalRefused):
            await it.terminal.pay("12.50 CHF")

    async def test_a_part_is_approved_where_the_register_can_collect_the_rest(self, via: str) -> None:
        async with rig(via, card="prepaid") as it:
            it.need(Feature.PARTIAL_APPROVAL)
            payment = await it.terminal.pay(PaymentRequest(amount=chf(8000), partial_approval=True))
            assert (payment.approved, payment.remaining, it.charged()) == (chf(5000), chf(3000), 5000)

    async def test_a_tip_is_contained_in_what_was_approved(self, via: str) -> None:
        async with rig(via, tip=10) as it:
            payment = await it.terminal.pay("20.00 CHF")
            assert (payment.approved, payment.tip, it.charged()) == (chf(2200), chf(200), 2200)

    async def test_a_tip_known_before_is_told_back(self, it: Rig) -> None:
        payment = await it.terminal.pay("20.00 CHF", tip=chf(300))
        assert (payment.approved, payment.tip, it.charged()) == (chf(2300), chf(300), 2300)

    async def test_a_foreign_card_may_pay_in_its_own_currency(self, via: str) -> None:
        foreign = next(name for name, card in deck().items() if card.behaviour.dcc_currency)
        async with rig(via, card=foreign) as it:
            payment = await it.terminal.pay("20.00 CHF")
            assert payment.approved == chf(2000)
            assert payment.dcc is not None
            assert payment.dcc.amount.currency.code != "CHF"
            assert it.charged() == 2000


EFFECTS = {
    PaymentKind.PURCHASE: 1000, PaymentKind.PURCHASE_WITH_CASHBACK: 1500, PaymentKind.CASH_ADVANCE: 1000,
    PaymentKind.REFUND: -1000, PaymentKind.REVERSAL: -1000, PaymentKind.RESERVATION_CAPTURE: 1000,
    PaymentKind.MAIL_ORDER: 1000, PaymentKind.PHONE_ORDER: 1000, PaymentKind.FORCED_ACCEPTANCE: 1000,
    PaymentKind.PHONE_AUTHORISED: 1000, PaymentKind.LOAD: -1000,
}  # fmt: skip


async def original_for(it: Rig, kind: PaymentKind) -> Original | None:
    """What must have happened before, for a kind that refers to something."""
    if kind is PaymentKind.REVERSAL:
        await it.terminal.pay("10.00 CHF")
        return None
    if kind is PaymentKind.RESERVATION_PHONE_CONFIRM:
        it.virtual._device.settings = Settings(speed=0, seed=7, card="referral")
        first = await it.terminal.transact(PaymentRequest(kind=PaymentKind.RESERVATION, amount=chf(2000)))
        assert first.outcome is Outcome.REFERRED
        return Original(first.transaction_reference, first.acquirer_id)
    if kind in REFERENCE_KINDS:
        first = await it.terminal.transact(PaymentRequest(kind=PaymentKind.RESERVATION, amount=chf(2000)))
        return Original(first.transaction_reference, first.acquirer_id)
    return None


def returning(decision: Decision) -> Callable[[Payment], Awaitable[Decision]]:
    async def decide(_: Payment) -> Decision:
        return decision

    return decide


async def within(work: Awaitable[Payment]) -> Payment:
    """A card that never comes ends by the terminal's own clock: not in this suite."""
    return await asyncio.wait_for(asyncio.ensure_future(work), 5.0)


async def waiting_for_card(it: Rig) -> None:
    await it.until(lambda: it.virtual._device.reader.name == "READY")
    await it.until(
        lambda: any(isinstance(e, ProgressChanged) and e.progress is Progress.WAITING_FOR_CARD for e in it.events)
    )


class TestAbort:
    async def test_while_the_card_is_awaited(self, via: str) -> None:
        async with rig(via, card="none") as it:
            it.need(Feature.ABORT)
            task = asyncio.create_task(it.terminal.pay("12.50 CHF"))
            await waiting_for_card(it)
            await it.terminal.abort()
            payment = await task
            assert (payment.outcome, it.charged()) == (Outcome.ABORTED, 0)
            assert (await it.terminal.status()).shift_open

    @pytest.mark.parametrize("step", [Progress.SENT, Progress.WAITING_FOR_CARD, Progress.CARD_READ, Progress.ONLINE,
                                      Progress.APPROVED, Progress.CONFIRMING])  # fmt: skip
    async def test_at_each_step_the_outcome_is_true(self, it: Rig, step: Progress) -> None:
        tasks: list[asyncio.Task[None]] = []

        def abort(event: TerminalEvent) -> None:
            if isinstance(event, ProgressChanged) and event.progress is step and not tasks:
                tasks.append(asyncio.create_task(it.terminal.abort()))

        it.terminal.listen(abort)
        payment = await within(it.terminal.pay("12.50 CHF"))
        await asyncio.gather(*tasks)
        assert payment.outcome in {Outcome.APPROVED, Outcome.ABORTED}
        assert it.charged() == (1250 if payment.is_approved else 0)
        assert (await it.terminal.pay("1.00 CHF")).is_approved

    async def test_by_the_stop_key(self, via: str) -> None:
        async with rig(via, card="none") as it:
            task = asyncio.create_task(it.terminal.pay("12.50 CHF"))
            await waiting_for_card(it)
            it.virtual.press_stop()
            assert (await task).outcome is Outcome.ABORTED

    async def test_with_nothing_running_nothing_happens(self, it: Rig) -> None:
        await it.terminal.abort()
        assert (await it.terminal.pay("1.00 CHF")).is_approved

    async def test_a_cancelled_caller_leaves_nothing_charged(self, via: str) -> None:
        async with rig(via, card="none") as it:
            task = asyncio.create_task(it.terminal.pay("12.50 CHF"))
            await waiting_for_card(it)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert it.charged() == 0
            it.virtual._device.settings = Settings(speed=0, seed=7)
            assert (await within(it.terminal.pay("1.00 CHF"))).is_approved


class TestHolds:
    async def test_a_capture_takes_what_was_used(self, it: Rig) -> None:
        it.need(Feature.HOLD)
        async with it.terminal.hold("50.00 CHF") as hold:
            assert (hold.payment.state, hold.limit, it.charged()) == (PaymentState.HELD, chf(5000), 0)
            payment = await hold.capture("8.40 CHF")
        assert (payment.outcome, payment.state, payment.approved) == (Outcome.APPROVED, PaymentState.CAPTURED, chf(840))
        assert it.charged() == 840

    async def test_leaving_without_a_capture_releases(self, it: Rig) -> None:
        it.need(Feature.HOLD, Feature.OPEN_ENTRIES)
        async with it.terminal.hold("50.00 CHF") as hold:
            assert [entry.hold for entry in await it.terminal.open_entries()] == [hold.id]
        assert (hold.payment.state, it.charged()) == (PaymentState.RELEASED, 0)
        assert await it.terminal.open_entries() == ()

    async def test_more_than_was_held_is_refused(self, it: Rig) -> None:
        it.need(Feature.HOLD)
        async with it.terminal.hold("50.00 CHF") as hold:
            with pytest.raises(InvalidRequest):
                await hold.capture("50.01 CHF")
            with pytest.raises((InvalidRequest, TerminalRefused)):
                await it.terminal.settle(hold.id, chf(5001))
        assert it.charged() == 0

    async def test_the_same_capture_again_changes_nothing_and_another_is_refused(self, it: Rig) -> None:
        it.need(Feature.HOLD)
        hold = await it.terminal.hold("50.00 CHF")
        await hold.capture("8.40 CHF")
        assert (await it.terminal.settle(hold.id, chf(840))).approved == chf(840)
        for other in (chf(900), None):
            with pytest.raises(TerminalRefused):
                await it.terminal.settle(hold.id, other)
        assert it.charged() == 840

    async def test_a_hold_that_is_not_open_is_refused(self, it: Rig) -> None:
        it.need(Feature.HOLD)
        hold = await it.terminal.hold("1.00 CHF")
        await hold.release()
        with pytest.raises(LocalProtocolError):
            await hold.capture("1.00 CHF")
        with pytest.raises((InvalidRequest, TerminalRefused)):
            await it.terminal.settle(type(hold.id)("999"), chf(100))

    async def test_several_holds_stand_open_beside_a_payment(self, it: Rig) -> None:
        it.need(Feature.HOLD)
        first, second = await it.terminal.hold("20.00 CHF"), await it.terminal.hold("30.00 CHF")
        await it.terminal.pay("1.00 CHF")
        await second.capture("25.00 CHF")
        await first.release()
        assert it.charged() == 2600

    async def test_a_declined_hold_is_no_error(self, via: str) -> None:
        async with rig(via, card="declined") as it:
            async with it.terminal.hold("20.00 CHF") as hold:
                assert (hold.is_approved, hold.limit) == (False, None)
            assert hold.payment.outcome is Outcome.DECLINED


class TestRefundReverseLookup:
    async def test_a_refund_gives_back(self, it: Rig) -> None:
        payment = await it.terminal.refund("5.00 CHF")
        assert (payment.outcome, payment.approved, it.charged()) == (Outcome.APPROVED, chf(500), -500)

    async def test_a_reversal_undoes_the_latest(self, it: Rig) -> None:
        paid = await it.terminal.pay("12.50 CHF")
        payment = await it.terminal.reverse(sequence=paid.sequence)
        assert (payment.outcome, it.charged()) == (Outcome.APPROVED, 0)

    async def test_a_reversal_of_another_one_is_refused(self, it: Rig) -> None:
        paid = await it.terminal.pay("12.50 CHF")
        await it.terminal.pay("1.00 CHF")
        with pytest.raises(TerminalRefused):
            await it.terminal.reverse(sequence=paid.sequence)
        assert it.charged() == 1350

    async def test_a_payment_is_found_by_its_reference_and_by_its_counter(self, it: Rig) -> None:
        it.need(Feature.LOOKUP)
        paid = await it.terminal.pay("12.50 CHF", reference="sale-1")
        by_reference = await it.terminal.lookup("sale-1")
        by_counter = await it.terminal.lookup(sequence=paid.sequence)
        assert {by_reference.outcome, by_counter.outcome} == {Outcome.APPROVED}
        assert by_reference.approved == by_counter.approved == chf(1250)

    async def test_what_nobody_knows_is_not_found(self, it: Rig) -> None:
        it.need(Feature.LOOKUP)
        with pytest.raises(TerminalError):
            await it.terminal.lookup("never-was")


class TestFigures:
    async def test_totals_are_those_of_the_host(self, it: Rig) -> None:
        it.need(Feature.TOTALS)
        for amount in ("12.50 CHF", "7.50 CHF", "3.00 EUR"):
            await it.terminal.pay(amount)
        await it.terminal.refund("5.00 CHF")
        for period in Period:
            totals = (await it.terminal.totals(period)).totals
            found = {(total.kind, total.amount.currency.code): (total.count, total.amount.amount) for total in totals}
            assert found == {
                (TotalKind.DEBIT, "CHF"): (2, 2000), (TotalKind.DEBIT, "EUR"): (1, 300), (TotalKind.CREDIT, "CHF"): (1, 500),
            }  # fmt: skip

    async def test_the_end_of_the_day_tells_the_figures_and_clears_them(self, it: Rig) -> None:
        it.need(Feature.END_OF_DAY)
        await it.terminal.pay("12.50 CHF")
        closed = await it.terminal.end_of_day()
        assert [total.amount for total in closed.totals] == [chf(1250)]
        assert closed.receipt
        assert not (await it.terminal.status()).shift_open
        await it.terminal.open_shift()
        assert (await it.terminal.totals(Period.ACCOUNTING_PERIOD)).totals == ()

    async def test_the_shift_is_opened_and_closed(self, it: Rig) -> None:
        closed = await it.terminal.close_shift()
        opened = await it.terminal.open_shift(attendant="Anna", attendant_number=7)
        assert (closed.is_open, opened.is_open) == (False, True)
        assert opened.shift_counter == (closed.shift_counter or 0) + 1
        again = await it.terminal.open_shift()
        assert again.shift_counter == opened.shift_counter
        await it.until(lambda: any(isinstance(event, ShiftChanged) and not event.is_open for event in it.events))


class TestReceipts:
    async def test_both_receipts_come_with_the_payment_and_unasked(self, it: Rig) -> None:
        payment = await it.terminal.pay("12.50 CHF")
        assert [receipt.kind for receipt in payment.receipts] == [ReceiptKind.MERCHANT, ReceiptKind.CUSTOMER]
        assert all("12.50" in receipt.text for receipt in payment.receipts)
        printed = [e.receipt.kind for e in it.events if isinstance(e, ReceiptPrinted)]
        assert {ReceiptKind.MERCHANT, ReceiptKind.CUSTOMER} <= set(printed)

    async def test_a_receipt_can_be_had_again(self, it: Rig) -> None:
        it.need(Feature.RECEIPT_COPY)
        first = await it.terminal.pay("12.50 CHF")
        await it.terminal.pay("1.00 CHF")
        for kind in (ReceiptKind.MERCHANT, ReceiptKind.CUSTOMER):
            copy = await it.terminal.receipt(kind, number=first.sequence)
            assert copy.text == first.receipt(kind)
            assert "1.00" in (await it.terminal.receipt(kind)).text

    async def test_a_receipt_that_never_was_is_refused(self, it: Rig) -> None:
        with pytest.raises(TerminalError):
            await it.terminal.receipt(number=4711)

    async def test_a_long_receipt_comes_whole(self, it: Rig) -> None:
        text = "\n".join(f"Zeile {number:04d} äöü" for number in range(1500))
        await it.terminal.pay("1.00 CHF")
        it.virtual._device.receipts[ReceiptKind.MERCHANT] = Receipt(ReceiptKind.MERCHANT, text)
        assert (await it.terminal.receipt()).text == text

    async def test_the_receipt_of_the_shift_comes_unasked(self, it: Rig) -> None:
        await it.terminal.close_shift()
        await it.until(
            lambda: any(isinstance(e, ReceiptPrinted) and e.receipt.kind is ReceiptKind.SHIFT_CLOSED for e in it.events)
        )


class TestDevice:
    @pytest.mark.parametrize(("kind", "text"), [(DialogInput.NOTHING, ""), (DialogInput.NUMBER, "42"), (DialogInput.DIGITS, "007"),
                                                (DialogInput.TEXT, "Zürich")])  # fmt: skip
    async def test_a_dialog_is_answered(self, it: Rig, kind: DialogInput, text: str) -> None:
        it.need(Feature.ASK)
        it.virtual.answer_dialog(text)
        answer = await it.terminal.ask(Dialog(text="Kilometerstand?", input=kind))
        assert (answer.end, answer.text) == (DialogEnd.OK, text)

    async def test_a_password_is_compared_and_not_told(self, it: Rig) -> None:
        it.need(Feature.ASK)
        for typed, right in (("secret", True), ("wrong", False)):
            it.virtual.answer_dialog(typed)
            answer = await it.terminal.ask(Dialog(text="?", input=DialogInput.PASSWORD, password="secret"))
            assert (answer.matches, answer.text) == (right, "")

    @pytest.mark.parametrize("end", list(DialogEnd), ids=lambda end: end.name)
    async def test_every_end_of_a_dialog_is_told(self, it: Rig, end: DialogEnd) -> None:
        it.virtual.answer_dialog(end=end)
        assert (await it.terminal.ask(Dialog(text="?"))).end is end

    async def test_a_dialog_can_be_cancelled(self, via: str) -> None:
        async with rig(via, card="none") as it:
            task = asyncio.create_task(
                it.terminal.ask(Dialog(text="?", input=DialogInput.NOTHING if "zvt" in via else DialogInput.TEXT))
            )
            await it.until(lambda: it.virtual.state.name == "DIALOG")
            await it.terminal.cancel_ask()
            assert (await task).end is DialogEnd.CANCELLED

    async def test_a_text_is_printed(self, it: Rig) -> None:
        it.need(Feature.PRINT)
        assert await it.terminal.print("Danke!\n", double_height=True) is Printer.FINE
        assert "Danke!" in "".join(it.virtual.paper)

    async def test_a_long_text_is_printed_whole(self, it: Rig) -> None:
        text = "".join(f"Zeile {number} äöü\n" for number in range(300))
        await it.terminal.close_shift()
        before = len(it.virtual.paper)
        await it.terminal.print(text)
        portions = list(it.virtual.paper)[before:]
        # The virtual printer marks portions after which more follow.
        assert "".join(portion.removeprefix("[+] ") for portion in portions) == text

    async def test_an_image_is_printed_and_a_huge_one_refused(self, it: Rig) -> None:
        it.need(Feature.PRINT_IMAGE)
        assert await it.terminal.print(image_png=b"\x89PNG\r\n\x1a\n" + bytes(50)) is Printer.FINE
        if isinstance(it.terminal, KitTerminal):  # the limit is KIT's (2.9)
            with pytest.raises(InvalidRequest):
                await it.terminal.print(image_png=bytes(20_000))

    async def test_a_printer_without_paper_says_so(self, it: Rig) -> None:
        it.virtual.run_out_of_paper()
        assert Printer.OUT_OF_PAPER in await it.terminal.print("x")
        assert Printer.OUT_OF_PAPER in (await it.terminal.status()).printer

    async def test_a_code_is_scanned(self, it: Rig) -> None:
        it.need(Feature.SCAN)
        it.virtual.scan_code("4006381333931")
        assert await it.terminal.scan(title="Kundenkarte", text="Bitte zeigen") == "4006381333931"

    async def test_a_scan_can_be_aborted(self, via: str) -> None:
        async with rig(via, card="none") as it:
            task = asyncio.create_task(it.terminal.scan())
            await it.until(lambda: it.virtual.state.name == "SERVICE")
            await it.terminal.maintain(Maintenance.ABORT_SCAN)
            assert await asyncio.wait_for(task, 5.0) == ""

    async def test_a_locked_terminal_takes_no_payments(self, it: Rig) -> None:
        it.need(Feature.LOCK)
        await it.terminal.lock()
        assert (await it.terminal.status()).locked
        with pytest.raises((TerminalBusy, TerminalRefused)):
            await within(it.terminal.pay("1.00 CHF"))
        await it.terminal.unlock()
        assert (await it.terminal.pay("1.00 CHF")).is_approved

    async def test_with_its_keypad_locked_only_the_register_starts_payments(self, it: Rig) -> None:
        it.need(Feature.KEYPAD_LOCK)
        await it.terminal.lock_keypad(True)
        await it.terminal.lock_keypad(True)
        with pytest.raises(TerminalRefused):
            await it.virtual.type_payment("1.00 CHF")
        assert (await it.terminal.pay("1.00 CHF")).is_approved
        await it.terminal.lock_keypad(False)
        assert (await it.terminal.pay("2.00 CHF")).is_approved
        assert (await it.virtual.type_payment("1.00 CHF")).is_approved

    @pytest.mark.parametrize("language", ["de", "fr", "it", "en"])
    async def test_it_speaks_the_language_it_is_told(self, it: Rig, language: str) -> None:
        it.need(Feature.LANGUAGE)
        await it.terminal.set_language(language)
        assert (await it.terminal.status()).language == language

    async def test_a_language_it_does_not_speak_is_refused(self, it: Rig) -> None:
        with pytest.raises((InvalidRequest, TerminalRefused)):
            await it.terminal.set_language("xx")

    @pytest.mark.parametrize("work", [work for work in Maintenance if work not in {Maintenance.REBOOT, Maintenance.UPDATE}],
                             ids=lambda work: work.name.lower())  # fmt: skip
    async def test_maintenance_is_done(self, it: Rig, work: Maintenance) -> None:
        it.need(Feature.MAINTENANCE)
        await it.terminal.maintain(work, text="Closed" if work is Maintenance.DISCONNECTED_TEXT else "")
        assert (await it.terminal.pay("1.00 CHF")).is_approved

    async def test_an_acquirer_it_does_not_have_is_refused(self, it: Rig) -> None:
        await it.terminal.maintain(Maintenance.INITIALISE, acquirer_id=2)
        with pytest.raises(TerminalRefused):
            await it.terminal.maintain(Maintenance.INITIALISE, acquirer_id=99)


class TestEvents:
    async def test_status_progress_and_display_are_told(self, it: Rig) -> None:
        it.need(Feature.DISPLAY)
        await it.terminal.pay("12.50 CHF")
        assert {StatusChanged, ProgressChanged, DisplayShown} <= {type(event) for event in it.events}
        steps = [event.progress for event in it.events if isinstance(event, ProgressChanged)]
        assert steps[0] is Progress.SENT
        assert Progress.DONE in steps
        assert steps.index(Progress.APPROVED) < steps.index(Progress.CONFIRMING)

    async def test_a_card_shown_first_is_told_and_then_used(self, via: str) -> None:
        async with rig(via, card="none") as it:
            it.virtual.present("visa")
            await it.until(
                lambda: any(
                    isinstance(e, StatusChanged) and e.status.wants_request and e.status.card for e in it.events
                )
            )
            payment = await it.terminal.pay("12.50 CHF")
            assert payment.approved == chf(1250)

    async def test_a_payment_typed_in_at_the_terminal_is_told_as_far_as_the_interface_can(self, it: Rig) -> None:
        await it.virtual.type_payment("7.00 CHF")
        if isinstance(it.terminal, KitTerminal):
            # KIT has no message for it: its receipts and the totals are what a register gets.
            event = await it.seen(ReceiptPrinted)
            assert isinstance(event, ReceiptPrinted)
            assert [total.amount for total in (await it.terminal.totals()).totals] == [chf(700)]
        else:
            event = await it.seen(StandalonePayment)
            assert isinstance(event, StandalonePayment)
            assert event.payment.approved == chf(700)
