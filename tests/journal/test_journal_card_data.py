"""No card number, track, check code or PIN is ever written: planted everywhere, looked for in the raw bytes of the files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.journal.test_totals import Forgetful

from zahlwerk.carddata import contains_card_data, redact_labelled
from zahlwerk.errors import CardDataRefused, TerminalError
from zahlwerk.events import StandalonePayment
from zahlwerk.journal import Journal
from zahlwerk.journal.encoding import decode_body, encode_body, payment_from, request_from
from zahlwerk.journal.entries import EntryKind
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Money
from zahlwerk.payment import (
    Dcc,
    EntryMode,
    Original,
    Outcome,
    Payment,
    PaymentKind,
    PaymentRequest,
    Receipt,
    ReceiptKind,
    TipPolicy,
)
from zahlwerk.terminal import CONFIRM_ALL, Total, TotalKind, Totals, Witness
from zahlwerk.terminal import Period as TotalsPeriod

PANS = {
    "Visa": "4111111111111111",
    "Visa 13": "4222222222222",
    "Visa 19": "4000000000000000006",
    "Mastercard": "5555555555554444",
    "Mastercard 2": "2223003122003222",
    "American Express": "378282246310005",
    "Diners": "30569309025904",
    "Discover": "6011111111111117",
    "JCB": "3530111333300000",
    "Maestro": "6759649826438453",
    "UnionPay": "6200000000000005",
}
VISA = PANS["Visa"]
ARABIC = "".join(chr(0x660 + int(digit)) for digit in VISA)
WIDE = "".join(chr(0xFF10 + int(digit)) for digit in VISA)
SECRETS = {
    **PANS,
    "spaced": "4111 1111 1111 1111",
    "hyphened": "4111-1111-1111-1111",
    "dotted": "4111.1111.1111.1111",
    "no-break": "4111\u00a01111\u00a01111\u00a01111",
    "in a sentence": "paid with 5555 5555 5555 4444, thanks",
    "Arabic digits": ARABIC,
    "full-width digits": WIDE,
    "track 1": "%B4111111111111111^MUSTER/HANS^29121010000000000?",
    "track 2": ";4111111111111111=29121010000000000000?",
    "track 2 bare": "4111111111111111D29121010000000000000F",
    "CVC": "CVC: 123",
    "CVV2": "cvv2=4321",
    "PIN": "PIN 1234",
    "German": "Prüfziffer: 987",
    "German PIN": "Geheimzahl 4711",
    "French": "cryptogramme: 321",
    "Italian": "codice di sicurezza: 654",
    "French code": "code secret 8642",
}
LETTERS = pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)


def traces_of(secret: str) -> tuple[bytes, ...]:
    """What of it must stand nowhere."""
    digits = "".join(str(int(character)) for character in secret if character.isdecimal())
    labelled = len(digits) < 12
    return (secret.encode(),) if labelled else (secret.encode(), digits[:16].encode(), VISA.encode())


class Chatty(Forgetful):
    """Says what it is told to say, and counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.says: Payment | None = None
        self.raises: TerminalError | None = None
        self.evidence: Mapping[str, str] = {}

    async def transact(self, request: PaymentRequest, *, witness: Witness = CONFIRM_ALL) -> Payment:
        self.asked += 1
        await witness.sending(self.evidence)
        if self.raises is not None:
            raise self.raises
        assert self.says is not None
        payment = self.says.but(reference=request.reference)
        await witness.approved(payment.but(state=PaymentState.APPROVED))
        return payment


class Book:
    """A journal in a file, and everything that can be read of it."""

    def __init__(self, path: Path, journal: Journal) -> None:
        self.path = path
        self.journal = journal
        self.inner = Chatty()
        self.terminal = journal.wrap(self.inner, name="till-1")

    def raw(self) -> bytes:
        return b"".join(file.read_bytes() for file in sorted(self.path.parent.glob(self.path.name + "*")))

    async def holds(self, secret: str) -> bool:
        told = [str(row) for row in await self.journal.latest(limit=1000)]
        told += [str(await self.journal.find(row.reference)) for row in await self.journal.latest(limit=1000)]
        told.append(str(await self.journal.verify()))
        everything = self.raw() + "\n".join(told).encode()
        return any(trace in everything for trace in traces_of(secret))


