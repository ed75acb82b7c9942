"""ZVT: every message of a payment lost or followed by a cut, seen by either side: what is reported is true to the host.

Over TCP and over the serial line; both sides are ours, the terminal behind is the virtual one with its own books.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from tests.interop.kit_world import Journal, Rule
from tests.interop.zvt_world import ZvtWorld, describe

from zahlwerk.errors import LinkError, MoneyMoved, TerminalError
from zahlwerk.events import LinkChanged
from zahlwerk.money import Money
from zahlwerk.payment import Outcome, Payment, PaymentRequest
from zahlwerk.terminal import Decision
from zahlwerk.virtual.settings import Settings

AMOUNT = 1250
POINTS = [
    (">", "authorisation", 1),
    ("<", "intermediate_status", 1),
    ("<", "intermediate_status", 2),
    ("<", "status_information", 1),
    ("<", "print_block", 1),
    ("<", "print_block", 2),
    ("<", "completion", 3),
    ("<", "completion", 2),
    # Answers have no number of their own: the first ones belong to registration and to the look at what was before.
    *((">", "ack", count) for count in range(3, 10)),
    *(("<", "ack", count) for count in (3,)),
]
SERIAL_POINTS = [
    *POINTS,
    (">", "ACK", 7),
    (">", "ACK", 8),
    ("<", "ACK", 6),
    ("<", "ACK", 7),
]
BACK = (0.0, 10.0, 100.0, None)
REFERENCE = "sale-1"


def request(reference: str = REFERENCE) -> PaymentRequest:
    return PaymentRequest(amount=Money.of(AMOUNT, "CHF"), reference=reference)


def rules_of(points: list[tuple[str, str, int]]) -> list[Rule]:
    return [Rule(name, way, count, True, "both", back) for way, name, count in points for back in BACK]


def case_id(rule: Rule) -> str:
    back = "never" if rule.back_after_s is None else f"{rule.back_after_s:g}s"
    return f"{'to' if rule.way == '>' else 'from'}-{rule.name}-{rule.count}-{back}"


def assert_true(payment: Payment, world: ZvtWorld) -> None:
    """What is said about the money is what the host's books say."""
    told = describe(world.wire)
    assert world.captures() <= 1, told
    match payment.money_moved:
        case MoneyMoved.YES:
            assert payment.outcome is Outcome.APPROVED, told
            assert payment.approved is not None
            assert world.charged() == payment.approved.amount, told
        case MoneyMoved.NO:
            assert payment.outcome is not Outcome.APPROVED, told
            assert world.charged() == 0, told
        case MoneyMoved.MAYBE:
            assert payment.outcome is Outcome.UNKNOWN, told
    assert payment.outcome is not Outcome.UNKNOWN or world.charged() in {0, AMOUNT}, told


async def opened(rules: list[Rule], *, serial: bool) -> ZvtWorld:
    """A world whose register is open."""
    world = ZvtWorld(rules=rules, serial=serial, settings=Settings(seed=1))
    await world.open()
    return world


async def end(world: ZvtWorld, payment: Payment) -> None:
    """Nothing that happens later makes it untrue, nothing stays open, and it was asked for once."""
    world.wire.repair()
    await world.pass_time(300.0)
    assert_true(payment, world)
    assert world.open_bookings() == 0, describe(world.wire)
    assert world.sent("authorisation") <= 1 or world.wire.seen[">", "ACK"], describe(world.wire)
    await world.close()


async def lost_and_settled(rule: Rule, *, serial: bool) -> None:
    world = await opened([rule], serial=serial)
    payment: Payment = await world.until(world.register.transact(request(), witness=Journal()))
    assert_true(payment, world)
    if payment.outcome is Outcome.UNKNOWN:
        world.wire.repair()
        await world.pass_time(200.0)
        payment = await world.until(world.register.lookup(REFERENCE))
        assert_true(payment, world)
        assert (payment.outcome is Outcome.UNKNOWN) is nothing_was_ever_stored(rule), describe(world.wire)
    await end(world, payment)


