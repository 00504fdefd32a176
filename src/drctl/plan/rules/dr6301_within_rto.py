"""The recovery must fit into its objective."""

from collections.abc import Iterator

from drctl.kernel.duration import format_duration
from drctl.plan.rules.case import Case
from drctl.plan.rules.rule import Found, Rule


def _judge(case: Case) -> Iterator[Found]:
    plan = case.plan
    if plan.spare_s >= 0:
        return
    late, takes = format_duration(-plan.spare_s), plan.objectives.rto_s - plan.spare_s
    slowest = max(
        (plan.by_id[name] for name in plan.critical_path), key=lambda step: step.estimate_s
    )
    yield Found(
        what=f"the critical path takes {format_duration(takes)}, and the RTO is"
        f" {format_duration(plan.objectives.rto_s)}: {late} too long",
        place="objectives.rto",
        why=f"the longest on it is {slowest.id}, {format_duration(slowest.estimate_s)};"
        f" on it are {', '.join(plan.critical_path)}",
    )


RULE = Rule(
    id="DR6301",
    title="The critical path fits into the RTO",
    severity="error",
    reason="An objective that the recovery's own estimates miss is a promise nobody can keep."
    " The longest chain up to the proof of service is counted, people at gates and the"
    " declared time of detection included; by recorded runs, nine of ten must fit.",
    bad="objectives: {rto: 15m}   # and a restore with estimate: 25m before verify_public",
    good="objectives: {rto: 60m}   # or a standby that is promoted instead of a restore",
    fix="shorten the critical path, start what is on it earlier (needs:), or state an honest RTO",
    judge=_judge,
    varies=True,
)
