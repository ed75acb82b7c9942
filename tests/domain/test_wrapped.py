"""A terminal around another one hands everything on."""

from __future__ import annotations

import inspect

import pytest

from zahlwerk.terminal import Terminal
from zahlwerk.wrapped import WrappedTerminal

MADE_OF_OTHERS = {"pay", "refund", "reverse", "hold"}
"""Written with `transact`, in the port itself."""
PORT = sorted(
    name
    for name, member in vars(Terminal).items()
    if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property))
)


@pytest.mark.parametrize("name", [name for name in PORT if name not in MADE_OF_OTHERS])
def test_every_operation_of_the_port_goes_straight_through(name: str) -> None:
    """Also one that is added to the port later."""
    assert name in vars(WrappedTerminal)
    assert f"self.inner.{name}" in inspect.getsource(
        vars(WrappedTerminal)[name].fget
        if isinstance(vars(WrappedTerminal)[name], property)
        else vars(WrappedTerminal)[name]
    )
