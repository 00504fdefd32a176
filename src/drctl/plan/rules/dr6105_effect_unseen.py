"""What a program does, no plan can see."""

from collections.abc import Iterator

from drctl.plan.rules.case import Case
from drctl.plan.rules.rule import Found, Rule


def _judge(case: Case) -> Iterator[Found]:
    for step, _action in case.doing(lambda action: action.runs_anything):
        has_check = step.call is not None and "check" in step.call.with_
        if step.effect.changes_something and not has_check:
            yield Found(
                what=f"{step.id} runs a program, and no plan can see what it changes or whether it"
                " has",
                step=step,
            )


RULE = Rule(
    id="DR6105",
    title="No effect that the plan cannot see",
    severity="warning",
    reason="A program changes what it likes. The plan cannot preview it, name the planes it"
    " needs, or take it back; without a check: nobody can say afterwards whether it"
    " happened.",
    bad="uses: shell.command\nwith: {argv: [/opt/recover.sh]}",
    good="uses: shell.command\nwith: {argv: [/opt/recover.sh], check: [/opt/recovered.sh]}",
    fix="use an action of drctl for it (drctl action list), or give a check: that reads",
    judge=_judge,
)
