"""Prometheus: whether it works, and what it says of everything else."""

from drctl.actions.contract import Adapter
from drctl.actions.late import Late

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="prometheus",
    actions=Late(
        __name__,
        {
            "prometheus.query.assert": "query:AssertQuery",
            "prometheus.health": "health:Health",
        },
    ),
    libraries=("httpx", "dns.asyncresolver"),
)
