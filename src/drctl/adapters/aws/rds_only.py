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
from drctl.actions.errors import ActionError
from drctl.actions.planes import ELSEWHERE, Ask, control, data
from drctl.actions.targets import RdsInstance
from drctl.adapters import _one_primary
from drctl.adapters._one_primary import OnePrimary, ProofParams
from drctl.adapters._vantage import old_side
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

    def asks(self, target: RdsInstance, params: ProofParams | None = None) -> tuple[Ask, ...]:
        """The old side's; where the new primary and the clients' path are, no target says."""
        how = "then only a definite refusal from each vantage point counts"
        return (
            control(target.aws.region, "RDS and EC2", copes=how, only_when_dead=True),
            data(target.aws.region, "PostgreSQL, clients' URLs", copes=how, only_when_dead=True),
            Ask(plane=ELSEWHERE, service="the new primary, and where clients write"),
        )

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
        old = old_side(ctx, target, lambda: _what_shuts(ctx, target))
        return await _one_primary.prove(
            ctx, old, target.client_path, target.system_identifier, params
        )

    async def settled(self, ctx: Context, target: RdsInstance, params: ProofParams) -> NotDone:
        """Proving it again leaves at most the same row."""
        return NotDone(why="what was proven then is to be proven now")


async def _what_shuts(ctx: Context, target: RdsInstance) -> str | None:
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
