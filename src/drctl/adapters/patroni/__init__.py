"""Patroni: a PostgreSQL cluster whose members elect their primary through a store of their own."""

from drctl.actions.contract import Adapter
from drctl.actions.late import Late

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="patroni",
    actions=Late(
        __name__,
        {
            "patroni.cluster.failover": "failover:Failover",
            "patroni.cluster.pause": "pause:Pause",
            "patroni.cluster.resume": "pause:Resume",
            "patroni.cluster.switchover": "switchover:Switchover",
            "patroni.cluster.wait": "wait:Wait",
        },
    ),
    pins=Late(
        __name__,
        {
            "patroni.system_identifier": "identity:SystemIdentifierPin",
        },
    ),
    libraries=("asyncpg", "httpx", "dns.asyncresolver"),
)
