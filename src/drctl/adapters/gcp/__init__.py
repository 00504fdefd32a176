"""Google Cloud: Cloud SQL and Cloud DNS. GKE clusters are Kubernetes: the adapter of that name."""

from drctl.actions.contract import Adapter
from drctl.actions.late import Late

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="gcp",
    actions=Late(
        __name__,
        {
            "gcp.cloudsql.measure_lag": "sql_lag:MeasureLag",
            "gcp.cloudsql.fence": "sql_fence:FenceInstance",
            "gcp.cloudsql.unfence": "sql_unfence:UnfenceInstance",
            "gcp.cloudsql.promote_replica": "sql_promote:PromoteReplica",
            "gcp.cloudsql.assert_single_primary": "sql_only:AssertSinglePrimary",
            "gcp.cloudsql.failover": "sql_failover:FailOver",
            "gcp.cloudsql.clone_to_time": "sql_clone:CloneToTime",
            "gcp.cloudsql.backup.create": "sql_backup:CreateBackup",
            "gcp.dns.record.set": "record_set:SetRecord",
            "gcp.dns.record.check": "record_check:CheckRecord",
        },
    ),
    pins=Late(
        __name__,
        {
            "gcp.project_number": "identity:ProjectPin",
            "gcp.dns.zone": "identity:ManagedZonePin",
        },
    ),
    libraries=("google.auth.jwt", "asyncpg", "httpx", "dns.asyncresolver"),
)
