"""Stops what would undo a change, or write behind its back, and lets it go on afterwards."""

import json
from typing import Any, ClassVar, Generic, TypeVar

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Cleared,
    Context,
    Debt,
    Done,
    Effect,
    NoParams,
    NotDone,
    Nothing,
    Observation,
    Outputs,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError, Conflict, OutcomeUnknown, Rejected
from drctl.actions.targets import (
    ArgoApplication,
    FluxHelmRelease,
    FluxKustomization,
    KubernetesObject,
    Target,
)
from drctl.adapters.kubernetes.client import Cluster, object_path

PAUSED = "drctl.dev/paused-automated"
"""Annotation of an Application that was paused: its ``syncPolicy.automated``, as JSON."""
T = TypeVar("T", bound=KubernetesObject)


class Toggled(Outputs):
    """What came of it."""

    changed: bool
    """False when it was so already."""


class _Toggle(Action[T, NoParams, Toggled], Generic[T]):
    """One direction for one kind of object."""

    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    outputs = Toggled
    pauses: ClassVar[bool]
    group: ClassVar[str]
    plural: ClassVar[str]

    def planes(self, target: T) -> tuple[str, ...]:
        return (f"data-plane:{target.cluster.region}",)

    def _is_paused(self, raw: dict[str, Any]) -> bool:
        return bool(raw.get("spec", {}).get("suspend", False))

    def _patch(self, target: T, raw: dict[str, Any]) -> dict[str, Any]:
        return {"spec": {"suspend": self.pauses}}

    async def observe(self, ctx: Context, target: T, params: NoParams | None) -> Observation:
        raw = await Cluster(ctx, target.cluster).get(object_path(target, self.group, self.plural))
        return Observation(facts={"paused": self._is_paused(raw)})

    def preview(self, observation: Observation, target: T, params: NoParams | None) -> Preview:
        words = {True: "paused", False: "reconciling"}
        paused = observation.facts["paused"] is True
        if paused is self.pauses:
            return Nothing(why=f"{target.name} is {words[paused]}")
        return Change(before=words[paused], after=words[self.pauses])

    async def perform(self, ctx: Context, target: T, params: NoParams) -> Toggled:
        """
        Sets it on the version that was read, and reads it back. Safe to repeat.

        Raises:
            Conflict: Somebody changed it meanwhile, or something owns it that would set it back.
            Rejected: It cannot be resumed: nothing says how it was.
            OutcomeUnknown: Sent, and no answer came.

        Changes:
            The object's ``spec``, and for Argo CD one annotation.
        """
        cluster, path = Cluster(ctx, target.cluster), object_path(target, self.group, self.plural)
        raw = await cluster.get(path)
        if self._is_paused(raw) is self.pauses:
            return Toggled(changed=False)
        body = self._patch(target, raw)
        version = {"resourceVersion": raw["metadata"]["resourceVersion"]}
        body["metadata"] = body.get("metadata", {}) | version
        try:
            await cluster.patch(path, body)
        except Conflict:
            # A network that delivers twice gives the answer to the second: look what is there.
            if not await self._is_so(cluster, path):
                raise
        if not await self._is_so(cluster, path):
            raise Conflict(f"{target.label}: something else set it back")
        return Toggled(changed=True)

    async def _is_so(self, cluster: Cluster, path: str) -> bool:
        try:
            return self._is_paused(await cluster.get(path)) is self.pauses
        except ActionError as error:
            raise OutcomeUnknown(f"sent, and then not readable: {error}") from error

    async def settled(
        self, ctx: Context, target: T, params: NoParams
    ) -> Done[Toggled] | NotDone | CannotTell:
        path = object_path(target, self.group, self.plural)
        try:
            raw = await Cluster(ctx, target.cluster).get(path)
        except ActionError as error:
            return CannotTell(why=str(error))
        if self._is_paused(raw) is self.pauses:
            return Done(outputs=Toggled(changed=True))
        return NotDone(why=f"{target.label} is not {'paused' if self.pauses else 'resumed'}")

    def debts(self, target: T, params: NoParams, outputs: Toggled) -> tuple[Debt | Cleared, ...]:
        key = f"gitops-paused:{target.identities[0]}"
        if not self.pauses:
            return (Cleared(key=key),)
        if not outputs.changed:
            return ()
        what = f"{target.label} is paused: what the repository says is not applied"
        return (
            Debt(key=key, what=what, remedy="bring the change into the repository, then resume"),
        )


