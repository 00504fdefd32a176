"""What an operation really does: to the servers behind the instances, and then to what is shown."""

import asyncio
import contextlib
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drctl.lab.gcp.instances import Instance
from drctl.lab.gcp.wire import Refusal, timestamp
from drctl.lab.postgres import PostgresServer
from drctl.lab.postgres.programs import give_away, make_private, run_program
from drctl.lab.postgres.settings import REPLICATION_USER

if TYPE_CHECKING:
    from drctl.lab.gcp.sql import CloudSql

_BEAT_S = 0.5


class Work:
    """The hands of a project's Cloud SQL."""

    def __init__(self, api: "CloudSql") -> None:
        self._api = api
        self._windows: dict[str, tuple[datetime, datetime]] = {}
        self._beats: list[asyncio.Task[None]] = []
        self.clone_address: tuple[str, int] = ("", 0)
        """Where the next clone listens; a vendor would choose one."""

    async def stop(self) -> None:
        """Ends the upkeep of logs, and removes the clones."""
        for beat in self._beats:
            beat.cancel()
        await asyncio.gather(*self._beats, return_exceptions=True)

    async def promote(self, instance: Instance, sent: Any) -> None:
        """Promotes for real; only then is it shown as a primary."""
        instance.state = "MAINTENANCE"
        try:
            if instance.server is not None:
                await instance.server.promote()
        finally:
            instance.state = "RUNNABLE"
        instance.source = None
        self._api.note("PromoteReplica", instance, sent, kind="CLOUD_SQL_INSTANCE")

    async def fail_over(self, instance: Instance, sent: Any) -> None:
        """The same disk, in the other zone: a crash, and recovery from it."""
        instance.state = "MAINTENANCE"
        try:
            if instance.server is not None:
                await instance.server.kill()
                await instance.server.start()
        finally:
            instance.state = "RUNNABLE"
        instance.zone, instance.second_zone = instance.second_zone, instance.zone
        self._api.note("Failover", instance, sent, zone=instance.zone)

    async def activate(self, instance: Instance, policy: str, sent: Any) -> None:
        """Stops or starts the server."""
        if instance.server is not None:
            await (instance.server.stop() if policy == "NEVER" else instance.server.start())
        self._api.note("Patch", instance, sent, activationPolicy=policy)

    async def back_up(self, instance: Instance, run: dict[str, Any], sent: Any) -> None:
        """Copies the server's files."""
        run |= {"status": "RUNNING", "startTime": timestamp()}
        try:
            if instance.server is not None:
                await _base_backup(instance.server, _folder(instance.server, f"run-{run['id']}"))
        except BaseException:
            run["status"] = "FAILED"
            raise
        run |= {"status": "SUCCESSFUL", "endTime": timestamp()}
        self._api.note("BackupRunsInsert", instance, sent, id=run["id"])

    async def keep_logs(self, instance: Instance) -> None:
        """
        Turns on point-in-time recovery: a base backup, every WAL segment, and the instance's own
        beat, so that there is always a later commit to recover to.

        Raises:
            ValueError: It has no server.
        """
        server = instance.server
        if server is None:
            raise ValueError("only a real server has a log to keep")
        archive = _folder(server, "wal")
        make_private(archive, server.run_as)
        await server.execute_as_superuser("ALTER SYSTEM SET archive_mode = 'on'")
        command = f"test ! -f {archive}/%f && cp %p {archive}/%f"
        await server.query_as_superuser(f"ALTER SYSTEM SET archive_command = '{command}'")
        await server.stop()
        await server.start()
        await _base_backup(server, _folder(server, "base"))
        earliest = datetime.now(UTC)
        instance.has_pitr = True
        self._windows[instance.name] = (earliest, earliest)
        self._beats.append(asyncio.create_task(self._beat(instance, server)))

    def keep_window(self, instance: Instance, earliest: datetime, latest: datetime) -> None:
        """Turns on point-in-time recovery of an instance without a server."""
        instance.has_pitr = True
        self._windows[instance.name] = (earliest, latest)

    def window(self, instance: Instance) -> tuple[datetime, datetime]:
        """
        From when to when the instance can be recovered.

        Raises:
            Refusal: It keeps no logs.
        """
        if instance.name not in self._windows:
            message = "Point-in-time recovery is not enabled for the instance."
            raise Refusal(400, "invalidRequest", message)
        return self._windows[instance.name]

    def shape_of_clone(self, source: Instance, name: str) -> Instance:
        """A clone has its source's settings, with a version of its own."""
        return Instance(
            name=name,
            region=source.region,
            project=source.project,
            state="PENDING_CREATE",
            is_regional=source.is_regional,
            is_public=source.is_public,
            network=source.network,
        )

    async def clone(self, source: Instance, clone: Instance, at: datetime, sent: Any) -> None:
        """Restores the base backup and replays the logs up to *at*, where there is a server."""
        server = source.server
        if server is None:
            clone.state = "RUNNABLE"
            self._api.note("Clone", clone, sent, source=source.name, at=timestamp(at))
            return
        copy = PostgresServer(
            name=clone.name,
            address=self.clone_address,
            root=server.root,
            binaries=server.binaries,
            run_as=server.run_as,
        )
        try:
            await asyncio.to_thread(_lay_out, server, copy, at)
            await copy.start()
            await copy._until("has recovered", copy._takes_writes, within_s=60.0)
        except BaseException:
            clone.state = "FAILED"
            await copy.remove()
            raise
        # The roles and their passwords come with the files.
        copy._superuser_password = server._superuser_password
        clone.server = copy
        clone.state = "RUNNABLE"
        self._api.note("Clone", clone, sent, source=source.name, at=timestamp(at))

    async def _beat(self, instance: Instance, server: PostgresServer) -> None:
        earliest = self._windows[instance.name][0]
        while True:
            with contextlib.suppress(Exception):  # it is stopped or lost: the window ends there
                rows = await server.query_as_superuser("SELECT clock_timestamp()")
                before: datetime = rows[0][0]
                await server.query_as_superuser("SELECT pg_current_xact_id()")
                rows = await server.query_as_superuser("SELECT pg_walfile_name(pg_switch_wal())")
                if await _is_kept(_folder(server, "wal") / rows[0][0]):
                    self._windows[instance.name] = (earliest, before)
            await asyncio.sleep(_BEAT_S)


