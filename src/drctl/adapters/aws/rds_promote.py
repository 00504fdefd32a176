"""Makes an RDS read replica a primary. There is no way back."""

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
    Nothing,
    Observation,
    Outputs,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError, Conflict, OutcomeUnknown, Rejected
from drctl.actions.targets import RdsInstance
from drctl.adapters import _sql
from drctl.adapters.aws.client import Aws
from drctl.adapters.aws.rds_api import AVAILABLE, DbInstance, describe, wait_until

LATE_LOOKS = 3
LATE_PAUSE_S = 1.0
"""A request that was lost on the way back shows as ``modifying`` within a second or two; so "it
never arrived" is said only after three looks."""


class Promotion(Outputs):
    """Where the new primary is."""

    endpoint: str
    """Host name."""
    port: int
    changed: bool
    """False when it already was a primary."""


class PromoteReplica(Action[RdsInstance, NoParams, Promotion]):
    """Promotes once, then waits until RDS *and* the server itself say that it is a primary."""

    name: ClassVar[str] = "aws.rds.promote_replica"
    summary: ClassVar[str] = "Make an RDS read replica a primary and wait until it is one"
    effect: ClassVar[Effect] = Effect.PROMOTE
    repeat: ClassVar[Repeat] = Repeat.IRREVERSIBLE
    targets = (RdsInstance,)
    outputs = Promotion

    def planes(self, target: RdsInstance) -> tuple[str, ...]:
        return (f"control-plane:{target.aws.region}", f"data-plane:{target.aws.region}")

    async def observe(
        self, ctx: Context, target: RdsInstance, params: NoParams | None
    ) -> Observation:
        seen = await describe(Aws(ctx, target.aws), target.instance)
        return Observation(
            facts={"status": seen.status, "source": seen.source, "pending": list(seen.pending)}
        )

    def preview(
        self, observation: Observation, target: RdsInstance, params: NoParams | None
    ) -> Preview:
        status, source = observation.facts["status"], observation.facts["source"]
        if source is None:
            if status == AVAILABLE:
                return Nothing(why=f"{target.instance} is already a primary")
            return CannotTell(why=f"{target.instance} is no replica, and RDS reports {status}")
        if status != AVAILABLE:
            return CannotTell(why=f"{target.instance} is {status}; RDS promotes what is available")
        return Change(before=f"replica of {source}", after="primary, on its own")

    async def perform(self, ctx: Context, target: RdsInstance, params: NoParams) -> Promotion:
        """
        Promotes, and waits until it takes writes.

        Safe to repeat: a primary returns at once with ``changed=False``. AWS cannot cancel a
        promotion; on cancel we stop waiting and the promotion goes on.

        Raises:
            Conflict: RDS is busy with it (``backing-up``, ``modifying``), and refuses until that
                ends.
            Rejected: It is in a terminal state.
            OutcomeUnknown: No answer, or the deadline passed while RDS still says ``modifying``.

        Changes:
            The RDS instance: its role, and its backup retention when that was 0.
        """
        aws = Aws(ctx, target.aws)
        seen = await describe(aws, target.instance)
        if seen.is_terminal:
            raise Rejected(f'RDS reports "{seen.status}" for {target.label}')
        if seen.source is None:
            seen = await wait_until(ctx, aws, target.instance, _is_primary, after_change=False)
            await _until_out_of_recovery(ctx, target)
            return _promotion(seen, changed=False)
        if seen.status != AVAILABLE:
            raise Conflict(f'RDS reports "{seen.status}" for {target.label}, not "{AVAILABLE}"')
        if seen.pending:
            ctx.say(f"{target.instance}: the promotion also applies {', '.join(seen.pending)}")
        await aws.mutate("rds", "promote_read_replica", DBInstanceIdentifier=target.instance)
        ctx.say(f"{target.instance}: promotion accepted")
        seen = await wait_until(ctx, aws, target.instance, _is_primary, after_change=True)
        await _until_out_of_recovery(ctx, target)
        return _promotion(seen, changed=True)

    async def settled(
        self, ctx: Context, target: RdsInstance, params: NoParams
    ) -> Done[Promotion] | NotDone | CannotTell:
        aws, source = Aws(ctx, target.aws), ""
        for look in range(LATE_LOOKS):
            if look:
                await ctx.clock.sleep(LATE_PAUSE_S)
            try:
                seen = await describe(aws, target.instance)
            except ActionError as error:
                return CannotTell(why=str(error))
            if _is_primary(seen):
                return Done(outputs=_promotion(seen, changed=True))
            if seen.source is None or seen.status != AVAILABLE:
                return CannotTell(why=f'RDS reports "{seen.status}" for {target.label}')
            source = seen.source
        return NotDone(why=f"{target.label} is available and still a replica of {source}")


def _is_primary(seen: DbInstance) -> bool:
    return seen.status == AVAILABLE and seen.source is None


def _promotion(seen: DbInstance, *, changed: bool) -> Promotion:
    return Promotion(endpoint=seen.host, port=seen.port, changed=changed)


async def _until_out_of_recovery(ctx: Context, target: RdsInstance) -> None:
    """RDS said so; the server itself must say so too, where we may ask it."""
    if target.sql is None:
        return
    last = "the server was not asked"
    while not ctx.deadline.has_passed(ctx.clock):
        try:
            async with _sql.connect(target.sql, ctx) as connection:
                if not await connection.fetchval("SELECT pg_is_in_recovery()"):
                    return
            last = "the server says that it is still in recovery"
        except ActionError as error:
            last = str(error)
        await ctx.clock.sleep(0.3)
    raise OutcomeUnknown(f"RDS calls {target.label} a primary, but {last}")
