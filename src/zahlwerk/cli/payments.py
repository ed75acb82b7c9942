"""Commands that move money: pay, refund, reverse, hold, capture, release; and lookup, which finds out what moved."""

from __future__ import annotations

import contextlib
import shlex
from typing import Annotated

import typer

from zahlwerk.cli.exits import ExitCode, of_payment
from zahlwerk.cli.journaled import journal_of, payment_before, settled_payment, words_of
from zahlwerk.cli.options import (
    AmountArgument,
    ConnectTimeoutOption,
    CurrencyOption,
    JournalOption,
    JsonOption,
    OpenShiftOption,
    ReferenceOption,
    SeedOption,
    TerminalNameOption,
    TraceOption,
    UrlArgument,
    access,
    amount_of,
    default_currency,
    kind_of,
)
from zahlwerk.cli.session import Access, Job, Note, opened, perform, settle, transact
from zahlwerk.errors import InvalidRequest, MoneyMoved, TerminalError, TerminalRefused
from zahlwerk.lifecycle import PaymentState
from zahlwerk.payment import Original, Payment, PaymentKind, PaymentRequest, Receipt, ReceiptKind, new_reference
from zahlwerk.terminal import CONFIRM_ALL, Evidence, Feature, HoldId, Terminal
from zahlwerk.urls import Url

__all__ = ["register"]

KindOption = Annotated[
    PaymentKind,
    typer.Option("--kind", parser=kind_of, metavar="KIND", help="Another function, such as mail-order or reservation."),
]
TipOption = Annotated[str, typer.Option("--tip", metavar="AMT", help="A tip on top, known beforehand.")]
CashbackOption = Annotated[str, typer.Option("--cashback", metavar="AMT", help="Cash on top, handed out by you.")]
OrderOption = Annotated[str, typer.Option("--order", metavar="TEXT", help="Your order number, for the receipt.")]
PartialOption = Annotated[bool, typer.Option("--partial", help="A part of the amount may be approved.")]
AuthCodeOption = Annotated[
    str, typer.Option("--auth-code", metavar="CODE", help="Got by telephone, for phone-authorised.")
]
OriginalOption = Annotated[
    str, typer.Option("--original-reference", metavar="R", help="transaction_reference of the earlier payment.")
]
TransactionOption = Annotated[
    str, typer.Option("--transaction-reference", metavar="R", help="transaction_reference of the reservation.")
]
AcquirerOption = Annotated[
    int | None, typer.Option("--acquirer", metavar="N", help="acquirer_id of the earlier payment.")
]
SequenceOption = Annotated[
    int | None, typer.Option("--sequence", metavar="N", help="sequence (the terminal's counter) of the payment.")
]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (pay, refund, reverse, hold, capture, release, lookup):
        app.command(rich_help_panel="Payments")(command)


def pay(
    url: UrlArgument,
    amount: Annotated[str, typer.Argument(metavar="[AMOUNT]", help="Such as 12.50, or '12.50 EUR'.")] = "",
    *,
    kind: KindOption = "purchase",  # type: ignore[assignment]  # Typer runs the default through the parser
    currency: CurrencyOption = "",
    reference: ReferenceOption = "",
    tip: TipOption = "",
    cashback: CashbackOption = "",
    order: OrderOption = "",
    partial: PartialOption = False,
    auth_code: AuthCodeOption = "",
    original_reference: OriginalOption = "",
    acquirer: AcquirerOption = None,
    sequence: SequenceOption = None,
    open_shift: OpenShiftOption = True,
    trace: TraceOption = None,
    seed: SeedOption = None,
    connect_timeout: ConnectTimeoutOption = None,
    journal: JournalOption = "",
    terminal_name: TerminalNameOption = "",
    json: JsonOption = False,
) -> None:
    """Take a payment: zahlwerk pay kit+tcp://192.168.1.20 12.50

    Exits with 0 if approved, 2 if not, 3 if nobody knows yet.
    """

    async def work(job: Job) -> ExitCode:
        request = _request(
            url, _with_cashback(kind, cashback), amount, currency, reference,
            tip=tip, cashback=cashback, order_reference=order, partial_approval=partial, authorisation_code=auth_code,
            original=_original(original_reference, acquirer, sequence),
        )  # fmt: skip
        return await _transact(job, reach, request, open_shift=open_shift)

    reach = access(
        url, trace=trace, seed=seed, connect_timeout=connect_timeout, journal=journal, terminal_name=terminal_name
    )
    perform(work, as_json=json, stake=None)


