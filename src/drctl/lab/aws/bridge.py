"""
From emulated load balancers to real ones: a process for each that has a listener.

The bridge looks at moto's elbv2 state of every region ten times a second, and starts, configures
and kills `Balancer` processes so that they are what the API says. A region that is killed stays
dead, and its names go on resolving, as at AWS.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from moto.backends import get_backend
from moto.elbv2.models import (
    ELBv2Backend,
    FakeAction,
    FakeListener,
    FakeLoadBalancer,
    FakeTargetGroup,
)

from drctl.lab.aws import security_groups
from drctl.lab.balancer import Balancer
from drctl.lab.plan import ACCOUNT_ID, AddressPlan
from drctl.lab.targets import BalancerConfig, TargetHealth

_POLL_S: Final = 0.1
_LOG: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class _Region:
    name: str
    is_alive: bool = True
    numbers: dict[str, int] = field(default_factory=dict)
    """k of each load balancer's address, by ARN; never used twice."""
    processes: dict[str, Balancer] = field(default_factory=dict)
    """By listener ARN."""
    groups: dict[str, str] = field(default_factory=dict)
    """Listener ARN to target group ARN, as last seen."""


class BalancerBridge:
    """Keeps the load balancer processes of all regions; its answers may be read from any thread."""

    def __init__(
        self,
        plan: AddressPlan,
        root: Path,
        *,
        compression: float = 20.0,
        is_active: Callable[[FakeLoadBalancer], bool] = lambda _: True,
    ) -> None:
        """
        Args:
            plan: Where load balancers listen.
            root: The lab's folder, for pid files and logs.
            compression: By how much health checks are faster than the target group says.
            is_active: Whether a load balancer is past ``provisioning``; none is started before.
        """
        self._plan = plan
        self._root = root
        self._compression = compression
        self._is_active = is_active
        self._regions: dict[str, _Region] = {name: _Region(name) for name in plan.REGIONS}
        self._keeper: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Begins to follow the API, from the running event loop."""
        await self._reconcile()
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Ends every load balancer. Safe to repeat."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        async with self._turn:
            for region in self._regions.values():
                await _end(region.processes.values())
                region.processes.clear()

    async def kill_region(self, region: str) -> None:
        """Kills the region's load balancers with SIGKILL; none is started until `revive_region`."""
        state = self._regions[region]
        state.is_alive = False
        # Before the lock: a balancer that is being started must not delay the death of the others.
        await _end(state.processes.values())
        async with self._turn:
            await _end(state.processes.values())
            state.processes.clear()

    async def revive_region(self, region: str) -> None:
        """Starts again what the API says of the region; returns when it listens."""
        self._regions[region].is_alive = True
        await self._reconcile()

    async def settle(self) -> None:
        """Makes the processes what the API says now, and returns when they are."""
        await self._reconcile()

    def lookup(self, name: str) -> str | None:
        """The address of a load balancer's DNS name (any case, final dot or not), or None."""
        wanted = name.lower().rstrip(".")
        for region in self._regions.values():
            for balancer in _balancers(region.name):
                if balancer.dns_name.lower() == wanted:
                    return self._address(region, balancer)
        return None

    def has_healthy_target(self, name: str) -> bool:
        """Tells whether the load balancer of a DNS name would answer; for evaluated aliases."""
        wanted = name.lower().rstrip(".")
        for region in self._regions.values():
            for balancer in _balancers(region.name):
                if balancer.dns_name.lower() == wanted and region.is_alive:
                    processes = [region.processes.get(arn) for arn in tuple(balancer.listeners)]
                    return any(
                        health.state == "healthy"
                        for process in processes
                        if process is not None and process.is_running
                        for health in process.health().values()
                    )
        return False

    def target_health(self, group_arn: str, target: str) -> TargetHealth | None:
        """What the load balancer in front says of ``ip:port``; None when none is in front."""
        region = self._regions.get(group_arn.split(":")[3])
        if region is None or not is_in_use(region.name, group_arn):
            return None
        for listener, group in tuple(region.groups.items()):
            process = region.processes.get(listener)
            if group != group_arn or process is None:
                continue
            if (seen := process.health().get(target)) is not None:
                return seen
        return TargetHealth(
            state="initial",
            reason="Elb.RegistrationInProgress",
            description="Target registration is in progress",
        )

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_POLL_S)
            try:
                await self._reconcile()
            except (OSError, RuntimeError):
                # The address may be taken for the moment; the API's state is still to be reached.
                _LOG.exception("a load balancer could not be brought to the state of the API")

    async def _reconcile(self) -> None:
        async with self._turn:
            # All to their end: a region that fails must not leave another one half reconciled.
            ends = await asyncio.gather(
                *map(self._reconcile_region, self._regions.values()), return_exceptions=True
            )
        for end in ends:
            if end is not None:
                raise end

    async def _reconcile_region(self, region: _Region) -> None:
        if not region.is_alive:
            return
        wanted = {
            listener.arn: (balancer, listener)
            for balancer in _balancers(region.name)
            if self._is_active(balancer)
            for listener in tuple(balancer.listeners.values())
        }
        for arn in region.processes.keys() - wanted.keys():
            # At once: one that is lost or deleted says no goodbye to its clients.
            await region.processes.pop(arn).kill()
            region.groups.pop(arn, None)
        for arn, (balancer, listener) in wanted.items():
            group = group_of(region.name, listener)
            if group is None:
                continue
            region.groups[arn] = group.arn
            process = region.processes.get(arn)
            if process is None:
                address = self._address(region, balancer)
                name = f"{balancer.name}-{listener.port}"
                tls = self._certificate(region.name, listener)
                process = Balancer(name, (address, int(listener.port)), self._root, tls=tls)
                region.processes[arn] = process
            if not process.is_running:
                await process.kill()
                await process.start()
                if self._was_killed(region):
                    await process.kill()
                    return
            config = self._config(group, is_open=_lets_in(region.name, balancer, listener))
            if config != process.config:
                process.configure(config)

    @staticmethod
    def _was_killed(region: _Region) -> bool:
        """Asked anew after every await: `kill_region` does not wait for a start to end."""
        return not region.is_alive

    def _address(self, region: _Region, balancer: FakeLoadBalancer) -> str:
        k = region.numbers.setdefault(balancer.arn, len(region.numbers) + 1)
        return self._plan.balancer(region.name, k)[0]

    def _certificate(self, region: str, listener: FakeListener) -> Path | None:
        """The file with the key and the chain of a TLS listener; None for a plain one."""
        if listener.certificate is None:
            return None
        held = get_backend("acm")[ACCOUNT_ID][region].get_certificate(listener.certificate)
        path = self._root / "certificates" / f"{listener.arn.rsplit('/', 1)[-1]}.pem"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(b"\n".join([held.key, held.cert, held.chain or b""]))
        return path

    def _config(self, group: FakeTargetGroup, *, is_open: bool) -> BalancerConfig:
        matcher: Mapping[str, Any] = getattr(group, "matcher", None) or {}
        targets = tuple(group.targets.values())
        return BalancerConfig(
            targets=tuple(f"{target['Id']}:{target['Port']}" for target in targets),
            path=group.health_check_path or "/",
            interval_s=int(group.health_check_interval_seconds) / self._compression,
            # Compressed less than the interval: a loaded machine must not look like a dead target.
            timeout_s=max(1.0, int(group.health_check_timeout_seconds) / self._compression),
            healthy_threshold=int(group.healthy_threshold_count),
            unhealthy_threshold=int(group.unhealthy_threshold_count),
            matcher=str(matcher.get("HttpCode", "200")),
            is_open=is_open,
        )


