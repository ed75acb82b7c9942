"""probe: what answers, and does it suit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.cli.cli_counter import Counter, FakePeer, Result, free_port

from zahlwerk.cli.exits import ExitCode
from zahlwerk.cli.probe import Answer, Finding, judge
from zahlwerk.events import Printer, TerminalStatus
from zahlwerk.payment import PaymentKind
from zahlwerk.terminal import Capabilities, TerminalInfo

Run = Callable[..., Result]
MakeCounter = Callable[..., Counter]
KIT = "KIT JSON over TCP"


def _found(**changes: object) -> Finding:
    facts: dict[str, object] = {
        "title": KIT, "url": "kit+tcp://10.0.0.5:8307", "answer": Answer.TERMINAL, "info": TerminalInfo(software="25.01.00"),
        "status": TerminalStatus(shift_open=True), "capabilities": Capabilities(kinds=frozenset({PaymentKind.PURCHASE})),
    }  # fmt: skip
    return Finding(**{**facts, **changes})  # type: ignore[arg-type]  # the test names the fields


class TestOverTheNetwork:
    def test_a_terminal_suits(self, run: Run, counter: MakeCounter) -> None:
        """Identity, functions, brands, and a sentence."""
        shop = counter(shift_open=True)
        got = run("probe", shop.url, "--json")

        assert got.code == 0
        assert (got.last["event"], got.last["suitable"]) == ("probe", True)
        assert got.last["verdict"] == "This terminal suits: it speaks KIT JSON over TCP."
        assert got.last["terminal"]["serial_number"] == "N6P00017"
        assert "purchase" in got.last["capabilities"]["kinds"]
        assert [row["answers"] for row in got.events("interface")] == ["terminal"]

    def test_it_opens_no_shift(self, run: Run, counter: MakeCounter) -> None:
        """It only says that somebody should."""
        shop = counter()
        got = run("probe", shop.url)

        assert got.code == 0
        assert "open the shift" in got.out
        assert not shop.terminal._device.shift_open
        assert shop.terminal.host.ledger() == ()

    def test_a_websocket_is_found_by_host_and_port(self, run: Run, counter: MakeCounter) -> None:
        """Both kinds of link are tried on a port that was named."""
        shop = counter("kit+ws", shift_open=True)
        got = run("probe", shop.url.removeprefix("kit+ws://"), "--json")

        assert got.code == 0
        assert got.last["url"] == shop.url

    @pytest.mark.parametrize("kind", ["silent", "rubbish", "closes"])
    def test_what_is_no_terminal_does_not_suit(self, run: Run, fake_peer: Callable[[str], FakePeer], kind: str) -> None:
        """Exit 2, with what to change."""
        got = run("probe", fake_peer(kind).url)

        assert got.code == 2
        assert "but not as a KIT terminal" in got.out
        assert "set the register integration type to KIT" in got.out

    def test_nothing_answers(self, run: Run) -> None:
        """Exit 69, with what was tried."""
        got = run("probe", f"127.0.0.1:{free_port()}", "--json")

        assert got.code == 69
        assert got.last["suitable"] is False
        assert got.last["verdict"].startswith(
            "Nothing answers: check power, network and address. Tried: KIT JSON over TCP"
        )

    def test_a_device_that_is_missing_does_not_answer(self, run: Run) -> None:
        """Serial lines are probed by their path."""
        got = run("probe", "/dev/no-such-line", "--json")

        assert got.code == 69
        assert got.events("interface")[0]["url"] == "kit+serial:///dev/no-such-line"

    @pytest.mark.parametrize("target", ["virtual:", "a b", "foo://x", ""])
    def test_a_target_that_is_none_is_a_wrong_call(self, run: Run, target: str) -> None:
        """Exit 64."""
        assert run("probe", target).code == 64

    def test_a_trace_may_be_kept(self, run: Run, counter: MakeCounter, tmp_path: object) -> None:
        """For whoever helps from afar."""
        file = f"{tmp_path}/probe.trace"
        run("probe", counter().url, "--trace", file)

        assert "ConnectRequest" in run("trace", file).out


class TestVerdicts:
    def test_several_interfaces_are_all_named(self) -> None:
        """The first one is recommended."""
        verdict = judge([_found(), _found(title="KIT JSON over WebSocket", url="kit+ws://10.0.0.5:18307")])

        assert verdict.sentence == "This terminal suits: it speaks KIT JSON over TCP and KIT JSON over WebSocket."
        assert verdict.best is not None
        assert verdict.best.url == "kit+tcp://10.0.0.5:8307"

    @pytest.mark.parametrize(
        ("changes", "advice"),
        [
            pytest.param({"status": TerminalStatus()}, "open the shift", id="closed"),
            pytest.param({"status": TerminalStatus(shift_open=True, locked=True)}, "it is locked now", id="locked"),
            pytest.param({"status": TerminalStatus(shift_open=True, busy=True)}, "it is busy now", id="busy"),
            pytest.param({"status": TerminalStatus(shift_open=True, printer=Printer.OUT_OF_PAPER)}, "look after", id="paper"),
            pytest.param({"info": TerminalInfo(software="16.05.00")}, "software 16.05.00 is too old for receipts", id="old"),
        ],
    )  # fmt: skip
    def test_what_to_do_is_said(self, changes: dict[str, object], advice: str) -> None:
        """It suits all the same."""
        verdict = judge([_found(**changes)])

        assert verdict.code is ExitCode.DONE
        assert verdict.advice[0].startswith(advice)

    def test_no_purchases_no_use(self) -> None:
        """Exit 2."""
        verdict = judge([_found(capabilities=Capabilities(kinds=frozenset({PaymentKind.REFUND})))])

        assert verdict.code is ExitCode.NOT_APPROVED

    def test_a_certificate_that_was_not_checked_is_told(self) -> None:
        """For a first look only."""
        verdict = judge([_found(url="kit+wss://10.0.0.5:18443?insecure=1", detail="its certificate was not checked")])

        assert verdict.advice == ("its certificate was not checked",)
