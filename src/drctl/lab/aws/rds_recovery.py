"""RDS of one region: backups, restores to a moment, snapshots; each with the real data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from moto.rds.exceptions import (
    DBSnapshotAlreadyExistsError,
    DBSnapshotNotFoundFault,
    InvalidParameterCombination,
    RDSClientError,
)
from moto.rds.models import DBInstance, DBSnapshot

from drctl.lab.aws.rds_backend import StrictRdsBackend, _state, _turn
from drctl.lab.aws.rds_instance import LabInstance

# What a restored instance has of its source. All else is AWS's default: security group, subnet
# group, parameter group, option group, one zone, no deletion protection, no IAM, no tags; and
# whether it is public is the network's business.
_KEPT: Final = (
    "allocated_storage",
    "auto_minor_version_upgrade",
    "backup_retention_period",
    "db_instance_class",
    "db_name",
    "engine",
    "engine_version",
    "master_username",
    "preferred_backup_window",
    "preferred_maintenance_window",
    "storage_encrypted",
    "storage_type",
)
_ABOUT_THE_SOURCE: Final = (
    "source_db_instance_identifier",
    "target_db_instance_identifier",
    "db_snapshot_identifier",
    "restore_time",
    "use_latest_restorable_time",
)
_SECOND: Final = timedelta(seconds=1)


class RecoveringRdsBackend(StrictRdsBackend):
    """The strict RDS, with ways back."""

    def describe_db_instance_automated_backups(  # type: ignore[override]  # documents will do
        self, db_instance_identifier: str | None = None, **more: Any
    ) -> list[dict[str, Any]]:
        """Says what can be restored; replicas and instances without backups have none."""
        if any(more.get(key) for key in ("dbi_resource_id", "db_instance_automated_backups_arn")):
            raise NotImplementedError("automated backups by another name than the instance's")
        # As describing instances does: an unknown name is an error.
        found = self.describe_db_instances(db_instance_identifier)
        return [
            self._backup_of(instance)
            for instance in map(self._lab, found)
            if instance.backup_retention_period and not instance.is_replica
        ]

    def restore_db_instance_to_point_in_time(
        self, source_db_identifier: str, target_db_identifier: str, overrides: Mapping[str, Any]
    ) -> DBInstance:
        """Begins to make a new instance as another one was at a moment."""
        given = dict(overrides)
        with _turn:
            if not source_db_identifier:
                raise NotImplementedError("restoring what is not an instance any more")
            source = self._find(source_db_identifier)
            self._refuse_taken(target_db_identifier)
            self._refuse_unknown_groups(given)
            moment = self._moment(source, given)
            instance = self._restored(source, given, target_db_identifier)
            self._real.restore(instance, source, moment)
        return instance

    def create_db_snapshot(  # type: ignore[override]  # the emulator's has more, which we refuse
        self,
        db_instance_identifier: str,
        db_snapshot_identifier: str,
        snapshot_type: str = "manual",
        tags: list[dict[str, str]] | None = None,
        **_: Any,
    ) -> DBSnapshot:
        """Begins to copy an instance."""
        with _turn:
            instance = self._find(db_instance_identifier)
            if db_snapshot_identifier.lower() in self.database_snapshots:
                raise DBSnapshotAlreadyExistsError(db_snapshot_identifier)
            if instance.status != "available":
                raise _state(
                    f"Cannot create a snapshot because the database instance"
                    f" {db_instance_identifier} is not currently in the available state."
                )
            snapshot = DBSnapshot(self, instance, db_snapshot_identifier, snapshot_type, tags)
            snapshot.status = "creating"
            self.database_snapshots[snapshot.db_snapshot_identifier] = snapshot
            self._real.take_snapshot(snapshot, instance)
        return snapshot

    def delete_db_snapshot(self, db_snapshot_identifier: str) -> DBSnapshot:
        """Deletes a snapshot that is whole."""
        with _turn:
            snapshot = self._available_snapshot(db_snapshot_identifier)
            del self.database_snapshots[snapshot.db_snapshot_identifier]
            self._real.delete_snapshot(snapshot)
            snapshot.status = "deleted"
        return snapshot

    def copy_db_snapshot(self, *_: Any, **__: Any) -> DBSnapshot:
        """Refuses: the emulator's copy would hold no data."""
        raise NotImplementedError("copying a snapshot")

    def restore_db_instance_from_db_snapshot(
        self, from_snapshot_id: str, overrides: Mapping[str, Any]
    ) -> DBInstance:
        """Begins to make a new instance of a snapshot."""
        given = dict(overrides)
        with _turn:
            snapshot = self._available_snapshot(from_snapshot_id.rpartition(":")[2])
            self._refuse_taken(given["db_instance_identifier"])
            self._refuse_unknown_groups(given)
            source = self._lab(snapshot.database)
            instance = self._restored(source, given, given["db_instance_identifier"])
            self._real.restore_snapshot(instance, snapshot)
        return instance

    def _moment(self, source: LabInstance, given: Mapping[str, Any]) -> datetime:
        wanted, is_latest = given.get("restore_time"), given.get("use_latest_restorable_time")
        if bool(wanted) == bool(is_latest):
            raise InvalidParameterCombination(
                "Specify either RestoreTime or UseLatestRestorableTime, and not both."
            )
        if not source.backup_retention_period or source.is_replica:
            raise RDSClientError(
                "PointInTimeRestoreNotEnabled",
                f"Automated backups are not enabled for {source.db_instance_identifier}.",
            )
        window = self._real.window(source)
        if window is None:
            raise _invalid(f"{source.db_instance_identifier} has no backup yet")
        earliest, latest = window
        if is_latest:
            return latest
        moment = wanted if isinstance(wanted, datetime) else datetime.fromisoformat(str(wanted))
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if not earliest <= moment <= latest:
            raise _invalid(
                f"The restore time {_text(moment)} is not between {_text(earliest)} and"
                f" {_text(latest)}."
            )
        return moment

    def _restored(
        self, source: LabInstance, given: Mapping[str, Any], identifier: str
    ) -> LabInstance:
        kept = {name: getattr(source, name) for name in _KEPT}
        # Whose copy it is is no property of a copy: it would make it a replica.
        asked = {
            name: value
            for name, value in given.items()
            if value is not None and name not in _ABOUT_THE_SOURCE
        }
        instance = self._new(kept | asked | {"db_instance_identifier": identifier})
        self._add(instance)
        return instance

    def _available_snapshot(self, identifier: str) -> DBSnapshot:
        snapshot = self.database_snapshots.get(identifier.lower())
        if snapshot is None:
            raise DBSnapshotNotFoundFault(identifier)
        if snapshot.status != "available":
            raise RDSClientError(
                "InvalidDBSnapshotState", f"Snapshot {identifier} is {snapshot.status}."
            )
        return snapshot

    def _backup_of(self, instance: LabInstance) -> dict[str, Any]:
        window = self._real.window(instance)
        backup: dict[str, Any] = {
            "DBInstanceArn": instance.db_instance_arn,
            "DbiResourceId": instance.dbi_resource_id,
            "Region": self.region_name,
            "DBInstanceIdentifier": instance.db_instance_identifier,
            "Status": "active" if window else "creating",
            "Engine": instance.engine,
            "EngineVersion": instance.engine_version,
            "BackupRetentionPeriod": instance.backup_retention_period,
        }
        if window is None:
            return backup
        # Whole seconds, inside the window.
        earliest = (window[0] + _SECOND).replace(microsecond=0)
        latest = max(earliest, window[1].replace(microsecond=0))
        return backup | {"RestoreWindow": {"EarliestTime": earliest, "LatestTime": latest}}


def _invalid(message: str) -> RDSClientError:
    return RDSClientError("InvalidRestoreFault", message)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
