"""People take time, and the forecast counts it."""

from collections.abc import Iterator

from drctl.plan.rules.case import Case
from drctl.plan.rules.rule import Found, Rule


def _judge(case: Case) -> Iterator[Found]:
    for step in case.gates:
        if not step.estimate_s and step.id in case.until_service:
            yield Found(
                what=f"{step.id} asks people and has no estimate: the forecast counts them as"
                " answering at once",
                step=step,
            )


RULE = Rule(
    id="DR6308",
    title="The forecast counts people",
    severity="warning",
    reason="Somebody must read, think and answer. A forecast that leaves this out fits an RTO"
    " that no recovery with people in it has ever met.",
    bad="- {id: go, gate: go, show: [...]}",
    good="- {id: go, gate: go, estimate: 1m, show: [...]}",
    fix="estimate: how long it took in the last drill",
    judge=_judge,
)
