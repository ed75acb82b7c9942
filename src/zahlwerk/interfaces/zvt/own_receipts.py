"""Receipts that the register builds itself from a result (04 0F), for terminals that do not print or send lines. Pure.

Printing the terminal's own lines is safer, and for some payments the only way: receipts of a conversion to the card's
currency, of prepaid cards, and of direct debits without their mandate text are refused here.

Account data (1F2A) are left out: they are blanked out where messages are read.

Source: fact sheet 6.13 (what is needed), 4.2 (tags 45 to 47, 1F10, 1F27 to 1F29, 1F51 to 1F53), 4.3 (63 to 68, E2).
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Final

from zahlwerk.carddata import redact
from zahlwerk.currency import CURRENCIES
from zahlwerk.errors import InvalidRequest, NotSupported
from zahlwerk.interfaces.zvt._rows import Phrase
from zahlwerk.interfaces.zvt.information import StatusInformation, read_information
from zahlwerk.interfaces.zvt.messages import Message, Tlv, find, leaves
from zahlwerk.interfaces.zvt.profiles import Profile
from zahlwerk.interfaces.zvt.registration import Config
from zahlwerk.money import AMOUNT_MINOR_MAX, Currency, Money
from zahlwerk.payment import AMOUNT_KINDS, Outcome, Payment, PaymentKind, Receipt, ReceiptKind

__all__ = ["WIDTH_MAX", "WIDTH_MIN", "build", "copies_due", "needs_signature", "own_receipts"]

# LIMIT: paper of 58 mm has from some 20 characters a line, wide printers up to 80.
WIDTH_MIN: Final = 16
WIDTH_MAX: Final = 80

INTERFACE: Final = "ZVT"

_COPIES: Final = 0x45
_HEADER: Final = 0x64
_ADVERTISING: Final = 0x65
_CUSTOMER: Final = 0x66
_MERCHANT: Final = 0x67
_OUTCOME: Final = 0x68
_CONVERSION: Final = 0xE2
_PREPAID: Final = 0x63
_LINE: Final = 0x07
_LONG_NAME: Final = 0x1F27
_EMERGENCY: Final = 0x1F28
_LIMIT_OVERRIDDEN: Final = 0x1F29
_MANDATE: Final[tuple[int, ...]] = (0x1F51, 0x1F52, 0x1F53)
_AID_PARAMETER: Final = 0xBA

_SIGNED: Final = frozenset({0x01, 0x05, 0x06, 0x07})
"""Tag 1F10 with a signature. Source: fact sheet 6.13."""
_UNKNOWN_CHECK: Final = 0xFF
_WITHOUT_PIN: Final = frozenset({0x40, 0x60})
"""BMP 19, offline and online. Source: fact sheet 2.8."""
_CONTACTLESS: Final = 0x02
_DIRECT_DEBIT: Final = 9
# A debit card without PIN is a direct debit (9) if it is anything that is signed for. Source: fact sheet 5.4, 6.13.
_NEVER_SIGNED: Final = frozenset({2, 5, 7, 13, 30, 46})
"""Card types: ec card, girocard, EAPS, V PAY, GeldKarte, Maestro."""
_CREDIT: Final = frozenset({6, 8, 10, 12, 14, 198, 232})
"""Card types: Mastercard, American Express, Visa, Diners, JCB, UnionPay, Discover. Source: fact sheet 5.4."""

_K = PaymentKind
_TITLES: Final[Mapping[PaymentKind, Phrase]] = MappingProxyType({
    _K.PURCHASE: Phrase("Payment", "Zahlung", "Paiement", "Pagamento"),
    _K.PURCHASE_WITH_CASHBACK: Phrase(
        "Payment with cashback", "Zahlung mit Barauszahlung", "Paiement avec retrait", "Pagamento con prelievo"
    ),
    _K.CASH_ADVANCE: Phrase("Cash advance", "Bargeldbezug", "Avance d'espèces", "Anticipo contanti"),
    _K.REFUND: Phrase("Refund", "Gutschrift", "Crédit", "Accredito"),
    _K.REVERSAL: Phrase("Reversal", "Storno", "Annulation", "Storno"),
    _K.AUTHORISATION: Phrase("Pre-authorisation", "Vorautorisierung", "Préautorisation", "Preautorizzazione"),
    _K.RESERVATION: Phrase("Reservation", "Reservierung", "Réservation", "Prenotazione"),
    _K.RESERVATION_ADJUSTMENT: Phrase(
        "Reservation adjusted", "Reservierung angepasst", "Réservation modifiée", "Prenotazione modificata"
    ),
    _K.RESERVATION_CAPTURE: Phrase(
        "Reservation booked", "Buchung Reservierung", "Réservation débitée", "Addebito prenotazione"
    ),
    _K.RESERVATION_CANCEL: Phrase(
        "Reservation cancelled", "Storno Reservierung", "Annulation réservation", "Storno prenotazione"
    ),
    _K.RESERVATION_PHONE_CONFIRM: Phrase(
        "Reservation by phone", "Reservierung telefonisch", "Réservation par téléphone", "Prenotazione telefonica"
    ),
    _K.MAIL_ORDER: Phrase("Mail order", "Bestellung schriftlich", "Commande par courrier", "Ordine per posta"),
    _K.PHONE_ORDER: Phrase("Phone order", "Bestellung telefonisch", "Commande par téléphone", "Ordine telefonico"),
    _K.FORCED_ACCEPTANCE: Phrase(
        "Payment, merchant's risk", "Zahlung, Risiko Händler", "Paiement, risque vente", "Pagamento, rischio esercente"
    ),
    _K.PHONE_AUTHORISED: Phrase(
        "Payment by phone code", "Zahlung tel. genehmigt", "Paiement autorisé par tél.", "Pagamento autorizz. tel."
    ),
    _K.BALANCE_INQUIRY: Phrase("Balance", "Saldoabfrage", "Solde", "Saldo"),
    _K.CARD_ACTIVATION: Phrase("Card activation", "Kartenaktivierung", "Activation de carte", "Attivazione carta"),
    _K.LOAD: Phrase("Top-up", "Aufladung", "Rechargement", "Ricarica"),
    _K.ACCOUNT_VERIFICATION: Phrase("Card check", "Kartenprüfung", "Vérification de carte", "Verifica carta"),
})  # fmt: skip

_COPY: Final[Mapping[ReceiptKind, Phrase]] = MappingProxyType(
    {
        ReceiptKind.MERCHANT: Phrase("Merchant copy", "Händlerbeleg", "Copie commerçant", "Copia esercente"),
        ReceiptKind.CUSTOMER: Phrase("Customer copy", "Kundenbeleg", "Copie client", "Copia cliente"),
    }
)
_READY_MADE: Final[Mapping[ReceiptKind, int]] = MappingProxyType({
    ReceiptKind.MERCHANT: _MERCHANT, ReceiptKind.CUSTOMER: _CUSTOMER,
})  # fmt: skip

_TERMINAL: Final = Phrase("Terminal", "Terminal-ID", "Terminal", "Terminale")
_DATE: Final = Phrase("Date", "Datum", "Date", "Data")
_TIME: Final = Phrase("Time", "Uhrzeit", "Heure", "Ora")
_RECEIPT_NUMBER: Final = Phrase("Receipt no.", "Beleg-Nr.", "No de reçu", "N. ricevuta")
_TRACE: Final = Phrase("Trace no.", "Trace-Nr.", "No trace", "N. trace")
_ORIGINAL: Final = Phrase("Original trace", "Trace-Nr. Original", "Trace d'origine", "Trace originale")
_CARD: Final = Phrase("Card", "Karte", "Carte", "Carta")
_SEQUENCE: Final = Phrase("Card seq. no.", "Kartenfolge-Nr.", "No séq. carte", "N. seq. carta")
_EXPIRY: Final = Phrase("Valid to", "Gültig bis", "Valable jusqu'au", "Valida fino al")
_CODE: Final = Phrase("Auth. code", "Genehmigungs-Nr.", "Code aut.", "Cod. aut.")
_CONTRACT: Final = Phrase("Contract no.", "VU-Nummer", "No contrat", "N. contratto")
_HOST: Final = Phrase("Host code", "AS-Proc-Code", "Code hôte", "Codice host")
_PARAMETER: Final = Phrase("AID parameter", "AID-Parameter", "Paramètre AID", "Parametro AID")
_AMOUNT: Final = Phrase("Amount", "Betrag", "Montant", "Importo")
_TIP: Final = Phrase("Tip", "Trinkgeld", "Pourboire", "Mancia")
_CASHBACK: Final = Phrase("Cashback", "Barauszahlung", "Retrait", "Prelievo")
_TOTAL: Final = Phrase("Total", "Total", "Total", "Totale")
_OFFLINE_EMERGENCY: Final = Phrase("Emergency mode", "Notbetrieb", "Mode d'urgence", "Modalità d'emergenza")
_OVERRIDDEN: Final = Phrase("Limit overridden", "Limit übersteuert", "Limite dépassée", "Limite superato")
_SIGNATURE: Final = Phrase("Signature", "Unterschrift", "Signature", "Firma")
_APPROVED: Final = Phrase("Approved", "Genehmigt", "Approuvé", "Approvato")
_NOT_APPROVED: Final = Phrase("Not approved", "Nicht genehmigt", "Non approuvé", "Non approvato")

_DECIMAL_COMMA: Final = frozenset({"de", "fr", "it"})
_CONTROLS: Final = dict.fromkeys((*range(0x0A), *range(0x0B, 0x20), 0x7F, *range(0x80, 0xA0)))


def copies_due(
    information: StatusInformation,  # noqa: ARG001 - will have the rule once its view shows tag 45
    approved: bool,
    message: Message | None = None,
) -> tuple[ReceiptKind, ...]:
    """Which copies have to be printed, in their order.

    Args:
        message: the 04 0F itself, which has the rule (tag 45). Without a rule an approval gets both copies, and
            anything else none.
    """
    rule = _rule(message)
    if rule is None:
        return (ReceiptKind.MERCHANT, ReceiptKind.CUSTOMER) if approved else ()
    wanted = zip((ReceiptKind.MERCHANT, ReceiptKind.CUSTOMER), rule, strict=False)
    # 0 none, 1 for approvals, 2 always. A digit that nobody has defined yet asks for something: better a copy too many.
    return tuple(kind for kind, digit in wanted if digit != "0" and (approved or digit != "1"))


def _rule(message: Message | None) -> str | None:
    value = message.tag(_COPIES) if message is not None else None
    if isinstance(value, int):
        value = f"{value:08d}"
    elif isinstance(value, bytes):
        value = value.hex()
    return value[:2] if value is not None and len(value) >= 2 else None


def needs_signature(information: StatusInformation) -> bool:
    """Whether the customer has to sign the merchant's copy. Source: fact sheet 6.13."""
    if information.result != 0:
        return False
    check = information.cardholder_check
    if check is not None and check != _UNKNOWN_CHECK:
        return check in _SIGNED
    if information.technology == _CONTACTLESS or information.card_type in _NEVER_SIGNED:
        return False
    return information.payment_type in _WITHOUT_PIN


