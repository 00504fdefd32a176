"""Grafana: whether it works."""

from drctl.actions.contract import Adapter
from drctl.actions.late import Late

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="grafana",
    actions=Late(
        __name__,
        {
            "grafana.health": "health:Health",
        },
    ),
    libraries=("httpx", "dns.asyncresolver"),
)
