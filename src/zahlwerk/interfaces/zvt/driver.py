"""`ZvtTerminal`: the `Terminal` port over ZVT. Moves words and time; what a result is worth, `settlement` says. I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from zahlwerk.errors import NotSupported, TerminalBusy, TerminalError, TerminalRefused
from zahlwerk.events import (
    DisplayShown,
    LinkChanged,
    Notice,
    Printer,
    Progress,
    ProgressChanged,
    ReceiptPrinted,
    StandalonePayment,
    StatusChanged,
    TerminalStatus,
)
from zahlwerk.interfaces.zvt.attempts import Attempt
from zahlwerk.interfaces.zvt.attendance import Attendant, answer_question, handled_by
from zahlwerk.interfaces.zvt.connection import BUSY, Connection
from zahlwerk.interfaces.zvt.conversion import COMMAND_OF, approved_payment, totals_from
from zahlwerk.interfaces.zvt.dictionary import PROGRESS, intermediate_row, status_row
from zahlwerk.interfaces.zvt.information import StatusInformation, open_receipts, read_information
from zahlwerk.interfaces.zvt.messages import Message, Tlv, answer, find_all
from zahlwerk.interfaces.zvt.payments import Payments
from zahlwerk.interfaces.zvt.receipts import ReceiptCollector
from zahlwerk.interfaces.zvt.register import ASKED, Asked, Printed, Refused, RegisterEvent, Told
from zahlwerk.interfaces.zvt.registration import Config
from zahlwerk.interfaces.zvt.services import LANGUAGES, Services, command
from zahlwerk.lifecycle import PaymentState
from zahlwerk.money import Currency, Money
from zahlwerk.payment import Payment, PaymentKind, PaymentRequest, Receipt, ReceiptKind
from zahlwerk.terminal import (
    CONFIRM_ALL,
    Answer,
    Capabilities,
    Dialog,
    DialogEnd,
    DialogInput,
    Evidence,
    Feature,
    HoldId,
    Maintenance,
    OpenEntry,
    Period,
    Terminal,
    TerminalInfo,
    Totals,
    Witness,
)
from zahlwerk.urls import Context

__all__ = ["ZvtTerminal"]

INTERFACE: Final = "ZVT"
STATUS_WITH_TLV: Final = 0x04
"""Service byte of 05 01: tell more in TLV. Source: fact sheet 2.6."""
CANCELLED: Final = 0x6C
OPEN_RESERVATIONS: Final = 0xB8
"""The normal end of the enquiry for open pre-authorisations. Source: fact sheet 2.2, 06 23."""
ALL_RECEIPTS: Final = b"\xff\xff"

_FEATURES: Final = frozenset({
    Feature.TWO_PHASE, Feature.HOLD, Feature.LOOKUP, Feature.PARTIAL_APPROVAL, Feature.TIP_AT_TERMINAL,
    Feature.DCC, Feature.END_OF_DAY, Feature.KEYPAD_LOCK, Feature.LANGUAGE, Feature.MAINTENANCE, Feature.OPEN_ENTRIES,
})  # fmt: skip
_REPEATS: Final = {ReceiptKind.END_OF_DAY: 0x04}
"""Tag 1F01 of 06 20; other kinds: the last receipt (01). Source: fact sheet 4.2."""
_COPIES: Final = frozenset({ReceiptKind.MERCHANT, ReceiptKind.CUSTOMER})
# Key codes that end a dialog. Source: fact sheet 2.9.
_KEYS: Final = {0x0D: DialogEnd.OK, 0x1B: DialogEnd.STOPPED, 0x18: DialogEnd.BACK}
NEEDED: Final = ((0x01, "initialise"), (0x02, "diagnose"), (0x04, "opt_action"))
"""Status bits of a registration, and what they call for. Source: fact sheet 2.7, 6.2."""


class ZvtTerminal(Terminal):
    """A terminal that speaks ZVT, over any link."""

    def __init__(
        self,
        connection: Connection,
        context: Context,
        *,
        currency: Currency,
        language: str = "en",
        heals: bool = True,
        is_test: bool = False,
    ) -> None:
        """Args:
        currency: what amounts are in where the terminal does not say.
        language: of texts for staff, ISO 639-1.
        heals: run the initialisation or diagnosis that the terminal says it needs when it is registered.
        """
        super().__init__()
        self._connection = connection
        self._context = context
        self._currency = currency
        self._language = language
        self._display_language = language
        self._heals = heals
        self._is_test = is_test
        self._attendant: Attendant | None = None
        self._collector = ReceiptCollector(0)
        self._receipts: list[Receipt] = []
        self._payments = Payments(
            connection, context,
            on_progress=self._on_progress, on_event=self._on_event, take_receipts=self._take_receipts,
        )  # fmt: skip
        self.zvt = Services(connection, on_event=self._on_event, carry_out=self._carry_out, on_run=self._payments.stale)
        """Commands of ZVT beyond this port."""
        self._use_case = ""
        self._reference = ""
        self._needs = 0
        self._version = ""
        self._status_tlv: tuple[Tlv, ...] = ()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connected = False
        connection.on_unsolicited = self._on_unsolicited
        connection.on_down = self._on_down
        self._ready = connection.on_up
        connection.on_up = self._on_up
        connection.on_registered = self._on_registered
        connection.on_event = self._on_event

    @property
    def attendant(self) -> Attendant | None:
        """Who answers what the terminal asks the register; set it before `open`."""
        return self._attendant

    @attendant.setter
    def attendant(self, attendant: Attendant | None) -> None:
        self._attendant = attendant
        self._connection.handled = handled_by(attendant)

    # -- the connection

    async def open(self) -> None:
        await self._connection.open()
        await self._heal()

    async def close(self) -> None:
        await self._connection.close()
        self._payments.give_up()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._hub.close()

    # -- what it is and does

    @property
    def capabilities(self) -> Capabilities:
        profile = self._connection.profile
        features = set(_FEATURES)
        if not profile.repeats:
            features.discard(Feature.LOOKUP)
        if profile.partial_goods:
            features.add(Feature.PARTIAL_CAPTURE)
        if profile.aborts:
            features.add(Feature.ABORT)
        if profile.totals:
            features.add(Feature.TOTALS)
        if self._connection.config & Config.PAYMENT_RECEIPTS:
            features |= {Feature.RECEIPTS, Feature.RECEIPT_COPY}
        if profile.prints:
            features.add(Feature.PRINT)
        if profile.displays:
            features |= {Feature.ASK, Feature.DISPLAY}
        if not self._connection.config & Config.LOCK_PAYMENT:
            features.add(Feature.STANDALONE)
        return Capabilities(
            kinds=frozenset(COMMAND_OF),
            features=frozenset(features),
            currencies=profile.currencies,
            languages=tuple(LANGUAGES),
        )

    async def info(self) -> TerminalInfo:
        await self.status()
        tlvs = self._status_tlv
        registration = self._connection.side.registration
        return TerminalInfo(
            terminal_id=registration.terminal_id or _text(tlvs, 0x1F44),
            serial_number=_text(tlvs, 0x1F42),
            model=_text(tlvs, 0x1F40),
            software=_text(tlvs, 0x1F41) or self._version,
            interface=INTERFACE,
            language=self._language,
            is_test=self._is_test,
        )

    async def status(self) -> TerminalStatus:
        message = Message(
            code=0x0501,
            head={"password": self._connection.profile.password},
            fields={0x03: STATUS_WITH_TLV},
            tlv=() if self._connection.profile.tlv else None,
        )
        await self._connection.open()
        end = await self._connection.run(message, listener=self._on_event)
        if isinstance(end, Refused):
            busy = end.answer.code & 0xFF in BUSY
            return TerminalStatus(shift_open=True, busy=busy, locked=not busy, language=self._display_language)
        self._version = end.message.head_text("software") or self._version
        self._status_tlv = end.message.tlv or ()
        code = end.message.head_number("status") or 0
        row = status_row(code)
        return TerminalStatus(
            shift_open=True,
            busy=code in BUSY,
            locked=not row.can_pay and code not in BUSY,
            card_in_slot=code == 0xDC,
            card_read=code == 0xDC,
            printer=Printer.OUT_OF_PAPER if code == 0xCC else Printer.FINE,
            language=self._display_language,
        )

    # -- payments

    async def transact(self, request: PaymentRequest, *, witness: Witness = CONFIRM_ALL) -> Payment:
        if request.kind not in COMMAND_OF:
            raise NotSupported(f"do a payment of kind {request.kind.value}", INTERFACE)
        with self._exclusive(f"a {request.kind.value}", request.reference):
            return await self._payments.transact(request, witness)

    async def _carry_out(self, request: PaymentRequest, message: Message, witness: Witness) -> Payment:
        with self._exclusive(f"a {request.kind.value}", request.reference):
            return await self._payments.transact(request, witness, command=message)

    async def settle(self, hold: HoldId, amount: Money | None) -> Payment:
        with self._exclusive("the settlement of a hold"):
            return await self._payments.settle(hold, amount)

    async def extend(self, seconds: int, text: str = "") -> None:
        """Nothing to do: the terminal is kept waiting for as long as the witness takes (fact sheet 6.4)."""

    async def abort(self, *, silent: bool = False) -> None:  # noqa: ARG002 - ZVT has one kind of abort
        if not self._connection.profile.aborts:
            raise NotSupported("abort a payment", self._connection.profile.title)
        self._payments.abort()

    async def lookup(
        self, reference: str = "", *, sequence: int | None = None, evidence: Evidence | None = None
    ) -> Payment:
        with self._exclusive("a lookup", reference):
            return await self._payments.resume(reference, sequence, evidence)

    async def open_entries(self) -> tuple[OpenEntry, ...]:
        with self._exclusive("a list"):
            await self._connection.open()
            message = Message(code=0x0623, fields={0x87: ALL_RECEIPTS}, tlv=self._tlv())
            end = await self._connection.run(message, listener=self._on_event)
            if isinstance(end, Refused) or end.message.head_number("result") != OPEN_RESERVATIONS:
                raise NotSupported("list open authorisations", INTERFACE)
            return tuple(
                OpenEntry(hold=HoldId(str(number)), amount=self._payments.held(number))
                for number in open_receipts(end.message)
            )

    # -- figures

    async def totals(self, period: Period = Period.SHIFT) -> Totals:
        with self._exclusive("the totals"):
            return await self._figures(command("turnover_totals", password=self._password), period)

    async def end_of_day(self) -> Totals:
        with self._exclusive("the end of day"):
            await self._payments.clear_the_past()
            with suppress(TerminalError):
                await self._warn_of_open_holds()
            self._payments.stale(supersedes=True)
            return await self._figures(command("end_of_day", password=self._password), Period.ACCOUNTING_PERIOD)

    async def _figures(self, message: Message, period: Period) -> Totals:
        found: list[StatusInformation] = []

        def heard(event: RegisterEvent) -> None:
            if isinstance(event, Told) and event.message.code == 0x040F:
                found.append(read_information(event.message))

        await self._connection.open()
        self._collector = ReceiptCollector(message.code)
        await self.zvt.run(message, is_long=True, listener=heard)
        receipts = self._take_receipts()
        text = next((receipt.text for receipt in receipts if receipt.kind is ReceiptKind.END_OF_DAY), "")
        text = text or (receipts[-1].text if receipts else "")
        last = found[-1] if found else StatusInformation()
        return totals_from(last, period, self._currency, text)

    async def _warn_of_open_holds(self) -> None:
        message = Message(code=0x0623, fields={0x87: ALL_RECEIPTS}, tlv=self._tlv())
        end = await self._connection.run(message, listener=self._on_event)
        if isinstance(end, Refused):
            return
        count = len(open_receipts(end.message))
        if count:
            text = f"{count} authorisations are still open: capture or release them, the end of day may refuse"
            self._hub.emit(Notice(text, source=INTERFACE))

    async def receipt(self, kind: ReceiptKind = ReceiptKind.MERCHANT, *, number: int | None = None) -> Receipt:
        if kind not in _COPIES and kind not in _REPEATS:
            raise NotSupported(f"repeat a receipt of kind {kind.value}", INTERFACE)
        tags = [Tlv(0x1F01, _REPEATS.get(kind, 0x01))]
        if number is not None and kind in _COPIES:
            wanted = number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big")
            tags = [
                Tlv(0x1F01, 0x02 if kind is ReceiptKind.MERCHANT else 0x03),
                Tlv(0x1F02, wanted),
                Tlv(0x1F03, wanted),
            ]
        with self._exclusive("a receipt"):
            await self._connection.open()
            self._take_receipts()
            self._collector = ReceiptCollector(0x0650 if kind is ReceiptKind.END_OF_DAY else 0x0620)
            head = {"password": self._password}
            tlv = tuple(tags) if self._connection.profile.tlv else None
            await self.zvt.run(Message(code=0x0620, head=head, tlv=tlv))
            found = self._take_receipts()
        for receipt in found:
            if receipt.kind is kind:
                return receipt
        if found:
            return Receipt(kind, found[-1].text, sequence=number)
        raise NotSupported("repeat a receipt without printing it itself", self._connection.profile.title)

    # -- the device

    async def print(self, text: str = "", *, image_png: bytes = b"", double_height: bool = False,
                    double_width: bool = False, inverse: bool = False, more: bool = False) -> Printer:  # fmt: skip
        if not self._connection.profile.prints:
            raise NotSupported("print", self._connection.profile.title)
        if image_png or inverse:
            raise NotSupported("print an image or inverse text", INTERFACE)
        attribute = (0x20 if double_width else 0) | (0x10 if double_height else 0)
        lines = [Tlv(0x09, attribute), *(Tlv(0x07, line) for line in text.split("\n"))]
        if not more:
            lines.append(Tlv(0x09, 0x81))
        await self._connection.open()
        end = await self._connection.run(Message(code=0x06D3, tlv=(Tlv(0x25, tuple(lines)),)))
        if isinstance(end, Refused):
            return Printer.OUT_OF_PAPER if end.answer.code & 0xFF == 0xCC else Printer.OTHER_ERROR
        return Printer.FINE

    async def ask(self, dialog: Dialog) -> Answer:
        if not self._connection.profile.displays:
            raise NotSupported("show a text", self._connection.profile.title)
        lines = dialog.text.split("\n")
        seconds = max(1, min(255, round(dialog.timeout_s)))
        with self._exclusive("a dialog"):
            await self._connection.open()
            try:
                return await self._asked(dialog, lines, seconds)
            except TerminalRefused as exc:
                if exc.code == CANCELLED:
                    return Answer(DialogEnd.CANCELLED)
                raise

    async def _asked(self, dialog: Dialog, lines: list[str], seconds: int) -> Answer:
        """Show it, and what came of it."""
        if dialog.input is DialogInput.NOTHING:
            key = await self.zvt.display_for_key(lines, seconds=seconds)
            return Answer(DialogEnd.TIMED_OUT if key is None else _KEYS.get(key, DialogEnd.OK))
        mac = dialog.fields.get("mac")
        if dialog.input not in {DialogInput.NUMBER, DialogInput.DIGITS} or not isinstance(mac, bytes):
            # Else any till could ask for a PIN: the texts are signed by the terminal's maker (2.9).
            raise NotSupported("take an input without the maker's MAC over its text", INTERFACE)
        text = await self.zvt.display_for_number(lines, mac, seconds=seconds, longest=dialog.length_max)
        return Answer(DialogEnd.STOPPED) if text is None else Answer(DialogEnd.OK, text)

    async def cancel_ask(self) -> None:
        self._connection.abort()

    async def maintain(self, work: Maintenance, *, acquirer_id: int | None = None, text: str = "") -> None:
        del acquirer_id  # ZVT knows no single acquirers
        services = self.zvt
        todo = {
            Maintenance.CONFIGURE: lambda: services.diagnose(0x03),
            Maintenance.INITIALISE: services.initialise,
            Maintenance.SUBMIT: services.send_offline,
            Maintenance.TRANSMIT: services.send_offline,
            Maintenance.REBOOT: services.reset,
            Maintenance.UPDATE: lambda: services.software_update(text),
            Maintenance.REMOTE_MAINTENANCE: lambda: services.diagnose(0x02),
            Maintenance.EJECT_CARD: services.eject_card,
        }.get(work)
        if todo is None:
            raise NotSupported(work.value, INTERFACE)
        with self._exclusive(work.value):
            await self._connection.open()
            await todo()

    async def lock_keypad(self, locked: bool) -> None:
        now = self._connection.config
        config = (now | Config.LOCK_PAYMENT) if locked else (now & ~Config.LOCK_PAYMENT)
        if config == now:
            return
        with self._exclusive("the registration"):
            await self._connection.register_with(int(config))

    async def set_language(self, language: str) -> None:
        await self._connection.open()
        await self.zvt.select_language(language)
        self._display_language = language[:2].lower()

    # -- inside

    @property
    def _password(self) -> str:
        return self._connection.profile.password

    def _tlv(self) -> tuple[Tlv, ...] | None:
        return () if self._connection.profile.tlv else None

    @contextmanager
    def _exclusive(self, what: str, reference: str = "") -> Iterator[None]:
        if self._use_case:
            raise TerminalBusy(f"{self._use_case} is running")
        self._use_case, self._reference = what, reference
        self._collector = ReceiptCollector(0x0601)
        self._tell_busy(busy=True)
        try:
            yield
        finally:
            self._use_case = self._reference = ""
            self._tell_busy(busy=False)

    def _tell_busy(self, *, busy: bool) -> None:
        self._hub.emit(StatusChanged(TerminalStatus(shift_open=True, busy=busy, language=self._language)))

    async def _heal(self) -> None:
        """Run what the terminal said at its registration that it needs; if that fails it says so itself."""
        needs, self._needs = self._needs, 0
        if not self._heals:
            return
        for bit, name in NEEDED:
            if needs & bit:
                self._hub.emit(Notice(f"the terminal needs it: {name.replace('_', ' ')}", source=INTERFACE))
                with suppress(TerminalError):
                    await getattr(self.zvt, name)()

    def _on_registered(self, status_bits: int) -> None:
        self._needs = status_bits

    async def _on_up(self) -> None:
        """Also when the link comes back by itself: whoever waits to ask what became of a payment must hear of it."""
        if self._ready is not None:
            await self._ready()
        if not self._connected:
            self._connected = True
            self._hub.emit(LinkChanged(True))

    def _on_down(self, why: str) -> None:
        if self._connected and self._connection.profile.connection == "keep":
            self._connected = False
            self._hub.emit(LinkChanged(False, why))

    def _on_progress(self, attempt: Attempt, progress: Progress) -> None:
        self._hub.emit(ProgressChanged(attempt.request.reference, progress))

    def _on_event(self, event: RegisterEvent) -> None:
        match event:
            case Told(message) if message.code == 0x04FF:
                self._tell_state(message)
            case Told(message) if message.code == 0x040F and self._connection.side.command == 0x0501:
                self._payments.stale(supersedes=True)  # a timed job, an end of day perhaps (6.8)
            case Printed(message):
                self._printed(message)
            case Asked(message) if message.code in ASKED:
                self._spawn(message)
            case _:
                pass

    def _tell_state(self, message: Message) -> None:
        code = message.head_number("status")
        if code is None:
            return
        shown = "\n".join(str(tlv.value) for tlv in find_all(message.tlv or (), 0x07)).strip()
        row = intermediate_row(code)
        text = shown or (row.text.of(self._language) if row is not None else "")
        if text:
            self._hub.emit(DisplayShown(text, code))
        progress = PROGRESS.get(code)
        if progress is not None and self._reference:
            self._hub.emit(ProgressChanged(self._reference, progress))

    def _printed(self, message: Message) -> None:
        self._keep(self._collector.feed(message))

    def _keep(self, receipts: list[Receipt]) -> None:
        for receipt in receipts:
            self._receipts.append(receipt)
            self._hub.emit(ReceiptPrinted(receipt))

    def _take_receipts(self) -> tuple[Receipt, ...]:
        self._keep(self._collector.finish())
        receipts, self._receipts = tuple(self._receipts), []
        return receipts

    def _spawn(self, message: Message) -> None:
        task = asyncio.create_task(self._answer(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, message: Message) -> None:
        try:
            said = await answer_question(self._attendant, message)
        except Exception as exc:
            self._hub.emit(
                Notice(f"a question of the terminal was not answered: {type(exc).__name__}", source=INTERFACE)
            )
            said = answer(0x846C)
        self._connection.reply(said)

    def _on_unsolicited(self, message: Message) -> None:
        """Staff do something at the terminal itself. Source: fact sheet 6.8."""
        if message.code in {0x06D1, 0x06D3}:
            self._printed(message)
        elif message.code == 0x04FF:
            self._tell_state(message)
        elif message.code == 0x040F:
            self._standalone(read_information(message))
        else:
            self._keep(self._collector.finish())
            self._receipts.clear()

    def _standalone(self, information: StatusInformation) -> None:
        self._payments.stale()
        if information.result != 0 or information.amount_minor is None:
            return
        if information.receipt_number is None and information.trace is None:
            return  # no transaction: totals that came once more look like this
        if self._payments.may_be_ours(information):
            text = "a result came late: a payment that is still open will be asked about"
            self._hub.emit(Notice(text, source=INTERFACE))
            return
        now = self._context.clock.wall().replace(tzinfo=None)
        amount = Money(information.amount_minor, self._currency)
        if amount.amount <= 0:
            return
        kind = PaymentKind.PURCHASE if information.original_trace is None else PaymentKind.REVERSAL
        receipt = information.receipt_number or 0
        request = PaymentRequest(
            kind=kind,
            amount=amount if kind is PaymentKind.PURCHASE else None,
            # Letters between the numbers, or some of them would look like a card number and be refused.
            reference=f"standalone-t{information.terminal_id}-r{receipt:04d}-d{information.date}-t{information.time}",
        )
        payment = approved_payment(request, information, state=PaymentState.STANDALONE, now=now)
        self._hub.emit(StandalonePayment(payment.but(standalone=True)))


def _text(tlvs: tuple[Tlv, ...], tag: int) -> str:
    found = next(iter(find_all(tlvs, tag)), None)
    return str(found.value) if found is not None and isinstance(found.value, str | int) else ""
