"""The terminal's side of ZVT as a register sees it, byte by byte: a virtual terminal behind it, virtual time around it."""

from __future__ import annotations

import asyncio

import pytest
from tests.interop.zvt_world import ZvtWorld

from zahlwerk.interfaces.zvt.codec import decode, encode
from zahlwerk.interfaces.zvt.endpoint import EndpointOptions, Takeover
from zahlwerk.interfaces.zvt.framing import ApduDecoder
from zahlwerk.interfaces.zvt.information import read_information
from zahlwerk.interfaces.zvt.messages import Message, Tlv, Value, find_all
from zahlwerk.money import Money
from zahlwerk.transport.stream import ByteStream
from zahlwerk.urls import connect, listen
from zahlwerk.virtual.settings import Settings

PAY = "06 01 0C 04 00 00 00 00 12 50 49 07 56 06 00"
OK = "80 00 00"


class Till:
    """A register that is typed by hand."""

    def __init__(self, world: ZvtWorld, stream: ByteStream) -> None:
        self.world = world
        self.stream = stream
        self.apdus = ApduDecoder()
        self.inbox: list[bytes] = []

    @classmethod
    async def at(cls, world: ZvtWorld) -> Till:
        return cls(world, await world.wire.dial())

    async def say(self, text: str | Message) -> None:
        await self.stream.send(encode(text) if isinstance(text, Message) else bytes.fromhex(text))
        await self.world.quiet()

    async def hear(self, answers: int = 0) -> Message:
        """The next message; time passes until it comes."""

        async def next_one() -> bytes:
            while not self.inbox:
                self.inbox += self.apdus.feed(await self.stream.receive())
            return self.inbox.pop(0)

        return decode(await self.world.until(next_one(), limit_s=400.0), answers=answers)

    async def ask(self, text: str | Message, answers: int = 0) -> Message:
        await self.say(text)
        return await self.hear(answers)

    async def until(self, code: int) -> tuple[Message, list[Message]]:
        """Acknowledge everything up to a message of this code; that one is not answered."""
        before: list[Message] = []
        while True:
            message = await self.hear()
            if message.code == code:
                return message, before
            before.append(message)
            await self.say(OK)

    async def to_the_end(self) -> tuple[Message, list[Message]]:
        """Acknowledge everything, the end included."""
        seen: list[Message] = []
        while True:
            message = await self.hear()
            await self.say(OK)
            if message.code in {0x060F, 0x061E}:
                return message, seen
            seen.append(message)

    async def register(self, config: int = 0xBE, *, tlv: bool = True, blocks: bool = True) -> Message:
        listed = (Tlv(0x26, (Tlv(0x0A, b"\x06\xd3"),)),) if blocks else ()
        head: dict[str, Value] = {"password": "000000", "config": config, "currency": 756}
        answer = await self.ask(Message(code=0x0600, head=head, tlv=listed if tlv else None))
        assert answer.is_positive
        return (await self.to_the_end())[0]


async def world_of(options: EndpointOptions | None = None, **settings: object) -> ZvtWorld:
    world = ZvtWorld(settings=Settings(seed=1, **settings), options=options)  # type: ignore[arg-type]  # by name
    await world.virtual.open()
    await world.endpoint.start()
    return world


async def leave(world: ZvtWorld) -> None:
    await world.pass_time(300.0)
    assert world.open_bookings() == 0
    await world.until(world.endpoint.close())
    await world.virtual.close()
    await world.wire.close()


class TestRegistration:
    async def test_agrees_on_what_was_asked_for(self) -> None:
        world = await world_of()
        till = await Till.at(world)
        end = await till.register()
        assert (end.number(0x19), end.number(0x49), end.text(0x29)) == (0, 756, "00000001")
        await leave(world)

    async def test_in_a_currency_it_does_not_take_is_refused(self) -> None:
        world = await world_of()
        till = await Till.at(world)
        answer = await till.ask("06 00 06 00 00 00 BE 08 40")
        assert answer.code == 0x841E
        assert answer.head == {"result": 0x6F, "currency": 840}
        await leave(world)

    async def test_without_tlv_gets_none(self) -> None:
        world = await world_of()
        till = await Till.at(world)
        await till.register(0x8E, tlv=False)
        await till.say("06 01 0A 04 00 00 00 00 12 50 49 07 56")
        end, seen = await till.to_the_end()
        assert end.code == 0x060F
        assert all(message.tlv is None for message in seen)
        assert {message.code for message in seen} >= {0x040F, 0x06D1}
        await leave(world)

    async def test_without_bit_08_no_states_come(self) -> None:
        world = await world_of()
        till = await Till.at(world)
        await till.register(0xB6)
        await till.say(PAY)
        _, seen = await till.to_the_end()
        assert 0x04FF not in {message.code for message in seen}
        await leave(world)

    async def test_that_builds_receipts_itself_gets_none(self) -> None:
        world = await world_of()
        till = await Till.at(world)
        await till.register(0x3E)
        await till.say(PAY)
        _, seen = await till.to_the_end()
        assert not {message.code for message in seen} & {0x06D1, 0x06D3}
        await leave(world)


