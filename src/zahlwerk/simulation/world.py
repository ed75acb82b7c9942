"""`World`: register, journal, database, driver, wire, endpoint, virtual terminal and host, all from one seed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final

from zahlwerk.errors import JournalDamaged, JournalError, TerminalError
from zahlwerk.faults import Action as TerminalAction
from zahlwerk.faults import Fault as TerminalFault
from zahlwerk.faults import FaultPlan
from zahlwerk.journal.entries import EntryKind
from zahlwerk.journal.journal import Journal
from zahlwerk.money import Money
from zahlwerk.payment import Payment, PaymentKind, PaymentRequest
from zahlwerk.simulation.disk import Disk, SimulatedStore
from zahlwerk.simulation.faults import Fault, Faults
from zahlwerk.simulation.loop import Process, SimulatedClock, VirtualLoop
from zahlwerk.simulation.program import Action
from zahlwerk.simulation.setups import Setup, Stop
from zahlwerk.simulation.story import Story
from zahlwerk.simulation.till import Notes, Register, Watched
from zahlwerk.simulation.wire import Serve, Wire
from zahlwerk.terminal import CONFIRM_ALL, Decision, Evidence, Period, Terminal, Totals, Witness
from zahlwerk.urls import Context, Endpoint, Url
from zahlwerk.virtual.settings import Settings
from zahlwerk.virtual.terminal import VirtualTerminal
from zahlwerk.wrapped import WrappedTerminal

if TYPE_CHECKING:
    from zahlwerk.journal.terminal import JournaledTerminal

__all__ = ["TERMINAL", "TillCode", "World"]

TERMINAL: Final = "till"
"""The name of the terminal in the journal."""
REOPEN_S: Final = 3.0
# LIMIT: virtual seconds for one action of the till, and for recovery after everything is healed.
ACTION_S: Final = 7_200.0
RECOVERY_S: Final = 14_400.0
STEP_S: Final = 5.0
AFTERMATH_S: Final = 150.0
STARTS_MAX: Final = 400
_DECIDED: Final = frozenset({PaymentKind.PURCHASE, PaymentKind.REFUND})

TillCode = Callable[[Terminal], Awaitable[None]]
"""What a user's till does; called again, from its beginning, after a crash of its process."""


class _Asking(WrappedTerminal):
    """The driver as the journal sees it: which reference is being asked for at the terminal."""

    def __init__(self, world: World, terminal: Terminal) -> None:
        super().__init__(terminal)
        self._world = world

    async def transact(self, request: PaymentRequest, *, witness: Witness = CONFIRM_ALL) -> Payment:
        self._world.asking = request.reference
        return await super().transact(request, witness=witness)


class _Noting(Witness):
    """Knows whose payment the terminal is about to begin, and to take: by then the journal must say so."""

    def __init__(self, outer: Witness, begin: Callable[[], None], take: Callable[[Payment], None]) -> None:
        self._outer = outer
        self._begin = begin
        self._take = take

    async def sending(self, evidence: Evidence) -> None:
        await self._outer.sending(evidence)
        self._begin()

    async def approved(self, payment: Payment) -> Decision:
        decision = await self._outer.approved(payment)
        if decision.confirm:
            self._take(payment)
        return decision

    async def amount_for(self, amount: Money, reasons: tuple[dict[str, int], ...]) -> Money:  # type: ignore[override]  # reads only
        return await self._outer.amount_for(amount, reasons)


