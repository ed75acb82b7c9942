"""`zahlwerk journal`, and commands with --journal: what is told, what is refused, and the exit codes."""

from __future__ import annotations

import asyncio
import csv
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.cli_counter import Counter, Result, free_port
from tests.docs.pages import ROOT, blocks

from zahlwerk.cli.journaled import shown_address, terminal_name
from zahlwerk.journal import Journal
from zahlwerk.journal.entries import EntryKind
from zahlwerk.journal.journal import Step
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentKind, PaymentRequest

Run = Callable[..., Result]
Counters = Callable[..., Counter]
NOWHERE = "kit+tcp://127.0.0.1:1"


@pytest.fixture(autouse=True)
def _no_journal_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZAHLWERK_JOURNAL", raising=False)


@pytest.fixture
def book(tmp_path: Path) -> str:
    """Where a journal may be kept."""
    return str(tmp_path / "book.db")


def fill(book: str, work: Callable[[Journal], Any]) -> None:
    """Something done with a journal as another process would."""

    async def run() -> None:
        async with await Journal.open(book, actor="test") as journal:
            await work(journal)

    asyncio.run(run())


def in_doubt(reference: str = "sale-1", terminal: str = "till-1") -> Callable[[Journal], Any]:
    """A payment that the terminal could not tell about."""

    async def work(journal: Journal) -> None:
        steps: list[Step]
        request = PaymentRequest(amount=Money.of(1250, "CHF"), reference=reference)
        unknown = Payment(
            reference=reference, kind=PaymentKind.PURCHASE, outcome=Outcome.UNKNOWN, state=PaymentState.UNKNOWN
        )
        steps = [
            (EntryKind.REQUESTED, {"request": request}),
            (EntryKind.SENT, {"evidence": {"counter_before": "41"}}),
            (EntryKind.UNKNOWN, {"payment": unknown, "why": "no answer"}),
            (EntryKind.DOUBT, {"why": "it knows no such payment"}),
        ]
        await journal.write(reference, terminal, steps)

    return work


def left_open(reference: str, terminal: str) -> Callable[[Journal], Any]:
    """A payment whose process died before anything was sent; nobody asked yet."""

    async def work(journal: Journal) -> None:
        request = PaymentRequest(amount=Money.of(500, "CHF"), reference=reference)
        await journal.write(reference, terminal, [(EntryKind.REQUESTED, {"request": request})])

    return work