def nothing_was_ever_stored(rule: Rule) -> bool:
    """The terminal has no transaction to show, and after five minutes empty totals prove nothing (decision 0005)."""
    return rule.name == "authorisation" and rule.before and rule.back_after_s in {100.0, None}


@pytest.mark.parametrize("seen_by", ["both", "register", "terminal"])
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
class TestALinkThatIsCut:
    """Fact sheet 6.9, 6.10."""

    @pytest.mark.parametrize("rule", rules_of(POINTS), ids=case_id)
    async def test_over_tcp_the_outcome_is_true_or_unknown_and_then_settled(
        self, rule: Rule, before: bool, seen_by: str
    ) -> None:
        await lost_and_settled(replace(rule, before=before, seen_by=seen_by), serial=False)

    @pytest.mark.parametrize("rule", rules_of(SERIAL_POINTS), ids=case_id)
    async def test_over_the_serial_line_as_well(self, rule: Rule, before: bool, seen_by: str) -> None:
        await lost_and_settled(replace(rule, before=before, seen_by=seen_by), serial=True)


async def crashed_and_looked_up(rule: Rule, *, forgotten: tuple[str, ...] = ()) -> Payment:
    """The register's process dies at the cut; another one has only what the witness wrote down."""
    world = await opened([rule], serial=False)
    journal = Journal()
    task = asyncio.ensure_future(world.register.transact(request(), witness=journal))
    await world.quiet()
    while not world.wire.cuts and not task.done():
        await world.pass_time(0.05)
    await world.restart_register()
    await asyncio.gather(task, return_exceptions=True)
    if rule.back_after_s is None:
        await world.pass_time(200.0)
        world.wire.repair()
    await world.until(open_at_last(world))
    evidence = {name: text for name, text in (journal.evidence or {}).items() if name not in forgotten}
    payment: Payment = await world.until(world.register.lookup(REFERENCE, evidence=evidence))
    assert_true(payment, world)
    await end(world, payment)
    return payment


async def open_at_last(world: ZvtWorld) -> None:
    while True:
        try:
            await world.register.open()
        except (LinkError, TerminalError):
            await world.clock.sleep_until(world.clock.now_s() + 3.0)
        else:
            return


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
class TestARegisterThatCrashes:
    """Only what a `Witness` was given is left: evidence before the request, the decision before the answer."""

    @pytest.mark.parametrize("rule", rules_of(POINTS), ids=case_id)
    async def test_the_lookup_of_the_next_process_is_true(self, rule: Rule, before: bool) -> None:
        payment = await crashed_and_looked_up(replace(rule, before=before))
        if rule.back_after_s is not None:
            assert payment.outcome is not Outcome.UNKNOWN, payment.message

    @pytest.mark.parametrize("rule", rules_of(POINTS), ids=case_id)
    async def test_evidence_without_the_decision_never_gives_a_false_answer(self, rule: Rule, before: bool) -> None:
        await crashed_and_looked_up(
            replace(rule, before=before), forgotten=("confirm", "sequence", "amount_minor", "approved_minor")
        )


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
class TestAnEqualSaleBefore:
    """Two sales of the same amount in a row: the first must never be taken for the second (pitfall 13)."""

    @pytest.mark.parametrize("rule", rules_of(POINTS), ids=case_id)
    async def test_the_second_one_is_told_apart(self, rule: Rule, before: bool) -> None:
        world = ZvtWorld(rules=[], settings=Settings(seed=1))
        await world.open()
        first = await world.until(world.register.transact(request("sale-0"), witness=Journal()))
        assert first.outcome is Outcome.APPROVED
        seen = world.wire.seen[rule.way, rule.name]
        world.wire.rules.append(replace(rule, before=before, count=seen + max(1, rule.count - 2)))
        payment = await world.until(world.register.transact(request(), witness=Journal()))
        if payment.outcome is Outcome.UNKNOWN:
            world.wire.repair()
            await world.pass_time(200.0)
            payment = await world.until(world.register.lookup(REFERENCE))
        told = describe(world.wire)
        charged = world.charged()
        assert payment.outcome is not Outcome.UNKNOWN, told
        assert charged == (2 * AMOUNT if payment.outcome is Outcome.APPROVED else AMOUNT), told
        await world.close()


