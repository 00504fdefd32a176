"""
The fault matrix: every operation of every installed action, under every fault, once and for ever.

A `Case` says for one action how a fresh target is made behind faulty networks, which operations the
action makes there, and how to read from the stand-in what was really applied. A cell is run by the
product's own driver with a plan of one step, a retry policy that retries whatever may be retried,
and a journal in memory; `judge` then compares what the journal says with what the stand-in has.
"""

import asyncio
import contextlib
import importlib
import itertools
import json
import os
import random
import re
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from nets import NET
from results import BUILD
from results import record as keep

from drctl.actions.contract import (
    Action,
    Adapter,
    Context,
    Effect,
    NoOutputs,
    NoParams,
    Repeat,
)
from drctl.actions.errors import WORDS
from drctl.actions.loss import LossBound
from drctl.actions.registry import GROUP, Registry
from drctl.actions.targets import Target
from drctl.engine import events as e
from drctl.engine.driver import Driver
from drctl.engine.state import Record, initial
from drctl.kernel.clock import SystemClock
from drctl.kernel.secret import Secret
from drctl.lab.faults.rules import ALWAYS, LISTENER, Deed, Rule, Script
from drctl.plan.model import Objectives, Plan, PlannedCall, PlannedStep, Retry
from drctl.simulated.log import MemoryLog

HERE = Path(__file__).parent
CLOCK = SystemClock()
HOST = f"127.{NET}.9.9"
"""Where all proxies listen."""
AT_ONCE = 12
"""Cells at work: most of each is waiting, and more of them would wait for each other."""
MOST_LAG_S = 0.5
SPARE_S = 2.0
"""What the promise allows beyond a deadline."""
LATE_CHECK_S = 3.0
"""After this long a failed effect must still not be there."""

ANY_TIME = (
    *(Deed.BLACKHOLE_BEFORE, Deed.RESET_BEFORE, Deed.THROTTLED, Deed.ERROR_500, Deed.ERROR_503),
    *(Deed.EXPIRED, Deed.MALFORMED, Deed.WRONG_OBJECT, Deed.SLOW, Deed.TRICKLE),
)
READS = (*ANY_TIME, Deed.STALE)
MUTATIONS = (
    *ANY_TIME,
    *(Deed.BLACKHOLE_AFTER, Deed.RESET_AFTER, Deed.ERROR_AFTER, Deed.DUPLICATE, Deed.LATE),
)
NOT_BY_SQL = frozenset({Deed.DUPLICATE, Deed.STALE})
"""Nothing on the way can repeat a statement of a session, or answer it from an older one."""
ANSWERED = frozenset({Deed.RESET_AFTER, Deed.ERROR_AFTER})
"""The effect is there, and time is left to see it."""


@dataclass(frozen=True, kw_only=True)
class Op:
    """One operation of an action."""

    name: str
    via: str = "http"
    mutates: bool = False
    skip: frozenset[Deed] = frozenset()
    """Faults that mean nothing here; the case says why."""

    def deeds(self) -> tuple[Deed, ...]:
        deeds = MUTATIONS if self.mutates else READS
        barred = self.skip | (NOT_BY_SQL if self.via == "sql" else frozenset())
        return tuple(deed for deed in deeds if deed not in barred)


@dataclass(kw_only=True)
class Site:
    """A fresh target, and the truth about it."""

    target: Target | None
    params: Mapping[str, Any]
    proxies: Sequence[Any]
    applied: Callable[[str], Awaitable[int]]
    """How often the effect was applied, from the stand-in; gets the idempotency key."""
    holds: Callable[[str, Mapping[str, Any]], Awaitable[bool]]
    """Whether the world is as the action wants it (or, for a read, as its outputs say)."""
    resolvers: tuple[str, ...] = ()


Open = Callable[[Any, Mapping[str, Script]], AbstractAsyncContextManager[Site]]


