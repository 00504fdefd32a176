"""Traffic that was moved is looked at the way customers see it."""

from collections.abc import Iterator

from drctl.actions.contract import Effect
from drctl.plan.rules.case import Case
from drctl.plan.rules.proofs import is_public_proof, may_be_proof
from drctl.plan.rules.rule import Found, Rule


def _judge(case: Case) -> Iterator[Found]:
    for step, _action in case.doing(lambda action: action.effect is Effect.TRAFFIC):
        if case.family(step) != "traffic":
            continue
        proofs = (one for one in case.after(step) if one.when in {None, step.when})
        if not any(is_public_proof(case, one) or may_be_proof(one) for one in proofs):
            yield Found(
                what=f"{step.id} moves traffic, and nothing asks for the service through its public"
                " name afterwards",
                step=step,
            )


RULE = Rule(
    id="DR6102",
    title="Verify after traffic, as customers do",
    severity="error",
    reason="A switch that was thrown is not yet a customer who is served: records have caches,"
    " health checks have intervals, certificates have names.",
    bad="- {id: move_traffic, uses: aws.route53.failover_switch.engage, target: switch, ...}"
    "   # the last step",
    good="- {id: move_traffic, uses: aws.route53.failover_switch.engage, target: switch, ...}\n"
    "- {id: verify_public, uses: http.probe, target: switch, with: {path: /health},"
    " until: outputs.served_by == inputs.to_region, ...}",
    fix="put an http.probe of the traffic target with until: or expect_status: behind it",
    judge=_judge,
)
