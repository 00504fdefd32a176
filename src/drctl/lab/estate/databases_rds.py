"""The database as RDS: a primary in the east, its cross-region replica in the west."""

from typing import Any

from drctl.lab.estate import aws as parts
from drctl.lab.estate.credentials import application_role, keep
from drctl.lab.estate.database import schema
from drctl.lab.estate.databases import Built, Ground
from drctl.lab.estate.environment import (
    EAST,
    PRIMARY,
    REPLICA,
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

        def target(region: str, instance: str, host: str, fence: str) -> dict[str, Any]:
            return {
                "kind": "aws.rds.instance",
                "aws": "aws-east" if region == EAST else "aws-west",
                "instance": instance,
                "system_identifier": identifier,
                "fence_security_group": fence,
                "sql": sql(host, secrets),
                "witness": witness(),
                "client_path": client_path(),
            }

        old = target(EAST, PRIMARY, primary, fence_east)
        old["client_write_urls"] = [writes(ground.balancer(EAST))]
        return Built(
            targets={
                "db.primary": old,
                "db.recovery": target(WEST, REPLICA, replica, fence_west),
                "credential.application": application_role(
                    primary, identifier, keep(aws, secrets), secrets
                ),
            },
            runbooks={
                "region-outage": "region-failover",
                "security-breach": "isolate-and-rotate",
            },
        )