@pytest.fixture
async def book(tmp_path: Path) -> AsyncIterator[Book]:
    path = tmp_path / "journal.db"
    async with await Journal.open(str(path)) as journal:
        yield Book(path, journal)


@contextmanager
def refused(secret: str) -> Iterator[None]:
    with pytest.raises(CardDataRefused) as caught:
        yield
    assert not any(trace.decode() in str(caught.value) for trace in traces_of(secret))


CLEAN = PaymentRequest(amount=Money.of(1250, "CHF"), reference="sale-1")
PAID = Payment(
    reference="sale-1", kind=PaymentKind.PURCHASE, outcome=Outcome.APPROVED, state=PaymentState.CONFIRMED,
    requested=Money.of(1250, "CHF"), approved=Money.of(1250, "CHF"), sequence=7,
)  # fmt: skip


class TestRequests:
    """Refused before anything is sent: the terminal is never asked."""

    @pytest.mark.parametrize(
        "name",
        ["reference", "order_reference", "language", "authorisation_code", "reason_code", "unknown_tag_text"],
    )
    async def test_in_a_text(self, book: Book, name: str) -> None:
        for secret in SECRETS.values():
            if name == "reference" and (len(secret) > 48 or not secret.isprintable()):
                continue  # no reference in any case
            with refused(secret):
                await book.terminal.transact(replace(CLEAN, **{name: secret}))  # type: ignore[arg-type]  # a body, or a table of cases
            assert not await book.holds(secret)
        assert book.inner.asked == 0

    @pytest.mark.parametrize("where", ["key", "value", "token", "original", "dcc date"])
    async def test_in_what_a_request_holds(self, book: Book, where: str) -> None:
        for secret in SECRETS.values():
            changes: dict[str, object] = {  # type: ignore[assignment]  # a body, or a table of cases
                "key": {"metadata": {secret: "x"}},
                "value": {"metadata": {"note": secret}},
                "token": {"active_tokens": ("dG9rZW4=", secret)},
                "original": {"original": Original(transaction_reference=secret)},
                "dcc date": {"original": Original(dcc_date=secret)},
            }[where]
            with refused(secret):
                await book.terminal.transact(replace(CLEAN, **changes))  # type: ignore[arg-type]  # a body, or a table of cases
            assert not await book.holds(secret)
        assert book.inner.asked == 0

    @pytest.mark.parametrize(
        "metadata",
        [
            {"a": "41111111", "b": "11111111"},
            {"a": "4111", "b": "1111", "c": "1111", "d": "1111"},
            {"4111 1111": "1111 1111"},
            {"41111111": "x", "11111111": "y"},
            {"cvc": "123"},
            {"pin": "1234"},
            {"Geheimzahl": "4711"},
        ],
        ids=["halves", "quarters", "key and value", "keys", "cvc", "pin", "German"],
    )
    async def test_cut_into_pieces(self, book: Book, metadata: dict[str, str]) -> None:
        with pytest.raises(CardDataRefused):
            await book.terminal.transact(replace(CLEAN, metadata=metadata))
        assert book.inner.asked == 0
        assert VISA.encode() not in book.raw()

    @LETTERS
    async def test_in_the_name_of_a_terminal(self, book: Book, secret: str) -> None:
        with pytest.raises(TerminalError) as caught:
            book.journal.wrap(Chatty(), name=secret)
        assert secret not in str(caught.value)


