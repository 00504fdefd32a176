"""A real Patroni cluster: members with PostgreSQL, their store is Patroni's own raft among them."""

import asyncio
import base64
import contextlib
import importlib.util
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import asyncpg
import yaml

from drctl.lab.children import descendants, identity, is_alive, kill_tree, unprivileged
from drctl.lab.postgres import find_binaries
from drctl.lab.postgres.binaries import _readable_copy
from drctl.lab.postgres.programs import environment, release_shared_memory

SCOPE, USER = "shop", "drctl"
PASSWORD = secrets.token_urlsafe(12)
REST_PORT, RAFT_PORT, SQL_PORT = 8008, 2222, 5432
PACKAGES = ("patroni", "pysyncobj", "psycopg2", "dateutil", "psutil", "urllib3", "yaml", "six")
SETTINGS = {
    # The shortest that Patroni allows.
    "ttl": 20,
    "loop_wait": 1,
    "retry_timeout": 3,
    "maximum_lag_on_failover": 1048576,
    "postgresql": {
        "use_pg_rewind": True,
        "use_slots": True,
        "parameters": {
            "max_connections": 50,
            "wal_log_hints": "on",
            "wal_keep_size": "128MB",
            "io_method": "sync",
            "jit": "off",
        },
    },
}


class Python:
    """An interpreter with Patroni that another user can run."""

    def __init__(self, root, run_as):
        self.program, self.env = sys.executable, environment()
        self._who = {} if run_as is None else identity(run_as)
        if self._runs():
            return
        # Ours is in somebody's home: a copy of it, of links where the file system allows it.
        base, name = Path(sys.base_prefix), f"python{sysconfig.get_python_version()}"
        made, site = root / "python", root / "python" / "site"
        (made / "bin").mkdir(parents=True)
        self.program = _readable_copy(str(Path(sys.executable).resolve()), str(made / "bin" / name))
        ignore = shutil.ignore_patterns("site-packages", "test", "tests", "idlelib", "config-*")
        _tree(base / "lib" / name, made / "lib" / name, ignore)
        for library in (base / "lib").glob("libpython*.so*"):
            _readable_copy(str(library), str(made / "lib" / library.name))
        for package in PACKAGES:
            place = Path(importlib.util.find_spec(package).origin)
            if place.name == "__init__.py":
                _tree(place.parent, site / package, ignore)
            else:
                _readable_copy(str(place), str(site / place.name))
        for libraries in Path(sysconfig.get_path("purelib")).glob("psycopg2*.libs"):
            _tree(libraries, site / libraries.name, ignore)
        for folder, _, _ in os.walk(made):
            Path(folder).chmod(0o755)
        self.env |= {"PYTHONPATH": str(site), "LD_LIBRARY_PATH": str(made / "lib")}
        assert self._runs(), "no Python that the unprivileged user can run Patroni with"

    def _runs(self):
        probe = [self.program, "-c", "import patroni.__main__, pysyncobj, psycopg2"]
        with contextlib.suppress(PermissionError):
            said = subprocess.run(
                probe, env=self.env, cwd="/", capture_output=True, check=False, **self._who
            )
            return said.returncode == 0
        return False


def _tree(source, target, ignore):
    shutil.copytree(source, target, copy_function=_readable_copy, ignore=ignore, symlinks=False)


