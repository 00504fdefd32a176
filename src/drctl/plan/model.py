"""The plan: frozen data that says what would happen, and all that a run may read."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from drctl.actions.contract import Effect
from drctl.actions.targets import AnyTarget
from drctl.kernel.canonical import digest

Symbol: TypeAlias = Literal["+", "~", "!", ">", "?", "-", " "]
"""create, change, no way back, traffic, cannot tell, skipped, only looks."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlannedCall(_Frozen):
    """One use of an action: of a step, of its ``verify`` or of its ``undo``."""

    uses: str
    target: str | None = None
    """Name in the environment."""
    with_: Mapping[str, Any] = Field(default_factory=dict)
    """As written; ``${{ }}`` is still text."""
    timeout_s: float | None = None


class Retry(_Frozen):
    """When to try again."""

    attempts: int = Field(default=1, ge=1)
    backoff_s: float = 1.0
    max_backoff_s: float = 30.0
    on_errors: tuple[str, ...] = ()


class Prediction(_Frozen):
    """What the look before the run says about one step."""

    symbol: Symbol
    before: str = ""
    after: str = ""
    why: str = ""
    facts: Mapping[str, Any] = Field(default_factory=dict)
    """What was observed and must still hold when a saved plan is run."""
    readings: Mapping[str, Any] = Field(default_factory=dict)


class PlannedStep(_Frozen):
    """One step, resolved."""

    id: str
    title: str
    call: PlannedCall | None
    """``None`` for a gate."""
    gate: str | None = None
    effect: Effect = Effect.READ
    measures_loss: bool = False
    proves_one_primary: bool = False
    needs: tuple[str, ...] = ()
    when: str | None = None
    estimate_s: float = 0.0
    timeout_s: float
    retry: Retry = Retry()
    until: str | None = None
    every_s: float = 1.0
    verify: tuple[PlannedCall, ...] = ()
    undo: PlannedCall | None = None
    on_failure: Literal["pause", "stop", "continue"] = "pause"
    show: tuple[str, ...] = ()
    is_final: bool = False
    """A step of ``finally``."""
    at: str = ""
    """Where it is written: file:line:column."""
    planes: tuple[str, ...] = ()
    prediction: Prediction = Prediction(symbol="?", why="planned offline")

    @property
    def is_message(self) -> bool:
        """True for a step that only tells people: it never delays or fails a recovery."""
        return self.effect is Effect.NOTIFY


class PlannedGate(_Frozen):
    """Who must say go, and by when."""

    title: str
    approvers: tuple[str, ...] = ()
    quorum: int = 1
    expires_s: float


class PlannedPin(_Frozen):
    """An identity that must hold, and what was found when the plan was made."""

    name: str
    subject: str
    targets: tuple[str, ...]
    """Names of the targets that stand or fall with it."""
    expected: str
    found: str | None
    """``None``: did not answer."""


class LossLook(_Frozen):
    """The loss bound as measured while planning."""

    step: str
    bound_s: float | None
    source: str
    safe_until: str | None = None
    primary_last_seen: str | None = None


class Objectives(_Frozen):
    """What the recovery is measured against."""

    rto_s: float
    rpo_s: float
    starts_at: Literal["incident", "declared", "run"]
    stops_after: tuple[str, ...]


class Plan(_Frozen):
    """Everything a run reads. Holds no secret, only references."""

    version: Literal[1] = 1
    drctl: str
    created_at: str
    runbook: str
    title: str
    scenario: str
    runbook_sha256: str
    environment: str
    environment_sha256: str
    world: Literal["live", "lab", "simulated"]
    protected: bool
    resolvers: tuple[str, ...] = ()
    inputs: Mapping[str, Any]
    types: Mapping[str, str] = Field(default_factory=dict)
    """Every name an expression may use, with its CEL type."""
    objectives: Objectives
    targets: Mapping[str, Annotated[AnyTarget, Field()]]
    steps: tuple[PlannedStep, ...]
    gates: Mapping[str, PlannedGate]
    pins: tuple[PlannedPin, ...] = ()
    loss: LossLook | None = None
    is_offline: bool = False
    """Nothing was looked at; such a plan is for reading, and cannot be run."""
    forecast_s: float
    critical_path: tuple[str, ...]
    digest: str = ""

    def computed_digest(self) -> str:
        """
        SHA-256 over everything but the digest itself and the loss bound: that is measured anew
        before a saved plan runs, and the run's record must name the digest that was approved.
        """
        return digest(self.model_dump(mode="json", exclude={"digest", "loss"}))

    def sealed(self) -> "Plan":
        """The same plan with its digest filled in."""
        return self.model_copy(update={"digest": self.computed_digest()})

    @cached_property
    def by_id(self) -> Mapping[str, PlannedStep]:
        """Steps by id."""
        return {step.id: step for step in self.steps}

    @cached_property
    def messages(self) -> tuple[str, ...]:
        """Ids of the steps that only tell people."""
        return tuple(step.id for step in self.steps if step.is_message)
