"""What fact sheet 6.4, 6.7, 6.8 and 6.12 ask of the terminal's side, rule by rule; golden bytes are worked out from it."""

from __future__ import annotations

from datetime import datetime

import pytest
from tests.interop.test_zvt_endpoint import OK, PAY, Till, leave, world_of
from tests.interop.zvt_world import ZvtWorld

from zahlwerk.errors import TerminalError
from zahlwerk.interfaces.zvt.answers import Asked, status_information, totals_information
from zahlwerk.interfaces.zvt.codec import decode, encode
from zahlwerk.interfaces.zvt.endpoint import EndpointOptions
from zahlwerk.interfaces.zvt.information import batch_totals, read_information
from zahlwerk.interfaces.zvt.messages import Message, Tlv, Value, find_all
from zahlwerk.interfaces.zvt.terminal import Answered, Registered, TerminalSide, Turn
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentKind
from zahlwerk.terminal import Capabilities, Feature, Period, Total, TotalKind, Totals
from zahlwerk.virtual.settings import Settings
from zahlwerk.virtual.terminal import VirtualTerminal

ASK = "06 20 05 00 00 00 03 03"
REGISTRATION = Message(code=0x0600, head={"password": "000000", "config": 0xBE, "currency": 756}, tlv=())


class TestTheResult:
    def test_has_its_fields_in_the_customary_order_byte_for_byte(self) -> None:
        """3.3 (order), 3.2 (formats): masked digits are E, 8B ends in 00, 3B is padded with 00."""
        payment = Payment(
            reference="sale-1", kind=PaymentKind.PURCHASE, outcome=Outcome.APPROVED, state=PaymentState.CONFIRMED,
            requested=Money.of(1250, "EUR"), approved=Money.of(1250, "EUR"), brand="VISA",
            masked_pan="411111******1111", authorisation_code="058812", sequence=153,
            terminal_time=datetime(2026, 11, 28, 14, 32, 7),
        )  # fmt: skip
        message = status_information(
            payment, Registered(), Asked(has_currency=True), code=None, now=datetime(2026, 1, 1), terminal_id="62071183"
        )
        assert encode(message).hex(" ").upper() == (
            "04 0F 3D 27 00 04 00 00 00 00 12 50 0B 00 01 53 0C 14 32 07 0D 11 28 22 F0 F8 41 11 11 EE EE EE 11 11"
            " 29 62 07 11 83 3B 30 35 38 38 31 32 00 00 49 09 78 87 01 53 8A 0A 8B F0 F5 56 49 53 41 00"
        )

    async def test_names_no_currency_where_the_register_named_none(self) -> None:
        world = await world_of()
        till = await Till.at(world)
        await till.register(tlv=False)
        await till.say("06 01 07 04 00 00 00 00 12 50")
        result, _ = await till.until(0x040F)
        assert 0x49 not in result.fields
        await till.say(OK)
        await till.to_the_end()
        await till.say(ASK)
        _, seen = await till.to_the_end()
        assert 0x49 not in seen[-1].fields
        await leave(world)

    async def test_of_a_reversal_names_the_trace_of_what_it_undid(self) -> None:
        """6.5, and 6.9 step 4: "a reversal of the amount (37 = trace)"."""
        world = await world_of()
        till = await Till.at(world)
        await till.register()
        await till.say(PAY)
        paid, _ = await till.until(0x040F)
        await till.say(OK)
        await till.to_the_end()
        await till.say("06 30 06 00 00 00 87 00 01")
        result, _ = await till.until(0x040F)
        assert (result.number(0x27), result.number(0x37)) == (0, paid.number(0x0B))
        await till.say(OK)
        assert (await till.to_the_end())[0].code == 0x060F
        assert world.charged() == 0
        await leave(world)


