"""What is left does nothing any more."""

from collections.abc import Iterator

from drctl.actions.contract import Effect
from drctl.plan.rules.case import Case
from drctl.plan.rules.leaving import lost_witness, may_be_left_out, regions_left
from drctl.plan.rules.rule import Found, Needs, Rule


def _judge(case: Case) -> Iterator[Found]:
    down = {f"data-plane:{region}" for region in regions_left(case)}
    if not down:
        return
    for step in case.work:
        # A fence says itself what it does without the old side: observe that it is dead.
        if step.is_message or step.effect is Effect.FENCE or may_be_left_out(step):
            continue
        if lost_witness(case, step):
            continue  # DR6205 says so, and what to do
        for plane in case.planes(step):
            if plane in down:
                yield Found(
                    what=f"{step.id} needs {plane}, which this scenario assumes down", step=step
                )


RULE = Rule(
    id="DR6202",
    title="No step that runs in the region that is left",
    severity="error",
    reason="A step that acts on something in the lost region waits for its timeout and fails;"
    " what needs it never starts.",
    bad="metadata: {scenario: region-outage}\n"
    "- {id: stop_old_app, uses: kubernetes.deployment.scale, target: old_app, with: {replicas: 0}}",
    good="- {id: prewarm_app, uses: kubernetes.deployment.scale, target: app, ...}"
    "   # app.recovery",
    fix="act on the recovery region's; on_failure: continue for a look that is only nice to have",
    judge=_judge,
    needs=Needs.ENVIRONMENT,
)
