"""
Gives a fenced old instance another name, so that what takes its place can have its own.

An old primary cannot become a replica of the new one, and it has what was acknowledged and never
sent over. So it is kept, fenced, under another name; and the environment, the application and
people's habits keep the name that they know. A rename moves the endpoint: for an instance that
serves anybody it is an outage, so only one in quarantine is renamed.
"""

from typing import ClassVar

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
    Observation,
    Outputs,
    Params,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError, Conflict, NotFound, OutcomeUnknown, Rejected
from drctl.actions.targets import RdsInstance
from drctl.adapters.aws import fence_control
from drctl.adapters.aws.client import Aws
from drctl.adapters.aws.rds_api import AVAILABLE, FIRST_POLL_S, LAST_POLL_S, DbInstance, describe
from drctl.adapters.aws.rds_debts import owed_end, paid_fence
from drctl.adapters.aws.rds_restore import Name

_LATE_LOOKS = 3
_LATE_PAUSE_S = 1.0


class AsideParams(Params):
    """The name it gets."""

    instance: Name
    """Must be free."""


class Aside(Outputs):
    """Where it is kept."""

    instance: str
    previous_instance: str


class SetAside(Action[RdsInstance, AsideParams, Aside]):
    """Renames, and waits until RDS knows it by the new name only."""

    name: ClassVar[str] = "aws.rds.set_aside"
    summary: ClassVar[str] = "Rename a fenced RDS instance, so that its name is free"
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.CHECK_THEN_ACT
    targets = (RdsInstance,)
    params = AsideParams
    outputs = Aside

    def planes(self, target: RdsInstance) -> tuple[str, ...]:
        return (f"control-plane:{target.aws.region}",)

    async def observe(
        self, ctx: Context, target: RdsInstance, params: AsideParams | None
    ) -> Observation:
        aws = Aws(ctx, target.aws)
        seen = await describe(aws, target.instance)
        taken = None if params is None else await _find(aws, params.instance) is not None
        return Observation(facts={"status": seen.status, "name_is_taken": taken})

    def preview(
        self, observation: Observation, target: RdsInstance, params: AsideParams | None
    ) -> Preview:
        if params is None:
            return CannotTell(why="the new name is only known during the run")
        if observation.facts["name_is_taken"]:
            return CannotTell(why=f"there is an instance named {params.instance} already")
        return Change(before=target.instance, after=f"{params.instance}, still fenced")

    async def perform(self, ctx: Context, target: RdsInstance, params: AsideParams) -> Aside:
        """
        Renames, and waits.

        Raises:
            Rejected: It is not in quarantine, so somebody may use it; or it is gone.
            Conflict: The new name is taken, or RDS refuses in its present state.
            OutcomeUnknown: Sent, and not seen under the new name.

        Changes:
            The instance's name and endpoint.
        """
        aws = Aws(ctx, target.aws)
        ground = await fence_control.survey(ctx, target)
        before = ground.instance
        if not before.is_only_in(ground.group.id) or ground.group.ingress_rules:
            raise Rejected(f"{target.label} is not in quarantine: a new name cuts off who uses it")
        if await _find(aws, params.instance) is not None:
            raise Conflict(f"RDS in {aws.region} has an instance named {params.instance} already")
        try:
            await aws.mutate(
                "rds",
                "modify_db_instance",
                DBInstanceIdentifier=target.instance,
                NewDBInstanceIdentifier=params.instance,
                ApplyImmediately=True,
            )
        except Conflict:
            # A network that delivers twice gives the answer to the second.
            if not await _is_under_way(aws, target, params, before):
                raise
        except NotFound as error:
            if not await _is_under_way(aws, target, params, before):
                raise Rejected(f"{target.label} is gone: {error}") from error
        await _until_renamed(ctx, aws, params.instance, before)
        return Aside(instance=params.instance, previous_instance=target.instance)

    async def settled(
        self, ctx: Context, target: RdsInstance, params: AsideParams
    ) -> Done[Aside] | NotDone | CannotTell:
        aws = Aws(ctx, target.aws)
        for look in range(_LATE_LOOKS):
            if look:
                await ctx.clock.sleep(_LATE_PAUSE_S)
            try:
                old, new = await _find(aws, target.instance), await _find(aws, params.instance)
            except ActionError as error:
                return CannotTell(why=str(error))
            if new is not None and new.status == AVAILABLE and old is None:
                done = Aside(instance=params.instance, previous_instance=target.instance)
                return Done(outputs=done)
            if old is None or old.status != AVAILABLE:
                status = "nothing" if old is None else old.status
                return CannotTell(why=f'RDS reports "{status}" for {target.label}')
        return NotDone(why=f"{target.label} still has its name")

    def debts(
        self, target: RdsInstance, params: AsideParams, outputs: Aside
    ) -> tuple[Debt | Cleared, ...]:
        why = f"it was {outputs.previous_instance}, and may have writes that nothing else has"
        return (paid_fence(target), owed_end(target, outputs.instance, why))


async def _find(aws: Aws, instance: str) -> DbInstance | None:
    try:
        return await describe(aws, instance)
    except NotFound:
        return None


async def _is_under_way(
    aws: Aws, target: RdsInstance, params: AsideParams, before: DbInstance
) -> bool:
    try:
        new, old = await _find(aws, params.instance), await _find(aws, target.instance)
    except ActionError as error:
        raise OutcomeUnknown(f"sent, and then not readable: {error}") from error
    if new is not None and new.resource_id == before.resource_id:
        return True
    return old is not None and old.status == "renaming"


async def _until_renamed(ctx: Context, aws: Aws, instance: str, before: DbInstance) -> None:
    pause_s, last = FIRST_POLL_S, "it was not read"
    while not ctx.deadline.has_passed(ctx.clock):
        try:
            seen = await _find(aws, instance)
        except ActionError as error:
            last = str(error)
        else:
            if seen is not None and seen.resource_id != before.resource_id:
                raise Conflict(f"{instance} ({aws.region}) is another instance")
            if seen is not None and seen.status == AVAILABLE:
                return
            last = f'RDS reports "{seen.status if seen else "nothing"}" for {instance}'
            ctx.say(f"{instance}: {seen.status if seen else 'not there yet'}")
        await ctx.clock.sleep(min(pause_s, ctx.deadline.left_s(ctx.clock)))
        pause_s = min(LAST_POLL_S, pause_s * 1.5)
    raise OutcomeUnknown(f"the new name was asked for, but {last}")
