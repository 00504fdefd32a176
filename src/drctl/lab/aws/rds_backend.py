"""RDS of one region, as strict as AWS about what may be done when."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NoReturn, Protocol, TypeAlias, cast

import moto.rds.urls
from moto.rds.exceptions import (
    DBInstanceAlreadyExists,
    DBInstanceNotFoundError,
    InvalidParameterCombination,
    InvalidParameterValue,
    RDSClientError,
)
from moto.rds.models import DBInstance, DBSnapshot, RDSBackend, rds_backends

from drctl.lab.aws import security_groups
from drctl.lab.aws.rds_instance import LabInstance
from drctl.lab.aws.rds_zones import no_capacity, zone_for
from drctl.lab.plan import POSTGRES_PORT

_SHORTEST_PASSWORD: Final = 8

# What a replica takes from its source unless the caller says otherwise.
_INHERITED: Final = (
    "allocated_storage",
    "db_instance_class",
    "db_name",
    "engine",
    "engine_version",
    "master_username",
    "preferred_maintenance_window",
    "preferred_backup_window",
)


Window: TypeAlias = tuple[datetime, datetime]
"""The earliest and the latest moment that can be restored."""


class RealParts(Protocol):
    """
    Does for real what the API was asked for; every method only begins, in any thread.

    When the work is done, the instance's status says so.
    """

    @property
    def engine_version(self) -> str:
        """The version of the real servers."""
        ...

    @property
    def lost_zones(self) -> set[str]:
        """Availability zones in which nothing can be started."""
        ...

    def create(self, instance: LabInstance, master_password: str) -> None:
        """Begins to make a primary."""
        ...

    def replicate(self, instance: LabInstance, source: LabInstance) -> None:
        """Begins to make a standby."""
        ...

    def promote(self, instance: LabInstance, source: LabInstance | None) -> None:
        """Begins to promote a standby."""
        ...

    def regroup(self, instance: LabInstance) -> None:
        """Begins to put new security groups in force."""
        ...

    def set_password(self, instance: LabInstance, password: str) -> None:
        """Begins to change the master password."""
        ...

    def reboot(self, instance: LabInstance) -> None:
        """Begins to restart."""
        ...

    def stop_server(self, instance: LabInstance) -> None:
        """Begins to stop."""
        ...

    def start_server(self, instance: LabInstance) -> None:
        """Begins to start."""
        ...

    def delete(self, instance: LabInstance, source: LabInstance | None) -> None:
        """Begins to delete."""
        ...

    def back_up(self, instance: LabInstance) -> None:
        """Begins to keep automated backups."""
        ...

    def window(self, instance: LabInstance) -> Window | None:
        """What can be restored now; None: nothing yet."""
        ...

    def restore(self, instance: LabInstance, source: LabInstance, moment: datetime) -> None:
        """Begins to make a primary as another one was."""
        ...

    def rename(self, instance: LabInstance, identifier: str) -> None:
        """Begins to give another name."""
        ...

    def take_snapshot(self, snapshot: DBSnapshot, instance: LabInstance) -> None:
        """Begins to copy a primary."""
        ...

    def restore_snapshot(self, instance: LabInstance, snapshot: DBSnapshot) -> None:
        """Begins to make a primary of a copy."""
        ...

    def delete_snapshot(self, snapshot: DBSnapshot) -> None:
        """Deletes a copy."""
        ...


# One for all regions: a promotion changes the replica here and its source there.
_turn: Final = threading.RLock()


class StrictRdsBackend(RDSBackend):
    """The emulator's RDS with AWS's refusals, in front of real servers."""

    def __init__(self, region_name: str, account_id: str, real: RealParts | None = None) -> None:
        super().__init__(region_name, account_id)
        self._real = cast("RealParts", real)

    @property
    def _url_module(self) -> Any:
        # The emulator derives it from the class's module, which is not its own here.
        return moto.rds.urls

    def create_db_instance(self, db_kwargs: Mapping[str, Any]) -> DBInstance:
        """Begins to create a primary."""
        given = dict(db_kwargs)
        with _turn:
            self._refuse_taken(given["db_instance_identifier"])
            _refuse_other_engines(given)
            password = given.get("master_user_password") or ""
            if not given.get("master_username") or len(password) < _SHORTEST_PASSWORD:
                raise InvalidParameterValue(
                    "The parameter MasterUserPassword is not a valid password because it is"
                    " shorter than 8 characters, or MasterUsername is missing."
                )
            self._refuse_unknown_groups(given)
            instance = self._new(given | {"engine_version": self._real.engine_version})
            self._add(instance)
            self._real.create(instance, password)
        return instance

    def create_db_instance_read_replica(self, db_kwargs: Mapping[str, Any]) -> DBInstance:
        """Begins to create a replica, of an instance here or, by ARN, in another region."""
        given = dict(db_kwargs)
        with _turn:
            source = self._lab(self.find_db_from_id(given["source_db_instance_identifier"]))
            self._refuse_taken(given["db_instance_identifier"])
            self._refuse_unknown_groups(given)
            _refuse_unless_available(source)
            if source.is_replica:
                raise NotImplementedError("a replica of a replica")
            if not source.backup_retention_period:
                raise _state(
                    "Automated backups are not enabled for this database instance. To enable"
                    " automated backups, use ModifyDBInstance to set the backup retention period"
                    " to a non-zero value."
                )
            inherited = {key: getattr(source, key) for key in _INHERITED}
            instance = self._new(inherited | {"backup_retention_period": 0} | given)
            instance.set_as_replica()
            self._add(instance)
            source.add_replica(instance)
            self._real.replicate(instance, source)
        return instance

    def promote_read_replica(self, db_kwargs: Mapping[str, Any]) -> DBInstance:
        """Begins to promote; the instance is ``available`` again once it takes writes."""
        given = dict(db_kwargs)
        with _turn:
            instance = self._find(given["db_instance_identifier"])
            if not instance.is_replica:
                raise _state(
                    f"DB Instance {instance.db_instance_identifier} is not a read replica."
                )
            _refuse_unless_available(instance)
            instance.status = "modifying"
            instance.backup_retention_period = int(given.get("backup_retention_period") or 1)
            self._real.promote(instance, self._source_of(instance))
        return instance

    def modify_db_instance(
        self, db_instance_identifier: str, db_kwargs: Mapping[str, Any]
    ) -> DBInstance:
        """Changes an instance; security groups take a moment, the rest is immediate."""
        given = dict(db_kwargs)
        with _turn:
            instance = self._find(db_instance_identifier)
            _refuse_unless_available(instance)
            self._refuse_unknown_groups(given)
            name = given.pop("new_db_instance_identifier", None)
            if name and not given.get("apply_immediately"):
                raise NotImplementedError("renaming in the maintenance window")
            if name:
                self._refuse_taken(name)
            group_ids = given.pop("vpc_security_group_ids", None)
            super().modify_db_instance(db_instance_identifier, given)
            if given.get("master_user_password"):
                self._real.set_password(instance, given["master_user_password"])
            if group_ids:
                instance.begin_regrouping(group_ids)
                self._real.regroup(instance)
            if name:
                instance.status = "renaming"
                self._real.rename(instance, name)
            elif instance.backup_retention_period and not instance.is_replica:
                self._real.back_up(instance)
        return instance

    def reboot_db_instance(self, db_instance_identifier: str) -> DBInstance:
        """Begins to restart, which cuts all sessions."""
        with _turn:
            instance = self._find(db_instance_identifier)
            _refuse_unless_available(instance)
            instance.status = "rebooting"
            self._real.reboot(instance)
        return instance

    def stop_db_instance(
        self, db_instance_identifier: str, db_snapshot_identifier: str | None = None
    ) -> DBInstance:
        """Begins to stop; neither a replica nor what has one can be stopped."""
        with _turn:
            instance = self._find(db_instance_identifier)
            if instance.is_replica or instance.replicas:
                raise _state(
                    f"Cannot stop the DB instance {db_instance_identifier}: it is or has a read"
                    " replica."
                )
            _refuse_unless_available(instance)
            if db_snapshot_identifier:
                raise NotImplementedError("a snapshot on stopping")
            instance.status = "stopping"
            self._real.stop_server(instance)
        return instance

    def start_db_instance(self, db_instance_identifier: str) -> DBInstance:
        """Begins to start a stopped instance."""
        with _turn:
            instance = self._find(db_instance_identifier)
            if instance.status != "stopped":
                raise _state(
                    f"Instance {db_instance_identifier} is not stopped, it cannot be started."
                )
            if instance.availability_zone in self._real.lost_zones:
                raise no_capacity()
            instance.status = "starting"
            self._real.start_server(instance)
        return instance

    def delete_db_instance(
        self,
        db_instance_identifier: str,
        final_db_snapshot_identifier: str | None = None,
        skip_final_snapshot: bool | None = False,
        delete_automated_backups: bool | None = True,
    ) -> DBInstance:
        """Begins to delete; the instance is described as ``deleting`` until it is gone."""
        with _turn:
            instance = self._find(db_instance_identifier)
            if instance.deletion_protection:
                raise InvalidParameterCombination(
                    "Cannot delete protected DB Instance, please disable deletion protection and"
                    " try again."
                )
            if instance.status in {"creating", "deleting"}:
                raise _state(f"Instance {db_instance_identifier} is {instance.status}.")
            if not delete_automated_backups and not instance.is_replica:
                raise NotImplementedError("automated backups that outlive their instance")
            final = final_db_snapshot_identifier
            if final and (skip_final_snapshot or instance.is_replica):
                raise InvalidParameterCombination(
                    "FinalDBSnapshotIdentifier cannot be specified when deleting a replica, or with"
                    " SkipFinalSnapshot."
                )
            if final:
                self.create_db_snapshot(instance.db_instance_identifier, final)
            elif not skip_final_snapshot and not instance.is_replica:
                raise InvalidParameterCombination(
                    "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified."
                )
            instance.status = "deleting"
            self._real.delete(instance, self._source_of(instance))
        return instance

    def forget(self, instance: LabInstance) -> None:
        """Ends the description of a deleted instance."""
        self.databases.pop(instance.db_instance_identifier, None)

    # The emulator would answer these with an "available" instance that has no server behind it.

    def create_db_cluster(self, kwargs: Any) -> NoReturn:
        """Refuses."""
        raise NotImplementedError(f"clusters, so none named {kwargs['db_cluster_identifier']}")

    def create_blue_green_deployment(self, *_: Any, **__: Any) -> NoReturn:
        """Refuses."""
        raise NotImplementedError("blue/green deployments")

    def _new(self, given: Mapping[str, Any]) -> LabInstance:
        if given.get("publicly_accessible") is None:
            given = {**given, "publicly_accessible": self._is_public_by_default(given)}
        zone = zone_for(self.region_name, given, self._real.lost_zones)
        given = {**given, "availability_zone": zone}
        return LabInstance(self, **given)  # type: ignore[abstract]  # as the emulator's own are

    def _is_public_by_default(self, given: Mapping[str, Any]) -> bool:
        """AWS: as the network of its subnets is, one with an internet gateway is public."""
        group = given.get("db_subnet_group_name")
        vpc = self.describe_db_subnet_groups(group)[0].vpc_id if group else None
        return security_groups.has_internet(self.region_name, vpc)

    def _add(self, instance: LabInstance) -> None:
        self.databases[instance.db_instance_identifier] = instance
        instance.add_event("DB_INSTANCE_CREATE")

    def _find(self, identifier: str) -> LabInstance:
        return self._lab(self.describe_db_instances(identifier)[0])

    def _lab(self, instance: DBInstance) -> LabInstance:
        return cast("LabInstance", instance)

    def _source_of(self, instance: LabInstance) -> LabInstance | None:
        source = instance.source_db_instance_identifier
        if source is None:
            return None
        try:
            return self._lab(self.find_db_from_id(source))
        except DBInstanceNotFoundError:
            return None  # deleted before its replica

    def _refuse_taken(self, identifier: str) -> None:
        self._validate_db_identifier(identifier)
        # One list for all regions, because the lab finds an instance's parts by its identifier.
        regions = rds_backends[self.account_id].values()
        if any(identifier in region.databases for region in regions):
            raise DBInstanceAlreadyExists

    def _refuse_unknown_groups(self, given: Mapping[str, Any]) -> None:
        for group_id in given.get("vpc_security_group_ids") or ():
            if not security_groups.exists(self.region_name, group_id):
                raise InvalidParameterValue(
                    f"Invalid security group , groupId= {group_id}, groupName=."
                )


def _refuse_other_engines(given: Mapping[str, Any]) -> None:
    if given.get("engine") != "postgres":
        raise InvalidParameterValue(f"Invalid DB engine: {given.get('engine')}")
    if given.get("port") not in {None, POSTGRES_PORT}:
        raise NotImplementedError(f"a port other than {POSTGRES_PORT}")
    if given.get("db_cluster_identifier") or given.get("manage_master_user_password"):
        raise NotImplementedError("clusters and managed master passwords")


def _refuse_unless_available(instance: LabInstance) -> None:
    if instance.status != "available":
        raise _state(
            f"Database instance {instance.db_instance_identifier} is not in available state"
            f" (it is {instance.status})."
        )


def _state(message: str) -> RDSClientError:
    return RDSClientError("InvalidDBInstanceState", message)
