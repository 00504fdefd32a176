"""PostgreSQL: servers that their owner manages, and what RDS lets through."""

from drctl.actions.contract import Adapter
from drctl.actions.late import Late

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="postgres",
    actions=Late(
        __name__,
        {
            "postgres.clients.admit": "exposure:Admit",
            "postgres.clients.assert_write": "clients:AssertClientsWrite",
            "postgres.primary.assert_only": "only:AssertOnly",
            "postgres.rows.assert": "rows:AssertRows",
            "postgres.primary.assert_writable": "writable:AssertWritable",
            "postgres.fence": "fence:Fence",
            "postgres.measure_lag": "lag:MeasureLag",
            "postgres.monitor": "monitor:Monitor",
            "postgres.promote": "promote:Promote",
            "postgres.restore_to_time": "restore:RestoreToTime",
            "postgres.rewind_and_rejoin": "rejoin:RewindAndRejoin",
            "postgres.server.start": "power:Start",
            "postgres.server.stop": "power:Stop",
            "postgres.unfence": "unfence:Unfence",
            "postgres.replication.wait": "replication:WaitForReplay",
            "postgres.role.rotate": "rotate:RotatePassword",
            "postgres.role.assert_rotated": "rotate:AssertRotated",
            "postgres.sessions.list": "sessions:ListSessions",
        },
    ),
    pins=Late(
        __name__,
        {
            "postgres.system_identifier": "identity:SystemIdentifierPin",
        },
    ),
    stores=Late(
        __name__,
        {
            "postgres": "row_cell:RowStore",
        },
    ),
    checks=Late(
        __name__,
        {
            "postgres.privileges": "ready:Granted",
            "postgres.backups": "ready_backups:BackupsFresh",
        },
    ),
    libraries=("asyncpg", "httpx", "dns.asyncresolver"),
)