def refund(
    url: UrlArgument,
    amount: AmountArgument,
    *,
    currency: CurrencyOption = "",
    reference: ReferenceOption = "",
    original_reference: OriginalOption = "",
    acquirer: AcquirerOption = None,
    open_shift: OpenShiftOption = True,
    trace: TraceOption = None,
    seed: SeedOption = None,
    connect_timeout: ConnectTimeoutOption = None,
    journal: JournalOption = "",
    terminal_name: TerminalNameOption = "",
    json: JsonOption = False,
) -> None:
    """Give money back to a card."""

    async def work(job: Job) -> ExitCode:
        original = _original(original_reference, acquirer, None)
        request = _request(url, PaymentKind.REFUND, amount, currency, reference, original=original)
        return await _transact(job, reach, request, open_shift=open_shift)

    reach = access(
        url, trace=trace, seed=seed, connect_timeout=connect_timeout, journal=journal, terminal_name=terminal_name
    )
    perform(work, as_json=json, stake=None)


def reverse(
    url: UrlArgument,
    *,
    sequence: Annotated[
        int | None, typer.Option("--sequence", metavar="N", help="Only if the latest payment is this one.")
    ] = None,
    reference: ReferenceOption = "",
    open_shift: OpenShiftOption = True,
    trace: TraceOption = None,
    seed: SeedOption = None,
    connect_timeout: ConnectTimeoutOption = None,
    journal: JournalOption = "",
    terminal_name: TerminalNameOption = "",
    json: JsonOption = False,
) -> None:
    """Undo the latest payment of the terminal."""

    async def work(job: Job) -> ExitCode:
        request = _request(url, PaymentKind.REVERSAL, "", "", reference, original=_original("", None, sequence))
        return await _transact(job, reach, request, open_shift=open_shift)

    reach = access(
        url, trace=trace, seed=seed, connect_timeout=connect_timeout, journal=journal, terminal_name=terminal_name
    )
    perform(work, as_json=json, stake=None)


def hold(
    url: UrlArgument,
    limit: Annotated[str, typer.Argument(metavar="LIMIT", help="The most that can be captured, such as 50.00.")],
    *,
    currency: CurrencyOption = "",
    reference: ReferenceOption = "",
    reservation: Annotated[
        bool, typer.Option("--reservation", help="A reservation at the acquirer, for days (hotel, car), not minutes.")
    ] = False,
    open_shift: OpenShiftOption = True,
    trace: TraceOption = None,
    seed: SeedOption = None,
    connect_timeout: ConnectTimeoutOption = None,
    journal: JournalOption = "",
    terminal_name: TerminalNameOption = "",
    json: JsonOption = False,
) -> None:
    """Authorise an amount now; capture or release it later. It stays held when this command ends."""

    async def work(job: Job) -> ExitCode:
        kind = PaymentKind.RESERVATION if reservation else PaymentKind.AUTHORISATION
        request = _request(url, kind, limit, currency, reference)
        return await _transact(job, reach, request, open_shift=open_shift)

    reach = access(
        url, trace=trace, seed=seed, connect_timeout=connect_timeout, journal=journal, terminal_name=terminal_name
    )
    perform(work, as_json=json, stake=None)


def capture(
    url: UrlArgument,
    what: Annotated[
        list[str],
        typer.Argument(metavar="HOLD AMOUNT", help="The hold's id, and what to take; for a reservation the amount."),
    ],
    *,
    currency: CurrencyOption = "",
    transaction_reference: TransactionOption = "",
    acquirer: AcquirerOption = None,
    reference: ReferenceOption = "",
    open_shift: OpenShiftOption = True,
    trace: TraceOption = None,
    connect_timeout: ConnectTimeoutOption = None,
    journal: JournalOption = "",
    terminal_name: TerminalNameOption = "",
    json: JsonOption = False,
) -> None:
    """Take the final amount of a hold (or reservation), and let go of the rest."""

    async def work(job: Job) -> ExitCode:
        if len(what) != (1 if transaction_reference else 2):
            raise InvalidRequest(
                "a capture takes a hold and an amount, or --transaction-reference and an amount",
                remedy="write: zahlwerk capture URL HOLD AMOUNT",
            )
        if not transaction_reference:
            # A slip of the pen is told before anything is dialled.
            amount_of(what[1], currency, default=default_currency(url))
            return await _settle(job, reach, HoldId(what[0]), amount_text=what[1], currency=currency)
        original = _original(transaction_reference, acquirer, None)
        request = _request(url, PaymentKind.RESERVATION_CAPTURE, what[0], currency, reference, original=original)
        return await _transact(job, reach, request, open_shift=open_shift)

    reach = access(url, trace=trace, connect_timeout=connect_timeout, journal=journal, terminal_name=terminal_name)
    perform(work, as_json=json, stake=None)


