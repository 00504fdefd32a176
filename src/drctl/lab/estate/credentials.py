"""The application's password, and every place that it is kept in."""

import json
from typing import Any

from drctl.lab.access import Secrets
from drctl.lab.estate.aws import Aws
from drctl.lab.estate.cluster import SECRET
from drctl.lab.estate.database import APPLICATION_USER
from drctl.lab.estate.environment import APPLICATION, EAST, sql

NEXT_PASSWORD = f"database_{APPLICATION_USER}_next"
VAULT = f"{APPLICATION}/database"


def keep(aws: Aws, secrets: Secrets) -> str:
    """Puts the application's password into Secrets Manager; returns the secret's name."""
    value = {"username": APPLICATION_USER, "password": secrets.read(f"database_{APPLICATION_USER}")}
    aws.client("secretsmanager", EAST).create_secret(Name=VAULT, SecretString=json.dumps(value))
    return VAULT


def application_role(
    host: str, identifier: str, vault: str, secrets: Secrets, *, region: str = EAST
) -> dict[str, Any]:
    """
    The environment's entry for the application's role.

    Args:
        host: The primary's name.
        identifier: The cluster's system identifier.
        vault: What `keep` returned.
        region: Where the primary is.
    """

    def read_in(cluster: str) -> dict[str, Any]:
        return {
            "cluster": cluster,
            "namespace": APPLICATION,
            "secret": SECRET,
            "key": "password",
        }

    return {
        "kind": "postgres.role",
        "sql": sql(host, secrets),
        "role": APPLICATION_USER,
        "password": secrets.reference(f"database_{APPLICATION_USER}"),
        "next_password": secrets.reference(NEXT_PASSWORD),
        "delivered_to": {"east": read_in("cluster-east"), "west": read_in("cluster-west")},
        "kept_in": {"aws": "aws-east", "secret": vault},
        "system_identifier": identifier,
        "region": region,
    }
