"""One payment over KIT from its request to a certain end, through lost links and lost answers. Pure.

`Settlement` is fed with what happens (answers, errors, a link that goes and comes, decisions, time) and says what to do
next: send a message, ask the witness, or end with an outcome. `driver.py` carries it out; the simulation can too.

The order of questions after something was lost is argued in docs/decisions/0002. In short:

- Before our Confirm 1 has left, no money can move: the terminal takes an unconfirmed approval back by itself (KIT fact
  sheet 4.6). So the payment can be ended with Confirm 0, and is FAILED once the terminal is known to hold nothing open.
- After our Confirm 1 has left, Confirm 0 is never sent (4.9, rule 4). Confirm 1 is repeated, with the TrxSeqCnt it is
  meant for; only its answer, or a receipt that shows the approval, makes it APPROVED. Everything else is UNKNOWN.
"""

from __future__ import annotations

import re
from typing import Final

from zahlwerk.interfaces.kit.codes import ReportFlags, ReportType, TrmStatus, TrxResult
from zahlwerk.interfaces.kit.facts import Action, AskWitness, End, Ending, Facts, Phase, Send, speaks_of_rollback
from zahlwerk.interfaces.kit.messages import (
    AbortTransactionRequest,
    ActivationRequest,
    ActivationResponse,
    ConfirmationTimeExtensionRequest,
    Message,
    ReceiptRequest,
    ReportRequest,
    ReportResponse,
    StatusRequest,
    TransactionConfirmationRequest,
    TransactionConfirmationResponse,
    TransactionRequest,
    TransactionResponse,
)
from zahlwerk.interfaces.kit.receipts import ReceiptVerdict, judge_receipt
from zahlwerk.timeouts import DEFAULT_WAITS, Operation, Waits

__all__ = ["Action", "AskWitness", "End", "Ending", "Facts", "Phase", "Send", "Settlement"]


# LIMIT: how many times Confirm 1 or Confirm 0 is sent in all before another witness is asked.
CONFIRM_TRIES: Final = 2
# LIMIT: receipts that are read to find ours among what the terminal did meanwhile.
RECEIPTS_MAX: Final = 5
# LIMIT: pages of the list of open authorisations.
PAGES_MAX: Final = 100
# LIMIT: a link that comes and goes for ever must not keep the caller for ever.
RECONNECTS_MAX: Final = 20
# The terminal takes an approval back after 60 s (4.10): ask for more in good time.
EXTEND_EVERY_S: Final = 30.0
EXTEND_SECONDS: Final = 60
# 4.9, rule 2: "while ONLINE_PROCESSING is set wait (at most 90 s)".
ONLINE_S: Final = 90.0


