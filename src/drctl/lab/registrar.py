"""The load-balancer controller: keeps target groups equal to the pods that are ready."""

import asyncio
from functools import partial
from typing import Final

from drctl.lab.aws.bridge import backend
from drctl.lab.kubernetes.endpoints import OnReadyPods
from drctl.lab.plan import POD_PORT

_POLL_S: Final = 0.1


class Registrar:
    """
    Registers the addresses of ready pods in the target group that has the name of their app.

    Works through the emulated account's own state, as a controller inside the region would through
    its API; a region that stands still tells nothing, so its registrations stay as they were.
    """

    def __init__(self) -> None:
        self._wanted: dict[tuple[str, str], tuple[str, ...]] = {}
        self._keeper: asyncio.Task[None] | None = None

    def listener(self, region: str) -> OnReadyPods:
        """What the region's kubelet tells about its pods."""
        return partial(self._note, region)

    async def start(self) -> None:
        """Begins to register."""
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Ends that. Safe to repeat."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None

    def _note(self, region: str, _namespace: str, app: str, addresses: tuple[str, ...]) -> None:
        self._wanted[region, app] = addresses
        self._register(region, app)

    async def _keep(self) -> None:
        # A target group may be made after its pods, or anew.
        while True:
            await asyncio.sleep(_POLL_S)
            for region, app in tuple(self._wanted):
                self._register(region, app)

    def _register(self, region: str, app: str) -> None:
        elbv2 = backend(region)
        wanted = set(self._wanted[region, app])
        for group in tuple(elbv2.target_groups.values()):
            if group.name != app or group.target_type != "ip":
                continue
            have = set(group.targets)
            if arrived := wanted - have:
                elbv2.register_targets(group.arn, _targets(arrived))
            if gone := have - wanted:
                elbv2.deregister_targets(group.arn, _targets(gone))


def _targets(addresses: set[str]) -> list[dict[str, str | int]]:
    return [{"Id": address, "Port": POD_PORT} for address in sorted(addresses)]
