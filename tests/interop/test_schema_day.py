"""A whole day between our register side and our terminal side, every line judged by PayTec's published schema."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.interop.kit_world import Journal, Rule, World

from zahlwerk.errors import TerminalError
from zahlwerk.interfaces.kit.codec import COMPANIONS
from zahlwerk.interfaces.kit.codes import DeviceCommandCode
from zahlwerk.interfaces.kit.conversion import FUNCTION_OF_KIND
from zahlwerk.interfaces.kit.dictionary import MESSAGE_ROWS
from zahlwerk.interfaces.kit.messages import ClearBasketRequest
from zahlwerk.interfaces.kit.register import Options
from zahlwerk.money import Money
from zahlwerk.payment import (
    AMOUNT_KINDS,
    REFERENCE_KINDS,
    Original,
    PaymentKind,
    PaymentRequest,
    ReceiptKind,
    UnknownTag,
)
from zahlwerk.terminal import Decision, Dialog, DialogEnd, DialogInput, HoldId, Maintenance, Period
from zahlwerk.virtual.deck import deck
from zahlwerk.virtual.settings import Settings


def schema_path() -> Path | None:
    named = os.environ.get("ZAHLWERK_KIT_SCHEMA")
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "specs" / "kit" / "ecritf-schema.json"
    path = Path(named) if named else beside
    return path if path.is_file() else None


pytestmark = pytest.mark.skipif(
    schema_path() is None,
    reason="PayTec's ecritf-schema.json is not here: set ZAHLWERK_KIT_SCHEMA to check a whole day against it",
)


@functools.cache
def validator() -> jsonschema.Draft202012Validator:
    path = schema_path()
    assert path is not None
    return jsonschema.Draft202012Validator(json.loads(path.read_text("utf-8")))


def chf(minor: int) -> Money:
    return Money.of(minor, "CHF")


def purchase(minor: int = 1250, **more: Any) -> PaymentRequest:
    return PaymentRequest(amount=chf(minor), **more)


async def a_day() -> World:
    """Everything that can be done, once."""
    world = World(settings=Settings(seed=1, tip=5))
    options = Options(language="de", pos_id="Kasse 1", suppress_scheduled_tasks=True,
                      data_change_reasons=({"TrxDataChangeReasonCode": 1},))  # fmt: skip
    world.register = world.new_register(options)
    await world.open()
    await world.until(world.register.open_shift(attendant="Anna", attendant_number=7))
    await payments(world)
    await services(world)
    await trouble(world)
    await world.until(world.register.end_of_day())
    await world.until(world.register.open_shift())
    await world.until(world.register.close_shift())
    await world.pass_time(45.0)
    return world


async def payments(world: World) -> None:
    register = world.register
    for kind in PaymentKind:
        card = "referral" if kind is PaymentKind.RESERVATION_PHONE_CONFIRM else "visa"
        world.virtual._device.settings = Settings(seed=1, card=card)
        original = None
        if kind in REFERENCE_KINDS:
            first = await world.until(register.transact(PaymentRequest(kind=PaymentKind.RESERVATION, amount=chf(2000))))
            original = Original(first.transaction_reference, first.acquirer_id, first.sequence)
        if kind is PaymentKind.REVERSAL:
            await world.until(register.transact(purchase()))
        payment = await world.until(
            register.transact(
                PaymentRequest(
                    kind=kind,
                    amount=chf(1000) if kind in AMOUNT_KINDS else None,
                    cashback=chf(500) if kind is PaymentKind.PURCHASE_WITH_CASHBACK else None,
                    original=original,
                    authorisation_code="ABC123" if kind is PaymentKind.PHONE_AUTHORISED else "",
                    unknown_tag=UnknownTag.REPORT,
                    partial_approval=True,
                )
            )
        )
        assert payment.is_approved, kind
    for name, shown in deck().items():
        if shown.currency in {"CHF", "EUR"} or shown.behaviour.dcc_currency:
            world.virtual._device.settings = Settings(seed=1, card=name, tip=10)
            await world.until(register.transact(purchase(3300, partial_approval=True)))
    world.virtual._device.settings = Settings(seed=1)
    await world.until(register.transact(purchase(), witness=Journal(Decision(confirm=True, amount=chf(900)))))
    await world.until(register.transact(purchase(), witness=Journal(Decision(confirm=False))))
    await world.until(register.transact(purchase(), witness=Slow(world)))
    await holds(world)


class Slow(Journal):
    """Thinks for longer than the terminal waits by itself."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    async def approved(self, payment: Any) -> Decision:
        await self._world.clock.sleep_until(self._world.clock.now_s() + 100.0)
        return await super().approved(payment)


async def holds(world: World) -> None:
    for amount in (chf(840), None):
        request = PaymentRequest(
            kind=PaymentKind.AUTHORISATION, amount=chf(5000), active_tokens=(deck()["amex"].token,)
        )
        held = await world.until(world.register.transact(request))
        await world.until(world.register.open_entries())
        await world.until(world.register.settle(HoldId(str(held.sequence)), amount))


