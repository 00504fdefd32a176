"""Patroni: a PostgreSQL cluster whose members elect their primary through a store of their own."""

from drctl.actions.contract import Adapter
from drctl.adapters.patroni.failover import Failover
from drctl.adapters.patroni.identity import SystemIdentifierPin
from drctl.adapters.patroni.pause import Pause, Resume
from drctl.adapters.patroni.switchover import Switchover
from drctl.adapters.patroni.wait import Wait

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="patroni",
    actions=(Failover(), Pause(), Resume(), Switchover(), Wait()),
    pins=(SystemIdentifierPin(),),
    libraries=("asyncpg", "httpx", "dns.asyncresolver"),
)
