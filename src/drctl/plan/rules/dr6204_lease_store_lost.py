"""The right to run is not kept in what is lost."""

from collections.abc import Iterator

from drctl.plan.rules.case import Case
from drctl.plan.rules.leaving import regions_left
from drctl.plan.rules.rule import Found, Needs, Rule


def _judge(case: Case) -> Iterator[Found]:
    lease, environment = case.plan.lease, case.environment
    left = regions_left(case)
    # A region that is left as planned is still there; a server that is fenced is not, whatever for.
    lost = [place for place in lease.shares_fate_with if place in left or ":" in place]
    if lost and environment is not None:
        at = environment.lease.at if environment.lease else None
        yield Found(
            what=f"leases are kept in {lease.label}, which is lost with {', '.join(lost)}",
            at=str(at) if at else "",
        )


RULE = Rule(
    id="DR6204",
    title="drctl's own state is outside what is left",
    severity="error",
    reason="Without the book of leases no run begins: when it is in the region or the database"
    " that is lost, nobody can recover from that loss.",
    bad="lease: {store: s3, aws: aws-east, bucket: leases}   # and us-east-1 is what is left",
    good="lease: {store: s3, aws: aws-west, bucket: leases}",
    fix="keep leases in the recovery region",
    judge=_judge,
    needs=Needs.ENVIRONMENT,
)