class Member:
    """One Patroni and its PostgreSQL, on an address of their own."""

    def __init__(self, cluster, name, host):
        self.cluster, self.name, self.host = cluster, name, host
        self.folder = cluster.root / name
        self.data = self.folder / "data"
        self.url = f"http://{host}:{REST_PORT}"
        self.process = None

    def configure(self, others):
        bins = self.cluster.binaries.folder
        socket = str(self.folder)
        account = {"username": USER, "password": PASSWORD}
        settings = {
            "scope": SCOPE,
            "name": self.name,
            "log": {"level": "INFO"},
            "restapi": {
                "listen": f"{self.host}:{REST_PORT}",
                "connect_address": f"{self.host}:{REST_PORT}",
                "authentication": account,
            },
            "raft": {
                "data_dir": str(self.folder / "raft"),
                "self_addr": f"{self.host}:{RAFT_PORT}",
                "bind_addr": f"{self.host}:{RAFT_PORT}",  # else every address of the machine
                "partner_addrs": [f"{one.host}:{RAFT_PORT}" for one in others],
            },
            "bootstrap": {
                "dcs": SETTINGS,
                "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, "data-checksums", "no-sync"],
            },
            "postgresql": {
                "listen": f"{self.host}:{SQL_PORT}",
                "connect_address": f"{self.host}:{SQL_PORT}",
                "data_dir": str(self.data),
                "bin_dir": str(bins),
                "pgpass": str(self.folder / "pgpass"),
                "authentication": {
                    "superuser": account,
                    "replication": {"username": "follower", "password": PASSWORD},
                    "rewind": account,
                },
                "pg_hba": [
                    "local all all scram-sha-256",
                    "host all all 127.0.0.0/8 scram-sha-256",
                    "host replication follower 127.0.0.0/8 scram-sha-256",
                ],
                "basebackup": [{"checkpoint": "fast"}, "no-sync"],
                "parameters": {
                    "unix_socket_directories": socket,
                    "shared_buffers": "16MB",
                    "dynamic_shared_memory_type": "mmap",
                    "fsync": "off",
                    "wal_receiver_status_interval": "1s",
                    "wal_retrieve_retry_interval": "200ms",
                },
            },
        }
        self.folder.mkdir()
        (self.folder / "patroni.yml").write_text(yaml.safe_dump(settings))
        if self.cluster.run_as is not None:
            for place in (self.folder, self.folder / "patroni.yml"):
                os.chown(place, self.cluster.run_as.uid, self.cluster.run_as.gid)

    def start(self):
        python = self.cluster.python
        with (self.cluster.root / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [python.program, "-m", "patroni", str(self.folder / "patroni.yml")],
                cwd="/",
                env=python.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **python._who,
            )

    def postmaster(self):
        """Its pid, from its own file; it is no child of Patroni."""
        try:
            return int((self.data / "postmaster.pid").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None

    def kill(self):
        """SIGKILL for Patroni and all of PostgreSQL, as a lost machine."""
        pid = self.postmaster()
        if self.process is not None:
            kill_tree(self.process.pid)
            self.process.wait()
            self.process = None
        if pid is not None and is_alive(pid):
            kill_tree(pid)
        if self.data.exists():
            release_shared_memory(self.data)

    async def sql(self, statement, *arguments):
        connection = await asyncpg.connect(
            host=self.host, port=SQL_PORT, user=USER, password=PASSWORD, database="postgres",
            ssl=False, timeout=3,
        )  # fmt: skip
        try:
            return await connection.fetchval(statement, *arguments)
        finally:
            connection.terminate()

    def freeze(self):
        """Stops the process that gets WAL, as a network does that has stopped to carry it."""
        for pid in descendants(self.postmaster()):
            line = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
            if "walreceiver" in line:
                os.kill(pid, signal.SIGSTOP)
                return pid
        raise AssertionError("no walreceiver")

    async def rest(self, method, path, body=None, *, auth=True):
        """Status and text, by nobody's adapter."""

        def send():
            request = urllib.request.Request(self.url + path, method=method)  # noqa: S310 (ours)
            if body is not None:
                request.data = json.dumps(body).encode()
                request.add_header("content-type", "application/json")
            if auth:
                pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
                request.add_header("authorization", f"Basic {pair}")
            try:
                with urllib.request.urlopen(request, timeout=40) as answer:  # noqa: S310
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()

        return await asyncio.to_thread(send)

    async def get(self, path):
        return json.loads((await self.rest("GET", path))[1])


class Cluster:
    """Three members, so that the store has a majority when one is lost."""

    def __init__(self, net):
        self.root = Path(tempfile.mkdtemp(prefix="drctl-patroni-"))
        self.root.chmod(0o755)
        self.run_as = unprivileged()
        self.members = [
            Member(self, name, f"127.{net}.1.{number}")
            for number, name in enumerate(("one", "two", "three"), start=101)
        ]

    def __getitem__(self, name):
        return next(one for one in self.members if one.name == name)

    async def start(self):
        self.binaries = find_binaries(self.root, self.run_as)
        self.python = await asyncio.to_thread(Python, self.root, self.run_as)
        for one in self.members:
            one.configure([other for other in self.members if other is not one])
            one.start()
        await self.until_whole(120)
        self.system = await self.members[0].sql(
            "SELECT system_identifier::text FROM pg_control_system()"
        )

    async def until_whole(self, within_s=90):
        async with asyncio.timeout(within_s):
            while not await self.is_whole():  # noqa: ASYNC110 (a poll)
                await asyncio.sleep(0.2)

    async def is_whole(self):
        for one in self.members:
            with contextlib.suppress(OSError, ValueError, KeyError):
                said = (await one.get("/cluster"))["members"]
                states = sorted((row["role"] == "leader", row["state"]) for row in said)
                if states == [(False, "streaming")] * 2 + [(True, "running")]:
                    return True
        return False

    def anybody(self):
        """One that runs."""
        return next(one for one in self.members if one.process is not None)

    def others(self, *names):
        """The members besides these."""
        return [one for one in self.members if one.name not in names]

    async def leader(self):
        """Its name, by the store; empty: nobody."""
        for one in self.members:
            with contextlib.suppress(OSError, ValueError, KeyError):
                said = (await one.get("/cluster"))["members"]
                return next((row["name"] for row in said if row["role"] == "leader"), "")
        return ""

    async def stop(self):
        for one in self.members:
            await asyncio.to_thread(one.kill)
        shutil.rmtree(self.root, ignore_errors=True)
