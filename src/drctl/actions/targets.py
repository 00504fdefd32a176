"""
The things an environment may name, by kind.

A target is complete: it holds the connection it is reached through, so an action needs nothing
ambient. The first word of a target's name in an environment (``db.primary``) is its *family*; a
runbook that is checked without an environment is checked by family, with one by kind.
"""

from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from drctl.kernel.secret import SecretRef

Text: TypeAlias = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
"""Never empty: empty selects nothing."""
Url: TypeAlias = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/@]+(/[^\s]*)?$")]
"""No user information: credentials are references."""
AccountId: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[0-9]{12}$")]


class Part(BaseModel):
    """A piece of an environment file."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AwsConnection(Part):
    """One account in one region, through explicit credentials."""

    region: Text
    account: AccountId
    """Pin: STS must answer with this account."""
    access_key_id: SecretRef
    secret_access_key: SecretRef
    session_token: SecretRef | None = None
    endpoints: dict[str, Url] = Field(default_factory=dict)
    """
    Service id (``rds``, ``s3``, ``sts``, ``ec2``, ``route53``) to URL; absent: the vendor's own.
    """


class KubernetesConnection(Part):
    """One cluster through an explicit server and token; no kubeconfig, no current context."""

    server: Url
    ca_file: Text
    token: SecretRef
    cluster_uid: Text
    """Pin: UID of the namespace kube-system."""
    region: Text


class SqlAccess(Part):
    """How a PostgreSQL database is reached by SQL."""

    host: Text
    """A name, resolved through the environment's own resolvers, or an address."""
    port: int = Field(default=5432, ge=1, le=65535)
    database: Text
    user: Text
    password: SecretRef
    tls: Literal["verify-full", "require", "off"] = "verify-full"
    ca_file: Text | None = None


class Witness(Part):
    """
    Where an independent observer keeps its last sighting of the primary: a JSON object in S3.

    The observer runs outside the primary's region. Once a second it writes a row of its own clock
    into the primary's heartbeat table, and then this object, so that what the standby has can be
    compared with what somebody else saw. Format: see `drctl.adapters._witness`.
    """

    aws: AwsConnection
    bucket: Text
    key: Text


class Sibling(Part):
    """
    Another standby of the same primary, by its address: it shares the roles and the database, as
    every physical copy does.
    """

    host: Text
    port: int = Field(default=5432, ge=1, le=65535)


class ClientPath(Part):
    """How clients write, to wherever that leads just now; a failover is proven through it."""

    url: Url
    """Takes ``POST {"id": "TEXT"}`` and answers 2xx once the row is committed."""
    table: Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]*([.][a-z_][a-z0-9_]*)?$")]
    """Where the row is found by SQL, with its schema: ``shop.orders``."""
    column: Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]*$")] = "id"
    """The column that holds the id."""


class Target(BaseModel):
    """A named thing to act on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: ClassVar[str] = "none"
    kind: str = "none"

    @property
    def label(self) -> str:
        """What a person would call it, with its place: ``healing-guard-dr (us-west-2)``."""
        return "nothing"

    @property
    def identities(self) -> tuple[str, ...]:
        """
        What it really is, for leases: made of ids and pins, never of names that an environment
        chose. Two targets that share one are the same thing, or move together.
        """
        return ()

    @property
    def places(self) -> tuple[str, ...]:
        """Regions and ``host:port`` that it stands or falls with, as far as that can be told."""
        return ()


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


class Deployment(Target):
    """A Kubernetes Deployment, and the address at which it is asked privately."""

    family: ClassVar[str] = "app"
    kind: Literal["kubernetes.deployment"] = "kubernetes.deployment"
    cluster: KubernetesConnection
    namespace: Text
    name: Text
    url: Url | None = None
    """Base URL inside the region, for probes before traffic moves."""

    @property
    def label(self) -> str:
        return f"deployment/{self.name} in {self.namespace} ({self.cluster.region})"

    @property
    def identities(self) -> tuple[str, ...]:
        return (f"kubernetes:{self.cluster.cluster_uid}:{self.namespace}/{self.name}",)

    @property
    def places(self) -> tuple[str, ...]:
        return (self.cluster.region,)


class FailoverSwitch(Target):
    """
    A Route 53 failover pair whose primary record is held by an inverted health check on an S3
    object.

    While the object does not exist the primary record answers; once it exists in the recovery
    region the health check turns unhealthy and the secondary answers. Moving traffic is one data-
    plane write to S3.
    """

    family: ClassVar[str] = "traffic"
    kind: Literal["aws.route53.failover_switch"] = "aws.route53.failover_switch"
    aws: AwsConnection
    """The *recovery* region's."""
    bucket: Text
    key: Text
    record_name: Text
    """The public name, without the final dot."""
    recovery_name: Text
    """
    What the public name must resolve like once the switch is engaged (the recovery balancer's
    name).
    """
    url: Url
    """The service as a customer calls it."""

    @property
    def label(self) -> str:
        return f"{self.record_name} (switch s3://{self.bucket}/{self.key}, {self.aws.region})"

    @property
    def identities(self) -> tuple[str, ...]:
        return (f"aws:s3:{self.bucket}/{self.key}", f"dns:{_domain(self.record_name)}")

    @property
    def places(self) -> tuple[str, ...]:
        return (self.aws.region,)


class DnsRecord(Target):
    """
    A record in a hosted zone, changed through the Route 53 control plane (which lives in us-
    east-1).
    """

    family: ClassVar[str] = "traffic"
    kind: Literal["aws.route53.record"] = "aws.route53.record"
    aws: AwsConnection
    zone_id: Text
    zone_name: Text
    """Pin: the zone with this id must have this name."""
    record_name: Text
    url: Url | None = None

    @property
    def label(self) -> str:
        return f"{self.record_name} in {self.zone_id}"

    @property
    def identities(self) -> tuple[str, ...]:
        name = _domain(self.record_name)
        return (f"aws:route53:{self.zone_id}:{name}", f"dns:{name}")


class SlackChannel(Target):
    """A Slack channel, by incoming webhook or by bot token."""

    family: ClassVar[str] = "comms"
    kind: Literal["slack.channel"] = "slack.channel"
    webhook: SecretRef | None = None
    """The whole webhook URL is a secret."""
    token: SecretRef | None = None
    channel: Text
    api_url: Url = "https://slack.com/api"

    @property
    def label(self) -> str:
        return f"Slack {self.channel}"


class StatusPage(Target):
    """A page at Statuspage."""

    family: ClassVar[str] = "comms"
    kind: Literal["statuspage.page"] = "statuspage.page"
    api_url: Url = "https://api.statuspage.io/v1"
    token: SecretRef
    page_id: Text
    component_ids: tuple[Text, ...] = ()

    @property
    def label(self) -> str:
        return f"Statuspage {self.page_id}"


def _system(identifier: str | None) -> tuple[str, ...]:
    # A primary and its standbys share it: two failovers in opposite directions are one conflict.
    return (f"postgres:{identifier}",) if identifier else ()


def _address(sql: SqlAccess | None) -> tuple[str, ...]:
    return (f"{sql.host}:{sql.port}",) if sql else ()


def _domain(name: str) -> str:
    return name.rstrip(".").lower()


AnyTarget: TypeAlias = Annotated[
    RdsInstance
    | PostgresServer
    | Deployment
    | FailoverSwitch
    | DnsRecord
    | SlackChannel
    | StatusPage,
    Field(discriminator="kind"),
]
