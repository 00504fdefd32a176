"""The database as RDS: a primary in the east, its cross-region replica in the west."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from drctl.lab.estate import aws as parts
from drctl.lab.estate.database import schema
from drctl.lab.estate.databases import Built, Ground
from drctl.lab.estate.environment import (
    EAST,
    PRIMARY,
    REPLICA,
    RESTORED,
    RETURN_WITNESS_BUCKET,
    RETURN_WITNESS_KEY,
    WEST,
    client_path,
    sql,
    witness,
    writes,
)


class RdsDatabases:
    """Two instances of RDS for PostgreSQL."""

    def build(self, ground: Ground) -> Built:
        """
        Builds both.

        Raises:
            TimeoutError: One did not become available.
        """
        aws, secrets = ground.aws, ground.secrets
        open_east, fence_east = parts.security_groups(aws, EAST)
        primary = parts.primary(aws, open_east, secrets.read("database_master"))
        ground.say(f"primary {primary}")
        identifier = schema(primary, ground.plan.dns, secrets)
        # The pods need the primary's name and its roles, and start while the replica is copied.
        ground.start_pods(primary)
        ground.observe(primary)
        open_west, fence_west = parts.security_groups(aws, WEST)
        replica = parts.replica(aws, open_west)
        ground.say(f"replica {replica}")

        def target(region: str, instance: str, host: str) -> dict[str, Any]:
            door, fence = (open_east, fence_east) if region == EAST else (open_west, fence_west)
            return {
                "kind": "aws.rds.instance",
                "aws": "aws-east" if region == EAST else "aws-west",
                "instance": instance,
                "system_identifier": identifier,
                "fence_security_group": fence,
                "security_groups": [door],
                "sql": sql(host, secrets),
                "witness": witness(),
                "client_path": client_path(),
            }

        # Not there yet: what a restore will make, and where that will be reached. So it has no pin
        # that could be read before; the restore compares it with its source's.
        restored = target(EAST, RESTORED, ground.plan.rds_name(EAST, RESTORED))
        del restored["system_identifier"]
        old = target(EAST, PRIMARY, primary)
        old["client_write_urls"] = [writes(ground.balancer(EAST))]
        new = target(WEST, REPLICA, replica)
        new["client_write_urls"] = [writes(ground.balancer(WEST))]
        return Built(
            targets={
                "db.primary": old,
                "db.recovery": new,
                "db.primary_rds": _by_its_api(old),
                "db.recovery_rds": _by_its_api(new),
                "db.restored": restored,
            },
            runbooks={
                "region-outage": "region-failover",
                "database-corruption": "point-in-time-recovery-rds",
                "region-maintenance": "region-switchover",
                "region-reprotect": "region-reprotect",
                "region-return": "region-failback",
            },
        )


class RdsBothWays(RdsDatabases):
    """The same, with an observer for the way back: of the west's primary, once it is one."""

    def build(self, ground: Ground) -> Built:
        """
        Builds both, and the bucket of that observer.

        Raises:
            TimeoutError: One did not become available.
        """
        ground.aws.client("s3", EAST).create_bucket(Bucket=RETURN_WITNESS_BUCKET)
        built = super().build(ground)
        seen = {"aws": "aws-east", "bucket": RETURN_WITNESS_BUCKET, "key": RETURN_WITNESS_KEY}
        primary = {**built.targets["db.primary"], "witness": seen}
        return replace(built, targets={**built.targets, "db.primary": primary})


def _by_its_api(target: Mapping[str, Any]) -> dict[str, Any]:
    """The same instance for who renames it or makes it anew: then nobody answers by SQL."""
    kept = (
        *("kind", "aws", "instance", "system_identifier"),
        *("fence_security_group", "security_groups"),
    )
    return {name: target[name] for name in kept}
