"""Load balancers: the family ``lb``."""

from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import StringConstraints, model_validator

from drctl.actions.targets.parts import AwsConnection, Target, Text

BalancerName: TypeAlias = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?$"),
]
"""As Elastic Load Balancing takes it, for a load balancer as for a target group."""


class LoadBalancer(Target):
    """An Application Load Balancer, and the name of the one that is built when it is lost."""

    family: ClassVar[str] = "lb"
    kind: Literal["aws.elbv2.load_balancer"] = "aws.elbv2.load_balancer"
    aws: AwsConnection
    name: BalancerName
    emergency_name: BalancerName | None = None
    """
    The name of its stand-in, and of that one's target group. Names are unique in an account and
    region, so that building it twice makes one.
    """
    isolation_security_group: Text | None = None
    """A security group without any ingress rule, made in advance; isolating swaps into it."""

    @model_validator(mode="after")
    def _two_names(self) -> "LoadBalancer":
        if self.emergency_name == self.name:
            raise ValueError("the emergency load balancer needs a name of its own")
        return self

    @property
    def label(self) -> str:
        return f"load balancer {self.name} ({self.aws.region})"

    @property
    def identities(self) -> tuple[str, ...]:
        root = f"aws:{self.aws.account}:{self.aws.region}:elbv2"
        names = (self.name, *((self.emergency_name,) if self.emergency_name else ()))
        return tuple(f"{root}:{name}" for name in names)

    @property
    def places(self) -> tuple[str, ...]:
        return (self.aws.region,)
