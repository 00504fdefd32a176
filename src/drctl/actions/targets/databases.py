"""Databases: the family ``db``."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints, model_validator

from drctl.actions.targets.parts import (
    AwsConnection,
    ClientPath,
    GcpConnection,
    Part,
    PostgresBackups,
    PostgresHost,
    Sibling,
    SqlAccess,
    Target,
    Text,
    Url,
    Witness,
)
from drctl.kernel.secret import SecretRef


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
    sightings_region: Text | None = None
    """Where that is. Without it no plan can say what the loss of that region would break."""
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


class PatroniMember(Part):
    """One server of a Patroni cluster, with the Patroni beside it."""

    name: Text
    """As Patroni has it: what it calls leader or candidate."""
    url: Url
    """Its REST API."""
    host: Text
    """PostgreSQL's, a name or an address."""
    port: int = Field(default=5432, ge=1, le=65535)


class PatroniSql(Part):
    """How every member is reached by SQL: they are copies, so roles and databases are the same."""

    database: Text = "postgres"
    user: Text
    password: SecretRef
    tls: Literal["verify-full", "require", "off"] = "verify-full"
    ca_file: Text | None = None


class PatroniAuth(Part):
    """The name and password that Patroni's REST API asks for before it changes something."""

    user: Annotated[str, StringConstraints(pattern=r"^[^:\s]+$")]
    password: SecretRef


class PatroniCluster(Target):
    """A primary and its standbys, of which Patroni says who is which."""

    family: ClassVar[str] = "db"
    kind: Literal["patroni.cluster"] = "patroni.cluster"
    region: Text
    scope: Text
    """Patroni's name of the cluster; who answers with another one is another cluster."""
    members: tuple[PatroniMember, ...] = Field(min_length=2)
    """All of them. One that is not named here cannot be asked what it has, and speaks against a
    failover."""
    sql: PatroniSql
    auth: PatroniAuth | None = None
    ca_file: Text | None = None
    """Whom to trust for the REST API; absent: the public authorities."""
    system_identifier: Annotated[str, StringConstraints(pattern=r"^[0-9]+$")]
    """Pin: what ``initdb`` made, and every member has."""
    sightings_url: Url | None = None
    """As for `PostgresServer`."""

    @model_validator(mode="after")
    def _names_differ(self) -> "PatroniCluster":
        if len({one.name for one in self.members}) < len(self.members):
            raise ValueError("two members have one name")
        return self

    @property
    def label(self) -> str:
        return f"{self.scope} of {len(self.members)} members ({self.region})"

    @property
    def identities(self) -> tuple[str, ...]:
        addresses = tuple(f"postgres:{one.host}:{one.port}" for one in self.members)
        return (*addresses, *_system(self.system_identifier))

    @property
    def places(self) -> tuple[str, ...]:
        return (self.region, *(f"{one.host}:{one.port}" for one in self.members))

    def member(self, name: str) -> PatroniMember | None:
        """The member of that name; ``None`` when the environment has none."""
        return next((one for one in self.members if one.name == name), None)

    def access(self, member: PatroniMember) -> SqlAccess:
        """How that member is reached by SQL."""
        return SqlAccess(host=member.host, port=member.port, **self.sql.model_dump())


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