def build(
    information: StatusInformation,
    *,
    kind: ReceiptKind,
    title: PaymentKind,
    currency: Currency,
    width: int,
    language: str,
    result_text: str = "",
    message: Message | None = None,
    mandate_text: str = "",
) -> Receipt:
    """One copy of a payment's receipt.

    Args:
        kind: MERCHANT or CUSTOMER.
        currency: of the amount, where the terminal does not say (BMP 49).
        width: characters in a line, `WIDTH_MIN` to `WIDTH_MAX`.
        language: `de`, `fr`, `it` or `en` (also `de_CH` ...); others get English.
        result_text: what became of it; a plain word by default.
        message: the 04 0F itself, for what only it has: header, advertising, account data, mandate.
        mandate_text: what the customer signs for a direct debit, as the network operator wants it.

    Raises:
        NotSupported: only the terminal may print this one: a currency conversion, a prepaid card, or a direct debit
            without the text that the customer has to sign.
        InvalidRequest: the width is out of range, the copy is none, the result or an approval's amount is missing.
    """
    if kind not in _COPY:
        raise InvalidRequest(f"a payment has a merchant and a customer copy, no {kind.value} receipt")
    if not WIDTH_MIN <= width <= WIDTH_MAX:
        raise InvalidRequest(f"a receipt is {WIDTH_MIN} to {WIDTH_MAX} characters wide, got {width}")
    if information.result is None:
        raise InvalidRequest(
            "no receipt says what nobody knows: the result is missing", remedy="look the payment up first"
        )
    if information.result == 0 and information.amount_minor is None and title in AMOUNT_KINDS:
        raise InvalidRequest("an approval without an amount gets no receipt", remedy="look the payment up first")
    tlvs = (message.tlv if message is not None else None) or ()
    _refuse_what_only_terminals_print(information, kind, tlvs, mandate_text)
    paper = _Paper(width, language)
    paper.centred(_lines(tlvs, _HEADER))
    paper.centred((_COPY[kind].of(language), "", _TITLES[title].of(language), ""))
    _numbers(paper, information)
    _card(paper, information, kind, message, tlvs)
    paper.gap()
    _amounts(paper, information, currency)
    paper.gap()
    _outcome(paper, information, kind, tlvs, result_text)
    if kind is ReceiptKind.MERCHANT and needs_signature(information):
        _signature(paper, tlvs, mandate_text)
    paper.gap()
    paper.centred(_lines(tlvs, _ADVERTISING))
    return Receipt(kind=kind, text=paper.text(), sequence=information.receipt_number)


