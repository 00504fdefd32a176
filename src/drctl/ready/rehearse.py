"""
The steps with which a runbook itself looks before it acts: tried now, because they only read.

A step is tried when its action says that it looks at a prerequisite or measures the loss, when
nothing that changes comes before it, and when its params are known.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from drctl.actions.check import Prerequisite, Standing, at_risk, broken, holds
from drctl.actions.contract import Context, Effect, Outputs
from drctl.actions.errors import Conflict, NotFound, Rejected
from drctl.actions.loss import LossBound
from drctl.actions.registry import AnyAction, Registry
from drctl.actions.targets import Target
from drctl.kernel.duration import format_duration
from drctl.kernel.text import sanitize
from drctl.plan.model import Plan, PlannedStep
from drctl.ready.ask import Asker, said
from drctl.ready.derive import is_known, uses_of
from drctl.ready.model import Judged

_LIMIT_S = 11.0
_NEAR = 0.5
"""A loss above this share of the RPO is worth a look before it is worth a refusal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A step that can be tried."""

    step: PlannedStep
    action: AnyAction
    target: Target
    params: Any

    @property
    def name(self) -> str:
        """The target's, in the environment; empty where it has none."""
        return (self.step.call.target or "") if self.step.call else ""


def trials(plan: Plan, registry: Registry) -> tuple[Trial, ...]:
    """The steps that can be tried now. Pure."""
    return tuple(_trials(plan, registry))


def _trials(plan: Plan, registry: Registry) -> Iterator[Trial]:
    params = _known_params(plan, registry)
    for step in plan.steps:
        call = step.call
        action = registry.get(call.uses) if call else None
        if call is None or action is None or not _may_be_tried(plan, step, action):
            continue
        given = params.get(step.id, {})
        if set(given) != set(call.with_) or not is_known(given):
            continue
        try:
            made = action.params.model_validate(given)
        except ValidationError:
            continue
        target = plan.targets[call.target] if call.target else Target()
        yield Trial(step=step, action=action, target=target, params=made)


def _may_be_tried(plan: Plan, step: PlannedStep, action: AnyAction) -> bool:
    is_look = action.effect is Effect.READ and (action.is_prerequisite or action.measures_loss)
    before = plan.before(step.id)
    is_first = not any(one.effect.changes_something for one in before)
    return is_look and is_first and step.when is None and step.until is None and not step.is_final


def _known_params(plan: Plan, registry: Registry) -> Mapping[str, Mapping[str, Any]]:
    calls = {step.id: step.call.uses for step in plan.steps if step.call}
    return {
        use.step: use.params
        for uses in uses_of(plan, registry).values()
        for use in uses
        if use.action == calls.get(use.step) and not use.is_undo
    }


async def rehearse(plan: Plan, asker: Asker, tried: tuple[Trial, ...]) -> tuple[Judged, ...]:
    """Performs them, all at once. Never raises for what does not answer."""
    return tuple(await asyncio.gather(*(_try(plan, asker, trial) for trial in tried)))


async def _try(plan: Plan, asker: Asker, trial: Trial) -> Judged:
    name = "recovery.loss" if trial.step.measures_loss else trial.action.name
    async with asker.slots:
        seen = await _seen(plan, asker.context(plan), trial)
    return Judged(
        check=name,
        rests_on=("*.replica",) if trial.step.measures_loss else (),
        standing=seen.standing,
        subject=sanitize(seen.subject, limit=200),
        targets=(trial.name,) if trial.name else (),
        steps=(trial.step.id,),
        why=sanitize(seen.why, limit=300),
        do=seen.do,
        readings=seen.readings,
    )


async def _seen(plan: Plan, ctx: Context, trial: Trial) -> Prerequisite:
    label = trial.target.label
    try:
        async with asyncio.timeout(_LIMIT_S):
            outputs = await trial.action.perform(ctx, trial.target, trial.params)
    except (Rejected, NotFound, Conflict) as error:
        return broken(label, str(error), "put it right: the step would say the same")
    except Exception as error:  # noqa: BLE001 (whatever it is, it is no answer)
        return Prerequisite(
            standing=Standing.CANNOT_TELL, subject=label, why=said(error), do="ask again"
        )
    if trial.step.measures_loss:
        return _loss(label, outputs, plan.objectives.rpo_s)
    return holds(label, f"step {trial.step.id} tried now: it succeeds")


def _loss(label: str, outputs: Outputs, rpo_s: float) -> Prerequisite:
    given = outputs.model_dump()
    bound = LossBound.model_validate(
        {name: given[name] for name in LossBound.model_fields if name in given}
    )
    rpo = format_duration(rpo_s)
    if bound.bound is None:
        why = f"nobody knows what a failover now would lose: {bound.source}"
        return broken(label, why, "mend what could not be read: an unknown loss is refused")
    loss_s, readings = bound.bound.total_seconds(), {"loss_s": bound.bound.total_seconds()}
    why = f"a failover now would lose up to {format_duration(loss_s)}; the RPO is {rpo}"
    if loss_s > rpo_s:
        return broken(label, why, "look why replication is behind", loss_s=loss_s)
    if loss_s > _NEAR * rpo_s:
        return at_risk(label, why, "look why replication is behind", loss_s=loss_s)
    return Prerequisite(standing=Standing.HOLDS, subject=label, why=why, readings=readings)