class TestPayingWithAJournal:
    def test_the_same_reference_again_is_the_same_payment_and_charged_once(
        self, run: Run, counter: Counters, book: str
    ) -> None:
        shop = counter()
        first = run("pay", shop.url, "12.50", "--reference", "sale-1", "--journal", book, "--json")
        again = run("pay", shop.url, "12.50", "--reference", "sale-1", "--journal", book, "--json")

        assert (first.code, again.code) == (0, 0)
        assert again.last == first.last
        assert shop.charged() == "12.50"

    def test_what_the_journal_knows_is_told_without_the_terminal(self, run: Run, counter: Counters, book: str) -> None:
        shop = counter()
        name = ("--journal", book, "--terminal-name", "till-1")
        run("pay", shop.url, "12.50", "--reference", "sale-1", *name)

        again = run("pay", NOWHERE, "12.50", "--reference", "sale-1", *name, "--json")
        found = run("lookup", NOWHERE, "--reference", "sale-1", *name, "--json")

        assert (again.code, again.last["outcome"]) == (0, "APPROVED")
        assert (found.code, found.last["outcome"]) == (0, "APPROVED")

    def test_another_amount_under_the_same_reference_is_refused_and_both_are_shown(
        self, run: Run, counter: Counters, book: str
    ) -> None:
        shop = counter()
        run("pay", shop.url, "12.50", "--reference", "sale-1", "--journal", book)
        got = run("pay", shop.url, "13.50", "--reference", "sale-1", "--journal", book, "--json")

        assert (got.code, got.last["money_moved"]) == (64, "no")
        assert "CHF 12.50" in got.last["error"]
        assert "CHF 13.50" in got.last["error"]
        assert shop.charged() == "12.50"

    def test_a_journal_that_another_process_writes_is_refused_with_its_name(
        self, run: Run, counter: Counters, book: str
    ) -> None:
        shop = counter()

        async def work(_: Journal) -> None:
            got.append(await asyncio.to_thread(_in_a_process, "pay", shop.url, "5", "--journal", book, "--json"))

        got: list[Result] = []
        fill(book, work)

        assert got[0].code == 75
        assert "is being written by zahlwerk (process" in got[0].last["error"]
        assert shop.charged() == "0.00"

    def test_a_journal_that_cannot_be_written_is_refused_before_money_moves(
        self, run: Run, counter: Counters, tmp_path: Path
    ) -> None:
        shop = counter()
        (tmp_path / "file").write_text("x", encoding="utf-8")
        got = run("pay", shop.url, "5", "--journal", str(tmp_path / "file" / "book.db"), "--json")

        assert (got.code, got.last["money_moved"]) == (69, "no")
        assert shop.charged() == "0.00"

    def test_a_hold_is_captured_by_another_process_once(self, run: Run, counter: Counters, book: str) -> None:
        shop = counter()
        held = run("hold", shop.url, "50", "--reference", "tab-1", "--journal", book, "--json").last["hold"]
        taken = run("capture", shop.url, held, "8.40", "--journal", book, "--json")
        again = run("capture", shop.url, held, "8.40", "--journal", book, "--json")
        more = run("capture", shop.url, held, "9.40", "--journal", book, "--json")

        assert (taken.code, again.code) == (0, 0)
        assert more.code == 3
        assert shop.charged() == "8.40"
        assert run("journal", "show", "tab-1", "--journal", book, "--json").last["state"] == "captured"

    def test_what_is_not_known_names_the_journal_to_look_it_up_in(self, run: Run, counter: Counters, book: str) -> None:
        shop = counter(shift_open=True)
        fill(book, in_doubt(terminal="till-1"))
        got = run(
            "pay", shop.url, "12.50", "--reference", "sale-1", "--journal", book, "--terminal-name", "till-1", "--json"
        )

        assert got.code == 3
        assert got.last["lookup"].endswith(f"--reference sale-1 --journal {book} --terminal-name till-1")
        assert shop.charged() == "0.00"


class TestTerminalNames:
    @pytest.mark.parametrize(
        ("address", "name"),
        [
            ("kit+tcp://10.0.0.5", "kit+tcp://10.0.0.5:8307"),
            ("kit+tcp://10.0.0.5:8307", "kit+tcp://10.0.0.5:8307"),
            ("zvt+tcp://Till.example:20007?password=123456", "zvt+tcp://till.example:20007"),
            ("kit+serial:///dev/ttyUSB0", "kit+serial:/dev/ttyUSB0"),
            ("virtual:?card=visa&speed=0", "virtual:"),
        ],
    )
    def test_a_terminal_is_called_by_its_address_without_parameters(self, address: str, name: str) -> None:
        assert terminal_name(address) == name.replace("serial:/dev", "serial:///dev")

    def test_a_long_one_is_cut_and_stays_its_own(self) -> None:
        long, other = (terminal_name(f"kit+serial:///dev/serial/by-id/{'x' * 80}{end}") for end in "ab")

        assert len(long) == len(other) == 64
        assert long != other

    @pytest.mark.parametrize(
        ("address", "shown"),
        [
            ("postgresql://till:secret@db.example/shop", "postgresql://till:***@db.example/shop"),
            ("postgresql://db.example/shop?user=till&password=secret", "postgresql://db.example/shop?user=till&password=***"),
            ("postgresql://till@db.example/shop", "postgresql://till@db.example/shop"),
            ("book.db", "book.db"),
        ],
    )  # fmt: skip
    def test_passwords_of_databases_are_never_shown(self, address: str, shown: str) -> None:
        assert shown_address(address) == shown


