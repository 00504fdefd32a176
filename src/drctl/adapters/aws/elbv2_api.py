"""What Elastic Load Balancing says about one load balancer, its listeners and its targets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from drctl.actions.errors import ActionError, NotFound, Rejected, Unavailable
from drctl.adapters.aws.client import PATIENCE, Aws

ACTIVE = "active"
LOST_STATES = frozenset({"failed"})
"""States that never become ``active`` by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Balancer:
    """One description of a load balancer."""

    arn: str
    name: str
    dns_name: str
    zone_id: str
    """The hosted zone of *dns_name*, for alias records; the load balancer's, not ours."""
    state: str
    why: str
    """What the API says about the state; often empty."""
    scheme: str
    ip_address_type: str
    vpc: str
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One port that a load balancer listens on."""

    arn: str
    port: int
    protocol: str
    ssl_policy: str | None
    certificates: tuple[str, ...]
    """ARNs; the first is the default, and the API names no others here."""
    actions: tuple[Mapping[str, Any], ...]
    """The default ones, as the API writes them."""

    @property
    def groups(self) -> tuple[str, ...]:
        """The target groups that it forwards to, by ARN."""
        return tuple(dict.fromkeys(arn for action in self.actions for arn in _groups(action)))


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetHealth:
    """One registered target, as its load balancer sees it."""

    id: str
    port: int
    state: str
    reason: str


async def find(aws: Aws, name: str, *, patience: timedelta = PATIENCE) -> Balancer | None:
    """
    The load balancer of that name; ``None`` when there is none.

    Raises:
        ActionError: It could not be read.
    """
    try:
        answer = await aws.read("elbv2", "describe_load_balancers", Names=[name], patience=patience)
    except NotFound:
        return None
    found = answer.get("LoadBalancers", [])
    if len(found) != 1:
        raise Unavailable(f"ELB in {aws.region} knows {len(found)} load balancers named {name}")
    return about(found[0], name)


def about(
    raw: Mapping[str, Any], name: str, *, otherwise: type[ActionError] = Unavailable
) -> Balancer:
    """
    Reads a description, or the answer to a change, that must be about *name*.

    Raises:
        ActionError: *otherwise*; it is about another one.
    """
    if raw.get("LoadBalancerName") != name:
        told = raw.get("LoadBalancerName")
        raise otherwise(f"ELB was asked about {name}, and told of {told}")
    state = raw.get("State") or {}
    return Balancer(
        arn=raw["LoadBalancerArn"],
        name=name,
        dns_name=raw["DNSName"],
        zone_id=raw["CanonicalHostedZoneId"],
        state=state.get("Code", ""),
        why=state.get("Reason", ""),
        scheme=raw.get("Scheme", "internet-facing"),
        ip_address_type=raw.get("IpAddressType", "ipv4"),
        vpc=raw["VpcId"],
        subnets=tuple(sorted(zone["SubnetId"] for zone in raw.get("AvailabilityZones", []))),
        security_groups=tuple(sorted(raw.get("SecurityGroups", []))),
    )


async def listeners(
    aws: Aws, balancer: Balancer, *, patience: timedelta = PATIENCE
) -> tuple[Listener, ...]:
    """
    Its listeners, by port.

    Raises:
        ActionError: They could not be read.
    """
    answer = await aws.read(
        "elbv2", "describe_listeners", LoadBalancerArn=balancer.arn, patience=patience
    )
    raws = answer.get("Listeners", [])
    for raw in raws:
        if raw.get("LoadBalancerArn") != balancer.arn:
            raise Unavailable(f"ELB was asked about {balancer.name}, and told of another one")
    made = [
        Listener(
            arn=raw["ListenerArn"],
            port=int(raw["Port"]),
            protocol=raw["Protocol"],
            ssl_policy=raw.get("SslPolicy") if raw["Protocol"] == "HTTPS" else None,
            certificates=tuple(c["CertificateArn"] for c in raw.get("Certificates") or []),
            actions=tuple(raw.get("DefaultActions", [])),
        )
        for raw in raws
    ]
    return tuple(sorted(made, key=lambda each: each.port))


async def certificates(aws: Aws, listener: Listener) -> tuple[str, ...]:
    """
    Every certificate of a listener by ARN, the default one first; none of a plain one.

    Raises:
        ActionError: They could not be read.
    """
    if listener.protocol != "HTTPS":
        return ()
    answer = await aws.read("elbv2", "describe_listener_certificates", ListenerArn=listener.arn)
    named = [raw["CertificateArn"] for raw in answer.get("Certificates", [])]
    return tuple(dict.fromkeys([*listener.certificates[:1], *named]))


async def health(
    aws: Aws, group: str, *, patience: timedelta = PATIENCE
) -> tuple[TargetHealth, ...]:
    """
    The registered targets of a group.

    Raises:
        ActionError: They could not be read.
    """
    answer = await aws.read(
        "elbv2", "describe_target_health", TargetGroupArn=group, patience=patience
    )
    return tuple(
        TargetHealth(
            id=raw["Target"]["Id"],
            port=int(raw["Target"]["Port"]),
            state=raw["TargetHealth"]["State"],
            reason=raw["TargetHealth"].get("Reason", ""),
        )
        for raw in answer.get("TargetHealthDescriptions", [])
    )


async def group(aws: Aws, arn: str) -> Mapping[str, Any]:
    """
    The API's description of a target group.

    Raises:
        NotFound: No such group.
        ActionError: It could not be read.
    """
    answer = await aws.read("elbv2", "describe_target_groups", TargetGroupArns=[arn])
    found: Mapping[str, Any] = answer["TargetGroups"][0]
    if found.get("TargetGroupArn") != arn:
        raise Unavailable(f"ELB was asked about {arn}, and told of {found.get('TargetGroupArn')}")
    return found


async def group_named(aws: Aws, name: str) -> Mapping[str, Any] | None:
    """
    The API's description of the target group of that name; ``None`` when there is none.

    Raises:
        ActionError: It could not be read.
    """
    try:
        answer = await aws.read("elbv2", "describe_target_groups", Names=[name])
    except NotFound:
        return None
    found: Mapping[str, Any] = answer["TargetGroups"][0]
    if found.get("TargetGroupName") != name:
        told = found.get("TargetGroupName")
        raise Unavailable(f"ELB was asked about {name}, and told of {told}")
    return found


async def attributes(aws: Aws, balancer: Balancer) -> dict[str, str]:
    """
    Its attributes, by key.

    Raises:
        ActionError: They could not be read.
    """
    answer = await aws.read(
        "elbv2", "describe_load_balancer_attributes", LoadBalancerArn=balancer.arn
    )
    return {raw["Key"]: str(raw.get("Value", "")) for raw in answer.get("Attributes", [])}


async def tags(aws: Aws, arn: str) -> dict[str, str]:
    """
    The tags of a load balancer or target group.

    Raises:
        ActionError: They could not be read.
    """
    answer = await aws.read("elbv2", "describe_tags", ResourceArns=[arn])
    found = answer["TagDescriptions"]
    if len(found) != 1 or found[0].get("ResourceArn") != arn:
        raise Unavailable(f"ELB was asked about {arn}, and told of another one")
    return {raw["Key"]: raw.get("Value", "") for raw in found[0].get("Tags", [])}


async def require(aws: Aws, name: str, *, patience: timedelta = PATIENCE) -> Balancer:
    """
    The load balancer of that name.

    Raises:
        NotFound: There is none.
        ActionError: It could not be read.
    """
    found = await find(aws, name, patience=patience)
    if found is None:
        raise NotFound(f"ELB in {aws.region} has no load balancer {name}")
    return found


def require_plain(listener: Listener, rules: Sequence[Mapping[str, Any]], name: str) -> None:
    """
    Checks that a listener sends everything one way, so that a copy of that way is a copy of it.

    Raises:
        Rejected: It has rules besides the default one, or forwards to several groups.
    """
    more = [rule for rule in rules if not rule.get("IsDefault")]
    if more or len(listener.groups) > 1:
        what = f"{len(more)} rules" if more else f"{len(listener.groups)} target groups"
        raise Rejected(
            f"port {listener.port} of {name} has {what} of its own: a copy of its default would"
            " route some requests wrongly. Rebuild it from its code"
        )


def _groups(action: Mapping[str, Any]) -> tuple[str, ...]:
    forwards = (action.get("ForwardConfig") or {}).get("TargetGroups") or [action]
    return tuple(arn for forward in forwards if (arn := forward.get("TargetGroupArn")))
