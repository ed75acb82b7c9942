"""Where journals are kept in these tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.journal.postgres_server import Line, Server
from tests.journal.stores import FilePlace, Place, ServerPlace


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """One server for all tests of this process."""
    try:
        server = Server()
    except Exception as exc:
        pytest.skip(f"POSTGRESQL IS NOT TESTED: its server cannot be started here: {exc!r}")
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place that outlives the store, one for each kind of database."""
    if request.param == "sqlite":
        return FilePlace(tmp_path)
    server: Server = request.getfixturevalue("postgres")
    return ServerPlace(server, server.new_schema())


@pytest.fixture
def server_place(postgres: Server) -> ServerPlace:
    """A schema of its own on the server."""
    return ServerPlace(postgres, postgres.new_schema())


@pytest.fixture
async def line(postgres: Server) -> AsyncIterator[Line]:
    """A line to the server that can be cut."""
    async with Line(postgres) as found:
        yield found
