"""Amazon Web Services: RDS, Route 53, and the identity behind the credentials."""

from drctl.actions.contract import Adapter
from drctl.actions.late import Late

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="aws",
    actions=Late(
        __name__,
        {
            "aws.sts.identity.check": "identity:CheckIdentity",
            "aws.rds.measure_lag": "rds_lag:MeasureLag",
            "aws.rds.fence": "rds_fence:FenceInstance",
            "aws.rds.unfence": "rds_unfence:UnfenceInstance",
            "aws.rds.promote_replica": "rds_promote:PromoteReplica",
            "aws.rds.assert_single_primary": "rds_only:AssertSinglePrimary",
            "aws.rds.instance.wait": "rds_wait:WaitForInstance",
            "aws.rds.restore_window": "rds_window:ReadWindow",
            "aws.rds.restore_to_time": "rds_restore:RestoreToTime",
            "aws.rds.create_replica": "rds_replica:CreateReplica",
            "aws.rds.set_aside": "rds_aside:SetAside",
            "aws.rds.snapshot.create": "rds_snapshot:CreateSnapshot",
            "aws.rds.snapshot.restore": "rds_snapshot:RestoreSnapshot",
            "aws.route53.failover_switch.engage": "failover_switch:EngageSwitch",
            "aws.route53.failover_switch.disengage": "failover_switch:DisengageSwitch",
            "aws.route53.record.upsert": "record:UpsertRecord",
            "aws.elbv2.check": "elbv2_check:CheckBalancer",
            "aws.elbv2.assert_serving": "elbv2_check:AssertServing",
            "aws.elbv2.rebuild": "elbv2_rebuild:RebuildBalancer",
            "aws.elbv2.delete": "elbv2_rebuild:DeleteEmergencyBalancer",
            "aws.elbv2.isolate": "elbv2_isolate:IsolateBalancer",
            "aws.elbv2.readmit": "elbv2_isolate:ReadmitBalancer",
            "aws.secretsmanager.secret.check": "vault:CheckSecret",
            "aws.secretsmanager.secret.put": "vault:PutSecret",
            "aws.ecr.image.check": "ecr:CheckImage",
            "aws.s3.object.restore_version": "s3_restore:RestoreVersion",
            "aws.s3.replication.assert": "s3_replication:AssertReplication",
            "aws.autoscaling.group.scale": "autoscaling:ScaleGroup",
            "aws.ecs.service.scale": "ecs:ScaleService",
            "aws.servicequotas.assert": "quotas:AssertQuota",
            "aws.elasticache.global.failover": "elasticache:FailoverDatastore",
            "aws.arc.routing_control.set": "arc:SetRoutingControls",
        },
    ),
    pins=Late(
        __name__,
        {
            "aws.account": "identity:AccountPin",
            "aws.route53.zone": "identity:ZonePin",
        },
    ),
    stores=Late(
        __name__,
        {
            "s3": "s3_cell:S3Store",
        },
    ),
    checks=Late(
        __name__,
        {
            "aws.credentials": "ready_account:CredentialsLast",
            "aws.clock": "ready_account:ClockAgrees",
            "aws.permissions": "ready_account:Permitted",
            "aws.rds.replica": "ready_rds:ReplicaAttached",
            "aws.rds.fence_group": "ready_rds:FenceHolds",
            "aws.rds.backups": "ready_rds:BackupsFresh",
            "aws.route53.switch": "ready_switch:SwitchWired",
        },
    ),
    libraries=("boto3", "asyncpg", "httpx", "dns.asyncresolver"),
)
