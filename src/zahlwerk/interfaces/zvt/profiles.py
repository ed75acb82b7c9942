"""Terminal profiles: what is known to differ from device to device, as data (`profiles.toml`). Pure but for reading it.

A profile fills what an address leaves open; `?profile=card-complete` names one. Source: fact sheet 8, in each profile.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields, replace
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from zahlwerk.errors import ConfigurationError
from zahlwerk.interfaces.zvt.timers import TIMERS, Timers

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["STANDARD", "Profile", "find_profile", "profiles"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How to talk to one kind of terminal."""

    name: str = "standard"
    title: str = "a terminal that keeps to the standard"
    source: str = "fact sheet 1 to 7"
    port: int = 20007
    tls: bool = False
    password: str = "000000"  # noqa: S105 - the field's default, known to everybody
    config: int = 0xBE
    """Config byte of the registration. Source: fact sheet 2.7."""
    payment_type: int | None = 0x40
    """BMP 19 of payments; None leaves it out."""
    registers: str = "always"
    """`always`: on each connection; `once`: only on the first."""
    connection: str = "keep"
    """`keep` one connection, or `each` command its own."""
    charset: str = "auto"
    """Of texts, unless another set was agreed on; a name of `charsets.BY_NAME`."""
    negotiates: bool = False
    """Ask for `charset` at registration (tag 27)."""
    width: int = 32
    """Characters in a line of the register's printer."""
    tlv: bool = True
    """Send TLV containers."""
    lists_commands: bool = True
    """Send tag 26 at registration."""
    blocks: bool = True
    """Take receipts as text blocks (06 D3) rather than lines (06 D1)."""
    aborts: bool = True
    """06 B0 may be sent during a payment."""
    goods: str = "both"
    """How to make it wait for a slow decision: `wait` (BMP 01), `again` (84 9C), `both`, or `none`."""
    partial_goods: bool = True
    """Takes 84 9D: less than was approved."""
    repeats: bool = True
    """06 20 tells the latest transaction, without printing."""
    totals: bool = True
    """06 10 tells the totals."""
    reverses_last_only: bool = False
    prints: bool = False
    """Prints for the register (06 D1, 06 D3)."""
    displays: bool = True
    """Shows texts (06 E0, 06 E1)."""
    numbered: bool = False
    """Message sequence ids (tag 1F73)."""
    poll_s: float = 60.0
    """Status enquiry while idle; 0 for none."""
    currencies: tuple[str, ...] = ()
    """The only ones that it takes; empty: not known."""
    private_results: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    """Codes that mean something of its own here."""
    notes: str = ""
    timers: Timers = TIMERS

    def but(self, **changes: object) -> Profile:
        """The same with some things changed."""
        return replace(self, **changes)  # type: ignore[arg-type]  # replace() checks the names itself


STANDARD: Final = Profile()


@cache
def profiles() -> Mapping[str, Profile]:
    """Every profile by name.

    Raises:
        ConfigurationError: the file is not as it should be.
    """
    text = files("zahlwerk.interfaces.zvt").joinpath("profiles.toml").read_text(encoding="utf-8")
    found = {STANDARD.name: STANDARD}
    known = {item.name for item in fields(Profile)} - {"name", "timers"}
    for name, row in tomllib.loads(text).items():
        times = row.pop("timers", {})
        results = {int(code, 16): meaning for code, meaning in row.pop("private_results", {}).items()}
        if unknown := set(row) - known:
            raise ConfigurationError(f"profile {name!r} has an unknown entry {sorted(unknown)[0]!r}")
        if "currencies" in row:
            row["currencies"] = tuple(row["currencies"])
        found[name] = Profile(
            name=name, timers=replace(TIMERS, **times), private_results=MappingProxyType(results), **row
        )
    return MappingProxyType(found)


def find_profile(name: str) -> Profile:
    """A profile by its name.

    Raises:
        ConfigurationError: there is none of that name; names those that are.
    """
    if name not in profiles():
        raise ConfigurationError(
            f"no terminal profile is called {name!r}", remedy=f"use one of: {', '.join(sorted(profiles()))}"
        )
    return profiles()[name]
