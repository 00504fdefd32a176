"""People who take all the time they are given still leave enough."""

from collections.abc import Iterator

from drctl.kernel.duration import format_duration
from drctl.plan.graph import longest_chain
from drctl.plan.model import PlannedStep
from drctl.plan.rules.case import Case
from drctl.plan.rules.rule import Found, Rule


def _judge(case: Case) -> Iterator[Found]:
    plan = case.plan
    for step in case.gates:
        # A person's task is a change that they do; only gates are waited at.
        if not step.is_consent or step.gate is None or step.id not in case.until_service:
            continue
        at_worst = _with_all_of(case, step)
        if at_worst > plan.objectives.rto_s >= plan.forecast_s:
            expires = format_duration(plan.gates[step.gate].expires_s)
            yield Found(
                what=f"gate {step.gate} may be open for {expires}: then the recovery takes"
                f" {format_duration(at_worst)} of an RTO of"
                f" {format_duration(plan.objectives.rto_s)}",
                step=step,
            )


def _with_all_of(case: Case, gate: PlannedStep) -> float:
    """The forecast when this one gate is answered at the last moment."""
    left = {step.id: step.estimate_s for step in case.work}
    left[gate.id] = max(gate.timeout_s, left[gate.id])
    length_s, _chain = longest_chain(case.work, left, case.plan.objectives.stops_after)
    return length_s


RULE = Rule(
    id="DR6302",
    title="Gates expire within the budget",
    severity="error",
    reason="A gate that is open longer than the budget allows is a gate at which the objective"
    " is missed silently. Silence is a no: it should come while there is time for another"
    " way.",
    bad="objectives: {rto: 15m}\ngates: {go: {expires_after: 30m, ...}}",
    good="objectives: {rto: 15m}\ngates: {go: {expires_after: 3m, ...}}",
    fix="let it expire earlier, or start what is on the critical path before it",
    judge=_judge,
    varies=True,
)
