"""The transaction functions of KIT and the fields each of them takes.

Source: PayTecAG/ecritf, ecritf-schema.json (TrxFunction), ecritf.js (needsAmount and its sisters), labels of web_api.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from zahlwerk.codec.source import Source
from zahlwerk.interfaces.kit._rows import FunctionRow, Need, Phrase
from zahlwerk.interfaces.kit._sources import LIBRARY, schema
from zahlwerk.interfaces.kit.codes import TrxFunction

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FUNCTIONS", "FUNCTION_ROWS"]


def _function(
    function: TrxFunction,
    label: Phrase,
    *,
    amount: Need = Need.NONE,
    other: Need = Need.NONE,
    auth_code: Need = Need.NONE,
    reference: Need = Need.NONE,
    sequence: Need = Need.NONE,
    reason: Need = Need.NONE,
    order_reference: Need = Need.OPTIONAL,
    requestable: bool = True,
    source: Source | None = None,
) -> FunctionRow:
    return FunctionRow(
        function,
        label,
        amount,
        amount,
        other,
        auth_code,
        reference,
        sequence,
        reason,
        order_reference,
        requestable,
        source is None,
        source or schema("TrxFunction"),
    )


FUNCTION_ROWS: Final[tuple[FunctionRow, ...]] = (
    _function(
        TrxFunction.PURCHASE_WITH_CASHBACK,
        Phrase("Purchase w. Cashback", "Buchung m. Cashback", "Achat avec retrait", "Acquisto con prelievo"),
        amount=Need.REQUIRED,
        other=Need.REQUIRED,
    ),
    _function(
        TrxFunction.CONFIRM_PHONE_AUTH_RESERVATION,
        Phrase(
            "Confirm Reservation", "Reservation bestätigen", "Confirmer la réservation", "Confermare la prenotazione"
        ),
        amount=Need.REQUIRED,
        reference=Need.REQUIRED,
    ),
    _function(
        TrxFunction.RESERVATION_ADJUSTMENT,
        Phrase("Reservation Adj.", "Reservation erhöhen", "Augmenter la réservation", "Aumentare la prenotazione"),
        amount=Need.REQUIRED,
        reference=Need.REQUIRED,
    ),
    _function(
        TrxFunction.RESERVATION,
        Phrase("Reservation", "Reservation", "Réservation", "Prenotazione"),
        amount=Need.REQUIRED,
    ),
    _function(
        TrxFunction.REVERSAL,
        Phrase("Reversal", "Storno", "Annulation", "Storno"),
        sequence=Need.OPTIONAL,
        order_reference=Need.NONE,
    ),
    _function(
        TrxFunction.PURCHASE_MAIL_ORDERED,
        Phrase("Mail Ordered", "Buchung Mail Order", "Commande par courrier", "Ordine per posta"),
        amount=Need.REQUIRED,
    ),
    _function(
        TrxFunction.AUTHORIZATION_PURCHASE,
        Phrase(
            "Authorisation Purchase", "Buchung Autorisation", "Achat avec autorisation", "Acquisto con autorizzazione"
        ),
        amount=Need.REQUIRED,
    ),
    _function(
        TrxFunction.PURCHASE_PHONE_ORDERED,
        Phrase("Phone Ordered", "Buchung Phone Order", "Commande par téléphone", "Ordine per telefono"),
        amount=Need.REQUIRED,
    ),
    _function(
        TrxFunction.PURCHASE_FORCED_ACCEPTANCE,
        Phrase(
            "Purchase merchant accep.",
            "Buchung Händler akzept.",
            "Achat accepté par le commerçant",
            "Acquisto accettato dall'esercente",
        ),
        amount=Need.REQUIRED,
    ),
    _function(
        TrxFunction.PURCHASE_PHONE_AUTH,
        Phrase("Phone Authorised", "Tel. autorisiert", "Autorisé par téléphone", "Autorizzato per telefono"),
        amount=Need.REQUIRED,
        auth_code=Need.REQUIRED,
    ),
    _function(
        TrxFunction.CREDIT,
        Phrase("Credit", "Gutschrift", "Crédit", "Accredito"),
        amount=Need.REQUIRED,
        reference=Need.OPTIONAL,
    ),
    _function(
        TrxFunction.CASH_ADVANCE,
        Phrase("Cash Advance", "Bargeldbezug", "Retrait d'espèces", "Prelievo di contanti"),
        amount=Need.REQUIRED,
    ),
    _function(TrxFunction.TIP, Phrase("Tip", "Trinkgeld", "Pourboire", "Mancia"), requestable=False),
    _function(
        TrxFunction.PURCHASE_RESERVATION,
        Phrase("Purchase Reservation", "Buchung Reservation", "Achat sur réservation", "Acquisto da prenotazione"),
        amount=Need.REQUIRED,
        reference=Need.REQUIRED,
    ),
    _function(
        TrxFunction.PURCHASE,
        Phrase("Purchase", "Buchung", "Achat", "Acquisto"),
        amount=Need.REQUIRED,
        reference=Need.OPTIONAL,
    ),
    _function(
        TrxFunction.CLIENT_ID_REQUEST,
        Phrase("Client ID", "Kundenidentifikation", "Identification du client", "Identificazione del cliente"),
        requestable=False,
        source=LIBRARY,
    ),
    _function(
        TrxFunction.BALANCE_INQUIRY, Phrase("Balance Inquiry", "Saldoabfrage", "Demande de solde", "Richiesta di saldo")
    ),
    _function(
        TrxFunction.DEPOSIT,
        Phrase("Deposit", "Einzahlung", "Dépôt", "Deposito"),
        amount=Need.REQUIRED,
        requestable=False,
        source=LIBRARY,
    ),
    _function(
        TrxFunction.COMBINED,
        Phrase("Combined", "Kombiniert", "Combiné", "Combinato"),
        amount=Need.REQUIRED,
        requestable=False,
        source=LIBRARY,
    ),
    _function(
        TrxFunction.GIRO,
        Phrase("Giro", "Giro", "Virement", "Giro"),
        amount=Need.REQUIRED,
        requestable=False,
        source=LIBRARY,
    ),
    _function(
        TrxFunction.AUTHORIZATION_DEPOSIT,
        Phrase(
            "Authorisation Deposit", "Einzahlung Autorisation", "Dépôt avec autorisation", "Deposito con autorizzazione"
        ),
        amount=Need.REQUIRED,
        requestable=False,
        source=LIBRARY,
    ),
    _function(
        TrxFunction.AUTHORIZATION_CREDIT,
        Phrase(
            "Authorisation Credit",
            "Gutschrift Autorisation",
            "Crédit avec autorisation",
            "Accredito con autorizzazione",
        ),
        amount=Need.REQUIRED,
        requestable=False,
        source=LIBRARY,
    ),
    _function(
        TrxFunction.ACTIVATE_CARD,
        Phrase("Card Activation", "Karte aktivieren", "Activer la carte", "Attivare la carta"),
    ),
    _function(TrxFunction.LOAD, Phrase("Load", "Laden", "Charger", "Caricare"), amount=Need.REQUIRED),
    _function(
        TrxFunction.CANCEL_RESERVATION,
        Phrase("Cancel Reservation", "Storno Reservation", "Annuler la réservation", "Annullare la prenotazione"),
        reference=Need.REQUIRED,
        order_reference=Need.NONE,
    ),
    _function(
        TrxFunction.ACCOUNT_VERIFICATION,
        Phrase("Account Verification", "Konto überprüfen", "Vérifier le compte", "Verificare il conto"),
        reason=Need.OPTIONAL,
    ),
)
"""All functions by bit. Labels: web_api/example of PayTecAG/ecritf."""

FUNCTIONS: Final[Mapping[TrxFunction, FunctionRow]] = MappingProxyType({row.function: row for row in FUNCTION_ROWS})
"""The same by function."""
