"""
What a step can be, for all vendors.

An action is asked before it acts (`Action.observe`, `Action.preview`), acts once
(`Action.perform`), and can be asked afterwards whether it did (`Action.settled`). The engine calls
`perform` at exactly one place, after the intent is on disk. An action keeps no state between calls:
everything it may know is in the `Context`, the target and the params.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict

from drctl.actions.planes import Ask
from drctl.actions.targets import Target
from drctl.kernel.canonical import JSON
from drctl.kernel.clock import Clock, Deadline
from drctl.kernel.secret import Secrets

if TYPE_CHECKING:
    from drctl.actions.cell import AnyStore
    from drctl.actions.check import AnyCheck
    from drctl.actions.late import Several
    from drctl.actions.pin import Pin


class Effect(StrEnum):
    """What an action does to the world, mildest first."""

    READ = "read"
    NOTIFY = "notify"
    CHANGE = "change"
    TRAFFIC = "traffic"
    FENCE = "fence"
    PROMOTE = "promote"
    DESTROY = "destroy"

    @property
    def changes_something(self) -> bool:
        """True when a plan must count it as a mutation; telling people is not one."""
        return self not in _HARMLESS

    @property
    def is_irreversible(self) -> bool:
        """True at the point of no return."""
        return self is Effect.PROMOTE or self is Effect.DESTROY


_HARMLESS = frozenset({Effect.READ, Effect.NOTIFY})


class Repeat(StrEnum):
    """What a second call would do."""

    IDEMPOTENT = "idempotent"
    """The same state again."""
    KEYED = "keyed"
    """Nothing, when it carries the same idempotency key."""
    CHECK_THEN_ACT = "check_then_act"
    """Nothing, when `Action.settled` is asked first."""
    IRREVERSIBLE = "irreversible"
    """Harm; ask `Action.settled`, and a person when it cannot tell."""


class Params(BaseModel):
    """The ``with:`` of a step. Subclasses document each field: editors show it."""

    # Built when first used: a runbook uses ten of two hundred, and every command loads all.
    model_config = ConfigDict(
        frozen=True, extra="forbid", ser_json_timedelta="float", defer_build=True
    )


class Outputs(BaseModel):
    """What a step gives to later steps."""

    # Built when first used: a runbook uses ten of two hundred, and every command loads all.
    model_config = ConfigDict(
        frozen=True, extra="forbid", ser_json_timedelta="float", defer_build=True
    )


class NoParams(Params):
    """Takes nothing."""


class NoOutputs(Outputs):
    """Gives nothing."""


class NotPermittedError(Exception):
    """Nothing that changes something may be sent from here, or not any more."""


def _refuse() -> None:
    raise NotPermittedError("only `perform`, called by the choke point, may change something")


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What an action may know besides its target and params."""

    clock: Clock
    deadline: Deadline
    """Every call and wait inside the action ends by then."""
    secrets: Secrets
    resolvers: tuple[str, ...] = ()
    """The environment's nameservers as ``ip:port``; empty: the machine's own."""
    key: str = ""
    """Idempotency key of this effect, the same for every attempt at it; empty outside `perform` and
    `settled`."""
    seen: Mapping[str, JSON] | None = None
    """
    What `Action.observe` gave as facts when the plan was made, or right after this run itself
    changed the target. An action whose other side can compare and set does so against these, so
    that an older plan never overwrites a newer one. ``None``: nobody looked.
    """
    say: Callable[[str], None] = field(default=lambda _text: None)
    """One short line of progress, for the view; not journaled."""
    permit: Callable[[], None] = field(default=_refuse)
    """
    Adapters call it right before each request that changes something leaves; it raises
    `NotPermittedError` when that must not be: while planning and reading back always, during
    `perform` once the run is no longer ours. Let that error through.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The part of the world that an action cares about, just read."""

    facts: Mapping[str, JSON] = field(default_factory=dict)
    """Stable: when one differs between plan and run, the plan is stale. No times, no lags."""
    readings: Mapping[str, JSON] = field(default_factory=dict)
    """Volatile: shown, never compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """`perform` would turn *before* into *after*, each a few words."""

    before: str
    after: str
    creates: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """The world is already as wanted, or the action only looks."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CannotTell:
    """Not known from here and now; *why* names what did not answer."""

    why: str
    again_tells: bool = False
    """
    Of `Action.settled`: `perform` copes without what did not answer, does no harm when it is
    repeated, and proves what comes of it. Waiting tells nothing, so a resumed run repeats it.
    """


