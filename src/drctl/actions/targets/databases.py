"""Databases: the family ``db``."""

from typing import Annotated, ClassVar, Literal

from pydantic import StringConstraints

from drctl.actions.targets.parts import (
    AwsConnection,
    ClientPath,
    GcpConnection,
    PostgresBackups,
    PostgresHost,
    Sibling,
    SqlAccess,
    Target,
    Text,
    Url,
    Witness,
)


class RdsInstance(Target):
    """An RDS for PostgreSQL instance."""

    family: ClassVar[str] = "db"
    kind: Literal["aws.rds.instance"] = "aws.rds.instance"
    aws: AwsConnection
    instance: Text
    sql: SqlAccess | None = None
    system_identifier: Annotated[str, StringConstraints(pattern=r"^[0-9]+$")] | None = None
    """Pin of the PostgreSQL cluster; primary and standby share it."""
    fence_security_group: Text | None = None
    """
    A security group without any ingress rule, made in advance; the fence swaps the instance into
    it.
    """
    security_groups: tuple[Text, ...] = ()
    """Ids of the groups through which clients reach it; what is made in its place, or restored from
    it while it is fenced, is put into these."""
    client_write_urls: tuple[Url, ...] = ()
    """Places of this side where clients write through the application; the fence proves that a POST
    to each is refused. Each is a vantage point besides SQL."""
    witness: Witness | None = None
    siblings: tuple[Sibling, ...] = ()
    """Other standbys; one that has more than this one is to be promoted instead of it."""
    client_path: ClientPath | None = None

    @property
    def label(self) -> str:
        return f"{self.instance} ({self.aws.region})"

    @property
    def identities(self) -> tuple[str, ...]:
        own = f"aws:{self.aws.account}:{self.aws.region}:rds:{self.instance}"
        return (own, *_system(self.system_identifier))

    @property
    def places(self) -> tuple[str, ...]:
        return (self.aws.region, *_address(self.sql))


class PostgresServer(Target):
    """A PostgreSQL server that is managed by its owner."""

    family: ClassVar[str] = "db"
    kind: Literal["postgres.server"] = "postgres.server"
    sql: SqlAccess
    system_identifier: Annotated[str, StringConstraints(pattern=r"^[0-9]+$")] | None = None
    client_write_urls: tuple[Url, ...] = ()
    witness: Witness | None = None
    siblings: tuple[Sibling, ...] = ()
    """As for `RdsInstance`."""
    client_path: ClientPath | None = None
    sightings_url: Url | None = None
    """Where the observer of the primary publishes its last sighting; a step may name another."""
    runs_on: PostgresHost | None = None
    """For what SQL cannot do: stop, rewind, copy, restore."""
    backups: PostgresBackups | None = None
    """What a restore into this server's (empty) place is made from."""
    region: Text

    @property
    def label(self) -> str:
        return f"{self.sql.host}:{self.sql.port} ({self.region})"

    @property
    def identities(self) -> tuple[str, ...]:
        return (f"postgres:{self.sql.host}:{self.sql.port}", *_system(self.system_identifier))

    @property
    def places(self) -> tuple[str, ...]:
        return (self.region, *_address(self.sql))


class CloudSqlInstance(Target):
    """A Cloud SQL for PostgreSQL instance."""

    family: ClassVar[str] = "db"
    kind: Literal["gcp.cloudsql.instance"] = "gcp.cloudsql.instance"
    gcp: GcpConnection
    instance: Text
    """Without the project: ``healing-guard-dr``."""
    sql: SqlAccess | None = None
    system_identifier: Annotated[str, StringConstraints(pattern=r"^[0-9]+$")] | None = None
    client_write_urls: tuple[Url, ...] = ()
    siblings: tuple[Sibling, ...] = ()
    """As for `RdsInstance`."""
    sightings_url: Url | None = None
    """Where the observer publishes its last sighting of the primary; see `drctl.adapters._witness`.
    It is not in the primary's region."""
    client_path: ClientPath | None = None

    @property
    def label(self) -> str:
        return f"{self.instance} ({self.gcp.region})"

    @property
    def identities(self) -> tuple[str, ...]:
        own = f"gcp:{self.gcp.project_number}:cloudsql:{self.instance}"
        return (own, *_system(self.system_identifier))

    @property
    def places(self) -> tuple[str, ...]:
        return (self.gcp.region, *_address(self.sql))


def _system(identifier: str | None) -> tuple[str, ...]:
    # A primary and its standbys share it: two failovers in opposite directions are one conflict.
    return (f"postgres:{identifier}",) if identifier else ()


def _address(sql: SqlAccess | None) -> tuple[str, ...]:
    return (f"{sql.host}:{sql.port}",) if sql else ()
