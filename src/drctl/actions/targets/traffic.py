"""What leads customers to a place: the family ``traffic``."""

from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field, StringConstraints

from drctl.actions.targets.parts import AwsConnection, GcpConnection, Target, Text, Url

RoutingControlArn: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^arn:[a-z-]+:route53-recovery-control::[0-9]{12}:[^\s*?]+$")
]


class FailoverSwitch(Target):
    """
    A Route 53 failover pair whose primary record is held by an inverted health check on an S3
    object.

    While the object does not exist the primary record answers; once it exists in the recovery
    region the health check turns unhealthy and the secondary answers. Moving traffic is one data-
    plane write to S3.
    """

    family: ClassVar[str] = "traffic"
    kind: Literal["aws.route53.failover_switch"] = "aws.route53.failover_switch"
    aws: AwsConnection
    """The *recovery* region's."""
    bucket: Text
    key: Text
    record_name: Text
    """The public name, without the final dot."""
    recovery_name: Text
    """
    What the public name must resolve like once the switch is engaged (the recovery balancer's
    name).
    """
    home_region: Text | None = None
    """Where the primary record leads; with it a plan can say what losing that region does."""
    url: Url
    """The service as a customer calls it."""

    @property
    def label(self) -> str:
        return f"{self.record_name} (switch s3://{self.bucket}/{self.key}, {self.aws.region})"

    @property
    def identities(self) -> tuple[str, ...]:
        return (f"aws:s3:{self.bucket}/{self.key}", f"dns:{_domain(self.record_name)}")

    @property
    def places(self) -> tuple[str, ...]:
        return (self.aws.region,)


class DnsRecord(Target):
    """
    A record in a hosted zone, changed through the Route 53 control plane (which lives in us-
    east-1).
    """

    family: ClassVar[str] = "traffic"
    kind: Literal["aws.route53.record"] = "aws.route53.record"
    aws: AwsConnection
    zone_id: Text
    zone_name: Text
    """Pin: the zone with this id must have this name."""
    record_name: Text
    url: Url | None = None

    @property
    def label(self) -> str:
        return f"{self.record_name} in {self.zone_id}"

    @property
    def identities(self) -> tuple[str, ...]:
        name = _domain(self.record_name)
        return (f"aws:route53:{self.zone_id}:{name}", f"dns:{name}")


class CloudDnsRecord(Target):
    """A record in a managed zone of Cloud DNS, whose API is in no region."""

    family: ClassVar[str] = "traffic"
    kind: Literal["gcp.dns.record"] = "gcp.dns.record"
    gcp: GcpConnection
    managed_zone: Text
    """The zone's resource name: ``healing-guard``."""
    zone_name: Text
    """Pin: the zone with that resource name must be of this DNS name."""
    record_name: Text
    url: Url | None = None

    @property
    def label(self) -> str:
        return f"{self.record_name} in {self.gcp.project}/{self.managed_zone}"

    @property
    def identities(self) -> tuple[str, ...]:
        name = _domain(self.record_name)
        return (f"gcp:{self.gcp.project_number}:dns:{self.managed_zone}:{name}", f"dns:{name}")


class RoutingControls(Target):
    """
    Routing controls of Route 53 ARC, one for each place that customers may be sent to.

    They are set at any of the cluster's five endpoints, which are in five regions, so that no
    region's loss takes them away; the control plane that describes the cluster is not needed then,
    which is why the endpoints are written here.
    """

    family: ClassVar[str] = "traffic"
    kind: Literal["aws.arc.routing_controls"] = "aws.arc.routing_controls"
    aws: AwsConnection
    """Whose credentials; its region and endpoints are only for asking who they belong to."""
    cluster_endpoints: Annotated[dict[Text, Url], Field(min_length=2, max_length=5)]
    """Region to URL, as ``DescribeCluster`` gives them: all five."""
    controls: Annotated[dict[Text, RoutingControlArn], Field(min_length=2)]
    """What runbooks call them to their ARNs: all that send the same customers somewhere."""

    @property
    def label(self) -> str:
        return f"routing controls {', '.join(self.controls)}"

    @property
    def identities(self) -> tuple[str, ...]:
        return tuple(f"aws:arc:{arn}" for arn in sorted(self.controls.values()))


def _domain(name: str) -> str:
    return name.rstrip(".").lower()