class TestIssueOfGoods:
    """Fact sheet 6.4: the answer to 04 0F decides."""

    @pytest.mark.parametrize(
        ("said", "charged", "end"),
        [(OK, 1250, 0x060F), ("84 00 00", 1250, 0x060F), ("84 66 00", 0, 0x061E), ("84 FF 00", 0, 0x061E),
         ("84 9D 07 04 00 00 00 00 09 00", 900, 0x060F), ("84 9D 07 04 00 00 00 00 99 00", 0, 0x061E)],
    )  # fmt: skip
    async def test_the_register_decides(self, said: str, charged: int, end: int) -> None:
        world = await world_of()
        till = await Till.at(world)
        await till.register()
        await till.say(PAY)
        await till.until(0x040F)
        assert world.charged() == 0
        await till.say(said)
        ended, _ = await till.to_the_end()
        assert (ended.code, world.charged()) == (end, charged)
        await leave(world)

    async def test_it_may_ask_for_time_again_and_again(self) -> None:
        world = await world_of()
        till = await Till.at(world)
        await till.register()
        await till.say(PAY)
        first, _ = await till.until(0x040F)
        for _ in range(5):
            before_s = world.clock.now_s()
            await till.say("84 9C 00")
            assert await till.hear() == first
            assert world.clock.now_s() - before_s == pytest.approx(2.0)
        await till.say(OK)
        ended, _ = await till.to_the_end()
        assert (ended.code, world.charged()) == (0x060F, 1250)
        await leave(world)

    async def test_but_not_more_often_than_it_said(self) -> None:
        world = await world_of()
        till = await Till.at(world)
        await till.register()
        await till.say("06 01 0E 04 00 00 00 00 12 50 49 07 56 02 01 06 00")
        await till.until(0x040F)
        await till.say("84 9C 00")
        await till.hear()
        await till.say("84 9C 00")
        ended, _ = await till.to_the_end()
        assert (ended.code, world.charged()) == (0x061E, 0)
        await leave(world)

    async def test_silence_takes_it_back(self) -> None:
        world = await world_of()
        till = await Till.at(world)
        await till.register()
        await till.say(PAY)
        await till.until(0x040F)
        await world.pass_time(60.0)
        assert (world.charged(), world.captures()) == (0, 0)
        await leave(world)

    async def test_a_time_of_its_own_is_waited_for(self) -> None:
        world = await world_of()
        till = await Till.at(world)
        await till.register()
        await till.say("06 01 0E 04 00 00 00 00 12 50 49 07 56 01 2D 06 00")
        await till.until(0x040F)
        await world.pass_time(40.0)
        await till.say(OK)
        ended, _ = await till.to_the_end()
        assert (ended.code, world.charged()) == (0x060F, 1250)
        await leave(world)


class TestWhatWasIt:
    """06 20 with service byte 03, fact sheet 6.9."""

    async def test_nothing_yet_ends_in_an_abort(self) -> None:
        world = await world_of()
        till = await Till.at(world)
        await till.register()
        await till.say("06 20 05 00 00 00 03 03")
        ended, seen = await till.to_the_end()
        assert (ended.code, [one.code for one in seen]) == (0x061E, [0x8000])
        await leave(world)

    async def test_the_latest_is_told_as_it_was_and_nothing_printed(self) -> None:
        world = await world_of()
        till = await Till.at(world)
        await till.register()
        await till.say(PAY)
        first, _ = await till.until(0x040F)
        await till.say(OK)
        await till.to_the_end()
        await till.say("06 20 05 00 00 00 03 03")
        ended, seen = await till.to_the_end()
        assert ended.code == 0x060F
        assert read_information(seen[-1]) == read_information(first)
        assert [one.code for one in seen] == [0x8000, 0x040F]
        await leave(world)

    async def test_what_was_taken_back_says_so_under_its_numbers(self) -> None:
        world = await world_of()
        till = await Till.at(world)
        await till.register()
        await till.say(PAY)
        shown = read_information((await till.until(0x040F))[0])
        await till.stream.close()
        await world.pass_time(30.0)
        again = await Till.at(world)
        await again.register()
        await again.say("06 20 05 00 00 00 03 03")
        _, seen = await again.to_the_end()
        told = read_information(seen[-1])
        assert told.result != 0
        assert (told.receipt_number, told.trace, told.time) == (shown.receipt_number, shown.trace, shown.time)
        await leave(world)


