"""Response codes of the host, 01 to 63 hexadecimal: two decimal digits in binary. Source: fact sheet 5.1.1.

What they mean belongs to the network operator. These are the customary meanings in Germany and Austria; the number is
shown as well.
"""

from __future__ import annotations

from typing import Final

from zahlwerk.interfaces.zvt import _steps as then
from zahlwerk.interfaces.zvt._rows import Phrase, ResultRow
from zahlwerk.interfaces.zvt._sources import vendor
from zahlwerk.payment import Outcome

__all__ = ["HOST_RESULT_ROWS", "other_host_result"]

_SOURCE: Final = vendor("network operators", "fact sheet 5.1.1")
_D, _R = Outcome.DECLINED, Outcome.REFERRED

_REFUSED: Final = (
    "The bank refused the payment", "Die Bank hat die Zahlung abgelehnt", "La banque a refusé le paiement",
    "La banca ha rifiutato il pagamento",
)  # fmt: skip
_CALL: Final = (
    "The bank asks for a call", "Die Bank bittet um einen Anruf", "La banque demande un appel",
    "La banca chiede una telefonata",
)  # fmt: skip
_MERCHANT: Final = (
    "The terminal is not known to the bank", "Das Terminal ist der Bank nicht bekannt",
    "Le terminal n'est pas connu de la banque", "Il terminale non è noto alla banca",
)  # fmt: skip
_CARD: Final = (
    "The bank does not admit this card", "Die Bank lässt diese Karte nicht zu", "La banque n'admet pas cette carte",
    "La banca non ammette questa carta",
)  # fmt: skip
_BLOCKED: Final = ("The card is blocked", "Die Karte ist gesperrt", "La carte est bloquée", "La carta è bloccata")
_FUNDS: Final = (
    "The limit of the card does not suffice", "Der Rahmen der Karte reicht nicht",
    "La limite de la carte ne suffit pas", "Il limite della carta non basta",
)  # fmt: skip
_SLOW: Final = (
    "The bank did not answer", "Die Bank hat nicht geantwortet", "La banque n'a pas répondu",
    "La banca non ha risposto",
)  # fmt: skip
_INSERT: Final = (
    "This card must be inserted", "Diese Karte muss gesteckt werden", "Cette carte doit être insérée",
    "Questa carta va inserita",
)  # fmt: skip
_EXPIRED: Final = ("The card has expired", "Die Karte ist abgelaufen", "La carte est échue", "La carta è scaduta")
_WRONG_PIN: Final = ("The PIN was wrong", "Die PIN war falsch", "Le NIP était faux", "Il PIN era errato")
_PINS_USED: Final = (
    "The PIN was wrong too often", "Die PIN war zu oft falsch", "Le NIP a été faux trop souvent",
    "Il PIN è stato errato troppe volte",
)  # fmt: skip
_ORIGINAL: Final = (
    "The original payment was not found", "Die ursprüngliche Zahlung wurde nicht gefunden",
    "Le paiement d'origine n'a pas été trouvé", "Il pagamento originale non è stato trovato",
)  # fmt: skip
_FAULT: Final = (
    "The bank's system has a fault", "Bei der Bank liegt eine Störung vor", "Le système de la banque a un défaut",
    "Il sistema della banca ha un guasto",
)  # fmt: skip
_CLOCK: Final = (
    "The terminal's clock is wrong", "Die Uhr des Terminals geht falsch", "L'horloge du terminal est fausse",
    "L'orologio del terminale è errato",
)  # fmt: skip

