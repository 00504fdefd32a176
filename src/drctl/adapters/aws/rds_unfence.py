"""Lets an RDS instance out of quarantine."""

from typing import ClassVar

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Cleared,
    Context,
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
from drctl.actions.errors import ActionError, Rejected
from drctl.actions.targets import RdsInstance, Text
from drctl.adapters.aws import fence_control
from drctl.adapters.aws.client import Aws
from drctl.adapters.aws.fence_control import put_into
from drctl.adapters.aws.rds_api import describe
from drctl.adapters.aws.rds_debts import paid_fence


class UnfenceParams(Params):
    """Where it goes."""

    security_groups: tuple[Text, ...]
    """
    Ids; ``previous_security_groups`` of the fence. None of them: the fence had only observed that
    the old primary is dead, so there is nothing to put back.
    """


class Unfenced(Outputs):
    """Where it is; empty: it was not asked, because there was nothing to put back."""

    security_groups: tuple[str, ...]


class UnfenceInstance(Action[RdsInstance, UnfenceParams, Unfenced]):
    """Sets the security groups and waits until they are in force. Only before a promotion."""

    name: ClassVar[str] = "aws.rds.unfence"
    summary: ClassVar[str] = "Put a fenced RDS instance back into its security groups"
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (RdsInstance,)
    params = UnfenceParams
    outputs = Unfenced
    may_be_empty: ClassVar[frozenset[str]] = frozenset({"security_groups"})

    def planes(self, target: RdsInstance) -> tuple[str, ...]:
        return (f"control-plane:{target.aws.region}",)

    async def observe(
        self, ctx: Context, target: RdsInstance, params: UnfenceParams | None
    ) -> Observation:
        seen = await describe(Aws(ctx, target.aws), target.instance)
        return Observation(facts={"status": seen.status, "security_groups": sorted(seen.groups)})

    def preview(
        self, observation: Observation, target: RdsInstance, params: UnfenceParams | None
    ) -> Preview:
        groups = observation.facts["security_groups"]
        before = [str(group) for group in groups] if isinstance(groups, list) else []
        if params is None:
            return CannotTell(
                why=f"now in {', '.join(before)}; the groups are known during the run"
            )
        after = sorted(set(params.security_groups))
        if before == after:
            return Nothing(why=f"{target.instance} is in {', '.join(after)}")
        return Change(before=f"in {', '.join(before)}", after=f"in {', '.join(after)}")

    async def perform(self, ctx: Context, target: RdsInstance, params: UnfenceParams) -> Unfenced:
        """
        Sets the groups; nothing is sent when they are in force already.

        Raises:
            Rejected: No groups are given, and it is in quarantine: nobody knows where it was.
            Conflict: RDS refuses in the instance's present state.
            OutcomeUnknown: Sent, and not seen in force.

        Changes:
            The security groups of the RDS instance, unless none are given.
        """
        if not params.security_groups:
            if await _is_shut(ctx, target):
                raise Rejected(
                    f"{target.label} is in quarantine, and nothing says which security groups it"
                    " was in before: put it back by hand"
                )
            return Unfenced(security_groups=())
        wanted = tuple(sorted(set(params.security_groups)))
        seen = await describe(Aws(ctx, target.aws), target.instance)
        if dict(seen.groups) != dict.fromkeys(wanted, "active"):
            seen = await put_into(ctx, target, wanted)
        return Unfenced(security_groups=tuple(sorted(seen.groups)))

    async def settled(
        self, ctx: Context, target: RdsInstance, params: UnfenceParams
    ) -> Done[Unfenced] | NotDone | CannotTell:
        if not params.security_groups:
            if await _is_shut(ctx, target):
                return NotDone(why=f"{target.label} is in quarantine")
            return Done(outputs=Unfenced(security_groups=()))
        try:
            seen = await describe(Aws(ctx, target.aws), target.instance)
        except ActionError as error:
            return CannotTell(why=str(error))
        if set(seen.groups.values()) - {"active"} or seen.status == "modifying":
            return CannotTell(why=f'RDS is still changing {target.label} ("{seen.status}")')
        groups = tuple(sorted(seen.groups))
        if set(groups) == set(params.security_groups):
            return Done(outputs=Unfenced(security_groups=groups))
        return NotDone(why=f"{target.label} is in {', '.join(groups)}")

    def debts(
        self, target: RdsInstance, params: UnfenceParams, outputs: Unfenced
    ) -> tuple[Cleared, ...]:
        return (paid_fence(target),)


async def _is_shut(ctx: Context, target: RdsInstance) -> bool:
    """
    Whether it is in its fence group alone. When nobody answers, it is not: the fence had only
    observed that the instance is dead, and its region may be gone for good.
    """
    if target.fence_security_group is None:
        return False
    try:
        ground = await fence_control.survey(ctx, target)
    except ActionError:
        return False
    return ground.instance.is_only_in(ground.group.id)
