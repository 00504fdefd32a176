"""An RDS instance as the strict emulation describes it."""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from moto.rds.models import DBInstance, RDSBackend

from drctl.lab.plan import RDS_ACCOUNT_LABEL, zones_of

_RESOURCE_ID_LENGTH = 26


class LabInstance(DBInstance):
    """
    The emulator's instance, without what it invents.

    Attributes are written by the API's threads as well as by the bridge's loop;
    each write is one assignment, and readers copy.
    """

    def __init__(self, backend: RDSBackend, **given: Any) -> None:
        super().__init__(backend, **given)
        self.status = "creating"
        self.dbi_resource_id = "db-" + "".join(
            secrets.choice(string.ascii_uppercase + string.digits)
            for _ in range(_RESOURCE_ID_LENGTH)
        )
        self.replication_error: str | None = None
        """Why the replica does not replicate; None while it does."""
        self.enforced_group_ids: Sequence[str] = tuple(self.vpc_security_group_ids)
        """The security groups that packets obey now."""
        self.has_crashed = False
        """Whether it worked until its server died: then it keeps its endpoint."""
        self.restorable: datetime | None = None
        """Up to when it can be restored; None: not at all."""
        self._arriving: tuple[str, ...] = ()
        self._departing: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """The endpoint's DNS name."""
        return f"{self.db_instance_identifier}.{RDS_ACCOUNT_LABEL}.{self.region}.rds.amazonaws.com"

    @property
    def endpoint(self) -> dict[str, Any] | None:  # type: ignore[override]  # AWS leaves it out
        """Where clients connect; None until the instance was available once."""
        if self.status == "creating" or (self.status == "failed" and not self.has_crashed):
            return None
        return {"Address": self.address, "Port": self.port}

    @property
    def secondary_availability_zone(self) -> str | None:
        """Where the standby of a Multi-AZ instance is; None for others. The emulator has none."""
        others = [zone for zone in zones_of(self.region) if zone != self.availability_zone]
        return others[0] if self.multi_az and others else None

    @property
    def latest_restorable_time(self) -> datetime | None:  # type: ignore[override]  # AWS leaves it out
        """Up to when its backups reach; None for a replica, and until there is a first one."""
        return None if self.restorable is None else self.restorable.replace(microsecond=0)

    @property
    def status_infos(self) -> list[dict[str, Any]]:
        """What a replica says about its replication; empty for others."""
        if not self.is_replica or self.status == "creating":
            return []
        error = self.replication_error
        info: dict[str, Any] = {
            "StatusType": "read replication",
            "Normal": error is None,
            "Status": "replicating" if error is None else "error",
        }
        return [info if error is None else info | {"Message": error}]

    @property
    def vpc_security_group_membership_list(self) -> list[dict[str, Any]]:
        """The security groups, those on their way in or out included."""
        arriving = self._arriving
        now = [
            {
                "VpcSecurityGroupId": group_id,
                "Status": "adding" if group_id in arriving else "active",
            }
            for group_id in self.vpc_security_group_ids
        ]
        going = [
            {"VpcSecurityGroupId": group_id, "Status": "removing"} for group_id in self._departing
        ]
        return now + going

    def begin_regrouping(self, group_ids: Sequence[str]) -> None:
        """Announces new security groups; they are described as on their way."""
        before = tuple(self.vpc_security_group_ids)
        self._arriving = tuple(group_id for group_id in group_ids if group_id not in before)
        self._departing = tuple(group_id for group_id in before if group_id not in group_ids)
        self.vpc_security_group_ids = list(group_ids)

    def end_regrouping(self) -> None:
        """Describes the announced security groups as the ones in force."""
        self._arriving = ()
        self._departing = ()

    def add_replica(self, replica: DBInstance) -> None:
        """Lists a replica of this instance."""
        self.replicas = [*self.replicas, self._name_of(replica)]

    def remove_replica(self, replica: DBInstance) -> None:
        """Lists a replica of this instance no longer."""
        name = self._name_of(replica)
        self.replicas = [other for other in self.replicas if other != name]

    def follow_renaming(self, renamed: Mapping[str, str]) -> None:
        """Names instances that got another name by that."""
        source = self.source_db_instance_identifier
        self.source_db_instance_identifier = renamed.get(source or "", source)
        self.replicas = [renamed.get(name, name) for name in self.replicas]

    def _name_of(self, replica: DBInstance) -> str:
        same_region = replica.region == self.region
        name: str = replica.db_instance_identifier if same_region else replica.db_instance_arn
        return name
