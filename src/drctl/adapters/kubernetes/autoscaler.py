"""The autoscaler of a Deployment, and what it would do to a number of replicas."""

from dataclasses import dataclass

from drctl.actions.errors import AuthRejected, NotFound
from drctl.actions.targets import Deployment
from drctl.adapters.kubernetes.client import Cluster, beside


@dataclass(frozen=True, slots=True, kw_only=True)
class Autoscaler:
    """One HorizontalPodAutoscaler."""

    name: str
    least: int
    most: int
    desired: int | None
    """What it wants by its metrics; ``None`` when it has none now."""

    def would_override(self, replicas: int) -> str:
        """Why so many replicas would not stay; empty when they would."""
        bounds = f"horizontalpodautoscaler/{self.name} keeps {self.least} to {self.most} replicas"
        remedy = "change its bounds, not the Deployment"
        if not self.least <= replicas <= self.most:
            return f"{bounds} and would override {replicas}: {remedy}"
        if self.desired is not None and self.desired != replicas:
            return f"{bounds}, wants {self.desired} now and would override {replicas}: {remedy}"
        return ""


async def autoscaler_of(cluster: Cluster, target: Deployment) -> Autoscaler | None:
    """
    The autoscaler that scales the target, if any.

    A cluster without that API, or a token that may not list it, has none that we could know of: a
    scaling in a disaster does not fail for the want of a right to read.

    Raises:
        ActionError: It could not be read.
    """
    path = beside(target, "autoscaling/v2", "horizontalpodautoscalers")
    try:
        found = await cluster.items(path)
    except (NotFound, AuthRejected) as error:
        cluster.ctx.say(f"{target.name}: whether an autoscaler scales it is not known: {error}")
        return None
    for one in found:
        spec, status = one["spec"], one.get("status") or {}
        reference = spec["scaleTargetRef"]
        if (reference["kind"], reference["name"]) != ("Deployment", target.name):
            continue
        conditions = {each["type"]: each["status"] for each in status.get("conditions") or []}
        is_active = conditions.get("ScalingActive") == "True"
        return Autoscaler(
            name=one["metadata"]["name"],
            least=spec.get("minReplicas", 1),
            most=spec["maxReplicas"],
            desired=status.get("desiredReplicas") if is_active else None,
        )
    return None
