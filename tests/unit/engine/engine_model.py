"""A plan of fake actions, and the real driver on it in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import ConfigDict

from drctl.actions.contract import (
    Action,
    Adapter,
    CannotTell,
    Context,
    Done,
    Effect,
    NotDone,
    Outputs,
    Params,
    Repeat,
)
from drctl.actions.pin import Identity, Pin
from drctl.actions.registry import Registry
from drctl.actions.targets import SlackChannel, Target
from drctl.config.secrets import LocalSecrets
from drctl.engine import events as e
from drctl.engine.driver import Driver, order_given
from drctl.engine.fold import fold
from drctl.engine.ports import Answer, Lease, Listener, Order
from drctl.engine.state import Record, State, initial
from drctl.kernel.errors import JournalError, Problem
from drctl.plan.model import (
    Objectives,
    Plan,
    PlannedCall,
    PlannedGate,
    PlannedPin,
    PlannedStep,
)
from drctl.simulated.clock import VirtualClock, run_virtual
from drctl.simulated.log import MemoryLog

TARGET = SlackChannel(channel="#a")


class AnyParams(Params):
    model_config = ConfigDict(extra="allow", frozen=True)


class AnyOutputs(Outputs):
    model_config = ConfigDict(extra="allow", frozen=True)


Settled = Done[Any] | NotDone | CannotTell | Exception
Doing = Callable[[Context, int], Awaitable[dict[str, Any]]]


class Fake(Action[Any, Any, Any]):
    """Does what it is told, and counts."""

    def __init__(
        self,
        name: str,
        effect: Effect = Effect.CHANGE,
        *,
        does: Doing | None = None,
        takes_s: float = 1.0,
        gives: dict[str, Any] | None = None,
        raises: dict[int, BaseException] | None = None,
        settled: Settled | None = None,
        loss: bool = False,
    ) -> None:
        values = {"name": name, "summary": name, "effect": effect, "repeat": Repeat.KEYED}
        values |= {"params": AnyParams, "outputs": AnyOutputs, "measures_loss": loss}
        for key, value in values.items():
            setattr(self, key, value)
        self.calls: list[tuple[float, str, Any]] = []
        self.reads = 0
        self._does, self._takes_s, self._gives = does, takes_s, gives or {}
        self._raises, self._settled = raises or {}, settled

    async def perform(self, ctx: Context, target: Target, params: Any) -> Any:
        self.calls.append((ctx.clock.now().boot_s, ctx.key, params))
        if self._does is not None:
            return AnyOutputs(**await self._does(ctx, len(self.calls)))
        await ctx.clock.sleep(self._takes_s)
        if len(self.calls) in self._raises:
            raise self._raises[len(self.calls)]
        return AnyOutputs(**self._gives)

    async def settled(self, ctx: Context, target: Target, params: Any) -> Any:
        self.reads += 1
        if isinstance(self._settled, Exception):
            raise self._settled
        return self._settled or await super().settled(ctx, target, params)


class FakePin(Pin):
    def __init__(self, found: str | Exception | None, takes_s: float = 0.0) -> None:
        self.found, self.asked, self._takes_s = found, 0, takes_s

    def identity(self, target: Target) -> Identity | None:
        if not isinstance(target, SlackChannel):
            return None
        return Identity(name="fake.account", subject="here", expected="us")

    async def read(self, ctx: Context, target: Target) -> str:
        self.asked += 1
        await ctx.clock.sleep(self._takes_s)
        if isinstance(self.found, Exception):
            raise self.found
        return self.found or ""


def step(step_id: str, uses: str | None = None, **more: Any) -> PlannedStep:
    target = more.pop("target", None)
    with_ = more.pop("with_", {})
    call = (
        None if more.get("gate") else PlannedCall(uses=uses or step_id, target=target, with_=with_)
    )
    settings = {"id": step_id, "title": step_id, "call": call, "timeout_s": 60.0}
    return PlannedStep(**(settings | more))


def plan_of(
    *steps: PlannedStep,
    pins: Sequence[PlannedPin] = (),
    gates: dict[str, PlannedGate] | None = None,
    ends: tuple[str, ...] = (),
    rpo_s: float = 300.0,
    types: dict[str, str] | None = None,
    **more: Any,
) -> Plan:
    base: dict[str, Any] = {
        "drctl": "0",
        # Now: a run that goes through the use cases refuses a plan that is old.
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        # Made when its module is read, and run when its turn comes.
        "expires_after_s": 86400.0,
        "runbook": "fake",
        "title": "Fake",
        "scenario": "",
        "runbook_sha256": "0" * 64,
        "environment": "model",
        "environment_sha256": "0" * 64,
        "world": "simulated",
        "protected": False,
        "inputs": {},
        "types": types or {},
        "objectives": Objectives(rto_s=900, rpo_s=rpo_s, starts_at="run", stops_after=ends),
        "targets": {"room": TARGET, "other": SlackChannel(channel="#b")},
        "steps": steps,
        "gates": gates or {},
        "pins": tuple(pins),
        "forecast_s": 0.0,
        "critical_path": (),
    }
    return Plan(**(base | more)).sealed()


def registry_for(plan: Plan, fakes: Sequence[Fake], pins: Sequence[Pin]) -> Registry:
    """The fakes, and a plain one for each action that has none, with its step's effect."""
    known = {fake.name: fake for fake in fakes}
    for one in plan.steps:
        if one.call is not None and one.call.uses not in known:
            known[one.call.uses] = Fake(one.call.uses, one.effect, loss=one.measures_loss)
        if one.undo is not None and one.undo.uses not in known:
            known[one.undo.uses] = Fake(one.undo.uses)
    return Registry([Adapter(name="fake", actions=tuple(known.values()), pins=tuple(pins))])


