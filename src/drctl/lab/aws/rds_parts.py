"""The real parts behind one emulated RDS instance."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from drctl.lab.aws import security_groups
from drctl.lab.aws.rds_instance import LabInstance
from drctl.lab.plan import Region
from drctl.lab.postgres import PostgresServer
from drctl.lab.relay import Mode
from drctl.lab.relay_handle import Relay


@dataclass(slots=True, kw_only=True)
class RdsInstance:
    """A server, the relay in front of it, and what the API says about them."""

    identifier: str
    region: Region
    number: int
    """``k`` of the address plan."""
    described: LabInstance
    server: PostgresServer
    relay: Relay
    """Enforces the security groups."""
    endpoint_name: str
    endpoint_ip: str
    link: Relay | None = None
    """The replication link to the source, of a replica only."""
    is_cut_off: bool = False
    """Whether the endpoint is a black hole, whatever the security groups say."""
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def wanted_mode(self) -> Mode:
        """Returns what the relay should do now."""
        if self.is_cut_off:
            return "blackhole"
        if not security_groups.admit(self.region, self.described.enforced_group_ids):
            return "deny"
        return "open" if self.server.is_running else "refuse"

    async def obey(self) -> None:
        """
        Makes the relay do what it should; one that does not run is left alone.

        Raises:
            RelayGoneError: The relay ended meanwhile.

        Changes:
            What the relay lets through.
        """
        async with self._turn:
            mode = self.wanted_mode()
            if self.relay.is_running and self.relay.mode != mode:
                await self.relay.set_mode(mode)

    async def remove(self) -> None:
        """
        Ends all parts and deletes the data.

        Changes:
            Ends processes, deletes the server's folder.
        """
        await self.relay.kill()
        if self.link is not None:
            await self.link.kill()
        await self.server.remove()
