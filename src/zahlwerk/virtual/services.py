"""Work that is no payment: what each kind takes, what each order does, and how dialogs are answered."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from zahlwerk.payment import ReceiptKind
from zahlwerk.terminal import Answer, Dialog, DialogEnd, DialogInput, Maintenance
from zahlwerk.virtual.device import Device, Signal, SignalKind
from zahlwerk.virtual.signature import signature_png

__all__ = ["ORDERS", "WORKS", "Work", "automatic_answer", "judge"]


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of work that takes time."""

    seconds: float
    online: bool = True
    receipt: ReceiptKind | None = None
    restarts: bool = False


_M = Maintenance

WORKS: Final[Mapping[Maintenance, Work]] = MappingProxyType({
    _M.CONFIGURE: Work(2.0, receipt=ReceiptKind.CONFIGURATION),
    _M.INITIALISE: Work(2.0, receipt=ReceiptKind.INITIALISATION),
    _M.SUBMIT: Work(1.0, receipt=ReceiptKind.SUBMISSION),
    _M.TRANSMIT: Work(1.0, receipt=ReceiptKind.TRANSMISSION),
    _M.REBOOT: Work(0.1, online=False, restarts=True),
    _M.UPDATE: Work(3.0, restarts=True),
    _M.REMOTE_MAINTENANCE: Work(2.0),
    _M.SEND_LOGS: Work(1.0),
})  # fmt: skip
"""Work during which nothing else can be done."""


def _eject(device: Device, _: str) -> None:
    device.signal(Signal(SignalKind.REMOVED))
    if device.is_idle:
        device.forget_card()
        device.refresh()


def _abort_scan(device: Device, _: str) -> None:
    device.signal(Signal(SignalKind.CANCEL))


def _nothing(_device: Device, _text: str) -> None:
    return None


ORDERS: Final[Mapping[Maintenance, Callable[[Device, str], None]]] = MappingProxyType({
    _M.EJECT_CARD: _eject,
    _M.EJECT_CARD_FORCED: _eject,
    _M.LANGUAGE_DIALOG_ON: _nothing,
    _M.LANGUAGE_DIALOG_OFF: _nothing,
    _M.SHOW_IDLE: lambda device, _: device.show_idle(),
    _M.SHOW_PRESENT_CARD: lambda device, _: _show_present_card(device),
    _M.DISCONNECTED_TEXT: _nothing,
    _M.ABORT_SCAN: _abort_scan,
})  # fmt: skip
"""Orders that are carried out at once, in any state. There is no language dialog and no stand-alone fallback here:
those orders are taken and change nothing."""


def _show_present_card(device: Device) -> None:
    device.show("PRESENT_CARD", amount="")


def automatic_answer(dialog: Dialog) -> str:
    """What a willing card holder enters."""
    if dialog.default:
        return dialog.default
    match dialog.input:
        case DialogInput.NUMBER | DialogInput.DIGITS:
            return "1" * max(1, dialog.length_min)
        case DialogInput.TEXT:
            return "TEST".ljust(dialog.length_min, "X")[: max(1, dialog.length_max)]
        case DialogInput.PASSWORD:
            return dialog.password
        case DialogInput.SIGNATURE:
            return base64.b64encode(signature_png("dialog")).decode()
        case _:
            return ""


def judge(dialog: Dialog, signal: Signal) -> Answer:
    """The answer that a signal is. A password is compared and never handed out."""
    match signal.kind:
        case SignalKind.STOP:
            return Answer(DialogEnd.STOPPED)
        case SignalKind.CANCEL:
            return Answer(DialogEnd.CANCELLED)
        case SignalKind.ANSWER if signal.value is None:
            return Answer(DialogEnd.STOPPED)
        case SignalKind.ANSWER if isinstance(signal.value, DialogEnd):
            return Answer(signal.value)
        case SignalKind.ANSWER if dialog.input is DialogInput.PASSWORD:
            return Answer(DialogEnd.OK, matches=str(signal.value) == dialog.password)
        case SignalKind.ANSWER:
            return Answer(DialogEnd.OK, str(signal.value))
        case _:
            return Answer(DialogEnd.TIMED_OUT)
