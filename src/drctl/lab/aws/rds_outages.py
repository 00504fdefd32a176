"""What can happen to the servers behind RDS, and what undoes it."""

from __future__ import annotations

from drctl.lab.aws.rds_parts import RdsInstance
from drctl.lab.plan import as_region


class RdsOutages:
    """The instances, as far as they can be broken and mended."""

    def __init__(self) -> None:
        self.instances: dict[str, RdsInstance] = {}
        """By RDS identifier, from the call that creates it until it is deleted."""

    async def crash_region(self, region: str) -> None:
        """
        Ends a region's servers and relays with SIGKILL; their data stays.

        Args:
            region: Which.

        Changes:
            Ends processes.
        """
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
        for instance in list(self.instances.values()):
            if instance.described.has_crashed:
                await instance.server.start()
                instance.described.has_crashed = False
                instance.described.status = "available"
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
