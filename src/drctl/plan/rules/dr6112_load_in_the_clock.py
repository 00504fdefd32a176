"""A measurement of speed is no part of the recovery."""

from collections.abc import Iterator

from drctl.plan.rules.case import Case
from drctl.plan.rules.rule import Found, Rule


def _judge(case: Case) -> Iterator[Found]:
    for step, _action in case.doing(lambda action: action.name == "http.sample"):
        if step.id in case.until_service:
            yield Found(
                what=f"{step.id} measures how fast the service is while the recovery's clock runs",
                step=step,
            )


RULE = Rule(
    id="DR6112",
    title="No performance test inside the recovery clock",
    severity="warning",
    reason="Customers wait while it samples, a service that has just started is slow, and the"
    " load is one more. It belongs behind the proof that the service is back.",
    bad="stops_after: [performance]\n- {id: performance, uses: http.sample, ...}",
    good="stops_after: [verify_public]\n"
    "- {id: performance, uses: http.sample, needs: [verify_public], ...}",
    fix="let it need the step at which the clock stops",
    judge=_judge,
)
