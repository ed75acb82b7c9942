"""Status, identity, receipts, dialogs, printer and work between the domain's words and KIT's."""

from __future__ import annotations

import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.interfaces.kit.kit_strategies import message_of

from zahlwerk.currency import CURRENCIES
from zahlwerk.errors import InvalidRequest
from zahlwerk.events import Acquirer, CardFacts, Printer, ReaderState, ScheduledTask, TerminalStatus
from zahlwerk.interfaces.kit import device_conversion as device
from zahlwerk.interfaces.kit.codec import missing_fields
from zahlwerk.interfaces.kit.codes import TaskName
from zahlwerk.interfaces.kit.messages import (
    ActivationResponse,
    ConnectResponse,
    DialogRequest,
    DialogResponse,
    PrintReceiptRequest,
    ReportResponse,
    StatusResponse,
)
from zahlwerk.interfaces.kit.receipts import ReceiptPart
from zahlwerk.interfaces.kit.report_conversion import (
    entries_from_report,
    report_from_entries,
    report_from_totals,
    totals_from_reports,
)
from zahlwerk.money import Money
from zahlwerk.payment import PaymentKind, ReceiptKind
from zahlwerk.terminal import (
    Answer,
    Capabilities,
    Dialog,
    DialogEnd,
    DialogInput,
    HoldId,
    Maintenance,
    OpenEntry,
    Period,
    TerminalInfo,
    Total,
    TotalKind,
    Totals,
)

letters = st.text(string.ascii_letters, max_size=12)
hexes = st.binary(max_size=16).map(lambda data: data.hex().upper())
moneys = st.integers(0, 10**10).map(lambda minor: Money.of(minor, "CHF"))
languages = st.sampled_from(["de", "en", "fr", "it"])
cards = st.builds(
    CardFacts,
    iin=st.integers(0, 999_999).map(lambda n: f"{n:06d}"),
    aid=hexes,
    aid_icc=hexes,
    atr=hexes,
    currency_number=st.none() | st.sampled_from([756, 978]),
    uid=hexes,
    language=st.sampled_from(["", "de", "fr"]),
)
statuses = st.builds(
    TerminalStatus,
    **{name: st.booleans() for name in ("shift_open", "card_read", "busy", "card_in_slot", "locked", "application_selected",
                                        "wants_request", "choosing_application", "online", "e_signature")},
    printer=st.sampled_from([Printer.FINE, Printer.UNAVAILABLE, Printer.OUT_OF_PAPER, Printer.UNAVAILABLE | Printer.OUT_OF_PAPER]),
    language=languages,
    card=st.none() | cards,
    acquirers=st.lists(st.builds(Acquirer, st.integers(0, 99), st.sampled_from(["", "2026-11-20 06:32:26"])), max_size=3).map(tuple),
    next_task=st.none() | st.builds(ScheduledTask, st.sampled_from([t.value for t in TaskName]), st.just("2026-11-24 03:10:00"),
                                    st.sampled_from(["", "2026-11-23 03:10:00"]), st.none() | st.integers(0, 9)),
    reader_cleaned=st.sampled_from(["", "2026-11-23 03:10:00"]),
)  # fmt: skip


class TestStatus:
    """2.5, 4.10."""

    @given(statuses)
    def test_a_status_comes_back_the_same(self, status: TerminalStatus) -> None:
        wire = device.status_to_wire(status)
        assert missing_fields(wire) == ()
        assert device.status_from_wire(wire) == status

    @given(message_of(StatusResponse))
    def test_any_status_is_understood(self, message: StatusResponse) -> None:
        assert isinstance(device.status_from_wire(message), TerminalStatus)

    @given(st.integers(0, 2**31))
    def test_unknown_bits_are_no_harm(self, bits: int) -> None:
        status = device.status_from_wire(StatusResponse(trm_status=bits, trm_lng="de", e_sig_ind=0))
        assert status.busy is bool(bits & 4)


