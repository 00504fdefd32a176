"""Use case: what a plan's forecast would be if something were otherwise."""

from collections.abc import Mapping

from drctl.app.compose import Parts
from drctl.app.past import past_of
from drctl.plan.forecast_make import pricing_of
from drctl.plan.model import Plan
from drctl.plan.what_if import Asking, what_if
from drctl.plan.what_if_model import WhatIf


def suppose(
    parts: Parts, plan: Plan, lengths_s: Mapping[str, float], *, with_needs: bool
) -> WhatIf:
    """
    Prices a plan again with other lengths, and asks what would make it fit.

    Raises:
        InvalidError: A step that the forecast does not count.
    """
    pricing = pricing_of(plan, past_of(parts, plan))
    planned = pricing.forecast()
    changed = what_if(pricing, lengths_s) if lengths_s else None
    budget_s = plan.objectives.rto_s - planned.before_s
    return WhatIf(
        runbook=plan.runbook,
        environment=plan.environment,
        rto_s=plan.objectives.rto_s,
        supposed=dict(lengths_s),
        planned=planned,
        changed=changed.forecast() if changed else None,
        needs=Asking(pricing=changed or pricing, budget_s=budget_s).needs() if with_needs else None,
    )
