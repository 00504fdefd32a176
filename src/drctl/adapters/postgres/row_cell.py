"""
A document in one row, replaced by an UPDATE that names its version.

One statement, one transaction, ``synchronous_commit`` on: what the server has acknowledged survives
it. The database must not be one that a runbook moves, nor be behind the same address. The table is
made by its owner beforehand, because nobody creates tables in the middle of a failover::

    CREATE TABLE drctl_leases(
        name text PRIMARY KEY, version bigint NOT NULL, document text NOT NULL)
"""

from drctl.actions.cell import Cell, Reading, Store
from drctl.actions.contract import Context
from drctl.actions.errors import Conflict
from drctl.actions.targets import Part, SqlAccess, Text
from drctl.adapters import _sql

_READ = "SELECT version, document FROM drctl_leases WHERE name = $1"
_INSERT = """
INSERT INTO drctl_leases AS l (name, version, document) VALUES ($1, 1, $2)
ON CONFLICT (name) DO NOTHING RETURNING version
"""
_UPDATE = """
UPDATE drctl_leases SET version = version + 1, document = $2
WHERE name = $1 AND version = $3 RETURNING version
"""


class RowSettings(Part):
    """Which row; the table ``drctl_leases`` must exist and be writable."""

    sql: SqlAccess
    name: Text = "drctl"


class RowCell(Cell):
    """One row."""

    def __init__(self, settings: RowSettings) -> None:
        self._at = settings

    @property
    def label(self) -> str:
        sql = self._at.sql
        return f"row {self._at.name} of drctl_leases ({sql.host}:{sql.port}/{sql.database})"

    @property
    def places(self) -> tuple[str, ...]:
        return (f"{self._at.sql.host}:{self._at.sql.port}",)

    async def read(self, ctx: Context) -> Reading:
        async with _sql.connect(self._at.sql, ctx) as connection:
            row = await connection.fetchrow(_READ, self._at.name)
        if row is None:
            return Reading(data=None, version=None)
        return Reading(data=row["document"].encode(), version=str(row["version"]))

    async def write(self, ctx: Context, data: bytes, expected: str | None) -> str:
        async with _sql.connect(self._at.sql, ctx, mutates=True) as connection:
            # An acknowledged lease that a crash forgets would be two leases.
            await connection.execute("SET synchronous_commit = on")
            if expected is None:
                version = await connection.fetchval(_INSERT, self._at.name, data.decode())
            else:
                version = await connection.fetchval(
                    _UPDATE, self._at.name, data.decode(), int(expected)
                )
        if version is None:
            raise Conflict(f"{self.label}: somebody else has written")
        return str(version)


class RowStore(Store[RowSettings]):
    """``lease: {store: postgres, sql: {host: …, …}, name: NAME}``."""

    name = "postgres"
    settings = RowSettings

    def open(self, settings: RowSettings) -> Cell:
        return RowCell(settings)
