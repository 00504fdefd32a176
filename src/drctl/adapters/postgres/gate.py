"""The statements with which a database is closed to clients, and opened again."""

from drctl.adapters import _sql

# Walsenders carry the rest of the WAL to the standby. Autovacuum and parallel workers write nothing
# of a client's; parallel workers end with their leader.
_SESSIONS = """
    FROM pg_stat_activity
    WHERE pid <> pg_backend_pid()
      AND (coalesce(backend_type, 'client backend') = 'client backend'
           OR (datname = $1 AND backend_type NOT IN
               ('walsender', 'autovacuum worker', 'parallel worker')))
"""
_TERMINATE = f"SELECT count(pg_terminate_backend(pid)) {_SESSIONS}"
_LEFT = f"""
    SELECT (SELECT count(*) {_SESSIONS})
         + (SELECT count(*) FROM pg_locks
            WHERE locktype = 'object' AND classid = 'pg_database'::regclass
              AND objid = (SELECT oid FROM pg_database WHERE datname = $1)
              AND pid <> pg_backend_pid()
              AND pid NOT IN (SELECT pid FROM pg_stat_activity
                              WHERE backend_type IN ('walsender', 'autovacuum worker')))
"""  # noqa: S608 (constants)
_KINDS = f"""
    SELECT string_agg(DISTINCT coalesce(backend_type, 'hidden backend')
                      || ' of ' || coalesce(usename, 'nobody'), ', ') {_SESSIONS}
"""


async def is_open(connection: _sql.Connection, database: str) -> bool:
    """True when the database takes connections; false also when there is none of that name."""
    answer = await connection.fetchval(
        "SELECT datallowconn FROM pg_database WHERE datname = $1", database
    )
    return bool(answer)


async def is_closed_and_empty(connection: _sql.Connection, database: str) -> bool:
    """True when nobody is in and nobody can come in."""
    if await is_open(connection, database):
        return False
    return not await connection.fetchval(_LEFT, database)


async def shut(connection: _sql.Connection, database: str) -> None:
    """
    Lets nobody in any more.

    Changes:
        The database's ALLOW_CONNECTIONS, the server's default_transaction_read_only.
    """
    # A fence that is repeated finds its own read-only default on this session.
    await connection.execute("SET default_transaction_read_only = off")
    await connection.execute(f"ALTER DATABASE {quoted(database)} ALLOW_CONNECTIONS false")
    await connection.fetchval(_TERMINATE, database)
    await connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    await connection.fetchval("SELECT pg_reload_conf()")


async def cut(connection: _sql.Connection, database: str) -> int:
    """
    Ends every session that is not ours, and counts what is left, sessions in start-up included.

    Changes:
        The clients' sessions, of all databases of the server.
    """
    await connection.fetchval(_TERMINATE, database)
    left_over: int = await connection.fetchval(_LEFT, database)
    return left_over


async def left(connection: _sql.Connection, database: str) -> str:
    """Says what kinds of sessions are left."""
    kinds = await connection.fetchval(_KINDS, database)
    return kinds or "sessions that are starting"


async def position(connection: _sql.Connection) -> str:
    """The end of the WAL; of asynchronous commits too, which may not be written yet."""
    answer: str = await connection.fetchval("SELECT pg_current_wal_insert_lsn()::text")
    return answer


async def reopen(connection: _sql.Connection, database: str) -> None:
    """
    Undoes `shut`. An earlier own setting of the read-only default is gone.

    Changes:
        As `shut`.
    """
    await connection.execute("SET default_transaction_read_only = off")
    await connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
    await connection.fetchval("SELECT pg_reload_conf()")
    await connection.execute(f"ALTER DATABASE {quoted(database)} ALLOW_CONNECTIONS true")


def quoted(name: str) -> str:
    """
    An identifier that means only itself.

    Example:
        >>> print(quoted('a"b'))
        "a""b"
    """
    return '"' + name.replace('"', '""') + '"'
