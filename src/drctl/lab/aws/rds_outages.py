"""What can happen to the servers behind RDS, and what undoes it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

from moto.rds.models import Event

from drctl.lab.aws.delays import VendorDelays
from drctl.lab.aws.rds_parts import RdsInstance
from drctl.lab.plan import as_region
from drctl.lab.relay_handle import RelayGoneError

_LOG: Final = logging.getLogger(__name__)
_FAILING_OVER: Final = "rebooting"
"""
What AWS documents for a failover that was asked for; of one by itself it documents no status.
"""
# RDS-EVENT-0013 and RDS-EVENT-0049, which the emulator does not have.
_STARTED: Final = "DB_INSTANCE_FAILOVER_START"
_COMPLETED: Final = "DB_INSTANCE_FAILOVER_FINISH"
Event.EVENT_MAP |= {
    _STARTED: {"Categories": ["failover"], "Message": "Multi-AZ instance failover started."},
    _COMPLETED: {"Categories": ["failover"], "Message": "Multi-AZ instance failover completed."},
}


class RdsOutages:
    """
    The instances, as far as they can be broken and mended.

    A Multi-AZ standby is not a second server here. Its storage is a synchronous copy, so what was
    acknowledged is on both: starting a server on the data folder that the lost one left, with crash
    recovery, stands for the standby.
    """

    def __init__(self, delays: VendorDelays) -> None:
        self.instances: dict[str, RdsInstance] = {}
        """By RDS identifier, from the call that creates it until it is deleted."""
        self.lost_zones: set[str] = set()
        """Availability zones in which nothing runs."""
        self._delays = delays
        self._failovers: dict[str, asyncio.Task[None]] = {}
        """By the identifier of the instance on its way into its other zone."""

    async def lose_zone(self, zone: str) -> None:
        """
        Ends what runs in an availability zone; nothing is started there until `restore_zones`.

        A Multi-AZ instance goes on in its other zone by itself; any other one is ``failed``.
        Whoever talks to either hears nothing: a zone without power refuses nobody.

        Args:
            zone: Which.

        Changes:
            Ends processes now, starts them later.
        """
        self.lost_zones.add(zone)
        hit = [
            each
            for each in self.instances.values()
            if each.described.availability_zone == zone
            or (each.identifier in self._failovers and each.region == zone[:-1])
        ]
        await asyncio.gather(*(self._lose_host(each) for each in hit))

    def restore_zones(self) -> None:
        """Gives lost zones back; `mend` starts what was lost with them."""
        self.lost_zones.clear()

    async def _lose_host(self, instance: RdsInstance) -> None:
        described = instance.described
        # One that is only being made goes on: that is not modelled.
        if described.status in {"stopped", "creating"}:
            return
        await self._stop_failing_over([instance])
        instance.is_cut_off = True
        with contextlib.suppress(RelayGoneError):
            await instance.obey()
        await instance.server.kill()
        described.has_crashed = True
        standby = described.secondary_availability_zone
        if standby is None or standby in self.lost_zones:
            described.status = "failed"
            return
        described.status = _FAILING_OVER
        described.add_event(_STARTED)
        task = asyncio.create_task(self._fail_over(instance, standby))
        identifier = instance.identifier
        self._failovers[identifier] = task
        task.add_done_callback(lambda _: self._failovers.pop(identifier, None))

    async def _fail_over(self, instance: RdsInstance, zone: str) -> None:
        described = instance.described
        await asyncio.sleep(self._delays.failover_s)
        if described.status != _FAILING_OVER:
            return  # deleted, or broken in another way, meanwhile
        try:
            await instance.server.start()
            instance.is_cut_off = False
            await instance.obey()
        except (OSError, RuntimeError, TimeoutError, RelayGoneError):
            _LOG.exception("%s could not fail over", instance.identifier)
            described.status = "failed"
            return
        described.availability_zone = zone
        described.has_crashed = False
        described.status = "available"
        described.add_event(_COMPLETED)

    async def _stop_failing_over(self, instances: list[RdsInstance]) -> None:
        tasks = [
            self._failovers[one.identifier]
            for one in instances
            if one.identifier in self._failovers
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def crash_region(self, region: str) -> None:
        """
        Ends a region's servers and relays with SIGKILL; their data stays.

        Args:
            region: Which.

        Changes:
            Ends processes.
        """
        await self._stop_failing_over(self._in_region(region))
        for instance in self._in_region(region):
            # Clients first: nobody must see a server that says goodbye.
            await instance.close_doors()
            if instance.link is not None:
                await instance.link.kill()
            await instance.server.kill()

    async def recover_region(self, region: str) -> None:
        """
        Starts a crashed region's servers and relays again, as they were.

        A primary comes back as a primary. An endpoint obeys its security
        groups from the first packet on.

        Args:
            region: Which.

        Changes:
            Starts processes.
        """
        for instance in self._in_region(region):
            if instance.link is not None:
                await instance.link.start()
            if instance.described.status != "stopped":
                await instance.server.start()
            await instance.open_doors()

    async def crash(self, identifier: str) -> None:
        """
        Ends an instance's server with SIGKILL, for good as far as RDS is concerned: ``failed``.

        Args:
            identifier: The instance's.

        Raises:
            KeyError: There is no such instance.

        Changes:
            Ends processes.
        """
        instance = self.instances[identifier]
        await instance.server.kill()
        instance.described.has_crashed = True
        instance.described.status = "failed"
        await instance.obey()

    async def mend(self) -> None:
        """Starts crashed instances again, as they were; changes processes."""
        # Who is half way into another zone arrives there.
        await asyncio.gather(*self._failovers.values(), return_exceptions=True)
        for instance in list(self.instances.values()):
            if instance.described.has_crashed:
                await instance.server.start()
                instance.described.has_crashed = False
                instance.described.status = "available"
                instance.is_cut_off = False
                await instance.obey()

    async def cut_off(self, identifier: str, *, is_cut_off: bool) -> None:
        """
        Makes an endpoint a black hole, or undoes it.

        Args:
            identifier: The instance's.
            is_cut_off: Whether packets vanish.

        Raises:
            KeyError: There is no such instance.
            RelayGoneError: Its relay ended.

        Changes:
            What the endpoint's relay lets through.
        """
        instance = self.instances[identifier]
        instance.is_cut_off = is_cut_off
        await instance.obey()

    def _in_region(self, region: str) -> list[RdsInstance]:
        return [each for each in self.instances.values() if each.region == as_region(region)]
