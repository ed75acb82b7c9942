"""Scripted faults: read from text, addressed by name and count, repeatable."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zahlwerk.errors import ConfigurationError
from zahlwerk.faults import Action, Delivery, Fault, FaultPlan, LinkFaults


def link(plan: str, seed: int = 7) -> LinkFaults:
    return LinkFaults(FaultPlan.parse(plan), random.Random(seed))


def test_a_plan_is_read_as_it_is_written() -> None:
    text = "cut-before:TransactionResponse:1,drop:in.StatusResponse:2,delay:online:*:1.5,crash:approval:2"
    plan = FaultPlan.parse(text)

    assert str(plan) == text
    assert plan.faults[0] == Fault("TransactionResponse", 1, Action.CUT_BEFORE)
    assert [fault.is_terminal for fault in plan.faults] == [False, False, True, True]
    assert FaultPlan.parse("").faults == ()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("drop", "not a fault", id="short"),
        pytest.param("explode:card:1", "unknown fault 'explode'", id="action"),
        pytest.param("crash:StatusResponse:1", "no step 'StatusResponse'", id="step"),
        pytest.param("drop:StatusResponse:0", "count begins at 1", id="count"),
        pytest.param("delay:StatusResponse:1", "needs its seconds", id="seconds"),
        pytest.param("drop:Status Response:1", "not a fault", id="name"),
        pytest.param(",".join(["drop:A:1"] * 1001), "at most 1000", id="long"),
    ],
)
def test_a_slip_in_a_plan_is_told(text: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        FaultPlan.parse(text)


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        pytest.param("drop:A:1", Delivery(), id="drop"),
        pytest.param("delay:A:1:2.5", Delivery(((2.5, b"abcd"),)), id="delay"),
        pytest.param("duplicate:A:1", Delivery(((0.0, b"abcd"), (0.0, b"abcd"))), id="duplicate"),
        pytest.param("cut-before:A:1", Delivery(cut_before=True), id="cut before"),
        pytest.param("cut-during:A:1", Delivery(((0.0, b"ab"),), cut_after=True), id="cut during"),
        pytest.param("cut-after:A:1", Delivery(((0.0, b"abcd"),), cut_after=True), id="cut after"),
        pytest.param("drop:A:2", Delivery(((0.0, b"abcd"),)), id="not yet"),
        pytest.param("drop:in.A:1", Delivery(((0.0, b"abcd"),)), id="other direction"),
        pytest.param("drop:*:*", Delivery(), id="everything"),
    ],
)
def test_each_fault_does_its_own_to_the_message(plan: str, expected: Delivery) -> None:
    assert link(plan).apply("out", "A", b"abcd") == expected


def test_the_second_of_its_name_is_the_second() -> None:
    faults = link("drop:A:2")
    got = [faults.apply("out", name, name.encode()).parts for name in "ABAA"]

    assert got == [((0.0, b"A"),), ((0.0, b"B"),), (), ((0.0, b"A"),)]


def test_reordered_messages_follow_the_next_one_or_are_flushed() -> None:
    faults = link("reorder:A:*")

    assert faults.apply("out", "A", b"a") == Delivery()
    assert faults.apply("in", "B", b"x") == Delivery(((0.0, b"x"),))
    assert faults.apply("out", "B", b"b") == Delivery(((0.0, b"b"), (0.0, b"a")))
    assert faults.apply("out", "A", b"c") == Delivery()
    assert faults.flush("out") == (b"c",)
    assert faults.flush("out") == ()


@given(st.lists(st.tuples(st.sampled_from("AB"), st.binary(min_size=1, max_size=8)), max_size=12), st.integers(0, 99))
def test_the_same_seed_gives_the_same_bytes(messages: list[tuple[str, bytes]], seed: int) -> None:
    plan = "garble:A:*,duplicate:B:2,reorder:A:3,delay:B:1:0.5"
    first, second = link(plan, seed), link(plan, seed)

    got = [first.apply("out", name, data) for name, data in messages]
    assert got == [second.apply("out", name, data) for name, data in messages]


@given(st.binary(min_size=1, max_size=64), st.integers(0, 99))
def test_garbling_keeps_the_length(data: bytes, seed: int) -> None:
    delivery = link("garble:A:1", seed).apply("out", "A", data)

    assert [len(part) for _, part in delivery.parts] == [len(data)]


@given(st.text(max_size=40))
def test_any_text_is_a_plan_or_a_configuration_error(text: str) -> None:
    try:
        plan = FaultPlan.parse(text)
    except ConfigurationError:
        return
    assert FaultPlan.parse(str(plan)) == plan
