"""Applications: the family ``app``."""

from typing import ClassVar, Literal

from drctl.actions.targets.parts import AwsConnection, KubernetesConnection, Target, Text, Url
from drctl.kernel.secret import SecretRef


class Deployment(Target):
    """A Kubernetes Deployment, and the address at which it is asked privately."""

    family: ClassVar[str] = "app"
    kind: Literal["kubernetes.deployment"] = "kubernetes.deployment"
    cluster: KubernetesConnection
    namespace: Text
    name: Text
    url: Url | None = None
    """Base URL inside the region, for probes before traffic moves."""
    registry: Url | None = None
    """Base URL of its images' registry, when that is not https at the host that images name."""
    registry_token: SecretRef | None = None
    """Bearer token for it."""

    @property
    def label(self) -> str:
        return f"deployment/{self.name} in {self.namespace} ({self.cluster.region})"

    @property
    def identities(self) -> tuple[str, ...]:
        return (f"kubernetes:{self.cluster.cluster_uid}:{self.namespace}/{self.name}",)

    @property
    def places(self) -> tuple[str, ...]:
        return (self.cluster.region,)


class AutoScalingGroup(Target):
    """A group of EC2 instances that Auto Scaling keeps at a number."""

    family: ClassVar[str] = "app"
    kind: Literal["aws.autoscaling.group"] = "aws.autoscaling.group"
    aws: AwsConnection
    name: Text
    url: Url | None = None
    """As for `Deployment`."""

    @property
    def label(self) -> str:
        return f"Auto Scaling group {self.name} ({self.aws.region})"

    @property
    def identities(self) -> tuple[str, ...]:
        return (f"aws:{self.aws.account}:{self.aws.region}:autoscaling:{self.name}",)

    @property
    def places(self) -> tuple[str, ...]:
        return (self.aws.region,)


class EcsService(Target):
    """A service of ECS: tasks that are kept at a number."""

    family: ClassVar[str] = "app"
    kind: Literal["aws.ecs.service"] = "aws.ecs.service"
    aws: AwsConnection
    cluster_name: Text
    service: Text
    """Its name."""
    url: Url | None = None
    """As for `Deployment`."""

    @property
    def label(self) -> str:
        return f"ECS service {self.service} in {self.cluster_name} ({self.aws.region})"

    @property
    def identities(self) -> tuple[str, ...]:
        return (f"aws:{self.aws.account}:{self.aws.region}:ecs:{self.cluster_name}/{self.service}",)

    @property
    def places(self) -> tuple[str, ...]:
        return (self.aws.region,)
