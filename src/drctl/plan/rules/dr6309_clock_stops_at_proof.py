"""The clock stops when customers are served, not when a command returned."""

from collections.abc import Iterator

from drctl.actions.contract import Effect
from drctl.plan.rules.case import Case
from drctl.plan.rules.proofs import is_public_proof, may_be_proof
from drctl.plan.rules.rule import Found, Rule

_AWAY = {Effect.PROMOTE, Effect.TRAFFIC}


def _judge(case: Case) -> Iterator[Found]:
    if not any(step.effect in _AWAY for step in case.work):
        return
    stops = [case.plan.by_id[name] for name in case.plan.objectives.stops_after]
    if not any(is_public_proof(case, one) or may_be_proof(one) for one in stops):
        yield Found(
            what=f"the clock stops after {', '.join(one.id for one in stops)}, and nothing there"
            " asks for the service as a customer would",
            place="objectives.clock",
        )


RULE = Rule(
    id="DR6309",
    title="The clock stops at a proof of service",
    severity="error",
    reason="A recovery time that ends with a promotion is shorter than the outage. The objective"
    " is about customers: it is over when one of them, through the public name, is served.",
    bad="clock: {starts_at: incident, stops_after: [promote]}",
    good="clock: {starts_at: incident, stops_after: [verify_public]}",
    fix="stop after an http.probe of the traffic target with until: or expect_status:",
    judge=_judge,
)
