"""What a terminal does while no payment runs, and what the driver makes of it: timed jobs, late results, busy answers."""

from __future__ import annotations

import pytest
from tests.interop.kit_world import Journal, chf
from tests.interop.zvt_ledger import Habits, LedgerWorld
from tests.interop.zvt_world import QUIET

from zahlwerk.events import Notice, ReceiptPrinted, StandalonePayment, TerminalEvent
from zahlwerk.interfaces.zvt.profiles import Profile
from zahlwerk.interfaces.zvt.register import AbortAnswered, Phase, RegisterSide
from zahlwerk.payment import Outcome, Payment, PaymentRequest

OK = bytes.fromhex("80 00 00")
DONE = bytes.fromhex("06 0F 00")
DAY = bytes.fromhex("04 0F 0D 27 00 04 00 00 00 00 12 50 0B 00 00 09")


def sale(reference: str, minor: int = 1250) -> PaymentRequest:
    return PaymentRequest(amount=chf(minor), reference=reference)


async def opened(habits: Habits | None = None, *, profile: Profile = QUIET) -> tuple[LedgerWorld, list[TerminalEvent]]:
    world = LedgerWorld(habits, profile=profile)
    events: list[TerminalEvent] = []
    world.register.listen(events.append)
    await world.open()
    return world, events


class TestATimedJob:
    """Fact sheet 6.8: run in the answer to 05 01, with prints of its own."""

    async def test_hands_over_its_receipt_although_nobody_asked(self) -> None:
        world, events = await opened(profile=QUIET.but(poll_s=60.0))
        world.device.script["0501"] = [OK, bytes.fromhex("06 D1 04 00 44 41 59"), bytes.fromhex("06 D1 01 81"), DONE]
        await world.pass_time(61.0)

        assert [event.receipt.text for event in events if isinstance(event, ReceiptPrinted)] == ["DAY"]
        await world.close()

    async def test_makes_the_latest_transaction_be_read_again(self) -> None:
        world, _ = await opened()
        await world.until(world.register.transact(sale("sale-1")))
        world.device.heard.clear()
        world.device.script["0501"] = [OK, DAY, DONE]
        await world.until(world.register.status())
        await world.until(world.register.transact(sale("sale-2")))

        assert world.device.heard == ["0501", "0620", "0601"]
        await world.close()


class TestAResultThatNobodyWaitsFor:
    async def test_is_told_as_a_payment_typed_in_at_the_terminal(self) -> None:
        world, events = await opened()
        await world.until(world.register.transact(sale("sale-1")))
        world.register._connection.side.receive_data(DAY, now_s=world.clock.now_s())
        world.register._connection.turn()

        assert any(isinstance(event, StandalonePayment) for event in events)
        await world.close()

    async def test_but_not_while_one_of_ours_is_open(self) -> None:
        """It may be that one: told twice, the till would book it twice."""
        world, events = await opened(Habits(nothing="6b"))
        side = world.register._connection.side
        world.device.script["0601"] = [OK]
        task = world.register.transact(sale("sale-1"))
        payment: Payment = await world.until(task)
        assert payment.outcome is Outcome.UNKNOWN
        side.receive_data(DAY, now_s=world.clock.now_s())
        world.register._connection.turn()

        assert not any(isinstance(event, StandalonePayment) for event in events)
        assert any(isinstance(event, Notice) for event in events)
        await world.close()


class TestABusyTerminal:
    async def test_that_says_so_by_an_abort_is_not_at_rest(self) -> None:
        """06 1E 9C to 05 01: what is stored by then proves nothing yet."""
        world, _ = await opened(Habits(undoes_after_s=None))
        await world.until(world.register.transact(sale("sale-0", 500)))
        world.device.script["0601"] = [OK]  # it works on, and says nothing more
        world.device.heard.clear()
        world.device.script["0501"] = [OK, bytes.fromhex("06 1E 01 9C")]
        await world.until(world.register.transact(sale("sale-1")))

        assert world.device.heard[: world.device.heard.index("0620")].count("0501") == 2
        await world.close()


class TestACommandThatCouldNotBeSent:
    async def test_a_listener_that_fails_leaves_nothing_to_be_sent_later(self) -> None:
        world, _ = await opened()

        def fail(event: TerminalEvent) -> None:
            raise RuntimeError("a listener")

        stop = world.register.listen(fail)
        world.register._payments._on_progress = lambda *_: fail(Notice(""))
        with pytest.raises(RuntimeError):
            await world.until(world.register._payments.transact(sale("sale-1"), Journal()))
        stop()
        await world.until(world.register.status())

        assert "0601" not in world.device.heard
        await world.close()


class TestTheAnswerToAnAbort:
    """Fact sheet 6.7."""

    def aborted(self) -> RegisterSide:
        from zahlwerk.interfaces.zvt.messages import Message

        side = RegisterSide()
        side.link_up()
        side.start(Message(code=0x0601, fields={0x04: 1}), now_s=0.0)
        side.receive_data(OK, now_s=0.0)
        side.abort(now_s=1.0)
        side.receive_data(bytes.fromhex("06 1E 01 6C"), now_s=1.1)
        side.events_received()
        return side

    def test_may_come_after_the_end_and_is_no_news_then(self) -> None:
        side = self.aborted()
        assert side.abort_unanswered(now_s=1.2)
        side.receive_data(bytes.fromhex("84 83 00"), now_s=1.2)
        assert [type(event) for event in side.events_received()] == [AbortAnswered]
        assert (side.phase, side.abort_unanswered(now_s=1.3)) == (Phase.IDLE, False)

    def test_is_not_waited_for_longer_than_t3(self) -> None:
        assert not self.aborted().abort_unanswered(now_s=6.0)


class TestADialogForEver:
    async def test_waits_for_its_answer_longer_than_t3(self) -> None:
        """F0 = 00 is for ever, and replaces T3 (2.9)."""
        world, _ = await opened()
        world.device.script["06e1"] = [bytes.fromhex("80 00 01 0D")]
        world.wire.hook = lambda way, piece: [(600.0 if way == "<" else 0.0, piece)]
        key = await world.until(world.register.zvt.display_for_key(["?"], seconds=0))

        assert key == 0x0D
        await world.close()