class TestIdentity:
    @given(st.builds(TerminalInfo, terminal_id=letters, serial_number=letters, software=st.sampled_from(["", "25.01.00", "x"]),
                     sequence=st.none() | st.integers(0, 99), shift_counter=st.none() | st.integers(0, 99),
                     period_counter=st.none() | st.integers(0, 99), merchant_id=letters, merchant_name=letters))  # fmt: skip
    def test_what_we_say_of_ourselves_is_complete(self, info: TerminalInfo) -> None:
        assert missing_fields(device.connect_response(info, language="de")) == ()
        told = device.activation_from_terminal(
            info, Capabilities(kinds=frozenset({PaymentKind.PURCHASE})), language="de"
        )
        assert missing_fields(told) == ()

    @given(st.none() | message_of(ConnectResponse), st.none() | message_of(ActivationResponse))
    def test_whatever_was_told_gives_an_identity(
        self, one: ConnectResponse | None, two: ActivationResponse | None
    ) -> None:
        assert isinstance(device.info_from_wire(one, two, interface="KIT JSON", sequence=None), TerminalInfo)

    @given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
    def test_software_versions_come_back(self, major: int, minor: int, patch: int) -> None:
        text = f"{major:02d}.{minor:02d}.{patch:02d}"
        assert device.software_text(device.software_number(text)) == text


class TestReceipts:
    @pytest.mark.parametrize(
        "kind", [kind for kind in ReceiptKind if kind is not ReceiptKind.OTHER], ids=lambda k: k.name
    )
    def test_every_kind_has_a_type(self, kind: ReceiptKind) -> None:
        number = device.receipt_type(kind)
        assert number is not None
        assert device.receipt_from_part(ReceiptPart(number, "x", 0)).kind is kind

    @given(st.integers(-5, 5000), st.text(max_size=50), st.integers(0, 255))
    def test_any_part_gives_a_receipt(self, kind: int, text: str, flags: int) -> None:
        receipt = device.receipt_from_part(ReceiptPart(kind, text, flags))
        assert "<ESignature />" not in receipt.text

    @given(st.binary(min_size=1, max_size=50))
    def test_an_image_comes_back(self, image: bytes) -> None:
        part = ReceiptPart(1, base64.b64encode(image).decode(), 0x22)
        assert device.receipt_from_part(part).image_png == image


class TestReports:
    """2.10."""

    @given(st.lists(st.builds(Total, brand=letters, kind=st.sampled_from(TotalKind), count=st.integers(0, 999), amount=moneys,
                              tip=st.none() | moneys, aid=hexes), max_size=5))  # fmt: skip
    def test_totals_come_back_the_same(self, found: list[Total]) -> None:
        totals = Totals(Period.SHIFT, tuple(found))
        report = report_from_totals(totals, report_type=1)
        assert missing_fields(report) == ()
        assert totals_from_reports([report], Period.SHIFT) == totals

    @given(st.lists(st.builds(OpenEntry, hold=st.integers(0, 99_999_999).map(lambda n: HoldId(str(n))), amount=st.none() | moneys,
                              masked_pan=st.sampled_from(["", "XXXXXXXXXXXX1111"]), terminal_date=st.just("261123"),
                              terminal_time=st.just("101530")), max_size=5))  # fmt: skip
    def test_open_authorisations_come_back_the_same(self, entries: list[OpenEntry]) -> None:
        assert entries_from_report(report_from_entries(tuple(entries))) == tuple(entries)

    @given(message_of(ReportResponse))
    def test_any_report_is_read(self, report: ReportResponse) -> None:
        totals_from_reports([report], Period.SHIFT)
        entries_from_report(report)

    def test_every_currency_can_be_totalled(self) -> None:
        totals = Totals(Period.SHIFT, tuple(
            Total(brand="X", kind=TotalKind.DEBIT, count=1, amount=Money(1, currency)) for currency in CURRENCIES.values()
        ))  # fmt: skip
        assert totals_from_reports([report_from_totals(totals, report_type=1)], Period.SHIFT) == totals


