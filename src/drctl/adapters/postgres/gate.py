"""The statements with which a database is closed to clients, and opened again."""

from drctl.adapters import _sql, _wal

_CLIENTS = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
# Walsenders carry the rest of the WAL to the standby. Autovacuum and parallel workers write nothing
# of a client's; parallel workers end with their leader. A row that is hidden from us has no type,
# and counts: with too few rights the answer is "some are left", never "none".
_INSIDE = """
    FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND datname = $1
      AND coalesce(backend_type, 'hidden')
          NOT IN ('walsender', 'autovacuum worker', 'parallel worker')
"""
_AT_THE_DOOR = """
    FROM pg_locks
    WHERE locktype = 'object' AND classid = 'pg_database'::regclass
      AND objid = (SELECT oid FROM pg_database WHERE datname = $1)
      AND pid <> pg_backend_pid()
"""
# Only a superuser may end a superuser's session, or one that is logging in and nobody's yet; one
# refusal ends the whole statement. Neither is passed over: while inside, some are left.
_MAY_END = """
      AND (current_setting('is_superuser')::bool
           OR EXISTS (SELECT FROM pg_roles WHERE oid = usesysid AND NOT rolsuper))
"""
_TERMINATE_CLIENTS = f"SELECT count(pg_terminate_backend(pid)) {_CLIENTS} {_MAY_END}"
_TERMINATE_INSIDE = f"SELECT count(pg_terminate_backend(pid)) {_INSIDE} {_MAY_END}"
_STARTING = f"SELECT coalesce(array_agg(pid), ARRAY[]::int[]) {_AT_THE_DOOR}"
_LEFT = f"""
    SELECT (SELECT count(*) {_INSIDE}) + (SELECT count(*) {_AT_THE_DOOR} AND pid = ANY ($2::int[]))
"""
_KINDS = f"""
    SELECT string_agg(DISTINCT coalesce(backend_type, 'hidden backend')
                      || ' of ' || coalesce(usename, 'nobody'), ', ') {_INSIDE}
"""


async def is_open(connection: _sql.Connection, database: str) -> bool:
    """True when the database takes connections; false also when there is none of that name."""
    answer = await connection.fetchval(
        "SELECT datallowconn FROM pg_database WHERE datname = $1", database
    )
    return bool(answer)


async def may_open(connection: _sql.Connection, database: str) -> bool:
    """True when our role may change the database's ALLOW_CONNECTIONS. Changes nothing."""
    answer = await connection.fetchval(
        "SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = $1", database
    )
    return bool(answer)


async def shut(connection: _sql.Connection, database: str) -> None:
    """
    Lets nobody in any more, and ends all clients' sessions once, also those of other databases.

    Changes:
        The database's ALLOW_CONNECTIONS, the server's default_transaction_read_only, sessions.
    """
    # A fence that is repeated finds its own read-only default on this session.
    await connection.execute("SET default_transaction_read_only = off")
    await connection.execute(f"ALTER DATABASE {quoted(database)} ALLOW_CONNECTIONS false")
    await connection.fetchval(_TERMINATE_INSIDE, database)
    await connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    await connection.fetchval("SELECT pg_reload_conf()")
    await connection.fetchval(_TERMINATE_CLIENTS)


async def starting(connection: _sql.Connection, database: str) -> list[int]:
    """
    The backends that are at the door now. Read once, after `shut`: those that come to it later are
    turned away, and clients that try again all the time would never leave it empty.
    """
    pids: list[int] = await connection.fetchval(_STARTING, database)
    return pids


async def cut(connection: _sql.Connection, database: str, at_the_door: list[int]) -> int:
    """
    Ends every session in the database, and counts what is left, *at_the_door* included.

    Changes:
        The sessions.
    """
    await connection.fetchval(_TERMINATE_INSIDE, database)
    return await count_left(connection, database, at_the_door)


async def count_left(connection: _sql.Connection, database: str, at_the_door: list[int]) -> int:
    """Counts the sessions in the database, and those of *at_the_door* that may become one."""
    left_over: int = await connection.fetchval(_LEFT, database, at_the_door)
    return left_over


async def left(connection: _sql.Connection, database: str) -> str:
    """Says what kinds of sessions are left."""
    kinds = await connection.fetchval(_KINDS, database)
    return kinds or "sessions that are starting"


async def position(connection: _sql.Connection) -> str:
    """The end of the WAL; of asynchronous commits too, which may not be written yet."""
    return _wal.end(await connection.fetchrow(f"SELECT {_wal.COLUMNS}"))


async def open_up(connection: _sql.Connection, database: str) -> None:
    """
    Lets clients in.

    Changes:
        The database's ALLOW_CONNECTIONS.
    """
    await connection.execute(f"ALTER DATABASE {quoted(database)} ALLOW_CONNECTIONS true")


async def reopen(connection: _sql.Connection, database: str) -> None:
    """
    Undoes `shut`. An earlier own setting of the read-only default is gone.

    Changes:
        As `shut`.
    """
    await connection.execute("SET default_transaction_read_only = off")
    await connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
    await connection.fetchval("SELECT pg_reload_conf()")
    await open_up(connection, database)


def quoted(name: str) -> str:
    """
    An identifier that means only itself.

    Example:
        >>> print(quoted('a"b'))
        "a""b"
    """
    return '"' + name.replace('"', '""') + '"'
