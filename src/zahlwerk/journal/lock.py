"""One writer per file: a lock of the operating system, which ends with the process that holds it, however it ends."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Final

from zahlwerk.errors import JournalHeld, JournalUnavailable

__all__ = ["FileLock"]

# LIMIT: what is read of a lock file to say who holds it.
HOLDER_BYTES_MAX: Final = 400


class FileLock:
    """The lock beside a journal's file. The text in it only says who holds it; the lock itself is the kernel's."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    @property
    def is_held(self) -> bool:
        """True while this object holds it."""
        return self._fd is not None

    def take(self, holder: str) -> None:
        """Take the lock, or say who has it.

        Raises:
            JournalHeld: another process, or another journal object of this one, has it.
            JournalUnavailable: the lock file cannot be written.
        """
        if self._fd is not None:
            return
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise JournalUnavailable(f"{self._path}: cannot be locked: {exc.strerror}") from exc
        try:
            _lock(fd)
        except OSError:
            who = os.read(fd, HOLDER_BYTES_MAX).decode("utf-8", "replace").strip() or "another process"
            os.close(fd)
            raise JournalHeld(f"the journal {self._path.with_suffix('')} is being written by {who}") from None
        with contextlib.suppress(OSError):  # a full disk must not keep anybody from settling what is open
            os.ftruncate(fd, 0)
            os.pwrite(fd, holder.encode()[:HOLDER_BYTES_MAX], 0)
        self._fd = fd

    def give(self) -> None:
        """Give it back. The file stays: taking it away could take it from somebody else."""
        fd, self._fd = self._fd, None
        if fd is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(fd, 0)
            os.close(fd)


if sys.platform == "win32":
    import msvcrt

    def _lock(fd: int) -> None:
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
