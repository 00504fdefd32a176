"""The estate's AWS part, built through boto3 alone, as Terraform would."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from drctl.lab.access import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from drctl.lab.estate.environment import (
    APPLICATION,
    DATABASE,
    EAST,
    LEASE_BUCKET,
    NEIGHBOUR,
    PRIMARY,
    REPLICA,
    SWITCH_BUCKET,
    SWITCH_KEY,
    WEST,
    WITNESS_BUCKET,
    WITNESS_KEY,
)
from drctl.lab.plan import (
    ACCOUNT_ID,
    BALANCER_PORT,
    POD_PORT,
    POSTGRES_PORT,
    PUBLIC_NAME,
    ZONE,
    AddressPlan,
)

MASTER = "postgres"
_POLL_S = 0.1
_WAIT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Balancer:
    """A load balancer as records point to it."""

    name: str
    dns_name: str
    zone_id: str
    isolation_group: str
    """The security group that lets nobody in to it."""


class Aws:
    """Clients of the lab's account; made once each, usable from any thread."""

    def __init__(self, plan: AddressPlan) -> None:
        self._plan = plan
        self._session: Any = boto3.Session(
            aws_access_key_id=ACCESS_KEY_ID, aws_secret_access_key=SECRET_ACCESS_KEY
        )
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()  # a session must not make two clients at once

    def client(self, service: str, region: str) -> Any:
        """The client of a service in a region."""
        with self._lock:
            key = (service, region)
            if key not in self._clients:
                self._clients[key] = self._session.client(
                    service,
                    region_name=region,
                    endpoint_url=self._plan.aws_url(region),
                    config=Config(
                        connect_timeout=2,
                        read_timeout=15,
                        retries={"total_max_attempts": 1},
                        s3={"addressing_style": "path"},
                    ),
                )
            return self._clients[key]


def security_groups(aws: Aws, region: str) -> tuple[str, str]:
    """Makes the group that lets clients in and the one that lets nobody in; returns their ids."""
    return (
        _group(aws, region, f"{APPLICATION}-db", "PostgreSQL from the application", POSTGRES_PORT),
        _group(aws, region, f"{APPLICATION}-fence", "Nobody: fences a database", None),
    )


def _group(aws: Aws, region: str, name: str, what: str, port: int | None) -> str:
    """A security group that lets everybody in to one port, or nobody in at all."""
    ec2 = aws.client("ec2", region)
    made = ec2.create_security_group(GroupName=name, Description=what, VpcId=_vpc(ec2))
    if port is not None:
        rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port}
        rule["IpRanges"] = [{"CidrIp": "127.0.0.0/8"}]
        ec2.authorize_security_group_ingress(GroupId=made["GroupId"], IpPermissions=[rule])
    return str(made["GroupId"])


def primary(aws: Aws, group: str, master_password: str) -> str:
    """Creates the primary and waits until it is available; returns its endpoint's name."""
    rds, ec2 = aws.client("rds", EAST), aws.client("ec2", EAST)
    # As in every default network of AWS: what is not said to be private is public.
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=_vpc(ec2))
    rds.create_db_parameter_group(
        DBParameterGroupName=f"{APPLICATION}-db",
        DBParameterGroupFamily="postgres18",
        Description="what the application needs of its database",
    )
    rds.create_db_instance(
        DBInstanceIdentifier=PRIMARY,
        Engine="postgres",
        DBInstanceClass="db.r6g.large",
        AllocatedStorage=100,
        DBName=DATABASE,
        MasterUsername=MASTER,
        MasterUserPassword=master_password,
        VpcSecurityGroupIds=[group],
        BackupRetentionPeriod=7,
        DBParameterGroupName=f"{APPLICATION}-db",
        MultiAZ=True,
        DeletionProtection=True,
        EnableIAMDatabaseAuthentication=True,
        PubliclyAccessible=False,
    )
    return _available(rds, PRIMARY)


def replica(aws: Aws, group: str) -> str:
    """Creates the cross-region replica and waits until it is available; returns its endpoint."""
    rds = aws.client("rds", WEST)
    rds.create_db_instance_read_replica(
        DBInstanceIdentifier=REPLICA,
        SourceDBInstanceIdentifier=f"arn:aws:rds:{EAST}:{ACCOUNT_ID}:db:{PRIMARY}",
        SourceRegion=EAST,
        DBInstanceClass="db.r6g.large",
        VpcSecurityGroupIds=[group],
        PubliclyAccessible=False,
    )
    return _available(rds, REPLICA)


def neighbour(aws: Aws, group: str) -> str:
    """Creates the replica in the primary's own region, waits for it; returns its endpoint."""
    rds = aws.client("rds", EAST)
    rds.create_db_instance_read_replica(
        DBInstanceIdentifier=NEIGHBOUR,
        SourceDBInstanceIdentifier=PRIMARY,
        VpcSecurityGroupIds=[group],
        PubliclyAccessible=False,
    )
    return _available(rds, NEIGHBOUR)


