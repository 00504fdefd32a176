"""What the lease tests share: claims, clocks that are wrong, stores that misbehave."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from results import record

from drctl.actions.cell import Cell, Reading
from drctl.actions.contract import Context
from drctl.actions.errors import Conflict, OutcomeUnknown, Unavailable
from drctl.journal.access import Access
from drctl.journal.book import decode
from drctl.journal.lease import Claim, RunLease
from drctl.kernel.clock import Clock, Deadline, Instant, SystemClock
from drctl.kernel.errors import RefusedError
from drctl.kernel.secret import Secret

_counted: dict[str, tuple[int, int]] = {}


def tally(promise: str, cases: int, bad: int) -> None:
    """Adds to what this suite has tried for a promise."""
    before = _counted.get(promise, (0, 0))
    _counted[promise] = before[0] + cases, before[1] + bad
    cases, ill = _counted[promise]
    record("leases", promise, cases=cases, violations=ill, part="all")


def seeded(seed) -> random.Random:
    """One seed, one story."""
    return random.Random(seed)


class Keys:
    """The reference's place is the value."""

    def resolve(self, ref):
        return Secret(ref.place)


class Skewed(SystemClock):
    """Its wall clock is wrong by so much; or its machine was booted at another time."""

    def __init__(self, under: Clock, wall: timedelta = timedelta(0), boot_id: str | None = None):
        self._under, self._wall, self._boot_id = under, wall, boot_id

    def now(self) -> Instant:
        now = self._under.now()
        boot_id = self._boot_id or now.boot_id
        return Instant(wall=now.wall + self._wall, boot_s=now.boot_s, boot_id=boot_id)

    async def sleep(self, seconds: float) -> None:
        await self._under.sleep(seconds)


def claim(run="run-a", identities=("thing:1",), **more) -> Claim:
    settings = {"operator": "alice", "host": "laptop", "environment": "model"}
    return Claim(run=run, identities=tuple(identities), **(settings | more))


def access(cell: Cell, clock: Clock | None = None) -> Access:
    return Access(cell=cell, clock=clock or SystemClock(), secrets=Keys())


def lease(cell: Cell, one: Claim | None = None, clock: Clock | None = None, lease_s=8.0):
    return RunLease(access(cell, clock), one or claim(), lease_s=lease_s)


def context(seconds=20.0) -> Context:
    clock = SystemClock()
    return Context(
        clock=clock,
        deadline=Deadline.after(clock, timedelta(seconds=seconds)),
        secrets=Keys(),
        permit=lambda: None,
    )


async def outcome(one: RunLease) -> str:
    """``won``, or the code of the refusal."""
    try:
        await one.take()
    except RefusedError as error:
        return error.problems[0].code
    return "won"


async def book_of(cell: Cell, clock: Clock | None = None):
    return (await access(cell, clock).look())[0]


@dataclass
class Memory:
    """The document itself; what a correct store is."""

    data: bytes | None = None
    number: int = 0

    def write(self, data: bytes, expected: str | None) -> str:
        if expected != (str(self.number) if self.number else None):
            raise Conflict("somebody else has written")
        self.data, self.number = data, self.number + 1
        return str(self.number)


@dataclass
class Weather:
    """How a client sees the store."""

    dice: random.Random
    slowest_s: float = 0.3
    lost: float = 0.0
    """Share of writes whose answer is lost, after the effect or before it."""
    late: float = 0.0
    """Share of lost writes that have their effect only seconds later."""
    is_cut_off: Callable[[], bool] = field(default=lambda: False)


class MemoryCell(Cell):
    """One client's view of the document, in virtual time."""

    def __init__(self, memory: Memory, clock: Clock, weather: Weather | None = None) -> None:
        self.memory, self._clock = memory, clock
        self._weather = weather or Weather(seeded(0), slowest_s=0.0)
        self._late: set = set()

    @property
    def label(self) -> str:
        return "memory"

    async def _travel(self) -> None:
        if self._weather.is_cut_off():
            await self._clock.sleep(1.0)
            raise Unavailable("cut off")
        await self._clock.sleep(self._weather.dice.uniform(0.0, self._weather.slowest_s))

    async def read(self, ctx: Context) -> Reading:
        await self._travel()
        version = str(self.memory.number) if self.memory.number else None
        seen = Reading(data=self.memory.data, version=version)
        await self._travel()
        return seen

    async def write(self, ctx: Context, data: bytes, expected: str | None) -> str:
        await self._travel()
        dice = self._weather.dice
        if dice.random() < self._weather.lost:
            if dice.random() < self._weather.late:
                import asyncio

                self._late.add(asyncio.ensure_future(self._arrive(data, expected)))
            elif dice.random() < 0.5:
                self._try(data, expected)
            await self._clock.sleep(1.0)
            raise OutcomeUnknown("no answer")
        written = self.memory.write(data, expected)
        await self._clock.sleep(dice.uniform(0.0, self._weather.slowest_s))
        return written

    async def _arrive(self, data: bytes, expected: str | None) -> None:
        await self._clock.sleep(self._weather.dice.uniform(0.1, 5.0))
        self._try(data, expected)

    def _try(self, data: bytes, expected: str | None) -> None:
        try:
            self.memory.write(data, expected)
        except Conflict:
            return

    def holders(self):
        return decode(self.memory.data).holders
