"""Prometheus: whether it works, and what it says of everything else."""

from drctl.actions.contract import Adapter
from drctl.adapters.prometheus.health import Health
from drctl.adapters.prometheus.query import AssertQuery

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="prometheus",
    actions=(AssertQuery(), Health()),
    libraries=("httpx", "dns.asyncresolver"),
)
