"""What can happen to a region of the lab, or to one of its zones, and what undoes it."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from drctl.kernel.clock import SystemClock
from drctl.lab import children
from drctl.lab.aws.bridge import BalancerBridge
from drctl.lab.aws.plane import AwsControlPlane
from drctl.lab.aws.rds import RdsBridge
from drctl.lab.aws.rds_parts import RdsInstance
from drctl.lab.estate.environment import PRIMARY, WEST
from drctl.lab.kubernetes import KubernetesCluster
from drctl.lab.plan import AVAILABILITY_ZONES, as_region, zones_of
from drctl.lab.relay import Mode
from drctl.lab.relay_handle import RelayGoneError
from drctl.lab.root import LabRoot, python_path
from drctl.lab.shapes import Part, Stroke

WITNESS = "witness"
_CLOCK = SystemClock()


class Outages:
    """Breaks and heals regions and zones; asked by one caller at a time."""

    def __init__(
        self,
        root: LabRoot,
        plane: AwsControlPlane,
        rds: RdsBridge,
        balancers: BalancerBridge,
        clusters: Mapping[str, KubernetesCluster],
        *,
        parts: Sequence[Part] = (),
    ) -> None:
        self._root = root
        self._plane = plane
        self._rds = rds
        self._balancers = balancers
        self._clusters = clusters
        self._parts = parts
        self._states = dict.fromkeys(clusters, "up")
        self._is_replication_broken = False
        self._witness_environment: dict[str, str] | None = None
        self._witness: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    def status(self) -> dict[str, Any]:
        """Which regions and zones are how."""
        zones = {
            zone: "killed" if zone in self._rds.lost_zones else self._states[region]
            for zone, region in AVAILABILITY_ZONES.items()
        }
        replication = "blackholed" if self._is_replication_broken else "up"
        return {"regions": dict(self._states), "zones": zones, "replication": replication}

    async def start_witness(self, environment: Mapping[str, str]) -> dict[str, Any]:
        """Starts the observer of the primary in the recovery region."""
        async with self._turn:
            self._witness_environment = dict(environment)
            await self._run_witness()
        return {}

    async def strike(self, what: str, words: Mapping[str, str]) -> dict[str, Any]:
        """
        Takes something away; a second time is harmless.

        Raises:
            ValueError: This lab has no such thing, or it is in another state than that.
        """
        strokes: dict[str, Stroke] = {
            "region": self._break_region,
            "zone": self._break_zone,
            "replication": self._break_replication,
            "database": self._break_database,
            "certificate": self._break_certificate,
        }
        # A part with a database of its own knows better what its loss is.
        for part in self._parts:
            strokes |= {name: one for name, one in part.strokes().items() if name != "region"}
        if what not in strokes:
            raise ValueError(f"this lab has no {what!r} to break, only {', '.join(strokes)}")
        async with self._turn:
            began = _now()
            await strokes[what](words)
            return {"began": began, "ended": _now()}

    async def _break_region(self, words: Mapping[str, str]) -> None:
        region, how = as_region(words["name"]), words["how"]
        strike = {"kill": self._kill, "partition": self._partition}[how]
        state = {"kill": "killed", "partition": "partitioned"}[how]
        if self._states[region] not in {"up", state}:
            raise ValueError(f"{region} is {self._states[region]} already; heal it first")
        for part in self._parts:
            if lose := part.strokes().get("region"):
                await lose(words)
        # Both gates before anything else of it: nobody may watch the region die.
        self._plane.set_reachable(region, reachable=False)
        await self._clusters[region].set_reachable(reachable=False)
        await strike(region)
        self._states[region] = state

    async def _break_zone(self, words: Mapping[str, str]) -> None:
        """
        Takes a zone's node and its database servers; what AWS spreads over zones goes on in the
        other one: APIs, load balancers, names. Without its last zone a region is lost.
        """
        zone = words["name"]
        region = AVAILABILITY_ZONES[zone]
        if words["how"] != "kill":
            raise ValueError("a zone can only be killed; --how partition is for a region")
        if zone in self._rds.lost_zones:
            return
        if self._states[region] != "up":
            raise ValueError(f"{region} is {self._states[region]} already; heal it first")
        if all(other in self._rds.lost_zones for other in zones_of(region) if other != zone):
            self._rds.lost_zones.add(zone)
            await self._break_region({"name": region, "how": "kill"})
            return
        self._clusters[region].lose_zone(zone)
        await self._rds.lose_zone(zone)

    async def _break_replication(self, words: Mapping[str, str]) -> None:
        await self._set_links("blackhole", self._rds.instances.values())
        self._is_replication_broken = True

    async def _break_database(self, words: Mapping[str, str]) -> None:
        name = words["name"] or PRIMARY
        if name not in self._rds.instances:
            raise ValueError(f"RDS has no instance {name!r}, only {', '.join(self._rds.instances)}")
        await self._rds.crash(name)

    async def _break_certificate(self, words: Mapping[str, str]) -> None:
        """The API server of a region's cluster shows a certificate whose time has run out."""
        self._clusters[as_region(words["name"] or WEST)].set_certificate(expired=True)

    async def heal(self) -> dict[str, Any]:
        """Undoes every outage as far as it can; tells what is left."""
        left: list[str] = []
        async with self._turn:
            self._rds.restore_zones()
            for cluster in self._clusters.values():
                cluster.restore_zones()
            for region, state in self._states.items():
                if state == "up":
                    continue
                revive = self._revive if state == "killed" else self._reconnect
                try:
                    await revive(region)
                except (OSError, RuntimeError, TimeoutError, RelayGoneError, KeyError) as error:
                    left.append(f"{region}: {type(error).__name__}: {error}")
                    continue
                self._states[region] = "up"
            for cluster in self._clusters.values():
                cluster.set_certificate(expired=False)
            with contextlib.suppress(RelayGoneError):
                await self._set_links("open", self._rds.instances.values())
            self._is_replication_broken = False
            try:
                await self._rds.mend()
            except (OSError, RuntimeError, TimeoutError, RelayGoneError) as error:
                left.append(f"database: {type(error).__name__}: {error}")
            for part in self._parts:
                try:
                    await part.heal()
                except (OSError, RuntimeError, TimeoutError, RelayGoneError) as error:
                    left.append(f"{type(part).__name__}: {type(error).__name__}: {error}")
        return {"left": left}

    async def _kill(self, region: str) -> None:
        self._clusters[region].kill_pods()
        if region == WEST and self._witness is not None:
            children.kill_tree(self._witness.pid)
        await asyncio.gather(self._balancers.kill_region(region), self._rds.crash_region(region))

    async def _revive(self, region: str) -> None:
        self._plane.set_reachable(region, reachable=True)
        await self._rds.recover_region(region)
        await self._clusters[region].set_reachable(reachable=True)
        await self._balancers.revive_region(region)
        if region == WEST:
            await self._run_witness()

    async def _partition(self, region: str) -> None:
        self._signal(region, signal.SIGSTOP)
        for instance in self._in_region(region):
            await self._rds.cut_off(instance.identifier, is_cut_off=True)
        # A link has one end in each of the two regions, so every one of them is cut.
        await self._set_links("blackhole", self._rds.instances.values())

    async def _reconnect(self, region: str) -> None:
        for instance in self._in_region(region):
            await self._rds.cut_off(instance.identifier, is_cut_off=False)
        self._plane.set_reachable(region, reachable=True)
        await self._clusters[region].set_reachable(reachable=True)
        self._signal(region, signal.SIGCONT)

    def _signal(self, region: str, number: signal.Signals) -> None:
        """Stops or continues what a region's clients talk to, and the observer that runs there."""
        for balancer in self._balancers._regions[as_region(region)].processes.values():
            if balancer.is_running and balancer.pid is not None:
                os.kill(balancer.pid, number)
        if region == WEST and self._witness is not None and self._witness.returncode is None:
            self._witness.send_signal(number)

    def _in_region(self, region: str) -> list[RdsInstance]:
        return [each for each in self._rds.instances.values() if each.region == region]

    async def _set_links(self, mode: Mode, instances: Iterable[RdsInstance]) -> None:
        for instance in tuple(instances):
            link = instance.link
            if link is not None and link.is_running and link.mode != mode:
                await link.set_mode(mode)

    async def _run_witness(self) -> None:
        if self._witness_environment is None:
            return
        if self._witness is not None and self._witness.returncode is None:
            return
        self._witness = await children.spawn(
            [sys.executable, "-m", "drctl.lab.witness"],
            root=self._root.path,
            name=WITNESS,
            env={**os.environ, "PYTHONPATH": python_path(), **self._witness_environment},
        )


def _now() -> dict[str, Any]:
    now = _CLOCK.now()
    return {"wall": now.wall.isoformat(), "boot_s": now.boot_s, "boot_id": now.boot_id}