@dataclass(frozen=True, kw_only=True)
class Case:
    """How one action is tried."""

    action: str
    lab: str
    """Which stand-ins it needs; a key of `LABS`."""
    ops: tuple[Op, ...]
    open: Open
    timeout_s: float = 3.0
    dedupes: bool = True
    """False: the vendor's API has no key: a network that repeats a request repeats the effect."""
    may_be_partial: bool = False
    """Failing means: not proven. What was done on the way is kept, and repeating it is safe."""
    reads_back: bool = True
    """False: the vendor does not let the sender look, so a lost answer stays unknown."""
    doubts: bool = False
    """True: to say that nobody knows, and why, is an answer of this action."""
    opaque: frozenset[tuple[str, Deed]] = frozenset()
    """Answers that nothing in the vendor's protocol lets anybody tell from the truth."""
    slots: int = 8
    """How many cells of it may run at once."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One place in the matrix."""

    action: str
    op: str
    via: str
    deed: Deed | None
    persistent: bool = False

    @property
    def id(self) -> str:
        if self.deed is None:
            return f"{self.action}-control"
        how = "persistent" if self.persistent else "first"
        # A second network of one kind has a name of its own.
        is_plain = self.via in {"http", "sql", "dns"} or self.op.startswith(self.via)
        op = self.op if is_plain else f"{self.via}.{self.op}"
        return f"{self.action}-{re.sub(r'[^A-Za-z0-9_.*-]', '.', op)}-{self.deed}-{how}"


@dataclass(kw_only=True)
class Told:
    """What came of a cell."""

    cell: Cell
    outcome: str = ""
    why: str = ""
    error: str = ""
    applied: int = 0
    holds: bool = False
    late_applied: int = 0
    late_holds: bool = False
    longest_s: float = 0.0
    lag_s: float = 0.0
    """How long the bench itself kept everybody waiting."""
    attempts: int = 0
    sent: Mapping[str, int] = field(default_factory=dict)
    undeclared: tuple[str, ...] = ()
    violations: list[tuple[str, str]] = field(default_factory=list)
    """Promise and sentence."""
    broken: str = ""
    """The bench itself failed."""


def cases() -> dict[str, Case]:
    """All cases, by action; each file ``cases_*.py`` has a list ``CASES``."""
    found: dict[str, Case] = {}
    for path in sorted(HERE.glob("cases_*.py")):
        for case in importlib.import_module(path.stem).CASES:
            assert case.action not in found, f"two cases for {case.action}"
            found[case.action] = case
    return found


def cells(registry: Registry, known: Mapping[str, Case]) -> list[Cell]:
    """The whole table, from the registry."""
    found = []
    for action in registry:
        case = known.get(action.name)
        if case is None or not case.ops:
            continue
        found.append(Cell(action=action.name, op="*", via="", deed=None))
        for via in sorted({op.via for op in case.ops}):
            for deed in sorted(LISTENER):
                for persistent in (False, True):
                    one = Cell(
                        action=action.name, op=f"{via}.connect", via=via, deed=deed,
                        persistent=persistent,
                    )  # fmt: skip
                    found.append(one)
        found += [
            Cell(action=action.name, op=op.name, via=op.via, deed=deed, persistent=persistent)
            for op in case.ops
            for deed in op.deeds()
            for persistent in (False, True)
        ]
    return found


def sample(whole: Sequence[Cell], seed: int, size: int) -> list[Cell]:
    """Every action, every fault, every operation that changes something; the rest by the seed."""
    chance = random.Random(seed)
    shuffled = sorted(whole, key=lambda cell: cell.id)
    chance.shuffle(shuffled)
    kept: dict[str, Cell] = {cell.id: cell for cell in shuffled if cell.deed is None}
    wanted = {(cell.deed, cell.persistent) for cell in shuffled} | {
        cell.action for cell in shuffled
    }
    for cell in shuffled:
        new = {(cell.deed, cell.persistent), cell.action} & wanted
        if cell.deed is not None and new:
            kept[cell.id] = cell
            wanted -= new
    for cell in shuffled:
        if len(kept) >= size:
            break
        kept[cell.id] = cell
    return list(kept.values())


class Keys:
    """Secrets of the bench: the reference's place is the value."""

    def resolve(self, ref: str) -> Secret:
        return Secret(ref.place)


