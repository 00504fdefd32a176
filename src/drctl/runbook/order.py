"""What must come before what: fence and measurement before a promotion, its proof after it."""

from collections import deque
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from drctl.actions.contract import Effect
from drctl.actions.registry import AnyAction, Registry
from drctl.actions.targets import Target
from drctl.kernel.ids import StepId
from drctl.runbook.draft import Draft, Placed
from drctl.runbook.rules import probable_action, target_of


def check_order(
    draft: Draft,
    registry: Registry,
    ancestors: Mapping[StepId, AbstractSet[StepId]],
    environment: Mapping[str, Target] | None,
) -> None:
    """Notes promotions without fence, measurement or proof, and changes that wait for a message."""
    steps = {placed.step.id: placed for placed in reversed(draft.steps)}
    actions = {
        step_id: action
        for step_id, placed in steps.items()
        if placed.step.uses and (action := probable_action(placed.step.uses, registry))
    }
    for placed in draft.steps:
        action = actions.get(placed.step.id)
        if action is not None and action.effect is Effect.PROMOTE:
            ids = sorted(ancestors[placed.step.id])
            above = [(steps[one], actions[one]) for one in ids if one in actions]
            # A step whose action cannot be told may be the fence; that it has none was said.
            if all(draft.has((*steps[one].path, "uses")) or steps[one].step.gate for one in ids):
                _check_promotion(draft, placed, above, environment)
                _check_proof(draft, placed, steps, actions, ancestors)
    _check_messages(draft, steps, actions)


def _check_promotion(
    draft: Draft,
    placed: Placed,
    above: list[tuple[Placed, AnyAction]],
    environment: Mapping[str, Target] | None,
) -> None:
    step, path = placed.step, (*placed.path, "uses")
    fences = [one for one, action in above if action.effect is Effect.FENCE]
    same = [one for one in fences if _is_for(draft, one, placed, environment)]
    if not same:
        what = (
            f"{step.id} promotes, and no step before it fences the old primary of the same database"
        )
        if fences:
            what += f"; {fences[0].step.id} fences something else"
        draft.say_at("DR1060", what, path)
    elif all(one.step.when for one in same):
        what = (
            f"{step.id} promotes, and its fence {same[0].step.id} has a when:"
            " a fence that may be skipped is none"
        )
        draft.say_at("DR1060", what, path)
    if not any(action.measures_loss and not one.step.when for one, action in above):
        what = f"{step.id} promotes, and no step before it always measures what would be lost"
        draft.say_at("DR1061", what, path)


def _check_proof(
    draft: Draft,
    placed: Placed,
    steps: Mapping[StepId, Placed],
    actions: Mapping[StepId, AnyAction],
    ancestors: Mapping[StepId, AbstractSet[StepId]],
) -> None:
    """What is not proven afterwards is not known: two primaries look like one to each client."""
    promotion, path = placed.step.id, (*placed.path, "uses")
    after = [steps[one] for one, above in ancestors.items() if promotion in above]
    proofs = [
        one for one in after if one.step.id in actions and actions[one.step.id].proves_one_primary
    ]
    if not proofs:
        what = f"{promotion} promotes, and no step after it proves that there is one primary"
        draft.say_at("DR1068", what, path)
    elif all(one.step.when or one.is_final for one in proofs):
        what = (
            f"{promotion} promotes, and its proof {proofs[0].step.id} may be skipped: it needs its"
            " place under steps, without a when"
        )
        draft.say_at("DR1068", what, path)


def _is_for(
    draft: Draft, fence: Placed, promotion: Placed, environment: Mapping[str, Target] | None
) -> bool:
    """
    Whether the fence is about the other side of the database that is promoted: the same family,
    another target, and where the environment pins both, the same cluster.
    """
    family, old = target_of(draft, fence.step.target, environment)
    wanted, new = target_of(draft, promotion.step.target, environment)
    if not family or not wanted:
        return True  # the target itself is wrong, and that has been said
    names = draft.targets[fence.step.target or ""], draft.targets[promotion.step.target or ""]
    if family != wanted or names[0] == names[1]:
        return False
    pins = getattr(old, "system_identifier", None), getattr(new, "system_identifier", None)
    return None in pins or pins[0] == pins[1]


def _check_messages(
    draft: Draft, steps: Mapping[StepId, Placed], actions: Mapping[StepId, AnyAction]
) -> None:
    """A message that hangs must not hold up a recovery. One problem for each message."""
    waiting: dict[StepId, list[StepId]] = {}
    for step_id, needs in draft.needs.items():
        for need in needs:
            waiting.setdefault(need, []).append(step_id)
    for step_id, action in actions.items():
        if action.effect is not Effect.NOTIFY:
            continue
        way = _way_to_a_change(step_id, waiting, actions)
        if way:
            through = f" (through {', '.join(way[1:-1])})" if len(way) > 2 else ""  # noqa: PLR2004 (both ends)
            is_written = draft.has((*steps[way[1]].path, "needs"))
            why = "" if is_written else f"; give {way[1]} its own needs"
            what = (
                f"{way[-1]} changes something and waits for the message {step_id}{through};"
                f" messages never delay a recovery{why}"
            )
            place = (*steps[way[1]].path, "needs")
            draft.say_key("DR1064", what, place if is_written else (*steps[way[1]].path, "id"))


def _way_to_a_change(
    start: StepId, waiting: Mapping[StepId, list[StepId]], actions: Mapping[StepId, AnyAction]
) -> list[StepId]:
    """The shortest chain of waiting steps from *start* to one that changes something."""
    came_from: dict[StepId, StepId] = {}
    queue = deque([start])
    while queue:
        step = queue.popleft()
        if step in actions and actions[step].effect.changes_something:
            way = [step]
            while way[-1] != start:
                way.append(came_from[way[-1]])
            return way[::-1]
        for one in waiting.get(step, ()):
            if one not in came_from and one != start:
                came_from[one] = step
                queue.append(one)
    return []
