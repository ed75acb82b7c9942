"""The register's side of a KIT link: no I/O, no clock, no tasks.

It introduces itself, keeps the session alive, knows which answers are awaited until when, and walks
`states.TRANSACTIONS` so that nothing is sent that the protocol forbids. What to send, and when, is the affair of driver
and settlement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeAlias

from zahlwerk.errors import LocalProtocolError, RemoteProtocolError
from zahlwerk.interfaces.kit.codec import Line, encode_line
from zahlwerk.interfaces.kit.codes import TrxFunction, TrxResult
from zahlwerk.interfaces.kit.messages import (
    ActivationResponse,
    ConfirmationTimeExtensionRequest,
    ConfirmationTimeExtensionResponse,
    ConnectRequest,
    ConnectResponse,
    ErrorNotification,
    Message,
    ReceiptRequest,
    ReceiptResponse,
    StatusRequest,
    StatusResponse,
    TransactionConfirmationRequest,
    TransactionConfirmationResponse,
    TransactionRequest,
    TransactionResponse,
    TrxDataChangeReason,
    name_of,
)
from zahlwerk.interfaces.kit.side import Malformed, PeerGone, Received, Side
from zahlwerk.interfaces.kit.states import SESSIONS, TRANSACTIONS, Session, SessionInput, Trx, TrxInput, step
from zahlwerk.timeouts import DEFAULT_WAITS, Operation, Waits

__all__ = ["ANSWERS", "Options", "RegisterEvent", "RegisterSide", "RequestExpired", "RequestFailed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a register tells about itself when it connects. Source: KIT fact sheet 2.1 (ConnectRequest), 4.1."""

    language: str = ""
    printer_width: int = 34
    unsolicited_receipts: bool = True
    suppress_scheduled_tasks: bool = False
    use_external_display: bool = True
    pos_id: str = ""
    data_change_reasons: tuple[Mapping[str, int], ...] = ()
    companions: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    """Top-level keys beside ConnectRequest; only on local WebSocket and in the cloud (P-01)."""

    def to_wire(self) -> ConnectRequest:
        """The ConnectRequest that says so."""
        reasons = tuple(
            TrxDataChangeReason(
                trx_data_change_reason_code=reason.get("TrxDataChangeReasonCode"),
                my_one_discount_code=reason.get("MyOneDiscountCode"),
                bonus_card_brand_number=reason.get("BonusCardBrandNumber"),
            )
            for reason in self.data_change_reasons
        )
        return ConnectRequest(
            trm_lng=self.language or None,
            printer_width=self.printer_width,
            set_trx_data_change_reason=reasons or None,
            unsolicited_receipts=1 if self.unsolicited_receipts else None,
            suppress_scheduled_tasks=1 if self.suppress_scheduled_tasks else None,
            use_external_display=1 if self.use_external_display else None,
            posid=self.pos_id or None,
        )


@dataclass(frozen=True, slots=True)
class RequestFailed:
    """The terminal sent an ErrorNotification; by order of requests it answers this one (uncorrelated: P-25)."""

    request: str
    """Name of the request; empty if only a transaction, or nothing, was awaited."""
    error: ErrorNotification


@dataclass(frozen=True, slots=True)
class RequestExpired:
    """No answer in time."""

    request: str


RegisterEvent: TypeAlias = Received | Malformed | PeerGone | RequestFailed | RequestExpired

