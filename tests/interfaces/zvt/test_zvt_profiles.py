"""Terminal profiles: facts about devices as data. Source: ZVT fact sheet 8."""

from __future__ import annotations

from dataclasses import fields
from importlib.resources import files

import pytest

from zahlwerk.currency import Currency
from zahlwerk.errors import ConfigurationError
from zahlwerk.interfaces.zvt.charsets import BY_NAME
from zahlwerk.interfaces.zvt.codec import decode, encode
from zahlwerk.interfaces.zvt.profiles import STANDARD, Profile, find_profile, profiles
from zahlwerk.interfaces.zvt.registration import registration_for

NAMES = (
    "feig-cvend", "card-complete", "ccv", "ccv-opm", "verifone", "ingenico", "worldline-valina", "pax-a80", "hobex",
    "unattended-psp", "senvend", "clover", "paytec",
)  # fmt: skip
# What chapter 8 says of each: everything else is as in the standard.
FACTS: dict[str, dict[str, object]] = {
    "feig-cvend": {"port": 22000, "password": "123456", "charset": "latin1"},
    "card-complete": {"charset": "latin1", "width": 24, "partial_goods": False, "currencies": ("EUR",)},
    "ccv": {},
    "ccv-opm": {"payment_type": 0x44, "poll_s": 2.5},
    "verifone": {"connection": "each"},
    "ingenico": {},
    "worldline-valina": {"goods": "both"},
    "pax-a80": {"aborts": False, "reverses_last_only": True},
    "hobex": {"config": 0x3E, "blocks": False},
    "unattended-psp": {},
    "senvend": {},
    "clover": {},
    "paytec": {},
}
PROSE = {"name", "title", "source", "notes", "private_results"}


def test_every_device_of_the_fact_sheet_has_one() -> None:
    """And the standard, for all the others."""
    assert set(profiles()) == {*NAMES, "standard"}
    assert profiles()["standard"] is STANDARD


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_invented(name: str) -> None:
    """What differs from the standard is what the source says, and nothing else."""
    profile = find_profile(name)
    differs = {
        item.name: getattr(profile, item.name)
        for item in fields(Profile)
        if item.name not in PROSE and getattr(profile, item.name) != getattr(STANDARD, item.name)
    }
    expected = {key: value for key, value in FACTS[name].items() if value != getattr(STANDARD, key)}

    assert differs == expected
    assert profile.source.startswith("fact sheet 8, row ")
    assert profile.title


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("feig-cvend", {0xA0}),
        ("card-complete", {0xC5, 0xCD, 0xE0, 0xF0, 0xFC}),
        ("ccv", {0x7D}),
        ("ccv-opm", {0x7D, 0xFF}),
        ("unattended-psp", {0x13, 0x21, 0x33, 0x3A, 0x3D, 0x41}),
    ],
)
def test_private_results_are_hexadecimal_codes(name: str, codes: set[int]) -> None:
    """As the fact sheet writes them."""
    assert set(find_profile(name).private_results) == codes


@pytest.mark.parametrize("name", [*NAMES, "standard"])
def test_every_profile_can_be_used(name: str) -> None:
    """Its values are ones that the code knows, and it makes a registration."""
    profile = find_profile(name)

    assert profile.charset in BY_NAME
    assert profile.connection in {"keep", "each"}
    assert profile.registers in {"always", "once"}
    assert profile.goods in {"wait", "again", "both", "none"}
    assert all(Currency.of(code).code == code for code in profile.currencies)
    assert len(profile.password) == 6
    assert profile.timers.t4_s >= 180  # 1.5: never less
    assert profile.config & 0x41 == 0  # 2.7: reserved bits
    message = decode(encode(registration_for(profile, currency_number=978)), strict=True)
    assert message.head_number("config") == profile.config


def test_a_slip_of_the_pen_names_those_that_are() -> None:
    """In the remedy."""
    with pytest.raises(ConfigurationError, match="is called 'hobx'") as caught:
        find_profile("hobx")
    assert "hobex" in caught.value.remedy


def test_the_data_travel_with_the_package() -> None:
    """Read as a resource, not as a path."""
    assert files("zahlwerk.interfaces.zvt").joinpath("profiles.toml").is_file()