Preview: TypeAlias = Change | Nothing | CannotTell

P = TypeVar("P", bound=Params)
O = TypeVar("O", bound=Outputs)  # noqa: E741 (O for outputs, as P for params)
T = TypeVar("T", bound=Target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Generic[O]):
    """It happened; these are the outputs `perform` would have returned."""

    outputs: O


@dataclass(frozen=True, slots=True, kw_only=True)
class NotDone:
    """It did not happen, and will not happen late."""

    why: str
    remains: bool = False
    """
    A part of it is there, as a fence that is shut and not proven. Doing it again finishes it; an
    undo takes it back, as if all of it were there.
    """
    outputs: Mapping[str, JSON] = field(default_factory=dict)
    """What is known of the outputs when a part remains: an undo may need them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Debt:
    """
    What a success leaves behind for people to put right: a fence, a missing standby, an emergency
    load balancer, a paused reconciler.
    """

    key: str
    """What is owed and for what, as ``standby:postgres:7301…``: made of an identity of the target,
    so that another run finds it. A second debt of the same key replaces the first."""
    what: str
    """One line for the person who finds it a week later."""
    remedy: str
    """What clears it, as an imperative: a runbook, a step, or a person's work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """A debt that a success pays, whichever run made it; none of that key is no error."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Restores:
    """What an action that brings data back from a backup makes of it."""

    into: str = ""
    """The param that names what is made; empty: the target itself is what is made."""
    source: str = ""
    """With *into*: the field of the target that is the source's own name."""
    lag_s: float | None = None
    """The newest moment that can be had is usually this old; ``None``: the estate decides."""
    from_snapshot: bool = False
    """What can be had is as old as the newest snapshot."""