class Settlement:
    """One payment on its way to a certain end. Feed it, then drain `actions()`."""

    def __init__(
        self,
        request: TransactionRequest | None,
        facts: Facts,
        *,
        waits: Waits = DEFAULT_WAITS,
        open_holds: frozenset[int] = frozenset(),
        recover_s: float | None = None,
    ) -> None:
        """Start with `begin` (a new payment) or `resume` (one that was lost).

        Args:
            request: the request as sent; None where only the facts are left, after a restart.
            facts: what is known already.
            open_holds: counters of authorisations that are ours and open: they must not be touched (4.9, rule 5).
            recover_s: how long to wait for a lost link before saying UNKNOWN.
        """
        self.phase = Phase.RUNNING
        self.response: TransactionResponse | None = None
        self.confirmation: TransactionConfirmationResponse | None = None
        self._request = request
        self._facts = facts
        self._waits = waits
        self._open_holds = open_holds
        self._recover_s = waits.late_answer_s if recover_s is None else recover_s
        self._actions: list[Action] = []
        self._deadline_s: float | None = None
        self._give_up_s: float | None = None
        self._linked = True
        self._asked = False
        self._aborted = False
        self._abort_sent = False
        self._tries = 0
        self._unanswered = 0
        self._reconnects = 0
        self._to_read: list[int] = []
        self._listed_holds: dict[int, int | None] = {}
        self._pages = 0
        self._is_listed = True
        """False once the terminal refused to list its open authorisations."""
        self._settles_hold = False
        self._lost = False
        self._took_back = False
        self._why = ""

    # -- the verbs

    @property
    def facts(self) -> Facts:
        """What would have to survive a restart now."""
        return self._facts

    @property
    def is_over(self) -> bool:
        """True once an `End` was given."""
        return self.phase is Phase.OVER

    @property
    def confirm_sent(self) -> bool:
        """True once Confirm 1 may have left: from here on nothing is rolled back any more."""
        return self._facts.confirm is True and not self._facts.is_kept

    def actions(self) -> list[Action]:
        """What to do now; returns and empties."""
        actions, self._actions = self._actions, []
        return actions

    def deadline_s(self) -> float | None:
        """When `handle_deadline` must run; None while time does not matter."""
        return self._deadline_s

    def begin(self, *, now_s: float) -> None:
        """Send the request."""
        assert self._request is not None
        payment_s = self._waits.register_s(Operation.PAYMENT)
        self._give_up_s = now_s + 2 * payment_s
        self._wait(Phase.RUNNING, now_s, payment_s)
        self._send(self._request)

    def settle_hold(self, *, now_s: float) -> None:
        """Capture or release a hold, as the facts say."""
        assert self._facts.confirm is not None
        assert self._facts.sequence is not None
        self._settles_hold = True
        if self._facts.confirm:
            self._confirm(now_s)
        else:
            self._roll_back(now_s)

    def resume(self, status: int | None, *, response: TransactionResponse | None = None, now_s: float) -> None:
        """Take up a payment that was lost, on a session that is open. What was not decided is rolled back.

        Args:
            status: the latest TrmStatus.
            response: the terminal's answer, if it came after the payment had been given up.
        """
        self._lost = True
        self._aborted = True
        if response is not None and not self._facts.excludes(response.trx_seq_cnt):
            self._know(response)
        self._give_up_s = now_s + self._waits.register_s(Operation.PAYMENT)
        self._session_up(status, now_s)

    def link_down(self, *, now_s: float) -> None:
        """The connection ended."""
        self._linked = False
        self._unanswered = 0
        if self.phase in {Phase.OVER, Phase.LINK}:
            return
        if self.phase is Phase.DECIDING:
            self._deadline_s = None  # the witness is still being asked; its decision waits for the link
            return
        self._lost = True
        self._wait(Phase.LINK, now_s, self._recover_s)

    def session_up(self, status: int | None, *, now_s: float) -> None:
        """The connection is back, introduced, and the terminal told its status."""
        self._linked = True
        if self.phase is Phase.DECIDING:
            self._extend_later(now_s)
        elif self.phase is Phase.LINK:
            self._reconnects += 1
            if self._reconnects > RECONNECTS_MAX:
                self._end_unproved("the connection comes and goes")
            else:
                self._session_up(status, now_s)

    def decided(self, *, confirm: bool, amount_minor: int | None, now_s: float) -> None:
        """The witness has decided about the approval it was shown."""
        if self.phase is not Phase.DECIDING:
            return
        self._facts = self._facts.but(confirm=confirm, amount_minor=amount_minor)
        if self._facts.is_hold and confirm:
            self._end(Ending.HELD)
        elif not self._linked:
            self._wait(Phase.LINK, now_s, self._recover_s)
        elif confirm:
            self._confirm(now_s)
        else:
            self._roll_back(now_s)

    def abort(self, *, silent: bool, now_s: float) -> None:
        """The caller wants it stopped. What the terminal answers still counts; an approval will be rolled back."""
        if self.phase is Phase.OVER or self.confirm_sent:
            return
        self._aborted = True
        if self.phase is Phase.RUNNING and self._linked:
            self._send_abort(silent=silent)
            self._deadline_s = now_s + self._waits.late_answer_s

    def witness_failed(self, *, now_s: float) -> None:
        """The witness raised: the approval is not durable, so it is rolled back."""
        self.decided(confirm=False, amount_minor=None, now_s=now_s)

    # -- what comes from the terminal

    def received(self, message: Message, *, now_s: float) -> None:
        """A message that may concern this payment."""
        match message:
            case TransactionResponse():
                self._answered(message, now_s)
            case TransactionConfirmationResponse():
                self._confirmed(message, now_s)
            case ActivationResponse() if self.phase is Phase.COUNTER:
                self._counted(message.trx_seq_cnt, now_s)
            case ReportResponse() if self.phase is Phase.HOLDS:
                self._listed(message, now_s)
            case _:
                pass

    def status(self, status: int, *, now_s: float) -> None:
        """A StatusResponse; `status` is its TrmStatus."""
        back_online = self.phase is Phase.ONLINE and not status & TrmStatus.ONLINE_PROCESSING
        # After a Confirm 0 that found nothing, the end of BUSY says that no answer will come any more.
        free = self.phase is Phase.RUNNING and self._took_back and not status & TrmStatus.BUSY
        if self.phase is Phase.STATUS or back_online or free:
            self._judge_status(status, now_s)

    def receipt(self, text: str | None, *, now_s: float) -> None:
        """The whole receipt that was asked for; None: the terminal has none."""
        if self.phase is not Phase.RECEIPT:
            return
        verdict = judge_receipt(text or "", self.response, amount_minor=self._amount_minor(), undoes=self._facts.undoes)
        if self.confirm_sent:
            self._judge_confirmed(verdict, text or "")
        elif verdict is ReceiptVerdict.NOT_APPROVED:
            self._read_next(now_s)
        elif verdict is ReceiptVerdict.SILENT and not text:
            if self._may_be_confirmed():
                self._end_unproved("it may have been confirmed before, and the terminal has no receipt")
            elif self._facts.is_hold and self._facts.sequence is not None:
                # No receipt proves nothing: an authorisation has none, and no terminal takes it back by itself.
                self._list_holds(now_s)
            else:
                self._read_next(now_s)
        else:
            self._end(Ending.UNKNOWN, "a receipt that may be ours shows an approval that we never confirmed")

    def error(self, *, refused: bool, now_s: float) -> None:
        """An ErrorNotification that belongs to no other request.

        Args:
            refused: the terminal's words leave no doubt that the request it answers did not start.
        """
        if self.phase in {Phase.CONFIRMING, Phase.ROLLING_BACK, Phase.TAKING_BACK}:
            self._unanswered = max(0, self._unanswered - 1)
        match self.phase:
            case Phase.RUNNING if refused and not self._took_back and self._request is not None:
                self._end(Ending.REFUSED)
            case Phase.RUNNING:
                self._ask_status(now_s)
            case Phase.CONFIRMING | Phase.ROLLING_BACK if refused and self._is_first_try_for_a_hold():
                self._end(Ending.REFUSED)
            case Phase.CONFIRMING | Phase.ROLLING_BACK:
                self._confirmation_refused(now_s)
            case Phase.TAKING_BACK:
                self._ask_status(now_s)
            case Phase.HOLDS if self._facts.is_kept:
                self._end_unproved("the terminal does not list its open authorisations")
            case Phase.HOLDS if self._facts.sequence is not None:
                self._end_unproved("the terminal does not list its open authorisations")
            case Phase.HOLDS:
                self._is_listed = False
                self._ask_counter(now_s)
            case Phase.COUNTER:
                self._end_unproved("the terminal does not tell its counter")
            case Phase.RECEIPT:
                self.receipt(None, now_s=now_s)
            case _:
                pass

    def handle_deadline(self, *, now_s: float) -> None:
        """The deadline has passed."""
        if self._deadline_s is None or now_s < self._deadline_s:
            return
        match self.phase:
            case Phase.RUNNING:
                self._answer_late(now_s)
            case Phase.DECIDING:
                self._send(ConfirmationTimeExtensionRequest(seconds=EXTEND_SECONDS))
                self._extend_later(now_s)
            case Phase.CONFIRMING | Phase.ROLLING_BACK:
                self._confirmation_refused(now_s)
            case Phase.LINK:
                self._end_unproved("the connection did not come back")
            case Phase.ONLINE:
                self._end_unproved("the terminal is still busy with the acquirer")
            case Phase.RECEIPT:
                self._end_unproved("the terminal does not hand over the receipt")
            case _:
                self._end_unproved(f"waited in vain for {self.phase.value}")

    # -- the ordinary way

    def _answered(self, response: TransactionResponse, now_s: float) -> None:
        if self.response is not None and response.trx_seq_cnt == self.response.trx_seq_cnt:
            return  # the same answer again, after a reconnect
        if self.phase in {Phase.OVER, Phase.DECIDING} or self._facts.excludes(response.trx_seq_cnt):
            return
        if self._facts.confirm is not None and (
            self.response is not None or self._facts.sequence not in {None, response.trx_seq_cnt}
        ):
            return
        if self.confirm_sent and response.trx_result != TrxResult.APPROVED:
            return  # contradicts what was confirmed: the answer to the confirmation decides
        self._know(response)
        if self.phase is Phase.TAKING_BACK and response.trx_result == TrxResult.APPROVED:
            # Our Confirm 0 is on its way and will meet this very approval.
            self._facts = self._facts.but(confirm=False)
            self.phase = Phase.ROLLING_BACK
            return
        if response.trx_result != TrxResult.APPROVED:
            self._end(Ending.NOT_APPROVED)
        elif self._facts.is_kept:
            self._end(Ending.HELD)
        elif self._facts.confirm is True:
            self._confirm(now_s)
        elif self._aborted or self._facts.confirm is False:
            self._roll_back(now_s)
        elif not self._asked:
            self._asked = True
            self.phase = Phase.DECIDING
            self._extend_later(now_s)
            self._actions.append(AskWitness(response))

    def _know(self, response: TransactionResponse) -> None:
        """This is the answer."""
        self.response = response
        approved = response.trx_amt if response.trx_amt is not None else response.amt_auth
        is_approved = response.trx_result == TrxResult.APPROVED
        self._facts = self._facts.but(sequence=response.trx_seq_cnt, approved_minor=approved if is_approved else None)

    def _extend_later(self, now_s: float) -> None:
        self._deadline_s = now_s + EXTEND_EVERY_S if self._linked and not self._facts.is_hold else None

    def _confirm(self, now_s: float) -> None:
        self._tell_decision(now_s, confirm=True)

    def _roll_back(self, now_s: float) -> None:
        assert self._facts.confirm is not True, "a rollback after Confirm 1"  # 4.9, rule 4: never again
        self._tell_decision(now_s, confirm=False)

    def _tell_decision(self, now_s: float, *, confirm: bool) -> None:
        if self._facts.sequence is None and self._open_holds:
            # Rule 5: without TrxSeqCnt it could be taken for another customer's authorisation.
            self._end_unproved("the answer has no counter, so a confirmation could hit another authorisation")
            return
        self._tries += 1
        self._facts = self._facts.but(confirm=confirm)
        phase = Phase.CONFIRMING if confirm else Phase.ROLLING_BACK
        self._wait(phase, now_s, self._waits.register_s(Operation.CONFIRMATION))
        final_minor = self._facts.amount_minor if confirm else None
        self._send_confirmation(
            TransactionConfirmationRequest(
                confirm=int(confirm), trx_amt=final_minor, trx_seq_cnt=self._facts.sequence or None
            )
        )

    def _confirmed(self, message: TransactionConfirmationResponse, now_s: float) -> None:
        if self.phase in {Phase.OVER, Phase.DECIDING, Phase.LINK} or not self._unanswered:
            return  # an answer to nothing of ours; else it counts, however late it comes
        self._unanswered -= 1
        if not self.confirm_sent and not self._facts.is_decision_known and not speaks_of_rollback(message):
            # It may as well be the answer to a Confirm 1 of the process before us.
            self._took_back = True
            self._ask_status(now_s)
            return
        self.confirmation = message
        if self.confirm_sent:
            self._end(Ending.CONFIRMED)
        elif self._facts.confirm is False:
            self._end(Ending.RELEASED if self._facts.is_hold else Ending.ROLLED_BACK)
        else:
            self._end(Ending.FAILED, "the connection was lost before the answer; an approval was rolled back")

    def _answer_late(self, now_s: float) -> None:
        if not self._abort_sent and self._linked and self._facts.confirm is None:
            self._send_abort(silent=False)
            self._deadline_s = now_s + self._waits.late_answer_s
            return
        self._why = "the terminal never answered"
        self._lost = True
        self._ask_status(now_s)

    def _send_abort(self, *, silent: bool) -> None:
        # After a time-out of ours as after a caller's abort: an approval that still comes must not be confirmed (4.6).
        self._aborted = True
        self._abort_sent = True
        self._send(AbortTransactionRequest(trx_abort_flags=1 if silent else None))

    # -- finding out

    def _session_up(self, status: int | None, now_s: float) -> None:
        if self._give_up_s is None:
            self._give_up_s = now_s + self._waits.register_s(Operation.PAYMENT)
        if self._facts.is_kept:
            self._list_holds(now_s)
        elif self._facts.confirm is True:
            self._confirm(now_s)
        elif self._facts.confirm is False:
            self._roll_back(now_s)
        elif self.response is not None and self.response.trx_result != TrxResult.APPROVED:
            self._end(Ending.NOT_APPROVED)
        elif self.response is not None:
            self._roll_back(now_s)
        elif status is None:
            self._ask_status(now_s)
        else:
            self._judge_status(status, now_s)

    def _ask_status(self, now_s: float) -> None:
        self._wait(Phase.STATUS, now_s, self._waits.register_s(Operation.SHORT))
        self._send(StatusRequest())

    def _judge_status(self, status: int, now_s: float) -> None:
        if status & TrmStatus.ONLINE_PROCESSING:
            self._wait(Phase.ONLINE, now_s, ONLINE_S)
        elif self._facts.confirm is False and not status & TrmStatus.BUSY:
            self._read_own(now_s)
        elif status & TrmStatus.BUSY and self._took_back:
            self._keep_waiting(now_s)
        elif status & TrmStatus.BUSY and self._may_take_back():
            self._took_back = True
            # Our Confirm 0 may meet the approval at any time from now on, so it can never be confirmed (4.9, rule 4).
            self._aborted = True
            self._wait(Phase.TAKING_BACK, now_s, self._waits.register_s(Operation.CONFIRMATION))
            self._send_confirmation(TransactionConfirmationRequest(confirm=0, trx_seq_cnt=self._facts.sequence))
        elif status & TrmStatus.BUSY:
            self._keep_waiting(now_s)
        elif self._facts.is_hold:
            self._list_holds(now_s)
        elif status & TrmStatus.SHIFT_OPEN:
            self._ask_counter(now_s)
        else:
            self._end_unproved("the shift is closed, so the terminal does not tell its counter")

    def _may_take_back(self) -> bool:
        """Only for an answer that was lost (P-25), and never where it could hit another customer's hold (rule 5)."""
        if not self._lost:
            return False
        return self._facts.sequence is not None or not (self._open_holds or self._facts.is_hold)

    def _keep_waiting(self, now_s: float) -> None:
        """Busy, and not with an approval of ours: the card holder is still at it, so the answer will come."""
        if self._give_up_s is not None and now_s >= self._give_up_s:
            self._end_unproved("the terminal stays busy")
            return
        self._wait(Phase.RUNNING, now_s, self._waits.register_s(Operation.PAYMENT))

    def _listed(self, report: ReportResponse, now_s: float) -> None:
        before = self._facts.counter_before
        self._pages += 1
        for entry in report.trx_list_report or ():
            if entry.trx_seq_cnt is not None:
                self._listed_holds[entry.trx_seq_cnt] = entry.amt_auth
        if (report.report_flags or 0) & ReportFlags.MORE_ENTRIES:
            if self._pages >= PAGES_MAX:
                self._end_unproved("the list of open authorisations has no end")
            else:
                self._ask_holds(now_s)
            return
        if self._facts.is_kept:
            self._judge_kept()
            return
        if self._facts.sequence is not None:
            self._judge_released(now_s)
            return
        ours = [
            sequence
            for sequence in self._listed_holds
            if sequence not in self._open_holds and (before is None or sequence > before)
        ]
        if len(ours) == 1 and before is not None:
            self._facts = self._facts.but(sequence=ours[0])
            self._why = "the connection was lost before the answer; the authorisation was released"
            self._roll_back(now_s)
        elif ours:
            self._end_unproved("several authorisations are open that may be ours")
        else:
            self._ask_counter(now_s)

    def _judge_kept(self) -> None:
        sequence = self._facts.sequence
        if sequence is None or sequence not in self._listed_holds:
            self._end_unproved("the authorisation is not open any more: it was settled, or the terminal let go of it")
            return
        if self._facts.approved_minor is None:
            self._facts = self._facts.but(approved_minor=self._listed_holds[sequence])
        self._end(Ending.HELD)

    def _judge_released(self, now_s: float) -> None:
        is_undecided = self._facts.confirm is None and self._facts.is_decision_known and not self._tries
        if self._facts.sequence in self._listed_holds and is_undecided:
            self._why = "nobody had decided about the authorisation; it was released"
            self._roll_back(now_s)
        elif self._facts.sequence in self._listed_holds:
            self._end_unproved("the terminal did not release the authorisation, and still holds it open")
        else:
            self._end(Ending.FAILED, "the terminal does not hold it open any more, and has no receipt of it")

    def _list_holds(self, now_s: float) -> None:
        self._pages = 0
        self._listed_holds = {}
        self._ask_holds(now_s)

    def _ask_holds(self, now_s: float) -> None:
        self._wait(Phase.HOLDS, now_s, self._waits.register_s(Operation.SHORT))
        self._send(ReportRequest(report_type=ReportType.OPEN_PETROL_AUTHORIZATIONS))

    def _ask_counter(self, now_s: float) -> None:
        self._wait(Phase.COUNTER, now_s, self._waits.register_s(Operation.SHIFT))
        self._send(ActivationRequest())

    def _counted(self, counter: int | None, now_s: float) -> None:
        before = self._facts.counter_before
        if before is None or counter is None or counter < before:
            self._end_unproved("the terminal's counter cannot be compared")
        elif counter == before:
            self._end(Ending.FAILED, "the request never reached the terminal: its counter has not moved")
        elif counter - before > RECEIPTS_MAX:
            self._end_unproved("the terminal has done too much meanwhile")
        else:
            self._to_read = list(range(before + 1, counter + 1))
            self._read_next(now_s)

    def _read_next(self, now_s: float) -> None:
        if not self._to_read and not self._is_listed:
            self._end_unproved("the terminal does not list its open authorisations")
        elif not self._to_read:
            self._end(Ending.FAILED, "the terminal holds nothing open, and none of its receipts shows an approval")
        else:
            self._read(self._to_read.pop(0), now_s)

    def _read(self, sequence: int, now_s: float) -> None:
        self._wait(Phase.RECEIPT, now_s, self._waits.register_s(Operation.SHORT))
        self._send(ReceiptRequest(receipt_type=1, receipt_id_numeric=sequence))

    def _confirmation_refused(self, now_s: float) -> None:
        """No answer, or an error, to Confirm: try once more, then ask the receipt (4.9, rule 4; P-24).

        A rollback that was refused by a terminal that is busy proves nothing: an earlier decision may be under way.
        """
        if self._tries < CONFIRM_TRIES:
            if self._facts.confirm:
                self._confirm(now_s)
            else:
                self._roll_back(now_s)
        elif self.confirm_sent or self._settles_hold:
            self._read_own(now_s)
        else:
            self._took_back = True
            self._ask_status(now_s)

    def _read_own(self, now_s: float) -> None:
        if self._facts.sequence is None:
            self._end_unproved("the terminal does not answer to the confirmation")
        else:
            self._to_read = []
            self._read(self._facts.sequence, now_s)

    def _may_be_confirmed(self) -> bool:
        """Confirm 1 may have left before this settlement began: from another process, or from its settling a hold."""
        return self._settles_hold or not self._facts.is_decision_known

    def _is_first_try_for_a_hold(self) -> bool:
        """Nothing was lost and nothing repeated, so a plain refusal is the answer to this very request."""
        return self._facts.is_hold and self._tries == 1 and not self._lost

    def _judge_confirmed(self, verdict: ReceiptVerdict, text: str) -> None:
        if verdict is ReceiptVerdict.APPROVED:
            self._end(Ending.CONFIRMED, "the terminal's receipt shows it")
        elif verdict is ReceiptVerdict.NOT_APPROVED and self._is_named(text):
            self._end(Ending.FAILED, "the terminal's receipt shows that it was taken back")
        else:
            self._end(Ending.UNKNOWN, "the terminal neither confirms nor has a receipt")

    def _is_named(self, text: str) -> bool:
        """Whether a receipt names this very payment: by its authorisation code, or by its counter."""
        code = self.response.auth_c if self.response is not None else None
        if code and code in text:
            return True
        return self._facts.sequence is not None and str(self._facts.sequence) in re.findall(r"[0-9]+", text)

    # -- small things

    def _amount_minor(self) -> int | None:
        if self._facts.amount_minor is not None:
            return self._facts.amount_minor
        if self._facts.approved_minor is not None:
            return self._facts.approved_minor
        return self._request.amt_auth if self._request is not None else None

    def _send_confirmation(self, message: TransactionConfirmationRequest) -> None:
        self._unanswered += 1
        self._send(message)

    def _send(self, message: Message) -> None:
        self._actions.append(Send(message))

    def _wait(self, phase: Phase, now_s: float, wait_s: float) -> None:
        self.phase = phase
        self._deadline_s = now_s + wait_s

    def _end_unproved(self, why: str) -> None:
        self._end(Ending.UNKNOWN, why)

    def _end(self, ending: Ending, why: str = "") -> None:
        self.phase = Phase.OVER
        self._deadline_s = None
        self._actions.append(End(ending, self.response, self.confirmation, why or self._why))
