"""
What happened, one frozen record each: the whole of what a run leaves behind.

Fields are plain JSON values, so that a journal of this version can be read by the next one. A field
is only ever added, with a default; a meaning is never changed (`tests/replay` holds that).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

from drctl.kernel.canonical import JSON

OutcomeWord: TypeAlias = Literal["succeeded", "failed", "unknown", "skipped"]
Result: TypeAlias = Literal[
    "succeeded", "failed", "paused", "refused", "interrupted", "unknown",
    "cancelled", "undone", "unsafe",
]  # fmt: skip
OrderWord: TypeAlias = Literal["pause", "continue", "cancel", "retry", "skip", "note", "force"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """The first event of every run: who, what, and since when the incident lasts."""

    type: ClassVar[str] = "run_started"
    run_id: str
    plan_digest: str
    runbook: str
    environment: str
    world: str
    operator: str
    host: str
    version: str
    rto_s: float
    rpo_s: float
    elapsed_before_s: float
    """Seconds of the incident that had passed when this event was written."""
    clock_source: str
    """Who says when the incident started: ``flag``, ``witness``, ``declared`` or ``run``."""
    accepted_loss_s: float | None = None
    accepted_reason: str | None = None
    forced_reason: str | None = None
    """Why the promotion need not wait for a proven fence (``--force-ungraceful``)."""
    again_reason: str | None = None
    """Why the cool-down after an earlier failover does not hold (``--again``)."""
    identities: tuple[str, ...] = ()
    """What the run may change, as the lease names it."""
    requesters: tuple[str, ...] = ()
    """Who of the enrolled people asks for what its gates decide."""
    requester_is_claimed: bool = False
    """The operator said so (``--as``); no account of this machine is theirs."""
    plan_seal: str = ""
    """Of the one plan that runs: its digest is that of every plan of the same world."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PinChecked:
    """An identity was asked for, before the first change or an irreversible one."""

    type: ClassVar[str] = "pin_checked"
    step: str
    name: str
    subject: str
    expected: str
    found: str | None
    verdict: Literal["match", "mismatch", "unreachable"]
    target: str = ""
    """Name of the target through which it was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted:
    """An attempt at a step began."""

    type: ClassVar[str] = "step_started"
    step: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectIntended:
    """An adapter is about to be asked for an effect. On disk before the first byte leaves."""

    type: ClassVar[str] = "effect_intended"
    step: str
    attempt: int
    action: str
    effect: str
    key: str
    target: str
    params: Mapping[str, JSON]
    changes: bool
    undoes: bool = False
    """It is the undoing of the step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactsRead:
    """
    What a step with no way back would act on is not as the plan saw it: because the run itself has
    changed that thing, or (then the step stops) somebody else has. From here on this is compared.
    """

    type: ClassVar[str] = "facts_read"
    step: str
    facts: Mapping[str, JSON]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished:
    """An attempt ended with one of the four outcomes."""

    type: ClassVar[str] = "step_finished"
    step: str
    attempt: int
    outcome: OutcomeWord
    outputs: Mapping[str, JSON] = field(default_factory=dict)
    error: str | None = None
    """
    The word of the error (`drctl.actions.errors`), ``timeout``, ``verify``, ``until``,
    ``pin``, ``stale``, ``guard``, ``unresolved``, ``undelivered`` or ``bug``.
    """
    why: str | None = None
    request_id: str | None = None
    retry_after_s: float | None = None
    """How long the other side asked us to wait."""
    remains: bool = False
    """
    It did not happen, and a part of it is there (`drctl.actions.contract.NotDone`), or may be
    (`drctl.actions.contract.CannotTell`, where only repeating it tells).
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class DebtsBooked:
    """What the success of a step leaves behind for people to put right, and what it clears."""

    type: ClassVar[str] = "debts_booked"
    step: str
    target: str
    """The target's label, for the person who reads the list."""
    owes: tuple[Mapping[str, str], ...] = ()
    """``key``, ``what`` and ``remedy`` of each (`drctl.actions.contract.Debt`)."""
    clears: tuple[str, ...] = ()
    """Keys, of whichever run."""
    undoes: bool = False
    """It is the undoing of the step that does so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DebtClosed:
    """A person says that a debt of this run is settled. May follow `RunFinished`."""

    type: ClassVar[str] = "debt_closed"
    key: str
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOpened:
    """A person must say go by then."""

    type: ClassVar[str] = "gate_opened"
    step: str
    gate: str
    title: str
    show: tuple[str, ...]
    approvers: tuple[str, ...]
    quorum: int
    expires_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GateAnswered:
    """A person said go, or no."""

    type: ClassVar[str] = "gate_answered"
    step: str
    answer: Literal["approve", "deny"]
    by: str
    via: str
    reason: str = ""
    person: str = ""
    """Who was proven to say so, by an enrolled key; empty: nobody was."""
    key: str = ""
    """Fingerprint of that key."""
    nonce: str = ""
    """Names the signed statement, which counts once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRefused:
    """Somebody said go or no who may not, or in a way that does not count."""

    type: ClassVar[str] = "answer_refused"
    step: str
    by: str
    via: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderGiven:
    """A person told a run what to do; it took the order."""

    type: ClassVar[str] = "order_given"
    order: OrderWord
    by: str
    via: str
    step: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRefused:
    """An order that cannot be carried out in the state in which the run was."""

    type: ClassVar[str] = "order_refused"
    order: OrderWord
    by: str
    via: str
    why: str
    step: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoRequested:
    """A person wants back what was done, newest first, down to and including *to*."""

    type: ClassVar[str] = "undo_requested"
    by: str
    host: str
    version: str
    reason: str
    to: str = ""
    """Empty: down to the first step."""
    torn_bytes: int = 0
    """As in `RunResumed`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoStarted:
    """An attempt at undoing a step began."""

    type: ClassVar[str] = "undo_started"
    step: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoFinished:
    """How it ended."""

    type: ClassVar[str] = "undo_finished"
    step: str
    attempt: int
    outcome: OutcomeWord
    outputs: Mapping[str, JSON] = field(default_factory=dict)
    error: str | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseHeld:
    """The targets are this run's alone."""

    type: ClassVar[str] = "lease_held"
    store: str
    """Where the lease is kept, as a person would say it."""
    generation: int
    """Grows with every holder: the larger one is the later."""
    identities: tuple[str, ...]
    taken_over: str = ""
    """Why somebody else's, or a dead process's, lease could be taken; empty: it was free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseLost:
    """They are not any more; nothing further is sent."""

    type: ClassVar[str] = "lease_lost"
    why: str
    for_good: bool = True
    """False while it may yet be renewed: its store does not answer, and nobody was seen to take
    it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateExpired:
    """Nobody said anything in time."""

    type: ClassVar[str] = "gate_expired"
    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptRequested:
    """Somebody wants this process to end: nothing new starts, what runs gets a few seconds."""

    type: ClassVar[str] = "interrupt_requested"
    signal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResumed:
    """Another process took up the run."""

    type: ClassVar[str] = "run_resumed"
    operator: str
    host: str
    version: str
    torn_bytes: int = 0
    """Length of an unfinished last line that was cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRestored:
    """The steps that prove service to a customer have succeeded: the incident clock stops here."""

    type: ClassVar[str] = "service_restored"
    rta_s: float
    is_certain: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """
    The process is done with the run. After it only an order, `DebtClosed`, `RunResumed` or
    `UndoRequested` may follow.
    """

    type: ClassVar[str] = "run_finished"
    result: Result
    why: str
    changed: bool
    rta_s: float | None
    """``None``: not measured."""
    rto_s: float
    loss_bound_s: float | None
    safe_until: str | None
    rpo_s: float
    signal: str | None = None
    """Which one interrupted the run, if one did."""
    rta_is_certain: bool = True
    """False: the machine was rebooted or changed, and only wall clocks say how long that took."""


Event: TypeAlias = (
    RunStarted
    | PinChecked
    | StepStarted
    | EffectIntended
    | FactsRead
    | DebtsBooked
    | DebtClosed
    | StepFinished
    | GateOpened
    | GateAnswered
    | GateExpired
    | AnswerRefused
    | OrderGiven
    | OrderRefused
    | UndoRequested
    | UndoStarted
    | UndoFinished
    | LeaseHeld
    | LeaseLost
    | InterruptRequested
    | RunResumed
    | ServiceRestored
    | RunFinished
)

TYPES: dict[str, type[Event]] = {
    kind.type: kind
    for kind in (
        RunStarted,
        PinChecked,
        StepStarted,
        EffectIntended,
        FactsRead,
        DebtsBooked,
        DebtClosed,
        StepFinished,
        GateOpened,
        GateAnswered,
        GateExpired,
        AnswerRefused,
        OrderGiven,
        OrderRefused,
        UndoRequested,
        UndoStarted,
        UndoFinished,
        LeaseHeld,
        LeaseLost,
        InterruptRequested,
        RunResumed,
        ServiceRestored,
        RunFinished,
    )
}
