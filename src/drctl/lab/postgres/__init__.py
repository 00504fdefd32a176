"""Real PostgreSQL servers for the lab, primaries as well as streaming standbys."""

from drctl.lab.postgres.binaries import PostgresBinaries, find_binaries
from drctl.lab.postgres.server import PostgresServer, ServerStatus, release_shared_memory

__all__ = [
    "PostgresBinaries",
    "PostgresServer",
    "ServerStatus",
    "find_binaries",
    "release_shared_memory",
]
