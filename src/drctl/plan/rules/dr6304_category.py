"""The category of an incident and the objective of its recovery say the same."""

from collections.abc import Iterator

from drctl.kernel.duration import format_duration
from drctl.plan.rules.case import Case
from drctl.plan.rules.rule import Found, Rule

_LONGEST_S = {1: 5 * 60, 2: 30 * 60}
"""How long the impact of a category lasts at most, as ``metadata.category`` defines it."""


def _judge(case: Case) -> Iterator[Found]:
    category = case.runbook.metadata.category
    longest_s, rto = _LONGEST_S.get(category or 0), case.runbook.objectives.rto
    if longest_s is not None and rto.total_seconds() > longest_s:
        yield Found(
            what=f"category {category} is for impact of up to {format_duration(longest_s)}, and the"
            f" RTO allows {format_duration(rto)}",
            place="metadata.category",
        )


RULE = Rule(
    id="DR6304",
    title="Category and RTO do not contradict each other",
    severity="warning",
    reason="The category decides who is called and who is told. An incident that may last half"
    " an hour by its objective, filed as one of five minutes, calls too few people too"
    " late.",
    bad="metadata: {category: 1}   # under 5 minutes\nobjectives: {rto: 15m}",
    good="metadata: {category: 2}   # 5 to 30 minutes\nobjectives: {rto: 15m}",
    fix="choose the category that the RTO belongs to: 1 up to 5m, 2 up to 30m, 3 above",
    judge=_judge,
)
