"""Who may import whom, read from the source. The design's chapter "Layers and rooms" as a table."""

from __future__ import annotations

import sys
from graphlib import CycleError, TopologicalSorter
from typing import Final

import pytest
from tests.architecture.project_files import Module, modules

DOMAIN: Final = frozenset({
    "errors", "clock", "money", "currency", "carddata", "lifecycle", "payment", "events", "terminal", "vending", "urls", "timeouts",
    "hold", "faults", "wrapped",
})  # fmt: skip

# What a room may import besides itself. `interfaces` stands for one interface package: never another one.
ROOMS: Final[dict[str, frozenset[str]]] = {
    "domain": frozenset(),
    "codec": frozenset({"domain"}),
    # `urls` has the sink that shells report to, `carddata` masks what the recorder writes.
    "transport": frozenset(
        {"domain.errors", "domain.clock", "domain.carddata", "domain.urls", "domain.timeouts", "codec"}
    ),
    "interfaces": frozenset({"domain", "codec", "transport"}),
    "virtual": frozenset({"domain", "codec"}),
    "journal": frozenset({"domain", "codec"}),
    "till": frozenset({"domain"}),
    "machines": frozenset({"domain", "codec", "transport", "interfaces"}),
    "simulation": frozenset({"domain", "codec", "transport", "interfaces", "virtual", "journal", "till", "machines"}),
    "cloud": frozenset({"domain", "codec", "transport", "interfaces"}),
    "gateway": frozenset(
        {"domain", "codec", "transport", "interfaces", "virtual", "journal", "till", "machines", "simulation", "cloud"}
    ),
    "web": frozenset({"domain", "gateway"}),
    # Until there is a gateway, the command line also takes recorder, explainers, journal and virtual terminal from where they are.
    "cli": frozenset({"domain", "gateway", "transport", "interfaces", "virtual", "journal", "codec", "simulation"}),
}

PURE: Final = frozenset({
    "dictionary", "messages", "codec", "framing", "states", "register", "machine", "terminal", "device", "recovery", "serial_link", "explain",
    "conversion", "device_conversion", "report_conversion", "settlement", "facts", "receipts", "attempts", "side", "masking", "codes", "fields",
    "models", "objects", "serial_frames", "charsets", "values", "information", "timers", "registration", "answers", "orders", "printing", "walk",
    "own_receipts",
})  # fmt: skip
IMPURE_LIBRARIES: Final = frozenset(
    {"asyncio", "socket", "selectors", "ssl", "threading", "time", "random", "secrets", "logging", "subprocess"}
)

# Third-party names and the rooms (or modules) that they live in. Anything not listed here is refused.
AT_HOME: Final[dict[str, frozenset[str]]] = {
    "aiosqlite": frozenset(),
    "alembic": frozenset({"till"}),
    "asyncpg": frozenset({"journal"}),
    "babel": frozenset({"domain.money", "till", "web", "cli"}),
    "escpos": frozenset({"till"}),
    "fastapi": frozenset({"gateway", "web"}),
    "gpiod": frozenset({"transport", "interfaces.gpio"}),
    "lxml": frozenset({"interfaces.ocpp"}),
    "msgspec": frozenset({"interfaces", "journal"}),
    "nats": frozenset({"cloud"}),
    "picows": frozenset({"cloud", "transport"}),
    "pydantic": frozenset({"gateway"}),
    "rich": frozenset({"cli"}),
    "serial": frozenset({"transport", "cli"}),
    "sqlalchemy": frozenset({"journal", "till"}),
    "starlette": frozenset({"gateway", "web"}),
    "typer": frozenset({"cli"}),
    "uvicorn": frozenset({"gateway"}),
    "websockets": frozenset({"transport", "cloud"}),
}


def _room(parts: tuple[str, ...]) -> str:
    """The room of a module below the package: "domain", "codec", "interfaces.kit" ..."""
    if not parts:
        return "root"
    if parts == ("__main__",):
        return "cli"
    if parts[0] in DOMAIN:
        return "domain"
    return ".".join(parts[:2]) if parts[0] == "interfaces" else parts[0]


def _place(parts: tuple[str, ...]) -> str:
    room = _room(parts)
    return f"domain.{parts[0]}" if room == "domain" else room


def _may(module: Module, target: tuple[str, ...]) -> bool:
    own, other = _room(module.parts), _room(target)
    # Everything may know the package itself (its version, its names), except what it is made of.
    if own == other or (other == "root" and own in {"cli", "web", "gateway", "simulation"}):
        return True
    if own == "root":
        return other == "domain"
    allowed = ROOMS[own.split(".")[0]]
    if other.startswith("interfaces"):
        return "interfaces" in allowed and not own.startswith("interfaces")
    return other in allowed or _place(target) in allowed


ALL: Final = [pytest.param(module, id=module.name) for module in modules()]


def test_every_module_is_in_a_room() -> None:
    """A new room needs a row in the table, and a sentence in the design."""
    rooms = {_room(module.parts).split(".")[0] for module in modules()}

    assert rooms - {"root"} <= set(ROOMS)
    assert {module.parts[0] for module in modules() if len(module.parts) == 1 and not module.is_package} - {
        "__main__"
    } == DOMAIN


@pytest.mark.parametrize("module", ALL)
def test_imports_point_downwards(module: Module) -> None:
    """Also in functions and for type checking; two interfaces never import each other."""
    ours = [found for found in module.imports() if found.name.split(".")[0] == "zahlwerk"]
    wrong = [
        f"{module.path.name}:{found.line} imports {found.name}"
        for found in ours
        if not _may(module, tuple(found.name.split(".")[1:]))
    ]

    assert wrong == []


@pytest.mark.parametrize(
    "module",
    [pytest.param(m, id=m.name) for m in modules() if m.parts[:1] == ("interfaces",) and m.parts[-1] in PURE],
)
def test_pure_files_know_no_world(module: Module) -> None:
    """No event loop, no socket, no clock, no chance, no transport."""
    wrong = [
        f"{module.path.name}:{found.line} imports {found.name}"
        for found in module.imports()
        if found.name.split(".")[0] in IMPURE_LIBRARIES
        or found.name.startswith(("zahlwerk.transport", "zahlwerk.clock"))
    ]

    assert wrong == []


@pytest.mark.parametrize("module", ALL)
def test_third_party_names_stay_at_home(module: Module) -> None:
    """A library is known in one or two rooms only, so that it can be exchanged there."""
    place, room = _place(module.parts), _room(module.parts)
    wrong = []
    for found in module.imports():
        name = found.name.split(".")[0]
        if name == "zahlwerk" or name in sys.stdlib_module_names:
            continue
        home = AT_HOME.get(name, frozenset())
        if not {place, room, room.split(".")[0]} & home:
            wrong.append(f"{module.path.name}:{found.line} imports {found.name}")

    assert wrong == []


def test_modules_import_each_other_in_no_circle() -> None:
    """What is imported at run time when a module loads; lazy imports and annotations may look back."""
    names = {module.name for module in modules()}
    graph = {
        module.name: {
            found.name for found in module.imports() if found.name in names and not found.lazy and not found.checking
        }
        for module in modules()
    }
    for module in modules():
        graph[module.name].discard(module.name)
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as circle:
        pytest.fail(f"a circle of imports: {' -> '.join(circle.args[1])}")
