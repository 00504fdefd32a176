"""Who saw the primary last is not lost with it."""

from collections.abc import Iterator

from drctl.plan.rules.case import Case
from drctl.plan.rules.leaving import lost_witness
from drctl.plan.rules.rule import Found, Needs, Rule


def _judge(case: Case) -> Iterator[Found]:
    for step in case.work:
        region = lost_witness(case, step)
        if region:
            yield Found(
                what=f"{step.id} reads what the witness saw from {region}, which this scenario"
                " assumes down",
                step=step,
            )


RULE = Rule(
    id="DR6205",
    title="The witness is outside the region that is left",
    severity="error",
    reason="The loss is bounded by what somebody else saw of the primary last. When that is kept"
    " beside the primary, it is gone with it, the bound is unknown, and the RPO gate"
    " refuses.",
    bad="witness: {aws: aws-east, bucket: witness, key: orders.json}   # beside its primary",
    good="witness: {aws: aws-west, bucket: witness, key: orders.json}",
    fix="let the observer keep its sightings in the recovery region",
    judge=_judge,
    needs=Needs.ENVIRONMENT,
)
