"""A journal's file holds masked numbers, tokens and receipts: nobody else on the machine needs to read it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from zahlwerk.journal import Journal


def _modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
async def test_a_new_file_and_what_stands_beside_it_are_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        async with await Journal.open(str(tmp_path / "journal.db")):
            found = _modes(tmp_path)
    finally:
        os.umask(before)

    assert {"journal.db", "journal.db-wal", "journal.db.lock"} <= set(found)
    assert set(found.values()) == {0o600}


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
async def test_who_may_read_a_file_that_is_there_stays_its_owners_choice(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    async with await Journal.open(str(path)):
        pass
    path.chmod(0o640)
    async with await Journal.open(str(path)):
        pass

    assert _modes(tmp_path)["journal.db"] == 0o640
