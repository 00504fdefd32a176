"""Grafana: whether it works."""

from drctl.actions.contract import Adapter
from drctl.adapters.grafana.health import Health

__all__ = ["ADAPTER"]

ADAPTER = Adapter(name="grafana", actions=(Health(),), libraries=("httpx", "dns.asyncresolver"))
