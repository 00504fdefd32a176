"""Proves that a cache takes writes where its clients write."""

from typing import ClassVar

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Context,
    Done,
    Effect,
    NoParams,
    NotDone,
    Observation,
    Outputs,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError
from drctl.actions.planes import ELSEWHERE, Ask, data
from drctl.actions.targets import Cache, RedisSentinels, RedisServer, Target
from drctl.adapters.redis import proof
from drctl.adapters.redis.group import primary_of


class WritableOutputs(Outputs):
    """What was proven."""

    primary: str
    """``host:port``"""
    replicas: int
    """Connected to it just then; 0 when that was not asked."""
    latency_s: float
    """From before the sentinels were asked until the mark was read back."""
    is_writable: bool


class AssertWritable(Action[Cache, NoParams, WritableOutputs]):
    """Writes a mark to the primary that the sentinels name, and reads it back."""

    name: ClassVar[str] = "redis.primary.assert_writable"
    summary: ClassVar[str] = "Proves that a cache takes writes, by one key that expires"
    effect: ClassVar[Effect] = Effect.CHANGE
    leaves_mark: ClassVar[bool] = True
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets: ClassVar[tuple[type[Target], ...]] = (RedisSentinels, RedisServer)
    outputs: ClassVar[type[Outputs]] = WritableOutputs

    def planes(self, target: Cache) -> tuple[str, ...]:
        return (f"data-plane:{target.region}",)

    def asks(self, target: Cache, params: NoParams | None = None) -> tuple[Ask, ...]:
        """Sentinels may be anywhere: no target says where each is."""
        here = data(target.region, "the data nodes")
        if not isinstance(target, RedisSentinels):
            return (here,)
        return here, Ask(plane=ELSEWHERE, service="sentinels")

    def preview(self, observation: Observation, target: Cache, params: NoParams | None) -> Preview:
        after = f"one key {proof.mark('...')} more, for an hour"
        return Change(before="not proven", after=after, creates=True)

    async def perform(self, ctx: Context, target: Cache, params: NoParams) -> WritableOutputs:
        """
        Writes and reads back.

        Raises:
            Rejected: The server that clients are sent to is a replica, or lost the mark.
            Unavailable: The sentinels do not agree, or it was not reached.
            Conflict: It takes no writes now, or the sentinels name a stranger.
            OutcomeUnknown: The mark was written, perhaps, and could not be read back.

        Changes:
            One key, which expires after an hour.
        """
        started_s = ctx.clock.now().boot_s
        at = await primary_of(ctx, target)
        _key, seen = await proof.write(ctx, target, at)
        return WritableOutputs(
            primary=at.text,
            replicas=len(seen.replicas),
            latency_s=ctx.clock.now().boot_s - started_s,
            is_writable=True,
        )

    async def settled(
        self, ctx: Context, target: Cache, params: NoParams
    ) -> Done[WritableOutputs] | NotDone | CannotTell:
        started_s = ctx.clock.now().boot_s
        try:
            at = await primary_of(ctx, target)
            is_there = await proof.is_there(ctx, target, at)
        except ActionError as error:
            return CannotTell(why=str(error))
        if not is_there:
            return NotDone(why="the mark is not there")
        latency_s = ctx.clock.now().boot_s - started_s
        outputs = WritableOutputs(
            primary=at.text, replicas=0, latency_s=latency_s, is_writable=True
        )
        return Done(outputs=outputs)
