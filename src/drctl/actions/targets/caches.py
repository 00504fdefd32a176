"""Caches: the family ``cache``."""

from typing import ClassVar, Literal, TypeAlias

from pydantic import Field

from drctl.actions.targets.parts import AwsConnection, Part, Target, Text
from drctl.kernel.secret import SecretRef


class Endpoint(Part):
    """Where a server listens."""

    host: Text
    """A name, resolved through the environment's own resolvers, or an address."""
    port: int = Field(default=6379, ge=1, le=65535)

    @property
    def text(self) -> str:
        """``host:port``."""
        return f"{self.host}:{self.port}"


class RedisAccess(Part):
    """How Redis or Valkey is spoken to."""

    user: Text | None = None
    """An ACL user; absent: the user ``default``."""
    password: SecretRef | None = None
    tls: Literal["verify-full", "require", "off"] = "verify-full"
    ca_file: Text | None = None


class RedisSentinels(Target):
    """A primary and its replicas, watched by sentinels; Redis and Valkey speak the same."""

    family: ClassVar[str] = "cache"
    kind: Literal["redis.sentinel"] = "redis.sentinel"
    region: Text
    group: Text
    """What the sentinels call it, as in ``SENTINEL MASTER group``."""
    sentinels: tuple[Endpoint, ...] = Field(min_length=1)
    """All of them: what more than half of these say is what the group says."""
    nodes: tuple[Endpoint, ...] = Field(min_length=1)
    """Every data node, as the sentinels name it. A primary that is none of these is another
    group's: nothing is sent to it."""
    access: RedisAccess
    """To the data nodes."""
    sentinel_access: RedisAccess | None = None
    """To the sentinels; absent: the same."""
    db: int = Field(default=0, ge=0, le=65535)
    """Where a proof of writing leaves its mark."""

    @property
    def label(self) -> str:
        return f"{self.group} behind {len(self.sentinels)} sentinels ({self.region})"

    @property
    def identities(self) -> tuple[str, ...]:
        return tuple(f"redis:{node.text}" for node in self.nodes)

    @property
    def places(self) -> tuple[str, ...]:
        return (self.region, *(node.text for node in (*self.sentinels, *self.nodes)))


class RedisServer(Target):
    """One Redis or Valkey server that no sentinel watches."""

    family: ClassVar[str] = "cache"
    kind: Literal["redis.server"] = "redis.server"
    region: Text
    at: Endpoint
    access: RedisAccess
    db: int = Field(default=0, ge=0, le=65535)
    """As for `RedisSentinels`."""

    @property
    def label(self) -> str:
        return f"{self.at.text} ({self.region})"

    @property
    def identities(self) -> tuple[str, ...]:
        return (f"redis:{self.at.text}",)

    @property
    def places(self) -> tuple[str, ...]:
        return (self.region, self.at.text)


class ElastiCacheGlobal(Target):
    """An ElastiCache Global Datastore, and its member in the recovery region."""

    family: ClassVar[str] = "cache"
    kind: Literal["aws.elasticache.global"] = "aws.elasticache.global"
    aws: AwsConnection
    """The *recovery* region's."""
    datastore: Text
    """Its id, with the prefix that AWS gave it."""
    replication_group: Text
    """The member in the recovery region."""

    @property
    def label(self) -> str:
        return f"global datastore {self.datastore} ({self.aws.region})"

    @property
    def identities(self) -> tuple[str, ...]:
        return (f"aws:{self.aws.account}:elasticache-global:{self.datastore}",)

    @property
    def places(self) -> tuple[str, ...]:
        return (self.aws.region,)


Cache: TypeAlias = RedisSentinels | RedisServer
