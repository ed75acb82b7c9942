"""What a receipt proves, and receipts in parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zahlwerk.interfaces.kit.messages import ReceiptResponse, TransactionResponse
from zahlwerk.interfaces.kit.receipts import (
    RECEIPT_CHARACTERS_MAX,
    RECEIPT_TYPES_MAX,
    ReceiptCollector,
    ReceiptVerdict,
    judge_receipt,
    split_receipt,
)

ANSWER = TransactionResponse(trx_result=0, trx_seq_cnt=5, auth_c="ABC123")
A, N, S = ReceiptVerdict.APPROVED, ReceiptVerdict.NOT_APPROVED, ReceiptVerdict.SILENT


def verdict(text: str, amount: int | None = 1250, answer: TransactionResponse | None = ANSWER, **more: bool) -> object:
    return judge_receipt(text, answer, amount_minor=amount, **more)


class TestApproval:
    """4.9: "the receipt text must be read; formats vary"."""

    @pytest.mark.parametrize(
        "text",
        [
            "Buchung\nTotal CHF 12.50\nAut.-Nr.: ABC123",
            "Achat\nMontant 12,50 CHF\nNo aut. ABC123\n23.11.2026 10:15:30",
            "Acquisto\nTotale CHF: 12.50\nAutorizz. ABC123",
            "Purchase\nCHF 12.50 ABC123",
        ],
    )
    def test_code_and_amount_are_proof(self, text: str) -> None:
        assert verdict(text) is A

    @pytest.mark.parametrize(
        "shown", ["1'250.00", "1’250.00", "1,250.00", "1.250,00", "1 250.00", "1250.00", "1\u202f250,00"]
    )
    def test_thousands_are_read(self, shown: str) -> None:
        assert verdict(f"Total {shown}\nABC123", 125_000) is A

    @pytest.mark.parametrize(
        "text",
        [
            "Total CHF 12.50",
            "Aut. ABC123",
            "Total CHF 12.51 ABC123",
            "Total CHF 112.50 ABC123",
            "Total CHF 12.50 XABC1234",
            "Datum 12.50.2026 ABC123",
            "Zeit 12:50 ABC123",
            "Trx 99912509 ABC123",
            "",
            "   \n",
        ],
    )
    def test_anything_less_is_no_proof(self, text: str) -> None:
        assert verdict(text) is S

    def test_without_an_answer_or_an_amount_nothing_is_proved(self) -> None:
        text = "Total CHF 12.50\nABC123"
        assert (verdict(text, answer=None), verdict(text, None)) == (S, S)

    def test_a_small_amount_is_not_found_inside_other_numbers(self) -> None:
        assert verdict("Trx 1234567\nABC123\nTotal 9.95", 5) is S
        assert verdict("ABC123\nTotal 0.05", 5) is A


class TestRefusal:
    @pytest.mark.parametrize(
        "line",
        ["ABGELEHNT", "Transaktion abgelehnt", "STORNIERT", "Abbruch", "Nicht genehmigt", "REFUSÉ", "Transaction annulée",
         "RIFIUTATO", "Operazione annullata", "Non autorizzata", "DECLINED", "Payment cancelled", "VOID", "Not approved"],
    )  # fmt: skip
    def test_a_line_of_its_own_is_a_refusal_in_four_languages(self, line: str) -> None:
        assert verdict(f"Beleg\n   {line}   \nTotal CHF 12.50") is N

    @pytest.mark.parametrize(
        "footer",
        ["No refund without receipt, no cancellation", "Kein Storno möglich", "Stornierung nur mit diesem Beleg möglich",
         "Pas d'annulation", "Nessun annullamento", "No cancellation", "To cancel please ask our staff at once"],
    )  # fmt: skip
    def test_a_footer_proves_neither(self, footer: str) -> None:
        """A payment that was made would be asked for again."""
        assert verdict(f"Buchung\nTotal CHF 12.50\nABC123\n{footer}") is S
        assert verdict(f"Buchung\nTotal CHF 12.50\n{footer}") is S

    def test_a_refusal_beside_our_own_code_proves_neither(self) -> None:
        assert verdict("Total CHF 12.50\nABC123\nSTORNIERT") is S

    def test_on_the_receipt_of_a_reversal_words_of_undoing_say_that_it_worked(self) -> None:
        assert verdict("Storno\nTotal CHF 12.50\nABC123", undoes=True) is A
        assert verdict("Storno\nABGELEHNT", undoes=True) is N


class TestParts:
    """4.7."""

    @given(st.text(max_size=300), st.integers(1, 80))
    def test_parts_put_together_are_the_receipt(self, text: str, size: int) -> None:
        collector = ReceiptCollector()
        got = [collector.add(part) for part in split_receipt(text, 1, part_characters=size)]
        assert got[:-1] == [None] * (len(got) - 1)
        assert got[-1] is not None
        assert (got[-1].kind, got[-1].text) == (1, text)

    def test_parts_end_at_lines_where_they_can(self) -> None:
        parts = split_receipt("aaaa\nbbbb\ncccc", 1, part_characters=7)
        assert [part.receipt_text for part in parts] == ["aaaa\n", "bbbb\n", "cccc"]
        assert [part.receipt_flags for part in parts] == [3, 1, 0]

    def test_types_may_be_interleaved(self) -> None:
        collector = ReceiptCollector()
        first, second = split_receipt("a\nb", 1, part_characters=2), split_receipt("c\nd", 2, part_characters=2)
        got = [collector.add(part) for pair in zip(first, second, strict=True) for part in pair]
        assert [part.text for part in got if part] == ["a\nb", "c\nd"]

    def test_memory_is_bounded_whatever_comes(self) -> None:
        collector = ReceiptCollector()
        for number in range(200):
            collector.add(ReceiptResponse(receipt_type=number, receipt_flags=1, receipt_text="x" * 1000))
        for _ in range(2000):
            collector.add(ReceiptResponse(receipt_type=1, receipt_flags=1, receipt_text="y" * 1000))
            collector.add(ReceiptResponse(receipt_type=1, receipt_flags=1, receipt_text=""))
        assert len(collector._buffers) <= RECEIPT_TYPES_MAX
        assert sum(map(len, collector._buffers[1])) <= RECEIPT_CHARACTERS_MAX
        assert len(collector._buffers[1]) <= 1001


class TestP04:
    """Flag 0x02 is known to the library only; a complete receipt may also come without it."""

    def test_a_receipt_without_the_flag_starts_anew_after_a_complete_one(self) -> None:
        collector = ReceiptCollector()
        collector.add(ReceiptResponse(receipt_type=1, receipt_flags=2, receipt_text="first"))
        got = collector.add(ReceiptResponse(receipt_type=1, receipt_text="second"))
        assert got is not None
        assert got.text == "second"

    def test_the_flag_drops_what_was_never_finished(self) -> None:
        collector = ReceiptCollector()
        collector.add(ReceiptResponse(receipt_type=1, receipt_flags=3, receipt_text="torn off"))
        got = collector.add(ReceiptResponse(receipt_type=1, receipt_flags=2, receipt_text="whole"))
        assert got is not None
        assert got.text == "whole"


class TestP33:
    """The library keeps only the last part of a receipt in parts; we keep all."""

    def test_every_part_is_kept(self) -> None:
        collector = ReceiptCollector()
        assert collector.add(ReceiptResponse(receipt_type=2, receipt_flags=3, receipt_text="Teil 1\n")) is None
        got = collector.add(ReceiptResponse(receipt_type=2, receipt_flags=0, receipt_text="Teil 2\n"))
        assert got is not None
        assert got.text == "Teil 1\nTeil 2\n"
