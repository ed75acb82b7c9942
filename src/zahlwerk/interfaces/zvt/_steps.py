"""What to do next, in the four languages: the sentences that result codes and terminal states share."""

from __future__ import annotations

from typing import Final

from zahlwerk.interfaces.zvt._rows import Phrase

__all__ = [
    "ASK_SERVICE",
    "CALL_BANK",
    "CHECK_AMOUNT",
    "CHECK_CURRENCY",
    "CHECK_LINE",
    "CHECK_SETTINGS",
    "CHIP",
    "DIAGNOSE",
    "END_OF_DAY",
    "INITIALISE",
    "LOOK",
    "NONE",
    "OTHER_CARD",
    "OTHER_MEANS",
    "PAPER",
    "RETRY",
    "TAKE_CARD",
    "WAIT",
]

NONE: Final = Phrase("")
RETRY: Final = Phrase(
    "Please try again.", "Bitte noch einmal versuchen.", "Veuillez réessayer.", "Si prega di riprovare."
)
OTHER_CARD: Final = Phrase(
    "Ask for another card.", "Bitte um eine andere Karte bitten.", "Demandez une autre carte.", "Chieda un'altra carta."
)
OTHER_MEANS: Final = Phrase(
    "Ask for another means of payment.", "Bitte um ein anderes Zahlungsmittel bitten.",
    "Demandez un autre moyen de paiement.", "Chieda un altro mezzo di pagamento.",
)  # fmt: skip
CHIP: Final = Phrase(
    "Insert the card, with PIN.", "Karte stecken und PIN eingeben lassen.", "Insérez la carte, avec NIP.",
    "Inserisca la carta, con PIN.",
)  # fmt: skip
CALL_BANK: Final = Phrase(
    "Call the number of your card processor.", "Bitte beim Kartenabwickler anrufen.",
    "Appelez votre prestataire de cartes.", "Chiami il gestore delle carte.",
)  # fmt: skip
CHECK_AMOUNT: Final = Phrase(
    "Check the amount.", "Bitte den Betrag prüfen.", "Vérifiez le montant.", "Verifichi l'importo."
)
CHECK_CURRENCY: Final = Phrase(
    "Check the currency of the till.", "Bitte die Währung der Kasse prüfen.", "Vérifiez la monnaie de la caisse.",
    "Verifichi la valuta della cassa.",
)  # fmt: skip
CHECK_LINE: Final = Phrase(
    "Check the terminal's connection, then try again.", "Verbindung des Terminals prüfen, dann noch einmal versuchen.",
    "Vérifiez la connexion du terminal, puis réessayez.", "Verifichi la connessione del terminale, poi riprovi.",
)  # fmt: skip
CHECK_SETTINGS: Final = Phrase(
    "Have the settings of till and terminal checked.", "Einstellungen von Kasse und Terminal prüfen lassen.",
    "Faites vérifier les réglages de la caisse et du terminal.",
    "Faccia controllare le impostazioni di cassa e terminale.",
)  # fmt: skip
DIAGNOSE: Final = Phrase(
    "Start a diagnosis, then try again.", "Diagnose starten, dann noch einmal versuchen.",
    "Lancez un diagnostic, puis réessayez.", "Avvii una diagnosi, poi riprovi.",
)  # fmt: skip
INITIALISE: Final = Phrase(
    "Start the initialisation, then try again.", "Initialisierung starten, dann noch einmal versuchen.",
    "Lancez l'initialisation, puis réessayez.", "Avvii l'inizializzazione, poi riprovi.",
)  # fmt: skip
END_OF_DAY: Final = Phrase(
    "Do the end of day, then try again.", "Kassenschnitt machen, dann noch einmal versuchen.",
    "Faites la clôture journalière, puis réessayez.", "Esegua la chiusura giornaliera, poi riprovi.",
)  # fmt: skip
PAPER: Final = Phrase(
    "Check paper and cover of the printer.", "Papier und Deckel des Druckers prüfen.",
    "Vérifiez le papier et le capot de l'imprimante.", "Controlli carta e coperchio della stampante.",
)  # fmt: skip
TAKE_CARD: Final = Phrase(
    "Have the card taken out.", "Bitte die Karte entnehmen lassen.", "Faites retirer la carte.",
    "Faccia togliere la carta.",
)  # fmt: skip
WAIT: Final = Phrase(
    "Wait a moment, then try again.", "Kurz warten, dann noch einmal versuchen.", "Patientez, puis réessayez.",
    "Attenda un momento, poi riprovi.",
)  # fmt: skip
ASK_SERVICE: Final = Phrase(
    "Call the terminal's service.", "Bitte den Terminal-Service anrufen.", "Appelez le service du terminal.",
    "Chiami l'assistenza del terminale.",
)  # fmt: skip
LOOK: Final = Phrase(
    "Look at the terminal before charging again.", "Vor einer neuen Zahlung am Terminal nachsehen.",
    "Regardez le terminal avant de débiter à nouveau.", "Guardi il terminale prima di addebitare di nuovo.",
)  # fmt: skip
