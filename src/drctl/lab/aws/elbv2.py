"""
Elastic Load Balancing's control plane, made strict over moto: health is what the balancers see.

The lab has one listener rule, the default one, that forwards to one target group; what it does not
emulate is refused rather than accepted for nothing.
"""

import ipaddress
import threading
import time
from collections.abc import Callable
from typing import Any

from moto.elbv2.exceptions import ELBClientError
from moto.elbv2.models import (
    ELBv2Backend,
    FakeAction,
    FakeHealthStatus,
    FakeListener,
    FakeListenerRule,
    FakeLoadBalancer,
    FakeTargetGroup,
)

from drctl.lab.aws.bridge import BalancerBridge, is_in_use

_Patch = tuple[type, str, Callable[..., Any]]


class Elbv2Overlay:
    """What moto does not keep: how old each load balancer is, and who knows its targets."""

    def __init__(self, *, provisioning_s: float = 0.5) -> None:
        """
        Args:
            provisioning_s: How long a new load balancer is ``provisioning``.
        """
        self._provisioning_s = provisioning_s
        self.bridge: BalancerBridge | None = None
        self._born: dict[str, float] = {}
        self._lock = threading.Lock()

    def watch(self, bridge: BalancerBridge) -> None:
        """Lets ``DescribeTargetHealth`` answer with what the bridge's balancers see."""
        self.bridge = bridge

    def is_active(self, balancer: FakeLoadBalancer) -> bool:
        """Tells whether a load balancer has been provisioned; for `BalancerBridge`."""
        with self._lock:
            born = self._born.setdefault(balancer.arn, time.monotonic())
        if time.monotonic() - born < self._provisioning_s:
            return False
        balancer.state = "active"
        return True

    def install(self) -> Callable[[], None]:
        """
        Makes moto's elbv2 strict in this process; an overlay of `AwsControlPlane`.

        Returns:
            What gives moto its own behaviour back.
        """

        def activate(balancer: FakeLoadBalancer) -> None:
            self.is_active(balancer)

        def health_for(group: FakeTargetGroup, target: dict[str, Any], _: Any) -> FakeHealthStatus:
            return _health_for(group, target, self.bridge)

        backend = ELBv2Backend
        patches: list[_Patch] = [
            (FakeLoadBalancer, "activate", activate),
            (FakeTargetGroup, "health_for", health_for),
            (FakeTargetGroup, "register", _checking_targets(FakeTargetGroup.register)),
            (backend, "create_load_balancer", _once_per_name(self, backend.create_load_balancer)),
            (backend, "create_listener", _checking_port(backend.create_listener)),
            (backend, "_validate_actions", _checking_actions(backend._validate_actions)),
            (backend, "create_rule", _no_rules),
        ]
        originals = [(owner, name, owner.__dict__[name]) for owner, name, _ in patches]
        for owner, name, value in patches:
            setattr(owner, name, value)

        def undo() -> None:
            for owner, name, original in originals:
                setattr(owner, name, original)

        return undo


def _health_for(
    group: FakeTargetGroup, target: dict[str, Any], bridge: BalancerBridge | None
) -> FakeHealthStatus:
    known = group.targets.get(target["Id"])
    port = target.get("Port") or (known or {}).get("Port") or group.port

    def status(state: str, reason: str | None, description: str | None) -> FakeHealthStatus:
        health_port = group.health_check_port
        if health_port == "traffic-port":
            health_port = str(port)
        return FakeHealthStatus(target["Id"], port, health_port, state, reason, description)

    if known is None or int(known["Port"]) != int(port):
        return status(
            "unused", "Target.NotRegistered", "Target is not registered to the target group"
        )
    if not is_in_use(group.region_name, group.arn):
        return status(
            "unused",
            "Target.NotInUse",
            "Target group is not configured to receive traffic from the load balancer",
        )
    seen = bridge.target_health(group.arn, f"{known['Id']}:{known['Port']}") if bridge else None
    if seen is None:
        return status("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
    return status(seen.state, seen.reason, seen.description)


def _checking_targets(original: Callable[..., None]) -> Callable[..., None]:
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


def _once_per_name(
    overlay: Elbv2Overlay, original: Callable[..., FakeLoadBalancer]
) -> Callable[..., FakeLoadBalancer]:
    def create_load_balancer(
        self: ELBv2Backend, name: str, *args: Any, **kwargs: Any
    ) -> FakeLoadBalancer:
        new = original(self, name, *args, **kwargs)
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
        overlay.is_active(new)
        return new

    return create_load_balancer


def _settings(balancer: FakeLoadBalancer) -> tuple[Any, ...]:
    subnets = sorted(subnet.id for subnet in balancer.subnets)
    return balancer.scheme, balancer.type, subnets, sorted(balancer.security_groups or [])


def _checking_port(original: Callable[..., FakeListener]) -> Callable[..., FakeListener]:
    def create_listener(self: ELBv2Backend, **call: Any) -> FakeListener:
        balancer = self.load_balancers.get(call["load_balancer_arn"])
        for other in tuple(balancer.listeners.values()) if balancer is not None else ():
            if str(other.port) == str(call["port"]):
                raise ELBClientError(
                    "DuplicateListener", "A listener already exists on this port of the balancer"
                )
        if call["protocol"] != "HTTP":
            raise ELBClientError("UnsupportedProtocol", "The lab's load balancers serve HTTP only")
        return original(self, **call)

    return create_listener


def _checking_actions(original: Callable[..., None]) -> Callable[..., None]:
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


def _no_rules(*_: Any, **__: Any) -> FakeListenerRule:
    raise ELBClientError(
        "InvalidLoadBalancerAction", "The lab's listeners have their default rule only"
    )
