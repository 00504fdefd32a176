"""Runs a Job beside a Deployment: a check from outside the pods that it is about."""

import hashlib
from typing import Any, ClassVar

from pydantic import Field

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Context,
    Done,
    Effect,
    NotDone,
    Observation,
    Outputs,
    Params,
    Preview,
    Repeat,
)
from drctl.actions.errors import (
    ActionError,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from drctl.actions.targets import Deployment, Text
from drctl.adapters.kubernetes.client import Cluster, beside
from drctl.adapters.kubernetes.rollout import FIRST_POLL_S, LAST_POLL_S, LAST_WORD_S
from drctl.kernel.text import sanitize

KEY = "drctl.dev/job-key"
"""Annotation of a Job: the key of the effect that made it."""
_BATCH, _JOBS = "batch/v1", "jobs"
_KEPT_S = 3600
_LOG_LINES, _LOG_LENGTH = 20, 2000
_NAME_LENGTH = 50


class JobParams(Params):
    """What to run."""

    name: Text = Field(max_length=_NAME_LENGTH, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    """How its name begins; the rest names this effect."""
    image: Text
    command: tuple[Text, ...] = Field(min_length=1)
    """Program and arguments; no shell takes them apart."""
    env: dict[Text, str] = Field(default_factory=dict)
    """Plain variables that are *not* secret: they are shown and journaled."""
    env_secret: Text | None = None
    """A Secret of the namespace whose keys become variables."""
    service_account: Text | None = None
    attempts: int = Field(default=1, ge=1, le=10)
    """How many of its pods may fail before it has failed, less one."""


class JobRan(Outputs):
    """A Job that succeeded."""

    job: str
    pods_failed: int
    log: str
    """The last lines of its last pod, at most 2,000 characters."""


class RunJob(Action[Deployment, JobParams, JobRan]):
    """Runs it to its end. A Job that fails is a step that failed."""

    name: ClassVar[str] = "kubernetes.job.run"
    summary: ClassVar[str] = "Run a Job beside a Deployment to its end; its failure is a failure"
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.KEYED
    targets = (Deployment,)
    params = JobParams
    outputs = JobRan
    may_be_empty: ClassVar[frozenset[str]] = frozenset({"env"})

    def planes(self, target: Deployment) -> tuple[str, ...]:
        return (f"data-plane:{target.cluster.region}",)

    def preview(
        self, observation: Observation, target: Deployment, params: JobParams | None
    ) -> Preview:
        if params is None:
            return CannotTell(why="what is run is known during the run")
        what = f"job {params.name}: {' '.join(params.command)} in {params.image}"
        return Change(before="no such Job", after=what, creates=True)

    async def perform(self, ctx: Context, target: Deployment, params: JobParams) -> JobRan:
        """
        Makes the Job, waits for its end, and reads its log.

        Safe to repeat: the Job of the same key is waited for, not made again. It ends by itself
        when the step's time is over, and is removed an hour after its end.

        Raises:
            Rejected: It failed, or had not ended when the time was over; the message has the last
                lines of its log.
            Conflict: There is a Job of that name that another effect made.
            OutcomeUnknown: Sent, and not seen to end.

        Changes:
            One Job and its pods; and what its program does.
        """
        cluster = Cluster(ctx, target.cluster)
        name = _named(params, ctx.key)
        body = _manifest(target, params, name, ctx.key, int(ctx.deadline.left_s(ctx.clock)) or 1)
        path = beside(target, _BATCH, _JOBS, name)
        try:
            made = await cluster.get(path)
        except NotFound:
            try:
                made = await cluster.post(beside(target, _BATCH, _JOBS), body)
            except Conflict:
                made = await self._found(cluster, path)
        if _key(made) != ctx.key:
            raise Conflict(f"job/{name} in {target.namespace} was made by something else")
        return await self._wait(ctx, cluster, target, name)

    @staticmethod
    async def _found(cluster: Cluster, path: str) -> dict[str, Any]:
        try:
            return await cluster.get(path)
        except ActionError as error:
            raise OutcomeUnknown(
                f"there is one already, and it is not readable: {error}"
            ) from error

    async def _wait(self, ctx: Context, cluster: Cluster, target: Deployment, name: str) -> JobRan:
        path, pause_s, said = beside(target, _BATCH, _JOBS, name), FIRST_POLL_S, "it was not read"
        word: type[ActionError] = OutcomeUnknown
        while True:
            try:
                status = (await cluster.once(path)).get("status") or {}
            except (Throttled, Unavailable) as error:
                said, word = str(error), OutcomeUnknown
            except NotFound as error:
                raise Rejected(f"job/{name} is gone: {error}") from error
            except ActionError as error:
                raise OutcomeUnknown(f"made, and then not readable: {error}") from error
            else:
                ended = _ended(status)
                if ended == "Complete":
                    return await _ran(cluster, target, name, status)
                if ended:
                    log = await _log(cluster, target, name)
                    raise Rejected(f"job/{name} failed ({ended}); its log ends: {log}")
                said, word = f"{status.get('active', 0)} pod(s) of it run", Rejected
                ctx.say(f"job/{name}: {said}")
            if ctx.deadline.left_s(ctx.clock) < pause_s + LAST_WORD_S:
                raise word(f"job/{name} had not ended when the time was over: {said}")
            await ctx.clock.sleep(pause_s)
            pause_s = min(LAST_POLL_S, pause_s * 1.5)

    async def settled(
        self, ctx: Context, target: Deployment, params: JobParams
    ) -> Done[JobRan] | NotDone | CannotTell:
        cluster, name = Cluster(ctx, target.cluster), _named(params, ctx.key)
        try:
            found = await cluster.get(beside(target, _BATCH, _JOBS, name))
            if _key(found) != ctx.key:
                return NotDone(why=f"job/{name} was made by something else")
            ended = _ended(found.get("status") or {})
            if ended == "Complete":
                return Done(outputs=await _ran(cluster, target, name, found["status"]))
        except NotFound:
            return NotDone(why=f"there is no job/{name}")
        except ActionError as error:
            return CannotTell(why=str(error))
        if ended:
            # It ran, and failed: to run it again is a decision, not a repetition.
            return CannotTell(why=f"job/{name} failed ({ended})")
        return CannotTell(why=f"job/{name} runs")


def _named(params: JobParams, key: str) -> str:
    return f"{params.name}-{hashlib.sha256(key.encode()).hexdigest()[:10]}"


def _manifest(
    target: Deployment, params: JobParams, name: str, key: str, deadline_s: int
) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": "job",
        "image": params.image,
        "command": list(params.command),
        "env": [{"name": name, "value": value} for name, value in sorted(params.env.items())],
    }
    if params.env_secret is not None:
        container["envFrom"] = [{"secretRef": {"name": params.env_secret}}]
    pod: dict[str, Any] = {"restartPolicy": "Never", "containers": [container]}
    if params.service_account is not None:
        pod["serviceAccountName"] = params.service_account
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": target.namespace,
            "labels": {"app.kubernetes.io/managed-by": "drctl"},
            "annotations": {KEY: key},
        },
        "spec": {
            "backoffLimit": params.attempts - 1,
            "activeDeadlineSeconds": deadline_s,
            "ttlSecondsAfterFinished": _KEPT_S,
            "template": {
                "metadata": {"labels": {"app.kubernetes.io/managed-by": "drctl"}},
                "spec": pod,
            },
        },
    }


