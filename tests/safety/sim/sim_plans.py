"""The runbooks of a simulation: the shipped ones, and small ones made up from a seed."""

import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from drctl.actions.contract import (
    Action,
    Adapter,
    Context,
    Effect,
    Outputs,
    Params,
    Repeat,
)
from drctl.actions.pin import Identity, Pin
from drctl.actions.registry import Registry, installed
from drctl.actions.targets import SlackChannel, Target
from drctl.config.environment import load_environment
from drctl.config.secrets import LocalSecrets
from drctl.kernel import yaml_text, yaml_tree
from drctl.kernel.canonical import JSON
from drctl.plan.make import Planner
from drctl.plan.model import (
    Objectives,
    Plan,
    PlannedCall,
    PlannedGate,
    PlannedPin,
    PlannedStep,
    Retry,
)
from drctl.runbook import load_runbook, resolve_inputs
from drctl.simulated.clock import VirtualClock, run_virtual
from drctl.simulated.ledger import Ledger
from drctl.simulated.models import Behaviour, World
from drctl.simulated.world import registry_of

ROOT = Path(__file__).parent.parent.parent.parent
SCENARIOS = ROOT / "tests" / "scenarios"
RETRIED = ("throttled", "unavailable", "conflict", "outcome_unknown", "timeout")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A plan, and the actions that it uses."""

    plan: Plan
    actions: Registry
    behaviours: dict[str, Behaviour]
    as_data: dict[str, JSON]
    """The plan as JSON."""

    @property
    def names(self) -> list[str]:
        """The actions that the plan uses."""
        calls = [call for step in self.plan.steps for call in (step.call, *step.verify) if call]
        return sorted({call.uses for call in calls})

    @property
    def repeats(self) -> dict[str, str]:
        """What a second call of each action would do."""
        return {action.name: str(action.repeat) for action in self.actions}


@cache
def shipped() -> Stage:
    """The runbook that drctl comes with, planned in the model estate of the scenarios."""
    actions = installed()
    text = yaml_text.read((SCENARIOS / "base_world.yaml").read_text(), file="base_world.yaml")
    world = World.model_validate(yaml_tree.plain(text.root))
    env = load_environment(SCENARIOS / "environment.yaml")

    async def planned() -> Plan:
        registry = registry_of(world, actions, Ledger())
        runbook = load_runbook(
            ROOT / "runbooks" / "region-failover.yaml", registry=registry, environment=env.targets
        )
        planner = Planner(registry=registry, clock=VirtualClock(), secrets=LocalSecrets())
        inputs = resolve_inputs(runbook, {"incident": "inc-20260101-001"})
        plan = await planner.look(planner.draft(runbook, "0" * 64, env, inputs))
        return plan.model_copy(update={"world": "simulated"}).sealed()

    plan = run_virtual(planned())
    scale = {"facet": "kubernetes.deployment.replicas", "value_from": ("replicas",)}
    outputs = world.actions["aws.rds.fence"].outputs | {"previous_security_groups": ["sg-open"]}
    fence = {"facet": "aws.rds.fence", "after": "fenced", "outputs": outputs}
    more = {
        "kubernetes.deployment.scale": scale,
        "aws.rds.fence": fence,
        "aws.rds.unfence": {"facet": "aws.rds.fence", "after": "as it was"},
    }
    behaviours = dict(world.actions)
    for name, update in more.items():
        behaviours[name] = behaviours.get(name, Behaviour()).model_copy(update=update)
    return Stage(
        plan=plan, actions=actions, behaviours=behaviours, as_data=plan.model_dump(mode="json")
    )


class _Any(Params):
    model_config = ConfigDict(extra="allow", frozen=True)


class _Given(Outputs):
    model_config = ConfigDict(extra="allow", frozen=True)


class _Declared(Action[Any, Any, Any]):
    """The declaration of an action that exists nowhere."""

    def __init__(self, name: str, effect: Effect, repeat: Repeat, *, loss: bool = False) -> None:
        values = {"name": name, "summary": name, "effect": effect, "repeat": repeat,
                  "params": _Any, "outputs": _Given, "measures_loss": loss}  # fmt: skip
        for key, value in values.items():
            setattr(self, key, value)

    def planes(self, target: Any) -> tuple[str, ...]:
        region = "us-east-1" if getattr(target, "channel", "") in {"#t0", "#old"} else "us-west-2"
        return (f"control-plane:{region}",)

    async def perform(self, ctx: Context, target: Target, params: Params) -> Outputs:
        raise AssertionError("only its simulation is ever called")


class MadePin(Pin):
    """Says who is there, until it does not."""

    def __init__(self, turns: tuple[tuple[int, str], ...]) -> None:
        self._turns, self._asked = turns, 0

    def identity(self, target: Target) -> Identity | None:
        return Identity(name="made.account", subject="here", expected="us")

    async def read(self, ctx: Context, target: Target) -> str:
        self._asked += 1
        await ctx.clock.sleep(0.2)
        for after, says in self._turns:
            if self._asked >= after:
                if says == "nothing":
                    await ctx.clock.sleep(100.0)
                return says
        return "us"


@cache
def made_up(seed: int) -> Stage:
    """A small runbook, drawn."""
    r = random.Random(f"plan {seed}")
    steps: list[PlannedStep] = []
    actions: list[_Declared] = []

    def add(name: str, effect: Effect, needs: set[str], **more: Any) -> None:
        repeat = r.choice(list(Repeat))
        loss = more.get("measures_loss", False)
        actions.append(_Declared(f"made.{name}.do", effect, repeat, loss=loss))
        undo = None
        if effect in {Effect.CHANGE, Effect.TRAFFIC, Effect.FENCE} and r.random() < 0.6:
            actions.append(_Declared(f"made.{name}.undo", effect, Repeat.IDEMPOTENT))
            undo = PlannedCall(uses=f"made.{name}.undo", target=more.get("target"), timeout_s=20.0)
        target = more.pop("target", r.choice(["t0", "t1", "t2"]))
        base: dict[str, Any] = {
            "id": name, "title": name, "effect": effect, "needs": tuple(sorted(needs)),
            "call": PlannedCall(uses=f"made.{name}.do", target=target),
            "undo": undo and undo.model_copy(update={"target": target}),
            "timeout_s": r.choice([2.0, 10.0, 60.0]),
            "retry": r.choice([Retry(), Retry(attempts=3, on_errors=RETRIED)]),
            "when": r.choice([None, None, None, None, "true", "false"]),
            "on_failure": r.choice(["pause", "pause", "stop"]),
        }  # fmt: skip
        steps.append(PlannedStep(**(base | more)))

    names: list[str] = []
    for index in range(r.randint(2, 7)):
        name = f"s{index}"
        needs = set(r.sample(names, k=min(len(names), r.choice([0, 1, 1, 2]))))
        if r.random() < 0.15:
            steps.append(
                PlannedStep(id=name, title=name, call=None, gate="go", needs=tuple(sorted(needs)),
                            timeout_s=60.0)
            )  # fmt: skip
        else:
            effect = r.choice(
                [Effect.READ, Effect.NOTIFY, Effect.CHANGE, Effect.CHANGE, Effect.TRAFFIC]
            )
            free = {"on_failure": "continue"} if effect is Effect.READ and r.random() < 0.3 else {}
            add(name, effect, needs, **free)
        names.append(name)
    ends: tuple[str, ...] = ()
    if r.random() < 0.6:
        sure = {"when": None, "on_failure": "pause"}
        behind = set(r.sample(names, k=min(len(names), 1)))
        add("measure", Effect.READ, set(), measures_loss=True, **sure)
        needs = tuple(sorted({"measure"} | behind))
        steps.append(
            PlannedStep(
                id="decide", title="decide", call=None, gate="go", needs=needs, timeout_s=60.0
            )
        )
        # One that is skipped leaves the way to the promotion open, but for the core's own guard.
        fence = {"timeout_s": 60.0, "when": r.choice([None, None, None, "false"])}
        add("fence", Effect.FENCE, {"decide"}, target="old", **(sure | fence))
        add("promote", Effect.PROMOTE, {"fence"}, target="new", **(sure | {"timeout_s": 60.0}))
        add("prove", Effect.READ, {"promote"}, **sure)
        if r.random() < 0.5:
            add("traffic", Effect.TRAFFIC, {"prove"})
        ends = ("prove", *r.sample(names, k=r.choice([0, 0, 1])))
    elif r.random() < 0.5:
        ends = tuple(r.sample(names, k=r.choice([1, 2])))
    if r.random() < 0.5:
        add("news", Effect.NOTIFY, set(), is_final=True, when=None)
    targets = {name: SlackChannel(channel=f"#{name}") for name in ("t0", "t1", "t2", "old", "new")}
    pinned = tuple(name for name in ("t0", "old", "new") if r.random() < 0.5)
    plan = Plan(
        drctl="0", created_at="2026-01-01T00:00:00+00:00", runbook="made", title="Made",
        scenario="", runbook_sha256="0" * 64, environment="model", environment_sha256="0" * 64,
        world="simulated", protected=False, inputs={},
        objectives=Objectives(rto_s=900, rpo_s=300.0, starts_at="run", stops_after=ends),
        targets=targets, steps=tuple(steps),
        gates={"go": PlannedGate(title="Go", expires_s=180.0, quorum=r.choice([1, 2, 2]))},
        pins=(PlannedPin(name="made.account", subject="here", targets=pinned, expected="us",
                         found="us"),) if pinned else (),
        forecast_s=0.0, critical_path=(),
    ).sealed()  # fmt: skip
    takes = ["0s", "0.5s", "1s", "3s", "20s"]
    behaviours = {}
    for action in actions:
        base, _, verb = action.name.rpartition(".")
        facet = {"facet": base, "after": "as it was" if verb == "undo" else "done"}
        behaviours[action.name] = Behaviour(takes=r.choice(takes), **facet)
    return Stage(
        plan=plan,
        actions=Registry([Adapter(name="made", actions=tuple(actions))]),
        behaviours=behaviours,
        as_data=plan.model_dump(mode="json"),
    )
