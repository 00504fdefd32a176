"""What a lost load balancer was, as far as a copy of it needs that."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drctl.actions.errors import Conflict, Rejected
from drctl.actions.targets import LoadBalancer
from drctl.adapters.aws import elbv2_api as api
from drctl.adapters.aws.client import Aws


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """What is copied."""

    balancer: api.Balancer
    attributes: Mapping[str, str]
    listeners: tuple[api.Listener, ...]
    certificates: Mapping[int, tuple[str, ...]]
    """By port; the default one first, then those that are chosen by name."""
    group: Mapping[str, Any]
    """The one target group that its listeners forward to."""


def name_of(target: LoadBalancer) -> str:
    """
    The name of the stand-in.

    Raises:
        Rejected: The environment does not say.
    """
    if target.emergency_name is None:
        raise Rejected(f"{target.label} has no emergency_name in the environment")
    return target.emergency_name


async def pattern_of(aws: Aws, target: LoadBalancer) -> Pattern:
    """
    Reads what the lost load balancer was.

    Raises:
        NotFound: The API does not know it any more.
        Conflict: It is isolated.
        Rejected: Its settings cannot be copied faithfully.
        ActionError: They could not be read.
    """
    lost = await api.require(aws, target.name)
    if target.isolation_security_group in lost.security_groups:
        raise Conflict(f"{target.label} is isolated: a copy of it would let nobody in either")
    listeners = await api.listeners(aws, lost)
    for listener in listeners:
        rules = await aws.read("elbv2", "describe_rules", ListenerArn=listener.arn)
        api.require_plain(listener, rules.get("Rules", []), target.name)
    groups = sorted({arn for listener in listeners for arn in listener.groups})
    if len(groups) != 1:
        raise Rejected(
            f"{target.label} forwards to {len(groups)} target groups, and one can be copied:"
            " rebuild it from its code"
        )
    return Pattern(
        balancer=lost,
        attributes=await api.attributes(aws, lost),
        listeners=listeners,
        certificates={each.port: await api.certificates(aws, each) for each in listeners},
        group=await api.group(aws, groups[0]),
    )
