"""
The HorizontalPodAutoscaler controller: what it does to a number of replicas that somebody set.

Like the real one it leaves a target with zero replicas alone, pulls a number that is outside of its
bounds back to the nearer one, and within them sets what the metrics say. There are no metrics here:
the annotation `WISH` of the autoscaler says what they would say; without it they say nothing.
"""

import asyncio
import copy

from drctl.lab.kubernetes import ownership
from drctl.lab.kubernetes.conditions import with_condition
from drctl.lab.kubernetes.errors import Object
from drctl.lab.kubernetes.kinds import AUTOSCALER, DEPLOYMENT
from drctl.lab.kubernetes.records import Recorder
from drctl.lab.kubernetes.store import Store, timestamp

WISH = "lab.drctl.dev/metrics-say"
_EVERY_S = 0.5  # 15 s in a real cluster


class Autoscalers:
    """Overrides replicas."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._recorder = Recorder(store, "horizontal-pod-autoscaler")
        self._next = 0.0

    def sync(self) -> None:
        """Does one round over all autoscalers, when one is due."""
        now = asyncio.get_running_loop().time()
        if now < self._next:
            return
        self._next = now + _EVERY_S
        for autoscaler in self._store.all_of(AUTOSCALER):
            self._sync(autoscaler)

    def _sync(self, autoscaler: Object) -> None:
        spec, namespace = autoscaler["spec"], autoscaler["metadata"]["namespace"]
        reference = spec["scaleTargetRef"]
        found = None
        if reference["kind"] == DEPLOYMENT.kind:
            found = self._store.find(DEPLOYMENT, namespace, reference["name"])
        if found is None:
            self._report(autoscaler, 0, 0, active=False, reason="FailedGetScale")
            return
        current = found["spec"]["replicas"]
        if current == 0:
            self._report(autoscaler, 0, 0, active=False, reason="ScalingDisabled")
            return
        wish = autoscaler["metadata"].get("annotations", {}).get(WISH, "")
        asked = int(wish) if wish.isdigit() else current
        desired = min(max(asked, spec["minReplicas"]), spec["maxReplicas"])
        if desired != current:
            changed = copy.deepcopy(found)
            changed["spec"]["replicas"] = desired
            ownership.note_update(changed, found, "kube-controller-manager", "apps/v1")
            self._store.replace(DEPLOYMENT, changed)
            text = f"New size: {desired}; reason: All metrics below target"
            self._recorder.normal(AUTOSCALER, autoscaler, "SuccessfulRescale", text)
        reason = "ValidMetricFound" if wish else "FailedGetResourceMetric"
        self._report(autoscaler, current, desired, active=bool(wish), reason=reason)

    def _report(
        self, autoscaler: Object, current: int, desired: int, *, active: bool, reason: str
    ) -> None:
        before = autoscaler.get("status", {})
        conditions = with_condition(
            before.get("conditions", []), "ScalingActive", holds=active, reason=reason
        )
        status: Object = {
            **before,
            "currentReplicas": current,
            "desiredReplicas": desired,
            "conditions": conditions,
        }
        if current != desired:
            status["lastScaleTime"] = timestamp()
        self._store.replace(AUTOSCALER, {**autoscaler, "status": status})
