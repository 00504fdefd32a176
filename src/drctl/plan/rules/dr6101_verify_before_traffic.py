"""Customers are sent only to what has been seen to work."""

from collections.abc import Iterator

from drctl.actions.contract import Effect
from drctl.plan.model import PlannedStep
from drctl.plan.rules.case import Case
from drctl.plan.rules.proofs import is_private_proof, may_be_proof
from drctl.plan.rules.rule import Found, Rule


def _judge(case: Case) -> Iterator[Found]:
    for step, _action in case.doing(lambda action: action.effect is Effect.TRAFFIC):
        if case.family(step) != "traffic":
            continue
        before = case.plan.before(step.id)
        if any(_counts(case, one, step) for one in before):
            continue
        skipped = [one for one in before if is_private_proof(case, one)]
        yield Found(
            what=f"{step.id} sends customers to a side that nothing has been asked on before",
            step=step,
            why=f"{skipped[0].id} may be skipped, or is asked before the promotion"
            if skipped
            else "",
        )


def _counts(case: Case, proof: PlannedStep, traffic: PlannedStep) -> bool:
    """Whether it is a proof that is made whenever the traffic moves."""
    if not is_private_proof(case, proof) and not may_be_proof(proof):
        return False
    promotions = {one.id for one in case.plan.before(traffic.id) if one.effect is Effect.PROMOTE}
    # What was asked before the promotion was another service.
    is_of_now = promotions <= {one.id for one in case.plan.before(proof.id)}
    return is_of_now and proof.when in {None, traffic.when}


RULE = Rule(
    id="DR6101",
    title="Verify before traffic",
    severity="error",
    reason="A side that was never asked may be broken, and then every customer is sent to it; to"
    " send them back takes the TTL a second time. The new side is asked at its own address"
    " first.",
    bad="- {id: rollout, uses: kubernetes.deployment.restart, ...}\n"
    "- {id: move_traffic, uses: aws.route53.failover_switch.engage, target: switch, ...}",
    good="- {id: verify_private, uses: http.probe, target: app, with: {path: /health},"
    " until: outputs.status == 200, ...}\n"
    "- {id: move_traffic, uses: aws.route53.failover_switch.engage, target: switch, ...}",
    fix="put an http.probe of the app (or one with via:) with until: or expect_status: before it,"
    " with no when:, or the same",
    judge=_judge,
)
