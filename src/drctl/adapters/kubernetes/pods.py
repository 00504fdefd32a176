"""The pods of a Deployment that are ready, and where they are."""

from typing import Any, ClassVar

from pydantic import Field

from drctl.actions.contract import Action, Context, Effect, Observation, Outputs, Params, Repeat
from drctl.actions.errors import Unavailable
from drctl.actions.targets import Deployment
from drctl.adapters.kubernetes.client import Cluster, deployment_path


class ListParams(Params):
    """How many there must be."""

    at_least: int = Field(default=1, ge=1, le=1000)
    """Fewer ready pods than this is a failure; empty selects nothing."""


class ReadyPods(Outputs):
    """Who is ready, right now; another list after the next rollout."""

    addresses: tuple[str, ...]
    """Sorted; each pod's own, never a node's."""
    pods: tuple[str, ...]
    """Names in the order of *addresses*."""
    images: tuple[str, ...]
    """What they run, each image once: evidence of what was there."""


class ListReadyPods(Action[Deployment, ListParams, ReadyPods]):
    """Reads them from the API; nothing is parsed from a table for people."""

    name: ClassVar[str] = "kubernetes.pods.list_ready"
    summary: ClassVar[str] = "List the addresses of a Deployment's ready pods"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (Deployment,)
    params = ListParams
    outputs = ReadyPods

    def planes(self, target: Deployment) -> tuple[str, ...]:
        return (f"data-plane:{target.cluster.region}",)

    async def observe(
        self, ctx: Context, target: Deployment, params: ListParams | None
    ) -> Observation:
        ready = await _ready(ctx, target)
        return Observation(readings={"ready": len(ready)})

    async def perform(self, ctx: Context, target: Deployment, params: ListParams) -> ReadyPods:
        """
        Lists the pods that are ready, have an address and are not about to end.

        Raises:
            NotFound: No such Deployment.
            Unavailable: Fewer than *at_least* are ready.
            ActionError: They could not be read.
        """
        ready = await _ready(ctx, target)
        if len(ready) < params.at_least:
            raise Unavailable(f"{target.label}: {len(ready)} of {params.at_least} pods are ready")
        return ReadyPods(
            addresses=tuple(ready),
            pods=tuple(pod["metadata"]["name"] for pod in ready.values()),
            images=tuple(
                sorted(
                    {one["image"] for pod in ready.values() for one in pod["spec"]["containers"]}
                )
            ),
        )


async def _ready(ctx: Context, target: Deployment) -> dict[str, dict[str, Any]]:
    """Pods by address, sorted by it."""
    cluster = Cluster(ctx, target.cluster)
    deployment = await cluster.get(deployment_path(target))
    labels = deployment["spec"]["selector"].get("matchLabels") or {}
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    namespace = deployment_path(target).split("/")[5]
    pods = await cluster.items(f"/api/v1/namespaces/{namespace}/pods", selector=selector)
    for pod in pods:
        have = pod["metadata"].get("labels") or {}
        if any(have.get(key) != value for key, value in labels.items()):
            raise Unavailable(f"asked for the pods of {target.name}, and told of another's")
    ready = {pod["status"]["podIP"]: pod for pod in pods if _is_ready(pod)}
    return dict(sorted(ready.items()))


def _is_ready(pod: dict[str, Any]) -> bool:
    status = pod.get("status") or {}
    conditions = {one["type"]: one["status"] for one in status.get("conditions", [])}
    is_ending = "deletionTimestamp" in pod["metadata"]
    return bool(status.get("podIP")) and conditions.get("Ready") == "True" and not is_ending
