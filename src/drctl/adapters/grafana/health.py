"""Whether a Grafana works."""

from typing import ClassVar

from drctl.actions.contract import Action, Context, Effect, NoParams, Outputs, Repeat
from drctl.actions.errors import Rejected, Unavailable
from drctl.actions.targets import GrafanaServer, Target
from drctl.adapters import _bearer, _http
from drctl.kernel.text import sanitize


class HealthOutputs(Outputs):
    """What it said."""

    is_healthy: bool
    database: str
    """What it says of its own database: ``ok``."""
    version: str
    latency_s: float


class Health(Action[GrafanaServer, NoParams, HealthOutputs]):
    """Asks ``/api/health``, which also says whether Grafana reaches its own database."""

    name: ClassVar[str] = "grafana.health"
    summary: ClassVar[str] = "Asks a Grafana whether it and its database are well"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets: ClassVar[tuple[type[Target], ...]] = (GrafanaServer,)
    outputs: ClassVar[type[Outputs]] = HealthOutputs

    def planes(self, target: GrafanaServer) -> tuple[str, ...]:
        return (f"data-plane:{target.region}",)

    async def perform(self, ctx: Context, target: GrafanaServer, params: NoParams) -> HealthOutputs:
        """
        Asks.

        Raises:
            Unavailable: It does not answer, or not now: its database is failing.
            Rejected: What answers is no Grafana.
            ActionError: Any other status than 200.
        """
        answer = await _bearer.get(ctx, target, "/api/health")
        error = _http.status_error(answer, "GET", target.label)
        if error is not None:
            raise error
        try:
            told = answer.json()
        except ValueError:
            told = None
        database = told.get("database") if isinstance(told, dict) else None
        if not isinstance(told, dict) or not isinstance(database, str):
            raise Rejected(f"{target.label} does not answer as a Grafana does")
        if database != "ok":
            raise Unavailable(f'{target.label} says of its database: "{database}"')
        return HealthOutputs(
            is_healthy=True,
            database=database,
            version=sanitize(str(told.get("version", "")), limit=50),
            latency_s=answer.latency_s,
        )
