"""How much would be lost by promoting a standby that its owner manages."""

from datetime import timedelta
from typing import ClassVar

from drctl.actions.contract import Action, Context, Effect, Observation, Outputs, Params, Repeat
from drctl.actions.loss import LossBound
from drctl.actions.planes import Ask, data, places_needed, sightings
from drctl.actions.targets import PostgresServer, Target, Url
from drctl.adapters import _http, _sql, _witness
from drctl.adapters.postgres.server import look

_FETCH_FOR = timedelta(seconds=5)


async def fetch(ctx: Context, url: str) -> bytes:
    """
    Gets the observer's document.

    Raises:
        ActionError: It did not come.
    """
    response = await _http.send_ok(ctx, "GET", url, label="the witness", timeout=_FETCH_FOR)
    return response.body


def saw(target: PostgresServer, url: str | None, **more: str) -> tuple[Ask, ...]:
    """What is asked for the observer's document; one that a step names is in no known place."""
    if url is not None:
        return sightings(url, None, **more)
    return sightings(target.sightings_url, target.sightings_region, **more)


class LagParams(Params):
    """Where the independent observer can be read."""

    sightings_url: Url | None = None
    """Where the observer publishes its last sighting, when the environment does not say it; see
    `drctl.adapters._witness` for the format. Without one the bound is unknown: a standby's own word
    about its lag is not evidence."""


class MeasureLag(Action[PostgresServer, LagParams, LossBound]):
    """Bounds the acknowledged writes that promoting this standby would lose."""

    name: ClassVar[str] = "postgres.measure_lag"
    summary: ClassVar[str] = "Bounds the acknowledged writes that promoting a standby would lose"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets: ClassVar[tuple[type[Target], ...]] = (PostgresServer,)
    params: ClassVar[type[Params]] = LagParams
    outputs: ClassVar[type[Outputs]] = LossBound
    measures_loss: ClassVar[bool] = True

    def planes(self, target: PostgresServer) -> tuple[str, ...]:
        return places_needed(self.asks(target))

    def asks(self, target: PostgresServer, params: LagParams | None = None) -> tuple[Ask, ...]:
        own = data(target.region, "PostgreSQL: else nothing bounds the loss")
        return (own, *saw(target, params.sightings_url if params else None))

    def asks_to_look(
        self, target: PostgresServer, params: LagParams | None = None
    ) -> tuple[Ask, ...]:
        return (data(target.region, "PostgreSQL"),)

    async def observe(
        self, ctx: Context, target: PostgresServer, params: LagParams | None
    ) -> Observation:
        """
        Reads the standby.

        Raises:
            ActionError: It did not answer.
        """
        async with _sql.connect(target.sql, ctx) as connection:
            return (await look(connection)).observation()

    async def perform(self, ctx: Context, target: PostgresServer, params: LagParams) -> LossBound:
        """Measures. Never raises for silence: the bound is then unknown, and says why."""
        url = params.sightings_url or target.sightings_url
        if url is None:
            return LossBound(bound=None, source="unknown: no sightings_url, so no witness")

        return await _witness.measure(ctx, target.sql, lambda: fetch(ctx, url))
