"""
Restores an RDS instance to a moment: into a new, private instance; the source is not touched.

The vendor's call gives the new instance the default security group and parameter group, one zone,
no deletion protection, and perhaps a public address. Here it gets what its source has, and none of
the latter, and that is compared before anybody is told where it is.
"""

from typing import Annotated, ClassVar, TypeAlias

from pydantic import StringConstraints

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Context,
    Debt,
    Done,
    Effect,
    NotDone,
    Observation,
    Outputs,
    Params,
    Preview,
    Repeat,
    Restores,
)
from drctl.actions.errors import Conflict, Rejected
from drctl.actions.targets import RdsInstance, Text
from drctl.adapters._moment import Moment, parse, refusal, text
from drctl.adapters.aws import rds_made
from drctl.adapters.aws.client import Aws
from drctl.adapters.aws.rds_debts import owed_choice
from drctl.adapters.aws.rds_settings import differences, groups_for, read, read_source
from drctl.adapters.aws.rds_window import read_window

Name: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9]|-[a-z0-9]){0,62}$")]
"""A name that RDS takes, as it keeps it: lower case."""


class RestoreParams(Params):
    """What is to be made, and as of when."""

    instance: Name
    """Name of the new instance."""
    time: Moment
    """With its offset, as ``2026-11-22T14:03:00Z``: everything committed up to it is there, nothing
    that was committed later."""
    security_groups: tuple[Text, ...] = ()
    """Ids; none: those of the environment's target, or else the source's own. A source that is in
    quarantine needs one of the first two."""


class Restored(Outputs):
    """The new instance."""

    instance: str
    endpoint: str
    port: int
    restored_to: str
    earliest: str
    """The window, when it was asked for; both empty when it was only read back later."""
    latest: str
    security_groups: tuple[str, ...]
    public: bool
    """Always false: it would have been refused."""


class RestoreToTime(Action[RdsInstance, RestoreParams, Restored]):
    """Checks the window, restores, waits, compares; *target* is the source."""

    name: ClassVar[str] = "aws.rds.restore_to_time"
    summary: ClassVar[str] = "Restore an RDS instance to a moment, into a new, private instance"
    makes_target: ClassVar[bool] = True
    effect: ClassVar[Effect] = Effect.CHANGE
    alternative: ClassVar[str] = "a standby elsewhere that is promoted"
    restores: ClassVar[Restores | None] = Restores(into="instance", source="instance", lag_s=300)
    repeat: ClassVar[Repeat] = Repeat.KEYED
    targets = (RdsInstance,)
    params = RestoreParams
    outputs = Restored
    may_be_empty: ClassVar[frozenset[str]] = frozenset({"security_groups"})

    def planes(self, target: RdsInstance) -> tuple[str, ...]:
        return (f"control-plane:{target.aws.region}", f"data-plane:{target.aws.region}")

    async def observe(
        self, ctx: Context, target: RdsInstance, params: RestoreParams | None
    ) -> Observation:
        aws = Aws(ctx, target.aws)
        earliest, latest = await read_window(aws, target.instance)
        taken = None if params is None else (await read(aws, params.instance)) is not None
        why = None
        if params is not None:
            why = refusal(parse(params.time), earliest, latest, ctx.clock.now().wall)
        return Observation(
            facts={"name_is_taken": taken},
            readings={
                "earliest": text(earliest) if earliest else "",
                "latest": text(latest) if latest else "",
                "refusal": why or "",
            },
        )

    def preview(
        self, observation: Observation, target: RdsInstance, params: RestoreParams | None
    ) -> Preview:
        if params is None:
            return CannotTell(why="what it is restored to is only known during the run")
        if observation.facts["name_is_taken"]:
            return CannotTell(why=f"there is an instance named {params.instance} already")
        if observation.readings["refusal"]:
            return CannotTell(why=str(observation.readings["refusal"]))
        return Change(
            before=f"no {params.instance}",
            after=f"{params.instance}, private, with the data of {text(parse(params.time))}",
            creates=True,
        )

    async def perform(self, ctx: Context, target: RdsInstance, params: RestoreParams) -> Restored:
        """
        Restores, and waits until the new instance takes writes.

        Safe to repeat: an instance that carries this key is not asked for again, only waited for.

        Raises:
            Rejected: The moment is in the future or outside the window, with the numbers; the new
                instance is in a terminal state, or is not as its source; then it is left there.
            Conflict: The name is taken.
            NotFound: No such source.
            OutcomeUnknown: No answer, or not available by the deadline.

        Changes:
            One more RDS instance. Nothing of the source.
        """
        aws = Aws(ctx, target.aws)
        source = await read_source(aws, target)
        groups = groups_for(target, source, params.security_groups)
        earliest, latest = await read_window(aws, target.instance)
        if not await rds_made.is_ours(ctx, aws, params.instance):
            why = refusal(parse(params.time), earliest, latest, ctx.clock.now().wall)
            if why is not None:
                raise Rejected(f"{target.label}: {why}")
            await rds_made.request(
                ctx,
                aws,
                params.instance,
                "restore_db_instance_to_point_in_time",
                SourceDBInstanceIdentifier=target.instance,
                TargetDBInstanceIdentifier=params.instance,
                RestoreTime=parse(params.time),
                **source.request(security_groups=groups, key=ctx.key),
            )
        seen = await rds_made.until(ctx, aws, params.instance)
        made = await rds_made.settings_of(aws, params.instance)
        if wrong := differences(source, made, groups):
            raise Rejected(f"{params.instance} is not as its source: {'; '.join(wrong)}")
        await rds_made.take_writes(ctx, target, seen)
        return Restored(
            instance=params.instance,
            endpoint=seen.host,
            port=seen.port,
            restored_to=text(parse(params.time)),
            earliest=text(earliest) if earliest else "",
            latest=text(latest) if latest else "",
            security_groups=groups,
            public=made.public,
        )

    async def settled(
        self, ctx: Context, target: RdsInstance, params: RestoreParams
    ) -> Done[Restored] | NotDone | CannotTell:
        """`Done` only when it is there and as its source; else doing it again only waits."""
        aws = Aws(ctx, target.aws)
        seen = await rds_made.settled_as(ctx, aws, params.instance)
        if isinstance(seen, str):
            return NotDone(why=seen) if seen.startswith("not done") else CannotTell(why=seen)
        try:
            source = await read_source(aws, target)
            groups = groups_for(target, source, params.security_groups)
            made = await rds_made.settings_of(aws, params.instance)
        except (Rejected, Conflict) as error:
            return CannotTell(why=str(error))
        if wrong := differences(source, made, groups):
            return CannotTell(why=f"{params.instance} is not as its source: {'; '.join(wrong)}")
        return Done(
            outputs=Restored(
                instance=params.instance,
                endpoint=seen.host,
                port=seen.port,
                restored_to=text(parse(params.time)),
                earliest="",
                latest="",
                security_groups=groups,
                public=made.public,
            )
        )

    def debts(
        self, target: RdsInstance, params: RestoreParams, outputs: Restored
    ) -> tuple[Debt, ...]:
        return (owed_choice(target, outputs.instance, f"as of {outputs.restored_to}"),)
