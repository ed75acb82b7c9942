"""The terminal's side of a KIT link: no I/O, no clock, no tasks.

It keeps the session, refuses what cannot be done now, hands requests to the endpoint, and owns what must survive a lost
connection: an answer that the register has not decided about, and decisions already carried out, so that a repeated one
is answered again. Source: KIT fact sheet 4.10 (states of our terminal side).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from zahlwerk.carddata import redact
from zahlwerk.errors import RemoteProtocolError
from zahlwerk.interfaces.kit.codec import Line, missing_fields
from zahlwerk.interfaces.kit.codes import OurErrorCode, TrxFunction, TrxResult
from zahlwerk.interfaces.kit.messages import (
    AbortTransactionRequest,
    AbortTransactionResponse,
    CancelUIRequest,
    ConfirmationTimeExtensionRequest,
    ConfirmationTimeExtensionResponse,
    ConnectRequest,
    ConnectResponse,
    ErrorNotification,
    Message,
    StatusRequest,
    StatusResponse,
    TransactionConfirmationRequest,
    TransactionConfirmationResponse,
    TransactionDataChangeRequest,
    TransactionDataChangeResponse,
    TransactionRequest,
    TransactionResponse,
    name_of,
)
from zahlwerk.interfaces.kit.side import PeerGone, Side
from zahlwerk.interfaces.kit.states import SESSIONS, TRANSACTIONS, Session, SessionInput, Trx, TrxInput, step
from zahlwerk.timeouts import DEFAULT_WAITS, Waits

__all__ = [
    "AbortWanted",
    "Decided",
    "ExtensionWanted",
    "HoldDecided",
    "RegisterCame",
    "TerminalSide",
    "TerminalSideEvent",
    "Wanted",
]


@dataclass(frozen=True, slots=True)
class RegisterCame:
    """A register has introduced itself, and was answered."""

    request: ConnectRequest


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request to be served; answer with `answer`, `result` or `refuse`."""

    message: Message


@dataclass(frozen=True, slots=True)
class Decided:
    """The register's decision about the approval it was told."""

    confirm: bool
    amount_minor: int | None


@dataclass(frozen=True, slots=True)
class HoldDecided:
    """The register settles an open AUTHORIZATION_PURCHASE; answer with `hold_settled` or `refuse`."""

    sequence: int
    confirm: bool
    amount_minor: int | None


@dataclass(frozen=True, slots=True)
class ExtensionWanted:
    """The register needs longer for its decision. It has been told that this is granted."""

    seconds: int
    text: str


@dataclass(frozen=True, slots=True)
class AbortWanted:
    """The register wants the transaction stopped. It has been told that this was seen."""

    silent: bool


TerminalSideEvent: TypeAlias = RegisterCame | Wanted | Decided | HoldDecided | ExtensionWanted | AbortWanted | PeerGone

LANGUAGES: Final = frozenset({"de", "en", "fr", "it"})
"""What a terminal display speaks. Source: 3.5 (TrmLng)."""
# LIMIT: decisions that a register may repeat; a repetition comes within seconds, over one of the latest.
SETTLED_MAX: Final = 64
# LIMIT: a peer that connects and never introduces itself is hung up on after this time.
INTRODUCTION_S: Final = 30.0
# The longest extension granted at once.
EXTENSION_SECONDS_MAX: Final = 600

_TEXTS: Final = {
    OurErrorCode.BUSY: "Terminal is busy",
    OurErrorCode.SHIFT_CLOSED: "Shift is closed: send ActivationRequest first",
    OurErrorCode.UNKNOWN_MESSAGE: "Unknown message",
    OurErrorCode.MALFORMED: "Malformed message",
    OurErrorCode.MISSING_FIELD: "Missing field",
    OurErrorCode.NOT_SUPPORTED: "Not supported by this terminal",
    OurErrorCode.NOTHING_TO_CONFIRM: "Nothing to confirm",
    OurErrorCode.LOCKED: "Terminal is locked",
    OurErrorCode.AMOUNT: "Amount out of range",
    OurErrorCode.NOT_CONNECTED: "Not connected: send ConnectRequest first",
    OurErrorCode.UNCERTAIN: "The outcome is not known",
}


