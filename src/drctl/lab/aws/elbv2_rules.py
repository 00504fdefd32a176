"""What Elastic Load Balancing refuses, and what it does once however often it is asked."""

import ipaddress
import random
import re
from collections.abc import Callable
from typing import Any, Final

from moto.elbv2.exceptions import ELBClientError
from moto.elbv2.models import (
    ELBv2Backend,
    FakeAction,
    FakeListener,
    FakeListenerRule,
    FakeLoadBalancer,
    FakeTargetGroup,
)

from drctl.lab.aws import security_groups
from drctl.lab.aws.bridge import groups_of

_NAME: Final = re.compile(r"(?!internal-)[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?")
_LEAST_ZONES: Final = 2
_GROUP_SETTINGS: Final = (
    "protocol", "port", "vpc_id", "target_type", "health_check_path", "health_check_protocol",
    "health_check_port", "health_check_interval_seconds", "health_check_timeout_seconds",
    "healthy_threshold_count", "unhealthy_threshold_count", "matcher",
)  # fmt: skip


def balancer_once(original: Callable[..., FakeLoadBalancer]) -> Callable[..., FakeLoadBalancer]:
    """Wraps ``CreateLoadBalancer``: what it names exists, and one name is one load balancer."""

    def create_load_balancer(
        self: ELBv2Backend, name: str, *args: Any, **kwargs: Any
    ) -> FakeLoadBalancer:
        if not _NAME.fullmatch(name):
            raise ELBClientError("ValidationError", f"The load balancer name '{name}' is not valid")
        new = original(self, name, *args, **kwargs)
        try:
            _check_balancer(self, new)
        except ELBClientError:
            del self.load_balancers[new.arn]
            raise
        for known in tuple(self.load_balancers.values()):
            if known.name != name or known.arn == new.arn:
                continue
            del self.load_balancers[new.arn]
            if _settings(known) == _settings(new):
                return known
            raise ELBClientError(
                "DuplicateLoadBalancerName",
                f"A load balancer with the same name '{name}' exists, but with different settings",
            )
        # Nobody can guess it, as at AWS: whoever needs the name asks the API.
        inside = "internal-" if new.scheme == "internal" else ""
        number = random.randrange(10**8, 10**10)
        new.dns_name = f"{inside}{name}-{number}.{self.region_name}.elb.amazonaws.com"
        return new

    return create_load_balancer


def _check_balancer(backend: ELBv2Backend, new: FakeLoadBalancer) -> None:
    if new.type == "application":
        zones = [subnet.availability_zone for subnet in new.subnets]
        if len(set(zones)) < _LEAST_ZONES:
            raise ELBClientError(
                "ValidationError",
                "At least two subnets in two different Availability Zones must be specified",
            )
        if len(set(zones)) < len(zones):
            raise ELBClientError(
                "InvalidConfigurationRequest",
                "A load balancer cannot be attached to multiple subnets in the same "
                "Availability Zone",
            )
    if len({subnet.vpc_id for subnet in new.subnets}) > 1:
        raise ELBClientError(
            "InvalidConfigurationRequest", "The subnets must all belong to one VPC"
        )
    for group in new.security_groups or ():
        if not security_groups.exists(backend.region_name, group):
            raise ELBClientError("InvalidSecurityGroup", f"Security group '{group}' does not exist")


def _settings(balancer: FakeLoadBalancer) -> tuple[Any, ...]:
    subnets = sorted(subnet.id for subnet in balancer.subnets)
    return balancer.scheme, balancer.type, subnets, sorted(balancer.security_groups or [])


def unprotected(original: Callable[..., None]) -> Callable[..., None]:
    """Wraps ``DeleteLoadBalancer``: not while it is protected against that."""

    def delete_load_balancer(self: ELBv2Backend, arn: str) -> None:
        balancer = self.load_balancers.get(arn)
        if balancer is not None and balancer.attrs.get("deletion_protection.enabled") == "true":
            raise ELBClientError(
                "OperationNotPermitted",
                f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled",
            )
        original(self, arn)

    return delete_load_balancer


