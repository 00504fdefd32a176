"""
What a saved plan says, as far as it can be read, for comparing.

Problem: a plan in a pull request is a file that anybody wrote, by any version of drctl. Invariant:
an `Outline` is never a `Plan`, so nothing that was read here can be run; what this version does not
know is left out, what has another form than a plan's is refused, and no number is so large that
writing it would be work.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from drctl.kernel.canonical import digest
from drctl.plan.budget import Budget

LARGEST = 64 * 1024 * 1024
"""Bytes of a file; a plan of 10,000 steps has about 15 million."""
MOST_STEPS = 20_000
_Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
_Word = Annotated[str, Field(max_length=300)]
_Text = Annotated[str, Field(max_length=100_000)]


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class CallOutline(_Read):
    """A use of an action."""

    uses: _Word
    target: _Word | None = None
    with_: Mapping[str, JsonValue] = Field(default_factory=dict)
    timeout_s: _Seconds | None = None


class RetryOutline(_Read):
    """When to try again."""

    attempts: Annotated[int, Field(ge=0, le=10**9)] = 1
    backoff_s: _Seconds = 1.0
    max_backoff_s: _Seconds = 30.0
    on_errors: Sequence[_Word] = ()


class LookOutline(_Read):
    """What was seen before the run."""

    symbol: Annotated[str, Field(max_length=8)] = "?"
    facts: Mapping[str, JsonValue] = Field(default_factory=dict)


class StepOutline(_Read):
    """One step."""

    id: _Word
    title: _Text = ""
    call: CallOutline | None = None
    gate: _Word | None = None
    effect: _Word = ""
    measures_loss: bool = False
    proves_one_primary: bool = False
    needs: Sequence[_Word] = ()
    when: _Text | None = None
    estimate_s: _Seconds = 0.0
    timeout_s: _Seconds = 0.0
    retry: RetryOutline = RetryOutline()
    until: _Text | None = None
    every_s: _Seconds = 1.0
    verify: Sequence[CallOutline] = ()
    undo: CallOutline | None = None
    on_failure: _Word = ""
    show: Sequence[_Text] = ()
    is_final: bool = False
    scope: _Word = ""
    no_way_back: _Text = ""
    planes: Sequence[_Word] = ()
    prediction: LookOutline = LookOutline()

    @property
    def changes_something(self) -> bool:
        """True unless it is known to only look or tell; an effect of a later version may change."""
        return self.effect not in {"", "read", "notify"}

    @property
    def is_irreversible(self) -> bool:
        """True when there is no way back from it."""
        return self.effect in {"promote", "destroy"}


class GateOutline(_Read):
    """Who must say go."""

    title: _Text = ""
    approvers: Sequence[_Word] = ()
    quorum: Annotated[int, Field(ge=0, le=10**9)] = 1
    expires_s: _Seconds = 0.0
    self_approval: bool = False
    reason_required: bool = False


class PersonOutline(_Read):
    """Who may answer."""

    roles: Sequence[_Word] = ()
    keys: Sequence[_Text] = ()
    login: _Word | None = None


class ObjectivesOutline(_Read):
    """What the recovery is measured against."""

    rto_s: _Seconds
    rpo_s: _Seconds
    starts_at: _Word = ""
    stops_after: Sequence[_Word] = ()
    detection_s: _Seconds | None = None

    @property
    def budget(self) -> Budget:
        """What a run is held against."""
        in_budget = self.starts_at == "incident"
        return Budget(rto_s=self.rto_s, detection_s=self.detection_s, in_budget=in_budget)


class ForecastOutline(_Read):
    """When a run would be over."""

    p90_s: _Seconds
    runs: Annotated[int, Field(ge=0, le=10**9)] = 0


class LossOutline(_Read):
    """The loss bound when the plan was made."""

    bound_s: _Seconds | None = None
    source: _Text = ""


class FindingOutline(_Read):
    """What a rule said."""

    id: _Word
    severity: _Word = "warning"
    where: _Word = ""
    what: _Text = ""

    @property
    def key(self) -> str:
        """What it is about: numbers in its words change without it being another finding."""
        return f"{self.id} {self.where}".strip()

    @property
    def sentence(self) -> str:
        """All of it."""
        return f"{self.key}: {self.what}"


class WaivedOutline(_Read):
    """A finding that the runbook waives."""

    finding: FindingOutline
    reason: _Text = ""
    until: _Word = ""

    @property
    def about(self) -> str:
        """Until when and why."""
        return f"until {self.until} because {self.reason}"


class PinOutline(_Read):
    """An identity that must hold."""

    name: _Word
    subject: _Text = ""
    targets: Sequence[_Word] = ()
    expected: _Text = ""
    found: _Text | None = None


class LeaseOutline(_Read):
    """What a run must have for itself."""

    store: _Word | None = None
    settings: Mapping[str, JsonValue] = Field(default_factory=dict)
    label: _Text = ""
    identities: Sequence[_Text] = ()
    moves: Sequence[_Text] = ()
    cool_down_s: _Seconds = 0.0
    shares_fate_with: Sequence[_Text] = ()


class ScopeOutline(_Read):
    """A runbook that is included."""

    runbook: _Word
    inputs: Mapping[str, JsonValue] = Field(default_factory=dict)


class Outline(_Read):
    """A plan, for reading."""

    drctl: _Word = "unknown"
    created_at: _Word = "unknown"
    runbook: _Word
    title: _Text = ""
    scenario: _Word = ""
    environment: _Word
    environment_sha256: _Word = ""
    world: _Word = ""
    protected: bool = False
    resolvers: Sequence[_Word] = ()
    inputs: Mapping[str, JsonValue] = Field(default_factory=dict)
    scopes: Mapping[str, ScopeOutline] = Field(default_factory=dict)
    objectives: ObjectivesOutline
    targets: Mapping[str, Mapping[str, JsonValue]] = Field(default_factory=dict)
    steps: Annotated[Sequence[StepOutline], Field(max_length=MOST_STEPS)]
    gates: Mapping[str, GateOutline] = Field(default_factory=dict)
    people: Mapping[str, PersonOutline] = Field(default_factory=dict)
    expires_after_s: _Seconds = 0.0
    max_targets: Annotated[int, Field(ge=0, le=10**9)] = 0
    pins: Sequence[PinOutline] = ()
    lease: LeaseOutline = LeaseOutline()
    loss: LossOutline | None = None
    is_offline: bool = False
    forecast_s: _Seconds
    critical_path: Sequence[_Word] = ()
    forecast: ForecastOutline | None = None
    findings: Sequence[FindingOutline] = ()
    waived: Sequence[WaivedOutline] = ()
    code: Mapping[str, _Word] = Field(default_factory=dict)
    runbook_texts: Sequence[_Text] = ()
    """Of the files of the runbook and of all that it includes: what the plan says they hash to."""
    substance: str = ""
    """SHA-256 of all that a run would go by, also of what this version does not know."""

    @model_validator(mode="before")
    @classmethod
    def _with_substance(cls, raw: Any) -> Any:
        """Computes them from what is written: what a file says of itself anybody may have typed."""
        if not isinstance(raw, Mapping):
            return raw
        return {**raw, "runbook_texts": _runbook_texts(raw), "substance": digest(_lasting(raw))}

    @property
    def by_id(self) -> Mapping[str, StepOutline]:
        """Steps by id; the last of those that have the same one."""
        return {step.id: step for step in self.steps}

    @property
    def has_errors(self) -> bool:
        """True when a rule found an error that nobody waived."""
        return any(one.severity == "error" for one in self.findings)

    @property
    def waivers(self) -> Mapping[str, WaivedOutline]:
        """What is waived, by what it is about."""
        return {one.finding.key: one for one in self.waived}

    @property
    def run_s(self) -> float:
        """By when nine of ten runs are over, as `Plan.spare_s` counts; of an old file, half."""
        return self.forecast_s if self.forecast is None else self.forecast.p90_s

    @property
    def takes_s(self) -> float:
        """What that is of the budget, with detection."""
        return self.objectives.budget.takes_s(self.run_s)

    @property
    def spare_s(self) -> float:
        """What is left of the budget; negative: the plan does not fit."""
        return self.objectives.budget.spare_s(self.run_s)

    def reach(self) -> frozenset[str]:
        """Names of the targets that a run would change."""
        return frozenset(
            call.target
            for step in self.steps
            for call in (step.call, *step.verify, step.undo)
            if call is not None and call.target and step.changes_something
        )

    def planes(self) -> frozenset[str] | None:
        """What it cannot work without; ``None`` when nobody looked that up."""
        found = frozenset(plane for step in self.steps for plane in step.planes)
        return found if found or not self.is_offline else None


_PASSING = frozenset(
    {
        *("created_at", "drctl", "sources", "digest", "seal", "loss", "loss_digest"),
        *("findings", "waived", "forecast", "forecast_s", "critical_path"),
        *("runbook_sha256", "environment_sha256"),
    }
)
"""Of a plan: which one it is, what the day and the world make of it, and the texts of its files."""
_PASSING_IN = {
    "steps": frozenset({"at", "prediction"}),
    "pins": frozenset({"found"}),
    "scopes": frozenset({"sha256"}),
}


def _lasting(raw: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in raw.items() if name not in _PASSING}
    for name, passing in _PASSING_IN.items():
        parts = kept.get(name)
        if isinstance(parts, Mapping):
            kept[name] = {key: _but(one, passing) for key, one in parts.items()}
        elif isinstance(parts, list):
            kept[name] = [_but(one, passing) for one in parts]
    return kept


def _but(one: Any, left_out: frozenset[str]) -> Any:
    if not isinstance(one, Mapping):
        return one
    return {name: value for name, value in one.items() if name not in left_out}


def _runbook_texts(raw: Mapping[str, Any]) -> list[str]:
    scopes = raw.get("scopes")
    inner = scopes.values() if isinstance(scopes, Mapping) else ()
    those = (raw.get("runbook_sha256"), *(one.get("sha256") for one in inner if _is_map(one)))
    return [str(one) for one in those]


def _is_map(one: Any) -> bool:
    return isinstance(one, Mapping)


def level_of(steps: Sequence[StepOutline]) -> dict[str, int]:
    """
    Waves by step, from one. Total, whatever is in the file: a need that no step has counts as
    nothing, and steps that wait for each other in a ring have none.
    """
    ids = {step.id for step in steps}
    left = {step.id: {need for need in step.needs if need in ids} for step in steps}
    behind: dict[str, list[str]] = {}
    for name, needs in left.items():
        for need in needs:
            behind.setdefault(need, []).append(name)
    ready, levels, level = [name for name, needs in left.items() if not needs], {}, 1
    while ready:
        later = []
        for name in ready:
            levels[name] = level
            for next_ in behind.get(name, ()):
                left[next_].discard(name)
                if not left[next_]:
                    later.append(next_)
        ready, level = later, level + 1
    return levels


def label(target: Mapping[str, Any] | None) -> str:
    """What a target is, of whatever kind: its kind and the words that name it."""
    if not target:
        return "not said"
    kind = str(target.get("kind", ""))
    names = [str(value) for key, value in target.items() if key != "kind" and _is_name(value)]
    return f"{kind} {'/'.join(names[:4])}".strip()


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value)
