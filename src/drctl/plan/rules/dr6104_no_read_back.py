"""A change whose reply is lost can be looked up."""

from collections.abc import Iterator

from drctl.actions.contract import Action
from drctl.actions.registry import AnyAction
from drctl.plan.rules.case import Case
from drctl.plan.rules.rule import Found, Rule


def _judge(case: Case) -> Iterator[Found]:
    for step, action in case.doing(_is_blind):
        yield Found(
            what=f"{step.id} has no read-back: {action.name} cannot say afterwards whether it"
            " happened",
            step=step,
        )


def _is_blind(action: AnyAction) -> bool:
    # DR6105 says so of programs, and a person can be asked.
    if not action.effect.changes_something or action.asks_person or action.runs_anything:
        return False
    return type(action).settled is Action.settled


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
