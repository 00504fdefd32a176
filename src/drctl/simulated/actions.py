"""Actions with the declaration of real ones and the behaviour of a world."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drctl.actions import errors as words
from drctl.actions.contract import (
    Action,
    Adapter,
    CannotTell,
    Change,
    Cleared,
    Context,
    Debt,
    Done,
    Effect,
    NotDone,
    Nothing,
    Observation,
    Outputs,
    Params,
    Preview,
    Repeat,
)
from drctl.actions.planes import Ask
from drctl.actions.registry import AnyAction, Registry
from drctl.actions.targets import Target
from drctl.kernel.duration import parse_duration
from drctl.kernel.text import did_you_mean
from drctl.simulated.ledger import Ledger
from drctl.simulated.models import Behaviour, Fault, World

FOREVER_S = 10.0 * 24 * 3600
SLOW = 8
"""How many times longer a slow call takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One request on its way."""

    fault: Fault | None
    takes_s: float
    sent_s: float


class _Simulated(Action[Target, Params, Outputs]):
    """An action of the estate."""

    def __init__(self, real: AnyAction, world: World, ledger: Ledger) -> None:
        # Instance attributes hide the class variables: each object is one kind of action.
        for name in ("name", "summary", "effect", "repeat", "targets", "params", "outputs"):
            setattr(self, name, getattr(real, name))
        self.asks_person = real.asks_person  # type: ignore[misc]  # as above
        self.no_way_back = real.no_way_back  # type: ignore[misc]  # as above
        self.alternative = real.alternative  # type: ignore[misc]  # as above
        self.engages = real.engages  # type: ignore[misc]  # as above
        self.measures_loss = real.measures_loss  # type: ignore[misc]  # as above
        self.leaves_mark = real.leaves_mark  # type: ignore[misc]  # as above
        self.may_be_empty = real.may_be_empty  # type: ignore[misc]  # as above
        self.proves_one_primary = real.proves_one_primary  # type: ignore[misc]  # as above
        self._real, self._world, self._ledger = real, world, ledger
        self._behaviour = world.actions.get(real.name, Behaviour())
        self._takes_s = parse_duration(self._behaviour.takes).total_seconds()

    def planes(self, target: Target) -> tuple[str, ...]:
        return self._real.planes(target)

    def asks(self, target: Target, params: Params | None = None) -> tuple[Ask, ...]:
        return self._real.asks(target, params)

    def asks_to_look(self, target: Target, params: Params | None = None) -> tuple[Ask, ...]:
        return self._real.asks_to_look(target, params)

    def without(
        self, target: Target, params: Params | None, lost: tuple[Ask, ...]
    ) -> Mapping[str, Any]:
        return self._real.without(target, params, lost)

    async def observe(self, ctx: Context, target: Target, params: Params | None) -> Observation:
        now = self._ledger.state.get((target.label, self._facet), self._behaviour.before)
        return Observation(facts={"state": now})

    def preview(self, observation: Observation, target: Target, params: Params | None) -> Preview:
        if self.effect in {Effect.READ, Effect.NOTIFY}:
            return Nothing(why="reads only" if self.effect is Effect.READ else "tells people")
        before, after = str(observation.facts["state"]), self._behaviour.after
        if params is not None and before == self._value(params):
            return Nothing(why=f"already {after}")
        return Change(before=before, after=after)

    def debts(self, target: Target, params: Params, outputs: Outputs) -> tuple[Debt | Cleared, ...]:
        return self._real.debts(target, params, outputs)

    async def perform(self, ctx: Context, target: Target, params: Params) -> Outputs:
        call = self._ledger.calls[self.name] = self._ledger.calls.get(self.name, 0) + 1
        cut = self._cut(ctx, target)
        if cut == "refused":
            message = "simulated: nobody listens there"
            raise words.Unavailable(message)
        if self.effect is not Effect.READ:
            ctx.permit()
        if cut == "nothing":
            await ctx.clock.sleep(FOREVER_S)
        fault = self._fault(call)
        takes_s = self._takes_s * (SLOW if fault and fault.error == "slow" else 1)
        sent = _Call(fault=fault, takes_s=takes_s, sent_s=ctx.clock.now().boot_s)
        work = self._carry_out(ctx, target, params, sent)
        request = self._ledger.carry_out(self.name, ctx.key, work)
        await self._answer(ctx, target, sent)
        if fault is None or fault.applied or fault.error in {"slow", "duplicate"}:
            await asyncio.shield(request)
        return self._outputs(params)

    async def _carry_out(self, ctx: Context, target: Target, params: Params, sent: _Call) -> None:
        """The other side's work: it neither knows nor cares whether somebody waits."""
        await ctx.clock.sleep(sent.takes_s)
        fault = sent.fault
        if fault is not None:
            if not fault.applied and fault.error not in {"slow", "duplicate"}:
                return
            await ctx.clock.sleep(fault.late_s)
        self._apply(ctx, target, params, sent)
        if fault is not None and fault.error == "duplicate":
            self._apply(ctx, target, params, sent, is_copy=True)

    def _apply(
        self, ctx: Context, target: Target, params: Params, sent: _Call, *, is_copy: bool = False
    ) -> None:
        if self.effect is Effect.READ:
            return
        # A side that knows the key does it once. One that does not refuses the copy of a packet,
        # since it is what it should be already; what was *asked* twice it does twice.
        if is_copy or (self.repeat is Repeat.KEYED and self._ledger.has(self.name, ctx.key)):
            return
        has_state = self.effect.changes_something
        self._ledger.apply(
            ctx.clock.now(),
            self.name,
            ctx.key,
            target=target.label,
            request=params.model_dump(mode="json"),
            facet=self._facet if has_state else "",
            value=self._value(params) if has_state else "",
            sent_s=round(sent.sent_s, 6),
        )

    async def _answer(self, ctx: Context, target: Target, sent: _Call) -> None:
        """Waits for what this call hears, and raises what it hears when that is no success."""
        await ctx.clock.sleep(sent.takes_s)
        if self._cut(ctx, target) is not None:
            # What was under way is carried out, and nobody is told.
            await ctx.clock.sleep(FOREVER_S)
        match sent.fault.error if sent.fault else None:
            case None | "slow" | "duplicate":
                return
            case "hang":
                await ctx.clock.sleep(FOREVER_S)
            case "bug":
                message = "an adapter's bug"
                raise ZeroDivisionError(message)
            case "wrong_object":
                message = "the answer is about something else"
                raise LookupError(message)
            case word:
                raise words.WORDS[word](f"simulated: {word}")

    async def settled(
        self, ctx: Context, target: Target, params: Params
    ) -> "Done[Outputs] | NotDone | CannotTell":
        if self._behaviour.settled == "cannot_tell":
            return CannotTell(why="simulated: both readings differ")
        if self._cut(ctx, target) is not None:
            return CannotTell(why="simulated: nobody answers there")
        if self._ledger.has(self.name, ctx.key):
            return Done(outputs=self._outputs(params))
        if self._ledger.is_under_way(self.name, ctx.key):
            return CannotTell(why="simulated: it is being changed")
        return NotDone(why="simulated: nothing happened")

    @property
    def _facet(self) -> str:
        return self._behaviour.facet or self.name

    def _value(self, params: Params) -> str:
        names = self._behaviour.value_from
        given = params.model_dump(mode="json") if names else {}
        return ", ".join(f"{name} {given.get(name)}" for name in names) or self._behaviour.after

    def _cut(self, ctx: Context, target: Target) -> str | None:
        """How this action's planes fail to answer now; ``None`` when they do."""
        now_s = asyncio.get_running_loop().time() if self._world.cuts else 0.0
        for cut in self._world.cuts:
            at_s = parse_duration(cut.at).total_seconds()
            is_now = at_s <= now_s < at_s + parse_duration(cut.lasts).total_seconds()
            if is_now and any(plane.endswith(cut.plane) for plane in self._real.planes(target)):
                return cut.says
        return None

    def _fault(self, call: int) -> Fault | None:
        for fault in self._behaviour.faults:
            if fault.hits(call):
                return fault
        for number, chance in enumerate(self._world.chances):
            if self.name not in chance.actions and (chance.actions or self.effect is Effect.READ):
                continue
            text = f"{self._world.seed}/{number}/{self.name}/{call}"
            draw = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / 2**32
            if draw < chance.share:
                return Fault(
                    call=call, error=chance.error, applied=chance.applied, late_s=chance.late_s
                )
        return None

    def _outputs(self, params: Params) -> Outputs:
        outputs: Outputs = self.outputs.model_validate(self._behaviour.gives(params))
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
    actions = [_Simulated(action, world, ledger) for action in real]
    return Registry([Adapter(name="simulated", actions=tuple(actions))])
