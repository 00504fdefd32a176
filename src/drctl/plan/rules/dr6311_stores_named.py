"""Who recovers a region must know what was in it."""

from collections.abc import Iterator

from drctl.plan.rules.case import Case
from drctl.plan.rules.leaving import REGION_OUTAGE
from drctl.plan.rules.rule import Found, Needs, Rule


def _judge(case: Case) -> Iterator[Found]:
    environment = case.environment
    if environment is None or environment.stores or case.plan.scenario != REGION_OUTAGE:
        return
    yield Found(
        what=f"{environment.name} names no stores: nobody can tell whether every database, cache,"
        " bucket, secret and queue comes back",
        at=f"{environment.file}:1:1",
    )


RULE = Rule(
    id="DR6311",
    title="An environment names its stores",
    severity="warning",
    reason="What is not on a list is forgotten. With stores: in the environment DR6306 finds"
    " what no step of a region's recovery brings back.",
    bad="targets: {db.primary: ..., db.recovery: ...}   # and the cache? the files? the queues?",
    good="stores:\n"
    "  database: {kind: database, targets: [db.primary, db.recovery]}\n"
    "  cache: {kind: cache, targets: [cache.main]}\n"
    "  orders-queue: {kind: queue}   # no target: a waiver says what becomes of it",
    fix="write stores: into the environment",
    judge=_judge,
    needs=Needs.ENVIRONMENT,
)