class TestListing:
    def test_payments_are_listed_oldest_first_with_what_became_of_them(
        self, run: Run, counter: Counters, book: str
    ) -> None:
        shop = counter()
        run("pay", shop.url, "12.50", "--reference", "sale-1", "--journal", book)
        run("pay", shop.url, "900.51", "--reference", "sale-2", "--journal", book)
        got = run("journal", "list", "--journal", book, "--json")
        people = run("journal", "list", "--journal", book)

        assert [(row["reference"], row["amount"], row["state"], row["open"]) for row in got.rows] == [
            ("sale-1", "12.50", "confirmed", False),
            ("sale-2", "900.51", "declined", False),
        ]
        assert "sale-1" in people.out
        assert "CHF 12.50  confirmed" in people.out

    def test_only_what_is_open_only_of_one_terminal_only_the_latest(self, run: Run, book: str) -> None:
        fill(book, in_doubt("a", "till-1"))
        fill(book, in_doubt("b", "till-2"))
        fill(book, in_doubt("c", "till-2"))

        def listed(*words: str) -> list[str]:
            return [row["reference"] for row in run("journal", "list", "--journal", book, "--json", *words).rows]

        assert listed("--open") == ["a", "b", "c"]
        assert listed("--terminal", "till-2") == ["b", "c"]
        assert listed("--limit", "1") == ["c"]
        assert listed("--since", "1h") == ["a", "b", "c"]
        assert listed("--since", "2999-01-01") == []

    def test_a_journal_that_is_not_there_is_told_and_not_made(self, run: Run, tmp_path: Path) -> None:
        for words in (["list"], ["verify"], ["decide", "x", "--paid", "--by", "me", "--why", "so"]):
            got = run("journal", *words, "--journal", str(tmp_path / "none.db"), "--json")
            assert got.code == 69
            assert "there is no journal" in got.last["error"]
        assert list(tmp_path.iterdir()) == []

    def test_a_file_that_is_no_journal_is_exit_65(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "text.db").write_text("no database at all, but long enough to be read" * 20, encoding="utf-8")
        assert run("journal", "list", "--journal", str(tmp_path / "text.db")).code == 65

    def test_reading_never_needs_the_pen(self, run: Run, book: str) -> None:
        async def work(journal: Journal) -> None:
            await in_doubt()(journal)
            got.append(await asyncio.to_thread(_in_a_process, "journal", "list", "--journal", book, "--json"))

        got: list[Result] = []
        fill(book, work)

        assert got[0].code == 0
        assert got[0].last["reference"] == "sale-1"

    def test_without_a_command_its_help_is_shown(self, run: Run) -> None:
        got = run("journal")

        assert (got.code, got.err) == (0, "")
        assert "recover" in got.out


class TestShowing:
    def test_every_entry_of_a_payment_with_who_what_and_when(self, run: Run, counter: Counters, book: str) -> None:
        shop = counter()
        run("pay", shop.url, "12.50", "--reference", "sale-1", "--journal", book)
        got = run("journal", "show", "sale-1", "--journal", book, "--json")
        people = run("journal", "show", "sale-1", "--journal", book)

        entries = got.events("journal-entry")
        assert [row["kind"] for row in entries] == ["requested", "sent", "approved", "confirming", "confirmed"]
        assert {row["actor"] for row in entries} == {"command line"}
        assert got.last["event"] == "journal-payment"
        assert got.last["what_to_do"] == []
        assert len(got.events("receipt")) == 2
        assert "a purchase (amount CHF 12.50)" in people.out
        assert "merchant receipt" in people.out

    def test_a_payment_in_doubt_comes_with_its_evidence_and_what_to_do(self, run: Run, book: str) -> None:
        fill(book, in_doubt())
        got = run("journal", "show", "sale-1", "--journal", book, "--json")
        people = run("journal", "show", "sale-1", "--journal", book)

        assert got.code == 0
        assert (got.last["doubt"], got.last["money_moved"]) == ("it knows no such payment", "maybe")
        assert got.last["evidence"] == {"counter_before": "41"}
        assert "Do not charge again" in people.out
        assert "zahlwerk journal decide sale-1 --paid --by YOU" in people.out

    def test_what_the_terminal_said_and_what_its_totals_suggest_is_told(self, run: Run, book: str) -> None:
        proposal = {"paid": True, "why": "the figures are those with it"}

        async def work(journal: Journal) -> None:
            await in_doubt()(journal)
            body = {"why": "it knows no such payment", "proposal": proposal}
            await journal.write("sale-1", "till-1", [(EntryKind.DOUBT, body)])

        fill(book, work)
        got = run("journal", "show", "sale-1", "--journal", book, "--json").last
        people = run("journal", "show", "sale-1", "--journal", book)

        assert got["proposal"] == proposal
        assert [(one["state"], one["text"]) for one in got["answers"]] == [
            ("unknown", "no answer"), *[("doubt", "it knows no such payment")] * 2,
        ]  # fmt: skip
        assert (got["sent"] is None, got["decided"]) == (False, None)
        assert got["look_for"][0] == "a payment of CHF 12.50"
        assert "suggest, without proving it: paid (the figures are those with it)" in " ".join(people.out.split())
        assert "Look for a payment of CHF 12.50; at the terminal till-1, from" in " ".join(people.out.split())

    @pytest.mark.parametrize(("name", "words"), [("till-1", "till-1=URL"), ("kit+tcp://10.0.0.5:8307",) * 2])
    def test_what_is_open_comes_with_the_command_that_asks(self, run: Run, book: str, name: str, words: str) -> None:
        fill(book, left_open("sale-1", name))
        got = run("journal", "show", "sale-1", "--journal", book)

        assert f"zahlwerk journal recover --terminal {words} --journal {book}\n" in got.out

    def test_an_unknown_reference_is_a_wrong_call(self, run: Run, book: str) -> None:
        fill(book, in_doubt())
        got = run("journal", "show", "nothing", "--journal", book, "--json")

        assert got.code == 64
        assert got.last["remedy"] == "`zahlwerk journal list` shows what it knows"


