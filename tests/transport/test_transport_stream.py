"""What holds for every transport. Listeners in general: test_transport_memory."""

from __future__ import annotations

import subprocess
import sys

import pytest

from zahlwerk.errors import LinkLost, MoneyMoved
from zahlwerk.transport.stream import ByteStream, Listener, StreamEnded

MODULES = ("memory", "pcapng", "serial", "stream", "tcp", "tls", "trace", "websocket")


@pytest.mark.parametrize(("sent", "moved"), [(True, MoneyMoved.MAYBE), (False, MoneyMoved.NO)])
def test_an_end_says_why_and_whether_money_may_have_moved(sent: bool, moved: MoneyMoved) -> None:
    ended = StreamEnded("the device was unplugged", request_sent=sent)
    assert (ended.reason, str(ended), ended.money_moved) == (
        "the device was unplugged",
        "the device was unplugged",
        moved,
    )
    assert isinstance(ended, LinkLost)


def test_an_end_of_which_nothing_is_known_may_have_moved_money() -> None:
    assert StreamEnded("gone").money_moved is MoneyMoved.MAYBE


@pytest.mark.parametrize("abstract", [ByteStream, Listener])
def test_a_transport_has_to_say_how(abstract: type) -> None:
    with pytest.raises(TypeError, match="abstract"):
        abstract()


def test_optional_libraries_are_loaded_only_when_used() -> None:
    names = ", ".join(f"zahlwerk.transport.{name}" for name in MODULES)
    code = f"import sys, {names}; print({{'serial', 'websockets'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "set()\n"
