"""Nobody waits for one step longer than there is time for all."""

from collections.abc import Iterator

from drctl.kernel.duration import format_duration
from drctl.plan.rules.case import Case
from drctl.plan.rules.rule import Found, Rule


def _judge(case: Case) -> Iterator[Found]:
    rto_s = case.plan.objectives.rto_s
    for step in case.work:
        is_long = step.timeout_s >= rto_s and step.gate is None
        if is_long and step.id in case.until_service:
            yield Found(
                what=f"{step.id} may wait {format_duration(step.timeout_s)}, and the RTO of the"
                f" whole recovery is {format_duration(rto_s)}",
                step=step,
            )


RULE = Rule(
    id="DR6106",
    title="No wait as long as the RTO",
    severity="error",
    reason="A step that hangs is only known to hang when its timeout is over. When that is as"
    " long as the RTO, nobody hears of it while there is still time to do something else.",
    bad="objectives: {rto: 15m}\n- {id: rollout, timeout: 30m, ...}",
    good="objectives: {rto: 15m}\n- {id: rollout, timeout: 3m, ...}",
    fix="give it the timeout after which a person should decide something else",
    judge=_judge,
    varies=True,
)
