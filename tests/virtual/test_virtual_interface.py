"""The address `virtual:` and what it can say."""

from __future__ import annotations

import pytest

from zahlwerk import connect
from zahlwerk.clock import VirtualClock
from zahlwerk.errors import ConfigurationError
from zahlwerk.urls import Context, Url
from zahlwerk.virtual.interface import INTERFACE
from zahlwerk.virtual.settings import Settings
from zahlwerk.virtual.terminal import VirtualTerminal


async def test_the_example_of_the_readme_works_without_delay() -> None:
    async with connect("virtual:?speed=0") as terminal:
        await terminal.open_shift()
        payment = await terminal.pay("12.50 CHF")

    assert payment.is_approved
    assert payment.brand == "VISA"


def test_at_lifes_speed_a_payment_takes_under_a_second() -> None:
    from zahlwerk.virtual.flow import CONFIRM_S, ONLINE_S, SHOW_CARD_S

    assert SHOW_CARD_S + ONLINE_S + CONFIRM_S < 0.8


async def test_every_parameter_is_understood() -> None:
    address = "virtual:?card=none&speed=2.5&language=fr&width=48&currency=chf,USD&seed=4&confirm=5&printer=no&tip=10&faults=crash:card:1&shift=open&id=AB345678&serial=N6P00018"
    settings = Settings.from_url(INTERFACE.check(Url.parse(address)))

    assert settings == Settings(card="none", speed=2.5, language="fr", width=48, currencies=("CHF", "USD"), seed=4,
                                confirm_s=5, printer="no", tip=10, faults="crash:card:1", shift_open=True,
                                terminal_id="AB345678", serial_number="N6P00018")  # fmt: skip
    terminal = connect(address, Context(clock=VirtualClock()))
    assert isinstance(terminal, VirtualTerminal)
    await terminal.open()
    assert (await terminal.status()).shift_open
    await terminal.close()
    assert {parameter.name for parameter in INTERFACE.parameters} == set(Url.parse(address).params)


@pytest.mark.parametrize(
    ("query", "why"),
    [
        pytest.param("card=gold", "no test card", id="card"),
        pytest.param("speed=fast", "expected a number", id="speed"),
        pytest.param("speed=1001", "expected 0", id="too fast"),
        pytest.param("language=rm", "expected one of", id="language"),
        pytest.param("width=19", "20 to 80", id="width"),
        pytest.param("currency=", "unknown currency|currency is empty", id="currency"),
        pytest.param("tip=101", "0 to 100", id="tip"),
        pytest.param("confirm=0", "more than 0", id="confirm"),
        pytest.param("id=short", "8 letters or digits", id="id"),
        pytest.param("faults=boom", "not a fault", id="faults"),
        pytest.param("colour=red", "no parameter 'colour'", id="unknown"),
    ],
)
def test_a_slip_of_the_pen_is_told(query: str, why: str) -> None:
    with pytest.raises(Exception, match=why) as told:
        connect(f"virtual:?{query}")

    assert told.value.__class__.__name__ in {ConfigurationError.__name__, "InvalidRequest"}