_O = Operation
ANSWERS: Final[Mapping[str, tuple[str, Operation]]] = MappingProxyType({
    "ConnectRequest": ("ConnectResponse", _O.CONNECT),
    "StatusRequest": ("StatusResponse", _O.SHORT),
    "ActivationRequest": ("ActivationResponse", _O.SHIFT),
    "DeactivationRequest": ("DeactivationResponse", _O.SHIFT),
    "BatchCaptureRequest": ("BatchCaptureResponse", _O.SERVICE),
    "BalanceRequest": ("BalanceResponse", _O.SERVICE),
    "ConfigurationRequest": ("ConfigurationResponse", _O.SERVICE),
    "InitializationRequest": ("InitializationResponse", _O.INITIALISATION),
    "ReceiptRequest": ("ReceiptResponse", _O.SHORT),
    "ReportRequest": ("ReportResponse", _O.SHORT),
    "LockEFTOperationsRequest": ("LockEFTOperationsResponse", _O.SHORT),
    "UnlockEFTOperationsRequest": ("UnlockEFTOperationsResponse", _O.SHORT),
    "SetTerminalLanguageRequest": ("SetTerminalLanguageResponse", _O.SHORT),
    "DialogRequest": ("DialogResponse", _O.SHORT),
    "PrintReceiptRequest": ("PrintReceiptResponse", _O.SHORT),
    "DeviceCommandRequest": ("DeviceCommandResponse", _O.SHORT),
    "AbortTransactionRequest": ("AbortTransactionResponse", _O.SHORT),
    "ConfirmationTimeExtensionRequest": ("ConfirmationTimeExtensionResponse", _O.SHORT),
})  # fmt: skip
"""Which answer a request waits for, and how long (`Waits.register_s`). Source: 2.1. A transaction and its confirmation
have their own clock in the settlement; CancelUIRequest has no answer (P-19)."""

# An ErrorNotification is no answer to these: they never fail, or nobody waits for them.
_NEVER_FAIL: Final = frozenset({
    "StatusRequest", "AbortTransactionRequest", "ConfirmationTimeExtensionRequest",
})  # fmt: skip