class Lag:
    """How long this very process was kept from running: the bench's fault, not the product's."""

    def __init__(self) -> None:
        self._stalls: list[tuple[float, float]] = []
        self._task = asyncio.create_task(self._tick())

    async def _tick(self) -> None:
        while True:
            before = CLOCK.now().boot_s
            await asyncio.sleep(0.02)
            late = CLOCK.now().boot_s - before - 0.02
            if late > 0.03:
                self._stalls.append((before, late))

    def between(self, start: float, end: float) -> float:
        return sum(late for at, late in self._stalls if start - 0.1 <= at <= end)

    def stop(self) -> None:
        self._task.cancel()


class Before(Action[Target, NoParams, NoOutputs]):
    """Stands for the fence that a promotion needs before it; it is in the plan, and harmless."""

    name, summary = "bench.fence", "fences nothing"
    effect, repeat = Effect.FENCE, Repeat.IDEMPOTENT

    async def perform(self, ctx: Context, target: Target, params: NoParams) -> NoOutputs:
        return NoOutputs()


class Measured(Action[Target, NoParams, LossBound]):
    """Stands for the measurement that a promotion needs."""

    name, summary = "bench.measure", "measures nothing"
    effect, repeat = Effect.READ, Repeat.IDEMPOTENT
    outputs, measures_loss = LossBound, True

    async def perform(self, ctx: Context, target: Target, params: NoParams) -> LossBound:
        return LossBound(bound=timedelta(0), source="the bench")


@cache
def registry() -> Registry:
    """What is installed, and what stands around a promotion."""
    adapters = [entry.load() for entry in entry_points(group=GROUP)]
    return Registry([*adapters, Adapter(name="bench", actions=(Before(), Measured()))])


def _around(uses: str, effect: Effect, *, needs: tuple[str, ...]) -> PlannedStep:
    name = uses.removeprefix("bench.")
    return PlannedStep(
        id=name, title=name, call=PlannedCall(uses=uses), effect=effect, needs=needs,
        measures_loss=effect is Effect.READ, timeout_s=5.0,
    )  # fmt: skip


def plan_of(case: Case, site: Site, *, attempts: int, timeout_s: float) -> Plan:
    """One step that uses the action, and before a promotion what must be before it."""
    action = registry().get(case.action)
    words = (*sorted(WORDS), "timeout", "bug")
    targets = {} if site.target is None else {"target": site.target}
    before: tuple[PlannedStep, ...] = ()
    if action.effect is Effect.PROMOTE:
        before = (
            _around("bench.fence", Effect.FENCE, needs=()),
            _around("bench.measure", Effect.READ, needs=("fence",)),
        )
    step = PlannedStep(
        id="step",
        needs=tuple(one.id for one in before),
        title="step",
        call=PlannedCall(
            uses=case.action,
            target="target" if site.target is not None else None,
            with_=dict(site.params),
        ),
        effect=action.effect,
        measures_loss=False,
        timeout_s=timeout_s,
        retry=Retry(attempts=attempts, backoff_s=0.05, max_backoff_s=0.05, on_errors=words),
    )
    return Plan(
        drctl="0", created_at="", runbook="faults", title="faults", scenario="none",
        runbook_sha256="0" * 64, environment="faults", environment_sha256="0" * 64,
        world="lab", protected=False, resolvers=site.resolvers, inputs={},
        objectives=Objectives(rto_s=900, rpo_s=300, starts_at="run", stops_after=()),
        targets=targets, steps=(*before, step), gates={}, forecast_s=0.0, critical_path=("step",),
    ).sealed()  # fmt: skip


def started(plan: Plan) -> e.RunStarted:
    return e.RunStarted(
        run_id=f"run-{next(_RUNS)}-{plan.digest[:8]}", plan_digest=plan.digest, runbook="faults",
        environment="faults", world="lab", operator="bench", host="bench", version="0",
        rto_s=900.0, rpo_s=300.0, elapsed_before_s=0.0, clock_source="run",
    )  # fmt: skip


_RUNS = itertools.count(1)


