"""The database as an operator runs it: a cluster and a standby cluster, both in the east."""

import json
from typing import Any

from drctl.lab.estate.databases import Built, Ground
from drctl.lab.estate.environment import (
    EAST,
    WEST,
    WITNESS_BUCKET,
    WITNESS_KEY,
    client_path,
    sql,
    writes,
)
from drctl.lab.operator.instances import NAMESPACE, PRIMARY, STANDBY, service_name

_PART = "PostgresOperator"


class OperatorDatabases:
    """Two ``postgresql`` resources that run already; here the estate learns of them."""

    def build(self, ground: Ground) -> Built:
        """Starts what uses them, and lets the observer be read."""
        primary = service_name(PRIMARY)
        ground.say(f"postgresql {PRIMARY}, standby cluster {STANDBY}")
        ground.start_pods(primary)
        ground.observe(primary)
        balancer = ground.balancer(EAST)  # the buckets are there by then
        _publish_sightings(ground)
        return Built(
            targets={
                "db.primary_server": _server(ground, PRIMARY, balancer),
                "db.standby_server": _server(ground, STANDBY, balancer),
                "db.primary_cluster": _resource(ground, PRIMARY),
                "db.standby_cluster": _resource(ground, STANDBY),
            },
            runbooks={"database-outage": "database-failover-kubernetes"},
        )


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


def _server(ground: Ground, name: str, balancer: str) -> dict[str, Any]:
    return {
        "kind": "postgres.server",
        "region": EAST,
        "system_identifier": ground.facts[_PART]["system_identifier"],
        "sql": sql(service_name(name), ground.secrets),
        "client_path": client_path(),
        "client_write_urls": [writes(balancer)],
    }


def _resource(ground: Ground, name: str) -> dict[str, Any]:
    return {
        "kind": "kubernetes.postgresql",
        "operator": "zalando",
        "cluster": "cluster-east",
        "namespace": NAMESPACE,
        "name": name,
        "system_identifier": ground.facts[_PART]["system_identifier"],
        "sql": sql(service_name(name), ground.secrets),
        "sightings_url": f"{ground.plan.aws_url(WEST)}/{WITNESS_BUCKET}/{WITNESS_KEY}",
        "sightings_region": WEST,
    }
