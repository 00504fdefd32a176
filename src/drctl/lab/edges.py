"""What can happen to the way in: a load balancer is lost, the public name leads nowhere."""

from collections.abc import Mapping
from typing import Any, Final

from moto.backends import get_backend
from moto.route53.models import FakeZone

from drctl.lab.aws.bridge import BalancerBridge
from drctl.lab.aws.elbv2 import Elbv2Overlay
from drctl.lab.aws.route53 import Route53Overlay
from drctl.lab.estate.environment import PRIMARY_BALANCER
from drctl.lab.plan import ACCOUNT_ID, PUBLIC_NAME, ZONE
from drctl.lab.shapes import Stroke
from drctl.lab.zones import canonical

NOWHERE: Final = "healing-guard-lb-0.us-east-1.elb.amazonaws.com"
"""A load balancer that never was."""


class Edges:
    """Strokes on load balancers and on names; every shape has both. A `drctl.lab.shapes.Part`."""

    def __init__(
        self, elbv2: Elbv2Overlay, balancers: BalancerBridge, route53: Route53Overlay
    ) -> None:
        self._elbv2 = elbv2
        self._balancers = balancers
        self._route53 = route53
        self._record: Mapping[str, Any] | None = None
        """The primary record as it was before it was broken."""

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    def facts(self) -> Mapping[str, Any]:
        """Nothing to tell."""
        return {}

    def environment(self) -> Mapping[str, Mapping[str, Any]]:
        """Nothing besides what the estate's builder writes."""
        return {}

    def strokes(self) -> Mapping[str, Stroke]:
        """By name, as for ``drctl lab break``."""
        return {"lb": self._lose_balancer, "dns": self._lose_name}

    async def heal(self) -> None:
        """Gives back the load balancers and the record."""
        self._elbv2.restore()
        await self._balancers.settle()
        if self._record is not None:
            self._point(self._record)
            self._record = None

    async def _lose_balancer(self, words: Mapping[str, str]) -> None:
        self._elbv2.lose(words.get("name") or PRIMARY_BALANCER)
        await self._balancers.settle()

    async def _lose_name(self, _words: Mapping[str, str]) -> None:
        before = _primary(_zone())
        if self._record is None:
            self._record = before
        alias = {**before["AliasTarget"], "DNSName": NOWHERE}
        self._point({**before, "AliasTarget": alias})

    def _point(self, wanted: Mapping[str, Any]) -> None:
        zone = _zone()
        self._route53.submit(
            zone,
            [
                {"Action": "DELETE", "ResourceRecordSet": _primary(zone)},
                {"Action": "CREATE", "ResourceRecordSet": wanted},
            ],
            "somebody's mistake",
        )


def _zone() -> FakeZone:
    zones = get_backend("route53")[ACCOUNT_ID]["aws"].zones
    return next(zone for zone in zones.values() if canonical(zone.name) == canonical(ZONE))


def _primary(zone: FakeZone) -> dict[str, Any]:
    """The primary record of the public name, as a change names it."""
    for record in zone.rrsets:
        if canonical(record.name) == canonical(PUBLIC_NAME) and record.failover == "PRIMARY":
            held = {"HealthCheckId": record.health_check_id} if record.health_check_id else {}
            return {
                "Name": record.name,
                "Type": record.type,
                "SetIdentifier": record.set_identifier,
                "Failover": record.failover,
                "AliasTarget": dict(record.alias_target or {}),
                **held,
            }
    raise ValueError(f"there is no primary record of {PUBLIC_NAME}")
