"""Reports every APDU of a link to the trace, free of card data. I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from zahlwerk.interfaces.zvt.framing import Link, LinkFailure
from zahlwerk.interfaces.zvt.masking import decoded_for_trace, mask_apdu
from zahlwerk.urls import TraceSink

__all__ = ["Tap"]

_ANSWERS: Final = (0x80, 0x84)


class Tap:
    """A link that is listened to."""

    def __init__(self, link: Link, sink: TraceSink, number: int, command: Callable[[], int]) -> None:
        """Args:
        number: the link's number at the sink.
        command: which command runs, for messages that only mean something as its answer.
        """
        self._link = link
        self._sink = sink
        self._number = number
        self._command = command

    def send(self, payload: bytes, *, now_s: float) -> None:
        """Pass it on, and tell."""
        self._tell(payload, sent=True)
        self._link.send(payload, now_s=now_s)

    def receive_data(self, data: bytes, *, now_s: float) -> list[bytes]:
        """Pass it on, and tell."""
        apdus = self._link.receive_data(data, now_s=now_s)
        for apdu in apdus:
            self._tell(apdu, sent=False)
        return apdus

    def data_to_send(self) -> list[bytes]:
        """As the link's."""
        return self._link.data_to_send()

    def deadline_s(self) -> float | None:
        """As the link's."""
        return self._link.deadline_s()

    def handle_deadline(self, *, now_s: float) -> None:
        """As the link's."""
        self._link.handle_deadline(now_s=now_s)

    def failures(self) -> Sequence[LinkFailure]:
        """As the link's; a frame that was given up is told as well."""
        failures = self._link.failures()
        for failure in failures:
            self._sink.message(self._number, sent=True, raw=b"", decoded=None, note=f"given up: {failure.reason}")
        return failures

    def _tell(self, apdu: bytes, *, sent: bool) -> None:
        answers = self._command()
        self._sink.message(
            self._number,
            sent=sent,
            raw=mask_apdu(apdu, answers=answers),
            decoded=decoded_for_trace(apdu, answers=answers),
        )
