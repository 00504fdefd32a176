"""The one process that holds a lab together: emulated control planes, names, checks, the socket."""

import argparse
import asyncio
import logging
import os
import secrets
import signal
import sys
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from drctl.lab.access import ACCESS_KEY_ID, Secrets
from drctl.lab.aws import elbv2, route53
from drctl.lab.aws.bridge import BalancerBridge
from drctl.lab.aws.delays import VendorDelays
from drctl.lab.aws.plane import AwsControlPlane
from drctl.lab.aws.rds import RdsBridge
from drctl.lab.channel import serve
from drctl.lab.checks import HealthCheckers
from drctl.lab.estate.environment import cluster_token
from drctl.lab.kubernetes import Certificate, KubernetesCluster
from drctl.lab.names import NameServer
from drctl.lab.outages import Outages
from drctl.lab.plan import REGIONS, AddressPlan
from drctl.lab.registrar import Registrar
from drctl.lab.root import LabRoot
from drctl.lab.zones import Resolution


class _Part(Protocol):
    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Supervisor:
    """Starts the parts in the order in which they need each other, stops them in reverse."""

    def __init__(self, net: int) -> None:
        self._plan = AddressPlan(net)
        self._root = LabRoot.of(net)
        self._delays = VendorDelays()
        self._rds = RdsBridge(self._plan, root=self._root.path, delays=self._delays)
        self._route53: route53.Route53Overlay | None = None
        self._elbv2: elbv2.Elbv2Overlay | None = None
        self._plane = AwsControlPlane(
            self._plan,
            access_keys={ACCESS_KEY_ID},
            overlays=[self._rds.install, self._install_route53, self._install_elbv2],
        )
        self._registrar = Registrar()
        self._authorities: dict[str, str] = {}
        self._stops: list[Callable[[], Any]] = []
        self._outages: Outages | None = None

    async def start(self) -> None:
        """
        Starts everything; returns when every address answers.

        Raises:
            OSError: An address is taken.

        Changes:
            Threads, ports and, once the API is asked for them, processes.
        """
        await self._rds.start()
        self._plane.start()
        self._stops += [self._rds.stop, self._plane.stop]
        if self._route53 is None or self._elbv2 is None:
            raise RuntimeError("the plane installed no overlays")
        balancers = BalancerBridge(self._plan, self._root.path, is_active=self._elbv2.is_active)
        self._elbv2.watch(balancers)
        checkers = HealthCheckers(route53.health_checks, resolve=self._address_of(balancers))
        self._route53.watch(checkers)
        names = NameServer(
            Resolution(
                zones=self._route53.zones,
                is_healthy=checkers.healthy,
                extra=self._address_of(balancers),
                is_target_healthy=balancers.has_healthy_target,
            )
        )
        await names.start(*self._plan.dns)
        self._stops.append(names.stop)
        clusters = {str(region): self._cluster(region) for region in REGIONS}
        parts: tuple[_Part, ...] = (balancers, checkers, self._registrar, *clusters.values())
        for part in parts:
            await part.start()
            self._stops.append(part.stop)
        self._outages = Outages(self._root, self._plane, self._rds, balancers, clusters)

    async def handle(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Does what the control socket asks for."""
        outages = self._outages
        if outages is None:
            raise RuntimeError("the supervisor has not started")
        match request["do"]:
            case "status":
                return outages.status() | {"authorities": self._authorities}
            case "start_witness":
                return await outages.start_witness(request["environment"])
            case "break_region":
                return await outages.break_region(request["region"], request["how"])
            case "break_replication":
                return await outages.break_replication()
            case "heal":
                return await outages.heal()
            case other:
                raise ValueError(f"nothing to do for {other!r}")

    async def stop(self) -> None:
        """Ends every part and its processes."""
        for stop in reversed(self._stops):
            ending = stop()
            if ending is not None:
                await ending

    def _install_route53(self) -> Callable[[], None]:
        self._route53 = route53.install(insync_s=self._delays.insync_s)
        return self._route53.uninstall

    def _install_elbv2(self) -> Callable[[], None]:
        self._elbv2 = elbv2.install()
        return self._elbv2.uninstall

    def _address_of(self, balancers: BalancerBridge) -> Callable[[str], str | None]:
        """The names that AWS itself serves."""

        def look_up(name: str) -> str | None:
            for instance in tuple(self._rds.instances.values()):
                if instance.endpoint_name == name and instance.described.endpoint is not None:
                    return instance.endpoint_ip
            return balancers.lookup(name)

        return look_up

    def _cluster(self, region: str) -> KubernetesCluster:
        address, port = self._plan.kubernetes_address(region)
        token = secrets.token_urlsafe(32)
        Secrets(self._root.secrets).write(cluster_token(region), token)
        tls = Certificate.make(self._root.path / "kubernetes" / region, [address])
        self._authorities[region] = str(tls.authority)
        return KubernetesCluster(
            region=region,
            address=address,
            port=port,
            uid=str(uuid.uuid4()),
            tls=tls,
            token=token,
            pod_addresses=self._plan.pod_addresses(region),
            root=self._root.path,
            on_ready_pods=self._registrar.listener(region),
        )


async def run(net: int) -> None:
    """Holds the lab until SIGTERM."""
    supervisor = Supervisor(net)
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
    """Runs the supervisor of the net that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m drctl.lab.supervisor")
    parser.add_argument("--net", type=int, required=True)
    net = parser.parse_args(arguments).net
    os.umask(0o077)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    asyncio.run(run(net))


if __name__ == "__main__":
    main(sys.argv[1:])
