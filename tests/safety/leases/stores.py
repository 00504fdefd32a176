"""Every kind of cell, real: a folder, S3 (strict), a Kubernetes API, PostgreSQL."""

import asyncio
import itertools
import secrets
import shutil
import tempfile
import threading
from pathlib import Path

from arena import context

from drctl.adapters.aws.s3_cell import S3Settings, S3Store
from drctl.adapters.kubernetes.client import Cluster
from drctl.adapters.kubernetes.lease_cell import LeaseSettings
from drctl.adapters.kubernetes.lease_cell import LeaseStore as KubernetesStore
from drctl.adapters.postgres.row_cell import RowSettings, RowStore
from drctl.journal.file_cell import FileCell
from drctl.lab.aws.plane import AwsControlPlane
from drctl.lab.children import unprivileged
from drctl.lab.kubernetes import Certificate, KubernetesCluster
from drctl.lab.plan import AddressPlan
from drctl.lab.postgres import PostgresServer, find_binaries

NET = 204
KEY_ID = "AKIALABLABLABLABLAB1"
BUCKET = "leases"
PASSWORD = secrets.token_urlsafe(12)
TABLE = """
CREATE TABLE drctl_leases(
    name text PRIMARY KEY, version bigint NOT NULL, document text NOT NULL);
ALTER TABLE drctl_leases OWNER TO drctl;
"""


class Folder:
    """A folder of this machine."""

    name = "file"

    def __init__(self, root: Path) -> None:
        self._root = root

    def cell(self, place: str):
        return FileCell(self._root / place)

    def stop(self) -> None:
        pass


class S3:
    """The lab's AWS front, without its databases."""

    name = "s3"

    def __init__(self, _root: Path) -> None:
        import boto3

        self._plan = AddressPlan(NET)
        self.plane = AwsControlPlane(self._plan, access_keys={KEY_ID})
        self.plane.start()
        self.client = boto3.client(
            "s3",
            region_name="us-west-2",
            endpoint_url=self._plan.aws_url("us-west-2"),
            aws_access_key_id=KEY_ID,
            aws_secret_access_key="x",
        )
        where = {"LocationConstraint": "us-west-2"}
        self.client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)

    def settings(self, place: str) -> dict:
        url = self._plan.aws_url("us-west-2")
        aws = {
            "region": "us-west-2",
            "account": "123456789012",
            "access_key_id": f"env:{KEY_ID}",
            "secret_access_key": "env:x",
            "endpoints": {"s3": url},
        }
        return {"aws": aws, "bucket": BUCKET, "key": place}

    def cell(self, place: str):
        return S3Store().open(S3Settings.model_validate(self.settings(place)))

    def stop(self) -> None:
        self.client.close()
        self.plane.stop()


class _OwnLoop:
    """Something that lives on a loop of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


class Kubernetes:
    """The lab's API server, over TLS."""

    name = "kubernetes"
    address = f"127.{NET}.0.20"
    _ports = itertools.count(16443)

    def __init__(self, root: Path) -> None:
        self._own, self._port = _OwnLoop(), next(self._ports)
        self._certificate = Certificate.make(root, [self.address])
        self._cluster = self._own.run(self._make(root))
        made = Cluster(context(), self.cell("any")._at.cluster).post(
            "/api/v1/namespaces", {"metadata": {"name": "ops"}}
        )
        asyncio.run(made)

    async def _make(self, root: Path) -> KubernetesCluster:
        cluster = KubernetesCluster(
            region="us-west-2",
            address=self.address,
            port=self._port,
            uid="11111111-2222-4333-8444-555555555555",
            tls=self._certificate,
            token="token-of-the-tests",
            pod_addresses=[],
            root=root,
            on_ready_pods=lambda *_told: None,
        )
        await cluster.start()
        return cluster

    def cell(self, place: str):
        cluster = {
            "server": f"https://{self.address}:{self._port}",
            "ca_file": str(self._certificate.authority),
            "token": "env:token-of-the-tests",
            "cluster_uid": "11111111-2222-4333-8444-555555555555",
            "region": "us-west-2",
        }
        settings = {"cluster": cluster, "namespace": "ops", "name": place}
        return KubernetesStore().open(LeaseSettings.model_validate(settings))

    def stop(self) -> None:
        try:
            self._own.run(self._cluster.stop())
        finally:
            self._own.close()


class Postgres:
    """A real server."""

    name = "postgres"
    address = (f"127.{NET + 1}.1.101", 5432)

    def __init__(self, _root: Path) -> None:
        self._own = _OwnLoop()
        self._folder = Path(tempfile.mkdtemp(prefix="drctl-lease-pg-"))
        self._folder.chmod(0o755)
        self._server = self._own.run(self._make())

    async def _make(self) -> PostgresServer:
        run_as = unprivileged()
        binaries = find_binaries(self._folder, run_as)
        server = PostgresServer(
            name="leases", address=self.address, root=self._folder, binaries=binaries, run_as=run_as
        )
        await server.initialise()
        await server.execute_as_superuser(f"CREATE ROLE drctl LOGIN PASSWORD '{PASSWORD}'")
        await server.execute_as_superuser("CREATE DATABASE ops OWNER drctl")
        await server.execute_as_superuser(TABLE, database="ops")
        return server

    def cell(self, place: str):
        sql = {
            "host": self.address[0],
            "database": "ops",
            "user": "drctl",
            "password": f"env:{PASSWORD}",
            "tls": "off",
        }
        return RowStore().open(RowSettings.model_validate({"sql": sql, "name": place}))

    def stop(self) -> None:
        try:
            self._own.run(self._server.kill())
        finally:
            self._own.close()
            shutil.rmtree(self._folder, ignore_errors=True)


KINDS = {kind.name: kind for kind in (Folder, S3, Kubernetes, Postgres)}
