"""What is left cannot be asked to help."""

from collections.abc import Iterator

from drctl.plan.rules.case import Case
from drctl.plan.rules.leaving import may_be_left_out, regions_left
from drctl.plan.rules.rule import Found, Needs, Rule


def _judge(case: Case) -> Iterator[Found]:
    down = {f"control-plane:{region}" for region in regions_left(case)}
    if not down:
        return
    for step in case.work:
        action = case.action(step)
        if step.is_message or may_be_left_out(step):
            continue
        for plane in case.planes(step):
            if plane in down:
                other = action.alternative if action else ""
                yield Found(
                    what=f"{step.id} needs {plane}, which this scenario assumes down",
                    step=step,
                    why=f"{action.name} cannot work without it" if action else "",
                    fix=f"data-plane alternative: {other}" if other else "",
                )


RULE = Rule(
    id="DR6201",
    title="No control plane of the region that is left",
    severity="error",
    reason="A control plane fails before a data plane does, and with its region. Route 53 takes"
    " changes of records in us-east-1 only: a recovery from us-east-1 that edits a record"
    " waits for what it recovers from.",
    bad="metadata: {scenario: region-outage}   # us-east-1 is fenced\n"
    "- {id: move_traffic, uses: aws.route53.record.upsert, ...}",
    good="- {id: move_traffic, uses: aws.route53.failover_switch.engage, target: switch, ...}",
    fix="make it in advance, and switch it through a data plane of another region",
    judge=_judge,
    needs=Needs.ENVIRONMENT,
)