def _change(book: str, sql: str) -> None:
    with sqlite3.connect(book) as db:
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.execute(sql)
    db.close()


class TestVerifying:
    def test_an_intact_journal_is_exit_0_and_tells_the_hash_to_keep(self, run: Run, book: str) -> None:
        fill(book, in_doubt())
        got = run("journal", "verify", "--journal", book, "--json")
        fill(book, in_doubt("sale-2"))
        later = run("journal", "verify", "--journal", book, "--head", got.last["head"], "--json")

        assert (got.code, got.last["intact"], got.last["entries"]) == (0, True, 5)
        assert (later.code, later.last["kept_head_at"], later.last["entries"]) == (0, 5, 10)

    @pytest.mark.parametrize(
        "sql",
        [
            pytest.param("UPDATE entries SET actor = 'nobody' WHERE number = 3", id="changed"),
            pytest.param("DELETE FROM entries WHERE number = 3", id="taken out"),
            pytest.param("DELETE FROM entries WHERE number = 5", id="cut off"),
        ],
    )
    def test_whatever_was_changed_is_exit_65_and_the_first_place_is_named(self, run: Run, book: str, sql: str) -> None:
        fill(book, in_doubt())
        _change(book, sql)
        got = run("journal", "verify", "--journal", book, "--json")
        verified = got.events("verified")[0]

        assert got.code == 65
        assert verified["intact"] is False
        assert verified["fault_at"] in {3, 5}
        assert got.last["event"] == "error"

    def test_a_journal_that_was_written_anew_is_found_out_by_a_hash_kept_elsewhere(self, run: Run, book: str) -> None:
        fill(book, in_doubt())
        kept = run("journal", "verify", "--journal", book, "--json").last["head"]
        Path(book).unlink()
        fill(book, in_doubt())
        got = run("journal", "verify", "--journal", book, "--head", kept, "--json")

        assert run("journal", "verify", "--journal", book).code == 0
        assert got.code == 65
        assert got.events("verified")[0]["intact"] is False

    def test_what_is_no_hash_is_a_wrong_call(self, run: Run, book: str) -> None:
        fill(book, in_doubt())
        assert run("journal", "verify", "--journal", book, "--head", "abc").code == 64


