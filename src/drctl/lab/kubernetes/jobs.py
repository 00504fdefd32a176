"""
The Job and CronJob controllers: pods that run to their end, once or by the clock.

Times are compressed where the real ones only make people wait: a failed pod is followed after
0.2 s, doubled each time, instead of 10 s.
"""

import asyncio
import copy
from collections.abc import Callable
from datetime import UTC, datetime

from drctl.lab.kubernetes.conditions import is_true, with_condition
from drctl.lab.kubernetes.cron import Schedule
from drctl.lab.kubernetes.defaults import fill
from drctl.lab.kubernetes.errors import Object
from drctl.lab.kubernetes.kinds import CRON_JOB, JOB, POD
from drctl.lab.kubernetes.records import Recorder, random_suffix
from drctl.lab.kubernetes.replicasets import is_active, owned_by, owner_reference
from drctl.lab.kubernetes.store import Store, timestamp

_FIRST_DELAY_S = 0.2
_LONGEST_DELAY_S = 5.0


class Jobs:
    """Brings every Job to its end."""

    def __init__(self, store: Store, on_delete_pod: Callable[[Object], None]) -> None:
        self._store = store
        self._delete_pod = on_delete_pod
        self._recorder = Recorder(store, "job-controller")
        self._began: dict[str, float] = {}
        self._ended: dict[str, float] = {}
        self._not_before: dict[str, tuple[int, float]] = {}

    def sync(self) -> None:
        """Does one round over all Jobs."""
        for job in self._store.all_of(JOB):
            if job["metadata"].get("deletionTimestamp"):
                continue
            if is_true(job, "Complete") or is_true(job, "Failed"):
                self._expire(job)
            else:
                self._sync(job)

    def _sync(self, job: Object) -> None:
        uid, spec = job["metadata"]["uid"], job["spec"]
        pods = owned_by(self._store, POD, job)
        active = [pod for pod in pods if is_active(pod)]
        succeeded = sum(pod.get("status", {}).get("phase") == "Succeeded" for pod in pods)
        failed = sum(_has_failed(pod) for pod in pods)
        restarts = sum(_restarts(pod) for pod in active)
        if spec["suspend"]:
            self._begin_anew(job, active)
            return
        began = self._began.setdefault(uid, _now())
        deadline_s = spec.get("activeDeadlineSeconds")
        reason = message = ""
        if deadline_s is not None and _now() - began >= deadline_s:
            reason, message = "DeadlineExceeded", "Job was active longer than specified deadline"
        elif failed > spec["backoffLimit"] or restarts > spec["backoffLimit"]:
            reason, message = (
                "BackoffLimitExceeded",
                "Job has reached the specified backoff limit",
            )
        if reason:
            for pod in active:
                self._delete_pod(pod)
            self._report(job, 0, succeeded, failed, ended=("Failed", reason, message))
        elif succeeded >= spec["completions"]:
            message = "Reached expected number of succeeded pods"
            ended = ("Complete", "CompletionsReached", message)
            self._report(job, len(active), succeeded, failed, ended=ended)
        else:
            wanted = min(spec["parallelism"], spec["completions"] - succeeded)
            if len(active) < wanted and self._may_start(uid, failed):
                self._create(job)
                active.append({})
            self._report(job, len(active), succeeded, failed)

    def _may_start(self, uid: str, failed: int) -> bool:
        known, moment = self._not_before.get(uid, (0, 0.0))
        if failed > known:
            delay_s = min(_FIRST_DELAY_S * 2 ** (failed - 1), _LONGEST_DELAY_S)
            moment = _now() + delay_s
            self._not_before[uid] = (failed, moment)
        return _now() >= moment

    def _begin_anew(self, job: Object, active: list[Object]) -> None:
        self._began.pop(job["metadata"]["uid"], None)
        for pod in active:
            self._delete_pod(pod)

    def _create(self, job: Object) -> None:
        metadata, template = job["metadata"], copy.deepcopy(job["spec"]["template"])
        meta = template.get("metadata", {})
        pod: Object = {
            "metadata": {
                "name": f"{metadata['name'][:57]}-{random_suffix()}",
                "namespace": metadata["namespace"],
                "labels": meta.get("labels", {}),
                "annotations": meta.get("annotations", {}),
                "ownerReferences": [owner_reference(JOB, job)],
            },
            "spec": template["spec"],
            "status": {"phase": "Pending"},
        }
        fill(POD, pod)
        made = self._store.create(POD, pod)
        name = made["metadata"]["name"]
        self._recorder.normal(JOB, job, "SuccessfulCreate", f"Created pod: {name}")

    def _report(
        self,
        job: Object,
        active: int,
        succeeded: int,
        failed: int,
        *,
        ended: tuple[str, str, str] | None = None,
    ) -> None:
        before = job.get("status", {})
        status: Object = {**before, "startTime": before.get("startTime") or timestamp()}
        counts = {"active": active, "succeeded": succeeded, "failed": failed}
        for name, number in counts.items():
            status.pop(name, None)
            if number:
                status[name] = number
        if ended is not None:
            word, reason, message = ended
            conditions = before.get("conditions", [])
            status["conditions"] = with_condition(
                conditions, word, holds=True, reason=reason, message=message
            )
            self._ended[job["metadata"]["uid"]] = _now()
            if word == "Complete":
                status["completionTime"] = timestamp()
                self._recorder.normal(JOB, job, "Completed", "Job completed")
            else:
                self._recorder.warning(JOB, job, reason, message)
        self._store.replace(JOB, {**job, "status": status})

    def _expire(self, job: Object) -> None:
        ttl_s = job["spec"].get("ttlSecondsAfterFinished")
        metadata = job["metadata"]
        ended = self._ended.setdefault(metadata["uid"], _now())
        if ttl_s is not None and _now() - ended >= ttl_s:
            self._store.delete(JOB, metadata["namespace"], metadata["name"])


