"""How much would be lost if this replica were promoted now."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar

from drctl.actions.contract import Action, Context, Effect, NoParams, Observation, Repeat
from drctl.actions.errors import ActionError, Rejected
from drctl.actions.loss import LossBound
from drctl.actions.planes import Ask, control
from drctl.actions.targets import CloudSqlInstance
from drctl.adapters import _witness
from drctl.adapters.gcp.client import Gcp
from drctl.adapters.gcp.sql_api import RUNNABLE, Instance, describe
from drctl.adapters.gcp.sql_fit import fetch_sighting

PATIENCE = timedelta(seconds=5)


class MeasureLag(Action[CloudSqlInstance, NoParams, LossBound]):
    """
    Compares what the replica has with what an observer elsewhere saw of the primary.

    Cloud SQL's own metric of replica lag is not asked: it is the replica's word about a primary
    that it may have lost.
    """

    name: ClassVar[str] = "gcp.cloudsql.measure_lag"
    summary: ClassVar[str] = "Bound the acknowledged writes that promoting a replica now would lose"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (CloudSqlInstance,)
    outputs = LossBound
    measures_loss: ClassVar[bool] = True

    def planes(self, target: CloudSqlInstance) -> tuple[str, ...]:
        """The control plane is asked too, and not needed."""
        return (f"data-plane:{target.gcp.region}",)

    def asks(self, target: CloudSqlInstance, params: NoParams | None = None) -> tuple[Ask, ...]:
        needed = tuple(Ask(plane=plane, service="PostgreSQL") for plane in self.planes(target))
        how = "Cloud SQL's word can only make the bound worse"
        return (*needed, control(target.gcp.region, "Cloud SQL", copes=how))

    def asks_to_look(
        self, target: CloudSqlInstance, params: NoParams | None = None
    ) -> tuple[Ask, ...]:
        how = "the bound is shown as unknown"
        return tuple(replace(ask, copes=ask.copes or how) for ask in self.asks(target))

    async def observe(
        self, ctx: Context, target: CloudSqlInstance, params: NoParams | None
    ) -> Observation:
        loss = await self.perform(ctx, target, NoParams())
        bound_s = None if loss.bound is None else loss.bound.total_seconds()
        return Observation(
            readings={"bound_s": bound_s, "lag_bytes": loss.lag_bytes, "source": loss.source}
        )

    async def perform(self, ctx: Context, target: CloudSqlInstance, params: NoParams) -> LossBound:
        """
        Measures. What does not answer makes the bound unknown, with the reason as ``source``.

        Raises:
            Rejected: The environment gives this target no ``sql`` or no ``sightings_url``.
        """
        url, sql = target.sightings_url, target.sql
        if url is None or sql is None:
            raise Rejected(f"{target.label} needs both sql and sightings_url to bound a loss")
        loss, seen = await asyncio.gather(
            _witness.measure(ctx, sql, lambda: fetch_sighting(ctx, url)), _ask(ctx, target)
        )
        return _with_state(loss, seen)


async def _ask(ctx: Context, target: CloudSqlInstance) -> Instance | ActionError:
    try:
        return await describe(Gcp(ctx, target.gcp), target.instance, patience=PATIENCE)
    except ActionError as error:
        return error


def _with_state(loss: LossBound, seen: Instance | ActionError) -> LossBound:
    """Google's word can only make the answer worse: it knows of promotions, not of lost writes."""
    if isinstance(seen, ActionError):
        return loss.model_copy(update={"source": f"{loss.source}; Cloud SQL was not read: {seen}"})
    if seen.is_primary:
        return loss.model_copy(
            update={"bound": None, "source": "unknown: Cloud SQL says that this is not a replica"}
        )
    if seen.state != RUNNABLE:
        return loss.model_copy(update={"source": f'{loss.source}; it is "{seen.state}"'})
    return loss
