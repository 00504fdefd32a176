"""What leads customers to a place: the family ``traffic``."""

from typing import ClassVar, Literal

from drctl.actions.targets.parts import AwsConnection, GcpConnection, Target, Text, Url


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


def _domain(name: str) -> str:
    return name.rstrip(".").lower()
