"""A backup that is older than the RPO cannot meet it."""

from collections.abc import Iterator

from drctl.kernel.duration import format_duration
from drctl.plan.model import PlannedStep
from drctl.plan.rules.case import Case
from drctl.plan.rules.rule import Found, Rule


def _judge(case: Case) -> Iterator[Found]:
    rpo_s = case.plan.objectives.rpo_s
    for step, action in case.doing(lambda action: action.restores is not None):
        if action.restores is None:
            continue
        lag_s = action.restores.lag_s
        if lag_s is not None and lag_s >= rpo_s:
            yield Found(
                what=f"{step.id} can bring back what is {format_duration(lag_s)} old or older, and"
                f" the RPO is {format_duration(rpo_s)}",
                step=step,
            )
        if action.restores.from_snapshot:
            yield from _from_snapshot(case, step, rpo_s)


def _from_snapshot(case: Case, step: PlannedStep, rpo_s: float) -> Iterator[Found]:
    stores = case.environment.stores if case.environment else {}
    for name, store in stores.items():
        is_its = step.call is not None and step.call.target in store.targets
        if is_its and store.snapshot_every_s is not None and store.snapshot_every_s > rpo_s:
            yield Found(
                what=f"{step.id} brings {name} back from a snapshot, and there is one every"
                f" {format_duration(store.snapshot_every_s)}: the RPO is {format_duration(rpo_s)}",
                step=step,
            )


RULE = Rule(
    id="DR6307",
    title="Backups can meet the RPO",
    severity="error",
    reason="RDS ships its logs every five minutes: the newest moment that a restore can have is"
    " about five minutes old. An RPO of five minutes has no slack then, and a snapshot a"
    " night has an RPO of a day.",
    bad="objectives: {rpo: 5m}\n- {id: restore, uses: aws.rds.restore_to_time, ...}",
    good="objectives: {rpo: 10m}\n- {id: restore, uses: aws.rds.restore_to_time, ...}",
    fix="recover from a standby, take snapshots more often, or state an honest RPO",
    judge=_judge,
    varies=True,
)
