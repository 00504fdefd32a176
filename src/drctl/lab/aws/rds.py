"""Puts real PostgreSQL servers behind the emulated RDS."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from moto.rds.models import DBSnapshot, rds_backends

from drctl.lab.aws.delays import VendorDelays
from drctl.lab.aws.rds_backend import StrictRdsBackend, Window
from drctl.lab.aws.rds_instance import LabInstance
from drctl.lab.aws.rds_outages import RdsOutages
from drctl.lab.aws.rds_parts import RdsInstance
from drctl.lab.aws.rds_recovery import RecoveringRdsBackend
from drctl.lab.aws.rds_work import RdsWork
from drctl.lab.children import RunAs, unprivileged
from drctl.lab.plan import ACCOUNT_ID, REGIONS, Address, AddressPlan, as_region
from drctl.lab.postgres import PostgresBinaries, PostgresServer, find_binaries
from drctl.lab.postgres.archive import Snapshot
from drctl.lab.relay_handle import Relay, RelayGoneError

__all__ = ["RdsBridge", "RdsInstance"]

_LOG: Final = logging.getLogger(__name__)

_REPLICATION_CHECK_S: Final = 0.5


class RdsBridge(RdsOutages):
    """
    Real servers for the instances that the emulated RDS was asked for.

    The work runs on the event loop that `start` was called on; the API's
    threads only hand it over (`create` to `delete`), each call returning at once.
    """

    def __init__(
        self,
        plan: AddressPlan,
        *,
        root: Path | None = None,
        run_as: RunAs | None = None,
        delays: VendorDelays | None = None,
    ) -> None:
        super().__init__(delays or VendorDelays())
        self._plan = plan
        self._root = root or plan.lab_root()
        self._run_as = run_as or unprivileged()
        self._work = RdsWork(self.instances, plan=plan, root=self._root, delays=self._delays)
        self._snapshots: dict[str, Snapshot] = {}
        self._jobs: set[asyncio.Task[None]] = set()
        self._started: tuple[asyncio.AbstractEventLoop, PostgresBinaries] | None = None

    async def start(self) -> None:
        """
        Finds PostgreSQL and begins to watch; call it before the control plane starts.

        Raises:
            FileNotFoundError: There is no PostgreSQL.

        Changes:
            Creates the lab's root folder.
        """
        self._root.mkdir(parents=True, exist_ok=True)
        # The servers' user must be able to pass, nobody else to look.
        self._root.chmod(0o711)
        binaries = await asyncio.to_thread(find_binaries, self._root, self._run_as)
        self._started = (asyncio.get_running_loop(), binaries)
        self._begin(self._follow_security_groups())
        self._begin(self._follow_replication())
        self._begin(self._follow_backups())

    def install(self) -> Callable[[], None]:
        """
        Replaces the emulator's RDS; an overlay of `AwsControlPlane`.

        Returns:
            What takes it out again.

        Changes:
            The emulator's backends in this process.
        """
        backends = rds_backends[ACCOUNT_ID]
        for region in REGIONS:
            backends[region] = RecoveringRdsBackend(region, ACCOUNT_ID, self)

        def undo() -> None:
            for region in REGIONS:
                backends.pop(region, None)

        return undo

    async def stop(self) -> None:
        """
        Kills all servers and relays and deletes their data; safe to repeat.

        Call it after the control plane stopped, so that no new work arrives.

        Changes:
            Ends processes, deletes folders.
        """
        jobs = [*self._jobs, *self._failovers.values()]
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        await asyncio.gather(*(instance.remove() for instance in self.instances.values()))
        self.instances.clear()

    @property
    def engine_version(self) -> str:
        """The version of the real servers."""
        return self._running[1].version

    def create(self, described: LabInstance, master_password: str) -> None:
        """Begins to make a primary."""
        instance = self._new(described)
        self._hand_over(instance, self._work.create(instance, master_password))

    def replicate(self, described: LabInstance, source: LabInstance) -> None:
        """Begins to make a standby."""
        instance = self._new(described)
        self._hand_over(instance, self._work.replicate(instance, source))

    def promote(self, described: LabInstance, source: LabInstance | None) -> None:
        """Begins to promote a standby."""
        instance = self._of(described)
        self._hand_over(instance, self._work.promote(instance, source))

    def regroup(self, described: LabInstance) -> None:
        """Begins to put new security groups in force."""
        instance = self._of(described)
        self._hand_over(instance, self._work.regroup(instance))

    def set_password(self, described: LabInstance, password: str) -> None:
        """Begins to change the master password."""
        instance = self._of(described)
        self._hand_over(instance, self._work.set_password(instance, password))

    def reboot(self, described: LabInstance) -> None:
        """Begins to restart."""
        instance = self._of(described)
        self._hand_over(instance, self._work.reboot(instance))

    def stop_server(self, described: LabInstance) -> None:
        """Begins to stop."""
        instance = self._of(described)
        self._hand_over(instance, self._work.stop(instance))

    def start_server(self, described: LabInstance) -> None:
        """Begins to start."""
        instance = self._of(described)
        self._hand_over(instance, self._work.start(instance))

    def delete(self, described: LabInstance, source: LabInstance | None) -> None:
        """Begins to delete."""
        instance = self._of(described)
        self._hand_over(instance, self._delete(instance, source))

    def back_up(self, described: LabInstance) -> None:
        """Begins to keep automated backups, once."""
        instance = self._of(described)
        self._hand_over(instance, self._work.back_up(instance), is_its_life=False)

    def window(self, described: LabInstance) -> Window | None:
        """What can be restored now."""
        backups = self._of(described).backups
        if backups is None or backups.earliest is None or backups.latest is None:
            return None
        return backups.earliest, backups.latest

    def restore(self, described: LabInstance, source: LabInstance, moment: datetime) -> None:
        """Begins to make a primary as another one was."""
        backups = self._of(source).backups
        instance = self._new(described)
        self._hand_over(instance, self._work.restore(instance, backups, moment))

    def rename(self, described: LabInstance, identifier: str) -> None:
        """Begins to give another name."""
        instance = self._of(described)
        self._hand_over(instance, self._rename(instance, identifier))

    def take_snapshot(self, snapshot: DBSnapshot, described: LabInstance) -> None:
        """Begins to copy a primary."""
        instance = self._of(described)
        folder = (
            self._root / "snapshots" / f"{snapshot.db_snapshot_identifier}-{secrets.token_hex(4)}"
        )
        copy = self._snapshots[snapshot.db_snapshot_arn] = Snapshot(folder)
        work = self._work.take_snapshot(snapshot, copy, instance)
        self._hand_over(instance, work, is_its_life=False)

    def restore_snapshot(self, described: LabInstance, snapshot: DBSnapshot) -> None:
        """Begins to make a primary of a copy."""
        instance = self._new(described)
        copy = self._snapshots[snapshot.db_snapshot_arn]
        self._hand_over(instance, self._work.restore_snapshot(instance, copy))

    def delete_snapshot(self, snapshot: DBSnapshot) -> None:
        """Deletes a copy."""
        self._snapshots.pop(snapshot.db_snapshot_arn).delete()

    async def _rename(self, instance: RdsInstance, identifier: str) -> None:
        await asyncio.sleep(self._delays.rename_s)
        old, described = instance.identifier, instance.described
        old_arn = described.db_instance_arn
        described.backend.databases.pop(old)
        described.db_instance_identifier = identifier
        described.backend.databases[identifier] = described
        instance.identifier = identifier
        instance.endpoint_name = self._plan.rds_name(instance.region, identifier)
        self.instances[identifier] = self.instances.pop(old)
        renamed = {old: identifier, old_arn: described.db_instance_arn}
        for other in self.instances.values():
            other.described.follow_renaming(renamed)
        described.status = "available"

    async def _delete(self, instance: RdsInstance, source: LabInstance | None) -> None:
        await self._work.delete(instance, source)
        del self.instances[instance.identifier]
        backend = instance.described.backend
        assert isinstance(backend, StrictRdsBackend)  # noqa: S101  `install` put it there
        backend.forget(instance.described)

    def _new(self, described: LabInstance) -> RdsInstance:
        identifier = described.db_instance_identifier
        region = as_region(described.region)
        taken = {instance.number for instance in self._in_region(region)}
        number = min(set(range(1, len(taken) + 2)) - taken)
        endpoint = self._plan.rds_endpoint(region, number)
        # One that was renamed keeps its folders and its processes' names.
        names = {instance.server.name for instance in self.instances.values()}
        name = identifier
        while f"postgres-{name}" in names:
            name = f"{identifier}-{secrets.token_hex(2)}"
        server = PostgresServer(
            name=f"postgres-{name}",
            address=self._plan.rds_backend(region, number),
            root=self._root,
            binaries=self._running[1],
            run_as=self._run_as,
            archives=True,
        )

        def door(kind: str, listen: Address) -> Relay:
            return Relay(
                name=f"{kind}-{name}", listen=listen, upstream=server.address, root=self._root
            )

        instance = RdsInstance(
            identifier=identifier,
            region=region,
            number=number,
            described=described,
            server=server,
            relay=door("relay", endpoint),
            public=door("public", self._plan.rds_public(region, number)),
            endpoint_name=self._plan.rds_name(region, identifier),
            endpoint_ip=endpoint[0],
        )
        self.instances[identifier] = instance
        return instance

    def _of(self, described: LabInstance) -> RdsInstance:
        return self.instances[described.db_instance_identifier]

    @property
    def _running(self) -> tuple[asyncio.AbstractEventLoop, PostgresBinaries]:
        if self._started is None:
            raise RuntimeError("the RDS bridge was not started")
        return self._started

    def _hand_over(
        self, instance: RdsInstance, work: Coroutine[Any, Any, None], *, is_its_life: bool = True
    ) -> None:
        loop, _ = self._running
        watched = self._watched(instance, work, is_its_life=is_its_life)
        loop.call_soon_threadsafe(self._begin, watched)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        job = asyncio.get_running_loop().create_task(work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    async def _watched(
        self, instance: RdsInstance, work: Coroutine[Any, Any, None], *, is_its_life: bool
    ) -> None:
        try:
            await work
        except Exception:  # noqa: BLE001  whatever it was, AWS shows the instance as failed
            _LOG.exception("RDS work on %s failed", instance.identifier)
            if is_its_life:
                instance.described.status = "failed"

    async def _follow_security_groups(self) -> None:
        while True:
            for instance in list(self.instances.values()):
                # A crashed region's relays are gone; `recover_region` brings them back.
                with contextlib.suppress(RelayGoneError):
                    await instance.obey()
            await asyncio.sleep(self._delays.follow_s)

    async def _follow_backups(self) -> None:
        while True:
            await asyncio.sleep(self._delays.ship_s)
            instances = list(self.instances.values())
            await asyncio.gather(*(self._work.ship(instance) for instance in instances))

    async def _follow_replication(self) -> None:
        while True:
            for instance in list(self.instances.values()):
                if instance.described.is_replica and instance.described.status == "available":
                    streams = await instance.server.is_streaming()
                    instance.described.replication_error = (
                        None if streams else "the WAL receiver is not streaming"
                    )
            await asyncio.sleep(_REPLICATION_CHECK_S)
