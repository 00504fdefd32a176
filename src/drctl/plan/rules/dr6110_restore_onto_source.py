"""What is restored from is left as it is."""

from collections.abc import Iterator

from drctl.actions.contract import Effect
from drctl.plan.model import PlannedStep
from drctl.plan.rules.case import Case
from drctl.plan.rules.rule import Found, Rule


def _judge(case: Case) -> Iterator[Found]:
    for step, action in case.doing(lambda action: action.restores is not None):
        if action.restores is None:
            continue
        if action.restores.into:
            target = case.target(step)
            wanted = case.params(step).get(action.restores.into)
            own = getattr(target, action.restores.source, None)
            if wanted is not None and wanted == own:
                yield Found(what=f"{step.id} restores {own} onto itself", step=step)
        else:
            yield from _in_place(case, step)


def _in_place(case: Case, step: PlannedStep) -> Iterator[Found]:
    """The target is what is made; the database that is fenced as damaged must be another one."""
    for other in case.work:
        if other.effect is not Effect.FENCE or other.call is None or step.call is None:
            continue
        mine, fenced = case.target(step), case.target(other)
        same = step.call.target == other.call.target
        if mine is not None and fenced is not None:
            # The address, not the system: a restored copy has its source's system identifier.
            same = mine.identities[:1] == fenced.identities[:1]
        if same:
            yield Found(
                what=f"{step.id} restores into {step.call.target}, which {other.id} fences as the"
                " damaged one",
                step=step,
            )
            return


RULE = Rule(
    id="DR6110",
    title="Restore never onto the source",
    severity="error",
    reason="A restore that goes wrong must leave what there was: the damaged database is"
    " evidence, has the rows that were written since, and is the way back.",
    bad="targets: {damaged: db.primary, restored: db.primary}\n"
    "- {id: restore, uses: postgres.restore_to_time, target: restored, ...}",
    good="targets: {damaged: db.primary, restored: db.restored}\n"
    "- {id: restore, uses: postgres.restore_to_time, target: restored, ...}",
    fix="restore beside it, under another name or address, and move the application",
    judge=_judge,
    varies=True,
)
