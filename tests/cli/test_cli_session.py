"""From work to exit code: errors, stakes, Ctrl-C."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest
import typer

from zahlwerk.cli.exits import ExitCode
from zahlwerk.cli.output import Output
from zahlwerk.cli.session import Guard, Job, Note, perform, transact
from zahlwerk.errors import InvalidRequest, LinkLost, MoneyMoved, PeerSilent, TerminalBusy
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentRequest
from zahlwerk.terminal import Witness
from zahlwerk.virtual.settings import Settings
from zahlwerk.virtual.terminal import VirtualTerminal

Work = Callable[[Job], Coroutine[None, None, ExitCode]]


def _code(work: Work, stake: MoneyMoved | None) -> int:
    with pytest.raises(typer.Exit) as left:
        perform(work, as_json=True, stake=stake)
    return left.value.exit_code


def _raising(error: Exception, *, sent: bool = False) -> Work:
    async def work(job: Job) -> ExitCode:
        job.guard.sent = sent
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "sent", "stake", "ending"),
    [
        pytest.param(PeerSilent("x"), False, MoneyMoved.NO, (70, "no"), id="a question"),
        pytest.param(PeerSilent("x"), False, MoneyMoved.MAYBE, (3, "maybe"), id="a lookup"),
        pytest.param(PeerSilent("x"), False, None, (70, "no"), id="before the payment"),
        pytest.param(PeerSilent("x"), True, None, (3, "maybe"), id="during the payment"),
        pytest.param(LinkLost("x", request_sent=False), True, None, (70, "no"), id="the error knows"),
        pytest.param(InvalidRequest("x"), False, MoneyMoved.MAYBE, (64, "no"), id="a wrong call"),
        pytest.param(KeyError("x"), True, None, (3, "maybe"), id="our fault, during the payment"),
        pytest.param(KeyError("x"), False, None, (70, "no"), id="our fault, before"),
    ],
)  # fmt: skip
def test_an_error_means_what_it_means_at_that_moment(
    capsys: pytest.CaptureFixture[str], error: Exception, sent: bool, stake: MoneyMoved | None, ending: tuple[int, str]
) -> None:
    """No false alarm before anything was sent, no false calm after."""
    code, moved = ending

    assert _code(_raising(error, sent=sent), stake) == code
    assert f'"money_moved": "{moved}"' in capsys.readouterr().out


@pytest.mark.parametrize(("stake", "code"), [(None, 2), (MoneyMoved.NO, 130)])
def test_ctrl_c_before_anything_was_sent_cancels(stake: MoneyMoved | None, code: int) -> None:
    """Nothing moved."""

    async def work(job: Job) -> ExitCode:
        job.guard.came()
        await asyncio.get_running_loop().create_future()
        return ExitCode.DONE

    assert _code(work, stake) == code


def test_ctrl_c_after_the_end_changes_nothing() -> None:
    """While the connection is being closed."""

    async def work(job: Job) -> ExitCode:
        job.guard.sent = True
        job.guard.came()
        await asyncio.sleep(0)
        return ExitCode.DONE

    assert _code(work, None) == 0


class _Breaking(VirtualTerminal):
    """Raises in the middle of a payment."""

    def __init__(self, error: Exception) -> None:
        super().__init__(Settings(speed=0))
        self._error = error

    async def transact(self, request: PaymentRequest, *, witness: Witness | None = None) -> Payment:
        assert witness is not None
        await witness.sending({"counter": "7"})
        raise self._error


REQUEST = PaymentRequest(amount=Money.of(500, "CHF"))


@pytest.mark.parametrize("error", [LinkLost("cable", request_sent=True), ValueError("a bug")])
async def test_an_error_that_leaves_it_open_becomes_an_unknown_payment(error: Exception) -> None:
    """So that its reference and evidence are told, and nobody charges again."""
    note = Note()
    payment = await transact(Job(Output(as_json=True), Guard()), _Breaking(error), REQUEST, note)

    assert (payment.outcome, payment.reference) == (Outcome.UNKNOWN, REQUEST.reference)
    assert note.evidence == {"counter": "7", "confirm": "none"}


async def test_an_error_that_is_certain_stays_one() -> None:
    """Nothing moved: exit 75, not 3."""
    with pytest.raises(TerminalBusy):
        await transact(Job(Output(as_json=True), Guard()), _Breaking(TerminalBusy("x")), REQUEST, Note())
