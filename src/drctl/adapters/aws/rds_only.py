"""Proves after a promotion that clients write to the new primary, and nobody to the old one."""

from typing import ClassVar

from drctl.actions.contract import (
    Action,
    Change,
    Context,
    Effect,
    NotDone,
    Observation,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError, Rejected
from drctl.actions.targets import RdsInstance
from drctl.adapters import _one_primary
from drctl.adapters._one_primary import OnePrimary, ProofParams
from drctl.adapters._vantage import judged, try_sql, try_url
from drctl.adapters.aws import fence_control
from drctl.adapters.aws.rds_fence import STOPPED


class AssertSinglePrimary(Action[RdsInstance, ProofParams, OnePrimary]):
    """
    Writes where clients write, finds it on the new primary and its standbys, and is refused by the
    old primary from every place, for as long as it is watched.

    Silence is a refusal only where RDS says, in each round, that the old instance is still in
    quarantine or stopped. Without the region's control plane only a definite refusal counts.
    """

    name: ClassVar[str] = "aws.rds.assert_single_primary"
    summary: ClassVar[str] = "Proves that clients write to the new primary and nobody to the old"
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.KEYED
    targets = (RdsInstance,)
    params = ProofParams
    outputs = OnePrimary
    proves_one_primary: ClassVar[bool] = True

    def preview(
        self, observation: Observation, target: RdsInstance, params: ProofParams | None
    ) -> Preview:
        return Change(before="not proven", after="one row more where clients write", creates=True)

    async def perform(self, ctx: Context, target: RdsInstance, params: ProofParams) -> OnePrimary:
        """
        Proves it; *target* is the old primary.

        Raises:
            Rejected: It is not so, or it cannot be shown; the message says which.
            ActionError: The new primary or the clients' path did not answer.

        Changes:
            One row where clients write; where the old primary does take writes, one there too.
        """
        access = target.sql
        if access is None:
            raise Rejected(f"{target.label} has no sql in the environment: it cannot be tried")

        async def attempt() -> list[_one_primary.Attempt]:
            shut = await _is_shut(ctx, target)
            sql = await try_sql(ctx, access, write=True)
            urls = [await try_url(ctx, url) for url in target.client_write_urls]
            row = f"drctl-fence-{ctx.key}"
            tried = [judged(sql, is_shut=shut is not None, dead_only=True)]
            tried += [
                judged(one, is_shut=shut is not None, dead_only=False, row=row) for one in urls
            ]
            if shut is not None:
                tried.append(_one_primary.Attempt(verdict="refused", said=shut))
            return tried

        async def is_durable() -> bool:
            return await _is_shut(ctx, target) is not None

        old = _one_primary.OldSide(access=access, attempt=attempt, is_durable=is_durable)
        return await _one_primary.prove(
            ctx, old, target.client_path, target.system_identifier, params
        )

    async def settled(self, ctx: Context, target: RdsInstance, params: ProofParams) -> NotDone:
        """Proving it again leaves at most the same row."""
        return NotDone(why="what was proven then is to be proven now")


async def _is_shut(ctx: Context, target: RdsInstance) -> str | None:
    """What RDS says that keeps it from writing; ``None``: nothing, or nobody answers."""
    try:
        ground = await fence_control.survey(ctx, target)
    except ActionError:
        return None
    if ground.instance.status == STOPPED:
        return f"RDS: {target.instance} is stopped"
    if ground.instance.is_only_in(ground.group.id) and not ground.group.ingress_rules:
        return f"RDS: {target.instance} is only in {ground.group.id}, which lets nothing in"
    return None