@dataclass(slots=True)
class Noise:
    """Loses, doubles, delays or garbles frames of a serial line, from a seed."""

    random: random.Random
    rate: float
    kinds: tuple[str, ...]
    held: dict[str, bytes] = field(default_factory=dict)

    def __call__(self, way: str, piece: bytes) -> list[tuple[float, bytes]]:
        if self.random.random() >= self.rate:
            return [(0.0, piece)]
        match self.random.choice(self.kinds):
            case "drop":
                return []
            case "duplicate":
                return [(0.0, piece), (0.0, piece)]
            case "delay":
                return [(self.random.choice([0.1, 1.0, 6.0]), piece)]
            case _:
                changed = bytearray(piece)
                changed[self.random.randrange(len(changed))] ^= self.random.randint(1, 255)
                return [(0.0, bytes(changed))]


async def noisy(seed: int, kinds: tuple[str, ...], witness: Callable[[], Journal] = Journal) -> Outcome | None:
    """One payment over a bad serial line; what becomes of it, None if it never started."""
    source = random.Random(seed)
    world = await opened([], serial=True)
    world.wire.hook = Noise(source, source.choice([0.02, 0.1, 0.3]), kinds)
    try:
        payment: Payment = await world.until(world.register.transact(request(), witness=witness()), limit_s=20_000)
    except TerminalError as exc:
        moved = exc.money_moved
        await world.pass_time(300.0)
        assert (moved, world.charged(), world.open_bookings()) == (MoneyMoved.NO, 0, 0), describe(world.wire)
        await world.close()
        return None
    assert_true(payment, world)
    if payment.outcome is Outcome.UNKNOWN:
        world.wire.repair()
        await world.pass_time(200.0)
        payment = await world.until(world.register.lookup(REFERENCE))
    outcome = payment.outcome
    await end(world, payment)
    return outcome


class TestABadSerialLine:
    """Frames lost, doubled, delayed or garbled: money is never lost, doubled or guessed."""

    @pytest.mark.parametrize("start", range(0, 200, 10))
    async def test_money_is_right_whatever_happens_to_frames(self, start: int) -> None:
        for seed in range(start, start + 10):
            await noisy(seed, ("drop", "duplicate", "delay", "garble"))

    @pytest.mark.parametrize("kind", ["drop", "duplicate", "delay", "garble"])
    async def test_money_is_right_under_one_kind_of_fault(self, kind: str) -> None:
        outcomes = [await noisy(1000 + seed, (kind,)) for seed in range(12)]

        assert Outcome.APPROVED in outcomes

    @pytest.mark.parametrize("start", range(0, 40, 10))
    async def test_a_rollback_is_never_charged(self, start: int) -> None:
        for seed in range(start, start + 10):
            outcome = await noisy(5000 + seed, ("drop", "duplicate", "delay", "garble"), rolling_back)
            assert outcome is not Outcome.APPROVED


def rolling_back() -> Journal:
    return Journal(Decision(confirm=False))


async def test_whoever_listens_hears_that_the_link_is_back() -> None:
    """Found by the simulation: it was told once, at the first opening, so that nobody asked about what was open."""
    world = await opened([Rule("authorisation", ">", back_after_s=10.0)], serial=False)
    heard: list[bool] = []
    world.register.listen(lambda event: heard.append(event.connected) if isinstance(event, LinkChanged) else None)

    await world.until(world.register.transact(request(), witness=Journal()))

    assert heard == [False, True]
    await world.close()
