"""Whether a Prometheus works: it must say so itself, and be able to answer queries."""

from typing import ClassVar

from drctl.actions.contract import Action, Context, Effect, NoParams, Outputs, Repeat
from drctl.actions.targets import PrometheusServer, Target
from drctl.adapters import _bearer, _http


class HealthOutputs(Outputs):
    """What it said."""

    is_healthy: bool
    latency_s: float
    """Of the slower of the two answers."""


class Health(Action[PrometheusServer, NoParams, HealthOutputs]):
    """Asks ``/-/healthy`` (the process lives) and ``/-/ready`` (it answers queries)."""

    name: ClassVar[str] = "prometheus.health"
    summary: ClassVar[str] = "Asks a Prometheus whether it is healthy and ready"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets: ClassVar[tuple[type[Target], ...]] = (PrometheusServer,)
    outputs: ClassVar[type[Outputs]] = HealthOutputs

    def planes(self, target: PrometheusServer) -> tuple[str, ...]:
        return (f"data-plane:{target.region}",)

    async def perform(
        self, ctx: Context, target: PrometheusServer, params: NoParams
    ) -> HealthOutputs:
        """
        Asks both.

        Raises:
            Unavailable: It does not answer, or says that it is not ready.
            ActionError: Any other status than 200.
        """
        slowest_s = 0.0
        for path in ("/-/healthy", "/-/ready"):
            answer = await _bearer.get(ctx, target, path)
            error = _http.status_error(answer, "GET", f"{target.label}{path}")
            if error is not None:
                raise error
            slowest_s = max(slowest_s, answer.latency_s)
        return HealthOutputs(is_healthy=True, latency_s=slowest_s)
