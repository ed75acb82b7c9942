"""What the terminal's side must still know after a restart: the latest result, and the payment that runs. I/O.

The latest result stays readable by 06 20 until the next transaction, over restarts too (fact sheet 6.12). A payment
whose process died is looked up at the terminal behind before anything is said about it: until then the result before it
must not pass for the latest one, which would read as "not charged" (fact sheet 6.9, step 4).

One small file, replaced whole and synced before the register, or the terminal behind, hears what depends on it. No card
data but the masked number: neither tokens, nor receipts, nor signatures.
"""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from zahlwerk.carddata import redact
from zahlwerk.errors import ConfigurationError
from zahlwerk.interfaces.zvt.answers import Asked
from zahlwerk.payment import Payment

__all__ = ["Latest", "Memory", "Remembered", "Running", "StateFile", "without_secrets"]

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Latest:
    """The latest result, as 06 20 tells it."""

    payment: Payment
    asked: Asked
    code: int | None
    moment: datetime
    """When it came about; a repetition must look the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A payment that has been given to the terminal, and whose end is not written down yet."""

    reference: str
    """Empty for the settlement of a hold, which cannot be looked up."""
    evidence: dict[str, str] = field(default_factory=dict)
    """What the terminal behind wants to know for a lookup, and what was decided since."""
    asked: Asked = field(default_factory=Asked)
    shown_at: datetime | None = None
    """The time in the 04 0F that the register was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """All of it."""

    version: int = VERSION
    running: Running | None = None
    latest: Latest | None = None
    doubtful: bool = False
    """Nobody knows what became of a payment, and looking it up was given up."""
    stays: tuple[Payment, ...] = ()
    """Holds and reservations that later commands name by their receipts."""
    first_receipt: int | None = None
    """The first one since the last end of day (BMP 60)."""


def without_secrets(payment: Payment) -> Payment:
    """A payment as it may be written down, and no longer than it must be."""
    return payment.but(
        token="",
        receipts=(),
        e_signature_png=b"",
        customer_text=redact(payment.customer_text),
        attendant_text=redact(payment.attendant_text),
        message=redact(payment.message),
    )


class Memory:
    """Keeps it for as long as this process lives."""

    def __init__(self) -> None:
        self._kept = Remembered()

    async def load(self) -> Remembered:
        """What was kept last.

        Raises:
            ConfigurationError: it cannot be read, or not be kept there.
        """
        return self._kept

    async def save(self, remembered: Remembered) -> None:
        """When it returns, `remembered` is durable.

        Raises:
            OSError: it could not be written.
        """
        self._kept = remembered


class StateFile(Memory):
    """Keeps it in a file, which belongs to one endpoint alone."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._serial = 0
        self._written = 0
        self._writing = threading.Lock()

    async def load(self) -> Remembered:
        return await asyncio.to_thread(self._load)

    async def save(self, remembered: Remembered) -> None:
        self._serial += 1
        await asyncio.to_thread(self._write, msgspec.json.encode(remembered), self._serial)

    def _load(self) -> Remembered:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            content = msgspec.json.encode(Remembered())
        except OSError as exc:
            raise ConfigurationError(f"the state file cannot be read: {exc}") from exc
        try:
            remembered = msgspec.json.decode(content, type=Remembered)
        except (msgspec.DecodeError, ValueError) as exc:
            raise ConfigurationError(
                f"the state file {self._path.name} holds no state of a ZVT terminal",
                remedy="name another file; remove this one only once the latest payment is known to be settled",
            ) from exc
        if remembered.version != VERSION:
            raise ConfigurationError(f"the state file {self._path.name} is of version {remembered.version}")
        try:
            self._write(content, self._serial)
        except OSError as exc:
            raise ConfigurationError(f"the state file cannot be written: {exc}") from exc
        return remembered

    def _write(self, content: bytes, serial: int) -> None:
        """Replace the file, unless something newer stands there already."""
        with self._writing:
            if serial < self._written:
                return
            self._replace(content)
            self._written = serial

    def _replace(self, content: bytes) -> None:
        beside = self._path.with_name(self._path.name + ".new")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, self._path)
        if os.name == "posix":
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
