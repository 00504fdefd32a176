"""
Makes an RDS read replica a primary. There is no way back.

RDS promotes what it is told to. Whether this is the right replica is decided by
`drctl.adapters._candidate`, on what the server itself says by SQL, a moment before the call.
"""

from typing import Annotated, ClassVar

from pydantic import Field

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
from drctl.actions.errors import ActionError, Conflict, OutcomeUnknown, Rejected
from drctl.actions.planes import Ask, control, data
from drctl.actions.targets import RdsInstance
from drctl.adapters import _candidate, _managed
from drctl.adapters.aws.client import Aws
from drctl.adapters.aws.rds_api import AVAILABLE, DbInstance, describe, wait_until
from drctl.adapters.aws.rds_debts import owed_standby
from drctl.adapters.aws.rds_lag import read_sighting

LATE_LOOKS = 3
LATE_PAUSE_S = 1.0
"""A request that was lost on the way back shows as ``modifying`` within a second or two; so "it
never arrived" is said only after three looks."""


class PromoteParams(Params):
    """What must hold before, and what may be left out of account."""

    from_timeline: Annotated[int, Field(ge=1)] | None = None
    """The primary's timeline, as somebody else saw it; needed where there is no witness."""
    accept_silent_siblings: bool = False
    """True to promote although a sibling that does not answer may have more than this one."""


class Promotion(Outputs):
    """Where the new primary is, and what it was when it was promoted."""

    endpoint: str
    """Host name."""
    port: int
    changed: bool
    """False when it already was a primary."""
    system_identifier: str = ""
    """Empty, as what follows, when the environment gives no ``sql`` to ask the server itself."""
    from_timeline: int | None = None
    """The timeline that it left."""
    lsn: str = ""
    """The end of what it had received, at the last look before the promotion."""
    arn: str = ""
    """What a new replica of it is made from."""