def group_once(original: Callable[..., FakeTargetGroup]) -> Callable[..., FakeTargetGroup]:
    """Wraps ``CreateTargetGroup``: the same settings again are the same group."""

    def create_target_group(self: ELBv2Backend, name: str, **kwargs: Any) -> FakeTargetGroup:
        known = [group for group in self.target_groups.values() if group.name == name]
        if not known:
            return original(self, name, **kwargs)
        held = self.target_groups.pop(known[0].arn)
        try:
            new = original(self, name, **kwargs)
            del self.target_groups[new.arn]
        finally:
            self.target_groups[held.arn] = held
        if all(str(getattr(new, key)) == str(getattr(held, key)) for key in _GROUP_SETTINGS):
            return held
        raise ELBClientError(
            "DuplicateTargetGroupName",
            f"A target group with the same name '{name}' exists, but with different settings",
        )

    return create_target_group


def checking_targets(original: Callable[..., None]) -> Callable[..., None]:
    """Wraps ``RegisterTargets``: an id is of the kind that the group takes."""

    def register(self: FakeTargetGroup, targets: list[dict[str, Any]]) -> None:
        for target in targets:
            id_ = str(target["Id"])
            if self.target_type == "instance" and not id_.startswith("i-"):
                raise ELBClientError("ValidationError", f"Instance ID '{id_}' is not valid")
            if self.target_type == "ip":
                try:
                    ipaddress.IPv4Address(id_)
                except ValueError:
                    raise ELBClientError(
                        "ValidationError", f"The IP address '{id_}' is not a valid IPv4 address"
                    ) from None
        original(self, targets)

    return register


def listener_once(original: Callable[..., FakeListener]) -> Callable[..., FakeListener]:
    """Wraps ``CreateListener``: one a port, a certificate for TLS, a group of its own."""

    def create_listener(self: ELBv2Backend, **call: Any) -> FakeListener:
        arn, port, protocol = call["load_balancer_arn"], str(call["port"]), call["protocol"]
        balancer = self.load_balancers.get(arn)
        certificate = call.get("certificate")
        if (protocol == "HTTPS") != bool(certificate):
            must = "must" if protocol == "HTTPS" else "cannot"
            raise ELBClientError(
                "ValidationError", f"A certificate {must} be specified for {protocol} listeners"
            )
        if certificate and not self._certificate_exists(certificate):
            raise ELBClientError("CertificateNotFound", f"Certificate '{certificate}' not found")
        for other in tuple(balancer.listeners.values()) if balancer is not None else ():
            if str(other.port) != port:
                continue
            wanted = [FakeAction(action).data for action in call["actions"]]
            have = [action.data for action in other.default_actions]
            if (other.protocol, other.certificate, have) == (protocol, certificate, wanted):
                return other
            raise ELBClientError(
                "DuplicateListener", "A listener already exists on this port of the balancer"
            )
        _check_association(self, arn, [FakeAction(action) for action in call["actions"]])
        return original(self, **call)

    return create_listener


def _check_association(backend: ELBv2Backend, balancer_arn: str, actions: list[FakeAction]) -> None:
    for group in {arn for action in actions for arn in groups_of(action)}:
        for other in tuple(backend.load_balancers.values()):
            held = {
                arn
                for listener in tuple(other.listeners.values())
                for action in listener.default_actions
                for arn in groups_of(action)
            }
            if other.arn != balancer_arn and group in held:
                raise ELBClientError(
                    "TargetGroupAssociationLimit",
                    f"The following target groups cannot be associated with more than one load "
                    f"balancer: {group}",
                )


def checking_actions(original: Callable[..., None]) -> Callable[..., None]:
    """Wraps the check of a listener's actions: the lab forwards to one group, and no more."""

    def validate(self: ELBv2Backend, actions: list[FakeAction]) -> None:
        original(self, actions)
        groups = [
            group
            for action in actions
            for group in action.data.get("ForwardConfig", {}).get("TargetGroups", [action.data])
        ]
        is_plain = all(action.type == "forward" for action in actions) and len(groups) == 1
        if actions and not is_plain:
            raise ELBClientError(
                "InvalidLoadBalancerAction", "The lab's listeners forward to one target group"
            )

    return validate


def no_rules(*_: Any, **__: Any) -> FakeListenerRule:
    """Stands for ``CreateRule``, which the lab does not have."""
    raise ELBClientError(
        "InvalidLoadBalancerAction", "The lab's listeners have their default rule only"
    )
