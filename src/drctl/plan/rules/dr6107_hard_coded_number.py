"""What was there before is put back, not what somebody once thought was there."""

from collections.abc import Iterator

from drctl.actions.registry import AnyAction
from drctl.plan.model import PlannedCall, PlannedStep
from drctl.plan.rules.case import Case
from drctl.plan.rules.rule import Found, Rule
from drctl.plan.terms import has_marks

_KEPT = "previous_"
_SCALES = "kubernetes.deployment.scale"


def _judge(case: Case) -> Iterator[Found]:
    for step, action in case.doing(_keeps_a_number):
        undo = step.undo
        if undo is not None:
            for name in _forgotten(action, step, undo):
                yield Found(
                    what=f"the undo of {step.id} sets {name} to {undo.with_[name]!r}, and"
                    f" {step.id} knows what it was",
                    step=step,
                    fix=f'write {name}: "${{{{ outputs.{_KEPT}{name} }}}}"',
                )
        if step.call is not None and step.call.uses == _SCALES:
            yield from _smaller(step, step.call)


def _keeps_a_number(action: AnyAction) -> bool:
    """Whether it says what was there before, or sets a number that a look can see."""
    return action.name == _SCALES or any(
        name.startswith(_KEPT) for name in action.outputs.model_fields
    )


def _forgotten(action: AnyAction, step: PlannedStep, undo: PlannedCall) -> Iterator[str]:
    """Params that are literals, where the step's outputs have the previous value."""
    if undo.target != (step.call.target if step.call else None):
        return
    for name, value in undo.with_.items():
        if f"{_KEPT}{name}" in action.outputs.model_fields and not has_marks(value):
            yield name


def _smaller(step: PlannedStep, call: PlannedCall) -> Iterator[Found]:
    """A number in the runbook that takes away what the look has seen."""
    wanted, seen = call.with_.get("replicas"), step.prediction.facts.get("replicas")
    is_floor = call.with_.get("at_least") is True
    if isinstance(wanted, int) and isinstance(seen, int) and wanted < seen and not is_floor:
        yield Found(
            what=f"{step.id} sets {wanted} replicas, and there are {seen} now",
            step=step,
            fix="with: {at_least: true}, or take the number from an input",
        )


RULE = Rule(
    id="DR6107",
    title="No hard-coded number where the previous one is known",
    severity="warning",
    reason="A number that is written down is right on the day it is written. Autoscalers and"
    " people change it, and then a recovery takes capacity away, or an undo leaves another"
    " estate than it found.",
    bad="uses: kubernetes.deployment.scale\nwith: {replicas: 5}\n"
    "undo: {uses: kubernetes.deployment.scale, target: app, with: {replicas: 3}, ...}",
    good="uses: kubernetes.deployment.scale\nwith: {replicas: 5, at_least: true}\n"
    "undo: {uses: kubernetes.deployment.scale, target: app,"
    ' with: {replicas: "${{ outputs.previous_replicas }}"}, ...}',
    fix="take the number from the step that noted it",
    judge=_judge,
)
