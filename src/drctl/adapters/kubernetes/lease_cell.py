"""
A document in an annotation of a Lease, replaced under its ``resourceVersion``.

The Lease is used for what its kind is for and for the right that goes with it (RBAC on ``leases``),
not for its own fields: those say when a holder renewed by *its* wall clock, which nobody here
trusts. A cluster is of one region: choose one that the runbook does not leave.
"""

from typing import Any
from urllib.parse import quote

from drctl.actions.cell import Cell, Reading, Store
from drctl.actions.contract import Context
from drctl.actions.errors import Conflict, NotFound, OutcomeUnknown
from drctl.actions.targets import KubernetesConnection, Part, Text
from drctl.adapters.kubernetes.client import Cluster

ANNOTATION = "drctl/leases"


class LeaseSettings(Part):
    """Which Lease; its namespace must exist."""

    cluster: KubernetesConnection
    namespace: Text
    name: Text = "drctl"


class LeaseCell(Cell):
    """One Lease."""

    def __init__(self, settings: LeaseSettings) -> None:
        self._at = settings
        self._cluster: Cluster | None = None
        namespace = quote(settings.namespace, safe="")
        self._all = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._one = f"{self._all}/{quote(settings.name, safe='')}"

    @property
    def label(self) -> str:
        return f"lease/{self._at.name} in {self._at.namespace} ({self._at.cluster.region})"

    @property
    def places(self) -> tuple[str, ...]:
        return (self._at.cluster.region,)

    def _within(self, ctx: Context) -> Cluster:
        if self._cluster is None:
            self._cluster = Cluster(ctx, self._at.cluster)
        return self._cluster.within(ctx)

    async def read(self, ctx: Context) -> Reading:
        try:
            found = await self._within(ctx).once(self._one)
        except NotFound:
            return Reading(data=None, version=None)
        text = (found["metadata"].get("annotations") or {}).get(ANNOTATION)
        # A Lease of that name without our annotation is as good as none, but has a version.
        data = text.encode() if isinstance(text, str) else None
        return Reading(data=data, version=_version(found))

    async def write(self, ctx: Context, data: bytes, expected: str | None) -> str:
        metadata: dict[str, Any] = {"annotations": {ANNOTATION: data.decode()}}
        cluster = self._within(ctx)
        if expected is None:
            metadata |= {"name": self._at.name, "namespace": self._at.namespace}
            body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata}
            return _version(await cluster.post(self._all, body))
        # A patch that names a version is refused with 409 when the object has another one.
        metadata["resourceVersion"] = expected
        try:
            return _version(await cluster.patch(self._one, {"metadata": metadata}))
        except NotFound as error:
            raise Conflict(f"{self.label}: the object is gone") from error


def _version(found: dict[str, Any]) -> str:
    version = found.get("metadata", {}).get("resourceVersion")
    if not isinstance(version, str):
        raise OutcomeUnknown("the answer names no resourceVersion")
    return version


class LeaseStore(Store[LeaseSettings]):
    """``lease: {store: kubernetes, cluster: CONNECTION, namespace: NAME, name: NAME}``."""

    name = "kubernetes"
    settings = LeaseSettings

    def open(self, settings: LeaseSettings) -> Cell:
        return LeaseCell(settings)