def _lets_in(region: str, balancer: FakeLoadBalancer, listener: FakeListener) -> bool:
    """Asks the security groups; a load balancer that was made without any is not filtered here."""
    groups = balancer.security_groups or ()
    return not groups or security_groups.admit(region, groups, int(listener.port))


def is_in_use(region: str, group_arn: str) -> bool:
    """Tells whether a listener forwards to a target group."""
    return any(
        group is not None and group.arn == group_arn
        for balancer in _balancers(region)
        for group in (group_of(region, each) for each in tuple(balancer.listeners.values()))
    )


def group_of(region: str, listener: FakeListener) -> FakeTargetGroup | None:
    """The one target group that a listener forwards to; None when it is gone."""
    for action in listener.default_actions:
        for arn in groups_of(action):
            return backend(region).target_groups.get(arn)
    return None


def groups_of(action: FakeAction) -> tuple[str, ...]:
    """The target groups that an action forwards to, by ARN."""
    forwards = action.data.get("ForwardConfig", {}).get("TargetGroups", [action.data])
    return tuple(arn for forward in forwards if (arn := forward.get("TargetGroupArn")))


def backend(region: str) -> ELBv2Backend:
    """The emulated elbv2 of a region."""
    return get_backend("elbv2")[ACCOUNT_ID][region]


def _balancers(region: str) -> tuple[FakeLoadBalancer, ...]:
    return tuple(backend(region).load_balancers.values())


async def _end(processes: Iterable[Balancer]) -> None:
    await asyncio.gather(*(process.kill() for process in tuple(processes)))
