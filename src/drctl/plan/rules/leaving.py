"""Which regions a scenario assumes to be down."""

from drctl.actions.contract import Effect
from drctl.plan.rules.case import Case

REGION_OUTAGE = "region-outage"
"""The scenario of ``drctl failover region``: the one that says that a whole region is gone."""


def regions_left(case: Case) -> frozenset[str]:
    """
    The regions of what is fenced, in the scenario of a lost region, less those of what is promoted:
    empty for every other scenario, in which the region of a lost thing is still there.
    """
    if case.plan.scenario != REGION_OUTAGE:
        return frozenset()
    fenced = _regions(case, Effect.FENCE)
    return fenced - _regions(case, Effect.PROMOTE)


def _regions(case: Case, effect: Effect) -> frozenset[str]:
    targets = [case.target(step) for step in case.work if step.effect is effect]
    return frozenset(
        place for target in targets if target for place in target.places if ":" not in place
    )
