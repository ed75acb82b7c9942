"""A counter with a virtual terminal behind real sockets, and the command line run inside the test's own process."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.cli.cli_counter import Counter, FakePeer, Result

from zahlwerk.cli import main


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs `zahlwerk` with these words; its exit code, output and errors."""
    monkeypatch.delenv("ZAHLWERK_DEBUG", raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*words: str) -> Result:
        capsys.readouterr()
        code = main.run(words)
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return call


@pytest.fixture
def counter() -> Iterator[Callable[..., Counter]]:
    """Makes counters: `counter(card="visa")`."""
    made: list[Counter] = []

    def make(scheme: str = "kit+tcp", **settings: object) -> Counter:
        made.append(Counter(scheme, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def fake_peer() -> Iterator[Callable[[str], FakePeer]]:
    """Makes TCP servers that are no terminals: `fake_peer("rubbish")`."""
    made: list[FakePeer] = []

    def make(kind: str) -> FakePeer:
        made.append(FakePeer(kind))
        return made[-1]

    yield make
    for one in made:
        one.close()
