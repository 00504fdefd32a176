"""A few actions, one of each effect, and the shortest runbook that uses them."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import BaseModel, Field, StringConstraints

from drctl.actions.contract import Action, Adapter, Effect, NoOutputs, Outputs, Params
from drctl.actions.loss import LossBound
from drctl.actions.registry import Registry
from drctl.actions.targets import Deployment, FailoverSwitch, RdsInstance, SlackChannel, Target
from drctl.kernel.errors import Position, Problem
from drctl.runbook import check_runbook


class ProbeParams(Params):
    path: Annotated[str, StringConstraints(pattern=r"^/")]
    """Below the target's URL."""
    expect: int | None = None
    limit: timedelta = timedelta(seconds=5)


class Proof(BaseModel):
    by: str
    at: datetime


class ProbeOutputs(Outputs):
    status: int
    latency_s: float
    served_by: str | None
    checks: dict[str, bool]
    seen: tuple[str, ...] = ()
    proof: Proof | None = None
    mode: Literal["a", "b"] = "a"
    took: timedelta | None = None
    body: Any = None


class ScaleParams(Params):
    replicas: Annotated[int, Field(ge=1)]
    """How many."""


class ScaleOutputs(Outputs):
    previous_replicas: int


class PatchParams(Params):
    name: str
    data: dict[str, str] = Field(default_factory=dict)


class TextParams(Params):
    text: str


class FenceOutputs(Outputs):
    final_lsn: str


class PromoteOutputs(Outputs):
    endpoint: str


def make(
    action_name: str,
    effect_: Effect,
    *targets_: type[Target],
    takes: type[Params] = Params,
    gives: type[Outputs] = NoOutputs,
    proves: bool = False,
) -> Action[Any, Any, Any]:
    class Made(Action[Any, Any, Any]):
        name: ClassVar[str] = action_name
        summary: ClassVar[str] = f"Does {action_name}"
        effect: ClassVar[Effect] = effect_
        targets = targets_
        proves_one_primary: ClassVar[bool] = proves
        params = takes
        outputs = gives
        measures_loss: ClassVar[bool] = issubclass(gives, LossBound)

        async def perform(self, ctx, target, params):
            raise AssertionError("the rules of a runbook call nothing")

    return Made()


REGISTRY = Registry(
    [
        Adapter(
            name="fake",
            actions=(
                make("slack.message.post", Effect.NOTIFY, SlackChannel, takes=TextParams),
                make("aws.rds.measure_lag", Effect.READ, RdsInstance, gives=LossBound),
                make("aws.rds.fence", Effect.FENCE, RdsInstance, gives=FenceOutputs),
                make("aws.rds.promote_replica", Effect.PROMOTE, RdsInstance, gives=PromoteOutputs),
                make("aws.rds.assert_single_primary", Effect.CHANGE, RdsInstance, proves=True),
                make(
                    "kubernetes.deployment.scale",
                    Effect.CHANGE,
                    Deployment,
                    takes=ScaleParams,
                    gives=ScaleOutputs,
                ),
                make("kubernetes.secret.patch", Effect.CHANGE, Deployment, takes=PatchParams),
                make(
                    "http.probe",
                    Effect.READ,
                    Deployment,
                    FailoverSwitch,
                    takes=ProbeParams,
                    gives=ProbeOutputs,
                ),
                make("human.task", Effect.CHANGE, takes=TextParams),
            ),
        )
    ]
)

HEAD = """\
apiVersion: drctl/v1
kind: Runbook
metadata: {name: small, title: Small, owner: us}
objectives: {rto: 15m, rpo: 5m, clock: {stops_after: [look]}}
inputs:
  region: {type: string, default: west}
  replicas: {type: int, default: 3}
targets:
  old_db: db.primary
  new_db: db.recovery
  app: app.recovery
  switch: traffic.api
  room: comms.room
gates:
  go: {title: Go, approvers: [commander], expires_after: 3m}
"""
LOOK = """\
- id: look
  uses: http.probe
  target: app
  with: {path: /health}
  timeout: 10s
"""


@pytest.fixture(scope="session")
def registry() -> Registry:
    return REGISTRY


@pytest.fixture
def check() -> Callable[..., list[str]]:
    """Checks a runbook made of *steps* and a final look; gives ``code: words`` in order."""

    def run(steps: str = "", *, head: str = HEAD, last: str = LOOK, **more: Any) -> list[str]:
        text = f"{head}steps:\n{re.sub('^', '  ', steps + last, flags=re.MULTILINE).rstrip()}\n"
        _, problems = check_runbook(text, registry=REGISTRY, **more)
        return [f"{problem.code}: {problem.what}" for problem in problems]

    return run


@pytest.fixture
def place() -> Callable[[Problem], str]:
    def short(problem: Problem) -> str:
        at = problem.at
        assert isinstance(at, Position)
        return f"{at.line}:{at.column} {problem.code}"

    return short
