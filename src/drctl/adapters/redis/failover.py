"""
Moves the primary of a group of sentinels, and proves that it moved.

Problem: sentinels fail over by themselves, and mostly have when somebody looks; a second failover
on top of the first is an outage of its own. And ``SENTINEL FAILOVER`` answers OK when it *begins*:
it may be given up for want of a replica, or be half done when its sentinel dies. Invariant: at most
one request is under way, it is only sent while no failover is, and the action succeeds only on what
it has seen itself: more than half of all sentinels name the same server, that server says it is the
primary and took a write, and the old one says it is a replica or does not answer.

Not promised: that a primary behind a partition takes no writes. It is demoted when it is reached
again, and what it took meanwhile is lost; ``min-replicas-to-write`` on the servers bounds that. A
cache holds nothing that cannot be made again; this is not for data that has no other home.
"""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from pydantic import StringConstraints

from drctl.actions.contract import (
    Action,
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
from drctl.actions.errors import ActionError, Conflict, OutcomeUnknown, Unavailable
from drctl.actions.planes import ELSEWHERE, Ask, data
from drctl.actions.targets import RedisSentinels, Target
from drctl.adapters.redis import proof
from drctl.adapters.redis.group import Opinions, Role, node, opinions, role_at, roles, silence
from drctl.adapters.redis.link import code_of, connect

_EVERY_S = 0.2
_SPARE_S = 0.5
"""Kept of the deadline for saying what is wrong."""
_GIVEN_UP_S = 3.0
"""A failover that was accepted shows in the sentinels' flags at once; when for so long it does not,
it was given up."""
_THEIRS_S = 4.0
"""A primary that most sentinels call down is theirs to replace for so long: they vote within two
seconds, and a request that met their vote would be a second failover on top of the first."""


class FailoverParams(Params):
    """Why it moves."""

    planned: bool = False
    """
    True to move it although the primary works. Otherwise it moves only when the primary takes no
    writes and more than half of the sentinels do not reach it either; a primary that works is left
    alone, because then they have failed over already, or nothing was wrong.
    """
    from_primary: Annotated[str, StringConstraints(pattern=r"^[^\s:]+:[0-9]+$")] | None = None
    """Who was the primary, as ``host:port``; absent: who it was when the plan was made."""


class FailoverOutputs(Outputs):
    """The new primary, and what became of the old one."""

    primary: str
    """``host:port``"""
    endpoint: str
    """The host."""
    port: int
    previous: str
    """Who was the primary when the plan was made; empty when nobody looked."""
    changed: bool
    """False when it was so already."""
    agree: int
    """How many sentinels name it."""
    epoch: int
    """Of their configuration."""
    old_primary: str
    """``replica``, ``unreachable``, or ``same``: it had not moved."""
    replicas: list[str]
    """That are connected to it."""
    missing: list[str]
    """Data nodes that are neither: they do not serve, and are owed."""


class _GaveUp(Conflict):
    """They accepted, and none is at it any more, and the primary is who it was."""


@dataclass(slots=True, kw_only=True)
class _Sent:
    """What became of the request for a failover."""

    accepted_s: float | None = None
    """When a sentinel said OK, or may have."""
    is_certain: bool = True
    """False: the request left, and nothing was answered."""
    seen_running_s: float = 0.0
    down_since_s: float | None = None
    """Since when most of them call it down, and none is at it."""
    why: str = "nothing was asked for yet"


class SentinelFailover(Action[RedisSentinels, FailoverParams, FailoverOutputs]):
    """Makes the sentinels fail over, or recognises that they have."""

    name: ClassVar[str] = "redis.sentinel.failover"
    summary: ClassVar[str] = "Fails a cache over by its sentinels, and proves the new primary"
    effect: ClassVar[Effect] = Effect.TRAFFIC
    repeat: ClassVar[Repeat] = Repeat.CHECK_THEN_ACT
    targets: ClassVar[tuple[type[Target], ...]] = (RedisSentinels,)
    params: ClassVar[type[Params]] = FailoverParams
    outputs: ClassVar[type[Outputs]] = FailoverOutputs

    def planes(self, target: RedisSentinels) -> tuple[str, ...]:
        return (f"data-plane:{target.region}",)

    def asks(self, target: RedisSentinels, params: FailoverParams | None = None) -> tuple[Ask, ...]:
        """Sentinels may be anywhere: no target says where each is."""
        return (data(target.region, "the data nodes"), Ask(plane=ELSEWHERE, service="sentinels"))

    def asks_to_look(
        self, target: RedisSentinels, params: FailoverParams | None = None
    ) -> tuple[Ask, ...]:
        how = "the look shows what those sentinels say that answer"
        return tuple(replace(ask, copes=how) for ask in self.asks(target, params))

    async def observe(
        self, ctx: Context, target: RedisSentinels, params: FailoverParams | None
    ) -> Observation:
        said = await opinions(ctx, target)
        state = "the sentinels do not agree"
        if said.primary:
            role = await role_at(ctx, target, node(target, said.primary))
            state = "does not answer" if isinstance(role, ActionError) else role.name
        return Observation(
            facts={"primary": said.primary},
            readings={"state": state, "is_down": said.is_down, "said": str(said)},
        )

    def preview(
        self, observation: Observation, target: RedisSentinels, params: FailoverParams | None
    ) -> Preview:
        primary, state = observation.facts["primary"], observation.readings["state"]
        if not primary:
            return CannotTell(why=f"{state}: {observation.readings['said']}")
        if params is not None and not params.planned and state == "master":
            return Nothing(why=f"{primary} is the primary and answers")
        return Change(before=f"primary {primary} ({state})", after="another node is the primary")

    def debts(
        self, target: RedisSentinels, params: FailoverParams, outputs: FailoverOutputs
    ) -> tuple[Debt | Cleared, ...]:
        return tuple(
            Debt(
                key=f"standby:redis:{one.text}",
                what=f"{target.group} runs without {one.text}",
                remedy=f"bring {one.text} back; the sentinels make it a replica",
            )
            if one.text in outputs.missing
            else Cleared(key=f"standby:redis:{one.text}")
            for one in target.nodes
        )

    async def perform(
        self, ctx: Context, target: RedisSentinels, params: FailoverParams
    ) -> FailoverOutputs:
        """
        Fails over and waits until it is proven, as the module says.

        Safe to repeat: a failover that happened is recognised. It cannot be cancelled; on cancel we
        stop waiting and it goes on.

        Raises:
            Conflict: The sentinels reach the primary and we do not; they have no replica that is
                fit to take over (``NOGOODSLAVE``, asked again until the deadline); they gave up; or
                they name a server that is none of the group's. Nothing was moved.
            Unavailable: The sentinels did not agree until the deadline. Nothing was sent.
            OutcomeUnknown: They accepted, and it was not proven until the deadline.

        Changes:
            Which server is the primary, and two keys on it, which expire after an hour.
        """
        previous = params.from_primary or _seen(ctx)
        sent = _Sent()
        while True:
            try:
                said = await opinions(ctx, target)
                if params.planned and not previous and said.primary:
                    previous = await _noted(ctx, target, said.primary)
                previous = previous or said.primary
                done = await self._look(ctx, target, params, said, previous, sent)
            except ActionError as error:
                # Once it was asked for, nothing that fails afterwards says that it did not happen.
                if sent.accepted_s is None or isinstance(error, _GaveUp):
                    raise
                sent.why, done = str(error), None
            if done is not None:
                return done
            if ctx.deadline.left_s(ctx.clock) < _SPARE_S + _EVERY_S:
                raise _late(target, sent)
            await ctx.clock.sleep(_EVERY_S)

    async def _look(
        self,
        ctx: Context,
        target: RedisSentinels,
        params: FailoverParams,
        said: Opinions,
        previous: str,
        sent: _Sent,
    ) -> FailoverOutputs | None:
        """One round: proven, or asked for, or waited for."""
        has_moved = said.primary != previous
        if not said.primary:
            sent.why = f"they do not agree: {said}"
            return None
        at = node(target, said.primary)
        if has_moved or not params.planned:
            try:
                await proof.write(ctx, target, at)
            except ActionError as error:
                sent.why = f"{said.primary} is not proven: {error}"
            else:
                found = await _outputs(ctx, target, said, previous, sent)
                if isinstance(found, FailoverOutputs):
                    return found
                sent.why = found
                return None
        if not has_moved:
            await _ask(ctx, target, params, said, sent)
        return None

    async def settled(
        self, ctx: Context, target: RedisSentinels, params: FailoverParams
    ) -> Done[FailoverOutputs] | NotDone | CannotTell:
        previous = params.from_primary or _seen(ctx)
        try:
            said = await opinions(ctx, target)
            if not said.primary or (said.in_progress and said.primary == previous):
                return CannotTell(why=f"a failover may be under way: {said}")
            if params.planned and not previous:
                previous = await _note(ctx, target, said.primary) or ""
            if params.planned and not previous:
                return CannotTell(why="nobody noted who was the primary before")
            now = await role_at(ctx, target, node(target, said.primary))
            if isinstance(now, ActionError) or said.primary == previous:
                return NotDone(why=f"{said.primary} is still named as the primary")
            sent = _Sent(accepted_s=0.0)
            found = await _outputs(ctx, target, said, previous, sent)
        except ActionError as error:
            return CannotTell(why=str(error))
        return CannotTell(why=found) if isinstance(found, str) else Done(outputs=found)


def _seen(ctx: Context) -> str:
    return str((ctx.seen or {}).get("primary") or "")


async def _note(ctx: Context, target: RedisSentinels, primary: str) -> str | None:
    """Who was the primary when this very effect began, if that was noted."""
    async with connect(ctx, node(target, primary), target.access, db=target.db) as link:
        found = await link.ask("GET", f"drctl:failover:{ctx.key}")
    return str(found) if found is not None else None


async def _noted(ctx: Context, target: RedisSentinels, primary: str) -> str:
    """
    Notes who is the primary, in the cache itself, once for each effect: a second attempt that knows
    nothing of the first would otherwise move it back.
    """
    async with connect(ctx, node(target, primary), target.access, db=target.db) as link:
        await link.change("SET", f"drctl:failover:{ctx.key}", primary, "EX", 3600, "NX")
        await link.ask("WAIT", 1, 200)  # so that the next primary has it too
    return await _note(ctx, target, primary) or primary


async def _ask(
    ctx: Context, target: RedisSentinels, params: FailoverParams, said: Opinions, sent: _Sent
) -> None:
    """Asks a sentinel to fail over, unless one is at it, was asked, or must not be asked."""
    now_s = ctx.clock.now().boot_s
    if said.in_progress:
        sent.seen_running_s, sent.down_since_s = now_s, None
        sent.why = "a failover is in progress"
        return
    if sent.accepted_s is not None:
        if sent.is_certain and now_s - max(sent.accepted_s, sent.seen_running_s) > _GIVEN_UP_S:
            raise _GaveUp(f"the sentinels of {target.group} gave the failover up; nothing moved")
        return
    if not params.planned and not said.is_down:
        sent.why = f"{sent.why}; but the sentinels reach it: only this place does not"
        return
    sent.down_since_s = sent.down_since_s or now_s
    if not params.planned and now_s - sent.down_since_s < _THEIRS_S:
        sent.why = "the sentinels call it down, and may be about to vote"
        return
    at = said.heard[0].sentinel
    try:
        async with connect(ctx, at, target.sentinel_access or target.access) as link:
            ctx.say(f"asking {at.text} to fail {target.group} over")
            try:
                await link.change("SENTINEL", "FAILOVER", target.group)
            except OutcomeUnknown as error:
                sent.is_certain, sent.why = False, str(error)
            sent.accepted_s = ctx.clock.now().boot_s
    except Conflict as error:
        # Another one has begun: then that is ours to watch. And until a sentinel has heard from the
        # replicas it knows none that is fit; that passes by itself, or the deadline comes.
        if code_of(error) == "INPROG":
            sent.accepted_s = ctx.clock.now().boot_s
        elif code_of(error) != "NOGOODSLAVE":
            raise
        sent.why = str(error)


async def _outputs(
    ctx: Context, target: RedisSentinels, said: Opinions, previous: str, sent: _Sent
) -> FailoverOutputs | str:
    """What came of it; or why it is not over, in words."""
    found = await roles(ctx, target)
    new = found.get(said.primary)
    if not isinstance(new, Role) or new.name != "master":
        return f"{said.primary} is named as the primary, and does not say that it is"
    others = {name: one for name, one in found.items() if name != said.primary}
    rivals = [
        name for name, one in others.items() if isinstance(one, Role) and one.name == "master"
    ]
    if rivals:
        return f"{', '.join(rivals)} still says that it is the primary"
    old = "same"
    if previous != said.primary:
        old = "replica" if isinstance(others.get(previous), Role) else "unreachable"
    missing = sorted(
        name
        for name, one in others.items()
        if not (isinstance(one, Role) and one.of == said.primary and one.is_linked)
    )
    turning = [name for name in missing if isinstance(others[name], Role)]
    if turning:
        return f"{', '.join(turning)} does not follow {said.primary} yet"
    for name in missing:
        error = others[name]
        ctx.say(f"{name}: {silence(error) if isinstance(error, ActionError) else error}")
    at = node(target, said.primary)
    return FailoverOutputs(
        primary=at.text,
        endpoint=at.host,
        port=at.port,
        previous=previous,
        changed=sent.accepted_s is not None or previous != said.primary,
        agree=said.agree,
        epoch=said.epoch,
        old_primary=old,
        replicas=sorted(set(others) - set(missing)),
        missing=missing,
    )


def _late(target: RedisSentinels, sent: _Sent) -> ActionError:
    if sent.accepted_s is not None:
        return OutcomeUnknown(f"{target.group}: a failover was asked for; then {sent.why}")
    if sent.why.startswith("they do not agree"):
        return Unavailable(f"the sentinels of {target.group}: {sent.why}")
    return Conflict(f"{target.group} was not failed over: {sent.why}")