class TestCurrency:
    """6.2: without a CC amounts are EUR, and the terminal sends no 49."""

    @pytest.mark.parametrize(
        ("currencies", "option", "taken"),
        [(("CHF", "EUR"), "", "EUR"), (("CHF",), "CHF", "CHF"), (("CHF",), "", ""), (("CHF", "EUR"), "CHF", "CHF")],
    )
    async def test_of_a_register_that_names_none_is_never_guessed(
        self, currencies: tuple[str, ...], option: str, taken: str
    ) -> None:
        world = await world_of(EndpointOptions(currency=option), currencies=currencies)
        till = await Till.at(world)
        await till.ask("06 00 04 00 00 00 BE")
        await till.to_the_end()
        await till.say("06 01 07 04 00 00 00 00 12 50")
        ended, _ = await till.to_the_end()
        booked = {entry.amount.currency.code for entry in world.virtual.host.ledger() if entry.effect_minor}
        assert booked == ({taken} if taken else set())
        assert ended.code == (0x060F if taken else 0x061E)
        assert taken or ended.head["result"] == 0x6F
        await leave(world)

    async def test_that_is_none_is_the_wrong_one(self) -> None:
        world = await world_of()
        till = await Till.at(world)
        await till.register()
        await till.say("06 01 0A 04 00 00 00 00 12 50 49 01 11")
        ended, _ = await till.to_the_end()
        assert (ended.code, ended.head["result"]) == (0x061E, 0x6F)
        await leave(world)

    def test_totals_add_up_one_currency_and_no_reservations(self) -> None:
        def line(brand: str, kind: TotalKind, count: int, minor: int, code: str = "CHF") -> Total:
            return Total(brand=brand, kind=kind, count=count, amount=Money.of(minor, code))

        totals = Totals(Period.ACCOUNTING_PERIOD, (
            line("VISA", TotalKind.DEBIT, 3, 3000), line("VISA", TotalKind.CREDIT, 1, 500),
            line("VISA", TotalKind.DEBIT_REVERSAL, 1, 1000), line("Mastercard", TotalKind.CREDIT_REVERSAL, 1, 100),
            line("VISA", TotalKind.RESERVATION, 1, 20000), line("VISA", TotalKind.DEBIT, 1, 777, "EUR"),
        ))  # fmt: skip
        message = totals_information(
            totals, Registered(currency_number=756), now=datetime(2026, 1, 2), currency_number=756, receipts=(3, 8)
        )
        assert (message.number(0x04), message.number(0x49)) == (1600, 756)
        block = decode(encode(message)).fields[0x60]
        assert isinstance(block, bytes)
        counted = batch_totals(block)
        assert counted is not None
        assert {slot.brand: (slot.count, slot.amount_minor) for slot in counted.schemes if slot.count} == {
            "Visa": (5, 1500), "Mastercard": (1, 100),
        }  # fmt: skip

    async def test_a_new_day_begins_with_its_own_first_receipt(self) -> None:
        """3.4: BMP 60 names the first and the last receipt number."""
        world = await world_of()
        till = await Till.at(world)
        await till.register()
        ranges = []
        for command in ("06 10 03 00 00 00", PAY, PAY, "06 50 03 00 00 00", PAY, "06 10 03 00 00 00"):
            await till.say(command)
            _, seen = await till.to_the_end()
            ranges += [message.fields[0x60].hex()[:8] for message in seen if 0x60 in message.fields]  # type: ignore[union-attr]  # bytes
        assert ranges == ["00000000", "00010002", "00030003"]
        await leave(world)


