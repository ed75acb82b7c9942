"""What the exit code of a command means, and which error or outcome leads to which."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, unique
from types import MappingProxyType
from typing import Final

from zahlwerk.errors import (
    CardDataRefused,
    ConfigurationError,
    InvalidRequest,
    JournalDamaged,
    JournalHeld,
    JournalUnavailable,
    LinkUnavailable,
    MoneyMoved,
    NotSupported,
    ReferenceReused,
    TerminalBusy,
    TerminalError,
)
from zahlwerk.lifecycle import PaymentState
from zahlwerk.payment import Outcome, Payment

__all__ = ["MEANINGS", "ExitCode", "epilog", "of_error", "of_payment"]


@unique
class ExitCode(IntEnum):
    """How a command ended. 64 and up follow sysexits.h of BSD; 130 is the shell's custom for Ctrl-C."""

    DONE = 0
    NOT_APPROVED = 2
    UNKNOWN = 3
    USAGE = 64
    DATA = 65
    UNAVAILABLE = 69
    FAILED = 70
    BUSY = 75
    STOPPED = 130


MEANINGS: Final[Mapping[ExitCode, str]] = MappingProxyType({
    ExitCode.DONE: "it did what was asked",
    ExitCode.NOT_APPROVED: "not approved, no money moved; probe: does not suit",
    ExitCode.UNKNOWN: "nobody knows yet: do not charge again, run lookup",
    ExitCode.USAGE: "the call was wrong, or the terminal cannot do this; a reference that another payment has",
    ExitCode.DATA: "some of the data was not understood (decode, trace), or a journal is not as it was written",
    ExitCode.UNAVAILABLE: "nothing answers there, the port could not be opened, the journal cannot be used",
    ExitCode.FAILED: "something else went wrong; no money moved",
    ExitCode.BUSY: "the terminal is busy, or another process writes the journal: try again later",
    ExitCode.STOPPED: "stopped with Ctrl-C (a payment that is stopped ends with 2 or 3)",
})  # fmt: skip
"""Each exit code in words."""

_USAGE: Final = (InvalidRequest, ConfigurationError, NotSupported, CardDataRefused, ReferenceReused)


def of_error(error: TerminalError, moved: MoneyMoved) -> ExitCode:
    """The exit code of an error.

    Args:
        error: what went wrong.
        moved: what it means for the money, in the command that met it.
    """
    if isinstance(error, _USAGE):
        return ExitCode.USAGE
    if isinstance(error, LinkUnavailable | JournalUnavailable):
        return ExitCode.UNAVAILABLE
    if isinstance(error, JournalDamaged):
        return ExitCode.DATA
    if isinstance(error, TerminalBusy | JournalHeld):
        return ExitCode.BUSY
    return ExitCode.FAILED if moved is MoneyMoved.NO else ExitCode.UNKNOWN


def of_payment(payment: Payment) -> ExitCode:
    """The exit code of an outcome: a release is done when the hold is released, everything else when approved."""
    if payment.outcome is Outcome.UNKNOWN:
        return ExitCode.UNKNOWN
    if payment.outcome is Outcome.APPROVED or payment.state is PaymentState.RELEASED:
        return ExitCode.DONE
    return ExitCode.NOT_APPROVED


def epilog() -> str:
    """The table for the help page."""
    return "Exit codes:\n" + "\n".join(f"{code.value:>3}  {text}" for code, text in MEANINGS.items())
