"""The one process that holds a lab together: emulated control planes, names, checks, the socket."""

import argparse
import asyncio
import logging
import os
import signal
import sys
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from drctl.lab.access import ACCESS_KEY_ID, Secrets
from drctl.lab.aws import route53
from drctl.lab.aws.bridge import BalancerBridge
from drctl.lab.aws.delays import VendorDelays
from drctl.lab.aws.elbv2 import Elbv2Overlay
from drctl.lab.aws.global_caches import GlobalCaches
from drctl.lab.aws.permissions import Permissions
from drctl.lab.aws.plane import AwsControlPlane
from drctl.lab.aws.quotas import Quotas
from drctl.lab.aws.rds import RdsBridge
from drctl.lab.aws.route53 import Route53Overlay
from drctl.lab.aws.s3_replication import S3Replication
from drctl.lab.aws.scaling import Scaling
from drctl.lab.channel import serve
from drctl.lab.checks import HealthCheckers
from drctl.lab.edges import Edges
from drctl.lab.estate.environment import (
    COMPONENTS,
    INCIDENT_CHANNEL,
    SLACK_WEBHOOK,
    STATUS_PAGE,
    cluster_token,
)
from drctl.lab.kubernetes import Certificate, KubernetesCluster
from drctl.lab.names import NameServer
from drctl.lab.outages import Outages
from drctl.lab.plan import REGIONS, AddressPlan
from drctl.lab.recorder import Recorder
from drctl.lab.registrar import Registrar
from drctl.lab.root import LabRoot
from drctl.lab.shapes import Shape, Site, parts, shape
from drctl.lab.storage import Storage
from drctl.lab.zones import Resolution