class TestWaitingForTheGoods:
    """6.4 and 6.12."""

    async def test_once_more_than_bmp_02_takes_it_back_and_says_so(self) -> None:
        world = await world_of()
        till = await Till.at(world)
        await till.register()
        await till.say("06 01 0E 04 00 00 00 00 12 50 49 07 56 02 03 06 00")
        first, _ = await till.until(0x040F)
        for _ in range(3):
            await till.say("84 9C 00")
            assert await till.hear() == first
        await till.say("84 9C 00")
        told, between = await till.until(0x040F)
        assert (told.number(0x27), between) == (0x6C, [])
        await till.say(OK)
        ended, _ = await till.to_the_end()
        assert (ended.code, ended.head, world.charged()) == (0x061E, {"result": 0x6C}, 0)
        await leave(world)

    async def test_silence_of_bmp_01_takes_it_back_and_says_so_while_the_line_works(self) -> None:
        world = await world_of()
        till = await Till.at(world)
        await till.register()
        await till.say("06 01 0E 04 00 00 00 00 12 50 49 07 56 01 14 06 00")
        await till.until(0x040F)
        before_s = world.clock.now_s()
        told = await till.hear()
        assert (told.code, told.number(0x27)) == (0x040F, 0x6C)
        assert world.clock.now_s() - before_s == pytest.approx(20.0, abs=1.0)
        await till.say(OK)
        ended, _ = await till.to_the_end()
        assert (ended.code, ended.head, world.charged()) == (0x061E, {"result": 0x6C}, 0)
        await till.say(PAY)
        assert (await till.to_the_end())[0].code == 0x060F
        await leave(world)

    async def test_a_yes_that_comes_too_late_charges_nothing(self) -> None:
        world = await world_of()
        till = await Till.at(world)
        await till.register()
        await till.say(PAY)
        await till.until(0x040F)
        await till.hear()  # 04 0F with 6C, after T3
        await till.say(OK)  # meant for the first one
        ended, _ = await till.to_the_end()
        assert (ended.code, world.charged()) == (0x061E, 0)
        await leave(world)

    async def test_an_approval_that_the_terminal_took_back_meanwhile_is_not_shown_again(self) -> None:
        """The goods must not come out for an approval that is gone."""
        world = await world_of(confirm_s=9.0)
        till = await Till.at(world)
        await till.register()
        await till.say(PAY)
        first, _ = await till.until(0x040F)
        for _ in range(20):
            await till.say("84 9C 00")
            told = await till.hear()
            if told != first:
                break
        assert (told.code, told.number(0x27) != 0) == (0x040F, True)
        await till.say(OK)
        ended, _ = await till.to_the_end()
        assert (ended.code, world.charged(), world.open_bookings()) == (0x061E, 0, 0)
        await leave(world)

    async def test_a_part_of_the_goods_is_what_06_20_tells(self) -> None:
        world = await world_of()
        till = await Till.at(world)
        await till.register()
        await till.say(PAY)
        await till.until(0x040F)
        await till.say("84 9D 07 04 00 00 00 00 09 00")
        assert (await till.to_the_end())[0].code == 0x060F
        await till.say(ASK)
        _, seen = await till.to_the_end()
        assert (seen[-1].number(0x04), world.charged()) == (900, 900)
        await leave(world)


class TestAbort:
    """6.7: in every state there is an answer at once, and the promise is kept."""

    @pytest.mark.parametrize(
        ("state", "answer"),
        [("WAIT_CARD", 0x8000), ("CARD", 0x8000), ("ONLINE", 0x8483), ("WAIT_CONFIRMATION", 0x8483)],
    )
    async def test_in_each_state_of_a_payment(self, state: str, answer: int) -> None:
        card = {"WAIT_CARD": "none", "CARD": "none"}.get(state, "visa")
        world = await world_of(card=card)
        till = await Till.at(world)
        await till.register(0xB6)  # without states, so that only answers come
        await till.say(PAY)
        assert (await till.hear()).code == 0x8000
        if state == "CARD":
            world.virtual.present("visa-chip")  # and nobody types in a PIN
            await world.pass_time(1.0)
            assert world.virtual.state.name == "CARD"
        if state == "ONLINE":
            for _ in range(200):
                if world.virtual.state.name != "ONLINE":
                    await world.pass_time(0.05)
            assert world.virtual.state.name == "ONLINE"
        if state == "WAIT_CONFIRMATION":
            result, _ = await till.until(0x040F)
            assert result.number(0x27) == 0
        said = await till.ask("06 B0 00")
        assert said.code == answer
        if state == "ONLINE":
            await till.until(0x040F)
        if answer == 0x8483:
            await till.say(OK)
        ended, _ = await till.to_the_end()
        assert (ended.code, world.charged()) == ((0x060F, 1250) if answer == 0x8483 else (0x061E, 0))
        await leave(world)

    async def test_in_the_same_breath_as_the_payment(self) -> None:
        world = await world_of()
        till = await Till.at(world)
        await till.register()
        await till.say(PAY + " 06 B0 00")
        ended, _ = await till.to_the_end()
        assert (ended.code, ended.head["result"], world.charged()) == (0x061E, 0x6C, 0)
        await leave(world)

    async def test_ends_a_text_that_waits_for_a_key(self) -> None:
        """6.7 (b) and 2.9; the abort has its own answer first."""
        world = await world_of(card="none")
        till = await Till.at(world)
        await till.register()
        await till.say("06 E1 0A F0 3C F1 F0 F5 48 61 6C 6C 6F")
        assert world.virtual.display == "Hallo"
        assert (await till.ask("06 B0 00")).code == 0x8000
        assert (await till.hear()).code == 0x846C
        assert world.virtual.state.name == "OPEN"
        await leave(world)

    async def test_of_a_text_is_done_for_a_register_that_goes_away(self) -> None:
        world = await world_of(card="none")
        till = await Till.at(world)
        await till.register()
        await till.say("06 E1 0A F0 FF F1 F0 F5 48 61 6C 6C 6F")
        assert world.virtual.state.name == "DIALOG"
        await till.stream.close()
        await world.pass_time(1.0)
        assert world.virtual.state.name == "OPEN"
        await leave(world)

    async def test_of_other_work_is_not_promised(self) -> None:
        world = await world_of()
        till = await Till.at(world)
        await till.register(0xB6)
        await till.say("06 50 03 00 00 00")
        assert (await till.hear()).code == 0x8000
        assert (await till.ask("06 B0 00")).code == 0x8483
        assert (await till.to_the_end())[0].code == 0x060F
        assert (await till.ask("06 B0 00")).code == 0x8000  # at rest
        await leave(world)

    async def test_is_refused_where_the_terminal_behind_cannot(self) -> None:
        class Deaf(VirtualTerminal):
            @property
            def capabilities(self) -> Capabilities:
                can = super().capabilities
                return Capabilities(kinds=can.kinds, features=can.features - {Feature.ABORT}, currencies=can.currencies)

        world = ZvtWorld(settings=Settings(seed=1, card="none"))
        world.virtual.__class__ = Deaf
        await world.virtual.open()
        await world.endpoint.start()
        till = await Till.at(world)
        await till.register(0xB6)
        await till.say(PAY)
        assert (await till.hear()).code == 0x8000
        assert (await till.ask("06 B0 00")).code == 0x8483
        world.virtual.press_stop()
        await leave(world)


