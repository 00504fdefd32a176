"""What watches the estate: the family ``monitoring``."""

from typing import ClassVar, Literal

from drctl.actions.targets.parts import Target, Text, Url
from drctl.kernel.secret import SecretRef


class _Server(Target):
    """A server that is asked over HTTP, from where drctl runs: that must be able to reach it."""

    family: ClassVar[str] = "monitoring"
    url: Url
    region: Text
    token: SecretRef | None = None
    """Bearer token, where there is one."""

    @property
    def label(self) -> str:
        return f"{self.url} ({self.region})"

    @property
    def identities(self) -> tuple[str, ...]:
        return (f"url:{self.url.rstrip('/')}",)

    @property
    def places(self) -> tuple[str, ...]:
        return (self.region,)


class PrometheusServer(_Server):
    """A Prometheus, or what speaks its HTTP API."""

    kind: Literal["prometheus.server"] = "prometheus.server"


class GrafanaServer(_Server):
    """A Grafana."""

    kind: Literal["grafana.server"] = "grafana.server"