class _WatchedTerminal(VirtualTerminal):
    """The virtual terminal, and a note of whose payment each of its counters belongs to."""

    def __init__(self, settings: Settings, world: World) -> None:
        super().__init__(settings, clock=world.terminal_clock, plan=_Steps(world))
        self._world = world
        self.owners: dict[int, str] = {}
        self.begun: dict[int, float] = {}
        """When each payment began, by its counter."""
        self.days: list[Totals] = []
        """The figures of every end of day."""

    def counter(self) -> int:
        return self._device.counters.sequence

    def records(self) -> dict[int, tuple[Payment, int | None]]:
        """Every payment of the terminal by its counter, with its booking at the host."""
        return {number: (record.payment, record.booking) for number, record in self._device.records.items()}

    async def transact(self, request: PaymentRequest, *, witness: Witness = CONFIRM_ALL) -> Payment:
        owner = self._world.wire.asked

        def begin() -> None:
            self.owners[self.counter() + 1] = owner
            self.begun[self.counter() + 1] = self._world.loop.moment_s
            # What takes back is asked for by drivers, too.
            if request.kind in _DECIDED or request.kind is PaymentKind.AUTHORISATION:
                self._world.must_be_durable(owner, EntryKind.SENT, "began at the terminal")

        def take(payment: Payment) -> None:
            # Holds are kept without a word of the register's.
            if payment.kind in _DECIDED:
                self._world.must_be_durable(owner, EntryKind.CONFIRMING, "was taken by the terminal")

        return await super().transact(request, witness=_Noting(witness, begin, take))

    async def type_in(self, amount: Money) -> None:
        """Somebody pays without the register."""
        with contextlib.suppress(TerminalError):
            await self.type_payment(amount)

    async def end_of_day(self) -> Totals:
        totals = await super().end_of_day()
        self.days.append(totals)
        return totals

    def period(self) -> Totals:
        """The figures since the last end of day."""
        return Totals(Period.ACCOUNTING_PERIOD, self._device.tally.totals(Period.ACCOUNTING_PERIOD))

    @property
    def is_off(self) -> bool:
        return self._device.crashed


class _Steps(FaultPlan):
    """Asks the run's faults at each step of a payment."""

    __slots__ = ("_world",)

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def due(self, at: str, *, direction: str = "", terminal: bool) -> tuple[TerminalFault, ...]:
        if direction or not terminal:
            return ()
        fault = self._world.faults.at(f"terminal {at}")
        if fault is None:
            return ()
        self._world.story.note("terminal", f"{fault.kind} at {at}")
        action = {"restart": TerminalAction.RESTART, "host-timeout": TerminalAction.HOST_TIMEOUT}.get(
            fault.kind, TerminalAction.DELAY
        )
        return (TerminalFault(at, 1, action, fault.seconds),)


