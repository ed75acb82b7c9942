"""The terminal's result codes with words for staff and for integrators. Source: fact sheet 5.1. Sentences are ours.

Host codes 01 to 63 stand in `_host_results`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from zahlwerk.interfaces.zvt import _steps as then
from zahlwerk.interfaces.zvt._host_results import HOST_RESULT_ROWS, other_host_result
from zahlwerk.interfaces.zvt._rows import Phrase, ResultRow
from zahlwerk.interfaces.zvt._sources import OURS, standard
from zahlwerk.payment import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RESULTS", "RESULT_ROWS", "result_row"]

_A, _D, _X, _F = Outcome.APPROVED, Outcome.DECLINED, Outcome.ABORTED, Outcome.FAILED
_SOURCE: Final = standard("5.1")


def _r(
    code: int, name: str, outcome: Outcome | None, staff: tuple[str, str, str, str], integrator: str,
    next_step: Phrase = then.NONE,
) -> ResultRow:  # fmt: skip
    return ResultRow(code, name, outcome, Phrase(*staff), integrator, next_step, _SOURCE)


_FAULT: Final = (
    "The terminal has a fault.",
    "Das Terminal hat eine Störung.",
    "Le terminal a un défaut.",
    "Il terminale ha un guasto.",
)
_READER: Final = (
    "The card reader has a fault.", "Der Kartenleser hat eine Störung.", "Le lecteur de cartes a un défaut.",
    "Il lettore di carte ha un guasto.",
)  # fmt: skip
_UNREADABLE: Final = (
    "The card could not be read.", "Die Karte konnte nicht gelesen werden.", "La carte n'a pas pu être lue.",
    "Non è stato possibile leggere la carta.",
)  # fmt: skip
_NOT_HERE: Final = (
    "This card is not accepted here.", "Diese Karte wird hier nicht angenommen.", "Cette carte n'est pas acceptée ici.",
    "Questa carta non è accettata qui.",
)  # fmt: skip
_NO_LINE: Final = (
    "The terminal could not reach the bank.", "Das Terminal hat die Bank nicht erreicht.",
    "Le terminal n'a pas pu joindre la banque.", "Il terminale non ha raggiunto la banca.",
)  # fmt: skip
_NOT_POSSIBLE: Final = (
    "The terminal cannot do this.", "Das kann das Terminal nicht.", "Le terminal ne peut pas faire cela.",
    "Il terminale non può farlo.",
)  # fmt: skip
_FULL: Final = (
    "The terminal's memory is full.", "Der Speicher des Terminals ist voll.", "La mémoire du terminal est pleine.",
    "La memoria del terminale è piena.",
)  # fmt: skip
_KEYS: Final = (
    "The terminal lacks a security key.", "Dem Terminal fehlt ein Sicherheitsschlüssel.",
    "Une clé de sécurité manque au terminal.", "Al terminale manca una chiave di sicurezza.",
)  # fmt: skip
_BUSY: Final = (
    "The terminal is busy.",
    "Das Terminal ist beschäftigt.",
    "Le terminal est occupé.",
    "Il terminale è occupato.",
)
_AMOUNT: Final = (
    "The amount is not possible.", "Dieser Betrag ist nicht möglich.", "Ce montant n'est pas possible.",
    "Questo importo non è possibile.",
)  # fmt: skip
_CURRENCY: Final = (
    "The terminal does not take this currency.", "Das Terminal nimmt diese Währung nicht an.",
    "Le terminal n'accepte pas cette monnaie.", "Il terminale non accetta questa valuta.",
)  # fmt: skip

_CODES: Final[tuple[ResultRow, ...]] = (
    _r(0x00, "no_error", _A, ("Done.", "Erledigt.", "Terminé.", "Fatto."),
       "No error. Host codes A0 to AF arrive as 00 too, with BMP A0."),
    _r(0x64, "card_unreadable", _F, _UNREADABLE, "Card not readable (LRC or parity).", then.RETRY),
    _r(0x65, "no_card_data", _F, _UNREADABLE, "No card data: neither stripe nor chip found.", then.RETRY),
    _r(0x66, "processing_error", _F, _READER, "Processing error, card reader trouble.", then.RETRY),
    _r(0x67, "not_for_debit", _F, _NOT_HERE, "Function not allowed for girocard or Maestro.", then.OTHER_CARD),
    _r(0x68, "not_for_credit", _F, _NOT_HERE, "Function not allowed for credit or fuel cards.", then.OTHER_CARD),
    _r(0x6A, "store_full", _F, _FULL, "The turnover store is full.", then.END_OF_DAY),
    _r(0x6B, "switched_off", _F, _NOT_POSSIBLE, "Function switched off, or the terminal is not registered.",
       then.CHECK_SETTINGS),
    _r(0x6C, "cancelled", _X, ("Cancelled.", "Abgebrochen.", "Annulé.", "Annullato."), "Cancel key or time-out."),
    _r(0x6E, "blocked", _D, ("The card is blocked.", "Die Karte ist gesperrt.", "La carte est bloquée.",
       "La carta è bloccata."), "On the list of blocked cards.", then.OTHER_MEANS),
    _r(0x6F, "wrong_currency", _F, _CURRENCY, "Wrong currency; after 06 09: amount not allowed.", then.CHECK_CURRENCY),
    _r(0x71, "purse_too_low", _D, ("There is too little on the card.", "Das Guthaben der Karte reicht nicht.",
       "Le solde de la carte est insuffisant.", "Il credito della carta non basta."), "Purse balance too low.",
       then.OTHER_MEANS),
    _r(0x72, "chip_fault", _F, ("The card's chip has a fault.", "Der Chip der Karte ist gestört.",
       "La puce de la carte est défectueuse.", "Il chip della carta è difettoso."), "Chip error.", then.OTHER_CARD),
    _r(0x73, "card_data_wrong", _D, ("The card's data is wrong.", "Die Kartendaten sind falsch.",
       "Les données de la carte sont fausses.", "I dati della carta sono errati."), "Card data implausible.",
       then.OTHER_CARD),
    _r(0x74, "dukpt_used_up", _F, _KEYS, "DUKPT engine exhausted.", then.ASK_SERVICE),
    _r(0x75, "text_not_authentic", _F, _NOT_POSSIBLE, "The MAC over a display text is wrong.", then.CHECK_SETTINGS),
    _r(0x76, "not_on_whitelist", _F, _NOT_HERE, "The card number is not on the whitelist.", then.OTHER_CARD),
    _r(0x77, "no_end_of_day", _F, ("The end of day is not possible now.", "Der Kassenschnitt geht gerade nicht.",
       "La clôture n'est pas possible maintenant.", "La chiusura non è possibile ora."), "End of day not possible.",
       then.WAIT),
    _r(0x78, "expired", _D, ("The card has expired.", "Die Karte ist abgelaufen.", "La carte est échue.",
       "La carta è scaduta."), "Card expired.", then.OTHER_CARD),
    _r(0x79, "not_yet_valid", _D, ("The card is not valid yet.", "Die Karte ist noch nicht gültig.",
       "La carte n'est pas encore valable.", "La carta non è ancora valida."), "Card not yet valid.", then.OTHER_CARD),
    _r(0x7A, "card_unknown", _D, _NOT_HERE, "Card unknown to the terminal.", then.OTHER_CARD),
    _r(0x7B, "no_fallback_debit", _D, ("This card works with its chip only.", "Diese Karte geht nur mit Chip.",
       "Cette carte ne fonctionne qu'avec la puce.", "Questa carta funziona solo con il chip."),
       "No fallback to the stripe for girocard.", then.CHIP),
    _r(0x7C, "no_fallback", _D, ("This card works with its chip only.", "Diese Karte geht nur mit Chip.",
       "Cette carte ne fonctionne qu'avec la puce.", "Questa carta funziona solo con il chip."),
       "No fallback to the stripe for other cards.", then.CHIP),
    _r(0x7D, "no_modem", _F, _NO_LINE, "Communication module missing or silent.", then.CHECK_LINE),
    _r(0x7E, "no_fallback_direct_debit", _D, ("This card works with its chip only.", "Diese Karte geht nur mit Chip.",
       "Cette carte ne fonctionne qu'avec la puce.", "Questa carta funziona solo con il chip."),
       "No fallback for girocard; direct debit would be possible.", then.CHIP),
    _r(0x83, "not_possible", _F, _NOT_POSSIBLE, "Function impossible, command or BMP unknown.", then.CHECK_SETTINGS),
    _r(0x85, "key_missing", _F, _KEYS, "A key is missing.", then.ASK_SERVICE),
    _r(0x89, "pin_pad_defective", _F, ("The PIN pad has a fault.", "Das PIN-Pad hat eine Störung.",
       "Le clavier NIP a un défaut.", "La tastiera PIN ha un guasto."), "PIN pad defective.", then.ASK_SERVICE),
    _r(0x9A, "protocol_error", _F, ("Till and terminal misunderstood each other.",
       "Kasse und Terminal haben sich nicht verstanden.", "La caisse et le terminal ne se sont pas compris.",
       "Cassa e terminale non si sono capiti."), "ZVT protocol error: parse error or a mandatory field is missing.",
       then.CHECK_SETTINGS),
    _r(0x9B, "host_fault", _F, _NO_LINE,
       "Fault between terminal and host; the terminal reverses by itself, the customer may see a hold for a while.",
       then.CHECK_LINE),
    _r(0x9C, "please_wait", None, _BUSY, "The terminal asks to wait.", then.WAIT),
    _r(0x9D, "partial_goods", None, ("The goods were issued in part.", "Die Ware wurde zum Teil ausgegeben.",
       "La marchandise a été remise en partie.", "La merce è stata consegnata in parte."), "Partial issue of goods."),
    _r(0xA0, "not_ready", _F, _BUSY, "Receiver not ready; Feig: not configured.", then.WAIT),
    _r(0xA1, "peer_silent", _F, _NO_LINE, "The other side does not answer.", then.CHECK_LINE),
    _r(0xA3, "no_connection", _F, _NO_LINE, "No connection to the host.", then.CHECK_LINE),
    _r(0xA4, "no_purse_submission", _F, _NO_LINE, "GeldKarte submission impossible.", then.CHECK_LINE),
    _r(0xA5, "forbidden", _F, _NOT_POSSIBLE, "Forbidden by PCI or P2PE rules.", then.CHECK_SETTINGS),
    _r(0xB1, "memory_full", _F, _FULL, "Memory full.", then.END_OF_DAY),
    _r(0xB2, "journal_full", _F, _FULL, "Merchant journal full: read and delete it (08 11, 08 12).", then.END_OF_DAY),
    _r(0xB4, "already_reversed", _F, ("This payment was reversed before.", "Diese Zahlung ist schon storniert.",
       "Ce paiement est déjà annulé.", "Questo pagamento è già stornato."), "Already reversed."),
    _r(0xB5, "no_reversal", _F, ("This payment cannot be reversed.", "Diese Zahlung lässt sich nicht stornieren.",
       "Ce paiement ne peut pas être annulé.", "Questo pagamento non si può stornare."),
       "Reversal impossible: not in the store, or not the last one.", Phrase("Give a refund instead.",
       "Stattdessen eine Gutschrift geben.", "Faites plutôt un remboursement.", "Faccia invece un rimborso.")),
    _r(0xB7, "reservation_wrong", _F, _AMOUNT, "Pre-authorisation too high, or wrong amount.", then.CHECK_AMOUNT),
    _r(0xB8, "reservation_error", None, ("There is no such reservation.", "Diese Reservierung gibt es nicht.",
       "Cette réservation n'existe pas.", "Questa prenotazione non esiste."),
       "Pre-authorisation error; also the normal end of the enquiry for open ones."),
    _r(0xBF, "voltage_low", _F, ("The terminal's battery is low.", "Der Akku des Terminals ist schwach.",
       "La batterie du terminal est faible.", "La batteria del terminale è scarica."), "Supply voltage too low.",
       Phrase("Charge the terminal.", "Terminal aufladen.", "Chargez le terminal.", "Ricarichi il terminale.")),
    _r(0xC0, "card_lock", _F, _READER, "Card lock mechanism defective.", then.ASK_SERVICE),
    _r(0xC1, "merchant_card_locked", _F, ("The merchant card is locked.", "Die Händlerkarte ist gesperrt.",
       "La carte commerçant est bloquée.", "La carta esercente è bloccata."), "Merchant card locked.", then.DIAGNOSE),
    _r(0xC2, "diagnosis_needed", _F, ("The terminal needs a diagnosis.", "Das Terminal braucht eine Diagnose.",
       "Le terminal a besoin d'un diagnostic.", "Il terminale richiede una diagnosi."), "Diagnosis needed (06 70).",
       then.DIAGNOSE),
    _r(0xC3, "above_maximum", _D, _AMOUNT, "Above the maximum amount.", then.CHECK_AMOUNT),
    _r(0xC4, "profiles_invalid", _F, ("The terminal's card tables are out of date.",
       "Die Kartentabellen des Terminals sind veraltet.", "Les tables de cartes du terminal sont périmées.",
       "Le tabelle carte del terminale sono scadute."), "Card profiles invalid: software update (08 10).",
       then.ASK_SERVICE),
    _r(0xC5, "means_not_supported", _D, _NOT_HERE, "Payment method not supported; card complete: payment type.",
       then.OTHER_MEANS),
    _r(0xC6, "currency_impossible", _D, _CURRENCY, "Currency impossible.", then.CHECK_CURRENCY),
    _r(0xC8, "amount_too_small", _D, _AMOUNT, "Amount too small.", then.CHECK_AMOUNT),
    _r(0xC9, "maximum_too_small", _D, _AMOUNT, "The terminal's maximum is too small.", then.CHECK_AMOUNT),
    _r(0xCB, "euro_only", _F, _CURRENCY, "Only EUR is possible.", then.CHECK_CURRENCY),
    _r(0xCC, "printer_not_ready", _F, ("The printer is not ready.", "Der Drucker ist nicht bereit.",
       "L'imprimante n'est pas prête.", "La stampante non è pronta."), "Printer not ready.", then.PAPER),
    _r(0xCD, "no_cashback", _D, ("Cash-back is not possible.", "Eine Bargeldauszahlung ist nicht möglich.",
       "Le retrait d'espèces n'est pas possible.", "Il prelievo di contanti non è possibile."),
       "Cash-back impossible; card complete may have approved the purchase itself: read 04 0F.", then.LOOK),
    _r(0xD2, "not_for_service_cards", _D, _NOT_HERE, "Not for service or bank customer cards.", then.OTHER_CARD),
    _r(0xDC, "card_inserted", _F, ("A card is still in the reader.", "Es steckt noch eine Karte.",
       "Une carte est encore insérée.", "C'è ancora una carta inserita."), "Card inserted.", then.TAKE_CARD),
    _r(0xDD, "eject_failed", _F, _READER, "The card could not be ejected.", then.ASK_SERVICE),
    _r(0xDE, "draw_in_failed", _F, _READER, "The card could not be drawn in.", then.ASK_SERVICE),
    _r(0xE0, "remote_maintenance", _F, ("The terminal is being serviced.", "Das Terminal wird gerade gewartet.",
       "Le terminal est en maintenance.", "Il terminale è in manutenzione."), "Remote maintenance is running.",
       then.WAIT),
    _r(0xE2, "reader_defective", _F, _READER, "Card reader silent or defective.", then.ASK_SERVICE),
    _r(0xE3, "shutter_closed", _F, _READER, "The shutter is closed.", then.ASK_SERVICE),
    _r(0xE4, "must_be_activated", _F, ("The terminal must be activated.", "Das Terminal muss freigeschaltet werden.",
       "Le terminal doit être activé.", "Il terminale deve essere attivato."), "Activation needed.", then.ASK_SERVICE),
    _r(0xE7, "no_goods_group", _D, ("The card does not pay for these goods.", "Die Karte zahlt diese Ware nicht.",
       "La carte ne paie pas ces articles.", "La carta non paga questi articoli."), "No goods group allowed.",
       then.OTHER_MEANS),
    _r(0xE8, "no_goods_table", _F, _NOT_POSSIBLE, "No table of goods groups loaded.", then.CHECK_SETTINGS),
    _r(0xE9, "restricted", _D, _NOT_HERE, "Restriction code not allowed.", then.OTHER_CARD),
    _r(0xEA, "card_code_not_allowed", _D, _NOT_HERE, "Card code not allowed.", then.OTHER_CARD),
    _r(0xEB, "pin_algorithm_unknown", _F, _NOT_POSSIBLE, "PIN algorithm unknown.", then.CHECK_SETTINGS),
    _r(0xEC, "pin_impossible", _F, _NOT_POSSIBLE, "PIN processing impossible.", then.CHECK_SETTINGS),
    _r(0xED, "pin_pad_defective_2", _F, ("The PIN pad has a fault.", "Das PIN-Pad hat eine Störung.",
       "Le clavier NIP a un défaut.", "La tastiera PIN ha un guasto."), "PIN pad defective.", then.ASK_SERVICE),
    _r(0xF0, "end_of_day_open", _F, ("An end of day is overdue.", "Ein Kassenschnitt steht noch aus.",
       "Une clôture journalière est en retard.", "Una chiusura giornaliera è in sospeso."), "End of day still open.",
       then.END_OF_DAY),
    _r(0xF1, "offline_error", _F, _NO_LINE, "Offline error of ec cash or Maestro.", then.CHECK_LINE),
    _r(0xF5, "opt_error", _F, _KEYS, "OPT error.", then.ASK_SERVICE),
    _r(0xF6, "opt_missing", _F, _KEYS, "OPT data missing: OPT personalisation (08 20).", then.ASK_SERVICE),
    _r(0xFA, "offline_submission_failed", _F, _NO_LINE, "Sending offline transactions failed.", then.CHECK_LINE),
    _r(0xFB, "record_damaged", _F, _FAULT, "Turnover record damaged.", then.ASK_SERVICE),
    _r(0xFC, "device_missing", _F, _FAULT, "A device is missing or defective.", then.ASK_SERVICE),
    _r(0xFD, "baud_not_supported", _F, _NOT_POSSIBLE, "Baud rate not supported.", then.CHECK_SETTINGS),
    _r(0xFE, "register_unknown", _F, ("The terminal does not know this till.", "Das Terminal kennt diese Kasse nicht.",
       "Le terminal ne connaît pas cette caisse.", "Il terminale non conosce questa cassa."), "Register unknown.",
       then.CHECK_SETTINGS),
    _r(0xFF, "other_error", _F, _FAULT, "Other error: see tags 1F16 and 1F17.", then.LOOK),
)  # fmt: skip

RESULT_ROWS: Final[tuple[ResultRow, ...]] = tuple(sorted((*_CODES, *HOST_RESULT_ROWS), key=lambda row: row.code))
RESULTS: Final[Mapping[int, ResultRow]] = MappingProxyType({row.code: row for row in RESULT_ROWS})
"""By code; see `result_row` for those that are not listed."""


def result_row(code: int) -> ResultRow:
    """What a code means; codes that are not listed are failures (fact sheet 5.1), among 1 to 99 refusals of a host."""
    if (row := RESULTS.get(code)) is not None:
        return row
    if 0 < code < 100:
        return other_host_result(code)
    words = (f"The terminal reports ZVT {code:02X}.", f"Das Terminal meldet ZVT {code:02X}.",
             f"Le terminal signale ZVT {code:02X}.", f"Il terminale segnala ZVT {code:02X}.")  # fmt: skip
    return ResultRow(code, f"zvt_{code:02x}", _F, Phrase(*words), "Not in the standard's list.", then.LOOK, OURS)