class Action(ABC, Generic[T, P, O]):
    """
    One kind of step. Subclass it, set the class variables, give it to the adapter's `Adapter`.

    Class variables are the declaration that validation and planning read, so importing the module
    of an action must not import a vendor's SDK: do that inside the functions that call it.
    """

    name: ClassVar[str]
    """``<adapter>.<noun>.<verb>``"""
    summary: ClassVar[str]
    """One line for ``drctl action list``."""
    effect: ClassVar[Effect]
    repeat: ClassVar[Repeat]
    targets: ClassVar[tuple[type[Target], ...]] = ()
    """Target kinds it accepts; empty: takes no target (``target`` is then a bare `Target`)."""
    params: ClassVar[type[Params]] = NoParams
    outputs: ClassVar[type[Outputs]] = NoOutputs
    asks_person: ClassVar[bool] = False
    """True when a person does it: the engine asks as at a gate, shows the params, and never calls
    `perform` itself."""
    may_be_empty: ClassVar[frozenset[str]] = frozenset()
    """Params that may be an empty list, and then nothing is sent: what is undone had changed
    nothing. All others select something, and empty selects nothing."""
    leaves_mark: ClassVar[bool] = False
    """True when all that it changes is a mark of its own, as a token that expires or the row of a
    tenant that is nobody's: no other run has to keep away from the target meanwhile, so that a look
    at what a failed run left behind is possible."""
    measures_loss: ClassVar[bool] = False
    """True when its outputs are a `drctl.actions.loss.LossBound`."""
    is_prerequisite: ClassVar[bool] = False
    """True when it reads what must be there before anything is lost, as an image or a quota:
    `drctl ready` then performs it now, where a runbook has it before its first change."""
    makes_target: ClassVar[bool] = False
    """True when it makes a thing that is not there before it: a restore, a new replica."""
    proves_one_primary: ClassVar[bool] = False
    """True when its success shows that one primary takes writes and no other one does. A run that
    promotes ends well only after such a step."""
    no_way_back: ClassVar[str] = ""
    """Of what has none: what cannot be had again, as the plan says it to who approves it."""
    looks_blind: ClassVar[bool] = True
    """False: `observe` asks nobody while the params are not known."""
    engages: ClassVar[bool | None] = None
    """Of what leads customers somewhere: whether its success leads them to the recovery side."""
    alternative: ClassVar[str] = ""
    """What does the same through a data plane, for those that need a control plane; empty: nothing
    is known."""
    runs_anything: ClassVar[bool] = False
    """True when its params are a program or a command: what that changes nobody can foresee."""
    asks_service: ClassVar[bool] = False
    """True when it asks the service as its callers do: a step of it can prove that it is back."""
    restores: ClassVar[Restores | None] = None
    """Set by those that bring data back from a backup."""

    def planes(self, target: T) -> tuple[str, ...]:
        """
        The planes it cannot work without, as ``control-plane:us-east-1`` or ``data-plane:us-
        west-2``; the words are in `drctl.actions.planes`.
        """
        return ()

    def asks(self, target: T, params: P | None = None) -> tuple[Ask, ...]:
        """
        Every plane that `perform` and `settled` ask: the `planes`, and those that it can do
        without, each with how. Pure.

        Args:
            params: ``None`` while they are not known.
        """
        return tuple(Ask(plane=plane) for plane in self.planes(target))

    def asks_to_look(self, target: T, params: P | None = None) -> tuple[Ask, ...]:
        """The same for `observe`. Pure."""
        if type(self).observe is Action.observe or (params is None and not self.looks_blind):
            return ()
        return self.asks(target, params)

    def without(self, target: T, params: P | None, lost: tuple[Ask, ...]) -> Mapping[str, Any]:
        """
        What is known of the outputs of a `perform` that copes without what it *lost*. Pure.
        """
        return {}

    async def observe(self, ctx: Context, target: T, params: P | None) -> Observation:
        """
        Reads what `preview` needs. Changes nothing.

        Args:
            params: ``None`` when they hold a value that is only known during the run.

        Raises:
            ActionError: It could not be read.
        """
        return Observation()

    def preview(self, observation: Observation, target: T, params: P | None) -> Preview:
        """Predicts `perform` from what was observed. Pure."""
        if self.effect is Effect.READ:
            return Nothing(why="reads only")
        return CannotTell(why="this action does not preview")

    def debts(self, target: T, params: P, outputs: O) -> tuple[Debt | Cleared, ...]:
        """
        What a success with these outputs leaves behind or clears. Pure. An undo of the step clears
        what the step left, without saying so.
        """
        return ()

    @abstractmethod
    async def perform(self, ctx: Context, target: T, params: P) -> O:
        """
        Does it, waits until it is observed, and returns. Called once for each journaled intent.

        Raises:
            ActionError: See `drctl.actions.errors`.
        """

    async def settled(self, ctx: Context, target: T, params: P) -> Done[O] | NotDone | CannotTell:
        """
        Reads back whether an earlier `perform` with this key happened. Changes nothing.

        The default is right for actions that only read: doing it again is harmless.
        """
        if self.effect is Effect.READ:
            return NotDone(why="only a read")
        return CannotTell(why="this action cannot read back its effect")


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """
    What an entry point of the group ``drctl.actions`` names: one outside system.

    Each of its parts is a tuple of instances; or, where they are many, a `drctl.actions.late.Late`
    that knows their names and imports one when it is asked for.
    """

    name: str
    actions: "Several[Action[Any, Any, Any]]"
    pins: "Several[Pin]" = ()
    stores: "Several[AnyStore]" = ()
    """Where leases may be kept (`drctl.actions.cell`)."""
    checks: "Several[AnyCheck]" = ()
    """What its actions need to be there (`drctl.actions.check`)."""
    libraries: tuple[str, ...] = ()
    """Heavy modules that its actions import when they are called. Whoever is about to call several
    imports them first, so that importing is not paid out of a call's deadline."""
