"""
The operator's loop: what a ``postgresql`` resource says, its server becomes.

As the real one does: a cluster with a ``standby`` section streams and takes no writes; taking the
section away promotes it, for good; ``numberOfInstances: 0`` ends its pods and keeps its data; a
server that crashed is started again where its node still is; and ``hot_standby`` is a parameter
that Patroni controls, so setting it changes nothing at all.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Any, Final

from drctl.lab.estate.environment import EAST, cluster_token
from drctl.lab.kubernetes.caller import Caller
from drctl.lab.operator.instances import (
    NAMESPACE,
    PRIMARY,
    STANDBY,
    Instance,
    Instances,
    service_name,
)
from drctl.lab.plan import as_region
from drctl.lab.shapes import Site, Stroke

_LOG = logging.getLogger(__name__)
_EVERY_S: Final = 0.2
_POSTGRESQLS: Final = f"/apis/acid.zalan.do/v1/namespaces/{NAMESPACE}/postgresqls"
_PODS: Final = f"/api/v1/namespaces/{NAMESPACE}/pods"
_ENDPOINTS: Final = f"/api/v1/namespaces/{NAMESPACE}/endpoints"


class PostgresOperator:
    """Two clusters in the east: one that takes writes, and a standby cluster of it."""

    def __init__(self, site: Site) -> None:
        self._instances = Instances(site.plan, site.root.path, site.secrets)
        self._caller = Caller(
            server=site.plan.kubernetes_url(EAST),
            ca_file=str(site.root.path / "kubernetes" / EAST / "ca.crt"),
            token=site.secrets.read(cluster_token(EAST)),
        )
        self._loop: asyncio.Task[None] | None = None
        self._told: dict[str, tuple[str, ...]] = {}

    async def start(self) -> None:
        """Makes the servers and their resources, and begins to watch these."""
        await self._instances.start()
        await self._caller.call("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        standby = {"standby_host": service_name(PRIMARY), "standby_port": "5432"}
        for name, more in ((PRIMARY, {}), (STANDBY, {"standby": standby})):
            spec = {
                "teamId": "platform",
                "numberOfInstances": 1,
                "postgresql": {"version": "17"},
                "volume": {"size": "1Gi"},
                **more,
            }
            await self._caller.call(
                "POST", _POSTGRESQLS, {"metadata": {"name": name}, "spec": spec}
            )
            meta = {"name": name, "labels": {"cluster-name": name}}
            await self._caller.call("POST", _ENDPOINTS, {"metadata": meta})
            await self._sync(name)
        self._loop = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ends the loop and the servers. Safe to repeat."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
            self._loop = None
        await self._instances.stop()

    def facts(self) -> Mapping[str, Any]:
        """The system's identifier."""
        return {"system_identifier": self._instances.identifier}

    def environment(self) -> Mapping[str, Mapping[str, Any]]:
        """Nothing; the targets are the builder's."""
        return {}

    def lookup(self, name: str) -> str | None:
        """The address behind a cluster's service, for the name server."""
        for cluster in (PRIMARY, STANDBY):
            if name == service_name(cluster):
                return self._instances.address(cluster)[0]
        return None

    def strokes(self) -> Mapping[str, Stroke]:
        """
        ``database``: the primary's node; ``replication``: the link to it; ``region``: all nodes.
        """
        return {
            "database": self._break_database,
            "replication": self._break_replication,
            "region": self._lose_region,
        }

    async def _lose_region(self, words: Mapping[str, str]) -> None:
        if as_region(words["name"]) != EAST:
            return
        if words["how"] != "kill":
            raise ValueError("this lab's clusters can only be killed with their region; --how kill")
        for instance in self._instances.by_name.values():
            instance.is_lost = True
            await instance.server.kill()

    async def _break_database(self, _words: Mapping[str, str]) -> None:
        instance = self._instances.by_name[PRIMARY]
        instance.is_lost = True
        await instance.server.kill()

    async def _break_replication(self, _words: Mapping[str, str]) -> None:
        await self._instances.link.set_mode("blackhole")

    async def heal(self) -> None:
        """Gives lost nodes back and opens the link; the loop starts what its resource asks for."""
        for instance in self._instances.by_name.values():
            instance.is_lost = False
        if self._instances.link.is_running:
            await self._instances.link.set_mode("open")

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_S)
            for name in (PRIMARY, STANDBY):
                try:
                    await self._sync(name)
                except Exception:  # noqa: BLE001 (what a controller may meet has no end)
                    _LOG.exception("the operator could not bring %s to what it should be", name)

    async def _sync(self, name: str) -> None:
        path = f"{_POSTGRESQLS}/{name}"
        resource = await self._caller.call("GET", path)
        instance = self._instances.by_name[name]
        spec = resource["spec"]
        await self._obey(instance, spec)
        status = await instance.server.status()
        is_leader = status.in_recovery is False
        await self._show(name, instance, is_leader=is_leader)
        word = (
            "Running" if status.accepts else "Updating" if spec["numberOfInstances"] else "Running"
        )
        if (resource.get("status") or {}).get("PostgresClusterStatus") != word:
            body = {"status": {"PostgresClusterStatus": word}}
            await self._caller.call("PATCH", f"{path}/status", body)

    async def _obey(self, instance: Instance, spec: Mapping[str, Any]) -> None:
        server = instance.server
        if spec["numberOfInstances"] == 0:
            if server.is_running:
                await server.stop()
            return
        if not server.is_running and not instance.is_lost:
            await server.start()
        if "standby" not in spec and server.is_running:
            status = await server.status()
            if status.in_recovery:
                await server.promote()

    async def _show(self, name: str, instance: Instance, *, is_leader: bool) -> None:
        """One pod for a running server, and the leader behind the service of its cluster."""
        pod, running = f"{name}-0", instance.server.is_running
        role = "master" if is_leader else "replica"
        told = (pod, role) if running else ()
        if self._told.get(name) == told:
            return
        address = self._instances.address(name)[0]
        if running:
            await self._put_pod(pod, name, role, address)
        else:
            with contextlib.suppress(FileNotFoundError):
                await self._caller.call("DELETE", f"{_PODS}/{pod}?gracePeriodSeconds=0")
        subsets = [{"addresses": [{"ip": address}], "ports": [{"port": 5432}]}] if running else []
        await self._caller.call("PATCH", f"{_ENDPOINTS}/{name}", {"subsets": subsets})
        self._told[name] = told

    async def _put_pod(self, pod: str, cluster: str, role: str, address: str) -> None:
        labels = {"application": "spilo", "cluster-name": cluster, "spilo-role": role}
        container = {"name": "postgres", "image": "registry.example/spilo-17:4.0"}
        meta = {"name": pod, "labels": labels}
        # Of another node than the kubelet's: it is the operator who runs it.
        spec = {"nodeName": f"{EAST}-node-databases", "containers": [container]}
        try:
            await self._caller.call("PATCH", f"{_PODS}/{pod}", {"metadata": meta})
        except FileNotFoundError:
            await self._caller.call("POST", _PODS, {"metadata": meta, "spec": spec})
        ready = {"type": "Ready", "status": "True"}
        state = {"name": "postgres", "ready": True, "started": True, "restartCount": 0}
        state |= {"image": container["image"], "imageID": f"lab://{container['image']}"}
        status = {
            "phase": "Running",
            "podIP": address,
            "conditions": [ready],
            "containerStatuses": [state],
        }
        await self._caller.call("PATCH", f"{_PODS}/{pod}/status", {"status": status})
