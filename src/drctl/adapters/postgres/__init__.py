"""PostgreSQL: servers that their owner manages, and what RDS lets through."""

from drctl.actions.contract import Adapter
from drctl.adapters.postgres.clients import AssertClientsWrite
from drctl.adapters.postgres.exposure import Admit
from drctl.adapters.postgres.fence import Fence
from drctl.adapters.postgres.identity import SystemIdentifierPin
from drctl.adapters.postgres.lag import MeasureLag
from drctl.adapters.postgres.monitor import Monitor
from drctl.adapters.postgres.only import AssertOnly
from drctl.adapters.postgres.power import Start, Stop
from drctl.adapters.postgres.promote import Promote
from drctl.adapters.postgres.ready import Granted
from drctl.adapters.postgres.ready_backups import BackupsFresh
from drctl.adapters.postgres.rejoin import RewindAndRejoin
from drctl.adapters.postgres.replication import WaitForReplay
from drctl.adapters.postgres.restore import RestoreToTime
from drctl.adapters.postgres.rotate import AssertRotated, RotatePassword
from drctl.adapters.postgres.row_cell import RowStore
from drctl.adapters.postgres.rows import AssertRows
from drctl.adapters.postgres.sessions import ListSessions
from drctl.adapters.postgres.unfence import Unfence
from drctl.adapters.postgres.writable import AssertWritable

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="postgres",
    actions=(
        Admit(),
        AssertClientsWrite(),
        AssertOnly(),
        AssertRows(),
        AssertWritable(),
        Fence(),
        MeasureLag(),
        Monitor(),
        Promote(),
        RestoreToTime(),
        RewindAndRejoin(),
        Start(),
        Stop(),
        Unfence(),
        WaitForReplay(),
        RotatePassword(),
        AssertRotated(),
        ListSessions(),
    ),
    pins=(SystemIdentifierPin(),),
    stores=(RowStore(),),
    checks=(Granted(), BackupsFresh()),
    libraries=("asyncpg", "httpx", "dns.asyncresolver"),
)
