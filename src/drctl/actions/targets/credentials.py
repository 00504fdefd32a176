"""What an application proves itself with: the family ``credential``."""

from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field, StringConstraints, model_validator

from drctl.actions.targets.parts import (
    AwsConnection,
    KubernetesConnection,
    Part,
    SqlAccess,
    Target,
    Text,
)
from drctl.kernel.secret import SecretRef

RoleName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_$-]{0,62}$")]


class SecretKey(Part):
    """One key of a Kubernetes Secret."""

    cluster: KubernetesConnection
    namespace: Text
    secret: Text
    key: Text


class VaultEntry(Part):
    """One secret in AWS Secrets Manager, as JSON with ``username`` and ``password``."""

    aws: AwsConnection
    secret: Text
    """Its name or ARN."""


class DatabaseRole(Target):
    """A PostgreSQL role with a password, and every place that the password is kept in."""

    family: ClassVar[str] = "credential"
    kind: Literal["postgres.role"] = "postgres.role"
    sql: SqlAccess
    """
    The primary, as an operator: a role that may alter the application's (``CREATEROLE`` and ``ADMIN
    OPTION`` on it) and end its sessions (``pg_signal_backend``).
    """
    role: RoleName
    password: SecretRef
    """The one that is in use, and may have leaked."""
    next_password: SecretRef
    """The one that takes its place: random, made in advance, never used before."""
    delivered_to: dict[Text, SecretKey] = Field(default_factory=dict)
    """Where applications read it, by a word for each place."""
    kept_in: VaultEntry | None = None
    system_identifier: Annotated[str, StringConstraints(pattern=r"^[0-9]+$")] | None = None
    """Pin of the PostgreSQL cluster."""
    region: Text

    @model_validator(mode="after")
    def _two_passwords(self) -> "DatabaseRole":
        if self.password == self.next_password:
            raise ValueError("password and next_password are the same reference")
        if self.sql.user == self.role:
            raise ValueError("a role that changes its own password cannot prove that it was")
        return self

    @property
    def label(self) -> str:
        return f"role {self.role} at {self.sql.host}:{self.sql.port} ({self.region})"

    @property
    def identities(self) -> tuple[str, ...]:
        system = self.system_identifier or f"{self.sql.host}:{self.sql.port}"
        keys = (
            f"kubernetes:{each.cluster.cluster_uid}:{each.namespace}/secret/{each.secret}"
            for each in self.delivered_to.values()
        )
        return (f"postgres:{system}:role:{self.role}", *keys)

    @property
    def places(self) -> tuple[str, ...]:
        return (self.region, f"{self.sql.host}:{self.sql.port}")
