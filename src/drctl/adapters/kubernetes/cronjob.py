"""Suspends CronJobs beside a Deployment: they write as much as its pods do."""

from typing import Any, ClassVar

from pydantic import Field

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Cleared,
    Context,
    Debt,
    Done,
    Effect,
    NotDone,
    Nothing,
    Observation,
    Outputs,
    Params,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError, OutcomeUnknown, Rejected
from drctl.actions.targets import Deployment, Text
from drctl.adapters.kubernetes.client import Cluster, beside
from drctl.adapters.kubernetes.rollout import LAST_WORD_S, STABLE_POLL_S

_BATCH, _CRON = "batch/v1", "cronjobs"


class SuspendParams(Params):
    """Which one."""

    name: Text = Field()
    """Of the CronJob, in the target's namespace."""


class Suspended(Outputs):
    """What came of it."""

    name: str
    changed: bool
    """False when it was so already: then an undo must not turn it round."""


class _CronJob(Action[Deployment, SuspendParams, Suspended]):
    """What both directions share."""

    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    looks_blind: ClassVar[bool] = False
    targets = (Deployment,)
    params = SuspendParams
    outputs = Suspended
    suspends: ClassVar[bool]

    def planes(self, target: Deployment) -> tuple[str, ...]:
        return (f"data-plane:{target.cluster.region}",)

    async def observe(
        self, ctx: Context, target: Deployment, params: SuspendParams | None
    ) -> Observation:
        if params is None:
            return Observation()
        path = beside(target, _BATCH, _CRON, params.name)
        raw = await Cluster(ctx, target.cluster).get(path)
        return Observation(facts={"suspended": _is_suspended(raw)})

    def preview(
        self, observation: Observation, target: Deployment, params: SuspendParams | None
    ) -> Preview:
        if params is None:
            return CannotTell(why="which CronJob is known during the run")
        words = {True: "suspended", False: "scheduled"}
        now = observation.facts["suspended"] is True
        if now is self.suspends:
            return Nothing(why=f"cronjob/{params.name} is {words[now]}")
        return Change(before=words[now], after=words[self.suspends])

    async def perform(self, ctx: Context, target: Deployment, params: SuspendParams) -> Suspended:
        """
        Sets it; after a suspension waits until no Job of it runs any more. Safe to repeat.

        Raises:
            NotFound: No such CronJob.
            Rejected: One of its Jobs still runs when the time is over.
            OutcomeUnknown: Sent, and no answer came.

        Changes:
            ``spec.suspend`` of the CronJob.
        """
        cluster, path = Cluster(ctx, target.cluster), beside(target, _BATCH, _CRON, params.name)
        raw = await cluster.get(path)
        changed = _is_suspended(raw) is not self.suspends
        if changed:
            # With the UID: another CronJob that took the name meanwhile is not meant.
            body = {"metadata": {"uid": raw["metadata"]["uid"]}, "spec": {"suspend": self.suspends}}
            await cluster.patch(path, body)
        if self.suspends:
            await self._wait(ctx, cluster, target, raw)
        return Suspended(name=params.name, changed=changed)

    async def _wait(
        self, ctx: Context, cluster: Cluster, target: Deployment, raw: dict[str, Any]
    ) -> None:
        name, uid = raw["metadata"]["name"], raw["metadata"]["uid"]
        while True:
            try:
                jobs = await cluster.items(beside(target, _BATCH, "jobs"))
            except ActionError as error:
                raise OutcomeUnknown(f"suspended, and then not readable: {error}") from error
            running = [one["metadata"]["name"] for one in jobs if _runs(one, uid)]
            if not running:
                return
            told = f"cronjob/{name} is suspended, but {', '.join(running)} still runs"
            ctx.say(told)
            if ctx.deadline.left_s(ctx.clock) < STABLE_POLL_S + LAST_WORD_S:
                raise Rejected(told)
            await ctx.clock.sleep(STABLE_POLL_S)

    async def settled(
        self, ctx: Context, target: Deployment, params: SuspendParams
    ) -> Done[Suspended] | NotDone | CannotTell:
        cluster = Cluster(ctx, target.cluster)
        try:
            raw = await cluster.get(beside(target, _BATCH, _CRON, params.name))
            if _is_suspended(raw) is not self.suspends:
                return NotDone(why=f"cronjob/{params.name} is as it was")
            jobs = await cluster.items(beside(target, _BATCH, "jobs")) if self.suspends else []
        except ActionError as error:
            return CannotTell(why=str(error))
        if any(_runs(one, raw["metadata"]["uid"]) for one in jobs):
            return CannotTell(why=f"cronjob/{params.name} is suspended, but a Job of it still runs")
        return Done(outputs=Suspended(name=params.name, changed=True))

    def debts(
        self, target: Deployment, params: SuspendParams, outputs: Suspended
    ) -> tuple[Debt | Cleared, ...]:
        key = f"suspended:{target.identities[0]}/cronjob/{params.name}"
        if not self.suspends:
            return (Cleared(key=key),)
        if not outputs.changed:
            return ()
        what = f"cronjob/{params.name} in {target.namespace} ({target.cluster.region}) is suspended"
        return (Debt(key=key, what=what, remedy="resume it with kubernetes.cronjob.resume"),)


class SuspendCronJob(_CronJob):
    """Starts no Job of it any more, and waits for those that run."""

    name: ClassVar[str] = "kubernetes.cronjob.suspend"
    summary: ClassVar[str] = "Suspend a CronJob and wait until no Job of it runs"
    suspends = True


class ResumeCronJob(_CronJob):
    """Lets it start Jobs again, from its next time on."""

    name: ClassVar[str] = "kubernetes.cronjob.resume"
    summary: ClassVar[str] = "Let a suspended CronJob start Jobs again"
    suspends = False


def _is_suspended(raw: dict[str, Any]) -> bool:
    return bool(raw["spec"].get("suspend", False))


def _runs(job: dict[str, Any], uid: str) -> bool:
    owners = {one["uid"] for one in job["metadata"].get("ownerReferences") or []}
    return uid in owners and bool((job.get("status") or {}).get("active"))
