"""Google Cloud: Cloud SQL and Cloud DNS. GKE clusters are Kubernetes: the adapter of that name."""

from drctl.actions.contract import Adapter
from drctl.adapters.gcp.identity import ManagedZonePin, ProjectPin
from drctl.adapters.gcp.record_check import CheckRecord
from drctl.adapters.gcp.record_set import SetRecord
from drctl.adapters.gcp.sql_backup import CreateBackup
from drctl.adapters.gcp.sql_clone import CloneToTime
from drctl.adapters.gcp.sql_failover import FailOver
from drctl.adapters.gcp.sql_fence import FenceInstance
from drctl.adapters.gcp.sql_lag import MeasureLag
from drctl.adapters.gcp.sql_only import AssertSinglePrimary
from drctl.adapters.gcp.sql_promote import PromoteReplica
from drctl.adapters.gcp.sql_unfence import UnfenceInstance

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="gcp",
    actions=(
        MeasureLag(),
        FenceInstance(),
        UnfenceInstance(),
        PromoteReplica(),
        AssertSinglePrimary(),
        FailOver(),
        CloneToTime(),
        CreateBackup(),
        SetRecord(),
        CheckRecord(),
    ),
    pins=(ProjectPin(), ManagedZonePin()),
    libraries=("google.auth.jwt", "asyncpg", "httpx", "dns.asyncresolver"),
)
