"""Customers are asked for as they ask: over TLS."""

from collections.abc import Iterator

from drctl.plan.rules.case import Case
from drctl.plan.rules.rule import Found, Needs, Rule


def _judge(case: Case) -> Iterator[Found]:
    if case.environment is None or case.environment.world != "live":
        return
    told = set()
    for step in case.work:
        action, url = case.action(step), getattr(case.target(step), "url", None)
        if action is None or not action.asks_service or case.family(step) != "traffic":
            continue
        if isinstance(url, str) and url.startswith("http://") and url not in told:
            told.add(url)
            yield Found(
                what=f"{step.id} asks for the service at {url}, without TLS: a certificate that has"
                " expired is not seen",
                step=step,
            )


RULE = Rule(
    id="DR6310",
    title="The public proof is over TLS",
    severity="warning",
    reason="The certificate of the recovery side is the one that nobody looks at until the day."
    " A proof over plain HTTP is green while every customer sees a warning.",
    bad='traffic.api: {kind: aws.route53.failover_switch, url: "http://api.example.com", ...}',
    good='traffic.api: {kind: aws.route53.failover_switch, url: "https://api.example.com", ...}',
    fix="write the https URL that customers use into the environment",
    judge=_judge,
    needs=Needs.ENVIRONMENT,
)
