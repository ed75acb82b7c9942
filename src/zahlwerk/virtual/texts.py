"""Texts of the virtual terminal in German, French, Italian and English (`texts.toml`)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib import resources
from typing import Final

__all__ = ["LANGUAGES", "display_number", "display_text", "known_language", "word"]

LANGUAGES: Final = ("de", "fr", "it", "en")


@lru_cache(maxsize=64)
def known_language(*wanted: str) -> str:
    """The first of these languages that the terminal speaks; English if none."""
    return next((language[:2].lower() for language in wanted if language[:2].lower() in LANGUAGES), "en")


def display_text(name: str, language: str, **values: str) -> str:
    """A text of the display, such as `PIN`, with its gaps filled."""
    return str(_table("display")[name][known_language(language)]).format(**values)


def display_number(name: str) -> int:
    """The terminal's own number of a display text."""
    return int(_table("display")[name]["number"])


@lru_cache(maxsize=512)
def word(name: str, language: str) -> str:
    """A word of a receipt."""
    return str(_table("words")[name][known_language(language)])


@cache
def _table(name: str) -> Mapping[str, Mapping[str, str | int]]:
    text = resources.files(__package__).joinpath("texts.toml").read_text(encoding="utf-8")
    table: Mapping[str, Mapping[str, str | int]] = tomllib.loads(text)[name]
    return table