class TestAbort:
    async def test_before_the_host_is_asked_ends_the_payment(self) -> None:
        world = await world_of(card="none")
        till = await Till.at(world)
        await till.register()
        await till.say(PAY)
        await till.hear()
        await till.say("06 B0 00")
        ended, seen = await till.to_the_end()
        assert (ended.code, ended.head) == (0x061E, {"result": 0x6C})
        assert 0x8000 in {one.code for one in seen}
        assert world.charged() == 0
        await leave(world)

    async def test_at_rest_is_answered(self) -> None:
        world = await world_of()
        till = await Till.at(world)
        await till.register()
        assert (await till.ask("06 B0 00")).is_positive
        await leave(world)


class TestOtherRegisters:
    async def test_one_that_comes_while_a_payment_runs_is_refused_in_words(self) -> None:
        world = await world_of(card="none")
        first = await Till.at(world)
        await first.register()
        await first.say(PAY)
        second = await Till.at(world)
        assert (await second.ask("05 01 00")).code == 0x84A0
        await leave(world)

    async def test_one_takes_over_from_one_that_rests(self) -> None:
        world = await world_of(EndpointOptions(takeover=Takeover.ALWAYS))
        first = await Till.at(world)
        await first.register()
        second = await Till.at(world)
        await second.register()
        await second.say(PAY)
        ended, _ = await second.to_the_end()
        assert ended.code == 0x060F
        await leave(world)

    async def test_one_that_says_nothing_disturbs_nobody(self) -> None:
        world = await world_of()
        first = await Till.at(world)
        await first.register()
        await Till.at(world)
        await world.pass_time(15.0)
        await first.say(PAY)
        ended, _ = await first.to_the_end()
        assert (ended.code, world.charged()) == (0x060F, 1250)
        await leave(world)