class TestExporting:
    def test_anybody_can_verify_an_export_with_hashlib_and_json(self, run: Run, book: str, tmp_path: Path) -> None:
        fill(book, in_doubt("Kasse Zürich"))
        out = tmp_path / "journal.jsonl"
        got = run("journal", "export", "--journal", book, "-o", str(out), "--json")

        assert (got.code, got.last["entries"]) == (0, 5)
        assert _verified_as_documented(tmp_path) == (0, f"intact up to {got.last['head']}\n")

    @pytest.mark.parametrize(("was", "is_"), [("no answer", "an answer"), ('"kind": "sent"', '"kind": "unsent"')])
    def test_an_export_that_was_changed_does_not_pass(
        self, run: Run, book: str, tmp_path: Path, was: str, is_: str
    ) -> None:
        fill(book, in_doubt())
        out = tmp_path / "journal.jsonl"
        run("journal", "export", "--journal", book, "-o", str(out))
        out.write_text(out.read_text(encoding="utf-8").replace(was, is_), encoding="utf-8")

        assert _verified_as_documented(tmp_path)[0] == 1

    def test_the_screen_gets_the_same_lines(self, run: Run, book: str, tmp_path: Path) -> None:
        fill(book, in_doubt())
        run("journal", "export", "--journal", book, "-o", str(tmp_path / "x"))
        got = run("journal", "export", "--journal", book)

        assert got.out == (tmp_path / "x").read_text(encoding="utf-8")

    def test_a_table_holds_the_same_columns(self, run: Run, book: str) -> None:
        fill(book, in_doubt())
        lines = [json.loads(line) for line in run("journal", "export", "--journal", book).out.splitlines()]
        table = list(csv.DictReader(run("journal", "export", "--journal", book, "--format", "csv").out.splitlines()))

        assert [{name: str(value or "") for name, value in line.items()} for line in lines] == table

    def test_a_part_is_chained_to_what_was_before_it(self, run: Run, book: str, tmp_path: Path) -> None:
        fill(book, in_doubt())
        rows = run("journal", "export", "--journal", book).rows
        part = run("journal", "export", "--journal", book, "--since", "2999-01-01").out
        since = run("journal", "export", "--journal", book, "--since", rows[1]["moment"].rstrip("Z") + "+00:00").rows

        assert part == ""
        assert since == rows[1:]
        assert since[0]["previous"] == rows[0]["hash"]

    def test_a_broken_chain_is_exported_up_to_the_break_and_is_exit_65(self, run: Run, book: str) -> None:
        fill(book, in_doubt())
        _change(book, "UPDATE entries SET actor = 'nobody' WHERE number = 3")
        got = run("journal", "export", "--journal", book)

        assert got.code == 65
        assert len(got.out.splitlines()) == 2
        assert "only the 2 entries before it were written" in got.err

    @pytest.mark.parametrize("words", [["--format", "xml"], ["--format", "csv", "--json"], ["--since", "soon"]])
    def test_a_wrong_call_is_exit_64(self, run: Run, book: str, words: list[str]) -> None:
        fill(book, in_doubt())
        assert run("journal", "export", "--journal", book, *words).code == 64


def _verified_as_documented(folder: Path) -> tuple[int, str]:
    """Exit code and output of the program in docs/journal.md, run beside an export."""
    page = ROOT / "docs" / "journal.md"
    (program,) = (block.text for block in blocks(page) if block.text.startswith("# verify.py"))
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout


class TestRecovering:
    def test_what_was_left_open_is_settled_and_told(self, run: Run, counter: Counters, book: str) -> None:
        shop = counter(shift_open=True)
        fill(book, left_open("sale-1", "till-1"))
        got = run("journal", "recover", "--journal", book, "--terminal", f"till-1={shop.url}", "--json")

        assert got.code == 0
        assert [(row["reference"], row["state"]) for row in got.events("recovered")] == [("sale-1", "failed")]
        assert got.last == {"event": "recovery", "asked_about": 1, "unknown": 0}
        assert shop.charged() == "0.00"

    def test_the_name_can_be_left_out_where_it_is_the_address(self, run: Run, counter: Counters, book: str) -> None:
        shop = counter(shift_open=True)
        fill(book, left_open("sale-1", shop.url))
        got = run("journal", "recover", "--journal", book, "--terminal", shop.url, "--json")

        assert got.code == 0

    def test_what_stays_unknown_is_exit_3(self, run: Run, counter: Counters, book: str) -> None:
        fill(book, in_doubt(terminal="till-1"))
        fill(book, left_open("sale-2", "till-2"))
        shop = counter(shift_open=True)
        got = run("journal", "recover", "--journal", book, "--terminal", f"till-2={shop.url}")

        assert got.code == 3
        assert "sale-2 CHF 5.00 failed" in got.out
        assert "1 payment is unknown: do not charge again." in got.out

    def test_a_terminal_that_does_not_answer_leaves_everything_as_it_was(self, run: Run, book: str) -> None:
        fill(book, left_open("sale-1", "till-1"))
        address = f"till-1=kit+tcp://127.0.0.1:{free_port()}"
        got = run("journal", "recover", "--journal", book, "--terminal", address, "--json")

        assert got.code == 3
        assert got.last["unknown"] == 1

    def test_where_nothing_is_open_nobody_is_called(self, run: Run, book: str) -> None:
        fill(book, lambda journal: journal.note(EntryKind.TOTALS, {}))
        assert run("journal", "recover", "--journal", book, "--terminal", f"till-1={NOWHERE}").code == 0