def _key(job: dict[str, Any]) -> str:
    return str((job["metadata"].get("annotations") or {}).get(KEY, ""))


def _ended(status: dict[str, Any]) -> str:
    """``Complete``, or why it failed; empty while it runs."""
    for one in status.get("conditions") or []:
        if one.get("status") == "True" and one.get("type") in {"Complete", "Failed"}:
            return "Complete" if one["type"] == "Complete" else one.get("reason") or "Failed"
    return ""


async def _ran(cluster: Cluster, target: Deployment, name: str, status: dict[str, Any]) -> JobRan:
    log = await _log(cluster, target, name)
    return JobRan(job=name, pods_failed=status.get("failed", 0), log=log)


async def _log(cluster: Cluster, target: Deployment, name: str) -> str:
    """The end of the last pod's log; that it cannot be read is said, and is no error."""
    selector = f"batch.kubernetes.io/job-name={name}"
    try:
        pods = await cluster.items(beside(target, "v1", "pods"), selector=selector)
        if not pods:
            return "(no pod is left)"
        last = max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))
        path = beside(target, "v1", "pods", last["metadata"]["name"])
        text = await cluster.text(f"{path}/log?tailLines={_LOG_LINES}")
    except ActionError as error:
        return f"(its log is not readable: {error})"[:_LOG_LENGTH]
    return sanitize(text.strip()[-_LOG_LENGTH:], keep_lines=True)