class RegisterSide(Side):
    """Register side (R) of one KIT link."""

    def __init__(self, options: Options | None = None, *, waits: Waits = DEFAULT_WAITS) -> None:
        super().__init__(waits)
        self.session = Session.DOWN
        self.trx = Trx.IDLE
        self.status: StatusResponse | None = None
        self.connected: ConnectResponse | None = None
        self.activated: ActivationResponse | None = None
        self.trx_seq_cnt: int | None = None
        """The latest transaction counter heard of."""
        self.holds: set[int] = set()
        """Counters of our open AUTHORIZATION_PURCHASEs: settling one does not touch the running transaction (4.6)."""
        self._options = options or Options()
        self._events: list[RegisterEvent] = []
        self._awaited: dict[str, tuple[str, float]] = {}
        self._is_hold = False
        self._receipt_type: int | None = None

    # -- the verbs

    def link_up(self, *, now_s: float) -> None:
        """The connection stands: introduce ourselves and ask the status at once. Source: 4.3."""
        self._link_up(now_s)
        self._session(SessionInput.LINK_UP)
        self._session(SessionInput.CONNECT_REQUEST)
        self.status = None
        self._await("ConnectRequest", now_s, self._waits.connect_s)
        self._write(self._options.to_wire(), self._options.companions)
        self._await("StatusRequest", now_s, self._waits.connect_s)
        self._write(StatusRequest())

    def link_down(self) -> None:
        """The connection ended. The transaction stays what it is (4.9)."""
        self._link_down()
        self._awaited.clear()
        self._session(SessionInput.LINK_DOWN)

    def send(self, message: Message, *, now_s: float, wait_s: float | None = None) -> None:
        """Queue one message.

        Args:
            wait_s: how long to wait for its answer, instead of the table's time.

        Raises:
            LocalProtocolError: no session, or the protocol forbids it now. Nothing was queued.
            InvalidRequest: it cannot be written as KIT JSON. Nothing was queued.
        """
        if self.session is not Session.OPEN:
            raise LocalProtocolError(f"{name_of(message)} while {self.session.value}")
        line = encode_line(message)
        self._step_sent(message)
        self._await(name_of(message), now_s, wait_s)
        self._write_line(line)

    def settled(self) -> None:
        """The transaction has been brought to an end by other means: the next one may start."""
        self.trx = Trx.IDLE

    def events_received(self) -> list[RegisterEvent]:
        """What happened; returns and empties."""
        events, self._events = self._events, []
        return events

    def deadline_s(self) -> float | None:
        deadlines = [until_s for _, until_s in self._awaited.values()]
        alive_s = super().deadline_s()
        if alive_s is not None:
            deadlines.append(alive_s)
        return min(deadlines, default=None)

    def handle_deadline(self, *, now_s: float) -> None:
        super().handle_deadline(now_s=now_s)
        for answer, (request, until_s) in tuple(self._awaited.items()):
            if now_s >= until_s:
                del self._awaited[answer]
                self._events.append(RequestExpired(request))

    # -- inside

    def _handle(self, line: Line, message: Message) -> None:
        if not isinstance(message, ReceiptResponse) or message.receipt_type == self._receipt_type:
            self._awaited.pop(line.name, None)  # a receipt that comes unasked is no answer
        match message:
            case ConnectResponse():
                self.connected = message
                self._session(SessionInput.CONNECT_RESPONSE)
            case StatusResponse():
                self.status = message
            case ActivationResponse():
                self.activated = message
                if message.trx_seq_cnt is not None:
                    self.trx_seq_cnt = message.trx_seq_cnt
            case TransactionResponse():
                self._step_response(message)
            case TransactionConfirmationResponse():
                self._step(TrxInput.DONE)
            case ConfirmationTimeExtensionRequest():
                self._write(ConfirmationTimeExtensionResponse())  # P-17: the direction is only inferred
            case ErrorNotification():
                self._fail(message)
                return
            case _:
                pass
        self._events.append(Received(message, line.companions))

    def _fail(self, error: ErrorNotification) -> None:
        """The oldest request that can fail takes the blame; an error has no address (P-25)."""
        for answer, (request, _) in tuple(self._awaited.items()):
            if request not in _NEVER_FAIL:
                del self._awaited[answer]
                self._events.append(RequestFailed(request, error))
                return
        self._events.append(RequestFailed("", error))

    def _unknown(self, line: Line) -> None:
        """Messages of newer terminals are tolerated (2.1); the tap has seen them."""

    def _reject(self, error: RemoteProtocolError) -> None:
        self._events.append(Malformed(error))
        self._count_malformed()

    def _gone(self, why: str) -> None:
        self._events.append(PeerGone(why))

    def _await(self, request: str, now_s: float, wait_s: float | None) -> None:
        if request in ANSWERS:
            answer, operation = ANSWERS[request]
            self._awaited[answer] = (request, now_s + (self._waits.register_s(operation) if wait_s is None else wait_s))

    def _session(self, happened: SessionInput) -> None:
        self.session = step(SESSIONS, self.session, happened) or self.session

    def _step_sent(self, message: Message) -> None:
        match message:
            case TransactionRequest():
                self._must(TrxInput.REQUEST, message)
                self._is_hold = message.trx_function == TrxFunction.AUTHORIZATION_PURCHASE
            case TransactionConfirmationRequest() if message.trx_seq_cnt not in self.holds:
                self._must(TrxInput.CONFIRM if message.confirm else TrxInput.ROLL_BACK, message)
            case ReceiptRequest():
                self._receipt_type = message.receipt_type
            case _:
                pass

    def _step_response(self, message: TransactionResponse) -> None:
        if message.trx_seq_cnt is not None:
            self.trx_seq_cnt = message.trx_seq_cnt
        if message.trx_result != TrxResult.APPROVED:
            self._step(TrxInput.REFUSAL)
        else:
            self._step(TrxInput.HELD if self._is_hold else TrxInput.APPROVAL)

    def _must(self, happened: TrxInput, message: Message) -> None:
        following = step(TRANSACTIONS, self.trx, happened)
        if following is None:
            raise LocalProtocolError(f"{name_of(message)} while a transaction is «{self.trx.value}»")
        self.trx = following

    def _step(self, happened: TrxInput) -> None:
        """What the terminal does is not ours to forbid: an input that fits nowhere changes nothing."""
        self.trx = step(TRANSACTIONS, self.trx, happened) or self.trx
