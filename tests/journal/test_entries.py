"""The chain: numbers without gaps, each row sealed to the one before; and what `verify` finds."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from zahlwerk.journal.entries import GENESIS, ORIGIN, Draft, EntryKind, Head, Row, chain_hash, seal, state_of
from zahlwerk.journal.verify import Chain, Fault
from zahlwerk.lifecycle import PaymentState

columns = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
drafts = st.builds(
    Draft, st.sampled_from(EntryKind), columns, columns, st.binary(max_size=40), columns,
    st.none() | st.integers(0, 10**6),
)  # fmt: skip


def chained(written: list[Draft]) -> list[Row]:
    rows: list[Row] = []
    previous = GENESIS
    for number, draft in enumerate(written, start=1):
        rows.append(seal(draft, previous, number=number, moment=f"2026-11-28T12:00:00.{number:06}Z"))
        previous = rows[-1].hash
    return rows


def fault_in(rows: list[Row], head: Head) -> Fault | None:
    chain = Chain()
    return chain.follow(rows) or chain.ends_at(head)


def head_of(rows: list[Row]) -> Head:
    return Head(rows[-1].number, rows[-1].hash, 1) if rows else ORIGIN


@given(st.lists(drafts, max_size=8), st.data())
def test_a_chain_holds_however_it_is_paged(written: list[Draft], data: st.DataObject) -> None:
    rows = chained(written)
    cut = data.draw(st.integers(0, len(rows)))
    chain = Chain()

    assert chain.follow(rows[:cut]) is None
    assert chain.follow(rows[cut:]) is None
    assert chain.ends_at(head_of(rows)) is None


@given(st.lists(drafts, min_size=1, max_size=6), st.data())
def test_any_change_of_any_column_is_found_at_its_row(written: list[Draft], data: st.DataObject) -> None:
    rows = chained(written)
    at = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(
        st.sampled_from(["moment", "terminal", "reference", "kind", "actor", "sequence", "body", "hash"])
    )
    values: dict[str, st.SearchStrategy[object]] = {
        "sequence": st.none() | st.integers(0, 10**6), "body": st.binary(max_size=40),
        "hash": st.binary(min_size=32, max_size=32),
    }  # fmt: skip
    value = data.draw(values.get(column, columns))
    assume(value != getattr(rows[at], column))
    changed = [*rows[:at], rows[at]._replace(**{column: value}), *rows[at + 1 :]]  # type: ignore[arg-type]  # any column by its name

    fault = fault_in(changed, head_of(rows))

    assert fault is not None
    assert fault.number == at + 1


@given(st.lists(drafts, min_size=2, max_size=6), st.data())
def test_a_row_that_is_missing_doubled_or_exchanged_is_found(written: list[Draft], data: st.DataObject) -> None:
    rows = chained(written)
    at = data.draw(st.integers(0, len(rows) - 2))
    without = [*rows[:at], *rows[at + 1 :]]
    doubled = [*rows[: at + 1], *rows[at:]]
    exchanged = [*rows[:at], rows[at + 1], rows[at], *rows[at + 2 :]]

    for changed in (without, doubled, exchanged):
        fault = fault_in(changed, head_of(rows))
        assert fault is not None
        assert fault.number <= at + 2


@given(st.lists(drafts, min_size=1, max_size=6), st.data())
def test_an_end_that_was_cut_off_is_found_by_the_head(written: list[Draft], data: st.DataObject) -> None:
    rows = chained(written)
    kept = data.draw(st.integers(0, len(rows) - 1))

    fault = fault_in(rows[:kept], head_of(rows))

    assert fault is not None
    assert fault.number == kept + 1


@given(columns, columns, columns)
def test_text_cannot_move_from_one_column_to_the_next(one: str, two: str, three: str) -> None:
    assume(two)
    left = chain_hash(GENESIS, 1, "", one + two, three, "sent", "", None, b"{}")
    right = chain_hash(GENESIS, 1, "", one, two + three, "sent", "", None, b"{}")

    assert left != right


def test_every_state_of_a_payment_has_an_entry_of_its_name() -> None:
    assert {state_of(kind) for kind in EntryKind} - {None} == set(PaymentState)