class TestEverythingElse:
    @pytest.mark.parametrize(
        "text", ["06 F7 00", "06 0A 00", "08 40 01 00", "06 C0 01 1E", "0F A1 00", "01 01 00", "06 01 02 A8 00"]
    )
    async def test_what_it_does_not_know_is_answered_and_it_goes_on(self, text: str) -> None:
        world = await world_of()
        till = await Till.at(world)
        await till.register()
        answer = await till.ask(text)
        assert answer.is_answer
        await till.say(PAY)
        assert (await till.to_the_end())[0].code == 0x060F
        await leave(world)

    @pytest.mark.parametrize("rubbish", ["47 45 54 20 2F 20 48 54 54 50", "00", "FF FF FF FF FF", "06 01 FF"])
    async def test_rubbish_costs_its_own_connection_only(self, rubbish: str) -> None:
        world = await world_of()
        till = await Till.at(world)
        await till.stream.send(bytes.fromhex(rubbish))
        await world.pass_time(30.0)
        again = await Till.at(world)
        await again.register()
        await again.say(PAY)
        assert (await again.to_the_end())[0].code == 0x060F
        await leave(world)

    async def test_a_command_while_it_works_is_answered_busy(self) -> None:
        world = await world_of(card="none")
        till = await Till.at(world)
        await till.register()
        await till.say(PAY)
        await till.hear()
        await till.hear()
        assert (await till.ask("05 01 00")).code == 0x849C
        await leave(world)

    async def test_open_reservations_are_listed_and_settled(self) -> None:
        world = await world_of()
        till = await Till.at(world)
        await till.register()
        await till.say("06 22 0C 04 00 00 00 00 50 00 49 07 56 06 00"[: 3 * 15 - 1])
        held, _ = await till.until(0x040F)
        receipt = read_information(held).receipt_number
        assert receipt is not None
        await till.say(OK)
        await till.to_the_end()
        await till.say("06 23 03 87 FF FF")
        ended, _ = await till.to_the_end()
        assert ended.head == {"result": 0xB8}
        assert [one.value for one in find_all(ended.tlv or (), 0x08)] == [receipt]
        await till.say(Message(code=0x0624, fields={0x87: receipt, 0x04: 840, 0x49: 756}))
        ended, _ = await till.to_the_end()
        assert (ended.code, world.charged()) == (0x060F, 840)
        await leave(world)

    async def test_a_status_enquiry_with_tlv_is_answered_with_tlv_before_any_registration(self) -> None:
        """So that a probe learns who it is without registering (2.2, 2.6; 4.1)."""
        world = await world_of()
        till = await Till.at(world)
        for command, device in (("05 01 05 00 00 00 03 04", ""), ("05 01 07 00 00 00 03 04 06 00", "Zahlwerk virtual")):
            assert (await till.ask(command)).is_positive
            told = await till.hear(0x0501)
            assert (told.head["status"], told.tag_text(0x1F40)) == (0x00, device)
            await till.say(OK)
        await leave(world)

    async def test_a_hold_never_comes_with_the_receipts_of_the_payment_before(self) -> None:
        """The virtual terminal makes none for a hold, and would hand out its latest ones."""
        world = await world_of()
        till = await Till.at(world)
        await till.register()
        await till.say(PAY)
        _, seen = await till.to_the_end()
        assert [one.code for one in seen if one.code == 0x06D3] == [0x06D3, 0x06D3]
        await till.say("06 22 0A 04 00 00 00 00 50 00 49 07 56")
        ended, seen = await till.to_the_end()
        assert (ended.code, [one for one in seen if one.code == 0x06D3]) == (0x060F, [])
        # Nor does a repetition of the latest transaction, with its result and its receipts.
        await till.say("06 20 05 00 00 00 03 01")
        ended, seen = await till.to_the_end()
        assert (ended.code, [one.code for one in seen]) == (0x060F, [0x8000, 0x040F])
        await till.say(Message(code=0x0625, fields={0x87: read_information(seen[-1]).receipt_number or 0}))
        assert (await till.to_the_end())[0].code == 0x060F
        await leave(world)

    async def test_a_settlement_that_is_refused_leaves_the_latest_result_and_no_doubt(self) -> None:
        """Captured twice with different amounts: the second is refused, and the first stays true. Table 5.1, B8."""
        world = await world_of()
        till = await Till.at(world)
        await till.register()
        await till.say("06 22 0A 04 00 00 00 00 50 00 49 07 56")
        _, seen = await till.to_the_end()
        receipt = next(read_information(one).receipt_number for one in seen if one.code == 0x040F)
        await till.say(Message(code=0x0624, fields={0x87: receipt or 0, 0x04: 840, 0x49: 756}))
        assert (await till.to_the_end())[0].code == 0x060F
        for command in (0x0624, 0x0625):
            fields: dict[int, Value] = {0x87: receipt or 0, 0x04: 100, 0x49: 756}
            await till.say(Message(code=command, fields=fields))
            ended, seen = await till.to_the_end()
            assert (ended.code, ended.head, [one.code for one in seen]) == (0x061E, {"result": 0xB8}, [0x8000])
        await till.say("06 20 05 00 00 00 03 03")
        _, seen = await till.to_the_end()
        again = read_information(seen[-1])
        assert (again.result, again.amount_minor, again.receipt_number) == (0, 840, receipt)
        await till.say("06 10 03 00 00 00")
        assert (await till.to_the_end())[0].code == 0x060F
        assert world.charged() == 840
        await leave(world)

    async def test_a_reversal_that_is_refused_says_so(self) -> None:
        """Of a payment that is not there: B5, not "the terminal has a fault". Table 5.1."""
        world = await world_of()
        till = await Till.at(world)
        await till.register()
        await till.say("06 30 06 00 00 00 87 00 77")
        ended, _ = await till.to_the_end()
        assert (ended.code, ended.head) == (0x061E, {"result": 0xB5})
        await leave(world)


async def test_twenty_terminals_pay_at_once_in_one_process() -> None:
    """Over real sockets."""
    terminals = [connect("virtual:?card=visa&speed=0&shift=open") for _ in range(20)]
    endpoints = [listen("zvt+tcp://127.0.0.1:0", terminal) for terminal in terminals]
    registers = [connect(f"{await endpoint.start()}?currency=CHF&poll=0") for endpoint in endpoints]
    payments = await asyncio.gather(*(register.pay("12.50 CHF") for register in registers))
    assert [payment.approved for payment in payments] == [Money.of(1250, "CHF")] * 20
    for register in registers:
        await register.close()
    for endpoint in endpoints:
        await endpoint.close()
    for terminal in terminals:
        await terminal.close()


class TestAPaymentThatNobodyKnows:
    """The terminal behind loses its payment after the register has accepted it: nothing says "not charged"."""

    async def test_the_register_hears_no_lie_and_later_the_truth(self) -> None:
        world = await world_of(faults="crash:confirmation:1")
        till = await Till.at(world)
        await till.register()
        await till.say(PAY)
        await till.until(0x040F)
        await till.say(OK)
        ended, _ = await till.to_the_end()
        assert ended.code == 0x061E
        for question in ("06 20 05 00 00 00 03 03", "06 10 03 00 00 00"):
            await till.say(question)
            told = await till.hear()
            if told.is_positive:
                told, _ = await till.to_the_end()
            assert told.code in {0x849C, 0x061E}
        await world.virtual.close()
