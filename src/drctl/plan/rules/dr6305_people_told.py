"""People are told when it begins and how it ended."""

from collections.abc import Iterator

from drctl.kernel.duration import format_duration
from drctl.plan.rules.case import Case
from drctl.plan.rules.rule import Found, Rule

_TOLD_BY_S = {1: 5 * 60, 2: 10 * 60, 3: 15 * 60}
"""The escalation matrix: how soon people are told of an incident of a category."""
_MAJOR = 2


def _judge(case: Case) -> Iterator[Found]:
    category = case.runbook.metadata.category or 0
    told_by_s, rto_s = _TOLD_BY_S.get(category), case.plan.objectives.rto_s
    if told_by_s is None or case.plan.objectives.starts_at == "run":
        return
    messages = [step for step in case.plan.steps if step.is_message]
    if rto_s <= told_by_s and not any(not one.needs and not one.is_final for one in messages):
        yield Found(
            what=f"category {category} tells people after {format_duration(told_by_s)}, and the"
            f" recovery is to be over after {format_duration(rto_s)}: nothing tells them at once",
            place="metadata.category",
        )
    if category >= _MAJOR and not any(one.is_final for one in messages):
        yield Found(
            what=f"category {category}, and nothing under finally tells people how it ended",
            place="metadata.category",
        )


RULE = Rule(
    id="DR6305",
    title="People are told before it is over, and how it ended",
    severity="warning",
    reason="An escalation matrix that informs after 15 minutes, and an RTO of 15 minutes, inform"
    " about the past. A message costs nothing at the start, and one under finally is sent"
    " however it ends.",
    bad="metadata: {category: 3}\nobjectives: {rto: 15m}\nsteps: [...]   # no message",
    good="- {id: announce, uses: slack.message.post, target: room, needs: [], ...}\n"
    "finally:\n- {id: update_status, uses: statuspage.incident.update, target: status, ...}",
    fix="a message with needs: [] first, and one under finally",
    judge=_judge,
)