class CronJobs:
    """Makes a Job in each minute of a schedule, unless suspended."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._told: dict[str, datetime] = {}

    def sync(self) -> None:
        """Does one round over all CronJobs."""
        minute = datetime.now(UTC).replace(second=0, microsecond=0)
        for cron in self._store.all_of(CRON_JOB):
            metadata, spec = cron["metadata"], cron["spec"]
            # The minute in which it is first seen is over before it would count.
            last = self._told.setdefault(metadata["uid"], minute)
            if spec["suspend"] or last >= minute:
                continue
            self._told[metadata["uid"]] = minute
            if Schedule.parse(spec["schedule"]).is_due(minute):
                self._start(cron, minute)

    def _start(self, cron: Object, minute: datetime) -> None:
        running = [
            job for job in owned_by(self._store, JOB, cron) if job.get("status", {}).get("active")
        ]
        if running and cron["spec"]["concurrencyPolicy"] == "Forbid":
            return
        metadata = cron["metadata"]
        template = copy.deepcopy(cron["spec"]["jobTemplate"])
        job: Object = {
            "metadata": {
                **template.get("metadata", {}),
                "name": f"{metadata['name']}-{int(minute.timestamp()) // 60}",
                "namespace": metadata["namespace"],
                "ownerReferences": [owner_reference(CRON_JOB, cron)],
            },
            "spec": template["spec"],
            "status": {},
        }
        fill(JOB, job)
        self._store.create(JOB, job)
        status = {**cron.get("status", {}), "lastScheduleTime": timestamp()}
        self._store.replace(CRON_JOB, {**cron, "status": status})


def _has_failed(pod: Object) -> bool:
    return bool(pod.get("status", {}).get("phase") == "Failed")


def _restarts(pod: Object) -> int:
    return sum(one["restartCount"] for one in pod.get("status", {}).get("containerStatuses", []))


def _now() -> float:
    return asyncio.get_running_loop().time()
