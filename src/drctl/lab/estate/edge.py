"""What the environment file says of the way in: load balancers and the public name."""

from collections.abc import Mapping
from typing import Any

from drctl.lab.estate.aws import Balancer
from drctl.lab.estate.environment import EAST, WEST, Entries
from drctl.lab.plan import BALANCER_PORT, PUBLIC_NAME, ZONE

_CONNECTIONS = {EAST: "aws-east", WEST: "aws-west"}
_TARGETS = {EAST: "lb.primary", WEST: "lb.recovery"}


def entries(balancers: Mapping[str, Balancer], zone_id: str) -> Entries:
    """
    Targets and runbooks of the way in.

    Args:
        balancers: By region.
        zone_id: The hosted zone of the public name.
    """
    targets: dict[str, Any] = {
        _TARGETS[region]: {
            "kind": "aws.elbv2.load_balancer",
            "aws": _CONNECTIONS[region],
            "name": balancer.name,
            "emergency_name": f"{balancer.name}-emergency",
            "isolation_security_group": balancer.isolation_group,
        }
        for region, balancer in balancers.items()
    }
    targets["traffic.record"] = {
        "kind": "aws.route53.record",
        "aws": "aws-east",
        "zone_id": zone_id,
        "zone_name": ZONE,
        "record_name": PUBLIC_NAME,
        "url": f"http://{PUBLIC_NAME}:{BALANCER_PORT}",
    }
    return {"targets": targets, "runbooks": {"load-balancer-loss": "lb-rebuild"}}
