"""
Which of IAM's permissions each action needs, and on what. The one table.

A test reads this adapter's source, and fails on a call whose permission is not here.
"""

from collections.abc import Iterator
from typing import Final

from drctl.actions.targets import (
    DnsRecord,
    EcrRepository,
    FailoverSwitch,
    RdsInstance,
    S3Bucket,
    Target,
)

_LOOK_AT_RDS: Final = ("rds:DescribeDBInstances",)
_FENCE: Final = (*_LOOK_AT_RDS, "rds:ModifyDBInstance", "ec2:DescribeSecurityGroups")
_LOOK_AT_LB: Final = (
    "elasticloadbalancing:DescribeLoadBalancers", "elasticloadbalancing:DescribeListeners",
    "elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeTargetHealth",
    "elasticloadbalancing:DescribeTags", "elasticloadbalancing:DescribeRules",
    "elasticloadbalancing:DescribeLoadBalancerAttributes",
    "elasticloadbalancing:DescribeListenerCertificates",
)  # fmt: skip
_TEAR_DOWN: Final = (
    "elasticloadbalancing:DeleteLoadBalancer", "elasticloadbalancing:DeleteTargetGroup",
    "elasticloadbalancing:DeregisterTargets",
)  # fmt: skip

NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "aws.sts.identity.check": (),
    "aws.rds.measure_lag": (*_LOOK_AT_RDS, "witness:GetObject"),
    "aws.rds.fence": (*_FENCE, "rds:RebootDBInstance"),
    "aws.rds.unfence": _FENCE,
    "aws.rds.promote_replica": (*_LOOK_AT_RDS, "rds:PromoteReadReplica", "witness:GetObject"),
    "aws.rds.assert_single_primary": (),
    "aws.rds.instance.wait": _LOOK_AT_RDS,
    "aws.rds.restore_window": ("rds:DescribeDBInstanceAutomatedBackups",),
    "aws.rds.restore_to_time": (
        *_LOOK_AT_RDS, "rds:DescribeDBInstanceAutomatedBackups",
        "rds:RestoreDBInstanceToPointInTime",
    ),
    "aws.rds.create_replica": (*_LOOK_AT_RDS, "rds:CreateDBInstanceReadReplica"),
    "aws.rds.set_aside": (*_LOOK_AT_RDS, "rds:ModifyDBInstance"),
    "aws.rds.snapshot.create": (
        *_LOOK_AT_RDS, "rds:CreateDBSnapshot", "rds:DescribeDBSnapshots",
    ),
    "aws.rds.snapshot.restore": (
        *_LOOK_AT_RDS, "rds:DescribeDBSnapshots", "rds:RestoreDBInstanceFromDBSnapshot",
    ),
    "aws.route53.failover_switch.engage": ("s3:GetObject", "s3:PutObject"),
    "aws.route53.failover_switch.disengage": ("s3:GetObject", "s3:DeleteObject"),
    "aws.route53.record.upsert": (
        "route53:ListResourceRecordSets", "route53:ChangeResourceRecordSets", "route53:GetChange",
    ),
    "aws.elbv2.check": _LOOK_AT_LB,
    "aws.elbv2.assert_serving": _LOOK_AT_LB,
    "aws.elbv2.rebuild": (
        *_LOOK_AT_LB, "elasticloadbalancing:CreateLoadBalancer",
        "elasticloadbalancing:CreateTargetGroup", "elasticloadbalancing:CreateListener",
        "elasticloadbalancing:AddListenerCertificates", "elasticloadbalancing:RegisterTargets",
        "elasticloadbalancing:ModifyLoadBalancerAttributes", "elasticloadbalancing:AddTags",
    ),
    "aws.elbv2.delete": (*_LOOK_AT_LB, *_TEAR_DOWN),
    "aws.elbv2.isolate": (
        *_LOOK_AT_LB, "ec2:DescribeSecurityGroups", "elasticloadbalancing:SetSecurityGroups",
        "elasticloadbalancing:AddTags",
    ),
    "aws.elbv2.readmit": (
        *_LOOK_AT_LB, "ec2:DescribeSecurityGroups", "elasticloadbalancing:SetSecurityGroups",
    ),
    "aws.secretsmanager.secret.check": ("secretsmanager:DescribeSecret",),
    "aws.secretsmanager.secret.put": (
        "secretsmanager:DescribeSecret", "secretsmanager:PutSecretValue",
    ),
    "aws.ecr.image.check": ("ecr:DescribeImages",),
    "aws.s3.object.restore_version": (
        "bucket:ListBucketVersions", "s3:GetObjectVersion", "s3:PutObject",
    ),
    "aws.s3.replication.assert": (
        "bucket:GetReplicationConfiguration", "bucket:GetBucketVersioning",
        "bucket:ListBucketVersions", "s3:GetObjectVersion",
    ),
    "aws.autoscaling.group.scale": (
        "autoscaling:DescribeAutoScalingGroups", "autoscaling:SetDesiredCapacity",
    ),
    "aws.ecs.service.scale": (
        "ecs:DescribeServices", "ecs:UpdateService",
        "application-autoscaling:DescribeScalableTargets",
    ),
    "aws.servicequotas.assert": (
        "servicequotas:GetServiceQuota", "servicequotas:GetAWSDefaultServiceQuota",
        "cloudwatch:GetMetricStatistics",
    ),
    "aws.elasticache.global.failover": (
        "elasticache:DescribeGlobalReplicationGroups", "elasticache:DescribeReplicationGroups",
        "elasticache:FailoverGlobalReplicationGroup",
    ),
    "aws.arc.routing_control.set": (
        "route53-recovery-cluster:GetRoutingControlState",
        "route53-recovery-cluster:UpdateRoutingControlStates",
    ),
}  # fmt: skip
"""Action to permissions. ``witness:`` and ``bucket:`` are S3's, on another resource."""


def needed(action: str, target: Target) -> Iterator[tuple[str, str]]:
    """Each permission that an action needs on a target, with the resource's ARN."""
    for name in NEEDS.get(action, ()):
        service, _, verb = name.partition(":")
        if service == "witness":
            witness = target.witness if isinstance(target, RdsInstance) else None
            if witness is not None:
                yield f"s3:{verb}", f"arn:aws:s3:::{witness.bucket}/{witness.key}"
        elif service == "bucket":
            bucket = target.bucket if isinstance(target, S3Bucket) else "*"
            yield f"s3:{verb}", f"arn:aws:s3:::{bucket}"
        else:
            yield name, "*" if verb.startswith(("Describe", "List")) else _arn(service, target)


def _arn(service: str, target: Target) -> str:
    """The resource as policies name it; ``*`` where no name of ours is its ARN."""
    match target:
        case FailoverSwitch():
            return f"arn:aws:s3:::{target.bucket}/{target.key}"
        case S3Bucket():
            return f"arn:aws:s3:::{target.bucket}/*"
        case DnsRecord():
            return f"arn:aws:route53:::hostedzone/{target.zone_id}"
        case RdsInstance() if service == "rds":
            place = f"{target.aws.region}:{target.aws.account}"
            return f"arn:aws:rds:{place}:db:{target.instance}"
        case EcrRepository():
            place = f"{target.aws.region}:{target.aws.account}"
            return f"arn:aws:ecr:{place}:repository/{target.repository}"
    return "*"
