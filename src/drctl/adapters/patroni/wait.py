"""Waits until a Patroni cluster is whole: one leader, everybody else streaming and near."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from drctl.actions.contract import (
    Action,
    Cleared,
    Context,
    Debt,
    Effect,
    Observation,
    Outputs,
    Params,
    Repeat,
)
from drctl.actions.errors import ActionError, Rejected
from drctl.actions.targets import PatroniCluster, PatroniMember, Target, Text
from drctl.adapters import _sql
from drctl.adapters._candidate import Seen
from drctl.adapters._witness import Missing, lsn_to_int
from drctl.adapters.patroni import group, moved, rest

_END = "SELECT pg_current_wal_lsn()::text"
_TRIES_S = 0.5
"""Between two looks."""


class WaitParams(Params):
    """What must hold."""

    leader: Text | None = None
    """Who must lead; absent: anybody."""
    replicas: Annotated[int, Field(ge=0)] | None = None
    """How many must stream; absent: every member but the leader."""
    max_lag_bytes: Annotated[int, Field(ge=0)] = 16 * 1024 * 1024
    """How far behind the leader each of them may be, by their own servers' word."""


class WaitOutputs(Outputs):
    """What was seen."""

    leader: str
    endpoint: str
    port: int
    timeline: int
    replicas: list[str]
    """That stream from the leader's timeline, by name."""
    lag_bytes: int
    """Of the one that is furthest behind; 0 when there is none."""
    missing: list[str]
    """Members that do not stream."""
    paused: bool


class Wait(Action[PatroniCluster, WaitParams, WaitOutputs]):
    """Asks Patroni and PostgreSQL until both say so in the same look."""

    name: ClassVar[str] = "patroni.cluster.wait"
    summary: ClassVar[str] = "Waits for one leader and streaming standbys that are near enough"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets: ClassVar[tuple[type[Target], ...]] = (PatroniCluster,)
    params: ClassVar[type[Params]] = WaitParams
    outputs: ClassVar[type[Outputs]] = WaitOutputs

    def planes(self, target: PatroniCluster) -> tuple[str, ...]:
        """Who leads is read from the store (DCS), which is a control plane."""
        return (f"control-plane:patroni:{target.region}", f"data-plane:{target.region}")

    async def observe(
        self, ctx: Context, target: PatroniCluster, params: WaitParams | None
    ) -> Observation:
        """
        Reads who leads.

        Raises:
            ActionError: No member answered.
        """
        return (await moved.observe(ctx, target)).observation

    async def perform(
        self, ctx: Context, target: PatroniCluster, params: WaitParams
    ) -> WaitOutputs:
        """
        Looks until it holds.

        Raises:
            Rejected: It does not hold at the deadline; the message says what is missing.
            Conflict: One of the members belongs to another cluster or system.
        """
        if params.leader is not None:
            rest.member_of(target, params.leader)
        while True:
            try:
                found: WaitOutputs | str = await _whole(ctx, target, params)
            except Rejected:
                raise
            except ActionError as error:
                if error.word == "conflict":
                    raise
                found = str(error)
            if isinstance(found, WaitOutputs):
                return found
            if ctx.deadline.left_s(ctx.clock) < moved.SPARE_S + _TRIES_S:
                raise Rejected(f"{target.scope} is not whole: {found}")
            ctx.say(found)
            await ctx.clock.sleep(_TRIES_S)

    def debts(
        self, target: PatroniCluster, params: WaitParams, outputs: WaitOutputs
    ) -> tuple[Debt | Cleared, ...]:
        """Every member was seen to stream: nobody is owed any more."""
        if outputs.missing:
            return ()
        return (Cleared(key=f"standby:{target.identities[-1]}"),)


async def _whole(ctx: Context, target: PatroniCluster, params: WaitParams) -> WaitOutputs | str:
    """One look; what is missing, in words."""
    view = await group.look(ctx, target)
    if not view.leader:
        return str(view)
    if params.leader not in {None, view.leader}:
        return f"{view.leader} leads, not {params.leader}"
    leader = rest.member_of(target, view.leader)
    asked = [leader, *(one for one in target.members if one.name != leader.name)]
    answers = await asyncio.gather(*(moved.ask(ctx, target, one.name) for one in asked))
    seen = answers[0]
    found = {one.name: said for one, said in zip(asked[1:], answers[1:], strict=True)}
    if isinstance(seen, Missing) or seen.is_in_recovery:
        why = seen.why if isinstance(seen, Missing) else "in recovery"
        return f"{leader.name} holds the lock and is no primary that answers ({why})"
    rivals = [n for n, said in found.items() if isinstance(said, Seen) and not said.is_in_recovery]
    if rivals:
        return f"{', '.join(rivals)} is a primary besides {leader.name}"
    end = await _end(ctx, target, leader)
    lags = {name: _behind(name, said, view, seen, end) for name, said in found.items()}
    near = {n: lag for n, lag in lags.items() if lag is not None and lag <= params.max_lag_bytes}
    wanted = len(lags) if params.replicas is None else params.replicas
    if len(near) < wanted:
        return f"{len(near)} of {wanted} stream and are near: {_late(lags, near)}"
    return WaitOutputs(
        leader=leader.name,
        endpoint=leader.host,
        port=leader.port,
        timeline=seen.timeline,
        replicas=sorted(near),
        lag_bytes=max(near.values(), default=0),
        missing=sorted(set(lags) - set(near)),
        paused=view.is_paused,
    )


def _late(lags: Mapping[str, int | None], near: Mapping[str, int]) -> str:
    return ", ".join(
        f"{name} {'does not stream' if lag is None else f'is {lag} bytes behind'}"
        for name, lag in sorted(lags.items())
        if name not in near
    )


async def _end(ctx: Context, target: PatroniCluster, leader: PatroniMember) -> int:
    async with _sql.connect(target.access(leader), ctx) as connection:
        return lsn_to_int(await connection.fetchval(_END))


def _behind(
    name: str, seen: Seen | Missing, view: group.View, leader: Seen, end: int
) -> int | None:
    """
    How far behind it is; ``None`` when it does not stream from the leader's timeline. A connection
    that has begun may be one that is refused again and again, so it is none yet.
    """
    row = view.rows.get(name)
    if isinstance(seen, Missing) or row is None or row.state not in {"streaming", "running"}:
        return None
    if seen.timeline != leader.timeline or not seen.is_receiving:
        return None
    return max(0, end - seen.has)
