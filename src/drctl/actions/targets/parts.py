"""The pieces that targets are made of: words, connections, and what a target is at all."""

from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from drctl.kernel.secret import SecretRef

Text: TypeAlias = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
"""Never empty: empty selects nothing."""
Url: TypeAlias = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/@]+(/[^\s]*)?$")]
"""No user information: credentials are references."""
AccountId: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[0-9]{12}$")]


class Part(BaseModel):
    """A piece of an environment file."""

    # Built when an environment is read: not every command reads one.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


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


class GcpConnection(Part):
    """
    One project of Google Cloud, through explicit credentials: no application-default ones, no
    gcloud configuration, no metadata server.
    """

    project: Annotated[
        str, StringConstraints(pattern=r"^([a-z0-9.-]+:)?[a-z][-a-z0-9]{4,28}[a-z0-9]$")
    ]
    project_number: Annotated[str, StringConstraints(pattern=r"^[0-9]+$")]
    """Pin: the project with this id must have this number."""
    region: Text
    service_account_key: SecretRef | None = None
    """A service account's key, as the JSON text that Google gives."""
    access_token: SecretRef | None = None
    """Or a token that somebody else has obtained; it must outlive the run."""
    endpoints: dict[Literal["sqladmin", "dns", "cloudresourcemanager", "oauth2"], Url] = Field(
        default_factory=dict
    )
    """Service to base URL; absent: Google's own."""

    @model_validator(mode="after")
    def _one_credential(self) -> "GcpConnection":
        if (self.service_account_key is None) == (self.access_token is None):
            raise ValueError("give either service_account_key or access_token")
        return self


class HostConnection(Part):
    """One machine on which programs run, through a command that leads there; see `_host`."""

    argv: Annotated[tuple[Text, ...], Field(min_length=1)]
    """The words before the remote command, as ``[ssh, -o, BatchMode=yes, postgres@db1.internal]``;
    what follows them is read by a POSIX shell there, as ssh does it."""
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


class Upstream(Part):
    """A server that another one may follow."""

    host: Text
    port: int = Field(default=5432, ge=1, le=65535)
    """As its own target has it under ``sql``."""
    via_host: Text | None = None
    """Where a standby reaches it for replication; absent: there too."""
    via_port: int = Field(default=5432, ge=1, le=65535)


class PostgresHost(Part):
    """Where a server's files and programs are, for what SQL cannot do."""

    machine: HostConnection
    programs: Text
    """Folder of ``pg_ctl`` and the others, of the server's own version."""
    data_directory: Text
    server_options: dict[str, Text] = Field(default_factory=dict)
    """Settings that ``pg_ctl`` gives the server at its start. What must differ between servers
    (``config_file``, ``listen_addresses``) belongs here when it is in the data directory otherwise:
    a rewind copies the files of the other side over it."""
    log: Text
    """File to which ``pg_ctl`` sends the server's output."""
    replication_user: Text
    passfile: Text
    """On the machine, of mode 0600: passwords reach no command line."""
    restore_command: Text | None = None
    """PostgreSQL's setting of that name: how the server gets a segment from the archive. A standby
    that rejoins late needs it, because its primary has recycled what it missed."""
    upstreams: tuple[Upstream, ...] = ()
    """Whom it may follow; nobody else."""


class PostgresBackups(Part):
    """Base backups and archived WAL of one database system, as a machine sees them."""

    base_backups: Text
    """Folder with one folder for each base backup, in plain format."""
    wal_archive: Text
    """Folder into which ``archive_command`` puts finished segments."""
    system_identifier: Annotated[str, StringConstraints(pattern=r"^[0-9]+$")]
    """Pin: whose they are."""


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

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

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
