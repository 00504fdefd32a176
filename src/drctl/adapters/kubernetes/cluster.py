"""Which cluster an API server is."""

from typing import ClassVar

from drctl.actions.contract import (
    Action,
    Context,
    Effect,
    NoParams,
    Observation,
    Outputs,
    Repeat,
)
from drctl.actions.errors import Conflict
from drctl.actions.pin import Identity, Pin
from drctl.actions.planes import Ask, data
from drctl.actions.targets import Deployment, KubernetesConnection, KubernetesObject, Target
from drctl.adapters.kubernetes.client import Cluster


async def uid_of(ctx: Context, connection: KubernetesConnection) -> str:
    """The UID of kube-system: made with the cluster, and never again."""
    answer = await Cluster(ctx, connection).get("/api/v1/namespaces/kube-system")
    uid: str = answer["metadata"]["uid"]
    return uid


class ClusterIdentity(Outputs):
    """Who answered."""

    uid: str
    version: str


class CheckCluster(Action[Deployment, NoParams, ClusterIdentity]):
    """Fails when the API server does not answer, or not to this token."""

    name: ClassVar[str] = "kubernetes.cluster.check"
    summary: ClassVar[str] = "Ask a Kubernetes API server which cluster it is"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    is_prerequisite: ClassVar[bool] = True
    targets = (Deployment,)
    outputs = ClusterIdentity

    def planes(self, target: Deployment) -> tuple[str, ...]:
        return (f"data-plane:{target.cluster.region}",)

    async def observe(
        self, ctx: Context, target: Deployment, params: NoParams | None
    ) -> Observation:
        seen = await self.perform(ctx, target, params or NoParams())
        return Observation(facts={"uid": seen.uid}, readings={"version": seen.version})

    async def perform(self, ctx: Context, target: Deployment, params: NoParams) -> ClusterIdentity:
        """
        Asks.

        Raises:
            Conflict: It is another cluster than the environment pins.
            ActionError: It did not say.
        """
        version = await Cluster(ctx, target.cluster).get("/version")
        uid, pinned = await uid_of(ctx, target.cluster), target.cluster.cluster_uid
        if uid != pinned:
            raise Conflict(
                f"{target.cluster.server} is cluster {uid}, the environment pins {pinned}"
            )
        return ClusterIdentity(uid=uid, version=version.get("gitVersion", ""))


class ClusterPin(Pin):
    """The API server is the cluster that the environment means."""

    name: ClassVar[str] = "kubernetes.cluster_uid"

    def identity(self, target: Target) -> Identity | None:
        if not isinstance(target, Deployment | KubernetesObject):
            return None
        return Identity(
            name=self.name,
            subject=target.cluster.server,
            expected=target.cluster.cluster_uid,
        )

    def asks(self, target: Target) -> tuple[Ask, ...]:
        if not isinstance(target, Deployment | KubernetesObject):
            return ()
        return (data(target.cluster.region, "the cluster's API server"),)

    async def read(self, ctx: Context, target: Target) -> str:
        if not isinstance(target, Deployment | KubernetesObject):
            raise TypeError(f"{type(target).__name__} is in no cluster")
        return await uid_of(ctx, target.cluster)
