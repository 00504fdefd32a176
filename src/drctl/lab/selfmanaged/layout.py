"""Where the self-managed servers are: names, addresses, folders."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from drctl.lab.plan import Address, AddressPlan
from drctl.lab.root import LabRoot

REGION: Final = "us-east-1"
DOMAIN: Final = "healing-guard.internal"
PRIMARY, STANDBY, RESTORED = "db1", "db2", "db3"
NUMBERS: Final[Mapping[str, int]] = {PRIMARY: 1, STANDBY: 2, RESTORED: 3}
REPLICATION_USER: Final = "drctl_replication"
"""Streams, takes base backups and is read by ``pg_rewind``; nothing else."""


def host_name(name: str) -> str:
    """The name by which everybody calls a server."""
    return f"{name}.{DOMAIN}"


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of one lab."""

    plan: AddressPlan
    root: LabRoot

    def address(self, name: str) -> Address:
        """Where a server listens."""
        return self.plan.server(REGION, NUMBERS[name])

    def link(self, name: str) -> Address:
        """Where a server's standbys reach it."""
        return self.plan.server_link(REGION, NUMBERS[name])

    def folder(self, name: str) -> Path:
        """A server's own folder; its socket is in it."""
        return self.root.path / "postgres" / name

    def data(self, name: str) -> Path:
        """A server's data directory."""
        return self.folder(name) / "data"

    def machine(self, name: str) -> Path:
        """What is of a machine besides its server: the home of its user."""
        return self.root.path / "machines" / name

    def passfile(self, name: str) -> Path:
        """The file with the password of the replication user, on a machine."""
        return self.machine(name) / "pgpass"

    @property
    def archive(self) -> Path:
        """Finished segments; all machines see it, as a shared store."""
        return self.root.path / "archive" / "wal"

    @property
    def base_backups(self) -> Path:
        """One folder for each base backup."""
        return self.root.path / "archive" / "base"

    def options(self, name: str) -> dict[str, str]:
        """What a server is told at its start, and differs from its neighbour's."""
        host, port = self.address(name)
        return {
            "listen_addresses": host,
            "port": str(port),
            "unix_socket_directories": str(self.folder(name)),
            "cluster_name": name,
        }
