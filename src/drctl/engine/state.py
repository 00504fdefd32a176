"""What is known of a run: one frozen value, made of nothing but its events."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from drctl.engine.events import Event, RunFinished, RunStarted
from drctl.kernel.canonical import JSON
from drctl.kernel.clock import Instant, Length, length_between
from drctl.plan.forecast import Progress
from drctl.plan.model import Plan

Status: TypeAlias = Literal["waiting", "running", "succeeded", "failed", "unknown", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An event with its place in the journal and the instant it was written."""

    seq: int
    at: Instant
    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class StepState:
    """Where one step stands."""

    status: Status = "waiting"
    attempt: int = 0
    """Attempts begun."""
    started: Instant | None = None
    finished: Instant | None = None
    outputs: Mapping[str, JSON] = field(default_factory=dict)
    error: str | None = None
    why: str | None = None
    backoff_s: float | None = None
    """How long after ``finished`` the next attempt may start; ``None``: there is none."""
    has_intent: bool = False
    """An effect of this attempt may have left."""
    forgiven: int = 0
    """Attempts that count no more: their process died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateState:
    """An open or answered gate."""

    opened: Instant
    expires_s: float
    quorum: int
    approved_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """The latest measured bound on lost writes."""

    bound_s: float | None
    safe_until: str | None
    source: str
    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """What a person must look at."""

    kind: Literal["failed", "unknown", "gate", "loss"]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A run so far."""

    steps: Mapping[str, StepState]
    unmet: Mapping[str, int]
    """Needs not yet satisfied, per step."""
    dependents: Mapping[str, tuple[str, ...]]
    """The plan's edges the other way round; never changes."""
    ready: tuple[str, ...]
    """Waiting steps with nothing unmet, in the plan's order of becoming ready."""
    running: frozenset[str] = frozenset()
    gates: Mapping[str, GateState] = field(default_factory=dict)
    started: Instant | None = None
    start: RunStarted | None = None
    latest: Instant | None = None
    open_work: int = 0
    """Steps that recover something and are not settled yet: neither ``finally`` nor messages."""
    open_messages: int = 0
    """Notifying steps outside ``finally`` that are not settled yet."""
    open_final: int = 0
    """Steps of ``finally`` that are not settled yet."""
    work_done: Instant | None = None
    changed: bool = False
    interrupted: str | None = None
    """The signal that asked for an end."""
    interrupted_at: Instant | None = None
    pause: Pause | None = None
    """Why nothing new may start until a person decides; the first reason is kept."""
    stop: str | None = None
    """Why the run ends without reaching its goal."""
    loss: Loss | None = None
    verified_pins: frozenset[tuple[str, str, str]] = frozenset()
    """Name, subject, and the target through which they were asked."""
    restored_s: float | None = None
    finished: RunFinished | None = None

    def elapsed(self, now: Instant) -> Length:
        """
        Length of the incident until *now*; uncertain when the machine was rebooted in between.
        """
        if self.started is None or self.start is None:
            return Length(seconds=0.0, is_certain=True)
        since = length_between(self.started, now)
        return Length(
            seconds=since.seconds + self.start.elapsed_before_s, is_certain=since.is_certain
        )

    def progress(self, now: Instant) -> Progress:
        """How far the run is, in the plan's words."""
        return Progress(
            settled=frozenset(
                name
                for name, step in self.steps.items()
                if step.status not in {"waiting", "running"}
            ),
            running_s={
                name: length_between(started, now).seconds
                for name in self.running
                if (started := self.steps[name].started) is not None
            },
        )

    @property
    def is_blocked(self) -> bool:
        """True when nothing that changes anything may start."""
        return bool(self.interrupted or self.pause or self.stop)


def initial(plan: Plan) -> State:
    """The state before the first event."""
    dependents: dict[str, list[str]] = {step.id: [] for step in plan.steps}
    for step in plan.steps:
        for need in step.needs:
            dependents[need].append(step.id)
    return State(
        steps={step.id: StepState() for step in plan.steps},
        unmet={step.id: len(step.needs) for step in plan.steps},
        dependents={name: tuple(after) for name, after in dependents.items()},
        ready=tuple(step.id for step in plan.steps if not step.needs),
        open_work=sum(not step.is_final and not step.is_message for step in plan.steps),
        open_messages=sum(not step.is_final and step.is_message for step in plan.steps),
        open_final=sum(step.is_final for step in plan.steps),
    )
