"""Observed: everything is passed on, and each payment is told."""

from __future__ import annotations

from zahlwerk.cli.observed import Observed
from zahlwerk.events import Printer
from zahlwerk.lifecycle import PaymentState
from zahlwerk.payment import Payment, ReceiptKind
from zahlwerk.terminal import Dialog, Maintenance, Period
from zahlwerk.virtual.settings import Settings
from zahlwerk.virtual.terminal import VirtualTerminal


async def test_payments_and_holds_are_told() -> None:
    """Each once, when it has ended."""
    told: list[Payment] = []
    inner = VirtualTerminal(Settings(speed=0))
    async with Observed(inner, told.append) as terminal:
        await terminal.open_shift()
        await terminal.pay("5 CHF")
        async with terminal.hold("20 CHF") as hold:
            assert [entry.hold for entry in await terminal.open_entries()] == [hold.id]
            await hold.capture("7 CHF")

    assert [payment.state for payment in told] == [PaymentState.CONFIRMED, PaymentState.HELD, PaymentState.CAPTURED]


async def test_everything_else_is_passed_on() -> None:
    """The answers are the terminal's own."""
    inner = VirtualTerminal(Settings(speed=0))
    seen: list[object] = []
    async with Observed(inner, lambda _: None) as terminal:
        stop = terminal.listen(seen.append)
        stream = terminal.events()
        await terminal.open_shift(attendant="Ada")
        payment = await terminal.pay("5 CHF")

        assert terminal.capabilities == inner.capabilities
        assert await terminal.info() == await inner.info()
        assert await terminal.status() == await inner.status()
        assert (await terminal.lookup(payment.reference)).sequence == payment.sequence
        assert (await terminal.receipt(ReceiptKind.CUSTOMER)).text
        assert (await terminal.totals(Period.SHIFT)).totals
        assert await terminal.print("hello") is Printer.FINE
        assert (await terminal.ask(Dialog(text="ready?"))).end is not None
        assert await terminal.scan() != ""
        await terminal.lock()
        assert (await terminal.status()).locked
        await terminal.unlock()
        await terminal.set_language("fr")
        assert (await terminal.status()).language == "fr"
        await terminal.abort()
        await terminal.cancel_ask()
        await terminal.maintain(Maintenance.CONFIGURE)
        assert (await terminal.end_of_day()).totals
        assert not (await terminal.close_shift()).is_open
        assert await anext(stream) == seen[0]
        stop()
