"""The plan: frozen data that says what would happen, and all that a run may read."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny

from drctl.actions.contract import Effect
from drctl.actions.targets import Target, of_kind
from drctl.kernel.canonical import canonical, digest, digest_of_members
from drctl.kernel.signature import PublicKey
from drctl.plan.budget import Budget
from drctl.plan.fate_model import Fate
from drctl.plan.findings import Finding, Waived
from drctl.plan.forecast_model import Forecast, StepForecast

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


NOT_LOOKED: Final = Prediction(symbol="?", why="planned offline")


class PlannedStep(_Frozen):
    """One step, resolved."""

    id: str
    scope: str = ""
    """The steps through which its runbook was included; empty: it is of the plan's own runbook."""
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
    no_way_back: str = ""
    """What cannot be had again once it has begun; empty: it can be taken back, or only looks."""
    # A default that is a value would be copied, all of it, for each step.
    prediction: Prediction = Field(default_factory=lambda: NOT_LOOKED)

    @property
    def is_message(self) -> bool:
        """True for a step that only tells people: it never delays or fails a recovery."""
        return self.effect is Effect.NOTIFY

    @property
    def is_consent(self) -> bool:
        """True for a gate, at which people only say go; a person's task is a change."""
        return self.gate is not None and not self.effect.changes_something


class PlannedGate(_Frozen):
    """Who must say go, and by when."""

    title: str
    approvers: tuple[str, ...] = ()
    """Roles or people; empty: anybody, of those enrolled where some are."""
    quorum: int = 1
    expires_s: float
    self_approval: bool = False
    """Whether who started the run may answer too; means nothing where nobody is enrolled."""
    reason_required: bool = False


class PlannedPerson(_Frozen):
    """Somebody who may answer gates, as the environment said when the plan was made."""

    roles: tuple[str, ...] = ()
    keys: tuple[PublicKey, ...]
    """Public keys; each proves the same one person."""
    login: str | None = None

    def may_answer(self, name: str, gate: PlannedGate) -> bool:
        """True when the gate asks for this person, called *name*, or a role of theirs."""
        return not gate.approvers or not {name, *self.roles}.isdisjoint(gate.approvers)


class PlannedPin(_Frozen):
    """An identity that must hold, and what was found when the plan was made."""

    name: str
    subject: str
    targets: tuple[str, ...]
    """Names of the targets that stand or fall with it."""
    expected: str
    found: str | None
    """``None``: did not answer."""


class PlannedScope(_Frozen):
    """A runbook that is included in the plan's own."""

    runbook: str
    sha256: str
    inputs: Mapping[str, Any]
    """Values, or text with ``${{ }}`` of the runbook around it."""
    types: Mapping[str, str]
    """Every name that its expressions may use, with its CEL type."""


class LossLook(_Frozen):
    """The loss bound as measured while planning."""

    step: str
    bound_s: float | None
    source: str
    safe_until: str | None = None
    primary_last_seen: str | None = None


class PlannedLease(_Frozen):
    """What the run must have for itself before it changes anything, and where that is written."""

    store: str | None = None
    """Name of a store (`drctl.actions.cell`); ``None``: a folder of this machine."""
    settings: Mapping[str, Any] = Field(default_factory=dict)
    label: str = ""
    identities: tuple[str, ...] = ()
    """What it may change; empty: it only looks, and needs no lease."""
    moves: tuple[str, ...] = ()
    """What it fences, promotes, or moves traffic of."""
    cool_down_s: float = 0.0
    shares_fate_with: tuple[str, ...] = ()
    """Places that the run leaves, and in which the store is."""