def _refuse_what_only_terminals_print(
    information: StatusInformation, kind: ReceiptKind, tlvs: tuple[Tlv, ...], mandate_text: str
) -> None:
    if find(tlvs, _CONVERSION) is not None:
        raise NotSupported(
            "build the receipt of a currency conversion", INTERFACE, why="only the terminal may print it"
        )
    if find(tlvs, _PREPAID) is not None:
        raise NotSupported("build the receipt of a prepaid card", INTERFACE, why="only the terminal may print it")
    is_debit = information.card_type == _DIRECT_DEBIT and information.result == 0
    if is_debit and kind is ReceiptKind.MERCHANT and not (mandate_text or information.merchant_text):
        raise NotSupported(
            "build the receipt of a direct debit", INTERFACE, why="the text that the customer has to sign is not known"
        )


# -- the parts


def _numbers(paper: _Paper, information: StatusInformation) -> None:
    paper.row(_TERMINAL, information.terminal_id)
    paper.row(_DATE, _day(information.date, paper.language))
    paper.row(_TIME, ":".join(textwrap.wrap(information.time, 2)))
    paper.row(_RECEIPT_NUMBER, "" if information.receipt_number is None else f"{information.receipt_number:04d}")
    paper.row(_TRACE, "" if information.trace is None else f"{information.trace:06d}")
    paper.row(_ORIGINAL, "" if information.original_trace is None else f"{information.original_trace:06d}")


