"""The table of amounts and the deck of cards: every row does what it says, at every currency's decimals."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import pytest

from zahlwerk.carddata import contains_card_data, is_masked
from zahlwerk.clock import VirtualClock
from zahlwerk.errors import ConfigurationError
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentKind, PaymentRequest, ReceiptKind
from zahlwerk.virtual.amounts import amounts, amounts_markdown, behaviour_of
from zahlwerk.virtual.behaviour import Behaviour
from zahlwerk.virtual.deck import CardKind, card, deck
from zahlwerk.virtual.settings import Settings
from zahlwerk.virtual.terminal import VirtualTerminal

T = TypeVar("T")
OUT, S = Outcome, PaymentState


async def finish(clock: VirtualClock, what: Awaitable[T]) -> T:
    """Let virtual time run until it is done."""
    task = asyncio.ensure_future(what)
    for _ in range(200):
        await clock.settle(20)
        if task.done():
            break
        deadline_s = clock.next_deadline_s()
        assert deadline_s is not None, "everything waits for ever"
        await clock.advance(deadline_s - clock.now_s(), settle_turns=10)
    return await task


async def pay(request: PaymentRequest, **settings: object) -> tuple[VirtualTerminal, Payment, VirtualClock]:
    clock = VirtualClock()
    given = {"shift_open": True, "seed": 1, "currencies": ("CHF", "JPY", "KWD"), **settings}
    terminal = VirtualTerminal(Settings(**given), clock=clock)  # type: ignore[arg-type]  # test settings
    await terminal.open()
    return terminal, await finish(clock, terminal.transact(request)), clock


EXPECTED = {
    90000: (OUT.APPROVED, S.CONFIRMED, 0), 90001: (OUT.REFERRED, S.REFERRED, 900),
    **{90000 + arc: (OUT.DECLINED, S.DECLINED, 1000 + arc) for arc in (5, 14, 41, 43, 51, 54, 55, 57, 61, 65, 75, 91, 96)},
    **dict.fromkeys((90110, 90120, 90130, 90140, 90204, 90211, 90212, 90304, 90401, 90402, 90403, 90422, 90430), (OUT.APPROVED, S.CONFIRMED, 0)),
    90150: (OUT.DECLINED, S.DECLINED, 1051),
    90201: (OUT.ABORTED, S.ABORTED, 10005), 90202: (OUT.ABORTED, S.ABORTED, 10002), 90203: (OUT.ABORTED, S.ABORTED, 10003),
    90213: (OUT.DECLINED, S.DECLINED, 1075),
    90301: (OUT.ABORTED, S.ABORTED, 10004), 90302: (OUT.ABORTED, S.ABORTED, 10004), 90303: (OUT.ABORTED, S.ABORTED, 10004),
    **dict.fromkeys((90410, 90411, 90412, 90413, 90414, 90415, 90416), (OUT.UNKNOWN, S.UNKNOWN, None)),
    90420: (OUT.FAILED, S.ROLLED_BACK, 0), 90421: (OUT.UNKNOWN, S.UNKNOWN, None),
}  # fmt: skip

TRUTH = {90415: S.CONFIRMED, 90416: S.CONFIRMED, 90421: S.CONFIRMED,
         90410: S.FAILED, 90411: S.FAILED, 90412: S.FAILED, 90413: S.ROLLED_BACK, 90414: S.ROLLED_BACK}  # fmt: skip


def test_every_row_has_an_expectation() -> None:
    assert set(EXPECTED) == set(amounts())


@pytest.mark.parametrize("currency", ["CHF", "JPY", "KWD"])
@pytest.mark.parametrize("minor", sorted(EXPECTED))
async def test_an_amount_chooses_its_result_whatever_the_currency(minor: int, currency: str) -> None:
    request = PaymentRequest(amount=Money.of(minor, currency), reference="R1")
    terminal, payment, clock = await pay(request)
    await clock.advance(200)

    assert (payment.outcome, payment.state, payment.result_code) == EXPECTED[minor]
    found = await terminal.lookup("R1")
    assert found.state is TRUTH.get(minor, payment.state)
    moved = found.approved if found.state is S.CONFIRMED and found.approved else Money.zero(currency)
    assert terminal.host.charged("R1", currency) == moved
    await terminal.close()


@pytest.mark.parametrize("price", ["12.50", "4.20", "17.50", "9.90", "0.05", "901.00", "999.99", "1000.00"])
def test_everyday_prices_are_plain(price: str) -> None:
    assert behaviour_of(Money.parse(price, currency="CHF")) == Behaviour()


async def test_a_part_is_approved_where_the_register_takes_parts() -> None:
    request = PaymentRequest(amount=Money.of(90150, "CHF"), partial_approval=True)
    terminal, payment, _ = await pay(request)

    assert (payment.approved, payment.remaining) == (Money.of(45075, "CHF"), Money.of(45075, "CHF"))
    await terminal.close()


async def test_tip_currency_and_signature_are_in_the_payment() -> None:
    terminal, tipped, _ = await pay(PaymentRequest(amount=Money.of(90110, "CHF")))
    await terminal.close()
    terminal, foreign, _ = await pay(PaymentRequest(amount=Money.of(90120, "CHF")))
    await terminal.close()
    terminal, signed, _ = await pay(PaymentRequest(amount=Money.of(90130, "CHF")))
    await terminal.close()

    assert (tipped.tip, tipped.approved) == (Money.of(9011, "CHF"), Money.of(99121, "CHF"))
    assert foreign.dcc is not None
    assert (foreign.approved, foreign.dcc.amount) == (Money.of(90120, "CHF"), Money.of(103025, "USD"))
    assert signed.e_signature_png.startswith(b"\x89PNG")
    assert "<ESignature />" in signed.receipt(ReceiptKind.MERCHANT)
    assert "<ESignature />" not in signed.receipt(ReceiptKind.CUSTOMER)


async def test_receipts_and_paper_go_missing_as_told() -> None:
    results = {}
    for minor in (90401, 90402, 90403):
        terminal, payment, _ = await pay(PaymentRequest(amount=Money.of(minor, "CHF")))
        results[minor] = (len(payment.receipts), len(terminal.paper), (await terminal.status()).printer.name)
        await terminal.close()

    assert results == {90401: (2, 0, "OUT_OF_PAPER"), 90402: (0, 0, "FINE"), 90403: (1, 1, "FINE")}


async def test_a_reversal_that_fails_is_declined_and_the_money_stays() -> None:
    terminal, _, clock = await pay(PaymentRequest(amount=Money.of(90422, "CHF"), reference="R1"))
    reversal = await finish(clock, terminal.reverse())

    assert (reversal.outcome, reversal.response_code) == (OUT.DECLINED, "12")
    assert terminal.host.charged("R1") == Money.of(90422, "CHF")
    await terminal.close()


def test_the_table_for_people_has_a_line_for_each_row_in_each_language() -> None:
    for language in ("en", "de", "fr", "it"):
        table = amounts_markdown(language)
        assert len(table.splitlines()) == len(amounts()) + 2
    assert "| 90051 | 900.51 | declined 51: insufficient funds |" in amounts_markdown()
    assert "| 90051 | 90051 |" in amounts_markdown(currency="JPY")


CARDS = {
    "declined": (OUT.DECLINED, "05"), "insufficient": (OUT.DECLINED, "51"), "lost": (OUT.DECLINED, "41"),
    "referral": (OUT.REFERRED, "01"), "partial": (OUT.DECLINED, "51"), "wrong-pin-3": (OUT.DECLINED, "75"),
    "pin-blocked": (OUT.DECLINED, "75"), "expired": (OUT.DECLINED, "54"), "removed-early": (OUT.ABORTED, ""),
    "never": (OUT.ABORTED, ""), "stops": (OUT.ABORTED, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(deck()))
async def test_every_card_ends_as_it_should(name: str) -> None:
    terminal, payment, _ = await pay(PaymentRequest(amount=Money.of(1250, "CHF"), reference="R1"), card=name)

    assert (payment.outcome, payment.response_code) == CARDS.get(name, (OUT.APPROVED, "00"))
    paid = payment.approved or Money.zero("CHF")
    assert terminal.host.charged("R1") == (paid if payment.is_approved else Money.zero("CHF"))
    assert (await terminal.status()).is_ready
    await terminal.close()


async def test_a_partial_card_and_a_prepaid_card_approve_what_they_have() -> None:
    request = PaymentRequest(amount=Money.of(8000, "CHF"), partial_approval=True)
    terminal, partial, _ = await pay(request, card="partial")
    await terminal.close()
    terminal, prepaid, clock = await pay(request, card="prepaid")
    again = await finish(clock, terminal.pay("0.50 CHF"))
    loaded = await finish(clock, terminal.transact(PaymentRequest(kind=PaymentKind.LOAD, amount=Money.of(2000, "CHF"))))
    await terminal.close()

    assert partial.approved == Money.of(4800, "CHF")
    assert (prepaid.approved, prepaid.remaining, prepaid.available) == (
        Money.of(5000, "CHF"), Money.of(3000, "CHF"), Money.of(0, "CHF"))  # fmt: skip
    assert again.outcome is OUT.DECLINED
    assert loaded.available == Money.of(2000, "CHF")


@pytest.mark.parametrize("name", sorted(deck()))
def test_no_card_holds_a_whole_number(name: str) -> None:
    one = card(name)

    assert is_masked(one.masked_pan)
    assert len(one.masked_pan) == one.digits
    assert not contains_card_data(repr(one))
    assert len(bytes.fromhex(one.aid)) in range(5, 17)
    assert one.token == card(name).token


def test_tokens_differ_and_every_kind_of_card_is_there() -> None:
    assert len({one.token for one in deck().values()}) == len(deck())
    assert {one.kind for one in deck().values()} == set(CardKind)


def test_an_unknown_card_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="no test card 'gold'"):
        card("gold")


@pytest.mark.parametrize(
    ("row", "why"),
    [
        pytest.param({"declin": "51"}, "unknown behaviour", id="unknown"),
        pytest.param({"decline": 51}, "decline is a str", id="type"),
        pytest.param({"host": "gone"}, "expected one of", id="choice"),
    ],
)
def test_a_wrong_row_is_refused(row: dict[str, object], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        Behaviour.of(row, where="amount 1")
