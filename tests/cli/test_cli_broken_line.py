"""A line that breaks on purpose behind a bridge, and the lookup that another process makes of what was printed."""

from __future__ import annotations

import pytest

from zahlwerk.cli.observed import Observed
from zahlwerk.cli.session import Note
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentRequest
from zahlwerk.timeouts import Waits
from zahlwerk.urls import Context, Url, connect, listen
from zahlwerk.virtual.settings import Settings
from zahlwerk.virtual.terminal import VirtualTerminal

QUICK = Context(waits=Waits(reconnect_s=0.05, late_answer_s=0.3))


def terminal_with(faults: str) -> VirtualTerminal:
    return VirtualTerminal(Settings(speed=0, shift_open=True, faults=faults))


def charged(terminal: VirtualTerminal) -> int:
    return sum(entry.effect_minor for entry in terminal.host.ledger())


@pytest.mark.parametrize(
    ("fault", "outcome", "minor"),
    [
        pytest.param("cut-before:TransactionRequest:1", Outcome.FAILED, 0, id="the request is lost"),
        pytest.param("cut-before:TransactionConfirmationResponse:1", Outcome.APPROVED, 1250, id="the answer is lost"),
    ],
)
async def test_faults_of_messages_work_through_a_bridge(fault: str, outcome: Outcome, minor: int) -> None:
    """A bridge looks on through `Observed`; the faults of the terminal behind must get through it."""
    inner = terminal_with(fault)
    told: list[Payment] = []
    async with inner:
        endpoint = listen("kit+tcp://127.0.0.1:0", Observed(inner, told.append), QUICK)
        url = await endpoint.start()
        async with connect(url, QUICK) as register:
            payment = await register.pay("12.50 CHF")
        await endpoint.close()

    assert payment.outcome is outcome
    assert charged(inner) == minor


@pytest.mark.parametrize(
    ("fault", "outcome", "minor"),
    [
        pytest.param("cut-before:TransactionConfirmationResponse:1", Outcome.APPROVED, 1250, id="paid, answer lost"),
        pytest.param("cut-before:TransactionConfirmationRequest:1", Outcome.APPROVED, 1250, id="confirmation lost"),
        pytest.param("cut-before:TransactionRequest:1", Outcome.FAILED, 0, id="request lost"),
    ],
)
async def test_another_process_settles_a_payment_by_the_evidence_that_pay_prints(
    fault: str, outcome: Outcome, minor: int
) -> None:
    """`pay` gave up without a line; its note says what was decided, so the lookup is certain."""
    terminal = terminal_with(fault)
    note = Note()
    async with terminal:
        endpoint = listen("kit+tcp://127.0.0.1:0", terminal, QUICK)
        url = await endpoint.start()
        once = Url(url.scheme, url.host, url.port, params={"reconnect": "no"})
        async with connect(once, QUICK) as register:
            request = PaymentRequest(amount=Money.of(1250, "CHF"), reference="bill-7")
            lost = await register.transact(request, witness=note)
        async with connect(url, QUICK) as another:
            found = await another.lookup("bill-7", evidence=note.evidence)
        await endpoint.close()

    assert lost.outcome is Outcome.UNKNOWN
    assert found.outcome is outcome
    assert charged(terminal) == minor