class TestLogOff:
    async def test_leaves_what_holds_for_a_register_that_never_registered(self) -> None:
        """2.2, 6.2: the config byte becomes 86, so lines but no states; and no TLV any more."""
        world = await world_of()
        till = await Till.at(world)
        await till.register()
        assert (await till.ask("06 02 00")).is_positive
        await till.say("06 01 0A 04 00 00 00 00 12 50 49 07 56")
        ended, seen = await till.to_the_end()
        assert ended.code == 0x060F
        assert {message.code for message in seen} == {0x8000, 0x040F, 0x06D1}
        assert all(message.tlv is None for message in seen)
        await leave(world)


class TestAnotherRegister:
    """1.2 and 6.12: one at a time; decision 0006: only its own yes confirms a payment."""

    async def test_ours_is_told_in_words_that_the_terminal_is_busy(self) -> None:
        world = await world_of(card="none")
        first = await Till.at(world)
        await first.register()
        await first.say(PAY)
        with pytest.raises(TerminalError, match="busy"):
            await world.until(world.register.open())
        await world.until(world.register.close())
        world.virtual.press_stop()
        await leave(world)

    async def test_one_that_comes_back_is_not_sent_the_end_of_what_it_left(self) -> None:
        world = await world_of()
        till = await Till.at(world)
        await till.register()
        await till.say(PAY)
        await till.until(0x040F)
        await till.stream.close()
        again = await Till.at(world)
        already = len(world.wire.log)
        await again.say("05 01 00")  # while the payment is being taken back
        await world.pass_time(10.0)
        assert [piece.hex(" ") for way, piece in world.wire.log[already:] if way == "<"] == ["80 00 00", "06 0f 01 9c"]
        assert world.charged() == 0
        await leave(world)

    async def test_one_that_comes_back_before_the_approval_does_not_confirm_it(self) -> None:
        """The approval arrives while its status enquiry is open: its 80 00 is no yes to a payment it cannot see."""
        world = await world_of()
        till = await Till.at(world)
        await till.register(0xB6)
        await till.say(PAY)
        for _ in range(200):
            if world.virtual.state.name != "ONLINE":
                await world.pass_time(0.05)
        await till.stream.close()
        again = await Till.at(world)
        await again.say("05 01 00")
        await world.pass_time(1.0)  # approved meanwhile
        await again.hear()
        assert (await again.hear()).code == 0x060F
        await again.say(OK)
        await world.pass_time(2.0)
        assert (world.charged(), world.open_bookings()) == (0, 0)
        await again.say(ASK)
        ended, seen = await again.to_the_end()
        assert (ended.code, seen[-1].number(0x27)) == (0x060F, 0x6C)
        await again.say(PAY)
        assert (await again.to_the_end())[0].code == 0x060F
        await leave(world)

    def test_a_result_of_an_earlier_procedure_is_answered_by_nobody(self) -> None:
        side = TerminalSide()
        side.link_up()
        for code in ("06 01 07 04 00 00 00 00 12 50", "05 01 00"):
            side.receive_data(bytes.fromhex(code), now_s=0.0)
            side.accept(now_s=0.0)
            if code.startswith("06 01"):
                earlier = side.procedure
                side.link_down()
                side.link_up()
        side.events_received()
        side.data_to_send()
        side.show_result(Message(code=0x040F, fields={0x27: 0}), now_s=0.0, procedure=earlier)
        side.send(Message(code=0x061E, head={"result": 0x6C}), now_s=0.0, procedure=earlier)
        assert side.events_received() == [Answered(None)]
        assert side.data_to_send() == []
        assert side.turn is Turn.MASTER

    def test_a_result_behind_the_end_of_a_procedure_is_not_forgotten(self) -> None:
        side = TerminalSide()
        side.link_up()
        side.receive_data(bytes.fromhex("05 01 00"), now_s=0.0)
        side.accept(now_s=0.0)
        side.send(Message(code=0x060F, head={"status": 0}), now_s=0.0)
        side.show_result(Message(code=0x040F, fields={0x27: 0}), now_s=0.0)
        side.events_received()
        side.receive_data(bytes.fromhex(OK), now_s=0.0)
        assert side.events_received() == [Answered(None)]
        assert side.turn is Turn.REST

    def test_an_answer_after_the_connection_went_revives_nothing(self) -> None:
        side = TerminalSide()
        side.link_up()
        side.receive_data(bytes.fromhex("06 E1 00"), now_s=0.0)
        side.link_down()
        side.reply(Message(code=0x8000), now_s=0.0)
        assert (side.turn, side.data_to_send()) == (Turn.DOWN, [])