class TestWhatATerminalTells:
    """Starred out, for money that has moved must be written."""

    @LETTERS
    async def test_in_any_text(self, book: Book, secret: str) -> None:
        names = ("brand", "aid", "token", "authorisation_code", "response_code", "terminal_id", "transaction_reference",
                 "expires", "voice_phone", "customer_text", "attendant_text", "message")  # fmt: skip
        book.inner.says = PAID.but(**dict.fromkeys(names, f"x {secret}"))

        await book.terminal.transact(CLEAN)

        assert (await book.journal.record("sale-1")).state is PaymentState.CONFIRMED
        assert not await book.holds(secret)

    @LETTERS
    async def test_in_receipts_currencies_and_pictures(self, book: Book, secret: str) -> None:
        picture = b"\x89PNG\r\n\x1a\n" + secret.encode() + b"\0" * 8
        book.inner.says = replace(
            PAID,
            receipts=(Receipt(ReceiptKind.MERCHANT, f"KARTE\n{secret}\n", image_png=picture),),
            dcc=Dcc(Money.of(1, "EUR"), rate=secret, markup=secret),
            e_signature_png=picture,
        )

        await book.terminal.transact(CLEAN)

        assert not await book.holds(secret)

    @LETTERS
    @pytest.mark.parametrize("where", ["key", "value"])
    async def test_in_evidence(self, book: Book, where: str, secret: str) -> None:
        book.inner.says = PAID
        book.inner.evidence = {secret: "1"} if where == "key" else {"last": secret}

        await book.terminal.transact(CLEAN)

        assert not await book.holds(secret)

    @LETTERS
    async def test_in_errors_actors_and_reasons(self, book: Book, secret: str) -> None:
        book.inner.raises = TerminalError(f"broken: {secret}")

        with pytest.raises(TerminalError):
            await book.terminal.transact(replace(CLEAN, metadata={}))
        await book.journal.write(
            "sale-2", "till-1", [(EntryKind.REQUESTED, {"request": CLEAN})], actor=secret, sequence=1
        )
        await book.journal.note(
            EntryKind.CLOCK, {"why": secret, "more": {"deep": [secret]}}, actor=secret, terminal=secret
        )

        assert not await book.holds(secret)

    @pytest.mark.parametrize("pan", PANS.values(), ids=PANS)
    async def test_in_numbers(self, book: Book, pan: str) -> None:
        book.inner.says = replace(PAID, sequence=int(pan), acquirer_id=int(pan), result_code=int(pan))

        await book.terminal.transact(CLEAN)

        assert (await book.journal.record("sale-1")).payment is not None
        assert not await book.holds(pan)

    @LETTERS
    async def test_in_a_payment_typed_in_at_the_terminal(self, book: Book, secret: str) -> None:
        paid = replace(PAID, reference=secret, terminal_id=secret, authorisation_code=secret, standalone=True)

        await book.terminal.recovery.take_in(StandalonePayment(paid).payment)

        assert [row.kind for row in await book.journal.latest(limit=1)] == ["standalone"]
        assert not await book.holds(secret)

    @LETTERS
    async def test_in_totals(self, book: Book, secret: str) -> None:
        line = Total(brand=secret, kind=TotalKind.DEBIT, count=1, amount=Money.of(1, "CHF"), aid=secret)

        await book.terminal.recovery.took_totals(
            Totals(TotalsPeriod.SHIFT, (line,), receipt=secret), closed=True, asked=0, mark="", idle=True
        )

        assert not await book.holds(secret)

    @pytest.mark.parametrize("pan", PANS.values(), ids=PANS)
    async def test_in_errors_about_references(self, book: Book, pan: str) -> None:
        with pytest.raises(TerminalError) as caught:
            await book.journal.record(pan)
        assert pan not in str(caught.value)


# -- what is no card data stays as it is


