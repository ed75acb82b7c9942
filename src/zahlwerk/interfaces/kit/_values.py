"""The coded values of KIT with their texts: what people see in four languages, the rest in English.

Source: PayTecAG/ecritf, ecritf-schema.json (v1.1.0), ecritf.js (1.2.1); texts are ours.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from zahlwerk.codec.source import Source
from zahlwerk.interfaces.kit._functions import FUNCTION_ROWS
from zahlwerk.interfaces.kit._rows import CodeRow, Phrase
from zahlwerk.interfaces.kit._sources import LIBRARY, OURS, observed, schema
from zahlwerk.interfaces.kit.codes import (
    BatchCaptureFlags,
    DeviceCommandCode,
    DialogFlags,
    DialogIcon,
    DialogResource,
    DialogResult,
    FinancialCounterType,
    InputType,
    OurErrorCode,
    OurResult,
    PosEntryMode,
    PrinterStatus,
    ReceiptFlags,
    ReceiptType,
    ReportFlags,
    ReportType,
    RfidStatus,
    TrmStatus,
    TrxAbortFlags,
    TrxFunction,
    TrxReqFlags,
    TrxResult,
    UIButtons,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CODES_OF_FIELD",
    "CODE_ROWS",
    "DIALOG_RESULT_ROWS",
    "OUR_ERROR_ROWS",
    "OUR_RESULT_ROWS",
    "PRINTER_STATUS_BITS",
    "RECEIPT_TYPE_ROWS",
    "RESULT_RANGES",
    "TRM_STATUS_BITS",
    "TRX_RESULT_ROWS",
    "describe_flags",
    "phrase_of",
]


def _codes(
    kind: type[IntEnum | IntFlag],
    texts: Mapping[int, Phrase],
    source: Source,
    *,
    not_in_schema: Mapping[int, Source] | None = None,
) -> tuple[CodeRow, ...]:
    other = not_in_schema or {}
    return tuple(
        CodeRow(int(member), str(member.name), texts[member], member not in other, other.get(member, source))
        for member in kind
    )


TRX_RESULT_ROWS: Final = _codes(
    TrxResult,
    {
        TrxResult.APPROVED: Phrase("approved", "bewilligt", "autorisé", "autorizzato"),
        TrxResult.DECLINED: Phrase("declined", "abgelehnt", "refusé", "rifiutato"),
        TrxResult.REFERRED: Phrase(
            "phone the acquirer",
            "Rückfrage beim Kartenherausgeber",
            "téléphoner à l'acquéreur",
            "telefonare all'acquirer",
        ),
        TrxResult.ABORTED: Phrase("aborted", "abgebrochen", "interrompu", "interrotto"),
    },
    schema("TrxResult"),
)
"""Source: schema, TrxResult."""

TRM_STATUS_BITS: Final = _codes(
    TrmStatus,
    {
        TrmStatus.SHIFT_OPEN: Phrase("shift open", "Schicht offen", "service ouvert", "turno aperto"),
        TrmStatus.CARD_DATA_AVAILABLE: Phrase("card read", "Karte gelesen", "carte lue", "carta letta"),
        TrmStatus.BUSY: Phrase("busy", "beschäftigt", "occupé", "occupato"),
        TrmStatus.READER_SLOT_OCCUPIED: Phrase(
            "card in the reader", "Karte im Leser", "carte dans le lecteur", "carta nel lettore"
        ),
        TrmStatus.LOCKED: Phrase("locked", "gesperrt", "bloqué", "bloccato"),
        TrmStatus.APPLICATION_SELECTED: Phrase(
            "application selected", "Anwendung gewählt", "application choisie", "applicazione scelta"
        ),
        TrmStatus.WAITING_FOR_TRANSACTION_REQUEST: Phrase(
            "card shown first, waiting for the amount",
            "Karte zuerst gezeigt, wartet auf den Betrag",
            "carte présentée d'abord, attend le montant",
            "carta presentata prima, attende l'importo",
        ),
        TrmStatus.WAITING_FOR_APPLICATION_SELECTION: Phrase(
            "card holder is choosing", "Karteninhaber wählt", "le titulaire choisit", "il titolare sceglie"
        ),
        TrmStatus.ONLINE_PROCESSING: Phrase("online", "online", "en ligne", "in linea"),
        TrmStatus.PRINTER_UNAVAILABLE: Phrase("no printer", "kein Drucker", "pas d'imprimante", "nessuna stampante"),
        TrmStatus.OUT_OF_PAPER: Phrase("out of paper", "kein Papier", "plus de papier", "carta esaurita"),
        TrmStatus.MODEM_IN_USE: Phrase("modem in use", "Modem in Gebrauch", "modem utilisé", "modem in uso"),
    },
    schema("TrmStatus"),
    not_in_schema={TrmStatus.MODEM_IN_USE: LIBRARY},
)
"""Source: schema, TrmStatus; MODEM_IN_USE from the library (P-07)."""

PRINTER_STATUS_BITS: Final = _codes(
    PrinterStatus,
    {
        PrinterStatus.NO_PAPER: Phrase("no paper", "kein Papier", "pas de papier", "manca la carta"),
        PrinterStatus.JAMMED: Phrase("paper jammed", "Papierstau", "bourrage de papier", "carta inceppata"),
        PrinterStatus.OVERHEAT: Phrase(
            "printer too hot", "Drucker zu heiss", "imprimante trop chaude", "stampante troppo calda"
        ),
        PrinterStatus.OTHER_ERROR: Phrase(
            "printer error", "Druckerfehler", "erreur d'imprimante", "errore della stampante"
        ),
        PrinterStatus.BUFFER_FULL: Phrase(
            "printer buffer full", "Druckpuffer voll", "mémoire de l'imprimante pleine", "memoria della stampante piena"
        ),
        PrinterStatus.TIMEOUT: Phrase(
            "printer does not answer",
            "Drucker antwortet nicht",
            "l'imprimante ne répond pas",
            "la stampante non risponde",
        ),
        PrinterStatus.POWER_FAILURE: Phrase(
            "printer without power", "Drucker ohne Strom", "imprimante sans courant", "stampante senza corrente"
        ),
    },
    schema("PrinterStatus"),
)
"""Source: schema, PrinterStatus."""

RECEIPT_TYPE_ROWS: Final = _codes(
    ReceiptType,
    {
        ReceiptType.TRANSACTION: Phrase("merchant receipt", "Händlerbeleg", "reçu commerçant", "ricevuta esercente"),
        ReceiptType.TRANSACTION_COPY: Phrase("customer receipt", "Kundenbeleg", "reçu client", "ricevuta cliente"),
        ReceiptType.ACTIVATION: Phrase("shift opened", "Schicht geöffnet", "service ouvert", "turno aperto"),
        ReceiptType.ACTIVATION_FAILED: Phrase(
            "opening the shift failed",
            "Schicht öffnen fehlgeschlagen",
            "échec de l'ouverture du service",
            "apertura del turno fallita",
        ),
        ReceiptType.DEACTIVATION: Phrase("shift closed", "Schicht geschlossen", "service fermé", "turno chiuso"),
        ReceiptType.DEACTIVATION_FAILED: Phrase(
            "closing the shift failed",
            "Schicht schliessen fehlgeschlagen",
            "échec de la fermeture du service",
            "chiusura del turno fallita",
        ),
        ReceiptType.FINAL_BALANCE: Phrase(
            "end of day", "Tagesabschluss", "clôture journalière", "chiusura giornaliera"
        ),
        ReceiptType.FINAL_BALANCE_FAILED: Phrase(
            "end of day failed",
            "Tagesabschluss fehlgeschlagen",
            "échec de la clôture journalière",
            "chiusura giornaliera fallita",
        ),
        ReceiptType.SUBMISSION: Phrase("submission", "Einreichung", "remise", "consegna"),
        ReceiptType.TRANSMISSION: Phrase("transmission", "Übermittlung", "transmission", "trasmissione"),
        ReceiptType.CONFIGURATION: Phrase("configuration", "Konfiguration", "configuration", "configurazione"),
        ReceiptType.INITIALIZATION: Phrase("initialisation", "Initialisierung", "initialisation", "inizializzazione"),
        ReceiptType.DCC_OFFER: Phrase(
            "currency conversion offer", "Angebot Währungsumrechnung", "offre de conversion", "offerta di conversione"
        ),
        ReceiptType.DCC_RATES: Phrase("exchange rates", "Wechselkurse", "cours de change", "tassi di cambio"),
    },
    schema("ReceiptType"),
    not_in_schema={
        ReceiptType.ACTIVATION_FAILED: LIBRARY,
        ReceiptType.DEACTIVATION_FAILED: LIBRARY,
        ReceiptType.FINAL_BALANCE_FAILED: LIBRARY,
    },
)
"""Source: schema, ReceiptType; 12, 14, 22 from the library (P-03)."""

DIALOG_RESULT_ROWS: Final = _codes(
    DialogResult,
    {
        DialogResult.OK: Phrase("OK", "OK", "OK", "OK"),
        DialogResult.STOP: Phrase("stopped", "gestoppt", "arrêté", "fermato"),
        DialogResult.TIMEOUT: Phrase(
            "no input in time", "keine Eingabe", "pas de saisie à temps", "nessun inserimento in tempo"
        ),
        DialogResult.CANCELLED: Phrase("cancelled", "abgebrochen", "annulé", "annullato"),
        DialogResult.BACK: Phrase("back", "zurück", "retour", "indietro"),
        DialogResult.LEFT: Phrase("left button", "linke Taste", "touche gauche", "tasto sinistro"),
        DialogResult.RIGHT: Phrase("right button", "rechte Taste", "touche droite", "tasto destro"),
    },
    schema("DialogResult"),
)
"""Source: schema, DialogResult."""

OUR_ERROR_ROWS: Final = _codes(
    OurErrorCode,
    {
        OurErrorCode.BUSY: Phrase(
            "Terminal is busy", "Terminal ist beschäftigt", "Le terminal est occupé", "Il terminale è occupato"
        ),
        OurErrorCode.SHIFT_CLOSED: Phrase(
            "Shift is closed", "Schicht ist geschlossen", "Le service est fermé", "Il turno è chiuso"
        ),
        OurErrorCode.UNKNOWN_MESSAGE: Phrase(
            "Unknown message", "Unbekannte Meldung", "Message inconnu", "Messaggio sconosciuto"
        ),
        OurErrorCode.MALFORMED: Phrase(
            "Malformed message", "Fehlerhafte Meldung", "Message mal formé", "Messaggio non valido"
        ),
        OurErrorCode.MISSING_FIELD: Phrase("Missing field", "Feld fehlt", "Champ manquant", "Campo mancante"),
        OurErrorCode.NOT_SUPPORTED: Phrase(
            "Not supported", "Nicht unterstützt", "Non pris en charge", "Non supportato"
        ),
        OurErrorCode.NOTHING_TO_CONFIRM: Phrase(
            "Nothing to confirm", "Nichts zu bestätigen", "Rien à confirmer", "Niente da confermare"
        ),
        OurErrorCode.LOCKED: Phrase(
            "Terminal is locked", "Terminal ist gesperrt", "Le terminal est bloqué", "Il terminale è bloccato"
        ),
        OurErrorCode.AMOUNT: Phrase("Wrong amount", "Falscher Betrag", "Montant incorrect", "Importo errato"),
        OurErrorCode.NOT_CONNECTED: Phrase("Not connected", "Nicht verbunden", "Non connecté", "Non connesso"),
        OurErrorCode.UNCERTAIN: Phrase(
            "Outcome not known", "Ergebnis unbekannt", "Résultat inconnu", "Esito sconosciuto"
        ),
    },
    OURS,
    not_in_schema=dict.fromkeys(OurErrorCode, OURS),
)
"""Our own choice: PayTec's error codes are not public."""

