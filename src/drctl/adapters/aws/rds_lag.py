"""How much would be lost if this standby were promoted now."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar

from drctl.actions.contract import Action, Context, Effect, NoParams, Observation, Repeat
from drctl.actions.errors import ActionError, Rejected
from drctl.actions.loss import LossBound
from drctl.actions.planes import Ask, control
from drctl.actions.targets import RdsInstance, Witness
from drctl.adapters import _witness
from drctl.adapters.aws.client import Aws
from drctl.adapters.aws.rds_api import AVAILABLE, DbInstance, describe

PATIENCE = timedelta(seconds=5)


class MeasureLag(Action[RdsInstance, NoParams, LossBound]):
    """Compares what the standby has with what an observer elsewhere saw of the primary."""

    name: ClassVar[str] = "aws.rds.measure_lag"
    summary: ClassVar[str] = "Bound the acknowledged writes that a failover now would lose"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (RdsInstance,)
    outputs = LossBound
    measures_loss: ClassVar[bool] = True

    def planes(self, target: RdsInstance) -> tuple[str, ...]:
        """The control plane is asked too, and not needed."""
        regions = {target.aws.region, target.witness.aws.region if target.witness else ""}
        return tuple(f"data-plane:{region}" for region in sorted(regions) if region)

    def asks(self, target: RdsInstance, params: NoParams | None = None) -> tuple[Ask, ...]:
        what = "PostgreSQL or the witness's object: else nothing bounds the loss"
        needed = tuple(Ask(plane=plane, service=what) for plane in self.planes(target))
        how = "RDS's word can only make the bound worse"
        return (*needed, control(target.aws.region, "RDS", copes=how))

    def asks_to_look(self, target: RdsInstance, params: NoParams | None = None) -> tuple[Ask, ...]:
        how = "the bound is shown as unknown"
        return tuple(replace(ask, copes=ask.copes or how) for ask in self.asks(target))

    async def observe(
        self, ctx: Context, target: RdsInstance, params: NoParams | None
    ) -> Observation:
        loss = await self.perform(ctx, target, NoParams())
        bound_s = None if loss.bound is None else loss.bound.total_seconds()
        return Observation(
            readings={"bound_s": bound_s, "lag_bytes": loss.lag_bytes, "source": loss.source}
        )

    async def perform(self, ctx: Context, target: RdsInstance, params: NoParams) -> LossBound:
        """
        Measures. What does not answer makes the bound unknown, with the reason as ``source``.

        Raises:
            Rejected: The environment gives this target no ``sql`` or no ``witness``.
        """
        witness, sql = target.witness, target.sql
        if witness is None or sql is None:
            raise Rejected(f"{target.label} needs both sql and witness to bound a loss")
        loss, seen = await asyncio.gather(
            _witness.measure(ctx, sql, lambda: read_sighting(ctx, witness)), _ask_rds(ctx, target)
        )
        return _with_status(loss, seen)


async def read_sighting(ctx: Context, witness: Witness) -> bytes:
    """
    Gets the witness's document.

    Raises:
        ActionError: It did not come.
    """
    answer = await Aws(ctx, witness.aws).read(
        "s3", "get_object", Bucket=witness.bucket, Key=witness.key, patience=PATIENCE
    )
    body: bytes = answer["Body"]
    return body


async def _ask_rds(ctx: Context, target: RdsInstance) -> DbInstance | ActionError:
    try:
        return await describe(Aws(ctx, target.aws), target.instance, patience=PATIENCE)
    except ActionError as error:
        return error


def _with_status(loss: LossBound, seen: DbInstance | ActionError) -> LossBound:
    """RDS's word can only make the answer worse: it knows of promotions, not of lost writes."""
    if isinstance(seen, ActionError):
        return loss.model_copy(update={"source": f"{loss.source}; RDS was not read: {seen}"})
    if seen.source is None:
        return loss.model_copy(
            update={"bound": None, "source": "unknown: RDS says that this is not a replica"}
        )
    if seen.status != AVAILABLE:
        return loss.model_copy(update={"source": f'{loss.source}; RDS reports "{seen.status}"'})
    return loss