def release(
    url: UrlArgument,
    hold_id: Annotated[str, typer.Argument(metavar="[HOLD]", help="The hold's id.")] = "",
    *,
    transaction_reference: TransactionOption = "",
    acquirer: AcquirerOption = None,
    reference: ReferenceOption = "",
    open_shift: OpenShiftOption = True,
    trace: TraceOption = None,
    connect_timeout: ConnectTimeoutOption = None,
    journal: JournalOption = "",
    terminal_name: TerminalNameOption = "",
    json: JsonOption = False,
) -> None:
    """Let go of a hold (or reservation): no money moves."""

    async def work(job: Job) -> ExitCode:
        if bool(hold_id) == bool(transaction_reference):
            raise InvalidRequest(
                "a release takes a hold, or --transaction-reference", remedy="write: zahlwerk release URL HOLD"
            )
        if hold_id:
            return await _settle(job, reach, HoldId(hold_id), amount_text="")
        original = _original(transaction_reference, acquirer, None)
        request = _request(url, PaymentKind.RESERVATION_CANCEL, "", "", reference, original=original)
        return await _transact(job, reach, request, open_shift=open_shift)

    reach = access(url, trace=trace, connect_timeout=connect_timeout, journal=journal, terminal_name=terminal_name)
    perform(work, as_json=json, stake=None)


def lookup(
    url: UrlArgument,
    *,
    reference: Annotated[str, typer.Option("--reference", metavar="R", help="Your own number of the payment.")] = "",
    sequence: SequenceOption = None,
    evidence: Annotated[
        str, typer.Option("--evidence", metavar="K=V,...", help="What `pay` noted down before it sent; it tells you.")
    ] = "",
    trace: TraceOption = None,
    connect_timeout: ConnectTimeoutOption = None,
    journal: JournalOption = "",
    terminal_name: TerminalNameOption = "",
    json: JsonOption = False,
) -> None:
    """Find out what became of a payment; exits as the payment would have: 0, 2 or 3."""

    async def work(job: Job) -> ExitCode:
        if not reference and sequence is None:
            raise InvalidRequest("a lookup needs --reference or --sequence")
        known = _evidence(evidence)
        async with journal_of(job, reach) as book:
            payment = await settled_payment(book, reference) if book is not None else None
            if payment is None:
                async with opened(job, reach, book) as terminal:
                    payment = await terminal.lookup(reference, sequence=sequence, evidence=known or None)
            if not payment.reference or payment.reference != reference:
                payment = payment.but(reference=reference or payment.reference)
            job.out.payment(payment, url=url, evidence=known, journal=words_of(reach))
            return of_payment(payment)

    reach = access(url, trace=trace, connect_timeout=connect_timeout, journal=journal, terminal_name=terminal_name)
    perform(work, as_json=json, stake=MoneyMoved.MAYBE)


# -- what they have in common


def _request(url: str, kind: PaymentKind, amount: str, currency: str, reference: str, *, tip: str = "",
             cashback: str = "", order_reference: str = "", partial_approval: bool = False,
             authorisation_code: str = "", original: Original | None = None) -> PaymentRequest:  # fmt: skip
    money = amount_of(amount, currency, default=default_currency(url)) if amount else None
    of = money.currency.code if money is not None else currency
    return PaymentRequest(
        kind=kind,
        amount=money,
        tip=amount_of(tip, of) if tip else None,
        cashback=amount_of(cashback, of) if cashback else None,
        reference=reference or new_reference(),
        order_reference=order_reference,
        partial_approval=partial_approval,
        authorisation_code=authorisation_code,
        original=original,
    )


def _with_cashback(kind: PaymentKind, cashback: str) -> PaymentKind:
    return PaymentKind.PURCHASE_WITH_CASHBACK if cashback and kind is PaymentKind.PURCHASE else kind


def _original(transaction_reference: str, acquirer: int | None, sequence: int | None) -> Original | None:
    if not transaction_reference and acquirer is None and sequence is None:
        return None
    return Original(transaction_reference=transaction_reference, acquirer_id=acquirer, sequence=sequence)


def _evidence(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",") if part]
    if not all(name and equals for name, equals, _ in pairs):
        raise InvalidRequest("the evidence is written name=value,name=value", remedy="copy it from what `pay` told")
    return {name: value for name, _, value in pairs}


