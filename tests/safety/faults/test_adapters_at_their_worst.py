"""
Whatever an adapter does, the run ends in time, and nothing follows what is not understood.

Every installed action keeps its declaration and gets a body that hangs, or raises what nobody
foresaw, before or after a request has left.
"""

import asyncio

import fault_matrix as matrix
import pytest
from results import record

from drctl.actions.contract import (
    Action,
    Adapter,
    CannotTell,
    Effect,
    NoOutputs,
    NoParams,
    NotDone,
    Params,
    Repeat,
)
from drctl.actions.registry import Registry, installed
from drctl.actions.targets import SlackChannel, Target
from drctl.engine import events as e
from drctl.engine.driver import Driver
from drctl.engine.state import initial
from drctl.plan.model import Objectives, Plan, PlannedCall, PlannedStep, Retry
from drctl.simulated.clock import VirtualClock, run_virtual
from drctl.simulated.log import MemoryLog

TIMEOUT_S = 30.0
UNFORESEEN = {
    "KeyError": lambda: KeyError("DBInstance"),
    "TypeError": lambda: TypeError("'NoneType' object is not subscriptable"),
    "ZeroDivisionError": lambda: ZeroDivisionError("division by zero"),
    "RecursionError": lambda: RecursionError("maximum recursion depth exceeded"),
    "MemoryError": MemoryError,
    "UnicodeDecodeError": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    "CancelledError": asyncio.CancelledError,
    "ExceptionGroup": lambda: ExceptionGroup("several", [ValueError("a"), OSError("b")]),
}
# A person's task is never performed; a message is outside the recovery, and nothing waits for it.
ACTIONS = [
    action
    for action in installed()
    if not action.asks_person and action.effect is not Effect.NOTIFY
]
ALL = [action for action in installed() if not action.asks_person]


class Worn(Action):
    """The declaration of a real action around a body of the test's."""

    def __init__(self, real, perform, settled):
        for name in ("name", "summary", "effect", "repeat", "outputs", "measures_loss"):
            setattr(self, name, getattr(real, name))
        self.params, self.targets = NoParams, (SlackChannel,)
        self._perform, self._settled = perform, settled

    async def perform(self, ctx, target, params):
        return await self._perform(ctx)

    async def settled(self, ctx, target, params):
        return await self._settled(ctx)


class Following(Action[Target, Params, NoOutputs]):
    """The effect that must not come."""

    name, summary = "bench.follow", "follows"
    effect, repeat = Effect.CHANGE, Repeat.IDEMPOTENT

    def __init__(self):
        self.count = 0

    async def perform(self, ctx, target, params):
        ctx.permit()
        self.count += 1
        return NoOutputs()


def run_two(worn):
    """The worn action, then an effect that needs it; returns what was recorded."""
    following = Following()
    around = [matrix.Before(), matrix.Measured(), following]
    registry = Registry([Adapter(name="bench", actions=(worn, *around))])
    before = ()
    if worn.effect is Effect.PROMOTE:
        before = (
            matrix._around("bench.fence", Effect.FENCE, needs=()),
            matrix._around("bench.measure", Effect.READ, needs=("fence",)),
        )
    step = PlannedStep(
        id="step",
        title="step",
        call=PlannedCall(uses=worn.name, target="target"),
        effect=worn.effect,
        needs=tuple(one.id for one in before),
        timeout_s=TIMEOUT_S,
        retry=Retry(attempts=3, backoff_s=0.1, on_errors=("bug", "timeout", "outcome_unknown")),
    )
    then = PlannedStep(
        id="then",
        title="then",
        call=PlannedCall(uses=following.name),
        effect=Effect.CHANGE,
        needs=("step",),
        timeout_s=TIMEOUT_S,
    )
    plan = Plan(
        drctl="0", created_at="", runbook="worst", title="worst", scenario="none",
        runbook_sha256="0" * 64, environment="e", environment_sha256="0" * 64, world="simulated",
        protected=False, inputs={},
        objectives=Objectives(rto_s=900, rpo_s=300, starts_at="run", stops_after=()),
        targets={"target": SlackChannel(channel="#a")}, steps=(*before, step, then), gates={},
        forecast_s=0.0, critical_path=("step",),
    ).sealed()  # fmt: skip

    async def main():
        clock = VirtualClock()
        log = MemoryLog(clock)
        driver = Driver(
            plan, initial(plan), log=log, registry=registry, clock=clock, secrets=matrix.Keys()
        )
        end = await driver.run(matrix.started(plan))
        return log.records, end, following.count

    return run_virtual(main())


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_nothing_follows_what_nobody_foresaw(action):
    """I13: unknown error means stop, safe and loud; the effect after it does not happen."""
    ill = []
    for kind, make in UNFORESEEN.items():
        for has_left in (False, True):
            calls = []

            async def perform(ctx, make=make, has_left=has_left, calls=calls):
                calls.append(ctx.key)
                if has_left and action.effect is not Effect.READ:
                    ctx.permit()
                raise make()

            async def settled(_ctx, make=make, has_left=has_left):
                if has_left:
                    raise make()
                return NotDone(why="nothing was sent")

            records, end, followed = run_two(Worn(action, perform, settled))
            said = [r.event for r in records if isinstance(r.event, e.StepFinished)]
            outcome = next(one for one in said if one.step == "step")
            is_told = outcome.outcome in {"failed", "unknown"} and bool(outcome.why)
            # What may have left is sent once, whatever the runbook says about retries.
            is_once = action.effect is Effect.READ or not has_left or len(calls) == 1
            if followed or end.result == "succeeded" or not is_told or not is_once:
                ill.append((kind, has_left, followed, end.result, outcome, len(calls)))
    _count("I13", len(UNFORESEEN) * 2, len(ill))
    assert ill == []


@pytest.mark.parametrize("action", ALL, ids=lambda action: action.name)
def test_what_hangs_for_ever_is_left_in_time(action):
    """I11: perform and the read-back hang; control is back two seconds after the deadline."""

    async def hang(ctx):
        if action.effect is not Effect.READ:
            ctx.permit()
        await ctx.clock.sleep(1e9)

    async def look(ctx):
        await ctx.clock.sleep(1e9)
        return CannotTell(why="never")

    records, end, followed = run_two(Worn(action, hang, look))
    longest_s, begun_s, attempts = 0.0, 0.0, 0
    for one in records:
        if getattr(one.event, "step", "") != "step":
            continue
        if isinstance(one.event, e.StepStarted):
            begun_s, attempts = one.at.boot_s, attempts + 1
        elif isinstance(one.event, e.StepFinished):
            longest_s = max(longest_s, one.at.boot_s - begun_s)
    assert 0 < longest_s <= TIMEOUT_S + matrix.SPARE_S
    assert action.effect is Effect.READ or attempts == 1
    if action.effect is not Effect.NOTIFY:  # a message is outside the recovery
        assert (end.result == "succeeded", followed) == (False, 0)


_COUNTS: dict[str, list[int]] = {}


def _count(promise, cases, violations):
    seen = _COUNTS.setdefault(promise, [0, 0])
    seen[0] += cases
    seen[1] += violations
    note = "8 unforeseen exceptions, before and after a request left"
    record("faults", promise, cases=seen[0], violations=seen[1], note=note)
