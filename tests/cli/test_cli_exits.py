"""Which error and which outcome lead to which exit code."""

from __future__ import annotations

import pytest

from zahlwerk import errors
from zahlwerk.cli.exits import MEANINGS, ExitCode, epilog, of_error, of_payment
from zahlwerk.errors import MoneyMoved, TerminalError
from zahlwerk.lifecycle import PaymentState
from zahlwerk.payment import Outcome, Payment, PaymentKind


@pytest.mark.parametrize(
    ("error", "moved", "code"),
    [
        pytest.param(errors.InvalidRequest("x"), MoneyMoved.NO, 64, id="invalid"),
        pytest.param(errors.ConfigurationError("x"), MoneyMoved.NO, 64, id="configuration"),
        pytest.param(errors.NotSupported("fly", "KIT"), MoneyMoved.NO, 64, id="not supported"),
        pytest.param(errors.CardDataRefused("x"), MoneyMoved.NO, 64, id="card data"),
        pytest.param(errors.ReferenceReused("x"), MoneyMoved.NO, 64, id="reference reused"),
        pytest.param(errors.JournalDamaged("x"), MoneyMoved.NO, 65, id="journal damaged"),
        pytest.param(errors.JournalUnavailable("x"), MoneyMoved.NO, 69, id="journal unavailable"),
        pytest.param(errors.JournalHeld("x"), MoneyMoved.NO, 75, id="journal held"),
        pytest.param(errors.LinkUnavailable("x"), MoneyMoved.NO, 69, id="unavailable"),
        pytest.param(errors.TerminalBusy("x"), MoneyMoved.NO, 75, id="busy"),
        pytest.param(errors.TerminalRefused("x"), MoneyMoved.NO, 70, id="refused"),
        pytest.param(errors.PeerSilent("x"), MoneyMoved.NO, 70, id="silent, nothing at stake"),
        pytest.param(errors.PeerSilent("x"), MoneyMoved.MAYBE, 3, id="silent"),
        pytest.param(errors.TerminalRefused("x"), MoneyMoved.YES, 3, id="refused, money moved"),
    ],
)
def test_errors(error: TerminalError, moved: MoneyMoved, code: int) -> None:
    """The table of the design, section 10."""
    assert of_error(error, moved) == code


@pytest.mark.parametrize(
    ("outcome", "state", "code"),
    [
        (Outcome.APPROVED, PaymentState.CONFIRMED, 0),
        (Outcome.APPROVED, PaymentState.HELD, 0),
        (Outcome.ABORTED, PaymentState.RELEASED, 0),
        (Outcome.ABORTED, PaymentState.ROLLED_BACK, 2),
        (Outcome.ABORTED, PaymentState.ABORTED, 2),
        (Outcome.DECLINED, PaymentState.DECLINED, 2),
        (Outcome.REFERRED, PaymentState.REFERRED, 2),
        (Outcome.FAILED, PaymentState.FAILED, 2),
        (Outcome.UNKNOWN, PaymentState.UNKNOWN, 3),
    ],
)
def test_outcomes(outcome: Outcome, state: PaymentState, code: int) -> None:
    """0 only if what was asked for has happened."""
    assert of_payment(Payment(reference="r", kind=PaymentKind.PURCHASE, outcome=outcome, state=state)) == code


def test_every_code_has_a_meaning_and_stands_in_the_help() -> None:
    """None is forgotten."""
    assert set(MEANINGS) == set(ExitCode)
    assert all(text in epilog() for text in MEANINGS.values())