def scripts_for(case: Case, cell: Cell, seed: int) -> dict[str, Script]:
    """One script per network; only the cell's own has a rule."""
    scripts = {
        via: Script(seed=seed, slow_s=case.timeout_s + 3, late_s=2.0)
        for via in {op.via for op in case.ops}
    }
    if cell.deed is not None:
        # The first answer has none before it.
        first = 2 if cell.deed is Deed.STALE else 1
        operation = "*" if cell.deed in LISTENER else cell.op
        times = ALWAYS if cell.persistent else 1
        rule = Rule(deed=cell.deed, operation=operation, first=first, times=times)
        scripts[cell.via].rules = (rule,)
    return scripts


async def run(case: Case, cell: Cell, lab: Any, lag: Lag, *, seed: int = 0) -> Told:
    """Runs one cell to its end, and judges it."""
    told = Told(cell=cell)
    scripts = scripts_for(case, cell, zlib.crc32(f"{seed}{cell.id}".encode()))
    try:
        async with case.open(lab, scripts) as site:
            await _run(case, site, scripts, told, lag)
    except Exception as error:
        told.broken = f"{type(error).__name__}: {error}"
        raise
    return told


class _Armed:
    """Faults befall the step itself, not the looks at it that are made before another one."""

    def __init__(self, scripts: Mapping[str, Script]) -> None:
        self._scripts = scripts

    def seen(self, record: Record, _state: Any) -> None:
        if isinstance(record.event, e.StepStarted) and record.event.step == "step":
            for script in self._scripts.values():
                script.is_armed = True

    def said(self, _step: str, _text: str) -> None:
        pass


async def _run(case: Case, site: Site, scripts: Mapping[str, Script], told: Told, lag: Lag) -> None:
    action = registry().get(case.action)
    plan = plan_of(
        case,
        site,
        attempts=1 if action.effect is Effect.READ else 2,
        # What nothing befalls ends when it is done; a slow machine shall not be its fault.
        timeout_s=case.timeout_s * (1 if told.cell.deed else 4),
    )
    log = MemoryLog(CLOCK)
    for script in scripts.values():
        script.is_armed = action.effect is not Effect.PROMOTE
    driver = Driver(
        plan,
        initial(plan),
        log=log,
        registry=registry(),
        clock=CLOCK,
        secrets=Keys(),
        listeners=[_Armed(scripts)],
    )
    await driver.run(started(plan))
    records = [r for r in log.records if getattr(r.event, "step", "") == "step"]
    key = next((r.event.key for r in records if isinstance(r.event, e.EffectIntended)), "")
    ends = [r.event for r in records if isinstance(r.event, e.StepFinished)]
    # Refused before it began: what is to be promoted could not be looked at.
    end = ends[-1] if ends else e.StepFinished(step="step", attempt=0, outcome="failed")
    told.outcome, told.error, told.why = end.outcome, end.error or "", end.why or ""
    told.attempts = sum(isinstance(r.event, e.StepStarted) for r in records)
    told.longest_s = _longest_s(records, lag)
    told.lag_s = lag.between(log.records[0].at.boot_s, log.records[-1].at.boot_s)
    told.holds = await site.holds(key, end.outputs)
    told.applied = await site.applied(key)
    for proxy in site.proxies:
        await proxy.quiet()
    if action.effect is not Effect.READ and told.outcome != "succeeded":
        await asyncio.sleep(LATE_CHECK_S if told.outcome == "failed" else 0.3)
    told.late_applied = await site.applied(key)
    told.late_holds = await site.holds(key, end.outputs)
    told.sent = {op.name: scripts[op.via].count(op.name) for op in case.ops}
    # What only reads in SQL is framed by a transaction that does, whatever else it is.
    known = [*(op.name for op in case.ops), "*sql:frame"]
    told.undeclared = tuple(
        sorted(
            {
                entry.operation
                for script in scripts.values()
                for entry in script.log
                if not any(fnmatchcase(entry.operation, name) for name in known)
            }
        )
    )
    judge(case, action, told, scripts, records)