OUR_RESULT_ROWS: Final = _codes(
    OurResult,
    {
        OurResult.APPROVED: Phrase("approved", "bewilligt", "autorisé", "autorizzato"),
        OurResult.REFERRED: Phrase(
            "phone the acquirer",
            "Rückfrage beim Kartenherausgeber",
            "téléphoner à l'acquéreur",
            "telefonare all'acquirer",
        ),
        OurResult.DECLINED: Phrase("declined", "abgelehnt", "refusé", "rifiutato"),
        OurResult.ABORTED_BY_REGISTER: Phrase(
            "stopped at the till", "an der Kasse abgebrochen", "interrompu à la caisse", "interrotto alla cassa"
        ),
        OurResult.ABORTED_BY_CARDHOLDER: Phrase(
            "stopped by the card holder",
            "vom Karteninhaber abgebrochen",
            "interrompu par le titulaire",
            "interrotto dal titolare",
        ),
        OurResult.NO_CARD_IN_TIME: Phrase(
            "no card in time", "keine Karte gezeigt", "aucune carte présentée", "nessuna carta presentata"
        ),
        OurResult.HOST_UNREACHABLE: Phrase(
            "host unreachable", "Host nicht erreichbar", "serveur injoignable", "host irraggiungibile"
        ),
        OurResult.MATCHED_SURROGATE_PAN: Phrase(
            "this card is fuelling: print the receipt",
            "diese Karte tankt: Beleg drucken",
            "cette carte fait le plein: imprimer le reçu",
            "questa carta sta facendo rifornimento: stampare la ricevuta",
        ),
        OurResult.SCHEDULED_TASK_PENDING: Phrase(
            "a scheduled task is due: try again in 20 seconds",
            "geplante Aufgabe fällig: in 20 Sekunden erneut",
            "tâche planifiée: réessayer dans 20 secondes",
            "attività pianificata: riprovare tra 20 secondi",
        ),
    },
    OURS,
    not_in_schema=dict.fromkeys(
        set(OurResult) - {OurResult.MATCHED_SURROGATE_PAN, OurResult.SCHEDULED_TASK_PENDING}, OURS
    ),
)
"""Our own choice within PayTec's ranges; 10014 and 10017 from the schema."""

