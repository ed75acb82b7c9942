"""What people do at the virtual terminal, as methods: show a card, press a key, type, sign, take the paper.

An answer may be given before the terminal asks (PIN, tip, currency, signature, dialog, code): it is kept until then.
"""

from __future__ import annotations

import asyncio

from zahlwerk.errors import InvalidRequest, LocalProtocolError
from zahlwerk.events import Printer, ReaderState
from zahlwerk.terminal import DialogEnd
from zahlwerk.virtual.deck import Card, card
from zahlwerk.virtual.device import Device, Signal, SignalKind
from zahlwerk.virtual.signature import signature_png
from zahlwerk.virtual.states import Input, State

__all__ = ["CardHolder"]


class CardHolder:
    """The person in front of the terminal, and whoever fills its paper."""

    _device: Device
    _card_timer: asyncio.Task[None] | None = None

    def present(self, card_name: str) -> None:
        """Show a test card: to the payment that waits for it, or first, before the amount.

        Raises:
            ConfigurationError: no such card.
            LocalProtocolError: the terminal takes no card now.
        """
        device, shown = self._device, card(card_name)
        device.require_on()
        if device.signal(Signal(SignalKind.CARD, shown)):
            return
        if device.state is not State.OPEN or device.claimed:
            raise LocalProtocolError(f"no card is taken while the terminal is {device.state.value}")
        self._card_first(shown)

    def remove_card(self) -> bool:
        """Take the card out or away; False if there was none to take."""
        device = self._device
        if device.signal(Signal(SignalKind.REMOVED)):
            return True
        if device.state is State.CARD_FIRST:
            self._card_gone()
            return True
        was_in, device.in_slot = device.in_slot, False
        device.refresh()
        return was_in

    def present_tag(self, uid: str) -> bool:
        """Hold an NFC tag that is no payment card to the reader; False if nobody reads it now.

        Args:
            uid: its number, 4 to 10 bytes in hexadecimal.
        """
        try:
            length = len(bytes.fromhex(uid))
        except ValueError:
            length = 0
        if not 4 <= length <= 10:
            raise InvalidRequest("a tag's number is 4 to 10 bytes in hexadecimal")
        return self._device.signal(Signal(SignalKind.TAG, uid.upper()))

    def press_stop(self) -> bool:
        """Press the red key; False if it does nothing now."""
        return self._device.signal(Signal(SignalKind.STOP))

    def choose_application(self) -> None:
        """Choose one of the applications of the card."""
        self._device.signal(Signal(SignalKind.APPLICATION))

    def enter_pin(self, *, ok: bool = True) -> None:
        """Type a right or a wrong PIN."""
        self._device.signal(Signal(SignalKind.PIN, ok))

    def enter_tip(self, minor: int) -> None:
        """Type a tip, in minor units of the amount's currency."""
        if minor < 0:
            raise InvalidRequest(f"a tip is not negative, got {minor}")
        self._device.signal(Signal(SignalKind.TIP, minor))

    def choose_currency(self, *, foreign: bool) -> None:
        """Pay in the card's own currency, or in the merchant's."""
        self._device.signal(Signal(SignalKind.CURRENCY, foreign))

    def sign(self, image_png: bytes = b"") -> None:
        """Sign on the screen."""
        self._device.signal(Signal(SignalKind.SIGNATURE, image_png or signature_png("by hand")))

    def answer_dialog(self, answer: str | None = "", *, end: DialogEnd | None = None) -> None:
        """Answer the dialog that is (or will be) shown: a text, None for the stop key, or any other end."""
        self._device.signal(Signal(SignalKind.ANSWER, answer if end is None else end))

    def scan_code(self, text: str) -> None:
        """Hold a barcode or QR code to the scanner."""
        self._device.signal(Signal(SignalKind.CODE, text))

    def load_paper(self) -> None:
        """Put a new roll in."""
        self._set_printer(Printer.FINE)

    def run_out_of_paper(self) -> None:
        """The roll ends."""
        self._set_printer(Printer.OUT_OF_PAPER)

    def _set_printer(self, printer: Printer) -> None:
        if Printer.UNAVAILABLE not in self._device.printer:
            self._device.printer = printer
            self._device.refresh()

    def _card_first(self, shown: Card) -> None:
        device = self._device
        device.card, device.in_slot = shown, shown.in_slot
        device.step(Input.CARD_SHOWN)
        device.set_reader(ReaderState.PROCESSING)
        device.show("CARD_SHOWN", shown.language)
        if self._card_timer is not None:
            self._card_timer.cancel()
        self._card_timer = device.later(device.waits.card_s, self._card_forgotten)

    def _card_forgotten(self) -> None:
        if self._device.state is State.CARD_FIRST and not self._device.claimed:
            self._card_gone()

    def _card_gone(self) -> None:
        self._device.forget_card()
        self._device.step(Input.CARD_GONE)
        self._device.show_idle()