class TerminalSide(Side):
    """Terminal side (T) of one KIT link. One register at a time; it outlives connections."""

    def __init__(self, *, waits: Waits = DEFAULT_WAITS) -> None:
        super().__init__(waits)
        self.session = Session.DOWN
        self.trx = Trx.IDLE
        self.identity = ConnectResponse()
        """Who the terminal is: the endpoint keeps it up to date."""
        self.options = ConnectRequest()
        """What the register asked for when it connected."""
        self._events: list[TerminalSideEvent] = []
        self._status: StatusResponse | None = None
        self._told: StatusResponse | None = None
        self._status_lost = False
        self._outcome: TransactionResponse | None = None
        self._outcome_lost = False
        self._request: TransactionRequest | None = None
        self._result: TransactionResponse | None = None
        self._decided: tuple[bool, int | None] | None = None
        self._undelivered: TransactionResponse | None = None
        self._holds: OrderedDict[int, int | None] = OrderedDict()
        self._settled: OrderedDict[int, tuple[bool, int | None, TransactionConfirmationResponse]] = OrderedDict()
        self._latest_approved: int | None = None
        """What a Confirm without TrxSeqCnt is about: the newest approval, whatever became of it."""

    # -- the verbs

    def link_up(self, *, now_s: float) -> None:
        """A register has connected; it must introduce itself."""
        self._link_up(now_s)
        self._alive_until_s = now_s + INTRODUCTION_S
        self._asked_alive = True
        self._told = None
        self._status_lost = self._outcome_lost = False
        self._session(SessionInput.LINK_DOWN)
        self._session(SessionInput.LINK_UP)

    def link_down(self) -> None:
        """The connection ended. A running transaction goes on; what the register should know is kept."""
        self._link_down()
        self._session(SessionInput.LINK_DOWN)
        if self.trx is Trx.RUNNING and self._result is None:
            self._undelivered = None

    def events_received(self) -> list[TerminalSideEvent]:
        """What the register wants; returns and empties."""
        events, self._events = self._events, []
        return events

    # -- what the endpoint says

    def _introduce(self, request: ConnectRequest) -> None:
        """Answer the ConnectRequest, and tell again what the register may have missed. Source: 4.10, last row."""
        self._session(SessionInput.CONNECT_REQUEST)
        self._session(SessionInput.CONNECT_RESPONSE)
        self.options = request
        language = request.trm_lng if request.trm_lng in LANGUAGES else self.identity.trm_lng
        self._write(msgspec.structs.replace(self.identity, trm_lng=language))
        self._events.append(RegisterCame(request))
        if self._result is not None and self.trx in {Trx.APPROVED, Trx.CONFIRMING, Trx.ROLLING_BACK}:
            self._write(self._result)
        elif self._undelivered is not None:
            self._write(self._undelivered)

    def status_is(self, status: StatusResponse) -> None:
        """The status now. It is told unasked when it changed, and never twice the same in a row. Source: 4.10."""
        self._status = status
        if self.session is Session.OPEN and status != self._told:
            self._tell_status()

    def not_delivered(self, line: bytes) -> None:
        """The link has given a line up: a status or an outcome is told again at the register's next sign of life.

        PayTec's C++ example acts on what it is told, and never asks for what it has missed.
        """
        self._status_lost = self._status_lost or line.lstrip().startswith(b'{"StatusResponse"')
        self._outcome_lost = self._outcome_lost or line.lstrip().startswith(b'{"TransactionResponse"')

    def tell(self, message: Message) -> None:
        """Send something unasked: a receipt, a display text, an error. Dropped while no register is connected."""
        if self.session is Session.OPEN:
            self._write(message)

    def answer(self, message: Message) -> None:
        """Answer a request; dropped if the register has gone."""
        self.tell(message)

    def refuse(self, code: OurErrorCode, text: str = "") -> None:
        """Refuse the latest request. Source: 4.10 (ErrorSource, codes of our own)."""
        if self._up:
            self._write(
                ErrorNotification(
                    error_code=int(code), error_source="ECR", error_description=redact(text or _TEXTS[code])[:255]
                )
            )

    def transaction_refused(self, code: OurErrorCode, text: str = "") -> None:
        """The transaction that was wanted did not start."""
        self.trx = step(TRANSACTIONS, self.trx, TrxInput.REFUSED) or Trx.IDLE
        self._request = None
        self.refuse(code, text)

    def result(self, response: TransactionResponse) -> None:
        """The outcome of the transaction: an approval waits for the register's decision."""
        function = self._request.trx_function if self._request is not None else 0
        is_hold = function == TrxFunction.AUTHORIZATION_PURCHASE
        approved = response.trx_result == TrxResult.APPROVED
        happened = TrxInput.REFUSAL if not approved else TrxInput.HELD if is_hold else TrxInput.APPROVAL
        self.trx = step(TRANSACTIONS, self.trx, happened) or self.trx
        self._decided = None
        self._result = response if happened is TrxInput.APPROVAL else None
        if approved:
            self._latest_approved = response.trx_seq_cnt
        if happened is TrxInput.HELD and response.trx_seq_cnt is not None:
            self._holds[response.trx_seq_cnt] = response.amt_auth
        self._undelivered = None if self.is_connected else response
        self._outcome, self._outcome_lost = response, False
        self.tell(response)

    def confirmed(self, response: TransactionConfirmationResponse) -> None:
        """The register's decision has been carried out."""
        if self._result is not None and self._decided is not None and self._result.trx_seq_cnt is not None:
            self._remember(self._result.trx_seq_cnt, *self._decided, response)
        self._finish()
        self.tell(response)

    def decision_failed(self, code: OurErrorCode, text: str = "") -> None:
        """The register's decision could not be carried out: the terminal had taken the approval back before."""
        self._finish()
        self.refuse(code, text)

    def expired(self) -> None:
        """The approval was taken back by the terminal; nobody is told, a later decision is refused."""
        self.trx = step(TRANSACTIONS, self.trx, TrxInput.EXPIRED) or Trx.IDLE
        self._result = None
        self._decided = None

    def hold_settled(self, wanted: HoldDecided, response: TransactionConfirmationResponse) -> None:
        """An open authorisation has been captured or released."""
        self._holds.pop(wanted.sequence, None)
        self._remember(wanted.sequence, wanted.confirm, wanted.amount_minor, response)
        self.tell(response)

    @property
    def running_function(self) -> int:
        """TrxFunction of the running transaction; 0 while none runs."""
        return self._request.trx_function if self._request is not None else 0

    @property
    def is_connected(self) -> bool:
        """True while a register has a session."""
        return self.session is Session.OPEN

    # -- what the register says

    def _receive_line(self, raw: bytes, now_s: float) -> None:
        super()._receive_line(raw, now_s)
        if self._status_lost and self.session is Session.OPEN:
            self._tell_status()
        if self._outcome_lost:
            self._tell_outcome_again()

    def _handle(self, line: Line, message: Message) -> None:
        # It goes on to something else: an old outcome must not be taken for the answer to a new request.
        self._outcome_lost = False
        self._undelivered = None if not isinstance(message, ConnectRequest) else self._undelivered
        if isinstance(message, ConnectRequest):
            self._introduce(message)
            return
        if isinstance(message, StatusRequest):
            self._tell_status()
            return
        if self.session is not Session.OPEN:
            self.refuse(OurErrorCode.NOT_CONNECTED)
            return
        match message:
            case TransactionRequest():
                self._transaction_wanted(message)
            case TransactionConfirmationRequest():
                self._decide(message)
            case AbortTransactionRequest():
                self._write(AbortTransactionResponse())
                if self.trx in {Trx.RUNNING, Trx.APPROVED}:
                    self._events.append(AbortWanted(bool((message.trx_abort_flags or 0) & 1)))
            case ConfirmationTimeExtensionRequest():
                self._extend(message)
            case TransactionDataChangeRequest():
                self._write(TransactionDataChangeResponse(amt_auth=self._request.amt_auth if self._request else None))
            case ConfirmationTimeExtensionResponse():
                pass  # P-17: tolerated from either side
            case ErrorNotification():
                pass  # a register's complaint: the tap has it
            case TransactionDataChangeResponse() | CancelUIRequest():
                self._events.append(Wanted(message))
            case _ if name_of(message).endswith("Request"):
                self._want(message)
            case _:
                self.refuse(OurErrorCode.UNKNOWN_MESSAGE, f"{line.name} is not for a terminal")

    def _want(self, message: Message) -> None:
        missing = missing_fields(message)
        if missing:
            self.refuse(OurErrorCode.MISSING_FIELD, f"{name_of(message)} lacks {', '.join(missing)}")
        else:
            self._events.append(Wanted(message))

    def _transaction_wanted(self, message: TransactionRequest) -> None:
        following = step(TRANSACTIONS, self.trx, TrxInput.REQUEST)
        if following is None:
            self.refuse(OurErrorCode.BUSY)
            return
        self.trx = following
        self._request = message
        self._result = None
        self._decided = None
        self._events.append(Wanted(message))

    def _decide(self, message: TransactionConfirmationRequest) -> None:
        confirm = bool(message.confirm)
        sequence = message.trx_seq_cnt
        pending = self._result
        if pending is not None and sequence in {None, pending.trx_seq_cnt}:
            self._decide_pending(pending, confirm=confirm, amount_minor=message.trx_amt)
            return
        if sequence is None and pending is None and (self.trx is Trx.IDLE or self._latest_approved in self._holds):
            # Not any older one: after an approval that was taken back it would be another customer's.
            sequence = self._latest_approved
        if sequence is None:
            self.refuse(OurErrorCode.NOTHING_TO_CONFIRM)
            return
        if self._repeated(sequence, confirm=confirm, amount_minor=message.trx_amt):
            return
        limit = self._holds.get(sequence)
        if confirm and message.trx_amt is not None and limit is not None and not 0 < message.trx_amt <= limit:
            self.refuse(OurErrorCode.AMOUNT, f"TrxAmt must be 1 to {limit}")
            return
        self._events.append(HoldDecided(sequence, confirm, message.trx_amt))

    def _decide_pending(self, pending: TransactionResponse, *, confirm: bool, amount_minor: int | None) -> None:
        limit = pending.amt_auth
        if confirm and amount_minor is not None and limit is not None and not 0 < amount_minor <= max(limit, 1):
            self.refuse(OurErrorCode.AMOUNT, f"TrxAmt must be 1 to {limit}")
            return
        following = step(TRANSACTIONS, self.trx, TrxInput.CONFIRM if confirm else TrxInput.ROLL_BACK)
        if following is None:
            self.refuse(OurErrorCode.BUSY, "The other decision is being carried out")
            return
        is_repetition = self._decided is not None
        if is_repetition and self._decided != (confirm, amount_minor):
            self.refuse(OurErrorCode.BUSY, "Another decision is being carried out")
            return
        self.trx = following
        self._decided = (confirm, amount_minor)
        if not is_repetition:
            self._events.append(Decided(confirm, amount_minor))

    def _repeated(self, sequence: int, *, confirm: bool, amount_minor: int | None) -> bool:
        """The same decision once more is answered once more; another one is refused. Source: 4.10."""
        done = self._settled.get(sequence)
        if done is None:
            return False
        if done[:2] == (confirm, amount_minor):
            self._write(done[2])
        else:
            self.refuse(OurErrorCode.NOTHING_TO_CONFIRM, f"Transaction {sequence} was settled otherwise")
        return True

    def _extend(self, message: ConfirmationTimeExtensionRequest) -> None:
        if self.trx is not Trx.APPROVED:
            self.refuse(OurErrorCode.NOTHING_TO_CONFIRM, "There is no approval to wait for")
        elif message.seconds <= 0:
            self.refuse(OurErrorCode.MALFORMED, "Seconds must be more than 0")
        else:
            self._write(ConfirmationTimeExtensionResponse())
            seconds = min(message.seconds, EXTENSION_SECONDS_MAX)
            self._events.append(ExtensionWanted(seconds, message.cardholder_text or ""))

    def _unknown(self, line: Line) -> None:
        self.refuse(OurErrorCode.UNKNOWN_MESSAGE, f"Unknown message {line.name[:64]!r}")

    def _reject(self, error: RemoteProtocolError) -> None:
        self.refuse(OurErrorCode.MALFORMED, str(error))
        self._count_malformed()

    def _gone(self, why: str) -> None:
        self._events.append(PeerGone(why if self.session is Session.OPEN else "it never introduced itself"))

    # -- inside

    def _tell_status(self) -> None:
        if self._status is not None:
            self._told = self._status
            self._status_lost = False
            self._write(self._status)

    def _tell_outcome_again(self) -> None:
        """Only while it is still true: an approval that was taken back since is none."""
        self._outcome_lost = False
        outcome = self._outcome
        if outcome is None or self.session is not Session.OPEN:
            return
        approved = outcome.trx_result == TrxResult.APPROVED
        if not approved or outcome is self._result or outcome.trx_seq_cnt in self._holds:
            self._write(outcome)

    def _finish(self) -> None:
        self.trx = step(TRANSACTIONS, self.trx, TrxInput.DONE) or Trx.IDLE
        self._result = None
        self._decided = None
        self._request = None

    def _remember(
        self, sequence: int, confirm: bool, amount_minor: int | None, response: TransactionConfirmationResponse
    ) -> None:
        self._settled[sequence] = (confirm, amount_minor, response)
        while len(self._settled) > SETTLED_MAX:
            self._settled.popitem(last=False)

    def _session(self, happened: SessionInput) -> None:
        self.session = step(SESSIONS, self.session, happened) or self.session
