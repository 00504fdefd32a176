"""What ``--assume-down`` means: places that the plan would ask, by name."""

from collections.abc import Sequence

from drctl.actions.planes import Down, Loss, place_of
from drctl.actions.registry import Registry
from drctl.config.environment import Environment
from drctl.kernel.errors import InvalidError, Problem
from drctl.kernel.text import did_you_mean, sanitize
from drctl.plan.draft import calls
from drctl.plan.leases import cell_of
from drctl.plan.model import Plan

_IN_NO_REGION = {"global", "arc", "slack", "statuspage", "elsewhere"}


def read_down(
    words: Sequence[str], plans: Sequence[Plan], registry: Registry, environment: Environment
) -> Down:
    """
    Reads ``us-east-1`` or ``us-east-1=silent``.

    Raises:
        InvalidError: Neither these plans nor their environment have to do with such a place. A name
            that is misspelt would otherwise find that all is well.
    """
    known = frozenset[str]().union(*(places(plan, registry, environment) for plan in plans))
    lost, problems = {}, []
    for text in words:
        place, _, how = text.partition("=")
        if place not in known:
            near = did_you_mean(place, sorted(known))
            what = f'nothing in {environment.name} is in "{place}"{near}'
            named = f"its places are {', '.join(sorted(known))}"
            problems.append(Problem(code="DR3221", what=sanitize(what), why=sanitize(named)))
        elif how not in {"", *Loss}:
            what = f'a place is {" or ".join(Loss)}, not "{how}"'
            problems.append(Problem(code="DR3221", what=sanitize(what)))
        else:
            lost[place] = Loss(how or Loss.DEAD)
    if problems:
        raise InvalidError(tuple(problems))
    return Down(lost=lost)


def places(plan: Plan, registry: Registry, environment: Environment) -> frozenset[str]:
    """Every place that the plan or a target of its environment has to do with."""
    named = (place for target in environment.targets.values() for place in target.places)
    found = {place for place in named if ":" not in place}
    for step in plan.steps:
        for call in calls(step):
            action = registry.get(call.uses)
            if action is not None and call.target:
                asked = action.asks(plan.targets[call.target], None)
                found |= {place_of(ask.plane) for ask in asked}
    cell = cell_of(registry, plan.lease)
    if cell is not None:
        found |= {place for place in cell.places if ":" not in place}
    return frozenset(found - _IN_NO_REGION)