async def _is_kept(segment: Path) -> bool:
    for _ in range(100):
        if await asyncio.to_thread(segment.exists):
            return True
        await asyncio.sleep(0.05)
    return False


def _folder(server: PostgresServer, what: str) -> Path:
    return server.root / "cloudsql" / server.name / what


async def _base_backup(server: PostgresServer, folder: Path) -> None:
    make_private(folder, server.run_as)
    host, port = server.address
    await run_program(
        "pg_basebackup",
        *("--pgdata", str(folder), "--wal-method", "stream", "--checkpoint", "fast", "--no-sync"),
        *("--dbname", f"host={host} port={port} user={REPLICATION_USER} connect_timeout=5"),
        binaries=server.binaries,
        run_as=server.run_as,
        env={"PGPASSWORD": server._replication_password},
    )


def _lay_out(server: PostgresServer, copy: PostgresServer, at: datetime) -> None:
    make_private(copy.folder, copy.run_as)
    shutil.copytree(_folder(server, "base"), copy.data_dir)
    archive = _folder(server, "wal")
    with (copy.data_dir / "postgresql.auto.conf").open("a") as settings:
        settings.write(
            "archive_mode = 'off'\n"
            f"restore_command = 'cp {archive}/%f %p'\n"
            f"recovery_target_time = '{at.astimezone(UTC).isoformat()}'\n"
            "recovery_target_action = 'promote'\n"
        )
    (copy.data_dir / "recovery.signal").touch()
    for path in (copy.data_dir, *copy.data_dir.rglob("*")):
        give_away(path, copy.run_as)
    copy.data_dir.chmod(0o700)
    copy._superuser_password = server._superuser_password
