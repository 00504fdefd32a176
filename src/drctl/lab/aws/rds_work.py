"""What happens for real when RDS is asked for something, until the instance's status says so."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import asyncpg
from moto.rds.models import DBSnapshot

from drctl.lab.aws.delays import VendorDelays
from drctl.lab.aws.rds_instance import LabInstance
from drctl.lab.aws.rds_parts import RdsInstance
from drctl.lab.plan import AddressPlan
from drctl.lab.postgres.archive import Backups, Snapshot
from drctl.lab.postgres.roles import create_database, create_roles, set_password
from drctl.lab.relay_handle import Relay

_SLOT_FREE_WITHIN_S: Final = 2.0
_POLL_S: Final = 0.05


class RdsWork:
    """
    The long-running work on real parts, one coroutine per call of the API.

    Each ends with the status that AWS shows when the thing is done, and not
    before the vendor's delay has passed.
    """

    def __init__(
        self,
        instances: Mapping[str, RdsInstance],
        *,
        plan: AddressPlan,
        root: Path,
        delays: VendorDelays,
    ) -> None:
        self._instances = instances
        self._plan = plan
        self._root = root
        self._delays = delays

    async def create(self, instance: RdsInstance, master_password: str) -> None:
        """Makes a primary; it is ``available`` when it accepts."""
        described, server = instance.described, instance.server
        delay = _delay(self._delays.create_s)
        await server.initialise()
        master = described.master_username or ""
        await create_roles(server, master, master_password)
        if described.db_name:
            await create_database(server, described.db_name, master)
        await instance.open_doors()
        await delay
        described.status = "available"
        await self.back_up(instance)

    async def restore(
        self, instance: RdsInstance, backups: Backups | None, moment: datetime
    ) -> None:
        """Makes a primary as another one was; it is ``available`` when it takes writes."""
        delay = _delay(self._delays.create_s)
        if backups is None:
            raise RuntimeError("its source keeps no backups")
        await backups.restore(instance.server, moment)
        await self._open(instance, delay)

    async def restore_snapshot(self, instance: RdsInstance, copy: Snapshot) -> None:
        """Makes a primary of a copy; it is ``available`` when it takes writes."""
        delay = _delay(self._delays.create_s)
        await copy.restore(instance.server)
        await self._open(instance, delay)

    async def _open(self, instance: RdsInstance, delay: asyncio.Task[None]) -> None:
        await instance.open_doors()
        await delay
        instance.described.status = "available"
        await self.back_up(instance)

    async def take_snapshot(
        self, snapshot: DBSnapshot, copy: Snapshot, instance: RdsInstance
    ) -> None:
        """Copies an instance; the snapshot is ``available`` when it is whole."""
        instance.copying += 1
        try:
            await copy.take(instance.server)
        except (RuntimeError, OSError):
            snapshot.status = "failed"
            raise
        finally:
            instance.copying -= 1
        snapshot.status = "available"

    async def back_up(self, instance: RdsInstance) -> None:
        """Takes the first automated backup of a primary that shall have some and has none."""
        described = instance.described
        is_wanted = described.backup_retention_period and not described.is_replica
        if not is_wanted or instance.backups is not None:
            return
        instance.backups = Backups(instance.server)
        try:
            await instance.backups.begin()
        except (RuntimeError, OSError, TimeoutError, asyncpg.PostgresError):
            # It does not fail the instance: `ship` tries again, and until then nothing can be
            # restored.
            instance.backups = None

    async def ship(self, instance: RdsInstance) -> None:
        """Moves the end of what can be restored; a server that is ill stays where it was."""
        backups = instance.backups
        if not instance.server.is_running or instance.described.status != "available":
            return
        if backups is None:
            await self.back_up(instance)
        elif backups.earliest is not None:
            with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError):
                await backups.ship()
                instance.described.restorable = backups.latest

    async def replicate(self, instance: RdsInstance, source: LabInstance) -> None:
        """Makes a standby; it is ``available`` when it streams."""
        delay = _delay(self._delays.create_s)
        origin = self._instances[source.db_instance_identifier].server
        instance.link = Relay(
            name=f"link-{instance.identifier}",
            listen=self._plan.replication_link(instance.region, instance.number),
            upstream=origin.address,
            root=self._root,
        )
        await instance.link.start()
        await instance.server.copy_from(origin, through=instance.link.listen)
        await instance.server.start()
        await instance.server.wait_until_streaming()
        await instance.open_doors()
        await delay
        instance.described.status = "available"

    async def promote(self, instance: RdsInstance, source: LabInstance | None) -> None:
        """Promotes a standby; it is ``available``, without a source, when it takes writes."""
        described = instance.described
        delay = _delay(self._delays.promote_s)
        await instance.server.promote()
        await self._unlink(instance, source)
        await delay
        if source is not None:
            source.remove_replica(described)
        described.source_db_instance_identifier = None
        described.is_replica = False
        described.status = "available"
        await self.back_up(instance)

    async def regroup(self, instance: RdsInstance) -> None:
        """Puts announced security groups in force; they are ``active`` when packets obey."""
        described = instance.described
        await asyncio.sleep(self._delays.modify_s)
        described.enforced_group_ids = tuple(described.vpc_security_group_ids)
        await instance.obey()
        described.end_regrouping()

    async def set_password(self, instance: RdsInstance, password: str) -> None:
        """Changes the master password."""
        await set_password(instance.server, instance.described.master_username or "", password)

    async def reboot(self, instance: RdsInstance) -> None:
        """Restarts a server, which cuts its sessions."""
        await instance.server.stop()
        await instance.obey()
        await instance.server.start()
        await instance.obey()
        instance.described.status = "available"

    async def stop(self, instance: RdsInstance) -> None:
        """Stops a server."""
        await instance.server.stop()
        await instance.obey()
        instance.described.status = "stopped"

    async def start(self, instance: RdsInstance) -> None:
        """Starts a stopped server."""
        await instance.server.start()
        await instance.obey()
        instance.described.status = "available"

    async def delete(self, instance: RdsInstance, source: LabInstance | None) -> None:
        """Deletes an instance's parts and data, once its last snapshot is whole."""
        while instance.copying:  # noqa: ASYNC110  counted by this very loop
            await asyncio.sleep(_POLL_S)
        await self._unlink(instance, source)
        if source is not None:
            source.remove_replica(instance.described)
        await instance.remove()

    async def _unlink(self, instance: RdsInstance, source: LabInstance | None) -> None:
        if instance.link is not None:
            await instance.link.kill()
            instance.link = None
        origin = None if source is None else self._instances.get(source.db_instance_identifier)
        if origin is None or not origin.server.is_running:
            return
        # A slot that nobody reads would make the old source keep its WAL. It is free once the
        # source has noticed that the link is gone; a source that is ill itself keeps it.
        with contextlib.suppress(TimeoutError, OSError, asyncpg.PostgresError):
            async with asyncio.timeout(_SLOT_FREE_WITHIN_S):
                while not await _dropped(origin, instance.server.slot):  # noqa: ASYNC110  a server
                    await asyncio.sleep(_POLL_S)


async def _dropped(origin: RdsInstance, slot: str) -> bool:
    await origin.server.query_as_superuser(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
        " WHERE slot_name = $1 AND NOT active",
        slot,
    )
    left = await origin.server.query_as_superuser(
        "SELECT 1 FROM pg_replication_slots WHERE slot_name = $1", slot
    )
    return not left


def _delay(seconds: float) -> asyncio.Task[None]:
    # Begun before the work, awaited after it: whichever takes longer counts.
    return asyncio.create_task(asyncio.sleep(seconds))
