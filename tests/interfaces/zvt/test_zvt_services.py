"""`terminal.zvt` and `terminal.attendant` against a terminal that is typed by hand: the bytes that go out, worked out
from the fact sheet (2.2, 2.9, 7.x), and what is announced."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import pytest

from zahlwerk.errors import InvalidRequest, TerminalRefused
from zahlwerk.events import Printer
from zahlwerk.interfaces.zvt.attendance import Attendant, MenuItem, Question, handled_by
from zahlwerk.interfaces.zvt.connection import Connection
from zahlwerk.interfaces.zvt.driver import ZvtTerminal
from zahlwerk.interfaces.zvt.framing import ApduDecoder, PlainLink
from zahlwerk.interfaces.zvt.messages import Message
from zahlwerk.interfaces.zvt.profiles import STANDARD, Profile
from zahlwerk.money import Currency, Money
from zahlwerk.payment import Outcome, Payment
from zahlwerk.transport.memory import memory_pair
from zahlwerk.transport.stream import ByteStream, StreamEnded
from zahlwerk.urls import Context

DONE = "06 0F 00"
OK = "80 00 00"
EUR = Currency.of("EUR")


class Device:
    """Answers each command with what the script says; 80 00 and 06 0F where it says nothing."""

    def __init__(self, script: dict[str, list[str]] | None = None) -> None:
        self.script = {"06 00": [OK, DONE], "06 20": [OK, "06 1E 01 FF"]} | (script or {})
        self.heard: list[str] = []
        self.answers: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def dial(self) -> ByteStream:
        near, far = memory_pair()
        self.tasks.append(asyncio.create_task(self._serve(far)))
        return near

    async def _serve(self, stream: ByteStream) -> None:
        apdus = ApduDecoder()
        queue: list[bytes] = []

        async def take() -> bytes:
            while not queue:
                queue.extend(apdus.feed(await stream.receive()))
            return queue.pop(0)

        try:
            while True:
                apdu = await take()
                text = apdu.hex(" ").upper()
                self.heard.append(text)
                for answer in self.script.get(text[:5], [OK, DONE]):
                    await stream.send(bytes.fromhex(answer))
                    if answer[:2] not in {"80", "84"}:
                        self.answers.append((await take()).hex(" ").upper())
        except StreamEnded:
            return


Work = Callable[[ZvtTerminal], Awaitable[object]]


QUIET = STANDARD.but(poll_s=0.0)


async def at(device: Device, work: Work, attendant: Attendant | None = None, *, profile: Profile = QUIET) -> None:
    connection = Connection(device.dial, PlainLink, Context(), profile, name="device")
    terminal = ZvtTerminal(connection, Context(), currency=EUR)
    if attendant is not None:
        terminal.attendant = attendant
    async with terminal:
        device.heard.clear()
        await work(terminal)


MOMENT = datetime(2026, 3, 18, 14, 23, 7)
DIRECT = {code: [OK] for code in ("06 02", "06 E0", "06 E1", "06 E2", "06 C5", "06 B0", "06 D1", "06 D3")}
SERVICES: list[tuple[str, Work, str]] = [
    ("log-off", lambda t: t.zvt.log_off(), "06 02 00"),
    ("diagnosis", lambda t: t.zvt.diagnose(), "06 70 05 06 03 1B 01 02"),
    ("initialisation", lambda t: t.zvt.initialise(), "06 93 03 00 00 00"),
    ("self test", lambda t: t.zvt.self_test(), "06 79 00"),
    ("reset", lambda t: t.zvt.reset(), "06 18 00"),
    ("configuration print", lambda t: t.zvt.print_configuration(), "06 1A 00"),
    ("clock", lambda t: t.zvt.set_clock(MOMENT), "06 91 0B 00 00 00 AA 26 03 18 0C 14 23 07"),
    ("language", lambda t: t.zvt.select_language("it"), "08 30 01 03"),
    ("update", lambda t: t.zvt.software_update("A1"), "08 10 06 06 04 0F 02 41 31"),
    ("configuration", lambda t: t.zvt.change_configuration(b"\x01"), "08 13 07 06 05 2D 03 1C 01 01"),
    ("offline", lambda t: t.zvt.send_offline(), "06 51 03 00 00 00"),
    ("reprint", lambda t: t.zvt.reprint(153, 157), "06 12 07 00 00 00 01 53 01 57"),
    ("terminal id", lambda t: t.zvt.set_terminal_id("62071183"), "06 1B 08 00 00 00 29 62 07 11 83"),
    ("password", lambda t: t.zvt.change_password("123456"), "06 95 06 00 00 00 12 34 56"),
    ("OPT", lambda t: t.zvt.opt_action(), "08 20 00"),
    ("eject", lambda t: t.zvt.eject_card(), "06 B0 02 D2 00"),
    ("service mode", lambda t: t.zvt.service_mode(), "08 01 03 00 00 00"),
    ("print line", lambda t: t.zvt.print_line("Beleg 0153", attribute=0x40), "06 D1 0B 40 42 65 6C 65 67 20 30 31 35 33"),
    (
        "print block", lambda t: t.zvt.print_block(["A", "B"]),
        "06 D3 10 06 0E 25 0C 09 01 00 07 01 41 07 01 42 09 01 81",
    ),
    (
        "registration", lambda t: t.zvt.register(config=0x3E, service=0x02, receipt_parameters=0x08),
        "06 00 1B 00 00 00 3E 09 78 03 02 06 11 1A 02 FF FF 26 04 0A 02 06 D3 40 01 30 1F 04 01 08",
    ),
    ("field off", lambda t: t.zvt.close_card_session(), "06 C5 00"),
    (
        "display", lambda t: t.zvt.display(["Bitte Geld", "einlegen"], beeps=1),
        "06 E0 1C F0 0A F1 F1 F0 42 69 74 74 65 20 47 65 6C 64 F2 F0 F8 65 69 6E 6C 65 67 65 6E F9 01",
    ),
]  # fmt: skip


class TestServices:
    @pytest.mark.parametrize(("work", "sent"), [pytest.param(w, s, id=n) for n, w, s in SERVICES])
    async def test_the_command_goes_out_as_the_fact_sheet_has_it(self, work: Work, sent: str) -> None:
        device = Device(DIRECT)
        await at(device, work)
        assert device.heard[0] == sent

    async def test_a_key_is_told(self) -> None:
        pressed: list[int | None] = []

        async def work(terminal: ZvtTerminal) -> None:
            pressed.append(await terminal.zvt.display_for_key(["?"]))

        await at(Device({"06 E1": ["80 00 01 0D"]}), work)
        await at(Device({"06 E1": ["80 00 01 6C"]}), work)
        assert pressed == [0x0D, None]

    async def test_a_card_is_read_without_its_data(self) -> None:
        found: list[str] = []
        told = "04 0F 1F 23 F1 F0 EE EE EE EE EE EE 47 13 D2 81 06 10 62 0E 60 0C 43 07 A0 00 00 00 04 10 10 41 01 06"

        async def work(terminal: ZvtTerminal) -> None:
            information = await terminal.zvt.read_card()
            found.append(f"{information.aid} {information.card_type}")

        await at(Device({"06 C0": [OK, told]}), work)
        assert found == ["A0000000041010 6"]

    async def test_a_refusal_says_why_and_what_to_do(self) -> None:
        with pytest.raises(TerminalRefused) as caught:
            await at(Device({"06 93": ["84 83 00"]}), lambda terminal: terminal.zvt.initialise())
        assert caught.value.code == 0x83
        assert caught.value.remedy

    async def test_raw_commands_move_no_money(self) -> None:
        with pytest.raises(InvalidRequest):
            await at(Device(), lambda terminal: terminal.zvt.raw(Message(code=0x0601, fields={0x04: 1})))

    async def test_a_tip_is_booked_like_a_payment(self) -> None:
        device = Device({"06 0C": [OK, "04 0F 09 27 00 04 00 00 00 00 01 50", DONE]})
        booked: list[bool] = []

        async def work(terminal: ZvtTerminal) -> None:
            payment = await terminal.zvt.book_tip(153, Money(150, EUR))
            booked.append(payment.is_approved)

        await at(device, work)
        assert booked == [True]
        assert "06 0C 0F 04 00 00 00 00 01 50 87 01 53 49 09 78 06 00" in device.heard


EUR_100 = Money(10_000, EUR)
ATTRIBUTE = "30 35 38 38 31 32 00 00"
MONEY_SERVICES: list[tuple[str, Callable[[ZvtTerminal], Awaitable[Payment]], str, str]] = [
    (
        "partial reversal by receipt",
        lambda t: t.zvt.partial_reversal(154, Money(3660, EUR)),
        "06 23", "06 23 0F 87 01 54 04 00 00 00 00 36 60 49 09 78 06 00",
    ),
    (
        "booking of a reservation",
        lambda t: t.zvt.partial_reversal("0154-276-058812", Money(3660, EUR)),
        "06 23", f"06 23 1C 87 01 54 04 00 00 00 00 36 60 49 09 78 0B 00 02 76 3B {ATTRIBUTE} 06 00",
    ),
    (
        "reversal of an external reservation",
        lambda t: t.zvt.reverse_external_reservation("0154-276-058812", EUR_100),
        "06 26", f"06 26 1D 04 00 00 00 01 00 00 49 09 78 0B 00 02 76 3B {ATTRIBUTE} 06 04 1F 06 01 02",
    ),
    (
        "the same of an extension with a long trace",
        lambda t: t.zvt.reverse_external_reservation("0154-1234567-058812", EUR_100, extension=True),
        "06 26",
        f"06 26 24 04 00 00 00 01 00 00 49 09 78 0B 00 00 00 3B {ATTRIBUTE} 06 0B 1F 06 01 03 1F 2B 04 01 23 45 67",
    ),
    (
        "top-up",
        lambda t: t.zvt.top_up(17, Money(1500, EUR), reference="up-1"),
        "06 09", "06 09 0F 00 17 01 04 00 00 00 00 15 00 49 09 78 06 00",
    ),
]  # fmt: skip


class TestMoneyServices:
    """They have the protection of a payment: evidence first, the answer to 04 0F by the witness, doubts asked about."""

    @pytest.mark.parametrize(("work", "code", "sent"), [pytest.param(w, c, s, id=n) for n, w, c, s in MONEY_SERVICES])
    async def test_go_out_as_the_fact_sheet_has_them_and_are_witnessed(
        self, work: Callable[[ZvtTerminal], Awaitable[Payment]], code: str, sent: str
    ) -> None:
        device = Device({code: [OK, "04 0F 09 27 00 04 00 00 00 00 36 60", DONE]})
        outcomes: list[Outcome] = []

        async def run(terminal: ZvtTerminal) -> None:
            outcomes.append((await work(terminal)).outcome)

        await at(device, run)
        assert sent in device.heard
        assert outcomes == [Outcome.APPROVED]

    @pytest.mark.parametrize(("work", "code", "sent"), [pytest.param(w, c, s, id=n) for n, w, c, s in MONEY_SERVICES])
    async def test_that_end_without_a_result_are_not_told_as_done(
        self, work: Callable[[ZvtTerminal], Awaitable[Payment]], code: str, sent: str
    ) -> None:
        device = Device({code: [OK, DONE]})
        outcomes: list[Outcome] = []

        async def run(terminal: ZvtTerminal) -> None:
            outcomes.append((await work(terminal)).outcome)

        await at(device, run)
        assert outcomes == [Outcome.UNKNOWN]
        assert device.heard.count(sent) == 1

    async def test_a_reservation_of_another_terminal_needs_trace_and_approval_code(self) -> None:
        with pytest.raises(InvalidRequest):
            await at(Device(), lambda terminal: terminal.zvt.reverse_external_reservation("0154", EUR_100))

    async def test_money_has_no_back_door(self) -> None:
        """`run` would accept a result on nobody's word."""
        with pytest.raises(InvalidRequest):
            await at(Device(), lambda terminal: terminal.zvt.run(Message(code=0x060C, fields={0x04: 1, 0x87: 1})))
        with pytest.raises(InvalidRequest):
            await at(Device(), lambda terminal: terminal.zvt.raw(Message(code=0x040F)))


