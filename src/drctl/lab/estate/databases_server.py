"""The database as servers that their owner manages, both in the east."""

import json
from typing import Any

from drctl.lab.estate.aws import wait_until
from drctl.lab.estate.databases import PROVEN_BY_A_ROW, Built, Ground
from drctl.lab.estate.environment import (
    EAST,
    WEST,
    WITNESS_BUCKET,
    WITNESS_KEY,
    client_path,
    sql,
    writes,
)
from drctl.lab.plan import AddressPlan
from drctl.lab.root import LabRoot
from drctl.lab.selfmanaged.layout import (
    DOMAIN,
    NUMBERS,
    PRIMARY,
    REPLICATION_USER,
    RESTORED,
    STANDBY,
    Layout,
    host_name,
)

_PART = "DatabaseServers"


class ServerDatabases:
    """A primary and its standby that run already; here they get names and users."""

    def build(self, ground: Ground) -> Built:
        """
        Gives the servers their names, starts what uses them, and lets the observer be read.

        Raises:
            TimeoutError: The names were not in force in time.
        """
        layout = Layout(ground.plan, LabRoot(ground.plan.lab_root()))
        _names(ground, layout)
        primary = host_name(PRIMARY)
        ground.say(f"primary {primary}, standby {host_name(STANDBY)}")
        ground.start_pods(primary)
        # Whoever is the primary is watched: after a failover that is the other one.
        ground.observe(f"{primary},{host_name(STANDBY)}")
        east = ground.balancer(EAST)  # the buckets are there by then
        _publish_sightings(ground)
        targets = {
            "db.primary": _target(ground, layout, PRIMARY, follows=STANDBY, balancer=east),
            "db.standby": _target(ground, layout, STANDBY, follows=PRIMARY, balancer=east),
            "db.restored": _restored(ground, layout),
        }
        return Built(
            targets=targets,
            runbooks={
                **PROVEN_BY_A_ROW,
                "database-outage": "database-failover",
                "database-maintenance": "database-switchover",
                "database-return": "database-failback",
                "database-corruption": "point-in-time-recovery",
            },
        )


def _names(ground: Ground, layout: Layout) -> None:
    route53 = ground.aws.client("route53", EAST)
    zone = route53.create_hosted_zone(Name=DOMAIN, CallerReference="lab-db")["HostedZone"]["Id"]
    change = route53.change_resource_record_sets(
        HostedZoneId=zone,
        ChangeBatch={
            "Changes": [
                {
                    "Action": "CREATE",
                    "ResourceRecordSet": {
                        "Name": host_name(name),
                        "Type": "A",
                        "TTL": 5,
                        "ResourceRecords": [{"Value": layout.address(name)[0]}],
                    },
                }
                for name in NUMBERS
            ]
        },
    )["ChangeInfo"]["Id"]

    def is_in_sync() -> bool:
        return bool(route53.get_change(Id=change)["ChangeInfo"]["Status"] == "INSYNC")

    wait_until(is_in_sync, f"{DOMAIN} is in sync")


def _publish_sightings(ground: Ground) -> None:
    """The observer's document holds no secret; whoever fails over reads it by HTTP."""
    anybody_reads = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": ["s3:GetObject"],
        "Resource": [f"arn:aws:s3:::{WITNESS_BUCKET}/*"],
    }
    policy = {"Version": "2012-10-17", "Statement": [anybody_reads]}
    s3 = ground.aws.client("s3", WEST)
    s3.put_bucket_policy(Bucket=WITNESS_BUCKET, Policy=json.dumps(policy))


def _runs_on(ground: Ground, layout: Layout, name: str) -> dict[str, Any]:
    return {
        "machine": f"{name}-machine",
        "programs": ground.facts[_PART]["programs"],
        "data_directory": str(layout.data(name)),
        "server_options": layout.options(name),
        "log": str(layout.machine(name) / "postgres.log"),
        "replication_user": REPLICATION_USER,
        "passfile": str(layout.passfile(name)),
        "restore_command": f"cp {layout.archive}/%f %p",
    }


def _target(
    ground: Ground, layout: Layout, name: str, *, follows: str, balancer: str
) -> dict[str, Any]:
    via_host, via_port = layout.link(follows)
    upstream = {"host": host_name(follows), "via_host": via_host, "via_port": via_port}
    return {
        "kind": "postgres.server",
        "region": EAST,
        "system_identifier": ground.facts[_PART]["system_identifier"],
        "sql": sql(host_name(name), ground.secrets),
        "client_path": client_path(),
        "client_write_urls": [writes(balancer)],
        "sightings_url": _sightings(ground.plan),
        "sightings_region": WEST,
        "runs_on": _runs_on(ground, layout, name) | {"upstreams": [upstream]},
    }


def _restored(ground: Ground, layout: Layout) -> dict[str, Any]:
    """The place of a restored instance: nothing is there, so nothing is pinned but its source."""
    return {
        "kind": "postgres.server",
        "region": EAST,
        "sql": sql(host_name(RESTORED), ground.secrets),
        "client_path": client_path(),
        "runs_on": _runs_on(ground, layout, RESTORED),
        "backups": {
            "base_backups": str(layout.base_backups),
            "wal_archive": str(layout.archive),
            "system_identifier": ground.facts[_PART]["system_identifier"],
        },
    }


def _sightings(plan: AddressPlan) -> str:
    return f"{plan.aws_url(WEST)}/{WITNESS_BUCKET}/{WITNESS_KEY}"
