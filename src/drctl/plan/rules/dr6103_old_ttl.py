"""A record that was changed is old news until the old one's TTL is over."""

from collections.abc import Iterator

from drctl.plan.model import PlannedStep
from drctl.plan.rules.case import Case
from drctl.plan.rules.proofs import is_public_proof
from drctl.plan.rules.rule import Found, Rule

_WAITS = "outlast_caches"


def _judge(case: Case) -> Iterator[Found]:
    for step, _action in case.doing(lambda action: _WAITS in action.params.model_fields):
        # A value that only the run knows may be true; nobody is told off for that.
        if step.call is None or step.call.with_.get(_WAITS, False) is not False:
            continue
        proof = _proof(case, step)
        if proof is not None:
            yield Found(
                what=f"{step.id} changes a record, and {proof.id} counts as proof before the old"
                " answer has left the caches",
                step=step,
            )


def _proof(case: Case, step: PlannedStep) -> PlannedStep | None:
    return next((one for one in case.after(step) if is_public_proof(case, one)), None)


RULE = Rule(
    id="DR6103",
    title="Wait for the old TTL before it counts",
    severity="error",
    reason="Resolvers keep the old answer for the old TTL, whatever the new record says. A probe"
    " that asked a fresh resolver proves nothing about customers whose resolvers are not.",
    bad="uses: aws.route53.record.upsert\nwith: {type: A, ttl: 60, values: [192.0.2.7]}",
    good="uses: aws.route53.record.upsert\n"
    "with: {type: A, ttl: 60, values: [192.0.2.7], outlast_caches: true}",
    fix="with: {outlast_caches: true}, and an estimate and a timeout that hold the old TTL",
    judge=_judge,
)
