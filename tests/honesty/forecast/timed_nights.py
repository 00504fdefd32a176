"""Runs of steps whose lengths are drawn: the real driver in the model estate, in virtual time."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from drctl.actions.registry import installed
from drctl.app.runbooks import load
from drctl.config.environment import load_environment
from drctl.config.secrets import LocalSecrets
from drctl.engine.driver import Driver
from drctl.engine.events import GateOpened, RunStarted
from drctl.engine.lengths import lengths_s
from drctl.engine.ports import Answer
from drctl.engine.state import initial
from drctl.plan.make import Planner
from drctl.plan.model import Plan
from drctl.runbook import resolve_inputs
from drctl.simulated.clock import VirtualClock, run_virtual
from drctl.simulated.log import MemoryLog
from drctl.simulated.models import Behaviour, Fault, World
from drctl.simulated.world import Ledger, registry_of

HERE = Path(__file__).parent
ENVIRONMENT = HERE.parent.parent / "scenarios" / "environment.yaml"
SCALE = "kubernetes.deployment.scale"
OUTPUTS = {
    "http.probe": {
        "status": 200, "latency_s": 0.1, "served_by": "x", "checks": {}, "body": "", "address": "",
        "error": "",
    },
    SCALE: {"previous_replicas": 1, "replicas": 5},
    "kubernetes.secret.patch": {"changed_keys": ["host"]},
    "kubernetes.deployment.restart": {"replicas": 5, "revision": "2"},
    "kubernetes.deployment.wait": {"replicas": 3, "available": 3, "revision": "2"},
}  # fmt: skip
MIDDLES_S = {
    "http.probe": 5.0,
    SCALE: 110.0,
    "kubernetes.secret.patch": 30.0,
    "kubernetes.deployment.restart": 90.0,
    "kubernetes.deployment.wait": 60.0,
    "go": 60.0,
}


@dataclass(frozen=True)
class Night:
    """How long everything takes this time."""

    takes_s: dict[str, float]
    throttled: int = 0
    """How often the first change is told to come back later."""


Drawing = Callable[[random.Random], Night]


def even(drawn: random.Random) -> Night:
    """Each step by itself, within a quarter of its middle, as likely below as above."""
    return Night({name: s * drawn.triangular(0.75, 1.25) for name, s in MIDDLES_S.items()})


def skewed(drawn: random.Random) -> Night:
    """Each step by itself, log-normal: mostly quick, now and then thrice as long; and repeats."""
    takes = {name: s * math.exp(drawn.gauss(0.0, 0.6)) for name, s in MIDDLES_S.items()}
    return Night(takes, throttled=sum(drawn.random() < 0.3 for _ in range(2)))


def slow_nights(drawn: random.Random) -> Night:
    """Some nights are slow, and then everything is."""
    night = math.exp(drawn.gauss(0.0, 0.4))
    return Night({name: s * night * drawn.uniform(0.9, 1.1) for name, s in MIDDLES_S.items()})


class _Commander:
    """Answers a gate so long after it was opened."""

    def __init__(self, log: MemoryLog, clock: VirtualClock, after_s: float) -> None:
        self._log, self._clock, self._after_s = log, clock, after_s
        self._is_said = False

    def take(self) -> list[Answer]:
        opened = [one.at for one in self._log.records if isinstance(one.event, GateOpened)]
        if self._is_said or not opened:
            return []
        if self._clock.now().boot_s - opened[0].boot_s < self._after_s:
            return []
        self._is_said = True
        return [Answer(gate="go", answer="approve", by="alice", via="test")]


def _world(night: Night) -> World:
    faults = {SCALE: (Fault(calls=night.throttled, error="throttled"),) if night.throttled else ()}
    return World(
        actions={
            name: Behaviour(
                takes=f"{night.takes_s[name]:.6f}s", outputs=outputs, faults=faults.get(name, ())
            )
            for name, outputs in OUTPUTS.items()
        }
    )


def planned() -> Plan:
    """The plan of `runbook.yaml`, as it is without any history."""

    async def make() -> Plan:
        registry = registry_of(_world(Night(MIDDLES_S)), installed(), Ledger())
        environment = load_environment(ENVIRONMENT)
        loaded = load(HERE / "runbook.yaml", registry, environment.targets)
        planner = Planner(registry=registry, clock=VirtualClock(), secrets=LocalSecrets())
        given = resolve_inputs(loaded.runbook, {})
        plan = await planner.look(planner.draft(loaded.runbook, "0" * 64, environment, given))
        return plan.model_copy(update={"world": "simulated"}).sealed()

    return run_virtual(make())


def run_once(plan: Plan, night: Night, real: object) -> tuple[float, dict[str, float]]:
    """
    Runs the plan on such a night.

    Returns:
        Seconds until service was proven, and what history keeps of it.
    """

    async def go() -> tuple[float, dict[str, float]]:
        clock, ledger = VirtualClock(), Ledger()
        log = MemoryLog(clock)
        driver = Driver(
            plan,
            initial(plan),
            log=log,
            registry=registry_of(_world(night), real, ledger),  # type: ignore[arg-type]
            clock=clock,
            secrets=LocalSecrets(),
            inbox=_Commander(log, clock, night.takes_s["go"]),
            listeners=[],
        )
        end = await driver.run(_started(plan))
        assert end.result == "succeeded", end.why
        assert end.rta_s is not None
        return end.rta_s, lengths_s(log.records)

    return run_virtual(go())


def _started(plan: Plan) -> RunStarted:
    return RunStarted(
        run_id="run", plan_digest=plan.digest, runbook=plan.runbook, environment=plan.environment,
        world="simulated", operator="alice", host="laptop", version="0",
        rto_s=plan.objectives.rto_s, rpo_s=plan.objectives.rpo_s, elapsed_before_s=0.0,
        clock_source="run",
    )  # fmt: skip
