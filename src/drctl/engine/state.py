"""What is known of a run: one frozen value, made of nothing but its events."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, TypeAlias

from drctl.engine.events import Event, RunFinished, RunStarted
from drctl.kernel.canonical import JSON
from drctl.kernel.clock import Instant, Length, length_between
from drctl.plan.forecast import Progress
from drctl.plan.model import Plan

Status: TypeAlias = Literal[
    "waiting", "running", "succeeded", "failed", "unknown", "skipped", "undone"
]
UndoStatus: TypeAlias = Literal["waiting", "running", "done", "failed", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An event with its place in the journal and the instant it was written."""

    seq: int
    at: Instant
    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoState:
    """How far the undoing of one step is."""

    status: UndoStatus = "running"
    attempt: int = 1
    error: str | None = None
    why: str | None = None
    has_intent: bool = False
    """A request of this attempt may have left."""


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
    intended: Instant | None = None
    """When the latest request may have left, of the step or of its undo."""
    was_intended: bool = False
    """An effect of this or an earlier attempt may have left."""
    facts: Mapping[str, JSON] | None = None
    """What its action saw after the plan was made; ``None``: the plan's own look still counts."""
    may_have_happened: bool = False
    """Its effect is there, or may be: it succeeded, is unknown, or failed only afterwards."""
    remains: bool = False
    """An undo has looked: it did not happen, and a part of it is there."""
    is_settled: bool = False
    """It is counted: what needed it goes on, and it will not run again."""
    forgiven: int = 0
    """Attempts that count no more: their process died, or a person said to try again."""
    seq: int = 0
    """Place in the record of its end: the order in which steps are undone, backwards."""
    undo: UndoState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateState:
    """An open or answered gate."""

    opened: Instant
    expires_s: float
    quorum: int
    approved_by: tuple[str, ...] = ()
    show: tuple[str, ...] = ()
    """The lines that approvers were shown."""


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

    kind: Literal["failed", "unknown", "gate", "loss", "lease"]
    why: str
    step: str = ""
    """Which step it is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a person wanted of the run, and why."""

    by: str
    reason: str
    step: str = ""
    """Empty: the whole run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoWish:
    """Back to where *to* had not run yet; empty: to the start."""

    by: str
    reason: str
    to: str
    failed_of: str
    """Why the run had ended before, which an undo that fails must not hide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """Something that the run has left behind for people to put right."""

    step: str
    target: str
    what: str
    remedy: str
    since: datetime
    by_undo: bool = False
    """The undoing of the step left it, so that undoing does not clear it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """
    Where one boot of one machine comes into a run: from here on its boot clock counts.

    A run that comes back to a boot it has been in is measured by that boot's clock again, whatever
    the wall clocks in between said.
    """

    at: Instant
    passed_s: float
    """Seconds of the incident that had passed by then."""
    is_certain: bool
    """False: only the wall clocks of two boots say so."""


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
    anchors: tuple[Anchor, ...] = ()
    """One per boot, in the order in which they came into the run."""
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
    lapsed: str | None = None
    """Why the lease is not held for now; nothing new starts until it is, or is lost for good."""
    held: Said | None = None
    """Who said to start nothing new for a while; the process stays and listens."""
    cancelled: Said | None = None
    """Who gave the run up."""
    skips: Mapping[str, Said] = field(default_factory=dict)
    """Steps that are to be passed over when it is their turn."""
    forced: tuple[Said, ...] = ()
    """Who said to go on without a proven fence, and for which step."""
    given_up: frozenset[str] = frozenset()
    """Looks that were waiting when the run was forced, and are not waited for any more."""
    anew: frozenset[str] = frozenset()
    """Measurements that are taken, and gates that are asked, once more: nothing behind them starts
    before, also not what they do not hold up themselves."""
    undo: UndoWish | None = None
    """What was done is being taken back; nothing goes forward any more."""
    stop: str | None = None
    """Why the run ends without reaching its goal."""
    loss: Loss | None = None
    verified_pins: frozenset[tuple[str, str, str]] = frozenset()
    """Name, subject, and the target through which they were asked."""
    nonces: frozenset[str] = frozenset()
    """Of the signed answers that were taken."""
    refused_answers: int = 0
    denied: bool = False
    """A person said no at a gate, which is final for this plan."""
    latest_wall: datetime | None = None
    """The highest wall time on record, which a clock that is set back does not lower."""
    debts: Mapping[str, Owed] = field(default_factory=dict)
    """What it owes, by key; another run may have paid it since."""
    restored_s: float | None = None
    restored_is_certain: bool = True
    finished: RunFinished | None = None

    def elapsed(self, now: Instant) -> Length:
        """
        Length of the incident until *now*; uncertain when the machine was rebooted in between.

        Never less than what the boots before had measured: only the gap between two boots is taken
        from wall clocks, and one that goes backwards makes it nothing.
        """
        for anchor in self.anchors:
            if anchor.at.boot_id == now.boot_id:
                since_s = length_between(anchor.at, now).seconds
                return Length(seconds=anchor.passed_s + since_s, is_certain=anchor.is_certain)
        if self.latest is None or not self.anchors:
            return Length(seconds=0.0, is_certain=True)
        gap_s = length_between(self.latest, now).seconds
        return Length(seconds=self.elapsed(self.latest).seconds + gap_s, is_certain=False)

    def seen_at(self, at: Instant) -> "State":
        """The same state once an event was written at *at*."""
        wall = at.wall if self.latest_wall is None else max(self.latest_wall, at.wall)
        seen = replace(self, latest=at, latest_wall=wall)
        is_known = any(anchor.at.boot_id == at.boot_id for anchor in self.anchors)
        if is_known or not self.anchors:
            return seen
        anchor = Anchor(at=at, passed_s=self.elapsed(at).seconds, is_certain=False)
        return replace(seen, anchors=(*self.anchors, anchor))

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
        return bool(
            self.interrupted
            or self.pause
            or self.stop
            or self.lapsed
            or self.held
            or self.cancelled
            or self.undo
        )

    @property
    def is_turned_round(self) -> bool:
        """True once anything was undone, or tried to be: from there the run never goes forward."""
        return self.undo is not None and any(step.undo for step in self.steps.values())

    def forced_for(self, step: str) -> Said | None:
        """Who said that *step* need not wait for a proven fence, if anybody did."""
        return next((said for said in self.forced if said.step in {"", step}), None)


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