async def _transact(job: Job, reach: Access, request: PaymentRequest, *, open_shift: bool) -> ExitCode:
    async with journal_of(job, reach) as journal:
        # What the journal knows is told without the terminal, which may be away.
        payment = await payment_before(journal, request) if journal is not None else None
        if payment is not None:
            job.out.tell(
                "the journal knows this reference: nothing is sent now; a new payment needs a new one", step="KNOWN"
            )
            return _tell(job, reach, request, payment, {})
        note = Note()
        async with opened(job, reach, journal) as terminal:
            await _need_shift(job, terminal, open_shift=open_shift)
            payment = await transact(job, terminal, request, note if journal is None else CONFIRM_ALL)
            return _tell(job, reach, request, payment, note.evidence)


def _tell(job: Job, reach: Access, request: PaymentRequest, payment: Payment, evidence: Evidence) -> ExitCode:
    job.out.payment(payment, url=reach.url, evidence=evidence, journal=words_of(reach))
    if payment.state is PaymentState.HELD:
        _say_what_next(job, reach, payment)
    elif request.kind is PaymentKind.RESERVATION and payment.is_approved:
        _say_what_next_of_reservation(job, reach, payment)
    return of_payment(payment)


async def _settle(job: Job, reach: Access, hold: HoldId, *, amount_text: str, currency: str = "") -> ExitCode:
    async with journal_of(job, reach) as journal, opened(job, reach, journal) as terminal:
        held = await _held_currency(terminal, hold) if amount_text else ""
        known = currency or _unnamed(amount_text, held)
        amount = amount_of(amount_text, known, default=default_currency(reach.url)) if amount_text else None
        if amount is not None and held and amount.currency.code != held:
            raise InvalidRequest(f"the hold is in {held}, not in {amount.currency}")
        payment = await settle(job, terminal, terminal.settle(hold, amount))
        if payment.state is PaymentState.CAPTURED and not payment.receipts:
            payment = payment.but(receipts=await _receipts(terminal, payment))
        job.out.payment(payment, url=reach.url, journal=words_of(reach))
        return of_payment(payment)


async def _receipts(terminal: Terminal, payment: Payment) -> tuple[Receipt, ...]:
    """The receipts of a capture, from terminals that do not hand them over with it."""
    found: list[Receipt] = []
    for kind in (ReceiptKind.MERCHANT, ReceiptKind.CUSTOMER):
        with contextlib.suppress(TerminalError):
            found.append(await terminal.receipt(kind, number=payment.sequence))
    return tuple(receipt for receipt in found if receipt.text or receipt.image_png)


async def _held_currency(terminal: Terminal, hold: HoldId) -> str:
    """The currency of a hold; empty where the terminal does not tell."""
    with contextlib.suppress(TerminalError):
        for entry in await terminal.open_entries():
            if entry.hold == hold and entry.amount is not None:
                return entry.amount.currency.code
    return ""


def _unnamed(amount_text: str, currency: str) -> str:
    """The currency to assume, if the amount names none itself."""
    return "" if any(character.isalpha() for character in amount_text) else currency


async def _need_shift(job: Job, terminal: Terminal, *, open_shift: bool) -> None:
    """A closed shift is opened, unless the user does not want it."""
    if (await terminal.status()).shift_open or Feature.SHIFT not in terminal.capabilities:
        return
    if not open_shift:
        raise TerminalRefused(
            "the shift is closed",
            money_moved=MoneyMoved.NO,
            remedy="open it at the terminal, or leave --no-open-shift out",
        )
    job.out.tell("the shift is closed: opening it", step="OPENING_SHIFT")
    await terminal.open_shift()


def _say_what_next(job: Job, reach: Access, payment: Payment) -> None:
    url = reach.url
    if Url.parse(url).scheme == "virtual":
        job.out.warn("a virtual terminal ends with this command, and so does the hold; put it behind `zahlwerk bridge`")
    job.out.say(f"Hold {payment.sequence}. Next:")
    where = shlex.join((url, *words_of(reach)))
    job.out.say(f"  zahlwerk capture {where} {payment.sequence} AMOUNT{_in_currency(url, payment)}")
    job.out.say(f"  zahlwerk release {where} {payment.sequence}")


def _say_what_next_of_reservation(job: Job, reach: Access, payment: Payment) -> None:
    url = reach.url
    which = f"--transaction-reference {payment.transaction_reference}"
    if payment.acquirer_id is not None:
        which += f" --acquirer {payment.acquirer_id}"
    where = shlex.join((url, *words_of(reach)))
    job.out.say("Next:")
    job.out.say(f"  zahlwerk capture {where} AMOUNT {which}{_in_currency(url, payment)}")
    job.out.say(f"  zahlwerk release {where} {which}")


def _in_currency(url: str, payment: Payment) -> str:
    """What a later command has to say about the currency; nothing if it would be assumed anyway."""
    amount = payment.approved
    return "" if amount is None or amount.currency.code == default_currency(url) else f" --currency {amount.currency}"