class Objectives(_Frozen):
    """What the recovery is measured against."""

    rto_s: float
    rpo_s: float
    starts_at: Literal["incident", "declared", "run"]
    stops_after: tuple[str, ...]
    detection_s: float | None = None
    """From the fault until somebody knows, as declared; ``None``: nobody has declared it."""

    @property
    def budget(self) -> Budget:
        """What a run is held against."""
        in_budget = self.starts_at == "incident"
        return Budget(rto_s=self.rto_s, detection_s=self.detection_s, in_budget=in_budget)


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
    scopes: Mapping[str, PlannedScope] = Field(default_factory=dict)
    """Included runbooks by their place: the steps through which they were."""
    objectives: Objectives
    targets: Mapping[str, Annotated[SerializeAsAny[Target], BeforeValidator(of_kind)]]
    steps: tuple[PlannedStep, ...]
    gates: Mapping[str, PlannedGate]
    people: Mapping[str, PlannedPerson] = Field(default_factory=dict)
    """Who may answer gates, whatever the environment says later. Empty: nobody is verified."""
    sources: Mapping[str, str] = Field(default_factory=dict)
    """SHA-256 of the files it was made from, by path: the runbook, then the environment, then what
    the runbook includes."""
    code: Mapping[str, str] = Field(default_factory=dict)
    """SHA-256 of the source of every action used, by name: another one is another plan."""
    expires_after_s: float = 900.0
    """How long after ``created_at`` it may be run."""
    max_targets: int = 10
    pins: tuple[PlannedPin, ...] = ()
    lease: PlannedLease = PlannedLease()
    loss: LossLook | None = None
    is_offline: bool = False
    """Nothing was looked at; such a plan is for reading, and cannot be run."""
    fate: Fate | None = None
    """What fails while the places of ``--assume-down`` do not answer. A plan with it is for reading
    too: it has not looked at the world as it is."""
    forecast_s: float
    """Seconds from the start of a run until half of such runs have proven service: the p50."""
    critical_path: tuple[str, ...]
    """The longest chain when every step takes its p50."""
    forecast: Forecast | None = None
    findings: tuple[Finding, ...] = ()
    """What rules say against it, errors first; they stop no run."""
    waived: tuple[Waived, ...] = ()
    """What they would say, and the runbook says that it is known."""
    digest: str = ""
    """What would happen: the same for the same inputs and the same observation, whenever and
    wherever the plan was made."""
    seal: str = ""
    """Of this one plan, and so of when it was made: what people approve, deny and run."""
    loss_digest: str = ""
    """Of the loss bound alone; see `computed_seal`."""

    def __repr__(self) -> str:
        """Short: asyncio writes the result of a task into errors, also those that nobody sees."""
        return f"<plan of {self.runbook}, {len(self.steps)} steps, {self.digest[:12]}>"

    def computed_digest(self) -> str:
        """
        SHA-256 over what would happen and what it was concluded from: inputs, texts, targets, what
        must still hold. Left out is what is another thing each time (`_ONE_TIME`).
        """
        return _digests(self._sealable())[0]

    def computed_seal(self) -> str:
        """
        SHA-256 over everything but the digests themselves and the loss bound: that is measured anew
        before a saved plan runs, and the run's record must name the seal that was approved.
        """
        return _digests(self._sealable())[1]

    def _sealable(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude=_APART)

    def sealed(self) -> "Plan":
        """The same plan with its digests filled in."""
        of_it, seal = _digests(self._sealable())
        return self.with_loss(self.loss).model_copy(update={"digest": of_it, "seal": seal})

    def with_loss(self, loss: LossLook | None) -> "Plan":
        """The same plan, of the same seal, with another measurement of the loss bound."""
        return self.model_copy(update={"loss": loss, "loss_digest": _loss_digest(loss)})

    @property
    def is_whole(self) -> bool:
        """True when nothing in it was changed since it was sealed."""
        of_it, seal = _digests(self._sealable())
        wanted = (of_it, seal, _loss_digest(self.loss))
        return (self.digest, self.seal, self.loss_digest) == wanted

    def as_saved(self) -> bytes:
        """The one way in which this plan is written to a file."""
        return self.model_dump_json(indent=1).encode() + b"\n"

    @property
    def changed_targets(self) -> tuple[str, ...]:
        """The different things that a run would change, as people call them; messages are none."""
        names = {
            call.target
            for step in self.steps
            if step.effect.changes_something
            for call in (step.call, *step.verify, step.undo)
            if call is not None and call.target
        }
        targets = [self.targets[name] for name in names]
        return tuple(sorted({f"{target.kind} {target.label}" for target in targets}))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's, without what was computed from the steps that it replaces."""
        copied = super().model_copy(update=update, deep=deep)
        for name in ("by_id", "before_promotion", "messages", "timed"):
            copied.__dict__.pop(name, None)
        return copied

    @cached_property
    def by_id(self) -> Mapping[str, PlannedStep]:
        """Steps by id."""
        return {step.id: step for step in self.steps}

    @cached_property
    def timed(self) -> Mapping[str, StepForecast]:
        """Where each step stands in time, by id; without those of ``finally``."""
        return {step.step: step for step in self.forecast.steps} if self.forecast else {}

    @property
    def spare_s(self) -> float:
        """What nine of ten runs would leave of the RTO; negative: the plan does not fit."""
        run_s = self.forecast_s if self.forecast is None else self.forecast.p90_s
        return self.objectives.budget.spare_s(run_s)

    def before(self, step: str) -> tuple[PlannedStep, ...]:
        """Every step that *step* waits for, however far away."""
        found: dict[str, PlannedStep] = {}
        left = list(self.by_id[step].needs)
        while left:
            name = left.pop()
            if name not in found:
                found[name] = self.by_id[name]
                left.extend(found[name].needs)
        return tuple(found.values())

    @cached_property
    def before_promotion(self) -> frozenset[str]:
        """Ids of the steps that a promotion waits for."""
        return frozenset(
            one.id
            for step in self.steps
            if step.effect is Effect.PROMOTE
            for one in self.before(step.id)
        )

    @cached_property
    def messages(self) -> tuple[str, ...]:
        """Ids of the steps that only tell people."""
        return tuple(step.id for step in self.steps if step.is_message)


_APART = {"digest", "seal", "loss", "loss_digest"}
_ONE_TIME = frozenset(
    {"created_at", "sources", "findings", "waived", "forecast", "forecast_s", "critical_path"}
)
"""Of a plan: when it was made, where its files are (what is in them is under ``runbook_sha256`` and
its like), what the rules say, which turns with the date on which a waiver ends, and the forecast,
which turns with every run that is recorded."""
_ONE_TIME_IN_STEP = frozenset({"at"})
"""Of a step: the path of its file, as somebody typed it."""
_PASSING = frozenset({"before", "after", "why", "readings"})
"""Of a look: a lag and the sentence that has it in it. ``facts`` is what must hold, and is in."""


def _digests(raw: Mapping[str, Any]) -> tuple[str, str]:
    """The digest and the seal; what both cover but for the steps is written once for the two."""
    whole = {name: canonical(value) for name, value in raw.items()}
    lasting = {name: text for name, text in whole.items() if name not in _ONE_TIME}
    lasting["steps"] = canonical([_lasting(step) for step in raw["steps"]])
    return digest_of_members(lasting), digest_of_members(whole)


def _lasting(step: dict[str, Any]) -> dict[str, Any]:
    # Copied whole and cut: to ask of each name takes five times as long, and there are 300,000.
    lasting, prediction = step.copy(), step["prediction"].copy()
    for name in _ONE_TIME_IN_STEP:
        del lasting[name]
    for name in _PASSING:
        del prediction[name]
    lasting["prediction"] = prediction
    return lasting


def _loss_digest(loss: LossLook | None) -> str:
    return digest(None if loss is None else loss.model_dump(mode="json"))
