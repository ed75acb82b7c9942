"""pay, refund, reverse, hold, capture, release, lookup, against a virtual terminal over a real socket."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.cli.cli_counter import Counter, FakePeer, Result, free_port

from zahlwerk.interfaces.zvt.connection import refused_error

Run = Callable[..., Result]
MakeCounter = Callable[..., Counter]

PAYMENT_MEMBERS = {
    "event", "outcome", "amount", "currency", "reference", "brand", "masked_pan", "receipts", "kind", "state", "money_moved",
    "requested", "tip", "cashback", "remaining", "available", "dcc", "authorisation_code", "response_code", "terminal_id",
    "acquirer_id", "sequence", "transaction_reference", "terminal_time", "token", "entry_mode", "standalone", "hold",
    "voice_phone", "message",
}  # fmt: skip


class TestPay:
    def test_an_approved_payment_is_told_with_all_of_it(self, run: Run, counter: MakeCounter) -> None:
        """The contract of `pay --json`: its last object, member by member."""
        shop = counter()
        got = run("pay", shop.url, "12.50", "--reference", "R-1", "--json")

        assert got.code == 0
        assert got.err == ""
        assert set(got.last) == PAYMENT_MEMBERS
        assert got.last | {"receipts": {}, "terminal_time": "", "authorisation_code": "", "transaction_reference": "", "token": ""} == {
            "event": "payment", "outcome": "APPROVED", "amount": "12.50", "currency": "CHF", "reference": "R-1", "brand": "VISA",
            "masked_pan": "411111XXXXXX1111", "receipts": {}, "kind": "purchase", "state": "confirmed", "money_moved": "yes",
            "requested": "12.50", "tip": None, "cashback": None, "remaining": None, "available": None, "dcc": None,
            "authorisation_code": "", "response_code": "00", "terminal_id": "ZW000001", "acquirer_id": 2, "sequence": 1,
            "transaction_reference": "", "terminal_time": "", "token": "", "entry_mode": "contactless", "standalone": False,
            "hold": None, "voice_phone": None, "message": got.last["message"],
        }  # fmt: skip
        assert "CHF 12.50" in got.last["receipts"]["merchant"]
        assert "CHF 12.50" in got.last["receipts"]["customer"]
        assert shop.charged() == "12.50"

    def test_every_step_is_an_object_of_its_own(self, run: Run, counter: MakeCounter) -> None:
        """Progress, display, receipts; and nothing else on standard output."""
        got = run("pay", counter().url, "1", "--json")

        steps = [row["step"] for row in got.events("progress")]
        assert steps[0] == "OPENING_SHIFT"
        assert [step for step in steps if step in {"SENT", "APPROVED", "CONFIRMING"}] == [
            "SENT",
            "APPROVED",
            "CONFIRMING",
        ]
        assert any("CHF 1.00" in row["text"] for row in got.events("display"))
        assert {row["kind"] for row in got.events("receipt")} >= {"merchant", "customer"}
        assert got.events("shift")[0]["open"] is True

    def test_people_get_receipts_and_one_plain_line(self, run: Run, counter: MakeCounter) -> None:
        """The last line is what the waiter reads."""
        got = run("pay", counter().url, "12.50")

        assert got.code == 0
        assert got.out.splitlines()[-1] == "APPROVED CHF 12.50 VISA 411111XXXXXX1111"
        assert "merchant receipt" in got.out
        assert "the shift is closed: opening it" in got.out
        assert "{" not in got.out

    @pytest.mark.parametrize(
        ("amount", "outcome", "line"),
        [
            pytest.param("900.51", "DECLINED", "NOT PAID: declined", id="declined"),
            pytest.param("900.01", "REFERRED", "NOT PAID: referred, call +41 800 000 000", id="referred"),
            pytest.param("902.02", "ABORTED", "NOT PAID: aborted", id="stopped by the card holder"),
            pytest.param("903.03", "ABORTED", "NOT PAID: ", id="host unreachable"),
        ],
    )
    def test_what_is_not_approved_exits_with_2(
        self, run: Run, counter: MakeCounter, amount: str, outcome: str, line: str
    ) -> None:
        """And nothing was booked."""
        shop = counter(shift_open=True)
        told, shown = run("pay", shop.url, amount, "--json"), run("pay", shop.url, amount)

        assert (told.code, shown.code) == (2, 2)
        assert told.last["outcome"] == outcome
        assert told.last["amount"] is None
        assert told.last["money_moved"] == "no"
        assert shown.out.splitlines()[-1].startswith(line)
        assert shop.charged() == "0.00"

    def test_a_part_of_the_amount_is_approved_if_that_is_allowed(self, run: Run, counter: MakeCounter) -> None:
        """The approved amount counts, the rest is told."""
        shop = counter(shift_open=True, card="partial")
        got = run("pay", shop.url, "10", "--partial", "--json")
        shown = run("pay", shop.url, "10", "--partial")

        assert got.code == 0
        assert (got.last["amount"], got.last["requested"], got.last["remaining"]) == ("6.00", "10.00", "4.00")
        assert shown.out.splitlines()[-1].endswith("a part only, CHF 4.00 still to pay")

    def test_a_tip_is_on_top(self, run: Run, counter: MakeCounter) -> None:
        """The amount is all that was approved, the tip is named in it."""
        got = run("pay", counter().url, "10", "--tip", "1.50", "--json")

        assert (got.last["amount"], got.last["tip"]) == ("11.50", "1.50")

    def test_cashback_makes_it_a_purchase_with_cashback(self, run: Run, counter: MakeCounter) -> None:
        """No --kind needed."""
        got = run("pay", counter().url, "10", "--cashback", "20", "--json")

        assert got.code == 0
        assert (got.last["kind"], got.last["amount"], got.last["cashback"]) == (
            "purchase with cashback",
            "30.00",
            "20.00",
        )

    @pytest.mark.parametrize("kind", ["mail-order", "phone-order", "cash-advance", "load", "forced-acceptance"])
    def test_other_kinds_have_their_names(self, run: Run, counter: MakeCounter, kind: str) -> None:
        """Enum names with hyphens."""
        got = run("pay", counter().url, "10", "--kind", kind, "--json")

        assert got.code == 0
        assert got.last["kind"] == kind.replace("-", " ")

    def test_a_referral_is_paid_with_the_code_got_by_telephone(self, run: Run, counter: MakeCounter) -> None:
        """`--auth-code` with `--kind phone-authorised`."""
        got = run("pay", counter().url, "10", "--kind", "phone-authorised", "--auth-code", "123ABC", "--json")

        assert got.code == 0
        assert got.last["kind"] == "phone authorised"

    def test_kinds_without_an_amount_need_none(self, run: Run, counter: MakeCounter) -> None:
        """A balance inquiry moves no money."""
        got = run("pay", counter(card="prepaid").url, "--kind", "balance-inquiry")

        assert got.code == 0
        assert got.out.splitlines()[-1].startswith("BALANCE")

    def test_the_currency_may_stand_in_the_amount(self, run: Run, counter: MakeCounter) -> None:
        """Without --currency nobody disagrees."""
        got = run("pay", counter().url, "EUR 4.20", "--json")

        assert (got.last["amount"], got.last["currency"]) == ("4.20", "EUR")

    def test_a_closed_shift_stays_closed_if_wanted(self, run: Run, counter: MakeCounter) -> None:
        """--no-open-shift: an error, and nothing moved."""
        got = run("pay", counter().url, "1", "--no-open-shift", "--json")

        assert got.code == 70
        assert got.last["event"] == "error"
        assert got.last["money_moved"] == "no"
        assert "shift is closed" in got.err

    def test_an_order_number_gets_onto_the_receipt(self, run: Run, counter: MakeCounter) -> None:
        """`--order`."""
        got = run("pay", counter().url, "1", "--order", "table 12", "--json")

        assert "table 12" in got.last["receipts"]["customer"]

    def test_the_virtual_terminal_can_be_paid_at_without_a_socket(self, run: Run) -> None:
        """A first payment within a second."""
        got = run("pay", "virtual:?speed=0", "12.50", "--json")

        assert got.code == 0
        assert got.last["amount"] == "12.50"


class TestWrongCalls:
    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            pytest.param(["12.505"], "CHF has 2 decimals, '12.505' has 3.", id="too many decimals"),
            pytest.param(["twelve"], "Not an amount: 'twelve'.", id="no number"),
            pytest.param(["0"], "The amount must be more than zero, got CHF 0.00.", id="nothing"),
            pytest.param(["1", "--currency", "XYZ"], "Unknown currency 'XYZ'", id="unknown currency"),
            pytest.param(["1 EUR", "--currency", "CHF"], "'1 EUR' names EUR, but CHF was expected.", id="two currencies"),
            pytest.param(["1", "--tip", "1 EUR"], "'1 EUR' names EUR, but CHF was expected.", id="tip in another one"),
            pytest.param(["--kind", "purchase"], "A purchase needs an amount.", id="no amount"),
            pytest.param(["1", "--kind", "gift"], "Invalid value for '--kind': 'gift' is none of purchase", id="kind"),
            pytest.param(["1", "--reference", "4111 1111 1111 1111"], "Reference holds what looks like a card", id="card"),
            pytest.param(["1", "--nonsense"], "No such option: --nonsense", id="option"),
            pytest.param(["1", "--seed", "x"], "Invalid value for '--seed'", id="no integer"),
        ],
    )  # fmt: skip
    def test_one_sentence_and_exit_64(self, run: Run, words: list[str], sentence: str) -> None:
        """Before anything is dialled: nobody listens at this address."""
        got = run("pay", f"kit+tcp://127.0.0.1:{free_port()}", *words, "--json")

        assert got.code == 64
        assert got.err.startswith(sentence)
        assert [row["event"] for row in got.rows] == ["error"]
        assert got.last["money_moved"] == "no"
        assert got.err.splitlines()[1].startswith("→ ")
        assert "Traceback" not in got.err

    @pytest.mark.parametrize(
        ("url", "sentence"),
        [
            pytest.param("10.0.0.1", "Not an address: '10.0.0.1'.", id="no scheme"),
            pytest.param("foo://x", "No interface is called 'foo'.", id="unknown scheme"),
            pytest.param("virtual:?card=gold", "There is no test card 'gold'.", id="unknown card"),
            pytest.param("virtual:?colour=red", "Virtual has no parameter 'colour'.", id="unknown parameter"),
            pytest.param("kit+tcp://x:99999", "A port is at most 65535, got 99999.", id="port"),
        ],
    )
    def test_a_wrong_address_is_a_wrong_call(self, run: Run, url: str, sentence: str) -> None:
        """Exit 64."""
        got = run("pay", url, "1")

        assert got.code == 64
        assert got.err.splitlines()[0] == sentence

    def test_a_currency_that_the_terminal_lacks_is_a_wrong_call(self, run: Run, counter: MakeCounter) -> None:
        """Nothing was sent."""
        got = run("pay", counter().url, "5 USD", "--json")

        assert got.code == 64
        assert got.last["money_moved"] == "no"


class TestNobodyThere:
    def test_nobody_listens(self, run: Run) -> None:
        """Exit 69."""
        got = run("pay", f"kit+tcp://127.0.0.1:{free_port()}", "1", "--json")

        assert got.code == 69
        assert "nobody listens there" in got.err
        assert got.last["money_moved"] == "no"

    @pytest.mark.parametrize("command", [["pay", "5"], ["status"]])
    def test_a_line_that_breaks_before_anything_was_sent_asks_for_no_lookup(
        self, run: Run, counter: MakeCounter, command: list[str]
    ) -> None:
        """The second completion ends the status enquiry, before any payment."""
        shop = counter("zvt+tcp", faults="cut-before:completion:2")
        got = run(command[0], shop.url, *command[1:])

        assert got.code == 70
        assert "no payment was under way" in got.err
        assert "charging" not in got.err

    def test_a_wrong_password_is_called_so(self) -> None:
        """84 37 to a command is its password (ZVT 2.4), not the customer's PIN."""
        error = refused_error("the registration", 0x37)

        assert str(error) == "the terminal refused the registration: the password is wrong (ZVT 37)"
        assert error.remedy == "give the terminal's merchant password: ?password=SIX-DIGITS"
        assert str(refused_error("the end of day", 0x83)).endswith("The terminal cannot do this (ZVT 83)")

    def test_the_host_is_unknown(self, run: Run) -> None:
        """Names that end in .invalid are reserved for this (RFC 2606)."""
        got = run("pay", "kit+tcp://terminal.invalid", "1")

        assert got.code == 69
        assert "unknown host" in got.err

    @pytest.mark.parametrize("kind", ["rubbish", "silent", "closes", "half"])
    def test_what_answers_is_no_terminal(self, run: Run, fake_peer: Callable[[str], FakePeer], kind: str) -> None:
        """One sentence, in time, and nothing was sent that could move money."""
        got = run("pay", fake_peer(kind).url, "1", "--connect-timeout", "0.5", "--json")

        assert got.code in {69, 70}
        assert got.last["event"] == "error"
        assert got.last["money_moved"] == "no"
        assert len(got.err.splitlines()) == 2