RESULT_RANGES: Final[tuple[tuple[int, int, TrxResult, Source], ...]] = (
    (0, 899, TrxResult.APPROVED, schema("TrxResultExtended")),
    (900, 999, TrxResult.REFERRED, schema("TrxResultExtended")),
    (1000, 9999, TrxResult.DECLINED, schema("TrxResultExtended")),
    (10000, 49999, TrxResult.ABORTED, schema("TrxResultExtended")),
    (1002200, 1002200, TrxResult.DECLINED, observed("web simulator, a decline (P-08)")),
)
"""What TrxResultExtended says, for people: first and last code, result. Decide by TrxResult alone (P-08)."""


def _named(
    kind: type[IntEnum | IntFlag], source: Source, *, not_in_schema: Mapping[int, Source] | None = None
) -> tuple[CodeRow, ...]:
    """Values that only technicians see: the member's name says it."""
    texts = {int(member): Phrase(str(member.name).replace("_", " ").lower()) for member in kind}
    return _codes(kind, texts, source, not_in_schema=not_in_schema)


CODE_ROWS: Final[Mapping[type[IntEnum | IntFlag], tuple[CodeRow, ...]]] = MappingProxyType(
    {
        TrxResult: TRX_RESULT_ROWS,
        TrmStatus: TRM_STATUS_BITS,
        PrinterStatus: PRINTER_STATUS_BITS,
        ReceiptType: RECEIPT_TYPE_ROWS,
        DialogResult: DIALOG_RESULT_ROWS,
        OurErrorCode: OUR_ERROR_ROWS,
        OurResult: OUR_RESULT_ROWS,
        TrxFunction: tuple(
            CodeRow(int(row.function), str(row.function.name), row.label, row.in_schema, row.source)
            for row in FUNCTION_ROWS
        ),
        TrxReqFlags: _named(TrxReqFlags, schema("TrxReqFlags")),
        TrxAbortFlags: _named(TrxAbortFlags, schema("TrxAbortFlags")),
        ReceiptFlags: _named(
            ReceiptFlags,
            schema("ReceiptFlags"),
            not_in_schema={
                ReceiptFlags.FIRST_PART: LIBRARY,
                ReceiptFlags.DOUBLE_WIDTH: LIBRARY,
            },
        ),
        BatchCaptureFlags: _named(BatchCaptureFlags, schema("BatchCaptureFlags")),
        ReportFlags: _named(ReportFlags, schema("ReportFlags")),
        DialogFlags: _named(DialogFlags, schema("DialogFlags")),
        UIButtons: _named(UIButtons, schema("UIButtons")),
        PosEntryMode: _named(PosEntryMode, schema("POSEntryMode")),
        RfidStatus: _named(RfidStatus, schema("RFIDStatus")),
        ReportType: _named(ReportType, schema("ReportType")),
        FinancialCounterType: _named(FinancialCounterType, schema("FinancialCounterType")),
        DeviceCommandCode: _named(
            DeviceCommandCode,
            schema("DeviceCommandCode"),
            not_in_schema={
                DeviceCommandCode.SET_DISCONNECTED_TEXT: LIBRARY,
            },
        ),
        DialogResource: _named(DialogResource, schema("DialogResource")),
        InputType: _named(InputType, schema("InputType")),
        DialogIcon: _named(DialogIcon, schema("DialogIcon")),
    }
)
"""The rows of every enumeration; the members' phrases for people."""

