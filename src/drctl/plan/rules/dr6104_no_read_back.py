"""A change whose reply is lost can be looked up."""

from collections.abc import Iterator

from drctl.actions.contract import Action
from drctl.plan.rules.case import Case
from drctl.plan.rules.rule import Found, Rule


def _judge(case: Case) -> Iterator[Found]:
    for step in case.work:
        action = case.action(step)
        if action is None or not step.effect.changes_something or action.asks_person:
            continue
        if action.runs_anything:
            continue  # DR6105 says so of programs
        if type(action).settled is Action.settled:
            yield Found(
                what=f"{step.id} has no read-back: {action.name} cannot say afterwards whether it"
                " happened",
                step=step,
            )


RULE = Rule(
    id="DR6104",
    title="Every change can be read back",
    severity="warning",
    reason="When the reply to a change is lost, the run ends as unknown (exit 10) unless the"
    " action can look whether it happened. A person then has to find out, by night.",
    bad="- {id: clear, uses: acme.cache.clear, ...}   # an action without settled()",
    good="- {id: clear, uses: redis.flush, target: cache, ...}   # can be asked whether it has",
    fix="use an action that reads back; its author writes settled()",
    judge=_judge,
)
