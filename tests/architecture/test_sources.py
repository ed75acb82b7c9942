"""Every protocol fact names its source."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from types import ModuleType

import pytest
from tests.architecture.project_files import modules

DICTIONARIES = [
    module.name for module in modules() if module.parts[:1] == ("interfaces",) and module.parts[-1] == "dictionary"
]


def _rows(value: object) -> Iterator[object]:
    """The rows of a table: dataclasses with a `source`, in a mapping, a sequence or a set, at any depth."""
    if is_dataclass(value) and not isinstance(value, type):
        if any(field.name == "source" for field in fields(value)):
            yield value
        for field in fields(value):
            yield from _rows(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for row in value.values():
            yield from _rows(row)
    elif isinstance(value, list | tuple | set | frozenset):
        for row in value:
            yield from _rows(row)


def _is_given(source: object) -> bool:
    """A text that is not blank, or a `Source` all of whose texts that must be there are."""
    if isinstance(source, str):
        return bool(source.strip())
    if not is_dataclass(source) or isinstance(source, type):
        return False
    texts = [value for value in (getattr(source, field.name) for field in fields(source)) if isinstance(value, str)]
    return any(text.strip() for text in texts)


def _tables(module: ModuleType) -> dict[str, list[object]]:
    return {
        name: rows for name, value in vars(module).items() if not name.startswith("__") and (rows := list(_rows(value)))
    }


@pytest.mark.parametrize("name", DICTIONARIES)
def test_every_row_of_a_dictionary_names_its_source(name: str) -> None:
    """Document, revision, place."""
    tables = _tables(importlib.import_module(name))
    nameless = [
        f"{table}: {row!r:.100}" for table, rows in tables.items() for row in rows if not _is_given(_source(row))
    ]

    assert tables, f"{name} has no table whose rows have a source"
    assert nameless == []


def _source(row: object) -> object:
    """The source of a row."""
    return getattr(row, "source", None)


def test_there_is_a_dictionary_for_every_interface() -> None:
    """Facts of a protocol stand in one place."""
    packages = {
        module.parts[1] for module in modules() if module.parts[:1] == ("interfaces",) and len(module.parts) > 2
    }

    assert packages == {name.split(".")[2] for name in DICTIONARIES}


@pytest.mark.parametrize("source", ["", "  ", None, 5, ()])
def test_a_row_without_a_source_would_be_found(source: object) -> None:
    """The check itself is checked."""

    assert not _is_given(source)