CODES_OF_FIELD: Final[Mapping[str, type[IntEnum | IntFlag]]] = MappingProxyType(
    {
        "TrxFunction": TrxFunction,
        "TrxFunctions": TrxFunction,
        "TrxResult": TrxResult,
        "TrmStatus": TrmStatus,
        "TrxReqFlags": TrxReqFlags,
        "TrxAbortFlags": TrxAbortFlags,
        "ReceiptFlags": ReceiptFlags,
        "BatchCaptureFlags": BatchCaptureFlags,
        "ReportFlags": ReportFlags,
        "DialogFlags": DialogFlags,
        "UIButtons": UIButtons,
        "PrinterStatus": PrinterStatus,
        "POSEntryMode": PosEntryMode,
        "RFIDStatus": RfidStatus,
        "ReceiptType": ReceiptType,
        "ReportType": ReportType,
        "FinancialCounterType": FinancialCounterType,
        "DeviceCommandCode": DeviceCommandCode,
        "DialogResource": DialogResource,
        "DefaultResource": DialogResource,
        "InputType": InputType,
        "DialogIcon": DialogIcon,
        "DefaultIcon": DialogIcon,
        "DialogResult": DialogResult,
    }
)
"""Which enumeration a field's integer belongs to."""


def phrase_of(kind: type[IntEnum | IntFlag], code: int) -> Phrase | None:
    """The words for one listed value; None for a value that is not listed."""
    return next((row.phrase for row in CODE_ROWS[kind] if row.code == code), None)


def describe_flags(kind: type[IntFlag], value: int, language: str = "en") -> tuple[str, ...]:
    """The words for each bit that is set; unknown bits as one hexadecimal number (P-07)."""
    rows = [row for row in CODE_ROWS[kind] if value & row.code]
    rest = value & ~sum(row.code for row in rows)
    return (*(row.phrase.of(language) for row in rows), *([f"0x{rest:X}"] if rest else ()))
