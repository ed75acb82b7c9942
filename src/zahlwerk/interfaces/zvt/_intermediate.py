"""Intermediate states (04 FF): what the terminal is doing, for people. Source: fact sheet 5.3. Wording is ours.

None of them decides a payment: "approved" is a text on a display, not a result.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from zahlwerk.codec.source import Source
from zahlwerk.events import Progress
from zahlwerk.interfaces.zvt._rows import IntermediateRow, Phrase
from zahlwerk.interfaces.zvt._sources import inferred, standard, vendor

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["INTERMEDIATE_ROWS", "PROGRESS", "intermediate_row"]

_SPEC: Final = standard("5.3")
_SEEN: Final = inferred("fact sheet 5.3")
_INGENICO: Final = vendor("Ingenico", "fact sheet 5.3")

_TEXTS: Final[tuple[tuple[int, bool, str, str, str, str], ...]] = (
    (0x00, False, "Confirm the amount on the terminal", "Bitte Betrag am Terminal bestätigen",
     "Confirmez le montant sur le terminal", "Confermi l'importo sul terminale"),
    (0x01, True, "Follow the PIN pad", "Bitte Hinweise am PIN-Pad beachten", "Suivez le clavier NIP",
     "Segua le indicazioni della tastiera PIN"),
    (0x02, True, "Follow the PIN pad", "Bitte Hinweise am PIN-Pad beachten", "Suivez le clavier NIP",
     "Segua le indicazioni della tastiera PIN"),
    (0x03, True, "Not possible", "Vorgang nicht möglich", "Opération impossible", "Operazione impossibile"),
    (0x04, False, "Waiting for the bank", "Warten auf die Bank", "Attente de la banque", "In attesa della banca"),
    (0x05, False, "Reversing by itself", "Automatischer Storno läuft", "Annulation automatique en cours",
     "Storno automatico in corso"),
    (0x06, False, "Sending stored bookings", "Nachbuchungen laufen", "Envoi des écritures en attente",
     "Invio delle registrazioni in attesa"),
    (0x07, True, "Card not accepted here", "Karte nicht zugelassen", "Carte non admise", "Carta non ammessa"),
    (0x08, True, "Card unknown", "Karte unbekannt", "Carte inconnue", "Carta sconosciuta"),
    (0x09, True, "Card expired", "Karte abgelaufen", "Carte échue", "Carta scaduta"),
    (0x0A, True, "Please present the card", "Bitte Karte stecken oder vorhalten", "Présentez la carte",
     "Presenti la carta"),
    (0x0B, False, "Please take the card", "Bitte Karte entnehmen", "Retirez la carte", "Ritiri la carta"),
    (0x0C, True, "Card cannot be read", "Karte nicht lesbar", "Carte illisible", "Carta illeggibile"),
    (0x0D, True, "Stopped", "Vorgang abgebrochen", "Opération interrompue", "Operazione interrotta"),
    (0x0E, True, "Being processed, please wait", "In Bearbeitung, bitte warten", "Traitement en cours, patientez",
     "Elaborazione in corso, attendere"),
    (0x0F, False, "Automatic end of day begins", "Automatischer Kassenschnitt beginnt",
     "La clôture automatique commence", "Inizia la chiusura automatica"),
    (0x10, True, "Card invalid", "Karte ungültig", "Carte non valable", "Carta non valida"),
    (0x11, False, "Balance shown", "Guthabenanzeige", "Affichage du solde", "Visualizzazione del saldo"),
    (0x12, True, "System fault", "Systemfehler", "Erreur du système", "Errore di sistema"),
    (0x13, True, "Payment not possible", "Zahlung nicht möglich", "Paiement impossible", "Pagamento impossibile"),
    (0x14, True, "Balance too low", "Guthaben reicht nicht", "Solde insuffisant", "Credito insufficiente"),
    (0x15, True, "PIN wrong", "PIN falsch", "NIP faux", "PIN errato"),
    (0x16, False, "Limit too low", "Limit reicht nicht", "Limite insuffisante", "Limite insufficiente"),
    (0x17, True, "Please wait", "Bitte warten", "Patientez", "Attendere prego"),
    (0x18, True, "PIN wrong too often", "PIN zu oft falsch", "NIP faux trop souvent", "PIN errato troppe volte"),
    (0x19, True, "Card data wrong", "Kartendaten falsch", "Données de la carte fausses", "Dati della carta errati"),
    (0x1A, False, "Service mode", "Servicebetrieb", "Mode de service", "Modalità di servizio"),
    (0x1B, True, "Authorised, please fill up", "Genehmigt, bitte tanken", "Autorisé, faites le plein",
     "Autorizzato, faccia rifornimento"),
    (0x1C, True, "Authorised, please take the goods", "Genehmigt, bitte Ware nehmen", "Autorisé, prenez la marchandise",
     "Autorizzato, prenda la merce"),
    (0x1D, True, "Refused", "Abgelehnt", "Refusé", "Rifiutato"),
    (0x26, False, "Enter the mobile number", "Mobilnummer eingeben", "Saisissez le numéro de mobile",
     "Inserisca il numero di cellulare"),
    (0x27, False, "Repeat the mobile number", "Mobilnummer wiederholen", "Répétez le numéro de mobile",
     "Ripeta il numero di cellulare"),
    (0x28, False, "Choose the currency", "Währung wählen", "Choisissez la monnaie", "Scelga la valuta"),
    (0x29, False, "Choose the language", "Sprache wählen", "Choisissez la langue", "Scelga la lingua"),
    (0x2A, False, "Insert the card to load", "Zum Laden Karte stecken", "Insérez la carte à charger",
     "Inserisca la carta da caricare"),
    (0x2B, False, "Offline, emergency mode", "Offline, Notbetrieb", "Hors ligne, mode de secours",
     "Offline, modalità di emergenza"),
    (0x2C, False, "Choose debit or credit", "Debit oder Kredit wählen", "Choisissez débit ou crédit",
     "Scelga debito o credito"),
    (0x68, False, "Card inserted", "Karte erkannt", "Carte insérée", "Carta inserita"),
    (0x69, False, "Choose the currency", "Währung wählen", "Choisissez la monnaie", "Scelga la valuta"),
    (0xC7, False, "Enter the mileage", "Kilometerstand eingeben", "Saisissez le kilométrage",
     "Inserisca i chilometri"),
    (0xC8, False, "Waiting for the cashier", "Warten auf die Kasse", "Attente de la caisse", "In attesa della cassa"),
    (0xC9, False, "Automatic diagnosis begins", "Automatische Diagnose beginnt",
     "Le diagnostic automatique commence", "Inizia la diagnosi automatica"),
    (0xCA, False, "Automatic initialisation begins", "Automatische Initialisierung beginnt",
     "L'initialisation automatique commence", "Inizia l'inizializzazione automatica"),
    (0xCB, False, "Merchant journal full", "Händlerjournal voll", "Journal du commerçant plein",
     "Giornale dell'esercente pieno"),
    (0xCC, False, "No direct debit, PIN needed", "Keine Lastschrift, PIN nötig", "Pas de prélèvement, NIP nécessaire",
     "Nessun addebito diretto, serve il PIN"),
    (0xD2, False, "Connecting", "Verbindungsaufbau", "Connexion en cours", "Connessione in corso"),
    (0xD3, False, "Connected", "Verbunden", "Connecté", "Connesso"),
    (0xE0, False, "Choose the application", "Anwendung wählen", "Choisissez l'application", "Scelga l'applicazione"),
    (0xE1, False, "Choose the language", "Sprache wählen", "Choisissez la langue", "Scelga la lingua"),
    (0xE2, False, "Use the cleaning card", "Reinigungskarte benutzen", "Utilisez la carte de nettoyage",
     "Usi la carta di pulizia"),
    (0xF1, False, "Offline", "Offline", "Hors ligne", "Offline"),
    (0xF2, False, "Online", "Online", "En ligne", "Online"),
    (0xF3, False, "Offline", "Offline", "Hors ligne", "Offline"),
    (0xFF, False, "", "", "", ""),
)  # fmt: skip

_OBSERVED: Final[tuple[tuple[int, Source, str, str, str, str], ...]] = (
    (0x5E, _SEEN, "Card read, it may be removed", "Karte gelesen", "Carte lue", "Carta letta"),
    (0x6A, _SEEN, "PIN entry", "PIN-Eingabe", "Saisie du NIP", "Inserimento del PIN"),
    (0x6B, _SEEN, "PIN entry", "PIN-Eingabe", "Saisie du NIP", "Inserimento del PIN"),
    (0x6C, _SEEN, "PIN entry", "PIN-Eingabe", "Saisie du NIP", "Inserimento del PIN"),
    (0x6D, _SEEN, "PIN entered", "PIN eingegeben", "NIP saisi", "PIN inserito"),
    (0xA0, _INGENICO, "The terminal shows: done", "Terminal zeigt: erfolgt", "Le terminal affiche: effectué",
     "Il terminale mostra: eseguito"),
    (0xA1, _INGENICO, "The terminal shows: done. Take the card", "Terminal zeigt: erfolgt. Karte entnehmen",
     "Le terminal affiche: effectué. Retirez la carte", "Il terminale mostra: eseguito. Ritiri la carta"),
    (0xA2, _INGENICO, "The terminal shows: reversed", "Terminal zeigt: storniert", "Le terminal affiche: annulé",
     "Il terminale mostra: stornato"),
    (0xA3, _INGENICO, "The terminal shows: reversed. Take the card", "Terminal zeigt: storniert. Karte entnehmen",
     "Le terminal affiche: annulé. Retirez la carte", "Il terminale mostra: stornato. Ritiri la carta"),
    (0xA4, _INGENICO, "Reversal not possible", "Storno nicht möglich", "Annulation impossible", "Storno impossibile"),
    (0xA5, _INGENICO, "Reversal not possible. Take the card", "Storno nicht möglich. Karte entnehmen",
     "Annulation impossible. Retirez la carte", "Storno impossibile. Ritiri la carta"),
)  # fmt: skip

_TAKE_CARD: Final = ("Please take the card", "Bitte Karte entnehmen", "Retirez la carte", "Ritiri la carta")
_WITH_CARD_SHOWN: Final = frozenset(
    {0x43, 0x47, 0x48, 0x49, 0x4C, 0x4D, 0x4E, 0x50, 0x52, 0x53, 0x55, 0x57, 0x58, 0x59, 0x5B, 0x5C, 0x5D}
)
"""Of 41 to 5D those that an unattended machine has to show."""


def _rows() -> list[IntermediateRow]:
    plain = {code: IntermediateRow(code, Phrase(*words), must_show, _SPEC) for code, must_show, *words in _TEXTS}
    seen = {code: IntermediateRow(code, Phrase(*words), False, source) for code, source, *words in _OBSERVED}
    with_card = {
        code: _with_card(plain[code - 0x40], code)
        for code in (*range(0x41, 0x5E), 0x66, 0x67)
        if code - 0x40 in plain and code not in {0x4A, 0x4B}
    }
    with_card[0x4B] = IntermediateRow(0x4B, Phrase(*_TAKE_CARD), False, _SPEC)
    return sorted({**plain, **seen, **with_card}.values(), key=lambda row: row.code)


def _with_card(base: IntermediateRow, code: int) -> IntermediateRow:
    """The text of the code minus 40, and the card may be taken."""
    texts = (base.text.en, base.text.de, base.text.fr, base.text.it)
    words = [f"{text}. {take}" for text, take in zip(texts, _TAKE_CARD, strict=True)]
    return IntermediateRow(code, Phrase(*words), code in _WITH_CARD_SHOWN, base.source)


INTERMEDIATE_ROWS: Final[tuple[IntermediateRow, ...]] = tuple(_rows())
_BY_CODE: Final[Mapping[int, IntermediateRow]] = MappingProxyType({row.code: row for row in INTERMEDIATE_ROWS})

PROGRESS: Final[Mapping[int, Progress]] = MappingProxyType({
    0x01: Progress.PIN, 0x02: Progress.PIN, 0x15: Progress.PIN,
    0x6A: Progress.PIN, 0x6B: Progress.PIN, 0x6C: Progress.PIN, 0x6D: Progress.PIN,
    0x04: Progress.ONLINE, 0xD2: Progress.ONLINE, 0xD3: Progress.ONLINE, 0xF2: Progress.ONLINE,
    0x0A: Progress.WAITING_FOR_CARD,
    0x0B: Progress.REMOVE_CARD, 0x4B: Progress.REMOVE_CARD, 0x5E: Progress.CARD_READ, 0x68: Progress.CARD_READ,
    0x28: Progress.CURRENCY, 0x69: Progress.CURRENCY,
    0x2C: Progress.CHOOSING, 0xE0: Progress.CHOOSING,
})  # fmt: skip
"""What a state means for staff; states that say nothing of that kind are left out."""


def intermediate_row(code: int) -> IntermediateRow | None:
    """What a state says; None for one that is not listed: show nothing, go on waiting."""
    return _BY_CODE.get(code)