def _card(
    paper: _Paper, information: StatusInformation, kind: ReceiptKind, message: Message | None, tlvs: tuple[Tlv, ...]
) -> None:
    for name in (_first_text(tlvs, _LONG_NAME), information.card_name):
        paper.wrapped(name)
    paper.row(_CARD, information.masked_pan.replace("E", "*"))
    paper.row(_SEQUENCE, information.card_sequence.lstrip("0"))
    if kind is ReceiptKind.MERCHANT:
        # Card schemes want no expiry date on what the customer may drop.
        paper.row(_EXPIRY, _expiry(information.expiry))
    paper.row(_CODE, information.authorisation_attribute)
    if information.card_type in _CREDIT:
        paper.row(_CONTRACT, information.contract_number)
    parameter = message.fields.get(_AID_PARAMETER) if message is not None else None
    paper.row(_PARAMETER, parameter.hex().upper() if isinstance(parameter, bytes) else "")
    paper.row(_HOST, "" if information.host_result is None else f"{information.host_result:02X}")


def _amounts(paper: _Paper, information: StatusInformation, assumed: Currency) -> None:
    total = information.amount_minor
    if total is None:
        return
    told = _BY_NUMBER.get(information.currency_number) if information.currency_number is not None else None
    currency = told or assumed
    extras = [
        (label, amount)
        for label, amount in ((_TIP, information.tip_minor), (_CASHBACK, information.cashback_minor))
        if amount
    ]
    goods = total - sum(amount for _, amount in extras)
    if not extras or goods < 0:
        paper.row(_AMOUNT, _money(total, currency, paper.language))
        return
    for label, amount in ((_AMOUNT, goods), *extras, (_TOTAL, total)):
        paper.row(label, _money(amount, currency, paper.language))