class TestAfterwards:
    def test_a_refund_gives_money_back(self, run: Run, counter: MakeCounter) -> None:
        """The account goes down."""
        shop = counter()
        run("pay", shop.url, "10")
        got = run("refund", shop.url, "4")

        assert got.code == 0
        assert got.out.splitlines()[-1] == "REFUNDED CHF 4.00 VISA 411111XXXXXX1111"
        assert shop.charged() == "6.00"

    def test_the_latest_payment_is_reversed(self, run: Run, counter: MakeCounter) -> None:
        """Only if it is the one that was named."""
        shop = counter()
        sequence = run("pay", shop.url, "10", "--json").last["sequence"]
        other = run("reverse", shop.url, "--sequence", str(sequence + 5), "--json")
        got = run("reverse", shop.url, "--sequence", str(sequence), "--json")

        assert other.code != 0
        assert got.code == 0
        assert got.last["kind"] == "reversal"
        assert shop.charged() == "0.00"

    def test_a_hold_is_captured_by_another_command(self, run: Run, counter: MakeCounter) -> None:
        """Its id is all that is needed; the rest is let go."""
        shop = counter()
        held = run("hold", shop.url, "50", "--json").last
        before = shop.charged()
        got = run("capture", shop.url, held["hold"], "8.40", "--json")

        assert (held["state"], held["amount"], held["money_moved"]) == ("held", "50.00", "maybe")
        assert before == "0.00"
        assert got.code == 0
        assert (got.last["state"], got.last["amount"], got.last["hold"]) == ("captured", "8.40", None)
        assert "8.40" in got.last["receipts"]["customer"]
        assert shop.charged() == "8.40"

    def test_a_hold_tells_people_what_to_do_next(self, run: Run, counter: MakeCounter) -> None:
        """Both commands, ready to copy."""
        shop = counter()
        got = run("hold", shop.url, "50")

        assert got.out.splitlines()[-4:] == [
            "HELD up to CHF 50.00 VISA 411111XXXXXX1111",
            "Hold 1. Next:",
            f"  zahlwerk capture {shop.url} 1 AMOUNT",
            f"  zahlwerk release {shop.url} 1",
        ]

    def test_a_hold_is_released(self, run: Run, counter: MakeCounter) -> None:
        """That is what was asked for: exit 0."""
        shop = counter()
        held = run("hold", shop.url, "50", "--json").last["hold"]
        got = run("release", shop.url, held, "--json")

        assert got.code == 0
        assert (got.last["state"], got.last["amount"], got.last["money_moved"]) == ("released", None, "no")
        assert shop.charged() == "0.00"

    def test_a_hold_in_euros_is_captured_in_euros(self, run: Run, counter: MakeCounter) -> None:
        """Whatever the default currency; naming another one is an error."""
        shop = counter()
        held = run("hold", shop.url, "50 EUR", "--json").last["hold"]
        wrong = run("capture", shop.url, held, "8.40 CHF", "--json")
        got = run("capture", shop.url, held, "8.40", "--json")

        assert wrong.code == 64
        assert (got.code, got.last["currency"]) == (0, "EUR")

    def test_at_a_zvt_terminal_amounts_are_in_the_currency_of_the_address(self, run: Run, counter: MakeCounter) -> None:
        """And the next command is printed as it has to be typed."""
        shop = counter("zvt+tcp")
        assert run("pay", shop.url, "5", "--json").last["currency"] == "EUR"
        assert run("pay", f"{shop.url}?currency=CHF", "5", "--json").last["currency"] == "CHF"
        assert "AMOUNT --currency CHF" in run("hold", shop.url, "50 CHF").out
        told = run("hold", shop.url, "50")

        held = told.out.partition("Hold ")[2].partition(".")[0]
        assert f"capture {shop.url} {held} AMOUNT\n" in told.out
        assert run("capture", shop.url, held, "8.40", "--json").last["currency"] == "EUR"

    def test_a_hold_takes_no_more_than_was_held(self, run: Run, counter: MakeCounter) -> None:
        """Refused; and nothing moved."""
        shop = counter()
        held = run("hold", shop.url, "50", "--json").last["hold"]
        got = run("capture", shop.url, held, "60", "--json")

        assert got.code == 70
        assert got.last["money_moved"] == "no"
        assert shop.charged() == "0.00"

    @pytest.mark.parametrize(
        "words", [["capture", "7"], ["capture", "7", "1", "2"], ["release"], ["capture", "x", "1"]]
    )
    def test_holds_are_named_in_full(self, run: Run, counter: MakeCounter, words: list[str]) -> None:
        """Exit 64."""
        command, *rest = words

        assert run(command, counter(shift_open=True).url, *rest).code == 64

    def test_a_reservation_is_captured_by_its_transaction_reference(self, run: Run, counter: MakeCounter) -> None:
        """For days, not minutes; the terminal need not remember it."""
        shop = counter()
        held = run("hold", shop.url, "200", "--reservation", "--json").last
        named = ["--transaction-reference", held["transaction_reference"], "--acquirer", str(held["acquirer_id"])]
        got = run("capture", shop.url, "120", *named, "--json")

        assert held["kind"] == "reservation"
        assert (got.code, got.last["amount"]) == (0, "120.00")
        assert shop.charged() == "120.00"

    def test_a_reservation_is_cancelled(self, run: Run, counter: MakeCounter) -> None:
        """No money moves."""
        shop = counter()
        held = run("hold", shop.url, "200", "--reservation", "--json").last
        named = ["--transaction-reference", held["transaction_reference"], "--acquirer", str(held["acquirer_id"])]
        got = run("release", shop.url, *named)

        assert got.code == 0
        assert got.out.splitlines()[-1].startswith("RESERVATION CANCELLED")
        assert shop.charged() == "0.00"


class TestLookup:
    def test_it_needs_something_to_look_for(self, run: Run) -> None:
        """Exit 64."""
        assert run("lookup", "virtual:").code == 64

    def test_a_payment_that_nobody_knows_stays_open(self, run: Run, counter: MakeCounter) -> None:
        """Not found is not "not paid": exit 3."""
        got = run("lookup", counter().url, "--reference", "R-9", "--json")

        assert got.code == 3
        assert got.last["money_moved"] == "maybe"

    @pytest.mark.parametrize("evidence", ["x", "=1", "a=b,c"])
    def test_evidence_is_pairs(self, run: Run, evidence: str) -> None:
        """Exit 64."""
        assert run("lookup", "virtual:", "--reference", "R", "--evidence", evidence).code == 64

    def test_a_payment_that_never_was_is_found_out_with_evidence(self, run: Run, counter: MakeCounter) -> None:
        """The terminal's counter shows that nothing happened since."""
        shop = counter(shift_open=True)
        evidence = "counter_before=0,kind=purchase,requested_minor=1250,currency=CHF"
        got = run("lookup", shop.url, "--reference", "R-1", "--evidence", evidence, "--json")

        assert got.code == 2
        assert got.last["outcome"] == "FAILED"