def balancer(aws: Aws, region: str, name: str) -> Balancer:
    """Makes a load balancer with its target group and listener; returns when it is active."""
    ec2, elbv2 = aws.client("ec2", region), aws.client("elbv2", region)
    vpc = _vpc(ec2)
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
    made = elbv2.create_load_balancer(
        Name=name,
        Type="application",
        Scheme="internet-facing",
        Subnets=[subnet["SubnetId"] for subnet in subnets[:2]],
        SecurityGroups=[_group(aws, region, f"{name}-sg", "The service's clients", BALANCER_PORT)],
    )["LoadBalancers"][0]
    group = elbv2.create_target_group(
        Name=APPLICATION,
        Protocol="HTTP",
        Port=POD_PORT,
        VpcId=vpc,
        TargetType="ip",
        HealthCheckPath="/healthz",
        HealthCheckIntervalSeconds=5,
        HealthCheckTimeoutSeconds=2,
        HealthyThresholdCount=2,
        UnhealthyThresholdCount=2,
    )["TargetGroups"][0]
    arn = made["LoadBalancerArn"]
    elbv2.create_listener(
        LoadBalancerArn=arn,
        Protocol="HTTP",
        Port=BALANCER_PORT,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group["TargetGroupArn"]}],
    )

    def is_active() -> bool:
        found = elbv2.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"][0]
        return bool(found["State"]["Code"] == "active")

    wait_until(is_active, f"load balancer {name} is active")
    return Balancer(
        name=name,
        dns_name=made["DNSName"],
        zone_id=made["CanonicalHostedZoneId"],
        isolation_group=_group(aws, region, f"{name}-isolation", "Nobody: isolates", None),
    )


def buckets(aws: Aws) -> None:
    """Makes the buckets: the switch's, which Route 53's health checkers may read, and ours."""
    s3 = aws.client("s3", WEST)
    for bucket in (SWITCH_BUCKET, WITNESS_BUCKET, LEASE_BUCKET):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": WEST})
    anybody_reads = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": [f"arn:aws:s3:::{SWITCH_BUCKET}", f"arn:aws:s3:::{SWITCH_BUCKET}/*"],
    }
    policy = {"Version": "2012-10-17", "Statement": [anybody_reads]}
    s3.put_bucket_policy(Bucket=SWITCH_BUCKET, Policy=json.dumps(policy))


def public_name(aws: Aws, plan: AddressPlan, east: Balancer, west: Balancer) -> str:
    """
    Makes the zone, the inverted health check on the switch's object, and the failover pair.

    Returns:
        The zone's id.
    """
    route53 = aws.client("route53", EAST)
    zone = route53.create_hosted_zone(Name=ZONE, CallerReference="lab")["HostedZone"]["Id"]
    host, port = plan.aws_address(WEST)
    check = route53.create_health_check(
        CallerReference="lab",
        HealthCheckConfig={
            "Type": "HTTP",
            "IPAddress": host,
            "Port": port,
            "ResourcePath": f"/{SWITCH_BUCKET}/{SWITCH_KEY}",
            "RequestInterval": 10,
            "FailureThreshold": 1,
            "Inverted": True,
        },
    )["HealthCheck"]["Id"]
    change = route53.change_resource_record_sets(
        HostedZoneId=zone,
        ChangeBatch={
            "Comment": f"the public name of {APPLICATION}",
            "Changes": [
                {"Action": "CREATE", "ResourceRecordSet": record}
                for record in (
                    _failover("PRIMARY", east) | {"HealthCheckId": check},
                    _failover("SECONDARY", west),
                )
            ],
        },
    )["ChangeInfo"]["Id"]

    def is_in_sync() -> bool:
        return bool(route53.get_change(Id=change)["ChangeInfo"]["Status"] == "INSYNC")

    wait_until(is_in_sync, f"{PUBLIC_NAME} is in sync")
    return str(zone).rsplit("/", 1)[-1]


def _failover(role: str, balancer: Balancer) -> dict[str, Any]:
    return {
        "Name": PUBLIC_NAME,
        "Type": "A",
        "SetIdentifier": role.lower(),
        "Failover": role,
        "AliasTarget": {
            "DNSName": balancer.dns_name,
            "HostedZoneId": balancer.zone_id,
            # The switch alone moves traffic: a region without pods is an outage, not a decision.
            "EvaluateTargetHealth": False,
        },
    }


def is_witnessed(aws: Aws) -> bool:
    """True once the witness has seen the primary."""
    s3 = aws.client("s3", WEST)
    try:
        found = s3.get_object(Bucket=WITNESS_BUCKET, Key=WITNESS_KEY)
    except s3.exceptions.NoSuchKey:
        return False
    return json.load(found["Body"])["last_ok_at"] is not None


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """
    Polls ten times a second.

    Raises:
        TimeoutError: *what* did not come true within a minute.
    """
    deadline = time.monotonic() + _WAIT_S
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {_WAIT_S:.0f} s: {what}")
        time.sleep(_POLL_S)


def _available(rds: Any, instance: str) -> str:
    found: dict[str, Any] = {}

    def is_available() -> bool:
        found.update(rds.describe_db_instances(DBInstanceIdentifier=instance)["DBInstances"][0])
        if found["DBInstanceStatus"] in {"failed", "incompatible-restore", "incompatible-network"}:
            raise RuntimeError(f"{instance} is {found['DBInstanceStatus']}")
        return bool(found["DBInstanceStatus"] == "available")

    wait_until(is_available, f"{instance} is available")
    return str(found["Endpoint"]["Address"])


def _vpc(ec2: Any) -> str:
    vpcs = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    return str(vpcs[0]["VpcId"])
