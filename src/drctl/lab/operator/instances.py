"""The servers behind the resources: who is made from whom, and how they are reached."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from drctl.lab import children
from drctl.lab.access import Secrets
from drctl.lab.estate.aws import MASTER
from drctl.lab.estate.database import schema
from drctl.lab.estate.environment import DATABASE
from drctl.lab.plan import EAST_DATABASES, POSTGRES_PORT, Address, AddressPlan
from drctl.lab.postgres import PostgresServer, find_binaries
from drctl.lab.postgres.roles import create_database, create_roles
from drctl.lab.relay_handle import Relay

NAMESPACE: Final = "databases"
PRIMARY, STANDBY = "healing-guard-db", "healing-guard-db-standby"
NUMBERS: Final[Mapping[str, int]] = {PRIMARY: 1, STANDBY: 2}


def service_name(name: str) -> str:
    """The name of a cluster's service, which leads to its leader."""
    return f"{name}.{NAMESPACE}.svc.cluster.local"


@dataclass(slots=True)
class Instance:
    """One server, as its operator has it."""

    server: PostgresServer
    is_lost: bool = False
    """Its node is gone: nothing can be started there until it is healed."""


class Instances:
    """A primary and a standby that streams from it through a link."""

    def __init__(self, plan: AddressPlan, root: Path, secrets: Secrets) -> None:
        self._plan, self._root, self._secrets = plan, root, secrets
        self.link = Relay(
            name="link-operator",
            listen=self.address("link"),
            upstream=self.address(PRIMARY),
            root=root,
        )
        self.by_name: dict[str, Instance] = {}
        self.identifier = ""

    def address(self, name: str) -> Address:
        """Where a server, or the link to the primary, listens."""
        number = NUMBERS.get(name, 9)
        return f"127.{self._plan.octet('us-east-1')}.{EAST_DATABASES}.{number}", POSTGRES_PORT

    async def start(self) -> None:
        """Makes both from nothing; returns when the standby streams."""
        run_as = children.unprivileged()
        binaries = await asyncio.to_thread(find_binaries, self._root, run_as)
        for name in NUMBERS:
            server = PostgresServer(
                name=name,
                address=self.address(name),
                root=self._root,
                binaries=binaries,
                run_as=run_as,
            )
            self.by_name[name] = Instance(server)
        primary, standby = (self.by_name[name].server for name in (PRIMARY, STANDBY))
        await primary.initialise()
        await self.link.start()
        await create_roles(primary, MASTER, self._secrets.read("database_master"))
        await create_database(primary, DATABASE, MASTER)
        host = self.address(PRIMARY)[0]
        self.identifier = await asyncio.to_thread(schema, host, self._plan.dns, self._secrets)
        await standby.copy_from(primary, through=self.link.listen)
        await standby.start()
        await standby.wait_until_streaming()

    async def stop(self) -> None:
        """Kills both, and the link."""
        for instance in self.by_name.values():
            await instance.server.kill()
        await self.link.kill()
