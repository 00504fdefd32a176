"""A checked runbook as data, in the words of the language page; nothing here knows YAML."""

from datetime import date, timedelta
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StrictBool,
    StrictInt,
    StringConstraints,
)

from drctl.kernel.duration import format_duration, parse_duration
from drctl.kernel.errors import Position
from drctl.kernel.ids import GateId, StepId

NOWHERE = Position(file="", line=1, column=1)
"""The position of a part that was made by a program, not read from a file."""


def read_duration(value: object) -> timedelta:
    """
    Takes a duration as text with units; a bare number is none.

    Raises:
        ValueError: No unit, or not a duration at all; says what to write.
    """
    if isinstance(value, timedelta):
        return value
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        message = 'a duration is text with units, as in "4m30s"'
        raise ValueError(message)  # noqa: TRY004 (pydantic reports ValueErrors, not TypeErrors)
    return parse_duration(str(value))


def _positive(length: timedelta) -> timedelta:
    if length <= timedelta(0):
        message = "this must be a duration longer than 0s"
        raise ValueError(message)
    return length


def write_duration(length: timedelta) -> str:
    """Writes a duration so that `parse_duration` gives exactly the same back, if not negative."""
    if length.microseconds:
        return f"{length / timedelta(seconds=1):.6f}".rstrip("0") + "s"
    return format_duration(length)


Duration: TypeAlias = Annotated[
    timedelta,
    BeforeValidator(read_duration),
    PlainSerializer(write_duration, return_type=str, when_used="json"),
]
"""Text with units in files, `timedelta` in code."""
PositiveDuration: TypeAlias = Annotated[Duration, AfterValidator(_positive)]
Text: TypeAlias = Annotated[str, StringConstraints(min_length=1)]
"""Never empty: empty selects nothing."""
SNAKE_CASE = r"^[a-z][a-z0-9_]*$"
KEBAB_CASE = r"^[a-z0-9]+(-[a-z0-9]+)*$"
NOT_BLANK = r"\S"
RULE = r"^DR6[1-3][0-9]{2}$"
ENV_NAME = r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)+$"
Name: TypeAlias = Annotated[str, StringConstraints(pattern=SNAKE_CASE)]
"""``snake_case``; a hyphen is minus in an expression."""
EnvName: TypeAlias = Annotated[str, StringConstraints(pattern=ENV_NAME)]
"""A target's name in an environment, family first: ``db.primary``."""
Scalar: TypeAlias = str | StrictBool | StrictInt | float


class Part(BaseModel):
    """A piece of a runbook."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Metadata(Part):
    """What the runbook is called and whose it is."""

    name: Annotated[str, StringConstraints(pattern=KEBAB_CASE)]
    """Name of the runbook: lower case, words joined by hyphens."""
    title: Text
    """One line for people."""
    owner: Text
    """Team that keeps it true."""
    scenario: Text | None = None
    """What happened when this is needed: ``region-outage``. ``drctl failover`` looks for it."""
    category: Annotated[StrictInt, Field(ge=1, le=3)] | None = None
    """1 minor (under 5 minutes), 2 major (5 to 30 minutes), 3 critical (over 30 minutes)."""
    links: tuple[Text, ...] = ()
    """Where to read more."""
    compliance: tuple[Text, ...] = ()
    """Controls that a run of this is evidence for."""


class ClockSpec(Part):
    """Where the recovery clock starts, and what proves that service is back."""

    starts_at: Literal["incident", "declared", "run"] = "incident"
    """``incident``: when the outage began; ``declared``: when a person said so; ``run``: when the
    run did."""
    detection: PositiveDuration | None = None
    """From the fault until somebody knows: the alert's ``for:``, with its scrape and evaluation.
    Part of the budget when the clock starts at the incident."""
    stops_after: Annotated[tuple[StepId, ...], Field(min_length=1)]
    """The clock stops when all of these steps have succeeded."""


class Objectives(Part):
    """What the recovery is measured against."""

    rto: PositiveDuration
    """Longest time until customers are served again."""
    rpo: Duration
    """Longest stretch of acknowledged writes that may be lost."""
    clock: ClockSpec
    """Where the clock starts and stops."""


class InputSpec(Part):
    """A typed value that the operator gives."""

    type: Literal["string", "int", "bool", "duration", "double"]
    """Its type."""
    default: Scalar | None = None
    """Taken when the operator gives none; without it the input is required."""
    pattern: Text | None = None
    """Regular expression that the whole text must match."""
    enum: Annotated[tuple[Scalar, ...], Field(min_length=1)] | None = None
    """The values to choose from."""
    minimum: Scalar | None = None
    """Smallest value allowed."""
    maximum: Scalar | None = None
    """Largest value allowed."""
    description: Text | None = None
    """One line for the operator."""


class Gate(Part):
    """A place where a person must say go, within a time."""

    title: Text
    """What is decided."""
    approvers: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Roles or people who may say go."""
    quorum: Annotated[StrictInt, Field(ge=1)] = 1
    """How many different people must."""
    expires_after: PositiveDuration
    """Silence longer than this is a no: it burns the budget."""
    reason_required: StrictBool = False
    """Whether an approver must write why."""
    self_approval: StrictBool = False
    """Whether the person who started the run may answer this gate too. Counts only in an
    environment that enrols people; without, nobody can tell who is who."""


