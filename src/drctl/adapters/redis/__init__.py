"""Redis and Valkey: servers, and the sentinels that watch them."""

from drctl.actions.contract import Adapter
from drctl.adapters.redis.failover import SentinelFailover
from drctl.adapters.redis.flush import Flush
from drctl.adapters.redis.writable import AssertWritable

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="redis",
    actions=(AssertWritable(), Flush(), SentinelFailover()),
    libraries=("redis.asyncio", "dns.asyncresolver"),
)