class TestSizes:
    """Tag 1A: no APDU is longer than the register can receive (1.1, 6.12)."""

    @pytest.mark.parametrize("limit", [96, 128, 255, 300, 0])
    @pytest.mark.parametrize("blocks", [True, False], ids=["blocks", "lines"])
    async def test_nothing_longer_is_sent_and_no_line_is_lost(self, limit: int, blocks: bool) -> None:
        world = await world_of(card="visa")
        till = await Till.at(world)
        tags = [Tlv(0x1A, limit)] if limit else []
        tags += [Tlv(0x26, (Tlv(0x0A, b"\x06\xd3"),))] if blocks else []
        head: dict[str, Value] = {"password": "000000", "config": 0xBE, "currency": 756}
        await till.ask(Message(code=0x0600, head=head, tlv=tuple(tags)))
        await till.to_the_end()
        await till.say(PAY)
        ended, seen = await till.to_the_end()
        assert ended.code == 0x060F
        sizes = [len(piece) for way, piece in world.wire.log if way == "<"]
        assert not limit or max(sizes) <= limit
        lines = [
            str(tlv.value) for message in seen for tlv in find_all(message.tlv or (), 0x07) if message.code == 0x06D3
        ]
        lines += [str(message.head["text"]) for message in seen if message.code == 0x06D1]
        printed = "".join(lines)
        copies = "".join(world.virtual.paper).replace("\n", "")
        assert printed == copies
        result = next(message for message in seen if message.code == 0x040F)
        assert (result.number(0x27), result.number(0x04), result.number(0x49)) == (0, 1250, 756)
        await leave(world)


class TestSignsOfLife:
    async def test_come_at_least_every_minute(self) -> None:
        """6.12: the register's T4 is restarted."""
        world = await world_of(card="none")
        till = await Till.at(world)
        await till.register()
        await till.say(PAY)
        at_s, gaps = world.clock.now_s(), []
        for _ in range(4):
            message = await till.hear()
            await till.say(OK)
            gaps.append(world.clock.now_s() - at_s)
            at_s = world.clock.now_s()
            if message.code == 0x061E:
                break
        assert max(gaps) <= 60.5
        await leave(world)


