"""The scheme `virtual:`."""

from __future__ import annotations

from zahlwerk.urls import Context, Interface, Parameter, Url
from zahlwerk.virtual.settings import Settings
from zahlwerk.virtual.terminal import VirtualTerminal

__all__ = ["INTERFACE"]


def _driver(url: Url, context: Context) -> VirtualTerminal:
    settings = Settings.from_url(url, seed=context.seed)
    return VirtualTerminal(settings, clock=context.clock, waits=context.waits)


INTERFACE = Interface(
    scheme="virtual",
    title="virtual terminal",
    example="virtual:?card=mastercard&speed=0",
    parameters=(
        Parameter("card", "the test card that is shown by itself; none: only by script", "visa"),
        Parameter("speed", "1 is life, 2 twice as fast, 0 at once", "1"),
        Parameter("language", "of display and receipts", "de", ("de", "fr", "it", "en")),
        Parameter("width", "of the receipts, 20 to 80 characters", "34"),
        Parameter("currency", "what it takes, such as CHF,EUR", "CHF,EUR"),
        Parameter("seed", "of every random choice"),
        Parameter("confirm", "seconds that an approval waits for its confirmation", "60"),
        Parameter("printer", "out: no paper", "yes", ("yes", "no", "out")),
        Parameter("tip", "percent that the card holder gives; no: is not asked", "no"),
        Parameter("faults", "what shall go wrong, such as crash:approval:2,drop:StatusResponse:1"),
        Parameter("shift", "at the start", "closed", ("open", "closed")),
        Parameter("id", "terminal id, 8 letters or digits", "ZW000001"),
        Parameter("serial", "serial number, 8 letters or digits", "N6P00017"),
    ),
    driver=_driver,
)
