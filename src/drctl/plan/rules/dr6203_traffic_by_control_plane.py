"""Traffic is moved by what keeps working when control planes do not."""

from collections.abc import Iterator

from drctl.actions.catalogue import planes_of
from drctl.actions.contract import Effect
from drctl.plan.rules.case import Case
from drctl.plan.rules.rule import Found, Rule


def _judge(case: Case) -> Iterator[Found]:
    for step, action in case.doing(lambda action: action.effect is Effect.TRAFFIC):
        if not action.alternative:
            continue
        planes = [one for one in planes_of(action) if one.startswith("control-plane:")]
        if planes:
            yield Found(
                what=f"{step.id} moves traffic through {planes[0]}",
                step=step,
                fix=f"data-plane alternative: {action.alternative}",
            )


RULE = Rule(
    id="DR6203",
    title="Traffic is not moved by a control plane",
    severity="warning",
    reason="Control planes are down more often than data planes, and all the world's recoveries"
    " queue at them at the same time. Records of Route 53 are edited in us-east-1,"
    " wherever the service is.",
    bad="- {id: move_traffic, uses: aws.route53.record.upsert, target: name, ...}",
    good="- {id: move_traffic, uses: aws.route53.failover_switch.engage, target: switch, ...}",
    fix="make records and health checks in advance, and switch those",
    judge=_judge,
)