def _outcome(
    paper: _Paper, information: StatusInformation, kind: ReceiptKind, tlvs: tuple[Tlv, ...], result_text: str
) -> None:
    own = find(tlvs, _READY_MADE[kind])
    inside = own.children if own is not None else ()
    outcome = _lines(inside, _OUTCOME) or _lines(tuple(tlv for tlv in tlvs if tlv.tag == _OUTCOME), _OUTCOME)
    word = (_APPROVED if information.result == 0 else _NOT_APPROVED).of(paper.language)
    said = (result_text,) if result_text else outcome or (word,)
    paper.centred(said)
    if information.additional_text.casefold() not in {line.casefold() for line in said}:
        paper.wrapped(information.additional_text)
    if kind is ReceiptKind.MERCHANT:
        for tag, phrase in ((_EMERGENCY, _OFFLINE_EMERGENCY), (_LIMIT_OVERRIDDEN, _OVERRIDDEN)):
            if any(leaf.tag == tag and leaf.value == 1 for leaf in leaves(tlvs)):
                paper.centred((phrase.of(paper.language),))
    ready = information.merchant_text if kind is ReceiptKind.MERCHANT else information.customer_text
    if ready:
        paper.gap()
        paper.as_it_is(ready)


def _signature(paper: _Paper, tlvs: tuple[Tlv, ...], mandate_text: str) -> None:
    paper.gap()
    for text in (*(_first_text(tlvs, tag) for tag in _MANDATE), mandate_text):
        for line in text.splitlines():
            paper.wrapped(line)
    paper.lines += ["", "", "_" * paper.width]
    paper.wrapped(_SIGNATURE.of(paper.language))


# -- words and numbers


_BY_NUMBER: Final = {currency.number: currency for currency in CURRENCIES.values()}
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _money(amount_minor: int, currency: Currency, language: str) -> str:
    if abs(amount_minor) > AMOUNT_MINOR_MAX:
        raise InvalidRequest(f"an amount has at most {len(str(AMOUNT_MINOR_MAX))} digits")
    digits = Money(amount_minor, currency).decimal_text()
    # Switzerland writes a point in all its languages.
    comma = language[:2].lower() in _DECIMAL_COMMA and currency.code != "CHF"
    return f"{currency.code} {digits.replace('.', ',') if comma else digits}"


