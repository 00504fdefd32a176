"""
Elastic Load Balancing's control plane, made strict over moto: health is what the balancers see.

The lab has one listener rule, the default one, that forwards to one target group; what it does not
emulate is refused rather than accepted for nothing (`elbv2_rules`).
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from moto.elbv2.models import ELBv2Backend, FakeHealthStatus, FakeLoadBalancer, FakeTargetGroup

from drctl.lab.aws import elbv2_rules as rules
from drctl.lab.aws.bridge import BalancerBridge, backend, is_in_use
from drctl.lab.plan import REGIONS

_Patch = tuple[type, str, Any]
LOST = "The load balancer could not be recovered after the loss of its nodes"


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
        self._lost: set[str] = set()
        self._lock = threading.Lock()

    def watch(self, bridge: BalancerBridge) -> None:
        """Lets ``DescribeTargetHealth`` answer with what the bridge's balancers see."""
        self.bridge = bridge

    def is_active(self, balancer: FakeLoadBalancer) -> bool:
        """Tells whether a load balancer has been provisioned; for `BalancerBridge`."""
        with self._lock:
            born = self._born.setdefault(balancer.arn, time.monotonic())
            if balancer.arn in self._lost:
                balancer.state = "failed"
                return False
        if time.monotonic() - born < self._provisioning_s:
            return False
        balancer.state = "active"
        return True

    def lose(self, name: str) -> None:
        """
        Loses every load balancer of a name for good: it is described as ``failed``, and its
        processes are ended at the bridge's next look.

        Raises:
            ValueError: There is none of that name.
        """
        found = [
            balancer
            for region in REGIONS
            for balancer in tuple(backend(region).load_balancers.values())
            if balancer.name == name
        ]
        if not found:
            raise ValueError(f"the lab has no load balancer {name!r}")
        with self._lock:
            self._lost.update(balancer.arn for balancer in found)

    def restore(self) -> None:
        """Undoes `lose`."""
        with self._lock:
            self._lost.clear()

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

        def state(balancer: FakeLoadBalancer) -> dict[str, str]:
            self.is_active(balancer)
            return {"Code": balancer.state} | (
                {"Reason": LOST} if balancer.state == "failed" else {}
            )

        api = ELBv2Backend
        patches: list[_Patch] = [
            (FakeLoadBalancer, "activate", activate),
            (FakeLoadBalancer, "load_balancer_state", property(state)),
            (FakeTargetGroup, "health_for", health_for),
            (FakeTargetGroup, "register", rules.checking_targets(FakeTargetGroup.register)),
            (api, "create_load_balancer", rules.balancer_once(api.create_load_balancer)),
            (api, "delete_load_balancer", rules.unprotected(api.delete_load_balancer)),
            (api, "create_target_group", rules.group_once(api.create_target_group)),
            (api, "create_listener", rules.listener_once(api.create_listener)),
            (api, "_validate_actions", rules.checking_actions(api._validate_actions)),
            (api, "create_rule", rules.no_rules),
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