class _Argo(_Toggle[ArgoApplication]):
    targets: ClassVar[tuple[type[Target], ...]] = (ArgoApplication,)
    group, plural = "argoproj.io/v1alpha1", "applications"

    def _is_paused(self, raw: dict[str, Any]) -> bool:
        automated = (raw.get("spec", {}).get("syncPolicy") or {}).get("automated")
        return automated is None or automated.get("enabled") is False


class PauseApplication(_Argo):
    """Takes automated sync away, as ``argocd app set --sync-policy none`` does, and notes it."""

    name: ClassVar[str] = "argocd.application.pause"
    summary: ClassVar[str] = "Keep Argo CD from undoing live changes of an Application"
    pauses = True

    def _patch(self, target: ArgoApplication, raw: dict[str, Any]) -> dict[str, Any]:
        owners = raw["metadata"].get("ownerReferences") or []
        if any(owner.get("kind") == "ApplicationSet" for owner in owners):
            raise Conflict(f"{target.label} is made by an ApplicationSet, which would set it back")
        automated = raw["spec"]["syncPolicy"]["automated"]
        note = json.dumps(automated, sort_keys=True)
        return {
            "metadata": {"annotations": {PAUSED: note}},
            "spec": {"syncPolicy": {"automated": None}},
        }


class ResumeApplication(_Argo):
    """Gives automated sync back as it was noted."""

    name: ClassVar[str] = "argocd.application.resume"
    summary: ClassVar[str] = "Let Argo CD sync an Application again as before the pause"
    pauses = False

    def _patch(self, target: ArgoApplication, raw: dict[str, Any]) -> dict[str, Any]:
        note = (raw["metadata"].get("annotations") or {}).get(PAUSED)
        try:
            automated = json.loads(note) if note else None
        except ValueError:
            automated = None
        if not isinstance(automated, dict):
            raise Rejected(f"{target.label} was not paused by drctl: how it synced is not noted")
        return {
            "metadata": {"annotations": {PAUSED: None}},
            "spec": {"syncPolicy": {"automated": automated}},
        }


class _Kustomization(_Toggle[FluxKustomization]):
    targets: ClassVar[tuple[type[Target], ...]] = (FluxKustomization,)
    group, plural = "kustomize.toolkit.fluxcd.io/v1", "kustomizations"


class SuspendKustomization(_Kustomization):
    """As ``flux suspend kustomization``."""

    name: ClassVar[str] = "flux.kustomization.suspend"
    summary: ClassVar[str] = "Keep Flux from undoing live changes of a Kustomization"
    pauses = True


class ResumeKustomization(_Kustomization):
    """As ``flux resume kustomization``, without waiting for its reconciliation."""

    name: ClassVar[str] = "flux.kustomization.resume"
    summary: ClassVar[str] = "Let Flux apply a Kustomization again"
    pauses = False


class _HelmRelease(_Toggle[FluxHelmRelease]):
    targets: ClassVar[tuple[type[Target], ...]] = (FluxHelmRelease,)
    group, plural = "helm.toolkit.fluxcd.io/v2", "helmreleases"


class SuspendHelmRelease(_HelmRelease):
    """As ``flux suspend helmrelease``."""

    name: ClassVar[str] = "flux.helmrelease.suspend"
    summary: ClassVar[str] = "Keep Flux from undoing live changes of a HelmRelease"
    pauses = True


class ResumeHelmRelease(_HelmRelease):
    """As ``flux resume helmrelease``, without waiting for its reconciliation."""

    name: ClassVar[str] = "flux.helmrelease.resume"
    summary: ClassVar[str] = "Let Flux apply a HelmRelease again"
    pauses = False
