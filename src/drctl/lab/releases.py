"""
The application's releases: what a pipeline has put into the cluster, the last of them broken.

``drctl lab break app`` tells the story that a rollback is for. Version 1.1.0 is released, works and
is marked good. 1.2.0 dies as it starts, so its rollout never ends and the old pods go on serving.
1.2.1, the hasty repair, starts, passes its readiness probe and so replaces them all; then it fails
every write. The version before the last is as bad as the last.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from drctl.lab.estate.environment import APPLICATION, EAST, cluster_token
from drctl.lab.image_registry import ImageRegistry
from drctl.lab.kubernetes.caller import Caller
from drctl.lab.plan import REGIONS, as_region
from drctl.lab.shapes import Site, Stroke

IMAGE: Final = f"registry.example/{APPLICATION}"
FIRST, GOOD, DEAD, ILL = "1.0.0", "1.1.0", "1.2.0", "1.2.1"
KNOWN_GOOD: Final = "drctl.dev/known-good"
"""As the pipeline writes it for drctl: on the ReplicaSet, with the ReplicaSet's own UID."""
_REVISION: Final = "deployment.kubernetes.io/revision"
_ROOT: Final = f"/apis/apps/v1/namespaces/{APPLICATION}"
_DEPLOYMENT: Final = f"{_ROOT}/deployments/{APPLICATION}"
_PATIENCE_S: Final = 20.0
_POLL_S: Final = 0.05


class Releases:
    """The pipeline, and the registry that it pushes to."""

    def __init__(self, site: Site) -> None:
        self._address = site.plan.registry
        self._registry = ImageRegistry({APPLICATION: (FIRST, GOOD, DEAD, ILL)})
        self._callers = {
            str(region): Caller(
                server=site.plan.kubernetes_url(region),
                ca_file=str(site.root.path / "kubernetes" / region / "ca.crt"),
                token=site.secrets.read(cluster_token(region)),
            )
            for region in REGIONS
        }
        self._struck: set[str] = set()

    async def start(self) -> None:
        """Opens the registry."""
        await self._registry.start(*self._address)

    async def stop(self) -> None:
        """Closes it."""
        await self._registry.stop()

    def has(self, image: str) -> bool:
        """Whether a node could pull an image from here; those of others are not this registry's."""
        return not image.startswith(f"{IMAGE}:") or self._registry.has(
            APPLICATION, image.removeprefix(f"{IMAGE}:")
        )

    def facts(self) -> Mapping[str, Any]:
        """Nothing that a builder needs."""
        return {}

    def environment(self) -> Mapping[str, Mapping[str, Any]]:
        """Nothing: the application is in every lab's."""
        return {}

    def strokes(self) -> Mapping[str, Stroke]:
        """``app``."""
        return {"app": self._break}

    async def _break(self, words: Mapping[str, str]) -> None:
        region = as_region(words.get("name") or EAST)
        caller = self._callers[region]
        await self._mark(caller)
        await self._release(caller, GOOD, waits=True)
        await self._mark(caller)
        await self._release(caller, DEAD, waits=False)
        await self._release(caller, ILL, waits=True)
        self._struck.add(region)

    async def heal(self) -> None:
        """Releases the last good version again."""
        for region in tuple(self._struck):
            await self._release(self._callers[region], GOOD, waits=True)
            self._struck.discard(region)

    async def _release(self, caller: Caller, version: str, *, waits: bool) -> None:
        container = {
            "name": APPLICATION,
            "image": f"{IMAGE}:{version}",
            "env": [{"name": "VERSION", "value": version}],
        }
        body = {"spec": {"template": {"spec": {"containers": [container]}}}}
        made = await caller.call("STRATEGIC", _DEPLOYMENT, body)
        generation = made["metadata"]["generation"]
        async with asyncio.timeout(_PATIENCE_S):
            while not _is_done(await caller.call("GET", _DEPLOYMENT), generation, waits=waits):  # noqa: ASYNC110 (a poll)
                await asyncio.sleep(_POLL_S)

    async def _mark(self, caller: Caller) -> None:
        deployment = await caller.call("GET", _DEPLOYMENT)
        number = deployment["metadata"]["annotations"][_REVISION]
        now = datetime.now(UTC).isoformat(timespec="seconds")
        for one in (await caller.call("GET", f"{_ROOT}/replicasets"))["items"]:
            meta = one["metadata"]
            if meta.get("annotations", {}).get(_REVISION) == number:
                notes = {KNOWN_GOOD: meta["uid"], f"{KNOWN_GOOD}-since": now}
                path = f"{_ROOT}/replicasets/{meta['name']}"
                await caller.call("PATCH", path, {"metadata": {"annotations": notes}})


def _is_done(deployment: Mapping[str, Any], generation: int, *, waits: bool) -> bool:
    status = deployment.get("status", {})
    if status.get("observedGeneration", 0) < generation:
        return False
    wanted = deployment["spec"]["replicas"]
    counts = {status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")}
    return not waits or counts == {wanted}
