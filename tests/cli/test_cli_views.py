"""Domain objects as objects for programs and lines for people."""

from __future__ import annotations

import pytest

from zahlwerk import events
from zahlwerk.cli.views import (
    event_object,
    final_line,
    payment_object,
    plain,
    printer_words,
    receipt_object,
    status_words,
)
from zahlwerk.events import Printer, TerminalStatus
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Dcc, Outcome, Payment, PaymentKind, Receipt, ReceiptKind


def _payment(
    outcome: Outcome = Outcome.APPROVED, state: PaymentState = PaymentState.CONFIRMED, **more: object
) -> Payment:
    facts: dict[str, object] = {"reference": "R-1", "kind": PaymentKind.PURCHASE, "approved": Money.of(1250, "CHF")}
    return Payment(outcome=outcome, state=state, **{**facts, **more})  # type: ignore[arg-type]  # the test names the fields


UNKNOWN = _payment(Outcome.UNKNOWN, PaymentState.UNKNOWN, approved=None, sequence=7)
DECLINED = (Outcome.DECLINED, PaymentState.DECLINED)
FAILED = (Outcome.FAILED, PaymentState.FAILED)


@pytest.mark.parametrize(
    ("payment", "line"),
    [
        pytest.param(_payment(), "APPROVED CHF 12.50", id="approved"),
        pytest.param(_payment(tip=Money.of(250, "CHF")), "APPROVED CHF 12.50 (with a tip of CHF 2.50)", id="tip"),
        pytest.param(_payment(state=PaymentState.HELD), "HELD up to CHF 12.50", id="held"),
        pytest.param(_payment(state=PaymentState.CAPTURED), "CAPTURED CHF 12.50", id="captured"),
        pytest.param(_payment(Outcome.ABORTED, PaymentState.RELEASED), "RELEASED: no money moved", id="released"),
        pytest.param(_payment(*DECLINED), "NOT PAID: declined", id="declined"),
        pytest.param(_payment(*DECLINED, response_code="51", customer_text="no\nfunds"), "NOT PAID: declined (no funds, code 51)", id="why"),
        pytest.param(_payment(*DECLINED, response_code="51", message="No funds (51). Another card."), "NOT PAID: declined (No funds (51). Another card)", id="code told already"),
        pytest.param(_payment(*FAILED, message="A fault.", attendant_text="no such\nhold"), "NOT PAID: failed (A fault, the terminal says: no such hold)", id="terminal's own words"),
        pytest.param(_payment(*DECLINED, kind=PaymentKind.REFUND), "NOT REFUNDED: declined", id="refund"),
        pytest.param(_payment(kind=PaymentKind.ACCOUNT_VERIFICATION, approved=None), "ACCOUNT VERIFIED", id="no amount"),
        pytest.param(UNKNOWN, "UNCLEAR – do not charge again; run: zahlwerk lookup kit+tcp://x --reference R-1 --sequence 7 --evidence a=1,b=2", id="unknown"),
    ],
)  # fmt: skip
def test_the_line_that_matters(payment: Payment, line: str) -> None:
    """Big and plain."""
    assert final_line(payment, url="kit+tcp://x", evidence={"a": "1", "b": "2"}) == line


def test_what_nobody_knows_comes_with_what_finds_it_out() -> None:
    """For programs: the evidence, and the command."""
    row = payment_object(UNKNOWN, url="kit+tcp://x", evidence={"kind": "purchase with cashback"})

    assert row["evidence"] == {"kind": "purchase with cashback"}
    assert str(row["lookup"]).endswith("--evidence 'kind=purchase with cashback'")


def test_the_amount_is_what_was_approved_never_what_was_asked() -> None:
    """Null if nothing was."""
    declined = _payment(*DECLINED, approved=None, requested=Money.of(500, "EUR"))

    assert (payment_object(declined)["amount"], payment_object(declined)["requested"]) == (None, "5.00")
    assert payment_object(declined)["currency"] == "EUR"


def test_the_cards_own_currency_is_told() -> None:
    """DCC."""
    paid = _payment(dcc=Dcc(Money.of(1429, "USD"), "1.1432"))

    assert payment_object(paid)["dcc"] == {"amount": "14.29", "currency": "USD", "rate": "1.1432"}


def test_what_a_peer_says_cannot_steer_the_screen() -> None:
    """Escape sequences become blanks."""
    assert plain("a\x1b[31mb\x07\nü") == "a [31mb \nü"


def test_an_image_is_base64() -> None:
    """Programs decode it."""
    assert receipt_object(Receipt(ReceiptKind.OTHER, image_png=b"\x89PNG"))["image_png"] == "iVBORw=="


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (TerminalStatus(shift_open=True), "ready, shift open"),
        (TerminalStatus(), "shift closed"),
        (TerminalStatus(shift_open=True, busy=True, online=True), "shift open, busy, online"),
    ],
)
def test_the_status_in_a_few_words(status: TerminalStatus, words: str) -> None:
    """For people."""
    assert status_words(status) == words


def test_the_printer_in_words() -> None:
    """Fine, or what is wrong."""
    assert printer_words(Printer.FINE) == "fine"
    assert printer_words(Printer.OUT_OF_PAPER | Printer.TOO_HOT) == "out of paper, too hot"


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (events.StatusChanged(TerminalStatus()), "status"),
        (events.ReaderChanged(events.ReaderState.READY), "reader"),
        (events.StandalonePayment(_payment(state=PaymentState.STANDALONE, standalone=True)), "standalone"),
        (events.LinkChanged(False, "gone"), "link"),
        (events.Notice("paper", 5, "PRN"), "notice"),
        (events.EventsLost(3), "lost"),
    ],
)
def test_every_event_is_an_object(event: events.TerminalEvent, name: str) -> None:
    """With a name of its own."""
    got, members = event_object(event)

    assert got == name
    assert members
