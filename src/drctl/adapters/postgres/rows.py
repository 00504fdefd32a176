"""Checks what is in a database: counts, canaries, the newest row, constraints. Reads only."""

from datetime import UTC, datetime
from typing import Annotated, ClassVar, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from drctl.actions.contract import (
    Action,
    Context,
    Effect,
    Outputs,
    Params,
    Repeat,
)
from drctl.actions.errors import Rejected
from drctl.actions.targets import CloudSqlInstance, PostgresServer, RdsInstance, Target, Text
from drctl.adapters import _sql
from drctl.adapters.postgres.server import Database, access_of, look, region_of, require_identity
from drctl.adapters.postgres.window import parse_moment

_Table: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]*([.][a-z_][a-z0-9_]*)?$")
]
_Column: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]*$")]
_UNSOUND = """
SELECT (SELECT count(*) FROM pg_constraint WHERE NOT convalidated) AS unvalidated,
       (SELECT count(*) FROM pg_index WHERE NOT indisvalid) AS invalid_indexes,
       (SELECT coalesce(sum(checksum_failures), 0)::bigint FROM pg_stat_database) AS checksums
"""


class _Check(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    table: _Table
    """With its schema: ``shop.orders``."""


class Count(_Check):
    """How many rows there must be."""

    at_least: Annotated[int, Field(ge=0)] = 1
    at_most: Annotated[int, Field(ge=0)] | None = None


class Canary(_Check):
    """One row that must be there, or must not."""

    column: _Column
    value: Text
    is_present: bool = True


class Newest(_Check):
    """When the newest row was written."""

    column: _Column
    """Of type ``timestamptz``."""
    not_after: Text | None = None
    not_before: Text | None = None


class RowsParams(Params):
    """What must hold; something must be asked for."""

    counts: tuple[Count, ...] = ()
    canaries: tuple[Canary, ...] = ()
    newest: tuple[Newest, ...] = ()
    constraints: bool = True
    """Whether every constraint and index must be valid, and no page have a wrong checksum."""


class RowsOutputs(Outputs):
    """What was found."""

    checks: tuple[str, ...]
    """One sentence each."""


class AssertRows(Action[Database, RowsParams, RowsOutputs]):
    """Reads what must hold in one read-only transaction, so that it holds at one moment."""

    name: ClassVar[str] = "postgres.rows.assert"
    summary: ClassVar[str] = "Checks counts, canaries, the newest rows and constraints"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets: ClassVar[tuple[type[Target], ...]] = (PostgresServer, RdsInstance, CloudSqlInstance)
    params: ClassVar[type[Params]] = RowsParams
    outputs: ClassVar[type[Outputs]] = RowsOutputs

    def planes(self, target: Database) -> tuple[str, ...]:
        return (f"data-plane:{region_of(target)}",)

    async def perform(self, ctx: Context, target: Database, params: RowsParams) -> RowsOutputs:
        """
        Checks everything, and says all that is wrong at once.

        Raises:
            Rejected: Something does not hold.
            Conflict: Another system answers there.
            NotFound: There is no such table.
            ActionError: See `drctl.adapters._sql`.
        """
        found: list[tuple[bool, str]] = []
        async with _sql.connect(access_of(target), ctx) as connection:
            require_identity(target, await look(connection))
            await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            found += [await _count(connection, check) for check in params.counts]
            found += [await _canary(connection, check) for check in params.canaries]
            found += [await _newest(connection, check) for check in params.newest]
            if params.constraints:
                found.append(await _sound(connection))
            await connection.execute("ROLLBACK")
        if not found:
            raise Rejected("nothing was asked for, so nothing is shown")
        wrong = [said for holds, said in found if not holds]
        if wrong:
            raise Rejected(f"{target.label}: {'; '.join(wrong)}")
        return RowsOutputs(checks=tuple(said for _holds, said in found))


# Tables and columns are patterns of the params: nothing in them needs quoting.


async def _count(connection: _sql.Connection, check: Count) -> tuple[bool, str]:
    rows = await connection.fetchval(f"SELECT count(*) FROM {check.table}")  # noqa: S608
    holds = check.at_least <= rows and (check.at_most is None or rows <= check.at_most)
    wanted = f"at least {check.at_least}"
    if check.at_most is not None:
        wanted += f" and at most {check.at_most}"
    return holds, f"{check.table} has {rows} row(s), {wanted} wanted"


async def _canary(connection: _sql.Connection, check: Canary) -> tuple[bool, str]:
    is_there = await connection.fetchval(
        f"SELECT EXISTS (SELECT FROM {check.table} WHERE {check.column}::text = $1)",  # noqa: S608
        check.value,
    )
    row = f"{check.table}.{check.column} = {check.value}"
    return is_there == check.is_present, f"{row} is {'there' if is_there else 'not there'}"


async def _newest(connection: _sql.Connection, check: Newest) -> tuple[bool, str]:
    newest: datetime | None = await connection.fetchval(
        f"SELECT max({check.column}) FROM {check.table}"  # noqa: S608
    )
    where = f"the newest {check.table}.{check.column}"
    if newest is None:
        return check.not_before is None, f"{where} is of no row at all"
    late = check.not_after is not None and newest > parse_moment(check.not_after)
    early = check.not_before is not None and newest < parse_moment(check.not_before)
    said = f"{where} is {newest.astimezone(UTC).isoformat()}"
    if late:
        said += f", after {check.not_after}"
    if early:
        said += f", before {check.not_before}"
    return not (late or early), said


async def _sound(connection: _sql.Connection) -> tuple[bool, str]:
    row = await connection.fetchrow(_UNSOUND)
    bad = {name: row[name] for name in ("unvalidated", "invalid_indexes", "checksums") if row[name]}
    said = ", ".join(f"{count} {name}" for name, count in bad.items())
    return not bad, said or "every constraint and index is valid"
