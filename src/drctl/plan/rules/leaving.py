"""Which regions a scenario assumes to be down."""

from drctl.actions.contract import Effect
from drctl.actions.targets import Witness
from drctl.plan.model import PlannedStep
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


def lost_witness(case: Case, step: PlannedStep) -> str:
    """The region in which a measuring step looks for its witness, when that is down; else empty."""
    if not step.measures_loss:
        return ""
    witness = getattr(case.target(step), "witness", None)
    if not isinstance(witness, Witness):
        return ""
    return witness.aws.region if witness.aws.region in regions_left(case) else ""


def may_be_left_out(step: PlannedStep) -> bool:
    """
    Whether the run goes on without it when its region is down: its failure is passed over, or a
    condition, which may be about just that, decides in the run.
    """
    return step.on_failure == "continue" or step.when is not None


def _regions(case: Case, effect: Effect) -> frozenset[str]:
    targets = [case.target(step) for step in case.work if step.effect is effect]
    return frozenset(
        place for target in targets if target for place in target.places if ":" not in place
    )
