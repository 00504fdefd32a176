"""Amazon Web Services: RDS, Route 53, and the identity behind the credentials."""

from drctl.actions.contract import Adapter
from drctl.adapters.aws.arc import SetRoutingControls
from drctl.adapters.aws.autoscaling import ScaleGroup
from drctl.adapters.aws.ecr import CheckImage
from drctl.adapters.aws.ecs import ScaleService
from drctl.adapters.aws.elasticache import FailoverDatastore
from drctl.adapters.aws.elbv2_check import AssertServing, CheckBalancer
from drctl.adapters.aws.elbv2_isolate import IsolateBalancer, ReadmitBalancer
from drctl.adapters.aws.elbv2_rebuild import DeleteEmergencyBalancer, RebuildBalancer
from drctl.adapters.aws.failover_switch import DisengageSwitch, EngageSwitch
from drctl.adapters.aws.identity import AccountPin, CheckIdentity, ZonePin
from drctl.adapters.aws.quotas import AssertQuota
from drctl.adapters.aws.rds_aside import SetAside
from drctl.adapters.aws.rds_fence import FenceInstance
from drctl.adapters.aws.rds_lag import MeasureLag
from drctl.adapters.aws.rds_only import AssertSinglePrimary
from drctl.adapters.aws.rds_promote import PromoteReplica
from drctl.adapters.aws.rds_replica import CreateReplica
from drctl.adapters.aws.rds_restore import RestoreToTime
from drctl.adapters.aws.rds_snapshot import CreateSnapshot, RestoreSnapshot
from drctl.adapters.aws.rds_unfence import UnfenceInstance
from drctl.adapters.aws.rds_wait import WaitForInstance
from drctl.adapters.aws.rds_window import ReadWindow
from drctl.adapters.aws.ready_account import ClockAgrees, CredentialsLast, Permitted
from drctl.adapters.aws.ready_rds import BackupsFresh, FenceHolds, ReplicaAttached
from drctl.adapters.aws.ready_switch import SwitchWired
from drctl.adapters.aws.record import UpsertRecord
from drctl.adapters.aws.s3_cell import S3Store
from drctl.adapters.aws.s3_replication import AssertReplication
from drctl.adapters.aws.s3_restore import RestoreVersion
from drctl.adapters.aws.vault import CheckSecret, PutSecret

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="aws",
    actions=(
        CheckIdentity(),
        MeasureLag(),
        FenceInstance(),
        UnfenceInstance(),
        PromoteReplica(),
        AssertSinglePrimary(),
        WaitForInstance(),
        ReadWindow(),
        RestoreToTime(),
        CreateReplica(),
        SetAside(),
        CreateSnapshot(),
        RestoreSnapshot(),
        EngageSwitch(),
        DisengageSwitch(),
        UpsertRecord(),
        CheckBalancer(),
        AssertServing(),
        RebuildBalancer(),
        DeleteEmergencyBalancer(),
        IsolateBalancer(),
        ReadmitBalancer(),
        CheckSecret(),
        PutSecret(),
        CheckImage(),
        RestoreVersion(),
        AssertReplication(),
        ScaleGroup(),
        ScaleService(),
        AssertQuota(),
        FailoverDatastore(),
        SetRoutingControls(),
    ),
    pins=(AccountPin(), ZonePin()),
    stores=(S3Store(),),
    checks=(
        CredentialsLast(),
        ClockAgrees(),
        Permitted(),
        ReplicaAttached(),
        FenceHolds(),
        BackupsFresh(),
        SwitchWired(),
    ),
    libraries=("boto3", "asyncpg", "httpx", "dns.asyncresolver"),
)
