"""Every wait of ZVT in one table; both sides take theirs from here. Pure.

Source: fact sheet 1.2, 1.3, 1.5, 6.3, 6.4, 6.9, 6.12.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["TIMERS", "Timers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timers:
    """Waits in seconds. A terminal profile may change them."""

    t3_s: float = 5.0
    """From a command to its answer, in either direction. Source: 1.5."""
    t4_s: float = 180.0
    """The terminal is master and says nothing. Never less: card holders are slow at the PIN pad. Source: 1.5."""
    end_of_day_s: float = 600.0
    """The same during an end of day, when the terminal talks to its host. Source: 6.6 (it can take minutes)."""
    goods_s: float = 60.0
    """BMP 01: how long the terminal shall wait for our decision about an approval."""
    goods_default_s: float = 30.0
    """What a terminal waits where BMP 01 was not sent but goods are issued. Source: 6.4."""
    again_s: float = 2.0
    """After 84 9C the terminal asks again. Source: 6.4."""
    answer_by_s: float = 3.0
    """Without a decision by then, an approval is answered with "ask again": before T3 ends, after the pause that some
    terminals forget to make. Source: 1.5, 6.4."""
    silent_failure_s: float = 10.0
    """After a failed 04 0F some terminals send nothing more. Source: 6.3."""
    reconnect_s: float = 2.0
    """Pause before a lost connection is made again. Source: 6.9 (2 to 5 s)."""
    poll_s: float = 3.0
    """Between two status enquiries to a terminal that is busy."""
    second_look_s: float = 20.0
    """Before "not stored" is believed: an auto-reversal or a slow host may still be running. Source: 6.9, step 6."""
    working_sign_s: float = 60.0
    """A working terminal gives a sign of life at least this often. Source: 6.12."""
    clock_tolerance_s: float = 900.0
    """How far terminal and register clocks may differ. Source: 8, pitfall 25 (some minutes)."""


TIMERS: Final = Timers()
"""What holds unless a profile says otherwise."""
