"""A model estate, described in a file: what each action takes, gives, and does wrong."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from drctl.actions import errors as words
from drctl.actions.contract import (
    Action,
    Adapter,
    CannotTell,
    Change,
    Context,
    Done,
    Effect,
    NotDone,
    Nothing,
    Observation,
    Outputs,
    Params,
    Preview,
)
from drctl.actions.registry import AnyAction, Registry
from drctl.actions.targets import Part, Target
from drctl.kernel.clock import Instant
from drctl.kernel.duration import parse_duration
from drctl.kernel.text import did_you_mean


class Fault(Part):
    """One call that does not end well."""

    call: int = Field(default=1, ge=1)
    """Which call of the action, counted from one."""
    error: Literal[
        "throttled", "unavailable", "auth_rejected", "not_found", "conflict", "rejected",
        "outcome_unknown", "hang", "bug",
    ]  # fmt: skip
    applied: bool = False
    """Whether the effect happened all the same."""


class Behaviour(Part):
    """How one action behaves in this world."""

    takes: str = "1s"
    outputs: dict[str, Any] = Field(default_factory=dict)
    before: str = "as it was"
    after: str = "as wanted"
    faults: tuple[Fault, ...] = ()
    settled: Literal["truth", "cannot_tell"] = "truth"
    """Whether a read-back says what happened, or cannot."""


class SayAt(Part):
    """What a person does, and when after the start."""

    at: str
    gate: str
    answer: Literal["approve", "deny"] = "approve"
    by: str = "alice"
    reason: str = ""


class World(Part):
    """The estate and the people."""

    actions: dict[str, Behaviour] = Field(default_factory=dict)
    says: tuple[SayAt, ...] = ()
    interrupt_at: str | None = None
    started_ago: str = "0s"
    """How long the incident had lasted when the run began."""
    accepted_loss: str | None = None


class Ledger:
    """Every effect that was applied, in order: the truth that tests compare the record with."""

    def __init__(self) -> None:
        self.applied: list[tuple[str, str]] = []
        """Action name and idempotency key."""
        self.calls: dict[str, int] = {}


class _Simulated(Action[Target, Params, Outputs]):
    """An action with the declaration of a real one and the behaviour of the world."""

    def __init__(self, real: AnyAction, behaviour: Behaviour, ledger: Ledger) -> None:
        # Instance attributes hide the class variables: each object is one kind of action.
        for name in ("name", "summary", "effect", "repeat", "targets", "params", "outputs"):
            setattr(self, name, getattr(real, name))
        self.asks_person = real.asks_person  # type: ignore[misc]  # as above
        self.measures_loss = real.measures_loss  # type: ignore[misc]  # as above
        self.proves_one_primary = real.proves_one_primary  # type: ignore[misc]  # as above
        self._real, self._behaviour, self._ledger = real, behaviour, ledger

    def planes(self, target: Target) -> tuple[str, ...]:
        return self._real.planes(target)

    async def observe(self, ctx: Context, target: Target, params: Params | None) -> Observation:
        return Observation(facts={"state": self._behaviour.before})

    def preview(self, observation: Observation, target: Target, params: Params | None) -> Preview:
        if self.effect in {Effect.READ, Effect.NOTIFY}:
            return Nothing(why="reads only" if self.effect is Effect.READ else "tells people")
        return Change(before=self._behaviour.before, after=self._behaviour.after)

    async def perform(self, ctx: Context, target: Target, params: Params) -> Outputs:
        call = self._ledger.calls[self.name] = self._ledger.calls.get(self.name, 0) + 1
        await ctx.clock.sleep(parse_duration(self._behaviour.takes).total_seconds())
        fault = next((fault for fault in self._behaviour.faults if fault.call == call), None)
        if fault is None or fault.applied:
            self._apply(ctx)
        if fault is not None:
            await self._fail(fault, ctx)
        return self._outputs()

    def _apply(self, ctx: Context) -> None:
        if self.effect is not Effect.READ:
            ctx.permit()
            self._ledger.applied.append((self.name, ctx.key))

    async def _fail(self, fault: Fault, ctx: Context) -> None:
        if fault.error == "hang":
            await ctx.clock.sleep(10 * 24 * 3600)
        if fault.error == "bug":
            message = "an adapter's bug"
            raise ZeroDivisionError(message)
        raise words.WORDS[fault.error](f"simulated: {fault.error}")

    async def settled(
        self, ctx: Context, target: Target, params: Params
    ) -> "Done[Outputs] | NotDone | CannotTell":
        if self._behaviour.settled == "cannot_tell":
            return CannotTell(why="simulated: both readings differ")
        if (self.name, ctx.key) in self._ledger.applied:
            return Done(outputs=self._outputs())
        return NotDone(why="simulated: nothing happened")

    def _outputs(self) -> Outputs:
        outputs: Outputs = self.outputs.model_validate(self._behaviour.outputs)
        return outputs


def registry_of(world: World, real: Registry, ledger: Ledger) -> Registry:
    """
    The installed actions, all of them simulated.

    Raises:
        ValueError: The world describes an action that is not installed.
    """
    for name in world.actions:
        if real.get(name) is None:
            message = f"no action is called {name}{did_you_mean(name, real.names)}"
            raise ValueError(message)
    actions = [
        _Simulated(action, world.actions.get(action.name, Behaviour()), ledger) for action in real
    ]
    return Registry([Adapter(name="simulated", actions=tuple(actions))])


class People:
    """An inbox that fills at given moments of virtual time."""

    def __init__(self, says: Sequence[SayAt]) -> None:
        self._left = sorted(says, key=lambda said: parse_duration(said.at))

    def due(self, now: Instant) -> list[SayAt]:
        """Takes out what has been said by *now*."""
        due = [s for s in self._left if parse_duration(s.at).total_seconds() <= now.boot_s]
        self._left = [s for s in self._left if s not in due]
        return due