class Retry(Part):
    """Which failures are tried again, and how patiently."""

    attempts: Annotated[StrictInt, Field(ge=1, le=100)]
    """Tries in all, the first included."""
    backoff: PositiveDuration
    """Wait before the second try; it doubles."""
    max_backoff: PositiveDuration | None = None
    """Longest wait between two tries."""
    on_errors: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Words of `drctl.actions.errors`; other failures are not tried again."""


class Call(Part):
    """An action beside a step's own: what verifies it, what undoes it."""

    uses: Text
    """Name of the action."""
    target: Name | None = None
    """Alias from ``targets``."""
    with_: dict[str, Any] = Field(default_factory=dict, alias="with")
    """Params, as written: ``${{ }}`` is still in it."""
    timeout: PositiveDuration | None = None
    """Longest time it may take."""


class Step(Part):
    """One node of a runbook: an action or a gate."""

    id: StepId
    """``snake_case``, unique in the runbook."""
    title: Text | None = None
    """One line for people; without it the id is shown."""
    uses: Text | None = None
    """Name of the action: ``drctl action list``."""
    gate: GateId | None = None
    """Name of a gate, instead of ``uses``."""
    target: Name | None = None
    """What to act on: an alias from ``targets``."""
    with_: dict[str, Any] = Field(default_factory=dict, alias="with")
    """Params of the action, as written: ``${{ }}`` is still in it."""
    needs: tuple[StepId, ...] = ()
    """Steps that must be over before this one starts. Absent: the step above. ``[]``: at once."""
    when: Text | None = None
    """Expression; the step is skipped when it is false."""
    for_each: Any = None
    """Not in this version."""
    max_parallel: Annotated[StrictInt, Field(ge=1)] | None = None
    """Not in this version."""
    estimate: Duration | None = None
    """How long it usually takes; the forecast reads it."""
    timeout: PositiveDuration | None = None
    """Longest time one attempt may take."""
    retry: Retry | None = None
    """Which failures are tried again."""
    until: Text | None = None
    """Expression over the step's own ``outputs``; a reading step is repeated until it is true."""
    every: PositiveDuration | None = None
    """Wait between two readings of ``until``."""
    verify: tuple[Call, ...] = ()
    """Checks after success; one that fails makes the step fail."""
    undo: Call | None = None
    """What takes the step back."""
    on_failure: Literal["pause", "stop", "continue"] = "pause"
    """``pause`` asks a person, ``stop`` ends the run, ``continue`` goes on (reading and notifying
    steps only)."""
    show: tuple[Text, ...] = ()
    """Lines that an approver sees at a gate."""
    links: tuple[Text, ...] = ()
    """Where to read more."""
    compliance: tuple[Text, ...] = ()
    """Controls that this step is evidence for."""
    position: Position = NOWHERE
    """Where it is written; not a key of the file."""

    @property
    def label(self) -> str:
        """What a person would call it."""
        return self.title or self.id


class Waiver(Part):
    """A finding that stands, and is known: for a reason, until a day. ``drctl explain rules``."""

    rule: Annotated[str, StringConstraints(pattern=RULE)]
    """The rule that finds it: ``DR6101``."""
    step: StepId | None = None
    """Only what it finds at this step; without it, wherever it finds something."""
    store: Text | None = None
    """Only what it finds about this store of the environment."""
    reason: Annotated[str, StringConstraints(pattern=NOT_BLANK)]
    """Why it stands, for whoever reads the plan."""
    until: date
    """The last day on which it counts, as ``2027-03-31``; then the finding is back."""
    position: Position = NOWHERE
    """Where it is written; not a key of the file."""


class Runbook(Part):
    """What to do in one scenario."""

    metadata: Metadata
    """What the runbook is called and whose it is."""
    objectives: Objectives
    """What the recovery is measured against."""
    inputs: dict[Name, InputSpec] = Field(default_factory=dict)
    """Values that the operator gives, by name."""
    targets: dict[Name, EnvName] = Field(default_factory=dict)
    """Aliases for targets of the environment: ``standby_db: db.recovery``."""
    gates: dict[GateId, Gate] = Field(default_factory=dict)
    """Places where a person must say go, by name."""
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
    """In reading order; a step without ``needs`` waits for the one above."""
    finally_: tuple[Step, ...] = Field(default=(), alias="finally")
    """Steps that run when the others are over, however they ended."""
    waivers: tuple[Waiver, ...] = ()
    """Findings that are known and stand, each for a reason and until a day."""
    position: Position = NOWHERE
    """The file; not a key of it."""
    places: dict[str, Position] = Field(default_factory=dict, repr=False)
    """Where its other parts are written, as ``gates.go``; not a key of the file."""

    def step(self, step_id: StepId) -> Step:
        """
        The step of that id, ``finally`` included.

        Raises:
            KeyError: There is none.
        """
        for step in (*self.steps, *self.finally_):
            if step.id == step_id:
                return step
        raise KeyError(step_id)
