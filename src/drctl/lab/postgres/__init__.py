"""Real PostgreSQL servers for the lab, primaries as well as streaming standbys."""

from drctl.lab.postgres.binaries import PostgresBinaries, find_binaries
from drctl.lab.postgres.programs import release_shared_memory
from drctl.lab.postgres.server import PostgresServer, ServerStatus

__all__ = [
    "PostgresBinaries",
    "PostgresServer",
    "ServerStatus",
    "find_binaries",
    "release_shared_memory",
]