def _longest_s(records: Sequence[Record], lag: Lag) -> float:
    """The longest attempt, less what this process was kept from running."""
    begun, longest = 0.0, 0.0
    for record in records:
        if isinstance(record.event, e.StepStarted):
            begun = record.at.boot_s
        elif isinstance(record.event, e.StepFinished):
            took = record.at.boot_s - begun
            longest = max(longest, took - lag.between(begun, record.at.boot_s))
    return longest


def judge(
    case: Case, action: Any, told: Told, scripts: Mapping[str, Script], records: Sequence[Record]
) -> None:
    """Names every promise that the cell broke."""
    cell = told.cell

    def broken(promise: str, why: str) -> None:
        told.violations.append((promise, why))

    if cell.deed is not None and told.longest_s > case.timeout_s + SPARE_S:
        broken("I11", f"control came back after {told.longest_s:.1f} s of {case.timeout_s:g} s")
    if told.undeclared:
        broken("I8", f"operations that the case does not name: {', '.join(told.undeclared)}")
    _judge_requests(case, scripts, records, broken)
    changes = action.effect is not Effect.READ
    repeated = cell.deed is Deed.DUPLICATE
    if changes and action.repeat is not Repeat.IDEMPOTENT:
        most = 1 if case.dedupes or not repeated else told.attempts * 2
        if told.late_applied > most:
            broken("I8", f"the effect was applied {told.late_applied} times")
    is_opaque = any(fnmatchcase(cell.op, op) and cell.deed is deed for op, deed in case.opaque)
    if told.outcome == "succeeded" and not told.holds and not is_opaque:
        broken("I8", "it succeeded, and the stand-in is not so")
    is_there = told.late_holds or told.late_applied
    if changes and told.outcome == "failed" and is_there and not case.may_be_partial:
        broken("I8", f"it failed ({told.error}: {told.why}), and the stand-in has it")
    if (
        cell.deed is Deed.WRONG_OBJECT
        and cell.persistent
        and told.outcome == "succeeded"
        and scripts[cell.via].swaps
        and not is_opaque
        and not case.doubts
        and not _mutates(case, cell)
    ):
        broken("I8", "it succeeded on answers about another object")
    _judge_knowledge(case, action, told, broken)


def _mutates(case: Case, cell: Cell) -> bool:
    return any(op.mutates for op in case.ops if op.name == cell.op)


def _judge_requests(
    case: Case,
    scripts: Mapping[str, Script],
    records: Sequence[Record],
    broken: Callable[[str, str], None],
) -> None:
    """No request that changes something without its own intent before it."""
    intents = [r.at.boot_s for r in records if isinstance(r.event, e.EffectIntended)]
    for op in case.ops:
        if not op.mutates or op.via == "sql":
            continue
        sent = [x.at_s for x in scripts[op.via].log if fnmatchcase(x.operation, op.name)]
        for number, at_s in enumerate(sent, start=1):
            if sum(intent <= at_s for intent in intents) < number:
                broken("I8", f"{op.name} left for the {number}. time with fewer intents")


def _judge_knowledge(
    case: Case, action: Any, told: Told, broken: Callable[[str, str], None]
) -> None:
    """What must be known: else "unknown" would be right for everything."""
    cell = told.cell
    if cell.deed is None:
        changes = action.effect is not Effect.READ
        if told.outcome != "succeeded" or (changes and told.applied != 1):
            broken("I8", f"without a fault: {told.outcome}, {told.applied} times: {told.why}")
        return
    is_told = told.outcome == "succeeded" or (told.outcome == "failed" and case.may_be_partial)
    # On a bench that stands still the step's time is over before anybody can look.
    is_readable = (
        cell.deed in ANSWERED
        and not cell.persistent
        and case.reads_back
        and told.applied > 0
        and told.lag_s < MOST_LAG_S
    )
    if _mutates(case, cell) and is_readable and not is_told:
        broken("I8", f"it could have been read back, and is {told.outcome}: {told.why}")


def warm() -> None:
    """Imports the SDKs, as the planner does before any deadline runs."""
    for names in registry().libraries.values():
        for name in names:
            importlib.import_module(name)