class TestPaymentsTypedInAtTheTerminal:
    """6.8."""

    async def test_are_the_latest_transaction_that_06_20_tells(self) -> None:
        world = await world_of()
        till = await Till.at(world)
        await till.register(0x8E)
        await world.until(world.virtual.type_payment("7.50 CHF", "visa"))
        assert world.wire.seen["<", "status_information"] == 0  # nobody asked
        await till.say(ASK)
        _, seen = await till.to_the_end()
        told = read_information(seen[-1])
        assert (told.result, told.amount_minor) == (0, 750)
        await till.say("06 10 03 00 00 00")
        _, seen = await till.to_the_end()
        assert seen[1].number(0x04) == 750
        await leave(world)

    @pytest.mark.parametrize(("config", "can"), [(0xBE, False), (0x9E, False), (0x8E, True), (0xAE, True)])
    async def test_are_locked_out_while_a_register_controls_payments(self, config: int, can: bool) -> None:
        """Config bit 10, fact sheet 2.7."""
        world = await world_of()
        till = await Till.at(world)
        await till.register(config)
        await self.typed(world, can=can)
        await till.say(PAY)
        assert (await till.to_the_end())[0].code == 0x060F  # the register itself may, of course
        await leave(world)

    @staticmethod
    async def typed(world: ZvtWorld, *, can: bool) -> None:
        if can:
            assert (await world.until(world.virtual.type_payment("7.50 CHF", "visa"))).is_approved
        else:
            with pytest.raises(TerminalError, match="keypad"):
                await world.until(world.virtual.type_payment("7.50 CHF", "visa"))

    async def test_are_free_again_after_log_off_another_registration_and_the_end(self) -> None:
        world = await world_of()
        till = await Till.at(world)
        await till.register()
        await till.stream.close()
        await world.pass_time(1.0)
        await self.typed(world, can=False)  # a registration outlives its connection
        again = await Till.at(world)
        assert (await again.ask("06 02 00")).is_positive
        await self.typed(world, can=True)
        await again.register()
        await self.typed(world, can=False)
        await again.register(0x8E)
        await self.typed(world, can=True)
        await again.register()
        await world.until(world.endpoint.close())
        await self.typed(world, can=True)
        await leave(world)


class TestPrinting:
    """Table of 2.7: where each receipt comes out."""

    @pytest.mark.parametrize(
        ("config", "lines", "papers"),
        [(0x08, 0, 2), (0x8E, 2, 0), (0x0E, 0, 0), (0x8A, 2, 0), (0x0A, 0, 0), (0x8C, 0, 2), (0x0C, 0, 2)],
    )
    async def test_of_a_payment(self, config: int, lines: int, papers: int) -> None:
        world = await world_of(EndpointOptions(prints=True))
        till = await Till.at(world)
        await till.register(config)
        await till.say(PAY)
        _, seen = await till.to_the_end()
        assert [message.code for message in seen].count(0x06D3) == lines
        # The virtual terminal prints both copies by itself; what it was asked to print comes on top.
        assert len(world.virtual.paper) == 2 + papers
        await leave(world)

    @pytest.mark.parametrize(("config", "blocks", "papers"), [(0x08, 0, 1), (0x8E, 1, 0), (0x8A, 0, 1), (0x8C, 1, 0)])
    async def test_of_an_end_of_day(self, config: int, blocks: int, papers: int) -> None:
        world = await world_of(EndpointOptions(prints=True))
        till = await Till.at(world)
        await till.register(config)
        before = len(world.virtual.paper)
        await till.say("06 50 03 00 00 00")
        _, seen = await till.to_the_end()
        assert (0x06D3 in {message.code for message in seen}) is bool(blocks)
        shift_receipts = 2  # closed before, opened after
        assert len(world.virtual.paper) - before == 1 + shift_receipts + papers
        await leave(world)


@pytest.mark.parametrize(
    "command",
    [
        "06 0C 0A 04 00 00 00 00 01 00 87 00 01", "06 09 0A 00 01 01 04 00 00 00 00 10 00", "06 C0 01 1E",
        "06 91 0B 00 00 00 AA 26 11 28 0C 14 32 07", "06 95 06 00 00 00 11 11 11", "08 11 00", "06 E3 00", "06 F0 00",
    ],
)  # fmt: skip
async def test_what_the_port_has_no_words_for_is_refused_before_it_begins(command: str) -> None:
    """84 83: nothing is pretended; the register may go on."""
    world = await world_of()
    till = await Till.at(world)
    await till.register()
    assert (await till.ask(command)).code == 0x8483
    await till.say(PAY)
    assert (await till.to_the_end())[0].code == 0x060F
    await leave(world)