class Says:
    """People who say things at moments of virtual time."""

    def __init__(self, clock: VirtualClock, said: Sequence[tuple[float, Answer | Order]]) -> None:
        self._clock, self._left = clock, list(said)

    def take(self) -> list[Answer | Order]:
        now_s = self._clock.now().boot_s
        due = [answer for at_s, answer in self._left if at_s <= now_s]
        self._left = [(at_s, answer) for at_s, answer in self._left if at_s > now_s]
        return due


class BreakingLog(MemoryLog):
    """Cannot write any more from the first event that *when* is true for."""

    def __init__(self, clock: VirtualClock, when: Callable[[e.Event], bool]) -> None:
        super().__init__(clock)
        self._when, self.is_broken = when, False

    def append(self, event: e.Event) -> Record:
        self.is_broken = self.is_broken or self._when(event)
        if self.is_broken:
            raise JournalError((Problem(code="DR4003", what="disk full"),))
        return super().append(event)


class LostLog(MemoryLog):
    """Belongs to somebody else from the first intent on."""

    def is_ours(self) -> bool:
        return not any(isinstance(record.event, e.EffectIntended) for record in self.records)


@dataclass
class Ran:
    plan: Plan
    records: list[Record]
    state: State
    end: e.RunFinished | None
    error: BaseException | None
    ended_s: float
    before: list[State] = field(default_factory=list)

    def events(self, kind: type) -> list[Any]:
        return [record.event for record in self.records if isinstance(record.event, kind)]

    def finished(self, name: str) -> list[e.StepFinished]:
        return [event for event in self.events(e.StepFinished) if event.step == name]

    def at_s(self, kind: type, name: str) -> float:
        return next(
            r.at.boot_s
            for r in self.records
            if isinstance(r.event, kind) and getattr(r.event, "step", None) == name
        )


def started(plan: Plan, **more: Any) -> e.RunStarted:
    base: dict[str, Any] = {
        "run_id": "run",
        "plan_digest": plan.digest,
        "plan_seal": plan.seal,
        "runbook": plan.runbook,
        "environment": plan.environment,
        "world": "simulated",
        "operator": "alice",
        "host": "laptop",
        "version": "0",
        "rto_s": plan.objectives.rto_s,
        "rpo_s": plan.objectives.rpo_s,
        "elapsed_before_s": 0.0,
        "clock_source": "run",
    }
    return e.RunStarted(**(base | more))


def drive(
    plan: Plan,
    *fakes: Fake,
    pins: Sequence[Pin] = (),
    log: Callable[[VirtualClock], MemoryLog] = MemoryLog,
    says: Sequence[tuple[float, Answer | Order]] = (),
    interrupt_at_s: float | None = None,
    listeners: Sequence[Listener] = (),
    accepted_loss_s: float | None = None,
    forced_reason: str | None = None,
    after: "Ran | Sequence[Record]" = (),
    first: e.RunResumed | e.UndoRequested | None = None,
    ordered: Sequence[Order] = (),
    lease: Lease | None = None,
) -> Ran:
    """
    Runs *plan* to its end, whatever that is.

    Args:
        after: Goes on behind these events, in a process of its own.
        ordered: Orders that are in the record before it does, as for a run that had ended.
    """
    before = list(after.records if isinstance(after, Ran) else after)

    async def main() -> Ran:
        clock = VirtualClock()
        journal = log(clock)
        journal.records = list(before)
        for order in ordered:
            journal.append(order_given(order))
        state = initial(plan)
        for record in journal.records:
            state = fold(plan, state, record)
        driver = Driver(
            plan,
            state,
            log=journal,
            registry=registry_for(plan, fakes, pins),
            clock=clock,
            secrets=LocalSecrets(),
            inbox=Says(clock, says),
            listeners=listeners,
            lease=lease,
        )
        for at_s, said in says:
            if isinstance(said, Order):  # nobody looks while no gate is open; see `app.running`
                asyncio.get_running_loop().call_later(at_s + 0.001, driver.wake)
        if interrupt_at_s is not None:
            asyncio.get_running_loop().call_later(interrupt_at_s, driver.interrupt, "SIGINT")
        end, error = None, None
        try:
            begin = started(plan, accepted_loss_s=accepted_loss_s, forced_reason=forced_reason)
            end = await driver.run(first or begin)
        except (Exception, asyncio.CancelledError) as caught:  # noqa: BLE001 (the test looks at it)
            error = caught
        return Ran(plan, journal.records, driver.state, end, error, clock.now().boot_s)

    ran = run_virtual(main())
    state = initial(plan)
    for record in ran.records:
        ran.before.append(state)
        state = fold(plan, state, record)
    assert state == ran.state, "the record folds to what the driver knew"
    return ran


def approve(
    at_s: float, gate: str, by: str = "alice", answer: Any = "approve"
) -> tuple[float, Answer]:
    return at_s, Answer(gate=gate, answer=answer, by=by, via="test")


def order(word: Any, step: str = "", reason: str = "because", by: str = "carol") -> Order:
    return Order(order=word, by=by, via="test", step=step, reason=reason)


RESUMED = e.RunResumed(operator="bob", host="other", version="0")


def undo(to: str = "", reason: str = "false alarm") -> e.UndoRequested:
    return e.UndoRequested(by="bob", host="other", version="0", reason=reason, to=to)
