"""The routing controls of the estate, as a part of its supervisor. Nothing in DNS follows them."""

from collections.abc import Mapping
from typing import Any

from drctl.lab.access import ACCESS_KEY_ID
from drctl.lab.arc import REGIONS, RoutingCluster, control_arn
from drctl.lab.shapes import Site, Stroke


class RoutingControls:
    """A cluster with a control for each region: customers go east."""

    def __init__(self, site: Site) -> None:
        self._cluster = RoutingCluster(site.plan, frozenset({ACCESS_KEY_ID}))
        self._cluster.states = {control_arn("east"): "On", control_arn("west"): "Off"}

    async def start(self) -> None:
        """
        Listens at five addresses.

        Raises:
            OSError: One is taken.
        """
        await self._cluster.start()

    async def stop(self) -> None:
        """Ends all of them."""
        await self._cluster.stop()

    def facts(self) -> Mapping[str, Any]:
        """Nobody needs any."""
        return {}

    def environment(self) -> Mapping[str, Mapping[str, Any]]:
        """The controls, as runbooks name them."""
        controls = {
            "kind": "aws.arc.routing_controls",
            "aws": "aws-west",
            "cluster_endpoints": self._cluster.endpoints,
            "controls": {name: control_arn(name) for name in ("east", "west")},
        }
        return {"targets": {"traffic.controls": controls}}

    def strokes(self) -> Mapping[str, Stroke]:
        """``arc``: an endpoint, by its region; else the one in the primary's region."""
        return {"arc": self._break}

    async def heal(self) -> None:
        """
        Lets all listen again.

        Raises:
            OSError: An address is taken.
        """
        await self._cluster.start()

    async def _break(self, words: Mapping[str, str]) -> None:
        region = words.get("name") or REGIONS[0]
        if region not in REGIONS:
            raise ValueError(f"there is no endpoint in {region!r}, only in {', '.join(REGIONS)}")
        await self._cluster.close(region)
