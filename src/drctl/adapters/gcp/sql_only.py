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
from drctl.actions.errors import ActionError, Rejected
from drctl.actions.targets import CloudSqlInstance
from drctl.adapters import _one_primary
from drctl.adapters._one_primary import OnePrimary, ProofParams
from drctl.adapters._vantage import judged, try_sql, try_url
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
        access = target.sql
        if access is None:
            raise Rejected(f"{target.label} has no sql in the environment: it cannot be tried")

        async def attempt() -> list[_one_primary.Attempt]:
            is_shut = await _is_stopped(ctx, target)
            sql = await try_sql(ctx, access, write=True)
            urls = [await try_url(ctx, url) for url in target.client_write_urls]
            row = f"drctl-fence-{ctx.key}"
            tried = [judged(sql, is_shut=is_shut, dead_only=True)]
            tried += [judged(one, is_shut=is_shut, dead_only=False, row=row) for one in urls]
            if is_shut:
                said = f"Cloud SQL: {target.instance} is stopped"
                tried.append(_one_primary.Attempt(verdict="refused", said=said))
            return tried

        async def is_durable() -> bool:
            return await _is_stopped(ctx, target)

        old = _one_primary.OldSide(access=access, attempt=attempt, is_durable=is_durable)
        return await _one_primary.prove(
            ctx, old, target.client_path, target.system_identifier, params
        )

    async def settled(self, ctx: Context, target: CloudSqlInstance, params: ProofParams) -> NotDone:
        """Proving it again leaves at most the same row."""
        return NotDone(why="what was proven then is to be proven now")


async def _is_stopped(ctx: Context, target: CloudSqlInstance) -> bool:
    """Whether Cloud SQL says so; False when nobody answers."""
    gcp = Gcp(ctx, target.gcp, call=QUICK)
    try:
        seen = await describe(gcp, target.instance, patience=timedelta())
        return seen.activation == STOPPED and not await is_under_way(gcp, target.instance, KINDS)
    except ActionError:
        return False
