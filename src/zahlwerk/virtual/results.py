"""The virtual terminal's extended result codes and error codes.

Source: KIT fact sheet 2.4 (ranges, 10014) and 4.10 (our own: 0, 900, 1000 + answer, 10001 to 10004, error codes 1 to
10); 10005 to 10007 are further ones of ours, within the range of aborts.
"""

from __future__ import annotations

from enum import IntEnum, unique

__all__ = ["ErrorCode", "Result", "declined"]


@unique
class Result(IntEnum):
    """How a payment ended, beyond approved or not."""

    APPROVED = 0
    REFERRED = 900
    DECLINED = 1000
    BY_REGISTER = 10001
    BY_CARD_HOLDER = 10002
    NO_CARD = 10003
    HOST_UNREACHABLE = 10004
    CARD_REMOVED = 10005
    UNKNOWN_TAG = 10006
    CARD_HOLDER_SLOW = 10007
    ACTIVE_TOKEN = 10014


@unique
class ErrorCode(IntEnum):
    """Why a request was refused."""

    BUSY = 1
    SHIFT_CLOSED = 2
    MISSING_FIELD = 5
    NOT_SUPPORTED = 6
    NOTHING_TO_CONFIRM = 7
    LOCKED = 8
    AMOUNT = 9


def declined(response_code: str) -> int:
    """The result of a decline with this answer."""
    return Result.DECLINED + int(response_code)