class TestDeciding:
    @pytest.mark.parametrize(("word", "state"), [("--paid", "confirmed"), ("--not-paid", "failed")])
    def test_a_decision_is_written_down_with_who_and_why(self, run: Run, book: str, word: str, state: str) -> None:
        fill(book, in_doubt())
        got = run(
            "journal", "decide", "sale-1", word, "--by", "Anna", "--why", "the receipt is here", "--journal", book,
            "--json",
        )  # fmt: skip
        shown = run("journal", "show", "sale-1", "--journal", book)

        assert (got.code, got.last["event"], got.last["state"]) == (0, "decided", state)
        assert "the receipt is here" in shown.out
        assert "Anna" in shown.out
        assert run("journal", "list", "--open", "--journal", book, "--json").out == ""

    def test_a_decision_stays(self, run: Run, book: str) -> None:
        fill(book, in_doubt())
        words = ("--by", "Anna", "--why", "the receipt is here", "--journal", book, "--json")
        codes = [run("journal", "decide", "sale-1", word, *words).code for word in ("--paid", "--paid", "--not-paid")]
        shown = run("journal", "show", "sale-1", "--journal", book, "--json")

        assert codes == [0, 0, 64]
        assert [row["kind"] for row in shown.events("journal-entry")].count("decided") == 1
        assert (shown.last["decided"]["paid"], shown.last["decided"]["by"]) == (True, "Anna")
        assert (shown.last["look_for"], shown.last["what_to_do"]) == ([], [])

    def test_there_is_nothing_to_decide_about_what_never_left(self, run: Run, book: str) -> None:
        fill(book, left_open("sale-1", "till-1"))
        got = run("journal", "decide", "sale-1", "--paid", "--by", "Anna", "--why", "so", "--journal", book)

        assert got.code == 64
        assert "nothing to decide" in got.err

    def test_nothing_is_decided_by_leaving_the_word_out(self, run: Run, book: str) -> None:
        fill(book, in_doubt())
        got = run("journal", "decide", "sale-1", "--by", "Anna", "--why", "so", "--journal", book)

        assert got.code == 64
        assert "--paid or --not-paid" in got.err

    def test_who_and_why_must_be_said(self, run: Run, book: str) -> None:
        fill(book, in_doubt())
        assert run("journal", "decide", "sale-1", "--paid", "--journal", book).code == 64

    def test_a_payment_typed_in_is_matched_to_its_sale(self, run: Run, book: str) -> None:
        async def work(journal: Journal) -> None:
            payment = Payment(
                reference="standalone-1", kind=PaymentKind.PURCHASE, outcome=Outcome.APPROVED,
                state=PaymentState.STANDALONE, approved=Money.of(500, "CHF"), standalone=True,
            )  # fmt: skip
            await journal.write("standalone-1", "till-1", [(EntryKind.STANDALONE, {"payment": payment})])

        fill(book, work)
        offered = run("journal", "show", "standalone-1", "--journal", book)
        got = run("journal", "match", "standalone-1", "sale-9", "--by", "Anna", "--journal", book, "--json")

        assert "zahlwerk journal match standalone-1 REFERENCE --by YOU" in offered.out
        assert (got.code, got.last["matched"]) == (0, "sale-9")
        other = run("journal", "match", "standalone-1", "sale-8", "--by", "Anna", "--journal", book)
        assert (other.code, "sale-9" in other.err) == (64, True)


def _in_a_process(*words: str) -> Result:
    from tests.cli.cli_counter import finish, start

    return finish(start(words))