def _day(date: str, language: str) -> str:
    """MMDD as people write it. The terminal does not tell the year."""
    if len(date) != 4 or not date.isdecimal() or not 1 <= int(date[:2]) <= 12:
        return date
    if language[:2].lower() in _DECIMAL_COMMA:
        return f"{date[2:]}.{date[:2]}."
    return f"{int(date[2:])} {_MONTHS[int(date[:2]) - 1]}"


def _expiry(expiry: str) -> str:
    return f"{expiry[2:]}/{expiry[:2]}" if len(expiry) == 4 and expiry.isdecimal() else ""


def _lines(tlvs: tuple[Tlv, ...], tag: int) -> tuple[str, ...]:
    container = find(tlvs, tag)
    if container is None:
        return ()
    return tuple(_text(leaf) for leaf in leaves(container.children) if leaf.tag == _LINE)


def _first_text(tlvs: tuple[Tlv, ...], tag: int) -> str:
    return next((_text(leaf) for leaf in leaves(tlvs) if leaf.tag == tag), "")


def _text(leaf: Tlv) -> str:
    return leaf.value if isinstance(leaf.value, str) else ""


class _Paper:
    """Lines of a width."""

    def __init__(self, width: int, language: str) -> None:
        self.width = width
        self.language = language
        self.lines: list[str] = []

    def row(self, label: Phrase, value: str) -> None:
        """A label on the left, its value on the right; on two lines where one is too short. Nothing if it is empty."""
        value = _clean(value).replace("\n", " ").strip()
        if not value:
            return
        left = label.of(self.language)
        space = self.width - len(left) - len(value)
        if space >= 1:
            self.lines.append(left + " " * space + value)
            return
        self.lines.append(left[: self.width])
        self.lines += [part.rjust(self.width) for part in self._parts(value)]

    def wrapped(self, text: str) -> None:
        """A text on as many lines as it takes."""
        self.lines += self._parts(_clean(text).replace("\n", " "))

    def centred(self, lines: tuple[str, ...]) -> None:
        """Lines in the middle; an empty one is an empty line."""
        for line in lines:
            self.lines += [part.center(self.width).rstrip() for part in self._parts(_clean(line))] or [""]

    def as_it_is(self, text: str) -> None:
        """Ready-made lines, unchanged."""
        self.lines += _clean(text).splitlines()

    def gap(self) -> None:
        """One empty line between two parts."""
        if self.lines and self.lines[-1]:
            self.lines.append("")

    def text(self) -> str:
        return redact("\n".join(self._trimmed()))

    def _trimmed(self) -> Iterator[str]:
        end = len(self.lines)
        while end and not self.lines[end - 1]:
            end -= 1
        return iter(self.lines[:end])

    def _parts(self, text: str) -> list[str]:
        return textwrap.wrap(text, self.width)


def _clean(text: str) -> str:
    """Without control characters, which a printer would take as commands."""
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(_CONTROLS)


def own_receipts(payment: Payment, told: Message | None, profile: Profile, *, language: str) -> tuple[Receipt, ...]:
    """The copies of a payment that the register has to make itself; none where the terminal sends its own lines.

    What may not be made here (DCC, prepaid, a direct debit without its mandate text) is left out: the terminal has it.
    """
    makes_them = profile.config & Config.PAYMENT_RECEIPTS and not profile.config & Config.LINES
    if not makes_them or told is None or payment.outcome is Outcome.UNKNOWN:
        return ()
    information = read_information(told)
    currency = payment.requested.currency if payment.requested is not None else None
    if payment.approved is not None:
        currency = payment.approved.currency
    if currency is None:
        return ()
    made = []
    for kind in copies_due(information, payment.is_approved, told):
        with suppress(NotSupported, InvalidRequest):
            made.append(
                build(
                    information,
                    kind=kind,
                    title=payment.kind,
                    currency=currency,
                    width=profile.width,
                    language=language,
                    message=told,
                )
            )
    return tuple(made)
