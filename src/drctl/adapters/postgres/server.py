"""What every action here asks a server first: who it is, and what it does."""

from dataclasses import dataclass
from typing import TypeAlias

from drctl.actions.contract import Observation
from drctl.actions.errors import Conflict, Rejected
from drctl.actions.targets import CloudSqlInstance, PostgresServer, RdsInstance, SqlAccess
from drctl.adapters import _sql

Database: TypeAlias = PostgresServer | RdsInstance | CloudSqlInstance

# A standby that has changed timeline without a restart point shows the old one in its checkpoint.
_LOOK = """
SELECT (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
       pg_is_in_recovery() AS is_in_recovery,
       (pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on')
         AS is_read_only,
       current_setting('server_version') AS version,
       pg_last_wal_receive_lsn()::text AS receive_lsn,
       pg_last_wal_replay_lsn()::text AS replay_lsn,
       EXISTS (SELECT FROM pg_stat_wal_receiver) AS is_receiving,
       CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END AS is_paused,
       current_setting('recovery_min_apply_delay') AS apply_delay,
       CASE WHEN pg_is_in_recovery() THEN
         greatest((SELECT timeline_id FROM pg_control_checkpoint()),
                  (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
                  (SELECT received_tli FROM pg_stat_wal_receiver))
       END AS standby_timeline,
       CASE WHEN NOT pg_is_in_recovery() THEN
         ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int
       END AS primary_timeline
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One look at a server."""

    system_identifier: str
    is_in_recovery: bool
    is_read_only: bool
    """As new transactions begin; a client may ask otherwise."""
    version: str
    timeline: int
    receive_lsn: str | None
    replay_lsn: str | None
    is_receiving: bool
    is_paused: bool
    apply_delay: str

    @property
    def role(self) -> str:
        """``standby`` or ``primary``."""
        return "standby" if self.is_in_recovery else "primary"

    def observation(self) -> Observation:
        """The stable part as facts, the moving part as readings."""
        return Observation(
            facts={
                "system_identifier": self.system_identifier,
                "role": self.role,
                "timeline": self.timeline,
                "is_paused": self.is_paused,
            },
            readings={"replay_lsn": self.replay_lsn, "is_receiving": self.is_receiving},
        )


async def look(connection: _sql.Connection) -> State:
    """Reads the server's state, all in one statement."""
    row = await connection.fetchrow(_LOOK)
    return State(
        system_identifier=row["system_identifier"],
        is_in_recovery=row["is_in_recovery"],
        is_read_only=row["is_read_only"],
        version=row["version"],
        timeline=row["standby_timeline"] or row["primary_timeline"],
        receive_lsn=row["receive_lsn"],
        replay_lsn=row["replay_lsn"],
        is_receiving=row["is_receiving"],
        is_paused=row["is_paused"],
        apply_delay=row["apply_delay"],
    )


def access_of(target: Database) -> SqlAccess:
    """
    How the target is reached by SQL.

    Raises:
        Rejected: The environment does not say.
    """
    if target.sql is None:
        raise Rejected(f"{target.label} has no sql in the environment")
    return target.sql


def region_of(target: Database) -> str:
    """Where the target is."""
    match target:
        case RdsInstance():
            return target.aws.region
        case CloudSqlInstance():
            return target.gcp.region
        case PostgresServer():
            return target.region


def require_identity(target: Database, state: State) -> None:
    """
    Checks the pin, in the same connection that the action goes on with.

    Raises:
        Conflict: Another system answers there.
    """
    pinned = target.system_identifier
    if pinned is not None and pinned != state.system_identifier:
        raise Conflict(
            f"{target.label} is system {state.system_identifier},"
            f" the environment pins {pinned}: this is another database"
        )