ORDINARY = st.sampled_from([
    "12.50", "CHF 1'250.00", "2026-11-28T17:46:12", "28.11.2026 17:46", "+41 44 123 45 67", "030 12345678", "A1B2C3",
    "A0000000031010", "Trm 12345678", "dG9rZW4tMTIz", "Beleg-Nr. 0042", "Total EUR 17,30\nMwSt 19% 2,76", "GENEHMIGT",
    "Ta-Nr 001234", "Tisch 12, Platz 4", "opinion 1234", "Zürich", "",
])  # fmt: skip


def is_clean(text: str) -> bool:
    return not contains_card_data(text) and redact_labelled(text) == text


texts = st.one_of(ORDINARY, st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Nd"]), max_size=40)).filter(
    is_clean
)
codes = st.sampled_from(["CHF", "EUR", "JPY"])
amounts = st.builds(Money.of, st.integers(1, 999_999), codes)
small = st.one_of(st.none(), st.integers(0, 999_999))
receipts = st.builds(
    Receipt, st.sampled_from(ReceiptKind), texts, st.sampled_from([b"", b"\x89PNG\r\n\x1a\nabc"]), small
)
payments = st.builds(
    Payment, reference=st.just("sale-1"), kind=st.sampled_from(PaymentKind), outcome=st.sampled_from(Outcome),
    state=st.sampled_from(PaymentState), requested=st.none() | amounts, approved=st.none() | amounts,
    tip=st.none() | amounts, cashback=st.none() | amounts, remaining=st.none() | amounts, available=st.none() | amounts,
    dcc=st.none() | st.builds(Dcc, amounts, texts, texts, st.none() | amounts), brand=texts,
    masked_pan=st.sampled_from(["", "XXXXXXXXXXXX5996", "411111******1111"]), aid=texts,
    entry_mode=st.sampled_from(EntryMode), token=texts, authorisation_code=texts, response_code=texts, result_code=small,
    terminal_id=texts, acquirer_id=small, sequence=small, transaction_reference=texts,
    terminal_time=st.none() | st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)), expires=texts, voice_phone=texts,
    customer_text=texts, attendant_text=texts, e_signature_png=st.sampled_from([b"", b"\x89PNG\r\n\x1a\nabc"]),
    receipts=st.lists(receipts, max_size=2).map(tuple), standalone=st.booleans(), message=texts,
)  # fmt: skip
requests = st.builds(
    PaymentRequest, amount=amounts, reference=st.sampled_from(["sale-1", "R 2026/17"]), order_reference=ORDINARY,
    language=st.sampled_from(["", "de"]), tip_policy=st.sampled_from(TipPolicy), partial_approval=st.booleans(),
    original=st.none() | st.builds(Original, texts, small, small, st.sampled_from(["", "20261128"])),
    reason_code=st.sampled_from(["", "12"]), unknown_tag_text=texts, silent=st.booleans(),
    active_tokens=st.lists(st.sampled_from(["dG9rZW4tMTIz", "YWJj"])).map(tuple),
    metadata=st.dictionaries(st.sampled_from(["actor", "table", "note"]), texts).map(MappingProxyType),
)  # fmt: skip


class TestWhatIsNoCardData:
    @settings(max_examples=200, deadline=None)
    @given(payments)
    def test_a_payment_comes_back_as_it_was(self, payment: Payment) -> None:
        assert payment_from(decode_body(encode_body({"payment": payment}))["payment"]) == payment

    @settings(max_examples=200, deadline=None)
    @given(requests)
    def test_a_request_comes_back_as_it_was(self, request_: PaymentRequest) -> None:
        assert request_from(decode_body(encode_body({"request": request_}))["request"]) == request_

    async def test_ordinary_texts_are_not_refused(self, book: Book) -> None:
        book.inner.says = PAID

        payment = await book.terminal.transact(
            replace(
                CLEAN, metadata={"phone": "+41 44 123 45 67", "date": "28.11.2026", "amount": "1250", "actor": "anna"}
            )
        )

        assert payment.state is PaymentState.CONFIRMED
        assert (await book.journal.latest(limit=1))[0].actor == "anna"
