"""The TTL that customers' resolvers have now fits into the recovery."""

from collections.abc import Iterator

from drctl.kernel.duration import format_duration
from drctl.plan.model import PlannedStep
from drctl.plan.rules.case import Case
from drctl.plan.rules.rule import Found, Rule


def _judge(case: Case) -> Iterator[Found]:
    rto_s = case.plan.objectives.rto_s
    for step in case.plan.steps:
        for call in (step.call, step.undo):
            if call is None or "ttl" not in call.with_:
                continue
            ttl = call.with_["ttl"]
            if isinstance(ttl, int) and not isinstance(ttl, bool) and ttl >= rto_s:
                yield Found(
                    what=f"{step.id} gives the record a TTL of {format_duration(ttl)}: whoever"
                    f" moves it next waits so long, and the RTO is {format_duration(rto_s)}",
                    step=step,
                )
        if "ttl_s" in step.prediction.readings:
            yield from _of_now(case, step)


def _of_now(case: Case, step: PlannedStep) -> Iterator[Found]:
    """What the look has seen, and whoever waits for service waits for too."""
    ttl_s = step.prediction.readings.get("ttl_s")
    if not isinstance(ttl_s, int | float) or step.id not in case.until_service:
        return
    has = format_duration(ttl_s)
    if ttl_s >= case.plan.objectives.rto_s:
        rto = format_duration(case.plan.objectives.rto_s)
        yield Found(
            what=f"{step.id}: the record has a TTL of {has} now, and the RTO is {rto}: resolvers"
            " send customers to the old side for that long",
            step=step,
            fix="lower the record's TTL today, to 60 s",
        )
    elif step.call and step.call.with_.get("outlast_caches") is True and ttl_s >= step.timeout_s:
        yield Found(
            what=f"{step.id} waits for the old TTL, {has}, and its timeout is"
            f" {format_duration(step.timeout_s)}",
            step=step,
            fix="lower the record's TTL today, or give the step a longer timeout and estimate",
        )


RULE = Rule(
    id="DR6303",
    title="The TTL fits into the budget",
    severity="error",
    reason="The switch is not over before the caches are. A TTL of an hour makes an hour of"
    " outage for those who asked a minute before.",
    bad="uses: aws.route53.record.upsert\nwith: {ttl: 3600, ...}",
    good="uses: aws.route53.record.upsert\nwith: {ttl: 60, ...}",
    fix="a TTL of 60 s",
    judge=_judge,
    varies=True,
)
