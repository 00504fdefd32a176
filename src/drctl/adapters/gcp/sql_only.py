"""Proves after a promotion that clients write to the new primary, and nobody to the old one."""

from datetime import timedelta
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
from drctl.actions.targets import CloudSqlInstance
from drctl.adapters import _one_primary
from drctl.adapters._one_primary import OnePrimary, ProofParams
from drctl.adapters._vantage import old_side
from drctl.adapters.gcp.client import Gcp
from drctl.adapters.gcp.operations import is_under_way
from drctl.adapters.gcp.sql_api import describe
from drctl.adapters.gcp.sql_policy import KINDS, QUICK, STOPPED


class AssertSinglePrimary(Action[CloudSqlInstance, ProofParams, OnePrimary]):
    """
    Writes where clients write, finds it on the new primary and its standbys, and is refused by the
    old primary from every place, for as long as it is watched.

    Silence is a refusal only where Cloud SQL says, in each round, that the old instance is stopped
    and nothing is about to start it. Without the control plane only a definite refusal counts.
    """

    name: ClassVar[str] = "gcp.cloudsql.assert_single_primary"
    summary: ClassVar[str] = "Proves that clients write to the new primary and nobody to the old"
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.KEYED
    targets = (CloudSqlInstance,)
    params = ProofParams
    outputs = OnePrimary
    proves_one_primary: ClassVar[bool] = True

    def asks(self, target: CloudSqlInstance, params: ProofParams | None = None) -> tuple[Ask, ...]:
        """The old side's; where the new primary and the clients' path are, no target says."""
        how = "then only a definite refusal from each vantage point counts"
        return (
            control(target.gcp.region, "Cloud SQL", copes=how, only_when_dead=True),
            data(target.gcp.region, "PostgreSQL, clients' URLs", copes=how, only_when_dead=True),
            Ask(plane=ELSEWHERE, service="the new primary, and where clients write"),
        )

    def preview(
        self, observation: Observation, target: CloudSqlInstance, params: ProofParams | None
    ) -> Preview:
        return Change(before="not proven", after="one row more where clients write", creates=True)

    async def perform(
        self, ctx: Context, target: CloudSqlInstance, params: ProofParams
    ) -> OnePrimary:
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

    async def settled(self, ctx: Context, target: CloudSqlInstance, params: ProofParams) -> NotDone:
        """Proving it again leaves at most the same row."""
        return NotDone(why="what was proven then is to be proven now")


async def _what_shuts(ctx: Context, target: CloudSqlInstance) -> str | None:
    """What Cloud SQL says that keeps it from writing; ``None``: nothing, or nobody answers."""
    gcp = Gcp(ctx, target.gcp, call=QUICK)
    try:
        seen = await describe(gcp, target.instance, patience=timedelta())
        if seen.activation != STOPPED or await is_under_way(gcp, target.instance, KINDS):
            return None
    except ActionError:
        return None
    return f"Cloud SQL: {target.instance} is stopped"