class TestPrintingAtTheTerminal:
    async def test_ends_with_the_answer(self) -> None:
        """06 D3 goes both ways; sent by the register it has no 06 0F (2.2)."""
        found: list[Printer] = []

        async def work(terminal: ZvtTerminal) -> None:
            found.append(await asyncio.wait_for(terminal.print("A"), 3.0))

        profile = STANDARD.but(poll_s=0.0, prints=True)
        await at(Device({"06 D3": [OK]}), work, profile=profile)
        await at(Device({"06 D3": ["84 CC 00"]}), work, profile=profile)
        assert found == [Printer.FINE, Printer.OUT_OF_PAPER]


class Waiter(Attendant):
    async def enter(self, question: Question) -> str | None:
        return "150" if question.lines == ("Trinkgeld?",) else None

    async def choose(self, question: Question) -> MenuItem | None:
        return question.items[1]


MENU = (
    "04 0E 2D 06 2B 2B 29 16 01 01 17 01 02 18 01 02 2C 0D 07 08 67 69 72 6F 63 61 72 64 19 01 01 "
    "2C 0F 07 0A 4D 61 73 74 65 72 63 61 72 64 19 01 02"
)


class TestAttendant:
    def test_only_what_somebody_answers_is_announced(self) -> None:
        assert handled_by(None) == frozenset()
        assert handled_by(Attendant()) == frozenset()
        assert handled_by(Waiter()) == {0x040D, 0x040E}

    async def test_its_commands_stand_in_the_registration(self) -> None:
        device = Device()
        connection = Connection(device.dial, PlainLink, Context(), STANDARD.but(poll_s=0.0), name="device")
        terminal = ZvtTerminal(connection, Context(), currency=EUR)
        terminal.attendant = Waiter()
        async with terminal:
            pass
        assert "26 0C 0A 02 04 0D 0A 02 04 0E 0A 02 06 D3" in device.heard[0]

    @pytest.mark.parametrize(
        ("question", "said"),
        [
            (
                "04 0D 1B 06 19 32 17 24 0C 07 0A 54 72 69 6E 6B 67 65 6C 64 3F 1F 38 01 02 1F 39 02 00 3C",
                "80 00 0A 06 08 32 06 1F 3A 03 31 35 30",
            ),
            (
                MENU,
                "80 00 05 06 03 19 01 02",
            ),
            ("06 E4 00", "84 83 00"),
        ],
    )
    async def test_questions_are_answered_during_a_payment(self, question: str, said: str) -> None:
        device = Device({"06 01": [OK, question, "04 0F 09 27 00 04 00 00 00 00 12 50", DONE]})
        await at(device, lambda terminal: terminal.pay("12.50 EUR"), Waiter())
        assert said in device.answers