class _Part(Protocol):
    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Supervisor:
    """Starts the parts in the order in which they need each other, stops them in reverse."""

    def __init__(self, net: int, chosen: Shape) -> None:
        plan, root, delays = AddressPlan(net), LabRoot.of(net), VendorDelays()
        self._plan = plan
        self._root = root
        self._rds = RdsBridge(plan, root=root.path, delays=delays)
        self._route53 = Route53Overlay(delays)
        self._elbv2 = Elbv2Overlay()
        self._replication = S3Replication()
        permissions = Permissions(ACCESS_KEY_ID)
        self._plane = AwsControlPlane(
            plan,
            access_keys={ACCESS_KEY_ID},
            overlays=[
                self._rds.install,
                self._route53.install,
                self._elbv2.install,
                self._replication.install,
                Scaling().install,
                Quotas().install,
                GlobalCaches().install,
                permissions.install,
            ],
            ledger=root.ledger,
            forbids=permissions.refusal,
        )
        self._replication.watch(self._plane.is_reachable)
        self._balancers = BalancerBridge(plan, root.path, is_active=self._elbv2.is_active)
        self._elbv2.watch(self._balancers)
        self._checkers = HealthCheckers(route53.health_checks, resolve=self._address)
        self._route53.watch(self._checkers)
        self._names = NameServer(
            Resolution(
                zones=self._route53.zones,
                is_healthy=self._checkers.healthy,
                extra=self._address,
                is_target_healthy=self._balancers.has_healthy_target,
            )
        )
        secrets = Secrets(root.secrets)
        self._recorder = Recorder(
            root.recorded,
            webhooks={SLACK_WEBHOOK},
            channels={INCIDENT_CHANNEL: "C0INCIDENT"},
            statuspage_tokens={secrets.read("statuspage_token")},
            pages={STATUS_PAGE},
            components=COMPONENTS,
            ledger=root.ledger,
        )
        self._registrar = Registrar()
        self._authorities: dict[str, str] = {}
        self._clusters = {str(region): self._cluster(region) for region in REGIONS}
        self._parts = {
            "Storage": Storage(self._replication),
            **parts(chosen, Site(plan=plan, root=root, secrets=secrets)),
        }
        self._outages = Outages(
            root,
            self._plane,
            self._rds,
            self._balancers,
            self._clusters,
            parts=(
                Edges(self._elbv2, self._balancers, self._route53),
                *self._parts.values(),
            ),
        )
        self._stops: list[Callable[[], Awaitable[None]]] = []

    async def start(self) -> None:
        """
        Starts everything; returns when every address answers.

        Raises:
            OSError: An address is taken.

        Changes:
            Threads, ports and, once the API is asked for them, processes.
        """
        self._stops.append(self._rds.stop)
        await self._rds.start()
        self._stops.append(self._stop_plane)
        self._plane.start()
        self._stops.append(self._names.stop)
        await self._names.start(*self._plan.dns)
        self._stops.append(self._recorder.stop)
        await self._recorder.start(*self._plan.recorder)
        core: tuple[_Part, ...] = (self._balancers, self._checkers, self._registrar)
        for part in (*core, *self._clusters.values(), *self._parts.values()):
            self._stops.append(part.stop)
            await part.start()

    async def handle(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Does what the control socket asks for."""
        outages = self._outages
        match request["do"]:
            case "status":
                return outages.status() | {"authorities": self._authorities}
            case "start_witness":
                return await outages.start_witness(request["environment"])
            case "facts":
                return {name: dict(part.facts()) for name, part in self._parts.items()}
            case "environment":
                return {"parts": [part.environment() for part in self._parts.values()]}
            case "break":
                return await outages.strike(request["what"], request["words"])
            case "heal":
                return await outages.heal()
            case other:
                raise ValueError(f"nothing to do for {other!r}")

    async def stop(self) -> None:
        """Ends every part that was started, and its processes."""
        for stop in reversed(self._stops):
            await stop()

    async def _stop_plane(self) -> None:
        self._plane.stop()

    def _address(self, name: str) -> str | None:
        """The names that AWS itself serves."""
        for instance in tuple(self._rds.instances.values()):
            if instance.endpoint_name == name and instance.described.endpoint is not None:
                return instance.endpoint_ip
        for part in self._parts.values():
            # A cluster's own names: only some parts have any.
            lookup = getattr(part, "lookup", None)
            if lookup is not None and (found := lookup(name)) is not None:
                return str(found)
        return self._balancers.lookup(name)

    def _cluster(self, region: str) -> KubernetesCluster:
        address, port = self._plan.kubernetes_address(region)
        secrets = Secrets(self._root.secrets)
        secrets.make(cluster_token(region))
        tls = Certificate.make(self._root.path / "kubernetes" / region, [address])
        self._authorities[region] = str(tls.authority)
        return KubernetesCluster(
            region=region,
            address=address,
            port=port,
            uid=str(uuid.uuid4()),
            tls=tls,
            token=secrets.read(cluster_token(region)),
            pod_addresses=self._plan.pod_addresses(region),
            root=self._root.path,
            on_ready_pods=self._registrar.listener(region),
            has_image=self._has_image,
        )

    def _has_image(self, image: str) -> bool:
        """Whether a node could pull it; what no registry of the lab is for, everybody has."""
        registry = getattr(self._parts.get("Releases"), "has", None)
        return registry is None or bool(registry(image))


async def run(net: int, chosen: Shape) -> None:
    """Holds the lab until SIGTERM."""
    supervisor = Supervisor(net, chosen)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    try:
        await supervisor.start()
        control = await serve(LabRoot.of(net).control, supervisor.handle)
        await stopped.wait()
        control.close()
    finally:
        await supervisor.stop()


def main(arguments: list[str]) -> None:
    """Runs the supervisor of the net and shape that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m drctl.lab.supervisor")
    parser.add_argument("--net", type=int, required=True)
    parser.add_argument("--shape", type=shape, required=True)
    told = parser.parse_args(arguments)
    os.umask(0o077)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    asyncio.run(run(told.net, told.shape))


if __name__ == "__main__":
    main(sys.argv[1:])
