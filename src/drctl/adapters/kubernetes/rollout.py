"""How far a Deployment's rollout is, by its numbers and conditions; never by text."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from drctl.actions.contract import Context
from drctl.actions.errors import (
    ActionError,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from drctl.actions.targets import Deployment
from drctl.adapters.kubernetes.client import PATIENCE, Cluster, deployment_path

RESTART_KEY = "drctl.dev/restart-key"
REVISION = "deployment.kubernetes.io/revision"
FIRST_POLL_S = 0.2
LAST_POLL_S = 2.0
STABLE_POLL_S = 1.0
LAST_WORD_S = 0.5
"""So long before its deadline a wait says what it knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One look at a Deployment."""

    generation: int
    observed: int
    """The generation that the numbers below are about."""
    desired: int
    replicas: int
    updated: int
    available: int
    is_paused: bool
    has_failed: bool
    """The controller gave up: ``Progressing`` is false with ``ProgressDeadlineExceeded``."""
    trouble: str
    """What the controller says about pods that it cannot make; often empty."""
    restart_key: str
    revision: str

    @property
    def is_observed(self) -> bool:
        """True once the numbers are about the latest change."""
        return self.observed >= self.generation

    @property
    def is_complete(self) -> bool:
        """True when every pod is of the latest template, and serves, and no old one is left."""
        return self.is_observed and (
            self.updated == self.replicas == self.available == self.desired
        )

    def __str__(self) -> str:
        text = (
            f"{self.updated} of {self.desired} updated, {self.available} available,"
            f" {max(0, self.replicas - self.updated)} old"
        )
        text += "" if self.is_observed else ", change not yet seen by the controller"
        return f"{text}; {self.trouble}" if self.trouble else text


async def look(cluster: Cluster, target: Deployment, *, patience: timedelta = PATIENCE) -> Rollout:
    """
    Reads the Deployment.

    Raises:
        NotFound: No such Deployment in this cluster.
        ActionError: It could not be read.
    """
    return parse(await cluster.get(deployment_path(target), patience=patience))


def parse(raw: Mapping[str, Any]) -> Rollout:
    """Reads the API's object; the server leaves zeros out."""
    meta, spec, status = raw["metadata"], raw["spec"], raw.get("status", {})
    conditions = {one["type"]: one for one in status.get("conditions", [])}
    progressing = conditions.get("Progressing", {})
    failure = conditions.get("ReplicaFailure", {})
    observed = status.get("observedGeneration", 0)
    template = spec["template"].get("metadata") or {}
    return Rollout(
        generation=meta.get("generation", 0),
        observed=observed,
        desired=spec.get("replicas", 1),
        replicas=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        available=status.get("availableReplicas", 0),
        is_paused=bool(spec.get("paused", False)),
        has_failed=progressing.get("status") == "False"
        and progressing.get("reason") == "ProgressDeadlineExceeded"
        and observed >= meta.get("generation", 0),
        trouble=failure.get("message", "") if failure.get("status") == "True" else "",
        restart_key=(template.get("annotations") or {}).get(RESTART_KEY, ""),
        revision=(meta.get("annotations") or {}).get(REVISION, ""),
    )


async def wait_until(
    ctx: Context,
    cluster: Cluster,
    target: Deployment,
    reached: Callable[[Rollout], bool],
    *,
    after_change: bool,
    stuck: type[ActionError] | None = None,
) -> Rollout:
    """
    Polls until *reached* is true.

    Args:
        after_change: A change was accepted before: not seeing its end is then `OutcomeUnknown`.
        stuck: What the deadline means while the Deployment answers, and is not there yet: it is
            raised just before the deadline, so that what is known is said. ``None``: the same as
            when it does not answer.

    Raises:
        Rejected: The controller gave up on the rollout, or the Deployment is gone.
        OutcomeUnknown: The deadline passed, or it could not be read any more, after a change.
        Unavailable: The deadline passed, and nothing had been changed.
    """
    late: type[ActionError] = OutcomeUnknown if after_change else Unavailable
    pause_s, last = FIRST_POLL_S, "it was not read"
    word = late
    while True:
        try:
            seen = await look(cluster, target, patience=timedelta())
        except NotFound as error:
            raise Rejected(f"{target.label} is gone: {error}") from error
        except (Throttled, Unavailable) as error:
            last, word = str(error), late
        except ActionError as error:
            if after_change:
                raise OutcomeUnknown(f"changed, and then not readable: {error}") from error
            raise
        else:
            if reached(seen):
                return seen
            last, word = str(seen), stuck or late
            _go_on(ctx, target, seen, stuck, pause_s)
        await ctx.clock.sleep(min(pause_s, ctx.deadline.left_s(ctx.clock)))
        pause_s = min(LAST_POLL_S, pause_s * 1.5)
        if ctx.deadline.has_passed(ctx.clock):  # not after it: a look without time says only that
            raise word(f"{target.label}: {last}")


def _go_on(
    ctx: Context,
    target: Deployment,
    seen: Rollout,
    stuck: type[ActionError] | None,
    pause_s: float,
) -> None:
    """Raises when waiting on is of no use: the controller gave up, or no time is left."""
    if seen.has_failed:
        raise Rejected(f"{target.label}: the rollout's progress deadline passed: {seen}")
    ctx.say(f"{target.name}: {seen}")
    if stuck and ctx.deadline.left_s(ctx.clock) < pause_s + LAST_WORD_S:
        raise stuck(f"{target.label}: not complete when its time was over: {seen}")


async def stay(ctx: Context, cluster: Cluster, target: Deployment, length: timedelta) -> Rollout:
    """
    Watches a complete rollout stay complete.

    Raises:
        Rejected: It did not, or the deadline comes first.
        ActionError: It could not be read.
    """
    end_s = ctx.clock.now().boot_s + length.total_seconds()
    while True:
        seen = await look(cluster, target)
        if not seen.is_complete:
            raise Rejected(f"{target.label} did not stay complete for {length}: {seen}")
        left_s = end_s - ctx.clock.now().boot_s
        if left_s <= 0:
            return seen
        if ctx.deadline.left_s(ctx.clock) < LAST_WORD_S:
            raise Rejected(f"{target.label}: no time was left to watch it for {length}")
        ctx.say(f"{target.name}: complete, watched for another {left_s:.0f} s")
        await ctx.clock.sleep(min(STABLE_POLL_S, left_s))