async def run_all(
    chosen: Sequence[Cell], known: Mapping[str, Case], labs: Mapping[str, Any], *, seed: int
) -> dict[str, Told]:
    """Runs cells side by side, as many of each case as it has slots for."""
    lag = Lag()
    slots = {name: asyncio.Semaphore(case.slots) for name, case in known.items()}
    everybody = asyncio.Semaphore(AT_ONCE)
    told: dict[str, Told] = {}

    async def one(cell: Cell) -> None:
        case = known[cell.action]
        async with slots[cell.action], everybody:
            for _try in range(2):
                try:
                    told[cell.id] = await run(case, cell, labs[case.lab], lag, seed=seed)
                except Exception as error:  # noqa: BLE001 (said by the cell's own test)
                    told[cell.id] = Told(cell=cell, broken=f"{type(error).__name__}: {error}")
                else:
                    return

    try:
        # In peace: what must succeed must not wait for what hangs.
        for cell in chosen:
            if cell.deed is None:
                await one(cell)
        await asyncio.gather(*(one(cell) for cell in chosen if cell.deed is not None))
    finally:
        lag.stop()
    return told


@contextlib.asynccontextmanager
async def serving(*proxies: Any):
    """Stops them afterwards."""
    try:
        yield
    finally:
        for proxy in proxies:
            await proxy.stop()


def rows_of(told: Iterable[Told]) -> list[dict[str, Any]]:
    """What is kept of each cell."""
    return [
        {
            "cell": one.cell.id,
            "action": one.cell.action,
            "deed": one.cell.deed or "none",
            "outcome": one.outcome,
            "violations": [promise for promise, _why in one.violations],
            "broken": bool(one.broken),
        }
        for one in told
    ]


def merge(rows: Sequence[Mapping[str, Any]], part: str) -> list[dict[str, Any]]:
    """
    Keeps what one process found, and records the sum over all processes of this test run.

    Returns:
        The rows of all of them so far.
    """
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    folder = BUILD / "faults-parts"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.json"):
        if not old.name.startswith(run):
            old.unlink(missing_ok=True)
    (folder / f"{run}-{part}.json").write_text(json.dumps(list(rows)))
    found = [row for path in folder.glob(f"{run}-*.json") for row in json.loads(path.read_text())]
    # Every cell is timed, and every cell says whether something was repeated or claimed blindly.
    for promise in ("I8", "I11"):
        ill = sum(promise in row["violations"] or row["broken"] for row in found)
        keep(
            "faults",
            promise,
            cases=len(found),
            violations=ill,
            note="action x fault x how often",
            part="matrix",
        )
    (BUILD / "faults-table.txt").write_text(table(found))
    return found


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Action by fault: how many cells succeeded, failed, and stayed unknown."""
    deeds = ["none", *(str(deed) for deed in Deed)]
    counts: dict[tuple[str, str], Counter[str]] = {}
    for row in rows:
        counts.setdefault((row["action"], row["deed"]), Counter())[row["outcome"]] += 1
    lines = ["cells that succeeded/failed/stayed unknown, by action and fault", ""]
    wide = max((len(row["action"]) for row in rows), default=0)
    for first in range(0, len(deeds), 7):
        some = deeds[first : first + 7]
        lines.append(" " * wide + "".join(f"{deed:>18}" for deed in some))
        for action in sorted({row["action"] for row in rows}):
            line = f"{action:<{wide}}"
            for deed in some:
                seen = counts.get((action, deed), Counter())
                said = "/".join(str(seen[word]) for word in ("succeeded", "failed", "unknown"))
                line += f"{said if seen else '.':>18}"
            lines.append(line)
        lines.append("")
    total = Counter(row["outcome"] for row in rows)
    ill = sum(bool(row["violations"]) or row["broken"] for row in rows)
    lines.append(
        f"{len(rows)} cells: {total['succeeded']} succeeded, {total['failed']} failed,"
        f" {total['unknown']} unknown; {ill} broke a promise"
    )
    return "\n".join(lines) + "\n"
