"""What a recovery needs of PostgreSQL: that the operator's role may do what the plan asks of it."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

from drctl.actions.check import Asked, Check, Prerequisite, Standing, holds
from drctl.actions.contract import Context
from drctl.actions.targets import CloudSqlInstance, PostgresServer, RdsInstance, Target
from drctl.adapters import _sql
from drctl.adapters.postgres.server import Database, region_of

_MARKS = "drctl.write_check"
_BEAT = "drctl.heartbeat"
_ON_TABLES: dict[str, tuple[tuple[str, str], ...]] = {
    "postgres.primary.assert_writable": (
        (_MARKS, "INSERT"), (_MARKS, "SELECT"), (_MARKS, "DELETE"),
    ),
    "aws.rds.measure_lag": ((_BEAT, "SELECT"),),
    "postgres.measure_lag": ((_BEAT, "SELECT"),),
    "gcp.cloudsql.measure_lag": ((_BEAT, "SELECT"),),
}  # fmt: skip
_ON_THE_CLIENTS_TABLE = {"aws.rds.assert_single_primary", "postgres.primary.assert_only"}
_IS_OWNER = (
    "(SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = current_database())"
)
_SIGNALS = ("membership in pg_signal_backend", "pg_has_role('pg_signal_backend', 'USAGE')")
_READ_ONLY = (
    "ALTER SYSTEM on default_transaction_read_only",
    "has_parameter_privilege('default_transaction_read_only', 'ALTER SYSTEM')",
)
_RELOADS = ("EXECUTE on pg_reload_conf", "has_function_privilege('pg_reload_conf()', 'EXECUTE')")
_PROMOTES = (
    "EXECUTE on pg_promote",
    "has_function_privilege('pg_promote(boolean, integer)', 'EXECUTE')",
)
_THERE: dict[str, tuple[tuple[str, str], ...]] = {
    "postgres.fence": (("ownership of the database", _IS_OWNER),),
    "postgres.unfence": (("ownership of the database", _IS_OWNER),),
}
_FROM_ADMIN: dict[str, tuple[tuple[str, str], ...]] = {
    "postgres.promote": (_PROMOTES,),
    "postgres.fence": (_SIGNALS, _READ_ONLY, _RELOADS),
    "postgres.unfence": (_READ_ONLY, _RELOADS),
}
"""
Of an action: privilege in words, and the expression that says whether we have it, in the database
from which the action acts. A grant on a function counts in one database only.
"""
_ADMIN = "postgres"


class Granted(Check[Database]):
    """Every privilege that the plan's SQL uses, as ``has_…_privilege`` tells it."""

    name: ClassVar[str] = "postgres.privileges"
    summary: ClassVar[str] = "The operator's role has every privilege that the plan uses"
    targets: ClassVar[tuple[type[Target], ...]] = (PostgresServer, RdsInstance, CloudSqlInstance)
    actions: ClassVar[tuple[str, ...]] = (
        *_ON_TABLES, *_ON_THE_CLIENTS_TABLE, *_FROM_ADMIN,
    )  # fmt: skip
    minds_undo: ClassVar[bool] = True

    def planes(self, target: Database) -> tuple[str, ...]:
        return (f"data-plane:{region_of(target)}",)

    async def look(self, ctx: Context, asked: Asked[Database]) -> Sequence[Prerequisite]:
        target = asked.target
        if target.sql is None:
            return []
        wanted: dict[str, dict[tuple[str, str], list[str]]] = {}
        for use in asked.uses:
            admin = str(use.params.get("admin_database", _ADMIN))
            for database, privileges in (
                (target.sql.database, tuple(_needed(use.action, target))),
                (admin, _FROM_ADMIN.get(use.action, ())),
            ):
                for one in privileges:
                    wanted.setdefault(database, {}).setdefault(one, []).append(use.step)
        missing: dict[str, list[str]] = {}
        for database, found in wanted.items():
            async with _sql.connect(target.sql, ctx, database=database) as connection:
                for (words, test), users in found.items():
                    if await connection.fetchval(f"SELECT {test}") is not True:
                        missing[f"{words} in database {database}"] = users
        subject = f"role {target.sql.user} at {target.label}"
        if not missing:
            count = sum(map(len, wanted.values()))
            return [holds(subject, f"it has all {count} privileges that are used")]
        steps = tuple(dict.fromkeys(step for some in missing.values() for step in some))
        return [
            Prerequisite(
                standing=Standing.NOT_READY, subject=subject,
                why=f"it does not have {', '.join(missing)}",
                do=f"grant it to {target.sql.user} on the primary", steps=steps,
            )
        ]  # fmt: skip


def _needed(action: str, target: Database) -> Iterator[tuple[str, str]]:
    tables = list(_ON_TABLES.get(action, ()))
    path = target.client_path
    if action in _ON_THE_CLIENTS_TABLE and path is not None:
        tables.append((path.table, "SELECT"))
    for table, privilege in tables:
        # Tables are constants, or patterns of the environment's schema: nothing needs quoting.
        schema = table.rpartition(".")[0]
        in_schema = f"has_schema_privilege('{schema}', 'USAGE') AND " if schema else ""
        on_table = f"has_table_privilege(to_regclass('{table}'), '{privilege}')"
        yield f"{privilege} on {table}", f"{in_schema}coalesce({on_table}, false)"
    yield from _THERE.get(action, ())