class TestDialogs:
    """2.12."""

    @given(st.builds(Dialog, text=st.text(max_size=30), input=st.sampled_from(DialogInput), timeout_s=st.integers(1, 600),
                     default=letters, length_min=st.integers(0, 9), length_max=st.integers(1, 64), password=letters))  # fmt: skip
    def test_a_dialog_comes_back_the_same(self, dialog: Dialog) -> None:
        back = device.dialog_from_wire(device.dialog_to_wire(dialog))
        for name in ("text", "input", "timeout_s", "default", "length_min", "length_max", "password"):
            assert getattr(back, name) == getattr(dialog, name), name

    @given(message_of(DialogRequest))
    def test_fields_of_kit_alone_are_passed_on(self, message: DialogRequest) -> None:
        back = device.dialog_to_wire(device.dialog_from_wire(message))
        assert (back.dialog_resource, back.dialog_icon, back.ui_buttons) == (
            message.dialog_resource, message.dialog_icon, message.ui_buttons,
        )  # fmt: skip

    @given(st.builds(Answer, st.sampled_from(DialogEnd), letters, st.none() | st.booleans()))
    def test_an_answer_comes_back_the_same(self, answer: Answer) -> None:
        assert device.answer_from_wire(device.answer_to_wire(answer)) == answer

    @given(message_of(DialogResponse))
    def test_any_answer_is_understood(self, message: DialogResponse) -> None:
        assert isinstance(device.answer_from_wire(message), Answer)


class TestPrinter:
    """2.9."""

    @given(st.integers(0, 127).map(Printer))
    def test_faults_come_back(self, printer: Printer) -> None:
        back = device.printer_from_wire(device.printer_to_wire(printer))
        assert bool(back) is bool(printer)
        assert printer & ~Printer.UNAVAILABLE & ~Printer.OTHER_ERROR == back & ~Printer.OTHER_ERROR

    @given(st.text(min_size=1, max_size=3000), st.booleans())
    def test_a_text_is_cut_into_portions_that_are_the_text(self, text: str, more: bool) -> None:
        portions: list[PrintReceiptRequest] = device.print_requests(text, b"", 4, more=more)
        assert "".join(portion.receipt_text for portion in portions) == text
        assert all(len(portion.receipt_text.encode()) <= 1000 for portion in portions)
        assert [bool((portion.receipt_flags or 0) & 1) for portion in portions] == [True] * (len(portions) - 1) + [more]

    @pytest.mark.parametrize(("size", "fits"), [(14 * 1024, True), (14 * 1024 + 1, False)])
    def test_an_image_has_at_most_14_kilobytes(self, size: int, fits: bool) -> None:
        if fits:
            [request] = device.print_requests("", bytes(size), 0, more=False)
            assert request.receipt_flags == 0x20
        else:
            with pytest.raises(InvalidRequest):
                device.print_requests("", bytes(size), 0, more=False)

    def test_nothing_to_print_is_refused(self) -> None:
        with pytest.raises(InvalidRequest):
            device.print_requests("", b"", 0, more=False)


@pytest.mark.parametrize("state", ReaderState, ids=lambda state: state.name)
def test_states_of_the_reader_come_back(state: ReaderState) -> None:
    assert device.reader_from_wire(device.reader_to_wire(state)) is state


def test_every_work_has_a_command_or_a_message_of_its_own() -> None:
    messages = {Maintenance.CONFIGURE, Maintenance.INITIALISE, Maintenance.SUBMIT, Maintenance.TRANSMIT}
    assert set(device.COMMAND_OF_WORK) | messages == set(Maintenance)
    assert all(device.WORK_OF_COMMAND[int(command)] is work for work, command in device.COMMAND_OF_WORK.items())
