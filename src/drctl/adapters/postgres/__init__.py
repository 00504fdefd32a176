"""PostgreSQL, by SQL: servers that their owner manages, and what RDS lets through."""

from drctl.actions.contract import Adapter
from drctl.adapters.postgres.clients import AssertClientsWrite
from drctl.adapters.postgres.fence import Fence
from drctl.adapters.postgres.identity import SystemIdentifierPin
from drctl.adapters.postgres.lag import MeasureLag
from drctl.adapters.postgres.only import AssertOnly
from drctl.adapters.postgres.promote import Promote
from drctl.adapters.postgres.replication import WaitForReplay
from drctl.adapters.postgres.row_cell import RowStore
from drctl.adapters.postgres.unfence import Unfence
from drctl.adapters.postgres.writable import AssertWritable

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="postgres",
    actions=(
        AssertClientsWrite(),
        AssertOnly(),
        AssertWritable(),
        Fence(),
        MeasureLag(),
        Promote(),
        Unfence(),
        WaitForReplay(),
    ),
    pins=(SystemIdentifierPin(),),
    stores=(RowStore(),),
    libraries=("asyncpg", "httpx", "dns.asyncresolver"),
)
