"""What `drctl ready` says, as data."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from drctl.actions.check import Standing

Result: TypeAlias = Literal["ready", "at risk", "not ready"]
_ORDER: tuple[Result, ...] = ("ready", "at risk", "not ready")

CAVEAT = "This is no promise that a failover will succeed: only that these prerequisites hold now."


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Judged(_Frozen):
    """One prerequisite, looked at."""

    check: str
    """Its id: ``aws.rds.replica``, ``identity.aws.account``, ``drctl.lease``."""
    rests_on: tuple[str, ...] = ()
    """Patterns of checks: where one does not hold for the same target, this one says nothing."""
    rung: int = 2
    """Order in which it must hold (`drctl.actions.check.Rung`)."""
    standing: Standing
    subject: str
    targets: tuple[str, ...] = ()
    """Names in the environment."""
    steps: tuple[str, ...] = ()
    """Of the runbook, that it would break."""
    why: str
    do: str = ""
    readings: Mapping[str, Any] = Field(default_factory=dict)

    @property
    def is_trouble(self) -> bool:
        """Whether it keeps a scenario from being ready."""
        return self.standing in {Standing.NOT_READY, Standing.AT_RISK, Standing.CANNOT_TELL}


class Skipped(_Frozen):
    """One that was not looked at."""

    check: str
    subject: str
    why: str


class Scenario(_Frozen):
    """One thing that may happen, and whether what its runbook needs is there."""

    scenario: str
    runbook: str
    title: str
    result: Result
    judged: tuple[Judged, ...]
    """Worst first."""
    skipped: tuple[Skipped, ...] = ()
    steps: int = 0
    """Steps that use something."""
    looked_at: int = 0
    """Steps of these for which something was looked at now."""
    unchecked: tuple[str, ...] = ()
    """Steps for which drctl knows nothing to look at beforehand."""
    unchecked_changes: tuple[str, ...] = ()
    """Those of them that change something: of these a verdict says nothing."""

    def of(self, *standings: Standing) -> tuple[Judged, ...]:
        """Those that stand so."""
        return tuple(one for one in self.judged if one.standing in standings)

    @property
    def troubles(self) -> tuple[Judged, ...]:
        """What keeps it from being ready."""
        return tuple(one for one in self.judged if one.is_trouble)


class Readiness(_Frozen):
    """The answer for one environment, at one moment."""

    version: Literal[1] = 1
    environment: str
    at: str
    took_s: float
    assume_down: tuple[str, ...] = ()
    result: Result
    scenarios: tuple[Scenario, ...]
    not_asked: tuple[str, ...] = ()
    """Scenarios of the environment that are asked only when they are named."""
    caveat: str = CAVEAT


def worst(results: tuple[Result, ...]) -> Result:
    """The worst of them; nothing is ready."""
    return max(results, key=_ORDER.index, default="ready")


def result_of(judged: tuple[Judged, ...]) -> Result:
    """What the standings add up to. A prerequisite that nobody could look at is a risk."""
    standings = {one.standing for one in judged}
    if Standing.NOT_READY in standings:
        return "not ready"
    if standings & {Standing.AT_RISK, Standing.CANNOT_TELL}:
        return "at risk"
    return "ready"
