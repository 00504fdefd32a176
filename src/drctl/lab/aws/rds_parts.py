"""The real parts behind one emulated RDS instance."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from drctl.lab.aws import security_groups
from drctl.lab.aws.rds_instance import LabInstance
from drctl.lab.plan import Region
from drctl.lab.postgres import PostgresServer
from drctl.lab.postgres.archive import Backups
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
    public: Relay
    """The same door at a public address; runs only while the instance is publicly accessible."""
    endpoint_name: str
    endpoint_ip: str
    link: Relay | None = None
    """The replication link to the source, of a replica only."""
    backups: Backups | None = None
    """The automated backups of a primary that keeps some."""
    copying: int = 0
    """How many snapshots are being taken of it."""
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
            for door in (self.relay, self.public):
                if door.is_running and door.mode != mode:
                    await door.set_mode(mode)
            if not self.relay.is_running:
                return
            if self.described.publicly_accessible and not self.public.is_running:
                await self.public.start(mode)
            elif not self.described.publicly_accessible:
                await self.public.kill()

    async def open_doors(self) -> None:
        """
        Begins to let in whom the security groups let in.

        Changes:
            Starts the relays.
        """
        await self.relay.start(self.wanted_mode())
        await self.obey()

    async def close_doors(self) -> None:
        """Ends the relays; connections break. Changes processes."""
        await self.relay.kill()
        await self.public.kill()

    async def remove(self) -> None:
        """
        Ends all parts and deletes the data.

        Changes:
            Ends processes, deletes the server's folder.
        """
        await self.close_doors()
        if self.link is not None:
            await self.link.kill()
        await self.server.remove()
