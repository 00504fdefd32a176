"""What each form of drawing says about a step."""

from typing import Literal, TypeAlias

from drctl.actions.contract import Effect
from drctl.kernel.duration import format_duration
from drctl.plan.model import PlannedStep
from drctl.plan.sketch import Sketch

Look: TypeAlias = Literal["gate", "final", "fence", "traffic", "change", "message", "read"]
LOOKS: dict[Look, str] = {
    "gate": "people decide",
    "fence": "fence",
    "final": "no way back",
    "traffic": "moves traffic",
    "change": "changes",
    "read": "only looks",
    "message": "tells people",
}
_OF_EFFECT: dict[Effect, Look] = {
    Effect.READ: "read",
    Effect.NOTIFY: "message",
    Effect.CHANGE: "change",
    Effect.TRAFFIC: "traffic",
    Effect.FENCE: "fence",
    Effect.PROMOTE: "final",
    Effect.DESTROY: "final",
}


def look(step: PlannedStep) -> Look:
    """How a step is drawn."""
    return "gate" if step.gate is not None else _OF_EFFECT[step.effect]


def does(drawn: Sketch, step: PlannedStep) -> str:
    """What a step does, in one line."""
    if step.gate is not None:
        return f"{drawn.approvers.get(step.id, 'people')} must say go"
    return step.call.uses if step.call else ""


def takes(step: PlannedStep) -> str:
    """Its estimate."""
    return format_duration(step.estimate_s) if step.estimate_s else ""


def verdict(drawn: Sketch) -> str:
    """The critical path against the RTO, with what detection takes of it."""
    budget = drawn.budget
    spare = budget.spare_s(drawn.forecast_s)
    fits = f"{format_duration(spare)} to spare" if spare >= 0 else "it does not fit"
    detection = f" and detection {format_duration(budget.before_s)}" if budget.before_s else ""
    lacks = ", without detection" if budget.lacks_detection else ""
    return (
        f"critical path {format_duration(drawn.forecast_s)}{detection}"
        f" of RTO {format_duration(budget.rto_s)}: {fits}{lacks}"
    )


def no_way_back(drawn: Sketch) -> str:
    """The steps at which the drawing has its line."""
    number = drawn.is_final_after
    names = () if number is None else drawn.waves[number]
    by_id = {step.id: step for step in drawn.steps}
    return ", ".join(name for name in names if by_id[name].effect.is_irreversible)