class PromoteReplica(Action[RdsInstance, PromoteParams, Promotion]):
    """Promotes once, then waits until RDS *and* the server itself say that it is a primary."""

    name: ClassVar[str] = "aws.rds.promote_replica"
    no_way_back: ClassVar[str] = "it leaves its source for good; a standby is made anew, from it"
    summary: ClassVar[str] = "Make an RDS read replica a primary and wait until it is one"
    effect: ClassVar[Effect] = Effect.PROMOTE
    repeat: ClassVar[Repeat] = Repeat.IRREVERSIBLE
    targets = (RdsInstance,)
    params = PromoteParams
    outputs = Promotion

    def planes(self, target: RdsInstance) -> tuple[str, ...]:
        own = (f"control-plane:{target.aws.region}", f"data-plane:{target.aws.region}")
        seen = target.witness.aws.region if target.witness else target.aws.region
        return own if seen == target.aws.region else (*own, f"data-plane:{seen}")

    def asks(self, target: RdsInstance, params: PromoteParams | None = None) -> tuple[Ask, ...]:
        own = (control(target.aws.region, "RDS"), data(target.aws.region, "PostgreSQL"))
        if target.witness is None or target.witness.aws.region == target.aws.region:
            return own
        return (*own, data(target.witness.aws.region, "the witness's object"))

    async def observe(
        self, ctx: Context, target: RdsInstance, params: PromoteParams | None
    ) -> Observation:
        aws = Aws(ctx, target.aws)
        seen = await describe(aws, target.instance)
        unfit = await _managed.unfit(ctx, _replica(ctx, target, params or PromoteParams()))
        if await _is_of_a_replica(aws, seen):
            unfit.append(f"it follows {seen.source}, which is a replica itself")
        return Observation(
            facts={
                "status": seen.status,
                "source": seen.source,
                "pending": list(seen.pending),
                "unfit": list(unfit),
            }
        )

    def preview(
        self, observation: Observation, target: RdsInstance, params: PromoteParams | None
    ) -> Preview:
        status, source = observation.facts["status"], observation.facts["source"]
        unfit = observation.facts["unfit"]
        if isinstance(unfit, list) and unfit:
            return CannotTell(why=f"it is not fit to be promoted: {unfit[0]}")
        if source is None:
            if status == AVAILABLE:
                return Nothing(why=f"{target.instance} is already a primary")
            return CannotTell(why=f"{target.instance} is no replica, and RDS reports {status}")
        if status != AVAILABLE:
            return CannotTell(why=f"{target.instance} is {status}; RDS promotes what is available")
        return Change(before=f"replica of {source}", after="primary, on its own")

    async def perform(self, ctx: Context, target: RdsInstance, params: PromoteParams) -> Promotion:
        """
        Promotes, and waits until it takes writes.

        Safe to repeat: a primary that has what the witness wrote last returns at once with
        ``changed=False``. AWS cannot cancel a promotion; on cancel we stop waiting and the
        promotion goes on.

        Raises:
            Conflict: RDS is busy with it (``backing-up``, ``modifying``), and refuses until that
                ends. Or it is not the right candidate (`drctl.adapters._candidate`).
            Rejected: It is in a terminal state.
            OutcomeUnknown: No answer, or the deadline passed while RDS still says ``modifying``.

        Changes:
            The RDS instance: its role, and its backup retention when that was 0.
        """
        aws, replica = Aws(ctx, target.aws), _replica(ctx, target, params)
        seen = await describe(aws, target.instance)
        if seen.is_terminal:
            raise Rejected(f'RDS reports "{seen.status}" for {target.label}')
        if seen.source is None:
            seen = await wait_until(ctx, aws, target.instance, _is_primary, after_change=False)
            await _managed.until_out_of_recovery(ctx, replica)
            return _promotion(seen, await _managed.chosen(ctx, replica), changed=False)
        if seen.status != AVAILABLE:
            raise Conflict(f'RDS reports "{seen.status}" for {target.label}, not "{AVAILABLE}"')
        if seen.pending:
            ctx.say(f"{target.instance}: the promotion also applies {', '.join(seen.pending)}")
        if await _is_of_a_replica(aws, seen):
            raise Conflict(f"{target.label} follows {seen.source}, which is a replica itself")
        chosen = await _managed.chosen(ctx, replica)
        try:
            await aws.mutate("rds", "promote_read_replica", DBInstanceIdentifier=target.instance)
        except Conflict as error:
            await _refuse_doubt(aws, target, error)
            raise
        ctx.say(f"{target.instance}: promotion accepted")
        seen = await wait_until(ctx, aws, target.instance, _is_primary, after_change=True)
        await _managed.until_out_of_recovery(ctx, replica)
        return _promotion(seen, chosen, changed=True)

    async def settled(
        self, ctx: Context, target: RdsInstance, params: PromoteParams
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
                return Done(outputs=_promotion(seen, None, changed=True))
            if seen.source is None or seen.status != AVAILABLE:
                return CannotTell(why=f'RDS reports "{seen.status}" for {target.label}')
            source = seen.source
        return NotDone(why=f"{target.label} is available and still a replica of {source}")

    def debts(
        self, target: RdsInstance, params: PromoteParams, outputs: Promotion
    ) -> tuple[Debt | Cleared, ...]:
        return (owed_standby(target),) if outputs.changed else ()


async def _refuse_doubt(aws: Aws, target: RdsInstance, refusal: Conflict) -> None:
    """
    A network that delivers a request twice gives the answer to the second one: the state that
    refuses it may be of the first one's making.

    Raises:
        OutcomeUnknown: It looks like that.
    """
    seen = await describe(aws, target.instance)
    if seen.source is None or seen.status != AVAILABLE:
        raise OutcomeUnknown(f'{refusal}; RDS reports "{seen.status}"') from refusal


def _is_primary(seen: DbInstance) -> bool:
    return seen.status == AVAILABLE and seen.source is None


def _promotion(seen: DbInstance, chosen: _candidate.Seen | None, *, changed: bool) -> Promotion:
    return Promotion(
        endpoint=seen.host,
        port=seen.port,
        changed=changed,
        system_identifier=chosen.system_identifier if chosen else "",
        from_timeline=chosen.timeline if chosen and changed else None,
        lsn=_candidate.position(chosen) if chosen else "",
        arn=seen.arn,
    )


async def _is_of_a_replica(aws: Aws, seen: DbInstance) -> bool:
    """
    Whether it follows another replica. Only a source of this region is asked: that of another one,
    which has an ARN, may be in the region that is lost.
    """
    if seen.source is None or ":" in seen.source:
        return False
    return (await describe(aws, seen.source)).source is not None


def _replica(ctx: Context, target: RdsInstance, params: PromoteParams) -> _managed.Replica:
    witness = target.witness
    return _managed.Replica(
        label=target.label,
        vendor="RDS",
        sql=target.sql,
        system_identifier=target.system_identifier,
        siblings=target.siblings,
        sighting=None if witness is None else lambda: read_sighting(ctx, witness),
        from_timeline=params.from_timeline,
        accepts_silence=params.accept_silent_siblings,
    )
