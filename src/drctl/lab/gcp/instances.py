"""Cloud SQL instances as the API shows them, each with a real PostgreSQL behind it, or none."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from drctl.lab.gcp.wire import timestamp
from drctl.lab.postgres import PostgresServer

PRIMARY: Final = "CLOUD_SQL_INSTANCE"
REPLICA: Final = "READ_REPLICA_INSTANCE"


@dataclass(slots=True, kw_only=True)
class Instance:
    """One instance. What is not named here has Google's default."""

    name: str
    region: str
    project: str
    server: PostgresServer | None = None
    """``None``: only the control plane is tried."""
    source: str | None = None
    state: str = "RUNNABLE"
    settings_version: int = 1
    activation: str = "ALWAYS"
    is_regional: bool = False
    zone: str = ""
    second_zone: str = ""
    is_public: bool = False
    network: str = "projects/lab-network/global/networks/private"
    has_pitr: bool = False
    backups: list[dict[str, Any]] = field(default_factory=list)
    created_at: datetime | None = None

    def __post_init__(self) -> None:
        self.zone = self.zone or f"{self.region}-a"
        if self.is_regional:
            self.second_zone = self.second_zone or f"{self.region}-b"

    @property
    def is_replica(self) -> bool:
        """Whether it follows another one."""
        return self.source is not None

    def resource(self, replicas: list[str]) -> dict[str, Any]:
        """The ``DatabaseInstance`` of the API."""
        address = self.server.address[0] if self.server else "10.0.0.3"
        addresses = [{"type": "PRIVATE", "ipAddress": address}] if self.network else []
        if self.is_public:
            addresses.append({"type": "PRIMARY", "ipAddress": "203.0.113.10"})
        shown: dict[str, Any] = {
            "kind": "sql#instance",
            "name": self.name,
            "project": self.project,
            "region": self.region,
            "state": self.state,
            "instanceType": REPLICA if self.is_replica else PRIMARY,
            "backendType": "SECOND_GEN",
            "databaseVersion": "POSTGRES_18",
            "connectionName": f"{self.project}:{self.region}:{self.name}",
            "createTime": timestamp(self.created_at),
            "gceZone": self.zone,
            "ipAddresses": addresses,
            "settings": self._settings(),
        }
        if self.is_regional:
            shown["secondaryGceZone"] = self.second_zone
        if self.is_replica:
            shown["masterInstanceName"] = f"{self.project}:{self.source}"
        if replicas:
            shown["replicaNames"] = replicas
        return shown

    def _settings(self) -> dict[str, Any]:
        network: dict[str, Any] = {"ipv4Enabled": self.is_public}
        if self.network:
            network["privateNetwork"] = self.network
        return {
            "kind": "sql#settings",
            "settingsVersion": str(self.settings_version),
            "activationPolicy": self.activation,
            "availabilityType": "REGIONAL" if self.is_regional else "ZONAL",
            "tier": "db-custom-2-7680",
            "ipConfiguration": network,
            "backupConfiguration": {
                "kind": "sql#backupConfiguration",
                "enabled": self.has_pitr,
                "pointInTimeRecoveryEnabled": self.has_pitr,
                "transactionLogRetentionDays": 7,
            },
        }
