"""The database as RDS: a primary in the east, its cross-region replica in the west."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from drctl.lab.estate import aws as parts
from drctl.lab.estate.credentials import application_role, keep
from drctl.lab.estate.database import schema
from drctl.lab.estate.databases import PROVEN_BY_A_ROW, Built, Ground
from drctl.lab.estate.environment import (
    EAST,
    NEIGHBOUR,
    PRIMARY,
    REPLACEMENT,
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
        east, primary = _primary(ground)
        west = _Region(ground, WEST, east.system)
        replica = parts.replica(ground.aws, west.door)
        ground.say(f"replica {replica}")
        old = east.target(PRIMARY, primary)
        new = west.target(REPLICA, replica)
        return Built(
            targets={
                "db.primary": old,
                "db.recovery": new,
                "db.primary_rds": _by_its_api(old),
                "db.recovery_rds": _by_its_api(new),
                "db.restored": _to_be_restored(east),
                "credential.application": application_role(
                    primary,
                    east.system,
                    keep(ground.aws, ground.secrets),
                    ground.secrets,
                ),
            },
            runbooks={
                **PROVEN_BY_A_ROW,
                "region-outage": "region-failover",
                "security-breach": "isolate-and-rotate",
                "region-maintenance": "region-switchover",
                "region-reprotect": "region-reprotect",
                "region-return": "region-failback",
                "database-corruption": "point-in-time-recovery-rds",
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


class RdsInOneRegion:
    """A primary and its replica, both in the east; the west has none."""

    def build(self, ground: Ground) -> Built:
        """
        Builds both.

        Raises:
            TimeoutError: One did not become available.
        """
        east, primary = _primary(ground)
        standby = parts.neighbour(ground.aws, east.door)
        ground.say(f"replica {standby}")
        return Built(
            targets={
                "db.primary": east.target(PRIMARY, primary),
                "db.standby": east.target(NEIGHBOUR, standby),
                # Not there yet: what takes the standby's place once that is the primary.
                "db.replacement": _by_its_api(east.target(REPLACEMENT, "")),
                "db.restored": _to_be_restored(east),
            },
            runbooks={
                **PROVEN_BY_A_ROW,
                "database-outage": "database-failover-rds",
                "database-corruption": "point-in-time-recovery-rds",
            },
        )


class _Region:
    """What the instances of a region share."""

    def __init__(self, ground: Ground, name: str, system: str) -> None:
        self.ground = ground
        self._name = name
        self.system = system
        self.door, self._fence = parts.security_groups(ground.aws, name)

    def target(self, instance: str, host: str) -> dict[str, Any]:
        """An instance's entry in the environment file."""
        return {
            "kind": "aws.rds.instance",
            "aws": "aws-east" if self._name == EAST else "aws-west",
            "instance": instance,
            "system_identifier": self.system,
            "fence_security_group": self._fence,
            "security_groups": [self.door],
            "sql": sql(host, self.ground.secrets),
            "witness": witness(),
            "client_path": client_path(),
            "client_write_urls": [writes(self.ground.balancer(self._name))],
        }


def _primary(ground: Ground) -> tuple[_Region, str]:
    east = _Region(ground, EAST, "")
    host = parts.primary(ground.aws, east.door, ground.secrets.read("database_master"))
    ground.say(f"primary {host}")
    east.system = schema(host, ground.plan.dns, ground.secrets)
    # The pods need the primary's name and its roles, and start while the replica is copied.
    ground.start_pods(host)
    ground.observe(host)
    return east, host


def _to_be_restored(east: _Region) -> dict[str, Any]:
    """
    What a restore will make, and where that will be reached. It has no pin that could be read
    before it is there; the restore compares it with its source's.
    """
    host = east.ground.plan.rds_name(EAST, RESTORED)
    target = east.target(RESTORED, host)
    del target["system_identifier"]
    return target


def _by_its_api(target: Mapping[str, Any]) -> dict[str, Any]:
    """The same instance for who renames it or makes it anew: then nobody answers by SQL."""
    kept = (
        *("kind", "aws", "instance", "system_identifier"),
        *("fence_security_group", "security_groups"),
    )
    return {name: target[name] for name in kept}
