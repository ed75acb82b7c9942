"""The tree of errors: its shape, its words, and what each says about the money."""

from __future__ import annotations

import inspect

import pytest

from zahlwerk import errors
from zahlwerk.errors import (
    CardDataRefused,
    ConfigurationError,
    InvalidRequest,
    JournalDamaged,
    JournalError,
    JournalHeld,
    JournalUnavailable,
    LinkError,
    LinkLost,
    LinkUnavailable,
    LocalError,
    LocalProtocolError,
    MoneyMoved,
    NotSupported,
    PaymentNotFound,
    PeerSilent,
    ReferenceReused,
    RemoteError,
    RemoteProtocolError,
    TerminalBusy,
    TerminalError,
    TerminalRefused,
)

NO, MAYBE, YES = MoneyMoved.NO, MoneyMoved.MAYBE, MoneyMoved.YES
LOOK_UP = "look the payment up by its reference before charging again"
CORRECT = "correct the call and try again"

# The error, its text, what it says about the money, what to do next.
TABLE = [
    (TerminalError("it broke"), "it broke", MAYBE, LOOK_UP),
    (TerminalError("it broke", money_moved=YES, remedy="reverse it"), "it broke", YES, "reverse it"),
    (LocalError("no"), "no", NO, CORRECT),
    (LocalProtocolError("a hold that is captured cannot be released"), "a hold that is captured cannot be released", NO,
     "fix the caller: see the transition table of this interface"),
    (NotSupported("print", "MDB"), "MDB cannot print", NO, "look at the terminal's capabilities and choose another way"),
    (NotSupported("print", "MDB", why="there is no printer"), "MDB cannot print: there is no printer", NO,
     "look at the terminal's capabilities and choose another way"),
    (InvalidRequest("the amount must be more than zero"), "the amount must be more than zero", NO, CORRECT),
    (ConfigurationError("no interface is called 'kot'"), "no interface is called 'kot'", NO,
     "correct the address or option, or install what is missing"),
    (RemoteError("odd"), "odd", MAYBE, LOOK_UP),
    (RemoteProtocolError("expected a digit, got 'x'"), "expected a digit, got 'x'", MAYBE, LOOK_UP),
    (RemoteProtocolError("expected a digit, got 'x'", position=7), "expected a digit, got 'x' (at byte 7)", MAYBE, LOOK_UP),
    (RemoteProtocolError("expected a digit", position=0), "expected a digit (at byte 0)", MAYBE, LOOK_UP),
    (TerminalRefused("shift is closed", code=5, source="DC"), "shift is closed", MAYBE, LOOK_UP),
    (TerminalRefused("shift is closed", money_moved=NO, remedy="open the shift"), "shift is closed", NO, "open the shift"),
    (LinkError("link"), "link", MAYBE, LOOK_UP),
    (LinkUnavailable("nobody answers at 10.0.0.5:8307"), "nobody answers at 10.0.0.5:8307", NO,
     "check address, port and cable; is the terminal switched on?"),
    (LinkLost("the connection ended", request_sent=True), "the connection ended", MAYBE, LOOK_UP),
    (LinkLost("the connection ended", request_sent=False), "the connection ended", NO,
     "nothing was sent: try again when the connection is back"),
    (PeerSilent("no answer within 20 s"), "no answer within 20 s", MAYBE, LOOK_UP),
    (JournalError("no journal"), "no journal", NO,
     "see to the journal's disk or database; payments start again by themselves once it can be written"),
    (JournalUnavailable("the disk is full"), "the disk is full", NO,
     "see to the journal's disk or database; payments start again by themselves once it can be written"),
    (JournalDamaged("entry 7 is not what was written"), "entry 7 is not what was written", NO,
     "keep a copy of the file, run `zahlwerk journal verify`, and begin a new journal or restore a copy"),
    (JournalHeld("the gateway writes it"), "the gateway writes it", NO,
     "use the process that holds it, or end it first"),
    (ReferenceReused("'sale-1' is a purchase of CHF 1.00"), "'sale-1' is a purchase of CHF 1.00", NO,
     "a new payment needs a new reference; the old one gives the old payment"),
    (TerminalBusy("another payment runs"), "another payment runs", NO, "wait until the terminal is free, then try again"),
    (PaymentNotFound("no payment 17"), "no payment 17", MAYBE,
     "compare with the terminal's receipts or totals before charging again"),
    (CardDataRefused("a reference holds a card number"), "a reference holds a card number", NO,
     "pass the masked number or the token instead"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "text", "money_moved", "remedy"),
    TABLE,
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_says_what_happened_to_the_money_and_what_to_do(
    error: TerminalError, text: str, money_moved: MoneyMoved, remedy: str
) -> None:
    """The exact words of every public error."""

    assert (str(error), error.money_moved, error.remedy) == (text, money_moved, remedy)


def test_the_table_has_every_error() -> None:
    """A new error needs a row."""
    public = {getattr(errors, name) for name in errors.__all__} - {MoneyMoved}

    assert {type(error) for error, *_ in TABLE} == public


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """Drawn once, true always."""
    drawn = inspect.getdoc(errors) or ""
    lines = [line for line in drawn.splitlines() if "\u2500\u2500 " in line]
    parents: dict[int, str] = {0: "TerminalError"}
    for line in lines:
        depth = line.index("\u2500") // 4
        name = line.split("\u2500\u2500 ")[1].split()[0]
        parents[depth] = name
        assert getattr(errors, name).__bases__[0].__name__ == parents[depth - 1]

    assert len(lines) == len(errors.__all__) - 2


def test_local_errors_say_that_nothing_left() -> None:
    """All of them."""

    assert {error.money_moved for error, *_ in TABLE if isinstance(error, LocalError)} == {NO}


@pytest.mark.parametrize("length", [0, 255, 256, 257, 100_000])
def test_offending_bytes_are_cut_to_the_limit(length: int) -> None:
    """256 bytes are enough to see what is wrong."""
    error = RemoteProtocolError("bad", position=3, data=b"x" * length)

    assert len(error.data) == min(length, RemoteProtocolError.DATA_BYTES_MAX)
    assert (error.reason, error.position) == ("bad", 3)


def test_what_a_reader_needs_is_an_attribute() -> None:
    """Not only text."""

    assert (NotSupported("print", "MDB").operation, NotSupported("print", "MDB").interface) == ("print", "MDB")
    refused = TerminalRefused("shift is closed", code=5, source="DC")
    assert (refused.code, refused.source) == (5, "DC")