class World:
    """One run."""

    def __init__(self, loop: VirtualLoop, seed: int, setup: Setup, faults: Faults) -> None:
        self.loop = loop
        self.seed = seed
        self.setup = setup
        self.faults = faults
        self.story = Story(loop)
        self.notes = Notes()
        self.problems: list[str] = []
        """What must not be, found while the run went on."""
        self.asking = ""
        self.register_clock = SimulatedClock(loop)
        self.terminal_clock = SimulatedClock(loop)
        self.wire = Wire(
            loop, faults, self.story, setup.splitter, setup.name_of, setup.asks,
            lambda: self.asking, self.crash, self.power,
        )  # fmt: skip
        self.disk = Disk(loop, faults, self.story, crash=self.crash)
        self.virtual = _WatchedTerminal(Settings(seed=seed, shift_open=True), self)
        self.journal: Journal | None = None
        self.terminal: JournaledTerminal | None = None
        self.register: Register | None = None
        self.done = 0
        """Actions of the program that are over."""
        self.starts = 0
        self._process = Process("register")
        self._process.is_running = False
        self._machine = Process("terminal")
        self._endpoint: Endpoint | None = None
        self._restart_at_s = 0.0
        self._stopping = False
        self._supervisor: asyncio.Task[None] | None = None
        self._power_back: asyncio.TimerHandle | None = None
        self._program: Callable[[], Awaitable[None]] = self._nothing
        self._ready = asyncio.Event()
        self._finished = asyncio.Event()

    # -- the terminal's machine

    async def switch_on(self) -> None:
        """The terminal, its endpoint, then the register."""
        await self._machine.run(self.virtual.open())
        await self._start_endpoint()
        self._supervisor = asyncio.create_task(self._supervise())

    async def _start_endpoint(self) -> None:
        context = Context(clock=self.terminal_clock, seed=self.seed)
        self._endpoint = self.setup.endpoint(self._listen, self.virtual, context)
        self.wire.terminal = self._machine
        await self._machine.run(_started(self._endpoint))

    async def _listen(self, serve: Serve) -> tuple[Url, Stop]:
        self.wire.serve = serve

        async def stop() -> None:
            self.wire.serve = None

        return Url("simulation"), stop

    def power(self, seconds: float) -> None:
        """The plug of the terminal is pulled, and put back after so many seconds."""
        if not self._machine.is_running:
            return
        self.story.note("terminal", f"without power for {seconds:g} s")
        self.wire.hang_up(seen_by="terminal")
        self.wire.serve = None
        self.virtual.crash(back_by_itself=False)
        self._machine.kill()
        self._power_back = self.loop.call_at(self.loop.moment_s + seconds, self._power_is_back)

    def _power_is_back(self) -> None:
        self._power_back = None
        self.story.note("terminal", "has power again")
        self._machine = Process("terminal")
        self._machine.run(self._boot())

    async def _boot(self) -> None:
        self.virtual.restart()
        await self._start_endpoint()

    def must_be_durable(self, reference: str, kind: EntryKind, what: str) -> None:
        """Write ahead: what the terminal does for the register stands in the journal by then, of the latest attempt."""
        kinds = self.disk.kinds_of(reference) if reference else []
        if EntryKind.REQUESTED.value in kinds:
            kinds = kinds[len(kinds) - 1 - kinds[::-1].index(EntryKind.REQUESTED.value) :]
        if reference and kind.value not in kinds:
            self.problems.append(f"{reference} {what} before {kind.value!r} was durable")

    # -- the register's process

    def crash(self, seconds: float, told: bool) -> None:
        """The register's process dies.

        Args:
            seconds: until it is started again.
            told: its connections are closed by the operating system; if not, its machine went dark.
        """
        process = self._process
        if not process.is_running:
            return
        self.story.note("register", f"process dies, back after {seconds:g} s")
        self._restart_at_s = self.loop.moment_s + seconds
        for connection in self.wire.connections:
            connection.silent_end = not told
        process.kill()

    async def _supervise(self) -> None:
        """Starts the register's process, and starts it again whenever it has died."""
        while not self._stopping and self.starts < STARTS_MAX:
            self.starts += 1
            self._process = Process("register")
            self._ready.clear()
            task = self._process.run(self._main(self._process))
            try:
                await task
            except asyncio.CancelledError:
                if self._process.is_running:
                    raise
            except Exception as exc:
                self.problems.append(f"the register's process ended with {type(exc).__name__}: {exc}")
            self._process.kill()
            await self.register_clock.sleep_until(max(self._restart_at_s, self.loop.moment_s + 0.1))

    async def _main(self, process: Process) -> None:
        self.story.note("register", "process starts")
        journal = await self._open_journal(process)
        context = Context(clock=self.register_clock, seed=self.seed)
        driver = self.setup.driver(lambda: self.wire.dial(process), context)
        terminal = journal.wrap(_Asking(self, driver), name=TERMINAL)
        self.journal, self.terminal = journal, terminal
        await self._open_terminal(terminal)
        watched = Watched(terminal, self.notes, self.register_clock, self.story)
        self.register = Register(watched, journal, self.register_clock, self._type_in)
        self.watched = watched
        self._ready.set()
        await self._program()
        self._finished.set()
        await asyncio.Event().wait()

    async def _open_journal(self, process: Process) -> Journal:
        while True:
            try:
                return await Journal.open(SimulatedStore(self.disk, process), clock=self.register_clock, actor="till")
            except JournalDamaged as exc:
                self.problems.append(f"the journal cannot be opened: {exc}")
                raise
            except JournalError as exc:
                self.story.note("register", f"cannot open the journal: {exc}")
                await self.register_clock.sleep_until(self.loop.moment_s + REOPEN_S)

    async def _open_terminal(self, terminal: JournaledTerminal) -> None:
        while True:
            try:
                await terminal.open()
            except TerminalError as exc:
                self.story.note("register", f"cannot open the terminal: {exc}")
                await self.register_clock.sleep_until(self.loop.moment_s + REOPEN_S)
            else:
                return

    async def _type_in(self, amount: Money) -> None:
        """Somebody types a payment in at the terminal."""
        self.story.note("terminal", f"{amount} is typed in")
        if self.virtual.is_off:
            return
        # A task of the terminal's machine: the plug may be pulled under it.
        await asyncio.wait({self._machine.run(self.virtual.type_in(amount))})

    # -- a run

    async def _nothing(self) -> None:
        """Until there is a program."""

    async def play(self, program: Sequence[Action]) -> None:
        """Go through a program, heal everything, and wait until nothing is open any more."""
        await self._play(lambda: self._go_on(program))

    async def play_code(self, code: TillCode) -> None:
        """The same with a user's own till code."""
        await self._play(lambda: self._run_code(code))

    async def _run_code(self, code: TillCode) -> None:
        """An error of the terminal that the code does not expect: somebody starts the till again, as people do."""
        for count in range(STARTS_MAX):
            try:
                await code(self.watched)
            except TerminalError as exc:
                self.story.note("till", f"stopped with {type(exc).__name__}: {exc}")
                await self.register_clock.sleep_until(self.loop.moment_s + REOPEN_S * min(1 + count, 20))
            else:
                return
        self.problems.append(f"the till's code was started {STARTS_MAX} times and never came to its end")

    async def _play(self, program: Callable[[], Awaitable[None]]) -> None:
        self._program = program
        self.faults.active = True
        await self.switch_on()
        await self._until(self._finished.is_set, ACTION_S * 4, "the till never came to the end of its program")
        await self._heal()
        await self._close_the_day()

    async def _go_on(self, program: Sequence[Action]) -> None:
        """Whatever was interrupted is asked for again, under the same reference."""
        assert self.register is not None
        while self.done < len(program):
            action = program[self.done]
            await self._between(self.faults.at("till"))
            if action.seconds and action.kind != "abort":
                await self.register.pause(action.seconds)
            self.story.note("till", f"-- {action}")
            try:
                async with asyncio.timeout(ACTION_S):
                    await self.register.do(action)
            except TimeoutError:
                self.problems.append(f"{action} did not come to an end within {ACTION_S:g} s")
            self.done += 1

    async def _between(self, fault: Fault | None) -> None:
        match fault:
            case None:
                return
            case Fault(kind="clock-back" | "clock-ahead"):
                self.register_clock.wrong_s += fault.seconds if fault.kind == "clock-ahead" else -fault.seconds
                self.story.note("register", f"clock is {self.register_clock.wrong_s:g} s off")
            case Fault(kind="crash-before"):
                self.crash(fault.seconds, True)
                await asyncio.sleep(0)
            case _:
                assert self.journal is not None
                self.story.note("register", "is shut down and started again")
                await self.journal.close()
                self._process.kill()
                await asyncio.sleep(0)

    async def _heal(self) -> None:
        self.story.note("world", "everything is healed")
        self.faults.active = False
        self.wire.repair()
        self.disk.repair()
        if self._power_back is not None:
            self._power_back.cancel()
            self._power_is_back()
        await self._recovered()

    async def _close_the_day(self) -> None:
        assert self.register is not None
        task = self._process.run(self.register.finish(tuple(self.notes.asked)))
        await self._until(task.done, RECOVERY_S, "the last questions were never answered")
        await self._recovered()
        await self._sleep(AFTERMATH_S)

    async def _recovered(self) -> None:
        await self._until(self._is_settled, RECOVERY_S, "recovery never came to an end")

    def _is_settled(self) -> bool:
        if not self._process.is_running or not self._ready.is_set() or self.terminal is None or self.virtual.is_off:
            return False
        assert self.journal is not None
        return not self.journal.running and not self.journal.trouble and not self.terminal.recovery.unsettled()

    async def _until(self, reached: Callable[[], bool], limit_s: float, otherwise: str) -> None:
        end_s = self.loop.moment_s + limit_s
        while not reached():
            if self.loop.moment_s >= end_s:
                self.problems.append(otherwise)
                return
            await self._sleep(STEP_S)

    async def _sleep(self, seconds: float) -> None:
        await self.register_clock.sleep_until(self.loop.moment_s + seconds)

    async def end(self) -> None:
        """Everything stops."""
        self._stopping = True
        self._process.kill()
        self.wire.hang_up(seen_by="both")
        self._machine.kill()
        if self._supervisor is not None:
            self._supervisor.cancel()


async def _started(endpoint: Endpoint) -> None:
    await endpoint.start()