async def services(world: World) -> None:
    register, virtual = world.register, world.virtual
    for period in Period:
        await world.until(register.totals(period))
    for kind in (ReceiptKind.MERCHANT, ReceiptKind.CUSTOMER, ReceiptKind.SHIFT_OPENED):
        await world.until(refused_or_done(register.receipt(kind)))
    for wanted in DialogInput:
        await world.until(register.ask(Dialog(text="Zürich?", input=wanted, password="secret")))
    for end in DialogEnd:
        virtual.answer_dialog(end=end)
        await world.until(register.ask(Dialog(text="?")))
    asking = asyncio.ensure_future(register.ask(Dialog(text="?", input=DialogInput.TEXT)))
    await world.quiet()
    await register.cancel_ask()
    await world.pass_time(100.0, asking)
    await world.until(register.print("Danke! äöü\n" * 200, double_height=True, double_width=True, inverse=True))
    await world.until(register.print(image_png=b"\x89PNG\r\n\x1a\n" + bytes(100)))
    virtual.run_out_of_paper()
    await world.until(register.print("x"))
    virtual.load_paper()
    await world.until(register.scan(title="Kundenkarte", text="Bitte Code zeigen"))
    await world.until(register.lock())
    await world.until(register.unlock())
    for language in ("fr", "it", "en", "de"):
        await world.until(register.set_language(language))
    for work in Maintenance:
        if work not in {Maintenance.REBOOT, Maintenance.UPDATE}:
            await world.until(refused_or_done(register.maintain(work, text="Geschlossen")))
            await world.pass_time(1.0)


async def refused_or_done(work: Any) -> None:
    with contextlib.suppress(TerminalError):
        await work


async def trouble(world: World) -> None:
    register, virtual = world.register, world.virtual
    virtual._device.settings = Settings(seed=1, card="none")
    task = asyncio.ensure_future(
        register.transact(purchase(unknown_tag=UnknownTag.REPORT, unknown_tag_text="Karte bitte"))
    )
    await world.pass_time(30.0)
    virtual.present_tag("04AC52EA")
    await world.pass_time(1.0)
    await register.abort(silent=True)
    await world.pass_time(100.0, task)
    virtual.present("visa-chip")
    await world.pass_time(1.0)
    virtual.remove_card()
    await world.until(refused_or_done(register.maintain(Maintenance.INITIALISE, acquirer_id=99)))
    register._connection.send(ClearBasketRequest())  # the terminal has no basket, and says so
    await world.pass_time(5.0)
    virtual._device.settings = Settings(seed=1)
    world.wire.rules.append(Rule("TransactionResponse", "<", world.wire.seen["<", "TransactionResponse"] + 1))
    await world.until(register.transact(purchase()))
    world.wire.rules.clear()
    await world.pass_time(100.0)
    await world.until(register.transact(purchase()))


@functools.cache
def day() -> list[tuple[str, bytes]]:
    async def live() -> list[tuple[str, bytes]]:
        world = await a_day()
        log = list(world.wire.log)
        await world.close()
        return log

    return asyncio.run(live())


def bodies() -> list[tuple[str, dict[str, Any]]]:
    """Every message of the day, without the companions that the schema does not allow (P-01)."""
    found = []
    for way, line in day():
        message = json.loads(line)
        found.append((way, {name: body for name, body in message.items() if name not in COMPANIONS}))
    return found


def is_outside_the_schema(message: dict[str, Any]) -> bool:
    """What only the library knows: the basket (2.1), and the text for a lonely terminal (P-06: command 2501)."""
    [(name, body)] = message.items()
    return name == "ClearBasketRequest" or body.get("DeviceCommandCode") == DeviceCommandCode.SET_DISCONNECTED_TEXT


def test_every_line_of_a_whole_day_is_valid() -> None:
    wrong: Counter[str] = Counter()
    for way, message in bodies():
        if not is_outside_the_schema(message):
            wrong.update(
                f"{way} {next(iter(message))}: {error.json_path} {error.message}"
                for error in validator().iter_errors(message)
            )
    assert wrong == Counter()


def test_every_message_of_the_schema_was_said_that_day() -> None:
    said = {name for _, message in bodies() for name in message}
    assert {row.name for row in MESSAGE_ROWS if row.in_schema} <= said


def test_every_function_was_asked_for_that_day() -> None:
    asked = {message["TransactionRequest"]["TrxFunction"] for _, message in bodies() if "TransactionRequest" in message}
    assert asked == {int(function) for function in FUNCTION_OF_KIND.values()}


def test_every_result_was_given_that_day() -> None:
    given = {message["TransactionResponse"]["TrxResult"] for _, message in bodies() if "TransactionResponse" in message}
    assert given == {0, 1, 2, 3}
