"""Each wait is longer than what it waits for."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zahlwerk.timeouts import DEFAULT_WAITS, Operation, Waits


@pytest.mark.parametrize("operation", list(Operation))
def test_the_register_waits_longest_and_the_host_is_fastest(operation: Operation) -> None:
    """host < terminal < gateway < register, for each operation; some end at the terminal."""
    chain = DEFAULT_WAITS.chain(operation)
    local = operation in {Operation.CONNECT, Operation.SHORT}

    assert list(chain) == ["host", "terminal", "gateway", "register"][local:]
    assert all(inner < outer for inner, outer in pairwise(chain.values()))
    assert min(chain.values()) > 0


@given(st.floats(1, 300), st.floats(1, 600), st.floats(0, 300), st.floats(1, 60), st.sampled_from(list(Operation)))
def test_other_waits_keep_the_order_outside_the_terminal(
    card_s: float, host_s: float, cardholder_s: float, margin_s: float, operation: Operation
) -> None:
    """The waits are derived, so that no setting turns them round."""
    waits = Waits(card_s=card_s, host_s=host_s, cardholder_s=cardholder_s, margin_s=margin_s)

    assert waits.terminal_s(operation) < waits.gateway_s(operation) < waits.register_s(operation)


def test_a_payment_waits_for_card_cardholder_and_host() -> None:
    """All three may take their whole time, one after the other."""
    waits = Waits(card_s=60, cardholder_s=30, host_s=20, margin_s=10)

    assert waits.terminal_s(Operation.PAYMENT) == 110
    assert waits.gateway_s(Operation.PAYMENT) == 120
    assert waits.register_s(Operation.PAYMENT) == 130


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("connect_s", 10.0),
        ("heartbeat_interval_s", 10.0),
        ("heartbeat_timeout_s", 10.0),
        ("reconnect_s", 3.0),
        ("card_s", 60.0),
        ("approval_s", 60.0),
    ],
)
def test_the_defaults_of_paytec_are_kept(name: str, seconds: float) -> None:
    """KIT fact sheet 1.2, 4.1 and 4.10."""

    assert getattr(DEFAULT_WAITS, name) == seconds


def test_an_approval_is_kept_longer_than_its_confirmation_takes() -> None:
    """Otherwise the terminal would take back what the register is just confirming."""

    assert DEFAULT_WAITS.approval_s > DEFAULT_WAITS.register_s(Operation.CONFIRMATION)
