"""A proof that may fail proves nothing."""

from collections.abc import Iterator

from drctl.plan.rules.case import Case
from drctl.plan.rules.rule import Found, Rule


def _judge(case: Case) -> Iterator[Found]:
    for name in case.plan.objectives.stops_after:
        step = case.plan.by_id.get(name)
        if step is not None and step.on_failure == "continue":
            yield Found(
                what=f"the clock stops after {step.id}, and a failure of {step.id} is passed over",
                step=step,
            )


RULE = Rule(
    id="DR6111",
    title="The proof of service is not passed over",
    severity="error",
    reason="on_failure: continue is for what is nice to know. When the step that proves the"
    " service has it, the run goes on as if customers were served.",
    bad="- {id: verify_public, uses: http.probe, on_failure: continue, ...}",
    good="- {id: verify_public, uses: http.probe, until: outputs.status == 200, ...}",
    fix="leave on_failure out: it pauses, and a person decides",
    judge=_judge,
)