_TABLE: Final[tuple[tuple[int, str, Outcome, tuple[str, str, str, str], str, Phrase], ...]] = (
    (1, "call", _R, _CALL, "Refused; authorisation by telephone is possible.", then.CALL_BANK),
    (2, "call_2", _R, _CALL, "Refused; authorisation by telephone is possible.", then.CALL_BANK),
    (3, "merchant_invalid", _D, _MERCHANT, "Merchant number invalid.", then.ASK_SERVICE),
    (4, "card_not_admitted", _D, _CARD, "Card not admitted.", then.OTHER_MEANS),
    (5, "refused", _D, _REFUSED, "Refused by the host.", then.OTHER_MEANS),
    (6, "transfer_fault", _D, _FAULT, "Transfer fault.", then.RETRY),
    (9, "delayed", _D, _SLOW, "Delayed, or host time-out.", then.RETRY),
    (10, "host_time_out", _D, _SLOW, "Host time-out.", then.RETRY),
    (12, "transaction_invalid", _D, _REFUSED, "Transaction invalid.", then.OTHER_MEANS),
    (13, "amount_invalid", _D, _FUNDS, "Available amount exceeded, or amount invalid.", then.OTHER_MEANS),
    (14, "card_invalid", _D, _CARD, "Card invalid.", then.OTHER_MEANS),
    (19, "insert_card", _D, _INSERT, "Contactless not possible.", then.CHIP),
    (21, "original_missing", _D, _ORIGINAL, "Original transaction not found (reversal).", then.LOOK),
    (30, "message_format", _D, _FAULT, "Message format.", then.ASK_SERVICE),
    (31, "issuer_not_accepted", _D, _CARD, "Issuer not accepted.", then.OTHER_MEANS),
    (33, "expired", _D, _EXPIRED, "Card expired; unattended: use chip and PIN.", then.OTHER_CARD),
    (34, "manipulation", _D, _REFUSED, "Manipulation suspected.", then.OTHER_MEANS),
    (40, "function_missing", _D, _REFUSED, "Function not supported.", then.CHECK_SETTINGS),
    (41, "lost", _D, _BLOCKED, "Lost card: retain it.", then.OTHER_MEANS),
    (43, "stolen", _D, _BLOCKED, "Stolen card: retain it.", then.OTHER_MEANS),
    (50, "duplicate", _D, _REFUSED, "Duplicate authorisation.", then.LOOK),
    (51, "limit", _D, _FUNDS, "Limit exceeded, or PIN demanded.", then.OTHER_MEANS),
    (54, "expired_2", _D, _EXPIRED, "Card expired.", then.OTHER_CARD),
    (55, "wrong_pin", _D, _WRONG_PIN, "PIN wrong; the terminal may ask again by itself.", then.RETRY),
    (56, "card_unknown", _D, _CARD, "Card unknown to the host.", then.OTHER_MEANS),
    (57, "other_card", _D, _CARD, "Other card than in the original transaction, or not allowed.", then.OTHER_CARD),
    (58, "terminal_unknown", _D, _MERCHANT, "Terminal unknown, not allowed or not activated.", then.ASK_SERVICE),
    (59, "fraud", _D, _REFUSED, "Fraud suspected.", then.OTHER_MEANS),
    (61, "blocked", _D, _BLOCKED, "Card blocked; unattended: use chip and PIN.", then.OTHER_MEANS),
    (62, "blocked_2", _D, _BLOCKED, "Card blocked.", then.OTHER_MEANS),
    (64, "amount_differs", _D, _REFUSED, "Amount differs from the original transaction.", then.CHECK_AMOUNT),
    (65, "used_too_often", _D, _INSERT, "Used too often; contactless: insert the card, PIN.", then.CHIP),
    (75, "pins_used_up", _D, _PINS_USED, "PIN wrong too often.", then.OTHER_MEANS),
    (78, "system_fault", _D, _FAULT, "System fault.", then.RETRY),
    (80, "amount_gone", _D, _FUNDS, "Amount gone, or card expired.", then.OTHER_MEANS),
    (81, "pin_block", _D, _FAULT, "PIN block.", then.RETRY),
    (82, "system_fault_2", _D, _FAULT, "System fault.", then.RETRY),
    (83, "no_pin_change", _D, _FAULT, "PIN pad change impossible.", then.ASK_SERVICE),
    (85, "company_refused", _D, _REFUSED, "Refused by the card company.", then.OTHER_MEANS),
    (86, "terminal_inactive", _D, _MERCHANT, "Terminal inactive.", then.ASK_SERVICE),
    (87, "initialise", _D, _MERCHANT, "Initialisation needed.", then.INITIALISE),
    (89, "system_fault_3", _D, _FAULT, "System fault.", then.RETRY),
    (91, "issuer_unreachable", _D, _SLOW, "Issuer or network unreachable.", then.RETRY),
    *((number, f"try_again_{number}", _D, _FAULT, "Host or system fault, try again.", then.RETRY)
      for number in (*range(92, 98), 99)),
    (98, "clock", _D, _CLOCK, "Date or time wrong, diagnosis needed.", then.DIAGNOSE),
)  # fmt: skip


def _row(
    number: int, name: str, outcome: Outcome, words: tuple[str, str, str, str], integrator: str, step: Phrase
) -> ResultRow:
    staff = Phrase(*(f"{text} ({number:02d})." for text in words))
    return ResultRow(number, f"host_{name}", outcome, staff, f"Host {number:02d}: {integrator}", step, _SOURCE)


HOST_RESULT_ROWS: Final[tuple[ResultRow, ...]] = tuple(_row(*entry) for entry in _TABLE)


def other_host_result(number: int) -> ResultRow:
    """A response code that no list explains: a refusal all the same."""
    return _row(number, f"code_{number:02d}", _D, _REFUSED, "No customary meaning.", then.OTHER_MEANS)
