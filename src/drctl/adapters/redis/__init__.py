"""Redis and Valkey: servers, and the sentinels that watch them."""

from drctl.actions.contract import Adapter
from drctl.actions.late import Late

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="redis",
    actions=Late(
        __name__,
        {
            "redis.primary.assert_writable": "writable:AssertWritable",
            "redis.flush": "flush:Flush",
            "redis.sentinel.failover": "failover:SentinelFailover",
        },
    ),
    libraries=("redis.asyncio", "dns.asyncresolver"),
)
